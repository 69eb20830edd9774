//! Everything at once: batches with samples in order, late ones and staleness markers go in; a thread makes blocks of the head, of
//! late samples and of stale series, merges them, maps chunks, shortens the logs; readers must find, of each writer, exactly its
//! batches up to some number, each whole and each sample once. Then the same after a restart.
//!
//! The twin is arithmetic: what a batch holds follows from its writer and number.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use narthex_metrics::Value;
use narthex_model::is_stale;

use super::*;

const WRITERS: i64 = 3;
const SERIES: i64 = 5;
const ROUNDS: i64 = 100;
/// Rounds of a generation of series.
const LIFE: i64 = 4;
const STEP_MS: i64 = 100;

/// A sample of each series of one generation.
type Moment = (i64, i64);

/// What a writer's batch adds: a generation's sample in order, the end of the one before, late samples of both.
fn batch(writer: i64, round: i64) -> Vec<Moment> {
    let (generation, t_ms) = (round / LIFE, round * STEP_MS);
    let mut moments = vec![(generation, t_ms)];
    if round % LIFE == 0 && generation > 0 {
        moments.push((generation - 1, t_ms));
    }
    if (round * 7 + writer) % 3 == 0 {
        moments.push((generation, t_ms - 3 * STEP_MS - 11 - writer));
    }
    if round % LIFE == 2 && (round + writer) % 5 == 0 && generation > 0 {
        moments.push((generation - 1, t_ms - 5 * STEP_MS - 21 - writer));
    }
    moments
}

fn set(writer: i64, generation: i64, series: i64) -> Labels {
    let [writer, generation, series] = [writer, generation, series].map(|n| n.to_string());
    let name = format!("w{writer}");
    Labels::from_pairs([("__name__", &*name), ("g", &*generation), ("n", &*series), ("job", "test")])
}

struct World {
    db: Arc<Db>,
    done: AtomicBool,
    /// The last batch that each writer was told is in.
    committed: [AtomicI64; WRITERS as usize],
    /// How often the maintenance has looked.
    looks: AtomicI64,
}

/// Ends the test for all threads when one fails.
struct EndAll<'a>(&'a World);

impl Drop for EndAll<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.done.store(true, Ordering::Relaxed);
        }
    }
}

fn write(world: &World, writer: i64) {
    let _end = EndAll(world);
    for round in 1..=ROUNDS {
        // A writer that falls behind would end series too late.
        // Or the head's own turn is always near, and no stale series leave early.
        let holds_too_much =
            |round| round * STEP_MS - world.db.shared.head.min_ms().min(round * STEP_MS) > 17 * STEP_MS;
        let is_ahead = |c: &AtomicI64| c.load(Ordering::Acquire) < round - 2;
        // On a busy machine too, the maintenance sees series of most generations when they are stale.
        let is_unseen = |round: i64| world.looks.load(Ordering::Acquire) < (round - 1) / LIFE;
        while world.committed.iter().any(is_ahead) || holds_too_much(round) || is_unseen(round) {
            if world.done.load(Ordering::Relaxed) {
                return;
            }
            std::thread::yield_now();
        }
        write_round(world, writer, round);
    }
}

fn write_round(world: &World, writer: i64, round: i64) {
    let mut appender = world.db.appender();
    for (generation, t_ms) in batch(writer, round) {
        for series in 0..SERIES {
            let id = appender.resolve(&set(writer, generation, series)).unwrap();
            match generation < round / LIFE && t_ms == round * STEP_MS {
                true => appender.append_stale(id, t_ms).unwrap(),
                false => appender.append(id, t_ms, t_ms as f64).unwrap(),
            }
        }
    }
    appender.commit().unwrap();
    world.committed[writer as usize].store(round, Ordering::Release);
}

/// How often stale series left early.
fn left_early(registry: &Registry) -> f64 {
    let families = registry.gather();
    let triggered = families.iter().find(|f| f.name.ends_with("stale_series_compactions_triggered_total"));
    match triggered.map(|family| &family.metrics[0].value) {
        Some(Value::Number(n)) => *n,
        other => panic!("no such counter: {other:?}"),
    }
}

/// A look after each round: whatever the threads saw of it, some series leave early then.
fn write_until_some_leave_early(world: &World, registry: &Registry) {
    let mut round = ROUNDS;
    while left_early(registry) == 0.0 {
        round += 1;
        assert!(round < 2 * ROUNDS, "stale series never leave early");
        (0..WRITERS).for_each(|writer| write_round(world, writer, round));
        world.db.maintain().unwrap();
    }
}

fn maintain(world: &World) {
    let _end = EndAll(world);
    while !world.done.load(Ordering::Relaxed) {
        world.db.maintain().unwrap();
        world.db.map_chunks().unwrap();
        world.looks.fetch_add(1, Ordering::AcqRel);
    }
}

/// Finds a writer's batches up to some number, which is at least that of the last one that was committed before.
#[track_caller]
fn check_writer(world: &World, writer: i64) {
    let committed = world.committed[writer as usize].load(Ordering::Acquire);
    let querier = world.db.querier(i64::MIN, i64::MAX).unwrap();
    let found = querier.select(&SelectHints::default(), &only(&format!("w{writer}"))).unwrap();
    let mut series: BTreeMap<(i64, i64), BTreeSet<i64>> = BTreeMap::new();
    let mut out = SampleBatch::default();
    for at in 0..found.len() {
        out.clear();
        found.read(at, i64::MIN, i64::MAX, &mut out).unwrap();
        assert!(out.t_ms.is_sorted_by(|a, b| a < b), "each timestamp once");
        assert!(out.t_ms.iter().zip(&out.values).all(|(t, v)| is_stale(*v) || *v == *t as f64));
        let labels = found.labels(at);
        let number = |name: &str| labels.value(name).parse::<i64>().unwrap();
        if !out.t_ms.is_empty() {
            series.insert((number("g"), number("n")), out.t_ms.iter().copied().collect());
        }
    }
    let in_order = series.values().flatten().filter(|t| **t % STEP_MS == 0);
    let last = in_order.map(|t| t / STEP_MS).max().unwrap_or(0);
    assert!(last >= committed, "batch {committed} is acknowledged, {last} is seen");
    let mut expected: BTreeMap<(i64, i64), BTreeSet<i64>> = BTreeMap::new();
    for (generation, t_ms) in (1..=last).flat_map(|round| batch(writer, round)) {
        (0..SERIES).for_each(|n| {
            expected.entry((generation, n)).or_default().insert(t_ms);
        });
    }
    for (name, times) in &expected {
        let got = series.get(name).cloned().unwrap_or_default();
        let (missing, extra): (Vec<_>, Vec<_>) =
            (times.difference(&got).collect(), got.difference(times).collect());
        assert!(
            missing.is_empty() && extra.is_empty(),
            "writer {writer}, generation and series {name:?}, up to batch {last}: missing {missing:?}, too many {extra:?}"
        );
    }
    assert_eq!(series.len(), expected.len());
}

fn read_on(world: &World, seed: u64) {
    let _end = EndAll(world);
    let mut random = fastrand::Rng::with_seed(seed);
    while !world.done.load(Ordering::Relaxed) {
        check_writer(world, random.i64(0..WRITERS));
    }
}

fn open(dir: &Path, registry: &Registry) -> Arc<Db> {
    let options = options();
    let runtime = RuntimeOptions {
        stale_series_compaction_threshold: 0.2,
        out_of_order_window_ms: 1_000_000,
        ..options.runtime.clone()
    };
    Db::open(dir, DbOptions { runtime, ..options }, registry).unwrap()
}

#[test]
fn batches_are_whole_and_there_once_whatever_is_compacted() {
    let dir = crate::scratch::tempdir().unwrap();
    let committed = [const { AtomicI64::new(0) }; WRITERS as usize];
    let registry = Registry::new();
    let db = open(dir.path(), &registry);
    let mut world = World { db, done: AtomicBool::new(false), committed, looks: AtomicI64::new(0) };
    std::thread::scope(|scope| {
        let world = &world;
        let others = [
            scope.spawn(move || maintain(world)),
            scope.spawn(move || read_on(world, 1)),
            scope.spawn(move || read_on(world, 2)),
        ];
        let writers: Vec<_> = (0..WRITERS).map(|w| scope.spawn(move || write(world, w))).collect();
        let written: Vec<_> = writers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        world.done.store(true, Ordering::Relaxed);
        let all = written.into_iter().chain(others.into_iter().map(std::thread::ScopedJoinHandle::join));
        all.for_each(|joined| joined.unwrap());
    });
    (0..WRITERS).for_each(|writer| check_writer(&world, writer));
    write_until_some_leave_early(&world, &registry);
    (0..WRITERS).for_each(|writer| check_writer(&world, writer));
    world.db.close().unwrap();
    world.db = open(dir.path(), &Registry::new());
    (0..WRITERS).for_each(|writer| check_writer(&world, writer));
}
