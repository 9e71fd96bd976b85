//! The TURN client (RFC 8656): one allocation on one server, from one local address or over one
//! connection, with its permissions and channels.
//!
//! [`Allocation`] says what it wants and is told what happens; it sends nothing and waits for
//! nothing by itself. `schedule` says what is to be asked when, `ask` how, `answers` what comes of
//! it; `permissions` and `channels` are tables with rules; `data` is the way of application data,
//! where nothing is copied or allocated.

mod answers;
mod ask;
mod channels;
mod data;
mod io;
mod permissions;
mod redirect;
mod schedule;
#[cfg(test)]
mod tests;

use core::net::{IpAddr, SocketAddr};
use core::ops::Range;
use core::time::Duration;
use std::collections::VecDeque;

use smallvec::SmallVec;

use self::ask::Request;
use self::channels::Channels;
use self::permissions::Permissions;
use self::redirect::{Redirects, is_special};
use crate::address;
use crate::gather::{Auth, LongTermCredentials, Rejected, Rejections, Requests, ServerFailure};
use crate::stun::TransactionId;
use crate::stun::turn::Family;
use crate::time::Timestamp;

pub(crate) use self::ask::Families;
#[cfg(test)]
pub(crate) use self::data::Unsendable;
pub(crate) use self::data::{FromServer, Head, PeerError};
pub(crate) use self::io::{AllocationConfig, Fact, Refusal};

/// Between two refreshes out of doubt.
const DOUBT_PAUSE: Duration = Duration::from_secs(5);
/// Facts that nobody has polled.
const MAX_FACTS: usize = 256;

/// What there is on the server.
#[derive(Clone, Debug, Hash)]
struct Held {
    relayed: SmallVec<[SocketAddr; 2]>,
    expires: Timestamp,
    /// When it is to be refreshed; none while that is under way.
    refresh: Option<Timestamp>,
    /// A family that is to be deleted, since then.
    release: Option<(Family, Timestamp)>,
}

#[derive(Clone, Debug, Hash)]
enum Phase {
    /// There is no connection yet, or not any more.
    Unconnected,
    /// An Allocate request wants a slot from then on.
    Asking(Timestamp),
    /// It is under way. Nobody may want its success any more.
    Asked {
        closing: bool,
    },
    /// Another 5-tuple is needed.
    NeedsPort,
    Allocated(Held),
    /// What there may be is deleted, which wants a slot from then on or is under way.
    Deleting {
        due: Option<Timestamp>,
        then: Then,
    },
    /// The server has refused for good, with this code if it has said one.
    Failed(Option<u16>),
    Closed,
}

/// What comes after deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Then {
    Close,
    Fail,
    Allocate,
}

/// The client of one allocation.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Allocation {
    config: AllocationConfig,
    requests: Requests<Request>,
    phase: Phase,
    permissions: Permissions,
    channels: Channels,
    redirects: Redirects,
    /// The server knows DONT-FRAGMENT, as far as anybody knows.
    dont_fragment: bool,
    /// Local ports that the server has refused in a row.
    ports: u8,
    /// How often a rest has been taken in a row.
    rests: u8,
    /// ChannelBinds that were answered with 400.
    bad_channels: u8,
    /// Somebody wants to know whether the allocation is still there.
    verifies: bool,
    /// When it was doubted last.
    doubted: Option<Timestamp>,
    /// When the owner is told that the credentials end.
    warn: Option<Timestamp>,
    facts: VecDeque<Fact>,
    rejections: Rejections,
    slot: Option<Timestamp>,
    timer: Option<Timestamp>,
}

impl Allocation {
    pub(crate) fn new(now: Timestamp, mut config: AllocationConfig) -> Self {
        config.server = address::normal(config.server);
        let auth = Auth::new(config.credentials.clone());
        let mut allocation = Self {
            requests: Requests::new(auth, config.timing, config.reliable),
            phase: if config.reliable || config.connects {
                Phase::Unconnected
            } else {
                Phase::Asking(now)
            },
            permissions: Permissions::default(),
            channels: Channels::default(),
            redirects: Redirects::default(),
            dont_fragment: config.dont_fragment,
            ports: 0,
            rests: 0,
            bad_channels: 0,
            verifies: false,
            doubted: None,
            warn: None,
            facts: VecDeque::new(),
            rejections: Rejections::default(),
            slot: None,
            timer: None,
            config,
        };
        allocation.watch_credentials(now);
        allocation.plan();
        allocation
    }

    /// The connection to [`Self::server`] is there.
    pub(crate) fn connected(&mut self, now: Timestamp) {
        if matches!(self.phase, Phase::Unconnected | Phase::NeedsPort) {
            self.phase = Phase::Asking(now);
        }
        self.plan();
    }

    /// The connection is gone, or what it carried cannot be read; with it the allocation (RFC
    /// 8656 §5).
    pub(crate) fn disconnected(&mut self, now: Timestamp) {
        self.leave(now, Phase::Unconnected);
    }

    /// The local address is another one: what was allocated from the old one is lost (RFC 8656
    /// §5). Also the answer to [`Fact::NeedsPort`].
    pub(crate) fn rebind(&mut self, now: Timestamp) {
        self.leave(now, Phase::Asking(now));
    }

    fn leave(&mut self, now: Timestamp, next: Phase) {
        match self.phase {
            Phase::Allocated(_) => self.lose(now, ServerFailure::Disconnected, next),
            Phase::Asked { closing: true } | Phase::Deleting { then: Then::Close, .. } => {
                self.end();
            }
            Phase::Deleting { then: Then::Fail, .. } => self.phase = Phase::Failed(None),
            Phase::Failed(_) | Phase::Closed => {}
            _ => {
                self.requests.retain(|_| false);
                self.phase = next;
            }
        }
        self.plan();
    }

    /// The owner believes that what the server has refused for good can be had now.
    pub(crate) fn retry(&mut self, now: Timestamp) {
        if matches!(self.phase, Phase::Failed(_)) {
            self.phase = Phase::Asking(now);
        }
        self.plan();
    }

    /// Refreshes what is allocated at once: [`Fact::Confirmed`] says that it is still there.
    pub(crate) fn verify(&mut self, now: Timestamp) {
        if let Phase::Allocated(held) = &mut self.phase {
            self.verifies = true;
            if let Some(refresh) = &mut held.refresh {
                *refresh = now.min(*refresh);
            }
        }
        self.plan();
    }

    /// Something speaks against the allocation being there: it is refreshed, but not too often.
    pub(crate) fn doubt(&mut self, now: Timestamp) {
        if let Phase::Allocated(Held { refresh: Some(refresh), .. }) = &mut self.phase {
            if self.doubted.is_none_or(|at| at + DOUBT_PAUSE <= now) {
                self.doubted = Some(now);
                *refresh = now.min(*refresh);
            }
        }
        self.plan();
    }

    /// New credentials. What is allocated stays with the username that it was made with, until
    /// the server does not take that any more.
    pub(crate) fn update_credentials(&mut self, now: Timestamp, credentials: LongTermCredentials) {
        let keeps_user = matches!(self.phase, Phase::Allocated(_) | Phase::Deleting { .. });
        self.requests.auth.update(credentials, keeps_user);
        self.watch_credentials(now);
        match &mut self.phase {
            Phase::Failed(Some(401 | 403 | 441)) => self.phase = Phase::Asking(now),
            // What was refused for its credentials has another chance at once.
            Phase::Allocated(held) => {
                if let Some(refresh) = &mut held.refresh {
                    *refresh = now.min(*refresh);
                }
            }
            _ => {}
        }
        self.plan();
    }

    /// Wants data from and to this address to be relayed, now and with every allocation that
    /// takes the place of this one.
    pub(crate) fn permit(&mut self, now: Timestamp, ip: IpAddr) -> Result<(), Refusal> {
        let ip = ip.to_canonical();
        self.check_peer(ip)?;
        if !self.permissions.want(ip, now, usize::from(self.config.permissions)) {
            return Err(Refusal::LimitReached);
        }
        self.plan();
        Ok(())
    }

    /// Does not renew the permission any more.
    pub(crate) fn forget(&mut self, ip: IpAddr) {
        self.permissions.unwant(ip.to_canonical());
        self.plan();
    }

    /// Whether data may be sent to this address.
    pub(crate) fn is_permitted(&self, now: Timestamp, ip: IpAddr) -> bool {
        matches!(self.phase, Phase::Allocated(_))
            && self.permissions.is_granted(ip.to_canonical(), now)
    }

    /// Whether the permission for this address is still to come.
    pub(crate) fn awaits_permission(&self, ip: IpAddr) -> bool {
        self.permissions.is_wanted(ip.to_canonical())
    }

    /// Whether the server has said that it does not relay to this address.
    pub(crate) fn has_refused(&self, ip: IpAddr) -> bool {
        self.permissions.is_refused(ip.to_canonical())
    }

    /// The addresses for which there are permissions that are renewed.
    pub(crate) fn permitted(&self) -> impl Iterator<Item = IpAddr> {
        self.permissions.wanted()
    }

    pub(crate) fn outstanding(&self) -> usize {
        self.requests.outstanding()
    }

    /// Whether this is the transaction of something that was asked.
    pub(crate) fn knows(&self, id: TransactionId) -> bool {
        self.requests.knows(id)
    }

    /// Wants a channel for this peer, as long as this allocation lasts, and says which.
    pub(crate) fn bind(&mut self, now: Timestamp, peer: SocketAddr) -> Result<u16, Refusal> {
        let peer = address::normal(peer);
        self.check_peer(peer.ip())?;
        let Phase::Allocated(held) = &self.phase else { return Err(Refusal::Unavailable) };
        if self.is_loop(held, peer) {
            return Err(Refusal::Forbidden);
        }
        if self.bad_channels > 1 {
            return Err(Refusal::Unavailable);
        }
        let channel = self.channels.want(peer, now, usize::from(self.config.channels));
        self.plan();
        channel.ok_or(Refusal::LimitReached)
    }

    /// Does not renew the channel any more.
    pub(crate) fn unbind(&mut self, peer: SocketAddr) {
        self.channels.unwant(address::normal(peer));
        self.plan();
    }

    /// Deletes the relayed address of one family of two, with what belongs to it (RFC 8656 §8.1).
    pub(crate) fn release_family(&mut self, now: Timestamp, family: Family) {
        if let Phase::Allocated(held) = &mut self.phase {
            let of = |addr: &SocketAddr| Family::of(addr.ip()) == family;
            if held.relayed.len() == 2 && held.relayed.iter().any(of) {
                held.relayed.retain(|addr| !of(addr));
                held.release = Some((family, now));
                self.channels.remove(|peer| of(&peer));
                while self.permissions.remove_one(|ip| Family::of(ip) == family).is_some() {}
            }
        }
        self.plan();
    }

    /// Deletes the allocation. [`Fact::Closed`] says that the server knows, or does not answer.
    pub(crate) fn close(&mut self, now: Timestamp) {
        match &mut self.phase {
            Phase::Allocated(_) => self.delete(now, Then::Close),
            Phase::Deleting { then, .. } => *then = Then::Close,
            Phase::Asked { closing } => *closing = true,
            Phase::Closed => {}
            _ => self.end(),
        }
        self.plan();
    }

    pub(crate) fn has_transmit(&self) -> bool {
        self.requests.has_transmit()
    }

    /// Appends the next request to [`Self::server`].
    pub(crate) fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<Range<usize>> {
        self.requests.poll_transmit(buf)
    }

    pub(crate) fn poll_fact(&mut self) -> Option<Fact> {
        self.facts.pop_front()
    }

    /// Where requests and data go.
    pub(crate) const fn server(&self) -> SocketAddr {
        self.config.server
    }

    /// The relayed addresses that there are.
    #[cfg(test)]
    pub(crate) fn relayed(&self) -> &[SocketAddr] {
        if let Phase::Allocated(held) = &self.phase { &held.relayed } else { &[] }
    }

    pub(crate) const fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    #[cfg(test)]
    pub(crate) const fn rejections(&self) -> &Rejections {
        &self.rejections
    }

    fn check_peer(&self, ip: IpAddr) -> Result<(), Refusal> {
        if is_special(ip) && !(ip.is_loopback() && self.config.allow_loopback) {
            return Err(Refusal::Forbidden);
        }
        let family = Family::of(ip);
        let has = match &self.phase {
            Phase::Allocated(held) => {
                held.relayed.iter().any(|addr| Family::of(addr.ip()) == family)
            }
            Phase::Closed => return Err(Refusal::Unavailable),
            _ => self.config.families.contains(family),
        };
        if has { Ok(()) } else { Err(Refusal::WrongFamily) }
    }

    /// Whether what is sent to this peer would come back: the server itself, or an address that it
    /// relays for us (RFC 8656 §21.2.3).
    fn is_loop(&self, held: &Held, peer: SocketAddr) -> bool {
        peer == self.config.server || held.relayed.contains(&peer)
    }

    fn tell(&mut self, fact: Fact) {
        if self.facts.len() >= MAX_FACTS {
            self.facts.pop_front();
            self.rejections.count(Rejected::Fact);
        }
        self.facts.push_back(fact);
    }
}
