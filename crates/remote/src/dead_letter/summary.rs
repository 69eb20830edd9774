//! Looking at letters: what a store holds by reason, and letters one by one. Reads a file at a time, so that a full store costs
//! the memory of one file.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use super::files::{self, LetterFile, Line, Lines, Origin};
use super::{DeadLetter, DeadLetters};

/// Reasons that are told apart; texts may name a series each.
const REASONS: usize = 50;

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterSummary {
    /// The endpoint's name, `""` when the files do not tell.
    pub name: String,
    /// Its URL, safe to show.
    pub url: String,
    /// Letters.
    pub letters: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Lines that are no letters.
    pub unreadable: u64,
    /// First and last number.
    pub ids: Option<(u64, u64)>,
    /// When the first and the last were refused, ms since the epoch.
    pub refused_ms: Option<(i64, i64)>,
    /// The lowest and the highest timestamp of a sample, ms.
    pub sample_ms: Option<(i64, i64)>,
    /// The most frequent first; the last one stands for all others when there are more than 50.
    pub reasons: Vec<ReasonSummary>,
}

/// Letters of one status and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonSummary {
    /// The HTTP status; 0 for several.
    pub status: u16,
    /// What the endpoint said; `""` for several.
    pub reason: String,
    /// How many letters.
    pub letters: u64,
    /// When the last was refused, ms since the epoch.
    pub last_refused_ms: i64,
}

impl DeadLetters {
    /// Calls `look` with each letter that is numbered higher than `after`, oldest first, until it breaks.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn each(&self, after: u64, look: impl FnMut(DeadLetter) -> ControlFlow<()>) -> io::Result<()> {
        each_in(&self.files(), after, look)
    }
}

/// The stores in `dir`, by the ids of their endpoints, as their files are now; nothing is changed.
///
/// # Errors
/// The disk's.
pub fn summaries(dir: &Path) -> io::Result<Vec<(String, LetterSummary)>> {
    files::stores(dir)?.into_iter().map(|(id, files)| Ok((id, summarize(&files)?))).collect()
}

/// Calls `look` with each letter of a store in `dir`, oldest first, until it breaks; nothing is changed.
///
/// # Errors
/// The disk's.
pub fn each(dir: &Path, id: &str, look: impl FnMut(DeadLetter) -> ControlFlow<()>) -> io::Result<()> {
    each_in(&files::stores(dir)?.remove(id).unwrap_or_default(), 0, look)
}

/// The name and URL of each store in `dir`, by the ids of their endpoints, as far as the newest files tell.
pub(crate) fn origins(dir: &Path) -> io::Result<Vec<(String, Origin)>> {
    let origin = |files: Vec<LetterFile>| {
        let bytes = files.last().map(files::read).transpose()?.unwrap_or_default();
        let found = Lines::new(&bytes, 0).find_map(|(_, line)| match line {
            Line::Origin(origin) => Some(origin),
            Line::Letter(_) | Line::Unreadable => None,
        });
        io::Result::Ok(found.unwrap_or_default())
    };
    files::stores(dir)?.into_iter().map(|(id, files)| Ok((id, origin(files)?))).collect()
}

fn each_in(
    files: &[LetterFile],
    after: u64,
    mut look: impl FnMut(DeadLetter) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut next = 1;
    for (at, file) in files.iter().enumerate() {
        if files.get(at + 1).is_some_and(|newer| !newer.old && newer.first <= after.saturating_add(1)) {
            continue;
        }
        let bytes = files::read(file)?;
        let mut lines = Lines::new(&bytes, file.first.max(next));
        for (_, line) in lines.by_ref() {
            if let Line::Letter(letter) = line
                && letter.id > after
                && look(letter).is_break()
            {
                return Ok(());
            }
        }
        next = lines.next;
    }
    Ok(())
}

fn summarize(files: &[LetterFile]) -> io::Result<LetterSummary> {
    let mut summary = LetterSummary::default();
    let mut next = 1;
    for file in files {
        let bytes = files::read(file)?;
        summary.bytes += bytes.len() as u64;
        let mut lines = Lines::new(&bytes, file.first.max(next));
        for (_, line) in lines.by_ref() {
            match line {
                Line::Letter(letter) => summary.add(&letter),
                Line::Origin(Origin { name, url }) => (summary.name, summary.url) = (name, url),
                Line::Unreadable => summary.unreadable += 1,
            }
        }
        next = lines.next;
    }
    summary.reasons.sort_by_key(|reason| (reason.status == 0, std::cmp::Reverse(reason.letters)));
    Ok(summary)
}

impl LetterSummary {
    fn add(&mut self, letter: &DeadLetter) {
        self.letters += 1;
        widen(&mut self.ids, letter.id);
        widen(&mut self.refused_ms, letter.refused_ms);
        letter.content.t_ms().into_iter().for_each(|t_ms| widen(&mut self.sample_ms, t_ms));
        let is_it = |r: &ReasonSummary| r.status == letter.status && r.reason == letter.reason;
        let at = self.reasons.iter().position(is_it).unwrap_or_else(|| {
            if self.reasons.len() <= REASONS {
                let (status, reason) = match self.reasons.len() {
                    REASONS => (0, String::new()),
                    _ => (letter.status, letter.reason.clone()),
                };
                self.reasons.push(ReasonSummary { status, reason, letters: 0, last_refused_ms: i64::MIN });
            }
            self.reasons.len() - 1
        });
        let reason = &mut self.reasons[at];
        reason.letters += 1;
        reason.last_refused_ms = reason.last_refused_ms.max(letter.refused_ms);
    }
}

fn widen<T: Copy + Ord>(range: &mut Option<(T, T)>, value: T) {
    let (low, high) = range.unwrap_or((value, value));
    *range = Some((low.min(value), high.max(value)));
}
