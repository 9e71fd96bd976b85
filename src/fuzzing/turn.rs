//! The messages of servers: TURN's attributes and the long-term credentials.

use core::net::SocketAddr;

use super::Message;
use crate::stun::long_term::{LongTerm, LongTermKey, PasswordAlgorithm, SecurityFeatures};
use crate::stun::turn::{self, Family, Icmp};
use crate::stun::{self, Class, TransactionId, Writer, attribute};

/// What a message of TURN says in the attributes whose form this crate knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// CHANNEL-NUMBER.
    pub channel: Option<u16>,
    /// LIFETIME.
    pub lifetime: Option<u32>,
    /// REQUESTED-TRANSPORT.
    pub transport: Option<u8>,
    /// EVEN-PORT: the R bit.
    pub even_port: Option<bool>,
    /// XOR-PEER-ADDRESS.
    pub peer: Option<SocketAddr>,
    /// XOR-RELAYED-ADDRESS.
    pub relayed: Option<SocketAddr>,
    /// ADDRESS-ERROR-CODE: whether it is about IPv6, and the code.
    pub address_error: Option<(bool, u16)>,
    /// ICMP: type, code and data.
    pub icmp: Option<(u8, u8, u32)>,
    /// ALTERNATE-SERVER.
    pub alternate_server: Option<SocketAddr>,
    /// UNKNOWN-ATTRIBUTES; empty without.
    pub unknown: Vec<u16>,
    /// PASSWORD-ALGORITHM: whether it is SHA-256.
    pub sha256: Option<bool>,
    /// What a NONCE says of the server: that it has password algorithms, and anonymity.
    pub features: Option<(bool, bool)>,
    /// DATA.
    pub data: Option<Vec<u8>>,
}

impl Message<'_> {
    /// The attributes of TURN, as the crate reads each of them.
    #[must_use]
    pub fn turn(&self) -> Turn {
        let (scan, id) = (&self.0, self.0.transaction_id());
        let address = |kind| scan.find(kind).and_then(|value| attribute::xor_address(value, &id));
        let error = scan.find(attribute::ADDRESS_ERROR_CODE).and_then(turn::address_error_code);
        let icmp = scan.find(attribute::ICMP).and_then(turn::icmp);
        let unknown = scan.find(attribute::UNKNOWN_ATTRIBUTES).unwrap_or_default();
        let algorithm = scan.find(attribute::PASSWORD_ALGORITHM).and_then(PasswordAlgorithm::read);
        let features = scan.find(attribute::NONCE).and_then(SecurityFeatures::read);
        let one = |kind| scan.find(kind).and_then(turn::first_of_four);
        Turn {
            channel: scan.find(attribute::CHANNEL_NUMBER).and_then(turn::channel_number),
            lifetime: scan.find(attribute::LIFETIME).and_then(attribute::u32),
            transport: one(attribute::REQUESTED_TRANSPORT),
            even_port: scan.find(attribute::EVEN_PORT).and_then(turn::even_port),
            peer: address(attribute::XOR_PEER_ADDRESS),
            relayed: address(attribute::XOR_RELAYED_ADDRESS),
            address_error: error.map(|(family, code)| (family == Family::V6, code)),
            icmp: icmp.map(|Icmp { kind, code, data }| (kind, code, data)),
            alternate_server: scan.find(attribute::ALTERNATE_SERVER).and_then(attribute::address),
            unknown: unknown
                .chunks_exact(2)
                .filter_map(|kind| Some(u16::from_be_bytes(*kind.first_chunk()?)))
                .collect(),
            sha256: algorithm.map(|algorithm| algorithm == PasswordAlgorithm::Sha256),
            features: features
                .map(|features| (features.password_algorithms, features.username_anonymity)),
            data: scan.find(attribute::DATA).map(<[u8]>::to_vec),
        }
    }

    /// Whether MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256 were made with this key.
    #[must_use]
    pub fn verify_long_term(&self, key: &LongTermSecret) -> (bool, bool) {
        (self.0.verify(&key.key.sha1), self.0.verify_sha256(&key.key.sha256))
    }
}

/// Long-term credentials, with the key that one of the algorithms makes of them.
#[derive(Clone, Debug)]
pub struct LongTermSecret {
    credentials: LongTerm,
    algorithm: PasswordAlgorithm,
    key: LongTermKey,
}

impl LongTermSecret {
    /// None where OpaqueString does not allow one of the three.
    #[must_use]
    pub fn new(username: &str, realm: &str, password: &str, sha256: bool) -> Option<Self> {
        let credentials = LongTerm::new(username, realm, password).ok()?;
        let algorithm = if sha256 { PasswordAlgorithm::Sha256 } else { PasswordAlgorithm::Md5 };
        Some(Self { key: credentials.key(algorithm), credentials, algorithm })
    }

    /// USERHASH.
    #[must_use]
    pub fn userhash(&self) -> [u8; 32] {
        self.credentials.userhash()
    }

    /// The username as it is sent.
    #[must_use]
    pub fn username(&self) -> &str {
        self.credentials.username()
    }
}

/// Appends a message with the given attributes, sealed with both integrity attributes and
/// FINGERPRINT if there is a secret. Class: 0 to 3, as [`Message::class`] counts. Whether it fitted.
pub fn write_turn(
    buf: &mut Vec<u8>,
    (class, method): (u8, u16),
    id: [u8; 12],
    turn: &Turn,
    secret: Option<&LongTermSecret>,
) -> bool {
    let classes = [Class::Request, Class::Indication, Class::Success, Class::Error];
    let class = classes.get(usize::from(class)).copied().unwrap_or(Class::Error);
    let mut writer = Writer::new(buf, class, method, TransactionId::new(id));
    turn.write(&mut writer);
    if let Some(secret) = secret {
        let mut list = vec![PasswordAlgorithm::Md5, PasswordAlgorithm::Sha256];
        list.retain(|algorithm| *algorithm <= secret.algorithm);
        writer.password_algorithms(&list);
        writer.integrity(&secret.key.sha1).integrity_sha256(&secret.key.sha256).fingerprint();
    }
    !writer.finish().is_empty()
}

impl Turn {
    fn write(&self, writer: &mut Writer<'_>) {
        if let Some(channel) = self.channel {
            writer.channel_number(channel);
        }
        if let Some(lifetime) = self.lifetime {
            writer.u32(attribute::LIFETIME, lifetime);
        }
        if let Some(transport) = self.transport {
            writer.first_of_four(attribute::REQUESTED_TRANSPORT, transport);
        }
        if let Some(reserves) = self.even_port {
            writer.attribute(attribute::EVEN_PORT, &[u8::from(reserves) << 7]);
        }
        if let Some(peer) = self.peer {
            writer.xor_address(attribute::XOR_PEER_ADDRESS, peer);
        }
        if let Some(relayed) = self.relayed {
            writer.xor_address(attribute::XOR_RELAYED_ADDRESS, relayed);
        }
        if let Some((ipv6, code)) = self.address_error {
            writer.address_error_code(if ipv6 { Family::V6 } else { Family::V4 }, code);
        }
        if let Some((kind, code, data)) = self.icmp {
            writer.icmp(Icmp { kind, code, data });
        }
        if let Some(server) = self.alternate_server {
            writer.alternate_server(server);
        }
        if !self.unknown.is_empty() {
            writer.unknown_attributes(&self.unknown);
        }
        if let Some(sha256) = self.sha256 {
            let algorithm = if sha256 { PasswordAlgorithm::Sha256 } else { PasswordAlgorithm::Md5 };
            writer.password_algorithm(algorithm);
        }
        if let Some((password_algorithms, username_anonymity)) = self.features {
            let features = SecurityFeatures { password_algorithms, username_anonymity };
            writer.attribute(attribute::NONCE, &features.cookie());
        }
        if let Some(data) = &self.data {
            writer.attribute(attribute::DATA, data);
        }
    }
}

/// The beginning of a Send indication, before data of so many bytes; none when they do not fit.
#[must_use]
pub fn send_head(
    id: [u8; 12],
    peer: SocketAddr,
    dont_fragment: bool,
    len: usize,
) -> Option<Vec<u8>> {
    let (head, end) = turn::send_head(&TransactionId::new(id), peer, dont_fragment, len)?;
    head.get(..end).map(<[u8]>::to_vec)
}

/// Whose a message is, as far as a container of many agents looks at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addressee<'a> {
    /// The transaction of a response.
    pub transaction: Option<[u8; 12]>,
    /// The username fragment that a Binding request names.
    pub ufrag: Option<&'a [u8]>,
}

/// Looks at whose a message is; none when it is no STUN.
#[must_use]
pub fn peek(bytes: &[u8]) -> Option<Addressee<'_>> {
    Some(match stun::peek(bytes)? {
        stun::Peek::Request(ufrag) => Addressee { transaction: None, ufrag },
        stun::Peek::Response(id) => {
            Addressee { transaction: Some(*id.as_bytes()), ..Addressee::default() }
        }
        stun::Peek::Other => Addressee::default(),
    })
}
