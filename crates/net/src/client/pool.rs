//! Idle connections, by where they lead.
//!
//! Always true: a connection is in the pool or in use, never both; one that was idle for [`IDLE`] is closed at the next look.
//! Memory: an idle HTTP/1.1 connection holds its socket and nothing else, no buffer.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::http2::Http2;
use super::stream::Stream;

/// Prometheus keeps idle connections this long.
const IDLE: Duration = Duration::from_secs(5 * 60);
/// How often returned connections trigger a look at all others.
const SWEEP: Duration = Duration::from_secs(30);
/// Per destination.
const MAX_IDLE: usize = 1000;

/// The connections of one client.
#[derive(Debug)]
pub(super) struct Pool {
    /// Held for a look-up or an insert, never across an await.
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    idle: HashMap<Box<str>, Vec<(Stream, Instant)>>,
    shared: HashMap<Box<str>, Http2>,
    swept: Instant,
    /// Rises when the pool is emptied; a connection of an older generation is not taken back.
    generation: u64,
}

impl Pool {
    pub(super) fn new() -> Self {
        let inner =
            Inner { idle: HashMap::new(), shared: HashMap::new(), swept: Instant::now(), generation: 0 };
        Self { inner: Mutex::new(inner) }
    }

    /// An idle connection that still seems open.
    pub(super) fn take(&self, destination: &str) -> Option<Stream> {
        let mut inner = self.inner.lock();
        let idle = inner.idle.get_mut(destination)?;
        let found = loop {
            match idle.pop() {
                Some((stream, since)) if since.elapsed() < IDLE && stream.is_quiet() => break Some(stream),
                Some(_) => {}
                None => break None,
            }
        };
        if idle.is_empty() {
            inner.idle.remove(destination);
        }
        found
    }

    /// The HTTP/2 connection to a destination.
    pub(super) fn shared(&self, destination: &str) -> Option<Http2> {
        let mut inner = self.inner.lock();
        match inner.shared.get(destination) {
            Some(open) if !open.is_closed() => Some(open.clone()),
            Some(_) => {
                inner.shared.remove(destination);
                None
            }
            None => None,
        }
    }

    /// Which generation a connection made now belongs to.
    pub(super) fn generation(&self) -> u64 {
        self.inner.lock().generation
    }

    /// Takes a connection (back).
    pub(super) fn put(&self, destination: &str, generation: u64, stream: Stream) {
        let now = Instant::now();
        let mut inner = self.inner.lock();
        if inner.generation != generation {
            return;
        }
        if now.duration_since(inner.swept) > SWEEP {
            inner.swept = now;
            inner.sweep(now);
        }
        match inner.idle.get_mut(destination) {
            Some(idle) if idle.len() < MAX_IDLE => idle.push((stream, now)),
            Some(_) => {}
            None => drop(inner.idle.insert(destination.into(), vec![(stream, now)])),
        }
    }

    /// Remembers a new HTTP/2 connection.
    pub(super) fn share(&self, destination: &str, generation: u64, connection: Http2) {
        let mut inner = self.inner.lock();
        if inner.generation == generation {
            inner.shared.insert(destination.into(), connection);
        }
    }

    /// Forgets all connections; those in use end after their request.
    pub(super) fn clear(&self) {
        let mut inner = self.inner.lock();
        inner.generation += 1;
        inner.idle.clear();
        inner.shared.clear();
    }

    /// How many idle HTTP/1.1 connections there are.
    #[cfg(test)]
    pub(super) fn idle_count(&self) -> usize {
        self.inner.lock().idle.values().map(Vec::len).sum()
    }
}

impl Inner {
    fn sweep(&mut self, now: Instant) {
        self.idle.retain(|_, idle| {
            idle.retain(|(_, since)| now.duration_since(*since) < IDLE);
            !idle.is_empty()
        });
        self.shared.retain(|_, connection| !connection.is_closed());
    }
}
