//! go-yaml's strict rules on whole sections: nulls, merges, duplicates, bounds.

use crate::Config;

#[track_caller]
fn check_ok(text: &str, look: impl Fn(&Config) -> bool) {
    let config = Config::parse(text, "p.yml").unwrap_or_else(|e| panic!("{e}"));
    assert!(look(&config), "{config:?}");
}

#[track_caller]
fn check_fails(text: &str, expected: &str) {
    let e = Config::parse(text, "p.yml").expect_err("it is wrong");
    assert!(e.as_prometheus().contains(expected), "{expected:?} in {:?}", e.as_prometheus());
}

#[test]
fn scalars_keep_their_spelling_as_texts_and_convert_as_numbers() {
    check_ok("scrape_configs: [{job_name: 1.10}]", |c| c.scrape_configs[0].job_name == "1.10");
    check_ok("scrape_configs: [{job_name: 0755}]", |c| c.scrape_configs[0].job_name == "0755");
    check_ok("scrape_configs: [{job_name: yes, honor_labels: on}]", |c| {
        c.scrape_configs[0].job_name == "yes" && c.scrape_configs[0].honor_labels
    });
    check_ok("global: {sample_limit: 1_000, label_limit: 010, target_limit: 2.0}", |c| {
        (c.global.sample_limit, c.global.label_limit, c.global.target_limit) == (1000, 8, 2)
    });
    check_fails("global: {sample_limit: '12'}", "line 1: cannot unmarshal !!str `12` into uint");
    check_fails("global: {sample_limit: -1}", "line 1: cannot unmarshal !!int `-1` into uint");
    check_fails("global: {query_log_file: {a: b}}", "line 1: cannot unmarshal !!map into string");
    check_fails(
        "scrape_configs: [{job_name: a, honor_labels: 'true'}]",
        "cannot unmarshal !!str `true` into bool",
    );
    check_fails(
        "scrape_configs: [{job_name: a, honor_labels: averylongword}]",
        "!!str `averylo...` into bool",
    );
}

#[test]
fn null_over_a_default_zeroes_it() {
    check_ok("global:", |c| c.global == crate::GlobalConfig::default());
    check_ok("scrape_configs: [{job_name: a, metrics_path: null, honor_timestamps: ~}]", |c| {
        c.scrape_configs[0].metrics_path.is_empty() && !c.scrape_configs[0].honor_timestamps
    });
    check_ok("scrape_configs:", |c| c.scrape_configs.is_empty());
    check_fails("remote_write: [{url: 'http://h', queue_config: null}]", "max_shards must be positive");
    check_fails("scrape_configs: [{job_name: null}]", "job_name is empty");
    check_fails("scrape_configs: [null]", "empty or null scrape config section");
}

#[test]
fn merge_keys_and_aliases_work_and_duplicates_do_not() {
    let merged = "
scrape_configs:
- &base {job_name: a, metrics_path: /x, scrape_protocols: [PrometheusProto]}
- {<<: *base, job_name: b}
";
    check_ok(merged, |c| c.scrape_configs[1].job_name == "b" && c.scrape_configs[1].metrics_path == "/x");
    let list = "
global: {external_labels: {a: &x '1'}}
scrape_configs:
- {job_name: j, <<: [{metrics_path: /first, scheme: https}, {metrics_path: /second}]}
";
    check_ok(list, |c| c.scrape_configs[0].metrics_path == "/first" && c.scrape_configs[0].scheme == "https");
    check_fails("global: {}\nglobal: {}\n", "line 2: field global already set in type config.plain");
    check_fails("global: {external_labels: {a: b, a: c}}", "line 1: key \"a\" already set in map");
    check_fails(
        "scrape_configs: [{<<: 5, job_name: a}]",
        "map merge requires map or sequence of maps as the value",
    );
    check_fails("scrape_configs: [&a {<<: *a, job_name: x}]", "a merge contains itself");
    let unknown = "scrape_configs: [{<<: {scrape_protocols: [Nope]}, job_name: x}]";
    check_fails(unknown, "unknown scrape protocol Nope, supported: [");
}

#[test]
fn a_small_file_cannot_unfold_into_a_huge_value() {
    let mut text = String::from(
        "scrape_configs:\n- job_name: a\n  oauth2:\n    claims:\n      l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n",
    );
    for level in 1..9 {
        let items = vec![format!("*l{}", level - 1); 10].join(", ");
        text.push_str(&format!("      l{level}: &l{level} [{items}]\n"));
    }
    check_fails(&text, "document contains excessive aliasing");
}

#[test]
fn environment_variables_expand_in_external_labels_only() {
    check_ok(
        "global: {external_labels: {a: $$x, b: '${NARTHEX_SURELY_UNSET}y'}, query_log_file: $HOME}",
        |c| {
            c.global.external_labels.value("a") == "$x"
                && c.global.external_labels.value("b") == "y"
                && c.global.query_log_file == "$HOME"
                && c.warnings.len() == 1
        },
    );
}
