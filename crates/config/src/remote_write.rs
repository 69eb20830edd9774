//! One entry of `remote_write`: an endpoint that samples are sent to.

use std::collections::BTreeMap;

use narthex_relabel::RelabelConfig;

use crate::section::section;
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
    }
    inline {
        /// The HTTP client; HTTP/2 is off by default, because one connection would slow many requests.
        http: HttpClientConfig = HttpClientConfig { enable_http2: false, ..HttpClientConfig::default() },
    }
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
