//! The network: datagrams on their way in virtual time, and the calls that put them there.
//!
//! It knows of addresses, not of ports or sockets, and nothing of ICE. What stands where is in
//! `topology`, how a datagram gets from one place to the next in `walk`.

use std::collections::BTreeMap;

use super::datagram::{Arrival, Datagram, DatagramId, Fate, Packet, Stop, on_wire};
use super::dice::Dice;
use super::host::{Host, HostId, Interface};
use super::realm::{Realm, RealmId};
use super::report::{Problem, Report, Reporting, Reports};
use super::stats::{NetworkStats, increment};
use super::tcp::Tcp;
use crate::time::Timestamp;

/// Hosts and the datagrams between them, in virtual time.
///
/// Time is what the caller says: an older `now` counts as the newest seen. Everything random comes
/// from the seed: for links in the order in which datagrams take them, for a NAT in the order of
/// its mappings.
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
    /// The newest time that a caller has told.
    pub(super) now: Timestamp,
    /// The time of what is happening: of a datagram that a late caller asks for, its own.
    pub(super) clock: Timestamp,
    pub(super) dice: Dice,
    pub(super) hosts: Vec<Host>,
    pub(super) interfaces: Vec<Interface>,
    /// The first is the internet.
    pub(super) realms: Vec<Realm>,
    sequence: u64,
    /// Boxed: what is moved from node to node is a pointer.
    queue: BTreeMap<DatagramId, (Stop, Box<Packet>)>,
    pub(super) reports: Reports,
    pub(super) tcp: Tcp,
    pub(super) stats: NetworkStats,
}

impl Network {
    /// A network without hosts, whose links are ideal.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        let dice = Dice::new(seed);
        Self {
            tcp: Tcp::new(dice.of_tcp()),
            now: Timestamp::ZERO,
            clock: Timestamp::ZERO,
            dice,
            hosts: Vec::new(),
            interfaces: Vec::new(),
            realms: vec![Realm::default()],
            sequence: 0,
            queue: BTreeMap::new(),
            reports: Reports::default(),
            stats: NetworkStats::default(),
        }
    }

    /// Sends a datagram from the internet, by whichever host has its source address there.
    pub fn send(&mut self, now: Timestamp, datagram: Datagram) -> Fate {
        let from = datagram.from.ip().to_canonical();
        let host = self.host_of(from);
        self.depart(now, host.map(|host| (host, RealmId::INTERNET)), datagram)
    }

    /// Sends a datagram from a host, out of the interface that has its source address.
    pub fn send_from(&mut self, now: Timestamp, host: HostId, datagram: Datagram) -> Fate {
        let from = datagram.from.ip().to_canonical();
        let realm = self.realm_of(host, from).filter(|_| self.is_reachable(host, from));
        self.depart(now, realm.map(|realm| (host, realm)), datagram)
    }

    /// Puts a datagram on the way in the internet that nobody has sent. It arrives at `at`, or now
    /// if that is past, whatever the links and rules are and whoever has its source address. At a
    /// gateway it has to get in as any other.
    pub fn inject(&mut self, at: Timestamp, datagram: Datagram) -> DatagramId {
        self.inject_in(RealmId::INTERNET, at, datagram)
    }

    /// The same in any realm. In one of another network, nobody is there to receive it.
    pub fn inject_in(&mut self, realm: RealmId, at: Timestamp, datagram: Datagram) -> DatagramId {
        increment(&mut self.stats.injected);
        let at = at.max(self.now);
        let (from, to) = (on_wire(datagram.from), on_wire(datagram.to));
        let datagram = Datagram { from, to, ..datagram };
        let packet = Packet { datagram, origin: None, segment: None };
        self.enqueue(at, Stop::Crossed(realm), Box::new(packet))
    }

    /// The next datagram that has arrived by `now`. Call it until it returns `None`: everything
    /// else that is due by then has happened as well.
    pub fn receive(&mut self, now: Timestamp) -> Option<Arrival> {
        self.advance(now);
        loop {
            let (packet, timer) = (self.next_underway(), self.next_tcp());
            let packet = packet.filter(|id| timer.is_none_or(|timer| id.arrival <= timer));
            match (packet, timer) {
                (Some(id), _) if id.arrival <= self.now => {
                    if let Some(arrival) = self.arrive(id) {
                        return Some(arrival);
                    }
                }
                (None, Some(timer)) if timer <= self.now => self.tcp_time_out(),
                _ => return None,
            }
        }
    }

    /// Sets which reports the network makes from now on.
    pub fn set_reporting(&mut self, reporting: Reporting) {
        self.reports.reporting = reporting;
    }

    /// Which reports the network makes.
    #[must_use]
    pub const fn reporting(&self) -> Reporting {
        self.reports.reporting
    }

    /// The next report that has arrived by `now`, to whichever host. Call it until it returns
    /// `None`.
    pub fn receive_report(&mut self, now: Timestamp) -> Option<Report> {
        self.advance(now);
        self.reports.pop(self.now)
    }

    /// Says of a datagram that has arrived that nobody listens at its port.
    pub fn refuse(&mut self, arrival: &Arrival) {
        if !self.reports.reporting.unreachable {
            return;
        }
        let (datagram, origin) = (arrival.datagram.clone(), arrival.origin);
        let packet = Packet { datagram, origin, segment: None };
        self.reports.add(arrival.at, &packet, Problem::PortUnreachable);
    }

    /// Takes out a datagram that is on its way.
    pub fn remove(&mut self, id: DatagramId) -> Option<Datagram> {
        let (_, packet) = self.queue.remove(&id)?;
        increment(&mut self.stats.removed);
        Some(packet.datagram)
    }

    /// A datagram on its way, to be altered.
    pub fn underway_mut(&mut self, id: DatagramId) -> Option<&mut Datagram> {
        self.queue.get_mut(&id).map(|(_, packet)| &mut packet.datagram)
    }

    /// The datagrams on their way, in the order of their arrival.
    pub fn underway(&self) -> impl DoubleEndedIterator<Item = (DatagramId, &Datagram)> {
        self.queue.iter().map(|(id, (_, packet))| (*id, &packet.datagram))
    }

    /// The next datagram to arrive.
    #[must_use]
    pub fn next_underway(&self) -> Option<DatagramId> {
        self.queue.first_key_value().map(|(id, _)| *id)
    }

    /// When the next datagram arrives, or TCP has something to do. May change with every call that
    /// takes `&mut self`.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Timestamp> {
        let packet = self.next_underway().map(DatagramId::arrival);
        packet.into_iter().chain(self.next_tcp()).min()
    }

    /// When a timer of TCP is due.
    pub(super) fn next_tcp(&self) -> Option<Timestamp> {
        self.tcp.next_timer()
    }

    /// When the next report arrives.
    #[must_use]
    pub fn next_report(&self) -> Option<Timestamp> {
        self.reports.next()
    }

    /// What became of the datagrams.
    #[must_use]
    pub const fn stats(&self) -> &NetworkStats {
        &self.stats
    }

    /// Brings the clock forward, never back.
    pub(super) fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.clock = self.now;
    }

    /// Whether a datagram has crossed the realm in which its source and destination meet, which
    /// each does once.
    pub(super) fn has_crossed(&self, id: DatagramId) -> bool {
        self.queue.get(&id).is_some_and(|(stop, _)| matches!(stop, Stop::Crossed(_)))
    }

    /// Takes a datagram out of the queue, at its time.
    pub(super) fn dequeue(&mut self, id: DatagramId) -> Option<(Stop, Box<Packet>)> {
        self.clock = id.arrival;
        self.queue.remove(&id)
    }

    pub(super) fn enqueue(&mut self, at: Timestamp, stop: Stop, packet: Box<Packet>) -> DatagramId {
        let id = DatagramId { arrival: at, sequence: self.sequence };
        self.sequence = self.sequence.saturating_add(1);
        self.queue.insert(id, (stop, packet));
        id
    }
}
