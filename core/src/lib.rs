//! The effects engine of Causet.
//!
//! This crate is deterministic: it does no I/O, starts no thread, reads no clock and draws no
//! random numbers. Time, randomness and hash seeds arrive as arguments; what is to be written to a
//! log leaves through the [`EffectLog`](engine::EffectLog) trait. The same calls give the same
//! state on every machine.

mod apply;
pub mod context;
pub mod delivery;
pub mod effect;
pub mod engine;
pub mod entry;
pub mod evict;
pub mod glob;
pub mod hlc;
pub mod id;
pub mod index;
pub mod keyspace;
pub mod merge;
pub mod number;
mod snapshot;
pub mod tip;
pub mod transaction;
pub mod value;
pub mod vector;
pub mod wire;
