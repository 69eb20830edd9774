//! The addresses of the functions that are under way on this thread, by the unwinder that panics use.
//!
//! Always true: allocates nothing and takes no lock of ours, so that a signal handler and an allocator may ask.
//! Facts: the Itanium C++ ABI, "Exception Handling", level I; `_Unwind_GetIPInfo` tells whether an address is that of the next
//! instruction (a return address) or of the interrupted one.

use std::ffi::{c_int, c_void};

/// Most frames of one stack; what called the outermost of them is cut off.
pub(crate) const DEPTH: usize = 128;

/// Where a stack begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// At the caller of whom asks.
    Caller,
    /// At what a signal interrupted.
    Interrupted,
}

#[allow(non_camel_case_types, reason = "the name of the interface")]
enum _Unwind_Context {}

#[expect(unsafe_code, reason = "declares the unwinder's interface")]
unsafe extern "C" {
    fn _Unwind_Backtrace(
        step: extern "C" fn(*mut _Unwind_Context, *mut c_void) -> c_int,
        state: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIPInfo(context: *mut _Unwind_Context, before_instruction: *mut c_int) -> usize;
}

const GO_ON: c_int = 0;
const END_OF_STACK: c_int = 5;

struct Walk<'a> {
    frames: &'a mut [usize],
    len: usize,
    /// Whether frames count by now.
    begun: bool,
}

/// Writes the stack of this thread into `frames`, innermost first, and says how many there are. Each address lies within the
/// instruction that is under way, so that it belongs to the function that called.
#[inline(never)]
pub(crate) fn stack(frames: &mut [usize], from: From) -> usize {
    let mut walk = Walk { frames, len: 0, begun: from == From::Caller };
    // SAFETY: `step` has the signature that the unwinder calls, and `walk` outlives the call and is used by nothing else meanwhile.
    #[expect(unsafe_code, reason = "a call of the C interface")]
    unsafe {
        _Unwind_Backtrace(step, (&raw mut walk).cast());
    }
    walk.len
}

extern "C" fn step(context: *mut _Unwind_Context, state: *mut c_void) -> c_int {
    let mut interrupted: c_int = 0;
    // SAFETY: `context` is what the unwinder gave for the time of this call; `state` is the `Walk` of `stack`, which waits.
    #[expect(unsafe_code, reason = "the pointers of a C callback")]
    let (address, walk) =
        unsafe { (_Unwind_GetIPInfo(context, &raw mut interrupted), &mut *state.cast::<Walk<'_>>()) };
    walk.begun |= interrupted != 0;
    if address == 0 {
        return END_OF_STACK;
    }
    if !walk.begun {
        return GO_ON;
    }
    let Some(place) = walk.frames.get_mut(walk.len) else { return END_OF_STACK };
    *place = if interrupted != 0 { address } else { address - 1 };
    walk.len += 1;
    GO_ON
}
