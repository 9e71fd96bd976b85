//! Explanations as sentences for people who run a service, not for those who have read the RFCs.

use core::fmt::{self, Display, Formatter};

use super::{
    Choice, Explanation, LossReason, PairExplanation, PairReason, Rejected, RejectedCandidate,
    ServerExplanation, ServerSituation, Verdict,
};
use crate::candidate::CandidateKind;
use crate::time::Timestamp;

impl Display for Explanation {
    /// A line for each pair, server and rejected candidate, and the verdict last. Pairs that would
    /// have repeated others are left out.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let repeats = |pair: &&PairExplanation| !matches!(pair.why, PairReason::Redundant { .. });
        for pair in self.pairs.iter().filter(repeats) {
            writeln!(f, "{pair}")?;
        }
        for server in &self.servers {
            writeln!(f, "{server}")?;
        }
        for rejected in &self.rejected {
            writeln!(f, "{rejected}")?;
        }
        write!(f, "{}", self.verdict)
    }
}

impl Display for PairExplanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kind = |kind| match kind {
            CandidateKind::Host => "own address",
            CandidateKind::ServerReflexive => "address behind a NAT",
            CandidateKind::PeerReflexive => "address seen by the other side",
            CandidateKind::Relayed => "relayed",
        };
        let (local, remote) = (&self.local, &self.remote);
        write!(f, "{} ({}) -> ", local.addr, kind(local.kind))?;
        if remote.hidden {
            write!(f, "a hidden address, no. {}", remote.id.get())?;
        } else {
            write!(f, "{}", remote.addr)?;
        }
        write!(f, " ({}): ", kind(remote.kind))?;
        self.reason(f)
    }
}

impl PairExplanation {
    fn reason(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let sent = Times(self.sent);
        match self.why {
            PairReason::Selected(choice) => write!(f, "carries the data: {}", Chosen(choice)),
            PairReason::FromBeforeRestart => {
                f.write_str("carries the data, as before the restart, until a new pair is found")
            }
            PairReason::BeingNominated => {
                f.write_str("works, and the peer is being told to use it")
            }
            PairReason::Valid => f.write_str("works, and may be chosen"),
            PairReason::Spare => f.write_str("works, and is kept in case the chosen one fails"),
            PairReason::ProvedOther => f.write_str(
                "answered, and the answer has shown that the other side sees another address",
            ),
            PairReason::NotStarted => {
                f.write_str("never tried: the other side's credentials are not known yet")
            }
            PairReason::Lite => {
                f.write_str("never tried: this side only answers (ICE lite), and nothing came")
            }
            PairReason::Frozen { behind: Some(behind), .. } => write!(
                f,
                "never tried: kept back until pair {} is decided, whose addresses are of the same \
                 kind and network",
                behind.get()
            ),
            PairReason::Frozen { behind: None, .. } => {
                f.write_str("never tried: kept back, its turn comes next")
            }
            PairReason::Waiting { ahead: 0 } => f.write_str("not tried yet: it is the next"),
            PairReason::Waiting { ahead } => {
                write!(f, "not tried yet: {ahead} better ones come before it")
            }
            PairReason::AwaitsPermission => {
                f.write_str("not tried yet: the TURN server has not yet agreed to relay there")
            }
            PairReason::Connecting => {
                f.write_str("not tried yet: its TCP connection is being opened")
            }
            PairReason::UnderWay => write!(f, "tried {sent}, no answer so far"),
            PairReason::Unanswered if self.heard => {
                write!(
                    f,
                    "tried {sent}, never answered, though the other side's own checks arrived"
                )
            }
            PairReason::Unanswered => write!(f, "tried {sent}, never answered"),
            PairReason::AnsweredElsewhere => write!(
                f,
                "tried {sent}: the answer came from another address than the one that was asked, or \
                 to another one than the one that asked, and does not count"
            ),
            PairReason::Unusable => {
                write!(f, "tried {sent}: there was an answer, but of no use")
            }
            PairReason::Refused { code } => {
                write!(f, "tried {sent}: the other side answered with error {code}{}", Code(code))
            }
            PairReason::Unreachable => {
                write!(f, "tried {sent}: this machine has no route to that address")
            }
            PairReason::NotPermitted => {
                write!(f, "tried {sent}: this machine does not allow to send to that address")
            }
            PairReason::Icmp => {
                write!(f, "tried {sent}: the network answered that nobody is there (ICMP)")
            }
            PairReason::PermissionRefused { code: Some(code) } => write!(
                f,
                "never tried: the TURN server refuses to relay to that address, with error {code}{}",
                Code(code)
            ),
            PairReason::PermissionRefused { code: None } => {
                f.write_str("never tried: the TURN server refuses to relay to that address")
            }
            PairReason::NotRelayed => {
                f.write_str("never tried: the TURN server cannot relay to that address")
            }
            PairReason::NotConnected => {
                f.write_str("its TCP connection did not open, or was closed")
            }
            PairReason::ConsentExpired { at } => write!(
                f,
                "worked until {}: the other side did not answer any more (consent expired)",
                At(at)
            ),
            PairReason::ConsentRevoked { at } => write!(
                f,
                "worked until {}: the other side said that it wants no more (consent revoked)",
                At(at)
            ),
            PairReason::Lost { to, why } => {
                write!(f, "not needed: pair {} was chosen, {}", to.get(), Against(why))
            }
            PairReason::Redundant { .. } => {
                f.write_str("never tried: the same socket is tried under its own address")
            }
            PairReason::BeyondLimit { limit } => {
                write!(f, "never tried: there are {limit} better pairs, which is the limit")
            }
            PairReason::GaveWay => f.write_str(
                "made room for another pair: no answer had come, or it was the worse one",
            ),
            PairReason::OtherFamily => {
                f.write_str("impossible: one address is IPv4 and the other IPv6")
            }
            PairReason::LinkLocal => f.write_str(
                "impossible: a link-local address (fe80::) reaches only others on the same network",
            ),
            PairReason::OtherTransport => f.write_str(
                "impossible: UDP and TCP, or two ends of TCP that both wait or both call",
            ),
            PairReason::AwaitsConnection => {
                f.write_str("never tried: the other side has to open the TCP connection")
            }
            PairReason::Policy => f.write_str("never tried: the configuration forbids it"),
            PairReason::Unresolved => {
                f.write_str("never tried: the name of that address has not been looked up yet")
            }
            PairReason::HiddenFromRelay => f.write_str(
                "never tried: the other side hides this address behind a name, and a TURN server \
                 would have to be told it",
            ),
            PairReason::OtherMachine => {
                f.write_str("impossible: a loopback address is reached on its own machine alone")
            }
            PairReason::NotConveyed => {
                f.write_str("never tried: the other side was not told of this address yet")
            }
            PairReason::Idle => f.write_str("never tried"),
        }
    }
}

impl Display for ServerExplanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.uri)?;
        f.write_str(match self.situation {
            ServerSituation::NotAsked => "not asked yet",
            ServerSituation::Resolving => "its name is being looked up",
            ServerSituation::Asked => "asked, no answer so far",
            ServerSituation::Answered if self.candidates.is_empty() => {
                "answered, with nothing that was not known already"
            }
            ServerSituation::Answered => "answered, and gave",
            ServerSituation::Failed => "failed",
            ServerSituation::OutOfReach => "not asked: no address of this machine can reach it",
            ServerSituation::Fruitless => "has given nothing that is of use",
        })?;
        if self.situation == ServerSituation::Answered {
            for (index, candidate) in self.candidates.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                write!(f, "{comma} {}", candidate.addr)?;
            }
        }
        match &self.failure {
            Some((at, failure)) => {
                write!(f, "; at {}: {failure}", At(*at))?;
                failure.code().map_or(Ok(()), |code| write!(f, "{}", Code(code)))
            }
            None => Ok(()),
        }
    }
}

impl Display for RejectedCandidate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.why {
            Rejected::Local(why) => write!(f, "own address {} not used: {why}", self.address),
            Rejected::Remote(why) => {
                write!(f, "address {} of the other side not used: {why}", self.address)
            }
        }
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::Connected => "connected",
            Self::Connecting => "still connecting: nothing is wrong so far",
            Self::Closed => "closed by the application",
            Self::NoRemoteParameters { checks_arrive: false } => {
                "signalling: the other side's credentials have not arrived"
            }
            Self::NoRemoteParameters { checks_arrive: true } => {
                "signalling: the other side's credentials have not arrived, though its packets do"
            }
            Self::NoLocalCandidates => "this machine has no address to offer",
            Self::NoRemoteCandidates => {
                "signalling: no address of the other side has arrived, and nothing came from it"
            }
            Self::NoCommonFamily => {
                "no address of this side can reach one of the other side: one has IPv4 and the \
                 other IPv6, or one UDP and the other TCP"
            }
            Self::WrongRemoteCredentials { code } => {
                f.write_str(
                    "wrong credentials of the other side: it answers, but not with the password \
                     that was signalled; they may be of an earlier session",
                )?;
                return code.map_or(Ok(()), |code| write!(f, " (error {code}{})", Code(code)));
            }
            Self::WrongLocalCredentials => {
                "packets come, but none with our credentials: the other side has got others, of an \
                 earlier session or another peer"
            }
            Self::RoleConflict => {
                "both sides claim the same role (controlling or controlled), and cannot agree"
            }
            Self::TurnCredentialsRefused { code, .. } => {
                return write!(
                    f,
                    "the TURN server refused the username or password (error {code}), and no direct \
                     path was found"
                );
            }
            Self::UdpBlocked => {
                "UDP seems to be blocked here: no STUN or TURN server answered over UDP, and \
                 nothing came from the other side"
            }
            Self::RelayRefusesPeer { code } => {
                f.write_str("no direct path was found, and the TURN server refuses to relay to the other side")?;
                return code.map_or(Ok(()), |code| write!(f, " (error {code}{})", Code(code)));
            }
            Self::SymmetricNatWithoutRelay { local: true, remote: true } => {
                "both sides are behind NATs that use another port for every destination (symmetric \
                 NATs), and there is no TURN server to relay"
            }
            Self::SymmetricNatWithoutRelay { local, .. } => {
                let side = if local { "this" } else { "the other" };
                return write!(
                    f,
                    "{side} side is behind a NAT that uses another port for every destination (a \
                     symmetric NAT), nothing was heard, and there is no TURN server to relay"
                );
            }
            Self::NetworkRefuses => {
                "this machine or the network refused every packet to the other side"
            }
            Self::AnswersDoNotArrive => {
                "one-way: packets of the other side arrive here, but no answer to ours does; a \
                 firewall may block what we send, or what comes back"
            }
            Self::PeerNotHeard => {
                "nothing was heard from the other side: its addresses cannot be reached from here, \
                 or it never tried"
            }
            Self::AllFailedWith { code } => {
                return write!(
                    f,
                    "the other side answered everything with error {code}{}",
                    Code(code)
                );
            }
            Self::AnsweredElsewhere => {
                "answers came, but from other addresses than those that were asked: a router or \
                 load balancer rewrites them"
            }
            Self::NotNominated => {
                "packets of the other side arrive, but it has not chosen a path"
            }
            Self::PathDied { at } => {
                return write!(
                    f,
                    "the path died: the last authenticated message of the other side came at {}",
                    At(at)
                );
            }
            Self::ConsentRevoked { at } => {
                return write!(f, "the other side ended it at {}: it wants no more data", At(at));
            }
            Self::Unexplained => "no path was found, though answers came from the other side",
        })
    }
}

/// A number of times.
struct Times(u16);

impl Display for Times {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("once"),
            2 => f.write_str("twice"),
            n => write!(f, "{n} times"),
        }
    }
}

/// A time, in seconds of the caller's clock.
struct At(Timestamp);

impl Display for At {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s", self.0.as_duration().as_secs_f64())
    }
}

/// What an error code means, where that is fixed (RFC 8489 §14.8, RFC 8445 §16.1, RFC 8656 §19).
struct Code(u16);

impl Display for Code {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            400 => " (bad request)",
            401 => " (wrong or missing credentials)",
            403 => " (forbidden)",
            420 => " (something in it was not understood)",
            437 => " (no such allocation)",
            438 => " (stale credentials)",
            440 | 443 => " (address family not supported)",
            441 => " (wrong credentials)",
            486 => " (too many allocations for this user)",
            487 => " (role conflict)",
            500 => " (server error)",
            508 => " (server out of capacity)",
            _ => "",
        })
    }
}

/// Why a pair was chosen.
struct Chosen(Choice);

impl Display for Chosen {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Choice::Nominated => "it was the best that worked",
            Choice::ByPeer => "the other side chose it",
            Choice::Failover => "the one before had fallen silent",
            Choice::Cost => "it costs less",
            Choice::RoundTrip => "it is faster than the one before",
        })
    }
}

/// What decided against a pair.
struct Against(LossReason);

impl Display for Against {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            LossReason::Priority => f.write_str("which has the higher priority"),
            LossReason::Sooner => f.write_str("which worked sooner"),
            LossReason::Chosen(choice) => {
                let why = match choice {
                    Choice::Nominated => "as the best that worked",
                    Choice::ByPeer => "by the other side",
                    Choice::Failover => "since the one before had fallen silent",
                    Choice::Cost => "since it costs less",
                    Choice::RoundTrip => "since it is faster",
                };
                f.write_str(why)
            }
        }
    }
}
