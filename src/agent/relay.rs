//! The way of messages and data through servers: what leaves from a relayed candidate is wrapped,
//! what a server relays is unwrapped, and nothing is copied.

use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroU16;
use core::ops::Range;

use smallvec::SmallVec;

use crate::address;
use crate::candidate::{CandidateKind, CandidateTransport, Transport};
use crate::checklist::{PairState, Setback};
use crate::gather::{Link, Rejected, Task};
use crate::id::{CandidateId, ConnectionId, PairId, StreamId, TaskId};
use crate::stun::{self, Class, TransactionId};
use crate::tcp::frame_head;
use crate::turn::{self, FromServer, PeerError, is_channel};

use super::IceAgent;
use super::counters::Refused;
use super::io::{Ignored, Outgoing, Received, Route, Transmit};
use super::path::SendError;

/// A message that stands in the caller's buffer, and the candidates' view of where it goes.
pub(super) struct Rendered {
    pub(super) range: Range<usize>,
    pub(super) local: CandidateId,
    pub(super) to: SocketAddr,
    /// The connection that it takes from a candidate of TCP.
    pub(super) via: Option<ConnectionId>,
}

impl Task {
    /// How its messages leave.
    fn route(&self) -> Option<Route> {
        match self.link {
            Link::Socket { local, mapped, .. } => {
                let form = |addr| if mapped { address::to_mapped(addr) } else { addr };
                let (local, remote) = (form(local), form(self.remote()));
                Some(Route::Datagram { transport: Transport::Udp, local, remote })
            }
            Link::Connection { id, open: true } => Some(Route::Stream(id)),
            Link::Connection { open: false, .. } | Link::Down { .. } => None,
        }
    }
}

impl IceAgent {
    /// Gives a rendered message its way. What cannot be sent is taken back out of the buffer.
    pub(super) fn dispatch(&mut self, message: Rendered, buf: &mut Vec<u8>) -> Option<Transmit> {
        let Rendered { range, local, to, via } = message;
        let dscp = self.config.dscp;
        let candidate = self.candidates.locals.get(local);
        if candidate.is_some_and(|local| local.transport != CandidateTransport::Udp) {
            return self.frame(range, via, buf);
        }
        let relayed = candidate.is_some_and(|local| local.kind == CandidateKind::Relayed);
        let task = self.servers.as_ref().filter(|_| relayed).and_then(|it| it.relay_of(local));
        let Some((task, _)) = task else {
            let route = self.route_between(local, to);
            if route.is_none() {
                buf.truncate(range.start);
            }
            return route.map(|route| Transmit { route, range, dscp });
        };
        let wrapped = self.wrap(task, to, range.len());
        let Some((route, head)) = wrapped else {
            buf.truncate(range.start);
            self.counters.refuse(Refused::Unrelayed);
            return None;
        };
        buf.splice(range.start..range.start, head.as_bytes().iter().copied());
        buf.extend_from_slice(head.padding());
        Some(Transmit { route, range: range.start..buf.len(), dscp })
    }

    /// RFC 4571: the head of its frame before a message. One whose connection is gone is taken back.
    fn frame(
        &self,
        range: Range<usize>,
        via: Option<ConnectionId>,
        buf: &mut Vec<u8>,
    ) -> Option<Transmit> {
        let via = via.filter(|id| self.connections.peer(*id).is_some());
        let Some((id, head)) = via.zip(frame_head(range.len())) else {
            buf.truncate(range.start);
            return None;
        };
        buf.splice(range.start..range.start, head);
        let range = range.start..buf.len();
        Some(Transmit { route: Route::Stream(id), range, dscp: self.config.dscp })
    }

    /// What goes before a message of this length that a server is to relay, and how it gets there.
    fn wrap(&mut self, task: TaskId, to: SocketAddr, len: usize) -> Option<(Route, turn::Head)> {
        let now = self.now;
        let Self { servers: Some(servers), rng, .. } = self else { return None };
        let task = servers.task(task)?;
        let head = task.allocation.as_ref()?.head_for(now, to, len, rng).ok()?;
        Some((task.route()?, head))
    }

    /// The next request to a server.
    pub(super) fn render_asking(&mut self, buf: &mut Vec<u8>) -> Option<Transmit> {
        let servers = self.servers.as_mut()?;
        loop {
            let start = buf.len();
            let (task, range) = servers.poll_transmit(buf)?;
            if let Some(route) = servers.task(task).and_then(Task::route) {
                return Some(Transmit { route, range, dscp: self.config.dscp });
            }
            buf.truncate(start);
        }
    }

    /// Application data through a server.
    pub(super) fn send_relayed<'a>(
        &mut self,
        local: CandidateId,
        pair: PairId,
        to: SocketAddr,
        payload: &'a [u8],
    ) -> Result<Outgoing<'a>, SendError> {
        let task = self.servers.as_ref().and_then(|servers| servers.relay_of(local));
        let task = task.map(|(task, _)| task).ok_or(SendError::NoRelay)?;
        let (route, head) = self.wrap(task, to, payload.len()).ok_or(SendError::NoRelay)?;
        Ok(Outgoing::direct(route, pair, self.config.dscp, payload).with_head(head))
    }

    /// Whether this candidate is relayed by a server that the agent has asked.
    pub(super) fn is_own_relay(&self, local: CandidateId) -> bool {
        self.servers.as_ref().is_some_and(|servers| servers.relay_of(local).is_some())
    }

    /// The bytes that come to a payload on this path, and the IP version under it.
    pub(super) fn relay_overhead(
        &self,
        local: CandidateId,
        to: SocketAddr,
    ) -> Option<(usize, bool)> {
        let (task, allocation) = self.servers.as_ref()?.relay_of(local)?;
        let ipv4 = self.servers.as_ref()?.task(task)?.remote().is_ipv4();
        Some((allocation.overhead(self.now, to), ipv4))
    }

    /// A datagram may be from a server: `None` if it is not.
    pub(super) fn receive_from_server<'a>(
        &mut self,
        local: SocketAddr,
        from: SocketAddr,
        bytes: &'a [u8],
    ) -> Option<Result<Received<'a>, Ignored>> {
        let servers = self.servers.as_ref()?;
        let answered = servers.between(local, from).find(|(_, task)| is_answer_to(task, bytes));
        if let Some(id) = answered.map(|(id, _)| id) {
            return Some(self.receive_answer(id, from, bytes));
        }
        let relay = servers.between(local, from).find(|(_, task)| task.allocation.is_some());
        let relay = relay.filter(|_| carries_data(bytes)).map(|(id, _)| id);
        relay.map(|relay| self.receive_relayed(relay, from, bytes))
    }

    /// A message arrived on a connection.
    pub(super) fn receive_on<'a>(
        &mut self,
        id: ConnectionId,
        message: &'a [u8],
    ) -> Result<Received<'a>, Ignored> {
        if let Some(peer) = self.connections.peer(id) {
            let (local, from) = (peer.local, peer.addr);
            return self.receive_framed(id, local, from, message);
        }
        let servers = self.servers.as_ref().ok_or(Ignored::UnknownConnection)?;
        let task = servers.by_connection(id).ok_or(Ignored::UnknownConnection)?;
        let from = servers.task(task).map(Task::remote).ok_or(Ignored::UnknownConnection)?;
        if self.is_closed() {
            return self.receive_answer(task, from, message);
        }
        self.receive_relayed(task, from, message)
    }

    fn receive_answer<'a>(
        &mut self,
        id: TaskId,
        from: SocketAddr,
        bytes: &'a [u8],
    ) -> Result<Received<'a>, Ignored> {
        let now = self.now;
        let servers = self.servers.as_mut().ok_or(Ignored::UnknownTransaction)?;
        let task = servers.task_mut(id).ok_or(Ignored::UnknownTransaction)?;
        let id = transaction(bytes);
        let result = match (&mut task.binding, &mut task.allocation) {
            (Some(binding), _) if id.is_some_and(|id| binding.knows(id)) => {
                binding.receive(now, from, bytes)
            }
            (_, Some(allocation)) => match allocation.receive(now, from, bytes) {
                FromServer::Ignored(reason) => Err(reason),
                _ => Ok(()),
            },
            _ => Err(Rejected::UnknownTransaction),
        };
        self.run();
        result.map(|()| Received::Consumed).map_err(ignored)
    }

    /// What a server relays, or says of what it relayed.
    fn receive_relayed<'a>(
        &mut self,
        id: TaskId,
        from: SocketAddr,
        bytes: &'a [u8],
    ) -> Result<Received<'a>, Ignored> {
        let now = self.now;
        let servers = self.servers.as_mut().ok_or(Ignored::UnknownRemote)?;
        let task = servers.task_mut(id).ok_or(Ignored::UnknownRemote)?;
        let relayed = task.relayed.clone();
        let allocation = task.allocation.as_mut().ok_or(Ignored::UnknownRemote)?;
        let of_family = |peer: SocketAddr| {
            let mut locals = relayed.iter().filter_map(|id| self.candidates.locals.get(*id));
            locals.find(|local| local.addr.is_ipv4() == peer.is_ipv4()).map(|local| local.addr)
        };
        match allocation.receive(now, from, bytes) {
            FromServer::Data { peer, payload } => {
                let local = of_family(peer).ok_or(Ignored::UnknownLocal)?;
                self.receive_direct(Transport::Udp, local, peer, payload)
            }
            FromServer::PeerError { peer, error } => {
                let local = of_family(peer).ok_or(Ignored::UnknownLocal)?;
                self.peer_unreachable(local, peer, error);
                Ok(Received::Consumed)
            }
            FromServer::Consumed => {
                self.run();
                Ok(Received::Consumed)
            }
            FromServer::Ignored(reason) => {
                self.run();
                Err(ignored(reason))
            }
        }
    }

    /// RFC 8656 §11.6
    fn peer_unreachable(&mut self, local: SocketAddr, peer: SocketAddr, error: PeerError) {
        let Some(local) = self.candidates.local_at(Transport::Udp, local) else { return };
        match error {
            PeerError::Hard if self.config.icmp && peer.port() != 0 => {
                self.fail_checks(local, peer, None, Setback::Icmp);
            }
            PeerError::TooBig { mtu } => {
                let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
                self.path_is_narrow(local, peer, mtu);
            }
            PeerError::Hard | PeerError::Soft => {}
        }
    }

    /// Asks for the permissions that a relayed candidate needs for its pairs (RFC 8445 §7.2.1).
    pub(super) fn permit_remotes(&mut self, local: CandidateId) {
        let Some(candidate) = self.candidates.locals.get(local) else { return };
        if candidate.kind != CandidateKind::Relayed || self.servers.is_none() {
            return;
        }
        let (stream, component) = (candidate.stream, candidate.component);
        let ips: SmallVec<[IpAddr; 8]> = self
            .candidates
            .remotes
            .iter()
            .filter(|(id, remote)| {
                remote.stream == stream
                    && remote.component == component
                    && remote.is_of(self.candidates.generation)
                    && self.may_relay(local, *id)
            })
            .map(|(_, remote)| remote.addr.ip())
            .collect();
        for ip in ips {
            self.permit(local, ip);
        }
    }

    /// The same for a new candidate of the peer.
    pub(super) fn permit_remote(&mut self, remote: CandidateId) {
        let Some(candidate) = self.candidates.remotes.get(remote) else { return };
        if self.servers.is_none() {
            return;
        }
        let (stream, component, addr) = (candidate.stream, candidate.component, candidate.addr);
        let locals: SmallVec<[CandidateId; 4]> = self
            .candidates
            .locals
            .iter()
            .filter(|(id, local)| {
                local.kind == CandidateKind::Relayed
                    && local.stream == stream
                    && local.component == component
                    && local.conveyed
                    && self.may_relay(*id, remote)
            })
            .map(|(id, _)| id)
            .collect();
        for local in locals {
            self.permit(local, addr.ip());
        }
    }

    /// Whether the server may be told an address of the peer: if it is to relay to it, and so not
    /// one that a name hides (draft-ietf-rtcweb-mdns-ice-candidates-04 §3.3.2).
    fn may_relay(&self, local: CandidateId, remote: CandidateId) -> bool {
        let ours = self.candidates.local_endpoint(local);
        let theirs = self.candidates.remote_endpoint(remote);
        ours.zip(theirs).is_some_and(|(ours, theirs)| ours.reach.pairs_with(theirs.reach))
            && !self.is_forbidden_between(local, remote)
    }

    fn permit(&mut self, local: CandidateId, ip: IpAddr) {
        let now = self.now;
        let Some(servers) = &mut self.servers else { return };
        if let Some(allocation) = servers.relay_of_mut(local) {
            // What is refused shows when a check is about to be sent.
            let _ = allocation.permit(now, ip);
        }
    }

    /// Whether a check has to wait until the server relays to its destination. A check for which
    /// that will never be is failed.
    pub(super) fn is_deferred(&mut self, id: TransactionId) -> bool {
        let Some(servers) = &self.servers else { return false };
        let Some(check) = self.checks.get(id) else { return false };
        let (local, pair) = (check.local, check.pair);
        let Some((_, allocation)) = servers.relay_of(local) else { return false };
        let Some(remote) = self.candidates.remotes.get(check.remote) else { return false };
        let ip = remote.addr.ip();
        if allocation.is_permitted(self.now, ip) {
            return false;
        }
        let mut awaits = allocation.awaits_permission(ip);
        let renews = !awaits && !allocation.has_refused(ip);
        if renews {
            // It was let go, since nothing used it.
            self.permit(local, ip);
            let allocation = self.servers.as_ref().and_then(|servers| servers.relay_of(local));
            awaits = allocation.is_some_and(|(_, allocation)| allocation.awaits_permission(ip));
        }
        if let Some(servers) = self.servers.as_mut().filter(|_| awaits) {
            let checks = &self.checks;
            servers.deferred.retain(|other| *other != id && checks.get(*other).is_some());
            servers.deferred.push(id);
        } else {
            self.fail_unrelayed(pair, Setback::NotRelayed);
        }
        if renews || !awaits {
            self.run();
        }
        true
    }

    /// The server relays to this address from now on: the checks that have waited for it go.
    pub(super) fn permitted(&mut self, task: TaskId, ip: IpAddr) {
        let Some(servers) = &mut self.servers else { return };
        let Some(relayed) = servers.task(task).map(|task| task.relayed.clone()) else { return };
        let mut deferred = core::mem::take(&mut servers.deferred);
        deferred.retain(|id| {
            let Some(check) = self.checks.get(*id) else { return false };
            let to = self.candidates.remotes.get(check.remote).map(|remote| remote.addr.ip());
            let goes = relayed.contains(&check.local) && to == Some(ip);
            if goes {
                servers.ready.push_back(*id);
            }
            !goes
        });
        servers.deferred = deferred;
    }

    /// The server does not relay to this address.
    pub(super) fn permission_refused(&mut self, task: TaskId, ip: IpAddr, code: Option<u16>) {
        let Some(servers) = &self.servers else { return };
        let Some(task) = servers.task(task) else { return };
        let final_word =
            task.allocation.as_ref().is_some_and(|allocation| !allocation.awaits_permission(ip));
        if !final_word {
            return;
        }
        let pairs: SmallVec<[PairId; 4]> = self
            .lists
            .pairs()
            .filter(|(_, pair)| {
                let to = self.candidates.remotes.get(pair.remote).map(|remote| remote.addr.ip());
                task.relayed.contains(&pair.local) && to == Some(ip) && is_open(pair.state)
            })
            .map(|(id, _)| id)
            .collect();
        let setback = Setback::PermissionRefused(code.and_then(NonZeroU16::new));
        for pair in pairs {
            self.fail_unrelayed(pair, setback);
        }
    }

    /// A path that is valid ends as any other that falls silent.
    fn fail_unrelayed(&mut self, pair: PairId, setback: Setback) {
        if self.lists.get(pair).is_some_and(|pair| is_open(pair.state)) {
            self.checks.cancel(pair);
            self.lists.note_setback(pair, setback);
            self.lists.fail(pair);
        }
    }

    /// Sends a check whose permission has come, if the spacing of packets allows it.
    pub(super) fn release_deferred(&mut self) -> bool {
        let now = self.now;
        if self.pacer.next_packet() > now {
            return false;
        }
        let Some(id) = self.servers.as_mut().and_then(|servers| servers.ready.pop_front()) else {
            return false;
        };
        self.pacer.retransmitted(now);
        self.output.check(id);
        true
    }

    /// RFC 8445 §12.1: data of a selected relayed pair goes over a channel.
    pub(super) fn bind_channel(&mut self, pair: PairId) {
        let now = self.now;
        let Some((local, to)) = self.ends_of(pair) else { return };
        let Some(servers) = &mut self.servers else { return };
        if let Some(allocation) = servers.relay_of_mut(local) {
            // Without a channel data goes in indications.
            let _ = allocation.bind(now, to);
        }
    }

    /// The pair is not selected any more.
    pub(super) fn unbind_channel(&mut self, pair: PairId) {
        let Some((local, to)) = self.ends_of(pair) else { return };
        let Some(servers) = &mut self.servers else { return };
        if let Some(allocation) = servers.relay_of_mut(local) {
            allocation.unbind(to);
        }
    }

    fn ends_of(&self, pair: PairId) -> Option<(CandidateId, SocketAddr)> {
        let pair = self.lists.get(pair)?;
        Some((pair.local, self.candidates.remotes.get(pair.remote)?.addr))
    }

    /// A datagram was larger than what the path of a component carries.
    fn path_is_narrow(&mut self, local: CandidateId, peer: SocketAddr, mtu: u16) {
        let component =
            self.streams.iter_mut().flat_map(|stream| &mut stream.components).find(|component| {
                let path = component.path.as_ref();
                path.is_some_and(|path| path.local == local && path.remote_addr.ip() == peer.ip())
            });
        if let Some(path) = component.and_then(|component| component.path.as_mut()) {
            path.narrow(mtu);
        }
    }

    /// The largest payload of a component's path that no router has to fragment, in bytes: what is
    /// left of [`AgentConfig::path_mtu`](crate::AgentConfig::path_mtu), or of what a router has told,
    /// behind the headers of IP, UDP or TCP, and a relay (RFC 8656 §3.8). Over TCP larger payloads go
    /// as well, up to 65,535 bytes. `None` while there is no path.
    #[must_use]
    pub fn max_payload(&self, stream: StreamId, component: u16) -> Option<usize> {
        let path = self.path_to(stream, component).ok()?;
        let relayed = self.relay_overhead(path.local, path.remote_addr);
        let (overhead, ipv4) = relayed.unwrap_or_else(|| (0, path.remote_addr.is_ipv4()));
        let mut headers: usize = if ipv4 { 28 } else { 48 };
        if path.is_stream() {
            // The header of TCP is larger than that of UDP, and there is the head of the frame.
            headers = headers.saturating_add(14);
        }
        let mtu = usize::from(path.mtu().min(self.config.path_mtu));
        Some(mtu.saturating_sub(headers).saturating_sub(overhead))
    }
}

/// Whether it is still to be found out if a pair works.
const fn is_open(state: PairState) -> bool {
    matches!(state, PairState::Frozen | PairState::Waiting | PairState::InProgress)
}

/// Whether a datagram from a server's address answers something that was asked.
fn is_answer_to(task: &Task, bytes: &[u8]) -> bool {
    transaction(bytes).is_some_and(|id| {
        task.binding.as_ref().is_some_and(|binding| binding.knows(id))
            || task.allocation.as_ref().is_some_and(|allocation| allocation.knows(id))
    })
}

/// The id of a STUN message.
fn transaction(bytes: &[u8]) -> Option<TransactionId> {
    let id = bytes.get(8..20).filter(|_| stun::is_stun(bytes))?;
    Some(TransactionId::new(id.try_into().ok()?))
}

/// Whether this is what a server relays: ChannelData or a Data indication.
fn carries_data(bytes: &[u8]) -> bool {
    let channel = bytes.first_chunk().map(|number| u16::from_be_bytes(*number));
    if channel.is_some_and(is_channel) {
        return true;
    }
    stun::is_stun(bytes)
        && stun::scan(bytes).is_ok_and(|scan| {
            (scan.class(), scan.method()) == (Class::Indication, stun::method::DATA)
        })
}

/// Why the agent ignores what a client of a server rejects.
const fn ignored(reason: Rejected) -> Ignored {
    match reason {
        Rejected::Foreign | Rejected::Unexpected | Rejected::NotTurn => Ignored::UnexpectedMessage,
        Rejected::Malformed | Rejected::NoData => Ignored::MalformedStun,
        Rejected::Fingerprint => Ignored::BadFingerprint,
        Rejected::UnknownTransaction => Ignored::UnknownTransaction,
        Rejected::Unauthenticated => Ignored::BadIntegrity,
        Rejected::BidDown => Ignored::BidDown,
        Rejected::Contradictory => Ignored::Contradictory,
        Rejected::NoChannel | Rejected::NoPermission | Rejected::NoAllocation => {
            Ignored::UnknownRemote
        }
        Rejected::Fact => Ignored::LimitReached,
    }
}
