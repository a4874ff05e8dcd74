//! Commands over several shards: the shards stop, and their states are lent to one thread.
//!
//! A command whose keys live on several shards, or that concerns all of them, runs on its
//! connection's shard with the states of the others in hand, so that it is atomic and serialised
//! with everything: nothing else runs on those shards meanwhile. One such command runs at a time;
//! another shard that wants to run one tries again in its next turn, serving its own requests in
//! between, so no two wait for each other.
//!
//! The protocol, per lent shard, over one atomic pointer: the borrower sends `Message::Lend` through
//! the mesh; the lender, between two commands, puts the address of its state there (release) and
//! waits; the borrower takes it (acquire), works, and clears the pointer (release); the lender sees
//! that (acquire) and goes on. Cost: one wake-up and a stop of some 10 to 30 us on each lent shard.

use std::hint;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use causet_core::id::Slot;

use crate::state::State;

/// Turns of the spin before a waiting thread sleeps.
const SPINS: u32 = 2000;
/// A sleeping thread looks again at least so often; wake-ups are not lost, this is the belt.
const NAP: Duration = Duration::from_millis(1);

/// Where states change hands.
pub struct Desk {
    taken: AtomicBool,
    lent: Vec<AtomicPtr<State>>,
    threads: Vec<OnceLock<Thread>>,
}

impl Desk {
    /// A desk for `shards` shards.
    pub fn new(shards: u16) -> Self {
        Desk {
            taken: AtomicBool::new(false),
            lent: (0..shards)
                .map(|_| AtomicPtr::new(ptr::null_mut()))
                .collect(),
            threads: (0..shards).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Tells the desk which thread a shard is; called once by that thread.
    pub fn register(&self, shard: u16) {
        let _ = self.threads[usize::from(shard)].set(thread::current());
    }

    /// Tries to become the one that borrows. `false`: another shard is; try again later.
    pub fn try_take(&self) -> bool {
        !self.taken.swap(true, Ordering::Acquire)
    }

    /// Lends `state` and waits until it is given back.
    pub fn lend(&self, state: &mut State, borrower: u16) {
        let place = &self.lent[usize::from(state.number)];
        place.store(state, Ordering::Release);
        self.unpark(borrower);
        wait(|| place.load(Ordering::Acquire).is_null());
    }

    /// Waits until the shards in `wanted` have lent their states, which must have been asked to.
    fn collect(&self, wanted: impl Iterator<Item = u16>) {
        for shard in wanted {
            let place = &self.lent[usize::from(shard)];
            wait(|| !place.load(Ordering::Acquire).is_null());
        }
    }

    fn unpark(&self, shard: u16) {
        if let Some(thread) = self.threads[usize::from(shard)].get() {
            thread.unpark();
        }
    }
}

fn wait(ready: impl Fn() -> bool) {
    for _ in 0..SPINS {
        if ready() {
            return;
        }
        hint::spin_loop();
    }
    while !ready() {
        thread::park_timeout(NAP);
    }
}

/// The states of other shards, in the hands of one command.
pub struct Held<'d> {
    desk: &'d Desk,
    /// By shard; null where that shard is not held.
    states: Vec<*mut State>,
}

impl<'d> Held<'d> {
    /// Takes over the shards of `wanted`, which were asked to lend; the desk must have been
    /// [taken](Desk::try_take). Waits for them.
    pub fn collect(desk: &'d Desk, wanted: &[u16]) -> Self {
        desk.collect(wanted.iter().copied());
        let mut states = vec![ptr::null_mut(); desk.lent.len()];
        for &shard in wanted {
            states[usize::from(shard)] = desk.lent[usize::from(shard)].load(Ordering::Acquire);
        }
        Held { desk, states }
    }

    /// The state that owns `key`: `home`, where it is not a held one.
    ///
    /// # Panics
    /// If the key's shard is neither: the command's row does not name all its keys.
    #[inline]
    pub fn owner<'s>(&'s mut self, home: &'s mut State, key: &[u8]) -> &'s mut State {
        let shard = Slot::of_key(key).shard(self.states.len() as u16);
        self.shard(home, shard)
            .expect("a command touches only the keys that its row names")
    }

    /// The state of one shard, if it is held or home.
    pub fn shard<'s>(&'s mut self, home: &'s mut State, shard: u16) -> Option<&'s mut State> {
        if shard == home.number {
            return Some(home);
        }
        // SAFETY: the owner wrote the pointer and waits until it is cleared in `drop`, so this
        // thread is the only one to use the state; the borrow of `self` keeps two from overlapping.
        unsafe { self.states[usize::from(shard)].as_mut() }
    }

    /// Visits home and every held state, in order of their numbers.
    pub fn for_each(&mut self, home: &mut State, mut visit: impl FnMut(&mut State)) {
        for shard in 0..self.states.len() as u16 {
            if let Some(state) = self.shard(home, shard) {
                visit(state);
            }
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        for (shard, state) in self.states.iter().enumerate() {
            if !state.is_null() {
                self.desk.lent[shard].store(ptr::null_mut(), Ordering::Release);
                self.desk.unpark(shard as u16);
            }
        }
        self.desk.taken.store(false, Ordering::Release);
    }
}
