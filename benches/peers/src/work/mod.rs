//! The pieces of work, and the rows of the table that they make.

mod codec;
mod connect;
mod hostile;
mod steady;

pub mod memory;

use crate::peer::{Frazil, Is, Peer, Rice, Rtc};

/// An implementation by name, in the order of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Frazil,
    Is,
    /// `is` as str0m drives it.
    IsLikeStr0m,
    Rtc,
    Rice,
}

impl Name {
    pub const ALL: [Self; 5] = [Self::Frazil, Self::Is, Self::IsLikeStr0m, Self::Rtc, Self::Rice];

    /// What stands above its column.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Frazil => "frazil",
            Self::Is => "is 0.12.0",
            Self::IsLikeStr0m => "is, as str0m drives it",
            Self::Rtc => "rtc-ice 0.21.1",
            Self::Rice => "rice-proto 0.4.3",
        }
    }
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// The controlling side answers a plain check.
    AnswerPlain,
    /// The controlled side answers a check with USE-CANDIDATE.
    AnswerNominating,
    /// Verifies and decodes a check.
    Decode,
    /// Encodes a check.
    Encode,
    /// From two new agents to two that are connected.
    Connect { hosts: usize, only_last: bool },
    /// A check of a connected agent, its answer, and what the answer does.
    RoundTrip,
    /// A minute without data of two connected agents.
    Minute,
    /// Takes a datagram of data.
    Receive,
    /// Finds the way for a datagram of data.
    Send,
    /// Answers a check and takes a datagram of data.
    Steady,
    /// Asks for everything, and nothing is due.
    Idle,
    /// Refuses a check that was made without the password.
    Forged,
    /// Refuses 64 kB of MESSAGE-INTEGRITY.
    FullOfIntegrity,
    /// Refuses 64 kB of empty attributes.
    FullOfNothing,
    /// Refuses 64 kB of random bytes after a header.
    RandomAttributes,
    /// Refuses 64 kB of random bytes.
    Random,
    /// The heap and the size of a connected agent.
    Live,
    /// What ten thousand connected agents add to the memory of a process, for each.
    Resident,
}

/// What is taken of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    Nanos,
    Micros,
    Allocations,
    /// Of the virtual time until both sides have selected.
    Millis,
    Packets,
    Bytes,
}

impl Metric {
    /// Whether it depends on the machine and on the hour.
    pub const fn is_time(self) -> bool {
        matches!(self, Self::Nanos | Self::Micros)
    }

    pub const fn unit(self) -> &'static str {
        match self {
            Self::Nanos => "ns",
            Self::Micros => "CPU µs",
            Self::Allocations => "allocations",
            Self::Millis => "virtual ms",
            Self::Packets => "packets",
            Self::Bytes => "bytes",
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub task: Task,
    pub metric: Metric,
}

/// The hosts a side that two agents connect with.
const HOSTS: [usize; 5] = [1, 4, 10, 32, 100];
/// Those of them with which the last pair alone is reachable.
const HOSTS_ONLY_LAST: [usize; 2] = [4, 10];

impl Row {
    /// All rows, in their order.
    pub fn all() -> Vec<Self> {
        use Metric::{Allocations, Bytes, Micros, Nanos};
        let mut rows = Vec::new();
        let mut add = |task, metrics: &[Metric]| {
            rows.extend(metrics.iter().map(|metric| Self { task, metric: *metric }));
        };
        for task in [Task::AnswerPlain, Task::AnswerNominating, Task::Decode, Task::Encode] {
            add(task, &[Nanos, Allocations]);
        }
        add(Task::RoundTrip, &[Nanos, Allocations]);
        let connects = HOSTS.map(|hosts| Task::Connect { hosts, only_last: false });
        let lasts = HOSTS_ONLY_LAST.map(|hosts| Task::Connect { hosts, only_last: true });
        for task in connects.into_iter().chain(lasts) {
            add(task, &[Micros, Allocations, Metric::Millis, Metric::Packets]);
        }
        for task in [Task::Steady, Task::Receive, Task::Send] {
            add(task, &[Nanos, Allocations]);
        }
        add(Task::Minute, &[Micros, Allocations, Metric::Packets]);
        add(Task::Idle, &[Nanos]);
        add(Task::Live, &[Bytes]);
        add(Task::Resident, &[Bytes]);
        add(Task::Forged, &[Nanos, Allocations]);
        for task in [Task::FullOfIntegrity, Task::FullOfNothing] {
            add(task, &[Nanos]);
        }
        for task in [Task::RandomAttributes, Task::Random] {
            add(task, &[Nanos]);
        }
        rows
    }

    /// What stands at the beginning of the row.
    pub fn title(self) -> String {
        format!("{}: {}", self.task.title(), self.metric.unit())
    }
}

impl Task {
    fn title(self) -> String {
        match self {
            Self::AnswerPlain => "answer a check, controlling".into(),
            Self::AnswerNominating => "answer a nomination, controlled".into(),
            Self::Decode => "verify and decode a check".into(),
            Self::Encode => "encode a check".into(),
            Self::Connect { hosts, only_last: false } => format!("connect, hosts {hosts}"),
            Self::Connect { hosts, only_last: true } => {
                format!("connect, hosts {hosts}, only the last pair reachable")
            }
            Self::RoundTrip => "check round trip, both agents".into(),
            Self::Minute => "a minute connected, hosts 4, both agents".into(),
            Self::Receive => "receive 1200 bytes of data".into(),
            Self::Send => "send 1200 bytes of data".into(),
            Self::Steady => "answer a check and receive 1200 bytes".into(),
            Self::Idle => "idle drive, nothing due".into(),
            Self::Forged => "refuse a forged check".into(),
            Self::FullOfIntegrity => "refuse 64 kB of MESSAGE-INTEGRITY".into(),
            Self::FullOfNothing => "refuse 64 kB of empty attributes".into(),
            Self::RandomAttributes => "refuse 64 kB of a header and random bytes".into(),
            Self::Random => "refuse 64 kB of random bytes".into(),
            Self::Live => "live memory of a connected agent, hosts 4".into(),
            Self::Resident => "resident memory of an agent, 10,000 connected, hosts 4".into(),
        }
    }

    /// Whether it takes seconds to minutes.
    pub fn is_long(self, name: Name) -> bool {
        let slow = matches!(name, Name::Rtc | Name::Rice);
        slow && matches!(self, Self::Connect { hosts, .. } if hosts >= 32)
    }
}

/// A piece of work that can be done again and again.
pub trait Piece {
    /// What comes before it and is not measured.
    fn prepare(&mut self) {}

    fn run(&mut self);

    /// How often the work was done by the last run. Zero when it was not done at all.
    fn times(&self) -> u64;

    /// Whether a run takes longer than a time slice may.
    fn is_long(&self) -> bool {
        false
    }

    /// What the last run has brought about: virtual milliseconds and packets.
    fn outcome(&self) -> Option<Outcome> {
        None
    }
}

/// What came of a run in the virtual network.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    pub millis: Option<u128>,
    pub packets: u64,
}

/// The piece of work of a task for an implementation.
///
/// # Panics
/// For memory, which is no piece of work.
pub fn piece(name: Name, task: Task) -> Box<dyn Piece> {
    match name {
        Name::Frazil => piece_of::<Frazil>(task),
        Name::Is => piece_of::<Is<false>>(task),
        Name::IsLikeStr0m => piece_of::<Is<true>>(task),
        Name::Rtc => piece_of::<Rtc>(task),
        Name::Rice => piece_of::<Rice>(task),
    }
}

/// What cannot be avoided in a piece of work, where that is known.
pub fn floor(task: Task) -> Option<Box<dyn Piece>> {
    match task {
        Task::AnswerPlain => Some(codec::floor_of_answering()),
        Task::Decode => Some(codec::floor_of_decoding()),
        Task::Encode => Some(codec::floor_of_encoding()),
        _ => None,
    }
}

fn piece_of<P: Peer + 'static>(task: Task) -> Box<dyn Piece> {
    match task {
        Task::AnswerPlain => steady::answer::<P>(true),
        Task::AnswerNominating => steady::answer::<P>(false),
        Task::Decode => codec::decode(P::codec()),
        Task::Encode => codec::encode(P::codec()),
        Task::Connect { hosts, only_last } => connect::connect::<P>(hosts, only_last),
        Task::RoundTrip => connect::round_trip::<P>(),
        Task::Minute => connect::minute::<P>(),
        Task::Receive => steady::receive::<P>(),
        Task::Send => steady::send::<P>(),
        Task::Steady => steady::answer_and_receive::<P>(),
        Task::Idle => steady::idle::<P>(),
        Task::Forged => hostile::forged::<P>(),
        Task::FullOfIntegrity => hostile::full_of_integrity::<P>(),
        Task::FullOfNothing => hostile::full_of_nothing::<P>(),
        Task::RandomAttributes => hostile::random::<P>(true),
        Task::Random => hostile::random::<P>(false),
        Task::Live | Task::Resident => unreachable!("memory is measured in `memory`"),
    }
}
