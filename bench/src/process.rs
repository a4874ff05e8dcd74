//! Cores, CPU clocks and memory of processes: the system calls of the comparison.
//!
//! CPU time is the kernel's own clock of the process: nanoseconds, every thread included, also
//! those that ended (and io_uring's workers, which are threads of the process). Children count, the
//! living by their own clocks and the ended in ticks of 10 ms: a forked child that rewrites a log is
//! CPU that the server cost. The split into user and system comes from /proc/PID/stat, in ticks,
//! and serves as a proportion only.

use std::fs;
use std::io;
use std::mem;
use std::time::Duration;

use crate::error::{Doing, Result};

/// CPU time that a process and its descendants have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// User and system together.
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

/// CPU time of another process and of all processes below it, living or ended, since it started.
/// A descendant that ends while this reads may be missed or counted twice.
pub fn cpu_of(pid: u32) -> Result<CpuTime> {
    let mut total = cpu_of_one(pid).doing(|| format!("reading the CPU clock of process {pid}"))?;
    for child in descendants(pid).doing(|| "listing /proc".to_owned())? {
        // One that is gone by now is in its parent's account of ended children.
        if let Ok(cpu) = cpu_of_one(child) {
            total.total += cpu.total;
            total.user += cpu.user;
            total.system += cpu.system;
        }
    }
    Ok(total)
}

/// Whether any process lives below `pid`.
pub fn has_children(pid: u32) -> Result<bool> {
    let found = descendants(pid).doing(|| "listing /proc".to_owned())?;
    Ok(!found.is_empty())
}

/// One process with its ended and awaited children, without the living.
fn cpu_of_one(pid: u32) -> io::Result<CpuTime> {
    let mut clock = 0;
    // SAFETY: `clock` is a valid place for the answer.
    let error = unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, &raw mut clock) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let own = read_clock(clock)?;
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let stat = parse_stat(&text).ok_or(io::ErrorKind::InvalidData)?;
    // SAFETY: sysconf takes a number and returns one.
    let tick = Duration::from_secs(1) / unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as u32;
    let [user, system, children_user, children_system] =
        stat.ticks.map(|ticks| tick * ticks as u32);
    Ok(CpuTime {
        total: own + children_user + children_system,
        user: user + children_user,
        system: system + children_system,
    })
}

/// The living processes below `pid`: children, theirs, and so on, ended but not awaited ones
/// included. Reads all of /proc, a fraction of a millisecond per hundred processes.
fn descendants(pid: u32) -> io::Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let id = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok());
        let Some(id) = id else { continue };
        // A process that ended since the listing is no descendant.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some(stat) = parse_stat(&stat) {
            parents.push((id, stat.parent));
        }
    }
    let mut found = vec![pid];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(
            parents
                .iter()
                .filter(|row| row.1 == parent)
                .map(|row| row.0),
        );
        next += 1;
    }
    found.remove(0);
    Ok(found)
}

/// What is of use in a line of /proc/PID/stat.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// utime, stime, cutime, cstime.
    ticks: [u64; 4],
}

/// The command's name stands in parentheses and may hold anything, so fields are counted from the
/// last one.
fn parse_stat(line: &str) -> Option<Stat> {
    let after_name = &line[line.rfind(')')? + 1..];
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        parent: number(1)? as u32,
        ticks: [number(11)?, number(12)?, number(13)?, number(14)?],
    })
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
        let expected = Stat {
            parent: 1,
            ticks: [150, 50, 7, 8],
        };
        assert_eq!(parse_stat(stat), Some(expected));
        assert_eq!(parse_stat("42 (a) S 1 42"), None);
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

    #[test]
    fn a_childs_time_counts_while_it_lives_and_after() {
        const USED_MIN: Duration = Duration::from_millis(50);
        // The shell only waits; its child counts, then waits for a line.
        let script = "(i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; read a); read b; true";
        let mut shell = std::process::Command::new("sh")
            .args(["-c", script])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = shell.id();
        let wait_until = |reached: &dyn Fn() -> bool| {
            let started = std::time::Instant::now();
            while !reached() {
                assert!(started.elapsed() < Duration::from_secs(20), "not seen");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        wait_until(&|| cpu_of(pid).unwrap().total >= USED_MIN);
        assert_eq!(descendants(pid).unwrap().len(), 1);
        assert!(cpu_of_one(pid).unwrap().total < USED_MIN);
        std::io::Write::write_all(shell.stdin.as_mut().unwrap(), b"\n").unwrap();
        wait_until(&|| descendants(pid).unwrap().is_empty());
        // Two ticks may be lost: one of user and one of system time.
        let lost = Duration::from_millis(20);
        assert!(cpu_of(pid).unwrap().total >= USED_MIN - lost);
        drop(shell.stdin.take());
        assert!(shell.wait().unwrap().success());
    }

    #[test]
    fn a_threads_time_counts_after_its_end() {
        let pid = std::process::id();
        let before = cpu_of(pid).unwrap();
        let burn = || (0..20_000_000u64).map(std::hint::black_box).sum::<u64>();
        let used = std::thread::spawn(move || {
            let start = read_clock(libc::CLOCK_THREAD_CPUTIME_ID).unwrap();
            assert!(burn() > 0);
            read_clock(libc::CLOCK_THREAD_CPUTIME_ID).unwrap() - start
        });
        let used = used.join().unwrap();
        assert!(cpu_of(pid).unwrap().since(before).total >= used);
    }
}
