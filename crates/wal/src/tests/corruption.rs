//! Damaged logs: what lies before the damage is kept, nothing panics, and a repaired log is whole.

use std::path::PathBuf;

use super::*;
use crate::{Corruption, fill_last_page, list_segments, repair, segment_path};

/// A log of three segments and the end of each record.
fn damaged_log(dir: &Path, seed: u64) -> Vec<(WalPosition, Vec<u8>)> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut writer = writer(dir, 8, Compression::Snappy);
    while writer.position().segment < 2 || writer.position().offset < 40_000 {
        let batch = records(&mut rng, 3);
        log(&mut writer, &batch);
    }
    read_all(dir).0
}

#[track_caller]
fn check_kept(dir: &Path, all: &[(WalPosition, Vec<u8>)], damage: WalPosition, seed: u64) {
    let (read, error) = read_all(dir);
    assert!(all.starts_with(&read), "seed {seed}: what is read was written, in order");
    let before = all.windows(2).take_while(|pair| pair[1].0 <= damage).count();
    assert!(
        read.len() >= before,
        "seed {seed}: every record before {damage} is read, {} of {before}",
        read.len()
    );
    let Some(error) = error else { return };
    let report = repair(error).unwrap();
    assert!(report.end <= damage, "seed {seed}: {report:?} but the damage is at {damage}");
    let (again, error) = read_all(dir);
    assert!(error.is_none(), "seed {seed}: {error:?}");
    assert_eq!(again, read, "seed {seed}: a repair keeps exactly what was read");
    let segments = list_segments(dir).unwrap();
    assert_eq!(segments.last(), Some(&report.end.segment), "seed {seed}: later segments are gone");
}

fn file_with(dir: &Path, segment: u32) -> (PathBuf, Vec<u8>) {
    let path = segment_path(dir, segment);
    let bytes = std::fs::read(&path).unwrap();
    (path, bytes)
}

#[test]
fn a_cut_at_any_byte_of_the_last_segment_keeps_the_records_before_it() {
    for seed in 0..40 {
        let dir = tempfile::tempdir().unwrap();
        let all = damaged_log(dir.path(), seed);
        let (path, bytes) = file_with(dir.path(), 2);
        let at = fastrand::Rng::with_seed(seed).usize(0..bytes.len());
        std::fs::write(path, &bytes[..at]).unwrap();
        check_kept(dir.path(), &all, WalPosition { segment: 2, offset: at as u64 }, seed);
    }
}

#[test]
fn a_flipped_byte_anywhere_keeps_the_records_before_it() {
    for seed in 0..40 {
        let dir = tempfile::tempdir().unwrap();
        let all = damaged_log(dir.path(), seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let segment = rng.u32(0..3);
        let (path, mut bytes) = file_with(dir.path(), segment);
        let at = rng.usize(0..bytes.len());
        bytes[at] ^= rng.u8(1..);
        std::fs::write(path, &bytes).unwrap();
        check_kept(dir.path(), &all, WalPosition { segment, offset: at as u64 }, seed);
    }
}

#[test]
fn random_bytes_never_panic() {
    for seed in 0..200 {
        let dir = tempfile::tempdir().unwrap();
        let mut rng = fastrand::Rng::with_seed(seed);
        let len = rng.usize(0..70_000);
        let bytes: Vec<u8> = (0..len).map(|_| if rng.u8(..) < 40 { rng.u8(..) } else { 0 }).collect();
        std::fs::write(segment_path(dir.path(), 0), bytes).unwrap();
        if let (_, Some(error)) = read_all(dir.path()) {
            repair(error).unwrap();
            assert!(read_all(dir.path()).1.is_none(), "seed {seed}");
        }
    }
}

#[track_caller]
fn check_corruption(damage: impl Fn(&mut Vec<u8>), expected: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut w = writer(dir.path(), 8, Compression::None);
    log(&mut w, &[vec![1; 10], vec![2; 40_000]]);
    let (path, mut bytes) = file_with(dir.path(), 0);
    damage(&mut bytes);
    std::fs::write(&path, &bytes).unwrap();
    let (_, error) = read_all(dir.path());
    let text = error.map_or("whole".into(), |error| error.to_string());
    let text = text.replace(&format!("{}/", dir.path().display()), "");
    assert_eq!(text, expected);
}

#[test]
fn a_corruption_names_segment_offset_and_fault() {
    check_corruption(|_| {}, "whole");
    check_corruption(
        |bytes| bytes[8] ^= 1,
        "corruption in segment 00000000 at 0: checksum 4758fd26, expected b3662b6e",
    );
    check_corruption(|bytes| bytes[0] = 6, "corruption in segment 00000000 at 0: unexpected record type 6");
    check_corruption(
        |bytes| bytes[1] = 0xff,
        "corruption in segment 00000000 at 0: a fragment of 65290 bytes where 32761 are left in the page",
    );
    check_corruption(
        |bytes| bytes.truncate(40_000),
        "corruption in segment 00000000 at 32768: the last record is torn",
    );
    check_corruption(
        |bytes| bytes.truncate(32_768),
        "corruption in segment 00000000 at 32768: the last record is torn",
    );
    check_corruption(
        |bytes| bytes[32_768] = 1,
        "corruption in segment 00000000 at 32768: a full fragment inside another record",
    );
    check_corruption(
        |bytes| bytes[17] = 3,
        "corruption in segment 00000000 at 17: a middle fragment without a first one",
    );
    check_corruption(
        |bytes| bytes[17] = 0,
        "corruption in segment 00000000 at 18: unexpected non-zero byte in padded page",
    );
}

#[test]
fn a_packed_record_that_lies_about_its_size_is_a_corruption() {
    let dir = tempfile::tempdir().unwrap();
    // A snappy block that announces 4 GiB, and a zstd frame that is none.
    for (flag, data) in [(9u8, &[0xff, 0xff, 0xff, 0xff, 0x0f][..]), (17, b"not a frame")] {
        let mut bytes = vec![flag, 0, data.len() as u8];
        bytes.extend(crc32c::crc32c(data).to_be_bytes());
        bytes.extend(data);
        std::fs::write(segment_path(dir.path(), 0), bytes).unwrap();
        let (read, error) = read_all(dir.path());
        assert!(read.is_empty());
        assert!(
            matches!(error, Some(ReadError::Corrupt { corruption: Corruption::Packing(_), good_end: 0, .. })),
            "{error:?}"
        );
    }
}

/// A crash cut a record whose last bytes were zeros: nothing of it is lost.
#[test]
fn a_record_that_lacks_only_zeros_is_whole_again_when_the_page_is_filled() {
    let dir = tempfile::tempdir().unwrap();
    let record = [&b"some"[..], &[0; 8]].concat();
    let mut whole = vec![1, 0, record.len() as u8];
    whole.extend(crc32c::crc32c(&record).to_be_bytes());
    whole.extend(&record);
    for (lacks, is_whole) in [(5, true), (8, true), (9, false)] {
        std::fs::write(segment_path(dir.path(), 3), &whole[..whole.len() - lacks]).unwrap();
        assert!(read_all(dir.path()).1.is_some(), "it is torn");
        fill_last_page(dir.path()).unwrap();
        let (read, error) = read_all(dir.path());
        let found = read.iter().any(|(_, bytes)| *bytes == record);
        assert_eq!((found, error.is_none()), (is_whole, is_whole), "{lacks}");
        fill_last_page(dir.path()).unwrap();
        assert_eq!(std::fs::metadata(segment_path(dir.path(), 3)).unwrap().len(), 32_768);
    }
}

#[test]
fn an_error_of_the_disk_is_not_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let error = Reader::open(dir.path(), WalPosition::default(), 0).err().unwrap();
    assert!(matches!(repair(error), Err(ReadError::Io { .. })));
}

/// Found by fuzzing: the repair kept the first fragment of the record that the damage cut in two, so that the repaired log was
/// torn in the middle and the next start cut off all that had been written since.
#[test]
fn damage_between_two_fragments_of_a_record_takes_the_whole_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = vec![2, 0, 1];
    bytes.extend(crc32c::crc32c(b"x").to_be_bytes());
    bytes.extend(b"x\0\x5b");
    std::fs::write(segment_path(dir.path(), 0), bytes).unwrap();
    let report = repair(read_all(dir.path()).1.unwrap()).unwrap();
    assert_eq!(report.end, WalPosition { segment: 0, offset: 0 });
    let mut writer = writer(dir.path(), 8, Compression::None);
    log(&mut writer, &[b"\x02later".to_vec()]);
    let (read, error) = read_all(dir.path());
    assert!(error.is_none(), "{error:?}");
    assert_eq!(read.len(), 1);
}
