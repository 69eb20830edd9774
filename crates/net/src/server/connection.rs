//! The accept loop and one connection: a slot each, HTTP/1.1 with keep-alive, drained when the server stops.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Request, RequestBody, Shared};

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

/// Serves one socket to its end. Errors are the client's (it hung up, it sent no HTTP) and are not logged.
async fn serve(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) {
    // Small answers must not wait for the client's delayed acknowledgement. Failing to set it costs only speed.
    let _ = stream.set_nodelay(true);
    let read_timeout = shared.options.read_timeout;
    let service = service_fn(|request: http::Request<Incoming>| {
        let (head, body) = request.into_parts();
        let answer =
            shared.handler.handle(Request { head, body: RequestBody::Socket(body, read_timeout), peer });
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(read_timeout)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut draining = shared.draining.clone();
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = draining.wait_for(|on| *on) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
