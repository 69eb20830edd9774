//! Queries at the limits: the deepest that the parser lets through do not run out of stack, the longest not out of memory,
//! the most distant times do not overflow.
#![expect(clippy::unwrap_used, reason = "a test that cannot run its query fails")]

use std::time::{Duration, Instant};

use narthex_model::Labels;
use narthex_promql::engine::{Engine, EngineOptions, ErrorKind, QueryOptions};
use narthex_promql::parser::{MAX_DEPTH, ParseOptions, parse};
use narthex_promql::script::{MemoryStorage, engine_options};

#[track_caller]
fn check_runs(query: &str) {
    let mut storage = MemoryStorage::new();
    for t in 0..10 {
        storage.add_float(&Labels::from_pairs([("__name__", "x")]), t * 60_000, t as f64);
    }
    let engine = Engine::new(engine_options());
    engine.range(&storage, query, 0, 600_000, 60_000, &QueryOptions::default()).unwrap();
}

/// The deepest form that the parser takes of `before`×n `x` `after`×n.
fn deepest(before: &str, after: &str) -> String {
    let nested = |n: usize| format!("{}x{}", before.repeat(n), after.repeat(n));
    let fits = |n: &usize| parse(&nested(*n), &ParseOptions::all()).is_ok();
    nested((1..MAX_DEPTH).rev().find(fits).unwrap())
}

#[test]
fn the_deepest_queries_fit_on_a_small_stack() {
    for (before, after) in [
        ("abs(", ")"),
        ("-(1 + ", ")"),
        ("sum(", ")"),
        ("", " + x"),
        ("", " + 1"),
        ("vector(scalar(", "))"),
        ("last_over_time(", "[1m:1m])"),
    ] {
        let query = deepest(before, after);
        assert!(query.len() > 50 * (before.len() + after.len()), "{before}x{after} nests to {}", query.len());
        check_runs(&query);
    }
}

#[test]
fn a_subquery_with_too_many_steps_is_refused_before_memory_is_taken() {
    let engine = Engine::new(engine_options());
    for query in ["sum_over_time(vector(1)[100y:1ms])", "max_over_time((x + 1)[1y:1s])"] {
        let refused = engine.instant(&MemoryStorage::new(), query, 0, &QueryOptions::default()).unwrap_err();
        let text = "query processing would load too many samples into memory in query execution";
        assert_eq!(refused.to_string(), text, "{query}");
    }
}

#[test]
fn the_most_distant_times_do_not_overflow() {
    let engine = Engine::new(engine_options());
    for t_ms in [i64::MIN, -1, i64::MAX] {
        for query in [
            "x offset 200y",
            "rate(x[200y] offset -200y)",
            "x @ 9223372036854775",
            "max_over_time(x[1m:10s] @ -9223372036854775)",
        ] {
            engine.instant(&MemoryStorage::new(), query, t_ms, &QueryOptions::default()).unwrap();
        }
    }
}

/// Hours of work in one row; nothing but the row's own parts can end it.
const ONE_LONG_ROW: [&str; 3] = [
    "quantile_over_time(0.5, vector(1)[100000s:1s])",
    "deriv(vector(time())[100000s:1s])",
    "sum(max_over_time(mad_over_time(vector(1)[20000s:1s])[100000s:1s]))",
];

#[test]
fn a_query_of_one_long_row_ends_when_its_time_is_up() {
    let engine = Engine::new(EngineOptions {
        threads: 1,
        features: engine_options().features,
        ..EngineOptions::default()
    });
    for query in ONE_LONG_ROW {
        let options = QueryOptions { timeout: Some(Duration::from_millis(100)), ..QueryOptions::default() };
        let began = Instant::now();
        let ended = engine.range(&MemoryStorage::new(), query, 0, 10_000_000, 1_000, &options).unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::Timeout, "{query}: {ended}");
        assert!(began.elapsed() < Duration::from_secs(15), "{query} went on for {:?}", began.elapsed());
    }
}

#[test]
fn a_query_of_one_long_row_ends_when_it_is_called_off() {
    let engine = Engine::new(EngineOptions {
        threads: 1,
        features: engine_options().features,
        ..EngineOptions::default()
    });
    let options = QueryOptions::default();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            engine.range(&MemoryStorage::new(), ONE_LONG_ROW[0], 0, 10_000_000, 1_000, &options).unwrap_err()
        });
        // The row's samples are there.
        while options.progress.bytes() < 500_000 {
            assert!(!running.is_finished());
            std::thread::yield_now();
        }
        options.cancel.cancel();
        let called = Instant::now();
        let ended = running.join().unwrap();
        assert_eq!(ended.kind(), ErrorKind::Canceled, "{ended}");
        assert!(called.elapsed() < Duration::from_secs(15), "it went on for {:?}", called.elapsed());
    });
}
