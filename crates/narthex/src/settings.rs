//! What the flags mean together: the external URL and the options of the parts; for the storage see `storage_settings`.

use std::time::Duration;

use narthex_config::{Config, format_size};
use narthex_model::{RegexError, format_duration_ms, quote_go};
use narthex_promql::engine::{EngineOptions, Features};
use narthex_promql::parser::ParseOptions;
use narthex_remote::read::ReadOptions;
use narthex_remote::receive::{Protocol, ReceiveOptions};
use narthex_web::{CorsOrigin, SiteOptions};

use crate::external_url::{BadExternalUrl, ExternalUrl};
use crate::flags::Flags;
use crate::memory::query_memory;
use crate::{features, storage_settings, version};

/// Why flags that are fine one by one do not make sense.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// `--web.external-url`
    #[error("parse external URL {}: {reason}", quote_go(.url))]
    ExternalUrl {
        /// As given.
        url: String,
        /// What is wrong.
        reason: BadExternalUrl,
    },
    /// `--web.cors.origin`
    #[error("could not compile CORS regex string {}: {source}", quote_go(.pattern))]
    Cors {
        /// As given.
        pattern: String,
        /// What is wrong.
        source: RegexError,
    },
    /// A part that is not built yet was asked for.
    #[error("{flag} is not supported yet: {instead}")]
    NotYet {
        /// The flag.
        flag: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// `--storage.tsdb.wal-segment-size`
    #[error("flag 'storage.tsdb.wal-segment-size' must be set between 10MB and 256MB")]
    WalSegmentSize,
    /// `--storage.tsdb.max-block-chunk-segment-size`
    #[error("flag 'storage.tsdb.max-block-chunk-segment-size' must be set over 1MB")]
    ChunkSegmentSize,
    /// Start timestamps are to be stored in chunks that cannot hold them.
    #[error(
        "float chunk encoding \"xor\" is incompatible with start-timestamp storage; XOR chunks do not store start timestamps, use \"xor2\""
    )]
    StartTimestampsInXor,
}

/// Flags that are accepted so that a command line of Prometheus starts, and that change nothing yet. Left out are those which
/// tune a Go process: there is nothing here that they could tune.
const IDLE_FLAGS: [&str; 11] = [
    "config.auto-reload",
    "config.auto-reload-interval",
    "web.enable-otlp-receiver",
    "storage.tsdb.head-chunks-write-queue-size",
    "rules.alert.for-outage-tolerance",
    "rules.alert.for-grace-period",
    "rules.alert.resend-delay",
    "rules.max-concurrent-evals",
    "alertmanager.notification-queue-capacity",
    "alertmanager.notification-batch-size",
    "alertmanager.drain-notification-queue-on-shutdown",
];

/// The flags of the command line that have no effect yet, with dashes.
#[must_use]
pub(crate) fn idle_flags(flags: &Flags) -> Vec<String> {
    flags.given().filter(|name| IDLE_FLAGS.contains(name)).map(|name| format!("--{name}")).collect()
}

/// Refuses what would silently be less than was asked for.
///
/// # Errors
/// See [`SettingsError::NotYet`].
pub(crate) fn refuse_not_yet(flags: &Flags) -> Result<(), SettingsError> {
    if flags.bool("agent") {
        return Err(SettingsError::NotYet { flag: "--agent", instead: "run in server mode" });
    }
    Ok(())
}

/// The limits of remote reads; what is below zero counts as zero.
#[must_use]
pub(crate) fn read_options(flags: &Flags) -> ReadOptions {
    let max_samples = u64::try_from(flags.int("storage.remote.read-sample-limit")).unwrap_or(0);
    let max_concurrent = usize::try_from(flags.int("storage.remote.read-concurrent-limit")).unwrap_or(0);
    let max_frame_bytes = flags.int("storage.remote.read-max-bytes-in-frame");
    ReadOptions { max_samples, max_concurrent, max_frame_bytes }
}

/// The engine's options.
#[must_use]
pub(crate) fn engine_options(flags: &Flags, evaluation_interval_ms: i64) -> EngineOptions {
    let on = |name: &str| features::on(flags, name);
    let memory = query_memory(flags);
    EngineOptions {
        lookback_ms: flags.duration_ms("query.lookback-delta"),
        max_samples: u64::try_from(flags.int("query.max-samples")).unwrap_or(0),
        timeout: duration(flags, "query.timeout"),
        default_subquery_step_ms: evaluation_interval_ms,
        threads: worker_threads().max(2),
        max_query_bytes: memory.each,
        max_total_bytes: memory.all,
        features: Features {
            parse: ParseOptions {
                experimental_functions: on("promql-experimental-functions"),
                duration_expressions: true,
                extended_range_selectors: on("promql-extended-range-selectors"),
                fill_modifiers: on("promql-binop-fill-modifiers"),
            },
            delayed_name_removal: on("promql-delayed-name-removal"),
            type_and_unit_labels: on("type-and-unit-labels"),
            use_start_timestamps: on("use-start-timestamps"),
            per_step_stats: on("promql-per-step-stats"),
        },
    }
}

/// What the remote-write receiver takes, and what it makes of it.
#[must_use]
pub(crate) fn receive_options(flags: &Flags) -> ReceiveOptions {
    let messages = flags.list("web.remote-write-receiver.accepted-protobuf-messages");
    let protocol = |name: &String| Protocol::of_message(name).expect("the parser checked the name");
    ReceiveOptions {
        accepted: messages.iter().map(protocol).collect(),
        start_zero: features::on(flags, "created-timestamp-zero-ingestion"),
        type_and_unit_labels: features::on(flags, "type-and-unit-labels"),
        metadata: features::on(flags, "metadata-wal-records"),
    }
}

/// A duration flag.
#[must_use]
pub(crate) fn duration(flags: &Flags, name: &str) -> Duration {
    Duration::from_millis(u64::try_from(flags.duration_ms(name)).unwrap_or(0))
}

/// How long a request may take to arrive. COMPAT: 0 is for ever, which here is ten years.
#[must_use]
pub(crate) fn read_timeout(flags: &Flags) -> Duration {
    const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);
    match duration(flags, "web.read-timeout") {
        Duration::ZERO => FOR_EVER,
        given => given,
    }
}

/// Threads for the network side: what the machine or the container's quota allows.
#[must_use]
pub(crate) fn worker_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The site's options. `own_port` is the real port of the first listener.
///
/// # Errors
/// See [`SettingsError`].
pub(crate) fn site_options(
    flags: &Flags,
    config: &Config,
    hostname: &str,
    own_port: u16,
) -> Result<SiteOptions, SettingsError> {
    let given = flags.text("web.external-url");
    let url = ExternalUrl::parse(given, hostname, own_port)
        .map_err(|reason| SettingsError::ExternalUrl { url: given.to_owned(), reason })?;
    let pattern = flags.text("web.cors.origin");
    let cors = CorsOrigin::new(pattern)
        .map_err(|source| SettingsError::Cors { pattern: pattern.to_owned(), source })?;
    let route_prefix = match flags.text("web.route-prefix") {
        "" => prefix(&url.path),
        given => prefix(given),
    };
    let mut shown = flags.clone();
    shown.set("web.route-prefix", route_prefix.clone());
    let storage = storage_settings::db_options(flags, config)?;
    let retention = &storage.runtime.retention;
    shown.set("storage.tsdb.max-block-duration", format_duration_ms(storage.longest_block_ms()));
    shown.set("storage.tsdb.retention.time", format_duration_ms(retention.time_ms));
    shown.set(
        "storage.tsdb.retention.size",
        format_size(i64::try_from(retention.size_bytes).unwrap_or(i64::MAX)),
    );
    Ok(SiteOptions {
        route_prefix,
        external_host: url.host.clone(),
        external_scheme: url.scheme.clone(),
        external_path: url.path.clone(),
        external_url: url.text,
        own_port,
        cors,
        flags: shown.pairs(),
        build: version::build_info(),
        lifecycle: flags.bool("web.enable-lifecycle"),
        admin: flags.bool("web.enable-admin-api"),
        search: features::on(flags, "search-api"),
        search_max_limit: usize::try_from(flags.int("web.search.max-limit")).unwrap_or(0),
        page_title: flags.text("web.page-title").to_owned(),
        user_assets: flags.text("web.user-assets").to_owned(),
        console_templates: flags.text("web.console.templates").to_owned(),
        console_libraries: flags.text("web.console.libraries").to_owned(),
    })
}

/// With a slash at its beginning and none at its end, but for `/` itself.
fn prefix(path: &str) -> String {
    format!("/{}", path.trim_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_a_slash_at_its_beginning_only() {
        assert_eq!([prefix("/"), prefix("a/"), prefix(""), prefix("/a/b/")], ["/", "/a", "/", "/a/b"]);
    }
}
