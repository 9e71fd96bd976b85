//! The server's side of the long-term credential mechanism (RFC 8489 §9.2.4).

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use hmac::{Hmac, Mac};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use sha2::Sha256;

use super::allocation::Client;
use super::config::{PasswordAlgorithm, TurnConfigError, TurnServerConfig};
use crate::stun::attribute::{
    NONCE, PASSWORD_ALGORITHM, PASSWORD_ALGORITHMS, REALM, USERHASH, USERNAME,
};
use crate::stun::long_term::{
    LongTerm, LongTermKey, NONCE_COOKIE_LEN, SecurityFeatures, password_algorithms, prepare_realm,
};
use crate::stun::{Scan, Writer};
use crate::time::Timestamp;

/// RFC 8489 §14.3: in bytes.
const MAX_USERNAME: usize = 508;
/// RFC 8489 §14.9: in characters.
const MAX_REALM: usize = 127;

#[derive(Clone, Debug)]
struct User {
    credentials: LongTerm,
    userhash: [u8; 32],
    md5: LongTermKey,
    sha256: LongTermKey,
}

/// Who may use the server, and the nonces that it gives.
#[derive(Clone, Debug)]
pub(super) struct Auth {
    users: Vec<User>,
    realm: String,
    algorithms: Vec<PasswordAlgorithm>,
    username_anonymity: bool,
    nonces: Nonces,
}

/// What makes an answer authentic.
#[derive(Clone, Debug)]
pub(super) enum Seal {
    /// Nothing: no credentials were looked at.
    None,
    /// MESSAGE-INTEGRITY
    Sha1(LongTermKey),
    /// MESSAGE-INTEGRITY-SHA256
    Sha256(LongTermKey),
}

/// Why a request is not authentic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// 400, without anything else.
    BadRequest,
    /// 401 with realm and nonce.
    Unauthenticated,
    /// 438 with realm and nonce.
    StaleNonce,
}

impl Auth {
    pub(super) fn new(
        config: &TurnServerConfig,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self, TurnConfigError> {
        let realm = prepare_realm(&config.realm).map_err(|_| TurnConfigError::Realm)?;
        if realm.chars().count() > MAX_REALM {
            return Err(TurnConfigError::Realm);
        }
        let mut users = Vec::<User>::new();
        for user in &config.users {
            let unusable = || TurnConfigError::User(user.username.clone());
            let credentials = LongTerm::new(&user.username, &config.realm, &user.password)
                .map_err(|_| unusable())?;
            if credentials.username().len() > MAX_USERNAME {
                return Err(unusable());
            }
            if users.iter().any(|other| other.credentials.username() == credentials.username()) {
                return Err(TurnConfigError::DuplicateUser(user.username.clone()));
            }
            users.push(User {
                userhash: credentials.userhash(),
                md5: credentials.key(PasswordAlgorithm::Md5),
                sha256: credentials.key(PasswordAlgorithm::Sha256),
                credentials,
            });
        }
        Ok(Self {
            users,
            realm,
            algorithms: config.password_algorithms.clone(),
            username_anonymity: config.username_anonymity,
            nonces: Nonces::new(rng),
        })
    }

    /// Whether anybody has credentials at all.
    pub(super) fn is_wanted(&self) -> bool {
        !self.users.is_empty()
    }

    pub(super) fn username(&self, user: usize) -> Option<&str> {
        self.users.get(user).map(|user| user.credentials.username())
    }

    /// No nonce that was given is valid any longer.
    pub(super) fn expire_nonces(&mut self, rng: &mut ChaCha8Rng) {
        self.nonces = Nonces::new(rng);
    }

    /// RFC 8489 §9.2.4: the checks in the order of the RFC. Of a request that passes, whose it is
    /// and how it is to be answered.
    pub(super) fn check(
        &self,
        scan: &Scan<'_>,
        client: &Client,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<(usize, Seal), Denied> {
        if !scan.has_integrity() && !scan.has_integrity_sha256() {
            return Err(Denied::Unauthenticated);
        }
        let username = scan.find(USERNAME);
        let userhash = scan.find(USERHASH).filter(|_| self.username_anonymity);
        let (Some(realm), Some(nonce), true) =
            (scan.find(REALM), scan.find(NONCE), username.is_some() || userhash.is_some())
        else {
            return Err(Denied::BadRequest);
        };
        let algorithm = self.algorithm(scan, nonce)?;
        let user = self.users.iter().position(|user| match (username, userhash) {
            (Some(username), _) => user.credentials.username().as_bytes() == username,
            (None, Some(userhash)) => user.userhash == userhash,
            (None, None) => false,
        });
        // A request for another realm is one with the credentials of another realm.
        let known = user
            .and_then(|index| Some((index, self.users.get(index)?)))
            .filter(|_| realm == self.realm.as_bytes());
        let Some((index, user)) = known else {
            return Err(Denied::Unauthenticated);
        };
        let key = match algorithm {
            Some(PasswordAlgorithm::Sha256) => &user.sha256,
            Some(PasswordAlgorithm::Md5) | None => &user.md5,
        };
        let authentic = if scan.has_integrity_sha256() {
            scan.verify_sha256(&key.sha256)
        } else {
            scan.verify(&key.sha1)
        };
        if !authentic {
            return Err(Denied::Unauthenticated);
        }
        if !self.nonces.is_valid(nonce, client, lifetime, now) {
            return Err(Denied::StaleNonce);
        }
        let seal = match algorithm {
            Some(_) => Seal::Sha256(key.clone()),
            None => Seal::Sha1(key.clone()),
        };
        Ok((index, seal))
    }

    /// REALM, NONCE and, when there is a choice, PASSWORD-ALGORITHMS: what 401 and 438 carry.
    pub(super) fn challenge(&self, writer: &mut Writer<'_>, client: &Client, now: Timestamp) {
        let nonce = self.nonces.make(self.features(), client, now);
        writer.attribute(REALM, self.realm.as_bytes()).attribute(NONCE, nonce.as_bytes());
        if !self.algorithms.is_empty() {
            writer.password_algorithms(&self.algorithms);
        }
    }

    fn features(&self) -> SecurityFeatures {
        SecurityFeatures {
            password_algorithms: !self.algorithms.is_empty(),
            username_anonymity: self.username_anonymity,
        }
    }

    /// The algorithm that the request names, if it names one and had to.
    fn algorithm(
        &self,
        scan: &Scan<'_>,
        nonce: &[u8],
    ) -> Result<Option<PasswordAlgorithm>, Denied> {
        if !SecurityFeatures::read(nonce).is_some_and(|features| features.password_algorithms) {
            return Ok(None);
        }
        match (scan.find(PASSWORD_ALGORITHMS), scan.find(PASSWORD_ALGORITHM)) {
            (None, None) => Ok(None),
            (Some(list), Some(chosen)) if list == password_algorithms(&self.algorithms) => {
                let chosen = PasswordAlgorithm::read(chosen);
                let chosen = chosen.filter(|chosen| self.algorithms.contains(chosen));
                chosen.map(Some).ok_or(Denied::BadRequest)
            }
            _ => Err(Denied::BadRequest),
        }
    }
}

/// Nonces that say themselves when and for whom they were made, so that none has to be kept.
#[derive(Clone, Debug)]
struct Nonces(Hmac<Sha256>);

/// When the nonce was made, in nanoseconds, in hexadecimal digits.
const ISSUED_LEN: usize = 16;
/// So many bytes of the tag are enough for nobody to guess it.
const TAG_LEN: usize = 16;

impl Nonces {
    fn new(rng: &mut ChaCha8Rng) -> Self {
        let mut secret = [0; 64];
        rng.fill_bytes(&mut secret);
        Self(Hmac::new(&secret.into()))
    }

    /// RFC 8489 §9.2.4: never the same for two source addresses, which are in the tag.
    fn make(&self, features: SecurityFeatures, client: &Client, now: Timestamp) -> String {
        let cookie = features.cookie();
        let mut nonce: String = cookie.iter().map(|c| char::from(*c)).collect();
        nonce.push_str(&hex(&now.as_nanos().to_be_bytes()));
        let tag = self.tag(nonce.as_bytes(), client);
        nonce.push_str(&tag);
        nonce
    }

    fn is_valid(&self, nonce: &[u8], client: &Client, lifetime: Duration, now: Timestamp) -> bool {
        let Some((said, tag)) = nonce.split_at_checked(NONCE_COOKIE_LEN.saturating_add(ISSUED_LEN))
        else {
            return false;
        };
        let issued = said
            .get(NONCE_COOKIE_LEN..)
            .and_then(|digits| core::str::from_utf8(digits).ok())
            .and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let genuine = self.tag(said, client).as_bytes() == tag;
        genuine && issued.is_some_and(|at| now < Timestamp::from_nanos(at) + lifetime)
    }

    fn tag(&self, said: &[u8], client: &Client) -> String {
        let mut mac = self.0.clone();
        mac.update(said);
        match client {
            Client::Datagram { local, remote } => {
                mac.update(b"datagram");
                absorb(&mut mac, *local);
                absorb(&mut mac, *remote);
            }
            Client::Stream { connection, remote } => {
                mac.update(b"stream");
                mac.update(&connection.to_be_bytes());
                absorb(&mut mac, *remote);
            }
        }
        let tag = mac.finalize().into_bytes();
        hex(tag.get(..TAG_LEN).unwrap_or_default())
    }
}

fn absorb(mac: &mut Hmac<Sha256>, addr: SocketAddr) {
    match addr.ip() {
        IpAddr::V4(ip) => mac.update(&ip.octets()),
        IpAddr::V6(ip) => mac.update(&ip.octets()),
    }
    mac.update(&addr.port().to_be_bytes());
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)]).collect()
}
