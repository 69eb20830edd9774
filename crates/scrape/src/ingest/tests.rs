//! Bodies scraped one after the other into the test store.

use narthex_config::ScrapeConfig;
use narthex_metrics::Registry;
use narthex_model::{Regex, is_stale};
use narthex_relabel::{Action, RelabelConfig};
use narthex_storage::Appendable as _;

use super::*;
use crate::job::{histogram_limits, histogram_options};
use crate::report::append_stale;
use crate::test_store::TestStore;

/// A target that is scraped every second, without HTTP.
struct Bench {
    config: ScrapeConfig,
    store: TestStore,
    memory: Memory,
    metrics: ScrapeMetrics,
    hint: Hint,
    options: ScrapeOptions,
    at_ms: i64,
}

impl Bench {
    fn new(change: impl FnOnce(&mut ScrapeConfig)) -> Self {
        let mut config = ScrapeConfig::default();
        change(&mut config);
        let metrics = ScrapeMetrics::new(&Registry::new());
        Self {
            config,
            store: TestStore::default(),
            memory: Memory::default(),
            metrics,
            hint: Hint::default(),
            options: ScrapeOptions::default(),
            at_ms: 0,
        }
    }

    /// One scrape as the loop does it; `counts` and the error as text.
    fn scrape(&mut self, body: &str) -> (Counts, String) {
        self.scrape_as(body, "text/plain")
    }

    fn scrape_as(&mut self, body: &str, content_type: &str) -> (Counts, String) {
        self.scrape_bytes(body.as_bytes(), content_type)
    }

    fn scrape_bytes(&mut self, body: &[u8], content_type: &str) -> (Counts, String) {
        self.at_ms += 1000;
        let scrape = Scrape {
            config: &self.config,
            fallback: None,
            public: &Labels::empty(),
            metrics: &self.metrics,
            at_ms: self.at_ms,
            now_ms: self.at_ms,
            options: &self.options,
            histograms: histogram_options(&self.config, |_| None),
            limits: histogram_limits(&self.config),
        };
        let mut stale = Vec::new();
        let mut appender = self.store.appender();
        let lent = (&mut self.hint, &mut stale);
        let (counts, outcome) = scrape.ingest(body, content_type, &mut self.memory, &mut *appender, lent);
        if outcome.is_err() {
            appender.rollback();
            appender = self.store.appender();
        }
        append_stale(&stale, self.at_ms, &mut *appender).unwrap();
        appender.commit().unwrap();
        (counts, outcome.err().map_or_else(String::new, |e| e.to_string()))
    }

    /// Scrapes a good body and returns its counts.
    #[track_caller]
    fn good(&mut self, body: &str) -> (u64, u64, u64) {
        let (counts, error) = self.scrape(body);
        assert_eq!(error, "");
        (counts.scraped, counts.post_relabeling, counts.series_added)
    }

    /// `second=value` of a metric; `S` for a staleness marker.
    fn samples(&self, name: &str) -> String {
        let one = |(t, v): (i64, f64)| {
            let value = if is_stale(v) { "S".to_owned() } else { v.to_string() };
            format!("{}={value}", t as f64 / 1000.0)
        };
        self.store.data.lock().of(name).into_iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn counter(&self, pick: impl Fn(&ScrapeMetrics) -> &Counter) -> f64 {
        pick(&self.metrics).get()
    }
}

use narthex_metrics::Counter;

#[test]
fn a_series_that_vanishes_is_marked_stale_and_may_come_back() {
    let mut bench = Bench::new(|_| {});
    assert_eq!(bench.good("a 1\nb 1\n"), (2, 2, 2));
    assert_eq!(bench.good("a 2\n"), (1, 1, 0));
    assert_eq!(bench.good("a 3\n"), (1, 1, 0));
    assert_eq!(bench.good("b 4\na 4\n"), (2, 2, 1));
    assert_eq!((bench.samples("a"), bench.samples("b")), ("1=1 2=2 3=3 4=4".into(), "1=1 2=S 4=4".into()));
}

#[test]
fn a_bad_body_leaves_nothing_but_markers() {
    let mut bench = Bench::new(|_| {});
    bench.good("a 1\nb 1\n");
    let (counts, error) = bench.scrape("a 2\nc 2\n!\n");
    assert_eq!((counts.scraped, error.is_empty()), (2, false));
    assert!(!bench.scrape("~").1.is_empty());
    assert_eq!(bench.good("a 4\nb 4\nc 4\n"), (3, 3, 1));
    assert_eq!((bench.samples("a"), bench.samples("c")), ("1=1 2=S 4=4".into(), "4=4".into()));
}

#[test]
fn own_timestamps_are_honored_or_not_and_not_tracked_unless_asked_for() {
    let body = "a 1 500\nb 2\n";
    let mut bench = Bench::new(|_| {});
    bench.good(body);
    bench.good("b 3\n");
    assert_eq!(bench.samples("a"), "0.5=1");
    let mut bench = Bench::new(|c| c.honor_timestamps = false);
    bench.good(body);
    assert_eq!(bench.samples("a"), "1=1");
    let mut bench = Bench::new(|c| c.track_timestamps_staleness = true);
    bench.good(body);
    bench.good("b 3\n");
    assert_eq!(bench.samples("a"), "0.5=1 2=S");
}

#[test]
fn a_line_that_stands_twice_is_a_duplicate_unless_it_has_times() {
    let mut bench = Bench::new(|_| {});
    for _ in 0..2 {
        let (scraped, post, _) = bench.good("a 1\na 2\nb 1\n");
        assert_eq!((scraped, post), (3, 3));
    }
    assert_eq!((bench.samples("a"), bench.counter(|m| &m.duplicate)), ("1=1 2=1".into(), 2.0));
    let mut bench = Bench::new(|_| {});
    for i in 1..3 {
        bench.good(&format!("a 1 {}\na 2 {}\n", i * 1000, i * 1000 + 1));
    }
    assert_eq!(
        (bench.samples("a"), bench.counter(|m| &m.duplicate)),
        ("1=1 1.001=2 2=1 2.001=2".into(), 0.0)
    );
}

#[test]
fn samples_that_the_store_refuses_are_counted_and_do_no_harm() {
    let mut bench = Bench::new(|_| {});
    bench.good("a 1 5000\nb 1 9000000\n");
    bench.good("a 2 4000\nb 1 9000000\n");
    assert_eq!(bench.counter(|m| &m.out_of_order), 1.0);
    assert_eq!(bench.counter(|m| &m.out_of_bounds), 2.0);
    assert_eq!((bench.samples("a"), bench.samples("b")), ("5=1".into(), String::new()));
}

#[test]
fn the_sample_limit_fails_the_scrape_with_true_counts() {
    let mut bench = Bench::new(|c| c.sample_limit = 2);
    bench.good("a 1\nb 1\n");
    let (counts, error) = bench.scrape("a 2\nb 2\nc 2\nd 2\n");
    assert_eq!(error, "sample limit exceeded");
    assert_eq!((counts.scraped, counts.post_relabeling, counts.series_added), (4, 4, 0));
    assert_eq!((bench.samples("a"), bench.samples("c")), ("1=1 2=S".into(), String::new()));
    assert_eq!(bench.counter(|m| &m.exceeded_sample_limit), 1.0);
    assert!(
        !bench.store.data.lock().labels.values().any(|l| l.metric_name() == "c"),
        "no series beyond the limit"
    );
}

#[test]
fn dropped_series_are_counted_as_scraped_only() {
    let drop_b = RelabelConfig {
        source_labels: vec!["__name__".into()],
        regex: Some(Regex::new_anchored("b.*").unwrap()),
        action: Action::Drop,
        ..RelabelConfig::default()
    };
    let mut bench = Bench::new(|c| c.metric_relabel_configs = vec![drop_b]);
    for added in [1, 0, 0] {
        assert_eq!(bench.good("a 1\nb1 1\nb2 1\n"), (3, 1, added));
    }
    assert!(bench.samples("b1").is_empty());
}

#[test]
fn label_limits_fail_the_scrape() {
    let mut bench = Bench::new(|c| c.label_limit = 1);
    let (_, error) = bench.scrape("a{b=\"c\"} 1\n");
    assert_eq!(error, "label_limit exceeded (metric: a, number of labels: 2, limit: 1)");
    assert_eq!(bench.counter(|m| &m.exceeded_label_limits), 1.0);
}

#[test]
fn a_series_that_the_store_forgot_is_resolved_again_without_a_marker() {
    let mut bench = Bench::new(|_| {});
    bench.good("a 1\nb 1\n");
    bench.store.data.lock().forget("a");
    assert_eq!(bench.good("a 2\nb 2\n"), (2, 2, 0));
    assert_eq!(bench.good("a 3\nb 3\n"), (2, 2, 0));
    assert_eq!(bench.samples("a"), "1=1 2=2 3=3");
}

#[test]
fn a_series_written_otherwise_goes_on_without_a_marker() {
    let mut bench = Bench::new(|_| {});
    bench.good("a{x=\"1\",y=\"2\"} 1\n");
    assert_eq!(bench.good("a{y=\"2\",x=\"1\"} 2\n"), (1, 1, 1));
    assert_eq!(bench.samples("a"), "1=1 2=2");
}

#[test]
fn exemplars_get_the_samples_time_when_they_have_none() {
    let mut bench = Bench::new(|_| {});
    let body = "# TYPE a counter\na_total 1 # {t=\"x\"} 0.5\na_total{b=\"c\"} 1 # {t=\"y\"} 0.7 3\n# EOF\n";
    let (_, error) = bench.scrape_as(body, "application/openmetrics-text");
    assert_eq!(error, "");
    let data = bench.store.data.lock();
    let shown: Vec<String> =
        data.exemplars.iter().map(|(l, e)| format!("{l} {} {} {:?}", e.labels, e.value, e.t_ms)).collect();
    let expected = [
        r#"{__name__="a_total"} {t="x"} 0.5 Some(1000)"#,
        r#"{__name__="a_total", b="c"} {t="y"} 0.7 Some(3000)"#,
    ];
    assert_eq!(shown, expected);
}

#[test]
fn relearned_caches_ask_relabeling_anew_and_end_what_is_dropped_now() {
    let mut bench = Bench::new(|_| {});
    bench.good("a 1\nb 1\n");
    bench.config.metric_relabel_configs = vec![RelabelConfig {
        source_labels: vec!["__name__".into()],
        regex: Some(Regex::new_anchored("b").unwrap()),
        action: Action::Drop,
        ..RelabelConfig::default()
    }];
    bench.memory.series.relearn();
    assert_eq!(bench.good("a 2\nb 2\n").1, 1);
    assert_eq!((bench.samples("a"), bench.samples("b")), ("1=1 2=2".into(), "1=1 2=S".into()));
}

#[test]
fn content_types_choose_the_format_or_fail() {
    let mut bench = Bench::new(|_| {});
    bench.good("a 1\n");
    let (_, error) = bench.scrape_as("a 2\n", "");
    assert_eq!(
        error,
        "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified for target"
    );
    assert_eq!(bench.samples("a"), "1=1 2=S");
}

#[test]
fn random_bodies_leave_the_same_samples_as_a_fresh_memory_each_time() {
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut kept, mut fresh) = (Bench::new(|_| {}), Bench::new(|_| {}));
        for _ in 0..12 {
            let mut body = String::new();
            for _ in 0..random.usize(..14) {
                let name = random.choice(["a", "b", "c", "d", "e", "f{x=\"1\"}", "f{x=\"2\"}"]).unwrap();
                body.push_str(&format!("{name} {}\n", random.u8(..4)));
            }
            kept.scrape(&body);
            fresh.memory = Memory::default();
            fresh.scrape(&body);
        }
        let (kept, fresh) = (kept.store.data.lock(), fresh.store.data.lock());
        for (labels, series) in &fresh.references {
            let real =
                |s: &Vec<(i64, f64)>| s.iter().filter(|(_, v)| !is_stale(*v)).copied().collect::<Vec<_>>();
            let other = kept.references[labels];
            let (a, b) = (fresh.samples.get(series).map(real), kept.samples.get(&other).map(real));
            assert_eq!(a, b, "seed {seed}, series {labels}");
        }
    }
}

/// A delimited family: tag and bytes of each field are given.
fn family(name: &str, kind: u8, unit: &str, metrics: &[Vec<u8>]) -> Vec<u8> {
    let field = |tag: u8, bytes: &[u8]| [&[tag << 3 | 2, bytes.len() as u8][..], bytes].concat();
    let mut out = [field(1, name.as_bytes()), vec![3 << 3, kind], field(5, unit.as_bytes())].concat();
    metrics.iter().for_each(|metric| out.extend(field(4, metric)));
    assert!(out.len() < 128, "one byte tells the length");
    [&[out.len() as u8][..], &out].concat()
}

/// A counter with one label, its value and the second it started at.
fn counter(label: &str, value: f64, start_s: u8) -> Vec<u8> {
    let pair = [&[0x0a, 1, b'l', 0x12, label.len() as u8][..], label.as_bytes()].concat();
    let value = [&[0x09][..], &value.to_bits().to_le_bytes(), &[0x1a, 2, 0x08, start_s]].concat();
    [&[0x0a, pair.len() as u8][..], &pair, &[0x1a, value.len() as u8], &value].concat()
}

/// A native histogram with one observation in each of the first `buckets` buckets of a schema.
fn native(schema: u8, buckets: u8) -> Vec<u8> {
    let mut out = vec![0x08, buckets, 0x28, schema << 1, 0x62, 2, 0x10, buckets];
    (0..buckets).for_each(|i| out.extend([0x68, if i == 0 { 2 } else { 0 }]));
    [&[0x3a, out.len() as u8][..], &out].concat()
}

const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

impl Bench {
    #[track_caller]
    fn good_bytes(&mut self, body: &[u8]) -> (u64, u64, u64) {
        let (counts, error) = self.scrape_bytes(body, PROTOBUF);
        assert_eq!(error, "");
        (counts.scraped, counts.post_relabeling, counts.series_added)
    }
}

#[test]
fn protobuf_series_are_found_by_their_bytes_and_go_stale() {
    let mut bench = Bench::new(|_| {});
    let body = |labels: &[&str], value| {
        let metrics: Vec<Vec<u8>> = labels.iter().map(|l| counter(l, value, 0)).collect();
        family("c_total", 0, "", &metrics)
    };
    assert_eq!(bench.good_bytes(&body(&["x", "y"], 1.0)), (2, 2, 2));
    assert_eq!(bench.good_bytes(&body(&["x", "y"], 2.0)), (2, 2, 0));
    assert_eq!(bench.good_bytes(&body(&["z", "y"], 3.0)), (2, 2, 1));
    assert_eq!(bench.samples("c_total"), "1=1 1=1 2=2 2=2 3=S 3=3 3=3");
    // The same series as text: no series ends and none is new to the store.
    bench.good("c_total{l=\"y\"} 4\nc_total{l=\"z\"} 4\n");
    assert_eq!(bench.samples("c_total"), "1=1 1=1 2=2 2=2 3=S 3=3 3=3 4=4 4=4");
    assert_eq!(bench.store.data.lock().labels.len(), 3);
}

#[test]
fn starts_become_zeros_or_go_along() {
    let mut bench = Bench::new(|_| {});
    let body = family("c_total", 0, "", &[counter("x", 5.0, 7)]);
    bench.good_bytes(&body);
    assert!(bench.store.data.lock().starts.is_empty(), "nobody asked");
    bench.options.start_zeros = true;
    bench.good_bytes(&body);
    bench.options.store_starts = true;
    bench.good_bytes(&body);
    let text = "# TYPE d counter\nd_total{l=\"x\"} 1\nd_created{l=\"x\"} 8\nd_total{l=\"y\"} 2\n# EOF\n";
    assert_eq!(bench.scrape_as(text, "application/openmetrics-text").1, "");
    let data = bench.store.data.lock();
    assert_eq!(data.zeros, [(7000, 2000), (7000, 3000), (8000, 4000)]);
    assert_eq!(data.starts, [(0, 2000), (7000, 3000), (8000, 4000)]);
    assert!(data.labels.values().all(|l| l.metric_name() != "d_created"));
}

/// Samples and their starts after OpenMetrics bodies of one family, one a second.
#[track_caller]
fn check_made_starts(kind: &str, bodies: &[&str], samples: &str, starts: &[(i64, i64)]) {
    let mut bench = Bench::new(|_| {});
    (bench.options.synthesize_starts, bench.options.store_starts) = (true, true);
    for body in bodies {
        let text = format!("# TYPE m {kind}\n{body}# EOF\n");
        assert_eq!(bench.scrape_as(&text, "application/openmetrics-text").1, "");
    }
    let all = ["m_total", "m_sum", "m_count", "m", "other"].map(|name| bench.samples(name));
    assert_eq!(
        all.iter().filter(|s| !s.is_empty()).map(String::as_str).collect::<Vec<_>>().join("; "),
        samples
    );
    assert_eq!(bench.store.data.lock().starts, starts);
}

/// The first sample is held back and taken off the others; a reset, a start that the target tells, and a gap begin anew.
#[test]
fn starts_are_made_where_none_are_told() {
    let counts = |values: &[f64]| values.iter().map(|v| format!("m_total {v}\n")).collect::<Vec<_>>();
    let texts = counts(&[10.0, 15.0, 15.0, 3.0, 4.0]);
    let bodies: Vec<&str> = texts.iter().map(String::as_str).collect();
    let starts = [(1000, 2000), (1000, 3000), (3999, 4000), (3999, 5000)];
    check_made_starts("counter", &bodies, "2=5 3=5 4=3 5=4", &starts);
    let told = ["m_total 10\n", "m_total 15\n", "m_total 20\nm_created 1\n", "m_total 22\n", "m_total 25\n"];
    check_made_starts("counter", &told, "2=5 3=20 5=3", &[(1000, 2000), (1000, 3000), (4000, 5000)]);
    let gap = ["m_total 10\n", "m_total 15\n", "", "m_total 20\n", "m_total 21\n"];
    check_made_starts("counter", &gap, "2=5 3=S 5=1", &[(1000, 2000), (4000, 5000)]);
    let once = ["m_total 10\n", "", "", "m_total 20\n"];
    check_made_starts("counter", &once, "", &[]);
    check_made_starts("gauge", &["m 10\n", "m 15\n"], "1=10 2=15", &[]);
    check_made_starts("counter", &["other 10\n", "other 15\n"], "1=10 2=15", &[]);
    let summary =
        ["m{quantile=\"0.5\"} 1\nm_sum 100\nm_count 10\n", "m{quantile=\"0.5\"} 2\nm_sum 150\nm_count 15\n"];
    check_made_starts("summary", &summary, "2=50; 2=5; 1=1 2=2", &[(1000, 2000), (1000, 2000)]);
}

/// A sample of a made start that comes late is refused whatever window the store has, and its counter begins anew.
#[test]
fn a_late_sample_ends_a_made_start() {
    let mut bench = Bench::new(|_| {});
    bench.options.synthesize_starts = true;
    bench.store.window = Some((100_000, 1_000_000));
    for line in ["10 50", "11 51", "12 40", "13 52", "14 53"] {
        let text = format!("# TYPE m counter\nm_total {line}\n# EOF\n");
        assert_eq!(bench.scrape_as(&text, "application/openmetrics-text").1, "");
    }
    assert_eq!(bench.samples("m_total"), "51=1 53=1");
    assert_eq!(bench.counter(|m| &m.out_of_order), 1.0);
}

#[test]
fn histograms_are_counted_from_their_first_sample_on() {
    let mut bench = Bench::new(|c| c.convert_classic_histograms_to_nhcb = Some(true));
    bench.options.synthesize_starts = true;
    let body = |low: u64, count: u64| {
        format!(
            "# TYPE h histogram\nh_bucket{{le=\"1\"}} {low}\nh_bucket{{le=\"+Inf\"}} {count}\nh_sum {count}\nh_count {count}\n"
        )
    };
    for (low, count) in [(1, 3), (2, 6), (1, 2), (2, 4)] {
        let (counts, error) = bench.scrape(&body(low, count));
        assert_eq!((counts.post_relabeling, error.as_str()), (1, ""));
    }
    let data = bench.store.data.lock();
    let shown: Vec<_> = data
        .histograms
        .values()
        .flatten()
        .map(|(t, h)| (*t, h.count, h.sum, h.positive_buckets.clone()))
        .collect();
    let expected = [
        (2000, 3.0, 3.0, vec![1.0, 2.0]),
        (3000, 2.0, 2.0, vec![1.0, 1.0]),
        (4000, 4.0, 4.0, vec![2.0, 2.0]),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn native_histograms_are_cut_down_or_fail_the_scrape() {
    let body = family("h", 4, "", &[native(3, 16)]);
    let shape = |bench: &Bench| {
        let data = bench.store.data.lock();
        data.histograms.values().flatten().map(|(_, h)| (h.schema, h.positive_buckets.len())).next_back()
    };
    let with = |buckets: u64, factor: f64| {
        let mut bench = Bench::new(|c| {
            c.scrape_native_histograms = Some(true);
            c.native_histogram_bucket_limit = buckets;
            c.native_histogram_min_bucket_factor = factor;
        });
        let (counts, error) = bench.scrape_bytes(&body, PROTOBUF);
        (shape(&bench), counts.post_relabeling, counts.series_added, error)
    };
    assert_eq!(with(0, 0.0), (Some((3, 16)), 1, 1, String::new()));
    assert_eq!(with(9, 0.0), (Some((2, 9)), 1, 1, String::new()));
    assert_eq!(with(0, 1.5), (Some((0, 3)), 1, 1, String::new()));
    assert_eq!(with(1, 0.0), (None, 1, 0, "histogram bucket limit exceeded".to_owned()));
    // Not asked for: what is left is the classic form.
    let mut bench = Bench::new(|_| {});
    assert_eq!(bench.good_bytes(&body), (3, 3, 3));
}

#[test]
fn metadata_goes_to_the_store_when_it_is_new_or_changes() {
    let mut bench = Bench::new(|_| {});
    bench.options.append_metadata = true;
    let told = |bench: &Bench| {
        let data = bench.store.data.lock();
        let all = data.metadata.values().flatten();
        all.map(|m| format!("{} {}", m.kind, m.help)).collect::<Vec<_>>().join(", ")
    };
    bench.good("# TYPE a counter\n# HELP a A.\na 1\nb 1\n");
    bench.good("# TYPE a counter\n# HELP a A.\na 1\nb 1\n");
    assert_eq!(told(&bench), "counter A.");
    bench.good("# TYPE a counter\n# HELP a B.\na 1\nb 1\n");
    assert_eq!(told(&bench), "counter A., counter B.");
}

#[test]
fn type_and_unit_become_labels_when_asked_for() {
    let mut bench = Bench::new(|c| c.convert_classic_histograms_to_nhcb = Some(true));
    bench.options.type_and_unit_labels = true;
    bench.good_bytes(&family("c_bytes", 0, "bytes", &[counter("x", 5.0, 0)]));
    let text =
        "# TYPE g_s gauge\n# UNIT g_s s\ng_s{__type__=\"mine\"} 1\n# TYPE h histogram\nh_count 2\n# EOF\n";
    assert_eq!(bench.scrape_as(text, "application/openmetrics-text").1, "");
    let data = bench.store.data.lock();
    let labels: Vec<String> = data.labels.values().map(ToString::to_string).collect();
    let expected = [
        r#"{__name__="c_bytes", __type__="counter", __unit__="bytes", l="x"}"#,
        r#"{__name__="g_s", __type__="gauge", __unit__="s"}"#,
        r#"{__name__="h", __type__="histogram"}"#,
    ];
    assert_eq!(labels, expected);
}
