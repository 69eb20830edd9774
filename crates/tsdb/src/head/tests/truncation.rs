//! What leaves the head, when, and what stays.

use std::fs;
use std::time::Duration;

use narthex_model::{Exemplar, FloatHistogram};
use narthex_storage::{AppendError, Appendable, HistogramRef, Queryable};

use super::*;
use crate::compact::source::{CompactionSource, SourceSeries};
use crate::head::source::HeadSource;
use narthex_wal::record::{self, RefSample};
use narthex_wal::{Compression, WalMetrics, WalOptions, Writer};

const HOUR: i64 = 3_600_000;

#[track_caller]
fn truncate(db: &Db, mint_ms: i64) {
    assert!(db.head().truncate(mint_ms, Duration::ZERO), "nobody is at work");
}

/// Samples of one series every minute of `[from, to)` hours.
fn put_hours(db: &Db, series: &str, from: i64, to: i64) -> SeriesRef {
    let mut last = SeriesRef(0);
    for minute in from * 60..to * 60 {
        last = put(db, series, &[(minute * 60_000, minute as f64)]);
    }
    last
}

fn times(seen: &[Seen]) -> Vec<(i64, i64)> {
    seen.iter().map(|(_, samples)| (samples[0].0, samples[samples.len() - 1].0)).collect()
}

#[test]
fn chunks_before_the_floor_leave_and_queries_do_not_see_below_it() {
    let dir = crate::scratch::tempdir().unwrap();
    let registry = Registry::new();
    let db = Db::open(dir.path(), options(0, 0), &registry).unwrap();
    put_hours(&db, "__name__=a", 0, 5);
    assert!(db.head().compactable());
    let chunks = db.stats(0).chunk_count;
    truncate(&db, 2 * HOUR + 1);
    assert!(!db.head().compactable());
    assert_eq!(times(&read_all(&*db)), [(2 * HOUR + 60_000, 5 * HOUR - 60_000)]);
    assert!(db.stats(0).chunk_count < chunks);
    assert_eq!((db.head().min_ms(), db.head().max_ms()), (2 * HOUR + 1, 5 * HOUR - 60_000));
    truncate(&db, 4 * HOUR);
    assert_eq!(times(&read_all(&*db)), [(4 * HOUR, 5 * HOUR - 60_000)]);
    assert_eq!(db.stats(0).chunk_count, 1);
    let families = registry.gather();
    let value = |name: &str| families.iter().find(|f| f.name == name).unwrap().metrics[0].value.clone();
    assert_eq!(value("prometheus_tsdb_head_truncations_total"), narthex_metrics::Value::Number(2.0));
    assert_eq!(value("prometheus_tsdb_head_chunks"), narthex_metrics::Value::Number(1.0));
}

#[test]
fn a_chunk_file_that_cannot_be_deleted_counts_as_a_failed_truncation_and_goes_with_the_next() {
    let dir = crate::scratch::tempdir().unwrap();
    let registry = Registry::new();
    let db = Db::open(dir.path(), super::options(0, 0), &registry).unwrap();
    put_hours(&db, "__name__=a", 0, 5);
    db.head().map_chunks().unwrap();
    let (file, aside) = (dir.path().join("chunks_head/000001"), dir.path().join("aside"));
    let failed = || {
        let families = registry.gather();
        let family = families.iter().find(|f| f.name == "prometheus_tsdb_head_truncations_failed_total");
        family.unwrap().metrics[0].value.clone()
    };
    // The file that is being written is ended by the first and stays.
    truncate(&db, HOUR);
    assert_eq!(failed(), narthex_metrics::Value::Number(0.0));
    fs::rename(&file, &aside).unwrap();
    truncate(&db, 5 * HOUR);
    assert_eq!(failed(), narthex_metrics::Value::Number(1.0));
    fs::rename(&aside, &file).unwrap();
    truncate(&db, 6 * HOUR);
    assert_eq!(failed(), narthex_metrics::Value::Number(1.0));
    assert!(!file.exists());
}

#[test]
fn a_series_without_samples_leaves_with_its_labels_and_its_reference_dies() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let old = put(&db, "__name__=old,pod=gone", &[(1000, 1.0)]);
    put(&db, "__name__=new,job=x", &[(9 * HOUR, 1.0)]);
    let rolled_back = db.appender().resolve(&labels("__name__=never")).unwrap();
    truncate(&db, HOUR);
    let head = db.head();
    assert_eq!((head.series_count(), head.symbol_bytes()), (1, "__name__newjobx".len()));
    let querier = db.querier(i64::MIN, i64::MAX).unwrap();
    assert_eq!(querier.label_names(&[], 0).unwrap(), ["__name__", "job"]);
    assert_eq!(querier.label_values("__name__", &[], 0).unwrap(), ["new"]);
    assert_eq!(db.stats(10).values_by_label_name.len(), 2);
    for dead in [old, rolled_back] {
        assert_eq!(db.labels(dead), None);
        assert_eq!(db.appender().append(dead, 9 * HOUR, 1.0), Err(AppendError::UnknownSeries));
    }
    // Made again, it has another reference, and after a restart all its samples.
    let again = put(&db, "__name__=old,pod=gone", &[(9 * HOUR, 2.0)]);
    assert_ne!(again, old);
    drop(querier);
    drop(db);
    let expected = [
        seen("__name__=new,job=x", &[(9 * HOUR, 1.0)]),
        seen("__name__=old,pod=gone", &[(1000, 1.0), (9 * HOUR, 2.0)]),
    ];
    assert_eq!(read_all(&*open(dir.path())), expected);
}

#[test]
fn what_an_appender_found_stays_until_it_is_done() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    put(&db, "__name__=now", &[(9 * HOUR, 1.0)]);
    let (mut resolved, mut appended) = (db.appender(), db.appender());
    let a = resolved.resolve(&labels("__name__=a")).unwrap();
    let b = put(&db, "__name__=b", &[(9 * HOUR, 1.0)]);
    appended.append(b, 9 * HOUR + 5, 5.0).unwrap();
    assert!(!db.head().truncate(9 * HOUR + 1, Duration::ZERO), "two appenders are at work");
    assert!(!db.head().reclaim(Duration::ZERO));
    resolved.append(a, 9 * HOUR + 3, 3.0).unwrap();
    resolved.commit().unwrap();
    appended.commit().unwrap();
    assert!(db.head().reclaim(Duration::ZERO));
    let expected = [seen("__name__=a", &[(9 * HOUR + 3, 3.0)]), seen("__name__=b", &[(9 * HOUR + 5, 5.0)])];
    assert_eq!(read_all(&*db), expected);
    assert_eq!(db.head().series_count(), 2, "the third had no sample, and nobody at work knew it");
}

#[test]
fn who_comes_to_a_condemned_series_keeps_it() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let series = put(&db, "__name__=a", &[(9 * HOUR, 1.0)]);
    let by_label = put(&db, "__name__=b", &[(9 * HOUR, 1.0)]);
    let blocking = db.appender();
    assert!(!db.head().truncate(9 * HOUR + 1, Duration::ZERO));
    // Both are condemned now. These come after the cut.
    let mut late = db.appender();
    late.append(series, 9 * HOUR + 2, 2.0).unwrap();
    assert_eq!(late.resolve(&labels("__name__=b")), Ok(by_label));
    drop(blocking);
    assert!(db.head().reclaim(Duration::ZERO));
    late.append(by_label, 9 * HOUR + 2, 2.0).unwrap();
    late.commit().unwrap();
    assert_eq!(read_all(&*db).len(), 2);
    drop(db);
    assert_eq!(read_all(&*open(dir.path()))[0].1.len(), 2);
}

#[test]
fn an_older_querier_sees_what_it_saw_and_a_newer_one_does_not_hold_up_its_memory() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    put_hours(&db, "__name__=a", 0, 5);
    let before = db.querier(i64::MIN, i64::MAX).unwrap();
    assert!(!db.head().truncate(4 * HOUR, Duration::ZERO));
    let _after = db.querier(i64::MIN, i64::MAX).unwrap();
    let set = before.select(&SelectHints::default(), &[]).unwrap();
    let mut batch = SampleBatch::default();
    set.read(0, i64::MIN, i64::MAX, &mut batch).unwrap();
    assert_eq!(batch.len(), 300);
    assert_eq!(times(&read_all(&*db)), [(4 * HOUR, 5 * HOUR - 60_000)]);
    drop((before, set));
    assert!(db.head().reclaim(Duration::ZERO));
    assert_eq!(db.stats(0).chunk_count, 1);
}

#[test]
fn a_slot_is_used_again_when_the_wal_forgot_its_series_and_no_sooner() {
    let dir = crate::scratch::tempdir().unwrap();
    open(dir.path()).close().unwrap();
    let db = open(dir.path());
    let old = put(&db, "__name__=old", &[(1000, 1.0)]);
    put(&db, "__name__=keep", &[(9 * HOUR, 1.0)]);
    truncate(&db, HOUR);
    let head = db.head();
    let segment = db.wal_tip().unwrap().position().segment;
    assert!(head.keeps_series(old, segment - 1, HOUR), "its records lie in a segment that is not covered");
    assert!(!head.keeps_series(old, segment, HOUR));
    assert_ne!(put(&db, "__name__=second", &[(9 * HOUR, 1.0)]).0 as u32, old.0 as u32);
    head.forget_expired(segment, HOUR);
    assert!(head.reclaim(Duration::ZERO));
    let third = put(&db, "__name__=third", &[(9 * HOUR, 3.0)]);
    assert_eq!((third.0 as u32, third.0 >> 32), (old.0 as u32, 1), "the slot under its next generation");
    assert_eq!(db.appender().append(old, 9 * HOUR, 1.0), Err(AppendError::UnknownSeries));
    assert_eq!(db.labels(third), Some(labels("__name__=third")));
}

#[test]
fn a_restart_finds_the_slots_that_no_log_names() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let refs: Vec<SeriesRef> = (0..6).map(|n| put(&db, &format!("__name__=m{n}"), &[(n, 1.0)])).collect();
    db.close().unwrap();
    drop(db);
    // As after a checkpoint: of the second and third nothing is left, of the fourth samples without their series.
    let wal = dir.path().join("wal");
    fs::remove_dir_all(&wal).unwrap();
    let mut writer =
        Writer::open(&wal, WalOptions::default(), WalMetrics::for_wal(&Registry::new(), Compression::None))
            .unwrap();
    let names: Vec<(SeriesRef, Labels)> =
        [0, 4, 5].iter().map(|n| (refs[*n], labels(&format!("__name__=m{n}")))).collect();
    let sample = |n: usize| RefSample { series: refs[n], t_ms: 10, start_ms: 0, value: n as f64 };
    let (mut series, mut samples) = (Vec::new(), Vec::new());
    record::encode_series(names.iter().map(|(series, labels)| (*series, labels)), &mut series);
    record::encode_samples(&[0, 3, 4, 5].map(sample), &mut samples);
    writer.log(&[&series, &samples]).unwrap();
    writer.close().unwrap();
    let db = open(dir.path());
    let new: Vec<SeriesRef> = (0..3).map(|n| put(&db, &format!("__name__=new{n}"), &[(20, 1.0)])).collect();
    assert_eq!(new[..2], refs[1..3], "nobody names them");
    assert!(new[2] > refs[5], "the fourth's samples may still be read");
    let before = read_all(&*db);
    drop(db);
    assert_eq!(read_all(&*open(dir.path())), before);
}

#[test]
fn exemplars_outlive_their_series() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let exemplar =
        |t_ms| Exemplar { labels: Labels::from_pairs([("trace_id", "x")]), value: 1.0, t_ms: Some(t_ms) };
    let add = |t_ms| {
        let mut appender = db.appender();
        let series = appender.resolve(&labels("__name__=a")).unwrap();
        appender.append(series, t_ms, 1.0).unwrap();
        appender.append_exemplar(series, &exemplar(t_ms)).unwrap();
        appender.commit().unwrap();
    };
    add(1000);
    put(&db, "__name__=b", &[(9 * HOUR, 1.0)]);
    truncate(&db, HOUR);
    add(9 * HOUR);
    let found = db.exemplars(i64::MIN, i64::MAX, &[vec![matcher("__name__=a")]]);
    assert_eq!(found.len(), 1, "one label set, be its series an old or a new one");
    assert_eq!(found[0].exemplars, [exemplar(1000), exemplar(9 * HOUR)]);
}

#[test]
fn a_closed_range_takes_nothing_in_order_any_more() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    put(&db, "__name__=a", &[(10 * HOUR, 1.0)]);
    let mut before = db.appender();
    let b = before.resolve(&labels("__name__=b")).unwrap();
    assert!(!db.head().close_range(10 * HOUR, Duration::ZERO), "an appender may hold a sample below");
    before.append(b, 10 * HOUR - 5, 1.0).unwrap();
    before.commit().unwrap();
    assert!(db.head().close_range(10 * HOUR, Duration::ZERO));
    let mut after = db.appender();
    assert_eq!(after.append(b, 10 * HOUR - 4, 1.0), Err(AppendError::OutOfBounds));
    assert_eq!(after.append(b, 10 * HOUR, 1.0), Ok(()));
}

#[test]
fn with_a_window_what_comes_into_a_closed_range_is_late_and_stays_after_truncation() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_late(dir.path(), 100 * HOUR);
    put(&db, "__name__=a", &[(10 * HOUR, 1.0)]);
    assert!(db.head().close_range(10 * HOUR, Duration::ZERO));
    // Newer than all of its series, and yet late.
    put(&db, "__name__=b", &[(9 * HOUR, 9.0), (8 * HOUR, 8.0)]);
    truncate(&db, 10 * HOUR);
    let expected =
        [seen("__name__=a", &[(10 * HOUR, 1.0)]), seen("__name__=b", &[(8 * HOUR, 8.0), (9 * HOUR, 9.0)])];
    assert_eq!(read_all(&*db), expected);
    drop(db);
    assert_eq!(read_all(&*open_late(dir.path(), 100 * HOUR)), expected);
}

/// The samples of a source, cut to its range, with the series in its order.
/// Replay found a series under a reference whose slot has another series, of the generation before: when that one left, the
/// reference was given to a third, and the next start took the samples of one for the other's.
#[test]
fn a_reference_that_the_log_names_is_not_given_to_another_series() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let first = put(&db, "__name__=first", &[(1000, 1.0)]);
    let alias = SeriesRef(first.0 | 1 << 32);
    let (mut series, mut floats) = (Vec::new(), Vec::new());
    record::encode_series([(alias, &labels("__name__=second"))], &mut series);
    let sample = record::RefSample { series: alias, t_ms: 5 * HOUR, start_ms: 0, value: 2.0 };
    record::encode_samples(&[sample], &mut floats);
    db.head().log_records(&[&series, &floats]);
    drop(db);
    let db = open(dir.path());
    put(&db, "__name__=second", &[(5 * HOUR + 1, 2.0)]);
    db.head().truncate(4 * HOUR, Duration::ZERO);
    assert_eq!(db.head().series_count(), 1);
    // A checkpoint is written that keeps the samples that still count.
    db.head().forget_expired(u32::MAX, 4 * HOUR);
    assert!(db.head().reclaim(Duration::ZERO));
    let third = put(&db, "__name__=third", &[(5 * HOUR + 2, 3.0)]);
    assert_ne!(third, alias);
    db.head().forget_expired(u32::MAX, 6 * HOUR);
    assert!(db.head().reclaim(Duration::ZERO));
    assert_eq!(put(&db, "__name__=fourth", &[(5 * HOUR + 3, 4.0)]), alias, "nothing names it any more");
}

pub(super) fn read_source(source: &HeadSource, (mint, maxt): (i64, i64)) -> Vec<Seen> {
    let (mut all, mut series) = (Vec::new(), SourceSeries::default());
    let mut cursor = source.series().unwrap();
    while cursor.next(&mut series).unwrap() {
        let mut batch = SampleBatch::default();
        for piece in &series.chunks {
            narthex_chunks::decode(piece.encoding, series.chunk(piece), mint, maxt - 1, &mut batch).unwrap();
        }
        let samples = batch.t_ms.iter().copied().zip(batch.values.iter().map(|v| v.to_bits()));
        let is_deleted = |t: &i64| series.deleted.iter().any(|(mint, maxt)| (*mint..=*maxt).contains(t));
        all.push((series.labels.to_string(), samples.filter(|(t, _)| !is_deleted(t)).collect()));
    }
    all
}

#[test]
fn a_source_gives_a_range_of_all_series_in_label_order() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    for hour in 0..5 {
        for series in ["__name__=b", "__name__=a,x=2", "__name__=a,x=10"] {
            put_hours(&db, series, hour, hour + 1);
        }
    }
    put(&db, "__name__=later", &[(5 * HOUR, 1.0)]);
    let source = HeadSource::new(db.head(), 0, 2 * HOUR);
    let expected = read(&*db, (0, 2 * HOUR - 1), &[]);
    assert_eq!(read_source(&source, (0, 2 * HOUR)), expected);
    assert_eq!((source.len(), expected.len()), (3, 3));
    let symbols: Vec<_> = source.symbols().collect();
    assert_eq!(symbols, ["10", "2", "__name__", "a", "b", "x"]);
    assert!(!db.head().truncate(2 * HOUR, Duration::ZERO), "the source is a reader");
}

#[test]
fn histograms_in_a_source_are_chunks_between_those_of_floats() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let mut appender = db.appender();
    let a = appender.resolve(&labels("__name__=a")).unwrap();
    for t in 0..30 {
        let histogram = FloatHistogram { count: t as f64, zero_count: t as f64, ..FloatHistogram::default() };
        match t % 10 {
            9 => appender.append(a, t, 1.0).unwrap(),
            _ => appender.append_histogram(a, t, HistogramRef::Float(&histogram)).unwrap(),
        }
    }
    appender.commit().unwrap();
    let source = HeadSource::new(db.head(), 0, 100);
    let mut series = SourceSeries::default();
    assert!(source.series().unwrap().next(&mut series).unwrap());
    let ranges: Vec<(i64, i64)> = series.chunks.iter().map(|piece| (piece.min_ms, piece.max_ms)).collect();
    assert_eq!(ranges, [(0, 8), (9, 9), (10, 18), (19, 19), (20, 28), (29, 29)]);
}

/// A query whose view was taken before a truncation looked at the head's new range, and found nothing of the old one.
#[test]
fn a_querier_of_before_a_truncation_still_finds_what_it_took_away() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    put_hours(&db, "__name__=a", 0, 5);
    let querier = db.querier(0, HOUR).unwrap();
    db.head().truncate(4 * HOUR, std::time::Duration::ZERO);
    let all = matcher("__name__=a");
    let set = querier.select(&SelectHints::default(), std::slice::from_ref(&all)).unwrap();
    assert_eq!(set.len(), 1);
    let mut batch = SampleBatch::default();
    set.read(0, 0, HOUR, &mut batch).unwrap();
    assert!(!batch.is_empty());
    assert_eq!(querier.label_values("__name__", &[], 0).unwrap(), ["a"]);
    assert_eq!(querier.label_names(&[], 0).unwrap(), ["__name__"]);
}
