//! A slow, plain twin of the engine: a PromQL evaluator that is written for reading.
//!
//! It looks at each step by itself, keeps everything in lists and maps, and shares nothing with the engine but the syntax tree and the
//! model's types. `generate.rs` makes random queries, `data.rs` random data, `compare.rs` holds the two answers against each other.
//! Left out: what the scripts of `conformance` test better (annotations, `info`, extended ranges of histograms).

pub(crate) mod aggregate;
pub(crate) mod compare;
pub(crate) mod data;
pub(crate) mod eval;
pub(crate) mod generate;
pub(crate) mod histogram;
pub(crate) mod instant;
pub(crate) mod join;
pub(crate) mod over_time;
pub(crate) mod prometheus;
pub(crate) mod random;
