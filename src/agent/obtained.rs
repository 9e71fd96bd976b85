//! What servers give becomes candidates (RFC 8445 §5.1.1.2, §5.1.3), and what they refuse events.

use core::net::SocketAddr;

use crate::candidate::foundation::FoundationKey;
use crate::candidate::{CandidateKind, CandidateTransport, Transport};
use crate::gather::{Awaits, Base, BindingFact, Found, ServerFailure, settled};
use crate::id::{CandidateId, ServerId, TaskId};
use crate::policy::Obtained;
use crate::stun::turn::Family;
use crate::turn::Fact;
use crate::uri::ServerTransport;

use super::IceAgent;
use super::candidates::{Local, Usage};
use super::counters::Refused;
use super::io::GatheringState;
use super::output::{Notice, Report};

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
    pub(super) fn found(&mut self, id: TaskId, found: Found) {
        let awaited = self.awaited_of(id);
        self.settle(id, settled(&found));
        match found {
            // What was confirmed may have been found when the peer could not be told.
            Found::Mapping(BindingFact::Mapped { addr, .. } | BindingFact::Confirmed { addr }) => {
                self.mapping_found(id, addr);
            }
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
            Found::Relay(Fact::Confirmed) => {
                if let Some(mapped) = self.mapping_of_relay(id) {
                    self.mapping_found(id, mapped);
                }
            }
            // Data goes in indications for as long as there is no channel.
            Found::Relay(
                Fact::ChannelBound { .. } | Fact::ChannelRefused { .. } | Fact::Closed,
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
        servers.entries.note_failure(now, server, &failure);
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

    /// What a server that relays has seen when it gave its relayed address.
    fn mapping_of_relay(&self, id: TaskId) -> Option<SocketAddr> {
        let task = self.servers.as_ref()?.task(id).filter(|task| task.is_direct())?;
        task.relayed.iter().find_map(|relayed| self.candidates.related(*relayed))
    }

    /// Whether the address that a server sees is a candidate.
    fn tells_mapping(&self, server: ServerId) -> bool {
        let server = self.servers.as_ref().and_then(|servers| servers.entries.get(server));
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
        // What was put out for a staged restart has a successor there as well.
        let staged = self.staged.is_some();
        let affected = self.forget_local(old);
        self.notice(Notice::LocalCandidateRemoved(old, stream));
        let Some(new) = self.add_relayed(id, base, addr, mapped, key) else {
            return self.ask_for_restart(&affected);
        };
        if signalled || !(told || staged) {
            return;
        }
        self.output.notices.retain(|notice| *notice != Notice::LocalCandidate(new));
        if let Some(local) = self.candidates.locals.get_mut(new) {
            local.conveyed = told;
            local.conveyed_anew = staged;
        }
        if !told {
            return;
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
            .and_then(|task| Some(servers?.entries.get(task.server)?.uri().transport()))
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
        let (cost, interface, network, interface_kind) = from
            .map(|local| (local.cost, local.interface, local.network, local.interface_kind))
            .unwrap_or_default();
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
            interface_kind,
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
    pub(super) fn withdraw(&mut self, id: CandidateId) {
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
}
