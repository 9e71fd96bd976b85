//! Filters of addresses as data: an agent with them is still a plain value.

use core::net::IpAddr;

use super::prefix::{IpPrefix, is_private};

/// Which addresses of this machine are used.
///
/// What is denied is not used. Where something is allowed by name or prefix, nothing else is used.
/// The default denies nothing.
///
/// ```
/// use frazil::LocalFilter;
///
/// let mut filter = LocalFilter::default();
/// filter.deny_interfaces.push("docker*".to_owned());
/// filter.deny.push("100.64.0.0/10".parse()?);
/// assert!(filter.check("192.0.2.1".parse()?, "eth0").is_ok());
/// assert!(filter.check("172.17.0.1".parse()?, "docker0").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocalFilter {
    /// The only interfaces to use, if there are any here. A `*` at the end stands for whatever
    /// follows.
    pub allow_interfaces: Vec<String>,
    /// Interfaces not to use, in the same form.
    pub deny_interfaces: Vec<String>,
    /// The only addresses to use, if there are any here.
    pub allow: Vec<IpPrefix>,
    /// Addresses not to use.
    pub deny: Vec<IpPrefix>,
}

impl LocalFilter {
    /// Whether an address is used; `interface` is empty where it is not known, and then in no list.
    ///
    /// # Errors
    /// Which list keeps it out.
    pub fn check(&self, ip: IpAddr, interface: &str) -> Result<(), Filtered> {
        let named =
            |patterns: &[String]| patterns.iter().any(|pattern| is_named(pattern, interface));
        if named(&self.deny_interfaces)
            || !(self.allow_interfaces.is_empty() || named(&self.allow_interfaces))
        {
            return Err(Filtered::Interface);
        }
        check_lists(&self.allow, &self.deny, ip)
    }
}

/// Which addresses of a peer are sent to, so that a hostile one cannot make this side probe a
/// network that it does not reach itself.
///
/// Unspecified, multicast and broadcast addresses and port 0 are refused whatever stands here.
///
/// ```
/// use frazil::{IpPrefix, RemoteFilter};
///
/// let mut filter = RemoteFilter::default();
/// filter.deny.push(IpPrefix::LINK_LOCAL_V4);
/// assert!(filter.check("169.254.169.254".parse()?).is_err());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteFilter {
    /// The only addresses to send to, if there are any here.
    pub allow: Vec<IpPrefix>,
    /// Addresses not to send to.
    pub deny: Vec<IpPrefix>,
    /// Sends to the addresses of [`IpPrefix::PRIVATE`] only from one of them. From a public
    /// address, a relayed one among them, such an address of a peer is somewhere else than the peer.
    pub private_from_private: bool,
}

impl RemoteFilter {
    /// Whether anything is sent to an address.
    ///
    /// # Errors
    /// Which list keeps it out.
    pub fn check(&self, remote: IpAddr) -> Result<(), Filtered> {
        check_lists(&self.allow, &self.deny, remote)
    }

    /// Whether anything is sent to it from the address `local`, which for a relayed candidate is
    /// the one on the server. A loopback address is reached from a loopback address only.
    ///
    /// # Errors
    /// What keeps it out.
    pub fn check_from(&self, local: IpAddr, remote: IpAddr) -> Result<(), Filtered> {
        self.check(remote)?;
        let (local, remote) = (local.to_canonical(), remote.to_canonical());
        if remote.is_loopback() && !local.is_loopback() {
            return Err(Filtered::Loopback);
        }
        let inside = |ip: IpAddr| ip.is_loopback() || is_private(ip);
        if self.private_from_private && inside(remote) && !inside(local) {
            return Err(Filtered::Private);
        }
        Ok(())
    }
}

/// A denied prefix is stronger than an allowed one, whichever is longer.
fn check_lists(allow: &[IpPrefix], deny: &[IpPrefix], ip: IpAddr) -> Result<(), Filtered> {
    let within = |prefixes: &[IpPrefix]| prefixes.iter().any(|prefix| prefix.contains(ip));
    if within(deny) {
        Err(Filtered::Denied)
    } else if !allow.is_empty() && !within(allow) {
        Err(Filtered::NotAllowed)
    } else {
        Ok(())
    }
}

fn is_named(pattern: &str, interface: &str) -> bool {
    !interface.is_empty()
        && match pattern.strip_suffix('*') {
            Some(start) => interface.starts_with(start),
            None => interface == pattern,
        }
}

/// Why an address is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Filtered {
    /// Its interface is denied, or not among those that are allowed.
    #[error("the interface is not to be used")]
    Interface,
    /// It is in a prefix that is denied.
    #[error("the address is denied")]
    Denied,
    /// It is in none of the prefixes that are allowed.
    #[error("the address is not among those that are allowed")]
    NotAllowed,
    /// It is a loopback address, and the local one is not.
    #[error("a loopback address is reached from a loopback address only")]
    Loopback,
    /// It is private, and the local one is not.
    #[error("a private address is reached from a private address only")]
    Private,
}
