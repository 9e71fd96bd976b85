//! [`Mdns`]: the querier and the responder as one value with one deadline.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::config::{MdnsConfig, MdnsConfigError};
use super::io::{
    Hidden, MdnsArrival, MdnsCounters, MdnsEvent, MdnsIgnored, MdnsLink, MdnsMessage, MdnsQueryId,
    MdnsReceived, MdnsTransmit,
};
use super::name::{MdnsName, MdnsNameError};
use super::querier::{Querier, is_usable};
use super::responder::{Responder, To};
use super::scan::{MAX_MESSAGE, scan};
use super::write::{self, Answer};
use crate::address::normal;
use crate::time::Timestamp;

/// RFC 6762 §3.
pub(super) const PORT: u16 = 5353;
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

/// One of the two multicast groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    V4,
    V6,
}

impl Group {
    const fn addr(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(GROUP_V4),
            Self::V6 => IpAddr::V6(GROUP_V6),
        }
    }
}

/// A querier and a responder of multicast DNS, for the names in candidates
/// (draft-ietf-rtcweb-mdns-ice-candidates-04).
///
/// One value serves all agents of a process: whoever has the sockets owns it. It does no I/O and
/// reads no clock, and is driven as an [`IceAgent`](crate::IceAgent) is:
/// [`handle_datagram`](Self::handle_datagram) for what arrives on port 5353, on the groups
/// 224.0.0.251 and `ff02::fb`, and on the socket that sends questions;
/// [`handle_timeout`](Self::handle_timeout) at [`poll_timeout`](Self::poll_timeout); and after each
/// call [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event) until both are
/// empty.
///
/// * It answers questions for the names that are published, on the link where they are, and nothing
///   else. Nobody learns what is not asked for by its name.
/// * Questions go out at once, then after 1 s, 2 s and so on; the first asks for a unicast answer.
/// * A name is published without probing, for it is random (draft §3.1.1), and taken back with a
///   goodbye if somebody has heard of it.
/// * All that is sent is under a rate of [`MdnsLimits`](super::MdnsLimits) (draft §6.1).
/// * `Debug` shows names and no addresses.
///
/// Answers are believed, as ever with multicast DNS: whoever is on the link can forge them. What
/// comes of a wrong one is connectivity checks to a wrong address, which nobody answers.
///
/// ```
/// use frazil::{MdnsLink, Mdns, MdnsArrival, MdnsConfig, MdnsEvent, Timestamp};
///
/// let now = Timestamp::ZERO;
/// let (alice, bob) = ("192.168.1.10:5353".parse()?, "192.168.1.20:5353".parse()?);
/// let mut a = Mdns::new(MdnsConfig::default(), [1; 32])?;
/// let mut b = Mdns::new(MdnsConfig::default(), [2; 32])?;
///
/// // Alice hides an address behind a name, and Bob is told the name.
/// let name = a.new_name();
/// a.publish(now, name.clone(), "192.168.1.10".parse()?, MdnsLink(1))?;
/// let query = b.query(now, name.as_str())?;
///
/// // Bob's questions reach Alice, who answers one of them to him alone.
/// let mut buf = Vec::new();
/// while let Some(transmit) = b.poll_transmit(now, &mut buf) {
///     let arrival = MdnsArrival::new(MdnsLink(1), transmit.to, bob);
///     a.handle_datagram(now, arrival, &buf[transmit.range]);
/// }
/// let transmit = a.poll_transmit(now, &mut buf).expect("the answer");
/// assert_eq!(transmit.to, bob);
/// b.handle_datagram(now, MdnsArrival::new(MdnsLink(1), bob, alice).on_link(), &buf[transmit.range]);
///
/// let Some(MdnsEvent::Resolved { query: resolved, addr, .. }) = b.poll_event() else { panic!() };
/// assert_eq!((resolved, addr), (query, alice.ip()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mdns {
    /// The newest time seen.
    now: Timestamp,
    any_name: bool,
    querier: Querier,
    responder: Responder,
    counters: MdnsCounters,
    rng: ChaCha12Rng,
}

impl Mdns {
    /// With no names and no queries.
    ///
    /// # Errors
    /// A field of the configuration is out of its bounds.
    pub fn new(config: MdnsConfig, seed: [u8; 32]) -> Result<Self, MdnsConfigError> {
        config.validate()?;
        let groups = [(config.ipv4, Group::V4), (config.ipv6, Group::V6)];
        let groups = groups.into_iter().filter_map(|(there, group)| there.then_some(group));
        Ok(Self {
            now: Timestamp::ZERO,
            any_name: config.any_name,
            querier: Querier::new(&config),
            responder: Responder::new(groups.collect(), config.announce, &config.limits),
            counters: MdnsCounters::default(),
            rng: ChaCha12Rng::from_seed(seed),
        })
    }

    /// A name that nobody else has: a random UUID. It is not published by this.
    pub fn new_name(&mut self) -> MdnsName {
        let mut random = [0; 16];
        self.rng.fill_bytes(&mut random);
        MdnsName::from_random(random)
    }

    /// From now on, questions for the name that come from this link are answered with the address.
    ///
    /// A name stands for one address (draft §3.1.1); an address may have many names. What is
    /// published twice has to be taken back twice.
    ///
    /// # Errors
    /// The name stands for another address or on another link, the address is none of a host, or
    /// `limits.names` are published.
    pub fn publish(
        &mut self,
        now: Timestamp,
        name: MdnsName,
        addr: IpAddr,
        link: MdnsLink,
    ) -> Result<(), MdnsPublishError> {
        let now = self.advance(now);
        let addr = addr.to_canonical();
        if !is_usable(addr) {
            return Err(MdnsPublishError::Address);
        }
        let addr = Hidden(addr);
        self.responder.publish(now, name.clone(), addr, link, &mut self.counters)?;
        self.querier.published(now, &name, addr, link);
        Ok(())
    }

    /// Takes back a name that was published. Whether it was.
    pub fn unpublish(&mut self, now: Timestamp, name: &MdnsName) -> bool {
        let now = self.advance(now);
        self.responder.unpublish(now, name, &mut self.counters)
    }

    /// Asks for the address behind a name. One event says what came of it. A name that is published
    /// here is known at once; queries for one name share their questions.
    ///
    /// # Errors
    /// The name is no [`MdnsName`], or no UUID and `any_name` is not set; or `limits.queries` are
    /// under way.
    pub fn query(&mut self, now: Timestamp, name: &str) -> Result<MdnsQueryId, MdnsQueryError> {
        let now = self.advance(now);
        let name: MdnsName = name.parse()?;
        if !self.any_name && !name.is_uuid() {
            return Err(MdnsQueryError::NotUuid);
        }
        match self.responder.find(&name) {
            Some((addr, link)) => self.querier.at_once(addr, link),
            None => self.querier.query(now, name),
        }
    }

    /// Ends a query without an event. One that has ended is nothing to cancel.
    pub fn cancel(&mut self, now: Timestamp, query: MdnsQueryId) {
        let now = self.advance(now);
        self.querier.cancel(now, query);
    }

    /// Takes a datagram.
    pub fn handle_datagram(
        &mut self,
        now: Timestamp,
        arrival: MdnsArrival,
        bytes: &[u8],
    ) -> MdnsReceived {
        let now = self.advance(now);
        let received = self.receive(now, &arrival, bytes);
        if let Err(reason) = received {
            self.counters.ignore(reason);
        }
        received.unwrap_or_else(MdnsReceived::Ignored)
    }

    fn receive(
        &mut self,
        now: Timestamp,
        arrival: &MdnsArrival,
        bytes: &[u8],
    ) -> Result<MdnsReceived, MdnsIgnored> {
        let (local, source) = (normal(arrival.local), normal(arrival.remote));
        if source.port() == 0 || !is_usable(source.ip()) {
            return Err(MdnsIgnored::Source);
        }
        if !(arrival.on_link || [Group::V4.addr(), Group::V6.addr()].contains(&local.ip())) {
            return Err(MdnsIgnored::OffLink);
        }
        if bytes.len() > MAX_MESSAGE {
            return Err(MdnsIgnored::TooLarge);
        }
        let message = scan(bytes).map_err(|_| MdnsIgnored::Malformed)?;
        if !message.is_plain() {
            return Err(MdnsIgnored::Unsupported);
        }
        if !message.is_response() {
            self.responder.query(now, &message, arrival.link, arrival.remote, source)?;
            return Ok(MdnsReceived::Answered);
        }
        if source.port() != PORT {
            return Err(MdnsIgnored::Source);
        }
        self.querier.response(now, &message, arrival.link, source.ip())?;
        Ok(MdnsReceived::Resolved)
    }

    /// The next datagram to send, appended to `buf`. To be called until it returns `None`; what it
    /// says may change with every other call.
    #[must_use = "a datagram that is not sent is lost"]
    pub fn poll_transmit(&mut self, now: Timestamp, buf: &mut Vec<u8>) -> Option<MdnsTransmit> {
        let now = self.advance(now);
        if let Some(answer) = self.responder.poll(now) {
            let to = match answer.to {
                To::Group(group) => SocketAddr::new(group.addr(), PORT),
                To::Host(host) => host,
            };
            let content = Answer {
                name: &answer.name,
                addr: answer.addr.0,
                ttl: answer.ttl,
                asked: answer.asked.as_ref(),
            };
            let range = write::answer(buf, &content);
            let (link, message) = (Some(answer.link), MdnsMessage::Response);
            return Some(MdnsTransmit { to, link, message, range });
        }
        let asking = self.querier.poll(now)?;
        let to = SocketAddr::new(asking.part.group.addr(), PORT);
        let range = write::question(buf, asking.name, asking.part.ipv6_address, asking.unicast);
        Some(MdnsTransmit { to, link: None, message: MdnsMessage::Query, range })
    }

    /// The next event. To be called until it returns `None`.
    #[must_use = "an event is said once"]
    pub fn poll_event(&mut self) -> Option<MdnsEvent> {
        self.querier.poll_event()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called. It may change with every
    /// other call; after that one and a drain of what can be polled it is later.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let deadlines = [self.querier.deadline(), self.responder.deadline()];
        deadlines.into_iter().flatten().min().filter(|at| *at < Timestamp::MAX)
    }

    /// Does what is due. Before the deadline that is nothing.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let now = self.advance(now);
        self.querier.expire(now);
    }

    /// What was ignored.
    #[must_use]
    pub const fn counters(&self) -> &MdnsCounters {
        &self.counters
    }

    /// Time does not run backwards.
    fn advance(&mut self, now: Timestamp) -> Timestamp {
        self.now = self.now.max(now);
        self.now
    }
}

/// Loopback addresses are told to and taken from this machine only: elsewhere they are wrong.
pub(super) fn reaches(addr: IpAddr, other: IpAddr) -> bool {
    !addr.is_loopback() || other.is_loopback()
}

/// Why a name was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MdnsPublishError {
    /// The name stands for another address, or on another link.
    #[error("the name stands for another address")]
    NameInUse,
    /// The address is unspecified, multicast or broadcast.
    #[error("not the address of a host")]
    Address,
    /// `limits.names` are published.
    #[error("limits.names are published")]
    LimitReached,
}

/// Why a name is not asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MdnsQueryError {
    /// It is no name of multicast DNS.
    #[error(transparent)]
    Name(#[from] MdnsNameError),
    /// It is no UUID, and `any_name` is not set.
    #[error("the name is no UUID")]
    NotUuid,
    /// `limits.queries` are under way.
    #[error("limits.queries are under way")]
    LimitReached,
}
