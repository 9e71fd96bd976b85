//! Agents that obtain candidates from servers behind NATs.

use super::*;
use crate::agent::{ConnectionState, PairView};
use crate::candidate::CandidateKind::{self, Host, PeerReflexive, Relayed, ServerReflexive};
use crate::config::{AgentConfig, Role};
use crate::sim::{Obtain, ServerIndex, TurnServerConfig};

const SERVER: &str = "198.51.100.1:3478";

struct Homes {
    world: World,
    server: ServerIndex,
    realms: [RealmId; 2],
    agents: [AgentIndex; 2],
}

/// Two homes behind such NATs, whose agents have asked the server for these.
fn homes(nats: [(Mapping, Filtering); 2], what: [&[Obtain]; 2]) -> Homes {
    let mut world = World::new([3; 32]);
    world.network_mut().set_default_link(Link::delayed(millis(10)));
    let server = world.add_server(TurnServerConfig::new(addr(SERVER))).unwrap();
    let made = [0, 1].map(|side: usize| {
        let role = [Role::Controlling, Role::Controlled][side];
        let network = world.network_mut();
        let nat = NatConfig::new([ip(["203.0.113.1:0", "203.0.113.2:0"][side])])
            .with_ports(PortAllocation::Random, 1_024, 65_535)
            .with_mapping(nats[side].0)
            .with_filtering(nats[side].1)
            .with_lifetime(millis(30_000), Refresh::Outbound);
        let home = network.add_realm(RealmId::INTERNET, GatewayConfig::nat(nat)).unwrap();
        let host = network.add_host_in(home).unwrap();
        let agent = world.add_agent_on(host, AgentConfig::new(role)).unwrap();
        world.add_socket(agent, addr("192.168.1.2:5000")).unwrap();
        for what in what[side] {
            world.obtain(agent, server, *what).unwrap();
        }
        (home, agent)
    });
    let agents = made.map(|(_, agent)| agent);
    world.connect(agents[0], agents[1]).unwrap();
    for agent in agents {
        world.start(agent).unwrap();
    }
    Homes { world, server, realms: made.map(|(realm, _)| realm), agents }
}

fn completed(world: &World) -> bool {
    world.agents().all(|(_, agent)| agent.state() == ConnectionState::Completed)
}

fn selected(world: &World, agent: AgentIndex) -> PairView {
    let agent = world.agent(agent).unwrap();
    agent.selected_pair(agent.streams().next().unwrap(), 1).unwrap()
}

fn kinds(world: &World, agent: AgentIndex) -> (CandidateKind, CandidateKind) {
    let pair = selected(world, agent);
    (pair.local.kind, pair.remote.kind)
}

/// Data gets through in both directions.
fn assert_talks(homes: &mut Homes) {
    let Homes { world, agents, .. } = homes;
    for (from, to) in [(agents[0], agents[1]), (agents[1], agents[0])] {
        let stream = world.agent(from).unwrap().streams().next().unwrap();
        let before = world.received(to).count();
        world.send(from, stream, 1, b"hello").unwrap();
        world.run_until(world.now() + millis(100)).unwrap();
        assert_eq!(world.received(to).count(), before + 1);
    }
}

const CONE: (Mapping, Filtering) =
    (Mapping::EndpointIndependent, Filtering::AddressAndPortDependent);
const SYMMETRIC: (Mapping, Filtering) =
    (Mapping::AddressAndPortDependent, Filtering::AddressAndPortDependent);

#[test]
fn two_port_restricted_homes_connect_by_what_a_server_saw() {
    let mut homes = homes([CONE; 2], [&[Obtain::Reflexive]; 2]);
    assert_eq!(homes.world.run_while(|world| !completed(world), at(3_000)), Ok(End::Condition));
    assert_eq!(kinds(&homes.world, homes.agents[0]), (ServerReflexive, ServerReflexive));
    assert_eq!(kinds(&homes.world, homes.agents[1]), (ServerReflexive, ServerReflexive));
    assert_talks(&mut homes);
    let mappings = homes.world.network().nat_mappings(homes.realms[0]);
    assert_eq!(mappings.count(), 1);
    // The mapping lives for half a minute; the session for longer.
    homes.world.run_until(at(300_000)).unwrap();
    assert!(completed(&homes.world));
    assert_talks(&mut homes);
    assert_accounted(homes.world.network());
}

#[test]
fn two_symmetric_homes_connect_through_a_relay_of_one_of_them() {
    for side in [0, 1] {
        let relayed: &[Obtain] = &[Obtain::Reflexive, Obtain::Relayed];
        let mut what = [&[Obtain::Reflexive][..]; 2];
        what[side] = relayed;
        let mut homes = homes([SYMMETRIC; 2], what);
        let end = homes.world.run_while(|world| !completed(world), at(5_000));
        assert_eq!(end, Ok(End::Condition));
        assert_eq!(kinds(&homes.world, homes.agents[side]), (Relayed, PeerReflexive));
        assert_eq!(kinds(&homes.world, homes.agents[1 - side]), (PeerReflexive, Relayed));
        assert_talks(&mut homes);
        // Longer than a permission and an allocation live without being renewed.
        homes.world.run_until(at(1_000_000)).unwrap();
        assert!(completed(&homes.world));
        assert_talks(&mut homes);
        assert_eq!(homes.world.server(homes.server).unwrap().allocations().count(), 1);
    }
}

#[test]
fn what_a_reboot_of_the_nat_took_a_restart_gets_anew() {
    let what: &[Obtain] = &[Obtain::Reflexive, Obtain::Relayed];
    let mut homes = homes([SYMMETRIC; 2], [what; 2]);
    assert_eq!(homes.world.run_while(|world| !completed(world), at(5_000)), Ok(End::Condition));
    for realm in homes.realms {
        homes.world.network_mut().reboot_nat(realm);
    }
    homes.world.run_until(at(60_000)).unwrap();
    assert!(!completed(&homes.world), "the allocations belong to mappings that are gone");
    homes.world.restart(homes.agents[0]).unwrap().unwrap();
    assert_eq!(homes.world.run_while(|world| !completed(world), at(70_000)), Ok(End::Condition));
    assert_talks(&mut homes);
}

#[test]
fn a_server_that_does_not_answer_does_not_keep_gathering_from_its_end() {
    let mut homes = homes([CONE; 2], [&[Obtain::Reflexive]; 2]);
    let server = homes.world.server_host(homes.server).unwrap();
    homes.world.network_mut().crash(server);
    homes.world.run_until(at(60_000)).unwrap();
    let failed = |(_, agent): (_, &crate::IceAgent)| agent.state() == ConnectionState::Failed;
    assert!(homes.world.agents().all(failed));
    for (_, agent) in homes.world.agents() {
        assert_eq!(agent.local_candidates().map(|local| local.kind).collect::<Vec<_>>(), [Host]);
    }
}

#[test]
fn the_oracle_knows_what_an_agent_of_a_world_has_asked_for() {
    let what: &[Obtain] = &[Obtain::Reflexive, Obtain::Relayed];
    let Homes { world, agents: [alice, bob], .. } = homes([SYMMETRIC; 2], [what, what]);
    let outlook = world.outlook(alice, bob).unwrap();
    assert!(outlook.is_relayed() && !outlook.is_direct());
    // Without an address of Bob's that means something to the relay, it does not let him in.
    let Homes { world, agents: [alice, bob], .. } = homes([SYMMETRIC; 2], [what, &[]]);
    assert!(!world.outlook(alice, bob).unwrap().is_possible());
}
