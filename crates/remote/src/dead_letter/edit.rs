//! Taking letters out, and giving them another reason: a file at a time, each replaced in one step.
//!
//! Always true: a crash leaves each file as it was or as it was to be; letters that are appended meanwhile go to another file.
//! One editor at a time ([`DeadLetters::edit`]).

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::files::{self, Line, Lines, Origin};
use super::letter::write;
use super::{DeadLetter, DeadLetters, Kept};

/// What becomes of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It leaves the store.
    Gone,
    /// It was refused again.
    RefusedAgain {
        /// The HTTP status.
        status: u16,
        /// What the endpoint said; shared, as many letters have one reason.
        reason: Arc<str>,
        /// When, ms since the epoch.
        at_ms: i64,
    },
}

/// The right to take letters out of a store.
pub(crate) struct Edit<'a> {
    store: &'a DeadLetters,
    _alone: tokio::sync::MutexGuard<'a, ()>,
    /// The first numbers of the files that may be edited, oldest first.
    pub(crate) files: Vec<u64>,
}

impl DeadLetters {
    /// Begins to edit: the letters that are there now. `None` while somebody else does.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn edit(&self) -> io::Result<Option<Edit<'_>>> {
        let Ok(alone) = self.editing.try_lock() else { return Ok(None) };
        let mut state = self.state.lock();
        if state.files.back().is_some_and(|file| file.letters > 0) {
            self.begin_file(&mut state)?;
        }
        let files = state.files.iter().filter(|file| file.letters > 0).map(|file| file.first).collect();
        Ok(Some(Edit { store: self, _alone: alone, files }))
    }
}

impl Edit<'_> {
    /// The letters of a file; none when it went meanwhile as the oldest.
    pub(crate) fn letters(&self, first: u64) -> io::Result<Vec<DeadLetter>> {
        let kept = self.store.state.lock().files.iter().find(|file| file.first == first).cloned();
        let Some(kept) = kept else { return Ok(Vec::new()) };
        let bytes = files::read(&self.store.letter_file(&kept))?;
        Ok(Lines::new(&bytes, first).filter_map(|(_, line)| letter_of(line)).collect())
    }

    /// Does with the letters of a file what `fates` says by their numbers; the others stay as they are.
    ///
    /// # Errors
    /// The disk's; then the file is as it was.
    pub(crate) fn settle(&self, first: u64, fates: &HashMap<u64, Fate>) -> io::Result<()> {
        if fates.is_empty() {
            return Ok(());
        }
        let mut state = self.store.state.lock();
        let Some(at) = state.files.iter().position(|file| file.first == first) else { return Ok(()) };
        let file = self.store.letter_file(&state.files[at]);
        let bytes = files::read(&file)?;
        let (kept, letters) = rewritten(&bytes, first, fates);
        narthex_disk::point("dead_letters.settle");
        if letters == 0 && kept.is_empty() {
            std::fs::remove_file(&file.path)?;
            state.files.remove(at);
            return narthex_disk::sync_dir(&self.store.dir);
        }
        narthex_disk::replace_file(&file.path, &kept)?;
        state.files[at] = Kept { first, bytes: kept.len() as u64, letters };
        Ok(())
    }
}

/// The lines that stay, and how many of them are letters; nothing when only the line of the endpoint would.
fn rewritten(bytes: &[u8], first: u64, fates: &HashMap<u64, Fate>) -> (Vec<u8>, u64) {
    let (mut kept, mut letters, mut is_needed) = (Vec::with_capacity(bytes.len()), 0, false);
    for (raw, line) in Lines::new(bytes, first) {
        is_needed |= line == Line::Unreadable;
        let Some(mut letter) = letter_of(line) else {
            kept.extend_from_slice(raw);
            continue;
        };
        match fates.get(&letter.id) {
            Some(Fate::Gone) => continue,
            Some(Fate::RefusedAgain { status, reason, at_ms }) => {
                (letter.status, letter.reason, letter.refused_ms) = (*status, reason.to_string(), *at_ms);
            }
            None => {}
        }
        // Written anew, so that one that had its number from its place keeps it.
        kept.extend_from_slice(&write(&letter));
        letters += 1;
    }
    if letters == 0 && !is_needed {
        kept.clear();
    }
    (kept, letters)
}

fn letter_of(line: Line) -> Option<DeadLetter> {
    match line {
        Line::Letter(letter) => Some(letter),
        Line::Origin(_) | Line::Unreadable => None,
    }
}

/// Drops the letters of the store of `id` in `dir` that are `wanted`; nobody else may use the directory. How many went.
///
/// # Errors
/// The disk's.
pub fn drop_from(dir: &Path, id: &str, wanted: impl Fn(&DeadLetter) -> bool) -> io::Result<u64> {
    let store = DeadLetters::open(dir, id, Origin::default(), u64::MAX)?;
    store.drop_letters(wanted).map(|dropped| dropped.expect("nobody else has this store"))
}

impl DeadLetters {
    /// Drops the letters that are `wanted`. How many went; `None` while somebody else edits.
    ///
    /// # Errors
    /// The disk's; some letters may be gone.
    pub(crate) fn drop_letters(&self, wanted: impl Fn(&DeadLetter) -> bool) -> io::Result<Option<u64>> {
        let Some(edit) = self.edit()? else { return Ok(None) };
        let mut dropped = 0;
        for first in &edit.files {
            let letters = edit.letters(*first)?;
            let fates: HashMap<u64, Fate> = letters
                .iter()
                .filter(|letter| wanted(letter))
                .map(|letter| (letter.id, Fate::Gone))
                .collect();
            edit.settle(*first, &fates)?;
            dropped += fates.len() as u64;
        }
        Ok(Some(dropped))
    }
}
