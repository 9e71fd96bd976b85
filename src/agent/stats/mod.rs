//! Statistics by the W3C's "Identifiers for WebRTC's Statistics API": what of its dictionaries for
//! candidates, pairs and transports an ICE agent can know.
//!
//! Counting is a few additions where the thing happens. What a pair counts is in a box that is made
//! at its first check, if the configuration asks for it, so that other pairs cost a pointer; data is
//! counted on the path that carries it. Nothing here has a part in what the agent does.
//!
//! Left out of the dictionaries, since an agent cannot know it:
//! * RTCIceCandidateStats: `url`, `relayProtocol` and `networkType` of the peer's candidates, which no
//!   candidate line tells. `address` is left out, in place of null, where it is hidden.
//! * RTCIceCandidatePairStats: `availableOutgoingBitrate` and `availableIncomingBitrate`, which only
//!   congestion control estimates.
//! * RTCTransportStats: what DTLS and SRTP know (`dtlsState`, `dtlsRole`, certificates, ciphers,
//!   `tlsVersion`), and `rtcpTransportStatsId`; the counts of congestion feedback.

mod counting;
#[cfg(feature = "serde")]
mod json;
mod types;

pub(super) use counting::{Carried, Changes, Told};
pub use types::{CandidateStats, PairStats, Stats, TransportStats};

use core::net::SocketAddr;

use super::candidates::Membership;
use super::io::CandidateView;
use super::{IceAgent, PairView};
use crate::candidate::{CandidateKind, CandidateTransport, Foundation, TcpType};
use crate::checklist::Traffic;
use crate::gather::Task;
use crate::id::{CandidateId, PairId, StreamId};

impl IceAgent {
    /// The statistics of this moment. The counts are those since the pairs were formed; those of
    /// transports since the agent was made. What is counted of checks is zero, and round trips are
    /// unknown, unless [`AgentConfig::statistics`](crate::AgentConfig::statistics) asks for them. Legal
    /// at any time.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            timestamp: self.now,
            transports: self.transport_stats(),
            candidate_pairs: self.pairs().filter_map(|view| self.pair_stats(&view)).collect(),
            local_candidates: self.local_candidates().map(|own| self.local_stats(&own)).collect(),
            remote_candidates: self
                .remote_candidates()
                .map(|theirs| self.remote_stats(&theirs))
                .collect(),
            counters: self.counter_stats(),
        }
    }

    fn transport_stats(&self) -> Vec<TransportStats> {
        let components = self
            .streams
            .iter()
            .flat_map(|stream| stream.components.iter().map(|component| (stream.id, component)));
        let stats = components.map(|(stream, component)| {
            let mut traffic = component.carried.traffic();
            if let Some(path) = &component.path {
                traffic.add(&path.traffic);
            }
            let selected = self.selected_pair(stream, component.number);
            TransportStats {
                id: transport_id(stream, component.number),
                timestamp: self.now,
                stream,
                component: component.number,
                packets_sent: traffic.packets_sent,
                packets_received: traffic.packets_received,
                bytes_sent: traffic.bytes_sent,
                bytes_received: traffic.bytes_received,
                ice_role: self.role(),
                ice_local_username_fragment: self.local.credentials.ufrag().to_owned(),
                ice_state: self.state,
                selected_candidate_pair_id: selected.map(|pair| pair_id(pair.id)),
                selected_candidate_pair_changes: component.changes.0,
            }
        });
        stats.collect()
    }

    fn pair_stats(&self, view: &PairView) -> Option<PairStats> {
        let id = view.id;
        let pair = self.lists.get(id)?;
        let counts = pair.counts.get().cloned().unwrap_or_default();
        let traffic = self.traffic_of(id, pair.stream, pair.component, counts.data());
        let round_trips = counts.round_trips();
        let decided = counts.unanswered.saturating_add(counts.responses_received);
        let count = u64::from;
        Some(PairStats {
            id: pair_id(id),
            timestamp: self.now,
            pair: id,
            transport_id: transport_id(pair.stream, pair.component),
            local_candidate_id: local_id(view.local.id),
            remote_candidate_id: remote_id(view.remote.id),
            state: view.state,
            nominated: view.nominated,
            packets_sent: traffic.packets_sent,
            packets_received: traffic.packets_received,
            bytes_sent: traffic.bytes_sent,
            bytes_received: traffic.bytes_received,
            last_packet_sent_timestamp: (traffic.packets_sent > 0).then_some(traffic.last_sent),
            last_packet_received_timestamp: (traffic.packets_received > 0)
                .then_some(traffic.last_received),
            total_round_trip_time: round_trips.map(|[_, _, total]| total).unwrap_or_default(),
            current_round_trip_time: round_trips.map(|[current, ..]| current),
            requests_received: count(counts.requests_received),
            requests_sent: count(counts.requests_sent),
            responses_received: count(counts.responses_received),
            responses_sent: count(counts.requests_received),
            consent_requests_sent: count(counts.consent_requests),
            packets_discarded_on_send: count(counts.packets_discarded),
            bytes_discarded_on_send: counts.bytes_discarded,
            priority: pair.priority,
            valid: view.valid,
            smoothed_round_trip_time: round_trips.map(|[_, smoothed, _]| smoothed),
            retransmissions_sent: count(counts.retransmissions),
            requests_unanswered: count(counts.unanswered),
            check_loss: (decided > 0).then(|| f64::from(counts.unanswered) / f64::from(decided)),
        })
    }

    /// What a pair has carried, with what it carries now as the path of its component.
    fn traffic_of(
        &self,
        id: PairId,
        stream: StreamId,
        number: u16,
        mut traffic: Traffic,
    ) -> Traffic {
        let path = self.component(stream, number).and_then(|component| component.path.as_ref());
        if let Some(path) = path.filter(|path| path.pair == id) {
            traffic.add(&path.traffic);
        }
        traffic
    }

    fn local_stats(&self, view: &CandidateView) -> CandidateStats {
        let local = self.candidates.locals.get(view.id);
        let gave = |task: &Task| task.reflexive == Some(view.id) || task.relayed.contains(&view.id);
        let server = self.servers.as_ref().and_then(|servers| {
            let (_, task) = servers.tasks().find(|(_, task)| gave(task))?;
            servers.entries.get(task.server)
        });
        let relayed = view.kind == CandidateKind::Relayed;
        let related =
            local.and_then(|local| self.candidates.related_of(view.id, local, self.policies()));
        CandidateStats {
            id: local_id(view.id),
            url: server.map(|server| server.uri().clone()),
            relay_protocol: server.filter(|_| relayed).map(|server| server.uri().transport()),
            foundation: local.map(|it| Foundation::numbered(it.foundation).to_string()),
            related_address: related.map(|addr| addr.ip()),
            related_port: related.map(|addr| addr.port()),
            username_fragment: Some(self.local.credentials.ufrag().to_owned()),
            tcp_type: local.and_then(|local| tcp_type(local.transport)),
            network_type: local.and_then(|local| local.interface_kind.0),
            ..self.candidate_stats(view)
        }
    }

    fn remote_stats(&self, view: &CandidateView) -> CandidateStats {
        let remote = self.candidates.remotes.get(view.id);
        let foundations = &self.candidates.remote_foundations;
        let related = remote.and_then(|remote| remote.related.0.as_deref());
        let ufrag = remote.and_then(|remote| match &remote.membership {
            Membership::Of(generation) => Some(self.remote_side(*generation)?.ufrag()),
            Membership::Awaits(named) => named.as_deref(),
        });
        CandidateStats {
            id: remote_id(view.id),
            remote: true,
            foundation: remote
                .filter(|remote| remote.signalled)
                .and_then(|remote| foundations.find(remote.foundation))
                .map(ToString::to_string),
            related_address: related.map(SocketAddr::ip),
            related_port: related.map(SocketAddr::port),
            username_fragment: ufrag.map(str::to_owned),
            tcp_type: remote.and_then(|remote| tcp_type(remote.transport)),
            ..self.candidate_stats(view)
        }
    }

    /// What candidates of both sides have.
    fn candidate_stats(&self, view: &CandidateView) -> CandidateStats {
        let told = view.network_id > 0 || view.network_cost > 0;
        CandidateStats {
            id: String::new(),
            timestamp: self.now,
            remote: false,
            candidate: view.id,
            transport_id: transport_id(view.stream, view.component),
            address: (!view.hidden).then(|| view.addr.ip()),
            port: view.addr.port(),
            protocol: view.transport,
            candidate_type: view.kind,
            priority: view.priority,
            url: None,
            relay_protocol: None,
            foundation: None,
            related_address: None,
            related_port: None,
            username_fragment: None,
            tcp_type: None,
            network_type: None,
            network_id: (view.network_id > 0).then_some(view.network_id),
            network_cost: told.then_some(view.network_cost),
        }
    }

    fn counter_stats(&self) -> Vec<(String, u64)> {
        let ignored = self.counters.all_ignored().map(|(why, n)| (format!("ignored{why:?}"), n));
        let refused = self.counters.all_refused().map(|(why, n)| (format!("refused{why:?}"), n));
        ignored.chain(refused).filter(|(_, count)| *count > 0).collect()
    }
}

const fn tcp_type(transport: CandidateTransport) -> Option<TcpType> {
    match transport {
        CandidateTransport::Udp => None,
        CandidateTransport::Tcp(kind) => Some(kind),
    }
}

fn transport_id(stream: StreamId, component: u16) -> String {
    format!("transport-{}-{component}", stream.get())
}

fn pair_id(id: PairId) -> String {
    format!("pair-{}", id.get())
}

// The two kinds are numbered apart.
fn local_id(id: CandidateId) -> String {
    format!("local-{}", id.get())
}

fn remote_id(id: CandidateId) -> String {
    format!("remote-{}", id.get())
}
