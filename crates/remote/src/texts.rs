//! The labels of some series as fields of a message, one behind the other: what a few dozen series of a request need.
//!
//! PERF: series that follow each other mostly share most labels. Labels that are borrowed from the head are compared by address: what
//! the one before had in the same place is copied from where it was just written.

use narthex_model::Labels;
use smallvec::SmallVec;

use crate::wire;

/// See the module's words.
#[derive(Default)]
pub(crate) struct Texts {
    bytes: Vec<u8>,
    /// Where each series lies.
    ranges: Vec<(usize, usize)>,
    /// The labels of the series before, if they were borrowed in the same call.
    before: Vec<Written>,
    /// Those of the series that is being written.
    now: Vec<Written>,
}

/// Address and length of a text.
type Address = (usize, usize);

fn address(text: &str) -> Address {
    (text.as_ptr().addr(), text.len())
}

/// A label that was written.
#[derive(Clone, Copy)]
struct Written {
    name: Address,
    value: Address,
    from: usize,
    to: usize,
}

impl Texts {
    /// Begins anew.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ranges.clear();
        self.before.clear();
    }

    /// How many series.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// The labels of a series.
    #[must_use]
    pub(crate) fn get(&self, at: usize) -> &[u8] {
        let (from, to) = self.ranges[at];
        &self.bytes[from..to]
    }

    /// Adds a series.
    pub(crate) fn push(&mut self, labels: &[u8]) {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(labels);
        self.ranges.push((from, self.bytes.len()));
    }

    /// Gives a series other labels.
    pub(crate) fn set(&mut self, at: usize, labels: &[u8]) {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(labels);
        self.ranges[at] = (from, self.bytes.len());
    }

    /// Says that labels which are borrowed from now on may lie where others lay.
    pub(crate) fn begin_borrowing(&mut self) {
        self.before.clear();
    }

    /// Adds a series with labels by rising name, and the external ones whose names it does not have. Equal texts lie at one address
    /// since [`Texts::begin_borrowing`].
    pub(crate) fn push_borrowed(&mut self, labels: &[(&str, &str)], external: &Labels) {
        if external.is_empty() || labels.is_empty() {
            return self.write(labels);
        }
        let mut all = SmallVec::<[(&str, &str); 32]>::new();
        let mut added = external.iter().peekable();
        for (name, value) in labels {
            while let Some(first) = added.next_if(|(added, _)| added < name) {
                all.push(first);
            }
            added.next_if(|(added, _)| added == name);
            all.push((name, value));
        }
        all.extend(added);
        self.write(&all);
    }

    fn write(&mut self, labels: &[(&str, &str)]) {
        let begin = self.bytes.len();
        // What is to be copied from the series before.
        let mut stretch = 0..0;
        self.now.clear();
        let mut from = begin;
        for (at, (name, value)) in labels.iter().enumerate() {
            let (name, value) = (address(name), address(value));
            let same = |before: &&Written| before.name == name && before.value == value;
            let len = match self.before.get(at).filter(same) {
                Some(before) => {
                    if stretch.end != before.from {
                        self.bytes.extend_from_within(stretch);
                        stretch = before.from..before.from;
                    }
                    stretch.end = before.to;
                    before.to - before.from
                }
                None => {
                    self.bytes.extend_from_within(stretch);
                    stretch = 0..0;
                    wire::put_label(&mut self.bytes, labels[at].0, labels[at].1);
                    self.bytes.len() - from
                }
            };
            self.now.push(Written { name, value, from, to: from + len });
            from += len;
        }
        self.bytes.extend_from_within(stretch);
        std::mem::swap(&mut self.before, &mut self.now);
        self.ranges.push((begin, self.bytes.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each series written alone.
    fn plain(labels: &[(&str, &str)], external: &Labels) -> Vec<u8> {
        let mut all: Vec<(&str, &str)> = labels.to_vec();
        all.extend(external.iter().filter(|(name, _)| labels.iter().all(|(own, _)| own != name)));
        all.sort_unstable();
        let mut out = Vec::new();
        all.iter().for_each(|(name, value)| wire::put_label(&mut out, name, value));
        out
    }

    #[test]
    fn what_is_shared_with_the_series_before_reads_as_if_it_were_written_anew() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut rng = fastrand::Rng::with_seed(seed);
        let names = ["a", "b", "c", "dd", "eee"];
        let long = "x".repeat(200);
        let values = ["", "1", "two", &long];
        for external in [Labels::empty(), Labels::from_pairs([("b", "outer"), ("bb", "1"), ("z", "2")])] {
            let mut texts = Texts::default();
            let mut expected = Vec::new();
            for _ in 0..2000 {
                if rng.u8(..20) == 0 {
                    texts.begin_borrowing();
                }
                let mut labels = Vec::new();
                for name in names {
                    if rng.u8(..5) > 0 {
                        labels.push((name, values[rng.usize(..values.len())]));
                    }
                }
                if labels.is_empty() {
                    continue;
                }
                texts.push_borrowed(&labels, &external);
                expected.push(plain(&labels, &external));
            }
            texts.push(b"own");
            texts.set(3, b"other");
            expected[3] = b"other".to_vec();
            expected.push(b"own".to_vec());
            for (at, expected) in expected.iter().enumerate() {
                assert_eq!(texts.get(at), expected, "series {at}");
            }
        }
    }
}
