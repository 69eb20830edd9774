//! What the handlers call: small traits that the binary implements over the real parts, and tests over doubles.
//!
//! Always true: no call waits for the network. Calls that may take long (queries, label lookups) are made on blocking threads.

mod remote_write;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use narthex_model::{Exemplar, Labels, Matcher, Metadata, UnixTime};
use narthex_promql::desk::Desk;
use narthex_relabel::RelabelConfig;
use narthex_storage::Queryable;
use tokio::sync::mpsc;

pub use self::remote_write::{
    Letter, LetterReason, LetterReplay, LetterSelection, LetterStore, RemoteEndpoint, RemoteGap, RemoteGaps,
    RemoteWriteService,
};

/// What is there once the storage is open. Until then all that needs it answers 503.
pub struct Services {
    /// Where queries are received, wait and run.
    pub desk: Arc<Desk>,
    /// Where series come from.
    pub storage: Arc<dyn Queryable>,
    /// What is stored here alone: what `/federate` shows.
    pub local: Arc<dyn Queryable>,
    /// The scraped targets.
    pub targets: Arc<dyn TargetService>,
    /// Statistics of the storage.
    pub tsdb: Arc<dyn TsdbService>,
    /// What answers remote reads.
    pub reads: Arc<dyn ReadService>,
    /// What ships samples.
    pub remote_write: Arc<dyn RemoteWriteService>,
    /// The remote-write receiver; `None` when it is switched off.
    pub receiver: Option<Arc<dyn WriteService>>,
}

/// The state of a target's last scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Not scraped yet.
    Unknown,
    /// The last scrape succeeded.
    Up,
    /// The last scrape failed.
    Down,
}

impl Health {
    /// The API's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// One scraped target.
#[derive(Clone, Debug)]
pub struct ActiveTarget {
    /// The job's name.
    pub pool: String,
    /// Labels before relabeling.
    pub discovered: Labels,
    /// Labels that its series get.
    pub labels: Labels,
    /// What is fetched.
    pub url: String,
    /// The last error, `""` for none.
    pub last_error: String,
    /// When the last scrape began; `None` before the first.
    pub last_scrape: Option<UnixTime>,
    /// How long it took, in seconds.
    pub last_duration_s: f64,
    /// Its state.
    pub health: Health,
    /// The scrape interval as the target's label has it (`15s`).
    pub interval: String,
    /// The scrape timeout as the target's label has it.
    pub timeout: String,
}

/// One target that relabeling dropped.
#[derive(Clone, Debug)]
pub struct DroppedTarget {
    /// The job's name.
    pub pool: String,
    /// Labels before relabeling.
    pub discovered: Labels,
}

/// Metadata that one target exposed.
#[derive(Clone, Debug)]
pub struct TargetMetadata {
    /// The target's labels.
    pub target: Labels,
    /// The metric family's name.
    pub family: String,
    /// Type, unit, help.
    pub metadata: Metadata,
}

/// How a pool is configured.
#[derive(Clone, Debug, Default)]
pub struct PoolConfig {
    /// Its entry of `scrape_configs` as YAML, secrets hidden.
    pub yaml: String,
    /// The steps that rewrite its targets' labels.
    pub relabel: Vec<RelabelConfig>,
}

/// What is known about targets.
pub trait TargetService: Send + Sync {
    /// How a pool is configured; `None` when there is none of this name.
    fn pool_config(&self, pool: &str) -> Option<PoolConfig>;
    /// The jobs' names, sorted.
    fn pools(&self) -> Vec<String>;
    /// The targets that are scraped, by pool in order of name; of one pool when it is given.
    fn active(&self, pool: Option<&str>) -> Vec<ActiveTarget>;
    /// The dropped targets that are kept, by pool in order of name; of one pool when it is given.
    fn dropped(&self, pool: Option<&str>) -> Vec<DroppedTarget>;
    /// How many targets were dropped, kept or not, for each pool in order of name.
    fn dropped_counts(&self) -> Vec<(String, usize)>;
    /// The metadata of all targets' families, of one family when `metric` is given; targets by pool in order of name.
    fn metadata(&self, metric: Option<&str>) -> Vec<TargetMetadata>;
}

/// A name and a count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedCount {
    /// A metric name, label name or `name=value`.
    pub name: String,
    /// Its count or size.
    pub value: u64,
}

/// Statistics of the head.
#[derive(Clone, Debug, Default)]
pub struct TsdbStatus {
    /// Series.
    pub series: u64,
    /// Distinct label pairs.
    pub label_pairs: u64,
    /// Chunks.
    pub chunks: i64,
    /// Oldest sample, ms.
    pub min_ms: i64,
    /// Newest sample, ms.
    pub max_ms: i64,
    /// The metric names with the most series.
    pub series_by_metric: Vec<NamedCount>,
    /// The label names with the most values.
    pub values_by_label: Vec<NamedCount>,
    /// The label names whose values take most bytes.
    pub bytes_by_label: Vec<NamedCount>,
    /// The label pairs with the most series.
    pub series_by_pair: Vec<NamedCount>,
}

/// What is asked about the series in memory.
#[derive(Clone, Debug)]
pub struct CardinalityQuestion {
    /// Series must satisfy every matcher of one of these; none for all series.
    pub selectors: Vec<Vec<Matcher>>,
    /// From when on series count as created and ended, ms.
    pub since_ms: i64,
    /// Labels whose values are listed.
    pub labels: Vec<String>,
    /// Most entries of a list.
    pub limit: usize,
    /// What comes first.
    pub order: CardinalityOrder,
}

/// By which count lists are sorted, largest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardinalityOrder {
    /// Series in memory.
    Series,
    /// Those without recent samples.
    Quiet,
    /// Those that came lately.
    Created,
    /// Those that became quiet lately.
    Ended,
}

/// Counts of some series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CardinalityCounts {
    /// In memory.
    pub series: u64,
    /// Of these, those without recent samples.
    pub quiet: u64,
    /// Of all, those that came since the time asked for.
    pub created: u64,
    /// Of the quiet ones, those that had a sample since then.
    pub ended: u64,
}

/// What makes the series in memory many. Each list has the largest first.
#[derive(Clone, Debug, Default)]
pub struct CardinalityStatus {
    /// The time asked for, or later where memory begins later, ms.
    pub since_ms: i64,
    /// All series asked for.
    pub total: CardinalityCounts,
    /// By metric name.
    pub by_metric: Vec<(String, CardinalityCounts)>,
    /// By label name, with the number of its values.
    pub by_label_name: Vec<(String, u64, CardinalityCounts)>,
    /// By value, for each label asked for.
    pub by_value: Vec<(String, Vec<(String, CardinalityCounts)>)>,
    /// Series created since the process started.
    pub created_total: u64,
    /// Series that left memory since then.
    pub removed_total: u64,
}

/// What a block says about itself, as `/api/v1/status/tsdb/blocks` shows it.
#[derive(Clone, Debug, Default)]
pub struct BlockStatus {
    /// Its name.
    pub ulid: String,
    /// Start of its range, ms, inclusive.
    pub min_ms: i64,
    /// End of its range, ms, exclusive.
    pub max_ms: i64,
    /// Counts by the names of `meta.json`; zeros are left out.
    pub counts: Vec<(&'static str, u64)>,
    /// How often its samples were compacted.
    pub level: u32,
    /// Names of the blocks that its samples were first in.
    pub sources: Vec<String>,
    /// Names and ranges of the blocks that it was made from.
    pub parents: Vec<(String, i64, i64)>,
    /// Whether it is empty and goes.
    pub deletable: bool,
    /// Whether compacting it failed.
    pub failed: bool,
    /// More about its origin.
    pub hints: Vec<String>,
}

/// What is known about the storage, and what it can be asked to do. Requests that change something block until it is done; their
/// errors are texts for the client.
pub trait TsdbService: Send + Sync {
    /// The blocks by their start.
    fn blocks(&self) -> Vec<BlockStatus>;
    /// Why no samples are taken now; `None` when they are.
    fn refuses_samples(&self) -> Option<String>;
    /// Deletes `[start_ms, end_ms]` from the series that satisfy all matchers.
    ///
    /// # Errors
    /// The reason.
    fn delete_series(&self, start_ms: i64, end_ms: i64, matchers: &[Matcher]) -> Result<(), String>;
    /// Rewrites blocks without what was deleted from them.
    ///
    /// # Errors
    /// The reason.
    fn clean_tombstones(&self) -> Result<(), String>;
    /// Makes a snapshot below the data directory and gives its name; without the head when `skip_head`.
    ///
    /// # Errors
    /// The reason.
    fn snapshot(&self, skip_head: bool) -> Result<String, String>;
    /// Statistics with at most `limit` entries in each list.
    fn status(&self, limit: usize) -> TsdbStatus;
    /// What makes the series in memory many.
    fn cardinality(&self, question: &CardinalityQuestion) -> CardinalityStatus;
    /// Exemplars in `[start_ms, end_ms]` of the series that satisfy every matcher of one of the selectors.
    fn exemplars(
        &self,
        start_ms: i64,
        end_ms: i64,
        selectors: &[Vec<Matcher>],
    ) -> Vec<(Labels, Vec<Exemplar>)>;
}

/// Which WAL segment is being replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalReplay {
    /// First segment.
    pub min: i64,
    /// Last segment.
    pub max: i64,
    /// The segment at hand.
    pub current: i64,
}

/// What `/api/v1/status/runtimeinfo` shows.
#[derive(Clone, Debug, Default)]
pub struct RuntimeInfo {
    /// When the process started.
    pub start: UnixTime,
    /// The working directory.
    pub cwd: String,
    /// The machine's name.
    pub hostname: String,
    /// Whether the last reload succeeded.
    pub reload_success: bool,
    /// When the configuration was last loaded.
    pub last_config: UnixTime,
    /// Corruptions found in the WAL.
    pub corruptions: i64,
    /// Threads of the process.
    pub threads: i64,
    /// Worker threads of the network.
    pub workers: i64,
    /// The memory limit in bytes, `i64::MAX` for none.
    pub memory_limit: i64,
    /// `15d`, `15d or 10GB`.
    pub retention: String,
}

/// Something that every user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// In Prometheus' words.
    pub text: String,
    /// Since when.
    pub since: UnixTime,
    /// Whether it still holds.
    pub active: bool,
}

/// News of notifications: first all that hold, then each that begins, is told again or ends to hold.
pub struct Subscription {
    /// Ends when the server stops.
    pub news: mpsc::Receiver<Notification>,
    /// Unsubscribes when dropped.
    pub guard: Box<dyn Send>,
}

/// What is there from the first moment: status before the storage is open, and the life of the process.
pub trait ProcessService: Send + Sync {
    /// The loaded configuration as YAML, secrets hidden.
    fn config_yaml(&self) -> String;
    /// The external labels of the loaded configuration.
    fn external_labels(&self) -> Labels;
    /// See [`RuntimeInfo`].
    fn runtime(&self) -> RuntimeInfo;
    /// How far the replay is.
    fn wal_replay(&self) -> WalReplay;
    /// What users should know now.
    fn notifications(&self) -> Vec<Notification>;
    /// From now on news of them; `None` when there are enough subscribers.
    fn subscribe(&self) -> Option<Subscription>;
    /// Loads the configuration again; the future ends when that is done, with the reason when it failed.
    fn reload(&self) -> std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
    /// Asks the process to end; false when it was already asked.
    fn quit(&self) -> bool;
}

/// What the remote-write receiver answers.
#[derive(Clone, Debug)]
pub struct WriteAnswer {
    /// 204 when all was taken, 200 never.
    pub status: StatusCode,
    /// Headers such as `X-Prometheus-Remote-Write-Samples-Written`.
    pub headers: Vec<(&'static str, String)>,
    /// The reason, with a line end, `""` for none.
    pub text: String,
}

/// Takes remote-write requests.
pub trait WriteService: Send + Sync {
    /// Takes one request. Called on a blocking thread.
    fn write(&self, headers: &HeaderMap, body: &Bytes) -> WriteAnswer;
}

/// What a remote read is answered with.
#[derive(Debug)]
pub enum ReadAnswer {
    /// One message, compressed.
    Samples(Vec<u8>),
    /// All is in the frames that were sent, of which there may be none.
    Streamed,
    /// A status and its reason. Frames may have been sent before.
    Refused(StatusCode, String),
}

/// Answers remote reads.
pub trait ReadService: Send + Sync {
    /// Waits for a place among those that may read; dropping what the future gives returns it.
    fn enter(&self) -> std::pin::Pin<Box<dyn Future<Output = Box<dyn Send>> + Send + '_>>;
    /// Answers one request. Called on a blocking thread. Frames go to `send`, which blocks while the client is slow and is `false`
    /// when it is gone.
    fn read(&self, body: &[u8], send: &mut dyn FnMut(Bytes) -> bool) -> ReadAnswer;
}
