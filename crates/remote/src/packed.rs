//! A request of 1.0 whose snappy block is written at once, without the message that it stands for.
//!
//! Labels come as numbers of the head's texts. A label that was written a short while ago becomes a copy of those bytes, and those
//! behind it stay in that copy while the series goes on as that one did: what a compressor finds by hashing all bytes is
//! known here from one look at a number. Texts are looked up for labels that are new, and nothing is written twice.
//! Most labels stand where the series before had them: these are found without hashing.
//! Must not know: lanes, catalogs, HTTP. Always true: a copy reaches back at most 65,535 bytes; what is remembered of the head's
//! numbers is forgotten when one of them was freed.
//! Oracle of the tests: the message as `wire` writes it, unpacked by the `snap` crate.
//! PERF: per label a hash and a comparison of 16 bytes; per series its samples' bytes and some 5 operations of 3 bytes.

mod block;
mod seen;

use narthex_model::Labels;
use narthex_storage::{LentLabels, NumberedTexts};

use self::block::Block;
use self::seen::{Found, Number, REACH, Seen};
use crate::wire;

/// Stands for the name of external labels; their index stands for the value. No text of the head has this number.
const EXTERNAL: u32 = u32::MAX;
/// The longest key and length of a series.
const MOST_BEFORE_LABELS: usize = 6;

/// A label of the series at hand.
#[derive(Clone, Copy)]
struct Label {
    key: u64,
    /// Its encoded bytes.
    len: u32,
    /// Where it was written, if it was.
    found: Option<Found>,
}

/// See the module's words.
#[derive(Default)]
pub(crate) struct Packed {
    block: Block,
    seen: Seen,
    /// What [`NumberedTexts::freed`] said when `seen` was begun.
    freed: u64,
    labels: Vec<Label>,
    /// Bytes of them all.
    len: usize,
    /// Where the last of them was found.
    before: Number,
    /// The first label of the series before.
    first: Number,
    /// The encoded labels that were not written before, one behind the other.
    fresh: Vec<u8>,
    /// The names of the series before as numbers, and its labels with external ones among them: `Err` is the external label's index.
    shape: Vec<u32>,
    merged: Vec<Result<usize, usize>>,
    /// The timestamp that was written last, and where.
    time: (i64, usize),
}

fn key(name: u32, value: u32) -> u64 {
    u64::from(name) << 32 | u64::from(value)
}

impl Packed {
    /// Begins a request.
    pub(crate) fn clear(&mut self) {
        self.block.clear();
        self.seen.clear();
        self.merged.clear();
        self.time = (0, usize::MAX);
    }

    /// The bytes of the request.
    pub(crate) fn finish(&mut self) -> &[u8] {
        self.block.finish()
    }

    /// Begins a series with these labels, and the external ones whose names it does not have.
    pub(crate) fn begin(&mut self, own: LentLabels<'_>, texts: &dyn NumberedTexts, external: &Labels) {
        if self.freed != texts.freed() {
            self.seen.clear();
            self.merged.clear();
            self.freed = texts.freed();
        }
        self.labels.clear();
        (self.len, self.before) = (0, 0);
        self.fresh.clear();
        if external.is_empty() {
            own.iter().for_each(|pair| self.label(pair, texts));
            return;
        }
        if own.names != self.shape || self.merged.is_empty() {
            self.merge(own.names, texts, external);
        }
        let merged = std::mem::take(&mut self.merged);
        for at in &merged {
            match at {
                Ok(at) => self.label((own.names[*at], own.values[*at]), texts),
                Err(added) => self.external_label(*added, external),
            }
        }
        self.merged = merged;
    }

    /// Where the external labels go.
    fn merge(&mut self, names: &[u32], texts: &dyn NumberedTexts, external: &Labels) {
        self.shape.clear();
        self.shape.extend_from_slice(names);
        self.merged.clear();
        let mut added = external.iter().map(|(name, _)| name).enumerate().peekable();
        for (at, name) in names.iter().enumerate() {
            let name = texts.text(*name);
            while let Some((index, _)) = added.next_if(|(_, added)| *added < name) {
                self.merged.push(Err(index));
            }
            added.next_if(|(_, added)| *added == name);
            self.merged.push(Ok(at));
        }
        self.merged.extend(added.map(|(index, _)| Err(index)));
    }

    #[inline]
    fn label(&mut self, (name, value): (u32, u32), texts: &dyn NumberedTexts) {
        self.put(key(name, value), |fresh| wire::put_label(fresh, texts.text(name), texts.text(value)));
    }

    fn external_label(&mut self, index: usize, external: &Labels) {
        self.put(key(EXTERNAL, index as u32), |fresh| {
            let (name, value) = external.iter().nth(index).expect("the index is one of them");
            wire::put_label(fresh, name, value);
        });
    }

    #[inline]
    fn put(&mut self, key: u64, write: impl FnOnce(&mut Vec<u8>)) {
        let beside = self.first.wrapping_add(self.labels.len() as u32);
        let at = self.block.len() + MOST_BEFORE_LABELS + self.len;
        let found = self.seen.find(key, self.before, beside, at);
        let len = match found {
            Some(found) => {
                self.before = found.number;
                found.len
            }
            None => {
                self.before = 0;
                let begin = self.fresh.len();
                write(&mut self.fresh);
                (self.fresh.len() - begin) as u32
            }
        };
        self.len += len as usize;
        self.labels.push(Label { key, len, found });
    }

    /// Ends the series with samples in their order.
    pub(crate) fn end_with_samples<S>(&mut self, samples: &[S], sample: impl Fn(&S) -> (i64, f64)) {
        let len = samples.iter().map(|s| wire::sample_len(sample(s).0)).sum::<usize>();
        self.put_labels(len);
        for s in samples {
            let (t_ms, value) = sample(s);
            let head = wire::sample_head(t_ms, value);
            self.block.literal().extend_from_slice(&head);
            self.time(t_ms);
        }
    }

    /// Adds the timestamp of a sample: samples of one scrape have the same.
    #[inline]
    fn time(&mut self, t_ms: i64) {
        let at = self.block.len();
        let (before, from) = std::mem::replace(&mut self.time, (t_ms, at));
        if before == t_ms && at - from <= REACH && at > from {
            self.block.repeat(at - from, wire::time_len(t_ms));
        } else {
            wire::put_time(self.block.literal(), t_ms);
        }
    }

    /// Ends the series with an exemplar (field 3) or a histogram (field 4) that is encoded.
    pub(crate) fn end_with_member(&mut self, field: u8, encoded: &[u8]) {
        self.put_labels(wire::bytes_len(encoded.len()));
        wire::put_bytes(self.block.literal(), field, encoded);
    }

    /// Begins the series in the block, behind which `rest` bytes will follow.
    fn put_labels(&mut self, rest: usize) {
        let out = self.block.literal();
        wire::put_key(out, 1, wire::BYTES);
        wire::put_varint(out, (self.len + rest) as u64);
        let mut fresh = &self.fresh[..];
        let mut at = self.block.len();
        let before = std::mem::replace(&mut self.first, self.seen.next());
        for Label { key, len, found } in &self.labels {
            match found {
                Some(found) => self.block.repeat(at - found.from as usize, *len as usize),
                None => {
                    let (own, others) = fresh.split_at(*len as usize);
                    self.block.literal().extend_from_slice(own);
                    fresh = others;
                }
            }
            // What the series before had is found beside it as long as it goes on like that.
            let is_indexed = found.is_none_or(|found| found.number < before);
            self.seen.add(*key, at, *len, is_indexed);
            at += *len as usize;
        }
    }
}

#[cfg(test)]
mod tests;
