//! Cores, CPU clocks and memory of processes: the system calls of the comparison.
//!
//! CPU time is the kernel's own clock of the process: nanoseconds, every thread included, also
//! those that ended (and io_uring's workers, which are threads of the process). The split into user
//! and system comes from /proc/PID/stat in ticks of 10 ms, and serves as a proportion only.

use std::fs;
use std::io;
use std::mem;
use std::time::Duration;

use crate::error::{Doing, Result};

/// CPU time that a process has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// User and system together, with children that ended (Redis's forks).
    pub total: Duration,
    /// User mode, in whole ticks.
    pub user: Duration,
    /// Kernel mode, in whole ticks.
    pub system: Duration,
}

impl CpuTime {
    /// What was used since `earlier`.
    pub fn since(self, earlier: CpuTime) -> CpuTime {
        CpuTime {
            total: self.total.saturating_sub(earlier.total),
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }

    /// The part of `total` that was spent in the kernel, 0 to 1; 0.5 when the run was too short
    /// for a single tick.
    pub fn system_share(&self) -> f64 {
        let ticks = (self.user + self.system).as_secs_f64();
        if ticks == 0.0 {
            0.5
        } else {
            self.system.as_secs_f64() / ticks
        }
    }
}

/// Restricts the calling thread, and the threads it starts later, to one core.
pub fn pin_self(core: usize) -> Result<()> {
    pin_current_thread(core).doing(|| format!("pinning to core {core}"))
}

/// As [`pin_self`]; async-signal-safe, for use between fork and exec.
pub(crate) fn pin_current_thread(core: usize) -> io::Result<()> {
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: an all-zero cpu_set_t is the empty set, and `core` was checked to be in it.
    let result = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn read_clock(clock: libc::clockid_t) -> io::Result<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec that the call fills.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// CPU time of this process, all threads.
pub fn own_cpu() -> Duration {
    read_clock(libc::CLOCK_PROCESS_CPUTIME_ID).expect("Linux has this clock")
}

/// CPU time of this process's children that ended and were waited for.
pub fn children_cpu() -> Duration {
    // SAFETY: an all-zero rusage is valid, and the call fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let of = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    of(usage.ru_utime) + of(usage.ru_stime)
}

/// CPU time of another process.
pub fn cpu_of(pid: u32) -> Result<CpuTime> {
    let mut clock = 0;
    // SAFETY: `clock` is a valid place for the answer.
    let error = unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, &raw mut clock) };
    let own = if error == 0 {
        read_clock(clock)
    } else {
        Err(io::Error::from_raw_os_error(error))
    }
    .doing(|| format!("reading the CPU clock of process {pid}"))?;
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).doing(|| format!("reading {path}"))?;
    // SAFETY: sysconf takes a number and returns one.
    let tick = Duration::from_secs(1) / unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as u32;
    let [user, system, children_user, children_system] = stat_ticks(&stat)
        .unwrap_or_default()
        .map(|ticks| tick * ticks as u32);
    let children = children_user + children_system;
    Ok(CpuTime {
        total: own + children,
        user: user + children_user,
        system: system + children_system,
    })
}

/// utime, stime, cutime and cstime of a `stat` line. The command's name stands in parentheses and
/// may hold anything, so fields are counted from the last one.
fn stat_ticks(stat: &str) -> Option<[u64; 4]> {
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name
        .split_whitespace()
        .skip(11)
        .map(|field| field.parse().ok());
    Some([
        fields.next()??,
        fields.next()??,
        fields.next()??,
        fields.next()??,
    ])
}

/// Resident memory of a whole process, in bytes, as /proc/PID/status tells it.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).doing(|| format!("reading {path}"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024)
        .ok_or(io::ErrorKind::InvalidData.into())
        .doing(|| format!("finding VmRSS in {path}"))
}

/// Time that a core was busy since boot, with whatever; resolution 10 ms. `None` where /proc/stat
/// does not tell.
pub fn core_busy(core: usize) -> Option<Duration> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    // SAFETY: sysconf takes a number and returns one.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as f64;
    busy_ticks(&stat, core).map(|ticks| Duration::from_secs_f64(ticks as f64 / ticks_per_second))
}

/// All columns of the core's line but idle and iowait; guest time is part of user time already.
fn busy_ticks(stat: &str, core: usize) -> Option<u64> {
    let prefix = format!("cpu{core} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&prefix))?;
    let columns: Vec<u64> = line
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    let idle = columns.get(3)? + columns.get(4)?;
    Some(columns.iter().take(8).sum::<u64>() - idle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a b) c) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 5";
        assert_eq!(stat_ticks(stat), Some([150, 50, 7, 8]));
    }

    #[test]
    fn idle_and_iowait_are_not_busy() {
        let stat =
            "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 10 1 5 1000 70 2 3 4 0 0\ncpu10 1 1 1 1 1 1 1 1\n";
        assert_eq!(busy_ticks(stat, 0), Some(25));
        assert_eq!(busy_ticks(stat, 7), None);
    }

    #[test]
    fn this_process_has_used_cpu_and_memory() {
        let pid = std::process::id();
        let before = cpu_of(pid).unwrap();
        let sum: u64 = (0..3_000_000u64).map(std::hint::black_box).sum();
        assert!(sum > 0);
        assert!(cpu_of(pid).unwrap().since(before).total > Duration::ZERO);
        assert!(resident_bytes(pid).unwrap() > 100_000);
    }
}
