//! What endpoints refused for good, kept with the reason, one JSON object a line, until it is replayed or dropped.
//!
//! A store (one an endpoint) is a row of files: letters are appended to the newest; the oldest goes, counted and logged, when all
//! together would pass the bound. Only files that are closed for appending are rewritten (`edit`), each in one step.
//! Always true: letters have rising numbers that stay and are never given again; what `keep` returned from is there after a
//! crash, and after a power cut once `sync` returned; a line that was torn is cut off, as the cursor never passed it.
//! Must not know: the cursor, requests. Start at `DeadLetters::keep`; `files` and `letter` hold the format.

mod edit;
mod files;
mod letter;
mod selection;
mod summary;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

pub use self::edit::drop_from;
pub(crate) use self::edit::{Edit, Fate};
pub(crate) use self::files::Origin;
use self::files::{LetterFile, Line, Lines, file_name, origin_line};
pub use self::letter::{Content, DeadLetter};
pub(crate) use self::letter::{Refusal, Refused};
pub use self::selection::Selection;
pub(crate) use self::summary::origins;
pub use self::summary::{LetterSummary, ReasonSummary, each, summaries};
pub use crate::source::OtherKind;

/// In how many files the letters of a store lie when it is full: so much of them goes at a time, and is in memory at a time.
const FILES: u64 = 64;

/// The dead letters of one endpoint. One value a store and process: it alone appends and rewrites.
pub(crate) struct DeadLetters {
    dir: PathBuf,
    id: String,
    origin: Origin,
    bound_bytes: u64,
    state: Mutex<State>,
    /// Held by whoever takes letters out; before `state`.
    editing: tokio::sync::Mutex<()>,
}

struct State {
    /// Oldest first; the last one is appended to.
    files: VecDeque<Kept>,
    /// The last one's handle, once something was appended.
    open: Option<File>,
    next_id: u64,
    is_unsynced: bool,
    /// The newest file has bytes behind its last letter that could not be taken back.
    is_spoilt: bool,
    evicted: u64,
}

/// A file of the store.
#[derive(Clone, Debug)]
struct Kept {
    first: u64,
    bytes: u64,
    letters: u64,
}

/// What a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Letters now.
    pub letters: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Letters that went since the start because the store was full.
    pub evicted: u64,
}

impl DeadLetters {
    /// Opens the store of endpoint `id` in `dir`, which is there, and mends what a crash or an older version left.
    /// `bound_bytes` is for all files together.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn open(dir: &Path, id: &str, origin: Origin, bound_bytes: u64) -> io::Result<Self> {
        let found = files::stores(dir)?.remove(id).unwrap_or_default();
        let mut state = State {
            files: VecDeque::new(),
            open: None,
            next_id: 1,
            is_unsynced: false,
            is_spoilt: false,
            evicted: 0,
        };
        let mut origin = origin;
        for (at, file) in found.iter().enumerate() {
            state.next_id = state.next_id.max(file.first);
            let first = state.next_id;
            let path = dir.join(file_name(id, first));
            if file.old {
                narthex_disk::rename(&file.path, &path)?;
            }
            let is_last = at + 1 == found.len();
            let file = LetterFile { first, path, ..file.clone() };
            let bytes = if is_last { mend_end(&file)? } else { files::read(&file)? };
            let mut lines = Lines::new(&bytes, first);
            let mut letters = 0;
            for (_, line) in lines.by_ref() {
                match line {
                    Line::Letter(_) => letters += 1,
                    Line::Origin(found) if origin == Origin::default() => origin = found,
                    Line::Origin(_) | Line::Unreadable => {}
                }
            }
            state.next_id = lines.next;
            state.files.push_back(Kept { first, bytes: bytes.len() as u64, letters });
        }
        let editing = tokio::sync::Mutex::default();
        let letters = Self {
            dir: dir.to_owned(),
            id: id.to_owned(),
            origin,
            bound_bytes,
            state: Mutex::new(state),
            editing,
        };
        Ok(letters)
    }

    /// Keeps one letter. `labels` is what [`crate::wire::put_label`] wrote.
    ///
    /// # Errors
    /// The disk's; then nothing was kept, and a later call may succeed.
    pub(crate) fn keep(&self, labels: &[u8], refused: Refused<'_>, refusal: Refusal<'_>) -> io::Result<()> {
        let mut state = self.state.lock();
        let line = letter::line(state.next_id, labels, refused, refusal);
        let size = line.len() as u64;
        let is_full = |file: &Kept| file.letters > 0 && file.bytes + size > self.bound_bytes / FILES;
        if state.is_spoilt || state.files.back().is_none_or(is_full) {
            self.begin_file(&mut state)?;
        }
        self.make_room(&mut state, size);
        if state.open.is_none() {
            let first = state.files.back().expect("one was begun").first;
            state.open = Some(OpenOptions::new().append(true).open(self.path(first))?);
        }
        let State { files, open, next_id, is_unsynced, is_spoilt, .. } = &mut *state;
        let (file, kept) = (open.as_mut().expect("opened above"), files.back_mut().expect("one was begun"));
        if let Err(error) = file.write_all(&line) {
            // Without this the next letter would stand behind what is left of the line.
            *is_spoilt = file.set_len(kept.bytes).is_err();
            return Err(error);
        }
        narthex_disk::point("dead_letters.kept");
        kept.bytes += size;
        kept.letters += 1;
        *next_id += 1;
        *is_unsynced = true;
        Ok(())
    }

    /// Makes what was kept survive a power cut. Cheap when nothing was.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.sync_open(&mut self.state.lock())
    }

    /// What the store holds.
    #[must_use]
    pub(crate) fn totals(&self) -> Totals {
        let state = self.state.lock();
        Totals {
            letters: state.files.iter().map(|file| file.letters).sum(),
            bytes: state.files.iter().map(|file| file.bytes).sum(),
            evicted: state.evicted,
        }
    }

    /// The files as they are now. Reading them needs no lock: they are replaced or removed, never changed before their end.
    fn files(&self) -> Vec<LetterFile> {
        let state = self.state.lock();
        state.files.iter().map(|file| self.letter_file(file)).collect()
    }

    fn letter_file(&self, file: &Kept) -> LetterFile {
        LetterFile { first: file.first, path: self.path(file.first), bytes: file.bytes, old: false }
    }

    fn path(&self, first: u64) -> PathBuf {
        self.dir.join(file_name(&self.id, first))
    }

    fn sync_open(&self, state: &mut State) -> io::Result<()> {
        if let (Some(file), Some(kept), true) = (&state.open, state.files.back(), state.is_unsynced) {
            narthex_disk::sync_file(file, &self.path(kept.first))?;
            state.is_unsynced = false;
        }
        Ok(())
    }

    /// Closes the newest file for appending, and begins another. Its name keeps the number of the next letter, even when all
    /// letters are gone.
    fn begin_file(&self, state: &mut State) -> io::Result<()> {
        self.sync_open(state)?;
        let next_id = state.next_id;
        let (path, line) = (self.path(state.next_id), origin_line(&self.origin));
        narthex_disk::replace_file(&path, line.as_bytes())?;
        state.open = None;
        state.is_spoilt = false;
        // One without letters has the same name.
        state.files.pop_back_if(|file| file.first == next_id);
        state.files.push_back(Kept { first: state.next_id, bytes: line.len() as u64, letters: 0 });
        Ok(())
    }

    /// Lets the oldest files go until `size` bytes more are within the bound.
    fn make_room(&self, state: &mut State, size: u64) {
        let mut bytes = size + state.files.iter().map(|file| file.bytes).sum::<u64>();
        while bytes > self.bound_bytes && state.files.len() > 1 {
            let oldest = state.files.pop_front().expect("there are two");
            let path = self.path(oldest.first);
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::error!(path = %path.display(), %error, "cannot delete the oldest dead letters of remote write");
            }
            tracing::warn!(
                remote_name = self.origin.name,
                letters = oldest.letters,
                bound_bytes = self.bound_bytes,
                "Oldest dead letters of remote write are deleted, the bound is reached"
            );
            state.evicted += oldest.letters;
            bytes -= oldest.bytes;
        }
    }
}

/// Cuts off a torn last line, or ends one that only lacks its end. The bytes that are left.
fn mend_end(file: &LetterFile) -> io::Result<Vec<u8>> {
    let mut bytes = files::read(file)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole == bytes.len() {
        return Ok(bytes);
    }
    let open = OpenOptions::new().append(true).open(&file.path)?;
    if matches!(Lines::new(&bytes[whole..], 0).next(), Some((_, Line::Unreadable))) {
        tracing::warn!(
            path = %file.path.display(), offset = whole as u64, bytes = (bytes.len() - whole) as u64,
            "The last dead letter of remote write was written by half and is cut off; its sample is sent again"
        );
        bytes.truncate(whole);
        open.set_len(whole as u64)?;
    } else {
        (&open).write_all(b"\n")?;
        bytes.push(b'\n');
    }
    narthex_disk::sync_file(&open, &file.path)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
