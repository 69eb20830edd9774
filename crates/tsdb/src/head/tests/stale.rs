//! Stale series leave early, and lose nothing when they come back meanwhile. Deletes.

use std::time::Duration;

use narthex_model::STALE_NAN;
use narthex_storage::{AppendError, Appendable, Duplicate, Queryable};

use super::truncation::read_source;
use super::*;
use crate::Probe;
use crate::head::late::compact::LateSource;
use crate::head::source::HeadSource;

const ALL: (i64, i64) = (0, i64::MAX);

fn end(db: &Db, series: &str, t_ms: i64) {
    let mut appender = db.appender();
    let series = appender.resolve(&labels(series)).unwrap();
    appender.append_stale(series, t_ms).unwrap();
    appender.commit().unwrap();
}

/// Three series: `gone` is stale, `back` was and is not any more, `here` goes on.
fn make(dir: &Path) -> Arc<Db> {
    let db = open(dir);
    for series in ["__name__=gone", "__name__=back", "__name__=here"] {
        put(&db, series, &[(1000, 1.0), (2000, 2.0)]);
    }
    end(&db, "__name__=gone", 3000);
    end(&db, "__name__=back", 3000);
    put(&db, "__name__=back", &[(4000, 4.0)]);
    db
}

#[test]
fn a_stale_series_leaves_with_all_that_is_in_its_block() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = make(dir.path());
    let head = db.head();
    let stale = head.stale_series();
    assert_eq!((stale.len(), head.newest().stale), (1, 1));
    let block = read_source(&HeadSource::of_stale(head, &stale, ALL.0, ALL.1), ALL);
    assert_eq!(block, [seen("__name__=gone", &[(1000, 1.0), (2000, 2.0), (3000, STALE_NAN)])]);
    assert_eq!(head.evict(&stale, Duration::ZERO).unwrap(), Some(1));
    assert_eq!((head.series_count(), head.newest().stale, db.stats(0).chunk_count), (2, 0, 2));
    let left = read_all(&*db);
    assert_eq!(left.len(), 2);
    // It comes back under the same labels, and only the new sample is the head's, now and after restarts.
    put(&db, "__name__=gone", &[(5000, 5.0)]);
    let expected = [left[0].clone(), seen("__name__=gone", &[(5000, 5.0)]), left[1].clone()];
    assert_eq!(read_all(&*db), expected);
    drop(db);
    for _ in 0..2 {
        assert_eq!(read_all(&*open(dir.path())), expected);
    }
}

#[test]
fn a_series_that_got_a_sample_after_the_list_was_taken_stays_whole() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = make(dir.path());
    let stale = db.head().stale_series();
    put(&db, "__name__=gone", &[(6000, 6.0)]);
    let before = read_all(&*db);
    assert_eq!(db.head().evict(&stale, Duration::ZERO).unwrap(), Some(0));
    assert_eq!(read_all(&*db), before);
    end(&db, "__name__=gone", 7000);
    assert_eq!(db.head().evict(&stale, Duration::ZERO).unwrap(), Some(0), "stale again, but not as listed");
}

/// The list was taken, then a series came back, and its block was written with the new samples too: of a batch that was just
/// going in it showed a part.
#[test]
fn a_block_of_stale_series_ends_where_the_list_says() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = make(dir.path());
    let stale = db.head().stale_series();
    put(&db, "__name__=gone", &[(6000, 6.0)]);
    let block = read_source(&HeadSource::of_stale(db.head(), &stale, ALL.0, ALL.1), ALL);
    assert_eq!(block, [seen("__name__=gone", &[(1000, 1.0), (2000, 2.0), (3000, STALE_NAN)])]);
}

/// A series that changed meanwhile can be as listed again: its block must have all of it then.
#[test]
fn a_series_whose_late_samples_came_and_went_is_whole_in_its_block() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_late(dir.path(), 1_000_000);
    put(&db, "__name__=gone", &[(1000, 1.0)]);
    end(&db, "__name__=gone", 3000);
    let stale = db.head().stale_series();
    put(&db, "__name__=gone", &[(2000, 2.0)]);
    let block = read_source(&HeadSource::of_stale(db.head(), &stale, ALL.0, ALL.1), ALL);
    assert_eq!(block, [seen("__name__=gone", &[(1000, 1.0), (3000, STALE_NAN)])]);
    let line = db.head().begin_late_compaction().unwrap().unwrap();
    assert!(db.head().truncate_late(line, Duration::ZERO));
    assert_eq!(db.head().evict(&stale, Duration::ZERO).unwrap(), Some(1));
}

/// A source shows whole batches, as a reader does.
#[test]
fn a_source_leaves_out_what_nobody_sees_yet() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_late(dir.path(), 1_000_000);
    let head = db.head();
    put(&db, "__name__=a", &[(1000, 1.0), (2000, 2.0)]);
    let before = read_all(&*db);
    std::thread::scope(|scope| {
        // A commit that takes its time: those behind it are not shown before it.
        let seq = {
            let mut log = head.log.lock();
            log.last_seq += 1;
            log.last_seq
        };
        let slow = head.isolation.promise(seq);
        let batch = scope.spawn(|| put(&db, "__name__=a", &[(1500, 1.5), (3000, 3.0)]));
        until("the batch is in", || head.max_ms() == 3000 && head.late_span() == (1500, 1500));
        assert_eq!(read_source(&HeadSource::new(head, ALL.0, ALL.1), ALL), before);
        assert_eq!(LateSource::beside(&HeadSource::new(head, ALL.0, ALL.1)).len(), 0);
        let line = scope.spawn(|| {
            let line = head.begin_late_compaction().unwrap().unwrap();
            // What is said to be in blocks is what everybody sees.
            (LateSource::before(head, &line, ALL).len(), read_all(&*db)[0].1.len())
        });
        until("the line is drawn", || head.log.lock().late.as_ref().unwrap().position().segment > 0);
        assert_eq!(read_all(&*db), before);
        slow.show();
        batch.join().unwrap();
        assert_eq!(line.join().unwrap(), (1, 4));
    });
    let line = head.begin_late_compaction().unwrap().unwrap();
    put(&db, "__name__=a", &[(1600, 1.6)]);
    put(&db, "__name__=b", &[(4000, 4.0), (1600, 1.6)]);
    assert_eq!(LateSource::before(head, &line, ALL).len(), 1, "what came since is for the next block");
    assert_eq!(LateSource::beside(&HeadSource::new(head, ALL.0, ALL.1)).len(), 2);
}

#[test]
fn a_late_sample_keeps_a_stale_series() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_late(dir.path(), 1_000_000);
    put(&db, "__name__=gone", &[(1000, 1.0)]);
    end(&db, "__name__=gone", 3000);
    let stale = db.head().stale_series();
    assert_eq!(stale.len(), 1);
    put(&db, "__name__=gone", &[(2000, 2.0)]);
    assert_eq!(db.head().evict(&stale, Duration::ZERO).unwrap(), Some(0));
    assert_eq!(db.head().newest().stale, 0, "late samples are no part of the blocks of stale series");
    assert_eq!(read_all(&*db)[0].1.len(), 3);
}

#[test]
fn a_batch_on_its_way_finds_its_series() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = make(dir.path());
    let stale = db.head().stale_series();
    let mut appender = db.appender();
    let series = appender.resolve(&labels("__name__=gone")).unwrap();
    appender.append(series, 6000, 6.0).unwrap();
    assert_eq!(db.head().evict(&stale, Duration::ZERO).unwrap(), Some(1));
    appender.commit().unwrap();
    assert!(db.head().reclaim(Duration::ZERO));
    let expected = seen("__name__=gone", &[(6000, 6.0)]);
    assert!(read_all(&*db).contains(&expected));
    drop(db);
    assert!(read_all(&*open(dir.path())).contains(&expected));
}

/// Appends a sample if it is taken.
fn try_put(db: &Db, series: &str, t_ms: i64) -> bool {
    let mut appender = db.appender();
    let series = appender.resolve(&labels(series)).unwrap();
    let taken = appender.append(series, t_ms, t_ms as f64).is_ok();
    appender.commit().unwrap();
    taken
}

/// The WAL still has the series under its old reference: for replay it is one series, of which an older sample in order would
/// be none.
#[test]
fn what_is_taken_for_a_series_that_left_early_is_there_after_a_restart() {
    for window_ms in [0, 1_000_000] {
        let dir = crate::scratch::tempdir().unwrap();
        let db = open_late(dir.path(), window_ms);
        put(&db, "__name__=gone", &[(1000, 1.0), (2000, 2.0)]);
        put(&db, "__name__=here", &[(1000, 1.0)]);
        end(&db, "__name__=gone", 3000);
        let stale = db.head().stale_series();
        assert_eq!(db.head().evict(&stale, Duration::ZERO).unwrap(), Some(1));
        assert_eq!(db.head().series_count(), 1);
        assert_eq!(try_put(&db, "__name__=gone", 2500), window_ms > 0);
        assert!(try_put(&db, "__name__=gone", 3500));
        let before = read_all(&*db);
        assert_eq!(before[0].1.len(), 1 + usize::from(window_ms > 0));
        drop(db);
        let db = open_late(dir.path(), window_ms);
        assert_eq!(read_all(&*db), before);
        // When the log has forgotten it, it is a series like any other.
        let stale = db.head().stale_series();
        assert_eq!(stale.len(), 0);
    }
}

/// It was taken and then not kept.
#[test]
fn a_sample_at_the_moment_of_a_marker_that_left_is_refused_as_before_it_left() {
    for window_ms in [0, 1_000_000] {
        let dir = crate::scratch::tempdir().unwrap();
        let db = open_late(dir.path(), window_ms);
        put(&db, "__name__=gone", &[(1000, 1.0), (2000, 2.0)]);
        put(&db, "__name__=here", &[(1000, 1.0)]);
        end(&db, "__name__=gone", 3000);
        let append = |t_ms, value: f64| {
            let mut appender = db.appender();
            let series = appender.resolve(&labels("__name__=gone")).unwrap();
            let taken = appender.append(series, t_ms, value);
            appender.commit().unwrap();
            taken
        };
        assert_eq!(
            append(3000, 7.0),
            Err(AppendError::DuplicateTimestamp(Duplicate::of_float(3000, STALE_NAN, 7.0)))
        );
        let stale = db.head().stale_series();
        assert_eq!(db.head().evict(&stale, Duration::ZERO).unwrap(), Some(1));
        assert_eq!(append(3000, 7.0), Err(AppendError::DuplicateTimestamp(Duplicate::UNTOLD)));
        assert_eq!(append(3000, STALE_NAN), Ok(()), "the block has it");
        assert_eq!(append(3001, 7.0), Ok(()));
        assert_eq!(read_all(&*db)[0], seen("__name__=gone", &[(3001, 7.0)]));
    }
}

#[test]
fn a_sample_at_the_moment_of_a_deleted_one_is_refused() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let series = put(&db, "__name__=a", &[(1000, 1.0), (2000, 2.0)]);
    db.head().delete(&[matcher("__name__=a")], i64::MIN, i64::MAX).unwrap();
    let mut appender = db.appender();
    assert_eq!(appender.append(series, 2000, 7.0), Err(AppendError::DuplicateTimestamp(Duplicate::UNTOLD)));
    assert_eq!(appender.append(series, 2001, 7.0), Ok(()));
    appender.commit().unwrap();
    assert_eq!(read_all(&*db), [seen("__name__=a", &[(2001, 7.0)])]);
}

/// A batch that could not be logged took its claims back as if a series could not have had more than it has now.
#[test]
fn a_failed_batch_leaves_what_was_claimed_for_a_series_that_was_emptied() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = make(dir.path());
    let head = db.head();
    let stale = head.stale_series();
    let held = db.appender();
    assert_eq!(head.evict(&stale, Duration::ZERO).unwrap(), Some(1));
    assert_eq!(head.series_count(), 3, "an appender may have found it");
    let [wal, wbl] = head.stop_log();
    let mut appender = db.appender();
    let series = appender.resolve(&labels("__name__=gone")).unwrap();
    appender.append(series, 6000, 6.0).unwrap();
    appender.append(series, 7000, 7.0).unwrap();
    assert!(appender.commit().is_err());
    head.start_log(wal.unwrap(), wbl, Probe::default());
    drop(held);
    assert!(!try_put(&db, "__name__=gone", 2500), "its marker was at 3000");
    assert!(try_put(&db, "__name__=gone", 3500) && try_put(&db, "__name__=gone", 6000));
    let before = read_all(&*db);
    drop(db);
    assert_eq!(read_all(&*open(dir.path())), before);
}

#[test]
fn an_older_reader_holds_up_eviction() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = make(dir.path());
    let stale = db.head().stale_series();
    let querier = db.querier(0, 10_000).unwrap();
    assert_eq!(db.head().evict(&stale, Duration::ZERO).unwrap(), None);
    drop(querier);
    assert_eq!(db.head().evict(&stale, Duration::ZERO).unwrap(), Some(1));
}

#[test]
fn what_is_deleted_is_gone_at_once_and_after_a_restart_and_what_comes_later_stays() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    for series in ["__name__=a,x=1", "__name__=a,x=2", "__name__=b"] {
        put(&db, series, &[(1000, 1.0), (2000, 2.0), (3000, 3.0)]);
    }
    let old = db.querier(0, i64::MAX).unwrap();
    assert_eq!(db.head().delete(&[matcher("__name__=a"), matcher("x=1")], 1500, i64::MAX).unwrap(), 1);
    assert_eq!(db.head().delete(&[matcher("x=2")], i64::MIN, i64::MAX).unwrap(), 1);
    assert_eq!(db.head().delete(&[matcher("__name__=b")], 5000, 9000).unwrap(), 0, "nothing lies there");
    drop(old);
    put(&db, "__name__=a,x=1", &[(4000, 4.0)]);
    put(&db, "__name__=a,x=2", &[(4000, 4.0)]);
    let expected = [
        seen("__name__=a,x=1", &[(1000, 1.0), (4000, 4.0)]),
        seen("__name__=a,x=2", &[(4000, 4.0)]),
        seen("__name__=b", &[(1000, 1.0), (2000, 2.0), (3000, 3.0)]),
    ];
    assert_eq!(read_all(&*db), expected);
    let source = HeadSource::new(db.head(), 0, 10_000);
    let mut series = crate::compact::source::SourceSeries::default();
    use crate::compact::source::CompactionSource as _;
    assert!(source.series().unwrap().next(&mut series).unwrap());
    assert_eq!(series.deleted, [(1500, 3000)]);
    drop((source, db));
    assert_eq!(read_all(&*open(dir.path())), expected);
}

#[test]
fn late_samples_may_take_the_place_of_deleted_ones() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_late(dir.path(), 1_000_000);
    put(&db, "__name__=a", &[(1000, 1.0), (2000, 2.0), (3000, 3.0)]);
    db.head().delete(&[matcher("__name__=a")], 2000, 2500).unwrap();
    put(&db, "__name__=a", &[(2001, 7.0)]);
    let expected = [seen("__name__=a", &[(1000, 1.0), (2001, 7.0), (3000, 3.0)])];
    assert_eq!(read_all(&*db), expected);
    drop(db);
    assert_eq!(read_all(&*open_late(dir.path(), 1_000_000)), expected);
}
