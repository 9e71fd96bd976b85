//! A network to test on, without any network: hosts, links and agents in virtual time.
//!
//! [`Network`] carries datagrams between the addresses of its hosts, over links that delay, lose,
//! duplicate and reorder, and behind rules that block. It knows nothing of ICE and serves any
//! sans-IO protocol. [`World`] puts an [`IceAgent`](crate::IceAgent) on some of its hosts, signals
//! between them, and drives each exactly as the contract of a driver says.
//!
//! # How time moves
//!
//! There is no clock. Time stands still while something happens and then jumps to the next thing
//! that is due: a signal, a datagram, the deadline of an agent. What is due at one instant happens
//! in that order, and within a kind in the order of its making. So a test of forty seconds takes
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
//! # To interfere
//!
//! Links and rules may change between any two calls. [`World::next_step`] tells what will happen
//! next before [`World::step`] lets it happen; in between, a datagram may be altered or removed
//! ([`Network::underway_mut`], [`Network::remove`]). [`World::run_filtered`] asks about every
//! datagram, and [`World::inject`] lets one arrive from anywhere. World and network are plain
//! values: a clone goes its own way.

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
mod realm;
mod report;
mod rules;
mod run;
mod scope;
mod signal;
mod sockets;
mod stats;
mod tcp;
mod topology;
mod walk;
mod world;

#[cfg(test)]
mod tests;

pub use change::SetNatError;
pub use datagram::{Arrival, Datagram, DatagramId, Fate};
pub use error::{AddSocketError, WorldError};
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
pub use realm::{RealmId, Subnet};
pub use report::{Problem, Report, Reporting};
pub use run::{End, Step, Verdict};
pub use scope::{Filtering, Mapping, Scope};
pub use signal::{Signal, SignalError};
pub use stats::{DropReason, NetworkStats, Unreachable, WorldStats};
pub use tcp::{Segmentation, TcpError, TcpEvent, TcpEventKind, TcpId};
pub use topology::{AddAddressError, AddInterfaceError, AddRealmError};
pub use world::World;
