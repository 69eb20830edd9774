//! A process that is killed at each named point of checkpoints, truncation of the WAL and memory snapshots, and what the next
//! one finds: every acknowledged sample from the last truncation on, once.
//!
//! The test runs itself again as a child with `NARTHEX_CRASH_AT`; the child notes in a file what was acknowledged.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use narthex_storage::Appendable;
use narthex_wal::{Compression, WalOptions};

use super::*;
use crate::DbOptions;

const DIR: &str = "NARTHEX_TEST_WAL_CRASH_DIR";
const SERIES: i64 = 40;
const SIGKILL: i32 = 9;

/// The points, and at which times they are reached that the child is killed.
const POINTS: [(&str, &[u32]); 8] = [
    ("wal.checkpoint.write", &[1, 3]),
    ("wal.checkpoint.rename", &[1, 2]),
    ("wal.truncate", &[1, 2, 9]),
    ("wal.checkpoint.delete", &[1, 2]),
    ("snapshot.write", &[1, 2]),
    ("snapshot.rename", &[1, 3]),
    ("disk.rename", &[1, 2, 3, 4, 5]),
    ("head_chunks.write", &[1, 2]),
];

fn crash_options() -> DbOptions {
    let wal = WalOptions {
        segment_size_bytes: 32 * 1024,
        compression: Compression::Snappy,
        ..WalOptions::default()
    };
    DbOptions { wal, memory_snapshot_on_shutdown: true, ..options(0, 0) }
}

fn scrape(db: &Db, round: i64) {
    let mut appender = db.appender();
    for n in 0..SERIES {
        // A third of the series goes with each life, others come.
        let life = if n % 3 == 0 { round / 400 } else { 0 };
        let series = appender.resolve(&labels(&format!("__name__=m,n={n},life={life}"))).unwrap();
        appender.append(series, round * 1000, (round * n) as f64).unwrap();
    }
    appender.commit().unwrap();
}

fn note(dir: &Path, name: &str, value: i64) {
    std::fs::write(dir.join(name), value.to_string()).unwrap();
}

/// Not a test by itself: what the child does.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let dir = Path::new(&dir);
    for life in 0..4i64 {
        let db = Db::open(&dir.join("data"), crash_options(), &Registry::new()).unwrap();
        for round in life * 400..(life + 1) * 400 {
            scrape(&db, round);
            note(dir, "acknowledged", round);
        }
        let mint = life * 400 + 50;
        note(dir, "mint", mint);
        db.truncate_wal(mint * 1000).unwrap();
        db.close().unwrap();
    }
}

fn check_point(name: &str, nth: u32) {
    let dir = crate::scratch::tempdir().unwrap();
    let crash = format!("{name}:{nth}");
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["head::tests::wal_crash::child", "--exact", "--quiet"])
        .env("NARTHEX_CRASH_AT", &crash)
        .env(DIR, dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(SIGKILL), "{crash} was never reached");
    let noted = |name: &str| -> Option<i64> {
        Some(std::fs::read_to_string(dir.path().join(name)).ok()?.parse().unwrap_or(-1))
    };
    let (acknowledged, mint) = (noted("acknowledged").unwrap(), noted("mint").unwrap_or(0));
    for snapshot in [true, false, true] {
        let options = DbOptions { memory_snapshot_on_shutdown: snapshot, ..crash_options() };
        let registry = Registry::new();
        let db = Db::open(&dir.path().join("data"), options, &registry).unwrap();
        let mut seen = 0;
        for (series, samples) in read(&*db, (mint * 1000, i64::MAX), &[]) {
            for (t_ms, bits) in samples {
                let n: i64 = series.split("n=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
                assert_eq!(f64::from_bits(bits), (t_ms / 1000 * n) as f64, "{crash}: {series} at {t_ms}");
                seen += 1;
            }
        }
        assert_eq!(seen, (acknowledged - mint + 1) * SERIES, "{crash}, from a snapshot: {snapshot}");
        db.close().unwrap();
        let left = std::fs::read_dir(dir.path().join("data/wal")).unwrap();
        let names: Vec<_> = left.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        assert!(names.iter().all(|name| !name.ends_with(".tmp")), "{crash}: {names:?}");
    }
}

#[test]
fn a_crash_at_any_point_of_the_logs_life_loses_nothing_and_doubles_nothing() {
    if !cfg!(debug_assertions) {
        return;
    }
    std::thread::scope(|scope| {
        for part in POINTS.chunks(POINTS.len().div_ceil(4)) {
            scope.spawn(move || {
                part.iter().for_each(|(name, times)| times.iter().for_each(|nth| check_point(name, *nth)));
            });
        }
    });
}
