//! The logical plan: what is to be computed, with all times worked out.
//!
//! Holds: a tree of [`Node`]s (instant vectors) and [`Scalar`]s, each node with the steps it is computed at; the list of distinct
//! selectors, each read once however often the query names it. Offsets, `@`, subquery grids and duration arithmetic are
//! numbers here, constants are folded, parts that are the same at every step are computed at one ([`Op::Repeat`]); one side of a
//! join reads no more than can find a partner on the other (`plan/narrow.rs`).
//! Must not know: storage, threads, how an operator works. Built by `plan/build.rs`.

mod build;
mod calls;
mod durations;
mod invariant;
mod narrow;

use narthex_model::{Labels, Matcher};

use super::kernels::math::FloatFn;
use super::kernels::window::Window;
use super::ops::info::InfoRules;
use super::shared::Reading;
use super::steps::Steps;
use crate::ast::{AggregateOp, BinaryOp, RangeEdges, Span, VectorMatching};
use crate::functions_table::Function;

pub(crate) use build::{QueryTimes, plan};

/// A planned query.
#[derive(Debug)]
pub(crate) struct Plan {
    pub root: Root,
    /// The distinct selectors; nodes name them by position.
    pub selects: Vec<Select>,
    /// How the nodes read them, equal readings as often as they are there.
    pub readings: Vec<Reading>,
}

impl Plan {
    /// The times that all selectors together can read, both ends included.
    pub(crate) fn reach(&self) -> Option<(i64, i64)> {
        let starts = self.selects.iter().map(|s| s.reach.0).min()?;
        let ends = self.selects.iter().map(|s| s.reach.1).max()?;
        Some((starts, ends))
    }
}

/// What the whole query is.
#[derive(Debug)]
pub(crate) enum Root {
    Scalar(Scalar),
    String(String),
    Vector(Node),
    /// A range vector as stored; only of an instant query.
    Stored(StoredRange),
    /// A subquery as it stands; only of an instant query.
    Subquery(Node),
}

/// A selector's samples, unaggregated.
#[derive(Debug)]
pub(crate) struct StoredRange {
    pub select: usize,
    /// The times to return, both ends included.
    pub reach: (i64, i64),
    pub edges: RangeEdges,
}

/// Series to read from storage.
#[derive(Clone, Debug)]
pub(crate) struct Select {
    pub matchers: Vec<Matcher>,
    /// The times to read, both ends included.
    pub reach: (i64, i64),
    pub step_ms: i64,
    pub range_ms: i64,
    /// The function or aggregation around it.
    pub function: &'static str,
    /// The metric name, when a matcher fixes it.
    pub name: Option<String>,
}

/// An instant vector at some steps.
#[derive(Debug)]
pub(crate) struct Node {
    pub op: Op,
    pub steps: Steps,
}

/// What an instant selector tells of the sample that it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    /// Its value.
    Value,
    /// Its time, in seconds.
    Time,
    /// Its start time, in seconds.
    StartTime,
    /// A value interpolated between the neighbours.
    Smoothed,
}

/// Where the samples of a range function come from.
#[derive(Debug)]
pub(crate) enum Samples {
    Stored {
        select: usize,
        edges: RangeEdges,
        /// Only count and sum of histograms are looked at, so that resets have to be found while buckets are there.
        stats_only: bool,
    },
    Subquery(Box<Node>),
}

impl RangeCall {
    /// What it reads, when another place could read the same: its rows depend on nothing else.
    pub(crate) fn reading(&self, steps: Steps) -> Option<Reading> {
        let Samples::Stored { select, edges: RangeEdges::Plain, stats_only } = self.samples else {
            return None;
        };
        let (window, function) = (self.window, Some(self.function));
        self.params.is_empty().then_some(Reading { select, window, steps, function, stats_only })
    }
}

/// A function of a range vector.
#[derive(Debug)]
pub(crate) struct RangeCall {
    pub function: Function,
    pub samples: Samples,
    pub window: Window,
    pub params: Vec<Scalar>,
    /// Of the range vector.
    pub span: Span,
    /// Of the first argument.
    pub first_span: Span,
}

/// A change of each sample by itself.
#[derive(Debug)]
pub(crate) enum PerSample {
    Float(FloatFn),
    Clamp {
        min: Scalar,
        max: Scalar,
    },
    Round(Scalar),
    /// `timestamp` of something that is no selector: the evaluation time.
    StepTime,
    /// `start_timestamp` of something that is no selector: nothing.
    Nothing,
    Negate,
    WithScalar {
        op: BinaryOp,
        scalar: Scalar,
        scalar_is_left: bool,
        return_bool: bool,
        span: Span,
    },
    /// `histogram_count` and the like.
    OfHistogram(Function),
}

/// How series are put into groups.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grouping {
    /// Sorted.
    pub labels: Vec<String>,
    pub without: bool,
}

/// An aggregation.
#[derive(Debug)]
pub(crate) struct Aggregation {
    pub op: AggregateOp,
    pub input: Box<Node>,
    pub grouping: Grouping,
    pub param: Option<Scalar>,
    /// `count_values` only: the label that takes the value.
    pub value_label: String,
    pub spans: AggregationSpans,
}

/// Where the parts of an aggregation stand in the query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AggregationSpans {
    pub whole: Span,
    pub input: Span,
    pub param: Span,
}

/// A binary operator between two instant vectors.
#[derive(Debug)]
pub(crate) struct Join {
    pub op: BinaryOp,
    pub left: Box<Node>,
    pub right: Box<Node>,
    pub matching: VectorMatching,
    pub return_bool: bool,
    pub span: Span,
}

/// A change of labels.
#[derive(Debug)]
pub(crate) enum Relabel {
    Replace { target: String, replacement: String, source: String, regex: String },
    Join { target: String, separator: String, sources: Vec<String> },
}

/// How `sort` and its kin order.
#[derive(Debug)]
pub(crate) enum SortKey {
    Value,
    Labels(Vec<String>),
}

/// A function of classic or native histograms.
#[derive(Debug)]
pub(crate) enum HistogramCall {
    Quantile { q: Scalar, q_span: Span },
    Quantiles { label: String, qs: Vec<(Scalar, Span)> },
    Fraction { lower: Scalar, upper: Scalar },
}

/// What an instant vector is made of.
#[derive(Debug)]
pub(crate) enum Op {
    /// No series at all.
    Empty,
    /// The newest sample of each series within the lookback; its window's range is the lookback.
    Select {
        select: usize,
        window: Window,
        tell: Tell,
        /// See [`Samples::Stored`].
        stats_only: bool,
        span: Span,
    },
    Range(RangeCall),
    /// Computed at one step, the same at all.
    Repeat(Box<Node>),
    PerSample {
        input: Box<Node>,
        change: PerSample,
    },
    Aggregate(Aggregation),
    Join(Join),
    Relabel {
        input: Box<Node>,
        change: Relabel,
    },
    Absent {
        input: Box<Node>,
        labels: Labels,
    },
    AbsentOverTime {
        call: RangeCall,
        labels: Labels,
    },
    /// The rows of `input` with labels of the info series that `select` finds.
    Info {
        input: Box<Node>,
        select: usize,
        window: Window,
        rules: InfoRules,
    },
    /// One series without labels.
    OfScalar(Scalar),
    Sort {
        input: Box<Node>,
        key: SortKey,
        descending: bool,
        span: Span,
    },
    Histogram {
        input: Box<Node>,
        call: HistogramCall,
        span: Span,
    },
}

/// One float a step.
#[derive(Clone, Debug)]
pub(crate) enum Scalar {
    Const(f64),
    /// The evaluation time in seconds.
    Time,
    Negate(Box<Scalar>),
    /// A function of one float.
    Of1(FloatFn, Box<Scalar>),
    Binary {
        op: BinaryOp,
        lhs: Box<Scalar>,
        rhs: Box<Scalar>,
    },
    Max(Box<Scalar>, Box<Scalar>),
    Min(Box<Scalar>, Box<Scalar>),
    /// The value of the only series, NaN when there is none or more.
    Of(std::sync::Arc<Node>),
}
