//! Whole agents behind gateways.

use super::*;
use crate::agent::{ConnectionState, PairView};
use crate::candidate::CandidateKind;
use crate::config::{AgentConfig, Role};

/// Alice behind a port-restricted NAT, Bob in the internet, each with one host candidate.
fn home_and_internet(seed: u8, nat: NatConfig) -> (World, RealmId, [AgentIndex; 2]) {
    let mut world = World::new([seed; 32]);
    let network = world.network_mut();
    network.set_default_link(Link::delayed(millis(10)));
    network.set_reporting(Reporting::ALL);
    let gateway =
        GatewayConfig::nat(nat).with_lines(Link::delayed(millis(2)), Link::delayed(millis(2)));
    let home = network.add_realm(RealmId::INTERNET, gateway).unwrap();
    let host = network.add_host_in(home).unwrap();
    let alice = world.add_agent_on(host, AgentConfig::new(Role::Controlling)).unwrap();
    let bob = world.add_agent(AgentConfig::new(Role::Controlled)).unwrap();
    world.add_socket(alice, addr("192.168.1.2:5000")).unwrap();
    world.add_socket(bob, addr(BOB)).unwrap();
    world.connect(alice, bob).unwrap();
    for agent in [alice, bob] {
        world.start(agent).unwrap();
    }
    (world, home, [alice, bob])
}

fn completed(world: &World) -> bool {
    world.agents().all(|(_, agent)| agent.state() == ConnectionState::Completed)
}

fn selected(world: &World, agent: AgentIndex) -> PairView {
    let agent = world.agent(agent).unwrap();
    agent.selected_pair(agent.streams().next().unwrap(), 1).unwrap()
}

fn nat() -> NatConfig {
    NatConfig::new([ip("203.0.113.1:0")]).with_ports(PortAllocation::Random, 1_024, 65_535)
}

#[test]
fn the_agent_in_the_internet_learns_the_mapping_of_the_one_at_home() {
    let (mut world, home, [alice, bob]) = home_and_internet(1, nat());
    let end = world.run_while(|world| !completed(world), at(5_000));
    assert_eq!(end, Ok(End::Condition));

    let mapping = world.network().nat_mappings(home).next().unwrap();
    assert_eq!(mapping.inside, addr("192.168.1.2:5000"));
    let seen = selected(&world, bob).remote;
    assert_eq!((seen.kind, seen.addr), (CandidateKind::PeerReflexive, mapping.external));
    assert_eq!(selected(&world, alice).remote.addr, addr(BOB));
    let stream = world.agent(bob).unwrap().streams().next().unwrap();
    world.send(bob, stream, 1, b"welcome").unwrap();
    world.run_until(world.now() + millis(12)).unwrap();
    assert_eq!(world.received(alice).collect::<Vec<_>>(), [b"welcome"]);
    // Bob's checks to the address inside had no way, and he was told so.
    let told = |entry: &LogEntry| {
        matches!(entry.what, Logged::Undelivered { problem: Problem::HostUnreachable, .. })
    };
    assert!(world.log(bob).iter().any(told));
    assert_eq!(world.stats().unclaimed, 0);
    assert_accounted(world.network());
}

#[test]
fn two_agents_behind_strict_nats_do_not_connect_by_their_inside_addresses() {
    let mut world = World::new([2; 32]);
    let agents = [("203.0.113.1:0", Role::Controlling), ("203.0.113.2:0", Role::Controlled)];
    let agents = agents.map(|(external, role)| {
        let network = world.network_mut();
        let gateway = GatewayConfig::nat(NatConfig::new([ip(external)]));
        let home = network.add_realm(RealmId::INTERNET, gateway).unwrap();
        let host = network.add_host_in(home).unwrap();
        let agent = world.add_agent_on(host, AgentConfig::new(role)).unwrap();
        world.add_socket(agent, addr("192.168.1.2:5000")).unwrap();
        agent
    });
    world.connect(agents[0], agents[1]).unwrap();
    for agent in agents {
        world.start(agent).unwrap();
    }
    world.run_until(at(60_000)).unwrap();
    // Each has the address of the other, and asks itself.
    assert!(world.agents().all(|(_, agent)| agent.state() == ConnectionState::Failed));
}

#[test]
fn equal_seeds_make_equal_worlds_behind_nats() {
    let run = |seed| {
        let nat = nat().with_mapping(Mapping::AddressAndPortDependent);
        let (mut world, home, _) = home_and_internet(seed, nat);
        let loss =
            Link::delayed(millis(5)).with_jitter(millis(9)).with_loss(Probability::percent(9));
        world.network_mut().set_lines(home, loss, loss);
        let mut twin = world.clone();
        for world in [&mut world, &mut twin] {
            world.run_until(at(3_000)).unwrap();
            world.network_mut().reboot_nat(home);
            world.run_until(at(20_000)).unwrap();
        }
        assert_eq!(world.hash(), twin.hash());
        world.hash()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn an_agent_whose_interface_is_gone_is_told_at_once() {
    let (mut world, _, [alice, _]) = home_and_internet(5, nat());
    let host = world.host(alice).unwrap();
    let interface = world.network().interfaces(host).next().unwrap();
    world.network_mut().interface_down(interface);
    world.run_until(at(200)).unwrap();
    assert!(world.network().stats().unreachable_source > 0);
    let agent = world.agent(alice).unwrap();
    assert!(agent.pairs().any(|pair| pair.state == crate::checklist::PairState::Failed));
}

#[test]
fn an_agent_on_two_networks_survives_the_loss_of_one() {
    let mut world = World::new([6; 32]);
    let network = world.network_mut();
    network.set_default_link(Link::delayed(millis(10)));
    let realms = ["203.0.113.1:0", "203.0.113.2:0"].map(|external| {
        let gateway = GatewayConfig::nat(NatConfig::new([ip(external)]));
        network.add_realm(RealmId::INTERNET, gateway).unwrap()
    });
    let host = network.add_host_in(realms[0]).unwrap();
    let mobile = network.add_interface(host, realms[1]).unwrap();
    network.add_interface_address(mobile, ip("10.0.0.2:0")).unwrap();
    let alice = world.add_agent_on(host, AgentConfig::new(Role::Controlling)).unwrap();
    let bob = world.add_agent(AgentConfig::new(Role::Controlled)).unwrap();
    for (agent, socket) in [(alice, "192.168.1.2:5000"), (alice, "10.0.0.2:5000"), (bob, BOB)] {
        world.add_socket(agent, addr(socket)).unwrap();
    }
    assert_eq!(world.network().realm_of(host, ip("10.0.0.2:0")), Some(realms[1]));
    world.connect(alice, bob).unwrap();
    for agent in [alice, bob] {
        world.start(agent).unwrap();
    }
    assert_eq!(world.run_while(|world| !completed(world), at(5_000)), Ok(End::Condition));
    let seen = ["203.0.113.1:5000", "203.0.113.2:5000"].map(addr);
    let selected = selected(&world, bob).remote.addr;
    assert!(seen.contains(&selected));

    // The one in use is cut off: both move to the other.
    let (used, other) =
        if selected == seen[0] { (realms[0], seen[1]) } else { (realms[1], seen[0]) };
    world.network_mut().cut_off(used);
    world.run_until(world.now() + millis(60_000)).unwrap();
    assert!(world.network().stats().dropped_for(DropReason::GatewayDown) > 0);
    assert_eq!(self::selected(&world, bob).remote.addr, other);
    let stream = world.agent(bob).unwrap().streams().next().unwrap();
    world.send(bob, stream, 1, b"still there").unwrap();
    world.run_until(world.now() + millis(10)).unwrap();
    assert_eq!(world.received(alice).collect::<Vec<_>>(), [b"still there"]);
}
