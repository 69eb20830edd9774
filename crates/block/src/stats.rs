//! What an operator asks about a block: which labels it has how often, and which of them come and go.
//!
//! Memory: some 40 bytes for each distinct label pair, while the series are counted.
//! Facts: Prometheus `cmd/promtool/tsdb.go`, `analyze`.

use narthex_model::Matcher;
use rustc_hash::FxHashMap;

use crate::index::ChunkRefs;
use crate::query::{Plan, Texts};
use crate::{Block, Fault, ReadError};

/// The labels of the series that were looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelStatistics {
    /// How many series.
    pub series: u64,
    /// How many labels they have together.
    pub entries: u64,
    /// Every distinct pair, in the order of names and values.
    pub pairs: Vec<PairStatistics>,
    /// Every label name, in order.
    pub names: Vec<NameStatistics>,
}

/// One label pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairStatistics {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
    /// How many series have it.
    pub series: u64,
    /// The time of the block that its series do not cover, added up, ms.
    pub uncovered_ms: u64,
}

/// One label name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameStatistics {
    /// The name.
    pub name: String,
    /// How many distinct values it has.
    pub values: u64,
    /// How many bytes these have together.
    pub value_bytes: u64,
    /// The time of the block that the series with this label do not cover, added up, ms.
    pub uncovered_ms: u64,
}

/// Counts of one pair, by the symbols of name and value.
type Counts = FxHashMap<(u32, u32), (u64, u64)>;

impl Block {
    /// Counts the labels of all series that satisfy the matchers, or of all when there is none. Tombstones do not matter.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn label_statistics(&self, matchers: &[Matcher]) -> Result<LabelStatistics, ReadError> {
        let (index, meta) = (self.index(), self.meta());
        let (texts, mut counts) = (Texts::remembering(index), Counts::default());
        let mut statistics = LabelStatistics::default();
        let range_ms = meta.max_ms.wrapping_sub(meta.min_ms) as u64;
        Plan::new(self, matchers)?.walk(self, |_, pairs, chunks| {
            let wrong = |fault| self.index_error("read series", fault);
            texts.check(index, pairs).map_err(wrong)?;
            let uncovered_ms = range_ms.wrapping_sub(covered_ms(chunks).map_err(wrong)?);
            for [name, value] in pairs.as_chunks::<2>().0 {
                let (series, uncovered) = counts.entry((*name, *value)).or_default();
                *series += 1;
                *uncovered = uncovered.wrapping_add(uncovered_ms);
            }
            statistics.series += 1;
            statistics.entries += pairs.len() as u64 / 2;
            Ok(true)
        })?;
        let text = |symbol| String::from_utf8_lossy(texts.bytes(index, symbol)).into_owned();
        let pair = |((name, value), (series, uncovered_ms))| PairStatistics {
            name: text(name),
            value: text(value),
            series,
            uncovered_ms,
        };
        statistics.pairs = counts.into_iter().map(pair).collect();
        statistics.pairs.sort_unstable_by(|a, b| (&a.name, &a.value).cmp(&(&b.name, &b.value)));
        statistics.names = statistics.pairs.chunk_by(|a, b| a.name == b.name).map(sum_up).collect();
        Ok(statistics)
    }
}

/// The time from the first to the last sample, ms.
fn covered_ms(mut chunks: ChunkRefs<'_>) -> Result<u64, Fault> {
    let Some(first) = chunks.next().transpose()? else { return Ok(0) };
    let mut last_ms = first.max_ms;
    for chunk in chunks {
        last_ms = chunk?.max_ms;
    }
    Ok(last_ms.wrapping_sub(first.min_ms) as u64)
}

/// The pairs of one name as one line.
fn sum_up(pairs: &[PairStatistics]) -> NameStatistics {
    NameStatistics {
        name: pairs[0].name.clone(),
        values: pairs.len() as u64,
        value_bytes: pairs.iter().map(|pair| pair.value.len() as u64).sum(),
        uncovered_ms: pairs.iter().fold(0, |sum, pair| sum.wrapping_add(pair.uncovered_ms)),
    }
}
