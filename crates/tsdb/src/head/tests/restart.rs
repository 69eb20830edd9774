//! What comes back after a crash: everything that was acknowledged, nothing that was torn.

use std::fs;

use narthex_metrics::Registry;
use narthex_storage::{Appendable, CommitError};

use super::*;
use std::time::Duration;

use crate::{DbOptions, Ingestion, OpenError, Probe};
use narthex_wal::{Compression, WalMetrics, WalOptions, Writer, record};

/// Copies a data directory with its last segment cut at `len` bytes, as a crash may leave it.
fn copy_cut(from: &Path, to: &Path, segment: &str, len: u64) {
    fs::create_dir_all(to.join("wal")).unwrap();
    for entry in fs::read_dir(from.join("wal")).unwrap() {
        let entry = entry.unwrap();
        let target = to.join("wal").join(entry.file_name());
        fs::copy(entry.path(), &target).unwrap();
        if entry.file_name().to_str() == Some(segment) {
            fs::OpenOptions::new().write(true).open(&target).unwrap().set_len(len).unwrap();
        }
    }
}

#[test]
fn a_cut_at_any_byte_keeps_every_batch_before_it_whole() {
    for compression in [Compression::None, Compression::Snappy] {
        let dir = crate::scratch::tempdir().unwrap();
        let options =
            DbOptions { wal: WalOptions { compression, ..WalOptions::default() }, ..DbOptions::default() };
        let db = Db::open(dir.path(), options, &Registry::new()).unwrap();
        // After each batch: where the log ended.
        let mut ends = vec![0];
        for round in 1..=30i64 {
            let mut appender = db.appender();
            for n in 0..40 {
                let series = appender.resolve(&labels(&format!("__name__=m,n={n}"))).unwrap();
                // A record that lacks only zeros is whole: the values end in none.
                appender.append(series, round * 1000, (round * n) as f64 + 0.1).unwrap();
            }
            appender.commit().unwrap();
            ends.push(db.wal_tip().unwrap().position().offset);
        }
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..40 {
            let len = random.u64(0..=ends[30]);
            let copy = crate::scratch::tempdir().unwrap();
            copy_cut(dir.path(), copy.path(), "00000000", len);
            let whole = ends.iter().rposition(|end| *end <= len).unwrap() as i64;
            let expected = if whole == 0 { 0 } else { 40 };
            for time in 0..2 {
                let got = read_all(&*open(copy.path()));
                assert_eq!(got.len(), expected, "cut at {len}, opening {time}");
                for (series, samples) in got {
                    let times: Vec<i64> = samples.iter().map(|(t, _)| *t).collect();
                    assert_eq!(
                        times,
                        (1..=whole).map(|r| r * 1000).collect::<Vec<_>>(),
                        "{series} cut at {len}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_second_opening_is_refused_until_the_first_is_closed() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let second = Db::open(dir.path(), DbOptions::default(), &Registry::new());
    assert!(matches!(second, Err(OpenError::Lock(crate::LockError::InUse { .. }))));
    db.close().unwrap();
    let late = {
        let mut appender = db.appender();
        let series = appender.resolve(&labels("__name__=a")).unwrap();
        appender.append(series, 1, 1.0).unwrap();
        appender.commit()
    };
    assert!(matches!(late, Err(CommitError::Closed)));
    assert_eq!(read_all(&*db), [], "nothing of a failed commit is visible");
    open(dir.path());
}

#[test]
fn series_created_by_one_batch_and_written_first_by_another_survive() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let mut slow = db.appender();
    let series = slow.resolve(&labels("__name__=a")).unwrap();
    slow.append(series, 2, 2.0).unwrap();
    put(&db, "__name__=a", &[(1, 1.0)]);
    let copy = crate::scratch::tempdir().unwrap();
    copy_cut(dir.path(), copy.path(), "", 0);
    assert_eq!(read_all(&*open(copy.path())), [seen("__name__=a", &[(1, 1.0)])]);
    slow.commit().unwrap();
    drop(db);
    assert_eq!(read_all(&*open(dir.path())), [seen("__name__=a", &[(1, 1.0), (2, 2.0)])]);
}

/// Series (reference, labels) and samples (reference, timestamp).
type Batch<'a> = (&'a [(u64, &'a str)], &'a [(u64, i64)]);

/// Writes a log by hand: of each batch the series, then the samples.
fn write_log(dir: &Path, batches: &[Batch<'_>]) {
    write_segments(&dir.join("wal"), batches);
}

fn write_segments(dir: &Path, batches: &[Batch<'_>]) {
    let metrics = WalMetrics::for_wal(&Registry::new(), Compression::None);
    let mut writer = Writer::open(dir, WalOptions::default(), metrics).unwrap();
    for (series, samples) in batches {
        let series: Vec<_> = series.iter().map(|(r, l)| (SeriesRef(*r), labels(l))).collect();
        let samples: Vec<_> = samples
            .iter()
            .map(|(r, t)| record::RefSample {
                series: SeriesRef(*r),
                t_ms: *t,
                start_ms: 0,
                value: *t as f64,
            })
            .collect();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        record::encode_series(series.iter().map(|(r, l)| (*r, l)), &mut first);
        record::encode_samples(&samples, &mut second);
        let records: Vec<&[u8]> = [&*first, &*second].into_iter().filter(|r| !r.is_empty()).collect();
        writer.log(&records).unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn references_of_any_log_lead_to_their_series() {
    let dir = crate::scratch::tempdir().unwrap();
    write_log(
        dir.path(),
        &[
            // Dense; far away; the same labels under a second number; a slot that is taken, one generation later.
            (&[(3, "__name__=a"), (900_000_000_000, "__name__=far")], &[(3, 1), (900_000_000_000, 1)]),
            (
                &[(70_000_000, "__name__=a"), (1 << 32 | 3, "__name__=b")],
                &[(70_000_000, 2), (1 << 32 | 3, 2)],
            ),
            (&[], &[(3, 3), (999, 3), (900_000_000_000, 3)]),
        ],
    );
    let expected = [
        seen("__name__=a", &[(1, 1.0), (2, 2.0), (3, 3.0)]),
        seen("__name__=b", &[(2, 2.0)]),
        seen("__name__=far", &[(1, 1.0), (3, 3.0)]),
    ];
    let db = open(dir.path());
    assert_eq!(read_all(&*db), expected);
    for series in ["a", "b", "far", "new"] {
        put(&db, &format!("__name__={series}"), &[(4, 4.0)]);
    }
    let after = read_all(&*db);
    assert!(after.iter().all(|(_, samples)| samples.last() == Some(&(4, 4f64.to_bits()))));
    for _ in 0..2 {
        drop(db.close());
        assert_eq!(
            read_all(
                &*Db::open(
                    dir.path(),
                    DbOptions { no_lockfile: true, ..DbOptions::default() },
                    &Registry::new()
                )
                .unwrap()
            ),
            after
        );
    }
}

#[test]
fn what_this_version_does_not_serve_is_left_alone() {
    let dir = crate::scratch::tempdir().unwrap();
    let block = dir.path().join("01BZJ9WJQPWHGNC2W4J9TA62KC");
    fs::create_dir_all(&block).unwrap();
    fs::write(block.join("meta.json"), "{}").unwrap();
    fs::create_dir_all(dir.path().join("chunks_head")).unwrap();
    fs::write(dir.path().join("chunks_head/000001"), b"\x01\x30\xbc\x91\x01\0\0\0").unwrap();
    open(dir.path()).close().unwrap();
    assert!(block.join("meta.json").is_file() && dir.path().join("chunks_head/000001").is_file());
}

#[test]
fn a_batch_that_cannot_be_logged_leaves_no_trace_and_may_be_tried_again() {
    let dir = crate::scratch::tempdir().unwrap();
    let wal =
        WalOptions { segment_size_bytes: 32 * 1024, compression: Compression::None, ..WalOptions::default() };
    let probe = Probe { every: Duration::from_millis(1), ..Probe::default() };
    let db =
        Db::open(dir.path(), DbOptions { wal, probe, ..DbOptions::default() }, &Registry::new()).unwrap();
    put(&db, "__name__=a", &[(1, 1.0)]);
    let aside = dir.path().join("aside");
    fs::rename(db.wal_dir(), &aside).unwrap();
    let large = |t: i64| {
        let mut appender = db.appender();
        for n in 0..2000 {
            let series = appender.resolve(&labels(&format!("__name__=b,n={n}"))).unwrap();
            appender.append(series, t, 1.0).unwrap();
        }
        let a = appender.resolve(&labels("__name__=a")).unwrap();
        appender.append(a, t, 2.0).unwrap();
        appender.commit()
    };
    assert!(matches!(large(2), Err(CommitError::Wal(_))), "a new segment needs the directory");
    assert_eq!(read_all(&*db), [seen("__name__=a", &[(1, 1.0)])]);
    assert!(matches!(db.ingestion(), Ingestion::Refused { .. }));
    fs::rename(&aside, db.wal_dir()).unwrap();
    until("ingestion is on again", || db.ingestion() == Ingestion::On);
    large(2).unwrap();
    let after = read_all(&*db);
    assert_eq!(after.len(), 2001);
    assert_eq!(after[0], seen("__name__=a", &[(1, 1.0), (2, 2.0)]));
    drop(db);
    assert_eq!(read_all(&*open(dir.path())), after);
}

#[test]
fn a_checkpoint_is_read_first_and_refused_when_corrupt() {
    let dir = crate::scratch::tempdir().unwrap();
    write_log(dir.path(), &[(&[(1, "__name__=a")], &[(1, 1)])]);
    let checkpoint = dir.path().join("wal/checkpoint.00000000");
    fs::create_dir_all(&checkpoint).unwrap();
    write_segments(&checkpoint, &[(&[(1, "__name__=a"), (2, "__name__=b")], &[(1, 1), (2, 1)])]);
    write_log(dir.path(), &[(&[], &[(1, 2), (2, 2)])]);
    let expected = [seen("__name__=a", &[(1, 1.0), (2, 2.0)]), seen("__name__=b", &[(1, 1.0), (2, 2.0)])];
    assert_eq!(read_all(&*open(dir.path())), expected);
    let file = checkpoint.join("00000000");
    let mut bytes = fs::read(&file).unwrap();
    bytes[20] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let refused = Db::open(dir.path(), DbOptions::default(), &Registry::new());
    assert!(matches!(refused, Err(OpenError::Replay(crate::ReplayError::Checkpoint { .. }))));
    assert_eq!(fs::read(&file).unwrap(), bytes, "nothing was cut");
}
