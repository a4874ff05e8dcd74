//! Connections by dense index, guarded by a generation.
//!
//! It is not a cache of anything: an entry lives exactly from insertion to removal. The rule it
//! keeps: an id whose connection was removed never reaches the connection that took its place.

use std::io;

use slab::Slab;

use crate::driver::ConnId;

/// A bounded table of `T`, one per connection.
pub(crate) struct ConnTable<T> {
    slots: Slab<(u32, T)>,
    generation_next: u32,
    connections_max: usize,
}

impl<T> ConnTable<T> {
    pub(crate) fn new(connections_max: u32) -> Self {
        Self {
            slots: Slab::new(),
            generation_next: 1,
            connections_max: connections_max as usize,
        }
    }

    /// Fails with `QuotaExceeded` when the table is full.
    pub(crate) fn insert(&mut self, entry: T) -> io::Result<ConnId> {
        if self.slots.len() >= self.connections_max {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                format!("the driver has its {} connections", self.connections_max),
            ));
        }
        // One counter for all slots: four thousand million connections pass before a slot can see
        // a generation again, and then only if an id was kept for all that time.
        let generation = self.generation_next;
        self.generation_next = generation.wrapping_add(1);
        let index = self.slots.insert((generation, entry));
        Ok(ConnId {
            index: index as u32,
            generation,
        })
    }

    pub(crate) fn get_mut(&mut self, id: ConnId) -> Option<&mut T> {
        let (generation, entry) = self.slots.get_mut(id.index())?;
        (*generation == id.generation).then_some(entry)
    }

    /// By index alone, for completions: the kernel's operations keep their slot from being reused.
    pub(crate) fn at(&mut self, index: u32) -> Option<(ConnId, &mut T)> {
        let (generation, entry) = self.slots.get_mut(index as usize)?;
        Some((
            ConnId {
                index,
                generation: *generation,
            },
            entry,
        ))
    }

    pub(crate) fn remove(&mut self, id: ConnId) -> Option<T> {
        self.get_mut(id)?;
        Some(self.slots.remove(id.index()).1)
    }

    /// Every connection there is.
    pub(crate) fn ids(&self) -> Vec<ConnId> {
        self.slots
            .iter()
            .map(|(index, (generation, _))| ConnId {
                index: index as u32,
                generation: *generation,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_does_not_reach_the_successor() {
        let mut table = ConnTable::new(4);
        let first = table.insert("first").unwrap();
        assert_eq!(table.remove(first), Some("first"));
        let second = table.insert("second").unwrap();
        assert_eq!(first.index(), second.index());
        assert!(table.get_mut(first).is_none());
        assert_eq!(table.remove(first), None);
        assert_eq!(table.get_mut(second), Some(&mut "second"));
    }

    #[test]
    fn a_full_table_refuses() {
        let mut table = ConnTable::new(1);
        table.insert(()).unwrap();
        assert_eq!(
            table.insert(()).unwrap_err().kind(),
            io::ErrorKind::QuotaExceeded
        );
        assert_eq!(table.ids().len(), 1);
    }
}
