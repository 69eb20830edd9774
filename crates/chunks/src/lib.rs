//! The chunk encodings: how the samples of one series become bytes, and columns again.
//!
//! Roads in: [`OpenChunk`] takes floats as they come; [`decode`] turns the bytes of any encoding into columns, [`for_each`]
//! into samples as they were stored.
//! Always true: a decoder never panics and never reads past its bytes, whatever they hold.
//! What this crate does not do: files, checksums, labels, locks.
//! Facts: Prometheus `tsdb/docs/format/chunks.md`.
#![forbid(unsafe_code)]

mod encoding;
mod error;
mod sample;
pub mod xor;

pub use encoding::{Encoding, SealedChunk, UnknownEncoding, decode, sample_count};
pub use error::ChunkError;
pub use sample::{ChunkSample, ChunkValue, for_each};
pub use xor::{OpenChunk, decode_xor, first_timestamp};
