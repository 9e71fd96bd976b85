//! The statistics as types, with the names of the W3C's "Identifiers for WebRTC's Statistics API".
//! What that has as an optional member, and an agent cannot know, is `None` and left out when it is
//! written. What has no member here at all is listed in `mod.rs`.

use core::net::IpAddr;
use core::time::Duration;

use crate::agent::ConnectionState;
use crate::candidate::{CandidateKind, TcpType, Transport};
use crate::checklist::PairState;
use crate::config::Role;
use crate::id::{CandidateId, PairId, StreamId};
use crate::policy::InterfaceKind;
use crate::time::Timestamp;
use crate::uri::{ServerTransport, ServerUri};

#[cfg(feature = "serde")]
use super::json;

/// All statistics of an agent at one time.
///
/// With the feature `serde` they are written with the standard's names: times in milliseconds since
/// the epoch that the caller has chosen, durations in seconds, members that are not known left out.
///
/// Of the dictionaries of the standard these members are missing, since they belong to other layers:
/// the two bit rates of RTCIceCandidatePairStats, which congestion control estimates, and of
/// RTCTransportStats what DTLS and SRTP know. Of a candidate of the peer no line tells the server, how
/// it is reached, or the kind of interface.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct Stats {
    /// The newest time that the agent has seen.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::millis"))]
    pub timestamp: Timestamp,
    /// One for each component of each stream.
    pub transports: Vec<TransportStats>,
    /// Every pair that there is.
    pub candidate_pairs: Vec<PairStats>,
    /// The candidates of this side.
    pub local_candidates: Vec<CandidateStats>,
    /// The candidates of the peer.
    pub remote_candidates: Vec<CandidateStats>,
    /// Datagrams that were ignored, by reason, and things that were refused, where it happened at
    /// all.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::counts"))]
    pub counters: Vec<(String, u64)>,
}

/// RTCTransportStats, what of it is about ICE.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "type", rename = "transport", rename_all = "camelCase")
)]
#[non_exhaustive]
pub struct TransportStats {
    /// Its id in this report.
    pub id: String,
    /// When it was so.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::millis"))]
    pub timestamp: Timestamp,
    /// The stream.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub stream: StreamId,
    /// The component.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub component: u16,
    /// Packets of application data that were sent, over all pairs.
    pub packets_sent: u64,
    /// Packets of application data that were received.
    pub packets_received: u64,
    /// Bytes of payload that were sent.
    pub bytes_sent: u64,
    /// Bytes of payload that were received.
    pub bytes_received: u64,
    /// The role.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::role"))]
    pub ice_role: Role,
    /// The username fragment of this side.
    pub ice_local_username_fragment: String,
    /// The state of the connection.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::state"))]
    pub ice_state: ConnectionState,
    /// The id of the selected pair in this report.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub selected_candidate_pair_id: Option<String>,
    /// How often another pair was selected, the first included, or none any more.
    pub selected_candidate_pair_changes: u32,
}

/// RTCIceCandidateStats.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct CandidateStats {
    /// Its id in this report.
    pub id: String,
    /// When it was so.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::millis"))]
    pub timestamp: Timestamp,
    /// Whether it is the peer's: written as the `type`.
    #[cfg_attr(feature = "serde", serde(rename = "type", serialize_with = "json::candidate_type"))]
    pub remote: bool,
    /// Its id in the agent.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub candidate: CandidateId,
    /// The transport that it is for.
    pub transport_id: String,
    /// Its IP address; not that which a name hides, or which only a check has shown.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub address: Option<IpAddr>,
    /// Its port.
    pub port: u16,
    /// Its transport.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::transport"))]
    pub protocol: Transport,
    /// How it was obtained.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::display"))]
    pub candidate_type: CandidateKind,
    /// Its priority.
    pub priority: u32,
    /// The server that has given it.
    #[cfg_attr(
        feature = "serde",
        serde(skip_serializing_if = "Option::is_none", serialize_with = "json::some_display")
    )]
    pub url: Option<ServerUri>,
    /// How the server that relays it is reached.
    #[cfg_attr(
        feature = "serde",
        serde(skip_serializing_if = "Option::is_none", serialize_with = "json::relay")
    )]
    pub relay_protocol: Option<ServerTransport>,
    /// Its foundation.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub foundation: Option<String>,
    /// The address that it is related to, of the peer as it was signalled; not one that is hidden.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub related_address: Option<IpAddr>,
    /// The port of that.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub related_port: Option<u16>,
    /// The username fragment of its generation.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub username_fragment: Option<String>,
    /// Who connects, over TCP.
    #[cfg_attr(
        feature = "serde",
        serde(skip_serializing_if = "Option::is_none", serialize_with = "json::tcp_type")
    )]
    pub tcp_type: Option<TcpType>,
    /// The kind of interface that it is on, of a candidate of this side, if the caller has told it
    /// ([`LocalAddress`](crate::LocalAddress)).
    #[cfg_attr(
        feature = "serde",
        serde(skip_serializing_if = "Option::is_none", serialize_with = "json::network")
    )]
    pub network_type: Option<InterfaceKind>,
    /// The number of its network, as libwebrtc tells it (not of the standard); of a candidate of the
    /// peer if that has told it.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub network_id: Option<u16>,
    /// What using that network costs, 0 to 999 (not of the standard).
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub network_cost: Option<u16>,
}

/// RTCIceCandidatePairStats, and some more.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "type", rename = "candidate-pair", rename_all = "camelCase")
)]
#[non_exhaustive]
pub struct PairStats {
    /// Its id in this report.
    pub id: String,
    /// When it was so.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::millis"))]
    pub timestamp: Timestamp,
    /// Its id in the agent.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub pair: PairId,
    /// The transport that it is for.
    pub transport_id: String,
    /// The local candidate, in this report.
    pub local_candidate_id: String,
    /// The remote candidate, in this report.
    pub remote_candidate_id: String,
    /// Its state in the checklist.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::pair_state"))]
    pub state: PairState,
    /// It has been nominated.
    pub nominated: bool,
    /// Packets of application data that were sent on it.
    pub packets_sent: u64,
    /// Packets of application data that came on it.
    pub packets_received: u64,
    /// Bytes of payload that were sent on it.
    pub bytes_sent: u64,
    /// Bytes of payload that came on it.
    pub bytes_received: u64,
    /// When application data was sent on it last.
    #[cfg_attr(
        feature = "serde",
        serde(skip_serializing_if = "Option::is_none", serialize_with = "json::some_millis")
    )]
    pub last_packet_sent_timestamp: Option<Timestamp>,
    /// When application data came on it last.
    #[cfg_attr(
        feature = "serde",
        serde(skip_serializing_if = "Option::is_none", serialize_with = "json::some_millis")
    )]
    pub last_packet_received_timestamp: Option<Timestamp>,
    /// The sum of all round trips of checks and consent checks. The answer to a request that was sent
    /// more than once tells none.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::seconds"))]
    pub total_round_trip_time: Duration,
    /// The newest of them.
    #[cfg_attr(
        feature = "serde",
        serde(skip_serializing_if = "Option::is_none", serialize_with = "json::some_seconds")
    )]
    pub current_round_trip_time: Option<Duration>,
    /// Requests of the peer that were answered with success, repetitions included.
    pub requests_received: u64,
    /// Checks that were sent, repetitions and consent checks left out.
    pub requests_sent: u64,
    /// Authentic answers to checks and consent checks, errors included.
    pub responses_received: u64,
    /// Answers to the peer's requests.
    pub responses_sent: u64,
    /// Consent checks that were sent.
    pub consent_requests_sent: u64,
    /// Packets that a server could not relay.
    pub packets_discarded_on_send: u64,
    /// Their bytes.
    pub bytes_discarded_on_send: u64,
    /// Not of the standard: its priority.
    pub priority: u64,
    /// Not of the standard: it is in the valid list.
    pub valid: bool,
    /// Not of the standard: the smoothed round trip (an eighth of what is new).
    #[cfg_attr(
        feature = "serde",
        serde(skip_serializing_if = "Option::is_none", serialize_with = "json::some_seconds")
    )]
    pub smoothed_round_trip_time: Option<Duration>,
    /// Not of the standard: requests that were repeated.
    pub retransmissions_sent: u64,
    /// Not of the standard: checks and consent checks that nobody has answered in time.
    pub requests_unanswered: u64,
    /// Not of the standard: of the checks and consent checks whose outcome is known, the part that
    /// nobody has answered; 0 to 1.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub check_loss: Option<f64>,
}
