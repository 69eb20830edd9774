//! Changes of a label set, label by label.

use std::fmt;

use super::Labels;

/// Builds a label set, or changes one. Setting an empty value deletes the label.
///
/// All texts lie in one buffer that only grows until [`LabelsBuilder::clear`]; a builder that is used again allocates nothing.
#[derive(Clone, Default)]
pub struct LabelsBuilder {
    /// Names and values, each pair in one piece; also those that were replaced or deleted.
    text: String,
    /// Sorted by name, unique, no empty value.
    pairs: Vec<Pair>,
}

/// Where a pair lies in the text: the name from `at` on, the value right behind it.
#[derive(Clone, Copy)]
struct Pair {
    at: usize,
    name_len: usize,
    value_len: usize,
}

impl Pair {
    fn name(self, text: &str) -> &str {
        &text[self.at..self.at + self.name_len]
    }

    fn value(self, text: &str) -> &str {
        let at = self.at + self.name_len;
        &text[at..at + self.value_len]
    }
}

impl LabelsBuilder {
    /// A builder without labels.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A builder that starts from `labels`.
    #[must_use]
    pub fn from_labels(labels: &Labels) -> Self {
        let mut builder = Self::new();
        builder.reset(labels);
        builder
    }

    /// Forgets all labels but keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.pairs.clear();
    }

    /// Starts again from `labels`, in the same memory.
    pub fn reset(&mut self, labels: &Labels) {
        self.clear();
        for (name, value) in labels {
            let pair = self.push_text(name, value);
            self.pairs.push(pair);
        }
    }

    /// Sets a label; an empty value deletes it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match (self.search(name), value.is_empty()) {
            (Ok(at), true) => drop(self.pairs.remove(at)),
            (Ok(at), false) => self.pairs[at] = self.push_text(name, value),
            (Err(_), true) => {}
            (Err(at), false) => {
                let pair = self.push_text(name, value);
                self.pairs.insert(at, pair);
            }
        }
        self
    }

    /// Deletes a label.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.set(name, "")
    }

    /// Keeps only the labels for which `keep(name, value)` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) -> &mut Self {
        let text = &self.text;
        self.pairs.retain(|pair| keep(pair.name(text), pair.value(text)));
        self
    }

    /// The current value of a label.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.search(name).ok()?;
        Some(self.pairs[at].value(&self.text))
    }

    /// The current pairs in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|pair| (pair.name(&self.text), pair.value(&self.text)))
    }

    /// Whether no label is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The label set as it stands now.
    #[must_use]
    pub fn labels(&self) -> Labels {
        Labels::from_sorted(self.iter())
    }

    /// The place of a name among the pairs, or where it belongs. Labels mostly come in order, so the end is tried first.
    fn search(&self, name: &str) -> Result<usize, usize> {
        match self.pairs.last() {
            Some(last) if last.name(&self.text) < name => Err(self.pairs.len()),
            _ => self.pairs.binary_search_by(|pair| pair.name(&self.text).cmp(name)),
        }
    }

    fn push_text(&mut self, name: &str, value: &str) -> Pair {
        let at = self.text.len();
        self.text.push_str(name);
        self.text.push_str(value);
        Pair { at, name_len: name.len(), value_len: value.len() }
    }
}

impl fmt::Debug for LabelsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_changes_labels_like_a_map_and_can_be_used_again() {
        let mut random = fastrand::Rng::with_seed(4);
        let mut builder = LabelsBuilder::new();
        for _ in 0..200 {
            let mut map = std::collections::BTreeMap::new();
            builder.clear();
            for _ in 0..random.usize(0..20) {
                let (name, value) = (format!("n{}", random.u8(0..8)), "v".repeat(random.usize(0..3)));
                builder.set(&name, &value);
                if value.is_empty() { drop(map.remove(&name)) } else { drop(map.insert(name, value)) }
            }
            builder.retain(|name, _| name != "n3");
            map.remove("n3");
            assert_eq!(builder.labels(), Labels::from_pairs(&map));
            assert!(builder.get("n3").is_none() && map.iter().all(|(n, v)| builder.get(n) == Some(v)));
            assert_eq!(builder.labels(), builder.labels().to_builder().labels());
        }
    }
}
