//! Classic histograms of the text formats as native ones: which lines belong together, and what becomes of the others.

use narthex_model::LabelsBuilder;

use super::*;
use crate::{Dialect, decode_key};

/// Entries one a line: series as they stand, histograms as `labels count bounds deltas t exemplars`.
fn read(body: &str, dialect: Dialect, keep: bool) -> String {
    let mut histograms = CustomHistograms::new(Parser::new(body.as_bytes(), dialect), keep, false);
    let mut out = Vec::new();
    while let Some(entry) = histograms.next_like(b"").unwrap() {
        match entry {
            CustomEntry::Text(Entry::Series(s)) => {
                out.push(format!("{} {}", String::from_utf8_lossy(s.raw), s.value));
                assert_eq!(s.exemplar.is_some(), s.raw.starts_with(b"other"));
            }
            CustomEntry::Text(_) => {}
            CustomEntry::Histogram => {
                let mut builder = LabelsBuilder::new();
                decode_key(histograms.key(), true, &mut builder).unwrap();
                let value = match histograms.histogram() {
                    Native::Int(h) => format!("{} {:?} {:?}", h.count, h.custom_values, h.positive_buckets),
                    Native::Float(h) => {
                        format!("{:?} {:?} {:?}", h.count, h.custom_values, h.positive_buckets)
                    }
                };
                let exemplars: Vec<f64> = histograms.exemplars().map(|e| e.value).collect();
                out.push(format!("{} {value} {:?} {exemplars:?}", builder.labels(), histograms.t_ms()));
            }
        }
    }
    out.join("\n")
}

#[track_caller]
fn check(body: &str, dialect: Dialect, keep: bool, want: &[&str]) {
    assert_eq!(read(body, dialect, keep), want.join("\n"), "{body}");
}

const TWO: &str = "# TYPE h histogram\n\
    h_bucket{a=\"1\",le=\"0.5\"} 1 7\nh_bucket{a=\"1\",le=\"+Inf\"} 3 7\nh_sum{a=\"1\"} 4 7\nh_count{a=\"1\"} 3 7\n\
    h_bucket{le=\"0.5\",a=\"2\"} 2\nh_bucket{a=\"2\",le=\"+Inf\"} 2\nh_sum{a=\"2\"} 4\nh_count{a=\"2\"} 2\n\
    # TYPE g gauge\ng 5 9\n";

#[test]
fn lines_become_histograms_in_their_place() {
    let first = r#"{__name__="h", __type__="histogram", a="1"} 3 [0.5] [1, 1] Some(7) []"#;
    let second = r#"{__name__="h", __type__="histogram", a="2"} 2 [0.5] [2] None []"#;
    check(TWO, Dialect::Text, false, &[first, second, "g 5"]);
    let kept = read(TWO, Dialect::Text, true);
    let lines: Vec<&str> = kept.lines().collect();
    assert_eq!((lines.len(), lines[4], lines[9], lines[10]), (11, first, second, "g 5"));
}

#[test]
fn what_is_no_histogram_stays_as_it_is() {
    let body = "# TYPE h histogram\nh_bucket{le=\"x\"} 1\nh_bucket 2\nother 3\nh_max 4\n# TYPE c counter\nc_bucket{le=\"1\"} 5\n";
    let unparsed = read(body.replace("other", "odd").as_str(), Dialect::Text, false);
    assert_eq!(
        unparsed.lines().collect::<Vec<_>>(),
        ["h_bucket{le=\"x\"} 1", "h_bucket 2", "odd 3", "h_max 4", "c_bucket{le=\"1\"} 5"]
    );
    // One that contradicts itself is left out, and the next is not touched by it.
    let body = "# TYPE h histogram\nh_bucket{a=\"1\",le=\"1\"} 5\nh_bucket{a=\"1\",le=\"2\"} 4\nh_count{a=\"2\"} 3\n";
    check(body, Dialect::Text, false, &[r#"{__name__="h", __type__="histogram", a="2"} 3 [] [3] None []"#]);
    // A line of the same family and labels that says nothing does not end it.
    let body = "# TYPE h histogram\nh_bucket{le=\"1\"} 5\nh_bucket{le=\"odd\"} 4\nh_count 6\n";
    check(
        body,
        Dialect::Text,
        false,
        &["h_bucket{le=\"odd\"} 4", r#"{__name__="h", __type__="histogram"} 6 [1.0] [5, -4] None []"#],
    );
}

#[test]
fn exemplars_and_the_unit_go_to_the_histogram() {
    let body = "# TYPE h_seconds histogram\n# UNIT h_seconds seconds\n\
        h_seconds_bucket{le=\"1.0\"} 1 # {t=\"1\"} 0.5 1\nh_seconds_bucket{le=\"+Inf\"} 2 # {t=\"2\"} 3\nh_seconds_count 2\n\
        # TYPE other counter\nother_total 1 # {t=\"3\"} 9\n# EOF\n";
    let labels = r#"{__name__="h_seconds", __type__="histogram", __unit__="seconds"}"#;
    for keep in [false, true] {
        let got = read(body, Dialect::OpenMetrics, keep);
        let lines: Vec<&str> = got.lines().collect();
        assert!(lines.contains(&format!("{labels} 2 [1.0] [1, 0] None [0.5]").as_str()), "{got}");
        assert_eq!(lines.last(), Some(&"other_total 1"));
    }
}

#[test]
fn damaged_text_ends() {
    let mut rng = fastrand::Rng::with_seed(5);
    for _ in 0..2000 {
        let mut body = TWO.as_bytes().to_vec();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(0..body.len());
            body[at] = rng.u8(..);
        }
        body.truncate(rng.usize(1..=body.len()));
        let mut histograms = CustomHistograms::new(Parser::new(&body, Dialect::Text), rng.bool(), true);
        let mut entries = 0;
        while let Ok(Some(_)) = histograms.next_like(b"") {
            entries += 1;
            assert!(entries < 100);
        }
    }
}
