//! What a parser yields: series lines and metadata, borrowing the body.

use std::borrow::Cow;

use narthex_model::MetricType;

/// One line that means something.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<'b> {
    /// A sample of a series.
    Series(Series<'b>),
    /// `# TYPE`
    Type {
        /// The metric family.
        name: &'b str,
        /// Its type.
        kind: MetricType,
    },
    /// `# HELP`
    Help {
        /// The metric family.
        name: &'b str,
        /// The text, unescaped.
        text: Cow<'b, str>,
    },
    /// `# UNIT`
    Unit {
        /// The metric family.
        name: &'b str,
        /// The unit, a suffix of the name; may be empty.
        unit: &'b str,
    },
    /// Any other comment of the text format, from the `#` to the end of the line.
    Comment(&'b [u8]),
}

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Series<'b> {
    /// Name and labels as they stand in the body: the key of a cache. [`crate::decode_labels`] reads them.
    pub raw: &'b [u8],
    /// Whether `raw` equals the hint given to [`crate::Parser::next_like`].
    pub as_hinted: bool,
    /// The value. Every NaN is the one NaN that Prometheus stores, never a staleness marker.
    pub value: f64,
    /// Milliseconds since the epoch; `None` when the line has no timestamp.
    pub t_ms: Option<i64>,
    /// The exemplar of an OpenMetrics line.
    pub exemplar: Option<RawExemplar<'b>>,
}

/// An exemplar whose labels are still to be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawExemplar<'b> {
    /// The labels as they stand in the body, from the `{` to the `}`. [`crate::decode_exemplar`] reads them.
    pub raw: &'b [u8],
    /// The value.
    pub value: f64,
    /// Milliseconds since the epoch; `None` when the line has no timestamp for it.
    pub t_ms: Option<i64>,
}
