//! Lines as sequences of tokens: the complete rules, with Prometheus' error texts. The fast path knows only the common shapes.

use std::borrow::Cow;

use narthex_model::MetricType;

use super::lexer::{Lexer, Token};
use super::{Dialect, is_unit_of, number, unescape};
use crate::quote::quote_bytes;
use crate::{Entry, ParseError, RawExemplar, Series};

/// Reads lines token by token.
pub(super) struct Grammar<'l, 'b> {
    lexer: &'l mut Lexer<'b>,
    /// Where the line began.
    start: usize,
}

type Parsed<T> = Result<T, ParseError>;

impl<'l, 'b> Grammar<'l, 'b> {
    pub(super) fn new(lexer: &'l mut Lexer<'b>) -> Self {
        let start = lexer.at;
        Self { lexer, start }
    }

    /// The next entry; `None` at the end of the body.
    pub(super) fn entry(&mut self) -> Parsed<Option<Entry<'b>>> {
        loop {
            self.start = self.lexer.at;
            let open_metrics = self.lexer.dialect == Dialect::OpenMetrics;
            return match self.token() {
                Token::End if open_metrics => Err(self.error("data does not end with # EOF")),
                Token::End => Ok(None),
                Token::EndMark if self.token() != Token::End => {
                    Err(self.error("unexpected data after # EOF"))
                }
                Token::EndMark => Ok(None),
                Token::LineBreak if !open_metrics => continue,
                token @ (Token::Help | Token::Type | Token::Unit) => self.metadata(token).map(Some),
                Token::Comment if !open_metrics => self.comment().map(Some),
                token @ (Token::BraceOpen | Token::MetricName) => {
                    self.series(token).map(|s| Some(Entry::Series(s)))
                }
                token => Err(self.unexpected("expected a valid start token", token)),
            };
        }
    }

    /// The next token that is not white space. OpenMetrics has none.
    fn token(&mut self) -> Token {
        loop {
            match self.lexer.token() {
                Token::White => {}
                token => return token,
            }
        }
    }

    fn error(&self, text: &str) -> ParseError {
        ParseError::new(text.to_owned(), self.lexer.body, self.lexer.at)
    }

    /// `expected`, what stood there instead, and the line up to it.
    fn unexpected(&self, expected: &str, got: Token) -> ParseError {
        let end = (self.lexer.at + 1).min(self.lexer.end());
        let text = format!(
            "{expected}, got {} (\"{}\") while parsing: {}",
            self.quote(self.lexer.start, end),
            got.name(),
            self.quote(self.start, end)
        );
        self.error(&text)
    }

    /// `text` and the line up to the current token.
    fn failed(&self, text: &str) -> ParseError {
        self.error(&format!("{text} while parsing: {}", self.quote(self.start, self.lexer.at)))
    }

    /// Bytes of the body in quotes, with the line break that a text body gets at its end.
    fn quote(&self, start: usize, end: usize) -> String {
        let mut bytes = self.lexer.slice(start, end).to_vec();
        if end > self.lexer.body.len() {
            bytes.push(b'\n');
        }
        quote_bytes(&bytes)
    }

    fn comment(&mut self) -> Parsed<Entry<'b>> {
        let text = self.lexer.token_bytes();
        match self.token() {
            Token::LineBreak => Ok(Entry::Comment(text)),
            token => Err(self.unexpected("linebreak expected after comment", token)),
        }
    }

    fn metadata(&mut self, word: Token) -> Parsed<Entry<'b>> {
        match self.token() {
            Token::MetricName => {}
            token => {
                return Err(self.unexpected(&format!("expected metric name after {}", word.name()), token));
            }
        }
        let quoted = self.lexer.token_bytes();
        let name = quoted.strip_prefix(b"\"").and_then(|q| q.strip_suffix(b"\"")).unwrap_or(quoted);
        let Ok(name) = std::str::from_utf8(name) else {
            return Err(self.error(&format!("metric name {} is not a valid utf8 string", quote_bytes(name))));
        };
        let text = self.metadata_text(word)?;
        match word {
            Token::Type => self.kind(text).map(|kind| Entry::Type { name, kind }),
            Token::Help => match std::str::from_utf8(text) {
                Ok(text) => Ok(Entry::Help { name, text: self.unescape_help(text) }),
                Err(_) => {
                    Err(self.error(&format!("help text {} is not a valid utf8 string", quote_bytes(text))))
                }
            },
            _ => self.unit(name, text),
        }
        .and_then(|entry| self.metadata_end(entry))
    }

    /// The text behind the name, without the blank before it.
    fn metadata_text(&mut self, word: Token) -> Parsed<&'b [u8]> {
        let open_metrics = self.lexer.dialect == Dialect::OpenMetrics;
        match self.token() {
            // The OpenMetrics token ends with the line break.
            Token::Text if open_metrics => {
                let bytes = self.lexer.token_bytes();
                Ok(bytes.get(1..bytes.len() - 1).unwrap_or_default())
            }
            Token::Text => Ok(self.lexer.token_bytes().get(1..).unwrap_or_default()),
            _ if open_metrics => Err(self.error(&format!("expected text in {}", word.name()))),
            token => Err(self.error(&format!("expected text in {}, got {}", word.name(), token.name()))),
        }
    }

    fn metadata_end(&mut self, entry: Entry<'b>) -> Parsed<Entry<'b>> {
        if self.lexer.dialect == Dialect::OpenMetrics {
            return Ok(entry);
        }
        match self.token() {
            Token::LineBreak => Ok(entry),
            token => Err(self.unexpected("linebreak expected after metadata", token)),
        }
    }

    fn kind(&self, text: &[u8]) -> Parsed<MetricType> {
        let word = std::str::from_utf8(text).unwrap_or("");
        let kind = self.lexer.dialect.type_of(word);
        kind.ok_or_else(|| self.error(&format!("invalid metric type {}", quote_bytes(text))))
    }

    fn unescape_help(&self, text: &'b str) -> Cow<'b, str> {
        unescape(text, self.lexer.dialect == Dialect::OpenMetrics)
    }

    /// A unit is empty or the last word of the name.
    fn unit(&self, name: &'b str, text: &'b [u8]) -> Parsed<Entry<'b>> {
        let unit = std::str::from_utf8(text).ok();
        match unit.filter(|unit| is_unit_of(unit, name)) {
            Some(unit) => Ok(Entry::Unit { name, unit }),
            None => {
                let text = format!(
                    "unit {} not a suffix of metric {}",
                    quote_bytes(text),
                    quote_bytes(name.as_bytes())
                );
                Err(self.error(&text))
            }
        }
    }

    /// A line that begins with a name or with braces.
    fn series(&mut self, first: Token) -> Parsed<Series<'b>> {
        let mut named = first == Token::MetricName;
        let mut raw_end = self.lexer.at;
        let mut token = first;
        if named {
            token = self.token();
        }
        if token == Token::BraceOpen {
            self.labels(&mut named, false)?;
            raw_end = self.lexer.at;
            token = self.token();
        }
        let raw = self.lexer.slice(self.start, raw_end);
        if !named {
            return Err(self.failed("metric name not set"));
        }
        let mut series = Series { raw, as_hinted: false, value: 0.0, t_ms: None, exemplar: None };
        match self.lexer.dialect {
            Dialect::Text => self.text_end(token, &mut series)?,
            Dialect::OpenMetrics => self.open_metrics_end(token, &mut series)?,
        }
        Ok(series)
    }

    /// Checks what stands in braces. A quoted text without `=` is the metric's name; an exemplar has none.
    fn labels(&mut self, named: &mut bool, exemplar: bool) -> Parsed<()> {
        let mut token = self.token();
        loop {
            let quoted = match token {
                Token::BraceClose => return Ok(()),
                Token::LabelName => false,
                Token::Quoted => true,
                token => return Err(self.unexpected("expected label name", token)),
            };
            token = self.token();
            if quoted && matches!(token, Token::Comma | Token::BraceClose) {
                if exemplar {
                    return Err(self.unexpected("expected label name", token));
                }
                if *named {
                    return Err(self.failed("metric name already set"));
                }
                *named = true;
                if token == Token::BraceClose {
                    return Ok(());
                }
                token = self.token();
                continue;
            }
            if token != Token::Equal {
                return Err(self.unexpected("expected equal", token));
            }
            token = self.label_value()?;
        }
    }

    /// A value and the comma behind it, if there is one; returns the token after those.
    fn label_value(&mut self) -> Parsed<Token> {
        let token = self.token();
        if token != Token::LabelValue {
            return Err(self.unexpected("expected label value", token));
        }
        let value = self.lexer.token_bytes();
        if std::str::from_utf8(value).is_err() {
            return Err(self.error(&format!("invalid UTF-8 label value: {}", quote_bytes(value))));
        }
        match self.token() {
            Token::Comma => Ok(self.token()),
            token if token != Token::BraceClose && self.lexer.dialect == Dialect::OpenMetrics => {
                Err(self.unexpected("expected comma or brace close", token))
            }
            token => Ok(token),
        }
    }

    /// Value, timestamp and line break of the text format.
    fn text_end(&mut self, token: Token, series: &mut Series<'b>) -> Parsed<()> {
        if token != Token::Value {
            return Err(self.unexpected("expected value after metric", token));
        }
        series.value = number::float(self.lexer.token_bytes()).map_err(|e| self.failed(&e))?;
        match self.token() {
            Token::LineBreak => Ok(()),
            Token::Timestamp => {
                let digits = self.lexer.token_bytes();
                series.t_ms = Some(number::integer(digits).map_err(|e| self.failed(&e))?);
                match self.token() {
                    Token::LineBreak => Ok(()),
                    token => Err(self.unexpected("expected next entry after timestamp", token)),
                }
            }
            token => Err(self.unexpected("expected timestamp or new record", token)),
        }
    }

    /// Value, timestamp, exemplar and line break of OpenMetrics.
    fn open_metrics_end(&mut self, token: Token, series: &mut Series<'b>) -> Parsed<()> {
        series.value = self.value(token, "metric")?;
        match self.token() {
            Token::End => Err(self.error("data does not end with # EOF")),
            Token::Comment => self.exemplar(series),
            Token::Timestamp => {
                series.t_ms = Some(self.seconds("timestamp")?);
                match self.token() {
                    Token::LineBreak => Ok(()),
                    Token::Comment => self.exemplar(series),
                    token => Err(self.unexpected("expected next entry after timestamp", token)),
                }
            }
            // COMPAT: anything else ends the line without an error; the next line then starts in its midst.
            _ => Ok(()),
        }
    }

    fn value(&self, token: Token, after: &str) -> Parsed<f64> {
        if token != Token::Value {
            return Err(self.unexpected(&format!("expected value after {after}"), token));
        }
        number::float(&self.lexer.token_bytes()[1..]).map_err(|e| self.failed(&e))
    }

    /// The current token as milliseconds. `what` is for the error text.
    fn seconds(&self, what: &str) -> Parsed<i64> {
        let seconds = number::float(&self.lexer.token_bytes()[1..]).map_err(|e| self.failed(&e))?;
        if seconds.is_finite() {
            return Ok(number::seconds_to_ms(seconds));
        }
        let word = narthex_model::format_float(seconds);
        Err(self.error(&format!("invalid {what} {word}")))
    }

    /// What stands behind ` # {`.
    fn exemplar(&mut self, series: &mut Series<'b>) -> Parsed<()> {
        let start = self.lexer.at - 1;
        self.labels(&mut true, true)?;
        let raw = self.lexer.slice(start, self.lexer.at);
        let token = self.token();
        let value = self.value(token, "exemplar labels")?;
        let mut exemplar = RawExemplar { raw, value, t_ms: None };
        match self.token() {
            Token::End => return Err(self.error("data does not end with # EOF")),
            Token::LineBreak => {}
            Token::Timestamp => {
                exemplar.t_ms = Some(self.seconds("exemplar timestamp")?);
                match self.token() {
                    Token::LineBreak => {}
                    token => {
                        return Err(self.unexpected("expected next entry after exemplar timestamp", token));
                    }
                }
            }
            token => return Err(self.unexpected("expected timestamp or comment", token)),
        }
        series.exemplar = Some(exemplar);
        Ok(())
    }
}
