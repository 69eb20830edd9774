//! Character classes as Go names them: `\d`, `[:alpha:]`, `\pL`, `\p{Greek}`, and ranges of code points.
//!
//! Always true: `\d \s \w` and the bracketed names are ASCII. Unicode names are exact (`\p{greek}` is none), as in Go's tables.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

use super::scripts::SCRIPTS;

/// General categories by the names that Go knows.
const CATEGORIES: &[&str] = &[
    "C", "Cc", "Cf", "Co", "Cs", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl",
    "No", "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs",
];

/// Adds the code points `[low, high]`. Surrogates are left out: no UTF-8 text holds them.
pub(super) fn push_range(class: &mut ClassUnicode, low: u32, high: u32) {
    let first = char::from_u32(low).unwrap_or('\u{e000}');
    let last = char::from_u32(high).unwrap_or('\u{d7ff}');
    if first <= last {
        class.push(ClassUnicodeRange::new(first, last));
    }
}

/// `\d`, `\s`, `\w` by their lower-case letter.
pub(super) fn perl(letter: char) -> Option<ClassUnicode> {
    Some(of_ranges(match letter {
        'd' => &[('0', '9')],
        's' => &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')],
        'w' => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        _ => return None,
    }))
}

/// The class of `[:name:]`.
pub(super) fn posix(name: &str) -> Option<ClassUnicode> {
    Some(of_ranges(match name {
        "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        "alpha" => &[('A', 'Z'), ('a', 'z')],
        "ascii" => &[('\0', '\x7f')],
        "blank" => &[('\t', '\t'), (' ', ' ')],
        "cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        "digit" => &[('0', '9')],
        "graph" => &[('!', '~')],
        "lower" => &[('a', 'z')],
        "print" => &[(' ', '~')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => &[('\t', '\r'), (' ', ' ')],
        "upper" => &[('A', 'Z')],
        "word" => return perl('w'),
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return None,
    }))
}

fn of_ranges(ranges: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().map(|(first, last)| ClassUnicodeRange::new(*first, *last)))
}

/// The class of `\p{name}`: `Any`, a general category or a script.
pub(super) fn unicode(name: &str) -> Option<ClassUnicode> {
    match name {
        "Any" => Some(of_ranges(&[('\0', char::MAX)])),
        // Go's category C leaves out the unassigned code points.
        "C" => {
            let mut class = query("gc=Cc")?;
            class.union(&query("gc=Cf")?);
            class.union(&query("gc=Co")?);
            Some(class)
        }
        "Cs" => Some(ClassUnicode::empty()),
        _ if CATEGORIES.contains(&name) => query(&format!("gc={name}")),
        _ if SCRIPTS.contains(&name) => query(&format!("sc={name}")),
        _ => None,
    }
}

/// Asks the tables of the regex-syntax crate.
fn query(property: &str) -> Option<ClassUnicode> {
    match regex_syntax::parse(&format!("\\p{{{property}}}")).ok()?.into_kind() {
        HirKind::Class(Class::Unicode(class)) => Some(class),
        // A class of one character comes back as a literal.
        HirKind::Literal(text) => {
            let c = std::str::from_utf8(&text.0).ok()?.chars().next()?;
            Some(of_ranges(&[(c, c)]))
        }
        _ => None,
    }
}
