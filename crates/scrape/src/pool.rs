//! The targets of one job: which there are, and a loop for each.
//!
//! Always true: `targets` holds exactly the targets of the last synchronisation, each once, however many groups list it;
//! a target that stays keeps its task, its caches and its phase, through reloads too.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use foldhash::fast::RandomState;
use narthex_config::TargetGroup;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::failure_log::FailureLog;
use crate::job::Job;
use crate::metrics::JobMetrics;
use crate::scrape_loop::{Common, JobInForce, Order, ScrapeLoop};
use crate::snapshot::{ActiveTarget, DroppedTarget, FamilyMetadata, PoolSnapshot};
use crate::target::{Origin, Target};
use crate::target_labels::{SCRAPE_INTERVAL, SCRAPE_TIMEOUT, discovered_labels, populate_labels};

/// See the module's words.
pub(crate) struct Pool {
    name: String,
    common: Arc<Common>,
    in_force: Arc<JobInForce>,
    metrics: JobMetrics,
    runtime: Handle,
    targets: HashMap<u64, Running, RandomState>,
    /// Kept up to `keep_dropped_targets`.
    dropped: Vec<Origin>,
    dropped_count: usize,
    /// Loops of targets that left and may still write markers.
    leaving: Vec<JoinHandle<()>>,
    leaving_orders: Vec<watch::Sender<Order>>,
}

struct Running {
    target: Arc<Target>,
    orders: watch::Sender<Order>,
    task: JoinHandle<()>,
}

impl Pool {
    pub(crate) fn new(job: Arc<Job>, common: Arc<Common>, runtime: Handle) -> Self {
        let name = job.config.job_name.clone();
        common.metrics.pools_created.inc();
        let metrics = common.metrics.of_job(&name);
        metrics.target_limit.set(job.config.target_limit as f64);
        let in_force = Arc::new(JobInForce {
            job: Mutex::new(job),
            too_many: Mutex::new(None),
            failure_log: Mutex::new(None),
        });
        Self {
            name,
            common,
            in_force,
            metrics,
            runtime,
            targets: HashMap::default(),
            dropped: Vec::new(),
            dropped_count: 0,
            leaving: Vec::new(),
            leaving_orders: Vec::new(),
        }
    }

    /// The configuration in force.
    pub(crate) fn job(&self) -> Arc<Job> {
        Arc::clone(&self.in_force.job.lock())
    }

    /// Puts a new configuration in force; the caller synchronises then.
    pub(crate) fn reload(&self, job: Arc<Job>) {
        let start = Instant::now();
        self.common.metrics.reloads.inc();
        self.metrics.target_limit.set(job.config.target_limit as f64);
        let interval_ms = job.config.scrape_interval_ms;
        *self.in_force.job.lock() = job;
        self.common.metrics.reload_length(interval_ms).observe(start.elapsed().as_secs_f64());
    }

    /// Failed scrapes are told there from now on; `None`: nowhere.
    pub(crate) fn set_failure_log(&self, log: Option<Arc<FailureLog>>) {
        *self.in_force.failure_log.lock() = log;
    }

    /// Makes the targets be those of `groups`: starts loops for new ones, tells those that are gone to leave.
    pub(crate) fn sync(&mut self, groups: &[Arc<TargetGroup>], seed: u64) {
        let start = Instant::now();
        let job = self.job();
        let found = self.discover(&job, groups);
        self.leaving.retain(|task| !task.is_finished());
        self.leaving_orders.retain(|orders| orders.receiver_count() > 0);
        let gone: Vec<u64> = self.targets.keys().filter(|hash| !found.contains_key(*hash)).copied().collect();
        for hash in gone {
            self.let_go(hash);
        }
        for (hash, target) in found {
            match self.targets.get(&hash) {
                Some(running) => *running.target.origin.lock() = target.origin.into_inner(),
                None => self.start(target, seed),
            }
        }
        self.check_target_limit(&job);
        self.metrics.targets.set(self.targets.len() as f64);
        self.metrics.syncs.inc();
        self.metrics.sync_length.observe(start.elapsed().as_secs_f64());
    }

    fn discover(&mut self, job: &Job, groups: &[Arc<TargetGroup>]) -> HashMap<u64, Target, RandomState> {
        let mut found = HashMap::default();
        self.dropped.clear();
        self.dropped_count = 0;
        let keep = match job.config.keep_dropped_targets {
            0 => usize::MAX,
            most => usize::try_from(most).unwrap_or(usize::MAX),
        };
        for group in groups {
            for (at, labels) in group.targets.iter().enumerate() {
                let origin = Origin { group: Arc::clone(group), at };
                match populate_labels(&job.config, group, labels) {
                    Ok(Some(labels)) => {
                        let target = Target::new(&job.config, labels, origin);
                        found.entry(target.hash).or_insert(target);
                    }
                    Ok(None) => {
                        self.dropped_count += 1;
                        if self.dropped.len() < keep {
                            self.dropped.push(origin);
                        }
                    }
                    Err(err) => {
                        self.metrics.sync_failed.inc();
                        let group = &group.source;
                        tracing::error!(
                            scrape_pool = self.name,
                            err = format!("instance {at} in group {group}: {err}"),
                            "Creating target failed"
                        );
                    }
                }
            }
        }
        found
    }

    fn start(&mut self, target: Target, seed: u64) {
        let target = Arc::new(target);
        let (orders, heard) = watch::channel(Order::Run);
        let scrape =
            ScrapeLoop::new(Arc::clone(&self.common), Arc::clone(&self.in_force), Arc::clone(&target), seed);
        let task = self.runtime.spawn(scrape.run(heard));
        self.targets.insert(target.hash, Running { target, orders, task });
    }

    fn let_go(&mut self, hash: u64) {
        if let Some(Running { orders, task, .. }) = self.targets.remove(&hash) {
            orders.send_replace(Order::Leave);
            self.leaving.push(task);
            self.leaving_orders.push(orders);
        }
    }

    fn check_target_limit(&self, job: &Job) {
        let (count, limit) = (self.targets.len(), job.config.target_limit);
        let over = limit > 0 && count as u64 > limit;
        if over {
            self.common.metrics.exceeded_target_limit.inc();
        }
        let text = || format!("target_limit exceeded (number of targets: {count}, limit: {limit})");
        *self.in_force.too_many.lock() = over.then(text);
    }

    /// Tells every loop to leave, as when all targets are gone. The tasks that may still write markers are returned.
    pub(crate) fn dissolve(mut self) -> Leaving {
        let hashes: Vec<u64> = self.targets.keys().copied().collect();
        hashes.into_iter().for_each(|hash| self.let_go(hash));
        self.common.metrics.forget_job(&self.name);
        Leaving { tasks: self.leaving, orders: self.leaving_orders }
    }

    pub(crate) fn snapshot(&self) -> PoolSnapshot {
        let job = self.job();
        let mut active: Vec<ActiveTarget> = self.targets.values().map(|r| active(&job, &r.target)).collect();
        active.sort_by(|a, b| a.url.cmp(&b.url).then_with(|| a.labels.cmp(&b.labels)));
        let dropped =
            self.dropped.iter().map(|origin| DroppedTarget { discovered: discovered(&job, origin) });
        PoolSnapshot {
            name: self.name.clone(),
            active,
            dropped: dropped.collect(),
            dropped_count: self.dropped_count,
        }
    }

    /// What the targets say of their families, or of one.
    pub(crate) fn metadata(&self, family: Option<&str>) -> Vec<FamilyMetadata> {
        let mut targets: Vec<&Arc<Target>> = self.targets.values().map(|running| &running.target).collect();
        targets.sort_by(|a, b| a.url_text.cmp(&b.url_text));
        let mut out = Vec::new();
        for target in targets {
            let memory = target.memory.lock();
            let wanted = memory.metadata.families().filter(|f| family.is_none_or(|name| name == f.name));
            out.extend(wanted.map(|f| FamilyMetadata {
                target: target.public.clone(),
                family: f.name.clone(),
                metadata: f.metadata.clone(),
            }));
        }
        out
    }

    /// The size of a loop's task while it waits.
    #[cfg(test)]
    pub(crate) fn loop_future_bytes(&self) -> usize {
        let target = Arc::clone(&self.targets.values().next().expect("a target").target);
        let (_orders, heard) = watch::channel(Order::Run);
        size_of_val(
            &ScrapeLoop::new(Arc::clone(&self.common), Arc::clone(&self.in_force), target, 0).run(heard),
        )
    }

    /// Families known and bytes of their texts, over all targets.
    pub(crate) fn metadata_size(&self) -> (usize, usize) {
        let sizes = self.targets.values().map(|running| running.target.memory.lock().metadata.size());
        sizes.fold((0, 0), |(entries, bytes), (e, b)| (entries + e, bytes + b))
    }

    /// Bytes of all series caches.
    pub(crate) fn series_cache_bytes(&self) -> usize {
        self.targets.values().map(|running| running.target.memory.lock().series.heap_bytes()).sum()
    }
}

/// Loops that were told to leave.
pub(crate) struct Leaving {
    tasks: Vec<JoinHandle<()>>,
    orders: Vec<watch::Sender<Order>>,
}

impl Leaving {
    /// Whether all are done.
    pub(crate) fn is_done(&self) -> bool {
        self.tasks.iter().all(JoinHandle::is_finished)
    }

    /// Ends them without markers and waits.
    pub(crate) async fn quit(self) {
        for orders in &self.orders {
            orders.send_replace(Order::Quit);
        }
        for task in self.tasks {
            // A panic of a loop was already reported by the runtime.
            let _ = task.await;
        }
    }
}

fn discovered(job: &Job, origin: &Origin) -> narthex_model::Labels {
    discovered_labels(&job.config, &origin.group, &origin.group.targets[origin.at])
}

fn active(job: &Job, target: &Target) -> ActiveTarget {
    let status = target.status.lock().clone();
    let origin = target.origin.lock().clone();
    ActiveTarget {
        discovered: discovered(job, &origin),
        labels: target.public.clone(),
        url: target.url_text.clone(),
        last_error: status.last_error,
        last_scrape_ms: status.last_scrape_ms,
        last_duration: status.last_duration,
        health: status.health,
        interval: target.labels.value(SCRAPE_INTERVAL).to_owned(),
        timeout: target.labels.value(SCRAPE_TIMEOUT).to_owned(),
    }
}
