//! How tasks come by the sockets and connections that carry their messages, and give them back.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::VecDeque;

use super::task::Task;
use crate::id::{ConnectionId, LookupId, ServerId, SocketId};
use crate::time::Timestamp;

/// Before another attempt to connect; doubled each time.
pub(super) const RECONNECT: Duration = Duration::from_secs(1);

/// What somebody outside has to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Command {
    Resolve {
        lookup: LookupId,
        name: Box<str>,
    },
    OpenConnection {
        id: ConnectionId,
        local: SocketAddr,
        remote: SocketAddr,
        server: ServerId,
        domain: Option<Box<str>>,
    },
    CloseConnection(ConnectionId),
    OpenSocket {
        id: SocketId,
        local: IpAddr,
    },
    CloseSocket(SocketId),
}

/// What carries the messages of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Link {
    /// A UDP socket: that of the base, or one that was asked for.
    Socket { local: SocketAddr, mapped: bool, opened: Option<SocketId> },
    /// A connection, which is there or on its way.
    Connection { id: ConnectionId, open: bool },
    /// There is no connection; it is asked for again then.
    Down { again: Timestamp },
}

impl Link {
    /// What was opened for it is not needed any more.
    pub(super) fn give_back(self, commands: &mut VecDeque<Command>) {
        match self {
            Self::Connection { id, .. } => commands.push_back(Command::CloseConnection(id)),
            Self::Socket { opened, .. } => commands.extend(opened.map(Command::CloseSocket)),
            Self::Down { .. } => {}
        }
    }
}

impl Task {
    /// Asks for a connection if there is none and it is time for one.
    pub(super) fn connect(
        &mut self,
        now: Timestamp,
        commands: &mut VecDeque<Command>,
        take_id: &mut impl FnMut(bool) -> Option<ConnectionId>,
    ) {
        let Link::Down { again } = self.link else { return };
        if again > now || self.closing {
            return;
        }
        let Some(id) = take_id(self.datagrams) else {
            // There may be room for one later.
            self.link = Link::Down { again: now + RECONNECT };
            return;
        };
        self.link = Link::Connection { id, open: false };
        commands.push_back(Command::OpenConnection {
            id,
            local: SocketAddr::new(self.base.addr.ip(), 0),
            remote: self.remote(),
            server: self.server,
            domain: self.domain.clone(),
        });
    }

    /// Asks for another connection in the place of the one that it has, or is about to have.
    pub(super) fn reconnect(
        &mut self,
        now: Timestamp,
        commands: &mut VecDeque<Command>,
        take_id: &mut impl FnMut(bool) -> Option<ConnectionId>,
    ) {
        self.link.give_back(commands);
        self.link = Link::Down { again: now };
        self.connect(now, commands, take_id);
    }
}
