//! The HTTP server: listeners, our own accept loop with a cap on connections, TLS and users by a web-config file, timeouts, and a
//! drain with a deadline.
//!
//! Road in: `Listeners::bind`, `Guard::open` when there is a web-config file, then `Server::start` with a `Handler`, at the end
//! `Server::stop`.
//! Always true: at most `max_connections` sockets are open over all listeners; when a client hangs up, the future that the
//! handler returned for it is dropped soon (`patience`), so whoever hangs work on that future is cancelled with it.
//! What this module does not do: routes, methods, encodings, any knowledge of what is served.
//! Facts: Go's `net/http.Server` as Prometheus sets it up (`ReadTimeout` bounds reading a request and waiting for the next one).

mod body;
mod connection;
mod file_stamp;
mod guard;
mod handshake;
mod inherited;
mod listen;
mod made;
mod patience;
mod rules;
mod streams;
mod target;
#[cfg(test)]
mod tests;
mod tls;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use narthex_metrics::{Counter, Registry};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

pub use body::{Body, BodyError, RequestBody};
pub use guard::{Guard, GuardError};
pub use listen::{ListenError, Listeners};
pub use made::{BrokenOff, Made, PieceSource};

/// One request: its head, its unread body, and who sent it.
#[derive(Debug)]
pub struct Request {
    /// Method, path, headers.
    pub head: http::request::Parts,
    /// The body, not read yet.
    pub body: RequestBody,
    /// The other end of the socket.
    pub peer: SocketAddr,
}

/// What a handler answers.
pub type Response = http::Response<Body>;

/// The future of an answer. It is dropped when the client hangs up.
pub type ResponseFuture = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Starts to answer one request. Must not compute for long or block: it runs on the network threads.
    fn handle(&self, request: Request) -> ResponseFuture;
}

/// Limits of a server.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Most sockets open at a time over all listeners; further clients wait in the kernel's backlog.
    pub max_connections: usize,
    /// Longest a request may take to arrive, and longest an idle connection is kept.
    pub read_timeout: Duration,
    /// Who may connect and ask; `None`: everybody, in plain text.
    pub guard: Option<Arc<Guard>>,
}

/// Counts of the listeners, by the names that Prometheus uses.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    accepted: Counter,
    closed: Counter,
}

impl ServerMetrics {
    /// Registers the counts of the listeners under the name `http`.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        let labels = ["listener_name"];
        let accepted = registry.counter_vec(
            "net_conntrack_listener_conn_accepted_total",
            "Total number of connections opened to the listener of a given name.",
            &labels,
        );
        let closed = registry.counter_vec(
            "net_conntrack_listener_conn_closed_total",
            "Total number of connections closed that were made to the listener of a given name.",
            &labels,
        );
        Self { accepted: accepted.with(&["http"]), closed: closed.with(&["http"]) }
    }
}

/// What every connection of a server shares.
struct Shared {
    handler: Arc<dyn Handler>,
    options: ServerOptions,
    metrics: ServerMetrics,
    slots: Arc<Semaphore>,
    complaints: handshake::Complaints,
    /// Turns true once, when the server starts to drain.
    draining: watch::Receiver<bool>,
}

/// A running server. Dropping it aborts everything at once; [`Server::stop`] drains.
pub struct Server {
    addresses: Vec<SocketAddr>,
    drain: watch::Sender<bool>,
    accept_loops: JoinSet<JoinSet<()>>,
}

impl Server {
    /// Starts to accept on the current tokio runtime.
    ///
    /// # Errors
    /// When a listener cannot be handed to the runtime.
    pub fn start(
        listeners: Listeners,
        options: ServerOptions,
        metrics: ServerMetrics,
        handler: Arc<dyn Handler>,
    ) -> Result<Self, ListenError> {
        let (drain, draining) = watch::channel(false);
        let slots = Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS)));
        let shared =
            Arc::new(Shared { handler, options, metrics, slots, complaints: Default::default(), draining });
        let addresses = listeners.addresses();
        let mut accept_loops = JoinSet::new();
        for listener in listeners.into_tokio()? {
            accept_loops.spawn(connection::accept(listener, Arc::clone(&shared)));
        }
        Ok(Self { addresses, drain, accept_loops })
    }

    /// The addresses that are served, with the ports that the system gave for port 0.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Closes the listeners and idle connections, lets requests in flight finish, and after `deadline` cuts what is left.
    /// Returns how many connections were cut.
    pub async fn stop(mut self, deadline: Duration) -> usize {
        self.drain.send_replace(true);
        let until = tokio::time::Instant::now() + deadline;
        let mut cut = 0;
        while let Some(connections) = self.accept_loops.join_next().await {
            // An accept loop only ends by the drain; it cannot panic, and nobody aborts it but our drop.
            let Ok(mut connections) = connections else { continue };
            let drained = async { while connections.join_next().await.is_some() {} };
            if tokio::time::timeout_at(until, drained).await.is_err() {
                cut += connections.len();
                connections.shutdown().await;
            }
        }
        cut
    }
}
