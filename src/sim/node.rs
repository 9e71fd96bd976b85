//! An agent of a world with what the world keeps about it.

use super::host::HostId;
use super::log::{LogDetail, LogEntry, Logged};
use super::server::{Obtain, ServerIndex};
use super::signal::Outbox;
use crate::agent::IceAgent;
use crate::config::Signalling;
use crate::time::Timestamp;

/// An agent of a [`World`](super::World).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentIndex(pub(super) usize);

impl AgentIndex {
    /// The number of agents that were added before it.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0
    }
}

/// Draining an event may make something due at the same instant once more: to poll a candidate is
/// to make its pairs. So often in succession is that believed.
const REPEATS: u32 = 8;

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) agent: IceAgent,
    pub(super) host: HostId,
    pub(super) signalling: Signalling,
    pub(super) outbox: Outbox,
    /// The servers that it asks.
    pub(super) asks: Vec<(Obtain, ServerIndex)>,
    /// The deadline under which the world has it.
    pub(super) deadline: Option<Timestamp>,
    /// It was lent out since it was last drained.
    pub(super) touched: bool,
    /// Timeouts in succession that have left something due at the same instant.
    pub(super) repeats: u32,
    /// The instant of its newest input, and the inputs at that instant.
    inputs: (Timestamp, u32),
    detail: LogDetail,
    log: Vec<LogEntry>,
}

impl Node {
    pub(super) fn new(
        agent: IceAgent,
        host: HostId,
        signalling: Signalling,
        detail: LogDetail,
    ) -> Self {
        Self {
            agent,
            host,
            signalling,
            outbox: Outbox::default(),
            asks: Vec::new(),
            deadline: None,
            touched: false,
            repeats: 0,
            inputs: (Timestamp::ZERO, 0),
            detail,
            log: Vec::new(),
        }
    }

    /// Whether a driver can wait after a timeout that was handled at `at` and drained of so many
    /// events, the last of `repeats` in succession. If not, the deadline that is not later.
    pub(super) fn rest(
        &mut self,
        at: Timestamp,
        events: u32,
        repeats: u32,
    ) -> Result<(), Timestamp> {
        match self.deadline.filter(|deadline| *deadline <= at) {
            Some(deadline) if events == 0 || repeats >= REPEATS => Err(deadline),
            Some(_) => {
                self.repeats = repeats.saturating_add(1);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Counts an input, and says how many there were at this instant.
    pub(super) fn count_input(&mut self, now: Timestamp) -> u32 {
        let (at, count) = self.inputs;
        let count = if at == now { count.saturating_add(1) } else { 1 };
        self.inputs = (now, count);
        count
    }

    /// Writes it down if anything is to be written down.
    pub(super) fn log(&mut self, at: Timestamp, what: impl FnOnce(LogDetail) -> Logged) {
        if self.detail != LogDetail::Off {
            self.log.push(LogEntry { at, what: what(self.detail) });
        }
    }

    pub(super) fn set_detail(&mut self, detail: LogDetail) {
        self.detail = detail;
    }

    pub(super) fn entries(&self) -> &[LogEntry] {
        &self.log
    }

    pub(super) fn take_entries(&mut self) -> Vec<LogEntry> {
        core::mem::take(&mut self.log)
    }
}
