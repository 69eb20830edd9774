//! What the language cannot check: the signal and its timer, unwinding, and the allocator around an allocator. The only unsafe
//! lines of this crate, each behind a safe face.

pub(crate) mod allocator;
pub(crate) mod signal;
pub(crate) mod unwind;
