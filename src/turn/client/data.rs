//! The way of application data through a server (RFC 8656 §11, §12): what stands before a payload,
//! and what is left of a datagram without that. Nothing is copied, nothing is allocated.

use core::net::SocketAddr;

use super::{Allocation, Phase};
use crate::address;
use crate::gather::Rejected;
use crate::random::Random;
use crate::stun::attribute::{self, DATA, ICMP, XOR_PEER_ADDRESS};
use crate::stun::turn::{Icmp, MAX_SEND_HEAD, icmp, send_head};
use crate::stun::{Class, Fingerprint, Scan, TransactionId, is_stun, method, scan};
use crate::time::Timestamp;
use crate::turn::{ChannelData, is_channel};

/// What stands before a payload, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    bytes: [u8; MAX_SEND_HEAD],
    len: usize,
    padding: &'static [u8],
}

impl Head {
    /// Nothing.
    pub(crate) const NONE: Self = Self { bytes: [0; MAX_SEND_HEAD], len: 0, padding: &[] };

    /// The head of a frame on a stream (RFC 4571).
    pub(crate) fn of_frame(head: [u8; 2]) -> Self {
        let mut bytes = [0; MAX_SEND_HEAD];
        bytes.iter_mut().zip(head).for_each(|(to, from)| *to = from);
        Self { bytes, len: head.len(), padding: &[] }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub(crate) const fn padding(&self) -> &'static [u8] {
        self.padding
    }
}

/// Why a payload cannot be relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsendable {
    NoAllocation,
    /// The server would drop it (RFC 8656 §11.1).
    NoPermission,
    /// It would come back.
    Loop,
    /// It does not fit into a message.
    TooLarge,
}

/// What the network of the server says of what was sent to a peer (RFC 8656 §11.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerError {
    /// It cannot be reached.
    Hard,
    /// It may pass.
    Soft,
    /// The datagram was larger than this.
    TooBig { mtu: u32 },
}

/// What came from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FromServer<'a> {
    /// A datagram of a peer.
    Data { peer: SocketAddr, payload: &'a [u8] },
    /// An ICMP error. The port is zero when the server does not know it.
    PeerError { peer: SocketAddr, error: PeerError },
    /// An answer.
    Consumed,
    /// Nothing that counts.
    Ignored(Rejected),
}

impl Allocation {
    /// What to send before a payload of `len` bytes, and after it, so that the server relays it to
    /// `peer`: a channel's head, if one is bound (RFC 8656 §12), or else a Send indication's.
    pub(crate) fn head_for(
        &self,
        now: Timestamp,
        peer: SocketAddr,
        len: usize,
        random: &mut Random,
    ) -> Result<Head, Unsendable> {
        let Phase::Allocated(held) = &self.phase else { return Err(Unsendable::NoAllocation) };
        let peer = address::normal(peer);
        if !self.permissions.is_granted(peer.ip(), now) {
            return Err(Unsendable::NoPermission);
        }
        if let Some(channel) = self.channels.bound_to(peer, now) {
            let start = ChannelData::head(channel, len).ok_or(Unsendable::TooLarge)?;
            let mut bytes = [0; MAX_SEND_HEAD];
            bytes.iter_mut().zip(start).for_each(|(to, from)| *to = from);
            let padding = if self.config.reliable { ChannelData::padding(len) } else { &[] };
            return Ok(Head { bytes, len: start.len(), padding });
        }
        if self.is_loop(held, peer) {
            return Err(Unsendable::Loop);
        }
        let id = random.transaction_id();
        let (bytes, end) =
            send_head(&id, peer, self.dont_fragment, len).ok_or(Unsendable::TooLarge)?;
        Ok(Head { bytes, len: end, padding: ChannelData::padding(len) })
    }

    /// How many bytes come to a payload for this peer, padding aside (RFC 8656 §3.8).
    pub(crate) fn overhead(&self, now: Timestamp, peer: SocketAddr) -> usize {
        let peer = address::normal(peer);
        let id = TransactionId::new([0; 12]);
        match self.channels.bound_to(peer, now) {
            Some(_) => 4,
            None => send_head(&id, peer, self.dont_fragment, 0).map_or(0, |(_, len)| len),
        }
    }

    /// A datagram, or a message of the stream, from `from`.
    pub(crate) fn receive<'a>(
        &mut self,
        now: Timestamp,
        from: SocketAddr,
        bytes: &'a [u8],
    ) -> FromServer<'a> {
        let received = self.read(now, from, bytes);
        received.unwrap_or_else(|reason| {
            self.rejections.count(reason);
            FromServer::Ignored(reason)
        })
    }

    fn read<'a>(
        &mut self,
        now: Timestamp,
        from: SocketAddr,
        bytes: &'a [u8],
    ) -> Result<FromServer<'a>, Rejected> {
        if address::normal(from) != self.config.server {
            return Err(Rejected::Foreign);
        }
        let number = bytes.first_chunk().map(|number| u16::from_be_bytes(*number));
        if number.is_some_and(is_channel) {
            return self.read_channel(now, bytes);
        }
        if !is_stun(bytes) {
            return Err(Rejected::NotTurn);
        }
        let scan = scan(bytes).map_err(|_| Rejected::Malformed)?;
        match (scan.class(), scan.method()) {
            (Class::Indication, method::DATA) => self.read_indication(now, &scan),
            (Class::Success | Class::Error, _) => {
                let result = self.answered(now, &scan);
                self.plan();
                result.map(|()| FromServer::Consumed)
            }
            _ => Err(Rejected::Unexpected),
        }
    }

    /// RFC 8656 §12.6
    fn read_channel<'a>(
        &self,
        now: Timestamp,
        bytes: &'a [u8],
    ) -> Result<FromServer<'a>, Rejected> {
        let ChannelData { channel, payload } =
            ChannelData::parse(bytes).map_err(|_| Rejected::Malformed)?;
        if !matches!(self.phase, Phase::Allocated(_)) {
            return Err(Rejected::NoAllocation);
        }
        let peer = self.channels.peer_of(channel, now).ok_or(Rejected::NoChannel)?;
        Ok(FromServer::Data { peer, payload })
    }

    /// RFC 8656 §11.4, §11.6
    fn read_indication<'a>(
        &self,
        now: Timestamp,
        scan: &Scan<'a>,
    ) -> Result<FromServer<'a>, Rejected> {
        if scan.fingerprint() == Fingerprint::Bad {
            return Err(Rejected::Fingerprint);
        }
        if scan.unknown_required(attribute::is_known).next().is_some() {
            return Err(Rejected::Malformed);
        }
        if !matches!(self.phase, Phase::Allocated(_)) {
            return Err(Rejected::NoAllocation);
        }
        let peer = scan.find(XOR_PEER_ADDRESS).ok_or(Rejected::NoData)?;
        let peer = attribute::xor_address(peer, &scan.transaction_id());
        let peer = address::normal(peer.ok_or(Rejected::Malformed)?);
        if !self.permissions.is_believed(peer.ip(), now) {
            return Err(Rejected::NoPermission);
        }
        if let Some(value) = scan.find(ICMP) {
            let icmp = icmp(value).ok_or(Rejected::Malformed)?;
            return Ok(FromServer::PeerError { peer, error: peer_error(peer, icmp) });
        }
        let payload = scan.find(DATA).ok_or(Rejected::NoData)?;
        Ok(FromServer::Data { peer, payload })
    }
}

/// RFC 8489 §6.2.1, RFC 8656 §18.13: what the error is to a client.
const fn peer_error(peer: SocketAddr, icmp: Icmp) -> PeerError {
    let Icmp { kind, code, data } = icmp;
    match (peer, kind, code) {
        (SocketAddr::V4(_), 3, 4) | (SocketAddr::V6(_), 2, _) => PeerError::TooBig { mtu: data },
        (SocketAddr::V4(_), 3, _) | (SocketAddr::V6(_), 1, _) => PeerError::Hard,
        _ => PeerError::Soft,
    }
}
