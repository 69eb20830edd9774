//! The arithmetic: free functions over slices and plain numbers, without labels, storage or locks.
//!
//! Always true: floats are added in Prometheus' order, so that results agree to the last bit. Slow twin for the tests:
//! `tests/plain_twin.rs`.

pub(crate) mod buckets;
pub(crate) mod counter;
pub(crate) mod date;
mod elementary;
pub(crate) mod extrapolation;
pub(crate) mod lanes;
pub(crate) mod math;
pub(crate) mod quantile;
pub(crate) mod range;
pub(crate) mod regression;
pub(crate) mod sums;
pub(crate) mod whole;
pub(crate) mod window;
