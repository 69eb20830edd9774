//! Which message a request carries, and how it is compressed.
//!
//! COMPAT: order of the checks, texts and statuses are Prometheus' (`client_golang`, `exp/api/remote`); a sender falls back to
//! protocol 1.0 when it sees 415.

use std::fmt;

use super::WriteError;
use super::limits::MAX_BODY;

const MEDIA_TYPE: &str = "application/x-protobuf";

/// A version of the protocol, which is a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Remote write 1.0: `prometheus.WriteRequest`.
    V1,
    /// Remote write 2.0: `io.prometheus.write.v2.Request`.
    V2,
}

impl Protocol {
    /// The protocol of a message's full name.
    ///
    /// # Errors
    /// Any other name.
    pub fn of_message(name: &str) -> Result<Self, UnknownMessage> {
        match name {
            "prometheus.WriteRequest" => Ok(Self::V1),
            "io.prometheus.write.v2.Request" => Ok(Self::V2),
            other => Err(UnknownMessage(other.to_owned())),
        }
    }

    /// The full name of the message.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::V1 => "prometheus.WriteRequest",
            Self::V2 => "io.prometheus.write.v2.Request",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

/// A message that remote write does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown type for remote write protobuf message {0}, supported: {v1}, {v2}",
    v1 = Protocol::V1,
    v2 = Protocol::V2
)]
pub struct UnknownMessage(String);

/// The two headers that say what the body is; `""` for one that was not sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct BodyHeaders<'a> {
    /// `Content-Type`
    pub content_type: &'a str,
    /// `Content-Encoding`
    pub content_encoding: &'a str,
}

/// Refuses what is not one snappy block.
pub(super) fn check_encoding(encoding: &str) -> Result<(), WriteError> {
    match encoding {
        "" | "snappy" => Ok(()),
        other => Err(WriteError::Unsupported(format!(
            "{other} encoding (compression) is not accepted by this server; only snappy is acceptable"
        ))),
    }
}

/// The length that a body has when it is decompressed, as it says itself; at most [`MAX_BODY`].
pub(super) fn decompressed_len(body: &[u8]) -> Result<usize, WriteError> {
    if body.len() > MAX_BODY {
        return Err(WriteError::BodyTooLarge);
    }
    if body.is_empty() {
        return Err(WriteError::Corrupt);
    }
    match snap::raw::decompress_len(body) {
        Ok(len) if len > MAX_BODY => Err(WriteError::DecodedTooLarge),
        Ok(len) => Ok(len),
        Err(_) => Err(WriteError::Corrupt),
    }
}

/// Decompresses a body into `out`, whose length it sets to `len`, as [`decompressed_len`] gave it.
pub(super) fn decompress(body: &[u8], len: usize, out: &mut Vec<u8>) -> Result<(), WriteError> {
    out.resize(len, 0);
    let written = snap::raw::Decoder::new().decompress(body, out).map_err(|_| WriteError::Corrupt)?;
    out.truncate(written);
    Ok(())
}

/// The protocol of a request, if it is one of `accepted`.
pub(super) fn protocol(content_type: &str, accepted: &[Protocol]) -> Result<Protocol, WriteError> {
    let asked = asked_protocol(content_type.trim()).map_err(WriteError::Unsupported)?;
    if accepted.contains(&asked) {
        return Ok(asked);
    }
    let names: Vec<&str> = accepted.iter().map(|p| p.message()).collect();
    Err(WriteError::Unsupported(format!(
        "{asked} protobuf message is not accepted by this server; only accepts {}",
        names.join(", ")
    )))
}

fn asked_protocol(content_type: &str) -> Result<Protocol, String> {
    if content_type.is_empty() {
        return Ok(Protocol::V1);
    }
    let mut parts = content_type.split(';');
    if parts.next() != Some(MEDIA_TYPE) {
        return Err(format!(
            "expected {MEDIA_TYPE} as the first (media) part, got {content_type} content-type"
        ));
    }
    for part in parts {
        match part.split_once('=') {
            Some((_, value)) if value.contains('=') => {}
            Some(("proto", name)) => {
                return Protocol::of_message(name)
                    .map_err(|unknown| format!("got {content_type} content type; {unknown}"));
            }
            Some(_) => continue,
            None => {}
        }
        return Err(format!(
            "as per https://www.rfc-editor.org/rfc/rfc9110#parameter expected parameters to be key-values, got {part} in {content_type} content-type"
        ));
    }
    Ok(Protocol::V1)
}
