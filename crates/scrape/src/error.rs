//! Why a scrape failed, in Prometheus' words: they are a target's `lastError`.

use std::path::PathBuf;

use narthex_exposition::{ContentTypeError, LabelError, ParseError};
use narthex_model::quote_go;
use narthex_net::client::{BodyError, ClientError, RequestError};
use narthex_storage::{AppendError, CommitError};

/// Why a scrape gave no samples.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// No answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// An answer that is not 200.
    #[error("server returned HTTP status {0}")]
    Status(String),
    /// The body could not be read.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The target's URL makes no sense.
    #[error("parse {}: {reason}", quote_go(.url))]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It cannot be told what the body is.
    #[error(transparent)]
    ContentType(#[from] ContentTypeError),
    /// The body is malformed.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The labels of a line cannot be used.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// A line without metric name.
    #[error("missing metric name (__name__ label)")]
    NoMetricName,
    /// A name that the job's validation scheme refuses; the text is the label set.
    #[error("invalid metric name or label names: {0}")]
    InvalidNames(String),
    /// More samples than `sample_limit`.
    #[error("sample limit exceeded")]
    SampleLimit,
    /// A native histogram has more buckets than `native_histogram_bucket_limit`, and they cannot be merged.
    #[error("histogram bucket limit exceeded")]
    BucketLimit,
    /// A native histogram contradicts itself; the whole text.
    #[error("{0}")]
    Histogram(String),
    /// A label limit; the whole text.
    #[error("{0}")]
    LabelLimit(String),
    /// The job has more targets than `target_limit`; the whole text.
    #[error("{0}")]
    TargetLimit(String),
    /// The store refused the batch.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The store could not take the batch.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Why a configuration cannot be applied; the one before it goes on.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A job's HTTP client cannot be built.
    #[error("error creating HTTP client: {source} (job {})", quote_go(.job))]
    Client {
        /// The job.
        job: String,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// A file of `scrape_failure_log_file` cannot be opened; the text is the system's reason.
    #[error("can't create json log file: open {}: {reason}", file.display())]
    FailureLog {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
}
