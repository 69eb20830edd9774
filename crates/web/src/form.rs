//! Parameters from the URL and from a posted form, as Go's `net/http` reads them.
//!
//! Always true: a posted form's values come before those of the URL, those of a form in parts behind them. A pair whose escapes are malformed or that holds a `;` is
//! left out, the others count. Bytes that are not UTF-8 become U+FFFD.

mod media_type;
mod multipart;
mod read;

use std::ops::Range;

use narthex_model::quote_go_bytes;

pub(crate) use self::read::{Bodies, read};

/// The parameters of one request.
#[derive(Clone, Debug, Default)]
pub struct Form {
    /// Name and value in order: those of a form, of the URL, of a form in parts.
    pairs: Vec<(String, String)>,
    /// Where the pairs of the URL are.
    of_url: Range<usize>,
    /// What is wrong with a pair that was left out, in Go's words.
    error: Option<String>,
}

impl Form {
    /// Parses a URL's query (without `?`) and the body of a posted form (empty for none).
    #[must_use]
    pub fn parse(query: &str, body: &str) -> Self {
        let (mut pairs, of_body) = parse_pairs(body);
        let begin = pairs.len();
        let (in_url, error) = parse_pairs(query);
        pairs.extend(in_url);
        let of_url = begin..pairs.len();
        Self { pairs, of_url, error: of_body.or(error) }
    }

    /// With what is wrong with the type of the body; it is told before what is wrong with pairs.
    fn with_fault(mut self, fault: Option<&'static str>) -> Self {
        self.error = fault.map(str::to_owned).or(self.error);
        self
    }

    /// With the values of a form in parts.
    fn with_parts(mut self, parts: Vec<(String, String)>) -> Self {
        self.pairs.extend(parts);
        self
    }

    /// Refuses malformed parameters. COMPAT: few handlers do; the others go on without them.
    ///
    /// # Errors
    /// What is wrong, in Prometheus' words.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.error.as_ref().map_or(Ok(()), |error| Err(format!("error parsing form values: {error}")))
    }

    /// The first value of a parameter, `""` when absent.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.pairs.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// All values of a parameter.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.pairs.iter().filter(|(n, _)| n == name).map(|(_, v)| &**v).collect()
    }

    /// All names and values; those of the body first.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The first value of a parameter in the URL only, `""` when absent there.
    #[must_use]
    pub fn url_value(&self, name: &str) -> &str {
        self.pairs[self.of_url.clone()].iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }
}

/// The pairs, and what is wrong with those that were left out: the first bad escape or, before that, a semicolon.
fn parse_pairs(text: &str) -> (Vec<(String, String)>, Option<String>) {
    let (mut pairs, mut error) = (Vec::new(), None);
    for part in text.split('&').filter(|part| !part.is_empty()) {
        if part.contains(';') {
            error = Some("invalid semicolon separator in query".to_owned());
            continue;
        }
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match unescape(name).and_then(|name| Ok((name, unescape(value)?))) {
            Ok(pair) => pairs.push(pair),
            Err(escape) => {
                error.get_or_insert_with(|| format!("invalid URL escape {}", quote_go_bytes(&escape)));
            }
        }
    }
    (pairs, error)
}

/// Undoes `%xx` and `+`.
///
/// # Errors
/// The malformed escape, at most 3 bytes.
fn unescape(text: &str) -> Result<String, Vec<u8>> {
    let spaced = text.replace('+', " ");
    let bytes = unescape_path(&spaced).ok_or_else(|| bad_escape(spaced.as_bytes()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn bad_escape(text: &[u8]) -> Vec<u8> {
    let is_good = |rest: &[u8]| rest.get(1..3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    let from = (0..text.len()).find(|at| text[*at] == b'%' && !is_good(&text[*at..])).unwrap_or(0);
    text[from..text.len().min(from + 3)].to_vec()
}

/// Undoes `%xx` only, as in paths; `None` when an escape is malformed.
#[must_use]
pub(crate) fn unescape_path(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'%' {
            out.push(*first);
            rest = tail;
            continue;
        }
        let hex = |b: u8| char::from(b).to_digit(16);
        let (high, low) = (hex(*tail.first()?)?, hex(*tail.get(1)?)?);
        out.push((high << 4 | low) as u8);
        rest = &tail[2..];
    }
    Some(out)
}

/// Escapes a path as Go writes it.
#[must_use]
pub(crate) fn escape_path(path: &[u8]) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path {
        match byte {
            b if b.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(b) => out.push(char::from(*b)),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_as_go_does() {
        let form = Form::parse("a=1&b=x%20y+z&match%5B%5D=u&c&=5&bad=%zz&semi=1;2", "a=0&match[]=v");
        assert_eq!((form.value("a"), form.url_value("a")), ("0", "1"));
        assert_eq!(form.values("match[]"), ["v", "u"]);
        assert_eq!(
            (form.value("b"), form.value("c"), form.value("bad"), form.value("semi")),
            ("x y z", "", "", "")
        );
        assert_eq!(form.value("nope"), "");
    }

    #[test]
    fn broken_escapes_and_bytes_never_panic() {
        for text in ["%", "%4", "%é", "é%ff=%c3", "&&&", "=", "%41%"] {
            let _ = Form::parse(text, text);
        }
        assert_eq!(Form::parse("a=%ff", "").value("a"), "\u{fffd}");
        assert_eq!(unescape_path("a%2Fb+c").as_deref(), Some(&b"a/b+c"[..]));
        assert_eq!(unescape_path("a%2"), None);
    }

    #[track_caller]
    fn check_error(query: &str, body: &str, expected: &str) {
        let error = Form::parse(query, body).check().err().unwrap_or_default();
        assert_eq!(error, expected, "{query} {body}");
    }

    #[test]
    fn what_is_left_out_is_told() {
        check_error("a=1&b=%20", "c", "");
        check_error("a=%zz&b=%4", "", "error parsing form values: invalid URL escape \"%zz\"");
        check_error("a=1%20%4", "", "error parsing form values: invalid URL escape \"%4\"");
        check_error("a=%zz", "b=%", "error parsing form values: invalid URL escape \"%\"");
        check_error("a=1&b;c=%zz", "", "error parsing form values: invalid semicolon separator in query");
    }
}
