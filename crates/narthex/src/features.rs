//! The names of `--enable-feature`: which change something here, which are known beside, and what the log says of each.
//!
//! Facts: Prometheus 3.14; `conformance/inventories/feature-flags.tsv`.

use narthex_config::FeatureDefaults;

use crate::flags::Flags;

/// What a feature does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// It switches something on.
    Acts,
    /// What it switched on is always on.
    Always,
    /// There is nothing here that it could change: it tunes how Prometheus itself works.
    Nothing,
    /// Its part is not built yet.
    NotYet,
}

const FEATURES: [(&str, Effect); 28] = [
    ("promql-experimental-functions", Effect::Acts),
    ("promql-extended-range-selectors", Effect::Acts),
    ("promql-binop-fill-modifiers", Effect::Acts),
    ("promql-delayed-name-removal", Effect::Acts),
    ("type-and-unit-labels", Effect::Acts),
    ("use-start-timestamps", Effect::Acts),
    ("exemplar-storage", Effect::Acts),
    ("metadata-wal-records", Effect::Acts),
    ("created-timestamp-zero-ingestion", Effect::Acts),
    ("st-storage", Effect::Acts),
    ("delayed-compaction", Effect::Acts),
    ("memory-snapshot-on-shutdown", Effect::Acts),
    ("xor2-encoding", Effect::Acts),
    ("histograms-st-encoding", Effect::Acts),
    ("promql-duration-expr", Effect::Always),
    ("native-histograms", Effect::Acts),
    ("ooo-native-histograms", Effect::Always),
    ("fast-startup", Effect::Nothing),
    ("use-uncached-io", Effect::Nothing),
    ("old-ui", Effect::Nothing),
    ("extra-scrape-metrics", Effect::Acts),
    ("promql-per-step-stats", Effect::Acts),
    ("auto-reload-config", Effect::NotYet),
    ("concurrent-rule-eval", Effect::NotYet),
    ("st-synthesis", Effect::Acts),
    ("otlp-deltatocumulative", Effect::NotYet),
    ("otlp-native-delta-ingestion", Effect::NotYet),
    ("search-api", Effect::Acts),
];

/// Whether a feature is switched on. The name must be one of the table.
#[must_use]
pub(crate) fn on(flags: &Flags, name: &str) -> bool {
    debug_assert!(FEATURES.iter().any(|(known, _)| *known == name), "{name} is no feature");
    flags.features().any(|given| given == name)
}

/// What features change in the defaults of the configuration file.
#[must_use]
pub(crate) fn config_defaults(flags: &Flags) -> FeatureDefaults {
    FeatureDefaults {
        proto_first: on(flags, "created-timestamp-zero-ingestion") || on(flags, "st-storage"),
        // COMPAT: later releases only warn of it; here it goes on to mean what it says (exposition cases).
        scrape_native_histograms: on(flags, "native-histograms"),
        extra_scrape_metrics: on(flags, "extra-scrape-metrics"),
    }
}

/// Says in the log what each feature of the command line does.
pub(crate) fn log(flags: &Flags) {
    for name in flags.features() {
        match FEATURES.iter().find(|(known, _)| *known == name).map(|(_, effect)| effect) {
            Some(Effect::Acts) => tracing::info!(option = name, "Feature enabled"),
            Some(Effect::Always) => {
                tracing::warn!(option = name, "This option for --enable-feature is a no-op: it is always on");
            }
            Some(Effect::Nothing) => {
                tracing::info!(
                    option = name,
                    "This option for --enable-feature is accepted; there is nothing here to change"
                );
            }
            Some(Effect::NotYet) => {
                tracing::warn!(option = name, "This option for --enable-feature has no effect here yet");
            }
            None => tracing::warn!(option = name, "Unknown option for --enable-feature"),
        }
    }
}
