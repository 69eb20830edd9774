//! Merging against plain maps, with sources that lie in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use narthex_model::{CounterResetHint, FloatHistogram, Labels, Matcher};
use proptest::prelude::*;

use super::*;
use crate::{LabelSets, SampleBatch, Windows};

/// A sample: a float, a gauge histogram or a counter histogram with this sum.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Float(f64),
    Gauge(f64),
    Counter(f64),
}

type Samples = BTreeMap<i64, Value>;

/// A store in memory: samples by series, series by the value of their only label.
#[derive(Clone, Debug, Default)]
struct Plain(BTreeMap<String, Samples>);

fn labels(name: &str) -> Labels {
    Labels::from_pairs([("a", name), ("source", "x")])
}

impl Querier for Plain {
    fn select(&self, hints: &SelectHints, _: &[Matcher]) -> Result<Box<dyn SeriesSet>, QueryError> {
        let mut list: Vec<_> = self.0.clone().into_iter().collect();
        if hints.any_order {
            list.reverse();
        }
        if hints.limit > 0 {
            list.truncate(hints.limit);
        }
        Ok(Box::new(PlainSet(list)))
    }

    fn label_values(&self, _: &str, _: &[Matcher], limit: usize) -> Result<Vec<String>, QueryError> {
        let most = if limit == 0 { usize::MAX } else { limit };
        Ok(self.0.keys().take(most).cloned().collect())
    }

    fn label_names(&self, _: &[Matcher], _: usize) -> Result<Vec<String>, QueryError> {
        Ok(if self.0.is_empty() { vec![] } else { vec!["a".to_owned(), "source".to_owned()] })
    }
}

struct PlainSet(Vec<(String, Samples)>);

impl SeriesSet for PlainSet {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, at: usize) -> Labels {
        labels(&self.0[at].0)
    }

    fn read(&self, at: usize, mint_ms: i64, maxt_ms: i64, out: &mut SampleBatch) -> Result<(), QueryError> {
        for (t_ms, value) in self.0[at].1.range(mint_ms..=maxt_ms) {
            let (sum, counter_reset_hint) = match *value {
                Value::Float(value) => {
                    out.push(*t_ms, value);
                    continue;
                }
                Value::Gauge(sum) => (sum, CounterResetHint::Gauge),
                Value::Counter(sum) => (sum, CounterResetHint::NotReset),
            };
            out.histogram_t_ms.push(*t_ms);
            out.histograms.push(Arc::new(FloatHistogram {
                sum,
                counter_reset_hint,
                ..FloatHistogram::default()
            }));
        }
        Ok(())
    }

    /// As little as it may give.
    fn read_windows(&self, at: usize, windows: &Windows, out: &mut SampleBatch) -> Result<(), QueryError> {
        let (from, (mint_ms, maxt_ms)) = (out.t_ms.len(), windows.hull());
        if mint_ms > maxt_ms {
            return Ok(());
        }
        self.read(at, mint_ms, maxt_ms, out)?;
        let floats = out.t_ms.drain(from..).zip(out.values.drain(from..));
        let held: Vec<_> = floats.filter(|(t, _)| windows.clip((*t, *t)).is_some()).collect();
        held.into_iter().for_each(|(t, value)| out.push(t, value));
        Ok(())
    }
}

fn in_time(plain: &Plain) -> QuerierInTime {
    let times = || plain.0.values().flat_map(BTreeMap::keys).copied();
    let (min_ms, max_ms) = (times().min().unwrap_or(i64::MAX), times().max().unwrap_or(i64::MIN));
    QuerierInTime { min_ms, max_ms, querier: Box::new(plain.clone()) }
}

fn merged(sources: &[Plain], limit: usize) -> Box<dyn SeriesSet> {
    // Who merges needs order, whatever the reader allows.
    let hints = SelectHints { limit, any_order: sources.len() > 1, ..SelectHints::default() };
    merge_queriers(sources.iter().map(in_time).collect()).select(&hints, &[]).unwrap()
}

/// All samples in order, histograms with their hints.
fn listed(batch: &SampleBatch) -> Vec<(i64, Value, CounterResetHint)> {
    let floats = batch.t_ms.iter().zip(&batch.values);
    let floats = floats.map(|(t, v)| (*t, Value::Float(*v), CounterResetHint::Unknown));
    let histograms = batch.histogram_t_ms.iter().zip(&batch.histograms).map(|(t, h)| {
        let gauge = h.counter_reset_hint == CounterResetHint::Gauge;
        (*t, if gauge { Value::Gauge(h.sum) } else { Value::Counter(h.sum) }, h.counter_reset_hint)
    });
    let mut all: Vec<_> = floats.chain(histograms).collect();
    all.sort_by_key(|(t, ..)| *t);
    all
}

fn rising(times: &[i64]) -> bool {
    times.windows(2).all(|pair| pair[0] < pair[1])
}

fn value() -> impl Strategy<Value = Value> {
    (0..8i32, 0..5i32).prop_map(|(kind, v)| match kind {
        0 => Value::Gauge(f64::from(v)),
        1 | 2 => Value::Counter(f64::from(v)),
        _ => Value::Float(f64::from(v)),
    })
}

/// Up to five sources. Some lie apart in time, some on each other.
fn sources() -> impl Strategy<Value = Vec<Plain>> {
    let samples = |base: i64| prop::collection::btree_map(base..base + 12, value(), 1..9);
    let source = (0..6i64).prop_flat_map(move |block| {
        prop::collection::btree_map("[a-f]", samples(block * 8), 0..5).prop_map(Plain)
    });
    prop::collection::vec(source, 0..6)
}

proptest! {
    #[test]
    fn a_merge_is_the_union_of_maps(sources in sources(), limit in 0..4usize, (mint_ms, span) in (0..60i64, 0..60i64)) {
        let set = merged(&sources, limit);
        let names: BTreeSet<&String> = sources.iter().flat_map(|s| s.0.keys()).collect();
        let most = if limit == 0 { usize::MAX } else { limit };
        let names: Vec<&String> = names.into_iter().take(most).collect();
        prop_assert_eq!(set.len(), names.len());
        let maxt_ms = mint_ms + span;
        for (at, name) in names.iter().enumerate() {
            prop_assert_eq!(set.labels(at), labels(name));
            let mut out = SampleBatch::default();
            out.push(-5, 1.0);
            set.read(at, mint_ms, maxt_ms, &mut out).unwrap();
            prop_assert!(rising(&out.t_ms) && rising(&out.histogram_t_ms), "{:?}", out);
            prop_assert_eq!((out.t_ms.len(), out.histograms.len()), (out.values.len(), out.histogram_t_ms.len()));
            let got = listed(&out);
            let mut want: BTreeMap<i64, Vec<Value>> = BTreeMap::from([(-5, vec![Value::Float(1.0)])]);
            for (t, v) in sources.iter().filter_map(|s| s.0.get(*name)).flat_map(|s| s.range(mint_ms..=maxt_ms)) {
                want.entry(*t).or_default().push(*v);
            }
            prop_assert_eq!(got.iter().map(|(t, ..)| *t).collect::<Vec<_>>(), want.keys().copied().collect::<Vec<_>>());
            for (t, value, _) in got {
                prop_assert!(want[&t].contains(&value), "{} at {}", name, t);
            }
        }
    }

    #[test]
    fn windows_show_what_a_whole_read_shows_there(
        sources in sources(), first_end_ms in 0..60i64, step_ms in 1..20i64, count in 1..5usize, range_ms in 1..20i64
    ) {
        let set = merged(&sources, 0);
        let windows = Windows { first_end_ms, step_ms, count, range_ms };
        for at in 0..set.len() {
            let (mut all, mut some) = (SampleBatch::default(), SampleBatch::default());
            set.read(at, windows.hull().0, windows.hull().1, &mut all).unwrap();
            set.read_windows(at, &windows, &mut some).unwrap();
            let held = |batch: &SampleBatch| -> Vec<_> {
                let held = listed(batch).into_iter().filter(|(t, ..)| windows.clip((*t, *t)).is_some());
                held.map(|(t, value, _)| (t, value)).collect()
            };
            prop_assert_eq!(held(&some), held(&all));
        }
    }

    #[test]
    fn equal_sources_show_what_one_shows(source in sources(), copies in 2..4usize) {
        let Some(source) = source.first().filter(|s| !s.0.is_empty()) else { return Ok(()) };
        let (one, many) = (merged(std::slice::from_ref(source), 0), merged(&vec![source.clone(); copies], 0));
        for at in 0..one.len() {
            let (mut a, mut b) = (SampleBatch::default(), SampleBatch::default());
            one.read(at, i64::MIN, i64::MAX, &mut a).unwrap();
            many.read(at, i64::MIN, i64::MAX, &mut b).unwrap();
            let plain = |batch: &SampleBatch| listed(batch).into_iter().map(|(t, v, _)| (t, v)).collect::<Vec<_>>();
            prop_assert_eq!(plain(&a), plain(&b));
        }
    }

    #[test]
    fn names_and_values_are_the_union(sources in sources(), limit in 0..5usize) {
        let querier = merge_queriers(sources.iter().map(in_time).collect());
        let all: BTreeSet<String> = sources.iter().flat_map(|s| s.0.keys().cloned()).collect();
        let most = if limit == 0 { usize::MAX } else { limit };
        let want: Vec<String> = all.into_iter().take(most).collect();
        prop_assert_eq!(querier.label_values("a", &[], limit).unwrap(), want);
        let mut sets = LabelSets::as_added();
        let hints = SelectHints { limit, any_order: sources.len() > 1, ..SelectHints::default() };
        merge_queriers(sources.iter().map(in_time).collect()).label_sets(&hints, &[], &mut sets).unwrap();
        let (sets, set) = (sets.listed(), merged(&sources, limit));
        prop_assert!(sets.len() >= set.len());
        prop_assert!((0..set.len()).all(|at| sets.labels(at) == set.labels(at)));
    }
}

fn source(samples: &[(i64, Value)]) -> Plain {
    Plain(BTreeMap::from([("x".to_owned(), samples.iter().copied().collect())]))
}

#[track_caller]
fn check_merge(sources: &[&[(i64, Value)]], want: &[(i64, Value, CounterResetHint)]) {
    let sources: Vec<Plain> = sources.iter().map(|samples| source(samples)).collect();
    let mut out = SampleBatch::default();
    merged(&sources, 0).read(0, i64::MIN, i64::MAX, &mut out).unwrap();
    assert_eq!(listed(&out), want);
}

#[test]
fn who_just_gave_alone_gives_way_and_who_won_goes_on() {
    let f = |v: f64| Value::Float(v);
    let all = |samples: &[(i64, f64)]| -> Vec<_> {
        samples.iter().map(|(t, v)| (*t, f(*v), CounterResetHint::Unknown)).collect()
    };
    // The block (2) began alone, so the head (1) wins where they meet.
    let (head, block) =
        ([(20, f(1.0)), (30, f(1.0))], [(10, f(2.0)), (20, f(2.0)), (30, f(2.0)), (40, f(2.0))]);
    check_merge(&[&head, &block], &all(&[(10, 2.0), (20, 1.0), (30, 1.0), (40, 2.0)]));
    // Both begin together: the first in the list wins, until it gave a sample alone.
    let (head, block) = ([(10, f(1.0)), (15, f(1.0)), (20, f(1.0))], [(10, f(2.0)), (20, f(2.0))]);
    check_merge(&[&head, &block], &all(&[(10, 1.0), (15, 1.0), (20, 2.0)]));
}

#[test]
fn a_joint_makes_the_hint_of_a_counter_unknown() {
    let c = |v: f64| Value::Counter(v);
    let (unknown, kept) = (CounterResetHint::Unknown, CounterResetHint::NotReset);
    // Behind each other: one joint, and nobody knows what was before the first.
    check_merge(
        &[&[(1, c(1.0)), (2, c(2.0))], &[(3, c(3.0)), (4, c(4.0))]],
        &[(1, c(1.0), unknown), (2, c(2.0), kept), (3, c(3.0), unknown), (4, c(4.0), kept)],
    );
    // Interleaved: joints everywhere but between 4 and 5. Gauges keep what they are; a float in front is a joint of its own.
    check_merge(
        &[
            &[(1, c(1.0)), (4, c(4.0)), (5, c(5.0))],
            &[(2, Value::Gauge(2.0)), (3, Value::Float(3.0)), (6, c(6.0))],
        ],
        &[
            (1, c(1.0), unknown),
            (2, Value::Gauge(2.0), CounterResetHint::Gauge),
            (3, Value::Float(3.0), unknown),
            (4, c(4.0), unknown),
            (5, c(5.0), kept),
            (6, c(6.0), unknown),
        ],
    );
}

#[test]
fn start_timestamps_stay_with_their_samples() {
    struct Started(i64);
    impl SeriesSet for Started {
        fn len(&self) -> usize {
            1
        }
        fn labels(&self, _: usize) -> Labels {
            labels("x")
        }
        fn read(&self, _: usize, _: i64, _: i64, out: &mut SampleBatch) -> Result<(), QueryError> {
            for t_ms in [self.0, self.0 + 10] {
                out.start_ms.resize(out.t_ms.len(), 0);
                out.t_ms.push(t_ms);
                out.values.push(0.0);
                out.start_ms.push(t_ms - 1);
            }
            Ok(())
        }
    }
    let plain = source(&[(5, Value::Float(1.0)), (12, Value::Float(1.0))]);
    let hints = SelectHints::default();
    let plain = SetInTime { min_ms: 5, max_ms: 12, set: plain.select(&hints, &[]).unwrap() };
    let started = SetInTime { min_ms: 8, max_ms: 18, set: Box::new(Started(8)) };
    let mut out = SampleBatch::default();
    merge_series(vec![plain, started], 0).read(0, 0, 100, &mut out).unwrap();
    assert_eq!((out.t_ms, out.start_ms), (vec![5, 8, 12, 18], vec![0, 7, 0, 17]));
}

proptest! {
    #[test]
    fn a_union_has_each_text_once(all in prop::collection::btree_set("[ab]{0,5}", 0..60), more in prop::collection::btree_set("[ab]{0,5}", 0..60)) {
        let both: Vec<String> = all.union(&more).cloned().collect();
        prop_assert_eq!(union(all.into_iter().collect(), more.into_iter().collect()), both);
    }
}
