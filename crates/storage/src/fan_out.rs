//! A local store, and distant ones that are asked beside it.
//!
//! Always true: what fails at a distant store is a warning, never an error, and then nothing of that store is in the result;
//! without distant stores the local one answers alone and nothing is paid. Selecting asks the distant stores and does not wait:
//! who looks at the series first does. Must not know: what makes a store distant.
//! Facts: Prometheus `storage/fanout.go`, `storage/secondary.go`.

use std::sync::{Arc, OnceLock, RwLock};

use narthex_model::{Labels, Matcher};

use crate::merge::{QuerierInTime, SetInTime, merge_series};
use crate::{Querier, QueryError, Queryable, SampleBatch, SelectHints, SeriesSet, StoredChunk, Windows};

/// A store that may be slow, gone or wrong.
pub trait Distant: Send + Sync {
    /// A view over `[mint_ms, maxt_ms]`; `None` when there is nothing to ask it. Its `select` should begin to ask and not wait for
    /// the answer; what fails later, its set tells as a warning and is empty.
    fn querier(&self, mint_ms: i64, maxt_ms: i64) -> Option<QuerierInTime>;
}

/// The distant stores at one time.
type Stores = Arc<[Arc<dyn Distant>]>;

/// See the module's words.
pub struct FanOut {
    local: Arc<dyn Queryable>,
    /// Replaced as a whole, held for the moment of a look.
    distant: RwLock<Stores>,
}

impl FanOut {
    /// Only the local store, as yet.
    #[must_use]
    pub fn new(local: Arc<dyn Queryable>) -> Self {
        Self { local, distant: RwLock::new(Arc::new([])) }
    }

    /// Asks these stores from the next querier on.
    pub fn set_distant(&self, stores: Vec<Arc<dyn Distant>>) {
        // A thread that panicked cannot have left a list by halves.
        *self.distant.write().unwrap_or_else(std::sync::PoisonError::into_inner) = stores.into();
    }

    fn distant(&self) -> Stores {
        Arc::clone(&self.distant.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Queryable for FanOut {
    fn querier(&self, mint_ms: i64, maxt_ms: i64) -> Result<Box<dyn Querier>, QueryError> {
        let local = self.local.querier(mint_ms, maxt_ms)?;
        let stores = self.distant();
        let distant: Vec<_> = stores.iter().filter_map(|store| store.querier(mint_ms, maxt_ms)).collect();
        if distant.is_empty() { Ok(local) } else { Ok(Box::new(FanOutQuerier { local, distant })) }
    }
}

struct FanOutQuerier {
    local: Box<dyn Querier>,
    distant: Vec<QuerierInTime>,
}

impl FanOutQuerier {
    /// The sorted union of what the local and the distant stores know, at most `limit` texts when that is not 0.
    fn texts(
        &self,
        limit: usize,
        read: impl Fn(&dyn Querier) -> Result<Vec<String>, QueryError>,
    ) -> Result<Vec<String>, QueryError> {
        let mut all = read(&*self.local)?;
        let before = all.len();
        for store in &self.distant {
            // Why it could not answer is among its warnings.
            all.extend(read(&*store.querier).unwrap_or_default());
        }
        if all.len() > before {
            all.sort_unstable();
            all.dedup();
        }
        if limit > 0 {
            all.truncate(limit);
        }
        Ok(all)
    }
}

impl Querier for FanOutQuerier {
    fn select(&self, hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet>, QueryError> {
        // The distant ones first: they work while the local one does.
        let mut warnings = Vec::new();
        let mut sets = Vec::with_capacity(self.distant.len() + 1);
        let hints = &hints.in_order();
        for store in &self.distant {
            match store.querier.select(hints, matchers) {
                Ok(set) => sets.push(SetInTime { min_ms: store.min_ms, max_ms: store.max_ms, set }),
                Err(error) => warnings.push(error.to_string()),
            }
        }
        let set = self.local.select(hints, matchers)?;
        sets.insert(0, SetInTime { min_ms: i64::MIN, max_ms: i64::MAX, set });
        let asked = std::sync::Mutex::new(Some(Asked { sets, warnings, limit: hints.limit }));
        Ok(Box::new(Later { asked, answered: OnceLock::new() }))
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
    ) -> Result<Vec<String>, QueryError> {
        self.texts(limit, |querier| querier.label_values(name, matchers, limit))
    }

    fn label_names(&self, matchers: &[Matcher], limit: usize) -> Result<Vec<String>, QueryError> {
        self.texts(limit, |querier| querier.label_names(matchers, limit))
    }

    fn warnings(&self) -> Vec<String> {
        let distant = self.distant.iter().flat_map(|store| store.querier.warnings());
        self.local.warnings().into_iter().chain(distant).collect()
    }
}

/// Sets of distant stores that may not be there yet.
struct Asked {
    sets: Vec<SetInTime>,
    warnings: Vec<String>,
    limit: usize,
}

/// Merged when somebody looks.
struct Later {
    /// Taken by who merges.
    asked: std::sync::Mutex<Option<Asked>>,
    answered: OnceLock<Answered>,
}

struct Answered {
    set: Box<dyn SeriesSet>,
    warnings: Vec<String>,
}

impl Later {
    fn answered(&self) -> &Answered {
        self.answered.get_or_init(|| {
            let mut asked = self.asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let Asked { sets, mut warnings, limit } = asked.take().expect("only one merges");
            // Merging forgets sets without series, and with them what they have to tell.
            sets.iter().for_each(|source| warnings.extend(source.set.warnings()));
            Answered { set: merge_series(sets, limit), warnings }
        })
    }

    fn set(&self) -> &dyn SeriesSet {
        &*self.answered().set
    }
}

impl SeriesSet for Later {
    fn len(&self) -> usize {
        self.set().len()
    }

    fn labels(&self, at: usize) -> Labels {
        self.set().labels(at)
    }

    fn labels_named(&self, at: usize, names: &[String]) -> Labels {
        self.set().labels_named(at, names)
    }

    fn labels_but(&self, at: usize, names: &[String]) -> Labels {
        self.set().labels_but(at, names)
    }

    fn read(&self, at: usize, mint_ms: i64, maxt_ms: i64, out: &mut SampleBatch) -> Result<(), QueryError> {
        self.set().read(at, mint_ms, maxt_ms, out)
    }

    fn read_windows(&self, at: usize, windows: &Windows, out: &mut SampleBatch) -> Result<(), QueryError> {
        self.set().read_windows(at, windows, out)
    }

    fn read_newest(&self, at: usize, windows: &Windows, out: &mut SampleBatch) -> Result<(), QueryError> {
        self.set().read_newest(at, windows, out)
    }

    fn chunks<'a>(
        &'a self,
        at: usize,
        mint_ms: i64,
        maxt_ms: i64,
        out: &mut Vec<StoredChunk<'a>>,
    ) -> Result<(), QueryError> {
        self.set().chunks(at, mint_ms, maxt_ms, out)
    }

    fn warnings(&self) -> Vec<String> {
        self.answered().warnings.clone()
    }
}

#[cfg(test)]
mod tests;
