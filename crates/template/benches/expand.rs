//! What templates cost: parsing and running the texts of an alert, and a console page over the answer of a query.
//!
//! Isolates this crate: queries are answered from memory. Data: an annotation with three fields and a function, a label without
//! actions, a table of `ROWS` series with escaping.
//! Run: `cargo bench -p narthex-template --bench expand [-- ROWS]`; with `--test` (as `cargo test` calls it) tiny. Prints
//! microseconds an expansion, for the page nanoseconds a row, each with a checksum of the output. Baseline: a plain label, which
//! is a copy.
#![expect(clippy::unwrap_used, reason = "a bench that cannot make its data fails")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use narthex_model::Labels;
use narthex_template::{
    AlertData, ConsoleData, Context, HtmlTemplate, MissingKey, Query, QuerySample, SampleValue, Template,
};

const ANNOTATION: &str = "{{ $labels.instance }} of job {{ $labels.job }} has {{ $value | humanizePercentage }} errors\
                          {{ if gt $value 0.5 }} (more than half){{ end }}";
const PAGE: &str = "<h1>{{ .Path }}</h1><table>{{ range query \"up\" | sortByLabel \"instance\" }}<tr><td>\
                    <a href=\"/graph?instance={{ .Labels.instance }}\">{{ .Labels.instance }}</a></td><td>{{ .Value | \
                    humanize }}</td></tr>{{ else }}none{{ end }}</table>";

/// Always the same answer.
struct Answer(Vec<QuerySample>);

impl Query for Answer {
    fn query(&self, _text: &str, _t_ms: i64) -> Result<Vec<QuerySample>, String> {
        Ok(self.0.clone())
    }
}

fn labels(i: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", "up".to_owned()),
        ("instance", format!("10.0.{}.{}:9100", i / 256, i % 256)),
        ("job", "node & more".to_owned()),
    ])
}

/// Runs `work` for about 0.3 s in the best of three, or twice; microseconds each.
fn report(what: &str, tiny: bool, per: usize, mut work: impl FnMut() -> String) {
    let out = work();
    let checksum = out.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let began = Instant::now();
    assert_eq!(work(), out);
    let once = began.elapsed().as_secs_f64().max(1e-7);
    let rounds = if tiny { 1 } else { ((0.1 / once) as usize).max(1) };
    let best = (0..3).map(|_| {
        let began = Instant::now();
        (0..rounds).for_each(|_| drop(black_box(work())));
        began.elapsed().as_secs_f64() / rounds as f64
    });
    let best = best.fold(f64::INFINITY, f64::min);
    println!(
        "{what:<32} {:>10.2} µs {:>8.0} ns/row   checksum {checksum:016x}",
        best * 1e6,
        best * 1e9 / per as f64
    );
}

fn main() {
    let tiny =
        std::env::args().any(|word| word == "--test") || !std::env::args().any(|word| word == "--bench");
    let rows =
        std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(if tiny { 3 } else { 1000 });
    let sample = |i| QuerySample { labels: labels(i), value: SampleValue::Float(i as f64 * 1234.5) };
    let answer = Answer((0..rows).map(sample).collect());
    let context = Context {
        now_ms: 1_700_000_000_000,
        external_url: "http://localhost:9090/",
        path_prefix: "",
        query: &answer,
        missing_key: MissingKey::Zero,
    };
    let alert = AlertData {
        labels: labels(7),
        external_labels: Labels::empty(),
        external_url: String::new(),
        value: SampleValue::Float(0.75),
    };
    let data = alert.to_value();
    for (what, text) in [("plain label", "critical"), ("annotation", ANNOTATION)] {
        report(&format!("{what}, parse and run"), tiny, 1, || {
            Template::parse_alert("a", text).unwrap().expand(&data, &context).unwrap()
        });
        let parsed = Template::parse_alert("a", text).unwrap();
        report(&format!("{what}, run"), tiny, 1, || parsed.expand(&data, &context).unwrap());
    }
    let console = ConsoleData {
        raw_params: BTreeMap::new(),
        path: "index.html".to_owned(),
        external_labels: Labels::empty(),
    };
    let data = console.to_value();
    let parse = || HtmlTemplate::parse_console("/index.html", PAGE, &[]).unwrap();
    report("page, parse and run", tiny, rows, || parse().expand(&data, &context).unwrap());
    let parsed = parse();
    report("page, run", tiny, rows, || parsed.expand(&data, &context).unwrap());
}
