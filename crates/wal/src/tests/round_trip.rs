//! Written records come back; segments, pages and positions are as promised.

use super::*;
use crate::{PAGE_SIZE, list_segments, segment_path};

#[track_caller]
fn check_round_trip(compression: Compression, segment_pages: u64, seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut written = Vec::new();
    for _ in 0..3 {
        let mut writer = writer(dir.path(), segment_pages, compression);
        for _ in 0..20 {
            let count = rng.usize(0..12);
            let batch = records(&mut rng, count);
            let before = writer.position();
            let end = log(&mut writer, &batch);
            assert!(end >= before, "positions rise");
            written.extend(batch);
        }
        match rng.bool() {
            true => writer.close().unwrap(),
            false => drop(writer),
        }
    }
    let (read, error) = read_all(dir.path());
    assert!(error.is_none(), "seed {seed}: {error:?}");
    assert!(read.iter().map(|(_, bytes)| bytes).eq(&written), "seed {seed}");
    assert!(read.is_sorted_by(|a, b| a.0 < b.0), "seed {seed}: starts rise strictly");
    for (start, bytes) in read.iter().step_by(7) {
        let mut reader = Reader::open(dir.path(), *start, start.segment).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().bytes, bytes, "seed {seed}: reading from {start}");
    }
}

#[test]
fn every_record_comes_back_in_order_with_its_position() {
    for compression in [Compression::None, Compression::Snappy, Compression::Zstd] {
        for (seed, segment_pages) in [(1, 1), (2, 3), (3, 64)] {
            check_round_trip(compression, segment_pages, seed);
        }
    }
}

#[test]
fn records_at_the_edges_of_pages_and_segments_come_back() {
    for gap in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path(), 2, Compression::None);
        let batch = [vec![1; PAGE_SIZE - 7 - gap], vec![2; 1], vec![3; PAGE_SIZE * 3], vec![4; gap]];
        let batch: Vec<_> = batch.into_iter().filter(|record| !record.is_empty()).collect();
        log(&mut writer, &batch);
        log(&mut writer, &batch);
        let (read, error) = read_all(dir.path());
        assert!(error.is_none(), "gap {gap}: {error:?}");
        assert!(read.iter().map(|(_, bytes)| bytes).eq(batch.iter().chain(&batch)), "gap {gap}");
    }
}

#[test]
fn a_batch_never_crosses_segments_and_closed_segments_end_at_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path(), 2, Compression::None);
    let batch = vec![vec![7; 20_000]; 3];
    for _ in 0..5 {
        let before = writer.position().segment;
        log(&mut writer, &batch);
        assert!(writer.position().segment <= before + 1);
    }
    writer.close().unwrap();
    let segments = list_segments(dir.path()).unwrap();
    assert_eq!(segments, [0, 1, 2, 3, 4]);
    for segment in segments {
        let len = std::fs::metadata(segment_path(dir.path(), segment)).unwrap().len();
        assert_eq!(len, 2 * PAGE_SIZE as u64, "segment {segment}");
    }
    let starts: Vec<_> = read_all(dir.path()).0.iter().map(|(start, _)| start.segment).collect();
    assert_eq!(starts, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
}

#[test]
fn opening_starts_a_new_segment_and_truncation_keeps_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    for segment in 0..4 {
        let mut writer = writer(dir.path(), 2, Compression::Snappy);
        assert_eq!(writer.position(), WalPosition { segment, offset: 0 });
        log(&mut writer, &[vec![segment as u8; 10]]);
    }
    let mut writer = writer(dir.path(), 2, Compression::Snappy);
    assert_eq!(writer.next_segment().unwrap(), 5);
    writer.truncate_before(2).unwrap();
    assert_eq!(list_segments(dir.path()).unwrap(), [2, 3, 4, 5]);
    let (read, error) = read_all(dir.path());
    assert!(error.is_none());
    assert_eq!(read.iter().map(|(_, bytes)| bytes[0]).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn a_hole_between_segments_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        writer(dir.path(), 2, Compression::Snappy);
    }
    std::fs::write(dir.path().join("hello"), "x").unwrap();
    std::fs::remove_file(segment_path(dir.path(), 1)).unwrap();
    let error = list_segments(dir.path()).unwrap_err().to_string();
    assert!(error.starts_with("segments are not sequential: "), "{error}");
}

#[test]
fn a_segment_size_that_is_no_multiple_of_a_page_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let options = WalOptions { segment_size_bytes: 40_000, ..WalOptions::default() };
    let metrics = WalMetrics::for_wal(&Registry::new(), Compression::None);
    let error = Writer::open(dir.path(), options, metrics).err().unwrap().to_string();
    assert_eq!(error, "WAL segment size 40000 is not a multiple of 32768 between 32768 and 1073741824");
}

#[test]
fn series_records_are_found_among_others_at_every_compression() {
    for compression in [Compression::None, Compression::Snappy, Compression::Zstd] {
        let dir = tempfile::tempdir().unwrap();
        let mut rng = fastrand::Rng::with_seed(4);
        let mut writer = writer(dir.path(), 3, compression);
        let mut expected = Vec::new();
        for _ in 0..40 {
            let mut batch = records(&mut rng, 5);
            batch.iter_mut().for_each(|record| record[0] = rng.u8(1..5));
            log(&mut writer, &batch);
            expected.extend(batch.into_iter().filter(|record| record[0] == 1));
        }
        let mut reader = Reader::open_dir(dir.path()).unwrap();
        let mut found = Vec::new();
        while let Some(record) = reader.next_series().unwrap() {
            if record.bytes[0] == 1 {
                found.push(record.bytes.to_vec());
            }
        }
        assert!(found == expected, "{compression:?}");
    }
}
