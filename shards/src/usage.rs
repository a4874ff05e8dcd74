//! What the process takes from the machine: memory as the allocator and the kernel count it, and
//! processor time. For INFO and MEMORY; some microseconds a call, so no command on keys may call it.

use std::sync::atomic::Ordering;

use tikv_jemalloc_ctl::{arenas, epoch, raw, stats, stats_print};

use crate::shared::Shared;

/// Memory of the process, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Handed out by the allocator.
    pub allocated: u64,
    /// In pages of the allocator that hold something.
    pub active: u64,
    /// In pages of the allocator that the kernel backs.
    pub allocator_resident: u64,
    /// Resident for the process as a whole, by the kernel.
    pub resident: u64,
}

impl Memory {
    /// Reads the figures. Counts that cannot be read are 0.
    pub fn read() -> Memory {
        // The allocator's figures are a snapshot that this renews.
        let _ = epoch::advance();
        let bytes = |read: tikv_jemalloc_ctl::Result<usize>| read.unwrap_or(0) as u64;
        Memory {
            allocated: bytes(stats::allocated::read()),
            active: bytes(stats::active::read()),
            allocator_resident: bytes(stats::resident::read()),
            resident: resident_bytes().unwrap_or(0),
        }
    }

    /// As [`Memory::read`], and moves the peak that `shared` remembers. Returns the peak as well.
    pub fn read_with_peak(shared: &Shared) -> (Memory, u64) {
        let memory = Memory::read();
        let before = shared
            .memory_peak
            .fetch_max(memory.allocated, Ordering::Relaxed);
        (memory, before.max(memory.allocated))
    }
}

/// The second field of /proc/self/statm is the resident pages.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    // SAFETY: no pointers are passed; an unknown name gives -1, which is refused below.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages * u64::try_from(page_bytes).ok()?)
}

/// Physical memory of the machine in bytes; 0 where it cannot be read.
pub fn machine_bytes() -> u64 {
    // SAFETY: no pointers are passed; an unknown name gives -1, which becomes 0 below.
    let (pages, page_bytes) = unsafe {
        (
            libc::sysconf(libc::_SC_PHYS_PAGES),
            libc::sysconf(libc::_SC_PAGESIZE),
        )
    };
    u64::try_from(pages).unwrap_or(0) * u64::try_from(page_bytes).unwrap_or(0)
}

/// Gives the allocator's unused pages back to the kernel. Returns whether the allocator did.
///
/// A decay time of 0 purges an arena at once; the arena's own time is put back afterwards.
pub fn purge() -> bool {
    let Ok(count) = arenas::narenas::read() else {
        return false;
    };
    let mut purged = false;
    for arena in 0..count {
        for kind in ["dirty", "muzzy"] {
            let name = format!("arena.{arena}.{kind}_decay_ms\0");
            // SAFETY: the name ends in NUL, and the value of these keys is an ssize_t.
            purged |= unsafe {
                raw::read::<libc::ssize_t>(name.as_bytes()).is_ok_and(|before| {
                    raw::write::<libc::ssize_t>(name.as_bytes(), 0).is_ok()
                        && raw::write(name.as_bytes(), before).is_ok()
                })
            };
        }
    }
    purged
}

/// The allocator's own report, some 10 KiB of text.
pub fn allocator_report() -> Vec<u8> {
    let mut report = Vec::new();
    // Writing to memory cannot fail.
    let _ = stats_print::stats_print(&mut report, stats_print::Options::default());
    report
}

/// Processor time in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// In the kernel.
    pub system: f64,
    /// Outside of it.
    pub user: f64,
}

impl Cpu {
    /// Of the whole process.
    pub fn of_process() -> Cpu {
        Cpu::read(libc::RUSAGE_SELF)
    }

    /// Of the calling shard's thread.
    pub fn of_thread() -> Cpu {
        Cpu::read(libc::RUSAGE_THREAD)
    }

    fn read(who: libc::c_int) -> Cpu {
        // SAFETY: rusage is plain numbers, for which zeros are valid.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a live rusage, which is all that the call writes.
        if unsafe { libc::getrusage(who, &mut usage) } != 0 {
            return Cpu::default();
        }
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        Cpu {
            system: seconds(usage.ru_stime),
            user: seconds(usage.ru_utime),
        }
    }
}

/// Bytes in words, as INFO's `_human` fields have them: `1.39M`.
pub fn human(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut value = bytes as f64 / 1024.0;
    for unit in ["K", "M", "G", "T"] {
        if value < 1024.0 {
            return format!("{value:.2}{unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.2}P")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_there_and_in_order() {
        let memory = Memory::read();
        assert!(memory.resident > 0);
        assert!(memory.allocated <= memory.active);
        assert!(machine_bytes() > memory.resident);
        assert!(Cpu::of_process().user >= Cpu::of_thread().user);
    }

    #[test]
    fn the_allocator_purges_and_reports() {
        assert!(purge());
        assert!(allocator_report().len() > 1000);
    }

    #[test]
    fn bytes_read_as_redis_writes_them() {
        assert_eq!(human(0), "0B");
        assert_eq!(human(1_462_256), "1.39M");
        assert_eq!(human(32_768), "32.00K");
        assert_eq!(human(25_276_510_208), "23.54G");
    }
}
