//! Dead letters in the data directory of a stopped server. Looking changes nothing and may be done beside a running server;
//! dropping takes the directory's lock.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use narthex_model::{UnixTime, push_rfc3339_ms};
use narthex_promql::parser::parse_metric_selector;
use narthex_remote::dead_letter::{LetterSummary, Selection, drop_from, each, summaries};
use narthex_tsdb::{DirLock, LockError};
use serde_json::{Value, json};

use crate::command::Given;
use crate::remote::shown;

/// Why nothing can be said about a directory.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    #[error("--data-dir={} is no directory", .0.display())]
    NoDirectory(PathBuf),
    #[error("cannot read or change dead letters in {}", dir.display())]
    Io { dir: PathBuf, source: io::Error },
    #[error("{} holds no dead letters of an endpoint {asked:?}; it holds those of: {}", dir.display(), known.join(", "))]
    Unknown { dir: PathBuf, asked: String, known: Vec<String> },
    #[error("{} holds dead letters of several endpoints, choose by --endpoint: {}", dir.display(), known.join(", "))]
    Several { dir: PathBuf, known: Vec<String> },
    #[error("--{flag}={value} is wrong: {reason}")]
    Flag { flag: &'static str, value: String, reason: String },
    #[error("letters can be dropped without the server only while it is stopped")]
    InUse(#[from] LockError),
}

/// What the server would answer about its stores.
pub(super) fn stores(dir: &str) -> Result<Value, FolderError> {
    let store = |(id, of): (String, LetterSummary)| {
        let reasons: Vec<Value> = of
            .reasons
            .iter()
            .map(|r| json!({"status": r.status, "reason": r.reason, "count": r.letters, "lastRefused": date(r.last_refused_ms)}))
            .collect();
        json!({
            "name": of.name, "id": id, "url": of.url, "configured": null, "count": of.letters, "bytes": of.bytes,
            "unreadableLines": of.unreadable, "firstId": of.ids.map(|ids| ids.0), "lastId": of.ids.map(|ids| ids.1),
            "firstRefused": of.refused_ms.map(|r| date(r.0)), "lastRefused": of.refused_ms.map(|r| date(r.1)),
            "minTime": of.sample_ms.map(|r| date(r.0)), "maxTime": of.sample_ms.map(|r| date(r.1)), "reasons": reasons,
        })
    };
    Ok(json!({ "stores": found(dir)?.into_iter().map(store).collect::<Vec<_>>() }))
}

/// What the server would answer to `show`.
pub(super) fn letters(dir: &str, given: &Given) -> Result<Value, FolderError> {
    let (id, wanted) = (named(dir, given.flag("endpoint"))?, selection(given)?);
    let limit = usize::try_from(given.int("limit")).unwrap_or(0);
    let (mut letters, mut more) = (Vec::new(), false);
    let look = |letter| {
        if !wanted.takes(&letter) {
            return ControlFlow::Continue(());
        }
        more = letters.len() >= limit;
        if more {
            return ControlFlow::Break(());
        }
        let letter = shown(letter);
        let labels: serde_json::Map<String, Value> =
            letter.labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let content = if letter.kind == "sample" { "value" } else { "encoded" };
        letters.push(json!({
            "id": letter.id, "refused": date(letter.refused_ms), "status": letter.status, "reason": letter.reason,
            "labels": labels, "kind": letter.kind, "timestampMs": letter.t_ms, content: letter.content,
        }));
        ControlFlow::Continue(())
    };
    each(&remote_write(dir), &id, look).map_err(|source| failed(dir, source))?;
    Ok(json!({ "letters": letters, "more": more }))
}

/// Drops letters of a stopped server.
pub(super) fn drop_letters(dir: &str, given: &Given) -> Result<Value, FolderError> {
    let (id, wanted) = (named(dir, given.flag("endpoint"))?, selection(given)?);
    let _lock = DirLock::take(Path::new(dir))?;
    let dropped = drop_from(&remote_write(dir), &id, |letter| wanted.takes(letter));
    Ok(json!({ "dropped": dropped.map_err(|source| failed(dir, source))? }))
}

fn remote_write(dir: &str) -> PathBuf {
    Path::new(dir).join("remote_write")
}

fn failed(dir: &str, source: io::Error) -> FolderError {
    FolderError::Io { dir: dir.into(), source }
}

fn found(dir: &str) -> Result<Vec<(String, LetterSummary)>, FolderError> {
    if !Path::new(dir).is_dir() {
        return Err(FolderError::NoDirectory(dir.into()));
    }
    summaries(&remote_write(dir)).map_err(|source| failed(dir, source))
}

/// The id of the store that is meant.
fn named(dir: &str, asked: &str) -> Result<String, FolderError> {
    let stores = found(dir)?;
    let names = |stores: &[&(String, LetterSummary)]| {
        stores.iter().map(|(id, of)| format!("{} (id {id})", of.name)).collect::<Vec<_>>()
    };
    let is_it = |(id, of): &&(String, LetterSummary)| {
        asked.is_empty() || [&of.name, &of.url, id].iter().any(|its| *its == asked)
    };
    match stores.iter().filter(is_it).collect::<Vec<_>>()[..] {
        [(id, _)] => Ok(id.clone()),
        [] => {
            let known = names(&stores.iter().collect::<Vec<_>>());
            Err(FolderError::Unknown { dir: dir.into(), asked: asked.to_owned(), known })
        }
        ref several => Err(FolderError::Several { dir: dir.into(), known: names(several) }),
    }
}

fn selection(given: &Given) -> Result<Selection, FolderError> {
    let wrong =
        |flag, value: &str, reason: String| FolderError::Flag { flag, value: value.to_owned(), reason };
    let mut wanted =
        Selection { after: u64::try_from(given.count_or_zero("after")).unwrap_or(0), ..Selection::default() };
    for text in given.flags("id") {
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let range = low.parse().ok().zip(high.parse().ok()).filter(|(low, high)| low <= high);
        let reason = || wrong("id", text, "it is neither a number nor a range such as 17-29".to_owned());
        wanted.ids.push(range.ok_or_else(reason)?);
    }
    for text in given.flags("match") {
        let matchers = parse_metric_selector(text).map_err(|e| wrong("match", text, e.to_string()))?;
        wanted.selectors.push(matchers);
    }
    if let text @ [_, ..] = given.flag("status").as_bytes() {
        let text = String::from_utf8_lossy(text);
        let reason = || wrong("status", &text, "it must be an HTTP status such as 400".to_owned());
        wanted.status = Some(text.parse().map_err(|_| reason())?);
    }
    Ok(wanted)
}

fn date(t_ms: i64) -> String {
    let mut text = String::new();
    push_rfc3339_ms(&mut text, UnixTime::from_ms(t_ms));
    text
}
