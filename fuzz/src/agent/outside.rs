//! What happens between the agent and what is not its peer alone: servers, connections, and the
//! wishes that it has of its caller.

use std::net::{IpAddr, SocketAddr};

use frazil::fuzzing::Message;
use frazil::sim::{TurnMethod, TurnRefusal};
use frazil::{ConnectionState, IceAgent, Received, Route, Transport};

use super::super::pool::address;
use super::input::Outside;
use super::peer::{Datagram, Stage};
use super::servers::{self, FromServer, Servers, Via};
use super::{Bench, poll_transmits, view};

/// What the agent may be asked to have no more of than a case needs.
const MOST_ANSWERS: usize = 16;

impl Bench {
    /// What the agent sends is on its way. Whether it answers a check.
    pub(super) fn carry(&mut self, route: Route, bytes: &[u8]) -> bool {
        let to_server = self.servers.are_meant(route);
        if self.agent.state() == ConnectionState::Closed {
            // The last that it says is to its servers: that it needs nothing any more.
            assert!(to_server, "it is closed");
        }
        if to_server {
            self.servers.look(self.newest, route, bytes);
            for FromServer { via, to, from, bytes } in self.servers.pump(self.newest) {
                // The peer gets it from the relayed address; what is no STUN is data.
                if frazil::fuzzing::is_stun(&bytes) {
                    self.peer.look(&self.config, via, (from, to), &bytes);
                }
            }
            return false;
        }
        match route {
            Route::Datagram { local, remote, .. } => {
                self.peer.look(&self.config, Via::Udp, (local, remote), bytes);
                bytes[0] == 1
            }
            Route::Stream(id) => {
                let connection = self.servers.connection(id).expect("it is there");
                assert!(connection.open, "nothing can be sent yet");
                let ends = (connection.local, connection.remote);
                let (head, frame) = bytes.split_first_chunk().expect("it is a frame");
                assert_eq!(usize::from(u16::from_be_bytes(*head)), frame.len());
                self.peer.look(&self.config, Via::Stream(id), ends, frame);
                frame[0] == 1
            }
        }
    }

    /// A message of the peer takes its way.
    pub(super) fn deliver(&mut self, datagram: &Datagram) {
        match datagram.via {
            Via::Udp => self.receive(datagram, Transport::Udp),
            Via::Stream(id) => self.receive_frame(id, datagram),
            Via::Relay(relayed) => {
                self.servers.model.handle_datagram(
                    self.newest,
                    relayed,
                    datagram.from,
                    &datagram.bytes,
                );
                let echo = self.servers.pump(self.newest);
                assert!(echo.is_empty(), "it was for the agent");
                self.answers_arrive();
            }
        }
    }

    /// A whole frame arrives on a connection with the peer.
    fn receive_frame(&mut self, id: frazil::ConnectionId, datagram: &Datagram) {
        let bytes = &datagram.bytes;
        let mut frame = (bytes.len() as u16).to_be_bytes().to_vec();
        frame.extend(bytes);
        let generation = self.peer.addressee(bytes).map(|generation| generation.stage);
        let elsewhere = generation.is_some_and(|stage| stage != Stage::Current);
        let seen = elsewhere.then(|| view(&self.agent));
        self.stream(id, &frame, false);
        if seen.as_ref().is_some_and(|seen| seen.0 == self.agent.role()) {
            assert_eq!(seen, Some(view(&self.agent)), "it was for a generation not in force");
        }
    }

    /// Bytes arrive on a connection; each call takes some, and the calls come to an end.
    fn stream(&mut self, id: frazil::ConnectionId, bytes: &[u8], slowly: bool) {
        let pieces = if slowly { bytes.chunks(1) } else { bytes.chunks(bytes.len().max(1)) };
        for piece in pieces {
            let (mut ours, mut twins) = (piece, piece);
            while !ours.is_empty() {
                let before = ours.len();
                let received = self.agent.handle_stream(self.now, id, &mut ours);
                assert_eq!(received, self.twin.handle_stream(self.now, id, &mut twins));
                assert_eq!(ours, twins);
                assert!(ours.len() < before, "nothing was taken: {received:?}");
            }
        }
    }

    /// All that the servers have said arrives.
    fn answers_arrive(&mut self) {
        for _ in 0..MOST_ANSWERS {
            let Some(message) = self.servers.answers.pop_front() else { break };
            self.receive_from_server(&message);
        }
    }

    /// What has no answer's transaction, and is no data, changes nothing; what is not authentic gives
    /// no candidate.
    fn receive_from_server(&mut self, message: &FromServer) {
        let FromServer { via, to, from, bytes } = message;
        if let Via::Stream(id) = via {
            self.servers.note(bytes);
            // What is on a stream may begin or end in the midst of a message.
            self.stream(*id, bytes, false);
            return;
        }
        self.servers.note(bytes);
        let before = (!self.servers.may_matter(*from, bytes) && !self.peer.may_matter(bytes))
            .then(|| digest(&self.agent, self.now));
        let candidates = (!self.servers.may_give(bytes)).then(|| locals(&self.agent));
        let udp = Transport::Udp;
        let received = self.agent.handle_datagram(self.now, udp, *to, *from, bytes);
        assert_eq!(received, self.twin.handle_datagram(self.now, udp, *to, *from, bytes));
        if let Received::Data { payload, .. } = received {
            assert!(!frazil::fuzzing::is_stun(payload));
            assert!(
                bytes.windows(payload.len().max(1)).any(|part| part == payload)
                    || payload.is_empty()
            );
        }
        let success = Message::scan(bytes).is_ok_and(|message| message.class() == 2);
        if let Some(candidates) = candidates.filter(|_| success) {
            assert_eq!(candidates, locals(&self.agent), "it was not authentic");
        }
        if let Some(before) = before {
            assert_eq!(digest(&self.agent, self.now), before, "nobody has asked for it");
        }
    }

    pub(super) fn outside(&mut self, input: &Outside<'_>) {
        let now = self.now;
        match *input {
            Outside::AnswersArrive => self.answers_arrive(),
            Outside::Oblige => self.oblige(),
            Outside::AddServer { kind, how } => {
                let server = Servers::configured(kind, how, now);
                let added = self.both(|agent| agent.add_server(now, server.clone()));
                self.servers.added.extend(added);
            }
            Outside::RemoveServer(index) => {
                if let Some(&id) = self.servers.added.get(usize::from(index)) {
                    self.both(|agent| agent.remove_server(now, id));
                }
            }
            Outside::Credentials { server, how } => {
                if let Some(&id) = self.servers.added.get(usize::from(server)) {
                    let credentials = servers::credentials(how, now);
                    self.both(|agent| {
                        agent.update_server_credentials(now, id, credentials.clone())
                    });
                }
            }
            Outside::CancelGathering => self.both(|agent| agent.cancel_gathering(now)),
            Outside::AnswerArrives { index, keep, from, flip } => {
                let index = usize::from(index);
                let Some(mut message) = self.servers.answers.get(index).cloned() else { return };
                if !keep {
                    self.servers.answers.remove(index);
                }
                if from > 0 {
                    message.from = servers::server(from - 1);
                }
                if let Some((at, with)) = flip {
                    let at = usize::from(at) % message.bytes.len().max(1);
                    message.bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= with);
                }
                self.receive_from_server(&message);
            }
            Outside::AnswersLost => self.servers.answers.clear(),
            Outside::Compose(ref composed) => {
                if let Some(message) = self.servers.compose(composed) {
                    self.receive_from_server(&message);
                }
            }
            Outside::Forge(ref forged) => {
                if let Some(message) = self.servers.forge(forged) {
                    self.receive_from_server(&message);
                }
            }
            Outside::Refuse { method, code, times, unauthenticated } => {
                self.refuse(method, code, times, unauthenticated);
            }
            Outside::ExpireNonces => self.servers.model.expire_nonces(),
            Outside::Crash => {
                self.servers.model.crash();
                self.connections_close();
            }
            Outside::Lifetime(seconds) => {
                let told = (seconds > 0).then_some(u32::from(seconds));
                self.servers.model.behaviour_mut().told_lifetime = told;
            }
            Outside::Resolve { lookup, how } => self.resolve(lookup, how),
            Outside::Socket { socket, fails, port } => self.open_socket(socket, fails, port),
            Outside::Connection { connection, how } => self.connect(connection, how),
            Outside::Stream { connection, framed, slowly, bytes } => {
                let Some(id) = self.open_connection(connection) else { return };
                let mut stream = Vec::new();
                if framed {
                    stream.extend((bytes.len() as u16).to_be_bytes());
                }
                stream.extend(bytes);
                self.stream(id, &stream, slowly);
            }
            Outside::Accept { to, from } => {
                let (local, remote) = (address(to), address(from));
                let accepted = self.both(|agent| agent.connection_accepted(now, local, remote));
                if let Ok(id) = accepted {
                    let connection =
                        servers::Connection { id, local, remote, to_server: false, open: true };
                    self.servers.connections.push(connection);
                }
            }
            Outside::CheckOver { connection, relayed, ref check } => {
                let mut datagram = self.peer.check(check, self.agent.role());
                if let Some(via) = self.over(connection, relayed, &mut datagram.to) {
                    datagram.via = via;
                    self.deliver(&datagram);
                }
            }
            Outside::DataOver { connection, relayed, from, bytes } => {
                let (from, mut to, bytes) = (address(from), address(0), bytes.to_vec());
                if let Some(via) = self.over(connection, relayed, &mut to) {
                    self.deliver(&Datagram { via, to, from, bytes });
                }
            }
        }
    }

    /// A call of both agents, with the same answer.
    fn both<R: PartialEq + std::fmt::Debug>(&mut self, call: impl Fn(&mut IceAgent) -> R) -> R {
        let answer = call(&mut self.agent);
        assert_eq!(answer, call(&mut self.twin));
        answer
    }

    /// The way over a connection with the peer, or to an address that is relayed.
    fn over(&self, index: u8, relayed: bool, to: &mut SocketAddr) -> Option<Via> {
        if !relayed {
            let peers = self.servers.connections.iter().filter(|other| !other.to_server);
            let connection = peers.filter(|other| other.open).nth(index.into())?;
            *to = connection.local;
            return Some(Via::Stream(connection.id));
        }
        let relays = self.servers.model.allocations().flat_map(|allocation| allocation.relayed);
        let (addr, _) = relays.into_iter().nth(index.into())?;
        *to = addr;
        Some(Via::Relay(addr))
    }

    fn open_connection(&self, index: u8) -> Option<frazil::ConnectionId> {
        let open = self.servers.connections.iter().filter(|connection| connection.open);
        open.map(|connection| connection.id).nth(index.into())
    }

    /// Names, sockets and connections are had as they are wanted.
    fn oblige(&mut self) {
        for _ in 0..8 {
            if self.servers.lookups.is_empty() {
                break;
            }
            self.resolve(0, 0);
        }
        for socket in 0..self.servers.sockets.len() as u8 {
            self.open_socket(socket, false, socket);
        }
        for connection in 0..self.servers.connections.len() as u8 {
            self.connect(connection, 0);
        }
    }

    fn resolve(&mut self, lookup: u8, how: u8) {
        let (now, index) = (self.now, usize::from(lookup));
        if index >= self.servers.lookups.len() {
            return;
        }
        // Who has asked once may be answered twice.
        let lookup = match how & 128 {
            0 => self.servers.lookups.remove(index),
            _ => self.servers.lookups[index],
        };
        let (one, other) = (servers::server(0).ip(), servers::server(1).ip());
        let peer: IpAddr = address(how >> 3).ip();
        let addresses = match how % 8 {
            0 => vec![one],
            1 => vec![one, other, one, peer, peer],
            2 => vec![peer],
            3 => vec![],
            4 => vec![servers::server(3).ip(), one],
            _ => return self.both(|agent| agent.name_failed(now, lookup)),
        };
        self.both(|agent| agent.name_resolved(now, lookup, &addresses));
    }

    fn open_socket(&mut self, index: u8, fails: bool, port: u8) {
        let now = self.now;
        let Some(&(socket, ip, open)) = self.servers.sockets.get(usize::from(index)) else {
            return;
        };
        if fails {
            self.servers.sockets.remove(usize::from(index));
            return self.both(|agent| agent.socket_failed(now, socket));
        }
        let addr = open.unwrap_or_else(|| SocketAddr::new(ip, 6000 + u16::from(port)));
        self.servers.sockets[usize::from(index)].2 = Some(addr);
        self.both(|agent| agent.socket_opened(now, socket, addr));
    }

    fn connect(&mut self, index: u8, how: u8) {
        let now = self.now;
        let Some(connection) = self.servers.connections.get_mut(usize::from(index)) else {
            return;
        };
        let servers::Connection { id, mut local, remote, to_server, .. } = *connection;
        match how % 3 {
            0 if !connection.open => {
                local.set_port(7000 + u16::from(index));
                connection.open = true;
                connection.local = local;
                if to_server {
                    let number = servers::number(id);
                    let model = &mut self.servers.model;
                    if model.open_connection(now, number, remote, local).is_err() {
                        self.servers.close(now, id);
                        return self.both(|agent| agent.connection_failed(now, id));
                    }
                }
                self.both(|agent| agent.connection_opened(now, id));
            }
            0 => self.both(|agent| agent.connection_opened(now, id)),
            1 => {
                self.servers.close(now, id);
                self.both(|agent| agent.connection_failed(now, id));
            }
            _ => {
                self.servers.close(now, id);
                self.both(|agent| agent.connection_closed(now, id));
            }
        }
    }

    /// What the model has closed is closed.
    fn connections_close(&mut self) {
        let now = self.now;
        for id in self.servers.closed() {
            self.servers.close(now, id);
            self.both(|agent| agent.connection_closed(now, id));
        }
    }

    fn refuse(&mut self, method: u8, code: u8, times: u8, unauthenticated: bool) {
        let methods = [
            TurnMethod::Allocate,
            TurnMethod::Refresh,
            TurnMethod::CreatePermission,
            TurnMethod::ChannelBind,
            TurnMethod::Binding,
        ];
        let codes = [486, 508, 437, 438, 441, 403, 420, 500, 440, 400, 401, 300];
        let refusal = match codes[usize::from(code) % codes.len()] {
            300 => TurnRefusal::try_alternate(servers::server(code / 12)),
            code => TurnRefusal::new(code),
        };
        let refusal = if unauthenticated { refusal.unauthenticated() } else { refusal };
        let method = methods[usize::from(method) % methods.len()];
        self.servers.model.refuse(method, refusal, u32::from(times % 8) + 1);
    }
}

/// What the agent will do, once the time and what is to be sent already are not to be seen in it.
fn digest(agent: &IceAgent, now: frazil::Timestamp) -> u64 {
    let mut idle = agent.clone();
    idle.handle_timeout(now);
    poll_transmits(&mut idle, now);
    idle.state_digest()
}

/// The candidates that the agent has.
fn locals(agent: &IceAgent) -> String {
    format!("{:?}", agent.local_candidates().collect::<Vec<_>>())
}
