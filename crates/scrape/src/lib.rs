//! Scraping: target sets that follow discovery, a loop for each target, and the caches that make a scrape cheap.
//!
//! Road in: [`ScrapeManager::apply_config`]; then `pool` (which targets a job has), `scrape_loop` (when a target is scraped), `ingest`
//! (how a body becomes samples) and `series_cache` (how a line becomes a series reference without a hash).
//! Always true: one scrape is one batch, seen whole or not at all; a target is scraped by one task, never twice at a time; a
//! series that was there and is gone gets a staleness marker, unless the process stops.
//! What this crate does not do: know how samples are stored, or read a format itself.
//! Facts: Prometheus' configuration page, "scrape_config"; the "jobs and instances" page; error texts of release 3.14.
#![forbid(unsafe_code)]

#[cfg(test)]
mod conformance;
mod error;
mod failure_log;
mod fetch;
mod ingest;
mod job;
mod manager;
mod metadata_cache;
mod metrics;
mod new_series;
mod offline;
mod options;
mod pool;
mod report;
mod schedule;
mod scrape_loop;
mod scratch;
mod series_cache;
mod snapshot;
mod target;
mod target_labels;
mod target_url;
#[cfg(test)]
mod test_store;

pub use error::{ApplyError, ScrapeError};
pub use manager::ScrapeManager;
pub use offline::OfflineTarget;
pub use options::ScrapeOptions;
pub use snapshot::{ActiveTarget, DroppedTarget, FamilyMetadata, Health, PoolSnapshot};
pub use target_labels::{TargetLabelsError, discovered_labels, populate_labels};
