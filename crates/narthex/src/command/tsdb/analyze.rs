//! `tsdb analyze`: what makes a block large: churn, label pairs, long values, and how full its chunks are.
//!
//! The block counts its labels by itself; chunks are read only when they are asked for.

use std::fmt::Write as _;
use std::path::Path;

use narthex_block::{Block, LabelStatistics, NameStatistics, PairStatistics, ReadError};
use narthex_chunks::ChunkError;
use narthex_model::METRIC_NAME;
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

/// Analyzes the block that was asked for.
pub(super) fn run(given: &Given) -> Result<(), AnalyzeError> {
    let selector = given.flag("match");
    let matchers = if selector.is_empty() { Vec::new() } else { parse_metric_selector(selector)? };
    let block = ReadOnlyDb::open(Path::new(given.argument("db path")))?.block(given.argument("block id"))?;
    let counts = block.label_statistics(&matchers)?;
    let limit = usize::try_from(given.int("limit")).unwrap_or(0);
    let mut text = head(&block, &counts, selector);
    lists(&mut text, &block, &counts, limit);
    if given.on("extended") {
        let mut chunks = ChunkStats::default();
        for entry in block.series_matching(&matchers) {
            entry?.chunks.iter().try_for_each(|chunk| chunks.add(chunk))?;
        }
        text.push_str(&chunks.report());
    }
    print!("{text}");
    Ok(())
}

/// One entry for each label pair.
fn by_pair(counts: &LabelStatistics, number: impl Fn(&PairStatistics) -> u64) -> Vec<(u64, String)> {
    counts.pairs.iter().map(|pair| (number(pair), format!("{}={}", pair.name, pair.value))).collect()
}

/// One entry for each label name.
fn by_name(counts: &LabelStatistics, number: impl Fn(&NameStatistics) -> u64) -> Vec<(u64, String)> {
    counts.names.iter().map(|name| (number(name), name.name.clone())).collect()
}

fn head(block: &Block, counts: &LabelStatistics, selector: &str) -> String {
    let meta = block.meta();
    let duration =
        super::format_go_duration(meta.max_ms.saturating_sub(meta.min_ms).saturating_mul(1_000_000));
    let mut text =
        format!("Block ID: {}\nDuration: {duration}\nTotal Series: {}\n", meta.ulid, meta.stats.num_series);
    if !selector.is_empty() {
        text.push_str(&format!("Matcher: {selector}\n"));
    }
    text.push_str(&format!("Label names: {}\n", counts.names.len()));
    if !selector.is_empty() {
        text.push_str(&format!("Matched series: {}\n", counts.series));
    }
    text.push_str(&format!(
        "Postings (unique label pairs): {}\nPostings entries (total label pairs): {}\n",
        counts.pairs.len(),
        counts.entries
    ));
    text
}

fn lists(text: &mut String, block: &Block, counts: &LabelStatistics, limit: usize) {
    let meta = block.meta();
    let range_ms = meta.max_ms.saturating_sub(meta.min_ms) as f64;
    // In whole series: how many would fill what is not covered.
    let churn = |uncovered_ms: u64| (uncovered_ms as f64 / range_ms) as u64;
    let metric_names = counts.pairs.iter().filter(|pair| pair.name == METRIC_NAME);
    for (title, list) in [
        ("Label pairs most involved in churning", by_pair(counts, |pair| churn(pair.uncovered_ms))),
        ("Label names most involved in churning", by_name(counts, |name| churn(name.uncovered_ms))),
        ("Most common label pairs", by_pair(counts, |pair| pair.series)),
        ("Label names with highest cumulative label value length", by_name(counts, |name| name.value_bytes)),
        ("Highest cardinality labels", by_name(counts, |name| name.values)),
        (
            "Highest cardinality metric names",
            metric_names.map(|pair| (pair.series, pair.value.clone())).collect(),
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
