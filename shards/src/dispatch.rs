//! From received bytes to executed commands: parse a batch, load what it will touch, route each.
//!
//! A batch is parsed whole before its first command runs, so that the index lines and then the
//! entries of all its keys are on their way into the cache together: their misses overlap instead of
//! adding up. Commands then run in order. One that cannot run now stops its connection there; its
//! bytes stay and are parsed again when it can.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use causet_core::id::Slot;
use causet_net::SendBuf;
use causet_proto::resp::{Args, Argv, Parsed, RequestParser};

use crate::client::{Client, ReplyMode};
use crate::cold::{Residence, warm_up};
use crate::command::failure::unknown_command;
use crate::command::monitor_line;
use crate::command::table::{self, Row};
use crate::command::{Failure, Keys, Route, flag};
use crate::connection::{Blocked, Connection};
use crate::cursors::Position;
use crate::execute::{self, Environment};
use crate::lend::Held;
use crate::mesh::{Message, Requests};
use crate::shard::{BATCH_MAX, Core, Parked};
use crate::shared::Phase;
use crate::ticks;

/// Where a command is to run.
enum Target {
    Here,
    There(u16),
    /// With these shards held (others than this one).
    Hold(Vec<u16>),
}

/// The reply where a value's record does not read back.
const LOST: Failure = Failure(std::borrow::Cow::Borrowed(
    b"IOERR the value's record in the log is damaged; see the server's log and `causet log verify`",
));

/// Times that a command may wait for values of the log to come. Where memory is so short that one is
/// dropped again before the next is there, the shard then waits for them all.
const COLD_ROUNDS_MAX: u32 = 8;

/// What became of a command.
enum Outcome {
    Done,
    /// It did not run; its bytes must be kept.
    Stopped(Blocked),
}

impl Core {
    /// Executes the commands in `buf`; returns how many bytes are done with.
    pub(crate) fn run_commands(&mut self, conn: &mut Connection, buf: &[u8]) -> usize {
        let Some(mut client) = self
            .state
            .clients
            .get_mut(conn.client)
            .and_then(Option::take)
        else {
            return buf.len();
        };
        let mut argvs = std::mem::take(&mut self.argvs);
        let mut at = 0;
        while conn.blocked == Blocked::No && !client.close_after_reply && !client.close_now {
            let batch = self.parse_batch(conn, &client, &mut argvs, &buf[at..]);
            self.state.ran_until = ticks::now();
            let mut done = 0;
            for (argv, &(start, end)) in argvs.iter().zip(&batch.spans[..batch.count]) {
                let bytes = &buf[at..][start..end];
                match self.dispatch(conn, &mut client, argv.args(bytes), bytes) {
                    Outcome::Done => done = end,
                    Outcome::Stopped(reason) => {
                        conn.blocked = reason;
                        break;
                    }
                }
                if client.close_after_reply || client.close_now {
                    break;
                }
            }
            self.send_forwarding();
            if conn.blocked != Blocked::No {
                // What was parsed behind the stopped command will be parsed again.
                conn.parser.reset();
                at += done;
                break;
            }
            at += batch.consumed.max(done);
            if client.close_after_reply || client.close_now {
                break;
            }
            if let Some(error) = batch.error {
                let mut text = Vec::new();
                error.write_to(&mut text);
                conn.reply_buffer().extend_from_slice(&text);
                client.close_after_reply = true;
                at = buf.len();
                break;
            }
            if batch.is_exhausted {
                break;
            }
        }
        if client.close_after_reply {
            at = buf.len();
        }
        if !conn.out.is_empty() || conn.is_waiting() {
            // Also where the batch stopped in the middle: the replies before must wait. And where
            // nothing new waits, those that were stopped earlier may.
            conn.hold = self.state.journal.hold().or(conn.hold);
        }
        let waits = conn.is_held() || self.state.journal.is_full();
        if conn.blocked == Blocked::No && waits {
            conn.blocked = Blocked::Log;
            conn.parser.reset();
        }
        self.argvs = argvs;
        self.state.clients[conn.client] = Some(client);
        at
    }

    fn parse_batch(
        &mut self,
        conn: &mut Connection,
        client: &Client,
        argvs: &mut [Argv],
        buf: &[u8],
    ) -> Batch {
        let mut batch = Batch::default();
        // What is parsed before AUTH is bounded more tightly, so AUTH must run before the next.
        let most = if client.authenticated { argvs.len() } else { 1 };
        conn.parser.set_authenticated(client.authenticated);
        let parse = |parser: &mut RequestParser, batch: &mut Batch, argv: &mut Argv| match parser
            .parse(&buf[batch.consumed..], argv)
        {
            Ok(Parsed::Complete { consumed }) => {
                batch.spans[batch.count] = (batch.consumed, batch.consumed + consumed);
                batch.count += 1;
                batch.consumed += consumed;
                true
            }
            Ok(Parsed::Skipped { consumed }) => {
                batch.consumed += consumed;
                batch.consumed < buf.len()
            }
            Ok(Parsed::Incomplete { .. }) => {
                batch.is_exhausted = true;
                false
            }
            Err(error) => {
                batch.error = Some(error);
                false
            }
        };
        while batch.count < most {
            if batch.consumed == buf.len() {
                batch.is_exhausted = true;
                break;
            }
            let at = batch.count;
            if !parse(&mut conn.parser, &mut batch, &mut argvs[at]) {
                break;
            }
        }
        if batch.count > 1 {
            self.prefetch(client, &argvs[..batch.count], &batch.spans, buf);
        }
        batch
    }

    /// Starts loading the index lines of the batch's keys, then their entries. The first argument
    /// is the key of nearly every command; where it is not, a line is loaded in vain.
    fn prefetch(&self, client: &Client, argvs: &[Argv], spans: &[(usize, usize)], buf: &[u8]) {
        let space = self.state.engine.space(client.db);
        let mut keys = [None; BATCH_MAX];
        for ((argv, &(start, end)), key) in argvs.iter().zip(spans).zip(&mut keys) {
            if let Some(bytes) = argv.args(&buf[start..end]).get(1) {
                let hashed = space.key(bytes);
                space.prefetch_index(hashed);
                *key = Some(hashed);
            }
        }
        for key in keys[..argvs.len()].iter().flatten() {
            space.prefetch_entry(*key);
        }
    }

    /// As [`Core::prefetch`], for the many keys of one command.
    fn prefetch_all(&self, db: u32, row: Row, args: Args<'_>) {
        let space = self.state.engine.space(db);
        let mut keys = [None; BATCH_MAX];
        let positions = row.command.keys.positions(args.len());
        for (at, key) in positions.zip(&mut keys) {
            let hashed = space.key(&args[at]);
            space.prefetch_index(hashed);
            *key = Some(hashed);
        }
        for key in keys.iter().flatten() {
            space.prefetch_entry(*key);
        }
    }

    fn dispatch(
        &mut self,
        conn: &mut Connection,
        client: &mut Client,
        args: Args<'_>,
        bytes: &[u8],
    ) -> Outcome {
        let Some(row) = args
            .get(0)
            .and_then(table::find)
            .map(|row| row.resolve(args))
        else {
            self.refuse(conn, client, &unknown_command(args));
            return Outcome::Done;
        };
        if let Err(failure) = execute::check_call(&mut self.state, client, row, args) {
            self.refuse(conn, client, &failure);
            return Outcome::Done;
        }
        if self.state.shared.phase() == Phase::Stopping || self.is_paused_for(row) {
            return Outcome::Stopped(Blocked::Pause);
        }
        match self.target(row, args) {
            Target::Here => {
                let residence = self.residence(client.db, row, args, &mut conn.cold_rounds);
                if residence == Residence::Coming {
                    return Outcome::Stopped(Blocked::Cold);
                }
                conn.cold_rounds = 0;
                self.feed_monitors(client, row, args);
                let checked = match residence {
                    Residence::Lost => Err(LOST),
                    _ => execute::check_room(&mut self.state, row),
                };
                match checked {
                    Ok(()) => self.run_here(conn, client, row, args, None),
                    Err(failure) => self.refuse(conn, client, &failure),
                }
            }
            Target::There(shard) => {
                if self.mesh.is_congested(shard) {
                    return Outcome::Stopped(Blocked::Congestion);
                }
                self.feed_monitors(client, row, args);
                self.forward(conn, client, shard, args, bytes);
            }
            Target::Hold(shards) => return self.hold_and_run(conn, client, row, args, &shards),
        }
        Outcome::Done
    }

    fn is_paused_for(&self, row: Row) -> bool {
        let shared = &self.state.shared;
        let until_ms = shared.pause_until_ms.load(Ordering::Relaxed);
        until_ms != 0
            && self.state.now.unix_ms() < until_ms
            && (row.command.has(flag::WRITE) || shared.pause_all.load(Ordering::Relaxed))
            && !row.command.name.starts_with("client")
    }

    /// The shards of the command's keys.
    fn target(&self, row: Row, args: Args<'_>) -> Target {
        let shards = self.state.shared.shards;
        if shards == 1 {
            return Target::Here;
        }
        let here = self.state.number;
        let place = |shard| {
            if shard == here {
                Target::Here
            } else {
                Target::There(shard)
            }
        };
        match row.command.route {
            Route::Local => Target::Here,
            Route::AllShards => Target::Hold((0..shards).filter(|&s| s != here).collect()),
            Route::Cursor => {
                let cursor = args
                    .get(1)
                    .and_then(causet_proto::resp::parse_u64)
                    .unwrap_or(0);
                let shard = Position::of_cursor(cursor).shard();
                if shard < shards {
                    place(shard)
                } else {
                    Target::Here
                }
            }
            Route::Keys => {
                let owner = |at: usize| Slot::of_key(&args[at]).shard(shards);
                if row.command.keys == Keys::ONE {
                    return place(owner(1));
                }
                let mut owners: Vec<u16> =
                    row.command.keys.positions(args.len()).map(owner).collect();
                owners.sort_unstable();
                owners.dedup();
                match owners[..] {
                    [] => Target::Here,
                    [only] => place(only),
                    _ => {
                        owners.retain(|&shard| shard != here);
                        Target::Hold(owners)
                    }
                }
            }
        }
    }

    fn run_here(
        &mut self,
        conn: &mut Connection,
        client: &mut Client,
        row: Row,
        args: Args<'_>,
        held: Option<Held<'_>>,
    ) {
        if held.is_none() && args.len() > 3 && row.command.keys.last < 0 {
            self.prefetch_all(client.db, row, args);
        }
        let mode = client.reply_mode;
        let mut unsent = SendBuf::new();
        let out = if mode == ReplyMode::On {
            conn.reply_buffer()
        } else {
            &mut unsent
        };
        let arena = &self.arena;
        execute::run(
            Environment {
                state: &mut self.state,
                client,
                out,
                arena,
                held,
            },
            row,
            args,
        );
        conn.remote_holds.append(&mut client.remote_holds);
        if mode != ReplyMode::On || client.reply_mode != ReplyMode::On {
            self.after_reply_mode(conn, client, mode, unsent);
        }
        self.arena.reset();
    }

    /// CLIENT REPLY: OFF silences, SKIP silences itself and the next command, ON answers.
    #[cold]
    fn after_reply_mode(
        &mut self,
        conn: &mut Connection,
        client: &mut Client,
        before: ReplyMode,
        mut unsent: SendBuf,
    ) {
        match (before, client.reply_mode) {
            // ON's own reply was written aside.
            (ReplyMode::Off, ReplyMode::On) => conn.reply_buffer().append(&mut unsent),
            (_, ReplyMode::SkipNext) => client.reply_mode = ReplyMode::Skip,
            (ReplyMode::Skip, ReplyMode::Skip) => client.reply_mode = ReplyMode::On,
            _ => {}
        }
    }

    fn forward(
        &mut self,
        conn: &mut Connection,
        client: &mut Client,
        shard: u16,
        args: Args<'_>,
        bytes: &[u8],
    ) {
        let place = conn.reserve_place(client.reply_mode != ReplyMode::On);
        if client.reply_mode == ReplyMode::Skip {
            client.reply_mode = ReplyMode::On;
        }
        client.commands += 1;
        let collected = &mut self.forwarding[usize::from(shard)];
        // A SELECT or HELLO in the middle of a batch divides it.
        if let Some(requests) =
            collected.take_if(|other| other.db != client.db || other.protocol != client.protocol)
        {
            self.mesh.send(shard, Message::Requests(requests));
        }
        let requests = collected.get_or_insert_with(|| {
            Box::new(Requests {
                conn: conn.id,
                places: Vec::new(),
                bytes: Vec::new(),
                db: client.db,
                protocol: client.protocol,
                client_id: client.id,
                no_touch: client.no_touch,
            })
        });
        requests.places.push(place);
        if bytes.first() == Some(&b'*') {
            requests.bytes.extend_from_slice(bytes);
        } else {
            let words: Vec<&[u8]> = args.iter().collect();
            causet_proto::resp::write_request(&mut requests.bytes, &words);
        }
    }

    /// Hands the collected requests to the mesh.
    fn send_forwarding(&mut self) {
        for (shard, requests) in self.forwarding.iter_mut().enumerate() {
            if let Some(requests) = requests.take() {
                self.mesh.send(shard as u16, Message::Requests(requests));
            }
        }
    }

    fn hold_and_run(
        &mut self,
        conn: &mut Connection,
        client: &mut Client,
        row: Row,
        args: Args<'_>,
        shards: &[u16],
    ) -> Outcome {
        let shared = Arc::clone(&self.state.shared);
        if !shared.desk.try_take() {
            return Outcome::Stopped(Blocked::Desk);
        }
        // What this connection sent before must arrive first: the rings keep the order.
        self.send_forwarding();
        for &shard in shards {
            self.mesh.send(
                shard,
                Message::Lend {
                    borrower: self.state.number,
                },
            );
        }
        while self.mesh.flush(&mut |handle| handle.waker().wake()) {
            // A full ring empties without this shard's help.
            std::thread::yield_now();
        }
        let mut held = Held::collect(&shared.desk, shards);
        let mut checked = Ok(());
        held.for_each(&mut self.state, |part| {
            if checked.is_ok() {
                checked = execute::check_room(part, row);
            }
            for at in row.command.keys.positions(args.len()) {
                if Slot::of_key(&args[at]).shard(part.shared.shards) == part.number
                    && !warm_up(part, client.db, &args[at])
                {
                    checked = Err(LOST);
                }
            }
        });
        self.feed_monitors(client, row, args);
        self.state.stats.held_commands += 1;
        // Waiting for the others was not the command's work.
        self.state.ran_until = ticks::now();
        match checked {
            Ok(()) => self.run_here(conn, client, row, args, Some(held)),
            Err(failure) => {
                drop(held);
                self.refuse(conn, client, &failure);
            }
        }
        Outcome::Done
    }

    fn refuse(&mut self, conn: &mut Connection, client: &mut Client, failure: &Failure) {
        match client.reply_mode {
            ReplyMode::On => {
                execute::refuse(&mut self.state, client, conn.reply_buffer(), failure);
            }
            // The refused command is the one whose reply is skipped.
            ReplyMode::Skip => client.reply_mode = ReplyMode::On,
            _ => {}
        }
    }

    /// Shows a command to MONITOR clients, when it is sure to run: once, however often it waited.
    fn feed_monitors(&mut self, client: &Client, row: Row, args: Args<'_>) {
        let monitors = self.state.shared.monitors.load(Ordering::Relaxed);
        if monitors == 0 || row.command.has(flag::SKIP_MONITOR) {
            return;
        }
        let line: Arc<[u8]> = monitor_line(self.state.now, client.db, &client.address, args).into();
        for peer in self.mesh.peers() {
            self.mesh.send(peer, Message::Monitor(Arc::clone(&line)));
        }
        self.show_monitors(&line);
    }

    /// Where the values are that the command needs; the reading of cold ones is then under way.
    /// `rounds` counts how often the command had to ask for one.
    fn residence(&mut self, db: u32, row: Row, args: Args<'_>, rounds: &mut u32) -> Residence {
        let mut worst = Residence::Resident;
        if self.state.engine.space(db).cold_keys() == 0 {
            return worst;
        }
        if *rounds >= COLD_ROUNDS_MAX {
            let mut keys = row.command.keys.positions(args.len());
            if keys.all(|at| warm_up(&mut self.state, db, &args[at])) {
                return Residence::Resident;
            }
            return Residence::Lost;
        }
        let asked = self.cold.asked();
        for at in row.command.keys.positions(args.len()) {
            match self.cold.residence(&self.state, db, &args[at]) {
                Residence::Resident => {}
                Residence::Coming => worst = Residence::Coming,
                Residence::Lost => return Residence::Lost,
            }
        }
        *rounds += u32::from(self.cold.asked() > asked);
        worst
    }

    /// Runs to their end the requests of shard `from` that wait for values of the log: it is about to
    /// run a command here itself, which must not overtake them.
    pub(crate) fn finish_parked(&mut self, from: u16) {
        let (own, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.parked)
            .into_iter()
            .partition(|parked| parked.from == from);
        self.parked = others;
        for mut parked in own {
            parked.cold_rounds = COLD_ROUNDS_MAX;
            let stopped = self.run_requests(parked);
            debug_assert!(stopped.is_none(), "they waited for all they need");
        }
    }

    /// Runs requests of another shard's connection; gives them back where one must wait.
    pub(crate) fn run_requests(&mut self, mut parked: Parked) -> Option<Parked> {
        let requests = &parked.requests;
        let mut client = Client {
            id: requests.client_id,
            shard: parked.from,
            db: requests.db,
            protocol: requests.protocol,
            no_touch: requests.no_touch,
            authenticated: true,
            ..Client::default()
        };
        // What is slow is noted where its connection is: there the client's address and name are.
        std::mem::swap(&mut self.state.slowlog, &mut parked.slow);
        let mut argvs = std::mem::take(&mut self.argvs);
        let mut parser = RequestParser::new();
        parser.set_bulk_bytes_max(usize::MAX);
        let argv = &mut argvs[0];
        self.state.ran_until = ticks::now();
        let mut is_stopped = false;
        while parked.consumed < parked.requests.bytes.len() {
            let bytes = &parked.requests.bytes[parked.consumed..];
            let Ok(Parsed::Complete { consumed }) = parser.parse(bytes, argv) else {
                unreachable!("a shard forwards whole commands");
            };
            let args = argv.args(bytes);
            let row = table::find(&args[0]).expect("a shard forwards known commands");
            let row = row.resolve(args);
            let rounds = &mut parked.cold_rounds;
            let residence = self.residence(client.db, row, args, rounds);
            if residence == Residence::Coming {
                is_stopped = true;
                break;
            }
            let mut out = SendBuf::new();
            let checked = match residence {
                Residence::Lost => Err(LOST),
                _ => execute::check(&mut self.state, &client, row, args),
            };
            match checked {
                Ok(()) => {
                    let environment = Environment {
                        state: &mut self.state,
                        client: &mut client,
                        out: &mut out,
                        arena: &self.arena,
                        held: None,
                    };
                    execute::run(environment, row, args);
                    self.arena.reset();
                }
                Err(failure) => execute::refuse(&mut self.state, &client, &mut out, &failure),
            }
            self.state.stats.forwarded_commands += 1;
            parked.replies.push(out);
            parked.consumed += consumed;
            if parked.cold_rounds < COLD_ROUNDS_MAX {
                parked.cold_rounds = 0;
            }
        }
        self.argvs = argvs;
        std::mem::swap(&mut self.state.slowlog, &mut parked.slow);
        if is_stopped {
            return Some(parked);
        }
        self.answer(parked);
        None
    }
}

/// The commands found in one stretch of received bytes.
#[derive(Default)]
struct Batch {
    count: usize,
    /// Where each command's bytes are.
    spans: [(usize, usize); BATCH_MAX],
    /// Bytes of whole commands, and of what is skipped between them.
    consumed: usize,
    /// No more whole commands follow.
    is_exhausted: bool,
    error: Option<causet_proto::resp::ProtocolError>,
}
