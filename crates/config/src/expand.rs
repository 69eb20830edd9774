//! `$VAR` and `${VAR}` in external labels, replaced as Go's `os.Expand` does.

/// Replaces each variable by what `value_of` says; `$$` gives a dollar.
pub(crate) fn expand(text: &str, mut value_of: impl FnMut(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$').filter(|at| at + 1 < rest.len()) {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, length) = variable(after);
        match (name, length) {
            ("", 0) => out.push('$'),
            // A malformed `${}` or `${` is dropped.
            ("", _) => {}
            (name, _) => out.push_str(&value_of(name)),
        }
        rest = &after[length..];
    }
    out.push_str(rest);
    out
}

/// The name after a dollar and how many bytes it takes with its braces.
fn variable(after: &str) -> (&str, usize) {
    let special = |c: char| matches!(c, '*' | '#' | '$' | '@' | '!' | '?' | '-' | '0'..='9');
    if let Some(inner) = after.strip_prefix('{') {
        return match inner.find('}') {
            Some(0) => ("", 2),
            Some(end) => (&inner[..end], end + 2),
            None => ("", 1),
        };
    }
    if after.starts_with(special) {
        return (&after[..1], 1);
    }
    let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
    (&after[..end], end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let value_of = |name: &str| if name == "$" { "$".to_owned() } else { format!("<{name}>") };
        assert_eq!(expand(text, value_of), expected);
    }

    #[test]
    fn variables_are_found_as_go_finds_them() {
        check("a $X-b ${Y_1}c", "a <X>-b <Y_1>c");
        check("100% $$ $", "100% $ $");
        check("${} ${open", " open");
        check("$1$2x", "<1><2>x");
        check("$ x", "$ x");
        check("ü$ü", "ü$ü");
    }
}
