//! How values are written: in the units and with the words of the standard.

use core::fmt::Display;
use core::time::Duration;

use serde::ser::{SerializeMap, Serializer};

use crate::agent::ConnectionState;
use crate::candidate::{TcpType, Transport};
use crate::checklist::PairState;
use crate::config::Role;
use crate::policy::InterfaceKind;
use crate::time::Timestamp;
use crate::uri::ServerTransport;

/// DOMHighResTimeStamp.
pub(super) fn millis<S: Serializer>(at: &Timestamp, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_f64(at.as_duration().as_secs_f64() * 1e3)
}

pub(super) fn some_millis<S: Serializer>(
    at: &Option<Timestamp>,
    out: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => millis(at, out),
        None => out.serialize_none(),
    }
}

pub(super) fn seconds<S: Serializer>(time: &Duration, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_f64(time.as_secs_f64())
}

pub(super) fn some_seconds<S: Serializer>(
    time: &Option<Duration>,
    out: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => seconds(time, out),
        None => out.serialize_none(),
    }
}

pub(super) fn display<S: Serializer>(value: &impl Display, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(value)
}

pub(super) fn some_display<S: Serializer>(
    value: &Option<impl Display>,
    out: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => out.collect_str(value),
        None => out.serialize_none(),
    }
}

/// RTCIceRole.
pub(super) fn role<S: Serializer>(role: &Role, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(match role {
        Role::Controlling => "controlling",
        Role::Controlled => "controlled",
    })
}

/// RTCIceTransportState.
pub(super) fn state<S: Serializer>(state: &ConnectionState, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(match state {
        ConnectionState::New => "new",
        ConnectionState::Checking => "checking",
        ConnectionState::Connected => "connected",
        ConnectionState::Completed => "completed",
        ConnectionState::Disconnected => "disconnected",
        ConnectionState::Failed => "failed",
        ConnectionState::Closed => "closed",
    })
}

/// RTCStatsIceCandidatePairState.
pub(super) fn pair_state<S: Serializer>(state: &PairState, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(match state {
        PairState::Frozen => "frozen",
        PairState::Waiting => "waiting",
        PairState::InProgress => "in-progress",
        PairState::Succeeded => "succeeded",
        PairState::Failed => "failed",
    })
}

/// RTCIceProtocol.
pub(super) fn transport<S: Serializer>(it: &Transport, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(match it {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
    })
}

/// RTCIceServerTransportProtocol, and what it has no word for.
pub(super) fn relay<S: Serializer>(
    it: &Option<ServerTransport>,
    out: S,
) -> Result<S::Ok, S::Error> {
    let Some(it) = it else { return out.serialize_none() };
    out.serialize_str(match it {
        ServerTransport::Udp => "udp",
        ServerTransport::Tcp => "tcp",
        ServerTransport::Tls => "tls",
        ServerTransport::Dtls => "dtls",
    })
}

/// RTCIceTcpCandidateType.
pub(super) fn tcp_type<S: Serializer>(it: &Option<TcpType>, out: S) -> Result<S::Ok, S::Error> {
    let Some(it) = it else { return out.serialize_none() };
    out.serialize_str(match it {
        TcpType::Active => "active",
        TcpType::Passive => "passive",
        TcpType::SimultaneousOpen => "so",
    })
}

/// RTCNetworkType.
pub(super) fn network<S: Serializer>(
    it: &Option<InterfaceKind>,
    out: S,
) -> Result<S::Ok, S::Error> {
    let Some(it) = it else { return out.serialize_none() };
    out.serialize_str(match it {
        InterfaceKind::Ethernet => "ethernet",
        InterfaceKind::Wifi => "wifi",
        InterfaceKind::Cellular => "cellular",
        InterfaceKind::Bluetooth => "bluetooth",
        InterfaceKind::Wimax => "wimax",
        InterfaceKind::Vpn => "vpn",
    })
}

pub(super) fn counts<S: Serializer>(counts: &[(String, u64)], out: S) -> Result<S::Ok, S::Error> {
    let mut map = out.serialize_map(Some(counts.len()))?;
    for (name, count) in counts {
        map.serialize_entry(name, count)?;
    }
    map.end()
}

/// RTCStatsType.
pub(super) fn candidate_type<S: Serializer>(remote: &bool, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(if *remote { "remote-candidate" } else { "local-candidate" })
}
