//! What the networks under a path cost, as libwebrtc tells it and goes by it: a pair costs what the
//! networks of both its ends cost, and among pairs that work the cheaper one is better, whatever the
//! priorities say. RFC 8445 §8.1.1 leaves the choice to the controlling side.
//!
//! Where both sides choose for themselves, they have to come to the same pair: a controlled agent, and
//! one that nominates with every check, go by what paths cost only if the peer tells of its networks,
//! since any other peer goes by priority.

use core::cmp::Reverse;

use crate::candidate::network::Network;
use crate::checklist::CandidatePair;
use crate::config::Role;
use crate::id::{CandidateId, PairId, StreamId};
use crate::time::Timestamp;

use super::IceAgent;
use super::candidates::{Candidates, Local};

/// The place of a pair among those that work, the best greatest.
pub(super) type Rank = (Reverse<u16>, u64);

impl Local {
    /// As the peer is told of it.
    pub(super) fn network(&self) -> Network {
        Network::new(self.network, self.cost)
    }
}

impl Candidates {
    /// The number of an interface: networks are numbered as they come, so that nothing is told of the
    /// machine.
    pub(super) fn network_of(&mut self, interface: u32) -> u16 {
        let known = self.locals.iter().find(|(_, local)| local.interface == interface);
        if let Some((_, local)) = known {
            return local.network;
        }
        self.newest_network = self.newest_network.checked_add(1).unwrap_or(1);
        self.newest_network
    }

    /// What the networks of both ends of a pair cost together.
    fn network_cost(&self, pair: &CandidatePair) -> u16 {
        let local = self.locals.get(pair.local).map_or(0, |local| local.cost);
        let remote = self.remotes.get(pair.remote).map_or(0, |remote| remote.network.cost);
        local.saturating_add(remote)
    }

    /// The place of a pair, if networks are weighed or not.
    pub(super) fn rank(&self, weighs: bool, pair: &CandidatePair) -> Rank {
        (Reverse(if weighs { self.network_cost(pair) } else { 0 }), pair.standing())
    }

    /// The peer has told of the network of one of its candidates. Whether that is news.
    pub(super) fn note_network(&mut self, id: CandidateId, told: Network) -> bool {
        self.networks_told |= told.is_told();
        let remote = self.remotes.get_mut(id).filter(|remote| remote.network != told);
        remote.map(|remote| remote.network = told).is_some()
    }
}

impl IceAgent {
    /// What using an interface costs has changed, as when a cellular network is free at night:
    /// `interface` is the number in [`LocalAddress::interface`](crate::LocalAddress::interface),
    /// `cost` 0 (free) to 999 (avoid). Whether there is a candidate on it.
    ///
    /// Automatic [renomination](crate::NominationMode::Renomination) moves to a path that costs less
    /// now; the peer learns of it by the next check if
    /// [`tell_networks`](crate::AgentConfig::tell_networks) is on. Priorities stay what the peer
    /// was told.
    pub fn set_network_cost(&mut self, now: Timestamp, interface: u32, cost: u16) -> bool {
        self.advance(now);
        let mut found = false;
        for (_, local) in self.candidates.locals.iter_mut() {
            if local.interface == interface {
                local.cost = Network::new(local.network, cost).cost;
                found = true;
            }
        }
        if found && !self.is_closed() {
            self.run();
        }
        found
    }

    /// A check on a path in use has told of the network that it comes from. Whether that may change
    /// something.
    pub(super) fn network_heard(&mut self, pair: PairId, network: Network) -> bool {
        let Some(remote) = self.lists.get(pair).map(|pair| pair.remote) else { return false };
        self.candidates.note_network(remote, network) && self.config.weigh_networks
    }

    /// Whether a pair that costs less is better than one of a higher priority.
    pub(super) fn weighs_networks(&self) -> bool {
        let alone = || self.role() == Role::Controlling && !self.nominates_aggressively();
        self.config.weigh_networks && (self.candidates.networks_told || alone())
    }

    /// What the networks of both ends of a pair cost together; nothing if that does not matter.
    pub(super) fn network_cost(&self, pair: &CandidatePair) -> u16 {
        if self.weighs_networks() { self.candidates.network_cost(pair) } else { 0 }
    }

    /// The place of a pair.
    pub(super) fn rank(&self, pair: &CandidatePair) -> Rank {
        self.candidates.rank(self.weighs_networks(), pair)
    }

    /// The place of an entry of the valid list.
    pub(super) fn valid_rank(&self, pair: &CandidatePair) -> Option<Rank> {
        pair.valid.map(|_| self.rank(pair))
    }

    /// The best entry of the valid list for a component.
    pub(super) fn best_valid(&self, stream: StreamId, component: u16) -> Option<PairId> {
        if !self.weighs_networks() {
            return self.lists.best_valid(stream, component);
        }
        self.lists
            .pairs()
            .filter(|(_, pair)| pair.stream == stream && pair.component == component && !pair.past)
            .filter_map(|(id, pair)| Some((self.valid_rank(pair)?, Reverse(id))))
            .max()
            .map(|(_, Reverse(id))| id)
    }
}
