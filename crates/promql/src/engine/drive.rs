//! Making all rows of a source, on several threads where it pays, and handing them on **in order**.
//!
//! Rows are made in chunks; whoever has the next chunk in turn feeds it to the sink. The sink therefore sees the rows one
//! by one in their order whatever the threads did, so that sums come out bit for bit the same with one thread or many. Feeding is
//! a few percent of the work (adding a finished row to a group), making rows is the rest.
//! Bound: a thread that finished early may run ahead by [`AHEAD`] chunks a thread, no further.

mod helpers;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use narthex_model::Labels;

use super::context::{QueryContext, Worker};
use super::error::{QueryError, Stage};
use super::row::{Row, RowSource, Wish};
pub(crate) use helpers::Helpers;
use helpers::Taken;

/// How many finished chunks a thread may have waiting for their turn.
const AHEAD: usize = 4;
/// Below this many row × step cells (a row counts [`ROW_COST`] and its hidden cost more) no helper is called.
const MIN_CELLS: usize = 20_000;
/// What a row costs beside its steps: looking it up and decoding a chunk.
const ROW_COST: usize = 100;

/// Takes finished rows, in order. Rows without any sample are left out.
pub(crate) trait RowSink: Send {
    /// Which labels `accept` wants to see; they are worked out by the thread that made the row.
    fn wish(&self) -> Wish;

    /// Takes the next row. It may change `row`, whose memory is used again.
    ///
    /// # Errors
    /// Limits, and what the operation refuses.
    fn accept(&mut self, at: usize, labels: Labels, row: &mut Row) -> Result<(), QueryError>;

    /// Whether nothing of the following rows is of interest.
    fn is_full(&self) -> bool {
        false
    }
}

/// Makes every row of `source` and feeds it to `sink` in order.
///
/// # Errors
/// The first error in the order of rows that was met, limits, timeout, cancellation.
pub(crate) fn drive(
    ctx: &QueryContext<'_>,
    source: &dyn RowSource,
    sink: &mut dyn RowSink,
) -> Result<(), QueryError> {
    ctx.check(Stage::Evaluation)?;
    let cells = source.len() * cells_of_row(source);
    let wanted = if cells < MIN_CELLS { 0 } else { (cells / MIN_CELLS).min(source.len() - 1) };
    let helpers = ctx.helpers.take(wanted);
    if helpers.is_empty() {
        drive_alone(ctx, source, sink)
    } else {
        drive_together(ctx, source, sink, &helpers)
    }
}

fn cells_of_row(source: &dyn RowSource) -> usize {
    source.steps().count + ROW_COST + source.hidden_cost()
}

fn drive_alone(
    ctx: &QueryContext<'_>,
    source: &dyn RowSource,
    sink: &mut dyn RowSink,
) -> Result<(), QueryError> {
    let mut worker = Worker::new(ctx);
    let wish = sink.wish();
    let steps = source.steps().count;
    let _held = ctx.hold_rows(1, steps)?;
    let mut row = worker.take_row(steps);
    for at in 0..source.len() {
        if sink.is_full() {
            break;
        }
        worker.begin_row()?;
        row.reset(steps);
        source.fill(at, &mut worker, &mut row)?;
        if !row.is_empty() {
            sink.accept(at, source.labels(at, &wish), &mut row)?;
        }
    }
    Ok(())
}

/// Finished rows with their numbers and labels.
type Chunk = Vec<(usize, Labels, Row)>;

/// What the threads of one drive share.
struct Shared<'a> {
    source: &'a dyn RowSource,
    wish: Wish,
    chunk_rows: usize,
    threads: usize,
    turn: Mutex<Turn<'a>>,
    moved: Condvar,
    next_chunk: AtomicUsize,
}

/// Guarded by one lock: whose turn it is, and what waits for its turn.
struct Turn<'a> {
    next: usize,
    waiting: BTreeMap<usize, Result<Chunk, QueryError>>,
    sink: &'a mut dyn RowSink,
    spare: Vec<Row>,
    outcome: Result<(), QueryError>,
    done: bool,
}

fn drive_together(
    ctx: &QueryContext<'_>,
    source: &dyn RowSource,
    sink: &mut dyn RowSink,
    helpers: &Taken<'_>,
) -> Result<(), QueryError> {
    let threads = helpers.len() + 1;
    // PERF: threads meet at each chunk, so there is much work in one; but less where rows are long, for some chunks wait in memory
    // and are charged to the query.
    let chunk_rows = (MIN_CELLS / (cells_of_row(source) + 3 * source.steps().count))
        .clamp(1, (source.len() / (threads * 2)).max(1));
    let in_flight = (threads * (AHEAD + 1) * chunk_rows).min(source.len());
    let _held = ctx.hold_rows(in_flight, source.steps().count)?;
    let wish = sink.wish();
    let turn =
        Turn { next: 0, waiting: BTreeMap::new(), sink, spare: Vec::new(), outcome: Ok(()), done: false };
    let shared = Shared {
        source,
        wish,
        chunk_rows,
        threads,
        turn: Mutex::new(turn),
        moved: Condvar::new(),
        next_chunk: AtomicUsize::new(0),
    };
    helpers.work_along(ctx.stack_bytes, &|| shared.work(ctx));
    shared.turn.into_inner().unwrap_or_else(PoisonError::into_inner).outcome
}

impl<'a> Shared<'a> {
    fn lock(&self) -> MutexGuard<'_, Turn<'a>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One thread's part: make chunks until there are no more, feed what is in turn.
    fn work(&self, ctx: &QueryContext<'_>) {
        let guard = StopOnPanic { shared: self };
        let mut worker = Worker::new(ctx);
        let mut spare: Vec<Row> = Vec::new();
        loop {
            let chunk = self.next_chunk.fetch_add(1, Ordering::Relaxed);
            if chunk * self.chunk_rows >= self.source.len() {
                break;
            }
            let made = self.make(chunk, &mut worker, &mut spare);
            if !self.hand_in(chunk, made, &mut spare) {
                break;
            }
        }
        std::mem::forget(guard);
    }

    fn make(&self, chunk: usize, worker: &mut Worker<'_>, spare: &mut Vec<Row>) -> Result<Chunk, QueryError> {
        let first = chunk * self.chunk_rows;
        let last = (first + self.chunk_rows).min(self.source.len());
        let steps = self.source.steps().count;
        let mut rows = Chunk::with_capacity(last - first);
        for at in first..last {
            worker.begin_row()?;
            let mut row = spare.pop().unwrap_or_default();
            row.reset(steps);
            self.source.fill(at, worker, &mut row)?;
            if row.is_empty() {
                spare.push(row);
            } else {
                rows.push((at, self.source.labels(at, &self.wish), row));
            }
        }
        Ok(rows)
    }

    /// Queues a chunk, feeds everything that is in turn, and waits when this thread is too far ahead. Says whether to go on.
    fn hand_in(&self, chunk: usize, made: Result<Chunk, QueryError>, spare: &mut Vec<Row>) -> bool {
        let mut turn = self.lock();
        turn.waiting.insert(chunk, made);
        while let Some(ready) = {
            let next = turn.next;
            turn.waiting.remove(&next)
        } {
            turn.feed(ready);
            turn.next += 1;
            self.moved.notify_all();
        }
        spare.append(&mut turn.spare);
        let limit = AHEAD * self.threads;
        while !turn.done && turn.waiting.len() >= limit {
            turn = self.moved.wait(turn).unwrap_or_else(PoisonError::into_inner);
        }
        !turn.done
    }
}

impl Turn<'_> {
    fn feed(&mut self, ready: Result<Chunk, QueryError>) {
        if self.done {
            return;
        }
        let fed = ready.and_then(|rows| {
            for (at, labels, mut row) in rows {
                self.sink.accept(at, labels, &mut row)?;
                self.spare.push(row);
            }
            Ok(())
        });
        self.done = fed.is_err() || self.sink.is_full();
        self.outcome = fed;
    }
}

/// Lets the other threads stop when this one panics, so that the panic reaches the caller instead of a dead wait.
struct StopOnPanic<'s, 'a> {
    shared: &'s Shared<'a>,
}

impl Drop for StopOnPanic<'_, '_> {
    fn drop(&mut self) {
        self.shared.lock().done = true;
        self.shared.moved.notify_all();
    }
}
