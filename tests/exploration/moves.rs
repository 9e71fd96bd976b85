//! The moves between the states of a world, and their written form, so that a trace can be told and
//! played again.

use std::fmt;
use std::str::FromStr;

/// One step. The numbers are places in what is in flight, signalled or left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// A datagram arrives.
    Deliver(usize),
    /// A datagram arrives, and a copy of it is still on its way.
    Copy(usize),
    /// A datagram is lost.
    Lose(usize),
    /// The next signal reaches this side.
    Signal(usize),
    /// Time passes until the next deadline of either agent.
    Time,
    /// Something happens.
    Act(usize),
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deliver(at) => write!(f, "d{at}"),
            Self::Copy(at) => write!(f, "c{at}"),
            Self::Lose(at) => write!(f, "l{at}"),
            Self::Signal(to) => write!(f, "s{to}"),
            Self::Time => write!(f, "t"),
            Self::Act(at) => write!(f, "a{at}"),
        }
    }
}

impl FromStr for Move {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("not a move: {text}");
        if text == "t" {
            return Ok(Self::Time);
        }
        let (kind, at) = text.split_at_checked(1).ok_or_else(wrong)?;
        let at = at.parse().map_err(|_| wrong())?;
        match kind {
            "d" => Ok(Self::Deliver(at)),
            "c" => Ok(Self::Copy(at)),
            "l" => Ok(Self::Lose(at)),
            "s" => Ok(Self::Signal(at)),
            "a" => Ok(Self::Act(at)),
            _ => Err(wrong()),
        }
    }
}

/// A trace as one line.
pub(crate) fn written(moves: &[Move]) -> String {
    moves.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

pub(crate) fn read(text: &str) -> Vec<Move> {
    text.split_whitespace().map(|word| word.parse().unwrap()).collect()
}
