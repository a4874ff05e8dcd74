//! What concurrent effects on one key make together.
//!
//! The state of a key is a function of the *set* of its effects and of what each of them observed;
//! the order of arrival is no input to it. That is the whole argument for convergence, so everything
//! here is defined on sets, and the property tests hold the code against a model that is written from
//! this text.
//!
//! **Dots.** An effect may *write* one item of its key (the scalar, an element, the expiry) and may
//! *cover* items. What it wrote is a dot. A dot survives until an effect that observed it covers its
//! item. What survives beside what was not observed is all that merging is about.
//!
//! | effect | writes | covers |
//! |---|---|---|
//! | SET, a string's snapshot | the scalar, and its own expiry | the whole key |
//! | INCR, INCRBYFLOAT, APPEND, SETRANGE, the max and first-write rules | a modifier of the scalar | nothing |
//! | DEL, FLUSHDB | nothing | the whole key |
//! | SADD, HSET, ZADD | the element | the element |
//! | HINCRBY, HINCRBYFLOAT, ZINCRBY | a modifier of the element | nothing |
//! | SREM, HDEL, ZREM | nothing | the element |
//! | EXPIRE, PERSIST | the expiry | the expiry |
//! | a collection's snapshot (RENAME, the STORE forms) | a whole state, and its own expiry | the whole key |
//! | NOOP | nothing | nothing |
//!
//! **The order** ([`Owned::order`]) is by HLC, then fork-choice hash, then ref; it is total and
//! extends causality.
//!
//! **Values.** An item holds the greatest surviving write, or what the base holds of it, and then
//! every surviving modifier in the order; one that does not fit is passed over. An element is there
//! while any dot of it survives. So an increment beside a concurrent SET or DEL is kept, and one that
//! the SET or DEL had observed is gone.
//!
//! **Types.** Where dots of several types survive, a string is seen before collections, and of
//! collections the one with the greatest dot. What is not seen stays, and is seen when what hid it is
//! covered. Of several whole states of one type, the greatest is seen, with the elements that were
//! written beside it.
//!
//! **Expiry.** PERSIST beats everything that is concurrent with it, else the latest time wins. A SET
//! without an expiry says nothing beside a concurrent EXPIRE.
//!
//! **The base** is one more dot, lower than all others and observed by all effects: what was stable
//! has been absorbed into it ([`Graph::stabilise`]).
//!
//! List elements survive by the same rules, but their places are another matter, and are not decided
//! here: [`Branch::ordered`] hands their effects on.
//!
//! Two things are the writer's part, because only a writer knows what it saw. A removal that leaves
//! its key empty is written as the key's removal, or the key's expiry would wait for the next
//! element; and for the same reason a write that makes a key anew, where there is history, begins
//! with the key's removal.

mod absorb;
mod action;
mod branch;
mod changes;
mod graph;
mod keyed;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod model;
mod owned;
mod scalar;
pub mod sequence;
mod state;
mod vector;

pub use action::Unfit;
pub use branch::{Branch, merge_n, merge2};
pub use changes::{Changes, Ground};
pub use graph::{Graph, GraphError, Inserted, Kept, reduce_branch, reduce_chain};
pub use owned::Owned;
pub use scalar::Content;
pub use state::{Base, Name, Score, State, Value};
pub use vector::VersionVector;
