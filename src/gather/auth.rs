//! The client's side of the long-term credential mechanism (RFC 8489 §9.2.3, §9.2.5).
//!
//! A challenge and the credentials make a [`Proof`], with the keys prepared once. A request holds
//! the proof that it was sent with, so that it is repeated as it was and its answer is judged by
//! what it was made with, whatever the server has said since.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::time::Duration;
use std::sync::Arc;

use super::outcome::Rejected;
use crate::stun::attribute::{NONCE, PASSWORD_ALGORITHMS, REALM, USERHASH};
use crate::stun::long_term::{LongTerm, LongTermKey, PasswordAlgorithm, SecurityFeatures};
use crate::stun::{Scan, Writer};
use crate::time::Timestamp;

/// RFC 8489 §14.3: in bytes.
const MAX_USERNAME: usize = 508;
/// RFC 8489 §14.9, §14.10: what a client takes, in bytes.
const MAX_TEXT: usize = 763;
/// Sixteen algorithms without parameters; two are known.
const MAX_ALGORITHMS: usize = 64;

/// A username and password for a server, which may have an end.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct LongTermCredentials {
    username: Box<str>,
    password: Box<str>,
    expires: Option<Timestamp>,
}

/// The username is longer than 508 bytes (RFC 8489 §14.3), or one of both has no form as
/// OpaqueString (RFC 8265).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnusableCredentials;

impl LongTermCredentials {
    pub(crate) fn new(username: &str, password: &str) -> Result<Self, UnusableCredentials> {
        let prepared =
            LongTerm::new(username, "realm", password).map_err(|_| UnusableCredentials)?;
        if prepared.username().len() > MAX_USERNAME {
            return Err(UnusableCredentials);
        }
        Ok(Self { username: username.into(), password: password.into(), expires: None })
    }

    /// Credentials whose username says until when they are valid, in seconds of the Unix time,
    /// of which it is `unix_now` when it is `now` (draft-uberti-rtcweb-turn-rest-00 §2.2). A
    /// username that says nothing of the sort has no end.
    pub(crate) fn with_expiry_in_username(mut self, now: Timestamp, unix_now: u64) -> Self {
        let said = self.username.split(':').next().and_then(|secs| secs.parse::<u64>().ok());
        self.expires = said.map(|secs| now + Duration::from_secs(secs.saturating_sub(unix_now)));
        self
    }

    /// Credentials that are valid until then.
    pub(crate) const fn until(mut self, expires: Timestamp) -> Self {
        self.expires = Some(expires);
        self
    }

    pub(crate) const fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    #[cfg(feature = "replay")]
    pub(crate) fn parts(&self) -> (&str, &str, Option<Timestamp>) {
        (&self.username, &self.password, self.expires)
    }
}

impl fmt::Debug for LongTermCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongTermCredentials")
            .field("username", &self.username)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// What a request carries to show who sent it.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    credentials: LongTerm,
    /// Which credentials these are, counted from the first.
    edition: u32,
    /// RFC 8489 §9.2.5: the username anonymity bit was set.
    anonymous: bool,
    realm: Box<[u8]>,
    nonce: Box<[u8]>,
    /// PASSWORD-ALGORITHMS as they came, and the first that is known. Without, the server is one
    /// of RFC 5389.
    algorithms: Option<(Box<[u8]>, PasswordAlgorithm)>,
    key: LongTermKey,
}

impl Proof {
    /// Ends a request with its credentials (RFC 8489 §9.2.3.2).
    pub(crate) fn seal(&self, writer: &mut Writer<'_>) {
        if self.anonymous {
            writer.attribute(USERHASH, &self.credentials.userhash());
        } else {
            writer.username(&[self.credentials.username().as_bytes()]);
        }
        writer.attribute(REALM, &self.realm).attribute(NONCE, &self.nonce);
        match &self.algorithms {
            Some((list, chosen)) => writer
                .attribute(PASSWORD_ALGORITHMS, list)
                .password_algorithm(*chosen)
                .integrity_sha256(&self.key.sha256),
            None => writer.integrity(&self.key.sha1),
        };
    }

    /// RFC 8489 §9.2.5: whether the answer was made by somebody who knows the password. With
    /// PASSWORD-ALGORITHMS it is MESSAGE-INTEGRITY-SHA256 alone that counts.
    pub(crate) fn verifies(&self, scan: &Scan<'_>) -> bool {
        if self.algorithms.is_some() || scan.has_integrity_sha256() {
            scan.verify_sha256(&self.key.sha256)
        } else {
            scan.verify(&self.key.sha1)
        }
    }

    const fn algorithm(&self) -> PasswordAlgorithm {
        match self.algorithms {
            Some((_, chosen)) => chosen,
            None => PasswordAlgorithm::Md5,
        }
    }
}

impl Hash for Proof {
    /// All that the key is made of but the password, which belongs to the credentials that
    /// `edition` counts.
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.edition, self.anonymous, &self.realm, &self.nonce).hash(state);
        self.algorithms.as_ref().map(|(list, _)| list).hash(state);
    }
}

/// What is to be done about a 401 or 438.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Challenged {
    /// Ask again, with the proof that there is now.
    Again,
    /// There is nothing else to show.
    Failed,
}

/// Who asks, and how to prove it to one server.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Auth {
    credentials: Option<LongTermCredentials>,
    edition: u32,
    /// Credentials of another user, for when those in use are refused: what has been allocated
    /// belongs to its username (RFC 8656 §5).
    staged: Option<LongTermCredentials>,
    proof: Option<Arc<Proof>>,
}

impl Auth {
    pub(crate) const fn new(credentials: Option<LongTermCredentials>) -> Self {
        Self { credentials, edition: 0, staged: None, proof: None }
    }

    pub(crate) const fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// When the newest credentials end.
    pub(crate) fn expires(&self) -> Option<Timestamp> {
        self.staged.as_ref().or(self.credentials.as_ref())?.expires()
    }

    pub(super) fn proof(&self) -> Option<Arc<Proof>> {
        self.proof.clone()
    }

    /// Forgets what the server has said: the next request is the first one again.
    pub(crate) fn reset(&mut self) {
        self.proof = None;
        self.promote();
    }

    /// New credentials, in force at once, unless they are another user's and `keeps_user` says
    /// that the name must stay as long as the server takes it.
    pub(crate) fn update(&mut self, credentials: LongTermCredentials, keeps_user: bool) {
        let same =
            self.credentials.as_ref().is_some_and(|own| own.username == credentials.username);
        self.staged = Some(credentials);
        if same || !keeps_user {
            self.promote();
        }
    }

    /// Puts the staged credentials in force; whether there were any.
    pub(crate) fn promote(&mut self) -> bool {
        let Some(credentials) = self.staged.take() else { return false };
        self.credentials = Some(credentials);
        self.edition = self.edition.saturating_add(1);
        // The challenge is still good for the new credentials.
        let old = self.proof.take();
        self.proof = old.and_then(|old| {
            let challenge = Challenge {
                anonymous: old.anonymous,
                realm: &old.realm,
                nonce: &old.nonce,
                algorithms: old.algorithms.as_ref().map(|(list, chosen)| (&**list, *chosen)),
            };
            self.prove(&challenge).map(Arc::new)
        });
        true
    }

    /// RFC 8489 §9.2.5: an answer that says by its nonce that the server has password algorithms,
    /// and does not name them, has been stripped.
    pub(super) fn is_bid_down(scan: &Scan<'_>) -> bool {
        let features = scan.find(NONCE).and_then(SecurityFeatures::read).unwrap_or_default();
        features.password_algorithms && scan.find(PASSWORD_ALGORITHMS).is_none()
    }

    /// A 401 to a request that was sent with this proof, or without any. `first` says that this
    /// has not happened before to what is asked.
    pub(super) fn unauthenticated(
        &mut self,
        scan: &Scan<'_>,
        sent: Option<&Proof>,
        first: bool,
    ) -> Result<Challenged, Rejected> {
        if self.credentials.is_none() {
            return Ok(Challenged::Failed);
        }
        let challenge = Challenge::read(scan, sent)?;
        let Some(challenge) = challenge else { return Ok(Challenged::Failed) };
        // "The client MUST NOT perform this retry if it is not changing" what it says.
        let changes = match sent {
            None => first,
            Some(sent) => {
                sent.edition != self.edition
                    || self.promote()
                    || (first && *sent.realm != *challenge.realm)
            }
        };
        if !changes {
            return Ok(Challenged::Failed);
        }
        self.proof = Some(Arc::new(self.prove(&challenge).ok_or(Rejected::Malformed)?));
        Ok(Challenged::Again)
    }

    /// A 438 to a request that was sent with this proof.
    pub(super) fn stale_nonce(
        &mut self,
        scan: &Scan<'_>,
        sent: Option<&Proof>,
    ) -> Result<Challenged, Rejected> {
        let Some(sent) = sent else { return Ok(Challenged::Failed) };
        let Some(challenge) = Challenge::read(scan, Some(sent))? else {
            return Ok(Challenged::Failed);
        };
        self.proof = Some(Arc::new(self.prove(&challenge).ok_or(Rejected::Malformed)?));
        Ok(Challenged::Again)
    }

    /// `None` when the realm has no form as OpaqueString.
    fn prove(&self, challenge: &Challenge<'_>) -> Option<Proof> {
        let own = self.credentials.as_ref()?;
        let algorithm = challenge.algorithms.map_or(PasswordAlgorithm::Md5, |(_, chosen)| chosen);
        // A new nonce alone changes no key.
        let known = self.proof.as_ref().filter(|proof| {
            proof.edition == self.edition
                && *proof.realm == *challenge.realm
                && proof.algorithm() == algorithm
        });
        let (credentials, key) = match known {
            Some(proof) => (proof.credentials.clone(), proof.key.clone()),
            None => {
                let realm = core::str::from_utf8(challenge.realm).ok()?;
                let credentials = LongTerm::new(&own.username, realm, &own.password).ok()?;
                let key = credentials.key(algorithm);
                (credentials, key)
            }
        };
        Some(Proof {
            credentials,
            edition: self.edition,
            anonymous: challenge.anonymous,
            realm: challenge.realm.into(),
            nonce: challenge.nonce.into(),
            algorithms: challenge.algorithms.map(|(list, chosen)| (list.into(), chosen)),
            key,
        })
    }
}

/// What a 401 or 438 says.
#[derive(Clone, Copy, Debug)]
struct Challenge<'a> {
    anonymous: bool,
    realm: &'a [u8],
    nonce: &'a [u8],
    algorithms: Option<(&'a [u8], PasswordAlgorithm)>,
}

impl<'a> Challenge<'a> {
    /// `Ok(None)` when the server has no algorithm that is known here. What is not in a 438 is as
    /// it was in the request.
    fn read(scan: &Scan<'a>, sent: Option<&'a Proof>) -> Result<Option<Self>, Rejected> {
        let realm = scan.find(REALM).or_else(|| sent.map(|sent| &*sent.realm));
        let (Some(realm), Some(nonce)) = (realm, scan.find(NONCE)) else {
            return Err(Rejected::Malformed);
        };
        let list = scan.find(PASSWORD_ALGORITHMS);
        let long = |value: &[u8], max| value.len() > max;
        if long(realm, MAX_TEXT)
            || long(nonce, MAX_TEXT)
            || list.is_some_and(|list| long(list, MAX_ALGORITHMS))
        {
            return Err(Rejected::Malformed);
        }
        // "All the subsequent requests MUST be authenticated using MESSAGE-INTEGRITY-SHA256."
        if list.is_none() && sent.is_some_and(|sent| sent.algorithms.is_some()) {
            return Err(Rejected::BidDown);
        }
        let features = SecurityFeatures::read(nonce).unwrap_or_default();
        let algorithms = match list.map(|list| (list, first_known(list))) {
            Some((_, None)) => return Ok(None),
            Some((list, Some(chosen))) => Some((list, chosen)),
            None => None,
        };
        Ok(Some(Self { anonymous: features.username_anonymity, realm, nonce, algorithms }))
    }
}

/// RFC 8489 §14.11: the first algorithm of the list that is known here.
fn first_known(mut list: &[u8]) -> Option<PasswordAlgorithm> {
    while let Some(&[_, _, l0, l1]) = list.first_chunk::<4>() {
        let len = usize::from(u16::from_be_bytes([l0, l1])).saturating_add(4);
        if let Some(known) = list.get(..len).and_then(PasswordAlgorithm::read) {
            return Some(known);
        }
        list = list.get(len.next_multiple_of(4)..)?;
    }
    None
}
