//! One entry of `scrape_configs`: a job.

use std::collections::BTreeMap;

use narthex_model::NameValidation;
use narthex_relabel::RelabelConfig;

use crate::section::section;
use crate::{HttpClientConfig, ScrapeProtocol, SdConfigs};

section! {
    /// A job. After loading, everything it inherits from `global` is filled in.
    pub struct ScrapeConfig("config.ScrapeConfig") {
        /// The job's name, unique and never empty.
        job_name: String = String::new() => "job_name" show Text,
        /// Whether labels of the target win over ours.
        honor_labels: bool = false => "honor_labels" omit Flag,
        /// Whether timestamps of the target are used.
        honor_timestamps: bool = true => "honor_timestamps" show Flag,
        /// Whether series with timestamps of their own get staleness markers.
        track_timestamps_staleness: bool = false => "track_timestamps_staleness" show Flag,
        /// URL parameters.
        params: BTreeMap<String, Vec<String>> = BTreeMap::new() => "params" omit ListMap,
        /// How often targets are scraped; above 0.
        scrape_interval_ms: i64 = 0 => "scrape_interval" omit Duration,
        /// How long a scrape may take; at most the interval.
        scrape_timeout_ms: i64 = 0 => "scrape_timeout" omit Duration,
        /// The protocols to ask for, most wanted first; never empty.
        scrape_protocols: Vec<ScrapeProtocol> = Vec::new() => "scrape_protocols" omit Protocols,
        /// The protocol of an answer whose content type says nothing we know.
        fallback_scrape_protocol: Option<ScrapeProtocol> = None => "fallback_scrape_protocol" omit FallbackProtocol,
        /// Whether native histograms are scraped; `Some` after loading.
        scrape_native_histograms: Option<bool> = None => "scrape_native_histograms" omit MaybeFlag,
        /// Whether a classic histogram is kept beside its native form; `Some` after loading.
        always_scrape_classic_histograms: Option<bool> = None => "always_scrape_classic_histograms" omit MaybeFlag,
        /// Whether classic histograms become native ones with custom buckets; `Some` after loading.
        convert_classic_histograms_to_nhcb: Option<bool> = None => "convert_classic_histograms_to_nhcb" omit MaybeFlag,
        /// Where failed scrapes are logged; empty: nowhere.
        scrape_failure_log_file: String = String::new() => "scrape_failure_log_file" omit FilePath,
        /// The path to scrape.
        metrics_path: String = "/metrics".to_owned() => "metrics_path" omit Text,
        /// `http` or `https`.
        scheme: String = "http".to_owned() => "scheme" omit Text,
        /// Whether to ask for a compressed body.
        enable_compression: bool = true => "enable_compression" show Flag,
        /// The largest uncompressed body, in bytes; 0: no limit.
        body_size_limit_bytes: i64 = 0 => "body_size_limit" omit Size,
        /// The most samples of one scrape after metric relabeling; 0: no limit.
        sample_limit: u64 = 0 => "sample_limit" omit Uint,
        /// The most targets after relabeling; 0: no limit. Above it every scrape of the job fails.
        target_limit: u64 = 0 => "target_limit" omit Uint,
        /// The most labels of a sample; 0: no limit.
        label_limit: u64 = 0 => "label_limit" omit Uint,
        /// The longest label name in bytes; 0: no limit.
        label_name_length_limit: u64 = 0 => "label_name_length_limit" omit Uint,
        /// The longest label value in bytes; 0: no limit.
        label_value_length_limit: u64 = 0 => "label_value_length_limit" omit Uint,
        /// The most buckets of a native histogram; above it buckets are merged. 0: no limit.
        native_histogram_bucket_limit: u64 = 0 => "native_histogram_bucket_limit" omit Uint,
        /// The least growth from bucket to bucket of a native histogram; below it buckets are merged. 0: no limit.
        native_histogram_min_bucket_factor: f64 = 0.0 => "native_histogram_min_bucket_factor" omit Float,
        /// How many dropped targets are kept for the API; 0: all.
        keep_dropped_targets: u64 = 0 => "keep_dropped_targets" omit Uint,
        /// Which names are accepted; `Some` after loading.
        metric_name_validation_scheme: Option<NameValidation> = None => "metric_name_validation_scheme" omit Validation,
        /// How UTF-8 names are asked for: `allow-utf-8`, `underscores`, `dots` or `values` after loading.
        metric_name_escaping_scheme: String = String::new() => "metric_name_escaping_scheme" omit Text,
        /// Whether the extra automatic series of a scrape are stored; `Some` after loading.
        extra_scrape_metrics: Option<bool> = None => "extra_scrape_metrics" omit MaybeFlag,
        /// Steps over the labels of a discovered target.
        relabel_configs: Vec<RelabelConfig> = Vec::new() => "relabel_configs" omit Relabels,
        /// Steps over the labels of a scraped series.
        metric_relabel_configs: Vec<RelabelConfig> = Vec::new() => "metric_relabel_configs" omit Relabels,
    }
    inline {
        /// The HTTP client of the scrapes.
        http: HttpClientConfig = HttpClientConfig::default(),
        /// Where targets come from.
        sd: SdConfigs = SdConfigs::default(),
    }
}
