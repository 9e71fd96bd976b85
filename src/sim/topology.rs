//! What stands where: realms, gateways, hosts, interfaces, addresses, links and rules.

use core::net::IpAddr;

use super::firewall::{Firewall, FirewallConfig};
use super::gateway::{Gateway, GatewayConfig};
use super::host::{Host, HostId, Interface, InterfaceId};
use super::line::Line;
use super::link::Link;
use super::nat::{Nat, NatConfigError, NatMapping};
use super::network::Network;
use super::realm::{MAX_DEPTH, Owner, Realm, RealmId};
use super::walk::to_index;

/// Why there is no new realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddRealmError {
    /// The realm around it is of another network.
    #[error("no such realm")]
    UnknownRealm,
    /// Realms would nest more than eight deep.
    #[error("realms nest too deep")]
    TooDeep,
    /// The gateway cannot be set up.
    #[error("nat: {0}")]
    Nat(#[from] NatConfigError),
    /// Somebody has an external address of the gateway.
    #[error("somebody has the external address {0}")]
    Taken(IpAddr),
}

/// Why there is no new interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddInterfaceError {
    /// The host is of another network.
    #[error("no such host")]
    UnknownHost,
    /// The realm is of another network.
    #[error("no such realm")]
    UnknownRealm,
}

/// Why a host did not get an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddAddressError {
    /// The host is of another network.
    #[error("no such host")]
    UnknownHost,
    /// The interface is of another network.
    #[error("no such interface")]
    UnknownInterface,
    /// The host does not have the address that was to change.
    #[error("the host has no such address")]
    UnknownAddress,
    /// Another host has the address, or a gateway has.
    #[error("another host has the address")]
    Taken,
    /// The host has the address on another interface.
    #[error("the host has the address on another interface")]
    OtherInterface,
}

impl Network {
    /// Adds a realm behind a gateway.
    ///
    /// ```
    /// use frazil::Timestamp;
    /// use frazil::sim::{Datagram, Fate, GatewayConfig, NatConfig, Network, RealmId};
    ///
    /// let mut network = Network::new([7; 32]);
    /// let router = GatewayConfig::nat(NatConfig::new(["203.0.113.1".parse()?]));
    /// let home = network.add_realm(RealmId::INTERNET, router)?;
    /// let (alice, bob) = (network.add_host_in(home)?, network.add_host());
    /// network.add_address(alice, "192.168.1.2".parse()?)?;
    /// network.add_address(bob, "192.0.2.2".parse()?)?;
    ///
    /// let (from, to) = ("192.168.1.2:5000".parse()?, "192.0.2.2:6000".parse()?);
    /// let fate = network.send_from(Timestamp::ZERO, alice, Datagram::udp(from, to, *b"hello"));
    /// assert_eq!(fate, Fate::Underway);
    /// let arrival = network.receive(Timestamp::ZERO).ok_or("nothing has arrived")?;
    /// assert_eq!(arrival.datagram.from, "203.0.113.1:5000".parse()?);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The realm around is unknown, the gateway makes no sense, or somebody has its addresses.
    pub fn add_realm(
        &mut self,
        around: RealmId,
        gateway: GatewayConfig,
    ) -> Result<RealmId, AddRealmError> {
        let parent = self.realms.get(to_index(around.0)).ok_or(AddRealmError::UnknownRealm)?;
        let depth = parent.depth.saturating_add(1);
        let number = u32::try_from(self.realms.len()).map_err(|_| AddRealmError::TooDeep)?;
        if depth > MAX_DEPTH {
            return Err(AddRealmError::TooDeep);
        }
        let id = RealmId(number);
        if let Some(nat) = &gateway.nat {
            nat.validate()?;
            self.claim(around, nat.addresses().collect(), Owner::Gateway(id))?;
        }
        let rng = self.dice.of_gateway(number);
        let gateway = Gateway {
            parent: around,
            nat: gateway.nat.clone().map(|config| Nat::new(config, rng)),
            firewall: gateway.firewall.clone().map(Firewall::new),
            uplink: Line::new(gateway.uplink),
            downlink: Line::new(gateway.downlink),
            up: true,
            config: gateway,
        };
        self.realms.push(Realm { gateway: Some(gateway), depth, ..Realm::default() });
        Ok(id)
    }

    /// Adds a host in the internet, without addresses yet.
    pub fn add_host(&mut self) -> HostId {
        self.new_host(RealmId::INTERNET)
    }

    /// Adds a host in a realm, without addresses yet.
    ///
    /// # Errors
    /// The realm is unknown.
    pub fn add_host_in(&mut self, realm: RealmId) -> Result<HostId, AddInterfaceError> {
        self.realms.get(to_index(realm.0)).ok_or(AddInterfaceError::UnknownRealm)?;
        Ok(self.new_host(realm))
    }

    /// Adds a further interface to a host, in the same or in another realm, without addresses yet.
    ///
    /// # Errors
    /// The host or the realm is unknown.
    pub fn add_interface(
        &mut self,
        host: HostId,
        realm: RealmId,
    ) -> Result<InterfaceId, AddInterfaceError> {
        self.hosts.get(to_index(host.0)).ok_or(AddInterfaceError::UnknownHost)?;
        self.realms.get(to_index(realm.0)).ok_or(AddInterfaceError::UnknownRealm)?;
        Ok(self.new_interface(host, realm))
    }

    /// Gives an address to a host, on its first interface. One that the host has already, on
    /// whichever interface, stays.
    ///
    /// # Errors
    /// The host is unknown, or another host has the address.
    pub fn add_address(&mut self, host: HostId, addr: IpAddr) -> Result<(), AddAddressError> {
        let known = self.hosts.get(to_index(host.0)).ok_or(AddAddressError::UnknownHost)?;
        if known.addresses.contains_key(&addr.to_canonical()) {
            return Ok(());
        }
        let first = *known.interfaces.first().ok_or(AddAddressError::UnknownInterface)?;
        self.add_interface_address(first, addr)
    }

    /// Gives an address to an interface. One that it has already stays. While the interface is
    /// down, nobody can reach it.
    ///
    /// # Errors
    /// The interface is unknown, another host has the address in this realm, or this host has it
    /// on another interface.
    pub fn add_interface_address(
        &mut self,
        interface: InterfaceId,
        addr: IpAddr,
    ) -> Result<(), AddAddressError> {
        let addr = addr.to_canonical();
        let found = self.interfaces.get(to_index(interface.0));
        let (host, realm) = found
            .map(|found| (found.host, found.realm))
            .ok_or(AddAddressError::UnknownInterface)?;
        let here = self.hosts.get(to_index(host.0)).and_then(|host| host.addresses.get(&addr));
        match here {
            Some(other) if *other == interface => return Ok(()),
            Some(_) => return Err(AddAddressError::OtherInterface),
            None => {}
        }
        if self.is_running(interface) {
            let claimed = self.claim(realm, vec![addr], Owner::Host(host));
            claimed.map_err(|_| AddAddressError::Taken)?;
        }
        if let Some(host) = self.hosts.get_mut(to_index(host.0)) {
            host.addresses.insert(addr, interface);
        }
        if let Some(interface) = self.interfaces.get_mut(to_index(interface.0)) {
            interface.addresses.insert(addr);
        }
        Ok(())
    }

    /// Takes an address of the internet away. What is on its way to it becomes unreachable unless
    /// the address is back in time. Returns the host that had it.
    pub fn remove_address(&mut self, addr: IpAddr) -> Option<HostId> {
        let host = self.host_of(addr)?;
        self.remove_host_address(host, addr).then_some(host)
    }

    /// Takes an address away from a host, whichever interface has it. Returns whether one had.
    pub fn remove_host_address(&mut self, host: HostId, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        let known = self.hosts.get_mut(to_index(host.0));
        let Some(interface) = known.and_then(|host| host.addresses.remove(&addr)) else {
            return false;
        };
        let Some(interface) = self.interfaces.get_mut(to_index(interface.0)) else { return false };
        interface.addresses.remove(&addr);
        let realm = interface.realm;
        self.release(realm, addr, Owner::Host(host));
        true
    }

    /// Sets the firewall of a host, or takes it away. Flows are forgotten.
    pub fn set_host_firewall(&mut self, host: HostId, firewall: Option<FirewallConfig>) {
        if let Some(host) = self.hosts.get_mut(to_index(host.0)) {
            host.firewall = firewall.map(Firewall::new);
        }
    }

    /// Sets the link of all address pairs of the internet that have none of their own. What is on
    /// its way already keeps its time of arrival.
    pub fn set_default_link(&mut self, link: Link) {
        self.set_default_link_in(RealmId::INTERNET, link);
    }

    /// The same for any realm. Within a private realm, links are ideal unless set.
    pub fn set_default_link_in(&mut self, realm: RealmId, link: Link) {
        if let Some(realm) = self.realms.get_mut(to_index(realm.0)) {
            realm.links.default = link;
        }
    }

    /// Sets the link from one address of the internet to another; the opposite direction is a
    /// link of its own.
    pub fn set_link(&mut self, from: IpAddr, to: IpAddr, link: Link) {
        self.set_link_in(RealmId::INTERNET, from, to, link);
    }

    /// The same for any realm.
    pub fn set_link_in(&mut self, realm: RealmId, from: IpAddr, to: IpAddr, link: Link) {
        if let Some(realm) = self.realms.get_mut(to_index(realm.0)) {
            realm.links.set(from.to_canonical(), to.to_canonical(), link);
        }
    }

    /// Lets nothing pass from one address of the internet to another. Takes effect at once: what
    /// is on its way does not arrive.
    pub fn block(&mut self, from: IpAddr, to: IpAddr) {
        self.block_in(RealmId::INTERNET, from, to);
    }

    /// The same for any realm.
    pub fn block_in(&mut self, realm: RealmId, from: IpAddr, to: IpAddr) {
        if let Some(realm) = self.realms.get_mut(to_index(realm.0)) {
            realm.rules.block(from.to_canonical(), to.to_canonical());
        }
    }

    /// [`block`](Self::block) in both directions.
    pub fn block_between(&mut self, one: IpAddr, other: IpAddr) {
        self.block(one, other);
        self.block(other, one);
    }

    /// Takes a block back, in the one direction.
    pub fn unblock(&mut self, from: IpAddr, to: IpAddr) {
        self.unblock_in(RealmId::INTERNET, from, to);
    }

    /// The same for any realm.
    pub fn unblock_in(&mut self, realm: RealmId, from: IpAddr, to: IpAddr) {
        if let Some(realm) = self.realms.get_mut(to_index(realm.0)) {
            realm.rules.unblock(from.to_canonical(), to.to_canonical());
        }
    }

    /// [`unblock`](Self::unblock) in both directions.
    pub fn unblock_between(&mut self, one: IpAddr, other: IpAddr) {
        self.unblock(one, other);
        self.unblock(other, one);
    }

    /// Lets nothing pass in the internet but from the first to the second address of each item.
    /// Blocked directions stay blocked; a later call replaces the list.
    pub fn allow_only(&mut self, directions: impl IntoIterator<Item = (IpAddr, IpAddr)>) {
        let canonical = |(from, to): (IpAddr, IpAddr)| (from.to_canonical(), to.to_canonical());
        if let Some(internet) = self.realms.first_mut() {
            internet.rules.allow_only(directions.into_iter().map(canonical));
        }
    }

    /// Lets everything pass again, in all realms.
    pub fn clear_rules(&mut self) {
        for realm in &mut self.realms {
            realm.rules.clear();
        }
    }

    /// The host that has an address in the internet.
    #[must_use]
    pub fn host_of(&self, addr: IpAddr) -> Option<HostId> {
        self.host_in(RealmId::INTERNET, addr)
    }

    /// The host that has an address in a realm.
    #[must_use]
    pub fn host_in(&self, realm: RealmId, addr: IpAddr) -> Option<HostId> {
        match self.realms.get(to_index(realm.0))?.addresses.get(&addr.to_canonical()) {
            Some(Owner::Host(host)) => Some(*host),
            Some(Owner::Gateway(_)) | None => None,
        }
    }

    /// The realm in which a host has an address.
    #[must_use]
    pub fn realm_of(&self, host: HostId, addr: IpAddr) -> Option<RealmId> {
        let host = self.hosts.get(to_index(host.0))?;
        let interface = host.addresses.get(&addr.to_canonical())?;
        self.interfaces.get(to_index(interface.0)).map(|interface| interface.realm)
    }

    /// The interfaces of a host, in the order in which they were added; the first comes with it.
    pub fn interfaces(&self, host: HostId) -> impl Iterator<Item = InterfaceId> {
        let host = self.hosts.get(to_index(host.0));
        host.map(|host| host.interfaces.as_slice()).unwrap_or_default().iter().copied()
    }

    /// The addresses of an interface, whether or not it is up.
    pub fn addresses(&self, interface: InterfaceId) -> impl Iterator<Item = IpAddr> {
        let interface = self.interfaces.get(to_index(interface.0));
        interface.into_iter().flat_map(|interface| interface.addresses.iter().copied())
    }

    /// The gateway of a realm; the internet has none.
    #[must_use]
    pub fn gateway(&self, realm: RealmId) -> Option<&GatewayConfig> {
        self.realms.get(to_index(realm.0))?.gateway.as_ref().map(|gateway| &gateway.config)
    }

    /// The realm around a realm; there is none around the internet.
    #[must_use]
    pub fn around(&self, realm: RealmId) -> Option<RealmId> {
        self.realms.get(to_index(realm.0))?.gateway.as_ref().map(|gateway| gateway.parent)
    }

    /// The mappings that the NAT of a realm's gateway has now.
    pub fn nat_mappings(&self, realm: RealmId) -> impl Iterator<Item = NatMapping> {
        let gateway = self.realms.get(to_index(realm.0)).and_then(|realm| realm.gateway.as_ref());
        let nat = gateway.and_then(|gateway| gateway.nat.as_ref());
        nat.into_iter().flat_map(|nat| nat.mappings(self.now))
    }

    /// The link from one address of the internet to another.
    #[must_use]
    pub fn link(&self, from: IpAddr, to: IpAddr) -> Link {
        let internet = self.realms.first();
        internet
            .map(|realm| realm.links.get(from.to_canonical(), to.to_canonical()))
            .unwrap_or_default()
    }

    /// Whether an address of a host can send and be reached.
    pub(super) fn is_reachable(&self, host: HostId, addr: IpAddr) -> bool {
        let known = self.hosts.get(to_index(host.0));
        let interface = known.and_then(|host| host.addresses.get(&addr));
        interface.is_some_and(|interface| self.is_running(*interface))
    }

    /// Whether an interface is up, and its host as well.
    pub(super) fn is_running(&self, interface: InterfaceId) -> bool {
        let interface = self.interfaces.get(to_index(interface.0));
        interface.is_some_and(|interface| {
            let host = self.hosts.get(to_index(interface.host.0));
            interface.up && host.is_some_and(|host| host.up)
        })
    }

    /// Files addresses under their owner in a realm, and under the gateways on the way out as far
    /// as these route them. All of them or none.
    pub(super) fn claim(
        &mut self,
        realm: RealmId,
        addresses: Vec<IpAddr>,
        owner: Owner,
    ) -> Result<(), AddRealmError> {
        let mut entries = Vec::new();
        for addr in addresses {
            for (realm, owner) in self.places(realm, addr, owner) {
                let here = self.realms.get(to_index(realm.0));
                let taken = here.and_then(|here| here.addresses.get(&addr));
                if taken.is_some_and(|other| *other != owner) {
                    return Err(AddRealmError::Taken(addr));
                }
                entries.push((realm, addr, owner));
            }
        }
        for (realm, addr, owner) in entries {
            if let Some(realm) = self.realms.get_mut(to_index(realm.0)) {
                realm.addresses.insert(addr, owner);
            }
        }
        Ok(())
    }

    /// Takes back what [`claim`](Self::claim) has filed.
    pub(super) fn release(&mut self, realm: RealmId, addr: IpAddr, owner: Owner) {
        for (realm, owner) in self.places(realm, addr, owner) {
            let Some(here) = self.realms.get_mut(to_index(realm.0)) else { return };
            if here.addresses.get(&addr) == Some(&owner) {
                here.addresses.remove(&addr);
            }
        }
    }

    /// The realms in which an address is known, from the inside out, and who has it in each.
    fn places(&self, realm: RealmId, addr: IpAddr, owner: Owner) -> Vec<(RealmId, Owner)> {
        let mut places = vec![(realm, owner)];
        let mut here = realm;
        while let Some(gateway) =
            self.realms.get(to_index(here.0)).and_then(|realm| realm.gateway.as_ref())
        {
            if !gateway.routes(addr) {
                break;
            }
            places.push((gateway.parent, Owner::Gateway(here)));
            here = gateway.parent;
        }
        places
    }

    fn new_host(&mut self, realm: RealmId) -> HostId {
        let id = HostId(u32::try_from(self.hosts.len()).unwrap_or(u32::MAX));
        self.hosts.push(Host::default());
        self.new_interface(id, realm);
        id
    }

    fn new_interface(&mut self, host: HostId, realm: RealmId) -> InterfaceId {
        let id = InterfaceId(u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX));
        let addresses = Default::default();
        self.interfaces.push(Interface { host, realm, addresses, up: true });
        if let Some(host) = self.hosts.get_mut(to_index(host.0)) {
            host.interfaces.push(id);
        }
        id
    }
}
