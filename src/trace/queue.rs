//! The bounded queue of a trace, and what it has told of candidates.

use std::collections::VecDeque;

use crate::agent::io::CandidateView;
use crate::candidate::CandidateKind;
use crate::id::CandidateId;
use crate::time::Timestamp;

use super::event::{TraceData, TraceEvent};

/// What waits to be polled.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    events: VecDeque<TraceEvent>,
    limit: usize,
    /// Events that had no room since the newest one in the queue.
    lost: u64,
    locals: Told,
    remotes: Told,
}

/// The candidates that the trace has told, in the order of their ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Vec<(CandidateId, CandidateKind, u16, u16)>);

/// What is new of candidates.
pub(crate) enum News {
    There(CandidateView),
    Gone(CandidateId),
}

impl Trace {
    /// So many events wait to be polled at most.
    pub(crate) fn new(limit: u16) -> Self {
        Self {
            events: VecDeque::new(),
            limit: usize::from(limit),
            lost: 0,
            locals: Told::default(),
            remotes: Told::default(),
        }
    }

    /// Adds an event. Without room it is counted, and the count stands in its place.
    pub(crate) fn push(&mut self, at: Timestamp, data: TraceData) {
        if self.events.len() >= self.limit {
            self.lose(1);
            return;
        }
        self.tell_lost(at);
        self.events.push_back(TraceEvent { at, data });
    }

    pub(crate) const fn lose(&mut self, count: u64) {
        self.lost = self.lost.saturating_add(count);
    }

    pub(crate) fn pop(&mut self, at: Timestamp) -> Option<TraceEvent> {
        let event = self.events.pop_front();
        if event.is_none() {
            self.tell_lost(at);
            return self.events.pop_front();
        }
        event
    }

    pub(crate) fn locals(&mut self) -> &mut Told {
        &mut self.locals
    }

    pub(crate) fn remotes(&mut self) -> &mut Told {
        &mut self.remotes
    }

    fn tell_lost(&mut self, at: Timestamp) {
        if self.lost > 0 {
            let data = TraceData::EventsLost { count: core::mem::take(&mut self.lost) };
            self.events.push_back(TraceEvent { at, data });
        }
    }
}

impl Told {
    /// What has changed since the last look at the candidates that there are, which come in the order
    /// of their ids.
    pub(crate) fn look(&mut self, candidates: impl Iterator<Item = CandidateView>) -> Vec<News> {
        let mut news = Vec::new();
        let mut known = Vec::new();
        for candidate in candidates {
            let CandidateView { id, kind, network_id, network_cost, .. } = candidate;
            let told = (id, kind, network_id, network_cost);
            if self.0.binary_search(&told).is_err() {
                news.push(News::There(candidate));
            }
            known.push(told);
        }
        for (id, ..) in &self.0 {
            if known.binary_search_by_key(id, |(id, ..)| *id).is_err() {
                news.push(News::Gone(*id));
            }
        }
        self.0 = known;
        news
    }
}
