//! How a datagram gets from one place to the next.
//!
//! Every step looks up a fixed number of things in ordered maps, and there are at most twice as
//! many steps as realms are nested.

use core::net::SocketAddr;

use super::datagram::{Arrival, Datagram, DatagramId, Fate, Origin, Packet, Stop, on_wire};
use super::gateway::Gateway;
use super::host::HostId;
use super::line::Passage;
use super::network::Network;
use super::realm::{Owner, RealmId};
use super::report::Problem;
use super::stats::{DropReason, Unreachable, increment};
use crate::time::Timestamp;

impl Network {
    /// A datagram leaves its host, if there is one that has the source address in a realm.
    pub(super) fn depart(
        &mut self,
        now: Timestamp,
        sender: Option<(HostId, RealmId)>,
        mut datagram: Datagram,
    ) -> Fate {
        self.advance(now);
        let (from, to) = (datagram.from, datagram.to);
        (datagram.from, datagram.to) = (on_wire(from), on_wire(to));
        let sent = self.clock;
        let origin = sender.map(|(host, _)| Origin { host, from, to, sent });
        let packet = Box::new(Packet { datagram, origin, segment: None });
        self.launch(sender.map(|(_, realm)| realm), packet)
    }

    /// A packet leaves its host, if the host has its source address in a realm.
    pub(super) fn launch(&mut self, realm: Option<RealmId>, packet: Box<Packet>) -> Fate {
        increment(&mut self.stats.sent);
        let Datagram { transport, from, to, .. } = packet.datagram;
        if from.is_ipv4() != to.is_ipv4() {
            return self.unreachable(Unreachable::Family);
        }
        let Some(realm) = realm else { return self.unreachable(Unreachable::Source) };
        let host = packet.origin.and_then(|origin| self.hosts.get_mut(to_index(origin.host.0)));
        if let Some(firewall) = host.and_then(|host| host.firewall.as_mut()) {
            if let Err(reason) = firewall.outbound(self.clock, transport, from, to) {
                return self.drop(reason);
            }
        }
        self.ascend(realm, packet)
    }

    /// Takes a datagram from the queue on its way, and to its destination if it gets there.
    pub(super) fn arrive(&mut self, id: DatagramId) -> Option<Arrival> {
        let (stop, packet) = self.dequeue(id)?;
        match stop {
            Stop::Up(realm) => {
                self.ascend(realm, packet);
                None
            }
            Stop::Down(realm) => self.descend(realm, packet),
            Stop::Crossed(realm) => {
                if packet.origin.is_some() && !self.permits(realm, &packet.datagram) {
                    increment(&mut self.stats.blocked);
                    return None;
                }
                self.descend(realm, packet)
            }
        }
    }

    /// A datagram looks for its destination in a realm, and in those around it.
    fn ascend(&mut self, mut realm: RealmId, mut packet: Box<Packet>) -> Fate {
        loop {
            let to = packet.datagram.to;
            let now = self.clock;
            let Some(here) = self.realms.get_mut(to_index(realm.0)) else {
                return self.unreachable(Unreachable::Destination);
            };
            if here.keeps(to.ip()) {
                return self.cross(realm, packet);
            }
            let Some(gateway) = &mut here.gateway else { return self.cross(realm, packet) };
            let parent = gateway.parent;
            match gateway.outbound(now, &packet.datagram) {
                Ok(Exit::Inside(from, to)) => {
                    (packet.datagram.from, packet.datagram.to) = (from, to);
                    return self.cross(realm, packet);
                }
                Ok(Exit::Outside(from, to)) => {
                    (packet.datagram.from, packet.datagram.to) = (from, to);
                }
                Ok(Exit::Routed) => {
                    let from = packet.datagram.from.ip();
                    let around = self.realms.get(to_index(parent.0));
                    let owner = around.and_then(|around| around.addresses.get(&from));
                    if owner != Some(&Owner::Gateway(realm)) {
                        return self.drop(DropReason::SourceNotRouted);
                    }
                }
                Err(reason) => return self.drop(reason),
            }
            let len = packet.datagram.packet_len();
            let gateway = self.realms.get_mut(to_index(realm.0));
            let Some(gateway) = gateway.and_then(|realm| realm.gateway.as_mut()) else {
                return self.unreachable(Unreachable::Destination);
            };
            let passage = gateway.uplink.pass(now, len, &mut self.dice);
            match self.carry(passage, Stop::Up(parent), packet) {
                Ok(carried) => packet = carried,
                Err(fate) => return fate,
            }
            realm = parent;
        }
    }

    /// A datagram takes the link between its addresses in the realm in which they meet.
    fn cross(&mut self, realm: RealmId, packet: Box<Packet>) -> Fate {
        if !self.permits(realm, &packet.datagram) {
            increment(&mut self.stats.blocked);
            return Fate::Blocked;
        }
        let pair = (packet.datagram.from.ip(), packet.datagram.to.ip());
        let len = packet.datagram.packet_len();
        let Some(here) = self.realms.get_mut(to_index(realm.0)) else {
            return self.unreachable(Unreachable::Destination);
        };
        let passage = here.links.pass(pair, self.clock, len, &mut self.dice);
        match self.carry(passage, Stop::Crossed(realm), packet) {
            Ok(packet) => {
                self.enqueue(self.clock, Stop::Crossed(realm), packet);
                Fate::Underway
            }
            Err(fate) => fate,
        }
    }

    /// A datagram has reached whoever has its destination address in a realm, and goes on inward
    /// as long as that is a gateway.
    fn descend(&mut self, mut realm: RealmId, mut packet: Box<Packet>) -> Option<Arrival> {
        loop {
            let now = self.clock;
            let to = packet.datagram.to;
            let here = self.realms.get(to_index(realm.0));
            let inner = match here.and_then(|here| here.addresses.get(&to.ip().to_canonical())) {
                None => {
                    self.reports.add(now, &packet, Problem::HostUnreachable);
                    self.stats.count_unreachable(Unreachable::Destination);
                    return None;
                }
                Some(Owner::Host(host)) => return self.hand_over(*host, packet),
                Some(Owner::Gateway(inner)) => *inner,
            };
            let len = packet.datagram.packet_len();
            let gateway = self.realms.get_mut(to_index(inner.0));
            let gateway = gateway.and_then(|realm| realm.gateway.as_mut())?;
            match gateway.inbound(now, &packet.datagram) {
                Ok((from, to)) => (packet.datagram.from, packet.datagram.to) = (from, to),
                Err(reason) => {
                    self.drop(reason);
                    return None;
                }
            }
            let passage = gateway.downlink.pass(now, len, &mut self.dice);
            packet = self.carry(passage, Stop::Down(inner), packet).ok()?;
            realm = inner;
        }
    }

    fn hand_over(&mut self, host: HostId, packet: Box<Packet>) -> Option<Arrival> {
        let Packet { datagram, origin, segment } = *packet;
        let firewall = self.hosts.get_mut(to_index(host.0)).and_then(|host| host.firewall.as_mut());
        if let Some(firewall) = firewall {
            let passes =
                firewall.inbound(self.clock, datagram.transport, datagram.to, datagram.from);
            if let Err(reason) = passes {
                self.drop(reason);
                return None;
            }
        }
        increment(&mut self.stats.delivered);
        if let Some(segment) = segment {
            self.tcp_arrive(host, datagram, segment);
            return None;
        }
        Some(Arrival { at: self.clock, host, datagram, origin })
    }

    /// Does what a link has decided. A link that takes no time is no stop: the datagram goes on.
    fn carry(
        &mut self,
        passage: Passage,
        stop: Stop,
        packet: Box<Packet>,
    ) -> Result<Box<Packet>, Fate> {
        match passage {
            Passage::Lost => {
                increment(&mut self.stats.lost);
                Err(Fate::Lost)
            }
            Passage::QueueFull => Err(self.drop(DropReason::QueueFull)),
            Passage::TooLarge(mtu) => {
                self.reports.add(self.clock, &packet, Problem::TooLarge { mtu });
                Err(self.drop(DropReason::TooLarge))
            }
            Passage::Through(delay, duplicate) => {
                let copy = duplicate.map(|delay| (delay, packet.clone()));
                let on = if delay.is_zero() {
                    Ok(packet)
                } else {
                    self.enqueue(self.clock + delay, stop, packet);
                    Err(Fate::Underway)
                };
                if let Some((delay, copy)) = copy {
                    increment(&mut self.stats.duplicated);
                    self.enqueue(self.clock + delay, stop, copy);
                }
                on
            }
        }
    }

    fn permits(&self, realm: RealmId, datagram: &Datagram) -> bool {
        let (from, to) = (datagram.from.ip().to_canonical(), datagram.to.ip().to_canonical());
        self.realms.get(to_index(realm.0)).is_none_or(|realm| realm.rules.permit(from, to))
    }

    fn unreachable(&mut self, reason: Unreachable) -> Fate {
        self.stats.count_unreachable(reason);
        Fate::Unreachable(reason)
    }

    fn drop(&mut self, reason: DropReason) -> Fate {
        self.stats.count_drop(reason);
        Fate::Dropped(reason)
    }
}

/// How a datagram leaves a gateway that it has come to from inside.
enum Exit {
    /// Turned round, with these addresses.
    Inside(SocketAddr, SocketAddr),
    /// Translated into these.
    Outside(SocketAddr, SocketAddr),
    /// With its own.
    Routed,
}

impl Gateway {
    fn outbound(&mut self, now: Timestamp, datagram: &Datagram) -> Result<Exit, DropReason> {
        let Datagram { transport, from, to, .. } = *datagram;
        if let Some(nat) = self.nat.as_mut().filter(|nat| nat.turns_round(to)) {
            return nat
                .hairpin(now, transport, (from, to))
                .map(|(from, to)| Exit::Inside(from, to));
        }
        if !self.up {
            return Err(DropReason::GatewayDown);
        }
        if let Some(firewall) = &mut self.firewall {
            firewall.outbound(now, transport, from, to)?;
        }
        match self.nat.as_mut().filter(|nat| nat.translates(from, to)) {
            Some(nat) => {
                nat.outbound(now, transport, (from, to)).map(|(from, to)| Exit::Outside(from, to))
            }
            None => Ok(Exit::Routed),
        }
    }

    fn inbound(
        &mut self,
        now: Timestamp,
        datagram: &Datagram,
    ) -> Result<(SocketAddr, SocketAddr), DropReason> {
        let Datagram { transport, from, to, .. } = *datagram;
        if !self.up {
            return Err(DropReason::GatewayDown);
        }
        let (from, to) = match self.nat.as_mut().filter(|nat| nat.has(to.ip())) {
            Some(nat) => nat.inbound(now, transport, (from, to))?,
            None => (from, to),
        };
        if let Some(firewall) = &mut self.firewall {
            firewall.inbound(now, transport, to, from)?;
        }
        Ok((from, to))
    }
}

/// Ids are positions; one that no vector has is of another network.
pub(super) fn to_index(id: u32) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}
