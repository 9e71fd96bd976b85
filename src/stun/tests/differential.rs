//! The hot path against `stun_codec`: on well-formed messages both see the same.
//!
//! The codec is used here with its own MESSAGE-INTEGRITY, FINGERPRINT and ERROR-CODE, which the
//! crate does not use.

use core::net::SocketAddr;

use bytecodec::{DecodeExt, EncodeExt};
use proptest::prelude::*;
use stun_codec::rfc5245::attributes::{IceControlled, IceControlling, Priority, UseCandidate};
use stun_codec::rfc5389::attributes::{
    ErrorCode, Fingerprint as CodecFingerprint, MappedAddress, MessageIntegrity, Username,
    XorMappedAddress,
};
use stun_codec::{
    Message, MessageClass, MessageDecoder, MessageEncoder, Method, RawAttribute,
    define_attribute_enums,
};

use super::super::{
    CheckRequest, Class, Fingerprint, IntegrityKey, TransactionId, Writer, attribute,
    mapped_address, message, method, scan, xor_mapped_address,
};
use super::{key, request};
use crate::candidate::network::Network;
use crate::config::Role;

define_attribute_enums!(
    Full,
    FullDecoder,
    FullEncoder,
    [
        Username,
        Priority,
        UseCandidate,
        IceControlled,
        IceControlling,
        XorMappedAddress,
        MappedAddress,
        ErrorCode,
        MessageIntegrity,
        CodecFingerprint
    ]
);

fn decode(bytes: &[u8]) -> Message<Full> {
    MessageDecoder::default().decode_from_bytes(bytes).unwrap().unwrap()
}

fn codec_message(class: MessageClass, id: [u8; 12]) -> Message<Full> {
    let id = stun_codec::TransactionId::new(id);
    Message::new(class, Method::new(method::BINDING).unwrap(), id)
}

/// An address as the codec keeps it: without scope and flow.
fn address() -> impl Strategy<Value = SocketAddr> {
    any::<SocketAddr>().prop_map(|addr| SocketAddr::new(addr.ip(), addr.port()))
}

type Check = (String, u32, bool, bool, u64);

fn check() -> impl Strategy<Value = Check> {
    ("[a-z0-9+/]{4,40}:[a-z0-9+/]{4,40}", any::<u32>(), any::<bool>(), any::<bool>(), any::<u64>())
}

proptest! {
    #[test]
    fn the_codecs_checks_are_read(
        (username, priority, use_candidate, controlling, tie_breaker) in check(),
        id in any::<[u8; 12]>(),
        password in "[a-z0-9+/]{22,80}",
    ) {
        let mut codec = codec_message(MessageClass::Request, id);
        codec.add_attribute(Username::new(username.clone()).unwrap());
        codec.add_attribute(Priority::new(priority));
        if use_candidate {
            codec.add_attribute(UseCandidate::new());
        }
        if controlling {
            codec.add_attribute(IceControlling::new(tie_breaker));
        } else {
            codec.add_attribute(IceControlled::new(tie_breaker));
        }
        let integrity =
            MessageIntegrity::new_short_term_credential(&codec, &password).unwrap();
        codec.add_attribute(integrity);
        let fingerprint = CodecFingerprint::new(&codec).unwrap();
        codec.add_attribute(fingerprint);
        let bytes = MessageEncoder::default().encode_into_bytes(codec).unwrap();

        let scan = scan(&bytes).unwrap();
        prop_assert_eq!((scan.class(), scan.method()), (Class::Request, method::BINDING));
        prop_assert_eq!(scan.transaction_id(), TransactionId::new(id));
        prop_assert!(scan.verify(&IntegrityKey::short_term(password.as_bytes())));
        prop_assert_eq!(scan.fingerprint(), Fingerprint::Good);
        let role = if controlling { Role::Controlling } else { Role::Controlled };
        prop_assert_eq!(CheckRequest::read(&scan), Ok(CheckRequest {
            username: Some(username.as_bytes()),
            priority: Some(priority),
            use_candidate,
            role: Some((role, tie_breaker)),
            nomination: None,
            network: None,
        }));
    }

    #[test]
    fn our_checks_are_read_by_the_codec(
        (username, priority, use_candidate, controlling, tie_breaker) in check(),
        id in any::<[u8; 12]>(),
        password in "[a-z0-9+/]{22,80}",
    ) {
        let role = if controlling { Role::Controlling } else { Role::Controlled };
        let check = CheckRequest {
            username: Some(username.as_bytes()),
            priority: Some(priority),
            use_candidate,
            role: Some((role, tie_breaker)),
            nomination: Some(1),
            network: Some(Network::new(3, 900)),
        };
        let mut bytes = Vec::new();
        let id = TransactionId::new(id);
        let mut writer = Writer::new(&mut bytes, Class::Request, method::BINDING, id);
        check.write(&mut writer);
        writer.integrity(&IntegrityKey::short_term(password.as_bytes())).fingerprint().finish();

        // The codec refuses the whole message when FINGERPRINT is wrong.
        let codec = decode(&bytes);
        prop_assert_eq!(codec.class(), MessageClass::Request);
        prop_assert_eq!(*codec.transaction_id().as_bytes(), *id.as_bytes());
        prop_assert!(codec.get_attribute::<CodecFingerprint>().is_some());
        let integrity = codec.get_attribute::<MessageIntegrity>().unwrap();
        prop_assert!(integrity.check_short_term_credential(&password).is_ok());
        prop_assert_eq!(codec.get_attribute().map(Username::name), Some(&username[..]));
        prop_assert_eq!(codec.get_attribute().map(Priority::prio), Some(priority));
        prop_assert_eq!(codec.get_attribute::<UseCandidate>().is_some(), use_candidate);
        prop_assert_eq!(
            codec.get_attribute().map(IceControlling::prio),
            controlling.then_some(tie_breaker)
        );
        prop_assert_eq!(
            codec.get_attribute().map(IceControlled::prio),
            (!controlling).then_some(tie_breaker)
        );
    }

    #[test]
    fn addresses_are_the_same_both_ways(
        addr in address(),
        plain in address(),
        id in any::<[u8; 12]>(),
    ) {
        let mut codec = codec_message(MessageClass::SuccessResponse, id);
        codec.add_attribute(MappedAddress::new(plain));
        let alone = MessageEncoder::default().encode_into_bytes(codec.clone()).unwrap();
        prop_assert_eq!(mapped_address(&scan(&alone).unwrap()), Some(plain));
        codec.add_attribute(XorMappedAddress::new(addr));
        let bytes = MessageEncoder::default().encode_into_bytes(codec).unwrap();
        prop_assert_eq!(xor_mapped_address(&scan(&bytes).unwrap()), Some(addr));

        let mut bytes = Vec::new();
        Writer::new(&mut bytes, Class::Success, method::BINDING, TransactionId::new(id))
            .xor_address(attribute::XOR_MAPPED_ADDRESS, addr)
            .integrity(&key())
            .finish();
        let read = decode(&bytes);
        prop_assert_eq!(read.get_attribute().map(XorMappedAddress::address), Some(addr));
    }

    /// An error response of ours, and one of the codec's.
    #[test]
    fn error_responses_are_the_same_both_ways(
        code in (300_u16..600),
        reason in "[a-zA-Z ]{0,60}",
        unknown in prop::collection::vec(any::<u16>(), 0..8),
        id in any::<[u8; 12]>(),
    ) {
        let mut bytes = Vec::new();
        let id = TransactionId::new(id);
        message::encode_error(&mut bytes, method::BINDING, id, code, &unknown, Some(&key()));
        let read = decode(&bytes);
        prop_assert_eq!(read.class(), MessageClass::ErrorResponse);
        prop_assert_eq!(read.get_attribute().map(ErrorCode::code), Some(code));
        let ours = message::read_error(&scan(&bytes).unwrap()).unwrap();
        prop_assert_eq!(&ours.unknown[..], &unknown[..]);

        let mut codec = codec_message(MessageClass::ErrorResponse, *id.as_bytes());
        codec.add_attribute(ErrorCode::new(code, reason).unwrap());
        let bytes = MessageEncoder::default().encode_into_bytes(codec).unwrap();
        let ours = message::read_error(&scan(&bytes).unwrap()).unwrap();
        prop_assert_eq!(ours.code, code);
    }

    /// Attributes that nobody knows: the same types and values in the same order.
    #[test]
    fn unknown_attributes_are_the_same(
        attributes in prop::collection::vec(
            (0xd000_u16..0xf000, prop::collection::vec(any::<u8>(), 0..40)),
            0..20,
        ),
        sealed in any::<bool>(),
    ) {
        let bytes = request(|w| {
            for (kind, value) in &attributes {
                w.attribute(*kind, value);
            }
            if sealed {
                w.integrity(&key()).u32(0xd000, 1).fingerprint();
            }
        });
        let scan = scan(&bytes).unwrap();
        let decoded = message::decode(&scan).unwrap();
        let codec: Vec<_> = decoded.unknown_attributes().map(RawAttribute::value).collect();
        let ours: Vec<_> = scan.attributes().map(|(_, value)| value).collect();
        prop_assert_eq!(codec, ours);
        prop_assert_eq!(scan.attributes().count(), attributes.len());
    }
}
