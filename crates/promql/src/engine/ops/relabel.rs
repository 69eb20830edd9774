//! `label_replace` and `label_join`: other labels, same samples.

use narthex_model::{Labels, METRIC_NAME, Regex};

use crate::engine::block::{Block, Charge};
use crate::engine::context::{QueryContext, Worker};
use crate::engine::error::QueryError;
use crate::engine::label_map::set_for;
use crate::engine::memory::labels_bytes;
use crate::engine::patterns::Patterns;
use crate::engine::plan::Relabel;
use crate::engine::row::{Row, RowSource, Rows, Wish};
use crate::engine::steps::Steps;

/// The rows of `input` with changed labels. Rows that become alike are put together.
pub(crate) fn relabel<'q>(
    ctx: &QueryContext<'_>,
    change: &Relabel,
    input: Rows<'q>,
) -> Result<Rows<'q>, QueryError> {
    let changer = Changer::new(ctx.patterns, change)?;
    let wish = Wish::all();
    let mut charge = Charge::new(ctx);
    let mut labels: Vec<Labels> = Vec::with_capacity(input.len());
    let mut changed: Vec<bool> = Vec::with_capacity(input.len());
    for at in 0..input.len() {
        let before = input.labels(at, &wish);
        let after = changer.change(&before);
        changed.push(after.is_some());
        labels.push(after.unwrap_or(before));
        charge.add_bytes(labels_bytes(&labels[at]) + 2 * size_of::<Labels>())?;
    }
    let target_is_name = changer.target() == METRIC_NAME;
    let mut seen = set_for(labels.len());
    let distinct = labels.iter().all(|l| seen.insert(l));
    drop(seen);
    let relabeled = Relabeled { input, labels, changed, target_is_name, _charge: charge };
    if distinct {
        return Ok(Box::new(relabeled));
    }
    let mut block = Block::of(ctx, &relabeled)?;
    block.merge_equal_labels()?;
    Ok(Box::new(block))
}

/// What a call does to one label set.
enum Changer<'a> {
    Replace { target: &'a str, replacement: &'a str, source: &'a str, regex: Regex },
    Join { target: &'a str, separator: &'a str, sources: &'a [String] },
}

impl<'a> Changer<'a> {
    fn new(patterns: &Patterns, change: &'a Relabel) -> Result<Self, QueryError> {
        let refuse = |text: String| Err(QueryError::Execution(text));
        match change {
            Relabel::Replace { target, replacement, source, regex } => {
                let Ok(regex) = patterns.wrapped(regex) else {
                    return refuse(format!("invalid regular expression in label_replace(): {regex}"));
                };
                if target.is_empty() {
                    return refuse(format!("invalid destination label name in label_replace(): {target}"));
                }
                Ok(Self::Replace { target, replacement, source, regex })
            }
            Relabel::Join { target, separator, sources } => {
                if let Some(bad) = sources.iter().find(|s| s.is_empty()) {
                    return refuse(format!("invalid source label name in label_join(): {bad}"));
                }
                if target.is_empty() {
                    return refuse(format!("invalid destination label name in label_join(): {target}"));
                }
                Ok(Self::Join { target, separator, sources })
            }
        }
    }

    fn target(&self) -> &str {
        match self {
            Self::Replace { target, .. } | Self::Join { target, .. } => target,
        }
    }

    /// The changed labels; `None` when the expression does not match.
    fn change(&self, labels: &Labels) -> Option<Labels> {
        let mut value = String::new();
        match self {
            Self::Replace { replacement, source, regex, .. } => {
                if !regex.expand(labels.value(source), replacement, &mut value) {
                    return None;
                }
            }
            Self::Join { separator, sources, .. } => {
                let values: Vec<&str> = sources.iter().map(|s| labels.value(s)).collect();
                value = values.join(separator);
            }
        }
        let mut builder = labels.to_builder();
        builder.set(self.target(), &value);
        Some(builder.labels())
    }
}

/// Rows under other labels.
struct Relabeled<'q> {
    input: Rows<'q>,
    labels: Vec<Labels>,
    changed: Vec<bool>,
    target_is_name: bool,
    /// For the labels.
    _charge: Charge,
}

impl RowSource for Relabeled<'_> {
    fn steps(&self) -> Steps {
        self.input.steps()
    }

    fn len(&self) -> usize {
        self.input.len()
    }

    fn labels(&self, at: usize, wish: &Wish) -> Labels {
        wish.apply(&self.labels[at])
    }

    fn drops_name(&self, at: usize) -> bool {
        // A name that was set on purpose stays.
        !(self.target_is_name && self.changed[at]) && self.input.drops_name(at)
    }

    fn fill(&self, at: usize, worker: &mut Worker<'_>, row: &mut Row) -> Result<(), QueryError> {
        self.input.fill(at, worker, row)
    }
}
