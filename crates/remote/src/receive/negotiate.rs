//! Which message a request carries, and how it is compressed.
//!
//! COMPAT: order of the checks, texts and statuses are Prometheus' (`client_golang`, `exp/api/remote`); a sender falls back to
//! protocol 1.0 when it sees 415. Prometheus takes snappy alone; VictoriaMetrics' agents send zstd first, which is smaller.

use std::fmt;

use zstd::zstd_safe::{self, get_frame_content_size};

use super::WriteError;
use super::limits::MAX_BODY;

const MEDIA_TYPE: &str = "application/x-protobuf";
/// What zstd says when there is more than the buffer takes.
const TOO_SMALL: &str = "Destination buffer is too small";

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

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// One snappy block.
    Snappy,
    /// One frame of zstd.
    Zstd,
}

impl Encoding {
    /// That of a header; without one it is snappy.
    pub(super) fn of_header(encoding: &str) -> Result<Self, WriteError> {
        match encoding {
            "" | "snappy" => Ok(Self::Snappy),
            "zstd" => Ok(Self::Zstd),
            other => Err(WriteError::Unsupported(format!(
                "{other} encoding (compression) is not accepted by this server; only snappy and zstd are acceptable"
            ))),
        }
    }

    /// The most bytes that a body takes when it is decompressed, as it says itself; [`MAX_BODY`] where it does not.
    pub(super) fn decompressed_len(self, body: &[u8]) -> Result<usize, WriteError> {
        if body.len() > MAX_BODY {
            return Err(WriteError::BodyTooLarge);
        }
        if body.is_empty() {
            return Err(self.corrupt());
        }
        let len = match self {
            Self::Snappy => snap::raw::decompress_len(body).map_err(|_| self.corrupt())? as u64,
            Self::Zstd => {
                get_frame_content_size(body).map_err(|_| self.corrupt())?.unwrap_or(MAX_BODY as u64)
            }
        };
        match usize::try_from(len) {
            Ok(len) if len <= MAX_BODY => Ok(len),
            _ => Err(WriteError::DecodedTooLarge),
        }
    }

    /// Replaces what is in `out` by the decompressed body, at most `len` bytes, as [`Encoding::decompressed_len`] gave it.
    pub(super) fn decompress(self, body: &[u8], len: usize, out: &mut Vec<u8>) -> Result<(), WriteError> {
        out.clear();
        match self {
            Self::Snappy => {
                out.resize(len, 0);
                let written = snap::raw::Decoder::new().decompress(body, out);
                out.truncate(written.map_err(|_| self.corrupt())?);
                Ok(())
            }
            Self::Zstd => {
                // It fills the capacity and no more: memory that is not written to is not taken.
                out.reserve_exact(len);
                match zstd_safe::decompress(out, body).map_err(zstd_safe::get_error_name) {
                    Ok(_) if out.len() <= len => Ok(()),
                    // It did not say how long it is.
                    Err(TOO_SMALL) if len == MAX_BODY => Err(WriteError::DecodedTooLarge),
                    Ok(_) | Err(_) => Err(self.corrupt()),
                }
            }
        }
    }

    fn corrupt(self) -> WriteError {
        match self {
            Self::Snappy => WriteError::Corrupt,
            Self::Zstd => WriteError::CorruptZstd,
        }
    }
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
