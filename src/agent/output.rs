//! What waits to be polled: answers, checks, events. Messages are rendered when they are polled,
//! so that what waits is small.

use core::hash::{Hash, Hasher};
use core::net::{IpAddr, SocketAddr};
use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::gather::ServerFailure;
use crate::id::{CandidateId, ConnectionId, LookupId, PairId, ServerId, SocketId, StreamId};
use crate::mdns::MdnsName;
use crate::stun::TransactionId;
use crate::time::Timestamp;

use super::ConnectionState;
use super::counters::{Counters, Refused};
use super::generation::Generation;
use super::io::{ConnectionSecurity, GatheringState};
use crate::config::Role;

/// The success response to a check.
#[derive(Clone, Debug, Hash)]
pub(super) struct Reply {
    /// Where the request arrived: the response leaves from there (RFC 8489 §6.3.1.2).
    pub(super) local: CandidateId,
    pub(super) to: SocketAddr,
    /// The connection on which it came: RFC 6544 §7.2, the response takes the same.
    pub(super) via: Option<ConnectionId>,
    pub(super) id: TransactionId,
    /// The generation that the request was sent to.
    pub(super) generation: Generation,
    /// The request carried MESSAGE-INTEGRITY-SHA256 alone, and so does the response.
    pub(super) sha256: bool,
}

/// The error response to a request.
#[derive(Clone, Debug, Hash)]
pub(super) struct ErrorReply {
    pub(super) reply: Reply,
    pub(super) code: u16,
    pub(super) unknown: SmallVec<[u16; 4]>,
    /// The request was authenticated, so the response is as well.
    pub(super) authenticated: bool,
}

/// What a server did, or what somebody outside has to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Report {
    ServerFailed {
        server: ServerId,
        local: Option<SocketAddr>,
        failure: ServerFailure,
    },
    AllocationLost {
        server: ServerId,
        relayed: SocketAddr,
        failure: ServerFailure,
    },
    CredentialsExpiring {
        server: ServerId,
        at: Timestamp,
    },
    OpenConnection {
        id: ConnectionId,
        local: SocketAddr,
        remote: SocketAddr,
        security: ConnectionSecurity,
    },
    CloseConnection(ConnectionId),
    OpenSocket {
        id: SocketId,
        ip: IpAddr,
    },
    CloseSocket(SocketId),
    ResolveName {
        lookup: LookupId,
        name: Box<str>,
    },
    PublishName {
        name: MdnsName,
        ip: IpAddr,
    },
    WithdrawName(MdnsName),
}

/// A packet that has arrived inside a check or an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Carried {
    pub(super) stream: StreamId,
    pub(super) component: u16,
    pub(super) packet: Vec<u8>,
}

/// An event in brief: what it says is looked up when it is polled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Notice {
    LocalCandidate(CandidateId),
    LocalCandidateRemoved(CandidateId, StreamId),
    GatheringState(GatheringState),
    ConnectionState(ConnectionState),
    SelectedPair { stream: StreamId, component: u16, pair: PairId, local: CandidateId },
    RoleChanged(Role),
    RemoteCandidateDiscovered(CandidateId),
    ConsentLost { stream: StreamId, component: u16, pair: PairId },
    RestartNeeded,
    RemoteRestart,
    Report(Box<Report>),
    Embedded(Box<Carried>),
    UfragTaken,
}

/// The queues.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub(super) replies: VecDeque<Reply>,
    /// Transactions of which a request is to be sent, for the first time or again.
    pub(super) checks: VecDeque<TransactionId>,
    pub(super) notices: VecDeque<Notice>,
    seldom: Option<Box<Seldom>>,
    reply_limit: u16,
    notice_limit: u16,
}

/// What many a session never sends.
#[derive(Clone, Debug, Default, Hash)]
struct Seldom {
    errors: VecDeque<ErrorReply>,
    /// Pairs on which a keepalive is to be sent.
    keepalives: VecDeque<PairId>,
}

impl Seldom {
    fn is_empty(&self) -> bool {
        self.errors.is_empty() && self.keepalives.is_empty()
    }
}

/// What waits, and not what has once waited.
impl Hash for Output {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.replies, &self.checks, &self.notices).hash(state);
        self.seldom.as_deref().filter(|seldom| !seldom.is_empty()).hash(state);
    }
}

impl Output {
    pub(super) fn new(replies: u16, events: u16) -> Self {
        Self {
            // All of it at once: answering must not allocate, be it the first time.
            replies: VecDeque::with_capacity(usize::from(replies)),
            checks: VecDeque::with_capacity(1),
            notices: VecDeque::new(),
            seldom: None,
            reply_limit: replies,
            notice_limit: events,
        }
    }

    /// Whether it was queued.
    pub(super) fn reply(&mut self, reply: Reply, counters: &mut Counters) -> bool {
        if self.replies.len() >= usize::from(self.reply_limit) {
            counters.refuse(Refused::Reply);
            return false;
        }
        self.replies.push_back(reply);
        true
    }

    pub(super) fn error(&mut self, error: ErrorReply, counters: &mut Counters) {
        let errors = &mut self.seldom.get_or_insert_default().errors;
        if errors.len() >= usize::from(self.reply_limit) {
            counters.refuse(Refused::Reply);
            return;
        }
        errors.push_back(error);
    }

    pub(super) fn next_error(&mut self) -> Option<ErrorReply> {
        let seldom = self.seldom.as_mut()?;
        let error = seldom.errors.pop_front();
        // Strangers get such answers, and leave nothing behind. Keepalives come again.
        if seldom.errors.is_empty() && seldom.keepalives.capacity() == 0 {
            self.seldom = None;
        }
        error
    }

    pub(super) fn keepalive(&mut self, pair: PairId) {
        self.seldom.get_or_insert_default().keepalives.push_back(pair);
    }

    pub(super) fn next_keepalive(&mut self) -> Option<PairId> {
        self.seldom.as_mut()?.keepalives.pop_front()
    }

    pub(super) fn check(&mut self, id: TransactionId) {
        if !self.checks.contains(&id) {
            self.checks.push_back(id);
        }
    }

    /// Queues an event. When nobody polls, the oldest of its sort makes way, or else of the sort of
    /// which there are most: the newest state is the one that counts, a candidate that nobody hears of
    /// is never paired, and a packet has been acknowledged.
    pub(super) fn notice(&mut self, notice: Notice, counters: &mut Counters) {
        if self.notices.len() >= usize::from(self.notice_limit) {
            let sort = core::mem::discriminant(&notice);
            let position =
                |sort| self.notices.iter().position(|other| core::mem::discriminant(other) == sort);
            let oldest = position(sort).or_else(|| position(self.commonest_sort()?));
            self.notices.remove(oldest.unwrap_or(0));
            counters.refuse(Refused::Event);
        }
        self.notices.push_back(notice);
    }

    fn commonest_sort(&self) -> Option<core::mem::Discriminant<Notice>> {
        let sorts = self
            .notices
            .iter()
            .filter(|notice| !matches!(notice, Notice::LocalCandidate(_) | Notice::Embedded(_)))
            .map(core::mem::discriminant);
        sorts.clone().max_by_key(|sort| sorts.clone().filter(|other| other == sort).count())
    }

    /// Gives back spare capacity, but for the answers, whose queue never grows, and for the one check
    /// that asks for consent.
    pub(super) fn shrink(&mut self) {
        self.seldom = self.seldom.take().filter(|seldom| !seldom.is_empty());
        self.checks.shrink_to(1);
        self.notices.shrink_to_fit();
    }

    #[inline]
    pub(super) fn has_transmit(&self) -> bool {
        !(self.replies.is_empty()
            && self.checks.is_empty()
            && self.seldom.as_deref().is_none_or(Seldom::is_empty))
    }

    /// Nothing more is sent.
    pub(super) fn clear_transmits(&mut self) {
        self.replies.clear();
        self.checks.clear();
        self.seldom = None;
    }
}
