//! What is on the disk is known, and the knowledge never runs ahead.

use std::time::{Duration, Instant};

use super::*;

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::yield_now();
    }
}

fn interval_writer(dir: &Path, segment_pages: u64, interval_ms: u64) -> Writer {
    let options = WalOptions {
        segment_size_bytes: segment_pages * super::super::PAGE_SIZE as u64,
        compression: Compression::None,
        sync_interval: Duration::from_millis(interval_ms),
    };
    Writer::open(dir, options, WalMetrics::for_wal(&Registry::new(), Compression::None)).unwrap()
}

#[test]
fn with_an_interval_all_that_was_written_is_soon_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = interval_writer(dir.path(), 2, 1);
    let synced = writer.synced();
    for round in 0..30 {
        let end = log(&mut writer, &[vec![round; 10_000]]);
        assert!(synced.position() <= writer.tip().position());
        until("the batch is synced", || synced.position() == end);
    }
    assert!(writer.position().segment > 2, "segments changed on the way");
    writer.close().unwrap();
}

#[test]
fn without_an_interval_only_full_segments_are_synced_and_closing_syncs_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = interval_writer(dir.path(), 2, 0);
    let synced = writer.synced();
    log(&mut writer, &[vec![1; 10_000]]);
    assert_eq!(synced.position(), WalPosition::default());
    let next = writer.next_segment().unwrap();
    until("the full segment is synced", || synced.position() == WalPosition { segment: next, offset: 0 });
    let end = log(&mut writer, &[vec![1; 10_000]]);
    assert!(synced.position() < end);
    writer.close().unwrap();
    assert!(synced.position() >= end);
}

#[test]
fn an_idle_log_with_an_interval_closes_and_opens() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        interval_writer(dir.path(), 2, 1).close().unwrap();
        drop(interval_writer(dir.path(), 2, 1));
    }
    assert_eq!(super::super::list_segments(dir.path()).unwrap().len(), 6);
}

const DIR: &str = "NARTHEX_TEST_POWER_CUT_DIR";

/// Not a test by itself: a process that writes, notes what it was told is safe, and ends without closing anything.
#[test]
fn power_cut_child() {
    use std::io::Write as _;
    let Some(dir) = std::env::var_os(DIR) else { return };
    let dir = Path::new(&dir);
    let mut writer = interval_writer(&dir.join("wal"), 2, 1);
    let synced = writer.synced();
    let mut notes = std::fs::File::create(dir.join("notes")).unwrap();
    for n in 0..400u32 {
        let end = log(&mut writer, &[n.to_be_bytes().repeat(500)]);
        let safe = synced.position();
        writeln!(notes, "{} {} {} {}", end.segment, end.offset, safe.segment, safe.offset).unwrap();
    }
    until("something is safe", || synced.position().segment > 3);
    std::process::abort();
}

/// What the journal of durable steps says that a power cut at the end would have left: of each file as much as was synced, if
/// its directory was synced after that began.
fn after_power_cut(dir: &Path, to: &Path) {
    let journal = std::fs::read_to_string(dir.join("journal")).unwrap();
    let mut files: std::collections::BTreeMap<&str, (u64, bool)> = std::collections::BTreeMap::new();
    for line in journal.lines() {
        let mut parts = line.splitn(3, ' ');
        match (parts.next().unwrap(), parts.next().unwrap().parse::<u64>().unwrap(), parts.next().unwrap()) {
            ("sync", len, path) => {
                let file = files.entry(path).or_default();
                file.0 = file.0.max(len);
            }
            ("syncdir", _, path) => {
                files
                    .iter_mut()
                    .filter(|(file, _)| file.starts_with(path))
                    .for_each(|(_, file)| file.1 = true);
            }
            _ => {}
        }
    }
    std::fs::create_dir_all(to).unwrap();
    for (path, (len, is_named)) in files {
        if is_named {
            let bytes = std::fs::read(path).unwrap();
            std::fs::write(to.join(Path::new(path).file_name().unwrap()), &bytes[..len as usize]).unwrap();
        }
    }
}

#[test]
fn what_is_said_to_be_safe_survives_a_power_cut() {
    if !cfg!(debug_assertions) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["tests::syncing::power_cut_child", "--exact", "--quiet"])
        .env(DIR, dir.path())
        .env("NARTHEX_DISK_JOURNAL", dir.path().join("journal"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(!status.success());
    let left = dir.path().join("left");
    after_power_cut(dir.path(), &left);
    let notes = std::fs::read_to_string(dir.path().join("notes")).unwrap();
    let positions: Vec<(WalPosition, WalPosition)> = notes
        .lines()
        .map(|line| {
            let n: Vec<u64> = line.split(' ').map(|n| n.parse().unwrap()).collect();
            let at = |segment: u64, offset| WalPosition { segment: segment as u32, offset };
            (at(n[0], n[1]), at(n[2], n[3]))
        })
        .collect();
    let safe = positions.last().unwrap().1;
    let promised = positions.iter().filter(|(end, _)| *end <= safe).count();
    let (records, _) = read_all(&left);
    assert!(promised > 0 && records.len() >= promised, "{promised} promised, {} left", records.len());
    for (n, (_, record)) in records.iter().enumerate() {
        assert_eq!(record[..4], (n as u32).to_be_bytes(), "no hole before what is left");
    }
}
