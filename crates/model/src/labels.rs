//! A label set: name–value pairs sorted by name, packed into one shared string.
//!
//! Layout: for each pair the name's length, the name, the value's length, the value. A length below 127 is one byte; a
//! longer one is the byte 127 and five bytes of seven bits, high ones first. Every byte of a length is ASCII, so the whole
//! is valid UTF-8 and slicing it needs no `unsafe`.
//! Always true: names are unique and rise; no value is empty (an empty value means "no such label").
//! A clone copies two words. Equality and hash look at the packed bytes only.

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::METRIC_NAME;

mod builder;

pub use self::builder::LabelsBuilder;

const LONG: u8 = 0x7f;

/// More memory than this is not kept for the next set.
const KEPT_BYTES: usize = 64 * 1024;

thread_local! {
    /// Where label sets are packed.
    static PACKED: Cell<String> = const { Cell::new(String::new()) };
}

/// An immutable, sorted label set. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels {
    packed: Arc<str>,
}

impl Labels {
    /// The empty label set.
    #[must_use]
    pub fn empty() -> Self {
        static EMPTY: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| Arc::from(""));
        Self { packed: Arc::clone(&EMPTY) }
    }

    /// Builds a label set from pairs in any order. Pairs with an empty value are left out; of two pairs with one name the
    /// later wins. Use [`LabelsBuilder`] to change an existing set.
    #[must_use]
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut builder = LabelsBuilder::new();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.labels()
    }

    /// Packs pairs that are already sorted by name, unique, and without empty values.
    ///
    /// # Panics
    /// In debug builds when the pairs are not sorted and unique.
    #[must_use]
    pub fn from_sorted<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::pack(|packed| {
            let mut last: Option<&str> = None;
            for (name, value) in pairs {
                debug_assert!(last.is_none_or(|l| l < name), "label names must rise: {last:?} then {name:?}");
                last = Some(name);
                push_field(packed, name);
                push_field(packed, value);
            }
        })
    }

    /// PERF: packed in memory that is used again, so that a set costs one allocation. Who makes sets while it packs one finds the
    /// cell empty.
    fn pack(fill: impl FnOnce(&mut String)) -> Self {
        let mut packed = PACKED.take();
        fill(&mut packed);
        let set = Self { packed: Arc::from(&*packed) };
        if packed.capacity() <= KEPT_BYTES {
            packed.clear();
            PACKED.set(packed);
        }
        set
    }

    /// Takes what [`Self::as_packed`] would give: for a log whose fields are laid out like that as long as none has more than 126
    /// bytes. Copies it once.
    ///
    /// # Panics
    /// In debug builds when it is not that of a label set.
    #[must_use]
    pub fn from_packed(packed: &str) -> Self {
        let labels = Self { packed: Arc::from(packed) };
        debug_assert_eq!(labels, Self::from_pairs(labels.iter()), "not packed");
        labels
    }

    /// The value of a label, or `None` when the set has no such label.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        for (n, v) in self {
            match n.cmp(name) {
                Ordering::Less => {}
                Ordering::Equal => return Some(v),
                Ordering::Greater => return None,
            }
        }
        None
    }

    /// The value of a label, `""` when absent, as matchers and templates see it.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// The metric name, `""` when absent.
    #[must_use]
    pub fn metric_name(&self) -> &str {
        self.value(METRIC_NAME)
    }

    /// The pairs in order of their names.
    #[must_use]
    pub fn iter(&self) -> LabelsIter<'_> {
        LabelsIter { rest: &self.packed }
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no label at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// The packed form: unique for each label set, good as a hash key. Not a stable format, never write it to disk.
    #[must_use]
    pub fn as_packed(&self) -> &str {
        &self.packed
    }

    /// This set without the metric name.
    #[must_use]
    pub fn without_name(&self) -> Self {
        self.drop(&[METRIC_NAME])
    }

    /// Only the named labels. `names` may be in any order.
    #[must_use]
    pub fn keep(&self, names: &[impl AsRef<str>]) -> Self {
        self.filter(|name| names.iter().any(|k| k.as_ref() == name))
    }

    /// All labels but the named ones.
    #[must_use]
    pub fn drop(&self, names: &[impl AsRef<str>]) -> Self {
        let keeps = |name: &str| names.iter().all(|k| k.as_ref() != name);
        match names.iter().map(AsRef::as_ref).max() {
            Some(last) => self.filter_up_to(Some(last), keeps),
            None => self.clone(),
        }
    }

    /// The labels with names that `keeps` wants; this set itself, shared, when that is all of them.
    #[must_use]
    pub fn filter(&self, keeps: impl Fn(&str) -> bool) -> Self {
        self.filter_up_to(None, keeps)
    }

    /// The same; names behind `last` are all wanted.
    fn filter_up_to(&self, last: Option<&str>, keeps: impl Fn(&str) -> bool) -> Self {
        let mut rest = &*self.packed;
        while !rest.is_empty() {
            let unwanted = self.packed.len() - rest.len();
            let name = take_field(&mut rest);
            take_field(&mut rest);
            if !keeps(name) {
                let before = &self.packed[..unwanted];
                return Self::pack(|packed| {
                    packed.push_str(before);
                    push_wanted(packed, rest, last, keeps);
                });
            }
            if last.is_some_and(|last| name >= last) {
                break;
            }
        }
        self.clone()
    }

    /// Starts a change of this set.
    #[must_use]
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder::from_labels(self)
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = LabelsIter<'a>;
    fn into_iter(self) -> LabelsIter<'a> {
        self.iter()
    }
}

/// Order by pairs, as Prometheus sorts series: names first, then values, the shorter set first when one begins the other.
impl Ord for Labels {
    /// PERF: fields that both begin with are skipped by their lengths after one comparison of memory: merging eight equal lists takes
    /// 2.0 instead of 2.5 µs a series (bench `merge` of the storage crate).
    fn cmp(&self, other: &Self) -> Ordering {
        let same = common_prefix(self.packed.as_bytes(), other.packed.as_bytes());
        let mut at = 0;
        while at < same {
            let mut rest = &self.packed[at..];
            take_field(&mut rest);
            let end = self.packed.len() - rest.len();
            if end > same {
                break;
            }
            at = end;
        }
        let (mut a, mut b) = (&self.packed[at..], &other.packed[at..]);
        while !a.is_empty() && !b.is_empty() {
            match take_field(&mut a).cmp(take_field(&mut b)) {
                Ordering::Equal => {}
                different => return different,
            }
        }
        a.len().cmp(&b.len())
    }
}

/// How many bytes both begin with, rounded down at will.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    const STEP: usize = 16;
    STEP * a.chunks_exact(STEP).zip(b.chunks_exact(STEP)).take_while(|(a, b)| a == b).count()
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// `{a="b", c="d"}`, the way Prometheus logs and sorts label sets. Names outside the legacy charset are quoted.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            let name: Cow<'_, str> = if crate::name::is_legacy_label_name(name) {
                Cow::Borrowed(name)
            } else {
                Cow::Owned(crate::value::quote_go(name))
            };
            write!(f, "{comma}{name}={}", crate::value::quote_go(value))?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Walks the pairs of a [`Labels`].
#[derive(Clone, Debug)]
pub struct LabelsIter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for LabelsIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let name = take_field(&mut self.rest);
        let value = take_field(&mut self.rest);
        Some((name, value))
    }
}

fn push_field(packed: &mut String, text: &str) {
    let len = text.len();
    if len < usize::from(LONG) {
        packed.push(char::from(len as u8));
    } else {
        packed.push(char::from(LONG));
        for shift in [28, 21, 14, 7, 0] {
            packed.push(char::from((len >> shift) as u8 & 0x7f));
        }
    }
    packed.push_str(text);
}

/// Adds the pairs of `rest` with names that `keeps` wants, or behind `last`. PERF: neighbours that stay are copied at once.
fn push_wanted(packed: &mut String, rest: &str, last: Option<&str>, keeps: impl Fn(&str) -> bool) {
    let (mut run, mut next) = (rest, rest);
    while !next.is_empty() {
        let wanted = &run[..run.len() - next.len()];
        let name = take_field(&mut next);
        take_field(&mut next);
        if last.is_some_and(|last| name > last) {
            break;
        }
        if !keeps(name) {
            packed.push_str(wanted);
            run = next;
        }
    }
    packed.push_str(run);
}

fn take_field<'a>(rest: &mut &'a str) -> &'a str {
    let bytes = rest.as_bytes();
    let (start, len) = match bytes[0] {
        LONG => (6, bytes[1..6].iter().fold(0, |len, b| len << 7 | usize::from(*b))),
        short => (1, usize::from(short)),
    };
    let (field, tail) = rest[start..].split_at(len);
    *rest = tail;
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_sorted_unique_and_without_empty_values() {
        let l = Labels::from_pairs([("b", "2"), ("a", "1"), ("c", ""), ("b", "3")]);
        assert_eq!(l.to_string(), r#"{a="1", b="3"}"#);
        assert_eq!((l.get("b"), l.get("c"), l.len()), (Some("3"), None, 2));
    }

    #[test]
    fn long_values_and_names_survive_packing() {
        for len in [0usize, 1, 126, 127, 128, 16_384, 300_000] {
            let text = "é".repeat(len / 2) + &"x".repeat(len % 2);
            let l = Labels::from_pairs([("a", "1"), (&format!("n{text}"), "v"), ("z", &text)]);
            assert_eq!(l.get(&format!("n{text}")), Some("v"));
            assert_eq!(l.value("z"), text);
        }
    }

    #[test]
    fn order_is_by_pairs_not_by_packed_bytes() {
        let short = Labels::from_pairs([("a", "zz")]);
        let long = Labels::from_pairs([("a", "b".repeat(200))]);
        assert!(long < short, "\"bbb…\" sorts before \"zz\" though its length byte is larger");
        assert!(Labels::empty() < short);
    }

    #[test]
    fn order_is_that_of_the_pairs_whatever_they_share() {
        let mut random = fastrand::Rng::with_seed(7);
        let text = |random: &mut fastrand::Rng| {
            let length = *random.choice(&[1, 2, 5, 20, 130]).expect("there are some");
            std::iter::repeat_with(|| random.choice(['a', 'b', 'é']))
                .take(length)
                .flatten()
                .collect::<String>()
        };
        let mut sets: Vec<Labels> = vec![Labels::empty()];
        for _ in 0..300 {
            let mut builder = random.choice(&sets).expect("there is one").to_builder();
            let (name, value) = (text(&mut random), text(&mut random));
            if random.u8(0..4) == 0 {
                builder.remove(&name)
            } else {
                builder.set(&name, &value)
            };
            sets.push(builder.labels());
        }
        for a in &sets {
            for b in &sets {
                assert_eq!(a.cmp(b), a.iter().cmp(b.iter()), "{a} and {b}");
            }
        }
    }

    #[test]
    fn keep_drop_and_without_name_filter() {
        let l = Labels::from_pairs([(METRIC_NAME, "up"), ("job", "a"), ("instance", "b")]);
        assert_eq!(l.without_name().to_string(), r#"{instance="b", job="a"}"#);
        assert_eq!(l.keep(&["job"]).to_string(), r#"{job="a"}"#);
        assert_eq!(l.drop(&["job", "nope"]).to_string(), r#"{__name__="up", instance="b"}"#);
    }

    #[test]
    fn what_is_kept_is_what_a_slow_walk_keeps() {
        let mut random = fastrand::Rng::with_seed(11);
        let names = ["A", "_", METRIC_NAME, "__type__", "a", "job", "zone"];
        for _ in 0..500 {
            let values = ["v".to_owned(), "w".repeat(130), String::new()];
            let value = |random: &mut fastrand::Rng| random.choice(&values).expect("there are some").clone();
            let labels = Labels::from_pairs(names.map(|name| (name, value(&mut random))));
            let chosen: Vec<&str> = names.into_iter().filter(|_| random.bool()).collect();
            let slow = |keeps: &dyn Fn(&str) -> bool| {
                Labels::from_sorted(labels.iter().filter(|(name, _)| keeps(name)))
            };
            assert_eq!(
                labels.keep(&chosen),
                slow(&|name| chosen.contains(&name)),
                "{labels} keeps {chosen:?}"
            );
            assert_eq!(
                labels.drop(&chosen),
                slow(&|name| !chosen.contains(&name)),
                "{labels} drops {chosen:?}"
            );
            assert_eq!(labels.without_name(), slow(&|name| name != METRIC_NAME), "{labels}");
        }
    }
}
