//! One sentence for a session: what it comes to, by the strongest evidence that there is.
//!
//! Facts are gathered from the agent; the verdict is a pure function of them. What is known for
//! certain stands before what is only likely, and what has to be mended first before what may have
//! followed from it.

use core::num::NonZeroU16;

use super::super::io::GatheringState;
use super::super::{ConnectionState, IceAgent};
use super::observed::Loss;
use super::pairs::{PairExplanation, PairReason};
use super::servers::{ServerExplanation, ServerSituation};
use crate::candidate::CandidateKind;
use crate::gather::ServerFailure;
use crate::id::ServerId;
use crate::time::Timestamp;
use crate::uri::{ServerProtocol, ServerTransport};

/// What a session comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Data may flow.
    Connected,
    /// Nothing is wrong so far.
    Connecting,
    /// The caller has closed it.
    Closed,
    /// The peer's parameters were not signalled.
    NoRemoteParameters {
        /// Its checks arrive already.
        checks_arrive: bool,
    },
    /// This side has no candidates.
    NoLocalCandidates,
    /// No candidates of the peer were signalled, and none was discovered.
    NoRemoteCandidates,
    /// No candidate of this side can reach one of the peer: other address families or transports.
    NoCommonFamily,
    /// Answers to our checks come, but none of them is authentic: the credentials of the peer that
    /// were signalled are not those that it uses.
    WrongRemoteCredentials {
        /// The error code of the newest of them, which anybody may have written.
        code: Option<u16>,
    },
    /// Checks come, but none of them has our credentials: those that the peer was told are not ours,
    /// or it is another peer.
    WrongLocalCredentials,
    /// The two sides cannot agree on who is controlling.
    RoleConflict,
    /// A TURN server does not accept the username and password.
    TurnCredentialsRefused {
        /// The server.
        server: ServerId,
        /// Its error code.
        code: u16,
    },
    /// No server answers over UDP, and no peer is heard: a firewall here seems to block UDP.
    UdpBlocked,
    /// Nobody is heard, and the one way that could have been, through a server, is refused by it.
    RelayRefusesPeer {
        /// The error code, if the server has said one.
        code: Option<u16>,
    },
    /// A NAT that gives every destination another port is in the way, and there is no relay.
    SymmetricNatWithoutRelay {
        /// This side is behind such a NAT.
        local: bool,
        /// The peer is, as far as its candidates tell.
        remote: bool,
    },
    /// This machine or the network has refused every check.
    NetworkRefuses,
    /// Checks of the peer arrive, but no answer to ours does.
    AnswersDoNotArrive,
    /// Nothing is heard of the peer, on any pair.
    PeerNotHeard,
    /// Every check that was answered was answered with this error.
    AllFailedWith {
        /// The error code.
        code: u16,
    },
    /// All answers came from other addresses than those that were asked.
    AnsweredElsewhere,
    /// The peer checks, but has not nominated a pair.
    NotNominated,
    /// It was connected, and the path has died.
    PathDied {
        /// When the last authenticated message of the peer came on it, or the last
        /// [`note_activity`](crate::IceAgent::note_activity). Data that came later does not count.
        at: Timestamp,
    },
    /// It was connected until the peer took back its consent.
    ConsentRevoked {
        /// When it did.
        at: Timestamp,
    },
    /// It has failed, and nothing of the above explains why.
    Unexplained,
}

/// What a verdict depends on.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    state: ConnectionState,
    lite: bool,
    /// It has failed, or checks have gone on for as long as one may be answered.
    decided: bool,
    remote_known: bool,
    early_checks: bool,
    gathered: bool,
    locals: usize,
    remotes: usize,
    requests: bool,
    answers: bool,
    forged: Option<Option<u16>>,
    foreign: bool,
    roles_unsettled: bool,
    loss: Option<Loss>,
    silent_since: Option<Timestamp>,
    outcomes: Outcomes,
    turn_refused: Option<(ServerId, u16)>,
    udp_dead: bool,
    relay: bool,
    symmetric: [bool; 2],
}

/// What the checks of all pairs came to.
#[derive(Clone, Debug, Default)]
struct Outcomes {
    possible: usize,
    tried: usize,
    refused_by_network: usize,
    elsewhere: usize,
    codes: Vec<u16>,
    permission: Option<Option<u16>>,
}

impl Facts {
    /// The first that there is evidence for.
    pub(super) fn verdict(&self) -> Verdict {
        self.plain()
            .or_else(|| self.lost())
            .or_else(|| self.signalling())
            .or_else(|| self.credentials())
            .unwrap_or_else(|| if self.decided { self.failure() } else { Verdict::Connecting })
    }

    fn plain(&self) -> Option<Verdict> {
        match self.state {
            ConnectionState::Closed => Some(Verdict::Closed),
            ConnectionState::Connected | ConnectionState::Completed => Some(Verdict::Connected),
            _ => None,
        }
    }

    fn lost(&self) -> Option<Verdict> {
        match self.loss {
            Some(loss) if loss.revoked => Some(Verdict::ConsentRevoked { at: loss.at }),
            Some(loss) => Some(Verdict::PathDied { at: loss.heard }),
            None => self.silent_since.map(|at| Verdict::PathDied { at }),
        }
    }

    fn signalling(&self) -> Option<Verdict> {
        if !self.remote_known {
            let checks_arrive = self.early_checks;
            return Some(Verdict::NoRemoteParameters { checks_arrive });
        }
        if self.locals == 0 && self.gathered {
            return Some(Verdict::NoLocalCandidates);
        }
        (self.remotes == 0).then_some(Verdict::NoRemoteCandidates)
    }

    /// What no patience would change.
    fn credentials(&self) -> Option<Verdict> {
        if let Some(code) = self.forged.filter(|_| !self.answers) {
            return Some(Verdict::WrongRemoteCredentials { code });
        }
        if self.foreign && !self.requests && !self.answers {
            return Some(Verdict::WrongLocalCredentials);
        }
        self.roles_unsettled.then_some(Verdict::RoleConflict)
    }

    fn failure(&self) -> Verdict {
        let outcomes = &self.outcomes;
        if outcomes.possible == 0 && self.gathered {
            return Verdict::NoCommonFamily;
        }
        if self.requests && self.lite {
            return Verdict::NotNominated;
        }
        if let [code] = outcomes.codes[..] {
            return if code == 487 {
                Verdict::RoleConflict
            } else {
                Verdict::AllFailedWith { code }
            };
        }
        if outcomes.elsewhere > 0 {
            return Verdict::AnsweredElsewhere;
        }
        if self.requests && !self.answers {
            return Verdict::AnswersDoNotArrive;
        }
        if self.answers {
            return Verdict::Unexplained;
        }
        if let Some((server, code)) = self.turn_refused {
            return Verdict::TurnCredentialsRefused { server, code };
        }
        if self.udp_dead {
            return Verdict::UdpBlocked;
        }
        if outcomes.tried > 0 && outcomes.refused_by_network == outcomes.tried {
            return Verdict::NetworkRefuses;
        }
        if let Some(code) = outcomes.permission {
            return Verdict::RelayRefusesPeer { code };
        }
        let [local, remote] = self.symmetric;
        if (local || remote) && !self.relay {
            return Verdict::SymmetricNatWithoutRelay { local, remote };
        }
        Verdict::PeerNotHeard
    }
}

impl Outcomes {
    fn of(pairs: &[PairExplanation]) -> Self {
        let mut outcomes = Self::default();
        for pair in pairs {
            let impossible = matches!(
                pair.why,
                PairReason::OtherFamily | PairReason::LinkLocal | PairReason::OtherTransport
            );
            outcomes.possible = outcomes.possible.saturating_add(usize::from(!impossible));
            outcomes.tried = outcomes.tried.saturating_add(usize::from(pair.sent > 0));
            match pair.why {
                PairReason::Unreachable | PairReason::NotPermitted | PairReason::Icmp => {
                    outcomes.refused_by_network = outcomes.refused_by_network.saturating_add(1);
                }
                PairReason::AnsweredElsewhere => {
                    outcomes.elsewhere = outcomes.elsewhere.saturating_add(1);
                }
                PairReason::Refused { code } if !outcomes.codes.contains(&code) => {
                    outcomes.codes.push(code);
                }
                PairReason::PermissionRefused { code } => {
                    outcomes.permission = Some(outcomes.permission.flatten().or(code));
                }
                _ => {}
            }
        }
        outcomes
    }
}

impl IceAgent {
    pub(super) fn facts(&self, pairs: &[PairExplanation], servers: &[ServerExplanation]) -> Facts {
        let observed = &self.observed;
        let locals = || self.candidates.locals.iter().map(|(_, local)| local);
        let theirs = || {
            let remotes = self.candidates.remotes.iter().map(|(_, remote)| remote);
            remotes.filter(|remote| remote.is_of(self.local.generation))
        };
        let relayed = |kind| kind == CandidateKind::Relayed;
        let patience = self.patience.is_some_and(|until| until <= self.now);
        let losses = observed.losses();
        Facts {
            state: self.state,
            lite: self.config.lite,
            decided: self.state == ConnectionState::Failed || patience,
            remote_known: self.remote.is_some(),
            early_checks: observed.requests,
            gathered: self.gathering == GatheringState::Complete,
            locals: self.local_candidates().count(),
            remotes: theirs().count(),
            requests: observed.requests,
            answers: observed.answers,
            forged: observed.forged_answers.then(|| observed.forged_code.map(NonZeroU16::get)),
            foreign: observed.foreign_requests,
            roles_unsettled: !self.may_switch_role(),
            loss: losses.iter().find(|loss| loss.revoked).or_else(|| losses.last()).copied(),
            silent_since: self.silent_since(),
            outcomes: Outcomes::of(pairs),
            turn_refused: servers.iter().find_map(refused_credentials),
            udp_dead: udp_is_dead(servers),
            relay: locals().any(|local| relayed(local.kind))
                || theirs().any(|remote| relayed(remote.kind)),
            symmetric: [self.is_behind_symmetric_nat(), self.is_peer_behind_symmetric_nat()],
        }
    }

    /// Since when nothing was heard on a path in use that counts as dead.
    fn silent_since(&self) -> Option<Timestamp> {
        let dead = self.state == ConnectionState::Disconnected;
        let paths = self.kept().filter(|(_, _, in_use)| *in_use && dead);
        paths.map(|(_, upkeep, _)| upkeep.sign).min()
    }

    /// Two servers have seen one socket at two addresses (RFC 4787 §4.1: the mapping depends on the
    /// destination).
    fn is_behind_symmetric_nat(&self) -> bool {
        let reflexive = || {
            let locals = self.candidates.locals.iter().map(|(_, local)| local);
            locals.filter(|local| local.kind == CandidateKind::ServerReflexive)
        };
        reflexive().any(|one| {
            reflexive().any(|other| {
                one.base == other.base
                    && one.addr.is_ipv4() == other.addr.is_ipv4()
                    && one.addr != other.addr
            })
        })
    }

    /// The peer has more reflexive candidates than sockets, of one family.
    fn is_peer_behind_symmetric_nat(&self) -> bool {
        [true, false].into_iter().any(|ipv4| {
            let of = |kind| {
                let remotes = self.candidates.remotes.iter().map(|(_, remote)| remote);
                let same = remotes.filter(|remote| {
                    remote.kind == kind
                        && remote.component == 1
                        && remote.addr.is_ipv4() == ipv4
                        && remote.is_of(self.local.generation)
                });
                same.count()
            };
            let hosts = of(CandidateKind::Host);
            hosts > 0 && of(CandidateKind::ServerReflexive) > hosts
        })
    }
}

/// RFC 8489 §9.2.4, RFC 8656 §19: the codes that say that username or password are wrong.
fn refused_credentials(server: &ServerExplanation) -> Option<(ServerId, u16)> {
    let (_, failure) = server.failure.as_ref()?;
    let code = failure.code().filter(|code| matches!(code, 401 | 441))?;
    let turn = server.uri.protocol() == ServerProtocol::Turn;
    let answered = server.situation == ServerSituation::Answered;
    (turn && !answered).then_some((server.id, code))
}

/// Whether servers were asked over UDP, and none of them has answered.
fn udp_is_dead(servers: &[ServerExplanation]) -> bool {
    let mut asked = servers.iter().filter(|server| {
        server.uri.transport() == ServerTransport::Udp
            && (server.failure.is_some() || server.situation == ServerSituation::Answered)
    });
    let silent = |server: &ServerExplanation| {
        let failure = server.failure.as_ref().map(|(_, failure)| failure);
        server.situation != ServerSituation::Answered
            && matches!(failure, Some(ServerFailure::Timeout | ServerFailure::Unreachable))
    };
    let mut any = false;
    asked.all(|server| {
        any = true;
        silent(server)
    }) && any
}
