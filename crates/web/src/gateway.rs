//! `/api/v2/admin/tsdb/*`: the older way to the admin API, by JSON bodies, which servers of 2019 had and some scripts still use.
//!
//! Facts: Prometheus 2's `rpc.proto` and its gateway: fields have two spellings, an empty body is an empty message, errors are
//! `{"error":…,"code":…}` with the number of the gRPC status. 3.14 does not have it; off unless `--web.enable-admin-api`.

use std::sync::Arc;

use http::StatusCode;
use narthex_model::{MatchOp, Matcher, UnixTime, parse_rfc3339, quote_go};
use narthex_net::server::{Body, Request, Response};
use serde_json::{Map, Value};

use crate::answer::json_response;
use crate::encoding::Encoding;
use crate::json::JsonOut;
use crate::param::{MAX_TIME, MIN_TIME};
use crate::routes::Endpoint;
use crate::services::TsdbService;
use crate::site::Shared;

/// Largest body, bytes.
const MAX_BODY: usize = 4 << 20;

/// The types of matchers, by their numbers.
const OPS: [(&str, MatchOp); 4] =
    [("EQ", MatchOp::Equal), ("NEQ", MatchOp::NotEqual), ("RE", MatchOp::Regex), ("NRE", MatchOp::NotRegex)];

/// What went wrong, by its gRPC status.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    InvalidArgument(String),
    Internal(String),
    Unavailable(String),
}

impl Failure {
    /// gRPC's number, the HTTP status, the reason.
    fn parts(&self) -> (i64, StatusCode, &str) {
        match self {
            Self::InvalidArgument(reason) => (3, StatusCode::BAD_REQUEST, reason),
            Self::Internal(reason) => (13, StatusCode::INTERNAL_SERVER_ERROR, reason),
            Self::Unavailable(reason) => (14, StatusCode::SERVICE_UNAVAILABLE, reason),
        }
    }
}

/// Answers one request.
pub(crate) async fn answer(shared: &Arc<Shared>, endpoint: Endpoint, request: Request) -> Response {
    if let Some(unavailable) = shared.unless_ready() {
        return unavailable;
    }
    let headers = request.head.headers;
    let answered = match (shared.options.admin, request.body.read(MAX_BODY).await) {
        (false, _) => Err(Failure::Unavailable("Admin APIs are disabled".to_owned())),
        (true, Err(error)) => Err(Failure::InvalidArgument(error.to_string())),
        (true, Ok(body)) => {
            let site = Arc::clone(shared);
            let work = move || run(&site, endpoint, &body);
            let broke =
                |_| Err(Failure::Internal("unexpected error while answering, see the log".to_owned()));
            tokio::task::spawn_blocking(work).await.unwrap_or_else(broke)
        }
    };
    let (status, body) = match answered {
        Ok(body) => (StatusCode::OK, body),
        Err(failure) => {
            let (code, status, reason) = failure.parts();
            let mut out = JsonOut::new(Encoding::Identity);
            out.raw("{").member("error", true).html_safe(reason).member("code", false).int(code).raw("}");
            (status, std::mem::take(out.buffer()))
        }
    };
    let mut response = json_response(status, Encoding::Identity, Body::from(body));
    shared.options.cors.set(&headers, response.headers_mut());
    response
}

fn run(shared: &Shared, endpoint: Endpoint, body: &[u8]) -> Result<String, Failure> {
    let Some(services) = shared.services() else {
        return Err(Failure::Unavailable("the server is stopping".to_owned()));
    };
    let tsdb = &*services.tsdb;
    let message = parse(body)?;
    match endpoint {
        Endpoint::GatewaySnapshot => snapshot(tsdb, &message),
        Endpoint::GatewayCleanTombstones => {
            only(&message, &[])?;
            tsdb.clean_tombstones().map_err(Failure::Internal)?;
            Ok("{}".to_owned())
        }
        _ => delete_series(tsdb, &message),
    }
}

fn invalid(reason: impl Into<String>) -> Failure {
    Failure::InvalidArgument(reason.into())
}

/// A message; none is an empty one.
fn parse(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(message)) => Ok(message),
        Ok(_) => Err(invalid("the body must be a JSON object")),
        Err(error) => Err(invalid(error.to_string())),
    }
}

/// Refuses fields that a message does not have.
fn only(message: &Map<String, Value>, known: &[&str]) -> Result<(), Failure> {
    match message.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(invalid(format!("unknown field {}", quote_go(key)))),
        None => Ok(()),
    }
}

fn snapshot(tsdb: &dyn TsdbService, message: &Map<String, Value>) -> Result<String, Failure> {
    only(message, &["skip_head", "skipHead"])?;
    let skip_head = match message.get("skip_head").or_else(|| message.get("skipHead")) {
        None | Some(Value::Null) => false,
        Some(Value::Bool(skip)) => *skip,
        Some(_) => return Err(invalid("skip_head must be true or false")),
    };
    let name = tsdb.snapshot(skip_head).map_err(Failure::Internal)?;
    let mut out = JsonOut::new(Encoding::Identity);
    out.raw("{").member("name", true).html_safe(&name).raw("}");
    Ok(std::mem::take(out.buffer()))
}

fn delete_series(tsdb: &dyn TsdbService, message: &Map<String, Value>) -> Result<String, Failure> {
    only(message, &["min_time", "minTime", "max_time", "maxTime", "matchers"])?;
    let time =
        |names: [&str; 2], default: UnixTime| match message.get(names[0]).or_else(|| message.get(names[1])) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => value
                .as_str()
                .and_then(parse_rfc3339)
                .ok_or_else(|| invalid(format!("{} must be a time by RFC 3339", names[0]))),
        };
    let (start, end) = (time(["min_time", "minTime"], MIN_TIME)?, time(["max_time", "maxTime"], MAX_TIME)?);
    if end < start {
        return Err(invalid("min time must be before max time"));
    }
    let matchers = match message.get("matchers") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(all)) => all.iter().map(matcher).collect::<Result<_, _>>()?,
        Some(_) => return Err(invalid("matchers must be a list")),
    };
    // Without any matcher nothing is meant, least of all everything.
    if !matchers.is_empty() {
        tsdb.delete_series(start.to_ms(), end.to_ms(), &matchers).map_err(Failure::Internal)?;
    }
    Ok("{}".to_owned())
}

fn matcher(value: &Value) -> Result<Matcher, Failure> {
    let Value::Object(fields) = value else { return Err(invalid("a matcher must be an object")) };
    only(fields, &["type", "name", "value"])?;
    let text = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => Ok(""),
        Some(value) => value.as_str().ok_or_else(|| invalid(format!("{name} of a matcher must be a text"))),
    };
    let op = match fields.get("type") {
        None | Some(Value::Null) => Some(MatchOp::Equal),
        Some(Value::String(word)) => OPS.iter().find(|(known, _)| known == word).map(|(_, op)| *op),
        Some(number) => {
            let at = number.as_u64().and_then(|n| usize::try_from(n).ok());
            at.and_then(|at| OPS.get(at)).map(|(_, op)| *op)
        }
    };
    let op = op.ok_or_else(|| invalid("unknown matcher type"))?;
    Matcher::new(op, text("name")?, text("value")?).map_err(|e| invalid(format!("bad regexp matcher: {e}")))
}
