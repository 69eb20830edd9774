//! The chunk files of a new block.

use std::path::PathBuf;

use narthex_chunks::Encoding;

use super::WriteError;
use super::output::Output;
use crate::bytes::push_uvarint;
use crate::segments::{HEADER_LEN, MAGIC, MAX_LENGTH_BYTES, VERSION};

/// Writes chunks one behind the other, into as many files as it takes.
pub(super) struct SegmentWriter {
    dir: PathBuf,
    segment_bytes: u64,
    open: Option<Output>,
    /// How many files there are.
    files: u64,
    /// Length and encoding of a chunk; kept for its memory.
    frame: Vec<u8>,
}

impl SegmentWriter {
    /// `dir` exists and is empty.
    pub(super) fn new(dir: PathBuf, segment_bytes: u64) -> Self {
        // A place has 32 bits for the offset.
        let segment_bytes = segment_bytes.min(u64::from(u32::MAX));
        Self { dir, segment_bytes, open: None, files: 0, frame: Vec::new() }
    }

    /// Writes a chunk and returns its reference.
    pub(super) fn write(&mut self, encoding: Encoding, bytes: &[u8]) -> Result<u64, WriteError> {
        let len = (MAX_LENGTH_BYTES + 1 + bytes.len() + 4) as u64;
        if self.open.as_ref().is_some_and(|open| open.position() + len > self.segment_bytes) {
            self.close()?;
        }
        if self.open.is_none() {
            self.cut()?;
        }
        let open = self.open.as_mut().expect("a file was cut");
        let place = (self.files - 1) << 32 | open.position();
        self.frame.clear();
        push_uvarint(&mut self.frame, bytes.len() as u64);
        open.write(&self.frame)?;
        open.write_covered(&[encoding as u8])?;
        open.write_covered(bytes)?;
        open.write_checksum(open.checksum())?;
        Ok(place)
    }

    fn cut(&mut self) -> Result<(), WriteError> {
        let mut file = Output::create(self.dir.join(format!("{:06}", self.files + 1)))?;
        let mut header = [0; HEADER_LEN];
        header[..4].copy_from_slice(&MAGIC.to_be_bytes());
        header[4] = VERSION;
        file.write(&header)?;
        self.files += 1;
        self.open = Some(file);
        Ok(())
    }

    fn close(&mut self) -> Result<(), WriteError> {
        self.open.take().map_or(Ok(()), Output::finish)
    }

    /// Makes all files durable; the directory is left to the caller.
    pub(super) fn finish(mut self) -> Result<(), WriteError> {
        self.close()
    }
}
