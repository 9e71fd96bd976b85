//! How long it takes from the beginning of gathering until both sides are connected, behind NATs, in
//! virtual time; and what a slot is used for meanwhile. A link takes 10 ms one way, Ta is 20 ms,
//! and candidates are told at once. The same stand in `benches/RESULTS.md` with real processes.

use std::net::SocketAddr;
use std::time::Duration;

use frazil::sim::{
    AgentIndex, GatewayConfig, Link, LogDetail, Logged, Mapping, NatConfig, Obtain, RealmId,
    TurnServerConfig, World,
};
use frazil::{AgentConfig, ConnectionState, Event, Role, Route, Timestamp};

use super::net::{ALLOCATE, BINDING, CREATE_PERMISSION};

const TA: Duration = Duration::from_millis(20);
const SPACING: Duration = Duration::from_millis(5);
const SERVER: &str = "192.0.2.1:3478";

/// Two sides behind NATs of their own that let in only what answers, and a server.
struct Sides {
    world: World,
    agents: [AgentIndex; 2],
}

impl Sides {
    fn new(mapping: Mapping, what: Obtain) -> Self {
        Self::over(Duration::from_millis(10), mapping, what)
    }

    fn over(delay: Duration, mapping: Mapping, what: Obtain) -> Self {
        let mut world = World::new([7; 32]);
        world.set_log_detail(LogDetail::Headers);
        world.network_mut().set_default_link(Link::delayed(delay));
        let config = TurnServerConfig::new(SERVER.parse().unwrap()).with_user("alice", "secret");
        let server = world.add_server(config).unwrap();
        let roles = [(Role::Controlling, "198.51.100.1"), (Role::Controlled, "203.0.113.1")];
        let agents = roles.map(|(role, outside)| {
            let nat = NatConfig::new([outside.parse().unwrap()]).with_mapping(mapping);
            let network = world.network_mut();
            let home = network.add_realm(RealmId::INTERNET, GatewayConfig::nat(nat)).unwrap();
            let host = network.add_host_in(home).unwrap();
            let mut config = AgentConfig::new(role);
            config.timing.ta = TA;
            let agent = world.add_agent_on(host, config).unwrap();
            let inside = if role == Role::Controlling { "10.0.1.2:5000" } else { "10.0.2.2:5000" };
            world.add_socket(agent, inside.parse().unwrap()).unwrap();
            world.obtain(agent, server, what).unwrap();
            agent
        });
        world.connect(agents[0], agents[1]).unwrap();
        Self { world, agents }
    }

    /// Both begin to gather, the second one later.
    fn start(&mut self, later: Duration) {
        self.world.start(self.agents[0]).unwrap();
        if !later.is_zero() {
            self.world.run_until(Timestamp::ZERO + later).unwrap();
        }
        self.world.start(self.agents[1]).unwrap();
        self.world.run_until(Timestamp::from_millis(1_000)).unwrap();
    }

    /// When the later side was connected.
    fn connected(&self) -> Timestamp {
        let at = |agent| {
            let mut events = self.world.events(agent);
            events
                .find(|(_, event)| **event == Event::ConnectionState(ConnectionState::Connected))
                .map(|(at, _)| at)
        };
        self.agents.map(|agent| at(agent).expect("connected")).into_iter().max().unwrap()
    }

    /// The requests of a side: when, of which method, and where to.
    fn requests(&self, side: usize) -> Vec<(Timestamp, u16, SocketAddr)> {
        let log = self.world.log(self.agents[side]).iter();
        log.filter_map(|entry| match &entry.what {
            Logged::Transmit { route: Route::Datagram { remote, .. }, bytes, .. } => {
                let kind = u16::from_be_bytes([bytes[0], bytes[1]]);
                (kind & 0xff10 == 0).then_some((entry.at, kind, *remote))
            }
            _ => None,
        })
        .collect()
    }
}

/// Server, mapping, check, answer: nothing but the round trips to the server and to the peer.
#[test]
fn two_port_restricted_nats_take_two_round_trips_with_the_gathering() {
    let mut sides = Sides::new(Mapping::EndpointIndependent, Obtain::Reflexive);
    sides.start(Duration::ZERO);
    assert_eq!(sides.connected(), Timestamp::from_millis(40));
}

/// The side that answers knows the other's candidates when it begins to gather.
#[test]
fn the_side_that_answers_asks_its_server_beside_its_first_check() {
    let mut sides = Sides::new(Mapping::EndpointIndependent, Obtain::Reflexive);
    sides.start(Duration::from_millis(1));
    let server: SocketAddr = SERVER.parse().unwrap();
    let first: Vec<_> = sides.requests(1).into_iter().take(2).collect();
    assert_eq!(first[0].2, "10.0.1.2:5000".parse().unwrap(), "the check");
    assert_eq!((first[1].1, first[1].2), (BINDING, server));
    assert_eq!(first[1].0 - first[0].0, SPACING);
}

/// An allocation, its repetition with credentials, a permission, and three checks: the last of them,
/// from the host to the other's relay, is answered in two round trips to the server.
#[test]
fn two_symmetric_nats_with_relays_take_five_slots_and_the_way_through_the_relay() {
    let mut sides = Sides::new(Mapping::AddressAndPortDependent, Obtain::Relayed);
    sides.start(Duration::ZERO);
    assert_eq!(sides.connected(), Timestamp::from_millis(140));
}

/// RFC 8445 §6.1.4.2: the first check is performed as soon as there is a pair; everything else that
/// an agent begins keeps Ta (RFC 8445 §14.2).
#[test]
fn the_first_check_alone_does_not_wait_for_the_timer_of_gathering() {
    for (mapping, what) in [
        (Mapping::EndpointIndependent, Obtain::Reflexive),
        (Mapping::AddressAndPortDependent, Obtain::Relayed),
    ] {
        let mut sides = Sides::new(mapping, what);
        sides.start(Duration::ZERO);
        let connected = sides.connected();
        let server: SocketAddr = SERVER.parse().unwrap();
        for side in [0, 1] {
            let requests = sides.requests(side);
            let mut starts = requests.iter().filter(|(at, ..)| *at < connected).collect::<Vec<_>>();
            let check = starts.iter().position(|(_, _, to)| *to != server).expect("a check");
            assert!(starts[check].0 < Timestamp::ZERO + TA, "{requests:?}");
            starts.remove(check);
            for two in starts.windows(2) {
                assert!(two[1].0 - two[0].0 >= TA, "{requests:?}");
            }
            for two in requests.windows(2) {
                assert!(two[1].0 - two[0].0 >= SPACING, "{requests:?}");
            }
        }
    }
}

/// Where both want a slot, a server is asked after a check and a check goes after a request, whoever
/// used the slots before. Without the permission, checks from the relay would wait for it.
#[test]
fn a_permission_takes_the_slot_after_a_check() {
    let mut sides =
        Sides::over(Duration::from_millis(15), Mapping::AddressAndPortDependent, Obtain::Relayed);
    // The later side hears of the other's reflexive address before it has an allocation.
    sides.start(Duration::from_millis(7));
    let server: SocketAddr = SERVER.parse().unwrap();
    let requests = sides.requests(1);
    let permission =
        requests.iter().position(|(_, method, _)| *method == CREATE_PERMISSION).unwrap();
    let before: Vec<_> = requests[..permission].iter().collect();
    let allocate = before.iter().rposition(|(_, method, _)| *method == ALLOCATE).unwrap();
    let [check] = before[allocate + 1..] else { panic!("one check between: {requests:?}") };
    assert_ne!(check.2, server);
    assert_eq!(requests[permission].0 - check.0, TA, "{requests:?}");
}
