//! Two agents over TCP, in the simulator.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use frazil::sim::{
    AgentIndex, End, FirewallConfig, GatewayConfig, Link, Logged, NatConfig, Probability, RealmId,
    Segmentation, TurnServerConfig, World,
};
use frazil::{
    AgentConfig, CandidateKind, ConnectionId, ConnectionState, Event, LocalAddress, PairView, Role,
    Route, SendError, Server, ServerCredentials, StreamId, TcpType, Timestamp, Transport,
};

use crate::common::addr;

const ALICE: &str = "192.0.2.1";
const BOB: &str = "192.0.2.2:4000";

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

struct Two {
    world: World,
    agents: [AgentIndex; 2],
}

impl Two {
    /// The first one opens connections, the second one accepts them. Not started yet.
    fn new(roles: [Role; 2], tweak: impl Fn(&mut AgentConfig)) -> Self {
        let mut world = World::new([9; 32]);
        world.network_mut().set_default_link(Link::delayed(millis(10)));
        let agents = roles.map(|role| {
            let mut config = AgentConfig::new(role);
            tweak(&mut config);
            world.add_agent(config).unwrap()
        });
        let mut two = Self { world, agents };
        two.add(0, LocalAddress::tcp_active(ip(ALICE)));
        two.add(1, LocalAddress::tcp_passive(addr(BOB)));
        two
    }

    fn add(&mut self, side: usize, local: LocalAddress) {
        let stream = self.stream();
        self.world.add_local(self.agents[side], stream, 1, local).unwrap();
    }

    fn stream(&self) -> StreamId {
        self.world.agent(self.agents[0]).unwrap().streams().next().unwrap()
    }

    fn start(&mut self) {
        self.world.connect(self.agents[0], self.agents[1]).unwrap();
        for agent in self.agents {
            self.world.start(agent).unwrap();
        }
    }

    /// Runs until both are Completed.
    fn complete(&mut self) {
        let end = self.world.run_while(|world| !completed(world), at(60_000));
        assert_eq!(end, Ok(End::Condition), "{:?}", self.states());
    }

    fn completed(roles: [Role; 2]) -> Self {
        let mut two = Self::new(roles, |_| {});
        two.start();
        two.complete();
        two
    }

    fn run_for(&mut self, time: u64) {
        self.world.run_until(self.world.now() + millis(time)).unwrap();
    }

    fn states(&self) -> Vec<ConnectionState> {
        self.world.agents().map(|(_, agent)| agent.state()).collect()
    }

    fn selected(&self, side: usize) -> PairView {
        let agent = self.world.agent(self.agents[side]).unwrap();
        agent.selected_pair(self.stream(), 1).unwrap()
    }

    /// The connections that an agent has asked for.
    fn opened(&self, side: usize) -> Vec<ConnectionId> {
        let events = self.world.events(self.agents[side]);
        events
            .filter_map(|(_, event)| match event {
                Event::OpenConnection { connection, .. } => Some(*connection),
                _ => None,
            })
            .collect()
    }

    fn connections(&self, side: usize) -> Vec<ConnectionId> {
        self.world.connections(self.agents[side]).collect()
    }

    /// Data gets through in both directions.
    fn assert_talks(&mut self) {
        let stream = self.stream();
        for (from, to) in [(0, 1), (1, 0)].map(|(a, b)| (self.agents[a], self.agents[b])) {
            let before = self.world.received(to).count();
            let payload = [0x80; 3000];
            self.world.send(from, stream, 1, &payload).unwrap();
            self.world.send(from, stream, 1, b"short").unwrap();
            let limit = self.world.now() + millis(20_000);
            let missing = |world: &World| world.received(to).count() < before + 2;
            self.world.run_while(missing, limit).unwrap();
            let got: Vec<_> = self.world.received(to).skip(before).collect();
            assert!(got == [&payload[..], b"short"]);
        }
    }

    /// The connection of a side breaks, with a reset to the other one.
    fn reset(&mut self, side: usize) {
        let agent = self.agents[side];
        let connection = self.connections(side)[0];
        self.world.break_connection(agent, connection).unwrap();
    }
}

fn completed(world: &World) -> bool {
    world.agents().all(|(_, agent)| agent.state() == ConnectionState::Completed)
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

const BOTH: [[Role; 2]; 2] =
    [[Role::Controlling, Role::Controlled], [Role::Controlled, Role::Controlling]];

/// X2, X6, X7
#[test]
fn an_active_agent_and_a_passive_one_connect_in_either_role() {
    for roles in BOTH {
        let mut two = Two::completed(roles);
        two.assert_talks();
        let (ours, theirs) = (two.selected(0), two.selected(1));
        assert_eq!((ours.local.transport, ours.remote.transport), (Transport::Tcp, Transport::Tcp));
        assert_eq!(ours.remote.addr, addr(BOB));
        let directions = [TcpType::Active, TcpType::Passive].map(Some);
        assert_eq!([ours.local.tcp_type, ours.remote.tcp_type], directions);
        assert_eq!([theirs.remote.tcp_type, theirs.local.tcp_type], directions);
        // What the connection is seen from is no candidate that was signalled.
        assert_eq!(ours.local.kind, CandidateKind::PeerReflexive);
        assert_eq!(ours.local.base, addr("192.0.2.1:9"));
        assert_eq!(theirs.remote.kind, CandidateKind::PeerReflexive);
        assert_eq!(theirs.remote.addr, ours.local.addr);
        assert_eq!((two.opened(0).len(), two.opened(1).len()), (1, 0));
        assert_eq!((two.connections(0).len(), two.connections(1).len()), (1, 1));
    }
}

/// X3
#[test]
fn passive_agents_alone_open_nothing() {
    let mut two = Two::new(BOTH[0], |_| {});
    let mut other = World::new([1; 32]);
    std::mem::swap(&mut two.world, &mut other);
    two.agents = BOTH[0].map(|role| two.world.add_agent(AgentConfig::new(role)).unwrap());
    two.add(0, LocalAddress::tcp_passive(addr("192.0.2.1:4000")));
    two.add(1, LocalAddress::tcp_passive(addr(BOB)));
    two.start();
    two.run_for(60_000);
    assert_eq!((two.opened(0).len(), two.opened(1).len()), (0, 0));
    assert_eq!(two.states(), [ConnectionState::Failed; 2]);
    assert!(two.world.agents().all(|(_, agent)| agent.pairs().next().is_none()));
}

/// X4
#[test]
fn a_stream_that_is_cut_anywhere_carries_everything() {
    for (seed, cut) in
        [Segmentation::Sizes(vec![1]), Segmentation::Random, Segmentation::Sizes(vec![3, 100])]
            .into_iter()
            .enumerate()
    {
        let mut two = Two::new(BOTH[seed % 2], |_| {});
        two.world.network_mut().set_segmentation(cut);
        two.start();
        two.complete();
        two.assert_talks();
    }
}

/// X5, U22: RFC 6544 §7.1.
#[test]
fn nothing_is_sent_twice_over_a_slow_connection() {
    let mut two = Two::new(BOTH[0], |_| {});
    two.world.network_mut().set_default_link(Link::delayed(millis(1_200)));
    two.start();
    two.complete();
    let mut seen = std::collections::BTreeSet::new();
    for agent in two.agents {
        for entry in two.world.log(agent) {
            if let Logged::Transmit { route: Route::Stream(_), bytes, .. } = &entry.what {
                assert!(seen.insert(bytes.clone()), "{bytes:?} was sent again");
            }
        }
    }
    assert!(seen.len() >= 4);
}

/// X5
#[test]
fn a_connection_that_is_refused_fails_its_pair_at_once() {
    let mut two = Two::new(BOTH[0], |_| {});
    let host = two.world.host(two.agents[1]).unwrap();
    assert!(two.world.network_mut().tcp_unlisten(host, addr(BOB)));
    two.start();
    two.run_for(500);
    let agent = two.world.agent(two.agents[0]).unwrap();
    let states: Vec<_> = agent.pairs().map(|pair| pair.state).collect();
    assert_eq!(states, [frazil::PairState::Failed]);
    two.run_for(60_000);
    assert_eq!(two.opened(0).len(), 1);
    assert_eq!(two.states(), [ConnectionState::Failed; 2]);
}

/// X8, Q12: neither end of a connection is an end of consent.
#[test]
fn a_lost_connection_is_opened_again_by_the_side_that_had_opened_it() {
    for roles in BOTH {
        for side in [0, 1] {
            let mut two = Two::completed(roles);
            two.run_for(5_000);
            two.reset(side);
            let stream = two.stream();
            let agent = two.agents[side];
            assert_eq!(
                two.world.send(agent, stream, 1, b"lost"),
                Err(SendError::NoConnection),
                "{roles:?} {side}"
            );
            assert_eq!(two.states()[side], ConnectionState::Disconnected);
            for _ in 0..1_000 {
                two.run_for(1);
                // The nomination is said again on the new connection, and stands all the while.
                let selected = two.world.agent(agent).unwrap().selected_pair(stream, 1);
                assert!(selected.is_some_and(|pair| pair.nominated), "{roles:?} {side}");
            }
            assert_eq!(two.states(), [ConnectionState::Completed; 2], "{roles:?} {side}");
            assert_eq!((two.opened(0).len(), two.opened(1).len()), (2, 0));
            two.assert_talks();
            two.run_for(60_000);
            assert_eq!(two.states(), [ConnectionState::Completed; 2]);
            assert_eq!((two.connections(0).len(), two.connections(1).len()), (1, 1));
            two.assert_talks();
            let lost = |(_, event): &(Timestamp, &Event)| matches!(event, Event::RestartNeeded);
            assert!(two.world.events(agent).all(|event| !lost(&event)));
        }
    }
}

/// X8: with a peer that is gone the tries end, by the end of consent.
#[test]
fn reopening_is_bounded() {
    let mut two = Two::completed(BOTH[0]);
    let host = two.world.host(two.agents[1]).unwrap();
    two.world.network_mut().tcp_unlisten(host, addr(BOB));
    two.reset(0);
    two.run_for(120_000);
    let opened = two.opened(0).len();
    assert!((3..=12).contains(&opened), "{opened}");
    assert_eq!(two.states()[0], ConnectionState::Failed);
    assert!(two.world.events(two.agents[0]).any(|(_, event)| *event == Event::RestartNeeded));
}

/// Q10
#[test]
fn consent_is_asked_for_over_the_connection() {
    let mut two = Two::completed(BOTH[0]);
    two.run_for(120_000);
    assert_eq!(two.states(), [ConnectionState::Completed; 2]);
    let sent = two.world.log(two.agents[0]).iter().filter(|entry| {
        matches!(&entry.what, Logged::Transmit { route: Route::Stream(_), bytes, .. }
            if bytes[2..4] == [0, 1])
    });
    assert!(sent.count() > 15);
}

/// Q10: what is not answered any more loses its consent.
#[test]
fn consent_over_tcp_expires() {
    let mut two = Two::completed(BOTH[0]);
    two.world.network_mut().block_between(ip(ALICE), addr(BOB).ip());
    two.run_for(31_000);
    assert!(
        two.world
            .events(two.agents[0])
            .any(|(_, event)| matches!(event, Event::ConsentLost { .. }))
    );
}

/// X8: RFC 8445 §8.3.1.
#[test]
fn connections_of_pairs_that_were_not_selected_are_closed() {
    let mut two = Two::new(BOTH[0], |config| config.strict_nomination = true);
    two.add(1, LocalAddress::tcp_passive(addr("192.0.2.2:4001")));
    two.add(0, LocalAddress::udp(addr("192.0.2.1:5000")));
    two.add(1, LocalAddress::udp(addr("192.0.2.2:5000")));
    two.start();
    two.complete();
    assert_eq!(two.selected(0).local.transport, Transport::Udp);
    assert!(two.opened(0).len() <= 2);
    two.run_for(3_500);
    assert_eq!((two.connections(0).len(), two.connections(1).len()), (0, 0));
    assert_eq!(two.states(), [ConnectionState::Completed; 2]);
}

/// Both sides open and accept: one pair is selected, and the other one is a spare on a connection of
/// its own.
#[test]
fn two_agents_that_both_open_and_accept_connect_once_each_way() {
    let mut two = Two::new(BOTH[0], |_| {});
    two.add(0, LocalAddress::tcp_passive(addr("192.0.2.1:4000")));
    two.add(1, LocalAddress::tcp_active(addr(BOB).ip()));
    two.start();
    two.complete();
    two.assert_talks();
    two.run_for(10_000);
    let opened = two.opened(0).len() + two.opened(1).len();
    assert!((1..=2).contains(&opened), "{opened}");
    assert_eq!(two.connections(0).len(), two.connections(1).len());
    // Whatever breaks, something is left or comes back.
    for side in [0, 1, 0, 1] {
        two.reset(side);
        two.run_for(2_000);
        assert_eq!(two.states(), [ConnectionState::Completed; 2]);
        two.assert_talks();
    }
    two.run_for(40_000);
    assert_eq!(two.states(), [ConnectionState::Completed; 2]);
    assert!(two.connections(0).len() <= 3, "{:?}", two.connections(0));
    assert_eq!(two.connections(0).len(), two.connections(1).len());
}

/// A connection is a spare path like any other: UDP that dies gives way to it.
#[test]
fn a_udp_path_that_dies_gives_way_to_a_connection() {
    let mut two = Two::new(BOTH[0], |_| {});
    let udp = ["192.0.2.3:5000", "192.0.2.4:5000"];
    for (side, local) in udp.into_iter().enumerate() {
        two.add(side, LocalAddress::udp(addr(local)));
    }
    let [one, other] = udp.map(|local| addr(local).ip());
    // The connection is valid first, and the nomination waits for what is better.
    for (from, to) in [(one, other), (other, one)] {
        two.world.network_mut().set_link(from, to, Link::delayed(millis(8)));
    }
    two.start();
    two.complete();
    two.run_for(10_000);
    assert_eq!(two.selected(0).local.transport, Transport::Udp);
    assert_eq!((two.connections(0).len(), two.connections(1).len()), (1, 1));
    two.world.network_mut().block_between(one, other);
    two.run_for(25_000);
    assert_eq!(two.selected(0).local.transport, Transport::Tcp);
    assert_eq!(two.selected(1).local.transport, Transport::Tcp);
    assert_eq!(two.states(), [ConnectionState::Completed; 2]);
    assert_eq!(two.opened(0).len(), 1);
    two.assert_talks();
}

/// UDP is blocked, and one side is at home behind a NAT.
#[test]
fn an_agent_at_home_without_udp_connects_to_a_passive_one() {
    for roles in BOTH {
        let mut world = World::new([4; 32]);
        let network = world.network_mut();
        network.set_default_link(Link::delayed(millis(10)));
        let gateway = GatewayConfig::nat(NatConfig::new([ip("203.0.113.1")]))
            .with_firewall(FirewallConfig::stateful().without_udp());
        let home = network.add_realm(RealmId::INTERNET, gateway).unwrap();
        let host = network.add_host_in(home).unwrap();
        let alice = world.add_agent_on(host, AgentConfig::new(roles[0])).unwrap();
        let bob = world.add_agent(AgentConfig::new(roles[1])).unwrap();
        let mut two = Two { world, agents: [alice, bob] };
        two.add(0, LocalAddress::udp(addr("192.168.1.2:5000")));
        two.add(0, LocalAddress::tcp_active(ip("192.168.1.2")));
        two.add(1, LocalAddress::udp(addr("192.0.2.2:5000")));
        two.add(1, LocalAddress::tcp_passive(addr(BOB)));
        two.start();
        two.complete();
        two.assert_talks();
        assert_eq!(two.selected(1).remote.addr.ip(), ip("203.0.113.1"));
        assert_eq!(two.selected(0).local.addr, two.selected(1).remote.addr);
    }
}

/// Both are behind firewalls that let no UDP pass: a server that is reached over TCP relays.
#[test]
fn two_agents_without_udp_connect_through_a_server_over_tcp() {
    let mut world = World::new([5; 32]);
    world.network_mut().set_default_link(Link::delayed(millis(10)));
    let server: SocketAddr = addr("198.51.100.1:443");
    world.add_server(TurnServerConfig::new(server).with_user("user", "secret")).unwrap();
    let agents = [0, 1].map(|side: usize| {
        let network = world.network_mut();
        let nat = NatConfig::new([ip(["203.0.113.1", "203.0.113.2"][side])]);
        let firewall = FirewallConfig::stateful().without_udp().tcp_only_to([443]);
        let gateway = GatewayConfig::nat(nat).with_firewall(firewall);
        let home = network.add_realm(RealmId::INTERNET, gateway).unwrap();
        let host = network.add_host_in(home).unwrap();
        let agent = world.add_agent_on(host, AgentConfig::new(BOTH[0][side])).unwrap();
        world.add_socket(agent, addr("192.168.1.2:5000")).unwrap();
        let turn = Server::new("turn:198.51.100.1:443?transport=tcp".parse().unwrap())
            .with_credentials(ServerCredentials::new("user", "secret").unwrap());
        world.call(agent, |agent, now| agent.add_server(now, turn)).unwrap().unwrap();
        agent
    });
    let mut two = Two { world, agents };
    two.start();
    two.complete();
    assert_eq!(two.selected(0).local.kind, CandidateKind::Relayed);
    let stream = two.stream();
    for (from, to) in [(agents[0], agents[1]), (agents[1], agents[0])] {
        two.world.send(from, stream, 1, b"relayed").unwrap();
        two.run_for(200);
        assert_eq!(two.world.received(to).collect::<Vec<_>>(), [b"relayed"]);
    }
}

/// RFC 8445 §9: the old path carries data until the new generation has selected one, which has a
/// connection of its own.
#[test]
fn a_restart_opens_a_new_connection_and_keeps_the_old_one_until_then() {
    for side in [0, 1] {
        let mut two = Two::completed(BOTH[0]);
        two.run_for(1_000);
        let agent = two.agents[side];
        two.world.restart(agent).unwrap().unwrap();
        assert_eq!(two.connections(0).len(), 1);
        two.assert_talks();
        two.run_for(2_000);
        assert_eq!(two.states(), [ConnectionState::Completed; 2], "{side}");
        assert_eq!(two.opened(0).len(), 2);
        two.assert_talks();
        two.run_for(60_000);
        assert_eq!((two.connections(0).len(), two.connections(1).len()), (1, 1));
        two.assert_talks();
    }
}

/// A lite agent only accepts.
#[test]
fn a_lite_agent_is_reached_over_tcp() {
    let mut world = World::new([9; 32]);
    world.network_mut().set_default_link(Link::delayed(millis(10)));
    let full = world.add_agent(AgentConfig::new(Role::Controlling)).unwrap();
    let mut config = AgentConfig::new(Role::Controlled);
    config.lite = true;
    let lite = world.add_agent(config).unwrap();
    let mut two = Two { world, agents: [full, lite] };
    two.add(0, LocalAddress::tcp_active(ip(ALICE)));
    two.add(1, LocalAddress::tcp_passive(addr(BOB)));
    two.start();
    two.complete();
    two.assert_talks();
    two.run_for(60_000);
    two.reset(0);
    two.run_for(2_000);
    two.assert_talks();
}

/// Connections that break at any time, restarts, loss, and streams cut anywhere: in the end both are
/// connected, and hold no more connections than they need.
#[test]
fn whatever_breaks_two_agents_come_back() {
    for seed in 0..60_u32 {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let mut draw = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        let mut two = Two::new(BOTH[draw(2) as usize], |_| {});
        if draw(2) == 0 {
            two.add(0, LocalAddress::tcp_passive(addr("192.0.2.1:4000")));
            two.add(1, LocalAddress::tcp_active(addr(BOB).ip()));
        }
        if draw(3) == 0 {
            two.add(0, LocalAddress::udp(addr("192.0.2.1:5000")));
            two.add(1, LocalAddress::udp(addr("192.0.2.2:5000")));
        }
        let loss = Probability::percent([0, 5, 20][draw(3) as usize]);
        let delay = millis(u64::from(1 + draw(80)));
        two.world.network_mut().set_default_link(Link::delayed(delay).with_loss(loss));
        if draw(2) == 0 {
            two.world.network_mut().set_segmentation(Segmentation::Random);
        }
        two.start();
        for _ in 0..12 {
            two.run_for(u64::from(draw(4_000)));
            let side = draw(2) as usize;
            let open = two.connections(side);
            if !open.is_empty() && draw(4) > 0 {
                let connection = open[draw(open.len() as u32) as usize];
                two.world.break_connection(two.agents[side], connection).unwrap();
            } else if draw(3) == 0 {
                let _ = two.world.restart(two.agents[side]).unwrap();
            }
        }
        two.world.network_mut().set_default_link(Link::delayed(delay));
        two.run_for(60_000);
        if two.states() != [ConnectionState::Completed; 2] {
            // What was lost in the meantime, such as by a check that failed, a restart mends.
            two.world.restart(two.agents[0]).unwrap().unwrap();
            two.run_for(60_000);
        }
        assert_eq!(two.states(), [ConnectionState::Completed; 2], "seed {seed}");
        two.assert_talks();
        let open = two.connections(0).len();
        assert!(open <= 3 && open == two.connections(1).len(), "seed {seed}: {open}");
    }
}
