//! Remote write as the web side sees it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use narthex_model::{Labels, format_float};
use narthex_remote::dead_letter::{Content, DeadLetter, ReasonSummary, Selection};
use narthex_remote::{EndpointState, GapSummary, LetterError, RemoteWrite, ReplayBounds};
use narthex_web::{
    ApiError, ErrorType, Letter, LetterReason, LetterReplay, LetterSelection, LetterStore, RemoteEndpoint,
    RemoteGap, RemoteGaps, RemoteWriteService,
};
use tokio::time::Instant;

use crate::parts::{RemoteHold, chain};

/// Answers for remote write, which runs once the storage is open.
pub(crate) struct Remote(pub(crate) Arc<RemoteHold>);

impl Remote {
    fn running(&self) -> Result<&RemoteWrite, ApiError> {
        let remote = self.0.remote().map(|remote| &**remote);
        remote.ok_or_else(|| {
            let reason = "remote write does not run yet: the storage is being opened, or its configuration was refused; see the log";
            ApiError::new(ErrorType::Unavailable, reason)
        })
    }
}

impl RemoteWriteService for Remote {
    fn endpoints(&self) -> Vec<RemoteEndpoint> {
        self.0.remote().map(|remote| remote.states().into_iter().map(endpoint).collect()).unwrap_or_default()
    }

    fn stores(&self) -> Result<Vec<LetterStore>, ApiError> {
        let stores = self.running()?.letter_stores().map_err(|e| to_api(&e))?;
        Ok(stores.into_iter().map(store).collect())
    }

    fn letters(&self, wanted: &LetterSelection, limit: usize) -> Result<(Vec<Letter>, bool), ApiError> {
        let (mut letters, mut more) = (Vec::new(), false);
        let look = |letter| {
            more = letters.len() >= limit;
            if more {
                return ControlFlow::Break(());
            }
            letters.push(shown(letter));
            ControlFlow::Continue(())
        };
        self.running()?.each_letter(&wanted.endpoint, &selection(wanted), look).map_err(|e| to_api(&e))?;
        Ok((letters, more))
    }

    fn replay(
        &self,
        wanted: &LetterSelection,
        limit: u64,
        timeout: Duration,
    ) -> Result<LetterReplay, ApiError> {
        let bounds = ReplayBounds { letters: limit, deadline: Instant::now() + timeout };
        let done = self.running()?.replay_letters(&wanted.endpoint, &selection(wanted), bounds);
        let done = done.map_err(|e| to_api(&e))?;
        tracing::info!(
            component = "remote",
            endpoint = wanted.endpoint,
            accepted = done.accepted,
            refused = done.refused,
            "Dead letters were replayed"
        );
        Ok(LetterReplay {
            accepted: done.accepted,
            refused: done.refused,
            last: done.last,
            more: done.more,
            stopped: done.stopped,
        })
    }

    fn drop_letters(&self, wanted: &LetterSelection) -> Result<u64, ApiError> {
        let dropped =
            self.running()?.drop_letters(&wanted.endpoint, &selection(wanted)).map_err(|e| to_api(&e))?;
        tracing::info!(
            component = "remote",
            endpoint = wanted.endpoint,
            letters = dropped,
            "Dead letters were dropped"
        );
        Ok(dropped)
    }
}

fn to_api(error: &LetterError) -> ApiError {
    let kind = match error {
        LetterError::Unknown { .. } | LetterError::Several(_) | LetterError::NotConfigured(_) => {
            ErrorType::BadData
        }
        LetterError::Failing { .. } | LetterError::Busy(_) => ErrorType::Overloaded,
        LetterError::Io { .. } => ErrorType::Internal,
    };
    ApiError::new(kind, chain(error))
}

fn selection(wanted: &LetterSelection) -> Selection {
    let LetterSelection { endpoint: _, ids, selectors, status, after } = wanted.clone();
    Selection { ids, selectors, status, after }
}

fn endpoint(state: EndpointState) -> RemoteEndpoint {
    RemoteEndpoint {
        id: state.id,
        name: state.name,
        url: state.url,
        protocol: state.protocol,
        protocol_sent: state.protocol_sent,
        catch_up: state.database_read_to_ms.map(|t_ms| (t_ms, state.late_bytes)),
        gaps: gaps(state.gaps),
        failing_for: state.failing_for,
        last_error: state.last_error,
        backoff: state.backoff,
        lag: state.lag,
        lag_samples: state.lag_samples,
        pending: state.pending,
        unread_bytes: state.unread_bytes,
        cursor: (state.cursor.segment, state.cursor.offset),
        tip: (state.tip.segment, state.tip.offset),
        in_flight: state.in_flight,
        allowed: state.allowed,
        bounds: state.bounds,
        letters: (state.letters.letters, state.letters.bytes, state.letters.evicted),
    }
}

fn gaps(of: GapSummary) -> RemoteGaps {
    let last = of.last.map(|last| RemoteGap {
        time_ms: last.time_ms,
        cause: last.cause,
        from_ms: last.from_ms,
        to_ms: last.to_ms,
    });
    RemoteGaps { count: of.records, samples: of.samples, exemplars: of.exemplars, last }
}

/// A store as the API shows it.
pub(crate) fn store(store: narthex_remote::LetterStore) -> LetterStore {
    let summary = store.summary;
    LetterStore {
        id: store.id,
        name: summary.name,
        url: summary.url,
        is_configured: store.is_configured,
        letters: summary.letters,
        bytes: summary.bytes,
        unreadable: summary.unreadable,
        ids: summary.ids,
        refused_ms: summary.refused_ms,
        sample_ms: summary.sample_ms,
        reasons: summary.reasons.into_iter().map(reason).collect(),
    }
}

fn reason(of: ReasonSummary) -> LetterReason {
    LetterReason {
        status: of.status,
        reason: of.reason,
        letters: of.letters,
        last_refused_ms: of.last_refused_ms,
    }
}

/// A letter as the API shows it.
pub(crate) fn shown(letter: DeadLetter) -> Letter {
    Letter {
        id: letter.id,
        refused_ms: letter.refused_ms,
        status: letter.status,
        kind: letter.content.kind(),
        t_ms: letter.content.t_ms(),
        content: match &letter.content {
            Content::Sample { value, .. } => format_float(*value),
            Content::Other { encoded, .. } => encoded.iter().map(|byte| format!("{byte:02x}")).collect(),
        },
        labels: Labels::from_pairs(letter.labels.iter().map(|(name, value)| (&**name, &**value))),
        reason: letter.reason,
    }
}
