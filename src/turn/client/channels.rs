//! Channels (RFC 8656 §12): a number for a peer, renewed while it is wanted, and resting after its
//! end until nobody can confuse it with another.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use crate::time::Timestamp;

/// RFC 8656 §12
const LIFETIME: Duration = Duration::from_secs(600);
/// A minute before the end, as an allocation.
const RENEW_AFTER: Duration = Duration::from_secs(540);
/// RFC 8656 §12: how long an unbound number, or peer, is not bound to another.
const REST: Duration = Duration::from_secs(300);
/// RFC 8656 §12, table 2
const FIRST: u16 = 0x4000;
const LAST: u16 = 0x4fff;

#[derive(Clone, Debug, Hash)]
struct Channel {
    number: u16,
    /// Until when the server relays on it; the beginning of time before it has ever said so.
    bound: Timestamp,
    /// When the number and the peer have rested: counted from the last time when the server can
    /// have bound them.
    rested: Timestamp,
    /// When it is to be bound; none while that is under way, or when it is not wanted.
    due: Option<Timestamp>,
    /// It has been asked for, so that the server may use it (RFC 8656 §12).
    asked: bool,
    wanted: bool,
}

/// The channels of one allocation.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Channels {
    by_peer: BTreeMap<SocketAddr, Channel>,
    by_number: BTreeMap<u16, SocketAddr>,
}

impl Channels {
    /// Wants a channel, and says which. `None` if there are `limit` already, resting ones
    /// included.
    pub(super) fn want(&mut self, peer: SocketAddr, now: Timestamp, limit: usize) -> Option<u16> {
        if let Some(channel) = self.by_peer.get_mut(&peer) {
            if !channel.wanted {
                channel.wanted = true;
                channel.due = Some(now);
            }
            return Some(channel.number);
        }
        let by_number = &mut self.by_number;
        self.by_peer.retain(|_, channel| {
            let keep = channel.wanted || channel.rested > now;
            if !keep {
                by_number.remove(&channel.number);
            }
            keep
        });
        if self.by_peer.len() >= limit {
            return None;
        }
        let above =
            self.by_number.last_key_value().map_or(FIRST, |(last, _)| last.saturating_add(1));
        let free = |number: &u16| !self.by_number.contains_key(number);
        let number = (above..=LAST).chain(FIRST..=LAST).find(free)?;
        self.by_number.insert(number, peer);
        self.by_peer.insert(
            peer,
            Channel {
                number,
                bound: Timestamp::ZERO,
                rested: Timestamp::ZERO,
                due: Some(now),
                asked: false,
                wanted: true,
            },
        );
        Some(number)
    }

    /// It is not renewed any more.
    pub(super) fn unwant(&mut self, peer: SocketAddr) {
        if let Some(channel) = self.by_peer.get_mut(&peer) {
            channel.wanted = false;
            channel.due = None;
        }
    }

    /// The channel on which the server takes data for this peer.
    pub(super) fn bound_to(&self, peer: SocketAddr, now: Timestamp) -> Option<u16> {
        let channel = self.by_peer.get(&peer)?;
        (channel.bound > now).then_some(channel.number)
    }

    /// Whose data the server may send on this channel.
    pub(super) fn peer_of(&self, number: u16, now: Timestamp) -> Option<SocketAddr> {
        let peer = *self.by_number.get(&number)?;
        let channel = self.by_peer.get(&peer)?;
        (channel.bound > now || channel.asked).then_some(peer)
    }

    /// When the next one is to be bound.
    pub(super) fn due_at(&self) -> Option<Timestamp> {
        self.by_peer.values().filter_map(|channel| channel.due).min()
    }

    /// The channel to bind now, which counts as asked for.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<(u16, SocketAddr)> {
        let due = |channel: &Channel| channel.due.is_some_and(|due| due <= now);
        let (peer, channel) = self.by_peer.iter_mut().find(|(_, channel)| due(channel))?;
        (channel.due, channel.asked) = (None, true);
        channel.rested = now + LIFETIME + REST;
        Some((channel.number, *peer))
    }

    /// The server relays on it from now on; whether it did not before.
    pub(super) fn bind(&mut self, peer: SocketAddr, now: Timestamp) -> bool {
        let Some(channel) = self.by_peer.get_mut(&peer) else { return false };
        let new = channel.bound <= now;
        channel.bound = now + LIFETIME;
        channel.rested = channel.bound + REST;
        channel.due = channel.wanted.then_some(now + RENEW_AFTER);
        channel.asked = false;
        new
    }

    /// The server has refused to bind or renew it, and will not be asked again.
    pub(super) fn refuse(&mut self, peer: SocketAddr) {
        self.unwant(peer);
        if let Some(channel) = self.by_peer.get_mut(&peer) {
            channel.asked = false;
            channel.rested = channel.bound + REST;
        }
    }

    /// The server did not answer: it is to be asked again, and may have bound the channel
    /// meanwhile.
    pub(super) fn again(&mut self, peer: SocketAddr, now: Timestamp, at: Timestamp) {
        if let Some(channel) = self.by_peer.get_mut(&peer) {
            channel.rested = now + LIFETIME + REST;
            channel.due = channel.wanted.then_some(at);
        }
    }

    /// Removes the channels of peers that are not to be kept: what they belonged to is gone.
    pub(super) fn remove(&mut self, remove: impl Fn(SocketAddr) -> bool) {
        self.by_peer.retain(|peer, _| !remove(*peer));
        self.by_number.retain(|_, peer| !remove(*peer));
    }
}
