//! Isolation: which commits a reader sees.
//!
//! Commits are numbered in the order of the WAL. A commit is *shown* when all its samples are in the head; the *visible* number
//! is the highest one below which every commit was shown. A reader takes the visible number as its snapshot and sees exactly the
//! commits up to it: whole batches, and never one of the future. The price is paid a batch, not a sample.
//! Must not know: series, samples. Lock: a leaf.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::page::Readers;
use super::series::CommitSeq;

/// The state that commits and readers share.
#[derive(Default)]
pub(crate) struct Isolation {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    visible: CommitSeq,
    /// Shown, but behind one that is not.
    ahead: BTreeSet<CommitSeq>,
    /// How many readers hold a snapshot.
    held: BTreeMap<CommitSeq, usize>,
}

impl Isolation {
    /// What a commit must leave readable. Taken before its first sample goes in.
    pub(crate) fn readers(&self) -> Readers {
        let state = self.state.lock();
        Readers { visible: state.visible, held: state.held.keys().copied().collect() }
    }

    /// For a commit that is in the WAL: the promise to show it, kept even when its thread dies on the way.
    pub(crate) fn promise(&self, seq: CommitSeq) -> Promise<'_> {
        Promise { isolation: self, seq }
    }

    fn shown(&self, state: &mut State, seq: CommitSeq) {
        state.ahead.insert(seq);
        let before = state.visible;
        while state.ahead.first() == Some(&(state.visible + 1)) {
            state.ahead.pop_first();
            state.visible += 1;
        }
        if state.visible > before {
            self.moved.notify_all();
        }
    }

    /// Waits until a commit that is in the WAL is visible. Its number was given out, so somebody keeps the promise to show it. The
    /// caller holds no lock that a commit takes.
    pub(crate) fn wait_for(&self, seq: CommitSeq) {
        let mut state = self.state.lock();
        while state.visible < seq {
            self.moved.wait(&mut state);
        }
    }

    /// The lowest snapshot in use and the highest visible commit.
    pub(crate) fn watermarks(&self) -> (CommitSeq, CommitSeq) {
        let state = self.state.lock();
        (state.held.keys().next().copied().unwrap_or(state.visible), state.visible)
    }

    /// Takes a snapshot of what is visible now.
    pub(crate) fn snapshot(self: &Arc<Self>) -> Snapshot {
        let mut state = self.state.lock();
        let seq = state.visible;
        *state.held.entry(seq).or_default() += 1;
        Snapshot { isolation: Arc::clone(self), seq }
    }
}

/// See [`Isolation::promise`].
pub(crate) struct Promise<'a> {
    isolation: &'a Isolation,
    seq: CommitSeq,
}

impl Promise<'_> {
    /// Says that all samples of the commit are in, and waits until it is visible: commits before it are only applying in
    /// memory, which takes microseconds.
    pub(crate) fn show(self) {
        let mut state = self.isolation.state.lock();
        self.isolation.shown(&mut state, self.seq);
        while state.visible < self.seq {
            self.isolation.moved.wait(&mut state);
        }
        drop(state);
        std::mem::forget(self);
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        self.isolation.shown(&mut self.isolation.state.lock(), self.seq);
    }
}

/// A reader's view; what it may see stays readable while it lives.
pub(crate) struct Snapshot {
    isolation: Arc<Isolation>,
    seq: CommitSeq,
}

impl Snapshot {
    /// The last commit that the reader sees.
    pub(crate) fn seq(&self) -> CommitSeq {
        self.seq
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let mut state = self.isolation.state.lock();
        if let Some(count) = state.held.get_mut(&self.seq) {
            *count -= 1;
            if *count == 0 {
                state.held.remove(&self.seq);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_visible_only_with_all_before_it() {
        let isolation = Arc::new(Isolation::default());
        let (first, second) = (isolation.promise(1), isolation.promise(2));
        drop(second);
        assert_eq!(isolation.snapshot().seq(), 0);
        first.show();
        let snapshot = isolation.snapshot();
        assert_eq!(snapshot.seq(), 2);
        isolation.promise(3).show();
        assert_eq!(isolation.watermarks(), (2, 3));
        let readers = isolation.readers();
        assert_eq!((readers.visible, readers.held), (3, vec![2]));
        drop(snapshot);
        assert_eq!(isolation.watermarks(), (3, 3));
    }
}
