//! Compaction: from the head, from late samples and from blocks to new blocks.
//!
//! Holds: what a block can be written from (`source`, `block_source`), which blocks become one (`plan`), how their series are
//! merged (`series_merge`) and written (`write`), what the new block says of its origin (`descent`).
//! Always true: whatever a crash leaves, either the old data or the new block is there, and nothing is served twice.
//! Must not know: the WAL, queries, HTTP.

pub(crate) mod block_source;
pub(crate) mod descent;
pub(crate) mod metrics;
pub(crate) mod plan;
mod series_merge;
pub(crate) mod source;
pub(crate) mod write;
