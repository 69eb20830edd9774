//! The HTTP side: API v1, own metrics, lifecycle and the page; handlers that parse, call a service, encode.
//!
//! Road in: `Site`, which is a `narthex_net::server::Handler`; `Services` is what it calls once the storage is open. Inside:
//! `routes` finds the endpoint, `site` guards it, `api` holds the handlers, `json` and `result_json` write the answers.
//! What this crate does not do: open sockets, scrape, store, evaluate queries.
#![forbid(unsafe_code)]

mod answer;
mod answer_stream;
mod api;
mod api_error;
mod assets;
mod caller;
mod consoles;
mod cors;
mod debug;
mod encoding;
mod federate;
mod form;
mod gateway;
mod global_url;
mod histogram_json;
mod json;
mod live;
mod metrics;
mod openapi;
mod outflow;
mod page;
mod param;
mod point_writer;
mod quick;
mod remote_read;
mod result_json;
mod routes;
mod search;
mod self_metrics;
mod services;
mod site;
mod squeeze;
#[cfg(test)]
mod tests;

pub use api_error::{ApiError, ErrorType};
pub use cors::CorsOrigin;
pub use form::Form;
pub use result_json::{value_gzip, value_json};
pub use services::{
    ActiveTarget, BlockStatus, CardinalityCounts, CardinalityOrder, CardinalityQuestion, CardinalityStatus,
    DroppedTarget, Health, Letter, LetterReason, LetterReplay, LetterSelection, LetterStore, NamedCount,
    Notification, PoolConfig, ProcessService, ReadAnswer, ReadService, RemoteEndpoint, RemoteGap, RemoteGaps,
    RemoteWriteService, RuntimeInfo, Services, Subscription, TargetMetadata, TargetService, TsdbService,
    TsdbStatus, WalReplay, WriteAnswer, WriteService,
};
pub use site::{BuildInfo, Site, SiteOptions};
