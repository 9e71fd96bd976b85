//! The attributes of TURN (RFC 8656 §18), each read from the bytes of one value and written with a
//! [`Writer`].
//!
//! A reader returns `None` for a value of the wrong size or with a part out of range. What is
//! reserved is not looked at.

use core::net::{IpAddr, SocketAddr};

use super::attribute::{self, DATA, DONT_FRAGMENT, XOR_PEER_ADDRESS};
#[cfg(any(test, feature = "sim"))]
use super::attribute::{ADDRESS_ERROR_CODE, ALTERNATE_SERVER, ICMP, UNKNOWN_ATTRIBUTES};
use super::header::{Class, HEADER_LEN, MAGIC_COOKIE, TransactionId, message_type};
#[cfg(any(test, feature = "sim"))]
use super::message;
use super::method;
use super::write::Writer;

/// RFC 8656 §18.8: UDP in REQUESTED-TRANSPORT.
pub(crate) const UDP: u8 = 17;

/// RFC 8489 §14.1: an address family, by the number that stands for it in attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Family {
    V4 = 0x01,
    V6 = 0x02,
}

impl Family {
    pub(crate) const fn of(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            0x01 => Some(Self::V4),
            0x02 => Some(Self::V6),
            _ => None,
        }
    }
}

/// RFC 8656 §18.13: what the ICMP attribute says. Figure 11 draws a type of seven bits and a code
/// of nine; servers in the field, and this crate, use a byte for each, as ICMP itself does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Icmp {
    pub(crate) kind: u8,
    pub(crate) code: u8,
    pub(crate) data: u32,
}

/// RFC 8656 §18.1: any number; which of them are channels is for
/// [`is_channel`](crate::turn::is_channel).
#[cfg(any(test, feature = "sim"))]
pub(crate) fn channel_number(value: &[u8]) -> Option<u16> {
    let &[n0, n1, _, _] = value else { return None };
    Some(u16::from_be_bytes([n0, n1]))
}

/// RFC 8656 §18.6, §18.8, §18.11: the first of four bytes, of which the others are reserved.
#[cfg(any(test, feature = "sim"))]
pub(crate) fn first_of_four(value: &[u8]) -> Option<u8> {
    let &[first, _, _, _] = value else { return None };
    Some(first)
}

/// RFC 8656 §18.7: the R bit.
#[cfg(any(test, feature = "sim"))]
pub(crate) fn even_port(value: &[u8]) -> Option<bool> {
    let &[flags] = value else { return None };
    Some(flags & 0x80 != 0)
}

impl Writer<'_> {
    /// RFC 8656 §18.1
    pub(crate) fn channel_number(&mut self, channel: u16) -> &mut Self {
        self.push(attribute::CHANNEL_NUMBER, &[&channel.to_be_bytes(), &[0; 2]])
    }

    /// RFC 8656 §18.6, §18.8, §18.11: one byte of meaning and three that are reserved.
    pub(crate) fn first_of_four(&mut self, kind: u16, first: u8) -> &mut Self {
        self.push(kind, &[&[first, 0, 0, 0]])
    }
}

/// What a server writes.
#[cfg(any(test, feature = "sim"))]
impl Writer<'_> {
    /// RFC 8656 §18.12: why there is no relayed address of this family.
    pub(crate) fn address_error_code(&mut self, family: Family, code: u16) -> &mut Self {
        let class = u8::try_from(code / 100).unwrap_or_default();
        let number = u8::try_from(code % 100).unwrap_or_default();
        let reason = message::reason(code).as_bytes();
        self.push(ADDRESS_ERROR_CODE, &[&[family as u8, 0, class, number], reason])
    }

    /// RFC 8656 §18.13
    pub(crate) fn icmp(&mut self, icmp: Icmp) -> &mut Self {
        self.push(ICMP, &[&[0, 0, icmp.kind, icmp.code], &icmp.data.to_be_bytes()])
    }

    /// RFC 8489 §14.15
    pub(crate) fn alternate_server(&mut self, addr: SocketAddr) -> &mut Self {
        let port = addr.port().to_be_bytes();
        match addr.ip() {
            IpAddr::V4(ip) => self.push(ALTERNATE_SERVER, &[&[0, 0x01], &port, &ip.octets()]),
            IpAddr::V6(ip) => self.push(ALTERNATE_SERVER, &[&[0, 0x02], &port, &ip.octets()]),
        }
    }

    /// RFC 8489 §14.13
    pub(crate) fn unknown_attributes(&mut self, kinds: &[u16]) -> &mut Self {
        let value: Vec<u8> = kinds.iter().flat_map(|kind| kind.to_be_bytes()).collect();
        self.push(UNKNOWN_ATTRIBUTES, &[&value])
    }
}

/// RFC 8656 §18.12: family and code, for a client that asked for both families.
pub(crate) fn address_error_code(value: &[u8]) -> Option<(Family, u16)> {
    let (code, _) = attribute::error_code(value)?;
    Some((Family::from_number(*value.first()?)?, code))
}

/// RFC 8656 §18.13
pub(crate) fn icmp(value: &[u8]) -> Option<Icmp> {
    let (&[_, _, kind, code], data) = value.split_first_chunk()?;
    Some(Icmp { kind, code, data: attribute::u32(data)? })
}

/// The longest head of a Send indication: to an IPv6 peer.
pub(crate) const MAX_SEND_HEAD: usize = 48;

/// RFC 8656 §11.1: all of a Send indication that stands before its data, and how long that is.
/// `None` when data of `len` bytes does not fit behind it. DONT-FRAGMENT means nothing to IPv6,
/// whose routers do not fragment, and is left out there.
pub(crate) fn send_head(
    id: &TransactionId,
    peer: SocketAddr,
    dont_fragment: bool,
    len: usize,
) -> Option<([u8; MAX_SEND_HEAD], usize)> {
    let addr = attribute::xor(peer, id);
    let mut head = [0; MAX_SEND_HEAD];
    let mut end = HEADER_LEN;
    let mut put = |bytes: &[u8]| {
        let next = end.saturating_add(bytes.len());
        head.get_mut(end..next)?.copy_from_slice(bytes);
        end = next;
        Some(())
    };
    put(&XOR_PEER_ADDRESS.to_be_bytes())?;
    match addr.ip() {
        IpAddr::V4(ip) => {
            put(&[0, 8, 0, Family::V4 as u8])?;
            put(&addr.port().to_be_bytes())?;
            put(&ip.octets())?;
            if dont_fragment {
                put(&DONT_FRAGMENT.to_be_bytes())?;
                put(&[0; 2])?;
            }
        }
        IpAddr::V6(ip) => {
            put(&[0, 20, 0, Family::V6 as u8])?;
            put(&addr.port().to_be_bytes())?;
            put(&ip.octets())?;
        }
    }
    put(&DATA.to_be_bytes())?;
    put(&u16::try_from(len).ok()?.to_be_bytes())?;
    let attributes = end.saturating_sub(HEADER_LEN).saturating_add(len.next_multiple_of(4));
    let (header, _) = head.split_first_chunk_mut::<HEADER_LEN>()?;
    let [t0, t1] = message_type(Class::Indication, method::SEND).to_be_bytes();
    let [l0, l1] = u16::try_from(attributes).ok()?.to_be_bytes();
    let [c0, c1, c2, c3] = MAGIC_COOKIE;
    let (start, rest) = header.split_first_chunk_mut::<8>()?;
    *start = [t0, t1, l0, l1, c0, c1, c2, c3];
    rest.copy_from_slice(id.as_bytes());
    Some((head, end))
}
