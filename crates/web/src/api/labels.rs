//! Label names, label values and series: what exists, without samples.

use std::collections::BTreeSet;

use narthex_model::{EscapingScheme, Matcher, quote_go_bytes, unescape_name};
use narthex_promql::parser::parse_metric_selector;
use narthex_storage::{LabelSets, ListedLabelSets, Querier, SelectHints};

use super::Call;
use crate::answer::{ApiResult, truncated_if};
use crate::api_error::ApiError;
use crate::encoding::Encoding;
use crate::form::Form;
use crate::json::JsonOut;
use crate::param::{MAX_TIME, MIN_TIME, parse_limit, parse_time_or};
use crate::services::Services;

/// What all three take.
struct Selection {
    limit: usize,
    start_ms: i64,
    end_ms: i64,
    selectors: Vec<Vec<Matcher>>,
}

impl Selection {
    /// Reads the parameters; `wrap` makes an error of a selector.
    fn read(form: &Form, wrap: fn(String) -> ApiError) -> Result<Self, ApiError> {
        let limit = parse_limit(form.value("limit")).map_err(|e| ApiError::invalid_parameter("limit", e))?;
        let time = |name, default| {
            parse_time_or(name, form.value(name), default).map_err(|e| ApiError::invalid_parameter(name, e))
        };
        let (start, end) = (time("start", MIN_TIME)?, time("end", MAX_TIME)?);
        let selectors = parse_selectors(&form.values("match[]")).map_err(wrap)?;
        Ok(Self { limit, start_ms: start.to_ms(), end_ms: end.to_ms(), selectors })
    }

    fn querier(&self, services: &Services) -> Result<Box<dyn Querier>, ApiError> {
        Ok(services.storage.querier(self.start_ms, self.end_ms)?)
    }

    /// One more than the limit, so that a cut can be noticed.
    fn hint(&self) -> usize {
        if self.limit == 0 { 0 } else { self.limit.saturating_add(1) }
    }

    /// The sorted union of what `look_up` finds for each selector, or for none.
    fn union(
        &self,
        look_up: impl Fn(&[Matcher]) -> Result<Vec<String>, narthex_storage::QueryError>,
    ) -> Result<Vec<String>, ApiError> {
        match &*self.selectors {
            [] => Ok(look_up(&[])?),
            [one] => Ok(look_up(one)?),
            many => {
                let mut all = BTreeSet::new();
                for selector in many {
                    all.extend(look_up(selector)?);
                }
                Ok(all.into_iter().collect())
            }
        }
    }

    /// Writes a list of strings, cut to the limit.
    fn write(&self, mut found: Vec<String>, told: Vec<String>, out: &mut JsonOut) -> ApiResult {
        let cut = self.limit > 0 && found.len() > self.limit;
        if cut {
            found.truncate(self.limit);
        }
        out.strings(&found);
        with_warnings(truncated_if(cut), told)
    }
}

/// Adds what the storage told, each text once.
fn with_warnings(result: ApiResult, mut told: Vec<String>) -> ApiResult {
    told.sort_unstable();
    told.dedup();
    result.map(|outcome| told.iter().fold(outcome, |outcome, text| outcome.with_warning(text)))
}

/// Reads the selectors of `match[]`; each must say something about at least one label.
pub(crate) fn parse_selectors(texts: &[&str]) -> Result<Vec<Vec<Matcher>>, String> {
    let selectors = texts.iter().map(|text| parse_metric_selector(text).map_err(|e| e.to_string()));
    let selectors = selectors.collect::<Result<Vec<_>, _>>()?;
    if selectors.iter().any(|matchers| matchers.iter().all(Matcher::matches_empty)) {
        return Err("match[] must contain at least one non-empty matcher".to_owned());
    }
    Ok(selectors)
}

/// `/api/v1/labels`
pub(super) fn names(services: &Services, call: &Call, out: &mut JsonOut) -> ApiResult {
    let selection = Selection::read(&call.form, ApiError::bad_data)?;
    let querier = selection.querier(services)?;
    let found = selection.union(|matchers| querier.label_names(matchers, selection.hint()))?;
    selection.write(found, querier.warnings(), out)
}

/// `/api/v1/label/:name/values`
pub(super) fn values(services: &Services, call: &Call, out: &mut JsonOut) -> ApiResult {
    let name = label_name(&call.name)?;
    let selection = Selection::read(&call.form, ApiError::bad_data)?;
    let querier = selection.querier(services)?;
    let found = selection.union(|matchers| querier.label_values(&name, matchers, selection.hint()))?;
    selection.write(found, querier.warnings(), out)
}

/// The label that the path names; `U__` marks an escaped one.
fn label_name(bytes: &[u8]) -> Result<String, ApiError> {
    let Ok(name) = std::str::from_utf8(bytes) else {
        return Err(ApiError::bad_data(format!("invalid label name: {}", quote_go_bytes(bytes))));
    };
    let name = match name.strip_prefix("U__") {
        Some(_) => unescape_name(name, EscapingScheme::Values),
        None => name.to_owned(),
    };
    if name.is_empty() { Err(ApiError::bad_data("invalid label name: \"\"")) } else { Ok(name) }
}

/// `/api/v1/series`
pub(super) fn series(services: &Services, call: &Call, out: &mut JsonOut) -> ApiResult {
    call.form.check().map_err(ApiError::bad_data)?;
    if call.form.values("match[]").is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let selection = Selection::read(&call.form, |e| ApiError::invalid_parameter("match[]", e))?;
    let querier = selection.querier(services)?;
    // COMPAT: with one selector, series of the head come in order of creation (`series/get/00` of the tester of the API).
    let any_order = selection.selectors.len() == 1;
    let hints = SelectHints {
        start_ms: selection.start_ms,
        end_ms: selection.end_ms,
        function: "series",
        limit: selection.hint(),
        any_order,
        ..SelectHints::default()
    };
    let mut found = if any_order { LabelSets::as_added() } else { LabelSets::default() };
    for matchers in &selection.selectors {
        querier.label_sets(&hints, matchers, &mut found)?;
    }
    let told = found.warnings().to_vec();
    let mut found = found.listed();
    let cut = selection.limit > 0 && found.len() > selection.limit;
    if cut {
        found.truncate(selection.limit);
    }
    push_label_sets(out, &found);
    with_warnings(truncated_if(cut), told)
}

/// Writes a list of objects. PERF: each text is escaped once.
fn push_label_sets(out: &mut JsonOut, sets: &ListedLabelSets) {
    let (mut json, mut ends) = (JsonOut::new(Encoding::Identity), vec![0]);
    for text in sets.texts() {
        json.text(text);
        ends.push(json.buffer().len());
    }
    let json = &*json.buffer();
    let text = |at: u32| &json[ends[at as usize]..ends[at as usize + 1]];
    out.list(sets.sets(), |out, labels| {
        let mut before = "{";
        for [name, value] in labels {
            out.raw(before).raw(text(*name)).raw(":").raw(text(*value));
            before = ",";
        }
        out.raw(if labels.is_empty() { "{}" } else { "}" });
    });
}
