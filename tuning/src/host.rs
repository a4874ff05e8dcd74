//! What the kernel says about this machine, read below a root path.
//!
//! It reads small files of /proc and /sys and parses their formats; it judges nothing. The rule it
//! keeps: a file that is missing or odd is `None`, never a guess and never a panic, because kernels
//! and containers hide what they like.

use std::fs;
use std::path::{Path, PathBuf};

/// A machine, or in tests a directory that looks like one.
pub struct Host {
    root: PathBuf,
}

/// A soft limit of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// No limit.
    Unlimited,
    /// At most so many, in the limit's own unit.
    AtMost(u64),
}

/// A block device, named as in /sys/block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Its name, `nvme0n1`.
    pub name: String,
    /// The scheduler in force, `none`.
    pub scheduler: Option<String>,
    /// `write through` or `write back`.
    pub write_cache: Option<String>,
    /// Whether it is a spinning disk.
    pub rotational: bool,
}

impl Host {
    /// The machine whose /proc and /sys are below `root`; `/` is this one.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The text of a file without its surrounding white space.
    pub fn text(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join(path.trim_start_matches('/'))).ok()?;
        Some(text.trim().to_owned())
    }

    /// A sysctl by its dotted name.
    pub fn sysctl(&self, name: &str) -> Option<u64> {
        self.text(&sysctl_path(name))?.parse().ok()
    }

    /// Writes a sysctl by its dotted name; needs root.
    pub fn set_sysctl(&self, name: &str, value: u64) -> std::io::Result<()> {
        let path = self.root.join(sysctl_path(name));
        fs::write(path, value.to_string())
    }

    /// A soft limit of this process by its name in /proc/self/limits, "Max open files".
    pub fn limit(&self, name: &str) -> Option<Limit> {
        soft_limit(&self.text("proc/self/limits")?, name)
    }

    /// The choice in force of a file that lists its choices as `always [madvise] never`.
    pub fn chosen(&self, path: &str) -> Option<String> {
        bracketed(&self.text(path)?)
    }

    /// The scaling governors of all cores, each once, sorted. Empty where the kernel has none.
    pub fn governors(&self) -> Vec<String> {
        let Ok(cores) = fs::read_dir(self.root.join("sys/devices/system/cpu")) else {
            return Vec::new();
        };
        let mut governors: Vec<String> = cores
            .filter_map(|core| {
                fs::read_to_string(core.ok()?.path().join("cpufreq/scaling_governor")).ok()
            })
            .map(|governor| governor.trim().to_owned())
            .collect();
        governors.sort();
        governors.dedup();
        governors
    }

    /// Whether a process of that name runs. Reads one file for each process.
    pub fn runs(&self, command: &str) -> bool {
        let Ok(processes) = fs::read_dir(self.root.join("proc")) else {
            return false;
        };
        processes
            .filter_map(|process| fs::read_to_string(process.ok()?.path().join("comm")).ok())
            .any(|comm| comm.trim() == command)
    }

    /// The disk below the device number `major:minor`; a partition leads to its disk.
    pub fn disk(&self, device: &str) -> Option<Disk> {
        let link = self.root.join("sys/dev/block").join(device);
        let mut directory = fs::canonicalize(link).ok()?;
        if directory.join("partition").exists() {
            directory.pop();
        }
        let read = |name: &str| {
            let text = fs::read_to_string(directory.join("queue").join(name)).ok()?;
            Some(text.trim().to_owned())
        };
        Some(Disk {
            name: directory.file_name()?.to_str()?.to_owned(),
            scheduler: read("scheduler").map(|text| bracketed(&text).unwrap_or(text)),
            write_cache: read("write_cache"),
            rotational: read("rotational").as_deref() == Some("1"),
        })
    }
}

/// The device number of the file system that holds `path`, as `major:minor`.
pub fn device_of(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let device = fs::metadata(path).ok()?.dev();
    // The split of Linux's 64-bit dev_t: 12 bits of each number low, the rest of both high.
    let major = ((device >> 8) & 0xfff) | ((device >> 32) & !0xfff);
    let minor = (device & 0xff) | ((device >> 12) & 0xffff_ff00);
    Some(format!("{major}:{minor}"))
}

/// Where a sysctl lives below the root.
fn sysctl_path(name: &str) -> String {
    format!("proc/sys/{}", name.replace('.', "/"))
}

/// The soft limit of a line of /proc/PID/limits: name, soft, hard, unit, in columns.
fn soft_limit(limits: &str, name: &str) -> Option<Limit> {
    let rest = limits.lines().find_map(|line| line.strip_prefix(name))?;
    match rest.split_whitespace().next()? {
        "unlimited" => Some(Limit::Unlimited),
        number => number.parse().ok().map(Limit::AtMost),
    }
}

/// The word in brackets.
fn bracketed(choices: &str) -> Option<String> {
    let (_, rest) = choices.split_once('[')?;
    rest.split_once(']').map(|(chosen, _)| chosen.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_by_column() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 1048576              files\n\
                      Max locked memory         unlimited            unlimited            bytes\n";
        assert_eq!(
            soft_limit(limits, "Max open files"),
            Some(Limit::AtMost(1024))
        );
        assert_eq!(
            soft_limit(limits, "Max locked memory"),
            Some(Limit::Unlimited)
        );
        assert_eq!(soft_limit(limits, "Max cpu time"), None);
    }

    #[test]
    fn the_choice_in_force_is_bracketed() {
        assert_eq!(
            bracketed("always [madvise] never").as_deref(),
            Some("madvise")
        );
        assert_eq!(bracketed("none"), None);
    }

    #[test]
    fn device_numbers_of_this_host_parse() {
        let device = device_of(Path::new("/proc")).expect("procfs has a device");
        let (major, minor) = device.split_once(':').expect("two numbers");
        assert!(
            major.parse::<u32>().is_ok() && minor.parse::<u32>().is_ok(),
            "{device}"
        );
    }

    #[test]
    fn what_is_missing_is_none() {
        let host = Host::at("/does/not/exist");
        assert_eq!(host.sysctl("vm.swappiness"), None);
        assert_eq!(host.limit("Max open files"), None);
        assert!(host.governors().is_empty());
        assert!(!host.runs("irqbalance"));
        assert_eq!(host.disk("8:0"), None);
    }
}
