//! The files that an endpoint keeps, taken up as a start takes them up, whatever is in them: for fuzz targets and tests.
//!
//! Each function puts bytes where a file lies, opens it, writes to it and opens it again. Always true: nothing panics, what is written
//! behind such bytes comes back whole, and what was readable stays readable.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use narthex_model::Labels;

use crate::cursor::file::CursorFile;
use crate::cursor::{Cursor, Mark};
use crate::dead_letter::{DeadLetter, DeadLetters, Origin, Refusal, Refused};
use crate::late::{LateChunk, LateFile};
use crate::series::Series;
use crate::source::OtherKind;

/// Takes a cursor file up. Whether a cursor was found.
///
/// # Errors
/// The disk's.
///
/// # Panics
/// When a cursor that was saved does not come back.
pub fn cursor(dir: &Path, bytes: &[u8]) -> io::Result<bool> {
    let path = dir.join("a.cursor");
    std::fs::write(&path, bytes)?;
    let (mut file, found) = CursorFile::open(&path)?;
    let mut cursor = found.clone().unwrap_or_else(|| Cursor::at(Mark { log: 7, time_ms: 1, late: 3 }));
    for lane in [0, 77] {
        cursor.lanes[lane].log ^= 0x55;
        file.save(&cursor)?;
        assert_eq!(CursorFile::open(&path)?.1.as_ref(), Some(&cursor));
    }
    Ok(found.is_some())
}

/// Takes a file of late samples up, with the cursor at `at` in it. How many series were found.
///
/// # Errors
/// The disk's.
///
/// # Panics
/// When a chunk that was appended does not come back.
pub fn late(dir: &Path, bytes: &[u8], at: u64) -> io::Result<usize> {
    let path = dir.join("a.late");
    std::fs::write(&path, bytes)?;
    let mut late = LateFile::open(path.clone(), at)?;
    let mut found = 0;
    let mut next = late.base();
    // Bytes with the right checksum may be no chunk all the same; an endpoint stays there and says so.
    while let Ok(Some((chunk, behind))) = late.read(next) {
        found += chunk.len();
        next = behind;
    }
    let end = late.base() + late.bytes();
    let chunk = late_chunk(found as i64);
    late.append(&chunk)?;
    let again = LateFile::open(path, at)?;
    let (read, _) = again.read(end)?.expect("the chunk was appended");
    assert_eq!(read, chunk.series);
    Ok(found)
}

/// A chunk with everything in it.
pub(crate) fn late_chunk(n: i64) -> LateChunk {
    let mut chunk = LateChunk::default();
    let labels = Labels::from_pairs([("__name__", "late"), ("n", &*n.to_string())]);
    let series = || Some(Series::of_labels(&labels));
    let of = chunk.of(1, series).expect("labels were given");
    of.samples = vec![(n, n - 1, 0.5), (n + 1, 0, -1.0)];
    of.others = vec![(n, OtherKind::Histogram, [1, 2, 3].into())];
    chunk
}

/// Takes a file of dead letters up, and keeps another letter. How many were found.
///
/// # Errors
/// The disk's.
///
/// # Panics
/// When a letter is lost or gets another number.
pub fn dead_letters(dir: &Path, bytes: &[u8]) -> io::Result<usize> {
    for old in std::fs::read_dir(dir)? {
        std::fs::remove_file(old?.path())?;
    }
    std::fs::write(dir.join("a.dead.0000000000000003.jsonl"), bytes)?;
    let found = letters(&open_letters(dir)?)?;
    let store = open_letters(dir)?;
    keep_letter(&store, 9)?;
    let with_it = letters(&store)?;
    assert_eq!(ids(&with_it[..found.len()]), ids(&found));
    assert_eq!(with_it.len(), found.len() + 1);
    assert!(with_it.is_sorted_by(|a, b| a.id < b.id));
    assert_eq!(ids(&letters(&open_letters(dir)?)?), ids(&with_it));
    Ok(found.len())
}

pub(crate) fn open_letters(dir: &Path) -> io::Result<DeadLetters> {
    DeadLetters::open(dir, "a", Origin { name: "one".into(), url: "http://a/".into() }, 64 << 20)
}

pub(crate) fn keep_letter(store: &DeadLetters, t_ms: i64) -> io::Result<()> {
    let mut labels = Vec::new();
    crate::wire::put_label(&mut labels, "__name__", "up");
    let refusal = Refusal { at_ms: 5, status: 400, reason: "out of order" };
    store.keep(&labels, Refused::Sample { t_ms, value: f64::NAN, start_ms: t_ms - 1 }, refusal)
}

fn letters(store: &DeadLetters) -> io::Result<Vec<DeadLetter>> {
    let mut letters = Vec::new();
    let keep = |letter| {
        letters.push(letter);
        ControlFlow::Continue(())
    };
    store.each(0, keep)?;
    Ok(letters)
}

fn ids(letters: &[DeadLetter]) -> Vec<u64> {
    letters.iter().map(|letter| letter.id).collect()
}

#[cfg(test)]
mod tests;
