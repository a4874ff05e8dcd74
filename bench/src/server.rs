//! A server process: started on its core, asked, stopped, and its data removed.
//!
//! The child dies with the tool whatever happens to the tool (the kernel sends it SIGKILL), and the
//! data directory goes when the [`Server`] is dropped. Every server gets the same durability options
//! and the same core; nothing else is tuned on either side.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Doing, Error, Result};
use crate::generator::Address;
use crate::interrupt;
use crate::peers::{Binary, Dialect};
use crate::process::{self, CpuTime};
use crate::reply::Scanner;
use crate::template;

/// How long a server may take to start, or to recover.
const START_MAX: Duration = Duration::from_secs(300);
/// How long background work of a filling may go on before a test starts anyway.
const SETTLE_MAX: Duration = Duration::from_secs(30);
/// For so long a server must be found idle: Redis looks ten times a second whether its log has grown
/// enough to be rewritten, so that one look may come before the rewrite that is due.
const SETTLE_QUIET: Duration = Duration::from_millis(400);
const SETTLE_POLL: Duration = Duration::from_millis(50);
/// Between two looks at a server that is not ready.
const POLL: Duration = Duration::from_millis(2);
/// A control connection's patience for one reply.
const REPLY_MAX: Duration = Duration::from_secs(60);

/// INFO fields that are above 0 while the log is being compacted or rewritten.
pub const COMPACTING_FIELDS: &[&str] = &[
    "log_compaction_in_progress",
    "aof_rewrite_in_progress",
    "aof_rewrite_scheduled",
];
/// INFO fields that count compactions or rewrites since the start.
pub const COMPACTIONS_FIELDS: &[&str] = &["log_compactions", "aof_rewrites"];
/// The INFO field that counts the log's records.
const LOG_RECORDS_FIELD: &str = "log_records";
/// Where Redis and Valkey keep append-only files, and how those end that hold commands.
const AOF_DIRECTORY: &str = "appendonlydir";
const AOF_INCREMENT_SUFFIX: &str = ".incr.aof";
/// The INFO field that counts group commits since the start.
pub const LOG_COMMITS_FIELD: &str = "log_commits";

/// What every server of a comparison is given.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The core that the server alone runs on.
    pub core: usize,
    /// Under which each server gets a fresh directory.
    pub data_root: PathBuf,
    /// `yes` or `no`.
    pub appendonly: String,
    /// `always`, `everysec` or `no`.
    pub appendfsync: String,
    /// Whether the load comes by the Unix socket instead of loopback TCP.
    pub unix: bool,
    /// Whether servers rewrite or compact their logs by themselves, as all do by default.
    pub rewrites: bool,
}

/// A running server.
pub struct Server {
    binary: Binary,
    settings: Settings,
    port: u16,
    directory: PathBuf,
    child: Child,
}

impl Server {
    /// Starts a server on an empty directory and waits until it serves.
    pub fn start(binary: &Binary, settings: &Settings) -> Result<Server> {
        let port = free_port()?;
        let directory = settings.data_root.join(format!("server-{port}"));
        fs::create_dir_all(&directory).doing(|| format!("creating {}", directory.display()))?;
        let directory = directory
            .canonicalize()
            .doing(|| format!("resolving {}", directory.display()))?;
        let child = spawn(binary, settings, port, &directory).inspect_err(|_| {
            // The spawn's error is the one to report.
            let _ = fs::remove_dir_all(&directory);
        })?;
        let mut server = Server {
            binary: binary.clone(),
            settings: settings.clone(),
            port,
            directory,
            child,
        };
        server.wait_ready()?;
        Ok(server)
    }

    /// Kills the server as a crash would (SIGKILL), starts it on the same data, and returns the
    /// time from the start until it serves.
    pub fn crash_and_recover(&mut self) -> Result<Duration> {
        self.kill();
        let started = Instant::now();
        self.child = spawn(&self.binary, &self.settings, self.port, &self.directory)?;
        self.wait_ready()?;
        Ok(started.elapsed())
    }

    /// The server's name and version.
    pub fn label(&self) -> &str {
        &self.binary.label
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its loopback port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its Unix socket.
    pub fn socket_path(&self) -> PathBuf {
        self.directory.join("s.sock")
    }

    /// Where the load goes.
    pub fn address(&self) -> Address {
        if self.settings.unix {
            Address::Unix(self.socket_path())
        } else {
            Address::Tcp(format!("127.0.0.1:{}", self.port))
        }
    }

    /// CPU time used so far, by the process and all below it.
    pub fn cpu(&self) -> Result<CpuTime> {
        process::cpu_of(self.pid())
    }

    /// Sends one command on a connection of its own; the reply's lines without their RESP types.
    pub fn ask(&self, command: &str) -> Result<String> {
        let doing = || format!("asking {} for {command}", self.binary.label);
        ask(self.port, command).doing(doing)
    }

    /// INFO as a map from field to value.
    pub fn info(&self) -> Result<HashMap<String, String>> {
        let text = self.ask("INFO")?;
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        Ok(fields
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect())
    }

    /// The sum of those of `fields` that INFO has; `None` when it has none of them.
    pub fn info_sum(&self, fields: &[&str]) -> Result<Option<u64>> {
        let info = self.info()?;
        let numbers: Vec<u64> = fields
            .iter()
            .filter_map(|field| info.get(*field)?.parse().ok())
            .collect();
        Ok((!numbers.is_empty()).then(|| numbers.iter().sum()))
    }

    /// Waits until no compaction or rewrite runs or is due and no child lives, so that a test does
    /// not pay for its filling: 0.4 s at least, 30 s at most. Whether the server came to rest.
    pub fn settle(&self) -> Result<bool> {
        let started = Instant::now();
        let mut busy_until = started;
        while busy_until.elapsed() < SETTLE_QUIET {
            if started.elapsed() > SETTLE_MAX {
                return Ok(false);
            }
            interrupt::check()?;
            thread::sleep(SETTLE_POLL);
            let compacts = self.info_sum(COMPACTING_FIELDS)?.unwrap_or(0) > 0;
            if compacts || process::has_children(self.pid())? {
                busy_until = Instant::now();
            }
        }
        Ok(true)
    }

    /// Records in the log: INFO's count where there is one, else the commands in the append-only
    /// file's increments. O(file).
    pub fn log_records(&self) -> Result<u64> {
        if let Some(records) = self.info_sum(&[LOG_RECORDS_FIELD])? {
            return Ok(records);
        }
        let directory = self.directory.join(AOF_DIRECTORY);
        let doing = || format!("listing {}", directory.display());
        let mut records = 0;
        // Redis 7 and its kin keep the file in a directory; a RDB at its base holds no commands.
        for entry in fs::read_dir(&directory).doing(doing)?.flatten() {
            let path = entry.path();
            if path.to_string_lossy().ends_with(AOF_INCREMENT_SUFFIX) {
                let bytes = fs::read(&path).doing(|| format!("reading {}", path.display()))?;
                // A command is a RESP array, as a reply may be.
                records += Scanner::default().scan(&bytes)?.replies;
            }
        }
        Ok(records)
    }

    fn wait_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        loop {
            interrupt::check()?;
            if ask(self.port, "PING").is_ok_and(|reply| reply.trim() == "PONG") {
                return Ok(());
            }
            let exited = self
                .child
                .try_wait()
                .doing(|| "looking after a child".to_owned())?;
            let why = match exited {
                Some(status) => format!("ended at its start with {status}: {}", self.last_words()),
                None if started.elapsed() > START_MAX => {
                    format!(
                        "not ready after {} s: {}",
                        START_MAX.as_secs(),
                        self.last_words()
                    )
                }
                None => {
                    thread::sleep(POLL);
                    continue;
                }
            };
            return Err(Error::Server {
                name: self.binary.label.clone(),
                why,
            });
        }
    }

    /// The last lines of what the server printed.
    fn last_words(&self) -> String {
        let text = fs::read(self.directory.join("output")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }

    fn kill(&mut self) {
        // Both fail only when the child is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        // What is left behind lies under the data root, which is removed as well.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn spawn(binary: &Binary, settings: &Settings, port: u16, directory: &Path) -> Result<Child> {
    let mut command = binary.command();
    command
        .args(["--port", &port.to_string()])
        .arg("--dir")
        .arg(directory);
    command.args(["--appendonly", &settings.appendonly]);
    command.args(["--appendfsync", &settings.appendfsync]);
    command.arg("--unixsocket").arg(directory.join("s.sock"));
    if !settings.rewrites {
        command.args(["--auto-aof-rewrite-percentage", "0"]);
    }
    match binary.dialect {
        Dialect::Causet => {
            command.args(["--shards", "1", "--pin-cores", &settings.core.to_string()]);
        }
        Dialect::Redis => {
            command.args(["--save", "", "--bind", "127.0.0.1"]);
        }
    }
    let path = directory.join("output");
    let create = || File::options().create(true).append(true).open(&path);
    let output = create().doing(|| format!("creating {}", path.display()))?;
    let errors = create().doing(|| format!("creating {}", path.display()))?;
    command
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors);
    run_pinned(&mut command, settings.core)
}

/// Starts a program on one core, to be killed by the kernel when the calling thread ends.
pub fn run_pinned(command: &mut Command, core: usize) -> Result<Child> {
    let before_exec = move || {
        // SAFETY: prctl with these arguments only sets a flag of the calling process.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } < 0 {
            return Err(std::io::Error::last_os_error());
        }
        process::pin_current_thread(core)
    };
    // A group of its own: Ctrl-C is for the tool, which then stops its children in order.
    command.process_group(0);
    // SAFETY: between fork and exec only the two system calls are made; nothing allocates.
    unsafe { command.pre_exec(before_exec) };
    command.spawn().doing(|| {
        format!(
            "starting {} on core {core}",
            command.get_program().display()
        )
    })
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .doing(|| "looking for a free port".to_owned())
}

/// One command, its arguments separated by blanks, and one reply: a line, or a bulk string's body.
/// An error reply is an error, so that -LOADING is not taken for readiness.
fn ask(port: u16, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(REPLY_MAX))?;
    let arguments: Vec<&str> = command.split_whitespace().collect();
    stream.write_all(&template::encode(&arguments))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let invalid = |text: &str| std::io::Error::new(ErrorKind::InvalidData, text.to_owned());
    match line.split_at_checked(1) {
        Some(("+" | ":", rest)) => Ok(rest.trim_end().to_owned()),
        Some(("$", length)) => {
            let length: usize = length.trim_end().parse().map_err(|_| invalid(&line))?;
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            Ok(String::from_utf8_lossy(&body).into_owned())
        }
        _ => Err(invalid(line.trim_end())),
    }
}
