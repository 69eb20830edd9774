//! The files of `chunks_head` as a start finds them: listed, checked, scanned, cut where they are corrupt.
//!
//! As Prometheus does: a last file that was made but not written is deleted; a gap in the numbers, a wrong header refuse the
//! start. Other than Prometheus, which deletes a file with a corrupt chunk and all later ones, the file is cut at its last good
//! chunk: what lay behind it comes back from the WAL and the WBL, which hold every sample that is not in a block.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use narthex_chunks::{Encoding, first_timestamp, for_each, sample_count};
use narthex_disk::point;

use super::map::Mapping;
use super::record::{HEADER_BYTES, Record, RecordFault, check_header, is_unwritten, parse};
use super::{ChunkRef, FoundChunk, HeadChunksError};

/// The path of a file by its number.
pub(super) fn path_of(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:06}"))
}

/// The files by their numbers. Deletes a last one that was never written.
pub(super) fn list(dir: &Path) -> Result<BTreeMap<u32, PathBuf>, HeadChunksError> {
    let (files, unwritten) = list_plainly(dir)?;
    if let Some(path) = unwritten {
        std::fs::remove_file(&path).map_err(|source| HeadChunksError::io("delete", &path, source))?;
    }
    Ok(files)
}

/// The files by their numbers; apart from them a last one that was never written.
pub(super) fn list_plainly(dir: &Path) -> Result<(BTreeMap<u32, PathBuf>, Option<PathBuf>), HeadChunksError> {
    let failed = |source| HeadChunksError::io("list", dir, source);
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            files.insert(number, entry.path());
        }
    }
    let last_is_empty = files.last_key_value().map_or(Ok(false), |(_, path)| unwritten(path))?;
    let empty = if last_is_empty { files.pop_last().map(|(_, path)| path) } else { None };
    check_order(&files)?;
    Ok((files, empty))
}

fn unwritten(path: &Path) -> Result<bool, HeadChunksError> {
    let failed = |source| HeadChunksError::io("read", path, source);
    let mut first = Vec::new();
    File::open(path).map_err(failed)?.take(4).read_to_end(&mut first).map_err(failed)?;
    Ok(is_unwritten(&first))
}

fn check_order(files: &BTreeMap<u32, PathBuf>) -> Result<(), HeadChunksError> {
    let gap =
        files.iter().zip(files.iter().skip(1)).find(|((before, _), (after, _))| **before + 1 != **after);
    gap.map_or(Ok(()), |((before_number, before), (after_number, after))| {
        Err(HeadChunksError::Gap {
            before: before.clone(),
            before_number: *before_number,
            after: after.clone(),
            after_number: *after_number,
        })
    })
}

/// Checks a file's header. Kept apart from the scan: it refuses a start before anything was changed.
pub(super) fn check(path: &Path) -> Result<(), HeadChunksError> {
    let failed = |source| HeadChunksError::io("read", path, source);
    let mut first = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(HEADER_BYTES as u64).read_to_end(&mut first).map_err(failed)?;
    check_header(&first).map_err(|fault| HeadChunksError::Header { path: path.to_owned(), fault })
}

/// Reads a whole file, checksums included, and tells of each chunk. Returns where the chunks end, and the fault there, if there is
/// one.
/// PERF: the mapping is given back at the end, so that a start does not leave all of it in memory.
pub(super) fn scan(
    path: &Path,
    number: u32,
    visit: &mut dyn FnMut(FoundChunk),
) -> Result<(usize, Option<RecordFault>), HeadChunksError> {
    let mapping = map(path)?;
    let bytes = mapping.bytes();
    let mut at = HEADER_BYTES;
    // A chunk that its series cannot have is a fault like a wrong checksum: passed over, it would leave a hole that the later
    // chunks of the series cover, and replay would leave its samples out of the WAL.
    let fault = loop {
        let found = match parse(bytes, at) {
            Ok(Some(record)) => {
                usable(&record, &bytes[record.data.clone()]).map(|encoding| (record, encoding))
            }
            // What was lost of a file reads as zeros; the chunks behind may be of the same series.
            Ok(None) => break bytes[at..].iter().any(|byte| *byte != 0).then_some(RecordFault::Hole),
            Err(fault) => Err(fault),
        };
        let (record, encoding) = match found {
            Ok(found) => found,
            Err(fault) => break Some(fault),
        };
        visit(FoundChunk {
            chunk: ChunkRef::new(number, at as u32),
            series: record.series,
            min_ms: record.min_ms,
            max_ms: record.max_ms,
            encoding,
            late: record.late,
            samples: sample_count(encoding, &bytes[record.data]).unwrap_or(0) as u16,
        });
        at = record.end;
    };
    Ok((at, fault))
}

/// The encoding of a chunk that begins where its record says.
fn usable(record: &Record, chunk: &[u8]) -> Result<Encoding, RecordFault> {
    let encoding = Encoding::try_from(record.encoding).map_err(|_| RecordFault::Encoding(record.encoding))?;
    match begins_at(encoding, chunk, record.min_ms) {
        true => Ok(encoding),
        false => Err(RecordFault::Begin(record.min_ms)),
    }
}

/// Whether a chunk's first sample is where the record says: a range that begins far before would keep compaction busy with
/// empty blocks.
fn begins_at(encoding: Encoding, chunk: &[u8], min_ms: i64) -> bool {
    if let Encoding::Xor | Encoding::Xor2 = encoding {
        return first_timestamp(encoding, chunk) == Some(min_ms);
    }
    let mut first_ms = None;
    // What can be read of it is enough.
    let _ = for_each(encoding, chunk, (i64::MIN, i64::MAX), |sample| {
        first_ms.get_or_insert(sample.t_ms);
    });
    first_ms == Some(min_ms)
}

/// Maps a file that will not grow.
pub(super) fn map(path: &Path) -> Result<Mapping, HeadChunksError> {
    let failed = |source| HeadChunksError::io("map", path, source);
    let file = File::open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len() as usize;
    Mapping::new(&file, len, len).map_err(failed)
}

/// Cuts a file at its last good chunk and deletes all later ones, newest first: a crash in between leaves the same fault.
/// No file may be mapped.
pub(super) fn repair(
    files: &mut BTreeMap<u32, PathBuf>,
    number: u32,
    good_end: u64,
    fault: RecordFault,
) -> Result<(), HeadChunksError> {
    let later = files.split_off(&(number + 1));
    for path in later.values().rev() {
        point("head_chunks.repair");
        std::fs::remove_file(path).map_err(|source| HeadChunksError::io("delete", path, source))?;
    }
    let path = &files[&number];
    point("head_chunks.repair");
    let cut = || {
        let file = OpenOptions::new().write(true).open(path)?;
        let lost_bytes = file.metadata()?.len().saturating_sub(good_end);
        file.set_len(good_end)?;
        narthex_disk::sync_file(&file, path)?;
        Ok(lost_bytes)
    };
    let lost_bytes = cut().map_err(|source| HeadChunksError::io("cut", path, source))?;
    tracing::warn!(
        file = %path.display(),
        offset = good_end,
        error = %fault,
        lost_bytes,
        deleted_files = later.len(),
        "head chunk file is corrupt; it was cut there, and the samples behind come back from the WAL"
    );
    Ok(())
}
