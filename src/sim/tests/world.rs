//! Agents in a world: driving, signalling, interference and its limits.

use super::{addr, at, ip, millis};
use crate::agent::io::{Event, Ignored, LocalAddress};
use crate::agent::{ConnectionState, IceAgent, SendError};
use crate::config::{AgentConfig, Role, Signalling};
use crate::sim::node::Node;
use crate::sim::signal::{Channel, Outbox};
use crate::sim::sockets::Socket;
use crate::sim::*;
use crate::time::Timestamp;

const ALICE: &str = "192.0.2.1:5000";
const BOB: &str = "192.0.2.2:6000";
const BOB_TOO: &str = "192.0.2.3:6000";

struct Two {
    world: World,
    alice: AgentIndex,
    bob: AgentIndex,
}

/// Two agents with a socket each, wired but not started, 10 ms apart.
fn two(seed: u8, configure: impl Fn(&mut AgentConfig)) -> Two {
    let mut world = World::new([seed; 32]);
    world.network_mut().set_default_link(Link::delayed(millis(10)));
    let mut add = |role, socket| {
        let mut config = AgentConfig::new(role);
        configure(&mut config);
        let agent = world.add_agent(config).unwrap();
        world.add_socket(agent, addr(socket)).unwrap();
        agent
    };
    let (alice, bob) = (add(Role::Controlling, ALICE), add(Role::Controlled, BOB));
    world.connect(alice, bob).unwrap();
    Two { world, alice, bob }
}

impl Two {
    fn start(mut self) -> Self {
        self.world.start(self.alice).unwrap();
        self.world.start(self.bob).unwrap();
        self
    }

    fn complete(&mut self, limit: Timestamp) -> End {
        self.world.run_while(|world| !completed(world), limit).unwrap()
    }
}

fn completed(world: &World) -> bool {
    world.agents().all(|(_, agent)| agent.state() == ConnectionState::Completed)
}

/// The addresses of the selected pair of the first component.
fn selected(world: &World, agent: AgentIndex) -> (String, String) {
    let agent = world.agent(agent).unwrap();
    let pair = agent.selected_pair(agent.streams().next().unwrap(), 1).unwrap();
    (pair.local.addr.to_string(), pair.remote.addr.to_string())
}

/// When an agent sent Binding requests.
fn requests(world: &World, agent: AgentIndex) -> impl Iterator<Item = Timestamp> {
    world.log(agent).iter().filter_map(|entry| match &entry.what {
        Logged::Transmit { bytes, .. } if bytes.starts_with(&[0x00, 0x01]) => Some(entry.at),
        _ => None,
    })
}

#[test]
fn two_agents_connect_and_select_mirrored_pairs() {
    let mut two = two(0, |_| {}).start();
    assert_eq!(two.complete(at(1_000)), End::Condition);
    assert_eq!(selected(&two.world, two.alice), (ALICE.into(), BOB.into()));
    assert_eq!(selected(&two.world, two.bob), (BOB.into(), ALICE.into()));
    let stats = two.world.stats();
    assert_eq!((stats.unsent, stats.unclaimed, stats.refused_signals), (0, 0, 0));
    let connected = |event: &Event| *event == Event::ConnectionState(ConnectionState::Connected);
    assert_eq!(two.world.events(two.bob).filter(|(_, event)| connected(event)).count(), 1);
}

#[test]
fn complete_signalling_conveys_everything_at_once() {
    let mut two = two(0, |config| config.signalling = Signalling::Complete).start();
    let steps =
        [Step::Signal { at: at(0), to: two.bob }, Step::Signal { at: at(0), to: two.alice }];
    assert_eq!([two.world.step(), two.world.step()], steps.map(|step| Ok(Some(step))));
    assert!(!matches!(two.world.next_step(), Ok(Some(Step::Signal { .. }))));
    assert_eq!(two.complete(at(1_000)), End::Condition);
}

#[test]
fn signals_take_their_own_time() {
    let mut two = two(0, |_| {});
    two.world.set_signalling_delay(two.bob, millis(300)).unwrap();
    two = two.start();
    assert_eq!(two.complete(at(1_000)), End::Condition);
    // Alice can answer, but not ask before she has heard from Bob.
    assert!(requests(&two.world, two.alice).all(|sent| sent >= at(300)));
    assert_eq!(requests(&two.world, two.bob).next(), Some(at(0)));
}

#[test]
fn signals_do_not_overtake_each_other() {
    let (mut outbox, mut channel) = (Outbox::default(), Channel::default());
    (outbox.peer, outbox.started, outbox.delay) = (Some(AgentIndex(1)), true, millis(300));
    let line = |line: &str| Signal::Candidate { stream: 0, line: line.into() };
    outbox.hold(line("slow"));
    outbox.flush(at(0), &mut channel);
    outbox.delay = millis(10);
    outbox.hold(line("fast"));
    outbox.flush(at(5), &mut channel);

    for expected in [line("slow"), line("fast")] {
        assert_eq!(channel.next(), Some((at(300), AgentIndex(1))));
        assert_eq!(channel.receive(), Some((AgentIndex(1), expected)));
    }
    assert_eq!(channel.next(), None);
}

#[test]
fn what_an_agent_has_to_say_waits_for_its_start_and_its_peer() {
    let mut world = World::new([1; 32]);
    let alice = world.add_agent(AgentConfig::new(Role::Controlling)).unwrap();
    let bob = world.add_agent(AgentConfig::new(Role::Controlled)).unwrap();
    world.add_socket(alice, addr(ALICE)).unwrap();
    world.add_socket(bob, addr(BOB)).unwrap();
    world.start(alice).unwrap();
    assert_eq!(world.run_until_idle(at(100)), Ok(End::Idle));
    assert_eq!(world.stats().steps, 0);

    world.connect(alice, bob).unwrap();
    world.run_until(at(200)).unwrap();
    assert!(world.stats().steps > 0);
    assert_eq!(world.agent(alice).unwrap().state(), ConnectionState::New);
    assert_eq!(world.agent(alice).unwrap().remote_candidates().count(), 0);
    world.start(bob).unwrap();
    assert_eq!(world.run_while(|world| !completed(world), at(1_000)), Ok(End::Condition));
}

#[test]
fn the_only_path_that_works_is_found() {
    let mut two = two(2, |_| {});
    two.world.add_socket(two.bob, addr(BOB_TOO)).unwrap();
    let path = (ip(ALICE), ip(BOB_TOO));
    two.world.network_mut().allow_only([path, (path.1, path.0)]);
    two = two.start();
    assert_eq!(two.complete(at(5_000)), End::Condition);
    assert_eq!(selected(&two.world, two.alice), (ALICE.into(), BOB_TOO.into()));
    assert!(two.world.network().stats().blocked > 0);
}

#[test]
fn streams_are_matched_by_position_and_components_by_number() {
    let mut world = World::new([3; 32]);
    let mut add = |role, host: &str| {
        let mut config = AgentConfig::new(role);
        config.components = 2;
        let agent = world.add_agent(config).unwrap();
        let second = world.agent_mut(agent).unwrap().add_stream(at(0), 1).unwrap();
        let first = world.agent(agent).unwrap().streams().next().unwrap();
        for (port, (stream, component)) in [(1, (first, 1)), (2, (first, 2)), (3, (second, 1))] {
            let local = LocalAddress::udp(addr(&format!("{host}:{port}")));
            world.add_local(agent, stream, component, local).unwrap();
        }
        agent
    };
    let (alice, bob) = (add(Role::Controlling, "192.0.2.1"), add(Role::Controlled, "192.0.2.2"));
    world.connect(alice, bob).unwrap();
    world.start(alice).unwrap();
    world.start(bob).unwrap();
    assert_eq!(world.run_while(|world| !completed(world), at(5_000)), Ok(End::Condition));

    let agent = world.agent(alice).unwrap();
    let streams: Vec<_> = agent.streams().collect();
    for (stream, component, port) in [(0, 1, 1), (0, 2, 2), (1, 1, 3)] {
        let pair = agent.selected_pair(streams[stream], component).unwrap();
        assert_eq!((pair.local.addr.port(), pair.remote.addr.port()), (port, port));
    }
}

#[test]
fn equal_seeds_make_equal_worlds() {
    let run = |seed| {
        let mut two = two(seed, |_| {});
        let link = Link::delayed(millis(20))
            .with_jitter(millis(30))
            .with_loss(Probability::percent(20))
            .with_duplication(Probability::percent(5));
        two.world.network_mut().set_default_link(link);
        two = two.start();
        two.world.run_until(at(10_000)).unwrap();
        (two.world.hash(), two.world.take_log(two.alice), two.world.take_log(two.bob))
    };
    assert_eq!(run(4), run(4));
    assert_ne!(run(4).0, run(5).0);
}

#[test]
fn the_hash_knows_every_byte_that_is_sent() {
    let mut two = two(21, |_| {}).start();
    assert_eq!(two.complete(at(1_000)), End::Condition);
    let stream = two.world.agent(two.alice).unwrap().streams().next().unwrap();
    let mut twin = two.world.clone();
    two.world.send(two.alice, stream, 1, b"hello").unwrap();
    twin.send(two.alice, stream, 1, b"hellO").unwrap();
    assert_ne!(two.world.hash(), twin.hash());
}

#[test]
fn a_clone_goes_its_own_way() {
    let mut two = two(5, |_| {}).start();
    two.world.run_until(at(15)).unwrap();
    let mut twin = two.world.clone();
    let mut cut_off = two.world.clone();
    cut_off.network_mut().block_between(ip(ALICE), ip(BOB));
    for world in [&mut two.world, &mut twin, &mut cut_off] {
        world.run_until(at(500)).unwrap();
    }
    assert_eq!(two.world.hash(), twin.hash());
    assert!(completed(&twin));
    assert!(!completed(&cut_off));
    assert_ne!(two.world.hash(), cut_off.hash());
}

#[test]
fn a_filter_drops_what_it_wants() {
    let mut two = two(6, |_| {}).start();
    let mut dropped = 0;
    let filter = |_, _: &mut Datagram| {
        dropped += 1;
        if dropped <= 3 { Verdict::Drop } else { Verdict::Deliver }
    };
    two.world.run_filtered(at(5_000), filter).unwrap();
    assert_eq!(two.world.now(), at(5_000));
    assert_eq!(two.world.network().stats().removed, 3);
    assert!(completed(&two.world));
}

#[test]
fn a_datagram_that_a_test_alters_on_its_way_is_ignored() {
    let mut two = two(7, |_| {}).start();
    let id = loop {
        match two.world.next_step().unwrap().unwrap() {
            Step::Datagram(id) => break id,
            _ => two.world.step().unwrap(),
        };
    };
    let datagram = two.world.network_mut().underway_mut(id).unwrap();
    *datagram.payload.last_mut().unwrap() ^= 1;
    let receiver = if datagram.to == addr(BOB) { two.bob } else { two.alice };
    assert_eq!(two.world.step(), Ok(Some(Step::Datagram(id))));
    let entry = two.world.log(receiver).last().unwrap();
    let Logged::Ignored { reason, .. } = entry.what else { panic!("{entry}") };
    assert_eq!(reason, Ignored::BadFingerprint);
    assert_eq!(entry.at, id.arrival());
}

#[test]
fn a_datagram_may_be_injected_from_anywhere() {
    let mut two = two(8, |_| {}).start();
    assert_eq!(two.complete(at(1_000)), End::Condition);
    let stranger = addr("203.0.113.66:666");
    // The digest knows of the time: Bob is told it before he hears of the stranger.
    two.world.call(two.bob, IceAgent::handle_timeout).unwrap();
    let digest = two.world.agent(two.bob).unwrap().state_digest();
    let id = two.world.inject(Datagram::udp(stranger, addr(BOB), *b"who am I"));
    assert_eq!(id.arrival(), two.world.now());
    assert_eq!(two.world.step(), Ok(Some(Step::Datagram(id))));

    let ignored = two.world.log(two.bob).last().unwrap().what.clone();
    let (local, reason) = (addr(BOB), Ignored::UnknownRemote);
    assert_eq!(ignored, Logged::Ignored { local, remote: stranger, len: 8, reason });
    assert_eq!(two.world.agent(two.bob).unwrap().state_digest(), digest);
}

#[test]
fn application_data_takes_the_selected_path() {
    let mut two = two(9, |_| {}).start();
    let stream = two.world.agent(two.alice).unwrap().streams().next().unwrap();
    assert_eq!(two.world.send(two.alice, stream, 1, b"early"), Err(SendError::NotConnected));
    assert_eq!(two.complete(at(1_000)), End::Condition);
    let sent = two.world.now();
    two.world.send(two.alice, stream, 1, b"hello").unwrap();
    let unheard = |world: &World| world.received(two.bob).next().is_none();
    assert_eq!(two.world.run_while(unheard, at(2_000)), Ok(End::Condition));
    assert_eq!(two.world.now(), sent + millis(10));
    assert_eq!(two.world.received(two.bob).collect::<Vec<_>>(), [b"hello"]);
}

#[test]
fn a_closed_socket_neither_sends_nor_receives() {
    let mut two = two(10, |_| {}).start();
    assert!(two.world.close_socket(two.bob, addr(BOB)));
    assert!(!two.world.close_socket(two.bob, addr(BOB)));
    two.world.run_until(at(1_000)).unwrap();
    assert!(two.world.stats().unclaimed > 0);
    assert!(two.world.stats().unsent > 0);
    assert_eq!(two.world.network().stats().delivered, two.world.stats().unclaimed);
}

#[test]
fn a_dual_stack_socket_sees_ipv4_in_its_own_form() {
    let mut world = World::new([11; 32]);
    let alice = world.add_agent(AgentConfig::new(Role::Controlling)).unwrap();
    let bob = world.add_agent(AgentConfig::new(Role::Controlled)).unwrap();
    world.add_socket(alice, addr("[::ffff:192.0.2.1]:5000")).unwrap();
    world.add_socket(bob, addr(BOB)).unwrap();
    world.connect(alice, bob).unwrap();
    world.start(alice).unwrap();
    world.start(bob).unwrap();
    assert_eq!(world.run_while(|world| !completed(world), at(1_000)), Ok(End::Condition));
    let remotes: Vec<_> = world
        .log(alice)
        .iter()
        .filter_map(|entry| match entry.what {
            Logged::Consumed { remote, .. } => Some(remote),
            _ => None,
        })
        .collect();
    assert!(!remotes.is_empty());
    assert!(remotes.iter().all(|remote| *remote == addr("[::ffff:192.0.2.2]:6000")));
}

#[test]
fn a_link_local_sender_is_on_the_link_of_the_socket() {
    let agent = AgentIndex(0);
    let socket = Socket { agent, addr: addr("[fe80::1%3]:5000") };
    assert_eq!(socket.sees(addr("[fe80::2%7]:6000")), addr("[fe80::2%3]:6000"));
    assert_eq!(socket.sees(addr("[2001:db8::2]:6000")), addr("[2001:db8::2]:6000"));
}

#[test]
fn a_signal_that_is_refused_is_counted_and_logged() {
    let mut two = two(12, |_| {}).start();
    let line = |stream, line: &str| Signal::Candidate { stream, line: line.into() };
    two.world.signal(at(5), two.bob, line(0, "candidate:nonsense"));
    two.world.signal(at(5), two.bob, line(7, "1 1 UDP 1 192.0.2.9 9 typ host"));
    two.world.signal(at(6), two.bob, Signal::EndOfCandidates { ufrag: None });
    two.world.run_until(at(10)).unwrap();
    assert_eq!(two.world.stats().refused_signals, 2);
    let refused: Vec<_> = two
        .world
        .log(two.bob)
        .iter()
        .filter_map(|entry| match entry.what {
            Logged::SignalRefused(error) => Some((entry.at, error)),
            _ => None,
        })
        .collect();
    assert!(matches!(refused[0], (_, SignalError::Line(_))));
    assert_eq!(refused[1], (at(5), SignalError::Stream(7)));
}

#[test]
fn an_agent_of_another_world_is_an_error() {
    let mut larger = two(13, |_| {});
    let stranger = larger.world.add_agent(AgentConfig::new(Role::Controlled)).unwrap();
    let mut two = two(13, |_| {});
    let error = WorldError::UnknownAgent(stranger);
    assert_eq!(two.world.start(stranger), Err(error));
    assert_eq!(two.world.connect(two.alice, stranger), Err(error));
    assert_eq!(two.world.connect(stranger, two.alice), Err(error));
    assert_eq!(
        two.world.add_socket(stranger, addr("192.0.2.9:1")),
        Err(AddSocketError::UnknownAgent)
    );
    assert!(two.world.agent(stranger).is_none());
    assert!(two.world.log(stranger).is_empty());
    two.world.signal(at(0), stranger, Signal::EndOfCandidates { ufrag: None });
    assert_eq!(two.world.run_until(at(1)), Err(error));
}

#[test]
fn an_instant_that_does_not_end_is_an_error() {
    let mut two = two(14, |_| {});
    two.world.set_inputs_per_instant(3);
    for _ in 0..5 {
        two.world.inject(Datagram::udp(addr(ALICE), addr(BOB), *b"flood"));
    }
    let endless = WorldError::Endless { agent: two.bob, at: at(0) };
    assert_eq!(two.world.run_until(at(1)), Err(endless));
}

#[test]
fn an_agent_that_stays_due_after_its_timeout_is_an_error() {
    let agent = IceAgent::new(AgentConfig::new(Role::Controlling), [15; 32]).unwrap();
    let host = Network::new([15; 32]).add_host();
    let mut node = Node::new(agent, host, Signalling::Trickle, LogDetail::Off);
    for deadline in [None, Some(at(6))] {
        node.deadline = deadline;
        assert_eq!(node.rest(at(5), 0, 0), Ok(()));
    }
    for deadline in [at(4), at(5)] {
        node.deadline = Some(deadline);
        assert_eq!(node.rest(at(5), 0, 0), Err(deadline));
        // An event may make something due once more, but not for ever.
        let mut repeats = 0;
        while node.rest(at(5), 1, repeats).is_ok() {
            assert!(repeats < 100);
            repeats = node.repeats;
        }
        assert!(repeats > 1);
    }
}

#[test]
fn at_one_instant_signals_come_first_then_datagrams_then_timeouts() {
    let mut two = two(20, |_| {});
    two.world.network_mut().block_between(ip(ALICE), ip(BOB));
    two = two.start();
    two.world.run_until(at(0)).unwrap();
    let Some(Step::Timeout { at: due, agent }) = two.world.next_step().unwrap() else {
        panic!("nothing is on its way")
    };
    let id = two.world.network_mut().inject(due, Datagram::udp(addr(ALICE), addr(BOB), *b"x"));
    two.world.signal(due, two.bob, Signal::Candidate { stream: 0, line: "x".into() });
    let expected = [
        Step::Signal { at: due, to: two.bob },
        Step::Datagram(id),
        Step::Timeout { at: due, agent },
    ];
    for step in expected {
        assert_eq!(two.world.step(), Ok(Some(step)));
    }
}

#[test]
fn time_is_where_a_run_has_ended() {
    let mut world = World::new([16; 32]);
    world.run_until(at(7)).unwrap();
    assert_eq!(world.now(), at(7));
    world.run_until(at(3)).unwrap();
    assert_eq!(world.now(), at(7));
    assert_eq!(world.run_until_idle(at(9)), Ok(End::Idle));
    assert_eq!(world.now(), at(7));
    world.inject(Datagram::udp(addr(ALICE), addr(BOB), *b"nobody there"));
    world.network_mut().inject(at(20), Datagram::udp(addr(ALICE), addr(BOB), *b"nor there"));
    assert_eq!(world.run_until_idle(at(9)), Ok(End::Limit));
    assert_eq!(world.now(), at(9));
    assert_eq!(world.step().map(|step| step.map(Step::at)), Ok(Some(at(20))));
    assert_eq!(world.network().stats().unreachable_destination, 2);
}

#[test]
fn an_agent_that_was_lent_out_is_drained_before_the_next_step() {
    let mut two = two(17, |_| {}).start();
    assert_eq!(two.complete(at(1_000)), End::Condition);
    let now = two.world.now();
    two.world.agent_mut(two.alice).unwrap().close(now);
    two.world.run_until(now).unwrap();
    let closed = Event::ConnectionState(ConnectionState::Closed);
    assert_eq!(two.world.events(two.alice).last(), Some((now, &closed)));
}

#[test]
fn the_log_holds_as_much_as_was_asked_for_and_reads_as_a_timeline() {
    let run = |detail| {
        let mut two = two(18, |_| {});
        two.world.set_log_detail(detail);
        two = two.start();
        two.world.run_until(at(100)).unwrap();
        (two.world.hash(), two.world.take_log(two.alice))
    };
    let (hash, off) = run(LogDetail::Off);
    let (same_hash, headers) = run(LogDetail::Headers);
    let (_, full) = run(LogDetail::Full);
    assert_eq!(hash, same_hash);
    assert!(off.is_empty());
    let lengths = |log: &[LogEntry]| {
        log.iter()
            .filter_map(|entry| match &entry.what {
                Logged::Transmit { len, bytes, .. } => Some((*len, bytes.len())),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    assert!(lengths(&headers).iter().all(|(len, kept)| *len > 20 && *kept == 20));
    assert!(lengths(&full).iter().all(|(len, kept)| len == kept));
    assert_eq!(lengths(&headers).len(), lengths(&full).len());

    let first = headers.iter().find(|entry| matches!(entry.what, Logged::Transmit { .. }));
    let line = first.unwrap().to_string();
    assert!(line.contains(" ms  sends "), "{line}");
    assert!(line.contains(": 0001"), "a Binding request: {line}");
}

#[test]
fn many_sessions_share_a_world_without_touching_each_other() {
    let mut world = World::new([19; 32]);
    let link = Link::delayed(millis(10)).with_loss(Probability::percent(5));
    world.network_mut().set_default_link(link);
    for session in 0..100u8 {
        let agents = [Role::Controlling, Role::Controlled].map(|role| {
            let agent = world.add_agent(AgentConfig::new(role)).unwrap();
            let subnet = if role == Role::Controlling { 1 } else { 2 };
            world.add_socket(agent, addr(&format!("10.0.{subnet}.{session}:1000"))).unwrap();
            agent
        });
        world.connect(agents[0], agents[1]).unwrap();
        for agent in agents {
            world.start(agent).unwrap();
        }
    }
    assert_eq!(world.run_while(|world| !completed(world), at(20_000)), Ok(End::Condition));
    for (agent, _) in world.agents() {
        let (local, remote) = selected(&world, agent);
        assert_eq!(local.rsplit('.').next(), remote.rsplit('.').next());
    }
}
