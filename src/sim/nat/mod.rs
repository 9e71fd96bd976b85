//! Network address translation as RFC 4787 describes it, and NAT64 (RFC 6146) by the same rules.
//!
//! A NAT is a value that turns an address pair of the inside into one of the outside and back. It
//! knows nothing of hosts, links or realms. Whatever it remembers of an exchange is a *mapping*
//! (an inside endpoint, an external one, and the remote endpoints that share it) and the entries
//! of that mapping's *filter* (the remote endpoints that may send in). Both live for a time since
//! they were refreshed.

mod config;
mod ports;
#[cfg(test)]
mod tests;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

pub use config::{
    Hairpinning, Nat64Prefix, NatConfig, NatConfigError, Pooling, PortAllocation, Refresh,
};
use ports::Ports;

use super::expiring::Expiring;
use super::scope::{Filtering, Scope};
use super::stats::DropReason;
use crate::candidate::Transport;
use crate::time::Timestamp;

/// A mapping of a NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatMapping {
    /// The transport.
    pub transport: Transport,
    /// The endpoint inside.
    pub inside: SocketAddr,
    /// The endpoint that the outside sees.
    pub external: SocketAddr,
    /// The remote endpoints that share the mapping.
    pub remotes: Scope,
    /// When it ends unless it is refreshed.
    pub deadline: Timestamp,
}

/// What a mapping is found by from inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Inside {
    transport: Transport,
    endpoint: SocketAddr,
    remotes: Scope,
}

/// What a mapping is found by from outside.
type External = (Transport, SocketAddr);

#[derive(Clone, Debug)]
pub(super) struct Nat {
    config: NatConfig,
    own: Own,
    rng: ChaCha8Rng,
    mappings: Expiring<Inside, SocketAddr>,
    by_external: BTreeMap<External, Inside>,
    /// The entries of all filters. One is refreshed only when its mapping is, so none outlives it.
    filters: Expiring<(Transport, SocketAddr, Scope), ()>,
    /// The ports of every external address in use.
    ports: BTreeMap<(Transport, IpAddr), Ports>,
    /// Where sequential allocation goes on.
    next_port: u16,
    /// Where arbitrary pooling goes on.
    next_address: usize,
}

/// What the configuration says of addresses, as it is looked up.
#[derive(Clone, Debug)]
struct Own {
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
    /// The inside address of an external one that has all its ports.
    one_to_one: BTreeMap<IpAddr, IpAddr>,
    all: BTreeSet<IpAddr>,
}

impl Own {
    fn new(config: &NatConfig) -> Self {
        let (v4, v6) = config.external.iter().map(IpAddr::to_canonical).partition(IpAddr::is_ipv4);
        Self {
            v4,
            v6,
            one_to_one: config.one_to_one.iter().map(|(inside, addr)| (*addr, *inside)).collect(),
            all: config.addresses().collect(),
        }
    }
}

/// The addresses of a datagram: where it comes from, where it goes.
type Pair = (SocketAddr, SocketAddr);

impl Nat {
    /// The configuration is valid.
    pub(super) fn new(config: NatConfig, rng: ChaCha8Rng) -> Self {
        Self {
            next_port: config.port_range.0,
            own: Own::new(&config),
            config,
            rng,
            mappings: Expiring::default(),
            by_external: BTreeMap::new(),
            filters: Expiring::default(),
            ports: BTreeMap::new(),
            next_address: 0,
        }
    }

    pub(super) const fn config(&self) -> &NatConfig {
        &self.config
    }

    /// Changes its behaviour. Mappings stay as they are unless the external addresses or ports
    /// are others; what the new behaviour looks for in another way, it does not find.
    pub(super) fn reconfigure(&mut self, config: NatConfig) {
        if config.external != self.config.external || config.port_range != self.config.port_range {
            self.reboot();
            self.next_port = config.port_range.0;
        }
        self.own = Own::new(&config);
        self.config = config;
    }

    /// Forgets everything that traffic has taught it.
    pub(super) fn reboot(&mut self) {
        self.mappings.clear();
        self.by_external.clear();
        self.filters.clear();
        self.ports.clear();
    }

    /// Whether a datagram from inside goes to the NAT itself.
    pub(super) fn turns_round(&self, to: SocketAddr) -> bool {
        self.has(self.config.outside(to).ip())
    }

    /// Whether it is one of the external addresses.
    pub(super) fn has(&self, addr: IpAddr) -> bool {
        self.own.all.contains(&addr)
    }

    /// Whether what goes to this destination is translated, and not routed.
    pub(super) fn translates(&self, from: SocketAddr, to: SocketAddr) -> bool {
        let outside = self.config.outside(to);
        let own = if outside.is_ipv4() { &self.own.v4 } else { &self.own.v6 };
        outside != to || !own.is_empty() || self.config.one_to_one.contains_key(&from.ip())
    }

    pub(super) fn mappings(&self, now: Timestamp) -> impl Iterator<Item = NatMapping> {
        let live = self.mappings.iter().filter(move |(.., deadline)| *deadline > now);
        live.map(|(inside, external, deadline)| NatMapping {
            transport: inside.transport,
            inside: inside.endpoint,
            external: *external,
            remotes: inside.remotes,
            deadline,
        })
    }

    /// Translates what leaves.
    pub(super) fn outbound(
        &mut self,
        now: Timestamp,
        transport: Transport,
        (from, to): Pair,
    ) -> Result<Pair, DropReason> {
        self.expire(now);
        let to = self.config.outside(to);
        Ok((self.map(now, transport, from, to)?, to))
    }

    /// Translates what enters.
    pub(super) fn inbound(
        &mut self,
        now: Timestamp,
        transport: Transport,
        (from, to): Pair,
    ) -> Result<Pair, DropReason> {
        self.expire(now);
        let inside = self.admit(now, transport, from, to)?;
        same_family(self.config.inside(from, inside.ip()), inside)
    }

    /// Turns round what was sent from inside to an external address. Mapping and filter are those
    /// of any other datagram.
    pub(super) fn hairpin(
        &mut self,
        now: Timestamp,
        transport: Transport,
        (from, to): Pair,
    ) -> Result<Pair, DropReason> {
        self.expire(now);
        if self.config.hairpinning == Hairpinning::Off {
            return Err(DropReason::NatHairpin);
        }
        let to = self.config.outside(to);
        let mapped = self.map(now, transport, from, to)?;
        let inside = self.admit(now, transport, mapped, to)?;
        let seen = if self.config.hairpinning == Hairpinning::InternalSource {
            from
        } else {
            self.config.inside(mapped, inside.ip())
        };
        same_family(seen, inside)
    }

    /// The external endpoint of an inside one towards a remote one: that which there is, or a new
    /// one. Opens the filter to the remote endpoint.
    fn map(
        &mut self,
        now: Timestamp,
        transport: Transport,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Result<SocketAddr, DropReason> {
        if let Some(external) = self.config.one_to_one.get(&from.ip()) {
            // The family is that of the inside address, which a NAT64 changes.
            if external.is_ipv4() == to.is_ipv4() {
                return Ok(SocketAddr::new(*external, from.port()));
            }
        }
        let inside = Inside { transport, endpoint: from, remotes: self.config.mapping.scope(to) };
        let deadline = now + self.lifetime(transport);
        let external = match self.mappings.get(&inside).copied() {
            Some(external) => {
                if self.config.refresh.by_outbound() {
                    self.mappings.refresh(&inside, deadline);
                }
                external
            }
            None => self.add_mapping(inside, to, deadline)?,
        };
        self.open(transport, external, to, deadline)?;
        Ok(external)
    }

    fn add_mapping(
        &mut self,
        inside: Inside,
        to: SocketAddr,
        deadline: Timestamp,
    ) -> Result<SocketAddr, DropReason> {
        if self.mappings.len() >= self.config.max_mappings {
            return Err(DropReason::NatTableFull);
        }
        let external = self.allocate(inside.transport, inside.endpoint, to)?;
        self.mappings.insert(inside, external, deadline);
        self.by_external.insert((inside.transport, external), inside);
        Ok(external)
    }

    /// Lets the remote endpoint send to this mapping, as far as the filter goes. An entry that is
    /// there stands for an earlier datagram, and is refreshed like its mapping.
    fn open(
        &mut self,
        transport: Transport,
        external: SocketAddr,
        to: SocketAddr,
        deadline: Timestamp,
    ) -> Result<(), DropReason> {
        if self.config.filtering == Filtering::EndpointIndependent {
            return Ok(());
        }
        let entry = (transport, external, self.config.filtering.scope(to));
        if self.filters.get(&entry).is_some() {
            if self.config.refresh.by_outbound() {
                self.filters.refresh(&entry, deadline);
            }
            return Ok(());
        }
        if self.filters.len() >= self.config.max_mappings {
            return Err(DropReason::NatTableFull);
        }
        let mapping = self.by_external.get(&(transport, external));
        let end = mapping.and_then(|mapping| self.mappings.deadline(mapping)).unwrap_or(deadline);
        self.filters.insert(entry, (), deadline.min(end));
        Ok(())
    }

    /// The inside endpoint of an external one, if the filter lets the remote endpoint in.
    fn admit(
        &mut self,
        now: Timestamp,
        transport: Transport,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Result<SocketAddr, DropReason> {
        if let Some(inside) = self.own.one_to_one.get(&to.ip()) {
            return Ok(SocketAddr::new(*inside, to.port()));
        }
        let Some(inside) = self.by_external.get(&(transport, to)).copied() else {
            return Err(DropReason::NatNoMapping);
        };
        let deadline = now + self.lifetime(transport);
        let entry = (transport, to, self.config.filtering.scope(from));
        let filtered = self.config.filtering != Filtering::EndpointIndependent;
        if filtered && self.filters.get(&entry).is_none() {
            return Err(DropReason::NatFiltered);
        }
        if self.config.refresh.by_inbound() {
            self.mappings.refresh(&inside, deadline);
            self.filters.refresh(&entry, deadline);
        }
        Ok(inside.endpoint)
    }

    /// A free external endpoint of the family of the destination.
    fn allocate(
        &mut self,
        transport: Transport,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Result<SocketAddr, DropReason> {
        let own = if to.is_ipv4() { &self.own.v4 } else { &self.own.v6 };
        let number = own.len();
        if number == 0 {
            return Err(DropReason::NatNoAddress);
        }
        let (mut index, tries) = match self.config.pooling {
            Pooling::Paired => (paired(from.ip(), number), 1),
            Pooling::Arbitrary => (self.next_address, number),
        };
        for _ in 0..tries {
            let own = if to.is_ipv4() { &self.own.v4 } else { &self.own.v6 };
            index = index.checked_rem(number).unwrap_or(0);
            let addr = own.get(index).copied().ok_or(DropReason::NatNoAddress)?;
            index = index.saturating_add(1);
            self.next_address = index;
            if let Some(port) = self.allocate_port(transport, addr, from.port()) {
                return Ok(SocketAddr::new(addr, port));
            }
        }
        Err(DropReason::NatNoPort)
    }

    fn allocate_port(&mut self, transport: Transport, addr: IpAddr, inside: u16) -> Option<u16> {
        let (lowest, highest) = self.config.port_range;
        let ports = self.ports.entry((transport, addr));
        let ports = ports.or_insert_with(|| Ports::new(self.config.port_range));
        if self.config.ports == PortAllocation::Preserving && ports.take(inside) {
            return Some(inside);
        }
        let from = if self.config.ports == PortAllocation::Random {
            let size = u64::from(highest.saturating_sub(lowest)).saturating_add(1);
            let scaled = u64::from(self.rng.next_u32()).saturating_mul(size) >> 32;
            lowest.saturating_add(u16::try_from(scaled).unwrap_or(0))
        } else {
            self.next_port
        };
        let port = ports.take_next(from)?;
        if self.config.ports != PortAllocation::Random {
            self.next_port = if port >= highest { lowest } else { port.saturating_add(1) };
        }
        Some(port)
    }

    fn lifetime(&self, transport: Transport) -> Duration {
        match transport {
            Transport::Udp => self.config.lifetime,
            Transport::Tcp => self.config.tcp_lifetime,
        }
    }

    fn expire(&mut self, now: Timestamp) {
        while let Some((inside, external)) = self.mappings.pop_expired(now) {
            self.by_external.remove(&(inside.transport, external));
            if let Some(ports) = self.ports.get_mut(&(inside.transport, external.ip())) {
                ports.give_back(external.port());
            }
        }
        while self.filters.pop_expired(now).is_some() {}
    }
}

/// A datagram has two addresses of one family. Without the prefix that a NAT64 had when it made
/// the mapping, there is no such pair.
fn same_family(from: SocketAddr, to: SocketAddr) -> Result<Pair, DropReason> {
    if from.is_ipv4() == to.is_ipv4() { Ok((from, to)) } else { Err(DropReason::NatNoAddress) }
}

/// Which of so many external addresses belongs to an inside address: neighbours get different
/// ones.
fn paired(addr: IpAddr, number: usize) -> usize {
    let bits = match addr {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let number = u128::try_from(number).unwrap_or(u128::MAX);
    bits.checked_rem(number).and_then(|index| usize::try_from(index).ok()).unwrap_or(0)
}
