//! Which providers run, and what they found, by set.
//!
//! Always true: two sets with equal discovery sections share one provider; a provider whose section did not change goes on
//! through a reload; the groups of static sections and the first reading of files are there when `apply` returns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use narthex_config::{FileSdConfig, SdConfigs, TargetGroup};
use narthex_metrics::Registry;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::file::FileProvider;
use crate::metrics::DiscoveryMetrics;

/// News that follow each other faster than this are told together.
const GATHER: Duration = Duration::from_millis(50);

/// Runs providers for sets of targets. A clone is the same manager.
#[derive(Clone)]
pub struct Discovery {
    inner: Arc<Inner>,
}

struct Inner {
    metrics: DiscoveryMetrics,
    /// Held to copy lists of groups, never across an await or while a file is read.
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    sets: BTreeMap<String, Set>,
    providers: BTreeMap<u64, Provider>,
    next_provider: u64,
    /// Sets whose groups changed since the last [`Discovery::changed`].
    dirty: BTreeSet<String>,
}

#[derive(Default, PartialEq)]
struct Set {
    statics: Vec<Arc<TargetGroup>>,
    providers: Vec<u64>,
}

struct Provider {
    config: FileSdConfig,
    groups: Vec<Arc<TargetGroup>>,
    task: AbortHandle,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Discovery {
    /// A manager without sets. `name` tells it from others in metrics: `scrape` or `notify`.
    #[must_use]
    pub fn new(name: &str, registry: &Registry) -> Self {
        let metrics = DiscoveryMetrics::new(registry, name);
        Self { inner: Arc::new(Inner { metrics, state: Mutex::default(), news: Notify::new() }) }
    }

    /// Makes the sets be exactly these. Reads files that are new to it (blocks shortly), starts and stops providers.
    /// Must be called in a tokio runtime.
    pub fn apply(&self, sets: impl IntoIterator<Item = (String, SdConfigs)>) {
        let wanted: Vec<(String, SdConfigs)> = sets.into_iter().collect();
        let found = self.start_missing(&wanted);
        let mut state = self.inner.state.lock();
        for (config, provider, id) in found {
            let task = self.spawn(id, provider.1);
            state.providers.insert(id, Provider { config, groups: provider.0, task });
        }
        let mut sets = BTreeMap::new();
        for (name, sd) in wanted {
            let statics = sd.static_configs.into_iter().map(Arc::new).collect();
            let same = |config: &FileSdConfig| {
                state.providers.iter().find(|(_, p)| p.config == *config).map(|(id, _)| *id)
            };
            let providers = sd.file_sd_configs.iter().filter_map(same).collect();
            let set = Set { statics, providers };
            if state.sets.get(&name) != Some(&set) {
                state.dirty.insert(name.clone());
            }
            sets.insert(name, set);
        }
        let used: BTreeSet<u64> = sets.values().flat_map(|set| set.providers.iter().copied()).collect();
        state.providers.retain(|id, _| used.contains(id));
        for gone in state.sets.keys().filter(|name| !sets.contains_key(*name)) {
            self.inner.metrics.remove(gone);
        }
        state.sets = sets;
        for name in state.sets.keys() {
            self.inner.metrics.set_discovered(name, state.count(name));
        }
        drop(state);
        self.inner.news.notify_one();
    }

    /// All groups of a set now; empty for an unknown one.
    #[must_use]
    pub fn groups(&self, set: &str) -> Vec<Arc<TargetGroup>> {
        self.inner.state.lock().groups(set)
    }

    /// Waits for news and returns the names of the sets whose groups changed since the last call (also by `apply`).
    pub async fn changed(&self) -> BTreeSet<String> {
        loop {
            self.inner.news.notified().await;
            // So that a burst of updates costs one synchronisation.
            tokio::time::sleep(GATHER).await;
            let dirty = self.take_changed();
            if !dirty.is_empty() {
                return dirty;
            }
        }
    }

    /// Like [`Discovery::changed`] without waiting; empty when there is nothing new.
    #[must_use]
    pub fn take_changed(&self) -> BTreeSet<String> {
        let dirty = std::mem::take(&mut self.inner.state.lock().dirty);
        if !dirty.is_empty() {
            self.inner.metrics.sent.inc();
        }
        dirty
    }

    /// Stops all providers; groups stay as they are.
    pub fn stop(&self) {
        self.inner.state.lock().providers.values().for_each(|provider| provider.task.abort());
    }

    /// Reads the files of sections that no provider has yet.
    #[expect(clippy::type_complexity, reason = "what `apply` needs of each new provider, in one pass")]
    fn start_missing(
        &self,
        wanted: &[(String, SdConfigs)],
    ) -> Vec<(FileSdConfig, (Vec<Arc<TargetGroup>>, FileProvider), u64)> {
        let mut missing: Vec<FileSdConfig> = Vec::new();
        let mut state = self.inner.state.lock();
        for config in wanted.iter().flat_map(|(_, sd)| &sd.file_sd_configs) {
            if !missing.contains(config) && state.providers.values().all(|p| p.config != *config) {
                missing.push(config.clone());
            }
        }
        let first = state.next_provider;
        state.next_provider += missing.len() as u64;
        drop(state);
        let start = |(id, config): (u64, FileSdConfig)| {
            let mut provider = FileProvider::new(config.clone(), self.inner.metrics.file.clone());
            provider.refresh();
            self.inner.metrics.received.inc();
            (config, (provider.groups(), provider), id)
        };
        (first..).zip(missing).map(start).collect()
    }

    fn spawn(&self, id: u64, provider: FileProvider) -> AbortHandle {
        let inner = Arc::downgrade(&self.inner);
        let publish = move |groups| {
            if let Some(inner) = inner.upgrade() {
                inner.publish(id, groups);
            }
        };
        tokio::spawn(provider.follow(publish)).abort_handle()
    }
}

impl Inner {
    fn publish(&self, id: u64, groups: Vec<Arc<TargetGroup>>) {
        self.metrics.received.inc();
        let mut state = self.state.lock();
        let Some(provider) = state.providers.get_mut(&id) else { return };
        provider.groups = groups;
        let state = &mut *state;
        for (name, set) in &state.sets {
            if set.providers.contains(&id) {
                state.dirty.insert(name.clone());
                self.metrics.set_discovered(name, state.count(name));
            }
        }
        self.news.notify_one();
    }
}

impl State {
    fn groups(&self, set: &str) -> Vec<Arc<TargetGroup>> {
        let Some(set) = self.sets.get(set) else { return Vec::new() };
        let found = set.providers.iter().filter_map(|id| self.providers.get(id)).flat_map(|p| &p.groups);
        set.statics.iter().chain(found).cloned().collect()
    }

    fn count(&self, set: &str) -> usize {
        self.groups(set).iter().map(|group| group.targets.len()).sum()
    }
}

#[cfg(test)]
mod tests;
