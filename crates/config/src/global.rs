//! The `global` section: what jobs inherit, and the labels that the outside sees on everything.

use narthex_model::{Labels, NameValidation, is_legacy_label_name, quote_go};

use crate::ScrapeProtocol;
use crate::decode::{Check, Decoder, Section};
use crate::protocol_rules::check_protocols;
use crate::section::section;
use crate::yaml::NodeRef;

section! {
    /// Values that other sections inherit. Complete after loading.
    pub struct GlobalConfig("config.plain") {
        /// How often targets are scraped.
        scrape_interval_ms: i64 = 60_000 => "scrape_interval" omit Duration,
        /// How long a scrape may take; at most the interval.
        scrape_timeout_ms: i64 = 10_000 => "scrape_timeout" omit Duration,
        /// The protocols to ask for; empty: each job chooses by its `scrape_native_histograms`.
        scrape_protocols: Vec<ScrapeProtocol> = Vec::new() => "scrape_protocols" omit Protocols,
        /// How often rules are evaluated.
        evaluation_interval_ms: i64 = 60_000 => "evaluation_interval" omit Duration,
        /// How far in the past rules look, to wait for late samples.
        rule_query_offset_ms: i64 = 0 => "rule_query_offset" omit Duration,
        /// Where queries are logged; empty: nowhere.
        query_log_file: String = String::new() => "query_log_file" omit FilePath,
        /// Where failed scrapes are logged; empty: nowhere.
        scrape_failure_log_file: String = String::new() => "scrape_failure_log_file" omit FilePath,
        /// Labels added to what leaves: remote write, federation, alerts. `${VAR}` is already replaced.
        external_labels: Labels = Labels::empty() => "external_labels" omit LabelMap,
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
        /// How many dropped targets of a job are kept for the API; 0: all.
        keep_dropped_targets: u64 = 0 => "keep_dropped_targets" omit Uint,
        /// Which names are accepted.
        metric_name_validation_scheme: Option<NameValidation> = Some(NameValidation::Utf8) => "metric_name_validation_scheme" omit Validation,
        /// How UTF-8 names are asked for: `allow-utf-8`, `underscores`, `dots`, `values`, or empty.
        metric_name_escaping_scheme: String = "allow-utf-8".to_owned() => "metric_name_escaping_scheme" omit Text,
        /// Whether native histograms are scraped. `Some` after loading.
        scrape_native_histograms: Option<bool> = Some(false) => "scrape_native_histograms" omit MaybeFlag,
        /// Whether classic histograms become native ones with custom buckets.
        convert_classic_histograms_to_nhcb: bool = false => "convert_classic_histograms_to_nhcb" omit Flag,
        /// Whether a classic histogram is kept beside its native form.
        always_scrape_classic_histograms: bool = false => "always_scrape_classic_histograms" omit Flag,
        /// Whether the extra automatic series of a scrape are stored. `Some` after loading.
        extra_scrape_metrics: Option<bool> = Some(false) => "extra_scrape_metrics" omit MaybeFlag,
    }
}

impl Check for GlobalConfig {
    /// Nothing is set while the section is read; what is still unset afterwards gets its default.
    fn start() -> Self {
        Self::zero()
    }

    fn check(&mut self, at: NodeRef<'_>, d: &mut Decoder) {
        self.check_external_labels(at, d);
        self.fill_in(at, d);
        check_protocols(at, d, |text| format!("{text} for global config"));
    }
}

/// What features of the command line change in the defaults of `global`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeatureDefaults {
    /// Protobuf is asked for first, which tells of start timestamps (`created-timestamp-zero-ingestion`, `st-storage`).
    pub proto_first: bool,
    /// Native histograms are scraped (`native-histograms`).
    pub scrape_native_histograms: bool,
    /// The extra automatic series are stored (`extra-scrape-metrics`).
    pub extra_scrape_metrics: bool,
}

impl GlobalConfig {
    /// The section of a file without one.
    pub(crate) fn with(features: FeatureDefaults) -> Self {
        let mut global = Self::default();
        if features.proto_first {
            global.scrape_protocols = ScrapeProtocol::PROTO_FIRST.to_vec();
        }
        if features.scrape_native_histograms {
            global.scrape_native_histograms = Some(true);
        }
        if features.extra_scrape_metrics {
            global.extra_scrape_metrics = Some(true);
        }
        global
    }

    fn check_external_labels(&mut self, at: NodeRef<'_>, d: &mut Decoder) {
        let scheme = *self.metric_name_validation_scheme.get_or_insert_default();
        let bad = self.external_labels.iter().find(|(name, _)| !is_label_name(name, scheme));
        if let Some((name, _)) = bad {
            d.rule(at.mark_of("external_labels"), format!("{} is not a valid label name", quote_go(name)));
        }
    }

    fn fill_in(&mut self, at: NodeRef<'_>, d: &mut Decoder) {
        let defaults = Self::with(d.features);
        let or_default = |value: &mut i64, default: i64| {
            if *value == 0 {
                *value = default;
            }
        };
        or_default(&mut self.scrape_interval_ms, defaults.scrape_interval_ms);
        if self.scrape_timeout_ms > self.scrape_interval_ms {
            d.rule(at.mark_of("scrape_timeout"), "global scrape timeout greater than scrape interval");
        }
        let timeout = defaults.scrape_timeout_ms.min(self.scrape_interval_ms);
        or_default(&mut self.scrape_timeout_ms, timeout);
        or_default(&mut self.evaluation_interval_ms, defaults.evaluation_interval_ms);
        self.scrape_native_histograms = self.scrape_native_histograms.or(defaults.scrape_native_histograms);
        self.extra_scrape_metrics = self.extra_scrape_metrics.or(defaults.extra_scrape_metrics);
        if self.scrape_protocols.is_empty() {
            self.scrape_protocols = defaults.scrape_protocols;
        }
    }
}

/// Whether a label may have that name.
fn is_label_name(name: &str, scheme: NameValidation) -> bool {
    match scheme {
        NameValidation::Utf8 => !name.is_empty(),
        NameValidation::Legacy => is_legacy_label_name(name),
    }
}
