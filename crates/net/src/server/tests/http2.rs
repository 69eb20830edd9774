//! HTTP/2 over TLS: when it is spoken, that the guard stands before it, and when a connection is closed.

use super::tls::{Authority, Client, folder, serve};
use super::*;

#[tokio::test]
async fn http2_is_spoken_when_both_want_it() {
    let authority = Authority::new();
    let both = [b"h2".to_vec(), b"http/1.1".to_vec()];
    for (switch, offer, expected) in [
        ("", &both[..], Some(&b"h2"[..])),
        ("", &both[1..], Some(b"http/1.1")),
        ("", &[], None),
        ("http_server_config: {http2: false}\n", &both[..], Some(b"http/1.1")),
    ] {
        let folder = folder(&authority, switch);
        let (server, _) = serve(&folder);
        let client = Client { protocols: offer.to_vec(), ..Client::default() };
        let stream = client.connect(&server, &authority).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), expected, "{switch}");
    }
}

/// A connection of HTTP/2.
async fn http2(
    server: &Server,
    authority: &Authority,
) -> (hyper::client::conn::http2::SendRequest<Body>, tokio::task::JoinHandle<()>) {
    let client = Client { protocols: vec![b"h2".to_vec()], ..Client::default() };
    let stream = client.connect(server, authority).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    (sender, tokio::spawn(async move { drop(connection.await) }))
}

async fn get(sender: &mut hyper::client::conn::http2::SendRequest<Body>, path: &str) -> (u16, Vec<u8>) {
    use http_body_util::BodyExt as _;
    let request = http::Request::get(format!("https://127.0.0.1{path}")).body(Body::Empty).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.into_body().collect().await.unwrap().to_bytes().to_vec())
}

#[tokio::test]
async fn http2_answers_many_requests_and_is_guarded_and_closed_like_the_rest() {
    let authority = Authority::new();
    let folder = folder(&authority, "");
    let guard = folder.open().unwrap();
    let (server, double) = start_guarded(10, Duration::from_millis(100), Some(guard));
    let (mut sender, mut ended) = http2(&server, &authority).await;
    let mut others: Vec<_> = (0..20).map(|_| sender.clone()).collect();
    let all = others.iter_mut().map(|sender| get(sender, "/"));
    for answer in futures(all).await {
        assert_eq!(answer, (200, b"hello".to_vec()));
    }
    assert_eq!(get(&mut sender, "/short").await.1.len(), 4 + 100 * 64 * 1024);
    let slow = tokio::spawn(async move { get(&mut sender, "/slow").await });
    wait_for("the handler starts", || double.started.load(Ordering::SeqCst) == 22).await;
    let early = tokio::time::timeout(Duration::from_millis(150), &mut ended).await;
    assert!(early.is_err(), "a request under way is not idleness");
    double.release.notify_one();
    assert_eq!(slow.await.unwrap().1, b"released");
    drop(others);
    tokio::time::timeout(LONG, ended).await.expect("closed when idle").unwrap();

    folder.write(
        "web.yml",
        "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\nbasic_auth_users: {a: '$2y$04$x'}\n",
    );
    let (mut sender, _ended) = http2(&server, &authority).await;
    assert_eq!(get(&mut sender, "/").await, (401, b"Unauthorized\n".to_vec()));
    assert_eq!(server.stop(LONG).await, 0);
}

/// All of them at once.
async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = pending.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in pending.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(cx)
            {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_client_that_begins_http2_and_sends_no_request_is_cut_off() {
    let authority = Authority::new();
    let folder = folder(&authority, "");
    let (server, _) = start_guarded(1, Duration::from_millis(100), Some(folder.open().unwrap()));
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    // The head of stream 1, whose end never comes.
    const HEADERS: &[u8] = &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82];
    let whole = [PREFACE, SETTINGS, HEADERS].concat();
    for length in [0, 10, PREFACE.len(), PREFACE.len() + SETTINGS.len(), whole.len()] {
        let client = Client { protocols: vec![b"h2".to_vec()], ..Client::default() };
        let mut stream = client.connect(&server, &authority).await.unwrap();
        stream.write_all(&whole[..length]).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await;
        // Closed with or without TLS' own goodbye.
        drop(closed.unwrap_or_else(|_| panic!("closed after {length} bytes")));
    }
}
