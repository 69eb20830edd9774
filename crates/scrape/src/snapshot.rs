//! What the API shows of targets, copied out so that nothing is held while it is written.

use std::time::Duration;

use narthex_model::{Labels, Metadata};

/// The state of a target's last scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Not scraped yet.
    Unknown,
    /// The last scrape succeeded.
    Up,
    /// The last scrape failed.
    Down,
}

impl Health {
    /// The API's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// All targets of one job.
#[derive(Clone, Debug)]
pub struct PoolSnapshot {
    /// The job's name.
    pub name: String,
    /// The targets that are scraped, by URL.
    pub active: Vec<ActiveTarget>,
    /// The dropped targets that are kept (`keep_dropped_targets`).
    pub dropped: Vec<DroppedTarget>,
    /// How many were dropped, kept or not.
    pub dropped_count: usize,
}

/// One scraped target.
#[derive(Clone, Debug)]
pub struct ActiveTarget {
    /// Labels before relabeling.
    pub discovered: Labels,
    /// Labels that its series get.
    pub labels: Labels,
    /// What is fetched.
    pub url: String,
    /// The last error, `""` for none.
    pub last_error: String,
    /// When the last scrape began, ms since the epoch; `None` before the first.
    pub last_scrape_ms: Option<i64>,
    /// How long it took.
    pub last_duration: Duration,
    /// Its state.
    pub health: Health,
    /// The scrape interval as the target's label has it (`15s`).
    pub interval: String,
    /// The scrape timeout as the target's label has it.
    pub timeout: String,
}

/// One target that relabeling dropped.
#[derive(Clone, Debug)]
pub struct DroppedTarget {
    /// Labels before relabeling.
    pub discovered: Labels,
}

/// What one target says of one metric family.
#[derive(Clone, Debug)]
pub struct FamilyMetadata {
    /// The target's labels.
    pub target: Labels,
    /// The family's name.
    pub family: String,
    /// Type, unit, help.
    pub metadata: Metadata,
}
