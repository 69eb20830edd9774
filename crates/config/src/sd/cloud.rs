//! Discovery in clouds, A to L and V. Flat tables of fields; defaults and rules are those of Prometheus 3.14.

use narthex_model::quote_go;

use crate::codec::Entry;
use crate::decode::Check;
use crate::section::section;
use crate::{HttpClientConfig, Secret};

section! {
    /// Azure virtual machines.
    pub struct AzureSdConfig("azure.plain") {
        /// The Azure environment.
        environment: String = "AzurePublicCloud".to_owned() => "environment" omit Text,
        /// The port of targets that name none.
        port: i64 = 80 => "port" show Int,
        /// The subscription.
        subscription_id: String = String::new() => "subscription_id" show Text,
        /// The tenant.
        tenant_id: String = String::new() => "tenant_id" omit Text,
        /// The client id.
        client_id: String = String::new() => "client_id" omit Text,
        /// The client secret.
        client_secret: Secret = Secret::default() => "client_secret" omit Hidden,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 300_000 => "refresh_interval" omit Duration,
        /// `OAuth`, `ManagedIdentity`, `SDK` or `WorkloadIdentity`.
        authentication_method: String = "OAuth".to_owned() => "authentication_method" omit Text,
        /// Only this resource group; empty: all.
        resource_group: String = String::new() => "resource_group" omit Text,
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
    }
}

impl Entry for AzureSdConfig {
    const LIST_TYPE: &'static str = "[]*azure.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in azure_sd_configs";
}

section! {
    /// DigitalOcean droplets or databases.
    pub struct DigitalOceanSdConfig("digitalocean.plain") {
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" show Duration,
        /// The port of targets that name none.
        port: i64 = 80 => "port" show Int,
        /// What is discovered.
        role: String = "droplets".to_owned() => "role" show DigitalOceanRole,
    }
}

impl Entry for DigitalOceanSdConfig {
    const LIST_TYPE: &'static str = "[]*digitalocean.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in digitalocean_sd_configs";
}

section! {
    /// Google Compute Engine instances.
    pub struct GceSdConfig("gce.plain") {
        /// The project.
        project: String = String::new() => "project" show Text,
        /// The zone.
        zone: String = String::new() => "zone" show Text,
        /// A filter in the API's language.
        filter: String = String::new() => "filter" omit Text,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" omit Duration,
        /// The port of targets that name none.
        port: i64 = 80 => "port" show Int,
        /// Joins the tags of a target.
        tag_separator: String = ",".to_owned() => "tag_separator" omit Text,
    }
}

impl Entry for GceSdConfig {
    const LIST_TYPE: &'static str = "[]*gce.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in gce_sd_configs";
}

section! {
    /// Hetzner servers.
    pub struct HetznerSdConfig("hetzner.plain") {
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" show Duration,
        /// The port of targets that name none.
        port: i64 = 80 => "port" show Int,
        /// What is discovered.
        role: String = String::new() => "role" show HetznerRole,
        /// Labels that a server must have.
        label_selector: String = String::new() => "label_selector" omit Text,
    }
}

impl Entry for HetznerSdConfig {
    const LIST_TYPE: &'static str = "[]*hetzner.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in hetzner_sd_configs";
}

section! {
    /// IONOS servers.
    pub struct IonosSdConfig("ionos.plain") {
        /// The data center.
        datacenter_id: String = String::new() => "datacenter_id" show Text,
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" show Duration,
        /// The port of targets that name none.
        port: i64 = 80 => "port" show Int,
    }
}

impl Entry for IonosSdConfig {
    const LIST_TYPE: &'static str = "[]*ionos.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in ionos_sd_configs";
}

section! {
    /// Linode instances.
    pub struct LinodeSdConfig("linode.plain") {
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" show Duration,
        /// The port of targets that name none.
        port: i64 = 80 => "port" show Int,
        /// Joins the tags of a target.
        tag_separator: String = ",".to_owned() => "tag_separator" omit Text,
        /// The region.
        region: String = String::new() => "region" omit Text,
    }
}

impl Entry for LinodeSdConfig {
    const LIST_TYPE: &'static str = "[]*linode.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in linode_sd_configs";
}

section! {
    /// Vultr instances.
    pub struct VultrSdConfig("vultr.plain") {
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" show Duration,
        /// The port of targets that name none.
        port: i64 = 80 => "port" show Int,
    }
}

impl Entry for VultrSdConfig {
    const LIST_TYPE: &'static str = "[]*vultr.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in vultr_sd_configs";
}

impl Check for AzureSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        let required = |value: &str, name: &str| match value {
            "" => Err(format!("azure SD configuration requires a {name}")),
            _ => Ok(()),
        };
        required(&self.subscription_id, "subscription_id")?;
        match self.authentication_method.as_str() {
            "OAuth" => {
                required(&self.tenant_id, "tenant_id")?;
                required(&self.client_id, "client_id")?;
                required(self.client_secret.expose(), "client_secret")?;
            }
            "ManagedIdentity" | "SDK" | "WorkloadIdentity" => {}
            other => {
                let known =
                    "Supported types are \"OAuth\", \"ManagedIdentity\", \"SDK\" or \"WorkloadIdentity\"";
                return Err(format!("unknown authentication_type {}. {known}", quote_go(other)));
            }
        }
        self.http.settle()
    }
}

impl Check for DigitalOceanSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.role.is_empty() {
            return Err("role missing (one of: droplets, databases)".to_owned());
        }
        self.http.settle()
    }
}

impl Check for GceSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.project.is_empty() {
            return Err("GCE SD configuration requires a project".to_owned());
        }
        if self.zone.is_empty() {
            return Err("GCE SD configuration requires a zone".to_owned());
        }
        Ok(())
    }
}

impl Check for HetznerSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.role.is_empty() {
            return Err("role missing (one of: robot, hcloud)".to_owned());
        }
        self.http.settle()
    }
}

impl Check for IonosSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.datacenter_id.is_empty() {
            return Err("datacenter id can't be empty".to_owned());
        }
        self.http.settle()
    }
}

impl Check for LinodeSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        self.http.settle()
    }
}

impl Check for VultrSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        self.http.settle()
    }
}
