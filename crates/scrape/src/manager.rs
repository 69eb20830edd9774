//! All jobs: applies configurations, follows discovery, answers for the API.
//!
//! Always true: a configuration is applied whole or not at all; what did not change goes on without a gap.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use narthex_config::Config;
use narthex_discovery::Discovery;
use narthex_metrics::Registry;
use narthex_net::client::ClientMetrics;
use narthex_storage::Appendable;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::error::ApplyError;
use crate::failure_log::open_logs;
use crate::job::Job;
use crate::metrics::ScrapeMetrics;
use crate::options::ScrapeOptions;
use crate::pool::{Leaving, Pool};
use crate::schedule::offset_seed;
use crate::scrape_loop::Common;
use crate::scratch::ScratchPool;
use crate::snapshot::{FamilyMetadata, PoolSnapshot};

/// Scrapes what configurations name. A clone is the same manager.
#[derive(Clone)]
pub struct ScrapeManager {
    inner: Arc<Inner>,
}

struct Inner {
    common: Arc<Common>,
    client_metrics: ClientMetrics,
    discovery: Discovery,
    runtime: Handle,
    /// Held while targets are synchronised or copied, never across an await.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pools: BTreeMap<String, Pool>,
    seed: u64,
    leaving: Vec<Leaving>,
    follower: Option<AbortHandle>,
    stopped: bool,
}

impl ScrapeManager {
    /// A manager without jobs that writes to `appendable`. Must be called in a tokio runtime, where its loops will run.
    #[must_use]
    pub fn new(appendable: Arc<dyn Appendable>, registry: &Registry, options: ScrapeOptions) -> Self {
        let metrics = ScrapeMetrics::new(registry);
        let common = Arc::new(Common { appendable, metrics, options, scratch: ScratchPool::default() });
        let inner = Arc::new(Inner {
            common,
            client_metrics: ClientMetrics::new(registry),
            discovery: Discovery::new("scrape", registry),
            runtime: Handle::current(),
            state: Mutex::default(),
        });
        register_metadata_sizes(registry, &inner);
        let follower = inner.runtime.spawn(follow(Arc::downgrade(&inner), inner.discovery.clone()));
        inner.state.lock().follower = Some(follower.abort_handle());
        Self { inner }
    }

    /// Makes the jobs be those of `config`. Static targets and those of readable files are there when this returns.
    /// Blocks shortly (files, relabeling); must be called in a tokio runtime.
    ///
    /// # Errors
    /// When a job cannot be built; the configuration before goes on, unchanged.
    pub fn apply_config(&self, config: &Config) -> Result<(), ApplyError> {
        let jobs = self.build_jobs(config)?;
        let failure_logs = open_logs(config)?;
        let sets = config.all_scrape_configs().map(|job| (job.job_name.clone(), job.sd.clone()));
        let _entered = self.inner.runtime.enter();
        self.inner.discovery.apply(sets);
        let mut state = self.inner.state.lock();
        if state.stopped {
            return Ok(());
        }
        let host_name = self.inner.common.options.host_name.clone().unwrap_or_else(host_name);
        state.seed = offset_seed(&host_name, &config.global.external_labels);
        state.remove_all_but(&jobs);
        let mut changed = self.inner.discovery.take_changed();
        for (name, job) in jobs {
            match state.pools.get(&name) {
                Some(pool) if pool.job().config == job.config => {}
                Some(pool) => {
                    pool.reload(job);
                    changed.insert(name);
                }
                None => {
                    let pool = Pool::new(job, Arc::clone(&self.inner.common), self.inner.runtime.clone());
                    state.pools.insert(name.clone(), pool);
                    changed.insert(name);
                }
            }
        }
        for pool in state.pools.values() {
            pool.set_failure_log(failure_logs.get(&pool.job().config.scrape_failure_log_file).cloned());
        }
        self.inner.sync(&mut state, changed);
        Ok(())
    }

    fn build_jobs(&self, config: &Config) -> Result<BTreeMap<String, Arc<Job>>, ApplyError> {
        let before: BTreeMap<String, Arc<Job>> =
            self.inner.state.lock().pools.iter().map(|(name, pool)| (name.clone(), pool.job())).collect();
        let Inner { common, client_metrics, .. } = &*self.inner;
        let build = |job: &narthex_config::ScrapeConfig| {
            let built = Job::new(job, before.get(&job.job_name), &common.options, client_metrics);
            let counter = if before.contains_key(&job.job_name) {
                &common.metrics.reloads_failed
            } else {
                &common.metrics.pools_failed
            };
            let built = built.inspect_err(|_| counter.inc());
            let built = built.map_err(|source| ApplyError::Client { job: job.job_name.clone(), source })?;
            Ok((job.job_name.clone(), Arc::new(built)))
        };
        config.all_scrape_configs().map(build).collect()
    }

    /// All targets now, by job.
    #[must_use]
    pub fn snapshot(&self) -> Vec<PoolSnapshot> {
        self.inner.state.lock().pools.values().map(Pool::snapshot).collect()
    }

    /// The names of all jobs, sorted.
    #[must_use]
    pub fn pool_names(&self) -> Vec<String> {
        self.inner.state.lock().pools.keys().cloned().collect()
    }

    /// What targets say of their metric families, or of one family; by job.
    #[must_use]
    pub fn metadata(&self, family: Option<&str>) -> Vec<FamilyMetadata> {
        self.inner.state.lock().pools.values().flat_map(|pool| pool.metadata(family)).collect()
    }

    /// Heap bytes of the caches that map lines to series, over all targets.
    #[must_use]
    pub fn series_cache_bytes(&self) -> usize {
        self.inner.state.lock().pools.values().map(Pool::series_cache_bytes).sum()
    }

    /// Ends all scraping. Scrapes in flight are given up, nothing is marked stale: the process will come back. When this
    /// returns, nothing writes any more.
    pub async fn stop(&self) {
        self.inner.discovery.stop();
        let leaving = {
            let mut state = self.inner.state.lock();
            state.stopped = true;
            if let Some(follower) = state.follower.take() {
                follower.abort();
            }
            let pools = std::mem::take(&mut state.pools);
            let mut leaving = std::mem::take(&mut state.leaving);
            leaving.extend(pools.into_values().map(Pool::dissolve));
            leaving
        };
        for loops in leaving {
            loops.quit().await;
        }
    }
}

impl Inner {
    fn sync(&self, state: &mut State, names: impl IntoIterator<Item = String>) {
        let seed = state.seed;
        for name in names {
            if let Some(pool) = state.pools.get_mut(&name) {
                pool.sync(&self.discovery.groups(&name), seed);
            }
        }
    }
}

impl State {
    fn remove_all_but(&mut self, jobs: &BTreeMap<String, Arc<Job>>) {
        self.leaving.retain(|loops| !loops.is_done());
        let gone: Vec<String> = self.pools.keys().filter(|name| !jobs.contains_key(*name)).cloned().collect();
        for name in gone {
            self.leaving.extend(self.pools.remove(&name).map(Pool::dissolve));
        }
    }
}

/// Carries news of discovery into the pools, until the manager is gone.
async fn follow(inner: Weak<Inner>, discovery: Discovery) {
    loop {
        let changed = discovery.changed().await;
        let Some(inner) = inner.upgrade() else { return };
        let work = move || {
            let mut state = inner.state.lock();
            inner.sync(&mut state, changed);
        };
        // Relabeling thousands of targets takes a while.
        if tokio::task::spawn_blocking(work).await.is_err() {
            tracing::error!("synchronising targets panicked; they stay as they were");
        }
    }
}

fn register_metadata_sizes(registry: &Registry, inner: &Arc<Inner>) {
    let register = |name: &str, help: &str, pick: fn((usize, usize)) -> usize| {
        let inner = Arc::downgrade(inner);
        registry.gauges_fn(name, help, move || {
            let Some(inner) = inner.upgrade() else { return Vec::new() };
            let state = inner.state.lock();
            let size = |(job, pool): (&String, &Pool)| {
                (vec![("scrape_job".to_owned(), job.clone())], pick(pool.metadata_size()) as f64)
            };
            state.pools.iter().map(size).collect()
        });
    };
    register(
        "prometheus_target_metadata_cache_entries",
        "Total number of metric metadata entries in the cache",
        |(entries, _)| entries,
    );
    register(
        "prometheus_target_metadata_cache_bytes",
        "The number of bytes that are currently used for storing metric metadata in the cache",
        |(_, bytes)| bytes,
    );
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
