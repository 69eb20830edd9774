//! One block: an immutable directory with the samples of a time range, in Prometheus' format.
//!
//! What this crate does not do: decide when blocks are made, merged or deleted; know the head or the WAL.
//! Facts: Prometheus `tsdb/docs/format/{index,chunks,tombstones}.md`.
#![deny(unsafe_code)]
