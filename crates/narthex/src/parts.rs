//! The parts that follow the configuration, and how they take a new one.
//!
//! Always true: a part that refuses a configuration goes on with the one before; the others follow the new one, as in
//! Prometheus.

use std::sync::Arc;

use narthex_config::Config;
use narthex_model::Metadata;
use narthex_promql::engine::Engine;
use narthex_remote::{MetadataSource, RemoteWrite, RemoteWriteOptions};
use narthex_scrape::{ScrapeManager, ScrapeOptions};
use narthex_tsdb::Db;

use crate::flags::Flags;
use crate::settings;

/// What runs beside the web server.
pub(crate) struct Parts {
    /// The storage.
    pub(crate) db: Arc<Db>,
    /// The query engine.
    pub(crate) engine: Arc<Engine>,
    /// What fills the storage.
    pub(crate) scrape: ScrapeManager,
    /// What ships it.
    pub(crate) remote: RemoteWrite,
}

impl Parts {
    /// All parts without jobs and endpoints. Must be called in a tokio runtime.
    pub(crate) fn new(
        flags: &Flags,
        db: Arc<Db>,
        registry: &narthex_metrics::Registry,
        config: &Config,
    ) -> Self {
        let options = settings::engine_options(flags, config.global.evaluation_interval_ms);
        let scrape = ScrapeManager::new(Arc::clone(&db) as _, registry, scrape_options(flags));
        let remote = RemoteWriteOptions {
            data_dir: flags.text("storage.tsdb.path").into(),
            tip: db.wal_tip().expect("parts are made when the storage is ready"),
            flush_deadline: settings::duration(flags, "storage.remote.flush-deadline"),
            metadata: Some(Arc::new(Families(scrape.clone()))),
        };
        let remote = RemoteWrite::new(remote, registry);
        Self { db, engine: Arc::new(Engine::new(options)), scrape, remote }
    }

    /// Makes every part follow a configuration.
    ///
    /// # Errors
    /// The reasons of the parts that refused.
    pub(crate) async fn apply(&self, config: &Config) -> Result<(), String> {
        self.engine.set_default_subquery_step_ms(config.global.evaluation_interval_ms);
        // A new endpoint starts at the tip of the log: it must stand there before the first scrape is written.
        let external = &config.global.external_labels;
        let remote = self.remote.apply_config(&config.remote_write, external).await.map_err(|e| chain(&e));
        let scrape = self.scrape.apply_config(config).map_err(|e| chain(&e));
        let refused: Vec<String> = [remote.err(), scrape.err()].into_iter().flatten().collect();
        if refused.is_empty() { Ok(()) } else { Err(refused.join("; ")) }
    }
}

fn scrape_options(flags: &Flags) -> ScrapeOptions {
    let on = |name: &str| flags.features().any(|f| f == name);
    ScrapeOptions {
        adjust_timestamps: flags.bool("scrape.adjust-timestamps"),
        timestamp_tolerance: settings::duration(flags, "scrape.timestamp-tolerance"),
        parse_start_timestamps: on("created-timestamp-zero-ingestion") || on("st-storage"),
        append_metadata: on("metadata-wal-records"),
        ..ScrapeOptions::default()
    }
}

/// The metadata of what is scraped, for endpoints.
struct Families(ScrapeManager);

impl MetadataSource for Families {
    fn families(&self) -> Vec<(String, Metadata)> {
        let mut families: Vec<(String, Metadata)> =
            self.0.metadata(None).into_iter().map(|f| (f.family, f.metadata)).collect();
        families.sort_by(|a, b| a.0.cmp(&b.0));
        families.dedup_by(|a, b| a.0 == b.0);
        families
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
