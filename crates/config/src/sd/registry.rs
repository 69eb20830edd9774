//! Discovery in registries and over HTTP and DNS, C to M. Flat tables of fields; defaults and rules are those of Prometheus 3.14.

use std::collections::BTreeMap;

use super::check_http_url;
use crate::codec::Entry;
use crate::decode::Check;
use crate::section::section;
use crate::{BasicAuth, HttpClientConfig, Secret, Url};

section! {
    /// Services of Consul.
    pub struct ConsulSdConfig("consul.plain") {
        /// The server to ask.
        server: String = "localhost:8500".to_owned() => "server" omit Text,
        /// Stands before the API's path.
        path_prefix: String = String::new() => "path_prefix" omit Text,
        /// The token of the API.
        token: Secret = Secret::default() => "token" omit Hidden,
        /// The datacenter; empty: the local one.
        datacenter: String = String::new() => "datacenter" omit Text,
        /// The namespace.
        namespace: String = String::new() => "namespace" omit Text,
        /// The admin partition.
        partition: String = String::new() => "partition" omit Text,
        /// Joins the tags of a target.
        tag_separator: String = ",".to_owned() => "tag_separator" omit Text,
        /// `http` or `https`.
        scheme: String = "http".to_owned() => "scheme" omit Text,
        /// The user name.
        username: String = String::new() => "username" omit Text,
        /// The password.
        password: Secret = Secret::default() => "password" omit Hidden,
        /// Whether stale answers will do.
        allow_stale: bool = true => "allow_stale" show Flag,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 30_000 => "refresh_interval" omit Duration,
        /// The services to find; empty: all.
        services: Vec<String> = Vec::new() => "services" omit List<Text>,
        /// Tags that a service must have.
        tags: Vec<String> = Vec::new() => "tags" omit List<Text>,
        /// Metadata that a node must have.
        node_meta: BTreeMap<String, String> = BTreeMap::new() => "node_meta" omit TextMap,
        /// A filter in the API's language.
        filter: String = String::new() => "filter" omit Text,
        /// A filter of the health API.
        health_filter: String = String::new() => "health_filter" omit Text,
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
    }
}

impl Entry for ConsulSdConfig {
    const LIST_TYPE: &'static str = "[]*consul.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in consul_sd_configs";
}

section! {
    /// DNS records.
    pub struct DnsSdConfig("dns.plain") {
        /// What to look for.
        names: Vec<String> = Vec::new() => "names" show List<Text>,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 30_000 => "refresh_interval" omit Duration,
        /// The type of DNS record.
        record_type: String = "SRV".to_owned() => "type" show Text,
        /// The port of targets that name none.
        port: i64 = 0 => "port" show Int,
    }
}

impl Entry for DnsSdConfig {
    const LIST_TYPE: &'static str = "[]*dns.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in dns_sd_configs";
}

section! {
    /// Applications of Eureka.
    pub struct EurekaSdConfig("eureka.plain") {
        /// The server to ask.
        server: String = String::new() => "server" omit Text,
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 30_000 => "refresh_interval" omit Duration,
    }
}

impl Entry for EurekaSdConfig {
    const LIST_TYPE: &'static str = "[]*eureka.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in eureka_sd_configs";
}

section! {
    /// An HTTP endpoint that lists target groups.
    pub struct HttpSdConfig("http.plain") {
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" omit Duration,
        /// Where to ask.
        url: String = String::new() => "url" show Text,
    }
}

impl Entry for HttpSdConfig {
    const LIST_TYPE: &'static str = "[]*http.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in http_sd_configs";
}

section! {
    /// Data planes of Kuma.
    pub struct KumaSdConfig("xds.plainKumaConf") {
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 15_000 => "refresh_interval" omit Duration,
        /// How long a request may take.
        fetch_timeout_ms: i64 = 120_000 => "fetch_timeout" omit Duration,
        /// The server to ask.
        server: String = String::new() => "server" omit Text,
        /// The client id.
        client_id: String = String::new() => "client_id" omit Text,
    }
}

impl Entry for KumaSdConfig {
    const LIST_TYPE: &'static str = "[]*xds.KumaSDConfig";
    const NULL_TEXT: &'static str = "empty or null section in kuma_sd_configs";
}

section! {
    /// Tasks of Marathon.
    pub struct MarathonSdConfig("marathon.plain") {
        /// The servers to ask.
        servers: Vec<String> = Vec::new() => "servers" omit List<Text>,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 30_000 => "refresh_interval" omit Duration,
        /// The token.
        auth_token: Secret = Secret::default() => "auth_token" omit Hidden,
        /// A file that holds the token.
        auth_token_file: String = String::new() => "auth_token_file" omit FilePath,
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
    }
}

impl Entry for MarathonSdConfig {
    const LIST_TYPE: &'static str = "[]*marathon.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in marathon_sd_configs";
}

impl Check for ConsulSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.server.trim().is_empty() {
            return Err("consul SD configuration requires a server address".to_owned());
        }
        if !self.username.is_empty() || !self.password.is_empty() {
            if self.http.basic_auth.is_some() {
                let both = "consul SD configuration username and password and basic auth";
                return Err(format!("at most one of {both} can be configured"));
            }
            let (username, password) = (self.username.clone(), self.password.clone());
            self.http.basic_auth = Some(BasicAuth { username, password, ..BasicAuth::default() });
        }
        if !self.token.is_empty() && (self.http.authorization.is_some() || self.http.oauth2.is_some()) {
            return Err(
                "at most one of consul SD token, authorization, or oauth2 can be configured".to_owned()
            );
        }
        self.http.settle()
    }
}

impl Check for DnsSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.names.is_empty() {
            return Err("DNS-SD config must contain at least one SRV record name".to_owned());
        }
        match self.record_type.to_uppercase().as_str() {
            "SRV" => Ok(()),
            "A" | "AAAA" | "MX" | "NS" if self.port != 0 => Ok(()),
            "A" | "AAAA" | "MX" | "NS" => {
                Err("a port is required in DNS-SD configs for all record types except SRV".to_owned())
            }
            _ => Err(format!("invalid DNS-SD records type {}", self.record_type)),
        }
    }
}

impl Check for EurekaSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.server.is_empty() {
            return Err("eureka_sd: empty or null eureka server".to_owned());
        }
        let url = Url::parse(&self.server).map_err(|e| e.to_string())?;
        if url.scheme().is_empty() || url.host().is_empty() {
            return Err("eureka_sd: invalid eureka server URL".to_owned());
        }
        self.http.settle()
    }
}

impl Check for HttpSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        check_http_url(&self.url)?;
        self.http.settle()
    }
}

impl Check for KumaSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.server.is_empty() {
            return Err(format!("kuma SD server must not be empty: {}", self.server));
        }
        let url = Url::parse(&self.server).map_err(|e| e.to_string())?;
        if url.scheme().is_empty() || url.host().is_empty() {
            return Err(format!("kuma SD server must not be empty and have a scheme: {}", self.server));
        }
        self.http.settle()
    }
}

impl Check for MarathonSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.servers.is_empty() {
            return Err("marathon_sd: must contain at least one Marathon server".to_owned());
        }
        let (token, file) = (!self.auth_token.is_empty(), !self.auth_token_file.is_empty());
        if token && file {
            return Err(
                "marathon_sd: at most one of auth_token & auth_token_file must be configured".to_owned()
            );
        }
        let http = &self.http;
        let others = match () {
            () if !token && !file => None,
            () if http.basic_auth.is_some() => Some("basic_auth, auth_token & auth_token_file"),
            () if !http.bearer_token.is_empty() || !http.bearer_token_file.is_empty() => {
                Some("bearer_token, bearer_token_file, auth_token & auth_token_file")
            }
            () if http.authorization.is_some() => Some("auth_token, auth_token_file & authorization"),
            () => None,
        };
        match others {
            Some(names) => Err(format!("marathon_sd: at most one of {names} must be configured")),
            None => self.http.settle(),
        }
    }
}
