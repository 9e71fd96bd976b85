//! Events as JSON, without a dependency: what has to be escaped is little, and the names are ours.

use core::fmt::{self, Write as _};
use core::net::SocketAddr;
use core::time::Duration;

use crate::agent::ConnectionState;
use crate::agent::io::{CandidateView, GatheringState, Ignored};
use crate::candidate::Transport;
use crate::checklist::{PairCause, PairState};
use crate::config::Role;

use super::TRACE_VERSION;
use super::addresses::TraceAddresses;
use super::event::{CheckPurpose, TraceData, TraceEvent};

/// The first record of a trace file: what it is, and of which version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceHeader<'a> {
    /// What the trace is of, for people.
    pub title: &'a str,
}

/// One JSON object.
impl fmt::Display for TraceHeader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut object = Object::open(f)?;
        object.text("format", "frazil-trace")?;
        object.plain("version", TRACE_VERSION)?;
        object.text("title", self.title)?;
        object.text("time_unit", "ms")?;
        object.close()
    }
}

/// An event on its way to JSON.
#[derive(Clone, Copy, Debug)]
pub struct TraceJson<'a> {
    event: &'a TraceEvent,
    addresses: &'a TraceAddresses,
}

impl TraceEvent {
    /// The event as a JSON object on one line, as a record of a JSON text sequence (RFC 7464) is to be:
    /// the byte 0x1e, this, and a line feed.
    #[must_use]
    pub const fn json<'a>(&'a self, addresses: &'a TraceAddresses) -> TraceJson<'a> {
        TraceJson { event: self, addresses }
    }
}

impl fmt::Display for TraceJson<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{\"time\":")?;
        write_millis(self.event.at.as_duration(), f)?;
        write!(f, ",\"name\":\"ice:{}\",\"data\":", self.event.data.name())?;
        let mut object = Object::open(f)?;
        self.event.data.write(&mut object, self.addresses)?;
        object.close()?;
        f.write_char('}')
    }
}

impl TraceData {
    /// The name in JSON, without the `ice:` before it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Generation { .. } => "generation",
            Self::LocalCandidate(_) => "local_candidate",
            Self::LocalCandidateRemoved(_) => "local_candidate_removed",
            Self::RemoteCandidate(_) => "remote_candidate",
            Self::RemoteCandidateRemoved(_) => "remote_candidate_removed",
            Self::PairFormed { .. } => "pair_formed",
            Self::PairState { .. } => "pair_state",
            Self::PairRemoved { .. } => "pair_removed",
            Self::CheckSent { .. } => "check_sent",
            Self::CheckReceived { .. } => "check_received",
            Self::ResponseSent { .. } => "response_sent",
            Self::ResponseReceived { .. } => "response_received",
            Self::CheckExpired { .. } => "check_expired",
            Self::DatagramIgnored { .. } => "datagram_ignored",
            Self::Nominating { .. } => "nominating",
            Self::SelectedPair { .. } => "selected_pair",
            Self::ConsentLost { .. } => "consent_lost",
            Self::Role(_) => "role",
            Self::GatheringState(_) => "gathering_state",
            Self::ConnectionState(_) => "connection_state",
            Self::Verdict(_) => "verdict",
            Self::ServerFailed { .. } => "server_failed",
            Self::AllocationLost { .. } => "allocation_lost",
            Self::Embedded { .. } => "embedded",
            Self::EmbeddingSupport { .. } => "embedding_support",
            Self::RestartNeeded => "restart_needed",
            Self::RemoteRestart { .. } => "remote_restart",
            Self::EventsLost { .. } => "events_lost",
        }
    }

    fn write(&self, to: &mut Object<'_, '_>, shown: &TraceAddresses) -> fmt::Result {
        match self {
            Self::Generation { local_ufrag, remote_ufrag, remote_lite, ta } => {
                to.text("local_ufrag", local_ufrag)?;
                to.text("remote_ufrag", remote_ufrag)?;
                to.plain("remote_lite", remote_lite)?;
                to.millis("ta", *ta)
            }
            Self::LocalCandidate(candidate) | Self::RemoteCandidate(candidate) => {
                to.candidate(candidate, shown)
            }
            Self::LocalCandidateRemoved(id) | Self::RemoteCandidateRemoved(id) => {
                to.plain("candidate", id.get())
            }
            Self::PairFormed {
                pair,
                stream,
                component,
                local,
                remote,
                foundation,
                priority,
                state,
                cause,
            } => {
                to.plain("pair", pair.get())?;
                to.plain("stream", stream.get())?;
                to.plain("component", component)?;
                to.plain("local", local.get())?;
                to.plain("remote", remote.get())?;
                to.text("foundation", &format!("{}:{}", foundation.0, foundation.1))?;
                // More than the 53 bits that JSON numbers are sure to have.
                to.text("priority", &priority.to_string())?;
                to.text("state", pair_state(*state))?;
                to.text("cause", pair_cause(*cause))
            }
            Self::PairState { pair, from, to: new, cause } => {
                to.plain("pair", pair.get())?;
                to.text("from", pair_state(*from))?;
                to.text("to", pair_state(*new))?;
                to.text("cause", pair_cause(*cause))
            }
            Self::PairRemoved { pair, state, cause } => {
                to.plain("pair", pair.get())?;
                to.text("state", pair_state(*state))?;
                to.text("cause", pair_cause(*cause))
            }
            Self::CheckSent {
                message,
                pair,
                purpose,
                attempt,
                local,
                remote,
                role,
                use_candidate,
                nomination,
            } => {
                to.text("message", &message.to_string())?;
                to.plain("pair", pair.get())?;
                to.text("purpose", check_purpose(*purpose))?;
                to.plain("attempt", attempt)?;
                to.path(*local, *remote, shown)?;
                to.text("role", role_name(*role))?;
                to.plain("use_candidate", use_candidate)?;
                to.optional("nomination", *nomination)
            }
            Self::CheckReceived {
                message,
                local,
                remote,
                role,
                use_candidate,
                nomination,
                priority,
            } => {
                to.text("message", &message.to_string())?;
                to.path(*local, *remote, shown)?;
                if let Some(role) = role {
                    to.text("role", role_name(*role))?;
                }
                to.plain("use_candidate", use_candidate)?;
                to.optional("nomination", *nomination)?;
                to.optional("priority", *priority)
            }
            Self::ResponseSent { message, local, remote, error } => {
                to.text("message", &message.to_string())?;
                to.path(*local, *remote, shown)?;
                to.optional("error", *error)
            }
            Self::ResponseReceived {
                message,
                pair,
                purpose,
                remote,
                symmetric,
                mapped,
                round_trip,
                error,
            } => {
                to.text("message", &message.to_string())?;
                to.plain("pair", pair.get())?;
                to.text("purpose", check_purpose(*purpose))?;
                to.address("remote", *remote, shown)?;
                to.plain("symmetric", symmetric)?;
                if let Some(mapped) = mapped {
                    to.address("mapped", *mapped, shown)?;
                }
                if let Some(round_trip) = round_trip {
                    to.millis("round_trip", *round_trip)?;
                }
                to.optional("error", *error)
            }
            Self::CheckExpired { message, pair, purpose, attempts, cancelled } => {
                to.text("message", &message.to_string())?;
                to.plain("pair", pair.get())?;
                to.text("purpose", check_purpose(*purpose))?;
                to.plain("attempts", attempts)?;
                to.plain("cancelled", cancelled)
            }
            Self::DatagramIgnored { reason, local, remote, length } => {
                to.text("reason", ignored(*reason))?;
                to.path(*local, *remote, shown)?;
                to.plain("length", length)
            }
            Self::Nominating { stream, component, pair }
            | Self::ConsentLost { stream, component, pair } => {
                to.plain("stream", stream.get())?;
                to.plain("component", component)?;
                to.plain("pair", pair.get())
            }
            Self::SelectedPair { stream, component, pair, local, remote } => {
                to.plain("stream", stream.get())?;
                to.plain("component", component)?;
                to.plain("pair", pair.get())?;
                to.path(local.addr, remote.addr, shown)?;
                to.text("local_kind", &local.kind.to_string())?;
                to.text("remote_kind", &remote.kind.to_string())
            }
            Self::Role(role) => to.text("role", role_name(*role)),
            Self::GatheringState(state) => to.text("state", gathering_state(*state)),
            Self::ConnectionState(state) => to.text("state", connection_state(*state)),
            Self::Verdict(verdict) => to.text("text", &verdict.to_string()),
            Self::ServerFailed { server, code, failure } => {
                to.plain("server", server.get())?;
                to.plain("code", code)?;
                to.text("failure", &failure.to_string())
            }
            Self::AllocationLost { server, relayed, failure } => {
                to.plain("server", server.get())?;
                to.address("relayed", *relayed, shown)?;
                to.text("failure", &failure.to_string())
            }
            Self::Embedded { stream, component, length } => {
                to.plain("stream", stream.get())?;
                to.plain("component", component)?;
                to.plain("length", length)
            }
            Self::EmbeddingSupport { stream, component, supported } => {
                to.plain("stream", stream.get())?;
                to.plain("component", component)?;
                to.plain("supported", supported)
            }
            Self::RestartNeeded => Ok(()),
            Self::RemoteRestart { ufrag } => to.text("ufrag", ufrag),
            Self::EventsLost { count } => to.plain("count", count),
        }
    }
}

/// A JSON object that is being written.
struct Object<'a, 'b> {
    to: &'a mut fmt::Formatter<'b>,
    first: bool,
}

impl<'a, 'b> Object<'a, 'b> {
    fn open(to: &'a mut fmt::Formatter<'b>) -> Result<Self, fmt::Error> {
        to.write_char('{')?;
        Ok(Self { to, first: true })
    }

    fn close(self) -> fmt::Result {
        self.to.write_char('}')
    }

    fn key(&mut self, key: &str) -> fmt::Result {
        let comma = if core::mem::take(&mut self.first) { "" } else { "," };
        write!(self.to, "{comma}\"{key}\":")
    }

    /// A number or a truth value.
    fn plain(&mut self, key: &str, value: impl fmt::Display) -> fmt::Result {
        self.key(key)?;
        write!(self.to, "{value}")
    }

    fn optional(&mut self, key: &str, value: Option<impl fmt::Display>) -> fmt::Result {
        value.map_or(Ok(()), |value| self.plain(key, value))
    }

    /// RFC 8259 §7.
    fn text(&mut self, key: &str, text: &str) -> fmt::Result {
        self.key(key)?;
        self.to.write_char('"')?;
        for c in text.chars() {
            match c {
                '"' | '\\' => write!(self.to, "\\{c}")?,
                c if c.is_control() => write!(self.to, "\\u{:04x}", u32::from(c))?,
                c => self.to.write_char(c)?,
            }
        }
        self.to.write_char('"')
    }

    fn millis(&mut self, key: &str, value: Duration) -> fmt::Result {
        self.key(key)?;
        write_millis(value, self.to)
    }

    fn address(&mut self, key: &str, addr: SocketAddr, shown: &TraceAddresses) -> fmt::Result {
        self.key(key)?;
        self.to.write_char('"')?;
        shown.write(addr, self.to)?;
        self.to.write_char('"')
    }

    fn path(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        shown: &TraceAddresses,
    ) -> fmt::Result {
        self.address("local", local, shown)?;
        self.address("remote", remote, shown)
    }

    fn candidate(&mut self, candidate: &CandidateView, shown: &TraceAddresses) -> fmt::Result {
        self.plain("candidate", candidate.id.get())?;
        self.plain("stream", candidate.stream.get())?;
        self.plain("component", candidate.component)?;
        self.text("kind", &candidate.kind.to_string())?;
        let transport = match candidate.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        };
        self.text("transport", transport)?;
        self.address("address", candidate.addr, shown)?;
        self.address("base", candidate.base, shown)?;
        self.plain("priority", candidate.priority)?;
        self.plain("network", candidate.network_id)?;
        self.plain("network_cost", candidate.network_cost)
    }
}

fn write_millis(value: Duration, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}.{:06}", value.as_millis(), value.subsec_nanos() % 1_000_000)
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Controlling => "controlling",
        Role::Controlled => "controlled",
    }
}

const fn pair_state(state: PairState) -> &'static str {
    match state {
        PairState::Frozen => "frozen",
        PairState::Waiting => "waiting",
        PairState::InProgress => "in-progress",
        PairState::Succeeded => "succeeded",
        PairState::Failed => "failed",
    }
}

const fn pair_cause(cause: PairCause) -> &'static str {
    match cause {
        PairCause::Candidates => "candidates",
        PairCause::Message => "message",
        PairCause::Topmost => "topmost",
        PairCause::FoundationIdle => "foundation-idle",
        PairCause::FoundationStalled => "foundation-stalled",
        PairCause::FoundationSucceeded => "foundation-succeeded",
        PairCause::Queued => "queued",
        PairCause::Ordinary => "ordinary",
        PairCause::Triggered => "triggered",
        PairCause::Answered => "answered",
        PairCause::CheckFailed => "check-failed",
        PairCause::Doubted => "doubted",
        PairCause::Concluded => "concluded",
        PairCause::Retired => "retired",
        PairCause::Displaced => "displaced",
        PairCause::CandidateGone => "candidate-gone",
        PairCause::ComponentDropped => "component-dropped",
        PairCause::Restart => "restart",
    }
}

const fn check_purpose(purpose: CheckPurpose) -> &'static str {
    match purpose {
        CheckPurpose::Decide => "decide",
        CheckPurpose::Hedge => "hedge",
        CheckPurpose::Nominate => "nominate",
        CheckPurpose::Consent => "consent",
    }
}

const fn gathering_state(state: GatheringState) -> &'static str {
    match state {
        GatheringState::New => "new",
        GatheringState::Gathering => "gathering",
        GatheringState::Complete => "complete",
    }
}

const fn connection_state(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::New => "new",
        ConnectionState::Checking => "checking",
        ConnectionState::Connected => "connected",
        ConnectionState::Completed => "completed",
        ConnectionState::Disconnected => "disconnected",
        ConnectionState::Failed => "failed",
        ConnectionState::Closed => "closed",
    }
}

const fn ignored(reason: Ignored) -> &'static str {
    match reason {
        Ignored::UnknownLocal => "unknown-local",
        Ignored::UnknownRemote => "unknown-remote",
        Ignored::MalformedStun => "malformed-stun",
        Ignored::BadFingerprint => "bad-fingerprint",
        Ignored::UnexpectedMessage => "unexpected-message",
        Ignored::MissingCredentials => "missing-credentials",
        Ignored::UnknownUser => "unknown-user",
        Ignored::BadIntegrity => "bad-integrity",
        Ignored::UnknownTransaction => "unknown-transaction",
        Ignored::BidDown => "bid-down",
        Ignored::Contradictory => "contradictory",
        Ignored::Policy => "policy",
        Ignored::UnknownConnection => "unknown-connection",
        Ignored::LimitReached => "limit-reached",
        Ignored::Closed => "closed",
    }
}
