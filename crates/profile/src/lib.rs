//! Where the process spends its time and its memory, in the format that `go tool pprof` reads.
//!
//! Road in: [`CpuRecording`] samples stacks by the processor time that threads use, [`WallClock`] by the time that passes, [`threads`] takes the stack of each
//! thread,
//! [`Sampled`] is an allocator around another one that remembers one allocation in [`SAMPLE_BYTES`], and [`heap`] shows what it
//! remembers. Each gives a [`Profile`], which [`encode`] and [`to_text`] write with the names that [`Symbols`] finds.
//! Always true: nothing is measured unless somebody asks, but for allocations once [`start_heap_samples`] was called; what is kept is
//! bounded, however long a recording lasts.
//! What this crate does not do: HTTP; tasks of the async runtime; lines and inlined functions, which the release binary has no tables
//! for. Facts: `proto/profile.proto` of github.com/google/pprof; `signal-safety(7)`, `setitimer(2)`, `proc(5)`, `elf(5)`.

mod cpu;
mod encode;
mod live;
mod profile;
mod raw;
mod ring;
mod symbols;
mod text;
mod threads;
mod wall;

pub use cpu::{CpuRecording, InUse};
pub use encode::encode;
pub use live::{SAMPLE_BYTES, heap, start_heap_samples};
pub use profile::{Kind, Profile, Row};
pub use raw::allocator::Sampled;
pub use symbols::Symbols;
pub use text::to_text;
pub use threads::{Threads, threads};
pub use wall::WallClock;
