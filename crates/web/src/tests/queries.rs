//! Explaining, statistics by step, the list of queries: what clients see of it.

use serde_json::Value;

use super::*;

fn data(site: &Site, request: &str) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = runtime.block_on(ask(site, request));
    let body = text.strip_prefix("200 ").unwrap_or_else(|| panic!("{request}: {text}"));
    serde_json::from_str::<Value>(body).unwrap()["data"].take()
}

#[test]
fn a_plan_is_shown_without_running_and_with_costs_when_asked_for() {
    check_all(
        &ready_site(),
        &[
            (
                "GET /api/v1/query_explain?query=sum(m)&time=5",
                r#"200 {"status":"success","data":{"plan":{"operator":"aggregate","detail":"sum by ()","steps":1,"inputs":[{"operator":"select","detail":"{__name__=\"m\"}","steps":1,"inputs":[]}]}}}"#,
            ),
            (
                "GET /api/v1/query_explain?query=sum(",
                r#"400 {"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis"}"#,
            ),
            (
                "GET /api/v1/query_explain?query=m&analyze=x",
                r#"400 {"status":"error","errorType":"bad_data","error":"invalid parameter \"analyze\": strconv.ParseBool: parsing \"x\": invalid syntax"}"#,
            ),
        ],
    );
    let data =
        data(&ready_site(), "POST /api/v1/query_explain query=sum(m)&start=0&end=10&step=5&analyze=true");
    let plan = &data["plan"];
    assert_eq!((&plan["series"], &plan["samples"], &plan["steps"]), (&1.into(), &3.into(), &3.into()));
    assert_eq!(plan["inputs"][0]["series"], 3, "{data}");
    assert!(plan["seconds"].as_f64().unwrap() > 0.0 && plan["bytes"].as_i64().unwrap() > 0, "{data}");
    assert_eq!(data["stats"]["samples"]["totalQueryableSamples"], 9, "{data}");
    assert!(data["peakBytes"].as_i64().unwrap() > 0, "{data}");
}

#[test]
fn statistics_go_by_step_when_all_are_asked_for() {
    let of = |stats: &str| {
        let path = format!("GET /api/v1/query_range?query=m&start=1&end=2.5&step=1&stats={stats}");
        data(&ready_site(), &path)["stats"]["samples"].to_string()
    };
    assert_eq!(of("true"), r#"{"peakSamples":6,"samplesRead":6,"totalQueryableSamples":6}"#);
    assert_eq!(
        of("all"),
        r#"{"peakSamples":6,"samplesRead":6,"samplesReadPerStep":[[1,3],[2,3]],"totalQueryableSamples":6,"totalQueryableSamplesPerStep":[[1,3],[2,3]]}"#
    );
}

#[test]
fn the_list_is_for_all_and_calling_off_for_the_admin() {
    check_all(
        &ready_site(),
        &[
            ("GET /api/v1/running_queries", r#"200 {"status":"success","data":[]}"#),
            (
                "POST /api/v1/running_queries/cancel id=7",
                r#"400 {"status":"error","errorType":"bad_data","error":"invalid parameter \"id\": no query with number 7 waits or runs"}"#,
            ),
            (
                "POST /api/v1/running_queries/cancel id=x",
                r#"400 {"status":"error","errorType":"bad_data","error":"invalid parameter \"id\": it must be a number of the list"}"#,
            ),
        ],
    );
    let site = new_site(SiteOptions { admin: false, ..options() });
    open(&site);
    let refused = r#"500 {"status":"error","errorType":"unavailable","error":"admin APIs disabled"}"#;
    check_all(&site, &[("POST /api/v1/running_queries/cancel id=7", refused)]);
}
