//! `--web.external-url`: under which users reach the server.
//!
//! Always true: the path begins with a slash and does not end with one, or is empty.
//! Facts: Prometheus' flag, which Go's `net/url` reads: relative references are fine, escapes in the path are undone.

use narthex_config::{Url, UrlError};

/// Why a text is no external URL, in the words of Prometheus.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadExternalUrl {
    /// A shell's quotes were taken for part of it.
    #[error("URL must not begin or end with quotes")]
    Quotes,
    /// It is no URL.
    #[error(transparent)]
    Url(#[from] UrlError),
}

/// The parts of an external URL.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ExternalUrl {
    /// In lower case, empty for a relative reference.
    pub(crate) scheme: String,
    /// With the port.
    pub(crate) host: String,
    /// Without escapes.
    pub(crate) path: String,
    /// All of it, for links.
    pub(crate) text: String,
}

impl ExternalUrl {
    /// Reads the flag; without it, the machine's name and the port that is served.
    pub(crate) fn parse(given: &str, hostname: &str, own_port: u16) -> Result<Self, BadExternalUrl> {
        let own = format!("http://{hostname}:{own_port}/");
        let given = if given.is_empty() { &own } else { given };
        if given.starts_with(['"', '\'']) || given.ends_with(['"', '\'']) {
            return Err(BadExternalUrl::Quotes);
        }
        let url = Url::parse(given)?;
        let (before, behind) = url.around_path();
        let escaped = rooted(url.path());
        let path = rooted(&unescaped(url.path()));
        let text = format!("{before}{}{behind}", escape(&escaped));
        Ok(Self { scheme: url.scheme().to_owned(), host: url.host().to_owned(), path, text })
    }
}

/// With a slash at the beginning and none at the end; empty for the root.
fn rooted(path: &str) -> String {
    let path = path.trim_end_matches('/');
    if path.is_empty() || path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// Undoes escapes, which were checked. What is no text afterwards stays escaped.
fn unescaped(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = |at: usize| tail.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high << 4 | low) as u8);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| path.to_owned())
}

/// Escapes what cannot stand in a URL as it is.
fn escape(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/[]%".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &str, expected: (&str, &str, &str), text: &str) {
        let url = ExternalUrl::parse(given, "me", 9090).unwrap();
        assert_eq!((&*url.scheme, &*url.host, &*url.path), expected, "{given}");
        assert_eq!(url.text, text, "{given}");
    }

    #[test]
    fn the_path_has_no_slash_at_its_end() {
        check("", ("http", "me:9090", ""), "http://me:9090");
        check("https://a.example", ("https", "a.example", ""), "https://a.example");
        check("https://a:8443/prom/", ("https", "a:8443", "/prom"), "https://a:8443/prom");
        check("/prom/x", ("", "", "/prom/x"), "/prom/x");
        check("prom", ("", "", "/prom"), "/prom");
        check("//a/b", ("", "a", "/b"), "//a/b");
        check("localhost:9090/x", ("localhost", "", ""), "localhost:9090/x");
        check("http://[::1]:9090/x", ("http", "[::1]:9090", "/x"), "http://[::1]:9090/x");
        check("http://u:p@h/x/?q=1#f", ("http", "h", "/x"), "http://u:p@h/x?q=1#f");
        check("http://h/a%2Fb é", ("http", "h", "/a/b é"), "http://h/a%2Fb%20%C3%A9");
        check("HTTP://h/%ff", ("http", "h", "/%ff"), "HTTP://h/%ff");
    }

    #[test]
    fn what_is_no_url_is_refused_in_the_words_of_prometheus() {
        for (given, expected) in [
            ("\"http://a\"", "URL must not begin or end with quotes"),
            ("http://a/'", "URL must not begin or end with quotes"),
            ("http://[::1", "parse \"http://[::1\": missing ']' in host"),
            ("http://a b/", "parse \"http://a b/\": invalid character \" \" in host name"),
            ("http://a:port/", "parse \"http://a:port/\": invalid port \":port\" after host"),
            ("http://a/%zz", "parse \"http://a/%zz\": invalid URL escape \"%zz\""),
            (":x", "parse \":x\": missing protocol scheme"),
            ("1http://x", "parse \"1http://x\": first path segment in URL cannot contain colon"),
        ] {
            assert_eq!(ExternalUrl::parse(given, "me", 1).unwrap_err().to_string(), expected);
        }
    }
}
