//! What a request must look like before anybody looks at what it wants: Go's server refuses the rest before any handler.
//!
//! What hyper itself refuses is answered by it without a text: no HTTP at all and malformed headers with the same status, a URI over
//! 64 KiB and a head over 400 KiB with 414 and 431, where Go takes a head of 1 MiB.
//! Facts: Go's `net/http`, as Prometheus 3.5.3 answers.

use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode, Version};

use super::{Body, Response};

/// The answer to a request that breaks a rule.
pub(super) fn refusal(head: &Parts) -> Option<Response> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if host.is_none() && head.version == Version::HTTP_11 {
        return Some(bad("400 Bad Request: missing required Host header"));
    }
    if second.is_some() || !escapes_are_whole(head.uri.path()) {
        return Some(bad("400 Bad Request"));
    }
    if host.is_some_and(|host| !host.as_bytes().iter().all(|b| is_host_byte(*b))) {
        return Some(bad("400 Bad Request: malformed Host header"));
    }
    if !is_chunked_or_plain(head) {
        // hyper takes the last coding off and hands the rest out as if it were the body.
        return Some(plain_text(closing(
            StatusCode::NOT_IMPLEMENTED,
            "Unsupported transfer encoding".into(),
        )));
    }
    if head.headers.get(header::CONTENT_LENGTH).is_some_and(|length| !fits_i64(length.as_bytes())) {
        return Some(bad("400 Bad Request"));
    }
    let expected = head.headers.get(header::EXPECT)?;
    if expected.as_bytes().is_empty() || expected.as_bytes().eq_ignore_ascii_case(b"100-continue") {
        return None;
    }
    Some(closing(StatusCode::EXPECTATION_FAILED, Body::Empty))
}

/// The answer to what asks about the server as a whole.
pub(super) fn of_the_whole(head: &Parts) -> Option<Response> {
    (head.method == Method::OPTIONS && head.uri == "*").then(|| Response::new(Body::Empty))
}

/// The answer to a client that sends no more, when the real one takes too long; nobody may be there to read it.
pub(super) fn given_up() -> Response {
    let status = StatusCode::from_u16(499).expect("499 is in range");
    plain_text(closing(status, "given up: the client closed its side of the connection".into()))
}

fn bad(text: &'static str) -> Response {
    plain_text(closing(StatusCode::BAD_REQUEST, text.into()))
}

fn plain_text(mut response: Response) -> Response {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// After which nothing more is read from the connection.
fn closing(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Whether a body comes in chunks and is encoded in no other way, or has no transfer encoding at all.
fn is_chunked_or_plain(head: &Parts) -> bool {
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let first = codings.next();
    first.is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none())
}

fn fits_i64(digits: &[u8]) -> bool {
    std::str::from_utf8(digits).is_ok_and(|digits| digits.parse::<i64>().is_ok())
}

/// Whether two hexadecimal digits follow each `%`.
fn escapes_are_whole(path: &str) -> bool {
    let mut parts = path.as_bytes().split(|b| *b == b'%');
    // What stands before the first.
    parts.next();
    parts.all(|part| part.len() >= 2 && part[..2].iter().all(u8::is_ascii_hexdigit))
}

/// The bytes that Go takes in a `Host` header.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!$%&'()*+,-.:;=[]_~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(uri: &str, headers: &[(&str, &str)], expected: &str) {
        let mut request = http::Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let got = refusal(&head).map_or_else(String::new, |answer| {
            let status = answer.status().as_u16();
            format!("{status} {}", String::from_utf8(answer.body().bytes().unwrap()).unwrap())
        });
        assert_eq!(got, expected, "{uri} {headers:?}");
    }

    #[test]
    fn malformed_requests_are_refused_in_the_words_of_go() {
        check("/a%20b", &[("host", "a.example:9090")], "");
        check("/", &[("host", "[::1]:9090"), ("expect", "100-Continue")], "");
        check("/", &[], "400 400 Bad Request: missing required Host header");
        check("/", &[("host", "a"), ("host", "a")], "400 400 Bad Request");
        check("/", &[("host", "a b")], "400 400 Bad Request: malformed Host header");
        check("/", &[("host", "a/b")], "400 400 Bad Request: malformed Host header");
        for path in ["/%", "/%2", "/%zz", "/a%2/b"] {
            check(path, &[("host", "a")], "400 400 Bad Request");
        }
        check("/", &[("host", ""), ("expect", "wonders")], "417 ");
        check("/", &[("host", ""), ("transfer-encoding", "Chunked")], "");
        for codings in [&["gzip, chunked"][..], &["chunked", "chunked"], &["gzip", "chunked"]] {
            let headers: Vec<_> = codings.iter().map(|coding| ("transfer-encoding", *coding)).collect();
            check("/", &[&[("host", "")], &*headers].concat(), "501 Unsupported transfer encoding");
        }
        check("/", &[("host", ""), ("content-length", "9223372036854775807")], "");
        check("/", &[("host", ""), ("content-length", "9223372036854775808")], "400 400 Bad Request");
    }
}
