//! One agent against a peer written by hand, on connections that the test carries.

use std::net::SocketAddr;

use frazil::{
    AddLocalError, AddRemoteError, AgentConfig, Candidate, CandidateTransport, ConnectionId,
    ConnectionSecurity, ConnectionState, Credentials, Event, IceAgent, Ignored, LocalAddress,
    PairState, Parameters, Received, Role, Route, SendError, StreamId, TcpType, Timestamp,
    Transport,
};

use crate::common::{
    ICE_CONTROLLED, ICE_CONTROLLING, Message, PEER_PWD, PEER_UFRAG, PRIORITY, REQUEST, SUCCESS,
    Sent, USE_CANDIDATE, USERNAME, addr, ms, plain,
};

pub(super) const HERE: &str = "192.0.2.1:4000";
pub(super) const PEER: &str = "192.0.2.2:4000";
/// Where the peer's own connections come from.
pub(super) const STRANGER: &str = "192.0.2.2:50000";

/// An agent, and what it puts out.
pub(super) struct Script {
    pub(super) agent: IceAgent,
    pub(super) now: Timestamp,
    pub(super) stream: StreamId,
    /// What was sent in frames, without their heads.
    pub(super) sent: Vec<(ConnectionId, Sent)>,
    pub(super) events: Vec<Event>,
    ids: u8,
}

impl Script {
    pub(super) fn new(config: AgentConfig, local: LocalAddress) -> Self {
        let agent = IceAgent::new(config, [7; 32]).unwrap();
        let stream = agent.streams().next().unwrap();
        let (sent, events) = (Vec::new(), Vec::new());
        let mut script = Self { agent, now: Timestamp::ZERO, stream, sent, events, ids: 0 };
        script.agent.add_local(script.now, stream, 1, local).unwrap();
        script.agent.gather(script.now);
        script.drain();
        script
    }

    /// With a passive candidate.
    pub(super) fn passive(config: AgentConfig) -> Self {
        let mut script = Self::new(config, LocalAddress::tcp_passive(addr(HERE)));
        script.start();
        script
    }

    /// With an active candidate, and a passive one of the peer.
    pub(super) fn active(role: Role) -> Self {
        let local = LocalAddress::tcp_active(addr(HERE).ip());
        let mut script = Self::new(plain(role), local);
        script.remote("1 1 TCP 1671430143 192.0.2.2 4000 typ host tcptype passive").unwrap();
        script.start();
        script
    }

    pub(super) fn start(&mut self) {
        let credentials = Credentials::new(PEER_UFRAG, PEER_PWD).unwrap();
        self.agent.set_remote(self.now, Parameters::new(credentials)).unwrap();
        self.drain();
    }

    pub(super) fn remote(&mut self, line: &str) -> Result<(), AddRemoteError> {
        let candidate: Candidate = line.parse().unwrap();
        let added = self.agent.add_remote_candidate(self.now, self.stream, &candidate);
        self.drain();
        added.map(drop)
    }

    /// Takes everything out of the agent.
    pub(super) fn drain(&mut self) {
        loop {
            let mut buf = vec![0xaa; 3];
            if let Some(transmit) = self.agent.poll_transmit(self.now, &mut buf) {
                let Route::Stream(id) = transmit.route else { panic!("a datagram") };
                let frame = &buf[transmit.range.clone()];
                let (head, bytes) = frame.split_at(2);
                assert_eq!(usize::from(u16::from_be_bytes([head[0], head[1]])), bytes.len());
                assert_eq!((transmit.range.start, transmit.range.end), (3, buf.len()));
                let (from, to, bytes) = (addr(HERE), addr(PEER), bytes.to_vec());
                let at = self.now;
                self.sent.push((id, Sent { at, from, to, dscp: transmit.dscp, bytes }));
            } else if let Some(event) = self.agent.poll_event(self.now) {
                self.events.push(event);
            } else {
                break;
            }
        }
    }

    pub(super) fn run_until(&mut self, until: Timestamp) {
        while let Some(at) = self.agent.poll_timeout().filter(|&at| at <= until) {
            assert!(at > self.now, "the deadline did not move: {:?}", self.agent.timeout_reason());
            self.now = at;
            self.agent.handle_timeout(at);
            self.drain();
        }
        self.now = self.now.max(until);
    }

    /// The connections that the agent has asked for: from where, and where to.
    pub(super) fn opened(&self) -> Vec<(ConnectionId, SocketAddr, SocketAddr)> {
        let asked = self.events.iter().filter_map(|event| match event {
            Event::OpenConnection { connection, local, remote, security } => {
                assert_eq!(*security, ConnectionSecurity::Tcp);
                Some((*connection, *local, *remote))
            }
            _ => None,
        });
        asked.collect()
    }

    pub(super) fn closed(&self) -> Vec<ConnectionId> {
        let closed = self.events.iter().filter_map(|event| match event {
            Event::CloseConnection { connection } => Some(*connection),
            _ => None,
        });
        closed.collect()
    }

    pub(super) fn accept(&mut self, from: &str) -> ConnectionId {
        let id = self.agent.connection_accepted(self.now, addr(HERE), addr(from)).unwrap();
        self.drain();
        id
    }

    pub(super) fn connected(&mut self) -> ConnectionId {
        let (id, ..) = *self.opened().last().unwrap();
        self.agent.connection_opened(self.now, id);
        self.drain();
        // RFC 8445 §14.2: the spacing of packets stands.
        self.run_until(self.now + std::time::Duration::from_millis(5));
        id
    }

    /// Bytes arrive on a connection.
    pub(super) fn feed(&mut self, id: ConnectionId, mut bytes: &[u8]) -> Vec<Received<'static>> {
        let mut all = Vec::new();
        while !bytes.is_empty() {
            all.push(match self.agent.handle_stream(self.now, id, &mut bytes) {
                Received::Consumed => Received::Consumed,
                Received::Ignored(reason) => Received::Ignored(reason),
                Received::Data { stream, component, pair, payload } => {
                    let payload = payload.to_vec().leak();
                    Received::Data { stream, component, pair, payload }
                }
            });
        }
        self.drain();
        all
    }

    /// The same in a frame.
    pub(super) fn frame(&mut self, id: ConnectionId, message: &[u8]) -> Vec<Received<'static>> {
        self.feed(id, &framed(message))
    }

    /// A valid check of the peer.
    pub(super) fn check(&mut self, nominate: bool) -> Vec<u8> {
        self.check_with(nominate, None)
    }

    pub(super) fn check_with(&mut self, nominate: bool, pwd: Option<&str>) -> Vec<u8> {
        self.ids += 1;
        let credentials = self.agent.local_parameters().credentials;
        let username = format!("{}:{PEER_UFRAG}", credentials.ufrag());
        let role = match self.agent.role() {
            Role::Controlling => ICE_CONTROLLED,
            Role::Controlled => ICE_CONTROLLING,
        };
        let mut check = Message::new(REQUEST, [self.ids; 12])
            .attr(USERNAME, username.as_bytes())
            .attr(PRIORITY, &0x5000_01ff_u32.to_be_bytes())
            .attr(role, &1_u64.to_be_bytes());
        if nominate {
            check = check.attr(USE_CANDIDATE, &[]);
        }
        check.integrity(pwd.unwrap_or_else(|| credentials.pwd())).fingerprint()
    }

    /// The peer answers a request on a connection: it has seen it come from there.
    pub(super) fn answer(&mut self, id: ConnectionId, request: &Sent) -> Vec<Received<'static>> {
        let bytes = success(request, PEER_PWD);
        self.frame(id, &bytes)
    }

    pub(super) fn requests(&self) -> Vec<(ConnectionId, Sent)> {
        self.sent.iter().filter(|(_, sent)| sent.is_request()).cloned().collect()
    }

    pub(super) fn states(&self) -> Vec<PairState> {
        self.agent.pairs().map(|pair| pair.state).collect()
    }
}

pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

fn success(request: &Sent, pwd: &str) -> Vec<u8> {
    let seen = addr("192.0.2.1:40000");
    Message::new(SUCCESS, request.id()).xor_mapped(seen).integrity(pwd).fingerprint()
}

/// X1, X2, X9
#[test]
fn candidates_are_signalled_with_their_direction() {
    let mut config = plain(Role::Controlling);
    config.loopback = true;
    let mut script = Script::new(config, LocalAddress::udp(addr("192.0.2.1:5000")));
    let mut agent = IceAgent::new(plain(Role::Controlling), [7; 32]).unwrap();
    let stream = agent.streams().next().unwrap();
    for local in [
        LocalAddress::udp(addr("192.0.2.1:5000")),
        LocalAddress::tcp_active(addr(HERE).ip()),
        LocalAddress::tcp_passive(addr(HERE)),
    ] {
        agent.add_local(Timestamp::ZERO, stream, 1, local).unwrap();
    }
    script.agent = agent;
    script.events.clear();
    script.drain();
    let lines: Vec<String> = script
        .events
        .iter()
        .filter_map(|event| match event {
            Event::LocalCandidate { candidate, .. } => Some(candidate.to_string()),
            _ => None,
        })
        .collect();
    let [udp, active, passive] = lines.as_slice() else { panic!("{lines:?}") };
    let body =
        |line: &str| line.split_once(" ufrag").unwrap().0.split_once(' ').unwrap().1.to_owned();
    // 90 * 2^24 + (6 or 4) * 2^13 + 8191 in the middle, 255.
    let (six, four) = (0x5adf_ffff_u32, 0x5a9f_ffff_u32);
    assert_eq!(body(active), format!("1 TCP {six} 192.0.2.1 9 typ host tcptype active"));
    assert_eq!(body(passive), format!("1 TCP {four} 192.0.2.1 4000 typ host tcptype passive"));
    let foundation = |line: &str| line.split(' ').next().unwrap().to_owned();
    assert_ne!(foundation(udp), foundation(active));
    assert_eq!(foundation(active), foundation(passive));
}

/// X1: other-pref is unique.
#[test]
fn several_candidates_of_a_direction_have_distinct_priorities() {
    let mut script = Script::new(plain(Role::Controlling), LocalAddress::tcp_passive(addr(HERE)));
    let mut config = plain(Role::Controlling);
    config.continual = true;
    script.agent = IceAgent::new(config, [7; 32]).unwrap();
    for (ip, port) in [("192.0.2.1", 1), ("192.0.2.3", 1), ("2001:db8::1", 1), ("192.0.2.1", 2)] {
        let local = SocketAddr::new(ip.parse().unwrap(), port);
        for local in [LocalAddress::tcp_passive(local), LocalAddress::udp(local)] {
            script.agent.add_local(script.now, script.stream, 1, local).unwrap();
        }
    }
    let mut priorities: Vec<u32> =
        script.agent.local_candidates().map(|local| local.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    assert_eq!(priorities.len(), 8);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let mut script =
        Script::new(plain(Role::Controlling), LocalAddress::tcp_active(addr(HERE).ip()));
    let mut other = IceAgent::new(plain(Role::Controlling), [7; 32]).unwrap();
    let mut so = LocalAddress::tcp_passive(addr(HERE));
    so.transport = CandidateTransport::Tcp(TcpType::SimultaneousOpen);
    let mut relayed =
        LocalAddress::relayed(addr("198.51.100.1:5000"), addr(HERE), addr("198.51.100.1:1").ip());
    relayed.transport = CandidateTransport::Tcp(TcpType::Passive);
    let zero = LocalAddress::tcp_passive(addr("192.0.2.1:0"));
    let twice = LocalAddress::tcp_active(addr(HERE).ip());
    let mut add = |local| other.add_local(Timestamp::ZERO, script.stream, 1, local).map(drop);
    assert_eq!(add(so), Err(AddLocalError::SimultaneousOpen));
    assert_eq!(add(relayed), Err(AddLocalError::Transport));
    assert_eq!(add(zero), Err(AddLocalError::Port));
    assert_eq!(add(twice.clone()), Ok(()));
    assert_eq!(add(twice), Err(AddLocalError::Duplicate));
    let so = "1 1 TCP 1667235839 192.0.2.2 4000 typ host tcptype so";
    assert_eq!(script.remote(so), Err(AddRemoteError::SimultaneousOpen));
    let datagram = script.agent.handle_datagram(
        script.now,
        Transport::Tcp,
        addr(HERE),
        addr(PEER),
        b"not a stream",
    );
    assert!(matches!(datagram, Received::Ignored(_)));
}

/// Two components may open connections from one address, each its own.
#[test]
fn components_share_the_address_of_active_candidates() {
    let mut config = plain(Role::Controlling);
    config.components = 2;
    let mut script = Script::new(config, LocalAddress::tcp_active(addr(HERE).ip()));
    script.agent = {
        let mut config = plain(Role::Controlling);
        config.components = 2;
        IceAgent::new(config, [7; 32]).unwrap()
    };
    for component in [1, 2] {
        let local = LocalAddress::tcp_active(addr(HERE).ip());
        script.agent.add_local(script.now, script.stream, component, local).unwrap();
    }
    script.drain();
    for line in [
        "1 1 TCP 1671430143 192.0.2.2 4000 typ host tcptype passive",
        "1 2 TCP 1671430142 192.0.2.2 4001 typ host tcptype passive",
    ] {
        script.remote(line).unwrap();
    }
    script.start();
    script.run_until(ms(2_000));
    let remotes: Vec<_> = script.opened().into_iter().map(|(_, _, remote)| remote).collect();
    assert_eq!(remotes, [addr("192.0.2.2:4000"), addr("192.0.2.2:4001")]);
}

/// X3: RFC 6544 §6.2
#[test]
fn active_candidates_of_the_peer_are_never_dialled() {
    let mut script = Script::active(Role::Controlling);
    script.remote("2 1 TCP 1675624447 192.0.2.3 9 typ host tcptype active").unwrap();
    script.remote("3 1 TCP 1675624447 2001:db8::1 4000 typ host tcptype passive").unwrap();
    script.run_until(ms(2_000));
    let opened: Vec<_> = script.opened().into_iter().map(|(_, from, to)| (from, to)).collect();
    assert_eq!(opened, [(addr("192.0.2.1:0"), addr(PEER))]);
}

/// X5, X6: RFC 6544 §7.1
#[test]
fn a_check_waits_for_its_connection_and_is_sent_once() {
    let mut script = Script::active(Role::Controlling);
    assert_eq!(script.states(), [PairState::InProgress]);
    script.run_until(ms(3_000));
    assert!(script.requests().is_empty());
    let id = script.connected();
    script.run_until(ms(42_499));
    let requests = script.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!((requests[0].0, requests[0].1.at), (id, ms(3_000)));
    assert_eq!(script.states(), [PairState::InProgress]);
    script.run_until(ms(42_500));
    assert_eq!(script.states(), [PairState::Failed]);
    // What nobody needs is closed.
    script.run_until(ms(46_000));
    assert_eq!(script.closed(), [id]);
}

/// X5
#[test]
fn a_connection_that_cannot_be_made_fails_the_pair() {
    let mut script = Script::active(Role::Controlling);
    let id = script.opened()[0].0;
    script.agent.connection_failed(script.now, id);
    script.drain();
    assert_eq!(script.states(), [PairState::Failed]);
    // Nor is one waited for longer than for an answer.
    let mut script = Script::active(Role::Controlling);
    script.run_until(ms(39_500));
    assert_eq!(script.states(), [PairState::Failed]);
    assert_eq!(script.closed(), [script.opened()[0].0]);
    assert_eq!(script.opened().len(), 1);
}

/// X6: the response comes over the same connection, or it is none.
#[test]
fn a_response_over_another_connection_fails_the_check() {
    let mut config = plain(Role::Controlling);
    config.continual = true;
    let mut script = Script::new(config, LocalAddress::tcp_active(addr(HERE).ip()));
    let passive = LocalAddress::tcp_passive(addr(HERE));
    let added = script.agent.add_local(script.now, script.stream, 1, passive);
    assert!(added.is_ok(), "{added:?}");
    script.remote("1 1 TCP 1671430143 192.0.2.2 4000 typ host tcptype passive").unwrap();
    script.start();
    script.connected();
    let (_, request) = script.requests()[0].clone();
    let other = script.accept(STRANGER);
    let _ = script.answer(other, &request);
    assert_eq!(script.states()[0], PairState::Failed);
}

/// C17: RFC 8489 §9.1.4
#[test]
fn a_forged_response_ends_the_transaction_at_once() {
    let mut script = Script::active(Role::Controlling);
    let id = script.connected();
    let (_, request) = script.requests()[0].clone();
    let forged = success(&request, "not the password of the peer");
    assert_eq!(script.frame(id, &forged), [Received::Ignored(Ignored::BadIntegrity)]);
    assert_eq!(script.states(), [PairState::Failed]);
    let authentic = script.answer(id, &request);
    assert_eq!(authentic, [Received::Ignored(Ignored::UnknownTransaction)]);
}

/// C17: but from elsewhere nobody ends it.
#[test]
fn a_forged_response_over_another_connection_ends_nothing() {
    let mut config = plain(Role::Controlling);
    config.continual = true;
    let mut script = Script::new(config, LocalAddress::tcp_active(addr(HERE).ip()));
    let passive = LocalAddress::tcp_passive(addr(HERE));
    script.agent.add_local(script.now, script.stream, 1, passive).unwrap();
    script.remote("1 1 TCP 1671430143 192.0.2.2 4000 typ host tcptype passive").unwrap();
    script.start();
    let id = script.connected();
    let (_, request) = script.requests()[0].clone();
    let other = script.accept(STRANGER);
    let forged = success(&request, "not the password of the peer");
    assert_eq!(script.frame(other, &forged), [Received::Ignored(Ignored::BadIntegrity)]);
    let _ = script.answer(id, &request);
    assert_eq!(script.states(), [PairState::Succeeded]);
}

/// X4, X6, X7: RFC 6544 §7.2
#[test]
fn a_check_from_an_unknown_port_is_answered_and_checked_on_its_connection() {
    let mut script = Script::passive(plain(Role::Controlled));
    assert!(script.states().is_empty());
    let id = script.accept(STRANGER);
    assert!(script.sent.is_empty());
    let check = script.check(true);
    // Byte by byte, behind an empty frame.
    for byte in [vec![0, 0], framed(&check)].concat() {
        script.feed(id, &[byte]);
    }
    let found = script.events.iter().find_map(|event| match event {
        Event::RemoteCandidateDiscovered { candidate, .. } => Some(*candidate),
        _ => None,
    });
    let found = found.unwrap();
    assert_eq!((found.transport, found.addr), (Transport::Tcp, addr(STRANGER)));
    assert_eq!(found.priority, 0x5000_01ff);
    script.run_until(ms(100));
    let kinds: Vec<_> = script.sent.iter().map(|(on, sent)| (*on, sent.kind())).collect();
    assert_eq!(kinds, [(id, SUCCESS), (id, REQUEST)]);
    assert_eq!(script.sent[0].1.mapped(), Some(addr(STRANGER)));
    let request = script.sent[1].1.clone();
    let answer = Message::new(SUCCESS, request.id())
        .xor_mapped(addr(HERE))
        .integrity(PEER_PWD)
        .fingerprint();
    script.frame(id, &answer);
    assert_eq!(script.agent.state(), ConnectionState::Completed);
    assert!(script.opened().is_empty());
    // Data both ways, as it is.
    let payload = [0x80; 70];
    let outgoing = script.agent.send(script.now, script.stream, 1, &payload).unwrap();
    assert_eq!((outgoing.route, outgoing.head()), (Route::Stream(id), &[0, 70][..]));
    assert_eq!(outgoing.payload().as_ptr(), payload.as_ptr());
    assert_eq!(script.agent.route(script.stream, 1), None, "each packet needs a head of its own");
    let frame = framed(&payload);
    let mut input = &frame[..];
    let received = script.agent.handle_stream(script.now, id, &mut input);
    let Received::Data { payload, .. } = received else { panic!("{received:?}") };
    assert_eq!(payload.as_ptr(), frame[2..].as_ptr());
    let large = vec![0x80; 65_536];
    let refused = script.agent.send(script.now, script.stream, 1, &large).map(drop);
    assert_eq!(refused, Err(SendError::TooLarge));
}

/// RFC 8445 §7.3: the peer may connect before its parameters are there.
#[test]
fn an_early_connection_waits_for_the_parameters() {
    let local = LocalAddress::tcp_passive(addr(HERE));
    let mut script = Script::new(plain(Role::Controlled), local);
    let id = script.accept(STRANGER);
    let check = script.check(false);
    script.frame(id, &check);
    assert_eq!(script.sent.len(), 1);
    script.run_until(ms(20_000));
    script.start();
    script.run_until(ms(20_100));
    assert_eq!(script.requests().len(), 1);
    assert!(script.closed().is_empty());
}

#[test]
fn a_closed_agent_closes_its_connections() {
    let mut script = Script::passive(plain(Role::Controlled));
    let id = script.accept(STRANGER);
    script.agent.close(script.now);
    script.drain();
    assert_eq!(script.closed(), [id]);
    let again = script.agent.connection_accepted(script.now, addr(HERE), addr(STRANGER));
    assert_eq!(again, Err(frazil::AcceptError::Closed));
    assert_eq!(script.frame(id, b"late"), [Received::Ignored(Ignored::UnknownConnection)]);
}

/// Nor one that answers, and closes each connection then.
#[test]
fn a_peer_that_closes_every_connection_is_not_dialled_for_ever() {
    let mut script = Script::active(Role::Controlled);
    let mut last = None;
    for round in 0..40 {
        let newest = script.opened().last().unwrap().0;
        if last == Some(newest) {
            break;
        }
        last = Some(newest);
        let id = script.connected();
        let (_, request) = script.requests().last().unwrap().clone();
        script.answer(id, &request);
        if round == 0 {
            let check = script.check(true);
            script.frame(id, &check);
        }
        assert_eq!(script.agent.state(), ConnectionState::Completed);
        script.agent.connection_closed(script.now, id);
        script.drain();
        script.run_until(script.now + std::time::Duration::from_secs(9));
    }
    assert_eq!(script.opened().len(), 11);
    assert!(script.events.contains(&Event::RestartNeeded));
}

/// RFC 7675 §5.2, RFC 6544 §7.1: a peer that takes every connection and says nothing is not dialled
/// for ever.
#[test]
fn a_selected_pair_is_given_up_when_no_connection_works() {
    let mut script = Script::active(Role::Controlled);
    let id = script.connected();
    let (_, request) = script.requests()[0].clone();
    script.answer(id, &request);
    let check = script.check(true);
    script.frame(id, &check);
    assert_eq!(script.agent.state(), ConnectionState::Completed);
    let mut last = id;
    for _ in 0..40 {
        script.agent.connection_closed(script.now, last);
        script.drain();
        script.run_until(script.now + std::time::Duration::from_secs(9));
        let newest = script.opened().last().unwrap().0;
        if newest == last {
            break;
        }
        last = newest;
        script.connected();
    }
    assert_eq!(script.opened().len(), 11);
    assert!(script.events.contains(&Event::RestartNeeded));
}
