//! The inputs of one agent. Zeros are the ordinary case, so that short inputs go far.

use arbitrary::{Arbitrary, Unstructured};

use super::super::pool::{Config, Remote, Time};

#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Setup {
    pub config: Config,
    pub seed: u8,
    /// How much has been told to the agent before the first step: local addresses in bits 0 and 1,
    /// remote candidates in 2 and 3, parameters in 4, the ends of both in 5 and 6; a TURN server
    /// that has answered in 7.
    pub told: u8,
}

#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    pub time: Time,
    /// The driver does not drain the agent after this input, nor look at its deadline.
    pub neglect: bool,
    pub input: Input<'a>,
}

impl<'a> Arbitrary<'a> for Step<'a> {
    /// The topmost bit beside `neglect` says whether it is about servers and connections.
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let time = Time::arbitrary(bytes)?;
        let flags = u8::arbitrary(bytes)?;
        let input = if flags >= 128 {
            Input::Outside(Outside::arbitrary(bytes)?)
        } else {
            Input::arbitrary(bytes)?
        };
        Ok(Self { time, neglect: flags & 1 == 1, input })
    }
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
    #[arbitrary(skip)]
    Outside(Outside<'a>),
}

/// What servers do, and what becomes of the agent's wishes for names, sockets and connections.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Outside<'a> {
    /// All that the servers have answered arrives.
    AnswersArrive,
    /// All that the agent asks of its caller is done, as it wants it.
    Oblige,
    AddServer {
        kind: u8,
        how: u8,
    },
    RemoveServer(u8),
    Credentials {
        server: u8,
        how: u8,
    },
    CancelGathering,
    /// One of the answers arrives, and may do so again.
    AnswerArrives {
        index: u8,
        keep: bool,
        /// 0: from where it comes; otherwise from a server.
        from: u8,
        flip: Option<(u16, u8)>,
    },
    AnswersLost,
    Compose(Composed<'a>),
    Forge(Forged<'a>),
    /// The next requests of a method are refused.
    Refuse {
        method: u8,
        code: u8,
        times: u8,
        unauthenticated: bool,
    },
    ExpireNonces,
    Crash,
    /// What an allocation is said to last, in seconds; 0: the truth.
    Lifetime(u8),
    /// 0: the server's address, both, that of a peer, none, a failure.
    Resolve {
        lookup: u8,
        how: u8,
    },
    Socket {
        socket: u8,
        fails: bool,
        port: u8,
    },
    /// 0: it is open, has failed, is closed.
    Connection {
        connection: u8,
        how: u8,
    },
    /// Bytes arrive on a connection, all at once or one after the other.
    Stream {
        connection: u8,
        /// They are one frame of RFC 4571.
        framed: bool,
        slowly: bool,
        bytes: &'a [u8],
    },
    Accept {
        to: u8,
        from: u8,
    },
    /// The peer sends a check, over a connection or to a relayed address.
    CheckOver {
        connection: u8,
        relayed: bool,
        check: Check<'a>,
    },
    /// The peer sends data, in the same way.
    DataOver {
        connection: u8,
        relayed: bool,
        from: u8,
        bytes: &'a [u8],
    },
}

/// An answer of a server by hand.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Composed<'a> {
    /// Counted from the newest.
    pub request: u8,
    /// 0: success, an indication, errors.
    pub code: u8,
    /// Without a mapped and a relayed address and a lifetime in bits 0 to 2; with a challenge,
    /// password algorithms, another server, an ADDRESS-ERROR-CODE, UNKNOWN-ATTRIBUTES in 3 to 7.
    pub attributes: u8,
    pub mapped: u8,
    pub relayed: u8,
    pub lifetime: u8,
    /// 0: as the request was sealed.
    pub seal: u8,
    pub extra: Option<(u16, &'a [u8])>,
    pub flip: Option<(u16, u8)>,
}

/// What no request has asked for, the way that an answer to a request takes.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Forged<'a> {
    pub request: u8,
    pub from: u8,
    /// 0: any bytes; otherwise data on a channel.
    pub channel: u8,
    pub bytes: &'a [u8],
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
