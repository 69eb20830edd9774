//! Replay against a plain twin that applies the log entry by entry, and what becomes of series whose references are odd.

use std::collections::BTreeMap;
use std::path::Path;

use narthex_metrics::Registry;
use narthex_model::{Histogram, Labels};
use narthex_storage::{Appendable, Queryable, SampleBatch, SelectHints, SeriesRef};
use narthex_wal::record::{self, HistogramSample, RefSample, Tombstone};
use narthex_wal::{Compression, WalMetrics, WalOptions, Writer};

use super::ReplayError;
use super::worker::Workers;
use crate::head::tests::{labels, matcher, open, put, read, read_all, seen};

/// Samples by label set and time: a float's bits, or a histogram's count as float.
type Store = BTreeMap<String, BTreeMap<i64, u64>>;

/// The twin: no batches, no threads, no references but a map.
#[derive(Default)]
struct Twin {
    names: BTreeMap<u64, String>,
    newest_ms: BTreeMap<String, i64>,
    store: Store,
}

impl Twin {
    fn add(&mut self, series: u64, t_ms: i64, bits: u64) {
        let Some(name) = self.names.get(&series) else { return };
        let newest_ms = self.newest_ms.entry(name.clone()).or_insert(i64::MIN);
        if *newest_ms < t_ms {
            *newest_ms = t_ms;
            self.store.entry(name.clone()).or_default().insert(t_ms, bits);
        }
    }

    fn delete(&mut self, series: u64, (mint_ms, maxt_ms): (i64, i64)) {
        let samples = self.names.get(&series).and_then(|name| self.store.get_mut(name));
        let Some(samples) = samples else { return };
        samples.retain(|t, _| !(mint_ms..=maxt_ms).contains(t));
    }
}

/// A log of hand-made records.
struct Log {
    writer: Writer,
    twin: Twin,
}

impl Log {
    fn begin(dir: &Path) -> Self {
        let metrics = WalMetrics::for_wal(&Registry::new(), Compression::Snappy);
        Self {
            writer: Writer::open(&dir.join("wal"), WalOptions::default(), metrics).unwrap(),
            twin: Twin::default(),
        }
    }

    fn record(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        encode(&mut bytes);
        self.writer.log(&[&bytes]).unwrap();
    }

    fn series(&mut self, series: &[(u64, String)]) {
        let sets: Vec<(SeriesRef, Labels)> = series.iter().map(|(r, l)| (SeriesRef(*r), labels(l))).collect();
        self.record(|out| record::encode_series(sets.iter().map(|(r, l)| (*r, l)), out));
        self.twin.names.extend(series.iter().map(|(r, l)| (*r, labels(l).to_string())));
    }

    fn floats(&mut self, samples: &[(u64, i64, f64)]) {
        let of = |(r, t_ms, value): &(u64, i64, f64)| RefSample {
            series: SeriesRef(*r),
            t_ms: *t_ms,
            start_ms: 0,
            value: *value,
        };
        let all: Vec<RefSample> = samples.iter().map(of).collect();
        self.record(|out| record::encode_samples(&all, out));
        samples.iter().for_each(|(r, t_ms, value)| self.twin.add(*r, *t_ms, value.to_bits()));
    }

    fn histogram(&mut self, series: u64, t_ms: i64) {
        let count = t_ms.unsigned_abs();
        let histogram = Histogram { count, zero_count: count, ..Histogram::default() };
        let sample = HistogramSample { series: SeriesRef(series), t_ms, start_ms: 0, histogram: &histogram };
        self.record(|out| record::encode_histograms(&[sample], out, |_| {}));
        self.twin.add(series, t_ms, (count as f64).to_bits());
    }

    fn delete(&mut self, series: u64, (mint_ms, maxt_ms): (i64, i64)) {
        let tombstone = Tombstone { series: SeriesRef(series), mint_ms, maxt_ms };
        self.record(|out| record::encode_tombstones(&[tombstone], out));
        self.twin.delete(series, (mint_ms, maxt_ms));
    }
}

fn store_of(db: &dyn Queryable) -> Store {
    let querier = db.querier(i64::MIN, i64::MAX).unwrap();
    let set = querier.select(&SelectHints::default(), &[matcher("__name__=~.+")]).unwrap();
    let mut store = Store::new();
    for at in 0..set.len() {
        let mut batch = SampleBatch::default();
        set.read(at, i64::MIN, i64::MAX, &mut batch).unwrap();
        let floats = batch.t_ms.iter().copied().zip(batch.values.iter().map(|v| v.to_bits()));
        let counts = batch.histograms.iter().map(|h| h.count.to_bits());
        let samples: BTreeMap<i64, u64> =
            floats.chain(batch.histogram_t_ms.iter().copied().zip(counts)).collect();
        if !samples.is_empty() {
            store.insert(set.labels(at).to_string(), samples);
        }
    }
    store
}

/// References of a log: mostly dense, some far away, some a second one for labels that have one.
fn reference(n: u64, random: &mut fastrand::Rng) -> u64 {
    match random.u8(..20) {
        0 => 3_000_000_000_000 + n,
        1 => 1 << 32 | n,
        2 => 50_000_000 + n,
        _ => n,
    }
}

/// A log of some 700 series in which every kind of entry follows every other, samples come late and twice, and one record has
/// more samples of a page than a load takes.
fn random_log(log: &mut Log, random: &mut fastrand::Rng) {
    let mut known: Vec<u64> = Vec::new();
    for round in 0..90i64 {
        let fresh: Vec<(u64, String)> = (0..random.u64(0..30))
            .map(|_| {
                let n = 1 + known.len() as u64;
                let series = reference(n, random);
                known.push(series);
                // Some label sets come twice.
                let name = if random.u8(..10) == 0 { random.u64(1..=n) } else { n };
                (series, format!("__name__=m,n={name},job=j{}", n / 100))
            })
            .collect();
        if !fresh.is_empty() {
            log.series(&fresh);
        }
        let mut samples = Vec::new();
        for series in &known {
            if random.u8(..10) == 0 {
                continue;
            }
            let t_ms = round * 1000 + if random.u8(..10) == 0 { random.i64(-3000..3000) } else { 0 };
            samples.push((*series, t_ms, if random.bool() { 1.0 } else { random.f64() }));
        }
        if round % 7 == 0 {
            random.shuffle(&mut samples);
        }
        if !samples.is_empty() {
            log.floats(&samples);
        }
        for _ in 0..random.u8(..6) {
            let Some(series) = random.choice(&known).copied() else { break };
            match random.u8(..3) {
                0 => log.delete(series, (random.i64(..round * 1000 + 1), random.i64(..round * 1500 + 1))),
                _ => log.histogram(series, round * 1000 + random.i64(0..2000)),
            }
        }
    }
}

/// Would have caught a load that brings entries of different kinds into another order, forgets some, or mixes two series.
#[test]
fn a_replay_gives_what_the_log_says_entry_by_entry() {
    for seed in 0..4 {
        let dir = crate::scratch::tempdir().unwrap();
        let mut log = Log::begin(dir.path());
        random_log(&mut log, &mut fastrand::Rng::with_seed(seed));
        let deep: Vec<(u64, i64, f64)> =
            (0..6000).map(|i| (1 + i % 7, 1_000_000 + i as i64, i as f64)).collect();
        log.floats(&deep);
        log.writer.close().unwrap();
        let mut expected = log.twin.store;
        expected.retain(|_, samples| !samples.is_empty());
        for start in 0..2 {
            let got = store_of(&*open(dir.path()));
            for (series, samples) in &expected {
                assert_eq!(got.get(series), Some(samples), "{series}, seed {seed}, start {start}");
            }
            assert_eq!(got.len(), expected.len(), "seed {seed}, start {start}");
        }
    }
}

/// Series that could not stay where the log has them moved again at each start, one generation further each time, until their
/// references were above 2^40: Prometheus cannot read such a log, and a slot has no more generations.
#[test]
fn series_that_moved_once_stay_whatever_starts_there_are() {
    let dir = crate::scratch::tempdir().unwrap();
    let mut log = Log::begin(dir.path());
    let names = [
        (900_000_000_000, "a"),
        (70_000_000, "b"),
        (3, "c"),
        (1 << 32 | 3, "d"),
        (70_000_001, "c"),
        (70_001, "e"),
    ];
    log.series(&names.map(|(r, name)| (r, format!("__name__={name}"))));
    log.floats(&names.map(|(r, _)| (r, 1, 1.0)));
    log.writer.close().unwrap();
    let mut expected: Vec<Vec<(i64, f64)>> = vec![vec![(1, 1.0)]; 5];
    let mut after_first = Vec::new();
    for start in 0..20i64 {
        let db = open(dir.path());
        let found = read_all(&*db);
        let references: Vec<SeriesRef> = ["a", "b", "c", "d", "e"]
            .iter()
            .zip(&mut expected)
            .zip(&found)
            .map(|((name, samples), found)| {
                assert_eq!(*found, seen(&format!("__name__={name}"), samples), "start {start}");
                samples.push((start + 2, start as f64));
                put(&db, &format!("__name__={name}"), &[(start + 2, start as f64)])
            })
            .collect();
        assert!(references.iter().all(|series| series.0 < 1 << 40), "start {start}: {references:?}");
        if start == 0 {
            after_first = references;
        } else {
            assert_eq!(references, after_first, "start {start}");
        }
        // What is new does not take the place of what the log names.
        let fresh = put(&db, &format!("__name__=fresh{start}"), &[(start, 1.0)]);
        assert!(names.iter().all(|(series, _)| *series != fresh.0), "start {start}");
        expected.push(vec![(start, 1.0)]);
        expected.truncate(5);
    }
}

/// Samples of the first series went to the second at the start after next.
#[test]
fn a_reference_that_the_log_gives_to_two_label_sets_is_written_anew_for_the_first() {
    // Where nobody moves, where the second label set has a reference already, where both must move for a while.
    let shapes: [&[(u64, &str)]; 3] =
        [&[(5, "a"), (5, "b")], &[(5, "a"), (6, "b"), (5, "b")], &[(70_001, "a"), (70_001, "b")]];
    for shape in shapes {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::begin(dir.path());
        let mut expected = BTreeMap::from([("a", Vec::new()), ("b", Vec::new())]);
        for (t_ms, (series, name)) in shape.iter().enumerate() {
            log.series(&[(*series, format!("__name__={name}"))]);
            log.floats(&[(*series, t_ms as i64, 1.0)]);
            expected.get_mut(name).unwrap().push((t_ms as i64, 1.0));
        }
        // So many that the distance is none at the end.
        let filler: Vec<(u64, String)> = (100..3_000).map(|r| (r, format!("__name__=z,n={r}"))).collect();
        log.series(&filler);
        log.writer.close().unwrap();
        for start in 10..14 {
            let db = open(dir.path());
            for (name, samples) in &mut expected {
                let found = read(&*db, (i64::MIN, i64::MAX), &[matcher(&format!("__name__={name}"))]);
                assert_eq!(found, [seen(&format!("__name__={name}"), samples)], "{shape:?}, start {start}");
                put(&db, &format!("__name__={name}"), &[(start, 2.0)]);
                samples.push((start, 2.0));
            }
        }
    }
}

/// A panic on a worker's thread left a process that was never ready and did not say why.
#[test]
fn a_panic_of_a_worker_is_an_error_and_nobody_waits_for_it() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let head = db.head();
    // A page without series: whoever looks for one there panics.
    assert!(head.slab.take_at(5));
    let finished = std::thread::scope(|scope| {
        let mut workers = Workers::start(scope, head, 1);
        for t_ms in 0..1_000_000 {
            let sample = RefSample { series: SeriesRef(5), t_ms, start_ms: 0, value: 1.0 };
            workers.sample(5, &sample);
        }
        assert!(workers.ended());
        workers.finish()
    });
    let Err(error @ ReplayError::Panicked { .. }) = finished else { panic!("no error: {finished:?}") };
    assert!(error.to_string().contains("index out of bounds"), "{error}");
    assert!(db.appender().resolve(&labels("__name__=a")).is_ok());
}
