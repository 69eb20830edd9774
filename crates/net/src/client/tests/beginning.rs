//! Bodies of which only the beginning is wanted, and redirects that would lose a body.

use super::*;

/// A server that answers with these bytes, and goes on with the last 64 KiB of them until nobody takes more.
async fn endless(answer: Vec<u8>) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"body") {
            assert!(stream.read_buf(&mut seen).await.unwrap() > 0);
        }
        stream.write_all(&answer).await.unwrap();
        let more = &answer[answer.len().saturating_sub(64 << 10)..];
        while stream.write_all(more).await.is_ok() {}
    });
    url
}

fn request<'a>(method: Method, url: &'a Url, headers: &'a HeaderMap) -> Request<'a> {
    let deadline = Instant::now() + Duration::from_secs(10);
    Request { method, url, headers, body: Bytes::from_static(b"body"), deadline, unix_socket: None }
}

/// The beginning of what such a server says.
async fn beginning(headers: &str, body: &[u8], most: u64) -> Vec<u8> {
    let head = format!("HTTP/1.1 400 Bad Request\r\n{headers}\r\n\r\n");
    let url = endless([head.as_bytes(), body].concat()).await;
    let response = client(|_| {}).send(&request(Method::POST, &url, &HeaderMap::new())).await.unwrap();
    let mut buffers = BodyBuffers::default();
    response.read_beginning(&mut buffers, most).await;
    assert!(buffers.wire.capacity() < 1 << 20 && buffers.plain.capacity() < 1 << 20);
    buffers.bytes().to_vec()
}

#[tokio::test]
async fn of_a_body_without_an_end_only_the_beginning_is_read() {
    let text = "0123456789".repeat(20_000);
    let chunks = format!("{:x}\r\n{text}\r\n", text.len()).repeat(2);
    for (headers, body) in [
        ("Content-Length: 100000000", &text),
        ("Content-Length: 18446744073709551615", &text),
        ("Transfer-Encoding: chunked", &chunks),
        ("Connection: close", &text),
    ] {
        let got = beginning(headers, body.as_bytes(), 5000).await;
        assert!(got.len() >= 4999 && text.as_bytes().starts_with(&got), "{headers}: {} bytes", got.len());
    }
    assert_eq!(beginning("Content-Length: 3", text.as_bytes(), 5000).await, b"012");
    assert_eq!(
        beginning("Transfer-Encoding: chunked", b"3\r\nabc\r\nnonsense\r\n", 5000).await[..3],
        *b"abc"
    );
}

#[tokio::test]
async fn of_a_body_that_inflates_without_an_end_only_the_beginning_is_kept() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(b"too many samples").unwrap();
    (0..40).for_each(|_| packer.write_all(&vec![b' '; 1 << 20]).unwrap());
    let packed = packer.finish().unwrap();
    let headers = format!("Content-Encoding: gzip\r\nContent-Length: {}", packed.len());
    let got = beginning(&headers, &packed, 5000).await;
    assert_eq!((got.len(), got.trim_ascii_end()), (5000, &b"too many samples"[..]));
    assert_eq!(beginning(&headers, b"no gzip", 5000).await, b"");
}

#[tokio::test]
async fn an_answer_that_redirects_without_the_body_is_given_as_it_is_when_bodies_are_kept() {
    let server = Server::start(|request| {
        let status = if request.starts_with("POST /307") { 307 } else { 302 };
        if request.contains(" /here ") {
            return ok(request.lines().next().unwrap());
        }
        format!("HTTP/1.1 {status} Elsewhere\r\nLocation: /here\r\nContent-Length: 0\r\n\r\n")
    })
    .await;
    let headers = HeaderMap::new();
    let keeps = HttpClient::new(&HttpClientConfig::default(), "test").unwrap().keeping_bodies();
    for (client, method, path, expected) in [
        (&client(|_| {}), Method::POST, "/302", 200),
        (&keeps, Method::POST, "/302", 302),
        (&keeps, Method::GET, "/302", 200),
        (&keeps, Method::POST, "/307", 200),
    ] {
        let url = server.url("http", path);
        // The server takes requests without a body alone; that there is none yet is the same to the client.
        let request = Request { body: Bytes::new(), ..request(method, &url, &headers) };
        assert_eq!(client.send(&request).await.unwrap().status, expected, "{request:?}");
    }
}
