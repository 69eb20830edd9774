//! Requests made of odd pieces: whatever comes, the answer is one that clients can read, and no handler breaks.

use serde_json::Value;

use super::*;

/// Pieces of parameters, good, bad and hostile.
const VALUES: &[&str] = &[
    "",
    "m",
    "m[5m]",
    "sum(m)",
    "{i=\"0\"}",
    "{}",
    "x{",
    "(((",
    "1",
    "0",
    "-1",
    "5",
    "1e400",
    "NaN",
    "-Inf",
    "1_0",
    "5m",
    "-5m",
    "1e-9",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "2024-01-01T00:00:00Z",
    "292277025-08-18T07:12:54.999999999Z",
    "-292273086-05-16T16:47:06Z",
    "true",
    "all",
    "x",
    "a",
    "<&>\"'\\",
    "é\u{0}\u{2028}",
    "U__",
    "alpha",
    "score",
    "dsc",
    "subsequence",
    "jarowinkler",
    "100",
    "{\"a\":\"b\"}",
    "[1",
    "active",
    "record",
    "1-3",
    "vector(1) + vector(1)",
    "\"s\"",
    "rate(m[1m:1s] @ end())",
];

const NAMES: &[&str] = &[
    "query",
    "time",
    "start",
    "end",
    "step",
    "timeout",
    "lookback_delta",
    "limit",
    "stats",
    "analyze",
    "match[]",
    "metric",
    "match_target",
    "limit_per_metric",
    "state",
    "scrapePool",
    "labels",
    "label",
    "search[]",
    "fuzz_threshold",
    "fuzz_alg",
    "sort_by",
    "sort_dir",
    "batch_size",
    "include_score",
    "include_metadata",
    "case_sensitive",
    "type",
    "exclude_alerts",
    "group_limit",
    "group_next_token",
    "rule_name[]",
    "metric_name_pattern",
    "id",
    "endpoint",
    "after",
    "status",
    "skip_head",
    "openapi_version",
    "all",
];

const BODIES: &[&str] = &["", "{}", "{\"matchers\":[{}]}", "[", "\u{0}", "a=b&%zz", "query=%ff&match[]=%c3"];

/// A generator whose numbers its seed decides.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    /// Some parameters, mostly well escaped.
    fn form(&mut self) -> String {
        let mut pairs = Vec::new();
        for _ in 0..self.below(6) {
            let (name, value) = (self.of(NAMES), self.of(VALUES));
            let escape = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
            pairs.push(match self.below(20) {
                0 => format!("{name}={}", escape(value).trim_end_matches(|c: char| c.is_ascii_hexdigit())),
                1 => format!("{};{name}", escape(value)),
                _ => format!("{}={}", escape(name), escape(value)),
            });
        }
        pairs.join("&")
    }

    /// A path of the table, with a name for its place; now and then with something odd.
    fn path(&mut self) -> (String, Method) {
        let route = &crate::routes::ROUTES[self.below(crate::routes::ROUTES.len())];
        let name = ["i", "__name__", "%ff", "U__a", "%00", "a%2Fb", "%zz", ""][self.below(8)];
        let path = route.pattern.replace(":name", name);
        let odd = ["", "", "", "", "", "", "/", "//x", "/../x", "%41"][self.below(10)];
        (format!("{path}{odd}"), route.methods[self.below(route.methods.len())].clone())
    }
}

#[track_caller]
fn check_answer(request: &str, status: u16, kind: &str, body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    assert!(!text.contains("unexpected error"), "{request}: {text}");
    assert!(
        matches!(status, 200 | 204 | 301 | 302 | 307 | 400 | 403 | 404 | 405 | 422 | 500 | 503),
        "{request}: {status}"
    );
    if kind.starts_with("application/json") && !body.is_empty() {
        let json: Value = serde_json::from_slice(body).unwrap_or_else(|e| panic!("{request}: {e}: {text}"));
        // The build information stands alone, and so does what the older gateway says.
        let word = json["status"].as_str().unwrap_or("success");
        assert_eq!(word == "success" && json["error"].is_null(), status == 200, "{request}: {status} {text}");
    }
}

#[test]
fn whatever_is_asked_has_an_answer_that_can_be_read() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let seed = std::env::var("NARTHEX_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    println!("seed {seed}");
    let (mut chance, site) = (Chance(seed), ready_site());
    for _ in 0..4000 {
        let (path, method) = chance.path();
        let (query, form, plain) = (chance.form(), chance.form(), chance.of(BODIES));
        let body = if chance.below(4) == 0 { plain.to_owned() } else { form };
        let request = format!("{method} {path}?{query} {body}");
        let uri = format!("{path}?{query}");
        let built = http::Request::builder().method(method).uri(&uri);
        // What is no URI at all never gets here.
        let Ok(built) = built.header("content-type", "application/x-www-form-urlencoded").body(()) else {
            continue;
        };
        let (head, ()) = built.into_parts();
        let peer = "127.0.0.1:1".parse().unwrap();
        let answer = site.handle(Request { head, body: RequestBody::Ready(Bytes::from(body)), peer });
        runtime.block_on(async {
            let response = answer.await;
            let kind = response.headers().get("content-type").map_or("", |v| v.to_str().unwrap()).to_owned();
            if kind == "text/event-stream" {
                return;
            }
            let status = response.status().as_u16();
            let body = response.into_body().read_to_end().await.unwrap();
            check_answer(&request, status, &kind, &body);
        });
    }
}
