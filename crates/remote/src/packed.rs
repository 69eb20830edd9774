//! A request of 1.0 whose snappy block is written at once, without the message that it stands for.
//!
//! Labels come as numbers of the head's texts. A label that was written a short while ago becomes a copy of those bytes, and those
//! behind it stay in that copy while the series goes on as that one did: what a compressor finds by hashing all bytes is
//! known here from one look at a number. Texts are looked up for labels that are new, and nothing is written twice.
//! Must not know: lanes, catalogs, HTTP. Always true: a copy reaches back at most 65,535 bytes; what is remembered of the head's
//! numbers is forgotten when one of them was freed.
//! Oracle of the tests: the message as `wire` writes it, unpacked by the `snap` crate.
//! PERF: per label a hash and a comparison of 16 bytes; per series its samples' bytes and some 5 operations of 3 bytes.

mod block;
mod seen;

use narthex_model::Labels;
use narthex_storage::NumberedTexts;

use self::block::Block;
use self::seen::{Number, REACH, Seen};
use crate::wire;

/// Stands for the name of external labels; their index stands for the value. No text of the head has this number.
const EXTERNAL: u32 = u32::MAX;
/// The longest key and length of a series.
const MOST_BEFORE_LABELS: usize = 6;

/// A label of the series at hand.
#[derive(Clone, Copy)]
struct Label {
    key: u64,
    /// Where it was written; [`FRESH`] when it was not.
    from: u32,
    /// Its encoded bytes.
    len: u32,
}

/// No place in a message.
const FRESH: u32 = u32::MAX;

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

    /// Begins a series with the labels of these numbers, and the external ones whose names it does not have.
    pub(crate) fn begin(&mut self, pairs: &[(u32, u32)], texts: &dyn NumberedTexts, external: &Labels) {
        if self.freed != texts.freed() {
            self.seen.clear();
            self.merged.clear();
            self.freed = texts.freed();
        }
        self.labels.clear();
        (self.len, self.before) = (0, 0);
        self.fresh.clear();
        if external.is_empty() {
            pairs.iter().for_each(|pair| self.label(*pair, texts));
            return;
        }
        if !pairs.iter().map(|(name, _)| name).eq(&self.shape) || self.merged.is_empty() {
            self.merge(pairs, texts, external);
        }
        let merged = std::mem::take(&mut self.merged);
        for at in &merged {
            match at {
                Ok(own) => self.label(pairs[*own], texts),
                Err(added) => self.external_label(*added, external),
            }
        }
        self.merged = merged;
    }

    /// Where the external labels go.
    fn merge(&mut self, pairs: &[(u32, u32)], texts: &dyn NumberedTexts, external: &Labels) {
        self.shape.clear();
        self.shape.extend(pairs.iter().map(|(name, _)| *name));
        self.merged.clear();
        let mut added = external.iter().map(|(name, _)| name).enumerate().peekable();
        for (at, (name, _)) in pairs.iter().enumerate() {
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
        let number = self.seen.find(key, self.before, self.block.len() + MOST_BEFORE_LABELS + self.len);
        self.before = number;
        let (from, len) = if number == 0 {
            let begin = self.fresh.len();
            write(&mut self.fresh);
            (FRESH, (self.fresh.len() - begin) as u32)
        } else {
            let written = self.seen.get(number);
            (written.from, written.len)
        };
        self.len += len as usize;
        self.labels.push(Label { key, from, len });
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
        for label in &self.labels {
            let len = label.len as usize;
            if label.from == FRESH {
                let (own, others) = fresh.split_at(len);
                self.block.literal().extend_from_slice(own);
                fresh = others;
            } else {
                self.block.repeat(at - label.from as usize, len);
            }
            self.seen.add(label.key, at, label.len);
            at += len;
        }
    }
}

#[cfg(test)]
mod tests;
