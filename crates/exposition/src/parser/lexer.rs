//! Tokens of both formats, for lines that the fast path leaves alone: odd spacing, quoted names, comments, and errors.
//!
//! Error texts show where exactly the reader stood when it gave up, so the states and the way they carry over from line to line
//! are part of the contract. Facts: how Prometheus 3.14 reports malformed bodies; `exposition/cases.json` of the conformance data.
//! Always true: `start <= at <= end()`.

use super::Dialect;

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Invalid,
    End,
    LineBreak,
    White,
    Help,
    Type,
    Unit,
    EndMark,
    Text,
    Comment,
    MetricName,
    Quoted,
    BraceOpen,
    BraceClose,
    LabelName,
    LabelValue,
    Comma,
    Equal,
    Timestamp,
    Value,
}

impl Token {
    /// The name in error texts.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Invalid => "INVALID",
            Self::End => "EOF",
            Self::LineBreak => "LINEBREAK",
            Self::White => "WHITESPACE",
            Self::Help => "HELP",
            Self::Type => "TYPE",
            Self::Unit => "UNIT",
            Self::EndMark => "EOFWORD",
            Self::Text => "TEXT",
            Self::Comment => "COMMENT",
            Self::MetricName => "MNAME",
            Self::Quoted => "QSTRING",
            Self::BraceOpen => "BOPEN",
            Self::BraceClose => "BCLOSE",
            Self::LabelName => "LNAME",
            Self::LabelValue => "LVALUE",
            Self::Comma => "COMMA",
            Self::Equal => "EQUAL",
            Self::Timestamp => "TIMESTAMP",
            Self::Value => "VALUE",
        }
    }
}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The start of a line.
    Init,
    /// Behind `# `.
    Comment,
    /// Behind `# HELP ` and the like.
    MetaName,
    /// Behind the name of a metadata line.
    MetaText,
    /// Inside of braces.
    Labels,
    /// Behind the `=` of a label.
    LabelValue,
    /// Behind name and labels.
    Value,
    /// Behind the value.
    Timestamp,
    /// Inside of an exemplar's braces.
    Exemplar,
    /// Behind the `=` of an exemplar's label, or behind its braces.
    ExemplarValue,
    /// Behind the exemplar's value.
    ExemplarTimestamp,
}

/// Reads tokens of one body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'b> {
    pub(super) body: &'b [u8],
    pub(super) dialect: Dialect,
    pub(super) state: State,
    /// Where the current token begins.
    pub(super) start: usize,
    /// Where the next one begins.
    pub(super) at: usize,
}

impl<'b> Lexer<'b> {
    pub(super) fn new(body: &'b [u8], dialect: Dialect) -> Self {
        Self { body, dialect, state: State::Init, start: 0, at: 0 }
    }

    /// The bytes of the current token.
    pub(super) fn token_bytes(&self) -> &'b [u8] {
        self.slice(self.start, self.at)
    }

    /// Bytes of the body; the line break that a text body may lack at its end is left out.
    pub(super) fn slice(&self, start: usize, end: usize) -> &'b [u8] {
        let end = end.min(self.body.len());
        &self.body[start.min(end)..end]
    }

    /// The end of what is read: a text body counts as having one more line break.
    pub(super) fn end(&self) -> usize {
        self.body.len() + usize::from(self.dialect == Dialect::Text)
    }

    /// The byte at `at`; 0 behind the end.
    pub(super) fn current(&self) -> u8 {
        match self.body.get(self.at) {
            Some(byte) => *byte,
            None if self.at < self.end() => b'\n',
            None => 0,
        }
    }

    /// Goes on by one byte and returns it; 0 at the end. Zero bytes within label values, metadata text and comments count as
    /// part of the byte before them.
    fn next(&mut self) -> u8 {
        self.at = (self.at + 1).min(self.end());
        if matches!(self.state, State::LabelValue | State::MetaText | State::Comment) {
            while self.at < self.end() && self.current() == 0 {
                self.at += 1;
            }
        }
        self.current()
    }

    /// Reads the next token.
    pub(super) fn token(&mut self) -> Token {
        if self.at >= self.end() {
            return Token::End;
        }
        self.start = self.at;
        match self.dialect {
            Dialect::Text => self.text_token(),
            Dialect::OpenMetrics => self.open_metrics_token(),
        }
    }

    fn text_token(&mut self) -> Token {
        let c = self.current();
        if matches!(c, b' ' | b'\t') && self.state != State::MetaText {
            self.skip(|c| matches!(c, b' ' | b'\t'));
            return Token::White;
        }
        match (self.state, c) {
            (State::Init, 0) => self.accept(Token::End, State::Init),
            (State::Init, b'#') => self.text_comment(),
            (State::Init | State::Timestamp, b'\n') => self.accept(Token::LineBreak, State::Init),
            (State::MetaText, _) => self.text_meta_text(),
            (State::Timestamp, b'0'..=b'9') => {
                self.skip(|c| c.is_ascii_digit());
                Token::Timestamp
            }
            (State::Value, c) if !matches!(c, b'{' | b'\n' | 0) => {
                self.skip(|c| !matches!(c, b'{' | b' ' | b'\t' | b'\n' | 0));
                self.state = State::Timestamp;
                Token::Value
            }
            (State::LabelValue, b'"') => self.quoted(true, Token::LabelValue, State::Labels),
            _ => self.shared_token(c),
        }
    }

    fn open_metrics_token(&mut self) -> Token {
        let c = self.current();
        match (self.state, c) {
            (State::Init, b'#') => self.open_metrics_comment(),
            (State::MetaText, b' ') => {
                self.skip(|c| !matches!(c, b'\n' | 0));
                if self.current() == b'\n' && self.at < self.end() {
                    return self.accept(Token::Text, State::Init);
                }
                Token::Invalid
            }
            (State::Value, b' ') => self.word(Token::Value, State::Timestamp),
            (State::Timestamp, b' ') => self.timestamp_or_exemplar(),
            (State::ExemplarTimestamp, b' ') => self.word(Token::Timestamp, State::ExemplarTimestamp),
            (State::Timestamp | State::ExemplarTimestamp, b'\n') => {
                self.accept(Token::LineBreak, State::Init)
            }
            (State::LabelValue, b'"') => self.quoted(false, Token::LabelValue, State::Labels),
            (State::Exemplar, b'"') => self.quoted(false, Token::Quoted, State::Exemplar),
            (State::Exemplar, b'}') => self.accept(Token::BraceClose, State::ExemplarValue),
            (State::Exemplar, b'=') => self.accept(Token::Equal, State::ExemplarValue),
            (State::Exemplar, b',') => self.accept(Token::Comma, State::Exemplar),
            (State::Exemplar, c) if is_label_start(c) => self.name(false, Token::LabelName, State::Exemplar),
            (State::ExemplarValue, b'"') => self.quoted(false, Token::LabelValue, State::Exemplar),
            (State::ExemplarValue, b' ') => self.word(Token::Value, State::ExemplarTimestamp),
            _ => self.shared_token(c),
        }
    }

    /// Names, braces and what stands in them: alike in both formats.
    fn shared_token(&mut self, c: u8) -> Token {
        match (self.state, c) {
            (State::Init | State::Value, b'{') => self.accept(Token::BraceOpen, State::Labels),
            (State::Init, c) if is_metric_start(c) => self.name(true, Token::MetricName, State::Value),
            (State::MetaName, b'"') => self.quoted(true, Token::MetricName, State::MetaText),
            (State::MetaName, c) if is_metric_start(c) => self.name(true, Token::MetricName, State::MetaText),
            (State::Labels, b'"') => self.quoted(true, Token::Quoted, State::Labels),
            (State::Labels, b',') => self.accept(Token::Comma, State::Labels),
            (State::Labels, b'=') => self.accept(Token::Equal, State::LabelValue),
            (State::Labels, b'}') => self.accept(Token::BraceClose, State::Value),
            (State::Labels, c) if is_label_start(c) => self.name(false, Token::LabelName, State::Labels),
            _ => Token::Invalid,
        }
    }

    /// A token of one byte.
    fn accept(&mut self, token: Token, then: State) -> Token {
        self.next();
        self.state = then;
        token
    }

    /// Goes on to the first byte for which `more` does not hold, at least by one.
    fn skip(&mut self, more: impl Fn(u8) -> bool) {
        while more(self.next()) && self.at < self.end() {}
    }

    fn name(&mut self, colons: bool, token: Token, then: State) -> Token {
        self.skip(|c| c.is_ascii_alphanumeric() || c == b'_' || (colons && c == b':'));
        self.state = then;
        token
    }

    /// Text in double quotes with backslashes before quotes, backslashes and other characters.
    fn quoted(&mut self, line_breaks: bool, token: Token, then: State) -> Token {
        loop {
            match self.next() {
                b'"' => return self.accept(token, then),
                b'\\' if matches!(self.next(), 0 | b'\n') => return Token::Invalid,
                0 => return Token::Invalid,
                b'\n' if !line_breaks => return Token::Invalid,
                _ => {}
            }
        }
    }

    /// A blank and the bytes up to the next one.
    fn word(&mut self, token: Token, then: State) -> Token {
        if matches!(self.next(), b' ' | b'\n' | 0) {
            return Token::Invalid;
        }
        self.skip(|c| !matches!(c, b' ' | b'\n' | 0));
        self.state = then;
        token
    }

    /// ` # {`, or a word.
    fn timestamp_or_exemplar(&mut self) -> Token {
        match self.next() {
            b'#' if self.next() == b' ' => {
                if self.next() == b'{' {
                    return self.accept(Token::Comment, State::Exemplar);
                }
                return Token::Invalid;
            }
            b' ' | b'\n' | 0 => return Token::Invalid,
            _ => {}
        }
        // A `#` may also begin a word; then the byte behind it was read already.
        if !matches!(self.current(), b' ' | b'\n' | 0) {
            self.skip(|c| !matches!(c, b' ' | b'\n' | 0));
        }
        Token::Timestamp
    }

    /// Behind the `#` of the text format: metadata, or a comment to the end of the line.
    fn text_comment(&mut self) -> Token {
        if !matches!(self.next(), b' ' | b'\t') {
            return self.rest_of_comment();
        }
        self.skip(|c| matches!(c, b' ' | b'\t'));
        self.state = State::Comment;
        for (word, token) in [(b"HELP", Token::Help), (b"TYPE", Token::Type)] {
            if self.current() == word[0] {
                if self.keyword(word) && matches!(self.current(), b' ' | b'\t') {
                    self.skip(|c| matches!(c, b' ' | b'\t'));
                    self.state = State::MetaName;
                    return token;
                }
                break;
            }
        }
        self.rest_of_comment()
    }

    fn rest_of_comment(&mut self) -> Token {
        let mut c = self.current();
        loop {
            match c {
                0 => return Token::End,
                b'\n' => {
                    self.state = State::Init;
                    return Token::Comment;
                }
                _ => c = self.next(),
            }
        }
    }

    /// The rest of a metadata line, with the blanks before it. Blanks alone are no text.
    fn text_meta_text(&mut self) -> Token {
        let mut c = self.current();
        let mut blank = matches!(c, b' ' | b'\t');
        let starts_blank = blank;
        while !matches!(c, b'\n' | 0) {
            blank &= matches!(c, b' ' | b'\t');
            c = self.next();
        }
        if starts_blank && blank {
            return Token::White;
        }
        self.state = State::Init;
        Token::Text
    }

    fn open_metrics_comment(&mut self) -> Token {
        if self.next() != b' ' {
            return Token::Invalid;
        }
        self.next();
        self.state = State::Comment;
        let words: [(&[u8], Token); 3] =
            [(b"HELP", Token::Help), (b"TYPE", Token::Type), (b"UNIT", Token::Unit)];
        if self.current() == b'E' {
            return self.end_mark();
        }
        for (word, token) in words {
            if self.current() == word[0] {
                if self.keyword(word) && self.current() == b' ' {
                    return self.accept(token, State::MetaName);
                }
                break;
            }
        }
        Token::Invalid
    }

    fn end_mark(&mut self) -> Token {
        if !self.keyword(b"EOF") {
            return Token::Invalid;
        }
        if self.current() == b'\n' {
            self.next();
        }
        self.state = State::Init;
        Token::EndMark
    }

    /// Goes on behind `word`, or to the first byte that differs.
    fn keyword(&mut self, word: &[u8]) -> bool {
        let mut c = self.current();
        for want in word {
            if c != *want {
                return false;
            }
            c = self.next();
        }
        true
    }
}

fn is_label_start(c: u8) -> bool {
    c.is_ascii_alphabetic() || c == b'_'
}

fn is_metric_start(c: u8) -> bool {
    is_label_start(c) || c == b':'
}
