//! Firewalls: of a gateway or of a host.
//!
//! Rules say what may pass by its direction, transport and remote port; the first that matches
//! decides. Beyond them, what comes in may need a flow that the inside has opened (RFC 6092).

use core::net::SocketAddr;
use core::ops::RangeInclusive;
use core::time::Duration;

use super::expiring::Expiring;
use super::scope::{Filtering, Scope};
use super::stats::DropReason;
use crate::candidate::Transport;
use crate::time::Timestamp;

/// The most rules of a firewall that count.
const MAX_RULES: usize = 64;
/// RFC 6092 REC-14: not less than two minutes.
const LIFETIME: Duration = Duration::from_secs(120);
const MAX_FLOWS: usize = 65_536;

/// Which way something goes, as seen from behind a firewall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From inside.
    Outbound,
    /// From outside.
    Inbound,
}

/// What a firewall does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Action {
    /// It lets it pass.
    #[default]
    Allow,
    /// It drops it without a word.
    Drop,
}

/// A rule of a firewall. What it does not name, it does not ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirewallRule {
    /// The direction that it is about.
    pub direction: Option<Direction>,
    /// The transport that it is about.
    pub transport: Option<Transport>,
    /// The ports of the remote side that it is about.
    pub remote_ports: Option<RangeInclusive<u16>>,
    /// What it says.
    pub action: Action,
}

impl FirewallRule {
    /// A rule for everything.
    #[must_use]
    pub const fn new(action: Action) -> Self {
        Self { direction: None, transport: None, remote_ports: None, action }
    }

    /// The same rule for one direction.
    #[must_use]
    pub const fn to(mut self, direction: Direction) -> Self {
        self.direction = Some(direction);
        self
    }

    /// The same rule for one transport.
    #[must_use]
    pub const fn of(mut self, transport: Transport) -> Self {
        self.transport = Some(transport);
        self
    }

    /// The same rule for some ports of the remote side.
    #[must_use]
    pub const fn with_remote_ports(mut self, ports: RangeInclusive<u16>) -> Self {
        self.remote_ports = Some(ports);
        self
    }

    fn matches(&self, direction: Direction, transport: Transport, remote: SocketAddr) -> bool {
        self.direction.is_none_or(|wanted| wanted == direction)
            && self.transport.is_none_or(|wanted| wanted == transport)
            && self.remote_ports.as_ref().is_none_or(|ports| ports.contains(&remote.port()))
    }
}

/// A firewall as it is set up. The default lets everything pass.
///
/// ```
/// use frazil::sim::FirewallConfig;
///
/// let office = FirewallConfig::stateful().without_udp().tcp_only_to([443]);
/// assert_eq!(office.rules.len(), 3);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FirewallConfig {
    /// The rules, the first of which that matches decides. No more than 64 count.
    pub rules: Vec<FirewallRule>,
    /// What is said of that for which there is no rule and which comes in without a flow.
    pub unsolicited: Action,
    /// Which remote endpoints share a flow.
    pub filtering: Filtering,
    /// How long a flow lives since something passed, in either direction.
    pub lifetime: Duration,
    /// The most flows.
    pub max_flows: usize,
}

impl Default for FirewallConfig {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            unsolicited: Action::Allow,
            filtering: Filtering::default(),
            lifetime: LIFETIME,
            max_flows: MAX_FLOWS,
        }
    }
}

impl FirewallConfig {
    /// A firewall that lets in only what belongs to a flow that was opened from inside: what
    /// stands before IPv6 hosts at home.
    #[must_use]
    pub fn stateful() -> Self {
        Self { unsolicited: Action::Drop, ..Self::default() }
    }

    /// The same firewall with one more rule.
    #[must_use]
    pub fn with_rule(mut self, rule: FirewallRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// The same firewall, which lets no UDP pass.
    #[must_use]
    pub fn without_udp(self) -> Self {
        self.with_rule(FirewallRule::new(Action::Drop).of(Transport::Udp))
    }

    /// The same firewall, which lets TCP out to these ports only.
    #[must_use]
    pub fn tcp_only_to(self, ports: impl IntoIterator<Item = u16>) -> Self {
        let outbound =
            |action| FirewallRule::new(action).of(Transport::Tcp).to(Direction::Outbound);
        let allowed =
            ports.into_iter().map(|port| outbound(Action::Allow).with_remote_ports(port..=port));
        allowed.fold(self, Self::with_rule).with_rule(outbound(Action::Drop))
    }

    /// The same firewall with flows that live so long, shared by these remote endpoints.
    #[must_use]
    pub const fn with_flows(mut self, lifetime: Duration, filtering: Filtering) -> Self {
        self.lifetime = lifetime;
        self.filtering = filtering;
        self
    }

    /// What the rules say, if any does.
    #[must_use]
    pub fn rule_for(
        &self,
        direction: Direction,
        transport: Transport,
        remote: SocketAddr,
    ) -> Option<Action> {
        let rule = self.rules.iter().take(MAX_RULES);
        let mut rule = rule.filter(|rule| rule.matches(direction, transport, remote));
        rule.next().map(|rule| rule.action)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Firewall {
    config: FirewallConfig,
    /// By transport, endpoint inside and the remote endpoints that share the flow.
    flows: Expiring<(Transport, SocketAddr, Scope), ()>,
}

impl Firewall {
    pub(super) fn new(config: FirewallConfig) -> Self {
        Self { config, flows: Expiring::default() }
    }

    pub(super) const fn config(&self) -> &FirewallConfig {
        &self.config
    }

    /// Lets something out, or not. What passes opens a flow.
    pub(super) fn outbound(
        &mut self,
        now: Timestamp,
        transport: Transport,
        inside: SocketAddr,
        remote: SocketAddr,
    ) -> Result<(), DropReason> {
        if self.config.rule_for(Direction::Outbound, transport, remote) == Some(Action::Drop) {
            return Err(DropReason::FirewallOutbound);
        }
        if self.config.unsolicited == Action::Allow {
            return Ok(());
        }
        while self.flows.pop_expired(now).is_some() {}
        let flow = (transport, inside, self.config.filtering.scope(remote));
        let deadline = now + self.config.lifetime;
        if self.flows.refresh(&flow, deadline) {
            return Ok(());
        }
        if self.flows.len() >= self.config.max_flows {
            return Err(DropReason::FirewallTableFull);
        }
        self.flows.insert(flow, (), deadline);
        Ok(())
    }

    /// Lets something in, or not.
    pub(super) fn inbound(
        &mut self,
        now: Timestamp,
        transport: Transport,
        inside: SocketAddr,
        remote: SocketAddr,
    ) -> Result<(), DropReason> {
        match self.config.rule_for(Direction::Inbound, transport, remote) {
            Some(Action::Drop) => return Err(DropReason::FirewallInbound),
            Some(Action::Allow) => return Ok(()),
            None if self.config.unsolicited == Action::Allow => return Ok(()),
            None => {}
        }
        while self.flows.pop_expired(now).is_some() {}
        let flow = (transport, inside, self.config.filtering.scope(remote));
        if self.flows.refresh(&flow, now + self.config.lifetime) {
            Ok(())
        } else {
            Err(DropReason::FirewallInbound)
        }
    }
}
