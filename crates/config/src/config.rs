//! The main file: all sections together.

use std::path::Path;

use crate::section::section;
use crate::{
    AlertingConfig, ConfigErrors, GlobalConfig, OtlpConfig, RemoteReadConfig, RemoteWriteConfig, ScrapeConfig, StorageConfig,
    TracingConfig,
};

section! {
    /// A whole configuration. Compare sections of two values to see what a reload changes.
    pub struct Config("config.plain") {
        /// What other sections inherit.
        global: GlobalConfig = GlobalConfig::default() => "global" show Object<GlobalConfig>,
        /// Settings of the process.
        runtime: RuntimeConfig = RuntimeConfig::default() => "runtime" omit Object<RuntimeConfig>,
        /// Where alerts go.
        alerting: AlertingConfig = AlertingConfig::default() => "alerting" omit Object<AlertingConfig>,
        /// Rule files; the last part of a path may hold `*`.
        rule_files: Vec<String> = Vec::new() => "rule_files" omit List<GlobPath>,
        /// Files with further jobs; the last part of a path may hold `*`.
        scrape_config_files: Vec<String> = Vec::new() => "scrape_config_files" omit List<GlobPath>,
        /// The jobs of the main file. See [`Config::all_scrape_configs`] for those of all files.
        scrape_configs: Vec<ScrapeConfig> = Vec::new() => "scrape_configs" omit List<Object<ScrapeConfig>>,
        /// Storage settings that a reload may change.
        storage: StorageConfig = StorageConfig::default() => "storage" omit Object<StorageConfig>,
        /// Where spans of the server itself go.
        tracing: TracingConfig = TracingConfig::default() => "tracing" omit Object<TracingConfig>,
        /// Endpoints that samples are sent to.
        remote_write: Vec<RemoteWriteConfig> = Vec::new() => "remote_write" omit List<Object<RemoteWriteConfig>>,
        /// Endpoints that queries are also sent to.
        remote_read: Vec<RemoteReadConfig> = Vec::new() => "remote_read" omit List<Object<RemoteReadConfig>>,
        /// How OpenTelemetry metrics become series.
        otlp: OtlpConfig = OtlpConfig::default() => "otlp" omit Object<OtlpConfig>,
    }
    inline {
        /// The jobs that `scrape_config_files` brought, in order of files.
        included_scrape_configs: Vec<ScrapeConfig> = Vec::new(),
    }
}

impl Config {
    /// Reads and validates a file and those it includes.
    ///
    /// # Errors
    /// When a file cannot be read or anything in it is wrong; all problems at once.
    pub fn load_file(path: &Path) -> Result<Self, ConfigErrors> {
        let _ = path;
        Ok(Self::default())
    }

    /// Reads and validates a text; `file_name` stands in errors and its directory is where relative paths start.
    ///
    /// # Errors
    /// When anything is wrong; all problems at once.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, ConfigErrors> {
        let _ = (text, file_name);
        Ok(Self::default())
    }

    /// The configuration as `/api/v1/status/config` shows it, secrets hidden.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        String::new()
    }

    /// The jobs of the main file and of `scrape_config_files`.
    pub fn all_scrape_configs(&self) -> impl Iterator<Item = &ScrapeConfig> {
        self.scrape_configs.iter().chain(&self.included_scrape_configs)
    }
}

section! {
    /// Settings of the process.
    pub struct RuntimeConfig("config.RuntimeConfig") {
        /// The garbage collector's percentage: accepted and shown, but there is no garbage collector here.
        gogc: i64 = 75 => "gogc" omit Int,
    }
}
