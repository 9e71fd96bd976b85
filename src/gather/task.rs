//! What one server is asked from one local address: a mapping, an allocation, or both; over which
//! socket or connection; and at which of its addresses.

use core::net::SocketAddr;

use crate::random::Random;
use smallvec::SmallVec;

use super::binding::{Binding, BindingFact};
use super::link::{Link, RECONNECT};
use super::outcome::ServerFailure;
use super::plan::Wanted;
use crate::id::{CandidateId, ConnectionId, ServerId, SocketId, StreamId};
use crate::time::Timestamp;
use crate::turn::{Allocation, Fact};

/// A local address from which servers are asked: that of a host candidate, be it told to the peer
/// or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Base {
    pub(crate) candidate: CandidateId,
    pub(crate) stream: StreamId,
    pub(crate) component: u16,
    pub(crate) addr: SocketAddr,
    /// The caller wrote the address in its IPv6 form.
    pub(crate) mapped: bool,
    /// It is a UDP socket; otherwise only its IP address counts.
    pub(crate) udp: bool,
}

/// What became known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Found {
    /// From the Binding client.
    Mapping(BindingFact),
    /// From the allocation.
    Relay(Fact),
    /// The connection failed, or the name of the server could not be resolved.
    Unreachable,
    /// Time is up for gathering.
    TooLate,
}

/// Of what a server may say, what gathering waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Awaits {
    pub(crate) mapping: bool,
    pub(crate) relay: bool,
}

/// One server from one local address.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Task {
    pub(crate) server: ServerId,
    pub(crate) base: Base,
    pub(crate) wanted: Wanted,
    pub(crate) link: Link,
    /// Its connection carries datagrams (DTLS).
    pub(crate) datagrams: bool,
    /// The address that is asked.
    pub(crate) addr: SocketAddr,
    /// What else the server's name stands for.
    pub(crate) others: SmallVec<[SocketAddr; 1]>,
    pub(crate) binding: Option<Box<Binding>>,
    pub(crate) allocation: Option<Box<Allocation>>,
    /// What gathering waits for.
    pub(crate) awaits: Awaits,
    /// It has given something at least once.
    pub(crate) fruitful: bool,
    /// Nobody has a use for its relayed addresses in this gathering.
    pub(crate) released: bool,
    /// It ends when its allocation is deleted.
    pub(crate) closing: bool,
    /// A socket that was asked for, and is not there yet.
    pub(crate) awaited: Option<SocketId>,
    /// Connections that failed in a row.
    pub(crate) failures: u8,
    /// The name that the certificate of another server is to have (RFC 8489 §10).
    pub(crate) domain: Option<Box<str>>,
    pub(crate) reflexive: Option<CandidateId>,
    pub(crate) relayed: SmallVec<[CandidateId; 2]>,
}

/// How often the time before another attempt to connect is doubled.
const MAX_DOUBLINGS: u8 = 6;

impl Task {
    pub(crate) const fn is_stream(&self) -> bool {
        !matches!(self.link, Link::Socket { .. })
    }

    /// Whether it asks from the socket of its base.
    pub(crate) fn is_direct(&self) -> bool {
        matches!(self.link, Link::Socket { local, .. } if local == self.base.addr)
    }

    /// Where its messages go.
    pub(crate) fn remote(&self) -> SocketAddr {
        self.allocation.as_ref().map_or(self.addr, |allocation| allocation.server())
    }

    /// Whether a datagram with these addresses is from its server.
    pub(crate) fn is_between(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        let ours = matches!(self.link, Link::Socket { local: own, .. } if own == local);
        ours && (self.remote() == remote || self.addr == remote)
    }

    pub(crate) const fn connection(&self) -> Option<ConnectionId> {
        match self.link {
            Link::Connection { id, .. } => Some(id),
            _ => None,
        }
    }

    pub(crate) fn outstanding(&self) -> usize {
        let binding = self.binding.as_ref().map_or(0, |binding| binding.outstanding());
        let relay = self.allocation.as_ref().map_or(0, |allocation| allocation.outstanding());
        binding.saturating_add(relay)
    }

    pub(crate) fn slot_at(&self) -> Option<Timestamp> {
        let binding = self.binding.as_ref().and_then(|binding| binding.slot_at());
        let relay = self.allocation.as_ref().and_then(|allocation| allocation.slot_at());
        earliest([binding, relay])
    }

    /// Uses a slot for whichever of its clients has waited longer; whether there was something.
    pub(crate) fn start(&mut self, now: Timestamp, rng: &mut Random) -> bool {
        let binding = self.binding.as_ref().and_then(|binding| binding.slot_at());
        let relay = self.allocation.as_ref().and_then(|allocation| allocation.slot_at());
        let relay_first = match (binding, relay) {
            (Some(binding), Some(relay)) => relay <= binding,
            (None, _) => true,
            (Some(_), None) => false,
        };
        if relay_first {
            self.allocation.as_mut().is_some_and(|allocation| allocation.start(now, rng))
        } else {
            self.binding.as_mut().is_some_and(|binding| binding.start(now, rng))
        }
    }

    pub(crate) fn repeat_at(&self) -> Option<Timestamp> {
        let binding = self.binding.as_ref().and_then(|binding| binding.repeat_at());
        let relay = self.allocation.as_ref().and_then(|allocation| allocation.repeat_at());
        earliest([binding, relay])
    }

    pub(crate) fn repeat(&mut self, now: Timestamp) -> bool {
        self.binding.as_mut().is_some_and(|binding| binding.repeat(now))
            || self.allocation.as_mut().is_some_and(|allocation| allocation.repeat(now))
    }

    pub(crate) fn timer(&self) -> Option<Timestamp> {
        let binding = self.binding.as_ref().and_then(|binding| binding.poll_timeout());
        let relay = self.allocation.as_ref().and_then(|allocation| allocation.poll_timeout());
        let again = match self.link {
            Link::Down { again } if !self.closing => Some(again),
            _ => None,
        };
        earliest([binding, relay, again])
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        if let Some(binding) = &mut self.binding {
            binding.handle_timeout(now);
        }
        if let Some(allocation) = &mut self.allocation {
            allocation.handle_timeout(now);
        }
    }

    pub(crate) fn has_transmit(&self) -> bool {
        self.binding.as_ref().is_some_and(|binding| binding.has_transmit())
            || self.allocation.as_ref().is_some_and(|allocation| allocation.has_transmit())
    }

    pub(crate) fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<core::ops::Range<usize>> {
        let binding = self.binding.as_mut().and_then(|binding| binding.poll_transmit(buf));
        binding.or_else(|| self.allocation.as_mut()?.poll_transmit(buf))
    }

    pub(crate) fn poll_fact(&mut self) -> Option<Found> {
        if let Some(fact) = self.binding.as_mut().and_then(|binding| binding.poll_fact()) {
            return Some(Found::Mapping(fact));
        }
        self.allocation.as_mut()?.poll_fact().map(Found::Relay)
    }

    /// The network says that what was sent to the server does not arrive.
    pub(crate) fn unreachable(&mut self, now: Timestamp, id: Option<crate::stun::TransactionId>) {
        if let Some(binding) = &mut self.binding {
            binding.unreachable(now, id);
        }
        if let Some(allocation) = &mut self.allocation {
            allocation.unreachable(now, id);
        }
    }

    /// Ends it: what is allocated is deleted first. Whether it is over now.
    pub(crate) fn close(&mut self, now: Timestamp) -> bool {
        self.closing = true;
        self.awaits = Awaits::default();
        self.binding = None;
        if let Some(allocation) = &mut self.allocation {
            allocation.close(now);
        }
        self.is_over()
    }

    /// Whether it may be asked for an allocation, which it does not have.
    pub(crate) const fn wants_relay(&self) -> bool {
        self.allocation.is_none() && !self.closing && !self.released
    }

    /// Forgets an allocation that is no more; what else it is there for goes on at the same server.
    pub(crate) fn drop_closed(&mut self) {
        let server = self.remote();
        if self.allocation.take_if(|allocation| allocation.is_closed()).is_some() {
            self.addr = server;
        }
    }

    /// Whether nothing can come of it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.closing && self.allocation.as_ref().is_none_or(|allocation| allocation.is_closed())
    }

    /// Gathering begins anew: whether what it gave is still so, or can be had now.
    pub(crate) fn verify(&mut self, now: Timestamp) {
        if let Some(allocation) = &mut self.allocation {
            allocation.retry(now);
            allocation.verify(now);
        }
        if let Some(binding) = &mut self.binding {
            binding.verify(now);
        }
        self.awaits = Awaits { mapping: self.binding.is_some(), relay: self.allocation.is_some() };
    }

    /// Whether gathering waits for it.
    pub(crate) const fn is_awaited(&self) -> bool {
        self.awaits.mapping || self.awaits.relay
    }

    /// The connection is gone, or was never there: when the next one is tried.
    pub(crate) fn disconnected(&mut self, now: Timestamp) {
        let factor = 1_u32 << self.failures.min(MAX_DOUBLINGS);
        self.failures = self.failures.saturating_add(1);
        self.link = Link::Down { again: now + RECONNECT.saturating_mul(factor) };
        if let Some(allocation) = &mut self.allocation {
            allocation.disconnected(now);
        }
    }

    /// Whether something else of the server may still give what this address did not.
    pub(crate) fn may_try_other(&self, failure: &ServerFailure) -> bool {
        let silent = matches!(
            failure,
            ServerFailure::Timeout
                | ServerFailure::Unreachable
                | ServerFailure::Disconnected
                | ServerFailure::Expired
        );
        silent && !self.fruitful && !self.closing && !self.others.is_empty()
    }
}

fn earliest<const N: usize>(times: [Option<Timestamp>; N]) -> Option<Timestamp> {
    times.into_iter().flatten().min()
}
