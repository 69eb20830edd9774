//! Discovery in registries, N to U. Flat tables of fields; defaults and rules are those of Prometheus 3.14.

use super::check_http_url;
use crate::codec::Entry;
use crate::decode::Check;
use crate::section::section;
use crate::{HttpClientConfig, Secret};

section! {
    /// Nerve's registry in Zookeeper.
    pub struct NerveSdConfig("zookeeper.plain") {
        /// The servers to ask.
        servers: Vec<String> = Vec::new() => "servers" show List<Text>,
        /// Paths of the registry.
        paths: Vec<String> = Vec::new() => "paths" show List<Text>,
        /// The session's timeout.
        timeout_ms: i64 = 10_000 => "timeout" omit Duration,
    }
}

impl Entry for NerveSdConfig {
    const LIST_TYPE: &'static str = "[]*zookeeper.NerveSDConfig";
    const NULL_TEXT: &'static str = "empty or null section in nerve_sd_configs";
}

section! {
    /// Services of Nomad.
    pub struct NomadSdConfig("nomad.plain") {
        /// Whether stale answers will do.
        allow_stale: bool = true => "allow_stale" show Flag,
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
        /// The namespace.
        namespace: String = "default".to_owned() => "namespace" show Text,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" show Duration,
        /// The region.
        region: String = "global".to_owned() => "region" show Text,
        /// The server to ask.
        server: String = "http://localhost:4646".to_owned() => "server" show Text,
        /// Joins the tags of a target.
        tag_separator: String = ",".to_owned() => "tag_separator" omit Text,
    }
}

impl Entry for NomadSdConfig {
    const LIST_TYPE: &'static str = "[]*nomad.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in nomad_sd_configs";
}

section! {
    /// Resources of PuppetDB.
    pub struct PuppetdbSdConfig("puppetdb.plain") {
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" omit Duration,
        /// Where to ask.
        url: String = String::new() => "url" show Text,
        /// The query in PQL.
        query: String = String::new() => "query" show Text,
        /// Whether parameters become labels.
        include_parameters: bool = false => "include_parameters" show Flag,
        /// The port of targets that name none.
        port: i64 = 80 => "port" show Int,
    }
}

impl Entry for PuppetdbSdConfig {
    const LIST_TYPE: &'static str = "[]*puppetdb.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in puppetdb_sd_configs";
}

section! {
    /// Serversets in Zookeeper.
    pub struct ServersetSdConfig("zookeeper.plain") {
        /// The servers to ask.
        servers: Vec<String> = Vec::new() => "servers" show List<Text>,
        /// Paths of the registry.
        paths: Vec<String> = Vec::new() => "paths" show List<Text>,
        /// The session's timeout.
        timeout_ms: i64 = 10_000 => "timeout" omit Duration,
    }
}

impl Entry for ServersetSdConfig {
    const LIST_TYPE: &'static str = "[]*zookeeper.ServersetSDConfig";
    const NULL_TEXT: &'static str = "empty or null section in serverset_sd_configs";
}

section! {
    /// Systems of Uyuni.
    pub struct UyuniSdConfig("uyuni.plain") {
        /// The server to ask.
        server: String = String::new() => "server" show Text,
        /// The user name.
        username: String = String::new() => "username" show Text,
        /// The password.
        password: Secret = Secret::default() => "password" show Hidden,
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
        /// The entitlement that a system must have.
        entitlement: String = "monitoring_entitled".to_owned() => "entitlement" omit Text,
        /// Joins several values.
        separator: String = ",".to_owned() => "separator" omit Text,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" omit Duration,
    }
}

impl Entry for UyuniSdConfig {
    const LIST_TYPE: &'static str = "[]*uyuni.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in uyuni_sd_configs";
}

/// Both Zookeeper registries have the same rules under their own names.
fn check_zookeeper(kind: &str, servers: &[String], paths: &[String]) -> Result<(), String> {
    if servers.is_empty() {
        return Err(format!("{kind} SD config must contain at least one Zookeeper server"));
    }
    if paths.is_empty() {
        return Err(format!("{kind} SD config must contain at least one path"));
    }
    match paths.iter().find(|path| !path.starts_with('/')) {
        Some(path) => Err(format!("{kind} SD config paths must begin with '/': {path}")),
        None => Ok(()),
    }
}

impl Check for NerveSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        check_zookeeper("nerve", &self.servers, &self.paths)
    }
}

impl Check for ServersetSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        check_zookeeper("serverset", &self.servers, &self.paths)
    }
}

impl Check for NomadSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.server.trim().is_empty() {
            return Err("nomad SD configuration requires a server address".to_owned());
        }
        self.http.settle()
    }
}

impl Check for PuppetdbSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        check_http_url(&self.url)?;
        if self.query.is_empty() {
            return Err("query missing".to_owned());
        }
        self.http.settle()
    }
}

impl Check for UyuniSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.server.is_empty() {
            return Err("Uyuni SD configuration requires server host".to_owned());
        }
        crate::Url::parse(&self.server).map_err(|e| format!("Uyuni Server URL is not valid: {e}"))?;
        if self.username.is_empty() {
            return Err("Uyuni SD configuration requires a username".to_owned());
        }
        if self.password.is_empty() {
            return Err("Uyuni SD configuration requires a password".to_owned());
        }
        self.http.settle()
    }
}
