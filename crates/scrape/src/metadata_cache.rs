//! What a target says about its metric families, for the API.
//!
//! Memory: targets of a job say the same, so each distinct family is one shared value, and a target holds eight bytes a
//! family. In the steady state a pass compares the body's `# TYPE`, `# HELP`, `# UNIT` lines with the list, in order, and writes
//! nothing.
//! Always true: families are listed in the order of the last body; one that vanished stays for ten bodies.

use std::sync::{Arc, LazyLock, Weak};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use narthex_exposition::Entry;
use narthex_model::{Metadata, MetricType};
use parking_lot::Mutex;
use std::hash::BuildHasher as _;

/// A vanished family is kept for this many good scrapes.
const KEPT_SCRAPES: u8 = 10;

/// One family and what is said of it.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) metadata: Metadata,
}

/// All families that any target knows, so that equal ones are one. The entries are weak: what no target holds goes at
/// the next growth.
static SHARED: LazyLock<Mutex<Shared>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Shared {
    hasher: RandomState,
    table: HashTable<(u64, Weak<Family>)>,
}

impl Shared {
    fn intern(&mut self, family: Family) -> Arc<Family> {
        let hash = self.hasher.hash_one(&family);
        let same = |(h, weak): &(u64, Weak<Family>)| {
            *h == hash && weak.upgrade().is_some_and(|known| *known == family)
        };
        if let Some(known) = self.table.find(hash, same).and_then(|(_, weak)| weak.upgrade()) {
            return known;
        }
        if self.table.len() == self.table.capacity() {
            self.table.retain(|(_, weak)| weak.strong_count() > 0);
        }
        let family = Arc::new(family);
        self.table.insert_unique(hash, (hash, Arc::downgrade(&family)), |(h, _)| *h);
        family
    }
}

/// The families of one target.
#[derive(Debug, Default)]
pub(crate) struct MetadataCache {
    families: Vec<Arc<Family>>,
    /// Families that are not in the last body, and for how many bodies.
    vanished: Vec<(Arc<Family>, u8)>,
}

impl MetadataCache {
    /// All families that are known.
    pub(crate) fn families(&self) -> impl Iterator<Item = &Family> {
        self.families.iter().chain(self.vanished.iter().map(|(family, _)| family)).map(|family| &**family)
    }

    /// Number of families and bytes of their texts, as `prometheus_target_metadata_cache_*` count them.
    pub(crate) fn size(&self) -> (usize, usize) {
        let bytes =
            |f: &Family| f.metadata.help.len() + f.metadata.unit.len() + f.metadata.kind.as_str().len();
        (self.families.len() + self.vanished.len(), self.families().map(bytes).sum())
    }

    /// Starts to read a body.
    pub(crate) fn pass(&mut self) -> MetadataPass<'_> {
        MetadataPass { cache: self, at: 0, current: None, changed: None }
    }
}

/// Reads the metadata lines of one body.
pub(crate) struct MetadataPass<'c> {
    cache: &'c mut MetadataCache,
    /// How many families of the list were confirmed.
    at: usize,
    /// The family at hand; its lines stand together but in any order.
    current: Option<Current>,
    /// The families of this body from the first difference on.
    changed: Option<Vec<Family>>,
}

enum Current {
    /// As the list's entry `at` has it, so far: bits of what was said.
    Listed {
        said: u8,
    },
    Own(Family),
}

const TYPE: u8 = 1;
const HELP: u8 = 2;
const UNIT: u8 = 4;

impl MetadataPass<'_> {
    /// Takes a metadata line; other entries are ignored.
    pub(crate) fn note(&mut self, entry: &Entry<'_>) {
        let (name, bit) = match entry {
            Entry::Type { name, .. } => (*name, TYPE),
            Entry::Help { name, .. } => (*name, HELP),
            Entry::Unit { name, .. } => (*name, UNIT),
            Entry::Series(_) | Entry::Comment(_) => return,
        };
        if self.current_name() != Some(name) {
            self.flush();
            let listed =
                self.changed.is_none() && self.cache.families.get(self.at).is_some_and(|f| f.name == name);
            let own = || Family { name: name.to_owned(), ..Family::default() };
            self.current = Some(if listed { Current::Listed { said: 0 } } else { Current::Own(own()) });
        }
        match &mut self.current {
            Some(Current::Listed { said }) if says(&self.cache.families[self.at].metadata, entry) => {
                *said |= bit;
            }
            Some(Current::Listed { said }) => {
                let mut family = part(&self.cache.families[self.at], *said);
                set(&mut family.metadata, entry);
                self.current = Some(Current::Own(family));
            }
            Some(Current::Own(family)) => set(&mut family.metadata, entry),
            None => {}
        }
    }

    /// Whether the family at hand says something else than in the last body, or is new.
    #[inline]
    pub(crate) fn is_changed(&self) -> bool {
        !matches!(self.current, Some(Current::Listed { .. }) | None)
    }

    /// What is said of the family at hand, when this metric belongs to it and anything is said.
    pub(crate) fn metadata_of(&self, metric: &str) -> Option<&Metadata> {
        let family = match self.current.as_ref()? {
            Current::Listed { .. } => &*self.cache.families[self.at],
            Current::Own(family) => family,
        };
        let said = family.metadata != Metadata::default();
        (said && is_part_of(metric, &family.name, family.metadata.kind)).then_some(&family.metadata)
    }

    /// Ends the body. A bad one teaches nothing.
    pub(crate) fn finish(mut self, good: bool) {
        if !good {
            return;
        }
        self.flush();
        let unchanged = self.changed.is_none() && self.at == self.cache.families.len();
        if !unchanged {
            self.rebuild();
        }
        let cache = self.cache;
        cache.vanished.retain_mut(|(_, bodies)| {
            *bodies += 1;
            *bodies <= KEPT_SCRAPES
        });
    }

    fn current_name(&self) -> Option<&str> {
        match &self.current {
            Some(Current::Listed { .. }) => Some(&self.cache.families[self.at].name),
            Some(Current::Own(family)) => Some(&family.name),
            None => None,
        }
    }

    fn flush(&mut self) {
        match self.current.take() {
            Some(Current::Listed { said }) if is_all_said(&self.cache.families[self.at].metadata, said) => {
                self.at += 1;
            }
            Some(Current::Listed { said }) => {
                let family = part(&self.cache.families[self.at], said);
                self.changed.get_or_insert_default().push(family);
            }
            Some(Current::Own(family)) => self.changed.get_or_insert_default().push(family),
            None => {}
        }
    }

    #[cold]
    fn rebuild(&mut self) {
        let changed = self.changed.take().unwrap_or_default();
        let old = std::mem::take(&mut self.cache.families);
        let mut shared = SHARED.lock();
        let mut next: Vec<Arc<Family>> = old[..self.at].to_vec();
        for family in changed {
            // A family that was already there in this body: what comes later adds to it.
            match next.iter_mut().find(|known| known.name == family.name) {
                Some(known) => *known = shared.intern(merged(known, family)),
                None => next.push(shared.intern(family)),
            }
        }
        drop(shared);
        next.shrink_to_fit();
        let is_there = |name: &str| next.iter().any(|f| f.name == name);
        self.cache.vanished.retain(|(family, _)| !is_there(&family.name));
        let gone = old.into_iter().filter(|family| !is_there(&family.name));
        self.cache.vanished.extend(gone.map(|family| (family, 0)));
        self.cache.families = next;
    }
}

/// Whether a metric of this name can belong to a family, by the suffixes that its type allows.
fn is_part_of(metric: &str, family: &str, kind: MetricType) -> bool {
    let suffixes: &[&str] = match kind {
        MetricType::Counter => &["_total"],
        MetricType::Histogram => &["_bucket", "_sum", "_count"],
        MetricType::GaugeHistogram => &["_bucket", "_gsum", "_gcount"],
        MetricType::Summary => &["_sum", "_count"],
        MetricType::Info => &["_info"],
        MetricType::Unknown | MetricType::Gauge | MetricType::StateSet => &[],
    };
    if !metric.starts_with(family) {
        return false;
    }
    // The text format writes these suffixes into the family's name, too.
    let family = match kind {
        MetricType::Counter | MetricType::Info => family.strip_suffix(suffixes[0]).unwrap_or(family),
        _ => family,
    };
    let base = suffixes.iter().find_map(|suffix| metric.strip_suffix(suffix)).unwrap_or(metric);
    base == family
}

fn says(metadata: &Metadata, entry: &Entry<'_>) -> bool {
    match entry {
        Entry::Type { kind, .. } => metadata.kind == *kind,
        Entry::Help { text, .. } => metadata.help == *text,
        Entry::Unit { unit, .. } => metadata.unit == *unit,
        Entry::Series(_) | Entry::Comment(_) => true,
    }
}

fn set(metadata: &mut Metadata, entry: &Entry<'_>) {
    match entry {
        Entry::Type { kind, .. } => metadata.kind = *kind,
        Entry::Help { text, .. } => (**text).clone_into(&mut metadata.help),
        Entry::Unit { unit, .. } => (*unit).clone_into(&mut metadata.unit),
        Entry::Series(_) | Entry::Comment(_) => {}
    }
}

/// Whether the body said again all that is known.
fn is_all_said(metadata: &Metadata, said: u8) -> bool {
    let again = |empty: bool, bit: u8| empty || said & bit != 0;
    again(metadata.kind == MetricType::Unknown, TYPE)
        && again(metadata.help.is_empty(), HELP)
        && again(metadata.unit.is_empty(), UNIT)
}

/// What of a family was said.
fn part(family: &Family, said: u8) -> Family {
    let Metadata { kind, unit, help } = &family.metadata;
    Family {
        name: family.name.clone(),
        metadata: Metadata {
            kind: if said & TYPE != 0 { *kind } else { MetricType::Unknown },
            help: if said & HELP != 0 { help.clone() } else { String::new() },
            unit: if said & UNIT != 0 { unit.clone() } else { String::new() },
        },
    }
}

fn merged(known: &Family, later: Family) -> Family {
    let Metadata { kind, unit, help } = later.metadata;
    let unknown = kind == MetricType::Unknown;
    Family {
        name: later.name,
        metadata: Metadata {
            kind: if unknown { known.metadata.kind } else { kind },
            help: if help.is_empty() { known.metadata.help.clone() } else { help },
            unit: if unit.is_empty() { known.metadata.unit.clone() } else { unit },
        },
    }
}

#[cfg(test)]
mod tests {
    use narthex_exposition::{Dialect, Parser};

    use super::*;

    fn read(cache: &mut MetadataCache, body: &str, good: bool) {
        let mut parser = Parser::new(body.as_bytes(), Dialect::Text);
        let mut pass = cache.pass();
        while let Ok(Some(entry)) = parser.next() {
            pass.note(&entry);
        }
        pass.finish(good);
    }

    fn show(cache: &MetadataCache) -> String {
        let one = |f: &Family| format!("{}:{}:{}", f.name, f.metadata.kind, f.metadata.help);
        cache.families().map(one).collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn check(bodies: &[(&str, &str)]) {
        let mut cache = MetadataCache::default();
        for (body, expected) in bodies {
            read(&mut cache, body, true);
            assert_eq!(show(&cache), *expected, "{body}");
        }
    }

    const A: &str = "# HELP a A.\n# TYPE a counter\na 1\n";
    const B: &str = "# TYPE b gauge\nb 1\n";

    #[test]
    fn families_are_known_changed_and_kept_for_a_while() {
        let both = format!("{A}{B}");
        check(&[
            (&both, "a:counter:A. b:gauge:"),
            (&both, "a:counter:A. b:gauge:"),
            ("# HELP a A.\n# TYPE a gauge\na 1\n", "a:gauge:A. b:gauge:"),
            ("# TYPE a gauge\na 1\n# HELP a Later.\n", "a:gauge:Later. b:gauge:"),
            (&format!("{B}{A}"), "b:gauge: a:counter:A."),
            (A, "a:counter:A. b:gauge:"),
        ]);
        let mut cache = MetadataCache::default();
        read(&mut cache, &both, true);
        for _ in 0..10 {
            read(&mut cache, A, true);
            assert_eq!(show(&cache), "a:counter:A. b:gauge:");
        }
        read(&mut cache, A, true);
        assert_eq!(show(&cache), "a:counter:A.");
    }

    #[test]
    fn a_bad_body_teaches_nothing_and_equal_families_are_shared() {
        let (mut one, mut two) = (MetadataCache::default(), MetadataCache::default());
        read(&mut one, A, true);
        read(&mut two, A, true);
        assert!(Arc::ptr_eq(&one.families[0], &two.families[0]));
        read(&mut one, B, false);
        assert_eq!(show(&one), "a:counter:A.");
    }
}
