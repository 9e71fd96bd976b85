//! What a [`Mux`](crate::Mux) needs to know of an agent that it holds, to bring it what arrives.

use core::net::SocketAddr;

use crate::candidate::Transport;
use crate::checklist::CandidatePair;
use crate::id::PairId;
use crate::random::Tag;
use crate::time::Timestamp;

use super::IceAgent;
use super::generation::Generation;
use super::output::Notice;

/// What the username fragments of an agent depend on: equal as long as they are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    current: Generation,
    newest: Generation,
    staged: bool,
    past: usize,
    closed: bool,
}

/// What an agent has to show for a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The peer has answered a check of ours there, so it receives what is sent there. A request
    /// alone proves nothing of the kind: its source address may be forged.
    pub(crate) proved: bool,
    /// When the peer last gave an authenticated sign of life there, if the path is in use or kept
    /// for it.
    pub(crate) sign: Option<Timestamp>,
}

impl IceAgent {
    /// From now on transaction ids name this session, or none.
    pub(crate) fn set_tag(&mut self, tag: Option<Tag>) {
        self.rng.set_tag(tag);
    }

    pub(crate) fn tag(&self) -> Option<&Tag> {
        self.rng.tag()
    }

    pub(crate) fn names(&self) -> Names {
        Names {
            current: self.local.generation,
            newest: self.newest().generation,
            staged: self.staged.is_some(),
            past: self.past.len(),
            closed: self.is_closed(),
        }
    }

    /// The username fragments that checks of the peer may be sent to.
    pub(crate) fn ufrags(&self) -> impl Iterator<Item = &str> {
        core::iter::once(&self.local)
            .chain(self.other_local_sides())
            .map(|side| side.credentials.ufrag())
            .filter(|_| !self.is_closed())
    }

    /// Another number whenever [`paths`](Self::paths) may be others.
    pub(crate) fn paths_revision(&self) -> u32 {
        self.lists.revision()
    }

    /// The paths on which data is accepted, as local and remote address in their normal form.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (SocketAddr, SocketAddr)> {
        self.lists.pairs().filter_map(|(_, pair)| self.path_of_pair(pair))
    }

    /// What speaks for it that data on this path is for this agent.
    pub(crate) fn claim(&self, local: SocketAddr, remote: SocketAddr) -> Option<Claim> {
        let mut claim: Option<Claim> = None;
        for (id, pair) in self.lists.pairs() {
            if self.path_of_pair(pair) == Some((local, remote)) {
                let proved = pair.valid.is_some() && !self.config.lite;
                let sign = self.sign_of(id);
                let so_far = claim.get_or_insert(Claim { proved, sign });
                so_far.proved |= proved;
                so_far.sign = so_far.sign.max(sign);
            }
        }
        claim
    }

    fn sign_of(&self, id: PairId) -> Option<Timestamp> {
        let kept = self.kept().find(|(_, upkeep, _)| upkeep.pair == id);
        kept.map(|(_, upkeep, _)| upkeep.sign)
    }

    fn path_of_pair(&self, pair: &CandidatePair) -> Option<(SocketAddr, SocketAddr)> {
        let known = (pair.heard || pair.valid.is_some()) && !self.is_closed();
        let local = self.candidates.locals.get(pair.local).filter(|_| known)?;
        let remote = self.candidates.remotes.get(pair.remote)?;
        (local.transport.transport() == Transport::Udp).then_some((local.addr, remote.addr))
    }

    /// Until then no transaction but consent checks may start or be repeated.
    pub(crate) fn hold(&mut self, until: Timestamp) {
        self.pacer.hold(until);
    }

    /// Whether one was started or repeated since the last call.
    pub(crate) fn take_sent(&mut self) -> bool {
        self.pacer.take_sent()
    }

    /// Says that another session has the username fragment that was drawn last.
    pub(crate) fn ufrag_taken(&mut self) {
        self.notice(Notice::UfragTaken);
    }
}
