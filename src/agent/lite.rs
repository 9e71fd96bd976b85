//! Lite implementations (RFC 8445 §2.5, §6.2, §7.3.2, §8.2): this side, the peer, or both.

use core::net::{IpAddr, Ipv6Addr};

use crate::checklist::{Nomination, PairState, ValidPair};
use crate::config::Role;
use crate::id::{CandidateId, PairId, StreamId};

use super::IceAgent;
use super::transactions::Proof;

impl IceAgent {
    /// RFC 8445 §6.1.1: of a full and a lite agent the full one is controlling; two of a kind keep
    /// the roles that they started with.
    pub(super) fn settle_implementations(&mut self) {
        let peer_lite = self.remote.as_ref().is_some_and(|remote| remote.parameters.lite);
        let role = match (self.config.lite, peer_lite) {
            (true, false) => Role::Controlled,
            (false, true) => Role::Controlling,
            (true, true) | (false, false) => self.role(),
        };
        if role != self.role() {
            self.switch_role(role);
        }
    }

    /// RFC 8445 §7.3.2: a full peer has nominated the pair on which its check came in. That is all
    /// it takes.
    pub(super) fn nominated_lite(&mut self, id: PairId) {
        self.lists.succeed(id);
        let (now, Some(pair)) = (self.now, self.lists.annotate(id)) else { return };
        pair.valid.get_or_insert(ValidPair {
            local: pair.local,
            generated_by: id,
            local_priority: pair.local_priority,
            priority: pair.priority,
        });
        pair.nomination = Nomination::Pending;
        pair.attempts.answered = now;
        self.lists.revise();
        self.validated(id, Proof::Valid);
    }

    /// RFC 8445 §8.2: two lite agents pair by address family, and choose among several by the order
    /// of RFC 6724. Nobody checks anything.
    pub(super) fn pair_lite(&mut self) {
        let both =
            self.config.lite && self.remote.as_ref().is_some_and(|remote| remote.parameters.lite);
        if !both || !self.remote_complete {
            return;
        }
        let components: Vec<(StreamId, u16)> = self
            .streams
            .iter()
            .flat_map(|stream| stream.components.iter().map(|other| (stream.id, other)))
            .filter(|(_, component)| component.selected.is_none())
            .map(|(stream, component)| (stream, component.number))
            .collect();
        for (stream, number) in components {
            if let Some((local, remote)) = self.best_lite_pair(stream, number) {
                self.select_lite(local, remote);
            }
        }
    }

    fn best_lite_pair(&self, stream: StreamId, number: u16) -> Option<(CandidateId, CandidateId)> {
        let locals = self.candidates.locals.iter().filter(|(_, local)| {
            local.stream == stream && local.component == number && local.conveyed
        });
        locals
            .flat_map(|(local_id, local)| {
                self.candidates
                    .remotes
                    .iter()
                    .filter(|(_, remote)| remote.stream == stream && remote.component == number)
                    // That of the path from before a restart stays as long as the path does.
                    .filter(|(_, remote)| remote.is_of(self.local.generation))
                    .map(move |(id, remote)| (local_id, local, id, remote))
            })
            .filter_map(|(local_id, local, remote_id, remote)| {
                let ours = self.candidates.local_endpoint(local_id)?;
                let theirs = self.candidates.remote_endpoint(remote_id)?;
                // Both sides must come to the same pair: what ties in the order of RFC 6724 is
                // decided by the sum of the priorities, and then by the addresses.
                let order = (
                    precedence(local.addr.ip()).min(precedence(remote.addr.ip())),
                    u64::from(local.priority).saturating_add(u64::from(remote.priority)),
                    local.addr.min(remote.addr),
                    local.addr.max(remote.addr),
                );
                // What was rewritten is told, and its base is what packets leave from.
                let base = self.candidates.base_of(local_id);
                let allowed = !self.is_forbidden_between(base, remote_id);
                (allowed && ours.reach.pairs_with(theirs.reach)).then_some((order, base, remote_id))
            })
            .max_by_key(|&(order, ..)| order)
            .map(|(_, local, remote)| (local, remote))
    }

    fn select_lite(&mut self, local: CandidateId, remote: CandidateId) {
        let id = self.lists.find(local, remote).or_else(|| self.insert_pair(local, remote));
        let Some(id) = id else { return };
        if self.lists.get(id).is_some_and(|pair| pair.state != PairState::Succeeded) {
            self.nominated_lite(id);
            self.select(id);
        }
    }
}

/// RFC 6724 §2.1: the default policy table.
fn precedence(ip: IpAddr) -> u8 {
    let IpAddr::V6(ip) = ip else { return 35 };
    match ip.segments() {
        _ if ip == Ipv6Addr::LOCALHOST => 50,
        [0x2002, ..] => 30,
        [0x2001, 0, ..] => 5,
        [0xfc00..=0xfdff, ..] => 3,
        [0xfec0..=0xfeff, ..] | [0x3ffe, ..] => 1,
        _ => 40,
    }
}
