//! What connectivity checks and Binding responses carry (RFC 8445 §7.1, §16.1; RFC 8489 §14).
//!
//! Read from a scan, written with a [`Writer`], without allocation. Whether the message is
//! authentic is not known here: verify first.

use core::net::SocketAddr;

use super::attribute::{
    self, GOOG_NETWORK_INFO, ICE_CONTROLLED, ICE_CONTROLLING, NOMINATION, PRIORITY, USE_CANDIDATE,
    USERNAME, XOR_MAPPED_ADDRESS,
};
use super::header::Class;
use super::scan::Scan;
use super::write::Writer;
use crate::candidate::network::Network;
use crate::config::Role;

/// The attributes of a connectivity check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CheckRequest<'a> {
    /// USERNAME, `receiver:sender`.
    pub(crate) username: Option<&'a [u8]>,
    /// PRIORITY: that of the peer-reflexive candidate that may be learned from this check.
    pub(crate) priority: Option<u32>,
    /// USE-CANDIDATE: the check nominates its pair.
    pub(crate) use_candidate: bool,
    /// ICE-CONTROLLING or ICE-CONTROLLED: the role of the sender, with its tie-breaker.
    pub(crate) role: Option<(Role, u64)>,
    /// NOMINATION (draft-thatcher-ice-renomination-01 §4).
    pub(crate) nomination: Option<u32>,
    /// NETWORK-INFO of libwebrtc: what the sender sends from.
    pub(crate) network: Option<Network>,
}

/// An attribute that is known has a value that it cannot have; its type. A request with it is
/// answered with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MalformedAttribute(pub(crate) u16);

impl<'a> CheckRequest<'a> {
    /// Reads what is there; what has to be there is for the agent. Of attributes that occur more
    /// than once the first counts (RFC 8489 §14). A check that claims both roles is malformed.
    pub(crate) fn read(scan: &Scan<'a>) -> Result<Self, MalformedAttribute> {
        let mut check = Self::default();
        for (kind, value) in scan.attributes() {
            let malformed = MalformedAttribute(kind);
            match kind {
                USERNAME if check.username.is_none() => check.username = Some(value),
                PRIORITY if check.priority.is_none() => {
                    check.priority = Some(attribute::u32(value).ok_or(malformed)?);
                }
                USE_CANDIDATE if !check.use_candidate => {
                    check.use_candidate = value.is_empty().then_some(true).ok_or(malformed)?;
                }
                ICE_CONTROLLED => check.set_role(Role::Controlled, value).ok_or(malformed)?,
                ICE_CONTROLLING => check.set_role(Role::Controlling, value).ok_or(malformed)?,
                // The number was assigned to something else as well: a value of another size is
                // no nomination, and no error.
                NOMINATION if check.nomination.is_none() => {
                    check.nomination = attribute::u32(value);
                }
                // Nothing depends on what no RFC assigns.
                GOOG_NETWORK_INFO if check.network.is_none() => {
                    check.network = attribute::u32(value).map(Network::from_bits);
                }
                _ => {}
            }
        }
        Ok(check)
    }

    /// Writes what is there.
    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        if let Some(username) = self.username {
            writer.username(&[username]);
        }
        if let Some(priority) = self.priority {
            writer.u32(PRIORITY, priority);
        }
        if self.use_candidate {
            writer.flag(USE_CANDIDATE);
        }
        match self.role {
            Some((Role::Controlled, tie_breaker)) => {
                writer.u64(ICE_CONTROLLED, tie_breaker);
            }
            Some((Role::Controlling, tie_breaker)) => {
                writer.u64(ICE_CONTROLLING, tie_breaker);
            }
            None => {}
        }
        if let Some(nomination) = self.nomination {
            writer.u32(NOMINATION, nomination);
        }
        if let Some(network) = self.network {
            writer.u32(GOOG_NETWORK_INFO, network.to_bits());
        }
    }

    fn set_role(&mut self, role: Role, value: &[u8]) -> Option<()> {
        match self.role {
            Some((first, _)) => (first == role).then_some(()),
            None => {
                self.role = Some((role, attribute::u64(value)?));
                Some(())
            }
        }
    }
}

/// RFC 8445 §7.2.5.2: the address of XOR-MAPPED-ADDRESS in a success response. An error response
/// has none, whatever it carries.
pub(crate) fn xor_mapped_address(scan: &Scan<'_>) -> Option<SocketAddr> {
    if scan.class() != Class::Success {
        return None;
    }
    attribute::xor_address(scan.find(XOR_MAPPED_ADDRESS)?, &scan.transaction_id())
}

/// RFC 8489 §6.3.3: the address in a STUN server's success response, from a server of old in
/// MAPPED-ADDRESS.
pub(crate) fn mapped_address(scan: &Scan<'_>) -> Option<SocketAddr> {
    if scan.class() != Class::Success {
        return None;
    }
    xor_mapped_address(scan).or_else(|| attribute::address(scan.find(attribute::MAPPED_ADDRESS)?))
}
