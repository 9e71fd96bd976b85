//! The requests of a TURN client (RFC 8656 §7.1, §8.1, §10.1, §12.1).

use core::net::{IpAddr, SocketAddr};

use smallvec::SmallVec;

use crate::gather::Ask;
use crate::stun::attribute::{
    ADDITIONAL_ADDRESS_FAMILY, DONT_FRAGMENT, LIFETIME, REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT, XOR_PEER_ADDRESS,
};
use crate::stun::turn::{Family, UDP};
use crate::stun::{Writer, method};

/// Peers of one CreatePermission: with the credentials it stays below 548 bytes (RFC 8489 §6.1).
pub(super) const BATCH: usize = 8;

/// The families of the relayed addresses that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Families {
    V4,
    V6,
    /// Both, or the one that can be had (RFC 8656 §7.1).
    Both,
}

impl Families {
    pub(super) const fn contains(self, family: Family) -> bool {
        match self {
            Self::V4 => matches!(family, Family::V4),
            Self::V6 => matches!(family, Family::V6),
            Self::Both => true,
        }
    }
}

/// What a TURN server is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Request {
    Allocate {
        families: Families,
        dont_fragment: bool,
        lifetime: Option<u32>,
    },
    Refresh {
        lifetime: Option<u32>,
    },
    /// A Refresh with a lifetime of zero: of all relayed addresses, or of those of one family.
    Delete {
        family: Option<Family>,
    },
    CreatePermission(SmallVec<[IpAddr; BATCH]>),
    ChannelBind {
        channel: u16,
        peer: SocketAddr,
    },
}

impl Ask for Request {
    fn method(&self) -> u16 {
        match self {
            Self::Allocate { .. } => method::ALLOCATE,
            Self::Refresh { .. } | Self::Delete { .. } => method::REFRESH,
            Self::CreatePermission(_) => method::CREATE_PERMISSION,
            Self::ChannelBind { .. } => method::CHANNEL_BIND,
        }
    }

    fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Allocate { families, dont_fragment, lifetime } => {
                writer.first_of_four(REQUESTED_TRANSPORT, UDP);
                match families {
                    // The default, which servers of RFC 5766 understand.
                    Families::V4 => {}
                    Families::V6 => {
                        writer.first_of_four(REQUESTED_ADDRESS_FAMILY, Family::V6 as u8);
                    }
                    Families::Both => {
                        writer.first_of_four(ADDITIONAL_ADDRESS_FAMILY, Family::V6 as u8);
                    }
                }
                if *dont_fragment {
                    writer.flag(DONT_FRAGMENT);
                }
                write_lifetime(writer, *lifetime);
            }
            Self::Refresh { lifetime } => write_lifetime(writer, *lifetime),
            Self::Delete { family } => {
                writer.u32(LIFETIME, 0);
                if let Some(family) = family {
                    writer.first_of_four(REQUESTED_ADDRESS_FAMILY, *family as u8);
                }
            }
            Self::CreatePermission(ips) => {
                for ip in ips {
                    // The port "will be ignored and can be any arbitrary value": that of discard.
                    writer.xor_address(XOR_PEER_ADDRESS, SocketAddr::new(*ip, 9));
                }
            }
            Self::ChannelBind { channel, peer } => {
                writer.channel_number(*channel).xor_address(XOR_PEER_ADDRESS, *peer);
            }
        }
    }
}

fn write_lifetime(writer: &mut Writer<'_>, lifetime: Option<u32>) {
    if let Some(lifetime) = lifetime {
        writer.u32(LIFETIME, lifetime);
    }
}
