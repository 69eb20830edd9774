//! Forms in parts (`multipart/form-data`), as far as parameters go: files are passed over.
//!
//! Facts: Go's `mime/multipart`. COMPAT: of a body that is not whole, nothing counts. Always true: memory is that of the body.

use super::media_type::MediaType;

/// Most parts in one body.
const MAX_PARTS: usize = 1000;

/// Names and values of the parts of a body; `None` when it is not whole.
pub(super) fn parse(body: &[u8], boundary: &str) -> Option<Vec<(String, String)>> {
    let delimiter = format!("--{boundary}").into_bytes();
    let mut rest = Rest { bytes: body, delimiter: &delimiter };
    let mut parts = Vec::new();
    // What stands before the first delimiter counts for nothing.
    while !rest.starts_with_delimiter() {
        rest.line()?;
    }
    for _ in 0..=MAX_PARTS {
        let line = rest.line_or_end();
        if line[delimiter.len()..].starts_with(b"--") {
            return Some(parts);
        }
        let name = name_of(&mut rest)?;
        let content = rest.content()?;
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            parts.push((name, String::from_utf8_lossy(content).into_owned()));
        }
    }
    None
}

/// Reads the headers of a part; the name when it is a parameter. `None` outside: the headers are cut or malformed.
fn name_of(rest: &mut Rest<'_>) -> Option<Option<String>> {
    let mut name = None;
    loop {
        let line = rest.line()?.trim_ascii();
        if line.is_empty() {
            return Some(name);
        }
        let text = String::from_utf8_lossy(line);
        let (header, value) = text.split_once(':')?;
        if header.eq_ignore_ascii_case("content-disposition") {
            let (disposition, _) = MediaType::parse(value);
            let is_value = disposition.kind == "form-data" && disposition.parameter("filename").is_empty();
            name = is_value.then(|| disposition.parameter("name").to_owned());
        }
    }
}

/// What is left of a body.
struct Rest<'a> {
    bytes: &'a [u8],
    delimiter: &'a [u8],
}

impl<'a> Rest<'a> {
    /// Whether a delimiter comes next: the boundary, and behind it the end, more dashes or white space.
    fn starts_with_delimiter(&self) -> bool {
        self.bytes.strip_prefix(self.delimiter).is_some_and(|behind| match behind {
            [] | [b' ' | b'\t' | b'\r' | b'\n', ..] => true,
            _ => behind.starts_with(b"--"),
        })
    }

    /// The next line, without its end; `None` when it has none.
    fn line(&mut self) -> Option<&'a [u8]> {
        let end = self.bytes.iter().position(|byte| *byte == b'\n')?;
        let (line, rest) = self.bytes.split_at(end);
        self.bytes = &rest[1..];
        Some(line)
    }

    /// The same, or all that is left.
    fn line_or_end(&mut self) -> &'a [u8] {
        self.line().unwrap_or_else(|| std::mem::take(&mut self.bytes))
    }

    /// What stands before the next delimiter that begins a line, without the end of the line before.
    fn content(&mut self) -> Option<&'a [u8]> {
        let whole = self.bytes;
        while !self.starts_with_delimiter() {
            self.line()?;
        }
        let content = &whole[..whole.len() - self.bytes.len()];
        let content = content.strip_suffix(b"\n").unwrap_or(content);
        Some(content.strip_suffix(b"\r").unwrap_or(content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Option<&[(&str, &str)]>) {
        let got = parse(body.as_bytes(), "b");
        let got: Option<Vec<(&str, &str)>> =
            got.as_ref().map(|parts| parts.iter().map(|(name, value)| (&**name, &**value)).collect());
        assert_eq!(got.as_deref(), expected, "{body}");
    }

    #[test]
    fn parts_are_parameters_unless_they_are_files() {
        let part =
            |header: &str, value: &str| format!("--b\r\nContent-Disposition: {header}\r\n\r\n{value}\r\n");
        let body = part("form-data; name=\"a\"", "1\r\n--bc\r\n2")
            + &part("form-data; name=a", "")
            + &part("form-data; name=f; filename=x", "3")
            + &part("attachment; name=c", "4")
            + &part("form-data", "5");
        let all = [("a", "1\r\n--bc\r\n2"), ("a", "")];
        check(&format!("{body}--b--\r\n"), Some(&all));
        check(&format!("before\r\n{body}--b--behind"), Some(&all));
        check(&format!("{body}--b-- \t").replace("\r\n", "\n"), Some(&[("a", "1\n--bc\n2"), ("a", "")]));
        check("--b--", Some(&[]));
    }

    #[test]
    fn of_what_is_not_whole_nothing_counts() {
        let part = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n";
        for body in ["", "x", "--c--", part, "--b\r\n", "--b\r\nno header\r\n\r\n--b--"] {
            check(body, None);
        }
        check(&format!("{}--b--", part.repeat(MAX_PARTS + 1)), None);
        check(&format!("{part}--b--"), Some(&[("a", "1")]));
    }

    #[test]
    fn cut_bodies_never_panic() {
        let body = "x\r\n--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n";
        for end in 0..body.len() {
            let _ = parse(&body.as_bytes()[..end], "b");
            let _ = parse(&body.as_bytes()[end..], "");
        }
    }
}
