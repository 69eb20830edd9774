//! Functions drop metric names: what becomes alike is refused or put together, without making all rows first.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use narthex_model::{Labels, Matcher};
use narthex_promql::engine::{Engine, EngineOptions, QueryOptions, Value};
use narthex_storage::{Querier, QueryError, Queryable, SampleBatch, SelectHints, SeriesSet};

/// Series with the times at which they have samples, and how often one was read.
#[derive(Clone)]
struct Counted {
    series: Arc<Vec<(Labels, std::ops::Range<i64>)>>,
    reads: Arc<AtomicUsize>,
}

impl Counted {
    /// `a{i="0"}`, `b{i="0"}`, `a{i="1"}`, …; `times` says when a series has samples, a second apart.
    fn new(count: usize, times: impl Fn(&str, usize) -> std::ops::Range<i64>) -> Self {
        let series = ["a", "b"].iter().flat_map(|name| {
            let labels = |i: usize| Labels::from_pairs([("__name__", *name), ("i", &*format!("{i:04}"))]);
            (0..count).map(move |i| (*name, i, labels(i)))
        });
        let series = series.map(|(name, i, labels)| (labels, times(name, i))).collect();
        Self { series: Arc::new(series), reads: Arc::default() }
    }
}

impl Queryable for Counted {
    fn querier(&self, _: i64, _: i64) -> Result<Box<dyn Querier>, QueryError> {
        Ok(Box::new(self.clone()))
    }
}

impl Querier for Counted {
    fn select(&self, _: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet>, QueryError> {
        let fits = |(l, _): &&(Labels, _)| matchers.iter().all(|m| m.matches(l.value(&m.name)));
        let series = self.series.iter().filter(fits).cloned().collect();
        Ok(Box::new(Self { series: Arc::new(series), reads: Arc::clone(&self.reads) }))
    }

    fn label_values(&self, _: &str, _: &[Matcher], _: usize) -> Result<Vec<String>, QueryError> {
        Ok(Vec::new())
    }

    fn label_names(&self, _: &[Matcher], _: usize) -> Result<Vec<String>, QueryError> {
        Ok(Vec::new())
    }
}

impl SeriesSet for Counted {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, at: usize) -> Labels {
        self.series[at].0.clone()
    }

    fn read(&self, at: usize, mint_ms: i64, maxt_ms: i64, out: &mut SampleBatch) -> Result<(), QueryError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let times = self.series[at].1.clone().map(|s| s * 1000);
        times.filter(|t| (mint_ms..=maxt_ms).contains(t)).for_each(|t| out.push(t, t as f64));
        Ok(())
    }
}

const CLASH: &str = "vector cannot contain metrics with the same labelset";

/// Over 2 × `count` series at 100 s, 110 s, …, 200 s: the sum of the results with how many there are, or the error.
fn ask(storage: &Counted, threads: usize, query: &str) -> Result<(usize, f64), String> {
    let engine = Engine::new(EngineOptions { threads, ..EngineOptions::default() });
    let output = engine.range(storage, query, 100_000, 200_000, 10_000, &QueryOptions::default());
    match output.map_err(|e| e.to_string())?.value {
        Value::Matrix(m) => {
            let points = m.series.iter().flat_map(|s| s.floats().map(|(_, v)| v));
            Ok((m.series.len(), points.sum()))
        }
        _ => panic!("no matrix"),
    }
}

/// All 20,000 rows were made and kept before one look at their labels refused the query.
#[test]
fn a_clash_is_refused_at_the_first_two_rows() {
    for threads in [1, 2] {
        for query in
            ["count_over_time({__name__=~\"a|b\"}[1m])", "-{__name__=~\"a|b\"}", "sum(rate({i!=\"\"}[1m]))"]
        {
            let storage = Counted::new(10_000, |_, _| 0..200);
            assert_eq!(ask(&storage, threads, query), Err(CLASH.to_owned()), "{query}");
            let reads = storage.reads.load(Ordering::Relaxed);
            assert!(reads <= 2_000, "{query} read {reads} of 20000 series with {threads} threads");
        }
    }
}

/// A metric that was renamed: no series has samples under both names.
#[test]
fn rows_that_do_not_meet_are_one_and_each_is_made_once() {
    let renamed = |name: &str, i: usize| match (name, i) {
        ("a", 3) => 0..150,
        ("b", 3) => 160..200,
        ("a", _) => 0..200,
        _ => 0..0,
    };
    for threads in [1, 2] {
        let storage = Counted::new(500, renamed);
        let negated = "-last_over_time({__name__=~\"a|b\"}[5s])";
        let (series, sum) = ask(&storage, threads, negated).unwrap();
        assert_eq!(series, 500);
        // At 200 s the newest sample is of 199 s; the renamed one misses the sample of 150 s, and has the one before it.
        let one = (10..=19).map(|t| f64::from(t) * 10_000.0).sum::<f64>() + 199_000.0;
        assert_eq!(-sum, 500.0 * one - 1000.0);
        assert_eq!(storage.reads.load(Ordering::Relaxed), 1000, "each series is read once");
        // A function that refuses any two, at whatever steps.
        assert_eq!(ask(&storage, threads, "rate({__name__=~\"a|b\"}[1m])"), Err(CLASH.to_owned()));
        assert_eq!(ask(&storage, threads, "rate({__name__=~\"a|b\",i!=\"0003\"}[1m])").unwrap().0, 499);
    }
}
