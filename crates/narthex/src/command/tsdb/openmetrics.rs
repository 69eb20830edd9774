//! `tsdb create-blocks-from openmetrics`: blocks from a text with timestamps.
//!
//! The text is read once to find its time range, then once for each block with samples: memory holds one block, compressed.
//! Facts: ranges and words of promtool. It drops a sample that comes late among the last 5,000, and gives up at a later one; here
//! samples may come in any order, and of two with one timestamp the first counts.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use narthex_block::{Block, Ulid};
use narthex_exposition::{Dialect, Entry, LabelError, ParseError, Parser, decode_labels};
use narthex_model::LabelsBuilder;
use narthex_tsdb::BlockBuilder;

use super::super::Given;
use super::list::table;

/// The smallest range of a block.
const TWO_HOURS_MS: i64 = 2 * 3_600_000;
/// A longer range is a power of three of it, below three to this.
const POWERS: u32 = 10;

/// Why no (further) block was made.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImportError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("create output dir {}", path.display())]
    OutputDir { path: PathBuf, source: io::Error },
    #[error("getting min and max timestamp: next: {0}")]
    Survey(ParseError),
    #[error("getting min and max timestamp: expected timestamp for series got none")]
    NoTime,
    #[error("block creation: process blocks: parse: {0}")]
    Parse(ParseError),
    #[error("block creation: process blocks: add sample: {0}")]
    Labels(#[from] LabelError),
    #[error("block creation: process blocks: flush: {0}")]
    Write(#[from] narthex_block::WriteError),
    #[error("block creation: process blocks: get blocks: {0}")]
    Open(#[from] narthex_block::OpenError),
}

/// One import.
struct Import<'a> {
    input: &'a [u8],
    output: &'a Path,
    labels: Vec<(&'a str, &'a str)>,
}

/// Makes the blocks and prints a line for each.
pub(super) fn run(given: &Given) -> Result<(), ImportError> {
    let path = Path::new(given.argument("input file"));
    let input = std::fs::read(path).map_err(|source| ImportError::Read { path: path.to_owned(), source })?;
    let output = Path::new(given.argument("output directory"));
    std::fs::create_dir_all(output)
        .map_err(|source| ImportError::OutputDir { path: output.to_owned(), source })?;
    let labels = given.flags("label").iter().filter_map(|pair| pair.split_once('=')).collect();
    let import = Import { input: &input, output, labels };
    let (min_ms, max_ms) = import.survey()?;
    let range_ms = block_range_ms(given.duration_ms("max-block-duration"));
    let mut start_ms = min_ms / range_ms * range_ms;
    let mut header = true;
    while start_ms <= max_ms {
        let (block, next_ms) = import.block(start_ms, start_ms + range_ms)?;
        if let Some(block) = block
            && !given.on("quiet")
        {
            print!("{}", table(&[block], header, given.on("human-readable")));
            header = false;
        }
        let Some(next_ms) = next_ms else { break };
        start_ms += (next_ms - start_ms).div_euclid(range_ms) * range_ms;
    }
    Ok(())
}

/// The longest range that is at most `wanted_ms` and two hours times a power of three; two hours at least.
fn block_range_ms(wanted_ms: i64) -> i64 {
    let ranges = (0..POWERS).map(|power| TWO_HOURS_MS * 3i64.pow(power));
    ranges.take_while(|range| *range <= wanted_ms).last().unwrap_or(TWO_HOURS_MS)
}

impl Import<'_> {
    fn parser(&self) -> Parser<'_> {
        Parser::new(self.input, Dialect::OpenMetrics)
    }

    /// Times of the first and the last sample, ms; 0 and 0 without samples.
    fn survey(&self) -> Result<(i64, i64), ImportError> {
        let mut parser = self.parser();
        let mut span = None;
        while let Some(entry) = parser.next().map_err(ImportError::Survey)? {
            if let Entry::Series(series) = entry {
                let t_ms = series.t_ms.ok_or(ImportError::NoTime)?;
                let (min_ms, max_ms) = span.unwrap_or((t_ms, t_ms));
                span = Some((min_ms.min(t_ms), max_ms.max(t_ms)));
            }
        }
        Ok(span.unwrap_or_default())
    }

    /// The block with the samples of `[start_ms, end_ms)`, and the time of the next sample behind it.
    fn block(&self, start_ms: i64, end_ms: i64) -> Result<(Option<Block>, Option<i64>), ImportError> {
        // COMPAT: promtool cuts chunks as for a block twice as long.
        let mut builder = BlockBuilder::new(2 * (end_ms - start_ms));
        let mut numbers: HashMap<&[u8], usize> = HashMap::new();
        let mut next_ms: Option<i64> = None;
        let mut parser = self.parser();
        while let Some(entry) = parser.next().map_err(ImportError::Parse)? {
            let Entry::Series(series) = entry else { continue };
            let t_ms = series.t_ms.ok_or(ImportError::NoTime)?;
            if t_ms >= end_ms {
                next_ms = Some(next_ms.map_or(t_ms, |next| next.min(t_ms)));
            }
            if !(start_ms..end_ms).contains(&t_ms) {
                continue;
            }
            let number = match numbers.get(series.raw) {
                Some(number) => *number,
                None => {
                    let number = self.series(&parser, series.raw, &mut builder)?;
                    *numbers.entry(series.raw).or_insert(number)
                }
            };
            builder.append(number, t_ms, series.value);
        }
        let meta = builder.write(self.output, new_ulid())?;
        let block = meta.map(|meta| Block::open(&self.output.join(meta.ulid.to_string()))).transpose()?;
        Ok((block, next_ms))
    }

    fn series(
        &self,
        parser: &Parser<'_>,
        raw: &[u8],
        builder: &mut BlockBuilder,
    ) -> Result<usize, LabelError> {
        let mut labels = LabelsBuilder::new();
        decode_labels(raw, Dialect::OpenMetrics, parser.kind(), &mut labels)?;
        for (name, value) in &self.labels {
            labels.set(name, value);
        }
        Ok(builder.series(&labels.labels()))
    }
}

/// A name for a block of this moment; the chance is that of the standard library's hash keys.
fn new_ulid() -> Ulid {
    let chance = || std::hash::RandomState::new().build_hasher().finish();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(0);
    Ulid::new(now_ms, u128::from(chance()) << 64 | u128::from(chance()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_ranges_are_two_hours_times_powers_of_three() {
        const HOUR_MS: i64 = 3_600_000;
        for (wanted, range) in [(0, 2), (1, 2), (5, 2), (6, 6), (17, 6), (24, 18), (1_000_000, 2 * 19683)] {
            assert_eq!(block_range_ms(wanted * HOUR_MS), range * HOUR_MS, "{wanted}h");
        }
    }
}
