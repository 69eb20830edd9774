//! A running endpoint as the manager holds it, and what the API may ask of one.
//!
//! Always true: dropping a [`Running`] ends its thread at once, as a crash would. Must not know: configurations but its own, files.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use narthex_config::RemoteWriteConfig;
use tokio::sync::oneshot;

use crate::dead_letter::Origin;
use crate::deliver::Sender;
use crate::endpoint::Event;

/// A running endpoint; dropping it is a crash.
pub(super) struct Running {
    pub(super) id: String,
    pub(super) config: RemoteWriteConfig,
    pub(super) sender: Arc<Sender>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) ended: Option<oneshot::Receiver<()>>,
    pub(super) metadata: Option<tokio::task::JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails when the thread ended by itself, as it should.
        let _ = self.events.send(Event::Kill);
        if let Some(task) = &self.metadata {
            task.abort();
        }
    }
}

impl Running {
    fn ask_to_stop(&self, drain: bool, deadline: Instant) {
        let _ = self.events.send(Event::Stop { drain, deadline });
    }

    async fn ended(&mut self, deadline: Instant) {
        if let Some(ended) = self.ended.take() {
            // A second more than it asked for: the thread itself keeps the deadline.
            let _ = tokio::time::timeout_at((deadline + Duration::from_secs(1)).into(), ended).await;
        }
    }
}

/// What can be asked of a running endpoint.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) id: String,
    pub(super) sender: Arc<Sender>,
    /// Samples of a request, at most.
    pub(super) per_send: usize,
    /// The name of the protobuf message.
    pub(super) protocol: &'static str,
}

impl Shown {
    pub(super) fn new(running: &Running) -> Self {
        let per_send = usize::try_from(running.config.queue_config.max_samples_per_send).unwrap_or(1).max(1);
        let protocol = running.config.protobuf_message.as_str();
        Self { id: running.id.clone(), sender: Arc::clone(&running.sender), per_send, protocol }
    }

    /// Whose letters its store keeps.
    pub(super) fn origin(&self) -> Origin {
        let status = &self.sender.status;
        Origin { name: status.name().to_owned(), url: status.url().to_owned() }
    }
}

/// Ends endpoints, all at the same time.
pub(super) async fn end(running: &mut [Running], drain: bool, deadline: Instant) {
    running.iter().for_each(|running| running.ask_to_stop(drain, deadline));
    for running in running {
        running.ended(deadline).await;
    }
}
