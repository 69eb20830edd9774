//! One entry of `remote_write`: an endpoint that samples are sent to.

use std::collections::BTreeMap;

use narthex_relabel::RelabelConfig;

use crate::codec::Entry;
use crate::decode::{Check, Decoder};
use crate::http_rules::check_headers;
use crate::section::section;
use crate::yaml::NodeRef;
use crate::{AzureAdConfig, GoogleIamConfig, HttpClientConfig, SigV4Config, Url};

section! {
    /// An endpoint of remote write.
    pub struct RemoteWriteConfig("config.plain") {
        /// Where to send; `Some` after loading.
        url: Option<Url> = None => "url" show Address,
        /// How long a request may take.
        remote_timeout_ms: i64 = 30_000 => "remote_timeout" omit Duration,
        /// Headers added to each request.
        headers: BTreeMap<String, String> = BTreeMap::new() => "headers" omit TextMap,
        /// Steps over the labels of each series.
        write_relabel_configs: Vec<RelabelConfig> = Vec::new() => "write_relabel_configs" omit Relabels,
        /// The endpoint's name; empty: a hash of this section.
        name: String = String::new() => "name" omit Text,
        /// Whether exemplars are sent.
        send_exemplars: bool = false => "send_exemplars" omit Flag,
        /// Whether native histograms are sent.
        send_native_histograms: bool = false => "send_native_histograms" omit Flag,
        /// Whether the host is resolved anew for each connection and one address is picked at random.
        round_robin_dns: bool = false => "round_robin_dns" omit Flag,
        /// Remote write 1.0 or 2.0.
        protobuf_message: WriteMessage = WriteMessage::V1 => "protobuf_message" omit WriteMessage,
        /// Whether failed requests are logged in full.
        failed_request_logging: bool = false => "failed_request_logging" omit Flag,
        /// The HTTP client; HTTP/2 is off by default, because one connection would slow many requests.
        http: HttpClientConfig = HttpClientConfig { enable_http2: false, ..HttpClientConfig::default() } => "" inline HttpClientConfig,
        /// The queue before the endpoint.
        queue_config: QueueConfig = QueueConfig::default() => "queue_config" omit Object<QueueConfig>,
        /// Metadata of version 1.0.
        metadata_config: MetadataConfig = MetadataConfig::default() => "metadata_config" omit Object<MetadataConfig>,
        /// AWS signatures.
        sigv4: Option<SigV4Config> = None => "sigv4" omit Maybe<SigV4Config>,
        /// Microsoft Entra tokens.
        azuread: Option<AzureAdConfig> = None => "azuread" omit Maybe<AzureAdConfig>,
        /// Google tokens.
        google_iam: Option<GoogleIamConfig> = None => "google_iam" omit Maybe<GoogleIamConfig>,
        /// How long the log is kept for this endpoint; `None`: as the defaults say. A field of ours.
        wal_hold: Option<WalHold> = None => "wal_hold" omit Maybe<WalHold>,
        /// Where the endpoint begins when it is new. A field of ours.
        start_from: StartFrom = StartFrom::Now => "start_from" omit StartFrom,
    }
}

section! {
    /// How much of the log an endpoint that is down may keep; beyond that it goes on from the database.
    pub struct WalHold("remote.WalHold") {
        /// Most bytes of the log behind its cursor; 0 for no limit. About what a day of 10,000 samples a second takes.
        bytes: i64 = 8 << 30 => "bytes" show Size,
        /// Most time since what its cursor waits for was written, ms; 0 for no limit. Longer than a log that nobody holds, so that
        /// most outages never leave the log, and short enough that a restart does not replay a day.
        age_ms: i64 = 6 * 3_600_000 => "age" show Duration,
    }
}

/// Where a new endpoint begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StartFrom {
    /// With what is written from now on.
    #[default]
    Now,
    /// With the oldest sample of the database.
    Oldest,
    /// With samples that are at most so old, ms.
    Ago(i64),
}

section! {
    /// The queue before an endpoint.
    pub struct QueueConfig("config.QueueConfig") {
        /// Samples that a shard holds before reading stops; above 0.
        capacity: i64 = 10_000 => "capacity" omit Int,
        /// The most requests in flight; above 0. At 100 ms a request 50 of them carry a million samples a second.
        max_shards: i64 = 50 => "max_shards" omit Int,
        /// The fewest; above 0, at most `max_shards`.
        min_shards: i64 = 1 => "min_shards" omit Int,
        /// The most samples of a request; above 0.
        max_samples_per_send: i64 = 2_000 => "max_samples_per_send" omit Int,
        /// How long samples wait for a full request.
        batch_send_deadline_ms: i64 = 5_000 => "batch_send_deadline" omit Duration,
        /// The first wait after a failure that may pass.
        min_backoff_ms: i64 = 30 => "min_backoff" omit Duration,
        /// The longest; at least `min_backoff_ms`.
        max_backoff_ms: i64 = 5_000 => "max_backoff" omit Duration,
        /// Whether status 429 counts as a failure that may pass.
        retry_on_http_429: bool = false => "retry_on_http_429" omit Flag,
        /// Samples older than this are not sent; 0: all are.
        sample_age_limit_ms: i64 = 0 => "sample_age_limit" omit Duration,
    }
}

section! {
    /// How metadata is sent with remote write 1.0.
    pub struct MetadataConfig("config.MetadataConfig") {
        /// Whether it is sent.
        send: bool = true => "send" show Flag,
        /// How often.
        send_interval_ms: i64 = 60_000 => "send_interval" show Duration,
        /// The most entries of a request.
        max_samples_per_send: i64 = 2_000 => "max_samples_per_send" omit Int,
    }
}

/// The protobuf message of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WriteMessage {
    /// `prometheus.WriteRequest`, remote write 1.0.
    #[default]
    V1,
    /// `io.prometheus.write.v2.Request`, remote write 2.0.
    V2,
}

impl WriteMessage {
    pub(crate) const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// The full name of the protobuf message.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "prometheus.WriteRequest",
            Self::V2 => "io.prometheus.write.v2.Request",
        }
    }
}

/// What to use instead of an `Authorization` header.
pub(crate) const AUTHORIZATION_TEXT: &str = "authorization header must be changed via the basic_auth, authorization, oauth2, sigv4, azuread or google_iam parameter";

impl Entry for RemoteWriteConfig {
    const LIST_TYPE: &'static str = "[]*config.RemoteWriteConfig";
    const NULL_TEXT: &'static str = "empty or null remote write config section";
}

impl Check for RemoteWriteConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.url.is_none() {
            return Err("url for remote_write is empty".to_owned());
        }
        check_headers(self.headers.keys(), AUTHORIZATION_TEXT)?;
        self.http.settle()?;
        self.queue_config.rules()?;
        if self.wal_hold.as_ref().is_some_and(|hold| hold.bytes < 0) {
            return Err("remote write wal_hold bytes must not be negative".to_owned());
        }
        self.one_credential()
    }

    fn check(&mut self, at: NodeRef<'_>, d: &mut Decoder) {
        d.refuse_nulls(
            at.get("write_relabel_configs"),
            "empty or null relabeling rule in remote write config",
        );
        if let Err(text) = self.verify() {
            d.rule(at.mark(), text);
        }
    }
}

impl RemoteWriteConfig {
    fn one_credential(&self) -> Result<(), String> {
        let methods = [
            (self.http.basic_auth.is_some(), "basic_auth"),
            (self.http.authorization.is_some(), "authorization"),
            (self.http.oauth2.is_some(), "oauth2"),
            (self.sigv4.is_some(), "sigv4"),
            (self.azuread.is_some(), "azuread"),
            (self.google_iam.is_some(), "google_iam"),
        ];
        let set: Vec<&str> = methods.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
        if set.len() < 2 {
            return Ok(());
        }
        let names = "basic_auth, authorization, oauth2, sigv4, azuread or google_iam";
        Err(format!("at most one of {names} must be configured. Currently configured: [{}]", set.join(" ")))
    }
}

impl QueueConfig {
    fn rules(&self) -> Result<(), String> {
        let text = match () {
            () if self.max_shards <= 0 => "max_shards must be positive",
            () if self.min_shards <= 0 => "min_shards must be positive",
            () if self.min_shards > self.max_shards => "min_shards must not be greater than max_shards",
            () if self.max_samples_per_send <= 0 => "max_samples_per_send must be positive",
            () if self.capacity <= 0 => "capacity must be positive",
            () if self.max_backoff_ms < self.min_backoff_ms => {
                "max_backoff must not be less than min_backoff"
            }
            () => return Ok(()),
        };
        Err(format!("remote write queue {text}"))
    }
}

impl Check for WalHold {}
impl Check for QueueConfig {}
impl Check for MetadataConfig {}
