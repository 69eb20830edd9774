//! The server's life: from flags to the first answer, and to its end.
//!
//! Order: configuration (a bad one ends it before anything is touched), listeners (so that `/-/ready` and the replay can be
//! watched), storage on a thread of its own, then what scrapes and answers queries; see `shutdown` for the way back.
//! Facts: exit statuses and the words of log lines that people match on, as Prometheus has them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use narthex_config::{Config, ConfigErrors};
use narthex_metrics::Registry;
use narthex_net::server::{Guard, GuardError, ListenError, Listeners, Server, ServerMetrics, ServerOptions};
use narthex_remote::receive::Receiver;
use narthex_template::ExpansionMetrics;
use narthex_tsdb::{Db, OpenError};
use narthex_web::{Services, Site};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::flags::Flags;
use crate::parts::{Early, Parts, chain};
use crate::process::{Process, ReloadRequest, SHUTTING_DOWN, STARTING_UP, hostname};
use crate::receiver::{Reads, Writes};
use crate::remote::Remote;
use crate::settings::{self, SettingsError};
use crate::storage::TsdbStats;
use crate::targets::Targets;
use crate::{features, limits, logging, procfs, reload, shutdown, storage_settings, version};

/// Stack of a thread. Only what is used becomes memory; deep queries recurse.
const STACK: usize = 8 << 20;

/// Why the server ended other than by request.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("Error loading config (--config.file={})", file.display())]
    Config { file: PathBuf, source: Box<ConfigErrors> },
    #[error("Unable to start web listener")]
    Listen(#[from] ListenError),
    // COMPAT: the words of Prometheus.
    #[error("Unable to validate web configuration file")]
    WebConfig(#[from] GuardError),
    #[error("opening storage failed")]
    Storage(#[from] OpenError),
    // COMPAT: the words of Prometheus.
    #[error("failed to initialize active query tracker")]
    ActiveQueries(#[source] std::io::Error),
    #[error("cannot start the runtime or catch signals")]
    System(#[from] std::io::Error),
    #[error("the storage's thread ended without a result")]
    StorageThread,
}

impl RunError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(SettingsError::WalSegmentSize)
            | Self::Settings(SettingsError::ChunkSegmentSize)
            | Self::Settings(SettingsError::StartTimestampsInXor) => 1,
            Self::Settings(_) | Self::Config { .. } | Self::Listen(ListenError::BadAddress { .. }) => 2,
            Self::Listen(_)
            | Self::WebConfig(_)
            | Self::Storage(_)
            | Self::ActiveQueries(_)
            | Self::System(_)
            | Self::StorageThread => 1,
        }
    }

    fn log(&self) {
        match self {
            Self::Config { file, source } => {
                let absolute = std::path::absolute(file).unwrap_or_else(|_| file.clone());
                tracing::error!(file = %absolute.display(), err = %source, "{self}");
            }
            Self::Settings(reason) => tracing::error!("{reason}"),
            Self::Storage(source) => {
                tracing::error!(err = format!("{self}: {}", chain(source)), "Fatal error");
            }
            other => match std::error::Error::source(other) {
                Some(source) => tracing::error!(err = source, "{self}"),
                None => tracing::error!("{self}"),
            },
        }
    }
}

/// Runs the server to its end.
#[must_use]
pub(crate) fn run(flags: &Flags) -> ExitCode {
    let format =
        if flags.text("log.format") == "json" { logging::Format::Json } else { logging::Format::Logfmt };
    logging::start(logging::level(flags.text("log.level")), format);
    match start(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.log();
            ExitCode::from(error.exit_code())
        }
    }
}

fn start(flags: &Flags) -> Result<(), RunError> {
    settings::refuse_not_yet(flags)?;
    features::log(flags);
    let config = reload::load(flags).map_err(|source| RunError::Config {
        file: PathBuf::from(flags.text("config.file")),
        source: Box::new(source),
    })?;
    storage_settings::warn(flags, &config);
    tracing::info!(mode = "server", version = version::summary(), "Starting Narthex");
    limits::raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings::worker_threads())
        .thread_name("network")
        .thread_stack_size(STACK)
        .enable_all()
        .build()?;
    let ended = runtime.block_on(serve(flags, config));
    // What still runs on blocking threads was called off; nobody waits for it.
    runtime.shutdown_background();
    ended
}

async fn serve(flags: &Flags, config: Config) -> Result<(), RunError> {
    let mut signals = Signals::new()?;
    let registry = Registry::new();
    version::register(&registry);
    reload::warn_first(&config, &settings::idle_flags(flags));
    let max_subscribers = usize::try_from(flags.int("web.max-notifications-subscribers")).unwrap_or(0);
    let (process, mut reloads) = Process::new(config, max_subscribers, &registry);
    procfs::register(&registry, process.started());
    // Shown as zero: only texts of rules are counted, which nothing evaluates yet.
    drop(ExpansionMetrics::new(&registry));
    process.notices().add(STARTING_UP);
    let (site, server) = listen(flags, &registry, &process)?;

    let Some(parts) = bring_up(flags, &registry, &process, &site, &mut signals).await? else {
        process.notices().close();
        shutdown::before_ready(&site, server).await;
        return Ok(());
    };
    // The file may have changed while the storage was opened; a bad one leaves what was loaded first.
    if reload::reload(flags, &process, &parts).await.is_err() {
        let first = process.config();
        if let Err(reason) = parts.apply(&first).await {
            tracing::error!(err = reason, "Error applying the configuration that was loaded first");
        }
    }
    process.notices().remove(STARTING_UP);
    site.open();
    tracing::info!("Server is ready to receive web requests.");

    follow(&mut signals, &mut reloads, flags, &process, &parts).await;
    process.notices().add(SHUTTING_DOWN);
    // Those who listen for news would keep the web server from ending.
    process.notices().close();
    shutdown::run(&site, server, parts, signals.end(&process)).await;
    Ok(())
}

/// Opens the storage and what stands on it; `None` when the end was asked for meanwhile. Queries are answered from blocks as soon
/// as these are open, long before the log is replayed.
async fn bring_up(
    flags: &Flags,
    registry: &Registry,
    process: &Arc<Process>,
    site: &Site,
    signals: &mut Signals,
) -> Result<Option<Parts>, RunError> {
    let db = tokio::select! {
        started = start_storage(flags, process, registry) => started?,
        () = signals.end(process) => return Ok(None),
    };
    let early = Early::new(flags, Arc::clone(&db), registry, &process.config());
    let early = early.map_err(RunError::ActiveQueries)?;
    let receiver = flags.bool("web.enable-remote-write-receiver").then(|| {
        let receiver = Receiver::new(Arc::clone(&db) as _, settings::receive_options(flags), registry);
        Arc::new(Writes(receiver)) as _
    });
    site.answer_from_blocks(Services {
        desk: Arc::clone(&early.desk),
        storage: Arc::clone(&early.distant.queried) as _,
        local: Arc::clone(&db) as _,
        targets: Arc::new(Targets::new(early.scrape.clone(), Arc::clone(process))),
        tsdb: Arc::new(TsdbStats::new(Arc::clone(&db), Path::new(flags.text("storage.tsdb.path")))),
        reads: Arc::new(Reads(Arc::clone(&early.reads))),
        remote_write: Arc::new(Remote(early.remote())),
        receiver,
    });
    let waiting = Arc::clone(&db);
    let replayed = tokio::select! {
        ended = tokio::task::spawn_blocking(move || waiting.wait_ready()) => ended.map_err(|_| RunError::StorageThread)?,
        () = signals.end(process) => {
            // The replay notices, and gives the directory back when it is done.
            drop(db.close());
            return Ok(None);
        }
    };
    replayed?;
    tracing::info!("TSDB started");
    Ok(Some(Parts::new(early, flags, registry)))
}

/// Binds the listeners and answers what can be answered before the storage is open.
fn listen(flags: &Flags, registry: &Registry, process: &Arc<Process>) -> Result<(Site, Server), RunError> {
    let listeners = if flags.bool("web.systemd-socket") {
        Listeners::inherited()?
    } else {
        Listeners::bind(flags.list("web.listen-address"))?
    };
    let own_port = listeners.addresses().first().map_or(0, std::net::SocketAddr::port);
    let options = settings::site_options(flags, &process.config(), &hostname(), own_port)?;
    if options.route_prefix != "/" {
        tracing::info!(component = "web", prefix = options.route_prefix, "Router prefix");
    }
    let guard = match flags.text("web.config.file") {
        "" => None,
        file => Some(Arc::new(Guard::open(Path::new(file))?)),
    };
    let offer = guard.as_ref().and_then(|guard| guard.tls_offer());
    let site = Site::new(options, registry.clone(), Arc::clone(process) as _);
    let limits = ServerOptions {
        max_connections: usize::try_from(flags.int("web.max-connections")).unwrap_or(usize::MAX),
        read_timeout: settings::read_timeout(flags),
        guard,
    };
    let server = Server::start(listeners, limits, ServerMetrics::new(registry), Arc::new(site.clone()))?;
    for address in server.addresses() {
        tracing::info!(component = "web", address = %address, "Listening on");
        let words = if offer.is_some() { "TLS is enabled." } else { "TLS is disabled." };
        tracing::info!(component = "web", http2 = offer == Some(true), address = %address, "{words}");
    }
    Ok((site, server))
}

/// Opens the storage on a thread of its own, as opening blocks waits for the disk.
async fn start_storage(flags: &Flags, process: &Process, registry: &Registry) -> Result<Arc<Db>, RunError> {
    tracing::info!("Starting TSDB ...");
    let mut options = storage_settings::db_options(flags, &process.config())?;
    options.progress = process.progress();
    let path = PathBuf::from(flags.text("storage.tsdb.path"));
    let registry = registry.clone();
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("storage-open".to_owned()).spawn(move || {
        // When the server was told to end meanwhile nobody listens, and the database is closed by its drop.
        let _ = tell.send(Db::start(&path, options, &registry));
    })?;
    Ok(told.await.map_err(|_| RunError::StorageThread)??)
}

/// Reloads when asked to, until the end is asked for.
async fn follow(
    signals: &mut Signals,
    reloads: &mut mpsc::Receiver<ReloadRequest>,
    flags: &Flags,
    process: &Arc<Process>,
    parts: &Parts,
) {
    loop {
        tokio::select! {
            () = signals.end(process) => return,
            Some(tell) = reloads.recv() => {
                // Whoever asked may have hung up; the reload counts all the same.
                let _ = tell.send(reload::reload(flags, process, parts).await);
            }
        }
    }
}

/// The signals that mean something.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM, SIGINT or `/-/quit`. A SIGHUP meanwhile asks for a reload.
    async fn end(&mut self, process: &Arc<Process>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return log_signal("terminated"),
                _ = self.interrupt.recv() => return log_signal("interrupt"),
                () = process.quit_asked() => {
                    tracing::warn!("Received termination request via web service, exiting gracefully...");
                    return;
                }
                _ = self.hangup.recv() => {
                    let reload = narthex_web::ProcessService::reload(&**process);
                    // The outcome is logged where the reload is done.
                    drop(tokio::spawn(reload));
                }
            }
        }
    }
}

fn log_signal(name: &str) {
    tracing::warn!(signal = name, "Received an OS signal, exiting gracefully...");
}
