//! What a node is told at its start. It does not change while the node runs: who is a member of the
//! region is configured, who decides at a time is the view.

use super::rules::Rules;
use super::view::Members;
use crate::id::NodeId;

/// What a node knows at its start, and never otherwise.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// This node.
    pub me: NodeId,
    /// All configured members, the same on each of them.
    pub configured: Members,
    /// Whether the node was there from the beginning: it starts in view 1, of all the configured. A
    /// node that joined later has no view until the others take it into one.
    pub founding: bool,
    /// All of them, except in a test.
    pub rules: Rules,
}

impl Config {
    /// A node that starts the region together with the others.
    pub fn founding(me: NodeId, configured: impl IntoIterator<Item = NodeId>) -> Config {
        Config {
            me,
            configured: configured.into_iter().collect(),
            founding: true,
            rules: Rules::default(),
        }
    }
}
