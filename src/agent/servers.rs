//! STUN and TURN servers (RFC 8445 §5.1.1.2): what the caller says of them, when they are asked and
//! when gathering is over.
//!
//! [`Servers`](crate::gather::Servers) asks and is answered. A server that fails never stops another one.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use smallvec::SmallVec;

use crate::candidate::{CandidateKind, CandidateTransport, TcpType};
use crate::gather::{
    Base, Command, RequestTiming, Server, ServerCredentials, ServerFailure, Settings, Wanted,
};
use crate::id::{CandidateId, LookupId, PairId, ServerId, SocketId};
use crate::time::Timestamp;
use crate::uri::{ServerHost, ServerTransport};

use super::call_error::AddServerError;
use super::candidates::Local;
use super::counters::Refused;
use super::io::{ConnectionSecurity, GatheringState};
use super::output::{Notice, Report};
use super::{ConnectionState, IceAgent};

/// How long what was allocated is deleted after the end of a session, if servers do not answer.
const FAREWELL: Duration = Duration::from_secs(5);

impl IceAgent {
    /// Adds a STUN or TURN server. Legal at any time; it is asked when gathering begins, or at once
    /// if that is under way.
    ///
    /// # Errors
    /// The server can give nothing, or not now; nothing has changed then. Other servers are not
    /// affected.
    pub fn add_server(
        &mut self,
        now: Timestamp,
        server: Server,
    ) -> Result<ServerId, AddServerError> {
        self.advance(now);
        if self.is_closed() {
            return Err(AddServerError::Closed);
        }
        if self.config.lite {
            return Err(AddServerError::Lite);
        }
        if server.is_turn() && server.credentials().is_none() {
            return Err(AddServerError::MissingCredentials);
        }
        // A connection to a server is no socket that a peer could reach.
        if !server.is_turn() && server.uri().transport() != ServerTransport::Udp {
            return Err(AddServerError::NoCandidates);
        }
        if self.asked_of(&server) == (false, None) {
            return Err(AddServerError::Policy);
        }
        let servers = self.servers.get_or_insert_default();
        if servers.entries.len() >= usize::from(self.config.limits.servers) {
            return Err(AddServerError::Limit);
        }
        let id = servers.entries.add(server).ok_or(AddServerError::Limit)?;
        if self.gathering == GatheringState::Gathering {
            let until = self.gathering_end();
            if let Some(servers) = &mut self.servers {
                servers.resolve(until, &mut || take_lookup(&mut self.next_lookup));
            }
            self.ask_servers();
        }
        self.run();
        Ok(id)
    }

    /// Removes a server: the candidates that it gave are gone, and what it has allocated is
    /// deleted. Whether there was such a server.
    pub fn remove_server(&mut self, now: Timestamp, id: ServerId) -> bool {
        self.advance(now);
        let known = self.servers.as_ref().is_some_and(|servers| servers.entries.get(id).is_some());
        if !known || self.is_closed() {
            return false;
        }
        let tasks = || self.servers.iter().flat_map(|servers| servers.tasks());
        let kept = |candidate: &CandidateId| {
            tasks().any(|(_, task)| task.server != id && task.reflexive == Some(*candidate))
        };
        let candidates: SmallVec<[CandidateId; 4]> = tasks()
            .filter(|(_, task)| task.server == id)
            .flat_map(|(_, task)| task.relayed.iter().copied().chain(task.reflexive))
            .filter(|candidate| !kept(candidate))
            .collect();
        let now = self.now;
        if let Some(servers) = &mut self.servers {
            servers.remove(now, id);
        }
        for candidate in candidates {
            self.withdraw(candidate);
        }
        self.run();
        true
    }

    /// New credentials of a server, such as before the old ones expire. What is allocated goes on
    /// with them (RFC 8656 §5: as long as the server takes it, under the username that it was
    /// allocated with). Whether there is such a server.
    pub fn update_server_credentials(
        &mut self,
        now: Timestamp,
        id: ServerId,
        credentials: ServerCredentials,
    ) -> bool {
        self.advance(now);
        let now = self.now;
        let servers = self.servers.as_mut().filter(|_| self.state != ConnectionState::Closed);
        let known = servers.is_some_and(|servers| servers.update_credentials(now, id, credentials));
        if known {
            self.run();
        }
        known
    }

    /// The addresses that a name of [`Event::ResolveName`](crate::Event::ResolveName) stands for.
    /// Of a server's four are tried of each family, in this order; a candidate of the peer must have
    /// one alone. Repeated or late answers change nothing.
    pub fn name_resolved(&mut self, now: Timestamp, lookup: LookupId, addresses: &[IpAddr]) {
        self.advance(now);
        if self.is_closed() {
            return;
        }
        let of_server =
            self.servers.as_mut().is_some_and(|servers| servers.entries.answer(lookup, addresses));
        if of_server {
            self.ask_servers();
        }
        if of_server || self.remote_resolved(lookup, addresses) {
            self.run();
        }
    }

    /// A name of [`Event::ResolveName`](crate::Event::ResolveName) could not be resolved.
    pub fn name_failed(&mut self, now: Timestamp, lookup: LookupId) {
        self.name_resolved(now, lookup, &[]);
    }

    /// A socket of [`Event::OpenSocket`](crate::Event::OpenSocket) is there, at this address.
    pub fn socket_opened(&mut self, now: Timestamp, socket: SocketId, addr: SocketAddr) {
        self.advance(now);
        let now = self.now;
        if self.servers.as_mut().is_some_and(|servers| servers.socket_opened(now, socket, addr)) {
            self.run();
        }
    }

    /// A socket of [`Event::OpenSocket`](crate::Event::OpenSocket) is not to be had.
    pub fn socket_failed(&mut self, now: Timestamp, socket: SocketId) {
        self.advance(now);
        if self.servers.as_mut().is_some_and(|servers| servers.socket_failed(socket)) {
            self.run();
        }
    }

    /// Ends gathering without those servers that have given nothing yet. Legal at any time; without
    /// gathering under way it does nothing.
    pub fn cancel_gathering(&mut self, now: Timestamp) {
        self.advance(now);
        if self.gathering != GatheringState::Gathering || self.is_closed() {
            return;
        }
        let now = self.now;
        if let Some(servers) = &mut self.servers {
            servers.give_up();
        }
        self.tend_servers();
        if let Some(servers) = self.servers.as_mut().filter(|_| self.config.continual) {
            servers.close_barren(now);
        }
        self.run();
    }

    /// When what is asked now is not waited for any more.
    fn gathering_end(&self) -> Timestamp {
        self.now + self.config.timing.gathering_timeout
    }

    /// Servers have their say, from now until gathering does not wait any more.
    pub(super) fn begin_asking(&mut self) {
        let (now, until) = (self.now, self.gathering_end());
        if let Some(servers) = &mut self.servers {
            let lookups = &mut self.next_lookup;
            servers.begin(now, until, &mut || take_lookup(lookups));
        }
        self.ask_servers();
    }

    /// Asks every server from every address from which it can be reached and was not asked yet.
    pub(super) fn ask_servers(&mut self) {
        if self.servers.is_none() || self.gathering == GatheringState::New {
            return;
        }
        let bases: SmallVec<[Base; 8]> = self
            .candidates
            .locals
            .iter()
            .filter(|(_, local)| local.kind == CandidateKind::Host && local.base.is_none())
            .filter(|(_, local)| self.is_socket(local))
            .map(|(id, local)| base_of(id, local))
            .collect();
        let settings = self.server_settings();
        let now = self.now;
        let wanted: SmallVec<[(ServerId, Wanted); 4]> = self
            .servers
            .iter()
            .flat_map(|servers| servers.entries.all())
            .map(|(id, server)| {
                let (reflexive, relay) = self.asked_of(server);
                (id, Wanted { reflexive, relay })
            })
            .collect();
        let Self { servers: Some(servers), connections, .. } = self else { return };
        let all = servers.plan(now, &bases, &wanted, &settings, &mut |datagrams| {
            connections.add_to_server(datagrams)
        });
        if !all {
            self.counters.refuse(Refused::ServerTask);
        }
    }

    /// Whether servers are asked from this address: sockets, and where there are none but an address
    /// from which TCP connections may be opened, that.
    fn is_socket(&self, local: &Local) -> bool {
        let beside = |other: &Local| {
            other.transport == CandidateTransport::Udp
                && other.stream == local.stream
                && other.component == local.component
                && other.addr.ip() == local.addr.ip()
        };
        match local.transport {
            CandidateTransport::Udp => true,
            CandidateTransport::Tcp(TcpType::Active) => {
                self.candidates.locals.iter().all(|(_, other)| !beside(other))
            }
            CandidateTransport::Tcp(_) => false,
        }
    }

    pub(super) fn server_settings(&self) -> Settings {
        let timing = &self.config.timing;
        Settings {
            timing: RequestTiming {
                rto: timing.rto,
                transmissions: timing.transmissions,
                final_wait: timing.final_wait,
                reliable_wait: timing.transaction_timeout(),
            },
            ta: self.pacer.ta(),
            keepalive: timing.keepalive,
            loopback: self.config.loopback,
            tasks: self.config.limits.server_tasks,
            permissions: self.config.limits.permissions,
            channels: self.config.limits.channels,
        }
    }

    /// What servers have said becomes candidates and events.
    pub(super) fn tend_servers(&mut self) {
        let now = self.now;
        let Self { servers: Some(servers), connections, .. } = self else {
            return self.settle_gathering();
        };
        if servers.poll_timeout().is_some_and(|at| at <= now) {
            servers.handle_timeout(now, &mut |datagrams| connections.add_to_server(datagrams));
        }
        while let Some((task, found)) =
            self.servers.as_mut().and_then(|servers| servers.poll_found())
        {
            self.found(task, found);
        }
        while let Some(server) =
            self.servers.as_mut().and_then(|servers| servers.entries.poll_unresolved())
        {
            let failure = ServerFailure::NotResolved;
            if let Some(servers) = &mut self.servers {
                servers.entries.note_failure(now, server, &failure);
            }
            self.report(Report::ServerFailed { server, local: None, failure });
        }
        self.settle_gathering();
        while let Some(command) = self.servers.as_mut().and_then(|servers| servers.poll_command()) {
            self.pass_on(command);
        }
    }

    /// Gathering is complete when nobody's say is waited for.
    fn settle_gathering(&mut self) {
        let waiting = self.servers.as_ref().is_some_and(|servers| servers.is_waiting());
        if self.gathering == GatheringState::Gathering && !waiting && !self.config.continual {
            let now = self.now;
            while let Some(server) =
                self.servers.as_mut().and_then(|servers| servers.poll_unasked())
            {
                let failure = ServerFailure::Unreachable;
                self.report(Report::ServerFailed { server, local: None, failure });
            }
            if let Some(servers) = &mut self.servers {
                servers.close_barren(now);
            }
            self.set_gathering(GatheringState::Complete);
        }
    }

    fn pass_on(&mut self, command: Command) {
        let report = match command {
            Command::OpenConnection { id, local, remote, server, domain } => {
                let server = self.servers.as_ref().and_then(|servers| servers.entries.get(server));
                let Some(server) = server else { return };
                let server_name = domain.map_or_else(|| server.uri().host().name(), String::from);
                let security = match server.uri().transport() {
                    ServerTransport::Udp | ServerTransport::Tcp => ConnectionSecurity::Tcp,
                    ServerTransport::Tls => ConnectionSecurity::Tls { server_name },
                    ServerTransport::Dtls => ConnectionSecurity::Dtls { server_name },
                };
                Report::OpenConnection { id, local, remote, security }
            }
            Command::CloseConnection(id) => {
                self.connections.forget(id);
                Report::CloseConnection(id)
            }
            Command::OpenSocket { id, local } => Report::OpenSocket { id, ip: local },
            Command::CloseSocket(id) => Report::CloseSocket(id),
            Command::Resolve { lookup, name } => Report::ResolveName { lookup, name },
        };
        self.report(report);
    }

    pub(super) fn report(&mut self, report: Report) {
        self.notice(Notice::Report(Box::new(report)));
    }

    /// The socket of a host candidate has moved.
    pub(super) fn rebase_servers(&mut self, old: CandidateId, new: CandidateId) {
        let now = self.now;
        let settings = self.server_settings();
        let Some(local) = self.candidates.locals.get(new) else { return };
        let base = base_of(new, local);
        let Self { servers: Some(servers), connections, .. } = self else { return };
        servers.rebase(now, old, base, &settings, &mut |datagrams| {
            connections.add_to_server(datagrams)
        });
    }

    /// A relayed candidate is one no longer: the server need not keep what it has allocated for it.
    pub(super) fn forget_relayed(&mut self, id: CandidateId) {
        let now = self.now;
        let Some(local) = self.candidates.locals.get(id) else { return };
        if let Some(servers) = &mut self.servers {
            servers.forget_relayed(now, id, local.addr.ip());
        }
    }

    /// The sockets of a host candidate are gone, and with them what was obtained from there.
    pub(super) fn forget_base(&mut self, id: CandidateId) {
        let Some(servers) = &mut self.servers else { return };
        for task in servers.remove_base(id) {
            for relayed in task.relayed {
                self.withdraw(relayed);
            }
        }
    }

    /// A path through a server has fallen silent: it may be the server that has lost it, or that
    /// sees this side at another address since a NAT has forgotten it, and says nothing.
    pub(super) fn doubt_relay(&mut self, pair: PairId) {
        let now = self.now;
        let Some(local) = self.lists.get(pair).map(|pair| pair.local) else { return };
        let Some(servers) = &mut self.servers else { return };
        if let Some(allocation) = servers.relay_of_mut(local) {
            allocation.doubt(now);
        }
    }

    /// ICE has concluded: mappings are not kept alive any more (RFC 8445 §5.1.1.4), and permissions
    /// for those alone that a pair in use needs.
    pub(super) fn rest_servers(&mut self) {
        if self.servers.is_none() || self.config.continual || self.staged.is_some() {
            return;
        }
        let used: SmallVec<[(CandidateId, IpAddr); 4]> = self
            .kept()
            .filter_map(|(_, upkeep, _)| {
                let pair = self.lists.get(upkeep.pair)?;
                Some((pair.local, self.candidates.remotes.get(pair.remote)?.addr.ip()))
            })
            .collect();
        let Some(servers) = &mut self.servers else { return };
        servers.rest(&used);
    }

    /// The session has ended: what servers have allocated is deleted, for as long as they take to
    /// answer.
    pub(super) fn leave_servers(&mut self) {
        let now = self.now;
        let Some(servers) = &mut self.servers else { return };
        if servers.close(now, now + FAREWELL) {
            self.say_farewell();
        } else {
            self.drop_servers();
        }
    }

    /// What is due after the end of the session.
    pub(super) fn say_farewell(&mut self) {
        let now = self.now;
        let Some(servers) = &mut self.servers else { return };
        if servers.poll_timeout().is_some_and(|at| at <= now) {
            servers.handle_timeout(now, &mut |_| None);
        }
        while servers.poll_found().is_some() {}
        if servers.is_done(now) {
            return self.drop_servers();
        }
        loop {
            let busy = self.now >= self.pacer.next_start() && self.start_asking();
            if !busy && !self.repeat_asking() {
                break;
            }
        }
        self.pass_on_commands();
        self.deadline = self.farewell_deadline();
    }

    fn drop_servers(&mut self) {
        if let Some(servers) = &mut self.servers {
            servers.abandon();
        }
        self.pass_on_commands();
        self.servers = None;
        self.deadline = None;
    }

    pub(super) fn pass_on_commands(&mut self) {
        while let Some(command) = self.servers.as_mut().and_then(|servers| servers.poll_command()) {
            self.pass_on(command);
        }
    }

    /// Uses a slot to ask a server something; whether there was something.
    pub(super) fn start_asking(&mut self) -> bool {
        let now = self.now;
        let Self { servers: Some(servers), rng, .. } = self else { return false };
        let started = servers.start(now, rng);
        if started {
            self.pacer.started_request(now);
        }
        started
    }

    /// Repeats a request to a server, if the pacing allows one.
    pub(super) fn repeat_asking(&mut self) -> bool {
        let now = self.now;
        let busy = self.has_check();
        let Some(servers) = &mut self.servers else { return false };
        let Some(due) = servers.repeat_at().filter(|due| *due <= now) else { return false };
        if self.pacer.next_retransmission(now, due.max(now), busy) > now {
            return false;
        }
        let repeated = servers.repeat(now);
        if repeated {
            self.pacer.retransmitted(now);
        }
        repeated
    }
}

fn base_of(candidate: CandidateId, local: &Local) -> Base {
    Base {
        candidate,
        stream: local.stream,
        component: local.component,
        addr: local.addr,
        mapped: local.mapped,
        udp: local.transport == CandidateTransport::Udp,
    }
}

pub(super) fn take_lookup(next: &mut u32) -> LookupId {
    let id = <LookupId as crate::id::Id>::new(*next);
    *next = next.saturating_add(1);
    id
}

impl ServerHost {
    /// What a certificate is to be for.
    fn name(&self) -> String {
        match self {
            Self::Ip(ip) => ip.to_string(),
            Self::Name(name) => name.as_str().to_owned(),
        }
    }
}
