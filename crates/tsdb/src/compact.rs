//! Compaction: from the head, from late samples and from blocks to new blocks.
//!
//! Holds: what a block can be written from (`source`).
//! Always true: whatever a crash leaves, either the old data or the new block is there, and nothing is served twice.
//! Must not know: the WAL, queries, HTTP.

pub(crate) mod source;
