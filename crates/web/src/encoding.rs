//! Which compression an answer gets.
//!
//! COMPAT: Prometheus takes the first of `gzip` and `deflate` in `Accept-Encoding`, word for word: a quality value
//! (`gzip;q=0.5`) makes the word unknown, and the order of the header counts.

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// A compression of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// None.
    Identity,
    /// `gzip`
    Gzip,
    /// `deflate`, which is the zlib format.
    Deflate,
}

impl Encoding {
    /// What the client accepts.
    pub(crate) fn accepted(headers: &HeaderMap) -> Self {
        let text = headers.get(ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or("");
        text.split(',')
            .find_map(|word| match word.trim() {
                "gzip" => Some(Self::Gzip),
                "deflate" => Some(Self::Deflate),
                _ => None,
            })
            .unwrap_or(Self::Identity)
    }

    /// The value of `Content-Encoding`, `None` for none.
    pub(crate) fn header(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Deflate => Some("deflate"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_word_wins() {
        for (text, expected) in [
            ("", Encoding::Identity),
            ("gzip", Encoding::Gzip),
            ("br, deflate, gzip", Encoding::Deflate),
            ("gzip;q=0", Encoding::Identity),
            ("*", Encoding::Identity),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, text.parse().unwrap());
            assert_eq!(Encoding::accepted(&headers), expected, "{text}");
        }
    }
}
