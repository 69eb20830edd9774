//! From query text to tokens, one at a time.
//!
//! Holds: what a token is (`lexer/token.rs`), how numbers, durations and strings are scanned (`lexer/scan.rs`), and here
//! the state that decides which tokens may come next: inside braces, inside brackets, or neither.
//! Always true: spans lie inside the text, on character boundaries, and rise; after an error or the end only `Eof` follows.
//! Cannot fail: text that is no token gives the token `Error`, whose message is in [`Lexer::error`].
//! Facts: behaviour of Prometheus' lexer, `promql/parser/lex.go`, whose error texts are a contract.

mod scan;
mod token;

#[cfg(test)]
mod tests;

use crate::ast::{BinaryOp, Span};

pub(crate) use scan::is_space;
use scan::quote_char;
pub(crate) use token::{Keyword, Token, TokenKind, describe};

/// The state of a scan. One lexer reads one text once.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    /// Offset of the next byte to read.
    at: usize,
    /// Offset of the first byte of the token that is being read.
    start: usize,
    paren_depth: u32,
    brace_open: bool,
    bracket: Bracket,
    /// A number stood inside some bracket of this text. COMPAT: never reset, as in Prometheus.
    got_duration: bool,
    /// The bracket that is open had its colon.
    got_colon: bool,
    done: bool,
    error: Option<String>,
}

/// What is known about an open `[`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bracket {
    /// None is open.
    Closed,
    /// Open, no number read yet: only parts of duration arithmetic may come.
    Duration,
    /// Open and a number was read. COMPAT: from there on Prometheus reads with the ordinary rules.
    Ordinary,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            start: 0,
            paren_depth: 0,
            brace_open: false,
            bracket: Bracket::Closed,
            got_duration: false,
            got_colon: false,
            done: false,
            error: None,
        }
    }

    /// The whole text.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// What was wrong, once a token `Error` was returned.
    pub(crate) fn error(&self) -> &str {
        self.error.as_deref().unwrap_or_default()
    }

    /// Reads the next token. Comments and blanks between tokens are left out.
    pub(crate) fn next_token(&mut self) -> Token {
        let kind = if self.done { TokenKind::Eof } else { self.scan() };
        match kind {
            TokenKind::Error => {
                self.done = true;
                let start = self.start;
                self.at = self.text.len();
                Token { kind, span: Span::new(start, self.text.len()) }
            }
            TokenKind::Eof => {
                self.done = true;
                Token { kind, span: Span::new(self.text.len(), self.text.len()) }
            }
            _ => Token { kind, span: Span::new(self.start, self.at) },
        }
    }

    fn scan(&mut self) -> TokenKind {
        let duration = self.bracket == Bracket::Duration;
        self.skip_blanks(!duration);
        self.start = self.at;
        if duration {
            self.scan_in_bracket()
        } else if self.brace_open {
            self.scan_in_braces()
        } else {
            self.scan_statement()
        }
    }

    fn skip_blanks(&mut self, comments: bool) {
        let bytes = self.text.as_bytes();
        while let Some(&b) = bytes.get(self.at) {
            if is_space(b) {
                self.at += 1;
            } else if b == b'#' && comments {
                let line = bytes[self.at..].iter().position(|b| matches!(b, b'\n' | b'\r'));
                self.at = line.map_or(bytes.len(), |n| self.at + n);
            } else {
                return;
            }
        }
    }

    fn scan_statement(&mut self) -> TokenKind {
        let Some(c) = self.next_char() else { return self.end_of_text() };
        match c {
            ',' => TokenKind::Comma,
            '*' => TokenKind::Op(BinaryOp::Mul),
            '/' => TokenKind::Op(BinaryOp::Div),
            '%' => TokenKind::Op(BinaryOp::Mod),
            '+' => TokenKind::Op(BinaryOp::Add),
            '-' => TokenKind::Op(BinaryOp::Sub),
            '^' => TokenKind::Op(BinaryOp::Pow),
            '@' => TokenKind::At,
            '=' => match self.peek_char() {
                Some('=') => self.take(TokenKind::Op(BinaryOp::Eq)),
                Some('~') => self.fail("unexpected character after '=': '~'".to_owned()),
                _ => TokenKind::Equal,
            },
            '!' => match self.next_char() {
                Some('=') => TokenKind::Op(BinaryOp::Ne),
                other => self.fail(format!("unexpected character after '!': {}", quote_char(other))),
            },
            '<' => match self.peek_char() {
                Some('=') => self.take(TokenKind::Op(BinaryOp::Le)),
                Some('/') => self.take(TokenKind::Op(BinaryOp::TrimUpper)),
                _ => TokenKind::Op(BinaryOp::Lt),
            },
            '>' => match self.peek_char() {
                Some('=') => self.take(TokenKind::Op(BinaryOp::Ge)),
                Some('/') => self.take(TokenKind::Op(BinaryOp::TrimLower)),
                _ => TokenKind::Op(BinaryOp::Gt),
            },
            '"' | '\'' => self.scan_string(c),
            '`' => self.scan_raw_string(),
            '(' | ')' => self.scan_paren(c),
            '{' => {
                self.brace_open = true;
                TokenKind::LeftBrace
            }
            '[' if self.bracket != Bracket::Closed => self.fail("unexpected left bracket '['".to_owned()),
            '[' => {
                self.bracket = Bracket::Duration;
                self.got_colon = false;
                TokenKind::LeftBracket
            }
            ']' if self.bracket == Bracket::Closed => self.fail("unexpected right bracket ']'".to_owned()),
            ']' => {
                self.bracket = Bracket::Closed;
                TokenKind::RightBracket
            }
            'a'..='z' | 'A'..='Z' | '_' | ':' => self.scan_word(c),
            _ if self.starts_number(c) => self.scan_number_or_duration(),
            _ => self.fail(format!("unexpected character: {}", quote_char(Some(c)))),
        }
    }

    fn end_of_text(&mut self) -> TokenKind {
        if self.paren_depth != 0 {
            self.fail("unclosed left parenthesis".to_owned())
        } else if self.bracket != Bracket::Closed {
            self.fail("unclosed left bracket".to_owned())
        } else {
            TokenKind::Eof
        }
    }

    fn scan_paren(&mut self, c: char) -> TokenKind {
        if c == '(' {
            self.paren_depth += 1;
            return TokenKind::LeftParen;
        }
        match self.paren_depth.checked_sub(1) {
            Some(depth) => {
                self.paren_depth = depth;
                TokenKind::RightParen
            }
            None => {
                // COMPAT: the error is reported after the parenthesis, not at it.
                self.start = self.at;
                self.fail("unexpected right parenthesis ')'".to_owned())
            }
        }
    }

    /// A word outside of braces; `first` was read already.
    fn scan_word(&mut self, first: char) -> TokenKind {
        if self.bracket == Bracket::Closed {
            return self.scan_keyword_or_name();
        }
        if first == ':' {
            if self.got_colon {
                return self.fail("unexpected colon ':'".to_owned());
            }
            self.got_colon = true;
            return TokenKind::Colon;
        }
        match self.scan_duration_keyword(first) {
            Some(kind) => kind,
            None => self.fail(format!("unexpected character: {}, expected ':'", quote_char(Some(first)))),
        }
    }

    /// Inside `[`, before the first number.
    fn scan_in_bracket(&mut self) -> TokenKind {
        let Some(c) = self.next_char() else {
            return self.fail("unexpected end of input in duration expression".to_owned());
        };
        match c {
            ']' => {
                self.bracket = Bracket::Closed;
                self.got_colon = false;
                TokenKind::RightBracket
            }
            ':' => self.scan_colon_in_bracket(),
            '(' | ')' => self.scan_paren(c),
            '+' => TokenKind::Op(BinaryOp::Add),
            '-' => TokenKind::Op(BinaryOp::Sub),
            '*' => TokenKind::Op(BinaryOp::Mul),
            '/' => TokenKind::Op(BinaryOp::Div),
            '%' => TokenKind::Op(BinaryOp::Mod),
            '^' => TokenKind::Op(BinaryOp::Pow),
            ',' => TokenKind::Comma,
            _ if self.starts_number(c) => {
                self.got_duration = true;
                self.bracket = Bracket::Ordinary;
                self.scan_number_or_duration()
            }
            _ => match self.scan_duration_keyword(c) {
                Some(kind) => kind,
                None => {
                    self.fail(format!("unexpected character in duration expression: {}", quote_char(Some(c))))
                }
            },
        }
    }

    fn scan_colon_in_bracket(&mut self) -> TokenKind {
        let error = if !self.got_duration {
            "unexpected colon before duration in duration expression"
        } else if self.got_colon {
            "unexpected repeated colon in duration expression"
        } else {
            self.got_colon = true;
            return TokenKind::Colon;
        };
        // COMPAT: the error is reported after the colon, not at it.
        self.start = self.at;
        self.fail(error.to_owned())
    }

    fn scan_in_braces(&mut self) -> TokenKind {
        let Some(c) = self.next_char() else {
            return self.fail("unexpected end of input inside braces".to_owned());
        };
        match c {
            'a'..='z' | 'A'..='Z' | '_' => self.scan_label_name(),
            ',' => TokenKind::Comma,
            '"' | '\'' => self.scan_string(c),
            '`' => self.scan_raw_string(),
            '=' if self.peek_char() == Some('~') => self.take(TokenKind::EqualRegex),
            '=' => TokenKind::Equal,
            '!' => match self.next_char() {
                Some('~') => TokenKind::NotEqualRegex,
                Some('=') => TokenKind::Op(BinaryOp::Ne),
                other => {
                    self.fail(format!("unexpected character after '!' inside braces: {}", quote_char(other)))
                }
            },
            '{' => self.fail("unexpected left brace '{'".to_owned()),
            '}' => {
                self.brace_open = false;
                TokenKind::RightBrace
            }
            _ => self.fail(format!("unexpected character inside braces: {}", quote_char(Some(c)))),
        }
    }

    fn next_char(&mut self) -> Option<char> {
        let c = self.peek_char()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn peek_char(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn peek_byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Takes one more byte into the token.
    fn take(&mut self, kind: TokenKind) -> TokenKind {
        self.at += 1;
        kind
    }

    fn fail(&mut self, message: String) -> TokenKind {
        self.error = Some(message);
        TokenKind::Error
    }
}
