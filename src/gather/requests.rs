//! The transactions with one server (RFC 8489 §6.2, §6.3.3, §6.3.4): one kind for Binding and all
//! methods of TURN, over datagrams and over streams.
//!
//! What is asked is an [`Ask`]; it is rendered whenever it is polled, so that a repetition has the
//! same bytes without being kept. What has to be asked again, since the server wants to know who
//! asks, has forgotten its nonce or is out of order, waits here for a slot.

use core::fmt::Debug;
use core::hash::Hash;
use core::ops::Range;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::SmallVec;

use super::auth::{Auth, Challenged, Proof};
use super::outcome::{Rejected, ServerFailure};
use crate::random::Random;
use crate::stun::attribute::{self, ERROR_CODE};
use crate::stun::message::{ErrorResponse, read_error};
use crate::stun::{Class, Due, Fingerprint, Scan, Schedule, TransactionId, Writer};
use crate::time::Timestamp;

/// RFC 8489 §6.2.1: outstanding transactions with one server.
const OUTSTANDING: usize = 10;
/// RFC 8489 §6.3.4: how often something is asked again that the server fails to do.
const FAULTS: u8 = 4;
/// How often something is asked again because of its nonce.
const STALE_NONCES: u8 = 4;
/// RFC 8489 §14.8: the longest phrase, in characters.
const MAX_PHRASE: usize = 127;

/// Something that is asked of a server.
pub(crate) trait Ask: Clone + Debug + Hash + PartialEq {
    fn method(&self) -> u16;

    /// Writes what the request carries besides credentials.
    fn write(&self, writer: &mut Writer<'_>);
}

/// For how long a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RequestTiming {
    pub(crate) rto: Duration,
    /// Rc
    pub(crate) transmissions: u8,
    /// Rm
    pub(crate) final_wait: u8,
    /// Ti
    pub(crate) reliable_wait: Duration,
}

impl Default for RequestTiming {
    /// RFC 8489 §6.2.1, §6.2.2
    fn default() -> Self {
        Self {
            rto: Duration::from_millis(500),
            transmissions: 7,
            final_wait: 16,
            reliable_wait: Duration::from_millis(39_500),
        }
    }
}

/// How often something has been asked already, and why again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Chain {
    unauthenticated: u8,
    stale_nonces: u8,
    faults: u8,
}

/// Under way.
#[derive(Clone, Debug, Hash)]
struct Transaction<A> {
    id: TransactionId,
    ask: A,
    proof: Option<Arc<Proof>>,
    schedule: Schedule,
    chain: Chain,
    /// Something came that claimed to be the answer and was not authentic.
    violated: bool,
}

/// To be asked again, from then on.
#[derive(Clone, Debug, Hash)]
struct Retry<A> {
    at: Timestamp,
    ask: A,
    chain: Chain,
}

/// What an answer means to what was asked.
#[derive(Clone, Debug)]
pub(crate) enum Answer<A> {
    /// The server did it.
    Success(A),
    /// The server did not, and this is final. Without credentials in the request nothing proves
    /// that it was the server who said so.
    Error { ask: A, error: ErrorResponse, failure: ServerFailure, authentic: bool },
    /// It will be asked again.
    Again,
    /// It has ended in another way.
    Failed(A, ServerFailure),
}

/// The transactions with one server.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Requests<A> {
    pub(crate) auth: Auth,
    timing: RequestTiming,
    reliable: bool,
    live: Vec<Transaction<A>>,
    retries: VecDeque<Retry<A>>,
    to_send: VecDeque<TransactionId>,
}

impl<A: Ask> Requests<A> {
    pub(crate) const fn new(auth: Auth, timing: RequestTiming, reliable: bool) -> Self {
        Self {
            auth,
            timing,
            reliable,
            live: Vec::new(),
            retries: VecDeque::new(),
            to_send: VecDeque::new(),
        }
    }

    /// Whether one more thing may be asked.
    pub(crate) fn has_room(&self) -> bool {
        self.live.len().saturating_add(self.retries.len()) < OUTSTANDING
    }

    /// Requests that may still be answered.
    pub(crate) fn outstanding(&self) -> usize {
        self.live.len()
    }

    /// Whether this is the transaction of something that was asked.
    pub(crate) fn knows(&self, id: TransactionId) -> bool {
        self.live.iter().any(|transaction| transaction.id == id)
    }

    /// When something that has been asked already wants a slot.
    pub(crate) fn retry_at(&self) -> Option<Timestamp> {
        self.retries.iter().map(|retry| retry.at).min()
    }

    /// Uses a slot to ask again; whether there was something to ask.
    pub(crate) fn start_retry(&mut self, now: Timestamp, random: &mut Random) -> bool {
        let due = self.retries.iter().position(|retry| retry.at <= now);
        let Some(retry) = due.and_then(|index| self.retries.remove(index)) else { return false };
        self.begin(now, retry.ask, retry.chain, random);
        true
    }

    /// Uses a slot to ask for something new.
    pub(crate) fn start(&mut self, now: Timestamp, ask: A, random: &mut Random) {
        self.begin(now, ask, Chain::default(), random);
    }

    fn begin(&mut self, now: Timestamp, ask: A, chain: Chain, random: &mut Random) {
        let RequestTiming { rto, transmissions, final_wait, reliable_wait } = self.timing;
        let schedule = if self.reliable {
            Schedule::once(now, reliable_wait)
        } else {
            Schedule::new(now, rto, transmissions, final_wait)
        };
        let id = random.transaction_id();
        let proof = self.auth.proof();
        self.live.push(Transaction { id, ask, proof, schedule, chain, violated: false });
        self.to_send.push_back(id);
    }

    /// When a request is to be repeated.
    pub(crate) fn repeat_at(&self) -> Option<Timestamp> {
        self.unfinished().map(|transaction| transaction.schedule.next()).min()
    }

    /// Repeats the request that is due for the longest time; whether there was one.
    pub(crate) fn repeat(&mut self, now: Timestamp) -> bool {
        let due = self.live.iter_mut().filter(|other| other.schedule.due(now) == Due::Retransmit);
        let Some(transaction) = due.min_by_key(|transaction| transaction.schedule.next()) else {
            return false;
        };
        transaction.schedule.transmitted(now);
        if !self.to_send.contains(&transaction.id) {
            self.to_send.push_back(transaction.id);
        }
        true
    }

    fn unfinished(&self) -> impl Iterator<Item = &Transaction<A>> {
        self.live.iter().filter(|transaction| !transaction.schedule.is_last())
    }

    /// When the first of those that are not repeated any more ends.
    pub(crate) fn end_at(&self) -> Option<Timestamp> {
        let last = self.live.iter().filter(|transaction| transaction.schedule.is_last());
        last.map(|transaction| transaction.schedule.next()).min()
    }

    /// What has gone unanswered for too long; to be called until it is `None`.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Option<(A, ServerFailure)> {
        let due = |other: &Transaction<A>| other.schedule.due(now) == Due::Expired;
        let index = self.live.iter().position(due)?;
        let transaction = self.end(index);
        let failure = if transaction.violated {
            ServerFailure::IntegrityViolated
        } else {
            ServerFailure::Timeout
        };
        Some((transaction.ask, failure))
    }

    /// RFC 8489 §6.2.1: a hard ICMP error quotes this request, or, if none is named, the server
    /// cannot be reached at all; to be called until it is `None`.
    pub(crate) fn unreachable(&mut self, id: Option<TransactionId>) -> Option<A> {
        let index = self.live.iter().position(|other| id.is_none_or(|id| id == other.id))?;
        Some(self.end(index).ask)
    }

    /// Forgets what is asked, unless it is to be kept.
    pub(crate) fn retain(&mut self, keep: impl Fn(&A) -> bool) {
        self.live.retain(|transaction| keep(&transaction.ask));
        self.retries.retain(|retry| keep(&retry.ask));
        let live = &self.live;
        self.to_send.retain(|id| live.iter().any(|transaction| transaction.id == *id));
    }

    pub(crate) fn has_transmit(&self) -> bool {
        !self.to_send.is_empty()
    }

    /// Appends the next request.
    pub(crate) fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<Range<usize>> {
        let id = self.to_send.pop_front()?;
        let transaction = self.live.iter().find(|transaction| transaction.id == id)?;
        let mut writer = Writer::new(buf, Class::Request, transaction.ask.method(), id);
        transaction.ask.write(&mut writer);
        if let Some(proof) = &transaction.proof {
            proof.seal(&mut writer);
        }
        Some(writer.fingerprint().finish())
    }

    /// A response from the server. It is judged by the request that it answers; what is not
    /// authentic and had to be changes nothing over datagrams, and ends what was asked over a
    /// stream (RFC 8489 §9.2.5).
    pub(crate) fn receive(
        &mut self,
        now: Timestamp,
        scan: &Scan<'_>,
    ) -> Result<Answer<A>, Rejected> {
        let id = scan.transaction_id();
        let index = self.live.iter().position(|transaction| transaction.id == id);
        let index = index.ok_or(Rejected::UnknownTransaction)?;
        if scan.fingerprint() == Fingerprint::Bad {
            return Err(Rejected::Fingerprint);
        }
        match self.judge(index, scan) {
            Ok(verdict) => Ok(self.conclude(now, index, verdict, scan)),
            Err(rejected) => {
                if matches!(rejected, Rejected::Unauthenticated | Rejected::BidDown) {
                    if self.reliable {
                        let ask = self.end(index).ask;
                        return Ok(Answer::Failed(ask, ServerFailure::IntegrityViolated));
                    }
                    if let Some(transaction) = self.live.get_mut(index) {
                        transaction.violated = true;
                    }
                }
                Err(rejected)
            }
        }
    }

    /// What the response says, if it may say anything.
    fn judge(&mut self, index: usize, scan: &Scan<'_>) -> Result<Verdict, Rejected> {
        let transaction = self.live.get(index).ok_or(Rejected::UnknownTransaction)?;
        if scan.method() != transaction.ask.method() {
            return Err(Rejected::Unexpected);
        }
        let sent = transaction.proof.as_deref();
        let chain = transaction.chain;
        let error = match scan.class() {
            Class::Success => None,
            Class::Error => Some(read_error(scan).ok_or(Rejected::Malformed)?),
            Class::Request | Class::Indication => return Err(Rejected::Unexpected),
        };
        let code = error.as_ref().map(|error| error.code);
        // RFC 8489 §9.2.5 says so of all responses. One that is authentic has been made by the
        // server as it is, and there are servers whose every response has their nonce alone.
        if (sent.is_none() || matches!(code, Some(401 | 438))) && Auth::is_bid_down(scan) {
            return Err(Rejected::BidDown);
        }
        let challenged = match code {
            Some(401) => {
                let first = chain.unauthenticated == 0;
                Some(self.auth.unauthenticated(scan, sent, first)?)
            }
            Some(438) if chain.stale_nonces >= STALE_NONCES => Some(Challenged::Failed),
            Some(438) => Some(self.auth.stale_nonce(scan, sent)?),
            _ => None,
        };
        if challenged == Some(Challenged::Again) {
            return Ok(Verdict::Challenge(code == Some(401)));
        }
        if challenged.is_none() {
            let trusted = match sent {
                Some(proof) => proof.verifies(scan),
                // Without credentials there is nothing to verify. The RFC excepts 400, which
                // anybody could make.
                None => code != Some(400) || !self.auth.has_credentials(),
            };
            if !trusted {
                return Err(Rejected::Unauthenticated);
            }
            if scan.unknown_required(attribute::is_known).next().is_some() {
                return Ok(Verdict::Unusable);
            }
        }
        Ok(match error {
            None => Verdict::Success,
            Some(error) => Verdict::Error(error),
        })
    }

    fn conclude(
        &mut self,
        now: Timestamp,
        index: usize,
        verdict: Verdict,
        scan: &Scan<'_>,
    ) -> Answer<A> {
        let Transaction { ask, mut chain, proof, .. } = self.end(index);
        let at = match verdict {
            Verdict::Success => return Answer::Success(ask),
            Verdict::Unusable => return Answer::Failed(ask, ServerFailure::Unusable),
            Verdict::Challenge(true) => {
                chain.unauthenticated = chain.unauthenticated.saturating_add(1);
                now
            }
            Verdict::Challenge(false) => {
                chain.stale_nonces = chain.stale_nonces.saturating_add(1);
                now
            }
            // 508 is an answer of TURN and no fault.
            Verdict::Error(error) if is_fault(error.code) && chain.faults < FAULTS => {
                let pause = self.timing.rto.saturating_mul(1_u32 << chain.faults);
                chain.faults = chain.faults.saturating_add(1);
                now + pause
            }
            Verdict::Error(error) => {
                let phrase = phrase(scan);
                let failure = ServerFailure::Refused { code: error.code, phrase };
                let authentic = proof.is_some() && !matches!(error.code, 401 | 438);
                return Answer::Error { ask, error, failure, authentic };
            }
        };
        self.retries.push_back(Retry { at, ask, chain });
        Answer::Again
    }

    fn end(&mut self, index: usize) -> Transaction<A> {
        let transaction = self.live.remove(index);
        self.to_send.retain(|id| *id != transaction.id);
        transaction
    }
}

/// What a response is.
enum Verdict {
    Success,
    Error(ErrorResponse),
    /// The server wants to be asked again: with credentials, or with its new nonce.
    Challenge(bool),
    /// RFC 8489 §6.3.3, §6.3.4: with something that cannot be understood.
    Unusable,
}

/// RFC 8489 §6.3.4, without the code of TURN that says that it is full.
const fn is_fault(code: u16) -> bool {
    matches!(code, 500..=599) && code != 508
}

fn phrase(scan: &Scan<'_>) -> Box<str> {
    let reason = scan.find(ERROR_CODE).and_then(attribute::error_code);
    let text: SmallVec<[char; 32]> = String::from_utf8_lossy(reason.map_or(&[], |(_, text)| text))
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_PHRASE)
        .collect();
    text.into_iter().collect::<String>().into()
}
