//! Compaction: from the head, from late samples and from blocks to new blocks.
//!
//! Holds: what a block can be written from (`source`), which blocks become one (`plan`).
//! Always true: whatever a crash leaves, either the old data or the new block is there, and nothing is served twice.
//! Must not know: the WAL, queries, HTTP.

pub(crate) mod plan;
pub(crate) mod source;
