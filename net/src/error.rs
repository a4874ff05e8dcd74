//! Why a driver cannot be opened, in one sentence, and the way to lift it.
//!
//! Only opening fails with these; a running driver reports plain `io::Error`s. The rule: an operator
//! who reads the message knows the next command to type.

use std::fs;
use std::io;

/// Oldest kernel whose io_uring does all that the driver needs.
pub(crate) const KERNEL_MIN: &str = "6.1";

/// What kept a driver from being opened.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// ENOSYS.
    #[error(
        "this kernel has no io_uring; run Linux {KERNEL_MIN} or later built with CONFIG_IO_URING, or choose \
         the epoll driver"
    )]
    Missing,
    /// EPERM with the sysctl set.
    #[error(
        "the sysctl kernel.io_uring_disabled is {value} and forbids io_uring to this process; set \
         it to 0 with `sysctl -w kernel.io_uring_disabled=0`, or choose the epoll driver"
    )]
    DisabledBySysctl {
        /// 1: for unprivileged processes outside `kernel.io_uring_group`; 2: for all.
        value: u8,
    },
    /// EPERM or EACCES without the sysctl.
    #[error(
        "a security policy forbids io_uring to this process, most often a container's seccomp \
         profile; allow io_uring_setup, io_uring_enter and io_uring_register in it (Docker and \
         Podman: --security-opt seccomp=PROFILE), or choose the epoll driver"
    )]
    ForbiddenByPolicy,
    /// ENOMEM.
    #[error(
        "the kernel would not lock memory for a ring: RLIMIT_MEMLOCK is {limit_bytes} bytes; raise \
         it (systemd: LimitMEMLOCK=infinity, shell: `ulimit -l unlimited`), or choose the epoll \
         driver"
    )]
    MemlockTooSmall {
        /// The soft limit in force.
        limit_bytes: u64,
    },
    /// A feature is missing.
    #[error(
        "this kernel's io_uring lacks {feature}, which Linux {since} has; upgrade the kernel, or \
         choose the epoll driver"
    )]
    KernelTooOld {
        /// What is missing.
        feature: &'static str,
        /// The first kernel with it.
        since: &'static str,
    },
    /// Anything else, such as having no file descriptors left.
    #[error("cannot open the driver: {0}")]
    Os(#[from] io::Error),
}

impl DriverError {
    /// The cause behind a failed io_uring_setup.
    pub(crate) fn from_setup(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOSYS) => Self::Missing,
            Some(libc::EPERM | libc::EACCES) => match disabled_by_sysctl() {
                Some(value) => Self::DisabledBySysctl { value },
                None => Self::ForbiddenByPolicy,
            },
            Some(libc::ENOMEM) => Self::MemlockTooSmall {
                limit_bytes: memlock_limit_bytes(),
            },
            Some(libc::EINVAL) => Self::KernelTooOld {
                feature: "deferred task work",
                since: KERNEL_MIN,
            },
            _ => Self::Os(error),
        }
    }
}

/// The value of the sysctl that forbids io_uring, where it does.
fn disabled_by_sysctl() -> Option<u8> {
    let text = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
    text.trim().parse().ok().filter(|value| *value > 0)
}

fn memlock_limit_bytes() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid place for the answer.
    unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) };
    limit.rlim_cur
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_names_its_cause_and_the_way_out() {
        for (errno, word) in [
            (libc::ENOSYS, "CONFIG_IO_URING"),
            (libc::EPERM, "io_uring"),
            (libc::ENOMEM, "RLIMIT_MEMLOCK"),
            (libc::EINVAL, "upgrade"),
        ] {
            let text = DriverError::from_setup(io::Error::from_raw_os_error(errno)).to_string();
            assert!(text.contains(word), "{text}");
            assert!(text.contains("epoll driver"), "{text}");
        }
    }

    #[test]
    fn an_unrelated_refusal_keeps_the_systems_words() {
        let error = DriverError::from_setup(io::Error::from_raw_os_error(libc::EMFILE));
        assert!(error.to_string().contains("open files"), "{error}");
    }
}
