//! One job as its targets use it: the configuration with everything that is derived from it once.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use narthex_config::{ScrapeConfig, ScrapeProtocol};
use narthex_exposition::{Format, HistogramOptions};
use narthex_model::NameValidation;
use narthex_net::client::{ClientError, ClientMetrics, HttpClient};

use crate::ingest::line::HistogramLimits;
use crate::options::ScrapeOptions;
use crate::target_labels::{ALWAYS_CLASSIC, CONVERT_CLASSIC, SCRAPE_NATIVE};

/// A job's configuration in force. Targets take it anew at each scrape, so a reload needs no new task.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) config: ScrapeConfig,
    pub(crate) client: HttpClient,
    /// Headers of every scrape but the timeout's.
    pub(crate) headers: HeaderMap,
    pub(crate) fallback: Option<Format>,
    pub(crate) limits: HistogramLimits,
    /// Rises when what a line stands for may have changed: caches of older generations must learn anew.
    pub(crate) series_generation: u64,
}

impl Job {
    /// Builds a job. Of `before`, the same job's last configuration, the client is kept when its settings are the same.
    pub(crate) fn new(
        config: &ScrapeConfig,
        before: Option<&Arc<Self>>,
        options: &ScrapeOptions,
        metrics: &ClientMetrics,
    ) -> Result<Self, ClientError> {
        let client = match before {
            Some(job) if job.config.http == config.http => job.client.clone(),
            _ => HttpClient::with_metrics(&config.http, &config.job_name, metrics)?,
        };
        let generation =
            |job: &Arc<Self>| job.series_generation + u64::from(!same_series(&job.config, config));
        Ok(Self {
            client,
            headers: headers(config, options),
            fallback: config.fallback_scrape_protocol.map(format_of),
            limits: histogram_limits(config),
            series_generation: before.map_or(0, generation),
            config: config.clone(),
        })
    }

    /// The largest body that is read is one byte less; no limit is the largest number.
    pub(crate) fn body_limit(&self) -> u64 {
        match u64::try_from(self.config.body_size_limit_bytes) {
            Ok(0) | Err(_) => u64::MAX,
            Ok(limit) => limit,
        }
    }
}

/// What becomes of a target's histograms: what `label` says, else the job. `label`: the switch in a label of the target.
pub(crate) fn histogram_options(
    config: &ScrapeConfig,
    label: impl Fn(&str) -> Option<bool>,
) -> HistogramOptions {
    let on = |name, job: Option<bool>| label(name).or(job) == Some(true);
    HistogramOptions {
        native: on(SCRAPE_NATIVE, config.scrape_native_histograms),
        classic: on(ALWAYS_CLASSIC, config.always_scrape_classic_histograms),
        to_custom: on(CONVERT_CLASSIC, config.convert_classic_histograms_to_nhcb),
    }
}

/// How large the job's native histograms may be. Between the buckets of schema `n` lies a factor of `2^(2^-n)`.
pub(crate) fn histogram_limits(config: &ScrapeConfig) -> HistogramLimits {
    let factor = config.native_histogram_min_bucket_factor;
    let schema = if factor <= 1.0 { 8.0 } else { (-factor.log2().log2()).floor().clamp(-4.0, 8.0) };
    HistogramLimits {
        buckets: usize::try_from(config.native_histogram_bucket_limit).unwrap_or(usize::MAX),
        schema: schema as i32,
    }
}

/// Whether a line of a target stands for the same series under both configurations.
fn same_series(a: &ScrapeConfig, b: &ScrapeConfig) -> bool {
    a.honor_labels == b.honor_labels
        && a.metric_relabel_configs == b.metric_relabel_configs
        && a.metric_name_validation_scheme == b.metric_name_validation_scheme
        && (a.label_limit, a.label_name_length_limit, a.label_value_length_limit)
            == (b.label_limit, b.label_name_length_limit, b.label_value_length_limit)
}

fn format_of(protocol: ScrapeProtocol) -> Format {
    match protocol {
        ScrapeProtocol::PrometheusProto => Format::Protobuf,
        ScrapeProtocol::PrometheusText0_0_4 | ScrapeProtocol::PrometheusText1_0_0 => Format::Text,
        ScrapeProtocol::OpenMetricsText0_0_1 | ScrapeProtocol::OpenMetricsText1_0_0 => Format::OpenMetrics,
    }
}

fn headers(config: &ScrapeConfig, options: &ScrapeOptions) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    set(header::USER_AGENT, &options.user_agent);
    set(header::ACCEPT, &accept(config));
    set(header::ACCEPT_ENCODING, if config.enable_compression { "gzip" } else { "identity" });
    headers
}

/// The protocols in order of preference.
fn accept(config: &ScrapeConfig) -> String {
    let escaping = match (&*config.metric_name_escaping_scheme, config.metric_name_validation_scheme) {
        ("", Some(NameValidation::Legacy)) => "underscores",
        ("", _) => "allow-utf-8",
        (scheme, _) => scheme,
    };
    // Prometheus counts down from one more than there are protocols.
    let mut weight = ScrapeProtocol::ALL.len() + 1;
    let mut out = String::new();
    for protocol in &config.scrape_protocols {
        out.push_str(protocol.media_type());
        if matches!(protocol, ScrapeProtocol::PrometheusText1_0_0 | ScrapeProtocol::OpenMetricsText1_0_0) {
            out.push_str(&format!(";escaping={escaping}"));
        }
        out.push_str(&format!(";q=0.{weight},"));
        weight -= 1;
    }
    out.push_str(&format!("*/*;q=0.{weight}"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_accept(protocols: &[ScrapeProtocol], change: impl FnOnce(&mut ScrapeConfig), expected: &str) {
        let mut config = ScrapeConfig { scrape_protocols: protocols.to_vec(), ..ScrapeConfig::default() };
        change(&mut config);
        assert_eq!(accept(&config), expected);
    }

    #[test]
    fn protocols_are_asked_for_in_order() {
        check_accept(
            &ScrapeProtocol::PROTO_FIRST,
            |_| {},
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
            application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
            application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
            text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        );
        check_accept(
            &ScrapeProtocol::DEFAULT,
            |c| c.metric_name_validation_scheme = Some(NameValidation::Legacy),
            "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=underscores;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        );
    }

    #[test]
    fn the_finest_schema_follows_from_the_least_growth() {
        let schema = |factor: f64| {
            let config =
                ScrapeConfig { native_histogram_min_bucket_factor: factor, ..ScrapeConfig::default() };
            histogram_limits(&config).schema
        };
        let got = [0.0, 1.0, 1.00271, 1.1, 1.5, 2.0, 4.0, 65_536.0, 1e30].map(schema);
        assert_eq!(got, [8, 8, 8, 2, 0, 0, -1, -4, -4]);
    }
}
