//! Statistics by the W3C: exact numbers of scripted sessions, and the names of the standard.

mod common;

use std::time::Duration;

use common::{Bench, Message, REQUEST, addr, ms, plain};
use frazil::{
    AgentConfig, CandidateKind, InterfaceKind, LocalAddress, PairStats, Role, TransportStats,
};
use serde_json::{Value, json};

const LOCAL: &str = "10.0.0.1:1000";
const REMOTE: &str = "10.0.0.2:2000";

fn pair(bench: &Bench) -> PairStats {
    bench.agent.stats().candidate_pairs.remove(0)
}

fn transport(bench: &Bench) -> TransportStats {
    bench.agent.stats().transports.remove(0)
}

fn counting(role: Role) -> AgentConfig {
    let mut config = plain(role);
    config.statistics = true;
    config
}

/// A controlled agent with consent checks, whose only pair is selected at once.
fn with_consent() -> Bench {
    let mut config = AgentConfig::new(Role::Controlled);
    config.timing.hedging = false;
    config.statistics = true;
    let mut bench = Bench::started(config, &[LOCAL], &[REMOTE]);
    let check = bench.last_request();
    bench.now = bench.now + Duration::from_millis(24);
    let _ = bench.answer(&check);
    let _ = bench.send_check(LOCAL, REMOTE, true);
    bench
}

#[test]
fn checks_and_their_answers_are_counted() {
    let bench = with_consent();
    let stats = pair(&bench);
    let counts = [
        stats.requests_sent,
        stats.responses_received,
        stats.requests_received,
        stats.responses_sent,
        stats.consent_requests_sent,
        stats.retransmissions_sent,
        stats.requests_unanswered,
    ];
    assert_eq!(counts, [1, 1, 1, 1, 0, 0, 0]);
    assert!(stats.nominated && stats.valid);
    let rtt = Duration::from_millis(24);
    assert_eq!(stats.current_round_trip_time, Some(rtt));
    assert_eq!(stats.smoothed_round_trip_time, Some(rtt));
    assert_eq!(stats.total_round_trip_time, rtt);
    assert_eq!(stats.check_loss, Some(0.0));
}

#[test]
fn consent_checks_are_counted_apart_and_smooth_the_round_trip() {
    let mut bench = with_consent();
    bench.run_until(ms(7_000));
    let consent = bench.last_request();
    bench.now = consent.at + Duration::from_millis(64);
    let _ = bench.answer(&consent);
    let stats = pair(&bench);
    assert_eq!((stats.requests_sent, stats.responses_received), (1, 2));
    assert_eq!(stats.consent_requests_sent, bench.requests().len() as u64 - 1);
    let millis = Duration::from_millis;
    assert_eq!(stats.current_round_trip_time, Some(millis(64)));
    // 24 + (64 - 24) / 8
    assert_eq!(stats.smoothed_round_trip_time, Some(millis(29)));
    assert_eq!(stats.total_round_trip_time, millis(88));
}

#[test]
fn a_pair_that_nobody_answers_counts_repetitions_and_loss() {
    let mut bench = Bench::started(counting(Role::Controlling), &[LOCAL], &[REMOTE]);
    bench.run_until(ms(60_000));
    let stats = pair(&bench);
    assert_eq!((stats.requests_sent, stats.retransmissions_sent), (1, 6));
    assert_eq!((stats.responses_received, stats.requests_unanswered), (0, 1));
    assert_eq!(stats.check_loss, Some(1.0));
    assert_eq!(stats.current_round_trip_time, None);
}

/// An answer to a request that was repeated says nothing of the round trip (RFC 8489 §6.2.1).
#[test]
fn an_ambiguous_answer_counts_as_a_response_alone() {
    let mut bench = Bench::started(counting(Role::Controlling), &[LOCAL], &[REMOTE]);
    bench.run_until(ms(600));
    let check = bench.last_request();
    let _ = bench.answer(&check);
    let stats = pair(&bench);
    assert_eq!((stats.retransmissions_sent, stats.responses_received), (1, 1));
    assert_eq!(stats.total_round_trip_time, Duration::ZERO);
}

#[test]
fn data_is_counted_on_its_pair_and_on_its_transport() {
    let mut bench = with_consent();
    let stream = bench.stream;
    bench.now = ms(100);
    for payload in [&[0x80; 100][..], &[0x80; 50]] {
        let _ = bench.agent.send(bench.now, stream, 1, payload).unwrap();
    }
    bench.now = ms(200);
    let _ = bench.feed(LOCAL, REMOTE, &[0x80; 70]);
    bench.now = ms(300);
    bench.agent.note_sent(bench.now, stream, 1, 10, 12_000);
    let stun = Message::new(REQUEST, [0; 12]).bytes;
    bench.agent.send(bench.now, stream, 1, &stun).unwrap_err();
    let stats = pair(&bench);
    assert_eq!((stats.packets_sent, stats.bytes_sent), (12, 12_150));
    assert_eq!((stats.packets_received, stats.bytes_received), (1, 70));
    assert_eq!(stats.last_packet_sent_timestamp, Some(ms(300)));
    assert_eq!(stats.last_packet_received_timestamp, Some(ms(200)));
    let transport = transport(&bench);
    assert_eq!((transport.packets_sent, transport.bytes_sent), (12, 12_150));
    assert_eq!((transport.packets_received, transport.bytes_received), (1, 70));
    assert_eq!(transport.selected_candidate_pair_id, Some(stats.id));
    assert_eq!(transport.selected_candidate_pair_changes, 1);
}

/// What was carried stays counted when its pair is not the path any more, and when it is gone.
#[test]
fn a_transport_counts_what_pairs_have_carried_that_are_gone() {
    let other = "10.0.0.9:1000";
    let mut bench = Bench::connected_with(Role::Controlled, &[LOCAL, other], &[REMOTE]);
    bench.run_answering(ms(300), |_| true);
    let _ = bench.send_check(LOCAL, REMOTE, true);
    let stream = bench.stream;
    let _ = bench.agent.send(bench.now, stream, 1, &[0x80; 100]).unwrap();
    // Data on a pair that is not selected.
    let _ = bench.send_check(other, REMOTE, false);
    let _ = bench.feed(other, REMOTE, &[0x80; 30]);
    let spare = |bench: &Bench| {
        let pairs = bench.agent.stats().candidate_pairs;
        pairs.into_iter().find(|pair| pair.bytes_received == 30).unwrap()
    };
    assert!(!spare(&bench).nominated);
    let gone = bench.agent.selected_pair(stream, 1).unwrap().local.id;
    bench.agent.remove_local(bench.now, gone).unwrap();
    bench.drain();
    let stats = transport(&bench);
    assert_eq!((stats.packets_sent, stats.bytes_sent), (1, 100));
    assert_eq!((stats.packets_received, stats.bytes_received), (1, 30));
    assert_eq!(spare(&bench).packets_sent, 0);
    bench.agent.close(bench.now);
    assert_eq!(transport(&bench).bytes_sent, 100);
}

#[test]
fn a_selection_that_is_lost_is_a_change() {
    let mut bench = with_consent();
    let local = bench.agent.local_candidates().next().unwrap().id;
    bench.agent.remove_local(bench.now, local).unwrap();
    let stats = transport(&bench);
    assert_eq!(stats.selected_candidate_pair_changes, 2);
    assert_eq!(stats.selected_candidate_pair_id, None);
}

/// Who has not asked for it pays nothing for the counts of checks.
#[test]
fn checks_are_counted_for_those_who_ask() {
    let bench = Bench::selected(LOCAL, REMOTE);
    let stats = pair(&bench);
    assert_eq!((stats.requests_sent, stats.responses_sent, stats.check_loss), (0, 0, None));
    assert!(stats.nominated);
}

/// Counting has no part in what an agent does.
#[test]
fn the_digest_does_not_know_of_statistics() {
    let bench = with_consent();
    let (mut one, mut other) = (bench.clone(), bench);
    let _ = one.agent.send(one.now, one.stream, 1, &[0x80; 100]).unwrap();
    let _ = one.feed(LOCAL, REMOTE, &[0x80; 30]);
    other.drain();
    assert_eq!(one.agent.state_digest(), other.agent.state_digest());
}

/// The spelling of the standard, to the letter: RTCTransportStats, RTCIceCandidatePairStats,
/// RTCIceCandidateStats, with RTCStats.
#[test]
fn the_names_are_those_of_the_standard() {
    let mut bench = with_consent();
    let (stream, mapped) = (bench.stream, addr("203.0.113.1:4000"));
    let _ = bench.agent.send(ms(100), stream, 1, &[0x80; 100]).unwrap();
    let _ = bench.feed(LOCAL, REMOTE, &[0x80; 30]);
    let server = "198.51.100.1".parse().unwrap();
    let reflexive = LocalAddress::reflexive(mapped, addr(LOCAL), server);
    bench.agent.add_local(bench.now, stream, 1, reflexive).unwrap_err();
    let ufrag = bench.ufrag();
    let stats = serde_json::to_value(bench.agent.stats()).unwrap();
    let priority = stats["candidatePairs"][0]["priority"].clone();
    let foundation = stats["remoteCandidates"][0]["foundation"].clone();
    assert!(priority.is_u64() && foundation.is_string());
    assert_eq!(
        stats,
        json!({
            "timestamp": 100.0,
            "transports": [{
                "type": "transport",
                "id": "transport-0-1",
                "timestamp": 100.0,
                "packetsSent": 1,
                "packetsReceived": 1,
                "bytesSent": 100,
                "bytesReceived": 30,
                "iceRole": "controlled",
                "iceLocalUsernameFragment": ufrag,
                "iceState": "completed",
                "selectedCandidatePairId": "pair-0",
                "selectedCandidatePairChanges": 1,
            }],
            "candidatePairs": [{
                "type": "candidate-pair",
                "id": "pair-0",
                "timestamp": 100.0,
                "transportId": "transport-0-1",
                "localCandidateId": "local-0",
                "remoteCandidateId": "remote-0",
                "state": "succeeded",
                "nominated": true,
                "packetsSent": 1,
                "packetsReceived": 1,
                "bytesSent": 100,
                "bytesReceived": 30,
                "lastPacketSentTimestamp": 100.0,
                "lastPacketReceivedTimestamp": 100.0,
                "totalRoundTripTime": 0.024,
                "currentRoundTripTime": 0.024,
                "requestsReceived": 1,
                "requestsSent": 1,
                "responsesReceived": 1,
                "responsesSent": 1,
                "consentRequestsSent": 0,
                "packetsDiscardedOnSend": 0,
                "bytesDiscardedOnSend": 0,
                "priority": priority,
                "valid": true,
                "smoothedRoundTripTime": 0.024,
                "retransmissionsSent": 0,
                "requestsUnanswered": 0,
                "checkLoss": 0.0,
            }],
            "localCandidates": [{
                "type": "local-candidate",
                "networkId": 1,
                "networkCost": 0,
                "id": "local-0",
                "timestamp": 100.0,
                "transportId": "transport-0-1",
                "address": "10.0.0.1",
                "port": 1000,
                "protocol": "udp",
                "candidateType": "host",
                "priority": 2_130_706_431,
                "foundation": "1",
                "usernameFragment": ufrag,
            }],
            "remoteCandidates": [{
                "type": "remote-candidate",
                "id": "remote-0",
                "timestamp": 100.0,
                "transportId": "transport-0-1",
                "address": "10.0.0.2",
                "port": 2000,
                "protocol": "udp",
                "candidateType": "host",
                "priority": 2_000_000_000,
                "foundation": foundation,
                "usernameFragment": "peer",
            }],
            "counters": {},
        })
    );
}

/// M4: what the peer has not signalled is not shown (draft-ietf-rtcweb-mdns-ice-candidates-04
/// §3.3.1); what this side has obtained is shown with what it is related to.
#[test]
fn addresses_are_shown_as_far_as_they_may_be() {
    let mut bench = Bench::with(plain(Role::Controlling));
    bench.add_local(LOCAL);
    let (mapped, server) = (addr("203.0.113.1:4000"), "198.51.100.1".parse().unwrap());
    let reflexive = LocalAddress::reflexive(mapped, addr(LOCAL), server);
    bench.agent.add_local(bench.now, bench.stream, 1, reflexive).unwrap();
    bench.start();
    let _ = bench.send_check(LOCAL, "10.0.0.77:7777", false);
    let stats = serde_json::to_value(bench.agent.stats()).unwrap();
    let found = &stats["remoteCandidates"][0];
    assert_eq!(found["candidateType"], "prflx");
    assert_eq!(found.get("address"), None);
    assert!(!stats.to_string().contains("10.0.0.77"));
    let own = &stats["localCandidates"][1];
    let wanted: [(&str, Value); 4] = [
        ("candidateType", "srflx".into()),
        ("address", "203.0.113.1".into()),
        ("relatedAddress", "10.0.0.1".into()),
        ("relatedPort", 1000.into()),
    ];
    for (name, value) in wanted {
        assert_eq!(own[name], value, "{name}");
    }
}

/// RTCIceCandidateStats: `relatedAddress` and `relatedPort` are those of the candidate line, on both
/// sides.
#[test]
fn what_the_peer_has_told_of_related_addresses_is_shown() {
    let mut bench = Bench::with(plain(Role::Controlling));
    bench.add_local(LOCAL);
    bench.start();
    bench.add_remote_line("1 1 UDP 1000 203.0.113.9 4000 typ srflx raddr 10.1.1.1 rport 5000");
    bench.add_remote_line("2 1 UDP 900 203.0.113.8 4000 typ relay raddr 0.0.0.0 rport 0");
    bench.add_remote_line("3 1 UDP 2000 10.0.0.9 4000 typ host");
    let stats = serde_json::to_value(bench.agent.stats()).unwrap();
    let remotes = &stats["remoteCandidates"];
    assert_eq!(remotes[0]["relatedAddress"], "10.1.1.1");
    assert_eq!(remotes[0]["relatedPort"], 5000);
    for none in [&remotes[1], &remotes[2]] {
        assert_eq!(none.get("relatedAddress"), None, "hidden, or there is none");
        assert_eq!(none.get("relatedPort"), None);
    }
}

/// A candidate that was found by a check has no related address until the line that tells of it.
#[test]
fn a_found_candidate_gets_its_related_address_when_it_is_signalled() {
    let found = "203.0.113.9:4000";
    let mut bench = Bench::with(plain(Role::Controlling));
    bench.add_local(LOCAL);
    bench.start();
    let _ = bench.send_check(LOCAL, found, false);
    let related = |bench: &Bench| {
        let mut remotes = bench.agent.stats().remote_candidates;
        assert_eq!(remotes.len(), 1);
        let remote = remotes.remove(0);
        (remote.candidate_type, remote.related_address, remote.related_port)
    };
    assert_eq!(related(&bench), (CandidateKind::PeerReflexive, None, None));
    bench.add_remote_line("1 1 UDP 1000 203.0.113.9 4000 typ srflx raddr 10.1.1.1 rport 5000");
    let told = Some("10.1.1.1".parse().unwrap());
    assert_eq!(related(&bench), (CandidateKind::ServerReflexive, told, Some(5000)));
}

/// RTCNetworkType, of an interface whose kind the caller knows; what is obtained from a socket is on
/// its interface.
#[test]
fn the_kind_of_interface_is_shown_where_it_was_told() {
    let kinds = [
        (Some(InterfaceKind::Ethernet), Some("ethernet")),
        (Some(InterfaceKind::Wifi), Some("wifi")),
        (Some(InterfaceKind::Cellular), Some("cellular")),
        (Some(InterfaceKind::Bluetooth), Some("bluetooth")),
        (Some(InterfaceKind::Wimax), Some("wimax")),
        (Some(InterfaceKind::Vpn), Some("vpn")),
        (None, None),
    ];
    let mut bench = Bench::with(plain(Role::Controlling));
    for (index, (kind, _)) in kinds.iter().enumerate() {
        let mut local = LocalAddress::udp(addr(&format!("10.0.{index}.1:1000")));
        local.interface_kind = *kind;
        bench.agent.add_local(bench.now, bench.stream, 1, local).unwrap();
    }
    let stats = serde_json::to_value(bench.agent.stats()).unwrap();
    for (index, (_, name)) in kinds.iter().enumerate() {
        let own = &stats["localCandidates"][index];
        assert_eq!(own.get("networkType").and_then(Value::as_str), *name);
    }
}

/// Two sessions that differ in what was told for statistics alone do the same.
#[test]
fn the_digest_does_not_know_of_what_was_told_for_statistics() {
    let told = |related: &str, kind| {
        let mut bench = Bench::with(plain(Role::Controlling));
        let mut local = LocalAddress::udp(addr(LOCAL));
        local.interface_kind = kind;
        bench.agent.add_local(bench.now, bench.stream, 1, local).unwrap();
        bench.start();
        bench.add_remote_line(&format!("1 1 UDP 1000 203.0.113.9 4000 typ srflx{related}"));
        bench.agent.state_digest()
    };
    let digest = told(" raddr 10.1.1.1 rport 5000", Some(InterfaceKind::Wifi));
    assert_eq!(digest, told("", None));
}
