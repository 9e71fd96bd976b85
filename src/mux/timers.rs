//! The deadlines of all sessions: the earliest is known at once, any other one changes in O(log n).

use crate::time::Timestamp;

/// Not in the heap.
const NOWHERE: u32 = u32::MAX;
/// Children of a node: four, so that the way down is half as long and a node's children are beside
/// each other.
const ARITY: usize = 4;

/// A heap of places by deadline, which knows where each place stands in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    heap: Vec<(Timestamp, u32)>,
    /// By place.
    positions: Vec<u32>,
}

impl Timers {
    /// The earliest deadline, and whose it is. Among equals any may come first, but always the same.
    pub(super) fn first(&self) -> Option<(Timestamp, u32)> {
        self.heap.first().copied()
    }

    /// Sets the deadline of a place, or takes it out.
    pub(super) fn set(&mut self, place: u32, at: Option<Timestamp>) {
        let Ok(index) = usize::try_from(place) else { return };
        if index >= self.positions.len() {
            if at.is_none() {
                return;
            }
            self.positions.resize(index.saturating_add(1), NOWHERE);
        }
        let known = self.positions.get(index).copied().filter(|&position| position != NOWHERE);
        let known = known.and_then(|position| usize::try_from(position).ok());
        match (known, at) {
            (None, None) => {}
            (None, Some(at)) => {
                self.heap.push((at, place));
                self.rise(self.heap.len().saturating_sub(1));
            }
            (Some(position), Some(at)) => {
                let Some(entry) = self.heap.get_mut(position) else { return };
                if entry.0 == at {
                    return;
                }
                entry.0 = at;
                self.settle(position);
            }
            (Some(position), None) => {
                let last = self.heap.len().saturating_sub(1);
                self.heap.swap(position, last);
                self.heap.truncate(last);
                self.note(place, NOWHERE);
                if position < last {
                    self.settle(position);
                }
            }
        }
    }

    fn settle(&mut self, position: usize) {
        if self.rise(position) == position {
            self.sink(position);
        }
    }

    /// Moves an entry up to where it belongs; where that is.
    fn rise(&mut self, mut position: usize) -> usize {
        let Some(&entry) = self.heap.get(position) else { return position };
        while let Some(above) = position.checked_sub(1).and_then(|below| below.checked_div(ARITY)) {
            match self.heap.get(above).copied() {
                Some(parent) if entry < parent => {
                    self.put(position, parent);
                    position = above;
                }
                _ => break,
            }
        }
        self.put(position, entry);
        position
    }

    fn sink(&mut self, mut position: usize) {
        let Some(&entry) = self.heap.get(position) else { return };
        loop {
            let first = position.saturating_mul(ARITY).saturating_add(1);
            let end = first.saturating_add(ARITY).min(self.heap.len());
            let children = self.heap.get(first..end).unwrap_or_default();
            let least = children.iter().enumerate().min_by_key(|(_, child)| **child);
            match least {
                Some((offset, &child)) if child < entry => {
                    self.put(position, child);
                    position = first.saturating_add(offset);
                }
                _ => break,
            }
        }
        self.put(position, entry);
    }

    fn put(&mut self, position: usize, entry: (Timestamp, u32)) {
        if let Some(to) = self.heap.get_mut(position) {
            *to = entry;
        }
        self.note(entry.1, u32::try_from(position).unwrap_or(NOWHERE));
    }

    fn note(&mut self, place: u32, position: u32) {
        let index = usize::try_from(place).ok();
        if let Some(known) = index.and_then(|index| self.positions.get_mut(index)) {
            *known = position;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::Timers;
    use crate::time::Timestamp;

    proptest! {
        #[test]
        fn the_first_is_always_the_earliest_of_a_plain_map(
            changes in prop::collection::vec((0_u32..40, prop::option::of(0_u64..100)), 0..400),
        ) {
            let mut timers = Timers::default();
            let mut model = BTreeMap::new();
            for (place, at) in changes {
                let at = at.map(Timestamp::from_millis);
                timers.set(place, at);
                match at {
                    Some(at) => model.insert(place, at),
                    None => model.remove(&place),
                };
                let first = model.iter().map(|(&place, &at)| (at, place)).min();
                prop_assert_eq!(timers.first(), first);
            }
        }
    }

    #[test]
    fn taken_out_from_the_front_they_come_in_order() {
        let mut timers = Timers::default();
        for place in 0..1000_u32 {
            timers.set(place, Some(Timestamp::from_nanos(u64::from(place * 7919 % 1009))));
        }
        let mut before = Timestamp::ZERO;
        while let Some((at, place)) = timers.first() {
            assert!(at >= before);
            before = at;
            timers.set(place, None);
        }
        assert_eq!(before, Timestamp::from_nanos(1008));
    }
}
