//! What several targets share: a directory in memory where one file holds the bytes of a run.

use std::path::{Path, PathBuf};

/// A directory that lives as long as the process, in shared memory where the system has it.
pub fn scratch() -> PathBuf {
    let shm = Path::new("/dev/shm");
    let base = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new()
        .prefix("narthex-fuzz-")
        .tempdir_in(base)
        .expect("a scratch directory can be made")
        .keep()
}

/// Replaces the content of `dir/name`.
pub fn put(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).expect("the scratch directory can be written");
    path
}

/// A good file with edits: each four bytes of `input` are a place (two bytes, scaled to the file), what to do, and a byte.
pub fn edited(good: &[u8], input: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for edit in input.chunks_exact(4) {
        if bytes.is_empty() {
            break;
        }
        let place = usize::from(u16::from_be_bytes([edit[0], edit[1]]));
        // Small places mean themselves, so that headers are hit; the upper half counts from the end.
        let at = match place {
            0..0x8000 => place % bytes.len(),
            _ => bytes.len() - 1 - (place - 0x8000) % bytes.len(),
        };
        match edit[2] % 6 {
            0 | 1 => bytes[at] = edit[3],
            2 => bytes[at] ^= 1 << (edit[3] % 8),
            3 => bytes.insert(at, edit[3]),
            4 => bytes.truncate(at),
            _ => drop(bytes.drain(at..(at + usize::from(edit[3])).min(bytes.len()))),
        }
    }
    bytes
}
