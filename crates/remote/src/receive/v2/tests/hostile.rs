//! Requests that want more memory than they are worth: an error, in bounded memory and time.

use super::super::super::limits::{MAX_LABELS, MAX_MEMBERS, MAX_SERIES, MAX_SPELLED, MAX_SPELLED_TOTAL};
use super::*;

fn put(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    let mut len = bytes.len();
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(bytes);
}

/// A table of `""`, `__name__`, `x` and `text`.
fn table(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for symbol in [&b""[..], b"__name__", b"x", text] {
        put(&mut out, 4, symbol);
    }
    out
}

/// A series of these numbers with one sample.
fn series(refs: &[u8]) -> Vec<u8> {
    let mut fields = Vec::new();
    put(&mut fields, 1, refs);
    put(&mut fields, 2, b"\x10\x05");
    let mut out = Vec::new();
    put(&mut out, 5, &fields);
    out
}

#[track_caller]
fn check_refused(message: &[u8], expected: &str) {
    let (receiver, double, _) = receiver();
    let response = send_bytes(&receiver, message);
    assert!(shown(&response).starts_with(expected), "{:.300} instead of {expected}", shown(&response));
    assert!(response.message.len() < 100 << 10, "{} bytes of text", response.message.len());
    assert_eq!((double.take().len(), double.0.lock().series.len()), (0, 0));
}

#[test]
fn a_table_that_does_not_begin_with_an_empty_text_is_refused() {
    let message = [&b"\x22\x01a"[..], &series(&[0, 0])].concat();
    check_refused(&message, "400 symbols table does not begin with an empty string");
    check_refused(
        &series(&[1, 2]),
        "400 parsing labels for series [1 2]: labelRefs 1 (name) = 2 (value) outside of symbols table (size 0)",
    );
    check_refused(
        &series(&[]),
        "400 parsing metadata for series []: metadata unit_ref 0 outside of symbols table (size 0)",
    );
}

#[test]
fn texts_that_are_not_utf_8_are_refused_alone() {
    let (receiver, double, _) = receiver();
    let message = [table(b"\xff"), series(&[1, 3]), series(&[1, 2, 3, 2]), series(&[1, 2])].concat();
    let expected = r#"400 invalid metric name or labels, got {__name__="\xff"}
invalid metric name or labels, got {__name__="x", "\xff"="x"}"#;
    let response = send_bytes(&receiver, &message);
    assert_eq!((shown(&response), written(&response)), (expected.to_owned(), (1, 0, 0)));
    assert_eq!(double.take(), [r#"{__name__="x"} 0@5"#]);
}

#[test]
fn a_few_bytes_cannot_spell_a_huge_label_set() {
    let long = vec![b'l'; MAX_SPELLED / 2];
    let message = [table(&long), series(&[1, 2, 3, 3])].concat();
    check_refused(&message, "400 parsing labels for series [1 2 3 3]: labels are longer than 1048576 bytes");
    let message = [table(b"t"), series(&vec![2; 2 * MAX_LABELS + 2])].concat();
    check_refused(&message, "400 parsing labels for series [2 2 2");
    let message = [table(b"t"), series(&vec![2; 2 * MAX_LABELS])].concat();
    check_refused(&message, "400 invalid metric name or labels, got {x=\"x\"");
}

#[test]
fn many_series_cannot_spell_more_than_a_request_of_sense() {
    let long = vec![b'l'; MAX_SPELLED - 100];
    let mut fields = Vec::new();
    put(&mut fields, 1, &[1, 2]);
    put(&mut fields, 2, b"\x10\x05");
    put(&mut fields, 5, b"\x18\x03");
    let mut message = table(&long);
    for _ in 0..=MAX_SPELLED_TOTAL / long.len() {
        put(&mut message, 5, &fields);
    }
    let (receiver, double, _) = receiver_with(ReceiveOptions { metadata: true, ..ReceiveOptions::default() });
    let expected = "400 labels and metadata that symbols spell exceed 268435456 bytes: send smaller requests";
    assert_eq!(shown(&send_bytes(&receiver, &message)), expected);
    assert_eq!((double.take().len(), double.0.lock().rolled_back), (0, 1));
}

#[test]
fn the_text_of_many_refusals_is_cut() {
    let message = [table(b"t"), series(&[2, 3]).repeat(5000)].concat();
    let (receiver, _, _) = receiver();
    let text = shown(&send_bytes(&receiver, &message));
    let (lines, last) = (text.lines().count(), text.lines().last().unwrap_or_default());
    assert!(text.len() < 70 << 10);
    assert_eq!(last, format!("and {} more", 5000 - (lines - 1)));
}

#[test]
fn counts_have_a_bound() {
    let mut request = super::super::message::Request::default();
    let mut refused = |message: &[u8]| request.read(message).expect_err("there are too many").to_string();
    let expected = |what: &str| format!("request holds more than {what}: send smaller requests");
    assert_eq!(refused(&b"\x2a\x00".repeat(MAX_SERIES + 1)), expected("2097152 series"));
    assert_eq!(refused(&b"\x22\x00".repeat(MAX_MEMBERS + 1)), expected("4194304 symbols"));
    let mut samples = Vec::new();
    put(&mut samples, 5, &b"\x12\x00".repeat(MAX_MEMBERS + 1));
    assert_eq!(refused(&samples), expected("4194304 samples"));
}
