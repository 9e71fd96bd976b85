//! What happens in a scenario, and to whom.

use core::fmt;

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// The first.
    First,
    /// The second.
    Second,
}

impl Who {
    pub(super) const fn index(self) -> usize {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transition {
    /// The internet loses so many packets in a hundred, 20 at most.
    Loss(u8),
    /// A packet takes so many milliseconds through the internet, 200 at most.
    Delay(u16),
    /// The NAT of a site forgets its mappings.
    RebootNat(usize),
    /// The networks of a side are gone, on all its interfaces.
    Down(Who),
    /// They are back.
    Up(Who),
    /// An interface of a side is down; of a number that is too high, the remainder counts.
    InterfaceDown(Who, usize),
    /// It is up again.
    InterfaceUp(Who, usize),
    /// A side gets another address in one of its networks, in place of the one that it has had for
    /// longest, and its agent is told.
    Move(Who),
    /// A side nominates one of the valid pairs that it has not selected, if it may: that one of
    /// them in their order; of a number that is too high, the remainder counts.
    Renominate(Who, usize),
    /// Nothing passes between the sides but over the server.
    Partition,
    /// That is over.
    Heal,
    /// A side restarts ICE, unless a restart has not been answered yet: offers do not cross (RFC
    /// 3264 §4), and where they do, whoever signals has to roll one back.
    Restart(Who),
    /// The server forgets all allocations.
    CrashServer,
    /// The server is gone.
    StopServer,
    /// It is back.
    StartServer,
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss(_)
            | Self::Delay(_)
            | Self::RebootNat(_)
            | Self::Partition
            | Self::Heal
            | Self::CrashServer
            | Self::StopServer
            | Self::StartServer => write!(f, "Transition::{self:?}"),
            Self::Down(who) => write!(f, "Transition::Down(Who::{who:?})"),
            Self::Up(who) => write!(f, "Transition::Up(Who::{who:?})"),
            Self::Move(who) => write!(f, "Transition::Move(Who::{who:?})"),
            Self::InterfaceDown(who, number) => {
                write!(f, "Transition::InterfaceDown(Who::{who:?}, {number})")
            }
            Self::InterfaceUp(who, number) => {
                write!(f, "Transition::InterfaceUp(Who::{who:?}, {number})")
            }
            Self::Renominate(who, number) => {
                write!(f, "Transition::Renominate(Who::{who:?}, {number})")
            }
            Self::Restart(who) => write!(f, "Transition::Restart(Who::{who:?})"),
        }
    }
}
