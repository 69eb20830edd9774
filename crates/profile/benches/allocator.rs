//! What the sampling allocator costs: pairs of allocation and release through `System` bare, around it with samples off, and on.
//!
//! Run: `cargo bench -p narthex-profile --bench allocator [-- PAIRS]`. Prints nanoseconds a pair and the ratios to the bare
//! allocator; the checksum is the sum of what was written.
#![allow(unsafe_code, reason = "calls allocators directly, beside that of the process")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::time::Instant;

use narthex_profile::{Sampled, start_heap_samples};

static SAMPLED: Sampled<System> = Sampled::new(System);

/// `pairs` of them in a ring of 64 live pieces of 16 to 1,039 bytes: nanoseconds each, and a checksum.
fn pairs<A: GlobalAlloc>(allocator: &A, pairs: usize) -> (f64, u64) {
    let mut ring = [(std::ptr::null_mut::<u8>(), Layout::new::<u8>()); 64];
    let (began, mut sum) = (Instant::now(), 0_u64);
    for i in 0..pairs {
        let layout = Layout::from_size_align(16 + (i * 7919) % 1024, 8).expect("small");
        let (old, old_layout) = ring[i % 64];
        // SAFETY: each piece is written within its length and given back once with its layout.
        unsafe {
            if !old.is_null() {
                sum += u64::from(*old);
                allocator.dealloc(old, old_layout);
            }
            let new = allocator.alloc(layout);
            *new = i as u8;
            ring[i % 64] = (new, layout);
        }
    }
    let took = began.elapsed().as_nanos() as f64 / pairs as f64;
    for (at, layout) in ring.into_iter().filter(|(at, _)| !at.is_null()) {
        // SAFETY: what is left in the ring was not given back.
        unsafe { allocator.dealloc(at, layout) };
    }
    (took, sum)
}

fn best<A: GlobalAlloc>(allocator: &A, n: usize) -> (f64, u64) {
    (0..7).map(|_| pairs(allocator, n)).min_by(|a, b| a.0.total_cmp(&b.0)).expect("seven")
}

fn main() {
    let n = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(10_000);
    let (bare, sum) = best(&System, n);
    let (off, off_sum) = best(&SAMPLED, n);
    start_heap_samples();
    let (on, on_sum) = best(&SAMPLED, n);
    assert_eq!((sum, sum), (off_sum, on_sum));
    println!(
        "bare {bare:.2} ns  off {off:.2} ns ({:.3})  on {on:.2} ns ({:.3})  checksum {sum}",
        off / bare,
        on / bare
    );
}
