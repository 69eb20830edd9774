//! Why a query gave no result.
//!
//! Always true: the texts are Prometheus' own where clients may match on them, and each error knows its kind in the API.
//! Facts: observed answers in `conformance/queries`, the `expect fail` lines of the `.test` scripts.

use crate::parser::ParseErrors;

/// The kind of an error as the API names it; it decides the HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The query itself is wrong.
    BadData,
    /// The query is fine but met something it cannot work with, or a limit.
    Execution,
    /// It took too long.
    Timeout,
    /// Somebody called it off.
    Canceled,
    /// The storage failed.
    Internal,
    /// There is no room for it now; the same query may work later.
    Overloaded,
}

impl ErrorKind {
    /// `bad_data`, `execution`, `timeout`, `canceled`, `internal`, `unavailable`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution => "execution",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::Internal => "internal",
            Self::Overloaded => "unavailable",
        }
    }
}

/// Where in its life a query was when a limit hit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Waiting for a free slot.
    Queue,
    /// Working.
    Evaluation,
    /// Taking in data; Prometheus uses this word for the sample limit.
    Execution,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Queue => "query queue",
            Self::Evaluation => "expression evaluation",
            Self::Execution => "query execution",
        })
    }
}

/// Why a query gave no result.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The text does not parse or does not pass the type check.
    #[error(transparent)]
    Parse(#[from] ParseErrors),
    /// The query parses but cannot be run so; the text says why.
    #[error("{0}")]
    Invalid(String),
    /// The query uses something that is not there yet.
    #[error("not supported yet: {0}")]
    Unsupported(String),
    /// Evaluation met something it cannot work with.
    #[error("{0}")]
    Execution(String),
    /// The query holds more samples than it may.
    #[error("query processing would load too many samples into memory in {0}")]
    TooManySamples(Stage),
    /// The query holds more bytes than it may.
    #[error(
        "query processing would hold too much memory: more than the {limit} bytes that one query may have \
         (--query.max-memory-per-query)"
    )]
    TooMuchMemory {
        /// The limit, bytes.
        limit: u64,
    },
    /// All queries together hold as many bytes as they may; this one asked for more.
    #[error(
        "too much memory is held by queries: they may have {limit} bytes together (--query.max-memory); \
         try again when others are done"
    )]
    AllQueriesTooMuchMemory {
        /// The limit, bytes.
        limit: u64,
    },
    /// The time is up.
    #[error("query timed out in {0}")]
    Timeout(Stage),
    /// The time was up before it was its turn.
    ///
    /// COMPAT: odd words and kinds, but those that clients of Prometheus know: who asks for a timeout hears of a bad parameter,
    /// who meets the server's own of a failed execution (3.5.3 and 3.14).
    #[error("context deadline exceeded")]
    QueueTimeout {
        /// Whether the query itself asked for so short a time.
        asked: bool,
    },
    /// Called off, for example because the client hung up.
    #[error("query was canceled in {0}")]
    Canceled(Stage),
    /// The storage failed.
    #[error("expanding series: {0}")]
    Storage(#[from] narthex_storage::QueryError),
}

impl QueryError {
    /// The kind under which the API reports it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Parse(_) | Self::Invalid(_) | Self::Unsupported(_) => ErrorKind::BadData,
            Self::QueueTimeout { asked: true } => ErrorKind::BadData,
            Self::QueueTimeout { asked: false } => ErrorKind::Execution,
            Self::Execution(_) | Self::TooManySamples(_) | Self::TooMuchMemory { .. } => ErrorKind::Execution,
            Self::AllQueriesTooMuchMemory { .. } => ErrorKind::Overloaded,
            Self::Timeout(_) => ErrorKind::Timeout,
            Self::Canceled(_) => ErrorKind::Canceled,
            Self::Storage(_) => ErrorKind::Internal,
        }
    }

    /// The error of two samples with one label set at one time.
    pub(crate) fn same_labelset() -> Self {
        Self::Execution("vector cannot contain metrics with the same labelset".to_owned())
    }
}
