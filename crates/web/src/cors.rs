//! Which other web pages may call the API.
//!
//! COMPAT: the origin is echoed when all of it matches, also when the pattern is `.*`.

use http::header::{HeaderName, HeaderValue, ORIGIN, VARY};
use http::{HeaderMap, header};
use narthex_model::{Regex, RegexError};

const ALWAYS: [(HeaderName, &str); 3] = [
    (header::ACCESS_CONTROL_ALLOW_HEADERS, "Accept, Authorization, Content-Type, Origin"),
    (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
    (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
];

/// The origins that `--web.cors.origin` allows.
#[derive(Clone, Debug)]
pub struct CorsOrigin {
    pattern: Regex,
}

impl CorsOrigin {
    /// Compiles the pattern, anchored on both sides.
    ///
    /// # Errors
    /// What is wrong with it as a regular expression.
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        Ok(Self { pattern: Regex::new_anchored(pattern)? })
    }

    /// Adds the headers of an answer to `request`.
    pub(crate) fn set(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        answer.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = request.get(ORIGIN).filter(|o| !o.is_empty()) else { return };
        for (name, value) in ALWAYS {
            answer.insert(name, HeaderValue::from_static(value));
        }
        if origin.to_str().is_ok_and(|o| self.pattern.is_match(o)) {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, origin: &str, expected: Option<&str>) {
        let mut request = HeaderMap::new();
        request.insert(ORIGIN, origin.parse().unwrap());
        let mut answer = HeaderMap::new();
        CorsOrigin::new(pattern).unwrap().set(&request, &mut answer);
        let allowed = answer.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).map(|v| v.to_str().unwrap());
        assert_eq!(allowed, expected, "{pattern} {origin}");
        assert_eq!(answer[VARY], "Origin");
    }

    #[test]
    fn an_origin_is_allowed_when_all_of_it_matches() {
        check(".*", "http://a.example", Some("http://a.example"));
        check("https?://a.example", "http://a.example", Some("http://a.example"));
        check("https?://a.example", "http://a.example.org", None);
        check(".*", "", None);
    }
}
