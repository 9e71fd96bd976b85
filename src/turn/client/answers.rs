//! What comes of what was asked (RFC 8656 §7.3, §7.4, §8.3, §10.3, §12.3).

use core::net::SocketAddr;
use core::time::Duration;

use smallvec::SmallVec;

use super::ask::Request;
use super::permissions::PAUSE;
use super::redirect::Alternate;
use super::{Allocation, Fact, Held, Phase, Then};
use crate::address;
use crate::gather::{Answer, Rejected, ServerFailure};
use crate::stun::attribute::{
    self, ADDRESS_ERROR_CODE, DONT_FRAGMENT, LIFETIME, XOR_MAPPED_ADDRESS, XOR_RELAYED_ADDRESS,
};
use crate::stun::message::ErrorResponse;
use crate::stun::turn::{Family, address_error_code};
use crate::stun::{Scan, xor_mapped_address};
use crate::time::Timestamp;

/// RFC 8656 §8: "roughly 1 minute before it expires".
const REFRESH_BEFORE: Duration = Duration::from_secs(60);
/// RFC 8656 §7.2: what servers are advised to grant at most. What claims to last longer is
/// refreshed as if it lasted so long.
const MAX_LIFETIME: Duration = Duration::from_secs(3600);
/// Nothing is refreshed more often.
const MIN_REFRESH: Duration = Duration::from_secs(1);
/// RFC 8656 §7.4: after 486 and 508, and after what may pass as well.
const REST: Duration = Duration::from_secs(60);
/// RFC 8656 §7.4: after three ports that were refused.
const PORTS_REST: Duration = Duration::from_secs(120);
const PORTS: u8 = 3;
/// A rest is doubled every time, up to 16 minutes.
const MAX_DOUBLINGS: u8 = 4;

/// What a success to Allocate says.
struct Granted {
    relayed: SmallVec<[SocketAddr; 2]>,
    mapped: SocketAddr,
    lifetime: Duration,
    refused: Option<(Family, u16)>,
}

impl Allocation {
    /// A response from the server.
    pub(super) fn answered(&mut self, now: Timestamp, scan: &Scan<'_>) -> Result<(), Rejected> {
        match self.requests.receive(now, scan)? {
            Answer::Success(request) => self.succeeded(now, &request, scan),
            Answer::Error { ask, error, failure, authentic } => {
                self.refused(now, &ask, &error, failure, scan, authentic);
                Ok(())
            }
            Answer::Failed(request, failure) => {
                self.unanswered(now, &request, &failure);
                Ok(())
            }
            Answer::Again => Ok(()),
        }
    }

    fn succeeded(
        &mut self,
        now: Timestamp,
        request: &Request,
        scan: &Scan<'_>,
    ) -> Result<(), Rejected> {
        match request {
            Request::Allocate { .. } => return self.allocated(now, scan),
            Request::Refresh { .. } => {
                let Phase::Allocated(held) = &mut self.phase else { return Ok(()) };
                let Some(lifetime) = lifetime(scan) else {
                    held.refresh = Some(now + PAUSE);
                    return Err(Rejected::Contradictory);
                };
                held.renew(now, lifetime);
                if core::mem::take(&mut self.verifies) {
                    self.tell(Fact::Confirmed);
                }
            }
            Request::Delete { family: None } => self.deleted(now),
            Request::Delete { family: Some(_) } => {}
            Request::CreatePermission(ips) => {
                for ip in ips {
                    if self.permissions.grant(*ip, now) {
                        self.tell(Fact::Permitted { ip: *ip });
                    }
                }
            }
            Request::ChannelBind { channel, peer } => {
                if self.permissions.grant(peer.ip(), now) {
                    self.tell(Fact::Permitted { ip: peer.ip() });
                }
                if self.channels.bind(*peer, now) {
                    self.tell(Fact::ChannelBound { peer: *peer, channel: *channel });
                }
            }
        }
        Ok(())
    }

    /// RFC 8656 §7.3
    fn allocated(&mut self, now: Timestamp, scan: &Scan<'_>) -> Result<(), Rejected> {
        if matches!(self.phase, Phase::Asked { closing: true }) {
            self.delete(now, Then::Close);
            return Ok(());
        }
        let Some(granted) = self.read_granted(scan) else {
            self.tell(Fact::Failed { failure: ServerFailure::Unusable, retry: None });
            self.delete(now, Then::Fail);
            return Err(Rejected::Contradictory);
        };
        let Granted { relayed, mapped, lifetime, refused } = granted;
        (self.ports, self.rests) = (0, 0);
        let mut held =
            Held { relayed: relayed.clone(), expires: now, refresh: None, release: None };
        held.renew(now, lifetime);
        self.phase = Phase::Allocated(held);
        let has = |family| relayed.iter().any(|addr| Family::of(addr.ip()) == family);
        while let Some(ip) = self.permissions.remove_one(|ip| !has(Family::of(ip))) {
            self.tell(Fact::PermissionRefused { ip, failure: ServerFailure::Unusable });
        }
        self.tell(Fact::Relayed { relayed, mapped });
        if let Some((family, code)) = refused {
            self.tell(Fact::FamilyRefused { family, code });
        }
        Ok(())
    }

    /// `None` when something is missing, or was not asked for.
    fn read_granted(&self, scan: &Scan<'_>) -> Option<Granted> {
        let id = scan.transaction_id();
        let mut relayed = SmallVec::<[SocketAddr; 2]>::new();
        for (_, value) in scan.attributes().filter(|(kind, _)| *kind == XOR_RELAYED_ADDRESS) {
            let addr = address::normal(attribute::xor_address(value, &id)?);
            let family = Family::of(addr.ip());
            let wanted = self.config.families.contains(family);
            let twice = relayed.iter().any(|other| Family::of(other.ip()) == family);
            if !wanted || twice || addr.port() == 0 || addr.ip().is_unspecified() {
                return None;
            }
            relayed.push(addr);
        }
        relayed.sort_unstable();
        scan.find(XOR_MAPPED_ADDRESS)?;
        let mapped = address::normal(xor_mapped_address(scan)?);
        let lifetime = lifetime(scan)?;
        let refused = scan.find(ADDRESS_ERROR_CODE).and_then(address_error_code);
        (!relayed.is_empty()).then_some(Granted { relayed, mapped, lifetime, refused })
    }

    /// An error response. What is not authentic says only that there is no allocation yet, or that
    /// credentials are not taken.
    fn refused(
        &mut self,
        now: Timestamp,
        request: &Request,
        error: &ErrorResponse,
        failure: ServerFailure,
        scan: &Scan<'_>,
        authentic: bool,
    ) {
        let code = error.code;
        match (request, code) {
            (Request::Allocate { .. }, _) => {
                self.allocate_refused(now, error, failure, scan, authentic);
            }
            (Request::Delete { family: None }, _) => self.deleted(now),
            (_, 437) => {
                self.lose(now, failure, Phase::Asking(now));
            }
            // What is there belongs to somebody else, and so does the 5-tuple.
            (_, 441) => {
                self.lose(now, failure, Phase::NeedsPort);
                self.tell(Fact::NeedsPort);
            }
            (Request::ChannelBind { .. }, 400) => {
                self.bad_channels = self.bad_channels.saturating_add(1);
                self.lose(now, failure, Phase::Deleting { due: Some(now), then: Then::Allocate });
            }
            (Request::CreatePermission(ips), _) if ips.len() > 1 && !is_passing(code) => {
                for ip in ips {
                    self.permissions.again(*ip, now, true);
                }
            }
            (_, _) if is_passing(code) => self.unanswered(now, request, &failure),
            (Request::CreatePermission(ips), _) => {
                for ip in ips {
                    self.permissions.refuse(*ip);
                    self.tell(Fact::PermissionRefused { ip: *ip, failure: failure.clone() });
                }
            }
            (Request::ChannelBind { peer, .. }, _) => {
                self.channels.refuse(*peer);
                self.tell(Fact::ChannelRefused { peer: *peer, failure });
            }
            (Request::Refresh { .. } | Request::Delete { .. }, _) => {
                self.unanswered(now, request, &failure);
            }
        }
    }

    /// RFC 8656 §7.4
    fn allocate_refused(
        &mut self,
        now: Timestamp,
        error: &ErrorResponse,
        failure: ServerFailure,
        scan: &Scan<'_>,
        authentic: bool,
    ) {
        if matches!(self.phase, Phase::Asked { closing: true }) {
            return self.end();
        }
        match error.code {
            300 if authentic || self.config.follow_unauthenticated => {
                match self.redirects.follow(now, self.config.server, scan) {
                    Some(alternate) => self.redirect(now, alternate),
                    None => self.fail(failure),
                }
            }
            420 if self.dont_fragment && error.unknown.contains(&DONT_FRAGMENT) => {
                self.dont_fragment = false;
                self.phase = Phase::Asking(now);
            }
            437 => {
                self.ports = self.ports.saturating_add(1);
                if self.ports < PORTS {
                    self.phase = Phase::NeedsPort;
                    self.tell(Fact::NeedsPort);
                } else {
                    self.ports = 0;
                    self.rest(now, failure, PORTS_REST);
                }
            }
            438 | 486 | 500..=599 => self.rest(now, failure, REST),
            _ => self.fail(failure),
        }
    }

    /// RFC 8489 §10: the same credentials, and another server that has said nothing yet.
    fn redirect(&mut self, now: Timestamp, alternate: Alternate) {
        let Alternate { server, domain } = alternate;
        self.config.server = server;
        self.requests.auth.reset();
        let connects = self.config.reliable || self.config.connects;
        self.phase = if connects { Phase::Unconnected } else { Phase::Asking(now) };
        self.tell(Fact::AlternateServer { server, domain });
    }

    /// No answer that counts: time may help.
    pub(super) fn unanswered(
        &mut self,
        now: Timestamp,
        request: &Request,
        failure: &ServerFailure,
    ) {
        // A timeout was wait enough.
        let at = if *failure == ServerFailure::Timeout { now } else { now + PAUSE };
        match request {
            Request::Allocate { .. } => {
                if matches!(self.phase, Phase::Asked { closing: true }) {
                    return self.end();
                }
                self.requests.auth.reset();
                self.rest(now, failure.clone(), REST);
            }
            Request::Refresh { .. } => {
                let Phase::Allocated(held) = &mut self.phase else { return };
                held.refresh = Some(at);
                if failure.code() == Some(401) {
                    let at = held.expires;
                    self.tell(Fact::CredentialsExpiring { at });
                }
            }
            Request::Delete { family: None } => self.deleted(now),
            // The server keeps it until it expires.
            Request::Delete { family: Some(_) } => {}
            Request::CreatePermission(ips) => {
                for ip in ips {
                    self.permissions.again(*ip, at, false);
                    if !self.permissions.is_granted(*ip, now) {
                        let failure = failure.clone();
                        self.tell(Fact::PermissionRefused { ip: *ip, failure });
                    }
                }
            }
            Request::ChannelBind { peer, .. } => {
                self.channels.again(*peer, now, at);
                if self.channels.bound_to(*peer, now).is_none() {
                    let failure = failure.clone();
                    self.tell(Fact::ChannelRefused { peer: *peer, failure });
                }
            }
        }
    }

    /// There is no allocation on the server any more.
    pub(super) fn lose(&mut self, now: Timestamp, failure: ServerFailure, next: Phase) {
        self.requests.retain(|_| false);
        // A server that answers knows its nonce; one that does not may be another one by now.
        if failure.code().is_none() {
            self.requests.auth.reset();
        }
        if !matches!(next, Phase::Deleting { .. }) {
            self.requests.auth.promote();
        }
        self.permissions.restart(now);
        self.channels.remove(|_| true);
        self.verifies = false;
        let before = core::mem::replace(&mut self.phase, next);
        if let Phase::Allocated(Held { relayed, .. }) = before {
            self.tell(Fact::Lost { relayed, failure });
        }
    }

    pub(super) fn delete(&mut self, now: Timestamp, then: Then) {
        self.requests.retain(|_| false);
        self.phase = Phase::Deleting { due: Some(now), then };
    }

    fn deleted(&mut self, now: Timestamp) {
        let Phase::Deleting { then, .. } = self.phase else { return };
        match then {
            Then::Close => self.end(),
            Then::Fail => self.phase = Phase::Failed(None),
            Then::Allocate => {
                self.requests.auth.promote();
                self.phase = Phase::Asking(now);
            }
        }
    }

    pub(super) fn end(&mut self) {
        self.requests.retain(|_| false);
        self.phase = Phase::Closed;
        self.warn = None;
        self.tell(Fact::Closed);
    }

    fn fail(&mut self, failure: ServerFailure) {
        self.phase = Phase::Failed(failure.code());
        self.tell(Fact::Failed { failure, retry: None });
    }

    fn rest(&mut self, now: Timestamp, failure: ServerFailure, wait: Duration) {
        let factor = 1_u32 << self.rests.min(MAX_DOUBLINGS);
        self.rests = self.rests.saturating_add(1);
        let at = now + wait.saturating_mul(factor);
        self.phase = Phase::Asking(at);
        self.tell(Fact::Failed { failure, retry: Some(at) });
    }
}

impl Held {
    /// RFC 8656 §7.3: the lifetime that the server says.
    fn renew(&mut self, now: Timestamp, lifetime: Duration) {
        let lifetime = lifetime.min(MAX_LIFETIME);
        let half = lifetime.checked_div(2).unwrap_or_default();
        let wait = lifetime.saturating_sub(REFRESH_BEFORE).max(half).max(MIN_REFRESH);
        self.expires = now + lifetime;
        self.refresh = Some(now + wait);
    }
}

/// RFC 8656 §18.2: how long it lasts, if it does.
fn lifetime(scan: &Scan<'_>) -> Option<Duration> {
    let secs = attribute::u32(scan.find(LIFETIME)?)?;
    (secs > 0).then(|| Duration::from_secs(u64::from(secs)))
}

/// Whether the error says nothing about what was asked, but about who asked or how the server is.
const fn is_passing(code: u16) -> bool {
    matches!(code, 401 | 438 | 500..=507 | 509..=599)
}
