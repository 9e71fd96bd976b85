//! The model: agents in a plain list, each driven by itself. An agent in a `Mux` must say the same at
//! the same times, up to what depends on its transaction ids.

use std::collections::VecDeque;
use std::time::Duration;

use frazil::{
    Event, IceAgent, LocalAddress, Mux, MuxConfig, MuxReceived, Received, Role, Route, SessionId,
    Timestamp, Transport,
};
use proptest::prelude::*;

use crate::common::{FINGERPRINT, MESSAGE_INTEGRITY, Sent, addr};
use crate::stage::{full, lite, seed, stream_of};

/// What an agent has put out.
#[derive(Clone, Debug, PartialEq)]
enum Output {
    Message { at: Timestamp, to: String, kind: u16, attrs: Vec<(u16, Vec<u8>)> },
    Event(Timestamp, Event),
    Data(Timestamp, Vec<u8>),
}

/// What is done to one of the sessions.
#[derive(Clone, Copy, Debug)]
enum Act {
    Restart,
    Rollback,
    Answer,
    Close,
    Data,
    Remove,
}

/// The agents of one side: in a `Mux`, or by themselves.
enum Side {
    Mux(Box<Mux>, Vec<Option<SessionId>>),
    Plain(Vec<Option<IceAgent>>),
}

impl Side {
    fn with<R>(
        &mut self,
        now: Timestamp,
        i: usize,
        act: impl FnOnce(&mut IceAgent) -> R,
    ) -> Option<R> {
        match self {
            Self::Mux(mux, ids) => mux.with(now, ids[i]?, act),
            Self::Plain(agents) => agents[i].as_mut().map(act),
        }
    }

    fn remove(&mut self, i: usize) {
        match self {
            Self::Mux(mux, ids) => drop(ids[i].take().and_then(|id| mux.remove(id))),
            Self::Plain(agents) => agents[i] = None,
        }
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        match self {
            Self::Mux(mux, _) => mux.poll_timeout(),
            Self::Plain(agents) => agents.iter().flatten().filter_map(IceAgent::poll_timeout).min(),
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        match self {
            Self::Mux(mux, _) => mux.handle_timeout(now),
            Self::Plain(agents) => {
                agents.iter_mut().flatten().for_each(|agent| agent.handle_timeout(now));
            }
        }
    }

    /// A datagram of the client `i` arrives; the data in it, if that is what it is.
    fn deliver(&mut self, now: Timestamp, i: usize, from: &str, bytes: &[u8]) -> bool {
        let (local, remote) = (addr(SERVER), addr(from));
        let received = match self {
            Self::Mux(mux, ids) => {
                match mux.handle_datagram(now, Transport::Udp, local, remote, bytes) {
                    MuxReceived::Session(id, received) => {
                        assert_eq!(Some(id), ids[i], "it was brought to another session");
                        received
                    }
                    MuxReceived::Ignored(_) => return false,
                    MuxReceived::Shared(_) => panic!("no path is shared"),
                    MuxReceived::Pending => panic!("a datagram is whole"),
                }
            }
            Self::Plain(agents) => {
                let Some(agent) = &mut agents[i] else { return false };
                agent.handle_datagram(now, Transport::Udp, local, remote, bytes)
            }
        };
        matches!(received, Received::Data { .. })
    }

    fn poll(&mut self, now: Timestamp, i: usize) -> (Vec<Sent>, Vec<Event>) {
        let (mut sent, mut events) = (Vec::new(), Vec::new());
        while let Some(Some((transmit, bytes))) = self.with(now, i, |agent| {
            let mut buf = Vec::new();
            let transmit = agent.poll_transmit(now, &mut buf)?;
            Some((transmit.route, buf[transmit.range].to_vec()))
        }) {
            let Route::Datagram { local, remote, .. } = transmit else { panic!("a stream") };
            sent.push(Sent { at: now, from: local, to: remote, dscp: 0, bytes });
        }
        while let Some(Some(event)) = self.with(now, i, |agent| agent.poll_event(now)) {
            events.push(event);
        }
        (sent, events)
    }
}

const SERVER: &str = "10.0.0.1:3478";
const DELAY: Duration = Duration::from_millis(7);

fn client_address(i: usize) -> String {
    format!("10.1.0.{}:5000", i + 1)
}

struct World {
    side: Side,
    clients: Vec<IceAgent>,
    now: Timestamp,
    flights: VecDeque<(Timestamp, usize, bool, Vec<u8>)>,
    outputs: Vec<Vec<Output>>,
    losses: Vec<bool>,
    flown: Vec<[usize; 2]>,
}

impl World {
    fn new(in_mux: bool, sessions: usize, losses: Vec<bool>) -> Self {
        let now = Timestamp::ZERO;
        let servers: Vec<IceAgent> = (0..sessions)
            .map(|i| {
                let config = if i % 3 == 0 { lite() } else { full(Role::Controlled) };
                let mut agent = IceAgent::new(config, seed(i as u32)).unwrap();
                let stream = stream_of(&agent);
                agent.add_local(now, stream, 1, LocalAddress::udp(addr(SERVER))).unwrap();
                agent.gather(now);
                agent
            })
            .collect();
        let clients = (0..sessions)
            .map(|i| {
                let seed = seed(1000 + i as u32);
                let mut agent = IceAgent::new(full(Role::Controlling), seed).unwrap();
                let stream = stream_of(&agent);
                let local = LocalAddress::udp(addr(&client_address(i)));
                agent.add_local(now, stream, 1, local).unwrap();
                agent.gather(now);
                agent
            })
            .collect();
        let side = if in_mux {
            let mut mux = Mux::new(MuxConfig::default(), [5; 32]);
            let ids = servers.into_iter().map(|agent| mux.insert(now, agent).ok()).collect();
            Side::Mux(Box::new(mux), ids)
        } else {
            Side::Plain(servers.into_iter().map(Some).collect())
        };
        let mut world = Self {
            side,
            clients,
            now,
            flights: VecDeque::new(),
            outputs: vec![Vec::new(); sessions],
            losses,
            flown: vec![[0; 2]; sessions],
        };
        world.drain();
        for i in 0..sessions {
            world.introduce(i);
        }
        world
    }

    fn introduce(&mut self, i: usize) {
        let now = self.now;
        let theirs = self.clients[i].local_parameters();
        let Some(ours) = self.side.with(now, i, |agent| {
            let _ = agent.set_remote(now, theirs);
            agent.local_parameters()
        }) else {
            return;
        };
        let _ = self.clients[i].set_remote(now, ours);
        self.drain();
    }

    fn act(&mut self, i: usize, act: Act) {
        let now = self.now;
        match act {
            Act::Restart => {
                self.side.with(now, i, |agent| agent.prepare_restart(now).is_ok());
            }
            Act::Rollback => {
                self.side.with(now, i, |agent| agent.rollback_restart(now));
            }
            // The client restarts, and both commit.
            Act::Answer => {
                let _ = self.clients[i].prepare_restart(now);
                self.drain();
                self.introduce(i);
            }
            Act::Close => {
                self.side.with(now, i, |agent| agent.close(now));
            }
            Act::Data => self.fly(i, true, &[0x80, i as u8]),
            Act::Remove => self.side.remove(i),
        }
        self.drain();
    }

    /// The same packets are lost in both worlds: by their number on their way.
    fn fly(&mut self, i: usize, up: bool, bytes: &[u8]) {
        let number = &mut self.flown[i][usize::from(up)];
        *number += 1;
        let lost = self.losses[(*number * 2 + usize::from(up) + i) % self.losses.len()];
        if !lost {
            self.flights.push_back((self.now + DELAY, i, up, bytes.to_vec()));
        }
    }

    fn drain(&mut self) {
        let now = self.now;
        for i in 0..self.clients.len() {
            let (sent, events) = self.side.poll(now, i);
            for sent in sent {
                self.fly(i, false, &sent.bytes);
                let attrs = sent.attrs().into_iter();
                let attrs =
                    attrs.filter(|(kind, _)| ![MESSAGE_INTEGRITY, FINGERPRINT].contains(kind));
                self.outputs[i].push(Output::Message {
                    at: now,
                    to: sent.to.to_string(),
                    kind: sent.kind(),
                    attrs: attrs.collect(),
                });
            }
            for event in events {
                if let Event::LocalCandidate { candidate, .. } = &event {
                    let stream = stream_of(&self.clients[i]);
                    let _ = self.clients[i].add_remote_candidate(now, stream, candidate);
                }
                self.outputs[i].push(Output::Event(now, event));
            }
            loop {
                let mut buf = Vec::new();
                if let Some(transmit) = self.clients[i].poll_transmit(now, &mut buf) {
                    self.fly(i, true, &buf[transmit.range]);
                } else if let Some(event) = self.clients[i].poll_event(now) {
                    if let Event::LocalCandidate { candidate, .. } = &event {
                        self.side.with(now, i, |agent| {
                            let stream = stream_of(agent);
                            agent.add_remote_candidate(now, stream, candidate).is_ok()
                        });
                    }
                } else {
                    break;
                }
            }
        }
    }

    fn run_until(&mut self, until: Timestamp) {
        loop {
            let arrival = self.flights.front().map(|flight| flight.0);
            let clients = self.clients.iter().filter_map(IceAgent::poll_timeout);
            let Some(next) = clients.chain(arrival).chain(self.side.poll_timeout()).min() else {
                break;
            };
            if next > until {
                break;
            }
            self.now = next;
            while self.flights.front().is_some_and(|flight| flight.0 <= next) {
                let (_, i, up, bytes) = self.flights.pop_front().unwrap();
                if up {
                    if self.side.deliver(next, i, &client_address(i), &bytes) {
                        self.outputs[i].push(Output::Data(next, bytes));
                    }
                } else {
                    let (local, remote) = (addr(&client_address(i)), addr(SERVER));
                    let _ = self.clients[i].handle_datagram(
                        next,
                        Transport::Udp,
                        local,
                        remote,
                        &bytes,
                    );
                }
            }
            self.side.handle_timeout(next);
            self.clients.iter_mut().for_each(|client| client.handle_timeout(next));
            self.drain();
        }
        self.now = until;
    }
}

fn acts() -> impl Strategy<Value = Vec<(u64, usize, Act)>> {
    let act = prop_oneof![
        2 => Just(Act::Restart),
        1 => Just(Act::Rollback),
        2 => Just(Act::Answer),
        1 => Just(Act::Close),
        4 => Just(Act::Data),
        1 => Just(Act::Remove),
    ];
    prop::collection::vec((0_u64..3000, 0_usize..5, act), 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn an_agent_in_a_mux_says_what_it_would_say_alone(
        sessions in 1_usize..5,
        acts in acts(),
        losses in prop::collection::vec(prop::bool::weighted(0.15), 31),
    ) {
        let run = |in_mux| {
            let mut world = World::new(in_mux, sessions, losses.clone());
            for &(wait, i, act) in &acts {
                world.run_until(world.now + Duration::from_millis(wait));
                world.act(i % sessions, act);
            }
            world.run_until(world.now + Duration::from_secs(20));
            world.outputs
        };
        let (alone, in_mux) = (run(false), run(true));
        for (alone, in_mux) in alone.iter().zip(&in_mux) {
            for (one, other) in alone.iter().zip(in_mux) {
                prop_assert_eq!(one, other);
            }
            prop_assert_eq!(alone.len(), in_mux.len());
        }
    }
}
