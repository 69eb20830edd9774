//! `remote-write …`: what the endpoints of a server are at, and their dead letters. Narthex' own.
//!
//! All talk to a running server; `list`, `show` and `drop` also look into the data directory of a stopped one. A file below for
//! asking, for directories, and for what people read; with `--format=json` the server's `data` is printed as it is.

mod ask;
mod folder;
mod text;

use std::process::ExitCode;

use serde_json::Value;

use self::ask::{AskError, Method, Server};
use self::folder::FolderError;
use super::table::{Command, Flag, Kind};
use super::{Given, finish};

const BASE: &str = "/api/v1/status/remote_write";

const URL: Flag = Flag::new("url", Kind::Text, "http://localhost:9090", "The URL of the server.");
const HTTP_CONFIG: Flag = Flag::new(
    "http.config.file",
    Kind::Text,
    "",
    "HTTP client configuration file (credentials, TLS) to connect to the server.",
);
const FORMAT: Flag =
    Flag::new("format", Kind::Choice(&["text", "json"]), "text", "Output format: text or json.");
const DATA_DIR: Flag = Flag::new(
    "data-dir",
    Kind::Text,
    "",
    "Look into the data directory of a stopped server instead of asking a running one.",
);
const ENDPOINT: Flag = Flag::new(
    "endpoint",
    Kind::Text,
    "",
    "Name, id or URL of the endpoint; may be left out when there is only one.",
);
const ID: Flag =
    Flag::new("id", Kind::Texts, "", "Only letters of this number or range (17 or 17-29). Can be repeated.");
const MATCH: Flag = Flag::new(
    "match",
    Kind::Texts,
    "",
    "Only letters of series that this selector selects. Can be repeated.",
);
const STATUS: Flag =
    Flag::new("status", Kind::Text, "", "Only letters that were refused with this HTTP status.");

const LETTERS: Command = Command::group(
    "dead-letters",
    "Samples that an endpoint refused for good.",
    &[
        Command::new("list", "List endpoints that have dead letters: counts, time ranges, reasons.", list)
            .with(&[URL, HTTP_CONFIG, FORMAT, DATA_DIR]),
        Command::new("show", "Show dead letters one by one, oldest first.", show).with(&[
            URL,
            HTTP_CONFIG,
            FORMAT,
            DATA_DIR,
            ENDPOINT,
            ID,
            MATCH,
            STATUS,
            Flag::new("after", Kind::Count, "0", "Only letters with a higher number."),
            Flag::new("limit", Kind::Count, "100", "How many letters to show at most (10000 from a server)."),
        ]),
        Command::new(
            "replay",
            "Send dead letters to their endpoint again: those it accepts leave the store, those it refuses again stay with the new reason. Needs a server with --web.enable-admin-api.",
            replay,
        )
        .with(&[
            URL,
            HTTP_CONFIG,
            FORMAT,
            ENDPOINT,
            ID,
            MATCH,
            STATUS,
            Flag::new("limit", Kind::Count, "0", "Stop after about so many letters; 0 for all."),
        ]),
        Command::new(
            "drop",
            "Delete dead letters for good. Needs --id, --match or --status, or --all; and a server with --web.enable-admin-api, or --data-dir.",
            drop_letters,
        )
        .with(&[
            URL,
            HTTP_CONFIG,
            FORMAT,
            DATA_DIR,
            ENDPOINT,
            ID,
            MATCH,
            STATUS,
            Flag::new("all", Kind::Bool, "", "Delete all dead letters of the endpoint."),
        ]),
    ],
);

/// The group.
pub(super) const COMMAND: Command = Command::group(
    "remote-write",
    "See what remote write is at, and handle what endpoints refused.",
    &[
        Command::new(
            "status",
            "Show each endpoint of remote write: lag, requests, last error, dead letters.",
            status,
        )
        .with(&[URL, HTTP_CONFIG, FORMAT]),
        LETTERS,
    ],
);

/// Letters that one request replays; each is answered before the next is made, so that progress shows.
const A_TIME: u64 = 10_000;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum RemoteWriteError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(
        "say which letters to drop, by --id, --match or --status, or that all of the endpoint are meant, by --all"
    )]
    WhichToDrop,
    #[error("the replay stopped: {0}")]
    Stopped(String),
}

fn status(_: &str, given: &Given) -> ExitCode {
    finish(asked(given, Method::Get, BASE, &[]).map(|data| print(given, &data, text::endpoints)))
}

fn list(_: &str, given: &Given) -> ExitCode {
    let data = match given.flag("data-dir") {
        "" => asked(given, Method::Get, &format!("{BASE}/dead_letters"), &[]),
        dir => folder::stores(dir).map_err(Into::into),
    };
    finish(data.map(|data| print(given, &data, text::stores)))
}

fn show(_: &str, given: &Given) -> ExitCode {
    let data = match given.flag("data-dir") {
        "" => {
            let (limit, after) = (given.int("limit").to_string(), given.int("after").to_string());
            let mut pairs = selection(given);
            pairs.extend([("limit", &*limit), ("after", &*after)]);
            asked(given, Method::Get, &format!("{BASE}/dead_letters/show"), &pairs)
        }
        dir => folder::letters(dir, given).map_err(Into::into),
    };
    finish(data.map(|data| print(given, &data, text::letters)))
}

fn drop_letters(_: &str, given: &Given) -> ExitCode {
    let is_bounded = ["id", "match", "status"].iter().any(|name| !given.flag(name).is_empty());
    if given.on("all") == is_bounded {
        return finish(Err(RemoteWriteError::WhichToDrop));
    }
    let data = match given.flag("data-dir") {
        "" => {
            let mut pairs = selection(given);
            pairs.extend(given.on("all").then_some(("all", "true")));
            asked(given, Method::Post, &format!("{BASE}/dead_letters/drop"), &pairs)
        }
        dir => folder::drop_letters(dir, given).map_err(Into::into),
    };
    finish(data.map(|data| print(given, &data, |data| println!("{} dead letters dropped", data["dropped"]))))
}

fn replay(_: &str, given: &Given) -> ExitCode {
    finish(replay_all(given))
}

/// Replays in steps until nothing is left, the limit is reached, or the endpoint fails.
fn replay_all(given: &Given) -> Result<(), RemoteWriteError> {
    let server = Server::new(given)?;
    let most = match u64::try_from(given.int("limit")) {
        Ok(0) | Err(_) => u64::MAX,
        Ok(limit) => limit,
    };
    let (mut accepted, mut refused, mut last) = (0, 0, 0);
    let stopped = loop {
        let (limit, after) = (A_TIME.min(most - accepted - refused).to_string(), last.to_string());
        let mut pairs = selection(given);
        pairs.extend([("limit", &*limit), ("after", &*after)]);
        let data = server.ask(Method::Post, &format!("{BASE}/dead_letters/replay"), &pairs)?;
        let number = |name: &str| data[name].as_u64().unwrap_or(0);
        (accepted, refused) = (accepted + number("accepted"), refused + number("refused"));
        last = last.max(number("last"));
        if given.flag("format") == "text" {
            println!("{accepted} letters accepted, {refused} refused again, up to number {last}");
        }
        let more = data["more"].as_bool() == Some(true);
        if let Some(reason) = data["stopped"].as_str() {
            break Some(reason.to_owned());
        }
        if !more || accepted + refused >= most {
            break None;
        }
    };
    if given.flag("format") == "json" {
        println!(
            "{}",
            serde_json::json!({ "accepted": accepted, "refused": refused, "last": last, "stopped": stopped })
        );
    }
    stopped.map_or(Ok(()), |reason| Err(RemoteWriteError::Stopped(reason)))
}

fn asked(
    given: &Given,
    method: Method,
    path: &str,
    pairs: &[(&str, &str)],
) -> Result<Value, RemoteWriteError> {
    Ok(Server::new(given)?.ask(method, path, pairs)?)
}

/// Parameters that say which letters are meant.
fn selection(given: &Given) -> Vec<(&str, &str)> {
    let mut pairs: Vec<(&str, &str)> = ["endpoint", "status"]
        .into_iter()
        .map(|name| (name, given.flag(name)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    pairs.extend(given.flags("id").iter().map(|id| ("id", &**id)));
    pairs.extend(given.flags("match").iter().map(|selector| ("match[]", &**selector)));
    pairs
}

fn print(given: &Given, data: &Value, text: impl FnOnce(&Value)) {
    match given.flag("format") {
        "json" => println!("{data:#}"),
        _ => text(data),
    }
}
