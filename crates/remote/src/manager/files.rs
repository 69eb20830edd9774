//! The files of an endpoint as it starts: its cursor, its late samples.
//!
//! Always true: a known endpoint goes on where its cursor stands, unless the log is another one; a new one begins where
//! `start_from` says. One whose cursor is damaged is taken for a known one: it sends all that the log holds, and what `start_from`
//! wants besides. Must not know: threads, requests.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use narthex_config::StartFrom;
use narthex_wal::{WalPosition, list_segments};

use super::{RemoteError, RemoteWriteOptions};
use crate::backlog::Backlog;
use crate::cursor::file::CursorFile;
use crate::cursor::{Cursor, Mark, pack};
use crate::gap::Gap;
use crate::late::LateFile;

/// The cause of a gap record.
const CURSOR_DAMAGED: &str = "the cursor was damaged: what the WAL does not hold any more, and was not sent before, is not sent, unless start_from reaches back to it";

/// The late samples of an endpoint that is behind; one that follows the log has none.
pub(super) fn open_late(dir: &Path, id: &str, cursor: &Cursor) -> Result<LateFile, RemoteError> {
    let path = dir.join(format!("{id}.late"));
    let opened = LateFile::open(path.clone(), cursor.start().late).and_then(|mut late| {
        if cursor.is_live() {
            late.clear()?;
        }
        Ok(late)
    });
    opened.map_err(|source| RemoteError::Io { action: "open", path, source })
}

/// Where a new endpoint begins, with the log at `tip`.
pub(super) fn first_mark(start_from: StartFrom, tip: WalPosition, backlog: Option<&dyn Backlog>) -> Mark {
    let live = Mark::live(tip);
    let Some((oldest_ms, _)) = backlog.and_then(Backlog::span_ms) else { return live };
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    match start_from {
        StartFrom::Now => live,
        StartFrom::Oldest => Mark { time_ms: oldest_ms, ..live },
        StartFrom::Ago(ago_ms) => Mark { time_ms: oldest_ms.max(now_ms.saturating_sub(ago_ms)), ..live },
    }
}

/// The cursor of an endpoint, made when it is new, and what may be missing because it was damaged.
pub(super) fn open_cursor(
    dir: &Path,
    id: &str,
    start_from: StartFrom,
    options: &RemoteWriteOptions,
) -> Result<(CursorFile, Cursor, Option<Gap>), RemoteError> {
    let path = dir.join(format!("{id}.cursor"));
    let failed = |action, source| RemoteError::Io { action, path: path.clone(), source };
    std::fs::create_dir_all(dir).map_err(|source| failed("make the directory of", source))?;
    let (mut file, found) = CursorFile::open(&path).map_err(|source| failed("open", source))?;
    let tip = options.tip.position();
    let new = || first_mark(start_from, tip, options.backlog.as_deref());
    let mut gap = None;
    let cursor = match found {
        Some(cursor) if cursor.max() <= tip => return Ok((file, cursor, None)),
        Some(mut cursor) => {
            // The log is another one than that of the cursor: everything that it holds may be unsent.
            let first = oldest_of_log(options, tip);
            tracing::warn!(cursor = %cursor.max(), %tip, "remote write cursor is ahead of the WAL; starting at its oldest segment");
            cursor.lanes.iter_mut().for_each(|lane| lane.log = pack(first));
            cursor
        }
        None if file.is_new() => Cursor::at(new()),
        None => {
            let start = oldest_of_log(options, tip);
            tracing::error!(path = %path.display(), %start, "remote write cursor is damaged; what the WAL holds is sent again");
            gap = Some(Gap { cause: CURSOR_DAMAGED.to_owned(), ..Gap::default() });
            Cursor { is_settled: false, ..Cursor::at(Mark { log: pack(start), ..new() }) }
        }
    };
    file.save(&cursor).and_then(|()| file.sync()).map_err(|source| failed("save", source))?;
    Ok((file, cursor, gap))
}

/// Where the log begins.
fn oldest_of_log(options: &RemoteWriteOptions, tip: WalPosition) -> WalPosition {
    let segments = list_segments(&options.data_dir.join("wal")).unwrap_or_default();
    WalPosition { segment: segments.first().copied().unwrap_or(tip.segment), offset: 0 }
}

/// Stable over versions: it names files.
pub(super) fn id_of(url: &str, name: &str) -> String {
    let bytes = url.bytes().chain([0]).chain(name.bytes());
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}
