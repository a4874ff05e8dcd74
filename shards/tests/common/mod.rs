//! What the black-box tests share: a real server in its own process, and ways to talk to it.
//!
//! Nothing of the server's own code is used here, so that a mistake in it cannot hide in the test as
//! well. The rule it keeps: a server never outlives the test that started it, and a test that waits
//! for something waits for the thing itself, with a bound far above what a loaded machine needs.

// Every test file is its own program and uses a part of this.
#![allow(dead_code)]

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use redis::Connection;

/// A wait longer than this is a failure; only a server that hangs gets there.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A running server. Dropping it kills the process; the directory goes with its last owner.
pub struct Server {
    child: Child,
    pub port: u16,
    pub dir: Arc<tempfile::TempDir>,
    data: PathBuf,
    args: Vec<String>,
    output: Output,
}

/// What a process has written to its standard output and standard error.
struct Output {
    text: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

/// A server that ended instead of serving.
#[derive(Debug)]
pub struct Refusal {
    pub status: ExitStatus,
    pub output: String,
}

impl Server {
    /// A server with these options, on a directory of its own.
    pub fn start(args: &[&str]) -> Server {
        Server::start_in(directory(), args)
    }

    /// A server with these options, on `dir`.
    pub fn start_in(dir: Arc<tempfile::TempDir>, args: &[&str]) -> Server {
        let data = dir.path().to_owned();
        Server::start_on(dir, data, args)
    }

    /// As [`Server::start_in`], with its data in `data`, which need not be in `dir`.
    pub fn start_on(dir: Arc<tempfile::TempDir>, data: PathBuf, args: &[&str]) -> Server {
        match Server::try_start(dir, data, args) {
            Ok(server) => server,
            Err(refusal) => panic!("the server did not start: {refusal:?}"),
        }
    }

    /// Starts a server and waits until it answers, or until it ended.
    pub fn try_start(
        dir: Arc<tempfile::TempDir>,
        data: PathBuf,
        args: &[&str],
    ) -> Result<Server, Refusal> {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        loop {
            let port = free_port();
            let mut command = causet();
            if let Some(file) = args.first().filter(|arg| !arg.starts_with("--")) {
                command.arg(file);
            }
            command.arg("--port").arg(port.to_string());
            command.arg("--dir").arg(&data);
            command.args(args.iter().skip_while(|arg| !arg.starts_with("--")));
            let (child, output) = spawn(&mut command);
            let mut server = Server {
                child,
                port,
                dir: Arc::clone(&dir),
                data: data.clone(),
                args: args.clone(),
                output,
            };
            match server.wait_until_ready() {
                Ok(()) => return Ok(server),
                // Another program took the port between the look for one and its use.
                Err(refusal) if refusal.output.contains("ddress already in use") => {}
                Err(refusal) => return Err(refusal),
            }
        }
    }

    fn wait_until_ready(&mut self) -> Result<(), Refusal> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be asked") {
                return Err(Refusal {
                    status,
                    output: self.output.whole(),
                });
            }
            if self.answers() {
                return Ok(());
            }
            assert!(
                Instant::now() < deadline,
                "no answer to PING: {}",
                self.output()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn answers(&self) -> bool {
        let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return false;
        };
        let mut wire = Wire::new(stream);
        wire.set_timeout(Duration::from_secs(5));
        let _ = wire.stream.write_all(b"PING\r\n");
        let mut line = String::new();
        wire.input.read_line(&mut line).is_ok() && !line.is_empty()
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().expect("a killed child ends");
    }

    /// kill -9, then a start with the same options.
    pub fn crash(&mut self) {
        self.kill();
        self.restart();
    }

    /// Starts again, with the same options, a server that was killed or stopped.
    pub fn restart(&mut self) {
        let args = self.args.clone();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.restart_with(&args);
    }

    /// Starts again with other options.
    pub fn restart_with(&mut self, args: &[&str]) {
        let _ = self.child.try_wait();
        let data = self.data.clone();
        *self = Server::start_on(Arc::clone(&self.dir), data, args);
    }

    /// As [`Server::restart_with`], where the start may be refused.
    pub fn try_restart(&self, args: &[&str]) -> Result<Server, Refusal> {
        Server::try_start(Arc::clone(&self.dir), self.data.clone(), args)
    }

    /// SIGTERM; waits for the end and returns all that was written.
    pub fn stop(&mut self) -> String {
        let status = self.signal_and_wait(libc::SIGTERM);
        let output = self.output.whole();
        assert!(status.success(), "{status}: {output}");
        output
    }

    fn signal_and_wait(&mut self, signal: i32) -> ExitStatus {
        // SAFETY: the child was not waited for, so its number is still its own.
        unsafe { libc::kill(self.child.id() as i32, signal) };
        self.wait()
    }

    /// Waits for the process to end.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the server's end", || {
            self.child.try_wait().expect("the child can be asked")
        })
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("the child can be asked")
            .is_none()
    }

    /// What it has written so far.
    pub fn output(&self) -> String {
        self.output
            .text
            .lock()
            .expect("readers do not panic")
            .clone()
    }

    /// Waits until it has written `text`: what a server says reaches the test a little later.
    pub fn wait_for_output(&self, text: &str) {
        wait_until(text, || self.output().contains(text));
    }

    /// A connection of the client library.
    pub fn connect(&self) -> Connection {
        self.try_connect().expect("the server accepts connections")
    }

    /// As [`Server::connect`], where the server may be dead.
    pub fn try_connect(&self) -> redis::RedisResult<Connection> {
        connect_to(self.port)
    }

    /// A socket for exact bytes.
    pub fn wire(&self) -> Wire {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a listening server");
        Wire::new(stream)
    }

    /// A field of INFO.
    pub fn info(&self, field: &str) -> String {
        info(&mut self.connect(), field)
    }

    /// A field of INFO that is a number.
    pub fn figure(&self, field: &str) -> u64 {
        let text = self.info(field);
        text.parse()
            .unwrap_or_else(|_| panic!("{field} is not a number: {text}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!(
                "--- the server on port {} wrote:\n{}",
                self.port,
                self.output()
            );
        }
    }
}

impl Output {
    /// Everything, once the process has ended.
    fn whole(&mut self) -> String {
        for reader in self.readers.drain(..) {
            reader.join().expect("readers do not panic");
        }
        self.text.lock().expect("readers do not panic").clone()
    }
}

/// The server's program.
pub fn causet() -> Command {
    Command::new(env!("CARGO_BIN_EXE_causet"))
}

/// Runs the program to its end with these arguments: exit code and output.
pub fn run(args: &[&str]) -> (Option<i32>, String) {
    let done = causet().args(args).output().expect("the program runs");
    let mut text = String::from_utf8_lossy(&done.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&done.stderr));
    (done.status.code(), text)
}

fn spawn(command: &mut Command) -> (Child, Output) {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the server's program runs");
    let text = Arc::new(Mutex::new(String::new()));
    let pipes: [Box<dyn Read + Send>; 2] = [
        Box::new(child.stdout.take().expect("it is piped")),
        Box::new(child.stderr.take().expect("it is piped")),
    ];
    let readers = pipes
        .into_iter()
        .map(|pipe| {
            let text = Arc::clone(&text);
            thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let mut text = text.lock().expect("readers do not panic");
                    text.push_str(&line);
                    text.push('\n');
                }
            })
        })
        .collect();
    (child, Output { text, readers })
}

/// A temporary directory that several may own.
pub fn directory() -> Arc<tempfile::TempDir> {
    Arc::new(tempfile::tempdir().expect("a temporary directory"))
}

/// A port that nobody listens on, and that no other test of this program was given.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let mut given = GIVEN.lock().expect("nothing panics with it");
        if given.get_or_insert_default().insert(port) {
            return port;
        }
    }
}

/// A connection of the client library to a port of this machine.
pub fn connect_to(port: u16) -> redis::RedisResult<Connection> {
    let connection = redis::Client::open(("127.0.0.1", port))?.get_connection()?;
    connection.set_read_timeout(Some(PATIENCE))?;
    Ok(connection)
}

/// A field of INFO.
pub fn info(connection: &mut Connection, field: &str) -> String {
    let text: String = redis::cmd("INFO")
        .arg("everything")
        .query(connection)
        .expect("INFO answers");
    text.lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .unwrap_or_else(|| panic!("INFO has no {field}"))
        .to_owned()
}

/// Asks again and again until there is an answer.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// As [`wait_for`], for a condition.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}

/// A command from words divided by spaces.
pub fn words(text: &str) -> redis::Cmd {
    let mut words = text.split(' ');
    let mut cmd = redis::cmd(words.next().expect("a name"));
    for word in words {
        cmd.arg(word);
    }
    cmd
}

/// Runs a command of plain words.
#[track_caller]
pub fn ask<T: redis::FromRedisValue>(connection: &mut Connection, text: &str) -> T {
    words(text)
        .query(connection)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The text of the error that a command of plain words gets.
#[track_caller]
pub fn error_of(connection: &mut Connection, text: &str) -> String {
    match words(text).query::<redis::Value>(connection) {
        Ok(value) => panic!("{text} was answered: {value:?}"),
        Err(error) => error.to_string(),
    }
}

/// A socket on which exact bytes are sent and expected.
pub struct Wire {
    pub stream: TcpStream,
    pub input: BufReader<TcpStream>,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Wire {
        let input = BufReader::with_capacity(1 << 16, stream.try_clone().expect("a descriptor"));
        let wire = Wire { stream, input };
        wire.set_timeout(PATIENCE);
        wire
    }

    pub fn set_timeout(&self, timeout: Duration) {
        self.stream
            .set_read_timeout(Some(timeout))
            .expect("the timeout is not zero");
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .expect("the server reads");
    }

    /// Reads as many bytes as `bytes` has; they must be these.
    #[track_caller]
    pub fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let mut got = vec![0; bytes.len()];
        if let Err(error) = self.input.read_exact(&mut got) {
            panic!("{error} instead of {}", bytes.escape_ascii());
        }
        assert!(
            got == bytes,
            "{} instead of {}",
            got[..got.len().min(300)].escape_ascii(),
            bytes[..bytes.len().min(300)].escape_ascii()
        );
    }

    /// Sends, and expects the reply.
    #[track_caller]
    pub fn exchange(&mut self, request: impl AsRef<[u8]>, reply: impl AsRef<[u8]>) {
        self.send(request);
        self.expect(reply);
    }

    /// The next line, without its end.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.input.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// A bulk string.
    #[track_caller]
    pub fn bulk(&mut self) -> Vec<u8> {
        let head = self.line();
        let len = head.strip_prefix('$').and_then(|len| len.parse().ok());
        let len: usize = len.unwrap_or_else(|| panic!("no bulk string: {head}"));
        let mut bytes = vec![0; len + 2];
        self.input.read_exact(&mut bytes).expect("the whole value");
        assert_eq!(&bytes[len..], b"\r\n");
        bytes.truncate(len);
        bytes
    }

    /// Whether the server closed the connection and sent nothing before.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let mut rest = Vec::new();
        match self.input.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the connection is still open: {error}"),
        }
        assert!(rest.is_empty(), "sent before: {}", rest.escape_ascii());
    }
}

/// The request for these arguments.
pub fn request(args: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// The segment files of a shard's log in the generation in force, oldest first.
pub fn segments(data: &Path, shard: u16) -> Vec<PathBuf> {
    let generations = std::fs::read_dir(data).expect("the data directory");
    let mut generation: Vec<PathBuf> = generations
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.join(format!("shard-{shard:03}")).is_dir())
        .collect();
    generation.sort();
    let dir = generation
        .last()
        .expect("a generation")
        .join(format!("shard-{shard:03}"));
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .expect("the shard's directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            let name = path.file_name().expect("a name").to_string_lossy();
            name.ends_with(".seg") && !name.starts_with("spare")
        })
        .collect();
    files.sort();
    files
}

/// Flips all bits of `bytes` bytes of a file, from `offset` on.
pub fn damage(file: &Path, offset: u64, bytes: usize) {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(file)
        .expect("the file");
    let mut content = vec![0; bytes];
    file.read_exact_at(&mut content, offset)
        .expect("bytes there");
    for byte in &mut content {
        *byte = !*byte;
    }
    file.write_all_at(&content, offset).expect("bytes there");
}

/// Sizes of all files under a directory added up, in bytes.
pub fn bytes_under(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_under(&entry.path()),
            Ok(metadata) => metadata.len(),
            // It went away in between.
            Err(_) => 0,
        })
        .sum()
}

/// Numbers that look random and are the same in every run (xorshift64).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
