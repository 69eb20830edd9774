//! Searches: lines of results, what they are bounded by, and what is wrong with a request, in Prometheus' order and words.

use super::*;

#[track_caller]
fn check(query: &str, expected: &str) {
    let path = format!("GET /api/v1/search/{query}");
    check_all(&ready_site(), &[(&path, &format!("200 {expected}\n"))]);
}

const END: &str = r#"{"status":"success","has_more":false}"#;
const MORE: &str = r#"{"status":"success","has_more":true}"#;

#[test]
fn results_come_in_batches_and_the_end_says_whether_there_is_more() {
    check("metric_names", &format!("{{\"results\":[{{\"name\":\"m\"}}]}}\n{END}"));
    check("metric_names?search[]=zz", &format!("{{\"results\":[]}}\n{END}"));
    let values = |texts: &[&str]| {
        let all: Vec<String> = texts.iter().map(|text| format!("{{\"value\":\"{text}\"}}")).collect();
        format!("{{\"results\":[{}]}}", all.join(","))
    };
    check("label_values?label=i", &format!("{}\n{END}", values(&["0", "1", "2"])));
    check("label_values?label=i&limit=2", &format!("{}\n{MORE}", values(&["0", "1"])));
    check(
        "label_values?label=i&limit=2&batch_size=1",
        &format!("{}\n{}\n{MORE}", values(&["0"]), values(&["1"])),
    );
    check("label_values?label=i&sort_by=alpha&sort_dir=dsc&limit=1", &format!("{}\n{MORE}", values(&["2"])));
    check(
        "label_values?label=i&match[]=m&match[]=m{i=%220%22}",
        &format!("{}\n{END}", values(&["0", "1", "2"])),
    );
    check("label_values?label=none", &format!("{}\n{END}", values(&[])));
}

#[test]
fn scores_and_metadata_are_shown_on_demand() {
    let one = r#"{"results":[{"name":"m","score":1,"type":"gauge","help":"one"}]}"#;
    check(
        "metric_names?include_score=true&include_metadata=1&search[]=M&case_sensitive=0",
        &format!("{one}\n{END}"),
    );
    let both = r#"{"results":[{"name":"i","score":1},{"name":"__name__","score":0.0275}]}"#;
    let query = "label_names?search[]=i&search[]=__&search[]=me&fuzz_alg=jarowinkler";
    let asked = format!("{query}&include_score=true");
    check(
        &asked,
        &format!(
            "{{\"results\":[{{\"name\":\"__name__\",\"score\":1}},{{\"name\":\"i\",\"score\":1}}]}}\n{END}"
        ),
    );
    let by_score =
        "label_names?search[]=i&search[]=me__&fuzz_alg=jarowinkler&sort_by=score&include_score=true";
    check(by_score, &format!("{}\n{END}", both.replace("0.0275", "0.09999999999999998")));
}

#[test]
fn what_is_wrong_is_told_in_prometheus_order() {
    let site = ready_site();
    let end = "end timestamp must not be before start timestamp";
    let many = "search[]=a&".repeat(33);
    for (query, error) in [
        ("start=x", "invalid time value for 'start': cannot parse \\\"x\\\" to a valid timestamp"),
        ("start=2&end=1", end),
        ("match[]={}", "match[] must contain at least one non-empty matcher"),
        (&*many, "too many search[] terms: got 33, maximum is 32"),
        ("fuzz_threshold=101", "invalid fuzz_threshold \\\"101\\\": must be 0-100"),
        ("fuzz_alg=x", "unsupported fuzz_alg \\\"x\\\": must be one of [subsequence jarowinkler]"),
        ("case_sensitive=x", "invalid case_sensitive \\\"x\\\": must be boolean"),
        ("include_score=x", "invalid include_score \\\"x\\\": must be boolean"),
        ("sort_dir=asc", "sort_dir is only valid when sort_by is set"),
        ("sort_dir=asc&sort_by=score", "sort_dir is not supported for sort_by=score"),
        ("sort_dir=x&sort_by=alpha", "invalid sort_dir \\\"x\\\": must be \\\"asc\\\" or \\\"dsc\\\""),
        ("sort_by=score", "sort_by=score requires search[] to be set"),
        ("limit=0&sort_by=x", "invalid limit \\\"0\\\": must be a positive integer"),
        ("limit=1001", "limit 1001 exceeds the configured maximum (1000, see --web.search.max-limit)"),
        ("batch_size=-1", "invalid batch_size \\\"-1\\\": must be a positive integer"),
        ("sort_by=x", "invalid sort_by \\\"x\\\" for label_values: must be \\\"alpha\\\" or \\\"score\\\""),
        ("x=%zz", "error parsing form values: invalid URL escape \\\"%zz\\\""),
        ("", "missing required parameter \\\"label\\\""),
    ] {
        let expected = format!(r#"400 {{"status":"error","errorType":"bad_data","error":"{error}"}}"#);
        let query = query.replace('{', "%7B").replace('}', "%7D");
        check_all(&site, &[(&format!("GET /api/v1/search/label_values?{query}"), &expected)]);
        check_all(&site, &[(&format!("POST /api/v1/search/label_values {query}"), &expected)]);
    }
    let metadata = r#"400 {"status":"error","errorType":"bad_data","error":"invalid include_metadata \"x\": must be boolean"}"#;
    check_all(&site, &[("GET /api/v1/search/metric_names?include_metadata=x", metadata)]);
}

#[test]
fn searching_is_off_unless_switched_on() {
    let site = new_site(SiteOptions { search: false, ..options() });
    let starting = "503 x-prometheus-stopping=false Service Unavailable";
    check_all(&site, &[("GET /api/v1/search/label_names", starting)]);
    open(&site);
    let off = r#"500 {"status":"error","errorType":"unavailable","error":"search API disabled"}"#;
    check_all(&site, &[("GET /api/v1/search/label_names?limit=x", off)]);
}
