//! Replacement templates with Go's `Expand` rules: `$name`, `${name}`, `$1`, `$$`.
//!
//! A name is the longest run of letters, digits and underscores, so `$1x` means the group called `1x`. A group that does not
//! exist or took no part in the match expands to nothing. A `$` that starts no reference stands for itself.

/// What a group expands to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroupRef<'t> {
    /// By number; 0 is the whole match.
    Number(usize),
    /// By name.
    Name(&'t str),
}

/// Walks a template: calls `literal` for plain text and `group` for references, in order.
pub(super) fn walk<'t>(
    template: &'t str,
    out: &mut String,
    mut group: impl FnMut(GroupRef<'t>, &mut String),
) {
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((reference, tail)) = take_reference(rest) {
            group(reference, out);
            rest = tail;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
}

/// Reads what follows a `$`; `None` when it is no reference.
fn take_reference(text: &str) -> Option<(GroupRef<'_>, &str)> {
    let (braced, body) = text.strip_prefix('{').map_or((false, text), |body| (true, body));
    let end = body.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(body.len());
    let (name, tail) = body.split_at(end);
    if name.is_empty() {
        return None;
    }
    let tail = if braced { tail.strip_prefix('}')? } else { tail };
    Some((reference(name), tail))
}

/// Digits are a number unless they start with a superfluous zero or are absurdly many.
fn reference(name: &str) -> GroupRef<'_> {
    let plain =
        name.len() < 9 && name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    match name.parse() {
        Ok(number) if plain => GroupRef::Number(number),
        _ => GroupRef::Name(name),
    }
}
