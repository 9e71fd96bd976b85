//! Server-reflexive addresses: pacing, times, fallbacks, and keeping mappings alive.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use frazil::sim::{TurnMethod, TurnRefusal};
use frazil::{
    AgentConfig, CandidateKind, Event, GatheringState, IceAgent, IcmpError, Role, Transport,
};

use super::net::*;

const L: &str = "10.0.0.1:1000";
const PUBLIC: &str = "203.0.113.1:40000";

fn behind_nat(servers: usize) -> Net {
    let mut net = Net::alone(&[L], servers);
    net.mapped.insert(addr(L), addr(PUBLIC));
    net
}

/// G5: RFC 8445 §5.1.1.2, §14.2. No two transactions start within Ta, be they first requests,
/// repetitions that a server wants authenticated, or connectivity checks. The first check alone goes
/// as soon as there is a pair (RFC 8445 §6.1.4.2).
#[test]
fn transactions_of_gathering_and_of_checks_are_ta_apart() {
    let sockets = ["10.0.0.1:1000", "10.0.0.2:1000", "10.0.0.3:1000", "10.0.0.4:1000"];
    let mut net = Net::alone(&sockets, 3);
    net.add_agent(AgentConfig::new(Role::Controlled));
    net.socket(1, "10.0.1.1:2000");
    net.ask(0, turn(0));
    net.ask(0, turn(1));
    net.ask(0, stun(2));
    net.start();
    net.run_for(secs(10));
    let mut starts: Vec<_> = net
        .transactions()
        .iter()
        .filter(|sent| sent.agent == 0)
        .map(|sent| (sent.at, sent.request().unwrap(), sent.to()))
        .collect();
    let peer = Some(addr("10.0.1.1:2000"));
    for pair in starts.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= Duration::from_millis(5), "{pair:?}");
    }
    let first = starts.iter().position(|(.., to)| *to == peer).expect("a check");
    starts.remove(first);
    let of = |method| starts.iter().filter(|(_, other, _)| *other == method).count();
    assert_eq!(of(ALLOCATE), 4 * 2 * 2, "each is asked twice, for the nonce: {starts:?}");
    assert!(of(BINDING) > 4, "the mappings and the checks");
    for pair in starts.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= Duration::from_millis(50), "{pair:?}");
    }
}

/// G6: RFC 8445 §5.1.1.2. The base is the host candidate whose socket was used.
#[test]
fn a_mapping_has_its_host_as_base() {
    let mut net = behind_nat(1);
    net.ask(0, stun(0));
    net.gather(0);
    net.run_for(secs(1));
    assert_eq!(net.reflexive(), [addr(PUBLIC)]);
    let local = net
        .agent()
        .local_candidates()
        .find(|local| local.kind == CandidateKind::ServerReflexive)
        .unwrap();
    assert_eq!(local.base, addr(L));
    assert_eq!(net.agent().gathering_state(), GatheringState::Complete);
    assert_eq!(net.errors(0), []);
}

/// G14: what a server sees without a NAT in between is the host candidate.
#[test]
fn a_mapping_to_the_host_itself_is_redundant() {
    let mut net = Net::alone(&[L], 2);
    net.ask(0, stun(0));
    net.ask(0, turn(1));
    net.gather(0);
    net.run_for(secs(1));
    assert_eq!(net.reflexive(), []);
    assert_eq!(net.relays(0).len(), 1);
}

/// U2: RFC 8489 §6.2.1. 0, 500, 1500, 3500, 7500 ms and so on, and failure at 39.5 s.
#[test]
fn a_silent_server_is_asked_seven_times() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.timing.gathering_timeout = secs(60);
    let mut net = Net::alone_with(config, &[L], 1);
    net.dead.insert(0);
    net.ask(0, stun(0));
    net.gather(0);
    net.run_for(secs(59));
    let times: Vec<_> = net.sent.iter().map(|sent| sent.at).collect();
    assert_eq!(times, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500].map(ms));
    let failed = net.nodes[0]
        .events
        .iter()
        .find(|(_, event)| matches!(event, Event::CandidateError { code: 701, .. }))
        .unwrap();
    assert_eq!(failed.0, ms(39_500));
    assert_eq!(net.complete_at(0), Some(ms(39_500)));
}

/// G15: RFC 8445 §14.3. RTO = MAX (500 ms, Ta * number of candidates that are asked for).
#[test]
fn the_rto_grows_with_what_is_asked() {
    let sockets: Vec<String> = (1..=20).map(|host| format!("10.0.0.{host}:1000")).collect();
    let sockets: Vec<&str> = sockets.iter().map(String::as_str).collect();
    let mut net = Net::alone(&sockets, 1);
    net.dead.insert(0);
    net.ask(0, stun(0));
    net.gather(0);
    net.run_for(secs(5));
    let first = net.sent[0].id();
    let times: Vec<_> =
        net.sent.iter().filter(|sent| sent.id() == first).map(|sent| sent.at).collect();
    // A repetition does not take the slot of a first request: it may wait for 5 ms.
    assert!(times[1] >= ms(1_000) && times[1] <= ms(1_050), "{times:?}");
}

/// U5: RFC 8489 §6.2. A server that does not answer has ten transactions to answer at most; others
/// are not kept waiting.
#[test]
fn a_server_has_ten_transactions_to_answer_at_most() {
    let sockets: Vec<String> = (1..=15).map(|host| format!("10.0.0.{host}:1000")).collect();
    let sockets: Vec<&str> = sockets.iter().map(String::as_str).collect();
    let mut net = Net::alone(&sockets, 2);
    net.dead.insert(0);
    net.ask(0, stun(0));
    net.ask(0, stun(1));
    net.gather(0);
    net.run_for(secs(9));
    let mut of: BTreeMap<_, usize> = BTreeMap::new();
    for sent in net.transactions() {
        *of.entry(sent.to().unwrap()).or_default() += 1;
    }
    assert_eq!((of[&listen(0)], of[&listen(1)]), (10, 15));
}

/// Ten servers of which nine are dead delay the tenth's candidate by no more than their slots.
#[test]
fn dead_servers_cost_their_slots() {
    let mut net = behind_nat(10);
    for number in 0..10 {
        net.ask(0, stun(number));
        if number < 9 {
            net.dead.insert(number);
        }
    }
    net.gather(0);
    net.run_for(secs(30));
    let found = net.nodes[0].events.iter().find(|(_, event)| {
        matches!(event,
        Event::LocalCandidate { candidate, .. } if candidate.kind == CandidateKind::ServerReflexive)
    });
    assert!(found.unwrap().0 <= ms(9 * 50 + 10), "{found:?}");
    assert_eq!(net.errors(0), [701; 9]);
    // The bound of the configuration, which is 10 s unless something else is said.
    assert_eq!(net.complete_at(0), Some(ms(10_000)));
}

/// The bound holds for each kind of server that says nothing.
#[test]
fn gathering_completes_within_its_timeout() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.timing.gathering_timeout = secs(2);
    let mut net = Net::alone_with(config, &[L], 3);
    net.dead.extend([0, 1, 2]);
    net.opens = false;
    for server in [stun(0), turn(1), turn_tcp(2)] {
        net.ask(0, server);
    }
    net.ask(0, turn_uri("turn:never.example.org"));
    net.gather(0);
    net.run_for(secs(90));
    assert_eq!(net.complete_at(0), Some(ms(2_000)));
    assert_eq!(net.errors(0), [701; 4]);
    assert_eq!(net.agent().poll_timeout(), None, "{:?}", net.agent().timeout_reason());
}

/// The bound holds for a name with many addresses of which none answers.
#[test]
fn addresses_of_a_name_do_not_extend_the_timeout() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.timing.gathering_timeout = secs(3);
    let mut net = Net::alone_with(config, &[L], 4);
    net.dead.extend([0, 1, 2, 3]);
    net.names.insert("turn.example.org".into(), (0..4).map(|at| listen(at).ip()).collect());
    net.ask(0, turn_uri("turn:turn.example.org"));
    net.gather(0);
    net.run_for(secs(12));
    assert_eq!((net.complete_at(0), net.errors(0)), (Some(ms(3_000)), vec![701]));
    let tried: BTreeSet<_> = net.sent.iter().filter_map(Sent::to).collect();
    assert_eq!(tried.len(), 2);
}

/// G7: RFC 8445 §5.1.1.2. A server that is short of resources still says what it sees.
#[test]
fn a_full_turn_server_is_asked_for_the_mapping() {
    for code in [486, 508] {
        let mut net = behind_nat(1);
        net.servers[0].refuse(TurnMethod::Allocate, TurnRefusal::new(code), u32::MAX);
        net.ask(0, turn(0));
        net.gather(0);
        net.run_for(secs(5));
        assert_eq!(net.asked(BINDING).len(), 1);
        assert_eq!((net.reflexive(), net.errors(0)), (vec![addr(PUBLIC)], vec![code]));
        assert_eq!(net.agent().gathering_state(), GatheringState::Complete);
    }
}

/// G8: RFC 8445 §5.1.1.2. Nobody is asked whom the answer to a Binding request names.
#[test]
fn another_server_named_for_binding_is_not_asked() {
    let mut net = behind_nat(2);
    let elsewhere = TurnRefusal::try_alternate(listen(1)).unauthenticated();
    net.servers[0].refuse(TurnMethod::Binding, elsewhere, u32::MAX);
    net.ask(0, stun(0));
    net.gather(0);
    net.run_for(secs(20));
    assert!(net.sent.iter().all(|sent| sent.to() == Some(listen(0))));
    assert_eq!((net.reflexive(), net.errors(0)), (vec![], vec![300]));
}

/// G10: RFC 8445 §5.1.1.4. A mapping is kept alive until ICE concludes.
#[test]
fn a_mapping_is_kept_alive_until_ice_concludes() {
    let mut net = Net::pair(1);
    net.mapped.insert(addr(L), addr(PUBLIC));
    net.ask(0, stun(0));
    net.gather(0);
    net.run_for(secs(20 * 60));
    let times: Vec<_> = net.asked(BINDING).iter().map(|sent| sent.at).collect();
    assert!(times.len() >= 20 * 60 / 30, "{} requests", times.len());
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] <= secs(30), "{pair:?}");
    }
    // The peer is there, and ICE concludes.
    net.direct = true;
    net.start();
    net.run_for(secs(5));
    net.assert_flows();
    net.sent.clear();
    net.run_for(secs(120));
    assert_eq!(net.asked(BINDING).len(), 0);
}

/// What a server sees may change; the new mapping is a candidate, and the old one none any more.
#[test]
fn a_changed_mapping_is_a_new_candidate() {
    let mut net = behind_nat(1);
    let mut config = AgentConfig::new(Role::Controlling);
    config.continual = true;
    net.nodes.clear();
    net.add_agent(config);
    net.socket(0, L);
    net.ask(0, stun(0));
    net.gather(0);
    net.run_for(secs(5));
    let other = addr("203.0.113.9:50000");
    net.mapped.insert(addr(L), other);
    net.run_for(secs(60));
    assert_eq!(net.reflexive(), [other]);
    assert!(net.has_told(0, |event| matches!(event, Event::LocalCandidateRemoved { .. })));
}

/// Two servers that see the same are one candidate, which stays as long as one of them is asked.
#[test]
fn a_mapping_that_two_servers_see_stays_when_one_goes() {
    let mut net = behind_nat(2);
    let first = net.ask(0, stun(0));
    let second = net.ask(0, stun(1));
    net.gather(0);
    net.run_for(secs(1));
    assert_eq!(net.reflexive(), [addr(PUBLIC)]);
    assert!(net.call(0, |agent, now| agent.remove_server(now, first)));
    assert_eq!(net.reflexive(), [addr(PUBLIC)]);
    assert!(net.call(0, |agent, now| agent.remove_server(now, second)));
    assert_eq!(net.reflexive(), []);
    assert!(!net.call(0, |agent, now| agent.remove_server(now, second)));
}

/// U14: RFC 8489 §6.3.4. A server fault is asked again four times at most.
#[test]
fn a_server_fault_is_asked_again_four_times() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.timing.gathering_timeout = secs(60);
    let mut net = Net::alone_with(config, &[L], 1);
    net.servers[0].refuse(TurnMethod::Binding, TurnRefusal::new(500), u32::MAX);
    net.ask(0, stun(0));
    net.gather(0);
    net.run_for(secs(14));
    assert_eq!(net.transactions().len(), 5);
    assert_eq!(net.errors(0), [500]);
}

/// U4: RFC 8489 §6.2.1. A hard ICMP error ends the transaction that it quotes, and no other.
#[test]
fn an_icmp_error_ends_the_request_that_it_quotes() {
    let mut net = Net::alone(&[L], 2);
    net.dead.extend([0, 1]);
    net.ask(0, stun(0));
    net.ask(0, stun(1));
    net.gather(0);
    net.run_for(secs(1));
    let quoted = net.sent.iter().find(|sent| sent.to() == Some(listen(0))).unwrap().bytes.clone();
    let mut forged = quoted.clone();
    forged[8] ^= 1;
    for bytes in [&forged, &quoted] {
        net.call(0, |agent, now| {
            let error = IcmpError::Hard;
            agent.handle_icmp(now, Transport::Udp, addr(L), listen(0), error, bytes);
        });
        let expected = usize::from(bytes == &quoted);
        assert_eq!(net.errors(0).len(), expected);
    }
}

/// G11: RFC 8445 §5.1.1.4. Gathering goes on for what is new alone, and what is gone is gone.
#[test]
fn addresses_come_and_go() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.continual = true;
    let mut net = Net::alone_with(config, &[L], 1);
    net.mapped.insert(addr(L), addr(PUBLIC));
    net.ask(0, turn(0));
    net.gather(0);
    net.run_for(secs(1));
    let relays = net.relays(0);
    net.sent.clear();
    let other = net.socket(0, "10.0.7.1:1000");
    net.run_for(secs(1));
    assert!(net.sent.iter().all(|sent| sent.from() == Some(addr("10.0.7.1:1000"))));
    assert_eq!(net.relays(0).len(), 2);
    net.call(0, |agent, now| agent.remove_local(now, other)).unwrap();
    assert_eq!((net.relays(0), net.reflexive()), (relays, vec![addr(PUBLIC)]));
    net.sent.clear();
    net.run_for(secs(1200));
    assert!(net.sent.iter().all(|sent| sent.from() == Some(addr(L))));
}

/// A server that is added while gathering is under way is asked at once, also by its name.
#[test]
fn a_server_may_be_added_while_gathering_is_under_way() {
    let mut net = behind_nat(3);
    net.dead.insert(0);
    net.names.insert("stun.example.org".into(), vec![listen(2).ip()]);
    net.ask(0, stun(0));
    net.gather(0);
    net.run_for(secs(1));
    net.ask(0, stun(1));
    net.ask(0, frazil::Server::new("stun:stun.example.org".parse().unwrap()));
    net.run_for(secs(1));
    for number in [1, 2] {
        assert_eq!(net.servers[number].stats().successes(TurnMethod::Binding), 1, "{number}");
    }
    assert_eq!(net.reflexive(), [addr(PUBLIC)]);
}

/// Who waits no longer has what there is.
#[test]
fn gathering_may_be_cancelled() {
    let mut net = behind_nat(2);
    net.dead.insert(0);
    net.ask(0, stun(0));
    net.ask(0, stun(1));
    net.gather(0);
    net.run_for(secs(1));
    net.call(0, IceAgent::cancel_gathering);
    assert_eq!(net.complete_at(0), Some(net.now));
    assert_eq!((net.reflexive(), net.errors(0)), (vec![addr(PUBLIC)], vec![701]));
    net.sent.clear();
    net.run_for(secs(60));
    assert!(net.sent.iter().all(|sent| sent.to() == Some(listen(1))));
}
