//! Application data: pings over the selected pairs, and their round trips.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use frazil::{StreamId, Timestamp};

use crate::side::{Side, Who};

/// Pings each way on every stream.
const PINGS: u32 = 5;
/// A ping that is not answered by then is lost.
const PING_TIMEOUT: Duration = Duration::from_millis(500);

/// The pings: one after the other, so that none waits behind another one.
pub(crate) struct Pings {
    ahead: VecDeque<Ping>,
    under_way: Option<(Ping, Timestamp)>,
    /// Round trips in the order of sending; `None` for a lost one.
    results: Vec<(Ping, Option<Duration>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ping {
    pub(crate) from: Who,
    /// The position of its stream.
    pub(crate) position: usize,
    number: u32,
}

impl fmt::Display for Ping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.from, self.position, self.number)
    }
}

impl Pings {
    pub(crate) fn new(streams: usize) -> Self {
        let mut ahead = VecDeque::new();
        for position in 0..streams {
            for from in [Who::A, Who::B] {
                ahead.extend((1..=PINGS).map(|number| Ping { from, position, number }));
            }
        }
        Self { ahead, under_way: None, results: Vec::new() }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.ahead.is_empty() && self.under_way.is_none()
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.under_way.map(|(_, sent)| sent + PING_TIMEOUT)
    }

    /// The ping to send now, if it is time for one.
    pub(crate) fn next(&mut self, now: Timestamp) -> Option<Ping> {
        if let Some((ping, sent)) = self.under_way {
            if now < sent + PING_TIMEOUT {
                return None;
            }
            self.results.push((ping, None));
        }
        self.under_way = self.ahead.pop_front().map(|ping| (ping, now));
        self.under_way.map(|(ping, _)| ping)
    }

    /// Answers a ping, notes the answer to one.
    pub(crate) fn receive(
        &mut self,
        now: Timestamp,
        who: Who,
        side: &mut Side,
        stream: StreamId,
        payload: &[u8],
    ) {
        let Ok(text) = std::str::from_utf8(payload) else { return };
        if let Some(ping) = text.strip_prefix("ping ") {
            // What cannot be sent is lost, and is missed at the other side.
            side.driver.send(now, stream, format!("pong {ping}").as_bytes()).ok();
        }
        if let (Some(text), Some((ping, sent))) = (text.strip_prefix("pong "), self.under_way) {
            // A late answer to a ping that was given up is none to this one.
            if ping.from == who && ping.to_string() == text {
                self.results.push((ping, Some(now - sent)));
                self.under_way = None;
            }
        }
    }

    pub(crate) fn row(&self, from: Who, position: usize) -> impl Iterator<Item = Option<Duration>> {
        let own =
            self.results.iter().filter(move |(p, _)| p.from == from && p.position == position);
        own.map(|(_, round_trip)| *round_trip)
    }

    /// The streams and directions that were tried, in the order of the report.
    pub(crate) fn rows(&self) -> Vec<(usize, Who)> {
        let mut rows: Vec<_> =
            self.results.iter().map(|(ping, _)| (ping.position, ping.from)).collect();
        rows.dedup();
        rows
    }

    /// Why the data did not go both ways everywhere.
    pub(crate) fn failure(&self) -> Option<String> {
        let (position, from) = self
            .rows()
            .into_iter()
            .find(|&(position, from)| self.row(from, position).flatten().next().is_none())?;
        Some(format!("no ping from {from} was answered on stream {}", position.saturating_add(1)))
    }
}
