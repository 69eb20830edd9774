//! `tsdb analyze`: what makes a block large: churn, label pairs, long values, and how full its chunks are.
//!
//! One walk over the series counts everything; memory goes with the number of different label pairs.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use narthex_block::{Block, ReadError};
use narthex_chunks::ChunkError;
use narthex_model::{METRIC_NAME, Matcher};
use narthex_promql::parser::{ParseErrors, parse_metric_selector};
use narthex_tsdb::{ReadOnlyDb, ReadOnlyError};

use super::super::Given;
use super::chunk_stats::ChunkStats;

/// Why a block could not be analyzed.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnalyzeError {
    #[error(transparent)]
    Selector(#[from] ParseErrors),
    #[error(transparent)]
    Db(#[from] ReadOnlyError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Chunk(#[from] ChunkError),
}

/// What is counted of a label or a label pair.
#[derive(Debug, Default)]
struct Count {
    series: u64,
    /// Milliseconds of the block's range without samples, over its series. COMPAT: wraps where a chunk ends beyond the range.
    uncovered_ms: u64,
}

/// All counts of a block.
#[derive(Debug, Default)]
struct Counts {
    /// By name, then by value.
    pairs: HashMap<String, HashMap<String, Count>>,
    series: u64,
    entries: u64,
}

/// Analyzes the block that was asked for.
pub(super) fn run(given: &Given) -> Result<(), AnalyzeError> {
    let selector = given.flag("match");
    let matchers = if selector.is_empty() { Vec::new() } else { parse_metric_selector(selector)? };
    let block = ReadOnlyDb::open(Path::new(given.argument("db path")))?.block(given.argument("block id"))?;
    let mut chunks = given.on("extended").then(ChunkStats::default);
    let counts = walk(&block, &matchers, chunks.as_mut())?;
    let limit = usize::try_from(given.int("limit")).unwrap_or(0);
    let mut text = head(&block, &counts, selector);
    lists(&mut text, &block, &counts, limit);
    if let Some(chunks) = &mut chunks {
        text.push_str(&chunks.report());
    }
    print!("{text}");
    Ok(())
}

fn walk(
    block: &Block,
    matchers: &[Matcher],
    mut chunks: Option<&mut ChunkStats>,
) -> Result<Counts, AnalyzeError> {
    let meta = block.meta();
    let range_ms = (meta.max_ms - meta.min_ms) as u64;
    let mut counts = Counts::default();
    for entry in block.series() {
        let entry = entry?;
        if !matchers.iter().all(|m| m.matches(entry.labels.value(&m.name))) {
            continue;
        }
        let covered_ms = match (entry.chunks.first(), entry.chunks.last()) {
            (Some(first), Some(last)) => (last.max_ms - first.min_ms) as u64,
            _ => 0,
        };
        counts.add(&entry.labels, range_ms.wrapping_sub(covered_ms));
        if let Some(chunks) = &mut chunks {
            entry.chunks.iter().try_for_each(|chunk| chunks.add(chunk))?;
        }
    }
    Ok(counts)
}

impl Counts {
    fn add(&mut self, labels: &narthex_model::Labels, uncovered_ms: u64) {
        self.series += 1;
        for (name, value) in labels.iter() {
            self.entries += 1;
            if !self.pairs.contains_key(name) {
                self.pairs.insert(name.to_owned(), HashMap::new());
            }
            let values = self.pairs.get_mut(name).expect("it was just put there");
            if !values.contains_key(value) {
                values.insert(value.to_owned(), Count::default());
            }
            let count = values.get_mut(value).expect("it was just put there");
            count.series += 1;
            count.uncovered_ms = count.uncovered_ms.wrapping_add(uncovered_ms);
        }
    }

    /// One entry for each label pair.
    fn by_pair(&self, number: impl Fn(&Count) -> u64) -> Vec<(u64, String)> {
        let pairs = self.pairs.iter().flat_map(|(n, values)| values.iter().map(move |(v, c)| (n, v, c)));
        pairs.map(|(name, value, count)| (number(count), format!("{name}={value}"))).collect()
    }

    /// One entry for each label name.
    fn by_name(&self, number: impl Fn(&HashMap<String, Count>) -> u64) -> Vec<(u64, String)> {
        self.pairs.iter().map(|(name, values)| (number(values), name.clone())).collect()
    }
}

fn head(block: &Block, counts: &Counts, selector: &str) -> String {
    let meta = block.meta();
    let duration = super::format_go_duration((meta.max_ms - meta.min_ms).saturating_mul(1_000_000));
    let mut text =
        format!("Block ID: {}\nDuration: {duration}\nTotal Series: {}\n", meta.ulid, meta.stats.num_series);
    if !selector.is_empty() {
        text.push_str(&format!("Matcher: {selector}\n"));
    }
    text.push_str(&format!("Label names: {}\n", counts.pairs.len()));
    if !selector.is_empty() {
        text.push_str(&format!("Matched series: {}\n", counts.series));
    }
    let pairs: usize = counts.pairs.values().map(HashMap::len).sum();
    text.push_str(&format!(
        "Postings (unique label pairs): {pairs}\nPostings entries (total label pairs): {}\n",
        counts.entries
    ));
    text
}

fn lists(text: &mut String, block: &Block, counts: &Counts, limit: usize) {
    let meta = block.meta();
    let range_ms = (meta.max_ms - meta.min_ms) as f64;
    // In whole series: how many would fill what is not covered.
    let churn = |uncovered_ms: u64| (uncovered_ms as f64 / range_ms) as u64;
    let uncovered = |values: &HashMap<String, Count>| {
        values.values().fold(0u64, |sum, c| sum.wrapping_add(c.uncovered_ms))
    };
    let lengths = |values: &HashMap<String, Count>| values.keys().map(|v| v.len() as u64).sum();
    let metric_names = counts.pairs.get(METRIC_NAME).into_iter().flatten();
    for (title, list) in [
        ("Label pairs most involved in churning", counts.by_pair(|c| churn(c.uncovered_ms))),
        ("Label names most involved in churning", counts.by_name(|values| churn(uncovered(values)))),
        ("Most common label pairs", counts.by_pair(|c| c.series)),
        ("Label names with highest cumulative label value length", counts.by_name(lengths)),
        ("Highest cardinality labels", counts.by_name(|values| values.len() as u64)),
        (
            "Highest cardinality metric names",
            metric_names.map(|(name, c)| (c.series, name.clone())).collect(),
        ),
    ] {
        text.push_str(&format!("\n{title}:\n"));
        push_top(text, list, limit);
    }
}

/// The largest numbers first, equal ones by name (promtool has them in any order).
fn push_top(text: &mut String, mut list: Vec<(u64, String)>, limit: usize) {
    list.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    for (number, key) in list.into_iter().take(limit) {
        writeln!(text, "{number} {key}").expect("writing to a string cannot fail");
    }
}
