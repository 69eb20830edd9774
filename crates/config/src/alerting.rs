//! The `alerting` section: where alerts go.

use narthex_relabel::RelabelConfig;

use crate::codec::{Entry, check_addresses};
use crate::decode::{Check, Decoder};
use crate::section::section;
use crate::yaml::NodeRef;
use crate::{HttpClientConfig, SdConfigs, SigV4Config};

section! {
    /// Where alerts go and how they are relabelled before.
    pub struct AlertingConfig("config.plain") {
        /// Steps over the labels of each alert.
        alert_relabel_configs: Vec<RelabelConfig> = Vec::new() => "alert_relabel_configs" omit Relabels,
        /// The sets of Alertmanagers.
        alertmanagers: Vec<AlertmanagerConfig> = Vec::new() => "alertmanagers" omit Entries<AlertmanagerConfig>,
    }
}

section! {
    /// One set of Alertmanagers.
    pub struct AlertmanagerConfig("config.AlertmanagerConfig") {
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
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
        /// Where Alertmanagers are.
        sd: SdConfigs = SdConfigs::default() => "" inline SdConfigs,
    }
}

impl Check for AlertingConfig {
    fn check(&mut self, at: NodeRef<'_>, d: &mut Decoder) {
        d.refuse_nulls(at.get("alert_relabel_configs"), "empty or null alert relabeling rule");
    }
}

impl Entry for AlertmanagerConfig {
    const LIST_TYPE: &'static str = "config.AlertmanagerConfigs";
    const NULL_TEXT: &'static str = "empty or null Alertmanager config section";
}

impl Check for AlertmanagerConfig {
    fn verify(&mut self) -> Result<(), String> {
        self.http.settle()?;
        let http = &self.http;
        let has_auth = http.basic_auth.is_some() || http.authorization.is_some() || http.oauth2.is_some();
        if has_auth && self.sigv4.is_some() {
            return Err(
                "at most one of basic_auth, authorization, oauth2, & sigv4 must be configured".to_owned()
            );
        }
        if self.relabel_configs.is_empty() { check_addresses(&self.sd.static_configs) } else { Ok(()) }
    }

    fn check(&mut self, at: NodeRef<'_>, d: &mut Decoder) {
        d.refuse_nulls(at.get("relabel_configs"), "empty or null Alertmanager target relabeling rule");
        d.refuse_nulls(at.get("alert_relabel_configs"), "empty or null Alertmanager alert relabeling rule");
        if let Err(text) = self.verify() {
            d.rule(at.mark(), text);
        }
    }
}
