//! Remote reads over a double: heads, streams, and what fails when.

use super::*;
use http::StatusCode;
use narthex_net::server::{Body, BrokenOff};

/// Refuses what is empty, answers samples to `samples`, else frames of each byte, and breaks off behind a `!`.
pub(super) struct Bytewise;

impl ReadService for Bytewise {
    fn enter(&self) -> std::pin::Pin<Box<dyn Future<Output = Box<dyn Send>> + Send + '_>> {
        Box::pin(async { Box::new(()) as Box<dyn Send> })
    }

    fn read(&self, body: &[u8], send: &mut dyn FnMut(Bytes) -> bool) -> ReadAnswer {
        match body {
            b"" => return ReadAnswer::Refused(StatusCode::BAD_REQUEST, "nothing".to_owned()),
            b"samples" => return ReadAnswer::Samples(b"all".to_vec()),
            _ => {}
        }
        for byte in body {
            if *byte == b'!' {
                return ReadAnswer::Refused(StatusCode::INTERNAL_SERVER_ERROR, "broken".to_owned());
            }
            assert!(send(Bytes::copy_from_slice(&[*byte])));
        }
        ReadAnswer::Streamed
    }
}

async fn read(body: &'static str) -> http::Response<Body> {
    let head = http::Request::post("/api/v1/read").body(()).unwrap().into_parts().0;
    let body = RequestBody::Ready(Bytes::from_static(body.as_bytes()));
    let peer = "127.0.0.1:1".parse().unwrap();
    ready_site().handle(Request { head, body, peer }).await
}

fn header<'a>(response: &'a http::Response<Body>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_are_one_message_and_refusals_have_their_status() {
    let samples = read("samples").await;
    assert_eq!(samples.status(), 200);
    assert_eq!(header(&samples, "content-type"), "application/x-protobuf");
    assert_eq!(header(&samples, "content-encoding"), "snappy");
    assert_eq!(samples.body().bytes().unwrap(), b"all");
    for (body, status, text) in [("", 400, "nothing\n"), ("!", 500, "broken\n")] {
        let refused = read(body).await;
        assert_eq!(
            (refused.status().as_u16(), refused.body().bytes().unwrap()),
            (status, text.into()),
            "{body}"
        );
        assert_eq!(header(&refused, "content-type"), "text/plain; charset=utf-8");
    }
}

/// Without a mark at its end a stream that failed would pass for a whole one.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_fails_is_broken_off() {
    for (body, last) in [("abc", None), ("abc!", Some(Err(BrokenOff)))] {
        let mut streamed = read(body).await;
        assert_eq!(streamed.status(), 200);
        let kind = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
        assert_eq!((header(&streamed, "content-type"), header(&streamed, "content-encoding")), (kind, ""));
        let Body::Stream(frames) = streamed.body_mut() else { panic!("not a stream") };
        for frame in [b"a", b"b", b"c"] {
            assert_eq!(frames.recv().await.unwrap().unwrap(), frame[..]);
        }
        assert_eq!(frames.recv().await, last);
    }
}
