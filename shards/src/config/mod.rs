//! Configuration: redis.conf's syntax and names, on the command line, in files and by CONFIG.
//!
//! For: reading a start's directives ([`Config::load`]), answering CONFIG GET, SET and REWRITE, and
//! giving the rest of the server plain typed fields. Not for: acting on a change; the server compares
//! what [`Config::set`] says has changed with what it must do. Nothing here is on a hot path.
//!
//! The rule it keeps: a directive is declared once, in table.rs or accepted.rs, and a configuration
//! value is never half changed: every change makes a new [`Config`] or none.

mod accepted;
mod choice;
mod directive;
mod events;
mod kind;
mod list;
mod load;
mod memory;
mod rewrite;
mod table;
mod words;

use std::fmt::Write;

use causet_core::glob::{glob_match, has_wildcard};

pub use accepted::Accepted;
pub use choice::{
    AppendFsync, Choice, IoDriver, LocalAccess, LogLevel, MaxmemoryPolicy, PubsubDefault,
    Supervised,
};
pub use directive::{Change, Directive};
pub use events::KeyspaceEvents;
pub use kind::Reason;
pub use list::{BufferLimit, BufferLimits, PinCores, SavePoint};
pub use load::{ConfigError, Source, Start};
pub use memory::{MemoryLimit, memory_limit_of_process};
pub use rewrite::RewriteError;
pub use table::Config;

/// Why CONFIG SET changed nothing; its text is the error reply, prefix included.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// No directive has that name.
    #[error("ERR Unknown option or number of arguments for CONFIG SET - '{0}'")]
    Unknown(String),
    /// The directive cannot take that value, or not now.
    #[error("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")]
    Failed {
        /// The directive's name as the client gave it.
        name: String,
        /// What is wrong with it.
        reason: Reason,
    },
}

impl SetError {
    /// For the server, when a value was right and acting on it failed: the port is taken.
    pub fn failed(name: impl Into<String>, reason: impl Into<Reason>) -> Self {
        Self::Failed {
            name: name.into(),
            reason: reason.into(),
        }
    }
}

/// A configuration that CONFIG SET made, and how it differs from the one before.
#[derive(Debug)]
pub struct Changed {
    /// The configuration to put in force.
    pub config: Config,
    /// Names (never aliases) of the directives whose value differs, in the order of the request.
    pub names: Vec<&'static str>,
}

impl Config {
    /// CONFIG GET: names and values of the directives that match any of the patterns, each name
    /// once.
    ///
    /// A pattern without wildcards is answered under the spelling that was asked for. O(directives
    /// x patterns).
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut answer: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let shown = || Directive::all().filter(|row| row.change != Change::FileOnly);
        for pattern in patterns {
            let exact = !has_wildcard(pattern);
            for directive in shown() {
                for name in directive.names() {
                    let name = name.as_bytes();
                    let hit = match exact {
                        true => name.eq_ignore_ascii_case(pattern),
                        false => glob_match(pattern, name, true),
                    };
                    let known = |(known, _): &(Vec<u8>, _)| known.eq_ignore_ascii_case(name);
                    if hit && !answer.iter().any(known) {
                        let name = if exact {
                            pattern.to_vec()
                        } else {
                            name.to_vec()
                        };
                        answer.push((name, (directive.print)(self)));
                    }
                }
            }
        }
        answer
    }

    /// CONFIG SET: a new configuration with every pair applied, or the first error and no change.
    ///
    /// `protected` says whether this client may change protected directives; see
    /// [`LocalAccess::permits`].
    pub fn set<N, V>(&self, pairs: &[(N, V)], protected: bool) -> Result<Changed, SetError>
    where
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let mut rows: Vec<&'static Directive> = Vec::with_capacity(pairs.len());
        for (name, _) in pairs {
            let given = || String::from_utf8_lossy(name.as_ref()).into_owned();
            let row = Directive::named(name.as_ref())
                .filter(|row| row.change != Change::FileOnly)
                .ok_or_else(|| SetError::Unknown(given()))?;
            let reason = match row.change {
                Change::AtStart => Some("can't set immutable config"),
                Change::Protected if !protected => Some("can't set protected config"),
                _ if rows.iter().any(|earlier| earlier.name == row.name) => {
                    Some("duplicate parameter")
                }
                _ => None,
            };
            if let Some(reason) = reason {
                return Err(SetError::failed(given(), reason));
            }
            rows.push(row);
        }

        let mut config = self.clone();
        for (row, (name, value)) in rows.iter().zip(pairs) {
            row.read(&mut config, &[value.as_ref().to_vec()], false)
                .map_err(|reason| {
                    SetError::failed(String::from_utf8_lossy(name.as_ref()), reason)
                })?;
        }
        let names = rows
            .iter()
            .filter(|row| !(row.same)(self, &config))
            .map(|row| row.name);
        Ok(Changed {
            names: names.collect(),
            config,
        })
    }

    /// This configuration with the named directives as they are in `earlier`: what to fall back to
    /// when the server could not act on a change.
    pub fn with_values_of(&self, earlier: &Config, names: &[&str]) -> Config {
        let mut config = self.clone();
        for name in names {
            if let Some(row) = Directive::named(name.as_bytes()) {
                (row.copy)(&mut config, earlier);
            }
        }
        config
    }

    /// The list of directives for `--help`: name, what is allowed, default, documentation.
    pub fn help() -> String {
        let default = Config::default();
        let mut text = String::from("Directives, in a file or as --name value:\n");
        for directive in Directive::all().filter(|row| row.has_effect) {
            let value = (directive.print)(&default);
            let value = String::from_utf8_lossy(&value);
            let value = if value.is_empty() { "\"\"" } else { &value };
            let allowed = (directive.allowed)();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {} ({allowed}; default {value})", directive.name);
            let _ = writeln!(text, "      {}", directive.doc_line());
        }
        text.push_str("Accepted for compatibility with Redis, no effect:\n");
        for directive in Directive::all().filter(|row| !row.has_effect) {
            let _ = writeln!(text, "  {}: {}", directive.name, directive.doc_line());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// `CONFIG GET *` of Redis 7.0: one `name|value` a line.
    const REDIS_7_0: &str = include_str!("../../tests/data/config/redis-7.0.txt");

    /// Names whose value is meant to differ from Redis's.
    const OWN_DEFAULTS: [&str; 4] = ["appendonly", "appendfsync", "bind", "dir"];

    fn value(config: &Config, name: &str) -> String {
        let found = config.get(&[name.as_bytes()]);
        assert_eq!(found.len(), 1, "{name}");
        String::from_utf8(found[0].1.clone()).expect("UTF-8")
    }

    fn set(name: &str, value: &str) -> Result<Changed, String> {
        Config::default()
            .set(&[(name, value)], false)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn names_are_unique_documented_and_lower_case() {
        let mut names = HashSet::new();
        for directive in Directive::all() {
            assert!(!directive.doc_line().is_empty(), "{}", directive.name);
            assert!(!(directive.allowed)().is_empty(), "{}", directive.name);
            for name in directive.names() {
                assert!(names.insert(name), "{name} is declared twice");
                assert_eq!(name, name.to_ascii_lowercase());
            }
        }
    }

    #[test]
    fn every_default_reads_back_from_its_own_lines() {
        let default = Config::default();
        for directive in Directive::all() {
            let mut config = Config::default();
            for (index, line) in (directive.lines)(&default, &default).iter().enumerate() {
                let words = words::split(line.as_bytes()).expect(line);
                directive
                    .read(&mut config, &words, index > 0)
                    .unwrap_or_else(|reason| panic!("{} {line}: {reason}", directive.name));
            }
            // "." becomes absolute when it is read.
            assert!((directive.same)(&config, &default) || directive.name == "dir");
        }
    }

    #[test]
    fn every_name_of_redis_is_here_with_its_default_format() {
        let config = Config::default();
        for line in REDIS_7_0.lines() {
            let (name, expected) = line.split_once('|').expect("name|value");
            let ours = value(&config, name);
            if !OWN_DEFAULTS.contains(&name) {
                assert_eq!(ours, expected, "{name}");
            }
        }
    }

    #[test]
    fn get_takes_patterns_and_echoes_plain_names() {
        let config = Config::default();
        let names = |patterns: &[&[u8]]| -> Vec<String> {
            let found = config.get(patterns).into_iter();
            found
                .map(|(name, _)| String::from_utf8(name).expect("UTF-8"))
                .collect()
        };
        assert_eq!(names(&[b"HZ", b"nope", b"h?"]), ["HZ"]);
        assert_eq!(names(&[b"port", b"por*"]), ["port"]);
        assert_eq!(
            names(&[b"hash-max-*-value"]),
            ["hash-max-listpack-value", "hash-max-ziplist-value"]
        );
        assert!(
            names(&[b"user"]).is_empty(),
            "what only a file may say is not shown"
        );
        assert!(names(&[b"*"]).len() > 190);
    }

    #[test]
    fn set_answers_as_redis_does() {
        let failed = |name, reason| {
            format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
        };
        let cases = [
            ("maxmemory", "10x", "argument must be a memory value"),
            (
                "maxmemory-clients",
                "500%",
                "percentage argument must be less or equal to 100",
            ),
            ("databases", "5", "can't set immutable config"),
            ("dbfilename", "x", "can't set protected config"),
            ("appendonly", "no", "can't set immutable config"),
            (
                "timeout",
                "-1",
                "argument must be between 0 and 2147483647 inclusive",
            ),
            (
                "timeout",
                "12a",
                "argument couldn't be parsed into an integer",
            ),
            ("save", "900 x", "Invalid save parameters"),
            (
                "proto-max-bulk-len",
                "5",
                "argument must be between 1048576 and 9223372036854775807 inclusive",
            ),
            (
                "loglevel",
                "foo",
                "argument(s) must be one of the following: debug, verbose, notice, warning",
            ),
            (
                "notify-keyspace-events",
                "q",
                "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
            ),
        ];
        for (name, given, reason) in cases {
            assert_eq!(set(name, given).expect_err(name), failed(name, reason));
        }
        assert_eq!(
            set("nope", "1").expect_err("unknown"),
            "ERR Unknown option or number of arguments for CONFIG SET - 'nope'"
        );
        assert!(
            set("user", "x")
                .expect_err("file only")
                .starts_with("ERR Unknown option")
        );
    }

    #[test]
    fn set_is_all_or_nothing() {
        let config = Config::default();
        assert!(
            config
                .set(&[("hz", "20"), ("maxmemory", "zz")], false)
                .is_err()
        );
        assert_eq!(config, Config::default());
        let twice = config.set(&[("slave-priority", "7"), ("replica-priority", "8")], false);
        assert!(
            twice
                .expect_err("twice")
                .to_string()
                .ends_with("duplicate parameter")
        );
    }

    #[test]
    fn set_tells_what_changed() {
        let config = Config::default();
        let pairs = [
            ("HZ", "9999"),
            ("timeout", "0"),
            ("save", "900 1"),
            ("maxmemory", "80%"),
        ];
        let changed = config.set(&pairs, false).expect("valid");
        assert_eq!(changed.names, ["hz", "save", "maxmemory"]);
        assert_eq!(changed.config.hz, 500);
        assert_eq!(changed.config.maxmemory, MemoryLimit::Percent(80));
        assert_eq!(value(&changed.config, "save"), "900 1");
        let back = changed.config.with_values_of(&config, &changed.names);
        assert_eq!(back, config);
    }

    #[test]
    fn help_names_every_directive() {
        let help = Config::help();
        assert!(Directive::all().all(|row| help.contains(row.name)));
    }

    #[test]
    fn what_is_said_to_have_no_effect_is_read_by_nobody() {
        // INFO shows Redis's figure for the backlog, as CONFIG GET does.
        let shows = ["accepted.repl_backlog_size"];
        let mut directories = vec![concat!(env!("CARGO_MANIFEST_DIR"), "/src").into()];
        while let Some(directory) = directories.pop() {
            let entries = std::fs::read_dir::<std::path::PathBuf>(directory).expect("sources");
            for path in entries.map(|entry| entry.expect("an entry").path()) {
                if path.ends_with("config") {
                    continue;
                } else if path.is_dir() {
                    directories.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).expect("source text");
                for line in text
                    .lines()
                    .filter(|line| line.contains("config.accepted."))
                {
                    let is_shown = shows.iter().any(|field| line.contains(field));
                    assert!(is_shown, "{}: {line}", path.display());
                }
            }
        }
        let samples = Directive::named(b"maxmemory-samples").expect("a directive");
        assert!(samples.has_effect);
    }

    proptest! {
        /// Whatever CONFIG SET takes, CONFIG GET shows, and CONFIG SET takes that again.
        #[test]
        fn what_is_set_reads_back(row in 0..Directive::all().count(), text in "[-a-z0-9%. ,]{0,12}") {
            let directive = Directive::all().nth(row).expect("within the table");
            let Ok(changed) = Config::default().set(&[(directive.name, &text)], true) else {
                return Ok(());
            };
            let shown = (directive.print)(&changed.config);
            let again = Config::default().set(&[(directive.name, &shown)], true).expect("valid");
            prop_assert!((directive.same)(&changed.config, &again.config), "{}", directive.name);
        }
    }
}
