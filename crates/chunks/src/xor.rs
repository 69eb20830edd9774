//! Chunks of float samples in Prometheus' XOR encoding: written a sample at a time, read a chunk at a time.
//!
//! Layout: the number of samples (2 bytes, high one first); the first timestamp (zigzag varint) and value (8 bytes); the
//! second timestamp as difference (varint); from then on differences of differences in 1, 16, 20, 24 or 68 bits; values as
//! XOR with the value before: 1 bit for "same", else the bits that changed, in the window of the sample before when they fit.
//! Must not know: series, labels, locks.
//! Facts: Prometheus `tsdb/docs/format/chunks.md`, "XOR chunk data"; bytes compared with real chunks in `tests/real_chunks.rs`.

mod decode;
mod open;
#[cfg(test)]
mod tests;

pub use decode::{decode_xor, first_timestamp};
pub use open::OpenChunk;
