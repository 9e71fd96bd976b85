//! Which addresses can reach which: partitions, one-way paths, "only this pair works".

use core::net::IpAddr;
use std::collections::BTreeSet;

/// The rules of a network: the directions that are blocked and, if there is such a list, the only
/// ones that are allowed. Plain data, so that a clone of the network carries its rules along.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    blocked: BTreeSet<(IpAddr, IpAddr)>,
    allowed: Option<BTreeSet<(IpAddr, IpAddr)>>,
}

impl Rules {
    pub(super) fn block(&mut self, from: IpAddr, to: IpAddr) {
        self.blocked.insert((from, to));
    }

    pub(super) fn unblock(&mut self, from: IpAddr, to: IpAddr) {
        self.blocked.remove(&(from, to));
    }

    pub(super) fn allow_only(&mut self, directions: impl IntoIterator<Item = (IpAddr, IpAddr)>) {
        self.allowed = Some(directions.into_iter().collect());
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn permit(&self, from: IpAddr, to: IpAddr) -> bool {
        let direction = (from, to);
        !self.blocked.contains(&direction)
            && self.allowed.as_ref().is_none_or(|allowed| allowed.contains(&direction))
    }
}
