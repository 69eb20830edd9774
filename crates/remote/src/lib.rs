//! Remote write, the sending half: everything committed to the log reaches every endpoint, in order, however long that takes.
//!
//! Road in: [`RemoteWrite`] starts an `endpoint` per configured URL. A sample's way: the log → `source` (decoded once in blocks) →
//! `lane` (kept in order) → `job` (a request, encoded once) → `deliver` (tried until answered) → back to `lane`, which moves the
//! `cursor`. What is refused for good ends in `dead_letter`. An endpoint that is behind further than the log is held for it goes
//! on from the database (`backlog`, `endpoint::catch_up`); what has to be given up leaves a record (`gap`).
//! Always true: the cursor passes a sample only when it was delivered or dead-lettered; a series' samples leave in the order of the
//! log; a slow endpoint blocks nobody and drops nothing. Labels are borrowed from the head when a request is encoded (`place` says
//! what a series is called until then).
//! The other way round: `receive` takes the requests of others, and `read` answers and asks queries; see their words.
//! What this crate does not do: scrape, write the log, decide when segments are deleted (it only says which it needs).
#![forbid(unsafe_code)]

mod backlog;
mod cursor;
pub mod dead_letter;
mod deliver;
mod dialect;
mod endpoint;
mod families;
mod gap;
mod gate;
mod job;
mod lane;
mod late;
mod manager;
mod metadata;
mod metrics;
mod packed;
mod place;
pub mod read;
pub mod receive;
mod replay;
mod series;
mod shown;
mod slots;
mod source;
pub mod state_files;
mod status;
mod target;
mod texts;
mod wire;

#[cfg(test)]
mod tests;

pub use backlog::Backlog;
pub use gap::{GapSummary, LastGap};
pub use manager::{EndpointState, LetterError, LetterStore, RemoteError, RemoteWrite, RemoteWriteOptions};
pub use metadata::MetadataSource;
pub use replay::{ReplayBounds, Replayed};
pub use status::Status;
pub use target::TargetError;
