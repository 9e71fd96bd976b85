//! A STUN and TURN server in virtual time (RFC 8489, RFC 8656).
//!
//! The way of a message is one direction: `handle_client` scans it, `request` checks and does what
//! it asks for, `response` writes what became of it; `relay` moves data between clients and peers.
//! Nothing here knows of a network, or of the rest of the simulator.

mod allocation;
mod allocations;
mod auth;
mod behaviour;
mod config;
mod output;
mod relay;
mod request;
mod response;
mod stats;
mod streams;
#[cfg(test)]
mod tests;

use core::net::{IpAddr, SocketAddr};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use self::allocation::Client;
use self::allocations::Allocations;
use self::auth::Auth;
use self::behaviour::Refusals;
use self::output::Output;
use self::streams::Streams;
use super::link::Probability;
use crate::address;
use crate::stun::{Class, Fingerprint, is_stun, method, scan};
use crate::time::Timestamp;
use crate::turn::frame_len;

pub use self::behaviour::{TurnBehaviour, TurnMethod, TurnRefusal, TurnTamper};
pub use self::config::{
    PasswordAlgorithm, TurnConfigError, TurnServerConfig, TurnServerLimits, TurnUser,
};
pub use self::output::TurnRoute;
pub use self::relay::TurnIcmp;
pub use self::stats::{TurnRejected, TurnStats};
pub use self::streams::TurnConnectionError;

/// RFC 8489 §14.14: in characters.
const MAX_SOFTWARE: usize = 127;

/// A STUN and TURN server (RFC 8489, RFC 8656) as a sans-IO value: datagrams, stream bytes and time
/// go in, transmits come out.
///
/// Clients reach it over UDP and TCP; it relays UDP over IPv4 and IPv6. EVEN-PORT and
/// RESERVATION-TOKEN are attributes that it does not know (420), TCP allocations (RFC 6062) are of
/// a transport that it does not support (442), and MOBILITY-TICKET (RFC 8016) means nothing to it.
///
/// It is honest unless told otherwise: [`TurnBehaviour`] makes it slow, deaf or wrong while it
/// runs, [`Self::refuse`] makes it answer with an error, [`Self::crash`] makes it forget. What it
/// refuses and drops is counted by reason in [`TurnStats`].
///
/// Whoever carries its transmits gives it the addresses of [`Self::ips`] and calls
/// [`Self::handle_datagram`] with all that arrives there; [`Self::is_open`] says to which of its
/// ports anybody answers.
///
/// ```
/// use frazil::Timestamp;
/// use frazil::sim::{TurnMethod, TurnRoute, TurnServer, TurnServerConfig};
///
/// let listen = "198.51.100.1:3478".parse()?;
/// let mut server = TurnServer::new(TurnServerConfig::new(listen), [7; 32])?;
///
/// let client = "192.0.2.1:5000".parse()?;
/// let request = [
///     0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xa4, 0x42, // Binding, without attributes
///     1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, // transaction id
/// ];
/// server.handle_datagram(Timestamp::ZERO, listen, client, &request);
///
/// let (route, response) = server.poll_transmit().ok_or("no answer")?;
/// assert_eq!(
///     route,
///     TurnRoute::Datagram { local: listen, remote: client, dont_fragment: false }
/// );
/// assert_eq!(response[..2], [0x01, 0x01]);
/// assert_eq!(server.stats().successes(TurnMethod::Binding), 1);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TurnServer {
    config: TurnServerConfig,
    behaviour: TurnBehaviour,
    refusals: Refusals,
    auth: Auth,
    rng: ChaCha8Rng,
    now: Timestamp,
    allocations: Allocations,
    streams: Streams,
    output: Output,
    stats: TurnStats,
}

/// What a server keeps for one client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TurnAllocation {
    /// The address from which the client is seen to send.
    pub client: SocketAddr,
    /// Whose it is, if credentials were wanted.
    pub username: Option<String>,
    /// The relayed addresses, IPv4 first, and when each of them expires.
    pub relayed: Vec<(SocketAddr, Timestamp)>,
    /// The peers that may send.
    pub permissions: Vec<IpAddr>,
    /// The channels and their peers.
    pub channels: Vec<(u16, SocketAddr)>,
}

impl TurnServer {
    /// A server that draws all that is random from `seed`.
    ///
    /// # Errors
    ///
    /// When the configuration says something that cannot be.
    pub fn new(mut config: TurnServerConfig, seed: [u8; 32]) -> Result<Self, TurnConfigError> {
        if config.listen.is_empty() {
            return Err(TurnConfigError::NoAddress);
        }
        if config.relay_ports.is_empty() {
            return Err(TurnConfigError::NoPorts);
        }
        let software = config.software.as_ref();
        if software.is_some_and(|software| software.chars().count() > MAX_SOFTWARE) {
            return Err(TurnConfigError::Software);
        }
        for addr in &mut config.listen {
            *addr = address::normal(*addr);
        }
        for ip in &mut config.denied_peers {
            *ip = ip.to_canonical();
        }
        let mut algorithms = Vec::new();
        config.password_algorithms.retain(|algorithm| {
            let first = !algorithms.contains(algorithm);
            algorithms.push(*algorithm);
            first
        });
        let mut rng = ChaCha8Rng::from_seed(seed);
        Ok(Self {
            auth: Auth::new(&config, &mut rng)?,
            config,
            behaviour: TurnBehaviour::default(),
            refusals: Refusals::default(),
            rng,
            now: Timestamp::ZERO,
            allocations: Allocations::default(),
            streams: Streams::default(),
            output: Output::default(),
            stats: TurnStats::default(),
        })
    }

    /// A datagram arrived at one of its addresses, be it one where it listens or one that it
    /// relays.
    pub fn handle_datagram(
        &mut self,
        now: Timestamp,
        local: SocketAddr,
        from: SocketAddr,
        bytes: &[u8],
    ) {
        self.advance(now);
        let (local, from) = (address::normal(local), address::normal(from));
        if let Some(client) = self.allocations.owner(local) {
            self.handle_peer(&client, local, from, bytes);
        } else if self.config.listen.contains(&local) {
            self.handle_client(&Client::Datagram { local, remote: from }, bytes);
        } else {
            self.stats.reject(TurnRejected::NotListening);
        }
    }

    /// A client has connected from `remote` to `local`, where the server listens. The number is
    /// the caller's choice.
    ///
    /// # Errors
    ///
    /// When the server does not take the connection.
    pub fn open_connection(
        &mut self,
        now: Timestamp,
        connection: u64,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<(), TurnConnectionError> {
        self.advance(now);
        if !self.config.listen.contains(&address::normal(local)) {
            return Err(TurnConnectionError::NotListening);
        }
        self.streams.open(connection, address::normal(remote), self.config.limits.connections)
    }

    /// Bytes arrived on a connection, in whatever pieces.
    pub fn handle_stream(&mut self, now: Timestamp, connection: u64, bytes: &[u8]) {
        self.advance(now);
        let Some(remote) = self.streams.remote(connection) else {
            return self.stats.reject(TurnRejected::NoConnection);
        };
        let client = Client::Stream { connection, remote };
        let mut pending = self.streams.take(connection);
        pending.extend_from_slice(bytes);
        let mut rest = pending.as_slice();
        loop {
            let Ok(len) = frame_len(rest) else {
                self.stats.reject(TurnRejected::Stream);
                return self.close(&client, connection);
            };
            let Some((frame, next)) = len.and_then(|len| rest.split_at_checked(len)) else {
                break;
            };
            self.handle_client(&client, frame);
            rest = next;
        }
        let done = pending.len().saturating_sub(rest.len());
        pending.drain(..done);
        self.streams.keep(connection, pending);
    }

    /// The client has closed its connection, or it broke. Its allocation goes with it.
    pub fn close_connection(&mut self, now: Timestamp, connection: u64) {
        self.advance(now);
        if let Some(remote) = self.streams.remote(connection) {
            self.allocations.remove(&Client::Stream { connection, remote });
        }
        self.streams.remove(connection);
        self.output.forget_stream(connection, None);
    }

    /// An ICMP error arrived for a datagram from `relayed`, an address of the server, to `peer`.
    pub fn handle_icmp(
        &mut self,
        now: Timestamp,
        relayed: SocketAddr,
        peer: SocketAddr,
        icmp: TurnIcmp,
    ) {
        self.advance(now);
        self.relay_icmp(address::normal(relayed), address::normal(peer), icmp);
    }

    /// Does what is due. Before [`Self::poll_timeout`] that is nothing.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
    }

    /// What is to be sent next. To be called until it is `None`, after every input. A route of a
    /// stream takes the bytes as they are: they end where a message ends.
    #[must_use]
    pub fn poll_transmit(&mut self) -> Option<(TurnRoute, Vec<u8>)> {
        self.output.pop(self.now)
    }

    /// A connection that the server has closed, and that the caller is to close. To be called
    /// until it is `None`, after [`Self::poll_transmit`].
    #[must_use]
    pub fn poll_closed(&mut self) -> Option<u64> {
        self.streams.pop_closed()
    }

    /// When [`Self::handle_timeout`] wants to be called. May change after every input.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let due = [self.output.next_after(self.now), self.allocations.next_expiry()];
        due.into_iter().flatten().min().filter(|due| *due < Timestamp::MAX)
    }

    /// What the server does to everybody.
    #[must_use]
    pub const fn behaviour(&self) -> &TurnBehaviour {
        &self.behaviour
    }

    /// The same, to be changed. What has been answered already, and waits for its time, is not
    /// affected.
    pub const fn behaviour_mut(&mut self) -> &mut TurnBehaviour {
        &mut self.behaviour
    }

    /// The next `requests` of this method are answered with an error. Takes the place of what was
    /// said of this method before; of no requests, it takes that back.
    pub fn refuse(&mut self, method: TurnMethod, refusal: TurnRefusal, requests: u32) {
        self.refusals.set(method, refusal, requests);
    }

    /// Every nonce that was given is stale from now on.
    pub fn expire_nonces(&mut self) {
        self.auth.expire_nonces(&mut self.rng);
    }

    /// The server stops and starts again: allocations, nonces, connections and what was to be sent
    /// are gone. What it was told to do, and what it has counted, stays.
    pub fn crash(&mut self) {
        self.allocations = Allocations::default();
        self.streams.close_all();
        self.output.clear();
        self.expire_nonces();
    }

    /// What it has done so far.
    #[must_use]
    pub const fn stats(&self) -> &TurnStats {
        &self.stats
    }

    /// How it was made; addresses are in their normal form.
    #[must_use]
    pub const fn config(&self) -> &TurnServerConfig {
        &self.config
    }

    /// The IP addresses that belong to the server, without duplicates.
    #[must_use]
    pub fn ips(&self) -> Vec<IpAddr> {
        let listen = self.config.listen.iter().map(SocketAddr::ip);
        let v4 = self.config.relay_ipv4.map(IpAddr::V4);
        let v6 = self.config.relay_ipv6.map(IpAddr::V6);
        let mut ips: Vec<IpAddr> = listen.chain(v4).chain(v6).collect();
        ips.sort_unstable();
        ips.dedup();
        ips
    }

    /// Whether there is anybody at this address: the server itself, or a client whose relayed
    /// address it is.
    #[must_use]
    pub fn is_open(&self, addr: SocketAddr) -> bool {
        let addr = address::normal(addr);
        self.config.listen.contains(&addr) || self.allocations.owner(addr).is_some()
    }

    /// All that it keeps for its clients.
    pub fn allocations(&self) -> impl Iterator<Item = TurnAllocation> + '_ {
        self.allocations.iter().map(|(client, allocation)| TurnAllocation {
            client: client.mapped(),
            username: allocation.user.and_then(|user| self.auth.username(user)).map(Into::into),
            relayed: allocation.relays.iter().map(|relay| (relay.addr, relay.expires)).collect(),
            permissions: allocation.permissions(self.now).collect(),
            channels: allocation.channels(self.now).collect(),
        })
    }

    /// Time never runs backwards: an older `now` counts as the newest seen.
    fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        for _ in 0..self.allocations.expire(self.now) {
            self.stats.expire();
        }
    }

    /// One message of a client.
    fn handle_client(&mut self, client: &Client, bytes: &[u8]) {
        if matches!(bytes.first(), Some(0x40..=0x4f)) {
            return self.handle_channel_data(client, bytes);
        }
        if !is_stun(bytes) {
            return self.stats.reject(TurnRejected::NotTurn);
        }
        let Ok(scan) = scan(bytes) else {
            return self.stats.reject(TurnRejected::Malformed);
        };
        if scan.fingerprint() == Fingerprint::Bad {
            return self.stats.reject(TurnRejected::Fingerprint);
        }
        match (scan.class(), scan.method()) {
            (Class::Request, method) => match TurnMethod::from_number(method) {
                Some(method) => self.handle_request(method, client, &scan),
                None => self.stats.reject(TurnRejected::Unexpected),
            },
            (Class::Indication, method::SEND) => self.handle_send(client, &scan),
            // RFC 8489 §6.3.2: a keepalive, of which nothing comes.
            (Class::Indication, method::BINDING) => {}
            _ => self.stats.reject(TurnRejected::Unexpected),
        }
    }

    /// Closes a connection from this side. What is due is still sent.
    fn close(&mut self, client: &Client, connection: u64) {
        self.allocations.remove(client);
        self.streams.close(connection);
        self.output.forget_stream(connection, Some(self.now));
    }

    /// Whether there was room for it.
    fn push(&mut self, due: Timestamp, route: TurnRoute, bytes: Vec<u8>) -> bool {
        let room = self.output.len() < self.config.limits.transmits;
        if room {
            self.output.push(due, route, bytes);
        } else {
            self.stats.reject(TurnRejected::TooManyTransmits);
        }
        room
    }

    /// Takes one draw, whatever the probability.
    fn happens(&mut self, probability: Probability) -> bool {
        let scaled = u64::from(self.rng.next_u32()).saturating_mul(1_000_000) >> 32;
        scaled < u64::from(probability.as_ppm())
    }
}
