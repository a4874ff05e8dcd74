//! The first screen: what a person who has just started the server wants to know.
//!
//! Text only; who prints it decides where. It keeps to 80 columns and under 12 lines, and names
//! nothing that is not so: the values come from the server that has started.

use std::fmt::Write;
use std::path::Path;

use crate::config::AppendFsync;
use crate::version::{CAUSET_VERSION, REDIS_VERSION};

/// What the first screen tells.
#[derive(Debug)]
pub struct FirstScreen<'a> {
    /// Number of shards.
    pub shards: u16,
    /// The cores that they are pinned to, in order; empty where they are not.
    pub cores: &'a [usize],
    /// Where the log is.
    pub directory: &'a Path,
    /// Whether there is a log.
    pub appendonly: bool,
    /// When a reply may leave.
    pub appendfsync: AppendFsync,
    /// The addresses that are listened on.
    pub addresses: &'a [String],
    /// The TCP port, for the line to try next; 0 where there is none.
    pub port: u16,
    /// Name of the driver in use.
    pub driver: &'a str,
}

/// The first screen, ending in a line break.
pub fn first_screen(facts: &FirstScreen<'_>) -> String {
    let durability = match (facts.appendonly, facts.appendfsync) {
        (false, _) => "none: a restart loses every key (appendonly no)",
        (true, AppendFsync::Always) => {
            "a reply leaves when its write is on disk (appendfsync always)"
        }
        (true, AppendFsync::EverySecond) => {
            "a crash loses at most the last second (appendfsync everysec)"
        }
        (true, AppendFsync::No) => "the kernel decides when to write (appendfsync no)",
    };
    let shards = match facts.shards {
        1 => "1 shard".into(),
        count => format!("{count} shards"),
    };
    let cores = match facts.cores {
        [] => "not pinned to cores".into(),
        [core] => format!("pinned to core {core}"),
        cores => format!("pinned to cores {}", ranges(cores)),
    };
    let mut screen = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(screen, "  {name:<11} {value}");
    };
    line(
        "Causet",
        &format!("{CAUSET_VERSION}, answers as Redis {REDIS_VERSION}"),
    );
    line("listens on", &facts.addresses.join(", "));
    line(
        "runs on",
        &format!("{shards}, {cores}, {} driver", facts.driver),
    );
    line("data in", &facts.directory.display().to_string());
    line("durability", durability);
    if facts.port != 0 {
        line(
            "try",
            &format!("redis-cli -p {} set hello world", facts.port),
        );
    }
    screen
}

/// Core numbers in few words: `0-3,8`.
fn ranges(cores: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &core in cores {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == core => *last = core,
            _ => runs.push((core, core)),
        }
    }
    let words: Vec<String> = runs
        .iter()
        .map(|&(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        })
        .collect();
    words.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_screen_fits_and_says_what_to_try() {
        let addresses = ["127.0.0.1:6379".to_owned(), "[::1]:6379".to_owned()];
        let mut facts = FirstScreen {
            shards: 6,
            cores: &[0, 1, 2, 3, 8, 10],
            directory: Path::new("/var/lib/causet"),
            appendonly: true,
            appendfsync: AppendFsync::Always,
            addresses: &addresses,
            port: 6379,
            driver: "io_uring",
        };
        let screen = first_screen(&facts);
        assert!(screen.lines().count() < 12);
        assert!(screen.lines().all(|line| line.len() <= 80), "{screen}");
        assert!(screen.contains("pinned to cores 0-3,8,10"), "{screen}");
        assert!(screen.contains("on disk (appendfsync always)"), "{screen}");
        assert!(
            screen.ends_with("redis-cli -p 6379 set hello world\n"),
            "{screen}"
        );
        facts.appendonly = false;
        assert!(first_screen(&facts).contains("loses every key"));
    }
}
