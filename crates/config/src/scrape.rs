//! One entry of `scrape_configs`: a job.

use std::collections::BTreeMap;

use narthex_model::{EscapingScheme, NameValidation, quote_go};
use narthex_relabel::RelabelConfig;

use crate::codec::{Codec as _, Entry, Object, check_addresses};
use crate::decode::{Check, Decoder};
use crate::protocol_rules::{check_fallback, check_protocols};
use crate::section::section;
use crate::yaml::{NodeRef, write};
use crate::{GlobalConfig, HttpClientConfig, ScrapeProtocol, SdConfigs};

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
        fallback_scrape_protocol: Option<ScrapeProtocol> = None => "fallback_scrape_protocol" omit ProtocolWord,
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
        /// The HTTP client of the scrapes.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
        /// Steps over the labels of a discovered target.
        relabel_configs: Vec<RelabelConfig> = Vec::new() => "relabel_configs" omit Relabels,
        /// Steps over the labels of a scraped series.
        metric_relabel_configs: Vec<RelabelConfig> = Vec::new() => "metric_relabel_configs" omit Relabels,
        /// Where targets come from.
        sd: SdConfigs = SdConfigs::default() => "" inline SdConfigs,
    }
}

impl Entry for ScrapeConfig {
    const LIST_TYPE: &'static str = "[]*config.ScrapeConfig";
    const NULL_TEXT: &'static str = "empty or null scrape config section";
}

impl Check for ScrapeConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.job_name.is_empty() {
            return Err("job_name is empty".to_owned());
        }
        self.http.settle()?;
        if self.relabel_configs.is_empty() { check_addresses(&self.sd.static_configs) } else { Ok(()) }
    }

    fn check(&mut self, at: NodeRef<'_>, d: &mut Decoder) {
        if let Err(text) = self.verify() {
            d.rule(at.mark(), text);
        }
        d.refuse_nulls(at.get("relabel_configs"), "empty or null target relabeling rule in scrape config");
        d.refuse_nulls(
            at.get("metric_relabel_configs"),
            "empty or null metric relabeling rule in scrape config",
        );
        check_protocols(at, d, |text| {
            format!("{text} for scrape config with job name {}", quote_go(&self.job_name))
        });
        check_fallback(at, d, &self.job_name);
    }
}

impl ScrapeConfig {
    /// Takes over what `global` says and this job does not, and checks what depends on both.
    pub(crate) fn inherit(&mut self, global: &GlobalConfig, at: NodeRef<'_>, d: &mut Decoder) {
        self.inherit_times(global, at, d);
        self.inherit_limits(global);
        self.inherit_histograms(global);
        let before = d.problem_count();
        if let Err(text) = self.inherit_names(global) {
            d.rule(at.mark_of("metric_name_escaping_scheme"), text);
        }
        if d.problem_count() == before {
            let scheme = self.metric_name_validation_scheme.unwrap_or_default();
            check_relabels(&mut self.relabel_configs, scheme, at.get("relabel_configs"), d);
            check_relabels(&mut self.metric_relabel_configs, scheme, at.get("metric_relabel_configs"), d);
        }
    }

    fn inherit_times(&mut self, global: &GlobalConfig, at: NodeRef<'_>, d: &mut Decoder) {
        if self.scrape_interval_ms == 0 {
            self.scrape_interval_ms = global.scrape_interval_ms;
        }
        if self.scrape_timeout_ms > self.scrape_interval_ms {
            let job = quote_go(&self.job_name);
            let text =
                format!("scrape timeout greater than scrape interval for scrape config with job name {job}");
            d.rule(at.mark_of("scrape_timeout"), text);
        }
        if self.scrape_timeout_ms == 0 {
            self.scrape_timeout_ms = global.scrape_timeout_ms.min(self.scrape_interval_ms);
        }
    }

    fn inherit_limits(&mut self, global: &GlobalConfig) {
        let or_global = |own: &mut u64, global: u64| {
            if *own == 0 {
                *own = global;
            }
        };
        if self.body_size_limit_bytes == 0 {
            self.body_size_limit_bytes = global.body_size_limit_bytes;
        }
        or_global(&mut self.sample_limit, global.sample_limit);
        or_global(&mut self.target_limit, global.target_limit);
        or_global(&mut self.label_limit, global.label_limit);
        or_global(&mut self.label_name_length_limit, global.label_name_length_limit);
        or_global(&mut self.label_value_length_limit, global.label_value_length_limit);
        or_global(&mut self.keep_dropped_targets, global.keep_dropped_targets);
        if self.scrape_failure_log_file.is_empty() {
            self.scrape_failure_log_file.clone_from(&global.scrape_failure_log_file);
        }
    }

    fn inherit_histograms(&mut self, global: &GlobalConfig) {
        self.scrape_native_histograms = self.scrape_native_histograms.or(global.scrape_native_histograms);
        self.extra_scrape_metrics = self.extra_scrape_metrics.or(global.extra_scrape_metrics);
        self.convert_classic_histograms_to_nhcb.get_or_insert(global.convert_classic_histograms_to_nhcb);
        self.always_scrape_classic_histograms.get_or_insert(global.always_scrape_classic_histograms);
        if self.scrape_protocols.is_empty() {
            // Only protobuf carries native histograms, so asking for them puts it first unless `global` chose.
            self.scrape_protocols = match (global.scrape_protocols.as_slice(), self.scrape_native_histograms)
            {
                ([], Some(true)) => ScrapeProtocol::PROTO_FIRST.to_vec(),
                ([], _) => ScrapeProtocol::DEFAULT.to_vec(),
                (chosen, _) => chosen.to_vec(),
            };
        }
    }

    /// The escaping follows the validation where it is not set: of the job when that is, else of `global`.
    fn inherit_names(&mut self, global: &GlobalConfig) -> Result<(), String> {
        let global_validation = global.metric_name_validation_scheme.unwrap_or_default();
        let global_escaping = match global.metric_name_escaping_scheme.as_str() {
            "" => escaping_for(global_validation),
            word => match ESCAPINGS.into_iter().find(|known| *known == word) {
                Some(known) => known,
                None => return Err(unknown_escaping("global", word)),
            },
        };
        let own_validation = self.metric_name_validation_scheme;
        let validation = *self.metric_name_validation_scheme.get_or_insert(global_validation);
        if self.metric_name_escaping_scheme.is_empty() {
            let inferred = own_validation.map_or(global_escaping, escaping_for);
            inferred.clone_into(&mut self.metric_name_escaping_scheme);
        }
        match self.metric_name_escaping_scheme.as_str() {
            "allow-utf-8" if validation != NameValidation::Utf8 => {
                Err("utf8 metric names requested but validation scheme is not set to UTF8".to_owned())
            }
            word if ESCAPINGS.contains(&word) => Ok(()),
            word => Err(unknown_escaping("scrape config", word)),
        }
    }

    /// Which names this job accepts.
    #[must_use]
    pub fn name_validation(&self) -> NameValidation {
        self.metric_name_validation_scheme.unwrap_or_default()
    }

    /// How UTF-8 names are asked for in the `Accept` header.
    #[must_use]
    pub fn escaping_scheme(&self) -> EscapingScheme {
        match self.metric_name_escaping_scheme.as_str() {
            "underscores" => EscapingScheme::Underscores,
            "dots" => EscapingScheme::Dots,
            "values" => EscapingScheme::Values,
            _ => EscapingScheme::NoEscaping,
        }
    }
}

impl ScrapeConfig {
    /// The job as `/api/v1/scrape_pools/config` shows it, secrets hidden.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        write(&Object::<Self>::print(self))
    }
}

/// The words for escaping schemes.
const ESCAPINGS: [&str; 4] = ["allow-utf-8", "underscores", "dots", "values"];

fn escaping_for(validation: NameValidation) -> &'static str {
    match validation {
        NameValidation::Legacy => "underscores",
        NameValidation::Utf8 => "allow-utf-8",
    }
}

fn unknown_escaping(whose: &str, word: &str) -> String {
    let [a, b, c, e] = ESCAPINGS;
    let known = format!("must be one of '{a}', '{b}', '{c}', or '{e}'");
    format!("unknown {whose} name escaping method specified, {known}, got {}", quote_go(word))
}

/// Validates relabel steps under the names that their job accepts.
pub(crate) fn check_relabels(
    steps: &mut [RelabelConfig],
    scheme: NameValidation,
    list: Option<NodeRef<'_>>,
    d: &mut Decoder,
) {
    let nodes: Vec<NodeRef<'_>> = list.iter().flat_map(|list| list.items()).collect();
    for (i, step) in steps.iter_mut().enumerate() {
        step.name_validation = scheme;
        if let Err(e) = step.validate() {
            let mark = nodes.get(i).map(|n| n.resolved().mark()).unwrap_or_default();
            d.rule(mark, e.to_string());
        }
    }
}
