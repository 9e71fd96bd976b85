//! Two agents through a TURN server by others, which knows nothing of this crate.

use std::collections::VecDeque;
use std::net::SocketAddr;

use frazil::{
    AgentConfig, CandidateKind, ConnectionState, Event, GatheringState, IceAgent, LocalAddress,
    Received, Role, Route, StreamId, Timestamp, Transport,
};
use turn_client_proto::api::TransmitBuild;
use turn_client_proto::stun::Instant;
use turn_client_proto::stun::agent::Transmit;
use turn_client_proto::types::{AddressFamily, TransportType};
use turn_server_proto::api::{TurnServerApi, TurnServerPollRet};
use turn_server_proto::server::TurnServer;

use super::net::{addr, listen, ms, secs, turn};

const CLIENTS: [&str; 2] = ["192.0.2.1:5000", "192.0.2.2:5000"];

struct Stage {
    agents: [IceAgent; 2],
    streams: [StreamId; 2],
    server: TurnServer,
    now: Timestamp,
    relays: u16,
    received: [Vec<Vec<u8>>; 2],
    told: Vec<(usize, Event)>,
    packets: VecDeque<(SocketAddr, SocketAddr, Vec<u8>)>,
}

impl Stage {
    fn new() -> Self {
        let mut server = TurnServer::new(TransportType::Udp, listen(0), "example.org".to_owned());
        server.add_user("alice".to_owned(), "secret".to_owned());
        // Its 438 has a nonce that announces PASSWORD-ALGORITHMS and lacks them, upon which a client
        // MUST NOT ask again (RFC 8489 §9.2.5): it has no occasion to send one.
        server.set_nonce_expiry_duration(secs(10_000));
        let agents = [Role::Controlling, Role::Controlled]
            .map(|role| IceAgent::new(AgentConfig::new(role), [role as u8 + 1; 32]).unwrap());
        let streams = [0, 1].map(|agent: usize| agents[agent].streams().next().unwrap());
        let mut stage = Self {
            agents,
            streams,
            server,
            now: Timestamp::ZERO,
            relays: 0,
            received: [Vec::new(), Vec::new()],
            told: Vec::new(),
            packets: VecDeque::new(),
        };
        let parameters = [0, 1].map(|agent: usize| stage.agents[agent].local_parameters());
        for (agent, socket) in CLIENTS.iter().enumerate() {
            let lent = &mut stage.agents[agent];
            let local = LocalAddress::udp(addr(socket));
            lent.add_local(stage.now, streams[agent], 1, local).unwrap();
            lent.set_remote(stage.now, parameters[1 - agent].clone()).unwrap();
            lent.add_server(stage.now, turn(0)).unwrap();
            lent.gather(stage.now);
        }
        stage
    }

    fn instant(&self) -> Instant {
        Instant::from_nanos(i64::try_from(self.now.as_nanos()).unwrap())
    }

    /// Nobody is in the way but the missing one from agent to agent.
    fn run_until(&mut self, end: Timestamp) {
        loop {
            self.settle();
            let next = self.agents.iter().filter_map(IceAgent::poll_timeout).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            assert!(next > self.now);
            self.now = next;
            for agent in &mut self.agents {
                agent.handle_timeout(next);
            }
        }
        self.now = end;
    }

    fn settle(&mut self) {
        loop {
            for agent in 0..2 {
                self.drain(agent);
            }
            let Some((from, to, bytes)) = self.packets.pop_front() else { break };
            if let Some(agent) = CLIENTS.iter().position(|client| addr(client) == to) {
                if from == listen(0) {
                    let lent = &mut self.agents[agent];
                    let received = lent.handle_datagram(self.now, Transport::Udp, to, from, &bytes);
                    if let Received::Data { payload, .. } = received {
                        self.received[agent].push(payload.to_vec());
                    }
                }
            } else if to.ip() == listen(0).ip() {
                let now = self.instant();
                let transmit = Transmit::new(bytes, TransportType::Udp, from, to);
                let said = self.server.recv(transmit, now).map(TransmitBuild::build);
                let said = said.map(|it| (it.from, it.to, it.data.to_vec()));
                self.packets.extend(said);
                self.poll_server();
            }
        }
    }

    fn poll_server(&mut self) {
        let now = self.instant();
        while let TurnServerPollRet::AllocateSocket {
            transport,
            listen_addr,
            client_addr,
            allocation_transport,
            family,
        } = self.server.poll(now)
        {
            assert_eq!(family, AddressFamily::IPV4);
            self.relays += 1;
            let relay = SocketAddr::new(listen(0).ip(), 49_200 + self.relays);
            self.server.allocated_socket(
                transport,
                listen_addr,
                client_addr,
                allocation_transport,
                family,
                Ok(relay),
                now,
            );
        }
        while let Some(transmit) = self.server.poll_transmit(now) {
            self.packets.push_back((transmit.from, transmit.to, transmit.data.to_vec()));
        }
    }

    fn drain(&mut self, agent: usize) {
        loop {
            let mut buf = Vec::new();
            if let Some(transmit) = self.agents[agent].poll_transmit(self.now, &mut buf) {
                let Route::Datagram { local, remote, .. } = transmit.route else { panic!() };
                self.packets.push_back((local, remote, buf[transmit.range].to_vec()));
            } else if let Some(event) = self.agents[agent].poll_event(self.now) {
                let (other, stream) = (&mut self.agents[1 - agent], self.streams[1 - agent]);
                match &event {
                    Event::LocalCandidate { candidate, .. } => {
                        other.add_remote_candidate(self.now, stream, candidate).unwrap();
                    }
                    Event::GatheringState(GatheringState::Complete) => {
                        other.end_of_remote_candidates(self.now, None);
                    }
                    _ => {}
                }
                self.told.push((agent, event));
            } else {
                break;
            }
        }
    }

    fn assert_flows(&mut self) {
        for agent in 0..2 {
            let stream = self.streams[agent];
            let out = self.agents[agent].send(self.now, stream, 1, b"fives").unwrap();
            let Route::Datagram { local, remote, .. } = out.route else { panic!() };
            let bytes = [out.head(), out.payload(), out.padding()].concat();
            self.packets.push_back((local, remote, bytes));
            self.settle();
            assert_eq!(self.received[1 - agent].pop().unwrap(), b"fives");
            assert!(self.received[1 - agent].is_empty());
        }
    }
}

/// A session of more than an hour, with all refreshes, and its end.
#[test]
fn two_agents_live_with_a_server_by_others() {
    let mut stage = Stage::new();
    stage.run_until(ms(5_000));
    let states = stage.agents.iter().map(IceAgent::state).collect::<Vec<_>>();
    assert_eq!(states, [ConnectionState::Completed; 2]);
    let pair = stage.agents[0].selected_pair(stage.streams[0], 1).unwrap();
    let kinds = [pair.local.kind, pair.remote.kind];
    assert!(kinds.contains(&CandidateKind::Relayed), "{kinds:?}");
    for minute in 1..70 {
        stage.run_until(ms(minute * 60_000));
        stage.assert_flows();
    }
    let bad = |(_, event): &(usize, Event)| {
        matches!(
            event,
            Event::AllocationLost { .. } | Event::ConsentLost { .. } | Event::CandidateError { .. }
        )
    };
    assert!(!stage.told.iter().any(bad));
    for agent in &mut stage.agents {
        agent.close(stage.now);
    }
    let end = stage.now + secs(5);
    stage.run_until(end);
    assert!(stage.agents.iter().all(|agent| agent.poll_timeout().is_none()));
}
