//! Writing: one `Appender` is one batch, committed or rolled back as a whole.

use std::fmt;

use narthex_model::{Exemplar, FloatHistogram, Histogram, Labels, Metadata, format_float_general};

/// The number that a store gave a series. Never reused for another series during the life of a data directory's WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesRef(pub u64);

/// A native histogram to append.
#[derive(Clone, Copy, Debug)]
pub enum HistogramRef<'a> {
    /// Integer counts.
    Int(&'a Histogram),
    /// Float counts.
    Float(&'a FloatHistogram),
}

/// Why one sample, series, exemplar was refused. The other samples of the batch are not touched by it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Older than the newest sample of its series, and no out-of-order window takes it.
    #[error("out of order sample")]
    OutOfOrder,
    /// The series has another value at this very timestamp.
    #[error("duplicate sample for timestamp{0}")]
    DuplicateTimestamp(Duplicate),
    /// Older than anything that the head may take.
    #[error("out of bounds")]
    OutOfBounds,
    /// Older than the out-of-order window.
    #[error("too old sample")]
    TooOld,
    /// An exemplar older than the newest one of its series.
    #[error("out of order exemplar")]
    OutOfOrderExemplar,
    /// The same exemplar is already there.
    #[error("duplicate exemplar")]
    DuplicateExemplar,
    /// The exemplar's labels are longer than OpenMetrics allows (128 characters).
    #[error("label length for exemplar exceeds maximum of 128 UTF-8 characters")]
    ExemplarLabelLength,
    /// The reference is not (or no longer) known: resolve the label set again.
    #[error("unknown series reference")]
    UnknownSeries,
    /// No labels at all, or the label set breaks a rule; the text says which.
    #[error("invalid label set: {0}")]
    InvalidLabels(String),
    /// The histogram contradicts itself; the text says how.
    #[error("invalid histogram: {0}")]
    InvalidHistogram(String),
    /// Native histograms cannot be stored here.
    #[error("native histograms are disabled")]
    HistogramsDisabled,
    /// The store takes no samples now (disk full, shutting down); the text says why. A later try may work.
    #[error("storage refuses writes: {0}")]
    Unavailable(String),
}

/// What stood where a refused float was to go, as far as it is known; its text says so behind "duplicate sample for timestamp".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate {
    t_ms: i64,
    /// `None`: nothing is told.
    told: Option<Told>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    /// The bits of the value that stays; `None` for a histogram.
    existing: Option<u64>,
    /// The bits of the value that was refused.
    new: u64,
}

impl Duplicate {
    /// What stands there is not known, or a histogram was refused.
    pub const UNTOLD: Self = Self { t_ms: 0, told: None };

    /// `existing` stays at `t_ms`, and `new` was refused.
    #[must_use]
    pub fn of_float(t_ms: i64, existing: f64, new: f64) -> Self {
        Self { t_ms, told: Some(Told { existing: Some(existing.to_bits()), new: new.to_bits() }) }
    }

    /// A histogram stays at `t_ms`, and `new` was refused.
    #[must_use]
    pub fn of_histogram(t_ms: i64, new: f64) -> Self {
        Self { t_ms, told: Some(Told { existing: None, new: new.to_bits() }) }
    }
}

impl fmt::Display for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // COMPAT: at timestamp 0 Prometheus tells nothing either.
        let Some(told) = self.told.filter(|_| self.t_ms != 0) else { return Ok(()) };
        let text = |bits: u64| format_float_general(f64::from_bits(bits));
        let existing = told.existing.map_or_else(|| "is a histogram".to_owned(), text);
        write!(f, " {}; overrides not allowed: existing {existing}, new value {}", self.t_ms, text(told.new))
    }
}

/// Why a whole batch could not be committed; nothing of it is visible.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The WAL could not be written.
    #[error("cannot write batch to the WAL")]
    Wal(#[source] std::io::Error),
    /// The store is closing or closed.
    #[error("storage is closed")]
    Closed,
}

/// Gives out appenders.
pub trait Appendable: Send + Sync {
    /// Starts a batch. Dropping the appender without a commit rolls back.
    fn appender(&self) -> Box<dyn Appender>;
}

/// One batch. Calls do not block on disk but for `commit`; none may be called across an `.await`.
pub trait Appender: Send {
    /// Finds the series of a label set, or creates it (its WAL record goes with this batch).
    ///
    /// # Errors
    /// `InvalidLabels`, `Unavailable`.
    fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, AppendError>;

    /// Adds a float sample. The staleness marker is a value like any other. A sample equal to the newest one in time and
    /// value bits is accepted and does nothing.
    ///
    /// # Errors
    /// `OutOfOrder`, `DuplicateTimestamp`, `OutOfBounds`, `TooOld`, `UnknownSeries`.
    fn append(&mut self, series: SeriesRef, t_ms: i64, value: f64) -> Result<(), AppendError>;

    /// Like [`Appender::append`] for a sample whose counter started at `start_ms` (0: not known). A store that keeps no start
    /// timestamps drops them.
    ///
    /// # Errors
    /// Those of `append`.
    fn append_with_start(
        &mut self,
        series: SeriesRef,
        start_ms: i64,
        t_ms: i64,
        value: f64,
    ) -> Result<(), AppendError> {
        let _ = start_ms;
        self.append(series, t_ms, value)
    }

    /// Adds the zero that a counter showed at its start, before its sample at `t_ms`: a float, or an empty histogram laid out
    /// as `like`. Does nothing when the start is not before the sample or the series has a sample then or later, so it is never
    /// out of order; nor when the start is older than what the store takes in order.
    ///
    /// # Errors
    /// `UnknownSeries`, and what `append_histogram` says of `like`.
    fn append_start_zero(
        &mut self,
        series: SeriesRef,
        start_ms: i64,
        t_ms: i64,
        like: Option<HistogramRef<'_>>,
    ) -> Result<(), AppendError> {
        let _ = (series, start_ms, t_ms, like);
        Ok(())
    }

    /// Adds the staleness marker, if nothing newer is there: other than [`Appender::append`], never into an out-of-order
    /// window.
    ///
    /// # Errors
    /// Those of `append`; `OutOfOrder` when the series has a newer sample.
    fn append_stale(&mut self, series: SeriesRef, t_ms: i64) -> Result<(), AppendError> {
        self.append(series, t_ms, narthex_model::STALE_NAN)
    }

    /// Adds a native histogram sample.
    ///
    /// # Errors
    /// Those of `append`, `InvalidHistogram`, `HistogramsDisabled`.
    fn append_histogram(
        &mut self,
        series: SeriesRef,
        t_ms: i64,
        histogram: HistogramRef<'_>,
    ) -> Result<(), AppendError>;

    /// Like [`Appender::append_histogram`], with the start of the histogram's counter as in [`Appender::append_with_start`].
    ///
    /// # Errors
    /// Those of `append_histogram`.
    fn append_histogram_with_start(
        &mut self,
        series: SeriesRef,
        start_ms: i64,
        t_ms: i64,
        histogram: HistogramRef<'_>,
    ) -> Result<(), AppendError> {
        let _ = start_ms;
        self.append_histogram(series, t_ms, histogram)
    }

    /// Adds an exemplar; `exemplar.t_ms` must be set.
    ///
    /// # Errors
    /// The exemplar errors, `UnknownSeries`.
    fn append_exemplar(&mut self, series: SeriesRef, exemplar: &Exemplar) -> Result<(), AppendError>;

    /// Remembers the metadata of a series' family.
    ///
    /// # Errors
    /// `UnknownSeries`.
    fn update_metadata(&mut self, series: SeriesRef, metadata: &Metadata) -> Result<(), AppendError>;

    /// Writes the batch to the WAL, then shows it to readers as one.
    ///
    /// # Errors
    /// Nothing of the batch is visible after an error.
    fn commit(self: Box<Self>) -> Result<(), CommitError>;

    /// Forgets the batch. Series that it created may stay, without samples.
    fn rollback(self: Box<Self>);
}
