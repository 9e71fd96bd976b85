//! The names that are published (RFC 6762 §6): who is answered, how, and when.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use super::bucket::Bucket;
use super::config::MdnsLimits;
use super::io::{Hidden, MdnsCounters, MdnsIgnored, MdnsLink};
use super::name::MdnsName;
use super::scan::{A, AAAA, ANY, IN, Question, Record, Scan, TOP_BIT};
use super::service::{Group, MdnsPublishError, PORT, reaches};
use super::write::Asked;
use crate::time::Timestamp;

/// RFC 6762 §10: the time for which an address may be kept, in seconds.
const TTL: u32 = 120;
/// RFC 6762 §6.7: the same for resolvers that do not hear of changes.
const LEGACY_TTL: u32 = 10;
/// RFC 6762 §7.1: an answer that is known for half of its time need not be given.
const KNOWN_TTL: u32 = 60;
/// RFC 6762 §6: a record is multicast on a link once in that time.
const MULTICAST_INTERVAL: Duration = Duration::from_secs(1);
/// Questions for published names that are looked at in one message. Queriers of candidates send one.
const MAX_RELEVANT: usize = 8;

/// A record.
#[derive(Clone, Debug)]
struct Published {
    addr: Hidden,
    link: MdnsLink,
    /// How often it was published.
    users: u32,
    /// Somebody may know it, and is to hear of its end.
    told: bool,
    /// When it was multicast in each group.
    multicast: [Option<Timestamp>; 2],
}

/// Where an answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Group(Group),
    Host(SocketAddr),
}

/// A response that waits to be polled.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    due: Timestamp,
    pub(super) to: To,
    pub(super) link: MdnsLink,
    pub(super) name: MdnsName,
    pub(super) addr: Hidden,
    pub(super) ttl: u32,
    pub(super) asked: Option<Asked>,
}

#[derive(Clone, Debug)]
pub(super) struct Responder {
    names: BTreeMap<MdnsName, Published>,
    answers: VecDeque<Answer>,
    /// Announcements and goodbyes.
    notices: VecDeque<Answer>,
    answer_bucket: Bucket,
    notice_bucket: Bucket,
    groups: Vec<Group>,
    announce: bool,
    max_names: usize,
    max_answers: usize,
}

impl Responder {
    pub(super) fn new(groups: Vec<Group>, announce: bool, limits: &MdnsLimits) -> Self {
        Self {
            names: BTreeMap::new(),
            answers: VecDeque::new(),
            notices: VecDeque::new(),
            answer_bucket: Bucket::new(limits.answer_rate),
            notice_bucket: Bucket::new(limits.notice_rate),
            groups,
            announce,
            max_names: usize::try_from(limits.names).unwrap_or(usize::MAX),
            max_answers: usize::from(limits.answers),
        }
    }

    pub(super) fn publish(
        &mut self,
        now: Timestamp,
        name: MdnsName,
        addr: Hidden,
        link: MdnsLink,
        counters: &mut MdnsCounters,
    ) -> Result<(), MdnsPublishError> {
        if let Some(published) = self.names.get_mut(&name) {
            if (published.addr, published.link) != (addr, link) {
                return Err(MdnsPublishError::NameInUse);
            }
            published.users =
                published.users.checked_add(1).ok_or(MdnsPublishError::LimitReached)?;
            return Ok(());
        }
        if self.names.len() >= self.max_names {
            return Err(MdnsPublishError::LimitReached);
        }
        // What was said goodbye to has come back.
        self.notices.retain(|notice| notice.name != name);
        if self.announce {
            self.notify(now, &name, addr, link, TTL, counters);
        }
        let published = Published { addr, link, users: 1, told: false, multicast: [None; 2] };
        self.names.insert(name, published);
        Ok(())
    }

    /// Whether the name was published.
    pub(super) fn unpublish(
        &mut self,
        now: Timestamp,
        name: &MdnsName,
        counters: &mut MdnsCounters,
    ) -> bool {
        let Some(published) = self.names.get_mut(name) else { return false };
        published.users = published.users.saturating_sub(1);
        if published.users > 0 {
            return true;
        }
        let (addr, link, told) = (published.addr, published.link, published.told);
        self.names.remove(name);
        self.answers.retain(|answer| answer.name != *name);
        self.notices.retain(|notice| notice.name != *name);
        if told {
            self.notify(now, name, addr, link, 0, counters);
        }
        true
    }

    pub(super) fn find(&self, name: &MdnsName) -> Option<(Hidden, MdnsLink)> {
        self.names.get(name).map(|published| (published.addr, published.link))
    }

    fn notify(
        &mut self,
        now: Timestamp,
        name: &MdnsName,
        addr: Hidden,
        link: MdnsLink,
        ttl: u32,
        counters: &mut MdnsCounters,
    ) {
        for &group in &self.groups {
            if self.notices.len() >= self.max_names {
                counters.dropped_notices = counters.dropped_notices.saturating_add(1);
                continue;
            }
            let (to, name) = (To::Group(group), name.clone());
            self.notices.push_back(Answer { due: now, to, link, name, addr, ttl, asked: None });
        }
    }

    /// A query. What it asks for and what is published on its link is answered.
    pub(super) fn query(
        &mut self,
        now: Timestamp,
        message: &Scan<'_>,
        link: MdnsLink,
        remote: SocketAddr,
        source: SocketAddr,
    ) -> Result<(), MdnsIgnored> {
        let mut outcome = Err(MdnsIgnored::Irrelevant);
        let mut relevant = 0_usize;
        for question in message.questions() {
            let result = self.question(now, message, &question, link, remote, source);
            if result == Err(MdnsIgnored::Irrelevant) {
                continue;
            }
            if outcome.is_err() {
                outcome = result;
            }
            relevant = relevant.saturating_add(1);
            if relevant >= MAX_RELEVANT {
                break;
            }
        }
        outcome
    }

    fn question(
        &mut self,
        now: Timestamp,
        message: &Scan<'_>,
        question: &Question<'_>,
        link: MdnsLink,
        remote: SocketAddr,
        source: SocketAddr,
    ) -> Result<(), MdnsIgnored> {
        const IRRELEVANT: MdnsIgnored = MdnsIgnored::Irrelevant;
        let asked_name = question.name.ok_or(IRRELEVANT)?;
        let key = asked_name.key().ok_or(IRRELEVANT)?;
        let (name, published) = self.names.get_key_value(key.as_str()).ok_or(IRRELEVANT)?;
        let addr = published.addr;
        let kind = if addr.0.is_ipv4() { A } else { AAAA };
        let class = question.class & !TOP_BIT;
        let legacy = source.port() != PORT;
        let exists = [kind, ANY].contains(&question.kind);
        // RFC 6762 §6.1: who asks for what the name does not have is told so, since the answer says
        // what there is. Else a browser waits for seconds for the other family. To resolvers of unicast
        // DNS it would say nothing.
        if published.link != link
            || (legacy && !exists)
            || ![IN, ANY].contains(&class)
            || !reaches(addr.0, source.ip())
        {
            return Err(IRRELEVANT);
        }
        let is_known = |record: Record<'_>| {
            record.ttl >= KNOWN_TTL
                && record.addr() == Some(addr.0)
                && record
                    .name
                    .and_then(|name| name.key())
                    .is_some_and(|other| other.as_str() == key.as_str())
        };
        if !legacy && exists && message.answers().any(is_known) {
            return Err(MdnsIgnored::KnownAnswer);
        }
        let to = if legacy || question.class & TOP_BIT != 0 {
            To::Host(remote)
        } else {
            To::Group(Group::of(source.ip()))
        };
        // Who asks twice before it is polled, or while a multicast answer waits, is served by one.
        if self.answers.iter().any(|other| {
            other.to == to
                && other.name == *name
                && other.asked.as_ref().is_none_or(|asked| asked.id == message.id())
        }) {
            return Ok(());
        }
        if self.answers.len() >= self.max_answers {
            return Err(MdnsIgnored::QueueFull);
        }
        if !self.answer_bucket.take(now) {
            return Err(MdnsIgnored::RateLimited);
        }
        let due = match to {
            To::Group(group) => published
                .multicast
                .get(group.index())
                .copied()
                .flatten()
                .map_or(now, |last| now.max(last + MULTICAST_INTERVAL)),
            To::Host(_) => now,
        };
        let asked = legacy.then(|| Asked {
            id: message.id(),
            labels: asked_name.labels().map(Box::from),
            kind: question.kind,
            class,
        });
        let (ttl, name) = (if legacy { LEGACY_TTL } else { TTL }, name.clone());
        self.answers.push_back(Answer { due, to, link, name, addr, ttl, asked });
        Ok(())
    }

    /// The next response that is due.
    pub(super) fn poll(&mut self, now: Timestamp) -> Option<Answer> {
        let answer = self.poll_answer(now).or_else(|| self.poll_notice(now))?;
        if let Some(published) = self.names.get_mut(&answer.name) {
            published.told = true;
            if let To::Group(group) = answer.to {
                if let Some(last) = published.multicast.get_mut(group.index()) {
                    *last = Some(now);
                }
            }
        }
        Some(answer)
    }

    fn poll_answer(&mut self, now: Timestamp) -> Option<Answer> {
        let at = self.answers.iter().position(|answer| answer.due <= now)?;
        self.answers.remove(at)
    }

    fn poll_notice(&mut self, now: Timestamp) -> Option<Answer> {
        let is_due = !self.notices.is_empty() && self.notice_bucket.take(now);
        if is_due { self.notices.pop_front() } else { None }
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let answer = self.answers.iter().map(|answer| answer.due).min();
        let notice = self.notices.front().map(|notice| notice.due.max(self.notice_bucket.ready()));
        [answer, notice].into_iter().flatten().min()
    }
}

impl Group {
    const fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    const fn index(self) -> usize {
        match self {
            Self::V4 => 0,
            Self::V6 => 1,
        }
    }
}
