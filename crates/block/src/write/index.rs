//! The index of a new block: symbols, series, postings, the table of postings, the table of contents.

use std::path::Path;

use narthex_model::Labels;
use rustc_hash::FxHashMap;

use super::output::Output;
use super::postings::PostingsWriter;
use super::symbols::{SymbolNumbers, SymbolWriter};
use super::{WriteError, failed};
use crate::ChunkPiece;
use crate::bytes::{push_uvarint, push_varint};
use crate::index::{FILE, HEADER_LEN, MAGIC, SERIES_ALIGN, Toc};
use crate::mapped::Mapped;

/// The version that is written.
const VERSION: u8 = 2;
const FINISHED: &str = "the symbols were finished a line above";

/// Writes an index from front to back.
pub(super) struct IndexWriter {
    out: Output,
    postings_bytes: usize,
    toc: Toc,
    symbols: SymbolWriter,
    /// There once the first series came.
    numbers: Option<SymbolNumbers>,
    last: Labels,
    /// The symbols of the last series' labels.
    last_numbers: Vec<(u32, u32)>,
    /// All series.
    series: Vec<u32>,
    /// How many series have each label name.
    uses: FxHashMap<u32, u64>,
    content: Vec<u8>,
    len: Vec<u8>,
}

impl IndexWriter {
    pub(super) fn create(dir: &Path, postings_bytes: usize) -> Result<Self, WriteError> {
        let mut out = Output::create(dir.join(FILE))?;
        let mut header = MAGIC.to_be_bytes().to_vec();
        header.push(VERSION);
        out.write(&header)?;
        let toc = Toc { symbols: HEADER_LEN as u64, ..Toc::default() };
        let symbols = SymbolWriter::begin(&mut out)?;
        Ok(Self {
            out,
            postings_bytes,
            toc,
            symbols,
            numbers: None,
            last: Labels::empty(),
            last_numbers: Vec::new(),
            series: Vec::new(),
            uses: FxHashMap::default(),
            content: Vec::new(),
            len: Vec::new(),
        })
    }

    pub(super) fn add_symbol(&mut self, text: &str) -> Result<(), WriteError> {
        match self.numbers {
            None => self.symbols.add(&mut self.out, text),
            Some(_) => Err(self.symbols.out_of_order(text)),
        }
    }

    fn finish_symbols(&mut self) -> Result<(), WriteError> {
        if self.numbers.is_none() {
            self.numbers = Some(self.symbols.finish(&mut self.out)?);
            self.toc.series = self.out.position();
        }
        Ok(())
    }

    /// Adds a series with the places of its chunks.
    pub(super) fn add_series(
        &mut self,
        labels: &Labels,
        chunks: &[ChunkPiece<'_>],
        places: &[u64],
    ) -> Result<(), WriteError> {
        if !self.series.is_empty() && *labels <= self.last {
            return Err(WriteError::SeriesOrder { labels: labels.clone(), last: self.last.clone() });
        }
        self.finish_symbols()?;
        let numbers = self.numbers.as_ref().expect(FINISHED);
        self.content.clear();
        if let Err(error) = renumber(numbers, labels, &self.last, &mut self.last_numbers) {
            // What is half replaced belongs to no series.
            self.last_numbers.clear();
            return Err(error);
        }
        push_uvarint(&mut self.content, self.last_numbers.len() as u64);
        for (name, value) in &self.last_numbers {
            *self.uses.entry(*name).or_insert(0) += 1;
            push_uvarint(&mut self.content, u64::from(*name));
            push_uvarint(&mut self.content, u64::from(*value));
        }
        push_chunks(&mut self.content, chunks, places);
        self.last = labels.clone();
        self.write_series()
    }

    fn write_series(&mut self) -> Result<(), WriteError> {
        self.out.pad(SERIES_ALIGN)?;
        let Ok(series) = u32::try_from(self.out.position() / SERIES_ALIGN) else {
            let (path, bytes) = (self.out.path().to_owned(), self.out.position());
            return Err(WriteError::TooLarge { what: "index", path, bytes });
        };
        self.series.push(series);
        self.len.clear();
        push_uvarint(&mut self.len, self.content.len() as u64);
        self.out.write(&self.len)?;
        self.out.write_covered(&self.content)?;
        self.out.write_checksum(self.out.checksum())
    }

    /// Writes everything behind the series and makes the file durable.
    pub(super) fn finish(mut self) -> Result<(), WriteError> {
        self.finish_symbols()?;
        let numbers = self.numbers.as_ref().expect(FINISHED);
        self.toc.label_indices = self.out.position();
        self.out.flush()?;
        let written = Mapped::open(self.out.path()).map_err(failed("map", self.out.path()))?;
        self.out.pad(4)?;
        self.toc.postings = self.out.position();
        let mut postings = PostingsWriter::new(&mut self.out, numbers)?;
        postings.write_all(&self.series)?;
        postings.write_labels(written.bytes(), &self.series, &self.uses, self.postings_bytes)?;
        let table = postings.finish()?;
        self.toc.label_index_table = self.out.position();
        self.toc.postings_table = self.out.position();
        table.write(&mut self.out)?;
        self.out.write(&self.toc.to_bytes())?;
        self.out.finish()
    }
}

/// Puts the symbols of `labels` in place of those of `last`.
///
/// PERF: a series mostly differs from the one before it in one or two labels: texts at the same place that are equal need no
/// look-up (`benches/block.rs`, wide write).
fn renumber(
    numbers: &SymbolNumbers,
    labels: &Labels,
    last: &Labels,
    known: &mut Vec<(u32, u32)>,
) -> Result<(), WriteError> {
    let mut before = last.iter();
    let mut count = 0;
    for (name, value) in labels {
        let last = before.next().zip(known.get(count).copied());
        let number = match last {
            Some(((last_name, last_value), (name_number, value_number))) => (
                if last_name == name { name_number } else { numbers.number(name)? },
                if last_value == value { value_number } else { numbers.number(value)? },
            ),
            None => (numbers.number(name)?, numbers.number(value)?),
        };
        match known.get_mut(count) {
            Some(place) => *place = number,
            None => known.push(number),
        }
        count += 1;
    }
    known.truncate(count);
    Ok(())
}

/// Appends the time ranges and places of a series' chunks, each as difference to the one before.
fn push_chunks(out: &mut Vec<u8>, chunks: &[ChunkPiece<'_>], places: &[u64]) {
    push_uvarint(out, chunks.len() as u64);
    let mut last: Option<(i64, u64)> = None;
    for (chunk, place) in chunks.iter().zip(places) {
        match last {
            None => push_varint(out, chunk.min_ms),
            Some((last_ms, _)) => push_uvarint(out, chunk.min_ms.wrapping_sub(last_ms) as u64),
        }
        push_uvarint(out, chunk.max_ms.wrapping_sub(chunk.min_ms) as u64);
        match last {
            None => push_uvarint(out, *place),
            Some((_, last_place)) => push_varint(out, place.wrapping_sub(last_place) as i64),
        }
        last = Some((chunk.max_ms, *place));
    }
}
