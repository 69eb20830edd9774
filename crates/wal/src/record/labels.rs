//! Label sets inside records: a count, then name and value of each label.
//!
//! [`LabelPairs`] was checked once when it was cut out of the record, so that walking it cannot fail and copies nothing.

use narthex_model::Labels;

use crate::bytes::{Fault, Input, Malformed, put_string, put_uvarint, read_uvarint};

/// Fields below this length lie in a record as in [`Labels::as_packed`].
const SHORT: u64 = 0x7f;

/// The labels of one series or exemplar, still in the record's bytes. In the order of the writer: sorted, if it was sane.
#[derive(Clone, Copy, Debug)]
pub struct LabelPairs<'a> {
    count: usize,
    bytes: &'a [u8],
    /// The same when all fields are short. PERF: checked as one text, and sliced without looking at it again: a start makes a
    /// third of a series' time with fields checked one by one (`narthex-tsdb`, bench `head`, replay).
    text: Option<&'a str>,
}

impl<'a> LabelPairs<'a> {
    pub(super) fn take(input: &mut Input<'a>) -> Result<Self, Fault> {
        let count = input.count(2)?;
        let before = *input;
        let start = input.rest();
        let mut are_short = true;
        for _ in 0..2 * count {
            let len = input.uvarint()?;
            are_short &= len < SHORT;
            input.bytes(len)?;
        }
        let bytes = &start[..start.len() - input.rest().len()];
        let text = std::str::from_utf8(bytes).ok().filter(|text| are_short && fields_are_whole(text));
        if text.is_none() {
            check_fields(before, count)?;
        }
        Ok(Self { count, bytes, text })
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
        match self.text {
            Some(text) => LabelPairsIter(Rest::Text(text)),
            None => LabelPairsIter(Rest::Bytes(self.bytes)),
        }
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
        match (self.is_canonical(), self.text) {
            (true, Some(text)) => Labels::from_packed(text),
            (true, None) => Labels::from_sorted(self.iter()),
            (false, _) => Labels::from_pairs(self.iter()),
        }
    }
}

/// Whether no character crosses the end of a short field.
fn fields_are_whole(text: &str) -> bool {
    let mut at = 0;
    text.is_ascii()
        || std::iter::from_fn(|| {
            let len = usize::from(*text.as_bytes().get(at)?);
            at += 1 + len;
            Some(at)
        })
        .all(|end| text.is_char_boundary(end))
}

/// Finds the first field that is not UTF-8.
#[cold]
fn check_fields(mut input: Input<'_>, count: usize) -> Result<(), Fault> {
    for _ in 0..2 * count {
        let before = input;
        if std::str::from_utf8(input.string()?).is_err() {
            return Err(before.fault(Malformed::Utf8));
        }
    }
    Ok(())
}

/// Walks a [`LabelPairs`].
#[derive(Clone, Debug)]
pub struct LabelPairsIter<'a>(Rest<'a>);

#[derive(Clone, Debug)]
enum Rest<'a> {
    Bytes(&'a [u8]),
    /// Fields are short.
    Text(&'a str),
}

impl<'a> Iterator for LabelPairsIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if matches!(self.0, Rest::Bytes([]) | Rest::Text("")) {
            return None;
        }
        Some((self.field(), self.field()))
    }
}

impl<'a> LabelPairsIter<'a> {
    #[inline]
    fn field(&mut self) -> &'a str {
        match &mut self.0 {
            Rest::Text(rest) => {
                let end = 1 + usize::from(rest.as_bytes()[0]);
                let (field, behind) = rest.split_at(end);
                *rest = behind;
                &field[1..]
            }
            Rest::Bytes(rest) => {
                let (len, width) =
                    read_uvarint(rest).expect("lengths were checked when the labels were cut out");
                let (text, behind) = rest[width..].split_at(len as usize);
                *rest = behind;
                std::str::from_utf8(text).expect("text was checked when the labels were cut out")
            }
        }
    }
}

pub(super) fn put_labels(out: &mut Vec<u8>, labels: &Labels) {
    put_uvarint(out, labels.len() as u64);
    for (name, value) in labels {
        put_string(out, name);
        put_string(out, value);
    }
}
