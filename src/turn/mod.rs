//! What TURN (RFC 8656) adds to STUN messages: ChannelData, and how both follow each other on a
//! stream.

mod channel_data;
mod client;
mod deframer;
mod frame;
#[cfg(test)]
mod tests;

pub(crate) use channel_data::{ChannelData, is_channel};
pub(crate) use client::{
    Allocation, AllocationConfig, Fact, Families, FromServer, Head, PeerError,
};
pub(crate) use deframer::{Deframer, Frame};
#[cfg(any(test, feature = "sim"))]
pub(crate) use frame::frame_len;
