//! How words, numbers, durations and strings are scanned: where they end, and what is wrong with them.
//!
//! What a number or an escape *means* is worked out later, by `parser/literal.rs`; here only its extent is found.

use narthex_model::quote_go;

use super::token::Keyword;
use super::{Lexer, TokenKind};

pub(crate) fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r')
}

pub(crate) fn is_digit(b: u8) -> bool {
    b.is_ascii_digit()
}

fn is_alpha(b: u8) -> bool {
    b == b'_' || b.is_ascii_alphabetic()
}

fn is_alphanumeric(b: u8) -> bool {
    is_alpha(b) || is_digit(b)
}

/// A character in single quotes, as Go's `%q` writes it. `None` is the end of the text.
pub(crate) fn quote_char(c: Option<char>) -> String {
    match c {
        None => "'\u{fffd}'".to_owned(),
        Some('\'') => r"'\''".to_owned(),
        Some('"') => "'\"'".to_owned(),
        Some(c) => {
            let quoted = quote_go(c.encode_utf8(&mut [0; 4]));
            format!("'{}'", &quoted[1..quoted.len() - 1])
        }
    }
}

/// `U+0063 'c'`, as Go's `%#U` writes it: without the character when it is not printable.
fn code_point(c: char) -> String {
    let quoted = quote_go(c.encode_utf8(&mut [0; 4]));
    let printable = quoted.len() == c.len_utf8() + 2 || matches!(c, '"' | '\\');
    let code = c as u32;
    if printable { format!("U+{code:04X} '{c}'") } else { format!("U+{code:04X}") }
}

impl Lexer<'_> {
    /// Whether a number begins with `c`, which was read already.
    pub(super) fn starts_number(&self, c: char) -> bool {
        c.is_ascii_digit() || (c == '.' && self.peek_byte().is_some_and(is_digit))
    }

    pub(super) fn scan_label_name(&mut self) -> TokenKind {
        self.skip_while(is_alphanumeric);
        TokenKind::Identifier
    }

    pub(super) fn scan_keyword_or_name(&mut self) -> TokenKind {
        self.skip_while(|b| is_alphanumeric(b) || b == b':');
        let kind = TokenKind::of_word(&self.text[self.start..self.at]);
        // `fill` and its like are keywords only before a parenthesis, so that metrics of these names stay usable.
        let fill = [Keyword::Fill, Keyword::FillLeft, Keyword::FillRight].map(TokenKind::Keyword);
        if fill.contains(&kind) && !self.paren_follows() { TokenKind::Identifier } else { kind }
    }

    fn paren_follows(&self) -> bool {
        self.text.as_bytes()[self.at..].iter().find(|b| !is_space(**b)) == Some(&b'(')
    }

    /// `step`, `range`, `max_of` or `min_of` inside brackets, whose first character was read. `None` leaves `at` behind
    /// the word when the character could begin one of them, else where it was.
    pub(super) fn scan_duration_keyword(&mut self, first: char) -> Option<TokenKind> {
        if !matches!(first.to_ascii_lowercase(), 's' | 'r' | 'm') {
            return None;
        }
        self.skip_while(is_alpha);
        let kind = TokenKind::of_word(&self.text[self.start..self.at]);
        let keywords =
            [Keyword::Step, Keyword::Range, Keyword::MaxOf, Keyword::MinOf].map(TokenKind::Keyword);
        keywords.contains(&kind).then_some(kind)
    }

    /// A number or duration whose first character was read.
    pub(super) fn scan_number_or_duration(&mut self) -> TokenKind {
        self.at = self.start;
        if self.scan_number() {
            return TokenKind::Number;
        }
        if self.scan_rest_of_duration() {
            return TokenKind::Duration;
        }
        let text = quote_go(&self.text[self.start..self.at]);
        self.fail(format!("bad number or duration syntax: {text}"))
    }

    /// Scans a number. On `false` the text from `start` to `at` is what an error message shows, or the digits of a duration.
    fn scan_number(&mut self) -> bool {
        let mut hex = false;
        if self.accept(b"0") && self.accept(b"xX") {
            self.accept(b"_");
            hex = true;
        }
        let digits: &[u8] = if hex { b"0123456789abcdefABCDEF" } else { b"0123456789" };
        self.accept(b".");
        self.accept(digits);
        // COMPAT: the dot before the first digit does not count here, so `.5.` goes on until its second dot.
        let (mut dot, mut exponent) = (false, false);
        while let Some(b) = self.peek_byte() {
            match b {
                b'.' => {
                    self.at += 1;
                    if dot || self.accept(b"_.") || hex {
                        return false;
                    }
                    dot = true;
                }
                b'e' | b'E' => {
                    self.at += 1;
                    if exponent {
                        return false;
                    }
                    exponent = true;
                    self.accept(b"+-");
                    if self.accept(b"._eE") || self.peek_byte().is_none() {
                        return false;
                    }
                }
                b'_' => {
                    self.at += 1;
                    if self.accept(b"._eE") || self.peek_byte().is_none() {
                        return false;
                    }
                }
                _ if digits.contains(&b) => self.skip_while(|b| digits.contains(&b)),
                _ => break,
            }
        }
        !self.peek_byte().is_some_and(is_alphanumeric)
    }

    /// Scans units and further numbers after the first number of a duration. On `false`, `at` is behind what was looked at.
    fn scan_rest_of_duration(&mut self) -> bool {
        if !self.accept(b"smhdwy") {
            return false;
        }
        self.accept(b"s");
        while self.peek_byte().is_some_and(is_digit) {
            self.skip_while(is_digit);
            if !self.accept(b"smhdw") {
                return false;
            }
            self.accept(b"s");
        }
        let ends = !self.peek_byte().is_some_and(is_alphanumeric);
        if !ends {
            self.at += 1;
        }
        ends
    }

    /// A string whose opening `quote` was read.
    pub(super) fn scan_string(&mut self, quote: char) -> TokenKind {
        loop {
            match self.next_char() {
                Some('\\') => {
                    if let Err(message) = self.scan_escape(quote) {
                        return self.fail(message);
                    }
                }
                Some('\u{fffd}') => return self.fail("invalid UTF-8 rune".to_owned()),
                None | Some('\n') => return self.fail("unterminated quoted string".to_owned()),
                Some(c) if c == quote => return TokenKind::String,
                Some(_) => {}
            }
        }
    }

    pub(super) fn scan_raw_string(&mut self) -> TokenKind {
        loop {
            match self.next_char() {
                Some('\u{fffd}') => return self.fail("invalid UTF-8 rune".to_owned()),
                None => return self.fail("unterminated raw string".to_owned()),
                Some('`') => return TokenKind::String,
                Some(_) => {}
            }
        }
    }

    fn scan_escape(&mut self, quote: char) -> Result<(), String> {
        let not_terminated = || "escape sequence not terminated".to_owned();
        let c = self.next_char().ok_or_else(not_terminated)?;
        let (digits, radix, max) = match c {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => return Ok(()),
            c if c == quote => return Ok(()),
            '0'..='7' => {
                self.at -= 1;
                (3, 8, 255)
            }
            'x' => (2, 16, 255),
            'u' => (4, 16, 0x0010_ffff),
            'U' => (8, 16, 0x0010_ffff),
            c => return Err(format!("unknown escape sequence {}", code_point(c))),
        };
        let mut value: u32 = 0;
        for _ in 0..digits {
            let c = self.next_char().ok_or_else(not_terminated)?;
            let digit = c
                .to_digit(radix)
                .ok_or_else(|| format!("illegal character {} in escape sequence", code_point(c)))?;
            value = value.wrapping_mul(radix).wrapping_add(digit);
        }
        if value > max || (0xd800..0xe000).contains(&value) {
            return Err("escape sequence is an invalid Unicode code point".to_owned());
        }
        Ok(())
    }

    fn skip_while(&mut self, keep: impl Fn(u8) -> bool) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().position(|b| !keep(*b)).unwrap_or(rest.len());
    }

    /// Takes the next byte if it is one of `set`.
    fn accept(&mut self, set: &[u8]) -> bool {
        let found = self.peek_byte().is_some_and(|b| set.contains(&b));
        self.at += usize::from(found);
        found
    }
}
