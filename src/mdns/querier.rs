//! The names that are asked for (RFC 6762 §5): queries for the same name share one question.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use smallvec::SmallVec;

use super::bucket::Bucket;
use super::config::MdnsConfig;
use super::io::{Hidden, MdnsEvent, MdnsIgnored, MdnsLink, MdnsQueryFailure, MdnsQueryId};
use super::name::MdnsName;
use super::scan::Scan;
use super::service::{Group, MdnsQueryError, reaches};
use crate::time::Timestamp;

/// RFC 6762 §5.2: the time between the first two sendings of a question, which doubles each time,
/// and the least between any two. For as long an answer is good for others who ask.
const INTERVAL: Duration = Duration::from_secs(1);

/// What one question takes: its type and the group that it goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) ipv6_address: bool,
    pub(super) group: Group,
}

/// A question to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking<'a> {
    pub(super) name: &'a MdnsName,
    pub(super) part: Part,
    pub(super) unicast: bool,
}

/// A name that somebody asks for, or did so within the last second.
#[derive(Clone, Debug)]
struct Question {
    /// Who waits, and until when.
    queries: SmallVec<[(MdnsQueryId, Timestamp); 1]>,
    /// When it is to be sent.
    due: Timestamp,
    /// The wait after that.
    interval: Duration,
    /// How many of the parts have been sent this time.
    sent: usize,
    /// RFC 6762 §5.4: the first time it asks for unicast answers.
    first: bool,
    /// When it may be forgotten, once nobody waits: it is not to be sent again within a second.
    until: Timestamp,
    /// The address, for those who ask before `until`.
    answer: Option<(Hidden, MdnsLink)>,
    /// Somebody has answered with several addresses.
    several: bool,
}

impl Question {
    /// At the end of time nothing is: it would be due again at once.
    fn is_due(&self, now: Timestamp) -> bool {
        !self.queries.is_empty() && self.due <= now && self.due < Timestamp::MAX
    }
}

#[derive(Clone, Debug)]
pub(super) struct Querier {
    questions: BTreeMap<MdnsName, Question>,
    events: VecDeque<MdnsEvent>,
    /// Queries that wait.
    waiting: usize,
    next: u32,
    bucket: Bucket,
    parts: [Part; 2],
    limit: usize,
    timeout: Duration,
}

impl Querier {
    pub(super) fn new(config: &MdnsConfig) -> Self {
        // An address of a family is asked for where that family is spoken: responders need not
        // give it in the other group.
        let part = |ipv6_address| {
            let group = match (config.ipv4, config.ipv6) {
                (true, true) if ipv6_address => Group::V6,
                (false, _) => Group::V6,
                _ => Group::V4,
            };
            Part { ipv6_address, group }
        };
        Self {
            questions: BTreeMap::new(),
            events: VecDeque::new(),
            waiting: 0,
            next: 0,
            bucket: Bucket::new(config.limits.query_rate),
            parts: [part(false), part(true)],
            limit: usize::from(config.limits.queries),
            timeout: config.timeout,
        }
    }

    pub(super) fn query(
        &mut self,
        now: Timestamp,
        name: MdnsName,
    ) -> Result<MdnsQueryId, MdnsQueryError> {
        self.questions.retain(|_, question| !question.queries.is_empty() || question.until > now);
        let known = self.questions.contains_key(&name);
        if self.waiting.saturating_add(self.events.len()) >= self.limit
            || !known && self.questions.len() >= self.limit
        {
            return Err(MdnsQueryError::LimitReached);
        }
        let id = MdnsQueryId(self.next);
        self.next = self.next.checked_add(1).ok_or(MdnsQueryError::LimitReached)?;
        let question = self.questions.entry(name).or_insert(Question {
            queries: SmallVec::new(),
            due: now,
            interval: INTERVAL,
            sent: 0,
            first: true,
            until: now,
            answer: None,
            several: false,
        });
        if let Some((addr, link)) = question.answer.filter(|_| question.until > now) {
            self.events.push_back(MdnsEvent::Resolved { query: id, addr: addr.0, link });
            return Ok(id);
        }
        if question.queries.is_empty() {
            question.several = false;
        }
        question.answer = None;
        question.queries.push((id, now + self.timeout));
        // Somebody new is not to wait for what has become rare.
        question.due = question.due.min(question.until.max(now));
        question.interval = INTERVAL;
        self.waiting = self.waiting.saturating_add(1);
        Ok(id)
    }

    pub(super) fn cancel(&mut self, now: Timestamp, id: MdnsQueryId) {
        let before = self.events.len();
        self.events.retain(|event| event.query() != id);
        if self.events.len() < before {
            return;
        }
        for question in self.questions.values_mut() {
            let waiting = question.queries.len();
            question.queries.retain(|(other, _)| *other != id);
            if question.queries.len() < waiting {
                self.waiting = self.waiting.saturating_sub(1);
            }
        }
        self.questions.retain(|_, question| !question.queries.is_empty() || question.until > now);
    }

    /// Ends what has waited too long.
    pub(super) fn expire(&mut self, now: Timestamp) {
        let Self { questions, events, waiting, .. } = self;
        questions.retain(|_, question| {
            let several = question.several;
            question.queries.retain(|(query, until)| {
                if *until > now {
                    return true;
                }
                let reason = if several {
                    MdnsQueryFailure::SeveralAddresses
                } else {
                    MdnsQueryFailure::TimedOut
                };
                events.push_back(MdnsEvent::Failed { query: *query, reason });
                *waiting = waiting.saturating_sub(1);
                false
            });
            !question.queries.is_empty() || question.until > now
        });
    }

    /// The next question that is due, if its rate allows it.
    pub(super) fn poll(&mut self, now: Timestamp) -> Option<Asking<'_>> {
        let Self { questions, bucket, parts, .. } = self;
        let (name, question) = questions
            .iter_mut()
            .filter(|(_, question)| question.is_due(now))
            .min_by_key(|(_, question)| question.due)?;
        if !bucket.take(now) {
            return None;
        }
        let part = *parts.get(question.sent).or_else(|| parts.first())?;
        let unicast = question.first;
        question.sent = question.sent.saturating_add(1);
        question.until = now + INTERVAL;
        if question.sent >= parts.len() {
            question.sent = 0;
            question.first = false;
            question.due = now + question.interval;
            question.interval = question.interval.saturating_mul(2);
        }
        Some(Asking { name, part, unicast })
    }

    /// A name is published here: that is an answer as well.
    pub(super) fn published(
        &mut self,
        now: Timestamp,
        name: &MdnsName,
        addr: Hidden,
        link: MdnsLink,
    ) {
        if let Some(question) = self.questions.get_mut(name) {
            let queries = core::mem::take(&mut question.queries);
            self.resolve(queries, addr, link);
        }
        self.questions.retain(|_, question| !question.queries.is_empty() || question.until > now);
    }

    /// The answer is known without a question.
    pub(super) fn at_once(
        &mut self,
        addr: Hidden,
        link: MdnsLink,
    ) -> Result<MdnsQueryId, MdnsQueryError> {
        if self.waiting.saturating_add(self.events.len()) >= self.limit {
            return Err(MdnsQueryError::LimitReached);
        }
        let query = MdnsQueryId(self.next);
        self.next = self.next.checked_add(1).ok_or(MdnsQueryError::LimitReached)?;
        self.events.push_back(MdnsEvent::Resolved { query, addr: addr.0, link });
        Ok(query)
    }

    /// A response. RFC 6762 §6: it says nothing about what else it was sent for, so whoever waits
    /// for one of its names takes it.
    pub(super) fn response(
        &mut self,
        now: Timestamp,
        message: &Scan<'_>,
        link: MdnsLink,
        source: IpAddr,
    ) -> Result<(), MdnsIgnored> {
        let mut found: BTreeMap<MdnsName, (IpAddr, bool)> = BTreeMap::new();
        let mut outcome = Err(MdnsIgnored::Irrelevant);
        for record in message.answers().filter(|record| record.ttl > 0) {
            let (Some(key), Some(addr)) = (record.name.and_then(|name| name.key()), record.addr())
            else {
                continue;
            };
            let Some((name, question)) = self.questions.get_key_value(key.as_str()) else {
                continue;
            };
            if question.queries.is_empty() {
                continue;
            }
            if !is_usable(addr) || !reaches(addr, source) {
                outcome = Err(MdnsIgnored::UnusableAddress);
                continue;
            }
            let entry = found.entry(name.clone()).or_insert((addr, false));
            entry.1 |= entry.0 != addr;
        }
        for (name, (addr, several)) in found {
            let Some(question) = self.questions.get_mut(&name) else { continue };
            if several {
                question.several = true;
                outcome = outcome.or(Err(MdnsIgnored::SeveralAddresses));
                continue;
            }
            question.answer = Some((Hidden(addr), link));
            question.until = question.until.max(now + INTERVAL);
            let queries = core::mem::take(&mut question.queries);
            self.resolve(queries, Hidden(addr), link);
            outcome = Ok(());
        }
        outcome
    }

    fn resolve(
        &mut self,
        queries: impl IntoIterator<Item = (MdnsQueryId, Timestamp)>,
        addr: Hidden,
        link: MdnsLink,
    ) {
        for (query, _) in queries {
            self.events.push_back(MdnsEvent::Resolved { query, addr: addr.0, link });
            self.waiting = self.waiting.saturating_sub(1);
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<MdnsEvent> {
        self.events.pop_front()
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let ready = self.bucket.ready();
        self.questions
            .values()
            .flat_map(|question| {
                let expiry = question.queries.iter().map(|(_, until)| *until).min()?;
                Some(expiry.min(question.due.max(ready)))
            })
            .min()
    }
}

impl MdnsEvent {
    const fn query(&self) -> MdnsQueryId {
        match self {
            Self::Resolved { query, .. } | Self::Failed { query, .. } => *query,
        }
    }
}

/// Whether a host can have this address.
pub(super) fn is_usable(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(ip) => !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast()),
        IpAddr::V6(ip) => {
            !(ip.is_unspecified() || ip.is_multicast() || ip.to_ipv4_mapped().is_some())
        }
    }
}
