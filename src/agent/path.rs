//! Application data (RFC 8445 §12).

use core::net::SocketAddr;

use crate::candidate::{CandidateKind, CandidateTransport, Transport};
use crate::checklist::Traffic;
use crate::id::{CandidateId, ConnectionId, PairId, StreamId};
use crate::stun;
use crate::tcp::frame_head;
use crate::time::Timestamp;
use crate::turn::Head;

use super::io::{Ignored, Outgoing, Received, Route};
use super::{IceAgent, Stream};

/// The way of a component's data, with everything that a packet needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Path {
    pub(super) pair: PairId,
    /// The base that packets leave from.
    pub(super) local: CandidateId,
    pub(super) transport: Transport,
    pub(super) local_addr: SocketAddr,
    pub(super) remote_addr: SocketAddr,
    /// The caller wrote the local address in its IPv6 form.
    mapped: bool,
    pub(super) via: Via,
    /// What a router has told of the largest packet that gets through.
    mtu: u16,
    /// What has passed since it became the path.
    pub(super) traffic: Traffic,
}

/// What a path goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Via {
    /// Datagrams.
    Direct,
    /// A server that the agent has asked.
    Relay,
    /// Frames on this connection, if it is there now.
    Stream(Option<ConnectionId>),
}

impl Path {
    pub(super) const fn is_stream(&self) -> bool {
        matches!(self.via, Via::Stream(_))
    }

    fn route(&self) -> Route {
        let form = |addr| if self.mapped { crate::address::to_mapped(addr) } else { addr };
        Route::Datagram {
            transport: self.transport,
            local: form(self.local_addr),
            remote: form(self.remote_addr),
        }
    }

    pub(super) fn narrow(&mut self, mtu: u16) {
        // RFC 791: every link of IPv4 carries 68 bytes; what claims less is wrong.
        self.mtu = self.mtu.min(mtu.max(68));
    }

    pub(super) const fn mtu(&self) -> u16 {
        self.mtu
    }
}

/// Why application data cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no such stream or component.
    #[error("no such stream or component")]
    UnknownComponent,
    /// Some component of the stream has no valid pair (RFC 8445 §12.1).
    #[error("not connected: a component of the stream has no valid pair")]
    NotConnected,
    /// The payload would be taken for STUN by the receiver.
    #[error("the payload looks like STUN")]
    LooksLikeStun,
    /// The path goes through a server that has lost the allocation, or cannot relay a payload of
    /// this size. It is mended without a call.
    #[error("the server does not relay it now")]
    NoRelay,
    /// The TCP connection of the path was lost. The side that had opened it opens another one.
    #[error("the connection of the path was lost")]
    NoConnection,
    /// The payload does not fit into a frame of 65,535 bytes.
    #[error("the payload does not fit into a frame")]
    TooLarge,
}

impl IceAgent {
    /// Where data of a component goes now: its selected pair or, before nomination, the best
    /// valid one. `None` unless all components of the stream have a valid pair (RFC 8445 §12.1), and
    /// where each packet needs a head of its own, which [`send`](Self::send) makes: over relays and
    /// over TCP. Whether there is a path of any kind is what [`max_payload`](Self::max_payload) says.
    #[must_use]
    pub fn route(&self, stream: StreamId, component: u16) -> Option<Route> {
        let path = self.path_to(stream, component).ok()?;
        (path.via == Via::Direct).then(|| path.route())
    }

    /// Prepares application data for sending. Nothing is copied, and nothing is queued: the
    /// caller writes what is returned.
    ///
    /// # Errors
    /// There is no way to send, or the payload must not be sent.
    pub fn send<'a>(
        &mut self,
        now: Timestamp,
        stream: StreamId,
        component: u16,
        payload: &'a [u8],
    ) -> Result<Outgoing<'a>, SendError> {
        self.advance(now);
        if stun::is_stun(payload) {
            return Err(SendError::LooksLikeStun);
        }
        if !self.config.consent {
            self.path_used(stream, component);
        }
        let (now, bytes, dscp) = (self.now, payload.len() as u64, self.config.dscp);
        let path = path_in(&mut self.streams, stream, component)?;
        let pair = path.pair;
        match path.via {
            Via::Direct => {
                path.traffic.sent(now, 1, bytes);
                Ok(Outgoing::direct(path.route(), pair, dscp, payload))
            }
            Via::Relay => {
                let (local, to) = (path.local, path.remote_addr);
                let outgoing = self.send_relayed(local, pair, to, payload);
                match &outgoing {
                    Ok(_) => self.count_sent(stream, component, 1, bytes),
                    Err(_) => self.count_discarded(pair, bytes),
                }
                outgoing
            }
            Via::Stream(None) => {
                self.count_discarded(pair, bytes);
                Err(SendError::NoConnection)
            }
            Via::Stream(Some(id)) => {
                let head = frame_head(payload.len()).ok_or(SendError::TooLarge)?;
                path.traffic.sent(now, 1, bytes);
                let outgoing = Outgoing::direct(Route::Stream(id), pair, dscp, payload);
                Ok(outgoing.with_head(Head::of_frame(head)))
            }
        }
    }

    /// The path of a component, if all of its stream have one (RFC 8445 §12.1).
    pub(super) fn path_to(&self, stream: StreamId, number: u16) -> Result<&Path, SendError> {
        let stream = self.streams.iter().find(|other| other.id == stream);
        let components = &stream.ok_or(SendError::UnknownComponent)?.components;
        let mut path = Err(SendError::UnknownComponent);
        for component in components {
            let this = component.path.as_ref().ok_or(SendError::NotConnected)?;
            if component.number == number {
                path = Ok(this);
            }
        }
        path
    }

    /// RFC 8445 §12.2: data is accepted from where an authenticated message has come.
    pub(super) fn receive_data<'a>(
        &mut self,
        transport: Transport,
        local: SocketAddr,
        from: SocketAddr,
        payload: &'a [u8],
    ) -> Result<Received<'a>, Ignored> {
        let now = self.now;
        for stream in &mut self.streams {
            for component in &mut stream.components {
                if let Some(path) = &mut component.path {
                    if path.local_addr == local
                        && path.remote_addr == from
                        && path.transport == transport
                    {
                        path.traffic.received(now, payload.len());
                        return Ok(Received::Data {
                            stream: stream.id,
                            component: component.number,
                            pair: Some(path.pair),
                            payload,
                        });
                    }
                }
            }
        }
        let local = self.candidates.local_at(transport, local).ok_or(Ignored::UnknownLocal)?;
        let candidate = self.candidates.locals.get(local).ok_or(Ignored::UnknownLocal)?;
        let (stream, component) = (candidate.stream, candidate.component);
        let heard = self.lists.pairs().find(|(_, pair)| {
            let remote = self.candidates.remotes.get(pair.remote);
            pair.local == local && pair.heard && remote.is_some_and(|remote| remote.addr == from)
        });
        let pair = heard.map(|(pair, _)| pair);
        self.expect_data((local, from), (stream, component), pair, payload.len())?;
        Ok(Received::Data { stream, component, pair, payload })
    }

    /// The same on a connection between a candidate and an address.
    pub(super) fn receive_stream_data<'a>(
        &mut self,
        connection: ConnectionId,
        local: CandidateId,
        from: SocketAddr,
        payload: &'a [u8],
    ) -> Result<Received<'a>, Ignored> {
        let via = Via::Stream(Some(connection));
        let now = self.now;
        for stream in &mut self.streams {
            for component in &mut stream.components {
                if let Some(path) = component.path.as_mut().filter(|path| path.via == via) {
                    path.traffic.received(now, payload.len());
                    let (stream, component, pair) = (stream.id, component.number, path.pair);
                    return Ok(Received::Data { stream, component, pair: Some(pair), payload });
                }
            }
        }
        let candidate = self.candidates.locals.get(local).ok_or(Ignored::UnknownLocal)?;
        let (stream, component) = (candidate.stream, candidate.component);
        let heard = self.lists.pairs().find(|(_, pair)| {
            let remote = self.candidates.remotes.get(pair.remote);
            pair.local == local
                && pair.heard
                && remote.is_some_and(|remote| remote.addr == from)
                && self.connection_between(local, pair.remote) == Some(connection)
        });
        let pair = heard.map(|(pair, _)| pair);
        self.expect_data((local, from), (stream, component), pair, payload.len())?;
        Ok(Received::Data { stream, component, pair, payload })
    }

    /// Counts data that has come outside of the path in use, if its sender has proved itself there: on
    /// a pair, or by a check that is ahead of the pairs.
    fn expect_data(
        &mut self,
        (local, from): (CandidateId, SocketAddr),
        (stream, component): (StreamId, u16),
        pair: Option<PairId>,
        len: usize,
    ) -> Result<(), Ignored> {
        match pair {
            Some(pair) => self.count_received(stream, component, pair, len),
            None if self.early.has_come(local, from) => {}
            None => return Err(Ignored::UnknownRemote),
        }
        Ok(())
    }

    /// Finds the way of a component's data anew.
    pub(super) fn refresh_path(&mut self, stream: StreamId, number: u16) {
        self.doubt_stale_pairs(stream, number);
        let Some(component) = self.component(stream, number) else { return };
        let pair =
            component.selected.or(component.previous).or_else(|| self.best_valid(stream, number));
        let path = pair.and_then(|id| {
            let pair = self.lists.get(id)?;
            let local = self.candidates.locals.get(pair.local)?;
            let remote = self.candidates.remotes.get(pair.remote)?;
            let via = if local.transport != CandidateTransport::Udp {
                Via::Stream(self.connection_between(pair.local, pair.remote))
            } else if local.kind == CandidateKind::Relayed && self.is_own_relay(pair.local) {
                Via::Relay
            } else {
                Via::Direct
            };
            Some(Path {
                pair: id,
                local: pair.local,
                transport: local.transport.transport(),
                local_addr: local.addr,
                remote_addr: remote.addr,
                mapped: local.mapped,
                via,
                mtu: u16::MAX,
                traffic: Traffic::default(),
            })
        });
        self.settle_traffic_of(stream, number);
        if let Some(component) = self.component_mut(stream, number) {
            let before = component.path.take();
            component.path = path.map(|mut path| {
                // What a router has said of this pair is still so.
                path.mtu = before.filter(|it| it.pair == path.pair).map_or(path.mtu, |it| it.mtu);
                path
            });
        }
        self.keep_path(stream, number);
    }
}

/// [`IceAgent::path_to`], to be changed.
fn path_in(streams: &mut [Stream], stream: StreamId, number: u16) -> Result<&mut Path, SendError> {
    let stream = streams.iter_mut().find(|other| other.id == stream);
    let components = &mut stream.ok_or(SendError::UnknownComponent)?.components;
    let mut path = Err(SendError::UnknownComponent);
    for component in components {
        let this = component.path.as_mut().ok_or(SendError::NotConnected)?;
        if component.number == number {
            path = Ok(this);
        }
    }
    path
}
