//! Which other server a client may be sent to (RFC 8489 §10).

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use smallvec::SmallVec;

use crate::address;
use crate::stun::Scan;
use crate::stun::attribute::{self, ALTERNATE_DOMAIN, ALTERNATE_SERVER};
use crate::time::Timestamp;

/// Servers in a row, so that a chain of them ends.
const HOPS: usize = 3;
/// RFC 8489 §10: how long a server that was asked is not asked again.
const MEMORY: Duration = Duration::from_secs(300);
/// RFC 8489 §14.16
const MAX_DOMAIN: usize = 255;

/// Where a server sends its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alternate {
    pub(super) server: SocketAddr,
    /// The name in its certificate, when it is another one.
    pub(super) domain: Option<Box<str>>,
}

/// The servers that were asked, and when.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Redirects(SmallVec<[(SocketAddr, Timestamp); 1]>);

impl Redirects {
    /// Where to go from `server`, if the answer says so and that may be followed: an address of
    /// the same family that is nobody's special one and has not been asked lately, with a domain
    /// that can be one.
    pub(super) fn follow(
        &mut self,
        now: Timestamp,
        server: SocketAddr,
        scan: &Scan<'_>,
    ) -> Option<Alternate> {
        self.0.retain(|(_, at)| *at + MEMORY > now);
        self.0.retain(|(other, _)| *other != server);
        self.0.push((server, now));
        let offered = scan.attributes().filter(|(kind, _)| *kind == ALTERNATE_SERVER);
        let to = offered
            .filter_map(|(_, value)| attribute::address(value))
            .map(address::normal)
            .find(|to| to.is_ipv4() == server.is_ipv4())?;
        let domain = scan.find(ALTERNATE_DOMAIN).map(read_domain);
        let visited = self.0.iter().any(|(other, _)| *other == to);
        let sound = to.port() != 0 && !is_special(to.ip()) && domain != Some(None);
        (sound && !visited && self.0.len() <= HOPS)
            .then(|| Alternate { server: to, domain: domain.flatten() })
    }
}

/// Whether nobody but this machine, or nobody alone, has the address.
pub(super) fn is_special(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || broadcast
}

/// RFC 8489 §14.16: a host name, as a certificate would have it.
fn read_domain(value: &[u8]) -> Option<Box<str>> {
    let plain = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.');
    let domain = core::str::from_utf8(value).ok()?;
    let sound = !value.is_empty() && value.len() <= MAX_DOMAIN && value.iter().all(plain);
    sound.then(|| domain.into())
}
