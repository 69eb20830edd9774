//! Selecting from a block against a plain filter over all its series.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may end where it stands")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::Plain;
use fastrand::Rng;
use narthex_block::{Block, Interval, Tombstones, WriterOptions};
use narthex_model::{Labels, MatchOp, Matcher};
use narthex_storage::{LabelSets, Querier, SelectHints};

/// Labels of all kinds: one that all have, rare ones, one with a value of its own for each series, one that few have.
fn series(random: &mut Rng, number: usize) -> Labels {
    let pod = format!("pod-{number:04}");
    let node = format!("node-{}", random.usize(0..90));
    let zone = format!("zone-{}", random.usize(0..3));
    let version = format!("{}.{}", random.usize(1..3), random.usize(0..40));
    let name = ["up", "http_requests_total", "go_goroutines"][random.usize(0..3)];
    let mut pairs = vec![("__name__", name), ("job", "node"), ("pod", &pod), ("zone", &zone)];
    if random.bool() {
        pairs.push(("node", &node));
    }
    if random.usize(0..20) == 0 {
        pairs.push(("version", &version));
    }
    Labels::from_pairs(pairs)
}

fn matcher(random: &mut Rng) -> Matcher {
    let name = ["__name__", "job", "pod", "zone", "node", "version", "nowhere"][random.usize(0..7)];
    let number = random.usize(0..1500);
    let value = match random.usize(0..14) {
        0 => "up".to_owned(),
        1 => "node".to_owned(),
        2 => format!("pod-{number:04}"),
        3 => format!("zone-{}", number % 4),
        4 => format!("node-{}", number % 100),
        5 => String::new(),
        6 => ".*".to_owned(),
        7 => ".+".to_owned(),
        8 => format!("pod-0{}.*", number % 20),
        9 => "up|go_goroutines|".to_owned(),
        10 => "node-1.?|node-7".to_owned(),
        11 => "zone-1|zone-2".to_owned(),
        12 => "1\\..*".to_owned(),
        _ => ".*[13579]".to_owned(),
    };
    let op = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex][random.usize(0..4)];
    Matcher::new(op, name, value).unwrap()
}

fn satisfies(labels: &Labels, matchers: &[Matcher]) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels.value(&matcher.name)))
}

/// The plain answer: label sets, and all values of each label of them.
fn twin<'p>(plain: &'p Plain, matchers: &[Matcher]) -> Vec<&'p Labels> {
    plain.keys().filter(|labels| satisfies(labels, matchers)).collect()
}

/// Label sets without series.
fn listed(querier: &dyn Querier, matchers: &[Matcher], limit: usize) -> Vec<Labels> {
    let mut sets = LabelSets::default();
    querier.label_sets(&SelectHints { limit, ..SelectHints::default() }, matchers, &mut sets).unwrap();
    let sets = sets.listed();
    (0..sets.len()).map(|at| sets.labels(at)).collect()
}

#[track_caller]
fn check(plain: &Plain, querier: &dyn Querier, matchers: &[Matcher]) {
    let expected = twin(plain, matchers);
    let set = querier.select(&SelectHints::default(), matchers).unwrap();
    let found: Vec<Labels> = (0..set.len()).map(|at| set.labels(at)).collect();
    assert!(
        found.iter().eq(expected.iter().copied()),
        "{matchers:?}: {} and {}",
        found.len(),
        expected.len()
    );
    assert_eq!(listed(querier, matchers, 0), found);
    assert_eq!(listed(querier, matchers, 7), found[..found.len().min(7)]);
    let wanted = ["zone".to_owned(), "pod".to_owned()];
    for (at, labels) in expected.iter().enumerate().step_by(37) {
        assert_eq!(set.labels_named(at, &wanted), labels.keep(&wanted));
        assert_eq!(set.labels_but(at, &wanted), labels.drop(&wanted));
    }
    for name in ["pod", "version", "nowhere", "job"] {
        let values: BTreeSet<&str> = expected.iter().filter_map(|labels| labels.get(name)).collect();
        let found = querier.label_values(name, matchers, 0).unwrap();
        assert!(found.iter().map(String::as_str).eq(values.iter().copied()), "{name} with {matchers:?}");
        let found = querier.label_values(name, matchers, 3).unwrap();
        assert!(
            found.iter().map(String::as_str).eq(values.iter().copied().take(3)),
            "{name} with {matchers:?}"
        );
    }
    let values: BTreeSet<&str> = expected.iter().filter_map(|labels| labels.get("pod")).collect();
    let mut known: Vec<String> = values.iter().step_by(2).map(|v| (*v).to_owned()).collect();
    known.extend(["".to_owned(), "zzz".to_owned(), "pod-5x".to_owned()]);
    known.sort_unstable();
    let beside = querier.label_values_beside("pod", matchers, 0, &known).unwrap();
    assert!(beside.is_sorted_by(|a, b| a < b), "{beside:?}");
    let both: BTreeSet<&str> = known.iter().chain(&beside).map(String::as_str).collect();
    assert!(values.is_subset(&both) && beside.iter().all(|v| values.contains(&**v)), "{matchers:?}");
    let names: BTreeSet<&str> =
        expected.iter().flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
    let found = querier.label_names(matchers, 0).unwrap();
    assert!(found.iter().map(String::as_str).eq(names.iter().copied()), "{matchers:?}");
    assert_eq!(querier.label_names(matchers, 2).unwrap().len(), names.len().min(2));
    let limited = querier.select(&SelectHints { limit: 5, ..SelectHints::default() }, matchers).unwrap();
    assert_eq!(limited.len(), expected.len().min(5));
}

#[test]
fn every_selector_finds_exactly_the_series_that_satisfy_it() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = Rng::with_seed(seed);
    let plain: Plain =
        (0..1500).map(|number| (series(&mut random, number), vec![(1000, number as f64)])).collect();
    let dir = tempfile::tempdir().unwrap();
    let block = Block::open(&common::write(dir.path(), &plain, 120, &WriterOptions::default())).unwrap();
    let querier = block.querier(0, 2000);
    check(&plain, &*querier, &[]);
    for _ in 0..150 {
        let matchers: Vec<Matcher> = (0..random.usize(1..5)).map(|_| matcher(&mut random)).collect();
        check(&plain, &*querier, &matchers);
    }
    let outside = block.querier(2000, 3000).select(&SelectHints::default(), &[]).unwrap();
    assert!(outside.is_empty(), "the block ends at 1000");
}

#[test]
fn ranges_and_deletes_take_away_exactly_their_samples() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = Rng::with_seed(seed);
    let mut plain = Plain::new();
    for number in 0..60 {
        let from = random.i64(0..5000);
        let samples = (0..random.i64(1..300)).map(|at| (from + at * 10, at as f64)).collect();
        plain.insert(series(&mut random, number), samples);
    }
    let dir = tempfile::tempdir().unwrap();
    let path = common::write(dir.path(), &plain, 20, &WriterOptions::default());
    let block = Block::open(&path).unwrap();
    for round in 0..30 {
        let (mint, maxt) = (random.i64(0..8000), random.i64(0..8000));
        let matchers = vec![matcher(&mut random)];
        if round % 2 == 0 && mint <= maxt {
            let before = block.querier(0, 10_000);
            let unchanged = common::select(&*before, &[], (0, 10_000));
            block.delete(mint, maxt, &matchers).unwrap();
            assert_eq!(common::select(&*before, &[], (0, 10_000)), unchanged, "an open view does not see it");
            for (labels, samples) in &mut plain {
                if satisfies(labels, &matchers) {
                    samples.retain(|(t, _)| !(mint..=maxt).contains(t));
                }
            }
        }
        let querier = block.querier(mint, maxt);
        let found = common::select(&*querier, &[], (mint, maxt));
        assert!(listed(&*querier, &[], 0).iter().eq(found.iter().map(|(labels, _)| labels)));
        let found: Vec<_> = found.into_iter().filter(|(_, samples)| !samples.is_empty()).collect();
        let inside = plain.iter().map(|(labels, samples)| {
            (
                labels.clone(),
                samples.iter().copied().filter(|(t, _)| (mint..=maxt).contains(t)).collect::<Vec<_>>(),
            )
        });
        let expected: Vec<_> = inside.filter(|(_, samples)| !samples.is_empty()).collect();
        assert_eq!(found, expected, "round {round}: [{mint}, {maxt}]");
    }
    let again = Block::open(&path).unwrap();
    assert_eq!(again.tombstones(), block.tombstones());
    assert_eq!(again.meta(), block.meta());
    assert_eq!(again.meta().stats.num_tombstones, again.tombstones().total());
    assert_eq!(again.size_bytes(), block.size_bytes());
}

#[test]
fn a_series_that_is_deleted_as_a_whole_is_not_selected() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, path) = common::small(dir.path());
    let block = Block::open(&path).unwrap();
    let mut tombstones = Tombstones::default();
    let first = block.series().next().unwrap().unwrap();
    tombstones.add(first.series, Interval { mint_ms: i64::MIN, maxt_ms: i64::MAX });
    block.write_tombstones(tombstones).unwrap();
    let left = common::select(&*block.querier(0, 1 << 40), &[], (0, 1 << 40));
    assert_eq!(left.len(), plain.len() - 1);
    assert!(left.iter().all(|(labels, _)| *labels != first.labels));
}

/// The plain counts of one label: series with it, and by value.
fn counted(plain: &Plain, matchers: &[Matcher], name: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for value in twin(plain, matchers).into_iter().filter_map(|labels| labels.get(name)) {
        *counts.entry(value.to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn statistics_count_labels_and_the_time_that_their_series_miss() {
    let mut random = Rng::with_seed(3);
    let plain: Plain = (0..200)
        .map(|number| {
            (series(&mut random, number), vec![(0, 1.0), (if number % 2 == 0 { 500 } else { 1000 }, 1.0)])
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let block = Block::open(&common::write(dir.path(), &plain, 1, &WriterOptions::default())).unwrap();
    for matchers in [vec![], vec![Matcher::equal("zone", "zone-1")]] {
        let found = block.label_statistics(&matchers).unwrap();
        let expected = twin(&plain, &matchers);
        assert_eq!(found.series, expected.len() as u64);
        assert_eq!(found.entries, expected.iter().map(|labels| labels.len() as u64).sum::<u64>());
        for name in &found.names {
            let values = counted(&plain, &matchers, &name.name);
            let pairs = found.pairs.iter().filter(|pair| pair.name == name.name);
            assert!(pairs.map(|pair| (&pair.value, &pair.series)).eq(&values));
            assert_eq!(
                (name.values, name.value_bytes),
                (values.len() as u64, values.keys().map(|v| v.len() as u64).sum())
            );
        }
        let halves = expected.iter().filter(|labels| plain[**labels][1].0 == 500).count() as u64;
        let job = found.names.iter().find(|name| name.name == "job").unwrap();
        // The block's range is [0, 1001).
        assert_eq!(job.uncovered_ms, halves * 501 + (found.series - halves));
        assert!(
            block
                .series_matching(&matchers)
                .map(|entry| entry.unwrap().labels)
                .eq(expected.into_iter().cloned())
        );
    }
}
