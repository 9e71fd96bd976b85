//! A table by keyed hashes. Entries are known by 64 bits of hash alone: what they stand for is held
//! by the agents, who look again, and nobody without the key can choose two that fall together.

use hashbrown::HashTable;

/// Values by hash.
#[derive(Clone, Debug)]
pub(super) struct Table<V> {
    entries: HashTable<(u64, V)>,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self { entries: HashTable::new() }
    }
}

impl<V: Copy> Table<V> {
    pub(super) fn get(&self, hash: u64) -> Option<V> {
        self.entries.find(hash, |(other, _)| *other == hash).map(|(_, value)| *value)
    }

    pub(super) fn get_mut(&mut self, hash: u64) -> Option<&mut V> {
        self.entries.find_mut(hash, |(other, _)| *other == hash).map(|(_, value)| value)
    }

    /// Sets the value of a hash.
    pub(super) fn set(&mut self, hash: u64, value: V) {
        match self.get_mut(hash) {
            Some(known) => *known = value,
            None => {
                self.entries.insert_unique(hash, (hash, value), |(hash, _)| *hash);
            }
        }
    }

    pub(super) fn remove(&mut self, hash: u64) {
        if let Ok(entry) = self.entries.find_entry(hash, |(other, _)| *other == hash) {
            entry.remove();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
