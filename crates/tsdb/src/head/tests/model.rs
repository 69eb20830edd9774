//! Random interleavings of appenders and queriers against a store that is a map.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use narthex_storage::{AppendError, Appendable, Appender, Querier, Queryable};

use super::*;

type Store = BTreeMap<String, BTreeMap<i64, u64>>;

/// An open appender and what it will commit.
struct Writer {
    appender: Box<dyn Appender>,
    batch: Vec<(String, i64, f64)>,
}

/// The twin of a commit: without a window, samples that are not newer than their series' newest are dropped; with one, those
/// at whose moment there is one. In the batch, those that come in order are first.
fn commit(model: &mut Model, batch: Vec<(String, i64, f64)>, late: bool) {
    let mut rest = Vec::new();
    for (series, t, v) in batch {
        let newest = model.newest.entry(series.clone()).or_insert(i64::MIN);
        if *newest < t {
            *newest = t;
            model.store.entry(series).or_default().insert(t, v.to_bits());
        } else {
            rest.push((series, t, v));
        }
    }
    for (series, t, v) in rest.into_iter().filter(|_| late) {
        model.store.entry(series).or_default().entry(t).or_insert(v.to_bits());
    }
}

/// What was committed and is not deleted, and the newest timestamps ever.
#[derive(Default)]
struct Model {
    store: Store,
    newest: BTreeMap<String, i64>,
}

fn check(querier: &dyn Querier, store: &Store, (mint, maxt): (i64, i64), wanted: &Matcher) {
    let set = querier.select(&SelectHints::default(), std::slice::from_ref(wanted)).unwrap();
    check_label_sets(querier, &*set, std::slice::from_ref(wanted));
    let mut got = Vec::new();
    for at in 0..set.len() {
        let mut batch = SampleBatch::default();
        set.read(at, mint, maxt, &mut batch).unwrap();
        if !batch.is_empty() {
            let samples: Vec<_> =
                batch.t_ms.iter().copied().zip(batch.values.iter().map(|v| v.to_bits())).collect();
            got.push((set.labels(at), samples));
        }
    }
    let in_range =
        |samples: &BTreeMap<i64, u64>| samples.range(mint..=maxt).map(|(t, v)| (*t, *v)).collect::<Vec<_>>();
    let mut expected: Vec<_> = store
        .iter()
        .map(|(series, samples)| (labels(series), in_range(samples)))
        .filter(|(labels, samples)| wanted.matches(labels.value(&wanted.name)) && !samples.is_empty())
        .collect();
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    check_same(&got, &expected);
}

/// Says what is missing and what is too much, not everything.
#[track_caller]
fn check_same(got: &[(Labels, Vec<(i64, u64)>)], expected: &[(Labels, Vec<(i64, u64)>)]) {
    let flat = |all: &[(Labels, Vec<(i64, u64)>)]| -> Vec<(Labels, i64, u64)> {
        all.iter().flat_map(|(l, samples)| samples.iter().map(|(t, v)| (l.clone(), *t, *v))).collect()
    };
    let (got, expected) = (flat(got), flat(expected));
    if got != expected {
        let missing: Vec<_> = expected.iter().filter(|s| !got.contains(s)).collect();
        let surplus: Vec<_> = got.iter().filter(|s| !expected.contains(s)).collect();
        panic!("of {} samples missing: {missing:?}, too much: {surplus:?}", expected.len());
    }
}

/// A querier with what it must see.
struct Reader {
    querier: Box<dyn Querier>,
    store: Store,
}

/// What the head may show: what is below the floor lies in blocks.
fn visible(store: &Store, floor: i64) -> Store {
    let above = |samples: &BTreeMap<i64, u64>| samples.range(floor..).map(|(t, v)| (*t, *v)).collect();
    store.iter().map(|(series, samples)| (series.clone(), above(samples))).collect()
}

/// Deletes a random range of some series; what was deleted is gone for all who read.
fn delete(
    db: &Db,
    random: &mut fastrand::Rng,
    now: i64,
    floor: i64,
    model: &mut Model,
    readers: &mut [Reader],
) {
    let wanted = matcher(["n=1", "n!=2", "__name__=a", "n=~[34]"][random.usize(0..4)]);
    let mint = now - random.i64(0..200_000);
    let maxt = mint + random.i64(0..200_000);
    db.head().delete(std::slice::from_ref(&wanted), mint, maxt).unwrap();
    let stores = readers.iter_mut().map(|reader| &mut reader.store).chain([&mut model.store]);
    for (series, samples) in stores.flatten() {
        if wanted.matches(labels(series).value(&wanted.name)) {
            samples.retain(|t, _| !(mint.max(floor)..=maxt).contains(t));
        }
    }
}

/// Truncates at a random time, or goes on with it, and takes back what the WAL is said to have forgotten.
fn truncate(db: &Db, random: &mut fastrand::Rng, now: i64, floor: &mut i64) {
    let head = db.head();
    if random.bool() {
        head.reclaim(Duration::ZERO);
    } else {
        *floor = (now - random.i64(0..100_000)).max(*floor);
        head.truncate(*floor, Duration::ZERO);
    }
    if random.u8(0..3) == 0 {
        head.forget_expired(u32::MAX, i64::MAX);
    }
}

/// Nothing is left of series whose newest sample was before the floor: neither they, nor their labels. All with samples are there.
/// Between the two are series whose samples were deleted: they leave early if that was noticed.
#[track_caller]
fn check_freed(db: &Db, model: &Model, floor: i64) {
    let head = db.head();
    head.truncate(floor, Duration::ZERO);
    assert!(head.reclaim(Duration::ZERO), "nobody is at work");
    let size = |live: Vec<&String>| {
        let texts: BTreeSet<&str> = live.iter().flat_map(|s| s.split([',', '='])).collect();
        (live.len() as u64, texts.iter().map(|text| text.len()).sum::<usize>())
    };
    let store = model.store.iter().filter(|(_, samples)| samples.range(floor..).next().is_some());
    let (least_series, least_bytes) = size(store.map(|(series, _)| series).collect());
    let newest = model.newest.iter().filter(|(_, t)| **t >= floor);
    let (most_series, most_bytes) = size(newest.map(|(series, _)| series).collect());
    assert!((least_series..=most_series).contains(&head.series_count()), "{}", head.series_count());
    assert!((least_bytes..=most_bytes).contains(&head.symbol_bytes()), "{}", head.symbol_bytes());
}

#[track_caller]
fn check_seed(seed: u64, window_ms: i64, truncates: bool) {
    let mut random = fastrand::Rng::with_seed(seed);
    let dir = crate::scratch::tempdir().unwrap();
    let mut db = open_late(dir.path(), window_ms);
    let mut model = Model::default();
    let (mut writers, mut readers) = (Vec::<Writer>::new(), Vec::<Reader>::new());
    let (mut now, mut floor) = (10_000_000i64, i64::MIN);
    for _ in 0..400 {
        now += random.i64(0..20_000);
        match random.u8(0..22) {
            0..3 if writers.len() < 4 => writers.push(Writer { appender: db.appender(), batch: Vec::new() }),
            3..12 if !writers.is_empty() => {
                let at = random.usize(0..writers.len());
                fill(&mut writers[at], &mut random, now, window_ms);
            }
            12..15 if !writers.is_empty() => {
                let writer = writers.swap_remove(random.usize(0..writers.len()));
                writer.appender.commit().unwrap();
                commit(&mut model, writer.batch, window_ms > 0);
            }
            15 if !writers.is_empty() => writers.swap_remove(0).appender.rollback(),
            16 => readers.push(Reader {
                querier: db.querier(i64::MIN, i64::MAX).unwrap(),
                store: visible(&model.store, floor),
            }),
            17 if !readers.is_empty() => {
                let reader = readers.swap_remove(random.usize(0..readers.len()));
                let from = random.i64(9_000_000..now);
                let range = (from, random.i64(from..=now));
                for wanted in ["__name__=~.*", "n=1", "n!=1", "n=~[12]", "__name__=b", "z="] {
                    check(&*reader.querier, &reader.store, range, &matcher(wanted));
                }
            }
            18 if random.u8(0..4) == 0 => {
                writers.clear();
                readers.clear();
                if truncates {
                    check_freed(&db, &model, floor);
                }
                drop(db);
                db = open_late(dir.path(), window_ms);
                floor = i64::MIN;
            }
            20 if truncates && random.bool() => drop(db.head().map_chunks().unwrap()),
            21 if truncates => delete(&db, &mut random, now, floor, &mut model, &mut readers),
            19..21 if truncates => truncate(&db, &mut random, now, &mut floor),
            _ => {}
        }
    }
    let expected = visible(&model.store, floor);
    check(
        &*db.querier(i64::MIN, i64::MAX).unwrap(),
        &expected,
        (i64::MIN, i64::MAX),
        &matcher("__name__=~.*"),
    );
}

fn fill(writer: &mut Writer, random: &mut fastrand::Rng, now: i64, window_ms: i64) {
    for _ in 0..random.usize(1..30) {
        let series = format!("__name__={},n={}", if random.bool() { "a" } else { "b" }, random.u8(0..5));
        let (t, v) = (now - random.i64(0..3000.max(window_ms / 10)), f64::from(random.u8(0..3)));
        let id = writer.appender.resolve(&labels(&series)).unwrap();
        match writer.appender.append(id, t, v) {
            Ok(()) => writer.batch.push((series, t, v)),
            Err(AppendError::OutOfOrder | AppendError::DuplicateTimestamp(_) | AppendError::OutOfBounds) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn random_interleavings_agree_with_a_map() {
    for seed in 0..12 {
        eprintln!("seed {seed}");
        check_seed(seed, 0, false);
    }
}

/// The window is wider than the test is long: which of several samples is too old is told elsewhere.
#[test]
fn random_interleavings_with_late_samples_agree_with_a_map() {
    for seed in 0..12 {
        eprintln!("seed {seed}");
        check_seed(seed, 100_000_000, false);
    }
}

/// Series come and go: their slots and symbols are used again while old readers and writers are at work.
#[test]
fn random_truncations_and_deletes_agree_with_a_map() {
    for seed in 0..40 {
        eprintln!("seed {seed}");
        check_seed(seed, 0, true);
    }
}
