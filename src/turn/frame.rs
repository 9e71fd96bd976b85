//! Where messages end on a stream (RFC 8489 §6.2.2, RFC 8656 §12.5): STUN messages say
//! their length, ChannelData is padded to a multiple of four.

use super::channel_data::HEAD_LEN;

/// RFC 8489 §5
const STUN_HEADER_LEN: usize = 20;

/// What stands where a message should begin is none: the stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotTurn;

/// The length, padding included, of the message that begins with `bytes`; `None` while too little
/// is there to tell. At most 65,552: a STUN header and what 16 bits can count.
pub(crate) fn frame_len(bytes: &[u8]) -> Result<Option<usize>, NotTurn> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    match first {
        0x00..=0x3f => stun_len(bytes),
        0x40..=0x4f => {
            Ok(length(bytes)
                .map(|len| HEAD_LEN.saturating_add(usize::from(len)).next_multiple_of(4)))
        }
        _ => Err(NotTurn),
    }
}

fn stun_len(bytes: &[u8]) -> Result<Option<usize>, NotTurn> {
    let cookie = bytes.get(4..).unwrap_or_default();
    let sound =
        [0x21, 0x12, 0xa4, 0x42].iter().zip(cookie).all(|(expected, byte)| expected == byte);
    let len = length(bytes);
    if !sound || len.is_some_and(|len| len % 4 != 0) {
        return Err(NotTurn);
    }
    // Not before the cookie is there: what is no STUN must not make the reader wait for 64 kB.
    let whole = len.filter(|_| cookie.len() >= 4);
    Ok(whole.map(|len| STUN_HEADER_LEN.saturating_add(usize::from(len))))
}

/// The 16 bits at the same place in both kinds of messages.
fn length(bytes: &[u8]) -> Option<u16> {
    let &[_, _, l0, l1] = bytes.first_chunk()?;
    Some(u16::from_be_bytes([l0, l1]))
}
