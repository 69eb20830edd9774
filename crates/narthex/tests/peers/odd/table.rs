//! The odd requests.

use super::data::{API, ESCAPES, HEADERS, MALFORMED, METHODS, OTHER_PATHS, QUERIES, SELECTORS, VALUES};
use crate::process::encode;

/// How closely answers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Status, headers and body.
    All,
    /// Status and headers: the body is a page, or changes from moment to moment.
    Head,
    /// The status: the request is malformed HTTP, or an answer may be cut off.
    Status,
}

/// One request.
pub(super) struct Odd {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    pub(super) look: Look,
}

/// Sends these headers and this body, and ends the connection.
fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    let mut bytes = (head + "\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

#[derive(Default)]
struct Table(Vec<Odd>);

impl Table {
    fn add(&mut self, name: impl Into<String>, look: Look, bytes: Vec<u8>) {
        let name = name.into();
        if !self.0.iter().any(|odd| odd.name == name) {
            self.0.push(Odd { name, bytes, look });
        }
    }

    fn get(&mut self, kind: &str, target: &str) {
        self.add(format!("{kind} {target}"), Look::All, request("GET", target, &[], b""));
    }
}

/// All of them; the data end at `last_s`.
pub(super) fn all(last_s: i64) -> Vec<Odd> {
    let mut table = Table::default();
    methods(&mut table);
    paths(&mut table);
    values(&mut table, last_s);
    selectors(&mut table, last_s);
    queries(&mut table, last_s);
    bodies(&mut table, last_s);
    headers(&mut table, last_s);
    malformed(&mut table);
    table.0
}

fn methods(table: &mut Table) {
    let api: Vec<String> = API.iter().map(|path| format!("/api/v1/{path}")).collect();
    for path in api.iter().map(String::as_str).chain(OTHER_PATHS.iter().copied()) {
        for method in METHODS {
            let body: &[u8] = if *method == "POST" { b"x=y" } else { b"" };
            let look = if *method == "HEAD" { Look::Head } else { Look::All };
            table.add(format!("method {method} {path}"), look, request(method, path, &[], body));
        }
    }
}

fn paths(table: &mut Table) {
    for path in [
        "/metrics",
        "/version",
        "/federate",
        "/-/ready",
        "/consoles/x.html",
        "/api/v1/labels",
        "/api/v1/status/flags",
    ] {
        let (above, last) = path.rsplit_once('/').unwrap();
        for odd in [
            format!("{path}/"),
            format!("{path}//"),
            format!("/{path}"),
            format!("{above}//{last}"),
            format!("{above}/./{last}"),
            format!("{above}/x/../{last}"),
            format!("{above}/../..{path}"),
            format!("{path}/."),
            format!("{path}/.."),
            format!("{path}/x"),
            path.to_uppercase(),
            format!("{path};x=y"),
            format!("{path}%2F"),
            format!("{path}%00"),
            format!("{path}%20"),
            format!("{path}%3Fx"),
            format!("{path}%zz"),
            format!("{path}%"),
            format!("{path}%ff"),
            format!("{above}/%2e%2e/{last}"),
            format!("{above}%2f{last}"),
            format!("{above}/%{:02x}{}", last.as_bytes()[0], &last[1..]),
            format!("{path}\u{e9}"),
            format!("{path}/?a=b&c=%20"),
            format!("//h{path}"),
            format!("http://other{path}"),
            format!("{path}#x"),
        ] {
            // What these say differs, and should.
            let is_own = ["metrics", "version", "flags"].contains(&last);
            let look = if is_own && !odd.ends_with('/') { Look::Head } else { Look::All };
            table.add(format!("path {odd}"), look, request("GET", &odd, &[], b""));
        }
    }
    for name in [
        "",
        "a/b",
        "a%2Fb",
        "%",
        "%ff",
        "%00",
        "a b",
        "a%20b",
        "1a",
        "U__",
        "U___",
        "U__a_2e_b",
        "U__a_2e",
        "U__x_",
        "__name__",
        "\u{e9}",
        "%C3%A9",
        "x%",
        "..",
        "%2e%2e",
    ] {
        table.get("path", &format!("/api/v1/label/{name}/values"));
    }
}

/// Endpoints, the parameters that they need, and those that are odd.
fn endpoints(last_s: i64) -> Vec<(&'static str, String, &'static [&'static str])> {
    let (end, start) = (last_s, last_s - 600);
    vec![
        ("query", format!("query=up&time={end}"), &["time", "timeout", "lookback_delta", "limit", "stats"]),
        (
            "query_range",
            format!("query=up&start={start}&end={end}&step=60"),
            &["start", "end", "step", "timeout", "lookback_delta", "limit"],
        ),
        ("labels", format!("start={start}&end={end}"), &["start", "end", "limit"]),
        ("label/job/values", format!("start={start}&end={end}"), &["start", "end", "limit"]),
        ("series", format!("match[]=up&start={start}&end={end}"), &["start", "end", "limit"]),
        ("query_exemplars", format!("query=up&start={start}&end={end}"), &["start", "end"]),
        ("metadata", String::new(), &["limit", "limit_per_metric"]),
        ("targets/metadata", String::new(), &["limit"]),
        ("status/tsdb", String::new(), &["limit"]),
        ("rules", String::new(), &["group_limit", "exclude_alerts"]),
        ("targets", String::new(), &["state"]),
    ]
}

fn values(table: &mut Table, last_s: i64) {
    for (path, needed, odd) in endpoints(last_s) {
        for parameter in odd {
            let mut others = needed
                .split('&')
                .filter(|p| !p.is_empty() && !p.starts_with(&format!("{parameter}=")))
                .collect::<Vec<_>>()
                .join("&");
            if !others.is_empty() {
                others.push('&');
            }
            // The reference makes room for as many entries at once, and ends.
            let deadly = |value: &str| path == "status/tsdb" && value.len() > 9 && value.starts_with('9');
            for value in VALUES.iter().filter(|value| !deadly(value)) {
                let look = if path == "status/tsdb" { Look::Head } else { Look::All };
                let target = format!("/api/v1/{path}?{others}{parameter}={}", encode(value));
                table.add(
                    format!("value {path} {parameter}={value:?}"),
                    look,
                    request("GET", &target, &[], b""),
                );
            }
            // Given twice, in the URL and in the body: which one counts?
            let twice = format!("/api/v1/{path}?{others}{parameter}=x&{parameter}=1");
            table.get("twice", &twice);
            if !matches!(path, "query" | "query_range" | "labels" | "series") {
                continue;
            }
            for (url, body) in [("x", "1"), ("1", "x"), ("1", ""), ("", "1")] {
                let target = format!("/api/v1/{path}?{others}{parameter}={url}");
                let body = format!("{parameter}={body}");
                let bytes = request("POST", &target, &[("Content-Type", FORM)], body.as_bytes());
                table.add(format!("both {path} {parameter}={url} and {body}"), Look::All, bytes);
            }
        }
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

fn selectors(table: &mut Table, last_s: i64) {
    let times = format!("start={}&end={last_s}", last_s - 600);
    for selector in SELECTORS {
        let selector = encode(selector);
        for path in ["series", "labels", "label/job/values"] {
            table.get("selector", &format!("/api/v1/{path}?{times}&match[]={selector}"));
        }
        table.get("selector", &format!("/api/v1/series?{times}&match[]=up&match[]={selector}"));
        table.get("selector", &format!("/federate?match[]={selector}"));
        table.get("selector", &format!("/api/v1/targets/metadata?match_target={selector}"));
        table.get("selector", &format!("/api/v1/rules?match[]={selector}"));
    }
}

fn queries(table: &mut Table, last_s: i64) {
    let long = format!("up{}", " + up".repeat(50));
    let deep = format!("{}1{}", "(".repeat(200), ")".repeat(200));
    for path in [
        "query",
        "format_query",
        "parse_query",
        "query_exemplars",
        "labels",
        "series",
        "rules",
        "targets",
        "metadata",
    ] {
        for odd in ESCAPES {
            let needed = if path == "series" { "match[]=up&" } else { "" };
            table.get("escape", &format!("/api/v1/{path}?{needed}{odd}"));
        }
    }
    for query in QUERIES.iter().copied().chain([&*long, &*deep]) {
        for path in ["query", "format_query", "parse_query", "query_exemplars"] {
            let target = format!("/api/v1/{path}?query={}&time={last_s}", encode(query));
            table.add(format!("query {path} {query:?}"), Look::All, request("GET", &target, &[], b""));
        }
    }
}

type Bodies = Vec<(&'static str, &'static str, Vec<u8>)>;

/// Forms and what nearly is one: name, type, body.
fn forms(last_s: i64) -> Bodies {
    let form = format!("query=up&time={last_s}&match[]=up&start={}&end={last_s}", last_s - 600);
    let large = format!("query=up&x={}", "y".repeat(11 << 20));
    let many = (0..11_000).map(|i| format!("a{i}=1&")).collect::<String>() + &form;
    let cases: &[(&str, &str, &str)] = &[
        ("form", FORM, &form),
        ("form, charset", "application/x-www-form-urlencoded; charset=utf-8", &form),
        ("form, upper case", "APPLICATION/X-WWW-FORM-URLENCODED", &form),
        ("form, blanks", "  application/x-www-form-urlencoded ; x=y", &form),
        ("form, bad parameter", "application/x-www-form-urlencoded; =", &form),
        ("form, semicolon", "application/x-www-form-urlencoded;", &form),
        ("form, twice the same parameter", "application/x-www-form-urlencoded; a=b; a=c", &form),
        ("form, no type", "", &form),
        ("no slash", "form", &form),
        ("odd letters", "application/x-www-form-urlencod\u{e9}d", &form),
        ("empty subtype", "application/", &form),
        ("json", "application/json", "{\"query\":\"up\"}"),
        ("text", "text/plain", &form),
        ("bytes", "application/octet-stream", &form),
        ("form, list", "application/x-www-form-urlencoded, text/plain", &form),
        ("form, bad escape", FORM, "query=%zz&match[]=up"),
        ("form, semicolons", FORM, "query=up;match[]=up"),
        ("form, not UTF-8", FORM, "query=\u{e9}&match[]=up"),
        ("form, line end", FORM, "query=up&match[]=up\n"),
        ("form, empty", FORM, ""),
        ("form, too many", FORM, &many),
        ("form, too large", FORM, &large),
    ];
    cases.iter().map(|(name, kind, body)| (*name, *kind, body.as_bytes().to_vec())).collect()
}

/// Forms in parts.
fn forms_in_parts(last_s: i64) -> Bodies {
    let parts = |boundary: &str, end: &str| {
        let part = |name: &str, value: &str| {
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        part("query", "up")
            + &part("time", &last_s.to_string())
            + &part("match[]", "up")
            + &part("limit", "1")
            + end
    };
    let whole = parts("b", "--b--\r\n");
    let file = "--b\r\nContent-Disposition: form-data; name=\"query\"; filename=\"f\"\r\n\r\nup\r\n--b--\r\n";
    let quoted = "--b\r\nContent-Disposition: form-data; name=\"query\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=75p\r\n--b--\r\n";
    let unnamed = "--b\r\n\r\nup\r\n--b\r\nContent-Disposition: form-data\r\n\r\nup\r\n--b\r\nContent-Disposition: attachment; name=\"query\"\r\n\r\nup\r\n--b--\r\n";
    let bare = whole.replace("\r\n", "\n");
    let prologue = format!("hello\r\n{whole}goodbye");
    let cut = parts("b", "");
    let odd_name = "--b\r\nContent-Disposition: form-data; name=query\r\n\r\nup\r\n--b--\r\n";
    let cases: &[(&str, &str, &str)] = &[
        ("multipart", "multipart/form-data; boundary=b", &whole),
        ("multipart, quoted", "multipart/form-data; boundary=\"b\"", &whole),
        ("multipart, upper case", "Multipart/Form-Data; Boundary=b", &whole),
        ("multipart, no boundary", "multipart/form-data", &whole),
        ("multipart, other boundary", "multipart/form-data; boundary=c", &whole),
        ("multipart, empty boundary", "multipart/form-data; boundary=\"\"", &whole),
        ("multipart, bare lines", "multipart/form-data; boundary=b", &bare),
        ("multipart, prologue", "multipart/form-data; boundary=b", &prologue),
        ("multipart, cut", "multipart/form-data; boundary=b", &cut),
        ("multipart, file", "multipart/form-data; boundary=b", file),
        ("multipart, quoted-printable", "multipart/form-data; boundary=b", quoted),
        ("multipart, unnamed", "multipart/form-data; boundary=b", unnamed),
        ("multipart, name without quotes", "multipart/form-data; boundary=b", odd_name),
        ("multipart, empty", "multipart/form-data; boundary=b", ""),
        ("multipart, form", "multipart/form-data; boundary=b", "query=up"),
        ("mixed", "multipart/mixed; boundary=b", &whole),
    ];
    cases.iter().map(|(name, kind, body)| (*name, *kind, body.as_bytes().to_vec())).collect()
}

/// Bodies by their types; names end with the path.
fn bodies(table: &mut Table, last_s: i64) {
    let cases = [forms(last_s), forms_in_parts(last_s)].concat();
    for path in ["query", "series", "labels", "format_query"] {
        for (name, kind, body) in &cases {
            let target = format!("/api/v1/{path}?time={last_s}");
            let headers: &[(&str, &str)] = if kind.is_empty() { &[] } else { &[("Content-Type", kind)] };
            for method in ["POST", "GET"] {
                if method == "GET" && !name.starts_with("multipart") && *name != "form" {
                    continue;
                }
                table.add(
                    format!("body {method} {path}: {name}"),
                    Look::All,
                    request(method, &target, headers, body),
                );
            }
        }
    }
    for path in ["write", "read", "otlp/v1/metrics"] {
        for kind in [FORM, "application/x-protobuf", "application/json", "x"] {
            let bytes = request("POST", &format!("/api/v1/{path}"), &[("Content-Type", kind)], b"nonsense");
            table.add(format!("body POST {path}: {kind}"), Look::All, bytes);
        }
    }
}

fn headers(table: &mut Table, last_s: i64) {
    let target = format!("/api/v1/query?query=vector(1)&time={last_s}");
    let long = "x".repeat(60_000);
    for (name, value) in HEADERS.iter().copied().chain([("X-Long", &*long)]) {
        let what: String = value.chars().take(40).collect();
        table.add(
            format!("header {name}: {what}"),
            Look::All,
            request("GET", &target, &[(name, value)], b""),
        );
    }
    // Would a redirect carry what was smuggled into its path?
    for path in [
        "/metrics/%0d%0aX-Evil:%201",
        "/graph?a=%0d%0aX-Evil:%201",
        "/api/v1/labels/?a=%0d%0aX:1",
        "//evil.example/..",
        "/\\evil.example",
        "/%5cevil.example/metrics/",
        "/graph?\"><script>",
        "/metrics/?<script>",
    ] {
        table.get("inject", path);
    }
}

/// What is hardly HTTP: only the status is compared.
fn malformed(table: &mut Table) {
    let long = "x".repeat(2 << 20);
    let headers: String = (0..300).map(|i| format!("X-{i}: y\r\n")).collect();
    let large = [
        ("many headers", format!("GET / HTTP/1.1\r\nHost: h\r\n{headers}Connection: close\r\n\r\n")),
        ("long header", format!("GET / HTTP/1.1\r\nHost: h\r\nX: {long}\r\nConnection: close\r\n\r\n")),
        ("long target", format!("GET /?x={long} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")),
    ];
    let large = large.iter().map(|(name, text)| (*name, &**text));
    for (name, text) in MALFORMED.iter().copied().chain(large) {
        table.add(format!("malformed {name}"), Look::Status, text.as_bytes().to_vec());
    }
}
