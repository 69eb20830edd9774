//! The kinds of errors that the API knows, and the HTTP status of each.

use http::StatusCode;
use narthex_promql::engine::{ErrorKind, QueryError};

/// The kind of an API error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// The request is wrong.
    BadData,
    /// The query is fine but its evaluation failed.
    Execution,
    /// The query took too long.
    Timeout,
    /// The client went away.
    Canceled,
    /// The server failed.
    Internal,
    /// Not at this time, or switched off.
    Unavailable,
    /// There is no room for it now; it may work later.
    Overloaded,
}

impl ErrorType {
    /// The word in `errorType`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution => "execution",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::Internal => "internal",
            Self::Unavailable | Self::Overloaded => "unavailable",
        }
    }
}

/// An error as the API answers it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ApiError {
    /// Its kind.
    pub kind: ErrorType,
    /// What is wrong, in Prometheus' words where clients may match on them.
    pub text: String,
}

impl ApiError {
    /// An error of a kind.
    pub fn new(kind: ErrorType, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// The request is wrong.
    pub fn bad_data(text: impl Into<String>) -> Self {
        Self::new(ErrorType::BadData, text)
    }

    /// One parameter is wrong.
    pub fn invalid_parameter(name: &str, reason: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter \"{name}\": {reason}"))
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.kind {
            ErrorType::BadData => StatusCode::BAD_REQUEST,
            ErrorType::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorType::Timeout | ErrorType::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            ErrorType::Canceled => StatusCode::from_u16(499).expect("499 is in range"),
            // COMPAT: `unavailable` (a switched off admin API) is a 500 in Prometheus; only `timeout` is a 503.
            ErrorType::Internal | ErrorType::Unavailable => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// What went wrong while a query ran. A query that does not parse is about the parameter `query`.
impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error.kind() {
            ErrorKind::BadData => Self::invalid_parameter("query", error),
            ErrorKind::Execution => Self::new(ErrorType::Execution, error.to_string()),
            ErrorKind::Timeout => Self::new(ErrorType::Timeout, error.to_string()),
            ErrorKind::Canceled => Self::new(ErrorType::Canceled, error.to_string()),
            ErrorKind::Internal => Self::new(ErrorType::Internal, error.to_string()),
            ErrorKind::Overloaded => Self::new(ErrorType::Overloaded, error.to_string()),
        }
    }
}

/// What went wrong while label sets were read.
impl From<narthex_storage::QueryError> for ApiError {
    fn from(error: narthex_storage::QueryError) -> Self {
        let kind = match error {
            narthex_storage::QueryError::NotReady(_) => ErrorType::Unavailable,
            narthex_storage::QueryError::Corrupt(_)
            | narthex_storage::QueryError::Io { .. }
            | narthex_storage::QueryError::NoChunks => ErrorType::Execution,
        };
        Self::new(kind, error.to_string())
    }
}
