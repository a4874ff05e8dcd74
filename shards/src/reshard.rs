//! Starting with another number of shards: every key goes to the log of the shard that owns its slot
//! now.
//!
//! The old logs are read one after the other and their live state is written as snapshots into a new
//! generation beside them. Only when all of it is durable does the data directory's `meta` name the
//! new generation, in one rename; a crash before leaves the old one in force, a crash after the new.

use causet_core::effect::{Effect, Payload, Snapshot};
use causet_core::engine::{Engine, EngineOptions, Now};
use causet_core::entry::Value;
use causet_core::id::{NodeId, Slot};
use causet_core::value::HashSeed;
use causet_core::wire::unmarshal_effect;

use crate::command::call::encode_state;
use crate::config::Config;
use crate::journal::Journal;
use crate::log::datadir::DataDir;
use crate::log::{BlockingIo, Client, ColdRead, Log};
use crate::server::{StartError, log_options, recover, unix_ns};
use crate::state::{collection_limits, maxmemory_bytes};

/// A shard of the new generation, while it is written.
struct Target {
    engine: Engine,
    journal: Journal,
    io: BlockingIo,
    /// Drives the log's timers; nothing waits for them here.
    ticks_ns: u64,
}

impl Target {
    /// Writes a key's whole state. Its value does not stay in memory: nobody reads it here.
    fn take(&mut self, db: u32, key: &[u8], payload: Payload<'_>) {
        // The old log may have been written with more databases than are configured now.
        self.engine.ensure_databases(db + 1);
        let now = Now { unix_ns: unix_ns() };
        let effect = Effect { db, key, payload };
        self.engine.commit(&mut self.journal, now, &[effect], false);
        if let Some(slot) = self.engine.space(db).find(self.engine.key(key)) {
            self.engine.drop_whole(self.engine.place(db), slot);
        }
        self.relieve();
    }

    /// Lets the log write while it has more than it should hold.
    fn relieve(&mut self) {
        while self.journal.is_full() {
            self.tick();
        }
    }

    fn tick(&mut self) {
        // A second each time, so that every deadline of the log has passed.
        self.ticks_ns += 1_000_000_000;
        let Some(log) = self.journal.log_mut() else {
            return;
        };
        log.tick(self.ticks_ns, &mut self.io);
        while let Some((op, result, buf)) = self.io.completion() {
            log.on_complete(op, result, buf, &mut self.io);
        }
    }

    fn finish(&mut self) -> Result<(), StartError> {
        let Some(end) = self.journal.log_mut().map(Log::request_flush) else {
            return Ok(());
        };
        while let Some(log) = self.journal.log()
            && log.durable_lsn() < end
        {
            if let Some(refusal) = log.refusal() {
                return Err(format!("re-sharding stopped: {}", refusal.reason).into());
            }
            self.tick();
        }
        Ok(())
    }
}

/// Writes what `data` holds as logs of `shards` shards, and makes them the ones in force.
///
/// # Errors
/// What reading or writing meets; the old generation then stays in force, unchanged.
pub fn run(data: &mut DataDir, config: &Config, shards: u16) -> Result<(), StartError> {
    let meta = data.meta();
    tracing::info!(
        from = meta.shards,
        to = shards,
        "re-partitioning the logs by slot"
    );
    // The hash seed is only for the tables in memory, which go when this is done.
    let options = |stream| EngineOptions {
        node: NodeId(meta.node),
        stream,
        databases: config.databases,
        seed: HashSeed(unix_ns()),
        limits: collection_limits(config),
    };
    let mut targets = Vec::new();
    for number in 0..shards {
        let dir = data.next_shard(number);
        if dir.exists() {
            // What an earlier attempt left behind.
            std::fs::remove_dir_all(&dir)?;
        }
        std::fs::create_dir_all(&dir)?;
        let mut engine = Engine::new(options(number));
        let log_options = log_options(config, meta.node, number);
        let (log, _) = recover(&dir, log_options, Client::inline(), &mut engine, 0)?;
        let journal = Journal::On(Box::new(log));
        targets.push(Target {
            engine,
            journal,
            io: BlockingIo::new(),
            ticks_ns: 0,
        });
    }
    let mut keys = 0u64;
    for number in 0..meta.shards {
        let mut engine = Engine::new(options(number));
        let log_options = log_options(config, meta.node, number);
        let (log, _) = recover(
            &data.shard(number),
            log_options,
            Client::inline(),
            &mut engine,
            maxmemory_bytes(config) as usize,
        )?;
        for db in 0..engine.databases() {
            for entry in engine.in_order(db).iter() {
                let target = &mut targets[usize::from(Slot::of_key(entry.key()).shard(shards))];
                let key = entry.key();
                if matches!(entry.value(), Value::Cold) {
                    // One effect holds it whole, expiry included: it goes over as it is.
                    let tip = entry.tip();
                    let bytes = log
                        .cold_read(tip)
                        .and_then(ColdRead::finish)
                        .ok_or_else(|| format!("effect {tip} does not read back"))?;
                    let mut deps = Vec::new();
                    let stamped = unmarshal_effect(tip, &bytes, &mut deps)?;
                    target.take(db, key, stamped.effect.payload);
                } else {
                    let state = encode_state(entry);
                    let snapshot = Snapshot {
                        type_tag: entry.type_tag(),
                        expires_ms: entry.expires_ms(),
                        state: &state,
                    };
                    target.take(db, key, Payload::Snapshot(snapshot));
                }
                keys += 1;
            }
        }
    }
    for target in &mut targets {
        target.finish()?;
    }
    drop(targets);
    data.flip(shards)?;
    tracing::info!(keys, "the logs are re-partitioned");
    Ok(())
}
