//! A bounded table whose entries live for some time since their last use.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Timestamp;

/// Every operation costs a look-up or two, whatever the table holds: to refresh an entry is to
/// note its new deadline, and only when the old one comes is the entry filed under the new.
#[derive(Clone, Debug)]
pub(super) struct Expiring<K, V> {
    entries: BTreeMap<K, (Timestamp, V)>,
    /// One item for each entry, not later than its deadline.
    queue: BTreeSet<(Timestamp, K)>,
}

impl<K, V> Default for Expiring<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), queue: BTreeSet::new() }
    }
}

impl<K: Ord + Copy, V> Expiring<K, V> {
    /// Takes out one entry whose deadline has come. To be called until there is none, before
    /// anything else is asked at `now`.
    pub(super) fn pop_expired(&mut self, now: Timestamp) -> Option<(K, V)> {
        loop {
            let (filed, key) = *self.queue.first()?;
            if filed > now {
                return None;
            }
            self.queue.pop_first();
            match self.entries.get(&key) {
                Some((deadline, _)) if *deadline > now => {
                    self.queue.insert((*deadline, key));
                }
                Some(_) => return self.entries.remove(&key).map(|(_, value)| (key, value)),
                None => {}
            }
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    pub(super) fn deadline(&self, key: &K) -> Option<Timestamp> {
        self.entries.get(key).map(|(deadline, _)| *deadline)
    }

    /// Lets an entry live until `deadline` at least. Returns whether there is one.
    pub(super) fn refresh(&mut self, key: &K, deadline: Timestamp) -> bool {
        let entry = self.entries.get_mut(key);
        if let Some((old, _)) = entry {
            *old = deadline.max(*old);
            true
        } else {
            false
        }
    }

    /// Adds an entry that is not there yet.
    pub(super) fn insert(&mut self, key: K, value: V, deadline: Timestamp) {
        self.queue.insert((deadline, key));
        self.entries.insert(key, (deadline, value));
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V, Timestamp)> {
        self.entries.iter().map(|(key, (deadline, value))| (key, value, *deadline))
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
