//! Discovery in AWS. Flat tables of fields; defaults and rules are those of Prometheus 3.14.

use crate::codec::Entry;
use crate::decode::Check;
use crate::section::section;
use crate::{HttpClientConfig, Secret};

section! {
    /// Several AWS services by role.
    pub struct AwsSdConfig("aws.plain") {
        /// What is discovered.
        role: String = String::new() => "role" show AwsRole,
        /// The region.
        region: String = String::new() => "region" omit Text,
        /// The API to ask instead of the default one.
        endpoint: String = String::new() => "endpoint" omit Text,
        /// The key id.
        access_key: String = String::new() => "access_key" omit Text,
        /// The key.
        secret_key: Secret = Secret::default() => "secret_key" omit Hidden,
        /// A named profile of credentials.
        profile: String = String::new() => "profile" omit Text,
        /// A role to assume.
        role_arn: String = String::new() => "role_arn" omit Text,
        /// The external id of the assumed role.
        external_id: String = String::new() => "external_id" omit Text,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" omit Duration,
        /// The port of targets that name none.
        port: i64 = 0 => "port" omit Int,
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
        /// Filters of the API.
        filters: Vec<SdFilter> = Vec::new() => "filters" omit List<Object<SdFilter>>,
        /// The clusters to look into; empty: all.
        clusters: Vec<String> = Vec::new() => "clusters" omit List<Text>,
    }
}

impl Entry for AwsSdConfig {
    const LIST_TYPE: &'static str = "[]*aws.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in aws_sd_configs";
}

section! {
    /// EC2 instances.
    pub struct Ec2SdConfig("aws.plain") {
        /// The API to ask instead of the default one.
        endpoint: String = String::new() => "endpoint" show Text,
        /// The region.
        region: String = String::new() => "region" show Text,
        /// The key id.
        access_key: String = String::new() => "access_key" omit Text,
        /// The key.
        secret_key: Secret = Secret::default() => "secret_key" omit Hidden,
        /// A named profile of credentials.
        profile: String = String::new() => "profile" omit Text,
        /// A role to assume.
        role_arn: String = String::new() => "role_arn" omit Text,
        /// The external id of the assumed role.
        external_id: String = String::new() => "external_id" omit Text,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" omit Duration,
        /// The port of targets that name none.
        port: i64 = 80 => "port" show Int,
        /// Filters of the API.
        filters: Vec<SdFilter> = Vec::new() => "filters" show List<Object<SdFilter>>,
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
    }
}

impl Entry for Ec2SdConfig {
    const LIST_TYPE: &'static str = "[]*aws.EC2SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in ec2_sd_configs";
}

section! {
    /// ECS tasks.
    pub struct EcsSdConfig("aws.plain") {
        /// The region.
        region: String = String::new() => "region" show Text,
        /// The API to ask instead of the default one.
        endpoint: String = String::new() => "endpoint" show Text,
        /// The key id.
        access_key: String = String::new() => "access_key" omit Text,
        /// The key.
        secret_key: Secret = Secret::default() => "secret_key" omit Hidden,
        /// A named profile of credentials.
        profile: String = String::new() => "profile" omit Text,
        /// A role to assume.
        role_arn: String = String::new() => "role_arn" omit Text,
        /// The external id of the assumed role.
        external_id: String = String::new() => "external_id" omit Text,
        /// The clusters to look into; empty: all.
        clusters: Vec<String> = Vec::new() => "clusters" omit List<Text>,
        /// The port of targets that name none.
        port: i64 = 80 => "port" show Int,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" omit Duration,
        /// The most requests at a time.
        request_concurrency: i64 = 0 => "request_concurrency" omit Int,
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
    }
}

impl Entry for EcsSdConfig {
    const LIST_TYPE: &'static str = "[]*aws.ECSSDConfig";
    const NULL_TEXT: &'static str = "empty or null section in ecs_sd_configs";
}

section! {
    /// Elasticache nodes.
    pub struct ElasticacheSdConfig("aws.plain") {
        /// The region.
        region: String = String::new() => "region" show Text,
        /// The API to ask instead of the default one.
        endpoint: String = String::new() => "endpoint" show Text,
        /// The key id.
        access_key: String = String::new() => "access_key" omit Text,
        /// The key.
        secret_key: Secret = Secret::default() => "secret_key" omit Hidden,
        /// A named profile of credentials.
        profile: String = String::new() => "profile" omit Text,
        /// A role to assume.
        role_arn: String = String::new() => "role_arn" omit Text,
        /// The external id of the assumed role.
        external_id: String = String::new() => "external_id" omit Text,
        /// The clusters to look into; empty: all.
        clusters: Vec<String> = Vec::new() => "clusters" omit List<Text>,
        /// The port of targets that name none.
        port: i64 = 80 => "port" show Int,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" omit Duration,
        /// The most requests at a time.
        request_concurrency: i64 = 10 => "request_concurrency" omit Int,
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
    }
}

impl Entry for ElasticacheSdConfig {
    const LIST_TYPE: &'static str = "[]*aws.ElasticacheSDConfig";
    const NULL_TEXT: &'static str = "empty or null section in elasticache_sd_configs";
}

section! {
    /// Lightsail instances.
    pub struct LightsailSdConfig("aws.plain") {
        /// The API to ask instead of the default one.
        endpoint: String = String::new() => "endpoint" show Text,
        /// The region.
        region: String = String::new() => "region" show Text,
        /// The key id.
        access_key: String = String::new() => "access_key" omit Text,
        /// The key.
        secret_key: Secret = Secret::default() => "secret_key" omit Hidden,
        /// A named profile of credentials.
        profile: String = String::new() => "profile" omit Text,
        /// A role to assume.
        role_arn: String = String::new() => "role_arn" omit Text,
        /// The external id of the assumed role.
        external_id: String = String::new() => "external_id" omit Text,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" omit Duration,
        /// The port of targets that name none.
        port: i64 = 80 => "port" show Int,
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
    }
}

impl Entry for LightsailSdConfig {
    const LIST_TYPE: &'static str = "[]*aws.LightsailSDConfig";
    const NULL_TEXT: &'static str = "empty or null section in lightsail_sd_configs";
}

section! {
    /// MSK brokers.
    pub struct MskSdConfig("aws.plain") {
        /// The region.
        region: String = String::new() => "region" show Text,
        /// The API to ask instead of the default one.
        endpoint: String = String::new() => "endpoint" show Text,
        /// The key id.
        access_key: String = String::new() => "access_key" omit Text,
        /// The key.
        secret_key: Secret = Secret::default() => "secret_key" omit Hidden,
        /// A named profile of credentials.
        profile: String = String::new() => "profile" omit Text,
        /// A role to assume.
        role_arn: String = String::new() => "role_arn" omit Text,
        /// The external id of the assumed role.
        external_id: String = String::new() => "external_id" omit Text,
        /// The clusters to look into; empty: all.
        clusters: Vec<String> = Vec::new() => "clusters" omit List<Text>,
        /// The port of targets that name none.
        port: i64 = 80 => "port" show Int,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" omit Duration,
        /// The most requests at a time.
        request_concurrency: i64 = 10 => "request_concurrency" omit Int,
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
    }
}

impl Entry for MskSdConfig {
    const LIST_TYPE: &'static str = "[]*aws.MSKSDConfig";
    const NULL_TEXT: &'static str = "empty or null section in msk_sd_configs";
}

section! {
    /// RDS instances.
    pub struct RdsSdConfig("aws.plain") {
        /// The region.
        region: String = String::new() => "region" show Text,
        /// The API to ask instead of the default one.
        endpoint: String = String::new() => "endpoint" show Text,
        /// The key id.
        access_key: String = String::new() => "access_key" omit Text,
        /// The key.
        secret_key: Secret = Secret::default() => "secret_key" omit Hidden,
        /// A named profile of credentials.
        profile: String = String::new() => "profile" omit Text,
        /// A role to assume.
        role_arn: String = String::new() => "role_arn" omit Text,
        /// The external id of the assumed role.
        external_id: String = String::new() => "external_id" omit Text,
        /// The clusters to look into; empty: all.
        clusters: Vec<String> = Vec::new() => "clusters" omit List<Text>,
        /// The port of targets that name none.
        port: i64 = 80 => "port" show Int,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" omit Duration,
        /// Filters of the API.
        filters: Vec<SdFilter> = Vec::new() => "filters" show List<Object<SdFilter>>,
        /// The most requests at a time.
        request_concurrency: i64 = 10 => "request_concurrency" omit Int,
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
    }
}

impl Entry for RdsSdConfig {
    const LIST_TYPE: &'static str = "[]*aws.RDSSDConfig";
    const NULL_TEXT: &'static str = "empty or null section in rds_sd_configs";
}

section! {
    /// A filter of an API.
    pub struct SdFilter("aws.Filter") {
        /// The name.
        name: String = String::new() => "name" show Text,
        /// The values, any of which will do.
        values: Vec<String> = Vec::new() => "values" show List<Text>,
    }
}

impl Check for AwsSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.role.is_empty() { Err("unknown AWS SD role \"\"".to_owned()) } else { Ok(()) }
    }
}

impl Check for Ec2SdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.filters.iter().any(|f| f.values.is_empty()) {
            return Err("EC2 SD configuration filter values cannot be empty".to_owned());
        }
        self.http.settle()
    }
}

/// Sections whose only rules are those of their HTTP client.
macro_rules! check_http {
    ($($name:ident),*) => {
        $(impl Check for $name {
            fn verify(&mut self) -> Result<(), String> {
                self.http.settle()
            }
        })*
    };
}
check_http!(EcsSdConfig, ElasticacheSdConfig, LightsailSdConfig, MskSdConfig, RdsSdConfig);

impl Check for SdFilter {}
