//! Label sets inside records: a count, then name and value of each label.
//!
//! [`LabelPairs`] was checked once when it was cut out of the record, so that walking it cannot fail and copies nothing.

use narthex_model::Labels;

use crate::bytes::{Fault, Input, Malformed, put_string, put_uvarint, read_uvarint};

/// The labels of one series or exemplar, still in the record's bytes. In the order of the writer: sorted, if it was sane.
#[derive(Clone, Copy, Debug)]
pub struct LabelPairs<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> LabelPairs<'a> {
    pub(super) fn take(input: &mut Input<'a>) -> Result<Self, Fault> {
        let count = input.count(2)?;
        let start = input.rest();
        for _ in 0..2 * count {
            let before = *input;
            if std::str::from_utf8(input.string()?).is_err() {
                return Err(before.fault(Malformed::Utf8));
            }
        }
        let bytes = &start[..start.len() - input.rest().len()];
        Ok(Self { count, bytes })
    }

    /// How many labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Name and value of each label, as written.
    #[must_use]
    pub fn iter(&self) -> LabelPairsIter<'a> {
        LabelPairsIter { rest: self.bytes }
    }

    /// Whether names rise and no value is empty, as every sane writer leaves them.
    #[must_use]
    pub fn is_canonical(&self) -> bool {
        let mut last: Option<&str> = None;
        self.iter().all(|(name, value)| {
            let rises = last.is_none_or(|last| last < name);
            last = Some(name);
            rises && !value.is_empty()
        })
    }

    /// The label set, whatever order the labels came in.
    #[must_use]
    pub fn to_labels(&self) -> Labels {
        match self.is_canonical() {
            true => Labels::from_sorted(self.iter()),
            false => Labels::from_pairs(self.iter()),
        }
    }
}

/// Walks a [`LabelPairs`].
#[derive(Clone, Debug)]
pub struct LabelPairsIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for LabelPairsIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        Some((self.field(), self.field()))
    }
}

impl<'a> LabelPairsIter<'a> {
    fn field(&mut self) -> &'a str {
        let (len, width) =
            read_uvarint(self.rest).expect("lengths were checked when the labels were cut out");
        let (text, rest) = self.rest[width..].split_at(len as usize);
        self.rest = rest;
        std::str::from_utf8(text).expect("text was checked when the labels were cut out")
    }
}

pub(super) fn put_labels(out: &mut Vec<u8>, labels: &Labels) {
    put_uvarint(out, labels.len() as u64);
    for (name, value) in labels {
        put_string(out, name);
        put_string(out, value);
    }
}
