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
    pub(crate) fn generate(rng: &mut impl Rng) -> Self {
        Self {
            ufrag: random_ice_chars::<GENERATED_UFRAG>(rng),
            pwd: random_ice_chars::<GENERATED_PWD>(rng),
        }
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

fn random_ice_chars<const N: usize>(rng: &mut impl Rng) -> Box<str> {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
        .iter()
        .filter_map(|byte| ICE_CHARS.get(usize::from(byte & 63)))
        .map(|&letter| char::from(letter))
        .collect()
}
