//! The desk of queries as flags and configuration want it.

use std::io;
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
///
/// # Errors
/// The log of running queries cannot be made. COMPAT: Prometheus does not start then, and neither do we: who looks for
/// what ran at a crash must not find an empty file of long ago.
pub(crate) fn desk(flags: &Flags, config: &Config, registry: &Registry) -> io::Result<Arc<Desk>> {
    let options = settings::engine_options(flags, config.global.evaluation_interval_ms);
    let slots = usize::try_from(flags.int("query.max-concurrency")).unwrap_or(1).max(1);
    let all_slots = slots + Desk::slots_for_rules(slots);
    let active = active_log(Path::new(flags.text("storage.tsdb.path")), all_slots)?;
    Ok(Arc::new(Desk::new(Arc::new(Engine::new(options)), slots, Some(active), registry)))
}

// COMPAT: the words, the component and the keys are Prometheus'; people look for them.
fn active_log(dir: &Path, slots: usize) -> io::Result<ActiveLog> {
    let told = ActiveLog::unfinished(dir).unwrap_or_else(|error| {
        let error: &(dyn std::error::Error + 'static) = &error;
        tracing::error!(component = "activeQueryTracker", err = error, "Failed to read query log file");
        None
    });
    if let Some(queries) = told {
        tracing::info!(
            component = "activeQueryTracker",
            queries,
            "These queries didn't finish in prometheus' last run:"
        );
    }
    ActiveLog::open(dir, slots).inspect_err(|error| {
        let error: &(dyn std::error::Error + 'static) = error;
        let file = std::path::absolute(ActiveLog::file(dir)).unwrap_or_else(|_| ActiveLog::file(dir));
        tracing::error!(
            component = "activeQueryTracker",
            file = %file.display(),
            err = error,
            "Error opening query log file"
        );
    })
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
