//! One command being run: what its handler reads, emits and replies through.

use std::borrow::Cow;

use causet_core::context::Context;
use causet_core::effect::{Data, Effect, Meta, Payload, Snapshot, TypeTag};
use causet_core::entry::{Entry, Value};
use causet_core::value::{Collection, Hash, List, Set, ZSet};
use causet_net::SendBuf;
use causet_proto::resp::{Protocol, Reply};

use super::{Command, Failure, flag};
use crate::client::Client;
use crate::lend::Held;
use crate::state::{Random, State};

/// Values from this size on are sent by reference instead of being copied into the reply.
const SPLICE_BYTES_MIN: usize = 4096;

/// A string's value, as one of the forms it is stored in.
#[derive(Clone, Copy)]
pub struct Text<'s>(Value<'s>);

impl<'s> Text<'s> {
    /// The bytes; an integer is formatted.
    pub fn bytes(self) -> Cow<'s, [u8]> {
        match self.0 {
            Value::Bytes(bytes) => Cow::Borrowed(bytes),
            Value::Shared(shared) => Cow::Borrowed(shared.as_slice()),
            Value::Int(int) => Cow::Owned(itoa::Buffer::new().format(int).as_bytes().to_vec()),
            Value::Collection(_) | Value::Cold => unreachable!("a resident string was asked for"),
        }
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        match self.0 {
            Value::Int(int) => itoa::Buffer::new().format(int).len(),
            _ => self.bytes().len(),
        }
    }

    /// Whether the string is empty.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The integer, where the string is one in canonical form.
    pub fn integer(self) -> Option<i64> {
        match self.0 {
            Value::Int(int) => Some(int),
            _ => causet_core::number::parse_i64(&self.bytes()),
        }
    }

    /// Appends the string as a bulk reply; a large one by reference.
    pub fn reply(self, out: &mut SendBuf) {
        match self.0 {
            Value::Shared(shared) if shared.as_slice().len() >= SPLICE_BYTES_MIN => {
                let mut digits = itoa::Buffer::new();
                out.extend_from_slice(b"$");
                out.extend_from_slice(digits.format(shared.as_slice().len()).as_bytes());
                out.extend_from_slice(b"\r\n");
                out.splice(shared.share());
                out.extend_from_slice(b"\r\n");
            }
            // A bulk string is the same in both protocols.
            Value::Int(int) => Reply::new(out.tail(), Protocol::Resp2).bulk_integer(int),
            _ => Reply::new(out.tail(), Protocol::Resp2).bulk(&self.bytes()),
        }
    }
}

/// A command being run. `'a` is the life of its arguments and of what it computes into `arena`.
pub struct Call<'c, 'a> {
    /// The shard that runs it.
    pub state: &'c mut State,
    /// The session; for a command from another shard's connection a copy of what matters.
    pub client: &'c mut Client,
    /// Replies go here.
    pub out: &'c mut SendBuf,
    /// The command's row.
    pub command: &'static Command,
    /// Memory that lives until the effects are committed.
    pub arena: &'a bumpalo::Bump,
    /// Every shard that is held for this command, where it is more than one.
    pub held: Option<Held<'c>>,
    /// Effects to be committed.
    pub context: Context<'a>,
}

impl<'c, 'a> Call<'c, 'a> {
    /// Unix milliseconds, the same throughout a command.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        self.state.now.unix_ms()
    }

    /// The selected database.
    #[inline]
    pub fn db(&self) -> u32 {
        self.context.db()
    }

    /// The writer of the reply.
    #[inline]
    pub fn reply(&mut self) -> Reply<'_> {
        Reply::new(self.out.tail(), self.client.protocol)
    }

    /// Copies bytes to where effects may borrow them from.
    #[inline]
    pub fn keep(&self, bytes: &[u8]) -> &'a [u8] {
        self.arena.alloc_slice_copy(bytes)
    }

    /// The state of the shard that owns `key`: this one, or one that is held.
    #[inline]
    pub fn owner(&mut self, key: &[u8]) -> &mut State {
        match &mut self.held {
            None => self.state,
            Some(held) => held.owner(self.state, key),
        }
    }

    /// Runs `visit` on the state of every shard that this command holds: for commands with
    /// [`Route::AllShards`](super::Route::AllShards) all, in order of their numbers.
    pub fn for_each_shard(&mut self, mut visit: impl FnMut(&mut State)) {
        match &mut self.held {
            None => visit(self.state),
            Some(held) => held.for_each(self.state, visit),
        }
    }

    /// The live entry of `key` in database `db`, without counting it as a use. An expired key is
    /// removed and absent.
    pub fn peek_in(&mut self, db: u32, key: &[u8]) -> Option<Entry<'_>> {
        self.owner(key).use_entry(db, key, false, false)
    }

    /// As [`Call::peek_in`], in the selected database.
    pub fn peek(&mut self, key: &[u8]) -> Option<Entry<'_>> {
        self.peek_in(self.db(), key)
    }

    /// The live entry of `key`, counted as a use: keyspace hits and misses for commands that read,
    /// and the eviction policy's clock.
    #[inline]
    pub fn entry(&mut self, key: &[u8]) -> Option<Entry<'_>> {
        self.split(key).0
    }

    /// Whether `key` is there, counted as a use.
    pub fn exists(&mut self, key: &[u8]) -> bool {
        self.entry(key).is_some()
    }

    /// The string at `key`.
    ///
    /// # Errors
    /// WRONGTYPE where another type is there.
    #[inline]
    pub fn string(&mut self, key: &[u8]) -> Result<Option<Text<'_>>, Failure> {
        match self.entry(key) {
            None => Ok(None),
            Some(entry) if entry.type_tag() == TypeTag::String => Ok(Some(Text(entry.value()))),
            Some(_) => Err(Failure::WRONG_TYPE),
        }
    }

    /// The live entry of `key`, counted as a use, beside the output: for replies that are written
    /// while the value is read.
    #[inline]
    pub fn split(&mut self, key: &[u8]) -> (Option<Entry<'_>>, Output<'_>) {
        let db = self.context.db();
        let counts = self.command.has(flag::READONLY);
        let touches = !self.client.no_touch && !self.command.has(flag::NO_TOUCH);
        let Call {
            state,
            client,
            out,
            held,
            ..
        } = self;
        let output = Output {
            out,
            protocol: client.protocol,
        };
        let state = match held {
            None => &mut **state,
            Some(held) => held.owner(state, key),
        };
        (state.use_entry(db, key, counts, touches), output)
    }

    /// As [`Call::split`], with what it takes to emit effects on `key` while its value is read.
    #[inline]
    pub fn work(&mut self, key: &'a [u8]) -> (Option<Entry<'_>>, Work<'_, 'a>) {
        let db = self.context.db();
        let counts = self.command.has(flag::READONLY);
        let touches = !self.client.no_touch && !self.command.has(flag::NO_TOUCH);
        let Call {
            state,
            client,
            out,
            held,
            context,
            arena,
            ..
        } = self;
        let output = Output {
            out,
            protocol: client.protocol,
        };
        let state = match held {
            None => &mut **state,
            Some(held) => held.owner(state, key),
        };
        (
            state.use_entry(db, key, counts, touches),
            Work {
                output,
                arena,
                key,
                context,
            },
        )
    }

    /// The number of the first element of a list that this command makes at `key`: that of the
    /// effect which will make it, where that is the first one committed on its shard. Effects
    /// before it only leave a gap: a number never exceeds the counter of the effect that gave it,
    /// so no earlier element of this node has one as high.
    pub fn first_number(&mut self, key: &[u8]) -> u64 {
        self.owner(key).engine.last_offset().counter() + 1
    }

    /// A generator for this command alone, which can be used while a value is read.
    #[inline]
    pub fn random(&mut self) -> Random {
        Random::new(self.state.random.bits())
    }

    /// The string at `key` beside the output.
    ///
    /// # Errors
    /// WRONGTYPE where another type is there.
    #[inline]
    pub fn split_string(&mut self, key: &[u8]) -> Result<(Option<Text<'_>>, Output<'_>), Failure> {
        match self.split(key) {
            (None, output) => Ok((None, output)),
            (Some(entry), output) if entry.type_tag() == TypeTag::String => {
                Ok((Some(Text(entry.value())), output))
            }
            _ => Err(Failure::WRONG_TYPE),
        }
    }

    /// Replies with the string at `key`, or null; returns whether it is there. A large value leaves
    /// without being copied.
    ///
    /// # Errors
    /// WRONGTYPE where another type is there.
    #[inline]
    pub fn reply_string(&mut self, key: &[u8]) -> Result<bool, Failure> {
        let (text, mut output) = self.split_string(key)?;
        match text {
            None => output.reply().null(),
            Some(text) => text.reply(output.out),
        }
        Ok(text.is_some())
    }

    /// Adds an effect on `key` in the selected database.
    #[inline]
    pub fn emit(&mut self, key: &'a [u8], data: Data<'a>) {
        self.context.emit(key, data);
    }

    /// Adds a change of expiry.
    #[inline]
    pub fn emit_meta(&mut self, key: &'a [u8], meta: Meta) {
        self.context.emit_meta(key, meta);
    }

    /// Adds an effect that gives `key` in database `db` the whole state that an entry has now.
    /// O(size).
    pub fn emit_copy(
        &mut self,
        db: u32,
        key: &'a [u8],
        type_tag: TypeTag,
        expires_ms: Option<u64>,
        state: &'a [u8],
    ) {
        let snapshot = Snapshot {
            type_tag,
            expires_ms,
            state,
        };
        self.context.emit_effect(Effect {
            db,
            key,
            payload: Payload::Snapshot(snapshot),
        });
    }

    /// Commits what was emitted, each effect on the shard that owns its key.
    pub(crate) fn commit(&mut self) {
        let Call {
            state,
            held,
            context,
            ..
        } = self;
        match held {
            None => {
                let now = state.now;
                let changes = context.flush(&mut state.engine, &mut state.journal, now);
                state.stats.changes += changes as u64;
            }
            Some(held) => {
                // Shard by shard, so that each log gets its part as one group.
                held.for_each(state, |part| {
                    let shards = part.shared.shards;
                    let number = part.number;
                    let mut own = Context::new(context.db());
                    for effect in context.pending() {
                        let concerns = effect.key.is_empty()
                            && matches!(effect.payload, Payload::Flush | Payload::Place { .. });
                        let slot = causet_core::id::Slot::of_key(effect.key);
                        if concerns || slot.shard(shards) == number {
                            own.emit_effect(*effect);
                        }
                    }
                    let now = part.now;
                    part.stats.changes +=
                        own.flush(&mut part.engine, &mut part.journal, now) as u64;
                });
                context.abort();
            }
        }
    }

    /// Adds an effect that removes `key` from database `db`.
    pub fn emit_remove(&mut self, db: u32, key: &'a [u8]) {
        let payload = Payload::Data(Data::remove_key());
        self.context.emit_effect(Effect { db, key, payload });
    }
}

/// Where a reply goes, taken apart from the state that it tells of.
pub struct Output<'o> {
    /// The bytes.
    pub out: &'o mut SendBuf,
    protocol: Protocol,
}

impl Output<'_> {
    /// The writer of the reply.
    #[inline]
    pub fn reply(&mut self) -> Reply<'_> {
        Reply::new(self.out.tail(), self.protocol)
    }
}

/// What a handler has in hand beside the value that it reads: the output, and the effects on its key.
pub struct Work<'w, 'a> {
    /// Replies go here.
    pub output: Output<'w>,
    arena: &'a bumpalo::Bump,
    key: &'a [u8],
    context: &'w mut Context<'a>,
}

impl<'a> Work<'_, 'a> {
    /// The writer of the reply.
    #[inline]
    pub fn reply(&mut self) -> Reply<'_> {
        self.output.reply()
    }

    /// Copies bytes to where effects may borrow them from.
    #[inline]
    pub fn keep(&self, bytes: &[u8]) -> &'a [u8] {
        self.arena.alloc_slice_copy(bytes)
    }

    /// Adds an effect on the key.
    #[inline]
    pub fn emit(&mut self, data: Data<'a>) {
        self.context.emit(self.key, data);
    }
}

/// The state of an entry as [`Call::emit_copy`] wants it: a string's bytes, or the snapshot of a
/// collection.
pub fn encode_state(entry: Entry<'_>) -> Vec<u8> {
    match entry.value() {
        Value::Collection(collection) => {
            let mut state = Vec::new();
            collection.encode(&mut state);
            state
        }
        value => Text(value).bytes().into_owned(),
    }
}

macro_rules! typed_reads {
    ($($(#[$doc:meta])* $name:ident, $split:ident, $work:ident, $variant:ident, $type:ty;)+) => {
        impl<'c, 'a> Call<'c, 'a> {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// WRONGTYPE where another type is there.
                pub fn $name(&mut self, key: &[u8]) -> Result<Option<&$type>, Failure> {
                    Ok(self.$split(key)?.0)
                }

                $(#[$doc])*
                /// Beside it the output, for replies that are written while the value is read.
                ///
                /// # Errors
                /// WRONGTYPE where another type is there.
                pub fn $split(
                    &mut self,
                    key: &[u8],
                ) -> Result<(Option<&$type>, Output<'_>), Failure> {
                    match self.split(key) {
                        (None, output) => Ok((None, output)),
                        (Some(entry), output) => match entry.value() {
                            Value::Collection(Collection::$variant(value)) => {
                                Ok((Some(&**value), output))
                            }
                            _ => Err(Failure::WRONG_TYPE),
                        },
                    }
                }

                $(#[$doc])*
                /// Beside it what it takes to reply and to emit effects on the key meanwhile.
                ///
                /// # Errors
                /// WRONGTYPE where another type is there.
                #[inline]
                pub fn $work(
                    &mut self,
                    key: &'a [u8],
                ) -> Result<(Option<&$type>, Work<'_, 'a>), Failure> {
                    match self.work(key) {
                        (None, work) => Ok((None, work)),
                        (Some(entry), work) => match entry.value() {
                            Value::Collection(Collection::$variant(value)) => {
                                Ok((Some(&**value), work))
                            }
                            _ => Err(Failure::WRONG_TYPE),
                        },
                    }
                }
            )+
        }
    };
}

typed_reads! {
    /// The list at `key`.
    list, split_list, work_list, List, List;
    /// The set at `key`.
    set, split_set, work_set, Set, Set;
    /// The hash at `key`.
    hash, split_hash, work_hash, Hash, Hash;
    /// The sorted set at `key`.
    sorted_set, split_sorted_set, work_sorted_set, ZSet, ZSet;
}
