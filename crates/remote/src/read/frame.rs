//! Frames of a streamed answer: length (varint), CRC-32C (big-endian), message.
//!
//! Facts: Prometheus `storage/remote/chunked.go`; the texts of errors are its own.

use crate::wire::put_varint;

/// Why a stream cannot be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It ends within a frame.
    #[error("unexpected EOF")]
    Cut,
    /// The length of a frame is no number.
    #[error("binary: varint overflows a 64-bit integer")]
    Length,
    /// A frame is larger than it may be.
    #[error("chunkedReader: message size exceeded the limit {limit} bytes; got: {size} bytes")]
    TooLarge {
        /// `chunked_read_limit`.
        limit: u64,
        /// What the frame says.
        size: u64,
    },
    /// Some bytes changed on the way.
    #[error("chunkedReader: corrupted frame; checksum mismatch")]
    Checksum,
}

/// A frame around a message that comes in parts.
pub(crate) fn frame(parts: &[&[u8]]) -> Vec<u8> {
    let len = parts.iter().map(|part| part.len()).sum::<usize>();
    let mut out = Vec::with_capacity(len + 14);
    put_varint(&mut out, len as u64);
    let checksum = parts.iter().fold(0, |checksum, part| crc32c::crc32c_append(checksum, part));
    out.extend_from_slice(&checksum.to_be_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// Where the messages of a stream lie, each verified.
pub(crate) struct Frames<'a> {
    stream: &'a [u8],
    at: usize,
    limit: u64,
}

impl<'a> Frames<'a> {
    /// Frames of at most `limit` bytes.
    pub(crate) fn new(stream: &'a [u8], limit: u64) -> Self {
        Self { stream, at: 0, limit }
    }

    fn next_frame(&mut self) -> Result<std::ops::Range<usize>, FrameError> {
        let size = self.varint()?;
        if size > self.limit {
            return Err(FrameError::TooLarge { limit: self.limit, size });
        }
        let (expected, rest) = self.stream[self.at..].split_first_chunk::<4>().ok_or(FrameError::Cut)?;
        let message = usize::try_from(size).ok().and_then(|size| rest.get(..size)).ok_or(FrameError::Cut)?;
        if crc32c::crc32c(message) != u32::from_be_bytes(*expected) && !cfg!(fuzzing) {
            return Err(FrameError::Checksum);
        }
        let start = self.at + 4;
        self.at = start + message.len();
        Ok(start..self.at)
    }

    fn varint(&mut self) -> Result<u64, FrameError> {
        let mut value = 0;
        for (place, shift) in (0..70).step_by(7).enumerate() {
            let byte = *self.stream.get(self.at).ok_or(FrameError::Cut)?;
            self.at += 1;
            if place == 9 && byte > 1 {
                return Err(FrameError::Length);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(FrameError::Length)
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<std::ops::Range<usize>, FrameError>;

    /// The place of the next message; nothing more after an error.
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.stream.len() {
            return None;
        }
        let frame = self.next_frame();
        if frame.is_err() {
            self.at = self.stream.len();
        }
        Some(frame)
    }
}
