//! The encoding against a plain twin that writes a bit at a time, and on bytes that are no chunk.

use narthex_storage::SampleBatch;
use proptest::prelude::*;

use super::*;
use crate::ChunkError;

/// The encoding as the format page tells it: a list of bits.
#[derive(Default)]
struct PlainChunk {
    bits: Vec<bool>,
    last: Vec<(i64, u64)>,
    window: Option<(u32, u32)>,
}

impl PlainChunk {
    fn bits(&mut self, value: u64, count: u32) {
        (0..count).rev().for_each(|bit| self.bits.push(value >> bit & 1 == 1));
    }

    fn uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bits(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.bits(value, 8);
    }

    fn push(&mut self, t: i64, v: f64) {
        let v = v.to_bits();
        match *self.last.as_slice() {
            [] => {
                self.uvarint((t as u64) << 1 ^ (t >> 63) as u64);
                self.bits(v, 64);
            }
            [(t0, v0)] => {
                self.uvarint((t - t0) as u64);
                self.value(v ^ v0);
            }
            [.., (t0, _), (t1, v1)] => {
                self.change((t - t1) - (t1 - t0));
                self.value(v ^ v1);
            }
        }
        self.last.push((t, v));
    }

    fn change(&mut self, change: i64) {
        let fits = |bits: u32| change > -(1 << (bits - 1)) && change <= 1 << (bits - 1);
        let (prefix, prefix_bits, bits) = match () {
            () if change == 0 => (0, 1, 0),
            () if fits(14) => (0b10, 2, 14),
            () if fits(17) => (0b110, 3, 17),
            () if fits(20) => (0b1110, 4, 20),
            () => (0b1111, 4, 64),
        };
        self.bits(prefix, prefix_bits);
        self.bits(change as u64, bits);
    }

    fn value(&mut self, xor: u64) {
        if xor == 0 {
            return self.bits(0, 1);
        }
        let (leading, trailing) = (xor.leading_zeros().min(31), xor.trailing_zeros());
        match self.window {
            Some((l, t)) if leading >= l && trailing >= t => {
                self.bits(0b10, 2);
                self.bits(xor >> t, 64 - l - t);
            }
            _ => {
                self.window = Some((leading, trailing));
                let width = 64 - leading - trailing;
                self.bits(0b11, 2);
                self.bits(leading.into(), 5);
                self.bits((width % 64).into(), 6);
                self.bits(xor >> trailing, width);
            }
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = (self.last.len() as u16).to_be_bytes().to_vec();
        for eight in self.bits.chunks(8) {
            bytes.push(eight.iter().enumerate().map(|(at, bit)| u8::from(*bit) << (7 - at)).sum());
        }
        bytes
    }
}

/// Samples as metrics have them: regular or jittery or rare, constant (for a while) or counting or wild.
fn samples() -> impl Strategy<Value = Vec<(i64, f64)>> {
    let step = prop_oneof![
        5 => Just(15_000i64),
        3 => 14_990i64..15_010,
        1 => 1i64..200_000,
        1 => 1i64..4_000_000_000,
    ];
    let value = prop_oneof![
        3 => Just(0u64),
        3 => (0u64..100).prop_map(|n| (n as f64).to_bits()),
        2 => any::<f64>().prop_map(f64::to_bits),
        1 => any::<u64>(),
        1 => Just(narthex_model::STALE_NAN_BITS),
    ];
    let start = prop_oneof![Just(1_700_000_000_000i64), -5_000_000i64..5_000_000, Just(-1i64 << 50)];
    let times = prop_oneof![3 => Just(1usize), 1 => 2usize..80];
    (start, prop::collection::vec((step, value, times), 1..130)).prop_map(|(start, steps)| {
        let mut t = start;
        let mut samples = Vec::new();
        for (step, value, times) in steps {
            for _ in 0..times {
                t += step;
                samples.push((t, f64::from_bits(value)));
            }
        }
        samples.truncate(300);
        samples
    })
}

fn encode(samples: &[(i64, f64)]) -> Vec<u8> {
    let mut chunk = OpenChunk::default();
    let mut bytes = Vec::new();
    for (t, v) in samples {
        if chunk.samples() > 0 && !chunk.has_room(*t) {
            break;
        }
        chunk.push(*t, *v);
    }
    chunk.copy_to(&mut bytes);
    bytes
}

fn bits_of(batch: &SampleBatch) -> Vec<(i64, u64)> {
    batch.t_ms.iter().copied().zip(batch.values.iter().map(|v| v.to_bits())).collect()
}

proptest! {
    #[test]
    fn bytes_are_those_of_the_plain_twin_and_come_back(samples in samples(), cut in any::<(u16, u16)>()) {
        let bytes = encode(&samples);
        let count = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        let mut twin = PlainChunk::default();
        samples[..count].iter().for_each(|(t, v)| twin.push(*t, *v));
        prop_assert_eq!(&bytes, &twin.bytes());
        let mut batch = SampleBatch::default();
        decode_xor(&bytes, i64::MIN, i64::MAX, &mut batch).unwrap();
        prop_assert_eq!(bits_of(&batch), twin.last.clone());
        let (from, to) = (samples[usize::from(cut.0) % count].0, samples[usize::from(cut.1) % count].0);
        batch.clear();
        decode_xor(&bytes, from, to, &mut batch).unwrap();
        let among = |to: i64| -> Vec<_> {
            twin.last.iter().copied().filter(|(t, _)| (from..=to).contains(t)).collect()
        };
        prop_assert_eq!(bits_of(&batch), among(to));
        for to in [to - 1, to, to + 1, to + 10_000, i64::MAX] {
            batch.clear();
            newest_xor(&bytes, from, to, &mut batch).unwrap();
            let expected = among(to);
            prop_assert_eq!(bits_of(&batch), &expected[expected.len().saturating_sub(1)..], "up to {}", to);
        }
    }

    #[test]
    fn cut_and_flipped_bytes_are_an_error_or_other_samples_but_no_panic(
        samples in samples(), cut in any::<usize>(), flips in prop::collection::vec(any::<usize>(), 0..4)
    ) {
        let mut bytes = encode(&samples);
        bytes.truncate(cut % (bytes.len() + 1));
        for flip in flips {
            let bits = bytes.len() * 8;
            if bits > 0 {
                bytes[flip % bits / 8] ^= 1 << (flip % 8);
            }
        }
        let mut batch = SampleBatch::default();
        let _ = decode_xor(&bytes, i64::MIN, i64::MAX, &mut batch);
        prop_assert_eq!(batch.t_ms.len(), batch.values.len());
    }
}

#[test]
fn a_cut_chunk_names_the_sample_that_is_missing() {
    let samples: Vec<_> = (0..50).map(|i| (i * 1000, i as f64 * 1.1)).collect();
    let bytes = encode(&samples);
    let mut batch = SampleBatch::default();
    let error = decode_xor(&bytes[..bytes.len() - 1], i64::MIN, i64::MAX, &mut batch).unwrap_err();
    assert_eq!(error, ChunkError::Truncated { sample: 49, samples: 50, len: bytes.len() - 1 });
}

#[test]
fn every_cut_of_a_chunk_gives_the_samples_before_it_and_an_error() {
    let value = |i: i64| if i < 100 { 7.0 } else { i as f64 * 1.1 };
    let samples: Vec<_> = (0..140).map(|i| (i * 1000 + i64::from(i % 50 == 49), value(i))).collect();
    let bytes = encode(&samples);
    let mut before = 0;
    for len in 2..bytes.len() {
        let mut batch = SampleBatch::default();
        let error = decode_xor(&bytes[..len], i64::MIN, i64::MAX, &mut batch).unwrap_err();
        let read = batch.t_ms.len();
        assert_eq!(error, ChunkError::Truncated { sample: read, samples: 140, len });
        let expected: Vec<_> = samples[..read].iter().map(|(t, v)| (*t, v.to_bits())).collect();
        assert_eq!(bits_of(&batch), expected);
        // A byte holds at least a part of one sample, and at most four equal ones.
        assert!(
            (before..=before + 4).contains(&read) || read <= 2,
            "{len} bytes: {before} then {read} samples"
        );
        before = read;
    }
    assert!(before >= 139);
}

/// Longer than what is held of a chunk at a time.
#[test]
fn a_chunk_of_many_bytes_comes_back_and_each_cut_of_it_is_noticed() {
    let mut random = fastrand::Rng::with_seed(5);
    let mut twin = PlainChunk::default();
    for i in 0..900 {
        twin.push(i * 1000 + random.i64(0..3), random.f64() * 100.0);
    }
    let bytes = twin.bytes();
    assert!(bytes.len() > 7000);
    let mut batch = SampleBatch::default();
    decode_xor(&bytes, i64::MIN, i64::MAX, &mut batch).unwrap();
    assert_eq!(bits_of(&batch), twin.last);
    for len in (2..bytes.len()).step_by(61) {
        batch.clear();
        let error = decode_xor(&bytes[..len], i64::MIN, i64::MAX, &mut batch).unwrap_err();
        assert_eq!(error, ChunkError::Truncated { sample: batch.len(), samples: 900, len });
        assert_eq!(bits_of(&batch), twin.last[..batch.len()]);
        assert!(batch.len() * 12 + 24 > len, "{len} bytes: {} samples", batch.len());
    }
}
