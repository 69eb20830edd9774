//! What an endpoint answered, checked and kept as chunks: those of a stream where they lie in it, samples as chunks of our own.
//!
//! Always true of [`Received`]: label sets rise and are unique; the chunks of a series rise in time, do not overlap, and decode to
//! samples whose times rise strictly. Nothing that an endpoint says about its chunks is believed: each is decoded once.
//! Memory: [`MAX_BYTES`] for what came and as much for what it becomes, 40 bytes a chunk and some 60 a series.
//! COMPAT: texts are those of Prometheus' client. Facts: `prompb/remote.proto`, `prompb/types.proto`.

mod gathered;
mod parts;

use std::borrow::Cow;
use std::ops::Range;

use narthex_chunks::{ChunkError, Encoding, MergeError};
use narthex_model::Labels;
use narthex_storage::StoredChunk;

use self::gathered::Gathered;
use super::frame::{FrameError, Frames};
use crate::receive::DecodeError;
use crate::receive::wire::Reader;

/// Largest answer, compressed and not, bytes; ours.
pub(crate) const MAX_BYTES: usize = 512 << 20;
/// Most series of an answer; ours.
const MAX_SERIES: usize = 10_000_000;

/// Why an answer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The message is not one snappy block.
    #[error("error reading response: snappy: corrupt input")]
    Snappy,
    /// It is larger than we take.
    #[error("error reading response: answer is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// It has more series than we take.
    #[error("error reading response: answer has more than {MAX_SERIES} series")]
    ManySeries,
    /// The message is not what it should be.
    #[error("unable to unmarshal response body: {0}")]
    Message(DecodeError),
    /// The same of a frame.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A frame is damaged.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It answers more or fewer queries than there were.
    #[error("responses: want 1, got {0}")]
    Results(usize),
    /// A label cannot be.
    #[error("{0}")]
    Label(String),
    /// A series goes back in time.
    #[error("samples of series {0} are not in the order of their times")]
    Order(Labels),
    /// A chunk of a kind that nobody knows.
    #[error("invalid chunk encoding \"<unknown>\"")]
    Encoding,
    /// A chunk cannot be decoded.
    #[error("cannot decode chunk of series {labels}: {source}")]
    Chunk {
        /// Whose it is.
        labels: Labels,
        /// What is wrong.
        source: ChunkError,
    },
    /// Overlapping chunks cannot be decoded.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// A histogram does not agree with itself.
    #[error("histogram of series {labels}: {reason}")]
    Histogram {
        /// Whose it is.
        labels: Labels,
        /// What is wrong.
        reason: String,
    },
}

/// An answer.
#[derive(Debug, Default)]
pub(crate) struct Received {
    bytes: Vec<u8>,
    chunks: Vec<Piece>,
    series: Vec<(Labels, Range<u32>)>,
}

/// A chunk in the bytes of an answer.
#[derive(Clone, Debug)]
struct Piece {
    min_ms: i64,
    max_ms: i64,
    encoding: Encoding,
    at: Range<usize>,
}

impl Received {
    /// Takes a stream of frames of at most `frame_limit` bytes. Labels named in `without` are taken off.
    pub(crate) fn from_frames(
        stream: Vec<u8>,
        frame_limit: u64,
        without: &[String],
    ) -> Result<Self, AnswerError> {
        let mut gathered = Gathered::new(without);
        for frame in Frames::new(&stream, frame_limit) {
            let mut reader = Reader::new(&stream, frame?);
            while let Some(key) = reader.key("ChunkedReadResponse")? {
                match key.field {
                    1 => {
                        let place = reader.block(key, "ChunkedSeries")?;
                        gathered.take_chunked(&stream, reader.nested(place))?;
                    }
                    2 => reader.number(key, "QueryIndex").map(drop)?,
                    _ => reader.skip(key)?,
                }
            }
        }
        gathered.arrange(stream)
    }

    /// Takes a compressed message with samples.
    pub(crate) fn from_message(body: &[u8], without: &[String]) -> Result<Self, AnswerError> {
        let message = decompress(body)?;
        let mut gathered = Gathered::new(without);
        let (mut bytes, mut results) = (Vec::new(), 0);
        let mut reader = Reader::new(&message, 0..message.len());
        while let Some(key) = reader.key("ReadResponse").map_err(AnswerError::Message)? {
            if key.field == 1 {
                results += 1;
                let place = reader.block(key, "Results").map_err(AnswerError::Message)?;
                gathered.take_result(reader.nested(place), &mut bytes)?;
            } else {
                reader.skip(key).map_err(AnswerError::Message)?;
            }
        }
        if results == 1 { gathered.arrange(bytes) } else { Err(AnswerError::Results(results)) }
    }

    /// How many series.
    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    /// The labels of a series.
    pub(crate) fn labels(&self, at: usize) -> &Labels {
        &self.series[at].0
    }

    /// The chunks of a series that overlap a closed range, oldest first.
    pub(crate) fn chunks(&self, at: usize, range: (i64, i64)) -> impl Iterator<Item = StoredChunk<'_>> {
        let place = &self.series[at].1;
        let chunks = self.chunks[place.start as usize..place.end as usize].iter();
        chunks.map(|piece| piece.stored(&self.bytes)).filter(move |chunk| chunk.overlaps(range))
    }
}

impl Piece {
    fn stored<'b>(&self, bytes: &'b [u8]) -> StoredChunk<'b> {
        StoredChunk {
            min_ms: self.min_ms,
            max_ms: self.max_ms,
            encoding: self.encoding as u8,
            bytes: Cow::Borrowed(&bytes[self.at.clone()]),
            hidden: Vec::new(),
            source: 0,
        }
    }
}

fn decompress(body: &[u8]) -> Result<Vec<u8>, AnswerError> {
    /// More than any block grows when it is decompressed: three bytes stand for 64 at most.
    const GROWTH: usize = 32;
    if body.is_empty() {
        return Err(AnswerError::Snappy);
    }
    let len = snap::raw::decompress_len(body).map_err(|_| AnswerError::Snappy)?;
    if len > MAX_BYTES {
        return Err(AnswerError::TooLarge);
    }
    if len > body.len().saturating_mul(GROWTH) {
        return Err(AnswerError::Snappy);
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(|_| AnswerError::Snappy)
}

/// Both forms of answers from bytes that anybody made; for the fuzzer. The first byte 0 stands for a message with samples, 1 for a
/// compressed one; all else are frames. Says how many series there are.
///
/// # Errors
/// See [`AnswerError`].
pub fn decode_for_fuzzing(bytes: &[u8]) -> Result<usize, AnswerError> {
    let received = match bytes.split_first() {
        Some((0, rest)) => {
            let compressed =
                snap::raw::Encoder::new().compress_vec(rest).map_err(|_| AnswerError::TooLarge)?;
            Received::from_message(&compressed, &[])?
        }
        Some((1, rest)) => Received::from_message(rest, &[])?,
        _ => Received::from_frames(bytes.to_vec(), 50_000_000, &[])?,
    };
    for at in 0..received.len() {
        let chunks: Vec<_> = received.chunks(at, (i64::MIN, i64::MAX)).collect();
        assert!(chunks.is_sorted_by(|a, b| a.max_ms < b.min_ms), "chunks of a series do not overlap");
    }
    Ok(received.len())
}
