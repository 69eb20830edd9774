//! The desk: where queries are received, wait for their turn, run, and leave their traces.
//!
//! Road in: [`Desk::receive`] puts a query on the list and gives a [`Ticket`]; [`Ticket::turn`] (a future) or [`Ticket::wait`] waits
//! for one of the slots (`--query.max-concurrency`, and some more for rules alone), rules before dashboards before what somebody types; [`Ticket::run`]
//! evaluates. Dropping the ticket frees the slot, whatever happened. [`Desk::list`] shows who waits and runs, [`Desk::cancel`] calls off.
//! Inside: `board` holds slots, lanes and the list; `active_log` the file that tells after a crash what ran; `query_log` the
//! file of finished queries; `metrics` the counts.
//! Always true: at most `max_concurrency` tickets have their turn at a time, and [`Desk::slots_for_rules`] of rules beside them; a query is on the list from its receipt to the drop of
//! its ticket. No lock is held while a query runs.
//! What this does not do: HTTP, timers (the caller of the future bounds its waiting by [`Ticket::time_left`]), evaluation.

mod active_log;
mod board;
mod json;
mod metrics;
mod query_log;
#[cfg(test)]
mod tests;
mod young;

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant, SystemTime};

use narthex_metrics::Registry;
use narthex_model::UnixTime;
use narthex_storage::Queryable;

pub use active_log::ActiveLog;
pub use board::{ListedQuery, Stand};
pub use query_log::{QueryLog, stats_json};

use crate::engine::{Engine, ErrorKind, QueryError, QueryOptions, QueryOutput, QueryStats, Stage};
use board::{Board, Entered};
use metrics::DeskMetrics;
use query_log::Finished;
use young::{YOUTH, Young};

/// Queries that may begin at a time, for each processor: a query waits for the network and for locks, too.
const YOUNG_PER_THREAD: usize = 2;
/// How often who waits for a turn must ask again: it may be its turn because another query takes long.
pub const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Whom a query serves; who waits in a higher lane has its turn first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Recording and alerting rules: somebody is woken by them.
    Rules,
    /// Dashboards: somebody may be looking.
    Dashboards,
    /// Everything else.
    #[default]
    AdHoc,
}

impl Lane {
    /// All, the highest first.
    pub const ALL: [Self; 3] = [Self::Rules, Self::Dashboards, Self::AdHoc];

    /// `rules`, `dashboards`, `ad-hoc`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Dashboards => "dashboards",
            Self::AdHoc => "ad-hoc",
        }
    }

    /// The lane of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.as_str() == name)
    }
}

/// At which times a query is evaluated, ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Once.
    At(i64),
    /// At `start`, `start + step`, … up to at most `end`.
    Range {
        /// The first time.
        start: i64,
        /// The end, inclusive.
        end: i64,
        /// Above 0.
        step: i64,
    },
}

/// Where a query came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// From inside.
    #[default]
    Internal,
    /// Over HTTP.
    Http {
        /// The address of the other end, without port.
        client: String,
        /// `GET`, `POST`.
        method: String,
        /// The path, with the route prefix.
        path: String,
    },
    /// From a rule group.
    Rule {
        /// The file of the group.
        file: String,
        /// The group.
        group: String,
    },
}

/// A query as it comes in.
#[derive(Clone, Debug)]
pub struct Request {
    /// The text.
    pub text: String,
    /// When it is to be evaluated.
    pub times: Times,
    /// Whom it serves.
    pub lane: Lane,
    /// Where it came from.
    pub origin: Origin,
    /// How it is evaluated. `timeout` counts from the receipt.
    pub options: QueryOptions,
}

/// The desk. Shared by all who ask.
pub struct Desk {
    engine: Arc<Engine>,
    board: Board,
    active: Option<ActiveLog>,
    log: RwLock<Option<QueryLog>>,
    metrics: DeskMetrics,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl Desk {
    /// How many slots for rules alone there are beside so many for all: no rule waits for queries that somebody typed.
    #[must_use]
    pub fn slots_for_rules(max_concurrency: usize) -> usize {
        board::slots_for_rules(max_concurrency.max(1))
    }

    /// A desk in front of an engine with so many slots for all (at least one). `active` must have room for as many, and for
    /// [`Self::slots_for_rules`] more.
    #[must_use]
    pub fn new(
        engine: Arc<Engine>,
        max_concurrency: usize,
        active: Option<ActiveLog>,
        registry: &Registry,
    ) -> Self {
        let slots = max_concurrency.max(1);
        let metrics = DeskMetrics::new(registry, slots, &engine);
        let young = Young::new(engine.options().threads * YOUNG_PER_THREAD, YOUTH);
        Self { engine, board: Board::new(slots, young), active, log: RwLock::new(None), metrics }
    }

    /// The engine behind it.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Puts a query on the list. Its turn may have come at once.
    #[must_use]
    pub fn receive(self: &Arc<Self>, request: Request) -> Ticket {
        self.metrics.active.inc();
        let id = self.board.enter(&request, UnixTime::from_system(SystemTime::now()));
        Ticket {
            desk: Arc::clone(self),
            id,
            request,
            received: Instant::now(),
            queued: Duration::ZERO,
            slot: None,
        }
    }

    /// Who waits and runs, in order of receipt.
    #[must_use]
    pub fn list(&self) -> Vec<ListedQuery> {
        self.board.list()
    }

    /// Calls a query off; false when there is none of that number.
    pub fn cancel(&self, id: u64) -> bool {
        self.board.cancel(id)
    }

    /// Logs finished queries to `file` from now on, or no more when it is `None`. A file that is given again is opened again, so
    /// that it may have been moved away.
    ///
    /// # Errors
    /// The file cannot be opened; the log stays as it was.
    pub fn set_query_log(&self, file: Option<&Path>) -> io::Result<()> {
        let log = file.map(QueryLog::open).transpose()?;
        self.metrics.log_enabled.set(if log.is_some() { 1.0 } else { 0.0 });
        *self.log.write().unwrap_or_else(PoisonError::into_inner) = log;
        Ok(())
    }

    fn log(&self, ticket: &Ticket, stats: &QueryStats, error: Option<&QueryError>) {
        let log = self.log.read().unwrap_or_else(PoisonError::into_inner);
        let Some(log) = &*log else { return };
        let finished = Finished {
            request: &ticket.request,
            now: UnixTime::from_system(SystemTime::now()),
            queued: ticket.queued,
            stats,
            error,
        };
        if log.write(&finished).is_err() {
            self.metrics.log_failures.inc();
        }
    }
}

/// A query on the list. It leaves the list and gives its slot back when this is dropped.
#[derive(Debug)]
pub struct Ticket {
    desk: Arc<Desk>,
    id: u64,
    request: Request,
    received: Instant,
    queued: Duration,
    /// Its slot, once it is its turn.
    slot: Option<usize>,
}

impl Ticket {
    /// The number on the list.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How long it waited for its turn.
    #[must_use]
    pub fn queued(&self) -> Duration {
        self.queued
    }

    /// What is left of its time.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        let all = self.desk.engine.options().timeout;
        self.request.options.timeout.unwrap_or(all).min(all).saturating_sub(self.received.elapsed())
    }

    /// Waits for its turn, without end: the caller drops the future and asks again every [`LOOK_AGAIN`], and when no
    /// [`Self::time_left`] is, calls [`Self::timed_out`].
    pub fn turn(&mut self) -> Turn<'_> {
        Turn { ticket: self }
    }

    /// Waits for its turn on this thread.
    ///
    /// # Errors
    /// Called off, or its time is up.
    pub fn wait(&mut self) -> Result<(), QueryError> {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(turned) = self.poll_turn(&mut context) {
                return turned;
            }
            match self.time_left() {
                Duration::ZERO => return Err(self.timed_out()),
                left => std::thread::park_timeout(left.min(LOOK_AGAIN)),
            }
        }
    }

    /// Says that it waited longer than it may.
    #[must_use]
    pub fn timed_out(&mut self) -> QueryError {
        self.queued = self.received.elapsed();
        self.desk.metrics.queue(self.queued);
        let engines = self.desk.engine.options().timeout;
        let error =
            QueryError::QueueTimeout { asked: self.request.options.timeout.is_some_and(|t| t < engines) };
        // COMPAT: what the client bounds ends before it is a query for Prometheus.
        if error.kind() != ErrorKind::BadData {
            self.desk.log(self, &QueryStats::default(), Some(&error));
        }
        error
    }

    /// Evaluates the query. The turn stays taken until the ticket is dropped, so that a result may be encoded under it.
    ///
    /// # Errors
    /// See [`QueryError`].
    ///
    /// # Panics
    /// When it is not its turn.
    pub fn run(&mut self, storage: &dyn Queryable) -> Result<QueryOutput, QueryError> {
        let slot = self.slot.expect("a query runs when it is its turn");
        self.request.options.timeout = Some(self.time_left());
        self.desk.board.start(self.id, UnixTime::from_system(SystemTime::now()));
        if let Some(active) = &self.desk.active {
            active.insert(slot, &self.request.text, SystemTime::now());
        }
        let outcome = self.evaluate(storage);
        if let Some(active) = &self.desk.active {
            active.remove(slot);
        }
        match &outcome {
            Ok(output) => {
                self.desk.metrics.count(output);
                self.desk.log(self, &output.stats, None);
            }
            // COMPAT: what is no query at all is answered but neither counted nor logged.
            Err(error) if error.kind() == ErrorKind::BadData => {}
            Err(error) => {
                let nothing = QueryStats::default();
                let cost = self.request.options.progress.cost_of_failure().unwrap_or(&nothing);
                self.desk.metrics.count_failed(cost);
                self.desk.log(self, cost, Some(error));
            }
        }
        outcome
    }

    fn evaluate(&self, storage: &dyn Queryable) -> Result<QueryOutput, QueryError> {
        let (engine, text, options) = (&self.desk.engine, &self.request.text, &self.request.options);
        match self.request.times {
            Times::At(t_ms) => engine.instant(storage, text, t_ms, options),
            Times::Range { start, end, step } => engine.range(storage, text, start, end, step, options),
        }
    }

    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Result<(), QueryError>> {
        if self.slot.is_some() {
            return Poll::Ready(Ok(()));
        }
        let turned = match self.desk.board.poll(self.id, context.waker()) {
            Entered::Waiting => return Poll::Pending,
            Entered::Slot(slot) => {
                self.slot = Some(slot);
                Ok(())
            }
            Entered::Canceled => Err(QueryError::Canceled(Stage::Queue)),
        };
        self.queued = self.received.elapsed();
        self.desk.metrics.queue(self.queued);
        if let Err(error) = &turned {
            self.desk.log(self, &QueryStats::default(), Some(error));
        }
        Poll::Ready(turned)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.desk.board.leave(self.id);
        self.desk.metrics.active.dec();
    }
}

/// Ends when it is the query's turn, or when it was called off.
#[derive(Debug)]
pub struct Turn<'a> {
    ticket: &'a mut Ticket,
}

impl Future for Turn<'_> {
    type Output = Result<(), QueryError>;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.ticket.poll_turn(context)
    }
}

/// Wakes a thread that waits in [`Ticket::wait`].
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
