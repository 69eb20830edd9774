//! Binary operators where at least one side is a native histogram.

use std::sync::Arc;

use narthex_model::{CounterResetHint, FloatHistogram};

use crate::ast::{BinaryOp, Span};
use crate::engine::annotations::{Annotations, HistogramOperation};
use crate::engine::native::{Keep, Native};

/// One operand.
#[derive(Clone, Copy)]
pub(crate) enum Operand<'a> {
    Float(f64),
    Histogram(&'a Arc<FloatHistogram>),
}

impl Operand<'_> {
    fn kind(self) -> &'static str {
        match self {
            Self::Float(_) => "float",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// What an operator gives.
pub(crate) enum Outcome {
    /// The operands cannot be worked with; an annotation says so.
    Refused,
    Histogram(Arc<FloatHistogram>),
    /// A comparison: the left histogram, and whether it holds.
    Compared(Arc<FloatHistogram>, bool),
}

fn packed(mut h: Native) -> Outcome {
    h.compact();
    Outcome::Histogram(Arc::new(h.pack()))
}

/// `left op right`, at least one of them a histogram.
pub(crate) fn combine(
    op: BinaryOp,
    left: Operand<'_>,
    right: Operand<'_>,
    span: Span,
    notes: &mut Annotations,
) -> Outcome {
    match (left, right) {
        (Operand::Float(v), Operand::Histogram(h)) | (Operand::Histogram(h), Operand::Float(v))
            if op == BinaryOp::Mul =>
        {
            let mut result = Native::from(&**h);
            result.multiply(v);
            packed(result)
        }
        (Operand::Histogram(h), Operand::Float(v)) if op == BinaryOp::Div => {
            let mut result = Native::from(&**h);
            result.divide(v);
            packed(result)
        }
        (Operand::Histogram(h), Operand::Float(v))
            if matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper) =>
        {
            let mut result = Native::from(&**h);
            result.trim(v, if op == BinaryOp::TrimUpper { Keep::Below } else { Keep::Above });
            Outcome::Histogram(Arc::new(result.pack()))
        }
        (Operand::Histogram(a), Operand::Histogram(b)) if matches!(op, BinaryOp::Eq | BinaryOp::Ne) => {
            let same = Native::from(&**a).is_same(&Native::from(&**b));
            Outcome::Compared(Arc::clone(a), same == (op == BinaryOp::Eq))
        }
        (Operand::Histogram(a), Operand::Histogram(b)) if matches!(op, BinaryOp::Add | BinaryOp::Sub) => {
            add_or_subtract(op, a, b, span, notes)
        }
        _ => {
            notes.incompatible_types(left.kind(), op.as_str(), right.kind(), span);
            Outcome::Refused
        }
    }
}

fn add_or_subtract(
    op: BinaryOp,
    a: &FloatHistogram,
    b: &FloatHistogram,
    span: Span,
    notes: &mut Annotations,
) -> Outcome {
    let (mut result, other) = (Native::from(a), Native::from(b));
    let (done, operation) = if op == BinaryOp::Add {
        (result.add(&other), HistogramOperation::Addition)
    } else {
        (result.subtract(&other), HistogramOperation::Subtraction)
    };
    let Ok(done) = done else {
        notes.incompatible_buckets(op.as_str(), span);
        return Outcome::Refused;
    };
    if op == BinaryOp::Sub {
        result.hint = CounterResetHint::Gauge;
    }
    // COMPAT: of two things to tell at one step Prometheus keeps the last, which is the info.
    if done.bounds_reconciled {
        notes.custom_buckets_reconciled(operation, span);
    } else if done.resets_collide {
        notes.counter_reset_collision(operation, span);
    }
    packed(result)
}
