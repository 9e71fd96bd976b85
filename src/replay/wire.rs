//! How values are written and read: numbers of variable length, and everything else built from
//! them. Reading is total: hostile bytes give an error, and no more memory than there are bytes.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use core::time::Duration;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// They end too early.
    #[error("the log ends in the middle of a record")]
    Truncated,
    /// A number is too large for what it counts.
    #[error("a number is out of range")]
    Number,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    Text,
    /// A variant or field that this version of the crate does not know.
    #[error("a variant or field is unknown; a newer version may have written it")]
    Unknown,
    /// A value that breaks the rules of its type, such as a password that is too short.
    #[error("a value is not valid")]
    Value,
}

/// What is written to: a log, or the hash over what is put out.
pub(super) trait Sink {
    fn byte(&mut self, byte: u8);
    fn number(&mut self, number: u64);
    /// So many bytes, whose number is known or written before.
    fn bytes(&mut self, bytes: &[u8]);
    /// What is in most records, in one go.
    fn socket_v4(&mut self, addr: SocketAddrV4);
}

impl Sink for Vec<u8> {
    fn byte(&mut self, byte: u8) {
        self.push(byte);
    }

    /// Seven bits a byte, the least significant first; the eighth says that more follow.
    fn number(&mut self, mut number: u64) {
        while number > 0x7f {
            let [low, ..] = number.to_le_bytes();
            self.push(low | 0x80);
            number >>= 7;
        }
        let [last, ..] = number.to_le_bytes();
        self.push(last);
    }

    fn socket_v4(&mut self, addr: SocketAddrV4) {
        let ([a, b, c, d], [low, high]) = (addr.ip().octets(), addr.port().to_le_bytes());
        self.extend_from_slice(&[4, a, b, c, d, low, high]);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// What can be written.
pub(super) trait Put {
    fn put(&self, out: &mut impl Sink);
}

/// What can be read as well.
pub(super) trait Take: Sized {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed>;
}

/// The bytes that are left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.bytes(N)?.try_into().map_err(|_| Malformed::Truncated)
    }

    /// A length, followed by so many bytes.
    pub(super) fn sized(&mut self) -> Result<&'a [u8], Malformed> {
        let count = usize::take(self)?;
        self.bytes(count)
    }
}

impl Take for u64 {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut number: Self = 0;
        for shift in (0..Self::BITS).step_by(7) {
            let [byte] = from.array()?;
            let bits = Self::from(byte & 0x7f);
            let placed = bits.checked_shl(shift).filter(|placed| placed >> shift == bits);
            number |= placed.ok_or(Malformed::Number)?;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed::Number)
    }
}

impl Put for u64 {
    fn put(&self, out: &mut impl Sink) {
        out.number(*self);
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Put for $number {
            fn put(&self, out: &mut impl Sink) {
                out.number(u64::try_from(*self).unwrap_or(u64::MAX));
            }
        }

        impl Take for $number {
            fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                u64::take(from)?.try_into().map_err(|_| Malformed::Number)
            }
        }
    )*};
}

numbers! { u16 u32 usize }

impl Put for u8 {
    fn put(&self, out: &mut impl Sink) {
        out.byte(*self);
    }
}

impl Take for u8 {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let [byte] = from.array()?;
        Ok(byte)
    }
}

impl Put for bool {
    fn put(&self, out: &mut impl Sink) {
        out.byte(u8::from(*self));
    }
}

impl Take for bool {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match from.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Malformed::Value),
        }
    }
}

impl Put for Duration {
    fn put(&self, out: &mut impl Sink) {
        out.number(u64::try_from(self.as_nanos()).unwrap_or(u64::MAX));
    }
}

impl Take for Duration {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        u64::take(from).map(Self::from_nanos)
    }
}

impl Put for str {
    fn put(&self, out: &mut impl Sink) {
        self.as_bytes().put(out);
    }
}

impl Put for String {
    fn put(&self, out: &mut impl Sink) {
        self.as_str().put(out);
    }
}

impl Take for String {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let text = core::str::from_utf8(from.sized()?).map_err(|_| Malformed::Text)?;
        Ok(text.to_owned())
    }
}

impl Put for [u8] {
    fn put(&self, out: &mut impl Sink) {
        self.len().put(out);
        out.bytes(self);
    }
}

impl<T: Put> Put for Option<T> {
    fn put(&self, out: &mut impl Sink) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
}

impl<T: Take> Take for Option<T> {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        bool::take(from)?.then(|| T::take(from)).transpose()
    }
}

impl<T: Put + ?Sized> Put for &T {
    fn put(&self, out: &mut impl Sink) {
        (**self).put(out);
    }
}

impl<T: Put> Put for Vec<T> {
    fn put(&self, out: &mut impl Sink) {
        self.len().put(out);
        for value in self {
            value.put(out);
        }
    }
}

impl Put for [IpAddr] {
    fn put(&self, out: &mut impl Sink) {
        self.len().put(out);
        for ip in self {
            ip.put(out);
        }
    }
}

impl<T: Take> Take for Vec<T> {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let count = usize::take(from)?;
        // Grown as the values come: a count that the bytes do not bear out costs nothing.
        let mut values = Self::new();
        for _ in 0..count {
            values.push(T::take(from)?);
        }
        Ok(values)
    }
}

impl<A: Put, B: Put> Put for (A, B) {
    fn put(&self, out: &mut impl Sink) {
        self.0.put(out);
        self.1.put(out);
    }
}

impl<A: Take, B: Take> Take for (A, B) {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok((A::take(from)?, B::take(from)?))
    }
}

impl Put for IpAddr {
    fn put(&self, out: &mut impl Sink) {
        match self {
            Self::V4(ip) => {
                out.byte(4);
                out.bytes(&ip.octets());
            }
            Self::V6(ip) => {
                out.byte(6);
                out.bytes(&ip.octets());
            }
        }
    }
}

impl Take for IpAddr {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match from.array()? {
            [4] => Ok(Self::V4(Ipv4Addr::from(from.array::<4>()?))),
            [6] => Ok(Self::V6(Ipv6Addr::from(from.array::<16>()?))),
            _ => Err(Malformed::Unknown),
        }
    }
}

/// An IPv6 address that has a flow label or a scope.
const SCOPED: u8 = 7;

impl Put for SocketAddr {
    fn put(&self, out: &mut impl Sink) {
        match self {
            Self::V6(v6) if v6.flowinfo() != 0 || v6.scope_id() != 0 => {
                out.byte(SCOPED);
                out.bytes(&v6.ip().octets());
                v6.flowinfo().put(out);
                v6.scope_id().put(out);
            }
            Self::V6(v6) => {
                out.byte(6);
                out.bytes(&v6.ip().octets());
            }
            Self::V4(v4) => return out.socket_v4(*v4),
        }
        out.bytes(&self.port().to_le_bytes());
    }
}

impl Take for SocketAddr {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        if from.0.first() != Some(&SCOPED) {
            let ip = IpAddr::take(from)?;
            return Ok(Self::new(ip, u16::from_le_bytes(from.array()?)));
        }
        from.bytes(1)?;
        let ip = Ipv6Addr::from(from.array::<16>()?);
        let (flow, scope) = (u32::take(from)?, u32::take(from)?);
        let port = u16::from_le_bytes(from.array()?);
        Ok(Self::V6(SocketAddrV6::new(ip, port, flow, scope)))
    }
}

impl Put for [u8; 32] {
    fn put(&self, out: &mut impl Sink) {
        out.bytes(self);
    }
}

impl Take for [u8; 32] {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.array()
    }
}

/// A struct whose fields have numbers. Every field of it has to be named; one that an older log
/// does not have keeps the value of the expression after `from`.
macro_rules! fields {
    ($type:ident from $blank:expr => { $($number:literal $field:ident,)* }) => {
        impl $crate::replay::wire::Put for $type {
            fn put(&self, out: &mut impl $crate::replay::wire::Sink) {
                let Self { $($field),* } = self;
                $(
                    out.byte($number);
                    $crate::replay::wire::Put::put($field, out);
                )*
                out.byte(0);
            }
        }

        impl $crate::replay::wire::Take for $type {
            fn take(
                from: &mut $crate::replay::wire::Reader<'_>,
            ) -> Result<Self, $crate::replay::wire::Malformed> {
                let mut value = $blank;
                loop {
                    match from.array()? {
                        [0] => return Ok(value),
                        $([$number] => value.$field = $crate::replay::wire::Take::take(from)?,)*
                        _ => return Err($crate::replay::wire::Malformed::Unknown),
                    }
                }
            }
        }
    };
}

/// An enum whose variants have numbers.
macro_rules! variants {
    ($type:ident => { $($number:literal $variant:ident $({ $($field:ident),* })?,)* }) => {
        impl $crate::replay::wire::Put for $type {
            fn put(&self, out: &mut impl $crate::replay::wire::Sink) {
                match self {
                    $(Self::$variant $({ $($field),* })? => {
                        out.byte($number);
                        $($($crate::replay::wire::Put::put($field, out);)*)?
                    })*
                }
            }
        }

        impl $crate::replay::wire::Take for $type {
            fn take(
                from: &mut $crate::replay::wire::Reader<'_>,
            ) -> Result<Self, $crate::replay::wire::Malformed> {
                match from.array()? {
                    $([$number] => Ok(Self::$variant $({
                        $($field: $crate::replay::wire::Take::take(from)?),*
                    })?),)*
                    _ => Err($crate::replay::wire::Malformed::Unknown),
                }
            }
        }
    };
}

pub(super) use {fields, variants};
