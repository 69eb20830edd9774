//! A tailer behind a live writer: it sees each acknowledged record once, in order, and nothing else.

use super::*;
use crate::{Tail, Tailer, segment_path};

fn follow(tailer: &mut Tailer, seen: &mut Vec<Vec<u8>>) {
    while let Tail::Record(record) = tailer.next().unwrap() {
        assert!(record.start < record.end);
        seen.push(record.bytes.to_vec());
    }
}

#[test]
fn each_record_is_seen_once_across_segments() {
    for seed in 0..6 {
        let dir = tempfile::tempdir().unwrap();
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut writer = writer(dir.path(), 3, Compression::Snappy);
        let mut tailer = Tailer::open(dir.path(), writer.position(), writer.tip()).unwrap();
        let (mut written, mut seen) = (Vec::new(), Vec::new());
        for _ in 0..60 {
            let count = rng.usize(0..4);
            let batch = records(&mut rng, count);
            log(&mut writer, &batch);
            written.extend(batch);
            if rng.bool() {
                follow(&mut tailer, &mut seen);
                assert!(seen == written, "seed {seed}");
            }
            if rng.u8(..) < 30 {
                writer.next_segment().unwrap();
            }
        }
        let end = writer.tip();
        writer.close().unwrap();
        follow(&mut tailer, &mut seen);
        assert!(seen == written, "seed {seed}");
        assert_eq!(tailer.position(), end.position());
    }
}

#[test]
fn a_tailer_resumes_where_another_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = fastrand::Rng::with_seed(9);
    let mut writer = writer(dir.path(), 2, Compression::Zstd);
    let mut written = Vec::new();
    for _ in 0..10 {
        let batch = records(&mut rng, 3);
        log(&mut writer, &batch);
        written.extend(batch);
    }
    let mut at = WalPosition::default();
    for record in &written {
        let mut tailer = Tailer::open(dir.path(), at, writer.tip()).unwrap();
        let Tail::Record(found) = tailer.next().unwrap() else { panic!("a record is there") };
        assert!(found.bytes == record);
        at = found.end;
    }
}

#[test]
fn bytes_behind_the_tip_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path(), 8, Compression::None);
    log(&mut writer, &[vec![1; 100]]);
    let mut tailer = Tailer::open(dir.path(), WalPosition::default(), writer.tip()).unwrap();
    let mut seen = Vec::new();
    follow(&mut tailer, &mut seen);
    // Half of a batch that was never acknowledged, then one that was, over it.
    let path = segment_path(dir.path(), 0);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend([1, 0, 50, 1, 2, 3, 4, 9, 9]);
    std::fs::write(&path, bytes).unwrap();
    follow(&mut tailer, &mut seen);
    log(&mut writer, &[vec![2; 100]]);
    follow(&mut tailer, &mut seen);
    assert_eq!(seen, [vec![1; 100], vec![2; 100]]);
}

#[test]
fn a_segment_that_was_truncated_away_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path(), 8, Compression::None);
    let tip = writer.tip();
    writer.next_segment().unwrap();
    writer.truncate_before(1).unwrap();
    let error = Tailer::open(dir.path(), WalPosition::default(), tip).err().unwrap();
    assert!(matches!(error, ReadError::Io { action: "open", .. }), "{error}");
}
