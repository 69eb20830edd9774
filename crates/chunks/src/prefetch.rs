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
pub fn prefetch<T>(memory: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..size_of_val(memory)).step_by(LINE).take(LINES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let line = memory.as_ptr().cast::<i8>().wrapping_add(offset);
        // SAFETY: the hint never faults, whatever the address; this one lies in the slice.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = memory;
}
