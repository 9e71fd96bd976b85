//! What passed on a pair, for statistics. No rule depends on it.

use core::hash::{Hash, Hasher};
use core::time::Duration;

use crate::time::Timestamp;

/// Application data in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) packets_sent: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) last_sent: Timestamp,
    pub(crate) packets_received: u64,
    pub(crate) bytes_received: u64,
    pub(crate) last_received: Timestamp,
}

impl Traffic {
    // No sum of bytes comes to 2^64: the plain addition is the same, and the shortest.
    pub(crate) fn sent(&mut self, now: Timestamp, packets: u64, bytes: u64) {
        self.packets_sent = self.packets_sent.wrapping_add(packets);
        self.bytes_sent = self.bytes_sent.wrapping_add(bytes);
        self.last_sent = now;
    }

    pub(crate) fn received(&mut self, now: Timestamp, bytes: usize) {
        self.packets_received = self.packets_received.wrapping_add(1);
        self.bytes_received = self.bytes_received.wrapping_add(bytes as u64);
        self.last_received = now;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.packets_sent = self.packets_sent.saturating_add(other.packets_sent);
        self.bytes_sent = self.bytes_sent.saturating_add(other.bytes_sent);
        self.last_sent = self.last_sent.max(other.last_sent);
        self.packets_received = self.packets_received.saturating_add(other.packets_received);
        self.bytes_received = self.bytes_received.saturating_add(other.bytes_received);
        self.last_received = self.last_received.max(other.last_received);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.packets_sent == 0 && self.packets_received == 0
    }
}

/// It decides nothing.
impl Hash for Traffic {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// Checks and data of one pair.
#[derive(Clone, Debug, Default)]
pub(crate) struct PairCounts {
    pub(crate) requests_sent: u32,
    pub(crate) retransmissions: u32,
    pub(crate) consent_requests: u32,
    /// Every response that was authentic, errors among them.
    pub(crate) responses_received: u32,
    /// Every request that was answered.
    pub(crate) requests_received: u32,
    /// Requests that nobody has answered in time.
    pub(crate) unanswered: u32,
    current_micros: u32,
    smoothed_micros: u32,
    total_micros: u64,
    pub(crate) packets_discarded: u32,
    pub(crate) bytes_discarded: u64,
    /// Data from before the pair became the path of its component, or after.
    data: Option<Box<Traffic>>,
}

impl PairCounts {
    /// A response came, after this time if that is known.
    pub(crate) fn response(&mut self, round_trip: Option<Duration>) {
        self.responses_received = self.responses_received.saturating_add(1);
        let Some(micros) = round_trip.map(|it| it.as_micros().min(u128::from(u32::MAX))) else {
            return;
        };
        let micros = u32::try_from(micros).unwrap_or(u32::MAX);
        let first = self.total_micros == 0;
        self.current_micros = micros;
        self.total_micros = self.total_micros.saturating_add(u64::from(micros));
        // RFC 6298 §2: an eighth of what is new.
        let kept = u64::from(self.smoothed_micros).saturating_mul(7);
        let smoothed = kept.saturating_add(u64::from(micros)) >> 3;
        self.smoothed_micros =
            if first { micros } else { u32::try_from(smoothed).unwrap_or(u32::MAX) };
    }

    pub(crate) fn data_mut(&mut self) -> &mut Traffic {
        self.data.get_or_insert_default()
    }

    pub(crate) fn data(&self) -> Traffic {
        self.data.as_deref().copied().unwrap_or_default()
    }

    /// The newest, the smoothed and the sum of all round trips, if there was one.
    pub(crate) fn round_trips(&self) -> Option<[Duration; 3]> {
        let micros = |micros: u32| Duration::from_micros(u64::from(micros));
        let total = Duration::from_micros(self.total_micros);
        let known = self.total_micros > 0;
        known.then(|| [micros(self.current_micros), micros(self.smoothed_micros), total])
    }
}

/// The counts of a pair, from its first traffic on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts(Option<Box<PairCounts>>);

impl Counts {
    pub(crate) fn get(&self) -> Option<&PairCounts> {
        self.0.as_deref()
    }

    pub(crate) fn get_mut(&mut self) -> &mut PairCounts {
        self.0.get_or_insert_default()
    }
}

/// It decides nothing.
impl Hash for Counts {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
