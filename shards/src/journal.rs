//! The engine's way to the log: encodes effects straight into the log's open buffer.
//!
//! With `appendonly no` there is no log, and effects only change memory.

use causet_core::effect::Stamped;
use causet_core::engine::EffectLog;

/// Where a shard's effects go.
pub enum Journal {
    /// `appendonly no`.
    Off,
}

impl Journal {
    /// Why no write can be taken now, if so.
    #[inline]
    pub fn refusing(&self) -> Option<&str> {
        match self {
            Journal::Off => None,
        }
    }
}

impl EffectLog for Journal {
    #[inline]
    fn append(&mut self, _counter: u64, _stamped: &Stamped<'_>, _more_in_group: bool) {
        match self {
            Journal::Off => {}
        }
    }
}
