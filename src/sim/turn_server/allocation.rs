//! What a server keeps for a client (RFC 8656 §3.2): relayed addresses, permissions, channels.
//!
//! Permissions and channels that have expired stay in their tables until one is added, and count
//! for nothing: every look-up says at what time.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;

use super::output::TurnRoute;
use crate::stun::TransactionId;
use crate::stun::turn::Family;
use crate::time::Timestamp;

/// RFC 8656 §9
pub(super) const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
/// RFC 8656 §12
pub(super) const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);

/// The client's end of the 5-tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Client {
    Datagram { local: SocketAddr, remote: SocketAddr },
    Stream { connection: u64, remote: SocketAddr },
}

impl Client {
    /// The address from which the client is seen to send.
    pub(super) const fn mapped(&self) -> SocketAddr {
        match *self {
            Self::Datagram { remote, .. } | Self::Stream { remote, .. } => remote,
        }
    }

    /// The way to it.
    pub(super) const fn route(&self) -> TurnRoute {
        match *self {
            Self::Datagram { local, remote } => {
                TurnRoute::Datagram { local, remote, dont_fragment: false }
            }
            Self::Stream { connection, .. } => TurnRoute::Stream(connection),
        }
    }
}

/// A relayed transport address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Relay {
    pub(super) addr: SocketAddr,
    pub(super) expires: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct Allocation {
    /// The request that made it, by which its retransmissions are known.
    pub(super) id: TransactionId,
    /// Whose it is; nobody's when no credentials are wanted.
    pub(super) user: Option<usize>,
    /// One or two, IPv4 first.
    pub(super) relays: Vec<Relay>,
    /// ADDRESS-ERROR-CODE: the family that was asked for in vain.
    pub(super) address_error: Option<(Family, u16)>,
    permissions: BTreeMap<IpAddr, Timestamp>,
    channels: BTreeMap<u16, (SocketAddr, Timestamp)>,
    peers: BTreeMap<SocketAddr, u16>,
}

/// A binding that contradicts one that exists (RFC 8656 §12.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChannelConflict;

impl Allocation {
    pub(super) const fn new(
        id: TransactionId,
        user: Option<usize>,
        relays: Vec<Relay>,
        address_error: Option<(Family, u16)>,
    ) -> Self {
        Self {
            id,
            user,
            relays,
            address_error,
            permissions: BTreeMap::new(),
            channels: BTreeMap::new(),
            peers: BTreeMap::new(),
        }
    }

    /// The relayed address of a family.
    pub(super) fn relay(&self, family: Family) -> Option<&Relay> {
        self.relays.iter().find(|relay| Family::of(relay.addr.ip()) == family)
    }

    /// When the first of its relayed addresses expires.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        self.relays.iter().map(|relay| relay.expires).min()
    }

    /// RFC 8656 §8.1: what belongs to a relayed address goes with it, and nothing else.
    pub(super) fn remove_relay(&mut self, addr: SocketAddr) {
        let family = Family::of(addr.ip());
        self.relays.retain(|relay| relay.addr != addr);
        self.permissions.retain(|ip, _| Family::of(*ip) != family);
        self.channels.retain(|_, (peer, _)| Family::of(peer.ip()) != family);
        self.peers.retain(|peer, _| Family::of(peer.ip()) != family);
    }

    pub(super) fn permits(&self, ip: IpAddr, now: Timestamp) -> bool {
        self.permissions.get(&ip).is_some_and(|expires| *expires > now)
    }

    pub(super) fn permissions(&self, now: Timestamp) -> impl Iterator<Item = IpAddr> + '_ {
        self.permissions.iter().filter(move |(_, expires)| **expires > now).map(|(ip, _)| *ip)
    }

    pub(super) fn channels(&self, now: Timestamp) -> impl Iterator<Item = (u16, SocketAddr)> + '_ {
        self.channels
            .iter()
            .filter(move |(_, (_, expires))| *expires > now)
            .map(|(channel, (peer, _))| (*channel, *peer))
    }

    /// Whether all of `ips` can have a permission, with no more than `limit` in all.
    pub(super) fn has_room_for(&mut self, ips: &[IpAddr], limit: usize, now: Timestamp) -> bool {
        self.permissions.retain(|_, expires| *expires > now);
        let mut new: Vec<_> = ips.iter().filter(|ip| !self.permissions.contains_key(ip)).collect();
        new.sort_unstable();
        new.dedup();
        self.permissions.len().saturating_add(new.len()) <= limit
    }

    /// RFC 8656 §9: installs or refreshes.
    pub(super) fn permit(&mut self, ip: IpAddr, now: Timestamp) {
        self.permissions.insert(ip, now + PERMISSION_LIFETIME);
    }

    pub(super) fn peer_of(&self, channel: u16, now: Timestamp) -> Option<SocketAddr> {
        let (peer, expires) = self.channels.get(&channel)?;
        (*expires > now).then_some(*peer)
    }

    pub(super) fn channel_of(&self, peer: SocketAddr, now: Timestamp) -> Option<u16> {
        let channel = *self.peers.get(&peer)?;
        self.peer_of(channel, now).is_some().then_some(channel)
    }

    /// RFC 8656 §12.2: whether the channel can be bound to the peer.
    pub(super) fn check_channel(
        &self,
        channel: u16,
        peer: SocketAddr,
        now: Timestamp,
    ) -> Result<(), ChannelConflict> {
        let other_peer = self.peer_of(channel, now).is_some_and(|bound| bound != peer);
        let other_channel = self.channel_of(peer, now).is_some_and(|bound| bound != channel);
        if other_peer || other_channel { Err(ChannelConflict) } else { Ok(()) }
    }

    /// Whether the channel is bound already or there is room for one more.
    pub(super) fn has_channel_room(&mut self, channel: u16, limit: usize, now: Timestamp) -> bool {
        self.channels.retain(|_, (_, expires)| *expires > now);
        let channels = &self.channels;
        self.peers.retain(|_, channel| channels.contains_key(channel));
        self.channels.contains_key(&channel) || self.channels.len() < limit
    }

    /// RFC 8656 §12.2: binds or refreshes, and so does the permission.
    pub(super) fn bind(&mut self, channel: u16, peer: SocketAddr, now: Timestamp) {
        self.channels.insert(channel, (peer, now + CHANNEL_LIFETIME));
        self.peers.insert(peer, channel);
        self.permit(peer.ip(), now);
    }
}
