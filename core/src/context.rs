//! One command's, or one transaction's, unit of work.
//!
//! Commands read through the engine and emit effects here; nothing changes before
//! [`Context::flush`], which commits all of them as one atomic group. A command that fails half way
//! is [`aborted`](Context::abort) and has then done nothing.

use smallvec::SmallVec;

use crate::effect::{Data, Effect, Meta, Payload, Snapshot};
use crate::engine::{EffectLog, Engine, Now};

/// How much of a context's work stood at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Savepoint(usize);

/// Effects emitted and not yet committed. `'a` is the life of the request's bytes: effects borrow
/// keys and values from it.
#[derive(Debug)]
pub struct Context<'a> {
    db: u32,
    pending: SmallVec<[Effect<'a>; 2]>,
}

impl<'a> Context<'a> {
    /// An empty context on database `db`. No allocation.
    #[inline]
    pub fn new(db: u32) -> Self {
        Context {
            db,
            pending: SmallVec::new(),
        }
    }

    /// The database that [`Context::emit`] writes to.
    #[inline]
    pub fn db(&self) -> u32 {
        self.db
    }

    /// Adds a change of `key`'s value.
    #[inline]
    pub fn emit(&mut self, key: &'a [u8], data: Data<'a>) {
        self.emit_effect(Effect {
            db: self.db,
            key,
            payload: Payload::Data(data),
        });
    }

    /// Adds a change of `key`'s expiry.
    #[inline]
    pub fn emit_meta(&mut self, key: &'a [u8], meta: Meta) {
        self.emit_effect(Effect {
            db: self.db,
            key,
            payload: Payload::Meta(meta),
        });
    }

    /// Replaces `key` by a whole state.
    pub fn emit_snapshot(&mut self, key: &'a [u8], snapshot: Snapshot<'a>) {
        self.emit_effect(Effect {
            db: self.db,
            key,
            payload: Payload::Snapshot(snapshot),
        });
    }

    /// Adds any effect, also of another database.
    #[inline]
    pub fn emit_effect(&mut self, effect: Effect<'a>) {
        self.pending.push(effect);
    }

    /// Whether nothing was emitted since the last flush or abort.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// What was emitted and not flushed, in order.
    #[inline]
    pub fn pending(&self) -> &[Effect<'a>] {
        &self.pending
    }

    /// The keys that a flush would change, in the order of emission, with their databases.
    pub fn pending_keys(&self) -> impl Iterator<Item = (u32, &'a [u8])> + '_ {
        self.pending.iter().map(|effect| (effect.db, effect.key))
    }

    /// Commits what was emitted as one atomic group: all of it is in the log and in the state, or
    /// (after a crash) none. Returns the number of effects.
    #[inline]
    pub fn flush(&mut self, engine: &mut Engine, log: &mut impl EffectLog, now: Now) -> usize {
        let count = self.pending.len();
        engine.commit(log, now, &self.pending, false);
        self.pending.clear();
        count
    }

    /// Drops what was emitted.
    pub fn abort(&mut self) {
        self.pending.clear();
    }

    /// Marks this moment.
    pub fn take_savepoint(&self) -> Savepoint {
        Savepoint(self.pending.len())
    }

    /// Drops what was emitted since the savepoint, which must be of this context and not have been
    /// passed by a flush.
    pub fn restore_savepoint(&mut self, savepoint: Savepoint) {
        self.pending.truncate(savepoint.0);
    }
}
