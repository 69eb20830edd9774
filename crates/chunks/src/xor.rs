//! Chunks of float samples in Prometheus' encodings XOR and XOR2: written a sample at a time, read a chunk at a time.
//!
//! Layout: the number of samples (2 bytes, high one first); the first timestamp (zigzag varint) and value (8 bytes); the
//! second timestamp as difference (varint); from then on differences of differences in 1, 16, 20, 24 or 68 bits; values as
//! XOR with the value before: 1 bit for "same", else the bits that changed, in the window of the sample before when they fit.
//! XOR2 lets time and value share their first bits, has short forms for stale markers, and a byte more in front, which tells of
//! start timestamps. Must not know: series, labels, locks.
//! Facts: Prometheus `tsdb/docs/format/chunks.md`, "XOR chunk data" and "XOR2 chunk data"; bytes of XOR compared with real chunks in `tests/real_chunks.rs`.

mod decode;
mod decode2;
mod looks;
mod open;
mod open2;
mod regular;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests2;

pub use decode::{decode_xor, first_timestamp, newest_xor};
pub use decode2::decode_xor2;
pub use open::OpenChunk;
