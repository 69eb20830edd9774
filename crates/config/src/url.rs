//! URLs of a configuration: kept as they were written, checked and shown as Go's `net/url` does.
//!
//! Always true: the text parses under Go's rules. Printing hides a password.
//! Facts: Go's `net/url` documentation and its error texts, which users see.

use std::fmt;

use narthex_model::quote_go;

/// A URL as written in the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    text: String,
    scheme: String,
    /// Where the password stands in `text`.
    password: Option<(usize, usize)>,
    /// Where host and port stand in `text`.
    host: (usize, usize),
    /// Where the path stands in `text`.
    path: (usize, usize),
}

/// Why a text is not a URL, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parse {}: {reason}", quote_go(.text))]
pub struct UrlError {
    text: String,
    reason: String,
}

impl Url {
    /// Parses an absolute URL or a relative reference.
    ///
    /// # Errors
    /// When Go's `url.Parse` refuses it.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        Self::parse_parts(text).map_err(|reason| UrlError { text: text.to_owned(), reason })
    }

    fn parse_parts(text: &str) -> Result<Self, String> {
        if text.bytes().any(|b| b < 0x20 || b == 0x7f) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        let scheme_len = scheme_length(text)?;
        let scheme = text[..scheme_len.saturating_sub(1)].to_ascii_lowercase();
        let end = text.find('#').unwrap_or(text.len());
        check_escapes(&text[end..])?;
        let path_end = text[..end].find('?').unwrap_or(end);
        let rest = &text[scheme_len..path_end];
        let Some(after) = rest.strip_prefix("//") else {
            let first = rest.split('/').next().unwrap_or_default();
            if scheme.is_empty() && first.contains(':') {
                return Err("first path segment in URL cannot contain colon".to_owned());
            }
            check_escapes(rest)?;
            // `mailto:me` has no path.
            let is_opaque = !scheme.is_empty() && !rest.starts_with('/');
            let path = (if is_opaque { path_end } else { scheme_len }, path_end);
            return Ok(Self { text: text.to_owned(), scheme, password: None, host: (0, 0), path });
        };
        let start = scheme_len + 2;
        let authority_len = after.find('/').unwrap_or(after.len());
        check_escapes(&after[authority_len..])?;
        let authority = &after[..authority_len];
        let (user_len, password) = match authority.rfind('@') {
            Some(at) => (at + 1, password_at(&authority[..at])?.map(|p| (start + p, start + at))),
            None => (0, None),
        };
        check_host(&authority[user_len..])?;
        let (host, path) = ((start + user_len, start + authority_len), (start + authority_len, path_end));
        Ok(Self { text: text.to_owned(), scheme, password, host, path })
    }

    /// The URL with its password, for the place that connects.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The scheme in lower case; empty for a relative reference.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Host and port as written; empty when there is none.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.text[self.host.0..self.host.1]
    }

    /// The path as written, with its escapes; empty when there is none.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.text[self.path.0..self.path.1]
    }

    /// What stands before the path and behind it, the password included.
    #[must_use]
    pub fn around_path(&self) -> (&str, &str) {
        (&self.text[..self.path.0], &self.text[self.path.1..])
    }
}

/// The length of `scheme:`; 0 when there is no scheme.
fn scheme_length(text: &str) -> Result<usize, String> {
    for (i, c) in text.bytes().enumerate() {
        match c {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if i > 0 => {}
            b':' if i == 0 => return Err("missing protocol scheme".to_owned()),
            b':' => return Ok(i + 1),
            _ => return Ok(0),
        }
    }
    Ok(0)
}

/// Where the password begins in `user:password`.
fn password_at(userinfo: &str) -> Result<Option<usize>, String> {
    let ok = |b: u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b);
    if !userinfo.bytes().all(ok) {
        return Err("net/url: invalid userinfo".to_owned());
    }
    check_escapes(userinfo)?;
    Ok(userinfo.find(':').map(|at| at + 1))
}

fn check_host(host: &str) -> Result<(), String> {
    let port = if host.starts_with('[') {
        let end = host.rfind(']').ok_or("missing ']' in host")?;
        &host[end + 1..]
    } else {
        host.rfind(':').map_or("", |at| &host[at..])
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    if !(port.is_empty() || port.starts_with(':') && digits.bytes().all(|b| b.is_ascii_digit())) {
        return Err(format!("invalid port {} after host", quote_go(port)));
    }
    if let Some(c) =
        host.chars().find(|c| matches!(c, ' ' | '"' | '<' | '>' | '^' | '`' | '{' | '|' | '}' | '\\'))
    {
        return Err(format!("invalid character {} in host name", quote_go(&c.to_string())));
    }
    check_escapes(host)
}

/// Every `%` is followed by two hexadecimal digits.
fn check_escapes(part: &str) -> Result<(), String> {
    for (at, _) in part.match_indices('%') {
        let digits = part.as_bytes().get(at + 1..at + 3);
        if !digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) {
            let shown: String = part[at..].chars().take(3).collect();
            return Err(format!("invalid URL escape {}", quote_go(&shown)));
        }
    }
    Ok(())
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.password {
            Some((start, end)) => write!(f, "{}xxxxx{}", &self.text[..start], &self.text[end..]),
            None => f.write_str(&self.text),
        }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(&str, &str, &str), &str>) {
        let found = Url::parse(text);
        let found = found.as_ref().map(|u| (u.scheme(), u.host(), u.to_string()));
        let expected = expected.map(|(s, h, t)| (s, h, t.to_owned())).map_err(str::to_owned);
        assert_eq!(found.map_err(ToString::to_string), expected);
    }

    #[test]
    fn urls_parse_as_in_go_and_hide_passwords() {
        check("http://u:p%40@h:80/x?y#z", Ok(("http", "h:80", "http://u:xxxxx@h:80/x?y#z")));
        check("HTTP://h", Ok(("http", "h", "HTTP://h")));
        check("//h/x", Ok(("", "h", "//h/x")));
        check("localhost:9090", Ok(("localhost", "", "localhost:9090")));
        check("/just/path", Ok(("", "", "/just/path")));
        check("", Ok(("", "", "")));
        check("1:2", Err(r#"parse "1:2": first path segment in URL cannot contain colon"#));
        check(":x", Err(r#"parse ":x": missing protocol scheme"#));
        check("http://h:x/", Err(r#"parse "http://h:x/": invalid port ":x" after host"#));
        check("http://a b/", Err(r#"parse "http://a b/": invalid character " " in host name"#));
        check("http://h/%zz", Err(r#"parse "http://h/%zz": invalid URL escape "%zz""#));
        check("http://h\n", Err("parse \"http://h\\n\": net/url: invalid control character in URL"));
    }
}
