//! Application data both ways (RFC 8656 §11, §12), and ICMP errors to clients.

use core::net::{IpAddr, SocketAddr};

use super::TurnServer;
use super::allocation::Client;
use super::output::TurnRoute;
use super::stats::TurnRejected;
use crate::address;
use crate::sim::dice::transaction_id;
use crate::stun::attribute::{DATA, DONT_FRAGMENT, XOR_PEER_ADDRESS, xor_address};
use crate::stun::turn::{Family, Icmp};
use crate::stun::{Class, Scan, Writer, method};
use crate::turn::ChannelData;

/// An ICMP error about a datagram that the server has relayed, as the simulator tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnIcmp {
    /// The type: 3 or 11 of ICMP; 1, 2 or 3 of ICMPv6 (RFC 8656 §11.5).
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// The MTU of the next hop in the two messages that tell one, and otherwise of no meaning.
    pub mtu: u32,
}

impl TurnServer {
    /// RFC 8656 §11.2
    pub(super) fn handle_send(&mut self, client: &Client, scan: &Scan<'_>) {
        if self.allocations.get(client).is_none() {
            return self.stats.reject(TurnRejected::NoAllocation);
        }
        let unknown = scan.unknown_required(self.known()).next().is_some();
        let peer = scan.find(XOR_PEER_ADDRESS);
        let peer = peer.and_then(|value| xor_address(value, &scan.transaction_id()));
        let (Some(peer), Some(data), false) = (peer, scan.find(DATA), unknown) else {
            return self.stats.reject(TurnRejected::SendAttributes);
        };
        let dont_fragment = scan.find(DONT_FRAGMENT).is_some();
        self.relay_to_peer(client, address::normal(peer), data, dont_fragment);
    }

    /// RFC 8656 §12.6
    pub(super) fn handle_channel_data(&mut self, client: &Client, bytes: &[u8]) {
        let Ok(message) = ChannelData::parse(bytes) else {
            return self.stats.reject(TurnRejected::Malformed);
        };
        let Some(allocation) = self.allocations.get(client) else {
            return self.stats.reject(TurnRejected::NoAllocation);
        };
        match allocation.peer_of(message.channel, self.now) {
            Some(peer) => self.relay_to_peer(client, peer, message.payload, false),
            None => self.stats.reject(TurnRejected::NoChannel),
        }
    }

    fn relay_to_peer(
        &mut self,
        client: &Client,
        peer: SocketAddr,
        payload: &[u8],
        dont_fragment: bool,
    ) {
        let allocation = self.allocations.get(client);
        let permitted = allocation.filter(|allocation| allocation.permits(peer.ip(), self.now));
        let relay = permitted.and_then(|allocation| allocation.relay(Family::of(peer.ip())));
        let Some(&relay) = relay else {
            return self.stats.reject(TurnRejected::NoPermission);
        };
        if self.is_forbidden(peer) {
            return self.stats.reject(TurnRejected::Forbidden);
        }
        let route = TurnRoute::Datagram { local: relay.addr, remote: peer, dont_fragment };
        if self.push(self.now, route, payload.to_vec()) {
            self.stats.relay_to_peer();
        }
    }

    /// RFC 8656 §11.3: a datagram at a relayed address of `client`.
    pub(super) fn handle_peer(
        &mut self,
        client: &Client,
        relayed: SocketAddr,
        peer: SocketAddr,
        payload: &[u8],
    ) {
        let same_family = Family::of(relayed.ip()) == Family::of(peer.ip());
        let allocation = self.allocations.get(client).filter(|_| same_family);
        let permitted = allocation.filter(|allocation| allocation.permits(peer.ip(), self.now));
        let Some(allocation) = permitted else {
            return self.stats.reject(TurnRejected::PeerNotPermitted);
        };
        let mut bytes = Vec::new();
        if let Some(channel) = allocation.channel_of(peer, self.now) {
            if let Some(head) = ChannelData::head(channel, payload.len()) {
                bytes.extend_from_slice(&head);
                bytes.extend_from_slice(payload);
                if matches!(client, Client::Stream { .. }) {
                    bytes.extend_from_slice(ChannelData::padding(payload.len()));
                }
            }
        } else {
            self.data_indication(&mut bytes, peer, |writer| {
                writer.attribute(DATA, payload);
            });
        }
        self.relay_to_client(client, bytes);
    }

    /// RFC 8656 §11.5: an ICMP error arrived for a datagram from `relayed` to `peer`.
    pub(super) fn relay_icmp(&mut self, relayed: SocketAddr, peer: SocketAddr, icmp: TurnIcmp) {
        let Some(client) = self.allocations.owner(relayed) else {
            return self.stats.reject(TurnRejected::NotListening);
        };
        let relayed_type = match relayed.ip() {
            IpAddr::V4(_) => matches!(icmp.kind, 3 | 11),
            IpAddr::V6(_) => matches!(icmp.kind, 1..=3),
        };
        if !relayed_type {
            return self.stats.reject(TurnRejected::IcmpType);
        }
        let allocation = self.allocations.get(&client);
        if !allocation.is_some_and(|allocation| allocation.permits(peer.ip(), self.now)) {
            return self.stats.reject(TurnRejected::PeerNotPermitted);
        }
        // RFC 8656 §18.13
        let tells_mtu = match relayed.ip() {
            IpAddr::V4(_) => icmp.kind == 3 && icmp.code == 4,
            IpAddr::V6(_) => icmp.kind == 2,
        };
        let data = if tells_mtu { icmp.mtu } else { 0 };
        let mut bytes = Vec::new();
        self.data_indication(&mut bytes, peer, |writer| {
            writer.icmp(Icmp { kind: icmp.kind, code: icmp.code, data });
        });
        self.relay_to_client(&client, bytes);
    }

    fn data_indication(
        &mut self,
        bytes: &mut Vec<u8>,
        peer: SocketAddr,
        write: impl FnOnce(&mut Writer<'_>),
    ) {
        let id = transaction_id(&mut self.rng);
        let mut writer = Writer::new(bytes, Class::Indication, method::DATA, id);
        writer.xor_address(XOR_PEER_ADDRESS, peer);
        write(&mut writer);
        writer.finish();
    }

    /// A message without bytes is one that could not be written.
    fn relay_to_client(&mut self, client: &Client, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return self.stats.reject(TurnRejected::TooLarge);
        }
        if self.push(self.now, client.route(), bytes) {
            self.stats.relay_to_client();
        }
    }
}
