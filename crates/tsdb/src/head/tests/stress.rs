//! Writers, readers and truncation side by side, with series that come and go: no sample is ever missing.
//!
//! Each writer commits rounds; a round writes its number to the series of the writer's present generation, all at one
//! timestamp. Every few rounds a new generation of series comes, and the old is marked stale with its first batch. A thread plays
//! the database: it closes a range, copies it out (the "block"), serves the copy, truncates; or does so with stale series. Readers
//! ask the head first, then the copy, and must find each generation's rounds without a gap and whole.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use narthex_model::STALE_NAN;
use narthex_storage::{Appendable, Querier, Queryable};

use super::truncation::read_source;
use super::*;
use crate::head::source::HeadSource;

const WRITERS: u64 = 3;
const SERIES: i64 = 40;
const ROUNDS: i64 = 300;
/// Rounds of a generation.
const LIFE: i64 = 7;
const STEP_MS: i64 = 60_000;

type Copied = BTreeMap<String, BTreeMap<i64, u64>>;

struct World {
    db: Arc<Db>,
    copied: Mutex<Copied>,
    /// How often `copied` changed; written under its lock.
    copies: AtomicU64,
    done: AtomicBool,
    /// The round of each writer: they wait for each other, or the slow ones would come too late.
    rounds: [AtomicI64; WRITERS as usize],
    /// Series that were resolved again because their references had died.
    resolved_again: AtomicU64,
    /// Series that left early.
    evicted: AtomicU64,
}

impl World {
    fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }

    fn wait_for_others(&self, writer: u64, round: i64) {
        self.rounds[writer as usize].store(round, Ordering::Relaxed);
        while self.rounds.iter().any(|r| r.load(Ordering::Relaxed) < round) && !self.is_done() {
            std::thread::yield_now();
        }
    }
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

fn set(writer: u64, generation: i64, series: i64) -> Labels {
    labels(&format!(
        "__name__=w{writer},generation={generation},n={series},pod=p{}",
        generation * 100 + series
    ))
}

/// Commits all rounds; now and then writes to a series whose reference it kept for long.
fn write(world: &World, writer: u64) {
    let _end = EndAll(world);
    let mut random = fastrand::Rng::with_seed(writer);
    let canary = labels(&format!("__name__=canary,writer={writer}"));
    let mut kept = None;
    for round in 1..=ROUNDS {
        world.wait_for_others(writer, round);
        let t = round * STEP_MS;
        let mut appender = world.db.appender();
        for series in 0..SERIES {
            if round % LIFE == 0 {
                let id = appender.resolve(&set(writer, round / LIFE - 1, series)).unwrap();
                appender.append_stale(id, t).unwrap();
            }
            let id = appender.resolve(&set(writer, round / LIFE, series)).unwrap();
            if random.u8(0..50) == 0 {
                std::thread::yield_now();
            }
            appender.append(id, t, round as f64).unwrap();
        }
        if round % (LIFE * 9) == 0 {
            let id = kept.filter(|id| appender.append(*id, t, 0.0).is_ok());
            if id.is_none() {
                world.resolved_again.fetch_add(u64::from(kept.is_some()), Ordering::Relaxed);
                let id = appender.resolve(&canary).unwrap();
                appender.append(id, t, 0.0).unwrap();
                kept = Some(id);
            }
        }
        appender.commit().unwrap();
    }
}

/// Copies closed ranges out and truncates, until all is written.
fn truncate(world: &World) {
    let _end = EndAll(world);
    let head = world.db.head();
    let mut random = fastrand::Rng::with_seed(99);
    let mut mint = 0;
    while !world.is_done() {
        match random.u8(0..3) {
            0 => evict(world),
            1 => drop(head.map_chunks().unwrap()),
            _ => {}
        }
        let maxt = head.max_ms().saturating_sub(10 * STEP_MS);
        if maxt <= mint || !head.close_range(maxt, Duration::from_millis(50)) {
            head.reclaim(Duration::from_millis(1));
            std::thread::yield_now();
            continue;
        }
        copy(world, &HeadSource::new(head, mint, maxt), (mint, maxt));
        head.truncate(maxt, Duration::from_millis(5));
        // What the WAL is said to have forgotten: slots are used again at once.
        head.forget_expired(u32::MAX, i64::MAX);
        mint = maxt;
    }
}

/// Copies stale series out and lets them go early.
fn evict(world: &World) {
    let head = world.db.head();
    let stale = head.stale_series();
    let range = (0, i64::MAX);
    copy(world, &HeadSource::of_stale(head, &stale, range.0, range.1), range);
    let emptied = head.evict(&stale, Duration::from_millis(20)).unwrap();
    world.evicted.fetch_add(emptied.unwrap_or(0), Ordering::Relaxed);
}

fn copy(world: &World, source: &HeadSource, range: (i64, i64)) {
    let found = read_source(source, range);
    let mut copied = world.copied.lock().unwrap();
    world.copies.fetch_add(1, Ordering::Relaxed);
    found.into_iter().for_each(|(series, samples)| copied.entry(series).or_default().extend(samples));
}

/// The copy, and a view of the head that belongs to it.
fn copy_and_querier(world: &World) -> (Copied, Box<dyn Querier>) {
    loop {
        let copied = world.copied.lock().unwrap();
        let (all, copies) = (copied.clone(), world.copies.load(Ordering::Relaxed));
        drop(copied);
        let querier = world.db.querier(i64::MIN, i64::MAX).unwrap();
        let _copied = world.copied.lock().unwrap();
        if world.copies.load(Ordering::Relaxed) == copies {
            return (all, querier);
        }
    }
}

/// Everything a reader finds, in the copy and in the head.
fn find(world: &World, wanted: &Matcher) -> Copied {
    let (mut all, querier) = copy_and_querier(world);
    all.retain(|series, _| series.contains(&format!("{}=\"{}\"", wanted.name, wanted.value)));
    let found = read_querier(&*querier, wanted);
    found.into_iter().for_each(|(series, samples)| all.entry(series).or_default().extend(samples));
    all
}

fn read_querier(querier: &dyn Querier, wanted: &Matcher) -> Vec<Seen> {
    let set = querier.select(&SelectHints::default(), std::slice::from_ref(wanted)).unwrap();
    let read = |at| {
        let mut batch = SampleBatch::default();
        set.read(at, i64::MIN, i64::MAX, &mut batch).unwrap();
        let samples = batch.t_ms.iter().copied().zip(batch.values.iter().map(|v| v.to_bits()));
        (set.labels(at).to_string(), samples.collect())
    };
    (0..set.len()).map(read).collect()
}

/// Finds each of a writer's generations whole. Returns the last round that was seen.
#[track_caller]
fn check_writer(world: &World, writer: u64) -> i64 {
    let all = find(world, &matcher(&format!("__name__=w{writer}")));
    let all: Copied = all.into_iter().filter(|(_, samples)| !samples.is_empty()).collect();
    let last = all.values().filter_map(|s| s.last_key_value()).map(|(t, _)| t / STEP_MS).max().unwrap_or(0);
    if last == 0 {
        return 0;
    }
    let mut expected = 0;
    for generation in 0..=last / LIFE {
        let rounds = (generation * LIFE).max(1)..=(generation * LIFE + LIFE - 1).min(last);
        let mut samples: BTreeMap<i64, u64> = rounds.map(|r| (r * STEP_MS, (r as f64).to_bits())).collect();
        let next = (generation + 1) * LIFE;
        if next <= last {
            samples.insert(next * STEP_MS, STALE_NAN.to_bits());
        }
        for series in 0..SERIES {
            let name = set(writer, generation, series).to_string();
            assert_eq!(all.get(&name), Some(&samples), "{name} up to round {last}");
            expected += 1;
        }
    }
    assert_eq!(all.len(), expected);
    last
}

fn read_on(world: &World, seed: u64) {
    let _end = EndAll(world);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut seen = [0; WRITERS as usize];
    while !world.is_done() {
        let writer = random.u64(0..WRITERS);
        let last = check_writer(world, writer);
        assert!(last >= seen[writer as usize], "what was visible stays");
        seen[writer as usize] = last;
    }
}

#[test]
fn nothing_is_missing_while_series_come_and_go() {
    // Whether a reference dies while somebody keeps it, and a series leaves early, is up to the threads: mostly in the first run.
    let (mut resolved_again, mut evicted) = (0, 0);
    for _ in 0..10 {
        let world = live();
        resolved_again += world.resolved_again.into_inner();
        evicted += world.evicted.into_inner();
        if resolved_again > 0 && evicted > 0 {
            return;
        }
    }
    panic!("not tested: {resolved_again} references died, {evicted} series left early");
}

/// Everything once, with checks on the way and at the end.
fn live() -> World {
    let dir = crate::scratch::tempdir().unwrap();
    let options = DbOptions { min_block_duration_ms: 1000 * STEP_MS, ..DbOptions::default() };
    let world = World {
        db: Db::open(dir.path(), options, &Registry::new()).unwrap(),
        copied: Mutex::default(),
        copies: AtomicU64::new(0),
        done: AtomicBool::new(false),
        rounds: [const { AtomicI64::new(0) }; WRITERS as usize],
        resolved_again: AtomicU64::new(0),
        evicted: AtomicU64::new(0),
    };
    std::thread::scope(|scope| {
        let world = &world;
        let writers: Vec<_> = (0..WRITERS).map(|w| scope.spawn(move || write(world, w))).collect();
        let others = [
            scope.spawn(move || truncate(world)),
            scope.spawn(move || read_on(world, 1)),
            scope.spawn(move || read_on(world, 2)),
        ];
        let written: Vec<_> = writers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        world.done.store(true, Ordering::Relaxed);
        let all = written.into_iter().chain(others.into_iter().map(std::thread::ScopedJoinHandle::join));
        all.for_each(|joined| joined.unwrap());
    });
    for writer in 0..WRITERS {
        assert_eq!(check_writer(&world, writer), ROUNDS);
    }
    let head = world.db.head();
    head.truncate(ROUNDS * STEP_MS + 1, Duration::ZERO);
    assert!(head.reclaim(Duration::from_secs(60)));
    assert_eq!((head.series_count(), head.symbol_bytes()), (0, 0), "all is given back");
    world
}
