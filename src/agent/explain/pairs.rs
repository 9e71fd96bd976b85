//! Why every pair is where it is, those among them that never were.

use super::super::candidates::{Local, Named, Remote, Usage};
use super::super::io::CandidateView;
use super::super::{Component, IceAgent};
use super::observed::Choice;
use crate::candidate::{CandidateKind, CandidateTransport, TcpType};
use crate::checklist::{CandidatePair, Checklist, Fate, Mismatch, PairState, Setback, is_active};
use crate::id::{CandidateId, PairId, StreamId};
use crate::time::Timestamp;

/// A pair and why it is where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PairExplanation {
    /// Its id, if it was formed and is still there.
    pub id: Option<PairId>,
    /// Its stream.
    pub stream: StreamId,
    /// Its component.
    pub component: u16,
    /// The local candidate.
    pub local: CandidateView,
    /// The remote candidate.
    pub remote: CandidateView,
    /// Whether an authenticated message of the peer has arrived on it.
    pub heard: bool,
    /// Requests sent in the newest attempt, repetitions included.
    pub sent: u16,
    /// Why it is where it is.
    pub why: PairReason,
}

/// Why a pair is where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PairReason {
    /// It carries the data of its component.
    Selected(Choice),
    /// It carried the data before a restart, and still does.
    FromBeforeRestart,
    /// It works, and is being nominated.
    BeingNominated,
    /// It works, and may be nominated.
    Valid,
    /// It works, and is kept to fall back to.
    Spare,
    /// Its check was answered, which has shown that another pair works: the peer sees this address
    /// as another one.
    ProvedOther,
    /// Never sent: the peer's parameters are not known.
    NotStarted,
    /// Never sent: a lite agent only answers checks.
    Lite,
    /// Never sent: another pair of the same foundation has to be decided before.
    Frozen {
        /// The foundation that both have, as numbers that mean nothing beyond this agent.
        foundation: (u16, u16),
        /// The pair that is waited for.
        behind: Option<PairId>,
    },
    /// Not sent yet: its turn comes after those of this many other pairs.
    Waiting {
        /// How many.
        ahead: u16,
    },
    /// Not sent yet: the server has not said yet that it relays to the remote address.
    AwaitsPermission,
    /// Not sent yet: its TCP connection is being opened (RFC 6544 §7.1).
    Connecting,
    /// Sent, and an answer may still come.
    UnderWay,
    /// Sent as often as may be, and nobody has answered.
    Unanswered,
    /// The answer came from another address than the one that was asked, or to another one than the
    /// one that has asked (RFC 8445 §7.2.5.2.1).
    AnsweredElsewhere,
    /// There was an answer, but nothing that could be used.
    Unusable,
    /// The peer has answered with an error.
    Refused {
        /// Its code (RFC 8489 §14.8).
        code: u16,
    },
    /// This machine has no way to the remote address.
    Unreachable,
    /// This machine does not allow to send to the remote address.
    NotPermitted,
    /// The network has said that nobody is to be reached there.
    Icmp,
    /// Never sent: the server refuses to relay to the remote address.
    PermissionRefused {
        /// The error code, if the server has said one.
        code: Option<u16>,
    },
    /// Never sent: the server cannot relay to the remote address.
    NotRelayed,
    /// Its TCP connection did not open, or is gone (RFC 6544 §7).
    NotConnected,
    /// It worked until the peer did not answer for as long as consent lasts (RFC 7675 §5.1).
    ConsentExpired {
        /// When consent ended.
        at: Timestamp,
    },
    /// It worked until the peer took back its consent (RFC 7675 §5.2).
    ConsentRevoked {
        /// When it did.
        at: Timestamp,
    },
    /// It was left for another pair.
    Lost {
        /// That one.
        to: PairId,
        /// What was against it.
        why: LossReason,
    },
    /// Never formed: packets of the local candidate leave from the same socket as those of this one,
    /// so that the pair would repeat another (RFC 8445 §6.1.2.4).
    Redundant {
        /// The candidate that is checked in its place.
        with: CandidateId,
    },
    /// Never formed: the list was full of better pairs.
    BeyondLimit {
        /// How many pairs a list may have here.
        limit: u16,
    },
    /// It was formed, and had to make room for another pair: it was worse, or nobody had answered.
    GaveWay,
    /// Never formed: one address is IPv4, the other IPv6.
    OtherFamily,
    /// Never formed: an IPv6 link-local address reaches its like alone.
    LinkLocal,
    /// Never formed: UDP reaches UDP alone, and of TCP one end has to call the other.
    OtherTransport,
    /// Never formed: the peer opens its TCP connections to this side (RFC 6544 §6.2). Each that comes
    /// shows as a pair of its own.
    AwaitsConnection,
    /// Never sent: [`Policies`](crate::Policies) forbid it, or keep the local address from the peer.
    Policy,
    /// Never formed: the remote address is a name that is not resolved yet.
    Unresolved,
    /// Never formed: the peer hides its address behind a name, and a server that relays would have to
    /// be told it.
    HiddenFromRelay,
    /// Never formed: a loopback address is reached from another one alone.
    OtherMachine,
    /// Never formed: the peer has not been told of the local candidate.
    NotConveyed,
    /// It has never been of use, and never will be.
    Idle,
}

/// What decided against a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossReason {
    /// The other one has the higher priority.
    Priority,
    /// The other one worked before this one was decided.
    Sooner,
    /// The reason for which the other one was chosen.
    Chosen(Choice),
}

impl IceAgent {
    pub(super) fn explain_pairs(&self) -> Vec<PairExplanation> {
        let formed = self.lists.pairs().filter_map(|(id, pair)| {
            let component = self.component(pair.stream, pair.component)?;
            let why = if component.previous == Some(id) {
                PairReason::FromBeforeRestart
            } else if pair.past {
                return None;
            } else {
                self.why(component, id, pair)
            };
            let local = pair.valid.map_or(pair.local, |valid| valid.local);
            let local = self.candidates.view_local(local)?;
            self.explanation(Some((id, pair)), local, pair.remote, why)
        });
        let mut pairs: Vec<PairExplanation> = formed.collect();
        for (local_id, local) in self.candidates.locals.iter() {
            for (remote_id, remote) in self.candidates.remotes.iter() {
                let fits = local.stream == remote.stream
                    && local.component == remote.component
                    && remote.is_of(self.local.generation);
                let why = self.why_missing(local_id, local, remote_id, remote);
                let local = self.candidates.view_local(local_id);
                if let (Some(why), Some(local), true) = (why, local, fits) {
                    pairs.extend(self.explanation(None, local, remote_id, why));
                }
            }
        }
        pairs
    }

    fn explanation(
        &self,
        pair: Option<(PairId, &CandidatePair)>,
        local: CandidateView,
        remote: CandidateId,
        why: PairReason,
    ) -> Option<PairExplanation> {
        Some(PairExplanation {
            id: pair.map(|(id, _)| id),
            stream: local.stream,
            component: local.component,
            local,
            remote: self.candidates.view_remote(remote)?,
            heard: pair.is_some_and(|(_, pair)| pair.heard),
            // Opening a connection takes the place of a request in a pair's turn.
            sent: pair
                .filter(|_| why != PairReason::Connecting)
                .map_or(0, |(_, pair)| pair.attempts.transmissions),
            why,
        })
    }

    /// Why a pair that there is is where it is.
    fn why(&self, component: &Component, id: PairId, pair: &CandidatePair) -> PairReason {
        if component.selected == Some(id) {
            return PairReason::Selected(component.chosen.0);
        }
        if let Some(valid) = pair.valid {
            return if component.selected.is_some() {
                PairReason::Spare
            } else if component.nominating == Some(valid.generated_by) {
                PairReason::BeingNominated
            } else {
                PairReason::Valid
            };
        }
        if pair.expired || (self.config.lite && pair.attempts.setback == Setback::ConsentExpired) {
            return self.why_lost_consent(id, pair);
        }
        let lost = self.lost(component, pair);
        if self.config.lite {
            return lost.unwrap_or(PairReason::Lite);
        }
        if self.remote.is_none() {
            return PairReason::NotStarted;
        }
        match pair.state {
            PairState::Frozen => self.why_frozen(pair),
            PairState::Waiting => PairReason::Waiting { ahead: self.ahead_of(id, pair) },
            PairState::InProgress if self.awaits_permission(id) => PairReason::AwaitsPermission,
            PairState::InProgress if self.is_connecting(id) => PairReason::Connecting,
            PairState::InProgress => PairReason::UnderWay,
            PairState::Succeeded => lost.unwrap_or(PairReason::ProvedOther),
            PairState::Failed => why_failed(pair, lost),
        }
    }

    fn why_lost_consent(&self, id: PairId, pair: &CandidatePair) -> PairReason {
        let noted = self.observed.losses().iter().rev().find(|loss| loss.pair == id);
        let expired = pair.attempts.answered + self.config.timing.consent_timeout;
        let at = noted.map_or(expired, |loss| loss.at);
        match pair.attempts.setback {
            Setback::ConsentRevoked => PairReason::ConsentRevoked { at },
            _ => PairReason::ConsentExpired { at },
        }
    }

    /// RFC 8445 §6.1.4.2: what keeps a pair frozen.
    fn why_frozen(&self, pair: &CandidatePair) -> PairReason {
        let mut same = self.lists.pairs().filter(|(_, other)| {
            other.listed && other.foundation == pair.foundation && is_active(other.state)
        });
        PairReason::Frozen {
            foundation: (pair.foundation.local, pair.foundation.remote),
            behind: same.next().map(|(id, _)| id),
        }
    }

    /// How many pairs of its list have their turn before it.
    fn ahead_of(&self, id: PairId, pair: &CandidatePair) -> u16 {
        let Some(index) = self.lists.index(pair.stream) else { return 0 };
        let list = self.lists.lists().get(index);
        let triggered = |id| list.is_some_and(|list: &Checklist| list.is_triggered(id));
        let rank = |id, pair: &CandidatePair| (!triggered(id), core::cmp::Reverse(pair.priority));
        let own = rank(id, pair);
        let ahead = self.lists.listed(index).filter(|(other_id, other)| {
            other.state == PairState::Waiting && *other_id != id && rank(*other_id, other) < own
        });
        u16::try_from(ahead.count()).unwrap_or(u16::MAX)
    }

    /// Whether the check of a pair waits for the leave of a server.
    fn awaits_permission(&self, id: PairId) -> bool {
        let Some(servers) = &self.servers else { return false };
        servers.deferred.iter().any(|check| self.checks.get(*check).is_some_and(|it| it.pair == id))
    }

    /// Which pair has taken the place that this one could have had.
    fn lost(&self, component: &Component, pair: &CandidatePair) -> Option<PairReason> {
        let to = component.selected?;
        let why = match component.chosen.0 {
            Choice::Nominated => {
                let selected = self.lists.get(to)?;
                if selected.priority >= pair.priority {
                    LossReason::Priority
                } else {
                    LossReason::Sooner
                }
            }
            other => LossReason::Chosen(other),
        };
        Some(PairReason::Lost { to, why })
    }

    /// Why a pair that there could be is not there; `None` if it is, or if no rule would form it.
    fn why_missing(
        &self,
        local_id: CandidateId,
        local: &Local,
        remote_id: CandidateId,
        remote: &Remote,
    ) -> Option<PairReason> {
        // What a check has brought up is paired with the address at which it came up.
        if local.kind == CandidateKind::PeerReflexive || !remote.signalled {
            return None;
        }
        if matches!(remote.named, Named::Unresolved(_)) {
            return Some(PairReason::Unresolved);
        }
        let base = local.base.unwrap_or(local_id);
        let formed = self.lists.find(base, remote_id).and_then(|id| self.lists.get(id));
        let (ours, theirs) = (
            self.candidates.local_endpoint(base)?.reach,
            self.candidates.remote_endpoint(remote_id)?.reach,
        );
        match ours.mismatch(theirs) {
            Some(Mismatch::Family) => return Some(PairReason::OtherFamily),
            Some(Mismatch::LinkLocal) => return Some(PairReason::LinkLocal),
            Some(Mismatch::Hidden) => return Some(PairReason::HiddenFromRelay),
            Some(Mismatch::Loopback) => return Some(PairReason::OtherMachine),
            Some(Mismatch::Transport) => {
                let waits = local.transport == CandidateTransport::Tcp(TcpType::Passive)
                    && remote.transport == CandidateTransport::Tcp(TcpType::Active);
                let why =
                    if waits { PairReason::AwaitsConnection } else { PairReason::OtherTransport };
                return Some(why);
            }
            None => {}
        }
        if base != local_id {
            // A valid pair shows the candidate that the peer sees.
            let seen = formed.and_then(|pair| pair.valid).is_some_and(|it| it.local == local_id);
            return (!seen).then_some(PairReason::Redundant { with: base });
        }
        if formed.is_some() {
            return None;
        }
        if self.config.lite {
            return Some(PairReason::Lite);
        }
        if self.remote.is_none() {
            return Some(PairReason::NotStarted);
        }
        if local.usage != Usage::Candidate {
            return Some(PairReason::Policy);
        }
        if !local.conveyed {
            return Some(PairReason::NotConveyed);
        }
        let component = self.component(local.stream, local.component)?;
        let list = self.lists.index(local.stream)?;
        match self.lists.lists().get(list)?.fate(local.component, base, remote_id) {
            Fate::Closed => {
                let to = component.selected?;
                let ours =
                    crate::checklist::priority_in(self.role(), local.priority, remote.priority);
                let selected = self.lists.get(to)?.priority;
                let why = match component.chosen.0 {
                    Choice::Nominated if selected >= ours => LossReason::Priority,
                    Choice::Nominated => LossReason::Sooner,
                    other => LossReason::Chosen(other),
                };
                Some(PairReason::Lost { to, why })
            }
            Fate::Formed => Some(PairReason::GaveWay),
            Fate::Free => {
                let limit = u16::try_from(self.lists.quota(list)).unwrap_or(u16::MAX);
                Some(PairReason::BeyondLimit { limit })
            }
            Fate::Unknown => Some(PairReason::Idle),
        }
    }
}

/// What the last check of a failed pair came to.
fn why_failed(pair: &CandidatePair, lost: Option<PairReason>) -> PairReason {
    match pair.attempts.setback {
        Setback::Unanswered => PairReason::Unanswered,
        Setback::AnsweredElsewhere => PairReason::AnsweredElsewhere,
        Setback::Unusable => PairReason::Unusable,
        Setback::Refused(code) => PairReason::Refused { code },
        Setback::Unreachable => PairReason::Unreachable,
        Setback::NotPermitted => PairReason::NotPermitted,
        Setback::Icmp => PairReason::Icmp,
        Setback::PermissionRefused(code) => {
            PairReason::PermissionRefused { code: code.map(core::num::NonZeroU16::get) }
        }
        Setback::NotRelayed => PairReason::NotRelayed,
        Setback::NotConnected => PairReason::NotConnected,
        Setback::Forbidden => PairReason::Policy,
        Setback::None | Setback::ConsentExpired | Setback::ConsentRevoked | Setback::Overtaken => {
            let idle = if pair.attempts.transmissions > 0 {
                PairReason::Unanswered
            } else {
                PairReason::Idle
            };
            lost.unwrap_or(idle)
        }
    }
}
