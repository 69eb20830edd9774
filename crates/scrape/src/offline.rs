//! Bodies without HTTP: what scrapes of them write, for benches and for commands that look at a saved body.

use narthex_config::ScrapeConfig;
use narthex_metrics::Registry;
use narthex_model::Labels;
use narthex_storage::Appendable;

use crate::error::ScrapeError;
use crate::ingest::{Memory, Scrape};
use crate::job::{histogram_limits, histogram_options};
use crate::metrics::ScrapeMetrics;
use crate::options::ScrapeOptions;
use crate::report::append_stale;
use crate::scratch::Scratch;

/// A target whose bodies are handed over.
pub struct OfflineTarget {
    config: ScrapeConfig,
    public: Labels,
    metrics: ScrapeMetrics,
    memory: Memory,
    scratch: Scratch,
    options: ScrapeOptions,
}

impl OfflineTarget {
    /// A target of a job; its series get the labels `public`.
    #[must_use]
    pub fn new(config: ScrapeConfig, public: Labels) -> Self {
        let metrics = ScrapeMetrics::new(&Registry::new());
        Self {
            config,
            public,
            metrics,
            memory: Memory::default(),
            scratch: Scratch::default(),
            options: ScrapeOptions::default(),
        }
    }

    /// Writes one body as one batch, with `at_ms` for samples without a timestamp, and returns how many samples it had.
    ///
    /// # Errors
    /// When the body is bad; the series seen before are marked stale then.
    pub fn scrape(
        &mut self,
        body: &[u8],
        content_type: &str,
        at_ms: i64,
        store: &dyn Appendable,
    ) -> Result<u64, ScrapeError> {
        let scrape = Scrape {
            config: &self.config,
            fallback: None,
            public: &self.public,
            metrics: &self.metrics,
            at_ms,
            now_ms: at_ms,
            options: &self.options,
            histograms: histogram_options(&self.config, |_| None),
            limits: histogram_limits(&self.config),
        };
        let Scratch { hint, stale, .. } = &mut self.scratch;
        stale.clear();
        let mut appender = store.appender();
        let (counts, outcome) =
            scrape.ingest(body, content_type, &mut self.memory, &mut *appender, (hint, stale));
        if outcome.is_err() {
            appender.rollback();
            appender = store.appender();
        }
        append_stale(stale, at_ms, &mut *appender)?;
        appender.commit()?;
        outcome.map(|()| counts.scraped)
    }

    /// Heap bytes of the cache that maps lines to series.
    #[must_use]
    pub fn series_cache_bytes(&self) -> usize {
        self.memory.series.heap_bytes()
    }
}
