//! 5 ms between the transactions of all agents together (RFC 8445 §14.2).
//!
//! An agent that wants to start or repeat a transaction while others are before it is given a slot
//! at the end of their row, and held back until then. So each waits once, and none is woken in vain.

use crate::agent::IceAgent;
use crate::agent::io::TimeoutReason;
use crate::agent::pacing::SPACING;
use crate::time::Timestamp;

/// The pace of all.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    /// When something may follow what was sent last.
    clear: Timestamp,
    /// The first slot that nobody has.
    free: Timestamp,
}

impl Pace {
    /// When an agent may start a transaction at the earliest.
    pub(super) fn floor(&self, slot: Option<Timestamp>) -> Timestamp {
        slot.unwrap_or(self.free).max(self.clear)
    }

    /// After something was done with an agent that was held until the floor of `slot`: the slot that
    /// it has now.
    pub(super) fn settle(
        &mut self,
        now: Timestamp,
        agent: &mut IceAgent,
        slot: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let floor = self.floor(slot);
        if agent.take_sent() {
            self.clear = now + SPACING;
            self.free = self.free.max(self.clear);
            return None;
        }
        let paced = matches!(
            agent.timeout_reason(),
            Some(TimeoutReason::Pacing | TimeoutReason::Retransmission)
        );
        if paced && floor > now && agent.poll_timeout() == Some(floor) {
            if slot.is_none() {
                self.free = floor + SPACING;
            }
            return Some(floor);
        }
        slot.filter(|&at| at > now)
    }
}
