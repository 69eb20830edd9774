//! The targets as the web side sees them.

use std::sync::Arc;

use narthex_model::UnixTime;
use narthex_scrape::{ActiveTarget as Scraped, Health as ScrapeHealth, PoolSnapshot, ScrapeManager};
use narthex_web::{ActiveTarget, DroppedTarget, Health, PoolConfig, TargetMetadata, TargetService};

use crate::process::Process;

/// Answers from the scrape manager.
pub(crate) struct Targets {
    scrape: ScrapeManager,
    process: Arc<Process>,
}

impl Targets {
    /// Over what scrapes, and what knows the configuration in force.
    pub(crate) fn new(scrape: ScrapeManager, process: Arc<Process>) -> Self {
        Self { scrape, process }
    }

    /// The jobs, or the one of this name.
    fn pools_named(&self, name: Option<&str>) -> impl Iterator<Item = PoolSnapshot> {
        self.scrape.snapshot().into_iter().filter(move |pool| name.is_none_or(|n| n == pool.name))
    }
}

impl TargetService for Targets {
    fn pool_config(&self, pool: &str) -> Option<PoolConfig> {
        let config = self.process.config();
        let job = config.all_scrape_configs().find(|job| job.job_name == pool)?;
        Some(PoolConfig { yaml: job.to_yaml(), relabel: job.relabel_configs.clone() })
    }

    fn pools(&self) -> Vec<String> {
        self.scrape.pool_names()
    }

    fn active(&self, pool: Option<&str>) -> Vec<ActiveTarget> {
        self.pools_named(pool).flat_map(|p| p.active.into_iter().map(move |t| active(&p.name, t))).collect()
    }

    fn dropped(&self, pool: Option<&str>) -> Vec<DroppedTarget> {
        let of_pool = |p: PoolSnapshot| {
            let name = p.name;
            p.dropped.into_iter().map(move |t| DroppedTarget { pool: name.clone(), discovered: t.discovered })
        };
        self.pools_named(pool).flat_map(of_pool).collect()
    }

    fn dropped_counts(&self) -> Vec<(String, usize)> {
        self.scrape.snapshot().into_iter().map(|p| (p.name, p.dropped_count)).collect()
    }

    fn metadata(&self, metric: Option<&str>) -> Vec<TargetMetadata> {
        let found = self.scrape.metadata(metric).into_iter();
        found.map(|f| TargetMetadata { target: f.target, family: f.family, metadata: f.metadata }).collect()
    }
}

fn active(pool: &str, target: Scraped) -> ActiveTarget {
    ActiveTarget {
        pool: pool.to_owned(),
        discovered: target.discovered,
        labels: target.labels,
        url: target.url,
        last_error: target.last_error,
        last_scrape: target.last_scrape_ms.map(UnixTime::from_ms),
        last_duration_s: target.last_duration.as_secs_f64(),
        health: match target.health {
            ScrapeHealth::Unknown => Health::Unknown,
            ScrapeHealth::Up => Health::Up,
            ScrapeHealth::Down => Health::Down,
        },
        interval: target.interval,
        timeout: target.timeout,
    }
}
