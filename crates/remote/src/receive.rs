//! Remote write, the receiving half: requests of protocol 1.0 become batches of the storage.
//!
//! Road in: [`Receiver::write`]. A request's way: `negotiate` (is it ours, how large) → `message` over `wire` (checked whole, laid out in
//! columns) → `series_cache` (encoded labels → reference) or `label_set` (labels of new series) → `batch` (into one appender).
//! Always true: a request is stored whole or not at all, but for series with unfit labels and refused exemplars, which are left
//! out; a hostile body costs bounded memory and an error.
//! COMPAT: statuses and texts as Prometheus' receiver has them. Protocol 2.0 is answered with 415, on which senders fall back.
//! What this module does not do: HTTP, authentication, reading the clock.

mod batch;
mod exemplar;
mod histogram;
mod label_set;
mod message;
mod metrics;
mod negotiate;
mod reduce;
mod series_cache;
mod wire;

use std::sync::Arc;

use http::StatusCode;
use narthex_metrics::Registry;
use narthex_storage::{AppendError, Appendable, CommitError};
use parking_lot::Mutex;

use batch::{Batch, Lookup};
use message::Message;
use metrics::ReceiveMetrics;
pub use negotiate::BodyHeaders;
use series_cache::{Epoch, SeriesCache};
pub use wire::DecodeError;

/// Samples further in the future than this are refused, ms.
const MAX_AHEAD_MS: i64 = 10 * 60 * 1000;
/// Buffers kept for the next requests.
const MAX_SPARE: usize = 4;
/// Kept buffers are cut to this, bytes; their columns to an eighth as many elements.
const MAX_SPARE_BYTES: usize = 1 << 20;

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteResponse {
    /// 204 when everything was taken.
    pub status: StatusCode,
    /// The reason for any other status, without line end; `""` for 204.
    pub message: String,
}

/// Takes remote-write requests into a storage. May be called from several threads at once.
pub struct Receiver {
    storage: Arc<dyn Appendable>,
    metrics: ReceiveMetrics,
    cache: SeriesCache,
    /// Guards only itself; taken twice a request.
    spare: Mutex<Vec<Scratch>>,
}

/// Memory that requests use one after the other.
#[derive(Default)]
struct Scratch {
    body: Vec<u8>,
    message: Message,
    lookup: Lookup,
}

impl Receiver {
    /// A receiver that writes into `storage`.
    #[must_use]
    pub fn new(storage: Arc<dyn Appendable>, registry: &Registry) -> Self {
        Self {
            storage,
            metrics: ReceiveMetrics::new(registry),
            cache: SeriesCache::new(series_cache::MAX_SERIES),
            spare: Mutex::default(),
        }
    }

    /// Takes one request. Blocks on the storage's disk: never call it on a thread of the network.
    ///
    /// `now_ms` is the wall clock.
    #[must_use]
    pub fn write(&self, headers: BodyHeaders<'_>, body: &[u8], now_ms: i64) -> WriteResponse {
        let mut scratch = self.spare.lock().pop().unwrap_or_default();
        let result = self.try_write(headers, body, now_ms, &mut scratch);
        self.give_back(scratch);
        match result {
            Ok(invalid_series) => {
                self.metrics.invalid_labels.add(invalid_series as f64);
                WriteResponse { status: StatusCode::NO_CONTENT, message: String::new() }
            }
            Err(error) => {
                tracing::error!(err = %error, "Error handling remote write request");
                WriteResponse { status: error.status(), message: error.to_string() }
            }
        }
    }

    fn try_write(
        &self,
        headers: BodyHeaders<'_>,
        body: &[u8],
        now_ms: i64,
        scratch: &mut Scratch,
    ) -> Result<usize, WriteError> {
        let Scratch { body: buffer, message, lookup } = scratch;
        negotiate::check_encoding(headers.content_encoding)?;
        negotiate::decompress(body, buffer)?;
        negotiate::check_message(headers.content_type)?;
        message.read(buffer)?;
        let now = Epoch::at(now_ms);
        lookup.find(buffer, message, &self.cache, now)?;
        let max_ms = now_ms.saturating_add(MAX_AHEAD_MS);
        let batch = Batch { buffer, cache: &self.cache, now, max_ms };
        let mut appender = self.storage.appender();
        match batch.append(message, lookup, &mut *appender) {
            Ok(invalid_series) => {
                appender.commit()?;
                Ok(invalid_series)
            }
            Err(error) => {
                appender.rollback();
                Err(error)
            }
        }
    }

    fn give_back(&self, mut scratch: Scratch) {
        scratch.body.clear();
        scratch.body.shrink_to(MAX_SPARE_BYTES);
        scratch.message.shrink(MAX_SPARE_BYTES / 8);
        scratch.lookup.shrink(MAX_SPARE_BYTES / 8);
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
    #[error("request body exceeds the {} bytes limit", negotiate::MAX_BODY)]
    BodyTooLarge,
    #[error("decoded size exceeds the {} bytes limit", negotiate::MAX_BODY)]
    DecodedTooLarge,
    /// The body is not a snappy block.
    #[error("s2: corrupt input")]
    Corrupt,
    #[error(transparent)]
    Decode(#[from] DecodeError),
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
            Self::DecodedTooLarge | Self::Corrupt | Self::Decode(_) | Self::FarFuture => {
                StatusCode::BAD_REQUEST
            }
            Self::Append(error) => append_status(error),
            Self::Commit(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// What the sender shall not try again is its fault (400), the rest may go better later (500).
fn append_status(error: &AppendError) -> StatusCode {
    match error {
        AppendError::OutOfOrder
        | AppendError::DuplicateTimestamp
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
