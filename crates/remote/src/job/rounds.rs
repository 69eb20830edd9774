//! Series that change from histograms to floats or back within a piece: a staleness marker is a float, also behind histograms.
//!
//! A receiver takes what stands in one entry floats first, and refuses, often silently, what is older than the newest sample it
//! has. So a piece in which a series has both is encoded as several rounds, one behind the other in the same request, of which each
//! has one kind of it. A series may have several numbers there, and then histograms under a lower one than its floats: its labels
//! tell. Must not know: formats.

use rustc_hash::{FxHashMap, FxHashSet};

use super::Piece;
use crate::place::Owner;
use crate::source::OtherKind;

/// By series, time (ms) and whether it is a histogram.
type Key = (u32, i64, bool);

/// The piece as rounds; empty when no series has both floats and histograms. `labels` tells those of a number.
pub(super) fn rounds(piece: &Piece, labels: impl Fn(u32) -> Vec<u8>) -> Vec<Piece> {
    let histograms = || piece.others.iter().filter(|entry| entry.other.kind != OtherKind::Exemplar);
    let with_histograms: FxHashSet<u32> = histograms().map(|entry| entry.slot).collect();
    if with_histograms.is_empty() {
        return Vec::new();
    }
    let again = named_again(piece, &with_histograms, labels);
    let series = |slot: u32| again.get(&slot).copied().unwrap_or(slot);
    let floats = piece.samples.iter().filter(|entry| with_histograms.contains(&series(entry.slot)));
    let mut keys: Vec<Key> = floats.map(|entry| (series(entry.slot), entry.t_ms, false)).collect();
    if keys.is_empty() {
        return Vec::new();
    }
    let with_both: FxHashSet<u32> = keys.iter().map(|key| key.0).collect();
    let of_both = histograms().filter(|entry| with_both.contains(&series(entry.slot)));
    keys.extend(of_both.map(|entry| (series(entry.slot), entry.other.t_ms, true)));
    keys.sort_unstable();
    deal(piece, series, &number(&keys))
}

/// Numbers of floats whose series has histograms under a number of a lower kind, with that one: where the log is met again, and where
/// a series came back to the head. Of other kinds that follow each other no labels are looked at.
fn named_again(
    piece: &Piece,
    with_histograms: &FxHashSet<u32>,
    labels: impl Fn(u32) -> Vec<u8>,
) -> FxHashMap<u32, u32> {
    let lowest = with_histograms.iter().map(|slot| Owner::kind(*slot)).min();
    let later = |slot: &u32| lowest.is_some_and(|lowest| lowest < Owner::kind(*slot));
    let floats: FxHashSet<u32> = piece.samples.iter().map(|entry| entry.slot).filter(later).collect();
    let Some(highest) = floats.iter().map(|slot| Owner::kind(*slot)).max() else {
        return FxHashMap::default();
    };
    let earlier = with_histograms.iter().filter(|slot| Owner::kind(**slot) < highest);
    let earlier: FxHashMap<Vec<u8>, u32> = earlier.map(|slot| (labels(*slot), *slot)).collect();
    let found = floats.into_iter().filter_map(|slot| Some((slot, *earlier.get(&labels(slot))?)));
    found.filter(|(slot, earlier)| Owner::kind(*earlier) < Owner::kind(*slot)).collect()
}

/// The round of each: a series begins with the first, and has another one whenever its kind changes.
fn number(keys: &[Key]) -> FxHashMap<Key, usize> {
    let mut rounds = FxHashMap::default();
    for series in keys.chunk_by(|a, b| a.0 == b.0) {
        for (round, run) in series.chunk_by(|a, b| a.2 == b.2).enumerate() {
            rounds.extend(run.iter().map(|key| (*key, round)));
        }
    }
    rounds
}

/// Shares the piece out, in its order; what has no number is in the first round.
fn deal(piece: &Piece, series: impl Fn(u32) -> u32, numbers: &FxHashMap<Key, usize>) -> Vec<Piece> {
    let mut rounds: Vec<Piece> = Vec::new();
    let last = numbers.values().max().copied().unwrap_or(0);
    rounds.resize_with(last + 1, Piece::default);
    let round = |key: Key| numbers.get(&key).copied().unwrap_or(0);
    for entry in &piece.samples {
        rounds[round((series(entry.slot), entry.t_ms, false))].samples.push(*entry);
    }
    for entry in &piece.others {
        let is_histogram = entry.other.kind != OtherKind::Exemplar;
        let at = if is_histogram { round((series(entry.slot), entry.other.t_ms, true)) } else { 0 };
        rounds[at].others.push(entry.clone());
    }
    rounds
}

#[cfg(test)]
mod tests {
    use narthex_wal::WalPosition;

    use super::*;
    use crate::lane::{Entry, OtherEntry};
    use crate::source::Other;

    fn float(slot: u32, t_ms: i64) -> Entry {
        Entry { slot, block: 0, t_ms, value: 1.0, start_ms: 0 }
    }

    fn other(slot: u32, t_ms: i64, kind: OtherKind) -> OtherEntry {
        let at = WalPosition { segment: 0, offset: 0 };
        let encoded = Vec::new().into();
        OtherEntry { slot, block: 0, other: Other { place: None, t_ms, start_ms: 0, at, kind, encoded } }
    }

    /// No two numbers are of one kind here.
    fn unknown(_: u32) -> Vec<u8> {
        unreachable!("all numbers are of one kind")
    }

    fn shown(piece: &Piece) -> Vec<(u32, i64)> {
        let samples = piece.samples.iter().map(|entry| (entry.slot, entry.t_ms));
        samples.chain(piece.others.iter().map(|entry| (entry.slot, entry.other.t_ms))).collect()
    }

    #[test]
    fn a_series_that_changes_its_kind_has_a_round_for_each_stretch() {
        let samples = vec![float(1, 10), float(1, 20), float(2, 10), float(2, 40), float(3, 15)];
        let others = vec![
            other(2, 20, OtherKind::Histogram),
            other(2, 30, OtherKind::CustomHistogram),
            other(3, 5, OtherKind::Histogram),
            other(1, 20, OtherKind::Exemplar),
            other(4, 1, OtherKind::Histogram),
        ];
        let rounds = rounds(&Piece { samples, others }, unknown);
        let rounds: Vec<_> = rounds.iter().map(shown).collect();
        assert_eq!(rounds.len(), 3);
        assert_eq!(rounds[0], [(1, 10), (1, 20), (2, 10), (3, 5), (1, 20), (4, 1)]);
        assert_eq!(rounds[1], [(3, 15), (2, 20), (2, 30)]);
        assert_eq!(rounds[2], [(2, 40)]);
    }

    #[test]
    fn floats_under_a_later_number_come_behind_the_histograms_of_their_series() {
        let [own, early] = [Owner::Endpoint(3).number(), Owner::Early(4).number()];
        let [head, other_head, later] = [5, 6, 7].map(|slot| Owner::Head(slot).number());
        let labels = |number: u32| match number {
            number if [own, head].contains(&number) => b"a".to_vec(),
            number if [early, later].contains(&number) => b"b".to_vec(),
            _ => b"c".to_vec(),
        };
        let samples = vec![float(own, 5), float(head, 30), float(other_head, 10), float(later, 40)];
        let others = vec![
            other(own, 10, OtherKind::Histogram),
            other(early, 20, OtherKind::Histogram),
            other(other_head, 9, OtherKind::Exemplar),
        ];
        let rounds = rounds(&Piece { samples, others }, labels);
        let rounds: Vec<_> = rounds.iter().map(shown).collect();
        assert_eq!(rounds.len(), 3);
        assert_eq!(rounds[0], [(own, 5), (other_head, 10), (early, 20), (other_head, 9)]);
        assert_eq!(rounds[1], [(later, 40), (own, 10)]);
        assert_eq!(rounds[2], [(head, 30)]);
    }

    #[test]
    fn without_such_a_series_there_are_none() {
        let others = vec![other(1, 20, OtherKind::Exemplar), other(2, 20, OtherKind::Histogram)];
        assert!(rounds(&Piece { samples: vec![float(1, 10)], others }, unknown).is_empty());
    }
}
