//! `info`: adds the labels of info series (`target_info` and the like) to the series that share their `instance` and `job`.
//!
//! At each step the newest info series of a name counts. A base series therefore may show under several label sets, each at its steps.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use narthex_model::{Labels, METRIC_NAME, Matcher};

use crate::engine::block::{Block, BlockRow, RowList};
use crate::engine::context::QueryContext;
use crate::engine::error::QueryError;
use crate::engine::steps::Mask;

/// The labels by which a base series finds its info series.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// What the call says about info series.
#[derive(Clone, Debug)]
pub(crate) struct InfoRules {
    /// Conditions on the name of an info metric.
    pub names: Vec<Matcher>,
    /// Conditions on other labels; those labels are the only ones taken over, unless there is none.
    pub data: Vec<Matcher>,
}

impl InfoRules {
    fn is_info(&self, labels: &Labels) -> bool {
        self.names.iter().all(|m| m.matches(labels.metric_name()))
    }

    fn takes(&self, name: &str) -> bool {
        name != METRIC_NAME && (self.data.is_empty() || self.data.iter().any(|m| m.name == name))
    }
}

/// The base series with the labels of their info series. The values of `infos` are the times of their samples, in seconds.
pub(crate) fn enrich(
    ctx: &QueryContext<'_>,
    rules: &InfoRules,
    base: &Block,
    infos: &Block,
) -> Result<Block, QueryError> {
    let newest = Newest::of(rules, base, infos)?;
    let keeps_plain = rules.data.iter().all(Matcher::matches_empty);
    let mut out = RowList::new(ctx);
    for row in &base.rows {
        if rules.is_info(&row.labels) {
            out.push(row.clone())?;
            continue;
        }
        for (chosen, steps) in newest.combinations(row, base.steps.count) {
            if chosen.is_empty() && !keeps_plain {
                continue;
            }
            let labels =
                combined_labels(rules, &row.labels, chosen.iter().map(|at| &infos.rows[*at].labels))?;
            let mut kept = row.row.clone();
            kept.keep(&steps);
            out.push(BlockRow { labels, drops_name: row.drops_name, row: kept })?;
        }
    }
    let mut block = out.into_block(ctx, base.steps)?;
    block.merge_equal_labels()?;
    Ok(block)
}

/// The labels of a base series with those of its info series; what the base has is not changed.
fn combined_labels<'a>(
    rules: &InfoRules,
    base: &Labels,
    infos: impl Iterator<Item = &'a Labels>,
) -> Result<Labels, QueryError> {
    let mut added: BTreeMap<&str, &str> = BTreeMap::new();
    for info in infos {
        for (name, value) in info.iter().filter(|(name, _)| rules.takes(name)) {
            if added.get(name).is_some_and(|known| *known != value) {
                return Err(QueryError::Execution(format!("conflicting label: {name}")));
            }
            if base.get(name).is_none() {
                added.insert(name, value);
            }
        }
    }
    let mut builder = base.to_builder();
    added.into_iter().for_each(|(name, value)| {
        builder.set(name, value);
    });
    Ok(builder.labels())
}

/// For each info metric and identity the newest info series of each step.
struct Newest {
    by_identity: HashMap<Labels, BTreeMap<String, Vec<Option<usize>>>>,
}

impl Newest {
    fn of(rules: &InfoRules, base: &Block, infos: &Block) -> Result<Self, QueryError> {
        let wanted: Vec<&BlockRow> = base.rows.iter().filter(|r| !rules.is_info(&r.labels)).collect();
        let known =
            |label: &str| -> BTreeSet<&str> { wanted.iter().filter_map(|r| r.labels.get(label)).collect() };
        let identities = IDENTIFYING.map(|label| (label, known(label)));
        let mut active = Mask::none(base.steps.count);
        base.rows.iter().for_each(|r| active.add(&r.row.occupied()));
        let mut newest = Self { by_identity: HashMap::new() };
        if identities.iter().all(|(_, values)| values.is_empty()) {
            return Ok(newest);
        }
        for (at, info) in infos.rows.iter().enumerate() {
            let fits = |(label, values): &(&str, BTreeSet<&str>)| {
                values.is_empty() || values.contains(info.labels.value(label))
            };
            if identities.iter().all(fits) {
                newest.take(at, infos, &active)?;
            }
        }
        Ok(newest)
    }

    fn take(&mut self, at: usize, infos: &Block, active: &Mask) -> Result<(), QueryError> {
        let info = &infos.rows[at];
        let by_name = self.by_identity.entry(info.labels.keep(&IDENTIFYING)).or_default();
        let name = info.labels.metric_name().to_owned();
        let best = by_name.entry(name).or_insert_with(|| vec![None; infos.steps.count]);
        for step in info.row.present.iter().filter(|step| active.get(*step)) {
            let time = |at: usize| infos.rows[at].row.values[step];
            match best[step] {
                Some(other) if time(other) > time(at) => {}
                Some(other) if time(other) == time(at) => {
                    let t_ms = (time(at) * 1000.0).round() as i64;
                    let (old, new) = (&infos.rows[other].labels, &info.labels);
                    return Err(QueryError::Execution(format!(
                        "found duplicate series for info metric: existing {old} @ {t_ms}, new {new} @ {t_ms}"
                    )));
                }
                _ => best[step] = Some(at),
            }
        }
        Ok(())
    }

    /// The sets of info series that a base series meets, each with its steps.
    fn combinations(&self, row: &BlockRow, steps: usize) -> BTreeMap<Vec<usize>, Mask> {
        let mine = self.by_identity.get(&row.labels.keep(&IDENTIFYING));
        let mut found: BTreeMap<Vec<usize>, Mask> = BTreeMap::new();
        for step in row.row.occupied().iter() {
            let chosen = mine.into_iter().flat_map(|m| m.values()).filter_map(|best| best[step]).collect();
            found.entry(chosen).or_insert_with(|| Mask::none(steps)).set(step);
        }
        found
    }
}
