//! What Causet says and hears, as bytes: the formats that clients, peers and the log share.
//!
//! Not here: sockets, files, threads and clocks (they are `causet-net`'s and `causet-shards`'), and
//! what a command means (`causet-shards`). Everything is a function of the bytes it is given.
//!
//! The rule kept: bytes from outside are hostile. No input panics, no declared length allocates
//! before its bytes are there, and the work done is linear in the bytes received.

pub mod frame;
pub mod message;
pub mod resp;
