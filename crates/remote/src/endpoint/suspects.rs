//! Series that an endpoint refused lately: they travel apart, so that they do not cost the others a bisection each time.
//!
//! A series becomes a suspect when a sample of it is refused, and is none any more after some requests that were accepted. The
//! suspects of a job go in a request of their own behind the others; those that were refused again and again each in their own, as
//! a common one would only be halved. Every sample is offered all the same, and the order within a series holds, as all that a
//! job has of it is in one piece.
//! PERF: tests::poison, one series in 1,000 refused for ever, 40,000 live samples in requests of 500: 130 requests instead of 750.

use rustc_hash::FxHashMap;

use crate::job::{Job, Piece};
use crate::lane::Load;

/// Requests that must be accepted before a series travels with the others again.
const ACQUITTED_AFTER: u8 = 3;
/// From so many refusals without an acceptance on, a series travels alone.
const ALONE_AFTER: u8 = 3;
/// Suspects that are remembered.
const MOST: usize = 1 << 20;

/// The suspects of one endpoint, by slot.
#[derive(Default)]
pub(super) struct Suspects(FxHashMap<u32, Record>);

#[derive(Clone, Copy, Default)]
struct Record {
    refused: u8,
    accepted: u8,
}

/// How a series travels.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    WithAll,
    WithSuspects,
    Alone,
}

impl Suspects {
    /// A sample of the series was refused.
    pub(super) fn refused(&mut self, slot: u32) {
        if self.0.len() < MOST || self.0.contains_key(&slot) {
            let record = self.0.entry(slot).or_default();
            *record = Record { refused: record.refused.saturating_add(1), accepted: 0 };
        }
    }

    /// A request was accepted.
    pub(super) fn accepted(&mut self, piece: &Piece) {
        if self.0.is_empty() {
            return;
        }
        let runs = piece.samples.chunk_by(|a, b| a.slot == b.slot).map(|run| run[0].slot);
        for slot in runs.chain(piece.others.iter().map(|entry| entry.slot)) {
            let Some(record) = self.0.get_mut(&slot) else { continue };
            *record = Record { refused: 0, accepted: record.accepted + 1 };
            if record.accepted >= ACQUITTED_AFTER {
                self.0.remove(&slot);
            }
        }
    }

    /// Whether all of the piece's series were refused again and again, so that halving it is of no use.
    pub(super) fn are_refused_always(&self, piece: &Piece) -> bool {
        piece.slots().all(|slot| self.0.get(&slot).is_some_and(|record| record.refused >= ALONE_AFTER))
    }

    /// Slots have other meanings from now on.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// A job whose pieces keep suspects apart.
    pub(super) fn job(&self, load: Load) -> Job {
        let mut job = Job::new(load);
        if self.0.is_empty() {
            return job;
        }
        let whole = job.pieces.pop().expect("a new job has one piece");
        let way = |slot: u32| match self.0.get(&slot) {
            None => Way::WithAll,
            Some(record) if record.refused >= ALONE_AFTER => Way::Alone,
            Some(_) => Way::WithSuspects,
        };
        let mut apart = Apart::default();
        for run in whole.samples.chunk_by(|a, b| a.slot == b.slot) {
            apart.piece(run[0].slot, way(run[0].slot)).samples.extend_from_slice(run);
        }
        for entry in whole.others {
            apart.piece(entry.slot, way(entry.slot)).others.push(entry);
        }
        job.pieces = apart.alone;
        job.pieces.extend([apart.suspects, apart.with_all].into_iter().filter(|piece| piece.len() > 0));
        job
    }
}

/// A piece that is being shared out.
#[derive(Default)]
struct Apart {
    with_all: Piece,
    suspects: Piece,
    alone: Vec<Piece>,
    /// Where in `alone` a slot is.
    places: FxHashMap<u32, usize>,
}

impl Apart {
    /// Where a series goes.
    fn piece(&mut self, slot: u32, way: Way) -> &mut Piece {
        match way {
            Way::WithAll => &mut self.with_all,
            Way::WithSuspects => &mut self.suspects,
            Way::Alone => {
                let place = *self.places.entry(slot).or_insert(self.alone.len());
                if place == self.alone.len() {
                    self.alone.push(Piece::default());
                }
                &mut self.alone[place]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::Entry;

    fn load(slots: &[u32]) -> Load {
        let entry = |slot: &u32| Entry { slot: *slot, block: 0, t_ms: 0, value: 0.0, start_ms: 0 };
        Load { samples: slots.iter().map(entry).collect(), ..Load::default() }
    }

    #[track_caller]
    fn check(suspects: &Suspects, expected: &[&[u32]]) {
        let pieces = suspects.job(load(&[1, 2, 2, 3, 4, 5])).pieces;
        let sent: Vec<Vec<u32>> =
            pieces.iter().rev().map(|piece| piece.samples.iter().map(|entry| entry.slot).collect()).collect();
        assert_eq!(sent, expected);
    }

    #[test]
    fn suspects_travel_apart_until_they_were_accepted_often_enough() {
        let mut suspects = Suspects::default();
        check(&suspects, &[&[1, 2, 2, 3, 4, 5]]);
        suspects.refused(2);
        suspects.refused(4);
        check(&suspects, &[&[1, 3, 5], &[2, 2, 4]]);
        (0..2).for_each(|_| suspects.refused(2));
        check(&suspects, &[&[1, 3, 5], &[4], &[2, 2]]);
        let of = |slot: u32| Piece { samples: load(&[slot]).samples, others: Vec::new() };
        suspects.accepted(&of(2));
        check(&suspects, &[&[1, 3, 5], &[2, 2, 4]]);
        (0..2).for_each(|_| suspects.accepted(&of(2)));
        check(&suspects, &[&[1, 2, 2, 3, 5], &[4]]);
    }
}
