//! The postings of a new index, gathered from its own series in as many passes as memory asks for.
//!
//! A pass takes the next label names whose pairs fit into the budget, reads all series, and keeps for each of these names the
//! value and the series of every pair: eight bytes, and four more while they are sorted. One name alone may exceed the budget,
//! by 12 bytes a series at most.

use rustc_hash::FxHashMap;

use super::output::Output;
use super::symbols::SymbolNumbers;
use super::{WriteError, failed};
use crate::bytes::{push_prefixed, push_uvarint};
use crate::index::{Entry, SERIES_ALIGN};

/// Memory of one pair while its name is worked on.
const PAIR_BYTES: usize = 12;

/// Writes lists, and gathers their table in a file of its own, since that can be as large as the lists.
pub(super) struct PostingsWriter<'w> {
    out: &'w mut Output,
    numbers: &'w SymbolNumbers,
    table: Output,
    entries: u32,
    buffer: Vec<u8>,
}

/// The gathered table.
pub(super) struct PostingsTable {
    content: Output,
    entries: u32,
}

/// Value (upper half) and series of the pairs of one label name.
struct NamePairs {
    name: u32,
    pairs: Vec<u64>,
}

impl<'w> PostingsWriter<'w> {
    pub(super) fn new(out: &'w mut Output, numbers: &'w SymbolNumbers) -> Result<Self, WriteError> {
        let table = Output::create(out.path().with_extension("postings-table.tmp"))?;
        Ok(Self { out, numbers, table, entries: 0, buffer: Vec::new() })
    }

    /// Writes the list of all series, which the table calls by an empty name and value.
    pub(super) fn write_all(&mut self, series: &[u32]) -> Result<(), WriteError> {
        self.write_list((b"", b""), series.iter().copied())
    }

    /// Writes a list for every label pair. `file` is the index up to the end of its series.
    pub(super) fn write_labels(
        &mut self,
        file: &[u8],
        series: &[u32],
        uses: &FxHashMap<u32, u64>,
        budget_bytes: usize,
    ) -> Result<(), WriteError> {
        let mut names: Vec<(u32, u64)> = uses.iter().map(|(name, uses)| (*name, *uses)).collect();
        // Symbols are numbered in the order of their texts, and so are lists to be.
        names.sort_unstable();
        let budget = (budget_bytes / PAIR_BYTES) as u64;
        let mut rest = names.as_slice();
        while !rest.is_empty() {
            let mut pairs = 0;
            let fitting = rest.iter().take_while(|(_, uses)| {
                pairs += uses;
                pairs <= budget
            });
            let (pass, more) = rest.split_at(fitting.count().max(1));
            rest = more;
            for mut name in gather(file, series, pass) {
                // Stable: series of one value stay in order.
                name.pairs.sort_by_key(|pair| pair >> 32);
                self.write_name(&name)?;
            }
        }
        Ok(())
    }

    fn write_name(&mut self, name: &NamePairs) -> Result<(), WriteError> {
        let numbers = self.numbers;
        for same in name.pairs.chunk_by(|a, b| a >> 32 == b >> 32) {
            let value = numbers.text((same[0] >> 32) as u32);
            self.write_list((numbers.text(name.name), value), same.iter().map(|pair| *pair as u32))?;
        }
        Ok(())
    }

    fn write_list(
        &mut self,
        (name, value): (&[u8], &[u8]),
        series: impl ExactSizeIterator<Item = u32>,
    ) -> Result<(), WriteError> {
        self.out.pad(4)?;
        self.buffer.clear();
        push_uvarint(&mut self.buffer, 2);
        push_prefixed(&mut self.buffer, name);
        push_prefixed(&mut self.buffer, value);
        push_uvarint(&mut self.buffer, self.out.position());
        self.table.write(&self.buffer)?;
        self.entries += 1;
        self.buffer.clear();
        let bytes = 4 * (series.len() as u64 + 1);
        let Ok(len) = u32::try_from(bytes) else {
            let path = self.out.path().to_owned();
            return Err(WriteError::TooLarge { what: "list of postings", path, bytes });
        };
        self.buffer.extend_from_slice(&(series.len() as u32).to_be_bytes());
        self.buffer.extend(series.flat_map(u32::to_be_bytes));
        self.out.write(&len.to_be_bytes())?;
        self.out.write_covered(&self.buffer)?;
        self.out.write_checksum(self.out.checksum())
    }

    pub(super) fn finish(mut self) -> Result<PostingsTable, WriteError> {
        self.table.flush()?;
        Ok(PostingsTable { content: self.table, entries: self.entries })
    }
}

fn gather(file: &[u8], series: &[u32], names: &[(u32, u64)]) -> Vec<NamePairs> {
    let (Some((first, _)), Some((last, _))) = (names.first(), names.last()) else { return Vec::new() };
    let room =
        |(name, uses): &(u32, u64)| NamePairs { name: *name, pairs: Vec::with_capacity(*uses as usize) };
    let mut gathered: Vec<NamePairs> = names.iter().map(room).collect();
    let at: FxHashMap<u32, u32> = names.iter().map(|(name, _)| *name).zip(0..).collect();
    for series in series {
        let place = u64::from(*series) * SERIES_ALIGN;
        let visited = Entry::trusted(file, place).and_then(|entry| {
            entry.visit(|name, value| {
                if (*first..=*last).contains(&name) {
                    let at = at[&name] as usize;
                    gathered[at].pairs.push(u64::from(value) << 32 | u64::from(*series));
                }
            })
        });
        visited.expect("the series were written by this very process");
    }
    gathered
}

impl PostingsTable {
    /// Copies the table behind the lists and removes its own file.
    pub(super) fn write(self, out: &mut Output) -> Result<(), WriteError> {
        let len = self.content.position() + 4;
        let Ok(len) = u32::try_from(len) else {
            let path = out.path().to_owned();
            return Err(WriteError::TooLarge { what: "postings offset table", path, bytes: len });
        };
        out.write(&len.to_be_bytes())?;
        out.write_covered(&self.entries.to_be_bytes())?;
        let path = self.content.path();
        let mut content = std::fs::File::open(path).map_err(failed("open", path))?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            match std::io::Read::read(&mut content, &mut buffer).map_err(failed("read", path))? {
                0 => break,
                len => out.write_covered(&buffer[..len])?,
            }
        }
        out.write_checksum(out.checksum())?;
        std::fs::remove_file(path).map_err(failed("remove", path))
    }
}
