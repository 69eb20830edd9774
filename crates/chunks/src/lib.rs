//! The chunk encodings: how the samples of one series become bytes, and columns again.
//!
//! Roads in: [`OpenChunk`] takes floats as they come; [`decode`] turns the bytes of any encoding into columns.
//! Always true: a decoder never panics and never reads past its bytes, whatever they hold.
//! What this crate does not do: files, checksums, labels, locks.
//! Facts: Prometheus `tsdb/docs/format/chunks.md`.
#![forbid(unsafe_code)]

mod encoding;
pub mod xor;

pub use encoding::{Encoding, SealedChunk, UnknownEncoding, decode};
pub use xor::{ChunkError, OpenChunk, decode_xor, first_timestamp};
