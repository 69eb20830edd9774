//! What the world gives to a template: time, address, queries.

use narthex_model::{FloatHistogram, Labels};

/// What a query returned for one series.
#[derive(Clone, Debug)]
pub struct QuerySample {
    /// The series.
    pub labels: Labels,
    /// Its value.
    pub value: SampleValue,
}

/// A float or a native histogram.
#[derive(Clone, Debug)]
pub enum SampleValue {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Box<FloatHistogram>),
}

/// Answers the queries of templates.
pub trait Query {
    /// The vector of `expr` at a time in milliseconds; a scalar is a vector of one sample without labels.
    ///
    /// # Errors
    /// The text that the template's error ends with.
    fn query(&self, expr: &str, at_ms: i64) -> Result<Vec<QuerySample>, String>;
}

/// Answers every query with an empty vector.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoQueries;

impl Query for NoQueries {
    fn query(&self, _expr: &str, _at_ms: i64) -> Result<Vec<QuerySample>, String> {
        Ok(Vec::new())
    }
}

/// What a key yields that a map does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingKey {
    /// The zero value of the map's elements. Prometheus' choice.
    #[default]
    Zero,
    /// No value.
    Default,
    /// An error.
    Error,
}

/// Where and when a template runs.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The time of evaluation, milliseconds.
    pub now_ms: i64,
    /// The URL under which the server is reachable.
    pub external_url: &'a str,
    /// The path of that URL, without a slash at its end.
    pub path_prefix: &'a str,
    /// Answers queries.
    pub query: &'a dyn Query,
    /// What missing keys yield.
    pub missing_key: MissingKey,
}
