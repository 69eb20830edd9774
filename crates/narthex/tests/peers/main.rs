//! Narthex beside the real programs: what it scrapes, stores and ships is compared with Prometheus' own answers.
//!
//! Needs the programs that `shared/tools/get-peers.sh` brings: in `$PEERS_BIN`, or in its cache folder. Without them each test
//! prints a `SKIPPED` line; with `CI` set it fails instead.
#![allow(clippy::unwrap_used, reason = "tests")]

mod admin;
mod api;
mod beside;
mod clients;
mod drop_in;
mod dump;
mod federate;
mod fixture;
mod odd;
mod own_metrics;
mod process;
mod promtool;
mod protobuf;
mod receive;
mod remote_read;
mod scrape;
mod secure;
mod ship;
mod start_times;
mod storage;
mod target;
mod tsdb_commands;
mod web_config;
mod web_surface;
