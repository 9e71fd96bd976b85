//! STUN and TURN servers (RFC 8445 §5.1.1.2): what the caller says of them, and what becomes of
//! what they give.
//!
//! [`Servers`](crate::gather::Servers) asks and is answered; here its findings become candidates, events and the end of
//! gathering. A server that fails never stops another one.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use smallvec::SmallVec;

use crate::candidate::foundation::FoundationKey;
use crate::candidate::{CandidateKind, CandidateTransport, TcpType, Transport};
use crate::gather::{
    Awaits, Base, BindingFact, Command, Found, RequestTiming, Server, ServerCredentials,
    ServerFailure, Settings, Wanted, settled,
};
use crate::id::{CandidateId, LookupId, PairId, ServerId, SocketId, TaskId};
use crate::policy::Obtained;
use crate::stun::turn::Family;
use crate::time::Timestamp;
use crate::turn::Fact;
use crate::uri::{ServerHost, ServerTransport};

use super::call_error::AddServerError;
use super::candidates::{Local, Usage};
use super::counters::Refused;
use super::io::{ConnectionSecurity, GatheringState};
use super::output::{Notice, Report};
use super::{ConnectionState, IceAgent};

/// How long what was allocated is deleted after the end of a session, if servers do not answer.
const FAREWELL: Duration = Duration::from_secs(5);

/// A candidate that a server has given.
#[derive(Clone, Copy, Debug)]
struct Gift {
    kind: CandidateKind,
    addr: SocketAddr,
    /// The candidate that it is reached through, if that is another one.
    of: Option<CandidateId>,
    key: FoundationKey,
    related: Option<SocketAddr>,
}

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
        if servers.len() >= usize::from(self.config.limits.servers) {
            return Err(AddServerError::Limit);
        }
        let id = servers.add(server).ok_or(AddServerError::Limit)?;
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
        let known = self.servers.as_ref().is_some_and(|servers| servers.server(id).is_some());
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
            self.servers.as_mut().is_some_and(|servers| servers.resolved(lookup, addresses));
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
            .flat_map(|servers| servers.all())
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

    fn server_settings(&self) -> Settings {
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
        while let Some(server) = self.servers.as_mut().and_then(|servers| servers.poll_unresolved())
        {
            let failure = ServerFailure::NotResolved;
            if let Some(servers) = &mut self.servers {
                servers.note_failure(now, server, &failure);
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
                let server = self.servers.as_ref().and_then(|servers| servers.server(server));
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

    fn found(&mut self, id: TaskId, found: Found) {
        let awaited = self.awaited_of(id);
        self.settle(id, settled(&found));
        match found {
            Found::Mapping(BindingFact::Mapped { addr, .. }) => self.mapping_found(id, addr),
            Found::Mapping(BindingFact::Confirmed) => {}
            // Else it was a request that keeps a mapping alive.
            Found::Mapping(BindingFact::Failed(failure)) if awaited.mapping => {
                self.task_failed(id, failure);
            }
            Found::Mapping(BindingFact::Failed(_)) => {}
            Found::Relay(Fact::Relayed { relayed, mapped }) => {
                self.relay_found(id, &relayed, mapped);
            }
            Found::Relay(Fact::Failed { failure, .. }) => self.task_failed(id, failure),
            Found::Relay(Fact::Lost { relayed, failure }) => {
                self.allocation_lost(id, &relayed, &failure);
            }
            Found::Relay(Fact::Permitted { ip }) => self.permitted(id, ip),
            Found::Relay(Fact::PermissionRefused { ip, failure }) => {
                self.permission_refused(id, ip, failure.code());
            }
            Found::Relay(Fact::FamilyRefused { code, .. }) => {
                let failure = ServerFailure::Refused { code, phrase: "".into() };
                self.report_failure(id, failure);
            }
            Found::Relay(Fact::CredentialsExpiring { at }) => {
                if let Some(server) = self.server_of(id) {
                    self.report(Report::CredentialsExpiring { server, at });
                }
            }
            Found::Relay(Fact::NeedsPort) => {
                let now = self.now;
                let Self { servers: Some(servers), connections, .. } = self else { return };
                servers.change_port(now, id, &mut |datagrams| connections.add_to_server(datagrams));
            }
            Found::Relay(Fact::AlternateServer { domain, .. }) => {
                let now = self.now;
                let Self { servers: Some(servers), connections, .. } = self else { return };
                servers.redirected(now, id, domain, &mut |datagrams| {
                    connections.add_to_server(datagrams)
                });
            }
            // Data goes in indications for as long as there is no channel.
            Found::Relay(
                Fact::Confirmed
                | Fact::ChannelBound { .. }
                | Fact::ChannelRefused { .. }
                | Fact::Closed,
            ) => {}
            Found::Unreachable => self.task_failed(id, ServerFailure::Unreachable),
            Found::TooLate => self.report_failure(id, ServerFailure::Timeout),
        }
    }

    fn awaited_of(&self, id: TaskId) -> Awaits {
        let task = self.servers.as_ref().and_then(|servers| servers.task(id));
        task.map(|task| task.awaits).unwrap_or_default()
    }

    fn settle(&mut self, id: TaskId, settled: Awaits) {
        if let Some(task) = self.servers.as_mut().and_then(|servers| servers.task_mut(id)) {
            task.awaits.mapping &= !settled.mapping;
            task.awaits.relay &= !settled.relay;
        }
    }

    fn server_of(&self, id: TaskId) -> Option<ServerId> {
        Some(self.servers.as_ref()?.task(id)?.server)
    }

    fn report_failure(&mut self, id: TaskId, failure: ServerFailure) {
        let now = self.now;
        let Some(servers) = &mut self.servers else { return };
        let Some(task) = servers.task(id) else { return };
        let (server, local) = (task.server, Some(task.base.addr));
        servers.note_failure(now, server, &failure);
        self.report(Report::ServerFailed { server, local, failure });
    }

    /// A server gives nothing, or has stopped to.
    fn task_failed(&mut self, id: TaskId, failure: ServerFailure) {
        let now = self.now;
        let settings = self.server_settings();
        let Self { servers: Some(servers), connections, .. } = self else { return };
        if servers.try_other(now, id, &failure, &settings, &mut |datagrams| {
            connections.add_to_server(datagrams)
        }) {
            return;
        }
        // RFC 8445 §5.1.1.2: short of resources, the server can still say what it sees.
        if matches!(failure.code(), Some(486 | 508)) {
            servers.fall_back(now, id, &settings);
        }
        self.report_failure(id, failure);
    }

    /// Whether a candidate can be told to the peer.
    fn may_tell(&self, base: &Base) -> bool {
        let open = self.staged.is_some() || self.config.continual;
        self.gathering != GatheringState::Complete
            && (open || !self.is_concluded(base.stream, base.component))
    }

    /// A server sees this address.
    fn mapping_found(&mut self, id: TaskId, addr: SocketAddr) {
        let Some(task) = self.servers.as_mut().and_then(|servers| servers.task_mut(id)) else {
            return;
        };
        // Another socket has another mapping.
        if !task.is_direct() {
            return;
        }
        task.fruitful = true;
        let (base, server, old) = (task.base, task.remote().ip(), task.reflexive);
        let server_id = task.server;
        let before = old.and_then(|old| self.candidates.locals.get(old)).map(|local| local.addr);
        if before == Some(addr) || !self.tells_mapping(server_id) || !self.may_tell(&base) {
            return;
        }
        let key = FoundationKey::server_reflexive(base.addr.ip(), server, Transport::Udp);
        let kind = CandidateKind::ServerReflexive;
        let gift = Gift { kind, addr, of: Some(base.candidate), key, related: None };
        let new = self.insert_obtained(id, &base, gift).or_else(|| self.reflexive_at(&base, addr));
        let shared = old.is_some_and(|old| self.is_seen_by_other(id, old));
        if let Some(old) = old.filter(|old| !shared && !self.is_in_use(*old)) {
            self.withdraw(old);
        }
        if let Some(task) = self.servers.as_mut().and_then(|servers| servers.task_mut(id)) {
            task.reflexive = new;
        }
    }

    /// Whether the address that a server sees is a candidate.
    fn tells_mapping(&self, server: ServerId) -> bool {
        let server = self.servers.as_ref().and_then(|servers| servers.server(server));
        server.is_some_and(|server| self.asked_of(server).0)
    }

    /// The candidate that a mapping of this base is already, since another server sees the same.
    fn reflexive_at(&self, base: &Base, addr: SocketAddr) -> Option<CandidateId> {
        let same = |local: &Local| {
            local.kind == CandidateKind::ServerReflexive
                && local.base == Some(base.candidate)
                && local.addr == addr
        };
        self.candidates.locals.iter().find(|(_, local)| same(local)).map(|(id, _)| id)
    }

    /// Whether another server sees this mapping as well.
    fn is_seen_by_other(&self, task: TaskId, candidate: CandidateId) -> bool {
        let mut tasks = self.servers.iter().flat_map(|servers| servers.tasks());
        tasks.any(|(id, other)| id != task && other.reflexive == Some(candidate))
    }

    /// Whether the peer sees a valid pair's packets come from this candidate.
    fn is_in_use(&self, id: CandidateId) -> bool {
        self.lists.pairs().any(|(_, pair)| pair.valid.is_some_and(|valid| valid.local == id))
    }

    /// A server relays for these addresses.
    fn relay_found(&mut self, id: TaskId, relayed: &[SocketAddr], mapped: SocketAddr) {
        let Some(task) = self.servers.as_mut().and_then(|servers| servers.task_mut(id)) else {
            return;
        };
        task.fruitful = true;
        let (base, server) = (task.base, task.remote().ip());
        let direct = task.is_direct();
        let transport = if task.is_stream() { Transport::Tcp } else { Transport::Udp };
        let lost = core::mem::take(&mut task.relayed);
        let now = self.now;
        let settings = self.server_settings();
        if let Some(servers) = &mut self.servers {
            servers.keep_open(now, id, &settings);
        }
        if direct {
            self.mapping_found(id, mapped);
        }
        for &addr in relayed {
            let key = FoundationKey::relayed(addr.ip(), server, Transport::Udp, transport);
            let same = |other: &CandidateId| {
                let other = self.candidates.locals.get(*other);
                other.is_some_and(|other| other.addr.is_ipv4() == addr.is_ipv4())
            };
            match lost.iter().copied().find(same) {
                Some(old) => self.replace_relayed(id, &base, old, addr, mapped, key),
                None if self.may_tell(&base) => {
                    self.add_relayed(id, &base, addr, mapped, key);
                }
                None => {}
            }
        }
        self.release_redundant(id, relayed);
        self.release_useless(id);
        // Of a family that the server does not have any more.
        for old in lost {
            if self.candidates.locals.get(old).is_some() && !self.is_relayed_by(id, old) {
                self.withdraw(old);
            }
        }
    }

    /// RFC 8656 §7.3: a relayed address that is no candidate is not kept, if it is one of two.
    fn release_redundant(&mut self, id: TaskId, relayed: &[SocketAddr]) {
        let now = self.now;
        let Self { servers: Some(servers), candidates, .. } = self else { return };
        let Some(task) = servers.task_mut(id).filter(|task| !task.relayed.is_empty()) else {
            return;
        };
        for addr in relayed {
            let mut kept = task.relayed.iter().filter_map(|id| candidates.locals.get(*id));
            if !kept.any(|local| local.addr == *addr) {
                if let Some(allocation) = &mut task.allocation {
                    allocation.release_family(now, Family::of(addr.ip()));
                }
            }
        }
    }

    /// What has become no candidate at all is not kept either: it is another one, or it came when
    /// the peer could not be told any more.
    fn release_useless(&mut self, id: TaskId) {
        let now = self.now;
        let Some(servers) = &mut self.servers else { return };
        if servers.task(id).is_some_and(|task| task.relayed.is_empty()) {
            servers.release_relay(now, id);
        }
    }

    fn is_relayed_by(&self, id: TaskId, candidate: CandidateId) -> bool {
        let task = self.servers.as_ref().and_then(|servers| servers.task(id));
        task.is_some_and(|task| task.relayed.contains(&candidate))
    }

    fn add_relayed(
        &mut self,
        id: TaskId,
        base: &Base,
        addr: SocketAddr,
        mapped: SocketAddr,
        key: FoundationKey,
    ) -> Option<CandidateId> {
        let kind = CandidateKind::Relayed;
        let new = self.insert_obtained(
            id,
            base,
            Gift { kind, addr, of: None, key, related: Some(mapped) },
        )?;
        if let Some(task) = self.servers.as_mut().and_then(|servers| servers.task_mut(id)) {
            task.relayed.push(new);
        }
        Some(new)
    }

    /// What was lost has a successor. It is checked at once, with those first that were in use; the
    /// peer learns of it by the checks, or by signalling where that is still possible.
    fn replace_relayed(
        &mut self,
        id: TaskId,
        base: &Base,
        old: CandidateId,
        addr: SocketAddr,
        mapped: SocketAddr,
        key: FoundationKey,
    ) {
        let (stream, number) = (base.stream, base.component);
        let told = self.candidates.locals.get(old).is_some_and(|local| local.conveyed);
        let first = self.remotes_by_use(stream, number, old);
        let signalled = self.may_tell(base);
        let affected = self.forget_local(old);
        self.notice(Notice::LocalCandidateRemoved(old, stream));
        let Some(new) = self.add_relayed(id, base, addr, mapped, key) else {
            return self.ask_for_restart(&affected);
        };
        if !told || signalled {
            return;
        }
        self.output.notices.retain(|notice| *notice != Notice::LocalCandidate(new));
        if let Some(local) = self.candidates.locals.get_mut(new) {
            local.conveyed = true;
        }
        self.pair_local(new);
        for remote in first {
            self.pair_late(new, remote);
        }
    }

    /// What ranks a candidate among those of its kind.
    fn rank_of(&self, task: TaskId, base: &Base, addr: SocketAddr) -> Obtained {
        let servers = self.servers.as_ref();
        let task = servers.and_then(|servers| servers.task(task));
        let server = task.map_or(u32::MAX, |task| task.server.get());
        let transport = task
            .and_then(|task| Some(servers?.server(task.server)?.uri().transport()))
            .unwrap_or(ServerTransport::Udp);
        let local = self.candidates.locals.get(base.candidate).map_or(0, |local| !local.preference);
        let server = u16::try_from(server).unwrap_or(u16::MAX);
        Obtained { transport, local, server, additional: addr.is_ipv6() && base.addr.is_ipv4() }
    }

    /// Inserts a candidate that a server has given, unless it would be redundant (RFC 8445 §5.1.3).
    fn insert_obtained(&mut self, task: TaskId, base: &Base, gift: Gift) -> Option<CandidateId> {
        let Gift { kind, addr, of, key, related } = gift;
        let redundant = match of {
            Some(_) => self.candidates.is_taken(Transport::Udp, addr, of),
            // RFC 8445 §5.1.1.2: a relayed candidate that is a host candidate is none.
            None => self.candidates.local_at(Transport::Udp, addr).is_some(),
        };
        if redundant {
            return None;
        }
        if self.candidates.locals.len() >= usize::from(self.config.limits.local_candidates) {
            self.counters.refuse(Refused::LocalCandidate);
            return None;
        }
        let from = self.candidates.locals.get(base.candidate);
        let (cost, interface, network) =
            from.map_or((0, 0, 0), |local| (local.cost, local.interface, local.network));
        let id = self.candidates.locals.insert(Local {
            stream: base.stream,
            component: base.component,
            kind,
            transport: CandidateTransport::Udp,
            addr,
            base: of,
            foundation: self.candidates.local_foundations.intern(key),
            priority: 0,
            preference: 0,
            cost,
            interface,
            network,
            temporary: false,
            mapped: false,
            usage: Usage::Candidate,
            conveyed: false,
            conveyed_anew: false,
        })?;
        self.candidates.place_by_server(id, self.rank_of(task, base, addr));
        if let Some(related) = related {
            self.candidates.relate(id, related);
        }
        if kind == CandidateKind::Relayed {
            self.rewrite(id, base.candidate, kind);
        }
        self.announce(id);
        Some(id)
    }

    /// A candidate that a server has given is one no longer.
    fn withdraw(&mut self, id: CandidateId) {
        let Some(stream) = self.candidates.locals.get(id).map(|local| local.stream) else { return };
        let affected = self.forget_local(id);
        self.notice(Notice::LocalCandidateRemoved(id, stream));
        self.ask_for_restart(&affected);
    }

    /// The server has lost what it relayed. The candidates stay until there is something to take
    /// their place, and nothing is sent on them.
    fn allocation_lost(&mut self, id: TaskId, relayed: &[SocketAddr], failure: &ServerFailure) {
        let Some(server) = self.server_of(id) else { return };
        for &relayed in relayed {
            let failure = failure.clone();
            self.report(Report::AllocationLost { server, relayed, failure });
        }
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
            self.pacer.started(now);
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
