//! STUN: the messages of ICE, STUN servers and TURN servers, and how one request is repeated
//! (RFC 8489; attributes also of RFC 8445, RFC 8656 and of browsers).
//!
//! A received message goes through [`scan`] before anything else looks at it, but for [`peek`], by
//! which a container of many agents sees whose it is. The scan reads the
//! bytes once, allocates nothing, and shows only what the integrity attribute covers. From there
//! two ways lead on. Connectivity checks are the hot path: [`CheckRequest`] reads them from the
//! scan and [`Writer`] writes them into the caller's buffer. Error responses and control messages
//! go through typed attributes in [`message`], which is where `stun_codec` is used.
//!
//! Nothing here knows about agents, pairs, addresses of this machine or servers, and nothing
//! decides what a message means.

pub(crate) mod attribute;
mod binding;
pub(crate) mod embedded;
mod header;
mod hmac_sha1;
mod integrity;
pub(crate) mod long_term;
pub(crate) mod message;
pub(crate) mod method;
mod peek;
mod scan;
#[cfg(test)]
mod tests;
mod transaction;
pub(crate) mod turn;
mod write;

#[cfg(test)]
pub(crate) use binding::MalformedAttribute;
pub(crate) use binding::{CheckRequest, mapped_address, xor_mapped_address};
pub(crate) use header::{Class, TransactionId, is_stun};
#[cfg(test)]
pub(crate) use integrity::userhash;
pub(crate) use integrity::{IntegrityKey, IntegrityKeySha256};
pub(crate) use peek::{Peek, peek};
#[cfg(test)]
pub(crate) use scan::ScanError;
pub(crate) use scan::{Fingerprint, Scan, scan};
pub(crate) use transaction::{Due, Schedule};
pub(crate) use write::Writer;
