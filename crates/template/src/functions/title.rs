//! Letter case of texts.
//!
//! Facts: Go's `strings.ToUpper` and `ToLower` map letter by letter (`ß` stays); `title` makes the first letter of each word
//! large and leaves the others. A word ends at what is no letter, digit, mark or underscore; points and apostrophes
//! between letters belong to it.

pub(super) fn upper(text: &str) -> String {
    text.chars().map(|c| single(c, c.to_uppercase())).collect()
}

pub(super) fn lower(text: &str) -> String {
    text.chars().map(|c| if c == 'İ' { 'i' } else { single(c, c.to_lowercase()) }).collect()
}

/// The one character that stands for `c`; `c` when there would be several.
fn single(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

pub(super) fn title(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut in_word = false;
    for (i, c) in chars.iter().copied().enumerate() {
        let next = chars.get(i + 1).copied();
        let is_cased = c.is_lowercase() || c.is_uppercase();
        if is_cased && !in_word {
            push_title(&mut out, c);
        } else {
            out.push(c);
        }
        let joins =
            i > 0 && is_joint(c) && chars[i - 1].is_alphabetic() && next.is_some_and(char::is_alphabetic);
        in_word = is_cased || (in_word && (c.is_alphanumeric() || c == '_' || is_mark(c) || joins));
    }
    out
}

/// The title case of one letter: of a ligature only the first letter becomes large.
fn push_title(out: &mut String, c: char) {
    match c {
        'Ǆ' | 'ǅ' | 'ǆ' => out.push('ǅ'),
        'Ǉ' | 'ǈ' | 'ǉ' => out.push('ǈ'),
        'Ǌ' | 'ǋ' | 'ǌ' => out.push('ǋ'),
        'Ǳ' | 'ǲ' | 'ǳ' => out.push('ǲ'),
        'ŉ' => out.push_str("ʼN"),
        _ => out.extend(
            c.to_uppercase().enumerate().map(|(i, u)| if i == 0 { u } else { single(u, u.to_lowercase()) }),
        ),
    }
}

/// Marks that belong to the letter before them.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}' | '\u{200d}')
}

fn is_joint(c: char) -> bool {
    matches!(c, '\'' | '.' | ':' | '\u{b7}' | '\u{2019}' | '\u{2018}' | '\u{2024}')
}
