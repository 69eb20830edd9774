//! The time series database: what was scraped, kept on disk and in memory, and given back to queries.
//!
//! Road in: [`Db::open`] takes a data directory, replays its log and gives a [`Db`] that is both `Appendable` and `Queryable`.
//! Inside, follow a batch: `head::append` checks it, `head::commit` writes it to the WAL (what came out of order,
//! to a second one too) and shows it, `head::query` reads it. Then follow a minute of `db::maintenance`: `compact` writes what is
//! old in the head to a block and merges blocks, the head and the logs forget it, `retention` says which blocks go.
//! What this crate does not do: scrape, evaluate PromQL, send anything anywhere, know HTTP. It never deletes a byte of a
//! data directory that it does not understand.
#![deny(unsafe_code)]

mod block_builder;
mod compact;
mod db;
mod dir_lock;
mod head;
mod head_chunks;
mod ingestion;
mod metrics;
mod read_only;
mod retention;
#[cfg(test)]
mod scratch;
mod snapshot;
mod symbols;

pub use block_builder::BlockBuilder;
pub use compact::write::CompactError;
pub use db::{
    Db, DbError, DbOptions, OpenError, ReplayProgress, ReplayState, ReplayStatus, Retention, RuntimeOptions,
    SeriesExemplars,
};
pub use dir_lock::{DirLock, LockError};
pub use head::cardinality::{Cardinality, CardinalityOrder, CardinalityRequest, SeriesCounts};
pub use head::replay::ReplayError;
pub use head::stats::HeadStats;
pub use head_chunks::{HeadChunksError, HeaderFault, RecordFault};
pub use ingestion::{Ingestion, Probe};
pub use narthex_chunks::FloatEncoding;
pub use read_only::{ReadOnlyDb, ReadOnlyError};
