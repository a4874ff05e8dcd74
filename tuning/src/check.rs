//! The settings that matter for Causet: what each is, what it should be, and why.
//!
//! One function judges one setting; [`findings`] is their list. What has no bearing here is left
//! out: Causet never forks, so memory overcommit is not looked at. The rule it keeps: only what
//! stops the server, loses acknowledged writes or falls short of its configuration is harmful; what
//! merely costs speed is advice.

use crate::host::{Disk, Host, Limit};

/// How much a setting matters as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Worth knowing; it depends on the machine's other work.
    Info,
    /// Costs speed or evenness.
    Advice,
    /// Stops the server, breaks a promise, or keeps it below its configuration.
    Harmful,
}

/// One setting of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is called where it is set.
    pub setting: String,
    /// What it is; `?` where it cannot be read.
    pub current: String,
    /// What it should be.
    pub recommended: String,
    /// How much that matters.
    pub verdict: Verdict,
    /// Why it matters for Causet.
    pub why: &'static str,
    /// How to set it; empty when there is nothing to do.
    pub how: String,
}

/// What the server is going to need; the defaults are those of its configuration.
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    /// `tcp-backlog`.
    pub tcp_backlog: u64,
    /// `maxclients`.
    pub maxclients: u64,
}

/// Open files beyond clients: log segments, peer links, rings, listeners.
const FILES_BESIDE_CLIENTS: u64 = 4096;

/// Locked memory below which rings with registered buffers may be refused by older kernels.
const MEMLOCK_BYTES_MIN: u64 = 64 << 20;

/// A sysctl that can be set at run time, with the least or the most that it should be.
pub struct Sysctl {
    /// Its dotted name.
    pub name: &'static str,
    /// The value to set.
    pub value: u64,
    /// Whether a value is as good as `value`.
    pub suffices: fn(current: u64, value: u64) -> bool,
    /// What a worse value is.
    pub otherwise: Verdict,
    /// Why it matters.
    pub why: &'static str,
}

/// The sysctls that `check` judges and `apply` sets.
pub fn sysctls(needs: Needs) -> [Sysctl; 4] {
    [
        Sysctl {
            name: "kernel.io_uring_disabled",
            value: 0,
            suffices: |current, _| current == 0,
            otherwise: Verdict::Harmful,
            why: "sockets and the log go through io_uring; without it the slower epoll driver runs",
        },
        Sysctl {
            name: "net.core.somaxconn",
            value: needs.tcp_backlog.max(4096),
            suffices: |current, value| current >= value,
            otherwise: Verdict::Advice,
            why: "the kernel cuts tcp-backlog to this; bursts of connections beyond it are dropped",
        },
        Sysctl {
            name: "net.ipv4.tcp_max_syn_backlog",
            value: needs.tcp_backlog.max(4096),
            suffices: |current, value| current >= value,
            otherwise: Verdict::Advice,
            why: "half-open connections beyond it wait for a retransmission, a second or more",
        },
        Sysctl {
            name: "vm.swappiness",
            value: 1,
            suffices: |current, value| current <= value,
            otherwise: Verdict::Advice,
            why: "a swapped page stalls a whole shard; Causet drops cold data to its log by itself",
        },
    ]
}

/// Judges every setting; `disk` is the data directory's, where it is known.
pub fn findings(host: &Host, needs: Needs, disk: Option<&Disk>) -> Vec<Finding> {
    let mut all: Vec<Finding> = sysctls(needs)
        .iter()
        .map(|sysctl| match sysctl.name {
            // An older kernel does not have this one, and allows io_uring.
            "kernel.io_uring_disabled" => judge_sysctl(host, sysctl, Verdict::Info),
            _ => judge_sysctl(host, sysctl, Verdict::Advice),
        })
        .collect();
    // A backlog that the kernel cuts below what the configuration asks for is a broken promise.
    for finding in &mut all {
        if finding.setting == "net.core.somaxconn"
            && finding
                .current
                .parse()
                .is_ok_and(|current: u64| current < needs.tcp_backlog)
        {
            finding.verdict = Verdict::Harmful;
        }
    }
    all.push(memlock(host));
    all.push(open_files(host, needs));
    all.push(huge_pages(host));
    all.push(governor(host));
    all.push(isolation(host));
    all.push(irqbalance(host));
    all.extend(
        disk.into_iter()
            .flat_map(|disk| [scheduler(disk), write_cache(disk)]),
    );
    all
}

fn judge_sysctl(host: &Host, sysctl: &Sysctl, unreadable: Verdict) -> Finding {
    let current = host.sysctl(sysctl.name);
    let verdict = match current {
        Some(current) if (sysctl.suffices)(current, sysctl.value) => Verdict::Good,
        Some(_) => sysctl.otherwise,
        None => unreadable,
    };
    Finding {
        setting: sysctl.name.into(),
        current: shown(current),
        recommended: sysctl.value.to_string(),
        verdict,
        why: sysctl.why,
        how: format!("sysctl -w {}={}", sysctl.name, sysctl.value),
    }
}

fn memlock(host: &Host) -> Finding {
    let limit = host.limit("Max locked memory");
    Finding {
        setting: "locked memory (ulimit -l)".into(),
        current: shown_limit(limit),
        recommended: "unlimited".into(),
        verdict: match limit {
            Some(limit) if is_at_least(limit, MEMLOCK_BYTES_MIN) => Verdict::Good,
            _ => Verdict::Advice,
        },
        why: "buffers registered with io_uring are locked memory",
        how: "LimitMEMLOCK=infinity in the systemd unit".into(),
    }
}

fn open_files(host: &Host, needs: Needs) -> Finding {
    let wanted = needs.maxclients + FILES_BESIDE_CLIENTS;
    let limit = host.limit("Max open files");
    Finding {
        setting: "open files (ulimit -n)".into(),
        current: shown_limit(limit),
        recommended: format!("{wanted} or more"),
        verdict: match limit {
            Some(limit) if is_at_least(limit, wanted) => Verdict::Good,
            Some(_) => Verdict::Harmful,
            None => Verdict::Advice,
        },
        why: "each client is an open file; below maxclients, connections are refused",
        how: "LimitNOFILE=1048576 in the systemd unit".into(),
    }
}

fn huge_pages(host: &Host) -> Finding {
    const FILE: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
    let chosen = host.chosen(FILE);
    Finding {
        setting: "transparent huge pages".into(),
        current: shown(chosen.as_deref()),
        recommended: "madvise".into(),
        verdict: match chosen.as_deref() {
            Some("always") => Verdict::Advice,
            Some(_) => Verdict::Good,
            None => Verdict::Info,
        },
        why: "with always, the kernel's compaction of pages shows as latency spikes",
        how: format!("echo madvise > {FILE}"),
    }
}

fn governor(host: &Host) -> Finding {
    let governors = host.governors();
    Finding {
        setting: "CPU governor".into(),
        current: if governors.is_empty() {
            "?".into()
        } else {
            governors.join(", ")
        },
        recommended: "performance".into(),
        verdict: match governors.as_slice() {
            [] => Verdict::Info,
            [only] if only == "performance" => Verdict::Good,
            _ => Verdict::Advice,
        },
        why: "a core that clocks up only under load makes the first requests after a pause slow",
        how: "cpupower frequency-set -g performance".into(),
    }
}

fn isolation(host: &Host) -> Finding {
    let isolated = host
        .text("sys/devices/system/cpu/isolated")
        .filter(|text| !text.is_empty());
    let tickless = host
        .text("sys/devices/system/cpu/nohz_full")
        .filter(|text| !text.is_empty() && text != "(null)");
    let shown = |cores: Option<String>| cores.unwrap_or_else(|| "none".into());
    Finding {
        setting: "isolcpus / nohz_full".into(),
        current: format!("{} / {}", shown(isolated), shown(tickless)),
        recommended: "the shards' cores, where tails matter".into(),
        verdict: Verdict::Info,
        why: "other threads and the timer tick on a shard's core show at p99.99",
        how: "kernel command line: isolcpus=2-15 nohz_full=2-15; then pin-cores 2-15".into(),
    }
}

fn irqbalance(host: &Host) -> Finding {
    let runs = host.runs("irqbalance");
    Finding {
        setting: "irqbalance".into(),
        current: if runs { "running" } else { "not running" }.into(),
        recommended: "not running, or kept off the shards' cores".into(),
        verdict: if runs { Verdict::Advice } else { Verdict::Good },
        why: "it moves network and disk interrupts onto pinned cores",
        how: "systemctl disable --now irqbalance, or IRQBALANCE_BANNED_CPULIST".into(),
    }
}

fn scheduler(disk: &Disk) -> Finding {
    // Spinning disks gain from a scheduler; everything else only pays for it.
    let recommended = if disk.rotational {
        "mq-deadline"
    } else {
        "none"
    };
    Finding {
        setting: format!("{} scheduler", disk.name),
        current: shown(disk.scheduler.as_deref()),
        recommended: recommended.into(),
        verdict: match disk.scheduler.as_deref() {
            Some(scheduler) if scheduler == recommended => Verdict::Good,
            Some(_) => Verdict::Advice,
            None => Verdict::Info,
        },
        why: "the log already writes large aligned blocks in order; a scheduler adds latency",
        how: format!(
            "echo {recommended} > /sys/block/{}/queue/scheduler",
            disk.name
        ),
    }
}

fn write_cache(disk: &Disk) -> Finding {
    Finding {
        setting: format!("{} write cache", disk.name),
        current: shown(disk.write_cache.as_deref()),
        recommended: "write through (the disk has power-loss protection)".into(),
        verdict: match disk.write_cache.as_deref() {
            Some("write through") => Verdict::Good,
            // Not harmful: the log flushes it. It is the price of each group commit.
            Some(_) => Verdict::Advice,
            None => Verdict::Info,
        },
        why: "with write back, every group commit waits for the disk to empty its cache",
        how: "use disks with power-loss protection; never override write_cache by hand on others"
            .into(),
    }
}

fn is_at_least(limit: Limit, wanted: u64) -> bool {
    match limit {
        Limit::Unlimited => true,
        Limit::AtMost(most) => most >= wanted,
    }
}

fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "?".into(), |value| value.to_string())
}

fn shown_limit(limit: Option<Limit>) -> String {
    match limit {
        Some(Limit::Unlimited) => "unlimited".into(),
        Some(Limit::AtMost(most)) => most.to_string(),
        None => "?".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const NEEDS: Needs = Needs {
        tcp_backlog: 511,
        maxclients: 10_000,
    };

    fn fixture(name: &str) -> Host {
        Host::at(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/data")
                .join(name),
        )
    }

    fn verdict(findings: &[Finding], setting: &str) -> Verdict {
        let found = findings
            .iter()
            .find(|finding| finding.setting.contains(setting));
        found.unwrap_or_else(|| panic!("{setting}")).verdict
    }

    #[test]
    fn a_tuned_host_is_good() {
        let host = fixture("tuned");
        let disk = host.disk("259:1").expect("the partition's disk");
        assert_eq!(disk.name, "nvme0n1");
        for finding in findings(&host, NEEDS, Some(&disk)) {
            assert!(finding.verdict <= Verdict::Info, "{finding:?}");
        }
    }

    #[test]
    fn an_untuned_host_is_told_what_harms() {
        let host = fixture("untuned");
        let disk = host.disk("8:0").expect("a disk");
        let findings = findings(&host, NEEDS, Some(&disk));
        for setting in ["io_uring_disabled", "somaxconn", "open files"] {
            assert_eq!(verdict(&findings, setting), Verdict::Harmful, "{setting}");
        }
        let advised = [
            "syn_backlog",
            "swappiness",
            "locked",
            "huge",
            "governor",
            "irqbalance",
            "scheduler",
            "cache",
        ];
        for setting in advised {
            assert_eq!(verdict(&findings, setting), Verdict::Advice, "{setting}");
        }
    }

    #[test]
    fn a_host_that_hides_everything_is_not_harmful() {
        let findings = findings(&Host::at("/does/not/exist"), NEEDS, None);
        assert!(
            findings
                .iter()
                .all(|finding| finding.verdict < Verdict::Harmful)
        );
    }
}
