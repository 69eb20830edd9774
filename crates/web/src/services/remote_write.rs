//! Remote write as the handlers see it: its endpoints, and their dead letters.

use std::time::{Duration, SystemTime};

use narthex_model::{Labels, Matcher};

use crate::api_error::ApiError;

/// What an endpoint of remote write is at.
#[derive(Clone, Debug)]
pub struct RemoteEndpoint {
    /// The id that its files begin with.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its URL, without a password.
    pub url: String,
    /// The protobuf message that is configured.
    pub protocol: &'static str,
    /// The protobuf message that it is sent now.
    pub protocol_sent: &'static str,
    /// Up to when the database was read for it, ms, and bytes of late samples that were set aside; `None` while it follows the log.
    pub catch_up: Option<(i64, u64)>,
    /// What will never be sent.
    pub gaps: RemoteGaps,
    /// How long all tries have failed; `None` while all is well.
    pub failing_for: Option<Duration>,
    /// The last error and when it was, however long ago.
    pub last_error: Option<(String, SystemTime)>,
    /// How long the request that failed last waits before it is tried again.
    pub backoff: Duration,
    /// How far it is behind; `None` when that is not known yet.
    pub lag: Option<Duration>,
    /// About how many samples, exemplars and histograms it lacks.
    pub lag_samples: u64,
    /// How many of them are in memory.
    pub pending: u64,
    /// Bytes of the log that were not read.
    pub unread_bytes: u64,
    /// Segment and offset before which everything was delivered or dead-lettered.
    pub cursor: (u32, u64),
    /// Segment and offset of the log's end.
    pub tip: (u32, u64),
    /// Requests in flight.
    pub in_flight: usize,
    /// How many may be in flight now.
    pub allowed: usize,
    /// The bounds of `allowed`.
    pub bounds: (usize, usize),
    /// Dead letters, their bytes, and how many went since the start because the store was full.
    pub letters: (u64, u64, u64),
}

/// The gap records of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteGaps {
    /// Records.
    pub count: u64,
    /// Samples and histograms in those that know how many.
    pub samples: u64,
    /// Exemplars in those that know how many.
    pub exemplars: u64,
    /// The newest.
    pub last: Option<RemoteGap>,
}

/// One gap record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteGap {
    /// When it was written, ms.
    pub time_ms: i64,
    /// Why something is not sent.
    pub cause: String,
    /// The first time of samples that are not sent, ms; `None` when nobody knows.
    pub from_ms: Option<i64>,
    /// Behind the last one, ms.
    pub to_ms: Option<i64>,
}

/// The dead letters of one endpoint.
#[derive(Clone, Debug, Default)]
pub struct LetterStore {
    /// The endpoint's id.
    pub id: String,
    /// Its name, `""` when it is not known.
    pub name: String,
    /// Its URL, without a password.
    pub url: String,
    /// Whether the configuration has it.
    pub is_configured: bool,
    /// Letters.
    pub letters: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Lines of the files that are no letters.
    pub unreadable: u64,
    /// First and last number.
    pub ids: Option<(u64, u64)>,
    /// When the first and the last were refused, ms.
    pub refused_ms: Option<(i64, i64)>,
    /// The lowest and the highest timestamp of a sample, ms.
    pub sample_ms: Option<(i64, i64)>,
    /// The most frequent first.
    pub reasons: Vec<LetterReason>,
}

/// Letters of one status and reason; the status 0 stands for all others.
#[derive(Clone, Debug)]
pub struct LetterReason {
    /// The HTTP status.
    pub status: u16,
    /// What the endpoint said.
    pub reason: String,
    /// How many letters.
    pub letters: u64,
    /// When the last was refused, ms.
    pub last_refused_ms: i64,
}

/// One dead letter.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Its number.
    pub id: u64,
    /// When it was refused, ms.
    pub refused_ms: i64,
    /// The HTTP status.
    pub status: u16,
    /// What the endpoint said.
    pub reason: String,
    /// The labels as they were sent.
    pub labels: Labels,
    /// `sample`, `exemplar`, `histogram` or `custom_histogram`.
    pub kind: &'static str,
    /// Its timestamp, ms; letters of old versions may not tell.
    pub t_ms: Option<i64>,
    /// The value of a sample as text; the message's fields in hexadecimal of anything else.
    pub content: String,
}

/// Which letters are meant; empty parts choose all.
#[derive(Clone, Debug, Default)]
pub struct LetterSelection {
    /// Name, id or URL of the endpoint; `""` when there is only one.
    pub endpoint: String,
    /// Ranges of numbers, both ends included.
    pub ids: Vec<(u64, u64)>,
    /// The matchers of each selector.
    pub selectors: Vec<Vec<Matcher>>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// Only higher numbers.
    pub after: u64,
}

/// What a replay did.
#[derive(Clone, Debug, Default)]
pub struct LetterReplay {
    /// Letters that the endpoint has now.
    pub accepted: u64,
    /// Letters that it refused again.
    pub refused: u64,
    /// The highest number that was settled.
    pub last: u64,
    /// Whether there are more behind it.
    pub more: bool,
    /// Why it ended early.
    pub stopped: Option<String>,
}

/// Shows what remote write is at, and does with dead letters what it is told. Calls block, replays for as long as their timeout.
pub trait RemoteWriteService: Send + Sync {
    /// The configured endpoints.
    fn endpoints(&self) -> Vec<RemoteEndpoint>;
    /// The stores of all endpoints, and of others that hold letters.
    ///
    /// # Errors
    /// The reason.
    fn stores(&self) -> Result<Vec<LetterStore>, ApiError>;
    /// At most `limit` letters, oldest first, and whether there are more.
    ///
    /// # Errors
    /// The reason.
    fn letters(&self, wanted: &LetterSelection, limit: usize) -> Result<(Vec<Letter>, bool), ApiError>;
    /// Offers about `limit` letters to their endpoint again.
    ///
    /// # Errors
    /// The reason.
    fn replay(
        &self,
        wanted: &LetterSelection,
        limit: u64,
        timeout: Duration,
    ) -> Result<LetterReplay, ApiError>;
    /// Deletes letters. How many went.
    ///
    /// # Errors
    /// The reason.
    fn drop_letters(&self, wanted: &LetterSelection) -> Result<u64, ApiError>;
}
