//! A network to test on, without any network: hosts, links, gateways and agents in virtual time.
//!
//! [`Network`] carries datagrams and TCP streams between the addresses of its hosts, over links
//! that delay, lose, duplicate and reorder, through NATs and firewalls, and behind rules that
//! block. It knows nothing of ICE and serves any sans-IO protocol. [`World`] puts an
//! [`IceAgent`](crate::IceAgent) on some of its hosts, signals between them, and drives each
//! exactly as the contract of a driver says.
//!
//! # How time moves
//!
//! There is no clock. Time stands still while something happens and then jumps to the next thing
//! that is due: a signal, a datagram, a timer of TCP, a report of the network, the deadline of an
//! agent. What is due at one instant happens in that order, and within a kind in the order of its making. So a test of forty seconds takes
//! microseconds, a delay of 10 ms is exactly that, and there is nothing to wait for.
//!
//! All chance comes from one seed: the same seed and the same calls give the same world, to the
//! byte and on every platform. [`World::hash`] says so in one number.
//!
//! # Two agents connect
//!
//! ```
//! use core::time::Duration;
//! use frazil::sim::{End, Link, World};
//! use frazil::{AgentConfig, ConnectionState, IceAgent, Role, Timestamp};
//!
//! let mut world = World::new([7; 32]);
//! world.network_mut().set_default_link(Link::delayed(Duration::from_millis(10)));
//! let alice = world.add_agent(AgentConfig::new(Role::Controlling))?;
//! let bob = world.add_agent(AgentConfig::new(Role::Controlled))?;
//! world.add_socket(alice, "192.0.2.1:5000".parse()?)?;
//! world.add_socket(bob, "192.0.2.2:6000".parse()?)?;
//! world.connect(alice, bob)?;
//! world.start(alice)?;
//! world.start(bob)?;
//!
//! let all = |world: &World, state| world.agents().all(|(_, agent)| agent.state() == state);
//! let limit = Timestamp::from_millis(1_000);
//! let end = world.run_while(|world| !all(world, ConnectionState::Completed), limit)?;
//! assert_eq!(end, End::Condition);
//!
//! let stream = world.agent(alice).and_then(|alice| alice.streams().next()).ok_or("no stream")?;
//! world.send(alice, stream, 1, b"hello")?;
//! world.run_until(world.now() + Duration::from_millis(10))?;
//! assert_eq!(world.received(bob).collect::<Vec<_>>(), [b"hello"]);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # A simulated internet
//!
//! A *realm* is a space in which an address belongs to one host. Every network has the internet
//! ([`RealmId::INTERNET`]), which is all that a test without NATs needs. Any other realm lies
//! behind a *gateway* ([`GatewayConfig`]) within the internet or within another realm: a home
//! behind a carrier-grade NAT is two deep. A host stands in realms with its interfaces, often with
//! one, and with two when it has Wi-Fi and a mobile network.
//!
//! Who owns what:
//!
//! * A realm: which host, or which gateway of a realm within, has an address; the links and the
//!   rules between two of its addresses.
//! * A gateway: a NAT ([`NatConfig`], by the terms of RFC 4787), a firewall ([`FirewallConfig`])
//!   and the two lines that lead out and in.
//! * A host: its interfaces, a firewall of its own, and its ends of TCP connections.
//!
//! A packet walks like this:
//!
//! 1. It departs from the realm in which its host has the source address, past the host's
//!    firewall.
//! 2. If nobody in the realm has its destination, it goes up to the gateway. If it is for the
//!    gateway itself, the NAT turns it round (hairpinning) and it stays in the realm. Otherwise it
//!    passes firewall, NAT and uplink, and is in the realm around, where this step begins again.
//! 3. In the realm in which it meets its destination, rules let it pass or not, and it takes the
//!    link between the two addresses as they are there.
//! 4. If it is a gateway that has the destination, the packet passes downlink, NAT and firewall,
//!    and is in the realm within, where this step begins again.
//! 5. It arrives at a host that has its destination, past the host's firewall.
//!
//! Translation happens when the packet passes, not when it was sent: a line that takes time is a
//! stop of its own, so a NAT that reboots meanwhile has forgotten. Every packet that does not
//! arrive is counted by its reason ([`NetworkStats`], [`DropReason`]), and, if that is wanted, the
//! sender gets a [`Report`]. What a packet costs grows with the gateways that it passes, and
//! otherwise only as look-ups in ordered maps do.
//!
//! ```
//! use frazil::Timestamp;
//! use frazil::sim::{
//!     Datagram, DropReason, Fate, GatewayConfig, Mapping, NatConfig, Network, RealmId,
//! };
//!
//! let mut network = Network::new([7; 32]);
//! let symmetric = NatConfig::new(["203.0.113.1".parse()?])
//!     .with_mapping(Mapping::AddressAndPortDependent);
//! let carrier = network.add_realm(RealmId::INTERNET, GatewayConfig::nat(symmetric))?;
//! let home = GatewayConfig::nat(NatConfig::new(["100.64.0.1".parse()?]));
//! let home = network.add_realm(carrier, home)?;
//! let (alice, bob) = (network.add_host_in(home)?, network.add_host());
//! network.add_address(alice, "192.168.1.2".parse()?)?;
//! network.add_address(bob, "192.0.2.2".parse()?)?;
//!
//! let now = Timestamp::ZERO;
//! let (inside, peer) = ("192.168.1.2:5000".parse()?, "192.0.2.2:6000".parse()?);
//! assert_eq!(network.send_from(now, alice, Datagram::udp(inside, peer, *b"hi")), Fate::Underway);
//! let seen = network.receive(now).ok_or("lost")?.datagram.from;
//! assert_eq!(seen, "203.0.113.1:5000".parse()?);
//!
//! // Another port of Bob's is not let in.
//! let stranger = Datagram::udp("192.0.2.2:6001".parse()?, seen, *b"hi");
//! assert_eq!(network.send_from(now, bob, stranger), Fate::Underway);
//! assert!(network.receive(now).is_none());
//! assert_eq!(network.stats().dropped_for(DropReason::NatFiltered), 1);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! What is not modelled: fragments, hop limits, a second gateway of a realm, the parity and
//! contiguity of ports (RFC 4787 §4.2.2 and §4.2.3), congestion control, and ICMP as packets.
//!
//! # To interfere
//!
//! Everything may change between any two calls: links and rules, interfaces and addresses
//! ([`Network::interface_down`], [`Network::change_address`]), NATs and gateways
//! ([`Network::reboot_nat`], [`Network::set_nat`], [`Network::cut_off`]), whole hosts
//! ([`Network::crash`]). [`World::next_step`] tells what will happen
//! next before [`World::step`] lets it happen; in between, a datagram may be altered or removed
//! ([`Network::underway_mut`], [`Network::remove`]). [`World::run_filtered`] asks about every
//! datagram, and [`World::inject`] lets one arrive from anywhere. World and network are plain
//! values: a clone goes its own way.
//!
//! # What is expected
//!
//! Agents of a world use TCP as they ask for it: to servers, to each other, and where they listen.
//! [`World::add_server`] puts a STUN and TURN server into the internet and [`World::obtain`] lets
//! an agent have candidates from it. [`Outlook`] is the oracle: from the topology alone, it says
//! whether there is a direct or a relayed path, over UDP or TCP, and of what kinds the selected pair
//! may be. A [`Scenario`] is a topology and what happens in it, as data, with one runner that holds the
//! agents against the oracle.

mod change;
mod datagram;
mod dice;
mod error;
mod expiring;
mod firewall;
mod gateway;
mod hash;
mod host;
mod line;
mod link;
mod log;
mod nat;
mod network;
mod node;
mod oracle;
mod realm;
mod report;
mod rules;
mod run;
mod scenario;
mod scope;
mod server;
mod signal;
mod sockets;
mod stats;
mod streams;
mod tcp;
mod topology;
mod turn_server;
mod walk;
mod world;

#[cfg(test)]
mod tests;

pub use change::SetNatError;
pub use datagram::{Arrival, Datagram, DatagramId, Fate};
pub use error::{AddServerError, AddSocketError, ObtainError, WorldError};
pub use firewall::{Action, Direction, FirewallConfig, FirewallRule};
pub use gateway::GatewayConfig;
pub use host::{HostId, InterfaceId};
pub use link::{Bandwidth, Bursts, Link, Probability};
pub use log::{LogDetail, LogEntry, Logged};
pub use nat::{
    Hairpinning, Nat64Prefix, NatConfig, NatConfigError, NatMapping, Pooling, PortAllocation,
    Refresh,
};
pub use network::Network;
pub use node::AgentIndex;
pub use oracle::{Outlook, Party, Prospect};
pub use realm::{RealmId, Subnet};
pub use report::{Problem, Report, Reporting};
pub use run::{End, Step, Verdict};
pub use scenario::{
    Families, Scenario, ScenarioFailure, ScenarioReport, Side, Site, Tcp, Transition, Violation,
    Who,
};
pub use scope::{Filtering, Mapping, Scope};
pub use server::{Obtain, ServerIndex};
pub use signal::{Signal, SignalError};
pub use stats::{DropReason, NetworkStats, Unreachable, WorldStats};
pub use tcp::{Segmentation, TcpError, TcpEvent, TcpEventKind, TcpId};
pub use topology::{AddAddressError, AddInterfaceError, AddRealmError};
pub use turn_server::{
    PasswordAlgorithm, TurnAllocation, TurnBehaviour, TurnConfigError, TurnConnectionError,
    TurnIcmp, TurnMethod, TurnRefusal, TurnRejected, TurnRoute, TurnServer, TurnServerConfig,
    TurnServerLimits, TurnStats, TurnTamper, TurnUser,
};
pub use world::World;
