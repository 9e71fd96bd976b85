//! What TCP adds to messages that are made for datagrams: their frames on a stream (RFC 4571, RFC
//! 6544 §10.1).

mod framing;
#[cfg(test)]
mod tests;

#[cfg(test)]
use framing::TooLong;
pub(crate) use framing::{Deframer, frame_head};
