//! Chunk bytes of every encoding: an error or samples, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex_chunks::{Encoding, decode, for_each};
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
});
