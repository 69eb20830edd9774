//! Random pieces against receivers that refuse whole series and what is older than their newest sample.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::job::Job;
use crate::lane::{Entry, Load};

/// A receiver of 2.0 by series.
struct Receiver {
    /// Series that it never takes.
    poison: BTreeSet<u32>,
    /// Whether it takes nothing older than what it has.
    is_strict: bool,
    stored: BTreeMap<u32, BTreeSet<i64>>,
    requests: usize,
}

impl Receiver {
    /// How many samples it did not store.
    fn take(&mut self, piece: &Piece) -> u64 {
        self.requests += 1;
        let mut missing = 0;
        for entry in &piece.samples {
            let its = self.stored.entry(entry.slot).or_default();
            let is_old = its.last().is_some_and(|newest| *newest > entry.t_ms);
            match self.poison.contains(&entry.slot) || self.is_strict && is_old {
                true => missing += 1,
                false => drop(its.insert(entry.t_ms)),
            }
        }
        missing
    }
}

/// Slots and times of samples.
type Names = Vec<(u32, i64)>;

/// Sends a piece as an endpoint does. What was refused, and what is taken for stored.
fn send(receiver: &mut Receiver, samples: Vec<Entry>) -> (Names, Names) {
    send_to(samples, |piece| receiver.take(piece))
}

/// The same to a receiver that is a function of a piece: how many samples it says that it did not store.
fn send_to(samples: Vec<Entry>, mut take: impl FnMut(&Piece) -> u64) -> (Names, Names) {
    let mut job = Job::new(Load { samples, ..Load::default() });
    let (mut refused, mut stored) = (Vec::new(), Vec::new());
    let names = |piece: &Piece| piece.samples.iter().map(|e| (e.slot, e.t_ms)).collect::<Vec<_>>();
    while let Some(piece) = job.pieces.pop() {
        match take(&piece) {
            0 => {
                stored.extend(names(&piece));
                if let Some(partial) = &mut job.partial {
                    partial.accepted(&piece);
                }
            }
            _ if piece.len() == 1 => match &mut job.partial {
                Some(partial) => partial.refused(piece, (400, String::new())),
                None => refused.extend(names(&piece)),
            },
            missing => {
                if let Err(piece) = job.take_apart(piece, Some([missing, 0, 0]), (400, String::new())) {
                    let (earlier, later) = piece.halves();
                    job.pieces.extend([later, earlier]);
                }
            }
        }
        if let Some(outcome) = job.go_on_with_partial() {
            stored.extend(names(&outcome.stored));
            refused.extend(outcome.refused.iter().flat_map(|(single, _)| names(single)));
            assert!(outcome.refused.is_sorted_by_key(|(single, _)| single.max_t_ms()));
        }
    }
    refused.sort_unstable();
    stored.sort_unstable();
    (refused, stored)
}

fn piece(rng: &mut fastrand::Rng, series: u32) -> Vec<Entry> {
    let count = rng.i64(1..8);
    let entry = |slot, t_ms| Entry { slot, block: 0, t_ms, value: 0.0, start_ms: 0 };
    (0..series).flat_map(|slot| (0..count).map(move |t_ms| entry(slot, t_ms))).collect()
}

#[test]
fn of_series_that_are_refused_every_sample_is_found_and_no_other() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let series = rng.u32(1..60);
        let poison = (0..rng.u32(0..5)).map(|_| rng.u32(0..series)).collect();
        let mut receiver = Receiver { poison, is_strict: true, stored: BTreeMap::new(), requests: 0 };
        let samples = piece(&mut rng, series);
        let count = samples.len();
        let (refused, stored) = send(&mut receiver, samples);
        assert!(refused.iter().all(|(slot, _)| receiver.poison.contains(slot)), "seed {seed}: {refused:?}");
        assert_eq!(refused.len() + stored.len(), count, "seed {seed}");
        for (slot, t_ms) in stored {
            assert!(receiver.stored[&slot].contains(&t_ms), "seed {seed}");
        }
        assert!(receiver.requests <= 2 + refused.len() * 14, "seed {seed}: {} requests", receiver.requests);
    }
}

/// As after a crash, when the newest sample that a receiver has of each series comes again with one before it and one behind.
#[test]
fn what_each_series_lacks_but_for_its_newest_is_known_without_offering_it() {
    let had = (0..100).map(|slot| (slot, BTreeSet::from([0, 1]))).collect();
    let mut receiver = Receiver { poison: BTreeSet::new(), is_strict: true, stored: had, requests: 0 };
    let entry = |slot, t_ms| Entry { slot, block: 0, t_ms, value: 0.0, start_ms: 0 };
    let (refused, stored) = send(&mut receiver, (0..100).flat_map(|s| [entry(s, 0), entry(s, 2)]).collect());
    assert_eq!((refused.len(), stored.len(), receiver.requests), (100, 100, 2));
}

/// Where a series has newer samples, what a strict receiver refused of it cannot be told from what it has: all of that is kept.
#[test]
fn whatever_is_refused_nothing_is_taken_for_stored_that_is_not() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let series = rng.u32(1..60);
        let poison = (0..rng.u32(0..5)).map(|_| rng.u32(0..series)).collect();
        let had = (0..series).map(|slot| (slot, BTreeSet::from([rng.i64(-1..6)]))).collect();
        let is_strict = rng.bool();
        let mut receiver = Receiver { poison, is_strict, stored: had, requests: 0 };
        let samples = piece(&mut rng, series);
        let mut all: Vec<_> = samples.iter().map(|entry| (entry.slot, entry.t_ms)).collect();
        let (refused, stored) = send(&mut receiver, samples);
        for (slot, t_ms) in &stored {
            assert!(receiver.stored[slot].contains(t_ms), "seed {seed}");
        }
        let mut both = [refused, stored].concat();
        both.sort_unstable();
        all.sort_unstable();
        assert_eq!(both, all, "seed {seed}");
    }
}

/// A receiver that answers at random what could be true: every sample is settled once all the same, and the requests end.
#[test]
fn of_a_receiver_that_lies_every_sample_is_settled_once() {
    for seed in 0..500 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let series = rng.u32(1..40);
        let samples = piece(&mut rng, series);
        let mut all: Vec<_> = samples.iter().map(|entry| (entry.slot, entry.t_ms)).collect();
        let mut requests = 0;
        let (refused, stored) = send_to(samples, |piece| {
            requests += 1;
            if rng.bool() { 0 } else { rng.u64(0..=piece.len() as u64) }
        });
        let mut both = [refused, stored].concat();
        both.sort_unstable();
        all.sort_unstable();
        assert_eq!(both, all, "seed {seed}");
        assert!(requests <= 4 * all.len(), "seed {seed}: {requests} requests for {} samples", all.len());
    }
}
