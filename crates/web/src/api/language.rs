//! What is about the query text itself: formatting, the syntax tree, and exemplars of the series it selects.

use narthex_model::{Exemplar, push_float_json};
use narthex_promql::parser;
use narthex_promql::prettier::prettify;

use super::Call;
use super::syntax_tree::push_expr;
use crate::answer::{ApiResult, Outcome, PLAIN};
use crate::api_error::ApiError;
use crate::json::JsonOut;
use crate::param::{MAX_TIME, MIN_TIME, is_before, parse_time_or};
use crate::result_json::push_seconds;
use crate::services::Services;

/// `/api/v1/format_query`
pub(super) fn format(services: &Services, call: &Call, out: &mut JsonOut) -> ApiResult {
    let expr = parser::parse(call.form.value("query"), &services.desk.engine().options().features.parse)
        .map_err(|e| ApiError::invalid_parameter("query", e))?;
    out.html_safe(&prettify(&expr));
    PLAIN
}

/// `/api/v1/parse_query`
pub(super) fn parse(services: &Services, call: &Call, out: &mut JsonOut) -> ApiResult {
    let expr = parser::parse(call.form.value("query"), &services.desk.engine().options().features.parse)
        .map_err(|e| ApiError::invalid_parameter("query", e))?;
    push_expr(out, &expr);
    PLAIN
}

fn push_exemplar(out: &mut JsonOut, exemplar: &Exemplar) {
    out.raw("{\"labels\":").labels(&exemplar.labels).raw(",\"value\":\"");
    push_float_json(out.buffer(), exemplar.value);
    out.raw("\",\"timestamp\":");
    push_seconds(out.buffer(), exemplar.t_ms.unwrap_or(0));
    out.raw("}");
}

/// `/api/v1/query_exemplars`
pub(super) fn exemplars(services: &Services, call: &Call, out: &mut JsonOut) -> ApiResult {
    let time = |name, default| {
        parse_time_or(name, call.form.value(name), default).map_err(|e| ApiError::invalid_parameter(name, e))
    };
    let (start, end) = (time("start", MIN_TIME)?, time("end", MAX_TIME)?);
    if is_before(end, start) {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    let expr = parser::parse(call.form.value("query"), &services.desk.engine().options().features.parse)
        .map_err(|e| ApiError::bad_data(e.to_string()))?;
    let selectors: Vec<_> = expr.selectors().into_iter().map(|s| s.matchers.clone()).collect();
    if selectors.is_empty() {
        return Ok(Outcome::NoContent);
    }
    let found = services.tsdb.exemplars(start.to_ms(), end.to_ms(), &selectors);
    out.list(&found, |out, (series, exemplars)| {
        out.raw("{\"seriesLabels\":").labels(series).raw(",\"exemplars\":");
        out.list(exemplars, push_exemplar);
        out.raw("}");
    });
    PLAIN
}
