//! Requests (RFC 8656 §7 to §12, RFC 8489 §6.3.1): what is done about each, and with what result.

use core::net::{IpAddr, SocketAddr};

use rand_chacha::rand_core::Rng;

use super::TurnServer;
use super::allocation::{Allocation, Client, Relay};
use super::auth::{Denied, Seal};
use super::behaviour::{TurnMethod, TurnRefusal};
use crate::address;
use crate::stun::Scan;
use crate::stun::attribute::{
    ADDITIONAL_ADDRESS_FAMILY, CHANNEL_NUMBER, DATA, DONT_FRAGMENT, ERROR_CODE, EVEN_PORT,
    LIFETIME, MAPPED_ADDRESS, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, NONCE,
    PASSWORD_ALGORITHM, REALM, REQUESTED_ADDRESS_FAMILY, REQUESTED_TRANSPORT, RESERVATION_TOKEN,
    UNKNOWN_ATTRIBUTES, USERHASH, USERNAME, XOR_MAPPED_ADDRESS, XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS, u32, xor_address,
};
use crate::stun::turn::{Family, UDP, channel_number, even_port, first_of_four};
use crate::turn::is_channel;

/// What a response says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Success {
    /// With the address of the client.
    Binding,
    /// With what has been allocated.
    Allocate,
    /// With the lifetime in seconds.
    Refresh(u32),
    /// With nothing.
    Done,
}

/// What an error response says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The code.
    Code(u16),
    /// 401 or 438, with realm and nonce.
    Challenge(u16),
    /// 420, with the attributes.
    Unknown(Vec<u16>),
    /// What a test wants it to say.
    Refusal(TurnRefusal),
}

const BAD_REQUEST: Failure = Failure::Code(400);

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::BadRequest => BAD_REQUEST,
            Denied::Unauthenticated => Self::Challenge(401),
            Denied::StaleNonce => Self::Challenge(438),
        }
    }
}

impl From<TurnRefusal> for Failure {
    fn from(refusal: TurnRefusal) -> Self {
        match refusal.code {
            401 | 438 => Self::Challenge(refusal.code),
            _ => Self::Refusal(refusal),
        }
    }
}

impl TurnServer {
    /// Does what a request asks for, if it may, and says how to answer.
    pub(super) fn process(
        &mut self,
        method: TurnMethod,
        client: &Client,
        scan: &Scan<'_>,
    ) -> (Seal, Result<Success, Failure>) {
        if let Some(refusal) = self.refusals.take(method, true) {
            return (Seal::None, Err(refusal.into()));
        }
        let open = method == TurnMethod::Binding && !self.config.authenticate_binding;
        let (user, seal) = if open || !self.auth.is_wanted() {
            (None, Seal::None)
        } else {
            let lifetime = self.behaviour.nonce_lifetime;
            match self.auth.check(scan, client, lifetime, self.now) {
                Ok((user, seal)) => (Some(user), seal),
                Err(denied) => return (Seal::None, Err(denied.into())),
            }
        };
        let outcome = self.serve(method, client, user, scan);
        // RFC 8489 §9.2.4: a challenge is not authentic.
        let seal = if matches!(outcome, Err(Failure::Challenge(_))) { Seal::None } else { seal };
        (seal, outcome)
    }

    fn serve(
        &mut self,
        method: TurnMethod,
        client: &Client,
        user: Option<usize>,
        scan: &Scan<'_>,
    ) -> Result<Success, Failure> {
        if method == TurnMethod::Allocate && contradicts_itself(scan) {
            return Err(BAD_REQUEST);
        }
        let unknown: Vec<u16> = scan.unknown_required(self.known()).collect();
        if !unknown.is_empty() {
            return Err(Failure::Unknown(unknown));
        }
        if let Some(refusal) = self.refusals.take(method, false) {
            return Err(refusal.into());
        }
        match method {
            TurnMethod::Binding => return Ok(Success::Binding),
            TurnMethod::Allocate => return self.allocate(client, user, scan),
            TurnMethod::Refresh | TurnMethod::CreatePermission | TurnMethod::ChannelBind => {}
        }
        // RFC 8656 §5
        let allocation = self.allocations.get(client).ok_or(Failure::Code(437))?;
        if allocation.user != user {
            return Err(Failure::Code(441));
        }
        match method {
            TurnMethod::Refresh => self.refresh(client, scan),
            TurnMethod::CreatePermission => self.create_permission(client, scan),
            _ => self.bind_channel(client, scan),
        }
    }

    /// Which comprehension-required attributes the server knows.
    pub(super) const fn known(&self) -> fn(u16) -> bool {
        if self.config.dont_fragment {
            |kind| is_known(kind) || kind == DONT_FRAGMENT
        } else {
            is_known
        }
    }

    /// RFC 8656 §7.2
    fn allocate(
        &mut self,
        client: &Client,
        user: Option<usize>,
        scan: &Scan<'_>,
    ) -> Result<Success, Failure> {
        if let Some(allocation) = self.allocations.get(client) {
            if allocation.id != scan.transaction_id() || allocation.user != user {
                return Err(Failure::Code(437));
            }
            self.stats.retransmit();
            return Ok(Success::Allocate);
        }
        let transport = scan.find(REQUESTED_TRANSPORT).and_then(first_of_four);
        if transport.ok_or(BAD_REQUEST)? != UDP {
            return Err(Failure::Code(442));
        }
        let wanted = lifetime(scan)?;
        let families = self.families(scan)?;
        if self.allocations.of_user(user) >= self.config.limits.allocations_per_user {
            return Err(Failure::Code(486));
        }
        if self.allocations.len() >= self.config.limits.allocations {
            return Err(Failure::Code(508));
        }
        let expires = self.now + self.behaviour.lifetime(wanted);
        let mut relays = Vec::new();
        let mut error = None;
        for family in families {
            match self.relayed_address(family) {
                Ok(addr) => relays.push(Relay { addr, expires }),
                Err(code) => error = Some((family, code)),
            }
        }
        if relays.is_empty() {
            return Err(error.map_or(Failure::Code(508), |(_, code)| Failure::Code(code)));
        }
        let allocation = Allocation::new(scan.transaction_id(), user, relays, error);
        self.allocations.insert(*client, allocation);
        Ok(Success::Allocate)
    }

    /// RFC 8656 §7.2, 6 to 9: the families of the relayed addresses to allocate.
    fn families(&self, scan: &Scan<'_>) -> Result<Vec<Family>, Failure> {
        let read = |kind| scan.find(kind).map(|value| first_of_four(value).ok_or(BAD_REQUEST));
        let requested = read(REQUESTED_ADDRESS_FAMILY).transpose()?;
        let additional = read(ADDITIONAL_ADDRESS_FAMILY).transpose()?;
        match (requested, additional) {
            (Some(_), Some(_)) => Err(BAD_REQUEST),
            (None, Some(number)) if Family::from_number(number) != Some(Family::V6) => {
                Err(BAD_REQUEST)
            }
            (Some(number), None) => {
                let family = Family::from_number(number);
                let family = family.filter(|family| self.relay_ip(*family).is_some());
                Ok(vec![family.ok_or(Failure::Code(440))?])
            }
            (None, _) if self.config.relay_ipv4.is_none() => Err(Failure::Code(440)),
            (None, Some(_)) => Ok(vec![Family::V4, Family::V6]),
            (None, None) => Ok(vec![Family::V4]),
        }
    }

    fn relay_ip(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.config.relay_ipv4.map(IpAddr::V4),
            Family::V6 => self.config.relay_ipv6.map(IpAddr::V6),
        }
    }

    /// An address that nobody has, or the code that says why there is none.
    fn relayed_address(&mut self, family: Family) -> Result<SocketAddr, u16> {
        let ip = self.relay_ip(family).ok_or(440_u16)?;
        let offset = self.rng.next_u32();
        let ports = &self.config.relay_ports;
        self.allocations.free_port(ip, ports, offset, &self.config.listen).ok_or(508)
    }

    /// RFC 8656 §8.2
    fn refresh(&mut self, client: &Client, scan: &Scan<'_>) -> Result<Success, Failure> {
        let wanted = lifetime(scan)?;
        let family = match scan.find(REQUESTED_ADDRESS_FAMILY) {
            Some(value) => {
                let number = first_of_four(value).ok_or(BAD_REQUEST)?;
                let family = Family::from_number(number).ok_or(Failure::Code(443))?;
                let held = self.allocations.get(client).and_then(|held| held.relay(family));
                held.ok_or(Failure::Code(443))?;
                Some(family)
            }
            None => None,
        };
        let granted = (wanted != Some(0)).then(|| self.behaviour.lifetime(wanted));
        self.allocations.refresh(client, family, granted, self.now);
        let secs = granted.unwrap_or_default().as_secs();
        Ok(Success::Refresh(u32::try_from(secs).unwrap_or(u32::MAX)))
    }

    /// RFC 8656 §10.2: all of them or none.
    fn create_permission(&mut self, client: &Client, scan: &Scan<'_>) -> Result<Success, Failure> {
        let id = scan.transaction_id();
        let values = scan.attributes().filter(|(kind, _)| *kind == XOR_PEER_ADDRESS);
        let peers: Option<Vec<SocketAddr>> =
            values.map(|(_, value)| xor_address(value, &id).map(address::normal)).collect();
        let peers = peers.filter(|peers| !peers.is_empty()).ok_or(BAD_REQUEST)?;
        let ips: Vec<IpAddr> = peers.iter().map(SocketAddr::ip).collect();
        self.check_families(client, &ips)?;
        if ips.iter().any(|ip| self.is_denied(*ip)) {
            return Err(Failure::Code(403));
        }
        let (limit, now) = (self.config.limits.permissions, self.now);
        let allocation = self.allocations.get_mut(client).ok_or(Failure::Code(437))?;
        if !allocation.has_room_for(&ips, limit, now) {
            return Err(Failure::Code(508));
        }
        for ip in ips {
            allocation.permit(ip, now);
        }
        Ok(Success::Done)
    }

    /// RFC 8656 §12.2
    fn bind_channel(&mut self, client: &Client, scan: &Scan<'_>) -> Result<Success, Failure> {
        let channel = scan.find(CHANNEL_NUMBER).and_then(channel_number);
        let channel = channel.filter(|channel| is_channel(*channel)).ok_or(BAD_REQUEST)?;
        let peer = scan.find(XOR_PEER_ADDRESS);
        let peer = peer.and_then(|value| xor_address(value, &scan.transaction_id()));
        let peer = address::normal(peer.ok_or(BAD_REQUEST)?);
        let now = self.now;
        let allocation = self.allocations.get(client).ok_or(Failure::Code(437))?;
        allocation.check_channel(channel, peer, now).map_err(|_| BAD_REQUEST)?;
        self.check_families(client, &[peer.ip()])?;
        if self.is_forbidden(peer) {
            return Err(Failure::Code(403));
        }
        let limits = self.config.limits;
        let allocation = self.allocations.get_mut(client).ok_or(Failure::Code(437))?;
        if !allocation.has_channel_room(channel, limits.channels, now)
            || !allocation.has_room_for(&[peer.ip()], limits.permissions, now)
        {
            return Err(Failure::Code(508));
        }
        allocation.bind(channel, peer, now);
        Ok(Success::Done)
    }

    /// RFC 8656 §10.2, §12.2: peers are of the families that the client has addresses of.
    fn check_families(&self, client: &Client, ips: &[IpAddr]) -> Result<(), Failure> {
        let allocation = self.allocations.get(client).ok_or(Failure::Code(437))?;
        let all = ips.iter().all(|ip| allocation.relay(Family::of(*ip)).is_some());
        all.then_some(()).ok_or(Failure::Code(443))
    }

    fn is_denied(&self, ip: IpAddr) -> bool {
        let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
        let never = ip.is_loopback() || ip.is_multicast() || ip.is_unspecified() || broadcast;
        never || self.config.denied_peers.contains(&ip)
    }

    /// Whether nothing may be sent to the peer. Where the server itself listens, what it relays
    /// would come back as that of another client.
    pub(super) fn is_forbidden(&self, peer: SocketAddr) -> bool {
        self.is_denied(peer.ip()) || self.config.listen.contains(&peer)
    }
}

/// RFC 8656 §18.2: LIFETIME in seconds, if there is one.
fn lifetime(scan: &Scan<'_>) -> Result<Option<u32>, Failure> {
    scan.find(LIFETIME).map(|value| u32(value).ok_or(BAD_REQUEST)).transpose()
}

/// RFC 8656 §7.2, 5 and 8: combinations that are wrong for any server. What they are made of is
/// not supported here, which 420 says of each alone.
fn contradicts_itself(scan: &Scan<'_>) -> bool {
    let has = |kind| scan.find(kind).is_some();
    let reservation = has(RESERVATION_TOKEN)
        && (has(EVEN_PORT) || has(REQUESTED_ADDRESS_FAMILY) || has(ADDITIONAL_ADDRESS_FAMILY));
    let reserve_next = scan.find(EVEN_PORT).and_then(even_port) == Some(true);
    reservation || reserve_next && has(ADDITIONAL_ADDRESS_FAMILY)
}

/// What a STUN and TURN server knows: not EVEN-PORT and RESERVATION-TOKEN, which are not supported,
/// and not the attributes of ICE.
const fn is_known(kind: u16) -> bool {
    matches!(
        kind,
        MAPPED_ADDRESS
            | USERNAME
            | MESSAGE_INTEGRITY
            | ERROR_CODE
            | UNKNOWN_ATTRIBUTES
            | REALM
            | NONCE
            | MESSAGE_INTEGRITY_SHA256
            | PASSWORD_ALGORITHM
            | USERHASH
            | XOR_MAPPED_ADDRESS
            | CHANNEL_NUMBER
            | LIFETIME
            | XOR_PEER_ADDRESS
            | DATA
            | XOR_RELAYED_ADDRESS
            | REQUESTED_ADDRESS_FAMILY
            | REQUESTED_TRANSPORT
    )
}
