//! Series as the `.test` language and rule unit tests write them: labels, then values in a shorthand.
//!
//! Road in: [`parse_series`]. `metric{a="b"} 1 2+3x4 _ _x2 stale {{sum:1 buckets:[1 2]}}x3` is a name with labels and values at
//! regular times: numbers, gaps, staleness markers, native histograms (`series_desc/histogram.rs`), repeated or growing.
//! [`parse_start_offsets`] reads the lines that give start timestamps to such values.
//! Always true: `AxN` gives N + 1 values, `_xN` N gaps; no series has more than [`MAX_VALUES`] values.
//! Must not know: how histograms are added; the caller brings that as a function.
//! Facts: Prometheus `docs/configuration/unit_testing_rules.md`, `conformance/promql/README.md`.

mod histogram;
mod start_offsets;

#[cfg(test)]
mod tests;

use narthex_model::{FloatHistogram, Labels, STALE_NAN, parse_duration_ms, quote_go};

use crate::ast::{Span, UnaryOp};
use crate::parser::{ParseError, ParseErrors, parse_metric_prefix, parse_number};

pub use start_offsets::parse_start_offsets;

/// The most values that one line may give. A bound of ours: repetition is cheap to write and costly to expand.
pub const MAX_VALUES: usize = 10_000_000;

/// A series with its values at regular times.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels, the metric name among them.
    pub labels: Labels,
    /// One entry a time.
    pub values: Vec<SeriesValue>,
}

/// What a series has at one time.
#[derive(Clone, Debug, PartialEq)]
pub enum SeriesValue {
    /// No sample.
    Gap,
    /// A float; the staleness marker for `stale`.
    Float(f64),
    /// A native histogram.
    Histogram {
        /// Its value.
        histogram: Box<FloatHistogram>,
        /// Whether the text names a counter reset hint. If it does not, an expected result says nothing about the hint.
        hint_given: bool,
    },
}

/// Adds the second histogram to the first, or subtracts it.
pub type Combine<'a> =
    &'a dyn Fn(&FloatHistogram, UnaryOp, &FloatHistogram) -> Result<FloatHistogram, String>;

/// Reads a line. `combine` is used for `{{…}}+{{…}}xN` and `{{…}}-{{…}}xN`; its error becomes ours.
///
/// # Errors
/// One error with its place, or the syntax errors of the labels.
pub fn parse_series(line: &str, combine: Combine<'_>) -> Result<Series, ParseErrors> {
    let (labels, end) = parse_metric_prefix(line)?;
    let mut reader = Reader { text: line, at: end, values: Vec::new() };
    match reader.values(combine) {
        Ok(()) => Ok(Series { labels, values: reader.values }),
        Err(error) => Err(ParseErrors { query: line.to_owned(), errors: vec![error] }),
    }
}

struct Reader<'a> {
    text: &'a str,
    /// Offset of the next byte.
    at: usize,
    values: Vec<SeriesValue>,
}

impl<'a> Reader<'a> {
    fn values(&mut self, combine: Combine<'_>) -> Result<(), ParseError> {
        loop {
            let blank = self.skip_blanks();
            if self.rest().is_empty() {
                return Ok(());
            }
            if !blank {
                return Err(self.unexpected());
            }
            self.item(combine)?;
        }
    }

    fn item(&mut self, combine: Combine<'_>) -> Result<(), ParseError> {
        if self.accept("_") {
            let gaps = if self.accept("x") { self.count()? } else { 1 };
            return self.push(gaps, |_| SeriesValue::Gap);
        }
        if self.rest().starts_with("{{") {
            return self.histogram_item(combine);
        }
        let mut value = self.signed_number()?;
        if !matches!(self.peek(), Some(b'+' | b'-' | b'x')) {
            return self.push(1, |_| SeriesValue::Float(value));
        }
        let step = if self.peek() == Some(b'x') { None } else { Some(self.signed_number()?) };
        let times = self.times()?;
        self.push(times + 1, |i| {
            // Added up step by step, as the rounding of a long series shows; never to a staleness marker, which addition
            // would turn into another NaN.
            if let (Some(step), 1..) = (step, i) {
                value += step;
            }
            SeriesValue::Float(value)
        })
    }

    fn histogram_item(&mut self, combine: Combine<'_>) -> Result<(), ParseError> {
        let first = self.histogram()?;
        let op = match self.peek() {
            Some(b'+') => UnaryOp::Plus,
            Some(b'-') => UnaryOp::Minus,
            Some(b'x') => {
                let times = self.times()?;
                return self.push(times + 1, |_| first.clone().into());
            }
            _ => return self.push(1, |_| first.clone().into()),
        };
        self.at += 1;
        let step = self.histogram()?;
        let times = self.times()?;
        let hint_given = step.hint_given;
        let mut current = first.histogram;
        self.push(1, |_| SeriesValue::Histogram { histogram: Box::new(current.clone()), hint_given })?;
        for _ in 0..times {
            current = self.combined(&current, op, &step.histogram, combine)?;
            self.push(1, |_| SeriesValue::Histogram { histogram: Box::new(current.clone()), hint_given })?;
        }
        Ok(())
    }

    fn combined(
        &self,
        current: &FloatHistogram,
        op: UnaryOp,
        step: &FloatHistogram,
        combine: Combine<'_>,
    ) -> Result<FloatHistogram, ParseError> {
        let (from, to) = (step.schema, current.schema);
        if to > from {
            return Err(
                self.error(format!("error combining histograms: cannot merge from schema {from} to {to}"))
            );
        }
        combine(current, op, step).map_err(|message| self.error(message))
    }

    /// Appends `count` values, made from their number.
    fn push(&mut self, count: usize, make: impl FnMut(usize) -> SeriesValue) -> Result<(), ParseError> {
        if count > MAX_VALUES - self.values.len() {
            return Err(self.error(format!("series has more than {MAX_VALUES} values")));
        }
        self.values.extend((0..count).map(make));
        Ok(())
    }

    /// `x` and a number.
    fn times(&mut self) -> Result<usize, ParseError> {
        if self.accept("x") { self.count() } else { Err(self.unexpected()) }
    }

    fn count(&mut self) -> Result<usize, ParseError> {
        let digits = self.take_while(|b| b.is_ascii_digit());
        let count = digits.parse::<usize>();
        count
            .map(|n| n.min(MAX_VALUES))
            .map_err(|e| self.error(format!("invalid repetition in series values: {e}")))
    }

    /// A number, a duration in seconds, `Inf`, `NaN` or `stale`; with or without a sign.
    fn signed_number(&mut self) -> Result<f64, ParseError> {
        let negative = self.peek() == Some(b'-');
        if negative || self.peek() == Some(b'+') {
            self.at += 1;
        } else if self.accept("stale") {
            return Ok(STALE_NAN);
        }
        let value = self.number()?;
        Ok(if negative { -value } else { value })
    }

    fn number(&mut self) -> Result<f64, ParseError> {
        for (word, value) in [("inf", f64::INFINITY), ("nan", f64::NAN)] {
            if self.rest().get(..3).is_some_and(|w| w.eq_ignore_ascii_case(word)) {
                self.at += 3;
                return Ok(value);
            }
        }
        let start = self.at;
        self.take_while(|b| b.is_ascii_digit() || matches!(b, b'.' | b'_'));
        if start == self.at {
            return Err(self.unexpected());
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.take_while(|b| b.is_ascii_digit());
        } else if matches!(self.peek(), Some(b's' | b'm' | b'h' | b'd' | b'w' | b'y')) {
            self.take_while(|b| b.is_ascii_digit() || matches!(b, b's' | b'm' | b'h' | b'd' | b'w' | b'y'));
            let milliseconds = parse_duration_ms(&self.text[start..self.at]);
            return milliseconds
                .map(|ms| ms as f64 / 1000.0)
                .map_err(|e| self.error_at(start, e.to_string()));
        }
        parse_number(&self.text[start..self.at])
            .map_err(|e| self.error_at(start, format!("error parsing number: {e}")))
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.rest().bytes().next()
    }

    fn accept(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.bytes().position(|b| !keep(b)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    /// Skips blanks; whether there were any.
    fn skip_blanks(&mut self) -> bool {
        !self.take_while(crate::lexer::is_space).is_empty()
    }

    fn unexpected(&self) -> ParseError {
        match self.rest().chars().next() {
            Some(c) => {
                self.error(format!("unexpected {} in series values", quote_go(c.encode_utf8(&mut [0; 4]))))
            }
            None => self.error("unexpected end of input in series values".to_owned()),
        }
    }

    fn error(&self, message: String) -> ParseError {
        self.error_at(self.at, message)
    }

    fn error_at(&self, start: usize, message: String) -> ParseError {
        ParseError { message, span: Span::new(start, self.text.len()) }
    }
}
