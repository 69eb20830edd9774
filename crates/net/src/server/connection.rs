//! The accept loop and one connection: a slot each, HTTP/1.1 with keep-alive or over TLS HTTP/2, drained when the server stops.
//!
//! Always true: a request reaches the handler only through the guard, if there is one.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::body::{Arrived, Arriving};
use super::patience::Line;
use super::streams::Streams;
use super::target::Mended;
use super::{Request, RequestBody, Response, Shared, handshake, rules};

/// Go's time between probes of a silent connection, and before the first.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Go's bounds of HTTP/2: requests at a time on a connection, bytes of headers.
const MAX_STREAMS: u32 = 250;
const MAX_HEADERS: u32 = 1 << 20;
/// How long a client may take to close an HTTP/2 connection that has no requests.
const GOODBYE: Duration = Duration::from_secs(5);

/// How long to wait after the system ran out of sockets before accepting again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until the server drains, then returns the connections that are still open.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) -> JoinSet<()> {
    let mut connections = JoinSet::new();
    let mut draining = shared.draining.clone();
    loop {
        // Finished connections must be taken out, or the set would grow for ever.
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            _ = draining.wait_for(|on| *on) => return connections,
            accepted = accept_one(&listener, &shared) => accepted,
        };
        match accepted {
            Ok((stream, peer, slot)) => {
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    shared.metrics.accepted.inc();
                    serve(stream, peer, &shared).await;
                    shared.metrics.closed.inc();
                    drop(slot);
                });
            }
            Err(error) if is_about_one_client(&error) => {}
            Err(error) => {
                tracing::warn!(component = "web", err = %error, "Cannot accept connections, trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Takes a slot first, so that clients over the cap wait in the kernel instead of holding memory here.
async fn accept_one(
    listener: &TcpListener,
    shared: &Shared,
) -> std::io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(&shared.slots).acquire_owned().await.expect("the semaphore is never closed");
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, slot))
}

fn is_about_one_client(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves one socket to its end. Errors are the client's (it hung up, it sent no HTTP) and are not logged, but for failed handshakes.
async fn serve(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) {
    prepare(&stream, shared.options.read_timeout);
    let mut draining = shared.draining.clone();
    let Some(guard) = shared.options.guard.as_deref().filter(|guard| guard.tls_offer().is_some()) else {
        return http1(stream, peer, shared).await;
    };
    let accepted = tokio::select! {
        accepted = handshake::accept(stream, peer, guard, shared) => accepted,
        _ = draining.wait_for(|on| *on) => return,
    };
    match accepted {
        Some(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
            http2(stream, peer, shared).await;
        }
        Some(stream) => http1(stream, peer, shared).await,
        None => {}
    }
}

/// Sets what ends connections whose other end is gone or takes nothing any more. What cannot be set costs only that.
fn prepare(stream: &TcpStream, read_timeout: Duration) {
    // Small answers must not wait for the client's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, KEEPALIVE);
    let _ = sockopt::set_tcp_keepintvl(stream, KEEPALIVE);
    // Bytes that nobody acknowledges: the system would go on for a quarter of an hour.
    let longest = read_timeout.max(KEEPALIVE * 2).as_millis();
    let _ = sockopt::set_tcp_user_timeout(stream, u32::try_from(longest).unwrap_or(u32::MAX));
}

/// Answers one request, as far as the guard lets it in.
fn answer(
    request: http::Request<Incoming>,
    arrived: Arrived,
    peer: SocketAddr,
    shared: &Arc<Shared>,
) -> impl Future<Output = Response> + Send + use<> {
    let (head, body) = request.into_parts();
    let shared = Arc::clone(shared);
    async move {
        if let Some(refusal) = rules::refusal(&head) {
            return refusal;
        }
        let demanded = match &shared.options.guard {
            None => None,
            Some(guard) => match guard.admit(&head).await {
                Ok(demanded) => Some(demanded),
                Err(refusal) => return refusal,
            },
        };
        let body = RequestBody::Socket(Arriving::new(body, shared.options.read_timeout, arrived));
        let mut response = match rules::of_the_whole(&head) {
            Some(response) => response,
            None => shared.handler.handle(Request { head, body, peer }).await,
        };
        if let Some(demanded) = demanded {
            demanded.add_headers(response.headers_mut());
        }
        response
    }
}

async fn http1<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    stream: S,
    peer: SocketAddr,
    shared: &Arc<Shared>,
) {
    let line = Line::new(stream);
    let service = service_fn(|request: http::Request<Incoming>| {
        let arrived = Arrived::new(request.body().is_end_stream());
        let answer = line.clone().answer(answer(request, arrived.clone(), peer, shared), arrived);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.options.read_timeout)
        .half_close(true)
        .serve_connection(TokioIo::new(Mended::new(line.clone())), service);
    tokio::pin!(connection);
    let mut draining = shared.draining.clone();
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = draining.wait_for(|on| *on) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Like `http1`; the protocol has no time limit of its own, so a connection without requests is closed here.
async fn http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: SocketAddr,
    shared: &Arc<Shared>,
) {
    let streams = Streams::default();
    let service = service_fn(|request: http::Request<Incoming>| {
        let arrived = Arrived::new(request.body().is_end_stream());
        let (answer, token) = (answer(request, arrived, peer, shared), streams.begin());
        async move { Ok::<_, Infallible>(answer.await.map(|body| token.through(body))) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut draining = shared.draining.clone();
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = draining.wait_for(|on| *on) => {}
        () = streams.idle_for(shared.options.read_timeout) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        // The client does not say goodbye.
        () = streams.idle_for(GOODBYE.min(shared.options.read_timeout)) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_whose_other_end_is_gone_are_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        prepare(&stream, Duration::from_secs(300));
        assert!(stream.nodelay().unwrap() && sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), KEEPALIVE);
        assert_eq!(sockopt::tcp_keepintvl(&stream).unwrap(), KEEPALIVE);
        assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), 300_000);
    }
}
