//! The effects engine of Causet.
//!
//! This crate is deterministic: it does no I/O, starts no thread, reads no clock and draws no
//! random numbers. Time, randomness and hash seeds arrive as arguments; what is to be written to a
//! log leaves through the [`EffectLog`](engine::EffectLog) trait. The same calls give the same
//! state on every machine.

pub mod effect;
pub mod hlc;
pub mod id;
pub mod tip;
pub mod wire;
