//! The labels of a target: what discovery and configuration say, what relabeling makes of it, and what must hold then.
//!
//! Facts: Prometheus' configuration page ("relabel_config", labels that begin with `__`); error texts of release 3.14.

use narthex_config::{ScrapeConfig, TargetGroup};
use narthex_model::{DurationError, Labels, LabelsBuilder, format_duration_ms, parse_duration_ms, quote_go};

pub(crate) const ADDRESS: &str = "__address__";
pub(crate) const SCHEME: &str = "__scheme__";
pub(crate) const METRICS_PATH: &str = "__metrics_path__";
pub(crate) const PARAM_PREFIX: &str = "__param_";
pub(crate) const SCRAPE_INTERVAL: &str = "__scrape_interval__";
pub(crate) const SCRAPE_TIMEOUT: &str = "__scrape_timeout__";
pub(crate) const UNIX_SOCKET: &str = "__unix_socket__";
const META_PREFIX: &str = "__meta_";
const RESERVED_PREFIX: &str = "__";
const JOB: &str = "job";
const INSTANCE: &str = "instance";

pub(crate) const CONVERT_CLASSIC: &str = "__convert_classic_histograms_to_nhcb__";
pub(crate) const ALWAYS_CLASSIC: &str = "__always_scrape_classic_histograms__";
pub(crate) const SCRAPE_NATIVE: &str = "__scrape_native_histograms__";

/// Labels that hold a switch, and what errors call them.
const SWITCHES: [(&str, &str); 3] = [
    (CONVERT_CLASSIC, "convert classic histograms to nhcb"),
    (ALWAYS_CLASSIC, "always scrape classic histograms"),
    (SCRAPE_NATIVE, "scrape native histograms"),
];

/// Why a discovered target cannot be scraped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetLabelsError {
    /// Nothing says where it is.
    #[error("no address")]
    NoAddress,
    /// The address holds a slash.
    #[error("{} is not a valid hostname", quote_go(.0))]
    BadAddress(String),
    /// An interval or timeout label is no duration.
    #[error("error parsing scrape {what}: {source}")]
    BadDuration {
        /// `interval` or `timeout`.
        what: &'static str,
        /// Why.
        #[source]
        source: DurationError,
    },
    /// An interval or timeout label is zero.
    #[error("scrape {0} cannot be 0")]
    Zero(&'static str),
    /// The timeout is longer than the interval.
    #[error("scrape timeout cannot be greater than scrape interval ({} > {})", quote_go(.timeout), quote_go(.interval))]
    TimeoutAboveInterval {
        /// The timeout label.
        timeout: String,
        /// The interval label.
        interval: String,
    },
    /// A switch label is neither true nor false.
    #[error("error parsing {what}: strconv.ParseBool: parsing {}: invalid syntax", quote_go(.value))]
    BadSwitch {
        /// Which switch.
        what: &'static str,
        /// The label's value.
        value: String,
    },
}

/// The labels of a target before relabeling: its own, then its group's, then the configuration's for what is missing.
#[must_use]
pub fn discovered_labels(config: &ScrapeConfig, group: &TargetGroup, target: &Labels) -> Labels {
    discovered(config, group, target).labels()
}

fn discovered(config: &ScrapeConfig, group: &TargetGroup, target: &Labels) -> LabelsBuilder {
    let mut labels = group.labels.to_builder();
    for (name, value) in target {
        labels.set(name, value);
    }
    let flag = |value: Option<bool>| if value == Some(true) { "true" } else { "false" };
    let defaults = [
        (JOB, config.job_name.as_str()),
        (SCRAPE_INTERVAL, &format_duration_ms(config.scrape_interval_ms)),
        (SCRAPE_TIMEOUT, &format_duration_ms(config.scrape_timeout_ms)),
        (METRICS_PATH, &config.metrics_path),
        (SCHEME, &config.scheme),
        (SWITCHES[0].0, flag(config.convert_classic_histograms_to_nhcb)),
        (SWITCHES[1].0, flag(config.always_scrape_classic_histograms)),
        (SWITCHES[2].0, flag(config.scrape_native_histograms)),
    ];
    for (name, value) in defaults {
        set_if_missing(&mut labels, name, value);
    }
    for (name, values) in &config.params {
        if let Some(first) = values.first() {
            set_if_missing(&mut labels, &format!("{PARAM_PREFIX}{name}"), first);
        }
    }
    labels
}

fn set_if_missing(labels: &mut LabelsBuilder, name: &str, value: &str) {
    if labels.get(name).is_none() {
        labels.set(name, value);
    }
}

/// The labels of a target after relabeling, those that begin with `__` (but `__meta_`) included; `None` when relabeling
/// drops it.
///
/// # Errors
/// When the target cannot be scraped with these labels.
pub fn populate_labels(
    config: &ScrapeConfig,
    group: &TargetGroup,
    target: &Labels,
) -> Result<Option<Labels>, TargetLabelsError> {
    let mut labels = discovered(config, group, target);
    if !narthex_relabel::process(&mut labels, &config.relabel_configs) {
        return Ok(None);
    }
    let address = labels.get(ADDRESS).unwrap_or_default().to_owned();
    if address.is_empty() && labels.get(UNIX_SOCKET).is_none() {
        return Err(TargetLabelsError::NoAddress);
    }
    if address.contains('/') {
        return Err(TargetLabelsError::BadAddress(address));
    }
    check_durations(&labels)?;
    check_switches(&labels)?;
    labels.retain(|name, _| !name.starts_with(META_PREFIX));
    set_if_missing(&mut labels, INSTANCE, &address);
    Ok(Some(labels.labels()))
}

fn check_durations(labels: &LabelsBuilder) -> Result<(), TargetLabelsError> {
    let interval = duration(labels, SCRAPE_INTERVAL, "interval")?;
    let timeout = duration(labels, SCRAPE_TIMEOUT, "timeout")?;
    if timeout <= interval {
        return Ok(());
    }
    let text = |name| labels.get(name).unwrap_or_default().to_owned();
    Err(TargetLabelsError::TimeoutAboveInterval {
        timeout: text(SCRAPE_TIMEOUT),
        interval: text(SCRAPE_INTERVAL),
    })
}

fn duration(labels: &LabelsBuilder, name: &str, what: &'static str) -> Result<i64, TargetLabelsError> {
    let parsed = parse_duration_ms(labels.get(name).unwrap_or_default());
    match parsed.map_err(|source| TargetLabelsError::BadDuration { what, source })? {
        0 => Err(TargetLabelsError::Zero(what)),
        ms => Ok(ms),
    }
}

fn check_switches(labels: &LabelsBuilder) -> Result<(), TargetLabelsError> {
    for (name, what) in SWITCHES {
        match labels.get(name) {
            Some(value) if parse_switch(value).is_none() => {
                return Err(TargetLabelsError::BadSwitch { what, value: value.to_owned() });
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}

/// What a switch label says, in any of Go's spellings.
pub(crate) fn parse_switch(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// The labels that a target's series get: those that do not begin with `__`.
pub(crate) fn public_labels(labels: &Labels) -> Labels {
    Labels::from_sorted(labels.iter().filter(|(name, _)| !name.starts_with(RESERVED_PREFIX)))
}

#[cfg(test)]
mod tests {
    use narthex_model::Regex;
    use narthex_relabel::{Action, RelabelConfig};

    use super::*;

    fn config() -> ScrapeConfig {
        ScrapeConfig {
            job_name: "j".into(),
            scrape_interval_ms: 15_000,
            scrape_timeout_ms: 10_000,
            params: [("m".to_owned(), vec!["a".to_owned(), "b".to_owned()])].into(),
            ..ScrapeConfig::default()
        }
    }

    fn step(action: Action, source: &str, regex: &str, target: &str, replacement: &str) -> RelabelConfig {
        RelabelConfig {
            source_labels: vec![source.to_owned()],
            regex: Some(Regex::new_anchored(regex).unwrap()),
            target_label: target.to_owned(),
            replacement: replacement.to_owned(),
            action,
            ..RelabelConfig::default()
        }
    }

    #[track_caller]
    fn check(
        steps: Vec<RelabelConfig>,
        target: &[(&str, &str)],
        expected: Result<Option<&[(&str, &str)]>, &str>,
    ) {
        let config = ScrapeConfig { relabel_configs: steps, ..config() };
        let group = TargetGroup {
            targets: vec![],
            labels: Labels::from_pairs([("env", "x"), ("__meta_filepath", "f")]),
            source: String::new(),
        };
        let got = populate_labels(&config, &group, &Labels::from_pairs(target.iter().copied()));
        let got = got.map(|labels| labels.map(|labels| public_labels(&labels))).map_err(|e| e.to_string());
        assert_eq!(
            got,
            expected.map(|pairs| pairs.map(|p| Labels::from_pairs(p.iter().copied()))).map_err(str::to_owned)
        );
    }

    #[test]
    fn targets_get_job_instance_and_group_labels() {
        let full: &[_] = &[("env", "x"), ("instance", "h:1"), ("job", "j")];
        check(vec![], &[(ADDRESS, "h:1")], Ok(Some(full)));
        check(
            vec![],
            &[(ADDRESS, "h:1"), ("env", "y"), (INSTANCE, "i")],
            Ok(Some(&[("env", "y"), ("instance", "i"), ("job", "j")])),
        );
        check(vec![step(Action::Drop, "env", "x", "", "")], &[(ADDRESS, "h:1")], Ok(None));
        check(
            vec![step(Action::Replace, ADDRESS, "(.*):1", "env", "$1")],
            &[(ADDRESS, "h:1")],
            Ok(Some(&[("env", "h"), ("instance", "h:1"), ("job", "j")])),
        );
    }

    #[test]
    fn targets_that_cannot_be_scraped_say_why() {
        let set = |target: &str, value: &str| vec![step(Action::Replace, ADDRESS, "(.*)", target, value)];
        let at: &[_] = &[(ADDRESS, "h:1")];
        check(vec![], &[("x", "y")], Err("no address"));
        check(vec![], &[(ADDRESS, "h:1/x")], Err("\"h:1/x\" is not a valid hostname"));
        check(
            set(SCRAPE_INTERVAL, "1x"),
            at,
            Err("error parsing scrape interval: unknown unit \"x\" in duration \"1x\""),
        );
        check(set(SCRAPE_TIMEOUT, "0"), at, Err("scrape timeout cannot be 0"));
        check(
            set(SCRAPE_TIMEOUT, "20s"),
            at,
            Err("scrape timeout cannot be greater than scrape interval (\"20s\" > \"15s\")"),
        );
        check(
            set(SWITCHES[2].0, "yes"),
            at,
            Err("error parsing scrape native histograms: strconv.ParseBool: parsing \"yes\": invalid syntax"),
        );
    }

    #[test]
    fn discovered_labels_hold_everything_relabeling_can_see() {
        let group = TargetGroup {
            targets: vec![],
            labels: Labels::from_pairs([("env", "x")]),
            source: String::new(),
        };
        let labels = discovered_labels(&config(), &group, &Labels::from_pairs([(ADDRESS, "h:1")]));
        let expected = "{__address__=\"h:1\", __always_scrape_classic_histograms__=\"false\", \
            __convert_classic_histograms_to_nhcb__=\"false\", __metrics_path__=\"/metrics\", __param_m=\"a\", __scheme__=\"http\", \
            __scrape_interval__=\"15s\", __scrape_native_histograms__=\"false\", __scrape_timeout__=\"10s\", env=\"x\", job=\"j\"}";
        assert_eq!(labels.to_string(), expected);
    }
}
