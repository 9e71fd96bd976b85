//! What the network says of datagrams that it did not carry: errors of the caller's own socket,
//! and ICMP.

use core::net::SocketAddr;

use crate::address;
use crate::candidate::Transport;
use crate::checklist::{PairState, Setback};
use crate::id::CandidateId;
use crate::stun::{self, TransactionId};
use crate::time::Timestamp;

use super::IceAgent;
use super::counters::Refused;
use super::io::Route;

/// Why the caller could not send a transmit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransmitError {
    /// It is too large for the path (`EMSGSIZE`). Counted: no message of an agent is that large, but for
    /// one in which a packet of the application rides. Its next messages do without large ones.
    TooLarge,
    /// There is no way to the destination (`ENETUNREACH`, `EHOSTUNREACH`).
    Unreachable,
    /// The system does not allow it (`EPERM`, `EACCES`).
    NotPermitted,
}

/// What an ICMP error says (RFC 8489 §6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IcmpError {
    /// A hard error: the port, protocol or host cannot be reached, or it is prohibited.
    Hard,
    /// Anything that may pass, such as a time exceeded in transit.
    Soft,
}

impl IceAgent {
    /// A transmit could not be sent. Checks under way on that route fail, unless their pair has
    /// been valid before: a fact about the moment, which a later check of the peer can undo. Of a
    /// stream there is nothing to say but [`connection_closed`](Self::connection_closed).
    pub fn transmit_failed(&mut self, now: Timestamp, route: Route, error: TransmitError) {
        self.advance(now);
        let Route::Datagram { transport, local, remote } = route else { return };
        match error {
            TransmitError::TooLarge => {
                self.counters.refuse(Refused::LargeTransmit);
                let local = self.local_at(transport, address::normal(local));
                if let Some(local) = local.filter(|_| self.embedding.is_some()) {
                    self.narrow_embedding(local);
                }
            }
            TransmitError::Unreachable | TransmitError::NotPermitted => {
                let (local, remote) = (address::normal(local), address::normal(remote));
                self.server_unreachable(local, remote, None);
                let setback = match error {
                    TransmitError::NotPermitted => Setback::NotPermitted,
                    TransmitError::Unreachable | TransmitError::TooLarge => Setback::Unreachable,
                };
                if let Some(local) = self.local_at(transport, local) {
                    self.fail_checks(local, remote, None, setback);
                }
            }
        }
    }

    /// An ICMP error arrived for a datagram from `local` to `remote`, `quoted` being the beginning
    /// of that datagram's payload. A hard error fails the check that it quotes (RFC 8445
    /// §7.2.5.2.2), if `config.icmp` allows it. Anything else is ignored: an error that quotes no
    /// check under way may be forged, and a pair that has succeeded is left alone.
    ///
    /// A UDP socket does not give such errors by itself. On Linux the option `IP_RECVERR` (`IPV6_RECVERR`)
    /// keeps them, with the datagram that they quote, in the error queue of the socket, which `recvmsg`
    /// reads with `MSG_ERRQUEUE`. To do without is fine: the check fails later, when nobody answers it.
    pub fn handle_icmp(
        &mut self,
        now: Timestamp,
        transport: Transport,
        local: SocketAddr,
        remote: SocketAddr,
        error: IcmpError,
        quoted: &[u8],
    ) {
        self.advance(now);
        let id = quoted.get(8..20).and_then(|id| <[u8; 12]>::try_from(id).ok());
        let (Some(id), true) = (id, stun::is_stun(quoted)) else { return };
        if error == IcmpError::Hard && self.config.icmp {
            let (local, remote) = (address::normal(local), address::normal(remote));
            let id = TransactionId::new(id);
            self.server_unreachable(local, remote, Some(id));
            if let Some(local) = self.local_at(transport, local) {
                self.fail_checks(local, remote, Some(id), Setback::Icmp);
            }
        }
    }

    /// What was asked of a server on this path did not get there.
    fn server_unreachable(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        id: Option<TransactionId>,
    ) {
        let now = self.now;
        let Some(servers) = &mut self.servers else { return };
        if servers.unreachable(now, local, remote, id) {
            self.run();
        }
    }

    /// Fails what is checked on a path: by the one request that is named, or by any.
    pub(super) fn fail_checks(
        &mut self,
        local: CandidateId,
        to: SocketAddr,
        id: Option<TransactionId>,
        setback: Setback,
    ) {
        let failed = self.checks.iter().find(|check| {
            let remote = self.candidates.remotes.get(check.remote);
            check.local == local
                && id.is_none_or(|id| id == check.id)
                && !check.cancelled
                && remote.is_some_and(|remote| remote.addr == to)
                && self
                    .lists
                    .get(check.pair)
                    .is_some_and(|pair| pair.state == PairState::InProgress)
        });
        if let Some(pair) = failed.map(|check| check.pair) {
            self.checks.cancel(pair);
            self.lists.note_setback(pair, setback);
            self.lists.fail(pair);
            self.run();
        }
    }
}
