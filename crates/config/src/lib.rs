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

mod alerting;
mod check;
mod codec;
mod config;
mod decode;
mod error;
mod expand;
mod glob;
mod global;
mod http_client;
mod http_rules;
mod near;
mod otlp;
mod protocol;
mod protocol_rules;
mod remote_auth;
mod remote_read;
mod remote_write;
mod rule_file;
mod scrape;
mod sd;
mod secret;
mod section;
mod size;
mod storage;
mod target_group;
mod tracing;
mod url;
mod web_config;
mod yaml;

pub use alerting::{AlertingConfig, AlertmanagerConfig};
pub use check::{CheckOptions, CheckReport, check_config_file};
pub use codec::AnyValue;
pub use config::{Config, LoadOptions, RuntimeConfig};
pub use error::{ConfigErrors, Problem};
pub use glob::{BadPattern, glob};
pub use global::{FeatureDefaults, GlobalConfig};
pub use http_client::{
    Authorization, BasicAuth, Header, HttpClientConfig, OAuth2, ProxyConfig, TlsConfig, TlsVersion,
};
pub use otlp::OtlpConfig;
pub use protocol::ScrapeProtocol;
pub use remote_auth::{
    AzureAdConfig, AzureCertificateConfig, AzureOAuthConfig, AzureSdkConfig, GoogleIamConfig,
    ManagedIdentityConfig, SigV4Config, WorkloadIdentityConfig,
};
pub use remote_read::RemoteReadConfig;
pub use remote_write::{MetadataConfig, QueueConfig, RemoteWriteConfig, StartFrom, WalHold, WriteMessage};
pub use rule_file::{Place, Rule, RuleFile, RuleGroup};
pub use scrape::ScrapeConfig;
pub use sd::*;
pub use secret::Secret;
pub use size::format_size;
pub use storage::{ChunkEncodingConfig, ExemplarsConfig, RetentionConfig, StorageConfig, TsdbConfig};
pub use target_group::{TargetGroup, parse_target_groups};
pub use tracing::TracingConfig;
pub use url::{Url, UrlError};
pub use web_config::{WebConfig, WebHttpConfig, WebRateLimit, WebTlsConfig, check_web_config};

#[cfg(test)]
mod test_data;
