//! Answers in the forms that clients know: the API's envelope, plain text as Go's `http.Error` writes it, redirects.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use narthex_net::server::{Body, Response};

use crate::api_error::ApiError;
use crate::encoding::Encoding;
use crate::json::JsonOut;

/// What a handler has to say beside its data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// The result may be incomplete or useless.
    pub(crate) warnings: Vec<String>,
    /// The result is right but perhaps not what was meant.
    pub(crate) infos: Vec<String>,
}

/// How a handler that met no error ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It wrote its data.
    Data(Notes),
    /// It has nothing to say: status 204.
    NoContent,
}

impl Outcome {
    /// With one warning more.
    #[must_use]
    pub(crate) fn with_warning(mut self, text: &str) -> Self {
        if let Self::Data(notes) = &mut self {
            notes.warnings.push(text.to_owned());
        }
        self
    }
}

/// The end of an API handler.
pub(crate) type ApiResult = Result<Outcome, ApiError>;

/// Data without notes.
pub(crate) const PLAIN: ApiResult = Ok(Outcome::Data(Notes { warnings: Vec::new(), infos: Vec::new() }));

/// The text of the warning that a list was cut.
pub(crate) const TRUNCATED: &str = "results truncated due to limit";

/// The warning of answers before the storage is ready.
pub(crate) const REPLAYING: &str =
    "the write-ahead log is being replayed: this answer holds only what is in blocks, recent data is missing";

/// Data with a warning when a list was cut.
pub(crate) fn truncated_if(cut: bool) -> ApiResult {
    let warnings = if cut { vec![TRUNCATED.to_owned()] } else { Vec::new() };
    Ok(Outcome::Data(Notes { warnings, infos: Vec::new() }))
}

/// Runs a handler and puts what it wrote into the envelope.
pub(crate) fn envelope(encoding: Encoding, run: impl FnOnce(&mut JsonOut) -> ApiResult) -> Response {
    let mut out = JsonOut::new(encoding);
    out.raw("{\"status\":\"success\",\"data\":");
    let status = match run(&mut out) {
        Ok(Outcome::Data(notes)) => {
            push_notes(&mut out, "warnings", &notes.warnings);
            push_notes(&mut out, "infos", &notes.infos);
            out.raw("}");
            StatusCode::OK
        }
        Ok(Outcome::NoContent) => return no_content(),
        Err(error) => {
            out = JsonOut::new(encoding);
            out.raw("{\"status\":\"error\",\"errorType\":\"").raw(error.kind.as_str());
            out.raw("\",\"error\":").html_safe(&error.text).raw("}");
            error.status()
        }
    };
    json_response(status, encoding, Body::Pieces(out.finish()))
}

/// JSON that was encoded so.
pub(crate) fn json_response(status: StatusCode, encoding: Encoding, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    set_encoding(headers, encoding);
    response
}

/// What follows the data of a query: the closing braces, with the statistics (JSON) and the notes between them.
pub(crate) fn query_tail(stats: Option<&str>, notes: &Notes) -> String {
    let mut out = JsonOut::new(Encoding::Identity);
    if let Some(stats) = stats {
        out.member("stats", false).raw(stats);
    }
    out.raw("}");
    push_notes(&mut out, "warnings", &notes.warnings);
    push_notes(&mut out, "infos", &notes.infos);
    out.raw("}");
    std::mem::take(out.buffer())
}

fn push_notes(out: &mut JsonOut, name: &str, notes: &[String]) {
    if !notes.is_empty() {
        out.member(name, false).strings(notes);
    }
}

/// Status 204.
pub(crate) fn no_content() -> Response {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// Says that the answer depends on `Accept-Encoding`, and how it is encoded.
pub(crate) fn set_encoding(headers: &mut HeaderMap, encoding: Encoding) {
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(word) = encoding.header() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(word));
    }
}

/// Plain text.
pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Response {
    with_type(status, "text/plain; charset=utf-8", Bytes::from(text.into()))
}

/// Plain text with a line end and the header that keeps browsers from guessing, as Go's `http.Error`.
pub(crate) fn error_text(status: StatusCode, reason: &str) -> Response {
    let mut response = text(status, format!("{reason}\n"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Bytes of a type.
pub(crate) fn with_type(status: StatusCode, kind: &'static str, bytes: Bytes) -> Response {
    let mut response = Response::new(bytes.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// A redirect. COMPAT: it has a small page, and a type, where Go adds them.
pub(crate) fn redirect(status: StatusCode, method: &Method, to: &str) -> Response {
    let escaped = to.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;");
    let reason = status.canonical_reason().unwrap_or("");
    let page = Bytes::from(format!("<a href=\"{escaped}\">{reason}</a>.\n\n"));
    let mut response = with_type(status, "text/html; charset=utf-8", page);
    if *method != Method::GET {
        *response.body_mut() = Body::Empty;
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    match HeaderValue::from_str(&ascii(to)) {
        Ok(value) => drop(response.headers_mut().insert(header::LOCATION, value)),
        Err(_) => return error_text(StatusCode::BAD_REQUEST, "the path cannot stand in a Location header"),
    }
    response
}

/// With the bytes of other letters escaped.
fn ascii(to: &str) -> String {
    let mut out = String::with_capacity(to.len());
    for byte in to.bytes() {
        if byte.is_ascii() {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02x}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(run: impl FnOnce(&mut JsonOut) -> ApiResult, status: u16, body: &str) {
        let response = envelope(Encoding::Identity, run);
        let got = String::from_utf8(response.body().bytes().unwrap()).unwrap();
        assert_eq!((response.status().as_u16(), &*got), (status, body));
    }

    #[test]
    fn the_envelope_has_prometheus_shape() {
        let data = |out: &mut JsonOut| {
            out.raw("[]");
            truncated_if(true)
        };
        check(data, 200, r#"{"status":"success","data":[],"warnings":["results truncated due to limit"]}"#);
        let late_error = |out: &mut JsonOut| {
            out.raw("[1,2");
            Err(ApiError::bad_data("<no>"))
        };
        check(
            late_error,
            400,
            "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"\\u003cno\\u003e\"}",
        );
        check(|_| Ok(Outcome::NoContent), 204, "");
    }
}
