//! Causes that are built as networks.

use std::net::IpAddr;
use std::time::Duration;

use frazil::sim::{
    AgentIndex, FirewallConfig, GatewayConfig, Link, Mapping, NatConfig, Obtain, RealmId, Signal,
    TurnServerConfig, TurnUser, World,
};
use frazil::{
    AgentConfig, ConnectionState, Credentials, IceAgent, PairReason, Parameters, Rejected, Role,
    Server, ServerCredentials, ServerFailure, ServerSituation, ServerTransport, ServerUri,
    Timestamp, Verdict,
};

const ALICE: &str = "192.0.2.1:5000";
const BOB: &str = "198.51.100.2:6000";
const SERVER: &str = "203.0.113.9:3478";
const OTHER_SERVER: &str = "203.0.113.10:3478";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn host(endpoint: &str) -> IpAddr {
    crate::common::addr(endpoint).ip()
}

/// Two agents and the world around them.
struct Two {
    world: World,
    alice: AgentIndex,
    bob: AgentIndex,
}

impl Two {
    /// In the internet, with nothing in the way.
    fn new() -> Self {
        let mut two = Self::without_sockets();
        two.world.add_socket(two.alice, ALICE.parse().unwrap()).unwrap();
        two.world.add_socket(two.bob, BOB.parse().unwrap()).unwrap();
        two
    }

    fn without_sockets() -> Self {
        let mut world = World::new([3; 32]);
        world.network_mut().set_default_link(Link::delayed(Duration::from_millis(10)));
        let alice = world.add_agent(AgentConfig::new(Role::Controlling)).unwrap();
        let bob = world.add_agent(AgentConfig::new(Role::Controlled)).unwrap();
        Self { world, alice, bob }
    }

    /// Each behind a gateway of its own.
    fn behind(gateways: [GatewayConfig; 2]) -> Self {
        let mut world = World::new([3; 32]);
        world.network_mut().set_default_link(Link::delayed(Duration::from_millis(10)));
        let mut agents = Vec::new();
        for (gateway, role) in gateways.into_iter().zip([Role::Controlling, Role::Controlled]) {
            let realm = world.network_mut().add_realm(RealmId::INTERNET, gateway).unwrap();
            let host = world.network_mut().add_host_in(realm).unwrap();
            let agent = world.add_agent_on(host, AgentConfig::new(role)).unwrap();
            let last = agents.len() + 2;
            world.add_socket(agent, format!("10.0.0.{last}:5000").parse().unwrap()).unwrap();
            agents.push(agent);
        }
        Self { world, alice: agents[0], bob: agents[1] }
    }

    fn connect(&mut self) {
        self.world.connect(self.alice, self.bob).unwrap();
        self.world.start(self.alice).unwrap();
        self.world.start(self.bob).unwrap();
    }

    fn run(&mut self, seconds: u64) {
        let until = self.world.now() + Duration::from_secs(seconds);
        self.world.run_until(until).unwrap();
    }

    fn verdict(&self, agent: AgentIndex) -> Verdict {
        self.explain(agent).verdict
    }

    fn explain(&self, agent: AgentIndex) -> frazil::Explanation {
        self.world.agent(agent).unwrap().explain()
    }

    fn state(&self, agent: AgentIndex) -> ConnectionState {
        self.world.agent(agent).unwrap().state()
    }
}

fn server_with_user() -> TurnServerConfig {
    let mut config = TurnServerConfig::new(SERVER.parse().unwrap());
    config.users.push(TurnUser::new("alice", "secret"));
    config
}

fn ask(two: &mut Two, agent: AgentIndex, server: Server) {
    two.world.call(agent, |agent, now| agent.add_server(now, server)).unwrap().unwrap();
}

fn turn(password: &str) -> Server {
    Server::new(ServerUri::turn(host(SERVER), ServerTransport::Udp))
        .with_credentials(ServerCredentials::new("alice", password).unwrap())
}

#[test]
fn nothing_is_wrong_while_connecting_and_when_connected() {
    let mut two = Two::new();
    two.connect();
    two.world.run_until(Timestamp::from_millis(5)).unwrap();
    assert_eq!(two.verdict(two.alice), Verdict::Connecting);
    two.run(2);
    assert_eq!(two.verdict(two.alice), Verdict::Connected);
    assert_eq!(two.verdict(two.bob), Verdict::Connected);
    two.world.call(two.alice, IceAgent::close).unwrap();
    assert_eq!(two.verdict(two.alice), Verdict::Closed);
}

#[test]
fn the_peers_parameters_were_never_signalled() {
    let mut two = Two::new();
    two.world.start(two.alice).unwrap();
    two.run(60);
    assert_eq!(two.verdict(two.alice), Verdict::NoRemoteParameters { checks_arrive: false });

    // Bob knows Alice, but his answer to her offer is lost.
    let (alice, bob) = (two.alice, two.bob);
    let parameters = two.world.agent(alice).unwrap().local_parameters();
    let line = format!("1 1 UDP 2130706431 {} 5000 typ host", host(ALICE));
    for signal in [Signal::Parameters(parameters), Signal::Candidate { stream: 0, line }] {
        two.world.signal(two.world.now(), bob, signal);
    }
    two.world.start(bob).unwrap();
    two.run(5);
    assert_eq!(two.verdict(alice), Verdict::NoRemoteParameters { checks_arrive: true });
}

#[test]
fn the_peer_has_no_candidates() {
    let mut two = Two::without_sockets();
    two.world.add_socket(two.alice, ALICE.parse().unwrap()).unwrap();
    two.connect();
    two.run(60);
    assert_eq!(two.state(two.alice), ConnectionState::Failed);
    assert_eq!(two.verdict(two.alice), Verdict::NoRemoteCandidates);
    assert_eq!(two.verdict(two.bob), Verdict::NoLocalCandidates);
}

#[test]
fn one_side_has_ipv4_and_the_other_ipv6() {
    let mut two = Two::without_sockets();
    two.world.add_socket(two.alice, ALICE.parse().unwrap()).unwrap();
    two.world.add_socket(two.bob, "[2001:db8::2]:6000".parse().unwrap()).unwrap();
    two.connect();
    two.run(60);
    let explanation = two.explain(two.alice);
    assert_eq!(explanation.verdict, Verdict::NoCommonFamily);
    assert!(explanation.pairs.iter().all(|pair| pair.why == PairReason::OtherFamily));
    assert_eq!(explanation.pairs.len(), 1);
}

#[test]
fn nothing_passes_between_the_two() {
    let mut two = Two::new();
    two.world.network_mut().block_between(host(ALICE), host(BOB));
    two.connect();
    two.run(60);
    assert_eq!(two.state(two.alice), ConnectionState::Failed);
    assert_eq!(two.verdict(two.alice), Verdict::PeerNotHeard);
    assert_eq!(two.verdict(two.bob), Verdict::PeerNotHeard);
}

/// What somebody reads who asks why a call failed.
#[test]
fn the_words_for_a_pair_that_was_not_answered() {
    let mut two = Two::new();
    two.world.network_mut().block_between(host(ALICE), host(BOB));
    two.connect();
    two.run(60);
    let text = two.explain(two.alice).to_string();
    assert_eq!(
        text,
        "192.0.2.1:5000 (own address) -> 198.51.100.2:6000 (own address): tried 11 times, never \
         answered\n\
         nothing was heard from the other side: its addresses cannot be reached from here, or it \
         never tried"
    );
}

#[test]
fn packets_pass_in_one_direction_alone() {
    let mut two = Two::new();
    two.world.network_mut().block(host(ALICE), host(BOB));
    two.connect();
    two.run(60);
    let explanation = two.explain(two.alice);
    assert_eq!(explanation.verdict, Verdict::AnswersDoNotArrive);
    assert!(explanation.pairs[0].heard);
    assert!(explanation.to_string().contains("though the other side's own checks arrived"));
    assert_eq!(two.verdict(two.bob), Verdict::PeerNotHeard);
}

#[test]
fn a_firewall_blocks_udp() {
    let office = GatewayConfig::nat(NatConfig::new([ip("203.0.113.1")]))
        .with_firewall(FirewallConfig::stateful().without_udp());
    let home = GatewayConfig::nat(NatConfig::new([ip("203.0.113.2")]));
    let mut two = Two::behind([office, home]);
    let server = two.world.add_server(TurnServerConfig::new(SERVER.parse().unwrap())).unwrap();
    two.world.obtain(two.alice, server, Obtain::Reflexive).unwrap();
    two.world.obtain(two.bob, server, Obtain::Reflexive).unwrap();
    two.connect();
    two.run(90);
    assert_eq!(two.state(two.alice), ConnectionState::Failed);
    let explanation = two.explain(two.alice);
    assert_eq!(explanation.verdict, Verdict::UdpBlocked);
    let [server] = &explanation.servers[..] else { panic!("one server") };
    assert_eq!(server.situation, ServerSituation::Failed);
    assert_eq!(server.failure.as_ref().unwrap().1, ServerFailure::Timeout);
    // Bob's server has answered: nothing is blocked there.
    assert_eq!(two.verdict(two.bob), Verdict::PeerNotHeard);
    assert_eq!(two.explain(two.bob).servers[0].situation, ServerSituation::Answered);
}

#[test]
fn symmetric_nats_and_no_relay() {
    let symmetric = |external| {
        let nat = NatConfig::new([ip(external)]).with_mapping(Mapping::AddressAndPortDependent);
        GatewayConfig::nat(nat)
    };
    let mut two = Two::behind([symmetric("203.0.113.1"), symmetric("203.0.113.2")]);
    for listen in [SERVER, OTHER_SERVER] {
        let server = TurnServerConfig::new(listen.parse().unwrap());
        let server = two.world.add_server(server).unwrap();
        two.world.obtain(two.alice, server, Obtain::Reflexive).unwrap();
        two.world.obtain(two.bob, server, Obtain::Reflexive).unwrap();
    }
    two.connect();
    two.run(90);
    let both = Verdict::SymmetricNatWithoutRelay { local: true, remote: true };
    assert_eq!(two.verdict(two.alice), both);
    assert_eq!(two.verdict(two.bob), both);
    let explanation = two.explain(two.alice);
    let redundant =
        explanation.pairs.iter().filter(|pair| matches!(pair.why, PairReason::Redundant { .. }));
    assert_eq!(redundant.count(), 6, "two reflexive candidates, three of the peer");
}

#[test]
fn a_turn_server_refuses_the_password() {
    let mut two = Two::new();
    two.world.network_mut().block_between(host(ALICE), host(BOB));
    two.world.add_server(server_with_user()).unwrap();
    let alice = two.alice;
    ask(&mut two, alice, turn("wrong"));
    two.connect();
    two.run(90);
    let explanation = two.explain(alice);
    let [server] = &explanation.servers[..] else { panic!("one server") };
    assert_eq!(
        explanation.verdict,
        Verdict::TurnCredentialsRefused { server: server.id, code: 401 }
    );
    assert_eq!(server.situation, ServerSituation::Failed);
    assert!(server.to_string().starts_with("turn:203.0.113.9: failed; at 0."), "{server}");
    assert!(server.to_string().ends_with("(wrong or missing credentials)"), "{server}");
}

#[test]
fn a_turn_server_refuses_to_relay_to_the_peer() {
    let mut two = Two::new();
    two.world.network_mut().block_between(host(ALICE), host(BOB));
    let mut config = server_with_user();
    config.denied_peers.push(host(BOB));
    two.world.add_server(config).unwrap();
    let alice = two.alice;
    ask(&mut two, alice, turn("secret"));
    two.connect();
    two.run(90);
    let explanation = two.explain(alice);
    assert_eq!(explanation.verdict, Verdict::RelayRefusesPeer { code: Some(403) });
    let refused = PairReason::PermissionRefused { code: Some(403) };
    assert!(explanation.pairs.iter().any(|pair| pair.why == refused));
    assert_eq!(explanation.servers[0].candidates.len(), 1);
}

#[test]
fn a_servers_name_is_not_resolved() {
    let mut two = Two::new();
    let alice = two.alice;
    ask(&mut two, alice, Server::new("stun:stun.example.org".parse().unwrap()));
    two.connect();
    let lookup = two.world.events(alice).find_map(|(_, event)| match event {
        frazil::Event::ResolveName { lookup, .. } => Some(*lookup),
        _ => None,
    });
    assert_eq!(two.explain(alice).servers[0].situation, ServerSituation::Resolving);
    two.world.call(alice, |agent, now| agent.name_failed(now, lookup.unwrap())).unwrap();
    let server = &two.explain(alice).servers[0];
    assert_eq!(server.failure.as_ref().unwrap().1, ServerFailure::NotResolved);
    assert_eq!(
        server.to_string(),
        "stun:stun.example.org: failed; at 0.000 s: the server's name was not resolved"
    );
}

#[test]
fn the_credentials_that_were_signalled_are_not_the_peers() {
    let mut two = Two::new();
    let (alice, bob) = (two.alice, two.bob);
    two.world.start(alice).unwrap();
    two.world.start(bob).unwrap();
    let theirs = two.world.agent(bob).unwrap().local_parameters();
    let wrong = Credentials::new(theirs.credentials.ufrag(), "ofAnEarlierSessionAlas00").unwrap();
    let line = format!("1 1 UDP 2130706431 {} 6000 typ host", host(BOB));
    let now = two.world.now();
    two.world.signal(now, alice, Signal::Parameters(Parameters::new(wrong)));
    two.world.signal(now, alice, Signal::Candidate { stream: 0, line });
    two.world.signal(now, alice, Signal::EndOfCandidates { ufrag: None });
    two.run(60);
    let explanation = two.explain(alice);
    assert_eq!(explanation.verdict, Verdict::WrongRemoteCredentials { code: Some(401) });
    assert_eq!(two.state(alice), ConnectionState::Failed);
}

#[test]
fn the_path_dies() {
    let mut two = Two::new();
    two.connect();
    two.run(20);
    assert_eq!(two.verdict(two.alice), Verdict::Connected);
    two.world.network_mut().block_between(host(ALICE), host(BOB));
    two.run(60);
    let Verdict::PathDied { at } = two.verdict(two.alice) else {
        panic!("{}", two.verdict(two.alice))
    };
    let (cut, noticed) = (Timestamp::from_millis(20_050), Timestamp::from_millis(10_000));
    assert!(noticed < at && at < cut, "{at:?}");
    let explanation = two.explain(two.alice);
    let PairReason::ConsentExpired { at: ended } = explanation.pairs[0].why else {
        panic!("{explanation}")
    };
    assert!(ended > at && ended <= at + Duration::from_secs(30));
    assert!(matches!(two.verdict(two.bob), Verdict::PathDied { .. }));
}

#[test]
fn a_silent_path_is_named_before_its_consent_ends() {
    let mut two = Two::new();
    two.connect();
    two.run(20);
    two.world.network_mut().block_between(host(ALICE), host(BOB));
    two.run(12);
    assert_eq!(two.state(two.alice), ConnectionState::Disconnected);
    assert!(matches!(two.verdict(two.alice), Verdict::PathDied { .. }));
}

#[test]
fn candidates_that_were_not_taken_are_told_with_the_reason() {
    let mut two = Two::new();
    let (alice, now) = (two.alice, two.world.now());
    let loopback = "1 1 UDP 2130706431 127.0.0.1 6000 typ host".to_owned();
    two.world.signal(now, alice, Signal::Candidate { stream: 0, line: loopback });
    two.world.add_socket(alice, "192.0.2.1:0".parse().unwrap()).unwrap_err();
    two.run(1);
    let explanation = two.explain(alice);
    let told: Vec<_> = explanation.rejected.iter().map(|it| (&*it.address, it.why)).collect();
    assert_eq!(
        told,
        [
            ("192.0.2.1:0", Rejected::Local(frazil::AddLocalError::Port)),
            ("127.0.0.1:6000", Rejected::Remote(frazil::AddRemoteError::Loopback)),
        ]
    );
    let text = explanation.to_string();
    assert!(text.contains(
        "address 127.0.0.1:6000 of the other side not used: address: loopback addresses are not \
         enabled"
    ));
}
