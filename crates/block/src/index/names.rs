//! The postings table: for each label name its values in order, for each value the place of its postings.
//!
//! In memory: the names, and the place of every 32nd value of each. Version 1 has an unsorted table: there the place of every
//! value is kept, in the order of the texts.

use crate::bytes::{self, Cursor};
use crate::fault::Fault;

use super::Symbols;

/// Every how many values of a name a place is kept.
const STRIDE: usize = 32;

/// All label names of an index.
pub(crate) struct Names {
    /// Sorted by text. The name `""` stands for the list of all series.
    names: Vec<LabelName>,
    /// Places in the table's content, name by name.
    sampled: Vec<u32>,
    /// Where the table begins.
    offset: u64,
    /// 32, or 1 when the table is not sorted.
    stride: usize,
}

/// A label name with its values.
#[derive(Debug)]
pub(crate) struct LabelName {
    /// The text; bytes that are no UTF-8 are replaced.
    pub(crate) text: Box<str>,
    /// What series call it.
    pub(crate) symbol: u32,
    /// How many values it has.
    pub(crate) values: u32,
    /// Its first place among the sampled ones.
    first: u32,
}

/// One entry of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value<'f> {
    pub(crate) text: &'f [u8],
    /// Where the postings begin in the file.
    pub(crate) postings: u64,
}

impl Names {
    /// Verifies the table at `offset` and takes names and samples.
    pub(crate) fn read(file: &[u8], offset: u64, unsorted: bool, symbols: &Symbols) -> Result<Self, Fault> {
        let stride = if unsorted { 1 } else { STRIDE };
        let mut names = Self { names: Vec::new(), sampled: Vec::new(), offset, stride };
        let mut cursor = bytes::section(file, offset)?;
        if unsorted {
            names.add_sorted(file, symbols, cursor)?;
            return Ok(names);
        }
        let start = cursor.offset();
        let count = cursor.be32()?;
        let mut last: &[u8] = b"";
        for _ in 0..count {
            if cursor.left() == 0 {
                break;
            }
            let place = (cursor.offset() - start) as u32;
            let (name, _) = entry(&mut cursor)?;
            if names.names.is_empty() || name != last {
                names.begin(file, symbols, name, start + u64::from(place))?;
                last = name;
            }
            names.count_value(place);
        }
        names.names.sort_by(|a, b| a.text.cmp(&b.text));
        Ok(names)
    }

    fn add_sorted(&mut self, file: &[u8], symbols: &Symbols, content: Cursor<'_>) -> Result<(), Fault> {
        for (name, _, place) in sorted_entries(content)? {
            if self.names.last().is_none_or(|last| last.text.as_bytes() != name) {
                self.begin(file, symbols, name, content.offset() + u64::from(place))?;
            }
            self.count_value(place);
        }
        Ok(())
    }

    fn begin(&mut self, file: &[u8], symbols: &Symbols, name: &[u8], offset: u64) -> Result<(), Fault> {
        let symbol = match name {
            b"" => u32::MAX,
            name => symbols.find(file, name)?.ok_or(Fault::Name { offset })?,
        };
        let text = String::from_utf8_lossy(name).into();
        self.names.push(LabelName { text, symbol, values: 0, first: self.sampled.len() as u32 });
        Ok(())
    }

    fn count_value(&mut self, place: u32) {
        let stride = self.stride as u32;
        let name = self.names.last_mut().expect("a name was begun before its first value");
        if name.values.is_multiple_of(stride) {
            self.sampled.push(place);
        }
        name.values += 1;
    }

    /// The label of this name, if some series has it; `""` is the list of all series.
    pub(crate) fn find(&self, name: &str) -> Option<&LabelName> {
        let at = self.names.binary_search_by(|known| (*known.text).cmp(name)).ok()?;
        Some(&self.names[at])
    }

    /// All labels in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &LabelName> {
        self.names.iter().filter(|name| !name.text.is_empty())
    }

    pub(super) fn values<'f>(&'f self, file: &'f [u8], name: &LabelName) -> Values<'f> {
        self.values_at(file, name, 0)
    }

    /// From the value with this number on, which must be one of which the place is kept.
    fn values_at<'f>(&'f self, file: &'f [u8], name: &LabelName, number: usize) -> Values<'f> {
        let first = name.first as usize;
        let places = name.values.div_ceil(self.stride as u32) as usize;
        let content = bytes::trusted_section(file, self.offset).unwrap_or(Cursor::new(&[], 0));
        let sampled = &self.sampled[first..first + places][number / self.stride..];
        Values {
            content,
            cursor: content,
            sampled,
            until_sample: 0,
            stride: self.stride,
            left: name.values as usize - number,
        }
    }

    pub(super) fn values_from<'f>(
        &'f self,
        file: &'f [u8],
        name: &LabelName,
        from: &[u8],
    ) -> Result<Values<'f>, Fault> {
        let mut all = self.values_at(file, name, 0);
        let behind =
            all.sampled.partition_point(|place| all.at_place(*place).is_ok_and(|value| value.text < from));
        all = self.values_at(file, name, behind.saturating_sub(1) * self.stride);
        loop {
            let mut next = all.clone();
            match next.next().transpose()? {
                Some(value) if value.text < from => all = next,
                _ => return Ok(all),
            }
        }
    }

    pub(super) fn find_value<'f>(
        &'f self,
        file: &'f [u8],
        name: &LabelName,
        text: &[u8],
    ) -> Result<Option<Value<'f>>, Fault> {
        let found = self.values_from(file, name, text)?.next().transpose()?;
        Ok(found.filter(|value| value.text == text))
    }
}

/// The values of one label, in order.
#[derive(Clone)]
pub(crate) struct Values<'f> {
    content: Cursor<'f>,
    cursor: Cursor<'f>,
    /// Places of values to come.
    sampled: &'f [u32],
    /// How many values come before the next place is due.
    until_sample: usize,
    stride: usize,
    left: usize,
}

impl<'f> Values<'f> {
    fn at_place(&self, place: u32) -> Result<Value<'f>, Fault> {
        let mut cursor = self.content;
        cursor.take(u64::from(place))?;
        entry(&mut cursor).map(|(_, value)| value)
    }

    fn read(&mut self) -> Result<Value<'f>, Fault> {
        if self.until_sample == 0 {
            if let [place, rest @ ..] = self.sampled {
                self.cursor = self.content;
                self.cursor.take(u64::from(*place))?;
                self.sampled = rest;
            }
            self.until_sample = self.stride;
        }
        self.until_sample -= 1;
        entry(&mut self.cursor).map(|(_, value)| value)
    }
}

impl<'f> Iterator for Values<'f> {
    type Item = Result<Value<'f>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(self.read())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// Name and value at the cursor.
fn entry<'f>(cursor: &mut Cursor<'f>) -> Result<(&'f [u8], Value<'f>), Fault> {
    let offset = cursor.offset();
    match cursor.uvarint()? {
        2 => {}
        found => return Err(Fault::Keys { offset, found }),
    }
    let name = cursor.prefixed()?;
    Ok((name, Value { text: cursor.prefixed()?, postings: cursor.uvarint()? }))
}

/// Name, value, and place in the table's content.
type Unsorted<'f> = (&'f [u8], &'f [u8], u32);

/// Every entry, in the order of the texts.
fn sorted_entries(content: Cursor<'_>) -> Result<Vec<Unsorted<'_>>, Fault> {
    let mut cursor = content;
    let start = cursor.offset();
    let count = cursor.be32()?;
    let mut entries = Vec::new();
    for _ in 0..count {
        if cursor.left() == 0 {
            break;
        }
        let place = (cursor.offset() - start) as u32;
        let (name, value) = entry(&mut cursor)?;
        entries.push((name, value.text, place));
    }
    entries.sort_unstable();
    Ok(entries)
}
