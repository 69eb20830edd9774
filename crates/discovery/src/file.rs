//! `file_sd_configs`: target groups in files that are watched and, should the watcher miss something, read again every
//! refresh interval.
//!
//! Always true: a file that cannot be read or is malformed keeps the groups it gave last; it is counted and logged. A file that
//! is gone gives none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use narthex_config::{FileSdConfig, TargetGroup};
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::group_file;
use crate::metrics::FileMetrics;

/// Writers touch a file several times in a row; one look after the burst is enough.
const SETTLE: Duration = Duration::from_millis(20);
/// However long a burst lasts, this is the longest wait.
const MOST_SETTLE: Duration = Duration::from_millis(500);

/// The state of one `file_sd_configs` entry.
pub(crate) struct FileProvider {
    config: FileSdConfig,
    metrics: FileMetrics,
    files: BTreeMap<PathBuf, Vec<Arc<TargetGroup>>>,
}

impl FileProvider {
    pub(crate) fn new(config: FileSdConfig, metrics: FileMetrics) -> Self {
        Self { config, metrics, files: BTreeMap::new() }
    }

    /// Reads all files. Returns whether any group changed. Blocks on the disk.
    pub(crate) fn refresh(&mut self) -> bool {
        let start = Instant::now();
        let mut next = BTreeMap::new();
        for path in self.config.files.iter().flat_map(|pattern| expand(pattern)) {
            let groups = match group_file::read(&path) {
                Ok((groups, mtime)) => {
                    self.metrics.mtime.with(&[&path.display().to_string()]).set(mtime);
                    groups.into_iter().map(Arc::new).collect()
                }
                Err(err) => {
                    self.metrics.read_errors.inc();
                    tracing::error!(path = %path.display(), %err, "Error reading file");
                    self.files.get(&path).cloned().unwrap_or_default()
                }
            };
            next.insert(path, groups);
        }
        for gone in self.files.keys().filter(|path| !next.contains_key(*path)) {
            self.metrics.mtime.remove(&[&gone.display().to_string()]);
        }
        let changed = next != self.files;
        self.files = next;
        self.metrics.scan_seconds.observe(start.elapsed().as_secs_f64());
        changed
    }

    /// All groups, in order of files and of their place in the file.
    pub(crate) fn groups(&self) -> Vec<Arc<TargetGroup>> {
        self.files.values().flatten().cloned().collect()
    }

    /// Follows the files until the task is dropped; calls `publish` with all groups after each change.
    pub(crate) async fn follow(mut self, publish: impl Fn(Vec<Arc<TargetGroup>>) + Send) {
        let touched = Arc::new(Notify::new());
        let mut watch = self.watcher(&touched);
        let every = Duration::from_millis(self.config.refresh_interval_ms.max(1).unsigned_abs());
        loop {
            self.watch_directories(&mut watch);
            let woken = tokio::time::timeout(every, touched.notified()).await.is_ok();
            if woken {
                settle(&touched).await;
            }
            let changed;
            (self, changed) = self.refresh_off_thread().await;
            if changed {
                publish(self.groups());
            }
        }
    }

    /// [`FileProvider::refresh`] where it may block.
    async fn refresh_off_thread(mut self) -> (Self, bool) {
        let work = move || {
            let changed = self.refresh();
            (self, changed)
        };
        tokio::task::spawn_blocking(work).await.expect("reading files does not panic")
    }

    fn watcher(&self, touched: &Arc<Notify>) -> Option<RecommendedWatcher> {
        let (touched, errors) = (Arc::clone(touched), self.metrics.watcher_errors.clone());
        let heard = move |event: notify::Result<notify::Event>| match event {
            Ok(event) if tells_of_content(event.kind) => touched.notify_one(),
            Ok(_) => {}
            Err(err) => {
                errors.inc();
                tracing::error!(%err, "Error watching file");
            }
        };
        notify::recommended_watcher(heard)
            .inspect_err(|err| {
                self.metrics.watcher_errors.inc();
                tracing::error!(%err, "Error adding file watcher");
            })
            .ok()
    }

    /// A directory may come and go; watching it again is how it is found.
    fn watch_directories(&self, watch: &mut Option<RecommendedWatcher>) {
        let Some(watch) = watch else { return };
        for pattern in &self.config.files {
            let directory = directory_of(pattern);
            if let Err(err) = watch.watch(&directory, RecursiveMode::NonRecursive) {
                tracing::debug!(path = %directory.display(), %err, "Error adding file watch");
            }
        }
    }
}

/// The files that match a pattern, sorted. The configuration was refused if it cannot be read.
fn expand(pattern: &str) -> Vec<PathBuf> {
    narthex_config::glob(pattern).unwrap_or_default().into_iter().map(PathBuf::from).collect()
}

/// The directory to watch for a pattern.
fn directory_of(pattern: &str) -> PathBuf {
    match Path::new(pattern).parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

async fn settle(touched: &Notify) {
    let end = Instant::now() + MOST_SETTLE;
    while Instant::now() < end && tokio::time::timeout(SETTLE, touched.notified()).await.is_ok() {}
}

/// Reading a file is an event too; reacting to it would never end.
fn tells_of_content(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => false,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_are_there_are_found_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.yml", "a.yml", "c.json"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let names = |pattern: &str| {
            let found = expand(dir.path().join(pattern).to_str().unwrap());
            found.iter().map(|p| p.file_name().unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("*.yml"), ["a.yml", "b.yml"]);
        assert_eq!(names("c.json"), ["c.json"]);
        assert!(names("d.json").is_empty() && names("none/*.yml").is_empty());
    }
}
