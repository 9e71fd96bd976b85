//! What goes in and out of an agent, as types.

use core::net::{IpAddr, SocketAddr};
use core::ops::Range;
use core::time::Duration;

use crate::agent::ConnectionState;
use crate::candidate::{Candidate, CandidateKind, CandidateTransport, TcpType, Transport};
use crate::config::Role;
use crate::credentials::Credentials;
use crate::gather::ServerFailure;
use crate::id::{CandidateId, ConnectionId, LookupId, PairId, ServerId, SocketId, StreamId};
use crate::mdns::MdnsName;
use crate::policy::{AddressUse, InterfaceKind};
use crate::time::Timestamp;
use crate::turn;

/// RFC 6544 §4.5: the port in active candidates, which nobody connects to.
pub(super) const DISCARD_PORT: u16 = 9;

/// An address at which this side can be reached: of a socket on this machine, or one that the
/// caller has obtained for such a socket by means of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocalAddress {
    /// The transport of the socket; of TCP the direction as well.
    pub transport: CandidateTransport,
    /// The concrete address, even when the socket is bound to a wildcard.
    pub addr: SocketAddr,
    /// How the caller came by it.
    pub origin: Origin,
    /// What using the interface costs, 0 (free) to 999 (avoid). Candidates on costly interfaces
    /// come after all others of their kind (RFC 8421 §3).
    pub cost: u16,
    /// A temporary (privacy) IPv6 address. Where one is used, permanent addresses of the same
    /// interface and prefix, and link-local ones, are not (RFC 8445 §5.1.1.1).
    pub temporary: bool,
    /// A deprecated IPv6 address; refused.
    pub deprecated: bool,
    /// The interface, by whatever number or hash the caller uses; only compared.
    pub interface: u32,
    /// The name of the interface, for [`Policies`](crate::Policies) that speak of it; empty if it is
    /// not known.
    pub interface_name: String,
    /// What kind of interface it is, for statistics alone: what it costs is `cost`. `None` if it is not
    /// known.
    pub interface_kind: Option<InterfaceKind>,
    /// What the address may be used for: what
    /// [`AddressHandling::uses`](crate::AddressHandling::uses) says of it, or everything.
    pub usage: AddressUse,
}

impl LocalAddress {
    /// A UDP socket on `addr`, of an interface that costs nothing.
    #[must_use]
    pub const fn udp(addr: SocketAddr) -> Self {
        Self {
            transport: CandidateTransport::Udp,
            addr,
            origin: Origin::Socket,
            cost: 0,
            temporary: false,
            deprecated: false,
            interface: 0,
            interface_name: String::new(),
            interface_kind: None,
            usage: AddressUse::Host,
        }
    }

    /// An address from which TCP connections to the peer may be opened (RFC 6544): an active
    /// candidate. There is no socket yet, [`Event::OpenConnection`] asks for each. The candidate is
    /// signalled with the discard port, as RFC 6544 §4.5 wants it. A link-local address needs its
    /// scope: give `addr` with any port.
    #[must_use]
    pub const fn tcp_active(ip: IpAddr) -> Self {
        let mut local = Self::udp(SocketAddr::new(ip, DISCARD_PORT));
        local.transport = CandidateTransport::Tcp(TcpType::Active);
        local
    }

    /// An address at which the caller accepts TCP connections for one component (RFC 6544): a passive
    /// candidate. Tell of each connection with
    /// [`connection_accepted`](crate::IceAgent::connection_accepted).
    #[must_use]
    pub const fn tcp_passive(addr: SocketAddr) -> Self {
        let mut local = Self::udp(addr);
        local.transport = CandidateTransport::Tcp(TcpType::Passive);
        local
    }

    /// The public address to which a NAT maps a UDP socket that was added before as `base`, such as
    /// a port mapping has it (PCP, NAT-PMP, UPnP) or a STUN client of the caller's own: a
    /// server-reflexive candidate. `server` is who told it.
    #[must_use]
    pub const fn reflexive(addr: SocketAddr, base: SocketAddr, server: IpAddr) -> Self {
        let mut local = Self::udp(addr);
        local.origin = Origin::Reflexive { base, server };
        local
    }

    /// An address on a TURN server that the caller's own TURN client has allocated: a relayed
    /// candidate. The caller carries what is sent from it to the server, and gives back what the
    /// server relays as arrived on it. `mapped` is the address from which the server sees the
    /// client (RFC 8839 §5.1 puts it into the candidate line), `server` the server's.
    #[must_use]
    pub const fn relayed(addr: SocketAddr, mapped: SocketAddr, server: IpAddr) -> Self {
        let mut local = Self::udp(addr);
        local.origin = Origin::Relayed { mapped, server };
        local
    }
}

/// How the caller came by an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A socket of this machine is bound to it.
    Socket,
    /// A NAT maps the address of such a socket to it.
    Reflexive {
        /// The address of the socket, which has been added already.
        base: SocketAddr,
        /// Who told it.
        server: IpAddr,
    },
    /// A TURN server has allocated it.
    Relayed {
        /// The address from which the server sees the client.
        mapped: SocketAddr,
        /// The server.
        server: IpAddr,
    },
}

/// Where a transmit goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// As one datagram.
    Datagram {
        /// The transport.
        transport: Transport,
        /// The local address to send from, as the caller gave it.
        local: SocketAddr,
        /// The address to send to.
        remote: SocketAddr,
    },
    /// As one frame on a stream connection.
    Stream(ConnectionId),
}

/// One message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a transmit that is not sent is a lost packet"]
pub struct Transmit {
    /// Where it goes.
    pub route: Route,
    /// Its bytes within the buffer that `poll_transmit` was given.
    pub range: Range<usize>,
    /// The DSCP to send it with (RFC 8445 §7.2.3).
    pub dscp: u8,
}

/// What became of an incoming datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it may hold application data"]
pub enum Received<'a> {
    /// It was a message for the agent, which has dealt with it.
    Consumed,
    /// It was application data.
    Data {
        /// The stream it belongs to.
        stream: StreamId,
        /// The component it belongs to.
        component: u16,
        /// The pair on which it arrived. None when it was there before the peer's parameters, or
        /// its answer to a restart: a check that proves who sends has come on the same path, but
        /// there are no pairs yet.
        pair: Option<PairId>,
        /// The application's bytes.
        payload: &'a [u8],
    },
    /// It was not for the agent, or was refused; counted under the same reason.
    Ignored(Ignored),
}

/// Why a datagram was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ignored {
    /// It arrived on an address that was never added: a wildcard socket whose concrete address
    /// was not determined, or a removed interface.
    UnknownLocal,
    /// Application data from an address that has not authenticated itself.
    UnknownRemote,
    /// It starts like STUN, but is not well formed.
    MalformedStun,
    /// STUN whose FINGERPRINT does not match.
    BadFingerprint,
    /// STUN of a method or class that means nothing here.
    UnexpectedMessage,
    /// A request without USERNAME or MESSAGE-INTEGRITY.
    MissingCredentials,
    /// A request for another user: not this agent, or an earlier generation.
    UnknownUser,
    /// A message whose MESSAGE-INTEGRITY does not match.
    BadIntegrity,
    /// A response to no request that is outstanding.
    UnknownTransaction,
    /// An answer of a server that pretends to know less than the server has said (RFC 8489
    /// §9.2.5).
    BidDown,
    /// An authentic answer of a server that cannot be true.
    Contradictory,
    /// It came directly to an address that is used for servers alone.
    Policy,
    /// It belongs to a connection that is not there, or that carries something else.
    UnknownConnection,
    /// A bound of [`Limits`](crate::Limits) was reached.
    LimitReached,
    /// The agent is closed.
    Closed,
}

/// Application data on its way out: where it goes and what to write, in order `head`, payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it has to be sent"]
pub struct Outgoing<'a> {
    /// Where it goes.
    pub route: Route,
    /// The pair that carries it.
    pub pair: PairId,
    /// The DSCP to send it with.
    pub dscp: u8,
    head: turn::Head,
    payload: &'a [u8],
}

impl<'a> Outgoing<'a> {
    pub(crate) const fn direct(route: Route, pair: PairId, dscp: u8, payload: &'a [u8]) -> Self {
        Self { route, pair, dscp, head: turn::Head::NONE, payload }
    }

    /// Behind a head of its own.
    pub(crate) fn with_head(mut self, head: turn::Head) -> Self {
        self.head = head;
        self
    }

    /// What to write before the payload, at most 48 bytes; empty on a direct UDP path.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        self.head.as_bytes()
    }

    /// The caller's own payload.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Zero bytes to write after the payload; none on a direct UDP path.
    #[must_use]
    pub const fn padding(&self) -> &'static [u8] {
        self.head.padding()
    }
}

/// What the agent tells the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A local candidate to signal to the peer. With trickle signalling, polling this event is
    /// what conveys the candidate.
    LocalCandidate {
        /// Its id.
        id: CandidateId,
        /// Its stream.
        stream: StreamId,
        /// What to signal.
        candidate: Candidate,
    },
    /// A local candidate is gone: displaced by a temporary address, or freed since nothing uses it.
    LocalCandidateRemoved {
        /// Its id.
        id: CandidateId,
        /// Its stream.
        stream: StreamId,
    },
    /// Gathering moved on. `Complete` is what to signal as end-of-candidates.
    GatheringState(GatheringState),
    /// The state of the connection changed.
    ConnectionState(ConnectionState),
    /// A pair was selected for a component: from now on its data goes there.
    SelectedPair {
        /// The stream.
        stream: StreamId,
        /// The component.
        component: u16,
        /// The pair.
        pair: PairId,
        /// The local candidate, as the peer or a server sees it.
        local: CandidateView,
        /// The remote candidate.
        remote: CandidateView,
    },
    /// A role conflict was repaired; this is the role now.
    RoleChanged(Role),
    /// Consent to send on a pair has expired or was revoked (RFC 7675): nothing is sent on it any
    /// more, and only a restart can revive it.
    ConsentLost {
        /// The stream.
        stream: StreamId,
        /// The component.
        component: u16,
        /// The pair.
        pair: PairId,
    },
    /// A component has lost its last valid pair. Only a restart can connect it again.
    RestartNeeded,
    /// In a [`Mux`](crate::Mux): the username fragment that a restart has drawn is that of another
    /// session, which checks to it go to. Another restart draws another one; one that is staged has
    /// to be rolled back first.
    UfragTaken,
    /// The peer has restarted (RFC 8445 §9): tell it the new
    /// [`local_parameters`](crate::IceAgent::local_parameters), and gather anew.
    RemoteRestart {
        /// Its new username fragment.
        ufrag: String,
    },
    /// A server did not give what it was asked for (W3C RTCPeerConnectionIceErrorEvent). Gathering
    /// goes on without it.
    CandidateError {
        /// The server.
        server: ServerId,
        /// The local address from which it was asked; none if it was not asked at all, as its name was
        /// not resolved, or no address of this side may ask it.
        local: Option<SocketAddr>,
        /// The code of the server's answer, or 701 when there was none.
        code: u16,
        /// What happened.
        failure: ServerFailure,
    },
    /// A relayed address is gone: the server has lost it, or cannot be reached any more. Another one
    /// is asked for; the candidate that takes its place is checked at once.
    AllocationLost {
        /// The server.
        server: ServerId,
        /// The address that was lost.
        relayed: SocketAddr,
        /// Why.
        failure: ServerFailure,
    },
    /// The credentials of a server will not do for much longer: give it others with
    /// [`update_server_credentials`](crate::IceAgent::update_server_credentials).
    CredentialsExpiring {
        /// The server.
        server: ServerId,
        /// When they, or what depends on them, end.
        at: Timestamp,
    },
    /// Another UDP socket is needed, on this address of the machine and any port but those in use
    /// (RFC 8656 §7.4): answer with [`socket_opened`](crate::IceAgent::socket_opened) or
    /// [`socket_failed`](crate::IceAgent::socket_failed), and carry its datagrams like all others.
    OpenSocket {
        /// Its name in the answer.
        socket: SocketId,
        /// The address to bind to.
        ip: IpAddr,
    },
    /// A socket that was opened for [`OpenSocket`](Self::OpenSocket) is not needed any more.
    CloseSocket {
        /// The socket.
        socket: SocketId,
    },
    /// A connection is needed, to a server or from an active TCP candidate to the peer: answer with
    /// [`connection_opened`](crate::IceAgent::connection_opened) or
    /// [`connection_failed`](crate::IceAgent::connection_failed).
    OpenConnection {
        /// Its name from now on.
        connection: ConnectionId,
        /// The address to connect from. Its port is zero where any will do.
        local: SocketAddr,
        /// The address to connect to.
        remote: SocketAddr,
        /// What goes between the connection and the agent's bytes.
        security: ConnectionSecurity,
    },
    /// A connection is to be closed, whether it is open already or not. The agent knows it no more.
    CloseConnection {
        /// The connection.
        connection: ConnectionId,
    },
    /// An address of this side is told under this name: whoever asks on its network is to be answered
    /// (draft-ietf-rtcweb-mdns-ice-candidates-04 §3.1.1). Comes before the candidate.
    PublishName {
        /// The name.
        name: MdnsName,
        /// The address that it stands for.
        ip: IpAddr,
    },
    /// No candidate is told under this name any more: it is to be answered no longer. The agent does
    /// not use it again.
    WithdrawName {
        /// The name.
        name: MdnsName,
    },
    /// A name has to be resolved: answer with [`name_resolved`](crate::IceAgent::name_resolved) or
    /// [`name_failed`](crate::IceAgent::name_failed).
    ResolveName {
        /// Its name in the answer.
        lookup: LookupId,
        /// The host name.
        name: String,
    },
    /// A packet of the peer's application has arrived inside an authenticated check or answer
    /// ([`IceAgent::embed`](crate::IceAgent::embed)). Each becomes an event once; that it has come
    /// is acknowledged.
    Embedded {
        /// The stream.
        stream: StreamId,
        /// The component.
        component: u16,
        /// Its bytes.
        packet: Vec<u8>,
    },
    /// The peer sent a check from an address that was not signalled.
    RemoteCandidateDiscovered {
        /// The stream.
        stream: StreamId,
        /// What is known of it.
        candidate: CandidateView,
    },
}

/// How a connection is protected.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionSecurity {
    /// Plain TCP.
    Tcp,
    /// TLS on TCP; the certificate is to be for this name or address.
    Tls {
        /// The name.
        server_name: String,
    },
    /// DTLS on UDP; the certificate is to be for this name or address. Each message of the agent is
    /// one record, and each record is given back as one input.
    Dtls {
        /// The name.
        server_name: String,
    },
}

/// A candidate as the agent sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CandidateView {
    /// Its id.
    pub id: CandidateId,
    /// Its stream.
    pub stream: StreamId,
    /// Its component.
    pub component: u16,
    /// How it was obtained.
    pub kind: CandidateKind,
    /// Its transport.
    pub transport: Transport,
    /// Its direction, if that is TCP.
    pub tcp_type: Option<TcpType>,
    /// Its address. The port of an active TCP candidate means nothing.
    pub addr: SocketAddr,
    /// The address that packets leave from, for a local candidate; its address for a remote one.
    pub base: SocketAddr,
    /// Its priority.
    pub priority: u32,
    /// The peer keeps the address from those to whom it signals: it came under a name, or was only
    /// found by a check. Whoever shows addresses to an application or a user leaves this one out
    /// (draft-ietf-rtcweb-mdns-ice-candidates-04 §3.3.1).
    pub hidden: bool,
    /// The number of its network among those of its side, as libwebrtc tells it; 0 if the peer has not
    /// told it.
    pub network_id: u16,
    /// What using its network costs its side, 0 to 999; 0 if the peer has not told it.
    pub network_cost: u16,
}

/// How far gathering is (W3C RTCIceGatheringState).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GatheringState {
    /// Not started.
    New,
    /// Under way.
    Gathering,
    /// All candidates of this generation are known.
    Complete,
}

/// The parameters of one side that the other one needs before checks start.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Parameters {
    /// Username fragment and password.
    pub credentials: Credentials,
    /// The side is a lite implementation.
    pub lite: bool,
    /// The Ta it proposes; 50 ms when it says nothing.
    pub pacing: Option<Duration>,
    /// Its ICE options: `ice2`, `trickle` and others.
    pub options: Vec<String>,
}

impl Parameters {
    /// Parameters of a full agent with nothing but its credentials known.
    #[must_use]
    pub const fn new(credentials: Credentials) -> Self {
        Self { credentials, lite: false, pacing: None, options: Vec::new() }
    }
}

/// All that complete signalling conveys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// The parameters of this side.
    pub parameters: Parameters,
    /// Its candidates by stream.
    pub candidates: Vec<(StreamId, Candidate)>,
    /// No more will follow.
    pub end_of_candidates: bool,
}

/// Why [`IceAgent::poll_timeout`](crate::IceAgent::poll_timeout) has the value it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeoutReason {
    /// The next Ta slot has a check to carry. A container of many agents may delay it to space
    /// the transactions of all of them (RFC 8445 §14.2).
    Pacing,
    /// A request is sent again.
    Retransmission,
    /// A transaction ends unanswered.
    TransactionTimeout,
    /// A pair is nominated without waiting for a better one.
    Nomination,
    /// The patience of RFC 8863 ends.
    PatienceEnds,
    /// A consent check is due (RFC 7675 §5.1).
    ConsentCheck,
    /// Consent expires.
    ConsentExpiry,
    /// A silent path is probed.
    Probe,
    /// A silent path counts as dead.
    Silence,
    /// A keepalive is due (RFC 8445 §11).
    Keepalive,
    /// What is kept of the generation before a restart is forgotten.
    Forget,
    /// Candidates that are not used are freed (RFC 8445 §8.3).
    Release,
    /// A TCP connection to a peer is to be opened, closed or given up, or its first message may go.
    Connection,
    /// Something of a server is due: the end of what it gave, of credentials, or of the patience of
    /// gathering.
    Server,
}
