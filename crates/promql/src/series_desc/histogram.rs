//! A native histogram as text: `{{schema:1 sum:0.3 count:3 z_bucket:1 buckets:[1 2] offset:-1 counter_reset_hint:gauge}}`.
//!
//! Items in any order, each at most once, all optional. Counts are absolute and may be negative; nothing is checked for sense.

use narthex_model::{CounterResetHint, FloatHistogram, Span as BucketSpan, quote_go};

use crate::parser::ParseError;

use super::{Reader, SeriesValue};

/// A histogram, and whether its text names a counter reset hint.
#[derive(Clone, Default)]
pub(super) struct Literal {
    pub(super) histogram: FloatHistogram,
    pub(super) hint_given: bool,
}

impl From<Literal> for SeriesValue {
    fn from(literal: Literal) -> Self {
        Self::Histogram { histogram: Box::new(literal.histogram), hint_given: literal.hint_given }
    }
}

/// The items, in the order of [`Seen`].
const KEYS: [&str; 11] = [
    "schema",
    "sum",
    "count",
    "z_bucket",
    "z_bucket_w",
    "custom_values",
    "buckets",
    "offset",
    "n_buckets",
    "n_offset",
    "counter_reset_hint",
];

/// Which items were read.
type Seen = [bool; KEYS.len()];

impl Reader<'_> {
    /// A literal from `{{` to `}}`.
    pub(super) fn histogram(&mut self) -> Result<Literal, ParseError> {
        if !self.accept("{{") {
            return Err(self.unexpected());
        }
        let mut literal = Literal::default();
        let mut offsets = [0; 2];
        let mut seen = Seen::default();
        self.skip_blanks();
        while !self.accept("}}") {
            self.descriptor(&mut literal, &mut offsets, &mut seen)?;
            if !self.skip_blanks() && !self.rest().starts_with("}}") {
                return Err(self.unexpected());
            }
        }
        let h = &mut literal.histogram;
        h.positive_spans = span_of(&h.positive_buckets, offsets[0]);
        h.negative_spans = span_of(&h.negative_buckets, offsets[1]);
        Ok(literal)
    }

    fn descriptor(
        &mut self,
        literal: &mut Literal,
        offsets: &mut [i32; 2],
        seen: &mut Seen,
    ) -> Result<(), ParseError> {
        let start = self.at;
        let word = self.take_while(|b| b.is_ascii_alphabetic() || b == b'_');
        let Some(at) = KEYS.iter().position(|key| key.eq_ignore_ascii_case(word)) else {
            return Err(if word.is_empty() {
                self.unexpected()
            } else {
                self.error_at(start, format!("bad histogram descriptor found: {}", quote_go(word)))
            });
        };
        if !self.accept(":") {
            return Err(self.error_at(start, "missing `:` for histogram descriptor".to_owned()));
        }
        let h = &mut literal.histogram;
        match KEYS[at] {
            "schema" => h.schema = self.integer()?,
            "sum" => h.sum = self.signed_number()?,
            "count" => h.count = self.signed_number()?,
            "z_bucket" => h.zero_count = self.signed_number()?,
            "z_bucket_w" => h.zero_threshold = self.number()?,
            "custom_values" => h.custom_values = self.list()?,
            "buckets" => h.positive_buckets = self.list()?,
            "n_buckets" => h.negative_buckets = self.list()?,
            "offset" => offsets[0] = self.integer()?,
            "n_offset" => offsets[1] = self.integer()?,
            _ => {
                h.counter_reset_hint = self.hint()?;
                literal.hint_given = true;
            }
        }
        if std::mem::replace(&mut seen[at], true) {
            // COMPAT: this error stands at the start of the line.
            return Err(self.error_at(0, format!("duplicate key \"{}\" in histogram", KEYS[at])));
        }
        Ok(())
    }

    fn integer(&mut self) -> Result<i32, ParseError> {
        let start = self.at;
        self.accept("-");
        self.take_while(|b| b.is_ascii_digit());
        let text = &self.text[start..self.at];
        if text.trim_start_matches('-').is_empty() {
            return Err(self.unexpected());
        }
        text.parse().map_err(|e| self.error_at(start, format!("error parsing histogram number: {e}")))
    }

    /// `[1 2 3]`
    fn list(&mut self) -> Result<Vec<f64>, ParseError> {
        if !self.accept("[") {
            return Err(self.unexpected());
        }
        let mut values = Vec::new();
        while !self.accept("]") {
            values.push(self.signed_number()?);
            if !self.skip_blanks() && self.peek() != Some(b']') {
                return Err(self.unexpected());
            }
        }
        Ok(values)
    }

    fn hint(&mut self) -> Result<CounterResetHint, ParseError> {
        let start = self.at;
        let word = self.take_while(|b| b.is_ascii_alphabetic() || b == b'_');
        Ok(match word.to_ascii_lowercase().as_str() {
            "unknown" => CounterResetHint::Unknown,
            "reset" => CounterResetHint::Reset,
            "not_reset" => CounterResetHint::NotReset,
            "gauge" => CounterResetHint::Gauge,
            _ => {
                let word = quote_go(word);
                return Err(self.error_at(start, format!("bad histogram descriptor found: {word}")));
            }
        })
    }
}

fn span_of(buckets: &[f64], offset: i32) -> Vec<BucketSpan> {
    if buckets.is_empty() { Vec::new() } else { vec![BucketSpan { offset, length: buckets.len() as u32 }] }
}
