//! Round trips of every record type, decoders on cut and flipped bytes, and golden bytes.

use narthex_model::{
    CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Exemplar, FloatHistogram, Histogram, Labels, Metadata,
    MetricType, Span,
};
use narthex_storage::SeriesRef;
use proptest::prelude::*;

use super::*;

fn samples() -> impl Strategy<Value = Vec<RefSample>> {
    let refs = prop_oneof![0u64..100, 0u64..100_000, any::<u64>()];
    let times = prop_oneof![1_795_310_700_000i64..1_795_310_800_000, any::<i64>()];
    let starts = prop_oneof![Just(0i64), Just(77i64), any::<i64>()];
    let sample = (refs, times, starts, any::<u64>()).prop_map(|(series, t_ms, start_ms, bits)| RefSample {
        series: SeriesRef(series),
        t_ms,
        start_ms,
        value: f64::from_bits(bits),
    });
    (prop::collection::vec(sample, 1..200), any::<bool>()).prop_map(|(mut samples, with_start)| {
        samples.iter_mut().for_each(|sample| sample.start_ms *= i64::from(with_start));
        samples
    })
}

fn labels() -> impl Strategy<Value = Labels> {
    prop::collection::btree_map("[a-zé]{1,8}", "[a-zé ]{1,200}", 0..6).prop_map(Labels::from_pairs)
}

fn spans() -> impl Strategy<Value = Vec<Span>> {
    let span = (any::<i32>(), any::<u32>()).prop_map(|(offset, length)| Span { offset, length });
    prop::collection::vec(span, 0..4)
}

fn histogram() -> impl Strategy<Value = Histogram> {
    let head = (any::<bool>(), -4i32..=8, 0u8..4, any::<u64>(), any::<u64>());
    let buckets = || prop::collection::vec(any::<i64>(), 0..6);
    let bounds = prop::collection::vec(-1e9..1e9, 0..5);
    (head, spans(), spans(), buckets(), buckets(), bounds).prop_map(|(head, pos, neg, pb, nb, bounds)| {
        let (custom, schema, hint, zero_count, count) = head;
        Histogram {
            counter_reset_hint: match hint {
                0 => CounterResetHint::Unknown,
                1 => CounterResetHint::Reset,
                2 => CounterResetHint::NotReset,
                _ => CounterResetHint::Gauge,
            },
            schema: if custom { CUSTOM_BUCKETS_SCHEMA } else { schema },
            zero_threshold: 0.001,
            zero_count,
            count,
            sum: count as f64 * 0.5,
            positive_spans: pos,
            negative_spans: neg,
            positive_buckets: pb,
            negative_buckets: nb,
            custom_values: if custom { bounds } else { Vec::new() },
        }
    })
}

fn histograms() -> impl Strategy<Value = Vec<HistogramSample<Histogram>>> {
    let one = (any::<u64>(), any::<i64>(), any::<i64>(), histogram());
    (prop::collection::vec(one, 1..8), any::<bool>()).prop_map(|(list, with_start)| {
        let sample = |(series, t_ms, start_ms, histogram)| HistogramSample {
            series: SeriesRef(series),
            t_ms,
            start_ms: if with_start { start_ms } else { 0 },
            histogram,
        };
        list.into_iter().map(sample).collect()
    })
}

/// Bitwise, so that NaNs compare.
fn bits(samples: &[RefSample]) -> Vec<(u64, i64, i64, u64)> {
    samples.iter().map(|s| (s.series.0, s.t_ms, s.start_ms, s.value.to_bits())).collect()
}

proptest! {
    #[test]
    fn samples_survive_and_are_version_1_without_start_timestamps(samples in samples()) {
        let mut record = vec![0xee];
        encode_samples(&samples, &mut record);
        let record = &record[1..];
        let version = if samples.iter().all(|s| s.start_ms == 0) { 1 } else { 2 };
        prop_assert_eq!(RecordType::of(record), RecordType::Samples { version });
        let mut decoded = Vec::new();
        decode_samples(record, &mut decoded).unwrap();
        prop_assert_eq!(bits(&decoded), bits(&samples));
        if version == 1 {
            prop_assert_eq!(bits(&plain_decode_v1(record)), bits(&samples));
        }
    }

    #[test]
    fn histograms_survive_in_records_of_their_layout(samples in histograms()) {
        let lent: Vec<_> = samples.iter().map(|s| HistogramSample {
            series: s.series, t_ms: s.t_ms, start_ms: s.start_ms, histogram: &s.histogram,
        }).collect();
        let mut ints = Vec::new();
        let mut records = Vec::new();
        encode_histograms(&lent, &mut ints, |end| records.push(end));
        let mut decoded = decode_all(&ints, &records, |h| match h {
            AnyHistogram::Int(h) => h.clone(),
            AnyHistogram::Float(_) => panic!("integer histograms were written"),
        });
        let mut expected = samples.clone();
        if records.len() == 2 || samples.iter().all(|s| s.start_ms == 0) {
            expected.sort_by_key(|s| s.histogram.schema == CUSTOM_BUCKETS_SCHEMA);
        }
        prop_assert_eq!(&decoded, &expected);
        decoded.clear();
    }

    #[test]
    fn float_histograms_survive_in_records_of_their_layout(samples in histograms()) {
        let floats: Vec<_> = samples.iter().map(|s| s.histogram.to_float()).collect();
        let lent: Vec<_> = samples.iter().zip(&floats).map(|(s, histogram)| HistogramSample {
            series: s.series, t_ms: s.t_ms, start_ms: s.start_ms, histogram,
        }).collect();
        let (mut bytes, mut records) = (Vec::new(), Vec::new());
        encode_float_histograms(&lent, &mut bytes, |end| records.push(end));
        let decoded: Vec<HistogramSample<FloatHistogram>> = decode_all(&bytes, &records, |h| match h {
            AnyHistogram::Float(h) => h.clone(),
            AnyHistogram::Int(_) => panic!("float histograms were written"),
        });
        let mut expected: Vec<_> = lent.iter().map(|s| (s.series, s.t_ms, s.start_ms, s.histogram.clone())).collect();
        if samples.iter().all(|s| s.start_ms == 0) {
            expected.sort_by_key(|s| s.3.schema == CUSTOM_BUCKETS_SCHEMA);
        }
        let decoded: Vec<_> = decoded.into_iter().map(|s| (s.series, s.t_ms, s.start_ms, s.histogram)).collect();
        prop_assert_eq!(decoded, expected);
    }

    #[test]
    fn series_and_exemplars_survive(sets in prop::collection::vec((any::<u64>(), labels(), any::<i64>()), 1..20)) {
        let mut record = Vec::new();
        encode_series(sets.iter().map(|(series, labels, _)| (SeriesRef(*series), labels)), &mut record);
        let mut decoded = Vec::new();
        decode_series(&record, |series, pairs| decoded.push((series.0, pairs.to_labels(), pairs.is_canonical()))).unwrap();
        prop_assert!(decoded.iter().map(|d| (d.0, &d.1, d.2)).eq(sets.iter().map(|s| (s.0, &s.1, true))));

        let exemplars: Vec<_> = sets.iter().map(|(series, labels, t_ms)| {
            (SeriesRef(*series), Exemplar { labels: labels.clone(), value: 1.5, t_ms: Some(*t_ms) })
        }).collect();
        let lent: Vec<_> = exemplars.iter().map(|(series, exemplar)| (*series, exemplar)).collect();
        record.clear();
        encode_exemplars(&lent, &mut record);
        let mut decoded = Vec::new();
        decode_exemplars(&record, |e| decoded.push((e.series, e.to_exemplar()))).unwrap();
        prop_assert_eq!(decoded, exemplars);
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0u8..16) {
        if let Some(first) = bytes.first_mut() {
            *first = kind;
        }
        decode_any(&bytes);
    }

    #[test]
    fn cut_and_flipped_records_do_not_panic(samples in histograms(), at in any::<usize>(), flip in 1u8..) {
        let lent: Vec<_> = samples.iter().map(|s| HistogramSample {
            series: s.series, t_ms: s.t_ms, start_ms: s.start_ms, histogram: &s.histogram,
        }).collect();
        let mut record = Vec::new();
        encode_histograms(&lent, &mut record, |_| {});
        let at = at % record.len();
        decode_any(&record[..at]);
        record[at] ^= flip;
        decode_any(&record);
    }
}

fn decode_all<H>(
    bytes: &[u8],
    ends: &[usize],
    own: impl Fn(AnyHistogram<'_>) -> H,
) -> Vec<HistogramSample<H>> {
    let (mut decoded, mut start) = (Vec::new(), 0);
    for end in ends {
        let skipped = decode_histograms(&bytes[start..*end], |s| {
            let histogram = own(s.histogram);
            decoded.push(HistogramSample { series: s.series, t_ms: s.t_ms, start_ms: s.start_ms, histogram });
        });
        assert_eq!(skipped, Ok(0));
        start = *end;
    }
    assert_eq!(start, bytes.len());
    decoded
}

/// Runs every decoder; only panics and endless loops count.
fn decode_any(record: &[u8]) {
    let _ = decode_samples(record, &mut Vec::new());
    let _ = decode_series(record, |_, pairs| drop(pairs.to_labels()));
    let _ = decode_tombstones(record, |_| {});
    let _ = decode_exemplars(record, |exemplar| drop(exemplar.to_exemplar()));
    let _ = decode_mmap_markers(record, |_| {});
    let _ = decode_metadata(record, |_| {});
    let _ = decode_histograms(record, |_| {});
}

/// The slow twin: byte by byte, as the format's page draws it.
fn plain_decode_v1(record: &[u8]) -> Vec<RefSample> {
    fn varint(bytes: &mut std::iter::Copied<std::slice::Iter<'_, u8>>) -> i64 {
        let (mut value, mut shift) = (0u128, 0);
        loop {
            let byte = bytes.next().unwrap();
            value |= u128::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return if value & 1 == 0 { (value >> 1) as i64 } else { !((value >> 1) as i64) };
            }
        }
    }
    fn word(bytes: &mut std::iter::Copied<std::slice::Iter<'_, u8>>) -> u64 {
        (0..8).fold(0, |word, _| word << 8 | u64::from(bytes.next().unwrap()))
    }
    let mut bytes = record.iter().copied();
    assert_eq!(bytes.next(), Some(2));
    let (series, t_ms) = (word(&mut bytes), word(&mut bytes) as i64);
    let mut samples = Vec::new();
    while bytes.len() > 0 {
        samples.push(RefSample {
            series: SeriesRef(series.wrapping_add(varint(&mut bytes) as u64)),
            t_ms: t_ms.wrapping_add(varint(&mut bytes)),
            start_ms: 0,
            value: f64::from_bits(word(&mut bytes)),
        });
    }
    samples
}

#[track_caller]
fn check_fault(mut decode: impl FnMut(&[u8]) -> Option<DecodeError>, record: &[u8], expected: &str) {
    let error = decode(record).expect("a fault was expected");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_fault_tells_its_place() {
    let samples = |record: &[u8]| decode_samples(record, &mut Vec::new()).err();
    let series = |record: &[u8]| decode_series(record, |_, _| {}).err();
    check_fault(
        samples,
        &[2, 0, 0],
        "samples record is malformed at its byte 1 of 3: the record ends inside a field of 8 bytes, 2 are left",
    );
    check_fault(
        series,
        &[1, 0, 0, 0, 0, 0, 0, 0, 9, 200, 1],
        "series record is malformed at its byte 11 of 11: a list of 200 entries cannot lie in the 0 bytes that are left",
    );
    check_fault(
        series,
        &[1, 0, 0, 0, 0, 0, 0, 0, 9, 1, 1, b'a', 1, 0xff],
        "series record is malformed at its byte 12 of 14: a label is not valid UTF-8",
    );
    check_fault(
        samples,
        &[1],
        "series record is malformed at its byte 0 of 1: this record type is not the one to decode here",
    );
}

#[test]
fn version_1_samples_have_the_bytes_of_prometheus() {
    let sample = |series, t_ms, value| RefSample { series: SeriesRef(series), t_ms, start_ms: 0, value };
    let mut record = Vec::new();
    encode_samples(&[sample(3, 1000, 1.0), sample(5, 990, -2.0)], &mut record);
    let mut expected = vec![2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 3, 0xe8];
    expected.extend([0, 0, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
    expected.extend([4, 19, 0xc0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(record, expected);
}

#[test]
fn empty_lists_make_no_record() {
    let mut out = Vec::new();
    encode_samples(&[], &mut out);
    encode_series([], &mut out);
    encode_tombstones(&[], &mut out);
    encode_exemplars(&[], &mut out);
    encode_mmap_markers(&[], &mut out);
    encode_metadata([], &mut out);
    encode_histograms(&[], &mut out, |_| panic!("no record was written"));
    assert!(out.is_empty());
}

#[test]
fn metadata_tombstones_and_markers_survive() {
    let kinds = [
        MetricType::Unknown,
        MetricType::Counter,
        MetricType::Gauge,
        MetricType::Histogram,
        MetricType::GaugeHistogram,
        MetricType::Summary,
        MetricType::Info,
        MetricType::StateSet,
    ];
    let families = kinds.map(|kind| Metadata { kind, unit: "s".into(), help: format!("is a {kind}") });
    let mut record = Vec::new();
    encode_metadata(families.iter().map(|m| (SeriesRef(300), m)), &mut record);
    let mut seen = Vec::new();
    decode_metadata(&record, |m| {
        assert_eq!(m.series, SeriesRef(300));
        seen.push(Metadata { kind: m.kind, unit: m.unit.into_owned(), help: m.help.into_owned() });
    })
    .unwrap();
    assert_eq!(seen, families);

    let stones = [Tombstone { series: SeriesRef(u64::MAX), mint_ms: i64::MIN, maxt_ms: i64::MAX }; 2];
    record.clear();
    encode_tombstones(&stones, &mut record);
    let mut seen = Vec::new();
    decode_tombstones(&record, |stone| seen.push(stone)).unwrap();
    assert_eq!(seen, stones);

    let markers = [MmapMarker { series: SeriesRef(1), chunk: 1 << 32 | 8 }];
    record.clear();
    encode_mmap_markers(&markers, &mut record);
    let mut seen = Vec::new();
    decode_mmap_markers(&record, |marker| seen.push(marker)).unwrap();
    assert_eq!(seen, markers);
}

#[test]
fn a_histogram_of_an_unknown_schema_is_skipped_and_counted() {
    let odd = Histogram { schema: 99, ..Histogram::default() };
    let good = Histogram { count: 3, ..Histogram::default() };
    let sample = |h| HistogramSample { series: SeriesRef(1), t_ms: 5, start_ms: 0, histogram: h };
    let mut record = Vec::new();
    encode_histograms(&[sample(&odd), sample(&good)], &mut record, |_| {});
    let mut counts = Vec::new();
    let skipped = decode_histograms(&record, |s| match s.histogram {
        AnyHistogram::Int(h) => counts.push(h.count),
        AnyHistogram::Float(_) => panic!("an integer histogram was written"),
    });
    assert_eq!((skipped, counts), (Ok(1), vec![3]));
}
