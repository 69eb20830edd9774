//! XOR2 against a plain twin that writes a bit at a time, and on bytes that are no chunk.

use narthex_model::STALE_NAN_BITS;
use narthex_storage::SampleBatch;
use proptest::prelude::*;

use super::*;
use crate::FloatEncoding;

/// Timestamp, start timestamp, bits of the value.
type Sample = (i64, i64, u64);

/// The encoding as the format page tells it: a list of bits.
#[derive(Default)]
struct PlainChunk {
    bits: Vec<bool>,
    window: Option<(u32, u32)>,
    baseline: u64,
    header: u8,
}

impl PlainChunk {
    fn bits(&mut self, value: u64, count: u32) {
        (0..count).rev().for_each(|bit| self.bits.push(value >> bit & 1 == 1));
    }

    fn text(&mut self, bits: &str) {
        bits.chars().for_each(|c| self.bits.push(c == '1'));
    }

    fn uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bits(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.bits(value, 8);
    }

    fn varint(&mut self, value: i64) {
        self.uvarint((value as u64) << 1 ^ (value >> 63) as u64);
    }

    fn varbit(&mut self, value: i64) {
        if value == 0 {
            return self.text("0");
        }
        for (ones, width) in [3u32, 6, 9, 12, 18, 25, 56].into_iter().enumerate() {
            let half = 1i64 << (width - 1);
            if (1 - half..=half).contains(&value) {
                self.text(&format!("{}0", "1".repeat(ones + 1)));
                return self.bits(value as u64, width);
            }
        }
        self.text("11111111");
        self.bits(value as u64, 64);
    }

    fn encode(samples: &[Sample]) -> Vec<u8> {
        let mut chunk = Self::default();
        let first_change = samples.windows(2).position(|w| w[0].1 != w[1].1).map(|at| at + 1);
        let latest = if samples[0].1 == 0 { usize::MAX } else { 127 };
        let starts_from = first_change.unwrap_or(usize::MAX).min(latest);
        for (at, (t, start, v)) in samples.iter().copied().enumerate() {
            chunk.time_and_value(samples, at, v);
            let distance = |i: usize| samples[i - 1].0 - samples[i].1;
            if at == 0 && start != 0 {
                chunk.header |= 0x80;
                chunk.varint(t - start);
            } else if at == starts_from {
                chunk.header |= at as u8;
                chunk.varbit(distance(at));
            } else if at > starts_from {
                chunk.varbit(distance(at) - distance(at - 1));
            }
        }
        let mut bytes = (samples.len() as u16).to_be_bytes().to_vec();
        bytes.push(chunk.header);
        for eight in chunk.bits.chunks(8) {
            bytes.push(eight.iter().enumerate().map(|(at, bit)| u8::from(*bit) << (7 - at)).sum());
        }
        bytes
    }

    fn time_and_value(&mut self, samples: &[Sample], at: usize, v: u64) {
        let t = |i: usize| samples[i].0;
        match at {
            0 => {
                self.varint(t(0));
                self.bits(v, 64);
            }
            1 => {
                self.uvarint((t(1) - t(0)) as u64);
                self.value(v);
            }
            _ => match (t(at) - t(at - 1)) - (t(at - 1) - t(at - 2)) {
                0 if v == STALE_NAN_BITS => self.text("11111"),
                0 if v == self.baseline => self.text("0"),
                0 => {
                    self.text("10");
                    self.changed(v, "0", "1");
                }
                change @ -4096..=4095 => {
                    self.text("110");
                    self.bits(change as u64, 13);
                    self.value(v);
                }
                change @ -524_288..=524_287 => {
                    self.text("1110");
                    self.bits(change as u64, 20);
                    self.value(v);
                }
                change => {
                    self.text("11110");
                    self.bits(change as u64, 64);
                    self.value(v);
                }
            },
        }
        if v != STALE_NAN_BITS {
            self.baseline = v;
        }
    }

    fn value(&mut self, v: u64) {
        match v {
            STALE_NAN_BITS => self.text("111"),
            v if v == self.baseline => self.text("0"),
            v => self.changed(v, "10", "110"),
        }
    }

    fn changed(&mut self, v: u64, same: &str, new: &str) {
        let xor = v ^ self.baseline;
        let (leading, trailing) = (xor.leading_zeros().min(31), xor.trailing_zeros());
        match self.window {
            Some((l, t)) if leading >= l && trailing >= t => {
                self.text(same);
                self.bits(xor >> t, 64 - l - t);
            }
            _ => {
                self.window = Some((leading, trailing));
                self.text(new);
                self.bits(leading.into(), 5);
                self.bits(u64::from((64 - leading - trailing) % 64), 6);
                self.bits(xor >> trailing, 64 - leading - trailing);
            }
        }
    }
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let step = prop_oneof![
        6 => Just(15_000i64),
        3 => 14_990i64..15_010,
        1 => 1i64..200_000,
        1 => 1i64..4_000_000_000,
    ];
    let value = prop_oneof![
        3 => Just(0u64),
        3 => (0u64..100).prop_map(|n| (n as f64).to_bits()),
        2 => any::<f64>().prop_map(f64::to_bits),
        1 => any::<u64>(),
        2 => Just(STALE_NAN_BITS),
    ];
    // Starts: none, one for all, one that moves now and then, one a sample.
    let start = prop_oneof![
        2 => Just(vec![0]),
        2 => Just(vec![1_699_999_000_000i64]),
        1 => Just(vec![0, 0, 0, 0, 0, 0, 1_700_000_000_500]),
        1 => prop::collection::vec(0i64..1 << 41, 1..10),
    ];
    let first = prop_oneof![Just(1_700_000_000_000i64), -5_000_000i64..5_000_000, Just(-1i64 << 50)];
    (first, start, prop::collection::vec((step, value, any::<u8>()), 1..200)).prop_map(
        |(first, starts, steps)| {
            let (mut t, mut at) = (first, 0);
            let next = |(step, value, choice): (i64, u64, u8)| {
                t += step;
                at = if choice < 40 { at + 1 } else { at };
                (t, starts[at % starts.len()], value)
            };
            steps.into_iter().map(next).collect()
        },
    )
}

/// As many of the samples as one chunk takes.
fn encode(samples: &[Sample]) -> (OpenChunk, usize) {
    let mut chunk = OpenChunk::new(FloatEncoding::Xor2);
    for (at, (t, start, v)) in samples.iter().copied().enumerate() {
        if at > 0 && !chunk.has_room_with_start(t, start) {
            break;
        }
        chunk.push_with_start(t, start, f64::from_bits(v));
        assert_eq!((chunk.last_ms(), chunk.last_start_ms(), chunk.last_value_bits()), (t, start, v));
        assert_eq!(chunk.first_ms(), samples[0].0);
    }
    let count = chunk.samples() as usize;
    (chunk, count)
}

fn samples_of(batch: &SampleBatch) -> Vec<Sample> {
    let start = |at: usize| batch.start_ms.get(at).copied().unwrap_or(0);
    let columns = batch.t_ms.iter().zip(&batch.values).enumerate();
    columns.map(|(at, (t, v))| (*t, start(at), v.to_bits())).collect()
}

proptest! {
    #[test]
    fn bytes_are_those_of_the_plain_twin_and_come_back(samples in samples(), cut in any::<(u8, u8)>()) {
        let (mut chunk, count) = encode(&samples);
        let samples = &samples[..count];
        let mut bytes = Vec::new();
        chunk.copy_to(&mut bytes);
        prop_assert_eq!(&bytes, &PlainChunk::encode(samples));
        prop_assert_eq!(&*chunk.seal().bytes, &*bytes);
        let mut batch = SampleBatch::default();
        decode_xor2(&bytes, i64::MIN, i64::MAX, &mut batch).unwrap();
        prop_assert_eq!(samples_of(&batch), samples);
        let (from, to) = (samples[usize::from(cut.0) % count].0, samples[usize::from(cut.1) % count].0);
        // What is there already stays as it is.
        batch.clear();
        batch.push(i64::MIN, 7.0);
        decode_xor2(&bytes, from, to, &mut batch).unwrap();
        let mut expected = vec![(i64::MIN, 0, 7f64.to_bits())];
        expected.extend(samples.iter().filter(|(t, ..)| (from..=to).contains(t)));
        prop_assert_eq!(samples_of(&batch), expected);
    }

    #[test]
    fn cut_and_flipped_bytes_are_an_error_or_other_samples_but_no_panic(
        samples in samples(), cut in any::<usize>(), flips in prop::collection::vec(any::<usize>(), 0..4)
    ) {
        let mut bytes = Vec::new();
        encode(&samples).0.copy_to(&mut bytes);
        bytes.truncate(cut % (bytes.len() + 1));
        for flip in flips {
            let bits = bytes.len() * 8;
            if bits > 0 {
                bytes[flip % bits / 8] ^= 1 << (flip % 8);
            }
        }
        let mut batch = SampleBatch::default();
        let _ = decode_xor2(&bytes, i64::MIN, i64::MAX, &mut batch);
        prop_assert_eq!(batch.t_ms.len(), batch.values.len());
        prop_assert!(batch.start_ms.is_empty() || batch.start_ms.len() == batch.t_ms.len());
    }
}

#[test]
fn a_start_that_comes_too_late_for_the_header_needs_another_chunk() {
    let mut chunk = OpenChunk::new(FloatEncoding::Xor2);
    (0..128).for_each(|t| chunk.push(t, 1.0));
    assert!(chunk.has_room_with_start(128, 0) && !chunk.has_room_with_start(128, 5));
    let mut chunk = OpenChunk::new(FloatEncoding::Xor2);
    (0..127).for_each(|t| chunk.push(t, 1.0));
    assert!(chunk.has_room_with_start(127, 5));
}

#[test]
fn a_counter_scraped_regularly_is_smaller_than_with_xor() {
    let mut random = fastrand::Rng::with_seed(3);
    let (mut xor, mut xor2) = (OpenChunk::default(), OpenChunk::new(FloatEncoding::Xor2));
    let (mut t, mut v) = (1_700_000_000_000, 0.0);
    for _ in 0..120 {
        t += 15_000;
        v += f64::from(random.u8(0..3));
        xor.push(t, v);
        xor2.push(t, v);
    }
    assert!(xor2.byte_len() < xor.byte_len(), "{} {}", xor2.byte_len(), xor.byte_len());
}
