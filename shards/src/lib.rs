//! The shard runtime of Causet and the `causet` server.
//!
//! One pinned thread per shard owns a slice of the keys and everything about them; this crate is
//! what such a thread does: parse, route, execute, log, reply. The engine is causet-core's, the
//! codec causet-proto's, the system calls causet-net's.

pub mod banner;
pub mod client;
pub mod cold;
pub mod command;
pub mod compaction;
pub mod config;
pub mod connection;
pub mod cursors;
pub mod descriptors;
pub mod diagnostics;
pub mod disk;
mod dispatch;
pub mod execute;
pub mod journal;
pub mod latency;
pub mod lend;
pub mod log;
pub mod mesh;
pub mod rdb;
pub mod replay;
pub mod reshard;
pub mod server;
pub mod shard;
pub mod shared;
mod shutdown;
pub mod slowlog;
pub mod state;
pub mod stats;
mod stranded;
pub mod ticks;
pub mod tool;
mod upkeep;
pub mod usage;
pub mod version;
