//! `sum` and `avg` of groups that meet native histograms: what such a group knows beside its floats.

use std::collections::BTreeMap;
use std::sync::Arc;

use narthex_model::FloatHistogram;

use crate::ast::Span;
use crate::engine::annotations::{Annotations, HistogramOperation};
use crate::engine::native::{Native, NativeFold};
use crate::engine::row::Row;
use crate::engine::steps::Mask;

/// The histograms of a group, by step. Empty for groups of floats.
#[derive(Default)]
pub(crate) struct HistogramFold {
    steps: BTreeMap<u32, State>,
}

/// What one step has come to.
enum State {
    Fold(Box<NativeFold>),
    /// Exponential and custom buckets met: there is no result.
    Incompatible,
}

impl HistogramFold {
    /// Whether no histogram was met.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Takes in the histograms of a row.
    pub(crate) fn add(
        &mut self,
        histograms: &[(u32, Arc<FloatHistogram>)],
        is_mean: bool,
        mut mixes: impl FnMut(&mut Annotations),
        notes: &mut Annotations,
    ) {
        for (step, histogram) in histograms {
            let histogram = Native::from(&**histogram);
            match self.steps.get_mut(step) {
                None => {
                    let fold = State::Fold(Box::new(NativeFold::new(&histogram, is_mean)));
                    self.steps.insert(*step, fold);
                }
                Some(State::Incompatible) => {}
                Some(state) => {
                    let State::Fold(fold) = &mut *state else { continue };
                    if fold.add(&histogram).is_err() {
                        mixes(notes);
                        *state = State::Incompatible;
                    }
                }
            }
        }
    }

    /// Puts the histograms into the group's row; steps that also had floats have no result.
    pub(crate) fn finish(self, row: &mut Row, span: Span, notes: &mut Annotations) {
        let floats: Mask = row.present.clone();
        for (step, state) in self.steps {
            if floats.get(step as usize) {
                notes.mixed_in_aggregation(span);
                row.present.unset(step as usize);
                continue;
            }
            let State::Fold(fold) = state else { continue };
            let folded = fold.finish();
            if folded.happened.resets_collide {
                notes.counter_reset_collision(HistogramOperation::Aggregation, span);
            }
            if folded.happened.bounds_reconciled {
                notes.custom_buckets_reconciled(HistogramOperation::Aggregation, span);
            }
            let mut value = folded.value;
            value.compact();
            row.histograms.push((step, Arc::new(value.pack())));
        }
    }
}
