//! Discovery in clouds, O to T. Flat tables of fields; defaults and rules are those of Prometheus 3.14.

use narthex_model::quote_go;

use crate::codec::Entry;
use crate::decode::Check;
use crate::section::section;
use crate::{HttpClientConfig, Secret, TlsConfig};

section! {
    /// Oracle cloud instances.
    pub struct OciSdConfig("oci.plain") {
        /// `api_key` or `instance_principal`.
        auth: String = "api_key".to_owned() => "auth" omit Text,
        /// The tenancy.
        tenancy: String = String::new() => "tenancy" omit Text,
        /// The user.
        user: String = String::new() => "user" omit Text,
        /// The key's fingerprint.
        fingerprint: String = String::new() => "fingerprint" omit Text,
        /// The private key's file.
        key_file: String = String::new() => "key_file" omit FilePath,
        /// The key's passphrase.
        key_passphrase: Secret = Secret::default() => "key_passphrase" omit Hidden,
        /// A file that holds it.
        key_passphrase_file: String = String::new() => "key_passphrase_file" omit FilePath,
        /// The region.
        region: String = String::new() => "region" show Text,
        /// The compartments; empty: the tenancy.
        compartments: Vec<String> = Vec::new() => "compartments" omit List<Text>,
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
        /// The port of targets that name none.
        port: i64 = 80 => "port" show Int,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" show Duration,
    }
}

impl Entry for OciSdConfig {
    const LIST_TYPE: &'static str = "[]*oci.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in oci_sd_configs";
}

section! {
    /// OpenStack instances, hypervisors or load balancers.
    pub struct OpenstackSdConfig("openstack.plain") {
        /// The identity API.
        identity_endpoint: String = String::new() => "identity_endpoint" show Text,
        /// The user name.
        username: String = String::new() => "username" show Text,
        /// The user's id.
        userid: String = String::new() => "userid" show Text,
        /// The password.
        password: Secret = Secret::default() => "password" show Hidden,
        /// The project's name.
        project_name: String = String::new() => "project_name" show Text,
        /// The project's id.
        project_id: String = String::new() => "project_id" show Text,
        /// The domain's name.
        domain_name: String = String::new() => "domain_name" show Text,
        /// The domain's id.
        domain_id: String = String::new() => "domain_id" show Text,
        /// The application credential's name.
        application_credential_name: String = String::new() => "application_credential_name" show Text,
        /// The application credential's id.
        application_credential_id: String = String::new() => "application_credential_id" show Text,
        /// The application credential's secret.
        application_credential_secret: Secret = Secret::default() => "application_credential_secret" show Hidden,
        /// What is discovered.
        role: String = String::new() => "role" show OpenstackRole,
        /// The region.
        region: String = String::new() => "region" show Text,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" show Duration,
        /// The port of targets that name none.
        port: i64 = 80 => "port" show Int,
        /// Whether all tenants are listed.
        all_tenants: bool = false => "all_tenants" omit Flag,
        /// TLS of the connection.
        tls: TlsConfig = TlsConfig::default() => "tls_config" omit Object<TlsConfig>,
        /// Which endpoint to use: `public`, `internal` or `admin`.
        availability: String = "public".to_owned() => "availability" omit Text,
    }
}

impl Entry for OpenstackSdConfig {
    const LIST_TYPE: &'static str = "[]*openstack.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in openstack_sd_configs";
}

section! {
    /// Outscale machines.
    pub struct OutscaleSdConfig("outscale.plain") {
        /// The API to ask instead of the default one.
        endpoint: String = String::new() => "endpoint" omit Text,
        /// The region.
        region: String = "eu-west-2".to_owned() => "region" show Text,
        /// The key id.
        access_key: String = String::new() => "access_key" show Text,
        /// The key.
        secret_key: Secret = Secret::default() => "secret_key" show Hidden,
        /// A file that holds the key.
        secret_key_file: String = String::new() => "secret_key_file" show FilePath,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" omit Duration,
        /// The port of targets that name none.
        port: i64 = 80 => "port" show Int,
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
    }
}

impl Entry for OutscaleSdConfig {
    const LIST_TYPE: &'static str = "[]*outscale.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in outscale_sd_configs";
}

section! {
    /// OVHcloud servers.
    pub struct OvhcloudSdConfig("ovhcloud.plain") {
        /// The API to ask instead of the default one.
        endpoint: String = "ovh-eu".to_owned() => "endpoint" show Text,
        /// The application's key.
        application_key: String = String::new() => "application_key" show Text,
        /// The application's secret.
        application_secret: Secret = Secret::default() => "application_secret" show Hidden,
        /// The consumer's key.
        consumer_key: Secret = Secret::default() => "consumer_key" show Hidden,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" show Duration,
        /// `vps` or `dedicated_server`.
        service: String = String::new() => "service" show Text,
    }
}

impl Entry for OvhcloudSdConfig {
    const LIST_TYPE: &'static str = "[]*ovhcloud.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in ovhcloud_sd_configs";
}

section! {
    /// Scaleway servers.
    pub struct ScalewaySdConfig("scaleway.plain") {
        /// The project's id.
        project_id: String = String::new() => "project_id" show Text,
        /// The API.
        api_url: String = "https://api.scaleway.com".to_owned() => "api_url" omit Text,
        /// The zone.
        zone: String = "fr-par-1".to_owned() => "zone" show Text,
        /// The key id.
        access_key: String = String::new() => "access_key" show Text,
        /// The key.
        secret_key: Secret = Secret::default() => "secret_key" show Hidden,
        /// A file that holds the key.
        secret_key_file: String = String::new() => "secret_key_file" show FilePath,
        /// Only servers with this in their name.
        name_filter: String = String::new() => "name_filter" omit Text,
        /// Only servers with these tags.
        tags_filter: Vec<String> = Vec::new() => "tags_filter" omit List<Text>,
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" show Duration,
        /// The port of targets that name none.
        port: i64 = 80 => "port" show Int,
        /// What is discovered.
        role: String = String::new() => "role" show ScalewayRole,
    }
}

impl Entry for ScalewaySdConfig {
    const LIST_TYPE: &'static str = "[]*scaleway.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in scaleway_sd_configs";
}

section! {
    /// STACKIT servers.
    pub struct StackitSdConfig("stackit.plain") {
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
        /// The project.
        project: String = String::new() => "project" show Text,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" omit Duration,
        /// The port of targets that name none.
        port: i64 = 80 => "port" omit Int,
        /// The region.
        region: String = "eu01".to_owned() => "region" omit Text,
        /// The API to ask instead of the default one.
        endpoint: String = String::new() => "endpoint" omit Text,
        /// The service account's key.
        service_account_key: Secret = Secret::default() => "service_account_key" omit Hidden,
        /// The private key.
        private_key: Secret = Secret::default() => "private_key" omit Hidden,
        /// A file that holds it.
        service_account_key_path: String = String::new() => "service_account_key_path" omit Text,
        /// A file that holds it.
        private_key_path: String = String::new() => "private_key_path" omit Text,
        /// A file with credentials.
        credentials_file_path: String = String::new() => "credentials_file_path" omit Text,
    }
}

impl Entry for StackitSdConfig {
    const LIST_TYPE: &'static str = "[]*stackit.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in stackit_sd_configs";
}

section! {
    /// Triton containers or compute nodes.
    pub struct TritonSdConfig("triton.plain") {
        /// The account.
        account: String = String::new() => "account" show Text,
        /// What is discovered.
        role: String = "container".to_owned() => "role" show Text,
        /// The suffix of target names.
        dns_suffix: String = String::new() => "dns_suffix" show Text,
        /// The API to ask instead of the default one.
        endpoint: String = String::new() => "endpoint" show Text,
        /// The groups; empty: all.
        groups: Vec<String> = Vec::new() => "groups" omit List<Text>,
        /// The port of targets that name none.
        port: i64 = 9163 => "port" show Int,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" omit Duration,
        /// TLS of the connection.
        tls: TlsConfig = TlsConfig::default() => "tls_config" omit Object<TlsConfig>,
        /// The API version.
        version: i64 = 1 => "version" show Int,
    }
}

impl Entry for TritonSdConfig {
    const LIST_TYPE: &'static str = "[]*triton.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in triton_sd_configs";
}

impl Check for OciSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.region.is_empty() {
            return Err("oci_sd: region is required".to_owned());
        }
        self.verify_auth()?;
        if let Some(i) = self.compartments.iter().position(String::is_empty) {
            return Err(format!("oci_sd: compartments[{i}] must not be empty"));
        }
        if self.refresh_interval_ms <= 0 {
            let shown = narthex_model::format_duration_ms(self.refresh_interval_ms);
            return Err(format!("oci_sd: refresh_interval must be positive, got {shown}"));
        }
        self.http.settle()
    }
}

impl OciSdConfig {
    fn verify_auth(&self) -> Result<(), String> {
        let key = [
            (&self.tenancy, "tenancy"),
            (&self.user, "user"),
            (&self.fingerprint, "fingerprint"),
            (&self.key_file, "key_file"),
        ];
        let has_passphrase = !self.key_passphrase.is_empty();
        let has_file = !self.key_passphrase_file.is_empty();
        match self.auth.as_str() {
            "api_key" => {
                if let Some((_, name)) = key.iter().find(|(value, _)| value.is_empty()) {
                    return Err(format!("oci_sd: api_key auth requires {name}"));
                }
                if has_passphrase && has_file {
                    return Err(
                        "oci_sd: at most one of key_passphrase and key_passphrase_file must be configured"
                            .to_owned(),
                    );
                }
                Ok(())
            }
            "instance_principal"
                if has_passphrase || has_file || key.iter().any(|(value, _)| !value.is_empty()) =>
            {
                let names = "tenancy, user, fingerprint, key_file, key_passphrase, or key_passphrase_file";
                Err(format!("oci_sd: instance_principal auth must not have {names} set"))
            }
            "instance_principal" => Ok(()),
            other => {
                let known = "expected \"api_key\" or \"instance_principal\"";
                Err(format!("oci_sd: unknown auth method {}, {known}", quote_go(other)))
            }
        }
    }
}

impl Check for OpenstackSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if !matches!(self.availability.as_str(), "public" | "internal" | "admin") {
            let found = &self.availability;
            return Err(format!("unknown availability {found}, must be one of admin, internal or public"));
        }
        if self.role.is_empty() {
            return Err("role missing (one of: instance, hypervisor, loadbalancer)".to_owned());
        }
        if self.region.is_empty() {
            return Err("openstack SD configuration requires a region".to_owned());
        }
        Ok(())
    }
}

/// Exactly one of a key and its file.
fn one_secret_key(key: &Secret, file: &str) -> Result<(), String> {
    match (key.is_empty(), file.is_empty()) {
        (true, true) => Err("one of secret_key & secret_key_file must be configured".to_owned()),
        (false, false) => Err("at most one of secret_key & secret_key_file must be configured".to_owned()),
        _ => Ok(()),
    }
}

impl Check for OutscaleSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.region.is_empty() {
            return Err("outscale SD configuration requires a region".to_owned());
        }
        if self.access_key.is_empty() {
            return Err("outscale SD configuration requires access_key".to_owned());
        }
        one_secret_key(&self.secret_key, &self.secret_key_file)?;
        if self.endpoint.is_empty() {
            self.endpoint = format!("https://api.{}.outscale.com/api/v1", self.region);
        }
        self.http.settle()
    }
}

impl Check for OvhcloudSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        let required = [
            (self.endpoint.is_empty(), "endpoint"),
            (self.application_key.is_empty(), "application key"),
            (self.application_secret.is_empty(), "application secret"),
            (self.consumer_key.is_empty(), "consumer key"),
        ];
        if let Some((_, name)) = required.iter().find(|(empty, _)| *empty) {
            return Err(format!("{name} can not be empty"));
        }
        match self.service.as_str() {
            "dedicated_server" | "vps" => Ok(()),
            other => Err(format!("unknown service: {other}")),
        }
    }
}

impl Check for ScalewaySdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.role.is_empty() {
            return Err("role missing (one of: instance, baremetal)".to_owned());
        }
        if self.project_id.is_empty() {
            return Err("project_id is mandatory".to_owned());
        }
        one_secret_key(&self.secret_key, &self.secret_key_file)?;
        if self.access_key.is_empty() {
            return Err("access_key is mandatory".to_owned());
        }
        self.http.settle()
    }
}

impl Check for StackitSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.endpoint.is_empty() && self.region.is_empty() {
            return Err("stackit_sd: endpoint and region missing".to_owned());
        }
        if let Err(e) = crate::Url::parse(&self.endpoint) {
            return Err(format!("stackit_sd: invalid endpoint {}: {e}", quote_go(&self.endpoint)));
        }
        self.http.settle()
    }
}

impl Check for TritonSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if !matches!(self.role.as_str(), "container" | "cn") {
            return Err("triton SD configuration requires role to be 'container' or 'cn'".to_owned());
        }
        let required = [
            (&self.account, "an account"),
            (&self.dns_suffix, "a dns_suffix"),
            (&self.endpoint, "an endpoint"),
        ];
        if let Some((_, name)) = required.iter().find(|(value, _)| value.is_empty()) {
            return Err(format!("triton SD configuration requires {name}"));
        }
        if self.refresh_interval_ms <= 0 {
            return Err(
                "triton SD configuration requires RefreshInterval to be a positive integer".to_owned()
            );
        }
        Ok(())
    }
}
