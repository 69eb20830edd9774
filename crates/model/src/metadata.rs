//! What a target says about a metric family: type, unit, help.

use std::fmt;

/// The type of a metric family, in OpenMetrics' words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MetricType {
    /// Not known, or `untyped`.
    #[default]
    Unknown,
    /// Only rises, or restarts from 0.
    Counter,
    /// Any value.
    Gauge,
    /// Buckets, classic or native, of a counter-like distribution.
    Histogram,
    /// Buckets that may shrink.
    GaugeHistogram,
    /// Quantiles.
    Summary,
    /// A constant 1 with labels.
    Info,
    /// One of several states.
    StateSet,
}

impl MetricType {
    /// The word in the API and in OpenMetrics: `unknown`, `counter`, `gauge`, `histogram`, `gaugehistogram`, `summary`,
    /// `info`, `stateset`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }

    /// The reverse of [`MetricType::as_str`]; `untyped` is `Unknown`, anything else `None`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "unknown" | "untyped" => Self::Unknown,
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "gaugehistogram" => Self::GaugeHistogram,
            "summary" => Self::Summary,
            "info" => Self::Info,
            "stateset" => Self::StateSet,
            _ => return None,
        })
    }
}

impl fmt::Display for MetricType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Type, unit and help of a metric family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// The family's type.
    pub kind: MetricType,
    /// Its unit, `""` when not given.
    pub unit: String,
    /// Its help text, unescaped.
    pub help: String,
}
