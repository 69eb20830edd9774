//! The way to a client from a blocking thread that makes its answer.
//!
//! Always true: at most [`PIECES`] pieces wait for the client; one that takes nothing for [`STALLED`] counts as gone, because what
//! makes its answer keeps the storage from giving memory back.

use std::time::Duration;

use bytes::Bytes;
use narthex_net::server::{Body, BrokenOff};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Pieces that wait for the client.
const PIECES: usize = 2;
/// How long a client may take for a piece.
const STALLED: Duration = Duration::from_secs(60);

/// Where pieces go.
pub(crate) struct Outflow {
    to_client: mpsc::Sender<Result<Bytes, BrokenOff>>,
    network: Handle,
}

impl Outflow {
    /// An outflow and the body that it feeds. Must be called in a tokio runtime.
    pub(crate) fn new() -> (Self, Body) {
        let (to_client, pieces) = mpsc::channel(PIECES);
        (Self { to_client, network: Handle::current() }, Body::Stream(pieces))
    }

    /// Sends a piece, waiting for room; false when the client is gone. Must be called on a blocking thread.
    pub(crate) fn send(&self, piece: Bytes) -> bool {
        self.pass(Ok(piece))
    }

    /// Breaks the connection off, so that the client does not take a part for the whole.
    pub(crate) fn break_off(&self) {
        self.pass(Err(BrokenOff));
    }

    fn pass(&self, piece: Result<Bytes, BrokenOff>) -> bool {
        let sent = tokio::time::timeout(STALLED, self.to_client.send(piece));
        matches!(self.network.block_on(sent), Ok(Ok(())))
    }
}
