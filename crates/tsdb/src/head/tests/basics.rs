//! What an appender takes and refuses, what a selector finds, what the statistics say.

use narthex_model::{Exemplar, FloatHistogram, Histogram, Metadata, MetricType, STALE_NAN};
use narthex_storage::{
    AppendError, Appendable, Duplicate, HistogramRef, LabelSets, Queryable, SampleBatch, SelectHints,
    SeriesRef,
};

use super::*;

#[track_caller]
fn check_append(db: &Db, series: SeriesRef, t_ms: i64, value: f64, expected: &Result<(), AppendError>) {
    let mut appender = db.appender();
    assert_eq!(appender.append(series, t_ms, value), *expected, "{t_ms} {value}");
    appender.commit().unwrap();
}

#[test]
fn late_samples_are_refused_in_prometheus_words() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let a = put(&db, "__name__=a", &[(10_000_000, 1.0)]);
    check_append(&db, a, 10_000_000, 1.0, &Ok(()));
    let duplicate = AppendError::DuplicateTimestamp(Duplicate::of_float(10_000_000, 1.0, 2.0));
    check_append(&db, a, 10_000_000, 2.0, &Err(duplicate.clone()));
    let words = "duplicate sample for timestamp 10000000; overrides not allowed: existing 1, new value 2";
    assert_eq!(duplicate.to_string(), words);
    check_append(&db, a, 9_999_999, 1.0, &Err(AppendError::OutOfOrder));
    check_append(&db, a, 10_000_000 - 3_600_001, 1.0, &Err(AppendError::OutOfBounds));
    check_append(&db, SeriesRef(77), 10_000_000, 1.0, &Err(AppendError::UnknownSeries));
    check_append(&db, SeriesRef(a.0 | 1 << 32), 10_000_000, 1.0, &Err(AppendError::UnknownSeries));
    assert_eq!(read_all(&*db), [seen("__name__=a", &[(10_000_000, 1.0)])]);
    assert_eq!(
        db.appender().resolve(&Labels::empty()),
        Err(AppendError::InvalidLabels("empty labelset".into()))
    );
}

#[test]
fn a_batch_may_hold_several_samples_of_a_series_and_drops_late_ones_alone() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let mut appender = db.appender();
    let a = appender.resolve(&labels("__name__=a")).unwrap();
    let b = appender.resolve(&labels("__name__=b")).unwrap();
    for (series, t) in [(a, 1), (a, 3), (b, 9), (a, 2), (a, 3), (a, 4)] {
        appender.append(series, t, t as f64).unwrap();
    }
    appender.commit().unwrap();
    let expected = [seen("__name__=a", &[(1, 1.0), (3, 3.0), (4, 4.0)]), seen("__name__=b", &[(9, 9.0)])];
    assert_eq!(read_all(&*db), expected);
    drop(db);
    assert_eq!(read_all(&*open(dir.path())), expected, "the log holds what the head held");
}

/// Offers a zero at `start_ms` and then the sample itself.
fn put_with_zero(db: &Db, series: SeriesRef, start_ms: i64, t_ms: i64, value: f64) {
    let mut appender = db.appender();
    appender.append_start_zero(series, start_ms, t_ms, None).unwrap();
    appender.append(series, t_ms, value).unwrap();
    appender.commit().unwrap();
}

#[test]
fn the_zero_of_a_start_is_written_once_and_never_out_of_order() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open_late(dir.path(), 100_000);
    let a = db.appender().resolve(&labels("__name__=a")).unwrap();
    for (start_ms, t_ms) in
        [(5_000_000, 6_000_000), (5_000_000, 6_000_010), (6_000_020, 6_000_020), (6_000_025, 6_000_030)]
    {
        put_with_zero(&db, a, start_ms, t_ms, 7.0);
    }
    let b = db.appender().resolve(&labels("__name__=b")).unwrap();
    put_with_zero(&db, b, 6_000_030 - 3_600_001, 6_000_031, 7.0);
    let mut appender = db.appender();
    assert_eq!(appender.append_start_zero(SeriesRef(77), 1, 2, None), Err(AppendError::UnknownSeries));
    appender.rollback();
    let samples = [
        (5_000_000, 0.0),
        (6_000_000, 7.0),
        (6_000_010, 7.0),
        (6_000_020, 7.0),
        (6_000_025, 0.0),
        (6_000_030, 7.0),
    ];
    let expected = [seen("__name__=a", &samples), seen("__name__=b", &[(6_000_031, 7.0)])];
    assert_eq!(read_all(&*db), expected);
}

#[test]
fn the_zero_of_a_histogram_has_its_layout() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let mut appender = db.appender();
    let series = appender.resolve(&labels("__name__=h")).unwrap();
    let histogram =
        Histogram { schema: 3, zero_threshold: 0.5, zero_count: 2, count: 2, ..Histogram::default() };
    let histogram = HistogramRef::Int(&histogram);
    appender.append_start_zero(series, 5, 9, Some(histogram)).unwrap();
    appender.append_histogram_with_start(series, 5, 9, histogram).unwrap();
    appender.commit().unwrap();
    let querier = db.querier(0, 10).unwrap();
    let set = querier.select(&SelectHints::default(), &[]).unwrap();
    let mut batch = SampleBatch::default();
    set.read(0, 0, 10, &mut batch).unwrap();
    let got: Vec<_> = batch.histograms.iter().map(|h| (h.schema, h.zero_threshold, h.count)).collect();
    assert_eq!((batch.histogram_t_ms, got), (vec![5, 9], vec![(3, 0.5, 0.0), (3, 0.5, 2.0)]));
}

#[test]
fn a_rolled_back_batch_leaves_no_sample() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let mut appender = db.appender();
    let a = appender.resolve(&labels("__name__=a")).unwrap();
    appender.append(a, 5, 1.0).unwrap();
    appender.rollback();
    assert_eq!(read_all(&*db), []);
    put(&db, "__name__=a", &[(1, 1.0)]);
    drop(db);
    assert_eq!(read_all(&*open(dir.path())), [seen("__name__=a", &[(1, 1.0)])]);
}

#[track_caller]
fn check_select(db: &Db, matchers: &[&str], expected: &[&str]) {
    let matchers: Vec<_> = matchers.iter().map(|m| matcher(m)).collect();
    let got: Vec<String> =
        read(db, (i64::MIN, i64::MAX), &matchers).into_iter().map(|(labels, _)| labels).collect();
    let expected: Vec<String> = expected.iter().map(|s| labels(s).to_string()).collect();
    assert_eq!(got, expected, "{matchers:?}");
}

#[test]
fn matchers_treat_an_absent_label_as_empty() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let (a, ab, b, c) =
        ("__name__=up,job=a", "__name__=up,job=a,zone=x", "__name__=up,job=b,zone=y", "__name__=down");
    for series in [a, ab, b, c] {
        put(&db, series, &[(1, 1.0)]);
    }
    check_select(&db, &[], &[c, a, ab, b]);
    check_select(&db, &["__name__=up"], &[a, ab, b]);
    check_select(&db, &["__name__=up", "job!=a"], &[b]);
    check_select(&db, &["zone="], &[c, a]);
    check_select(&db, &["zone!="], &[ab, b]);
    check_select(&db, &["zone=~x|y"], &[ab, b]);
    check_select(&db, &["zone=~x|"], &[c, a, ab]);
    check_select(&db, &["zone!~x"], &[c, a, b]);
    check_select(&db, &["zone!~x|"], &[b]);
    check_select(&db, &["zone=~.*"], &[c, a, ab, b]);
    check_select(&db, &["zone=~.+", "job=~a.*"], &[ab]);
    check_select(&db, &["nope=x"], &[]);
    check_select(&db, &["nope!=x", "job=a"], &[a, ab]);
    check_select(&db, &["job=nope"], &[]);
    let querier = db.querier(0, 10).unwrap();
    assert_eq!(querier.label_names(&[], 0).unwrap(), ["__name__", "job", "zone"]);
    assert_eq!(querier.label_names(&[matcher("zone=")], 0).unwrap(), ["__name__", "job"]);
    assert_eq!(querier.label_values("job", &[], 1).unwrap(), ["a"]);
    assert_eq!(querier.label_values("zone", &[matcher("job=b")], 0).unwrap(), ["y"]);
    assert_eq!(db.querier(2, 10).unwrap().label_values("job", &[], 0).unwrap(), Vec::<String>::new());
}

/// Asked for the names or values of the last hour, Prometheus tells those of the whole head: series that ended before the range
/// were missing as soon as there was a matcher.
#[test]
fn names_and_values_are_those_of_the_whole_head_when_it_overlaps_the_range() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    put(&db, "__name__=mem,pod=old,gone=x", &[(1_000, 1.0)]);
    put(&db, "__name__=mem,pod=new", &[(5_000, 1.0)]);
    let querier = db.querier(4_000, 6_000).unwrap();
    let mem = [matcher("__name__=mem")];
    assert_eq!(querier.label_values("pod", &mem, 0).unwrap(), ["new", "old"]);
    assert_eq!(querier.label_names(&mem, 0).unwrap(), ["__name__", "gone", "pod"]);
    assert_eq!(querier.select(&SelectHints::default(), &mem).unwrap().len(), 1);
    let before = db.querier(0, 900).unwrap();
    assert_eq!(before.label_values("pod", &mem, 0).unwrap(), Vec::<String>::new());
}

#[test]
fn some_labels_of_a_series_are_a_part_of_all() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    put(&db, "__name__=up,job=a,zone=x", &[(1, 1.0)]);
    let set = db.querier(0, 10).unwrap().select(&SelectHints::default(), &[matcher("job=a")]).unwrap();
    let wanted = ["zone".to_owned(), "none".to_owned(), "job".to_owned()];
    assert_eq!(set.labels_named(0, &wanted), set.labels(0).keep(&wanted));
    assert_eq!(set.labels_named(0, &wanted), labels("job=a,zone=x"));
    assert_eq!(set.labels_named(0, &[]), narthex_model::Labels::empty());
}

/// Random label sets of several shapes against filtering and sorting them plainly; the large ones take the roads for many
/// symbols.
#[test]
fn selections_are_those_of_a_plain_filter_in_order() {
    let mut random = fastrand::Rng::with_seed(3);
    for count in [5, 60, 1500] {
        let dir = crate::scratch::tempdir().unwrap();
        let db = open(dir.path());
        let mut sets = std::collections::BTreeSet::new();
        let mut appender = db.appender();
        for _ in 0..count {
            let mut pairs = vec![("__name__".to_owned(), format!("m{}", random.u8(0..4)))];
            for label in ["a", "b", "c", "d"] {
                if random.bool() {
                    pairs.push((label.to_owned(), format!("v{}", random.u32(0..count))));
                }
            }
            let set = Labels::from_pairs(pairs);
            let series = appender.resolve(&set).unwrap();
            appender.append(series, 1, 1.0).unwrap();
            sets.insert(set);
        }
        appender.commit().unwrap();
        let all = [
            "__name__=m1",
            "a!=",
            "a=",
            "b=~v1.*",
            "b!~v.*2",
            "c=~v1|v2|v3|",
            "c!~v4|v5",
            "d!=v1",
            "d=~.+",
            "d=v2",
        ];
        for _ in 0..60 {
            let matchers: Vec<_> =
                (0..random.usize(0..4)).map(|_| matcher(random.choice(all).unwrap())).collect();
            let wanted = |set: &&Labels| matchers.iter().all(|m| m.matches(set.value(&m.name)));
            let expected: Vec<String> = sets.iter().filter(wanted).map(ToString::to_string).collect();
            let got: Vec<String> =
                read(&*db, (0, 9), &matchers).into_iter().map(|(labels, _)| labels).collect();
            assert_eq!(got, expected, "{matchers:?}");
            let querier = db.querier(0, 9).unwrap();
            let set = querier.select(&SelectHints::default(), &matchers).unwrap();
            check_label_sets(&*querier, &*set, &matchers);
            check_parts_of_labels(&*set);
        }
    }
}

/// One wish for all series, as a grouping asks, and then all wishes for each.
fn check_parts_of_labels(set: &dyn narthex_storage::SeriesSet) {
    let wishes = [&["a"][..], &["__name__", "c", "none"], &["a", "b", "c", "d"], &[]];
    let wishes = wishes.map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>());
    let check = |at: usize, wish: &[String]| {
        assert_eq!(set.labels_named(at, wish), set.labels(at).keep(wish));
        assert_eq!(set.labels_but(at, wish), set.labels(at).drop(wish));
    };
    for wish in &wishes {
        (0..set.len()).for_each(|at| assert_eq!(set.labels_named(at, wish), set.labels(at).keep(wish)));
        (0..set.len()).for_each(|at| assert_eq!(set.labels_but(at, wish), set.labels(at).drop(wish)));
    }
    (0..set.len()).for_each(|at| wishes.iter().for_each(|wish| check(at, wish)));
}

/// As in Prometheus, who does not need an order gets that in which series were created.
#[test]
fn where_any_order_will_do_it_is_that_of_creation() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let created = ["b", "a", "d", "c"].map(|name| format!("__name__={name}"));
    for series in &created {
        put(&db, series, &[(1, 1.0)]);
    }
    let found = |any_order, limit| -> Vec<String> {
        let hints = SelectHints { any_order, limit, ..SelectHints::default() };
        let set = db.querier(0, 9).unwrap().select(&hints, &[]).unwrap();
        (0..set.len()).map(|at| format!("__name__={}", set.labels(at).value("__name__"))).collect()
    };
    assert_eq!(found(true, 0), created);
    assert_eq!(found(true, 2), created[..2]);
    let mut sorted = created.clone();
    sorted.sort();
    assert_eq!(found(false, 0), sorted);
    for limit in [0, 2] {
        let mut listed = LabelSets::as_added();
        let hints = SelectHints { any_order: true, limit, ..SelectHints::default() };
        db.querier(0, 9).unwrap().label_sets(&hints, &[], &mut listed).unwrap();
        let listed = listed.listed();
        let names = (0..listed.len()).map(|at| format!("__name__={}", listed.labels(at).value("__name__")));
        assert_eq!(names.collect::<Vec<_>>(), found(true, limit));
    }
}

#[test]
fn a_range_bounds_series_and_samples() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let samples: Vec<(i64, f64)> = (0..1000).map(|i| (i * 15_000, i as f64)).collect();
    put(&db, "__name__=a", &samples[..600]);
    put(&db, "__name__=a", &samples[600..]);
    put(&db, "__name__=b", &[(14_000_000, 1.0)]);
    assert_eq!(read(&*db, (i64::MIN, i64::MAX), &[matcher("__name__=a")]), [seen("__name__=a", &samples)]);
    assert_eq!(read(&*db, (150_000, 900_000), &[]), [seen("__name__=a", &samples[10..=60])]);
    let hints = SelectHints { limit: 1, ..SelectHints::default() };
    assert_eq!(db.querier(0, i64::MAX).unwrap().select(&hints, &[]).unwrap().len(), 1);
}

#[test]
fn histograms_exemplars_and_metadata_are_kept() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let histogram = FloatHistogram { count: 2.0, zero_count: 2.0, ..FloatHistogram::default() };
    let exemplar = Exemplar { labels: labels("trace_id=x"), value: 1.5, t_ms: Some(7) };
    let metadata = Metadata { kind: MetricType::Counter, unit: "bytes".into(), help: "Sent.".into() };
    let mut appender = db.appender();
    let a = appender.resolve(&labels("__name__=a")).unwrap();
    appender.append(a, 1, 1.0).unwrap();
    appender.append_histogram(a, 2, HistogramRef::Float(&histogram)).unwrap();
    appender.append(a, 3, STALE_NAN).unwrap();
    appender.append(a, 4, 4.0).unwrap();
    appender.append_exemplar(a, &exemplar).unwrap();
    appender.update_metadata(a, &metadata).unwrap();
    appender.commit().unwrap();
    let check = |db: &Db| {
        let querier = db.querier(0, 10).unwrap();
        let set = querier.select(&SelectHints::default(), &[]).unwrap();
        let mut batch = SampleBatch::default();
        set.read(0, 0, 10, &mut batch).unwrap();
        assert_eq!((&*batch.t_ms, &*batch.histogram_t_ms), (&[1, 4][..], &[2, 3][..]));
        assert_eq!(*batch.histograms[0], histogram);
        assert!(narthex_model::is_stale(batch.histograms[1].sum));
        let found = db.exemplars(0, 10, &[vec![matcher("__name__=a")]]);
        assert_eq!(found[0].exemplars, std::slice::from_ref(&exemplar));
        assert_eq!(db.metadata(a).as_deref(), Some(&metadata));
    };
    check(&db);
    drop(db);
    check(&open(dir.path()));
}

#[test]
fn statistics_count_series_pairs_and_bytes() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    put(&db, "__name__=up,job=a", &[(1, 1.0)]);
    put(&db, "__name__=up,job=bb", &[(2, 1.0)]);
    put(&db, "__name__=x,job=bb", &[(3, 1.0)]);
    let stats = db.stats(2);
    assert_eq!((stats.series_count, stats.chunk_count, stats.label_pair_count), (3, 3, 4));
    assert_eq!((stats.min_ms, stats.max_ms), (1, 3));
    assert_eq!(stats.series_by_metric_name, [("up".into(), 2), ("x".into(), 1)]);
    assert_eq!(
        stats.bytes_by_label_name,
        [("__name__".into(), 5), ("job".into(), 5)].map(|p: (String, u64)| p)
    );
    assert_eq!(stats.series_by_label_pair.iter().map(|(_, n)| *n).collect::<Vec<_>>(), [2, 2]);
}
