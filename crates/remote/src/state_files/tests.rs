//! The checks of the fuzz targets, on good files with random edits. With the fuzzer's build checksums are not looked at.

use super::*;

/// A good file with some bytes changed, put in, or cut off.
fn edited(good: &[u8], rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..rng.usize(0..6) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.usize(..bytes.len());
        match rng.u8(0..5) {
            0 => bytes[at] = rng.u8(..),
            1 => bytes[at] ^= 1 << rng.u8(0..8),
            2 => bytes.insert(at, rng.u8(..)),
            3 => bytes.truncate(at),
            _ => drop(bytes.drain(at..(at + rng.usize(0..50)).min(bytes.len()))),
        }
    }
    bytes
}

#[track_caller]
fn check(good: &[u8], rounds: u64, mut take_up: impl FnMut(&Path, &[u8]) -> io::Result<usize>) {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    assert!(take_up(dir.path(), good).unwrap() > 0, "the good file is read");
    for seed in 0..rounds {
        let mut rng = fastrand::Rng::with_seed(seed);
        let bytes = edited(good, &mut rng);
        take_up(dir.path(), &bytes).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

#[test]
fn a_cursor_file_with_any_content_is_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    cursor(dir.path(), &[]).unwrap();
    let good = std::fs::read(dir.path().join("a.cursor")).unwrap();
    check(&good, 100, |dir, bytes| cursor(dir, bytes).map(usize::from));
}

#[test]
fn a_late_file_with_any_content_is_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.late");
    let mut file = LateFile::open(path.clone(), 70).unwrap();
    (0..4).for_each(|n| file.append(&late_chunk(n)).unwrap());
    check(&std::fs::read(path).unwrap(), 500, |dir, bytes| late(dir, bytes, 70));
}

#[test]
fn a_file_of_dead_letters_with_any_content_is_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_letters(dir.path()).unwrap();
    (0..5).for_each(|t_ms| keep_letter(&store, t_ms).unwrap());
    let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    check(&std::fs::read(file).unwrap(), 300, dead_letters);
}
