//! What of the application rides in checks and their answers: one packet, and the CRC-32 of packets
//! that have arrived (draft-hancke-webrtc-sped, with the attribute types of libwebrtc).

use smallvec::SmallVec;

use super::attribute::{EMBEDDED, EMBEDDED_ACK, u32};
use super::scan::Scan;
use super::write::Writer;

/// The draft's cap: so many of the newest packets are acknowledged in each message.
pub(crate) const ACKNOWLEDGED: usize = 4;

/// More entries than any peer sends are not looked at.
const READ: usize = 64;

/// The two attributes of a message, as far as it has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Embedded<'a> {
    packet: Option<&'a [u8]>,
    acknowledged: Option<&'a [u8]>,
}

impl<'a> Embedded<'a> {
    pub(crate) fn read(scan: &Scan<'a>) -> Self {
        Self { packet: scan.find(EMBEDDED), acknowledged: scan.find(EMBEDDED_ACK) }
    }

    /// The sender knows them, be it that it has nothing to say.
    pub(crate) const fn is_present(&self) -> bool {
        self.packet.is_some() || self.acknowledged.is_some()
    }

    /// The packet. An empty value is none: it only says that the sender knows the attribute.
    pub(crate) fn packet(&self) -> Option<&'a [u8]> {
        self.packet.filter(|packet| !packet.is_empty())
    }

    /// The CRC-32 of packets that the sender has. What is left over at the end is no entry.
    pub(crate) fn acknowledged(&self) -> impl Iterator<Item = u32> + use<'a> {
        let entries = self.acknowledged.unwrap_or_default().chunks_exact(4);
        entries.take(READ).filter_map(u32)
    }
}

/// Writes the acknowledgements, which may be none: the attribute itself says that this side knows it.
pub(crate) fn write_acknowledged(writer: &mut Writer<'_>, crcs: &[u32]) {
    let value: SmallVec<[u8; 4 * ACKNOWLEDGED]> =
        crcs.iter().flat_map(|crc| crc.to_be_bytes()).collect();
    writer.attribute(EMBEDDED_ACK, &value);
}

/// Writes a packet.
pub(crate) fn write_packet(writer: &mut Writer<'_>, packet: &[u8]) {
    writer.attribute(EMBEDDED, packet);
}

/// The bytes that [`write_packet`] adds to a message (RFC 8489 §14).
pub(crate) const fn packet_size(packet: usize) -> usize {
    (packet.saturating_add(3) & !3).saturating_add(4)
}
