//! What can go wrong between an agent and the system.

use std::fmt;
use std::io;

use frazil::{AddLocalError, RemoveLocalError, SendError, TransmitError};

/// Messages that the system did not take.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    pub(crate) count: u64,
    pub(crate) last: Option<io::Error>,
}

impl Unsent {
    pub(super) fn note(&mut self, error: io::Error) {
        self.count = self.count.saturating_add(1);
        self.last = Some(error);
    }
}

/// Why the agent did not get what it has asked for. It is told that it did not, but not why: that
/// is for people.
pub(crate) struct Trouble {
    pub(super) what: String,
    pub(super) why: io::Error,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

/// Why an address did not become a candidate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Agent(#[from] AddLocalError),
}

/// Why an address was not given up.
#[allow(dead_code, reason = "not every example loses an address")]
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloseError {
    #[error(transparent)]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Agent(#[from] RemoveLocalError),
}

/// Why application data was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    #[error(transparent)]
    Agent(#[from] SendError),
    #[error(transparent)]
    Socket(#[from] io::Error),
}

pub(super) fn not_there(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no {what}"))
}

/// What an error says about a route, for as long as it lasts.
pub(super) fn fact_of(error: &io::Error) -> Option<TransmitError> {
    match error.kind() {
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            Some(TransmitError::Unreachable)
        }
        io::ErrorKind::PermissionDenied => Some(TransmitError::NotPermitted),
        _ if error.raw_os_error() == Some(libc::EMSGSIZE) => Some(TransmitError::TooLarge),
        _ => None,
    }
}
