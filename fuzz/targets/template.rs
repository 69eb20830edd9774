//! Template texts as alerts and as pages: an error or a text within the limits, whatever the text; never a script that the page
//! did not have.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex_model::Labels;
use narthex_template::{
    AlertData, Context, HtmlTemplate, Limits, MissingKey, Query, QuerySample, SampleValue, Template,
};

const LIMITS: Limits = Limits { steps: 20_000, bytes: 256 << 10 };

struct Fixture;

impl Query for Fixture {
    fn query(&self, expr: &str, _at_ms: i64) -> Result<Vec<QuerySample>, String> {
        if expr.len() > 20 {
            return Err("too long".to_owned());
        }
        let sample = |value| QuerySample {
            labels: Labels::from_pairs([("expr", expr), ("html", "</script><b>\"'")]),
            value: SampleValue::Float(value),
        };
        Ok(vec![sample(1.5), sample(f64::NAN)])
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let context = Context {
        now_ms: 1_353_755_652_000,
        external_url: "http://testhost:9090/path",
        path_prefix: "/path",
        query: &Fixture,
        missing_key: MissingKey::Zero,
    };
    let data = AlertData {
        labels: Labels::from_pairs([("instance", "a.b:80"), ("html", "</script><b>\"'")]),
        external_labels: Labels::empty(),
        external_url: "http://testhost:9090/path".to_owned(),
        value: SampleValue::Float(1_234_567.891),
    }
    .to_value();
    // What is made in one go may exceed the limit by one text before it is refused, never more.
    let within = |out: &str| assert!(out.len() <= 3 * LIMITS.bytes, "{} bytes", out.len());
    if let Ok(template) = Template::parse_alert("A", text)
        && let Ok(out) = template.expand_within(&data, &context, LIMITS)
    {
        within(&out);
    }
    let library = [("own.lib".to_owned(), "{{ define \"lib\" }}<i>{{ . }}</i>{{ end }}".to_owned())];
    if let Ok(page) = HtmlTemplate::parse("page", text, &library)
        && let Ok(out) = page.expand_within(&data, &context, LIMITS)
    {
        within(&out);
    }
});
