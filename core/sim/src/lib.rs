//! A deterministic world in which nodes of Causet run, fail and are judged.
//!
//! One seed decides everything: what clients ask, how long each message takes and whether it
//! arrives, when a node crashes and what its disk kept, how its clock goes wrong. The same seed
//! gives the same run, event for event, on every machine ([`trace`]). A run ends healed, and has to
//! converge within a stated bound of virtual time; then [`judge`]s go over what the clients saw.
//!
//! What is simulated is a [`Node`](node::Node): anything that takes inputs (a message, a timer, a
//! finished write, a client's request) and leaves outputs in a buffer. The crate holds one,
//! [`Replica`](replica::Replica), which replicates the effects of single-key commands; the engine
//! is plugged in as another.
//!
//! ```
//! use causet_sim::replica::Replica;
//! use causet_sim::run::{RunOptions, run};
//!
//! let options = RunOptions { seed: 7, nodes: 3, operations: 50, ..RunOptions::default() };
//! let report = run::<Replica>(&options, &Default::default()).expect("seed 7 converges");
//! assert_eq!(report.trace_hash, run::<Replica>(&options, &Default::default()).unwrap().trace_hash);
//! ```
//!
//! It is not a test of the drivers (no socket, no io_uring, no TLS): those have their own tests with
//! real processes. And it is no model checker: it draws schedules, it does not exhaust them.

pub mod clock;
pub mod command;
pub mod disk;
pub mod fault;
pub mod history;
pub mod journal;
pub mod judge;
pub mod model;
pub mod network;
pub mod node;
pub mod record;
pub mod replica;
pub mod rng;
pub mod run;
pub mod session;
pub mod trace;
pub mod world;

/// A millisecond of virtual time, in nanoseconds.
pub const MS: u64 = 1_000_000;
/// A second of virtual time, in nanoseconds.
pub const SECOND: u64 = 1_000 * MS;
