//! The data directory: who owns it, which generation of logs is the true one.
//!
//! ```text
//! DIR/lock                 held by the process that serves from it
//! DIR/meta                 node id, shard count, generation, format version
//! DIR/gen-N/shard-000/...  the logs of generation N
//! ```
//!
//! Re-sharding writes a new generation beside the old one and then replaces `meta`, atomically: before
//! that instant the old generation is the data, after it the new one. What is in a log is not known
//! here. The rule kept: a generation that `meta` does not name is rubbish, and only that is deleted.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use super::segment::{FORMAT_VERSION, sync_dir};

/// What `meta` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The node's id, made once.
    pub node: u64,
    /// Number of shards that the generation's logs were written by.
    pub shards: u16,
    /// The generation in force.
    pub generation: u64,
}

impl Meta {
    fn encode(self) -> String {
        let Meta {
            node,
            shards,
            generation,
        } = self;
        let body = format!(
            "format {FORMAT_VERSION}\nnode {node:016x}\nshards {shards}\ngeneration {generation}\n"
        );
        format!("{body}crc {:08x}\n", crc32c::crc32c(body.as_bytes()))
    }

    fn decode(text: &str) -> Result<Meta, String> {
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
                .ok_or(format!("no `{name}` line"))
        };
        // Another version may have other fields, so the version is judged first.
        let version = field("format")?;
        if version != FORMAT_VERSION.to_string() {
            return Err(format!(
                "format version {version}; this build reads {FORMAT_VERSION}"
            ));
        }
        let body = text.rfind("crc ").map_or("", |at| &text[..at]);
        if u32::from_str_radix(field("crc")?, 16) != Ok(crc32c::crc32c(body.as_bytes())) {
            return Err("the checksum is wrong".into());
        }
        let bad = |error: std::num::ParseIntError| error.to_string();
        Ok(Meta {
            node: u64::from_str_radix(field("node")?, 16).map_err(bad)?,
            shards: field("shards")?.parse().map_err(bad)?,
            generation: field("generation")?.parse().map_err(bad)?,
        })
    }
}

/// A data directory that this process owns until the value is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    meta: Meta,
    /// The lock goes with the descriptor.
    _lock: File,
}

impl DataDir {
    /// Takes the directory (made if missing). A new one gets `fresh` as its meta; an old one keeps
    /// its own, and stale generations in it are deleted.
    ///
    /// # Errors
    /// [`io::ErrorKind::ResourceBusy`], naming the pid, if another process owns it;
    /// [`io::ErrorKind::InvalidData`] if `meta` is damaged, of another version, or missing beside
    /// existing generations; what the system says.
    pub fn open(path: &Path, fresh: Meta) -> io::Result<DataDir> {
        std::fs::create_dir_all(path)?;
        let lock = lock(&path.join("lock"))?;
        let meta = match read_meta(path)? {
            Some(meta) => meta,
            None => {
                if !generations(path)?.is_empty() {
                    let text = format!(
                        "{} has logs but no `meta`: restore the file from a backup",
                        path.display()
                    );
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
                write_meta(path, fresh)?;
                fresh
            }
        };
        let mut dir = DataDir {
            path: path.to_owned(),
            meta,
            _lock: lock,
        };
        dir.delete_stale()?;
        Ok(dir)
    }

    /// What `meta` says.
    #[must_use]
    pub fn meta(&self) -> Meta {
        self.meta
    }

    /// The directory of one shard's log in the generation in force.
    #[must_use]
    pub fn shard(&self, shard: u16) -> PathBuf {
        shard_dir(&self.path, self.meta.generation, shard)
    }

    /// The directory of one shard's log in the generation that re-sharding writes.
    #[must_use]
    pub fn next_shard(&self, shard: u16) -> PathBuf {
        shard_dir(&self.path, self.meta.generation + 1, shard)
    }

    /// Makes the next generation, whose logs are durable already, the one in force, and deletes the
    /// old one. A crash leaves one or the other.
    ///
    /// # Errors
    /// What the system says; if writing `meta` failed, the old generation stays in force.
    pub fn flip(&mut self, shards: u16) -> io::Result<()> {
        let meta = Meta {
            shards,
            generation: self.meta.generation + 1,
            ..self.meta
        };
        sync_dir(&self.path)?;
        write_meta(&self.path, meta)?;
        self.meta = meta;
        self.delete_stale()
    }

    fn delete_stale(&mut self) -> io::Result<()> {
        for generation in generations(&self.path)? {
            if generation != self.meta.generation {
                std::fs::remove_dir_all(self.path.join(format!("gen-{generation}")))?;
            }
        }
        sync_dir(&self.path)
    }
}

/// Reads `meta` without taking the directory; `None` if there is none.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] if it is damaged or of another version.
pub fn read_meta(path: &Path) -> io::Result<Option<Meta>> {
    let file = path.join("meta");
    match std::fs::read_to_string(&file) {
        Ok(text) => Meta::decode(&text).map(Some).map_err(|why| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}: {why}", file.display()),
            )
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The directory of a shard's log.
#[must_use]
pub fn shard_dir(path: &Path, generation: u64, shard: u16) -> PathBuf {
    path.join(format!("gen-{generation}"))
        .join(format!("shard-{shard:03}"))
}

fn write_meta(path: &Path, meta: Meta) -> io::Result<()> {
    let new = path.join("meta.new");
    let mut file = File::create(&new)?;
    file.write_all(meta.encode().as_bytes())?;
    file.sync_all()?;
    std::fs::rename(new, path.join("meta"))?;
    sync_dir(path)
}

fn generations(path: &Path) -> io::Result<Vec<u64>> {
    let mut generations = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        if let Some(number) = name.to_str().and_then(|name| name.strip_prefix("gen-")) {
            generations.extend(number.parse::<u64>());
        }
    }
    Ok(generations)
}

fn lock(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)?;
    // SAFETY: takes no memory; the descriptor is open for the call.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
        let mut pid = String::new();
        let _ = file.read_to_string(&mut pid);
        let text = format!("{} is held by process {}", path.display(), pid.trim());
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
    }
    // The pid is for people and for the message above; the lock itself goes with the process.
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Meta = Meta {
        node: 0xabcd,
        shards: 4,
        generation: 1,
    };

    #[test]
    fn one_owner_at_a_time_and_the_refusal_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::open(dir.path(), FRESH).unwrap();
        let refused = DataDir::open(dir.path(), FRESH).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        assert!(
            refused
                .to_string()
                .contains(&std::process::id().to_string())
        );
        drop(held);
        assert!(DataDir::open(dir.path(), FRESH).is_ok());
    }

    #[test]
    fn a_flip_changes_the_generation_and_drops_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut data = DataDir::open(dir.path(), FRESH).unwrap();
        std::fs::create_dir_all(data.shard(0)).unwrap();
        std::fs::create_dir_all(data.next_shard(0)).unwrap();
        data.flip(8).unwrap();
        drop(data);
        let other = Meta { node: 1, ..FRESH };
        let data = DataDir::open(dir.path(), other).unwrap();
        assert_eq!(
            data.meta(),
            Meta {
                node: 0xabcd,
                shards: 8,
                generation: 2
            }
        );
        assert!(data.shard(0).ends_with("gen-2/shard-000") && data.shard(0).exists());
        assert!(!shard_dir(dir.path(), 1, 0).exists());
    }

    #[test]
    fn an_unfinished_generation_goes_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path(), FRESH).unwrap();
        std::fs::create_dir_all(data.shard(0)).unwrap();
        std::fs::create_dir_all(data.next_shard(0)).unwrap();
        drop(data);
        let data = DataDir::open(dir.path(), FRESH).unwrap();
        assert!(data.shard(0).exists() && !data.next_shard(0).exists());
    }

    #[test]
    fn a_damaged_or_missing_meta_never_deletes_data() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path(), FRESH).unwrap();
        let shard = data.shard(0);
        std::fs::create_dir_all(&shard).unwrap();
        drop(data);
        let meta = dir.path().join("meta");
        let text = std::fs::read_to_string(&meta).unwrap();
        std::fs::write(&meta, text.replace("generation 1", "generation 2")).unwrap();
        assert!(
            DataDir::open(dir.path(), FRESH)
                .unwrap_err()
                .to_string()
                .contains("checksum")
        );
        std::fs::remove_file(&meta).unwrap();
        assert!(
            DataDir::open(dir.path(), FRESH)
                .unwrap_err()
                .to_string()
                .contains("no `meta`")
        );
        assert!(shard.exists());
    }
}
