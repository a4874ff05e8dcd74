//! Connections whose replies wait for a disk that keeps refusing: they are closed.
//!
//! Under `appendfsync always` a reply waits until its write is durable. When the disk refuses, new
//! writes are answered -MISCONF at once, but those that were taken before can be told neither OK nor
//! an error: they are in memory and become durable if the disk comes back, and are lost if the
//! process ends first. After [`PATIENCE_NS`] their connections are closed, and their clients know as
//! much as after any lost connection. The rule kept: no reply tells of what is not durable, and no
//! client waits for ever.

use std::sync::atomic::Ordering;

use causet_net::ConnId;

use crate::connection::Connection;
use crate::mesh::Message;
use crate::shard::Core;

/// Nanoseconds that a refusing disk gets to come back before those who wait for it are let go.
const PATIENCE_NS: u64 = 5_000_000_000;

impl Core {
    /// Closes the connections that wait for a disk that has refused for too long, this shard's or
    /// another's whose part in a command they wait for. Called ten times a second; O(connections)
    /// while a disk refuses.
    pub(crate) fn release_stranded(&mut self, now_ns: u64) {
        let shared = &self.state.shared;
        let gives_up = self
            .state
            .journal
            .log()
            .and_then(|log| log.refusal())
            .is_some_and(|refusal| now_ns.saturating_sub(refusal.since_ns) >= PATIENCE_NS);
        shared.gave_up[usize::from(self.state.number)].store(gives_up, Ordering::Relaxed);
        if gives_up {
            for (_, peer, replies) in self.held_replies.drain(..) {
                self.mesh.send(peer, Message::Lost(replies.conn));
            }
        }
        let gave_up = |shard: u16| shared.gave_up[usize::from(shard)].load(Ordering::Relaxed);
        if (0..shared.shards).any(gave_up) {
            let waits = |conn: &Connection| {
                let mut elsewhere = conn.remote_holds.iter();
                conn.hold.is_some() && gives_up || elsewhere.any(|&(shard, _)| gave_up(shard))
            };
            let stranded: Vec<ConnId> = self
                .connections
                .iter()
                .flatten()
                .filter(|conn| waits(conn))
                .map(|conn| conn.id)
                .collect();
            for id in stranded {
                self.close_stranded(id);
            }
        }
        let connections = std::mem::take(&mut self.stranded);
        if connections > 0 {
            tracing::warn!(
                shard = self.state.number,
                connections,
                "closed connections that waited for a disk that refuses: what became of their last \
                 writes is not known to them"
            );
        }
    }

    /// Closes a connection that cannot be told what became of its commands.
    pub(crate) fn close_stranded(&mut self, id: ConnId) {
        let Some(conn) = self.connection(id) else {
            return;
        };
        if let Some(Some(client)) = self.state.clients.get_mut(conn.client)
            && !client.close_now
        {
            client.close_now = true;
            self.stranded += 1;
            self.mark(id);
        }
    }
}
