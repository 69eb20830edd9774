//! The TLS handshake of an accepted socket, within the time in which a request must arrive.
//!
//! Always true: a client that speaks plain HTTP is told so in plain HTTP, as Go's server does; who fails is logged, but no more than
//! once a second, so that a scanner does not fill the log.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Guard, Shared};

/// How the requests of plain HTTP begin that are recognized.
const PLAIN: [&[u8; 5]; 5] = [b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO"];
const PLAIN_ANSWER: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
/// The alert that Go sends when it has no configuration: fatal, internal error.
const NO_CONFIG: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 80];
/// How long a client that is sent away is listened to.
const LISTENS: Duration = Duration::from_millis(500);
const LOG_PAUSE: Duration = Duration::from_secs(1);

/// Failed handshakes since the last that was logged.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<(Option<Instant>, u64)>);

impl Complaints {
    fn log(&self, peer: SocketAddr, reason: &str) {
        let mut state = self.0.lock();
        if state.0.is_some_and(|last| last.elapsed() < LOG_PAUSE) {
            state.1 += 1;
            return;
        }
        let unlogged = std::mem::take(&mut state.1);
        state.0 = Some(Instant::now());
        tracing::warn!(component = "web", client = %peer, err = reason, unlogged, "TLS handshake failed");
    }
}

/// Why there is no TLS on a socket.
enum Failure {
    /// Nothing that could be told.
    Gone,
    Plain(TcpStream),
    NoConfig(TcpStream, String),
    /// The client was sent an alert.
    Tls(TcpStream, io::Error),
}

/// Runs the handshake; `None` when it failed, after the client was told what can be told.
pub(super) async fn accept(
    stream: TcpStream,
    peer: SocketAddr,
    guard: &Guard,
    shared: &Shared,
) -> Option<TlsStream<TcpStream>> {
    let in_time = tokio::time::timeout(shared.options.read_timeout, run(stream, guard)).await;
    let failure = match in_time {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(failure)) => failure,
        Err(_) => Failure::Gone,
    };
    let (stream, words) = match failure {
        Failure::Gone => return None,
        Failure::Plain(stream) => {
            shared.complaints.log(peer, "client sent an HTTP request to an HTTPS server");
            (stream, PLAIN_ANSWER)
        }
        Failure::NoConfig(stream, reason) => {
            shared.complaints.log(peer, &reason);
            (stream, &NO_CONFIG[..])
        }
        Failure::Tls(_, error) if is_hang_up(&error) => {
            tracing::debug!(component = "web", client = %peer, err = %error, "TLS handshake ended by the client");
            return None;
        }
        Failure::Tls(stream, error) => {
            shared.complaints.log(peer, &text(&error));
            (stream, &[][..])
        }
    };
    // A client that does not listen learns nothing.
    let _ = tokio::time::timeout(LISTENS, part(stream, words)).await;
    None
}

/// Says the last words, and reads what was sent: an unread rest would cut them off.
async fn part(mut stream: TcpStream, words: &[u8]) -> io::Result<()> {
    stream.write_all(words).await?;
    stream.shutdown().await?;
    let mut rest = [0; 4096];
    for _ in 0..16 {
        if stream.read(&mut rest).await? == 0 {
            break;
        }
    }
    Ok(())
}

async fn run(stream: TcpStream, guard: &Guard) -> Result<TlsStream<TcpStream>, Failure> {
    let mut first = [0; 5];
    let seen = stream.peek(&mut first).await.map_err(|_| Failure::Gone)?;
    if seen == 0 {
        return Err(Failure::Gone);
    }
    if PLAIN.contains(&&first) {
        return Err(Failure::Plain(stream));
    }
    let rules = guard.rules().ok_or("the web-config file is wrong".to_owned());
    let tls = guard.tls().ok_or("TLS is off".to_owned());
    let config = match rules.and_then(|rules| tls?.config(rules)) {
        Ok(config) => config,
        Err(reason) => return Err(Failure::NoConfig(stream, reason)),
    };
    let accepted = TlsAcceptor::from(config).accept(stream).into_fallible().await;
    accepted.map_err(|(error, stream)| Failure::Tls(stream, error))
}

fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

/// The reason, in Go's words where users search for them.
fn text(error: &io::Error) -> String {
    match error.get_ref().and_then(|e| e.downcast_ref::<Error>()) {
        Some(Error::NoCertificatesPresented) => "tls: client didn't provide a certificate".to_owned(),
        Some(tls) => format!("tls: {tls}"),
        None => error.to_string(),
    }
}
