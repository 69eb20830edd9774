//! The remote-write receiver over HTTP: statuses, texts and headers of both protocols, and the flag that says which are taken.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::harness::{EMPTY, Narthex};

const RECEIVER: &str = "--web.enable-remote-write-receiver";
const ACCEPTED: &str = "--web.remote-write-receiver.accepted-protobuf-messages";
const V1: &str = "application/x-protobuf";
const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

/// A snappy block of one literal, at most 60 bytes.
fn snappy(bytes: &[u8]) -> Vec<u8> {
    assert!((1..=60).contains(&bytes.len()));
    [&[bytes.len() as u8, (bytes.len() as u8 - 1) << 2], bytes].concat()
}

/// `{__name__="up2"}` with a 0 at each of these bytes, ms.
fn v2(times: &[u8]) -> Vec<u8> {
    let samples: Vec<u8> = times.iter().flat_map(|t| [0x12, 2, 0x10, *t]).collect();
    let series = [&[0x0a, 2, 1, 2], &samples[..]].concat();
    [&b"\x22\x00\x22\x08__name__\x22\x03up2"[..], &[0x2a, series.len() as u8], &series].concat()
}

/// Head (lower case) and body of the answer.
fn send(server: &Narthex, content_type: &str, encoding: &str, body: &[u8]) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let length = body.len();
    write!(stream, "POST /api/v1/write HTTP/1.0\r\nContent-Type: {content_type}\r\nContent-Encoding: {encoding}\r\nContent-Length: {length}\r\n\r\n").unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[track_caller]
fn check(answer: &(String, String), status: u16, written: Option<usize>, text: &str) {
    let (head, body) = answer;
    assert_eq!(head.split(' ').nth(1), Some(&*status.to_string()), "{head}\n{body}");
    assert_eq!(body.trim_end(), text);
    for (kind, count) in
        [("samples", written), ("histograms", written.map(|_| 0)), ("exemplars", written.map(|_| 0))]
    {
        let name = format!("x-prometheus-remote-write-{kind}-written: ");
        let found = head.lines().find_map(|line| line.strip_prefix(&name));
        assert_eq!(found.map(str::to_owned), count.map(|n| n.to_string()), "{kind}\n{head}");
    }
}

#[test]
fn both_protocols_are_answered_as_the_specification_says() {
    let folder = tempfile::tempdir().unwrap();
    let server = Narthex::start(folder.path(), EMPTY, &[RECEIVER]);
    server.wait_ready();
    check(&send(&server, V2, "snappy", &snappy(&v2(&[5, 6]))), 204, Some(2), "");
    let refused = "out of order sample for series {__name__=\"up2\"}";
    check(&send(&server, V2, "snappy", &snappy(&v2(&[5, 7]))), 400, Some(1), refused);
    check(&send(&server, V2, "snappy", &snappy(b"\x2a\x05")), 400, Some(0), "unexpected EOF");
    check(&send(&server, V2, "snappy", b"\xff\xff"), 400, None, "s2: corrupt input");
    let v1 = b"\x0a\x17\x0a\x0f\x0a\x08__name__\x12\x03up2\x12\x02\x10\x08\x12\x00";
    check(&send(&server, V1, "snappy", &snappy(v1)), 400, None, "out of order sample");
    check(&send(&server, V1, "snappy", &snappy(&v1[..v1.len() - 2])), 400, None, "unexpected EOF");
    let gzip =
        "gzip encoding (compression) is not accepted by this server; only snappy and zstd are acceptable";
    check(&send(&server, V2, "gzip", &snappy(&v2(&[5]))), 415, None, gzip);
    check(&send(&server, V2, "zstd", &snappy(&v2(&[5]))), 400, None, "zstd: corrupt input");
    let bomb = [0x80, 0x80, 0x80, 0x80, 0x08, 0xfe, 0xff];
    let too_large = "decoded size exceeds the 33554432 bytes limit";
    check(&send(&server, V2, "snappy", &bomb), 400, None, too_large);
    assert_eq!(server.query("count_over_time(up2[1m] @ 1)"), Some(3.0));
}

#[test]
fn the_flag_says_which_messages_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let only = format!("{ACCEPTED}=prometheus.WriteRequest");
    let server = Narthex::start(folder.path(), EMPTY, &[RECEIVER, &only]);
    server.wait_ready();
    let refused = "io.prometheus.write.v2.Request protobuf message is not accepted by this server; only accepts prometheus.WriteRequest";
    check(&send(&server, V2, "snappy", &snappy(&v2(&[5]))), 415, None, refused);
    drop(server);
    let wrong = format!("{ACCEPTED}=prometheus.WriteRequest.V3");
    for (flags, words) in [
        (
            [&*wrong, RECEIVER],
            "unknown type for remote write protobuf message prometheus.WriteRequest.V3, supported: prometheus.WriteRequest, io.prometheus.write.v2.Request",
        ),
        (
            [&*only, &*only],
            "duplicated prometheus.WriteRequest flag value, got prometheus.WriteRequest already",
        ),
    ] {
        let (status, log) = Narthex::run_to_end(folder.path(), &flags);
        assert!(status != Some(0) && log.contains(words), "{status:?} {log}");
    }
}
