//! What an agent tells to its [`Trace`]. With none there is a test of one pointer where something
//! could be told, and nothing else.

use core::net::SocketAddr;

use crate::checklist::{Change, Formed};
use crate::id::CandidateId;
use crate::stun::{CheckRequest, TransactionId};
use crate::trace::{CheckPurpose, MessageId, News, Trace, TraceData, TraceEvent};

use super::io::{Event, Ignored};
use super::output::{ErrorReply, Notice, Reply};
use super::transactions::{Check, Purpose};
use super::{ConnectionState, IceAgent};

/// What a message that was sent is.
pub(super) enum Sent {
    Check(TransactionId),
    Reply(Reply),
    Error(ErrorReply),
}

impl IceAgent {
    /// The next event of the trace, if [`AgentConfig::trace`](crate::AgentConfig::trace) is on. Call it
    /// until it returns `None` after every input, and after everything else has been polled; what finds no
    /// room is counted, and [`TraceData::EventsLost`] says how much it was.
    ///
    /// It changes nothing that the agent does.
    pub fn poll_trace(&mut self) -> Option<TraceEvent> {
        self.trace.as_ref()?;
        self.trace_changes();
        let now = self.now;
        self.trace.as_mut()?.pop(now)
    }

    pub(super) fn start_trace(&mut self) {
        if self.config.trace {
            self.trace = Some(Box::new(Trace::new(self.config.limits.trace)));
            self.lists.keep_transitions();
        }
    }

    pub(super) const fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// Tells one thing, after what has become of candidates and pairs before it.
    #[cold]
    pub(super) fn tell(&mut self, data: TraceData) {
        self.trace_changes();
        let now = self.now;
        if let Some(trace) = &mut self.trace {
            trace.push(now, data);
        }
    }

    /// Tells what has become of candidates and pairs since the last time.
    #[cold]
    pub(super) fn trace_changes(&mut self) {
        let now = self.now;
        let Self { trace: Some(trace), candidates, lists, .. } = self else { return };
        let locals = candidates.locals.iter().filter_map(|(id, _)| candidates.view_local(id));
        for news in trace.locals().look(locals) {
            trace.push(
                now,
                match news {
                    News::There(view) => TraceData::LocalCandidate(view),
                    News::Gone(id) => TraceData::LocalCandidateRemoved(id),
                },
            );
        }
        let remotes = candidates.remotes.iter().filter_map(|(id, _)| candidates.view_remote(id));
        for news in trace.remotes().look(remotes) {
            trace.push(
                now,
                match news {
                    News::There(view) => TraceData::RemoteCandidate(view),
                    News::Gone(id) => TraceData::RemoteCandidateRemoved(id),
                },
            );
        }
        let (transitions, lost) = lists.take_transitions();
        for transition in transitions {
            let (pair, cause) = (transition.pair, transition.cause);
            trace.push(
                now,
                match transition.change {
                    Change::Formed(formed) => {
                        let Formed { stream, component, local, remote, .. } = formed;
                        let Formed { foundation, priority, state, .. } = formed;
                        TraceData::PairFormed {
                            pair,
                            stream,
                            component,
                            local,
                            remote,
                            foundation,
                            priority,
                            state,
                            cause,
                        }
                    }
                    Change::State { from, to } => TraceData::PairState { pair, from, to, cause },
                    Change::Removed(state) => TraceData::PairRemoved { pair, state, cause },
                },
            );
        }
        trace.lose(lost);
    }

    #[cold]
    pub(super) fn trace_generation(&mut self) {
        let Some(remote) = &self.remote else { return };
        self.tell(TraceData::Generation {
            local_ufrag: self.local.credentials.ufrag().to_owned(),
            remote_ufrag: remote.ufrag().to_owned(),
            remote_lite: remote.parameters.lite,
            ta: self.pacer.ta(),
        });
    }

    /// What becomes an event is in the trace as well; candidates are there by themselves.
    #[cold]
    pub(super) fn trace_notice(&mut self, notice: &Notice) {
        let data = match self.event_of(notice) {
            Some(Event::GatheringState(state)) => TraceData::GatheringState(state),
            Some(Event::ConnectionState(state)) => TraceData::ConnectionState(state),
            Some(Event::SelectedPair { stream, component, pair, local, remote }) => {
                TraceData::SelectedPair { stream, component, pair, local, remote }
            }
            Some(Event::RoleChanged(role)) => TraceData::Role(role),
            Some(Event::ConsentLost { stream, component, pair }) => {
                TraceData::ConsentLost { stream, component, pair }
            }
            Some(Event::CandidateError { server, code, failure, .. }) => {
                TraceData::ServerFailed { server, code, failure }
            }
            Some(Event::AllocationLost { server, relayed, failure }) => {
                TraceData::AllocationLost { server, relayed, failure }
            }
            Some(Event::Embedded { stream, component, packet }) => {
                TraceData::Embedded { stream, component, length: packet.len() }
            }
            Some(Event::RestartNeeded) => TraceData::RestartNeeded,
            Some(Event::RemoteRestart { ufrag }) => TraceData::RemoteRestart { ufrag },
            Some(
                Event::LocalCandidate { .. }
                | Event::LocalCandidateRemoved { .. }
                | Event::RemoteCandidateDiscovered { .. }
                | Event::UfragTaken
                | Event::CredentialsExpiring { .. }
                | Event::OpenSocket { .. }
                | Event::CloseSocket { .. }
                | Event::OpenConnection { .. }
                | Event::CloseConnection { .. }
                | Event::PublishName { .. }
                | Event::WithdrawName { .. }
                | Event::ResolveName { .. },
            )
            | None => return,
        };
        let ends = matches!(
            data,
            TraceData::ConnectionState(
                ConnectionState::Completed
                    | ConnectionState::Disconnected
                    | ConnectionState::Failed
            )
        );
        self.tell(data);
        if ends {
            self.tell(TraceData::Verdict(self.explain().verdict));
        }
    }

    #[cold]
    pub(super) fn trace_nominating(&mut self, generated_by: crate::id::PairId) {
        if let Some(pair) = self.lists.get(generated_by) {
            let (stream, component) = (pair.stream, pair.component);
            self.tell(TraceData::Nominating { stream, component, pair: generated_by });
        }
    }

    /// A message has been sent, from and to these addresses.
    #[cold]
    pub(super) fn trace_sent(&mut self, sent: &Sent, local: CandidateId, to: SocketAddr) {
        let Some(local) = self.candidates.locals.get(local).map(|local| local.addr) else { return };
        match sent {
            Sent::Check(id) => self.trace_check(*id, local, to),
            Sent::Reply(reply) => self.trace_answer(reply, None, local, to),
            Sent::Error(error) => self.trace_answer(&error.reply, Some(error.code), local, to),
        }
    }

    fn trace_check(&mut self, id: TransactionId, local: SocketAddr, remote: SocketAddr) {
        let Some(check) = self.checks.get(id) else { return };
        self.tell(TraceData::CheckSent {
            message: message(id),
            pair: check.pair,
            purpose: purpose(check),
            attempt: check.schedule.sent(),
            local,
            remote,
            role: check.role,
            use_candidate: check.use_candidate,
            nomination: check.nomination,
        });
    }

    #[cold]
    pub(super) fn trace_request(&mut self, reply: &Reply, request: &CheckRequest<'_>) {
        let Some(local) = self.candidates.locals.get(reply.local) else { return };
        self.tell(TraceData::CheckReceived {
            message: message(reply.id),
            local: local.addr,
            remote: reply.to,
            role: request.role.map(|(role, _)| role),
            use_candidate: request.use_candidate,
            nomination: request.nomination,
            priority: request.priority,
        });
    }

    fn trace_answer(
        &mut self,
        reply: &Reply,
        error: Option<u16>,
        local: SocketAddr,
        remote: SocketAddr,
    ) {
        self.tell(TraceData::ResponseSent { message: message(reply.id), local, remote, error });
    }

    #[cold]
    pub(super) fn trace_response(
        &mut self,
        check: &Check,
        from: SocketAddr,
        symmetric: bool,
        mapped: Option<SocketAddr>,
        error: Option<u16>,
    ) {
        self.tell(TraceData::ResponseReceived {
            message: message(check.id),
            pair: check.pair,
            purpose: purpose(check),
            remote: from,
            symmetric,
            mapped,
            round_trip: check.schedule.round_trip(self.now),
            error,
        });
    }

    #[cold]
    pub(super) fn trace_expired(&mut self, check: &Check) {
        self.tell(TraceData::CheckExpired {
            message: message(check.id),
            pair: check.pair,
            purpose: purpose(check),
            attempts: check.schedule.sent(),
            cancelled: check.cancelled,
        });
    }

    #[cold]
    pub(super) fn trace_ignored(
        &mut self,
        reason: Ignored,
        local: SocketAddr,
        remote: SocketAddr,
        length: usize,
    ) {
        self.tell(TraceData::DatagramIgnored { reason, local, remote, length });
    }
}

const fn message(id: TransactionId) -> MessageId {
    MessageId(*id.as_bytes())
}

const fn purpose(check: &Check) -> CheckPurpose {
    match check.purpose {
        Purpose::Decide => CheckPurpose::Decide,
        Purpose::Hedge => CheckPurpose::Hedge,
        Purpose::Nominate | Purpose::NominateAgain => CheckPurpose::Nominate,
        Purpose::Consent => CheckPurpose::Consent,
    }
}
