//! Foundations (RFC 8445 §5.1.1.3): which candidates are likely to fare alike.
//!
//! A foundation is a string to the peer and a small number inside the agent: [`LocalFoundations`]
//! and [`RemoteFoundations`] give equal numbers to candidates with equal foundations.

use core::fmt;
use core::net::IpAddr;
use core::str::{self, FromStr};
use std::io::Write as _;

use super::{CandidateKind, Transport};

const MAX_LENGTH: usize = 32;

/// How many numbers are given on each side. A peer that names more foundations than this gets one
/// number for all the rest: its candidates wait for each other longer than they need to.
const MAX_NUMBERS: u16 = 4096;

/// The foundation of a candidate: 1 to 32 letters, digits, `+` and `/` (RFC 8839 §5.1).
///
/// ```
/// use frazil::Foundation;
///
/// let foundation: Foundation = "842163049".parse()?;
/// assert_eq!(foundation.as_str(), "842163049");
/// # Ok::<(), frazil::FoundationError>(())
/// ```
// The bytes come first and end in zeros, so that the derived order is that of the strings.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Foundation {
    bytes: [u8; MAX_LENGTH],
    length: u8,
}

impl Foundation {
    /// The foundation that stands for a number of [`LocalFoundations`]; they start at `1`.
    pub(crate) fn numbered(n: u16) -> Self {
        let mut bytes = [0; MAX_LENGTH];
        let mut rest = bytes.as_mut_slice();
        // Five digits always fit.
        let _ = write!(rest, "{}", u32::from(n).saturating_add(1));
        let unused = rest.len();
        let length = u8::try_from(MAX_LENGTH.saturating_sub(unused)).unwrap_or_default();
        Self { bytes, length }
    }

    /// The foundation as it is signalled.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let written = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        str::from_utf8(written).unwrap_or_default()
    }
}

impl FromStr for Foundation {
    type Err = FoundationError;

    fn from_str(text: &str) -> Result<Self, FoundationError> {
        let mut bytes = [0; MAX_LENGTH];
        let (Some(start), Ok(length)) = (bytes.get_mut(..text.len()), u8::try_from(text.len()))
        else {
            return Err(FoundationError::Length);
        };
        if text.is_empty() {
            return Err(FoundationError::Length);
        }
        if !text.bytes().all(is_ice_char) {
            return Err(FoundationError::Character);
        }
        start.copy_from_slice(text.as_bytes());
        Ok(Self { bytes, length })
    }
}

impl fmt::Display for Foundation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Foundation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Foundation").field(&self.as_str()).finish()
    }
}

/// Why a text is no foundation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FoundationError {
    /// It is empty, or longer than 32 characters.
    #[error("a foundation has 1 to 32 characters")]
    Length,
    /// It has a character that is no letter, no digit, and neither `+` nor `/`.
    #[error("a foundation consists of letters, digits, `+` and `/`")]
    Character,
}

/// `ice-char` of RFC 8839 §5.1.
pub(crate) const fn is_ice_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

/// RFC 8445 §5.1.1.3: what the foundation of a local candidate depends on. Two candidates have
/// the same foundation if and only if all of it is equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FoundationKey {
    kind: CandidateKind,
    base_ip: IpAddr,
    /// The STUN or TURN server as this agent contacts it.
    server_ip: Option<IpAddr>,
    transport: Transport,
    /// How the TURN server is reached. "Obtained using the same transport protocol" is about
    /// this one too: what is relayed over a stream fares unlike what is relayed over UDP.
    relay_transport: Option<Transport>,
}

impl FoundationKey {
    pub(crate) const fn host(ip: IpAddr, transport: Transport) -> Self {
        Self {
            kind: CandidateKind::Host,
            base_ip: ip,
            server_ip: None,
            transport,
            relay_transport: None,
        }
    }

    pub(crate) const fn server_reflexive(
        base_ip: IpAddr,
        server_ip: IpAddr,
        transport: Transport,
    ) -> Self {
        Self {
            kind: CandidateKind::ServerReflexive,
            base_ip,
            server_ip: Some(server_ip),
            transport,
            relay_transport: None,
        }
    }

    /// The base of a relayed candidate is the candidate itself (RFC 8445 §5.1.1.2).
    pub(crate) const fn relayed(
        relayed_ip: IpAddr,
        server_ip: IpAddr,
        transport: Transport,
        relay_transport: Transport,
    ) -> Self {
        Self {
            kind: CandidateKind::Relayed,
            base_ip: relayed_ip,
            server_ip: Some(server_ip),
            transport,
            relay_transport: Some(relay_transport),
        }
    }
}

/// The numbers of this agent's foundations.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct LocalFoundations(Numbers<FoundationKey>);

impl LocalFoundations {
    /// The number of a foundation: the one that it has, or else the next.
    pub(crate) fn intern(&mut self, key: FoundationKey) -> u16 {
        self.0.intern(&key)
    }
}

/// The numbers of the peer's foundations.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct RemoteFoundations(Numbers<Foundation>);

impl RemoteFoundations {
    /// The number of a foundation: the one that it has, or else the next.
    pub(crate) fn intern(&mut self, foundation: &Foundation) -> u16 {
        self.0.intern(foundation)
    }

    /// The foundation that has this number; of several beyond the limit any.
    pub(crate) fn find(&self, number: u16) -> Option<&Foundation> {
        self.0.0.iter().find(|(_, other)| *other == number).map(|(foundation, _)| foundation)
    }
}

/// Keys with the numbers that they were given, sorted by key.
#[derive(Clone, Debug, Hash)]
struct Numbers<K>(Vec<(K, u16)>);

impl<K> Default for Numbers<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord + Clone> Numbers<K> {
    fn intern(&mut self, key: &K) -> u16 {
        let next = u16::try_from(self.0.len()).unwrap_or(MAX_NUMBERS);
        match self.0.binary_search_by(|(other, _)| other.cmp(key)) {
            Ok(at) => self.0.get(at).map_or(next, |(_, number)| *number),
            Err(at) => {
                if next < MAX_NUMBERS {
                    self.0.insert(at, (key.clone(), next));
                }
                next
            }
        }
    }
}
