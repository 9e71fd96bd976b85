//! What happens to a network while it is in use: interfaces and hosts go and come back, NATs
//! reboot, gateways and realms are cut off.

use core::net::IpAddr;

use super::firewall::{Firewall, FirewallConfig};
use super::gateway::Gateway;
use super::host::{HostId, InterfaceId};
use super::line::Line;
use super::link::Link;
use super::nat::{Nat, NatConfig, NatConfigError};
use super::network::Network;
use super::realm::{Owner, RealmId};
use super::topology::{AddAddressError, AddRealmError};
use super::walk::to_index;

/// Why a NAT stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetNatError {
    /// The realm is unknown, or its gateway does not translate.
    #[error("no such NAT")]
    UnknownNat,
    /// The configuration makes no sense.
    #[error("nat: {0}")]
    Nat(#[from] NatConfigError),
    /// It would begin or cease to translate an address family.
    #[error("external: of other address families")]
    Families,
    /// Somebody has an external address.
    #[error("somebody has the external address {0}")]
    Taken(IpAddr),
}

impl Network {
    /// Takes an interface down: its addresses cannot send, and nobody reaches them. Returns whether
    /// there is such an interface.
    pub fn interface_down(&mut self, interface: InterfaceId) -> bool {
        self.release_all(interface);
        let interface = self.interfaces.get_mut(to_index(interface.0));
        interface.map(|interface| interface.up = false).is_some()
    }

    /// Brings an interface up, with all its addresses.
    ///
    /// # Errors
    /// The interface is unknown, or somebody has one of its addresses by now: it stays down.
    pub fn interface_up(&mut self, interface: InterfaceId) -> Result<(), AddAddressError> {
        let found = self.interfaces.get(to_index(interface.0));
        let host = found.ok_or(AddAddressError::UnknownInterface)?.host;
        if self.hosts.get(to_index(host.0)).is_some_and(|host| host.up) {
            self.claim_all(interface)?;
        }
        if let Some(interface) = self.interfaces.get_mut(to_index(interface.0)) {
            interface.up = true;
        }
        Ok(())
    }

    /// Gives a host another address in place of one that it has, on the same interface.
    ///
    /// # Errors
    /// The host is unknown or has no such address, or somebody has the new one. The host keeps the
    /// old one then.
    pub fn change_address(
        &mut self,
        host: HostId,
        old: IpAddr,
        new: IpAddr,
    ) -> Result<(), AddAddressError> {
        let known = self.hosts.get(to_index(host.0)).ok_or(AddAddressError::UnknownHost)?;
        let interface = known.addresses.get(&old.to_canonical());
        let interface = *interface.ok_or(AddAddressError::UnknownAddress)?;
        if old.to_canonical() != new.to_canonical() {
            self.add_interface_address(interface, new)?;
            self.remove_host_address(host, old);
        }
        Ok(())
    }

    /// Lets a host fall silent: all its interfaces are gone, and its TCP listeners and connections
    /// forgotten without a word to the other sides. Returns whether there is such a host.
    pub fn crash(&mut self, host: HostId) -> bool {
        let interfaces: Vec<InterfaceId> = self.interfaces(host).collect();
        for interface in interfaces {
            self.release_all(interface);
        }
        self.tcp.forget(host);
        let host = self.hosts.get_mut(to_index(host.0));
        host.map(|host| host.up = false).is_some()
    }

    /// Brings a host back that has crashed, with every interface that was up.
    ///
    /// # Errors
    /// The host is unknown, or somebody has one of its addresses by now: it stays silent.
    pub fn restart(&mut self, host: HostId) -> Result<(), AddAddressError> {
        self.hosts.get(to_index(host.0)).ok_or(AddAddressError::UnknownHost)?;
        let is_up = |interface: &InterfaceId| {
            self.interfaces.get(to_index(interface.0)).is_some_and(|interface| interface.up)
        };
        let interfaces: Vec<InterfaceId> = self.interfaces(host).filter(is_up).collect();
        for (position, interface) in interfaces.iter().enumerate() {
            if let Err(error) = self.claim_all(*interface) {
                for interface in interfaces.iter().take(position) {
                    self.release_all(*interface);
                }
                return Err(error);
            }
        }
        if let Some(host) = self.hosts.get_mut(to_index(host.0)) {
            host.up = true;
        }
        Ok(())
    }

    /// Lets the NAT of a realm's gateway forget its mappings. Returns whether there is one.
    pub fn reboot_nat(&mut self, realm: RealmId) -> bool {
        let nat = self.gateway_mut(realm).and_then(|gateway| gateway.nat.as_mut());
        nat.map(Nat::reboot).is_some()
    }

    /// Changes the behaviour of the NAT of a realm's gateway. Mappings stay, unless the external
    /// addresses or the range of ports are others. A mapping that the new behaviour would have
    /// made otherwise is not found from inside any more, and ends with its lifetime.
    ///
    /// # Errors
    /// There is no NAT, or it cannot be set up like this: it stays as it is.
    pub fn set_nat(&mut self, realm: RealmId, config: NatConfig) -> Result<(), SetNatError> {
        let gateway = self.gateway_mut(realm).ok_or(SetNatError::UnknownNat)?;
        let parent = gateway.parent;
        let old = gateway.nat.as_ref().ok_or(SetNatError::UnknownNat)?.config();
        config.validate()?;
        let families = |config: &NatConfig| {
            let is_v4 = |addr: &IpAddr| addr.is_ipv4();
            (
                config.addresses().any(|addr| is_v4(&addr)),
                config.addresses().all(|addr| is_v4(&addr)),
            )
        };
        if families(old) != families(&config) {
            return Err(SetNatError::Families);
        }
        let kept: Vec<IpAddr> = config.addresses().collect();
        let gone: Vec<IpAddr> = old.addresses().filter(|addr| !kept.contains(addr)).collect();
        self.claim(parent, kept, Owner::Gateway(realm)).map_err(|error| match error {
            AddRealmError::Taken(addr) => SetNatError::Taken(addr),
            _ => SetNatError::UnknownNat,
        })?;
        for addr in gone {
            self.release(parent, addr, Owner::Gateway(realm));
        }
        if let Some(gateway) = self.gateway_mut(realm) {
            gateway.config.nat = Some(config.clone());
            if let Some(nat) = &mut gateway.nat {
                nat.reconfigure(config);
            }
        }
        Ok(())
    }

    /// Sets the firewall of a realm's gateway, or takes it away. Flows are forgotten. Returns
    /// whether there is a gateway.
    pub fn set_firewall(&mut self, realm: RealmId, firewall: Option<FirewallConfig>) -> bool {
        let gateway = self.gateway_mut(realm);
        let set = gateway.map(|gateway| {
            gateway.config.firewall.clone_from(&firewall);
            gateway.firewall = firewall.map(Firewall::new);
        });
        set.is_some()
    }

    /// Sets the lines of a realm's gateway: the one that leads out, the one that leads in. Their
    /// queues are empty then; what is on its way keeps its time of arrival. Returns whether there
    /// is a gateway.
    pub fn set_lines(&mut self, realm: RealmId, uplink: Link, downlink: Link) -> bool {
        let gateway = self.gateway_mut(realm);
        let set = gateway.map(|gateway| {
            (gateway.config.uplink, gateway.config.downlink) = (uplink, downlink);
            (gateway.uplink, gateway.downlink) = (Line::new(uplink), Line::new(downlink));
        });
        set.is_some()
    }

    /// Cuts a realm off from the one around it. Its NAT keeps its mappings, and still turns round
    /// what is sent to itself from inside. Returns whether there is a gateway.
    pub fn cut_off(&mut self, realm: RealmId) -> bool {
        self.gateway_mut(realm).map(|gateway| gateway.up = false).is_some()
    }

    /// Connects a realm again that was cut off. Returns whether there is a gateway.
    pub fn reconnect(&mut self, realm: RealmId) -> bool {
        self.gateway_mut(realm).map(|gateway| gateway.up = true).is_some()
    }

    /// Lets nothing pass within a realm between any of the first addresses and any of the others,
    /// in both directions.
    pub fn partition(&mut self, realm: RealmId, one: &[IpAddr], other: &[IpAddr]) {
        for (one, other) in pairs(one, other) {
            self.block_in(realm, one, other);
            self.block_in(realm, other, one);
        }
    }

    /// Takes a [`partition`](Self::partition) back.
    pub fn heal(&mut self, realm: RealmId, one: &[IpAddr], other: &[IpAddr]) {
        for (one, other) in pairs(one, other) {
            self.unblock_in(realm, one, other);
            self.unblock_in(realm, other, one);
        }
    }

    fn gateway_mut(&mut self, realm: RealmId) -> Option<&mut Gateway> {
        self.realms.get_mut(to_index(realm.0))?.gateway.as_mut()
    }

    fn claim_all(&mut self, interface: InterfaceId) -> Result<(), AddAddressError> {
        let addresses = self.addresses(interface).collect();
        let found = self.interfaces.get(to_index(interface.0));
        let found = found.ok_or(AddAddressError::UnknownInterface)?;
        let (realm, owner) = (found.realm, Owner::Host(found.host));
        self.claim(realm, addresses, owner).map_err(|_| AddAddressError::Taken)
    }

    fn release_all(&mut self, interface: InterfaceId) {
        let addresses: Vec<IpAddr> = self.addresses(interface).collect();
        let Some(found) = self.interfaces.get(to_index(interface.0)) else { return };
        let (realm, owner) = (found.realm, Owner::Host(found.host));
        for addr in addresses {
            self.release(realm, addr, owner);
        }
    }
}

fn pairs<'a>(
    one: &'a [IpAddr],
    other: &'a [IpAddr],
) -> impl Iterator<Item = (IpAddr, IpAddr)> + 'a {
    one.iter().flat_map(move |one| other.iter().map(move |other| (*one, *other)))
}
