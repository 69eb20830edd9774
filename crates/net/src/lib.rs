//! HTTP plumbing: the client that scrapes and ships, and the server that answers.
//!
//! Road in: `client::HttpClient` for the asking side; `server::Server` and `server::Handler` for the serving side.
//! What this crate does not do: know what is sent or served.
#![forbid(unsafe_code)]

pub mod client;
pub mod server;
