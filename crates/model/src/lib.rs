//! The words of the field as types: labels, matchers, samples, native histograms, exemplars, metadata, time.
//!
//! Road in: `Labels` and `LabelsBuilder`, then `Matcher`. Everything else is a leaf.
//! What this crate does not do: any I/O, any locking, any knowledge of who stores or sends these values.
#![forbid(unsafe_code)]

mod bucket_bounds;
mod duration;
mod exemplar;
mod float_text;
mod histogram;
mod label_hash;
mod labels;
mod matcher;
mod metadata;
mod name;
mod number_text;
mod regex;
mod rfc3339;
mod value;

pub use bucket_bounds::exponential_bound;
pub use duration::{DurationError, format_duration_ms, parse_duration_ms};
pub use exemplar::Exemplar;
pub use float_text::{
    format_float, format_float_general, format_float_json, parse_go_float, push_float, push_float_general,
    push_float_json, push_int,
};
pub use histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Histogram, LayoutError, Span};
pub use labels::{Labels, LabelsBuilder, LabelsIter};
pub use matcher::{MatchOp, Matcher};
pub use metadata::{Metadata, MetricType};
pub use name::{
    EscapingScheme, NameValidation, escape_name, is_legacy_label_name, is_legacy_metric_name, unescape_name,
};
pub use number_text::{NUMBER_ROOM, write_float_json, write_int};
pub use regex::{Regex, RegexError, RegexMatch};
pub use rfc3339::{UnixTime, parse_rfc3339, push_rfc3339, push_rfc3339_ms};
pub use value::{STALE_NAN, STALE_NAN_BITS, Sample, is_stale, push_json_string, quote_go, quote_go_bytes};

/// The label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";
/// The label that holds a classic bucket's upper bound.
pub const BUCKET_LABEL: &str = "le";
/// The label that holds a summary's quantile.
pub const QUANTILE_LABEL: &str = "quantile";
