//! The Binding client against the simulated server.

use core::net::SocketAddr;
use core::time::Duration;

use super::{BindingFact, LongTermCredentials, Rejected, RequestTiming, ServerFailure};
use crate::gather::binding::{Binding, BindingConfig};
use crate::random::Random;
use crate::sim::{TurnMethod, TurnRefusal, TurnServer, TurnServerConfig, TurnTamper};
use crate::stun::attribute::MAPPED_ADDRESS;
use crate::stun::{Class, TransactionId, Writer, method, scan};
use crate::time::Timestamp;

const LISTEN: &str = "198.51.100.1:3478";
const CLIENT: &str = "192.0.2.1:5000";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn config() -> BindingConfig {
    BindingConfig {
        server: addr(LISTEN),
        reliable: false,
        credentials: None,
        timing: RequestTiming::default(),
        keepalive: Some(Duration::from_secs(20)),
        first: at(0),
    }
}

/// A client behind a NAT, whose outer address is `mapped`, and its server.
struct World {
    client: Binding,
    server: TurnServer,
    mapped: SocketAddr,
    now: Timestamp,
    rng: Random,
    sent: Vec<(Timestamp, Vec<u8>)>,
    facts: Vec<BindingFact>,
}

impl World {
    fn new(client: BindingConfig, server: TurnServerConfig) -> Self {
        Self {
            client: Binding::new(at(0), client),
            server: TurnServer::new(server, [1; 32]).unwrap(),
            mapped: addr(CLIENT),
            now: at(0),
            rng: Random::from_seed([2; 32]),
            sent: Vec::new(),
            facts: Vec::new(),
        }
    }

    fn plain() -> Self {
        Self::new(config(), TurnServerConfig::new(addr(LISTEN)))
    }

    fn run_until(&mut self, end: Timestamp) {
        loop {
            self.pump();
            let client = &self.client;
            let next = [client.slot_at(), client.repeat_at(), client.poll_timeout()];
            let next = next.into_iter().chain([self.server.poll_timeout()]).flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            assert!(next > self.now, "no progress");
            self.now = next;
            self.client.handle_timeout(next);
            self.server.handle_timeout(next);
        }
        self.now = end;
    }

    fn pump(&mut self) {
        let now = self.now;
        loop {
            let due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
            let mut busy = due(self.client.slot_at()) && self.client.start(now, &mut self.rng);
            busy |= due(self.client.repeat_at()) && self.client.repeat(now);
            let mut buf = Vec::new();
            assert_eq!(self.client.has_transmit(), busy);
            while let Some(range) = self.client.poll_transmit(&mut buf) {
                let bytes = buf[range].to_vec();
                self.server.handle_datagram(now, addr(LISTEN), self.mapped, &bytes);
                self.sent.push((now, bytes));
            }
            while let Some((route, bytes)) = self.server.poll_transmit() {
                let crate::sim::TurnRoute::Datagram { local, .. } = route else { continue };
                busy = true;
                let _ = self.client.receive(now, local, &bytes);
            }
            self.facts.extend(core::iter::from_fn(|| self.client.poll_fact()));
            if !busy {
                break;
            }
        }
    }

    fn mapped_fact(addr: SocketAddr, previous: Option<SocketAddr>) -> BindingFact {
        BindingFact::Mapped { addr, previous }
    }
}

#[test]
fn one_answer_tells_the_mapped_address() {
    let mut world = World::plain();
    world.run_until(at(10));
    assert_eq!(world.facts, [World::mapped_fact(addr(CLIENT), None)]);
    assert_eq!(world.client.mapped(), Some(addr(CLIENT)));
    assert_eq!(world.sent.len(), 1);
}

/// G10
#[test]
fn the_mapping_is_kept_alive_and_its_changes_are_told() {
    let mut world = World::plain();
    world.run_until(at(1_200_000));
    assert_eq!(world.sent.len(), 61);
    assert_eq!(world.facts.len(), 1);
    let other = addr("192.0.2.1:6000");
    world.mapped = other;
    world.run_until(at(1_230_000));
    assert_eq!(world.facts[1..], [World::mapped_fact(other, Some(addr(CLIENT)))]);
}

#[test]
fn without_an_interval_it_asks_once() {
    let mut world = World::new(
        BindingConfig { keepalive: None, ..config() },
        TurnServerConfig::new(addr(LISTEN)),
    );
    world.run_until(at(3_600_000));
    assert_eq!(world.sent.len(), 1);
    assert_eq!((world.client.slot_at(), world.client.poll_timeout()), (None, None));
}

/// U2, G15
#[test]
fn repetitions_follow_the_rto_that_is_given() {
    for (rto, last) in [(500, 39_500), (1000, 79_000)] {
        let timing = RequestTiming { rto: Duration::from_millis(rto), ..RequestTiming::default() };
        let mut world =
            World::new(BindingConfig { timing, ..config() }, TurnServerConfig::new(addr(LISTEN)));
        world.server.behaviour_mut().silent = true;
        world.run_until(at(last - 1));
        let times: Vec<u64> = world.sent.iter().map(|(at, _)| at.as_nanos() / 1_000_000).collect();
        assert_eq!(times, [0, 1, 3, 7, 15, 31, 63].map(|factor| factor * rto));
        assert!(world.sent.iter().all(|(_, bytes)| *bytes == world.sent[0].1));
        assert_eq!(world.facts, []);
        world.run_until(at(last));
        assert_eq!(world.facts, [BindingFact::Failed(ServerFailure::Timeout)]);
    }
}

/// A server that comes back is noticed, and so is one that goes.
#[test]
fn a_silent_server_is_asked_again_and_told_once() {
    let mut world = World::plain();
    world.run_until(at(1000));
    world.server.behaviour_mut().silent = true;
    world.run_until(at(300_000));
    assert_eq!(world.facts[1..], [BindingFact::Failed(ServerFailure::Timeout)]);
    world.server.behaviour_mut().silent = false;
    world.run_until(at(400_000));
    assert_eq!(world.facts[2..], [World::mapped_fact(addr(CLIENT), Some(addr(CLIENT)))]);
}

/// G8
#[test]
fn another_server_is_not_asked() {
    let mut world = World::plain();
    let elsewhere = TurnRefusal::try_alternate(addr("198.51.100.2:3478"));
    world.server.refuse(TurnMethod::Binding, elsewhere, 1);
    world.run_until(at(1000));
    assert!(
        matches!(&world.facts[..], [BindingFact::Failed(failure)] if failure.code() == Some(300))
    );
    assert_eq!(world.sent.len(), 1);
}

/// U14
#[test]
fn a_faulty_server_is_asked_five_times() {
    let mut world = World::new(
        BindingConfig { keepalive: None, ..config() },
        TurnServerConfig::new(addr(LISTEN)),
    );
    world.server.refuse(TurnMethod::Binding, TurnRefusal::new(503), 100);
    world.run_until(at(600_000));
    assert_eq!(world.sent.len(), 5);
    assert!(
        matches!(&world.facts[..], [BindingFact::Failed(failure)] if failure.code() == Some(503))
    );
}

/// U15, U18
#[test]
fn a_server_that_wants_credentials_gets_them() {
    let mut server = TurnServerConfig::new(addr(LISTEN)).with_user("alice", "secret");
    server.authenticate_binding = true;
    let credentials = Some(LongTermCredentials::new("alice", "secret").unwrap());
    let mut world = World::new(BindingConfig { credentials, ..config() }, server.clone());
    world.run_until(at(1000));
    assert_eq!(world.facts, [World::mapped_fact(addr(CLIENT), None)]);
    assert_eq!(world.sent.len(), 2);
    let mut world = World::new(config(), server);
    world.run_until(at(1000));
    assert!(
        matches!(&world.facts[..], [BindingFact::Failed(failure)] if failure.code() == Some(401))
    );
}

#[test]
fn nobody_else_answers_for_the_server() {
    let mut world = World::plain();
    world.server.behaviour_mut().answer_from = Some(addr("198.51.100.9:3478"));
    world.run_until(at(100));
    world.server.behaviour_mut().answer_from = None;
    world.server.behaviour_mut().tamper = Some(TurnTamper::OtherTransaction);
    world.run_until(at(1000));
    world.server.behaviour_mut().tamper = Some(TurnTamper::Truncate(21));
    world.run_until(at(2000));
    assert_eq!(world.facts, []);
    for reason in [Rejected::Foreign, Rejected::UnknownTransaction, Rejected::Malformed] {
        assert_eq!(world.client.rejections().of(reason), 1, "{reason:?}");
    }
    world.server.behaviour_mut().tamper = None;
    world.run_until(at(4000));
    assert_eq!(world.facts, [World::mapped_fact(addr(CLIENT), None)]);
}

/// RFC 8489 §6.3.3: an address of old, and one that is none.
#[test]
fn an_answer_must_say_an_address() {
    for (mapped, expected) in [(Some([0, 1, 0x13, 0x88, 192, 0, 2, 1]), true), (None, false)] {
        let mut world = World::plain();
        world.server.behaviour_mut().silent = true;
        world.run_until(at(0));
        let id = scan(&world.sent[0].1).unwrap().transaction_id();
        let mut answer = Vec::new();
        let mut writer = Writer::new(&mut answer, Class::Success, method::BINDING, id);
        if let Some(mapped) = mapped {
            writer.attribute(MAPPED_ADDRESS, &mapped);
        }
        writer.finish();
        let taken = world.client.receive(at(1), addr(LISTEN), &answer);
        assert_eq!(taken.is_ok(), expected);
        world.run_until(at(2));
        let fact = &world.facts[0];
        assert_eq!(*fact == World::mapped_fact(addr(CLIENT), None), expected);
        assert_eq!(*fact == BindingFact::Failed(ServerFailure::Unusable), !expected);
    }
}

/// U4
#[test]
fn an_unreachable_server_fails_at_once() {
    let mut world = World::plain();
    world.server.behaviour_mut().silent = true;
    world.run_until(at(100));
    world.client.unreachable(at(100), Some(TransactionId::new([9; 12])));
    world.run_until(at(101));
    assert_eq!(world.facts, []);
    world.client.unreachable(at(101), None);
    world.run_until(at(102));
    assert_eq!(world.facts, [BindingFact::Failed(ServerFailure::Unreachable)]);
}

/// U22
#[test]
fn nothing_is_repeated_on_a_stream() {
    let reliable = BindingConfig { reliable: true, keepalive: None, ..config() };
    let mut world = World::new(reliable, TurnServerConfig::new(addr(LISTEN)));
    world.server.behaviour_mut().silent = true;
    world.run_until(at(39_499));
    assert_eq!((world.sent.len(), world.facts.len()), (1, 0));
    world.run_until(at(39_500));
    assert_eq!(world.facts, [BindingFact::Failed(ServerFailure::Timeout)]);
}
