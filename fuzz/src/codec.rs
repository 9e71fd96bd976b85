//! The hot path against `stun_codec`: what one has written, the other reads alike.

use std::net::{IpAddr, SocketAddr};

use arbitrary::{Arbitrary, Unstructured};
use bytecodec::{DecodeExt, EncodeExt};
use frazil::Role;
use frazil::fuzzing::{self, Check, Message};
use stun_codec::rfc5245::attributes::{IceControlled, IceControlling, Priority, UseCandidate};
use stun_codec::rfc5389::attributes::{
    ErrorCode, Fingerprint, MessageIntegrity, UnknownAttributes, Username, XorMappedAddress,
};
use stun_codec::{
    AttributeType, Message as CodecMessage, MessageClass, MessageDecoder, MessageEncoder, Method,
    TransactionId, define_attribute_enums,
};

use super::wire;

define_attribute_enums!(
    Attribute,
    AttributeDecoder,
    AttributeEncoder,
    [
        Username,
        Priority,
        UseCandidate,
        IceControlled,
        IceControlling,
        XorMappedAddress,
        ErrorCode,
        UnknownAttributes,
        MessageIntegrity,
        Fingerprint
    ]
);

/// Binding, the only method of the hot path.
const BINDING: u16 = 1;

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Check { id: [u8; 12], check: CheckInput<'a>, password: &'a [u8] },
    Success { id: [u8; 12], ip: IpAddr, port: u16 },
    Error { id: [u8; 12], code: u16, reason: &'a str, unknown: Vec<u16> },
    Raw(Raw<'a>),
}

#[derive(Arbitrary, Debug)]
struct CheckInput<'a> {
    username: &'a str,
    priority: u32,
    use_candidate: bool,
    controlling: bool,
    tie_breaker: u64,
}

/// A message of attributes that need not be right.
#[derive(Arbitrary, Debug)]
struct Raw<'a> {
    class: u8,
    id: [u8; 12],
    attributes: Vec<(u8, &'a [u8])>,
}

/// The attributes that both sides have an opinion on.
const KINDS: [u16; 8] = [
    wire::USERNAME,
    wire::PRIORITY,
    wire::USE_CANDIDATE,
    wire::ICE_CONTROLLED,
    wire::ICE_CONTROLLING,
    wire::XOR_MAPPED_ADDRESS,
    wire::ERROR_CODE,
    0xd000,
];

pub fn run(data: &[u8]) {
    match Input::arbitrary_take_rest(Unstructured::new(data)) {
        Ok(Input::Check { id, check, password }) => {
            // Only a password that is text can be given to the codec.
            let password = String::from_utf8_lossy(password);
            our_check(id, &check, &password);
            codecs_check(id, &check, &password);
        }
        Ok(Input::Success { id, ip, port }) => success(id, SocketAddr::new(ip, port)),
        Ok(Input::Error { id, code, reason, unknown }) => error(id, code, reason, &unknown),
        Ok(Input::Raw(input)) => raw(&input),
        Err(_) => {}
    }
}

/// A check that the crate has written.
fn our_check(id: [u8; 12], input: &CheckInput<'_>, password: &str) {
    let CheckInput { username, priority, use_candidate, controlling, tie_breaker } = *input;
    let role = if controlling { Role::Controlling } else { Role::Controlled };
    let check = Check {
        username: Some(username.as_bytes()),
        priority: Some(priority),
        use_candidate,
        role: Some((role, tie_breaker)),
        nomination: Some(priority),
        network: use_candidate.then_some(priority & 0xffff_01ff),
    };
    let mut bytes = b"before".to_vec();
    let fits = fuzzing::write_check(&mut bytes, id, &check, password.as_bytes());
    if !fits {
        assert_eq!(bytes, b"before");
        assert!(username.len() > 60_000);
        return;
    }
    let bytes = bytes.strip_prefix(b"before").expect("it was appended");
    let ours = Message::scan(bytes).expect("it is well-formed");
    assert_eq!(ours.check(), Ok(check));
    if username.len() >= 513 {
        return; // Longer than the codec takes.
    }
    let codec = decode(bytes).expect("the codec reads it");
    assert_eq!(codec.class(), MessageClass::Request);
    assert_eq!(codec.transaction_id().as_bytes(), &id);
    let integrity: &MessageIntegrity = codec.get_attribute().expect("it is sealed");
    assert!(integrity.check_short_term_credential(password).is_ok());
    assert!(codec.get_attribute::<Fingerprint>().is_some());
    assert_same(&ours, &codec);
}

/// The same check, written by the codec.
fn codecs_check(id: [u8; 12], input: &CheckInput<'_>, password: &str) {
    let mut codec = message(MessageClass::Request, id);
    let Ok(username) = Username::new(input.username.to_owned()) else { return };
    codec.add_attribute(username);
    codec.add_attribute(Priority::new(input.priority));
    if input.use_candidate {
        codec.add_attribute(UseCandidate::new());
    }
    if input.controlling {
        codec.add_attribute(IceControlling::new(input.tie_breaker));
    } else {
        codec.add_attribute(IceControlled::new(input.tie_breaker));
    }
    let integrity = MessageIntegrity::new_short_term_credential(&codec, password);
    codec.add_attribute(integrity.expect("the codec seals it"));
    let fingerprint = Fingerprint::new(&codec).expect("the codec can compute it");
    codec.add_attribute(fingerprint);
    let bytes = encode(codec.clone());
    let ours = Message::scan(&bytes).expect("the codec writes well-formed messages");
    assert!(ours.verify(password.as_bytes()).0);
    assert_eq!(ours.fingerprint(), Some(true));
    assert_same(&ours, &codec);
}

fn success(id: [u8; 12], mapped: SocketAddr) {
    let mut bytes = Vec::new();
    assert!(fuzzing::write_success(&mut bytes, id, mapped, b"password"));
    let ours = Message::scan(&bytes).expect("it is well-formed");
    assert_eq!(ours.xor_mapped_address(), Some(mapped));
    assert_eq!((ours.verify(b"password"), ours.fingerprint()), ((false, true), Some(true)));
    assert_same(&ours, &decode(&bytes).expect("the codec reads it"));

    let mut codec = message(MessageClass::SuccessResponse, id);
    codec.add_attribute(XorMappedAddress::new(mapped));
    let bytes = encode(codec.clone());
    assert_same(&Message::scan(&bytes).expect("the codec writes well-formed messages"), &codec);
}

fn error(id: [u8; 12], code: u16, reason: &str, unknown: &[u16]) {
    let unknown = &unknown[..unknown.len().min(64)];
    let mut bytes = Vec::new();
    let fits = fuzzing::write_error(&mut bytes, id, code, unknown, Some(b"password"));
    assert_eq!(fits, (300..700).contains(&code));
    if fits {
        let ours = Message::scan(&bytes).expect("it is well-formed");
        assert_eq!(
            ours.error().map(|error| (error.code, error.unknown)),
            Some((code, unknown.to_vec()))
        );
        // The codec's reach ends at 599.
        if code < 600 {
            assert_same(&ours, &decode(&bytes).expect("the codec reads it"));
        }
    }
    let Ok(attribute) = ErrorCode::new(code, reason.to_owned()) else { return };
    let mut codec = message(MessageClass::ErrorResponse, id);
    codec.add_attribute(attribute);
    let unknown = unknown.iter().copied().map(AttributeType::new).collect();
    codec.add_attribute(UnknownAttributes::new(unknown));
    let bytes = encode(codec.clone());
    assert_same(&Message::scan(&bytes).expect("the codec writes well-formed messages"), &codec);
}

/// Whatever the codec can read, the crate reads alike.
fn raw(input: &Raw<'_>) {
    let class = [wire::REQUEST, wire::INDICATION, wire::SUCCESS, wire::ERROR];
    let mut bytes = wire::Message::new(class[usize::from(input.class % 4)], input.id);
    for &(kind, value) in input.attributes.iter().take(16) {
        let value = &value[..value.len().min(600)];
        bytes.attribute(KINDS[usize::from(kind) % KINDS.len()], value);
    }
    let ours = Message::scan(&bytes.bytes).expect("it is well-formed");
    if let Some(codec) = decode(&bytes.bytes) {
        assert_same(&ours, &codec);
    }
}

/// What both have read is the same.
fn assert_same(ours: &Message<'_>, codec: &CodecMessage<Attribute>) {
    let class = match codec.class() {
        MessageClass::Request => 0,
        MessageClass::Indication => 1,
        MessageClass::SuccessResponse => 2,
        MessageClass::ErrorResponse => 3,
    };
    assert_eq!((ours.class(), ours.method()), (class, codec.method().as_u16()));
    assert_eq!(&ours.id(), codec.transaction_id().as_bytes());

    let controlling = codec.get_attribute().map(IceControlling::prio);
    let controlled = codec.get_attribute().map(IceControlled::prio);
    let both = controlling.is_some() && controlled.is_some();
    match ours.check() {
        Ok(check) => {
            assert!(!both, "two roles at once");
            let username = codec.get_attribute().map(Username::name);
            assert_eq!(check.username, username.map(str::as_bytes));
            assert_eq!(check.priority, codec.get_attribute().map(Priority::prio));
            assert_eq!(check.use_candidate, codec.get_attribute::<UseCandidate>().is_some());
            let role = controlling.map(|tie_breaker| (Role::Controlling, tie_breaker));
            let role =
                role.or_else(|| controlled.map(|tie_breaker| (Role::Controlled, tie_breaker)));
            assert_eq!(check.role, role);
        }
        Err(_) => assert!(both, "the codec has found nothing wrong"),
    }
    let mapped = codec.get_attribute().map(XorMappedAddress::address);
    assert_eq!(ours.xor_mapped_address(), mapped.filter(|_| class == 2));
    let code = codec.get_attribute().map(ErrorCode::code).filter(|_| class == 3);
    assert_eq!(ours.error().map(|error| error.code), code);
}

fn message(class: MessageClass, id: [u8; 12]) -> CodecMessage<Attribute> {
    let method = Method::new(BINDING).expect("the codec knows it");
    CodecMessage::new(class, method, TransactionId::new(id))
}

fn encode(message: CodecMessage<Attribute>) -> Vec<u8> {
    MessageEncoder::default().encode_into_bytes(message).expect("the codec encodes its own")
}

fn decode(bytes: &[u8]) -> Option<CodecMessage<Attribute>> {
    MessageDecoder::default().decode_from_bytes(bytes).ok()?.ok()
}
