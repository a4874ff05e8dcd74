//! How much memory this process may use, and limits given as a part of it.
//!
//! It measures what the machine and its cgroups allow, not what is in use. The rule it keeps: every
//! call reads the limits anew, so that a container resized while the server runs is noticed.

use std::fmt;
use std::fs;
use std::path::{Component, Path};

/// A limit on memory: bytes, or a percentage of what this process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLimit {
    /// So many bytes; 0 means that no limit is set.
    Bytes(u64),
    /// 0 to 100 percent of a total that is known only at run time.
    Percent(u8),
}

impl MemoryLimit {
    /// The limit in bytes, where the whole is `total_bytes` (see [`memory_limit_of_process`]).
    pub fn bytes(self, total_bytes: u64) -> u64 {
        match self {
            MemoryLimit::Bytes(bytes) => bytes,
            // Divided first: the product could pass u64 on a cgroup "limit" near u64::MAX.
            MemoryLimit::Percent(percent) => {
                total_bytes / 100 * u64::from(percent)
                    + total_bytes % 100 * u64::from(percent) / 100
            }
        }
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemoryLimit::Bytes(bytes) => write!(out, "{bytes}"),
            MemoryLimit::Percent(percent) => write!(out, "{percent}%"),
        }
    }
}

/// Bytes that this process may use: the least of the physical memory and the limits of its cgroup
/// (v2 `memory.max` or v1 `memory.limit_in_bytes`) and of every cgroup above it.
///
/// Reads a handful of small files under /proc and /sys: some 50 microseconds, so a timer of one
/// second may call it, a command may not. `u64::MAX` where nothing can be read.
pub fn memory_limit_of_process() -> u64 {
    memory_limit_under(Path::new("/"))
}

/// As [`memory_limit_of_process`], with /proc and /sys looked up under `root`.
fn memory_limit_under(root: &Path) -> u64 {
    let cgroups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let cgroup_limit = cgroups
        .lines()
        .filter_map(|line| {
            // hierarchy-id:controllers:path; v2 has id 0 and no controllers.
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            if controllers.is_empty() {
                least_up_the_tree(&root.join("sys/fs/cgroup"), path, "memory.max")
            } else if controllers.split(',').any(|name| name == "memory") {
                let base = root.join("sys/fs/cgroup/memory");
                least_up_the_tree(&base, path, "memory.limit_in_bytes")
            } else {
                None
            }
        })
        .min();
    physical_bytes(root)
        .into_iter()
        .chain(cgroup_limit)
        .min()
        .unwrap_or(u64::MAX)
}

/// The least limit found in `file` from the cgroup at `path` up to the mount point `base`. Inside a
/// container the path may name a cgroup that only the host sees; its ancestors that do exist count.
fn least_up_the_tree(base: &Path, path: &str, file: &str) -> Option<u64> {
    let mut directory = base.to_path_buf();
    // Only normal components: `..` is what a cgroup namespace shows for what lies outside of it.
    let inner = Path::new(path)
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        });
    let mut least = read_limit(&directory.join(file));
    for name in inner {
        directory.push(name);
        least = least
            .into_iter()
            .chain(read_limit(&directory.join(file)))
            .min();
    }
    least
}

/// The number in a cgroup file; `None` for "max", for no file, and for v1's word for no limit.
fn read_limit(file: &Path) -> Option<u64> {
    let limit = fs::read_to_string(file).ok()?.trim().parse::<u64>().ok()?;
    // v1 writes i64::MAX rounded down to a page.
    (limit < 1 << 62).then_some(limit)
}

fn physical_bytes(root: &Path) -> Option<u64> {
    let meminfo = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("temporary directory");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("has a parent")).expect("directory");
            fs::write(path, text).expect("file");
        }
        root
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:        1024 kB\nMemFree: 1 kB\n");

    #[test]
    fn physical_memory_without_cgroups() {
        assert_eq!(memory_limit_under(host(&[MEMINFO]).path()), 1 << 20);
        assert_eq!(memory_limit_under(host(&[]).path()), u64::MAX);
    }

    #[test]
    fn version_two_takes_the_least_of_all_ancestors() {
        let root = host(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/memory.max", "500000\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
        ]);
        assert_eq!(memory_limit_under(root.path()), 500_000);
    }

    #[test]
    fn version_one_ignores_its_word_for_no_limit() {
        let root = host(&[
            MEMINFO,
            ("proc/self/cgroup", "5:cpu,memory:/x\n1:name=systemd:/\n"),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "4096\n"),
        ]);
        assert_eq!(memory_limit_under(root.path()), 4096);
    }

    #[test]
    fn this_host_has_a_limit() {
        let limit = memory_limit_of_process();
        assert!(limit > 1 << 20 && limit < 1 << 50, "{limit}");
    }

    #[test]
    fn percentages_do_not_overflow() {
        assert_eq!(MemoryLimit::Percent(80).bytes(1_000), 800);
        assert_eq!(MemoryLimit::Percent(100).bytes(u64::MAX), u64::MAX);
        assert_eq!(MemoryLimit::Bytes(7).bytes(1), 7);
    }
}
