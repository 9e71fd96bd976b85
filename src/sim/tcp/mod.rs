//! TCP byte streams between hosts.
//!
//! A segment is a packet like any other: it takes the same links, is translated by the same NATs
//! (a mapping and a filter of its own transport, RFC 5382) and stopped by the same firewalls. What
//! is lost is sent again, what overtakes waits, and what nobody lets in is never answered, so that
//! a connection through a closed filter times out where one to a closed port is refused.

mod end;

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use end::{End, Output};

use super::datagram::{Datagram, Origin, Packet, on_wire};
use super::host::HostId;
use super::network::Network;
use crate::candidate::Transport;
use crate::time::Timestamp;

/// The most data in a segment: fits everywhere where IPv6 does.
const MAX_SEGMENT: usize = 1_200;
/// The most ends of connections in a network. What would be more is not opened.
const MAX_ENDS: usize = 65_536;
/// How many events wait to be polled before data counts as not arrived.
const MAX_EVENTS: usize = 65_536;

/// One end of a TCP connection. Each side has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TcpId(u64);

/// How a byte stream is cut into segments. No segment has more than 1,200 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Segmentation {
    /// Into as few as possible, for each call of [`Network::tcp_send`].
    #[default]
    Full,
    /// Anywhere, as the seed wants.
    Random,
    /// Into these sizes, over and over; zero counts as one.
    Sizes(Vec<usize>),
}

/// Something that one end of a connection has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpEvent {
    /// When it was.
    pub at: Timestamp,
    /// The end.
    pub id: TcpId,
    /// What it was.
    pub kind: TcpEventKind,
}

/// What an end of a connection tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TcpEventKind {
    /// The connection that this side has opened is there.
    Connected,
    /// The other side has opened a connection to a listener, and it is there.
    Accepted {
        /// The host of the listener.
        host: HostId,
        /// The address of the listener.
        local: SocketAddr,
        /// The other side, as it is seen from here.
        remote: SocketAddr,
    },
    /// Nobody listens there. The end is gone.
    Refused,
    /// The other side has not answered for too long. The end is gone.
    TimedOut,
    /// Bytes of the stream, in their order.
    Data(Vec<u8>),
    /// The other side sends no more.
    Finished,
    /// The other side has reset the connection, or does not know of it. The end is gone.
    Reset,
}

/// Why no connection was opened or listened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TcpError {
    /// The host is unknown or does not have the local address.
    #[error("the host does not have the address")]
    UnknownAddress,
    /// There is such a connection or listener already.
    #[error("in use")]
    InUse,
    /// There are 65,536 ends of connections.
    #[error("too many connections")]
    TooMany,
}

/// What a segment says beside its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    sequence: u64,
    /// The next sequence number that is expected of the other side.
    ack: Option<u64>,
    syn: bool,
    fin: bool,
    rst: bool,
}

type Tuple = (HostId, SocketAddr, SocketAddr);

/// Everything TCP of a network.
#[derive(Clone, Debug)]
pub(super) struct Tcp {
    rng: ChaCha8Rng,
    segmentation: Segmentation,
    /// Where the given sizes go on.
    cut: usize,
    next: u64,
    listeners: BTreeSet<(HostId, SocketAddr)>,
    ends: BTreeMap<TcpId, End>,
    tuples: BTreeMap<Tuple, TcpId>,
    timers: BTreeSet<(Timestamp, TcpId)>,
    events: VecDeque<TcpEvent>,
}

impl Tcp {
    pub(super) fn new(rng: ChaCha8Rng) -> Self {
        Self {
            rng,
            segmentation: Segmentation::default(),
            cut: 0,
            next: 0,
            listeners: BTreeSet::new(),
            ends: BTreeMap::new(),
            tuples: BTreeMap::new(),
            timers: BTreeSet::new(),
            events: VecDeque::new(),
        }
    }

    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Forgets everything of a host that has crashed.
    pub(super) fn forget(&mut self, host: HostId) {
        self.listeners.retain(|(other, _)| *other != host);
        let ends: Vec<TcpId> =
            self.ends.iter().filter(|(_, end)| end.host == host).map(|(id, _)| *id).collect();
        for id in ends {
            self.remove(id);
        }
    }

    fn open(
        &mut self,
        host: HostId,
        (local, remote): (SocketAddr, SocketAddr),
        active: bool,
    ) -> Result<TcpId, TcpError> {
        if self.tuples.contains_key(&(host, local, remote)) {
            return Err(TcpError::InUse);
        }
        if self.ends.len() >= MAX_ENDS {
            return Err(TcpError::TooMany);
        }
        let id = TcpId(self.next);
        self.next = self.next.saturating_add(1);
        // A space of sequence numbers for each end: a late segment of another connection between
        // the same endpoints is out of the window.
        let initial = id.0.wrapping_shl(32);
        self.ends.insert(id, End::new(host, (local, remote), active, initial));
        self.tuples.insert((host, local, remote), id);
        Ok(id)
    }

    fn remove(&mut self, id: TcpId) {
        let Some(end) = self.ends.remove(&id) else { return };
        self.tuples.remove(&(end.host, end.local, end.remote));
        if let Some(deadline) = end.deadline() {
            self.timers.remove(&(deadline, id));
        }
    }

    /// How many of the next bytes of a stream go into one segment.
    fn cut(&mut self, len: usize) -> usize {
        let most = len.min(MAX_SEGMENT);
        match &self.segmentation {
            Segmentation::Full => most,
            Segmentation::Random => {
                let draw = u64::from(self.rng.next_u32());
                let scaled = draw.saturating_mul(u64::try_from(most).unwrap_or(u64::MAX)) >> 32;
                usize::try_from(scaled).unwrap_or(0).saturating_add(1)
            }
            Segmentation::Sizes(sizes) => {
                let size = sizes.get(self.cut).or_else(|| sizes.first()).copied();
                let next = self.cut.saturating_add(1);
                self.cut = if next < sizes.len() { next } else { 0 };
                size.unwrap_or(most).clamp(1, most)
            }
        }
    }
}

impl Network {
    /// Lets a host accept connections at an address of its own. What comes of them are events
    /// ([`TcpEventKind::Accepted`]).
    ///
    /// # Errors
    /// The host does not have the address, or listens there already.
    pub fn tcp_listen(&mut self, host: HostId, local: SocketAddr) -> Result<(), TcpError> {
        let local = on_wire(local);
        self.realm_of(host, local.ip()).ok_or(TcpError::UnknownAddress)?;
        if self.tcp.listeners.insert((host, local)) { Ok(()) } else { Err(TcpError::InUse) }
    }

    /// Lets a host accept no more connections at an address; those that there are stay. Returns
    /// whether it did.
    pub fn tcp_unlisten(&mut self, host: HostId, local: SocketAddr) -> bool {
        self.tcp.listeners.remove(&(host, on_wire(local)))
    }

    /// Opens a connection from an address of a host. Whether it comes about is an event.
    ///
    /// ```
    /// use frazil::Timestamp;
    /// use frazil::sim::{Network, TcpEventKind};
    ///
    /// let mut network = Network::new([7; 32]);
    /// let (alice, bob) = (network.add_host(), network.add_host());
    /// network.add_address(alice, "192.0.2.1".parse()?)?;
    /// network.add_address(bob, "192.0.2.2".parse()?)?;
    /// let (local, remote) = ("192.0.2.1:5000".parse()?, "192.0.2.2:443".parse()?);
    /// network.tcp_listen(bob, remote)?;
    /// let now = Timestamp::ZERO;
    /// let id = network.tcp_connect(now, alice, local, remote)?;
    /// assert!(network.receive(now).is_none());
    ///
    /// let connected = network.poll_tcp().ok_or("no event")?;
    /// assert_eq!((connected.id, connected.kind), (id, TcpEventKind::Connected));
    /// let accepted = network.poll_tcp().ok_or("no event")?;
    /// assert_eq!(network.tcp_send(now, accepted.id, b"hello"), 5);
    /// assert!(network.receive(now).is_none());
    /// let data = network.poll_tcp().ok_or("no event")?;
    /// assert_eq!((data.id, data.kind), (id, TcpEventKind::Data(b"hello".to_vec())));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The host does not have the address, or there is such a connection already.
    pub fn tcp_connect(
        &mut self,
        now: Timestamp,
        host: HostId,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<TcpId, TcpError> {
        self.advance(now);
        let pair = (on_wire(local), on_wire(remote));
        self.realm_of(host, pair.0.ip()).ok_or(TcpError::UnknownAddress)?;
        let id = self.tcp.open(host, pair, true)?;
        self.with_end(id, End::send);
        Ok(id)
    }

    /// Writes to a connection. Returns how many bytes were taken: none while it is not there, or
    /// when it is closed, and not more than there is room for in a buffer of 65,536 bytes.
    pub fn tcp_send(&mut self, now: Timestamp, id: TcpId, data: &[u8]) -> usize {
        self.advance(now);
        let room = self.tcp.ends.get(&id).map_or(0, End::room);
        let taken = data.get(..room).unwrap_or(data);
        let mut rest = taken;
        while !rest.is_empty() {
            let size = self.tcp.cut(rest.len());
            let (segment, after) = rest.split_at_checked(size).unwrap_or((rest, &[]));
            rest = after;
            if let Some(end) = self.tcp.ends.get_mut(&id) {
                end.queue(segment);
            }
        }
        self.with_end(id, End::send);
        taken.len()
    }

    /// Says that this side sends no more. What it has written still arrives, and it still
    /// receives; once the other side has closed as well, the end is gone.
    pub fn tcp_close(&mut self, now: Timestamp, id: TcpId) {
        self.advance(now);
        self.with_end(id, |end, now, out| {
            end.close();
            end.send(now, out);
        });
    }

    /// Resets a connection. The end is gone.
    pub fn tcp_reset(&mut self, now: Timestamp, id: TcpId) {
        self.advance(now);
        self.with_end(id, |end, _, out| {
            out.push(Output::Segment(end.reset(), Vec::new()));
            out.push(Output::Gone);
        });
    }

    /// Sets how streams are cut from now on.
    pub fn set_segmentation(&mut self, segmentation: Segmentation) {
        self.tcp.segmentation = segmentation;
        self.tcp.cut = 0;
    }

    /// What TCP has to tell, in the order in which it has happened. Call it after
    /// [`receive`](Self::receive) until it returns `None`.
    pub fn poll_tcp(&mut self) -> Option<TcpEvent> {
        self.tcp.events.pop_front()
    }

    /// The address of the other side as this end sees it, while there is such an end.
    #[must_use]
    pub fn tcp_remote(&self, id: TcpId) -> Option<SocketAddr> {
        self.tcp.ends.get(&id).map(|end| end.remote)
    }

    /// A segment arrives at a host.
    pub(super) fn tcp_arrive(&mut self, host: HostId, datagram: Datagram, segment: Segment) {
        let Datagram { from, to, payload, .. } = datagram;
        let listens = self.tcp.listeners.contains(&(host, to));
        let opens = segment.syn && segment.ack.is_none();
        let known = self.tcp.tuples.get(&(host, to, from)).copied();
        let over = known.filter(|id| opens && self.tcp.ends.get(id).is_some_and(End::has_closed));
        if let Some(id) = over {
            self.tcp.remove(id);
        }
        let id = match known.filter(|_| over.is_none()) {
            Some(id) => id,
            None if segment.rst => return,
            None if opens && listens => {
                let Ok(id) = self.tcp.open(host, (to, from), false) else { return };
                id
            }
            None => {
                let ack = Some(segment.sequence.saturating_add(1));
                let sequence = segment.ack.unwrap_or(0);
                let refusal = Segment { sequence, ack, syn: false, fin: false, rst: true };
                self.emit(host, (to, from), refusal, Vec::new());
                return;
            }
        };
        let keep_data = self.tcp.events.len() < MAX_EVENTS;
        self.with_end(id, |end, now, out| end.receive(now, segment, payload, keep_data, out));
    }

    /// The first timer is due.
    pub(super) fn tcp_time_out(&mut self) {
        let Some((at, id)) = self.tcp.timers.pop_first() else { return };
        self.clock = at;
        self.with_end(id, End::time_out);
    }

    /// Does something with an end, and then what it wants.
    fn with_end(&mut self, id: TcpId, act: impl FnOnce(&mut End, Timestamp, &mut Vec<Output>)) {
        let at = self.clock;
        let Some(end) = self.tcp.ends.get_mut(&id) else { return };
        let (host, pair) = (end.host, (end.local, end.remote));
        let before = end.deadline();
        let mut out = Vec::new();
        act(end, at, &mut out);
        let after = end.deadline();
        if before != after {
            if let Some(before) = before {
                self.tcp.timers.remove(&(before, id));
            }
            if let Some(after) = after {
                self.tcp.timers.insert((after, id));
            }
        }
        for output in out {
            match output {
                Output::Segment(segment, data) => self.emit(host, pair, segment, data),
                Output::Event(kind) => self.tcp.events.push_back(TcpEvent { at, id, kind }),
                Output::Gone => self.tcp.remove(id),
            }
        }
    }

    fn emit(
        &mut self,
        host: HostId,
        (from, to): (SocketAddr, SocketAddr),
        segment: Segment,
        payload: Vec<u8>,
    ) {
        let datagram = Datagram { transport: Transport::Tcp, from, to, dscp: 0, payload };
        let origin = Some(Origin { host, from, to, sent: self.clock });
        let realm = self.realm_of(host, from.ip()).filter(|_| self.is_reachable(host, from.ip()));
        self.launch(realm, Box::new(Packet { datagram, origin, segment: Some(segment) }));
    }
}
