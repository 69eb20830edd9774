//! Which format an answer has: its content type, and what a target's configuration says for answers without a usable one.
//!
//! Facts: Go `mime.ParseMediaType` for the syntax and its error texts; Prometheus' `fallback_scrape_protocol`.

use narthex_model::quote_go;

use crate::Dialect;

/// A format that targets answer in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text, 0.0.4 or 1.0.0.
    Text,
    /// OpenMetrics text, 0.0.1 or 1.0.0.
    OpenMetrics,
    /// The protobuf form.
    Protobuf,
}

impl Format {
    /// The media type without parameters.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain",
            Self::OpenMetrics => "application/openmetrics-text",
            Self::Protobuf => "application/vnd.google.protobuf",
        }
    }

    /// The text dialect of the format; protobuf has none.
    #[must_use]
    pub fn dialect(self) -> Option<Dialect> {
        match self {
            Self::Text => Some(Dialect::Text),
            Self::OpenMetrics => Some(Dialect::OpenMetrics),
            Self::Protobuf => None,
        }
    }

    fn from_media_type(word: &str) -> Option<Self> {
        [Self::Text, Self::OpenMetrics, Self::Protobuf].into_iter().find(|f| f.media_type() == word)
    }
}

/// What is wrong with a content type, in Prometheus' words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ContentTypeError(String);

/// The format of an answer with this `Content-Type` (empty when there is none). When it is not usable, the `fallback` of the
/// target holds, and what was wrong comes along as a warning.
///
/// # Errors
/// When the content type is not usable and there is no fallback.
pub fn choose_format(
    content_type: &str,
    fallback: Option<Format>,
) -> Result<(Format, Option<ContentTypeError>), ContentTypeError> {
    let quoted = quote_go(content_type);
    let setting = fallback.map(|f| format!("fallback_scrape_protocol {}", quote_go(f.media_type())));
    let text = if content_type.is_empty() {
        let problem = "non-compliant scrape target sending blank Content-Type";
        match &setting {
            None => format!("{problem} and no fallback_scrape_protocol specified for target"),
            Some(setting) => format!("{problem}, using {setting}"),
        }
    } else {
        match media_type(content_type) {
            Ok(word) => match (Format::from_media_type(&word), &setting) {
                (Some(format), _) => return Ok((format, None)),
                (None, None) => {
                    format!(
                        "received unsupported Content-Type {quoted} and no fallback_scrape_protocol specified for target"
                    )
                }
                (None, Some(setting)) => {
                    format!("received unsupported Content-Type {quoted}, using {setting}")
                }
            },
            Err(reason) => match &setting {
                None => format!(
                    "cannot parse Content-Type {quoted} and no fallback_scrape_protocol for target\nmime: {reason}"
                ),
                Some(setting) => {
                    format!("could not parse received Content-Type {quoted}, using {setting}\nmime: {reason}")
                }
            },
        }
    };
    match fallback {
        Some(format) => Ok((format, Some(ContentTypeError(text)))),
        None => Err(ContentTypeError(text)),
    }
}

/// The lower-case media type of a header, when the whole header is well formed.
fn media_type(header: &str) -> Result<String, &'static str> {
    let (base, mut rest) = header.find(';').map_or((header, ""), |at| header.split_at(at));
    let base = base.trim().to_lowercase();
    let (kind, after) = token(&base);
    if kind.is_empty() {
        return Err("no media type");
    }
    if !after.is_empty() {
        let after = after.strip_prefix('/').ok_or("expected slash after first token")?;
        let (subtype, after) = token(after);
        if subtype.is_empty() {
            return Err("expected token after slash");
        }
        if !after.is_empty() {
            return Err("unexpected content after media subtype");
        }
    }
    let mut seen: Vec<(String, String)> = Vec::new();
    loop {
        rest = rest.trim_start();
        // A semicolon may stand at the end.
        if rest.is_empty() || rest.trim() == ";" {
            return Ok(base);
        }
        let (key, value, after) = parameter(rest).ok_or("invalid media parameter")?;
        match seen.iter().find(|(k, _)| *k == key) {
            Some((_, v)) if *v != value => return Err("duplicate parameter name"),
            _ => seen.push((key, value)),
        }
        rest = after;
    }
}

/// The characters of a token in HTTP headers, and what follows them.
fn token(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`{|}~".contains(c);
    text.split_at(text.find(|c| !is_token(c)).unwrap_or(text.len()))
}

/// Reads `; key=value` or `; key="value"`.
fn parameter(text: &str) -> Option<(String, String, &str)> {
    let (key, rest) = token(text.strip_prefix(';')?.trim_start());
    let value = rest.trim_start().strip_prefix('=')?.trim_start();
    if key.is_empty() {
        return None;
    }
    let (value, rest) = match value.strip_prefix('"') {
        None => {
            let (word, rest) = token(value);
            if word.is_empty() {
                return None;
            }
            (word.to_owned(), rest)
        }
        Some(body) => quoted(body)?,
    };
    Some((key.to_lowercase(), value, rest))
}

/// The text up to the closing quote, with backslashes before special characters taken away.
fn quoted(body: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &body[at + 1..])),
            '\\' => match chars.clone().next() {
                Some((_, next)) if next.is_ascii() && !next.is_ascii_alphanumeric() => {
                    value.push(next);
                    chars.next();
                }
                _ => value.push('\\'),
            },
            '\r' | '\n' => return None,
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, fallback: Option<Format>, format: Option<Format>, text: &str) {
        let got = match choose_format(header, fallback) {
            Ok((format, None)) => (Some(format), String::new()),
            Ok((format, Some(warning))) => (Some(format), warning.to_string()),
            Err(error) => (None, error.to_string()),
        };
        assert_eq!(got, (format, text.to_owned()), "{header}");
    }

    #[test]
    fn known_media_types_choose_their_format() {
        for (header, format) in [
            ("text/plain", Format::Text),
            ("TEXT/PLAIN; VERSION=0.0.4", Format::Text),
            ("text/plain; version=1.0.0; escaping=allow-utf-8;", Format::Text),
            (" application/openmetrics-text ;version=\"1.0.0\"; charset=utf-8", Format::OpenMetrics),
            ("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily", Format::Protobuf),
        ] {
            check(header, None, Some(format), "");
        }
    }

    #[test]
    fn without_a_fallback_an_unusable_type_is_an_error() {
        check(
            "",
            None,
            None,
            "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified for target",
        );
        check(
            "text/html",
            None,
            None,
            "received unsupported Content-Type \"text/html\" and no fallback_scrape_protocol specified for target",
        );
        for (header, reason) in [
            (";;;", "no media type"),
            ("a/", "expected token after slash"),
            ("a b", "expected slash after first token"),
            ("a/b c", "unexpected content after media subtype"),
            ("text/plain; x", "invalid media parameter"),
            ("text/plain; x=1; x=2", "duplicate parameter name"),
        ] {
            check(
                header,
                None,
                None,
                &format!(
                    "cannot parse Content-Type {header:?} and no fallback_scrape_protocol for target\nmime: {reason}"
                ),
            );
        }
    }

    #[test]
    fn a_fallback_holds_with_a_warning() {
        let om = Some(Format::OpenMetrics);
        let setting = "using fallback_scrape_protocol \"application/openmetrics-text\"";
        check("", om, om, &format!("non-compliant scrape target sending blank Content-Type, {setting}"));
        check("text/html", om, om, &format!("received unsupported Content-Type \"text/html\", {setting}"));
        check(
            "/",
            om,
            om,
            &format!("could not parse received Content-Type \"/\", {setting}\nmime: no media type"),
        );
    }
}
