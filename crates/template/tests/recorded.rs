//! Templates give what Prometheus gives: texts and errors recorded from promtool and from console pages of a real server.
//!
//! `record.py` wrote the expectations and says how; `record.py --check` asks the real programs again. Addresses of pointers
//! differ from run to run and are compared as `0xc…`.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;

use narthex_model::Labels;
use narthex_template::{
    AlertData, ConsoleData, Context, HtmlTemplate, MissingKey, Query, QuerySample, SampleValue, Template,
    TemplateError,
};
use serde_json::Value as Json;

/// The answers that the recorded templates ask for; the real ones come from the series in `record.py`.
struct Fixture;

fn sample(labels: &[(&str, &str)], value: f64) -> QuerySample {
    QuerySample { labels: Labels::from_pairs(labels.iter().copied()), value: SampleValue::Float(value) }
}

impl Query for Fixture {
    fn query(&self, expr: &str, at_ms: i64) -> Result<Vec<QuerySample>, String> {
        let down = sample(&[("__name__", "up"), ("instance", "b:80"), ("job", "x")], 0.0);
        let up = sample(&[("__name__", "up"), ("instance", "a:80"), ("job", "y")], 1.0);
        let parse_error = |text: &str| Err(text.to_owned());
        Ok(match expr {
            "up" | "sort(up)" => vec![down, up],
            "up == 0" => vec![down],
            "up{instance='a:80'}" | "up{job='y'}" => vec![up],
            "info" => vec![sample(&[("__name__", "info"), ("__value__", "text value")], 7.0)],
            "nope" | "missing" => Vec::new(),
            "1.5" => vec![sample(&[], 1.5)],
            "vector(1)" => vec![sample(&[], 1.0)],
            "vector(3)" => vec![sample(&[], 3.0)],
            "vector(4)" => vec![sample(&[], 4.0)],
            "vector(5)" => vec![sample(&[], 5.0)],
            "vector(NaN)" => vec![sample(&[], f64::NAN)],
            "time()" => vec![sample(&[], at_ms as f64 / 1000.0)],
            "up{" => return parse_error("1:4: parse error: unexpected end of input inside braces"),
            "rate(up[5m]" => return parse_error("1:12: parse error: unclosed left parenthesis"),
            "'str'" | "up[5m]" => return parse_error("rule result is not a vector or scalar"),
            other => panic!("the fixture has no answer to {other:?}"),
        })
    }
}

fn context(now_ms: i64) -> Context<'static> {
    Context {
        now_ms,
        external_url: "http://prom.example:9090/pre/fix",
        path_prefix: "/pre/fix",
        query: &Fixture,
        missing_key: MissingKey::Zero,
    }
}

fn expand_alert(text: &str) -> String {
    let template = match Template::parse_alert("A", text) {
        Ok(template) => template,
        // Rules are checked when they are loaded, which leaves out the first words.
        Err(TemplateError::Parse { source, .. }) => return format!("PARSE {source}"),
        Err(other) => panic!("{other}"),
    };
    let data = AlertData {
        labels: Labels::from_pairs([
            ("__name__", "m"),
            ("instance", "host.example.com:9100"),
            ("job", "node"),
            ("html", "<b>&\"quoted\"'"),
            ("uni", "é世"),
        ]),
        external_labels: Labels::from_pairs([("region", "eu"), ("site", "s1")]),
        external_url: "http://prom.example:9090/pre/fix".to_owned(),
        value: SampleValue::Float(1_234_567.891),
    };
    let expanded = template.expand(&data.to_value(), &context(60_000));
    expanded.unwrap_or_else(|error| format!("<error expanding template: {error}>"))
}

const LIBRARY: &str = "{{ define \"lib\" }}<i>{{ . }}</i>{{ end }}{{ define \"lib_attr\" }}<a href=\"/x?q={{ .arg0 }}\">\
                       {{ .arg1 }}</a>{{ end }}";

fn expand_page(page: &str, query: &str) -> (u64, String) {
    let mut raw_params: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in url_pairs(query) {
        raw_params.entry(name).or_default().push(value);
    }
    let data = ConsoleData {
        raw_params,
        path: "p.html".to_owned(),
        external_labels: Labels::from_pairs([("region", "eu")]),
    };
    let libraries = [("own.lib".to_owned(), LIBRARY.to_owned())];
    let expanded = HtmlTemplate::parse_console("/p.html", page, &libraries)
        .and_then(|template| template.expand(&data.to_value(), &context(0)));
    match expanded {
        Ok(text) => (200, text),
        Err(error) => (500, error.to_string().trim_end_matches('\n').to_owned()),
    }
}

fn url_pairs(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((first, tail)) = rest.split_first() {
            rest = tail;
            match first {
                b'+' => bytes.push(b' '),
                b'%' => {
                    bytes.push(u8::from_str_radix(std::str::from_utf8(&rest[..2]).unwrap(), 16).unwrap());
                    rest = &rest[2..];
                }
                other => bytes.push(*other),
            }
        }
        String::from_utf8(bytes).unwrap()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(n, v)| (decode(n), decode(v)))
        .collect()
}

fn cases(file: &str) -> Vec<Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Our addresses become `0xc…`, as recorded ones are.
fn without_addresses(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("0xc000") {
        let digits = rest[at + 2..].find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len() - at - 2);
        out.push_str(&rest[..at]);
        out.push_str(if digits >= 10 { "0xc…" } else { &rest[at..at + 2 + digits] });
        rest = &rest[at + 2 + digits..];
    }
    out + rest
}

fn report(failures: &[String], count: usize) {
    assert!(count > 100, "the recorded cases are missing");
    assert!(failures.is_empty(), "{} of {count} differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn texts_of_alerts_are_those_of_prometheus() {
    let cases = cases("text.jsonl");
    let mut failures = Vec::new();
    for case in &cases {
        let text = case["text"].as_str().unwrap();
        // Ours on purpose, with the reason.
        let want = case.get("ours").unwrap_or(&case["want"]).as_str().unwrap();
        let got = expand_alert(text);
        if without_addresses(&got) != want {
            failures.push(format!("{text}\n  want {want}\n  got  {got}"));
        }
    }
    report(&failures, cases.len());
}

#[test]
fn console_pages_are_those_of_prometheus() {
    let cases = cases("html.jsonl");
    let mut failures = Vec::new();
    for case in &cases {
        let (page, query) = (case["page"].as_str().unwrap(), case["query"].as_str().unwrap_or(""));
        let want = (case["status"].as_u64().unwrap(), case["want"].as_str().unwrap());
        let (status, text) = expand_page(page, query);
        if (status, &*without_addresses(&text)) != want {
            failures.push(format!("{page}\n  want {want:?}\n  got  {:?}", (status, text)));
        }
    }
    report(&failures, cases.len());
}
