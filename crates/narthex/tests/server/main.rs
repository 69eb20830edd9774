//! The binary from outside: starting, scraping itself, signals, reloads, refusals, and what a crash leaves.
//!
//! Each test has its own folder, a free port that the server itself takes (port 0) and is found in its log, and waits for
//! what it expects with a deadline.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../peers/process.rs"]
#[allow(dead_code, reason = "the other suite uses the rest")]
mod process;
#[path = "../peers/secure.rs"]
mod secure;
#[path = "../peers/target.rs"]
#[allow(dead_code, reason = "the other suite uses the rest")]
mod target;

mod answers;
mod api;
mod commands;
mod disk_full;
mod handlers;
mod harness;
mod large_answers;
mod lifecycle;
mod logs;
mod outage;
mod profiles;
mod queries;
mod receiver;
mod remote_write;
mod self_metrics;
mod storage;
mod web;
mod web_config;
