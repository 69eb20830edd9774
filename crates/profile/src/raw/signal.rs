//! `SIGPROF`: its handler, the timer of processor time that sends it, and sending it to one thread.
//!
//! Always true: the handler only unwinds and writes into a ring of atomics. Once installed it stays, as a late signal without a
//! handler would end the process. A system call that a signal interrupts goes on (`SA_RESTART`) where the system can.

use std::ffi::{c_int, c_void};
use std::sync::Once;
use std::time::Duration;

use crate::raw::unwind::{self, DEPTH, From};
use crate::ring::Ring;

/// What the timer finds.
pub(crate) static TIMED: Ring = Ring::new();
/// What threads that were asked answer.
pub(crate) static ASKED: Ring = Ring::new();

/// Installs the handler, once.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // The unwinder prepares its tables when it is first used: not in a signal handler.
        unwind::stack(&mut [0; 4], From::Caller);
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_signal;
        // SAFETY: `sigaction` is plain data that zeros are valid for; the handler has the signature that `SA_SIGINFO` asks for,
        // lives forever and does only what signal-safety(7) allows (see `unwind`).
        #[expect(unsafe_code, reason = "calls of the C library")]
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(libc::SIGPROF, &raw const action, std::ptr::null_mut());
        }
    });
}

extern "C" fn on_signal(_signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: the system gives a valid `siginfo_t` for the time of the handler.
    #[expect(unsafe_code, reason = "the pointer of a C callback")]
    let asked = unsafe { (*info).si_code } == libc::SI_TKILL;
    let ring = if asked { &ASKED } else { &TIMED };
    let mut frames = [0; DEPTH];
    let len = unwind::stack(&mut frames, From::Interrupted);
    ring.put(own_thread(), &frames[..len]);
}

fn own_thread() -> u32 {
    // SAFETY: the call has no arguments and cannot fail.
    #[expect(unsafe_code, reason = "a call of the C library")]
    let thread = unsafe { libc::syscall(libc::SYS_gettid) };
    u32::try_from(thread).unwrap_or(0)
}

/// From now on a signal comes each time the threads together used `period` of processor time; with zero none comes.
pub(crate) fn set_timer(period: Duration) {
    let micros = libc::suseconds_t::from(period.subsec_micros());
    let interval = libc::timeval { tv_sec: 0, tv_usec: micros };
    let timer = libc::itimerval { it_interval: interval, it_value: interval };
    // SAFETY: the timer's value is valid for the time of the call, and nobody wants the old one.
    #[expect(unsafe_code, reason = "a call of the C library")]
    unsafe {
        libc::setitimer(libc::ITIMER_PROF, &raw const timer, std::ptr::null_mut());
    }
}

/// Asks one of our threads for its stack; false when it is gone.
pub(crate) fn ask(thread: u32) -> bool {
    let process = std::process::id();
    // SAFETY: the handler was installed by whoever calls, so that the signal ends nothing; numbers that mean no thread of this
    // process are refused by the system.
    #[expect(unsafe_code, reason = "a call of the C library")]
    let result = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGPROF) };
    result == 0
}
