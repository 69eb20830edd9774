//! Random messages against what their plain values say; damaged bytes; lies about lengths.

mod model;

use fastrand::Rng;
use narthex_model::LabelsBuilder;
use proptest::prelude::*;

use super::key::{Part, Tail};
use super::*;
use model::{describe, encode, random, show};

/// Lines, keys of the series, and how many of those were as hinted.
type Seen = (Vec<String>, Vec<Vec<u8>>, usize);

/// A line for each entry, and the keys of the series. `hints[i]` is passed for series `i`; `right` counts those that fitted.
fn read(body: &[u8], options: HistogramOptions, hints: &[Vec<u8>]) -> Result<Seen, ParseError> {
    let mut parser = ProtoParser::new(body, options);
    let (mut lines, mut keys, mut right) = (Vec::new(), Vec::<Vec<u8>>::new(), 0);
    while let Some(entry) = parser.next_like(hints.get(keys.len()).map_or(&[], Vec::as_slice))? {
        if entry == ProtoEntry::Family {
            lines.push(format!(
                "# {} {} {:?} {:?}",
                parser.name(),
                parser.kind(),
                parser.help(),
                parser.unit()
            ));
            continue;
        }
        let value = match (entry, parser.histogram()) {
            (ProtoEntry::Histogram, Native::Int(h)) if h.schema == -53 => "custom".to_owned(),
            (ProtoEntry::Histogram, Native::Float(h)) if h.schema == -53 => "custom".to_owned(),
            (ProtoEntry::Histogram, Native::Int(h)) => show(&h.to_float()),
            (ProtoEntry::Histogram, Native::Float(h)) => show(h),
            _ => format!("{:?}", parser.value()),
        };
        right += usize::from(parser.as_hinted());
        let mut key = Vec::new();
        parser.push_key(&mut key);
        let mut builder = LabelsBuilder::new();
        let labels = match decode_key(&key, false, &mut builder) {
            Ok(()) => builder.labels().to_string(),
            Err(error) => error.to_string(),
        };
        let mut exemplars = Vec::new();
        parser.exemplars(&mut builder, |e, labels| {
            assert_eq!(labels.get("trace"), Some("t1"));
            exemplars.push((e.value, e.t_ms));
        });
        let (t, start) = (parser.t_ms().unwrap_or(0), parser.start_ms().unwrap_or(0));
        lines.push(format!("{labels} {value} {t} {start} {exemplars:?}"));
        keys.push(key);
    }
    Ok((lines, keys, right))
}

fn options(rng: &mut Rng) -> HistogramOptions {
    HistogramOptions { native: rng.bool(), classic: rng.bool(), to_custom: rng.bool() }
}

/// Which metrics got the label that stands apart: the parser's own answer, as the encoder chose at random.
fn late_labels(lines: &[String]) -> Vec<Vec<bool>> {
    let mut families: Vec<Vec<bool>> = Vec::new();
    let mut last = String::new();
    for line in lines {
        if line.starts_with('#') {
            families.push(Vec::new());
            last.clear();
            continue;
        }
        let number = line.split(" n=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        if number != last {
            number.clone_into(&mut last);
            families.last_mut().expect("a family comes first").push(line.contains("late=\"1\""));
        }
    }
    families
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_body_is_read_as_its_values_say(seed in any::<u64>()) {
        let mut rng = Rng::with_seed(seed);
        let (families, options) = (random(&mut rng), options(&mut rng));
        // Parts that contradict each other fail a conversion, which has its own tests.
        let fine = |m: &model::Metric| m.native.is_none() || m.points.last().is_none_or(|(b, n)| b.is_finite() || *n == m.count);
        let skip = options.to_custom && !options.native && !families.iter().flat_map(|f| &f.metrics).all(fine);
        let body = encode(&families, &mut rng);
        let read_once = read(&body, options, &[]);
        if skip && read_once.is_err() {
            return Ok(());
        }
        let (lines, keys, _) = read_once.expect("the body is well formed");
        let late = late_labels(&lines);
        let shown: Vec<usize> =
            families.iter().scan(0, |n, f| { let at = *n; *n += usize::from(!f.metrics.is_empty()); Some(at) }).collect();
        let want = describe(&families, options, &|f, m| late[shown[f]][m]);
        prop_assert_eq!(&lines, &want);

        // Right hints fit, and wrong ones change nothing.
        let (again, same, right) = read(&body, options, &keys).expect("the body is well formed");
        prop_assert_eq!((&again, &same, right), (&lines, &keys, keys.len()));
        let mut wrong = keys;
        rng.shuffle(&mut wrong);
        prop_assert_eq!(read(&body, options, &wrong).expect("the body is well formed").0, lines);
    }

    #[test]
    fn damaged_bodies_end_with_an_error_or_with_entries(seed in any::<u64>()) {
        let mut rng = Rng::with_seed(seed);
        let (families, options) = (random(&mut rng), options(&mut rng));
        let mut body = encode(&families, &mut rng);
        let keys = read(&body, options, &[]).map(|(_, keys, _)| keys).unwrap_or_default();
        match rng.u8(0..3) {
            0 => body.truncate(rng.usize(0..=body.len())),
            1 => (0..rng.usize(1..6)).for_each(|_| if !body.is_empty() {
                let at = rng.usize(0..body.len());
                body[at] ^= 1 << rng.u8(0..8);
            }),
            _ => body = (0..rng.usize(0..200)).map(|_| rng.u8(..)).collect(),
        }
        // A family, a metric and its parts take bytes: there cannot be more series than four times those.
        let found = soup(&body, options, &keys);
        prop_assert!(found <= 4 * body.len() + 4, "{} series of {} bytes", found, body.len());
    }
}

/// Reads to the end or the first error, as a scrape does; exemplars and labels too.
fn soup(body: &[u8], options: HistogramOptions, hints: &[Vec<u8>]) -> usize {
    let mut parser = ProtoParser::new(body, options);
    let (mut found, mut builder) = (0, LabelsBuilder::new());
    while let Ok(Some(entry)) = parser.next_like(hints.get(found).map_or(&[], Vec::as_slice)) {
        if entry == ProtoEntry::Family {
            continue;
        }
        found += 1;
        let mut key = Vec::new();
        parser.push_key(&mut key);
        // Any answer is fine, none may panic.
        let _ = decode_key(&key, true, &mut LabelsBuilder::new());
        let _ = empty_labels_of_key(&key);
        if entry == ProtoEntry::Histogram {
            let _ = parser.histogram_mut().limit_schema(0);
            let _ = parser.histogram_mut().limit_buckets(2);
        }
        parser.exemplars(&mut builder, |_, _| {});
    }
    found
}

#[track_caller]
fn check_error(body: &[u8], want: &str) {
    let options = HistogramOptions { native: true, classic: true, to_custom: false };
    assert_eq!(read(body, options, &[]).map(|(lines, ..)| lines).unwrap_err().to_string(), want);
}

#[test]
fn lies_about_lengths_are_told() {
    check_error(&[0x0a], "clientpb: insufficient length of buffer, expected at least 11 bytes, got 1 bytes");
    check_error(
        &[0xff, 0xff, 0xff, 0xff, 0x0f, 1],
        "clientpb: insufficient length of buffer, expected at least 4294967300 bytes, got 6 bytes",
    );
    check_error(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00], "clientpb: invalid varint encountered");
    check_error(&[0xff], "clientpb: invalid varint encountered");
    // A metric of 100 bytes in a family of 4; a name of the largest length.
    check_error(&[4, 0x22, 100, 0, 0], "unexpected EOF");
    let name = [11, 0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    check_error(&name, "proto: negative length found during unmarshaling");
    check_error(&[3, 0x08, 1, 0], "proto: wrong wireType = 0 for field Name");
    check_error(&[2, 0x22, 0], "invalid metric name: ");
    check_error(&[7, 0x0a, 1, b'a', 0x18, 9, 0x22, 0], "unknown metric type for metric \"a\": 9");
}

#[test]
fn native_histograms_with_too_few_buckets_are_refused() {
    // One metric with one positive span of three buckets and one delta.
    let histogram = [0x62, 2, 0x10, 3, 0x68, 2];
    let metric = [&[0x3a, histogram.len() as u8][..], &histogram].concat();
    let family = [&[0x0a, 1, b'h', 0x18, 4, 0x22, metric.len() as u8][..], &metric].concat();
    let body = [&[family.len() as u8][..], &family].concat();
    check_error(&body, "histogram \"h\": positive side: spans require 3 buckets, have 1 buckets");
}

#[test]
fn keys_tell_of_bad_labels_when_they_are_decoded() {
    for (labels, want) in [
        (&[("a", &b"x"[..]), ("a", b"y")][..], "label name \"a\" is not unique: invalid sample"),
        (&[("", b"x")], "invalid label name: "),
        (&[("a", b"\xff")], "invalid label value: \u{fffd}"),
    ] {
        let mut metric = Vec::new();
        for (name, value) in labels {
            let mut pair = Vec::new();
            write::push_bytes(&mut pair, 1, name.as_bytes());
            write::push_bytes(&mut pair, 2, value);
            write::push_bytes(&mut metric, 1, &pair);
        }
        let mut family = vec![0x0a, 1, b'm'];
        write::push_bytes(&mut family, 4, &metric);
        let body = [&[family.len() as u8][..], &family].concat();
        let (lines, ..) = read(&body, HistogramOptions::default(), &[]).unwrap();
        assert!(lines[1].starts_with(want), "{lines:?}");
    }
}

#[test]
fn type_and_unit_become_labels_over_those_of_the_target() {
    let mut key = Vec::new();
    key::family_prefix(b"m", b"bytes", &mut key);
    write::push_label(&mut key, "__type__", "mine");
    write::push_label(&mut key, "empty", "");
    key.extend_from_slice(Tail::new(Part::Whole, MetricType::Gauge).bytes());
    let mut builder = LabelsBuilder::new();
    decode_key(&key, true, &mut builder).unwrap();
    assert_eq!(builder.labels().to_string(), r#"{__name__="m", __type__="gauge", __unit__="bytes"}"#);
    assert_eq!(empty_labels_of_key(&key), [b"empty"]);
}
