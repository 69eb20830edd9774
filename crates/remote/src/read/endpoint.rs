//! An endpoint as a store beside the local one: whether it is asked, for what, and the answer as a set of series.
//!
//! Always true: asking does not wait; who looks at a set first does, until the answer is there or nobody wants it. When one request
//! of a querier fails, all its sets are empty: a query sees all of an endpoint or nothing. A request whose set is dropped is
//! called off. Facts: Prometheus `storage/remote/read.go`, `storage/secondary.go`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use narthex_chunks::{Encoding, decode};
use narthex_model::{Labels, MatchOp, Matcher};
use narthex_storage::fan_out::Distant;
use narthex_storage::merge::QuerierInTime;
use narthex_storage::{Querier, QueryError, SampleBatch, SelectHints, SeriesSet, StoredChunk, Wanted};
use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::AbortHandle;

use super::answer::Received;
use super::client::Client;
use super::request;
use super::stores::LocalStart;

/// How often who waits looks whether somebody still wants the answer.
const LOOK: Duration = Duration::from_millis(100);

/// A configured endpoint.
pub(crate) struct Endpoint(pub(crate) Arc<Settings>);

/// Where and how an endpoint is asked.
pub(crate) struct Settings {
    pub(crate) client: Arc<Client>,
    /// External labels: asked for and taken off. None when they are not to be filtered.
    pub(crate) external: Labels,
    /// Equality matchers without which it is not asked.
    pub(crate) required: Labels,
    /// From when on the local store has everything, ms; `None` when it is asked for that too.
    pub(crate) local_start: Option<LocalStart>,
    pub(crate) network: Handle,
}

impl Distant for Endpoint {
    fn querier(&self, mint_ms: i64, maxt_ms: i64) -> Option<QuerierInTime> {
        let mut range = (mint_ms, maxt_ms);
        if let Some(local_start) = &self.0.local_start {
            let start_ms = local_start();
            if mint_ms > start_ms {
                return None;
            }
            range.1 = maxt_ms.min(start_ms);
        }
        let querier = EndpointQuerier {
            endpoint: Arc::clone(&self.0),
            range,
            asked: Arc::default(),
            names_asked: AtomicBool::new(false),
        };
        Some(QuerierInTime { min_ms: range.0, max_ms: range.1, querier: Box::new(querier) })
    }
}

struct EndpointQuerier {
    endpoint: Arc<Settings>,
    range: (i64, i64),
    /// All requests of this querier.
    asked: Arc<Mutex<Vec<Arc<Reply>>>>,
    /// Whether somebody asked for names or values, which the protocol does not have.
    names_asked: AtomicBool,
}

impl Querier for EndpointQuerier {
    fn select(&self, hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet>, QueryError> {
        let has = |name: &str, value: &str| {
            matchers.iter().any(|m| m.op == MatchOp::Equal && m.name == name && m.value == value)
        };
        if !self.endpoint.required.iter().all(|(name, value)| has(name, value)) {
            return Ok(narthex_storage::merge::merge_series(Vec::new(), 0));
        }
        let (matchers, added) = self.endpoint.with_external(matchers);
        let body = request::encode(self.range, &matchers, hints);
        let reply = Arc::new(Reply::default());
        self.asked.lock().push(Arc::clone(&reply));
        let (client, teller) = (Arc::clone(&self.endpoint.client), Teller(Some(Arc::clone(&reply))));
        let task = self.endpoint.network.spawn(async move {
            let read = client.read(body, added.into()).await;
            teller.tell(read.map_err(|error| format!("remote_read: {error}")));
        });
        Ok(Box::new(AnswerSet {
            reply,
            asked: Arc::clone(&self.asked),
            wanted: hints.wanted.clone(),
            range: self.range,
            task: task.abort_handle(),
            answer: OnceLock::new(),
        }))
    }

    fn label_values(&self, _: &str, _: &[Matcher], _: usize) -> Result<Vec<String>, QueryError> {
        self.names_asked.store(true, Ordering::Relaxed);
        Ok(Vec::new())
    }

    fn label_names(&self, _: &[Matcher], _: usize) -> Result<Vec<String>, QueryError> {
        self.names_asked.store(true, Ordering::Relaxed);
        Ok(Vec::new())
    }

    /// COMPAT: the word with which Prometheus says that the protocol knows no names.
    fn warnings(&self) -> Vec<String> {
        let asked = self.names_asked.load(Ordering::Relaxed);
        if asked { vec!["not implemented".to_owned()] } else { Vec::new() }
    }
}

impl Settings {
    /// The matchers with those of external labels that no matcher names, and the names of these labels.
    fn with_external(&self, matchers: &[Matcher]) -> (Vec<Matcher>, Vec<String>) {
        let (mut all, mut added) = (matchers.to_vec(), Vec::new());
        for (name, value) in self.external.iter() {
            if !matchers.iter().any(|matcher| matcher.name == name) {
                all.push(Matcher::equal(name, value));
                added.push(name.to_owned());
            }
        }
        (all, added)
    }
}

/// The answer to a request, once it is there.
#[derive(Default)]
struct Reply {
    told: Mutex<Option<Result<Arc<Received>, String>>>,
    changed: Condvar,
}

impl Reply {
    /// Waits for the answer, or until nobody wants it.
    fn wait(&self, wanted: &Wanted) -> Result<Arc<Received>, String> {
        let wait = || {
            let mut told = self.told.lock();
            loop {
                match &*told {
                    Some(result) => return result.clone(),
                    None if !wanted.is_wanted() => {
                        return Err("remote_read: the query was called off".to_owned());
                    }
                    None => drop(self.changed.wait_for(&mut told, LOOK)),
                }
            }
        };
        match Handle::try_current().map(|handle| handle.runtime_flavor()) {
            // The answer needs this thread: it drives the network.
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
            _ => wait(),
        }
    }
}

/// Tells the answer, or that there will be none.
struct Teller(Option<Arc<Reply>>);

impl Teller {
    fn tell(mut self, result: Result<Received, String>) {
        if let Some(reply) = self.0.take() {
            *reply.told.lock() = Some(result.map(Arc::new));
            reply.changed.notify_all();
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        if let Some(reply) = self.0.take() {
            let gone = "remote_read: the request was given up".to_owned();
            reply.told.lock().get_or_insert(Err(gone));
            reply.changed.notify_all();
        }
    }
}

/// The series of one answer.
struct AnswerSet {
    reply: Arc<Reply>,
    asked: Arc<Mutex<Vec<Arc<Reply>>>>,
    wanted: Wanted,
    range: (i64, i64),
    task: AbortHandle,
    /// `None` when this or another request of the querier failed.
    answer: OnceLock<Option<Arc<Received>>>,
}

impl Drop for AnswerSet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl AnswerSet {
    fn answer(&self) -> Option<&Received> {
        let answer = self.answer.get_or_init(|| {
            let own = self.reply.wait(&self.wanted).ok()?;
            let others = self.asked.lock().clone();
            others.iter().all(|reply| reply.wait(&self.wanted).is_ok()).then_some(own)
        });
        answer.as_deref()
    }

    fn received(&self) -> &Received {
        self.answer().expect("only an answer has series")
    }

    fn clip(&self, mint_ms: i64, maxt_ms: i64) -> (i64, i64) {
        (mint_ms.max(self.range.0), maxt_ms.min(self.range.1))
    }
}

impl SeriesSet for AnswerSet {
    fn len(&self) -> usize {
        self.answer().map_or(0, Received::len)
    }

    fn labels(&self, at: usize) -> Labels {
        self.received().labels(at).clone()
    }

    fn read(&self, at: usize, mint_ms: i64, maxt_ms: i64, out: &mut SampleBatch) -> Result<(), QueryError> {
        let range = self.clip(mint_ms, maxt_ms);
        for chunk in self.received().chunks(at, range) {
            let corrupt =
                |error: &dyn std::error::Error| QueryError::Corrupt(format!("remote_read: {error}"));
            let encoding = Encoding::try_from(chunk.encoding).map_err(|error| corrupt(&error))?;
            decode(encoding, &chunk.bytes, range.0, range.1, out).map_err(|error| corrupt(&error))?;
        }
        Ok(())
    }

    fn chunks<'a>(
        &'a self,
        at: usize,
        mint_ms: i64,
        maxt_ms: i64,
        out: &mut Vec<StoredChunk<'a>>,
    ) -> Result<(), QueryError> {
        for mut chunk in self.received().chunks(at, self.clip(mint_ms, maxt_ms)) {
            let outside =
                [(i64::MIN, self.range.0.saturating_sub(1)), (self.range.1.saturating_add(1), i64::MAX)];
            let touches = |(from, to): &(i64, i64)| *from <= chunk.max_ms && chunk.min_ms <= *to;
            chunk.hidden = outside.into_iter().filter(touches).collect();
            out.push(chunk);
        }
        Ok(())
    }

    fn warnings(&self) -> Vec<String> {
        self.reply.wait(&self.wanted).err().into_iter().collect()
    }
}
