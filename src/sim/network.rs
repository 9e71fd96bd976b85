//! The network: hosts, addresses, and datagrams on their way in virtual time.
//!
//! It knows of addresses, not of ports or sockets, and nothing of ICE. A datagram passes three
//! places: `depart` (source address, rules, chance), the queue, and `arrive` (rules, destination
//! address). Whatever else stands on a path belongs into one of them.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;

use super::dice::{Dice, Throw};
use super::link::Link;
use super::rules::Rules;
use super::stats::{NetworkStats, Unreachable, increment};
use crate::address::normal;
use crate::candidate::Transport;
use crate::time::Timestamp;

/// A host of a [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(u32);

/// A datagram.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Datagram {
    /// The transport.
    pub transport: Transport,
    /// Where it comes from.
    pub from: SocketAddr,
    /// Where it goes.
    pub to: SocketAddr,
    /// Its DSCP.
    pub dscp: u8,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Datagram {
    /// A UDP datagram of the default DSCP.
    #[must_use]
    pub fn udp(from: SocketAddr, to: SocketAddr, payload: impl Into<Vec<u8>>) -> Self {
        Self { transport: Transport::Udp, from, to, dscp: 0, payload: payload.into() }
    }
}

/// A datagram on its way. Ordered by time of arrival, those of one instant as they were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatagramId {
    arrival: Timestamp,
    sequence: u64,
}

impl DatagramId {
    /// When it arrives.
    #[must_use]
    pub const fn arrival(self) -> Timestamp {
        self.arrival
    }
}

/// A datagram that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an arrival that nobody looks at is a lost packet"]
pub struct Arrival {
    /// When it was due.
    pub at: Timestamp,
    /// The host that has its destination address.
    pub host: HostId,
    /// The datagram.
    pub datagram: Datagram,
}

/// What became of a datagram that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is on its way.
    Underway,
    /// Chance has lost it; no sender can know.
    Lost,
    /// A rule has stopped it.
    Blocked,
    /// There is no way.
    Unreachable(Unreachable),
}

/// Why a host did not get an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddAddressError {
    /// The host is of another network.
    #[error("no such host")]
    UnknownHost,
    /// Another host has the address.
    #[error("another host has the address")]
    Taken,
}

/// Hosts and the datagrams between them, in virtual time.
///
/// Time is what the caller says: an older `now` counts as the newest seen. Everything random comes
/// from the seed, in the order of the calls of [`send`](Self::send).
///
/// ```
/// use core::time::Duration;
/// use frazil::Timestamp;
/// use frazil::sim::{Datagram, Fate, Link, Network};
///
/// let mut network = Network::new([7; 32]);
/// let (alice, bob) = (network.add_host(), network.add_host());
/// network.add_address(alice, "192.0.2.1".parse()?)?;
/// network.add_address(bob, "192.0.2.2".parse()?)?;
/// network.set_default_link(Link::delayed(Duration::from_millis(10)));
///
/// let datagram = Datagram::udp("192.0.2.1:5000".parse()?, "192.0.2.2:6000".parse()?, *b"hello");
/// assert_eq!(network.send(Timestamp::ZERO, datagram), Fate::Underway);
///
/// let due = Timestamp::from_millis(10);
/// assert_eq!(network.next_arrival(), Some(due));
/// assert!(network.receive(Timestamp::from_millis(9)).is_none());
/// let arrival = network.receive(due).ok_or("nothing has arrived")?;
/// assert_eq!((arrival.host, arrival.datagram.payload.as_slice()), (bob, &b"hello"[..]));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Network {
    now: Timestamp,
    dice: Dice,
    hosts: u32,
    addresses: BTreeMap<IpAddr, HostId>,
    default_link: Link,
    links: BTreeMap<(IpAddr, IpAddr), Link>,
    rules: Rules,
    sequence: u64,
    queue: BTreeMap<DatagramId, Underway>,
    stats: NetworkStats,
}

/// What the queue holds.
#[derive(Clone, Debug)]
struct Underway {
    datagram: Datagram,
    /// Rules bind those who send, not a test that injects.
    injected: bool,
}

impl Network {
    /// A network without hosts, whose links are ideal.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            now: Timestamp::ZERO,
            dice: Dice::new(seed),
            hosts: 0,
            addresses: BTreeMap::new(),
            default_link: Link::default(),
            links: BTreeMap::new(),
            rules: Rules::default(),
            sequence: 0,
            queue: BTreeMap::new(),
            stats: NetworkStats::default(),
        }
    }

    /// Adds a host, without addresses yet.
    pub fn add_host(&mut self) -> HostId {
        let id = HostId(self.hosts);
        self.hosts = self.hosts.saturating_add(1);
        id
    }

    /// Gives an address to a host. One that it has already stays.
    ///
    /// # Errors
    /// The host is unknown, or another host has the address.
    pub fn add_address(&mut self, host: HostId, addr: IpAddr) -> Result<(), AddAddressError> {
        if host.0 >= self.hosts {
            return Err(AddAddressError::UnknownHost);
        }
        let owner = *self.addresses.entry(addr.to_canonical()).or_insert(host);
        if owner == host { Ok(()) } else { Err(AddAddressError::Taken) }
    }

    /// Takes an address away, as when an interface goes down. What is on its way to it becomes
    /// unreachable unless the address is back in time. Returns the host that had it.
    pub fn remove_address(&mut self, addr: IpAddr) -> Option<HostId> {
        self.addresses.remove(&addr.to_canonical())
    }

    /// Sets the link of all address pairs that have none of their own. What is on its way already
    /// keeps its time of arrival.
    pub fn set_default_link(&mut self, link: Link) {
        self.default_link = link;
    }

    /// Sets the link from one address to another; the opposite direction is a link of its own.
    pub fn set_link(&mut self, from: IpAddr, to: IpAddr, link: Link) {
        self.links.insert((from.to_canonical(), to.to_canonical()), link);
    }

    /// Lets nothing pass from one address to another. Takes effect at once: what is on its way
    /// does not arrive.
    pub fn block(&mut self, from: IpAddr, to: IpAddr) {
        self.rules.block(from.to_canonical(), to.to_canonical());
    }

    /// [`block`](Self::block) in both directions.
    pub fn block_between(&mut self, one: IpAddr, other: IpAddr) {
        self.block(one, other);
        self.block(other, one);
    }

    /// Takes a block back, in the one direction.
    pub fn unblock(&mut self, from: IpAddr, to: IpAddr) {
        self.rules.unblock(from.to_canonical(), to.to_canonical());
    }

    /// [`unblock`](Self::unblock) in both directions.
    pub fn unblock_between(&mut self, one: IpAddr, other: IpAddr) {
        self.unblock(one, other);
        self.unblock(other, one);
    }

    /// Lets nothing pass but from the first to the second address of each item. Blocked directions
    /// stay blocked; a later call replaces the list.
    pub fn allow_only(&mut self, directions: impl IntoIterator<Item = (IpAddr, IpAddr)>) {
        let canonical = |(from, to): (IpAddr, IpAddr)| (from.to_canonical(), to.to_canonical());
        self.rules.allow_only(directions.into_iter().map(canonical));
    }

    /// Lets everything pass again.
    pub fn clear_rules(&mut self) {
        self.rules.clear();
    }

    /// Sends a datagram.
    pub fn send(&mut self, now: Timestamp, datagram: Datagram) -> Fate {
        self.advance(now);
        increment(&mut self.stats.sent);
        self.depart(datagram)
    }

    /// Puts a datagram on the way that nobody has sent. It arrives at `at`, or now if that is
    /// past, whatever the links and rules are and whoever has its source address.
    pub fn inject(&mut self, at: Timestamp, datagram: Datagram) -> DatagramId {
        increment(&mut self.stats.injected);
        self.enqueue(at, Underway { datagram, injected: true })
    }

    /// The next datagram that has arrived by `now`. Call it until it returns `None`.
    pub fn receive(&mut self, now: Timestamp) -> Option<Arrival> {
        self.advance(now);
        while let Some(id) = self.next_underway().filter(|id| id.arrival <= self.now) {
            if let Some(arrival) = self.arrive(id) {
                return Some(arrival);
            }
        }
        None
    }

    /// Takes out a datagram that is on its way.
    pub fn remove(&mut self, id: DatagramId) -> Option<Datagram> {
        let underway = self.queue.remove(&id)?;
        increment(&mut self.stats.removed);
        Some(underway.datagram)
    }

    /// A datagram on its way, to be altered.
    pub fn underway_mut(&mut self, id: DatagramId) -> Option<&mut Datagram> {
        self.queue.get_mut(&id).map(|underway| &mut underway.datagram)
    }

    /// The datagrams on their way, in the order of their arrival.
    pub fn underway(&self) -> impl DoubleEndedIterator<Item = (DatagramId, &Datagram)> {
        self.queue.iter().map(|(id, underway)| (*id, &underway.datagram))
    }

    /// The next datagram to arrive.
    #[must_use]
    pub fn next_underway(&self) -> Option<DatagramId> {
        self.queue.first_key_value().map(|(id, _)| *id)
    }

    /// When the next datagram arrives. May change with every call that takes `&mut self`.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Timestamp> {
        self.next_underway().map(DatagramId::arrival)
    }

    /// The host that has an address.
    #[must_use]
    pub fn host_of(&self, addr: IpAddr) -> Option<HostId> {
        self.addresses.get(&addr.to_canonical()).copied()
    }

    /// The link from one address to another.
    #[must_use]
    pub fn link(&self, from: IpAddr, to: IpAddr) -> Link {
        let direction = (from.to_canonical(), to.to_canonical());
        *self.links.get(&direction).unwrap_or(&self.default_link)
    }

    /// What became of the datagrams.
    #[must_use]
    pub const fn stats(&self) -> &NetworkStats {
        &self.stats
    }

    /// Brings the clock forward, never back.
    pub(super) fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    /// Takes a datagram from the queue to its destination, if it gets there.
    pub(super) fn arrive(&mut self, id: DatagramId) -> Option<Arrival> {
        let Underway { datagram, injected } = self.queue.remove(&id)?;
        self.advance(id.arrival);
        let (from, to) = (datagram.from.ip().to_canonical(), datagram.to.ip().to_canonical());
        if !injected && !self.rules.permit(from, to) {
            increment(&mut self.stats.blocked);
            return None;
        }
        let Some(host) = self.host_of(to) else {
            self.stats.count_unreachable(Unreachable::Destination);
            return None;
        };
        increment(&mut self.stats.delivered);
        Some(Arrival { at: id.arrival, host, datagram })
    }

    fn depart(&mut self, datagram: Datagram) -> Fate {
        let (from, to) = (datagram.from.ip().to_canonical(), datagram.to.ip().to_canonical());
        if from.is_ipv4() != to.is_ipv4() {
            return self.unreachable(Unreachable::Family);
        }
        if self.host_of(from).is_none() {
            return self.unreachable(Unreachable::Source);
        }
        if !self.rules.permit(from, to) {
            increment(&mut self.stats.blocked);
            return Fate::Blocked;
        }
        match self.dice.throw(&self.link(from, to)) {
            Throw::Lost => {
                increment(&mut self.stats.lost);
                Fate::Lost
            }
            Throw::Arrives(delay, duplicate) => {
                let copy = duplicate.map(|delay| (delay, datagram.clone()));
                self.enqueue(self.now + delay, Underway { datagram, injected: false });
                if let Some((delay, datagram)) = copy {
                    increment(&mut self.stats.duplicated);
                    self.enqueue(self.now + delay, Underway { datagram, injected: false });
                }
                Fate::Underway
            }
        }
    }

    fn unreachable(&mut self, reason: Unreachable) -> Fate {
        self.stats.count_unreachable(reason);
        Fate::Unreachable(reason)
    }

    /// On the wire an address has one form only, whatever sort of socket it was sent from.
    fn enqueue(&mut self, at: Timestamp, mut underway: Underway) -> DatagramId {
        underway.datagram.from = normal(underway.datagram.from);
        underway.datagram.to = normal(underway.datagram.to);
        let id = DatagramId { arrival: at.max(self.now), sequence: self.sequence };
        self.sequence = self.sequence.saturating_add(1);
        self.queue.insert(id, underway);
        id
    }
}
