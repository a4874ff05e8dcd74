//! Transactions between nodes: a bind is agreed on by its view, in one round trip and no leader.
//!
//! Sans-I/O: [`Participant`] is one node's state machine. It is fed [`Input`]s and polled for
//! [`Output`]s; it sends nothing, writes nothing and waits for nothing itself. It knows no payloads:
//! a [`Bind`] says per key how the transaction used it and what it had observed there.
//!
//! How a transaction goes:
//!
//! 1. Its originator records the bind and sends it to every member of the view.
//! 2. Each member records it with its answer and answers: ACK, or NACK with the competitors that it
//!    knows. From then on it emits no competitor.
//! 3. All answered and no answer names a competitor that is committed or has a lower fork-choice
//!    hash: committed. Else void, and the client hears of it when a majority holds the void.
//! 4. Where a member is lost, a majority agrees on the next view, and with it on what becomes of
//!    everything undecided (`view.rs`, `agreement.rs`).
//!
//! Every member of the view votes, also one that holds none of the keys (it needs the bind and not
//! the effects). Were only the keys' holders to vote, a view without them could not tell what they
//! committed.
//!
//! What no crash may undo is recorded before it is said; [`Participant::recover`] rebuilds the
//! machine from its records. `core/tests/model.rs` explores these very machines.
//!
//! # Example
//!
//! ```
//! use causet_core::hlc::Hlc;
//! use causet_core::id::{EffectRef, NodeId, Offset};
//! use causet_core::transaction::bind::{Bind, Kind, Observed, Part};
//! use causet_core::transaction::config::Config;
//! use causet_core::transaction::message::{Input, Output};
//! use causet_core::transaction::participant::Participant;
//! use causet_core::transaction::voter::OwnWrites;
//!
//! struct NoWrites;
//! impl OwnWrites for NoWrites {
//!     fn unseen(&self, _: &Part) -> Option<EffectRef> {
//!         None
//!     }
//! }
//!
//! let me = NodeId(1);
//! let mut node = Participant::new(Config::founding(me, [me]));
//! let id = EffectRef { node: me, offset: Offset::new(0, 2) };
//! let part = Part {
//!     db: 0,
//!     key: b"stock"[..].into(),
//!     kind: Kind::Overwrite,
//!     consumed: Default::default(),
//!     observed: Observed::default(),
//!     tip: EffectRef { node: me, offset: Offset::new(0, 1) },
//! };
//! node.begin(Bind::new(id, Hlc(1), vec![part]), &NoWrites)?;
//! let mut committed = false;
//! while let Some(output) = node.poll() {
//!     match output {
//!         // A server appends the record and says so when the flush is done.
//!         Output::Persist(token, _) => node.handle(Input::Durable(token), &NoWrites),
//!         Output::ClientCommitted(bind) => committed = bind == id,
//!         _ => {}
//!     }
//! }
//! assert!(committed);
//! # Ok::<(), causet_core::transaction::error::TxnError>(())
//! ```

pub mod agreement;
pub mod bind;
pub mod config;
pub mod coordinator;
pub mod error;
pub mod horizon;
pub mod message;
pub mod outbox;
pub mod participant;
pub mod rules;
pub mod view;
pub mod voter;

pub use bind::Bind;
pub use error::TxnError;
pub use horizon::HorizonSet;
pub use message::{Input, Output};
pub use participant::Participant;
