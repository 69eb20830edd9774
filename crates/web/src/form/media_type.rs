//! Media types with parameters, `application/x-www-form-urlencoded; charset=utf-8`, read as Go's `mime` reads them.
//!
//! Facts: Go's `mime.ParseMediaType` and its texts; continued parameters (`name*0`) are not known here.

/// A media type, or the kind of a `Content-Disposition`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MediaType {
    /// In small letters; `""` when even that cannot be read.
    pub(super) kind: String,
    /// Names in small letters, and values.
    parameters: Vec<(String, String)>,
}

impl MediaType {
    /// What can be read of a header's value, and what is wrong with it.
    pub(super) fn parse(text: &str) -> (Self, Option<&'static str>) {
        let (kind, mut rest) = text.split_at(text.find(';').unwrap_or(text.len()));
        let kind = kind.trim().to_lowercase();
        if let Some(fault) = fault_of(&kind) {
            return (Self::default(), Some(fault));
        }
        let mut parameters: Vec<(String, String)> = Vec::new();
        while !rest.trim_start().is_empty() {
            let Some((name, value, behind)) = parameter(rest) else {
                if rest.trim() == ";" {
                    break;
                }
                return (Self { kind, parameters: Vec::new() }, Some("mime: invalid media parameter"));
            };
            if parameters.iter().any(|(known, other)| *known == name && *other != value) {
                return (Self::default(), Some("mime: duplicate parameter name"));
            }
            parameters.push((name, value));
            rest = behind;
        }
        (Self { kind, parameters }, None)
    }

    /// The value of a parameter, `""` when absent.
    pub(super) fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

fn fault_of(kind: &str) -> Option<&'static str> {
    let (first, rest) = token(kind);
    if first.is_empty() {
        return Some("mime: no media type");
    }
    if rest.is_empty() {
        return None;
    }
    let Some(rest) = rest.strip_prefix('/') else { return Some("mime: expected slash after first token") };
    match token(rest) {
        ("", _) => Some("mime: expected token after slash"),
        (_, "") => None,
        _ => Some("mime: unexpected content after media subtype"),
    }
}

/// A token, perhaps empty, and what stands behind it.
fn token(text: &str) -> (&str, &str) {
    let is_part = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(c);
    text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()))
}

/// `; name=value` in front of a text: name, value, and what stands behind.
fn parameter(text: &str) -> Option<(String, String, &str)> {
    let (name, rest) = token(text.trim_start().strip_prefix(';')?.trim_start());
    if name.is_empty() {
        return None;
    }
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let (value, behind) = match rest.strip_prefix('"') {
        Some(quoted) => unquote(quoted)?,
        None => {
            let (value, behind) = token(rest);
            (!value.is_empty()).then(|| (value.to_owned(), behind))?
        }
    };
    Some((name.to_lowercase(), value, behind))
}

/// A quoted value whose first quote was taken off, and what stands behind the second.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\r' | '\n' => return None,
            '\\' => match letters.next_if(|(_, next)| "()<>@,;:\\\"/[]?=".contains(*next)) {
                Some((_, escaped)) => value.push(escaped),
                None => value.push('\\'),
            },
            letter => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, kind: &str, boundary: &str, fault: &str) {
        let (got, got_fault) = MediaType::parse(text);
        let got = (&*got.kind, got.parameter("boundary"), got_fault.unwrap_or_default());
        assert_eq!(got, (kind, boundary, fault), "{text}");
    }

    #[test]
    fn types_are_read_as_go_does() {
        check("Text/Plain", "text/plain", "", "");
        check(" text/plain ; Boundary=b;", "text/plain", "b", "");
        check("a/b; boundary=\"x y\\\"z\\w\"; c=d", "a/b", "x y\"z\\w", "");
        check("form-data", "form-data", "", "");
        check("a/b; boundary=b; boundary=b", "a/b", "b", "");
        check("a/b; boundary=b; boundary=c", "", "", "mime: duplicate parameter name");
        for odd in
            ["a/b; boundary", "a/b; =", "a/b; boundary=", "a/b; boundary=\"", "a/b; boundary=b c", "a/b;;"]
        {
            check(odd, "a/b", "", "mime: invalid media parameter");
        }
        check("", "", "", "mime: no media type");
        check("/b", "", "", "mime: no media type");
        check("a b", "", "", "mime: expected slash after first token");
        check("a/", "", "", "mime: expected token after slash");
        check("a/b, c/d", "", "", "mime: unexpected content after media subtype");
    }
}
