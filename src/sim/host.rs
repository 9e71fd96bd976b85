//! Hosts, and the interfaces with which they stand in realms.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use super::firewall::Firewall;
use super::realm::RealmId;

/// A host of a [`Network`](super::Network).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub(super) u32);

/// An interface of a host. It stands in one realm and has any number of addresses there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceId(pub(super) u32);

#[derive(Clone, Debug)]
pub(super) struct Host {
    /// Which interface has which address. A host has an address once.
    pub(super) addresses: BTreeMap<IpAddr, InterfaceId>,
    /// In the order in which they were added; the first comes with the host.
    pub(super) interfaces: Vec<InterfaceId>,
    pub(super) firewall: Option<Firewall>,
    pub(super) up: bool,
}

impl Default for Host {
    fn default() -> Self {
        Self { addresses: BTreeMap::new(), interfaces: Vec::new(), firewall: None, up: true }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Interface {
    pub(super) host: HostId,
    pub(super) realm: RealmId,
    pub(super) addresses: BTreeSet<IpAddr>,
    pub(super) up: bool,
}
