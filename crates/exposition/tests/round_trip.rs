//! What is written parses again, to the same families, labels, values, times and exemplars.

use std::time::SystemTime;

use narthex_exposition::{
    Dialect, Entry, HistogramOptions, Native, Number, Offer, Output, Parser, ProtoEntry, ProtoParser, Sample,
    Writer, decode_exemplar, decode_key, decode_labels, negotiate, write_families,
};
use narthex_metrics::Registry;
use narthex_model::{
    EscapingScheme, Exemplar, Labels, LabelsBuilder, METRIC_NAME, MetricType, Span, UnixTime,
};
use proptest::prelude::*;

/// A line as it goes in and comes out: labels, value bits, time, exemplar.
type Line = (String, u64, Option<i64>, Option<(String, u64, Option<i64>)>);

/// Labels, value, time and exemplar of a line that is written.
type Input = (Vec<(String, String)>, f64, Option<i64>, Option<Exemplar>);

#[derive(Clone, Debug)]
struct OneFamily {
    name: String,
    help: String,
    kind: MetricType,
    lines: Vec<Input>,
}

fn kinds() -> impl Strategy<Value = MetricType> {
    prop::sample::select(vec![MetricType::Unknown, MetricType::Gauge])
}

fn labels() -> impl Strategy<Value = Vec<(String, String)>> {
    let pairs =
        prop::collection::btree_map("[a-z_][a-z0-9_]{0,9}|[ü.\"\\\\\n a]{1,4}", "[ -~é\n\"\\\\]{1,8}", 0..4);
    pairs.prop_map(|map| map.into_iter().filter(|(n, _)| n != METRIC_NAME).collect())
}

fn exemplars() -> impl Strategy<Value = Option<Exemplar>> {
    // Escapes in exemplars are not undone by the parser, as in Prometheus; so none are made here.
    let plain = prop::collection::btree_map("[a-z]{1,4}", "[a-z0-9]{1,9}", 0..3);
    prop::option::of((plain, any::<i32>(), prop::option::of(0..4_000_000_000_000i64)).prop_map(
        |(labels, value, t_ms)| Exemplar {
            labels: Labels::from_pairs(labels),
            value: f64::from(value) / 8.0,
            t_ms,
        },
    ))
}

fn families() -> impl Strategy<Value = Vec<OneFamily>> {
    let line = (labels(), prop::num::f64::ANY, prop::option::of(0..4_000_000_000_000i64), exemplars());
    let family = (
        "[a-z_:][a-z0-9_:]{0,12}|[ü. \"\\\\a]{1,6}",
        "[ -~é\n\"\\\\]{0,20}",
        kinds(),
        prop::collection::vec(line, 0..5),
    );
    prop::collection::vec(
        family.prop_map(|(name, help, kind, lines)| OneFamily { name, help, kind, lines }),
        0..4,
    )
}

fn bits(value: f64) -> u64 {
    if value.is_nan() {
        0x7ff8_0000_0000_0001
    } else if value == 0.0 {
        0
    } else {
        value.to_bits()
    }
}

fn write(families: &[OneFamily], output: Output) -> String {
    let mut writer = Writer::new(output);
    for family in families {
        writer.family(&family.name, Some(&family.help), family.kind);
        for (labels, value, t_ms, exemplar) in &family.lines {
            let labels: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (&**n, &**v)).collect();
            writer.sample(&Sample {
                t_ms: *t_ms,
                exemplar: exemplar.as_ref(),
                ..Sample::plain(&labels, *value)
            });
        }
    }
    writer.finish()
}

fn expected(families: &[OneFamily], output: Output) -> Vec<Line> {
    let mut lines = Vec::new();
    for family in families {
        for (labels, value, t_ms, exemplar) in &family.lines {
            let name = (METRIC_NAME, &*family.name);
            let labels = Labels::from_pairs(labels.iter().map(|(n, v)| (&**n, &**v)).chain([name]));
            let exemplar = exemplar.as_ref().filter(|_| output.offer != Offer::Text);
            let exemplar = exemplar.map(|e| (e.labels.to_string(), bits(e.value), e.t_ms));
            lines.push((labels.to_string(), bits(*value), *t_ms, exemplar));
        }
    }
    lines
}

fn parse(text: &str, output: Output) -> (Vec<Line>, Vec<(String, String)>) {
    let mut parser = Parser::new(text.as_bytes(), output.dialect().expect("a text format"));
    let (mut lines, mut helps) = (Vec::new(), Vec::new());
    while let Some(entry) = parser.next().unwrap_or_else(|e| panic!("{e} in:\n{text}")) {
        match entry {
            Entry::Series(series) => {
                let mut builder = LabelsBuilder::new();
                decode_labels(series.raw, parser.dialect(), parser.kind(), &mut builder)
                    .expect("the labels are fine");
                let exemplar = series.exemplar.map(|e| {
                    let mut builder = LabelsBuilder::new();
                    decode_exemplar(e.raw, &mut builder).expect("the exemplar is fine");
                    (builder.labels().to_string(), bits(e.value), e.t_ms)
                });
                lines.push((builder.labels().to_string(), bits(series.value), series.t_ms, exemplar));
            }
            Entry::Help { name, text } => helps.push((name.to_owned(), text.into_owned())),
            Entry::Type { .. } | Entry::Unit { .. } | Entry::Comment(_) => {}
        }
    }
    (lines, helps)
}

/// Times go through floating seconds in OpenMetrics, which are cut and may lose a millisecond.
fn near(got: &[Line], want: &[Line]) -> bool {
    let close = |a: Option<i64>, b: Option<i64>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1,
        (a, b) => a == b,
    };
    got.len() == want.len()
        && got.iter().zip(want).all(|(g, w)| {
            let exemplars = match (&g.3, &w.3) {
                (Some(g), Some(w)) => g.0 == w.0 && g.1 == w.1 && close(g.2, w.2),
                (g, w) => g.is_none() && w.is_none(),
            };
            g.0 == w.0 && g.1 == w.1 && close(g.2, w.2) && exemplars
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_is_written_parses_to_the_same(families in families()) {
        for offer in [Offer::Text, Offer::OpenMetrics1] {
            let output = Output { offer, escaping: EscapingScheme::NoEscaping };
            let text = write(&families, output);
            let (lines, helps) = parse(&text, output);
            let want = expected(&families, output);
            prop_assert!(near(&lines, &want), "{lines:?}\ninstead of\n{want:?}\nfrom\n{text}");
            // Blanks alone are no help text to a reader of the text format.
            let shown = |help: &str| if help.trim_matches(' ').is_empty() && offer == Offer::Text { String::new() } else { help.to_owned() };
            let texts: Vec<String> = helps.into_iter().map(|(_, text)| text).collect();
            prop_assert_eq!(texts, families.iter().map(|f| shown(&f.help)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn escaped_names_parse_in_any_scheme(families in families()) {
        for escaping in [EscapingScheme::Underscores, EscapingScheme::Dots, EscapingScheme::Values] {
            let output = Output { offer: Offer::Text, escaping };
            let text = write(&families, output);
            prop_assert!(text.lines().all(|l| !l.starts_with('{')), "{}", text);
            let lines = families.iter().map(|f| f.lines.len()).sum::<usize>();
            let mut parser = Parser::new(text.as_bytes(), output.dialect().expect("a text format"));
            let mut seen = 0;
            while let Some(entry) = parser.next().expect(&text) {
                seen += usize::from(matches!(entry, Entry::Series(_)));
            }
            prop_assert_eq!(seen, lines);
        }
    }
}

fn written(registry: &Registry, accept: &str, offer: Offer) -> String {
    let bytes = write_families(&registry.gather(), negotiate(accept, &[offer]));
    String::from_utf8(bytes).expect("a text format")
}

/// Series of a text with their values.
fn series_of_text(text: &str) -> Vec<String> {
    let mut parser = Parser::new(text.as_bytes(), Dialect::Text);
    let mut out = Vec::new();
    while let Some(entry) = parser.next().expect("the text is well formed") {
        if let Entry::Series(series) = entry {
            let mut builder = LabelsBuilder::new();
            decode_labels(series.raw, Dialect::Text, parser.kind(), &mut builder)
                .expect("the labels are fine");
            out.push(format!("{} {}", builder.labels(), series.value));
        }
    }
    out.sort();
    out
}

#[test]
fn a_registry_as_protobuf_has_the_series_of_its_text() {
    let registry = Registry::new();
    registry.counter_vec("b_total", "B.", &["z", "a"]).with(&["1", "x\"y"]).add(3.0);
    registry.gauge("a.utf8", "Help of \"a\".").set(0.5);
    registry.histogram("h_seconds", "H.", &[0.5, 1.0]).observe(0.7);
    registry.summary("s_seconds", "S.", &[0.5]).observe(2.0);
    let text = written(&registry, "text/plain;escaping=allow-utf-8", Offer::Text);
    let accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8";
    let body = write_families(&registry.gather(), negotiate(accept, &[Offer::Protobuf]));
    let mut parser = ProtoParser::new(&body, HistogramOptions::default());
    let (mut series, mut families) = (Vec::new(), Vec::new());
    while let Some(entry) = parser.next_like(b"").expect("the body is well formed") {
        if entry == ProtoEntry::Family {
            families.push(format!("{} {} {}", parser.name(), parser.kind(), parser.help()));
            continue;
        }
        let (mut key, mut builder) = (Vec::new(), LabelsBuilder::new());
        parser.push_key(&mut key);
        decode_key(&key, false, &mut builder).expect("the labels are fine");
        series.push(format!("{} {}", builder.labels(), parser.value()));
    }
    series.sort();
    assert_eq!(series, series_of_text(&text));
    let want = [
        "a.utf8 gauge Help of \"a\".",
        "b_total counter B.",
        "h_seconds histogram H.",
        "s_seconds summary S.",
    ];
    assert_eq!(families, want);
}

#[test]
fn native_histograms_and_since_when_they_count_come_back() {
    let registry = Registry::new();
    let before_ms = UnixTime::from_system(SystemTime::now()).to_ms();
    let histogram = registry.native_histogram("h_seconds", "H.", &[0.5, 1.0]);
    [0.0, 0.4, 0.4, 0.7, 1.0, 300.0, -2.0].iter().for_each(|value| histogram.observe(*value));
    let accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    let body = write_families(&registry.gather(), negotiate(accept, &[Offer::Protobuf]));
    let options = HistogramOptions { native: true, ..HistogramOptions::default() };
    let mut parser = ProtoParser::new(&body, options);
    assert_eq!(parser.next_like(b"").unwrap(), Some(ProtoEntry::Family));
    assert_eq!(parser.next_like(b"").unwrap(), Some(ProtoEntry::Histogram));
    let Native::Int(found) = parser.histogram() else { panic!("counts are whole") };
    assert_eq!((found.schema, found.zero_count, found.count, found.sum), (3, 1, 7, 300.5));
    let spans = |spans: &[Span]| spans.iter().map(|s| (s.offset, s.length)).collect::<Vec<_>>();
    // 0.4, 0.7 and 1 lie in the buckets up to 2^(-10/8), 2^(-4/8) and 1; 300 in that up to 2^(66/8).
    assert_eq!(spans(&found.positive_spans), [(-10, 1), (5, 1), (3, 1), (65, 1)]);
    assert_eq!((&*found.positive_buckets, &*found.negative_buckets), (&[2, -1, 0, 0][..], &[1][..]));
    assert_eq!(spans(&found.negative_spans), [(8, 1)]);
    let now_ms = UnixTime::from_system(SystemTime::now()).to_ms();
    assert!(parser.start_ms().is_some_and(|start_ms| (before_ms..=now_ms).contains(&start_ms)));
}

#[test]
fn a_registry_is_written_as_prometheus_writes_its_own() {
    let registry = Registry::new();
    registry
        .counter_vec("b_total", "Help of \\ b.\nTwo lines.", &["z", "a"])
        .with(&["1", "x\"y"])
        .add(1_234_567.0);
    registry.gauge("a", "Help of \"a\".").set(0.5);
    registry.histogram("h_seconds", "H.", &[0.5, 1.0]).observe(0.7);
    let text = written(&registry, "", Offer::Text);
    let want = "# HELP a Help of \"a\".\n# TYPE a gauge\na 0.5\n# HELP b_total Help of \\\\ b.\\nTwo lines.\n# TYPE b_total counter\n\
        b_total{a=\"x\\\"y\",z=\"1\"} 1.234567e+06\n# HELP h_seconds H.\n# TYPE h_seconds histogram\nh_seconds_bucket{le=\"0.5\"} 0\n\
        h_seconds_bucket{le=\"1\"} 1\nh_seconds_bucket{le=\"+Inf\"} 1\nh_seconds_sum 0.7\nh_seconds_count 1\n";
    assert_eq!(text, want);
    let text = written(&registry, "application/openmetrics-text;version=1.0.0", Offer::OpenMetrics1);
    let want = "# HELP a Help of \\\"a\\\".\n# TYPE a gauge\na 0.5\n# HELP b Help of \\\\ b.\\nTwo lines.\n# TYPE b counter\n\
        b_total{a=\"x\\\"y\",z=\"1\"} 1.234567e+06\n# HELP h_seconds H.\n# TYPE h_seconds histogram\nh_seconds_bucket{le=\"0.5\"} 0\n\
        h_seconds_bucket{le=\"1.0\"} 1\nh_seconds_bucket{le=\"+Inf\"} 1\nh_seconds_sum 0.7\nh_seconds_count 1\n# EOF\n";
    assert_eq!(text, want);
}

#[test]
fn counts_and_odd_names_have_their_own_layout() {
    let mut writer = Writer::new(Output { offer: Offer::OpenMetrics1, escaping: EscapingScheme::NoEscaping });
    writer.family("a.b", None, MetricType::Counter);
    writer.sample(&Sample {
        value: Number::Count(2_000_000),
        t_ms: Some(1500),
        ..Sample::plain(&[("c d", "e")], 0.0)
    });
    writer.summary(&[], &[(0.5, f64::NAN)], -0.0, 3);
    let want = "# TYPE \"a.b\" unknown\n{\"a.b\",\"c d\"=\"e\"} 2000000 1.5\n{\"a.b\",quantile=\"0.5\"} NaN\n{\"a.b_sum\"} 0.0\n{\"a.b_count\"} 3\n# EOF\n";
    assert_eq!(writer.finish(), want);
}
