//! How far a replay is, for those who wait: `/api/v1/status/walreplay` and readiness.

use std::sync::Arc;

use parking_lot::Mutex;

/// Written by the replay, read by anybody. A clone is the same progress.
#[derive(Clone, Debug, Default)]
pub struct ReplayProgress {
    status: Arc<Mutex<ReplayStatus>>,
}

/// A moment of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayStatus {
    /// What is going on.
    pub state: ReplayState,
    /// First segment to read.
    pub min: u32,
    /// Last segment to read.
    pub max: u32,
    /// The segment that is being read.
    pub current: u32,
}

/// The phases of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplayState {
    /// Not begun; also while a checkpoint is read.
    #[default]
    Waiting,
    /// Segments are being read.
    Running,
    /// Everything is in memory.
    Done,
}

impl ReplayProgress {
    /// The state now.
    #[must_use]
    pub fn status(&self) -> ReplayStatus {
        *self.status.lock()
    }

    pub(crate) fn begin(&self, min: u32, max: u32) {
        *self.status.lock() = ReplayStatus { state: ReplayState::Running, min, max, current: min };
    }

    pub(crate) fn reach(&self, segment: u32) {
        self.status.lock().current = segment;
    }

    pub(crate) fn finish(&self) {
        self.status.lock().state = ReplayState::Done;
    }
}
