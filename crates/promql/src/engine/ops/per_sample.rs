//! Changes of each sample by itself: math functions, clamping, arithmetic with a scalar, comparisons with a scalar.

use std::sync::Arc;

use narthex_model::{FloatHistogram, Labels};

use super::pair_histograms::{Operand, Outcome, combine};
use crate::ast::{BinaryOp, Span};
use crate::engine::annotations::Annotations;
use crate::engine::context::Worker;
use crate::engine::error::QueryError;
use crate::engine::kernels::math::{self, FloatFn};
use crate::engine::native::Native;
use crate::engine::row::{Row, RowSource, Rows, Wish};
use crate::engine::steps::Steps;
use crate::functions_table::Function;

/// What is done to each sample; scalars have one value a step.
pub(crate) enum Change {
    Float(FloatFn),
    Clamp { min: Vec<f64>, max: Vec<f64> },
    Round(Vec<f64>),
    StepTime,
    Nothing,
    Negate,
    WithScalar(WithScalar),
    OfHistogram(Function),
}

/// A binary operator between each sample and a scalar.
pub(crate) struct WithScalar {
    pub op: BinaryOp,
    pub scalar: Vec<f64>,
    pub scalar_is_left: bool,
    pub return_bool: bool,
    pub span: Span,
}

impl Change {
    /// Whether the result means something else than the input, so that the name has to go.
    pub(crate) fn drops_name(&self) -> bool {
        match self {
            Self::WithScalar(w) => {
                w.return_bool
                    || !(w.op.is_comparison() || matches!(w.op, BinaryOp::TrimLower | BinaryOp::TrimUpper))
            }
            _ => true,
        }
    }
}

/// Rows of changed samples. Names are still there.
pub(crate) struct ChangedRows<'q> {
    pub input: Rows<'q>,
    pub change: Change,
}

impl RowSource for ChangedRows<'_> {
    fn steps(&self) -> Steps {
        self.input.steps()
    }

    fn len(&self) -> usize {
        self.input.len()
    }

    fn labels(&self, at: usize, wish: &Wish) -> Labels {
        self.input.labels(at, wish)
    }

    fn drops_name(&self, at: usize) -> bool {
        self.input.drops_name(at)
    }

    fn has_one_name(&self) -> bool {
        self.input.has_one_name()
    }

    fn fill(&self, at: usize, worker: &mut Worker<'_>, row: &mut Row) -> Result<(), QueryError> {
        self.input.fill(at, worker, row)?;
        match &self.change {
            Change::Float(f) => each_float(row, |v| *v = f(*v)),
            Change::Clamp { min, max } => clamp(row, min, max),
            Change::Round(nearest) => with_steps(row, nearest, math::round),
            Change::StepTime => self.tell_step_times(row),
            Change::Nothing => row.reset(self.steps().count),
            Change::Negate => negate(row),
            Change::WithScalar(w) => w.apply(row, worker),
            Change::OfHistogram(function) => of_histograms(*function, row),
        }
        Ok(())
    }
}

impl ChangedRows<'_> {
    fn tell_step_times(&self, row: &mut Row) {
        let steps = self.steps();
        for step in row.occupied().iter() {
            row.set(step, steps.at(step) as f64 / 1000.0);
        }
        row.histograms.clear();
    }
}

fn each_float(row: &mut Row, change: impl FnMut(&mut f64)) {
    row.values.iter_mut().for_each(change);
    row.histograms.clear();
}

#[inline(always)]
fn with_steps(row: &mut Row, other: &[f64], f: impl Fn(f64, f64) -> f64) {
    for (v, other) in row.values.iter_mut().zip(other) {
        *v = f(*v, *other);
    }
    row.histograms.clear();
}

fn clamp(row: &mut Row, min: &[f64], max: &[f64]) {
    for (step, v) in row.values.iter_mut().enumerate() {
        if max[step] < min[step] {
            row.present.unset(step);
        } else {
            *v = math::max(min[step], math::min(max[step], *v));
        }
    }
    row.histograms.clear();
}

fn negate(row: &mut Row) {
    row.values.iter_mut().for_each(|v| *v = -*v);
    for (_, histogram) in &mut row.histograms {
        let mut negated = Native::from(&**histogram);
        negated.multiply(-1.0);
        *histogram = Arc::new(negated.pack());
    }
}

/// `histogram_count` and the like: a float for each histogram; floats are dropped.
fn of_histograms(function: Function, row: &mut Row) {
    let histograms = std::mem::take(&mut row.histograms);
    row.reset(row.values.len());
    for (step, h) in histograms {
        let value = match function {
            Function::HistogramCount => h.count,
            Function::HistogramSum => h.sum,
            Function::HistogramAvg => h.sum / h.count,
            Function::HistogramStddev => Native::from(&*h).variance().sqrt(),
            _ => Native::from(&*h).variance(),
        };
        row.set(step as usize, value);
    }
}

impl WithScalar {
    fn apply(&self, row: &mut Row, worker: &mut Worker<'_>) {
        let histograms = std::mem::take(&mut row.histograms);
        if matches!(self.op, BinaryOp::TrimLower | BinaryOp::TrimUpper) {
            if !row.present.is_empty() {
                worker.annotations.incompatible_types("float", self.op.as_str(), "float", self.span);
            }
            row.reset(row.values.len());
        } else if self.op.is_comparison() {
            self.compare(row);
        } else {
            self.compute(row);
        }
        if !histograms.is_empty() {
            self.apply_to_histograms(&histograms, row, &mut worker.annotations);
        }
    }

    fn apply_to_histograms(
        &self,
        histograms: &[(u32, Arc<FloatHistogram>)],
        row: &mut Row,
        notes: &mut Annotations,
    ) {
        for (step, histogram) in histograms {
            let (scalar, histogram) =
                (Operand::Float(self.scalar[*step as usize]), Operand::Histogram(histogram));
            let (left, right) = if self.scalar_is_left { (scalar, histogram) } else { (histogram, scalar) };
            match combine(self.op, left, right, self.span, notes) {
                Outcome::Refused | Outcome::Compared(..) => {}
                Outcome::Histogram(h) => row.histograms.push((*step, h)),
            }
        }
    }

    /// The operator is picked outside of the loops, so that each is straight arithmetic over two columns.
    fn compute(&self, row: &mut Row) {
        let (other, left) = (&self.scalar[..], self.scalar_is_left);
        match (self.op, left) {
            (BinaryOp::Add, _) => with_steps(row, other, |v, s| v + s),
            (BinaryOp::Mul, _) => with_steps(row, other, |v, s| v * s),
            (BinaryOp::Sub, false) => with_steps(row, other, |v, s| v - s),
            (BinaryOp::Sub, true) => with_steps(row, other, |v, s| s - v),
            (BinaryOp::Div, false) => with_steps(row, other, |v, s| v / s),
            (BinaryOp::Div, true) => with_steps(row, other, |v, s| s / v),
            (op, false) => with_steps(row, other, |v, s| math::arithmetic(op, v, s)),
            (op, true) => with_steps(row, other, |v, s| math::arithmetic(op, s, v)),
        }
    }

    fn compare(&self, row: &mut Row) {
        for step in 0..row.values.len() {
            let (v, s) = (row.values[step], self.scalar[step]);
            let (a, b) = if self.scalar_is_left { (s, v) } else { (v, s) };
            let holds = math::compare(self.op, a, b);
            if self.return_bool {
                row.values[step] = f64::from(holds);
            } else if !holds {
                row.present.unset(step);
            }
        }
    }
}
