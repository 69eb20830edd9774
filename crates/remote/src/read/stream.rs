//! The answer in frames of `ChunkedReadResponse`: one series or a part of one in each.
//!
//! Chunks go out as they lie in blocks and head; only those that are cut or overlap are written again. A kind of chunk that the
//! client may not know (XOR2) goes out as it is, as in Prometheus: the protocol has no way to ask.
//! Memory: one frame, which is one chunk longer than the limit at most, and what `narthex_chunks::merge_chunks` takes.
//! COMPAT: where a frame ends is as in Prometheus, byte for byte.

use bytes::Bytes;
use narthex_chunks::{MergeError, merge_chunks};
use narthex_model::Labels;
use narthex_storage::{QueryError, SeriesSet, StoredChunk};

use super::frame::frame;
use super::samples::put_labels;
use crate::wire::{BYTES, put_bytes, put_key, put_number, put_varint, varint_len};

/// The encoding of an empty chunk of floats, and its bytes: no samples.
const EMPTY_CHUNK: (u8, [u8; 2]) = (1, [0, 0]);

/// Why a stream ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("the client is gone")]
    Gone,
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Chunk(#[from] MergeError),
}

/// Writes the frames of one query.
pub(crate) struct Stream<'s> {
    /// The number of the query in its request.
    pub(crate) query: usize,
    /// Labels that series get which do not have them.
    pub(crate) external: &'s Labels,
    pub(crate) range: (i64, i64),
    /// Only label sets are wanted.
    pub(crate) labels_only: bool,
    /// About the largest frame, bytes.
    pub(crate) max_bytes: i64,
    /// Takes a frame; `false` when nobody wants more.
    pub(crate) send: &'s mut dyn FnMut(Bytes) -> bool,
}

impl Stream<'_> {
    /// Writes all series of a set.
    pub(crate) fn put_set(&mut self, set: &dyn SeriesSet) -> Result<(), StreamError> {
        let (mut labels, mut chunks) = (Vec::new(), Vec::new());
        for at in 0..set.len() {
            labels.clear();
            put_labels(&mut labels, &set.labels(at), self.external);
            let mut part = Part { series: Vec::new(), left: self.room(&labels) };
            if self.labels_only {
                part.put(&empty_chunk(self.range));
                self.send(&labels, &part)?;
                continue;
            }
            set.chunks(at, self.range.0, self.range.1, &mut chunks)?;
            let mut sent = Ok(());
            merge_chunks(std::mem::take(&mut chunks), self.range, |chunk| {
                if sent.is_ok() && part.left <= 0 && !part.series.is_empty() {
                    sent = self.send(&labels, &part);
                    part.begin(self.room(&labels));
                }
                part.put(&chunk);
            })?;
            sent?;
            if !part.series.is_empty() {
                self.send(&labels, &part)?;
            }
        }
        Ok(())
    }

    /// Bytes for chunks beside these labels.
    fn room(&self, labels: &[u8]) -> i64 {
        let mut room = self.max_bytes;
        for (name, value) in crate::wire::labels(labels) {
            let field = |text: &str| match text.len() {
                0 => 0,
                len => 1 + varint_len(len as u64) + len,
            };
            room = room.saturating_sub((field(name) + field(value)) as i64);
        }
        room
    }

    fn send(&mut self, labels: &[u8], part: &Part) -> Result<(), StreamError> {
        let mut head = Vec::with_capacity(8);
        put_key(&mut head, 1, BYTES);
        put_varint(&mut head, (labels.len() + part.series.len()) as u64);
        let mut tail = Vec::new();
        if self.query > 0 {
            put_number(&mut tail, 2, self.query as u64);
        }
        let frame = frame(&[&head, labels, &part.series, &tail]);
        if (self.send)(Bytes::from(frame)) { Ok(()) } else { Err(StreamError::Gone) }
    }
}

/// What goes into the next frame.
struct Part {
    /// The fields of chunks.
    series: Vec<u8>,
    /// Bytes that are left for chunks; below 0 when one was larger.
    left: i64,
}

impl Part {
    fn begin(&mut self, room: i64) {
        self.series.clear();
        self.left = room;
    }

    fn put(&mut self, chunk: &StoredChunk<'_>) {
        let mut head = Vec::with_capacity(32);
        for (field, value) in
            [(1, chunk.min_ms as u64), (2, chunk.max_ms as u64), (3, u64::from(chunk.encoding))]
        {
            if value != 0 {
                put_number(&mut head, field, value);
            }
        }
        let len = head.len() + 1 + varint_len(chunk.bytes.len() as u64) + chunk.bytes.len();
        put_key(&mut self.series, 2, BYTES);
        put_varint(&mut self.series, len as u64);
        self.series.extend_from_slice(&head);
        put_bytes(&mut self.series, 4, &chunk.bytes);
        self.left -= len as i64;
    }
}

/// What stands for the samples that nobody wants.
fn empty_chunk((min_ms, max_ms): (i64, i64)) -> StoredChunk<'static> {
    let (encoding, bytes) = EMPTY_CHUNK;
    StoredChunk { min_ms, max_ms, encoding, bytes: bytes.to_vec().into(), hidden: Vec::new(), source: 0 }
}
