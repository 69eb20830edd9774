//! The server over real sockets: keep-alive, the cap, timeouts, hang-ups and the drain.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use narthex_metrics::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::*;

mod guard;
mod http2;
mod tls;

const LONG: Duration = Duration::from_secs(10);

/// `/` answers at once, `/slow` when `release` is told, `/echo` with the request's body, `/stream` never ends; `/short` and `/made` make 100 and 20,000
/// pieces of 64 KiB, `/broken` fails at the fourth.
#[derive(Default)]
struct Double {
    made: AtomicUsize,
    sent_bytes: AtomicUsize,
    started: AtomicUsize,
    dropped: AtomicUsize,
    release: Notify,
    sender: parking_lot::Mutex<Option<tokio::sync::mpsc::Sender<Result<Bytes, BrokenOff>>>>,
}

/// Counts its drop before it was disarmed: the handler's future was cancelled.
struct Armed(Arc<Double>, bool);

impl Drop for Armed {
    fn drop(&mut self) {
        if self.1 {
            self.0.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Makes pieces until it was asked `left` times.
struct Pieces {
    double: Arc<Double>,
    left: usize,
    fails_at: Option<usize>,
}

impl PieceSource for Pieces {
    fn next(&mut self) -> Option<Bytes> {
        self.left = self.left.checked_sub(1)?;
        let nth = self.double.made.fetch_add(1, Ordering::SeqCst);
        assert_ne!(Some(nth), self.fails_at, "this source is to fail");
        Some(Bytes::from(vec![b'a' + (nth % 26) as u8; 64 * 1024]))
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.double.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

fn made(double: &Arc<Double>, left: usize, fails_at: Option<usize>) -> Response {
    let ready = VecDeque::from([Bytes::from_static(b"head")]);
    let mut made = Made::new(ready, Box::new(Pieces { double: Arc::clone(double), left, fails_at }));
    let double = Arc::clone(double);
    made.when_done(move |bytes| double.sent_bytes.store(bytes as usize, Ordering::SeqCst));
    Response::new(Body::Made(Box::new(made)))
}

struct Shim(Arc<Double>);

impl Handler for Shim {
    fn handle(&self, request: Request) -> ResponseFuture {
        let double = Arc::clone(&self.0);
        Box::pin(async move {
            double.started.fetch_add(1, Ordering::SeqCst);
            match request.head.uri.path() {
                "/slow" => {
                    let mut armed = Armed(Arc::clone(&double), true);
                    double.release.notified().await;
                    armed.1 = false;
                    Response::new("released".into())
                }
                "/echo" => match request.body.read(16).await {
                    Ok(bytes) => Response::new(bytes.into()),
                    Err(e) => Response::new(e.to_string().into()),
                },
                "/stream" => {
                    let (sender, receiver) = tokio::sync::mpsc::channel(1);
                    sender.send(Ok(Bytes::from_static(b"began"))).await.unwrap();
                    *double.sender.lock() = Some(sender);
                    Response::new(Body::Stream(receiver))
                }
                "/made" => made(&double, 20_000, None),
                "/broken" => made(&double, 20_000, Some(3)),
                "/short" => made(&double, 100, None),
                _ => Response::new("hello".into()),
            }
        })
    }
}

fn start(max_connections: usize, read_timeout: Duration) -> (Server, Arc<Double>) {
    start_guarded(max_connections, read_timeout, None)
}

fn start_guarded(
    max_connections: usize,
    read_timeout: Duration,
    guard: Option<Guard>,
) -> (Server, Arc<Double>) {
    let double = Arc::new(Double::default());
    let listeners = Listeners::bind(&["127.0.0.1:0".to_owned()]).unwrap();
    let options = ServerOptions { max_connections, read_timeout, guard: guard.map(Arc::new) };
    let metrics = ServerMetrics::new(&Registry::new());
    let server = Server::start(listeners, options, metrics, Arc::new(Shim(Arc::clone(&double)))).unwrap();
    (server, double)
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.addresses()[0]).await.unwrap()
}

async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// Reads until the answer so far ends with `end`.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut got = Vec::new();
    let read = async {
        while !got.ends_with(end.as_bytes()) {
            let mut buffer = [0; 1024];
            let n = stream.read(&mut buffer).await.unwrap();
            assert!(n > 0, "closed after {:?}", String::from_utf8_lossy(&got));
            got.extend_from_slice(&buffer[..n]);
        }
    };
    tokio::time::timeout(LONG, read).await.expect("an answer in time");
    String::from_utf8(got).unwrap()
}

async fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LONG, poll).await.unwrap_or_else(|_| panic!("{what} in time"));
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let (server, _) = start(10, LONG);
    let mut stream = connect(&server).await;
    for _ in 0..3 {
        send(&mut stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let answer = read_until(&mut stream, "hello").await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("content-length: 5"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn the_answer_is_cancelled_when_the_client_hangs_up() {
    let (server, double) = start(10, LONG);
    let mut stream = connect(&server).await;
    send(&mut stream, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    wait_for("the handler starts", || double.started.load(Ordering::SeqCst) == 1).await;
    drop(stream);
    wait_for("the handler is dropped", || double.dropped.load(Ordering::SeqCst) == 1).await;
}

/// `printf … | nc -N`: the client sends no more, but reads.
async fn ask_and_finish(server: &Server, text: &str) -> TcpStream {
    let mut stream = connect(server).await;
    send(&mut stream, text).await;
    stream.shutdown().await.unwrap();
    stream
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    tokio::time::timeout(LONG, stream.read_to_string(&mut answer)).await.expect("closed in time").unwrap();
    answer
}

#[tokio::test]
async fn a_client_that_sends_no_more_is_answered() {
    let (server, double) = start(10, LONG);
    for _ in 0..50 {
        let plain = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let echo = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
        let stream = ask_and_finish(&server, &format!("{plain}{echo}{plain}")).await;
        let answer = read_to_end(stream).await;
        let (first, second, third) = (answer.find("hello"), answer.find("abc"), answer.rfind("hello"));
        assert!(first < second && second < third, "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
    }
    let slow = ask_and_finish(&server, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    wait_for("the handler starts", || double.started.load(Ordering::SeqCst) == 151).await;
    double.release.notify_one();
    let answer = read_to_end(slow).await;
    assert!(answer.ends_with("released"), "{answer}");
    let made = ask_and_finish(&server, "GET /short HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(read_to_end(made).await.ends_with("\r\n0\r\n\r\n"), "the last chunk");
}

#[tokio::test]
async fn what_takes_long_is_given_up_when_the_client_sends_no_more() {
    let (server, double) = start(10, LONG);
    let stream = ask_and_finish(&server, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let answer = read_to_end(stream).await;
    assert!(answer.starts_with("HTTP/1.1 499 "), "{answer}");
    assert_eq!(double.dropped.load(Ordering::SeqCst), 1, "the handler");
    // A stream that has nothing to say just now ends, too, and not as if it were whole.
    let mut stream = connect(&server).await;
    send(&mut stream, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").await;
    read_until(&mut stream, "began\r\n").await;
    stream.shutdown().await.unwrap();
    assert_eq!(read_to_end(stream).await, "");
}

#[tokio::test]
async fn clients_over_the_cap_wait_for_a_slot() {
    let (server, double) = start(1, LONG);
    let mut first = connect(&server).await;
    send(&mut first, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    wait_for("the first starts", || double.started.load(Ordering::SeqCst) == 1).await;
    let mut second = connect(&server).await;
    send(&mut second, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(50), second.read(&mut byte)).await;
    assert!(early.is_err(), "the second client must wait");
    drop(first);
    read_until(&mut second, "hello").await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_read_timeout() {
    let (server, _) = start(10, Duration::from_millis(60));
    let mut stream = connect(&server).await;
    send(&mut stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    read_until(&mut stream, "hello").await;
    let mut rest = Vec::new();
    tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await.expect("closed in time").unwrap();
}

#[tokio::test]
async fn a_body_is_limited_in_size_and_time() {
    let (server, _) = start(10, Duration::from_millis(100));
    let mut stream = connect(&server).await;
    send(&mut stream, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc").await;
    read_until(&mut stream, "abc").await;
    send(&mut stream, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n01234567890123456").await;
    read_until(&mut stream, "request body is larger than 16 bytes").await;
    let mut stream = connect(&server).await;
    send(&mut stream, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na").await;
    read_until(&mut stream, "did not arrive within 0s").await;
}

#[tokio::test]
async fn a_drain_lets_requests_finish_and_closes_idle_connections() {
    let (server, double) = start(10, LONG);
    let mut idle = connect(&server).await;
    send(&mut idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    read_until(&mut idle, "hello").await;
    let mut busy = connect(&server).await;
    send(&mut busy, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    wait_for("the handler starts", || double.started.load(Ordering::SeqCst) == 2).await;
    let stopped = tokio::spawn(server.stop(LONG));
    let mut rest = Vec::new();
    tokio::time::timeout(LONG, idle.read_to_end(&mut rest)).await.expect("idle closed").unwrap();
    double.release.notify_one();
    read_until(&mut busy, "released").await;
    assert_eq!(stopped.await.unwrap(), 0, "nothing had to be cut");
}

#[tokio::test]
async fn a_drain_cuts_what_outlives_the_deadline() {
    let (server, double) = start(10, LONG);
    let mut busy = connect(&server).await;
    send(&mut busy, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    wait_for("the handler starts", || double.started.load(Ordering::SeqCst) == 1).await;
    assert_eq!(server.stop(Duration::from_millis(20)).await, 1);
    assert_eq!(double.dropped.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_body_that_is_made_while_it_is_sent_arrives_whole() {
    let (server, double) = start(10, LONG);
    let mut stream = connect(&server).await;
    send(&mut stream, "GET /short HTTP/1.0\r\n\r\n").await;
    let mut answer = Vec::new();
    tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await.expect("an answer in time").unwrap();
    let body = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(&answer[body..body + 4], b"head");
    let pieces: Vec<_> = answer[body + 4..].chunks(64 * 1024).collect();
    assert_eq!(pieces.len(), 100);
    assert!(pieces.iter().enumerate().all(|(i, p)| p.iter().all(|b| *b == b'a' + (i % 26) as u8)));
    wait_for("the bytes are counted", || double.sent_bytes.load(Ordering::SeqCst) == answer.len() - body)
        .await;
    assert_eq!(double.dropped.load(Ordering::SeqCst), 1, "the source is gone");
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_few_pieces_and_frees_all_by_hanging_up() {
    let (server, double) = start(10, LONG);
    let mut stream = connect(&server).await;
    send(&mut stream, "GET /made HTTP/1.1\r\nHost: x\r\n\r\n").await;
    wait_for("pieces are made", || double.made.load(Ordering::SeqCst) > 3).await;
    drop(stream);
    wait_for("the source is dropped", || double.dropped.load(Ordering::SeqCst) == 1).await;
    let made = double.made.load(Ordering::SeqCst);
    assert!(made < 1_000, "{made} of 20,000 pieces for a client that read none");
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    let (server, double) = start(10, LONG);
    let mut stream = connect(&server).await;
    send(&mut stream, "GET /broken HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut answer = Vec::new();
    tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await.expect("closed in time").unwrap();
    assert!(!answer.ends_with(b"0\r\n\r\n"), "the last chunk says that the answer is whole");
    assert_eq!(double.dropped.load(Ordering::SeqCst), 1);
}
