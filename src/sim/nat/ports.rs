//! The free ports of one external address.

use std::collections::BTreeMap;

/// Ranges of free ports, by their first: to take the next free port is one look-up, however many
/// are taken.
#[derive(Clone, Debug)]
pub(super) struct Ports(BTreeMap<u16, u16>);

impl Ports {
    pub(super) fn new((lowest, highest): (u16, u16)) -> Self {
        Self(BTreeMap::from([(lowest, highest)]))
    }

    /// Takes a port if it is free.
    pub(super) fn take(&mut self, port: u16) -> bool {
        let range = self.0.range(..=port).next_back().map(|(first, last)| (*first, *last));
        let Some((first, last)) = range.filter(|(_, last)| *last >= port) else { return false };
        self.0.remove(&first);
        if let Some(before) = port.checked_sub(1).filter(|before| *before >= first) {
            self.0.insert(first, before);
        }
        if let Some(after) = port.checked_add(1).filter(|after| *after <= last) {
            self.0.insert(after, last);
        }
        true
    }

    /// Takes the first free port from `port` on, and from the lowest on after the highest.
    pub(super) fn take_next(&mut self, port: u16) -> Option<u16> {
        if self.take(port) {
            return Some(port);
        }
        let above = self.0.range(port..).next();
        let next = above.or_else(|| self.0.first_key_value()).map(|(first, _)| *first)?;
        self.take(next).then_some(next)
    }

    /// Gives a port back that was taken.
    pub(super) fn give_back(&mut self, port: u16) {
        let below = self.0.range(..port).next_back().map(|(first, last)| (*first, *last));
        let below = below.filter(|(_, last)| last.checked_add(1) == Some(port));
        let above = port.checked_add(1).and_then(|next| self.0.remove(&next));
        self.0.insert(below.map_or(port, |(first, _)| first), above.unwrap_or(port));
    }
    #[cfg(test)]
    pub(super) fn ranges(&self) -> impl Iterator<Item = (u16, u16)> {
        self.0.iter().map(|(first, last)| (*first, *last))
    }
}
