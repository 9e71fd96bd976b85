//! Peer-reflexive candidates of the peer: where checks come from that nobody has told of (RFC 8445
//! §7.3.1.3), and which of them are kept when there is no room for more.

use smallvec::SmallVec;

use crate::candidate::network::Network;
use crate::candidate::{CandidateKind, CandidateTransport, TcpType};
use crate::checklist::{CandidatePair, Nomination, PairState};
use crate::id::{CandidateId, PairId};
use crate::stun::CheckRequest;

use super::IceAgent;
use super::candidates::{Membership, Named, Remote};
use super::counters::Refused;
use super::output::Notice;
use super::server::Arrival;
use super::stats::Told;

/// RFC 8445 §5.1.2: 2^31 - 1.
const MAX_PRIORITY: u32 = 0x7fff_ffff;

impl IceAgent {
    /// The candidate behind the source of a check, and whether it is a new peer-reflexive one since
    /// there was none (RFC 8445 §7.3.1.3).
    pub(super) fn remote_of(
        &mut self,
        arrival: Arrival,
        request: &CheckRequest<'_>,
    ) -> Option<(CandidateId, bool)> {
        let local = self.candidates.locals.get(arrival.local)?;
        let (stream, component) = (local.stream, local.component);
        let transport = local.transport.transport();
        // RFC 6544 §7.2: who connects to a passive candidate is an active one.
        let counterpart = match local.transport {
            CandidateTransport::Tcp(TcpType::Passive) => CandidateTransport::Tcp(TcpType::Active),
            CandidateTransport::Tcp(TcpType::Active) => CandidateTransport::Tcp(TcpType::Passive),
            same => same,
        };
        let known = self.candidates.remote_at(stream, component, transport, arrival.from);
        if let Some(known) = known {
            return Some((known, false));
        }
        if self.check_peer_address(arrival.from.ip()).is_err() {
            self.counters.refuse(Refused::RemoteAddress);
            return None;
        }
        let discovered = self
            .candidates
            .remotes
            .iter()
            .filter(|(_, remote)| remote.kind == CandidateKind::PeerReflexive)
            .count();
        if discovered >= usize::from(self.config.limits.peer_reflexive_candidates) {
            self.counters.refuse(Refused::PeerReflexiveCandidate);
            // A nomination has been answered with success: it must not be forgotten.
            let nominates = request.use_candidate || request.nomination.is_some();
            let admitted = (nominates && self.drop_idle_reflexive(|_| true))
                || self.crowded_base(arrival.local).is_some_and(|base| {
                    self.drop_idle_reflexive(|pair| {
                        pair.local == base && pair.state == PairState::Failed
                    })
                });
            if !admitted {
                return None;
            }
        }
        let foundation = self.candidates.unique_foundation();
        let id = self.candidates.remotes.insert(Remote {
            stream,
            component,
            kind: CandidateKind::PeerReflexive,
            transport: counterpart,
            addr: arrival.from,
            foundation,
            // RFC 8445 §7.3.1.3: the value of PRIORITY, within what priorities are; the least when a
            // peer sends none.
            priority: request.priority.unwrap_or(1).clamp(1, MAX_PRIORITY),
            network: Network::default(),
            membership: Membership::Of(self.local.generation),
            signalled: false,
            named: Named::No,
            related: Told::default(),
        })?;
        self.notice(Notice::RemoteCandidateDiscovered(id));
        Some((id, true))
    }

    /// The base at which more peer-reflexive candidates have come in than anywhere else, and at
    /// least two more than at this one. Behind some NATs every check comes from a new address, which
    /// fills up all places at one base; another one may have the only path that works.
    fn crowded_base(&self, at: CandidateId) -> Option<CandidateId> {
        let mut found: SmallVec<[(CandidateId, usize); 8]> = SmallVec::new();
        for (_, pair) in self.lists.pairs() {
            let remote = self.candidates.remotes.get(pair.remote);
            if remote.is_none_or(|remote| remote.kind != CandidateKind::PeerReflexive) {
                continue;
            }
            match found.iter_mut().find(|(base, _)| *base == pair.local) {
                Some((_, number)) => *number = number.saturating_add(1),
                None => found.push((pair.local, 1)),
            }
        }
        let here = found.iter().find(|(base, _)| *base == at).map_or(0, |(_, number)| *number);
        let (base, most) = found.into_iter().max_by_key(|(_, number)| *number)?;
        (most > here.saturating_add(1)).then_some(base)
    }

    /// Forgets the oldest peer-reflexive candidate that no pair of any use has, and only pairs that
    /// are `expendable`. Whether there was one.
    fn drop_idle_reflexive(&mut self, expendable: impl Fn(&CandidatePair) -> bool) -> bool {
        let idle = |id: CandidateId| {
            self.lists.pairs().filter(|(_, pair)| pair.remote == id).all(|(_, pair)| {
                pair.valid.is_none()
                    && !pair.past
                    && (pair.nomination == Nomination::None || pair.state == PairState::Failed)
                    && expendable(pair)
            })
        };
        let oldest = self
            .candidates
            .remotes
            .iter()
            .find(|(id, remote)| remote.kind == CandidateKind::PeerReflexive && idle(*id))
            .map(|(id, _)| id);
        let Some(oldest) = oldest else { return false };
        let pairs: SmallVec<[PairId; 2]> = self
            .lists
            .pairs()
            .filter(|(_, pair)| pair.remote == oldest)
            .map(|(id, _)| id)
            .collect();
        for pair in pairs {
            self.checks.discard(pair);
            self.lists.discard(pair);
        }
        self.candidates.remotes.remove(oldest).is_some()
    }
}
