//! Address policies as an agent applies them: what it tells, asks and answers.

mod common;
#[path = "gathering/net.rs"]
#[allow(dead_code, reason = "the tests of gathering use all of it")]
mod net;

use std::sync::Arc;
use std::time::Duration;

use frazil::{
    AddLocalError, AddRemoteError, AddServerError, AddressRewriteRule, AddressRewriteRules,
    AddressUse, AgentConfig, Candidate, CandidateKind, CandidateView, ConfigError, ConnectionState,
    Event, Filtered, IceAgent, Ignored, LocalAddress, NetworkType, Origin, Policies, Received,
    Refused, RewriteMode, Role, Timestamp, TransportPolicy,
};

use common::{Bench, plain};
use net::{ALLOCATE, BINDING, CREATE_PERMISSION, Net, addr, attribute, ms, secs, stun, turn};

/// The socket of the first agent, and what a NAT makes of it.
const L: &str = "10.0.0.1:1000";
const OUTSIDE: &str = "203.0.113.9:1000";
/// The socket of the second agent.
const R: &str = "10.0.1.1:2000";

fn policies(edit: impl FnOnce(&mut Policies)) -> Option<Arc<Policies>> {
    let mut policies = Policies::default();
    edit(&mut policies);
    Some(Arc::new(policies))
}

fn with(role: Role, edit: impl FnOnce(&mut Policies)) -> AgentConfig {
    let mut config = plain(role);
    config.policies = policies(edit);
    config
}

/// Two agents that reach each other, the first one with policies, and so many servers.
fn pair(servers: usize, edit: impl Fn(&mut Policies)) -> Net {
    let of = |role| {
        with(role, |policies| {
            if role == Role::Controlling {
                edit(policies);
            }
        })
    };
    let mut net = Net::alone_with(of(Role::Controlling), &[], servers);
    net.add_agent(of(Role::Controlled));
    net.direct = true;
    net
}

/// What an agent has told the peer, as it is written.
fn told(net: &Net, agent: usize) -> Vec<String> {
    let line = |(_, event): &(Timestamp, Event)| match event {
        Event::LocalCandidate { candidate, .. } => Some(candidate.to_string()),
        _ => None,
    };
    net.nodes[agent].events.iter().filter_map(line).collect()
}

/// The addresses and kinds among it.
fn told_short(net: &Net, agent: usize) -> Vec<String> {
    let short = |line: String| {
        let words: Vec<&str> = line.split(' ').collect();
        format!("{}:{} {}", words[4], words[5], words[7])
    };
    told(net, agent).into_iter().map(short).collect()
}

fn selected(net: &Net, agent: usize) -> Option<[CandidateView; 2]> {
    let node = &net.nodes[agent];
    node.agent.selected_pair(node.stream, 1).map(|pair| [pair.local, pair.remote])
}

fn add_local(net: &mut Net, local: LocalAddress) -> Result<(), AddLocalError> {
    let stream = net.nodes[0].stream;
    net.nodes[0].sockets.push(local.addr);
    net.call(0, |agent, now| agent.add_local(now, stream, 1, local)).map(drop)
}

fn on(interface: &str, text: &str) -> LocalAddress {
    let mut local = LocalAddress::udp(addr(text));
    local.interface_name = interface.to_owned();
    local
}

/// To whom an agent has sent from its sockets.
fn sent_to(net: &Net, agent: usize, to: &str) -> usize {
    net.sent.iter().filter(|sent| sent.agent == agent && sent.to() == Some(addr(to))).count()
}

/// W3C RTCIceTransportPolicy `relay`: the peer learns no address of this side, and none of its own
/// is sent to directly.
#[test]
fn a_relay_only_agent_tells_and_uses_relayed_candidates_alone() {
    let mut net = pair(1, |policies| policies.transport = TransportPolicy::Relay);
    net.socket(0, L);
    net.socket(1, R);
    net.ask(0, turn(0));
    net.start();
    net.run_for(secs(5));
    let told = told(&net, 0);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("typ relay raddr 0.0.0.0 rport 9"), "{told:?}");
    assert!(net.agent().local_candidates().all(|local| local.kind == CandidateKind::Relayed));
    assert_eq!(sent_to(&net, 0, R), 0);
    assert_eq!(selected(&net, 0).unwrap()[0].kind, CandidateKind::Relayed);
    net.assert_flows();
}

/// Who has found out the address of the host gets no answer there, so that it is no use to him.
#[test]
fn a_relay_only_agent_answers_no_check_at_its_host_address() {
    let relay = |policies: &mut Policies| policies.transport = TransportPolicy::Relay;
    for (config, hidden) in
        [(with(Role::Controlled, relay), true), (with(Role::Controlled, |_| {}), false)]
    {
        let mut bench = Bench::with(config);
        bench.add_local(L);
        bench.start();
        let received = bench.send_check(L, R, true);
        assert_eq!(received == Received::Ignored(Ignored::Policy), hidden);
        bench.run_for(secs(2));
        assert_eq!(bench.sent.is_empty(), hidden);
        assert_eq!(bench.agent.pairs().count() == 0, hidden);
        assert_eq!(bench.agent.remote_candidates().count() == 0, hidden);
        assert_eq!(bench.agent.counters().ignored(Ignored::Policy), u64::from(hidden));
    }
}

#[test]
fn without_host_candidates_the_mapping_is_told_and_its_base_is_not() {
    let mut net = pair(1, |policies| policies.transport = TransportPolicy::NoHost);
    net.mapped.insert(addr(L), addr(OUTSIDE));
    net.socket(0, L);
    net.socket(1, R);
    net.ask(0, stun(0));
    net.start();
    net.run_for(secs(5));
    let told = told(&net, 0);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("203.0.113.9 1000 typ srflx raddr 0.0.0.0 rport 9"), "{told:?}");
    let [local, _] = selected(&net, 0).unwrap();
    assert_eq!((local.addr, local.base), (addr(OUTSIDE), addr(L)));
    net.assert_flows();
}

#[test]
fn servers_that_can_give_nothing_that_is_gathered_are_refused() {
    let refused = |net: &mut Net, server| {
        net.call(0, |agent, now| agent.add_server(now, server)) == Err(AddServerError::Policy)
    };
    let kinds = |kind: CandidateKind| {
        let config = with(Role::Controlling, |it| it.kinds = [kind].into_iter().collect());
        Net::alone_with(config, &[], 1)
    };
    let mut host = kinds(CandidateKind::Host);
    assert!(refused(&mut host, stun(0)) && refused(&mut host, turn(0)));
    let mut relay = kinds(CandidateKind::Relayed);
    assert!(refused(&mut relay, stun(0)) && !refused(&mut relay, turn(0)));
    let mut reflexive = kinds(CandidateKind::ServerReflexive);
    assert!(!refused(&mut reflexive, stun(0)) && !refused(&mut reflexive, turn(0)));
}

/// A server that is asked for mappings alone is not asked for an allocation.
#[test]
fn a_turn_server_is_asked_for_the_mapping_alone_where_relays_are_not_gathered() {
    let config = with(Role::Controlling, |policies| {
        policies.kinds = [CandidateKind::ServerReflexive].into_iter().collect();
    });
    let mut net = Net::alone_with(config, &[L], 1);
    net.mapped.insert(addr(L), addr(OUTSIDE));
    net.ask(0, turn(0));
    net.gather(0);
    net.run_for(secs(2));
    assert_eq!((net.asked(BINDING).len(), net.asked(ALLOCATE).len()), (1, 0));
    assert_eq!(told_short(&net, 0), ["203.0.113.9:1000 srflx"]);
}

#[test]
fn an_address_of_which_nothing_can_come_is_refused() {
    let nothing = with(Role::Controlling, |policies| {
        policies.transport = TransportPolicy::Relay;
        policies.kinds = [CandidateKind::Host].into_iter().collect();
    });
    let ipv6 = with(Role::Controlling, |policies| {
        policies.networks = [NetworkType::Udp6].into_iter().collect();
    });
    for config in [nothing, ipv6] {
        let mut net = Net::alone_with(config, &[], 0);
        assert_eq!(add_local(&mut net, on("eth0", L)), Err(AddLocalError::Policy));
        net.gather(0);
        assert!(told(&net, 0).is_empty());
        assert!(net.complete_at(0).is_some());
    }
}

#[test]
fn filtered_addresses_are_no_candidates_and_ask_no_server() {
    let config = with(Role::Controlling, |policies| {
        policies.local.deny_interfaces.push("docker*".to_owned());
        policies.local.deny.push("100.64.0.0/10".parse().unwrap());
    });
    let mut net = Net::alone_with(config, &[], 1);
    let interface = AddLocalError::Filtered(Filtered::Interface);
    assert_eq!(add_local(&mut net, on("docker0", "172.17.0.1:1000")), Err(interface));
    let denied = AddLocalError::Filtered(Filtered::Denied);
    assert_eq!(add_local(&mut net, on("eth1", "100.64.3.4:1000")), Err(denied));
    add_local(&mut net, on("eth0", L)).unwrap();
    net.ask(0, turn(0));
    net.gather(0);
    net.run_for(secs(2));
    assert_eq!(told_short(&net, 0)[0], "10.0.0.1:1000 host");
    assert!(!net.sent.is_empty() && net.sent.iter().all(|sent| sent.from() == Some(addr(L))));
}

/// RFC 8828 mode 3: servers are asked from the address, and the peer is not told it, unless servers
/// see the same.
#[test]
fn an_address_for_servers_is_told_only_as_what_they_see() {
    for (mapped, expected) in
        [(OUTSIDE, "203.0.113.9 1000 typ srflx"), (L, "10.0.0.1 1000 typ srflx")]
    {
        let mut net = Net::alone_with(AgentConfig::new(Role::Controlling), &[], 1);
        net.mapped.insert(addr(L), addr(mapped));
        let mut local = on("eth0", L);
        local.usage = AddressUse::Servers;
        add_local(&mut net, local).unwrap();
        net.ask(0, stun(0));
        net.gather(0);
        net.run_for(secs(2));
        let told = told(&net, 0);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(&format!("{expected} raddr 0.0.0.0 rport 9")), "{told:?}");
    }
}

fn nat_1to1(kind: CandidateKind, mappings: &[&str]) -> AddressRewriteRules {
    AddressRewriteRules::nat_1to1(kind, mappings.iter().copied()).unwrap()
}

/// A NAT that maps one to one: the peer is told the outer address, connects to it, and both sides
/// call the pair by it.
#[test]
fn a_host_behind_a_nat_that_maps_one_to_one_is_reached_without_servers() {
    let mut net = pair(0, |policies| {
        policies.rewrite = nat_1to1(CandidateKind::Host, &["203.0.113.9/10.0.0.1"]);
    });
    net.mapped.insert(addr(L), addr(OUTSIDE));
    net.socket(0, L);
    net.socket(1, R);
    net.start();
    net.run_for(secs(5));
    assert_eq!(told_short(&net, 0), ["203.0.113.9:1000 host"]);
    let ([local, _], [_, remote]) = (selected(&net, 0).unwrap(), selected(&net, 1).unwrap());
    assert_eq!((local.addr, local.base), (addr(OUTSIDE), addr(L)));
    assert_eq!((remote.addr, remote.kind), (addr(OUTSIDE), CandidateKind::Host));
    net.assert_flows();
}

/// Two lite agents choose a pair and check nothing: packets leave from the socket all the same.
#[test]
fn a_lite_agent_behind_such_a_nat_sends_from_its_socket() {
    let mut config = with(Role::Controlling, |policies| {
        policies.rewrite = nat_1to1(CandidateKind::Host, &["203.0.113.9"]);
    });
    config.lite = true;
    let mut net = Net::alone_with(config, &[], 0);
    let mut peer = AgentConfig::new(Role::Controlled);
    peer.lite = true;
    net.add_agent(peer);
    net.direct = true;
    net.mapped.insert(addr(L), addr(OUTSIDE));
    net.socket(0, L);
    net.socket(1, R);
    net.start();
    net.run_for(secs(1));
    net.assert_flows();
}

#[test]
fn appended_addresses_stand_beside_those_that_were_found() {
    let mut rule = AddressRewriteRule::new(
        CandidateKind::Host,
        vec!["203.0.113.9".parse().unwrap(), "203.0.113.10".parse().unwrap()],
    );
    rule.mode = RewriteMode::Append;
    let mut net = pair(0, |policies| {
        policies.rewrite = AddressRewriteRules::new(vec![rule.clone()]).unwrap();
    });
    net.socket(0, L);
    let mut told = told_short(&net, 0);
    told.sort_unstable();
    assert_eq!(told, ["10.0.0.1:1000 host", "203.0.113.10:1000 host", "203.0.113.9:1000 host"]);
    let priorities: Vec<u32> = net.agent().local_candidates().map(|it| it.priority).collect();
    assert!(priorities[0] > priorities[1] && priorities[1] > priorities[2], "{priorities:?}");
}

#[test]
fn each_family_gets_the_external_address_of_its_own() {
    let config = with(Role::Controlling, |policies| {
        policies.rewrite = nat_1to1(CandidateKind::Host, &["203.0.113.9", "2001:db8::9"]);
    });
    let net = Net::alone_with(config, &[L, "[fd00::1]:1001"], 0);
    let mut told = told_short(&net, 0);
    told.sort_unstable();
    assert_eq!(told, ["2001:db8::9:1001 host", "203.0.113.9:1000 host"]);
}

/// A rule without external addresses drops the candidates; those of other interfaces stay.
#[test]
fn a_rule_for_an_interface_drops_its_candidates_alone() {
    let mut rule = AddressRewriteRule::new(CandidateKind::Host, Vec::new());
    rule.interface = Some("tun0".to_owned());
    let config = with(Role::Controlling, |policies| {
        policies.rewrite = AddressRewriteRules::new(vec![rule]).unwrap();
    });
    let mut net = Net::alone_with(config, &[], 0);
    add_local(&mut net, on("tun0", "10.8.0.2:1000")).unwrap();
    add_local(&mut net, on("eth0", L)).unwrap();
    assert_eq!(told_short(&net, 0), ["10.0.0.1:1000 host"]);
}

/// What replaces server-reflexive addresses leaves nothing to ask for.
#[test]
fn a_rewritten_mapping_is_told_without_asking_a_server() {
    for mode in [RewriteMode::Append, RewriteMode::Replace] {
        let mut rule = AddressRewriteRule::new(
            CandidateKind::ServerReflexive,
            vec!["203.0.113.77".parse().unwrap()],
        );
        rule.mode = mode;
        let config = with(Role::Controlling, |policies| {
            policies.rewrite = AddressRewriteRules::new(vec![rule]).unwrap();
        });
        let mut net = Net::alone_with(config, &[L], 1);
        net.mapped.insert(addr(L), addr(OUTSIDE));
        let added = net.call(0, |agent, now| agent.add_server(now, stun(0)));
        let replaces = mode == RewriteMode::Replace;
        assert_eq!(added == Err(AddServerError::Policy), replaces);
        net.gather(0);
        net.run_for(secs(2));
        let told = told(&net, 0);
        let line = told.iter().find(|line| line.contains("203.0.113.77 1000")).unwrap();
        assert!(line.contains("typ srflx raddr 10.0.0.1 rport 1000"), "{line}");
        assert_eq!(told.iter().any(|line| line.contains("203.0.113.9 ")), !replaces);
        assert_eq!(net.sent.is_empty(), replaces);
    }
}

#[test]
fn a_relayed_address_is_told_as_it_is_rewritten_and_used_as_it_is() {
    let mut rule =
        AddressRewriteRule::new(CandidateKind::Relayed, vec!["203.0.113.77".parse().unwrap()]);
    rule.mode = RewriteMode::Replace;
    let mut net = pair(1, |policies| {
        policies.rewrite = AddressRewriteRules::new(vec![rule.clone()]).unwrap();
        policies.kinds = [CandidateKind::Relayed].into_iter().collect();
    });
    net.socket(0, L);
    net.socket(1, R);
    net.ask(0, turn(0));
    net.start();
    net.run_for(secs(5));
    let told = told_short(&net, 0);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("203.0.113.77:") && told[0].ends_with(" relay"), "{told:?}");
    assert_eq!(net.states(), [ConnectionState::Completed; 2]);
    net.assert_flows();
}

/// Rules about candidates that are not gathered are a mistake that shows at once.
#[test]
fn rules_about_what_is_not_gathered_are_refused() {
    let config = with(Role::Controlling, |policies| {
        policies.transport = TransportPolicy::Relay;
        policies.rewrite = nat_1to1(CandidateKind::Host, &["203.0.113.9"]);
    });
    assert!(matches!(IceAgent::new(config, [1; 32]).err(), Some(ConfigError::Rewrite(_))));
}

fn denying(prefix: &str) -> AgentConfig {
    with(Role::Controlled, |policies| policies.remote.deny.push(prefix.parse().unwrap()))
}

/// A hostile peer does not make this side send into a network that is denied, neither by naming an
/// address nor by a check with a forged source.
#[test]
fn nothing_is_sent_to_an_address_of_the_peer_that_is_denied() {
    let mut bench = Bench::with(denying("169.254.0.0/16"));
    bench.add_local(L);
    bench.start();
    let line = "1 1 UDP 2000000000 169.254.169.254 80 typ host";
    let candidate: Candidate = line.parse().unwrap();
    let added = bench.agent.add_remote_candidate(bench.now, bench.stream, &candidate);
    assert_eq!(added, Err(AddRemoteError::Filtered(Filtered::Denied)));
    let _ = bench.send_check(L, "169.254.169.254:80", true);
    bench.run_for(secs(2));
    assert!(bench.requests().is_empty());
    assert_eq!(bench.agent.remote_candidates().count(), 0);
    assert_eq!(bench.agent.pairs().count(), 0);
    assert_eq!(bench.agent.counters().refused(Refused::RemoteAddress), 1);
    // Another address is as good as ever.
    let _ = bench.send_check(L, R, true);
    bench.run_for(secs(2));
    assert!(bench.requests().iter().all(|sent| sent.to == addr(R)));
    assert!(!bench.requests().is_empty());
}

/// From a relayed address a private one of the peer is somewhere else: neither the server nor that
/// place hears of it.
#[test]
fn a_relay_is_not_asked_to_reach_a_private_address_of_the_peer() {
    for private_from_private in [true, false] {
        let mut net = pair(1, |policies| {
            policies.remote.private_from_private = private_from_private;
        });
        net.direct = false;
        net.socket(0, L);
        net.socket(1, R);
        net.ask(0, turn(0));
        net.start();
        net.run_for(secs(5));
        assert_eq!(net.relays(0).len(), 1);
        assert_eq!(net.asked(CREATE_PERMISSION).is_empty(), private_from_private);
        assert_eq!(selected(&net, 0).is_none(), private_from_private);
    }
}

#[test]
fn related_addresses_are_hidden_where_that_is_asked_for() {
    for hide in [true, false] {
        let config = with(Role::Controlling, |policies| policies.hide_related = hide);
        let mut net = Net::alone_with(config, &[L], 1);
        net.mapped.insert(addr(L), addr(OUTSIDE));
        net.ask(0, turn(0));
        net.gather(0);
        net.run_for(secs(2));
        let told = told(&net, 0);
        let related: Vec<_> = told.iter().filter(|line| line.contains(" raddr ")).collect();
        assert_eq!(related.len(), 2, "{told:?}");
        for line in related {
            assert_eq!(line.contains("raddr 0.0.0.0 rport 9"), hide, "{line}");
        }
    }
}

/// When the controlling agent sent its nomination, after which `wait` for relayed candidates.
fn nominated_at(wait: Duration, direct: bool) -> Timestamp {
    let mut net = pair(1, |policies| policies.acceptance.relayed = wait);
    net.direct = direct;
    net.socket(0, L);
    net.socket(1, R);
    net.ask(0, turn(0));
    net.start();
    net.run_for(secs(20));
    let nominates = |sent: &&net::Sent| {
        let indicated = attribute(&sent.bytes, 0x0013);
        let inner = indicated.unwrap_or(&sent.bytes);
        sent.agent == 0 && inner.len() > 20 && attribute(inner, 0x0025).is_some()
    };
    net.sent.iter().find(nominates).map(|sent| sent.at).expect("a nomination")
}

#[test]
fn a_relayed_pair_waits_to_be_nominated_and_a_host_pair_does_not() {
    let wait = secs(5);
    let at_once = nominated_at(Duration::ZERO, false);
    assert!(at_once < ms(3_000), "{at_once:?}");
    let late = nominated_at(wait, false);
    assert!(late >= ms(5_000) && late < ms(8_000), "{late:?}");
    assert!(nominated_at(wait, true) < ms(3_000));
}

/// An agent whose socket has moved, gathering continually.
fn moved(edit: impl FnOnce(&mut Policies), to: &str) -> (Net, Result<(), AddLocalError>) {
    let mut config = with(Role::Controlling, edit);
    config.continual = true;
    let mut net = Net::alone_with(config, &[], 0);
    let id = net.socket(0, L);
    net.nodes[0].sockets.push(addr(to));
    net.nodes[0].events.clear();
    let moved = net.call(0, |agent, now| agent.rebind_local(now, id, addr(to)));
    (net, moved.map(drop))
}

/// Policies hold for the address to which a socket moves as they did for the first one.
#[test]
fn a_socket_that_moves_takes_its_policies_along() {
    let to = "10.0.0.2:1000";
    let (net, result) = moved(|_| {}, to);
    assert_eq!((result, told_short(&net, 0)), (Ok(()), vec![format!("{to} host")]));
    for transport in [TransportPolicy::Relay, TransportPolicy::NoHost] {
        let (net, result) = moved(|policies| policies.transport = transport, to);
        assert_eq!((result, told_short(&net, 0)), (Ok(()), Vec::new()));
        assert_eq!(net.agent().local_candidates().count(), 0);
    }
    let deny = |policies: &mut Policies| policies.local.deny.push("10.0.0.2/32".parse().unwrap());
    let (net, result) = moved(deny, to);
    assert_eq!(result, Err(AddLocalError::Filtered(Filtered::Denied)));
    assert_eq!(net.candidates(0, CandidateKind::Host), [addr(L)]);
    let ipv4 = |it: &mut Policies| it.networks = [NetworkType::Udp4].into_iter().collect();
    assert_eq!(moved(ipv4, "[2001:db8::2]:1000").1, Err(AddLocalError::Policy));
}

#[test]
fn a_socket_that_moves_is_told_as_the_rules_say_of_its_new_address() {
    let rules = |policies: &mut Policies| {
        policies.rewrite =
            nat_1to1(CandidateKind::Host, &["203.0.113.9/10.0.0.1", "203.0.113.10/10.0.0.2"]);
    };
    let (net, _) = moved(rules, "10.0.0.2:1000");
    assert_eq!(told_short(&net, 0), ["203.0.113.10:1000 host"]);
    assert_eq!(net.candidates(0, CandidateKind::Host), [addr("203.0.113.10:1000")]);
    let (net, _) = moved(rules, "10.0.0.3:1000");
    assert_eq!(told_short(&net, 0), ["10.0.0.3:1000 host"]);
}

/// The path moves with the socket, also where the peer knows it by another address alone; without
/// continual gathering nothing is told.
#[test]
fn a_rewritten_path_moves_with_its_socket() {
    let mut net = pair(0, |policies| {
        policies.rewrite = nat_1to1(CandidateKind::Host, &["203.0.113.9"]);
    });
    net.mapped.insert(addr(L), addr(OUTSIDE));
    let id = net.socket(0, L);
    net.socket(1, R);
    net.start();
    net.run_for(secs(5));
    let before = told(&net, 0).len();
    let to = "10.0.0.2:1000";
    net.nodes[0].sockets = vec![addr(to)];
    net.mapped.insert(addr(to), addr("203.0.113.9:1001"));
    net.call(0, |agent, now| agent.rebind_local(now, id, addr(to))).unwrap();
    net.run_for(secs(2));
    assert_eq!(told(&net, 0).len(), before);
    net.assert_flows();
}

/// Spare paths are checked from a base that the peer is not told as from one that it is.
#[test]
fn addresses_that_come_after_nomination_are_checked_from_hidden_bases_too() {
    for rewritten in [false, true] {
        let mut config = with(Role::Controlling, |policies| {
            if rewritten {
                policies.rewrite = nat_1to1(CandidateKind::Host, &["203.0.113.9"]);
            }
        });
        config.continual = true;
        let mut bench = Bench::with(config);
        bench.add_local(L);
        bench.start();
        bench.add_remote(R, 2_000_000_000);
        bench.run_answering(ms(3_000), |_| true);
        assert!(bench.agent.selected_pair(bench.stream, 1).is_some());
        let (local, remote) = ("10.0.2.1:3000", "10.0.1.1:2002");
        bench.add_local(local);
        bench.add_remote(remote, 1_000_000_000);
        let sent = bench.run_for(secs(5));
        for (from, to) in [(L, remote), (local, R), (local, remote)] {
            let checked = sent.iter().any(|it| (it.from, it.to) == (addr(from), addr(to)));
            assert!(checked, "{from} to {to}, rewritten: {rewritten}");
        }
    }
}

/// A description names the nominated candidate (RFC 8839 §4.4.1.2.2), but not one that is kept from
/// the peer: on the same network the peer sees the host address in packets, and signalling does not.
#[test]
fn a_description_after_nomination_does_not_betray_the_host() {
    for (transport, expected) in [
        (TransportPolicy::All, "10.0.0.1 1000 typ host"),
        (TransportPolicy::NoHost, "203.0.113.9 1000 typ srflx raddr 0.0.0.0 rport 9"),
    ] {
        let config = with(Role::Controlling, |policies| policies.transport = transport);
        let mut bench = Bench::with(config);
        bench.add_local(L);
        let mut mapping = LocalAddress::udp(addr(OUTSIDE));
        mapping.origin = Origin::Reflexive { base: addr(L), server: addr("198.51.100.1:1").ip() };
        bench.agent.add_local(bench.now, bench.stream, 1, mapping).unwrap();
        bench.start();
        bench.add_remote(R, 2_000_000_000);
        bench.run_answering(ms(3_000), |_| true);
        let pair = bench.agent.selected_pair(bench.stream, 1).unwrap();
        assert_eq!(pair.local.addr, addr(L));
        let description = bench.agent.take_description(bench.now);
        let lines: Vec<String> =
            description.candidates.iter().map(|(_, candidate)| candidate.to_string()).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(expected), "{lines:?}");
    }
}
