//! Remote write as a whole, in one process: a real log, real HTTP, and a receiver that can be made to misbehave.

mod crash;
mod damaged_cursor;
mod damaged_log;
mod dialects;
mod doubts;
mod feed;
mod meeting;
mod odd_answers;
mod outage;
mod poison;
mod promises;
mod real_peer;
mod receiver;
mod refusals;
mod reloads;
mod restarts;
mod truncation;
mod world;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use narthex_config::{RemoteWriteConfig, Url};
use narthex_metrics::{Registry, Value};
use narthex_model::Labels;
use narthex_wal::Tip;

use crate::{RemoteWrite, RemoteWriteOptions};
use feed::{Feed, Samples};
use receiver::{Mode, Receiver};

/// An endpoint with small batches and short waits.
fn config(receiver: &Receiver) -> RemoteWriteConfig {
    let mut config = RemoteWriteConfig {
        url: Some(Url::parse(&receiver.url()).unwrap()),
        remote_timeout_ms: 150,
        ..RemoteWriteConfig::default()
    };
    let queue = &mut config.queue_config;
    queue.max_samples_per_send = 50;
    queue.capacity = 200;
    queue.max_shards = 8;
    queue.batch_send_deadline_ms = 20;
    queue.min_backoff_ms = 1;
    queue.max_backoff_ms = 20;
    config.metadata_config.send = false;
    config
}

fn remote(dir: &Path, tip: Tip, registry: &Registry) -> RemoteWrite {
    let options = RemoteWriteOptions {
        data_dir: dir.to_owned(),
        tip,
        flush_deadline: Duration::from_secs(20),
        backlog: None,
        live: None,
        metadata: None,
    };
    RemoteWrite::new(options, registry)
}

async fn start(dir: &Path, tip: Tip, configs: &[RemoteWriteConfig]) -> (RemoteWrite, Registry) {
    let registry = Registry::new();
    let remote = remote(dir, tip, &registry);
    remote.apply_config(configs, &Labels::empty()).await.unwrap();
    (remote, registry)
}

/// Waits until the condition holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The sum of a metric over its label sets.
fn metric(registry: &Registry, name: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name == name);
    let values = family.into_iter().flat_map(|family| &family.metrics).map(|metric| match &metric.value {
        Value::Number(value) => *value,
        Value::Histogram { count, .. } | Value::Summary { count, .. } => *count as f64,
    });
    values.sum()
}
