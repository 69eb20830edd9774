//! The page, and what the server says about itself.

use super::*;

#[test]
fn own_metrics_are_shown_as_json() {
    let site = new_site(options());
    site.shared.registry.counter_vec("t_total", "T<.", &["b", "a"]).with(&["1", "2"]).add(2.0);
    site.shared.registry.histogram("t_seconds", "S.", &[0.5]).observe(0.25);
    site.shared.registry.gauge("t_gauge", "G.").set(f64::NEG_INFINITY);
    site.shared.registry.native_histogram("t_native", "N.", &[]).observe(1.0);
    open(&site);
    let native = r#"{"name":"t_native","help":"N.","type":"HISTOGRAM","metric":[{"histogram":{"sampleCount":"1","sampleSum":1,"schema":3,"zeroThreshold":2.938735877055719e-39,"zeroCount":"0","positiveSpan":[{"offset":0,"length":1}],"positiveDelta":["1"]}}]}"#;
    let counter = r#"{"name":"t_total","help":"T\u003c.","type":"COUNTER","metric":[{"label":[{"name":"a","value":"2"},{"name":"b","value":"1"}],"counter":{"value":2}}]}"#;
    let gauge = r#"{"name":"t_gauge","help":"G.","type":"GAUGE","metric":[{"gauge":{"value":"-Infinity"}}]}"#;
    let histogram = r#"{"name":"t_seconds","help":"S.","type":"HISTOGRAM","metric":[{"histogram":{"sampleCount":"1","sampleSum":0.25,"bucket":[{"cumulativeCount":"1","upperBound":0.5}]}}]}"#;
    let path = "GET /api/v1/status/self_metrics?metric_name_pattern";
    let runtime = runtime();
    let shown = runtime.block_on(ask(&site, &format!("{path}=t_.*")));
    let (shown, times) = without_created(&shown);
    assert_eq!(
        shown,
        format!(r#"200 {{"status":"success","data":[{gauge},{native},{histogram},{counter}]}}"#)
    );
    assert_eq!(times, 3, "gauges have none");
    check_all(
        &site,
        &[
            (&format!("{path}=t_"), r#"200 {"status":"success","data":[]}"#),
            (
                &format!("{path}=("),
                r#"400 {"status":"error","errorType":"bad_data","error":"invalid metric_name_pattern: error parsing regexp: missing closing ): `^(?:()$`"}"#,
            ),
        ],
    );
    let all = runtime.block_on(ask(&site, "GET /api/v1/status/self_metrics"));
    let json: serde_json::Value = serde_json::from_str(all.strip_prefix("200 ").unwrap()).unwrap();
    assert!(json["data"].as_array().unwrap().len() > 5);
}

/// The answer without the times at which metrics began, which must be times, and how many there were.
fn without_created(answer: &str) -> (String, usize) {
    let mut parts = answer.split(r#","createdTimestamp":""#);
    let (mut rest, mut times) = (parts.next().unwrap().to_owned(), 0);
    for part in parts {
        let (time, after) = part.split_once('"').unwrap();
        assert!(narthex_model::parse_rfc3339(time).is_some(), "{time}");
        rest.push_str(after);
        times += 1;
    }
    (rest, times)
}

#[test]
fn the_page_names_version_targets_and_links_and_escapes_text() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let page = runtime.block_on(ask(&ready_site(), "GET /query"));
    for part in [
        "200 <!doctype html>",
        "Title &amp; more",
        "3.14.0",
        "1 of 1 up",
        "href=\"/api/v1/targets\"",
        "Look out.",
    ] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
}

#[test]
fn own_metrics_count_requests_by_handler_and_code() {
    let site = ready_site();
    check_all(&site, &[("GET /-/healthy", "200 Prometheus Server is Healthy.\n")]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = runtime.block_on(ask(&site, "GET /metrics"));
    for line in [
        "prometheus_http_requests_total{code=\"200\",handler=\"/-/healthy\"} 1\n",
        "prometheus_ready 1\n",
        "prometheus_http_request_duration_seconds_bucket{handler=\"/-/healthy\",le=\"+Inf\"} 1\n",
    ] {
        assert!(text.contains(line), "{line} is missing in {text}");
    }
}
