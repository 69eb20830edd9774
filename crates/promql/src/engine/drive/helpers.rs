//! The extra threads that all queries share. They wait from one query to the next, and begin at once when they are called.
//!
//! Always true: at most so many helpers work at a time over all queries; a query that finds none free goes on alone.
//! PERF: a new thread, and one that waits, may be put on the processor of the thread that calls it, and get its turn there only
//! milliseconds later; on a virtual machine whose other processors sleep this is the rule (seen on Linux 6.18: 2.2 ms in the
//! median for a new thread, 0.4 to 1.3 ms for one that waits, 0.08 ms for one that must not be there). So a helper is kept off the
//! caller's processor until it has begun; then it may run wherever its caller may.

use std::sync::{Mutex, OnceLock, PoisonError};

use rayon_core::{ThreadPool, ThreadPoolBuilder};
use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// The extra threads that all queries share; each starts when it is wanted for the first time.
#[derive(Debug)]
pub(crate) struct Helpers {
    threads: Vec<OnceLock<Option<Helper>>>,
    /// Which of them have nothing to do.
    free: Mutex<Vec<usize>>,
}

/// A thread that waits for work.
#[derive(Debug)]
struct Helper {
    pool: ThreadPool,
    id: Pid,
}

impl Helpers {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            threads: (0..count).map(|_| OnceLock::new()).collect(),
            free: Mutex::new((0..count).rev().collect()),
        }
    }

    /// Takes up to `wanted` helpers out of the pool.
    pub(super) fn take(&self, wanted: usize) -> Taken<'_> {
        if wanted == 0 {
            return Taken { helpers: self, taken: Vec::new() };
        }
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let left = free.len().saturating_sub(wanted);
        Taken { helpers: self, taken: free.split_off(left) }
    }

    /// The thread of a helper; `None` when the system has none to give.
    fn thread(&self, at: usize) -> Option<&Helper> {
        self.threads[at].get_or_init(Helper::start).as_ref()
    }
}

impl Helper {
    fn start() -> Option<Self> {
        let name = |_| "query".to_owned();
        let pool = ThreadPoolBuilder::new().num_threads(1).thread_name(name).build().ok()?;
        let id = pool.install(gettid);
        Some(Self { pool, id })
    }
}

/// Helpers that a query has for itself until this is dropped.
pub(super) struct Taken<'a> {
    helpers: &'a Helpers,
    taken: Vec<usize>,
}

impl Taken<'_> {
    pub(super) fn len(&self) -> usize {
        self.taken.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// Runs `work` here and in each helper, and returns when all are done. A helper that cannot be had is left out.
    pub(super) fn work_along(&self, stack_bytes: Option<usize>, work: &(dyn Fn() + Sync)) {
        match stack_bytes {
            Some(bytes) => work_on_new_threads(self.len(), bytes, work),
            None => self.work_with(&self.taken, Processors::here().as_ref(), work),
        }
    }

    fn work_with(&self, helpers: &[usize], processors: Option<&Processors>, work: &(dyn Fn() + Sync)) {
        let Some((helper, others)) = helpers.split_first() else { return work() };
        let Some(helper) = self.helpers.thread(*helper) else {
            return self.work_with(others, processors, work);
        };
        helper.pool.in_place_scope(|scope| {
            if let Some(processors) = processors {
                processors.keep_off(helper.id);
            }
            scope.spawn(move |_| {
                if let Some(processors) = processors {
                    processors.allow_all();
                }
                work();
            });
            self.work_with(others, processors, work);
        });
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.taken.is_empty() {
            let mut free = self.helpers.free.lock().unwrap_or_else(PoisonError::into_inner);
            free.append(&mut self.taken);
        }
    }
}

/// A deep query needs more stack than waiting threads have.
fn work_on_new_threads(count: usize, stack_bytes: usize, work: &(dyn Fn() + Sync)) {
    std::thread::scope(|scope| {
        for _ in 0..count {
            // Without one more thread the others do its work.
            let _ = std::thread::Builder::new().stack_size(stack_bytes).spawn_scoped(scope, work);
        }
        work();
    });
}

/// Where threads may run. A system that does not tell, or does not let us, decides alone.
struct Processors {
    all: CpuSet,
    others: CpuSet,
}

impl Processors {
    /// As seen from the calling thread; `None` when it may run on one processor alone.
    fn here() -> Option<Self> {
        let all = sched_getaffinity(None).ok()?;
        let mut others = all;
        others.unset(sched_getcpu());
        (others.count() > 0).then_some(Self { all, others })
    }

    /// Keeps a thread from where the calling one is.
    fn keep_off(&self, thread: Pid) {
        let _ = sched_setaffinity(Some(thread), &self.others);
    }

    /// Lets the calling thread run anywhere.
    fn allow_all(&self) {
        let _ = sched_setaffinity(None, &self.all);
    }
}
