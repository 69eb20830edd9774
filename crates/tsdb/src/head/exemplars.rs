//! Exemplars: a ring of fixed size; the newest push the oldest out, whatever series they belong to.
//!
//! Always true: the entries of a series form a list in the order of their timestamps, those of one moment in the order of their
//! arrival; only inside the out-of-order window does that differ from the order of all arrivals, in which they leave. The ring
//! knows the labels of series that left the head.

use std::collections::HashMap;

use narthex_model::{Exemplar, Labels};
use narthex_storage::{AppendError, SeriesRef};
use rustc_hash::FxBuildHasher;

/// Most characters of an exemplar's labels together, from OpenMetrics.
const LABELS_MAX_CHARS: usize = 128;

/// See the module's words.
pub(crate) struct ExemplarRing {
    entries: Vec<Entry>,
    capacity: usize,
    /// An exemplar may be less than this older than the newest of its series, ms; 0: not at all.
    window_ms: i64,
    /// Where the next one goes once the ring is full.
    next: usize,
    series: HashMap<SeriesRef, Chain, FxBuildHasher>,
    /// Labels of series with exemplars that left.
    labels: HashMap<SeriesRef, Labels, FxBuildHasher>,
    /// How many were taken, and refused for their order, since start.
    pub(crate) appended: u64,
    pub(crate) out_of_order: u64,
}

struct Entry {
    series: SeriesRef,
    exemplar: Exemplar,
    /// The next newer and the next older one of the series.
    newer: Option<usize>,
    older: Option<usize>,
}

#[derive(Clone, Copy)]
struct Chain {
    oldest: usize,
    newest: usize,
}

impl ExemplarRing {
    pub(crate) fn new(capacity: usize, window_ms: i64) -> Self {
        let (series, labels) = (HashMap::default(), HashMap::default());
        let entries = Vec::new();
        Self { entries, capacity, window_ms, next: 0, series, labels, appended: 0, out_of_order: 0 }
    }

    /// Changes how late an exemplar may be.
    pub(crate) fn set_window_ms(&mut self, window_ms: i64) {
        self.window_ms = window_ms;
    }

    /// Whether an exemplar may be added: `false` for one that is there already.
    pub(crate) fn check(&self, series: SeriesRef, exemplar: &Exemplar) -> Result<bool, AppendError> {
        let chars: usize = exemplar.labels.iter().map(|(n, v)| n.chars().count() + v.chars().count()).sum();
        if chars > LABELS_MAX_CHARS {
            return Err(AppendError::ExemplarLabelLength);
        }
        let Some(chain) = self.series.get(&series) else { return Ok(true) };
        let newest = &self.entries[chain.newest].exemplar;
        if exemplar.t_ms < newest.t_ms {
            let late = time(newest).saturating_sub(self.window_ms) >= time(exemplar);
            return if late { Err(AppendError::OutOfOrderExemplar) } else { Ok(true) };
        }
        let order = exemplar
            .t_ms
            .cmp(&newest.t_ms)
            .then(exemplar.value.total_cmp(&newest.value))
            .then_with(|| exemplar.labels.stable_hash().cmp(&newest.labels.stable_hash()));
        match order {
            std::cmp::Ordering::Less => Err(AppendError::OutOfOrderExemplar),
            std::cmp::Ordering::Equal => Ok(false),
            std::cmp::Ordering::Greater => Ok(true),
        }
    }

    /// Adds an exemplar that still passes [`Self::check`].
    pub(crate) fn add(&mut self, series: SeriesRef, exemplar: Exemplar) {
        match self.check(series, &exemplar) {
            Ok(true) if self.capacity > 0 => {}
            Err(AppendError::OutOfOrderExemplar) => return self.out_of_order += 1,
            _ => return,
        }
        // COMPAT: of late exemplars one of each moment is kept.
        if self.older_than(series, &exemplar).is_some_and(|at| {
            let found = &self.entries[at];
            found.newer.is_some() && found.exemplar.t_ms == exemplar.t_ms
        }) {
            return;
        }
        self.appended += 1;
        let entry = Entry { series, exemplar, newer: None, older: None };
        let at = if self.entries.len() < self.capacity {
            self.entries.push(entry);
            self.entries.len() - 1
        } else {
            let at = self.next;
            self.unlink(at);
            self.entries[at] = entry;
            self.next = (at + 1) % self.capacity;
            at
        };
        self.link(at);
    }

    /// The newest entry of the series that is no newer than `exemplar`.
    fn older_than(&self, series: SeriesRef, exemplar: &Exemplar) -> Option<usize> {
        let mut next = self.series.get(&series).map(|chain| chain.newest);
        while let Some(at) = next.filter(|at| self.entries[*at].exemplar.t_ms > exemplar.t_ms) {
            next = self.entries[at].older;
        }
        next
    }

    /// Puts an entry into the chain of its series.
    fn link(&mut self, at: usize) {
        let series = self.entries[at].series;
        let Some(chain) = self.series.get(&series).copied() else {
            self.series.insert(series, Chain { oldest: at, newest: at });
            return;
        };
        let older = self.older_than(series, &self.entries[at].exemplar);
        let newer = older.map_or(Some(chain.oldest), |older| self.entries[older].newer);
        (self.entries[at].older, self.entries[at].newer) = (older, newer);
        self.join(series, older, Some(at));
        self.join(series, Some(at), newer);
    }

    /// Makes two entries of a series neighbours; `None` is the end of its chain.
    fn join(&mut self, series: SeriesRef, older: Option<usize>, newer: Option<usize>) {
        if let Some(older) = older {
            self.entries[older].newer = newer;
        }
        if let Some(newer) = newer {
            self.entries[newer].older = older;
        }
        let Some(chain) = self.series.get_mut(&series) else { return };
        match (older, newer) {
            (None, Some(newer)) => chain.oldest = newer,
            (Some(older), None) => chain.newest = older,
            (None, None) | (Some(_), Some(_)) => {}
        }
    }

    /// Changes how many there may be and keeps the newest. Costs time with the number kept. Returns how many those are.
    pub(crate) fn resize(&mut self, capacity: usize) -> usize {
        if capacity == self.capacity {
            return self.len();
        }
        let oldest = if self.entries.len() < self.capacity { 0 } else { self.next };
        let mut entries = std::mem::take(&mut self.entries);
        entries.rotate_left(oldest);
        entries.drain(..entries.len().saturating_sub(capacity));
        let (appended, out_of_order) = (self.appended, self.out_of_order);
        let labels = std::mem::take(&mut self.labels);
        *self = Self::new(capacity, self.window_ms);
        for entry in entries {
            self.add(entry.series, entry.exemplar);
        }
        (self.appended, self.out_of_order) = (appended, out_of_order);
        self.labels = labels.into_iter().filter(|(series, _)| self.series.contains_key(series)).collect();
        self.len()
    }

    /// Takes an entry out of the chain of its series.
    fn unlink(&mut self, at: usize) {
        let Entry { series, older, newer, .. } = self.entries[at];
        self.join(series, older, newer);
        if older.is_none() && newer.is_none() {
            self.series.remove(&series);
            self.labels.remove(&series);
        }
    }

    /// Remembers the labels of a series that is about to leave, if it has exemplars.
    pub(crate) fn adopt(&mut self, series: SeriesRef, labels: &Labels) {
        if self.series.contains_key(&series) {
            self.labels.insert(series, labels.clone());
        }
    }

    /// The labels of a series that left.
    pub(crate) fn labels(&self, series: SeriesRef) -> Option<&Labels> {
        self.labels.get(&series)
    }

    /// All exemplars with their series, in the order of their arrival.
    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = (SeriesRef, &Exemplar)> {
        let oldest = if self.entries.len() < self.capacity { 0 } else { self.next };
        let (newer, older) = self.entries.split_at(oldest.min(self.entries.len()));
        older.iter().chain(newer).map(|entry| (entry.series, &entry.exemplar))
    }

    /// Every series with its exemplars in `[start_ms, end_ms]`, oldest first; series without any are left out.
    pub(crate) fn in_range(&self, start_ms: i64, end_ms: i64) -> Vec<(SeriesRef, Vec<Exemplar>)> {
        let of = |chain: &Chain| {
            let mut next = Some(chain.oldest);
            let mut found = Vec::new();
            while let Some(entry) = next.map(|at| &self.entries[at]) {
                if (start_ms..=end_ms).contains(&entry.exemplar.t_ms.unwrap_or(0)) {
                    found.push(entry.exemplar.clone());
                }
                next = entry.newer;
            }
            found
        };
        let all = self.series.iter().map(|(series, chain)| (*series, of(chain)));
        all.filter(|(_, found)| !found.is_empty()).collect()
    }

    /// Gives series other references.
    pub(crate) fn rename(&mut self, new: impl Fn(SeriesRef) -> SeriesRef) {
        self.entries.iter_mut().for_each(|entry| entry.series = new(entry.series));
        self.series = self.series.drain().map(|(series, chain)| (new(series), chain)).collect();
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn series_count(&self) -> usize {
        self.series.len()
    }

    /// Timestamp of the oldest exemplar, ms; 0 for none.
    pub(crate) fn oldest_ms(&self) -> i64 {
        let at = if self.entries.len() < self.capacity { 0 } else { self.next };
        self.entries.get(at).and_then(|e| e.exemplar.t_ms).unwrap_or(0)
    }
}

fn time(exemplar: &Exemplar) -> i64 {
    exemplar.t_ms.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use narthex_model::Labels;

    use super::*;

    fn exemplar(t_ms: i64, value: f64) -> Exemplar {
        Exemplar { labels: Labels::from_pairs([("trace_id", "x")]), value, t_ms: Some(t_ms) }
    }

    #[test]
    fn the_oldest_leave_first_and_chains_stay_whole() {
        let mut ring = ExemplarRing::new(3, 0);
        let (a, b) = (SeriesRef(1), SeriesRef(2));
        for (series, t) in [(a, 1), (b, 1), (a, 2), (a, 3), (b, 2), (b, 3)] {
            ring.add(series, exemplar(t, 0.0));
        }
        let mut got: Vec<_> = ring.in_range(i64::MIN, i64::MAX);
        got.sort_by_key(|(series, _)| *series);
        assert_eq!(got, [(a, vec![exemplar(3, 0.0)]), (b, vec![exemplar(2, 0.0), exemplar(3, 0.0)])]);
        assert_eq!((ring.len(), ring.series_count(), ring.oldest_ms()), (3, 2, 3));
    }

    /// Rings that are resized now and then, against the plain list of all that was added.
    #[test]
    fn a_resized_ring_holds_the_newest() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut ring = ExemplarRing::new(4, 0);
        let mut plain: Vec<(SeriesRef, Exemplar)> = Vec::new();
        for t_ms in 0..500 {
            let series = SeriesRef(random.u64(1..5));
            ring.add(series, exemplar(t_ms, 1.0));
            plain.push((series, exemplar(t_ms, 1.0)));
            let mut capacity = ring.capacity();
            plain.drain(..plain.len().saturating_sub(capacity));
            if random.u8(..9) == 0 {
                capacity = random.usize(1..12);
                plain.drain(..plain.len().saturating_sub(capacity));
                assert_eq!(ring.resize(capacity), plain.len());
            }
            let got: Vec<_> = ring.oldest_first().map(|(series, e)| (series, e.clone())).collect();
            assert_eq!((got, ring.capacity()), (plain.clone(), capacity));
            let chained: usize = ring.in_range(i64::MIN, i64::MAX).iter().map(|(_, list)| list.len()).sum();
            assert_eq!(chained, plain.len());
        }
        assert_eq!((ring.appended, ring.resize(0), ring.len()), (500, 0, 0));
        ring.add(SeriesRef(1), exemplar(1000, 1.0));
        assert_eq!(ring.len(), 0, "a ring without room takes nothing");
    }

    #[test]
    fn order_and_length_are_checked() {
        let mut ring = ExemplarRing::new(3, 0);
        ring.add(SeriesRef(1), exemplar(5, 1.0));
        assert_eq!(ring.check(SeriesRef(1), &exemplar(5, 1.0)), Ok(false));
        assert_eq!(ring.check(SeriesRef(1), &exemplar(5, 2.0)), Ok(true));
        assert_eq!(ring.check(SeriesRef(1), &exemplar(4, 2.0)), Err(AppendError::OutOfOrderExemplar));
        let long = Exemplar { labels: Labels::from_pairs([("a", "é".repeat(128))]), ..exemplar(9, 1.0) };
        assert_eq!(ring.check(SeriesRef(1), &long), Err(AppendError::ExemplarLabelLength));
    }

    /// Late exemplars inside the window against a plain list, also when what leaves the ring is not the oldest of its series.
    #[test]
    fn late_exemplars_stand_where_they_belong() {
        let mut random = fastrand::Rng::with_seed(5);
        let (window, capacity) = (10, 7);
        let mut ring = ExemplarRing::new(capacity, window);
        let mut plain: Vec<(SeriesRef, i64)> = Vec::new();
        for round in 0..3000i64 {
            let (series, t_ms) = (SeriesRef(random.u64(1..4)), round / 3 + random.i64(0..15));
            let own = |plain: &[(SeriesRef, i64)]| {
                let mut times: Vec<i64> =
                    plain.iter().filter(|(s, _)| *s == series).map(|(_, t)| *t).collect();
                times.sort_unstable();
                times
            };
            let newest = own(&plain).last().copied();
            let late = newest.is_some_and(|newest| t_ms < newest && t_ms <= newest - window);
            assert_eq!(ring.check(series, &exemplar(t_ms, 1.0)).is_err(), late);
            ring.add(series, exemplar(t_ms, 1.0));
            if !late && !own(&plain).contains(&t_ms) {
                plain.push((series, t_ms));
                plain.drain(..plain.len().saturating_sub(capacity));
            }
            let got = ring.in_range(i64::MIN, i64::MAX).into_iter().find(|(s, _)| *s == series);
            let got: Vec<i64> = got.map_or_else(Vec::new, |(_, list)| list.iter().map(time).collect());
            assert_eq!(got, own(&plain));
            assert_eq!(ring.len(), plain.len());
        }
        assert!(ring.out_of_order > 0 && ring.series_count() <= 3);
    }
}
