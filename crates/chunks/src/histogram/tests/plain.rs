//! The slow twin: the samples of one chunk, written a bit at a time as the format page tells it, on the buckets of all.

use std::collections::BTreeSet;

use narthex_model::{CUSTOM_BUCKETS_SCHEMA, Histogram, Span, is_stale};

use super::super::align::indexes;
use crate::SealedChunk;

#[derive(Clone, Debug)]
pub(super) struct PlainSample {
    pub(super) t_ms: i64,
    pub(super) start_ms: i64,
    pub(super) histogram: Histogram,
}

#[derive(Default)]
pub(super) struct PlainChunk {
    bits: Vec<bool>,
}

impl PlainChunk {
    fn bits(&mut self, value: u64, count: u32) {
        (0..count).rev().for_each(|bit| self.bits.push(value >> bit & 1 == 1));
    }

    fn prefixed(&mut self, value: u64, fits: impl Fn(u32) -> bool) {
        if value == 0 {
            return self.bits(0, 1);
        }
        for (ones, width) in [3, 6, 9, 12, 18, 25, 56].into_iter().enumerate() {
            if fits(width) {
                (0..=ones).for_each(|_| self.bits(1, 1));
                self.bits(0, 1);
                return self.bits(value, width);
            }
        }
        self.bits(0xff, 8);
        self.bits(value, 64);
    }

    fn signed(&mut self, value: i64) {
        self.prefixed(value as u64, |width| {
            let half = 1i64 << (width - 1);
            (1 - half..=half).contains(&value)
        });
    }

    fn unsigned(&mut self, value: u64) {
        self.prefixed(value, |width| value < 1 << width);
    }

    fn varint(&mut self, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)) as u64;
        while rest >= 0x80 {
            self.bits(rest & 0x7f | 0x80, 8);
            rest >>= 7;
        }
        self.bits(rest, 8);
    }

    fn xor(&mut self, xor: u64, window: &mut Option<(u32, u32)>) {
        if xor == 0 {
            return self.bits(0, 1);
        }
        let (leading, trailing) = (xor.leading_zeros().min(31), xor.trailing_zeros());
        match *window {
            Some((l, t)) if leading >= l && trailing >= t => {
                self.bits(0b10, 2);
                self.bits(xor >> t, 64 - l - t);
            }
            _ => {
                *window = Some((leading, trailing));
                self.bits(0b11, 2);
                self.bits(leading.into(), 5);
                self.bits(u64::from((64 - leading - trailing) % 64), 6);
                self.bits(xor >> trailing, 64 - leading - trailing);
            }
        }
    }

    /// The bytes of a chunk of `samples`; the header's flags are taken from `real`.
    pub(super) fn encode(
        real: &SealedChunk,
        samples: &[PlainSample],
        floats: bool,
        with_starts: bool,
    ) -> Vec<u8> {
        let mut chunk = Self::default();
        let layout = Layout::of(samples);
        layout.write(&mut chunk);
        let numbers: Vec<Vec<i64>> = samples.iter().map(|s| layout.numbers(&s.histogram)).collect();
        let bits: Vec<Vec<u64>> = samples.iter().map(|s| layout.counts(&s.histogram)).collect();
        let (mut windows, mut sum_window) = (vec![None; bits[0].len()], None);
        let mut start_header = 0;
        for (at, sample) in samples.iter().enumerate() {
            chunk.signed(nth_difference(at, |i| samples[i].t_ms));
            let stale = is_stale(sample.histogram.sum);
            let totals = 2;
            let sum = |chunk: &mut Self, window: &mut Option<(u32, u32)>| {
                let own = sample.histogram.sum.to_bits();
                match at {
                    0 => chunk.bits(own, 64),
                    _ => chunk.xor(own ^ samples[at - 1].histogram.sum.to_bits(), window),
                }
            };
            let number = |chunk: &mut Self, which: usize, window: &mut Option<(u32, u32)>| match (floats, at)
            {
                (true, 0) => chunk.bits(bits[0][which], 64),
                (true, _) => chunk.xor(bits[at][which] ^ bits[at - 1][which], window),
                (false, 0) if which < totals => chunk.unsigned(numbers[0][which] as u64),
                (false, _) if stale && at > 0 => chunk.bits(0, 1),
                (false, _) => chunk.signed(nth_difference(at, |i| numbers[i][which])),
            };
            (0..totals).for_each(|which| number(&mut chunk, which, &mut windows[which]));
            sum(&mut chunk, &mut sum_window);
            if !stale {
                (totals..bits[at].len()).for_each(|which| number(&mut chunk, which, &mut windows[which]));
            }
            if with_starts {
                chunk.start(samples, at, &mut start_header);
            }
        }
        let mut bytes = real.bytes[..3].to_vec();
        let flags = if with_starts { bytes[0] & 0xc0 } else { 0 };
        bytes[..2].copy_from_slice(&(samples.len() as u16).to_be_bytes());
        bytes[0] |= flags;
        if with_starts {
            bytes[2] = start_header;
        }
        for eight in chunk.bits.chunks(8) {
            bytes.push(eight.iter().enumerate().map(|(at, bit)| u8::from(*bit) << (7 - at)).sum());
        }
        bytes
    }

    /// Start timestamps: sample 0 if it has one; the others from the first change on, at the latest from 127 on if sample 0
    /// has one.
    fn start(&mut self, samples: &[PlainSample], at: usize, header: &mut u8) {
        let first_change = samples.windows(2).position(|w| w[0].start_ms != w[1].start_ms).map(|at| at + 1);
        let latest = if samples[0].start_ms == 0 { usize::MAX } else { 127 };
        let from = first_change.unwrap_or(usize::MAX).min(latest);
        let distance = |i: usize| samples[i - 1].t_ms - samples[i].start_ms;
        if at == 0 && samples[0].start_ms != 0 {
            *header |= 0x80;
            self.varint(samples[0].t_ms - samples[0].start_ms);
        } else if at == from {
            *header |= from as u8;
            self.signed(distance(at));
        } else if at > from {
            self.signed(distance(at) - distance(at - 1));
        }
    }
}

/// What is written of number `at` of a row of numbers: itself, then a difference, then differences of differences.
fn nth_difference(at: usize, number: impl Fn(usize) -> i64) -> i64 {
    match at {
        0 => number(0),
        1 => number(1) - number(0),
        _ => (number(at) - number(at - 1)) - (number(at - 1) - number(at - 2)),
    }
}

/// The buckets of all samples, and what else they share.
struct Layout {
    first: Histogram,
    positive: Vec<i64>,
    negative: Vec<i64>,
}

impl Layout {
    fn of(samples: &[PlainSample]) -> Self {
        let (mut positive, mut negative) = (BTreeSet::new(), BTreeSet::new());
        for sample in samples {
            positive.extend(indexes(&sample.histogram.positive_spans));
            negative.extend(indexes(&sample.histogram.negative_spans));
        }
        Self {
            first: samples[0].histogram.clone(),
            positive: positive.into_iter().collect(),
            negative: negative.into_iter().collect(),
        }
    }

    fn write(&self, chunk: &mut PlainChunk) {
        let threshold = self.first.zero_threshold;
        match threshold {
            0.0 => chunk.bits(0, 8),
            _ => {
                chunk.bits(255, 8);
                chunk.bits(threshold.to_bits(), 64);
            }
        }
        chunk.signed(self.first.schema.into());
        for side in [&self.positive, &self.negative] {
            let mut spans: Vec<(i64, u64)> = Vec::new();
            let mut next = 0;
            for index in side {
                match spans.last_mut() {
                    Some((_, length)) if *index == next => *length += 1,
                    _ => spans.push((index - next, 1)),
                }
                next = index + 1;
            }
            chunk.unsigned(spans.len() as u64);
            for (offset, length) in spans {
                chunk.unsigned(length);
                chunk.signed(offset);
            }
        }
        if self.first.schema == CUSTOM_BUCKETS_SCHEMA {
            chunk.unsigned(self.first.custom_values.len() as u64);
            for bound in &self.first.custom_values {
                let thousandths = bound * 1000.0;
                match thousandths <= 33_554_430.0 {
                    true => chunk.unsigned(thousandths as u64 + 1),
                    false => {
                        chunk.bits(0, 1);
                        chunk.bits(bound.to_bits(), 64);
                    }
                }
            }
        }
    }

    /// Totals and buckets as integers; buckets as differences to the one before.
    fn numbers(&self, h: &Histogram) -> Vec<i64> {
        let mut numbers = vec![h.count as i64, h.zero_count as i64];
        for counts in self.by_bucket(h) {
            let mut before = 0;
            numbers.extend(counts.iter().map(|count| count - std::mem::replace(&mut before, *count)));
        }
        numbers
    }

    /// Totals and buckets as the bits of floats.
    fn counts(&self, h: &Histogram) -> Vec<u64> {
        let totals = [h.count as f64, h.zero_count as f64];
        let buckets = self.by_bucket(h).into_iter().flatten().map(|count| count as f64);
        totals.into_iter().chain(buckets).map(f64::to_bits).collect()
    }

    fn by_bucket(&self, h: &Histogram) -> [Vec<i64>; 2] {
        let side = |all: &[i64], spans: &[Span], deltas: &[i64]| {
            let mut count = 0;
            let own: Vec<(i64, i64)> = indexes(spans)
                .zip(deltas)
                .map(|(at, delta)| {
                    count += delta;
                    (at, count)
                })
                .collect();
            all.iter().map(|at| own.iter().find(|(i, _)| i == at).map_or(0, |(_, count)| *count)).collect()
        };
        [
            side(&self.positive, &h.positive_spans, &h.positive_buckets),
            side(&self.negative, &h.negative_spans, &h.negative_buckets),
        ]
    }
}
