//! A shard's loop: one thread that waits in one place and does everything a shard does.
//!
//! A turn: the driver submits what is queued, waits if there is nothing to do, and hands over what
//! came. Received bytes are parsed and executed at once, out of the driver's own buffer. Then the
//! other shards' messages, the log, the timers; at the end of the turn every connection that has
//! replies gets one send, and they go to the kernel together with the next wait.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use causet_core::engine::Now;
use causet_net::{AlignedBuf, AnyDriver, ConnId, Driver, Event, SendBuf, Wait, listener};
use causet_proto::resp::{Argv, RequestParser};
use socket2::Socket;

use crate::client::Client;
use crate::cold::ColdReads;
use crate::compaction::Compaction;
use crate::connection::{Blocked, Connection};
use crate::disk::{Disk, Owner};
use crate::log::{Lsn, OpId};
use crate::mesh::{Mesh, Message, Replies, Requests};
use crate::shared::Phase;
use crate::shutdown::Shutdown;
use crate::slowlog::SlowLog;
use crate::state::State;

/// Time between two rounds of what a shard does regularly.
const ROUND: Duration = Duration::from_millis(100);
/// Commands parsed before they are executed together.
pub(crate) const BATCH_MAX: usize = 32;
/// Unsent replies of one connection at which its requests wait, and at half of which they go on. A
/// client that reads none of this many bytes while it keeps sending is slowed down, not served.
const OUTPUT_BYTES_PAUSE: usize = 32 << 20;
/// Received bytes of a blocked connection at which receiving pauses.
const INPUT_BYTES_PAUSE: usize = 1 << 20;
/// Requests of other shards that wait for values of the log, from which on no more are taken.
const PARKED_MAX: usize = 1024;
/// Messages taken from other shards in one turn.
const MESSAGES_PER_TURN: usize = 256;
/// Keys removed in one turn because their expiry has passed.
const EXPIRED_PER_TURN: usize = 64;
/// Keys of flushed databases whose memory is given back in one turn.
const FREED_PER_TURN: usize = 512;

/// A shard with its driver. See the module's head.
pub struct Shard {
    driver: AnyDriver,
    core: Core,
}

/// Everything of a shard but the driver, so that events can be handled while the driver is at work.
pub(crate) struct Core {
    pub state: State,
    pub mesh: Mesh,
    pub connections: Vec<Option<Box<Connection>>>,
    /// Connections to be looked at when the turn ends.
    dirty: Vec<ConnId>,
    /// Connections whose next command waits for something.
    pub blocked: Vec<ConnId>,
    /// Parsed commands of the batch at hand.
    pub argvs: Vec<Argv>,
    /// Requests collected for each shard while a batch is executed.
    pub forwarding: Vec<Option<Box<Requests>>>,
    /// Requests of other shards that wait for a value from the log, in order of arrival.
    pub parked: Vec<Parked>,
    /// Replies to other shards that wait for the log.
    pub held_replies: VecDeque<(Lsn, u16, Box<Replies>)>,
    /// Memory of the command being run.
    pub arena: bumpalo::Bump,
    pub cold: ColdReads,
    pub compaction: Compaction,
    accepted: Vec<(u32, Socket)>,
    files: Vec<(u64, io::Result<usize>, Option<AlignedBuf>)>,
    /// File operations submitted so far.
    pub file_ops: u64,
    config_version: u64,
    /// How far a shutdown is.
    pub shutdown: Shutdown,
    /// Connections closed since the last round because a disk keeps refusing.
    pub stranded: usize,
}

/// Requests of another shard, stopped at a command that needs a value from the log.
pub(crate) struct Parked {
    pub from: u16,
    pub requests: Box<Requests>,
    pub replies: Vec<SendBuf>,
    /// The slow ones among its commands.
    pub slow: SlowLog,
    /// Bytes of `requests` that are done with.
    pub consumed: usize,
    /// How often their commands had to ask for values that are in the log only.
    pub cold_rounds: u32,
}

/// A listening socket and what its connections are.
pub struct Listening {
    /// The socket.
    pub socket: Socket,
    /// Unix or TCP.
    pub is_unix: bool,
}

const TOKEN_UNIX: u32 = 1 << 16;

impl Shard {
    /// A shard that listens on `listening`.
    ///
    /// # Errors
    /// What the driver says of the sockets.
    pub fn new(
        mut driver: AnyDriver,
        state: State,
        mesh: Mesh,
        listening: Vec<Listening>,
    ) -> io::Result<Self> {
        for (token, listening) in listening.into_iter().enumerate() {
            let token = token as u32 | if listening.is_unix { TOKEN_UNIX } else { 0 };
            driver.listen(OwnedFd::from(listening.socket), token)?;
        }
        let shards = usize::from(state.shared.shards);
        let config_version = state.shared.config_version();
        Ok(Shard {
            driver,
            core: Core {
                state,
                mesh,
                connections: Vec::new(),
                dirty: Vec::new(),
                blocked: Vec::new(),
                argvs: (0..BATCH_MAX).map(|_| Argv::new()).collect(),
                forwarding: (0..shards).map(|_| None).collect(),
                parked: Vec::new(),
                held_replies: VecDeque::new(),
                arena: bumpalo::Bump::new(),
                cold: ColdReads::default(),
                compaction: Compaction::default(),
                accepted: Vec::new(),
                files: Vec::new(),
                file_ops: 0,
                config_version,
                shutdown: Shutdown::default(),
                stranded: 0,
            },
        })
    }

    /// Serves until the process is told to stop; then makes the log durable and returns.
    ///
    /// # Errors
    /// What makes the driver useless.
    pub fn run(mut self) -> io::Result<()> {
        let began = Instant::now();
        let mut next_round = began;
        loop {
            let wait = self.wait(next_round, began);
            let Shard { driver, core } = &mut self;
            core.read_clock();
            let may_sleep = wait != Wait::Poll && core.mesh.fall_asleep();
            let wait = if may_sleep { wait } else { Wait::Poll };
            let mut first = true;
            driver.turn(wait, &mut |event| {
                if first {
                    core.read_clock();
                    first = false;
                }
                core.on_event(event);
            })?;
            core.mesh.wake_up();
            core.read_clock();

            core.admit(driver);
            core.receive_messages();
            let now_ns = began.elapsed().as_nanos() as u64;
            core.on_files(driver);
            // Before memory is kept to its limit: a value that was just read back could leave again
            // before the command that waits for it has run.
            core.unblock(driver);
            if Instant::now() >= next_round {
                core.round(now_ns);
                next_round = Instant::now() + ROUND;
            }
            core.expire();
            core.state.keep_to_limit();
            core.state.engine.free_some(FREED_PER_TURN);
            core.tick_log(driver, now_ns);
            core.release_replies();
            // After all that may ask for one in this turn: the next turn may begin with a wait.
            let disk = &mut Disk::new(driver, &mut core.file_ops);
            core.cold.submit(&mut core.state, disk);
            core.mesh.flush(&mut |handle| driver.wake(handle));
            core.settle_connections(driver);
            if core.state.shared.phase() == Phase::Stopping && core.stop(driver, now_ns) {
                return Ok(());
            }
        }
    }

    fn wait(&self, next_round: Instant, began: Instant) -> Wait {
        let core = &self.core;
        if core.is_busy() {
            return Wait::Poll;
        }
        let mut until = next_round;
        if let Some(deadline_ns) = core.state.journal.log().and_then(|log| log.next_deadline()) {
            until = until.min(began + Duration::from_nanos(deadline_ns));
        }
        if core.waits_for_others() {
            until = until.min(Instant::now() + Duration::from_micros(50));
        }
        Wait::Until(until)
    }
}

impl Core {
    fn read_clock(&mut self) {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.state.now = Now {
            unix_ns: since.as_nanos() as u64,
        };
    }

    /// Whether there is work that no event will announce.
    fn is_busy(&self) -> bool {
        self.mesh.has_outgoing()
            || self.state.engine.has_flushed()
            || self.compaction.is_ready()
            || self.has_expired()
            || self.state.shared.phase() == Phase::Stopping
            || self.blocked.iter().any(|&id| {
                self.connection(id)
                    .is_some_and(|conn| conn.blocked == Blocked::Desk)
            })
    }

    /// Whether something here waits for what another shard does without telling.
    fn waits_for_others(&self) -> bool {
        self.blocked.iter().any(|&id| {
            self.connection(id)
                .is_some_and(|conn| !conn.remote_holds.is_empty())
        })
    }

    fn has_expired(&self) -> bool {
        let now_ms = self.state.now.unix_ms();
        let engine = &self.state.engine;
        self.state.active_expire
            && (0..engine.databases()).any(|db| {
                engine
                    .space(db)
                    .first_expiry()
                    .is_some_and(|(at_ms, _)| at_ms <= now_ms)
            })
    }

    pub(crate) fn connection(&self, id: ConnId) -> Option<&Connection> {
        self.connections
            .get(id.index())?
            .as_deref()
            .filter(|conn| conn.id == id)
    }

    pub(crate) fn connection_mut(&mut self, id: ConnId) -> Option<&mut Connection> {
        self.connections
            .get_mut(id.index())?
            .as_deref_mut()
            .filter(|conn| conn.id == id)
    }

    /// Makes sure that the connection is looked at when the turn ends.
    pub(crate) fn mark(&mut self, id: ConnId) {
        let dirty = &mut self.dirty;
        if let Some(conn) = self
            .connections
            .get_mut(id.index())
            .and_then(Option::as_deref_mut)
            && conn.id == id
            && !conn.is_dirty
        {
            conn.is_dirty = true;
            dirty.push(id);
        }
    }

    fn on_event(&mut self, event: Event<'_>) {
        match event {
            Event::Received { conn, data } => self.on_received(conn, data),
            Event::Sent { conn, buf } => {
                let sent = self.connection_mut(conn).and_then(|connection| {
                    let bytes = connection.sending;
                    connection.sent(buf);
                    bytes.map(|bytes| (connection.client, bytes))
                });
                if let Some((client, bytes)) = sent {
                    self.state.stats.output_bytes += bytes as u64;
                    if let Some(Some(client)) = self.state.clients.get_mut(client) {
                        client.output_bytes += bytes as u64;
                    }
                    self.mark(conn);
                }
            }
            Event::Accepted { listener, socket } => self.accepted.push((listener, socket)),
            Event::Closed { conn, error } => {
                if let Some(connection) = self.connection_mut(conn) {
                    connection.is_ended = true;
                    let client = connection.client;
                    if error.is_some()
                        && let Some(Some(client)) = self.state.clients.get_mut(client)
                    {
                        client.close_now = true;
                    }
                    self.mark(conn);
                }
            }
            Event::File { op, result, buf } => self.files.push((op, result, buf)),
            Event::Woken => {}
        }
    }

    fn on_received(&mut self, id: ConnId, data: &[u8]) {
        self.state.stats.input_bytes += data.len() as u64;
        let now_ms = self.state.now.unix_ms();
        // The connection is taken out while its commands run, so that they may use everything else.
        let Some(mut conn) = self.take(id) else {
            return;
        };
        if let Some(Some(client)) = self.state.clients.get_mut(conn.client) {
            client.input_bytes += data.len() as u64;
            client.active_ms = now_ms;
        }
        if conn.blocked == Blocked::No && conn.input.is_empty() {
            let consumed = self.run_commands(&mut conn, data);
            if consumed < data.len() {
                conn.input.extend_from_slice(&data[consumed..]);
            }
        } else {
            conn.input.extend_from_slice(data);
            if conn.blocked == Blocked::No {
                self.run_input(&mut conn);
            }
        }
        self.put_back(conn);
        self.mark(id);
    }

    /// Executes what a connection has received and not executed.
    pub(crate) fn run_input(&mut self, conn: &mut Connection) {
        let input = std::mem::take(&mut conn.input);
        let consumed = self.run_commands(conn, &input[conn.consumed..]);
        conn.input = input;
        conn.consumed += consumed;
        conn.settle_input();
    }

    fn take(&mut self, id: ConnId) -> Option<Box<Connection>> {
        let place = self.connections.get_mut(id.index())?;
        if place.as_ref().is_some_and(|conn| conn.id == id) {
            place.take()
        } else {
            None
        }
    }

    fn put_back(&mut self, conn: Box<Connection>) {
        let mut conn = conn;
        if conn.blocked != Blocked::No && !conn.is_listed {
            conn.is_listed = true;
            self.blocked.push(conn.id);
        }
        let index = conn.id.index();
        self.connections[index] = Some(conn);
    }

    /// Takes in the connections that were accepted in this turn.
    fn admit(&mut self, driver: &mut AnyDriver) {
        for (token, socket) in std::mem::take(&mut self.accepted) {
            self.admit_one(driver, token & TOKEN_UNIX != 0, socket);
        }
    }

    fn admit_one(&mut self, driver: &mut AnyDriver, is_unix: bool, socket: Socket) {
        let shared = Arc::clone(&self.state.shared);
        self.state.stats.connections_received += 1;
        let Ok((address, local_address)) = listener::address_texts(&socket) else {
            return;
        };
        let is_local = is_unix
            || socket
                .peer_addr()
                .ok()
                .and_then(|a| a.as_socket())
                .is_some_and(|a| a.ip().to_canonical().is_loopback());
        let config = Arc::clone(&self.state.config);
        let refusal = if shared.clients.load(Ordering::Relaxed) >= config.maxclients as usize {
            self.state.stats.connections_rejected += 1;
            Some("-ERR max number of clients reached\r\n")
        } else if config.protected_mode && config.requirepass.is_empty() && !is_local {
            self.state.stats.connections_rejected += 1;
            Some(PROTECTED)
        } else {
            None
        };
        if let Some(text) = refusal {
            // Best effort: the socket's empty buffer takes one line; then it closes.
            let _ = socket.set_nonblocking(true);
            let _ = socket.send(text.as_bytes());
            return;
        }
        let keepalive = Duration::from_secs(config.tcp_keepalive as u64);
        let _ = listener::tune_accepted(&socket, Some(keepalive));
        let Ok(id) = driver.attach(OwnedFd::from(socket)) else {
            self.state.stats.connections_rejected += 1;
            return;
        };
        shared.clients.fetch_add(1, Ordering::Relaxed);
        let now_ms = self.state.now.unix_ms();
        let client = Client {
            id: shared.client_ids.fetch_add(1, Ordering::Relaxed) + 1,
            shard: self.state.number,
            authenticated: config.requirepass.is_empty(),
            address,
            local_address,
            is_unix,
            is_local,
            created_ms: now_ms,
            active_ms: now_ms,
            ..Client::default()
        };
        let mut parser = RequestParser::new();
        parser.set_bulk_bytes_max(config.proto_max_bulk_len as usize);
        parser.set_authenticated(client.authenticated);
        let client = self.state.clients.insert(Some(Box::new(client)));
        if self.connections.len() <= id.index() {
            self.connections.resize_with(id.index() + 1, || None);
        }
        self.connections[id.index()] = Some(Box::new(Connection::new(id, client, parser)));
    }

    fn close(&mut self, driver: &mut AnyDriver, id: ConnId) {
        let Some(conn) = self.take(id) else { return };
        driver.close(id);
        if let Some(Some(client)) = self.state.clients.try_remove(conn.client)
            && client.is_monitor
        {
            self.state.shared.monitors.fetch_sub(1, Ordering::Relaxed);
        }
        self.state.shared.clients.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes what other shards sent.
    fn receive_messages(&mut self) {
        for _ in 0..MESSAGES_PER_TURN {
            // What is not taken fills the ring, then the sender's outbox, then slows its clients.
            if self.parked.len() >= PARKED_MAX || self.state.journal.is_full() {
                return;
            }
            let Some((peer, message)) = self.mesh.receive() else {
                return;
            };
            match message {
                Message::Requests(requests) => self.on_requests(peer, requests),
                Message::Replies(replies) => self.on_replies(*replies),
                Message::Lost(conn) => self.close_stranded(conn),
                Message::Lend { borrower } => {
                    self.finish_parked(peer);
                    let shared = Arc::clone(&self.state.shared);
                    shared.desk.lend(&mut self.state, borrower);
                }
                Message::Monitor(line) => self.show_monitors(&line),
            }
        }
    }

    fn on_requests(&mut self, from: u16, requests: Box<Requests>) {
        let parked = Parked {
            from,
            replies: Vec::new(),
            slow: SlowLog::default(),
            consumed: 0,
            cold_rounds: 0,
            requests,
        };
        // Commands of one connection keep their order: behind a stopped one they wait.
        let waits = self
            .parked
            .iter()
            .any(|other| other.from == from && other.requests.conn == parked.requests.conn);
        if waits {
            self.parked.push(parked);
        } else if let Some(stopped) = self.run_requests(parked) {
            self.parked.push(stopped);
        }
    }

    /// Sends the replies of finished requests back, when the log allows.
    pub(crate) fn answer(&mut self, parked: Parked) {
        let Parked {
            from,
            requests,
            replies,
            slow,
            ..
        } = parked;
        let replies = Box::new(Replies {
            conn: requests.conn,
            places: requests.places,
            replies,
            slow,
        });
        match self.state.journal.hold() {
            Some(lsn) => self.held_replies.push_back((lsn, from, replies)),
            None => self.mesh.send(from, Message::Replies(replies)),
        }
    }

    fn release_replies(&mut self) {
        let durable = self.state.journal.durable();
        while self
            .held_replies
            .front()
            .is_some_and(|(lsn, ..)| *lsn <= durable)
        {
            if let Some((_, peer, replies)) = self.held_replies.pop_front() {
                self.mesh.send(peer, Message::Replies(replies));
            }
        }
    }

    fn on_replies(&mut self, replies: Replies) {
        let Replies {
            conn,
            places,
            replies,
            mut slow,
        } = replies;
        if !slow.is_empty() {
            self.log_slow(conn, &mut slow);
        }
        if let Some(connection) = self.connection_mut(conn) {
            for (place, reply) in places.into_iter().zip(replies) {
                connection.fill_place(place, reply);
            }
            self.mark(conn);
        }
    }

    /// Takes in what another shard found slow of a connection's commands.
    #[cold]
    fn log_slow(&mut self, conn: ConnId, slow: &mut SlowLog) {
        let index = self.connection(conn).map(|connection| connection.client);
        let State {
            slowlog,
            clients,
            config,
            ..
        } = &mut self.state;
        let client = index.and_then(|index| clients.get(index)?.as_deref());
        let len_max = usize::try_from(config.slowlog_max_len).unwrap_or(0);
        for mut entry in slow.drain() {
            if let Some(client) = client {
                entry.address.clone_from(&client.address);
                entry.name.clone_from(&client.name);
            }
            slowlog.push(entry, len_max);
        }
    }

    /// Appends a line to this shard's MONITOR clients.
    pub(crate) fn show_monitors(&mut self, line: &[u8]) {
        let mut shown = Vec::new();
        for conn in self.connections.iter_mut().flatten() {
            if let Some(Some(client)) = self.state.clients.get(conn.client)
                && client.is_monitor
            {
                conn.reply_buffer().extend_from_slice(line);
                shown.push(conn.id);
            }
        }
        for id in shown {
            self.mark(id);
        }
    }

    fn on_files(&mut self, driver: &mut AnyDriver) {
        for (op, result, buf) in std::mem::take(&mut self.files) {
            let disk = &mut Disk::new(driver, &mut self.file_ops);
            // A read that failed brings no bytes, which its reader takes for damage.
            let bytes = || {
                buf.as_deref()
                    .filter(|_| result.is_ok())
                    .unwrap_or_default()
            };
            match Owner::of(op) {
                Owner::Cold => self.cold.on_read(op, bytes(), &mut self.state, disk),
                Owner::Compaction => self.compaction.on_read(op, bytes()),
                Owner::Log => {
                    if let Some(log) = self.state.journal.log_mut() {
                        log.on_complete(OpId(op), result, buf, disk);
                    }
                }
            }
        }
    }

    fn tick_log(&mut self, driver: &mut AnyDriver, now_ns: u64) {
        let disk = &mut Disk::new(driver, &mut self.file_ops);
        self.compaction.advance(&mut self.state, disk);
        self.cold.submit(&mut self.state, disk);
        if let Some(log) = self.state.journal.log_mut() {
            log.tick(now_ns, disk);
        }
        let number = usize::from(self.state.number);
        let durable = self.state.journal.durable().0;
        self.state.shared.durable[number].store(durable, Ordering::Release);
    }

    /// Removes keys whose expiry has passed, a bounded number.
    fn expire(&mut self) {
        if !self.state.active_expire {
            return;
        }
        let now_ms = self.state.now.unix_ms();
        for db in 0..self.state.engine.databases() {
            for key in self.state.engine.expired(db, now_ms, EXPIRED_PER_TURN) {
                self.state.remove_expired(db, &key);
            }
        }
    }

    /// Lets blocked connections go on where what they waited for is there.
    fn unblock(&mut self, driver: &mut AnyDriver) {
        // Replies that may leave now do so even where the next command still waits.
        let mut dirty = Vec::new();
        for id in std::mem::take(&mut self.blocked) {
            let Some(mut conn) = self.take(id) else {
                continue;
            };
            conn.is_listed = false;
            let was_held = conn.is_held();
            self.release_hold(&mut conn);
            if was_held && !conn.is_held() {
                dirty.push(id);
            }
            if self.still_blocked(&conn) {
                self.put_back(conn);
                continue;
            }
            conn.blocked = Blocked::No;
            if !conn.input.is_empty() {
                self.run_input(&mut conn);
            }
            if conn.is_paused && conn.blocked == Blocked::No {
                conn.is_paused = false;
                driver.resume(id);
            }
            self.put_back(conn);
            self.mark(id);
        }
        for id in dirty {
            self.mark(id);
        }
        for parked in std::mem::take(&mut self.parked) {
            let waits = self
                .parked
                .iter()
                .any(|o| o.from == parked.from && o.requests.conn == parked.requests.conn);
            if waits {
                self.parked.push(parked);
            } else if let Some(stopped) = self.run_requests(parked) {
                self.parked.push(stopped);
            }
        }
    }

    /// Ends what the replies so far wait for, as far as the logs have become durable.
    fn release_hold(&self, conn: &mut Connection) {
        let durable = self.state.journal.durable();
        if conn.hold.is_some_and(|lsn| lsn <= durable) {
            conn.hold = None;
        }
        let shared = &self.state.shared;
        conn.remote_holds.retain(|&(shard, lsn)| {
            shared.durable[usize::from(shard)].load(Ordering::Acquire) < lsn
        });
    }

    fn still_blocked(&self, conn: &Connection) -> bool {
        match conn.blocked {
            Blocked::No | Blocked::Desk | Blocked::Congestion | Blocked::Cold => false,
            Blocked::Pause => {
                let until_ms = self.state.shared.pause_until_ms.load(Ordering::Relaxed);
                self.state.now.unix_ms() < until_ms
            }
            Blocked::Log => conn.is_held() || self.state.journal.is_full(),
            Blocked::Output => conn.output_bytes() > OUTPUT_BYTES_PAUSE / 2,
        }
    }

    /// Sends what can be sent, closes what is to be closed, applies the limits.
    fn settle_connections(&mut self, driver: &mut AnyDriver) {
        for id in std::mem::take(&mut self.dirty) {
            let Some(mut conn) = self.take(id) else {
                continue;
            };
            conn.is_dirty = false;
            let closes = self.settle(driver, &mut conn);
            self.put_back(conn);
            if closes {
                self.close(driver, id);
            }
        }
    }

    /// Whether the connection is to be closed.
    fn settle(&mut self, driver: &mut AnyDriver, conn: &mut Connection) -> bool {
        let now_ms = self.state.now.unix_ms();
        let (close_now, close_after_reply, is_monitor) = match self.state.clients.get(conn.client) {
            Some(Some(client)) => (
                client.close_now,
                client.close_after_reply,
                client.is_monitor,
            ),
            _ => (true, false, false),
        };
        if close_now {
            return true;
        }
        if conn.sending.is_none() && !conn.out.is_empty() && !conn.is_held() {
            let out = conn.take_output();
            conn.sending = Some(out.len());
            if driver.send(conn.id, out).is_err() {
                return true;
            }
        }
        let is_drained = conn.sending.is_none() && conn.out.is_empty() && !conn.is_waiting();
        if is_drained && (conn.is_ended || close_after_reply) && conn.blocked == Blocked::No {
            return true;
        }
        let output_bytes = conn.output_bytes();
        let limits = &self.state.config.client_output_buffer_limit;
        let limit = if is_monitor {
            &limits.replica
        } else {
            &limits.normal
        };
        let is_over_hard = limit.hard_bytes > 0 && output_bytes as u64 >= limit.hard_bytes;
        let is_over_soft = limit.soft_bytes > 0 && output_bytes as u64 >= limit.soft_bytes;
        if is_over_soft {
            let since_ms = *conn.over_soft_limit_ms.get_or_insert(now_ms);
            let is_too_long = now_ms - since_ms > u64::from(limit.soft_seconds) * 1000;
            if is_over_hard || is_too_long {
                self.state.stats.output_limit_disconnections += 1;
                return true;
            }
        } else {
            conn.over_soft_limit_ms = None;
            if is_over_hard {
                self.state.stats.output_limit_disconnections += 1;
                return true;
            }
        }
        if output_bytes > OUTPUT_BYTES_PAUSE && conn.blocked == Blocked::No {
            conn.blocked = Blocked::Output;
        }
        if conn.blocked != Blocked::No && !conn.is_paused && conn.input.len() > INPUT_BYTES_PAUSE {
            conn.is_paused = true;
            driver.pause(conn.id);
        }
        if conn.input.len() as u64 > self.state.config.client_query_buffer_limit {
            return true;
        }
        if let Some(Some(client)) = self.state.clients.get_mut(conn.client) {
            client.query_buffer_bytes = conn.input.len();
            client.output_buffer_bytes = output_bytes;
        }
        false
    }

    /// What is done ten times a second.
    fn round(&mut self, now_ns: u64) {
        let version = self.state.shared.config_version();
        if version != self.config_version {
            self.config_version = version;
            let config = self.state.shared.config();
            self.state.adopt_config(config);
        }
        self.state.round();
        self.release_stranded(now_ns);
        if std::mem::take(&mut self.state.wants_sync)
            && let Some(log) = self.state.journal.log_mut()
        {
            log.request_flush();
        }
        let now_ms = self.state.now.unix_ms();
        let timeout_ms = self.state.config.timeout as u64 * 1000;
        let mut ids = Vec::new();
        for conn in self.connections.iter().flatten() {
            if let Some(Some(client)) = self.state.clients.get_mut(conn.client) {
                if timeout_ms > 0
                    && !client.is_monitor
                    && now_ms.saturating_sub(client.active_ms) > timeout_ms
                {
                    client.close_now = true;
                }
                if client.close_now || client.close_after_reply {
                    ids.push(conn.id);
                }
            }
        }
        for id in ids {
            self.mark(id);
        }
    }
}

const PROTECTED: &str = "-DENIED Causet is running in protected mode because protected mode is \
enabled and no password is set for the default user. In this mode connections are only accepted \
from the loopback interface. To connect from elsewhere: set a password (requirepass), or bind to \
the loopback interface only, or, where the network itself is trusted, set protected-mode no.\r\n";
