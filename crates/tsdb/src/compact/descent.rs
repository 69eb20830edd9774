//! What a merged block says about where it comes from.
//!
//! Facts: Prometheus `tsdb/compact.go`, `CompactBlockMetas`: a block is out of order only when all of its parents are, for only
//! then it says nothing about how far the data in order reach; of stale or chosen series as soon as one parent is.

use narthex_block::{BlockMeta, Compaction, Hint};

/// The origin of a block that is made from others; there is at least one.
pub(crate) fn child_of(parents: &[&BlockMeta]) -> Compaction {
    let mut child = Compaction::default();
    for parent in parents {
        let origin = &parent.compaction;
        child.level = child.level.max(origin.level);
        child.sources.extend_from_slice(&origin.sources);
        child.parents.push(parent.desc());
        for hint in [Hint::FromStaleSeries, Hint::FromSelectedSeries] {
            if origin.has_hint(hint) {
                child.set_hint(hint);
            }
        }
    }
    if parents.iter().all(|parent| parent.compaction.has_hint(Hint::FromOutOfOrder)) {
        child.set_hint(Hint::FromOutOfOrder);
    }
    child.level += 1;
    child.sources.sort_unstable();
    child.sources.dedup();
    child
}

#[cfg(test)]
mod tests {
    use narthex_block::Ulid;

    use super::*;

    fn parent(name: u128, level: u32, sources: &[u128], hints: &[Hint]) -> BlockMeta {
        let mut compaction = Compaction::default();
        compaction.level = level;
        compaction.sources = sources.iter().map(|name| Ulid::new(0, *name)).collect();
        hints.iter().for_each(|hint| compaction.set_hint(*hint));
        BlockMeta::new(Ulid::new(0, name), name as i64, name as i64 + 1, compaction)
    }

    #[test]
    fn a_child_names_its_parents_and_every_source_once() {
        let (a, b) = (parent(7, 1, &[3, 1], &[]), parent(8, 4, &[3, 2], &[]));
        let child = child_of(&[&a, &b]);
        assert_eq!(child.level, 5);
        assert_eq!(child.sources, [1, 2, 3].map(|name| Ulid::new(0, name)));
        assert_eq!(child.parents, [a.desc(), b.desc()]);
        assert!(child.hints.is_empty());
    }

    #[test]
    fn hints_pass_on_when_they_are_still_true() {
        use Hint::{FromOutOfOrder, FromSelectedSeries, FromStaleSeries};
        let hints = |of: &[&[Hint]]| {
            let parents: Vec<BlockMeta> = of.iter().map(|hints| parent(1, 1, &[1], hints)).collect();
            child_of(&parents.iter().collect::<Vec<_>>()).hints
        };
        assert_eq!(hints(&[&[FromOutOfOrder], &[FromOutOfOrder]]), ["from-out-of-order"]);
        assert!(hints(&[&[FromOutOfOrder], &[]]).is_empty());
        assert_eq!(hints(&[&[FromStaleSeries], &[]]), ["from-stale-series"]);
        assert_eq!(hints(&[&[], &[FromSelectedSeries]]), ["from-selected-series"]);
    }
}
