//! The limit of open files, which bounds how many clients a process can have.
//!
//! It raises the limit where the system lets it and tells what there is where it does not; it does
//! not count open files.

/// Descriptors kept for what is no client: logs, rings, listening sockets, connections on their way
/// out.
const RESERVED: u64 = 512;

/// Raises the limit of open files, if it is lower, to what `maxclients` clients need. A few system
/// calls.
///
/// # Errors
/// The number of clients that the highest limit allowed to this process is good for; the limit is
/// raised that far.
pub fn make_room(maxclients: u64) -> Result<(), u64> {
    let wanted = maxclients + RESERVED;
    // SAFETY: plain integers, for which zeros are a value.
    let mut limit = unsafe { std::mem::zeroed::<libc::rlimit>() };
    // SAFETY: the struct lives through the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 || limit.rlim_cur >= wanted
    {
        // Where the limit cannot be read, the accept that meets it will say so.
        return Ok(());
    }
    let hard = limit.rlim_max;
    let set = |limit: libc::rlimit| {
        // SAFETY: as above.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) == 0 }
    };
    // Beyond the hard limit only a privileged process gets, and it only up to fs.nr_open.
    let is_raised = set(libc::rlimit {
        rlim_cur: wanted,
        rlim_max: hard.max(wanted),
    });
    if is_raised {
        return Ok(());
    }
    let has_all = set(libc::rlimit {
        rlim_cur: hard,
        rlim_max: hard,
    });
    let most = if has_all { hard } else { limit.rlim_cur };
    Err(most.saturating_sub(RESERVED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_never_allows_is_answered_with_what_it_does() {
        let most = make_room(u64::from(u32::MAX)).expect_err("beyond fs.nr_open");
        assert!(most < u64::from(u32::MAX));
        assert_eq!(make_room(most), Ok(()));
    }
}
