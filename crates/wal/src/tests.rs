//! The log as a whole: what was acknowledged is read back, whatever happens to the file's end.

mod checkpoints;
mod corruption;
mod followed;
mod real_data;
mod round_trip;
mod syncing;

use std::path::Path;

use narthex_metrics::Registry;

use super::{Compression, ReadError, Reader, WalMetrics, WalOptions, WalPosition, Writer};

fn writer(dir: &Path, segment_pages: u64, compression: Compression) -> Writer {
    let options = WalOptions {
        segment_size_bytes: segment_pages * super::PAGE_SIZE as u64,
        compression,
        ..WalOptions::default()
    };
    Writer::open(dir, options, WalMetrics::for_wal(&Registry::new(), compression)).unwrap()
}

/// Records of assorted sizes, some longer than a page, some that compress and some that do not.
fn records(rng: &mut fastrand::Rng, count: usize) -> Vec<Vec<u8>> {
    let record = |i: usize| {
        let len = match rng.u8(0..10) {
            0 => rng.usize(30_000..100_000),
            1..=3 => rng.usize(1..40),
            _ => rng.usize(40..5_000),
        };
        let noise = rng.bool();
        (0..len).map(|at| if noise { rng.u8(..) } else { (i + at / 100) as u8 }).collect()
    };
    (0..count).map(record).collect()
}

fn log(writer: &mut Writer, batch: &[Vec<u8>]) -> WalPosition {
    let batch: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
    writer.log(&batch).unwrap()
}

/// All records up to the end or the first error.
fn read_all(dir: &Path) -> (Vec<(WalPosition, Vec<u8>)>, Option<ReadError>) {
    let mut reader = Reader::open_dir(dir).unwrap();
    let mut records = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(record)) => records.push((record.start, record.bytes.to_vec())),
            Ok(None) => return (records, None),
            Err(error) => return (records, Some(error)),
        }
    }
}
