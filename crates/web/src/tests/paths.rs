//! Paths, methods, prefixes, and what is refused before a handler sees it.

use super::*;

#[test]
fn what_is_off_says_how_it_is_switched_on() {
    let off = "404 otlp write receiver needs to be enabled with --web.enable-otlp-receiver\n";
    check_all(
        &ready_site(),
        &[
            ("POST /api/v1/otlp/v1/metrics", off),
            ("GET /api/v1/otlp/v1/metrics", "405 allow=OPTIONS, POST Method Not Allowed\n"),
        ],
    );
}

#[test]
fn until_ready_and_while_stopping_the_storage_is_unavailable() {
    let site = new_site(options());
    check_all(
        &site,
        &[
            ("GET /-/ready", "503 x-prometheus-stopping=false Service Unavailable"),
            ("GET /api/v1/query?query=m", "503 x-prometheus-stopping=false Service Unavailable"),
            ("GET /-/healthy", "200 Prometheus Server is Healthy.\n"),
            (
                "GET /api/v1/notifications",
                r#"200 {"status":"success","data":[{"text":"Look out.","date":"1970-01-01T00:00:00Z","active":true}]}"#,
            ),
            (
                "GET /api/v1/status/walreplay",
                r#"200 {"status":"success","data":{"min":1,"max":3,"current":2}}"#,
            ),
        ],
    );
    open(&site);
    check_all(&site, &[("GET /-/ready", "200 Prometheus Server is Ready.\n"), ("HEAD /-/ready", "200 ")]);
    site.close();
    check_all(&site, &[("GET /-/ready", "503 x-prometheus-stopping=true Service Unavailable")]);
}

#[test]
fn lifecycle_needs_its_flag_and_the_right_method() {
    let off = new_site(SiteOptions { lifecycle: false, ..options() });
    check_all(
        &off,
        &[
            ("POST /-/reload", "403 Lifecycle API is not enabled."),
            ("PUT /-/quit", "403 Lifecycle API is not enabled."),
            ("GET /-/quit", "405 Only POST or PUT requests allowed"),
        ],
    );
    check_all(
        &new_site(options()),
        &[
            ("POST /-/reload", "200 "),
            ("PUT /-/reload", "500 failed to reload config: bad file\n"),
            ("POST /-/quit", "200 Requesting termination... Goodbye!"),
            ("POST /-/quit", "200 Termination already in progress."),
        ],
    );
}

/// As Go's `FormValue`: parts count for every method, behind the URL; who reads the whole form first sees none.
#[test]
fn forms_in_parts_are_read_where_prometheus_reads_them() {
    let part = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = part("query", "1") + &part("time", "5") + &part("match[]", "m") + "--b--\r\n";
    let scalar = r#"200 {"status":"success","data":{"resultType":"scalar","result":[5,"1"]}}"#;
    let of_url = r#"200 {"status":"success","data":{"resultType":"scalar","result":[5,"2"]}}"#;
    let none = r#"400 {"status":"error","errorType":"bad_data","error":"no match[] parameter provided"}"#;
    let odd = r#"400 {"status":"error","errorType":"bad_data","error":"error parsing form values: mime: expected token after slash"}"#;
    let parts = "multipart/form-data; boundary=b";
    let site = ready_site();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for (request, kind, expected) in [
        ("POST /api/v1/query", parts, scalar),
        ("GET /api/v1/query", parts, scalar),
        ("POST /api/v1/query?query=2", parts, of_url),
        ("POST /api/v1/series", parts, none),
        ("POST /api/v1/series?match[]=m", "multipart/", odd),
        ("GET /api/v1/query?query=2&time=5", "multipart/", of_url),
    ] {
        let got = runtime.block_on(ask_with(&site, &format!("{request} {body}"), kind));
        assert_eq!(got, expected, "{request} {kind}");
    }
}

#[test]
fn a_route_prefix_is_taken_off_and_put_into_redirects() {
    let site = new_site(SiteOptions {
        route_prefix: "/prom".to_owned(),
        external_path: "/prom".to_owned(),
        ..options()
    });
    check_all(
        &site,
        &[
            ("GET /prom/-/healthy", "200 Prometheus Server is Healthy.\n"),
            ("GET /-/healthy", "404 404 page not found\n"),
            ("GET /promenade", "404 404 page not found\n"),
            ("GET /", "302 location=/prom <a href=\"/prom\">Found</a>.\n\n"),
            ("GET /prom", "301 location=/prom/ <a href=\"/prom/\">Moved Permanently</a>.\n\n"),
            ("POST /prom", "404 404 page not found\n"),
            ("GET /prom/", "302 location=/prom/query <a href=\"/prom/query\">Found</a>.\n\n"),
            (
                "GET /prom/graph?a=b",
                "302 location=/prom/query?a=b <a href=\"/prom/query?a=b\">Found</a>.\n\n",
            ),
        ],
    );
}

#[test]
fn paths_that_are_nearly_right_lead_to_the_right_ones() {
    let page = |word: &str, to: &str| format!("<a href=\"{to}\">{word}</a>.\n\n");
    check_all(
        &ready_site(),
        &[
            ("GET /", &format!("302 location=/query {}", page("Found", "/query"))),
            (
                "GET /metrics/?a=b",
                &format!("301 location=/metrics?a=b {}", page("Moved Permanently", "/metrics?a=b")),
            ),
            ("GET /api/v1", &format!("307 location=/api/v1/ {}", page("Temporary Redirect", "/api/v1/"))),
            ("GET //metrics", &format!("307 location=/metrics {}", page("Temporary Redirect", "/metrics"))),
            ("POST /metrics/", "404 404 page not found\n"),
            ("POST //a%20b", "307 location=/a%20b "),
            (
                "GET /x%2f%2e%2e/metrics",
                &format!("301 location=/metrics {}", page("Moved Permanently", "/metrics")),
            ),
            (
                "GET /api/v1/x/..",
                &format!("307 location=/api/v1/ {}", page("Temporary Redirect", "/api/v1/")),
            ),
            (
                "GET /CONSOLES/A.html",
                &format!("301 location=/consoles/A.html {}", page("Moved Permanently", "/consoles/A.html")),
            ),
            ("GET *", "400 400 Bad Request"),
        ],
    );
}

/// Go's server drops what is malformed; some handlers look whether it did, most go on.
#[test]
fn malformed_parameters_are_refused_where_prometheus_does() {
    let escape = r#"400 {"status":"error","errorType":"bad_data","error":"error parsing form values: invalid URL escape \"%zz\""}"#;
    check_all(
        &ready_site(),
        &[
            ("GET /api/v1/series?match[]=m&x=%zz", escape),
            ("POST /api/v1/series match[]=%zz", escape),
            ("GET /api/v1/rules?x=%zz", escape),
            ("POST /api/v1/admin/tsdb/delete_series?x=%zz", escape),
            ("GET /federate?x=%zz", "400 error parsing form values: invalid URL escape \"%zz\"\n"),
            ("GET /api/v1/label/%zz/values", "400 400 Bad Request"),
            ("GET /metrics%", "400 400 Bad Request"),
            (
                "GET /api/v1/label/U__/values",
                r#"400 {"status":"error","errorType":"bad_data","error":"invalid label name: \"\""}"#,
            ),
            ("GET /api/v1/%6cabels", r#"200 {"status":"success","data":["__name__","i"]}"#),
            (
                "GET /api/v1/rules?group_limit=99999999999",
                r#"400 {"status":"error","errorType":"bad_data","error":"invalid parameter \"group_limit\": group_limit needs to be a valid number: strconv.ParseInt: parsing \"99999999999\": value out of range"}"#,
            ),
            ("GET /api/v1/labels?x=%zz", r#"200 {"status":"success","data":["__name__","i"]}"#),
        ],
    );
}

#[test]
fn other_methods_are_refused_with_the_allowed_ones() {
    check_all(
        &ready_site(),
        &[
            ("DELETE /api/v1/query", "405 allow=GET, OPTIONS, POST Method Not Allowed\n"),
            ("OPTIONS /metrics", "200 allow=GET, OPTIONS "),
            ("OPTIONS /api/v1/anything", "204 "),
            (
                "POST /api/v1/write",
                "404 remote write receiver needs to be enabled with --web.enable-remote-write-receiver\n",
            ),
        ],
    );
}
