//! What the operators of one query share: its limits, its account of what it holds, cancellation, and what they tell.
//!
//! Always true: every operator charges what it keeps between rows to the account before it keeps it; every row checks
//! for cancellation and timeout. A [`Worker`] belongs to one thread; it counts locally and publishes when it is dropped.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use narthex_storage::{SampleBatch, SeriesSet};

use super::annotations::Annotations;
use super::drive::Helpers;
use super::error::{QueryError, Stage};
use super::explain::Trace;
use super::memory::{Account, Charge, Progress};
use super::patterns::Patterns;
use super::row::Row;

/// Calls a query off. Clones belong together.
#[derive(Clone, Debug, Default)]
pub struct CancelToken {
    canceled: Arc<AtomicBool>,
}

impl CancelToken {
    /// A token that is not canceled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls off every query that runs under this token.
    pub fn cancel(&self) {
        self.canceled.store(true, Ordering::Relaxed);
    }

    /// Whether it was canceled.
    #[must_use]
    pub fn is_canceled(&self) -> bool {
        self.canceled.load(Ordering::Relaxed)
    }
}

/// How a query is to be evaluated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// How far back an instant selector looks, ms; the window excludes its left edge.
    pub lookback_ms: i64,
    /// The step of subqueries that name none, ms.
    pub subquery_step_ms: i64,
    /// The most steps that a subquery may have, and with it the longest row.
    pub max_steps: usize,
    /// Names are dropped at the end of the query instead of by each operation.
    pub delayed_names: bool,
    /// `__type__` tells what is a counter.
    pub type_labels: bool,
    /// `rate` and friends take start timestamps into account.
    pub start_timestamps: bool,
}

/// How much a query touched and held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampleStats {
    /// Samples that went into the result, the full window at each step.
    pub total_queryable: u64,
    /// Samples read; a sample in the windows of several steps counts once.
    pub read: u64,
    /// The most samples held at one time.
    pub peak: u64,
    /// The most bytes held at one time.
    pub peak_bytes: u64,
}

/// What the operators of one query share.
pub(crate) struct QueryContext<'q> {
    pub rules: Rules,
    pub account: Arc<Account>,
    pub helpers: &'q Helpers,
    pub patterns: &'q Patterns,
    /// The series of each distinct selector of the plan.
    pub series: Vec<Box<dyn SeriesSet>>,
    /// The stack that helpers need for a deep query.
    pub stack_bytes: Option<usize>,
    /// What operators cost, when somebody wants to know.
    pub trace: Option<Trace>,
    deadline: Option<Instant>,
    cancel: CancelToken,
    total_queryable: AtomicU64,
    read: AtomicU64,
    annotations: Mutex<Annotations>,
    annotations_told: AtomicU64,
    progress: Progress,
}

/// What bounds one query.
pub(crate) struct Bounds {
    pub account: Arc<Account>,
    pub deadline: Option<Instant>,
    pub cancel: CancelToken,
    pub progress: Progress,
}

impl<'q> QueryContext<'q> {
    pub(crate) fn new(
        rules: Rules,
        (helpers, patterns): (&'q Helpers, &'q Patterns),
        bounds: Bounds,
    ) -> Self {
        Self {
            rules,
            account: bounds.account,
            helpers,
            patterns,
            series: Vec::new(),
            stack_bytes: None,
            trace: None,
            deadline: bounds.deadline,
            cancel: bounds.cancel,
            total_queryable: AtomicU64::new(0),
            read: AtomicU64::new(0),
            annotations: Mutex::default(),
            annotations_told: AtomicU64::new(0),
            progress: bounds.progress,
        }
    }

    /// Fails when the query was called off, its time is up, or it holds more bytes than it may.
    pub(crate) fn check(&self, stage: Stage) -> Result<(), QueryError> {
        self.check_but_time(stage)?;
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(QueryError::Timeout(stage)),
            _ => Ok(()),
        }
    }

    fn check_but_time(&self, stage: Stage) -> Result<(), QueryError> {
        if self.cancel.is_canceled() {
            return Err(QueryError::Canceled(stage));
        }
        self.account.check()
    }

    /// Charges `rows` rows of `steps` floats, before they are made.
    pub(crate) fn hold_rows(&self, rows: usize, steps: usize) -> Result<Charge, QueryError> {
        let mut charge = Charge::new(self);
        // A float and a bit.
        charge.add_bytes(rows.saturating_mul(8 * steps + steps / 8))?;
        Ok(charge)
    }

    /// Tells something about the result.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn annotate(&self, tell: impl FnOnce(&mut Annotations)) {
        self.annotations_told.fetch_add(1, Ordering::Relaxed);
        tell(&mut self.annotations.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// How often something was told.
    pub(crate) fn annotations_told(&self) -> u64 {
        self.annotations_told.load(Ordering::Relaxed)
    }

    /// Counts samples once more: all of the windows, and those read.
    pub(crate) fn count_samples(&self, (total_queryable, read): (u64, u64)) {
        self.total_queryable.fetch_add(total_queryable, Ordering::Relaxed);
        self.read.fetch_add(read, Ordering::Relaxed);
    }

    /// What was told; empties the list.
    pub(crate) fn take_annotations(&self) -> Annotations {
        std::mem::take(&mut *self.annotations.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Runs a part of the query whose samples count `times` times, as far as it counts them before it returns.
    pub(crate) fn counting_as<T>(&self, times: u64, part: impl FnOnce() -> T) -> T {
        // Operators are evaluated one after the other; only what is inside `part` counts meanwhile.
        let before = self.total_queryable.load(Ordering::Relaxed);
        let done = part();
        let counted = self.total_queryable.load(Ordering::Relaxed) - before;
        self.total_queryable.store(before + counted * times, Ordering::Relaxed);
        done
    }

    pub(crate) fn sample_stats(&self) -> SampleStats {
        SampleStats {
            total_queryable: self.total_queryable.load(Ordering::Relaxed),
            read: self.read.load(Ordering::Relaxed),
            peak: self.account.peak_samples(),
            peak_bytes: self.progress.peak_bytes(),
        }
    }
}

/// How many samples a thread reads before it tells those who look at the running query.
const TELL_EVERY: u64 = 20_000;

/// Rows between two looks at the clock, which cost as much as a row of few samples.
const ROWS_A_CHECK: u32 = 16;

/// One thread's scratch memory and counters.
pub(crate) struct Worker<'q> {
    pub ctx: &'q QueryContext<'q>,
    /// What this thread has to tell; published when the worker is dropped.
    pub annotations: Annotations,
    /// See [`SampleStats::total_queryable`].
    pub total_queryable: u64,
    /// See [`SampleStats::read`].
    pub read: u64,
    #[expect(clippy::vec_box, reason = "a batch is six vectors: handed on by a pointer, it is not copied")]
    batches: Vec<Box<SampleBatch>>,
    rows: Vec<Row>,
    /// The bytes of `batches` and `rows`, and the most they were, which is what is charged.
    scratch_bytes: usize,
    charge: Charge,
    /// How much of `read` was told to whoever looks at the running query.
    told: u64,
    /// Rows until the clock is looked at again.
    rows_to_check: u32,
}

impl<'q> Worker<'q> {
    pub(crate) fn new(ctx: &'q QueryContext<'q>) -> Self {
        Self {
            ctx,
            annotations: Annotations::default(),
            total_queryable: 0,
            read: 0,
            batches: Vec::new(),
            rows: Vec::new(),
            scratch_bytes: 0,
            charge: Charge::new(ctx),
            told: 0,
            rows_to_check: 0,
        }
    }

    /// What [`QueryContext::check`] does, before each row: limits and cancellation each time, the clock now and then.
    pub(crate) fn begin_row(&mut self) -> Result<(), QueryError> {
        if self.rows_to_check == 0 {
            self.rows_to_check = ROWS_A_CHECK;
            return self.ctx.check(Stage::Evaluation);
        }
        self.rows_to_check -= 1;
        self.ctx.check_but_time(Stage::Evaluation)
    }

    /// An empty batch; give it back with [`Self::return_batch`] so that its memory is used again.
    pub(crate) fn take_batch(&mut self) -> Box<SampleBatch> {
        let mut batch = self.batches.pop().unwrap_or_default();
        self.scratch_bytes -= batch_bytes(&batch);
        batch.clear();
        batch
    }

    /// Takes a batch back. What its memory grew to is charged; a limit that is passed shows at the next row.
    pub(crate) fn return_batch(&mut self, mut batch: Box<SampleBatch>) {
        // Histograms are shared with whoever kept them, and must not outlive the series here.
        batch.histograms.clear();
        self.scratch_bytes += batch_bytes(&batch);
        let _ = self.charge.raise_bytes(self.scratch_bytes);
        self.batches.push(batch);
        if self.read - self.told >= TELL_EVERY {
            self.tell();
        }
    }

    /// An empty row of `count` steps; give it back with [`Self::return_row`].
    pub(crate) fn take_row(&mut self, count: usize) -> Row {
        let mut row = self.rows.pop().unwrap_or_default();
        self.scratch_bytes -= row.heap_bytes();
        row.reset(count);
        row
    }

    /// Takes a row back, as [`Self::return_batch`].
    pub(crate) fn return_row(&mut self, mut row: Row) {
        row.histograms.clear();
        self.scratch_bytes += row.heap_bytes();
        let _ = self.charge.raise_bytes(self.scratch_bytes);
        self.rows.push(row);
    }

    fn tell(&mut self) {
        if self.read != self.told {
            self.ctx.progress.count_read(self.read - self.told);
            self.told = self.read;
        }
    }
}

/// The memory of a batch's columns; not of histograms, which are shared.
fn batch_bytes(batch: &SampleBatch) -> usize {
    let words = batch.t_ms.capacity()
        + batch.values.capacity()
        + batch.start_ms.capacity()
        + batch.histogram_t_ms.capacity()
        + batch.histograms.capacity()
        + batch.histogram_start_ms.capacity();
    8 * words
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        self.tell();
        self.ctx.total_queryable.fetch_add(self.total_queryable, Ordering::Relaxed);
        self.ctx.read.fetch_add(self.read, Ordering::Relaxed);
        if !self.annotations.is_empty() {
            let found = std::mem::take(&mut self.annotations);
            self.ctx.annotate(|all| all.merge(found));
        }
    }
}
