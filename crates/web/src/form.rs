//! Parameters from the URL and from a posted form, as Go's `net/http` reads them.
//!
//! Always true: a posted form's values come before those of the URL. A pair whose escapes are malformed or that holds a `;` is
//! left out, the others count. Bytes that are not UTF-8 become U+FFFD.

/// The parameters of one request.
#[derive(Clone, Debug, Default)]
pub struct Form {
    /// Name and value in order; those of the body first.
    pairs: Vec<(String, String)>,
    /// Where the pairs of the URL begin.
    url_from: usize,
}

impl Form {
    /// Parses a URL's query (without `?`) and the body of a posted form (empty for none).
    #[must_use]
    pub fn parse(query: &str, body: &str) -> Self {
        let mut pairs = parse_pairs(body);
        let url_from = pairs.len();
        pairs.extend(parse_pairs(query));
        Self { pairs, url_from }
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
        self.pairs[self.url_from..].iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }
}

fn parse_pairs(text: &str) -> Vec<(String, String)> {
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        Some((unescape(name)?, unescape(value)?))
    };
    text.split('&').filter(|part| !part.is_empty() && !part.contains(';')).filter_map(pair).collect()
}

/// Undoes `%xx` and `+`; `None` when an escape is malformed.
fn unescape(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    Some(String::from_utf8_lossy(&unescape_path(&spaced)?).into_owned())
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
}
