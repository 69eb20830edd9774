//! Random data, and how the twin sees it: per series a list of samples in order of time.

use narthex_model::{
    CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Labels, STALE_NAN, Span, is_stale,
};
use narthex_promql::script::MemoryStorage;
use narthex_promql::series_desc::SeriesValue;
use narthex_storage::{Queryable, SampleBatch, SelectHints};

use super::histogram::Hist;
use super::random::Random;

/// A value of either kind.
#[derive(Clone, Debug)]
pub(crate) enum Val {
    F(f64),
    H(Hist),
}

/// One stored sample; `start_ms` is 0 for unknown.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub t_ms: i64,
    pub start_ms: i64,
    pub value: Val,
}

impl Stored {
    pub(crate) fn is_stale(&self) -> bool {
        match &self.value {
            Val::F(v) => is_stale(*v),
            Val::H(h) => is_stale(h.sum),
        }
    }
}

/// One series.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub labels: Labels,
    pub samples: Vec<Stored>,
}

/// The last time at which data may lie, ms.
pub(crate) const END_MS: i64 = 600_000;

/// Everything that a storage holds, as it hands it out.
pub(crate) fn read_all(storage: &MemoryStorage) -> Vec<Series> {
    let querier = storage.querier(i64::MIN, i64::MAX).unwrap();
    let set = querier.select(&SelectHints::default(), &[]).unwrap();
    let read = |at: usize| {
        let mut batch = SampleBatch::default();
        set.read(at, i64::MIN, i64::MAX, &mut batch).unwrap();
        let start = |starts: &[i64], i: usize| starts.get(i).copied().unwrap_or(0);
        let floats = batch.t_ms.iter().zip(&batch.values).enumerate();
        let mut samples: Vec<Stored> = floats
            .map(|(i, (t, v))| Stored { t_ms: *t, start_ms: start(&batch.start_ms, i), value: Val::F(*v) })
            .collect();
        for (i, (t, h)) in batch.histogram_t_ms.iter().zip(&batch.histograms).enumerate() {
            let value = Val::H(Hist::from(&**h));
            samples.push(Stored { t_ms: *t, start_ms: start(&batch.histogram_start_ms, i), value });
        }
        samples.sort_by_key(|s| s.t_ms);
        Series { labels: set.labels(at), samples }
    };
    (0..set.len()).map(read).collect()
}

/// The metrics of the random data, each with what it is for.
///
/// `f`: floats of all kinds, some series end or have gaps. `c_total`: counters with resets, some with start times. `u`: floats
/// that are never equal to each other. `one`: at most one series a `g`. `h`, `h_gauge`: histograms with exponential buckets. `n`: with custom
/// ones. `m`: floats and histograms in turn. `b_bucket`: classic histograms.
pub(crate) fn random_storage(random: &mut Random, with_starts: bool) -> MemoryStorage {
    let mut storage = MemoryStorage::new();
    let mut add = |pairs: &[(&str, &str)], samples: Vec<(i64, i64, SeriesValue)>| {
        let labels = Labels::from_pairs(pairs.iter().copied());
        samples.iter().for_each(|(t, start, value)| storage.add(&labels, *t, value, *start));
    };
    for g in ["a", "b"] {
        for i in ["1", "2", "3"] {
            add(&[("__name__", "f"), ("g", g), ("i", i)], floats(random, any_float));
            let counter = counter(random, with_starts);
            add(&[("__name__", "c_total"), ("g", g), ("i", i), ("job", "x")], counter);
            let offset = f64::from(i.as_bytes()[0]) / 64.0 + f64::from(g.as_bytes()[0]) / 1024.0;
            let unique = |random: &mut Random| random.below(40) as f64 - 20.0 + offset;
            add(&[("__name__", "u"), ("g", g), ("i", i)], floats(random, unique));
        }
        for i in ["1", "2"] {
            let custom = random.chance(5);
            add(&[("__name__", "h"), ("g", g), ("i", i)], histograms(random, false, custom, with_starts));
            add(&[("__name__", "h_gauge"), ("g", g), ("i", i)], histograms(random, true, false, false));
            add(&[("__name__", "n"), ("g", g), ("i", i)], histograms(random, false, true, false));
            let mut mixed = histograms(random, false, false, with_starts);
            mixed.extend(floats(random, any_float));
            add(&[("__name__", "m"), ("g", g), ("i", i)], mixed);
        }
        if random.chance(80) {
            add(&[("__name__", "one"), ("g", g), ("x", "y"), ("unit", g)], floats(random, any_float));
        }
        add_classic(random, g, &mut add);
    }
    storage
}

fn add_classic(
    random: &mut Random,
    g: &str,
    add: &mut impl FnMut(&[(&str, &str)], Vec<(i64, i64, SeriesValue)>),
) {
    let times = times(random);
    // Cumulative twice: over the bounds, and over time.
    let mut counts = vec![[0.0; 4]];
    for _ in &times {
        let (mut next, mut below) = (counts[counts.len() - 1], 0.0);
        for count in &mut next {
            below += random.below(4) as f64;
            *count += below;
        }
        counts.push(next);
    }
    for (le, bound) in ["0.5", "1", "2.5", "+Inf"].iter().enumerate() {
        let broken = random.chance(5);
        let value = |at: usize| if broken { 1.0 } else { counts[at + 1][le] };
        let samples = (0..times.len()).map(|at| (times[at], 0, SeriesValue::Float(value(at)))).collect();
        add(&[("__name__", "b_bucket"), ("g", g), ("le", bound)], samples);
    }
    if random.chance(10) {
        add(&[("__name__", "b_bucket"), ("g", g)], histograms(random, false, false, false));
    }
    if random.chance(10) {
        add(&[("__name__", "b_bucket"), ("g", g), ("le", "wide")], floats(random, any_float));
    }
}

/// Sample times: about every 15 s, now and then late, with gaps.
fn times(random: &mut Random) -> Vec<i64> {
    let (mut t, mut times) = (random.below(100_000) as i64, Vec::new());
    let end = if random.chance(25) { random.below(END_MS as u64) as i64 } else { END_MS };
    let jitter = if random.chance(50) { 1 } else { 4_000 };
    while t < end {
        times.push(t);
        t += 13_000 + random.below(jitter) as i64 + 2_000;
        if random.chance(8) {
            t += random.below(150_000) as i64;
        }
    }
    times
}

fn any_float(random: &mut Random) -> f64 {
    match random.below(40) {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => f64::NEG_INFINITY,
        3 => 1e300,
        4 => -0.0,
        5..10 => random.below(1_000_000) as f64 / 1024.0 - 300.0,
        _ => random.below(21) as f64 - 6.0,
    }
}

type Samples = Vec<(i64, i64, SeriesValue)>;

fn floats(random: &mut Random, mut value: impl FnMut(&mut Random) -> f64) -> Samples {
    let mut next = |random: &mut Random| if random.chance(3) { STALE_NAN } else { value(random) };
    times(random).into_iter().map(|t| (t, 0, SeriesValue::Float(next(random)))).collect()
}

/// The start of a counter at a sample: unknown, at its beginning, or now and then somewhere odd.
fn start_ms(random: &mut Random, began: i64, before: i64, t: i64) -> i64 {
    match random.below(12) {
        0 => 0,
        1 => t,
        2 => before,
        3 => before - 5_000,
        4 => t + 1_000,
        _ => began,
    }
}

fn counter(random: &mut Random, with_starts: bool) -> Samples {
    let (mut total, mut began, mut before) = (random.below(50) as f64, 1, 0);
    let with_starts = with_starts && random.chance(70);
    let mut samples = Vec::new();
    for t in times(random) {
        if random.chance(6) {
            (total, began) = (0.0, t - 1_000);
        }
        total += random.below(9) as f64;
        let start = if with_starts { start_ms(random, began, before, t) } else { 0 };
        let value = if random.chance(2) { STALE_NAN } else { total };
        samples.push((t, start, SeriesValue::Float(value)));
        before = t;
    }
    samples
}

fn histograms(random: &mut Random, is_gauge: bool, custom: bool, with_starts: bool) -> Samples {
    let mut samples = Samples::new();
    let (mut began, mut before) = (1, 0);
    let mut current = empty_histogram(random, custom);
    let with_starts = with_starts && random.chance(70);
    for t in times(random) {
        if random.chance(8) || is_gauge {
            (current, began) = (empty_histogram(random, custom), t - 1_000);
        }
        grow(random, &mut current);
        let mut h = current.clone();
        if is_gauge {
            h.counter_reset_hint = CounterResetHint::Gauge;
        }
        if random.chance(3) {
            h = FloatHistogram { sum: STALE_NAN, ..FloatHistogram::default() };
        }
        let start = if with_starts { start_ms(random, began, before, t) } else { 0 };
        samples.push((t, start, SeriesValue::Histogram { histogram: Box::new(h), hint_given: false }));
        before = t;
    }
    samples
}

fn empty_histogram(random: &mut Random, custom: bool) -> FloatHistogram {
    let mut h = FloatHistogram::default();
    if custom {
        h.schema = CUSTOM_BUCKETS_SCHEMA;
        h.custom_values = random.pick(&[&[1.0, 2.0, 5.0][..], &[1.0, 5.0, 10.0], &[-1.0, 0.0, 2.0]]).to_vec();
        h.positive_spans = vec![Span { offset: 0, length: 4 }];
        h.positive_buckets = vec![0.0; 4];
        return h;
    }
    h.schema = *random.pick(&[0, 0, 0, 1, 3]);
    h.zero_threshold = *random.pick(&[0.001, 0.001, 0.001, 0.5, 2.0]);
    let low = if h.zero_threshold > 1.0 { 4 << h.schema } else { random.below(4) as i32 };
    h.positive_spans = vec![Span { offset: low, length: 2 }, Span { offset: 3, length: 1 }];
    h.positive_buckets = vec![0.0; 3];
    if random.chance(40) {
        h.negative_spans = vec![Span { offset: low + 1, length: 2 }];
        h.negative_buckets = vec![0.0; 2];
    }
    h
}

fn grow(random: &mut Random, h: &mut FloatHistogram) {
    let mut added = 0.0;
    for bucket in h.positive_buckets.iter_mut().chain(&mut h.negative_buckets) {
        let more = random.below(4) as f64;
        *bucket += more;
        added += more;
    }
    if h.schema != CUSTOM_BUCKETS_SCHEMA {
        let more = random.below(3) as f64;
        h.zero_count += more;
        added += more;
    }
    h.count += added;
    h.sum += random.below(64) as f64 / 8.0;
    if random.chance(1) {
        h.sum = f64::NAN;
    }
}
