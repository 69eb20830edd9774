//! Which message an endpoint is sent: the one that is configured, or 1.0 where 2.0 is not understood.
//!
//! An endpoint that was never seen to understand 2.0 may be one of 1.0 that does not look at the content type: it then refuses what
//! it cannot read, or accepts it and stores nothing. The counts of what was written, which every receiver of 2.0 answers, tell.
//! Always true: 1.0 is sent only where it is configured or 2.0 was not understood; after an hour 2.0 is tried again, and so it is
//! after a restart or a change of the section. A fall-back is logged once.
//! COMPAT: Prometheus drops the samples of a 2.0 request that is answered 415, or 2xx without counts; we send them in 1.0.

use std::time::Duration;

use narthex_config::WriteMessage;
use parking_lot::Mutex;
use tokio::time::Instant;

/// How long 1.0 is sent before 2.0 is tried again.
const FALL_BACK_FOR: Duration = Duration::from_secs(3600);
/// The shortest time between two warnings that an endpoint wrote less than it accepted.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// See the module's words.
#[derive(Debug)]
pub(crate) struct Dialect {
    wanted: WriteMessage,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    understands: Understands,
    is_logged: bool,
    warned: Option<Instant>,
}

/// What is known of an endpoint and 2.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Understands {
    Perhaps,
    Yes,
    /// Not before this.
    NotUntil(Instant),
}

/// What an endpoint says that it wrote: samples, exemplars, histograms. `None` when it says nothing at all.
pub(crate) type Written = Option<[u64; 3]>;

impl Dialect {
    /// That of an endpoint which was not asked yet.
    #[must_use]
    pub(crate) fn new(wanted: WriteMessage) -> Self {
        let state = State { understands: Understands::Perhaps, is_logged: false, warned: None };
        Self { wanted, state: Mutex::new(state) }
    }

    /// What to send now.
    #[must_use]
    pub(crate) fn message(&self) -> WriteMessage {
        if self.wanted == WriteMessage::V1 {
            return WriteMessage::V1;
        }
        let understands = &mut self.state.lock().understands;
        match *understands {
            Understands::Perhaps | Understands::Yes => WriteMessage::V2,
            Understands::NotUntil(until) if Instant::now() < until => WriteMessage::V1,
            Understands::NotUntil(_) => {
                *understands = Understands::Perhaps;
                WriteMessage::V2
            }
        }
    }

    /// Whether the endpoint has shown that it understands 2.0.
    #[must_use]
    pub(crate) fn is_proven(&self) -> bool {
        self.state.lock().understands == Understands::Yes
    }

    /// The endpoint answered as only one of 2.0 does.
    pub(crate) fn prove(&self) {
        self.state.lock().understands = Understands::Yes;
    }

    /// The endpoint does not understand 2.0. Whether to log it.
    pub(crate) fn fall_back(&self) -> bool {
        let mut state = self.state.lock();
        state.understands = Understands::NotUntil(Instant::now() + FALL_BACK_FOR);
        !std::mem::replace(&mut state.is_logged, true)
    }

    /// Whether to warn that less was written than accepted.
    pub(crate) fn may_warn(&self) -> bool {
        let mut state = self.state.lock();
        let now = Instant::now();
        let may = state.warned.is_none_or(|warned| now - warned >= WARN_EVERY);
        if may {
            state.warned = Some(now);
        }
        may
    }
}

/// The counts of an answer's headers, given in the order samples, exemplars, histograms; an empty text is an absent header. What
/// is no number counts as 0, as the specification says of what is absent: such an endpoint has shown that it knows the headers.
#[must_use]
pub(crate) fn written(headers: [&str; 3]) -> Written {
    headers.iter().any(|text| !text.is_empty()).then(|| headers.map(|text| text.trim().parse().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_and_any_header_is_enough() {
        assert_eq!(written(["", "", ""]), None);
        assert_eq!(written(["3", "", " 4 "]), Some([3, 0, 4]));
        assert_eq!(written(["-1", "18446744073709551616", "x"]), Some([0, 0, 0]));
    }

    #[test]
    fn what_was_not_understood_is_tried_again_after_an_hour_and_logged_once() {
        let dialect = Dialect::new(WriteMessage::V2);
        assert_eq!((dialect.message(), dialect.is_proven()), (WriteMessage::V2, false));
        dialect.prove();
        assert!(dialect.is_proven());
        assert!(dialect.fall_back());
        assert_eq!((dialect.message(), dialect.is_proven()), (WriteMessage::V1, false));
        dialect.state.lock().understands = Understands::NotUntil(Instant::now());
        assert_eq!((dialect.message(), dialect.is_proven()), (WriteMessage::V2, false));
        assert!(!dialect.fall_back());
        let plain = Dialect::new(WriteMessage::V1);
        assert_eq!(plain.message(), WriteMessage::V1);
    }
}
