//! The parts that follow the configuration, and how they take a new one.
//!
//! Always true: a part that refuses a configuration goes on with the one before; the others follow the new one, as in
//! Prometheus.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use narthex_config::Config;
use narthex_model::{Metadata, UnixTime};
use narthex_promql::desk::Desk;
use narthex_remote::read::{LocalStart, ReadServer, ReadStores};
use narthex_remote::{Backlog, MetadataSource, RemoteWrite, RemoteWriteOptions};
use narthex_scrape::{ScrapeManager, ScrapeOptions};
use narthex_storage::fan_out::FanOut;
use narthex_storage::{Querier, QueryError, Queryable as _};
use narthex_tsdb::Db;
use narthex_wal::WalPosition;
use tokio::runtime::Handle;

use crate::flags::Flags;
use crate::{features, queries, settings, storage_settings};

/// What is there before the database is ready.
#[derive(Clone)]
pub(crate) struct Early {
    /// The storage, perhaps still replaying.
    pub(crate) db: Arc<Db>,
    /// What keeps the log for remote write.
    hold: Arc<RemoteHold>,
    /// Where queries are received.
    pub(crate) desk: Arc<Desk>,
    /// What answers remote reads.
    pub(crate) reads: Arc<ReadServer>,
    /// What is queried.
    pub(crate) distant: Arc<DistantReads>,
    /// What fills the storage, without jobs.
    pub(crate) scrape: ScrapeManager,
}

impl Early {
    /// Must be called in a tokio runtime.
    ///
    /// # Errors
    /// The log of running queries cannot be made.
    pub(crate) fn new(
        flags: &Flags,
        db: Arc<Db>,
        registry: &narthex_metrics::Registry,
        config: &Config,
    ) -> std::io::Result<Self> {
        let scrape = ScrapeManager::new(Arc::clone(&db) as _, registry, scrape_options(flags));
        let hold = Arc::new(RemoteHold::default());
        let asked = Arc::clone(&hold);
        db.add_wal_hold(Arc::new(move || asked.position()));
        let desk = queries::desk(flags, config, registry)?;
        let queried = Arc::new(FanOut::new(Arc::clone(&db) as _));
        let limits = settings::read_options(flags);
        let reads = Arc::new(ReadServer::new(Arc::clone(&queried) as _, limits, registry));
        let local_start = local_start(&db, flags.duration_ms("storage.tsdb.min-block-duration"));
        let endpoints = ReadStores::new(local_start, Handle::current(), registry);
        let distant = Arc::new(DistantReads { queried, endpoints });
        Ok(Self { db, hold, desk, reads, distant, scrape })
    }
}

impl Early {
    /// What leads to remote write, once it runs.
    pub(crate) fn remote(&self) -> Arc<RemoteHold> {
        Arc::clone(&self.hold)
    }
}

/// Keeps the part of the log that endpoints still need.
#[derive(Default)]
pub(crate) struct RemoteHold {
    /// Set once the endpoints of the first configuration know where they stand.
    remote: OnceLock<Arc<RemoteWrite>>,
}

impl RemoteHold {
    /// Remote write, once it runs.
    pub(crate) fn remote(&self) -> Option<&Arc<RemoteWrite>> {
        self.remote.get()
    }

    /// The oldest position that is needed. Everything, as long as nobody can tell: an endpoint may go on from any cursor that
    /// was saved.
    fn position(&self) -> Option<WalPosition> {
        self.remote.get().map_or(Some(WalPosition::default()), |remote| remote.wal_hold())
    }
}

/// What runs beside the web server.
pub(crate) struct Parts {
    flags: Flags,
    hold: Arc<RemoteHold>,
    /// The storage.
    pub(crate) db: Arc<Db>,
    /// Where queries are received.
    pub(crate) desk: Arc<Desk>,
    /// What answers remote reads.
    reads: Arc<ReadServer>,
    /// What is queried.
    distant: Arc<DistantReads>,
    /// What fills the storage.
    pub(crate) scrape: ScrapeManager,
    /// What ships it.
    pub(crate) remote: Arc<RemoteWrite>,
}

impl Parts {
    /// All parts without jobs and endpoints, over a database that is ready. Must be called in a tokio runtime.
    pub(crate) fn new(early: Early, flags: &Flags, registry: &narthex_metrics::Registry) -> Self {
        let Early { db, hold, desk, reads, distant, scrape } = early;
        let remote = RemoteWriteOptions {
            data_dir: flags.text("storage.tsdb.path").into(),
            tip: db.wal_tip().expect("parts are made when the storage is ready"),
            flush_deadline: settings::duration(flags, "storage.remote.flush-deadline"),
            backlog: Some(Arc::new(Past(Arc::clone(&db)))),
            live: Some(Arc::clone(&db) as _),
            metadata: Some(Arc::new(Families(scrape.clone()))),
        };
        let remote = Arc::new(RemoteWrite::new(remote, registry));
        Self { flags: flags.clone(), db, hold, desk, reads, distant, scrape, remote }
    }

    /// Makes every part follow a configuration.
    ///
    /// # Errors
    /// The reasons of the parts that refused.
    pub(crate) async fn apply(&self, config: &Config) -> Result<(), String> {
        let runtime = storage_settings::runtime_options(&self.flags, config).map_err(|e| e.to_string())?;
        let queries = queries::apply(&self.desk, config);
        self.desk.engine().set_default_subquery_step_ms(config.global.evaluation_interval_ms);
        let storage = self.db.apply(&runtime).map_err(|e| chain(&e));
        // A new endpoint starts at the tip of the log: it must stand there before the first scrape is written.
        let external = &config.global.external_labels;
        self.reads.set_external_labels(external);
        let remote = self.remote.apply_config(&config.remote_write, external).await.map_err(|e| chain(&e));
        if remote.is_ok() {
            self.hold.remote.get_or_init(|| Arc::clone(&self.remote));
        }
        let read = self.distant.apply(config);
        let scrape = self.scrape.apply_config(config).map_err(|e| chain(&e));
        let refused: Vec<String> = [storage.err(), queries.err(), remote.err(), read.err(), scrape.err()]
            .into_iter()
            .flatten()
            .collect();
        if refused.is_empty() { Ok(()) } else { Err(refused.join("; ")) }
    }
}

/// The database, and the endpoints of remote read that queries go to as well.
pub(crate) struct DistantReads {
    /// All of them as one.
    pub(crate) queried: Arc<FanOut>,
    endpoints: ReadStores,
}

impl DistantReads {
    fn apply(&self, config: &Config) -> Result<(), String> {
        let stores = self.endpoints.stores(&config.remote_read, &config.global.external_labels);
        self.queried.set_distant(stores.map_err(|e| chain(&e))?);
        Ok(())
    }
}

/// From when on the database has everything. COMPAT: the start of its oldest block, or now, and two block ranges more for what is
/// still on its way.
fn local_start(db: &Arc<Db>, block_range_ms: i64) -> LocalStart {
    let db = Arc::downgrade(db);
    Arc::new(move || {
        let blocks = db.upgrade().map(|db| db.blocks()).unwrap_or_default();
        let oldest = blocks.iter().map(|meta| meta.min_ms).min();
        let start_ms = oldest.unwrap_or_else(|| UnixTime::from_system(SystemTime::now()).to_ms());
        start_ms.saturating_add(block_range_ms.saturating_mul(2))
    })
}

fn scrape_options(flags: &Flags) -> ScrapeOptions {
    let on = |name: &str| features::on(flags, name);
    ScrapeOptions {
        adjust_timestamps: flags.bool("scrape.adjust-timestamps"),
        timestamp_tolerance: settings::duration(flags, "scrape.timestamp-tolerance"),
        start_zeros: on("created-timestamp-zero-ingestion"),
        store_starts: on("st-storage"),
        synthesize_starts: on("st-synthesis"),
        type_and_unit_labels: on("type-and-unit-labels"),
        append_metadata: on("metadata-wal-records"),
        ..ScrapeOptions::default()
    }
}

/// The database, for endpoints that are behind further than the log is held.
struct Past(Arc<Db>);

impl Backlog for Past {
    fn view(&self, mint_ms: i64, maxt_ms: i64) -> Result<Box<dyn Querier>, QueryError> {
        self.0.wait_visible();
        self.0.querier(mint_ms, maxt_ms)
    }

    fn span_ms(&self) -> Option<(i64, i64)> {
        self.0.time_range()
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
