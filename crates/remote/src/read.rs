//! Remote read, both halves: others query our samples, and we query theirs.
//!
//! Road in, answering: [`ReadServer::read`]. A request's way: `request` (decoded, bounded) → the storage's series as chunks →
//! `samples` (one message) or `stream` (frames of chunks, passed on as they lie wherever they can). Asking: [`ReadStores`] makes a
//! store beside the local one of each configured endpoint: `endpoint` (what is asked, and whether) → `client` (HTTP) → `answer`
//! (samples or frames, checked and kept as chunks) → a set of series.
//! Always true: a hostile request or answer costs bounded memory and an error; what an endpoint does wrong is a warning of the
//! query, and then nothing of that endpoint is in the result.
//! Facts: Prometheus `storage/remote/read_handler.go`, `codec.go`, `read.go`, `client.go`; the remote read specification.
//! What this module does not do: listen, merge with the local store.

mod answer;
mod client;
mod endpoint;
mod frame;
mod metrics;
mod request;
mod samples;
mod server;
mod stores;
mod stream;
#[cfg(test)]
mod tests;

pub use answer::{AnswerError, decode_for_fuzzing};
pub use frame::FrameError;
pub use server::{Answer, Permit, ReadOptions, ReadServer};
pub use stores::{LocalStart, ReadClientError, ReadStoreError, ReadStores};
