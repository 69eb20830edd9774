//! The words of the field as types: labels, matchers, samples, native histograms, exemplars, metadata, time.
//!
//! Road in: `Labels` and `LabelsBuilder`, then `Matcher`. Everything else is a leaf.
//! What this crate does not do: any I/O, any locking, any knowledge of who stores or sends these values.
#![forbid(unsafe_code)]

mod labels;
mod label_hash;
mod matcher;
mod regex;
mod name;
mod duration;
mod float_text;
mod value;
mod histogram;
mod exemplar;
mod metadata;

pub use duration::{DurationError, format_duration_ms, parse_duration_ms};
pub use exemplar::Exemplar;
pub use float_text::{format_float, format_float_general, format_float_json, parse_go_float, push_float, push_float_general, push_float_json};
pub use histogram::{CounterResetHint, FloatHistogram, Histogram, Span, CUSTOM_BUCKETS_SCHEMA};
pub use labels::{Labels, LabelsBuilder, LabelsIter};
pub use matcher::{MatchOp, Matcher};
pub use metadata::{Metadata, MetricType};
pub use name::{escape_name, is_legacy_label_name, is_legacy_metric_name, unescape_name, EscapingScheme, NameValidation};
pub use regex::{Regex, RegexError};
pub use value::{is_stale, quote_go, Sample, STALE_NAN, STALE_NAN_BITS};

/// The label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";
/// The label that holds a classic bucket's upper bound.
pub const BUCKET_LABEL: &str = "le";
/// The label that holds a summary's quantile.
pub const QUANTILE_LABEL: &str = "quantile";
