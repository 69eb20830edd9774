//! A process that is killed at each named point of compaction, retention and deletes, and what the next one finds.
//!
//! The test runs itself again as a child with `NARTHEX_CRASH_AT`; the child notes in a file what was acknowledged.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use super::*;

const DIR: &str = "NARTHEX_TEST_CRASH_DIR";
const NAMES: [&str; 3] = ["a", "b", "c"];
/// What is deleted of series `b`, ms.
const DELETED: (i64, i64) = (500, 2999);
const SIGKILL: i32 = 9;

/// The points, and at which times they are reached that the child is killed.
const POINTS: [(&str, &[u32]); 16] = [
    ("compact.created", &[1, 3]),
    ("block.write.chunks", &[1]),
    ("block.write.index", &[2]),
    ("block.write.meta", &[3]),
    ("block.rename", &[1, 4]),
    ("compact.populated", &[2]),
    ("compact.written", &[1, 4]),
    ("blocks.served", &[2, 5]),
    ("compact.head.served", &[1, 3]),
    ("compact.head.truncated", &[2]),
    ("compact.head.wal_truncated", &[1]),
    ("compact.empty", &[1]),
    ("blocks.delete.begin", &[1, 2]),
    ("blocks.delete.marked", &[1, 3]),
    ("db.delete.block", &[1]),
    ("disk.rename", &[7]),
];

fn note(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap();
}

/// Not a test by itself: what the child does.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let dir = Path::new(&dir);
    let db = open(&dir.join("data"));
    let mut twin = Twin::new();
    for t_ms in (0..8000).step_by(250) {
        put(&db, &mut twin, t_ms, &NAMES);
        note(dir, "acknowledged", &t_ms.to_string());
        if t_ms % 1000 == 0 {
            db.maintain().unwrap();
        }
    }
    note(dir, "deleting", "");
    db.delete(DELETED.0, DELETED.1, &only("b")).unwrap();
    note(dir, "deleted", "");
    db.clean_tombstones().unwrap();
    for t_ms in (8000..10_000).step_by(250) {
        put(&db, &mut twin, t_ms, &NAMES);
        note(dir, "acknowledged", &t_ms.to_string());
        db.maintain().unwrap();
    }
    note(dir, "clearing", "");
    db.delete(i64::MIN, i64::MAX, &all()).unwrap();
    db.clean_tombstones().unwrap();
    note(dir, "cleared", "");
}

/// Runs the child until it dies at the point, and looks at what it left.
fn check_point(name: &str, nth: u32) {
    let dir = crate::scratch::tempdir().unwrap();
    let crash = format!("{name}:{nth}");
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["db::tests::crash::child", "--exact", "--quiet"])
        .env("NARTHEX_CRASH_AT", &crash)
        .env(DIR, dir.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(SIGKILL), "{crash} was never reached");
    let noted = |name: &str| std::fs::read_to_string(dir.path().join(name)).ok();
    let acknowledged: i64 = noted("acknowledged").map_or(-1, |text| text.parse().unwrap_or(-1));
    let db = open(&dir.path().join("data"));
    check_left(&db, &crash, acknowledged, noted);
    db.maintain().unwrap();
    check_left(&db, &crash, acknowledged, noted);
    let left = block_entries(&dir.path().join("data"));
    assert_eq!(left.len(), db.blocks().len(), "{crash}: {left:?}");
}

fn check_left(db: &Db, crash: &str, acknowledged: i64, noted: impl Fn(&str) -> Option<String>) {
    let got = read(db, i64::MIN, i64::MAX);
    if noted("clearing").is_some() {
        // Which of them are gone already is nobody's promise; that no more are there than before is.
        assert!(got.values().all(|samples| samples.len() <= 40), "{crash}");
        return;
    }
    for (number, name) in NAMES.iter().enumerate() {
        let empty = BTreeMap::new();
        let samples = got.get(*name).unwrap_or(&empty);
        let hidden = |t_ms: i64| *name == "b" && (DELETED.0..=DELETED.1).contains(&t_ms);
        for t_ms in (0..=acknowledged).step_by(250) {
            let value = samples.get(&t_ms);
            match hidden(t_ms) && noted("deleting").is_some() {
                true if noted("deleted").is_some() => assert_eq!(value, None, "{crash}: {name} at {t_ms}"),
                true => {}
                false => {
                    let want = t_ms as f64 + number as f64 / 8.0;
                    assert_eq!(value, Some(&want), "{crash}: {name} at {t_ms}");
                }
            }
        }
        assert!(samples.keys().all(|t_ms| *t_ms <= acknowledged + 250), "{crash}: {name}");
    }
}

#[test]
fn a_crash_at_any_point_loses_nothing_and_doubles_nothing() {
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
