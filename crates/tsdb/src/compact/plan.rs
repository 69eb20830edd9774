//! Which blocks become one next.
//!
//! Holds: the ranges of the levels, and the choice: first what overlaps, then neighbours that fill a range of a level, last a
//! block of which much was deleted. Pure: descriptions in, names out.
//! Always true: blocks of part of the head's series (stale ones, chosen ones) are only merged with their like, so that the
//! merged one still says that it is such a part; the newest block is only merged when it overlaps, so that it can be copied away
//! before its data move.
//! Facts: Prometheus `tsdb/compact.go` (`Plan` and below), defaults of `tsdb/db.go`.

use narthex_block::{BlockMeta, Hint, Ulid};

/// Each level's range is this many times the one below.
const RANGE_STEP: i64 = 3;
/// Prometheus has no more levels.
const MOST_RANGES: usize = 10;
/// The part of a block's series with deleted samples from which it is written again.
const DELETED_PART: f64 = 0.05;

/// How compactions are chosen.
#[derive(Clone, Debug)]
pub(crate) struct Planner {
    /// The range of each level, ms, rising.
    ranges_ms: Vec<i64>,
    /// Whether overlapping blocks are merged.
    overlapping: bool,
}

impl Planner {
    /// Levels from the smallest block to the longest allowed, both ms and above 0.
    pub(crate) fn new(smallest_ms: i64, longest_ms: i64, overlapping: bool) -> Self {
        let next = |range_ms: &i64| range_ms.checked_mul(RANGE_STEP).filter(|next_ms| *next_ms <= longest_ms);
        let ranges_ms = std::iter::successors(Some(smallest_ms), next).take(MOST_RANGES).collect();
        Self { ranges_ms, overlapping }
    }

    /// The blocks to be merged into one, or the one to be written again without what is deleted; empty when all is well.
    /// The names are in the order of the blocks' time.
    pub(crate) fn plan<'m>(&self, blocks: impl Iterator<Item = &'m BlockMeta>) -> Vec<Ulid> {
        let mut classes: [Vec<&BlockMeta>; 3] = Default::default();
        for meta in blocks {
            classes[class(meta)].push(meta);
        }
        let plans = classes.iter_mut().map(|class| {
            class.sort_by_key(|meta| meta.min_ms);
            self.plan_class(class)
        });
        plans.into_iter().find(|plan| !plan.is_empty()).unwrap_or_default()
    }

    /// `blocks` rise by their start.
    fn plan_class(&self, blocks: &[&BlockMeta]) -> Vec<Ulid> {
        let names = |chosen: &[&BlockMeta]| chosen.iter().map(|meta| meta.ulid).collect();
        if self.overlapping
            && let Some(chosen) = overlapping(blocks)
        {
            return names(chosen);
        }
        let Some((_newest, older)) = blocks.split_last() else { return Vec::new() };
        match self.neighbours(older) {
            Some(chosen) => names(chosen),
            None => self.much_deleted(older).into_iter().collect(),
        }
    }

    /// The first group of at least two blocks that lie in one range of a level, fill it or lie before newer ones.
    fn neighbours<'a, 'm>(&self, blocks: &'a [&'m BlockMeta]) -> Option<&'a [&'m BlockMeta]> {
        let newest_ms = blocks.last()?.min_ms;
        let levels = self.ranges_ms.get(1..)?;
        levels.iter().find_map(|range_ms| {
            split_by_range(blocks, *range_ms).into_iter().find(|group| {
                let (first, last) = (group[0], group[group.len() - 1]);
                let full = last.max_ms.saturating_sub(first.min_ms) == *range_ms;
                let failed = group.iter().any(|meta| meta.compaction.failed);
                group.len() > 1 && !failed && (full || last.max_ms <= newest_ms)
            })
        })
    }

    /// The newest block that is worth writing again without its deleted samples.
    fn much_deleted(&self, blocks: &[&BlockMeta]) -> Option<Ulid> {
        let worth_it_ms = self.ranges_ms[self.ranges_ms.len() / 2];
        for meta in blocks.iter().rev() {
            let stats = &meta.stats;
            if meta.max_ms.saturating_sub(meta.min_ms) < worth_it_ms {
                // COMPAT: an interval counts as a series. Of a block in which nothing seems to be left the range does not matter,
                // and a small block ends the search.
                let all_gone = stats.num_tombstones > 0 && stats.num_tombstones >= stats.num_series;
                return all_gone.then_some(meta.ulid);
            }
            if stats.num_tombstones as f64 / (stats.num_series as f64 + 1.0) > DELETED_PART {
                return Some(meta.ulid);
            }
        }
        None
    }
}

/// Blocks of different classes are not merged; the lower class is planned first.
fn class(meta: &BlockMeta) -> usize {
    match () {
        () if meta.compaction.has_hint(Hint::FromStaleSeries) => 1,
        () if meta.compaction.has_hint(Hint::FromSelectedSeries) => 2,
        () => 0,
    }
}

/// The first run of blocks each of which begins before one of those before it ends. A run with a block whose compaction failed
/// before is left alone: it would fail again each minute.
fn overlapping<'a, 'm>(blocks: &'a [&'m BlockMeta]) -> Option<&'a [&'m BlockMeta]> {
    let mut end_ms = i64::MAX;
    let mut runs = blocks.chunk_by(|before, meta| {
        // The first pair of a run is the first that is asked about its first block.
        end_ms = if end_ms == i64::MAX { before.max_ms } else { end_ms.max(before.max_ms) };
        meta.min_ms < end_ms
    });
    runs.find(|run| run.len() > 1 && !run.iter().any(|meta| meta.compaction.failed))
}

/// Groups of neighbours that lie in one aligned range `[n × range_ms, (n + 1) × range_ms)`. Blocks that lie across a border are in
/// none.
fn split_by_range<'a, 'm>(blocks: &'a [&'m BlockMeta], range_ms: i64) -> Vec<&'a [&'m BlockMeta]> {
    let mut groups = Vec::new();
    let mut at = 0;
    while let Some(first) = blocks.get(at) {
        let end_ms = first.min_ms.div_euclid(range_ms).saturating_mul(range_ms).saturating_add(range_ms);
        let inside = blocks[at..].iter().take_while(|meta| meta.max_ms <= end_ms).count();
        if inside > 0 {
            groups.push(&blocks[at..at + inside]);
        }
        at += inside.max(1);
    }
    groups
}

#[cfg(test)]
mod tests {
    use narthex_block::Compaction;
    use proptest::prelude::*;

    use super::*;

    /// A block with a number for a name and a closed–open range.
    fn block(name: u128, min_ms: i64, max_ms: i64) -> BlockMeta {
        BlockMeta::new(Ulid::new(0, name), min_ms, max_ms, Compaction::default())
    }

    fn deleted(mut meta: BlockMeta, series: u64, tombstones: u64) -> BlockMeta {
        (meta.stats.num_series, meta.stats.num_tombstones) = (series, tombstones);
        meta
    }

    fn failed(mut meta: BlockMeta) -> BlockMeta {
        meta.compaction.failed = true;
        meta
    }

    fn hinted(mut meta: BlockMeta, hint: Hint) -> BlockMeta {
        meta.compaction.set_hint(hint);
        meta
    }

    /// Blocks with the names 1, 2, … from their ranges.
    fn blocks(ranges: &[(i64, i64)]) -> Vec<BlockMeta> {
        let numbered = (1..).zip(ranges);
        numbered.map(|(name, (min_ms, max_ms))| block(name, *min_ms, *max_ms)).collect()
    }

    /// Levels of 10, 30, 90 and 270 ms.
    #[track_caller]
    fn check_plan(blocks: &[BlockMeta], want: &[u128]) {
        let plan = Planner::new(10, 270, true).plan(blocks.iter());
        assert_eq!(plan, want.iter().map(|name| Ulid::new(0, *name)).collect::<Vec<_>>());
    }

    #[test]
    fn levels_grow_threefold_up_to_the_longest() {
        let ranges = |smallest, longest| Planner::new(smallest, longest, true).ranges_ms;
        assert_eq!(ranges(2, 36), [2, 6, 18]);
        assert_eq!(ranges(2, 1), [2], "the smallest is always there");
        assert_eq!(ranges(1, i64::MAX).len(), MOST_RANGES);
        assert_eq!(ranges(i64::MAX / 2, i64::MAX), [i64::MAX / 2]);
    }

    #[test]
    fn a_range_is_compacted_when_it_is_full_or_in_the_past() {
        check_plan(&blocks(&[(0, 10)]), &[]);
        check_plan(&blocks(&[(0, 10), (10, 20)]), &[]);
        check_plan(&blocks(&[(0, 10), (10, 20), (20, 30)]), &[]);
        // The newest block never counts: here the range is full without it.
        check_plan(&blocks(&[(0, 10), (10, 20), (20, 30), (30, 40)]), &[1, 2, 3]);
        // Not full, but the blocks behind it say that nothing more will come.
        check_plan(&blocks(&[(0, 10), (10, 20), (30, 40), (40, 50)]), &[1, 2]);
        // Gaps inside do not matter when the ends are there.
        check_plan(&blocks(&[(0, 10), (20, 30), (30, 40)]), &[1, 2]);
        // A lone block of a range stays.
        check_plan(&blocks(&[(0, 10), (30, 40), (60, 70)]), &[]);
        check_plan(&blocks(&[(-30, -20), (-20, -10), (0, 10), (10, 20)]), &[1, 2]);
    }

    #[test]
    fn low_levels_go_first_and_merge_upwards() {
        check_plan(&blocks(&[(0, 30), (30, 60), (60, 70), (70, 80), (80, 90), (90, 100)]), &[3, 4, 5]);
        check_plan(&blocks(&[(0, 30), (30, 60), (60, 90), (90, 100)]), &[1, 2, 3]);
        check_plan(&blocks(&[(0, 90), (90, 180), (180, 270), (270, 280)]), &[1, 2, 3]);
        check_plan(&blocks(&[(0, 270), (270, 540), (540, 810), (810, 820)]), &[]);
        // A block across a border of its range is in no group.
        check_plan(&blocks(&[(5, 35), (35, 45), (45, 55), (55, 60), (60, 70), (70, 80)]), &[2, 3, 4]);
    }

    #[test]
    fn overlaps_go_before_all_and_hang_together() {
        check_plan(&blocks(&[(0, 10), (10, 20), (20, 30), (30, 40), (35, 38)]), &[4, 5]);
        check_plan(&blocks(&[(0, 20), (19, 40), (40, 60)]), &[1, 2]);
        check_plan(&blocks(&[(0, 100), (10, 20), (50, 60), (99, 120), (120, 130)]), &[1, 2, 3, 4]);
        check_plan(&blocks(&[(0, 10), (20, 30), (20, 30), (25, 40), (50, 60), (55, 60)]), &[2, 3, 4]);
        check_plan(&blocks(&[(0, i64::MAX), (10, 20)]), &[1, 2]);
        let never = Planner::new(10, 270, false);
        assert_eq!(never.plan(blocks(&[(0, 20), (10, 30)]).iter()), []);
    }

    #[test]
    fn a_failed_block_keeps_its_group_from_being_tried_again() {
        let mut some = blocks(&[(0, 10), (10, 20), (20, 30), (30, 40), (40, 50), (50, 60), (60, 70)]);
        some[1] = failed(some[1].clone());
        check_plan(&some, &[4, 5, 6]);
        check_plan(&[failed(block(1, 0, 20)), block(2, 10, 30), block(3, 40, 50), block(4, 45, 50)], &[3, 4]);
    }

    #[test]
    fn blocks_with_many_deletes_are_written_again_when_they_are_long() {
        let long = |tombstones| deleted(block(1, 0, 540), 10, tombstones);
        let newer = [block(2, 540, 550), block(3, 550, 560)];
        let with = |first| [&[first], &newer[..]].concat();
        check_plan(&with(long(0)), &[]);
        // A small block ends the search before the long one is reached.
        check_plan(&with(long(10)), &[]);
        check_plan(&[long(10), newer[0].clone()], &[1]);
        check_plan(&[deleted(block(1, 0, 540), 100, 5), newer[0].clone()], &[]);
        check_plan(&[deleted(block(1, 0, 540), 100, 6), newer[0].clone()], &[1]);
        // All of it is deleted: the range does not matter. But the newest block is not looked at.
        check_plan(&[deleted(block(1, 0, 10), 10, 10), newer[0].clone()], &[1]);
        check_plan(&[deleted(block(1, 0, 10), 10, 9), newer[0].clone()], &[]);
        check_plan(&[deleted(block(1, 0, 10), 10, 10)], &[]);
    }

    #[test]
    fn parts_of_the_head_merge_only_with_their_like() {
        let stale = |name, min_ms, max_ms| hinted(block(name, min_ms, max_ms), Hint::FromStaleSeries);
        let selected = |name, min_ms, max_ms| hinted(block(name, min_ms, max_ms), Hint::FromSelectedSeries);
        let late = |name, min_ms, max_ms| hinted(block(name, min_ms, max_ms), Hint::FromOutOfOrder);
        check_plan(&[block(1, 0, 10), stale(2, 0, 10), selected(3, 0, 10)], &[]);
        check_plan(&[block(1, 0, 10), stale(2, 0, 10), stale(3, 5, 15)], &[2, 3]);
        check_plan(&[stale(1, 0, 10), stale(2, 5, 15), selected(3, 0, 10), selected(4, 0, 10)], &[1, 2]);
        check_plan(&[stale(1, 0, 10), stale(2, 5, 15), block(3, 0, 10), block(4, 0, 10)], &[3, 4]);
        // Late samples merge with whatever is there.
        check_plan(&[block(1, 0, 10), late(2, 0, 10)], &[1, 2]);
    }

    fn any_blocks() -> impl Strategy<Value = Vec<BlockMeta>> {
        let one = (-40..40i64, 1..30i64, 0..20u8, 0..3u64);
        prop::collection::vec(one, 0..30).prop_map(|blocks| {
            let make = |(name, (min, length, kind, tombstones))| {
                let meta: BlockMeta = deleted(block(name, min * 10, (min + length) * 10), 3, tombstones);
                match kind {
                    0 => failed(meta),
                    1 | 2 => hinted(meta, Hint::FromStaleSeries),
                    _ => meta,
                }
            };
            (1..).zip(blocks).map(make).collect()
        })
    }

    proptest! {
        /// Compacting as planned comes to an end, loses no block, and leaves no overlap but what failed.
        #[test]
        fn compaction_comes_to_rest(mut left in any_blocks()) {
            let planner = Planner::new(10, 270, true);
            let covered = |blocks: &[BlockMeta], t: i64| blocks.iter().any(|meta| meta.overlaps(t, t));
            let before = left.clone();
            for name in 1000.. {
                let plan = planner.plan(left.iter());
                if plan.is_empty() {
                    break;
                }
                prop_assert!(name < 1100, "still at work: {:?}", plan);
                let (chosen, kept): (Vec<_>, Vec<_>) = left.into_iter().partition(|meta| plan.contains(&meta.ulid));
                prop_assert_eq!(chosen.len(), plan.len());
                prop_assert!(!chosen.iter().any(|meta| meta.compaction.failed && plan.len() > 1));
                prop_assert!(chosen.iter().all(|meta| class(meta) == class(&chosen[0])), "classes are kept apart");
                let (min_ms, max_ms) = (chosen.iter().map(|m| m.min_ms).min(), chosen.iter().map(|m| m.max_ms).max());
                let mut merged = block(name, min_ms.unwrap(), max_ms.unwrap());
                merged.compaction = chosen[0].compaction.clone();
                merged.compaction.failed = false;
                merged.stats.num_series = 3;
                left = kept;
                left.push(merged);
            }
            for t in -500..800 {
                prop_assert!(covered(&left, t) || !covered(&before, t), "at {}", t);
            }
            left.sort_by_key(|meta| (class(meta), meta.min_ms));
            if !left.iter().any(|meta| meta.compaction.failed) {
                for pair in left.windows(2).filter(|pair| class(&pair[0]) == class(&pair[1])) {
                    prop_assert!(pair[0].max_ms <= pair[1].min_ms, "{:?} and {:?} overlap", pair[0], pair[1]);
                }
            }
        }
    }
}
