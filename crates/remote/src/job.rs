//! A job: the lanes that one request owns, and what of them is still to be delivered.
//!
//! It begins with one piece. A refused piece is cut in two, each tried in its turn, until what is refused is a single sample: that
//! one goes to the dead letters. Pieces are sent one after the other, so order within a series holds.

use crate::lane::{Entry, Load, OtherEntry};
use crate::source::OtherKind;

mod encode;
mod partial;
mod rounds;

pub(crate) use self::encode::{Encoded, Encoder, Encoders, Names};
use self::partial::Step;
pub(crate) use self::partial::{Answer, Outcome, Partial};

/// What one request carries.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    /// Grouped by series.
    pub(crate) samples: Vec<Entry>,
    /// Exemplars and histograms.
    pub(crate) others: Vec<OtherEntry>,
}

impl Piece {
    /// How many samples, exemplars and histograms.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.samples.len() + self.others.len()
    }

    /// Samples, exemplars, histograms.
    #[must_use]
    pub(crate) fn counts(&self) -> [u64; 3] {
        let exemplars =
            self.others.iter().filter(|entry| entry.other.kind == OtherKind::Exemplar).count() as u64;
        [self.samples.len() as u64, exemplars, self.others.len() as u64 - exemplars]
    }

    /// The series of each, as often as it has something.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        let samples = self.samples.iter().map(|entry| entry.slot);
        samples.chain(self.others.iter().map(|entry| entry.slot))
    }

    /// The newest timestamp, ms.
    #[must_use]
    pub(crate) fn max_t_ms(&self) -> i64 {
        let samples = self.samples.iter().map(|entry| entry.t_ms);
        samples.chain(self.others.iter().map(|entry| entry.other.t_ms)).max().unwrap_or(0)
    }

    /// A piece for each sample, the earliest first.
    #[must_use]
    pub(crate) fn singles(self) -> Vec<Self> {
        let samples = self.samples.into_iter().map(|entry| Self { samples: vec![entry], others: Vec::new() });
        let others = self.others.into_iter().map(|entry| Self { samples: Vec::new(), others: vec![entry] });
        let mut singles: Vec<Self> = samples.chain(others).collect();
        singles.sort_by_key(Self::max_t_ms);
        singles
    }

    /// One piece of several, grouped by series, in the order given within each.
    #[must_use]
    pub(crate) fn gather(pieces: Vec<Self>) -> Self {
        let mut all = Self::default();
        for mut piece in pieces {
            all.samples.append(&mut piece.samples);
            all.others.append(&mut piece.others);
        }
        all.samples.sort_by_key(|entry| entry.slot);
        all.others.sort_by_key(|entry| entry.slot);
        all
    }

    /// The series of its first sample.
    ///
    /// # Panics
    /// When it is empty.
    #[must_use]
    pub(crate) fn first_slot(&self) -> u32 {
        self.samples.first().map_or_else(|| self.others[0].slot, |entry| entry.slot)
    }

    /// Two halves, the earlier first. Cut between series where that leaves neither half empty; exemplars and histograms stay with
    /// the samples of their series as long as there are others to part from: some receivers take no exemplar without a sample.
    ///
    /// # Panics
    /// When there is less than two to share out.
    #[must_use]
    pub(crate) fn halves(mut self) -> (Self, Self) {
        assert!(self.len() >= 2, "a single sample cannot be cut");
        if self.samples.is_empty() {
            let later = self.others.split_off(self.others.len() / 2);
            return (self, Self { samples: Vec::new(), others: later });
        }
        let at = self.middle();
        let first = self.samples[0].slot;
        if self.slots().all(|slot| slot == first) {
            let mut rounds = rounds::rounds(&self, |_| Vec::new()).into_iter();
            if let Some(earlier) = rounds.next() {
                return (earlier, Self::gather(rounds.collect()));
            }
        }
        let is_one_series = self.samples.iter().all(|entry| entry.slot == first);
        if is_one_series && !self.others.is_empty() {
            // Under a lower number the same series may have older ones.
            let (lower, others): (Vec<_>, Vec<_>) =
                self.others.into_iter().partition(|entry| entry.slot < first);
            if !lower.is_empty() {
                let lower = Self { samples: Vec::new(), others: lower };
                return (lower, Self { samples: self.samples, others });
            }
            let (own, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|entry| entry.slot == first);
            return match others.is_empty() {
                true => (Self { samples: self.samples, others }, Self { samples: Vec::new(), others: own }),
                false => (Self { samples: self.samples, others: own }, Self { samples: Vec::new(), others }),
            };
        }
        let later = self.samples.split_off(at);
        let cut = later[0].slot;
        let (others, later_others) = self.others.into_iter().partition(|entry| entry.slot < cut);
        (Self { samples: self.samples, others }, Self { samples: later, others: later_others })
    }

    /// Where to cut the samples.
    fn middle(&self) -> usize {
        let middle = self.samples.len() / 2;
        let slot = self.samples[middle].slot;
        let begins =
            self.samples[..middle].iter().rposition(|entry| entry.slot != slot).map_or(0, |at| at + 1);
        let ends = self.samples[middle..].iter().position(|entry| entry.slot != slot);
        match (begins, ends) {
            (0, None) => middle,
            (0, Some(ends)) => middle + ends,
            (begins, _) => begins,
        }
    }
}

/// A request with its lanes, from its making to its last acknowledgement.
#[derive(Debug)]
pub(crate) struct Job {
    /// Holds the lanes; its samples were moved into pieces.
    pub(crate) load: Load,
    /// What is to be delivered, the next one last.
    pub(crate) pieces: Vec<Piece>,
    /// Whether the next piece goes in 1.0, because it is not known if the endpoint understands 2.0.
    pub(crate) in_doubt: bool,
    /// Whether some of it may have been sent before, by whom nobody got an answer.
    pub(crate) resent: bool,
    /// Whether a piece of it was answered for good, so that the endpoint may have some of it.
    pub(crate) was_answered: bool,
    /// What is known of a piece that the endpoint stored in part.
    pub(crate) partial: Option<Box<Partial>>,
}

impl Job {
    /// A job of one piece.
    #[must_use]
    pub(crate) fn new(mut load: Load) -> Self {
        let samples = std::mem::take(&mut load.samples);
        let others = std::mem::take(&mut load.others);
        let pieces = vec![Piece { samples, others }];
        Self { load, pieces, in_doubt: false, resent: false, was_answered: false, partial: None }
    }

    /// Takes a piece apart that was refused and lacks `missing` samples, exemplars and histograms at the endpoint; gives it back when
    /// nothing is known but that it was refused.
    pub(crate) fn take_apart(
        &mut self,
        piece: Piece,
        missing: Option<[u64; 3]>,
        answer: Answer,
    ) -> Result<(), Piece> {
        let counts = piece.counts();
        let missing = missing.filter(|missing| missing[0] + missing[2] < counts[0] + counts[2]);
        let Some(missing) = missing.filter(|_| self.partial.is_none()) else { return Err(piece) };
        self.partial = Some(Box::new(Partial::new(piece, missing, answer, self.pieces.len())));
        Ok(())
    }

    /// Goes on with what was stored in part; at its end says what became of it.
    pub(crate) fn go_on_with_partial(&mut self) -> Option<Outcome> {
        let mut partial = self.partial.take()?;
        let mut open = self.pieces.split_off(partial.floor);
        let step = partial.step(&mut open);
        self.pieces.append(&mut open);
        match step {
            Step::Wait => self.partial = Some(partial),
            Step::Offer(piece) => {
                self.pieces.push(piece);
                self.partial = Some(partial);
            }
            Step::End(mut outcome) => {
                let unknown = std::mem::take(&mut outcome.unknown);
                self.pieces.extend([unknown].into_iter().filter(|piece| piece.len() > 0));
                return Some(outcome);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(slots: &[u32]) -> Piece {
        let entry = |(i, slot): (usize, &u32)| Entry {
            slot: *slot,
            block: 0,
            t_ms: i as i64,
            value: 0.0,
            start_ms: 0,
        };
        Piece { samples: slots.iter().enumerate().map(entry).collect(), others: Vec::new() }
    }

    #[track_caller]
    fn check_halves(slots: &[u32], first: &[u32], second: &[u32]) {
        let (a, b) = piece(slots).halves();
        let slots = |piece: &Piece| piece.samples.iter().map(|entry| entry.slot).collect::<Vec<_>>();
        assert_eq!((slots(&a).as_slice(), slots(&b).as_slice()), (first, second));
    }

    #[test]
    fn histograms_under_a_lower_number_are_in_the_earlier_half() {
        let other = |slot: u32| OtherEntry {
            slot,
            block: 0,
            other: crate::source::Other {
                place: None,
                t_ms: 0,
                start_ms: 0,
                at: narthex_wal::WalPosition::default(),
                kind: OtherKind::Histogram,
                encoded: Vec::new().into(),
            },
        };
        let (a, b) = Piece { others: vec![other(7), other(2), other(9)], ..piece(&[7]) }.halves();
        assert_eq!((a.slots().collect::<Vec<_>>(), b.slots().collect::<Vec<_>>()), (vec![2], vec![7, 7, 9]));
        let (a, b) = b.halves();
        assert_eq!((a.slots().collect::<Vec<_>>(), b.slots().collect::<Vec<_>>()), (vec![7, 7], vec![9]));
    }

    #[test]
    fn a_piece_is_cut_between_series_where_it_can_be() {
        check_halves(&[1, 2], &[1], &[2]);
        check_halves(&[1, 1, 1, 1], &[1, 1], &[1, 1]);
        check_halves(&[1, 1, 1, 2], &[1, 1, 1], &[2]);
        check_halves(&[1, 2, 2, 2], &[1], &[2, 2, 2]);
        check_halves(&[1, 1, 2, 2, 3, 3], &[1, 1], &[2, 2, 3, 3]);
    }
}
