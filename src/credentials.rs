//! Username fragment and password of one side (RFC 8445 §5.3, RFC 8839 §5.4).

#[cfg(test)]
mod tests;

use core::fmt;

use rand_chacha::rand_core::Rng;

use crate::candidate::foundation::is_ice_char;

/// The `ice-char` of RFC 8839 §5.1: 64 of them, so that six random bits choose one evenly.
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// 48 bits; RFC 8445 §5.3 asks for 24.
const GENERATED_UFRAG: usize = 8;

/// 144 bits; RFC 8445 §5.3 asks for 128.
const GENERATED_PWD: usize = 24;

/// What comes first in generated username fragments, so that a load balancer which keeps no state
/// can tell from a check where its session is. At most 8 characters, letters, digits, `+` and `/`;
/// 48 random bits follow. The default is empty.
///
/// ```
/// use frazil::{AgentConfig, IceAgent, Role, UfragPrefix};
///
/// let mut config = AgentConfig::new(Role::Controlled);
/// config.ufrag_prefix = UfragPrefix::new("m7c2")?;
/// let agent = IceAgent::new(config, [1; 32])?;
/// assert!(agent.local_parameters().credentials.ufrag().starts_with("m7c2"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UfragPrefix {
    chars: [u8; 8],
    len: u8,
}

impl UfragPrefix {
    /// A prefix.
    ///
    /// # Errors
    /// It is longer than 8 characters, or has one that a username fragment may not have.
    pub fn new(prefix: &str) -> Result<Self, CredentialsError> {
        let mut chars = [0; 8];
        let len = u8::try_from(prefix.len()).ok().filter(|&len| len <= 8);
        let len = len.ok_or(CredentialsError::UfragLength)?;
        for (to, from) in chars.iter_mut().zip(prefix.bytes()) {
            *to = from;
        }
        if !prefix.bytes().all(is_ice_char) {
            return Err(CredentialsError::UfragCharacter);
        }
        Ok(Self { chars, len })
    }

    /// The prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let chars = self.chars.get(..usize::from(self.len)).unwrap_or_default();
        core::str::from_utf8(chars).unwrap_or_default()
    }
}

/// The username fragment and the password of one side, for one generation of ICE.
///
/// ```
/// use frazil::Credentials;
///
/// let credentials = Credentials::new("8hhY", "asd88fgpdd777uzjYhagZg")?;
/// assert_eq!(credentials.ufrag(), "8hhY");
/// assert!(!format!("{credentials:?}").contains("asd88fgpdd777uzjYhagZg"));
/// # Ok::<(), frazil::CredentialsError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    ufrag: Box<str>,
    pwd: Box<str>,
}

impl Credentials {
    /// RFC 8839 §5.4: a username fragment of 4 to 256 characters and a password of 22 to 256,
    /// which are letters, digits, `+` and `/`. One to be sent has at most 32 in its username
    /// fragment.
    ///
    /// # Errors
    /// The length or a character of either.
    pub fn new(ufrag: &str, pwd: &str) -> Result<Self, CredentialsError> {
        if !(4..=256).contains(&ufrag.len()) {
            return Err(CredentialsError::UfragLength);
        }
        if !ufrag.bytes().all(is_ice_char) {
            return Err(CredentialsError::UfragCharacter);
        }
        if !(22..=256).contains(&pwd.len()) {
            return Err(CredentialsError::PwdLength);
        }
        if !pwd.bytes().all(is_ice_char) {
            return Err(CredentialsError::PwdCharacter);
        }
        Ok(Self { ufrag: ufrag.into(), pwd: pwd.into() })
    }

    /// RFC 8445 §5.3: new ones that cannot be guessed, if `rng` cannot.
    pub(crate) fn generate(prefix: UfragPrefix, rng: &mut impl Rng) -> Self {
        let ufrag: String =
            prefix.as_str().chars().chain(random_ice_chars::<GENERATED_UFRAG>(rng)).collect();
        Self { ufrag: ufrag.into(), pwd: random_ice_chars::<GENERATED_PWD>(rng).collect() }
    }

    /// The username fragment.
    #[must_use]
    pub fn ufrag(&self) -> &str {
        &self.ufrag
    }

    /// The password.
    #[must_use]
    pub fn pwd(&self) -> &str {
        &self.pwd
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

/// Why a username fragment and a password are no credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The username fragment is shorter than 4 characters or longer than 256.
    #[error("ufrag: must have 4 to 256 characters")]
    UfragLength,
    /// The username fragment has a character that is no letter, digit, `+` or `/`.
    #[error("ufrag: consists of letters, digits, `+` and `/`")]
    UfragCharacter,
    /// The password is shorter than 22 characters or longer than 256.
    #[error("pwd: must have 22 to 256 characters")]
    PwdLength,
    /// The password has a character that is no letter, digit, `+` or `/`.
    #[error("pwd: consists of letters, digits, `+` and `/`")]
    PwdCharacter,
}

fn random_ice_chars<const N: usize>(rng: &mut impl Rng) -> impl Iterator<Item = char> {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
        .into_iter()
        .filter_map(|byte| ICE_CHARS.get(usize::from(byte & 63)))
        .map(|&letter| char::from(letter))
}
