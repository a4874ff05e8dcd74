//! How a shard's service ends: no more commands, a durable log, the last replies on their way.
//!
//! The shards go through it together, since each may still run what another's connections have
//! asked for. The rule it keeps: what was acknowledged is durable before the process ends, and no
//! client that does not read, and no disk that refuses, keeps it from ending.

use std::sync::atomic::Ordering;

use causet_net::AnyDriver;

use crate::connection::Connection;
use crate::disk::Disk;
use crate::shard::Core;

/// Nanoseconds that the last replies get to reach the kernel, once the log is durable. The kernel
/// takes them at once where the client reads.
const FAREWELL_NS: u64 = 100_000_000;

/// How far a shard's shutdown is.
#[derive(Debug, Default)]
pub struct Shutdown {
    /// No command is started any more.
    is_stopping: bool,
    /// When the last replies are given up, on the loop's clock.
    farewell_ns: Option<u64>,
    /// The last replies are sent or given up.
    is_quiet: bool,
}

impl Core {
    /// Ends the shard's service, called once a turn; `true` when it may return.
    pub(crate) fn stop(&mut self, driver: &mut AnyDriver, now_ns: u64) -> bool {
        if !self.shutdown.is_stopping {
            self.shutdown.is_stopping = true;
            self.state.shared.stopped.fetch_add(1, Ordering::AcqRel);
        }
        // Until every shard has stopped taking commands, one may still ask for this one's state.
        if self.state.shared.stopped.load(Ordering::Acquire) < self.state.shared.shards {
            return false;
        }
        if !self.is_log_settled(driver, now_ns) {
            return false;
        }
        let farewell_ns = *self
            .shutdown
            .farewell_ns
            .get_or_insert(now_ns + FAREWELL_NS);
        if !self.shutdown.is_quiet && (self.has_nothing_to_say() || now_ns >= farewell_ns) {
            self.shutdown.is_quiet = true;
            self.state.shared.quiet.fetch_add(1, Ordering::AcqRel);
        }
        // Another shard's connections may wait for what was forwarded here.
        self.state.shared.quiet.load(Ordering::Acquire) >= self.state.shared.shards
    }

    /// Whether all that was appended is durable, or the disk refuses: that keeps no one from ending,
    /// the operator was told.
    fn is_log_settled(&mut self, driver: &mut AnyDriver, now_ns: u64) -> bool {
        let Some(log) = self.state.journal.log_mut() else {
            return true;
        };
        log.request_flush();
        log.tick(now_ns, &mut Disk::new(driver, &mut self.file_ops));
        let is_durable = log.durable_lsn() >= log.appended_lsn() && log.is_idle();
        is_durable || log.refusal().is_some()
    }

    /// Whether no reply is under way, to a client or to another shard.
    fn has_nothing_to_say(&self) -> bool {
        let is_silent =
            |conn: &Connection| conn.sending.is_none() && conn.out.is_empty() && !conn.is_waiting();
        self.parked.is_empty()
            && self.held_replies.is_empty()
            && !self.mesh.has_outgoing()
            && self
                .connections
                .iter()
                .flatten()
                .all(|conn| is_silent(conn))
    }
}
