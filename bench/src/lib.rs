//! causet-bench: the load generator and the judge of speed.
//!
//! For measuring one server ([`load`]) or for holding several against one another ([`compare`]), on
//! the same cores, in turns, with the same requests. It is not a functional test: it checks that
//! replies are not errors, not what they say.
//!
//! The rule it keeps: a figure is printed with what it takes to doubt it. Each comparison says
//! which end was the bottleneck, how far the rounds lay apart, what else ran on the server's core,
//! and which peer could not be had.

pub mod compare;
pub mod disk;
pub mod epoll;
pub mod error;
pub mod generator;
pub mod interrupt;
pub mod keys;
pub mod latency;
pub mod load;
pub mod peers;
pub mod process;
pub mod reply;
pub mod rng;
pub mod schedule;
pub mod server;
pub mod stats;
pub mod template;
pub mod workload;
