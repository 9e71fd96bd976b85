//! The crate's own types in a log. A field that one of them gains has to be given a number here, or
//! the crate does not compile; numbers that were used are never used for anything else.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::agent::io::{GatheringState, LocalAddress, Origin, Parameters, Route};
use crate::agent::{ConnectionState, IcmpError, TransmitError};
use crate::candidate::{
    Candidate, CandidateAddress, CandidateKind, CandidateTransport, Foundation, TcpType, Transport,
};
use crate::config::{AgentConfig, Limits, NominationMode, Role, Signalling, Timing};
use crate::credentials::{Credentials, UfragPrefix};
use crate::gather::{RelayFamilies, Server, ServerCredentials};
use crate::id::{
    CandidateId, ConnectionId, Id as _, LookupId, PairId, ServerId, SocketId, StreamId,
};
use crate::policy::InterfaceKind;
use crate::time::Timestamp;
use crate::uri::ServerUri;

use super::wire::{Malformed, Put, Reader, Sink, Take, fields, variants};

/// What an address is before its field has been read.
const UNSET: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

fields! { AgentConfig from Self::new(Role::Controlling) => {
    1 role,
    2 lite,
    3 signalling,
    4 components,
    5 continual,
    6 release_candidates,
    7 nomination,
    8 strict_nomination,
    9 credentials,
    10 loopback,
    11 answer_unauthenticated,
    12 consent,
    13 icmp,
    14 dscp,
    15 timing,
    16 limits,
    17 trace,
    18 ufrag_prefix,
    19 path_mtu,
    20 policies,
    21 mdns,
    22 statistics,
    23 tell_networks,
    24 weigh_networks,
    25 embedding,
} }

fields! { Timing from Self::default() => {
    1 ta,
    2 rto,
    3 transmissions,
    4 final_wait,
    5 nomination_wait,
    6 consent_interval,
    7 consent_timeout,
    8 disconnected_after,
    9 lite_timeout,
    10 keepalive,
    11 hedging,
    12 gathering_timeout,
    13 first_message,
} }

fields! { Limits from Self::default() => {
    1 pairs,
    2 local_candidates,
    3 remote_candidates,
    4 peer_reflexive_candidates,
    5 transactions,
    6 early_checks,
    7 streams,
    8 replies,
    9 unauthenticated_replies,
    10 events,
    11 trace,
    12 servers,
    13 server_tasks,
    14 permissions,
    15 channels,
    16 connections,
    17 unproven_connections,
    18 unproven_bytes,
    19 frame,
    20 embedded_packets,
    21 embedded_arrivals,
    22 embedded_size,
} }

fields! { LocalAddress from Self::udp(UNSET) => {
    1 transport,
    2 addr,
    3 origin,
    4 cost,
    5 temporary,
    6 deprecated,
    7 interface,
    8 interface_name,
    9 usage,
    10 interface_kind,
} }

variants! { InterfaceKind => {
    0 Ethernet,
    1 Wifi,
    2 Cellular,
    3 Bluetooth,
    4 Wimax,
    5 Vpn,
} }

variants! { Origin => {
    0 Socket,
    1 Reflexive { base, server },
    2 Relayed { mapped, server },
} }

variants! { ConnectionState => {
    0 New,
    1 Checking,
    2 Connected,
    3 Completed,
    4 Disconnected,
    5 Failed,
    6 Closed,
} }

variants! { GatheringState => { 0 New, 1 Gathering, 2 Complete, } }
variants! { Role => { 0 Controlling, 1 Controlled, } }
variants! { Signalling => { 0 Trickle, 1 Complete, } }
variants! { NominationMode => { 0 Regular, 1 Aggressive, 2 Renomination { automatic }, } }
variants! { Transport => { 0 Udp, 1 Tcp, } }
variants! { TcpType => { 0 Active, 1 Passive, 2 SimultaneousOpen, } }
variants! { CandidateKind => { 0 Host, 1 ServerReflexive, 2 PeerReflexive, 3 Relayed, } }
variants! { TransmitError => { 0 TooLarge, 1 Unreachable, 2 NotPermitted, } }
variants! { IcmpError => { 0 Hard, 1 Soft, } }

macro_rules! ids {
    ($($id:ident)*) => {$(
        impl Put for $id {
            fn put(&self, out: &mut impl Sink) {
                self.get().put(out);
            }
        }

        impl Take for $id {
            fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                u32::take(from).map(Self::new)
            }
        }
    )*};
}

ids! { StreamId CandidateId PairId ServerId SocketId LookupId }

impl Put for ConnectionId {
    fn put(&self, out: &mut impl Sink) {
        self.get().put(out);
    }
}

impl Take for ConnectionId {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        u64::take(from).map(Self::new)
    }
}

variants! { RelayFamilies => { 0 Ipv4, 1 Ipv6, 2 Both, } }

fields! { Server from Self::new(ServerUri::stun(Ipv4Addr::UNSPECIFIED)) => {
    1 uri,
    2 credentials,
    3 relay,
    4 dont_fragment,
    5 lifetime,
    6 redirects,
} }

impl Put for ServerUri {
    fn put(&self, out: &mut impl Sink) {
        self.to_string().put(out);
    }
}

impl Take for ServerUri {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        String::take(from)?.parse().map_err(|_| Malformed::Value)
    }
}

impl Put for ServerCredentials {
    fn put(&self, out: &mut impl Sink) {
        let (username, password, expires) = self.parts();
        username.put(out);
        password.put(out);
        expires.map(Timestamp::as_nanos).put(out);
    }
}

impl Take for ServerCredentials {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (username, password) = <(String, String)>::take(from)?;
        let credentials = Self::new(&username, &password).map_err(|_| Malformed::Value)?;
        let expires = <Option<u64> as Take>::take(from)?.map(Timestamp::from_nanos);
        Ok(match expires {
            Some(expires) => credentials.until(expires),
            None => credentials,
        })
    }
}

impl Put for UfragPrefix {
    fn put(&self, out: &mut impl Sink) {
        self.as_str().put(out);
    }
}

impl Take for UfragPrefix {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Self::new(&String::take(from)?).map_err(|_| Malformed::Value)
    }
}

impl Put for Credentials {
    fn put(&self, out: &mut impl Sink) {
        self.ufrag().put(out);
        self.pwd().put(out);
    }
}

impl Take for Credentials {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (ufrag, pwd) = <(String, String)>::take(from)?;
        Self::new(&ufrag, &pwd).map_err(|_| Malformed::Value)
    }
}

impl Put for Parameters {
    fn put(&self, out: &mut impl Sink) {
        let Self { credentials, lite, pacing, options } = self;
        credentials.put(out);
        lite.put(out);
        pacing.put(out);
        options.put(out);
    }
}

impl Take for Parameters {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let credentials = Take::take(from)?;
        let (lite, pacing, options) = (Take::take(from)?, Take::take(from)?, Take::take(from)?);
        Ok(Self { credentials, lite, pacing, options })
    }
}

impl Put for Route {
    fn put(&self, out: &mut impl Sink) {
        match self {
            Self::Datagram { transport, local, remote } => {
                out.byte(0);
                transport.put(out);
                local.put(out);
                remote.put(out);
            }
            Self::Stream(id) => {
                out.byte(1);
                id.put(out);
            }
        }
    }
}

impl Take for Route {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match from.array()? {
            [0] => {
                let transport = Take::take(from)?;
                let (local, remote) = <(SocketAddr, SocketAddr)>::take(from)?;
                Ok(Self::Datagram { transport, local, remote })
            }
            [1] => ConnectionId::take(from).map(Self::Stream),
            _ => Err(Malformed::Unknown),
        }
    }
}

impl Put for CandidateTransport {
    fn put(&self, out: &mut impl Sink) {
        match self {
            Self::Udp => None,
            Self::Tcp(kind) => Some(kind),
        }
        .put(out);
    }
}

impl Take for CandidateTransport {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(<Option<TcpType> as Take>::take(from)?.map_or(Self::Udp, Self::Tcp))
    }
}

impl Put for CandidateAddress {
    fn put(&self, out: &mut impl Sink) {
        match self {
            Self::Socket(addr) => {
                out.byte(0);
                addr.put(out);
            }
            Self::Name { host, port } => {
                out.byte(1);
                host.put(out);
                port.put(out);
            }
        }
    }
}

impl Take for CandidateAddress {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match from.array()? {
            [0] => SocketAddr::take(from).map(Self::Socket),
            [1] => Ok(Self::Name { host: Take::take(from)?, port: Take::take(from)? }),
            _ => Err(Malformed::Unknown),
        }
    }
}

impl Put for Foundation {
    fn put(&self, out: &mut impl Sink) {
        self.as_str().put(out);
    }
}

impl Take for Foundation {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        String::take(from)?.parse().map_err(|_| Malformed::Value)
    }
}

impl Put for Candidate {
    fn put(&self, out: &mut impl Sink) {
        let Self { foundation, component, transport, priority, address, kind, related, extensions } =
            self;
        foundation.put(out);
        component.put(out);
        transport.put(out);
        priority.put(out);
        address.put(out);
        kind.put(out);
        related.put(out);
        extensions.put(out);
    }
}

impl Take for Candidate {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            foundation: Take::take(from)?,
            component: Take::take(from)?,
            transport: Take::take(from)?,
            priority: Take::take(from)?,
            address: Take::take(from)?,
            kind: Take::take(from)?,
            related: Take::take(from)?,
            extensions: Take::take(from)?,
        })
    }
}
