//! ChannelData messages (RFC 8656 §12.4), read and written without a copy.

use core::ops::RangeInclusive;

/// RFC 8656 §12, table 2
const CHANNELS: RangeInclusive<u16> = 0x4000..=0x4fff;

/// The channel number and the length.
pub(crate) const HEAD_LEN: usize = 4;

/// Whether a channel may have this number.
pub(crate) fn is_channel(number: u16) -> bool {
    CHANNELS.contains(&number)
}

/// Application data on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChannelData<'a> {
    pub(crate) channel: u16,
    pub(crate) payload: &'a [u8],
}

/// Why bytes are not a ChannelData message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChannelDataError {
    /// No channel has this number (RFC 8656 §12, table 2).
    NoChannel,
    /// There are fewer bytes than the message claims to have.
    Short,
}

impl<'a> ChannelData<'a> {
    /// RFC 8656 §12.6: reads the message at the beginning of `bytes`. What follows is padding,
    /// which a datagram may have as well.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, ChannelDataError> {
        let (&[n0, n1, l0, l1], rest) =
            bytes.split_first_chunk::<HEAD_LEN>().ok_or(ChannelDataError::Short)?;
        let channel = u16::from_be_bytes([n0, n1]);
        if !is_channel(channel) {
            return Err(ChannelDataError::NoChannel);
        }
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let payload = rest.get(..len).ok_or(ChannelDataError::Short)?;
        Ok(Self { channel, payload })
    }

    /// What stands before a payload of `len` bytes; `None` when it is too long for the 16 bits of
    /// the length.
    pub(crate) fn head(channel: u16, len: usize) -> Option<[u8; HEAD_LEN]> {
        let [n0, n1] = channel.to_be_bytes();
        let [l0, l1] = u16::try_from(len).ok()?.to_be_bytes();
        Some([n0, n1, l0, l1])
    }

    /// RFC 8656 §12.5: the bytes that follow a payload of `len` bytes on a stream.
    pub(crate) const fn padding(len: usize) -> &'static [u8] {
        match len % 4 {
            1 => &[0; 3],
            2 => &[0; 2],
            3 => &[0; 1],
            _ => &[],
        }
    }
}
