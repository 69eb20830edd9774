//! What queries hold: samples and bytes of one query, bytes of all queries together, and the limits of each.
//!
//! A query has one [`Account`]. Operators charge what they keep: samples by Prometheus' measure (`--query.max-samples`), bytes
//! by what the memory allocator is asked for. The account takes bytes from the [`MemoryPool`] of the engine in slabs, so that
//! queries do not contend for one counter at each row.
//! Always true: the pool's sum is at least what all accounts hold, but for what made the last charge fail; an account gives
//! back all it took when it is dropped. A query that went over a limit fails at its next row at the latest; no other does.
//! Cost: a few relaxed atomics a row, nothing a sample.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use narthex_model::Labels;

use super::QueryStats;
use super::context::QueryContext;
use super::error::{QueryError, Stage};
use super::row::Row;

/// Bytes that an account takes from the pool at a time.
const SLAB: u64 = 1 << 20;
/// An account that holds this much less than it took gives the rest back.
const SLACK: u64 = 4 * SLAB;
/// What a storage holds about for each selected series: where its samples are, and the numbers of its labels.
pub(crate) const SELECTED_BYTES: usize = 96;
/// Beside the text of a label set: two counters, and what the allocator adds.
const LABELS_OVERHEAD: usize = 24;

/// The bytes that all queries of an engine may hold together.
#[derive(Debug)]
pub(crate) struct MemoryPool {
    taken: AtomicU64,
    limit: u64,
}

impl MemoryPool {
    pub(crate) fn new(limit: u64) -> Self {
        Self { taken: AtomicU64::new(0), limit }
    }

    /// What accounts have taken now, in slabs.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> bool {
        let add = |taken: u64| taken.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    fn give(&self, bytes: u64) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// How far a query is: counters that another thread may look at while it runs. Clones belong together.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    bytes: AtomicU64,
    peak_bytes: AtomicU64,
    read: AtomicU64,
    /// What a query cost that gave no result.
    failed: OnceLock<QueryStats>,
}

impl Progress {
    /// What the query cost when it failed: its times are zero for what it did not come to. `None` when it gave a result, goes on
    /// still, or was not even a query.
    #[must_use]
    pub fn cost_of_failure(&self) -> Option<&QueryStats> {
        self.counters.failed.get()
    }

    /// Tells what a query cost that failed; only the first is kept.
    pub(crate) fn end_failed(&self, cost: QueryStats) {
        let _ = self.counters.failed.set(cost);
    }

    /// Samples read so far.
    #[must_use]
    pub fn samples_read(&self) -> u64 {
        self.counters.read.load(Ordering::Relaxed)
    }

    /// Bytes held now.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.counters.bytes.load(Ordering::Relaxed)
    }

    /// The most bytes held at one time.
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        self.counters.peak_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn count_read(&self, samples: u64) {
        self.counters.read.fetch_add(samples, Ordering::Relaxed);
    }
}

/// The limits of one query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub samples: u64,
    pub bytes: u64,
}

/// What one query holds.
#[derive(Debug)]
pub(crate) struct Account {
    samples: AtomicU64,
    peak_samples: AtomicU64,
    progress: Progress,
    limits: Limits,
    pool: Arc<MemoryPool>,
    /// How much was taken from the pool. Guards the taking and giving back; reading `covered` needs no lock.
    taken: Mutex<u64>,
    /// The same number, for the quick look.
    covered: AtomicU64,
    /// Which limit was passed: 0 none, else one of the two below.
    over: AtomicU8,
}

const OVER_OWN: u8 = 1;
const OVER_POOL: u8 = 2;

impl Account {
    pub(crate) fn new(limits: Limits, pool: Arc<MemoryPool>, progress: Progress) -> Self {
        Self {
            samples: AtomicU64::new(0),
            peak_samples: AtomicU64::new(0),
            progress,
            limits,
            pool,
            taken: Mutex::new(0),
            covered: AtomicU64::new(0),
            over: AtomicU8::new(0),
        }
    }

    /// Takes note of `samples` more.
    pub(crate) fn charge(&self, samples: u64) -> Result<(), QueryError> {
        let held = self.samples.fetch_add(samples, Ordering::Relaxed) + samples;
        self.peak_samples.fetch_max(held, Ordering::Relaxed);
        if held > self.limits.samples { Err(QueryError::TooManySamples(Stage::Execution)) } else { Ok(()) }
    }

    /// Takes note that `samples` are held no more.
    pub(crate) fn release(&self, samples: u64) {
        self.samples.fetch_sub(samples, Ordering::Relaxed);
    }

    pub(crate) fn peak_samples(&self) -> u64 {
        self.peak_samples.load(Ordering::Relaxed)
    }

    /// Bytes held now.
    pub(crate) fn bytes(&self) -> u64 {
        self.progress.bytes()
    }

    /// Takes note of `bytes` more. After a failure every later [`Self::check`] fails too.
    pub(crate) fn charge_bytes(&self, bytes: u64) -> Result<(), QueryError> {
        let counters = &self.progress.counters;
        let held = counters.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        counters.peak_bytes.fetch_max(held, Ordering::Relaxed);
        if held > self.limits.bytes {
            self.over.store(OVER_OWN, Ordering::Relaxed);
        } else if held > self.covered.load(Ordering::Relaxed) && !self.cover(held) {
            self.over.store(OVER_POOL, Ordering::Relaxed);
        }
        self.check()
    }

    /// Takes note that `bytes` are held no more.
    pub(crate) fn release_bytes(&self, bytes: u64) {
        let held = self.progress.counters.bytes.fetch_sub(bytes, Ordering::Relaxed).saturating_sub(bytes);
        if self.covered.load(Ordering::Relaxed) > held + SLACK {
            self.uncover();
        }
    }

    /// Fails when a byte limit was passed, by whatever thread of the query.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        match self.over.load(Ordering::Relaxed) {
            0 => Ok(()),
            OVER_OWN => Err(QueryError::TooMuchMemory { limit: self.limits.bytes }),
            _ => Err(QueryError::AllQueriesTooMuchMemory { limit: self.pool.limit }),
        }
    }

    #[cold]
    fn cover(&self, held: u64) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        // The last slab before the limit may be a small one.
        let wanted = held.saturating_add(SLAB - 1) / SLAB * SLAB;
        for sum in [wanted, held] {
            if sum <= *taken || self.pool.take(sum - *taken) {
                *taken = sum.max(*taken);
                self.covered.store(*taken, Ordering::Relaxed);
                return true;
            }
        }
        false
    }

    #[cold]
    fn uncover(&self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let keep = self.bytes() + SLAB;
        if *taken > keep {
            self.pool.give(*taken - keep);
            *taken = keep;
            self.covered.store(keep, Ordering::Relaxed);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let taken = self.taken.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.pool.give(*taken);
    }
}

/// Samples and bytes that are charged to an account until this is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    account: Arc<Account>,
    samples: u64,
    bytes: u64,
}

impl Charge {
    /// A charge of nothing yet.
    pub(crate) fn new(ctx: &QueryContext<'_>) -> Self {
        Self::on(Arc::clone(&ctx.account))
    }

    fn on(account: Arc<Account>) -> Self {
        Self { account, samples: 0, bytes: 0 }
    }

    /// Charges samples.
    pub(crate) fn add(&mut self, samples: u64) -> Result<(), QueryError> {
        self.samples += samples;
        self.account.charge(samples)
    }

    /// Charges bytes.
    pub(crate) fn add_bytes(&mut self, bytes: usize) -> Result<(), QueryError> {
        self.bytes += bytes as u64;
        self.account.charge_bytes(bytes as u64)
    }

    /// Charges what is missing to so many bytes. Nothing is given back when there were more.
    pub(crate) fn raise_bytes(&mut self, bytes: usize) -> Result<(), QueryError> {
        let missing = (bytes as u64).saturating_sub(self.bytes);
        if missing == 0 { Ok(()) } else { self.add_bytes(missing as usize) }
    }

    /// Charges the samples and the bytes of a row that is kept with its labels.
    pub(crate) fn add_row(&mut self, labels: &Labels, row: &Row) -> Result<(), QueryError> {
        self.add(row.weight())?;
        self.add_bytes(row_bytes(labels, row))
    }

    /// Gives the bytes back before this is dropped, as somebody else is about to charge the same memory.
    pub(crate) fn hand_over_bytes(&mut self) {
        self.account.release_bytes(std::mem::take(&mut self.bytes));
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.release(self.samples);
        self.account.release_bytes(self.bytes);
    }
}

/// What is still charged for a result, or for what is read past the queries, until this and its clones are dropped.
#[derive(Clone, Debug)]
pub struct ResultMemory {
    charge: Arc<Mutex<Charge>>,
}

impl ResultMemory {
    pub(crate) fn of(ctx: &QueryContext<'_>, bytes: usize) -> Result<Self, QueryError> {
        let mut charge = Charge::new(ctx);
        charge.add_bytes(bytes)?;
        Ok(Self { charge: Arc::new(Mutex::new(charge)) })
    }

    pub(crate) fn empty(account: Arc<Account>) -> Self {
        Self { charge: Arc::new(Mutex::new(Charge::on(account))) }
    }

    /// Charges what a storage holds for so many selected series.
    ///
    /// # Errors
    /// As [`Self::charge`].
    pub fn charge_selected(&self, series: usize) -> Result<(), QueryError> {
        self.charge(series * SELECTED_BYTES)
    }

    /// Charges `bytes` more to the query, for example for the result as text.
    ///
    /// # Errors
    /// The query holds more than it may, or all queries together do.
    pub fn charge(&self, bytes: usize) -> Result<(), QueryError> {
        self.charge.lock().unwrap_or_else(PoisonError::into_inner).add_bytes(bytes)
    }
}

/// The bytes that a label set takes. One that is shared with the storage counts all the same: nobody knows who drops it last.
pub(crate) fn labels_bytes(labels: &Labels) -> usize {
    labels.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>() + LABELS_OVERHEAD
}

/// The bytes that a row in a list takes, with its labels and its place in the list, which grows by doubling.
pub(crate) fn row_bytes(labels: &Labels, row: &Row) -> usize {
    labels_bytes(labels) + row.heap_bytes() + 2 * size_of::<super::block::BlockRow>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(pool: &Arc<MemoryPool>, bytes: u64) -> Account {
        Account::new(Limits { samples: 10, bytes }, Arc::clone(pool), Progress::default())
    }

    #[test]
    fn the_query_that_goes_over_its_own_limit_fails_and_goes_on_failing() {
        let pool = Arc::new(MemoryPool::new(u64::MAX));
        let account = account(&pool, 1000);
        account.charge_bytes(1000).unwrap();
        account.check().unwrap();
        let text = account.charge_bytes(1).unwrap_err().to_string();
        assert!(text.contains("1000 bytes"), "{text}");
        account.release_bytes(900);
        assert!(account.check().is_err());
        assert_eq!(account.progress.peak_bytes(), 1001);
    }

    #[test]
    fn the_pool_bounds_all_queries_together_and_gets_everything_back() {
        let pool = Arc::new(MemoryPool::new(3 * SLAB));
        let (one, other) = (account(&pool, u64::MAX), account(&pool, u64::MAX));
        one.charge_bytes(2 * SLAB).unwrap();
        other.charge_bytes(SLAB / 2).unwrap();
        let failed = other.charge_bytes(SLAB).unwrap_err();
        assert!(matches!(failed, QueryError::AllQueriesTooMuchMemory { .. }), "{failed}");
        one.check().unwrap();
        assert_eq!(pool.taken(), 3 * SLAB);
        drop(other);
        one.charge_bytes(SLAB).unwrap();
        drop(one);
        assert_eq!(pool.taken(), 0);
    }

    #[test]
    fn an_account_that_shrinks_gives_back_before_its_end() {
        let pool = Arc::new(MemoryPool::new(u64::MAX));
        let account = account(&pool, u64::MAX);
        account.charge_bytes(100 * SLAB).unwrap();
        account.release_bytes(99 * SLAB);
        assert!(pool.taken() <= 2 * SLAB, "{}", pool.taken());
    }

    #[test]
    fn the_last_slab_before_the_limit_may_be_a_small_one() {
        let pool = Arc::new(MemoryPool::new(SLAB + 7));
        let account = account(&pool, u64::MAX);
        account.charge_bytes(SLAB + 7).unwrap();
        assert!(account.charge_bytes(1).is_err());
    }
}
