//! The appender of a database that is not ready: it refuses everything, with a reason after which a later try may work.

use narthex_model::{Exemplar, Labels, Metadata};
use narthex_storage::{AppendError, Appender, CommitError, HistogramRef, SeriesRef};

/// Takes nothing.
pub(super) struct NotYet;

fn refusal() -> AppendError {
    AppendError::Unavailable("TSDB not ready".to_owned())
}

impl Appender for NotYet {
    fn resolve(&mut self, _: &Labels) -> Result<SeriesRef, AppendError> {
        Err(refusal())
    }

    fn append(&mut self, _: SeriesRef, _: i64, _: f64) -> Result<(), AppendError> {
        Err(refusal())
    }

    fn append_histogram(&mut self, _: SeriesRef, _: i64, _: HistogramRef<'_>) -> Result<(), AppendError> {
        Err(refusal())
    }

    fn append_exemplar(&mut self, _: SeriesRef, _: &Exemplar) -> Result<(), AppendError> {
        Err(refusal())
    }

    fn update_metadata(&mut self, _: SeriesRef, _: &Metadata) -> Result<(), AppendError> {
        Err(refusal())
    }

    fn commit(self: Box<Self>) -> Result<(), CommitError> {
        Err(CommitError::Closed)
    }

    fn rollback(self: Box<Self>) {}
}
