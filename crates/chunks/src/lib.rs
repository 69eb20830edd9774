//! The chunk encodings: how the samples of one series become bytes, and columns again.
//!
//! Roads in: [`OpenChunk`] takes floats as they come, [`OpenHistogramChunk`] and [`OpenFloatHistogramChunk`] histograms; [`decode`] turns the bytes of any encoding into columns, [`for_each`]
//! into samples as they were stored.
//! [`ChunkBuilder`] makes chunks of samples of any kind; [`merge_chunks`] and [`WantedSamples`] make one series of several.
//! Always true: a decoder never panics and never reads past its bytes, whatever they hold.
//! What this crate does not do: files, checksums, labels, locks.
//! Facts: Prometheus `tsdb/docs/format/chunks.md`.
#![deny(unsafe_code)]

mod bits;
mod builder;
mod encoding;
mod error;
pub mod histogram;
mod merge;
mod prefetch;
mod sample;
mod starts;
mod wanted;
pub mod xor;

pub use builder::{BuildOptions, ChunkBuilder};
pub use encoding::{
    Encoding, FloatEncoding, SealedChunk, UnknownEncoding, decode, decode_newest, sample_count,
};
pub use error::ChunkError;
pub use histogram::{OpenFloatHistogramChunk, OpenHistogramChunk, Pushed};
pub use merge::{MergeError, merge_chunks};
pub use prefetch::prefetch;
pub use sample::{ChunkSample, ChunkValue, for_each};
pub use wanted::WantedSamples;
pub use xor::{OpenChunk, decode_xor, decode_xor2, first_timestamp, newest_xor};
