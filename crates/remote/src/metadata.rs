//! Type, unit and help of metric families, sent on a timer with remote write 1.0; 2.0
//! carries them beside the samples, and is told here what there is.
//!
//! Metadata is not in the log and not ordered with samples: what is missed is sent again with the next round.

use std::sync::Arc;
use std::time::Duration;

use narthex_config::{MetadataConfig, WriteMessage};
use narthex_model::Metadata;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout_at};

use crate::deliver::Sender;
use crate::families::Families;
use crate::job::Encoder;
use crate::target::Verdict;

/// Who knows the metadata of what is scraped.
pub trait MetadataSource: Send + Sync {
    /// Every family that a target shows now, each name once.
    fn families(&self) -> Vec<(String, Metadata)>;
}

/// Sends metadata until dropped.
pub(crate) async fn send_metadata(
    sender: Arc<Sender>,
    config: MetadataConfig,
    source: Arc<dyn MetadataSource>,
) {
    let every = Duration::from_millis(config.send_interval_ms.max(1000).unsigned_abs());
    let most = usize::try_from(config.max_samples_per_send).unwrap_or(1).max(1);
    if sender.dialect.message() == WriteMessage::V2 {
        *sender.families.lock() = Arc::new(Families::new(source.families()));
    }
    let mut round = interval_at(Instant::now() + every, every);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let started = round.tick().await;
        if sender.dialect.message() == WriteMessage::V2 {
            *sender.families.lock() = Arc::new(Families::new(source.families()));
            continue;
        }
        let families = source.families();
        for part in families.chunks(most) {
            let body = Encoder::default().encode_metadata(part);
            let [sent, failed, _] = &sender.metrics.metadata;
            match timeout_at(started + every, send_part(&sender, &body, part.len())).await {
                Ok(true) => {
                    sent.add(part.len() as f64);
                    sender.metrics.metadata_bytes.add(body.len() as f64);
                }
                Ok(false) | Err(_) => failed.add(part.len() as f64),
            }
        }
    }
}

/// Whether the endpoint took it, at last; `false` when it refused.
async fn send_part(sender: &Sender, body: &bytes::Bytes, count: usize) -> bool {
    let mut wait = sender.backoff.min;
    for attempt in 0.. {
        match sender.target.post(WriteMessage::V1, body.clone(), attempt).await {
            Verdict::Accepted(_) => return true,
            Verdict::Refused { text, .. } => {
                tracing::warn!(remote_name = sender.status.name(), err = text, "Failed to send metadata");
                return false;
            }
            Verdict::Later { wait: asked, .. } => {
                sender.metrics.metadata[2].add(count as f64);
                sleep(asked.unwrap_or(wait)).await;
                wait = (wait * 2).clamp(sender.backoff.min, sender.backoff.max);
            }
        }
    }
    unreachable!("attempts have no end")
}
