//! Loading the configuration again: all or nothing, and the old one stays in force when anything is wrong.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use narthex_config::{Config, ConfigErrors, LoadOptions};
use narthex_model::quote_go;

use crate::features;
use crate::flags::Flags;
use crate::parts::Parts;
use crate::process::Process;
use crate::storage_settings::default_retention;

/// Reads the file of `--config.file`, with the defaults that other flags give.
///
/// # Errors
/// All that is wrong with it.
pub(crate) fn load(flags: &Flags) -> Result<Config, ConfigErrors> {
    let features = features::config_defaults(flags);
    let options = LoadOptions { retention: default_retention(flags), features, ..LoadOptions::default() };
    Config::load(Path::new(flags.text("config.file")), &options)
}

/// Why a configuration did not come into force.
struct Refusal {
    /// All that is wrong, with places and nearest names.
    logged: String,
    /// COMPAT: Prometheus' words and no more (`lifecycle/reload-bad` of the tester of the API).
    answered: String,
}

/// Loads the file and makes the parts follow it. Outcome and reason are logged and counted here.
///
/// # Errors
/// The reason in Prometheus' words, as `/-/reload` answers it. The log says more.
pub(crate) async fn reload(flags: &Flags, process: &Process, parts: &Parts) -> Result<(), String> {
    let file = Path::new(flags.text("config.file"));
    tracing::info!(filename = %file.display(), "Loading configuration file");
    let began = Instant::now();
    let quoted = quote_go(&file.to_string_lossy());
    let unloaded = |e: &str| format!("couldn't load configuration (--config.file={quoted}): {e}");
    let loaded = load(flags)
        .map_err(|e| Refusal { logged: unloaded(&e.to_string()), answered: unloaded(&e.as_prometheus()) });
    let to_error = |e| {
        let reason = format!(
            "one or more errors occurred while applying the new configuration (--config.file={quoted}): {e}"
        );
        Refusal { logged: reason.clone(), answered: reason }
    };
    let applied = match loaded {
        Ok(config) => parts.apply(&config).await.map_err(to_error).map(|()| config),
        Err(reason) => Err(reason),
    };
    match applied {
        Ok(config) => {
            warn_once(&config, &process.config());
            process.loaded(Arc::new(config));
            let took = format!("{:?}", began.elapsed());
            tracing::info!(filename = %file.display(), totalDuration = took, "Completed loading of configuration file");
            Ok(())
        }
        Err(reason) => {
            process.refused();
            tracing::error!(err = reason.logged, "Error reloading config");
            Err(reason.answered)
        }
    }
}

/// Logs the warnings of a configuration that the one before did not have.
fn warn_once(config: &Config, before: &Config) {
    for warning in config.warnings.iter().filter(|w| !before.warnings.contains(w)) {
        tracing::warn!("{warning}");
    }
}

/// Logs the warnings of the first configuration, and in one line which of its sections and of the given flags have no effect yet.
pub(crate) fn warn_first(config: &Config, idle_flags: &[String]) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let idle = [&config.not_acted_on(), idle_flags].concat();
    if !idle.is_empty() {
        tracing::warn!(
            parts = idle.join(", "),
            "These parts of the configuration and flags are valid but have no effect yet"
        );
    }
}
