//! Answers that no well-behaved receiver gives: redirects, odd waits, bodies without end, counts that cannot be true. The samples arrive or are kept, the waits
//! and the texts are bounded.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::dead_letter::Selection;

const SENT: &str = "prometheus_remote_storage_samples_total";
const LETTERS: &str = "prometheus_remote_storage_dead_letters_total";

/// A server that answers each request with the same bytes, and perhaps with more until nobody takes them.
struct Odd {
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// To a POST, and to anything else.
    answers: Mutex<[Vec<u8>; 2]>,
    /// Comes again and again behind the answer.
    endless: Mutex<Vec<u8>>,
    /// Bytes of that which somebody took, or the system did for them.
    taken: AtomicUsize,
    /// Requests that were no POST.
    others: AtomicUsize,
}

impl Odd {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let all = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&all)));
            }
        });
        Self { address, shared }
    }

    fn url(&self) -> Option<Url> {
        Some(Url::parse(&format!("http://{}/write", self.address)).unwrap())
    }

    fn set(&self, post: impl Into<Vec<u8>>, other: impl Into<Vec<u8>>, endless: &[u8]) {
        *self.shared.answers.lock() = [post.into(), other.into()];
        *self.shared.endless.lock() = endless.to_vec();
    }
}

/// Reads requests with their bodies and answers them.
async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut bytes = Vec::new();
    loop {
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let length = head.map(|end| {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let line = head.lines().find_map(|line| line.strip_prefix("content-length: ").map(str::to_owned));
            end + 4 + line.map_or(0, |length| length.parse::<usize>().unwrap())
        });
        if let Some(length) = length.filter(|length| bytes.len() >= *length) {
            let is_post = bytes.starts_with(b"POST ");
            bytes.drain(..length);
            shared.others.fetch_add(usize::from(!is_post), Ordering::SeqCst);
            let answer = shared.answers.lock()[usize::from(!is_post)].clone();
            let endless = shared.endless.lock().clone();
            if stream.write_all(&answer).await.is_err() {
                return;
            }
            while !endless.is_empty() {
                let Ok(()) = stream.write_all(&endless).await else { return };
                shared.taken.fetch_add(endless.len(), Ordering::SeqCst);
            }
            continue;
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

fn redirect(status: u16, to: &str) -> String {
    format!("HTTP/1.1 {status} Elsewhere\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
}

/// The error that the only endpoint shows.
fn error(remote: &RemoteWrite) -> Option<String> {
    remote.endpoints()[0].failing().map(|(text, _)| text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_that_keep_the_samples_are_followed() {
    for status in [307, 308] {
        let dir = tempfile::tempdir().unwrap();
        let mut feed = Feed::new(dir.path(), 20);
        let (odd, receiver) = (Odd::start().await, Receiver::start(Mode::Accept).await);
        odd.set(redirect(status, &receiver.url()), "", b"");
        let config = RemoteWriteConfig { url: odd.url(), ..config(&receiver) };
        let (remote, registry) = start(dir.path(), feed.tip(), &[config]).await;
        feed.scrapes(3);
        until("all samples", || receiver.has_all(&feed.written)).await;
        remote.stop().await;
        assert_eq!((metric(&registry, SENT), receiver.taken(|taken| taken.doubles)), (60.0, 0), "{status}");
    }
}

/// A page for people answers 200 to the GET that such a redirect makes of a POST; Prometheus takes that for a delivery.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_that_lose_the_samples_are_failures() {
    for status in [301, 302, 303] {
        let dir = tempfile::tempdir().unwrap();
        let mut feed = Feed::new(dir.path(), 20);
        let (odd, receiver) = (Odd::start().await, Receiver::start(Mode::Accept).await);
        odd.set(redirect(status, "/login?token=hidden"), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"");
        let config = RemoteWriteConfig { url: odd.url(), ..config(&receiver) };
        let (remote, registry) = start(dir.path(), feed.tip(), &[config]).await;
        feed.scrapes(3);
        until("a failure", || error(&remote).is_some()).await;
        let text = error(&remote).unwrap();
        let expected = format!(
            "server returned HTTP status {status} Elsewhere: a redirect to http://{}/login, on which the samples would be lost",
            odd.address
        );
        assert_eq!(text, expected);
        assert_eq!((metric(&registry, SENT), odd.shared.others.load(Ordering::SeqCst)), (0.0, 0));
        odd.set(redirect(307, &receiver.url()), "", b"");
        until("all samples", || receiver.has_all(&feed.written)).await;
        remote.stop().await;
        assert_eq!(metric(&registry, LETTERS), 0.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_without_an_end_or_an_aim_are_failures() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 20);
    let (odd, receiver) = (Odd::start().await, Receiver::start(Mode::Accept).await);
    let config = RemoteWriteConfig { url: odd.url(), ..config(&receiver) };
    let (remote, registry) = start(dir.path(), feed.tip(), &[config]).await;
    let far = format!("http://[{}", "x".repeat(500_000));
    let answers = [
        (redirect(307, "/write"), "stopped after 10 redirects"),
        (redirect(308, &far), "failed to parse Location header"),
        (redirect(302, &far), "failed to parse Location header"),
        ("HTTP/1.1 307 Elsewhere\r\nContent-Length: 0\r\n\r\n".to_owned(), "307 Elsewhere"),
    ];
    odd.set(answers[0].0.clone(), "", b"");
    feed.scrapes(1);
    for (answer, expected) in answers {
        odd.set(answer, "", b"");
        until(expected, || error(&remote).is_some_and(|text| text.contains(expected))).await;
        let text = error(&remote).unwrap();
        assert!(text.len() < 2000, "{} bytes", text.len());
    }
    odd.set(redirect(307, &receiver.url()), "", b"");
    until("all samples", || receiver.has_all(&feed.written)).await;
    remote.stop().await;
    assert_eq!(metric(&registry, LETTERS), 0.0);
}

/// `Retry-After: 0` made a request that failed come again at once, and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_waits_that_a_receiver_asks_for_are_never_none_and_never_endless() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 10);
    let receiver = Receiver::start(Mode::Status(503, None)).await;
    let mut config = config(&receiver);
    config.queue_config.min_backoff_ms = 7;
    config.queue_config.max_backoff_ms = 7;
    let (remote, registry) = start(dir.path(), feed.tip(), &[config.clone()]).await;
    feed.scrapes(1);
    for after in
        ["0", "00", "-1", "-99999999999999999999", "soon", "", "1e9", "0.5", "Sun, 06 Nov 1994 08:49:37 GMT"]
    {
        for status in [429, 503, 404] {
            receiver.set(Mode::Status(status, Some(after)));
            let seen = receiver.requests();
            until("some more requests", || receiver.requests() > seen + 1).await;
            assert_eq!(remote.states()[0].backoff, Duration::from_millis(7), "{status}, {after:?}");
        }
    }
    for after in ["601", "18446744073709551615", "Fri, 01 Jan 2100 00:00:00 GMT"] {
        receiver.set(Mode::Status(503, Some(after)));
        until(after, || remote.states()[0].backoff == Duration::from_secs(600)).await;
        // What waits so long does not hold up a reload, after which it is tried again.
        config.queue_config.batch_send_deadline_ms += 1;
        remote.apply_config(&[config.clone()], &Labels::empty()).await.unwrap();
    }
    receiver.set(Mode::Accept);
    config.queue_config.batch_send_deadline_ms += 1;
    remote.apply_config(&[config], &Labels::empty()).await.unwrap();
    until("all samples", || receiver.has_all(&feed.written)).await;
    remote.stop().await;
    assert_eq!(metric(&registry, LETTERS), 0.0);
}

/// Sends one sample to a server that answers so. Gives the reason that is kept.
async fn reason(answer: &[u8], endless: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 1);
    let odd = Odd::start().await;
    odd.set(answer, "", endless);
    let receiver = Receiver::start(Mode::Accept).await;
    let mut config = RemoteWriteConfig { url: odd.url(), ..config(&receiver) };
    config.remote_timeout_ms = 20_000;
    let (remote, registry) = start(dir.path(), feed.tip(), &[config]).await;
    feed.scrapes(1);
    until("the letter", || metric(&registry, LETTERS) == 1.0).await;
    remote.stop().await;
    let taken = odd.shared.taken.load(Ordering::SeqCst);
    assert!(taken < 32 << 20, "{taken} bytes of an answer were taken");
    let mut reasons = Vec::new();
    let keep = |letter: crate::dead_letter::DeadLetter| {
        reasons.push(letter.reason);
        std::ops::ControlFlow::Continue(())
    };
    remote.each_letter("", &Selection::default(), keep).unwrap();
    reasons.pop().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_body_without_an_end_the_beginning_is_read_and_kept() {
    let words = format!("out of order sample {}", "x".repeat(80_000));
    let expected = format!("server returned HTTP status 400 Bad Request: {}", &words[..1024]);
    let head = |headers: &str| format!("HTTP/1.1 400 Bad Request\r\n{headers}\r\n");
    let chunk = format!("{:x}\r\n{words}\r\n", words.len());
    let cases = [
        ([head("Content-Length: 100000000\r\n"), words.clone()].concat().into_bytes(), words.as_bytes()),
        ([head("Transfer-Encoding: chunked\r\n"), chunk.clone()].concat().into_bytes(), chunk.as_bytes()),
        ([head("Connection: close\r\n"), words.clone()].concat().into_bytes(), words.as_bytes()),
    ];
    for (number, (answer, endless)) in cases.into_iter().enumerate() {
        assert_eq!(reason(&answer, endless).await, expected, "case {number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_long_status_line_the_beginning_is_kept() {
    let answer = format!("HTTP/1.1 400 {}\r\nContent-Length: 3\r\n\r\nbad", "long ".repeat(100_000));
    let reason = reason(answer.as_bytes(), b"").await;
    assert!(reason.starts_with("server returned HTTP status 400 long long") && reason.ends_with(": bad"));
    assert!(reason.len() < 400, "{} bytes", reason.len());
}

/// What becomes of one sample in 2.0 that is answered so: how many letters, delivered, failed.
async fn fate(status: u16, headers: &str) -> [f64; 3] {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 1);
    let odd = Odd::start().await;
    let headers = headers.replace("X-", "X-Prometheus-Remote-Write-");
    odd.set(format!("HTTP/1.1 {status} So\r\n{headers}Content-Length: 0\r\n\r\n"), "", b"");
    let receiver = Receiver::start(Mode::Accept).await;
    let config = RemoteWriteConfig {
        url: odd.url(),
        protobuf_message: narthex_config::WriteMessage::V2,
        ..config(&receiver)
    };
    let (remote, registry) = start(dir.path(), feed.tip(), &[config]).await;
    feed.scrapes(1);
    let tip = feed.writer.position();
    until("that it is settled", || remote.wal_hold() == Some(tip)).await;
    remote.stop().await;
    [LETTERS, SENT, "prometheus_remote_storage_samples_failed_total"].map(|name| metric(&registry, name))
}

/// A refusal whose counts cannot be true used to pass for a delivery.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_of_what_was_written_that_cannot_be_true_lose_nothing() {
    let (kept, delivered, doubtful) = ([1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 1.0, 1.0]);
    for (status, headers, expected) in [
        (400, "X-Samples-Written: 2\r\n", kept),
        (400, "X-Samples-Written: 18446744073709551615\r\n", kept),
        (400, "X-Samples-Written: 1\r\nX-Histograms-Written: 1\r\n", kept),
        (400, "X-Samples-Written: 18446744073709551616\r\n", kept),
        (400, "X-Samples-Written: -1\r\n", kept),
        (400, "X-Samples-Written: many\r\n", kept),
        (400, "X-Samples-Written: \r\n", kept),
        (400, "X-Histograms-Written: 0\r\n", kept),
        (400, "X-Samples-Written: 0\r\n", kept),
        (400, "", kept),
        // It says that it has it.
        (400, "X-Samples-Written: 1\r\n", delivered),
        (204, "X-Samples-Written: 1\r\n", delivered),
        (204, "X-Samples-Written: 2\r\n", delivered),
        // Without any count it is sent 1.0, which it accepts.
        (204, "", delivered),
        (204, "X-Samples-Written: many\r\n", doubtful),
        (204, "X-Exemplars-Written: 0\r\n", doubtful),
    ] {
        assert_eq!(fate(status, headers).await, expected, "{status} {headers}");
    }
}
