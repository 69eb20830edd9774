//! What a query charges to its account is what it takes from the allocator, within a factor, at the time when it holds most.
//!
//! The allocator of this test binary counts. Each shape runs once to warm up and once to be measured; one test runs them all, as
//! the counters belong to the process. Storage hands out label sets that it keeps itself, so that charging them counts
//! as too much, never as too little.
#![expect(clippy::unwrap_used, reason = "a test that cannot run its query fails")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use narthex_model::{Labels, Matcher};
use narthex_promql::engine::{Engine, EngineOptions, ErrorKind, QueryError, QueryOptions, QueryOutput};
use narthex_promql::parser::ParseOptions;
use narthex_storage::{Querier, Queryable, SampleBatch, SelectHints, SeriesSet};

/// Counts the bytes that live, and the most that ever did.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn add(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

#[expect(
    unsafe_code,
    reason = "an allocator that counts is the only exact measure; it hands on to the system's"
)]
// SAFETY: every call goes to `System` with the arguments as they came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SERIES: usize = 500;
const INTERVAL_MS: i64 = 15_000;
const HOURS: i64 = 2;

/// Series `x{i, job, le}`: a sample each 15 s, made when it is read.
#[derive(Clone)]
struct Plain(Arc<Vec<Labels>>);

impl Plain {
    fn new() -> Self {
        let series = (0..SERIES).map(|i| {
            Labels::from_pairs([
                ("__name__", "x".to_owned()),
                ("i", format!("{:04}", i / 10)),
                ("job", format!("job-{}", i % 3)),
                ("le", (i % 10).to_string()),
            ])
        });
        let mut series: Vec<Labels> = series.collect();
        series.sort();
        Self(Arc::new(series))
    }
}

impl Queryable for Plain {
    fn querier(&self, _: i64, _: i64) -> Result<Box<dyn Querier>, narthex_storage::QueryError> {
        Ok(Box::new(self.clone()))
    }
}

impl Querier for Plain {
    fn select(
        &self,
        _: &SelectHints,
        matchers: &[Matcher],
    ) -> Result<Box<dyn SeriesSet>, narthex_storage::QueryError> {
        let fits = |l: &&Labels| matchers.iter().all(|m| m.matches(l.value(&m.name)));
        Ok(Box::new(Self(Arc::new(self.0.iter().filter(fits).cloned().collect()))))
    }

    fn label_values(
        &self,
        _: &str,
        _: &[Matcher],
        _: usize,
    ) -> Result<Vec<String>, narthex_storage::QueryError> {
        Ok(Vec::new())
    }

    fn label_names(&self, _: &[Matcher], _: usize) -> Result<Vec<String>, narthex_storage::QueryError> {
        Ok(Vec::new())
    }
}

impl SeriesSet for Plain {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, at: usize) -> Labels {
        self.0[at].clone()
    }

    fn read(
        &self,
        at: usize,
        mint_ms: i64,
        maxt_ms: i64,
        out: &mut SampleBatch,
    ) -> Result<(), narthex_storage::QueryError> {
        let mut t_ms = (mint_ms.max(0) + INTERVAL_MS - 1) / INTERVAL_MS * INTERVAL_MS;
        while t_ms <= maxt_ms {
            out.push(t_ms, (t_ms / INTERVAL_MS * 7 + at as i64 * 13) as f64 % 97.0);
            t_ms += INTERVAL_MS;
        }
        Ok(())
    }
}

fn engine(threads: usize, max_query_bytes: u64, max_total_bytes: u64) -> Engine {
    let mut options = EngineOptions { threads, max_query_bytes, max_total_bytes, ..EngineOptions::default() };
    options.features.parse = ParseOptions::all();
    Engine::new(options)
}

const END_MS: i64 = HOURS * 3_600_000;

fn run(engine: &Engine, query: &str) -> Result<QueryOutput, QueryError> {
    let options = QueryOptions::default();
    if query.ends_with("[1h]") {
        return engine.instant(&Plain::new(), query, END_MS, &options);
    }
    engine.range(&Plain::new(), query, END_MS - 3_600_000, END_MS, INTERVAL_MS, &options)
}

const SHAPES: [&str; 19] = [
    "x",
    "x[1h]",
    "rate(x[5m])",
    "sum by (i, le) (x)",
    "avg by (i) (x)",
    "stddev by (i, le) (x)",
    "topk by (job) (100, x)",
    "limitk by (job) (200, x)",
    "quantile by (job) (0.5, x)",
    "count_values by (job) (\"v\", x)",
    "x + x",
    "x * on (job, i) group_left () max by (i, job) (x)",
    "x and x{job=\"job-1\"}",
    "x or x{job=\"job-1\"}",
    "sort_by_label(x, \"i\")",
    "label_replace(x, \"y\", \"$1\", \"i\", \"(.*)\")",
    "histogram_quantile(0.9, x)",
    "max_over_time(rate(x[1m])[5m:15s])",
    "sum by (i, le) (x) / sum by (i, le) (x)",
];

#[test]
fn what_is_charged_is_what_is_taken() {
    let storage = Plain::new();
    for threads in [1, 2] {
        let engine = engine(threads, u64::MAX, u64::MAX);
        for query in SHAPES {
            drop(run(&engine, query).unwrap());
            let before = LIVE.load(Ordering::Relaxed);
            PEAK.store(before, Ordering::Relaxed);
            let output = run(&engine, query).unwrap();
            let taken = (PEAK.load(Ordering::Relaxed) - before) as f64;
            let charged = output.stats.samples.peak_bytes as f64;
            let ratio = charged / taken;
            println!("{query}: {threads} threads, {taken} bytes taken, {charged} charged, {ratio:.2}");
            assert!((0.6..2.0).contains(&ratio), "{query}: charged {charged}, taken {taken}: {ratio:.2}");
        }
        assert_eq!(engine.held_bytes(), 0, "what was charged was given back");
    }
    drop(storage);
    a_query_over_its_limit_stops_early();
    all_queries_together_are_bounded();
}

/// Not a test of its own: the counters belong to the process.
fn a_query_over_its_limit_stops_early() {
    let limit = 1 << 20;
    let engine = engine(2, limit as u64, u64::MAX);
    for query in SHAPES {
        let before = LIVE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        match run(&engine, query) {
            Ok(output) => assert!(output.stats.samples.peak_bytes <= limit as u64, "{query}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Execution, "{query}");
                let text = "query processing would hold too much memory: more than the 1048576 bytes that one query may have (--query.max-memory-per-query)";
                assert_eq!(error.to_string(), text, "{query}");
            }
        }
        let taken = PEAK.load(Ordering::Relaxed) - before;
        assert!(taken < 3 * limit, "{query} took {taken} bytes under a limit of {limit}");
    }
    assert!(run(&engine, "sum(x)").is_ok());
    assert!(run(&engine, "x").is_err());
}

fn all_queries_together_are_bounded() {
    let engine = engine(1, u64::MAX, 2 << 20);
    let held = run(&engine, "x{job=\"job-1\"}").unwrap();
    let refused = run(&engine, "x").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Overloaded, "{refused}");
    assert!(engine.held_bytes() >= 300_000, "a result counts until it is dropped: {}", engine.held_bytes());
    drop(held);
    assert!(run(&engine, "sum(x)").is_ok());
    assert_eq!(engine.held_bytes(), 0);
}
