//! What can stand between a client and its transaction, and what the caller should do about it.

use crate::id::EffectRef;

/// Why a transaction (or a plain write beside one) does not go on here and now. Nothing of it has
/// happened and nothing of it will.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum TxnError {
    /// A competitor won, or a write came between. Read again and try again, at once; after three in
    /// a row on a key, let the contenders agree on a leader for it.
    #[error("EXECABORT transaction aborted: a concurrent one changed what it read; try again")]
    TxnAborted {
        /// The competitor, where it is known.
        by: Option<EffectRef>,
    },
    /// A bind on one of the keys is not decided yet. Wait until it is
    /// ([`Output::Visible`](super::message::Output::Visible) or `Dropped`; two round trips as a
    /// rule), then read again.
    #[error("TRYAGAIN a transaction on this key is being decided")]
    InHorizon {
        /// The bind to wait for.
        bind: EffectRef,
    },
    /// This node reaches no majority of the configured members, or the others go on without it.
    /// Use a node on the other side, or wait for healing. Writes that merge still go on.
    #[error(
        "READONLY region partitioned: {reachable} of {configured} members reachable, a majority is needed"
    )]
    RegionPartitioned {
        /// How many configured members this node reaches, itself included.
        reachable: usize,
        /// How many there are.
        configured: usize,
    },
    /// This node has not learned a view yet. Use another one; this one is ready when
    /// [`Output::Installed`](super::message::Output::Installed) has named it a member.
    #[error("LOADING this node has not joined its region yet; use another node")]
    BootstrapIncomplete,
    /// The members are agreeing on the next view, and what this one may decide is suspended. Try
    /// again after some round trips.
    #[error("TRYAGAIN view {view} is ending; its members are agreeing on the next")]
    AuthorityDropped {
        /// The view that ends.
        view: u64,
    },
}
