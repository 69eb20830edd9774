//! Writes a snappy block operation by operation. It says how long what it stands for is before anything else.
//!
//! Facts: the snappy format description (preamble, literals, copies with offsets of 16 bits).
//! PERF: a literal is written in its place behind room for the shortest tag; one that grows longer moves by a byte or two.

use crate::wire;

/// The longest length of a block, as a varint.
const PREAMBLE: usize = 5;
/// The longest copy of one operation.
const LONGEST_COPY: usize = 64;
/// The longest literal with a tag of one byte.
const SHORT_LITERAL: usize = 60;

/// See the module's words.
pub(super) struct Block {
    /// Room for the length, then the operations.
    out: Vec<u8>,
    /// Bytes of the message so far, those of the open operation only once it ended.
    len: usize,
    open: Open,
}

/// The operation that may grow.
enum Open {
    None,
    /// Its tag's place in `out`.
    Literal(usize),
    Copy {
        offset: usize,
        len: usize,
    },
}

impl Default for Block {
    fn default() -> Self {
        Self { out: vec![0; PREAMBLE], len: 0, open: Open::None }
    }
}

impl Block {
    pub(super) fn clear(&mut self) {
        self.out.truncate(PREAMBLE);
        self.len = 0;
        self.open = Open::None;
    }

    /// Bytes of the message so far.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
            + match self.open {
                Open::None => 0,
                Open::Literal(tag) => self.out.len() - tag - 1,
                Open::Copy { len, .. } => len,
            }
    }

    /// Where to append bytes that are not repeated.
    #[inline]
    pub(super) fn literal(&mut self) -> &mut Vec<u8> {
        if !matches!(self.open, Open::Literal(_)) {
            self.end();
            self.open = Open::Literal(self.out.len());
            self.out.push(0);
        }
        &mut self.out
    }

    /// Adds bytes that were written `offset` bytes before, 1 to 65,535.
    #[inline]
    pub(super) fn repeat(&mut self, offset: usize, more: usize) {
        match &mut self.open {
            Open::Copy { offset: open, len } if *open == offset => *len += more,
            _ => {
                self.end();
                self.open = Open::Copy { offset, len: more };
            }
        }
    }

    /// The block.
    pub(super) fn finish(&mut self) -> &[u8] {
        self.end();
        let mut preamble = Vec::with_capacity(PREAMBLE);
        wire::put_varint(&mut preamble, self.len as u64);
        let from = PREAMBLE - preamble.len();
        self.out[from..PREAMBLE].copy_from_slice(&preamble);
        &self.out[from..]
    }

    #[inline]
    fn end(&mut self) {
        match std::mem::replace(&mut self.open, Open::None) {
            Open::None => {}
            Open::Literal(tag) => self.end_literal(tag),
            Open::Copy { offset, mut len } => {
                self.len += len;
                while len > 0 {
                    let n = len.min(LONGEST_COPY);
                    self.out.extend([2 | (n as u8 - 1) << 2, offset as u8, (offset >> 8) as u8]);
                    len -= n;
                }
            }
        }
    }

    #[inline]
    fn end_literal(&mut self, tag: usize) {
        let len = self.out.len() - tag - 1;
        self.len += len;
        match len {
            0 => self.out.truncate(tag),
            1..=SHORT_LITERAL => self.out[tag] = (len as u8 - 1) << 2,
            _ => self.end_long_literal(tag, len - 1),
        }
    }

    #[cold]
    fn end_long_literal(&mut self, tag: usize, last: usize) {
        let bytes = (last as u32).to_le_bytes();
        let (number, used) = match last {
            0..0x100 => (60, 1),
            0x100..0x1_0000 => (61, 2),
            _ => (63, 4),
        };
        self.out[tag] = number << 2;
        self.out.splice(tag + 1..tag + 1, bytes[..used].iter().copied());
    }
}
