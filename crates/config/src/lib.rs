//! Configuration files as typed, validated values.
//!
//! Road in: [`Config::load_file`], then the fields of [`Config`]; `check` is what `promtool check config` does.
//! A file is read in steps: bytes → events (`yaml`, with libyaml's words and marks) → tree → the sections, each a `section!`
//! table of its fields with names, defaults and what they mean → cross checks. All errors are collected, each with its place.
//! Always true of a value that `load` returned: it is complete (defaults and inherited values are filled in), its paths are
//! relative to the file that named them, and its secrets do not print.
//! What this crate does not do: open a socket, watch a file, or know how anything is run.
//! Facts: Prometheus 3.14 `docs/configuration/configuration.md`; error texts as that release prints them.
#![deny(unsafe_code)]

mod config;
mod global;
mod scrape;
mod protocol;
mod protocol_rules;
mod sd;
mod target_group;
mod http_client;
mod http_rules;
mod alerting;
mod remote_write;
mod remote_read;
mod remote_auth;
mod storage;
mod tracing;
mod otlp;
mod secret;
mod url;
mod size;
mod expand;
mod glob;
mod error;
mod section;
mod codec;
mod decode;
mod near;
mod yaml;

pub use alerting::{AlertingConfig, AlertmanagerConfig};
pub use codec::AnyValue;
pub use config::{Config, LoadOptions, RuntimeConfig};
pub use error::{ConfigErrors, Problem};
pub use glob::{BadPattern, glob};
pub use global::GlobalConfig;
pub use http_client::{Authorization, BasicAuth, Header, HttpClientConfig, OAuth2, ProxyConfig, TlsConfig, TlsVersion};
pub use otlp::OtlpConfig;
pub use protocol::ScrapeProtocol;
pub use remote_auth::{
    AzureAdConfig, AzureCertificateConfig, AzureOAuthConfig, AzureSdkConfig, GoogleIamConfig, ManagedIdentityConfig,
    SigV4Config, WorkloadIdentityConfig,
};
pub use remote_read::RemoteReadConfig;
pub use remote_write::{MetadataConfig, QueueConfig, RemoteWriteConfig, WriteMessage};
pub use scrape::ScrapeConfig;
pub use sd::*;
pub use secret::Secret;
pub use storage::{ChunkEncodingConfig, ExemplarsConfig, RetentionConfig, StorageConfig, TsdbConfig};
pub use target_group::TargetGroup;
pub use tracing::TracingConfig;
pub use url::{Url, UrlError};
