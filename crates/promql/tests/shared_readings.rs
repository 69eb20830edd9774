//! What a query names in several places is decoded once, and nothing else shows that.
//!
//! Slow twin: the same query with a matcher more in its later places, which changes nothing but makes other selectors of them.
#![expect(clippy::unwrap_used, reason = "a test that cannot run its query fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use narthex_model::{Labels, Matcher};
use narthex_promql::engine::{Engine, EngineOptions, QueryOptions, QueryOutput, Severity};
use narthex_storage::{Querier, QueryError, Queryable, SampleBatch, SelectHints, SeriesSet};

const SERIES: usize = 12;
const INTERVAL_MS: i64 = 15_000;
const END_MS: i64 = 3_600_000;

/// Counters `x`, `y` and gauges `z`, with gaps and resets; counts how often a series is read.
#[derive(Clone)]
struct Counting {
    series: Vec<Labels>,
    reads: Arc<AtomicUsize>,
}

impl Counting {
    fn new(series: usize) -> Self {
        let label = |i: usize| {
            let name = ["x_total", "y_total", "z"][i % 3];
            Labels::from_pairs([("__name__", name.to_owned()), ("i", format!("{:05}", i / 3))])
        };
        let mut series: Vec<Labels> = (0..series).map(label).collect();
        series.sort();
        Self { series, reads: Arc::default() }
    }
}

impl Queryable for Counting {
    fn querier(&self, _: i64, _: i64) -> Result<Box<dyn Querier>, QueryError> {
        Ok(Box::new(self.clone()))
    }
}

impl Querier for Counting {
    fn select(&self, _: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet>, QueryError> {
        let fits = |l: &&Labels| matchers.iter().all(|m| m.matches(l.value(&m.name)));
        let series = self.series.iter().filter(fits).cloned().collect();
        Ok(Box::new(Self { series, reads: Arc::clone(&self.reads) }))
    }

    fn label_values(&self, _: &str, _: &[Matcher], _: usize) -> Result<Vec<String>, QueryError> {
        Ok(Vec::new())
    }

    fn label_names(&self, _: &[Matcher], _: usize) -> Result<Vec<String>, QueryError> {
        Ok(Vec::new())
    }
}

impl SeriesSet for Counting {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, at: usize) -> Labels {
        self.series[at].clone()
    }

    fn read(&self, at: usize, mint_ms: i64, maxt_ms: i64, out: &mut SampleBatch) -> Result<(), QueryError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let seed = self.series[at].as_packed().bytes().map(i64::from).sum::<i64>();
        let first = (mint_ms.max(0) + INTERVAL_MS - 1) / INTERVAL_MS;
        for n in (first..=maxt_ms / INTERVAL_MS).filter(|n| (n + seed) % 31 < 22) {
            out.push(n * INTERVAL_MS, ((n * 7 + seed) % 97) as f64 * 0.1);
        }
        Ok(())
    }
}

fn run(storage: &Counting, query: &str) -> (QueryOutput, usize) {
    let engine = Engine::new(EngineOptions { threads: 2, ..EngineOptions::default() });
    storage.reads.store(0, Ordering::Relaxed);
    let out = engine.range(storage, query, 600_000, END_MS, 60_000, &QueryOptions::default()).unwrap();
    (out, storage.reads.load(Ordering::Relaxed))
}

/// `query` holds `%` where the twin has a matcher more.
#[track_caller]
fn check(query: &str, reads: usize) {
    let storage = Counting::new(3 * SERIES);
    let (got, got_reads) = run(&storage, &query.replace('%', ""));
    let (twin, _) = run(&storage, &query.replace('%', "{nothing=\"\"}"));
    assert_eq!(format!("{:?}", got.value), format!("{:?}", twin.value), "{query}");
    assert_eq!(got.stats.samples.total_queryable, twin.stats.samples.total_queryable, "{query}");
    assert_eq!(got.stats.samples.read, twin.stats.samples.read, "{query}");
    assert!(got.stats.samples.peak <= twin.stats.samples.peak, "{query}");
    let count = |out: &QueryOutput| {
        let texts = |severity| out.annotations.texts(severity, query, 100).len();
        (texts(Severity::Warning), texts(Severity::Info))
    };
    assert_eq!(count(&got), count(&twin), "{query}");
    assert_eq!(got_reads, reads * SERIES, "{query}");
}

#[test]
fn equal_selectors_are_decoded_once_and_nothing_else_changes() {
    check("(x_total - on (i) y_total) / x_total%", 2);
    check("z + z% + z%", 1);
    check("sum(z) / count(z%)", 1);
    check("sum(z @ 1800) / count(z% @ 1800)", 1);
    check("z @ 1800 - z% @ 1800 + scalar(sum(z% @ 1800))", 1);
    check("topk(2, z) or bottomk(3, z%) or z%", 1);
    check("rate(x_total[5m]) / on (i) (rate(x_total%[5m]) + on (i) rate(y_total[5m]))", 2);
    check("histogram_quantile(0.5, z) or label_replace(z%, \"i\", \"$1\", \"i\", \"0*(.*)\") or z% > 3", 1);
}

#[test]
fn what_is_not_equal_is_read_again() {
    check("z - z% offset 1m", 2);
    check("rate(x_total[5m]) / rate(x_total%[10m])", 2);
    check("rate(x_total[5m]) - increase(x_total%[5m])", 2);
    check("quantile_over_time(0.1, z[5m]) + quantile_over_time(0.9, z%[5m])", 2);
    check("z + max_over_time(z%[2m:1m])", 2);
}

/// `rate` of a gauge tells at which place of the query it stands, at each of them.
#[test]
fn annotations_name_every_place() {
    check("rate(z[5m]) + rate(z%[5m])", 2);
}

#[test]
fn many_series_are_read_again_instead_of_kept() {
    let storage = Counting::new(3 * 20_000);
    let (_, reads) = run(&storage, "sum(z) / count(z)");
    assert_eq!(reads, 2 * 20_000);
}
