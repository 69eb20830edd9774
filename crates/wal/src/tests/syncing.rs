//! What is on the disk is known, and the knowledge never runs ahead.

use std::time::{Duration, Instant};

use super::*;

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::yield_now();
    }
}

fn interval_writer(dir: &Path, segment_pages: u64, interval_ms: u64) -> Writer {
    let options = WalOptions {
        segment_size_bytes: segment_pages * super::super::PAGE_SIZE as u64,
        compression: Compression::None,
        sync_interval: Duration::from_millis(interval_ms),
    };
    Writer::open(dir, options, WalMetrics::for_wal(&Registry::new(), Compression::None)).unwrap()
}

#[test]
fn with_an_interval_all_that_was_written_is_soon_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = interval_writer(dir.path(), 2, 1);
    let synced = writer.synced();
    for round in 0..30 {
        let end = log(&mut writer, &[vec![round; 10_000]]);
        assert!(synced.position() <= writer.tip().position());
        until("the batch is synced", || synced.position() == end);
    }
    assert!(writer.position().segment > 2, "segments changed on the way");
    writer.close().unwrap();
}

#[test]
fn without_an_interval_only_full_segments_are_synced_and_closing_syncs_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = interval_writer(dir.path(), 2, 0);
    let synced = writer.synced();
    log(&mut writer, &[vec![1; 10_000]]);
    assert_eq!(synced.position(), WalPosition::default());
    let next = writer.next_segment().unwrap();
    until("the full segment is synced", || synced.position() == WalPosition { segment: next, offset: 0 });
    let end = log(&mut writer, &[vec![1; 10_000]]);
    assert!(synced.position() < end);
    writer.close().unwrap();
    assert!(synced.position() >= end);
}

#[test]
fn an_idle_log_with_an_interval_closes_and_opens() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        interval_writer(dir.path(), 2, 1).close().unwrap();
        drop(interval_writer(dir.path(), 2, 1));
    }
    assert_eq!(super::super::list_segments(dir.path()).unwrap().len(), 6);
}
