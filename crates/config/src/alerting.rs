//! The `alerting` section: where alerts go.

use narthex_relabel::RelabelConfig;

use crate::section::section;
use crate::{HttpClientConfig, SdConfigs, SigV4Config};

section! {
    /// Where alerts go and how they are relabelled before.
    pub struct AlertingConfig("config.plain") {
        /// Steps over the labels of each alert.
        alert_relabel_configs: Vec<RelabelConfig> = Vec::new() => "alert_relabel_configs" omit Relabels,
        /// The sets of Alertmanagers.
        alertmanagers: Vec<AlertmanagerConfig> = Vec::new() => "alertmanagers" omit List<Object<AlertmanagerConfig>>,
    }
}

section! {
    /// One set of Alertmanagers.
    pub struct AlertmanagerConfig("config.AlertmanagerConfig") {
        /// AWS signatures; excludes other credentials.
        sigv4: Option<SigV4Config> = None => "sigv4" omit Maybe<SigV4Config>,
        /// `http` or `https`.
        scheme: String = "http".to_owned() => "scheme" omit Text,
        /// Stands before the API's path.
        path_prefix: String = String::new() => "path_prefix" omit Text,
        /// How long sending may take.
        timeout_ms: i64 = 10_000 => "timeout" omit Duration,
        /// The API version; only `v2`.
        api_version: String = "v2".to_owned() => "api_version" show ApiVersion,
        /// Steps over the labels of a discovered Alertmanager.
        relabel_configs: Vec<RelabelConfig> = Vec::new() => "relabel_configs" omit Relabels,
        /// Steps over the labels of alerts for this set.
        alert_relabel_configs: Vec<RelabelConfig> = Vec::new() => "alert_relabel_configs" omit Relabels,
    }
    inline {
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default(),
        /// Where Alertmanagers are.
        sd: SdConfigs = SdConfigs::default(),
    }
}
