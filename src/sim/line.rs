//! Links in use: what a link remembers from one datagram to the next.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use super::dice::{Dice, Throw};
use super::link::Link;
use crate::time::Timestamp;

/// How many address pairs of a realm have a queue or a burst of their own. Of more, the network
/// forgets what it remembers of the lowest.
const MAX_PAIRS: usize = 65_536;

/// What a link remembers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LineState {
    /// When the last datagram in the queue is on the wire.
    pub(super) busy_until: Timestamp,
    /// In a burst of losses.
    pub(super) bad: bool,
}

/// What a link does with a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// It takes so long; and its duplicate, if there is one.
    Through(Duration, Option<Duration>),
    Lost,
    QueueFull,
    TooLarge(u16),
}

/// A link with what it remembers.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pub(super) link: Link,
    pub(super) state: LineState,
}

impl Line {
    pub(super) fn new(link: Link) -> Self {
        Self { link, state: LineState::default() }
    }

    pub(super) fn pass(&mut self, now: Timestamp, len: usize, dice: &mut Dice) -> Passage {
        pass(&self.link, &mut self.state, now, len, dice)
    }
}

/// The links between the addresses of a realm.
#[derive(Clone, Debug, Default)]
pub(super) struct PairLinks {
    pub(super) default: Link,
    own: BTreeMap<(IpAddr, IpAddr), Link>,
    states: BTreeMap<(IpAddr, IpAddr), LineState>,
}

impl PairLinks {
    pub(super) fn set(&mut self, from: IpAddr, to: IpAddr, link: Link) {
        self.own.insert((from, to), link);
    }

    pub(super) fn get(&self, from: IpAddr, to: IpAddr) -> Link {
        *self.own.get(&(from, to)).unwrap_or(&self.default)
    }

    pub(super) fn pass(
        &mut self,
        pair: (IpAddr, IpAddr),
        now: Timestamp,
        len: usize,
        dice: &mut Dice,
    ) -> Passage {
        let link = self.own.get(&pair).unwrap_or(&self.default);
        if !link.has_state() {
            return pass(link, &mut LineState::default(), now, len, dice);
        }
        if self.states.len() >= MAX_PAIRS && !self.states.contains_key(&pair) {
            self.states.pop_first();
        }
        pass(link, self.states.entry(pair).or_default(), now, len, dice)
    }
}

/// The draws come first, so that their number does not depend on what the link remembers.
fn pass(
    link: &Link,
    state: &mut LineState,
    now: Timestamp,
    len: usize,
    dice: &mut Dice,
) -> Passage {
    let throw = dice.throw(link);
    if let Some(mtu) = link.mtu.filter(|mtu| len > usize::from(*mtu)) {
        return Passage::TooLarge(mtu);
    }
    let queued = match link.bandwidth {
        Some(bandwidth) => match bandwidth.enqueue(&mut state.busy_until, now, len) {
            Some(queued) => queued,
            None => return Passage::QueueFull,
        },
        None => Duration::ZERO,
    };
    let in_burst = link.bursts.is_some_and(|bursts| dice.burst(bursts, &mut state.bad));
    match throw {
        Throw::Arrives(delay, duplicate) if !in_burst => Passage::Through(
            queued.saturating_add(delay),
            duplicate.map(|delay| queued.saturating_add(delay)),
        ),
        _ => Passage::Lost,
    }
}
