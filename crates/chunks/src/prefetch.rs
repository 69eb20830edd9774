//! A hint to the processor: memory that is wanted soon.

/// Bytes of a cache line of the processors that this is for.
const LINE: usize = 64;
/// More lines than this are left to the processor, which sees by then where the reading goes.
const LINES: usize = 4;

/// Begins to fetch the first lines of a slice; does nothing on processors that are not x86-64.
#[inline]
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "an instruction that reads nothing and cannot fail")
)]
pub(crate) fn prefetch<T>(memory: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in memory.chunks(LINE / size_of::<T>().max(1)).take(LINES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the hint never faults, whatever the address; this one lies in the slice.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = memory;
}
