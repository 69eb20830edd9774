//! `/api/v1/status/cardinality`, Narthex' own: what makes the series many, and what came and went lately.

use std::time::SystemTime;

use narthex_model::UnixTime;

use super::Call;
use super::labels::parse_selectors;
use crate::answer::{ApiResult, Notes, Outcome};
use crate::api_error::ApiError;
use crate::json::JsonOut;
use crate::param::{parse_go_int, parse_time_or};
use crate::services::{CardinalityCounts, CardinalityOrder, CardinalityQuestion, Services};

/// Most entries of a list.
const MAX_LIMIT: i64 = 10_000;
/// Most labels whose values are listed at once.
const MAX_LABELS: usize = 10;
/// How far back series count as new, seconds.
const DEFAULT_SINCE_S: i64 = 3600;

/// Answers it.
pub(super) fn answer(services: &Services, call: &Call, out: &mut JsonOut) -> ApiResult {
    let question = question(call)?;
    let found = services.tsdb.cardinality(&question);
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    out.raw("{").member("since", true).number(found.since_ms as f64 / 1000.0);
    push_counts(out.member("total", false).raw("{"), &found.total, true);
    out.raw("}").member("sinceStart", false).raw("{");
    out.member("created", true).int(number(found.created_total));
    out.member("removed", false).int(number(found.removed_total)).raw("}");
    out.member("byMetric", false).list(&found.by_metric, push_named);
    out.member("byLabelName", false).list(&found.by_label_name, |out, (name, values, counts)| {
        out.raw("{").member("name", true).html_safe(name);
        out.member("values", false).int(number(*values));
        push_counts(out, counts, false);
        out.raw("}");
    });
    out.member("byLabelValue", false).list(&found.by_value, |out, (label, values)| {
        out.raw("{").member("label", true).html_safe(label);
        out.member("values", false).list(values, push_named);
        out.raw("}");
    });
    out.raw("}");
    let warnings = match found.since_ms > question.since_ms {
        true => vec![
            "memory begins later than since: series are counted as created and ended from the \
                      returned time on"
                .to_owned(),
        ],
        false => Vec::new(),
    };
    Ok(Outcome::Data(Notes { warnings, infos: Vec::new() }))
}

fn question(call: &Call) -> Result<CardinalityQuestion, ApiError> {
    let form = &call.form;
    let selectors = parse_selectors(&form.values("match[]"));
    let selectors = selectors.map_err(|e| ApiError::invalid_parameter("match[]", e))?;
    let limit = match form.value("limit") {
        "" => 10,
        text => parse_go_int(text)
            .ok()
            .filter(|n| (1..=MAX_LIMIT).contains(n))
            .ok_or_else(|| ApiError::invalid_parameter("limit", format!("must be from 1 to {MAX_LIMIT}")))?,
    };
    let now = UnixTime::from_system(SystemTime::now());
    let hour_ago = UnixTime { secs: now.secs - DEFAULT_SINCE_S, ..now };
    let since = parse_time_or("since", form.value("since"), hour_ago);
    let since = since.map_err(|e| ApiError::invalid_parameter("since", e))?;
    let mut labels: Vec<String> = form.values("label").into_iter().map(str::to_owned).collect();
    if labels.is_empty() {
        labels.push("job".to_owned());
    }
    if labels.len() > MAX_LABELS || labels.iter().any(String::is_empty) {
        return Err(ApiError::invalid_parameter("label", format!("must be 1 to {MAX_LABELS} label names")));
    }
    let order = match form.value("sort") {
        "" | "series" => CardinalityOrder::Series,
        "quiet" => CardinalityOrder::Quiet,
        "created" => CardinalityOrder::Created,
        "ended" => CardinalityOrder::Ended,
        _ => return Err(ApiError::invalid_parameter("sort", "must be series, quiet, created or ended")),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(CardinalityQuestion { selectors, since_ms: since.to_ms(), labels, limit, order })
}

fn push_named(out: &mut JsonOut, (name, counts): &(String, CardinalityCounts)) {
    out.raw("{").member("name", true).html_safe(name);
    push_counts(out, counts, false);
    out.raw("}");
}

fn push_counts(out: &mut JsonOut, counts: &CardinalityCounts, is_first: bool) {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    out.member("series", is_first).int(number(counts.series));
    out.member("quiet", false).int(number(counts.quiet));
    out.member("created", false).int(number(counts.created));
    out.member("ended", false).int(number(counts.ended));
}
