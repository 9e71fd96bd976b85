//! The servers of an agent and what they are asked: which server from which address, in which
//! order, and when all of them have had their say.
//!
//! A [`Task`] is one server from one local address. The set paces nothing by itself: it says when
//! something wants a slot, and is granted one. What becomes known is polled as [`Found`], what the
//! caller has to do as [`Command`]. It knows addresses and ids, and neither pairs nor checks.

use core::net::{IpAddr, SocketAddr};
use std::collections::VecDeque;

use crate::random::Random;
use smallvec::SmallVec;

use super::binding::Binding;
use super::entries::Entries;
use super::link::{Command, Link};
use super::outcome::ServerFailure;
use super::plan::{
    Plan, Settings, Wanted, allocation, ask, binding, is_same_base, is_stream, reaches,
};
use super::server::ServerCredentials;
use super::task::{Awaits, Base, Found, Task};
use crate::address;
use crate::id::{CandidateId, ConnectionId, Id as _, LookupId, ServerId, SocketId, Table, TaskId};
use crate::stun::TransactionId;
use crate::stun::turn::Family;
use crate::time::Timestamp;
use crate::turn::{Allocation, Fact};
use crate::uri::ServerTransport;

/// RFC 8489 §6.2.1: outstanding transactions with one server.
const OUTSTANDING: usize = 10;

/// The servers of an agent.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Servers {
    pub(crate) entries: Entries,
    tasks: Table<TaskId, Task>,
    next_socket: u32,
    commands: VecDeque<Command>,
    found: VecDeque<(TaskId, Found)>,
    /// When gathering does not wait any more.
    until: Option<Timestamp>,
    /// When the farewell after the end of the session is over.
    farewell: Option<Timestamp>,
    /// Checks that wait for a permission, and those that have got theirs.
    pub(crate) deferred: Vec<TransactionId>,
    pub(crate) ready: VecDeque<TransactionId>,
}

impl Servers {
    pub(crate) fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(id)
    }

    pub(crate) fn task_mut(&mut self, id: TaskId) -> Option<&mut Task> {
        self.tasks.get_mut(id)
    }

    pub(crate) fn tasks(&self) -> impl Iterator<Item = (TaskId, &Task)> {
        self.tasks.iter()
    }

    /// Forgets a server: what it gave is given back. The tasks that it had.
    pub(crate) fn remove(&mut self, now: Timestamp, id: ServerId) -> SmallVec<[TaskId; 4]> {
        self.entries.remove(id);
        let of: SmallVec<[TaskId; 4]> =
            self.tasks.iter().filter(|(_, task)| task.server == id).map(|(task, _)| task).collect();
        for &task in &of {
            self.close_task(now, task);
        }
        of
    }

    pub(crate) fn update_credentials(
        &mut self,
        now: Timestamp,
        id: ServerId,
        credentials: ServerCredentials,
    ) -> bool {
        if !self.entries.set_credentials(id, credentials.clone()) {
            return false;
        }
        let credentials = credentials.into_inner();
        for (_, task) in self.tasks.iter_mut().filter(|(_, task)| task.server == id) {
            if let Some(allocation) = &mut task.allocation {
                allocation.update_credentials(now, credentials.clone());
            }
            if let Some(binding) = &mut task.binding {
                binding.update_credentials(now, credentials.clone());
            }
        }
        true
    }

    /// Gathering begins, or goes on: names are resolved, and what has failed has another chance.
    pub(crate) fn begin(
        &mut self,
        now: Timestamp,
        until: Timestamp,
        next_lookup: &mut impl FnMut() -> LookupId,
    ) {
        self.resolve(until, next_lookup);
        for (_, task) in self.tasks.iter_mut().filter(|(_, task)| !task.closing) {
            task.released = false;
            task.verify(now);
        }
    }

    /// Asks what the names stand for that nobody has asked yet, or that stood for nothing. Until
    /// then gathering waits for what has not been said yet.
    pub(crate) fn resolve(&mut self, until: Timestamp, next_lookup: &mut impl FnMut() -> LookupId) {
        self.until = Some(until);
        self.entries.resolve(|name| {
            let lookup = next_lookup();
            self.commands.push_back(Command::Resolve { lookup, name: name.into() });
            lookup
        });
    }

    /// Whether somebody's say is still waited for.
    pub(crate) fn is_waiting(&self) -> bool {
        self.entries.is_resolving() || self.tasks.iter().any(|(_, task)| task.is_awaited())
    }

    /// Gathering waits no longer: who has not answered yet is given up.
    pub(crate) fn give_up(&mut self) {
        self.until = None;
        self.entries.give_up();
        let late: SmallVec<[TaskId; 8]> =
            self.tasks.iter().filter(|(_, task)| task.is_awaited()).map(|(id, _)| id).collect();
        for id in late {
            self.found.push_back((id, Found::TooLate));
            if let Some(task) = self.tasks.get_mut(id) {
                task.awaits = Awaits::default();
            }
        }
    }

    /// The tasks that never gave anything end: gathering is over, and what they might give could
    /// not be told to the peer.
    pub(crate) fn close_barren(&mut self, now: Timestamp) {
        let barren: SmallVec<[TaskId; 8]> = self
            .tasks
            .iter()
            .filter(|(_, task)| !task.fruitful && !task.closing)
            .map(|(id, _)| id)
            .collect();
        for id in barren {
            self.close_task(now, id);
        }
    }

    /// ICE has concluded: mappings are not kept alive any more (RFC 8445 §5.1.1.4), and of the
    /// permissions only those that are used, by relayed candidate, are renewed.
    pub(crate) fn rest(&mut self, used: &[(CandidateId, IpAddr)]) {
        for (_, task) in self.tasks.iter_mut() {
            if let Some(binding) = &mut task.binding {
                binding.rest();
            }
            let Some(allocation) = &mut task.allocation else { continue };
            let unused: SmallVec<[IpAddr; 8]> = allocation
                .permitted()
                .filter(|ip| {
                    !used.iter().any(|(id, other)| task.relayed.contains(id) && other == ip)
                })
                .collect();
            for ip in unused {
                allocation.forget(ip);
            }
        }
    }

    /// The next server that nobody asks, as none of its addresses can be reached from here, or
    /// there was no connection to be had.
    pub(crate) fn poll_unasked(&mut self) -> Option<ServerId> {
        let tasks = &self.tasks;
        self.entries.poll_unasked(|id| tasks.iter().any(|(_, task)| task.server == id))
    }

    /// Makes a task of every server and base that can reach each other and have none. Whether the
    /// limit allowed all of them.
    pub(crate) fn plan(
        &mut self,
        now: Timestamp,
        bases: &[Base],
        of: &[(ServerId, Wanted)],
        settings: &Settings,
        connect: &mut impl FnMut(bool) -> Option<ConnectionId>,
    ) -> bool {
        let mut wanted: Vec<Plan> = Vec::new();
        for (id, server, ips) in self.entries.resolved() {
            let stream = is_stream(server);
            let asks = of.iter().find(|(other, _)| *other == id).map(|(_, wanted)| *wanted);
            let Some(asks) = asks.filter(|asks| !asks.is_nothing()) else { continue };
            for base in bases {
                let taken = self.tasks.iter().any(|(_, task)| {
                    task.server == id && !task.closing && is_same_base(&task.base, base, stream)
                }) || wanted
                    .iter()
                    .any(|other| other.server == id && is_same_base(&other.base, base, stream));
                let addrs: SmallVec<[SocketAddr; 2]> = ips
                    .iter()
                    .filter(|ip| reaches(base.addr.ip(), **ip))
                    .map(|ip| SocketAddr::new(*ip, server.uri().port()))
                    .collect();
                if !taken && !addrs.is_empty() && (stream || base.udp) {
                    wanted.push(Plan { server: id, base: *base, wanted: asks, addrs });
                }
            }
        }
        for (_, task) in self.tasks.iter_mut().filter(|(_, task)| task.wants_relay()) {
            let server = self.entries.get(task.server);
            if let (Some(server), Some(families)) = (server, task.wanted.relay) {
                task.allocation = Some(allocation(task, now, server, settings, families));
                task.awaits.relay = true;
            }
        }
        // RFC 8445 §14.3: RTO = MAX (500ms, Ta * (number of reflexive and relayed candidates)).
        let under_way = self.tasks.iter().filter(|(_, task)| task.is_awaited()).count();
        let transactions = u32::try_from(under_way.saturating_add(wanted.len()));
        let rto = settings.ta.saturating_mul(transactions.unwrap_or(u32::MAX));
        let mut settings = *settings;
        settings.timing.rto = settings.timing.rto.max(rto);
        let mut all = true;
        for plan in wanted {
            if self.tasks.len() >= usize::from(settings.tasks) {
                all = false;
                break;
            }
            all &= self.begin_task(now, plan, &settings, connect);
        }
        all
    }

    /// Whether there was a connection to be had, if it needs one.
    fn begin_task(
        &mut self,
        now: Timestamp,
        plan: Plan,
        settings: &Settings,
        connect: &mut impl FnMut(bool) -> Option<ConnectionId>,
    ) -> bool {
        let Plan { server: id, base, wanted, mut addrs } = plan;
        let Some(server) = self.entries.get(id) else { return true };
        let addr = addrs.remove(0);
        let others: SmallVec<[SocketAddr; 1]> = addrs.into_iter().collect();
        let link = if is_stream(server) {
            Link::Down { again: now }
        } else {
            Link::Socket { local: base.addr, mapped: base.mapped, opened: None }
        };
        let mut task = Task {
            server: id,
            base,
            wanted,
            link,
            datagrams: server.uri().transport() == ServerTransport::Dtls,
            addr,
            others,
            binding: None,
            allocation: None,
            awaits: Awaits::default(),
            fruitful: false,
            released: false,
            closing: false,
            awaited: None,
            failures: 0,
            domain: None,
            reflexive: None,
            relayed: SmallVec::new(),
        };
        ask(&mut task, now, server, settings);
        task.connect(now, &mut self.commands, connect);
        if matches!(task.link, Link::Down { .. }) {
            return false;
        }
        self.tasks.insert(task);
        true
    }

    /// Asks the next address of the server, if there is one and that may help.
    pub(crate) fn try_other(
        &mut self,
        now: Timestamp,
        id: TaskId,
        failure: &ServerFailure,
        settings: &Settings,
        connect: &mut impl FnMut(bool) -> Option<ConnectionId>,
    ) -> bool {
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.may_try_other(failure)) else {
            return false;
        };
        let Some(server) = self.entries.get(task.server) else { return false };
        task.addr = task.others.remove(0);
        task.failures = 0;
        ask(task, now, server, settings);
        if task.is_stream() {
            task.reconnect(now, &mut self.commands, connect);
        }
        true
    }

    /// RFC 8445 §5.1.1.2: a server that is short of resources for an allocation is asked for the
    /// mapping alone. Whether that was new.
    pub(crate) fn fall_back(&mut self, now: Timestamp, id: TaskId, settings: &Settings) -> bool {
        let Some(task) = self.tasks.get_mut(id) else { return false };
        let Some(server) = self.entries.get(task.server) else { return false };
        if task.is_stream() || task.binding.is_some() || !task.wanted.reflexive {
            return false;
        }
        task.binding = Some(Box::new(Binding::new(now, binding(task.addr, server, settings))));
        task.awaits.mapping = true;
        true
    }

    /// The path to the server, which an allocation has found, is kept open for as long as nothing
    /// else uses it.
    pub(crate) fn keep_open(&mut self, now: Timestamp, id: TaskId, settings: &Settings) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        let Some(server) = self.entries.get(task.server) else { return };
        task.failures = 0;
        if !task.is_stream() && task.binding.is_none() {
            let mut config = binding(task.remote(), server, settings);
            config.first = now + settings.keepalive;
            task.binding = Some(Box::new(Binding::new(now, config)));
        }
    }

    pub(crate) fn close_task(&mut self, now: Timestamp, id: TaskId) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        if task.close(now) {
            self.end_task(id);
        }
    }

    /// A task whose socket is gone can delete nothing.
    pub(crate) fn drop_task(&mut self, id: TaskId) {
        self.end_task(id);
    }

    fn end_task(&mut self, id: TaskId) {
        let Some(task) = self.tasks.remove(id) else { return };
        task.link.give_back(&mut self.commands);
        self.commands.extend(task.awaited.map(Command::CloseSocket));
    }

    /// All end. Whether something has to be said before that.
    pub(crate) fn close(&mut self, now: Timestamp, until: Timestamp) -> bool {
        self.until = None;
        self.farewell = Some(until);
        self.deferred.clear();
        self.ready.clear();
        let ids: SmallVec<[TaskId; 8]> = self.tasks.iter().map(|(id, _)| id).collect();
        for id in ids {
            self.close_task(now, id);
        }
        !self.tasks.is_empty()
    }

    /// Whether nothing more is to be said after the end of the session.
    pub(crate) fn is_done(&self, now: Timestamp) -> bool {
        self.tasks.is_empty() || self.farewell.is_some_and(|until| until <= now)
    }

    /// All end without a word.
    pub(crate) fn abandon(&mut self) {
        let ids: SmallVec<[TaskId; 8]> = self.tasks.iter().map(|(id, _)| id).collect();
        for id in ids {
            self.end_task(id);
        }
    }

    /// When something wants a slot.
    pub(crate) fn slot_at(&self) -> Option<Timestamp> {
        self.startable().map(|(at, _)| at).min()
    }

    /// The tasks that want a slot, and since when; none whose server has enough to answer.
    fn startable(&self) -> impl Iterator<Item = (Timestamp, TaskId)> {
        self.tasks.iter().filter_map(|(id, task)| {
            let at = task.slot_at()?;
            (self.outstanding(task.remote()) < OUTSTANDING).then_some((at, id))
        })
    }

    fn outstanding(&self, server: SocketAddr) -> usize {
        let same = self.tasks.iter().filter(|(_, task)| task.remote() == server);
        same.map(|(_, task)| task.outstanding()).fold(0, usize::saturating_add)
    }

    /// Uses a slot; whether there was something to ask.
    pub(crate) fn start(&mut self, now: Timestamp, rng: &mut Random) -> bool {
        let next = self.startable().filter(|(at, _)| *at <= now).min();
        next.and_then(|(_, id)| self.tasks.get_mut(id)).is_some_and(|task| task.start(now, rng))
    }

    pub(crate) fn repeat_at(&self) -> Option<Timestamp> {
        self.tasks.iter().filter_map(|(_, task)| task.repeat_at()).min()
    }

    /// Repeats the request that is due for the longest time; whether there was one.
    pub(crate) fn repeat(&mut self, now: Timestamp) -> bool {
        let due = self.tasks.iter().filter_map(|(id, task)| Some((task.repeat_at()?, id)));
        let next = due.filter(|(at, _)| *at <= now).min();
        next.and_then(|(_, id)| self.tasks.get_mut(id)).is_some_and(|task| task.repeat(now))
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        let timers = self.tasks.iter().filter_map(|(_, task)| task.timer());
        let until = self.until.filter(|_| self.is_waiting());
        timers.chain(until).chain(self.farewell).min()
    }

    pub(crate) fn handle_timeout(
        &mut self,
        now: Timestamp,
        connect: &mut impl FnMut(bool) -> Option<ConnectionId>,
    ) {
        for (_, task) in self.tasks.iter_mut() {
            if task.timer().is_some_and(|at| at <= now) {
                task.handle_timeout(now);
                task.connect(now, &mut self.commands, connect);
            }
        }
        if self.until.is_some_and(|until| until <= now) && self.is_waiting() {
            self.give_up();
        }
        self.sweep();
    }

    /// Deletes what a task has allocated, of which nobody has a use. A mapping that it has stays.
    pub(crate) fn release_relay(&mut self, now: Timestamp, id: TaskId) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        task.released = true;
        if task.is_stream() {
            return self.close_task(now, id);
        }
        if let Some(allocation) = &mut task.allocation {
            allocation.close(now);
        }
        if task.reflexive.is_none() {
            task.binding = None;
        }
        self.sweep();
    }

    /// The candidate is one no longer: what it was obtained as is given back.
    pub(crate) fn forget_relayed(&mut self, now: Timestamp, candidate: CandidateId, ip: IpAddr) {
        let task = self.tasks.iter_mut().find(|(_, task)| task.relayed.contains(&candidate));
        let Some((id, task)) = task else { return };
        task.relayed.retain(|other| *other != candidate);
        if task.relayed.is_empty() {
            self.release_relay(now, id);
        } else if let Some(allocation) = &mut task.allocation {
            allocation.release_family(now, Family::of(ip));
        }
    }

    /// The host candidate without which this relayed one cannot be.
    pub(crate) fn base_of(&self, relayed: CandidateId) -> Option<CandidateId> {
        let task = self.tasks.iter().find(|(_, task)| task.relayed.contains(&relayed));
        task.map(|(_, task)| task.base.candidate)
    }

    /// Ends what has nothing more to say.
    fn sweep(&mut self) {
        for (_, task) in self.tasks.iter_mut().filter(|(_, task)| !task.closing) {
            task.drop_closed();
        }
        loop {
            let over = self.tasks.iter().find(|(_, task)| task.is_over()).map(|(id, _)| id);
            let Some(id) = over else { break };
            self.end_task(id);
        }
    }

    pub(crate) fn has_transmit(&self) -> bool {
        self.tasks.iter().any(|(_, task)| task.has_transmit())
    }

    /// Appends the next request, and says over what it goes.
    pub(crate) fn poll_transmit(
        &mut self,
        buf: &mut Vec<u8>,
    ) -> Option<(TaskId, core::ops::Range<usize>)> {
        self.tasks.iter_mut().find_map(|(id, task)| Some((id, task.poll_transmit(buf)?)))
    }

    pub(crate) fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    pub(crate) fn poll_found(&mut self) -> Option<(TaskId, Found)> {
        if let Some(found) = self.found.pop_front() {
            return Some(found);
        }
        let found = self.tasks.iter_mut().find_map(|(id, task)| Some((id, task.poll_fact()?)));
        if found.is_none() {
            self.sweep();
        }
        found
    }

    /// The task behind a datagram's addresses that has a use for it.
    pub(crate) fn between(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> impl Iterator<Item = (TaskId, &Task)> {
        self.tasks.iter().filter(move |(_, task)| task.is_between(local, remote))
    }

    /// What was sent on this path did not arrive: one request, or anything. Whether there is
    /// something that was asked there.
    pub(crate) fn unreachable(
        &mut self,
        now: Timestamp,
        local: SocketAddr,
        remote: SocketAddr,
        id: Option<TransactionId>,
    ) -> bool {
        let mut any = false;
        for (_, task) in self.tasks.iter_mut().filter(|(_, task)| task.is_between(local, remote)) {
            task.unreachable(now, id);
            any = true;
        }
        any
    }

    pub(crate) fn by_connection(&self, id: ConnectionId) -> Option<TaskId> {
        let mut tasks = self.tasks.iter();
        tasks.find(|(_, task)| task.connection() == Some(id)).map(|(id, _)| id)
    }

    /// The task that a relayed candidate came of.
    pub(crate) fn relay_of(&self, candidate: CandidateId) -> Option<(TaskId, &Allocation)> {
        self.tasks.iter().find_map(|(id, task)| {
            let own = task.relayed.contains(&candidate);
            Some((id, task.allocation.as_deref().filter(|_| own)?))
        })
    }

    pub(crate) fn relay_of_mut(&mut self, candidate: CandidateId) -> Option<&mut Allocation> {
        self.tasks.iter_mut().find_map(|(_, task)| {
            let own = task.relayed.contains(&candidate);
            task.allocation.as_deref_mut().filter(|_| own)
        })
    }

    /// The connection is there.
    pub(crate) fn connected(&mut self, now: Timestamp, id: TaskId) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        if let Link::Connection { open, .. } = &mut task.link {
            *open = true;
        }
        if let Some(allocation) = &mut task.allocation {
            allocation.connected(now);
        }
    }

    /// The connection is gone, or could not be made.
    pub(crate) fn disconnected(&mut self, now: Timestamp, id: TaskId) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        // A server that has given something, and had a connection, may give it again over the next one:
        // that is waited for like the successor of anything else that it has lost.
        let again = task.fruitful && matches!(task.link, Link::Connection { open: true, .. });
        task.disconnected(now);
        if task.is_awaited() && !again {
            self.found.push_back((id, Found::Unreachable));
        }
        self.sweep();
    }

    /// The connection carries something that cannot be read: it is closed, and counts as gone.
    pub(crate) fn break_connection(&mut self, now: Timestamp, id: TaskId) {
        if let Some(connection) = self.tasks.get(id).and_then(Task::connection) {
            self.commands.push_back(Command::CloseConnection(connection));
        }
        self.disconnected(now, id);
    }

    /// The server wants another 5-tuple.
    pub(crate) fn change_port(
        &mut self,
        now: Timestamp,
        id: TaskId,
        connect: &mut impl FnMut(bool) -> Option<ConnectionId>,
    ) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        match task.link {
            Link::Socket { local, .. } => {
                let socket = SocketId::new(self.next_socket);
                self.next_socket = self.next_socket.saturating_add(1);
                task.awaited = Some(socket);
                self.commands.push_back(Command::OpenSocket { id: socket, local: local.ip() });
            }
            Link::Connection { .. } => task.reconnect(now, &mut self.commands, connect),
            Link::Down { .. } => {}
        }
    }

    /// Another server takes its place (RFC 8489 §10).
    pub(crate) fn redirected(
        &mut self,
        now: Timestamp,
        id: TaskId,
        domain: Option<Box<str>>,
        connect: &mut impl FnMut(bool) -> Option<ConnectionId>,
    ) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        task.domain = domain;
        if matches!(task.link, Link::Connection { .. }) {
            task.reconnect(now, &mut self.commands, connect);
        }
    }

    /// A socket that was asked for is there. Whether it was.
    pub(crate) fn socket_opened(&mut self, now: Timestamp, id: SocketId, addr: SocketAddr) -> bool {
        let task = self.tasks.iter_mut().find(|(_, task)| task.awaited == Some(id));
        let Some((_, task)) = task else { return false };
        task.awaited = None;
        task.link.give_back(&mut self.commands);
        let mapped = address::is_mapped(addr);
        task.link = Link::Socket { local: address::normal(addr), mapped, opened: Some(id) };
        if let Some(allocation) = &mut task.allocation {
            allocation.rebind(now);
        }
        true
    }

    /// There is no such socket to be had. Whether it was asked for.
    pub(crate) fn socket_failed(&mut self, id: SocketId) -> bool {
        let task = self.tasks.iter_mut().find(|(_, task)| task.awaited == Some(id));
        let Some((task_id, task)) = task else { return false };
        task.awaited = None;
        self.found.push_back((task_id, Found::Unreachable));
        true
    }

    /// The socket of a base has moved. What was obtained from the old address is lost (RFC 8656
    /// §5), and obtained anew from the new one.
    pub(crate) fn rebase(
        &mut self,
        now: Timestamp,
        old: CandidateId,
        new: Base,
        settings: &Settings,
        connect: &mut impl FnMut(bool) -> Option<ConnectionId>,
    ) {
        for (_, task) in self.tasks.iter_mut().filter(|(_, task)| task.base.candidate == old) {
            let Some(server) = self.entries.get(task.server) else { continue };
            task.base = new;
            match task.link {
                Link::Socket { .. } => {
                    task.link.give_back(&mut self.commands);
                    task.link = Link::Socket { local: new.addr, mapped: new.mapped, opened: None };
                    if let Some(allocation) = &mut task.allocation {
                        allocation.rebind(now);
                    }
                    if task.binding.is_some() {
                        let config = binding(task.remote(), server, settings);
                        task.binding = Some(Box::new(Binding::new(now, config)));
                    }
                }
                Link::Connection { .. } => {
                    task.link.give_back(&mut self.commands);
                    task.disconnected(now);
                    task.reconnect(now, &mut self.commands, connect);
                }
                Link::Down { .. } => {}
            }
        }
    }

    /// The sockets of a base are gone. The tasks that had it, and are no more.
    pub(crate) fn remove_base(&mut self, candidate: CandidateId) -> SmallVec<[Task; 2]> {
        let ids: SmallVec<[TaskId; 2]> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.base.candidate == candidate)
            .map(|(id, _)| id)
            .collect();
        let mut gone = SmallVec::new();
        for id in ids {
            if let Some(task) = self.tasks.get(id) {
                gone.push(task.clone());
            }
            self.drop_task(id);
        }
        gone
    }
}

/// What gathering need not wait for any more, when this has been found.
pub(crate) fn settled(found: &Found) -> Awaits {
    match found {
        Found::Mapping(_) => Awaits { mapping: true, relay: false },
        Found::Relay(
            Fact::Relayed { .. } | Fact::Confirmed | Fact::Failed { .. } | Fact::Closed,
        ) => Awaits { mapping: false, relay: true },
        Found::Relay(_) => Awaits::default(),
        Found::Unreachable | Found::TooLate => Awaits { mapping: true, relay: true },
    }
}
