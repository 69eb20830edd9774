//! Answers of more than 100 MB from outside, read as they come: memory grows by what the query holds, never by the text.
//!
//! The data is small: few samples, each repeated at many steps; or few series, each with a large external label.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::harness::{Narthex, SOON};
use crate::process::encode;

/// An answer that no buffer of the server may hold.
const LARGE: u64 = 100_000_000;
/// What writing an answer may take: its first megabyte, pieces, compression, and what the allocator keeps for later.
const BUFFERS: u64 = 16 << 20;

const SERIES: u64 = 300;
const STEPS: u64 = 11_000;

/// A server that was sent so many series with a sample at `t_ms`, with a text of `external` bytes as external label.
fn filled(folder: &Path, (series, t_ms): (u64, i64), external: usize) -> Narthex {
    let config = format!("global: {{external_labels: {{text: {}}}}}\n", "x".repeat(external));
    let server = Narthex::start(folder, &config, &["--web.enable-remote-write-receiver"]);
    server.wait_ready();
    let body = snap::raw::Encoder::new().compress_vec(&written(series, t_ms)).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let length = body.len();
    write!(stream, "POST /api/v1/write HTTP/1.0\r\nContent-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\nContent-Length: {length}\r\n\r\n").unwrap();
    stream.write_all(&body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 204 "), "{answer}");
    server
}

/// A request of protocol 1: `large{i="…"}` with values that have many digits.
fn written(series: u64, t_ms: i64) -> Vec<u8> {
    let mut out = Vec::new();
    let field = |tag: u8, bytes: &[u8]| [&[tag, bytes.len() as u8], bytes].concat();
    let label = |name: &str, value: &str| {
        field(0x0a, &[field(0x0a, name.as_bytes()), field(0x12, value.as_bytes())].concat())
    };
    for i in 0..series {
        let mut time = Vec::new();
        prost::encoding::encode_varint(t_ms as u64, &mut time);
        let sample = [&[0x09][..], &((i + 1) as f64 / 7.0).to_le_bytes(), &[0x10], &time].concat();
        let labels = [label("__name__", "large"), label("i", &i.to_string())].concat();
        out.extend(field(0x0a, &[labels, field(0x12, &sample)].concat()));
    }
    out
}

/// Reads an answer without keeping it: how many bytes were sent, and how many they are decoded.
fn read(server: &Narthex, path: &str, headers: &str) -> (u64, u64) {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n{headers}\r\n").unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.contains(" 200 "), "{line}");
    while line != "\r\n" {
        line.clear();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "the end of the head");
    }
    if headers.is_empty() {
        let bytes = std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
        return (bytes, bytes);
    }
    let mut sent = Counted { reader, bytes: 0 };
    let mut decoder = flate2::bufread::GzDecoder::new(BufReader::with_capacity(1 << 16, &mut sent));
    let bytes = std::io::copy(&mut decoder, &mut std::io::sink()).unwrap();
    (sent.bytes, bytes)
}

/// Counts what is read.
struct Counted<R> {
    reader: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let read = self.reader.read(out)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

/// Reads a large answer plain and compressed; memory may grow by `held` bytes and the buffers.
#[track_caller]
fn check(server: &Narthex, path: &str, held: u64) {
    for headers in ["", "Accept-Encoding: gzip\r\n"] {
        server.reset_peak_memory();
        let before = server.peak_memory_bytes();
        let (sent, bytes) = read(server, path, headers);
        let grown = server.peak_memory_bytes() - before;
        println!("{path}: {bytes} bytes, {sent} sent, {grown} more memory, {held} held by the query");
        assert!(bytes > LARGE, "{bytes}");
        assert!(grown < held + BUFFERS, "{headers}{grown} bytes more for {bytes} bytes of text, {held} held");
    }
}

/// As `query`, at as many steps as there may be, all in the lookback of the newest sample.
fn range(query: &str, end_s: f64) -> String {
    let start = end_s - (STEPS - 1) as f64 * 0.02;
    format!("/api/v1/query_range?query={}&start={start:.3}&end={end_s:.3}&step=0.02", encode(query))
}

#[test]
fn of_a_range_query() {
    let folder = tempfile::tempdir().unwrap();
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let server = filled(folder.path(), (SERIES, now_ms), 1);
    let end_s = now_ms as f64 / 1e3 + 1.0 + STEPS as f64 * 0.02;
    // What threads and their memory cost was paid before.
    let (small, _) = read(&server, &range("count(large)", end_s), "");
    assert!(small < 1 << 20, "{small}");
    // A value and a bit a point.
    check(&server, &range("large", end_s), SERIES * STEPS * 9);
}

#[test]
fn of_a_federation() {
    let folder = tempfile::tempdir().unwrap();
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let server = filled(folder.path(), (30_000, now_ms), 4_000);
    read(&server, "/federate?match[]=large%7Bi=\"1\"%7D", "");
    // Places, and the list of what was selected.
    check(&server, "/federate?match[]=large", 30_000 * 100);
}
