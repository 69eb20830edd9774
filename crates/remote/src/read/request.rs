//! The messages `ReadRequest` and `Query`: decoded for the server, encoded for the client.
//!
//! Always true: a request is checked whole before its first query is looked at; queries are kept as places in the buffer, so that
//! one of millions of empty queries costs eight bytes each.
//! COMPAT: texts are those of Prometheus' decoder and matchers. Facts: `prompb/remote.proto`, `prompb/types.proto`.

use std::ops::Range;

use narthex_model::{MatchOp, Matcher, RegexError};
use narthex_storage::SelectHints;

use crate::receive::DecodeError;
use crate::receive::wire::{Reader, VARINT};
use crate::wire::{put_bytes, put_number};

/// Largest body, compressed and not, bytes.
const MAX_BODY: usize = 32 << 20;
/// Most matchers of one query; ours: a body of the largest size could have millions.
const MAX_MATCHERS: usize = 100_000;

/// The forms in which samples can be answered, by their numbers.
const SAMPLES: u64 = 0;
const STREAMED_XOR_CHUNKS: u64 = 1;

/// Why a request makes no sense.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("snappy: corrupt input")]
    Snappy,
    #[error("snappy: decoded length {0} exceeds limit {MAX_BODY}")]
    DecodedTooLarge(usize),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("query has more than {MAX_MATCHERS} matchers")]
    ManyMatchers,
    #[error(
        "server does not support any of the requested response types: [{0}]; supported: map[SAMPLES:{{}} STREAMED_XOR_CHUNKS:{{}}]"
    )]
    ResponseType(String),
    #[error("invalid matcher type")]
    MatcherType,
    #[error(transparent)]
    Regex(#[from] RegexError),
}

/// How samples are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseType {
    Samples,
    Chunks,
}

/// A request that is well formed.
#[derive(Debug)]
pub(crate) struct Request {
    body: Vec<u8>,
    queries: Vec<(u32, u32)>,
    pub(crate) response: ResponseType,
}

/// One query of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Query {
    /// What is asked for, ms, closed; the first above the last for nothing.
    pub(crate) range: (i64, i64),
    /// Whether only label sets are wanted.
    pub(crate) labels_only: bool,
    pub(crate) matchers: Vec<RawMatcher>,
}

/// A matcher that nobody has looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawMatcher {
    kind: u64,
    name: String,
    value: String,
}

impl Request {
    /// Decodes a body.
    pub(crate) fn decode(body: &[u8]) -> Result<Self, RequestError> {
        let body = decompress(body)?;
        let (mut queries, mut accepted) = (Vec::new(), Vec::new());
        let mut reader = Reader::new(&body, 0..body.len());
        while let Some(key) = reader.key("ReadRequest")? {
            match key.field {
                1 => {
                    let place = reader.block(key, "Queries")?;
                    check_query(reader.nested(place.clone()))?;
                    queries.push((place.start as u32, place.end as u32));
                }
                2 => reader.numbers(key, (VARINT, "AcceptedResponseTypes"), |one| {
                    let number = one.varint()? as u32;
                    // More than one of a kind decides nothing.
                    if !accepted.contains(&number) && accepted.len() < 64 {
                        accepted.push(number);
                    }
                    Ok(())
                })?,
                _ => reader.skip(key)?,
            }
        }
        Ok(Self { response: negotiate(&accepted)?, body, queries })
    }

    /// Its queries, each decoded when it is asked for.
    pub(crate) fn queries(&self) -> impl Iterator<Item = Result<Query, RequestError>> {
        let place = |(start, end): &(u32, u32)| *start as usize..*end as usize;
        self.queries.iter().map(move |query| read_query(&self.body, place(query)))
    }
}

fn decompress(body: &[u8]) -> Result<Vec<u8>, RequestError> {
    if body.is_empty() {
        return Err(RequestError::Snappy);
    }
    let len = snap::raw::decompress_len(body).map_err(|_| RequestError::Snappy)?;
    if len > MAX_BODY {
        return Err(RequestError::DecodedTooLarge(len));
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(|_| RequestError::Snappy)
}

/// The first form that is known; samples for who names none.
fn negotiate(accepted: &[u32]) -> Result<ResponseType, RequestError> {
    for number in accepted {
        match u64::from(*number) {
            SAMPLES => return Ok(ResponseType::Samples),
            STREAMED_XOR_CHUNKS => return Ok(ResponseType::Chunks),
            _ => {}
        }
    }
    match accepted {
        [] => Ok(ResponseType::Samples),
        unknown => {
            let names: Vec<String> = unknown.iter().map(|number| (*number as i32).to_string()).collect();
            Err(RequestError::ResponseType(names.join(" ")))
        }
    }
}

/// Looks whether a query is well formed, without keeping anything of it.
fn check_query(reader: Reader<'_>) -> Result<(), RequestError> {
    let mut matchers = 0;
    walk_query(reader, |part| {
        matchers += usize::from(matches!(part, Part::Matcher(_)));
        if matchers > MAX_MATCHERS { Err(RequestError::ManyMatchers) } else { Ok(()) }
    })
}

/// A field of a query.
enum Part {
    Start(i64),
    End(i64),
    Matcher(RawMatcher),
    Hints { start_ms: i64, end_ms: i64, labels_only: bool },
}

fn walk_query(
    mut reader: Reader<'_>,
    mut take: impl FnMut(Part) -> Result<(), RequestError>,
) -> Result<(), RequestError> {
    while let Some(key) = reader.key("Query")? {
        match key.field {
            1 => take(Part::Start(reader.number(key, "StartTimestampMs")? as i64))?,
            2 => take(Part::End(reader.number(key, "EndTimestampMs")? as i64))?,
            3 => {
                let place = reader.block(key, "Matchers")?;
                take(Part::Matcher(read_matcher(reader.nested(place))?))?;
            }
            4 => {
                let place = reader.block(key, "Hints")?;
                take(read_hints(reader.nested(place))?)?;
            }
            _ => reader.skip(key)?,
        }
    }
    Ok(())
}

fn read_query(body: &[u8], place: Range<usize>) -> Result<Query, RequestError> {
    let (mut range, mut hinted, mut labels_only, mut matchers) = ((0, 0), None, false, Vec::new());
    walk_query(Reader::new(body, place), |part| {
        match part {
            Part::Start(start_ms) => range.0 = start_ms,
            Part::End(end_ms) => range.1 = end_ms,
            Part::Matcher(matcher) => matchers.push(matcher),
            Part::Hints { start_ms, end_ms, labels_only: only } => {
                hinted = Some((start_ms, end_ms));
                labels_only = only;
            }
        }
        Ok(())
    })?;
    // COMPAT: hints that are there say what is read, as in Prometheus' blocks.
    if let Some((start_ms, end_ms)) = hinted {
        range = (range.0.max(start_ms), range.1.min(end_ms));
    }
    Ok(Query { range, labels_only, matchers })
}

fn read_matcher(mut reader: Reader<'_>) -> Result<RawMatcher, DecodeError> {
    let mut matcher = RawMatcher { kind: 0, name: String::new(), value: String::new() };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    while let Some(key) = reader.key("LabelMatcher")? {
        match key.field {
            1 => matcher.kind = reader.number(key, "Type")?,
            2 => matcher.name = text(reader.text(key, "Name")?),
            3 => matcher.value = text(reader.text(key, "Value")?),
            _ => reader.skip(key)?,
        }
    }
    Ok(matcher)
}

fn read_hints(mut reader: Reader<'_>) -> Result<Part, DecodeError> {
    let (mut start_ms, mut end_ms, mut labels_only) = (0, 0, false);
    while let Some(key) = reader.key("ReadHints")? {
        match key.field {
            1 => reader.number(key, "StepMs").map(drop)?,
            2 => labels_only = reader.text(key, "Func")? == b"series",
            3 => start_ms = reader.number(key, "StartMs")? as i64,
            4 => end_ms = reader.number(key, "EndMs")? as i64,
            5 => reader.block(key, "Grouping").map(drop)?,
            6 => reader.number(key, "By").map(drop)?,
            7 => reader.number(key, "RangeMs").map(drop)?,
            _ => reader.skip(key)?,
        }
    }
    Ok(Part::Hints { start_ms, end_ms, labels_only })
}

impl RawMatcher {
    /// The matcher, but "no such label" for one that asks for a label which `external` has with that value: stored series do not
    /// have it.
    pub(crate) fn matcher(&self, external: &narthex_model::Labels) -> Result<Matcher, RequestError> {
        let op = match self.kind {
            0 if external.value(&self.name) == self.value => {
                return Ok(Matcher::equal(self.name.as_str(), ""));
            }
            0 => MatchOp::Equal,
            1 => MatchOp::NotEqual,
            2 => MatchOp::Regex,
            3 => MatchOp::NotRegex,
            _ => return Err(RequestError::MatcherType),
        };
        Ok(Matcher::new(op, self.name.as_str(), self.value.as_str())?)
    }
}

/// A request with one query, compressed; both forms of answers are accepted, chunks rather than samples.
pub(crate) fn encode(range: (i64, i64), matchers: &[Matcher], hints: &SelectHints) -> Vec<u8> {
    let mut query = Vec::new();
    put_number(&mut query, 1, range.0 as u64);
    put_number(&mut query, 2, range.1 as u64);
    let mut part = Vec::new();
    for matcher in matchers {
        part.clear();
        let kind = match matcher.op {
            MatchOp::Equal => 0,
            MatchOp::NotEqual => 1,
            MatchOp::Regex => 2,
            MatchOp::NotRegex => 3,
        };
        put_number(&mut part, 1, kind);
        put_bytes(&mut part, 2, matcher.name.as_bytes());
        put_bytes(&mut part, 3, matcher.value.as_bytes());
        put_bytes(&mut query, 3, &part);
    }
    part.clear();
    put_number(&mut part, 1, hints.step_ms as u64);
    put_bytes(&mut part, 2, hints.function.as_bytes());
    put_number(&mut part, 3, hints.start_ms as u64);
    put_number(&mut part, 4, hints.end_ms as u64);
    put_number(&mut part, 7, hints.range_ms as u64);
    put_bytes(&mut query, 4, &part);
    let mut request = Vec::with_capacity(query.len() + 16);
    put_bytes(&mut request, 1, &query);
    put_bytes(&mut request, 2, &[STREAMED_XOR_CHUNKS as u8, SAMPLES as u8]);
    snap::raw::Encoder::new().compress_vec(&request).expect("a request is far below 4 GiB")
}
