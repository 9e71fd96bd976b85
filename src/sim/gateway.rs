//! Gateways: what stands between a realm and the one around it.

use core::net::IpAddr;

use super::firewall::{Firewall, FirewallConfig};
use super::line::Line;
use super::link::Link;
use super::nat::{Nat, NatConfig};
use super::realm::{RealmId, Subnet, is_local, is_private};

/// A gateway as it is set up.
///
/// A datagram that leaves its realm passes the firewall, the NAT and the uplink, in this order;
/// one that enters the downlink, the NAT and the firewall, so that the firewall sees the
/// addresses of the inside in both directions. What the NAT turns round for another host inside
/// (hairpinning) passes neither firewall nor line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GatewayConfig {
    /// How addresses are translated. An address family for which the NAT has no external address
    /// is routed: hosts inside are reached under their own addresses, unless these are private.
    pub nat: Option<NatConfig>,
    /// What is let through; without it, everything.
    pub firewall: Option<FirewallConfig>,
    /// The line that leads out.
    pub uplink: Link,
    /// The line that leads in.
    pub downlink: Link,
    /// Destinations that are never outside, whether or not a host has them.
    pub on_link: Vec<Subnet>,
}

impl GatewayConfig {
    /// A router that translates nothing.
    #[must_use]
    pub fn routed() -> Self {
        Self::default()
    }

    /// A router that translates.
    #[must_use]
    pub fn nat(config: NatConfig) -> Self {
        Self { nat: Some(config), ..Self::default() }
    }

    /// The same gateway with a firewall.
    #[must_use]
    pub fn with_firewall(mut self, firewall: FirewallConfig) -> Self {
        self.firewall = Some(firewall);
        self
    }

    /// The same gateway with lines that take their time: the one that leads out, the one that
    /// leads in.
    #[must_use]
    pub const fn with_lines(mut self, uplink: Link, downlink: Link) -> Self {
        self.uplink = uplink;
        self.downlink = downlink;
        self
    }

    /// The same gateway with one more subnet that is never outside.
    #[must_use]
    pub fn with_on_link(mut self, subnet: Subnet) -> Self {
        self.on_link.push(subnet);
        self
    }
}

#[derive(Clone, Debug)]
pub(super) struct Gateway {
    pub(super) config: GatewayConfig,
    /// The realm around.
    pub(super) parent: RealmId,
    pub(super) nat: Option<Nat>,
    pub(super) firewall: Option<Firewall>,
    pub(super) uplink: Line,
    pub(super) downlink: Line,
    pub(super) up: bool,
}

impl Gateway {
    /// Whether a host inside is reached from the realm around under its own address.
    pub(super) fn routes(&self, addr: IpAddr) -> bool {
        let translated = self.nat.as_ref().is_some_and(|nat| nat.config().translates(addr));
        let meaningless = self.parent == RealmId::INTERNET && is_private(addr);
        !translated && !is_local(addr) && !meaningless
    }
}
