//! Packets of the application inside connectivity checks and their answers
//! (draft-hancke-webrtc-sped), so that a handshake begins before there is a path.
//!
//! A check that is to be sent anyway carries one packet, and so does its answer: nothing is sent
//! more, earlier or later than without it. What the packets are is not looked at. Each rides in turn
//! until the peer has acknowledged its CRC-32 or the application withdraws it. As long as no pair is
//! selected, every message says that this side knows the attributes, be it by an empty list of
//! acknowledgements; the first authenticated message of the peer says it of that side. Once one is,
//! nothing is added to what rides, and a message of the peer without them ends it.
//!
//! Only what is authentic and of the generation in force, or of the one that is staged, is looked at.
//! The rules of one component are [`Exchange`]; this is what ties them to messages.

mod exchange;

use crate::id::{CandidateId, StreamId};
use crate::stun::embedded::Embedded;
use crate::stun::{Class, Scan, Writer};
use crate::time::Timestamp;
use crate::trace::TraceData;

use super::IceAgent;
use super::counters::Refused;
use super::generation::Generation;
use super::output::{Carried, Notice};
use super::settings::Settings;
use exchange::{Arrival, Exchange};

pub use exchange::EmbeddingSupport;

/// What may come before a message within an IP packet: the headers of IPv6 and UDP, and the head of
/// an indication that a server relays, 48 bytes each.
const AROUND: usize = 48 + 48;

/// What a check has besides the packet at most: header 20, USERNAME of two fragments of 32 characters
/// 72, PRIORITY 8, role 12, USE-CANDIDATE 4, NOMINATION 8, NETWORK-INFO of browsers 8,
/// acknowledgements 20, the head of the packet 4, integrity and fingerprint 44.
const BESIDES: usize = 20 + 72 + 8 + 12 + 4 + 8 + 8 + 20 + 4 + 44;

/// Why a packet does not ride in checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// [`AgentConfig::embedding`](crate::AgentConfig::embedding) is off.
    #[error("embedding is off")]
    Off,
    /// There is no such stream or component.
    #[error("no such stream or component")]
    UnknownComponent,
    /// The packet has no bytes.
    #[error("the packet is empty")]
    Empty,
    /// It is larger than what fits into any check. Make it smaller: a handshake can be told the size
    /// of its packets.
    #[error("a packet in a check has at most {max} bytes")]
    TooLarge {
        /// The largest that fits.
        max: usize,
    },
    /// `limits.embedded_packets` wait. [`IceAgent::withdraw_embedded`] makes room.
    #[error("the limit of packets is reached")]
    Limit,
    /// The peer does not know it: send on the path, when there is one.
    #[error("the peer takes no packets from checks")]
    Unsupported,
    /// A pair is selected: send on it.
    #[error("a pair is selected")]
    Selected,
    /// The agent is closed.
    #[error("the agent is closed")]
    Closed,
}

/// The packets of a component that ride in checks, as they are at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Embedding {
    /// Whether the peer takes them.
    pub support: EmbeddingSupport,
    /// Packets that are not acknowledged.
    pub waiting: usize,
    /// The largest packet that [`IceAgent::embed`] takes, in bytes.
    pub max_packet: usize,
    /// Messages that have carried one, repetitions among them.
    pub sent: u32,
    /// Packets that the peer has acknowledged.
    pub acknowledged: u32,
    /// Packets of the peer that have become events.
    pub received: u32,
}

/// The exchanges of all components that have one.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Exchanges {
    exchanges: Vec<(StreamId, u16, Exchange)>,
}

impl Exchanges {
    fn get(&self, stream: StreamId, component: u16) -> Option<&Exchange> {
        let of = |(s, c, _): &&(StreamId, u16, Exchange)| (*s, *c) == (stream, component);
        self.exchanges.iter().find(of).map(|(_, _, exchange)| exchange)
    }

    /// That of a component, from now on if there was none. A caller knows that the component is there.
    fn of(&mut self, stream: StreamId, component: u16) -> Option<&mut Exchange> {
        if self.get(stream, component).is_none() {
            self.exchanges.push((stream, component, Exchange::default()));
        }
        self.find(stream, component)
    }

    fn find(&mut self, stream: StreamId, component: u16) -> Option<&mut Exchange> {
        let of = |(s, c, _): &&mut (StreamId, u16, Exchange)| (*s, *c) == (stream, component);
        self.exchanges.iter_mut().find(of).map(|(_, _, exchange)| exchange)
    }
}

impl IceAgent {
    /// Lets a packet of the application, such as one of a handshake, ride in the checks of a
    /// component and in answers to the peer's, until the peer has acknowledged it. At the peer it is
    /// an [`Event::Embedded`](crate::Event::Embedded). Several take turns.
    ///
    /// Nothing is sent for it that would not be sent without. A packet that is called for by one
    /// that has just arrived rides in the very answer, if the event is polled, and this called,
    /// before the next [`poll_transmit`](Self::poll_transmit).
    ///
    /// It may be called before anything is known of the peer. As soon as there is a
    /// [`route`](Self::route), send there as well: that is faster than the next check. Once a pair is
    /// selected nothing more is taken; what waits goes on to ride in the few messages that are left.
    ///
    /// # Errors
    /// The packet does not ride, for the reason that is named.
    pub fn embed(
        &mut self,
        now: Timestamp,
        stream: StreamId,
        component: u16,
        packet: &[u8],
    ) -> Result<(), EmbedError> {
        self.advance(now);
        if self.is_closed() {
            return Err(EmbedError::Closed);
        }
        let max = max_packet(&self.config);
        let limit = usize::from(self.config.limits.embedded_packets);
        let open = self.is_open_to_packets(stream, component);
        let exchanges = self.embedding.as_deref_mut().ok_or(EmbedError::Off)?;
        let open = open.ok_or(EmbedError::UnknownComponent)?;
        let exchange = exchanges.of(stream, component).ok_or(EmbedError::UnknownComponent)?;
        if packet.is_empty() {
            return Err(EmbedError::Empty);
        }
        if packet.len() > max {
            return Err(EmbedError::TooLarge { max });
        }
        if !open {
            return Err(EmbedError::Selected);
        }
        if exchange.support() == EmbeddingSupport::No {
            return Err(EmbedError::Unsupported);
        }
        if !exchange.offer(packet, limit) {
            self.counters.refuse(Refused::EmbeddedPacket);
            return Err(EmbedError::Limit);
        }
        Ok(())
    }

    /// Lets no packet of a component ride any more that was given to [`embed`](Self::embed): they are
    /// out of date, as when a handshake has gone on to its next flight, or is done. Whether there was
    /// one. What arrives is still taken and acknowledged.
    pub fn withdraw_embedded(&mut self, now: Timestamp, stream: StreamId, component: u16) -> bool {
        self.advance(now);
        let exchanges = self.embedding.as_deref_mut();
        exchanges.and_then(|it| it.find(stream, component)).is_some_and(Exchange::withdraw)
    }

    /// How it stands with packets in the checks of a component; `None` if
    /// [`AgentConfig::embedding`](crate::AgentConfig::embedding) is off, or there is no such component.
    #[must_use]
    pub fn embedding(&self, stream: StreamId, component: u16) -> Option<Embedding> {
        self.component(stream, component)?;
        let exchange = self.embedding.as_deref()?.get(stream, component);
        let tally = exchange.map(Exchange::tally).unwrap_or_default();
        Some(Embedding {
            support: exchange.map(Exchange::support).unwrap_or_default(),
            waiting: exchange.map_or(0, Exchange::waiting),
            max_packet: max_packet(&self.config),
            sent: tally.sent,
            acknowledged: tally.acknowledged,
            received: tally.received,
        })
    }

    pub(super) fn start_embedding(&mut self) {
        self.embedding = self.config.embedding.then(Box::default);
    }

    /// Whether nothing is selected yet, so that packets may ride in checks.
    fn is_open_to_packets(&self, stream: StreamId, component: u16) -> Option<bool> {
        self.component(stream, component).map(|component| component.selected.is_none())
    }

    /// A transmit from a candidate was too large: what is large does not ride from there any more.
    pub(super) fn narrow_embedding(&mut self, local: CandidateId) {
        let Some(local) = self.candidates.locals.get(local) else { return };
        let exchanges = self.embedding.as_deref_mut();
        exchanges
            .and_then(|it| it.find(local.stream, local.component))
            .map(Exchange::narrow)
            .unwrap_or_default();
    }

    pub(super) fn restart_embedding(&mut self) {
        for (_, _, exchange) in self.embedding.iter_mut().flat_map(|it| &mut it.exchanges) {
            exchange.restart();
        }
    }

    /// Adds to a check or an answer, from a candidate and of a generation, what is to ride in it. It is
    /// the last thing before the integrity.
    #[inline]
    pub(super) fn write_embedded(
        &self,
        exchanges: Option<&mut Exchanges>,
        writer: &mut Writer<'_>,
        local: CandidateId,
        generation: Generation,
    ) {
        if let Some(exchanges) = exchanges.filter(|_| generation >= self.local.generation) {
            self.write_exchange(exchanges, writer, local);
        }
    }

    #[cold]
    fn write_exchange(
        &self,
        exchanges: &mut Exchanges,
        writer: &mut Writer<'_>,
        local: CandidateId,
    ) {
        let Some(local) = self.candidates.locals.get(local) else { return };
        let (stream, component) = (local.stream, local.component);
        let Some(open) = self.is_open_to_packets(stream, component) else { return };
        if let Some(exchange) = exchanges.of(stream, component) {
            let largest = usize::from(self.config.path_mtu).saturating_sub(AROUND);
            exchange.write(writer, open, largest);
        }
    }

    /// Takes what rides in a request or a success response that is authentic and in force. `certain`:
    /// it is from the peer whose parameters are known.
    #[cold]
    pub(super) fn take_embedded(&mut self, scan: &Scan<'_>, local: CandidateId, certain: bool) {
        let Some(local) = self.candidates.locals.get(local) else { return };
        let (stream, component) = (local.stream, local.component);
        let Some(open) = self.is_open_to_packets(stream, component) else { return };
        let Some(exchange) = self.embedding.as_deref_mut().and_then(|it| it.of(stream, component))
        else {
            return;
        };
        let seen = Embedded::read(scan);
        let decided = exchange.hear(&seen, scan.class() == Class::Request, certain, open);
        let supported = exchange.support() == EmbeddingSupport::Yes;
        if decided && self.is_traced() {
            self.tell(TraceData::EmbeddingSupport { stream, component, supported });
        }
        if let Some(packet) = seen.packet().filter(|_| supported) {
            self.packet_arrived(stream, component, packet);
        }
    }

    /// Makes an event of a packet that is new. What finds no room is not acknowledged, so it comes
    /// again.
    fn packet_arrived(&mut self, stream: StreamId, component: u16, packet: &[u8]) {
        let limits = &self.config.limits;
        let waits = |notice: &&Notice| matches!(notice, Notice::Embedded(_));
        let polled = self.output.notices.iter().filter(waits).count();
        let room = polled < usize::from(limits.embedded_packets)
            && self.output.notices.len() < usize::from(limits.events)
            && packet.len() <= usize::from(limits.embedded_size);
        let arrivals = usize::from(limits.embedded_arrivals);
        let Some(exchange) = self.embedding.as_deref_mut().and_then(|it| it.of(stream, component))
        else {
            return;
        };
        match exchange.judge(packet, arrivals) {
            Arrival::Known => {}
            Arrival::New if room => {
                exchange.deliver(packet);
                let packet = packet.to_vec();
                self.notice(Notice::Embedded(Box::new(Carried { stream, component, packet })));
            }
            Arrival::New | Arrival::TooMany => self.counters.refuse(Refused::EmbeddedPacket),
        }
    }
}

/// The largest packet that fits into every check.
fn max_packet(config: &Settings) -> usize {
    usize::from(config.path_mtu).saturating_sub(AROUND.saturating_add(BESIDES)) & !3
}
