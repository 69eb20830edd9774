//! `/metrics`: the own registry, gathered and written in the format that the client prefers.
//!
//! COMPAT: compression goes by `gzip` anywhere in `Accept-Encoding` unless its quality is 0, other than in the API.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use narthex_exposition::{negotiate, write_families};
use narthex_net::server::Response;

use crate::answer::with_type;
use crate::federate::OFFERS;
use crate::site::Shared;

/// Answers one scrape of ourselves.
pub(crate) fn answer(shared: &Shared, headers: &HeaderMap) -> Response {
    shared.metrics.metrics_in_flight.inc();
    let text_of = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok()).unwrap_or("");
    let output = negotiate(text_of(ACCEPT), &OFFERS);
    let written = write_families(&shared.registry.gather(), output);
    let zipped = accepts_gzip(text_of(ACCEPT_ENCODING));
    let body = if zipped { gzip(&written) } else { Bytes::from(written) };
    let mut response = with_type(StatusCode::OK, "text/plain", body);
    let kind = HeaderValue::from_str(&output.content_type()).expect("content types are header text");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    if zipped {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    shared.metrics.metrics_in_flight.dec();
    shared.metrics.scrapes(200).inc();
    response
}

fn accepts_gzip(header: &str) -> bool {
    header.split(',').any(|clause| {
        let (word, quality) = clause.split_once(';').unwrap_or((clause, ""));
        let refused = quality.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        word.trim() == "gzip" && !refused
    })
}

fn gzip(bytes: &[u8]) -> Bytes {
    const IN_MEMORY: &str = "writing to a vector cannot fail";
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 6), Compression::fast());
    encoder.write_all(bytes).expect(IN_MEMORY);
    Bytes::from(encoder.finish().expect(IN_MEMORY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_unless_refused() {
        for (header, expected) in [
            ("", false),
            ("gzip", true),
            ("br, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("deflate", false),
            ("*", false),
        ] {
            assert_eq!(accepts_gzip(header), expected, "{header}");
        }
    }
}
