//! The long-term credential mechanism (RFC 8489 §9.2): prepared credentials and their keys, the
//! security features in a nonce, and the lists of password algorithms.

use core::fmt;

use precis_profiles::OpaqueString;
use precis_profiles::precis_core::profile::PrecisFastInvocation;

#[cfg(any(test, feature = "sim"))]
use super::attribute::PASSWORD_ALGORITHMS;
use super::integrity::{IntegrityKey, IntegrityKeySha256, userhash};
use super::write::Writer;

/// RFC 8489 §9.2: what a nonce begins with when its server knows this RFC.
const COOKIE: &[u8; 9] = b"obMatJos2";

/// RFC 8489 §9.2: the cookie with the security features behind it.
#[cfg(any(test, feature = "sim"))]
pub(crate) const NONCE_COOKIE_LEN: usize = 13;

/// How the key of the long-term mechanism is made of the password (RFC 8489 §18.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(not(feature = "sim"), expect(unreachable_pub, reason = "the simulation's servers"))]
pub enum PasswordAlgorithm {
    /// MD5, as before RFC 8489.
    Md5,
    /// SHA-256.
    Sha256,
}

impl PasswordAlgorithm {
    const fn number(self) -> u16 {
        match self {
            Self::Md5 => 0x0001,
            Self::Sha256 => 0x0002,
        }
    }

    /// RFC 8489 §14.12: PASSWORD-ALGORITHM. `None` for one that is not known or that has
    /// parameters, since those that are known have none.
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        match value {
            [0, 1, 0, 0] => Some(Self::Md5),
            [0, 2, 0, 0] => Some(Self::Sha256),
            _ => None,
        }
    }
}

/// The security features that a server announces in the nonce (RFC 8489 §18.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SecurityFeatures {
    /// Bit 0: it sends PASSWORD-ALGORITHMS.
    pub(crate) password_algorithms: bool,
    /// Bit 1: it takes USERHASH in place of USERNAME.
    pub(crate) username_anonymity: bool,
}

impl SecurityFeatures {
    /// The beginning of a nonce that announces these features.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn cookie(self) -> [u8; NONCE_COOKIE_LEN] {
        // Both bits are in the first of the four base64 characters: values 32 and 16.
        let first = match (self.password_algorithms, self.username_anonymity) {
            (false, false) => b'A',
            (false, true) => b'Q',
            (true, false) => b'g',
            (true, true) => b'w',
        };
        let [c0, c1, c2, c3, c4, c5, c6, c7, c8] = *COOKIE;
        [c0, c1, c2, c3, c4, c5, c6, c7, c8, first, b'A', b'A', b'A']
    }

    /// The features that a nonce announces; `None` without a cookie. Bits that are not assigned
    /// are not looked at.
    pub(crate) fn read(nonce: &[u8]) -> Option<Self> {
        let features = nonce.strip_prefix(COOKIE)?.first_chunk::<4>()?;
        let &[first, _, _, _] = features;
        if !features.iter().all(|c| base64(*c).is_some()) {
            return None;
        }
        let bits = base64(first)?;
        Some(Self { password_algorithms: bits & 0x20 != 0, username_anonymity: bits & 0x10 != 0 })
    }
}

/// The value of one character (RFC 4648 §4).
const fn base64(c: u8) -> Option<u8> {
    match c {
        b'A'..=b'Z' => Some(c.saturating_sub(b'A')),
        b'a'..=b'z' => Some(c.saturating_sub(b'a').saturating_add(26)),
        b'0'..=b'9' => Some(c.saturating_sub(b'0').saturating_add(52)),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// A text that OpaqueString (RFC 8265 §4.2) does not allow: it is empty or has characters that
/// cannot be in a password, such as controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotOpaque;

/// A username, realm and password as they go into keys (RFC 8489 §9.2.2).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct LongTerm {
    username: String,
    realm: String,
    password: String,
}

impl LongTerm {
    /// Prepares what was configured: without quotes around name and realm, without trailing
    /// nulls, as OpaqueString.
    pub(crate) fn new(username: &str, realm: &str, password: &str) -> Result<Self, NotOpaque> {
        Ok(Self {
            username: opaque(unquoted(username))?,
            realm: prepare_realm(realm)?,
            password: opaque(password.trim_end_matches('\0'))?,
        })
    }

    pub(crate) fn username(&self) -> &str {
        &self.username
    }

    /// RFC 8489 §14.4
    pub(crate) fn userhash(&self) -> [u8; 32] {
        userhash(self.username.as_bytes(), self.realm.as_bytes())
    }

    /// The key that `algorithm` makes, prepared for either integrity attribute.
    pub(crate) fn key(&self, algorithm: PasswordAlgorithm) -> LongTermKey {
        let (username, realm) = (self.username.as_bytes(), self.realm.as_bytes());
        let password = self.password.as_bytes();
        match algorithm {
            PasswordAlgorithm::Md5 => LongTermKey {
                sha1: IntegrityKey::long_term_md5(username, realm, password),
                sha256: IntegrityKeySha256::long_term_md5(username, realm, password),
            },
            PasswordAlgorithm::Sha256 => LongTermKey {
                sha1: IntegrityKey::long_term_sha256(username, realm, password),
                sha256: IntegrityKeySha256::long_term_sha256(username, realm, password),
            },
        }
    }
}

impl fmt::Debug for LongTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongTerm")
            .field("username", &self.username)
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

/// One key for both integrity attributes.
#[derive(Clone, Debug)]
pub(crate) struct LongTermKey {
    pub(crate) sha1: IntegrityKey,
    pub(crate) sha256: IntegrityKeySha256,
}

/// A realm in the form in which servers send it and keys contain it.
pub(crate) fn prepare_realm(realm: &str) -> Result<String, NotOpaque> {
    opaque(unquoted(realm))
}

/// RFC 8489 §9.2.2: the form in which usernames, realms and passwords are compared and hashed.
fn opaque(text: &str) -> Result<String, NotOpaque> {
    OpaqueString::enforce(text).map(Into::into).map_err(|_| NotOpaque)
}

/// RFC 8489 §9.2.2: "with any quotes and trailing nulls removed".
fn unquoted(text: &str) -> &str {
    let text = text.trim_end_matches('\0');
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

impl Writer<'_> {
    /// RFC 8489 §14.11: in the order of preference.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn password_algorithms(&mut self, algorithms: &[PasswordAlgorithm]) -> &mut Self {
        self.push(PASSWORD_ALGORITHMS, &[&password_algorithms(algorithms)])
    }

    /// RFC 8489 §14.12
    pub(crate) fn password_algorithm(&mut self, algorithm: PasswordAlgorithm) -> &mut Self {
        self.push(super::attribute::PASSWORD_ALGORITHM, &[&password_algorithms(&[algorithm])])
    }
}

/// RFC 8489 §14.11: the value of PASSWORD-ALGORITHMS.
pub(crate) fn password_algorithms(algorithms: &[PasswordAlgorithm]) -> Vec<u8> {
    algorithms
        .iter()
        .flat_map(|algorithm| {
            let [n0, n1] = algorithm.number().to_be_bytes();
            [n0, n1, 0, 0]
        })
        .collect()
}
