//! Names in a WAL directory: `00000012` is a segment, `checkpoint.00000007` a directory of segments that stands for all
//! segments up to 7. Anything else is ignored.

use std::io;
use std::path::{Path, PathBuf};

/// Why a WAL directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// The disk failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A segment is missing between others. The words are those of Prometheus.
    #[error("segments are not sequential: {} has {before:08} and {after:08} but nothing between", dir.display())]
    Gap {
        /// The directory.
        dir: PathBuf,
        /// Last segment before the hole.
        before: u32,
        /// First segment after it.
        after: u32,
    },
}

impl DirError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}

/// The file of a segment.
#[must_use]
pub fn segment_path(dir: &Path, segment: u32) -> PathBuf {
    dir.join(format!("{segment:08}"))
}

/// The numbers of all segments in `dir`, rising, without holes.
///
/// # Errors
/// `Gap`, `Io`.
pub fn list_segments(dir: &Path) -> Result<Vec<u32>, DirError> {
    let segments = numbers(dir, |name| match name.bytes().all(|b| b.is_ascii_digit()) {
        true => name.parse().ok(),
        false => None,
    })?;
    let segments: Vec<u32> = segments.into_iter().map(|(number, _)| number).collect();
    for pair in segments.windows(2) {
        if pair[0].checked_add(1) != Some(pair[1]) {
            return Err(DirError::Gap { dir: dir.to_owned(), before: pair[0], after: pair[1] });
        }
    }
    Ok(segments)
}

/// The checkpoints in `dir`, oldest first: the last segment each stands for, and its directory.
///
/// # Errors
/// `Io`.
pub fn list_checkpoints(dir: &Path) -> Result<Vec<(u32, PathBuf)>, DirError> {
    numbers(dir, |name| name.strip_prefix("checkpoint.")?.parse().ok())
}

fn numbers(dir: &Path, number_of: impl Fn(&str) -> Option<u32>) -> Result<Vec<(u32, PathBuf)>, DirError> {
    let failed = |source| DirError::io("list", dir, source);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let Some(number) = entry.file_name().to_str().and_then(&number_of) {
            found.push((number, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// What to read, and in which order, to know everything that a WAL directory holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayPlan {
    /// The newest checkpoint: the last segment it stands for, and its directory. Read it whole, first.
    pub checkpoint: Option<(u32, PathBuf)>,
    /// Then these segments, rising; those that the checkpoint stands for are left out.
    pub segments: Vec<u32>,
}

impl ReplayPlan {
    /// Looks at a WAL directory; an absent one is empty.
    ///
    /// # Errors
    /// `Gap` also when the first segment after the checkpoint is missing; `Io`.
    pub fn of(dir: &Path) -> Result<Self, DirError> {
        if !dir.try_exists().map_err(|source| DirError::io("look at", dir, source))? {
            return Ok(Self { checkpoint: None, segments: Vec::new() });
        }
        let checkpoint = list_checkpoints(dir)?.pop();
        let mut segments = list_segments(dir)?;
        if let Some((index, _)) = checkpoint {
            segments.retain(|segment| *segment > index);
            if let Some(first) = segments.first().copied().filter(|first| *first > index + 1) {
                return Err(DirError::Gap { dir: dir.to_owned(), before: index, after: first });
            }
        }
        Ok(Self { checkpoint, segments })
    }
}
