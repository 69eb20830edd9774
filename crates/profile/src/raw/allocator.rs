//! An allocator around another one: it takes a sample now and then, which `live` remembers.
//!
//! Always true: a sampled piece has an address that is a multiple of [`MARK`]; it was asked for with that alignment and goes back
//! with it. All others go through untouched.

#![expect(unsafe_code, reason = "an allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout};

use crate::live::{self, MARK};

/// The allocator `A` with samples taken.
#[derive(Debug)]
pub struct Sampled<A>(A);

impl<A> Sampled<A> {
    /// Around `inner`.
    #[must_use]
    pub const fn new(inner: A) -> Self {
        Self(inner)
    }
}

/// How a sample of this layout is asked for. `None` when no memory is that large.
fn marked(layout: Layout) -> Option<Layout> {
    layout.align_to(MARK).ok()
}

// SAFETY: each method hands over to `A` with the layout that it was called with, or, for samples, with a stricter alignment; a piece
// goes back with the layout it was asked for with, as `live` knows for each address that is out whether it is a sample.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Sampled<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if live::is_due(layout.size()) {
            // SAFETY: the caller's promise about `layout`.
            return unsafe { self.sample(layout, |layout| self.0.alloc(layout)) };
        }
        // SAFETY: as above.
        unsafe { self.0.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if live::is_due(layout.size()) {
            // SAFETY: the caller's promise about `layout`.
            return unsafe { self.sample(layout, |layout| self.0.alloc_zeroed(layout)) };
        }
        // SAFETY: as above.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        let sampled = live::may_be_sample(at as usize) && live::is_sample_gone(at as usize);
        let layout = if sampled { marked(layout).unwrap_or(layout) } else { layout };
        // SAFETY: the caller gives a piece that is out, with its layout; a sample was asked for with the marked one.
        unsafe { self.0.dealloc(at, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let was_sample = live::may_be_sample(at as usize) && live::is_sample(at as usize);
        let is_due = live::is_due(new_size);
        if was_sample || is_due {
            // SAFETY: the caller's promises.
            return unsafe { self.replace(at, layout, new_size, is_due) };
        }
        // SAFETY: as above; no sample.
        unsafe { self.0.realloc(at, layout, new_size) }
    }
}

impl<A: GlobalAlloc> Sampled<A> {
    /// Allocates a sample by `alloc`.
    ///
    /// # Safety
    /// As for `GlobalAlloc::alloc`.
    #[cold]
    unsafe fn sample(&self, layout: Layout, alloc: impl Fn(Layout) -> *mut u8) -> *mut u8 {
        let Some(marked) = marked(layout) else { return alloc(layout) };
        let at = alloc(marked);
        if !at.is_null() {
            live::born(at as usize, layout.size());
        }
        at
    }

    /// `realloc` of a sample, or to one: a new piece, a copy, and the old one goes.
    ///
    /// # Safety
    /// As for `GlobalAlloc::realloc`.
    #[cold]
    unsafe fn replace(&self, at: *mut u8, layout: Layout, new_size: usize, is_due: bool) -> *mut u8 {
        // SAFETY: the caller promises that `new_size`, rounded up to the alignment, is no larger than a layout may be.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: the caller's promises; the two pieces are apart, and both are as long as what is copied.
        unsafe {
            let alloc = |layout| self.0.alloc(layout);
            let to = if is_due { self.sample(new_layout, alloc) } else { alloc(new_layout) };
            if !to.is_null() {
                std::ptr::copy_nonoverlapping(at, to, layout.size().min(new_size));
                self.dealloc(at, layout);
            }
            to
        }
    }
}
