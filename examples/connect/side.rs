//! One of the two agents, with what has been told of it.

use std::error::Error;
use std::fmt;

use frazil::replay::Recorder;
use frazil::{
    AgentConfig, ConnectionState, IceAgent, PairId, PairState, PairView, StreamId, Timestamp,
};

use crate::driver::host::Host;
use crate::driver::{Driver, EventLoop, OpenError};
use crate::options::Options;

/// One of the two agents.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    A,
    B,
}

impl Who {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
        })
    }
}

/// Both agents.
pub(crate) struct Sides {
    pub(crate) a: Side,
    pub(crate) b: Side,
}

impl Sides {
    pub(crate) const fn of(&mut self, who: Who) -> &mut Side {
        match who {
            Who::A => &mut self.a,
            Who::B => &mut self.b,
        }
    }

    /// Whether both have selected all their pairs now.
    pub(crate) fn are_completed(&self) -> bool {
        let sides = [&self.a, &self.b];
        sides.iter().all(|side| side.driver.agent.state() == ConnectionState::Completed)
    }

    /// When the later one was connected.
    pub(crate) fn connected(&self) -> Option<Timestamp> {
        Some(self.a.connected?.max(self.b.connected?))
    }

    /// When the later one had selected all its pairs.
    pub(crate) fn completed(&self) -> Option<Timestamp> {
        Some(self.a.completed?.max(self.b.completed?))
    }
}

/// An agent with what has been told of it.
pub(crate) struct Side {
    pub(crate) driver: Driver,
    pub(crate) lite: bool,
    /// Its streams; those of the other side correspond by position.
    pub(crate) streams: Vec<StreamId>,
    /// The pairs as they were told last.
    pub(crate) told: Vec<(PairId, PairState)>,
    /// The addresses of which no candidate could be made.
    pub(crate) unused: Vec<(Host, OpenError)>,
    pub(crate) connected: Option<Timestamp>,
    pub(crate) completed: Option<Timestamp>,
}

impl Side {
    pub(crate) fn new(
        mut config: AgentConfig,
        seed: [u8; 32],
        options: &Options,
        hosts: &[Host],
        events: &mut EventLoop,
    ) -> Result<Self, Box<dyn Error>> {
        let streams = options.streams;
        config.loopback = hosts.iter().any(|host| host.ip.is_loopback());
        // Every address makes the same candidates in every stream.
        let each = options.gathering.host_transports(false).count();
        let places = u16::try_from(hosts.len()).unwrap_or(u16::MAX).saturating_mul(streams);
        let candidates = places.saturating_mul(each);
        let limits = &mut config.limits;
        limits.local_candidates = limits.local_candidates.max(candidates);
        limits.remote_candidates = limits.remote_candidates.max(candidates);
        let lite = config.lite;
        options.gathering.configure(&mut config)?;
        let agent = Recorder::without_log(IceAgent::new(config, seed)?);
        let mut driver = Driver::new(agent, events);
        driver.gather_by(events.now(), &options.gathering, &seed)?;
        for _ in 1..streams {
            driver.agent.add_stream(events.now(), 1)?;
        }
        let mut side = Self {
            streams: driver.agent.streams().collect(),
            driver,
            lite,
            told: Vec::new(),
            unused: Vec::new(),
            connected: None,
            completed: None,
        };
        side.open(hosts, events);
        if !side.driver.is_open() {
            let reasons = side.unused.iter().map(|(host, error)| format!("; {}: {error}", host.ip));
            return Err(format!("no address to use{}", reasons.collect::<String>()).into());
        }
        Ok(side)
    }

    /// Opens a socket on every address. One that cannot be used (an IPv6 address that is not
    /// settled yet) is passed over; what is left may do.
    fn open(&mut self, hosts: &[Host], events: &mut EventLoop) {
        for &stream in &self.streams {
            for &host in hosts {
                if let Err(error) = self.driver.open(events, stream, host) {
                    self.unused.push((host, error));
                }
            }
        }
    }

    pub(crate) fn note_state(&mut self, now: Timestamp, state: ConnectionState) {
        let completed = state == ConnectionState::Completed;
        if completed || state == ConnectionState::Connected {
            self.connected.get_or_insert(now);
        }
        if completed {
            self.completed.get_or_insert(now);
        }
    }
}

/// The position of a stream among those of its side; the other side's has the same.
pub(crate) fn position(streams: &[StreamId], stream: StreamId) -> usize {
    streams.iter().position(|other| *other == stream).unwrap_or(0)
}

/// What is new of a pair since it was told last, and worth a line.
pub(crate) fn news_of(
    told: &mut Vec<(PairId, PairState)>,
    pair: &PairView,
) -> Option<&'static str> {
    let known = told.iter_mut().find(|(id, _)| *id == pair.id);
    let before = known.as_ref().map(|(_, state)| *state);
    match known {
        Some((_, state)) => *state = pair.state,
        None => told.push((pair.id, pair.state)),
    }
    match pair.state {
        _ if before == Some(pair.state) => None,
        PairState::Frozen | PairState::Waiting => None,
        PairState::InProgress => Some("sent"),
        PairState::Succeeded => Some("succeeded"),
        // Without a check it was only put aside, because another pair has made it.
        PairState::Failed => (before == Some(PairState::InProgress)).then_some("failed"),
    }
}
