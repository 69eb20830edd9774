//! Character references in the text of attributes: the numeric ones, and those that change what a value means.

const NAMED: [(&str, char); 14] = [
    ("amp", '&'),
    ("AMP", '&'),
    ("lt", '<'),
    ("LT", '<'),
    ("gt", '>'),
    ("GT", '>'),
    ("quot", '"'),
    ("QUOT", '"'),
    ("apos", '\''),
    ("colon", ':'),
    ("Tab", '\t'),
    ("NewLine", '\n'),
    ("sol", '/'),
    ("nbsp", '\u{a0}'),
];

/// The text with its references replaced.
pub(super) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'&') {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        match reference(rest) {
            Some((c, len)) => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[len..];
            }
            None => out.push(b'&'),
        }
    }
    out.extend_from_slice(rest);
    out
}

/// The character and the length of what follows an ampersand.
fn reference(rest: &[u8]) -> Option<(char, usize)> {
    if let Some(number) = rest.strip_prefix(b"#") {
        let (base, digits, before) = match number.first()? {
            b'x' | b'X' => (16, &number[1..], 2),
            _ => (10, number, 1),
        };
        let count = digits.iter().take_while(|byte| char::from(**byte).is_digit(base)).count().min(9);
        let code = u32::from_str_radix(std::str::from_utf8(&digits[..count]).ok()?, base).ok()?;
        let semicolon = usize::from(digits.get(count) == Some(&b';'));
        let c = char::from_u32(code).filter(|c| *c != '\0').unwrap_or(char::REPLACEMENT_CHARACTER);
        return Some((c, before + count + semicolon));
    }
    let len = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let (_, c) = NAMED.iter().find(|(name, _)| name.as_bytes() == &rest[..len])?;
    (rest.get(len) == Some(&b';')).then_some((*c, len + 1))
}
