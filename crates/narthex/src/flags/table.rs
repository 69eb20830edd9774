//! Every flag of Prometheus 3.14 with its type, default and meaning: one flat table.
//!
//! Facts: `conformance/inventories/flags.tsv`. `--help`, `/api/v1/status/flags` and the parser all read this table. A flag that
//! is not acted on yet is accepted all the same, so that a command line of Prometheus starts Narthex.

use super::{Flag, Kind, Mode};

const fn flag(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Flag {
    Flag { name, kind, default, help, hidden: false, mode: Mode::Both }
}

impl Flag {
    /// Left out of `--help`.
    const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Refused with `--agent`.
    const fn server(mut self) -> Self {
        self.mode = Mode::Server;
        self
    }

    /// Refused without `--agent`.
    const fn agent(mut self) -> Self {
        self.mode = Mode::Agent;
        self
    }
}

/// The table, in the order in which `--help` shows it.
#[rustfmt::skip]
pub(super) const FLAGS: &[Flag] = &[
    flag("config.file", Kind::Text, "prometheus.yml", "Path of the configuration file"),
    flag("config.auto-reload", Kind::Bool, "false", "Reload by itself when the configuration (or a file it names) changes"),
    flag("config.auto-reload-interval", Kind::Duration, "30s", "How often to look for such changes"),
    flag("web.listen-address", Kind::List, "0.0.0.0:9090", "host:port to serve on; repeatable"),
    flag("web.systemd-socket", Kind::Bool, "false", "Narthex only, as exporters have it: serve on the sockets that systemd opened (a .socket unit) instead of web.listen-address"),
    flag("auto-gomaxprocs", Kind::Bool, "true", "Fit worker threads to the container CPU quota"),
    flag("auto-gomemlimit", Kind::Bool, "true", "Fit the memory limit to the container or machine"),
    flag("auto-gomemlimit.ratio", Kind::Float, "0.9", "Share of the detected memory to use as limit"),
    flag("auto-gomemlimit.refresh-interval", Kind::Duration, "0s", "How often to detect the memory limit again; 0 once"),
    flag("web.config.file", Kind::Text, "", "File with TLS, basic auth, headers for the web server"),
    flag("web.read-timeout", Kind::Duration, "5m", "Read timeout and idle connection timeout"),
    flag("web.max-connections", Kind::Int, "512", "Most simultaneous connections over all listeners"),
    flag("web.max-notifications-subscribers", Kind::Int, "16", "Most clients on the live notifications stream"),
    flag("web.external-url", Kind::Text, "", "URL under which users reach the server; its path prefixes all routes"),
    flag("web.route-prefix", Kind::Text, "", "Prefix of the routes; default the path of web.external-url"),
    flag("web.user-assets", Kind::Text, "", "Directory served under /user"),
    flag("web.enable-lifecycle", Kind::Bool, "false", "Enable POST/PUT /-/reload and /-/quit"),
    flag("web.enable-admin-api", Kind::Bool, "false", "Enable /api/v1/admin/*"),
    flag("web.enable-remote-write-receiver", Kind::Bool, "false", "Enable POST /api/v1/write"),
    flag("web.remote-write-receiver.accepted-protobuf-messages", Kind::Messages, "prometheus.WriteRequest,io.prometheus.write.v2.Request", "Remote write messages accepted: prometheus.WriteRequest (1.0), io.prometheus.write.v2.Request (2.0); repeatable"),
    flag("web.enable-otlp-receiver", Kind::Bool, "false", "Enable POST /api/v1/otlp/v1/metrics"),
    flag("web.console.templates", Kind::Text, "consoles", "Directory of console templates (/consoles)"),
    flag("web.console.libraries", Kind::Text, "console_libraries", "Directory of console libraries"),
    flag("web.page-title", Kind::Text, "Prometheus Time Series Collection and Processing Server", "HTML title"),
    flag("web.cors.origin", Kind::Text, ".*", "Anchored regex of origins allowed by CORS"),
    flag("storage.tsdb.path", Kind::Text, "data/", "Data directory (server)").server(),
    flag("storage.tsdb.min-block-duration", Kind::Duration, "2h", "Smallest block range").server().hidden(),
    flag("storage.tsdb.max-block-duration", Kind::Duration, "0s", "Largest block range; default a tenth of the retention, at most 31 days").server().hidden(),
    flag("storage.tsdb.max-block-chunk-segment-size", Kind::Bytes, "0B", "Size of a chunk segment file in a block").server().hidden(),
    flag("storage.tsdb.wal-segment-size", Kind::Bytes, "0B", "Size of a WAL segment file").server().hidden(),
    flag("storage.tsdb.retention.time", Kind::Duration, "0s", "Age after which blocks go (deprecated, config file field wins)").server(),
    flag("storage.tsdb.retention.size", Kind::Bytes, "0B", "Total size after which oldest blocks go (deprecated, config file field wins)").server(),
    flag("storage.tsdb.no-lockfile", Kind::Bool, "false", "No lock file in the data directory").server(),
    flag("storage.tsdb.allow-overlapping-compaction", Kind::Bool, "true", "Compact overlapping blocks").server().hidden(),
    flag("storage.tsdb.wal-compression", Kind::Bool, "true", "Compress WAL records").server().hidden(),
    flag("storage.tsdb.wal-compression-type", Kind::Choice(&["snappy", "zstd"]), "snappy", "WAL compression: snappy or zstd").server().hidden(),
    flag("storage.tsdb.wal-sync-interval", Kind::Duration, "0s", "Narthex only: longest time between two syncs of the WAL to the disk, which bounds what a power cut can take; 0s syncs full segments only, as Prometheus does").server(),
    flag("storage.tsdb.quarantine-corrupt-blocks", Kind::Bool, "false", "Narthex only: move a block that cannot be opened at start to quarantine/ and serve the rest; else the start is refused, as Prometheus does").server(),
    flag("storage.tsdb.head-chunks-write-queue-size", Kind::Int, "0", "Queue of head chunks to write; 0 none").server(),
    flag("storage.tsdb.samples-per-chunk", Kind::Int, "120", "Samples aimed at per chunk").server().hidden(),
    flag("storage.tsdb.delayed-compaction.max-percent", Kind::Int, "10", "Upper limit of the random compaction delay, percent of the head range").server().hidden(),
    flag("storage.tsdb.delay-compact-file.path", Kind::Text, "", "JSON file of uploaded blocks; level 1 blocks not in it are not compacted").server(),
    flag("storage.tsdb.block-reload-interval", Kind::Duration, "1m", "How often to look for added or removed blocks").server().hidden(),
    flag("storage.agent.path", Kind::Text, "data-agent/", "Data directory (agent)").agent(),
    flag("storage.agent.wal-segment-size", Kind::Bytes, "0B", "Size of an agent WAL segment").agent().hidden(),
    flag("storage.agent.wal-compression", Kind::Bool, "true", "Compress the agent WAL").agent(),
    flag("storage.agent.wal-compression-type", Kind::Choice(&["snappy", "zstd"]), "snappy", "Agent WAL compression: snappy or zstd").agent().hidden(),
    flag("storage.agent.wal-truncate-frequency", Kind::Duration, "0s", "How often to truncate the agent WAL").agent().hidden(),
    flag("storage.agent.retention.min-time", Kind::Duration, "5m", "Youngest age a sample may be deleted at").agent(),
    flag("storage.agent.retention.max-time", Kind::Duration, "4h", "Age at which a sample is deleted in any case").agent(),
    flag("storage.agent.checkpoint-from-in-memory-series", Kind::Bool, "false", "Build checkpoints from memory only").agent(),
    flag("storage.agent.checkpoint-batch-size", Kind::Int, "1000", "Records per write of such a checkpoint").agent(),
    flag("storage.agent.no-lockfile", Kind::Bool, "false", "No lock file in the agent data directory").agent(),
    flag("storage.remote.flush-deadline", Kind::Duration, "1m", "How long to flush remote write queues at shutdown or reload"),
    flag("storage.remote.read-sample-limit", Kind::Int, "50000000", "Most samples per remote read query (not for streamed); 0 none").server(),
    flag("storage.remote.read-concurrent-limit", Kind::Int, "10", "Most remote reads at a time; 0 none").server(),
    flag("storage.remote.read-max-bytes-in-frame", Kind::Int, "1048576", "Frame size of streamed remote read").server(),
    flag("web.search.max-limit", Kind::Int, "10000", "Cap of limit in the search API; 0 none").server(),
    flag("rules.alert.for-outage-tolerance", Kind::Duration, "1h", "Longest outage over which alert \"for\" state is restored").server(),
    flag("rules.alert.for-grace-period", Kind::Duration, "10m", "Least time between alert and restored state").server(),
    flag("rules.alert.resend-delay", Kind::Duration, "1m", "Least time before an alert is sent again").server(),
    flag("rules.max-concurrent-evals", Kind::Int, "4", "Rules evaluated at a time (with concurrent-rule-eval)").server(),
    flag("scrape.adjust-timestamps", Kind::Bool, "true", "Align scrape timestamps to the schedule").hidden(),
    flag("scrape.timestamp-tolerance", Kind::Duration, "2ms", "How far timestamps may be aligned").hidden(),
    flag("alertmanager.notification-queue-capacity", Kind::Int, "10000", "Pending notifications kept").server(),
    flag("alertmanager.notification-batch-size", Kind::Int, "256", "Notifications per request").server(),
    flag("alertmanager.drain-notification-queue-on-shutdown", Kind::Bool, "true", "Send what is queued before exit").server(),
    flag("query.lookback-delta", Kind::Duration, "5m", "How far an instant selector looks back").server(),
    flag("query.timeout", Kind::Duration, "2m", "Longest a query may run").server(),
    flag("query.max-concurrency", Kind::Int, "20", "Queries at a time").server(),
    flag("query.max-samples", Kind::Int, "50000000", "Most samples one query may hold in memory").server(),
    flag("query.max-memory", Kind::Budget, "auto", "Narthex only: most memory that all queries together may hold; a query that finds none left fails with status 503; auto is half of what the machine or the container has, 0 no limit").server(),
    flag("query.max-memory-per-query", Kind::Budget, "auto", "Narthex only: most memory that one query may hold before it fails with status 422; auto is half of --query.max-memory, 0 no limit").server(),
    flag("scrape.discovery-reload-interval", Kind::Duration, "5s", "Throttle of target updates to the scrape manager").hidden(),
    flag("enable-feature", Kind::List, "", "Comma-separated feature names; repeatable"),
    flag("agent", Kind::Bool, "false", "Run as agent"),
    flag("log.level", Kind::Choice(&["debug", "info", "warn", "error"]), "info", "Least severity logged: debug, info, warn, error"),
    flag("log.format", Kind::Choice(&["logfmt", "json"]), "logfmt", "logfmt or json"),
];
