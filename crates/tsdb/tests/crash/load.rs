//! What the child writes: batch `i` is a function of `i` alone, so that the parent knows what must be there.
//!
//! Time is simulated: a batch a second of data time, as fast as it goes. Batches of floats, native histograms, late samples,
//! series that come, go stale and leave, one that is deleted.

use std::collections::BTreeMap;

use narthex_model::{FloatHistogram, Histogram, Labels, STALE_NAN, Span};
use narthex_storage::{AppendError, Appendable, CommitError, HistogramRef};
use narthex_tsdb::Db;

/// Data time of batch 0, ms; a multiple of every block range in use.
pub(super) const START_MS: i64 = 1_700_000_000_000 / RANGE_MS * RANGE_MS;
/// Data time between two batches, ms.
pub(super) const STEP_MS: i64 = 1_000;
/// Range of the smallest blocks, ms.
pub(super) const RANGE_MS: i64 = 60_000;
/// Window for late samples, ms.
pub(super) const WINDOW_MS: i64 = 45_000;

/// One sample: what it belongs to, when, and its value (of a histogram: its sum).
pub(super) struct Sample {
    pub(super) series: String,
    pub(super) t_ms: i64,
    pub(super) value: f64,
    pub(super) histogram: bool,
}

/// The series that is deleted again and again. What of it is there is not looked at.
pub(super) const DOOMED: &str = "doomed";

pub(super) fn time_of(batch: u64) -> i64 {
    START_MS + batch as i64 * STEP_MS
}

/// All samples of a batch.
pub(super) fn samples_of(batch: u64) -> Vec<Sample> {
    let t_ms = time_of(batch);
    let mut samples = Vec::new();
    let mut add = |series: String, t_ms: i64, value: f64, histogram: bool| {
        samples.push(Sample { series, t_ms, value, histogram });
    };
    for n in 0..12u64 {
        // A third constant, a third counting, a third noise.
        let value = match n % 3 {
            0 => n as f64,
            1 => (batch * (n + 1)) as f64,
            _ => (batch.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(n) >> 11) as f64,
        };
        add(format!("float_{n}"), t_ms, value, false);
    }
    for n in 0..4 {
        // Lives for 25 batches, ends with a staleness marker, and never comes again.
        add(format!("churn_{}_{n}", batch / 25), t_ms, batch as f64, false);
        if batch >= 25 && batch.is_multiple_of(25) {
            add(format!("churn_{}_{n}", batch / 25 - 1), t_ms, STALE_NAN, false);
        }
    }
    for n in 0..2 {
        add(format!("histogram_{n}"), t_ms, (batch * 3 + n) as f64, true);
    }
    if batch % 5 == 4 {
        // Late by up to 40 s, each moment once: between two steps.
        let late_ms = t_ms - (batch * 7 % 40) as i64 * STEP_MS + 1 + (batch % 997) as i64;
        add("late_0".to_owned(), late_ms, batch as f64, false);
        add("float_0".to_owned(), late_ms.min(t_ms - 1), batch as f64, false);
        add("late_histogram".to_owned(), late_ms, batch as f64, true);
    }
    if batch.is_multiple_of(5) {
        // What the late ones are late to.
        add("late_0".to_owned(), t_ms, batch as f64, false);
        add("late_histogram".to_owned(), t_ms, batch as f64, true);
    }
    add(DOOMED.to_owned(), t_ms, batch as f64, false);
    samples
}

/// What must be read after batches `0..count`: by series, the bits of the values by time. The first at a moment stays.
pub(super) fn expected(count: u64) -> BTreeMap<String, BTreeMap<i64, u64>> {
    let mut all = BTreeMap::<String, BTreeMap<i64, u64>>::new();
    for sample in (0..count).flat_map(samples_of) {
        all.entry(sample.series).or_default().entry(sample.t_ms).or_insert(sample.value.to_bits());
    }
    all
}

pub(super) fn labels(series: &str) -> Labels {
    Labels::from_pairs([("__name__", series), ("job", "crash"), ("instance", "localhost:1")])
}

/// An integer histogram with this sum; its buckets move with it.
pub(super) fn histogram(sum: f64) -> Histogram {
    let count = sum as u64 % 1000;
    Histogram {
        schema: 1,
        zero_threshold: 0.001,
        zero_count: 1,
        count: count + 1,
        sum,
        positive_spans: vec![Span { offset: (sum as i32 / 100) % 3, length: 1 }],
        positive_buckets: vec![count as i64],
        ..Histogram::default()
    }
}

/// Commits one batch.
pub(super) fn write(db: &Db, batch: u64) -> Result<(), String> {
    let mut appender = db.appender();
    for sample in samples_of(batch) {
        let series = appender.resolve(&labels(&sample.series)).map_err(|error| error.to_string())?;
        let appended = match sample.histogram {
            true => {
                appender.append_histogram(series, sample.t_ms, HistogramRef::Int(&histogram(sample.value)))
            }
            false => appender.append(series, sample.t_ms, sample.value),
        };
        match appended {
            // Two late samples of one moment: the first stays.
            Ok(()) | Err(AppendError::DuplicateTimestamp(_)) => {}
            Err(error) => return Err(format!("{} at {}: {error}", sample.series, sample.t_ms)),
        }
    }
    appender.commit().map_err(|error: CommitError| format!("commit of batch {batch}: {error:?}"))
}

/// The value that [`expected`] has for a histogram.
pub(super) fn value_of(histogram: &FloatHistogram) -> f64 {
    histogram.sum
}
