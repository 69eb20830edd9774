//! The target of the loss tests: whatever it serves says in which scrape it was served, so that a sample that is missing or comes
//! too early shows in the values alone.
//!
//! Always true: every value of the `n`-th scrape of a target is `n` (sums of histograms and exemplars too), over all restarts of
//! the scraper.
//! Series come, go for ever (`loss_churn`), and go and come back under the same labels (`loss_blink`), a few at each scrape.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::native;

/// Scrapes for which a series of `loss_churn` lives.
const GENERATION: u64 = 8;
/// Scrapes for which a series of `loss_blink` is there, and then is not.
const BLINK: u64 = 6;
/// Each of these many counters has an exemplar.
const EXEMPLAR_EVERY: u64 = 25;
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Some targets of one shape; they serve until the test process ends.
pub(crate) struct Targets {
    pub(crate) ports: Vec<u16>,
    served: Arc<(Mutex<u64>, Condvar)>,
}

impl Targets {
    /// `count` targets which have about `series` series together; the last one has native histograms only.
    pub(crate) fn start(count: u64, series: u64) -> Self {
        let served = Arc::new((Mutex::new(0), Condvar::new()));
        let histograms = series / 20;
        let each = (series - histograms) / (count - 1);
        let start = |number| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let served = Arc::clone(&served);
            std::thread::spawn(move || {
                if number + 1 < count {
                    serve(&listener, TEXT, |scrape| body(each, scrape).into_bytes(), &served);
                } else {
                    serve(
                        &listener,
                        native::CONTENT_TYPE,
                        |scrape| native::families(histograms, scrape),
                        &served,
                    );
                }
            });
            port
        };
        let ports = (0..count).map(start).collect();
        Self { ports, served }
    }

    /// Waits until the targets served `more` further scrapes together; `false` when they did not within `limit`.
    pub(crate) fn wait(&self, more: u64, limit: Duration) -> bool {
        let (served, changed) = &*self.served;
        let deadline = Instant::now() + limit;
        let mut now = served.lock().unwrap();
        let goal = *now + more;
        while *now < goal {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            now = changed.wait_timeout(now, left).unwrap().0;
        }
        true
    }

    /// Scrapes served whole so far.
    pub(crate) fn served(&self) -> u64 {
        *self.served.0.lock().unwrap()
    }
}

fn serve(
    listener: &TcpListener,
    content_type: &str,
    body: impl Fn(u64) -> Vec<u8>,
    served: &(Mutex<u64>, Condvar),
) {
    for (scrape, stream) in (1..).zip(listener.incoming()) {
        // A scraper that is killed in the middle of it hangs up.
        if stream.and_then(|stream| answer(stream, content_type, &body(scrape))).is_ok() {
            *served.0.lock().unwrap() += 1;
            served.1.notify_all();
        }
    }
}

fn answer(mut stream: TcpStream, content_type: &str, body: &[u8]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = [0; 4096];
    if stream.read(&mut request)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), body].concat())
}

/// Of a hundred series 65 stay, 20 are of `loss_churn`, 10 of `loss_blink` (half of them there), 10 of `loss_optional`.
fn body(series: u64, scrape: u64) -> String {
    let mut text = String::from("# TYPE loss counter\n");
    for i in 0..series * 65 / 100 {
        let _ = write!(text, "loss_total{{n=\"{i}\",path=\"/a/b/{}\"}} {scrape}", i % 7);
        if i % EXEMPLAR_EVERY == 0 {
            let _ = write!(text, " # {{trace_id=\"{scrape}-{i}\"}} {scrape}");
        }
        text.push('\n');
    }
    text.push_str("# TYPE loss_churn gauge\n");
    for i in 0..series * 20 / 100 {
        let _ =
            writeln!(text, "loss_churn{{n=\"{i}\",generation=\"{}\"}} {scrape}", (scrape + i) / GENERATION);
    }
    text.push_str("# TYPE loss_blink gauge\n");
    for i in (0..series * 10 / 100).filter(|i| ((scrape + i) / BLINK).is_multiple_of(2)) {
        let _ = writeln!(text, "loss_blink{{n=\"{i}\"}} {scrape}");
    }
    text.push_str("# TYPE loss_optional gauge\n");
    for i in 0..series * 10 / 100 {
        let _ = writeln!(text, "loss_optional{{n=\"{i}\"}} {scrape}");
    }
    text.push_str("# EOF\n");
    text
}
