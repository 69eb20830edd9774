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
    /// Whether `_created` lines of OpenMetrics are read as start times and not stored (feature flags about start timestamps).
    pub parse_start_timestamps: bool,
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
            parse_start_timestamps: false,
            append_metadata: false,
            host_name: None,
            no_offset: false,
        }
    }
}
