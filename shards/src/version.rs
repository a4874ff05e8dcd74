//! Which version this is, for those who ask in Redis's words and in ours.

/// The Redis version whose commands and replies are answered; clients choose features by it.
pub const REDIS_VERSION: &str = "7.2.4";

/// Causet's own version.
pub const CAUSET_VERSION: &str = env!("CARGO_PKG_VERSION");
