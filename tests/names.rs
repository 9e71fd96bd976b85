//! Candidates under names of multicast DNS, as an agent tells and takes them
//! (draft-ietf-rtcweb-mdns-ice-candidates-04).

mod common;
#[path = "gathering/net.rs"]
#[allow(dead_code, reason = "the tests of gathering use all of it")]
mod net;

use std::net::{IpAddr, SocketAddr};

use frazil::{
    AddRemoteError, AgentConfig, Candidate, CandidateAddress, CandidateId, CandidateKind,
    CandidateView, ConnectionState, Event, LocalAddress, LookupId, MdnsMode, Origin, Refused, Role,
    Signalling,
};

use common::{Bench, plain};
use net::{CREATE_PERMISSION, Net, addr, ms, secs, turn};

const L: &str = "10.0.0.1:1000";
const L6: &str = "[fd00::1]:1001";
const R: &str = "10.0.1.1:2000";
const NAME: &str = "0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9.local";

fn hiding(role: Role) -> AgentConfig {
    let mut config = plain(role);
    config.mdns = MdnsMode::QueryAndGather;
    config
}

fn asking(role: Role) -> AgentConfig {
    let mut config = plain(role);
    config.mdns = MdnsMode::Query;
    config
}

/// Names and what they stand for, as the caller is to publish them.
fn published(bench: &Bench) -> Vec<(String, IpAddr)> {
    let published = |event: &Event| match event {
        Event::PublishName { name, ip } => Some((name.to_string(), *ip)),
        _ => None,
    };
    bench.events.iter().filter_map(|(_, event)| published(event)).collect()
}

fn told(bench: &Bench) -> Vec<Candidate> {
    let told = |event: &Event| match event {
        Event::LocalCandidate { candidate, .. } => Some(candidate.clone()),
        _ => None,
    };
    bench.events.iter().filter_map(|(_, event)| told(event)).collect()
}

fn lookups(bench: &Bench) -> Vec<LookupId> {
    let asked = |event: &Event| match event {
        Event::ResolveName { lookup, .. } => Some(*lookup),
        _ => None,
    };
    bench.events.iter().filter_map(|(_, event)| asked(event)).collect()
}

fn line(priority: u32, name: &str, port: u16) -> String {
    format!("1 1 UDP {priority} {name} {port} typ host")
}

fn resolve(bench: &mut Bench, lookup: LookupId, ips: &[&str]) {
    let ips: Vec<IpAddr> = ips.iter().map(|ip| ip.parse().unwrap()).collect();
    bench.agent.name_resolved(bench.now, lookup, &ips);
    bench.drain();
}

/// An agent whose peer has told a name, which is being looked up.
fn looking_up() -> (Bench, CandidateId, LookupId) {
    let mut bench = Bench::with(asking(Role::Controlled));
    bench.add_local(L);
    bench.agent.gather(bench.now);
    bench.start();
    let id = bench.add_remote_line(&line(2_000_000_000, NAME, 2000));
    let lookup = lookups(&bench)[0];
    (bench, id, lookup)
}

fn remotes(bench: &Bench) -> Vec<CandidateView> {
    bench.agent.remote_candidates().collect()
}

/// M1: one name for each address, in what is trickled and in a complete description; no address.
#[test]
fn host_candidates_are_told_under_names() {
    let mut bench = Bench::with(hiding(Role::Controlling));
    bench.add_local(L);
    bench.add_local("10.0.0.1:1002");
    bench.add_local(L6);
    bench.agent.gather(bench.now);
    bench.drain();
    let published = published(&bench);
    let ips: Vec<IpAddr> = published.iter().map(|(_, ip)| *ip).collect();
    assert_eq!(ips, [addr(L).ip(), addr(L6).ip()]);
    assert_ne!(published[0].0, published[1].0);
    let name_of = |candidate: &Candidate| match &candidate.address {
        CandidateAddress::Name { host, port } => (host.clone(), *port),
        other => panic!("an address is told: {other:?}"),
    };
    let mut names: Vec<_> = told(&bench).iter().map(name_of).collect();
    names.sort_unstable_by_key(|(_, port)| *port);
    let (v4, v6) = (&published[0].0, &published[1].0);
    let expected = [(v4.clone(), 1000), (v6.clone(), 1001), (v4.clone(), 1002)];
    assert_eq!(names, expected);

    let mut config = hiding(Role::Controlling);
    config.signalling = Signalling::Complete;
    let mut bench = Bench::with(config);
    bench.add_local(L);
    bench.agent.gather(bench.now);
    let description = bench.agent.take_description(bench.now);
    let (_, candidate) = &description.candidates[0];
    assert!(!candidate.to_string().contains("10.0.0.1"), "{candidate}");
    assert!(candidate.to_string().contains(".local 1000 typ host"), "{candidate}");
}

/// M1: the name stays when the address is told again, in a restart.
#[test]
fn an_address_keeps_its_name_in_a_restart() {
    let mut bench = Bench::started(hiding(Role::Controlling), &[L], &[R]);
    bench.agent.prepare_restart(bench.now).unwrap();
    bench.drain();
    let told = told(&bench);
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].address, told[1].address);
    assert_eq!(published(&bench).len(), 1);
}

/// M1: an address to which a socket moves gets a name of its own.
#[test]
fn a_socket_that_moves_is_told_under_another_name() {
    let mut config = hiding(Role::Controlling);
    config.continual = true;
    let mut bench = Bench::with(config);
    let id = bench.add_local(L);
    bench.agent.rebind_local(bench.now, id, addr("10.0.0.2:1000")).unwrap();
    bench.drain();
    let published = published(&bench);
    assert_eq!(published[1].1, addr("10.0.0.2:1000").ip());
    let told = told(&bench).last().unwrap().to_string();
    assert!(told.contains(&format!("{} 1000 typ host", published[1].0)), "{told}");
}

fn withdrawn(bench: &Bench) -> Vec<String> {
    let withdrawn = |event: &Event| match event {
        Event::WithdrawName { name } => Some(name.to_string()),
        _ => None,
    };
    bench.events.iter().filter_map(|(_, event)| withdrawn(event)).collect()
}

/// M1: an address has one name, as long as it has a candidate.
#[test]
fn a_name_is_withdrawn_with_the_last_candidate_of_its_address() {
    let mut config = hiding(Role::Controlling);
    config.continual = true;
    let mut bench = Bench::with(config);
    let (first, second) = (bench.add_local(L), bench.add_local("10.0.0.1:1002"));
    bench.add_local(L6);
    bench.drain();
    let names = published(&bench);
    bench.agent.remove_local(bench.now, first).unwrap();
    bench.drain();
    assert!(withdrawn(&bench).is_empty(), "another candidate has the address");
    // Moved away, and then the other address as well.
    let moved = bench.agent.rebind_local(bench.now, second, addr("10.0.0.2:1002")).unwrap();
    bench.drain();
    assert_eq!(withdrawn(&bench), [names[0].0.clone()]);
    bench.agent.remove_local(bench.now, moved).unwrap();
    bench.drain();
    assert_eq!(withdrawn(&bench).len(), 2);
    // The address comes again, under another name: the old one is known to be gone.
    bench.add_local(L);
    bench.drain();
    let again = published(&bench).last().unwrap().clone();
    assert_eq!(again.1, addr(L).ip());
    assert_ne!(again.0, names[0].0);
    // Closing takes back what is left, once.
    for _ in 0..2 {
        bench.agent.close(bench.now);
        bench.drain();
    }
    let mut all: Vec<String> = published(&bench).into_iter().map(|(name, _)| name).collect();
    let mut gone = withdrawn(&bench);
    all.sort_unstable();
    gone.sort_unstable();
    assert_eq!(gone, all);
}

fn reflexive(bench: &mut Bench, seen: &str, base: &str) -> Option<String> {
    let before = told(bench).len();
    let mut local = LocalAddress::udp(addr(seen));
    local.origin = Origin::Reflexive { base: addr(base), server: "198.51.100.1".parse().unwrap() };
    let added = bench.agent.add_local(bench.now, bench.stream, 1, local);
    bench.drain();
    added.ok().map(|_| told(bench)[before].to_string())
}

/// M2: what a server sees of a hidden host is told even where it is the host's own address, and its
/// related address says nothing.
#[test]
fn a_mapping_of_a_hidden_host_is_told_and_does_not_betray_it() {
    let mut bench = Bench::with(hiding(Role::Controlling));
    bench.add_local(L);
    bench.add_local(L6);
    let same = reflexive(&mut bench, L, L).expect("it is not redundant");
    assert!(same.contains("10.0.0.1 1000 typ srflx raddr 0.0.0.0 rport 9"), "{same}");
    let mapped = reflexive(&mut bench, "203.0.113.9:4000", L).unwrap();
    assert!(mapped.contains("203.0.113.9 4000 typ srflx raddr 0.0.0.0 rport 9"), "{mapped}");
    let ipv6 = reflexive(&mut bench, "[2001:db8::9]:4001", L6).unwrap();
    assert!(ipv6.contains("2001:db8::9 4001 typ srflx raddr :: rport 9"), "{ipv6}");
    assert_eq!(reflexive(&mut bench, L, L), None, "told twice");

    let mut open = Bench::with(plain(Role::Controlling));
    open.add_local(L);
    assert_eq!(reflexive(&mut open, L, L), None, "redundant where the host is not hidden");
}

/// M2: a relayed candidate is related to what the server sees; where that is the host itself, it is
/// hidden.
#[test]
fn a_relayed_candidate_does_not_betray_a_hidden_host() {
    let mut net = Net::alone_with(hiding(Role::Controlling), &[L], 1);
    net.ask(0, turn(0));
    net.gather(0);
    net.run_for(secs(2));
    let line = |event: &Event| match event {
        Event::LocalCandidate { candidate, .. } if candidate.kind == CandidateKind::Relayed => {
            Some(candidate.to_string())
        }
        _ => None,
    };
    let relay = net.nodes[0].events.iter().find_map(|(_, event)| line(event)).unwrap();
    assert!(relay.contains("raddr 0.0.0.0 rport 9"), "{relay}");
}

#[test]
fn a_name_is_refused_where_names_are_not_used() {
    let mut bench = Bench::with(plain(Role::Controlled));
    let candidate: Candidate = line(1, NAME, 2000).parse().unwrap();
    let added = bench.agent.add_remote_candidate(bench.now, bench.stream, &candidate);
    assert_eq!(added, Err(AddRemoteError::Name));
    bench.drain();
    assert!(lookups(&bench).is_empty());
}

/// M4: the candidate is checked once its name is resolved, and marked as hidden wherever it shows.
#[test]
fn a_resolved_candidate_is_checked_and_stays_marked_as_hidden() {
    let (mut bench, id, lookup) = looking_up();
    bench.run_for(secs(1));
    assert!(bench.requests().is_empty());
    resolve(&mut bench, lookup, &["10.0.1.1"]);
    bench.run_for(secs(1));
    let check = bench.last_request();
    assert_eq!(check.to, addr(R));
    let _ = bench.answer(&check);
    let _ = bench.send_check(L, R, true);
    assert_hidden(&bench);
    let selected = bench.agent.selected_pair(bench.stream, 1).unwrap();
    assert_eq!((selected.remote.id, selected.remote.addr), (id, addr(R)));
}

/// No view, no event and no explanation shows the peer's address without saying that it is hidden.
fn assert_hidden(bench: &Bench) {
    assert!(!remotes(bench).is_empty());
    assert!(remotes(bench).iter().all(|remote| remote.hidden));
    assert!(bench.agent.pairs().count() > 0);
    assert!(bench.agent.pairs().all(|pair| pair.remote.hidden));
    let selected = bench.agent.selected_pair(bench.stream, 1);
    assert!(selected.is_none_or(|pair| pair.remote.hidden));
    for (_, event) in &bench.events {
        match event {
            Event::SelectedPair { remote, .. } => assert!(remote.hidden, "{event:?}"),
            Event::RemoteCandidateDiscovered { candidate, .. } => {
                assert!(candidate.hidden, "{event:?}");
            }
            _ => {}
        }
    }
    let explanation = bench.agent.explain().to_string();
    assert!(!explanation.contains("10.0.1.1"), "{explanation}");
}

/// M4: a candidate that only a check has shown is hidden, until it is told with its address.
#[test]
fn an_address_that_was_not_told_is_marked_as_hidden() {
    let mut bench = Bench::with(asking(Role::Controlled));
    bench.add_local(L);
    bench.start();
    let _ = bench.send_check(L, R, false);
    assert_eq!(remotes(&bench)[0].kind, CandidateKind::PeerReflexive);
    assert_hidden(&bench);
    bench.add_remote(R, 2_000_000_000);
    assert!(!remotes(&bench)[0].hidden);
    assert!(bench.agent.explain().to_string().contains("10.0.1.1"));
}

/// M4, RFC 8838 §11: the check was faster than the answer. What it has shown is the candidate, which
/// keeps its pair, takes what was signalled, and stays hidden.
#[test]
fn a_name_that_stands_for_an_address_met_already_is_that_candidate() {
    let (mut bench, _, lookup) = looking_up();
    let _ = bench.send_check(L, R, false);
    bench.run_for(secs(1));
    let pairs: Vec<_> = bench.agent.pairs().map(|pair| pair.id).collect();
    assert_eq!((pairs.len(), remotes(&bench).len()), (1, 2));
    resolve(&mut bench, lookup, &["10.0.1.1"]);
    let remotes = remotes(&bench);
    assert_eq!(remotes.len(), 1);
    assert_eq!((remotes[0].kind, remotes[0].priority), (CandidateKind::Host, 2_000_000_000));
    let after: Vec<_> = bench.agent.pairs().map(|pair| pair.id).collect();
    assert_eq!(after, pairs);
    assert_hidden(&bench);
}

/// M3: a name with several addresses, or with none, stands for nothing. The agent ends as it would
/// without the candidate.
#[test]
fn a_name_without_exactly_one_address_is_no_candidate() {
    for ips in [&["10.0.1.1", "10.0.1.2"][..], &[], &["224.0.0.1"], &["127.0.0.1"]] {
        let (mut bench, _, lookup) = looking_up();
        bench.agent.end_of_remote_candidates(bench.now, None);
        bench.drain();
        bench.run_until(ms(100_000));
        assert_ne!(bench.agent.state(), ConnectionState::Failed, "it may still be resolved");
        resolve(&mut bench, lookup, ips);
        bench.run_for(secs(5));
        assert!(bench.requests().is_empty(), "{ips:?}");
        assert!(remotes(&bench).is_empty(), "{ips:?}");
        assert_eq!(bench.agent.state(), ConnectionState::Failed, "{ips:?}");
    }
}

#[test]
fn a_failed_lookup_leaves_other_candidates_alone() {
    let (mut bench, _, lookup) = looking_up();
    bench.add_remote("10.0.1.2:2000", 1_000_000_000);
    bench.agent.name_failed(bench.now, lookup);
    bench.run_for(secs(1));
    let remotes: Vec<SocketAddr> = remotes(&bench).iter().map(|remote| remote.addr).collect();
    assert_eq!(remotes, [addr("10.0.1.2:2000")]);
    assert!(bench.requests().iter().all(|sent| sent.to == remotes[0]));
    // What comes after that has nobody to go to.
    bench.agent.handle_timeout(bench.now);
    bench.drain();
    let digest = bench.agent.state_digest();
    resolve(&mut bench, lookup, &["10.0.1.1"]);
    assert_eq!(bench.agent.state_digest(), digest);
}

/// A policy about the peer's addresses holds for what a name stands for as well.
#[test]
fn a_name_for_a_denied_address_is_no_candidate() {
    let mut config = asking(Role::Controlled);
    let mut policies = frazil::Policies::default();
    policies.remote.deny.push("10.0.1.0/24".parse().unwrap());
    config.policies = Some(std::sync::Arc::new(policies));
    let mut bench = Bench::with(config);
    bench.add_local(L);
    bench.start();
    bench.add_remote_line(&line(2_000_000_000, NAME, 2000));
    let lookup = lookups(&bench)[0];
    resolve(&mut bench, lookup, &["10.0.1.1"]);
    bench.run_for(secs(1));
    assert!(bench.requests().is_empty() && remotes(&bench).is_empty());
}

/// The peer has restarted while its name was looked up: the answer is about a candidate that is no
/// more, and the new generation's own lookup counts.
#[test]
fn an_answer_from_before_a_restart_changes_nothing() {
    let (mut bench, _, old) = looking_up();
    let credentials = frazil::Credentials::new("anew", "anewpasswordanewpassword").unwrap();
    bench.agent.set_remote(bench.now, frazil::Parameters::new(credentials)).unwrap();
    bench.drain();
    resolve(&mut bench, old, &["10.0.1.1"]);
    bench.run_for(secs(1));
    assert!(bench.requests().is_empty() && remotes(&bench).is_empty());
    bench.add_remote_line(&line(2_000_000_000, NAME, 2000));
    let new = *lookups(&bench).last().unwrap();
    assert_ne!(old, new);
    resolve(&mut bench, new, &["10.0.1.1"]);
    bench.run_for(secs(1));
    assert_eq!(bench.last_request().to, addr(R));
}

/// A name may be told, and resolved, before the peer's parameters are there.
#[test]
fn a_name_resolved_before_the_parameters_waits_for_them() {
    let mut bench = Bench::with(asking(Role::Controlling));
    bench.add_local(L);
    bench.add_remote_line(&line(2_000_000_000, NAME, 2000));
    let lookup = lookups(&bench)[0];
    resolve(&mut bench, lookup, &["10.0.1.1"]);
    bench.run_for(secs(1));
    assert!(bench.requests().is_empty());
    bench.start();
    bench.run_for(secs(1));
    assert_eq!(bench.last_request().to, addr(R));
}

/// Names are candidates as others are, and bounded with them: what is refused is not looked up.
#[test]
fn lookups_are_bounded_with_candidates() {
    let mut config = asking(Role::Controlled);
    config.limits.remote_candidates = 3;
    let mut bench = Bench::with(config);
    for port in 1..=10 {
        let candidate: Candidate = line(u32::from(port), NAME, port).parse().unwrap();
        let added = bench.agent.add_remote_candidate(bench.now, bench.stream, &candidate);
        assert_eq!(added == Err(AddRemoteError::Limit), port > 3);
    }
    bench.drain();
    assert_eq!(lookups(&bench).len(), 3);
    assert_eq!(bench.agent.counters().refused(Refused::RemoteCandidate), 7);
}

/// A local candidate that comes when a pair is selected is not paired with a name.
#[test]
fn nothing_is_sent_to_a_name_that_is_not_resolved() {
    let mut config = asking(Role::Controlled);
    config.continual = true;
    let mut bench = Bench::with(config);
    bench.add_local(L);
    bench.start();
    let _ = bench.send_check(L, R, false);
    bench.run_for(secs(1));
    let check = bench.last_request();
    let _ = bench.answer(&check);
    let _ = bench.send_check(L, R, true);
    assert!(bench.agent.selected_pair(bench.stream, 1).is_some());
    bench.add_remote_line(&line(2_000_000_000, NAME, 2000));
    bench.add_local("10.0.2.1:3000");
    bench.run_for(secs(5));
    assert!(bench.requests().iter().all(|sent| sent.to == addr(R)));
    assert!(bench.agent.pairs().all(|pair| pair.remote.addr == addr(R)));
}

/// The same for two lite agents, which choose a pair without checks.
#[test]
fn a_lite_agent_selects_no_pair_with_a_name_that_is_not_resolved() {
    let mut config = asking(Role::Controlling);
    config.lite = true;
    let mut bench = Bench::with(config);
    bench.add_local(L);
    bench.agent.gather(bench.now);
    bench.add_remote_line(&line(2_000_000_000, NAME, 2000));
    let credentials = frazil::Credentials::new("peer", "peerpasswordpeerpassword").unwrap();
    let mut parameters = frazil::Parameters::new(credentials);
    parameters.lite = true;
    bench.agent.set_remote(bench.now, parameters).unwrap();
    bench.agent.end_of_remote_candidates(bench.now, None);
    bench.drain();
    assert!(bench.agent.selected_pair(bench.stream, 1).is_none());
    let lookup = lookups(&bench)[0];
    resolve(&mut bench, lookup, &["10.0.1.1"]);
    bench.run_for(secs(1));
    let selected = bench.agent.selected_pair(bench.stream, 1).map(|pair| pair.remote.addr);
    assert_eq!(selected, Some(addr(R)));
}

/// M5: a relay is not told what a name hides, be it with a check or with a permission, whether the
/// name was resolved before there was a relay or after.
#[test]
fn a_relay_does_not_hear_of_an_address_behind_a_name() {
    for (named, first) in [(true, true), (true, false), (false, true)] {
        let mut net = Net::alone_with(asking(Role::Controlling), &[], 1);
        net.add_agent(if named { hiding(Role::Controlled) } else { plain(Role::Controlled) });
        net.socket(0, L);
        net.socket(1, R);
        if first {
            resolve_all(&mut net);
        }
        net.ask(0, turn(0));
        net.start();
        net.run_for(secs(2));
        resolve_all(&mut net);
        net.run_for(secs(2));
        assert_eq!(net.relays(0).len(), 1);
        assert!(net.agent().remote_candidates().any(|remote| remote.addr == addr(R)));
        let relayed = net.agent().pairs().filter(|it| it.local.kind == CandidateKind::Relayed);
        assert_eq!(relayed.count() == 0, named);
        assert_eq!(net.asked(CREATE_PERMISSION).is_empty(), named);
    }
}

/// The first agent is told what the names of the second one stand for.
fn resolve_all(net: &mut Net) {
    for (_, event) in net.nodes[0].events.clone() {
        if let Event::ResolveName { lookup, .. } = event {
            net.call(0, |agent, now| agent.name_resolved(now, lookup, &[addr(R).ip()]));
        }
    }
}
