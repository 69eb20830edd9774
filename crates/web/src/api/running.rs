//! `/api/v1/running_queries` and `/api/v1/running_queries/cancel`, Narthex' own: who waits and runs, and calling one off.

use narthex_model::{UnixTime, push_rfc3339_ms};
use narthex_promql::desk::{ListedQuery, Origin};

use super::Call;
use crate::answer::{ApiResult, Outcome, PLAIN};
use crate::api_error::{ApiError, ErrorType};
use crate::json::JsonOut;
use crate::services::Services;
use crate::site::Shared;

/// The list, in order of receipt.
pub(super) fn list(services: &Services, out: &mut JsonOut) -> ApiResult {
    out.list(services.desk.list(), |out, query| push(out, &query));
    PLAIN
}

/// Calls off the query of parameter `id`.
pub(super) fn cancel(shared: &Shared, services: &Services, call: &Call) -> ApiResult {
    if !shared.options.admin {
        return Err(ApiError::new(ErrorType::Unavailable, "admin APIs disabled"));
    }
    let text = call.form.value("id");
    let id =
        text.parse().map_err(|_| ApiError::invalid_parameter("id", "it must be a number of the list"))?;
    if services.desk.cancel(id) {
        Ok(Outcome::NoContent)
    } else {
        Err(ApiError::invalid_parameter("id", format_args!("no query with number {id} waits or runs")))
    }
}

fn push(out: &mut JsonOut, query: &ListedQuery) {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    out.raw("{").member("id", true).int(number(query.id));
    out.member("query", false).html_safe(&query.text);
    out.member("lane", false).html_safe(query.lane.as_str());
    out.member("state", false).html_safe(query.stand.as_str());
    out.member("received", false).html_safe(&date(query.received));
    match query.started {
        Some(at) => out.member("started", false).html_safe(&date(at)),
        None => out.member("started", false).raw("null"),
    };
    out.member("samplesRead", false).int(number(query.progress.samples_read()));
    out.member("bytes", false).int(number(query.progress.bytes()));
    out.member("peakBytes", false).int(number(query.progress.peak_bytes()));
    if let Origin::Http { client, path, .. } = &query.origin {
        out.member("client", false).html_safe(client);
        out.member("path", false).html_safe(path);
    }
    out.raw("}");
}

fn date(time: UnixTime) -> String {
    let mut text = String::new();
    push_rfc3339_ms(&mut text, time);
    text
}
