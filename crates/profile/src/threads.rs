//! What each thread does at this moment: each is asked by a signal and answers with its stack.
//!
//! Always true: one asks at a time; a thread that does not answer in time counts without a stack. Tasks of the async runtime that wait
//! have no thread and do not show.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use std::sync::{Mutex, PoisonError};

use crate::profile::{Counts, Kind, Profile};
use crate::raw::signal::{self, ASKED};

/// How long threads have to answer: some wait for the disk.
const PATIENCE: Duration = Duration::from_millis(200);
/// How many are asked at once; less than a ring holds.
const AT_ONCE: usize = 256;

/// What is to be told of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// The stack and the name of each.
    Stacks,
    /// How many there are of each name.
    Names,
}

/// Tells about all threads of the process. Waits up to a moment for each.
#[must_use]
pub fn threads(what: Threads) -> Profile {
    match what {
        Threads::Stacks => {
            let mut profile = Profile::new(Kind::Threads, 1);
            let mut counts = Counts::default();
            snapshot(&mut counts, |_| {});
            profile.rows = counts.rows(name_of, |n| vec![n]);
            profile.comments.push("threads of the system, not tasks of the async runtime".to_owned());
            profile
        }
        Threads::Names => {
            let mut profile = Profile::new(Kind::ThreadNames, 1);
            let mut counts = Counts::default();
            all().into_iter().for_each(|thread| counts.add(thread, &[]));
            profile.rows = counts.rows(name_of, |n| vec![n]);
            profile.comments.push("threads by name; where they were started is not known".to_owned());
            profile
        }
    }
}

/// Adds the stack of each thread to `counts` and tells `seen` which threads there are.
pub(crate) fn snapshot(counts: &mut Counts, seen: impl FnMut(u32)) {
    /// Held while threads are asked, so that answers belong to the question.
    static ASKING: Mutex<()> = Mutex::new(());
    let _asking = ASKING.lock().unwrap_or_else(PoisonError::into_inner);
    signal::install();
    ASKED.drain(|_, _| {});
    let threads: Vec<u32> = all().into_iter().collect();
    threads.iter().copied().for_each(seen);
    for some in threads.chunks(AT_ONCE) {
        let mut silent: BTreeSet<u32> = some.iter().copied().filter(|thread| signal::ask(*thread)).collect();
        let deadline = Instant::now() + PATIENCE;
        while !silent.is_empty() && Instant::now() < deadline {
            ASKED.drain(|thread, stack| {
                if silent.remove(&thread) {
                    counts.add(thread, stack);
                }
            });
            std::thread::yield_now();
        }
        silent.into_iter().for_each(|thread| counts.add(thread, &[]));
    }
}

/// The numbers of our threads.
fn all() -> BTreeSet<u32> {
    let Ok(entries) = std::fs::read_dir("/proc/self/task") else { return BTreeSet::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// A thread's name; `""` when it is gone.
pub(crate) fn name_of(thread: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/self/task/{thread}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Symbols;

    #[test]
    fn a_waiting_thread_shows_where_it_waits() {
        #[inline(never)]
        fn wait_for_the_end(told: &std::sync::mpsc::Receiver<()>) -> bool {
            std::hint::black_box(told.recv().is_err())
        }
        let (tell, told) = std::sync::mpsc::channel::<()>();
        let waiting = std::thread::Builder::new().name("waiting-one".to_owned());
        let waiting = waiting.spawn(move || wait_for_the_end(&told)).unwrap();
        let symbols = Symbols::of_this_process();
        let stack_of = || {
            let profile = threads(Threads::Stacks);
            let row = profile.rows.into_iter().find(|row| row.thread == "waiting-one");
            let stack = row.map(|row| row.stack).unwrap_or_default();
            stack.iter().filter_map(|a| symbols.name(*a)).collect::<Vec<_>>().join("\n")
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !stack_of().contains("wait_for_the_end") {
            assert!(Instant::now() < deadline, "{}", stack_of());
        }
        let names = threads(Threads::Names);
        assert!(names.rows.iter().any(|row| row.thread == "waiting-one" && row.values == [1]));
        drop(tell);
        assert!(waiting.join().unwrap());
    }
}
