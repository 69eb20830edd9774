//! `/api/v1/features`: what this server can do, by area, so that clients need not guess from a version.
//!
//! Facts: names and areas are those of Prometheus 3.14 (`conformance/inventories/features.json`). What is not there is `false`,
//! or left out where the area is a list of parts that a build may lack (discovery, templates).

use narthex_promql::functions_table::Function;

use crate::answer::{ApiResult, PLAIN};
use crate::json::JsonOut;
use crate::services::Services;
use crate::site::{Shared, SiteOptions};

/// Operators and aggregations that are always there.
const OPERATORS: &[&str] = &[
    "!=",
    "!~",
    "%",
    "*",
    "+",
    "-",
    "/",
    "<",
    "</",
    "<=",
    "==",
    "=~",
    ">",
    ">/",
    ">=",
    "@",
    "^",
    "and",
    "atan2",
    "avg",
    "bottomk",
    "count",
    "count_values",
    "group",
    "max",
    "min",
    "or",
    "quantile",
    "stddev",
    "stdvar",
    "sum",
    "topk",
    "unless",
];
/// Aggregations behind the switch for experimental functions.
const EXPERIMENTAL_OPERATORS: &[&str] = &["limit_ratio", "limitk"];

/// Features of an area: name, and whether it is there and on.
type Area = Vec<(&'static str, bool)>;

/// `/api/v1/features`
pub(super) fn features(shared: &Shared, services: &Services, out: &mut JsonOut) -> ApiResult {
    let on = |name: &str| has_feature(&shared.options, name);
    let areas = [
        ("api", api(&shared.options, services)),
        ("otlp_receiver", vec![("delta_conversion", false), ("native_delta_ingestion", false)]),
        (
            "prometheus",
            vec![
                ("agent_mode", false),
                ("auto_reload_config", false),
                ("server_mode", true),
                ("stringlabels", true),
            ],
        ),
        ("promql", promql(&on)),
        ("promql_functions", functions(&on)),
        ("promql_operators", operators(&on)),
        ("rules", vec![("concurrent_rule_eval", false), ("keep_firing_for", false), ("query_offset", false)]),
        (
            "scrape",
            vec![
                ("extra_scrape_metrics", true),
                ("start_timestamp_zero_ingestion", on("created-timestamp-zero-ingestion")),
                ("type_and_unit_labels", false),
            ],
        ),
        ("service_discovery_providers", vec![("file", true), ("static", true)]),
        ("templating_functions", Vec::new()),
        ("tsdb", tsdb(&on)),
        ("ui", vec![("ui_v2", false), ("ui_v3", false)]),
    ];
    out.raw("{");
    for (at, (name, area)) in areas.iter().enumerate() {
        out.member(name, at == 0).raw("{");
        for (at, (name, there)) in area.iter().enumerate() {
            if at > 0 {
                out.raw(",");
            }
            out.text(name).raw(":").bool(*there);
        }
        out.raw("}");
    }
    out.raw("}");
    PLAIN
}

/// Whether `--enable-feature` names it.
fn has_feature(options: &SiteOptions, name: &str) -> bool {
    let given = options.flags.iter().find(|(flag, _)| flag == "enable-feature");
    given.is_some_and(|(_, names)| names.split(',').any(|n| n == name))
}

fn api(options: &SiteOptions, services: &Services) -> Area {
    vec![
        ("admin", options.admin),
        ("exclude_alerts", false),
        ("label_values_match", true),
        ("lifecycle", options.lifecycle),
        ("openapi_3.1", true),
        ("openapi_3.2", true),
        ("otlp_write_receiver", false),
        ("query_stats", true),
        ("query_warnings", true),
        ("remote_write_receiver", services.receiver.is_some()),
        ("search", options.search),
        ("search_fuzz_alg_jarowinkler", true),
        ("search_fuzz_alg_subsequence", true),
        ("time_range_labels", true),
        ("time_range_series", true),
    ]
}

fn promql(on: &impl Fn(&str) -> bool) -> Area {
    let extended = on("promql-extended-range-selectors");
    let fill = on("promql-binop-fill-modifiers");
    vec![
        ("anchored", extended),
        ("at_modifier", true),
        ("bool", true),
        ("by", true),
        ("delayed_name_removal", on("promql-delayed-name-removal")),
        ("duration_expr", true),
        ("fill", fill),
        ("fill_left", fill),
        ("fill_right", fill),
        ("group_left", true),
        ("group_right", true),
        ("ignoring", true),
        ("negative_offset", true),
        ("offset", true),
        ("on", true),
        ("per_query_lookback_delta", true),
        ("per_step_stats", on("promql-per-step-stats")),
        ("smoothed", extended),
        ("subqueries", true),
        ("type_and_unit_labels", on("type-and-unit-labels")),
        ("without", true),
    ]
}

fn functions(on: &impl Fn(&str) -> bool) -> Area {
    let experimental = on("promql-experimental-functions");
    Function::ALL.iter().map(|f| (f.name(), experimental || !f.signature().experimental)).collect()
}

fn operators(on: &impl Fn(&str) -> bool) -> Area {
    let experimental = on("promql-experimental-functions");
    let always = OPERATORS.iter().map(|name| (*name, true));
    let mut all: Area = always.chain(EXPERIMENTAL_OPERATORS.iter().map(|n| (*n, experimental))).collect();
    all.sort_unstable();
    all
}

fn tsdb(on: &impl Fn(&str) -> bool) -> Area {
    let mut area = vec![
        ("delayed_compaction", on("delayed-compaction")),
        ("exemplar_storage", on("exemplar-storage")),
        ("histograms_st_encoding", on("histograms-st-encoding")),
        ("isolation", true),
        ("native_histograms", true),
        ("st_storage", on("st-storage")),
        ("use_uncached_io", false),
        ("xor2_encoding", true),
    ];
    if on("metadata-wal-records") {
        // COMPAT: named only where it is on.
        area.insert(4, ("metadata_wal_records", true));
    }
    area
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(area: &Area, name: &str, expected: bool) {
        assert_eq!(area.iter().find(|(n, _)| *n == name).map(|(_, on)| *on), Some(expected), "{name}");
        assert!(area.is_sorted(), "in order of names");
    }

    #[test]
    fn experimental_parts_are_there_when_they_are_switched_on() {
        for on in [false, true] {
            let switch = |name: &str| on && name == "promql-experimental-functions";
            check(&functions(&switch), "mad_over_time", on);
            check(&functions(&switch), "rate", true);
            check(&operators(&switch), "limitk", on);
            check(&operators(&switch), "topk", true);
        }
        check(&promql(&|name| name == "promql-binop-fill-modifiers"), "fill_left", true);
        check(&promql(&|_| false), "anchored", false);
        check(&tsdb(&|name| name == "metadata-wal-records"), "metadata_wal_records", true);
        check(&tsdb(&|name| name == "st-storage"), "st_storage", true);
    }
}
