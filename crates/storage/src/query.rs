//! Reading: select series by matchers, then decode them one by one into reused buffers.

use std::sync::Arc;

use narthex_model::{FloatHistogram, Labels, Matcher};

use crate::{LabelSets, StoredChunk, Windows};

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Stored bytes are wrong; the text names file, offset, expected and found.
    #[error("corrupt data: {0}")]
    Corrupt(String),
    /// The disk failed.
    #[error("cannot read {what}")]
    Io {
        /// The file or its part.
        what: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The storage has no chunks to give.
    #[error("this storage keeps no chunks")]
    NoChunks,
    /// The storage is not ready or is closing.
    #[error("storage not ready: {0}")]
    NotReady(String),
}

/// What the reader knows beforehand. Only hints: a store may ignore all of it.
#[derive(Clone, Debug, Default)]
pub struct SelectHints {
    /// First timestamp of interest, ms, inclusive.
    pub start_ms: i64,
    /// Last timestamp of interest, ms, inclusive.
    pub end_ms: i64,
    /// Distance of evaluation steps, ms; 0 for an instant.
    pub step_ms: i64,
    /// The function around the selector (`rate`), `""` for none; `series` when only label sets are wanted.
    pub function: &'static str,
    /// Window of a range selector, ms; 0 for an instant selector.
    pub range_ms: i64,
    /// Most results wanted; 0 for no limit.
    pub limit: usize,
    /// Whether series may come in any order, so that a store that would have to sort them need not. COMPAT: the head gives them in
    /// order of their slots, mostly that of creation; merged lists are sorted all the same.
    pub any_order: bool,
    /// Whether the reader still wants the result; asked now and then by a store that waits for something.
    pub wanted: Wanted,
}

impl SelectHints {
    /// The same for who merges the results and needs them sorted.
    #[must_use]
    pub fn in_order(&self) -> Self {
        Self { any_order: false, ..self.clone() }
    }
}

/// Whether somebody still waits for a result. The default says so for ever.
#[derive(Clone, Default)]
pub struct Wanted(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Wanted {
    /// Asks `still` each time.
    #[must_use]
    pub fn while_true(still: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(still)))
    }

    /// Whether the result is still wanted.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.0.as_ref().is_none_or(|still| still())
    }
}

impl std::fmt::Debug for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wanted")
    }
}

/// Gives out queriers over a time range.
pub trait Queryable: Send + Sync {
    /// A consistent view of `[mint_ms, maxt_ms]`: batches committed after this call are not seen, and no batch is seen in part.
    ///
    /// # Errors
    /// `NotReady`.
    fn querier(&self, mint_ms: i64, maxt_ms: i64) -> Result<Box<dyn Querier>, QueryError>;
}

/// A view over a time range.
pub trait Querier: Send + Sync {
    /// All series that satisfy every matcher and may have samples in range, sorted by their label sets unless the hints allow any
    /// order.
    ///
    /// # Errors
    /// See [`QueryError`].
    fn select(&self, hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet>, QueryError>;

    /// Adds the label sets of all series that satisfy every matcher and may have samples in range; with a limit at least the first so
    /// many in their order, or if the hints allow any order, in that in which they are added.
    ///
    /// # Errors
    /// See [`QueryError`]; a part may have been added then.
    fn label_sets(
        &self,
        hints: &SelectHints,
        matchers: &[Matcher],
        out: &mut LabelSets,
    ) -> Result<(), QueryError> {
        let set = self.select(hints, matchers)?;
        (0..set.len()).for_each(|at| out.add_labels(&set.labels(at)));
        out.warn(set.warnings());
        Ok(())
    }

    /// The values of one label over the series that match (all series when `matchers` is empty), sorted, unique.
    ///
    /// # Errors
    /// See [`QueryError`].
    fn label_values(&self, name: &str, matchers: &[Matcher], limit: usize)
    -> Result<Vec<String>, QueryError>;

    /// The same, but values that are in `known` (sorted) may be left out: who merges several stores has mostly seen them.
    ///
    /// # Errors
    /// See [`QueryError`].
    fn label_values_beside(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
        known: &[String],
    ) -> Result<Vec<String>, QueryError> {
        let _ = known;
        self.label_values(name, matchers, limit)
    }

    /// The label names over the series that match, sorted, unique.
    ///
    /// # Errors
    /// See [`QueryError`].
    fn label_names(&self, matchers: &[Matcher], limit: usize) -> Result<Vec<String>, QueryError>;

    /// What the reader should tell beside the names and values that it got.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Selected series, addressed by position `0..len()`. May be read from several threads at once.
pub trait SeriesSet: Send + Sync {
    /// How many series.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The label set of one series.
    fn labels(&self, at: usize) -> Labels;

    /// Only the named labels of one series; `names` may be in any order. A store that finds labels one by one does better than
    /// building the whole set, which is what this does.
    fn labels_named(&self, at: usize, names: &[String]) -> Labels {
        self.labels(at).keep(names)
    }

    /// All labels of one series but the named ones, as [`Self::labels_named`].
    fn labels_but(&self, at: usize, names: &[String]) -> Labels {
        self.labels(at).drop(names)
    }

    /// Decodes the samples of one series with `mint_ms <= t <= maxt_ms` and appends them to `out` (which the caller clears).
    ///
    /// # Errors
    /// See [`QueryError`]; `out` may then hold a part.
    fn read(&self, at: usize, mint_ms: i64, maxt_ms: i64, out: &mut SampleBatch) -> Result<(), QueryError>;

    /// As [`Self::read`] for the times from the first window to the last, but floats that lie in no window may be missing.
    ///
    /// # Errors
    /// See [`QueryError`]; `out` may then hold a part.
    fn read_windows(&self, at: usize, windows: &Windows, out: &mut SampleBatch) -> Result<(), QueryError> {
        let (mint_ms, maxt_ms) = windows.hull();
        if mint_ms > maxt_ms { Ok(()) } else { self.read(at, mint_ms, maxt_ms, out) }
    }

    /// As [`Self::read_windows`] for who looks only at the newest sample of each window: what lies before it may be missing too.
    ///
    /// # Errors
    /// See [`QueryError`]; `out` may then hold a part.
    fn read_newest(&self, at: usize, windows: &Windows, out: &mut SampleBatch) -> Result<(), QueryError> {
        self.read_windows(at, windows, out)
    }

    /// Appends the chunks of one series that overlap a closed range: all that [`Self::read`] would show is in them, but for the
    /// times that they name as hidden, and perhaps more outside of the range. They may overlap and come in any order.
    ///
    /// # Errors
    /// See [`QueryError`]; `NoChunks` from a storage that does not keep any.
    fn chunks<'a>(
        &'a self,
        at: usize,
        mint_ms: i64,
        maxt_ms: i64,
        out: &mut Vec<StoredChunk<'a>>,
    ) -> Result<(), QueryError> {
        let _ = (at, mint_ms, maxt_ms, out);
        Err(QueryError::NoChunks)
    }

    /// What the reader should tell beside the result: which stores could not be asked, say. May wait for them.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Decoded samples of one series in columns; timestamps rise strictly in each column pair.
#[derive(Clone, Debug, Default)]
pub struct SampleBatch {
    /// Timestamps of the float samples, ms.
    pub t_ms: Vec<i64>,
    /// Their values, staleness markers included.
    pub values: Vec<f64>,
    /// Start timestamps of the float samples, ms, 0 for none; empty when no sample has one, else as long as `t_ms`.
    pub start_ms: Vec<i64>,
    /// Timestamps of the histogram samples, ms.
    pub histogram_t_ms: Vec<i64>,
    /// The histograms; a stale marker has the staleness NaN as sum.
    pub histograms: Vec<Arc<FloatHistogram>>,
    /// Start timestamps of the histogram samples, ms, 0 for none; empty when no sample has one, else as long as `histograms`.
    pub histogram_start_ms: Vec<i64>,
}

impl SampleBatch {
    /// Empties all columns and keeps their memory.
    pub fn clear(&mut self) {
        self.t_ms.clear();
        self.values.clear();
        self.start_ms.clear();
        self.histogram_t_ms.clear();
        self.histograms.clear();
        self.histogram_start_ms.clear();
    }

    /// How many samples of both kinds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.t_ms.len() + self.histogram_t_ms.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a float sample without start timestamp.
    #[inline]
    pub fn push(&mut self, t_ms: i64, value: f64) {
        self.t_ms.push(t_ms);
        self.values.push(value);
        if !self.start_ms.is_empty() {
            self.start_ms.push(0);
        }
    }

    /// Adds a float sample with its start timestamp, ms, 0 for none.
    #[inline]
    pub fn push_with_start(&mut self, t_ms: i64, start_ms: i64, value: f64) {
        add_start(&mut self.start_ms, self.t_ms.len(), start_ms);
        self.t_ms.push(t_ms);
        self.values.push(value);
    }

    /// Adds a histogram sample with its start timestamp, ms, 0 for none.
    pub fn push_histogram(&mut self, t_ms: i64, start_ms: i64, histogram: Arc<FloatHistogram>) {
        add_start(&mut self.histogram_start_ms, self.histograms.len(), start_ms);
        self.histogram_t_ms.push(t_ms);
        self.histograms.push(histogram);
    }
}

/// Adds to a column of start timestamps that belongs to `before` samples and is empty while none has one.
fn add_start(column: &mut Vec<i64>, before: usize, start_ms: i64) {
    if start_ms != 0 && column.is_empty() {
        column.resize(before, 0);
    }
    if start_ms != 0 || !column.is_empty() {
        column.push(start_ms);
    }
}
