//! What TURN (RFC 8656) adds to STUN messages: ChannelData, and how both follow each other on a
//! stream.

mod channel_data;
#[cfg_attr(
    not(test),
    expect(dead_code, unused_imports, reason = "for agents, which do not ask servers yet")
)]
mod client;
#[cfg_attr(not(test), expect(dead_code, reason = "for agents, which do not ask servers yet"))]
mod deframer;
mod frame;
#[cfg(test)]
mod tests;

pub(crate) use channel_data::{ChannelData, is_channel};
pub(crate) use frame::frame_len;
