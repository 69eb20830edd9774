//! The desk of queries as flags and configuration want it.

use std::path::Path;
use std::sync::Arc;

use narthex_config::Config;
use narthex_metrics::Registry;
use narthex_promql::desk::{ActiveLog, Desk};
use narthex_promql::engine::Engine;

use crate::flags::Flags;
use crate::settings;

/// The desk, with the log of running queries in the data directory; what that held of an earlier run is told in the log. Must be
/// called when the data directory is ours.
pub(crate) fn desk(flags: &Flags, config: &Config, registry: &Registry) -> Arc<Desk> {
    let options = settings::engine_options(flags, config.global.evaluation_interval_ms);
    let slots = usize::try_from(flags.int("query.max-concurrency")).unwrap_or(1).max(1);
    let active = active_log(Path::new(flags.text("storage.tsdb.path")), slots);
    Arc::new(Desk::new(Arc::new(Engine::new(options)), slots, active, registry))
}

/// A disk that cannot take this file is no reason not to start: all else may work, and it is the rest that counts.
fn active_log(dir: &Path, slots: usize) -> Option<ActiveLog> {
    match ActiveLog::open(dir, slots) {
        Ok((log, unfinished)) => {
            if let Some(queries) = unfinished {
                // COMPAT: the words, the component and the key of Prometheus; people look for them.
                tracing::info!(
                    component = "activeQueryTracker",
                    queries,
                    "These queries didn't finish in prometheus' last run:"
                );
            }
            Some(log)
        }
        Err(error) => {
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::error!(
                err = error,
                "Failed to initialize the active query tracker; queries that run at a crash will not be told"
            );
            None
        }
    }
}

/// Makes the desk follow a configuration. The query log is opened again each time, so that it may have been moved away.
///
/// # Errors
/// The query log cannot be opened; the one before is kept.
pub(crate) fn apply(desk: &Desk, config: &Config) -> Result<(), String> {
    let file = &config.global.query_log_file;
    let given = (!file.is_empty()).then(|| Path::new(file));
    desk.set_query_log(given).map_err(|e| format!("can't create json log file: open {file}: {e}"))
}
