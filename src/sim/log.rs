//! What an agent of a world did and met, with the time of each.

use core::fmt;
use core::net::SocketAddr;

use super::report::Problem;
use super::signal::SignalError;
use crate::agent::io::{Event, Ignored, Route, TimeoutReason};
use crate::id::{PairId, StreamId};
use crate::time::Timestamp;

/// The header of a STUN message (RFC 8489 §5): type, length, cookie and transaction id.
const HEADER: usize = 20;

/// How much of it a world writes down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogDetail {
    /// Nothing: for benchmarks and long runs.
    Off,
    /// Everything, but only the first twenty bytes of a transmit.
    #[default]
    Headers,
    /// Everything, with all bytes of a transmit.
    Full,
}

impl LogDetail {
    pub(super) fn excerpt(self, bytes: &[u8]) -> Vec<u8> {
        let excerpt = match self {
            Self::Off => None,
            Self::Headers => bytes.get(..HEADER),
            Self::Full => None,
        };
        excerpt.unwrap_or(bytes).to_vec()
    }
}

/// A line of an agent's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// When it was.
    pub at: Timestamp,
    /// What it was.
    pub what: Logged,
}

/// What an agent did or met.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Logged {
    /// It sent something.
    Transmit {
        /// Where it went.
        route: Route,
        /// The DSCP it was sent with.
        dscp: u8,
        /// The number of its bytes.
        len: usize,
        /// Its bytes, as many as [`LogDetail`] keeps.
        bytes: Vec<u8>,
    },
    /// It told something.
    Event(Box<Event>),
    /// It received a message that was for itself.
    Consumed {
        /// Its own address.
        local: SocketAddr,
        /// Where the message came from.
        remote: SocketAddr,
        /// The number of its bytes.
        len: usize,
    },
    /// It received application data.
    Data {
        /// The stream.
        stream: StreamId,
        /// The component.
        component: u16,
        /// The pair on which it came, if there was one already.
        pair: Option<PairId>,
        /// The application's bytes, all of them.
        payload: Vec<u8>,
    },
    /// It received what it ignored.
    Ignored {
        /// Its own address.
        local: SocketAddr,
        /// Where the datagram came from.
        remote: SocketAddr,
        /// The number of its bytes.
        len: usize,
        /// Why it was ignored.
        reason: Ignored,
    },
    /// It heard that a datagram of its own did not get through.
    Undelivered {
        /// Its own address.
        local: SocketAddr,
        /// Where the datagram was to go.
        remote: SocketAddr,
        /// What the network says.
        problem: Problem,
    },
    /// It refused what was signalled.
    SignalRefused(SignalError),
    /// Its deadline had come, for this reason.
    Timeout(Option<TimeoutReason>),
}

impl fmt::Display for LogEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.at.as_duration().as_micros();
        let (millis, micros) = (micros.div_euclid(1_000), micros.rem_euclid(1_000));
        write!(f, "{millis:>8}.{micros:03} ms  {}", self.what)
    }
}

impl fmt::Display for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transmit { route: Route::Datagram { local, remote, .. }, len, bytes, .. } => {
                write!(f, "sends {len} bytes {local} > {remote}: ")?;
                hex(bytes, f)
            }
            Self::Transmit { route: Route::Stream(connection), len, bytes, .. } => {
                write!(f, "sends {len} bytes on connection {}: ", connection.get())?;
                hex(bytes, f)
            }
            Self::Event(event) => write!(f, "tells {event:?}"),
            Self::Consumed { local, remote, len } => {
                write!(f, "gets {len} bytes {local} < {remote}")
            }
            Self::Data { stream, component, payload, .. } => {
                let (stream, len) = (stream.get(), payload.len());
                write!(f, "gets {len} bytes of data on stream {stream} component {component}")
            }
            Self::Ignored { local, remote, len, reason } => {
                write!(f, "ignores {len} bytes {local} < {remote}: {reason:?}")
            }
            Self::Undelivered { local, remote, problem } => {
                write!(f, "hears that {local} > {remote} failed: {problem:?}")
            }
            Self::SignalRefused(error) => write!(f, "refuses a signal: {error}"),
            Self::Timeout(Some(reason)) => write!(f, "wakes up for {reason:?}"),
            Self::Timeout(None) => f.write_str("wakes up"),
        }
    }
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().take(HEADER).try_for_each(|byte| write!(f, "{byte:02x}"))
}
