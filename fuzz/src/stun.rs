//! Any bytes as a STUN message: the scan never sees more than there is, shows nothing that
//! integrity does not cover, and what it accepts can be written and read again.

mod turn;

use std::net::SocketAddr;

use frazil::fuzzing::{self, Message};

use super::wire;

const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

/// The first byte says what is done to the bytes behind it.
pub fn run(data: &[u8]) {
    let Some((&mode, bytes)) = data.split_first() else { return };
    match (mode, mode % 3) {
        (250.., _) => turn::run(bytes),
        (_, 0) => any(bytes),
        (_, 1) => any(&well_formed(bytes)),
        _ => sealed(bytes),
    }
}

/// The bytes with a header that is right.
fn well_formed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.truncate(wire::HEADER + 0xffff);
    bytes.resize(bytes.len().max(wire::HEADER).next_multiple_of(4), 0);
    bytes.truncate(wire::HEADER + 0xfffc);
    bytes[0] &= 0x3f;
    bytes[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
    let mut message = wire::Message { bytes };
    message.fix_length();
    message.bytes
}

/// What holds of everything that is received.
fn any(bytes: &[u8]) {
    let Ok(message) = Message::scan(bytes) else { return };
    assert!(fuzzing::is_stun(bytes));
    assert_eq!(usize::from(u16::from_be_bytes([bytes[2], bytes[3]])) + wire::HEADER, bytes.len());
    assert_eq!(Some(message.id()), wire::id(bytes));
    assert!(message.method() < 0x1000);

    // What is shown is a prefix of what is there, up to the first integrity attribute.
    let all = wire::attributes(bytes);
    let shown: Vec<_> = message.attributes().collect();
    assert!(all.len() <= 64);
    let seal = |kind: u16| {
        kind == wire::MESSAGE_INTEGRITY
            || kind == wire::MESSAGE_INTEGRITY_SHA256
            || kind == wire::FINGERPRINT
    };
    let expected: Vec<_> =
        all.iter().map(|&(_, kind, value)| (kind, value)).take_while(|(k, _)| !seal(*k)).collect();
    assert_eq!(shown, expected);
    for &(kind, _) in &shown {
        let first = shown.iter().find(|(other, _)| *other == kind).map(|(_, value)| *value);
        assert_eq!(message.find(kind), first);
    }
    assert!(message.unknown_required().all(|kind| kind < 0x8000));
    peeked(bytes, &message);

    // The verdict on integrity and FINGERPRINT is that of a second implementation.
    let (sha1, sha256) = message.verify(PASSWORD.as_bytes());
    assert!(!sha1 || message.has_integrity().0);
    assert!(!sha256 || message.has_integrity().1);
    assert!(!(sha1 || sha256) || wire::may_be_authentic(bytes, PASSWORD));
    let crc = all.iter().find(|(_, kind, _)| *kind == wire::FINGERPRINT).map(|&(at, ..)| {
        let mut again = wire::Message { bytes: bytes[..at].to_vec() };
        again.fingerprint();
        again.bytes == bytes
    });
    assert_eq!(message.fingerprint(), crc);

    read(&message);
    // Integrity and FINGERPRINT come on top, and more than 64 attributes nobody reads.
    if shown.len() > 62 {
        return;
    }
    let Some(again) = message.reencode(PASSWORD.as_bytes()) else { return };
    let second = Message::scan(&again).expect("what the crate has written is well-formed");
    assert_eq!((second.class(), second.id()), (message.class(), message.id()));
    assert_eq!(second.method(), message.method());
    assert_eq!(second.verify(PASSWORD.as_bytes()), (true, false));
    assert_eq!(second.fingerprint(), Some(true));
    let third = second.reencode(PASSWORD.as_bytes()).expect("what was encoded can be decoded");
    assert_eq!(third, again);
}

/// A look at whose a message is finds what the scan finds.
fn peeked(bytes: &[u8], message: &Message<'_>) {
    let is_check = message.class() == 0 && message.method() == 1;
    let username = wire::attributes(bytes).into_iter().find(|(_, kind, _)| *kind == wire::USERNAME);
    let ufrag = username.filter(|_| is_check).and_then(|(_, _, name)| {
        let colon = name.iter().position(|byte| *byte == b':')?;
        Some(&name[..colon])
    });
    let transaction = (message.class() >= 2).then(|| message.id());
    assert_eq!(fuzzing::peek(bytes), Some(fuzzing::Addressee { transaction, ufrag }));
}

/// Reads a message in every way there is.
fn read(message: &Message<'_>) {
    let turn = message.turn();
    let lifetime = message.find(wire::LIFETIME).and_then(|value| value.try_into().ok());
    assert_eq!(turn.lifetime, lifetime.map(u32::from_be_bytes));
    assert_eq!(turn.data.as_deref(), message.find(wire::DATA));
    assert!(turn.address_error.is_none_or(|(_, code)| (300..700).contains(&code)));
    if let Ok(check) = message.check() {
        assert_eq!(check.username, message.find(wire::USERNAME));
        assert_eq!(check.use_candidate, message.find(wire::USE_CANDIDATE).is_some());
        let priority = message.find(wire::PRIORITY).map(|value| value.try_into().unwrap());
        assert_eq!(check.priority, priority.map(u32::from_be_bytes));
    }
    let mapped = message.xor_mapped_address();
    assert!(mapped.is_none() || message.class() == 2);
    let plain = message.find(wire::MAPPED_ADDRESS).and_then(plain_address);
    let expected = mapped.or(plain).filter(|_| message.class() == 2);
    assert_eq!(message.mapped_address(), expected);
    if let Some(error) = message.error() {
        assert_eq!(message.class(), 3);
        assert!((300..700).contains(&error.code) && error.unknown.len() <= 64);
    }
}

/// RFC 8489 §14.1
fn plain_address(value: &[u8]) -> Option<SocketAddr> {
    let (&[_, family, p0, p1], ip) = value.split_first_chunk()?;
    let port = u16::from_be_bytes([p0, p1]);
    match (family, ip.len()) {
        (1, 4) => Some((<[u8; 4]>::try_from(ip).unwrap(), port).into()),
        (2, 16) => Some((<[u8; 16]>::try_from(ip).unwrap(), port).into()),
        _ => None,
    }
}

/// A message that is sealed by hand verifies and shows what was sealed; what is appended is not
/// shown; and whatever bit of it is altered, it verifies no longer.
fn sealed(bytes: &[u8]) {
    let Some((&[how, p0, p1], bytes)) = bytes.split_first_chunk() else { return };
    let mut message = wire::Message { bytes: well_formed(bytes) };
    // Room for the attributes to come.
    let Ok(base) = Message::scan(&message.bytes) else { return };
    let attributes: Vec<_> =
        base.attributes().map(|(kind, value)| (kind, value.to_vec())).collect();
    let count = wire::attributes(&message.bytes).len();
    if count > attributes.len() || count > 60 || message.bytes.len() > 60_000 {
        return;
    }
    let sha256 = how & 1 != 0;
    if sha256 {
        message.integrity_sha256(PASSWORD);
    } else {
        message.integrity(PASSWORD);
    }
    let end = message.bytes.len();
    if how & 2 != 0 {
        message.attribute(wire::USE_CANDIDATE, &[]);
    }
    if how & 4 != 0 {
        message.fingerprint();
    }
    any(&message.bytes);
    let scan = Message::scan(&message.bytes).expect("it is well-formed");
    assert_eq!(scan.has_integrity(), (!sha256, sha256));
    assert_eq!(scan.verify(PASSWORD.as_bytes()), (!sha256, sha256));
    assert_eq!(scan.verify(b"another password than this"), (false, false));
    assert_eq!(scan.fingerprint(), (how & 4 != 0).then_some(true));
    let shown: Vec<_> = scan.attributes().map(|(kind, value)| (kind, value.to_vec())).collect();
    assert_eq!(shown, attributes);

    let at = usize::from(u16::from_be_bytes([p0, p1])) % end;
    message.bytes[at] ^= 1 << (how >> 5);
    any(&message.bytes);
    if let Ok(scan) = Message::scan(&message.bytes) {
        assert_eq!(scan.verify(PASSWORD.as_bytes()), (false, false));
    }
}
