//! Dead letters are offered to their endpoint again.
//!
//! A file of letters at a time, in requests as large as those of the endpoint; a refused request is halved until the refused
//! letters stand alone. Those that were accepted leave the store, those that were refused again stay with the new reason.
//! Always true: no letter leaves before its endpoint accepted it; a crash makes at most the letters of one file be sent again; the
//! letters of a series go out in the order in which they were refused; one file is in memory.
//! Blocks its thread; must not run on one of the network's.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use narthex_config::WriteMessage;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::dead_letter::{Content, DeadLetter, Edit, Fate, Selection};
use crate::deliver::{Delivered, Sender, Tries};
use crate::endpoint::now_ms;
use crate::job::{Encoder, Names, Piece};
use crate::lane::{Entry, OtherEntry};
use crate::series::Series;
use crate::slots::Slots;
use crate::source::Other;

/// What a replay did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Letters that the endpoint has now.
    pub accepted: u64,
    /// Letters that it refused again.
    pub refused: u64,
    /// The highest number that was settled; with `more`, a further replay goes on behind it.
    pub last: u64,
    /// Whether there are letters that were not offered.
    pub more: bool,
    /// Why it ended early, when that was not for the bounds.
    pub stopped: Option<String>,
}

/// The bounds of one replay.
#[derive(Clone, Copy, Debug)]
pub struct ReplayBounds {
    /// At least one and about so many letters are offered.
    pub letters: u64,
    /// When it ends; what is on its way is waited for until then.
    pub deadline: Instant,
}

/// Offers the letters that `wanted` means.
///
/// # Errors
/// The disk's. What was accepted before has left the store, but perhaps for the letters of one file.
pub(crate) fn replay(
    edit: &Edit<'_>,
    sender: &Sender,
    per_send: usize,
    wanted: &Selection,
    bounds: ReplayBounds,
) -> io::Result<Replayed> {
    let mut offer = Offer {
        sender,
        deadline: bounds.deadline,
        tries: watch::Sender::new(Tries::Endless),
        fates: HashMap::new(),
        done: Replayed::default(),
    };
    for (at, first) in edit.files.iter().enumerate() {
        if edit.files.get(at + 1).is_some_and(|newer| *newer <= wanted.after.saturating_add(1)) {
            continue;
        }
        let mut letters = edit.letters(*first)?;
        letters.retain(|letter| wanted.takes(letter));
        for letters in letters.chunks(per_send.max(1)) {
            let done = &offer.done;
            if offer.done.stopped.is_some() || done.accepted + done.refused >= bounds.letters {
                offer.done.more = true;
                break;
            }
            offer.letters(letters);
        }
        edit.settle(*first, &std::mem::take(&mut offer.fates))?;
        if offer.done.more {
            break;
        }
    }
    Ok(offer.done)
}

struct Offer<'a> {
    sender: &'a Sender,
    deadline: Instant,
    /// The deadline alone ends them.
    tries: watch::Sender<Tries>,
    /// Of the file at hand.
    fates: HashMap<u64, Fate>,
    done: Replayed,
}

impl Offer<'_> {
    /// Offers letters that fit one request.
    fn letters(&mut self, letters: &[DeadLetter]) {
        let mut in_series: Vec<&DeadLetter> = letters.iter().collect();
        in_series.sort_by(|a, b| a.labels.cmp(&b.labels));
        let mut encoder = Encoder::default();
        let mut pieces = vec![&in_series[..]];
        let mut in_doubt = false;
        let families = Arc::clone(&self.sender.families.lock());
        while let Some(piece) = pieces.pop() {
            let message = if in_doubt { WriteMessage::V1 } else { self.sender.dialect.message() };
            let was_in_doubt = std::mem::take(&mut in_doubt);
            let (slots, content) = piece_of(piece);
            let request = encoder.encode(&content, Names { slots: &slots, source: None }, message, &families);
            let mut tries = self.tries.subscribe();
            let delivery = self.sender.deliver(request, content.counts(), &mut tries);
            let delivered = Handle::current().block_on(timeout_at(self.deadline, delivery));
            if was_in_doubt && delivered == Ok(Delivered::Accepted) {
                self.sender.fall_back("it refused in 2.0 what it took in 1.0");
            }
            match (delivered, piece) {
                (Ok(Delivered::NotUnderstood), piece) => pieces.push(piece),
                (Ok(Delivered::Doubtful), piece) => {
                    pieces.push(piece);
                    in_doubt = true;
                }
                (Err(_) | Ok(Delivered::GivenUp { .. }), _) => return self.stop(),
                (Ok(Delivered::Accepted), piece) => {
                    narthex_disk::point("dead_letters.accepted");
                    self.sender.metrics.count_sent(content.counts());
                    self.sender.metrics.dead_letters_replayed.add(piece.len() as f64);
                    self.done.accepted += piece.len() as u64;
                    self.settled(piece, &Fate::Gone);
                }
                (Ok(Delivered::Refused { status, text, .. }), [_]) => {
                    self.done.refused += 1;
                    self.settled(
                        piece,
                        &Fate::RefusedAgain { status, reason: Arc::from(text), at_ms: now_ms() },
                    );
                }
                (Ok(Delivered::Refused { .. }), piece) => {
                    let (earlier, later) = piece.split_at(piece.len() / 2);
                    pieces.extend([later, earlier]);
                }
            }
        }
        let last = letters.last().map_or(0, |letter| letter.id);
        self.done.last = self.done.last.max(last);
    }

    fn settled(&mut self, letters: &[&DeadLetter], fate: &Fate) {
        self.fates.extend(letters.iter().map(|letter| (letter.id, fate.clone())));
    }

    fn stop(&mut self) {
        let reason = match self.sender.status.failing() {
            Some((error, _)) => format!("the endpoint does not answer as it should: {error}"),
            None => "the time for it was over; go on with another replay".to_owned(),
        };
        self.done.stopped = Some(reason);
        self.done.more = true;
    }
}

/// Letters as a request is made of them; those of one series must follow each other.
fn piece_of(letters: &[&DeadLetter]) -> (Slots, Piece) {
    let (mut slots, mut piece) = (Slots::default(), Piece { samples: Vec::new(), others: Vec::new() });
    for run in letters.chunk_by(|a, b| a.labels == b.labels) {
        let slot = slots.number(Series::as_sent(&run[0].labels));
        for letter in run {
            let start_ms = letter.start_ms;
            match &letter.content {
                Content::Sample { t_ms, value } => {
                    piece.samples.push(Entry { slot, block: 0, t_ms: *t_ms, value: *value, start_ms });
                }
                Content::Other { kind, t_ms, encoded } => {
                    let (kind, t_ms, encoded) = (*kind, t_ms.unwrap_or(0), encoded.as_slice().into());
                    let other = Other { place: None, t_ms, start_ms, at: Default::default(), kind, encoded };
                    piece.others.push(OtherEntry { slot, block: 0, other });
                }
            }
        }
    }
    (slots, piece)
}
