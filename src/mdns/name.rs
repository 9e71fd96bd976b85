//! The names that stand for addresses in candidates: one label and `.local`.

use core::borrow::Borrow;
use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

/// The domain of multicast DNS (RFC 6762 §3).
pub(super) const LOCAL: &str = "local";
/// RFC 1035 §2.3.4.
const MAX_LABEL: usize = 63;
/// A UUID as text.
const UUID: usize = 36;
/// A UUID and `.local`.
const UUID_LOCAL: usize = UUID + 1 + LOCAL.len();

/// A name of multicast DNS as candidates have it: one label and `.local`, in lower case.
///
/// [`FromStr`] takes letters, digits and hyphens in the label, and writes them in lower case.
/// Whatever has more than one dot is no such name (draft-ietf-rtcweb-mdns-ice-candidates-04
/// §3.2.1).
///
/// ```
/// use frazil::MdnsName;
///
/// let name = MdnsName::from_random([0xab; 16]);
/// assert_eq!(name.as_str(), "abababab-abab-4bab-abab-abababababab.local");
/// assert!(name.is_uuid());
///
/// let fixed: MdnsName = "Camera-7.local".parse()?;
/// assert_eq!(fixed.to_string(), "camera-7.local");
/// assert!(!fixed.is_uuid());
/// assert!("www.example.local".parse::<MdnsName>().is_err());
/// # Ok::<(), frazil::MdnsNameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MdnsName(Arc<str>);

impl MdnsName {
    /// A version 4 UUID (RFC 4122 §4.4) of these random bytes, six bits of which are overwritten,
    /// and `.local`.
    #[must_use]
    pub fn from_random(random: [u8; 16]) -> Self {
        let number = u128::from_be_bytes(random);
        // The version stands in the bits 76 to 79, the variant in 62 and 63.
        let number = number & !(0xf << 76) | 0x4 << 76;
        let number = number & !(0x3 << 62) | 0x2 << 62;
        let digits = format!("{number:032x}");
        let mut text = String::with_capacity(UUID_LOCAL);
        for (at, digit) in digits.chars().enumerate() {
            if matches!(at, 8 | 12 | 16 | 20) {
                text.push('-');
            }
            text.push(digit);
        }
        text.push('.');
        text.push_str(LOCAL);
        Self(text.into())
    }

    /// The name, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the label has the form of a UUID, of any version. A name that somebody could know
    /// beforehand has another form (draft §6.3).
    #[must_use]
    pub fn is_uuid(&self) -> bool {
        let label = self.label().as_bytes();
        label.len() == UUID
            && label.iter().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => *byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            })
    }

    fn label(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }
}

impl FromStr for MdnsName {
    type Err = MdnsNameError;

    fn from_str(text: &str) -> Result<Self, MdnsNameError> {
        let (label, domain) = text.split_once('.').ok_or(MdnsNameError::NotLocal)?;
        if !domain.eq_ignore_ascii_case(LOCAL) {
            return Err(MdnsNameError::NotLocal);
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if label.is_empty()
            || label.len() > MAX_LABEL
            || label.starts_with('-')
            || label.ends_with('-')
            || !label.bytes().all(allowed)
        {
            return Err(MdnsNameError::Label);
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

impl fmt::Display for MdnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for MdnsName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Why a text is no [`MdnsName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MdnsNameError {
    /// It is not one label and `.local`.
    #[error("not a single label followed by `.local`")]
    NotLocal,
    /// The label is not 1 to 63 letters, digits and inner hyphens.
    #[error("the label is not 1 to 63 letters, digits and inner hyphens")]
    Label,
}
