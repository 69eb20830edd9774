//! Exemplars: a sample of a series with extra labels that point at a trace.

use crate::Labels;

/// One exemplar.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Its own labels (`trace_id` and the like), not those of the series.
    pub labels: Labels,
    /// The value that was observed.
    pub value: f64,
    /// Milliseconds since the epoch; `None` when the target gave none.
    pub t_ms: Option<i64>,
}
