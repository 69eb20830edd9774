//! From plan to rows.

use super::context::QueryContext;
use super::error::QueryError;
use super::plan::{QueryTimes, Root};
use super::row::Block;

/// What the root of a plan evaluates to.
pub(crate) enum Raw {
    Scalar(Vec<f64>),
    Vector(Block),
}

/// Evaluates the root of a plan.
pub(crate) fn eval_root(_: &Root, _: &QueryTimes, _: &QueryContext<'_>) -> Result<Raw, QueryError> {
    Err(QueryError::Unsupported("evaluation".to_owned()))
}
