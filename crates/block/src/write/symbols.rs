//! The symbol table of a new index: written first, then asked for the number of each text that a series uses.
//!
//! The texts are read from the mapped file; in memory are a place and a hash slot for each, about 16 bytes together.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::output::Output;
use super::{WriteError, failed};
use crate::bytes::{self, push_prefixed};
use crate::mapped::Mapped;

/// Writes the section. Its length and count come last, into room left at its start.
pub(super) struct SymbolWriter {
    /// Where the section begins.
    start: u64,
    count: u32,
    last: String,
    buffer: Vec<u8>,
}

/// The finished section: numbers by text.
pub(super) struct SymbolNumbers {
    file: Mapped,
    /// Where the texts begin in the file.
    start: usize,
    /// Where each text lies from there on, and its length.
    texts: Vec<(u32, u32)>,
    numbers: HashTable<u32>,
    hasher: RandomState,
}

impl SymbolWriter {
    pub(super) fn begin(out: &mut Output) -> Result<Self, WriteError> {
        let start = out.position();
        out.write(&[0; 8])?;
        Ok(Self { start, count: 0, last: String::new(), buffer: Vec::new() })
    }

    pub(super) fn add(&mut self, out: &mut Output, text: &str) -> Result<(), WriteError> {
        if self.count > 0 && *text <= *self.last {
            return Err(self.out_of_order(text));
        }
        text.clone_into(&mut self.last);
        self.count += 1;
        self.buffer.clear();
        push_prefixed(&mut self.buffer, text.as_bytes());
        out.write_covered(&self.buffer)
    }

    pub(super) fn out_of_order(&self, text: &str) -> WriteError {
        WriteError::SymbolOrder { text: text.to_owned(), last: self.last.clone() }
    }

    /// Completes the section and maps it.
    pub(super) fn finish(&self, out: &mut Output) -> Result<SymbolNumbers, WriteError> {
        let texts_len = out.position() - self.start - 8;
        let Ok(len) = u32::try_from(texts_len + 4) else {
            let path = out.path().to_owned();
            return Err(WriteError::TooLarge { what: "symbol table", path, bytes: texts_len + 4 });
        };
        let count = self.count.to_be_bytes();
        let checksum = crc32c::crc32c_combine(crc32c::crc32c(&count), out.checksum(), texts_len as usize);
        out.write_checksum(checksum)?;
        out.patch(self.start, len.to_be_bytes())?;
        out.patch(self.start + 4, count)?;
        SymbolNumbers::read(out, self.start)
    }
}

impl SymbolNumbers {
    fn read(out: &Output, start: u64) -> Result<Self, WriteError> {
        let file = Mapped::open(out.path()).map_err(failed("map", out.path()))?;
        let written = "the section was written by this very process";
        let mut section = bytes::trusted_section(file.bytes(), start).expect(written);
        let count = section.be32().expect(written);
        let start = section.offset();
        let hasher = RandomState::default();
        let mut texts = Vec::with_capacity(count as usize);
        let mut numbers = HashTable::with_capacity(count as usize);
        for number in 0..count {
            let text = section.prefixed().expect(written);
            texts.push(((section.offset() - start) as u32 - text.len() as u32, text.len() as u32));
            numbers.insert_unique(hasher.hash_one(text), number, |_| unreachable!("there is room for all"));
        }
        Ok(Self { file, start: start as usize, texts, numbers, hasher })
    }

    /// What series call a text.
    #[inline]
    pub(super) fn number(&self, text: &str) -> Result<u32, WriteError> {
        let found = self
            .numbers
            .find(self.hasher.hash_one(text.as_bytes()), |number| self.text(*number) == text.as_bytes());
        found.copied().ok_or_else(|| WriteError::UnknownSymbol { text: text.to_owned() })
    }

    /// The text of a number that [`SymbolNumbers::number`] gave.
    #[inline]
    pub(super) fn text(&self, number: u32) -> &[u8] {
        let (start, len) = self.texts[number as usize];
        &self.file.bytes()[self.start + start as usize..][..len as usize]
    }
}
