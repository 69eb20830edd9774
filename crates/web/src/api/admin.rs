//! `/api/v1/admin/tsdb/*`: deleting series, cleaning up behind that, snapshots. Off unless `--web.enable-admin-api`.
//!
//! Facts: order of the checks and words of Prometheus 3.14.

use narthex_promql::parser::parse_metric_selector;

use super::Call;
use crate::answer::{ApiResult, Outcome, PLAIN};
use crate::api_error::{ApiError, ErrorType};
use crate::json::JsonOut;
use crate::param::{MAX_TIME, MIN_TIME, parse_go_bool, parse_time_or};
use crate::routes::Endpoint;
use crate::services::Services;
use crate::site::Shared;

/// Answers one of them.
pub(super) fn run(
    shared: &Shared,
    services: &Services,
    endpoint: Endpoint,
    call: &Call,
    out: &mut JsonOut,
) -> ApiResult {
    if !shared.options.admin {
        return Err(ApiError::new(ErrorType::Unavailable, "admin APIs disabled"));
    }
    match endpoint {
        Endpoint::DeleteSeries => delete_series(services, call),
        Endpoint::CleanTombstones => {
            services.tsdb.clean_tombstones().map_err(internal)?;
            Ok(Outcome::NoContent)
        }
        _ => snapshot(services, call, out),
    }
}

fn internal(reason: String) -> ApiError {
    ApiError::new(ErrorType::Internal, reason)
}

/// Selectors are carried out one by one: those before a bad one count.
fn delete_series(services: &Services, call: &Call) -> ApiResult {
    call.form.check().map_err(ApiError::bad_data)?;
    let selectors = call.form.values("match[]");
    if selectors.is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let time = |name, default| {
        parse_time_or(name, call.form.value(name), default).map_err(|e| ApiError::invalid_parameter(name, e))
    };
    let (start, end) = (time("start", MIN_TIME)?, time("end", MAX_TIME)?);
    for selector in selectors {
        let matchers =
            parse_metric_selector(selector).map_err(|e| ApiError::invalid_parameter("match[]", e))?;
        // COMPAT: without any matcher nothing is meant, least of all everything.
        if matchers.is_empty() {
            continue;
        }
        services.tsdb.delete_series(start.to_ms(), end.to_ms(), &matchers).map_err(internal)?;
    }
    Ok(Outcome::NoContent)
}

fn snapshot(services: &Services, call: &Call, out: &mut JsonOut) -> ApiResult {
    let skip_head = match call.form.value("skip_head") {
        "" => false,
        text => parse_go_bool(text)
            .map_err(|e| ApiError::invalid_parameter("skip_head", format!("unable to parse boolean: {e}")))?,
    };
    let name = services.tsdb.snapshot(skip_head).map_err(internal)?;
    out.raw("{").member("name", true).html_safe(&name).raw("}");
    PLAIN
}
