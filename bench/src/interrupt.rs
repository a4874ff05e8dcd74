//! Ctrl-C, as a question that loops ask.
//!
//! Servers and their data must be gone when the tool is. So a signal only raises a flag; the
//! loops fail with [`Error::Interrupted`], and the destructors of what they own clean up.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

static RAISED: AtomicBool = AtomicBool::new(false);

extern "C" fn raise(_signal: libc::c_int) {
    RAISED.store(true, Ordering::Relaxed);
}

/// Makes SIGINT and SIGTERM raise the flag, for the rest of the process's life.
pub fn install() {
    let handler = raise as extern "C" fn(libc::c_int) as libc::sighandler_t;
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the handler stores to an atomic, which is async-signal-safe.
        unsafe { libc::signal(signal, handler) };
    }
}

/// Fails once a signal has come.
#[inline]
pub fn check() -> Result<()> {
    if RAISED.load(Ordering::Relaxed) {
        Err(Error::Interrupted)
    } else {
        Ok(())
    }
}
