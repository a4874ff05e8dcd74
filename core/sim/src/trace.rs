//! What happened, as one running hash and, if wanted, as lines of text.
//!
//! Two runs of a seed that differ anywhere have different hashes: that is how lost determinism (a
//! hash map's order, a clock that was read) is caught.

use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::io::Write;

/// FNV-1a, 64 bits: the same on every run, unlike the standard library's default hasher.
#[derive(Clone, Debug)]
pub struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Fingerprint(0xcbf2_9ce4_8422_2325)
    }
}

impl Fingerprint {
    /// The fingerprint of one thing.
    pub fn of(thing: &impl Hash) -> u64 {
        let mut fingerprint = Fingerprint::default();
        thing.hash(&mut fingerprint);
        fingerprint.finish()
    }
}

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The trace of one run.
#[derive(Debug, Default)]
pub struct Trace {
    fingerprint: Fingerprint,
    events: u64,
    prints: bool,
}

impl Trace {
    /// An empty trace. With `prints` every event also goes to standard output as a line.
    pub fn new(prints: bool) -> Self {
        Trace {
            prints,
            ..Trace::default()
        }
    }

    /// An event at a virtual time, of a node where it concerns one.
    pub fn event(
        &mut self,
        at_ns: u64,
        node: Option<usize>,
        kind: &str,
        detail: &(impl Hash + Debug),
    ) {
        self.events += 1;
        (at_ns, node, kind).hash(&mut self.fingerprint);
        detail.hash(&mut self.fingerprint);
        if self.prints {
            let node = node.map_or_else(|| "-".to_owned(), |node| node.to_string());
            let ms = at_ns / crate::MS;
            let us = at_ns / 1_000 % 1_000;
            let mut out = std::io::stdout().lock();
            // Whoever closes the pipe has read enough; the run goes on.
            let _ = writeln!(
                out,
                "{ms:>7}.{us:03} ms  node {node:>2}  {kind:<9} {detail:?}"
            );
        }
    }

    /// Hash of everything so far.
    pub fn hash(&self) -> u64 {
        self.fingerprint.finish()
    }

    /// Number of events so far.
    pub fn events(&self) -> u64 {
        self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_differ_where_one_event_differs() {
        let hash = |at_ns, detail: &str| {
            let mut trace = Trace::new(false);
            trace.event(at_ns, Some(1), "send", &detail);
            trace.hash()
        };
        assert_eq!(hash(1, "a"), hash(1, "a"));
        assert_ne!(hash(1, "a"), hash(2, "a"));
        assert_ne!(hash(1, "a"), hash(1, "b"));
    }
}
