//! Cuts a template into tokens.
//!
//! Always true: a token's `line` is that of its first byte, from 1. After an error the lexer has nothing more to say. Blanks
//! inside actions are tokens, because `.a .b` and `.a.b` differ. Trim markers take blanks from the neighbouring text here.
//! Facts: Go's `text/template` documentation, "Text and spaces", and its error texts.

use narthex_model::quote_go;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Error,
    Eof,
    Text,
    Open,
    Close,
    Space,
    Assign,
    Declare,
    Bar,
    Comma,
    Other,
    LeftParen,
    RightParen,
    Str,
    RawStr,
    CharConstant,
    Number,
    Complex,
    Bool,
    Dot,
    Field,
    Variable,
    Identifier,
    Nil,
    Keyword(Keyword),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) pos: usize,
    pub(super) line: usize,
    pub(super) text: String,
}

impl Token {
    /// As errors show it.
    pub(super) fn shown(&self) -> String {
        match self.kind {
            Kind::Error => self.text.clone(),
            Kind::Eof => "EOF".to_owned(),
            Kind::Keyword(_) | Kind::Nil | Kind::Dot => format!("<{}>", self.text),
            _ if self.text.len() > 10 => {
                format!("{}...", quote_go(&self.text.chars().take(10).collect::<String>()))
            }
            _ => quote_go(&self.text),
        }
    }
}

const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];
const OPEN: &str = "{{";
const CLOSE: &str = "}}";

pub(super) struct Lexer<'s> {
    input: &'s str,
    pos: usize,
    start: usize,
    start_line: usize,
    parens: usize,
    inside: bool,
}

type Step = Result<Option<Token>, String>;

impl<'s> Lexer<'s> {
    pub(super) fn new(input: &'s str) -> Self {
        Self { input, pos: 0, start: 0, start_line: 1, parens: 0, inside: false }
    }

    pub(super) fn next(&mut self) -> Token {
        loop {
            let step = if self.inside { self.action() } else { self.text() };
            match step {
                Ok(Some(token)) => return token,
                Ok(None) => {}
                Err(text) => {
                    let token = Token { kind: Kind::Error, pos: self.start, line: self.start_line, text };
                    (self.input, self.pos, self.start, self.inside) = ("", 0, 0, false);
                    return token;
                }
            }
        }
    }

    fn rest(&self) -> &'s str {
        &self.input[self.pos..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.pos += next.len_utf8();
        Some(next)
    }

    /// Leaves out what was read since the last token.
    fn skip(&mut self) {
        self.start_line += self.input[self.start..self.pos].bytes().filter(|b| *b == b'\n').count();
        self.start = self.pos;
    }

    fn token(&mut self, kind: Kind) -> Token {
        let text = self.input[self.start..self.pos].to_owned();
        let token = Token { kind, pos: self.start, line: self.start_line, text };
        self.skip();
        token
    }

    #[expect(clippy::unnecessary_wraps, reason = "the shape of every step")]
    fn emit(&mut self, kind: Kind) -> Step {
        Ok(Some(self.token(kind)))
    }

    fn text(&mut self) -> Step {
        let rest = self.rest();
        let Some(at) = rest.find(OPEN) else {
            self.pos = self.input.len();
            return self.emit(if self.pos > self.start { Kind::Text } else { Kind::Eof });
        };
        let end = self.pos + at;
        if at > 0 {
            let kept =
                if trims_left(&rest[at + 2..]) { rest[..at].trim_end_matches(BLANKS).len() } else { at };
            self.pos += kept;
            let token = (kept > 0).then(|| self.token(Kind::Text));
            self.pos = end;
            self.skip();
            if token.is_some() {
                return Ok(token);
            }
        }
        self.open()
    }

    fn open(&mut self) -> Step {
        self.pos += OPEN.len();
        let marker = if trims_left(self.rest()) { 2 } else { 0 };
        if self.rest()[marker..].starts_with("/*") {
            self.pos += marker;
            self.skip();
            return self.comment();
        }
        let token = self.token(Kind::Open);
        (self.inside, self.parens) = (true, 0);
        self.pos += marker;
        self.skip();
        Ok(Some(token))
    }

    fn comment(&mut self) -> Step {
        let end = self.rest()[2..].find("*/").ok_or("unclosed comment")?;
        self.pos += end + 4;
        let trims = self.at_close().ok_or("comment ends before closing delimiter")?;
        self.close_delimiter(trims);
        self.skip();
        Ok(None)
    }

    /// Moves behind a closing delimiter and the blanks it trims.
    fn close_delimiter(&mut self, trims: bool) {
        self.pos += CLOSE.len() + if trims { 2 } else { 0 };
        if trims {
            let rest = self.rest();
            self.pos += rest.len() - rest.trim_start_matches(BLANKS).len();
        }
    }

    /// Whether a closing delimiter comes next, and if so, whether it trims.
    fn at_close(&self) -> Option<bool> {
        let rest = self.rest();
        if trims_right(rest) && rest[2..].starts_with(CLOSE) {
            return Some(true);
        }
        rest.starts_with(CLOSE).then_some(false)
    }

    fn close(&mut self, trims: bool) -> Step {
        if trims {
            self.pos += 2;
            self.skip();
        }
        self.pos += CLOSE.len();
        let token = self.token(Kind::Close);
        if trims {
            let rest = self.rest();
            self.pos += rest.len() - rest.trim_start_matches(BLANKS).len();
            self.skip();
        }
        self.inside = false;
        Ok(Some(token))
    }

    fn action(&mut self) -> Step {
        if let Some(trims) = self.at_close() {
            if self.parens > 0 {
                return Err("unclosed left paren".to_owned());
            }
            return self.close(trims);
        }
        let next = self.bump().ok_or("unclosed action")?;
        match next {
            ' ' | '\t' | '\r' | '\n' => self.space(),
            '=' => self.emit(Kind::Assign),
            ':' if self.bump() == Some('=') => self.emit(Kind::Declare),
            ':' => Err("expected :=".to_owned()),
            '|' => self.emit(Kind::Bar),
            '"' => self.quoted('"', "unterminated quoted string", Kind::Str),
            '\'' => self.quoted('\'', "unterminated character constant", Kind::CharConstant),
            '`' => {
                let end = self.rest().find('`').ok_or("unterminated raw quoted string")?;
                self.pos += end + 1;
                self.emit(Kind::RawStr)
            }
            '$' => self.field_or_variable(Kind::Variable),
            '.' if self.rest().as_bytes().first().is_some_and(|byte| !byte.is_ascii_digit()) => {
                self.field_or_variable(Kind::Field)
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.pos -= 1;
                self.number()
            }
            next if is_word(next) => self.word(),
            '(' => {
                self.parens += 1;
                self.emit(Kind::LeftParen)
            }
            ')' if self.parens == 0 => Err("unexpected right paren".to_owned()),
            ')' => {
                self.parens -= 1;
                self.emit(Kind::RightParen)
            }
            ',' => self.emit(Kind::Comma),
            '!'..='~' => self.emit(Kind::Other),
            next => Err(format!("unrecognized character in action: {}", code_point(next))),
        }
    }

    fn space(&mut self) -> Step {
        self.pos -= 1;
        let rest = self.rest();
        let mut count = rest.len() - rest.trim_start_matches(BLANKS).len();
        // The last blank may belong to a trim marker.
        if trims_right(&rest[count - 1..]) && rest[count + 1..].starts_with(CLOSE) {
            count -= 1;
            if count == 0 {
                return self.close(true);
            }
        }
        self.pos += count;
        self.emit(Kind::Space)
    }

    fn quoted(&mut self, quote: char, unterminated: &str, kind: Kind) -> Step {
        loop {
            match self.bump() {
                Some('\\') if self.bump().is_some_and(|next| next != '\n') => {}
                None | Some('\n' | '\\') => return Err(unterminated.to_owned()),
                Some(next) if next == quote => return self.emit(kind),
                Some(_) => {}
            }
        }
    }

    fn field_or_variable(&mut self, kind: Kind) -> Step {
        if self.at_terminator() {
            return self.emit(if kind == Kind::Variable { kind } else { Kind::Dot });
        }
        self.word_end()?;
        self.emit(kind)
    }

    fn word(&mut self) -> Step {
        self.word_end()?;
        let kind = match &self.input[self.start..self.pos] {
            "true" | "false" => Kind::Bool,
            "nil" => Kind::Nil,
            "block" => Kind::Keyword(Keyword::Block),
            "break" => Kind::Keyword(Keyword::Break),
            "continue" => Kind::Keyword(Keyword::Continue),
            "define" => Kind::Keyword(Keyword::Define),
            "else" => Kind::Keyword(Keyword::Else),
            "end" => Kind::Keyword(Keyword::End),
            "if" => Kind::Keyword(Keyword::If),
            "range" => Kind::Keyword(Keyword::Range),
            "template" => Kind::Keyword(Keyword::Template),
            "with" => Kind::Keyword(Keyword::With),
            _ => Kind::Identifier,
        };
        self.emit(kind)
    }

    /// Reads to the end of a word; what follows must be able to end one.
    fn word_end(&mut self) -> Result<(), String> {
        while self.peek().is_some_and(is_word) {
            self.bump();
        }
        match self.peek() {
            Some(next) if !self.at_terminator() => Err(format!("bad character {}", code_point(next))),
            _ => Ok(()),
        }
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(_) => self.rest().starts_with(CLOSE),
        }
    }

    fn number(&mut self) -> Step {
        let bad =
            |lexer: &Self| format!("bad number syntax: {}", quote_go(&lexer.input[lexer.start..lexer.pos]));
        if !self.scan_number() {
            return Err(bad(self));
        }
        if matches!(self.peek(), Some('+' | '-')) {
            // An imaginary part, which must end in "i".
            if !self.scan_number() || !self.input[..self.pos].ends_with('i') {
                return Err(bad(self));
            }
            return self.emit(Kind::Complex);
        }
        self.emit(Kind::Number)
    }

    fn accept(&mut self, set: &[char]) -> bool {
        let found = self.peek().is_some_and(|next| set.contains(&next));
        if found {
            self.bump();
        }
        found
    }

    fn accept_run(&mut self, accepted: fn(char) -> bool) {
        while self.peek().is_some_and(|next| accepted(next) || next == '_') {
            self.bump();
        }
    }

    fn scan_number(&mut self) -> bool {
        self.accept(&['+', '-']);
        let mut digits: fn(char) -> bool = |c| c.is_ascii_digit();
        let mut exponent: &[char] = &['e', 'E'];
        if self.accept(&['0']) {
            if self.accept(&['x', 'X']) {
                (digits, exponent) = (|c: char| c.is_ascii_hexdigit(), &['p', 'P']);
            } else if self.accept(&['o', 'O']) {
                (digits, exponent) = (|c: char| ('0'..='7').contains(&c), &[]);
            } else if self.accept(&['b', 'B']) {
                (digits, exponent) = (|c: char| c == '0' || c == '1', &[]);
            }
        }
        self.accept_run(digits);
        if self.accept(&['.']) {
            self.accept_run(digits);
        }
        if self.accept(exponent) {
            self.accept(&['+', '-']);
            self.accept_run(|c| c.is_ascii_digit());
        }
        self.accept(&['i']);
        if self.peek().is_some_and(is_word) {
            self.bump();
            return false;
        }
        true
    }
}

fn trims_left(after_open: &str) -> bool {
    after_open.starts_with('-') && after_open[1..].starts_with(BLANKS)
}

fn trims_right(rest: &str) -> bool {
    rest.starts_with(BLANKS) && rest[1..].starts_with('-')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// `U+00E9 'é'`; the character only when it prints.
fn code_point(c: char) -> String {
    let number = format!("U+{:04X}", u32::from(c));
    let prints = matches!(c, '"' | '\\') || quote_go(&c.to_string()).len() == c.len_utf8() + 2;
    if prints { format!("{number} '{c}'") } else { number }
}
