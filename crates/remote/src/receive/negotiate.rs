//! Which message a request carries, and how it is compressed.
//!
//! COMPAT: order of the checks, texts and statuses are Prometheus' (`client_golang`, `exp/api/remote`); a sender falls back to
//! protocol 1.0 when it sees 415. The limit is Prometheus' too.

use super::WriteError;

/// Largest body, compressed and decompressed, bytes.
pub(super) const MAX_BODY: usize = 32 << 20;

const MEDIA_TYPE: &str = "application/x-protobuf";
const V1: &str = "prometheus.WriteRequest";
const V2: &str = "io.prometheus.write.v2.Request";

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

/// Decompresses a body into `out`, whose length it sets; checks the announced length before it takes any memory.
pub(super) fn decompress(body: &[u8], out: &mut Vec<u8>) -> Result<(), WriteError> {
    if body.len() > MAX_BODY {
        return Err(WriteError::BodyTooLarge);
    }
    if body.is_empty() {
        return Err(WriteError::Corrupt);
    }
    let len = snap::raw::decompress_len(body).map_err(|_| WriteError::Corrupt)?;
    if len > MAX_BODY {
        return Err(WriteError::DecodedTooLarge);
    }
    out.resize(len, 0);
    let written = snap::raw::Decoder::new().decompress(body, out).map_err(|_| WriteError::Corrupt)?;
    out.truncate(written);
    Ok(())
}

/// Refuses every message but that of remote write 1.0.
pub(super) fn check_message(content_type: &str) -> Result<(), WriteError> {
    let refuse = |text: String| Err(WriteError::Unsupported(text));
    let content_type = content_type.trim();
    if content_type.is_empty() {
        return Ok(());
    }
    let mut parts = content_type.split(';');
    if parts.next() != Some(MEDIA_TYPE) {
        return refuse(format!(
            "expected {MEDIA_TYPE} as the first (media) part, got {content_type} content-type"
        ));
    }
    for part in parts {
        match part.split_once('=') {
            Some((_, value)) if value.contains('=') => {}
            Some(("proto", V1)) => return Ok(()),
            Some(("proto", V2)) => {
                return refuse(format!(
                    "{V2} protobuf message is not accepted by this server; only accepts {V1}"
                ));
            }
            Some(("proto", other)) => {
                return refuse(format!(
                    "got {content_type} content type; unknown type for remote write protobuf message {other}, supported: {V1}, {V2}"
                ));
            }
            Some(_) => continue,
            None => {}
        }
        return refuse(format!(
            "as per https://www.rfc-editor.org/rfc/rfc9110#parameter expected parameters to be key-values, got {part} in {content_type} content-type"
        ));
    }
    Ok(())
}
