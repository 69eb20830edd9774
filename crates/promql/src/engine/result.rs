//! From rows to the value that a client sees.

use super::context::QueryContext;
use super::error::QueryError;
use super::eval::Raw;
use super::plan::QueryTimes;
use super::value::Value;

/// Makes the value.
pub(crate) fn finish(_: Raw, _: &QueryTimes, _: &QueryContext<'_>) -> Result<Value, QueryError> {
    Err(QueryError::Unsupported("evaluation".to_owned()))
}
