//! Remote write, the receiving half: requests of protocols 1.0 and 2.0 become batches of the storage.
//!
//! Road in: [`Receiver::write`]. A request's way: `negotiate` (is it ours, which message, how large) → `limits` (is there room) →
//! for 1.0 `message` over `wire` (checked whole, laid out in columns) → `series_cache` (encoded labels → reference) or `label_set`
//! (labels of new series) → `batch` (into one appender); for 2.0 `v2`.
//! Always true: a request of 1.0 is stored whole or not at all, but for series with unfit labels and refused exemplars, which are
//! left out; one of 2.0 is stored but for the parts that its answer names, or not at all; a hostile body costs bounded memory and
//! an error.
//! COMPAT: statuses and texts as Prometheus' receiver has them.
//! What this module does not do: HTTP, authentication, reading the clock.

mod batch;
mod exemplar;
pub(crate) mod histogram;
pub(crate) mod label_set;
mod limits;
mod message;
mod metrics;
mod negotiate;
pub(crate) mod reduce;
mod series_cache;
pub(crate) mod v2;
pub(crate) mod wire;

use std::sync::Arc;

use http::StatusCode;
use narthex_metrics::Registry;
use narthex_storage::{AppendError, Appendable, CommitError};
use parking_lot::Mutex;

use batch::{Batch, Lookup};
use limits::{MAX_BODY, MAX_SPELLED_TOTAL, Room};
use message::Message;
use metrics::ReceiveMetrics;
use negotiate::Encoding;
pub use negotiate::{BodyHeaders, Protocol, UnknownMessage};
use series_cache::{Epoch, SeriesCache};
pub use v2::Written;
pub use wire::DecodeError;

/// Samples further in the future than this are refused, ms.
const MAX_AHEAD_MS: i64 = 10 * 60 * 1000;
/// Buffers kept for the next requests.
const MAX_SPARE: usize = 4;
/// Kept buffers are cut to this, bytes; their columns to an eighth as many elements.
const MAX_SPARE_BYTES: usize = 1 << 20;

/// What a receiver takes, and what it makes of it.
#[derive(Clone, Debug)]
pub struct ReceiveOptions {
    /// The protocols that are accepted, in the order in which a refusal names them.
    pub accepted: Vec<Protocol>,
    /// Whether a start timestamp of 2.0 brings in a zero at the start (`created-timestamp-zero-ingestion`).
    pub start_zero: bool,
    /// Whether type and unit of 2.0 become the labels `__type__` and `__unit__` (`type-and-unit-labels`).
    pub type_and_unit_labels: bool,
    /// Whether metadata of 2.0 is stored (`metadata-wal-records`).
    pub metadata: bool,
}

impl Default for ReceiveOptions {
    fn default() -> Self {
        Self {
            accepted: vec![Protocol::V1, Protocol::V2],
            start_zero: false,
            type_and_unit_labels: false,
            metadata: false,
        }
    }
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteResponse {
    /// 204 when everything was taken.
    pub status: StatusCode,
    /// The reason for any other status, without line end; `""` for 204.
    pub message: String,
    /// What was stored; `None` for protocol 1.0, and where the protocol is not known.
    pub written: Option<Written>,
}

/// Takes remote-write requests into a storage. May be called from several threads at once.
pub struct Receiver {
    storage: Arc<dyn Appendable>,
    options: ReceiveOptions,
    metrics: ReceiveMetrics,
    cache: SeriesCache,
    room: Room,
    /// Guards only itself; taken twice a request.
    spare: Mutex<Vec<Scratch>>,
}

/// Memory that requests use one after the other.
#[derive(Default)]
struct Scratch {
    body: Vec<u8>,
    message: Message,
    lookup: Lookup,
    v2: v2::Scratch,
}

impl Scratch {
    /// Forgets everything and gives memory back that one large request took.
    fn shrink(&mut self) {
        self.body.clear();
        self.body.shrink_to(MAX_SPARE_BYTES);
        self.message.shrink(MAX_SPARE_BYTES / 8);
        self.lookup.shrink(MAX_SPARE_BYTES / 8);
        self.v2.shrink(MAX_SPARE_BYTES / 8);
    }
}

impl Receiver {
    /// A receiver that writes into `storage`.
    #[must_use]
    pub fn new(storage: Arc<dyn Appendable>, options: ReceiveOptions, registry: &Registry) -> Self {
        Self {
            storage,
            options,
            metrics: ReceiveMetrics::new(registry),
            cache: SeriesCache::new(series_cache::MAX_SERIES),
            room: Room::default(),
            spare: Mutex::default(),
        }
    }

    /// Takes one request. Blocks on the storage's disk, and while other requests take all memory there is for them: never call
    /// it on a thread of the network.
    ///
    /// `now_ms` is the wall clock.
    #[must_use]
    pub fn write(&self, headers: BodyHeaders<'_>, body: &[u8], now_ms: i64) -> WriteResponse {
        let response = self.answer(headers, body, now_ms);
        if response.status != StatusCode::NO_CONTENT {
            // Of many reasons the first is enough here; the sender has them all.
            let reason = response.message.lines().next().unwrap_or_default();
            tracing::error!(err = reason, "Error handling remote write request");
        }
        response
    }

    fn answer(&self, headers: BodyHeaders<'_>, body: &[u8], now_ms: i64) -> WriteResponse {
        let refused = |error: WriteError, written| WriteResponse {
            status: error.status(),
            message: error.to_string(),
            written,
        };
        let encoding = Encoding::of_header(headers.content_encoding);
        let (encoding, len) =
            match encoding.and_then(|encoding| Ok((encoding, encoding.decompressed_len(body)?))) {
                Ok(both) => both,
                Err(error) => return refused(error, None),
            };
        // The scratch goes before the place.
        let _place = self.room.enter(len);
        let mut scratch = self.spare.lock().pop().unwrap_or_default();
        let protocol = encoding
            .decompress(body, len, &mut scratch.body)
            .and_then(|()| negotiate::protocol(headers.content_type, &self.options.accepted));
        let response = match protocol {
            Err(error) => refused(error, None),
            Ok(Protocol::V1) => match self.take_v1(now_ms, &mut scratch) {
                Ok(()) => {
                    WriteResponse { status: StatusCode::NO_CONTENT, message: String::new(), written: None }
                }
                Err(error) => refused(error, None),
            },
            Ok(Protocol::V2) => match self.take_v2(now_ms, &mut scratch) {
                Ok(response) => response,
                Err(error) => refused(error, Some(Written::default())),
            },
        };
        self.give_back(scratch);
        response
    }

    fn take_v1(&self, now_ms: i64, scratch: &mut Scratch) -> Result<(), WriteError> {
        let Scratch { body: buffer, message, lookup, .. } = scratch;
        message.read(buffer)?;
        let now = Epoch::at(now_ms);
        lookup.find(buffer, message, &self.cache, now)?;
        let max_ms = now_ms.saturating_add(MAX_AHEAD_MS);
        let batch = Batch { buffer, cache: &self.cache, now, max_ms };
        let mut appender = self.storage.appender();
        match batch.append(message, lookup, &mut *appender) {
            Ok(left_out) => {
                appender.commit()?;
                self.metrics.invalid_labels.add(left_out.invalid_series as f64);
                if left_out.late_exemplars > 0 {
                    tracing::warn!(
                        num_dropped = left_out.late_exemplars,
                        "Error on ingesting out-of-order exemplars"
                    );
                }
                Ok(())
            }
            Err(error) => {
                appender.rollback();
                Err(error)
            }
        }
    }

    fn take_v2(&self, now_ms: i64, scratch: &mut Scratch) -> Result<WriteResponse, WriteError> {
        let context = v2::Context {
            storage: &*self.storage,
            cache: &self.cache,
            options: &self.options,
            now: Epoch::at(now_ms),
            max_ms: now_ms.saturating_add(MAX_AHEAD_MS),
        };
        let tally = v2::take(&scratch.body, &mut scratch.v2, &context)?;
        self.metrics.invalid_labels.add(tally.counts.invalid as f64);
        self.metrics.without_metadata.add(tally.counts.without_metadata as f64);
        let written = Some(tally.counts.written);
        Ok(match tally.refusals() {
            None => WriteResponse { status: StatusCode::NO_CONTENT, message: String::new(), written },
            Some(message) => WriteResponse { status: StatusCode::BAD_REQUEST, message, written },
        })
    }

    fn give_back(&self, mut scratch: Scratch) {
        scratch.shrink();
        let mut spare = self.spare.lock();
        if spare.len() < MAX_SPARE {
            spare.push(scratch);
        }
    }
}

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    /// The message or its compression is not one of ours.
    #[error("{0}")]
    Unsupported(String),
    #[error("request body exceeds the {} bytes limit", MAX_BODY)]
    BodyTooLarge,
    #[error("decoded size exceeds the {} bytes limit", MAX_BODY)]
    DecodedTooLarge,
    /// The body is not a snappy block.
    #[error("s2: corrupt input")]
    Corrupt,
    /// The body is not a frame of zstd that is as long as it says.
    #[error("zstd: corrupt input")]
    CorruptZstd,
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// See `limits`.
    #[error("request holds more than {max} {what}: send smaller requests")]
    TooMany { max: usize, what: &'static str },
    #[error("symbols table does not begin with an empty string")]
    FirstSymbol,
    #[error(
        "labels and metadata that symbols spell exceed {} bytes: send smaller requests",
        MAX_SPELLED_TOTAL
    )]
    Expands,
    #[error("out of bounds: timestamp is too far in the future")]
    FarFuture,
    #[error("{}", append_text(.0))]
    Append(#[from] AppendError),
    #[error("{}", commit_text(.0))]
    Commit(#[from] CommitError),
}

impl WriteError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::DecodedTooLarge
            | Self::Corrupt
            | Self::CorruptZstd
            | Self::Decode(_)
            | Self::TooMany { .. }
            | Self::FirstSymbol
            | Self::Expands
            | Self::FarFuture => StatusCode::BAD_REQUEST,
            Self::Append(error) => append_status(error),
            Self::Commit(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Whether it concerns one sample only, and for good.
    fn is_bad_sample(&self) -> bool {
        match self {
            Self::FarFuture => true,
            Self::Append(error) => append_status(error) == StatusCode::BAD_REQUEST,
            Self::Unsupported(_)
            | Self::BodyTooLarge
            | Self::DecodedTooLarge
            | Self::Corrupt
            | Self::CorruptZstd
            | Self::Decode(_)
            | Self::TooMany { .. }
            | Self::FirstSymbol
            | Self::Expands
            | Self::Commit(_) => false,
        }
    }
}

/// What the sender shall not try again is its fault (400), the rest may go better later (500).
fn append_status(error: &AppendError) -> StatusCode {
    match error {
        AppendError::OutOfOrder
        | AppendError::DuplicateTimestamp(_)
        | AppendError::OutOfBounds
        | AppendError::TooOld
        | AppendError::InvalidHistogram(_) => StatusCode::BAD_REQUEST,
        AppendError::OutOfOrderExemplar
        | AppendError::DuplicateExemplar
        | AppendError::ExemplarLabelLength
        | AppendError::UnknownSeries
        | AppendError::InvalidLabels(_)
        | AppendError::HistogramsDisabled
        | AppendError::Unavailable(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The error in Prometheus' words.
fn append_text(error: &AppendError) -> String {
    match error {
        AppendError::InvalidHistogram(why) => why.clone(),
        other => other.to_string(),
    }
}

/// The error with its reason: the sender's log may be the only place where somebody looks.
fn commit_text(error: &CommitError) -> String {
    match error {
        CommitError::Wal(source) => format!("{error}: {source}"),
        CommitError::Closed => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
