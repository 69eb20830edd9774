//! `/api/v1/query` and `/api/v1/query_range`; the road of `/api/v1/query_explain` too.
//!
//! Always true: a query waits for a slot without holding a thread, runs on a blocking thread (on the network thread when it was
//! quick lately), and is called off when the future of its answer is dropped. The result is written as JSON on that thread, straight
//! from the engine's arrays; of a large one only the beginning, the rest while it is sent, without the query's slot.
//! COMPAT: the order of the checks below decides which of several errors a client sees.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use narthex_model::{UnixTime, quote_go};
use narthex_net::server::Response;
use narthex_promql::desk::{LOOK_AGAIN, Request, Ticket, Times, stats_json};
use narthex_promql::engine::{CancelToken, QueryError, QueryOptions, QueryOutput, Severity, Value};

use super::{Aside, Call, explain, make};
use crate::answer::{Notes, REPLAYING, TRUNCATED, envelope, query_tail};
use crate::answer_stream;
use crate::api_error::{ApiError, ErrorType};
use crate::caller::Caller;
use crate::encoding::Encoding;
use crate::form::Form;
use crate::param::{
    is_before, nanos_between, parse_duration_ns, parse_go_bool, parse_limit, parse_time, parse_time_or,
    query_ms,
};
use crate::quick::Question;
use crate::routes::Endpoint;
use crate::site::Shared;

/// Most steps of a range query.
const MAX_STEPS: i64 = 11_000;
/// Most warnings, and most infos, in one answer.
const MAX_NOTES: usize = 10;

/// A query as the parameters give it.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) text: String,
    pub(super) times: Times,
    limit: usize,
    stats: String,
    timeout: Option<Duration>,
    pub(super) lookback_ms: Option<i64>,
    what: What,
}

/// What is wanted of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Result,
    Plan,
    /// The plan with its costs.
    Analysis,
}

impl Query {
    fn request(&self, caller: Caller, cancel: CancelToken) -> Request {
        let options = QueryOptions {
            lookback_ms: self.lookback_ms,
            timeout: self.timeout,
            cancel,
            per_step_stats: self.stats == "all",
            analyze: self.what == What::Analysis,
            ..QueryOptions::default()
        };
        Request {
            text: self.text.clone(),
            times: self.times,
            lane: caller.lane,
            origin: caller.origin,
            options,
        }
    }
}

/// Answers one query.
pub(super) async fn run(
    shared: &Arc<Shared>,
    endpoint: Endpoint,
    question: Option<Question>,
    call: Call,
    cancel: CancelToken,
) -> Response {
    let encoding = call.encoding;
    let now = UnixTime::from_system(SystemTime::now());
    let parsed = match endpoint {
        Endpoint::QueryRange => parse_range(&call.form),
        Endpoint::QueryExplain => parse_explain(&call.form, now),
        _ => parse_instant(&call.form, now),
    };
    let refuse = |error: ApiError| envelope(encoding, |_| Err(error));
    let query = match parsed {
        Ok(query) => query,
        Err(error) => return refuse(error),
    };
    let Some(services) = shared.services() else { return refuse(stopping()) };
    if query.what == What::Plan {
        return envelope(encoding, |out| explain::explain(services, &query, out));
    }
    let mut ticket = services.desk.receive(query.request(call.caller, cancel));
    if let Err(error) = turn(&mut ticket).await {
        return refuse(error.into());
    }
    let site = Arc::clone(shared);
    let work = move || match query.what {
        What::Analysis => envelope(encoding, |out| explain::analyze(&site, &mut ticket, out)),
        What::Result | What::Plan => {
            let answer = evaluate(&site, &query, &mut ticket, encoding);
            answer.unwrap_or_else(|error| envelope(encoding, |_| Err(error)))
        }
    };
    make(shared, question, Aside::Elsewhere, encoding, work).await
}

/// Waits until it is the query's turn.
async fn turn(ticket: &mut Ticket) -> Result<(), QueryError> {
    loop {
        let left = ticket.time_left();
        match tokio::time::timeout(left.min(LOOK_AGAIN), ticket.turn()).await {
            Ok(turned) => return turned,
            Err(_) if left <= LOOK_AGAIN => return Err(ticket.timed_out()),
            Err(_) => {}
        }
    }
}

pub(super) fn stopping() -> ApiError {
    ApiError::new(ErrorType::Unavailable, "the server is stopping")
}

fn evaluate(
    shared: &Shared,
    query: &Query,
    ticket: &mut Ticket,
    encoding: Encoding,
) -> Result<Response, ApiError> {
    let Some(services) = shared.services() else { return Err(stopping()) };
    let replaying = shared.is_replaying();
    let mut result = ticket.run(&*services.storage)?;
    let cut = truncate(&mut result.value, query.limit);
    let mut notes = notes(query, &result, cut);
    if replaying {
        notes.warnings.push(REPLAYING.to_owned());
    }
    let stats = (!query.stats.is_empty()).then(|| stats_json(&result.stats, ticket.queued()));
    let tail = query_tail(stats.as_deref(), &notes);
    Ok(answer_stream::respond(encoding, result.value, tail, result.memory)?)
}

fn notes(query: &Query, result: &QueryOutput, cut: bool) -> Notes {
    let texts = |severity| result.annotations.texts(severity, &query.text, MAX_NOTES);
    let mut notes = Notes { warnings: texts(Severity::Warning), infos: texts(Severity::Info) };
    if cut {
        notes.warnings.push(TRUNCATED.to_owned());
    }
    if !matches!(&*query.stats, "" | "true" | "all") {
        notes.warnings.push(format!(
            "value {} for parameter \"stats\" is deprecated and will be rejected in the next major release, use \"true\" or \"all\"",
            quote_go(&query.stats)
        ));
    }
    notes
}

/// Cuts a list to `limit` series (0 for no limit); whether it was longer.
fn truncate(value: &mut Value, limit: usize) -> bool {
    let cut = |len: usize| limit > 0 && len > limit;
    match value {
        Value::Vector(vector) if cut(vector.samples.len()) => vector.samples.truncate(limit),
        Value::Matrix(matrix) if cut(matrix.series.len()) => matrix.series.truncate(limit),
        Value::Scalar { .. } | Value::String { .. } | Value::Vector(_) | Value::Matrix(_) => return false,
    }
    true
}

fn parse_instant(form: &Form, now: UnixTime) -> Result<Query, ApiError> {
    let limit = limit(form)?;
    let time =
        parse_time_or("time", form.value("time"), now).map_err(|e| ApiError::invalid_parameter("time", e))?;
    finish(form, limit, Times::At(query_ms(time)))
}

fn parse_range(form: &Form) -> Result<Query, ApiError> {
    let limit = limit(form)?;
    let time = |name| parse_time(form.value(name)).map_err(|e| ApiError::invalid_parameter(name, e));
    let (start, end) = (time("start")?, time("end")?);
    if is_before(end, start) {
        return Err(ApiError::invalid_parameter("end", "end timestamp must not be before start time"));
    }
    let step_ns =
        parse_duration_ns(form.value("step")).map_err(|e| ApiError::invalid_parameter("step", e))?;
    if step_ns <= 0 {
        let reason = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(ApiError::invalid_parameter("step", reason));
    }
    if nanos_between(start, end) / step_ns > MAX_STEPS {
        let reason = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";
        return Err(ApiError::bad_data(reason));
    }
    if step_ns < 1_000_000 {
        return Err(ApiError::invalid_parameter("step", "the step must be at least one millisecond"));
    }
    let times = Times::Range { start: query_ms(start), end: query_ms(end), step: step_ns / 1_000_000 };
    finish(form, limit, times)
}

/// A range when it has a start, else an instant.
fn parse_explain(form: &Form, now: UnixTime) -> Result<Query, ApiError> {
    let analyze = match form.value("analyze") {
        "" => false,
        text => parse_go_bool(text).map_err(|e| ApiError::invalid_parameter("analyze", e))?,
    };
    let query = if form.value("start").is_empty() { parse_instant(form, now) } else { parse_range(form) };
    Ok(Query { what: if analyze { What::Analysis } else { What::Plan }, ..query? })
}

fn limit(form: &Form) -> Result<usize, ApiError> {
    parse_limit(form.value("limit")).map_err(|e| ApiError::invalid_parameter("limit", e))
}

/// The parameters that both kinds have at the end.
fn finish(form: &Form, limit: usize, times: Times) -> Result<Query, ApiError> {
    let timeout = match form.value("timeout") {
        "" => None,
        text => {
            let ns = parse_duration_ns(text).map_err(|e| ApiError::invalid_parameter("timeout", e))?;
            Some(Duration::from_nanos(u64::try_from(ns).unwrap_or(0)))
        }
    };
    let lookback_ms = match form.value("lookback_delta") {
        "" => None,
        text => {
            let to_error = |e| ApiError::bad_data(format!("error parsing lookback delta duration: {e}"));
            // COMPAT: zero and less mean the server's default, less than a millisecond that nothing is found.
            Some(parse_duration_ns(text).map_err(to_error)?).filter(|ns| *ns > 0).map(|ns| ns / 1_000_000)
        }
    };
    let (text, stats) = (form.value("query").to_owned(), form.value("stats").to_owned());
    Ok(Query { text, times, limit, stats, timeout, lookback_ms, what: What::Result })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_range(query: &str, expected: &str) {
        let got = parse_range(&Form::parse(query, "")).map_or_else(|e| e.text, |q| format!("{:?}", q.times));
        assert_eq!(got, expected, "{query}");
    }

    #[test]
    fn a_range_is_checked_in_prometheus_order_and_words() {
        check_range("start=0&end=60&step=15", "Range { start: 0, end: 60000, step: 15000 }");
        check_range("", "invalid parameter \"start\": cannot parse \"\" to a valid timestamp");
        check_range("start=x", "invalid parameter \"start\": cannot parse \"x\" to a valid timestamp");
        check_range("start=0", "invalid parameter \"end\": cannot parse \"\" to a valid timestamp");
        check_range(
            "start=2&end=1",
            "invalid parameter \"end\": end timestamp must not be before start time",
        );
        check_range("start=1&end=1", "invalid parameter \"step\": cannot parse \"\" to a valid duration");
        let zero = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        check_range("start=1&end=1&step=0", &format!("invalid parameter \"step\": {zero}"));
        check_range("start=0&end=11000&step=1", "Range { start: 0, end: 11000000, step: 1000 }");
        let many = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";
        check_range("start=0&end=11001&step=1", many);
        check_range(
            "start=0&end=1&step=0.0005",
            "invalid parameter \"step\": the step must be at least one millisecond",
        );
        check_range("limit=-1", "invalid parameter \"limit\": limit must be non-negative");
    }

    #[track_caller]
    fn check_instant(query: &str, expected: &str) {
        let now = UnixTime { secs: 100, nanos: 0 };
        let got = parse_instant(&Form::parse(query, ""), now).map_or_else(
            |e| e.text,
            |q| format!("{:?} {:?} {:?} {}", q.times, q.timeout, q.lookback_ms, q.limit),
        );
        assert_eq!(got, expected, "{query}");
    }

    #[test]
    fn an_instant_query_has_defaults() {
        check_instant("query=up", "At(100000) None None 0");
        check_instant("time=1.5&timeout=2s&lookback_delta=1m&limit=3", "At(1500) Some(2s) Some(60000) 3");
        check_instant(
            "timeout=-1s",
            "invalid parameter \"timeout\": cannot parse \"-1s\" to a valid duration",
        );
        check_instant("timeout=-1&lookback_delta=-5", "At(100000) Some(0ns) None 0");
        check_instant("lookback_delta=0.0009", "At(100000) None Some(0) 0");
        check_instant(
            "lookback_delta=x",
            "error parsing lookback delta duration: cannot parse \"x\" to a valid duration",
        );
        let time = "invalid parameter \"time\": invalid time value for 'time': cannot parse \"x\" to a valid timestamp";
        check_instant("time=x", time);
    }
}
