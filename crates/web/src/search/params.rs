//! The parameters of a search, in the order in which Prometheus checks them and in its words.

use std::collections::BTreeSet;
use std::time::SystemTime;

use narthex_model::{Matcher, UnixTime, quote_go};
use narthex_storage::QueryError;

use super::score::{Method, Sought};
use crate::api::parse_selectors;
use crate::api_error::ApiError;
use crate::form::Form;
use crate::param::{parse_go_bool, parse_go_int, parse_time_or};

/// How far back a search looks when it is not told, seconds.
const HOUR_S: i64 = 3600;
/// Results, and results of a line, when it is not told.
const DEFAULT_LIMIT: usize = 100;
/// Most texts that are looked for.
const MAX_TEXTS: usize = 32;

/// In which order results come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
    /// The best first.
    Score,
}

/// A search.
pub(super) struct Params {
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    selectors: Vec<Vec<Matcher>>,
    pub(super) sought: Sought,
    pub(super) order: Order,
    pub(super) include_score: bool,
    /// Above 0.
    pub(super) limit: usize,
    /// Above 0.
    pub(super) batch_size: usize,
}

impl Params {
    /// Reads the parameters of a search for `what`; `max_limit` is 0 for none.
    pub(super) fn read(form: &Form, what: &str, max_limit: usize) -> Result<Self, ApiError> {
        let now = UnixTime::from_system(SystemTime::now());
        let hour_ago = UnixTime { secs: now.secs - HOUR_S, ..now };
        let time = |name, default| parse_time_or(name, form.value(name), default).map_err(ApiError::bad_data);
        let (start, end) = (time("start", hour_ago)?, time("end", now)?);
        if end < start {
            return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
        }
        let selectors = parse_selectors(&form.values("match[]")).map_err(ApiError::bad_data)?;
        let texts = form.values("search[]");
        if texts.len() > MAX_TEXTS {
            let got = texts.len();
            return Err(ApiError::bad_data(format!(
                "too many search[] terms: got {got}, maximum is {MAX_TEXTS}"
            )));
        }
        let (threshold, method) = (threshold(form)?, method(form)?);
        let case_sensitive = switch(form, "case_sensitive", true)?;
        let include_score = switch(form, "include_score", false)?;
        let order = order(form, what, texts.is_empty());
        // COMPAT: a wrong `sort_by` is told after a wrong limit, what else is wrong with the order before.
        let order = match order {
            Err(Late(error)) => Err(error),
            Err(Early(error)) => return Err(error),
            Ok(order) => Ok(order),
        };
        let limit = limit(form, max_limit)?;
        let batch_size = positive(form, "batch_size")?.unwrap_or(DEFAULT_LIMIT);
        Ok(Self {
            start_ms: start.to_ms(),
            end_ms: end.to_ms(),
            selectors,
            sought: Sought::new(&texts, method, threshold, case_sensitive),
            order: order?,
            include_score,
            limit,
            batch_size,
        })
    }

    /// The sorted union of what `look_up` finds for each selector, or for none.
    pub(super) fn union(
        &self,
        look_up: impl Fn(&[Matcher]) -> Result<Vec<String>, QueryError>,
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
}

/// A parameter that is true or false.
pub(super) fn switch(form: &Form, name: &str, default: bool) -> Result<bool, ApiError> {
    match form.value(name) {
        "" => Ok(default),
        text => parse_go_bool(text)
            .map_err(|_| ApiError::bad_data(format!("invalid {name} {}: must be boolean", quote_go(text)))),
    }
}

fn threshold(form: &Form) -> Result<f64, ApiError> {
    let text = form.value("fuzz_threshold");
    if text.is_empty() {
        return Ok(0.0);
    }
    let number = parse_go_int(text).ok().filter(|n| (0..=100).contains(n));
    let invalid = || ApiError::bad_data(format!("invalid fuzz_threshold {}: must be 0-100", quote_go(text)));
    Ok(number.ok_or_else(invalid)? as f64 / 100.0)
}

fn method(form: &Form) -> Result<Method, ApiError> {
    let text = form.value("fuzz_alg");
    if text.is_empty() {
        return Ok(Method::Subsequence);
    }
    let found = Method::ALL.iter().find(|(name, _)| *name == text);
    found.map(|(_, method)| *method).ok_or_else(|| {
        let known = Method::ALL.map(|(name, _)| name).join(" ");
        let quoted = quote_go(text);
        ApiError::bad_data(format!("unsupported fuzz_alg {quoted}: must be one of [{known}]"))
    })
}

/// What is wrong with the order, and when that is told.
enum OrderError {
    Early(ApiError),
    Late(ApiError),
}
use OrderError::{Early, Late};

fn order(form: &Form, what: &str, seeks_nothing: bool) -> Result<Order, OrderError> {
    let (by, direction) = (form.value("sort_by"), form.value("sort_dir"));
    let early = |text: &str| Err(Early(ApiError::bad_data(text)));
    if !direction.is_empty() && by.is_empty() {
        return early("sort_dir is only valid when sort_by is set");
    }
    if !direction.is_empty() && by == "score" {
        return early("sort_dir is not supported for sort_by=score");
    }
    if !matches!(direction, "" | "asc" | "dsc") {
        let quoted = quote_go(direction);
        return early(&format!("invalid sort_dir {quoted}: must be \"asc\" or \"dsc\""));
    }
    match by {
        "score" if seeks_nothing => early("sort_by=score requires search[] to be set"),
        "score" => Ok(Order::Score),
        "" | "alpha" => Ok(if direction == "dsc" { Order::Descending } else { Order::Ascending }),
        other => {
            let quoted = quote_go(other);
            let text = format!("invalid sort_by {quoted} for {what}: must be \"alpha\" or \"score\"");
            Err(Late(ApiError::bad_data(text)))
        }
    }
}

/// COMPAT: a limit that is not given is no larger than the largest that may be.
fn limit(form: &Form, max: usize) -> Result<usize, ApiError> {
    let max = if max == 0 { usize::MAX } else { max };
    match positive(form, "limit")? {
        None => Ok(DEFAULT_LIMIT.min(max)),
        Some(limit) if limit > max => Err(ApiError::bad_data(format!(
            "limit {limit} exceeds the configured maximum ({max}, see --web.search.max-limit)"
        ))),
        Some(limit) => Ok(limit),
    }
}

fn positive(form: &Form, name: &str) -> Result<Option<usize>, ApiError> {
    let text = form.value(name);
    if text.is_empty() {
        return Ok(None);
    }
    let number = parse_go_int(text).ok().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let invalid =
        || ApiError::bad_data(format!("invalid {name} {}: must be a positive integer", quote_go(text)));
    number.map(Some).ok_or_else(invalid)
}
