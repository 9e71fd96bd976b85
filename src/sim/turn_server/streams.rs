//! The stream connections of a server.

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet};

/// Why a connection was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TurnConnectionError {
    /// The server does not listen there.
    #[error("the server does not listen there")]
    NotListening,
    /// There is a connection with this number, or one that was closed has not been polled yet.
    #[error("the number is in use")]
    InUse,
    /// There are as many connections as the server may have.
    #[error("too many connections")]
    TooMany,
}

#[derive(Clone, Debug)]
struct Stream {
    remote: SocketAddr,
    /// The beginning of a message of which the rest has not arrived.
    partial: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    open: BTreeMap<u64, Stream>,
    /// Those that the server has closed, until the caller knows.
    closed: BTreeSet<u64>,
}

impl Streams {
    pub(super) fn open(
        &mut self,
        connection: u64,
        remote: SocketAddr,
        limit: usize,
    ) -> Result<(), TurnConnectionError> {
        if self.open.contains_key(&connection) || self.closed.contains(&connection) {
            return Err(TurnConnectionError::InUse);
        }
        if self.open.len().saturating_add(self.closed.len()) >= limit {
            return Err(TurnConnectionError::TooMany);
        }
        self.open.insert(connection, Stream { remote, partial: Vec::new() });
        Ok(())
    }

    pub(super) fn remote(&self, connection: u64) -> Option<SocketAddr> {
        self.open.get(&connection).map(|stream| stream.remote)
    }

    /// Takes the bytes that wait for more. They are given back with [`Self::keep`].
    pub(super) fn take(&mut self, connection: u64) -> Vec<u8> {
        let stream = self.open.get_mut(&connection);
        stream.map(|stream| core::mem::take(&mut stream.partial)).unwrap_or_default()
    }

    pub(super) fn keep(&mut self, connection: u64, partial: Vec<u8>) {
        if let Some(stream) = self.open.get_mut(&connection) {
            stream.partial = partial;
        }
    }

    /// The caller has closed it.
    pub(super) fn remove(&mut self, connection: u64) {
        self.open.remove(&connection);
        self.closed.remove(&connection);
    }

    /// The server closes it.
    pub(super) fn close(&mut self, connection: u64) {
        if self.open.remove(&connection).is_some() {
            self.closed.insert(connection);
        }
    }

    pub(super) fn close_all(&mut self) {
        self.closed.extend(core::mem::take(&mut self.open).into_keys());
    }

    pub(super) fn pop_closed(&mut self) -> Option<u64> {
        self.closed.pop_first()
    }
}
