//! The samples of one series: its chunks decoded where they lie, deleted times taken out.

use narthex_storage::{SampleBatch, Windows};

use crate::index::ChunkRefs;
use crate::{Block, Intervals, ReadError};

/// Appends the samples in the closed range to `out`; floats that `windows` do not hold may be missing.
///
/// PERF: a chunk between two windows is not looked at, and one that reaches further than they do is not read to its end.
pub(super) fn read(
    block: &Block,
    chunks: ChunkRefs<'_>,
    deleted: Option<&Intervals>,
    (mint_ms, maxt_ms): (i64, i64),
    windows: Option<&Windows>,
    out: &mut SampleBatch,
) -> Result<(), ReadError> {
    let before = (out.t_ms.len(), out.histogram_t_ms.len());
    let mut read_bytes = 0;
    for chunk in chunks {
        let chunk = chunk.map_err(|fault| block.index_error("read series", fault))?;
        if chunk.max_ms < mint_ms || deleted.is_some_and(|gone| gone.covers(chunk.min_ms, chunk.max_ms)) {
            continue;
        }
        if chunk.min_ms > maxt_ms {
            break;
        }
        let fault = |fault| block.chunk_error(chunk.place, fault);
        let mut range = (mint_ms, maxt_ms);
        if let Some(windows) = windows
            && block.segments().encoding(chunk.place).map_err(fault)?.is_float()
        {
            let Some(held) = windows.clip((chunk.min_ms.max(mint_ms), chunk.max_ms.min(maxt_ms))) else {
                continue;
            };
            range = held;
        }
        let (encoding, bytes) = block.segments().chunk(chunk.place).map_err(fault)?;
        read_bytes += bytes.len();
        narthex_chunks::decode(encoding, bytes, range.0, range.1, out)
            .map_err(|fault| block.samples_error(chunk.place, fault))?;
    }
    block.segments().count_read(read_bytes);
    if let Some(deleted) = deleted {
        remove(deleted, before, out);
    }
    Ok(())
}

/// Takes the deleted times out of what was added to the columns.
#[cold]
fn remove(deleted: &Intervals, (floats, histograms): (usize, usize), out: &mut SampleBatch) {
    let keep = kept(deleted, &out.t_ms[floats..]);
    keep_in(&mut out.t_ms, floats, &keep);
    keep_in(&mut out.values, floats, &keep);
    if !out.start_ms.is_empty() {
        keep_in(&mut out.start_ms, floats, &keep);
    }
    let keep = kept(deleted, &out.histogram_t_ms[histograms..]);
    keep_in(&mut out.histogram_t_ms, histograms, &keep);
    keep_in(&mut out.histograms, histograms, &keep);
    if !out.histogram_start_ms.is_empty() {
        keep_in(&mut out.histogram_start_ms, histograms, &keep);
    }
}

/// Which of these times are not deleted.
fn kept(deleted: &Intervals, t_ms: &[i64]) -> Vec<bool> {
    t_ms.iter().map(|t| !deleted.contains(*t)).collect()
}

fn keep_in<T>(column: &mut Vec<T>, from: usize, keep: &[bool]) {
    let mut place = 0;
    column.retain(|_| {
        let kept = place < from || keep.get(place - from).copied().unwrap_or(true);
        place += 1;
        kept
    });
}
