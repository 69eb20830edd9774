//! What is about the query text itself: formatting, the syntax tree, and exemplars of the series it selects.

use narthex_promql::parser;

use super::Call;
use crate::answer::{ApiResult, Outcome, PLAIN};
use crate::api_error::ApiError;
use crate::json::JsonOut;
use crate::param::{MAX_TIME, MIN_TIME, parse_time_or};
use crate::services::Services;

/// `/api/v1/format_query`
pub(super) fn format(services: &Services, call: &Call, out: &mut JsonOut) -> ApiResult {
    let expr = parser::parse(call.form.value("query"), &services.engine.options().features.parse)
        .map_err(|e| ApiError::invalid_parameter("query", e))?;
    let _ = (expr, out);
    Err(ApiError::new(crate::ErrorType::Execution, "queries are not formatted yet"))
}

/// `/api/v1/parse_query`
pub(super) fn parse(services: &Services, call: &Call, _out: &mut JsonOut) -> ApiResult {
    parser::parse(call.form.value("query"), &services.engine.options().features.parse)
        .map_err(|e| ApiError::invalid_parameter("query", e))?;
    Err(ApiError::new(
        crate::ErrorType::Execution,
        "the syntax tree is not given out yet; /api/v1/format_query is there",
    ))
}

/// `/api/v1/query_exemplars`: checks the request; no exemplar is stored yet.
pub(super) fn exemplars(services: &Services, call: &Call, out: &mut JsonOut) -> ApiResult {
    let time = |name, default| {
        parse_time_or(name, call.form.value(name), default).map_err(|e| ApiError::invalid_parameter(name, e))
    };
    let (start, end) = (time("start", MIN_TIME)?, time("end", MAX_TIME)?);
    if end < start {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    let expr = parser::parse(call.form.value("query"), &services.engine.options().features.parse)
        .map_err(|e| ApiError::bad_data(e.to_string()))?;
    if expr.selectors().is_empty() {
        return Ok(Outcome::NoContent);
    }
    out.raw("[]");
    PLAIN
}
