//! Error responses and control messages, as typed attributes of `stun_codec`.
//!
//! The codec sees only what [`scan`](super::scan()) has let through: of a scanned message the part
//! that integrity covers, with the length set to that part, up to a size, by a decoder of its own
//! (one that has failed once keeps failing). Integrity, FINGERPRINT and the attributes whose text
//! it is too strict about (SOFTWARE, ERROR-CODE, NONCE) are not among its attributes: they are
//! read from the scan and written by the [`Writer`].

use core::net::SocketAddr;
use core::ops::Range;

use bytecodec::{DecodeExt, EncodeExt};
use smallvec::SmallVec;
use stun_codec::define_attribute_enums;
use stun_codec::rfc5245::attributes::{IceControlled, IceControlling, Priority, UseCandidate};
use stun_codec::rfc5389::attributes::{
    AlternateServer, MappedAddress, Realm, UnknownAttributes, Username, XorMappedAddress,
};
use stun_codec::rfc5766::attributes::{
    ChannelNumber, DontFragment, EvenPort, Lifetime, RequestedTransport, ReservationToken,
    XorPeerAddress, XorRelayAddress,
};
use stun_codec::rfc8656::attributes::{AdditionalAddressFamily, RequestedAddressFamily};
use stun_codec::{AttributeType, Message, MessageClass, MessageDecoder, MessageEncoder, Method};

use super::attribute::{self, ERROR_CODE};
use super::header::{Class, HEADER_LEN, TransactionId};
use super::integrity::IntegrityKey;
use super::method;
use super::scan::{MAX_ATTRIBUTES, Scan};
use super::write::Writer;

define_attribute_enums!(
    Attribute,
    AttributeDecoder,
    AttributeEncoder,
    [
        MappedAddress,
        Username,
        UnknownAttributes,
        Realm,
        XorMappedAddress,
        AlternateServer,
        Priority,
        UseCandidate,
        IceControlled,
        IceControlling,
        ChannelNumber,
        Lifetime,
        XorPeerAddress,
        XorRelayAddress,
        RequestedAddressFamily,
        EvenPort,
        RequestedTransport,
        DontFragment,
        ReservationToken,
        AdditionalAddressFamily
    ]
);

/// The longest message that is decoded here. Control messages fit into a packet.
const MAX_LEN: usize = 2048;

/// Why a message was not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// The method is none of STUN or TURN.
    UnknownMethod,
    /// It is longer than any control message.
    TooLong,
    /// A known attribute has a value that it cannot have.
    BrokenAttribute,
}

/// What an error response says (RFC 8489 §6.3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ErrorResponse {
    /// ERROR-CODE, 300 to 699.
    pub(crate) code: u16,
    /// UNKNOWN-ATTRIBUTES, which come with 420.
    pub(crate) unknown: SmallVec<[u16; 4]>,
    /// ALTERNATE-SERVER, which comes with 300.
    pub(crate) alternate_server: Option<SocketAddr>,
}

/// Reads an error response. `None` for any other class, and for a response without a sound
/// ERROR-CODE or with a broken attribute: the transaction has failed then (RFC 8489 §6.3.4).
pub(crate) fn read_error(scan: &Scan<'_>) -> Option<ErrorResponse> {
    if scan.class() != Class::Error {
        return None;
    }
    let (code, _) = attribute::error_code(scan.find(ERROR_CODE)?)?;
    let message = decode(scan).ok()?;
    let unknown = message.get_attribute().map(UnknownAttributes::unknowns).unwrap_or_default();
    Some(ErrorResponse {
        code,
        unknown: unknown.iter().take(MAX_ATTRIBUTES).map(|kind| kind.as_u16()).collect(),
        alternate_server: message.get_attribute().map(AlternateServer::address),
    })
}

/// Appends an error response with FINGERPRINT, and with MESSAGE-INTEGRITY when the request was
/// authenticated (RFC 8489 §6.3.1.1, §9.1.3). Empty when there can be no such response.
pub(crate) fn encode_error(
    buf: &mut Vec<u8>,
    method: u16,
    id: TransactionId,
    code: u16,
    unknown: &[u16],
    key: Option<&IntegrityKey>,
) -> Range<usize> {
    let start = buf.len();
    let Some(mut writer) = begin_error(buf, method, id, code, unknown) else {
        return start..start;
    };
    if let Some(key) = key {
        writer.integrity(key);
    }
    writer.fingerprint().finish()
}

/// The part of [`encode_error`] before the integrity attribute: for a request that came with
/// MESSAGE-INTEGRITY-SHA256 and is answered with the same (RFC 8489 §9.1.3).
pub(crate) fn begin_error<'b>(
    buf: &'b mut Vec<u8>,
    method: u16,
    id: TransactionId,
    code: u16,
    unknown: &[u16],
) -> Option<Writer<'b>> {
    let mut message = new(Class::Error, method, id)?;
    if !unknown.is_empty() {
        let unknown = unknown.iter().copied().map(AttributeType::new).collect();
        message.add_attribute(UnknownAttributes::new(unknown));
    }
    let mut writer = encode(&message, buf)?;
    writer.error_code(code, reason(code));
    Some(writer)
}

/// A message without attributes, of a method that the codec can encode: it garbles those from
/// 0x10 up.
pub(crate) fn new(class: Class, method: u16, id: TransactionId) -> Option<Message<Attribute>> {
    let class = match class {
        Class::Request => MessageClass::Request,
        Class::Indication => MessageClass::Indication,
        Class::Success => MessageClass::SuccessResponse,
        Class::Error => MessageClass::ErrorResponse,
    };
    let method = method::is_known(method).then(|| Method::new(method).ok())??;
    Some(Message::new(class, method, stun_codec::TransactionId::new(*id.as_bytes())))
}

/// Decodes the attributes that [`Scan::attributes`] shows.
pub(crate) fn decode(scan: &Scan<'_>) -> Result<Message<Attribute>, DecodeError> {
    let shown = scan.shown();
    if !method::is_known(scan.method()) {
        return Err(DecodeError::UnknownMethod);
    }
    if shown.len() > MAX_LEN {
        return Err(DecodeError::TooLong);
    }
    let mut copy = SmallVec::<[u8; 256]>::from_slice(shown);
    if let Some([_, _, l0, l1, ..]) = copy.first_chunk_mut::<HEADER_LEN>() {
        let len = shown.len().saturating_sub(HEADER_LEN);
        [*l0, *l1] = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
    }
    match MessageDecoder::default().decode_from_bytes(&copy) {
        Ok(Ok(message)) => Ok(message),
        Ok(Err(_)) | Err(_) => Err(DecodeError::BrokenAttribute),
    }
}

/// Appends the encoded message; what the codec does not write is added with the writer. `None`
/// when an attribute cannot be encoded.
pub(crate) fn encode<'b>(message: &Message<Attribute>, buf: &'b mut Vec<u8>) -> Option<Writer<'b>> {
    if !method::is_known(message.method().as_u16()) {
        return None;
    }
    let id = TransactionId::new(*message.transaction_id().as_bytes());
    let encoded = MessageEncoder::default().encode_into_bytes(message.clone()).ok()?;
    Some(Writer::resume(buf, id, &encoded))
}

/// RFC 8489 §14.8, RFC 8445 §7.3.1.1, RFC 8656 §19: the phrases that the RFCs recommend.
pub(crate) const fn reason(code: u16) -> &'static str {
    match code {
        300 => "Try Alternate",
        400 => "Bad Request",
        401 => "Unauthenticated",
        403 => "Forbidden",
        420 => "Unknown Attribute",
        437 => "Allocation Mismatch",
        438 => "Stale Nonce",
        440 => "Address Family not Supported",
        441 => "Wrong Credentials",
        442 => "Unsupported Transport Protocol",
        443 => "Peer Address Family Mismatch",
        486 => "Allocation Quota Reached",
        487 => "Role Conflict",
        500 => "Server Error",
        508 => "Insufficient Capacity",
        _ => "",
    }
}
