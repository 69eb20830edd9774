//! Exponential histograms finer than any that is stored, made coarser.
//!
//! Schemas above 8 are reserved; a sender may use them, and the receiver merges buckets down to schema 8 as Prometheus does.

use super::histogram::Either;

/// The finest schema that is stored.
const FINEST: i32 = 8;
/// The finest schema that may be sent.
const RESERVED: i32 = 52;

/// Reduces a histogram of schema 9 to 52 to schema 8, and leaves every other as it is.
pub(crate) fn reduce_resolution(mut histogram: Either) -> Result<Either, String> {
    let is_finer = |schema: i32| (FINEST + 1..=RESERVED).contains(&schema);
    let done = match &mut histogram {
        Either::Int(h) if is_finer(h.schema) => h.reduce_resolution(FINEST),
        Either::Float(h) if is_finer(h.schema) => h.reduce_resolution(FINEST),
        Either::Int(_) | Either::Float(_) => Ok(()),
    };
    done.map(|()| histogram).map_err(|error| error.to_string())
}
