//! What networks cost, in the dialect of libwebrtc: how it is told and heard, and when it counts.

mod common;

use std::time::Duration;

use common::{
    Bench, ERROR, ERROR_CODE, Message, PEER_PWD, PEER_UFRAG, PRIORITY, SUCCESS, Sent,
    UNKNOWN_ATTRIBUTES, USE_CANDIDATE, addr, ms, plain,
};
use frazil::sim::{AgentIndex, End, GatewayConfig, Link, NatConfig, RealmId, World};
use frazil::trace::TraceData;
use frazil::{
    AgentConfig, Candidate, CandidateKind, CandidateView, Choice, ConnectionState, Credentials,
    Event, IceAgent, LocalAddress, NominationMode, PairReason, Parameters, Received, Role,
};

const NETWORK_INFO: u16 = 0xc057;

const L: &str = "10.0.0.1:1000";
const L2: &str = "10.0.1.1:1000";
const R: &str = "10.0.0.2:2000";
const R2: &str = "10.0.0.3:2000";

/// What libwebrtc gives to a cellular network.
const CELLULAR: u16 = 900;
const WIFI: u16 = 10;

fn network_info(id: u16, cost: u16) -> [u8; 4] {
    ((u32::from(id) << 16) | u32::from(cost)).to_be_bytes()
}

/// The network of the remote candidate at an address, as far as it is known.
fn network_of(bench: &Bench, remote: &str) -> (u16, u16) {
    let view = bench.agent.remote_candidates().find(|view| view.addr == addr(remote)).unwrap();
    (view.network_id, view.network_cost)
}

fn networks(mut config: AgentConfig) -> AgentConfig {
    config.tell_networks = true;
    config.weigh_networks = true;
    config
}

/// Local addresses of interfaces 7, 8 and so on, with what each costs.
fn add_locals(bench: &mut Bench, locals: &[(&str, u16)]) {
    for (interface, &(local, cost)) in (7..).zip(locals) {
        let mut local = LocalAddress::udp(addr(local));
        local.interface = interface;
        local.cost = cost;
        bench.agent.add_local(bench.now, bench.stream, 1, local).unwrap();
    }
    bench.drain();
}

fn set_remote(bench: &mut Bench, options: &[&str]) {
    let mut parameters = Parameters::new(Credentials::new(PEER_UFRAG, PEER_PWD).unwrap());
    parameters.options = options.iter().map(|&option| option.to_owned()).collect();
    bench.agent.set_remote(bench.now, parameters).unwrap();
    bench.drain();
}

fn line(remote: &str, priority: u32, rest: &str) -> String {
    let (ip, port) = remote.split_once(':').unwrap();
    format!(
        "{priority} 1 udp {priority} {ip} {port} typ host generation 0 ufrag {PEER_UFRAG}{rest}"
    )
}

fn selected(bench: &Bench) -> Option<(String, String)> {
    let pair = bench.agent.selected_pair(bench.stream, 1)?;
    Some((pair.local.base.to_string(), pair.remote.addr.to_string()))
}

// Reading.

/// A line of Chromium, and lines that nobody should write.
#[test]
fn the_network_of_a_candidate_is_read_from_its_line() {
    let host =
        "candidate:842163049 1 udp 2122260223 10.0.0.2 2000 typ host generation 0 ufrag EEtu";
    for (rest, id, cost) in [
        (" network-id 3 network-cost 10", Some(3), Some(10)),
        (" network-cost 900 network-id 1", Some(1), Some(900)),
        (" network-id 1", Some(1), None),
        ("", None, None),
        // More than the most is the most.
        (" network-id 65535 network-cost 1000", Some(65535), Some(999)),
        (" network-cost 65535", None, Some(999)),
        // No numbers of 16 bits.
        (" network-id 65536 network-cost 65536", None, None),
        (" network-id -1 network-cost 1e2", None, None),
        (" network-id  network-cost ", None, None),
        (" network-cost 000010", None, None),
        (" network-id 0x3 network-cost +5", None, None),
        // Of equal ones the first counts.
        (" network-cost 10 network-cost 20", None, Some(10)),
    ] {
        let candidate: Candidate = format!("{host}{rest}").parse().unwrap();
        assert_eq!((candidate.network_id(), candidate.network_cost()), (id, cost), "{rest}");
        let mut bench = Bench::with(plain(Role::Controlling));
        bench.add_remote_line(&format!("{host}{rest}"));
        let known = (id.unwrap_or(0), cost.unwrap_or(0));
        assert_eq!(network_of(&bench, R), known, "{rest}");
    }
}

/// Checks say it anew, whether the candidate was signalled or not.
#[test]
fn a_check_tells_the_network_that_it_comes_from() {
    let mut bench = Bench::with(plain(Role::Controlled));
    add_locals(&mut bench, &[(L, 0)]);
    bench.add_remote_line(&line(R, 2_000_000_000, " network-id 2 network-cost 50"));
    set_remote(&mut bench, &[]);
    assert_eq!(network_of(&bench, R), (2, 50));
    for (remote, told, known) in [
        (R, None, (2, 50)),
        (R, Some(network_info(2, 900)), (2, 900)),
        (R, Some(network_info(2, 0xffff)), (2, 999)),
        // One that only a check has shown.
        (R2, Some(network_info(4, 10)), (4, 10)),
        (R2, None, (4, 10)),
        (R2, Some(network_info(4, 910)), (4, 910)),
    ] {
        let mut check = bench.check(Role::Controlling);
        if let Some(told) = told {
            check = check.attr(NETWORK_INFO, &told);
        }
        let bytes = check.integrity(&bench.pwd()).fingerprint();
        assert_eq!(bench.feed(L, remote, &bytes), Received::Consumed);
        assert_eq!(network_of(&bench, remote), known, "{told:?}");
    }
    let discovered = |(_, event): &(_, Event)| match event {
        Event::RemoteCandidateDiscovered { candidate, .. } => Some(*candidate),
        _ => None,
    };
    let discovered: Vec<CandidateView> = bench.events.iter().filter_map(discovered).collect();
    assert_eq!(discovered.len(), 1);
    assert_eq!((discovered[0].network_id, discovered[0].network_cost), (4, 10));

    // Signalling knows the network better, if it says something of it.
    bench.add_remote_line(&line(R2, 1_000_000_000, ""));
    assert_eq!(network_of(&bench, R2), (4, 910));
    let id = |view: &CandidateView| view.addr == addr(R2);
    let view = bench.agent.remote_candidates().find(id).unwrap();
    assert_eq!(view.kind, CandidateKind::Host);
}

/// A check on the selected path takes a short way, and tells it all the same.
#[test]
fn a_check_on_the_path_in_use_tells_it_too() {
    for nominates in [false, true] {
        let mut bench = Bench::selected(L, R);
        let mut check = bench.check(Role::Controlling).attr(NETWORK_INFO, &network_info(1, 910));
        if nominates {
            check = check.attr(USE_CANDIDATE, &[]);
        }
        let bytes = check.integrity(&bench.pwd()).fingerprint();
        assert_eq!(bench.feed(L, R, &bytes), Received::Consumed);
        assert_eq!(network_of(&bench, R), (1, 910));
    }
}

/// What came before the parameters is taken up with all that it said.
#[test]
fn an_early_check_tells_it_when_the_parameters_are_there() {
    let mut bench = Bench::waiting(plain(Role::Controlled), &[L], &[]);
    let check = bench.check(Role::Controlling).attr(NETWORK_INFO, &network_info(5, 250));
    let bytes = check.integrity(&bench.pwd()).fingerprint();
    assert_eq!(bench.feed(L, R, &bytes), Received::Consumed);
    assert_eq!(bench.agent.remote_candidates().count(), 0);
    set_remote(&mut bench, &[]);
    assert_eq!(network_of(&bench, R), (5, 250));
}

/// Whoever has not the password says nothing, and nothing is said behind the integrity.
#[test]
fn only_what_is_authentic_tells_anything() {
    let mut bench = Bench::with(plain(Role::Controlled));
    add_locals(&mut bench, &[(L, 0)]);
    bench.add_remote_line(&line(R, 2_000_000_000, " network-id 2 network-cost 50"));
    set_remote(&mut bench, &[]);
    let digest =
        |bench: &Bench| (bench.agent.remote_candidates().collect::<Vec<_>>(), network_of(bench, R));
    let before = digest(&bench);
    let forged = bench.check(Role::Controlling).attr(NETWORK_INFO, &network_info(1, 900));
    let forged = forged.integrity("another password, of 24").fingerprint();
    assert!(matches!(bench.feed(L, R, &forged), Received::Ignored(_)));
    assert_eq!(digest(&bench), before);
    let behind = bench.check(Role::Controlling).integrity(&bench.pwd());
    let behind = behind.attr(NETWORK_INFO, &network_info(1, 900)).fingerprint();
    let _ = bench.feed(L, R, &behind);
    assert_eq!(digest(&bench), before);
}

// Telling.

/// Off by default: neither candidates nor checks say anything of networks.
#[test]
fn networks_are_told_when_configured_and_not_otherwise() {
    for tells in [false, true] {
        let mut config = plain(Role::Controlling);
        config.tell_networks = tells;
        let mut bench = Bench::with(config);
        add_locals(&mut bench, &[(L, WIFI), (L2, CELLULAR)]);
        let mut free = LocalAddress::udp(addr("10.0.2.1:1000"));
        free.interface = 7;
        bench.agent.add_local(bench.now, bench.stream, 1, free).unwrap();
        bench.drain();
        let told = bench.events.iter().filter_map(|(_, event)| match event {
            Event::LocalCandidate { candidate, .. } => Some(candidate),
            _ => None,
        });
        let told: Vec<_> = told.map(|it| (it.network_id(), it.network_cost())).collect();
        let expected = if tells {
            // An interface has one number, and what costs nothing is not told.
            vec![(Some(1), Some(WIFI)), (Some(2), Some(CELLULAR)), (Some(1), None)]
        } else {
            vec![(None, None); 3]
        };
        assert_eq!(told, expected);
        let described = bench.agent.take_description(bench.now).candidates;
        let described: Vec<_> =
            described.iter().map(|(_, it)| (it.network_id(), it.network_cost())).collect();
        assert_eq!(described, expected);

        bench.add_remote(R, 2_000_000_000);
        set_remote(&mut bench, &[]);
        bench.run_until(ms(400));
        for (from, id, cost) in [(L, 1, WIFI), (L2, 2, CELLULAR), ("10.0.2.1:1000", 1, 0)] {
            let checks = bench.requests();
            let check = checks.iter().find(|sent| sent.from == addr(from)).unwrap();
            let expected = tells.then(|| network_info(id, cost).to_vec());
            assert_eq!(check.get(NETWORK_INFO), expected, "{from}");
            assert!(check.verifies(PEER_PWD) && check.fingerprint_is_last_and_right());
        }
    }
}

/// Answers carry no NETWORK-INFO, and servers are told of no networks.
#[test]
fn only_checks_carry_networks() {
    let mut bench = Bench::with(networks(plain(Role::Controlled)));
    add_locals(&mut bench, &[(L, CELLULAR)]);
    set_remote(&mut bench, &[]);
    let _ = bench.send_check(L, R, false);
    let answers: Vec<Sent> =
        bench.sent.iter().filter(|sent| sent.kind() == SUCCESS).cloned().collect();
    assert_eq!(answers.len(), 1);
    assert!(!answers[0].has(NETWORK_INFO));
}

/// A changed cost is told by the next check of any kind, and the priorities stay what they were.
#[test]
fn a_changed_cost_is_told_by_the_next_check() {
    let mut bench = Bench::with(networks(AgentConfig::new(Role::Controlling)));
    add_locals(&mut bench, &[(L, WIFI)]);
    bench.add_remote(R, 2_000_000_000);
    set_remote(&mut bench, &[]);
    bench.run_answering(ms(1_000), |_| true);
    let priority = |sent: &Sent| sent.get(PRIORITY);
    let (before, count) = (bench.last_request(), bench.sent.len());
    assert!(!bench.agent.set_network_cost(bench.now, 99, 5), "no candidate is on it");
    assert!(bench.agent.set_network_cost(bench.now, 7, 40_000));
    assert_eq!(bench.agent.local_candidates().next().unwrap().network_cost, 999);
    bench.run_answering(ms(10_000), |_| true);
    let consent = bench.sent[count..].iter().find(|sent| sent.is_request()).unwrap();
    assert_eq!(consent.get(NETWORK_INFO), Some(network_info(1, 999).to_vec()));
    assert_eq!(priority(consent), priority(&before));
}

// What counts.

/// A phone with a public cellular address and a Wi-Fi address behind a NAT, and a server. By priority
/// the cellular path is the better one, since the peer sees the other one as a peer-reflexive one.
fn phone(
    phone_config: AgentConfig,
    server_config: AgentConfig,
    costs: [u16; 2],
) -> (World, [AgentIndex; 2]) {
    let mut world = World::new([5; 32]);
    // Long enough that both paths are under way before one of them works.
    world.network_mut().set_default_link(Link::delayed(Duration::from_millis(40)));
    let nat = GatewayConfig::nat(NatConfig::new(["203.0.113.1".parse().unwrap()]));
    let home = world.network_mut().add_realm(RealmId::INTERNET, nat).unwrap();
    let host = world.network_mut().add_host();
    let phone = world.add_agent_on(host, phone_config).unwrap();
    let server = world.add_agent(server_config).unwrap();
    let addresses = [(home, "192.168.1.2"), (RealmId::INTERNET, "198.51.100.9")];
    for ((number, (realm, ip)), cost) in (0_u32..).zip(addresses).zip(costs) {
        let interface = world.network_mut().add_interface(host, realm).unwrap();
        world.network_mut().add_interface_address(interface, ip.parse().unwrap()).unwrap();
        let mut local = LocalAddress::udp(format!("{ip}:5000").parse().unwrap());
        local.interface = number;
        local.cost = cost;
        let stream = world.agent(phone).unwrap().streams().next().unwrap();
        world.add_local(phone, stream, 1, local).unwrap();
    }
    world.add_socket(server, "192.0.2.2:6000".parse().unwrap()).unwrap();
    world.connect(phone, server).unwrap();
    world.start(phone).unwrap();
    world.start(server).unwrap();
    let done = |world: &World| {
        world.agents().all(|(_, agent)| agent.state() == ConnectionState::Completed)
    };
    let end = world.run_while(|world| !done(world), ms(10_000)).unwrap();
    assert_eq!(end, End::Condition);
    let until = world.now() + Duration::from_secs(3);
    world.run_until(until).unwrap();
    (world, [phone, server])
}

/// The phone's address on the selected path, as both sides have it.
fn path(world: &World, [phone, server]: [AgentIndex; 2]) -> String {
    let pair = |index| {
        let agent = world.agent(index).unwrap();
        agent.selected_pair(agent.streams().next().unwrap(), 1).unwrap()
    };
    let (own, seen) = (pair(phone), pair(server));
    assert_eq!(own.local.addr, seen.remote.addr, "both sides have the same path");
    own.local.addr.ip().to_string()
}

const BY_WIFI: &str = "203.0.113.1";
const BY_CELLULAR: &str = "198.51.100.9";

/// Both paths work, the cellular one has the higher priority, and costs decide when both sides say so.
/// Nothing of it happens by default.
#[test]
fn the_cheap_path_is_selected_whichever_side_is_controlling() {
    for role in [Role::Controlling, Role::Controlled] {
        let configs = [role, role.opposite()].map(AgentConfig::new);
        let [one, other] = configs.clone();
        let (world, agents) = phone(one, other, [WIFI, CELLULAR]);
        assert_eq!(path(&world, agents), BY_CELLULAR, "off, phone {role:?}");

        let [one, other] = configs.map(networks);
        let (world, agents) = phone(one, other, [WIFI, CELLULAR]);
        assert_eq!(path(&world, agents), BY_WIFI, "on, phone {role:?}");
        let controlling = usize::from(role == Role::Controlled);
        let explained = world.agent(agents[controlling]).unwrap().explain();
        let chosen = |pair: &frazil::PairExplanation| match pair.why {
            PairReason::Selected(choice) => Some(choice),
            _ => None,
        };
        assert_eq!(explained.pairs.iter().find_map(chosen), Some(Choice::Cost));
    }
}

/// The other way round the priority and the cost agree; where networks cost the same the priority
/// decides.
#[test]
fn at_equal_cost_the_priority_decides() {
    for costs in [[CELLULAR, CELLULAR], [CELLULAR, WIFI], [0, 0]] {
        let configs = [Role::Controlling, Role::Controlled].map(AgentConfig::new).map(networks);
        let [one, other] = configs;
        let (world, agents) = phone(one, other, costs);
        assert_eq!(path(&world, agents), BY_CELLULAR, "{costs:?}");
    }
}

/// The controlling side alone decides with regular nomination: it may weigh what its peer tells and
/// tell nothing itself.
#[test]
fn the_controlling_side_weighs_what_it_is_told() {
    let mut server = AgentConfig::new(Role::Controlling);
    server.weigh_networks = true;
    for (tells, expected) in [(false, BY_CELLULAR), (true, BY_WIFI)] {
        let mut config = AgentConfig::new(Role::Controlled);
        config.tell_networks = tells;
        let (world, agents) = phone(config, server.clone(), [WIFI, CELLULAR]);
        assert_eq!(path(&world, agents), expected, "the phone tells: {tells}");
    }
}

/// With a peer that nominates with every check, both sides choose: towards one that says nothing of
/// networks the priority goes on to decide.
#[test]
fn a_peer_without_the_dialect_and_this_side_agree() {
    let mut aggressive = AgentConfig::new(Role::Controlling);
    aggressive.nomination = NominationMode::Aggressive;
    let plain = AgentConfig::new(Role::Controlled);
    let path_of = |phone_config: &AgentConfig, server_config: &AgentConfig| {
        let (world, agents) = phone(phone_config.clone(), server_config.clone(), [WIFI, CELLULAR]);
        path(&world, agents)
    };
    let weighing = networks(plain.clone());
    let aggressive_and_weighing = networks(aggressive.clone());
    for (one, other, expected) in [
        (&plain, &aggressive, BY_CELLULAR),
        (&weighing, &aggressive, BY_CELLULAR),
        (&plain, &aggressive_and_weighing, BY_CELLULAR),
        // Both speak it.
        (&weighing, &aggressive_and_weighing, BY_WIFI),
    ] {
        assert_eq!(path_of(one, other), expected);
        assert_eq!(path_of(other, one), expected);
    }
}

/// Renomination: a session moves when what a network costs changes, at either end, and stays there.
#[test]
fn a_session_moves_when_the_cost_changes() {
    for role in [Role::Controlling, Role::Controlled] {
        let [one, other] = [role, role.opposite()].map(|role| {
            let mut config = networks(AgentConfig::new(role));
            config.nomination = NominationMode::Renomination { automatic: true };
            config
        });
        let (mut world, agents) = phone(one, other, [WIFI, CELLULAR]);
        let until = world.now() + Duration::from_secs(60);
        world.run_until(until).unwrap();
        assert_eq!(path(&world, agents), BY_WIFI);
        for (interface, cost, expected) in [
            (1, 0, BY_CELLULAR),
            (0, 999, BY_CELLULAR),
            (1, CELLULAR, BY_CELLULAR),
            (0, 0, BY_WIFI),
        ] {
            let set = |agent: &mut IceAgent, now| agent.set_network_cost(now, interface, cost);
            assert!(world.call(agents[0], set).unwrap());
            let until = world.now() + Duration::from_secs(40);
            world.run_until(until).unwrap();
            assert_eq!(path(&world, agents), expected, "phone {role:?}, {interface}: {cost}");
        }
    }
}

/// What is preferred is what works: a cheap path that does not keeps nobody waiting for long.
#[test]
fn a_cheap_path_that_does_not_work_is_no_reason_to_wait() {
    let mut bench = Bench::with(networks(plain(Role::Controlling)));
    add_locals(&mut bench, &[(L, 0), (L2, CELLULAR)]);
    bench.add_remote_line(&line(R, 2_000_000_000, " network-id 1"));
    set_remote(&mut bench, &[]);
    bench.run_answering(ms(2_000), |sent| sent.from == addr(L2));
    assert_eq!(selected(&bench), Some((L2.to_owned(), R.to_owned())));
    let nomination = bench.requests().into_iter().find(Sent::nominates).unwrap();
    assert!(nomination.at <= ms(600), "{:?}", nomination.at);
}

/// A controlled agent follows libwebrtc from a costly pair of a higher priority to a cheap one at
/// once, and not back.
#[test]
fn a_nomination_of_a_cheaper_pair_is_followed_at_once() {
    for (weighs, expected) in [(true, R2), (false, R)] {
        let mut config = plain(Role::Controlled);
        config.weigh_networks = weighs;
        let mut bench = Bench::with(config);
        add_locals(&mut bench, &[(L, 0)]);
        bench.add_remote_line(&line(R, 2_000_000_000, " network-id 1 network-cost 900"));
        bench.add_remote_line(&line(R2, 1_000_000_000, " network-id 2 network-cost 10"));
        set_remote(&mut bench, &[]);
        bench.run_answering(ms(200), |_| true);
        let _ = bench.send_check(L, R, true);
        bench.run_answering(ms(300), |_| true);
        assert_eq!(selected(&bench).unwrap().1, R);
        let _ = bench.send_check(L, R2, true);
        bench.run_answering(ms(600), |_| true);
        assert_eq!(selected(&bench).unwrap().1, expected);
        let _ = bench.send_check(L, R, true);
        bench.run_answering(ms(900), |_| true);
        assert_eq!(selected(&bench).unwrap().1, expected);
    }
}

// What is shown.

#[test]
fn statistics_and_traces_show_networks() {
    let mut config = networks(plain(Role::Controlled));
    config.trace = true;
    let mut bench = Bench::with(config);
    add_locals(&mut bench, &[(L, CELLULAR)]);
    bench.add_remote_line(&line(R, 2_000_000_000, " network-id 2 network-cost 50"));
    bench.add_remote_line(&line(R2, 1_000_000_000, ""));
    set_remote(&mut bench, &[]);
    let check = bench.check(Role::Controlling).attr(NETWORK_INFO, &network_info(2, 900));
    let bytes = check.integrity(&bench.pwd()).fingerprint();
    let _ = bench.feed(L, R, &bytes);
    let stats = bench.agent.stats();
    let shown = |all: &[frazil::CandidateStats]| -> Vec<_> {
        all.iter().map(|it| (it.network_id, it.network_cost)).collect()
    };
    assert_eq!(shown(&stats.local_candidates), [(Some(1), Some(CELLULAR))]);
    assert_eq!(shown(&stats.remote_candidates), [(Some(2), Some(900)), (None, None)]);
    let events: Vec<_> = std::iter::from_fn(|| bench.agent.poll_trace()).collect();
    let costs: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.data {
            TraceData::RemoteCandidate(view) if view.addr == addr(R) => Some(view.network_cost),
            _ => None,
        })
        .collect();
    assert_eq!(costs.last(), Some(&900), "{costs:?}");
}

/// What the peer's networks cost decides what happens next, so the digest has it.
#[test]
fn the_digest_knows_of_networks() {
    let mut bench = Bench::with(networks(plain(Role::Controlled)));
    add_locals(&mut bench, &[(L, 0)]);
    let mut other = bench.clone();
    bench.add_remote_line(&line(R, 2_000_000_000, " network-id 2 network-cost 50"));
    other.add_remote_line(&line(R, 2_000_000_000, " network-id 2 network-cost 51"));
    assert_ne!(bench.agent.state_digest(), other.agent.state_digest());
}

// Every attribute of the dialect.

/// The attributes of libwebrtc, with values as it sends them and as it never would. All are
/// comprehension-optional: what is not known is as if it were not there.
const DIALECT: [(&str, u16, &[u8]); 17] = [
    ("NOMINATION", 0xc001, &[0, 0, 0, 1]),
    ("NETWORK-INFO", NETWORK_INFO, &[0, 1, 0, 10]),
    ("LAST-ICE-CHECK-RECEIVED", 0xc058, &[7; 12]),
    ("MISC-INFO", 0xc059, &[0, 1]),
    ("obsolete", 0xc05a, &[0, 0, 0, 0]),
    ("CONNECTION-ID", 0xc05b, &[0, 0, 0, 1]),
    ("DELTA", 0xc05c, &[1; 33]),
    ("DELTA-ACK", 0xc05d, &[0, 0, 0, 0, 0, 0, 0, 1]),
    ("DELTA-SYNC-REQ", 0xc05e, &[0, 0, 0, 1]),
    ("MESSAGE-INTEGRITY-32", 0xc060, &[1, 2, 3, 4]),
    ("DTLS-IN-STUN", 0xc070, &[22; 900]),
    ("DTLS-IN-STUN-ACK", 0xc071, &[1; 16]),
    ("RETRANSMIT-COUNT", 0xff00, &[0, 0, 0, 3]),
    ("TURN-LOGGING-ID", 0xff05, b"call"),
    ("NETWORK-INFO, empty", NETWORK_INFO, &[]),
    ("NETWORK-INFO, too long", NETWORK_INFO, &[1; 9]),
    ("RETRANSMIT-COUNT, of a wrong size", 0xff00, &[1]),
];

/// The attributes of a check in the order in which they stand, with one more at this place.
fn with_extra(
    attributes: &[(u16, Vec<u8>)],
    at: usize,
    extra: (u16, &[u8]),
    kind: u16,
    id: [u8; 12],
) -> Message {
    let mut message = Message::new(kind, id);
    for (index, (kind, value)) in attributes.iter().enumerate() {
        if index == at {
            message = message.attr(extra.0, extra.1);
        }
        message = message.attr(*kind, value);
    }
    if at == attributes.len() { message.attr(extra.0, extra.1) } else { message }
}

/// The attributes of a message that is not sealed yet.
fn attributes_of(message: &Message) -> Vec<(u16, Vec<u8>)> {
    let (from, to) = (addr(R), addr(L));
    Sent { at: ms(0), from, to, dscp: 0, bytes: message.bytes.clone() }.attrs()
}

/// U24: in requests, at every place before the integrity, to an agent in either role.
#[test]
fn every_attribute_of_the_dialect_is_tolerated_in_requests() {
    for (name, kind, value) in DIALECT {
        for role in [Role::Controlling, Role::Controlled] {
            for at in 0..=3 {
                let mut bench = Bench::connected_with(role, &[L], &[R]);
                let check = bench.check(role.opposite());
                let id: [u8; 12] = check.bytes[8..20].try_into().unwrap();
                let message = with_extra(&attributes_of(&check), at, (kind, value), 0x0001, id);
                let bytes = message.integrity(&bench.pwd()).fingerprint();
                let before = bench.sent.len();
                assert_eq!(bench.feed(L, R, &bytes), Received::Consumed, "{name} at {at}");
                let answer = bench.sent[before..].iter().find(|sent| sent.id() == id).unwrap();
                assert_eq!(answer.kind(), SUCCESS, "{name} at {at}: {:?}", answer.code());
            }
        }
    }
}

/// In answers, at every place before the integrity.
#[test]
fn every_attribute_of_the_dialect_is_tolerated_in_responses() {
    for (name, kind, value) in DIALECT {
        for at in 0..=1 {
            let mut bench = Bench::connected_with(Role::Controlled, &[L], &[R]);
            let check = bench.last_request();
            let mapped = Message::new(SUCCESS, check.id()).xor_mapped(check.from);
            let message =
                with_extra(&attributes_of(&mapped), at, (kind, value), SUCCESS, check.id());
            let bytes = message.integrity(PEER_PWD).fingerprint();
            assert_eq!(bench.feed(L, R, &bytes), Received::Consumed, "{name} at {at}");
            assert_eq!(bench.agent.state(), ConnectionState::Connected, "{name} at {at}");
        }
    }
}

/// The same numbers below 0x8000 would have to be understood: a request with one is answered with 420
/// that names it, and an answer with one is an answer that cannot be used.
#[test]
fn an_attribute_that_has_to_be_understood_is_named() {
    for kind in [0x4001, 0x4057, 0x4058, 0x4059, 0x405c, 0x4060, 0x4070, 0x4071, 0x7f00] {
        for at in 0..=3 {
            let mut bench = Bench::connected_with(Role::Controlled, &[L], &[R]);
            let check = bench.check(Role::Controlling);
            let id: [u8; 12] = check.bytes[8..20].try_into().unwrap();
            let message = with_extra(&attributes_of(&check), at, (kind, &[0; 4]), 0x0001, id);
            let bytes = message.integrity(&bench.pwd()).fingerprint();
            let before = bench.sent.len();
            assert_eq!(bench.feed(L, R, &bytes), Received::Consumed);
            let answer = bench.sent[before..].iter().find(|sent| sent.id() == id).unwrap();
            assert_eq!((answer.kind(), answer.code()), (ERROR, Some(420)), "{kind:#x}");
            assert_eq!(answer.get(UNKNOWN_ATTRIBUTES), Some(kind.to_be_bytes().to_vec()));
            assert!(answer.has(ERROR_CODE) && answer.verifies(&bench.pwd()));
        }
        let mut bench = Bench::connected_with(Role::Controlled, &[L], &[R]);
        let check = bench.last_request();
        let answer = Message::new(SUCCESS, check.id()).xor_mapped(check.from);
        let bytes = answer.attr(kind, &[0; 4]).integrity(PEER_PWD).fingerprint();
        let _ = bench.feed(L, R, &bytes);
        assert_ne!(bench.agent.state(), ConnectionState::Connected, "{kind:#x}");
    }
}
