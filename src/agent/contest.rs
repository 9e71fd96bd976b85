//! Nominations that a controlled agent does not follow at once, since they lead to a worse pair (RFC
//! 8445 §8.1.1): whether the peer means it is found out.

use core::time::Duration;

use smallvec::SmallVec;

use crate::config::Role;
use crate::id::{PairId, StreamId};
use crate::time::Timestamp;

use super::IceAgent;
use super::upkeep::NOT_RECEIVING;

/// How long a selected pair may be silent after such a nomination before it is probed.
const DOUBT: Duration = Duration::from_millis(500);

/// A nomination that was not followed, since the selected pair is better and may be alive (RFC 8445
/// §8.1.1): the peer may have nominated it because that one is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Contest {
    pair: PairId,
    since: Timestamp,
}

impl Contest {
    /// When it is decided: the selected pair has had as long to give a sign of life, and the peer to
    /// nominate it again.
    pub(super) fn ends(&self) -> Timestamp {
        self.since + NOT_RECEIVING
    }

    /// When the selected pair is probed next because of it, if it is: the newest sign of life on it
    /// and the newest probe of it decide.
    pub(super) fn next_probe(&self, sign: Timestamp, probed: Timestamp) -> Option<Timestamp> {
        (sign <= self.since).then(|| self.since.max(probed) + DOUBT)
    }
}

impl IceAgent {
    /// The peer has nominated a pair that is worse than the selected one, which may be alive: that
    /// is found out. Whether the peer has gone on to nominate it for so long, and not the selected
    /// one, that it means it.
    pub(super) fn wins_contest(&mut self, stream: StreamId, number: u16, pair: PairId) -> bool {
        if self.role() != Role::Controlled || !self.asks_consent() || self.config.strict_nomination
        {
            return false;
        }
        let since = self.now;
        let Some(component) = self.component_mut(stream, number) else { return false };
        let selected = component.selected;
        let upkeep = component.upkeep.iter().find(|upkeep| Some(upkeep.pair) == selected);
        let nominated = upkeep.map(|upkeep| upkeep.nominated);
        match &mut component.contest {
            Some(contest) if contest.pair == pair && nominated <= Some(contest.since) => {
                contest.ends() <= since
            }
            contest => {
                *contest = Some(Box::new(Contest { pair, since }));
                false
            }
        }
    }

    /// Follows the nominations away from pairs that have given no sign of life since.
    pub(super) fn settle_contests(&mut self) {
        let lost: SmallVec<[PairId; 1]> = self
            .kept()
            .filter_map(|(component, upkeep, _)| {
                let contest = component.contest.as_deref()?;
                let selected = component.selected == Some(upkeep.pair);
                let lost = contest.ends() <= self.now && upkeep.sign <= contest.since;
                (selected && lost).then_some(contest.pair)
            })
            .collect();
        for pair in lost {
            self.settle_on(pair);
        }
    }
}
