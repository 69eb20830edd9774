//! Upper and lower case a character at a time, as Go's `strings.ToUpper` and `ToLower` do.
//!
//! Rust maps whole words (`ß` to `SS`, a final sigma to `ς`); Go only ever maps one character to one. The tables agree but for
//! the characters that Rust maps to several.

/// Each character in its simple upper case.
pub(crate) fn to_upper(text: &str) -> String {
    text.chars().map(upper).collect()
}

/// Each character in its simple lower case.
pub(crate) fn to_lower(text: &str) -> String {
    text.chars().map(lower).collect()
}

fn upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => simple_upper(c),
    }
}

/// The simple mapping of characters whose full one is longer: small Greek letters with iota below have one, the rest none.
fn simple_upper(c: char) -> char {
    let step = match c {
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => 8,
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => 9,
        _ => 0,
    };
    char::from_u32(c as u32 + step).expect("the capital lies in the same block")
}

fn lower(c: char) -> char {
    let mut mapped = c.to_lowercase();
    // The only character with a longer full mapping is the capital I with a dot; its simple one is the plain i.
    mapped.next().expect("a mapping has at least one character")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_character_becomes_one_character() {
        for (text, up, low) in [
            ("aBc1", "ABC1", "abc1"),
            ("straße", "STRAßE", "straße"),
            ("ΟΔΟΣ", "ΟΔΟΣ", "οδοσ"),
            ("İI", "İI", "ii"),
            ("ﬁ", "ﬁ", "ﬁ"),
            ("ᾳᾀ", "ᾼᾈ", "ᾳᾀ"),
        ] {
            assert_eq!((to_upper(text), to_lower(text)), (up.to_owned(), low.to_owned()));
        }
    }
}
