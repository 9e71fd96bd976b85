//! What belongs to one session alone: its username fragments, and sockets that it does not share.

use core::net::SocketAddr;

use smallvec::SmallVec;

use crate::address;

use super::sessions::Session;
use super::{Mux, SessionId};

/// Why a socket cannot belong to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// There is no such session.
    #[error("no such session")]
    UnknownSession,
    /// Another session has it.
    #[error("the socket belongs to another session")]
    Taken,
}

impl Mux {
    /// Gives a session a local address for itself: all that arrives there is for its agent, whatever
    /// it be. What a TURN server sends over UDP has to come so, since it knows a client by its
    /// address.
    ///
    /// # Errors
    /// There is no such session, or another one has the address.
    pub fn add_socket(&mut self, id: SessionId, local: SocketAddr) -> Result<(), SocketError> {
        let hash = self.hash_socket(address::normal(local));
        let session = self.sessions.get_mut(id).ok_or(SocketError::UnknownSession)?;
        match self.sockets.get(hash) {
            Some(place) if place == id.place => {}
            Some(_) => return Err(SocketError::Taken),
            None => {
                session.sockets.push(hash);
                self.sockets.set(hash, id.place);
            }
        }
        Ok(())
    }

    /// Takes it back; whether the session had it.
    pub fn remove_socket(&mut self, id: SessionId, local: SocketAddr) -> bool {
        let hash = self.hash_socket(address::normal(local));
        let Some(session) = self.sessions.get_mut(id) else { return false };
        let had = session.sockets.contains(&hash);
        if had {
            session.sockets.retain(|other| *other != hash);
            self.sockets.remove(hash);
        }
        had
    }

    /// Enters the username fragments that an agent has now, and forgets those that it has no more.
    /// What another session has stays with that one.
    pub(super) fn update_ufrags(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        let hash = |ufrag: &str| self.hash_ufrag(ufrag.as_bytes());
        let wanted: SmallVec<[u64; 2]> = session.agent.ufrags().map(hash).collect();
        let Some(session) = self.sessions.get_mut(id) else { return };
        for gone in session.ufrags.iter().filter(|known| !wanted.contains(known)) {
            self.ufrags.remove(*gone);
        }
        let mut taken = false;
        session.names = session.agent.names();
        session.ufrags = SmallVec::new();
        for hash in wanted {
            match self.ufrags.get(hash) {
                Some(place) if place != id.place => taken = true,
                _ => {
                    self.ufrags.set(hash, id.place);
                    session.ufrags.push(hash);
                }
            }
        }
        if taken {
            session.agent.ufrag_taken();
        }
    }

    pub(super) fn forget_names(&mut self, session: &Session) {
        for &ufrag in &session.ufrags {
            self.ufrags.remove(ufrag);
        }
        for &socket in &session.sockets {
            self.sockets.remove(socket);
        }
    }
}
