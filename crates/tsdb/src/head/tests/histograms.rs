//! Histograms in the head: chunks, the hints that readers get, start timestamps of samples of all kinds; after a restart too.

use narthex_chunks::FloatEncoding;
use narthex_model::{CounterResetHint, FloatHistogram, Histogram, Span};
use narthex_storage::{
    AppendError, Appendable, Duplicate, HistogramRef, Queryable, SampleBatch, SelectHints,
};
use narthex_wal::{Compression, WalMetrics, WalOptions, Writer, record};

use super::*;
use crate::{DbError, OpenError};

/// A histogram with these counts in neighbouring buckets.
fn histogram(hint: CounterResetHint, counts: &[u64]) -> Histogram {
    let mut before = 0;
    let deltas = counts.iter().map(|count| *count as i64 - std::mem::replace(&mut before, *count as i64));
    Histogram {
        counter_reset_hint: hint,
        schema: 1,
        count: counts.iter().sum(),
        sum: 0.5,
        positive_spans: vec![Span { offset: 1, length: counts.len() as u32 }],
        positive_buckets: deltas.collect(),
        ..Histogram::default()
    }
}

fn read_batch(db: &Db, series: &str) -> SampleBatch {
    let matchers: Vec<Matcher> = series.split(',').map(matcher).collect();
    let querier = db.querier(i64::MIN, i64::MAX).unwrap();
    let set = querier.select(&SelectHints::default(), &matchers).unwrap();
    let mut batch = SampleBatch::default();
    (0..set.len()).for_each(|at| set.read(at, i64::MIN, i64::MAX, &mut batch).unwrap());
    batch
}

/// Timestamp, count and hint of each histogram of a series.
fn hints(db: &Db, series: &str) -> Vec<(i64, f64, CounterResetHint)> {
    let batch = read_batch(db, series);
    let histograms = batch.histogram_t_ms.iter().zip(&batch.histograms);
    histograms.map(|(t, h)| (*t, h.count, h.counter_reset_hint)).collect()
}

use CounterResetHint::{Gauge, NotReset, Reset, Unknown};

#[test]
fn readers_get_the_hints_of_chunks_before_and_after_a_restart() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let samples = [
        histogram(Unknown, &[1]),
        histogram(Unknown, &[2, 1]),
        histogram(NotReset, &[2, 2]),
        // A count falls, then the sender says that it did.
        histogram(Unknown, &[1, 2]),
        histogram(Reset, &[9, 9]),
        histogram(Unknown, &[9, 10]),
        histogram(Gauge, &[3, 3]),
        histogram(Gauge, &[1, 0]),
    ];
    for (series, floats) in [("__name__=ints", false), ("__name__=floats", true)] {
        let mut appender = db.appender();
        let series = appender.resolve(&labels(series)).unwrap();
        for (at, int) in samples.iter().enumerate() {
            let float = int.to_float();
            let value = if floats { HistogramRef::Float(&float) } else { HistogramRef::Int(int) };
            appender.append_histogram(series, at as i64, value).unwrap();
        }
        appender.commit().unwrap();
    }
    let expected = [
        (0, 1.0, Unknown),
        (1, 3.0, NotReset),
        (2, 4.0, NotReset),
        (3, 3.0, Unknown),
        (4, 18.0, Unknown),
        (5, 19.0, NotReset),
        (6, 6.0, Gauge),
        (7, 1.0, Gauge),
    ];
    assert_eq!(hints(&db, "__name__=ints"), expected);
    assert_eq!(hints(&db, "__name__=floats"), expected);
    drop(db);
    let db = open(dir.path());
    assert_eq!(hints(&db, "__name__=ints"), expected);
    assert_eq!(hints(&db, "__name__=floats"), expected);
}

#[test]
fn the_newest_histogram_may_come_twice_but_not_otherwise() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let put = |histogram: &Histogram| {
        let mut appender = db.appender();
        let series = appender.resolve(&labels("__name__=h")).unwrap();
        let taken = appender.append_histogram(series, 7, HistogramRef::Int(histogram));
        appender.commit().unwrap();
        taken
    };
    assert_eq!(put(&histogram(Unknown, &[1, 2])), Ok(()));
    assert_eq!(put(&histogram(Unknown, &[1, 2])), Ok(()));
    assert_eq!(put(&histogram(Unknown, &[2, 1])), Err(AppendError::DuplicateTimestamp(Duplicate::UNTOLD)));
    assert_eq!(hints(&db, "__name__=h").len(), 1);
}

#[test]
fn series_that_end_with_a_histogram_are_counted_with_its_buckets() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    put(&db, "__name__=float", &[(1, 1.0)]);
    let newest = || {
        let newest = db.head().newest();
        (newest.stale, newest.histograms, newest.buckets)
    };
    assert_eq!(newest(), (0, 0, 0));
    let mut appender = db.appender();
    let series = appender.resolve(&labels("__name__=h")).unwrap();
    let int = histogram(Unknown, &[1, 2]);
    appender.append_histogram(series, 1, HistogramRef::Int(&int)).unwrap();
    appender.commit().unwrap();
    assert_eq!(newest(), (0, 1, 2));
    let mut appender = db.appender();
    appender.append_stale(series, 2).unwrap();
    appender.commit().unwrap();
    assert_eq!(newest(), (1, 1, 2), "a marker carries the buckets on");
    put(&db, "__name__=h", &[(3, 1.0)]);
    assert_eq!(newest(), (0, 0, 0));
}

fn with_starts() -> DbOptions {
    let runtime = RuntimeOptions { float_chunks: FloatEncoding::Xor2, ..RuntimeOptions::default() };
    DbOptions {
        runtime,
        start_timestamps: true,
        histogram_start_chunks: true,
        manual_maintenance: true,
        ..DbOptions::default()
    }
}

/// Adds 300 samples of three kinds; the counter of each starts anew every 100 samples.
fn put_with_starts(db: &Db) {
    for t_ms in 1..=300i64 {
        let (start_ms, count) = (t_ms - t_ms % 100, (t_ms % 100) as u64);
        let int = histogram(Unknown, &[count, 1]);
        let mut appender = db.appender();
        for kind in ["float", "int", "float_histogram"] {
            let series = appender.resolve(&labels(&format!("__name__=m,kind={kind}"))).unwrap();
            let done = match kind {
                "float" => appender.append_with_start(series, start_ms, t_ms, count as f64),
                "int" => {
                    appender.append_histogram_with_start(series, start_ms, t_ms, HistogramRef::Int(&int))
                }
                _ => {
                    let float = int.to_float();
                    appender.append_histogram_with_start(series, start_ms, t_ms, HistogramRef::Float(&float))
                }
            };
            done.unwrap();
        }
        appender.commit().unwrap();
    }
}

#[test]
fn start_timestamps_are_kept_and_come_back() {
    let dir = crate::scratch::tempdir().unwrap();
    let starts: Vec<i64> = (1..=300i64).map(|t_ms| t_ms - t_ms % 100).collect();
    for restarted in [false, true] {
        let db = Db::open(dir.path(), with_starts(), &Registry::new()).unwrap();
        if !restarted {
            put_with_starts(&db);
        }
        let floats = read_batch(&db, "kind=float");
        assert_eq!((floats.t_ms.len(), &floats.start_ms), (300, &starts));
        for kind in ["kind=int", "kind=float_histogram"] {
            let batch = read_batch(&db, kind);
            assert_eq!((batch.histogram_t_ms.len(), &batch.histogram_start_ms), (300, &starts), "{kind}");
        }
    }
}

#[test]
fn start_timestamps_are_dropped_unless_they_are_wanted() {
    let dir = crate::scratch::tempdir().unwrap();
    for _ in 0..2 {
        let db = open(dir.path());
        if read_all(&*db).is_empty() {
            put_with_starts(&db);
        }
        let batch = read_batch(&db, "__name__=m");
        assert_eq!((batch.t_ms.len(), batch.histogram_t_ms.len()), (300, 600));
        assert!(batch.start_ms.is_empty() && batch.histogram_start_ms.is_empty());
    }
}

#[test]
fn xor_cannot_be_chosen_where_start_timestamps_are_stored() {
    let dir = crate::scratch::tempdir().unwrap();
    let xor = DbOptions { runtime: RuntimeOptions::default(), ..with_starts() };
    let refused = Db::open(dir.path(), xor, &Registry::new()).map(drop);
    assert!(matches!(refused, Err(OpenError::XorWithStartTimestamps)));
    let db = Db::open(dir.path(), with_starts(), &Registry::new()).unwrap();
    let refused = db.apply(&RuntimeOptions::default());
    assert!(matches!(refused, Err(DbError::XorWithStartTimestamps)));
}

#[test]
fn the_encoding_of_floats_changes_while_the_database_runs() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    for (from, float_chunks) in
        [(0, FloatEncoding::Xor), (200, FloatEncoding::Xor2), (600, FloatEncoding::Xor)]
    {
        db.apply(&RuntimeOptions { float_chunks, ..RuntimeOptions::default() }).unwrap();
        let samples: Vec<_> = (from..from + 200).map(|t_ms| (t_ms, (t_ms % 7) as f64)).collect();
        put(&db, "__name__=m", &samples);
    }
    let times = (0..400).chain(600..800).map(|t_ms| (t_ms, (t_ms % 7) as f64));
    assert_eq!(read_all(&*db), [seen("__name__=m", &times.collect::<Vec<_>>())]);
}

#[test]
fn a_histogram_of_the_log_that_contradicts_itself_is_left_out() {
    let dir = crate::scratch::tempdir().unwrap();
    drop(open(dir.path()));
    let wrong =
        Histogram { positive_spans: vec![Span { offset: 0, length: u32::MAX }], ..histogram(Unknown, &[1]) };
    let right = FloatHistogram { count: 1.0, zero_count: 1.0, ..FloatHistogram::default() };
    let metrics = WalMetrics::for_wal(&Registry::new(), Compression::None);
    let mut writer = Writer::open(&dir.path().join("wal"), WalOptions::default(), metrics).unwrap();
    let series = SeriesRef(1);
    let mut records = [Vec::new(), Vec::new(), Vec::new()];
    let named = labels("__name__=h");
    record::encode_series([(series, &named)], &mut records[0]);
    let wrong = record::HistogramSample { series, t_ms: 1, start_ms: 0, histogram: &wrong };
    record::encode_histograms(&[wrong], &mut records[1], |_| {});
    let right = record::HistogramSample { series, t_ms: 2, start_ms: 0, histogram: &right };
    record::encode_float_histograms(&[right], &mut records[2], |_| {});
    writer.log(&records.each_ref().map(|record| &record[..])).unwrap();
    writer.close().unwrap();
    assert_eq!(hints(&open(dir.path()), "__name__=h"), [(2, 1.0, Unknown)]);
}
