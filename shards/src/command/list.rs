//! Commands of this group.

use super::*;

/// The rows.
pub const COMMANDS: &[Command] = &[];
