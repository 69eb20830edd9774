//! What a line that was not seen before stands for: its labels with those of the target, relabelled, checked against limits.
//!
//! Runs once for each new series, never for each sample. Facts: Prometheus' configuration page, `honor_labels`,
//! `metric_relabel_configs`, label limits; error texts of release 3.14.

use narthex_config::ScrapeConfig;
use narthex_model::{
    Labels, LabelsBuilder, METRIC_NAME, NameValidation, is_legacy_label_name, is_legacy_metric_name, quote_go,
};

use crate::error::ScrapeError;
use crate::ingest::line::LabelSource;

/// Prefix of a scraped label that gave way to a label of the target.
const EXPORTED: &str = "exported_";

/// The labels of a series; `None` when relabeling drops it. `public` are the target's own labels.
pub(crate) fn series_labels(
    source: LabelSource<'_>,
    config: &ScrapeConfig,
    public: &Labels,
) -> Result<Option<Labels>, ScrapeError> {
    let mut builder = LabelsBuilder::new();
    source.decode(&mut builder)?;
    if config.honor_labels {
        add_missing(&mut builder, source, public);
    } else {
        add_over(&mut builder, public);
    }
    if !narthex_relabel::process(&mut builder, &config.metric_relabel_configs) {
        return Ok(None);
    }
    // COMPAT: relabeling that takes every label away drops the series without an error.
    if builder.is_empty() {
        return Ok(None);
    }
    check_names(&builder, config)?;
    check_limits(&builder, config)?;
    Ok(Some(builder.labels()))
}

/// The labels of an automatic series such as `up`.
pub(crate) fn report_labels(name: &str, public: &Labels) -> Labels {
    let mut builder = LabelsBuilder::new();
    builder.set(METRIC_NAME, name);
    for (label, value) in public {
        let scraped = builder.get(label).unwrap_or_default().to_owned();
        builder.set(&format!("{EXPORTED}{label}"), &scraped);
        builder.set(label, value);
    }
    builder.labels()
}

/// `honor_labels: true`: labels of the line win. One that is written with an empty value wins too, and then is not there:
/// that is how a push gateway keeps our `instance` off.
fn add_missing(builder: &mut LabelsBuilder, source: LabelSource<'_>, public: &Labels) {
    let emptied = source.emptied();
    for (name, value) in public {
        if builder.get(name).is_none() && !emptied.contains(&name.as_bytes()) {
            builder.set(name, value);
        }
    }
}

/// The names before each `""`. Outside of a value two quotes only stand behind a name; inside one they are escaped.
pub(crate) fn empty_label_names(raw: &[u8]) -> Vec<&[u8]> {
    let mut names = Vec::new();
    for at in raw.windows(2).enumerate().filter(|(_, pair)| pair == b"\"\"").map(|(at, _)| at) {
        let Some(before) = raw[..at].trim_ascii_end().strip_suffix(b"=") else { continue };
        let before = before.trim_ascii_end();
        let name = match before.strip_suffix(b"\"") {
            Some(quoted) => quoted.rsplit(|b| *b == b'"').next(),
            None => before.rsplit(|b| matches!(b, b'{' | b',' | b' ' | b'\t')).next(),
        };
        names.extend(name);
    }
    names
}

/// `honor_labels: false`: labels of the target win; a label of the line gives way to `exported_…`, with as many prefixes as it takes.
fn add_over(builder: &mut LabelsBuilder, public: &Labels) {
    let mut moved: Vec<(String, String)> = Vec::new();
    for (name, value) in public {
        if let Some(scraped) = builder.get(name) {
            moved.push((name.to_owned(), scraped.to_owned()));
        }
        builder.set(name, value);
    }
    // Shorter names first, so that `exported_x` of the line finds its place after `x` took one.
    moved.sort_by_key(|(name, _)| name.len());
    for (name, scraped) in moved {
        let mut to = format!("{EXPORTED}{name}");
        while builder.get(&to).is_some() {
            to.insert_str(0, EXPORTED);
        }
        builder.set(&to, &scraped);
    }
}

fn check_names(builder: &LabelsBuilder, config: &ScrapeConfig) -> Result<(), ScrapeError> {
    let Some(metric) = builder.get(METRIC_NAME) else {
        return Err(ScrapeError::NoMetricName);
    };
    let fine = match config.metric_name_validation_scheme {
        Some(NameValidation::Legacy) => {
            is_legacy_metric_name(metric) && builder.iter().all(|(name, _)| is_legacy_label_name(name))
        }
        // Labels are UTF-8 here, and sorted: an empty name would stand first.
        Some(NameValidation::Utf8) | None => builder.iter().next().is_none_or(|(name, _)| !name.is_empty()),
    };
    if fine { Ok(()) } else { Err(ScrapeError::InvalidNames(builder.labels().to_string())) }
}

fn check_limits(builder: &LabelsBuilder, config: &ScrapeConfig) -> Result<(), ScrapeError> {
    let metric = first_50(builder.get(METRIC_NAME).unwrap_or_default());
    let over = |length: usize, limit: u64| limit > 0 && length as u64 > limit;
    let count = builder.iter().count();
    let fail = |text: String| Err(ScrapeError::LabelLimit(text));
    if over(count, config.label_limit) {
        let limit = config.label_limit;
        return fail(format!(
            "label_limit exceeded (metric: {metric}, number of labels: {count}, limit: {limit})"
        ));
    }
    if config.label_name_length_limit == 0 && config.label_value_length_limit == 0 {
        return Ok(());
    }
    for (name, value) in builder.iter() {
        let shown = first_50(name);
        if over(name.len(), config.label_name_length_limit) {
            let (length, limit) = (name.len(), config.label_name_length_limit);
            return fail(format!(
                "label_name_length_limit exceeded (metric: {metric}, label name: {shown}, length: {length}, limit: {limit})"
            ));
        }
        if over(value.len(), config.label_value_length_limit) {
            let (value, length, limit) =
                (quote_go(first_50(value)), value.len(), config.label_value_length_limit);
            return fail(format!(
                "label_value_length_limit exceeded (metric: {metric}, label name: {shown}, value: {value}, length: {length}, limit: {limit})"
            ));
        }
    }
    Ok(())
}

/// Go's `%.50s`.
fn first_50(text: &str) -> &str {
    text.char_indices().nth(50).map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use narthex_exposition::Dialect;
    use narthex_model::MetricType;

    use super::*;

    #[track_caller]
    fn check(line: &str, public: &[(&str, &str)], change: impl FnOnce(&mut ScrapeConfig), expected: &str) {
        let mut config = ScrapeConfig::default();
        change(&mut config);
        let public = Labels::from_pairs(public.iter().copied());
        let source = LabelSource::Text {
            raw: line.as_bytes(),
            dialect: Dialect::Text,
            kind: MetricType::Unknown,
            unit: "",
            type_and_unit: false,
        };
        let got = match series_labels(source, &config, &public) {
            Ok(Some(labels)) => labels.to_string(),
            Ok(None) => "dropped".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn the_targets_labels_win_unless_labels_are_honored() {
        check("m{n=\"1\"}", &[("n", "2")], |_| {}, r#"{__name__="m", exported_n="1", n="2"}"#);
        check(
            "m{n=\"1\"}",
            &[("n", "2"), ("exported_n", "2")],
            |_| {},
            r#"{__name__="m", exported_exported_n="1", exported_n="2", n="2"}"#,
        );
        check(
            "m{n=\"1\",exported_n=\"3\"}",
            &[("n", "2")],
            |_| {},
            r#"{__name__="m", exported_exported_n="1", exported_n="3", n="2"}"#,
        );
        check("m{n=\"\"}", &[], |_| {}, r#"{__name__="m"}"#);
        check(
            "m{n=\"1\"}",
            &[("n", "2"), ("o", "3")],
            |c| c.honor_labels = true,
            r#"{__name__="m", n="1", o="3"}"#,
        );
    }

    #[test]
    fn an_honored_empty_label_keeps_the_targets_label_off() {
        let public: &[_] = &[("instance", "i"), ("job", "j")];
        let honor = |c: &mut ScrapeConfig| c.honor_labels = true;
        check("m{job=\"p\",instance=\"\"}", public, honor, r#"{__name__="m", job="p"}"#);
        check("m{ instance = \"\" , job=\"p\"}", public, honor, r#"{__name__="m", job="p"}"#);
        check("{\"m\",\"instance\"=\"\"}", public, honor, r#"{__name__="m", job="j"}"#);
        check(
            "m{x=\"instance=\\\"\\\"\"}",
            public,
            honor,
            r#"{__name__="m", instance="i", job="j", x="instance=\"\""}"#,
        );
    }

    #[test]
    fn limits_have_prometheus_texts() {
        check("m{a=\"1\",b=\"2\"}", &[], |c| c.label_limit = 3, r#"{__name__="m", a="1", b="2"}"#);
        check(
            "m{a=\"1\",b=\"2\"}",
            &[],
            |c| c.label_limit = 2,
            "label_limit exceeded (metric: m, number of labels: 3, limit: 2)",
        );
        check(
            "m{abc=\"1\"}",
            &[],
            |c| c.label_name_length_limit = 2,
            "label_name_length_limit exceeded (metric: m, label name: __name__, length: 8, limit: 2)",
        );
        check(
            "m{a=\"1\\n2\"}",
            &[],
            |c| c.label_value_length_limit = 2,
            "label_value_length_limit exceeded (metric: m, label name: a, value: \"1\\n2\", length: 3, limit: 2)",
        );
    }

    #[test]
    fn names_are_checked_under_the_jobs_scheme() {
        let legacy = |c: &mut ScrapeConfig| c.metric_name_validation_scheme = Some(NameValidation::Legacy);
        check("{\"a.b\"}", &[], |_| {}, r#"{__name__="a.b"}"#);
        check("{\"a.b\"}", &[], legacy, r#"invalid metric name or label names: {__name__="a.b"}"#);
        check("{\"c.d\"=\"x\"}", &[], |_| {}, "missing metric name (__name__ label)");
    }

    #[test]
    fn automatic_series_have_the_targets_labels() {
        let labels = report_labels("up", &Labels::from_pairs([("job", "j"), ("instance", "i")]));
        assert_eq!(labels.to_string(), r#"{__name__="up", instance="i", job="j"}"#);
    }
}
