//! What an allocation is told when it is made, and what it says.

use core::net::{IpAddr, SocketAddr};

use smallvec::SmallVec;

use super::ask::Families;
use crate::gather::{LongTermCredentials, RequestTiming, ServerFailure};
use crate::stun::turn::Family;
use crate::time::Timestamp;

/// Which server is asked for what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AllocationConfig {
    pub(crate) server: SocketAddr,
    /// Over a stream, which [`Allocation::connected`] tells to be there.
    pub(crate) reliable: bool,
    /// Over datagrams of a connection (DTLS), which is told to be there likewise.
    pub(crate) connects: bool,
    pub(crate) credentials: Option<LongTermCredentials>,
    pub(crate) families: Families,
    /// Ask for DONT-FRAGMENT, and do without it if the server cannot.
    pub(crate) dont_fragment: bool,
    /// The lifetime to ask for, in seconds; the server's default, if none.
    pub(crate) lifetime: Option<u32>,
    /// Whether somebody who has not shown to be the server may name another one.
    pub(crate) follow_unauthenticated: bool,
    /// Whether peers may have loopback addresses, for servers on this machine.
    pub(crate) allow_loopback: bool,
    pub(crate) timing: RequestTiming,
    /// Permissions at once.
    pub(crate) permissions: u16,
    /// Channels at once, those that rest included.
    pub(crate) channels: u16,
}

impl AllocationConfig {
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self {
            server,
            reliable: false,
            connects: false,
            credentials: None,
            families: Families::V4,
            dont_fragment: false,
            lifetime: None,
            follow_unauthenticated: false,
            allow_loopback: false,
            timing: RequestTiming::default(),
            permissions: 128,
            channels: 64,
        }
    }
}

/// What became known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fact {
    /// There are relayed addresses, IPv4 first, and the server sees `mapped`.
    Relayed { relayed: SmallVec<[SocketAddr; 2]>, mapped: SocketAddr },
    /// They are still there, which somebody wanted to know.
    Confirmed,
    /// Of two families that were asked for, this one was refused (RFC 8656 §7.3).
    FamilyRefused { family: Family, code: u16 },
    /// The relayed addresses are gone, with permissions and channels. Others are asked for.
    Lost { relayed: SmallVec<[SocketAddr; 2]>, failure: ServerFailure },
    /// There is no allocation. It is asked for again at `retry`, or not before the owner says so.
    Failed { failure: ServerFailure, retry: Option<Timestamp> },
    /// The server relays to and from this address.
    Permitted { ip: IpAddr },
    /// It does not. Unless the server has refused it, it is asked again.
    PermissionRefused { ip: IpAddr, failure: ServerFailure },
    /// Data for this peer goes over a channel from now on.
    ChannelBound { peer: SocketAddr, channel: u16 },
    /// It does not. Unless the server has refused it, it is asked again.
    ChannelRefused { peer: SocketAddr, failure: ServerFailure },
    /// New credentials are needed by then.
    CredentialsExpiring { at: Timestamp },
    /// The server takes this 5-tuple for that of somebody else: another local port, or another
    /// connection, is needed.
    NeedsPort,
    /// From now on this is the server. A stream needs a new connection to it, whose certificate
    /// is for `domain`, if there is one.
    AlternateServer { server: SocketAddr, domain: Option<Box<str>> },
    /// Nothing more will come.
    Closed,
}

/// Why a permission or a channel cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There are as many as may be.
    LimitReached,
    /// Nothing is relayed to such an address: it is this machine's, everybody's, or leads back to
    /// the server or to this allocation.
    Forbidden,
    /// There is no relayed address of its family.
    WrongFamily,
    /// There is no allocation, or the server has no channels.
    Unavailable,
}
