//! One end of a TCP connection: RFC 9293 in its essence. Sequence numbers count segments, not
//! bytes; there is a window, but no congestion control.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use super::super::host::HostId;
use super::{Segment, TcpEventKind};
use crate::time::Timestamp;

/// How many bytes an end takes before the first of them is acknowledged.
const SEND_BUFFER: usize = 65_536;
/// How many segments are on their way at a time, and are kept if they arrive out of order.
const WINDOW: usize = 64;
/// RFC 6298 §2: the first timeout, and the least (that of common systems, not of the RFC).
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);
const LEAST_TIMEOUT: Duration = Duration::from_millis(200);
/// RFC 6298 §5.7: the timeout of the first data when it took several SYNs.
const TIMEOUT_AFTER_SYNS: Duration = Duration::from_secs(3);
/// After so many timeouts in succession, a connection is given up: 127 s for one that does not
/// come about.
const MAX_TIMEOUTS: u32 = 7;
/// How long an end that has closed still answers (RFC 9293 §3.6.1: TIME-WAIT).
const TIME_WAIT: Duration = Duration::from_secs(60);

/// What occupies a sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Syn,
    Data(Vec<u8>),
    Fin,
}

/// What an end wants to happen.
#[derive(Clone, Debug)]
pub(super) enum Output {
    Segment(Segment, Vec<u8>),
    Event(TcpEventKind),
    /// It is over: nothing belongs to it any more.
    Gone,
}

/// How far a round trip has been measured: once for each end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RoundTrip {
    Unknown,
    /// Until this sequence number is acknowledged, of what was sent once and then.
    Measuring {
        until: u64,
        since: Timestamp,
    },
    Known,
}

#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) host: HostId,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// It has opened the connection, and not the other side.
    active: bool,
    established: bool,
    /// What is not acknowledged, from sequence number `base` on; the first `sent` are on their way.
    unacknowledged: VecDeque<Item>,
    base: u64,
    sent: usize,
    buffered: usize,
    /// The next sequence number of the other side, once it is known.
    expected: Option<u64>,
    early: BTreeMap<u64, Item>,
    closing: bool,
    peer_closed: bool,
    /// The sequence number behind all that has been sent.
    highest: u64,
    round_trip: RoundTrip,
    timeout: Duration,
    timeouts: u32,
    deadline: Option<Timestamp>,
}

impl End {
    /// `initial` is the first sequence number.
    pub(super) fn new(
        host: HostId,
        (local, remote): (SocketAddr, SocketAddr),
        active: bool,
        initial: u64,
    ) -> Self {
        Self {
            host,
            local,
            remote,
            active,
            established: false,
            unacknowledged: VecDeque::from([Item::Syn]),
            base: initial,
            sent: 0,
            buffered: 0,
            expected: None,
            early: BTreeMap::new(),
            closing: false,
            peer_closed: false,
            highest: initial,
            round_trip: RoundTrip::Unknown,
            timeout: FIRST_TIMEOUT,
            timeouts: 0,
            deadline: None,
        }
    }

    pub(super) const fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// How many more bytes it takes.
    pub(super) const fn room(&self) -> usize {
        if self.established && !self.closing {
            SEND_BUFFER.saturating_sub(self.buffered)
        } else {
            0
        }
    }

    /// Takes a segment's worth of data.
    pub(super) fn queue(&mut self, data: &[u8]) {
        self.buffered = self.buffered.saturating_add(data.len());
        self.unacknowledged.push_back(Item::Data(data.to_vec()));
    }

    /// Closes this direction, after everything that was queued.
    pub(super) fn close(&mut self) {
        if !core::mem::replace(&mut self.closing, true) {
            self.unacknowledged.push_back(Item::Fin);
        }
    }

    /// Sends what the window allows.
    pub(super) fn send(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        while self.sent < WINDOW {
            // Nothing follows a SYN that the other side has not answered.
            if self.sent > 0 && self.unacknowledged.front() == Some(&Item::Syn) {
                break;
            }
            let Some(item) = self.unacknowledged.get(self.sent) else { break };
            let sequence = self.base.saturating_add(u64::try_from(self.sent).unwrap_or(u64::MAX));
            let (syn, fin, data) = match item {
                Item::Syn => (true, false, Vec::new()),
                Item::Data(data) => (false, false, data.clone()),
                Item::Fin => (false, true, Vec::new()),
            };
            let segment = Segment { sequence, ack: self.expected, syn, fin, rst: false };
            out.push(Output::Segment(segment, data));
            self.sent = self.sent.saturating_add(1);
            if sequence >= self.highest {
                self.highest = sequence.saturating_add(1);
                if self.round_trip == RoundTrip::Unknown {
                    self.round_trip = RoundTrip::Measuring { until: self.highest, since: now };
                }
            }
            if self.deadline.is_none() {
                self.deadline = Some(now + self.timeout);
            }
        }
    }

    pub(super) fn reset(&self) -> Segment {
        let sequence = self.base.saturating_add(u64::try_from(self.sent).unwrap_or(u64::MAX));
        Segment { sequence, ack: self.expected, syn: false, fin: false, rst: true }
    }

    /// A segment arrives. What has no room (`keep_data` is false) counts as not arrived.
    pub(super) fn receive(
        &mut self,
        now: Timestamp,
        segment: Segment,
        data: Vec<u8>,
        keep_data: bool,
        out: &mut Vec<Output>,
    ) {
        if segment.rst {
            if self.believes(segment) {
                let refused = self.active && !self.established;
                let what = if refused { TcpEventKind::Refused } else { TcpEventKind::Reset };
                if (self.active || self.established) && !self.has_closed() {
                    out.push(Output::Event(what));
                }
                out.push(Output::Gone);
            }
            return;
        }
        if segment.syn && self.expected.is_none() {
            self.expected = Some(segment.sequence);
        }
        self.acknowledge(now, segment.ack);
        let item = match (segment.syn, segment.fin) {
            (true, _) => Some(Item::Syn),
            (_, true) => Some(Item::Fin),
            _ if data.is_empty() => None,
            _ if keep_data => Some(Item::Data(data)),
            _ => return,
        };
        let occupies = item.is_some();
        if let (Some(expected), Some(item)) = (self.expected, item) {
            let ahead = segment.sequence.checked_sub(expected);
            if ahead.is_some_and(|ahead| ahead < u64::try_from(WINDOW).unwrap_or(u64::MAX)) {
                self.early.insert(segment.sequence, item);
            }
        }
        let mut news = Vec::new();
        while let Some(expected) = self.expected {
            let Some(item) = self.early.remove(&expected) else { break };
            self.expected = Some(expected.saturating_add(1));
            match item {
                Item::Syn => {}
                Item::Data(data) => news.push(TcpEventKind::Data(data)),
                Item::Fin => {
                    self.peer_closed = true;
                    news.push(TcpEventKind::Finished);
                }
            }
        }
        let syn_acknowledged = self.unacknowledged.front() != Some(&Item::Syn);
        if !self.established && syn_acknowledged && self.expected.is_some() {
            self.established = true;
            if self.round_trip == RoundTrip::Unknown {
                self.timeout = TIMEOUT_AFTER_SYNS;
            }
            let (host, local, remote) = (self.host, self.local, self.remote);
            out.push(Output::Event(if self.active {
                TcpEventKind::Connected
            } else {
                TcpEventKind::Accepted { host, local, remote }
            }));
        }
        out.extend(news.into_iter().map(Output::Event));
        let before = out.len();
        self.send(now, out);
        if occupies && out.len() == before {
            out.push(Output::Segment(self.pure_ack(), Vec::new()));
        }
        if self.has_closed() && self.deadline.is_none() {
            self.deadline = Some(now + TIME_WAIT);
        }
    }

    /// The deadline has come: sends again what is not acknowledged, or gives up.
    pub(super) fn time_out(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        self.deadline = None;
        if self.has_closed() {
            out.push(Output::Gone);
            return;
        }
        self.timeouts = self.timeouts.saturating_add(1);
        if self.timeouts >= MAX_TIMEOUTS {
            if self.active || self.established {
                out.push(Output::Event(TcpEventKind::TimedOut));
            }
            out.push(Output::Gone);
            return;
        }
        self.timeout = self.timeout.saturating_mul(2);
        // RFC 6298 §3: an answer would not say to which of several transmissions.
        if self.round_trip != RoundTrip::Known {
            self.round_trip = RoundTrip::Unknown;
        }
        self.sent = 0;
        self.send(now, out);
    }

    fn acknowledge(&mut self, now: Timestamp, ack: Option<u64>) {
        let sent = u64::try_from(self.sent).unwrap_or(u64::MAX);
        let number = ack.and_then(|ack| ack.checked_sub(self.base));
        let Some(number) = number.filter(|number| (1..=sent).contains(number)) else { return };
        for _ in 0..number {
            if let Some(Item::Data(data)) = self.unacknowledged.pop_front() {
                self.buffered = self.buffered.saturating_sub(data.len());
            }
            self.base = self.base.saturating_add(1);
            self.sent = self.sent.saturating_sub(1);
        }
        // Progress: the timer starts again, without what the losses have added.
        for _ in 0..self.timeouts {
            self.timeout = self.timeout.checked_div(2).unwrap_or(self.timeout);
        }
        self.timeouts = 0;
        if let RoundTrip::Measuring { until, since } = self.round_trip {
            if self.base >= until {
                let rtt = now - since;
                self.timeout = rtt.saturating_mul(3).clamp(LEAST_TIMEOUT, FIRST_TIMEOUT.max(rtt));
                self.round_trip = RoundTrip::Known;
            }
        }
        self.deadline = (!self.unacknowledged.is_empty()).then(|| now + self.timeout);
    }

    /// Whether a reset is from somebody who knows the connection (RFC 9293 §3.10.7).
    fn believes(&self, segment: Segment) -> bool {
        let known =
            self.base..=self.base.saturating_add(u64::try_from(self.sent).unwrap_or(u64::MAX));
        segment.ack.is_some_and(|ack| known.contains(&ack))
            || self.expected.is_some_and(|expected| expected == segment.sequence)
    }

    fn pure_ack(&self) -> Segment {
        let sequence = self.base.saturating_add(u64::try_from(self.sent).unwrap_or(u64::MAX));
        Segment { sequence, ack: self.expected, syn: false, fin: false, rst: false }
    }

    /// Both directions are closed, and this side knows that the other one knows.
    pub(super) fn has_closed(&self) -> bool {
        self.closing && self.peer_closed && self.unacknowledged.is_empty()
    }
}
