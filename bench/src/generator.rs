//! The load: connections kept busy by one thread, replies counted, latencies recorded.
//!
//! Closed loop: each connection sends a pipeline of requests, waits for all their replies, sends the
//! next; a reply's latency runs from the hand-over of its pipeline. Open loop: bursts of requests
//! start by a [`Schedule`] whatever the server does, each on one connection, and latency runs from
//! the scheduled start.
//!
//! One clock reading per read of a socket, not per reply: replies that arrive together have the
//! same latency, as they have for a client. The rule: whatever is reported was counted from replies
//! that are not errors; a run answered with errors fails.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::epoll::Epoll;
use crate::error::{Doing, Error, Result};
use crate::interrupt;
use crate::keys::Keys;
use crate::latency::Latency;
use crate::reply::{Scanner, Tally};
use crate::rng::Rng;
use crate::schedule::Schedule;
use crate::template::{Batch, Mix};

/// Bytes taken by one read: 100 bulk strings of 64 bytes for a pipeline of several.
const READ_BYTES: usize = 64 * 1024;
/// The longest wait before deadlines and Ctrl-C are looked at again.
const WAIT_MAX: Duration = Duration::from_millis(50);
/// Below this the next request is awaited by polling: a sleep would wake too late for it.
const SPIN_BELOW: Duration = Duration::from_micros(100);
/// A server that answers nothing for so long is taken for dead.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long an open loop goes on sending what it is late with, after its time is over.
const OVERTIME_MAX: Duration = Duration::from_secs(10);

/// Where the server listens.
#[derive(Clone, Debug)]
pub enum Address {
    /// Host and port; TCP_NODELAY is set.
    Tcp(String),
    /// A Unix stream socket.
    Unix(PathBuf),
}

impl Address {
    fn connect(&self) -> Result<File> {
        let socket: OwnedFd = match self {
            Address::Tcp(address) => {
                let stream =
                    TcpStream::connect(address).doing(|| format!("connecting to {address}"))?;
                stream
                    .set_nodelay(true)
                    .doing(|| format!("TCP_NODELAY on {address}"))?;
                stream
                    .set_nonblocking(true)
                    .doing(|| format!("O_NONBLOCK on {address}"))?;
                stream.into()
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)
                    .doing(|| format!("connecting to {}", path.display()))?;
                stream
                    .set_nonblocking(true)
                    .doing(|| format!("O_NONBLOCK on {}", path.display()))?;
                stream.into()
            }
        };
        // A File is read(2) and write(2) on whatever descriptor it holds: one type for both.
        Ok(File::from(socket))
    }
}

/// When requests start.
#[derive(Clone, Debug)]
pub enum Pace {
    /// As soon as the pipeline before was answered.
    Closed,
    /// By the schedule, so many requests at a time, from 1 to the load's depth: 1 is clients that
    /// do not pipeline, the depth is clients that send whole pipelines.
    Open {
        /// When a burst starts.
        schedule: Schedule,
        /// Requests that start together, on one connection.
        burst: usize,
    },
}

impl Pace {
    /// Requests one by one, by the schedule.
    pub fn open(schedule: Schedule) -> Pace {
        Pace::Open { schedule, burst: 1 }
    }

    /// `rate` requests a second in bursts of `burst` at equal gaps.
    pub fn bursts(rate: f64, burst: usize) -> Pace {
        Pace::Open {
            schedule: Schedule::even(rate / burst as f64),
            burst,
        }
    }
}

/// What one thread sends.
#[derive(Clone, Debug)]
pub struct Load {
    /// The server.
    pub address: Address,
    /// Connections, at least 1.
    pub connections: usize,
    /// Requests in flight per connection, at least 1: exactly this many in a closed loop, at most
    /// this many in an open one.
    pub depth: usize,
    /// The commands.
    pub mix: Mix,
    /// The keys they touch.
    pub keys: Keys,
    /// Seed of keys and of the choice of commands.
    pub seed: u64,
}

/// When a run ends: at whichever comes first, and then when all that was sent is answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limit {
    /// Requests to send.
    pub requests: Option<u64>,
    /// Time during which requests start.
    pub duration: Option<Duration>,
}

/// What a run found.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// One entry per request.
    pub latency: Latency,
    /// Replies counted.
    pub requests: u64,
    /// Of these, null or empty: a collection had run dry, or a key was not there.
    pub empty: u64,
    /// Of these, errors.
    pub errors: u64,
    /// The first error's text.
    pub first_error: Option<String>,
    /// Scheduled requests of an open loop that were never sent, for the server was too slow; each
    /// is in `latency` with the age it had reached.
    pub unsent: u64,
    /// From the first request's start to the last reply.
    pub elapsed: Duration,
}

impl Outcome {
    /// Replies per second.
    pub fn throughput(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Adds what another thread, or a later window, found. `elapsed` becomes the longer of the two.
    pub fn merge(&mut self, other: Outcome) {
        self.latency.merge(&other.latency);
        self.requests += other.requests;
        self.empty += other.empty;
        self.errors += other.errors;
        self.unsent += other.unsent;
        self.first_error = self.first_error.take().or(other.first_error);
        self.elapsed = self.elapsed.max(other.elapsed);
    }

    /// Fails when any reply was an error.
    pub fn checked(self) -> Result<Outcome> {
        if self.errors == 0 {
            return Ok(self);
        }
        let first = self.first_error.unwrap_or_default();
        Err(Error::ErrorReplies {
            count: self.errors,
            first,
        })
    }
}

/// Requests of one connection that started together.
#[derive(Clone, Copy, Debug)]
struct Pending {
    start_ns: u64,
    count: u64,
}

struct Connection {
    socket: File,
    scanner: Scanner,
    batch: Batch,
    pending: VecDeque<Pending>,
    in_flight: usize,
    /// Whether epoll watches for room in the socket's send buffer.
    blocked: bool,
}

/// Connections to one server, ready to be driven any number of times.
pub struct Generator {
    mix: Mix,
    keys: Keys,
    rng: Rng,
    depth: usize,
    connections: Vec<Connection>,
    epoll: Epoll,
    buffer: Box<[u8]>,
}

/// The state of one run.
struct Run {
    started: Instant,
    limit: Limit,
    issued: u64,
    in_flight: u64,
    outcome: Outcome,
}

impl Run {
    fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// How many of `wanted` requests may still start at `at_ns`.
    fn allowance(&self, wanted: usize, at_ns: u64) -> usize {
        let in_time = self
            .limit
            .duration
            .is_none_or(|limit| u128::from(at_ns) < limit.as_nanos());
        if !in_time {
            return 0;
        }
        let left = self
            .limit
            .requests
            .map_or(u64::MAX, |limit| limit - self.issued);
        (wanted as u64).min(left) as usize
    }
}

impl Generator {
    /// Connects. Fails when the server refuses any of the connections.
    pub fn connect(load: &Load) -> Result<Generator> {
        assert!(
            load.connections > 0 && load.depth > 0,
            "a load has connections and depth"
        );
        let epoll = Epoll::new().doing(|| "creating an epoll instance".to_owned())?;
        let mut connections = Vec::with_capacity(load.connections);
        for token in 0..load.connections {
            let socket = load.address.connect()?;
            epoll
                .add(socket.as_raw_fd(), token)
                .doing(|| "watching a socket".to_owned())?;
            connections.push(Connection {
                socket,
                scanner: Scanner::default(),
                batch: Batch::default(),
                pending: VecDeque::with_capacity(load.depth),
                in_flight: 0,
                blocked: false,
            });
        }
        Ok(Generator {
            mix: load.mix.clone(),
            keys: load.keys.clone(),
            rng: Rng::new(load.seed),
            depth: load.depth,
            connections,
            epoll,
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
        })
    }

    /// Drives the load until `limit`, which must name requests or a duration, and until every reply
    /// is there. Error replies are counted, not returned as errors: see [`Outcome::checked`].
    pub fn run(&mut self, pace: Pace, limit: Limit) -> Result<Outcome> {
        assert!(
            limit.requests.is_some() || limit.duration.is_some(),
            "a run has an end"
        );
        let mut run = Run {
            started: Instant::now(),
            limit,
            issued: 0,
            in_flight: 0,
            outcome: Outcome::default(),
        };
        match pace {
            Pace::Closed => self.run_closed(&mut run)?,
            Pace::Open { schedule, burst } => {
                assert!((1..=self.depth).contains(&burst), "a burst fits a pipeline");
                self.run_open(&mut run, schedule, burst)?;
            }
        }
        debug_assert!(
            self.connections
                .iter()
                .all(|connection| connection.in_flight == 0)
        );
        run.outcome.elapsed = run.started.elapsed();
        run.outcome.first_error = self
            .connections
            .iter()
            .find_map(|connection| connection.scanner.first_error());
        Ok(run.outcome)
    }

    fn run_closed(&mut self, run: &mut Run) -> Result<()> {
        for token in 0..self.connections.len() {
            self.start_pipeline(run, token)?;
        }
        let mut heard = Instant::now();
        while run.in_flight > 0 {
            let answered = self.turn(run, WAIT_MAX, |generator, run, token| {
                generator.start_pipeline(run, token)
            })?;
            heard = hearing(heard, answered)?;
        }
        Ok(())
    }

    /// Sends the next pipeline on an idle connection, if the limit lets any start.
    fn start_pipeline(&mut self, run: &mut Run, token: usize) -> Result<()> {
        let start_ns = run.now_ns();
        let count = run.allowance(self.depth, start_ns);
        let connection = &mut self.connections[token];
        if count == 0 || connection.in_flight > 0 {
            return Ok(());
        }
        connection
            .batch
            .refill(&self.mix, &mut self.keys, &mut self.rng, count);
        connection.pending.push_back(Pending {
            start_ns,
            count: count as u64,
        });
        connection.in_flight = count;
        run.issued += count as u64;
        run.in_flight += count as u64;
        self.send(token)
    }

    fn run_open(&mut self, run: &mut Run, mut schedule: Schedule, burst: usize) -> Result<()> {
        let overtime_ns = run.limit.duration.map_or(u64::MAX, |duration| {
            (duration + OVERTIME_MAX).as_nanos() as u64
        });
        let mut next_connection = 0;
        let mut heard = Instant::now();
        loop {
            let now_ns = run.now_ns();
            let mut room = true;
            while schedule.peek_ns() <= now_ns {
                let count = run.allowance(burst, schedule.peek_ns());
                if count == 0 {
                    break;
                }
                let Some(token) = self.connection_with_room(next_connection, burst) else {
                    room = false;
                    break;
                };
                next_connection = (token + 1) % self.connections.len();
                self.push_burst(run, token, schedule.take_ns(), count);
            }
            for token in 0..self.connections.len() {
                if !self.connections[token].batch.is_sent() && !self.connections[token].blocked {
                    self.send(token)?;
                }
            }
            let more = run.allowance(1, schedule.peek_ns()) == 1;
            if more && now_ns > overtime_ns {
                loop {
                    let count = run.allowance(burst, schedule.peek_ns()) as u64;
                    if count == 0 {
                        break;
                    }
                    let start_ns = schedule.take_ns();
                    run.issued += count;
                    run.outcome.unsent += count;
                    run.outcome
                        .latency
                        .record(now_ns.saturating_sub(start_ns), count);
                }
            }
            if !more && run.in_flight == 0 {
                return Ok(());
            }
            // Without room, or without more to send, only a reply can change anything.
            let wait = if more && room {
                Duration::from_nanos(schedule.peek_ns().saturating_sub(run.now_ns()))
            } else {
                WAIT_MAX
            };
            let wait = wait
                .min(WAIT_MAX)
                .checked_sub(SPIN_BELOW)
                .unwrap_or_default();
            let answered = self.turn(run, wait, |_, _, _| Ok(()))?;
            heard = hearing(heard, answered || run.in_flight == 0)?;
        }
    }

    /// The next connection, from `from` on, whose pipeline has room for `burst` more. O(connections)
    /// when none has.
    fn connection_with_room(&self, from: usize, burst: usize) -> Option<usize> {
        let count = self.connections.len();
        (from..from + count)
            .map(|index| index % count)
            .find(|&token| self.connections[token].in_flight + burst <= self.depth)
    }

    fn push_burst(&mut self, run: &mut Run, token: usize, start_ns: u64, count: usize) {
        let connection = &mut self.connections[token];
        for _ in 0..count {
            connection
                .batch
                .push(&self.mix, &mut self.keys, &mut self.rng);
        }
        connection.in_flight += count;
        let count = count as u64;
        connection.pending.push_back(Pending { start_ns, count });
        run.issued += count;
        run.in_flight += count;
    }

    /// Waits once and takes all that is ready; `idle` is called for each connection whose pipeline
    /// was answered whole. Returns whether any reply came.
    fn turn(
        &mut self,
        run: &mut Run,
        wait: Duration,
        idle: impl Fn(&mut Generator, &mut Run, usize) -> Result<()>,
    ) -> Result<bool> {
        interrupt::check()?;
        self.epoll
            .wait(wait)
            .doing(|| "waiting for sockets".to_owned())?;
        let mut answered = false;
        for index in 0..self.epoll.ready_count() {
            let ready = self.epoll.ready(index);
            if ready.writable {
                self.send(ready.token)?;
            }
            if !ready.readable {
                continue;
            }
            let replies = self.receive(run, ready.token)?;
            answered |= replies > 0;
            if replies > 0 && self.connections[ready.token].in_flight == 0 {
                idle(self, run, ready.token)?;
            }
        }
        Ok(answered)
    }

    /// Hands the kernel what it takes of a connection's batch.
    fn send(&mut self, token: usize) -> Result<()> {
        let connection = &mut self.connections[token];
        while !connection.batch.is_sent() {
            match connection.socket.write(connection.batch.unsent()) {
                Ok(count) => connection.batch.advance(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).doing(|| "sending requests".to_owned()),
            }
        }
        let blocked = !connection.batch.is_sent();
        if blocked != connection.blocked {
            connection.blocked = blocked;
            self.epoll
                .watch_writable(connection.socket.as_raw_fd(), token, blocked)
                .doing(|| "watching a socket".to_owned())?;
        }
        Ok(())
    }

    /// Reads once and settles the requests that were answered. Returns how many.
    fn receive(&mut self, run: &mut Run, token: usize) -> Result<u64> {
        let connection = &mut self.connections[token];
        let bytes = match connection.socket.read(&mut self.buffer) {
            Ok(0) => {
                return Err(ErrorKind::ConnectionReset.into())
                    .doing(|| "the server closed a connection".to_owned());
            }
            Ok(bytes) => bytes,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return Ok(0);
            }
            Err(error) => return Err(error).doing(|| "receiving replies".to_owned()),
        };
        let now_ns = run.now_ns();
        let Tally {
            replies,
            errors,
            empty,
        } = connection.scanner.scan(&self.buffer[..bytes])?;
        let mut unsettled = replies;
        while unsettled > 0 {
            let Some(pending) = connection.pending.front_mut() else {
                return Err(Error::Protocol("more replies than requests".to_owned()));
            };
            let settled = unsettled.min(pending.count);
            run.outcome
                .latency
                .record(now_ns.saturating_sub(pending.start_ns), settled);
            pending.count -= settled;
            unsettled -= settled;
            if pending.count == 0 {
                connection.pending.pop_front();
            }
        }
        connection.in_flight -= replies as usize;
        run.in_flight -= replies;
        run.outcome.requests += replies;
        run.outcome.errors += errors;
        run.outcome.empty += empty;
        Ok(replies)
    }
}

/// Moves on the time of the last reply; fails when it is too long ago.
fn hearing(heard: Instant, answered: bool) -> Result<Instant> {
    if answered {
        return Ok(Instant::now());
    }
    if heard.elapsed() > SILENCE_MAX {
        return Err(ErrorKind::TimedOut.into())
            .doing(|| format!("no reply for {} s", SILENCE_MAX.as_secs()));
    }
    Ok(heard)
}
