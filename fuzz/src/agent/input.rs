//! The inputs of one agent. Zeros are the ordinary case, so that short inputs go far.

use arbitrary::Arbitrary;

use super::super::pool::{Config, Remote, Time};

#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Setup {
    pub config: Config,
    pub seed: u8,
    /// How much has been told to the agent before the first step: local addresses in bits 0 and 1,
    /// remote candidates in 2 and 3, parameters in 4, the ends of both in 5 and 6.
    pub told: u8,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Step<'a> {
    pub time: Time,
    /// The driver does not drain the agent after this input, nor look at its deadline.
    pub neglect: bool,
    pub input: Input<'a>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Input<'a> {
    Wake,
    AnswerAll,
    Check(Check<'a>),
    Answer(Answer<'a>),
    Datagram {
        to: u8,
        from: u8,
        tcp: bool,
        bytes: &'a [u8],
    },
    AddStream(u8),
    AddLocal(Local),
    AddRemote {
        stream: u8,
        remote: Remote,
    },
    SetRemote {
        peer: u8,
        lite: bool,
        /// Modulo 8: what is proposed. From 128 on the option of renomination is offered.
        pacing: u8,
    },
    EndOfRemote(u8),
    Gather,
    TakeDescription,
    SetTiming(u8),
    Send {
        stream: u8,
        /// From 128 on it is to ride in checks; from 192 on nothing is to any more before that.
        component: u8,
        bytes: &'a [u8],
    },
    NoteActivity(u8),
    NoteSent {
        stream: u8,
        component: u8,
    },
    TransmitFailed {
        request: u8,
        elsewhere: u8,
        error: u8,
    },
    Icmp {
        request: u8,
        elsewhere: u8,
        soft: bool,
        cut: u8,
    },
    /// From here on the twin is a clone.
    Clone,
    Close,
    PrepareRestart,
    RollbackRestart,
    /// By the position of a pair.
    Renominate(u8),
    /// By the position of a local candidate.
    RemoveLocal(u8),
    RebindLocal {
        local: u8,
        address: u8,
    },
    /// An address on a NAT or a TURN server.
    AddObtained {
        local: Local,
        relayed: bool,
        base: u8,
        server: u8,
    },
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Local {
    pub stream: u8,
    pub component: u8,
    pub address: u8,
    pub cost: u8,
    /// Temporary, deprecated, TCP.
    pub flags: u8,
    pub interface: u8,
}

/// A request of the peer.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Check<'a> {
    pub to: u8,
    pub from: u8,
    pub id: u8,
    /// Modulo 6: 0: the agent's and the peer's. Divided by it: 0: of the current generation; the
    /// staged one, then earlier ones, the newest first.
    pub username: u8,
    /// Modulo 4: 0: opposite to the agent's; same, none, both. Divided by it, the value of
    /// NOMINATION.
    pub role: u8,
    pub tie_breaker: u8,
    pub priority: Option<u32>,
    pub nominates: bool,
    pub tail: Tail<'a>,
}

/// A response of the peer.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Counted from the newest.
    pub request: u8,
    /// 0: from where the request went, to where it came from; otherwise addresses.
    pub from: u8,
    pub to: u8,
    /// 0: success with the address that the request came from; then one with another address, one
    /// without, errors, an indication.
    pub kind: u8,
    pub code: u16,
    pub mapped: u8,
    pub tail: Tail<'a>,
}

/// How a message ends, and what is broken about it.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Tail<'a> {
    pub extra: Option<(u16, &'a [u8])>,
    /// 0: by MESSAGE-INTEGRITY; by the other one, by both, by none, by a wrong password, by that
    /// of another generation.
    pub seal: u8,
    /// 0: right, none, wrong.
    pub fingerprint: u8,
    /// A byte that is altered in the end, and what with.
    pub flip: Option<(u16, u8)>,
}

/// Nothing extra, nothing broken.
pub const INTACT: Tail<'_> = Tail { extra: None, seal: 0, fingerprint: 0, flip: None };
