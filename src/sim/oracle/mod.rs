//! What two agents can come to, from the topology alone.
//!
//! The oracle knows no agent and no time. It reads how gateways, NATs, firewalls and rules are set
//! up, and which candidates each side has, and says which pairs can become valid, and so what may
//! be selected. A test that compares a run with it asserts the kind of the path, and not only that
//! there is one.
//!
//! # The derivation
//!
//! Let all state of the network only grow: mappings do not expire, filters and firewalls stay open
//! once opened, and no packet is lost by chance. Then three rules are applied until nothing new
//! comes of them, at most six times:
//!
//! 1. *Gathering.* The mapping of a socket towards a STUN server is its server-reflexive
//!    candidate, if it is another address than that of the socket. An allocation on a TURN server
//!    is a relayed one; it behaves like a socket in the internet with an address-dependent filter,
//!    for that is what permissions are (RFC 8656 §9). Either exists only if the server can be
//!    reached and its answer comes back.
//! 2. *Checks.* Each side sends from each of its sockets and allocations to each address that the
//!    other has signalled. On its way out a check makes mappings by their scope (RFC 4787 §4.1)
//!    and opens filters by theirs (§5), whether or not it arrives. That each side sends to all it
//!    knows is what checklists are for; that a check may be lost to a filter that the other side
//!    opens only later does no harm, since checks are repeated and triggered.
//! 3. *Peer-reflexive candidates.* A check that arrives teaches its receiver the address that it
//!    comes from (RFC 8445 §7.3.1.3), to which the receiver sends from then on, but only from where
//!    the check arrived: peer-reflexive candidates are not paired with others (§7.3.1.4). So a
//!    relay lets nobody in whose address was not signalled.
//!
//! In the state so reached, a pair becomes valid if its check arrives and the answer, sent from
//! where the check arrived to where it came from, comes back from the address that was checked
//! (RFC 8445 §7.2.5.2.1). The same then holds for the other side, with source and destination
//! exchanged: its check takes the way of that answer, and its answer the way of that check. So one
//! set serves both. The kinds follow RFC 8445 §7.2.5.3.1: the local candidate of a valid pair is
//! the one that has the address which the peer saw, or a new peer-reflexive one; the remote one is
//! what was signalled with its address, or peer-reflexive.
//!
//! Two symmetric NATs show why over UDP: each side's check comes from a mapping that nobody knew, so
//! either the filter stops it, or the receiver's answer comes from a mapping of its own and is not
//! symmetric. However often they repeat that, no pair becomes valid.
//!
//! # Over TCP
//!
//! A TCP pair is a connection. An active candidate opens it, to a passive one that was signalled (RFC
//! 6544 §6.2, §7.1), and everything of the pair goes over it. So of what is said above, this is
//! different:
//!
//! 1. *Gathering.* A TURN server may be reached over TCP, or over TLS, which to a network is the same.
//!    It can if its first segment reaches the server and the answer comes back. What is allocated
//!    relays UDP (RFC 8656 §3.1), so thereafter it is a relayed candidate like any other. The
//!    address that a server sees a connection come from is no candidate: nobody could connect to it.
//! 2. *Connections.* Each side opens a connection from each of its active candidates, from a port
//!    that it did not have before, to each passive one of the other side. The first segment walks as
//!    a check does, by mappings, filters, flows and rules of TCP, of which those of UDP open none. It
//!    has to arrive at the passive candidate, and the answer to it, sent from there to where it came
//!    from, has to come back from the address to which it was sent. What follows takes these two ways,
//!    which are open by then: a connection that is there is a valid pair, on both sides.
//! 3. *Who waits does not punch holes.* A passive candidate sends nothing before somebody has
//!    connected to it. No mapping leads there, and no filter or flow is open, so a NAT or a firewall that
//!    lets in only what was asked for keeps everybody out, whatever its kind. The way out of that
//!    is simultaneous open (§6.2), for which neither side has candidates: of two sides behind NATs,
//!    there is none. On the other hand the mapping before the opening side may be as it likes: nobody
//!    needs to know it in advance.
//! 4. *Kinds.* Where a connection comes from was not signalled, so the opening side's candidate is
//!    peer-reflexive to both. That of the accepting side is what was signalled.
//!
//! # What may be selected
//!
//! The controlling side nominates any valid pair once no better one is about to succeed, and after
//! `nomination_wait` whatever it has. A pair whose first check a filter stops succeeds only with a
//! repetition, which may be later than that; so any pair of the set may be selected, with one
//! exception. If nothing is lost, and some direct pair succeeds with its first check, then it is
//! ahead of every relayed one, and these are not selected ([`Outlook::allows`]). A TCP pair is not
//! that far ahead, though its priority is above theirs as well: it is not in the checklist of the
//! accepting side before the other one has connected (RFC 6544 §6.2), and meanwhile that side checks,
//! and may nominate, what is relayed.
//!
//! # Limits
//!
//! Of several external addresses of a family, a NAT takes the first. Links and lines with a loss of
//! all packets are cut; any smaller loss, an MTU or a queue is not looked at. A connection is opened
//! from port 49152, and what is translated gets a port of no meaning, which is all that rules for
//! remote ports see of it.

mod model;
#[cfg(test)]
mod tests;

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeSet;

use self::model::Model;
use super::host::HostId;
use super::network::Network;
use crate::candidate::{CandidateKind, Transport};

/// How often the rules are applied. Each realm that a check crosses takes one more exchange until
/// its filter is open in both directions, and what is learned thereafter is more of the same.
const ROUNDS: usize = 6;

/// One side of a session: where it is, and what it signals.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Party {
    /// Its host.
    pub host: HostId,
    /// Its sockets, each a host candidate.
    pub sockets: Vec<SocketAddr>,
    /// STUN servers that each of its sockets asks.
    pub stun: Vec<SocketAddr>,
    /// TURN servers on which each of its sockets has an allocation.
    pub turn: Vec<SocketAddr>,
    /// The same over TCP or TLS, from each address of its sockets and of its active candidates.
    pub turn_over_tcp: Vec<SocketAddr>,
    /// Where it opens TCP connections from, each an active candidate.
    pub active: Vec<IpAddr>,
    /// Where it accepts TCP connections, each a passive candidate.
    pub passive: Vec<SocketAddr>,
}

impl Party {
    /// A side with these sockets and no servers.
    #[must_use]
    pub fn new(host: HostId, sockets: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self {
            host,
            sockets: sockets.into_iter().collect(),
            stun: Vec::new(),
            turn: Vec::new(),
            turn_over_tcp: Vec::new(),
            active: Vec::new(),
            passive: Vec::new(),
        }
    }

    /// The same side with server-reflexive candidates from this server.
    #[must_use]
    pub fn with_stun(mut self, server: SocketAddr) -> Self {
        self.stun.push(server);
        self
    }

    /// The same side with relayed candidates from this server.
    #[must_use]
    pub fn with_turn(mut self, server: SocketAddr) -> Self {
        self.turn.push(server);
        self
    }

    /// The same side with relayed candidates from this server, which it reaches over TCP or TLS.
    #[must_use]
    pub fn with_turn_over_tcp(mut self, server: SocketAddr) -> Self {
        self.turn_over_tcp.push(server);
        self
    }

    /// The same side with an active candidate of TCP.
    #[must_use]
    pub fn with_active(mut self, ip: IpAddr) -> Self {
        self.active.push(ip);
        self
    }

    /// The same side with a passive candidate of TCP.
    #[must_use]
    pub fn with_passive(mut self, addr: SocketAddr) -> Self {
        self.passive.push(addr);
        self
    }
}

/// A sort of pair that can become valid, as the first party sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Prospect {
    /// What its messages go over. Of a relayed candidate that is what the relay sends and receives,
    /// however its server is reached.
    pub transport: Transport,
    /// What the first party's candidate will be.
    pub local: CandidateKind,
    /// What it will take its peer's candidate for.
    pub remote: CandidateKind,
    /// The first check of either side is answered, whatever the other side has sent so far. Never so
    /// over TCP, where the accepting side has none before the other one has connected.
    pub immediate: bool,
}

impl Prospect {
    /// Whether a relay is on the way.
    #[must_use]
    pub fn is_relayed(self) -> bool {
        [self.local, self.remote].contains(&CandidateKind::Relayed)
    }
}

/// What two parties can come to.
///
/// ```
/// use frazil::CandidateKind::{Host, PeerReflexive, Relayed};
/// use frazil::sim::{GatewayConfig, NatConfig, Network, Outlook, Party, RealmId};
///
/// let mut network = Network::new([7; 32]);
/// let home = GatewayConfig::nat(NatConfig::new(["203.0.113.1".parse()?]));
/// let home = network.add_realm(RealmId::INTERNET, home)?;
/// let (alice, bob) = (network.add_host_in(home)?, network.add_host());
/// network.add_address(alice, "192.168.1.2".parse()?)?;
/// network.add_address(bob, "192.0.2.2".parse()?)?;
///
/// let alice = Party::new(alice, ["192.168.1.2:5000".parse()?]);
/// let bob = Party::new(bob, ["192.0.2.2:6000".parse()?]);
/// let outlook = Outlook::new(&network, [&alice, &bob]);
/// assert!(outlook.is_direct() && !outlook.is_relayed());
/// assert!(outlook.allows(PeerReflexive, Host, true));
/// assert!(!outlook.allows(Relayed, Host, true));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    prospects: BTreeSet<Prospect>,
}

impl Outlook {
    /// What these parties can come to on this network as it is set up now.
    #[must_use]
    pub fn new(network: &Network, parties: [&Party; 2]) -> Self {
        let mut model = Model::gather(network, parties);
        let fresh = model.clone();
        model.exchange(ROUNDS);
        model.connect(ROUNDS);
        let mut prospects = BTreeSet::new();
        for (pair, (local, remote)) in model.valid_pairs() {
            let immediate = fresh.clone().is_valid(pair) && fresh.clone().is_valid(pair.mirrored());
            prospects.insert(Prospect { transport: Transport::Udp, local, remote, immediate });
        }
        for (local, remote) in model.open_connections() {
            let (transport, immediate) = (Transport::Tcp, false);
            prospects.insert(Prospect { transport, local, remote, immediate });
        }
        Self { prospects }
    }

    /// Whether there is any path.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        !self.prospects.is_empty()
    }

    /// Whether there is a path without a relay, of whatever transport.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.prospects.iter().any(|prospect| !prospect.is_relayed())
    }

    /// Whether there is a path with a relay.
    #[must_use]
    pub fn is_relayed(&self) -> bool {
        self.prospects.iter().any(|prospect| prospect.is_relayed())
    }

    /// Whether the first party may select a pair of these kinds, of whatever transport; for its peer,
    /// exchange them. `lossless` says that no packet is lost by chance.
    #[must_use]
    pub fn allows(&self, local: CandidateKind, remote: CandidateKind, lossless: bool) -> bool {
        [Transport::Udp, Transport::Tcp]
            .into_iter()
            .any(|transport| self.allows_over(transport, local, remote, lossless))
    }

    /// The same of pairs of this transport alone.
    ///
    /// ```
    /// use frazil::CandidateKind::{Host, PeerReflexive};
    /// use frazil::Transport;
    /// use frazil::sim::{FirewallConfig, GatewayConfig, Network, Outlook, Party, RealmId};
    ///
    /// let mut network = Network::new([7; 32]);
    /// let firewall = FirewallConfig::stateful().without_udp();
    /// let office = GatewayConfig::routed().with_firewall(firewall);
    /// let office = network.add_realm(RealmId::INTERNET, office)?;
    /// let (alice, bob) = (network.add_host_in(office)?, network.add_host());
    /// network.add_address(alice, "192.0.2.1".parse()?)?;
    /// network.add_address(bob, "192.0.2.2".parse()?)?;
    ///
    /// let alice = Party::new(alice, ["192.0.2.1:5000".parse()?]).with_active("192.0.2.1".parse()?);
    /// let bob = Party::new(bob, ["192.0.2.2:6000".parse()?]);
    /// assert!(!Outlook::new(&network, [&alice, &bob]).is_possible());
    /// let bob = bob.with_passive("192.0.2.2:443".parse()?);
    /// let outlook = Outlook::new(&network, [&alice, &bob]);
    /// assert!(outlook.allows_over(Transport::Tcp, PeerReflexive, Host, true));
    /// assert!(!outlook.allows_over(Transport::Udp, PeerReflexive, Host, true));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    #[must_use]
    pub fn allows_over(
        &self,
        transport: Transport,
        local: CandidateKind,
        remote: CandidateKind,
        lossless: bool,
    ) -> bool {
        let ahead = |prospect: &Prospect| prospect.immediate && !prospect.is_relayed();
        let beaten = lossless && self.prospects.iter().any(ahead);
        self.prospects.iter().any(|prospect| {
            (prospect.transport, prospect.local, prospect.remote) == (transport, local, remote)
                && !(beaten && prospect.is_relayed())
        })
    }

    /// All that can become valid.
    pub fn prospects(&self) -> impl Iterator<Item = Prospect> {
        self.prospects.iter().copied()
    }
}
