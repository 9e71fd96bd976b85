//! What is seen on the wire: who has been answered, and how checks follow each other.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::peer::Path;

const REQUEST: [u8; 2] = [0x00, 0x01];
const SUCCESS: [u8; 2] = [0x01, 0x01];

/// Whether a datagram is the answer to a check.
pub(super) fn is_answer(datagram: &[u8]) -> bool {
    datagram.starts_with(&SUCCESS)
}

/// The least times that were seen on the wire, of any agent of an implementation until it had
/// selected a pair: what follows, consent for example, has other rules.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// From the first request of one transaction to that of the next, whatever their pairs: the
    /// Ta that is kept.
    pub spacing: Option<Duration>,
    /// From one request to the next on a path on which nothing has come, so that nothing but time
    /// can be the cause: what serves as RTO.
    pub repeat: Option<Duration>,
    /// From one request to its retransmission under the same transaction id.
    pub retransmission: Option<Duration>,
}

fn least(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

impl Seen {
    /// Takes in what was seen elsewhere.
    pub fn merge(&mut self, other: Self) {
        self.spacing = least(self.spacing, other.spacing);
        self.repeat = least(self.repeat, other.repeat);
        self.retransmission = least(self.retransmission, other.retransmission);
    }
}

/// Watches one agent.
#[derive(Default)]
pub(super) struct Watch {
    pub seen: Seen,
    /// The agent has selected a pair.
    pub has_selected: bool,
    started: Option<Duration>,
    /// When a transaction was sent last.
    transactions: BTreeMap<[u8; 12], Duration>,
    /// When there was a request last on a path, unless something has come on it.
    silent: BTreeMap<(SocketAddr, SocketAddr), Option<Duration>>,
}

impl Watch {
    pub(super) fn sent(&mut self, now: Duration, path: Path, datagram: &[u8]) {
        if self.has_selected || !datagram.starts_with(&REQUEST) {
            return;
        }
        let Some(id) = datagram.get(8..20).and_then(|id| <[u8; 12]>::try_from(id).ok()) else {
            return;
        };
        let since = |before: Option<Duration>| before.map(|before| now - before);
        let before = self.transactions.insert(id, now);
        self.seen.retransmission = least(self.seen.retransmission, since(before));
        if before.is_none() {
            self.seen.spacing = least(self.seen.spacing, since(self.started.replace(now)));
        }
        match self.silent.get_mut(&(path.local, path.remote)) {
            Some(Some(last)) => {
                let before = std::mem::replace(last, now);
                self.seen.repeat = least(self.seen.repeat, since(Some(before)));
            }
            Some(None) => {}
            None => {
                self.silent.insert((path.local, path.remote), Some(now));
            }
        }
    }

    pub(super) fn received(&mut self, path: Path) {
        self.silent.insert((path.local, path.remote), None);
    }
}
