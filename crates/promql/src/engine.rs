//! The engine: from query text to a value, over anything that is `Queryable`.
//!
//! The road of a query: `plan` works out times and folds constants; `eval` turns plan nodes into sources of rows (`row`); `drive`
//! makes the rows on several threads and feeds them in order to sinks (groups, joins, the result). A row is one series
//! over all steps. Range functions make one pass over a series' samples (`kernels`); an aggregation adds each finished row
//! to its group and drops it.
//! What the engine does not do: queue queries, know HTTP or JSON, keep results. Calls block: run them off the async threads.

mod annotations;
mod block;
mod context;
mod drive;
mod error;
mod eval;
mod explain;
mod kernels;
mod label_map;
mod memory;
mod nameless;
pub(crate) mod native;
mod ops;
mod patterns;
mod plan;
mod result;
mod row;
mod shared;
mod stack;
mod step_stats;
mod steps;
mod value;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use narthex_storage::{Queryable, SelectHints, Wanted};

pub use annotations::{Annotations, Severity};
pub use context::{CancelToken, SampleStats};
pub use error::{ErrorKind, QueryError, Stage};
pub use explain::{OperatorCost, PlanNode};
pub use kernels::buckets::almost_equal;
pub use memory::{Progress, ResultMemory};
pub use native::{HistogramBucket, histogram_buckets};
pub use step_stats::StepSamples;
pub use steps::{Mask, Steps};
pub use value::{FloatColumns, FloatPoints, Matrix, MatrixSeries, Point, Value, Vector, VectorSample};

use crate::ast::Expr;
use crate::parser::{self, ParseOptions};
use context::{Bounds, QueryContext, Rules};
use drive::Helpers;
use memory::{Account, Charge, Limits, MemoryPool, SELECTED_BYTES};
use patterns::Patterns;
use plan::{Plan, QueryTimes};

/// A row holds a number for each step whether there is a sample or not; this bounds the memory of one row (80 MB).
const MAX_STEPS: usize = 10_000_000;

/// Times further from the epoch than this are taken for this, so that no sum of times and durations overflows.
const MAX_TIME_MS: i64 = i64::MAX / 8;

/// Parts of the language and of its evaluation that are off unless asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Features {
    /// Experimental syntax and functions.
    pub parse: ParseOptions,
    /// Metric names are dropped at the end of a query instead of by each operation (`promql-delayed-name-removal`).
    pub delayed_name_removal: bool,
    /// The label `__type__` says what is a counter (`type-and-unit-labels`).
    pub type_and_unit_labels: bool,
    /// `rate` and friends use start timestamps (`use-start-timestamps`).
    pub use_start_timestamps: bool,
    /// Queries that ask for it are told samples by step (`promql-per-step-stats`).
    pub per_step_stats: bool,
}

/// How an engine works.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// How far back an instant selector looks for a sample, ms.
    pub lookback_ms: i64,
    /// The most samples that one query may hold at a time.
    pub max_samples: u64,
    /// The most bytes that one query may hold; `u64::MAX` for no limit.
    pub max_query_bytes: u64,
    /// The most bytes that all queries together may hold; `u64::MAX` for no limit.
    pub max_total_bytes: u64,
    /// The longest that a query may take.
    pub timeout: Duration,
    /// The step of subqueries that name none, ms; see [`Engine::set_default_subquery_step_ms`].
    pub default_subquery_step_ms: i64,
    /// How many threads all queries together may use beside those that call the engine, plus one.
    pub threads: usize,
    /// What is switched on.
    pub features: Features,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            lookback_ms: 300_000,
            max_samples: 50_000_000,
            max_query_bytes: u64::MAX,
            max_total_bytes: u64::MAX,
            timeout: Duration::from_secs(120),
            default_subquery_step_ms: 60_000,
            threads: std::thread::available_parallelism().map_or(2, usize::from).max(2),
            features: Features::default(),
        }
    }
}

/// What one query may have different.
#[derive(Clone, Debug, Default)]
pub struct QueryOptions {
    /// Another lookback than the engine's, ms.
    pub lookback_ms: Option<i64>,
    /// A shorter timeout than the engine's.
    pub timeout: Option<Duration>,
    /// Calls the query off.
    pub cancel: CancelToken,
    /// Shows others how far the query is.
    pub progress: Progress,
    /// Whether samples are counted by step; needs [`Features::per_step_stats`]. Such a query reads everything twice.
    pub per_step_stats: bool,
    /// Whether the plan is given with what each operator cost.
    pub analyze: bool,
}

/// What a query gave.
#[derive(Clone, Debug)]
pub struct QueryOutput {
    /// The value.
    pub value: Value,
    /// Infos and warnings; render them against the query text.
    pub annotations: Annotations,
    /// What it cost.
    pub stats: QueryStats,
    /// What is charged for the value as long as it is there.
    pub memory: ResultMemory,
    /// The plan with its costs, when it was asked for.
    pub plan: Option<Box<PlanNode>>,
}

/// What a query cost.
#[derive(Clone, Debug, Default)]
pub struct QueryStats {
    /// Parsing, planning and finding the series.
    pub prepare: Duration,
    /// Computing.
    pub eval: Duration,
    /// Sorting and assembling the result.
    pub sort: Duration,
    /// Samples touched and held.
    pub samples: SampleStats,
    /// The same by step, when it was asked for.
    pub by_step: Option<Box<StepSamples>>,
}

/// Evaluates queries. Shared by all threads.
#[derive(Debug)]
pub struct Engine {
    options: EngineOptions,
    subquery_step_ms: AtomicI64,
    helpers: Helpers,
    patterns: Patterns,
    memory: Arc<MemoryPool>,
}

impl Engine {
    /// An engine with these options.
    #[must_use]
    pub fn new(options: EngineOptions) -> Self {
        Self {
            options,
            subquery_step_ms: AtomicI64::new(options.default_subquery_step_ms),
            helpers: Helpers::new(options.threads.saturating_sub(1)),
            patterns: Patterns::default(),
            memory: Arc::new(MemoryPool::new(options.max_total_bytes)),
        }
    }

    /// The bytes that queries hold now, rounded up by a slab a query.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.memory.taken()
    }

    /// Room for who reads past the queries, as a federation does: within the limit of one query, and of all together.
    #[must_use]
    pub fn room(&self) -> ResultMemory {
        let limits = Limits { samples: self.options.max_samples, bytes: self.options.max_query_bytes };
        ResultMemory::empty(Arc::new(Account::new(limits, Arc::clone(&self.memory), Progress::default())))
    }

    /// Its options.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Changes the step of subqueries that name none (the global evaluation interval), for queries that start from now on.
    pub fn set_default_subquery_step_ms(&self, step_ms: i64) {
        self.subquery_step_ms.store(step_ms, Ordering::Relaxed);
    }

    /// Evaluates a query at one time.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn instant(
        &self,
        queryable: &dyn Queryable,
        text: &str,
        t_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryOutput, QueryError> {
        self.run(queryable, text, QueryTimes { start_ms: t_ms, end_ms: t_ms, step_ms: 0 }, options)
    }

    /// Evaluates a query at `start_ms`, `start_ms + step_ms`, … up to at most `end_ms`.
    ///
    /// # Errors
    /// See [`QueryError`]; a query that is neither a scalar nor an instant vector is refused.
    ///
    /// # Panics
    /// When `step_ms` is not above 0.
    #[expect(clippy::too_many_arguments, reason = "its three times are what a range query is")]
    pub fn range(
        &self,
        queryable: &dyn Queryable,
        text: &str,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryOutput, QueryError> {
        assert!(step_ms > 0, "a range query needs a step above 0, found {step_ms}");
        self.run(queryable, text, QueryTimes { start_ms, end_ms, step_ms }, options)
    }

    /// The plan of a query, without running it. `step_ms` is `None` for a query at `start_ms` alone.
    ///
    /// # Errors
    /// The query does not parse, or cannot be evaluated so.
    pub fn explain(
        &self,
        text: &str,
        (start_ms, end_ms, step_ms): (i64, i64, Option<i64>),
        lookback_ms: Option<i64>,
    ) -> Result<PlanNode, QueryError> {
        let times = clamped(QueryTimes { start_ms, end_ms, step_ms: step_ms.unwrap_or(0) });
        let expr = parser::parse(text, &self.options.features.parse)?;
        let rules = self.rules(lookback_ms);
        stack::with_stack(stack::bytes_for(&expr), || {
            Ok(explain::tree(&plan::plan(&expr, &times, &rules)?, times.steps(), None))
        })
    }

    fn run(
        &self,
        queryable: &dyn Queryable,
        text: &str,
        times: QueryTimes,
        options: &QueryOptions,
    ) -> Result<QueryOutput, QueryError> {
        let began = Instant::now();
        let times = clamped(times);
        let expr = parser::parse(text, &self.options.features.parse)?;
        let stack_bytes = stack::bytes_for(&expr);
        let evaluate = || self.run_parsed(queryable, &expr, (times, began, stack_bytes), options);
        stack::with_stack(stack_bytes, evaluate)
    }

    fn run_parsed(
        &self,
        queryable: &dyn Queryable,
        expr: &Expr,
        (times, began, stack_bytes): (QueryTimes, Instant, Option<usize>),
        options: &QueryOptions,
    ) -> Result<QueryOutput, QueryError> {
        let rules = self.rules(options.lookback_ms);
        let plan = plan::plan(expr, &times, &rules)?;
        let mut ctx = QueryContext::new(rules, (&self.helpers, &self.patterns), self.bounds(began, options));
        ctx.stack_bytes = stack_bytes;
        ctx.trace = options.analyze.then(explain::Trace::default);
        let mut spent = QueryStats::default();
        let outcome = self.run_planned(queryable, (&plan, &times, began), &mut ctx, (options, &mut spent));
        if outcome.is_err() {
            options.progress.end_failed(QueryStats { samples: ctx.sample_stats(), ..spent });
        }
        outcome
    }

    /// `spent` is what was spent so far, also when the query fails.
    fn run_planned(
        &self,
        queryable: &dyn Queryable,
        (plan, times, began): (&Plan, &QueryTimes, Instant),
        ctx: &mut QueryContext<'_>,
        (options, spent): (&QueryOptions, &mut QueryStats),
    ) -> Result<QueryOutput, QueryError> {
        ctx.check(Stage::Evaluation)?;
        let still = (options.cancel.clone(), ctx.deadline());
        let wanted = Wanted::while_true(move || {
            !still.0.is_canceled() && still.1.is_none_or(|deadline| Instant::now() < deadline)
        });
        let selected = select_series(queryable, plan, &wanted);
        spent.prepare = began.elapsed();
        ctx.series = selected?;
        let ctx = &*ctx;
        let mut held = Charge::new(ctx);
        held.add_bytes(ctx.series.iter().map(|set| set.len() * SELECTED_BYTES).sum())?;
        let prepared = Instant::now();
        let raw = result::evaluate(plan, times, ctx);
        spent.eval = prepared.elapsed();
        let raw = raw?;
        ctx.check(Stage::Evaluation)?;
        let told: Vec<String> = ctx.series.iter().flat_map(|set| set.warnings()).collect();
        if !told.is_empty() {
            ctx.annotate(|notes| told.into_iter().for_each(|text| notes.stored(text)));
        }
        let (mut samples, annotations) = (ctx.sample_stats(), ctx.take_annotations());
        let tree = options.analyze.then(|| Box::new(explain::tree(plan, times.steps(), ctx.trace.as_ref())));
        let by_step = self.by_step(plan, times, ctx, options)?;
        if let Some(by_step) = &by_step {
            (samples.total_queryable, samples.read) = by_step.totals();
        }
        let counted = Instant::now();
        let value = result::finish(raw, times);
        let memory = ResultMemory::of(ctx, value.heap_bytes())?;
        let stats = QueryStats { samples, sort: counted.elapsed(), by_step, ..spent.clone() };
        Ok(QueryOutput { value, annotations, stats, memory, plan: tree })
    }

    fn by_step(
        &self,
        plan: &Plan,
        times: &QueryTimes,
        ctx: &QueryContext<'_>,
        options: &QueryOptions,
    ) -> Result<Option<Box<StepSamples>>, QueryError> {
        if !(options.per_step_stats && self.options.features.per_step_stats) {
            return Ok(None);
        }
        let counts = step_stats::count(&eval::Evaluator::of_parts(plan, ctx), times.steps())?;
        Ok(Some(Box::new(counts)))
    }

    fn bounds(&self, began: Instant, options: &QueryOptions) -> Bounds {
        let timeout = options.timeout.unwrap_or(self.options.timeout).min(self.options.timeout);
        let limits = Limits { samples: self.options.max_samples, bytes: self.options.max_query_bytes };
        let account = Account::new(limits, Arc::clone(&self.memory), options.progress.clone());
        Bounds {
            account: Arc::new(account),
            deadline: began.checked_add(timeout),
            cancel: options.cancel.clone(),
            progress: options.progress.clone(),
        }
    }

    fn rules(&self, lookback_ms: Option<i64>) -> Rules {
        let features = &self.options.features;
        Rules {
            lookback_ms: lookback_ms.filter(|l| *l >= 0).unwrap_or(self.options.lookback_ms),
            subquery_step_ms: self.subquery_step_ms.load(Ordering::Relaxed),
            max_steps: usize::try_from(self.options.max_samples).unwrap_or(MAX_STEPS).min(MAX_STEPS),
            delayed_names: features.delayed_name_removal,
            type_labels: features.type_and_unit_labels,
            start_timestamps: features.use_start_timestamps,
        }
    }
}

fn clamped(times: QueryTimes) -> QueryTimes {
    QueryTimes {
        start_ms: times.start_ms.clamp(-MAX_TIME_MS, MAX_TIME_MS),
        end_ms: times.end_ms.clamp(-MAX_TIME_MS, MAX_TIME_MS),
        ..times
    }
}

/// Finds the series of every selector of the plan, all in one consistent view.
fn select_series(
    queryable: &dyn Queryable,
    plan: &Plan,
    wanted: &Wanted,
) -> Result<Vec<Box<dyn narthex_storage::SeriesSet>>, QueryError> {
    let Some((mint_ms, maxt_ms)) = plan.reach() else { return Ok(Vec::new()) };
    let querier = queryable.querier(mint_ms, maxt_ms)?;
    let found = plan.selects.iter().map(|select| {
        let hints = SelectHints {
            start_ms: select.reach.0,
            end_ms: select.reach.1,
            step_ms: select.step_ms,
            function: select.function,
            range_ms: select.range_ms,
            limit: 0,
            any_order: true,
            wanted: wanted.clone(),
        };
        Ok(querier.select(&hints, &select.matchers)?)
    });
    found.collect()
}
