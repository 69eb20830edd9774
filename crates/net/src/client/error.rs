//! Why a request failed, in the words that Go's HTTP client uses, because they stand in targets' `lastError`.
//!
//! Always true: the text names the URL (with its password hidden) where Go's does; `can_retry` is a hint for shippers.

use std::io;

/// A request that got no complete answer.
#[derive(Debug, thiserror::Error)]
#[error("{verb} \"{url}\": {cause}")]
pub struct RequestError {
    /// The method as Go writes it here: `Get`, `Post`.
    pub verb: String,
    /// The URL, without its password.
    pub url: String,
    /// What went wrong.
    #[source]
    pub cause: Cause,
}

/// What went wrong in a request.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The deadline of the request passed.
    #[error("context deadline exceeded")]
    Deadline,
    /// No connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection ended before an answer began.
    #[error("EOF")]
    Closed,
    /// Reading or writing failed on an open connection.
    #[error("{action}: {}", io_text(.source))]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The peer does not speak HTTP/1.1, or not well.
    #[error("net/http: HTTP/1.x transport connection broken: {0}")]
    Malformed(String),
    /// The HTTP/2 exchange failed.
    #[error("http2: {0}")]
    Http2(String),
    /// Redirects without end.
    #[error("stopped after 10 redirects")]
    TooManyRedirects,
    /// A redirect to a place that is no HTTP URL.
    #[error("failed to parse Location header {0:?}: {1}")]
    BadLocation(String, String),
    /// A password, token or certificate could not be had.
    #[error("{0}")]
    Credentials(String),
    /// The URL cannot be asked.
    #[error("{0}")]
    BadUrl(String),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The host's name has no address.
    #[error("dial tcp: lookup {host}: {reason}")]
    Lookup {
        /// The name.
        host: String,
        /// `no such host`, or the system's words.
        reason: String,
    },
    /// Nobody accepts there.
    #[error("dial {network} {address}: connect: {}", io_text(.source))]
    Connect {
        /// `tcp` or `unix`.
        network: &'static str,
        /// The address that was tried.
        address: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The TLS handshake failed; the text is Go's where the reason is a common one.
    #[error("{0}")]
    Tls(String),
    /// The proxy refused.
    #[error("proxy: {0}")]
    Proxy(String),
}

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The deadline of the request passed.
    #[error("context deadline exceeded")]
    Deadline,
    /// The peer closed before the end that it had announced.
    #[error("unexpected EOF")]
    Truncated,
    /// More bytes than the caller allows, after decompression.
    #[error("body size limit exceeded")]
    TooLarge,
    /// Chunk framing or HTTP/2 framing is wrong.
    #[error("{0}")]
    Malformed(String),
    /// The connection failed.
    #[error("read: {}", io_text(.0))]
    Io(#[source] io::Error),
    /// The compressed bytes are wrong.
    #[error("{0}")]
    Inflate(&'static str),
}

impl From<io::Error> for BodyError {
    fn from(source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::UnexpectedEof { Self::Truncated } else { Self::Io(source) }
    }
}

/// The system's reason without Rust's ` (os error 111)`, in lower case as Go prints it.
#[must_use]
pub fn io_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
