//! Writing a memory snapshot of a head that nobody appends to any more.
//!
//! Full chunks went to `chunks_head` before; each series gives its open chunk, if it has one. Series that the WAL does not know
//! under their present reference are introduced to it before it is closed ([`Head::introduce_all`]), so that log and snapshot
//! stay two tellings of one thing.
//! PERF: a batch of records (1 MiB) in memory; pages are locked one at a time.

use std::path::Path;
use std::sync::atomic::Ordering;

use narthex_chunks::{ChunkValue, SealedChunk, for_each};
use narthex_model::{Exemplar, Labels};
use narthex_storage::SeriesRef;
use narthex_wal::record::snapshot::{
    LastSample, SnapshotChunk, encode_snapshot_exemplars, encode_snapshot_series, encode_snapshot_tombstones,
};
use narthex_wal::record::{Tombstone, encode_series};
use narthex_wal::{Compression, WalMetrics, WalOptions, WalPosition, WriteError, Writer};

use super::Head;
use super::page::Page;
use super::slab::{reference, slot_at};
use crate::head_chunks::HeadChunks;
use crate::snapshot::{Snapshot, SnapshotError, delete_before};
use crate::symbols::PackedLabels;

/// Records are written when they are this many bytes together.
const BATCH_BYTES: usize = 1 << 20;
/// Exemplars of a record.
const EXEMPLARS: usize = 10_000;
/// Series of a record of the log.
const SERIES: usize = 1000;

/// What a page gives to the snapshot.
struct Row {
    series: SeriesRef,
    labels: PackedLabels,
    open: Option<SealedChunk>,
}

/// Records on their way to the snapshot.
struct Out {
    writer: Writer,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Out {
    /// Ends the record that was appended to `bytes`.
    fn end_record(&mut self) -> Result<(), WriteError> {
        self.ends.push(self.bytes.len());
        if self.bytes.len() >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        let mut start = 0;
        let records: Vec<&[u8]> =
            self.ends.iter().map(|end| &self.bytes[std::mem::replace(&mut start, *end)..*end]).collect();
        self.writer.log(&records)?;
        narthex_disk::point("snapshot.write");
        self.bytes.clear();
        self.ends.clear();
        Ok(())
    }
}

impl Head {
    /// Logs the label sets of series with samples that the WAL does not know under their reference.
    pub(crate) fn introduce_all(&self, wal: &mut Writer) -> Result<(), WriteError> {
        let mut fresh: Vec<(SeriesRef, Labels)> = Vec::new();
        for (number, page) in self.slab.pages() {
            let _commit = page.commit.lock();
            for at in page.occupied().filter(|at| !page.is_logged(*at)) {
                let Some(generation) = page.generation(at) else { continue };
                let packed = {
                    let rows = page.rows.lock();
                    if rows.series(at).newest_ms() == i64::MIN {
                        continue;
                    }
                    rows.copy_labels(at)
                };
                let labels = self.symbols.read().labels(&packed);
                fresh.push((reference(generation, slot_at(number, at)), labels));
                page.set_logged(at, true);
            }
        }
        for some in fresh.chunks(SERIES) {
            let mut record = Vec::new();
            encode_series(some.iter().map(|(series, labels)| (*series, labels)), &mut record);
            wal.log(&[&record])?;
        }
        Ok(())
    }

    /// Writes the snapshot that stands for the WAL before `position`, and deletes older ones. Nobody appends meanwhile, and the
    /// WAL is closed. Returns how many series are in it.
    pub(crate) fn write_snapshot(
        &self,
        data_dir: &Path,
        position: WalPosition,
        compression: Compression,
    ) -> Result<usize, SnapshotError> {
        let snapshot = Snapshot::named(data_dir, position);
        if snapshot.dir.is_dir() {
            // Nothing was logged since.
            return Ok(0);
        }
        if self.has_aliases.load(Ordering::Relaxed) {
            // Chunks in files go by references that the snapshot would not have. When the log has forgotten them, all is well.
            return Err(SnapshotError::Aliases);
        }
        let mapped = self.map_chunks().and_then(|_| self.chunk_files.get().map_or(Ok(()), HeadChunks::sync));
        mapped.map_err(|_| SnapshotError::ChunksInMemory)?;
        let mut tmp = snapshot.dir.clone().into_os_string();
        tmp.push(".tmp");
        let tmp = Path::new(&tmp);
        let written = self.fill_snapshot(tmp, compression).and_then(|count| {
            narthex_disk::sync_dir(tmp).map_err(SnapshotError::io("sync", tmp))?;
            narthex_disk::point("snapshot.rename");
            narthex_disk::rename(tmp, &snapshot.dir)
                .map_err(SnapshotError::io("rename snapshot to", &snapshot.dir))?;
            Ok(count)
        });
        match &written {
            Ok(_) => {
                if let Err(error) = delete_before(data_dir, Some(position)) {
                    tracing::error!(%error, "cannot delete old memory snapshots; they are not read");
                }
            }
            Err(_) => drop(narthex_disk::remove_dir_all(tmp)),
        }
        written
    }

    fn fill_snapshot(&self, dir: &Path, compression: Compression) -> Result<usize, SnapshotError> {
        narthex_disk::remove_dir_all(dir).map_err(SnapshotError::io("delete", dir))?;
        let options = WalOptions { compression, ..WalOptions::default() };
        let metrics = WalMetrics::for_wal(&narthex_metrics::Registry::new(), compression);
        let writer = Writer::open(dir, options, metrics)?;
        let mut out = Out { writer, bytes: Vec::new(), ends: Vec::new() };
        let (mut tombstones, mut count) = (Vec::new(), 0);
        for (number, page) in self.slab.pages() {
            for row in rows_of(number, page, &mut tombstones)? {
                let labels = self.symbols.read().labels(&row.labels);
                put_series(&row, &labels, &mut out.bytes)?;
                out.end_record()?;
                count += 1;
            }
        }
        encode_snapshot_tombstones(&tombstones, &mut out.bytes);
        out.end_record()?;
        self.put_exemplars(&mut out)?;
        out.flush()?;
        out.writer.close()?;
        Ok(count)
    }

    fn put_exemplars(&self, out: &mut Out) -> Result<(), WriteError> {
        let ring = self.exemplars.lock();
        let here: Vec<(SeriesRef, &Exemplar)> =
            ring.oldest_first().filter(|(series, _)| self.slab.find(*series).is_some()).collect();
        for some in here.chunks(EXEMPLARS) {
            encode_snapshot_exemplars(some, &mut out.bytes);
            out.end_record()?;
        }
        Ok(())
    }
}

/// Copies what a snapshot needs of a page. Series that the log does not know are left out: they have no samples.
fn rows_of(number: u32, page: &Page, tombstones: &mut Vec<Tombstone>) -> Result<Vec<Row>, SnapshotError> {
    let rows = page.rows.lock();
    let mut found = Vec::new();
    for at in page.occupied().filter(|at| page.is_logged(*at)) {
        let Some(generation) = page.generation(at) else { continue };
        let (series, row) = (reference(generation, slot_at(number, at)), rows.series(at));
        if !row.sealed().is_empty() {
            return Err(SnapshotError::ChunksInMemory);
        }
        tombstones.extend(row.deleted().iter().map(|(mint_ms, maxt_ms)| Tombstone {
            series,
            mint_ms: *mint_ms,
            maxt_ms: *maxt_ms,
        }));
        found.push(Row { series, labels: rows.copy_labels(at), open: row.copy_open() });
    }
    Ok(found)
}

fn put_series(row: &Row, labels: &Labels, out: &mut Vec<u8>) -> Result<(), SnapshotError> {
    let Some(open) = &row.open else {
        encode_snapshot_series(row.series, labels, None, out);
        return Ok(());
    };
    let chunk = SnapshotChunk {
        min_ms: open.min_ms,
        max_ms: open.max_ms,
        encoding: open.encoding as u8,
        bytes: &open.bytes,
    };
    // The newest sample alone: the range begins where the chunk ends.
    for_each(open.encoding, &open.bytes, (open.max_ms, open.max_ms), |sample| {
        let last = match sample.value {
            ChunkValue::Float(value) => LastSample::Float(value),
            ChunkValue::Histogram(histogram) => LastSample::Int(histogram),
            ChunkValue::FloatHistogram(histogram) => LastSample::FloatHistogram(histogram),
        };
        encode_snapshot_series(row.series, labels, Some((chunk, last)), out);
    })
    .map_err(|source| SnapshotError::Chunk { series: row.series, source })
}
