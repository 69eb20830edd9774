//! What an endpoint answered, checked and kept as chunks: those of a stream where they lie in it, samples as chunks of our own.
//!
//! Always true of [`Received`]: label sets rise and are unique; the chunks of a series rise in time, do not overlap, and decode to
//! samples whose times rise strictly. Nothing that an endpoint says about its chunks is believed: each is decoded once.
//! Memory: [`MAX_BYTES`] for what came and as much for what it becomes, 40 bytes a chunk and some 60 a series.
//! COMPAT: texts are those of Prometheus' client. Facts: `prompb/remote.proto`, `prompb/types.proto`.

use std::borrow::Cow;
use std::ops::Range;

use narthex_chunks::{
    BuildOptions, ChunkBuilder, ChunkError, ChunkSample, ChunkValue, Encoding, MergeError, SealedChunk,
    decode, merge_chunks,
};
use narthex_model::{Labels, METRIC_NAME};
use narthex_storage::{SampleBatch, StoredChunk};

use super::frame::{FrameError, Frames};
use crate::receive::DecodeError;
use crate::receive::histogram::{Either, HistogramFields};
use crate::receive::label_set::read_label;
use crate::receive::reduce::reduce_resolution;
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

/// Series as they come.
struct Gathered<'w> {
    without: &'w [String],
    series: Vec<(Labels, Vec<Piece>)>,
    batch: SampleBatch,
    floats: Vec<(i64, f64)>,
    histograms: Vec<(i64, Range<usize>)>,
}

impl<'w> Gathered<'w> {
    fn new(without: &'w [String]) -> Self {
        Self {
            without,
            series: Vec::new(),
            batch: SampleBatch::default(),
            floats: Vec::new(),
            histograms: Vec::new(),
        }
    }

    /// The pieces of a series, which may be the last one again.
    fn begin(&mut self, labels: Labels) -> Result<&mut (Labels, Vec<Piece>), AnswerError> {
        let labels = if self.without.is_empty() { labels } else { labels.drop(self.without) };
        if self.series.last().is_none_or(|(last, _)| *last != labels) {
            if self.series.len() >= MAX_SERIES {
                return Err(AnswerError::ManySeries);
            }
            self.series.push((labels, Vec::new()));
        }
        Ok(self.series.last_mut().expect("there is one now"))
    }

    fn take_chunked(&mut self, stream: &[u8], reader: Reader<'_>) -> Result<(), AnswerError> {
        let labels = read_labels(reader.clone(), "ChunkedSeries")?;
        let mut batch = std::mem::take(&mut self.batch);
        let (labels, pieces) = self.begin(labels)?;
        let mut fields = reader;
        while let Some(key) = fields.key("ChunkedSeries")? {
            if key.field == 2 {
                let place = fields.block(key, "Chunks")?;
                let (encoding, at) = read_chunk(fields.nested(place))?;
                pieces.extend(measured(&mut batch, labels, encoding, &stream[at.clone()], at)?);
            } else {
                fields.skip(key)?;
            }
        }
        self.batch = batch;
        Ok(())
    }

    /// Reads a `QueryResult`; appends the chunks of its series to `bytes`.
    fn take_result(&mut self, mut reader: Reader<'_>, bytes: &mut Vec<u8>) -> Result<(), AnswerError> {
        while let Some(key) = reader.key("QueryResult").map_err(AnswerError::Message)? {
            if key.field == 1 {
                let place = reader.block(key, "Timeseries").map_err(AnswerError::Message)?;
                self.take_sampled(&reader.nested(place), bytes)?;
            } else {
                reader.skip(key).map_err(AnswerError::Message)?;
            }
        }
        Ok(())
    }

    fn take_sampled(&mut self, reader: &Reader<'_>, bytes: &mut Vec<u8>) -> Result<(), AnswerError> {
        let labels = read_labels(reader.clone(), "TimeSeries").map_err(as_message)?;
        self.read_samples(reader.clone(), &labels).map_err(as_message)?;
        let sealed = self.encode(reader, &labels).map_err(as_message)?;
        let pieces = &mut self.begin(labels)?.1;
        for chunk in sealed {
            let start = bytes.len();
            bytes.extend_from_slice(&chunk.bytes);
            let SealedChunk { min_ms, max_ms, encoding, .. } = chunk;
            pieces.push(Piece { min_ms, max_ms, encoding, at: start..bytes.len() });
        }
        if bytes.len() > MAX_BYTES { Err(AnswerError::TooLarge) } else { Ok(()) }
    }

    /// Reads the times of all samples and the values of floats. A time that comes again is passed over.
    fn read_samples(&mut self, mut reader: Reader<'_>, labels: &Labels) -> Result<(), AnswerError> {
        self.floats.clear();
        self.histograms.clear();
        let mut fields = HistogramFields::default();
        while let Some(key) = reader.key("TimeSeries")? {
            match key.field {
                2 => {
                    let place = reader.block(key, "Samples")?;
                    let (t_ms, value) = read_sample(reader.nested(place))?;
                    push(&mut self.floats, t_ms, value, labels)?;
                }
                4 => {
                    let place = reader.block(key, "Histograms")?;
                    reader.histogram(place.clone(), &mut fields)?;
                    push(&mut self.histograms, fields.t_ms, place, labels)?;
                }
                _ => reader.skip(key)?,
            }
        }
        Ok(())
    }

    /// Makes chunks of what was read. COMPAT: a float goes before a histogram of the same time.
    fn encode(&self, reader: &Reader<'_>, labels: &Labels) -> Result<Vec<SealedChunk>, AnswerError> {
        let (mut builder, mut sealed) = (ChunkBuilder::new(BuildOptions::default()), Vec::new());
        let (mut floats, mut histograms) = (self.floats.iter().peekable(), self.histograms.iter().peekable());
        loop {
            let float_ms = floats.peek().map_or(i64::MAX, |(t_ms, _)| *t_ms);
            let next = histograms.next_if(|(t_ms, _)| floats.peek().is_none() || *t_ms < float_ms);
            if let Some((t_ms, place)) = next {
                let mut fields = HistogramFields::default();
                reader.histogram(place.clone(), &mut fields)?;
                let either = fit(fields).map_err(|reason| {
                    let labels = labels.clone();
                    AnswerError::Histogram { labels, reason }
                })?;
                let value = match &either {
                    Either::Int(histogram) => ChunkValue::Histogram(histogram),
                    Either::Float(histogram) => ChunkValue::FloatHistogram(histogram),
                };
                builder.push(ChunkSample { t_ms: *t_ms, start_ms: 0, value }, &mut sealed);
            } else if let Some((t_ms, value)) = floats.next() {
                histograms.next_if(|(other_ms, _)| other_ms == t_ms);
                let value = ChunkValue::Float(*value);
                builder.push(ChunkSample { t_ms: *t_ms, start_ms: 0, value }, &mut sealed);
            } else {
                break;
            }
        }
        builder.finish(&mut sealed);
        Ok(sealed)
    }

    /// Sorts the series and makes one of equal label sets.
    fn arrange(mut self, mut bytes: Vec<u8>) -> Result<Received, AnswerError> {
        if !self.series.is_sorted_by(|a, b| a.0 < b.0) {
            self.series.sort_by(|a, b| a.0.cmp(&b.0));
            self.series.dedup_by(|next, first| {
                let same = next.0 == first.0;
                if same {
                    first.1.append(&mut next.1);
                }
                same
            });
        }
        let mut received = Received::default();
        received.series.reserve_exact(self.series.len());
        for (labels, mut pieces) in self.series {
            if !pieces.is_sorted_by(|a, b| a.max_ms < b.min_ms) {
                pieces = untangled(&pieces, &mut bytes)?;
            }
            let start = received.chunks.len() as u32;
            received.chunks.append(&mut pieces);
            received.series.push((labels, start..received.chunks.len() as u32));
        }
        received.bytes = bytes;
        Ok(received)
    }
}

/// Chunks that overlap, merged; what had to be written again is appended to `bytes`.
fn untangled(pieces: &[Piece], bytes: &mut Vec<u8>) -> Result<Vec<Piece>, AnswerError> {
    let stored = pieces.iter().map(|piece| piece.stored(bytes)).collect();
    let mut merged = Vec::new();
    merge_chunks(stored, (i64::MIN, i64::MAX), |chunk| {
        merged.push((chunk.min_ms, chunk.max_ms, chunk.encoding, chunk.bytes.into_owned()));
    })?;
    let append = |(min_ms, max_ms, encoding, chunk): (i64, i64, u8, Vec<u8>)| {
        let start = bytes.len();
        bytes.extend_from_slice(&chunk);
        let encoding = Encoding::try_from(encoding).map_err(|_| AnswerError::Encoding)?;
        Ok(Piece { min_ms, max_ms, encoding, at: start..bytes.len() })
    };
    merged.into_iter().map(append).collect()
}

/// Names the message in the error.
fn as_message(error: AnswerError) -> AnswerError {
    match error {
        AnswerError::Decode(error) => AnswerError::Message(error),
        other => other,
    }
}

fn push<T>(column: &mut Vec<(i64, T)>, t_ms: i64, value: T, labels: &Labels) -> Result<(), AnswerError> {
    match column.last() {
        Some((last_ms, _)) if *last_ms > t_ms => return Err(AnswerError::Order(labels.clone())),
        Some((last_ms, _)) if *last_ms == t_ms => {}
        _ => column.push((t_ms, value)),
    }
    Ok(())
}

/// The histogram in a form that can be stored.
fn fit(fields: HistogramFields) -> Result<Either, String> {
    let either = fields.into_histogram();
    let schema = match &either {
        Either::Int(h) => h.schema,
        Either::Float(h) => h.schema,
    };
    if !matches!(schema, -4..=52 | narthex_model::CUSTOM_BUCKETS_SCHEMA) {
        return Err(format!("unknown schema {schema}"));
    }
    let sides = match &either {
        Either::Int(h) => {
            [(&h.positive_spans, h.positive_buckets.len()), (&h.negative_spans, h.negative_buckets.len())]
        }
        Either::Float(h) => {
            [(&h.positive_spans, h.positive_buckets.len()), (&h.negative_spans, h.negative_buckets.len())]
        }
    };
    for (spans, buckets) in sides {
        let wanted: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
        if wanted != buckets as u64 {
            return Err(format!("spans need {wanted} buckets, have {buckets} buckets"));
        }
        if spans.iter().skip(1).any(|span| span.offset < 0) {
            return Err("a span other than the first has a negative offset".to_owned());
        }
    }
    reduce_resolution(either)
}

fn read_sample(mut reader: Reader<'_>) -> Result<(i64, f64), DecodeError> {
    let (mut t_ms, mut value) = (0, 0.0);
    while let Some(key) = reader.key("Sample")? {
        match key.field {
            1 => value = reader.float(key, "Value")?,
            2 => t_ms = reader.number(key, "Timestamp")? as i64,
            _ => reader.skip(key)?,
        }
    }
    Ok((t_ms, value))
}

/// The encoding of a chunk and where its bytes lie; its times are not asked.
fn read_chunk(mut reader: Reader<'_>) -> Result<(u64, Range<usize>), DecodeError> {
    let (mut encoding, mut at) = (0, 0..0);
    while let Some(key) = reader.key("Chunk")? {
        match key.field {
            1 => reader.number(key, "MinTimeMs").map(drop)?,
            2 => reader.number(key, "MaxTimeMs").map(drop)?,
            3 => encoding = reader.number(key, "Type")?,
            4 => at = reader.block(key, "Data")?,
            _ => reader.skip(key)?,
        }
    }
    Ok((encoding, at))
}

/// Decodes a chunk and tells its times; `None` for one without samples.
fn measured(
    batch: &mut SampleBatch,
    labels: &Labels,
    encoding: u64,
    bytes: &[u8],
    at: Range<usize>,
) -> Result<Option<Piece>, AnswerError> {
    let encoding = u8::try_from(encoding).ok().and_then(|byte| Encoding::try_from(byte).ok());
    let encoding = encoding.ok_or(AnswerError::Encoding)?;
    batch.clear();
    decode(encoding, bytes, i64::MIN, i64::MAX, batch)
        .map_err(|source| AnswerError::Chunk { labels: labels.clone(), source })?;
    let times = if encoding.is_float() { &batch.t_ms } else { &batch.histogram_t_ms };
    if !times.is_sorted_by(|a, b| a < b) {
        return Err(AnswerError::Order(labels.clone()));
    }
    let (Some(&min_ms), Some(&max_ms)) = (times.first(), times.last()) else { return Ok(None) };
    Ok(Some(Piece { min_ms, max_ms, encoding, at }))
}

/// Reads the labels of a series, which may come in any order.
fn read_labels(mut reader: Reader<'_>, message: &'static str) -> Result<Labels, AnswerError> {
    let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(16);
    while let Some(key) = reader.key(message)? {
        if key.field != 1 {
            reader.skip(key)?;
            continue;
        }
        let place = reader.block(key, "Labels")?;
        let (name, value) = read_label(reader.nested(place))?;
        let lossy = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let refuse = |what: &str, bytes| AnswerError::Label(format!("invalid {what}: {}", lossy(bytes)));
        let text = std::str::from_utf8(value);
        if name == METRIC_NAME.as_bytes() && !text.is_ok_and(|text| !text.is_empty()) {
            return Err(refuse("metric name", value));
        }
        let name_text = std::str::from_utf8(name).ok().filter(|name| !name.is_empty());
        pairs.push((
            name_text.ok_or_else(|| refuse("label name", name))?,
            text.map_err(|_| refuse("label value", value))?,
        ));
    }
    pairs.sort_unstable();
    if let Some(double) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(AnswerError::Label(format!("duplicate label with name: {}", double[0].0)));
    }
    Ok(Labels::from_sorted(pairs.into_iter().filter(|(_, value)| !value.is_empty())))
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
