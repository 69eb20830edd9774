//! The plan of a query as a tree to read: what each operator is, and, after a run that was watched, what it cost.
//!
//! Road in: [`tree`] describes a plan; with a [`Trace`] it adds the costs. A query that is not watched has no trace, and nothing
//! of this runs: the evaluator looks once a plan node whether there is one.
//! Watched, each row costs two looks at the clock more.
//! What this does not do: text or JSON.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use narthex_model::{Labels, format_duration_ms};

use super::context::{QueryContext, Worker};
use super::error::QueryError;
use super::kernels::window::Window;
use super::plan::{
    Aggregation, Grouping, HistogramCall, Join, Node, Op, PerSample, Plan, RangeCall, Relabel, Root, Samples,
    Scalar, SortKey, Tell,
};
use super::row::{Row, RowSource, Rows, Wish};
use super::steps::Steps;

/// One operator of a plan and its inputs.
#[derive(Clone, Debug)]
pub struct PlanNode {
    /// What it is: `select`, `range`, `aggregate`, ….
    pub operator: &'static str,
    /// More about it, in PromQL's words.
    pub detail: String,
    /// At how many times it is evaluated.
    pub steps: usize,
    /// What it cost; only in a plan that was run.
    pub cost: Option<OperatorCost>,
    /// Where its rows come from.
    pub inputs: Vec<PlanNode>,
}

/// What an operator cost, its inputs included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperatorCost {
    /// Time: of operators that must see their whole input, until they had; of rows that are made one by one, the sum over threads.
    pub time: Duration,
    /// How many series with samples it handed on. Series that are asked for twice count twice.
    pub series: u64,
    /// The samples in them; a histogram counts as what it weighs.
    pub samples: u64,
    /// Bytes that were held for it once its input was seen.
    pub bytes: u64,
}

/// What the operators of one query cost, by plan node.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// By the address of the node, which does not move while the plan lives.
    counters: Mutex<HashMap<usize, Arc<Counters>>>,
}

#[derive(Debug, Default)]
struct Counters {
    nanos: AtomicU64,
    series: AtomicU64,
    samples: AtomicU64,
    bytes: AtomicU64,
}

impl Counters {
    fn add_time(&self, since: Instant) {
        let nanos = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl Trace {
    fn of(&self, node: &Node) -> Arc<Counters> {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(counters.entry(std::ptr::from_ref(node).addr()).or_default())
    }

    /// Evaluates a node and watches its rows.
    pub(crate) fn watch<'q>(
        &self,
        ctx: &QueryContext<'_>,
        node: &Node,
        evaluate: impl FnOnce() -> Result<Rows<'q>, QueryError>,
    ) -> Result<Rows<'q>, QueryError> {
        let counters = self.of(node);
        let (began, before) = (Instant::now(), ctx.account.bytes());
        let rows = evaluate()?;
        counters.add_time(began);
        counters.bytes.fetch_add(ctx.account.bytes().saturating_sub(before), Ordering::Relaxed);
        Ok(Box::new(Watched { rows, counters }))
    }

    fn cost(&self, node: &Node) -> OperatorCost {
        let counters = self.of(node);
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        OperatorCost {
            time: Duration::from_nanos(read(&counters.nanos)),
            series: read(&counters.series),
            samples: read(&counters.samples),
            bytes: read(&counters.bytes),
        }
    }
}

/// Rows that are counted and timed.
struct Watched<'q> {
    rows: Rows<'q>,
    counters: Arc<Counters>,
}

impl RowSource for Watched<'_> {
    fn steps(&self) -> Steps {
        self.rows.steps()
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn labels(&self, at: usize, wish: &Wish) -> Labels {
        self.rows.labels(at, wish)
    }

    fn drops_name(&self, at: usize) -> bool {
        self.rows.drops_name(at)
    }

    fn has_one_name(&self) -> bool {
        self.rows.has_one_name()
    }

    fn fill(&self, at: usize, worker: &mut Worker<'_>, row: &mut Row) -> Result<(), QueryError> {
        let began = Instant::now();
        let filled = self.rows.fill(at, worker, row);
        self.counters.add_time(began);
        if filled.is_ok() && !row.is_empty() {
            self.counters.series.fetch_add(1, Ordering::Relaxed);
            self.counters.samples.fetch_add(row.weight(), Ordering::Relaxed);
        }
        filled
    }
}

/// The tree of a plan, with costs when it was watched.
pub(crate) fn tree(plan: &Plan, steps: Steps, trace: Option<&Trace>) -> PlanNode {
    let tree = Tree { plan, trace };
    let leaf =
        |operator, detail| PlanNode { operator, detail, steps: steps.count, cost: None, inputs: Vec::new() };
    match &plan.root {
        Root::String(_) => leaf("string", String::new()),
        Root::Scalar(scalar) => {
            PlanNode { inputs: tree.of_scalars([scalar]), ..leaf("scalar", String::new()) }
        }
        Root::Vector(node) => tree.of(node),
        Root::Subquery(node) => PlanNode { inputs: vec![tree.of(node)], ..leaf("subquery", String::new()) },
        Root::Stored(range) => leaf("stored", tree.matchers(range.select)),
    }
}

struct Tree<'a> {
    plan: &'a Plan,
    trace: Option<&'a Trace>,
}

impl Tree<'_> {
    fn of(&self, node: &Node) -> PlanNode {
        let (operator, detail, inputs) = self.parts(&node.op);
        let cost = self.trace.map(|trace| trace.cost(node));
        PlanNode { operator, detail, steps: node.steps.count, cost, inputs }
    }

    fn parts(&self, op: &Op) -> (&'static str, String, Vec<PlanNode>) {
        match op {
            Op::Empty => ("empty", String::new(), Vec::new()),
            Op::Select { select, window, tell, .. } => {
                ("select", self.selector(*select, window, *tell), Vec::new())
            }
            Op::Range(call) => ("range", self.call(call), self.of_call(call)),
            Op::Repeat(once) => ("repeat", "the same at every step".to_owned(), vec![self.of(once)]),
            Op::PerSample { input, change } => {
                let mut inputs = vec![self.of(input)];
                inputs.extend(self.of_change(change));
                ("per_sample", change_text(change).to_owned(), inputs)
            }
            Op::Aggregate(a) => {
                let mut inputs = vec![self.of(&a.input)];
                inputs.extend(self.of_scalars(&a.param));
                ("aggregate", aggregation_text(a), inputs)
            }
            Op::Join(j) => {
                let operator = if j.op.is_set() { "set" } else { "join" };
                (operator, join_text(j), vec![self.of(&j.left), self.of(&j.right)])
            }
            Op::Relabel { input, change } => ("relabel", relabel_text(change), vec![self.of(input)]),
            Op::Absent { input, labels } => ("absent", labels.to_string(), vec![self.of(input)]),
            Op::AbsentOverTime { call, labels } => {
                ("absent", format!("{labels} of {}", self.call(call)), self.of_call(call))
            }
            Op::Info { input, select, .. } => ("info", self.matchers(*select), vec![self.of(input)]),
            Op::OfScalar(scalar) => ("vector", "of a scalar".to_owned(), self.of_scalars([scalar])),
            Op::Sort { input, key, descending, .. } => {
                ("sort", sort_text(key, *descending), vec![self.of(input)])
            }
            Op::Histogram { input, call, .. } => {
                let mut inputs = vec![self.of(input)];
                inputs.extend(self.of_histogram(call));
                ("histogram", histogram_text(call).to_owned(), inputs)
            }
        }
    }

    fn matchers(&self, select: usize) -> String {
        let matchers: Vec<String> =
            self.plan.selects[select].matchers.iter().map(ToString::to_string).collect();
        format!("{{{}}}", matchers.join(","))
    }

    fn selector(&self, select: usize, window: &Window, tell: Tell) -> String {
        let told = match tell {
            Tell::Value => "",
            Tell::Time => "timestamp of ",
            Tell::StartTime => "start timestamp of ",
            Tell::Smoothed => "smoothed ",
        };
        format!("{told}{}{}", self.matchers(select), place_text(window))
    }

    fn call(&self, call: &RangeCall) -> String {
        let range = format!("[{}]{}", format_duration_ms(call.window.range_ms), place_text(&call.window));
        let of = match &call.samples {
            Samples::Stored { select, .. } => self.matchers(*select),
            Samples::Subquery(_) => "subquery ".to_owned(),
        };
        format!("{}({of}{range})", call.function.name())
    }

    fn of_call(&self, call: &RangeCall) -> Vec<PlanNode> {
        let mut inputs = match &call.samples {
            Samples::Stored { .. } => Vec::new(),
            Samples::Subquery(node) => vec![self.of(node)],
        };
        inputs.extend(self.of_scalars(&call.params));
        inputs
    }

    fn of_change(&self, change: &PerSample) -> Vec<PlanNode> {
        match change {
            PerSample::Clamp { min, max } => self.of_scalars([min, max]),
            PerSample::Round(nearest) => self.of_scalars([nearest]),
            PerSample::WithScalar { scalar, .. } => self.of_scalars([scalar]),
            PerSample::Float(_)
            | PerSample::StepTime
            | PerSample::Nothing
            | PerSample::Negate
            | PerSample::OfHistogram(_) => Vec::new(),
        }
    }

    fn of_histogram(&self, call: &HistogramCall) -> Vec<PlanNode> {
        match call {
            HistogramCall::Quantile { q, .. } => self.of_scalars([q]),
            HistogramCall::Quantiles { qs, .. } => self.of_scalars(qs.iter().map(|(q, _)| q)),
            HistogramCall::Fraction { lower, upper } => self.of_scalars([lower, upper]),
        }
    }

    /// The instant vectors that scalars are made of.
    fn of_scalars<'s>(&self, scalars: impl IntoIterator<Item = &'s Scalar>) -> Vec<PlanNode> {
        let mut found = Vec::new();
        for scalar in scalars {
            scalar.for_each_node(&mut |node| found.push(self.of(node)));
        }
        found
    }
}

impl Scalar {
    /// Calls `visit` with each instant vector that the scalar is made of.
    pub(crate) fn for_each_node<'s>(&'s self, visit: &mut impl FnMut(&'s Node)) {
        match self {
            Self::Const(_) | Self::Time => {}
            Self::Negate(inner) | Self::Of1(_, inner) => inner.for_each_node(visit),
            Self::Binary { lhs: a, rhs: b, .. } | Self::Max(a, b) | Self::Min(a, b) => {
                a.for_each_node(visit);
                b.for_each_node(visit);
            }
            Self::Of(node) => visit(node),
        }
    }
}

fn place_text(window: &Window) -> String {
    let mut text = String::new();
    if let Some(at_ms) = window.at_ms {
        text.push_str(&format!(" @ {}", at_ms as f64 / 1000.0));
    }
    if window.offset_ms != 0 {
        let sign = if window.offset_ms < 0 { "-" } else { "" };
        text.push_str(&format!(" offset {sign}{}", format_duration_ms(window.offset_ms.saturating_abs())));
    }
    text
}

fn grouping_text(grouping: &Grouping) -> String {
    let word = if grouping.without { "without" } else { "by" };
    format!("{word} ({})", grouping.labels.join(", "))
}

fn aggregation_text(a: &Aggregation) -> String {
    format!("{} {}", a.op.as_str(), grouping_text(&a.grouping))
}

fn join_text(j: &Join) -> String {
    let word = if j.matching.on { "on" } else { "ignoring" };
    format!("{} {word} ({}), {:?}", j.op.as_str(), j.matching.labels.join(", "), j.matching.cardinality)
}

fn relabel_text(change: &Relabel) -> String {
    match change {
        Relabel::Replace { target, source, .. } => format!("label_replace {target} from {source}"),
        Relabel::Join { target, sources, .. } => format!("label_join {target} from {}", sources.join(", ")),
    }
}

fn sort_text(key: &SortKey, descending: bool) -> String {
    let by = match key {
        SortKey::Value => "by value".to_owned(),
        SortKey::Labels(names) => format!("by {}", names.join(", ")),
    };
    if descending { format!("{by}, descending") } else { by }
}

fn histogram_text(call: &HistogramCall) -> &'static str {
    match call {
        HistogramCall::Quantile { .. } => "histogram_quantile",
        HistogramCall::Quantiles { .. } => "histogram_quantiles",
        HistogramCall::Fraction { .. } => "histogram_fraction",
    }
}

fn change_text(change: &PerSample) -> &'static str {
    match change {
        PerSample::Float(_) => "function of a float",
        PerSample::Clamp { .. } => "clamp",
        PerSample::Round(_) => "round",
        PerSample::StepTime => "timestamp",
        PerSample::Nothing => "nothing",
        PerSample::Negate => "-",
        PerSample::WithScalar { op, .. } => op.as_str(),
        PerSample::OfHistogram(function) => function.name(),
    }
}
