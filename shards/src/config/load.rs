//! Reading a start's configuration: the command line, the file, and what the file includes.
//!
//! It does not act on anything: no directory is entered, no log file opened. The rule it keeps: a
//! start either has a configuration in which every word was understood, or none, with an error that
//! names the file, the line and what is allowed.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use causet_core::glob::{glob_match, has_wildcard};

use super::Config;
use super::directive::Directive;
use super::words::{quote, split};

/// Files may include files; deeper than this, one includes itself.
const INCLUDE_DEPTH_MAX: usize = 16;

/// What a command line asks for.
#[derive(Debug)]
pub enum Start {
    /// Run the server.
    Run(Box<Config>, Source),
    /// `--version` or `-v`: print the version.
    Version,
    /// `--help` or `-h`: print the usage and [`Config::help`].
    Help,
}

/// Where a configuration came from; CONFIG REWRITE goes back there.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The file named on the command line, as an absolute path.
    pub file: Option<PathBuf>,
    /// What the operator should read in the log: directives without effect that were given.
    pub notes: Vec<String>,
    /// Directives that an included file set. A rewrite spells them out even at their default,
    /// because the included file would otherwise win at the next start.
    pub(super) included: HashSet<&'static str>,
}

/// Why a start has no configuration. Its text is for the operator's terminal, several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigError {
    /// A file could not be read.
    Unreadable {
        /// Its path as given.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// A line was not understood.
    Refused {
        /// The file; `None` for the command line.
        file: Option<PathBuf>,
        /// The line's number from 1; on the command line, the number of the option.
        line_number: usize,
        /// The line.
        line: String,
        /// What is wrong with it.
        reason: String,
        /// What the directive takes, where it is known.
        allowed: Option<String>,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = env!("CARGO_PKG_VERSION");
        writeln!(out, "\n*** FATAL CONFIG FILE ERROR (Causet {version}) ***")?;
        match self {
            ConfigError::Unreadable { path, reason } => {
                write!(
                    out,
                    "Fatal error, can't open config file '{}': {reason}",
                    path.display()
                )
            }
            ConfigError::Refused {
                file,
                line_number,
                line,
                reason,
                allowed,
            } => {
                match file {
                    Some(file) => writeln!(
                        out,
                        "Reading the configuration file, at line {line_number} of {}",
                        file.display()
                    )?,
                    None => writeln!(out, "Reading the command line, at option {line_number}")?,
                }
                write!(out, ">>> '{line}'\n{reason}")?;
                match allowed {
                    Some(allowed) => write!(out, "\nAllowed: {allowed}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads `[FILE] [--name value ...]`, the arguments after the program's name.
    ///
    /// FILE comes first, or `-` for the standard input; the options are read after it and override
    /// it. Relative paths, also of `include`, are relative to the working directory.
    ///
    /// # Errors
    /// The first file that cannot be read or line that is not understood.
    pub fn load<I>(args: I) -> Result<Start, ConfigError>
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        let args: Vec<Vec<u8>> = args.into_iter().map(|arg| arg.into().into_vec()).collect();
        match args.first().map(Vec::as_slice) {
            Some(b"--version" | b"-v") => return Ok(Start::Version),
            Some(b"--help" | b"-h") => return Ok(Start::Help),
            _ => {}
        }
        let mut reader = Reader::default();
        let (file, options) = match args.split_first() {
            Some((first, options)) if !first.starts_with(b"--") => (Some(first), options),
            _ => (None, args.as_slice()),
        };
        match file.map(Vec::as_slice) {
            Some(b"-") => reader.read_standard_input()?,
            Some(path) => {
                let path = Path::new(OsStr::from_bytes(path));
                reader.read_file(path, 0)?;
                reader.source.file = std::path::absolute(path).ok();
            }
            None => {}
        }
        reader.read_options(options)?;
        let mut config = reader.config;
        // Kept absolute even when no line gave it, because CONFIG GET shows an absolute path.
        if let Ok(directory) = std::path::absolute(&config.dir) {
            config.dir = directory;
        }
        Ok(Start::Run(Box::new(config), reader.source))
    }
}

/// The configuration as far as it has been read.
#[derive(Default)]
struct Reader {
    config: Config,
    source: Source,
    /// Directives given so far: a second line of a list adds to the first.
    seen: HashSet<&'static str>,
}

/// Where a line stands, for its error.
struct Place<'a> {
    file: Option<&'a Path>,
    line_number: usize,
    line: String,
    depth: usize,
}

impl Place<'_> {
    fn refused(&self, reason: impl Into<String>, allowed: Option<String>) -> ConfigError {
        ConfigError::Refused {
            file: self.file.map(Path::to_path_buf),
            line_number: self.line_number,
            line: self.line.clone(),
            reason: reason.into(),
            allowed,
        }
    }
}

impl Reader {
    fn read_file(&mut self, path: &Path, depth: usize) -> Result<(), ConfigError> {
        let text = std::fs::read(path).map_err(|error| ConfigError::Unreadable {
            path: path.to_path_buf(),
            reason: error.to_string(),
        })?;
        self.read_text(&text, path, depth)
    }

    fn read_standard_input(&mut self) -> Result<(), ConfigError> {
        let path = Path::new("-");
        let mut text = Vec::new();
        std::io::stdin()
            .read_to_end(&mut text)
            .map_err(|error| ConfigError::Unreadable {
                path: path.to_path_buf(),
                reason: error.to_string(),
            })?;
        self.read_text(&text, path, 0)
    }

    fn read_text(&mut self, text: &[u8], path: &Path, depth: usize) -> Result<(), ConfigError> {
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let place = Place {
                file: Some(path),
                line_number: index + 1,
                line: String::from_utf8_lossy(line).into_owned(),
                depth,
            };
            let words = split(line)
                .ok_or_else(|| place.refused("Unbalanced quotes in configuration line", None))?;
            self.read_line(&words, &place)?;
        }
        Ok(())
    }

    /// `--name value...` as many times as there are; each is one line.
    fn read_options(&mut self, options: &[Vec<u8>]) -> Result<(), ConfigError> {
        let mut rest = options;
        let mut option_number = 0;
        while let Some((option, tail)) = rest.split_first() {
            option_number += 1;
            let values = tail
                .iter()
                .take_while(|word| !word.starts_with(b"--"))
                .count();
            let (values, after) = tail.split_at(values);
            rest = after;
            let mut line = String::from_utf8_lossy(option).into_owned();
            for value in values {
                line.push(' ');
                line.push_str(&quote(value));
            }
            let place = Place {
                file: None,
                line_number: option_number,
                line,
                depth: 0,
            };
            let Some(name) = option.strip_prefix(b"--") else {
                return Err(place.refused("an option starts with --; FILE comes first", None));
            };
            let mut words = vec![name.to_vec()];
            words.extend_from_slice(values);
            // As redis-server has it: a bare --save means none.
            if values.is_empty() && name.eq_ignore_ascii_case(b"save") {
                words.push(Vec::new());
            }
            self.read_line(&words, &place)?;
        }
        Ok(())
    }

    fn read_line(&mut self, words: &[Vec<u8>], place: &Place<'_>) -> Result<(), ConfigError> {
        let Some((name, values)) = words.split_first() else {
            return Ok(());
        };
        if name.eq_ignore_ascii_case(b"include") {
            return self.include(values, place);
        }
        if name.eq_ignore_ascii_case(b"loadmodule") {
            let reason = "Causet does not load modules: remove this line";
            return Err(place.refused(reason, None));
        }
        let Some(directive) = Directive::named(name) else {
            let allowed = nearest(name).map(|near| format!("perhaps '{near}'; see causet --help"));
            return Err(place.refused("Bad directive or wrong number of arguments", allowed));
        };
        let repeated = !self.seen.insert(directive.name);
        directive
            .read(&mut self.config, values, repeated)
            .map_err(|reason| place.refused(reason, Some((directive.allowed)())))?;
        if place.depth > 0 {
            self.source.included.insert(directive.name);
        }
        if !directive.has_effect && !repeated {
            self.source.notes.push(format!(
                "'{}' is accepted for compatibility and has no effect: {}",
                directive.name,
                directive.doc_line()
            ));
        }
        Ok(())
    }

    /// Reads every file that matches; a pattern may match none, a plain name must be there.
    fn include(&mut self, values: &[Vec<u8>], place: &Place<'_>) -> Result<(), ConfigError> {
        let [pattern] = values else {
            return Err(place.refused("wrong number of arguments", Some("one path".into())));
        };
        if place.depth == INCLUDE_DEPTH_MAX {
            let reason = format!(
                "includes are nested deeper than {INCLUDE_DEPTH_MAX}: does a file include itself?"
            );
            return Err(place.refused(reason, None));
        }
        for path in matching_files(pattern) {
            self.read_file(&path, place.depth + 1)?;
        }
        Ok(())
    }
}

/// The paths that a file pattern matches, sorted; the pattern itself where it has no wildcard.
fn matching_files(pattern: &[u8]) -> Vec<PathBuf> {
    if !has_wildcard(pattern) {
        return vec![PathBuf::from(OsStr::from_bytes(pattern))];
    }
    let start = if pattern.starts_with(b"/") { "/" } else { "" };
    let mut found = vec![PathBuf::from(start)];
    for part in pattern
        .split(|&byte| byte == b'/')
        .filter(|part| !part.is_empty())
    {
        found = found
            .iter()
            .flat_map(|directory| entries(directory, part))
            .collect();
    }
    found.retain(|path| path.exists());
    found
}

/// What one part of a file pattern matches in a directory.
fn entries(directory: &Path, part: &[u8]) -> Vec<PathBuf> {
    if !has_wildcard(part) {
        return vec![directory.join(OsStr::from_bytes(part))];
    }
    let listed = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    let Ok(listing) = std::fs::read_dir(listed) else {
        return Vec::new();
    };
    let mut names: Vec<OsString> = listing
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        // As in a shell: hidden files only where the pattern names the dot.
        .filter(|name| part.starts_with(b".") || !name.as_bytes().starts_with(b"."))
        .filter(|name| glob_match(part, name.as_bytes(), false))
        .collect();
    names.sort();
    names.iter().map(|name| directory.join(name)).collect()
}

/// The directive whose name is at most two edits away, for a typing error.
fn nearest(name: &[u8]) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    Directive::all()
        .flat_map(Directive::names)
        .map(|known| (edits(&name, known.as_bytes()), known))
        .filter(|(distance, known)| *distance <= 2 && known.len() > 3)
        .min()
        .map(|(_, known)| known)
}

/// Levenshtein distance. O(left x right).
fn edits(left: &[u8], right: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, left_byte) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (at, right_byte) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(left_byte != right_byte);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::super::{IoDriver, LocalAccess, SavePoint};
    use super::*;
    use std::fs;

    fn run(args: &[&str]) -> Result<(Config, Source), String> {
        match Config::load(args.iter().copied()) {
            Ok(Start::Run(config, source)) => Ok((*config, source)),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("causet.conf");
        fs::write(&path, text).expect("file");
        let path = path.to_str().expect("UTF-8").to_owned();
        (directory, path)
    }

    #[test]
    fn options_override_the_file() {
        let (_directory, path) = file("# comment\n\n  port 7000\r\nhz 20\nsave 900 1\n");
        let (config, source) = run(&[
            &path,
            "--port",
            "7001",
            "--save",
            "60 5",
            "--io-driver",
            "epoll",
        ])
        .expect("valid");
        assert_eq!(
            (config.port, config.hz, config.io_driver),
            (7001, 20, IoDriver::Epoll)
        );
        assert_eq!(
            config.accepted.save,
            [
                SavePoint {
                    seconds: 900,
                    changes: 1
                },
                SavePoint {
                    seconds: 60,
                    changes: 5
                }
            ]
        );
        assert_eq!(source.file.as_deref(), Some(Path::new(&path)));
        assert!(source.notes[0].contains("'save'"), "{:?}", source.notes);
    }

    #[test]
    fn nothing_given_is_the_default() {
        let (config, source) = run(&[]).expect("valid");
        assert!(config.dir.is_absolute());
        assert_eq!(
            Config {
                dir: Config::default().dir,
                ..config
            },
            Config::default()
        );
        assert_eq!(source.file, None);
        assert!(matches!(Config::load(["-v"]), Ok(Start::Version)));
        assert!(matches!(Config::load(["--help"]), Ok(Start::Help)));
    }

    #[test]
    fn options_may_have_no_value_or_many() {
        let (config, _) = run(&["--save", "--bind", "127.0.0.1", "-::1"]).expect("valid");
        assert!(config.accepted.save.is_empty());
        assert_eq!(config.bind, ["127.0.0.1", "-::1"]);
        assert!(
            run(&["--port"])
                .expect_err("no value")
                .contains("wrong number of arguments")
        );
        assert!(run(&["f", "port", "1"]).is_err());
    }

    #[test]
    fn a_bad_line_is_told_with_its_place() {
        let (_directory, path) = file("hz 10\n\nport abc\n");
        let error = run(&[&path]).expect_err("bad port");
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            error,
            format!(
                "\n*** FATAL CONFIG FILE ERROR (Causet {version}) ***\n\
                 Reading the configuration file, at line 3 of {path}\n\
                 >>> 'port abc'\n\
                 argument couldn't be parsed into an integer\n\
                 Allowed: an integer from 0 to 65535"
            )
        );
    }

    #[test]
    fn errors_name_the_way_out() {
        let case = |line: &str| {
            let (_directory, path) = file(line);
            run(&[&path]).expect_err(line)
        };
        assert!(case("daemonize yes").contains("systemd"));
        assert!(case("prot 1").contains("Bad directive or wrong number of arguments"));
        assert!(case("maxmemry 1").contains("perhaps 'maxmemory'"));
        assert!(case("requirepass \"a").contains("Unbalanced quotes in configuration line"));
        assert!(case("replicaof host 6379").contains("every node takes writes"));
        assert!(case("cluster-enabled yes").contains("cluster-enabled no"));
        assert!(case("loadmodule x.so").contains("does not load modules"));
        assert!(case("dir /etc/passwd").contains("Not a directory"));
        assert!(
            run(&["/does/not/exist"])
                .expect_err("no file")
                .contains("can't open config file")
        );
    }

    #[test]
    fn includes_take_patterns_in_order_and_stop_at_a_loop() {
        let (directory, path) = file("");
        let at = |name: &str| directory.path().join(name).display().to_string();
        fs::write(at("10-a.conf"), "hz 20\ntimeout 5\n").expect("file");
        fs::write(at("20-b.conf"), "hz 30\nuser bob on >x ~*\n").expect("file");
        fs::write(
            &path,
            format!("include {}\ninclude {}\n", at("[12]0-*.conf"), at("no*")),
        )
        .expect("file");
        let (config, source) = run(&[&path]).expect("valid");
        assert_eq!((config.hz, config.timeout, config.users.len()), (30, 5, 1));
        assert!(source.included.contains("hz"));

        fs::write(&path, format!("include {path}\n")).expect("file");
        assert!(run(&[&path]).expect_err("loop").contains("include itself"));
        fs::write(&path, "include /does/not/exist\n").expect("file");
        assert!(run(&[&path]).is_err());
    }

    #[test]
    fn a_file_of_redis_starts() {
        let (_directory, path) = file(
            "bind 127.0.0.1 -::1\nprotected-mode yes\nport 6379\ntcp-backlog 511\ndaemonize no\n\
             pidfile /run/redis.pid\nloglevel notice\nlogfile \"\"\ndatabases 16\n\
             always-show-logo no\nset-proc-title yes\nproc-title-template \"{title} {listen-addr}\"\n\
             stop-writes-on-bgsave-error yes\nrdbcompression yes\nslave-serve-stale-data yes\n\
             oom-score-adj-values 0 200 800\nhash-max-ziplist-entries 100\n\
             client-output-buffer-limit replica 256mb 64mb 60\nio-threads 4\n\
             enable-debug-command local\nshutdown-on-sigterm nosave now\n",
        );
        let (config, source) = run(&[&path]).expect("valid");
        assert_eq!(config.hash_max_listpack_entries, 100);
        assert_eq!(config.enable_debug_command, LocalAccess::Local);
        assert_eq!(config.accepted.shutdown_on_sigterm, "nosave now");
        assert!(
            source
                .notes
                .iter()
                .any(|note| note.contains("'io-threads'"))
        );
    }
}
