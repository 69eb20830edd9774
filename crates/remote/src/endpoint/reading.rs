//! How much an endpoint reads at a time: until enough waits, until there is no more, or for a while.
//!
//! Always true: reading ends after about [`AT_A_TIME`], however fast the log grows and whatever becomes of what it brings: events
//! are handled, requests made and the cursor saved in between. Must not know: what is in a block.

use std::time::{Duration, Instant};

use narthex_wal::ReadError;

use super::{Endpoint, READ_RETRY};
use crate::source::Follower;

/// How long to read before anything else is looked at.
pub(super) const AT_A_TIME: Duration = Duration::from_millis(if cfg!(test) { 2 } else { 50 });

/// Why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// There is no more, or it cannot be read now.
    All,
    /// Enough waits to be sent.
    Full,
    /// It took a while; there is more.
    More,
}

impl Endpoint {
    /// Reads on.
    pub(super) fn read(&mut self, now: Instant) -> Reading {
        if matches!(self.stop, Some((false, _))) || now < self.read_again {
            return Reading::All;
        }
        let reading = if self.is_behind() { self.read_behind(now) } else { self.read_log(now) };
        if reading == Reading::Full {
            self.parts.sender.metrics.enqueue_retries.inc();
        }
        reading
    }

    fn read_log(&mut self, now: Instant) -> Reading {
        while self.has_room() {
            let at = self.parts.lanes.log_position();
            match self.parts.source.block(at, &mut self.follower) {
                Ok(Some(block)) => {
                    match self.is_meeting() {
                        true => self.fill_met(&block, now),
                        false => self.fill(&block, now),
                    }
                    self.parts.source.recycle(block);
                }
                Ok(None) => return Reading::All,
                Err(error) => {
                    self.cannot_read(&error, now);
                    return Reading::All;
                }
            }
            if now.elapsed() > AT_A_TIME {
                return Reading::More;
            }
        }
        Reading::Full
    }

    /// Whether more may wait.
    pub(super) fn has_room(&self) -> bool {
        self.parts.lanes.waiting() < self.limits.waiting
    }

    pub(super) fn cannot_read(&mut self, error: &ReadError, now: Instant) {
        let at = self.parts.lanes.log_position();
        let next = self.parts.source.resume_after(error, at);
        tracing::error!(
            remote_name = self.parts.sender.status.name(), %error, %at, goes_on_at = ?next.map(|next| next.to_string()),
            "cannot read the WAL for remote write; reading goes on at another place, or it is tried again"
        );
        self.read_again = now + READ_RETRY;
        self.follower = Follower::default();
        if let Some(next) = next {
            self.skip_log(next, error);
        }
    }
}
