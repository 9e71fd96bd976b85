//! As much of a message as its way through a [`Mux`](crate::Mux) needs: whose it is. Whoever gets it
//! then scans it; nothing here says that it is well formed.

use super::attribute::USERNAME;
use super::header::{self, Class, HEADER_LEN, TransactionId};
use super::method;
use super::scan::{MAX_ATTRIBUTES, split_attribute};

/// What names the addressee of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peek<'a> {
    /// A Binding request, with the addressee's username fragment: its USERNAME up to the colon.
    Request(Option<&'a [u8]>),
    /// A response of any method.
    Response(TransactionId),
    /// Anything else that looks like STUN.
    Other,
}

/// Looks at a datagram; `None` when it is no STUN.
pub(crate) fn peek(bytes: &[u8]) -> Option<Peek<'_>> {
    if !header::is_stun(bytes) {
        return None;
    }
    let (&[t0, t1, _, _, _, _, _, _, ref id @ ..], body) =
        bytes.split_first_chunk::<HEADER_LEN>()?;
    let message_type = u16::from_be_bytes([t0, t1]);
    Some(match header::class(message_type) {
        Class::Request if header::method(message_type) == method::BINDING => {
            Peek::Request(username(body).and_then(addressee))
        }
        Class::Success | Class::Error => Peek::Response(TransactionId::new(*id)),
        Class::Request | Class::Indication => Peek::Other,
    })
}

/// The first USERNAME among no more attributes than a message may have.
fn username(mut body: &[u8]) -> Option<&[u8]> {
    for _ in 0..MAX_ATTRIBUTES {
        let (kind, value, rest) = split_attribute(body)?;
        if kind == USERNAME {
            return Some(value);
        }
        body = rest;
    }
    None
}

/// RFC 8445 §7.2.2: the part before the colon is that of the agent which the request is sent to.
fn addressee(username: &[u8]) -> Option<&[u8]> {
    let colon = username.iter().position(|&byte| byte == b':')?;
    username.get(..colon)
}
