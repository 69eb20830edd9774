//! The chunks that a real Prometheus wrote: each decodes, and its samples encode to the same bytes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may end where it stands")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use narthex_chunks::histogram::{Counts, OpenChunkOf};
use narthex_chunks::{
    ChunkValue, Encoding, OpenChunk, OpenFloatHistogramChunk, OpenHistogramChunk, Pushed, decode, for_each,
    sample_count,
};
use narthex_model::CounterResetHint;
use narthex_storage::SampleBatch;

/// The conformance material, or `None` after a loud line.
fn shared(test: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let dir = std::env::var_os("NARTHEX_SHARED").map_or(beside, PathBuf::from);
    if dir.join("conformance/tsdb").is_dir() {
        return Some(dir);
    }
    assert!(std::env::var_os("CI").is_none(), "{test} must run in CI and needs {}", dir.display());
    eprintln!("SKIPPED: {test} needs the conformance material at {}", dir.display());
    None
}

fn unpack(archive: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let bytes = zstd::stream::decode_all(std::fs::File::open(archive).unwrap()).unwrap();
    let tar = dir.path().join("archive.tar");
    std::fs::write(&tar, bytes).unwrap();
    let done = Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(dir.path()).status().unwrap();
    assert!(done.success());
    dir
}

fn files_below(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files_below(&path, found),
            false => found.push(path),
        }
    }
}

fn uvarint(bytes: &[u8], at: &mut usize) -> usize {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[*at];
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// Every chunk of a block's segment or of a head file: encoding and bytes.
fn chunks_of(file: &[u8]) -> Vec<(Encoding, Vec<u8>)> {
    let head = match file.get(..4) {
        Some([0x85, 0xbd, 0x40, 0xdd]) => false,
        Some([0x01, 0x30, 0xbc, 0x91]) => true,
        _ => return Vec::new(),
    };
    let (mut at, mut found) = (8, Vec::new());
    while at < file.len() {
        let mut encoding = 0;
        if head {
            // Series, two timestamps; zeros fill a file that was not closed.
            if file.len() < at + 25 || file[at..at + 8] == [0; 8] {
                break;
            }
            // The upper bit of the encoding marks chunks out of order.
            encoding = file[at + 24] & 0x7f;
            at += 25;
        }
        let len = uvarint(file, &mut at);
        if !head {
            encoding = file[at];
            at += 1;
        }
        found.push((Encoding::try_from(encoding).unwrap(), file[at..at + len].to_vec()));
        at += len + 4;
    }
    found
}

/// What the samples of a chunk become when they are written again.
fn again(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
    let header = match bytes[2] >> 6 {
        0 => CounterResetHint::Unknown,
        1 => CounterResetHint::NotReset,
        2 => CounterResetHint::Reset,
        _ => CounterResetHint::Gauge,
    };
    let mut floats = OpenChunk::default();
    let mut ints: Option<OpenHistogramChunk> = None;
    let mut float_histograms: Option<OpenFloatHistogramChunk> = None;
    for_each(encoding, bytes, (i64::MIN, i64::MAX), |sample| match sample.value {
        ChunkValue::Float(value) => floats.push(sample.t_ms, value),
        ChunkValue::Histogram(h) => push(&mut ints, header, sample.t_ms, h),
        ChunkValue::FloatHistogram(h) => push(&mut float_histograms, header, sample.t_ms, h),
    })
    .unwrap();
    let mut out = Vec::new();
    match encoding {
        Encoding::Histogram => ints.unwrap().copy_to(&mut out),
        Encoding::FloatHistogram => float_histograms.unwrap().copy_to(&mut out),
        _ => floats.copy_to(&mut out),
    }
    out
}

fn push<C: Counts>(
    chunk: &mut Option<OpenChunkOf<C>>,
    header: CounterResetHint,
    t_ms: i64,
    histogram: &C::Histogram,
) {
    match chunk {
        None => *chunk = Some(OpenChunkOf::begin(header, false, (t_ms, 0), histogram)),
        Some(chunk) => assert_eq!(chunk.push(t_ms, 0, histogram), Pushed::Taken),
    }
}

#[test]
fn real_chunks_are_read_and_written_to_the_byte() {
    let Some(shared) = shared("real_chunks_are_read_and_written_to_the_byte") else { return };
    let mut counts: BTreeMap<Encoding, usize> = BTreeMap::new();
    for name in ["prom-3.5.3-a.tar.zst", "prom-3.5.3-a-snapshot.tar.zst"] {
        let dir = unpack(&shared.join("conformance/tsdb").join(name));
        let mut files = Vec::new();
        files_below(dir.path(), &mut files);
        for file in files {
            for (at, (encoding, bytes)) in chunks_of(&std::fs::read(&file).unwrap()).iter().enumerate() {
                assert_eq!(again(*encoding, bytes), *bytes, "{} chunk {at} {encoding:?}", file.display());
                let mut batch = SampleBatch::default();
                decode(*encoding, bytes, i64::MIN, i64::MAX, &mut batch).unwrap();
                assert_eq!(batch.len(), sample_count(*encoding, bytes).unwrap() as usize);
                *counts.entry(*encoding).or_default() += 1;
            }
        }
    }
    eprintln!("{counts:?}");
    assert!(counts.len() == 3 && counts.values().all(|count| *count >= 10), "{counts:?}");
}
