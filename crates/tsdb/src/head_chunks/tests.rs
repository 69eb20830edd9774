//! What is written is found and read back; what is damaged is cut or refused, never served; a failed write leaves nothing.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt as _, symlink};

use narthex_chunks::OpenChunk;
use narthex_metrics::Registry;
use tempfile::TempDir;

use super::*;

fn chunk(first_ms: i64, samples: i64) -> SealedChunk {
    let mut open = OpenChunk::default();
    for i in 0..samples {
        open.push(first_ms + i * 1000, (first_ms + i) as f64);
    }
    open.seal()
}

fn open(dir: &Path) -> Result<(HeadChunks, Vec<FoundChunk>), HeadChunksError> {
    let mut found = Vec::new();
    let files = HeadChunks::open(dir, HeadChunkMetrics::new(&Registry::new()), &mut |c| found.push(c))?;
    Ok((files, found))
}

/// Writes `count` chunks in one batch; returns where each lies with what it should hold.
fn write(files: &HeadChunks, first: u64, count: u64) -> Vec<(ChunkRef, SealedChunk)> {
    let chunks: Vec<_> =
        (first..first + count).map(|i| chunk(i as i64 * 100_000, 2 + i as i64 % 90)).collect();
    let mut batch = ChunkBatch::default();
    for (i, chunk) in chunks.iter().enumerate() {
        batch.push(SeriesRef(first + i as u64 + 1), chunk, i % 3 == 0);
    }
    let refs = files.write(&batch).expect("the directory can be written");
    refs.into_iter().zip(chunks).collect()
}

#[track_caller]
fn check_reads(files: &HeadChunks, written: &[(ChunkRef, SealedChunk)]) {
    for (at, chunk) in written {
        let mapped = files.chunk(*at).expect("it was written");
        assert_eq!((mapped.bytes(), mapped.encoding), (&*chunk.bytes, chunk.encoding));
    }
}

fn dir() -> TempDir {
    crate::scratch::tempdir().expect("a temporary directory")
}

#[test]
fn what_was_written_is_read_at_once_and_found_at_the_next_start() {
    let dir = dir();
    let (files, found) = open(dir.path()).expect("an empty directory opens");
    assert!(found.is_empty());
    let mut written = write(&files, 0, 50);
    written.extend(write(&files, 50, 1));
    check_reads(&files, &written);
    assert_eq!(written[0].0, ChunkRef(1 << 32 | 8), "Prometheus' first reference");
    drop(files);
    let (files, found) = open(dir.path()).expect("it opens again");
    check_reads(&files, &written);
    let expected: Vec<_> = written
        .iter()
        .enumerate()
        .map(|(i, (at, chunk))| FoundChunk {
            chunk: *at,
            series: SeriesRef(i as u64 + 1),
            min_ms: chunk.min_ms,
            max_ms: chunk.max_ms,
            encoding: Encoding::Xor,
            late: i == 50 || i % 3 == 0,
            samples: 2 + i as u16 % 90,
        })
        .collect();
    assert_eq!(found, expected);
    let later = write(&files, 51, 3);
    assert_eq!(later[0].0.file(), 2, "a start begins a new file");
    check_reads(&files, &later);
}

#[test]
fn truncating_deletes_files_but_not_under_a_reader() {
    let dir = dir();
    let (files, _) = open(dir.path()).expect("it opens");
    let mut written = Vec::new();
    for round in 0..4 {
        written.push(write(&files, round * 10, 10));
        // Each truncation lets the next batch begin a file.
        files.truncate_before(0).expect("there is nothing to delete");
    }
    let held = files.chunk(written[0][3].0).expect("it is there");
    files.truncate_before(3).expect("files can be deleted");
    assert_eq!(held.bytes(), &*written[0][3].1.bytes);
    let gone = files.chunk(written[1][0].0).map(drop).expect_err("it was deleted").to_string();
    assert!(gone.ends_with("000002 is not there"), "{gone}");
    check_reads(&files, &written[2]);
    files.truncate_before(99).expect("files can be deleted");
    assert_eq!(files.size_bytes(), 0);
    assert_eq!(write(&files, 40, 1)[0].0.file(), 5, "a number is not used twice in one run");
    drop(files);
    let (_, found) = open(dir.path()).expect("numbers may begin anywhere");
    assert_eq!(found.len(), 1);
}

#[track_caller]
fn check_refused(name: &str, bytes: &[u8], expected: &str) {
    let dir = dir();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).expect("the file can be written");
    let error = open(dir.path()).map(drop).expect_err(expected).to_string();
    assert_eq!(error.replace(&format!("{}/", dir.path().display()), ""), expected);
    assert_eq!(std::fs::read(&path).expect("it is still there"), bytes);
}

#[test]
fn a_wrong_header_or_a_gap_refuses_the_start_in_prometheus_words() {
    check_refused(
        "000001",
        &[1, 0x30, 0xbc, 0x91, 1],
        "000001: invalid head chunk file header: invalid size",
    );
    check_refused("000001", b"\x01\x30\xbc\x91\xfe\0\0\0", "000001: invalid chunk format version 254");
    check_refused("7", b"\x85\xbd\x40\xdd\x01\0\0\0", "7: invalid magic number 85bd40dd");
    let dir = dir();
    for name in ["000002", "000005"] {
        std::fs::write(dir.path().join(name), record::header()).expect("the file can be written");
    }
    let error = open(dir.path()).map(drop).expect_err("there is a gap").to_string();
    let expected = "found unsequential head chunk files D/000002 (index: 2) and D/000005 (index: 5)";
    assert_eq!(error, expected.replace('D', &dir.path().display().to_string()));
}

#[test]
fn a_last_file_that_was_never_written_is_deleted_and_zeros_end_a_file() {
    let dir = dir();
    let (files, _) = open(dir.path()).expect("it opens");
    let written = write(&files, 0, 5);
    drop(files);
    // Prometheus allocates ahead; a crash leaves the zeros.
    let first = path_of(dir.path(), 1);
    let len = std::fs::metadata(&first).expect("it is there").len();
    for zeros in [3, 33, 34, 70_000] {
        OpenOptions::new()
            .write(true)
            .open(&first)
            .and_then(|file| file.set_len(len + zeros))
            .expect("the file can grow");
        for unwritten in [&b""[..], &[1, 2], &[0; 4096]] {
            std::fs::write(path_of(dir.path(), 2), unwritten).expect("the file can be written");
            let (files, found) = open(dir.path()).expect("it opens");
            assert_eq!(found.len(), 5);
            check_reads(&files, &written);
            assert!(!path_of(dir.path(), 2).exists());
        }
    }
}

/// Opens a damaged directory: what is found must be a part of what was written, in order, and a second start finds the same.
#[track_caller]
fn check_damaged(dir: &Path, written: &[(ChunkRef, SealedChunk)], what: &str) {
    let Ok((files, found)) = open(dir) else { return };
    let refs: Vec<ChunkRef> = found.iter().map(|f| f.chunk).collect();
    let intact: Vec<_> = written.iter().filter(|(at, _)| refs.contains(at)).cloned().collect();
    let order: Vec<ChunkRef> = intact.iter().map(|(at, _)| *at).collect();
    assert_eq!(refs, order, "{what}: a chunk was made up, or they changed places");
    check_reads(&files, &intact);
    drop(files);
    let (_, again) = open(dir).expect("a repaired directory opens");
    assert_eq!(again, found, "{what}");
}

#[test]
fn cut_or_flipped_bytes_never_give_a_wrong_chunk() {
    let mut random = fastrand::Rng::with_seed(7);
    let model = dir();
    let (files, _) = open(model.path()).expect("it opens");
    let mut written = write(&files, 0, 12);
    files.truncate_before(0).expect("there is nothing to delete");
    written.extend(write(&files, 12, 12));
    drop(files);
    let intact = [1, 2].map(|n| std::fs::read(path_of(model.path(), n)).expect("it is there"));
    for round in 0..400 {
        let dir = dir();
        let mut bytes = intact.clone();
        let file = &mut bytes[random.usize(0..2)];
        match random.u8(0..3) {
            0 => file.truncate(random.usize(0..file.len())),
            1 => *random.choice(file).expect("it has bytes") ^= 1 << random.u8(0..8),
            _ => {
                let from = random.usize(0..file.len());
                file[from..].iter_mut().take(9).for_each(|byte| *byte = random.u8(..));
            }
        }
        for (n, bytes) in [1, 2].into_iter().zip(&bytes) {
            std::fs::write(path_of(dir.path(), n), bytes).expect("the file can be written");
        }
        check_damaged(dir.path(), &written, &format!("round {round}"));
    }
}

#[test]
fn a_corrupt_chunk_is_cut_away_with_all_behind_it_and_counted() {
    let dir = dir();
    let (files, _) = open(dir.path()).expect("it opens");
    let mut written = write(&files, 0, 10);
    files.truncate_before(0).expect("there is nothing to delete");
    written.extend(write(&files, 10, 10));
    drop(files);
    let mut bytes = std::fs::read(path_of(dir.path(), 1)).expect("it is there");
    bytes[written[6].0.offset() as usize + 3] ^= 1;
    std::fs::write(path_of(dir.path(), 1), bytes).expect("it can be written");
    let registry = Registry::new();
    let mut found = 0;
    let metrics = HeadChunkMetrics::new(&registry);
    let files = HeadChunks::open(dir.path(), metrics.clone(), &mut |_| found += 1).expect("it is repaired");
    assert_eq!((found, metrics.corruptions.get()), (6, 1.0));
    check_reads(&files, &written[..6]);
    assert!(!path_of(dir.path(), 2).exists());
    assert_eq!(write(&files, 50, 1)[0].0.file(), 2);
}

#[test]
fn a_full_disk_refuses_the_batch_and_the_next_one_works() {
    let dir = dir();
    // The device that is always full stands in for the first file.
    std::fs::create_dir_all(dir.path()).expect("it can be made");
    let (files, _) = open(dir.path()).expect("it opens");
    symlink("/dev/full", path_of(dir.path(), 1)).expect("a link can be made");
    let mut batch = ChunkBatch::default();
    batch.push(SeriesRef(1), &chunk(0, 9), false);
    let error = files.write(&batch).expect_err("the disk is full");
    assert!(
        matches!(&error, HeadChunksError::Io { source, .. } if narthex_disk::is_disk_full(source)),
        "{error}"
    );
    assert_eq!((files.size_bytes(), path_of(dir.path(), 1).exists()), (0, false));
    let written = write(&files, 0, 3);
    check_reads(&files, &written);
    assert_eq!(written[0].0.file(), 1);
}

/// Writes a file with one record that is whole but odd between two good ones; a start must find the first, and the same again.
#[track_caller]
fn check_odd(change: impl Fn(&mut SealedChunk), expected: &str) {
    let (dir, registry) = (dir(), Registry::new());
    let metrics = HeadChunkMetrics::new(&registry);
    let (files, _) = open(dir.path()).expect("it opens");
    let mut batch = ChunkBatch::default();
    for i in 0..3 {
        let mut chunk = chunk(i * 100_000, 9);
        if i == 1 {
            change(&mut chunk);
        }
        batch.push(SeriesRef(1), &chunk, false);
    }
    let refs = files.write(&batch).expect("the directory can be written");
    drop(files);
    let (end, fault) = files::scan(&path_of(dir.path(), 1), 1, &mut |_| {}).expect("it can be read");
    assert_eq!((end, fault.map(|f| f.to_string())), (refs[1].offset() as usize, Some(expected.to_owned())));
    let mut found = Vec::new();
    HeadChunks::open(dir.path(), metrics.clone(), &mut |c| found.push(c.chunk)).expect("it is repaired");
    assert_eq!((found, metrics.corruptions.get()), (refs[..1].to_vec(), 1.0));
    assert_eq!(open(dir.path()).expect("it opens").1.len(), 1);
}

#[test]
fn a_chunk_that_its_series_cannot_have_is_a_fault_of_the_file() {
    check_odd(|chunk| chunk.min_ms -= 1, "the chunk's first sample is not at 99999, where its range begins");
    check_odd(|chunk| chunk.min_ms = 0, "the chunk's first sample is not at 0, where its range begins");
    check_odd(
        |chunk| chunk.bytes = Box::default(),
        "the chunk's first sample is not at 100000, where its range begins",
    );
    check_odd(
        |chunk| chunk.encoding = Encoding::Histogram,
        "the chunk's first sample is not at 100000, where its range begins",
    );
}

#[test]
fn zeros_before_other_bytes_are_a_fault_of_the_file() {
    let dir = dir();
    let (files, _) = open(dir.path()).expect("it opens");
    let written = write(&files, 0, 6);
    drop(files);
    let path = path_of(dir.path(), 1);
    let mut bytes = std::fs::read(&path).expect("it is there");
    bytes[written[2].0.offset() as usize..written[3].0.offset() as usize].fill(0);
    std::fs::write(&path, bytes).expect("it can be written");
    let (end, fault) = files::scan(&path, 1, &mut |_| {}).expect("it can be read");
    assert_eq!((end, fault), (written[2].0.offset() as usize, Some(RecordFault::Hole)));
    assert_eq!(open(dir.path()).expect("it is repaired").1.len(), 2);
    assert_eq!(open(dir.path()).expect("it opens").1.len(), 2);
}

fn inode(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).expect("it is there"))
}

/// A device that cannot be synced stands in for a disk that fails once.
fn break_sync(files: &HeadChunks) {
    let mut writer = files.writer.lock();
    let full = writer.unsynced.last_mut().expect("a file is full");
    full.file = Some(std::fs::File::open("/dev/null").expect("it is there"));
}

/// A second sync of the same file says that all is well, when the first one failed and the system dropped what it could not write.
#[test]
fn a_file_that_could_not_be_synced_is_written_again() {
    let dir = dir();
    let (files, _) = open(dir.path()).expect("it opens");
    let mut written = write(&files, 0, 10);
    let held = files.chunk(written[4].0).expect("it is there");
    let path = path_of(dir.path(), 1);
    let before = (inode(&path), std::fs::read(&path).expect("it is there"));
    let full = files.writer.lock().current.take().expect("a file grows");
    files.writer.lock().unsynced.push(full.into());
    break_sync(&files);
    // The new file cannot be made either: a directory is in its place. Nothing younger is written then.
    let blocked = dir.path().join("000001.tmp");
    std::fs::create_dir(&blocked).expect("it can be made");
    let mut batch = ChunkBatch::default();
    batch.push(SeriesRef(1), &chunk(0, 9), false);
    for _ in 0..2 {
        let error = files.write(&batch).expect_err("the first file is not on the disk").to_string();
        assert!(error.starts_with("cannot write again head chunk file"), "{error}");
        assert_eq!(files.writer.lock().unsynced.len(), 1);
    }
    std::fs::remove_dir(&blocked).expect("it is empty");
    written.extend(write(&files, 10, 3));
    assert_ne!(inode(&path), before.0, "it is another file");
    assert_eq!(std::fs::read(&path).expect("it is there"), before.1);
    check_reads(&files, &written);
    assert_eq!(held.bytes(), &*written[4].1.bytes, "who read it may finish");
    drop(files);
    assert_eq!(open(dir.path()).expect("it opens").1.len(), 13);
}

#[test]
fn a_file_whose_chunks_are_lost_after_a_failed_sync_lets_nothing_younger_be_written() {
    let dir = dir();
    let (files, _) = open(dir.path()).expect("it opens");
    let written = write(&files, 0, 10);
    files.sync().expect("the disk works");
    let full = files.writer.lock().current.take().expect("a file grows");
    files.writer.lock().unsynced.push(full.into());
    break_sync(&files);
    // What the system dropped reads as it was on the disk before.
    let (from, to) = (written[5].0.offset(), written[6].0.offset());
    let file = OpenOptions::new().write(true).open(path_of(dir.path(), 1)).expect("it is there");
    file.write_all_at(&vec![0; (to - from) as usize], u64::from(from)).expect("it can be written");
    let mut batch = ChunkBatch::default();
    batch.push(SeriesRef(1), &chunk(0, 9), false);
    let error = files.write(&batch).expect_err("chunks are lost").to_string();
    assert!(error.contains(&format!("at byte {from}")), "{error}");
    drop(files);
    let (_, found) = open(dir.path()).expect("it is repaired");
    assert_eq!(found.len(), 5, "the log has the rest");
}

#[test]
fn what_an_earlier_run_left_is_on_the_disk_before_younger_chunks() {
    let dir = dir();
    let (files, _) = open(dir.path()).expect("it opens");
    write(&files, 0, 10);
    drop(files);
    let (files, _) = open(dir.path()).expect("it opens");
    assert_eq!(files.writer.lock().unsynced.len(), 1);
    write(&files, 10, 1);
    assert!(files.writer.lock().unsynced.is_empty());
}

#[test]
fn a_batch_that_does_not_fit_begins_the_next_file() {
    let dir = dir();
    let (files, _) = open(dir.path()).expect("it opens");
    let big = SealedChunk { bytes: vec![7; FILE_BYTES / 3 + 1].into(), ..chunk(0, 2) };
    let refs: Vec<ChunkRef> = (0..4)
        .flat_map(|_| {
            let mut batch = ChunkBatch::default();
            batch.push(SeriesRef(1), &big, false);
            files.write(&batch).expect("there is room")
        })
        .collect();
    assert_eq!(refs.iter().map(|at| at.file()).collect::<Vec<_>>(), [1, 1, 2, 2]);
    assert!(refs.iter().all(|at| files.chunk(*at).is_ok_and(|c| c.bytes() == &*big.bytes)));
}
