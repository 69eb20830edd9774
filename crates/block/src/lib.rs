//! One block: an immutable directory with the samples of a time range, in Prometheus' format.
//!
//! Roads in: [`Block::open`] checks a directory and maps its files; [`Block::querier`] answers queries, [`Block::series`]
//! walks all series with their chunks as they lie on disk. [`BlockWriter`] makes a new block, series by series.
//! Always true: a block that others can see is complete and synced; only `tombstones` and `meta.json` of it are ever
//! replaced, each in one step. Every checksum is verified before what it covers is believed; damaged bytes are an error.
//! What this crate does not do: decide when blocks are made, merged or deleted; know the head, the WAL, or other blocks.
//! Facts: Prometheus `tsdb/docs/format/{index,chunks,tombstones}.md`, and for `meta.json` `tsdb/block.go`.
#![deny(unsafe_code)]

mod block;
mod bytes;
mod fault;
mod index;
mod interval;
mod mapped;
mod meta;
mod piece;
mod query;
mod segments;
mod stats;
mod tombstones;
mod ulid;
mod write;

pub use block::{Block, DeleteError, OpenError, ReadError, RepairError, SeriesEntries, repair_index_version};
pub use fault::Fault;
pub use index::IndexError;
pub use interval::{Interval, Intervals};
pub use meta::{BlockDesc, BlockMeta, BlockStats, Compaction, Hint, MetaError};
pub use piece::{ChunkPiece, SeriesEntry};
pub use segments::{ChunkFault, SegmentError};
pub use stats::{LabelStatistics, NameStatistics, PairStatistics};
pub use tombstones::{TombstoneError, Tombstones};
pub use ulid::{Ulid, UlidError};
pub use write::{BlockWriter, NewBlock, WriteError, WriterOptions};
