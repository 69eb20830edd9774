//! The parts that follow the configuration, and how they take a new one.

use std::sync::Arc;

use narthex_config::Config;
use narthex_promql::engine::Engine;
use narthex_tsdb::Db;
use narthex_web::TargetService;

use crate::targets::NoTargets;

/// What runs beside the web server.
pub(crate) struct Parts {
    /// The storage.
    pub(crate) db: Arc<Db>,
    /// The query engine.
    pub(crate) engine: Arc<Engine>,
}

impl Parts {
    /// Makes every part follow a configuration.
    ///
    /// # Errors
    /// The reasons of the parts that refused; the others follow it.
    pub(crate) fn apply(&self, config: &Config) -> Result<(), String> {
        self.engine.set_default_subquery_step_ms(config.global.evaluation_interval_ms);
        Ok(())
    }

    /// The targets, for the web side.
    #[must_use]
    pub(crate) fn targets(&self) -> Arc<dyn TargetService> {
        Arc::new(NoTargets)
    }

    /// Stops to scrape; scrapes in flight are finished or cut.
    pub(crate) async fn stop_scrapes(&self) {}
}
