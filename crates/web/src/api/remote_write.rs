//! `/api/v1/status/remote_write` and what lies below it, Narthex' own: what each endpoint is at, and its dead letters.
//!
//! Replaying and dropping need `--web.enable-admin-api`, as calling off queries and deleting series do: one makes the server send,
//! the other deletes for good. Looking is free, as queries are.

use std::time::Duration;

use narthex_model::{UnixTime, push_rfc3339_ms};

use super::Call;
use super::labels::parse_selectors;
use crate::answer::{ApiResult, PLAIN};
use crate::api_error::{ApiError, ErrorType};
use crate::json::JsonOut;
use crate::param::parse_go_bool;
use crate::routes::Endpoint;
use crate::services::{
    Letter, LetterReason, LetterSelection, LetterStore, RemoteEndpoint, RemoteGaps, RemoteWriteService,
    Services,
};
use crate::site::Shared;

/// Letters of an answer, unless `limit` says otherwise.
const SHOWN: u64 = 100;
/// The largest `limit` of letters that are shown: they are in memory at once.
const MOST_SHOWN: u64 = 10_000;
/// Letters of a replay, unless `limit` says otherwise.
const REPLAYED: u64 = 10_000;
/// Seconds that a replay takes at most, unless `timeout` says otherwise.
const REPLAY_S: u64 = 30;
/// The largest `timeout`.
const LONGEST_REPLAY_S: u64 = 300;

/// Answers one of them.
pub(super) fn run(
    shared: &Shared,
    services: &Services,
    endpoint: Endpoint,
    call: &Call,
    out: &mut JsonOut,
) -> ApiResult {
    let remote = &*services.remote_write;
    if matches!(endpoint, Endpoint::ReplayLetters | Endpoint::DropLetters) && !shared.options.admin {
        return Err(ApiError::new(ErrorType::Unavailable, "admin APIs disabled"));
    }
    match endpoint {
        Endpoint::ReplayLetters => replay(remote, call, out),
        Endpoint::DropLetters => drop_letters(remote, call, out),
        Endpoint::DeadLetters => {
            out.raw("{").member("stores", true).list(&remote.stores()?, push_store);
            out.raw("}");
            PLAIN
        }
        Endpoint::ShowLetters => show(remote, call, out),
        _ => {
            out.raw("{").member("endpoints", true).list(&remote.endpoints(), push_endpoint);
            out.raw("}");
            PLAIN
        }
    }
}

fn show(remote: &dyn RemoteWriteService, call: &Call, out: &mut JsonOut) -> ApiResult {
    let limit = number(call, "limit")?.unwrap_or(SHOWN).min(MOST_SHOWN);
    let (letters, more) = remote.letters(&selection(call)?, usize::try_from(limit).unwrap_or(usize::MAX))?;
    out.raw("{").member("letters", true).list(&letters, push_letter);
    out.member("more", false).bool(more).raw("}");
    PLAIN
}

fn replay(remote: &dyn RemoteWriteService, call: &Call, out: &mut JsonOut) -> ApiResult {
    let wanted = selection(call)?;
    let limit = number(call, "limit")?.unwrap_or(REPLAYED).max(1);
    let timeout_s = number(call, "timeout")?.unwrap_or(REPLAY_S).clamp(1, LONGEST_REPLAY_S);
    let done = remote.replay(&wanted, limit, Duration::from_secs(timeout_s))?;
    out.raw("{").member("accepted", true).int(count(done.accepted));
    out.member("refused", false).int(count(done.refused)).member("last", false).int(count(done.last));
    out.member("more", false).bool(done.more).member("stopped", false);
    push_text(out, done.stopped.as_deref());
    out.raw("}");
    PLAIN
}

/// All letters go only when that is what the request says.
fn drop_letters(remote: &dyn RemoteWriteService, call: &Call, out: &mut JsonOut) -> ApiResult {
    let wanted = selection(call)?;
    let all = match call.form.value("all") {
        "" => false,
        text => parse_go_bool(text).map_err(|e| ApiError::invalid_parameter("all", e))?,
    };
    let is_bounded = !wanted.ids.is_empty() || !wanted.selectors.is_empty() || wanted.status.is_some();
    if all == is_bounded {
        let reason = "say which letters to drop, by id, match[] or status, or that all of the endpoint are meant, by all=true";
        return Err(ApiError::bad_data(reason));
    }
    out.raw("{").member("dropped", true).int(count(remote.drop_letters(&wanted)?)).raw("}");
    PLAIN
}

fn selection(call: &Call) -> Result<LetterSelection, ApiError> {
    let status =
        match number(call, "status")? {
            None => None,
            Some(status) => Some(u16::try_from(status).map_err(|_| {
                ApiError::invalid_parameter("status", "it must be an HTTP status such as 400")
            })?),
        };
    let ids: Result<_, ApiError> = call.form.values("id").into_iter().map(ids).collect();
    Ok(LetterSelection {
        endpoint: call.form.value("endpoint").to_owned(),
        ids: ids?,
        selectors: parse_selectors(&call.form.values("match[]")).map_err(ApiError::bad_data)?,
        status,
        after: number(call, "after")?.unwrap_or(0),
    })
}

/// `17` or `17-29`.
fn ids(text: &str) -> Result<(u64, u64), ApiError> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let range = low.trim().parse().ok().zip(high.trim().parse().ok()).filter(|(low, high)| low <= high);
    range.ok_or_else(|| {
        ApiError::invalid_parameter(
            "id",
            format_args!("{text:?} is neither a number nor a range such as 17-29"),
        )
    })
}

fn number(call: &Call, name: &str) -> Result<Option<u64>, ApiError> {
    match call.form.value(name) {
        "" => Ok(None),
        text => match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(ApiError::invalid_parameter(name, format_args!("{text:?} is not a whole number"))),
        },
    }
}

fn push_endpoint(out: &mut JsonOut, endpoint: &RemoteEndpoint) {
    let size = |n: usize| count(n as u64);
    out.raw("{").member("name", true).html_safe(&endpoint.name);
    out.member("id", false).html_safe(&endpoint.id);
    out.member("url", false).html_safe(&endpoint.url);
    out.member("protocol", false).html_safe(endpoint.protocol);
    out.member("protocolSent", false).html_safe(endpoint.protocol_sent);
    out.member("lagSeconds", false);
    push_seconds(out, endpoint.lag);
    out.member("lagSamples", false).int(count(endpoint.lag_samples));
    out.member("pendingSamples", false).int(count(endpoint.pending));
    out.member("unreadBytes", false).int(count(endpoint.unread_bytes));
    for (name, (segment, offset)) in [("cursor", endpoint.cursor), ("tip", endpoint.tip)] {
        out.member(name, false).raw("{").member("segment", true).int(segment.into());
        out.member("offset", false).int(count(offset)).raw("}");
    }
    out.member("requestsInFlight", false).int(size(endpoint.in_flight));
    out.member("requestsAllowed", false).int(size(endpoint.allowed));
    out.member("requestsMin", false).int(size(endpoint.bounds.0));
    out.member("requestsMax", false).int(size(endpoint.bounds.1));
    out.member("failingSeconds", false);
    push_seconds(out, endpoint.failing_for);
    out.member("backoffSeconds", false).number(endpoint.backoff.as_secs_f64());
    out.member("lastError", false);
    match &endpoint.last_error {
        None => drop(out.raw("null")),
        Some((text, at)) => {
            out.raw("{").member("time", true).html_safe(&date(UnixTime::from_system(*at)));
            out.member("text", false).html_safe(text).raw("}");
        }
    }
    let (letters, bytes, evicted) = endpoint.letters;
    out.member("deadLetters", false).raw("{").member("count", true).int(count(letters));
    out.member("bytes", false).int(count(bytes)).member("evicted", false).int(count(evicted)).raw("}");
    out.member("catchUp", false);
    match endpoint.catch_up {
        None => drop(out.raw("null")),
        Some((read_to_ms, late_bytes)) => {
            out.raw("{").member("readTo", true).html_safe(&date(UnixTime::from_ms(read_to_ms)));
            out.member("lateBytes", false).int(count(late_bytes)).raw("}");
        }
    }
    out.member("gaps", false);
    push_gaps(out, &endpoint.gaps);
    out.raw("}");
}

fn push_gaps(out: &mut JsonOut, gaps: &RemoteGaps) {
    out.raw("{").member("count", true).int(count(gaps.count));
    out.member("samples", false).int(count(gaps.samples));
    out.member("exemplars", false).int(count(gaps.exemplars)).member("last", false);
    match &gaps.last {
        None => drop(out.raw("null")),
        Some(last) => {
            let shown = |t_ms: Option<i64>| t_ms.map(|t_ms| date(UnixTime::from_ms(t_ms)));
            out.raw("{").member("time", true).html_safe(&date(UnixTime::from_ms(last.time_ms)));
            out.member("from", false);
            push_text(out, shown(last.from_ms).as_deref());
            out.member("to", false);
            push_text(out, shown(last.to_ms).as_deref());
            out.member("cause", false).html_safe(&last.cause).raw("}");
        }
    }
    out.raw("}");
}

fn push_store(out: &mut JsonOut, store: &LetterStore) {
    out.raw("{").member("name", true).html_safe(&store.name);
    out.member("id", false).html_safe(&store.id);
    out.member("url", false).html_safe(&store.url);
    out.member("configured", false).bool(store.is_configured);
    out.member("count", false).int(count(store.letters));
    out.member("bytes", false).int(count(store.bytes));
    out.member("unreadableLines", false).int(count(store.unreadable));
    let number = |end: fn((u64, u64)) -> u64| store.ids.map(end).map(count);
    out.member("firstId", false);
    push_number(out, number(|ids| ids.0));
    out.member("lastId", false);
    push_number(out, number(|ids| ids.1));
    for (from, to, range) in
        [("firstRefused", "lastRefused", store.refused_ms), ("minTime", "maxTime", store.sample_ms)]
    {
        out.member(from, false);
        push_text(out, range.map(|(t_ms, _)| date(UnixTime::from_ms(t_ms))).as_deref());
        out.member(to, false);
        push_text(out, range.map(|(_, t_ms)| date(UnixTime::from_ms(t_ms))).as_deref());
    }
    out.member("reasons", false).list(&store.reasons, push_reason);
    out.raw("}");
}

fn push_reason(out: &mut JsonOut, reason: &LetterReason) {
    out.raw("{").member("status", true).int(reason.status.into());
    out.member("reason", false).html_safe(&reason.reason);
    out.member("count", false).int(count(reason.letters));
    out.member("lastRefused", false).html_safe(&date(UnixTime::from_ms(reason.last_refused_ms))).raw("}");
}

fn push_letter(out: &mut JsonOut, letter: &Letter) {
    out.breathe();
    out.raw("{").member("id", true).int(count(letter.id));
    out.member("refused", false).html_safe(&date(UnixTime::from_ms(letter.refused_ms)));
    out.member("status", false).int(letter.status.into());
    out.member("reason", false).html_safe(&letter.reason);
    out.member("labels", false).labels(&letter.labels);
    out.member("kind", false).html_safe(letter.kind);
    out.member("timestampMs", false);
    push_number(out, letter.t_ms);
    let member = if letter.kind == "sample" { "value" } else { "encoded" };
    out.member(member, false).html_safe(&letter.content).raw("}");
}

fn push_text(out: &mut JsonOut, text: Option<&str>) {
    match text {
        Some(text) => drop(out.html_safe(text)),
        None => drop(out.raw("null")),
    }
}

fn push_number(out: &mut JsonOut, number: Option<i64>) {
    match number {
        Some(number) => drop(out.int(number)),
        None => drop(out.raw("null")),
    }
}

fn push_seconds(out: &mut JsonOut, duration: Option<Duration>) {
    match duration {
        Some(duration) => drop(out.number(duration.as_secs_f64())),
        None => drop(out.raw("null")),
    }
}

fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn date(time: UnixTime) -> String {
    let mut text = String::new();
    push_rfc3339_ms(&mut text, time);
    text
}
