//! From a line to its series without a hash: what the last body of a target looked like, line by line.
//!
//! Holds: the raw bytes (name and labels as written) of each line of the last good body, front-coded, and a [`Slot`] for
//! each: series reference and state. A pass over the next body compares line by line; the bytes of the cached line are also the
//! parser's hint, so a line that is where it was is neither tokenised nor hashed. The first line that differs turns the pass
//! into a *changed* one (`changed`), which looks lines up in a hash map built for this pass only.
//! Always true: two lines of one body with the same bytes share a series; the second one's slot is marked `again`. Equality
//! is exact, there is no hash to collide. No label is kept: a series that must be resolved anew is decoded from the body.
//! Memory a series: 8 bytes of slot and, front-coded, about a third of its line (20 to 40 bytes); nothing else lives between scrapes.
//! Must not know: the appender, relabeling, the parser. Slow twin: `tests::Plain`.

mod changed;
mod front_coded;
mod slot;

use narthex_storage::SeriesRef;

pub(crate) use slot::Slot;

use changed::Changed;
use front_coded::{FrontCoded, Walk};

/// The lines of one target's last good body.
#[derive(Debug, Default)]
pub(crate) struct SeriesCache {
    lines: FrontCoded,
    slots: Vec<Slot>,
    /// Nothing of the cache may be believed but which series have to be marked stale.
    relearn: bool,
}

/// What is known about a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Not seen before; resolve it and call [`Pass::add`].
    New,
    /// The line at this slot.
    Known(usize),
    /// A line that already stood in this body, at this slot.
    Again(usize),
}

/// Reused by all passes of a thread: the bytes of the cached line that is expected next.
#[derive(Debug, Default)]
pub(crate) struct Hint(Walk);

impl SeriesCache {
    /// Makes the next pass resolve every series anew, because what becomes of a line changed (relabeling, limits).
    pub(crate) fn relearn(&mut self) {
        self.relearn = true;
    }

    /// Heap bytes held.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.lines.heap_bytes() + self.slots.capacity() * size_of::<Slot>()
    }

    /// Starts a pass over a body.
    pub(crate) fn pass<'c>(&'c mut self, hint: &'c mut Hint) -> Pass<'c> {
        hint.0.restart();
        let known = self.slots.len();
        let changed = self.relearn.then(|| Box::new(Changed::unbelieved(known)));
        let mut pass = Pass { cache: self, hint: &mut hint.0, at: 0, known, changed, fresh: false };
        if pass.changed.is_none() {
            pass.expect_next();
        }
        pass
    }

    /// Empties the list of live series into `stale`: the scrape failed. The lines stay known.
    pub(crate) fn end_all(&mut self, stale: &mut Vec<SeriesRef>) {
        for slot in &mut self.slots {
            let fresh = slot.is_fresh();
            if slot.set_tracked(false) && !fresh {
                stale.extend(slot.series());
            }
        }
    }
}

/// A walk over one body.
pub(crate) struct Pass<'c> {
    cache: &'c mut SeriesCache,
    hint: &'c mut Walk,
    /// The slot that the next line is expected at, as long as nothing changed.
    at: usize,
    /// How many slots the pass began with.
    known: usize,
    changed: Option<Box<Changed>>,
    /// Whether a line became tracked in this pass.
    fresh: bool,
}

impl Pass<'_> {
    /// The raw bytes that the next series line probably has; empty when there is no guess.
    #[inline]
    pub(crate) fn hint(&self) -> &[u8] {
        self.hint.line()
    }

    /// Finds the line. `as_hinted` says that `raw` equals [`Pass::hint`].
    #[inline]
    pub(crate) fn place(&mut self, raw: &[u8], as_hinted: bool) -> Place {
        match if as_hinted { self.place_expected() } else { None } {
            Some(place) => place,
            None => self.place_changed(raw),
        }
    }

    /// Finds the line that is expected next, which the caller knows to stand here; `None` once the body has changed: then ask
    /// for its place by its bytes.
    #[inline]
    pub(crate) fn place_expected(&mut self) -> Option<Place> {
        // PERF: the fast path. Targets expose their series in a fixed order, so a line is nearly always where it was.
        if self.changed.is_some() || self.at >= self.known {
            return None;
        }
        let found = self.at;
        self.at += 1;
        self.expect_next();
        let again = self.cache.slots[found].is_again();
        Some(if again { Place::Again(found) } else { Place::Known(found) })
    }

    #[cold]
    fn place_changed(&mut self, raw: &[u8]) -> Place {
        let Self { cache, changed, at, .. } = self;
        let changed =
            changed.get_or_insert_with(|| Box::new(Changed::after(*at, &cache.lines, &cache.slots)));
        let place = changed.place(raw, &cache.slots);
        self.hint.set(changed.expected());
        place
    }

    /// Remembers a line that was [`Place::New`] and resolved to `slot`. Returns where.
    pub(crate) fn add(&mut self, raw: &[u8], slot: Slot) -> usize {
        let changed = self.changed.as_mut().expect("a new line is only found by a changed pass");
        self.cache.slots.push(slot);
        changed.add(raw);
        self.cache.slots.len() - 1
    }

    /// The slot of a line.
    #[inline]
    pub(crate) fn slot(&mut self, at: usize) -> &mut Slot {
        &mut self.cache.slots[at]
    }

    /// Says whether the series of a line is to be marked stale when the line goes. Returns what held before.
    #[inline]
    pub(crate) fn set_tracked(&mut self, at: usize, tracked: bool) -> bool {
        let before = self.cache.slots[at].set_tracked(tracked);
        self.fresh |= tracked && !before;
        before
    }

    /// Ends a pass over a good body: series that were live and are not among its lines any more are added to `stale`, and the cache
    /// holds exactly the lines of this body.
    pub(crate) fn finish(self, stale: &mut Vec<SeriesRef>) {
        let Self { cache, at, known, changed, fresh, .. } = self;
        cache.relearn = false;
        if fresh {
            cache.slots.iter_mut().for_each(Slot::set_settled);
        }
        let mut ended = Vec::new();
        match changed {
            None if at == known => return,
            None => {
                collect_live(&cache.slots[at..], &mut ended);
                cache.slots.truncate(at);
                cache.lines.truncate_lines(at);
            }
            Some(changed) => {
                let gone = changed.unseen(&cache.slots);
                collect_live(&gone, &mut ended);
                (cache.lines, cache.slots) = changed.into_order(&cache.slots);
            }
        }
        cache.slots.shrink_to(cache.slots.len() + cache.slots.len() / 8);
        retain_ended(&mut ended, &cache.slots);
        stale.append(&mut ended);
    }

    /// Ends a pass over a body that turned out bad: what it taught is forgotten, and every live series is added to `stale`.
    pub(crate) fn abandon(self, stale: &mut Vec<SeriesRef>) {
        self.cache.slots.truncate(self.known);
        self.cache.end_all(stale);
    }

    fn expect_next(&mut self) {
        self.hint.advance(&self.cache.lines);
    }
}

fn collect_live(slots: &[Slot], live: &mut Vec<SeriesRef>) {
    live.extend(slots.iter().filter(|slot| slot.is_tracked()).filter_map(|slot| slot.series()));
}

/// Drops from `ended` the series that another line of the body carries on: the same labels, written otherwise.
fn retain_ended(ended: &mut Vec<SeriesRef>, slots: &[Slot]) {
    if ended.is_empty() {
        return;
    }
    let mut left: std::collections::HashSet<SeriesRef, foldhash::fast::RandomState> =
        ended.iter().copied().collect();
    for slot in slots.iter().filter(|slot| slot.is_tracked()) {
        if let Some(series) = slot.series() {
            left.remove(&series);
        }
    }
    ended.retain(|series| left.remove(series));
}

#[cfg(test)]
mod tests;
