//! Whose a datagram is.

use core::net::SocketAddr;

use smallvec::SmallVec;

use crate::address;
use crate::agent::io::Received;
use crate::candidate::Transport;
use crate::random::session_of;
use crate::stun::{Peek, peek};
use crate::time::Timestamp;

use super::received::{MuxIgnored, MuxReceived};
use super::{Mux, SessionId};

impl Mux {
    /// A datagram arrived from `remote` at the socket of `local`, which must be the address that it
    /// was sent to, also when the socket is bound to a wildcard.
    pub fn handle_datagram<'a>(
        &mut self,
        now: Timestamp,
        transport: Transport,
        local: SocketAddr,
        remote: SocketAddr,
        datagram: &'a [u8],
    ) -> MuxReceived<'a> {
        self.advance(now);
        let (own, from) = (address::normal(local), address::normal(remote));
        let peeked = peek(datagram);
        let id = match self.socket_owner(own) {
            Some(id) => Ok(id),
            None => match peeked {
                Some(Peek::Request(ufrag)) => self.addressee(ufrag),
                Some(Peek::Response(id)) => self
                    .sessions
                    .tagged(session_of(&self.tag_key, &id))
                    .ok_or(MuxIgnored::UnknownTransaction),
                Some(Peek::Other) | None => {
                    let path = self.paths.get(self.hash_path(own, from));
                    // A keepalive says nothing, whoever shares the path.
                    if peeked.is_none() && path.is_some_and(|path| path.is_shared(self.now)) {
                        return MuxReceived::Shared(datagram);
                    }
                    let session = path.and_then(|path| self.sessions.at(path.place));
                    session.map(|session| session.id).ok_or(MuxIgnored::UnknownPath)
                }
            },
        };
        let received = id.and_then(|id| {
            let act = |agent: &mut crate::IceAgent| {
                agent.handle_datagram(now, transport, local, remote, datagram)
            };
            let received = self.drive(id, act).ok_or(MuxIgnored::UnknownPath)?;
            Ok((id, received))
        });
        match received {
            Ok((id, received)) => {
                let authentic = received == Received::Consumed
                    && matches!(peeked, Some(Peek::Request(_) | Peek::Response(_)));
                if authentic {
                    self.contend(id, own, from);
                }
                MuxReceived::Session(id, received)
            }
            Err(reason) => {
                self.counters.ignore(reason);
                MuxReceived::Ignored(reason)
            }
        }
    }

    pub(super) fn addressee(&self, ufrag: Option<&[u8]>) -> Result<SessionId, MuxIgnored> {
        let ufrag = ufrag.ok_or(MuxIgnored::MissingUsername)?;
        let place = self.ufrags.get(self.hash_ufrag(ufrag));
        let session = place.and_then(|place| self.sessions.at(place));
        session.map(|session| session.id).ok_or(MuxIgnored::UnknownUfrag)
    }

    fn socket_owner(&self, local: SocketAddr) -> Option<SessionId> {
        if self.sockets.is_empty() {
            return None;
        }
        let place = self.sockets.get(self.hash_socket(local))?;
        Some(self.sessions.at(place)?.id)
    }

    pub(super) fn hash_ufrag(&self, ufrag: &[u8]) -> u64 {
        self.hash_key.hash(ufrag)
    }

    pub(super) fn hash_socket(&self, local: SocketAddr) -> u64 {
        let mut words = Words::new();
        push(&mut words, local);
        self.hash_key.hash_words(&words)
    }

    pub(super) fn hash_path(&self, local: SocketAddr, remote: SocketAddr) -> u64 {
        let mut words = Words::new();
        push(&mut words, local);
        push(&mut words, remote);
        self.hash_key.hash_words(&words)
    }
}

/// Addresses as numbers, such that no two lists of them are the same numbers.
type Words = SmallVec<[u64; 6]>;

fn push(words: &mut Words, addr: SocketAddr) {
    let port = u64::from(addr.port());
    match addr {
        SocketAddr::V4(v4) => {
            words.push(4 << 56 | u64::from(v4.ip().to_bits()) << 16 | port);
        }
        SocketAddr::V6(v6) => {
            let [high, low] = [v6.ip().to_bits() >> 64, v6.ip().to_bits() & u128::from(u64::MAX)]
                .map(|half| u64::try_from(half).unwrap_or_default());
            words.extend([6 << 56 | u64::from(v6.scope_id()) << 16 | port, high, low]);
        }
    }
}
