//! What an agent puts out, for the running hash. It is never read again; errors and states
//! go by their names, so that a variant that is new somewhere changes nothing else.

use crate::agent::IceAgent;
use crate::agent::io::{CandidateView, Description, Event, Outgoing, Received, Transmit};
use crate::time::Timestamp;

use super::hash::RunningHash;
use super::wire::{Put, Sink};

/// What a call returns.
pub(super) trait Output {
    fn put_output(&self, out: &mut RunningHash);
}

impl Output for () {
    fn put_output(&self, _: &mut RunningHash) {}
}

impl Output for bool {
    fn put_output(&self, out: &mut RunningHash) {
        self.put(out);
    }
}

impl<T: Output, E: core::fmt::Debug> Output for Result<T, E> {
    fn put_output(&self, out: &mut RunningHash) {
        match self {
            Ok(value) => value.put_output(out),
            Err(error) => out.name(error),
        }
    }
}

macro_rules! output_as_written {
    ($($type:ty)*) => {$(
        impl Output for $type {
            fn put_output(&self, out: &mut RunningHash) {
                self.put(out);
            }
        }
    )*};
}

output_as_written! {
    crate::id::StreamId crate::id::CandidateId crate::id::ServerId crate::id::ConnectionId
    crate::agent::io::Parameters
}

impl Output for Description {
    fn put_output(&self, out: &mut RunningHash) {
        let Self { parameters, candidates, end_of_candidates } = self;
        parameters.put(out);
        candidates.put(out);
        end_of_candidates.put(out);
    }
}

impl Output for Received<'_> {
    fn put_output(&self, out: &mut RunningHash) {
        match self {
            Self::Consumed => out.byte(0),
            Self::Data { stream, component, pair, payload } => {
                out.byte(if pair.is_some() { 1 } else { 2 });
                stream.put(out);
                component.put(out);
                if let Some(pair) = pair {
                    pair.put(out);
                }
                payload.len().put(out);
            }
            Self::Ignored(reason) => out.name(reason),
        }
    }
}

impl Output for Outgoing<'_> {
    fn put_output(&self, out: &mut RunningHash) {
        self.route.put(out);
        self.pair.put(out);
        self.dscp.put(out);
        self.head().put(out);
        self.payload().len().put(out);
        self.padding().put(out);
    }
}

impl Output for Event {
    fn put_output(&self, out: &mut RunningHash) {
        match self {
            Self::LocalCandidate { id, stream, candidate } => {
                out.byte(1);
                id.put(out);
                stream.put(out);
                candidate.put(out);
            }
            Self::LocalCandidateRemoved { id, stream } => {
                out.byte(2);
                id.put(out);
                stream.put(out);
            }
            Self::GatheringState(state) => {
                out.byte(9);
                state.put(out);
            }
            Self::ConnectionState(state) => {
                out.byte(10);
                state.put(out);
            }
            Self::SelectedPair { stream, component, pair, local, remote } => {
                out.byte(3);
                stream.put(out);
                component.put(out);
                pair.put(out);
                local.put_output(out);
                remote.put_output(out);
            }
            Self::RoleChanged(role) => {
                out.byte(4);
                role.put(out);
            }
            Self::ConsentLost { stream, component, pair } => {
                out.byte(5);
                stream.put(out);
                component.put(out);
                pair.put(out);
            }
            Self::RestartNeeded => out.byte(6),
            Self::RemoteRestart { ufrag } => {
                out.byte(7);
                ufrag.put(out);
            }
            Self::RemoteCandidateDiscovered { stream, candidate } => {
                out.byte(8);
                stream.put(out);
                candidate.put_output(out);
            }
            Self::Embedded { stream, component, packet } => {
                out.byte(11);
                stream.put(out);
                component.put(out);
                packet.put(out);
            }
            // What is new in an event of a server is a difference like any other.
            other => out.name(other),
        }
    }
}

impl Output for CandidateView {
    fn put_output(&self, out: &mut RunningHash) {
        let Self {
            id,
            stream,
            component,
            kind,
            transport,
            addr,
            base,
            priority,
            hidden,
            tcp_type,
            ..
        } = self;
        id.put(out);
        stream.put(out);
        component.put(out);
        kind.put(out);
        transport.put(out);
        addr.put(out);
        base.put(out);
        priority.put(out);
        hidden.put(out);
        tcp_type.put(out);
    }
}

/// A transmit with the buffer that its bytes are in.
pub(super) struct Sent<'a> {
    pub(super) transmit: Option<&'a Transmit>,
    pub(super) buf: &'a [u8],
}

impl Output for Sent<'_> {
    fn put_output(&self, out: &mut RunningHash) {
        let Some(Transmit { route, range, dscp }) = self.transmit else { return out.byte(0) };
        out.byte(1);
        route.put(out);
        dscp.put(out);
        self.buf.get(range.clone()).unwrap_or_default().put(out);
    }
}

impl Output for Option<Event> {
    fn put_output(&self, out: &mut RunningHash) {
        match self {
            Some(event) => event.put_output(out),
            None => out.byte(0),
        }
    }
}

/// What can be seen of an agent after every input: whether more is to be polled, and until when it
/// can be left alone.
pub(super) fn put_waiting(agent: &IceAgent, out: &mut RunningHash) {
    let waits = u64::from(agent.has_transmit()) | (u64::from(agent.has_event()) << 1);
    let deadline = agent.poll_timeout().map_or(u64::MAX, Timestamp::as_nanos);
    out.number(deadline.rotate_left(2) ^ waits);
}
