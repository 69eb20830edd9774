//! Requests and answers that anybody could make: the texts of refusals, and never a panic.

use narthex_storage::SelectHints;
use proptest::prelude::*;

use super::*;
use crate::read::answer::Received;
use crate::read::frame::frame;
use crate::wire::tests::Sample;

fn server(dir: &Path) -> ReadServer {
    ReadServer::new(database(dir, 2).0, LIMITS, &Registry::new())
}

#[test]
fn refusals_have_the_statuses_and_texts_of_prometheus() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path());
    let with = |matchers| body(vec![WireQuery { matchers, ..query((0, 1)) }], &[]);
    let huge = [0x81, 0x80, 0x80, 0x10, 0];
    for (body, expected) in [
        (Vec::new(), "400 snappy: corrupt input"),
        (b"no snappy".to_vec(), "400 snappy: corrupt input"),
        (huge.to_vec(), "400 snappy: decoded length 33554433 exceeds limit 33554432"),
        (vec![0xff; 9], "400 snappy: corrupt input"),
        (snappy(&[0x0a, 0x05, 1]), "400 unexpected EOF"),
        (snappy(&[0x08, 0x05]), "400 proto: wrong wireType = 0 for field Queries"),
        (snappy(&[0x0a, 2, 0x0a, 0]), "400 proto: wrong wireType = 2 for field StartTimestampMs"),
        (
            body(vec![], &[5, 7]),
            "400 server does not support any of the requested response types: [5 7]; supported: map[SAMPLES:{} STREAMED_XOR_CHUNKS:{}]",
        ),
        (with(vec![matcher(4, "a", "b")]), "500 invalid matcher type"),
        (with(vec![matcher(2, "a", "(")]), "500 error parsing regexp: missing closing ): `(`"),
    ] {
        let answer = ask(&server, &body).0;
        let Answer::Refused(status, reason) = answer else { panic!("{expected}: {answer:?}") };
        assert_eq!(format!("{} {reason}", status.as_u16()), expected);
    }
    assert_eq!(ask(&server, &body(vec![], &[])).0, Answer::Samples(vec![0]), "no query, no result");
    assert_eq!(ask(&server, &body(vec![], &[CHUNKS])), (Answer::Streamed, Vec::new()));
}

#[test]
fn the_own_request_is_what_prost_reads() {
    let matchers = [
        narthex_model::Matcher::equal("a", "b"),
        narthex_model::Matcher::new(narthex_model::MatchOp::NotRegex, "c", "d.*").unwrap(),
    ];
    let hints = SelectHints {
        start_ms: -3,
        end_ms: 4,
        step_ms: 5,
        range_ms: 6,
        function: "rate",
        ..Default::default()
    };
    let bytes = super::super::request::encode((-1, 2), &matchers, &hints);
    let read = WireRequest::decode(&*snap::raw::Decoder::new().decompress_vec(&bytes).unwrap()).unwrap();
    let hints = WireHints {
        start_ms: -3,
        end_ms: 4,
        step_ms: 5,
        range_ms: 6,
        func: "rate".to_owned(),
        ..Default::default()
    };
    let matchers = vec![matcher(0, "a", "b"), matcher(3, "c", "d.*")];
    let query = WireQuery { start_ms: -1, end_ms: 2, matchers, hints: Some(hints) };
    assert_eq!(read, WireRequest { queries: vec![query], accepted: vec![CHUNKS, SAMPLES] });
}

fn label(name: &str, value: &str) -> Label {
    Label { name: name.to_owned(), value: value.to_owned() }
}

fn sampled(labels: &[(&str, &str)], times: &[i64]) -> TimeSeries {
    TimeSeries {
        labels: labels.iter().map(|(name, value)| label(name, value)).collect(),
        samples: times.iter().map(|t| Sample { timestamp: *t, value: *t as f64 }).collect(),
        ..TimeSeries::default()
    }
}

#[track_caller]
fn check_message(timeseries: Vec<TimeSeries>, expected: &str) {
    let message = WireResponse { results: vec![WireResult { timeseries }] }.encode_to_vec();
    let shown = match Received::from_message(&snappy(&message), &["x".to_owned()]) {
        Ok(received) => {
            let times = |samples: BTreeMap<i64, String>| samples.into_keys().collect::<Vec<_>>();
            let all = plain_received(&received).into_iter().map(|(l, s)| format!("{l} {:?}", times(s)));
            all.collect::<Vec<_>>().join("; ")
        }
        Err(error) => error.to_string(),
    };
    assert_eq!(shown, expected);
}

#[test]
fn series_of_a_message_are_sorted_merged_and_judged() {
    check_message(vec![], "");
    let (b, a) = (sampled(&[("n", "b"), ("x", "1")], &[1, 1, 3]), sampled(&[("n", "a")], &[5]));
    check_message(vec![b.clone(), a, b], r#"{n="a"} [5]; {n="b"} [1, 3]"#);
    let halves =
        vec![sampled(&[("n", "a")], &[1, 5]), sampled(&[("z", "")], &[2]), sampled(&[("n", "a")], &[3])];
    check_message(halves, r#"{n="a"} [1, 3, 5]; {} [2]"#);
    check_message(
        vec![sampled(&[("n", "a")], &[5, 4])],
        r#"samples of series {n="a"} are not in the order of their times"#,
    );
    check_message(vec![sampled(&[("", "a")], &[])], "invalid label name: ");
    check_message(vec![sampled(&[("__name__", "")], &[])], "invalid metric name: ");
    check_message(vec![sampled(&[("a", "1"), ("a", "2")], &[])], "duplicate label with name: a");
    let histogram = WireHistogram { schema: 99, timestamp: 1, ..WireHistogram::default() };
    let odd = TimeSeries { histograms: vec![histogram], ..sampled(&[("n", "a")], &[]) };
    check_message(vec![odd], r#"histogram of series {n="a"}: unknown schema 99"#);
    let positive_spans = vec![crate::wire::tests::WireSpan { offset: 0, length: 9 }];
    let histogram = WireHistogram { positive_spans, timestamp: 1, ..WireHistogram::default() };
    let odd = TimeSeries { histograms: vec![histogram], ..sampled(&[("n", "a")], &[]) };
    check_message(vec![odd], r#"histogram of series {n="a"}: spans need 9 buckets, have 0 buckets"#);
}

#[track_caller]
fn check_stream(stream: Vec<u8>, expected: &str) {
    assert_eq!(Received::from_frames(stream, 100, &[]).unwrap_err().to_string(), expected);
}

#[test]
fn damaged_streams_and_messages_are_refused() {
    let message = |results| WireResponse { results }.encode_to_vec();
    for (body, expected) in [
        (snappy(&message(vec![])), "responses: want 1, got 0"),
        (snappy(&message(vec![WireResult::default(), WireResult::default()])), "responses: want 1, got 2"),
        (Vec::new(), "error reading response: snappy: corrupt input"),
        (vec![0xff, 0xff, 0xff, 0x7f, 0, 0], "error reading response: snappy: corrupt input"),
        (
            vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0],
            "error reading response: answer is larger than 536870912 bytes",
        ),
        (snappy(&[0x0a, 9]), "unable to unmarshal response body: unexpected EOF"),
    ] {
        assert_eq!(Received::from_message(&body, &[]).unwrap_err().to_string(), expected);
    }
    let chunk = |kind, data: &[u8]| {
        let chunk = WireChunk { kind, data: data.to_vec(), ..WireChunk::default() };
        let series = WireChunkedSeries { labels: vec![label("a", "b")], chunks: vec![chunk] };
        frame(&[&WireFrame { series: vec![series], query: 0 }.encode_to_vec()])
    };
    let good = chunk(1, &[0, 0]);
    check_stream(good[..good.len() - 1].to_vec(), "unexpected EOF");
    check_stream(vec![0x80], "unexpected EOF");
    check_stream(vec![0xff; 12], "binary: varint overflows a 64-bit integer");
    check_stream(vec![101, 0], "chunkedReader: message size exceeded the limit 100 bytes; got: 101 bytes");
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    check_stream(flipped, "chunkedReader: corrupted frame; checksum mismatch");
    check_stream(chunk(9, &[0, 0]), "invalid chunk encoding \"<unknown>\"");
    assert_eq!(Received::from_frames(good, 100, &[]).unwrap().len(), 1);
    assert_eq!(Received::from_frames(Vec::new(), 100, &[]).unwrap().len(), 0);
}

proptest! {
    #[test]
    fn nothing_that_is_cut_or_flipped_panics(
        seed in 0..4u64,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        keep in any::<prop::sample::Index>(),
        framed in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let server = ReadServer::new(database(dir.path(), seed).0, LIMITS, &Registry::new());
        let accepted = if framed { CHUNKS } else { SAMPLES };
        let (answer, stream) = ask(&server, &body(vec![query((0, i64::MAX))], &[accepted]));
        let mut bytes = match answer {
            Answer::Samples(message) => snap::raw::Decoder::new().decompress_vec(&message).unwrap(),
            _ => slow_frames(&stream)[0].encode_to_vec(),
        };
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= bit;
        }
        bytes.truncate(keep.index(bytes.len() * 2));
        // Behind a right checksum, so that the messages themselves are judged.
        match framed {
            true => drop(Received::from_frames(frame(&[&bytes]), 1 << 30, &[]).map(|r| plain_received(&r))),
            false => drop(Received::from_message(&snappy(&bytes), &[]).map(|r| plain_received(&r))),
        }
        let _ = ask(&server, &snappy(&bytes));
    }
}
