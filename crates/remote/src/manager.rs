//! All endpoints of a configuration: started, kept, changed and ended.
//!
//! An endpoint is known by its URL and name; its cursor `<data>/remote_write/<id>.cursor` outlives the process and a change of
//! the configuration. A new endpoint starts at the tip of the log, or where `start_from` says; a known one where its cursor
//! stands.

mod files;
mod letters;
mod running;
mod state;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use narthex_config::RemoteWriteConfig;
use narthex_metrics::Registry;
use narthex_model::Labels;
use narthex_storage::LiveSeries;
use narthex_wal::{Tip, WalPosition};
use tokio::sync::{oneshot, watch};

use self::files::{id_of, open_cursor, open_late};
pub use self::letters::{LetterError, LetterStore};
use self::running::{Running, Shown, end};
pub use self::state::EndpointState;
use crate::backlog::Backlog;
use crate::dead_letter::{DeadLetters, Origin};
use crate::deliver::{Backoff, Sender, Tries};
use crate::dialect::Dialect;
use crate::endpoint::{Endpoint, Parts};
use crate::gap::Gaps;
use crate::gate::Gate;
use crate::job::Encoders;
use crate::lane::Lanes;
use crate::metadata::{MetadataSource, send_metadata};
use crate::metrics::RemoteMetrics;
use crate::source::Source;
use crate::status::Status;
use crate::target::{Target, TargetError};

/// All dead letters of one endpoint together, bytes.
const DEAD_LETTER_BYTES: u64 = 64 << 20;
/// All refused samples of one endpoint together that may have arrived before, bytes.
const IN_DOUBT_BYTES: u64 = 16 << 20;
/// What follows an endpoint's id in that of the store of such samples.
const IN_DOUBT: &str = "-in-doubt";
/// How long an endpoint that changes waits for answers to what it sent.
const CHANGE_DEADLINE: Duration = Duration::from_millis(if cfg!(test) { 500 } else { 5000 });

/// Why remote write cannot run as configured. What ran before goes on.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// An endpoint cannot be built.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The directory of cursors, or a cursor.
    #[error("remote write cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

/// What remote write is given.
pub struct RemoteWriteOptions {
    /// The data directory; the log lies in its `wal`.
    pub data_dir: PathBuf,
    /// How far the log reaches: `Writer::tip`.
    pub tip: Tip,
    /// How long `stop` drains at most (`--storage.remote.flush-deadline`).
    pub flush_deadline: Duration,
    /// The database, for endpoints that are behind further than the log is held for them; without it the log is held for ever.
    pub backlog: Option<Arc<dyn Backlog>>,
    /// The series in memory, whose labels are borrowed; without it all labels are kept a second time.
    pub live: Option<Arc<dyn LiveSeries>>,
    /// Where metadata comes from, if it is to be sent.
    pub metadata: Option<Arc<dyn MetadataSource>>,
}

/// Remote write. Must be used on a tokio runtime with time and network on.
pub struct RemoteWrite {
    options: RemoteWriteOptions,
    metrics: RemoteMetrics,
    state: tokio::sync::Mutex<State>,
    /// What the API looks at; the same endpoints as in `state`.
    shown: parking_lot::Mutex<Vec<Shown>>,
    /// Every store that was used, by its endpoint's id: one value each, also when an endpoint changes.
    letters: parking_lot::Mutex<HashMap<String, Arc<DeadLetters>>>,
    encoders: Arc<Encoders>,
    /// Whose cursors hold the log; `None` until the first configuration. Stays when remote write stops: the cursors do too.
    holding: parking_lot::Mutex<Option<Vec<Arc<Status>>>>,
}

#[derive(Default)]
struct State {
    external: Labels,
    source: Option<Arc<Source>>,
    running: Vec<Running>,
}

/// An endpoint of the new configuration before anything was started.
struct Planned {
    id: String,
    config: RemoteWriteConfig,
    /// `None` when it goes on as it is.
    sender: Option<Sender>,
}

impl RemoteWrite {
    /// Remote write without endpoints; [`RemoteWrite::apply_config`] starts them.
    #[must_use]
    pub fn new(options: RemoteWriteOptions, registry: &Registry) -> Self {
        Self {
            options,
            metrics: RemoteMetrics::new(registry),
            state: tokio::sync::Mutex::default(),
            shown: parking_lot::Mutex::default(),
            letters: parking_lot::Mutex::default(),
            encoders: Arc::default(),
            holding: parking_lot::Mutex::default(),
        }
    }

    /// Makes the endpoints those of `configs`: unchanged ones go on, changed ones resume from their cursor, new ones start at the
    /// tip, others end. Returns when what had to end has ended (at most some seconds).
    ///
    /// # Errors
    /// When an endpoint cannot be built or a cursor not opened.
    pub async fn apply_config(
        &self,
        configs: &[RemoteWriteConfig],
        external: &Labels,
    ) -> Result<(), RemoteError> {
        let mut state = self.state.lock().await;
        let same_labels = state.source.is_some() && state.external == *external;
        let planned = self.plan(configs, if same_labels { &state.running } else { &[] })?;
        let source = match &state.source {
            Some(source) if same_labels => Arc::clone(source),
            _ => {
                let wal = self.options.data_dir.join("wal");
                let (tip, live) = (self.options.tip.clone(), self.options.live.clone());
                Arc::new(Source::new(&wal, tip, external.clone(), live, self.metrics.clone()))
            }
        };
        let keeps = |running: &Running| planned.iter().any(|p| p.sender.is_none() && p.id == running.id);
        let (mut kept, mut ending): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.running).into_iter().partition(keeps);
        end(&mut ending, false, Instant::now() + CHANGE_DEADLINE.min(self.options.flush_deadline)).await;
        for gone in ending {
            let status = &gone.sender.status;
            if !planned.iter().any(|p| p.sender.as_ref().is_some_and(|s| s.status.name() == status.name())) {
                self.metrics.remove(status.name(), status.url());
            }
        }
        let mut started = Ok(());
        for Planned { id, config, sender } in planned {
            match sender {
                None => {
                    let at = kept.iter().position(|running| running.id == id).expect("it was kept");
                    state.running.push(kept.swap_remove(at));
                }
                Some(sender) => match self.start(id, config, sender, &source) {
                    Ok(running) => state.running.push(running),
                    Err(error) => started = Err(error),
                },
            }
        }
        state.external = external.clone();
        state.source = Some(source);
        let statuses: Vec<_> =
            state.running.iter().map(|running| Arc::clone(&running.sender.status)).collect();
        *self.shown.lock() = state.running.iter().map(Shown::new).collect();
        *self.holding.lock() = Some(statuses);
        started
    }

    fn plan(&self, configs: &[RemoteWriteConfig], running: &[Running]) -> Result<Vec<Planned>, RemoteError> {
        let mut planned: Vec<Planned> = Vec::new();
        for config in configs {
            let url = config.url.as_ref().map_or_else(String::new, ToString::to_string);
            let mut id = id_of(&url, &config.name);
            while planned.iter().any(|p| p.id == id) {
                id.push('x');
            }
            let config = config.clone();
            if running.iter().any(|running| running.id == id && running.config == config) {
                planned.push(Planned { id, config, sender: None });
                continue;
            }
            let name = if config.name.is_empty() { id[..6].to_owned() } else { config.name.clone() };
            let shards = |number: i64| usize::try_from(number).unwrap_or(1);
            let queue = &config.queue_config;
            let millis = |number: i64| Duration::from_millis(number.max(1).unsigned_abs());
            let sender = Sender {
                target: Target::new(&config)?,
                dialect: Dialect::new(config.protobuf_message),
                families: parking_lot::Mutex::default(),
                gate: Gate::new(shards(queue.min_shards), shards(queue.max_shards)),
                backoff: Backoff { min: millis(queue.min_backoff_ms), max: millis(queue.max_backoff_ms) },
                metrics: self.metrics.endpoint(&name, &url),
                status: Arc::new(Status::new(&name, &url, WalPosition::default())),
                logs_failed: config.failed_request_logging,
            };
            planned.push(Planned { id, config, sender: Some(sender) });
        }
        Ok(planned)
    }

    fn start(
        &self,
        id: String,
        config: RemoteWriteConfig,
        sender: Sender,
        source: &Arc<Source>,
    ) -> Result<Running, RemoteError> {
        let dir = self.dir();
        let (cursor_file, cursor, lost) = open_cursor(&dir, &id, config.start_from, &self.options)?;
        let late = open_late(&dir, &id, &cursor)?;
        let gaps = Gaps::open(&dir, &id);
        sender.status.set_acknowledged(cursor.min());
        sender.status.set_gaps(gaps.summary());
        let sender = Arc::new(sender);
        let (name, url) = (sender.status.name(), sender.status.url());
        let dead_letters = self.letters_of(&id, Origin { name: name.to_owned(), url: url.to_owned() })?;
        let origin = Origin { name: format!("{name} (in doubt)"), url: url.to_owned() };
        let in_doubt = self.letters_of(&format!("{id}{IN_DOUBT}"), origin)?;
        let runtime = tokio::runtime::Handle::current();
        let metadata = self.options.metadata.clone().filter(|_| config.metadata_config.send);
        let metadata = metadata.map(|families| {
            runtime.spawn(send_metadata(Arc::clone(&sender), config.metadata_config.clone(), families))
        });
        let (events, inbox) = mpsc::channel();
        let (ends, ended) = oneshot::channel();
        let mut endpoint = Endpoint::new(Parts {
            config: config.clone(),
            source: Arc::clone(source),
            sender: Arc::clone(&sender),
            was_settled: cursor.is_settled,
            lanes: Lanes::new(cursor),
            encoders: Arc::clone(&self.encoders),
            _reader: source.join(),
            cursor_file,
            dead_letters,
            in_doubt,
            backlog: self.options.backlog.clone(),
            late,
            gaps,
            runtime,
            events: (events.clone(), inbox),
            tries: watch::Sender::new(Tries::Endless),
        });
        lost.iter().for_each(|gap| endpoint.note(gap));
        let work = move || {
            endpoint.run();
            let _ = ends.send(());
        };
        let thread = std::thread::Builder::new().name("remote-write".into()).spawn(work);
        thread.map_err(|source| RemoteError::Io { action: "start a thread for", path: dir, source })?;
        Ok(Running { id, config, sender, events, ended: Some(ended), metadata })
    }

    /// The dead letters of an endpoint.
    fn letters_of(&self, id: &str, origin: Origin) -> Result<Arc<DeadLetters>, RemoteError> {
        let mut letters = self.letters.lock();
        if let Some(known) = letters.get(id) {
            return Ok(Arc::clone(known));
        }
        let dir = self.dir();
        let bound = if id.ends_with(IN_DOUBT) { IN_DOUBT_BYTES } else { DEAD_LETTER_BYTES };
        let opened = DeadLetters::open(&dir, id, origin, bound);
        let opened = opened.map_err(|source| RemoteError::Io {
            action: "open the dead letters in",
            path: dir,
            source,
        });
        Ok(Arc::clone(letters.entry(id.to_owned()).or_insert(Arc::new(opened?))))
    }

    /// Where cursors and dead letters lie.
    fn dir(&self) -> PathBuf {
        self.options.data_dir.join("remote_write")
    }

    /// Sends what the log holds until the flush deadline, then saves the cursors. What is left is sent after the next start.
    pub async fn stop(&self) {
        let mut running = std::mem::take(&mut self.state.lock().await.running);
        end(&mut running, true, Instant::now() + self.options.flush_deadline).await;
        self.shown.lock().clear();
    }

    /// The oldest position of the log that an endpoint still needs; `None` when nobody needs any. Segments below must go only
    /// when they are below this one's. Before the first configuration it is the log's beginning: who needs what is not known.
    #[must_use]
    pub fn wal_hold(&self) -> Option<WalPosition> {
        match &*self.holding.lock() {
            None => Some(WalPosition::default()),
            Some(statuses) => statuses.iter().map(|status| status.acknowledged()).min(),
        }
    }

    /// The endpoints as they are now, for the API and the UI.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Arc<Status>> {
        self.shown.lock().iter().map(|shown| Arc::clone(&shown.sender.status)).collect()
    }
}
