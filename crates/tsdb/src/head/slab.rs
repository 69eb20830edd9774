//! The slab: pages by number, slots by reference.
//!
//! A slot is a dense 32-bit number from 1 on: page number and place in the page. A reference is the slot plus the generation of
//! the slot in the high 32 bits: the slot may be used again, the reference never. Young heads have generation 0, so that their
//! references are small and cost few bytes in the WAL.
//! Pages are found without a lock: two look-ups in arrays that only ever gain entries.
//! COMPAT: Prometheus has 40 bits for a reference, or it panics: a slot is used at most 256 times between two restarts.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use narthex_storage::SeriesRef;
use parking_lot::Mutex;
use rustc_hash::FxHashSet;

use super::page::{PAGE_SLOTS, Page};

/// Pages of a directory entry.
const FAN: usize = 1024;
/// Directory entries: 2^30 slots in all, half of them for series that replay has to move.
const DIRECTORY: usize = 4096;

/// A place for a series.
pub(crate) type Slot = u32;

/// Slots from here on are for series that replay could not leave where the WAL has them.
pub(crate) const MOVED: Slot = 1 << 29;

/// Highest generation of a slot that is used again.
pub(crate) const GENERATION_MAX: u32 = 255;

/// The pages of a directory entry.
type Fan = Box<[OnceLock<Page>]>;

/// All pages.
pub(crate) struct Slab {
    directory: Box<[OnceLock<Fan>]>,
    /// The next slot that was never used.
    next: AtomicU32,
    /// The next slot of the upper half that was never used.
    next_moved: AtomicU32,
    free: FreeSlots,
    /// Slots that some log or file names without having a series: not to be given to a new one. Set at the end of replay.
    named: OnceLock<FxHashSet<Slot>>,
}

/// Slots of series that are gone, to be used again. Lock: a leaf.
#[derive(Default)]
struct FreeSlots {
    /// How many there are: spares those who make series a lock while there is none.
    count: AtomicU32,
    /// The next references, the lowest slot last: series that left together mostly lay together.
    references: Mutex<Vec<SeriesRef>>,
}

impl Slab {
    pub(crate) fn new() -> Self {
        Self {
            directory: (0..DIRECTORY).map(|_| OnceLock::new()).collect(),
            next: AtomicU32::new(1),
            next_moved: AtomicU32::new(MOVED),
            free: FreeSlots::default(),
            named: OnceLock::new(),
        }
    }

    /// A reference for a new series; its page exists. `None` when all 2^29 slots are in use.
    pub(crate) fn take(&self) -> Option<SeriesRef> {
        if self.free.count.load(Ordering::Relaxed) > 0
            && let Some(free) = self.free.references.lock().pop()
        {
            self.free.count.fetch_sub(1, Ordering::Relaxed);
            return Some(free);
        }
        loop {
            let slot = self.take_from(&self.next, MOVED)?;
            if self.named.get().is_none_or(|named| !named.contains(&slot)) {
                return Some(reference(0, slot));
            }
        }
    }

    /// Takes the slots of series back that nobody knows any more, neither a reader nor the WAL.
    pub(crate) fn give_back(&self, gone: impl Iterator<Item = SeriesRef>) {
        let next = gone.filter(|series| generation(*series) < GENERATION_MAX);
        let next: Vec<SeriesRef> = next.map(next_reference).collect();
        let mut free = self.free.references.lock();
        self.free.count.fetch_add(next.len() as u32, Ordering::Relaxed);
        free.extend(next);
        free.sort_unstable_by_key(|series| std::cmp::Reverse(series.0 as Slot));
    }

    /// Makes the vacant slots below the used ones free, but for those that some log or file names: for the end of replay, or
    /// slots would be lost at each restart.
    pub(crate) fn free_vacant(&self, named: FxHashSet<Slot>) {
        let named = self.named.get_or_init(|| named);
        let next = self.next.load(Ordering::Relaxed);
        let is_vacant = |slot: &Slot| match self.page(*slot) {
            Some(page) => page.generation(place(*slot)).is_none() && !named.contains(slot),
            // Its page is made with its first series.
            None => false,
        };
        let free: Vec<SeriesRef> = (1..next).rev().filter(is_vacant).map(|slot| reference(0, slot)).collect();
        let mut references = self.free.references.lock();
        self.free.count.store(free.len() as u32, Ordering::Relaxed);
        *references = free;
    }

    /// All pages, by rising number.
    pub(crate) fn pages(&self) -> impl Iterator<Item = (u32, &Page)> {
        let fans = self.directory.iter().enumerate().filter_map(|(at, fan)| Some((at, fan.get()?)));
        fans.flat_map(|(at, fan)| {
            let pages = fan.iter().enumerate();
            pages.filter_map(move |(n, page)| Some(((at * FAN + n) as u32, page.get()?)))
        })
    }

    /// The same from the upper half: for a series whose slot in the WAL is no good, so that it does not take the slot of
    /// the next one.
    pub(crate) fn take_moved(&self) -> Option<Slot> {
        self.take_from(&self.next_moved, (DIRECTORY * FAN * PAGE_SLOTS) as u32)
    }

    fn take_from(&self, next: &AtomicU32, limit: u32) -> Option<Slot> {
        let slot = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < limit).then_some(n + 1));
        let slot = slot.ok()?;
        self.make_page(slot);
        Some(slot)
    }

    /// Makes sure that slots up to `slot` count as used and that its page exists: for replay, which brings slots along.
    /// `false` when the slot is not free or out of bounds.
    pub(crate) fn take_at(&self, slot: Slot) -> bool {
        if slot == 0 || slot >= MOVED {
            return false;
        }
        self.next.fetch_max(slot + 1, Ordering::Relaxed);
        self.make_page(slot);
        self.page(slot).is_some_and(|page| page.generation(place(slot)).is_none())
    }

    fn make_page(&self, slot: Slot) {
        let number = slot as usize / PAGE_SLOTS;
        let fan = self.directory[number / FAN].get_or_init(|| (0..FAN).map(|_| OnceLock::new()).collect());
        fan[number % FAN].get_or_init(Page::new);
    }

    /// The page of a slot, if there is one.
    #[inline]
    pub(crate) fn page(&self, slot: Slot) -> Option<&Page> {
        self.page_at(page_number(slot))
    }

    /// A page by its number.
    #[inline]
    pub(crate) fn page_at(&self, number: u32) -> Option<&Page> {
        let number = number as usize;
        self.directory.get(number / FAN)?.get()?[number % FAN].get()
    }

    /// The page and slot of a reference whose series exists.
    #[inline]
    pub(crate) fn find(&self, series: SeriesRef) -> Option<(&Page, Slot)> {
        let slot = series.0 as u32;
        let page = self.page(slot)?;
        (page.generation(place(slot)) == Some(generation(series))).then_some((page, slot))
    }
}

/// Finds pages for slots that mostly lie in the page of the slot before.
pub(crate) struct PageCursor<'a> {
    slab: &'a Slab,
    page: Option<(u32, &'a Page)>,
}

impl<'a> PageCursor<'a> {
    pub(crate) fn new(slab: &'a Slab) -> Self {
        Self { slab, page: None }
    }

    /// The page of a slot and its place there.
    #[inline]
    pub(crate) fn find(&mut self, slot: Slot) -> Option<(&'a Page, usize)> {
        let number = page_number(slot);
        match self.page {
            Some((n, page)) if n == number => Some((page, place(slot))),
            _ => {
                let page = self.slab.page_at(number)?;
                self.page = Some((number, page));
                Some((page, place(slot)))
            }
        }
    }
}

/// The slot at a place of a page.
pub(crate) fn slot_at(page: u32, place: usize) -> Slot {
    page * PAGE_SLOTS as u32 + place as u32
}

/// The page that a slot is in.
#[inline]
pub(crate) fn page_number(slot: Slot) -> u32 {
    slot / PAGE_SLOTS as u32
}

/// The place of a slot in its page.
#[inline]
pub(crate) fn place(slot: Slot) -> usize {
    slot as usize % PAGE_SLOTS
}

/// How often the slot was used before.
#[inline]
pub(crate) fn generation(series: SeriesRef) -> u32 {
    (series.0 >> 32) as u32
}

/// The reference of the series that is next in the same slot.
pub(crate) fn next_reference(series: SeriesRef) -> SeriesRef {
    reference(generation(series) + 1, series.0 as Slot)
}

/// The reference of the series in a slot.
#[inline]
pub(crate) fn reference(generation: u32, slot: Slot) -> SeriesRef {
    SeriesRef(u64::from(generation) << 32 | u64::from(slot))
}
