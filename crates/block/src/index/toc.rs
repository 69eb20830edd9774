//! The last bytes of an index: where each section begins.

use crate::bytes::Cursor;
use crate::fault::Fault;

/// Bytes of the table with its checksum.
const LEN: usize = 6 * 8 + 4;

/// Where the sections of an index begin. Zero for a section that is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Toc {
    pub(crate) symbols: u64,
    pub(crate) series: u64,
    pub(crate) label_indices: u64,
    pub(crate) label_index_table: u64,
    pub(crate) postings: u64,
    pub(crate) postings_table: u64,
}

impl Toc {
    pub(crate) fn read(file: &[u8]) -> Result<Self, Fault> {
        let Some((before, toc)) = file.split_last_chunk::<LEN>() else {
            return Err(Fault::Size { offset: 0, needed: LEN as u64, left: file.len() as u64 });
        };
        let offset = before.len() as u64;
        let mut cursor = Cursor::new(toc, offset);
        let content = cursor.take(LEN as u64 - 4)?;
        let (expected, found) = (cursor.be32()?, crc32c::crc32c(content));
        if expected != found && !cfg!(fuzzing) {
            return Err(Fault::Checksum { offset, len: content.len() as u64, expected, found });
        }
        let mut cursor = Cursor::new(content, offset);
        Ok(Self {
            symbols: cursor.be64()?,
            series: cursor.be64()?,
            label_indices: cursor.be64()?,
            label_index_table: cursor.be64()?,
            postings: cursor.be64()?,
            postings_table: cursor.be64()?,
        })
    }

    /// The bytes that end an index.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let sections = [
            self.symbols,
            self.series,
            self.label_indices,
            self.label_index_table,
            self.postings,
            self.postings_table,
        ];
        let mut out: Vec<u8> = sections.iter().flat_map(|offset| offset.to_be_bytes()).collect();
        out.extend_from_slice(&crc32c::crc32c(&out).to_be_bytes());
        out
    }
}
