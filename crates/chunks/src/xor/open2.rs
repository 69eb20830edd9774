//! What XOR2 writes otherwise than XOR: time and value share their first bits, a stale marker has bits of its own and leaves
//! the value that later ones are compared with, and start timestamps may follow each sample.

use narthex_model::STALE_NAN_BITS;

use super::OpenChunk;
use crate::FloatEncoding;
use crate::bits::PutBits;
use crate::starts::StartWriter;

impl OpenChunk {
    pub(super) fn push2(&mut self, t_ms: i64, start_ms: i64, value: u64) {
        let (before_ms, before_delta_ms) = (self.last_ms, self.delta_ms);
        match self.samples {
            0 => self.push_first(t_ms, value),
            1 => {
                self.push_second_time(t_ms);
                self.put_value2(0, 0, value);
            }
            _ => self.push_joint(t_ms, value),
        }
        if start_ms != 0 || self.starts != 0 {
            self.put_start((before_ms, t_ms), before_delta_ms, start_ms);
        }
        self.last_ms = t_ms;
        self.is_stale = value == STALE_NAN_BITS;
        if !self.is_stale {
            self.last_value = value;
        }
        self.samples += 1;
    }

    #[inline]
    fn push_joint(&mut self, t_ms: i64, value: u64) {
        let change = self.change_of_distance(t_ms);
        let low = |bits: u32| change as u64 & ((1 << bits) - 1);
        match change {
            0 if value == STALE_NAN_BITS => self.put(0b11111, 5),
            0 => match value ^ self.last_value {
                0 => self.put(0, 1),
                xor => self.put_xor((0b10, 2), (0, 1), (1, 1), xor),
            },
            -4_096..=4_095 => self.put_value2(0b110 << 13 | low(13), 16, value),
            -524_288..=524_287 => self.put_value2(0b1110 << 20 | low(20), 24, value),
            _ => {
                self.put(0b11110, 5);
                self.put(change as u64, 64);
                self.put_value2(0, 0, value);
            }
        }
    }

    /// Writes `head` (its low `head_bits`, at most 24) and then the value.
    #[inline]
    fn put_value2(&mut self, head: u64, head_bits: u32, value: u64) {
        if value == STALE_NAN_BITS {
            return self.put(head << 3 | 0b111, head_bits + 3);
        }
        match value ^ self.last_value {
            0 => self.put(head << 1, head_bits + 1),
            xor => self.put_xor((head, head_bits), (0b10, 2), (0b110, 3), xor),
        }
    }

    #[cold]
    pub(super) fn takes_start(&self, start_ms: i64) -> bool {
        StartWriter::resume(self.starts, 0, 0).takes(self.samples.into(), start_ms)
            || self.encoding() == FloatEncoding::Xor
    }

    /// `before_delta_ms` is the distance of the two samples before this one.
    fn put_start(&mut self, (before_ms, t_ms): (i64, i64), before_delta_ms: u32, start_ms: i64) {
        let last_ms = self.last_start_ms();
        let distance_ms = before_ms.wrapping_sub(i64::from(before_delta_ms)).wrapping_sub(last_ms);
        let mut writer = StartWriter::resume(self.starts, last_ms, distance_ms);
        writer.write(self.samples.into(), (before_ms, t_ms), start_ms, self);
        self.keep_start(writer.header(), start_ms);
    }
}
