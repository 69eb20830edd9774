//! Targets are mended, and nothing else: against a plain twin that sees the whole stream at once, and against hyper itself.

use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;

use super::*;

/// What comes out when it comes in pieces of one length.
fn in_pieces(sent: &[u8], length: usize) -> Vec<u8> {
    let mut scanner = Scanner { place: NEXT, line: Vec::new() };
    let mut got = Vec::new();
    for piece in sent.chunks(length) {
        got.extend_from_slice(&scanner.scan(piece).map_or_else(|| piece.to_vec(), |m| m.to_vec()));
    }
    got
}

#[track_caller]
fn check(sent: &str, expected: &str) {
    for length in 1..=sent.len() {
        let got = in_pieces(sent.as_bytes(), length);
        assert_eq!(String::from_utf8_lossy(&got), expected, "in pieces of {length}");
    }
}

#[test]
fn bytes_that_hyper_refuses_are_escaped_in_targets_only() {
    check(
        "GET /a?m={j=\"x\"} HTTP/1.1\r\nX: \"{é}\r\n\r\n",
        "GET /a?m=%7Bj=%22x%22%7D HTTP/1.1\r\nX: \"{é}\r\n\r\n",
    );
    check("GET /é#x HTTP/1.1\n\n", "GET /%C3%A9%23x HTTP/1.1\n\n");
    check("G\"T /\r\n\r\n", "G\"T /\r\n\r\n");
    check("GET /plain HTTP/1.1\r\n\r\n", "GET /plain HTTP/1.1\r\n\r\n");
}

/// Two requests, of which the first has this head and a body of five bytes that looks like a request.
fn two(head: &str) -> String {
    format!("\r\nPOST /\" HTTP/1.1\r\n{head}\r\n\r\nG \"\r\nGET /\" HTTP/1.1\r\n\r\n")
}

#[test]
fn the_next_request_is_found_behind_a_body_of_known_length() {
    // An upgrade is never granted here.
    for known in ["CONTENT-length:  5 ", "Content-Length:5", "Upgrade: h2c\r\nContent-Length: 05"] {
        check(&two(known), &two(known).replace("/\"", "/%22"));
    }
    for unknown in
        ["Transfer-Encoding: chunked", "Content-Length: x", "Content-Length: -1", "Content-Length: +5"]
    {
        check(&two(unknown), &two(unknown).replacen("/\"", "/%22", 1));
    }
}

/// Only the beginning of a line is kept. Of a length with many zeros that was taken to be the whole: 0. What followed was mended as a
/// request then, grew, and its end became a request of its own.
#[test]
fn a_length_of_many_digits_is_not_cut() {
    for zeros in 40..60 {
        let head = format!("Content-Length: {}5", "0".repeat(zeros));
        let (all, first) = (two(&head).replace("/\"", "/%22"), two(&head).replacen("/\"", "/%22", 1));
        check(&two(&head), if head.len() + 2 < LINE { &all } else { &first });
    }
}

#[test]
fn http_2_is_left_alone() {
    check("PRI * HTTP/2.0\r\n\r\nSM\"\r\n\r\n\"", "PRI * HTTP/2.0\r\n\r\nSM\"\r\n\r\n\"");
}

/// The slow twin: takes whole requests off the stream with the parser that hyper has. Gives what must come out as far as hyper reads,
/// and whether that is all.
fn twin(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    loop {
        while let Some(behind) = rest.strip_prefix(b"\r\n").or(rest.strip_prefix(b"\n")) {
            out.extend_from_slice(&rest[..rest.len() - behind.len()]);
            rest = behind;
        }
        if rest.is_empty() || rest.starts_with(b"PRI ") {
            out.extend_from_slice(rest);
            return (out, true);
        }
        let line = line_length(rest);
        let blank = rest[..line].iter().position(|byte| *byte == b' ').unwrap_or(line);
        let mut mended = BytesMut::from(&rest[..blank]);
        escape(&rest[blank..line], &mut mended);
        let head = [&mended, &rest[line..]].concat();
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut request = httparse::Request::new(&mut headers);
        let Ok(httparse::Status::Complete(length)) = request.parse(&head) else { return (out, false) };
        let body = match framing(&head, request.headers) {
            Framing::Known(body) => body,
            Framing::Unknown => usize::MAX,
            Framing::Wrong => return (out, false),
        };
        out.extend_from_slice(&head[..length]);
        rest = &rest[line + length - mended.len()..];
        let (body, behind) = rest.split_at(rest.len().min(body));
        out.extend_from_slice(body);
        rest = behind;
    }
}

/// How much of what follows a head is its body.
enum Framing {
    Known(usize),
    /// Nothing is touched behind it.
    Unknown,
    /// The request is refused.
    Wrong,
}

fn framing(head: &[u8], headers: &[httparse::Header<'_>]) -> Framing {
    let values = |name: &'static str| headers.iter().filter(move |h| h.name.eq_ignore_ascii_case(name));
    let is_long = |header: &httparse::Header<'_>| {
        let at = header.name.as_ptr() as usize - head.as_ptr() as usize;
        line_length(&head[at..]) >= LINE
    };
    let lengths: Option<Vec<usize>> = values("content-length")
        .map(|header| {
            let digits = std::str::from_utf8(header.value).ok();
            digits.filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
        })
        .collect();
    if values("transfer-encoding").next().is_some() || values("content-length").any(is_long) {
        return Framing::Unknown;
    }
    match lengths.as_deref() {
        Some([]) => Framing::Known(0),
        Some([first, others @ ..]) if others.iter().all(|other| other == first) => Framing::Known(*first),
        _ => Framing::Wrong,
    }
}

/// A stream of requests, some of them odd, with bodies that look like requests. Targets need no escapes if they are to be `plain`.
fn streams(plain: bool) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(request(plain), 1..5).prop_map(|requests| requests.concat())
}

fn request(plain: bool) -> impl Strategy<Value = Vec<u8>> {
    let before = prop::sample::select(vec!["", "", "", "", "\r\n", "\n", "\r\n\n", " \r\n", "\r", "\t\n"]);
    let method = prop::sample::select(vec!["GET", "POST", "POST", "PUT", "PRI", "G\"T", "X23456789 "]);
    let dirty = prop::sample::select(vec!["/a?m={j=\"x\"}", "/é#", "/\0", "/a b\"", "*", "", "/%zz\\"]);
    let clean = prop::sample::select(vec!["/", "/a?b=c%22", "http://h/x", "*", ""]);
    let target = if plain { clean.boxed() } else { dirty.boxed() };
    let version =
        prop::sample::select(vec![" HTTP/1.1", " HTTP/1.1", " HTTP/1.1", " HTTP/1.0", " HTTP/1.1\"", ""]);
    let end = prop::sample::select(vec!["\r\n", "\r\n", "\r\n", "\n"]);
    (before, method, target, version, end, prop::collection::vec(header(), 0..4), body()).prop_map(
        |(before, method, target, version, end, headers, body)| {
            let mut head = format!("{before}{method} {target}{version}{end}Host: h{end}");
            headers.iter().for_each(|header| head += &format!("{}{end}", header(body.len())));
            [format!("{head}{end}").as_bytes(), &body].concat()
        },
    )
}

/// A header, given the length of the body.
fn header() -> impl Strategy<Value = fn(usize) -> String> {
    let length: Vec<fn(usize) -> String> = vec![
        |n| format!("Content-Length: {n}"),
        |n| format!("content-length:\t{n} "),
        |n| format!("Content-Length: {}{n}", "0".repeat(50)),
        |n| format!("Content-Length: {}{n}", " ".repeat(60)),
        |n| format!("Content-Length: {n}{}", " ".repeat(60)),
    ];
    let wrong: Vec<fn(usize) -> String> = vec![
        |n| format!("Content-Length: {}", n / 2),
        |n| format!("Content-Length: {}", n + 3),
        |n| format!("Content-Length: +{n}"),
        |n| format!("Content-Length: {n}, {n}"),
        |n| format!("Content-Length : {n}"),
        |n| format!(" Content-Length: {n}"),
        |n| format!("Content-Length:\r\n {n}"),
        |n| format!("Content-Length: {n}\0"),
        |_| "Content-Length:".to_owned(),
        |_| "Content-Length: 99999999999999999999999".to_owned(),
        |_| "Content-Length: -0".to_owned(),
        |_| "Transfer-Encoding: chunked".to_owned(),
        |_| "Transfer-Encoding: gzip".to_owned(),
        |_| "Upgrade: h2c".to_owned(),
        |_| "Connection: close".to_owned(),
        |_| "X: \"{é}".to_owned(),
        |_| "X: a\rGET /\" HTTP/1.1".to_owned(),
        |_| format!("X: {}", "\"".repeat(100)),
        |_| "\t".to_owned(),
        |_| "no colon".to_owned(),
    ];
    prop_oneof![3 => prop::sample::select(length), 2 => prop::sample::select(wrong)]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(prop::sample::select(b" \"{}\r\n\0aG5".to_vec()), 0..30),
        Just(b"G \"{\r\n\r\nPOST /\" HTTP/1.1\r\nContent-Length: 3\r\n\r\n \"\"".to_vec()),
        Just(b"5\r\nG \"{}\r\n0\r\n\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..80),
    ]
}

/// What hyper makes of a stream that comes in pieces of one length: each request with its body.
async fn heard<S>(sent: &[u8], length: usize, wrap: impl FnOnce(tokio::io::DuplexStream) -> S) -> Vec<String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (client, server) = tokio::io::duplex(length);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let heard = Arc::clone(&heard);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(http_body_util::Collected::to_bytes);
            heard.lock().unwrap().push(format!("{} {} {body:?}", head.method, head.uri));
            Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(Bytes::from_static(b"ok"))))
        }
    });
    let (mut answers, mut sends) = tokio::io::split(client);
    let send = async {
        // The server may be done with us before.
        let _ = sends.write_all(sent).await;
        let _ = sends.shutdown().await;
    };
    let mut nowhere = tokio::io::sink();
    let take = tokio::io::copy(&mut answers, &mut nowhere);
    let serve = http1::Builder::new().half_close(true).serve_connection(TokioIo::new(wrap(server)), service);
    let (_, _, _) = tokio::join!(send, take, async { drop(serve.await) });
    drop(sends);
    let heard = heard.lock().unwrap();
    heard.clone()
}

proptest! {
    /// However the stream is cut, what comes out is what the twin says, as far as hyper reads it.
    #[test]
    fn all_pieces_give_what_the_twin_gives(sent in prop_oneof![streams(false), streams(true)]) {
        let (expected, to_the_end) = twin(&sent);
        for length in 1..=sent.len() {
            let got = in_pieces(&sent, length);
            let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
            prop_assert!(got.starts_with(&expected), "pieces of {}:\n{}\n{}", length, text(&got), text(&expected));
            prop_assert!(!to_the_end || got == expected, "pieces of {}:\n{}\n{}", length, text(&got), text(&expected));
        }
    }

    /// Where no target needs a mend, hyper hears the same with and without, whatever lies in bodies.
    #[test]
    fn hyper_hears_the_same_when_there_is_nothing_to_mend(sent in streams(true), length in 1usize..200) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let [mended, plain] = [true, false].map(|mends| runtime.block_on(async {
            match mends {
                true => heard(&sent, length, Mended::new).await,
                false => heard(&sent, length, |stream| stream).await,
            }
        }));
        prop_assert_eq!(mended, plain);
    }
}
