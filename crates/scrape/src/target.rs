//! One endpoint that is scraped, and the state that the API shows of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use narthex_config::{ScrapeConfig, TargetGroup};
use narthex_exposition::HistogramOptions;
use narthex_model::{Labels, parse_duration_ms};
use parking_lot::Mutex;
use url::Url;

use crate::ingest::Memory;
use crate::job::histogram_options;
use crate::schedule::fnv1a;
use crate::snapshot::Health;
use crate::target_labels::{SCRAPE_INTERVAL, SCRAPE_TIMEOUT, UNIX_SOCKET, parse_switch, public_labels};
use crate::target_url::target_url;

/// See the module's words. Two targets with equal hash are the same target.
#[derive(Debug)]
pub(crate) struct Target {
    /// After relabeling, `__` labels included.
    pub(crate) labels: Labels,
    /// What its series get.
    pub(crate) public: Labels,
    pub(crate) hash: u64,
    pub(crate) url_text: String,
    /// The reason when the URL makes no sense.
    pub(crate) url: Result<Url, String>,
    pub(crate) unix_socket: Option<PathBuf>,
    pub(crate) interval_ms: i64,
    pub(crate) timeout_ms: i64,
    /// Where it was found; a reload may find the same target elsewhere.
    pub(crate) origin: Mutex<Origin>,
    pub(crate) status: Mutex<Status>,
    /// Held by the scrape while it fills a batch, and by the API while it copies metadata.
    pub(crate) memory: Mutex<Memory>,
}

/// The discovered group and the position in it.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) group: Arc<TargetGroup>,
    pub(crate) at: usize,
}

/// How the last scrape went.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    pub(crate) health: Health,
    pub(crate) last_error: String,
    /// Milliseconds since the epoch.
    pub(crate) last_scrape_ms: Option<i64>,
    pub(crate) last_duration: Duration,
}

impl Target {
    /// A target from labels that `populate_labels` made.
    pub(crate) fn new(config: &ScrapeConfig, labels: Labels, origin: Origin) -> Self {
        let url_text = target_url(config, &labels);
        let url = Url::parse(&url_text).map_err(|e| e.to_string());
        let duration = |name, default| parse_duration_ms(labels.value(name)).unwrap_or(default);
        let mut identity = format!("{:016}", labels.stable_hash()).into_bytes();
        identity.extend_from_slice(url_text.as_bytes());
        Self {
            public: public_labels(&labels),
            hash: fnv1a(&identity),
            url,
            unix_socket: labels.get(UNIX_SOCKET).map(PathBuf::from),
            interval_ms: duration(SCRAPE_INTERVAL, config.scrape_interval_ms).max(1),
            timeout_ms: duration(SCRAPE_TIMEOUT, config.scrape_timeout_ms).max(1),
            url_text,
            labels,
            origin: Mutex::new(origin),
            status: Mutex::new(Status {
                health: Health::Unknown,
                last_error: String::new(),
                last_scrape_ms: None,
                last_duration: Duration::ZERO,
            }),
            memory: Mutex::default(),
        }
    }

    /// What becomes of its histograms: its own labels say so, else the job.
    pub(crate) fn histograms(&self, config: &ScrapeConfig) -> HistogramOptions {
        histogram_options(config, |name| parse_switch(self.labels.get(name)?))
    }
}
