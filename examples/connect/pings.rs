//! Application data: pings over the selected pairs, and their round trips.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use frazil::{StreamId, Timestamp};

use crate::side::{Side, Who};
use crate::timeline::millis;

/// Pings each way on every stream, before a restart and after it.
const PINGS: u32 = 5;
/// A ping that is not answered by then is lost.
const PING_TIMEOUT: Duration = Duration::from_millis(500);
/// During a restart pings go out in this time, so that some do in all of its steps.
const PING_INTERVAL: Duration = Duration::from_millis(20);

/// What the agents do meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// They are as they were at first: the only phase if there is no restart.
    Before,
    During,
    After,
}

/// The pings: one after the other, so that none waits behind another one.
pub(crate) struct Pings {
    streams: usize,
    restart: bool,
    phase: Phase,
    ahead: VecDeque<Ping>,
    under_way: Option<(Ping, Timestamp)>,
    /// When the next one goes out, during a restart.
    next: Timestamp,
    /// How many there have been.
    count: u32,
    /// Round trips in the order of sending; `None` for a lost one.
    results: Vec<(Ping, Option<Duration>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ping {
    pub(crate) from: Who,
    /// The position of its stream.
    pub(crate) position: usize,
    phase: Phase,
    number: u32,
}

impl fmt::Display for Ping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.from, self.position, self.number)
    }
}

/// How a ping during a restart went.
pub(crate) struct RoundTrip(Duration);

impl fmt::Display for RoundTrip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "answered after {} ms", millis(self.0))
    }
}

impl Pings {
    pub(crate) fn new(streams: usize, restart: bool) -> Self {
        let mut pings = Self {
            streams,
            restart,
            phase: Phase::Before,
            ahead: VecDeque::new(),
            under_way: None,
            next: Timestamp::ZERO,
            count: 0,
            results: Vec::new(),
        };
        pings.begin(Phase::Before);
        pings
    }

    pub(crate) fn begin(&mut self, phase: Phase) {
        self.phase = phase;
        if phase == Phase::During {
            return;
        }
        for position in 0..self.streams {
            for from in [Who::A, Who::B] {
                for _ in 0..PINGS {
                    let ping = self.number(from, position);
                    self.ahead.push_back(ping);
                }
            }
        }
    }

    fn number(&mut self, from: Who, position: usize) -> Ping {
        self.count = self.count.saturating_add(1);
        Ping { from, position, phase: self.phase, number: self.count }
    }

    /// The phase that may begin now; the end of a restart is not known here.
    pub(crate) fn next_phase(&self) -> Option<Phase> {
        match self.phase {
            Phase::Before if self.restart => self.is_idle().then_some(Phase::During),
            Phase::During => self.is_idle().then_some(Phase::After),
            Phase::Before | Phase::After => None,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        let last = if self.restart { Phase::After } else { Phase::Before };
        self.phase == last && self.is_idle()
    }

    fn is_idle(&self) -> bool {
        self.ahead.is_empty() && self.under_way.is_none()
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        match self.under_way {
            Some((_, sent)) => Some(sent + PING_TIMEOUT),
            None => (self.phase == Phase::During).then_some(self.next),
        }
    }

    /// The ping to send now, if it is time for one.
    pub(crate) fn next(&mut self, now: Timestamp) -> Option<Ping> {
        if let Some((ping, sent)) = self.under_way {
            if now < sent + PING_TIMEOUT {
                return None;
            }
            self.results.push((ping, None));
            self.under_way = None;
        }
        if self.phase == Phase::During && now >= self.next {
            self.next = now + PING_INTERVAL;
            let ping = self.in_turn();
            self.ahead.push_back(ping);
        }
        self.under_way = self.ahead.pop_front().map(|ping| (ping, now));
        self.under_way.map(|(ping, _)| ping)
    }

    /// A ping of the side and the stream whose turn it is.
    fn in_turn(&mut self) -> Ping {
        let from = if self.count % 2 == 0 { Who::A } else { Who::B };
        let turn = usize::try_from(self.count / 2).unwrap_or(0);
        let position = turn.checked_rem(self.streams).unwrap_or(0);
        self.number(from, position)
    }

    /// Answers a ping, notes the answer to one. What there is to tell of it at once.
    pub(crate) fn receive(
        &mut self,
        now: Timestamp,
        who: Who,
        side: &mut Side,
        stream: StreamId,
        payload: &[u8],
    ) -> Option<RoundTrip> {
        let text = std::str::from_utf8(payload).ok()?;
        if let Some(ping) = text.strip_prefix("ping ") {
            // What cannot be sent is lost, and is missed at the other side.
            side.driver.send(now, stream, format!("pong {ping}").as_bytes()).ok();
        }
        let text = text.strip_prefix("pong ")?;
        // A late answer to a ping that was given up is none to this one.
        let is_answer = |ping: Ping| ping.from == who && ping.to_string() == text;
        let (ping, sent) = self.under_way.take_if(|(ping, _)| is_answer(*ping))?;
        self.results.push((ping, Some(now - sent)));
        (ping.phase == Phase::During).then(|| RoundTrip(now - sent))
    }

    pub(crate) fn row(
        &self,
        phase: Phase,
        position: usize,
        from: Who,
    ) -> impl Iterator<Item = Option<Duration>> {
        let own = self.results.iter().filter(move |(ping, _)| {
            ping.phase == phase && ping.from == from && ping.position == position
        });
        own.map(|(_, round_trip)| *round_trip)
    }

    /// The phases, streams and directions that were tried in full, in the order of the report.
    pub(crate) fn rows(&self) -> Vec<(Phase, usize, Who)> {
        let full = self.results.iter().filter(|(ping, _)| ping.phase != Phase::During);
        let mut rows: Vec<_> =
            full.map(|(ping, _)| (ping.phase, ping.position, ping.from)).collect();
        rows.dedup();
        rows
    }

    /// How many were sent and lost during the restart.
    pub(crate) fn during(&self) -> (usize, usize) {
        let during = || self.results.iter().filter(|(ping, _)| ping.phase == Phase::During);
        (during().count(), during().filter(|(_, round_trip)| round_trip.is_none()).count())
    }

    /// Why the data did not go both ways everywhere.
    pub(crate) fn failure(&self) -> Option<String> {
        let lost = self.results.iter().filter(|(_, round_trip)| round_trip.is_none()).count();
        if self.restart && lost > 0 {
            return Some(format!("pings that were lost in a session with a restart: {lost}"));
        }
        let (_, position, from) = self.rows().into_iter().find(|&(phase, position, from)| {
            self.row(phase, position, from).flatten().next().is_none()
        })?;
        Some(format!("no ping from {from} was answered on stream {}", position.saturating_add(1)))
    }
}
