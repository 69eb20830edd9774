//! Chunk bytes of every encoding: an error or samples, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex_chunks::{Encoding, decode, decode_newest, for_each};
use narthex_storage::SampleBatch;

fuzz_target!(|bytes: &[u8]| {
    let Some((number, chunk)) = bytes.split_first() else { return };
    let Ok(encoding) = Encoding::try_from(number % 7) else { return };
    let mut out = SampleBatch::default();
    let decoded = decode(encoding, chunk, i64::MIN, i64::MAX, &mut out);
    // Both readers see the same samples, and stop at the same place.
    let mut count = 0;
    let shown = for_each(encoding, chunk, (i64::MIN, i64::MAX), |_| count += 1);
    assert_eq!((decoded, out.len()), (shown, count));
    check_newest(encoding, chunk, &out);
});

/// Where time goes on, the newest sample up to a time is the last one of those up to it, wherever the rest is broken.
fn check_newest(encoding: Encoding, chunk: &[u8], all: &SampleBatch) {
    let is_floats = matches!(encoding, Encoding::Xor | Encoding::Xor2);
    if !is_floats || !all.t_ms.is_sorted_by(|a, b| a < b) {
        return;
    }
    for until in [0, all.len() / 2, all.len().wrapping_sub(2)] {
        let Some(maxt_ms) = all.t_ms.get(until) else { continue };
        let mut newest = SampleBatch::default();
        let _ = decode_newest(encoding, chunk, i64::MIN, *maxt_ms, &mut newest);
        let found = newest.t_ms.last().zip(newest.values.last()).map(|(t_ms, v)| (*t_ms, v.to_bits()));
        assert_eq!(found, Some((*maxt_ms, all.values[until].to_bits())));
    }
}
