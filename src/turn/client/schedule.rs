//! What an allocation wants to ask, in which order, and when something is due.

use core::time::Duration;

use super::ask::Request;
use super::{Allocation, Fact, Phase};
use crate::gather::ServerFailure;
use crate::random::Random;
use crate::stun::TransactionId;
use crate::time::Timestamp;

/// Before credentials end, new ones are asked for: so long, or when half of their time is over.
const CREDENTIALS_MARGIN: Duration = Duration::from_secs(120);

impl Allocation {
    /// When it wants to start a transaction. That may have been in the past: it waits for a slot.
    pub(crate) const fn slot_at(&self) -> Option<Timestamp> {
        self.slot
    }

    /// Uses a slot that is granted; whether there was something to ask.
    pub(crate) fn start(&mut self, now: Timestamp, random: &mut Random) -> bool {
        let started = self.requests.start_retry(now, random) || self.start_new(now, random);
        self.plan();
        started
    }

    fn start_new(&mut self, now: Timestamp, random: &mut Random) -> bool {
        if !self.requests.has_room() {
            return false;
        }
        let Some(request) = self.next_request(now) else { return false };
        self.requests.start(now, request, random);
        true
    }

    /// What to ask for now, which counts as asked for.
    fn next_request(&mut self, now: Timestamp) -> Option<Request> {
        let lifetime = self.config.lifetime;
        match &mut self.phase {
            Phase::Asking(at) if *at <= now => {
                self.phase = Phase::Asked { closing: false };
                let families = self.config.families;
                Some(Request::Allocate { families, dont_fragment: self.dont_fragment, lifetime })
            }
            Phase::Deleting { due, .. } => due.take().map(|_| Request::Delete { family: None }),
            Phase::Allocated(held) => {
                if let Some((family, _)) = held.release.take() {
                    return Some(Request::Delete { family: Some(family) });
                }
                if held.refresh.is_some_and(|due| due <= now) {
                    held.refresh = None;
                    return Some(Request::Refresh { lifetime });
                }
                let batch = self.permissions.take_due(now);
                if !batch.is_empty() {
                    return Some(Request::CreatePermission(batch));
                }
                let (channel, peer) = self.channels.take_due(now)?;
                Some(Request::ChannelBind { channel, peer })
            }
            _ => None,
        }
    }

    /// When a request is to be repeated.
    pub(crate) fn repeat_at(&self) -> Option<Timestamp> {
        self.requests.repeat_at()
    }

    /// Repeats a request; whether one was due.
    pub(crate) fn repeat(&mut self, now: Timestamp) -> bool {
        let repeated = self.requests.repeat(now);
        self.plan();
        repeated
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(crate) const fn poll_timeout(&self) -> Option<Timestamp> {
        self.timer
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        while let Some((request, failure)) = self.requests.expire(now) {
            self.unanswered(now, &request, &failure);
        }
        if matches!(&self.phase, Phase::Allocated(held) if held.expires <= now) {
            self.lose(now, ServerFailure::Expired, Phase::Asking(now));
        }
        if self.warn.is_some_and(|at| at <= now) {
            self.warn = None;
            if let Some(at) = self.requests.auth.expires() {
                self.tell(Fact::CredentialsExpiring { at });
            }
        }
        self.plan();
    }

    /// The network says that the server cannot be reached, quoting one request or none.
    pub(crate) fn unreachable(&mut self, now: Timestamp, id: Option<TransactionId>) {
        while let Some(request) = self.requests.unreachable(id) {
            self.unanswered(now, &request, &ServerFailure::Unreachable);
        }
        self.plan();
    }

    pub(super) fn watch_credentials(&mut self, now: Timestamp) {
        self.warn = self.requests.auth.expires().map(|at| {
            let left = at - now;
            let half = left.checked_div(2).unwrap_or_default();
            now + left.saturating_sub(CREDENTIALS_MARGIN).max(half)
        });
    }

    /// Computes both deadlines, once for every input.
    pub(super) fn plan(&mut self) {
        let (wanted, expires) = match &self.phase {
            Phase::Asking(at) => (Some(*at), None),
            Phase::Deleting { due, .. } => (*due, None),
            Phase::Allocated(held) => {
                let release = held.release.map(|(_, since)| since);
                let tables = [self.permissions.due_at(), self.channels.due_at()];
                let due = [held.refresh, release].into_iter().chain(tables).flatten().min();
                (due, Some(held.expires))
            }
            _ => (None, None),
        };
        let wanted = wanted.filter(|_| self.requests.has_room());
        self.slot = [wanted, self.requests.retry_at()].into_iter().flatten().min();
        let timers = [self.requests.end_at(), expires, self.warn];
        self.timer = timers.into_iter().flatten().min();
    }
}
