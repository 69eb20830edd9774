//! Postings: which slots have a label pair. A set of 32-bit numbers whose size ranges from one to millions.
//!
//! Up to five slots lie in the value itself, some dozens in a sorted list, more in a roaring bitmap.
//! PERF: a label with a value of its own for each series (a pod, an id) makes as many sets as series: those must cost no
//! allocation. A bitmap costs about 200 bytes before its first element, so it starts where a list costs as much.

use roaring::RoaringBitmap;

const INLINE: usize = 5;
const LIST_MAX: usize = 48;

/// A set of slots.
#[derive(Debug)]
pub(crate) enum Postings {
    /// Sorted; only the first `len` count.
    Inline { len: u8, slots: [u32; INLINE] },
    /// Sorted; its room grows by eight.
    List(Vec<u32>),
    /// Everything larger.
    Bitmap(Box<RoaringBitmap>),
}

impl Default for Postings {
    fn default() -> Self {
        Self::Inline { len: 0, slots: [0; INLINE] }
    }
}

impl Postings {
    /// How many slots.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Inline { len, .. } => u64::from(*len),
            Self::List(slots) => slots.len() as u64,
            Self::Bitmap(bitmap) => bitmap.len(),
        }
    }

    /// How many slots are in `set` too.
    pub(crate) fn len_in(&self, set: &RoaringBitmap) -> u64 {
        match self {
            Self::Bitmap(bitmap) => bitmap.intersection_len(set),
            small => small.small().iter().filter(|slot| set.contains(**slot)).count() as u64,
        }
    }

    /// Adds a slot; adding it twice is harmless.
    pub(crate) fn insert(&mut self, slot: u32) {
        match self {
            Self::Inline { len, slots } => {
                let used = usize::from(*len);
                let Err(at) = slots[..used].binary_search(&slot) else { return };
                if used < INLINE {
                    slots.copy_within(at..used, at + 1);
                    slots[at] = slot;
                    *len += 1;
                    return;
                }
                let mut list = Vec::with_capacity(8);
                list.extend_from_slice(slots);
                list.insert(at, slot);
                *self = Self::List(list);
            }
            Self::List(list) => {
                let Err(at) = list.binary_search(&slot) else { return };
                if list.len() == LIST_MAX {
                    let mut bitmap: RoaringBitmap = list.iter().copied().collect();
                    bitmap.insert(slot);
                    *self = Self::Bitmap(Box::new(bitmap));
                    return;
                }
                if list.len() == list.capacity() {
                    list.reserve_exact(8);
                }
                list.insert(at, slot);
            }
            // New slots are mostly the highest: that path skips the search.
            Self::Bitmap(bitmap) => {
                if bitmap.try_push(slot).is_err() {
                    bitmap.insert(slot);
                }
            }
        }
    }

    /// Adds all slots in `[first, last]`.
    pub(crate) fn insert_run(&mut self, first: u32, last: u32) {
        for slot in first..=last {
            match self {
                Self::Bitmap(bitmap) if slot < last => {
                    bitmap.insert_range(slot..=last);
                    return;
                }
                _ => self.insert(slot),
            }
        }
    }

    /// Takes slots out, which rise; those that are not there are passed over. Goes back to a smaller form when few stay.
    pub(crate) fn remove(&mut self, gone: &[u32]) {
        if let Self::Bitmap(bitmap) = self {
            let gone = RoaringBitmap::from_sorted_iter(gone.iter().copied()).expect("the slots rise");
            **bitmap -= gone;
            // Half of what makes a bitmap, so that a set of about that size does not go back and forth.
            if bitmap.len() > LIST_MAX as u64 / 2 {
                return;
            }
        }
        let mut left: Vec<u32> = match self {
            Self::Bitmap(bitmap) => bitmap.iter().collect(),
            ref small => small.small().iter().copied().filter(|s| gone.binary_search(s).is_err()).collect(),
        };
        if left.len() > INLINE {
            left.shrink_to(left.len().next_multiple_of(8));
            *self = Self::List(left);
            return;
        }
        let mut slots = [0; INLINE];
        slots[..left.len()].copy_from_slice(&left);
        *self = Self::Inline { len: left.len() as u8, slots };
    }

    /// Adds all slots to `into`.
    pub(crate) fn add_to(&self, into: &mut RoaringBitmap) {
        match self {
            Self::Bitmap(bitmap) => *into |= &**bitmap,
            small => into.extend(small.small().iter().copied()),
        }
    }

    /// Takes all slots out of `from`.
    pub(crate) fn remove_from(&self, from: &mut RoaringBitmap) {
        match self {
            Self::Bitmap(bitmap) => *from -= &**bitmap,
            small => small.small().iter().for_each(|slot| {
                from.remove(*slot);
            }),
        }
    }

    /// Keeps only the slots of `set` that are here too.
    pub(crate) fn intersect(&self, set: &mut RoaringBitmap) {
        match self {
            Self::Bitmap(bitmap) => *set &= &**bitmap,
            small => *set = small.small().iter().copied().filter(|slot| set.contains(*slot)).collect(),
        }
    }

    fn small(&self) -> &[u32] {
        match self {
            Self::Inline { len, slots } => &slots[..usize::from(*len)],
            Self::List(list) => list,
            Self::Bitmap(_) => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn postings_are_a_plain_set(
            inserts in prop::collection::vec(0u32..2_000, 0..300),
            gone in prop::collection::btree_set(0u32..2_000, 0..2_000),
            again in prop::collection::vec(0u32..2_000, 0..100),
            runs in prop::collection::vec((0u32..2_000, 0u32..100), 0..20),
            other in prop::collection::btree_set(0u32..2_000, 0..300),
        ) {
            let (mut postings, mut twin) = (Postings::default(), BTreeSet::new());
            let base: RoaringBitmap = other.iter().copied().collect();
            for slot in inserts {
                postings.insert(slot);
                twin.insert(slot);
            }
            postings.remove(&gone.iter().copied().collect::<Vec<_>>());
            twin.retain(|slot| !gone.contains(slot));
            for slot in again {
                postings.insert(slot);
                twin.insert(slot);
            }
            for (first, more) in runs {
                postings.insert_run(first, first + more);
                twin.extend(first..=first + more);
            }
            prop_assert_eq!(postings.len(), twin.len() as u64);
            let mut alone = RoaringBitmap::new();
            postings.add_to(&mut alone);
            prop_assert!(alone.iter().eq(twin.iter().copied()));
            let (mut or, mut and, mut sub) = (base.clone(), base.clone(), base);
            postings.add_to(&mut or);
            postings.intersect(&mut and);
            postings.remove_from(&mut sub);
            prop_assert!(or.iter().eq(twin.union(&other).copied()));
            prop_assert!(and.iter().eq(twin.intersection(&other).copied()));
            prop_assert!(sub.iter().eq(other.difference(&twin).copied()));
        }
    }
}
