//! How often texts are expanded, under Prometheus' names.
//!
//! COMPAT: console pages are not counted, as in Prometheus.

use narthex_metrics::{Counter, Registry};

use crate::error::TemplateError;

/// The counts. A clone counts into the same.
#[derive(Clone, Debug)]
pub struct ExpansionMetrics {
    expansions: Counter,
    failures: Counter,
}

impl ExpansionMetrics {
    /// Registers them.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        Self {
            expansions: registry.counter(
                "prometheus_template_text_expansions_total",
                "The total number of template text expansions.",
            ),
            failures: registry.counter(
                "prometheus_template_text_expansion_failures_total",
                "The total number of template text expansion failures.",
            ),
        }
    }

    /// Counts one text that was parsed and expanded, or failed at either.
    ///
    /// # Errors
    /// The outcome as it was.
    pub fn count(&self, outcome: Result<String, TemplateError>) -> Result<String, TemplateError> {
        self.expansions.inc();
        outcome.inspect_err(|_| self.failures.inc())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AlertData, Context, MissingKey, NoQueries, SampleValue, Template};

    #[test]
    fn texts_that_fail_count_twice() {
        let registry = Registry::new();
        let metrics = ExpansionMetrics::new(&registry);
        let context = Context {
            now_ms: 0,
            external_url: "",
            path_prefix: "",
            query: &NoQueries,
            missing_key: MissingKey::Zero,
        };
        let data = narthex_model::Labels::empty();
        let data = AlertData {
            labels: data.clone(),
            external_labels: data,
            external_url: String::new(),
            value: SampleValue::Float(1.0),
        };
        for text in ["a", "{{ $value }}", "{{", "{{ .Nothing }}"] {
            let expand = || Template::parse_alert("a", text)?.expand(&data.to_value(), &context);
            assert_eq!(metrics.count(expand()).is_ok(), !text.contains("Nothing") && text != "{{", "{text}");
        }
        assert_eq!((metrics.expansions.get(), metrics.failures.get()), (4.0, 2.0));
    }
}
