//! The labels of what a join of two instant vectors gives.

use narthex_model::Labels;

use super::join::JoinRules;
use crate::ast::{BinaryOp, Cardinality, VectorMatching};
use crate::engine::context::QueryContext;
use crate::engine::row::METADATA_LABELS;

/// How the labels of a pair follow from those of its sides.
pub(crate) struct ResultLabels<'a> {
    matching: &'a VectorMatching,
    drops_name: bool,
    one_to_one: bool,
}

impl<'a> ResultLabels<'a> {
    pub(crate) fn of(ctx: &QueryContext<'_>, rules: &JoinRules<'a>) -> Self {
        let drops_name = changes_meaning(rules.op) || (rules.return_bool && !ctx.rules.delayed_names);
        let one_to_one = rules.matching.cardinality == Cardinality::OneToOne;
        Self { matching: rules.matching, drops_name, one_to_one }
    }

    /// The labels of a pair in the match group with this signature.
    ///
    /// PERF: what is not changed is shared: in the usual join of one with one, all pairs have the labels that they were found by.
    pub(crate) fn of_pair(&self, signature: &Labels, many: &Labels, one: &Labels) -> Labels {
        if !self.one_to_one {
            return self.with_included(self.described(many), one);
        }
        if self.drops_name || self.matching.on {
            return self.described(signature);
        }
        many.drop(&self.matching.labels)
    }

    /// Without the labels that describe a metric, if the operator makes another one of it.
    fn described(&self, labels: &Labels) -> Labels {
        if self.drops_name { labels.drop(&METADATA_LABELS) } else { labels.clone() }
    }

    /// With the labels that the "one" side lends.
    fn with_included(&self, labels: Labels, one: &Labels) -> Labels {
        if self.matching.include.is_empty() {
            return labels;
        }
        let mut builder = labels.to_builder();
        for name in &self.matching.include {
            builder.set(name, one.value(name));
        }
        builder.labels()
    }
}

/// Whether the operator's result is another quantity than its operands, so that the name has to go.
fn changes_meaning(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Add
            | BinaryOp::Sub
            | BinaryOp::Mul
            | BinaryOp::Div
            | BinaryOp::Mod
            | BinaryOp::Pow
            | BinaryOp::Atan2
    )
}
