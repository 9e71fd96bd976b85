//! Two `Mux`es talk over TCP: one listens for all of its sessions, the other one opens connections.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use frazil::{
    AgentConfig, ConnectionId, ConnectionState, Event, IceAgent, InsertRefused, LocalAddress, Mux,
    MuxConfig, MuxReceived, Received, Role, Route, Server, ServerCredentials, ServerUri, SessionId,
    Timestamp,
};

use crate::common::addr;
use crate::stage::{DELAY, Party, full, lite, seed, stream_of};

const LISTENER: &str = "10.0.0.1:443";
const CLIENT: &str = "10.1.0.1";

/// One end of a connection.
type End = (usize, ConnectionId);

struct Flight {
    at: Timestamp,
    to: End,
    /// None when the connection is closed.
    bytes: Option<Vec<u8>>,
}

struct Net {
    muxes: [Mux; 2],
    now: Timestamp,
    /// The other end of each that is open.
    ends: BTreeMap<End, End>,
    /// Every id that there was.
    ids: BTreeSet<End>,
    flights: VecDeque<Flight>,
    peers: BTreeMap<Party, Party>,
    delivered: Vec<(Party, Vec<u8>)>,
    /// Bytes that arrive together.
    segment: usize,
    next_port: u16,
}

impl Net {
    fn new() -> Self {
        Self {
            muxes: [1, 2].map(|seed| Mux::new(MuxConfig::default(), [seed; 32])),
            now: Timestamp::ZERO,
            ends: BTreeMap::new(),
            ids: BTreeSet::new(),
            flights: VecDeque::new(),
            peers: BTreeMap::new(),
            delivered: Vec::new(),
            segment: usize::MAX,
            next_port: 10_000,
        }
    }

    fn add(&mut self, at: usize, config: AgentConfig, number: u32) -> Party {
        let agent = IceAgent::new(config, seed(number)).unwrap();
        let id = self.muxes[at].insert(self.now, agent).unwrap();
        self.add_local((at, id));
        (at, id)
    }

    fn add_local(&mut self, (at, id): Party) {
        let now = self.now;
        let local = match at {
            0 => LocalAddress::tcp_passive(addr(LISTENER)),
            _ => LocalAddress::tcp_active(CLIENT.parse().unwrap()),
        };
        self.with((at, id), |agent| {
            agent.add_local(now, stream_of(agent), 1, local).unwrap();
            agent.gather(now);
        });
    }

    fn with<R>(&mut self, (at, id): Party, act: impl FnOnce(&mut IceAgent) -> R) -> R {
        self.muxes[at].with(self.now, id, act).expect("the session is there")
    }

    fn agent(&self, (at, id): Party) -> &IceAgent {
        self.muxes[at].agent(id).expect("the session is there")
    }

    /// A listening session and one that connects to it.
    fn pair(&mut self, number: u32, server: AgentConfig) -> [Party; 2] {
        let pair =
            [self.add(0, server, 2 * number), self.add(1, full(Role::Controlling), 2 * number + 1)];
        self.introduce(pair);
        pair
    }

    fn introduce(&mut self, [a, b]: [Party; 2]) {
        self.peers.extend([(a, b), (b, a)]);
        self.exchange_parameters([a, b]);
    }

    fn exchange_parameters(&mut self, [a, b]: [Party; 2]) {
        self.drain();
        let now = self.now;
        for (to, of) in [(a, b), (b, a)] {
            let theirs = self.agent(of).local_parameters();
            self.with(to, |agent| agent.set_remote(now, theirs)).unwrap();
        }
        self.drain();
    }

    fn is_completed(&self, party: Party) -> bool {
        self.agent(party).state() == ConnectionState::Completed
    }

    fn fly(&mut self, to: End, bytes: Option<Vec<u8>>) {
        self.flights.push_back(Flight { at: self.now + DELAY, to, bytes });
    }

    fn send(&mut self, party: Party, payload: &[u8]) {
        let now = self.now;
        let (route, frame) = self.with(party, |agent| {
            let out = agent.send(now, stream_of(agent), 1, payload).unwrap();
            (out.route, [out.head(), out.payload(), out.padding()].concat())
        });
        let Route::Stream(id) = route else { panic!("a datagram") };
        let to = self.ends[&(party.0, id)];
        self.fly(to, Some(frame));
    }

    /// Somebody connects to the listener.
    fn connect(&mut self, client: End) -> SocketAddr {
        self.next_port += 1;
        let from = SocketAddr::new(CLIENT.parse().unwrap(), self.next_port);
        let id = self.muxes[0].connection_accepted(self.now, addr(LISTENER), from).unwrap();
        let server = (0, id);
        for end in [client, server] {
            assert!(self.ids.insert(end), "{end:?} was there before");
        }
        self.ends.extend([(client, server), (server, client)]);
        from
    }

    fn close(&mut self, end: End) {
        if let Some(other) = self.ends.remove(&end) {
            self.fly(other, None);
        }
    }

    /// A connection breaks, and both sides see it at once.
    fn cut(&mut self, end: End) {
        let other = self.ends[&end];
        for end in [end, other] {
            self.ends.remove(&end);
            self.muxes[end.0].connection_closed(self.now, end.1);
        }
        self.drain();
    }

    fn drain(&mut self) {
        for at in [0, 1] {
            let mut buf = Vec::new();
            loop {
                buf.clear();
                let now = self.now;
                if let Some((_, transmit)) = self.muxes[at].poll_transmit(now, &mut buf) {
                    let Route::Stream(id) = transmit.route else { panic!("a datagram") };
                    if let Some(&to) = self.ends.get(&(at, id)) {
                        self.fly(to, Some(buf[transmit.range].to_vec()));
                    }
                } else if let Some((id, event)) = self.muxes[at].poll_event(now) {
                    self.obey((at, id), event);
                } else if let Some(id) = self.muxes[at].poll_close() {
                    self.close((at, id));
                } else {
                    break;
                }
            }
        }
    }

    fn obey(&mut self, (at, id): Party, event: Event) {
        let now = self.now;
        match event {
            Event::LocalCandidate { candidate, .. } => {
                let Some(&(at, id)) = self.peers.get(&(at, id)) else { return };
                // The peer may be gone.
                self.muxes[at].with(now, id, |agent| {
                    let stream = stream_of(agent);
                    agent.add_remote_candidate(now, stream, &candidate).ok();
                });
            }
            Event::OpenConnection { connection, remote, .. } => {
                assert_eq!(remote, addr(LISTENER));
                self.connect((at, connection));
                self.muxes[at].connection_opened(now, connection);
            }
            Event::CloseConnection { connection } => self.close((at, connection)),
            _ => {}
        }
    }

    fn deliver(&mut self, (at, id): End, bytes: &[u8]) {
        for mut input in bytes.chunks(self.segment) {
            while !input.is_empty() {
                match self.muxes[at].handle_stream(self.now, id, &mut input) {
                    MuxReceived::Session(session, Received::Data { payload, .. }) => {
                        self.delivered.push(((at, session), payload.to_vec()));
                    }
                    MuxReceived::Session(_, Received::Consumed | Received::Ignored(_))
                    | MuxReceived::Pending
                    | MuxReceived::Ignored(_) => {}
                    MuxReceived::Shared(_) => panic!("a connection has one session"),
                }
                self.drain();
            }
        }
    }

    fn next_moment(&self) -> Option<Timestamp> {
        let timeouts = self.muxes.iter().filter_map(Mux::poll_timeout);
        timeouts.chain(self.flights.front().map(|flight| flight.at)).min()
    }

    fn step(&mut self) {
        let next = self.next_moment().expect("something is due");
        self.now = self.now.max(next);
        while self.flights.front().is_some_and(|flight| flight.at <= self.now) {
            let Flight { to, bytes, .. } = self.flights.pop_front().unwrap();
            if !self.ends.contains_key(&to) {
                // Closed from this side meanwhile.
                continue;
            }
            match bytes {
                Some(bytes) => self.deliver(to, &bytes),
                None => {
                    self.ends.remove(&to);
                    self.muxes[to.0].connection_closed(self.now, to.1);
                    self.drain();
                }
            }
        }
        for mux in &mut self.muxes {
            mux.handle_timeout(self.now);
        }
        self.drain();
        for mux in &self.muxes {
            assert!(mux.poll_timeout().is_none_or(|at| at > self.now), "the deadline did not move");
        }
    }

    fn run_for_secs(&mut self, secs: u64) {
        let until = self.now + Duration::from_secs(secs);
        while self.next_moment().is_some_and(|next| next <= until) {
            self.step();
        }
        self.now = self.now.max(until);
    }

    /// The connections of a session.
    fn connections(&self, party: Party) -> Vec<ConnectionId> {
        let own = |end: &&End| {
            end.0 == party.0 && self.muxes[end.0].connection_session(end.1) == Some(party.1)
        };
        self.ends.keys().filter(own).map(|end| end.1).collect()
    }

    fn assert_talks(&mut self, pairs: &[[Party; 2]]) {
        self.delivered.clear();
        let mut wanted = Vec::new();
        for (number, &[server, client]) in pairs.iter().enumerate() {
            let (to, from) = (format!("to {number}"), format!("from {number}"));
            self.send(client, to.as_bytes());
            self.send(server, from.as_bytes());
            wanted.extend([(server, to.into_bytes()), (client, from.into_bytes())]);
        }
        self.run_for_secs(1);
        self.delivered.sort();
        wanted.sort();
        assert_eq!(self.delivered, wanted);
    }
}

fn servers(number: u32) -> AgentConfig {
    if number % 2 == 0 { lite() } else { full(Role::Controlled) }
}

#[test]
fn sessions_behind_one_listener_connect_and_get_their_own_data() {
    let mut net = Net::new();
    let pairs: Vec<_> = (0..40).map(|number| net.pair(number, servers(number))).collect();
    net.run_for_secs(5);
    for &party in pairs.iter().flatten() {
        assert!(net.is_completed(party), "{party:?}: {}", net.agent(party).explain());
        assert_eq!(net.connections(party).len(), 1);
    }
    assert_eq!(net.muxes[0].pending_connections(), 0);
    net.assert_talks(&pairs);
    // And it stays so: consent of all of them.
    net.run_for_secs(60);
    assert!(pairs.iter().flatten().all(|&party| net.is_completed(party)));
    net.assert_talks(&pairs);
}

/// The first message is put together while the connection is nobody's, and the later ones by its agent.
#[test]
fn streams_may_be_cut_anywhere() {
    for segment in [1, 2, 3, 7, 50, 1000] {
        let mut net = Net::new();
        net.segment = segment;
        let pairs: Vec<_> = (0..4).map(|number| net.pair(number, servers(number))).collect();
        net.run_for_secs(5);
        net.assert_talks(&pairs);
    }
}

/// What follows the first message in the same bytes is the agent's at once.
#[test]
fn data_may_come_together_with_the_first_message() {
    let mut net = Net::new();
    let [server, client] = net.pair(1, full(Role::Controlled));
    net.run_for_secs(5);
    let end = (1, net.connections(client)[0]);
    net.cut(end);
    // The connection is opened again; its first bytes are held back until data has joined them.
    let before = net.now;
    while net.flights.iter().all(|flight| flight.bytes.is_none()) {
        net.step();
    }
    assert!(net.now < before + Duration::from_secs(1));
    let first = net.flights.iter().position(|flight| flight.bytes.is_some()).unwrap();
    let to = net.flights[first].to;
    assert_eq!(net.muxes[0].connection_session(to.1), None);
    let data = [&5_u16.to_be_bytes()[..], b"hello"].concat();
    net.flights[first].bytes.as_mut().unwrap().extend(data);
    net.run_for_secs(1);
    assert_eq!(net.delivered, [(server, b"hello".to_vec())]);
}

#[test]
fn a_lost_connection_is_opened_again_and_finds_its_session() {
    let mut net = Net::new();
    let pairs: Vec<_> = (0..6).map(|number| net.pair(number, servers(number))).collect();
    net.run_for_secs(5);
    for &[_, client] in &pairs {
        let lost = net.connections(client)[0];
        net.cut((1, lost));
        net.run_for_secs(3);
        let new = net.connections(client);
        assert_eq!(new.len(), 1);
        assert!(new[0] > lost);
    }
    net.run_for_secs(5);
    net.assert_talks(&pairs);
}

#[test]
fn a_restart_opens_connections_that_find_their_session_by_the_new_ufrag() {
    let mut net = Net::new();
    let pair = net.pair(1, full(Role::Controlled));
    net.run_for_secs(5);
    let old = net.connections(pair[1]);
    let now = net.now;
    for party in pair {
        net.with(party, |agent| agent.prepare_restart(now)).unwrap();
    }
    net.exchange_parameters(pair);
    // The old path carries data all the while.
    net.assert_talks(&[pair]);
    net.run_for_secs(60);
    assert!(pair.iter().all(|&party| net.is_completed(party)));
    let new = net.connections(pair[1]);
    assert_eq!(new.len(), 1);
    assert_ne!(new, old);
    net.assert_talks(&[pair]);
}

#[test]
fn agents_removed_in_the_middle_of_anything_leave_no_connection_behind() {
    for steps in 0..40 {
        let mut net = Net::new();
        net.segment = 30;
        let pairs: Vec<_> = (0..4).map(|number| net.pair(number, servers(number))).collect();
        for _ in 0..steps {
            net.step();
        }
        let [kept, both, server, client] = pairs[..] else { panic!() };
        let gone = [both[0], both[1], server[0], client[1]];
        for (at, id) in gone {
            assert!(net.muxes[at].remove(id).is_some());
        }
        net.drain();
        net.run_for_secs(15);
        net.assert_talks(&[kept]);
        for end in net.ends.keys() {
            let session = net.muxes[end.0].connection_session(end.1);
            assert!(session.is_some_and(|id| !gone.contains(&(end.0, id))), "{steps}: {end:?}");
        }
        for (at, id) in [kept[0], kept[1], server[1], client[0]] {
            assert!(net.muxes[at].remove(id).is_some());
        }
        net.drain();
        net.run_for_secs(15);
        assert!(net.ends.is_empty(), "{steps}: {:?}", net.ends);
        for mux in &net.muxes {
            assert_eq!((mux.poll_timeout(), mux.pending_connections()), (None, 0));
        }
    }
}

/// An agent that is closed says itself which connections are to be closed; when it is removed before it
/// was asked, the `Mux` does.
#[test]
fn connections_of_an_agent_that_was_closed_and_removed_are_closed() {
    let mut net = Net::new();
    let [server, client] = net.pair(1, full(Role::Controlled));
    net.run_for_secs(5);
    let now = net.now;
    for (at, id) in [server, client] {
        net.muxes[at].with(now, id, |agent| agent.close(now));
        net.muxes[at].remove(id);
    }
    net.drain();
    assert!(net.ends.is_empty());
}

#[test]
fn an_agent_that_was_removed_goes_on_in_another_mux_with_another_connection() {
    let mut net = Net::new();
    let [server, client] = net.pair(1, full(Role::Controlled));
    net.run_for_secs(5);
    let old = net.connections(client);
    let agent = net.muxes[1].remove(client.1).unwrap();
    net.drain();
    assert!(net.ends.is_empty() || net.flights.iter().any(|flight| flight.bytes.is_none()));
    let id = net.muxes[1].insert(net.now, agent).unwrap();
    let client = (1, id);
    net.peers.extend([(client, server), (server, client)]);
    net.run_for_secs(5);
    let new = net.connections(client);
    assert_eq!(new.len(), 1);
    assert!(new[0] > old[0], "ids are not given twice");
    net.assert_talks(&[[server, client]]);
}

#[test]
fn an_agent_that_takes_the_place_of_another_one_closes_its_connections() {
    let mut net = Net::new();
    let [server, client] = net.pair(1, full(Role::Controlled));
    net.run_for_secs(5);
    let other = IceAgent::new(full(Role::Controlled), seed(77)).unwrap();
    net.with(server, |agent| *agent = other);
    net.drain();
    assert!(net.connections(server).is_empty());
    net.run_for_secs(1);
    // The client tries again, and nobody has that username fragment any more.
    net.run_for_secs(40);
    assert!(
        net.ends.keys().all(|end| net.muxes[end.0].connection_session(end.1) != Some(server.1))
    );
    assert!(!net.is_completed(client));
}

/// Connections to TURN servers are asked for under ids of the same row.
#[test]
fn ids_of_all_agents_differ_whatever_they_are_for() {
    let mut mux = Mux::new(MuxConfig::default(), [1; 32]);
    let now = Timestamp::ZERO;
    let mut ids = BTreeSet::new();
    let mut sessions: Vec<SessionId> = Vec::new();
    for number in 0..10 {
        let agent = IceAgent::new(full(Role::Controlled), seed(number)).unwrap();
        let id = mux.insert(now, agent).unwrap();
        sessions.push(id);
        let uri: ServerUri = "turn:192.0.2.9?transport=tcp".parse().unwrap();
        let credentials = ServerCredentials::new("user", "password").unwrap();
        let server = Server::new(uri).with_credentials(credentials);
        mux.with(now, id, |agent| {
            let local = LocalAddress::udp(addr("10.0.0.1:3478"));
            agent.add_local(now, stream_of(agent), 1, local).unwrap();
            agent.add_server(now, server).unwrap();
            agent.gather(now);
        });
        let from = addr(&format!("10.1.0.1:{}", 1000 + number));
        let accepted = mux.connection_accepted(now, addr(LISTENER), from).unwrap();
        assert!(ids.insert(accepted));
    }
    let mut opened = 0;
    for round in 0..40 {
        let now = Timestamp::from_millis(50 * round);
        mux.handle_timeout(now);
        while let Some((session, event)) = mux.poll_event(now) {
            if let Event::OpenConnection { connection, .. } = event {
                opened += 1;
                assert!(ids.insert(connection), "{connection:?}");
                assert_eq!(mux.connection_session(connection), Some(session));
                // It cannot be had: the agent hears of it by the id alone.
                mux.connection_failed(now, connection);
                assert_eq!(mux.connection_session(connection), None);
            }
        }
    }
    assert!(opened >= sessions.len());
}

#[test]
fn an_agent_that_has_connections_is_not_taken() {
    let now = Timestamp::ZERO;
    let mut agent = IceAgent::new(full(Role::Controlled), seed(1)).unwrap();
    let stream = stream_of(&agent);
    agent.add_local(now, stream, 1, LocalAddress::tcp_passive(addr(LISTENER))).unwrap();
    let from = addr("10.1.0.1:1000");
    let id = agent.connection_accepted(now, addr(LISTENER), from).unwrap();
    let mut mux = Mux::new(MuxConfig::default(), [1; 32]);
    let refused = mux.insert(now, agent).unwrap_err();
    assert_eq!(refused.reason, InsertRefused::Connections);
    let mut agent = *refused.agent;
    agent.connection_closed(now, id);
    assert!(mux.insert(now, agent).is_ok());
}
