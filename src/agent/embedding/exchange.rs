//! The packets of one component, both ways. Knows neither pairs nor time.

use core::hash::{Hash, Hasher};
use std::collections::VecDeque;

use crate::stun::Writer;
use crate::stun::embedded::{self, ACKNOWLEDGED, Embedded};

/// What follows the packet in a message: the longer of the two integrity attributes, and FINGERPRINT.
const TAIL: usize = 36 + 8;

/// RFC 8445 §B.1: the bytes of checks that may be in the network at the start, before anything is
/// known of it. Larger checks have to keep within that as well.
const UNHEARD: usize = 14_600;

/// RFC 8489 §6.1: what every path of IPv4 carries.
const NARROW: usize = 548;

/// So many packets of the generations before are known when they come again.
const REMEMBERED: usize = 16;

/// Whether the peer takes packets from checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EmbeddingSupport {
    /// No authenticated message of the peer has come in this generation yet.
    #[default]
    Unknown,
    /// Its messages have the attributes.
    Yes,
    /// The first one had not. Nothing rides in checks any more.
    No,
}

/// A packet that waits to be acknowledged.
#[derive(Clone, Debug, Hash)]
struct Packet {
    crc: u32,
    bytes: Box<[u8]>,
}

/// What has been done. It decides nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) sent: u32,
    pub(super) acknowledged: u32,
    pub(super) received: u32,
}

impl Hash for Tally {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// What becomes of a packet that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    New,
    /// It has been delivered, and is only acknowledged again.
    Known,
    /// So many were delivered that this one cannot be told from them later.
    TooMany,
}

/// The state of one component.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Exchange {
    support: EmbeddingSupport,
    /// The next one to ride is in front.
    waiting: VecDeque<Packet>,
    /// The CRC-32 of what was delivered, in the order of arrival.
    delivered: Vec<u32>,
    /// The peer waits for acknowledgements.
    owed: bool,
    /// A message was too large for its path.
    narrow: bool,
    /// Bytes of packets that were sent since the peer was heard.
    unheard: usize,
    tally: Tally,
}

impl Exchange {
    pub(super) const fn support(&self) -> EmbeddingSupport {
        self.support
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) const fn tally(&self) -> Tally {
        self.tally
    }

    /// Adds a packet; whether there was room. One that waits already is as good as added.
    pub(super) fn offer(&mut self, packet: &[u8], limit: usize) -> bool {
        if self.waiting.iter().any(|other| *other.bytes == *packet) {
            return true;
        }
        let room = self.waiting.len() < limit;
        if room {
            let crc = crc32fast::hash(packet);
            self.waiting.push_back(Packet { crc, bytes: packet.into() });
        }
        room
    }

    /// Drops what waits; whether there was anything.
    pub(super) fn withdraw(&mut self) -> bool {
        !core::mem::take(&mut self.waiting).is_empty()
    }

    /// Another generation: nothing is known of the peer. What waits goes on to wait, and what has come
    /// last is remembered, as it may come again.
    pub(super) fn restart(&mut self) {
        self.support = EmbeddingSupport::Unknown;
        self.delivered.drain(..self.delivered.len().saturating_sub(REMEMBERED));
        self.owed = false;
        self.narrow = false;
        self.unheard = 0;
    }

    /// An authenticated request or success response has come. Whether that has decided if the peer
    /// knows the attributes; only what is `certain` to be the peer's says that it does not. Once a
    /// pair is selected and the component not `open` any more, a message without them says that the
    /// peer has gone on outside.
    pub(super) fn hear(
        &mut self,
        seen: &Embedded<'_>,
        request: bool,
        certain: bool,
        open: bool,
    ) -> bool {
        let before = self.support;
        match (before, seen.is_present()) {
            (EmbeddingSupport::Unknown, true) => self.support = EmbeddingSupport::Yes,
            (EmbeddingSupport::Unknown, false) if certain => {
                self.support = EmbeddingSupport::No;
                self.withdraw();
            }
            (EmbeddingSupport::Yes, false) if !open => {
                self.withdraw();
            }
            _ => {}
        }
        if self.support == EmbeddingSupport::Yes {
            self.unheard = 0;
            for crc in seen.acknowledged() {
                self.acknowledge(crc);
            }
            // A request is answered as it asks, and no answer to that follows: two sides that have
            // nothing more to say fall silent.
            self.owed |= seen.packet().is_some() || (request && seen.is_present());
        }
        self.support != before
    }

    /// The network does not carry what was believed.
    pub(super) const fn narrow(&mut self) {
        self.narrow = true;
    }

    fn acknowledge(&mut self, crc: u32) {
        let before = self.waiting.len();
        self.waiting.retain(|packet| packet.crc != crc);
        let gone = u32::from(self.waiting.len() < before);
        self.tally.acknowledged = self.tally.acknowledged.saturating_add(gone);
    }

    /// What is to become of a packet.
    pub(super) fn judge(&self, packet: &[u8], limit: usize) -> Arrival {
        if self.delivered.contains(&crc32fast::hash(packet)) {
            Arrival::Known
        } else if self.delivered.len() >= limit {
            Arrival::TooMany
        } else {
            Arrival::New
        }
    }

    /// A packet goes to the application: it is acknowledged from now on.
    pub(super) fn deliver(&mut self, packet: &[u8]) {
        self.delivered.push(crc32fast::hash(packet));
        self.tally.received = self.tally.received.saturating_add(1);
    }

    /// Adds what is to ride in a message of at most so many bytes: the acknowledgements, and the next
    /// packet. While the component is `open` also acknowledgements of nothing; after that what
    /// either side still waits for.
    pub(super) fn write(&mut self, writer: &mut Writer<'_>, open: bool, largest: usize) {
        let silent = !open && !self.owed && self.waiting.is_empty();
        if self.support == EmbeddingSupport::No || silent {
            return;
        }
        self.owed = false;
        let newest = self.delivered.len().saturating_sub(ACKNOWLEDGED);
        let newest = self.delivered.get(newest..).unwrap_or_default();
        embedded::write_acknowledged(writer, newest);
        let Some(packet) = self.waiting.front() else { return };
        let largest = if self.narrow { largest.min(NARROW) } else { largest };
        let size = embedded::packet_size(packet.bytes.len());
        let unheard = self.unheard.saturating_add(size);
        let message = writer.size().saturating_add(size).saturating_add(TAIL);
        if message <= largest && unheard <= UNHEARD {
            embedded::write_packet(writer, &packet.bytes);
            self.unheard = unheard;
            self.tally.sent = self.tally.sent.saturating_add(1);
        }
        self.waiting.rotate_left(1);
    }
}
