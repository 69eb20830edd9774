//! The process that is killed: this test program once more, as the test `child`, told by its environment what to do.
//!
//! It opens the directory, writes batches from the one it is told until it is killed, and says each acknowledged batch on its
//! standard output. A second thread does all maintenance without pause, so that a kill at random mostly hits some of it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use narthex_metrics::Registry;
use narthex_model::{MatchOp, Matcher};
use narthex_tsdb::{Db, DbOptions, RuntimeOptions};
use narthex_wal::{Compression, WalOptions};

use super::load::{DOOMED, RANGE_MS, WINDOW_MS, write};

const DIR: &str = "NARTHEX_TEST_CRASH_DIR";
const FROM: &str = "NARTHEX_TEST_CRASH_FROM";
const BATCHES: &str = "NARTHEX_TEST_CRASH_BATCHES";
const SYNC_MS: &str = "NARTHEX_TEST_CRASH_SYNC_MS";

/// Small segments, short blocks: everything happens within a second.
pub(super) fn options() -> DbOptions {
    DbOptions {
        wal: WalOptions {
            segment_size_bytes: 2 * 32 * 1024,
            compression: Compression::Snappy,
            ..WalOptions::default()
        },
        min_block_duration_ms: RANGE_MS,
        max_block_duration_ms: 9 * RANGE_MS,
        samples_per_chunk: 12,
        runtime: RuntimeOptions {
            out_of_order_window_ms: WINDOW_MS,
            max_exemplars: 100,
            stale_series_compaction_threshold: 0.05,
            ..RuntimeOptions::default()
        },
        memory_snapshot_on_shutdown: true,
        manual_maintenance: true,
        ..DbOptions::default()
    }
}

/// What the child does, when this process is one.
pub(super) fn run() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    // The test harness has begun a line: without an end it would swallow the first acknowledgement.
    say("");
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let mut options = options();
    options.wal.sync_interval = Duration::from_millis(number(SYNC_MS).unwrap_or(0));
    let db = Db::open(Path::new(&dir), options, &Registry::new()).expect("the directory opens");
    let from = number(FROM).unwrap_or(0);
    let until = from + number(BATCHES).unwrap_or(u64::MAX - from);
    // The simulated power cut spoils files by their names; a copy's are other names of the same files.
    let snapshots = std::env::var_os("NARTHEX_DISK_JOURNAL").is_none();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                db.maintain().expect("maintenance works");
            }
        });
        for batch in from..until {
            write(&db, batch).expect("the batch is taken");
            say(&format!("ack {batch}"));
            if batch % 90 == 89 {
                delete_doomed(&db);
            }
            if batch % 350 == 349 {
                db.clean_tombstones().expect("tombstones can be cleaned");
            }
            if batch % 110 == 109 && snapshots {
                take_snapshot(&db, Path::new(&dir));
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    db.close().expect("it closes");
    say("closed");
}

/// A copy of blocks and head below the data directory, where the admin API puts it; the one before goes.
fn take_snapshot(db: &Db, dir: &Path) {
    let copy = dir.join("snapshots").join("copy");
    narthex_disk::remove_dir_all(&copy).expect("the last copy can be deleted");
    db.snapshot(&copy, true).expect("the head can be copied");
}

/// Deletes what only serves that, from blocks and the head.
fn delete_doomed(db: &Db) {
    let doomed = Matcher::new(MatchOp::Equal, "__name__", DOOMED).expect("a good matcher");
    db.delete(i64::MIN, i64::MAX, &[doomed]).expect("series can be deleted");
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).expect("the parent listens");
}

/// How a child is to be run, and to end.
pub(super) struct Run<'a> {
    pub(super) dir: &'a Path,
    /// The first batch: the first that is not acknowledged.
    pub(super) from: u64,
    /// Killed after this much time; `None` for "it ends by itself, or at its crash point".
    pub(super) kill_after: Option<Duration>,
    /// `NARTHEX_CRASH_AT`.
    pub(super) crash_at: Option<String>,
    /// `NARTHEX_DISK_JOURNAL`.
    pub(super) journal: Option<PathBuf>,
    pub(super) batches: Option<u64>,
    pub(super) sync_ms: Option<u64>,
}

impl<'a> Run<'a> {
    pub(super) fn new(dir: &'a Path, from: u64) -> Self {
        Self { dir, from, kill_after: None, crash_at: None, journal: None, batches: None, sync_ms: None }
    }
}

impl Heard {
    /// How many batches are acknowledged, after a run that began with batch `from`.
    pub(super) fn acknowledged(&self, from: u64) -> u64 {
        self.acks.last().map_or(from, |(batch, _)| batch + 1)
    }
}

/// What the parent heard.
pub(super) struct Heard {
    /// Acknowledged batches with the moment of each.
    pub(super) acks: Vec<(u64, Instant)>,
    /// Whether the child ended in order.
    pub(super) closed: bool,
    /// Whether it said on stderr that it died at its point.
    pub(super) at_point: bool,
}

/// Runs a child to its end.
pub(super) fn listen(run: &Run<'_>) -> Heard {
    let mut child = start(run);
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut heard = Heard { acks: Vec::new(), closed: false, at_point: false };
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            for line in out.lines().map_while(Result::ok) {
                match line.split_once(' ') {
                    Some(("ack", number)) => heard.acks.push((number.parse().unwrap(), Instant::now())),
                    _ if line == "closed" => heard.closed = true,
                    _ => {}
                }
            }
        });
        kill_when_due(&mut child, run.kill_after, || reader.is_finished());
    });
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    heard.at_point = errors.contains("as NARTHEX_CRASH_AT asks");
    assert!(!errors.contains("panicked"), "the child panicked:\n{errors}");
    heard
}

fn start(run: &Run<'_>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]).env(DIR, run.dir);
    let set = [
        ("NARTHEX_CRASH_AT", run.crash_at.clone()),
        (FROM, Some(run.from.to_string())),
        (BATCHES, run.batches.map(|n| n.to_string())),
        (SYNC_MS, run.sync_ms.map(|n| n.to_string())),
        ("NARTHEX_DISK_JOURNAL", run.journal.as_ref().map(|path| path.display().to_string())),
    ];
    for (name, value) in set {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Kills the child when its time has come; waits without end for one that ends by itself.
fn kill_when_due(child: &mut Child, after: Option<Duration>, ended: impl Fn() -> bool) {
    let Some(after) = after else { return };
    let due = Instant::now() + after;
    while Instant::now() < due && !ended() {
        std::thread::park_timeout(Duration::from_millis(1));
    }
    let _ = child.kill();
}
