//! The fast path against the grammar alone, over cut, flipped and shuffled bodies; and what no input may do.

use super::{Dialect, Parser, walk_raw, walk_tokens};
use crate::{Entry, decode_exemplar, decode_labels};
use narthex_model::LabelsBuilder;

const TEXT: &str = "# HELP a some \\\\ help\\n\n# TYPE a_total counter\na_total{b=\"c\",d=\"e f\"} 12.5\na_total{b=\"x\\\"y\\\\\"} 1e3 1700000000000\n\
\n# comment\n  lead 1\n{\"a.b\",\"c d\"=\"ü☃\"} NaN\na{b=\"c\", d=\"e\",} -0.001\nlong_name_of_a_metric_total 123456789012345678 7\n\
h_bucket{le=\"+Inf\"} +Inf\nq{quantile=\"0.5\"} 0x1p4\nz{}5\n#\nlast{a=\"1\"}  17 \n";

const OPEN: &str = "# HELP a some \\\"help\\\"\n# TYPE a counter\n# UNIT a_seconds seconds\na_total{b=\"c\",d=\"e f\"} 12.5 # {t=\"1\"} 0.5 123.456\n\
a_total{b=\"x\\\"y\"} 1e3 1700000000.123\na_created{b=\"c\",d=\"e f\"} 100.25\n{\"a.b\",\"c d\"=\"ü\"} NaN -5\nb 3 1 # {} 4\nc 1 2 # {x=\"y\",z=\"\\n\"} 1 1\n# EOF\n";

/// Everything that a parser says about a body: entries with decoded labels, then the error.
fn transcript(mut parser: Parser<'_>, hints: &[&[u8]]) -> Vec<String> {
    let mut said = Vec::new();
    let body = parser.lexer.body;
    loop {
        let hint = hints.get(said.len()).copied().unwrap_or_default();
        let before = parser.offset();
        match parser.next_like(hint) {
            Ok(Some(entry)) => {
                assert!(
                    parser.offset() > before && parser.offset() <= body.len(),
                    "each entry takes some bytes"
                );
                said.push(describe(&mut parser, &entry));
            }
            Ok(None) => return said,
            Err(error) => {
                assert!(error.offset() <= body.len() && error.line() <= 1 + body.len());
                said.push(format!("error {error} at {}:{}", error.line(), error.offset()));
                assert_eq!(
                    parser.next().map_err(|_| "again"),
                    parser.next().map_err(|_| "again"),
                    "an error is the end"
                );
                return said;
            }
        }
    }
}

fn describe(parser: &mut Parser<'_>, entry: &Entry<'_>) -> String {
    let Entry::Series(mut series) = *entry else {
        return format!("{entry:?}");
    };
    assert!(parser.lexer.body.as_ptr_range().contains(&series.raw.as_ptr()) || series.raw.is_empty());
    series.as_hinted = false;
    let (mut by_shape, mut by_token) = (Vec::new(), Vec::new());
    walk_raw(series.raw, parser.dialect(), |name, value| by_shape.push((name, value)));
    walk_tokens(series.raw, parser.dialect(), |name, value| by_token.push((name, value)));
    assert_eq!(by_shape, by_token, "parts of {:?}", String::from_utf8_lossy(series.raw));
    let mut builder = LabelsBuilder::new();
    let labels =
        decode_labels(series.raw, parser.dialect(), parser.kind(), &mut builder).map(|()| builder.labels());
    let exemplar = series.exemplar.map(|exemplar| {
        let mut builder = LabelsBuilder::new();
        decode_exemplar(exemplar.raw, &mut builder).map(|()| builder.labels())
    });
    let bits = series.value.to_bits();
    format!(
        "{:?} {bits:x} {:?} {labels:?} {exemplar:?} {:?}",
        series.raw,
        series.t_ms,
        parser.start_ms(&series)
    )
}

fn check_against_the_grammar(body: &[u8], random: &mut fastrand::Rng, note: &str) {
    for dialect in [Dialect::Text, Dialect::OpenMetrics] {
        let hint_texts: Vec<Vec<u8>> = (0..6).map(|_| pick_hint(body, dialect, random)).collect();
        let hints: Vec<&[u8]> = hint_texts.iter().map(Vec::as_slice).collect();
        let fast = Parser::new(body, dialect);
        let slow = Parser { plain: false, ..fast.clone() };
        let want = transcript(slow, &[]);
        assert_eq!(
            transcript(fast.clone(), &[]),
            want,
            "{dialect:?} {note} {:?}",
            String::from_utf8_lossy(body)
        );
        assert_eq!(
            transcript(fast, &hints),
            want,
            "{dialect:?} hinted {note} {:?}",
            String::from_utf8_lossy(body)
        );
    }
}

/// One change of a body: a byte flipped, set or cut, a piece doubled, the end cut.
fn damage(body: &mut Vec<u8>, random: &mut fastrand::Rng) {
    const BYTES: &[u8] = b"{}\"\\,= \t\n#09.eE+-_:aNI\0\xff\xc3\r";
    if body.is_empty() {
        return;
    }
    let at = random.usize(0..body.len());
    match random.u8(0..6) {
        0 => body[at] ^= 1 << random.u8(0..8),
        1 => body[at] = BYTES[random.usize(0..BYTES.len())],
        2 => drop(body.remove(at)),
        3 => body.insert(at, BYTES[random.usize(0..BYTES.len())]),
        4 => {
            let piece = body[at..(at + random.usize(0..40)).min(body.len())].to_vec();
            let to = random.usize(0..=body.len());
            body.splice(to..to, piece);
        }
        _ => body.truncate(at),
    }
}

#[test]
fn the_fast_path_says_what_the_grammar_says_also_about_damaged_bodies() {
    let seed = 5;
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..2500 {
        let source = if random.bool() { TEXT } else { OPEN };
        // Some lines only, so that damage is not hidden behind the first error.
        let lines: Vec<&str> = source.split_inclusive('\n').filter(|_| random.u8(0..3) > 0).collect();
        let mut body = lines.concat().into_bytes();
        for _ in 0..random.usize(0..4) {
            damage(&mut body, &mut random);
        }
        check_against_the_grammar(&body, &mut random, &format!("seed {seed} round {round}"));
    }
}

/// The raw bytes of some series of the body: what a cache would hold.
fn pick_hint(body: &[u8], dialect: Dialect, random: &mut fastrand::Rng) -> Vec<u8> {
    let mut parser = Parser { plain: false, ..Parser::new(body, dialect) };
    let mut hint = Vec::new();
    for _ in 0..random.usize(0..8) {
        if let Ok(Some(Entry::Series(series))) = parser.next() {
            hint = series.raw.to_vec();
        }
    }
    hint
}

#[test]
fn noise_neither_panics_nor_loops() {
    let seed = 6;
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..6_000 {
        let body: Vec<u8> =
            (0..random.usize(0..40)).map(|_| b"ab{}\"\\,= \n#1.\0\xffEOFHLP "[random.usize(0..22)]).collect();
        check_against_the_grammar(&body, &mut random, &format!("seed {seed}"));
    }
}

#[test]
fn a_right_hint_is_told_and_a_wrong_one_does_no_harm() {
    let body = b"a{b=\"c\"} 1\na{b=\"cd\"} 2\nab 3\n";
    for (hint, told) in
        [(&b"a{b=\"c\"}"[..], true), (b"a", false), (b"a{b=\"c\"} 1", false), (b"b", false), (b"", false)]
    {
        let entry = Parser::new(body, Dialect::Text).next_like(hint).expect("well formed");
        let Some(Entry::Series(series)) = entry else { panic!("a series comes first") };
        assert_eq!((series.raw, series.as_hinted), (&b"a{b=\"c\"}"[..], told), "{hint:?}");
    }
    let mut parser = Parser::new(b"ab 3\n", Dialect::Text);
    assert!(matches!(parser.next_like(b"a"), Ok(Some(Entry::Series(s))) if s.raw == b"ab"));
}

#[test]
fn created_lines_tell_when_a_series_started() {
    let body = "# TYPE a counter\na_total{x=\"1\"} 3\na_created{x=\"1\"} 1.5\na_total{x=\"2\"} 4\n# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\n\
        h_bucket{le=\"+Inf\"} 2\nh_count 2\nh_created 7\n# TYPE g gauge\ng 1\ng_created 3\n# EOF\n";
    let mut parser = Parser::new(body.as_bytes(), Dialect::OpenMetrics).without_created_series();
    let mut starts = Vec::new();
    while let Some(entry) = parser.next().expect("well formed") {
        if let Entry::Series(series) = entry {
            starts.push((String::from_utf8_lossy(series.raw).into_owned(), parser.start_ms(&series)));
        }
    }
    let want = [
        ("a_total{x=\"1\"}", Some(1500)),
        ("a_total{x=\"2\"}", None),
        ("h_bucket{le=\"1.0\"}", Some(7000)),
        ("h_bucket{le=\"+Inf\"}", Some(7000)),
        ("h_count", Some(7000)),
        ("g", None),
        ("g_created", None),
    ];
    assert_eq!(starts, want.map(|(raw, start)| (raw.to_owned(), start)));
}

#[test]
fn common_raw_bytes_are_read_without_tokens() {
    for raw in [
        &b"a_total"[..],
        b"a{}",
        b"a{b=\"c\"}",
        b"a:b{le=\"+Inf\",x=\"a b\\\"c\"}",
        b"a{b=\"longer than eight\",c=\"d\",}",
    ] {
        assert!(super::fast::walk(raw, false, &mut |_, _| ()), "{:?}", String::from_utf8_lossy(raw));
    }
}
