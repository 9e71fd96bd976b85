//! A server-reflexive address (RFC 8445 §5.1.1.2): one Binding request tells it, further ones keep
//! the NAT's mapping alive (RFC 8445 §5.1.1.4) and notice when it changes.

use core::net::SocketAddr;
use core::ops::Range;
use core::time::Duration;
use std::collections::VecDeque;

use super::auth::{Auth, LongTermCredentials};
use super::outcome::{Rejected, Rejections, ServerFailure};
use super::requests::{Answer, Ask, RequestTiming, Requests};
use crate::address;
use crate::random::Random;
use crate::stun::{TransactionId, Writer, is_stun, mapped_address, method, scan};
use crate::time::Timestamp;

/// What nobody polled of a binding: there is never more than one fact for each answer.
const MAX_FACTS: usize = 8;

/// A Binding request, which carries nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Mapping;

impl Ask for Mapping {
    fn method(&self) -> u16 {
        method::BINDING
    }

    fn write(&self, _: &mut Writer<'_>) {}
}

/// Which server is asked, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BindingConfig {
    pub(crate) server: SocketAddr,
    /// Over a stream.
    pub(crate) reliable: bool,
    /// For the rare server that wants them.
    pub(crate) credentials: Option<LongTermCredentials>,
    pub(crate) timing: RequestTiming,
    /// When the mapping is asked for again; never, if there is no interval.
    pub(crate) keepalive: Option<Duration>,
    /// When it is asked for the first time, if not at once.
    pub(crate) first: Timestamp,
}

/// What became known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum BindingFact {
    /// The server sees this address; before it saw the other one.
    Mapped { addr: SocketAddr, previous: Option<SocketAddr> },
    /// The server still sees this address, which somebody wanted to know.
    Confirmed { addr: SocketAddr },
    /// The server does not say, or not any more. With an interval it is asked again.
    Failed(ServerFailure),
}

/// The client of one STUN server, from one base.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Binding {
    server: SocketAddr,
    keepalive: Option<Duration>,
    requests: Requests<Mapping>,
    /// When the next request wants a slot.
    due: Option<Timestamp>,
    mapped: Option<SocketAddr>,
    /// The last thing said was a failure.
    failed: bool,
    resting: bool,
    /// Somebody wants to know whether it is as it was.
    verifies: bool,
    facts: VecDeque<BindingFact>,
    rejections: Rejections,
}

impl Binding {
    pub(crate) fn new(now: Timestamp, config: BindingConfig) -> Self {
        let auth = Auth::new(config.credentials);
        Self {
            server: address::normal(config.server),
            keepalive: config.keepalive,
            requests: Requests::new(auth, config.timing, config.reliable),
            due: Some(now.max(config.first)),
            mapped: None,
            failed: false,
            resting: false,
            verifies: false,
            facts: VecDeque::new(),
            rejections: Rejections::default(),
        }
    }

    /// The mapping is not kept alive any more.
    pub(crate) fn rest(&mut self) {
        self.due = None;
        self.resting = true;
    }

    /// The mapping is kept alive again, and asked for at once: [`BindingFact::Confirmed`] says
    /// that it is as it was.
    pub(crate) fn verify(&mut self, now: Timestamp) {
        self.resting = false;
        self.verifies = true;
        if self.requests.outstanding() == 0 {
            self.due = Some(now);
        }
    }

    pub(crate) fn update_credentials(&mut self, now: Timestamp, credentials: LongTermCredentials) {
        if self.requests.auth.has_credentials() {
            self.requests.auth.update(credentials, false);
            if self.failed && self.requests.outstanding() == 0 && !self.resting {
                self.due = Some(now);
            }
        }
    }

    pub(crate) fn outstanding(&self) -> usize {
        self.requests.outstanding()
    }

    /// Whether this is the transaction of something that was asked.
    pub(crate) fn knows(&self, id: TransactionId) -> bool {
        self.requests.knows(id)
    }

    /// When it wants to start a transaction.
    pub(crate) fn slot_at(&self) -> Option<Timestamp> {
        [self.due, self.requests.retry_at()].into_iter().flatten().min()
    }

    /// Uses a slot that is granted; whether there was something to ask.
    pub(crate) fn start(&mut self, now: Timestamp, random: &mut Random) -> bool {
        if self.requests.start_retry(now, random) {
            return true;
        }
        if self.due.is_none_or(|due| due > now) {
            return false;
        }
        self.due = None;
        self.requests.start(now, Mapping, random);
        true
    }

    /// When a request is to be repeated.
    pub(crate) fn repeat_at(&self) -> Option<Timestamp> {
        self.requests.repeat_at()
    }

    /// Repeats a request; whether one was due.
    pub(crate) fn repeat(&mut self, now: Timestamp) -> bool {
        self.requests.repeat(now)
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        self.requests.end_at()
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        while let Some((_, failure)) = self.requests.expire(now) {
            self.fail(now, failure);
        }
    }

    /// The network says that the server cannot be reached, quoting one request or none.
    pub(crate) fn unreachable(&mut self, now: Timestamp, id: Option<TransactionId>) {
        while self.requests.unreachable(id).is_some() {
            self.fail(now, ServerFailure::Unreachable);
        }
    }

    pub(crate) fn has_transmit(&self) -> bool {
        self.requests.has_transmit()
    }

    /// Appends the next request to the server.
    pub(crate) fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<Range<usize>> {
        self.requests.poll_transmit(buf)
    }

    pub(crate) fn poll_fact(&mut self) -> Option<BindingFact> {
        self.facts.pop_front()
    }

    /// The address that the server sees.
    #[cfg(test)]
    pub(crate) const fn mapped(&self) -> Option<SocketAddr> {
        self.mapped
    }

    #[cfg(test)]
    pub(crate) const fn rejections(&self) -> &Rejections {
        &self.rejections
    }

    /// Whether this answers something that was asked, so that it is for nobody else.
    pub(crate) fn receive(
        &mut self,
        now: Timestamp,
        from: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), Rejected> {
        let result = self.answer(now, from, bytes);
        if let Err(reason) = result {
            self.rejections.count(reason);
        }
        result
    }

    fn answer(&mut self, now: Timestamp, from: SocketAddr, bytes: &[u8]) -> Result<(), Rejected> {
        if address::normal(from) != self.server {
            return Err(Rejected::Foreign);
        }
        if !is_stun(bytes) {
            return Err(Rejected::NotTurn);
        }
        let scan = scan(bytes).map_err(|_| Rejected::Malformed)?;
        match self.requests.receive(now, &scan)? {
            Answer::Success(_) => match mapped_address(&scan).map(address::normal) {
                Some(addr) if !addr.ip().is_unspecified() && addr.port() != 0 => {
                    self.succeed(now, addr);
                }
                _ => {
                    self.fail(now, ServerFailure::Unusable);
                    return Err(Rejected::Contradictory);
                }
            },
            // RFC 8445 §5.1.1.2 has no use for another server: 300 is a failure like any other.
            Answer::Error { failure, .. } | Answer::Failed(_, failure) => self.fail(now, failure),
            Answer::Again => {}
        }
        Ok(())
    }

    fn succeed(&mut self, now: Timestamp, addr: SocketAddr) {
        self.again(now);
        let previous = self.mapped.replace(addr);
        let verifies = core::mem::take(&mut self.verifies);
        if previous != Some(addr) || self.failed {
            self.tell(BindingFact::Mapped { addr, previous });
        } else if verifies {
            self.tell(BindingFact::Confirmed { addr });
        }
        self.failed = false;
    }

    fn fail(&mut self, now: Timestamp, failure: ServerFailure) {
        self.again(now);
        if core::mem::take(&mut self.verifies) || !self.failed {
            self.failed = true;
            self.tell(BindingFact::Failed(failure));
        }
    }

    fn again(&mut self, now: Timestamp) {
        self.due = self.keepalive.filter(|_| !self.resting).map(|interval| now + interval);
    }

    fn tell(&mut self, fact: BindingFact) {
        if self.facts.len() >= MAX_FACTS {
            self.facts.pop_front();
            self.rejections.count(Rejected::Fact);
        }
        self.facts.push_back(fact);
    }
}
