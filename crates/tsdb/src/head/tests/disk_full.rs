//! A disk that is full: batches fail whole, everybody is told, and when there is room again all goes on by itself.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use narthex_metrics::Value;
use narthex_storage::{AppendError, CommitError};
use narthex_wal::{Compression, WalOptions};

use super::*;
use crate::{DbOptions, Ingestion, Probe};

/// A file system of a few MiB; `None` after a loud line where mounting is not allowed.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(test: &str, mib: u32) -> Option<Self> {
        let dir = crate::scratch::tempdir().unwrap();
        let size = format!("size={mib}m");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        if done.as_ref().is_ok_and(|output| output.status.success()) {
            return Some(Self { dir });
        }
        assert!(std::env::var_os("CI").is_none(), "{test} must run in CI and needs to mount a tmpfs");
        eprintln!("SKIPPED: {test} needs to mount a tmpfs, which is not allowed here");
        None
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Takes all room but some bytes; `release` gives it back.
    fn fill(&self, leave: u64) {
        let free = narthex_disk::free_bytes(self.dir.path()).unwrap();
        std::fs::write(self.dir.path().join("filler"), vec![1; free.saturating_sub(leave) as usize]).unwrap();
    }

    fn release(&self) {
        std::fs::remove_file(self.dir.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, as a test that fails may still hold files.
        let _ = Command::new("umount").arg("-l").arg(self.dir.path()).status();
    }
}

fn options(window_ms: i64) -> DbOptions {
    let wal =
        WalOptions { segment_size_bytes: 64 * 1024, compression: Compression::None, ..WalOptions::default() };
    let probe = Probe { every: Duration::from_millis(2), free_bytes: 1 << 20, write_bytes: 1 << 16 };
    DbOptions { wal, probe, ..super::options(0, window_ms) }
}

fn scrape(db: &Db, t_ms: i64) -> Result<(), CommitError> {
    let mut appender = db.appender();
    for n in 0..200 {
        let series = appender.resolve(&labels(&format!("__name__=m,n={n}")));
        match series.and_then(|series| appender.append(series, t_ms, t_ms as f64)) {
            Ok(()) => {}
            Err(AppendError::Unavailable(reason)) => {
                assert!(reason.contains("full"), "{reason}");
                return Err(CommitError::Closed);
            }
            Err(error) => panic!("{error}"),
        }
    }
    appender.commit()
}

fn metric(registry: &Registry, name: &str) -> f64 {
    let families = registry.gather();
    let values = families.iter().filter(|f| f.name == name).flat_map(|f| &f.metrics);
    values.map(|m| if let Value::Number(value) = &m.value { *value } else { 0.0 }).sum()
}

#[test]
fn a_full_disk_refuses_whole_batches_and_resumes_by_itself() {
    let Some(disk) = SmallDisk::mount("a_full_disk_refuses_whole_batches_and_resumes_by_itself", 8) else {
        return;
    };
    let registry = Registry::new();
    let db = Db::open(&disk.path(), options(0), &registry).unwrap();
    let mut acknowledged = Vec::new();
    let mut t_ms = 0;
    for round in 0..3 {
        disk.fill(20_000);
        let mut failed = 0;
        while failed < 5 {
            t_ms += 1000;
            match scrape(&db, t_ms) {
                Ok(()) => acknowledged.push(t_ms),
                Err(_) => failed += 1,
            }
        }
        let Ingestion::Refused { reason, .. } = db.ingestion() else { panic!("round {round}: it is off") };
        assert!(reason.contains("the disk is full") && reason.contains("wal"), "{reason}");
        assert_eq!(metric(&registry, "narthex_tsdb_ingestion_refused"), 1.0);
        check(&db, &acknowledged);
        disk.release();
        until("ingestion is on again", || db.ingestion() == Ingestion::On);
        assert_eq!(metric(&registry, "narthex_tsdb_ingestion_refused"), 0.0);
        for _ in 0..10 {
            t_ms += 1000;
            scrape(&db, t_ms).unwrap();
            acknowledged.push(t_ms);
        }
        check(&db, &acknowledged);
    }
    assert_eq!(metric(&registry, "narthex_tsdb_ingestion_refusals_total"), 3.0);
    assert_eq!(metric(&registry, "narthex_tsdb_ingestion_resumed_total"), 3.0);
    assert!(metric(&registry, "narthex_tsdb_ingestion_refused_batches_total") >= 12.0);
    drop(db);
    let registry = Registry::new();
    check(&Db::open(&disk.path(), options(0), &registry).unwrap(), &acknowledged);
    assert_eq!(metric(&registry, "prometheus_tsdb_wal_corruptions_total"), 0.0);
}

/// Every series has exactly the samples of these moments.
#[track_caller]
fn check(db: &Db, times: &[i64]) {
    for (series, samples) in read_all(db) {
        assert!(samples.iter().map(|(t, _)| t).eq(times), "{series}");
    }
}

#[test]
fn a_delete_that_finds_the_disk_full_turns_ingestion_off_too() {
    let Some(disk) = SmallDisk::mount("a_delete_that_finds_the_disk_full_turns_ingestion_off_too", 8) else {
        return;
    };
    let db = Db::open(&disk.path(), options(0), &Registry::new()).unwrap();
    (1..=50).for_each(|t| scrape(&db, t * 1000).unwrap());
    disk.fill(20_000);
    let mut done = 0;
    let error = loop {
        match db.delete(done * 1000 + 1, done * 1000 + 1000, &[matcher("__name__=m")]) {
            Ok(()) => done += 1,
            Err(error) => break error,
        }
    };
    let text = format!("{error:?}");
    assert!(text.contains("StorageFull"), "{text}");
    let Ingestion::Refused { reason, .. } = db.ingestion() else { panic!("it is off") };
    assert!(reason.contains("the disk is full"), "{reason}");
    let times: Vec<i64> = (done + 1..=50).map(|t| t * 1000).collect();
    check(&db, &times);
    disk.release();
    until("ingestion is on again", || db.ingestion() == Ingestion::On);
    db.delete(0, done * 1000 + 1000, &[matcher("__name__=m")]).unwrap();
    scrape(&db, 51_000).unwrap();
    let times: Vec<i64> = (done + 2..=51).map(|t| t * 1000).collect();
    check(&db, &times);
    drop(db);
    check(&Db::open(&disk.path(), options(0), &Registry::new()).unwrap(), &times);
}

#[test]
fn late_samples_on_a_full_disk_are_in_both_logs_or_in_none() {
    let Some(disk) = SmallDisk::mount("late_samples_on_a_full_disk_are_in_both_logs_or_in_none", 8) else {
        return;
    };
    let db = Db::open(&disk.path(), options(1_000_000), &Registry::new()).unwrap();
    for t in 1..=10 {
        scrape(&db, t * 100_000).unwrap();
    }
    disk.fill(30_000);
    let mut acknowledged: Vec<i64> = (1..=10).map(|t| t * 100_000).collect();
    for t in 1..200 {
        if scrape(&db, t * 1000 + 7).is_err() {
            break;
        }
        acknowledged.push(t * 1000 + 7);
    }
    assert_ne!(db.ingestion(), Ingestion::On, "the disk is full by now");
    acknowledged.sort_unstable();
    check(&db, &acknowledged);
    drop(db);
    disk.release();
    check(&Db::open(&disk.path(), options(1_000_000), &Registry::new()).unwrap(), &acknowledged);
}

#[test]
fn a_checkpoint_on_a_full_disk_leaves_the_log_as_it_was() {
    let Some(disk) = SmallDisk::mount("a_checkpoint_on_a_full_disk_leaves_the_log_as_it_was", 8) else {
        return;
    };
    let db = Db::open(&disk.path(), options(0), &Registry::new()).unwrap();
    for t in 1..=300 {
        scrape(&db, t * 1000).unwrap();
    }
    let times: Vec<i64> = (1..=300).map(|t| t * 1000).collect();
    disk.fill(100_000);
    let error = db.truncate_wal(2000).unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains("StorageFull"), "{text}");
    let left = std::fs::read_dir(db.wal_dir()).unwrap().map(|e| e.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().contains("checkpoint")));
    disk.release();
    assert!(db.truncate_wal(2000).unwrap());
    drop(db);
    check(&Db::open(&disk.path(), options(0), &Registry::new()).unwrap(), &times[1..]);
}
