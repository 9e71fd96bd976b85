//! How long two agents take to connect, in virtual time, on `frazil`'s simulated network: the same
//! worlds and seeds for all implementations.

mod place;
mod report;
mod run;
mod watch;

use std::time::Duration;

pub use report::{Figures, Summary, head};
pub use run::Outcome;
pub use watch::Seen;

use crate::peer::{Frazil, Is, Rice, Rtc};

/// Who takes longer than that has not connected.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Frazil,
    /// With a Ta of 20 ms.
    Frazil20,
    /// With a Ta of 5 ms, the least there is.
    Frazil5,
    Is,
    /// `is` as str0m drives it.
    IsLikeStr0m,
    Rtc,
    Rice,
}

impl Name {
    pub const ALL: [Self; 7] = [
        Self::Frazil,
        Self::Frazil20,
        Self::Frazil5,
        Self::Is,
        Self::IsLikeStr0m,
        Self::Rtc,
        Self::Rice,
    ];

    /// What stands above its column.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Frazil => "frazil",
            Self::Frazil20 => "frazil, Ta 20 ms",
            Self::Frazil5 => "frazil, Ta 5 ms",
            Self::Is => "is",
            Self::IsLikeStr0m => "is, as str0m",
            Self::Rtc => "rtc-ice",
            Self::Rice => "rice-proto",
        }
    }

    pub const fn is_peer(self) -> bool {
        !matches!(self, Self::Frazil | Self::Frazil20 | Self::Frazil5)
    }

    /// Lets two agents of this implementation connect.
    pub fn run(self, world: World, seed: u64) -> Outcome {
        match self {
            Self::Frazil => run::run::<Frazil>(world, seed),
            Self::Frazil20 => run::run::<Frazil<20>>(world, seed),
            Self::Frazil5 => run::run::<Frazil<5>>(world, seed),
            Self::Is => run::run::<Is<false>>(world, seed),
            Self::IsLikeStr0m => run::run::<Is<true>>(world, seed),
            Self::Rtc => run::run::<Rtc>(world, seed),
            Self::Rice => run::run::<Rice>(world, seed),
        }
    }
}

/// Where the two are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// In the internet, with so many addresses each.
    Hosts(usize),
    /// In the internet, with an address each, and each is told so many others before the right one.
    DeadAhead(usize),
    /// The controlling one is behind a NAT that maps independently of endpoints and filters by
    /// address and port; the other is in the internet. Nobody knows the mapping.
    ConeToPublic,
    /// The same with a NAT that maps by address and port, to random ports.
    SymmetricToPublic,
    /// Both are behind NATs as the first one, and tell their mapped addresses.
    ConeToCone,
}

impl Topology {
    const ALL: [Self; 6] = [
        Self::Hosts(1),
        Self::Hosts(4),
        Self::DeadAhead(6),
        Self::ConeToPublic,
        Self::SymmetricToPublic,
        Self::ConeToCone,
    ];

    fn title(self) -> String {
        match self {
            Self::Hosts(1) => "1 host a side".into(),
            Self::Hosts(hosts) => format!("{hosts} hosts a side"),
            Self::DeadAhead(dead) => format!("{dead} dead remote candidates ahead"),
            Self::ConeToPublic => "port-restricted NAT to public".into(),
            Self::SymmetricToPublic => "symmetric NAT to public".into(),
            Self::ConeToCone => "two port-restricted NATs, reflexive candidates told".into(),
        }
    }
}

/// When who knows of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signalling {
    /// Both know everything at once.
    Instant,
    /// The controlled side knows everything at once; the controlling one when the answer has come
    /// to it, which takes as long as a datagram.
    OneWay,
}

/// A network, and what the two know of each other. With a seed, it is a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct World {
    pub topology: Topology,
    pub signalling: Signalling,
    /// One way, in milliseconds.
    pub delay: u64,
    /// Of each datagram, either way, in per cent.
    pub loss: u32,
}

impl World {
    /// All of them, those of one table together.
    pub fn all() -> Vec<Self> {
        let mut worlds = Vec::new();
        for topology in Topology::ALL {
            for signalling in [Signalling::Instant, Signalling::OneWay] {
                for delay in [10, 50, 150, 300] {
                    for loss in [0, 5, 10, 20] {
                        worlds.push(Self { topology, signalling, delay, loss });
                    }
                }
            }
        }
        worlds
    }

    /// What stands above its table.
    pub fn section(self) -> String {
        let signalling = match self.signalling {
            Signalling::Instant => "instant signalling",
            Signalling::OneWay => "the answer takes one way",
        };
        format!("{}; {signalling}", self.topology.title())
    }

    /// What stands at the beginning of its rows.
    pub fn row(self) -> String {
        format!("{} ms, {} %", self.delay, self.loss)
    }
}
