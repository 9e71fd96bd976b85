//! Where application data is counted: on the path that carries it, a few additions a packet; and
//! what becomes of that when the path changes.

use core::hash::{Hash, Hasher};

use crate::agent::IceAgent;
use crate::checklist::{PairCounts, Traffic};
use crate::id::{PairId, StreamId};

/// How often the selected pair of a component has changed. It decides nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::agent) struct Changes(pub(super) u32);

impl Changes {
    pub(in crate::agent) const fn note(&mut self, changed: bool) {
        if changed {
            self.0 = self.0.saturating_add(1);
        }
    }
}

impl Hash for Changes {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// What was told and is kept for statistics alone. It decides nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::agent) struct Told<T>(pub(in crate::agent) T);

impl<T> Hash for Told<T> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// What a component has carried on other paths than the one that it has, if anything.
#[derive(Clone, Debug, Default)]
pub(in crate::agent) struct Carried(Option<Box<Traffic>>);

impl Carried {
    pub(super) fn traffic(&self) -> Traffic {
        self.0.as_deref().copied().unwrap_or_default()
    }

    fn traffic_mut(&mut self) -> &mut Traffic {
        self.0.get_or_insert_default()
    }
}

impl Hash for Carried {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl IceAgent {
    /// Counts something of the checks on a pair, if that is wanted.
    pub(in crate::agent) fn count(&mut self, pair: PairId, count: impl FnOnce(&mut PairCounts)) {
        if self.config.statistics {
            self.lists.count(pair, count);
        }
    }

    /// Packets were sent on the path of a component.
    pub(in crate::agent) fn count_sent(
        &mut self,
        stream: StreamId,
        number: u16,
        packets: u64,
        bytes: u64,
    ) {
        let now = self.now;
        let path = self.component_mut(stream, number).and_then(|it| it.path.as_mut());
        if let Some(path) = path.filter(|_| packets > 0) {
            path.traffic.sent(now, packets, bytes);
        }
    }

    /// A packet could not be sent on a pair.
    pub(in crate::agent) fn count_discarded(&mut self, pair: PairId, bytes: u64) {
        self.count(pair, |counts| {
            counts.packets_discarded = counts.packets_discarded.saturating_add(1);
            counts.bytes_discarded = counts.bytes_discarded.saturating_add(bytes);
        });
    }

    /// A packet came in on a pair that is not the path of its component.
    pub(in crate::agent) fn count_received(
        &mut self,
        stream: StreamId,
        number: u16,
        pair: PairId,
        bytes: usize,
    ) {
        let now = self.now;
        self.lists.count(pair, |counts| counts.data_mut().received(now, bytes));
        if let Some(component) = self.component_mut(stream, number) {
            component.carried.traffic_mut().received(now, bytes);
        }
    }

    /// The path of a component is about to change: what it has carried is its pair's.
    pub(in crate::agent) fn settle_traffic_of(&mut self, stream: StreamId, number: u16) {
        let Some(component) = self.component_mut(stream, number) else { return };
        let Some(path) = &mut component.path else { return };
        let (pair, traffic) = (path.pair, core::mem::take(&mut path.traffic));
        if !traffic.is_empty() {
            component.carried.traffic_mut().add(&traffic);
            self.lists.count(pair, |counts| counts.data_mut().add(&traffic));
        }
    }

    /// The same for all components.
    pub(in crate::agent) fn settle_traffic(&mut self) {
        let all = self.streams.iter().flat_map(|stream| {
            stream.components.iter().map(|component| (stream.id, component.number))
        });
        let all: smallvec::SmallVec<[(StreamId, u16); 4]> = all.collect();
        for (stream, number) in all {
            self.settle_traffic_of(stream, number);
        }
    }
}
