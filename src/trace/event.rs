//! The events.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use crate::agent::io::{CandidateView, GatheringState, Ignored};
use crate::agent::{ConnectionState, Verdict};
use crate::checklist::{PairCause, PairState};
use crate::config::Role;
use crate::gather::ServerFailure;
use crate::id::{CandidateId, PairId, ServerId, StreamId};
use crate::time::Timestamp;

/// One thing that has happened in an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceEvent {
    /// When.
    pub at: Timestamp,
    /// What.
    pub data: TraceData,
}

/// What has happened. `docs/trace.md` has the names of these in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceData {
    /// A generation has begun (RFC 8445 §9): the parameters of both sides are known.
    Generation {
        /// The username fragment of this side.
        local_ufrag: String,
        /// That of the peer.
        remote_ufrag: String,
        /// The peer is a lite implementation.
        remote_lite: bool,
        /// The Ta that is in force.
        ta: Duration,
    },
    /// A local candidate is there, or has become another kind, or what its network costs has changed.
    LocalCandidate(CandidateView),
    /// A local candidate is gone.
    LocalCandidateRemoved(CandidateId),
    /// A remote candidate is there, or has become another kind, since a peer-reflexive one was signalled,
    /// or the peer has told anew of its network.
    RemoteCandidate(CandidateView),
    /// A remote candidate is gone.
    RemoteCandidateRemoved(CandidateId),
    /// A pair was formed.
    PairFormed {
        /// Its id.
        pair: PairId,
        /// Its stream.
        stream: StreamId,
        /// Its component.
        component: u16,
        /// Its local candidate: a base.
        local: CandidateId,
        /// Its remote candidate.
        remote: CandidateId,
        /// As in [`PairView::foundation`](crate::PairView::foundation).
        foundation: (u16, u16),
        /// Its priority (RFC 8445 §6.1.2.3).
        priority: u64,
        /// The state that it begins in.
        state: PairState,
        /// Why it was formed.
        cause: PairCause,
    },
    /// A pair has changed its state.
    PairState {
        /// The pair.
        pair: PairId,
        /// The state before.
        from: PairState,
        /// The state now.
        to: PairState,
        /// Why.
        cause: PairCause,
    },
    /// A pair was removed.
    PairRemoved {
        /// The pair.
        pair: PairId,
        /// The state in which it was.
        state: PairState,
        /// Why.
        cause: PairCause,
    },
    /// A check was polled to be sent (RFC 8445 §7.2.4).
    CheckSent {
        /// Its transaction.
        message: MessageId,
        /// The pair.
        pair: PairId,
        /// What it is for.
        purpose: CheckPurpose,
        /// 1, or more for a repetition.
        attempt: u8,
        /// Where it leaves from.
        local: SocketAddr,
        /// Where it goes.
        remote: SocketAddr,
        /// The role that it claims.
        role: Role,
        /// It carries USE-CANDIDATE.
        use_candidate: bool,
        /// The value of NOMINATION that it carries.
        nomination: Option<u32>,
    },
    /// An authentic check of the peer came in (RFC 8445 §7.3).
    CheckReceived {
        /// Its transaction.
        message: MessageId,
        /// Where it arrived.
        local: SocketAddr,
        /// Where it came from.
        remote: SocketAddr,
        /// The role that it claims.
        role: Option<Role>,
        /// It carries USE-CANDIDATE.
        use_candidate: bool,
        /// The value of NOMINATION that it carries.
        nomination: Option<u32>,
        /// Its PRIORITY.
        priority: Option<u32>,
    },
    /// An answer to a check was polled to be sent.
    ResponseSent {
        /// The transaction.
        message: MessageId,
        /// Where it leaves from.
        local: SocketAddr,
        /// Where it goes.
        remote: SocketAddr,
        /// The error code; none for success.
        error: Option<u16>,
    },
    /// An authentic answer to a check came in (RFC 8445 §7.2.5).
    ResponseReceived {
        /// The transaction.
        message: MessageId,
        /// The pair.
        pair: PairId,
        /// What the check was for.
        purpose: CheckPurpose,
        /// Where it came from.
        remote: SocketAddr,
        /// It came from and to where the check had gone to and from (RFC 8445 §7.2.5.2.1).
        symmetric: bool,
        /// The address from which the peer saw the check.
        mapped: Option<SocketAddr>,
        /// The round trip, if the check was sent once.
        round_trip: Option<Duration>,
        /// The error code; none for success.
        error: Option<u16>,
    },
    /// Nobody has answered a check in time.
    CheckExpired {
        /// The transaction.
        message: MessageId,
        /// The pair.
        pair: PairId,
        /// What the check was for.
        purpose: CheckPurpose,
        /// How often it was sent.
        attempts: u8,
        /// It had been given up before, and says nothing of its pair (RFC 8445 §7.3.1.4).
        cancelled: bool,
    },
    /// A datagram was ignored.
    DatagramIgnored {
        /// Why.
        reason: Ignored,
        /// Where it arrived.
        local: SocketAddr,
        /// Where it came from.
        remote: SocketAddr,
        /// Its length in bytes.
        length: usize,
    },
    /// A valid pair is to be nominated (RFC 8445 §8.1.1).
    Nominating {
        /// The stream.
        stream: StreamId,
        /// The component.
        component: u16,
        /// The pair whose check is repeated with USE-CANDIDATE.
        pair: PairId,
    },
    /// A component's data goes to this pair from now on (RFC 8445 §8.1.2).
    SelectedPair {
        /// The stream.
        stream: StreamId,
        /// The component.
        component: u16,
        /// The pair.
        pair: PairId,
        /// The local candidate, as the peer sees it.
        local: CandidateView,
        /// The remote candidate.
        remote: CandidateView,
    },
    /// Consent for a pair is lost (RFC 7675).
    ConsentLost {
        /// The stream.
        stream: StreamId,
        /// The component.
        component: u16,
        /// The pair.
        pair: PairId,
    },
    /// A role conflict was repaired, or the implementations have settled the roles.
    Role(Role),
    /// Gathering has moved on.
    GatheringState(GatheringState),
    /// The connection has another state.
    ConnectionState(ConnectionState),
    /// What the session comes to, when it has completed, is disconnected or has failed.
    Verdict(Verdict),
    /// A server did not give what it was asked for.
    ServerFailed {
        /// The server.
        server: ServerId,
        /// The code of its answer, or 701 when there was none.
        code: u16,
        /// What happened.
        failure: ServerFailure,
    },
    /// A server has lost a relayed address.
    AllocationLost {
        /// The server.
        server: ServerId,
        /// The address.
        relayed: SocketAddr,
        /// Why.
        failure: ServerFailure,
    },
    /// A packet of the peer's application has arrived inside a check or an answer.
    Embedded {
        /// The stream.
        stream: StreamId,
        /// The component.
        component: u16,
        /// Its length in bytes.
        length: usize,
    },
    /// It is known whether the peer takes packets of the application from checks.
    EmbeddingSupport {
        /// The stream.
        stream: StreamId,
        /// The component.
        component: u16,
        /// It does.
        supported: bool,
    },
    /// A component has lost its last valid pair.
    RestartNeeded,
    /// The peer has restarted.
    RemoteRestart {
        /// Its new username fragment.
        ufrag: String,
    },
    /// Events had no room in the queue at this place.
    EventsLost {
        /// How many.
        count: u64,
    },
}

/// What a check is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CheckPurpose {
    /// It decides the state of its pair.
    Decide,
    /// It is one more chance for a pair that is not answered.
    Hedge,
    /// It repeats the check of a valid pair with USE-CANDIDATE.
    Nominate,
    /// It asks for consent (RFC 7675 §5.1).
    Consent,
}

/// A STUN transaction id: the same on both sides, so that a check can be found in both traces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub [u8; 12]);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
