//! A piece of which the endpoint says that it stored a part: which part that was.
//!
//! A receiver of 2.0 stores what it can and says how much that was, but not what. So samples are offered again in rounds: first the
//! newest of each series, then the next one of those series whose newest was refused, and so on. Of a series that has its newest
//! sample a receiver takes that one again, as its own double; older ones it may refuse although it has them. When as many were
//! refused as are missing, all others are known to be stored and are not offered any more.
//! Always true: a sample of the piece is in one of the fields, in an offer that was given out, or was accepted. Must not know: HTTP,
//! dead letters. What it costs: a request or two for each refused sample, as without counts, and none for the others.

use rustc_hash::{FxHashMap, FxHashSet};

use super::Piece;
use crate::lane::OtherEntry;
use crate::source::OtherKind;

/// See the module's words.
#[derive(Debug)]
pub(crate) struct Partial {
    /// Samples and histograms that were refused and not found yet.
    missing: u64,
    /// Exemplars that were not stored.
    missing_exemplars: u64,
    /// Pieces of the job below this are others.
    pub(super) floor: usize,
    /// Of each series what was not offered again, the newest last; a piece has one sample.
    rest: FxHashMap<u32, Vec<Piece>>,
    /// The offers of the next round.
    next: Vec<Piece>,
    /// Samples of series that have a newer one.
    older: Vec<Piece>,
    /// Those of the whole piece; Prometheus takes none alone.
    exemplars: Vec<OtherEntry>,
    /// Single samples that were refused.
    refused: Vec<(Piece, Answer)>,
    /// The answer to the whole piece.
    answer: Answer,
}

/// The status and text of a refusal.
pub(crate) type Answer = (u16, String);

/// How it goes on.
#[derive(Debug)]
pub(super) enum Step {
    /// What is under way comes first.
    Wait,
    /// The next round.
    Offer(Piece),
    /// It is over.
    End(Outcome),
}

/// What became of a piece.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The endpoint has this.
    pub(crate) stored: Piece,
    /// How many of its exemplars it has not; nobody knows which.
    pub(crate) lost_exemplars: u64,
    /// Single samples that it refused, the oldest first.
    pub(crate) refused: Vec<(Piece, Answer)>,
    /// This is to be offered as if nothing were known of it.
    pub(super) unknown: Piece,
}

impl Partial {
    /// Begins with a piece that was refused without `missing` samples, exemplars and histograms; the job has `floor` further ones.
    pub(super) fn new(piece: Piece, missing: [u64; 3], answer: Answer, floor: usize) -> Self {
        let mut exemplars = Vec::new();
        let mut rest: FxHashMap<u32, Vec<Piece>> = FxHashMap::default();
        for single in piece.singles() {
            match single.others.first() {
                Some(entry) if entry.other.kind == OtherKind::Exemplar => exemplars.extend(single.others),
                _ => rest.entry(single.first_slot()).or_default().push(single),
            }
        }
        let newest = |series: &mut Vec<Piece>| {
            series.sort_by_key(Piece::max_t_ms);
            series.pop()
        };
        let next = rest.values_mut().filter_map(newest).collect();
        let (older, refused) = Default::default();
        let (missing, missing_exemplars) = (missing[0] + missing[2], missing[1]);
        Self { missing, missing_exemplars, floor, rest, next, older, exemplars, refused, answer }
    }

    /// An offer was accepted: of its series older ones need no look, unless some stay missing.
    pub(crate) fn accepted(&mut self, offer: &Piece) {
        offer.slots().for_each(|slot| self.older.extend(self.rest.remove(&slot).unwrap_or_default()));
    }

    /// A single sample was refused for good.
    pub(crate) fn refused(&mut self, offer: Piece, answer: Answer) {
        self.missing = self.missing.saturating_sub(1);
        self.next.extend(self.rest.get_mut(&offer.first_slot()).and_then(Vec::pop));
        self.refused.push((offer, answer));
    }

    /// What comes next. `open` are the offers that are still to be made; those that stay are left there.
    pub(super) fn step(&mut self, open: &mut Vec<Piece>) -> Step {
        if self.missing > 0 && !open.is_empty() {
            return Step::Wait;
        }
        if self.missing > 0 && !self.next.is_empty() {
            return Step::Offer(Piece::gather(std::mem::take(&mut self.next)));
        }
        let mut stored = std::mem::take(open);
        stored.append(&mut self.next);
        stored.extend(std::mem::take(&mut self.rest).into_values().flatten());
        let mut unknown = Vec::new();
        let older = std::mem::take(&mut self.older);
        match self.missing {
            0 => stored.extend(older),
            missing if missing == older.len() as u64 => {
                self.refused.extend(older.into_iter().map(|single| (single, self.answer.clone())));
            }
            _ => unknown = older,
        }
        let (exemplars, others) = self.exemplars();
        let lost_exemplars = self.missing_exemplars.saturating_sub(exemplars.len() as u64);
        unknown.push(Piece { samples: Vec::new(), others: exemplars });
        stored.push(Piece { samples: Vec::new(), others });
        self.refused.sort_by_key(|(single, _)| single.max_t_ms());
        Step::End(Outcome {
            stored: Piece::gather(stored),
            lost_exemplars,
            refused: std::mem::take(&mut self.refused),
            unknown: Piece::gather(unknown),
        })
    }

    /// Exemplars that are to be offered again, as they are missing for all that is known, and the others.
    fn exemplars(&mut self) -> (Vec<OtherEntry>, Vec<OtherEntry>) {
        let all = std::mem::take(&mut self.exemplars);
        if self.missing_exemplars == 0 || all.len() as u64 == self.missing_exemplars {
            return if self.missing_exemplars == 0 { (Vec::new(), all) } else { (all, Vec::new()) };
        }
        let slots: FxHashSet<u32> = self.refused.iter().map(|(single, _)| single.first_slot()).collect();
        all.into_iter().partition(|entry| slots.contains(&entry.slot))
    }
}

#[cfg(test)]
mod tests;
