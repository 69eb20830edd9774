//! `/api/v1/search/*`: names and values for somebody who types, best first or in order, as lines of JSON.
//!
//! Facts: Prometheus 3.14, where it is an experiment behind `--enable-feature=search-api`: order of the checks, texts, and lines:
//! batches of results, then one that says whether there is more.
//! Always true: the answer is bounded by the limit; what is looked through is what the storage lists.

mod params;
mod score;

use std::collections::HashMap;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue};
use narthex_model::{METRIC_NAME, Metadata};
use narthex_net::server::{Body, Request, Response};

use self::params::{Order, Params};
use crate::answer::envelope;
use crate::api_error::{ApiError, ErrorType};
use crate::encoding::Encoding;
use crate::form::{self, Bodies, Form};
use crate::json::JsonOut;
use crate::routes::Endpoint;
use crate::services::Services;
use crate::site::Shared;

/// A name or value and how well it fits.
struct Hit {
    text: String,
    score: f64,
}

/// Answers one request.
pub(crate) async fn answer(shared: &Arc<Shared>, endpoint: Endpoint, request: Request) -> Response {
    if let Some(unavailable) = shared.unless_ready() {
        return unavailable;
    }
    let headers = request.head.headers.clone();
    let form = form::read(request, Bodies::Forms).await;
    let site = Arc::clone(shared);
    let work = move || form.and_then(|form| respond(&site, endpoint, &form));
    let made = tokio::task::spawn_blocking(work).await;
    let made = made.unwrap_or_else(|_| {
        Err(ApiError::new(ErrorType::Internal, "unexpected error while answering, see the log"))
    });
    let mut response = made.unwrap_or_else(|error| envelope(Encoding::Identity, |_| Err(error)));
    shared.options.cors.set(&headers, response.headers_mut());
    response
}

fn respond(shared: &Shared, endpoint: Endpoint, form: &Form) -> Result<Response, ApiError> {
    if !shared.options.search {
        return Err(ApiError::new(ErrorType::Unavailable, "search API disabled"));
    }
    form.check().map_err(ApiError::bad_data)?;
    let what = match endpoint {
        Endpoint::SearchMetricNames => "metric_names",
        Endpoint::SearchLabelNames => "label_names",
        _ => "label_values",
    };
    let params = Params::read(form, what, shared.options.search_max_limit)?;
    let with_metadata =
        endpoint == Endpoint::SearchMetricNames && params::switch(form, "include_metadata", false)?;
    let label = match endpoint {
        Endpoint::SearchMetricNames => METRIC_NAME,
        Endpoint::SearchLabelNames => "",
        _ => match form.value("label") {
            "" => return Err(ApiError::bad_data("missing required parameter \"label\"")),
            label => label,
        },
    };
    let Some(services) = shared.services() else {
        return Err(ApiError::new(ErrorType::Unavailable, "the server is stopping"));
    };
    let querier = services.storage.querier(params.start_ms, params.end_ms)?;
    let found = params.union(|matchers| match label {
        "" => querier.label_names(matchers, 0),
        label => querier.label_values(label, matchers, 0),
    })?;
    let mut hits = best(found, &params);
    let has_more = hits.len() > params.limit;
    hits.truncate(params.limit);
    let metadata = if with_metadata { metadata_of(services, &hits) } else { HashMap::new() };
    let mut warnings = querier.warnings();
    warnings.sort_unstable();
    let member = if endpoint == Endpoint::SearchLabelValues { "value" } else { "name" };
    let mut out = JsonOut::new(Encoding::Identity);
    let mut batches = hits.chunks(params.batch_size).enumerate().peekable();
    if batches.peek().is_none() {
        push_batch(&mut out, &[], &warnings, |_, _| ());
    }
    for (at, batch) in batches {
        let told = if at == 0 { &*warnings } else { &[] };
        push_batch(&mut out, batch, told, |out, hit| {
            out.raw("{").member(member, true).html_safe(&hit.text);
            if params.include_score {
                out.member("score", false).number(hit.score);
            }
            if let Some(known) = metadata.get(&hit.text) {
                push_metadata(out, known);
            }
            out.raw("}");
        });
    }
    out.raw("{\"status\":\"success\"").member("has_more", false).bool(has_more).raw("}\n");
    let mut response = Response::new(Body::Pieces(out.finish()));
    let kind = HeaderValue::from_static("application/x-ndjson; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

/// What fits, in order; one more than the limit when there is more. `found` is sorted.
fn best(mut found: Vec<String>, params: &Params) -> Vec<Hit> {
    if params.order == Order::Descending {
        found.reverse();
    }
    let mut letters = Vec::new();
    let hits = found.into_iter().filter_map(|text| {
        let score = params.sought.score(&text, &mut letters)?;
        Some(Hit { text, score })
    });
    if params.order != Order::Score {
        return hits.take(params.limit.saturating_add(1)).collect();
    }
    let mut hits: Vec<Hit> = hits.collect();
    // Equal scores stay in order of the text.
    hits.sort_by(|a, b| b.score.total_cmp(&a.score));
    hits
}

fn push_batch(out: &mut JsonOut, batch: &[Hit], warnings: &[String], push: impl Fn(&mut JsonOut, &Hit)) {
    out.raw("{").member("results", true).list(batch, push);
    if !warnings.is_empty() {
        out.member("warnings", false).strings(warnings);
    }
    out.raw("}\n");
    out.breathe();
}

/// The metadata that is first seen of each metric.
fn metadata_of(services: &Services, hits: &[Hit]) -> HashMap<String, Metadata> {
    if hits.is_empty() {
        return HashMap::new();
    }
    let mut all = HashMap::new();
    for entry in services.targets.metadata(None) {
        all.entry(entry.family).or_insert(entry.metadata);
    }
    all
}

/// COMPAT: what is empty is left out.
fn push_metadata(out: &mut JsonOut, metadata: &Metadata) {
    for (name, value) in
        [("type", metadata.kind.as_str()), ("help", &*metadata.help), ("unit", &*metadata.unit)]
    {
        if !value.is_empty() {
            out.member(name, false).html_safe(value);
        }
    }
}
