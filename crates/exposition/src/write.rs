//! Writes metric families as Prometheus text 0.0.4 or OpenMetrics text; those of a registry also as protobuf.
//!
//! Holds: the layout of lines, escaping, and how names outside the old charset are written. Must not know: where values come
//! from. Always true: what is written parses again (as the tests check), given that label names are unique.
//! Facts: Prometheus' exposition formats page; OpenMetrics 1.0; what Prometheus' `/metrics` and `/federate` print.

use narthex_metrics::{Family, Metric, Value};
use narthex_model::{
    BUCKET_LABEL, EscapingScheme, Exemplar, MetricType, QUANTILE_LABEL, escape_name, is_legacy_label_name,
    is_legacy_metric_name, push_float_general,
};

use crate::negotiate::{Offer, Output};
use crate::{Dialect, open_metrics_float, protobuf};

/// A value of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Any float.
    Float(f64),
    /// A count, which OpenMetrics prints without a point.
    Count(u64),
}

/// One line.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// What follows the family's name: `""`, `_sum`, `_count`, `_bucket`.
    pub suffix: &'a str,
    /// The labels, without the metric name, in the order in which they are to be written.
    pub labels: &'a [(&'a str, &'a str)],
    /// A last label with a number: `le` or `quantile`.
    pub bound: Option<(&'a str, f64)>,
    /// The value.
    pub value: Number,
    /// Milliseconds since the epoch.
    pub t_ms: Option<i64>,
    /// An exemplar; only OpenMetrics can show it.
    pub exemplar: Option<&'a Exemplar>,
}

impl<'a> Sample<'a> {
    /// A line without suffix, bound, time and exemplar.
    #[must_use]
    pub fn plain(labels: &'a [(&'a str, &'a str)], value: f64) -> Self {
        Self { suffix: "", labels, bound: None, value: Number::Float(value), t_ms: None, exemplar: None }
    }
}

/// Writes families one after the other.
#[derive(Debug)]
pub struct Writer {
    out: String,
    dialect: Dialect,
    escaping: EscapingScheme,
    /// The escaped name of the current family.
    name: String,
}

impl Writer {
    /// A writer of text without families. What is to be protobuf it writes as Prometheus text.
    #[must_use]
    pub fn new(output: Output) -> Self {
        let dialect = output.dialect().unwrap_or(Dialect::Text);
        Self { out: String::new(), dialect, escaping: output.escaping, name: String::new() }
    }

    /// Begins a family. Counters bear their `_total` in `name`; in OpenMetrics one without it is of unknown type.
    pub fn family(&mut self, name: &str, help: Option<&str>, kind: MetricType) {
        self.name = escape_name(name, self.escaping);
        let name = self.name.clone();
        let base = name.strip_suffix("_total").filter(|_| kind == MetricType::Counter);
        let (family, word) = match (self.dialect, base) {
            (Dialect::Text, _) => (&*name, text_word(kind)),
            (Dialect::OpenMetrics, Some(base)) => (base, "counter"),
            (Dialect::OpenMetrics, None) if kind == MetricType::Counter => (&*name, "unknown"),
            (Dialect::OpenMetrics, None) => (&*name, kind.as_str()),
        };
        if let Some(help) = help {
            self.out.push_str("# HELP ");
            self.push_name(family, is_legacy_metric_name(family));
            self.out.push(' ');
            self.push_escaped(help, self.dialect == Dialect::OpenMetrics);
            self.out.push('\n');
        }
        self.out.push_str("# TYPE ");
        self.push_name(family, is_legacy_metric_name(family));
        self.out.push(' ');
        self.out.push_str(word);
        self.out.push('\n');
    }

    /// Writes a line of the current family.
    pub fn sample(&mut self, sample: &Sample<'_>) {
        let name = std::mem::take(&mut self.name);
        if sample.suffix.is_empty() {
            self.push_series(&name, sample.labels, sample.bound);
        } else {
            self.push_series(&format!("{name}{}", sample.suffix), sample.labels, sample.bound);
        }
        self.name = name;
        self.out.push(' ');
        self.push_number(sample.value);
        if let Some(t_ms) = sample.t_ms {
            self.out.push(' ');
            self.push_time(t_ms);
        }
        if let Some(exemplar) = sample.exemplar.filter(|_| self.dialect == Dialect::OpenMetrics) {
            self.push_exemplar(exemplar);
        }
        self.out.push('\n');
    }

    /// Writes buckets (`le` and cumulative count, rising; `+Inf` is added when it lacks), sum and count.
    pub fn histogram(&mut self, labels: &[(&str, &str)], buckets: &[(f64, u64)], sum: f64, count: u64) {
        let infinite = (f64::INFINITY, count);
        let last = buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY).then_some(&infinite);
        for (bound, below) in buckets.iter().chain(last) {
            let bound = Some((BUCKET_LABEL, *bound));
            self.sample(&Sample {
                suffix: "_bucket",
                bound,
                value: Number::Count(*below),
                ..Sample::plain(labels, 0.0)
            });
        }
        self.sum_and_count(labels, sum, count);
    }

    /// Writes quantiles, sum and count.
    pub fn summary(&mut self, labels: &[(&str, &str)], quantiles: &[(f64, f64)], sum: f64, count: u64) {
        for (quantile, value) in quantiles {
            self.sample(&Sample {
                bound: Some((QUANTILE_LABEL, *quantile)),
                ..Sample::plain(labels, *value)
            });
        }
        self.sum_and_count(labels, sum, count);
    }

    fn sum_and_count(&mut self, labels: &[(&str, &str)], sum: f64, count: u64) {
        self.sample(&Sample { suffix: "_sum", ..Sample::plain(labels, sum) });
        self.sample(&Sample { suffix: "_count", value: Number::Count(count), ..Sample::plain(labels, 0.0) });
    }

    /// What was written and not taken yet.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.out
    }

    /// Takes what was written.
    #[must_use]
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    /// Writes the end mark that OpenMetrics wants.
    pub fn end(&mut self) {
        if self.dialect == Dialect::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
    }

    /// What is left of the text, ended.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.end();
        self.out
    }

    /// `name{label="value"}`, or `{"odd name",label="value"}`.
    fn push_series(&mut self, name: &str, labels: &[(&str, &str)], bound: Option<(&str, f64)>) {
        let plain = is_legacy_metric_name(name);
        let mut separator = '{';
        if plain {
            self.out.push_str(name);
        } else {
            self.out.push('{');
            self.push_name(name, false);
            separator = ',';
        }
        for (label, value) in labels {
            self.out.push(separator);
            self.push_label(label, value);
            separator = ',';
        }
        if let Some((label, value)) = bound {
            self.out.push(separator);
            self.out.push_str(label);
            self.out.push_str("=\"");
            self.push_float(value);
            self.out.push('"');
            separator = ',';
        }
        if separator == ',' {
            self.out.push('}');
        }
    }

    fn push_label(&mut self, label: &str, value: &str) {
        let label = escape_name(label, self.escaping);
        self.push_name(&label, is_legacy_label_name(&label));
        self.out.push_str("=\"");
        self.push_escaped(value, true);
        self.out.push('"');
    }

    fn push_name(&mut self, name: &str, plain: bool) {
        if plain {
            self.out.push_str(name);
            return;
        }
        self.out.push('"');
        self.push_escaped(name, true);
        self.out.push('"');
    }

    /// Backslashes and line breaks, and on demand quotes, get a backslash.
    fn push_escaped(&mut self, text: &str, quotes: bool) {
        for c in text.chars() {
            match c {
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '"' if quotes => self.out.push_str("\\\""),
                c => self.out.push(c),
            }
        }
    }

    fn push_number(&mut self, number: Number) {
        match (self.dialect, number) {
            (_, Number::Float(value)) => self.push_float(value),
            (Dialect::Text, Number::Count(count)) => push_float_general(&mut self.out, count as f64),
            (Dialect::OpenMetrics, Number::Count(count)) => self.out.push_str(&count.to_string()),
        }
    }

    fn push_float(&mut self, value: f64) {
        // A zero is written without its sign.
        let value = if value == 0.0 { 0.0 } else { value };
        match self.dialect {
            Dialect::Text => push_float_general(&mut self.out, value),
            Dialect::OpenMetrics => self.out.push_str(&open_metrics_float(value)),
        }
    }

    fn push_time(&mut self, t_ms: i64) {
        match self.dialect {
            Dialect::Text => self.out.push_str(&t_ms.to_string()),
            Dialect::OpenMetrics => self.out.push_str(&open_metrics_float(t_ms as f64 / 1000.0)),
        }
    }

    fn push_exemplar(&mut self, exemplar: &Exemplar) {
        self.out.push_str(" # {");
        for (i, (label, value)) in exemplar.labels.iter().enumerate() {
            if i > 0 {
                self.out.push(',');
            }
            self.push_label(label, value);
        }
        self.out.push_str("} ");
        self.push_float(exemplar.value);
        if let Some(t_ms) = exemplar.t_ms {
            self.out.push(' ');
            self.push_time(t_ms);
        }
    }
}

/// The type in the text format, which knows fewer of them.
fn text_word(kind: MetricType) -> &'static str {
    match kind {
        MetricType::Unknown => "untyped",
        MetricType::Counter => "counter",
        MetricType::Gauge | MetricType::Info | MetricType::StateSet => "gauge",
        MetricType::Histogram | MetricType::GaugeHistogram => "histogram",
        MetricType::Summary => "summary",
    }
}

/// Writes what a registry gathered: the body of `/metrics`.
#[must_use]
pub fn write_families(families: &[Family], output: Output) -> Vec<u8> {
    match output.offer {
        Offer::Protobuf => return protobuf::write::families(families, output.escaping),
        Offer::ProtobufText => return protobuf::write::families_in_words(families, output.escaping, false),
        Offer::ProtobufCompact => return protobuf::write::families_in_words(families, output.escaping, true),
        Offer::Text | Offer::OpenMetrics1 | Offer::OpenMetrics0 => {}
    }
    let mut writer = Writer::new(output);
    for family in families {
        writer.family(&family.name, Some(&family.help), protobuf::write::metric_type(family.kind));
        for metric in &family.metrics {
            write_metric(&mut writer, metric);
        }
    }
    writer.finish().into_bytes()
}

fn write_metric(writer: &mut Writer, metric: &Metric) {
    let mut labels: Vec<(&str, &str)> = metric.labels.iter().map(|(n, v)| (&**n, &**v)).collect();
    // Go's client sorts the labels of a metric by name.
    labels.sort_unstable();
    match &metric.value {
        Value::Number(value) => writer.sample(&Sample::plain(&labels, *value)),
        Value::Histogram { buckets, sum, count, native: _ } => {
            writer.histogram(&labels, buckets, *sum, *count);
        }
        Value::Summary { quantiles, sum, count } => writer.summary(&labels, quantiles, *sum, *count),
    }
}
