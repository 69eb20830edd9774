//! A process that dies while it keeps dead letters, or offers them again: every refused sample has a letter or was delivered.
//!
//! The test starts itself as a child that is killed at a named point (debug builds only; a release build has no points).
#![cfg(debug_assertions)]

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use narthex_wal::{Compression, WalMetrics, WalOptions, Writer};

use super::*;
use crate::ReplayBounds;
use crate::dead_letter::Selection;

const DIR: &str = "NARTHEX_REMOTE_CRASH_DIR";
const URL: &str = "NARTHEX_REMOTE_CRASH_URL";
const REPLAYS: &str = "NARTHEX_REMOTE_CRASH_REPLAYS";
const SERIES: u64 = 60;
/// Series whose number is a multiple are refused.
const REFUSED: u64 = 10;

fn config_of(url: &str) -> RemoteWriteConfig {
    let mut config = RemoteWriteConfig {
        url: Some(Url::parse(url).unwrap()),
        name: "one".into(),
        remote_timeout_ms: 20_000,
        ..RemoteWriteConfig::default()
    };
    config.queue_config.batch_send_deadline_ms = 20;
    config.queue_config.max_samples_per_send = 50;
    config.metadata_config.send = false;
    config
}

/// Opens the log as a start does, and sends what is there.
async fn run(dir: &Path, url: &str) -> (Arc<RemoteWrite>, Writer) {
    let metrics = WalMetrics::for_wal(&Registry::new(), Compression::Snappy);
    let options = WalOptions { compression: Compression::Snappy, ..WalOptions::default() };
    let writer = Writer::open(&dir.join("wal"), options, metrics).unwrap();
    let (remote, _) = start(dir, writer.tip(), &[config_of(url)]).await;
    until("all is settled", || remote.wal_hold() == Some(writer.position())).await;
    (Arc::new(remote), writer)
}

async fn replay(remote: &Arc<RemoteWrite>) -> crate::Replayed {
    let remote = Arc::clone(remote);
    let bounds =
        ReplayBounds { letters: 1000, deadline: tokio::time::Instant::now() + Duration::from_secs(30) };
    let replay = move || remote.replay_letters("", &Selection::default(), bounds).unwrap();
    tokio::task::spawn_blocking(replay).await.unwrap()
}

/// What the child does when it is one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Some(dir), Ok(url)) = (std::env::var_os(DIR), std::env::var(URL)) else { return };
    let (remote, _writer) = run(Path::new(&dir), &url).await;
    if std::env::var_os(REPLAYS).is_some() {
        replay(&remote).await;
    }
    remote.stop().await;
}

/// Runs the child and says whether it was killed.
async fn is_killed(dir: &Path, receiver: &Receiver, replays: bool, point: &str) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "tests::crash::child"]).env(DIR, dir).env(URL, receiver.url());
    child.env("NARTHEX_CRASH_AT", point).stdout(Stdio::null()).stderr(Stdio::null());
    if replays {
        child.env(REPLAYS, "1");
    }
    let status = tokio::task::spawn_blocking(move || child.status().unwrap()).await.unwrap();
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(9)
}

/// Series and time of each letter.
fn letters(remote: &RemoteWrite) -> BTreeSet<(String, i64)> {
    let mut letters = BTreeSet::new();
    let look = |letter: crate::dead_letter::DeadLetter| {
        letters.insert((Labels::from_pairs(&letter.labels).to_string(), letter.content.t_ms().unwrap()));
        std::ops::ControlFlow::Continue(())
    };
    remote.each_letter("", &Selection::default(), look).unwrap();
    letters
}

/// A directory with a cursor, and a log behind it.
async fn prepared(dir: &Path, receiver: &Receiver) -> Samples {
    let mut feed = Feed::new(dir, SERIES);
    let (remote, _) = start(dir, feed.tip(), &[config_of(&receiver.url())]).await;
    remote.stop().await;
    feed.scrapes(4);
    feed.written
}

/// The samples of the series that are refused, and the others.
fn parted(written: &Samples) -> (BTreeSet<(String, i64)>, Samples) {
    let refused: BTreeSet<String> =
        (1..=SERIES).filter(|n| n.is_multiple_of(REFUSED)).map(|n| feed::labels(n).to_string()).collect();
    let bad = written.iter().filter(|(series, _)| refused.contains(*series));
    let bad = bad.flat_map(|(series, samples)| samples.iter().map(|(t_ms, _)| (series.clone(), *t_ms)));
    let good = written.iter().filter(|(series, _)| !refused.contains(*series));
    (bad.collect(), good.map(|(series, samples)| (series.clone(), samples.clone())).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_letters_are_kept_loses_none_of_them() {
    for point in ["dead_letters.kept:1", "dead_letters.kept:2", "dead_letters.kept:7", "disk.rename:1"] {
        let dir = tempfile::tempdir().unwrap();
        let receiver = Receiver::start(Mode::RefuseMultiples(REFUSED)).await;
        let (bad, good) = parted(&prepared(dir.path(), &receiver).await);
        assert!(is_killed(dir.path(), &receiver, false, point).await, "{point} was not reached");
        let (remote, _writer) = run(dir.path(), &receiver.url()).await;
        assert!(receiver.has_all(&good), "{point}");
        assert_eq!(letters(&remote), bad, "{point}");
        remote.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_letters_are_replayed_loses_none_of_them() {
    for point in ["dead_letters.accepted", "dead_letters.settle", "disk.rename:1"] {
        let dir = tempfile::tempdir().unwrap();
        let receiver = Receiver::start(Mode::RefuseMultiples(REFUSED)).await;
        let written = prepared(dir.path(), &receiver).await;
        let (bad, _) = parted(&written);
        let (remote, writer) = run(dir.path(), &receiver.url()).await;
        remote.stop().await;
        drop((remote, writer));
        receiver.set(Mode::Accept);
        assert!(is_killed(dir.path(), &receiver, true, point).await, "{point} was not reached");
        let (remote, _writer) = run(dir.path(), &receiver.url()).await;
        let left = letters(&remote);
        let came = |(series, t_ms): &(String, i64)| {
            receiver
                .taken(|taken| taken.samples.get(series).is_some_and(|its| its.iter().any(|s| s.0 == *t_ms)))
        };
        assert!(bad.iter().all(|letter| left.contains(letter) || came(letter)), "{point}");
        replay(&remote).await;
        assert!(receiver.has_all(&written) && letters(&remote).is_empty(), "{point}");
        remote.stop().await;
    }
}
