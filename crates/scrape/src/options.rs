//! Settings of scraping that come from flags, not from the configuration file.

use std::time::Duration;

/// See the fields. `default()` holds Prometheus' defaults.
#[derive(Clone, Debug)]
pub struct ScrapeOptions {
    /// What scrapes call themselves: `Prometheus/3.14.0`.
    pub user_agent: String,
    /// Whether timestamps that are off by at most `timestamp_tolerance` are moved onto the interval's grid
    /// (`--scrape.adjust-timestamps`).
    pub adjust_timestamps: bool,
    /// See above; also bounded by a hundredth of the interval (`--scrape.timestamp-tolerance`).
    pub timestamp_tolerance: Duration,
    /// Whether a zero is stored where a counter says that it started (feature `created-timestamp-zero-ingestion`).
    pub start_zeros: bool,
    /// Whether start timestamps go to the store with their samples (feature `st-storage`).
    pub store_starts: bool,
    /// Whether counters whose start nobody tells begin at their first sample (feature `st-synthesis`).
    pub synthesize_starts: bool,
    /// Whether type and unit of a family become labels of its series (feature `type-and-unit-labels`).
    pub type_and_unit_labels: bool,
    /// Whether families' metadata goes to the store with their series (feature `metadata-wal-records`, remote write 2.0).
    pub append_metadata: bool,
    /// Stands in for the machine's name in the seed that spreads scrapes; `None`: the real name.
    pub host_name: Option<String>,
    /// Scrape at once and then each interval, without the spread: for tests.
    pub no_offset: bool,
}

impl Default for ScrapeOptions {
    fn default() -> Self {
        Self {
            user_agent: "Prometheus/3.14.0".to_owned(),
            adjust_timestamps: true,
            timestamp_tolerance: Duration::from_millis(2),
            start_zeros: false,
            store_starts: false,
            synthesize_starts: false,
            type_and_unit_labels: false,
            append_metadata: false,
            host_name: None,
            no_offset: false,
        }
    }
}

impl ScrapeOptions {
    /// Whether start timestamps are read. The `_created` lines of OpenMetrics are no samples then.
    #[inline]
    #[must_use]
    pub fn parses_starts(&self) -> bool {
        self.start_zeros || self.store_starts
    }
}
