//! What the fuzz targets and the benches need of the private parts of the crate (feature `fuzzing`):
//! the reading and the writing of single STUN messages, on which the targets hold the crate against
//! other codecs, and whose cost the benches take.
//!
//! No part of the crate's interface. It may change with every release, and no one but the targets
//! in `fuzz/` and the benches should use it.

use core::net::SocketAddr;

#[cfg(feature = "sim")]
pub use self::turn::{Addressee, LongTermSecret, Turn, peek, send_head, write_turn};
use crate::candidate::network::Network;
use crate::config::Role;
use crate::stun::{
    self, CheckRequest, Class, Fingerprint, IntegrityKey, IntegrityKeySha256, Scan, TransactionId,
    Writer, attribute,
};

#[cfg(feature = "sim")]
mod turn;

/// A message that has passed the scan.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a>(Scan<'a>);

/// The attributes of a connectivity check; see there for what each is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Check<'a> {
    /// USERNAME.
    pub username: Option<&'a [u8]>,
    /// PRIORITY.
    pub priority: Option<u32>,
    /// USE-CANDIDATE.
    pub use_candidate: bool,
    /// The role of the sender, with its tie-breaker.
    pub role: Option<(Role, u64)>,
    /// NOMINATION.
    pub nomination: Option<u32>,
    /// NETWORK-INFO, as a number of 32 bits: a network and what it costs, at most 999.
    pub network: Option<u32>,
}

/// What an error response says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorResponse {
    /// ERROR-CODE.
    pub code: u16,
    /// UNKNOWN-ATTRIBUTES.
    pub unknown: Vec<u16>,
    /// ALTERNATE-SERVER.
    pub alternate_server: Option<SocketAddr>,
}

impl<'a> Message<'a> {
    /// The message, or in words why it is none.
    ///
    /// # Errors
    /// The bytes are not a message.
    pub fn scan(bytes: &'a [u8]) -> Result<Self, String> {
        stun::scan(bytes).map(Self).map_err(|error| format!("{error:?}"))
    }

    /// Request, indication, success or error: 0 to 3.
    #[must_use]
    pub const fn class(&self) -> u8 {
        match self.0.class() {
            Class::Request => 0,
            Class::Indication => 1,
            Class::Success => 2,
            Class::Error => 3,
        }
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> u16 {
        self.0.method()
    }

    /// The transaction id.
    #[must_use]
    pub const fn id(&self) -> [u8; 12] {
        *self.0.transaction_id().as_bytes()
    }

    /// Whether MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256 are there.
    #[must_use]
    pub const fn has_integrity(&self) -> (bool, bool) {
        (self.0.has_integrity(), self.0.has_integrity_sha256())
    }

    /// Whether MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256 were made with this password.
    #[must_use]
    pub fn verify(&self, password: &[u8]) -> (bool, bool) {
        let sha256 = IntegrityKeySha256::short_term(password);
        (self.0.verify(&IntegrityKey::short_term(password)), self.0.verify_sha256(&sha256))
    }

    /// Whether FINGERPRINT is right, if it is there.
    #[must_use]
    pub fn fingerprint(&self) -> Option<bool> {
        match self.0.fingerprint() {
            Fingerprint::Absent => None,
            Fingerprint::Good => Some(true),
            Fingerprint::Bad => Some(false),
        }
    }

    /// Types and values of the attributes that are shown.
    pub fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        self.0.attributes()
    }

    /// The value of the first attribute of a type.
    #[must_use]
    pub fn find(&self, kind: u16) -> Option<&'a [u8]> {
        self.0.find(kind)
    }

    /// The comprehension-required attributes that the crate does not know.
    pub fn unknown_required(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.0.unknown_required(attribute::is_known)
    }

    /// What a check carries, or the type of the attribute that is malformed.
    ///
    /// # Errors
    /// An attribute is malformed.
    pub fn check(&self) -> Result<Check<'a>, u16> {
        let read = CheckRequest::read(&self.0).map_err(|malformed| malformed.0)?;
        let CheckRequest { username, priority, use_candidate, role, nomination, network } = read;
        let network = network.map(Network::to_bits);
        Ok(Check { username, priority, use_candidate, role, nomination, network })
    }

    /// The address in the XOR-MAPPED-ADDRESS of a success response.
    #[must_use]
    pub fn xor_mapped_address(&self) -> Option<SocketAddr> {
        stun::xor_mapped_address(&self.0)
    }

    /// The address in a success response of a server, which may be in MAPPED-ADDRESS.
    #[cfg(feature = "sim")]
    #[must_use]
    pub fn mapped_address(&self) -> Option<SocketAddr> {
        stun::mapped_address(&self.0)
    }

    /// What an error response says.
    #[must_use]
    pub fn error(&self) -> Option<ErrorResponse> {
        let read = stun::message::read_error(&self.0)?;
        let (code, alternate_server) = (read.code, read.alternate_server);
        Some(ErrorResponse { code, unknown: read.unknown.to_vec(), alternate_server })
    }

    /// What becomes of the message when it is decoded into typed attributes and encoded again,
    /// sealed with MESSAGE-INTEGRITY and FINGERPRINT.
    #[must_use]
    pub fn reencode(&self, password: &[u8]) -> Option<Vec<u8>> {
        let decoded = stun::message::decode(&self.0).ok()?;
        let mut buf = Vec::new();
        let mut writer = stun::message::encode(&decoded, &mut buf)?;
        let range = writer.integrity(&IntegrityKey::short_term(password)).fingerprint().finish();
        (!range.is_empty()).then_some(buf)
    }
}

/// The key of MESSAGE-INTEGRITY that a password makes, prepared once as the agent does.
#[derive(Clone, Debug)]
pub struct Key(IntegrityKey);

impl Key {
    /// The key of a password.
    #[must_use]
    pub fn new(password: &[u8]) -> Self {
        Self(IntegrityKey::short_term(password))
    }
}

/// What a check carries, if the bytes are one that is authentic: scanned, verified and read as the
/// agent does it.
#[must_use]
pub fn read_check<'a>(bytes: &'a [u8], key: &Key) -> Option<Check<'a>> {
    let message = Message::scan(bytes).ok()?;
    let authentic = message.fingerprint() != Some(false) && message.0.verify(&key.0);
    let known = authentic && message.unknown_required().next().is_none();
    message.check().ok().filter(|_| known)
}

/// Appends a check, sealed with MESSAGE-INTEGRITY and FINGERPRINT. Whether it fitted.
pub fn write_check(buf: &mut Vec<u8>, id: [u8; 12], check: &Check<'_>, password: &[u8]) -> bool {
    write_check_with(buf, id, check, &Key::new(password))
}

/// The same with a key that has been prepared.
pub fn write_check_with(buf: &mut Vec<u8>, id: [u8; 12], check: &Check<'_>, key: &Key) -> bool {
    let Check { username, priority, use_candidate, role, nomination, network } = *check;
    let network = network.map(Network::from_bits);
    let mut writer = binding(buf, Class::Request, id);
    CheckRequest { username, priority, use_candidate, role, nomination, network }
        .write(&mut writer);
    !writer.integrity(&key.0).fingerprint().finish().is_empty()
}

/// Appends a success response that is sealed with MESSAGE-INTEGRITY-SHA256 and FINGERPRINT.
/// Whether it fitted.
pub fn write_success(buf: &mut Vec<u8>, id: [u8; 12], mapped: SocketAddr, password: &[u8]) -> bool {
    let mut writer = binding(buf, Class::Success, id);
    writer.xor_address(attribute::XOR_MAPPED_ADDRESS, mapped);
    let key = IntegrityKeySha256::short_term(password);
    !writer.integrity_sha256(&key).fingerprint().finish().is_empty()
}

/// Appends an error response to a Binding request. Whether it fitted.
pub fn write_error(
    buf: &mut Vec<u8>,
    id: [u8; 12],
    code: u16,
    unknown: &[u16],
    password: Option<&[u8]>,
) -> bool {
    let key = password.map(IntegrityKey::short_term);
    let id = TransactionId::new(id);
    let method = stun::method::BINDING;
    !stun::message::encode_error(buf, method, id, code, unknown, key.as_ref()).is_empty()
}

/// Whether bytes are taken for STUN and not for application data.
#[must_use]
pub const fn is_stun(bytes: &[u8]) -> bool {
    stun::is_stun(bytes)
}

fn binding(buf: &mut Vec<u8>, class: Class, id: [u8; 12]) -> Writer<'_> {
    Writer::new(buf, class, stun::method::BINDING, TransactionId::new(id))
}
