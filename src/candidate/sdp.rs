//! The written form of a candidate (RFC 8839 §5.1, RFC 6544 §4.5).
//!
//! Reading is lenient where peers differ from the grammar and nothing can be misunderstood;
//! writing keeps to it. What was read can be written and read again without a change.

use core::fmt::{self, Write as _};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::FromStr;

use super::foundation::FoundationError;
use super::{Candidate, CandidateAddress, CandidateKind, CandidateTransport, TcpType};

/// The longest candidate that is read or would be written, in bytes, from the foundation on.
const MAX_LINE: usize = 1024;

/// The most extensions that one candidate may have.
const MAX_EXTENSIONS: usize = 32;

/// Stands where there is no port to tell: behind a hidden related address (RFC 8839 §5.1), and in
/// an active TCP candidate, which nobody can connect to (RFC 6544 §4.5).
pub(crate) const DISCARD_PORT: u16 = 9;

/// Names that the grammar itself uses after the type; none of them is an extension.
const RESERVED: [&str; 3] = ["raddr", "rport", "tcptype"];

/// Why a line is no candidate. Each variant names the field that is missing or wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CandidateParseError {
    /// It is longer than 1024 bytes, as it stands or as it would be written.
    #[error("a candidate line has at most 1024 bytes")]
    TooLong,
    /// It has a control character, such as a line break.
    #[error("a candidate line has no control characters")]
    ControlCharacter,
    /// The foundation.
    #[error("foundation: {0}")]
    Foundation(FoundationError),
    /// The component is not a number from 1 to 256.
    #[error("component: must be a number from 1 to 256")]
    Component,
    /// The transport is missing.
    #[error("transport: missing")]
    Transport,
    /// The priority is not a number from 1 to 2^31 - 1.
    #[error("priority: must be a number from 1 to 2147483647")]
    Priority,
    /// The address is neither an IP address nor a host name.
    #[error("address: must be an IP address or a host name")]
    Address,
    /// The port is not a number from 1 to 65535. In an active TCP candidate it may be 0.
    #[error("port: must be a number from 1 to 65535")]
    Port,
    /// The word `typ` or the type behind it is missing.
    #[error("typ: missing")]
    Kind,
    /// The related address is neither an IP address nor a host name.
    #[error("raddr: must be an IP address or a host name")]
    RelatedAddress,
    /// The related port is not a number from 0 to 65535.
    #[error("rport: must be a number from 0 to 65535")]
    RelatedPort,
    /// A TCP candidate does not tell its direction: `active`, `passive` or `so`.
    #[error("tcptype: must be active, passive or so")]
    TcpType,
    /// It has more than 32 extensions.
    #[error("extensions: a candidate has at most 32")]
    Extensions,
    /// Nothing is wrong with it, but this agent cannot use it: to be ignored (RFC 8839 §5.1).
    #[error(transparent)]
    Unsupported(Unsupported),
}

/// What makes a candidate unusable without being wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// A transport other than UDP and TCP.
    #[error("transport: neither UDP nor TCP")]
    Transport,
    /// A type other than `host`, `srflx`, `prflx` and `relay`.
    #[error("typ: not one that is known")]
    Kind,
}

impl FromStr for Candidate {
    type Err = CandidateParseError;

    /// Reads a candidate attribute, with or without `candidate:` or `a=candidate:` before it.
    ///
    /// Zone ids of IPv6 addresses are dropped: they mean something to the peer only. A related
    /// address that is hidden, or given by name, is none, as is one of a host candidate. The last
    /// extension may lack its value.
    fn from_str(line: &str) -> Result<Self, CandidateParseError> {
        let line = line.trim_matches(|c: char| c.is_ascii_whitespace());
        let line = line.strip_prefix("a=").unwrap_or(line);
        let line = line.strip_prefix("candidate:").unwrap_or(line);
        if line.len() > MAX_LINE {
            return Err(CandidateParseError::TooLong);
        }
        if line.contains(char::is_control) {
            return Err(CandidateParseError::ControlCharacter);
        }
        let mut fields = Fields(line.split(' '));

        let foundation =
            fields.next().unwrap_or_default().parse().map_err(CandidateParseError::Foundation)?;
        let component = fields
            .next()
            .and_then(|field| decimal(field, 3))
            .filter(|component| (1..=256).contains(component))
            .ok_or(CandidateParseError::Component)?;
        let transport = fields.next().ok_or(CandidateParseError::Transport)?;
        let tcp = transport.eq_ignore_ascii_case("tcp");
        if !tcp && !transport.eq_ignore_ascii_case("udp") {
            return Err(CandidateParseError::Unsupported(Unsupported::Transport));
        }
        let priority = fields
            .next()
            .and_then(|field| decimal(field, 10))
            .filter(|priority| (1..=0x7fff_ffff).contains(priority))
            .ok_or(CandidateParseError::Priority)?;
        let host =
            fields.next().and_then(ConnectionAddress::read).ok_or(CandidateParseError::Address)?;
        let port =
            fields.next().and_then(|field| decimal(field, 5)).ok_or(CandidateParseError::Port)?;
        let kind = fields.kind()?;
        let tail = Tail::read(fields)?;

        let transport = match (tcp, tail.tcp_type) {
            (false, _) => CandidateTransport::Udp,
            (true, Some(tcp_type)) => CandidateTransport::Tcp(tcp_type),
            (true, None) => return Err(CandidateParseError::TcpType),
        };
        let port = match (transport, port) {
            (CandidateTransport::Tcp(TcpType::Active), _) => DISCARD_PORT,
            (_, 0) => return Err(CandidateParseError::Port),
            (_, port) => port,
        };
        let candidate = Self {
            foundation,
            component,
            transport,
            priority,
            address: host.with_port(port),
            kind,
            related: tail.related.filter(|_| kind != CandidateKind::Host),
            extensions: tail.extensions,
        };
        // Writing adds what a peer may leave out, such as a hidden related address. That is far
        // less than half of what there may be.
        if line.len() > MAX_LINE / 2 && Length::of(&candidate) > MAX_LINE {
            return Err(CandidateParseError::TooLong);
        }
        Ok(candidate)
    }
}

/// Counts the bytes of what is written to it.
struct Length(usize);

impl Length {
    fn of(what: &impl fmt::Display) -> usize {
        let mut length = Self(0);
        // Counting does not fail.
        let _ = write!(length, "{what}");
        length.0
    }
}

impl fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.saturating_add(text.len());
        Ok(())
    }
}

/// What is left of a line, field by field.
struct Fields<'a>(core::str::Split<'a, char>);

impl<'a> Fields<'a> {
    /// The next field that is not empty.
    fn next(&mut self) -> Option<&'a str> {
        self.0.find(|field| !field.is_empty())
    }

    /// What follows one space after the last field: the value of an extension may be empty.
    fn value(&mut self) -> &'a str {
        self.0.next().unwrap_or_default()
    }

    fn kind(&mut self) -> Result<CandidateKind, CandidateParseError> {
        let keyword = self.next().is_some_and(|field| field.eq_ignore_ascii_case("typ"));
        let word = self.next().filter(|_| keyword).ok_or(CandidateParseError::Kind)?;
        [
            ("host", CandidateKind::Host),
            ("srflx", CandidateKind::ServerReflexive),
            ("prflx", CandidateKind::PeerReflexive),
            ("relay", CandidateKind::Relayed),
        ]
        .into_iter()
        .find(|(name, _)| word.eq_ignore_ascii_case(name))
        .map(|(_, kind)| kind)
        .ok_or(CandidateParseError::Unsupported(Unsupported::Kind))
    }
}

/// What stands after the type: name and value pairs in any order.
struct Tail {
    related: Option<SocketAddr>,
    tcp_type: Option<TcpType>,
    extensions: Vec<(String, String)>,
}

impl Tail {
    fn read(mut fields: Fields<'_>) -> Result<Self, CandidateParseError> {
        let (mut related_host, mut related_port, mut tcp_type) = (None, None, None);
        let mut extensions = Vec::new();
        while let Some(name) = fields.next() {
            let value = fields.value();
            if name.eq_ignore_ascii_case("raddr") {
                let host = ConnectionAddress::read(value);
                related_host = Some(host.ok_or(CandidateParseError::RelatedAddress)?);
            } else if name.eq_ignore_ascii_case("rport") {
                let port = decimal(value, 5);
                related_port = Some(port.ok_or(CandidateParseError::RelatedPort)?);
            } else if name.eq_ignore_ascii_case("tcptype") {
                tcp_type = read_tcp_type(value);
            } else if extensions.len() < MAX_EXTENSIONS {
                extensions.push((name.to_owned(), value.to_owned()));
            } else {
                return Err(CandidateParseError::Extensions);
            }
        }
        let related = match related_host {
            Some(ConnectionAddress::Ip(ip)) if !ip.is_unspecified() => {
                Some(SocketAddr::new(ip, related_port.unwrap_or_default()))
            }
            _ => None,
        };
        Ok(Self { related, tcp_type, extensions })
    }
}

fn read_tcp_type(word: &str) -> Option<TcpType> {
    [TcpType::Active, TcpType::Passive, TcpType::SimultaneousOpen]
        .into_iter()
        .find(|tcp_type| word.eq_ignore_ascii_case(tcp_type.as_str()))
}

/// `connection-address` of RFC 8866: an IP address or a host name.
pub(crate) enum ConnectionAddress<'a> {
    Ip(IpAddr),
    Name(&'a str),
}

impl<'a> ConnectionAddress<'a> {
    pub(crate) fn read(field: &'a str) -> Option<Self> {
        let without_zone = match field.split_once('%') {
            Some((ip, _)) if ip.contains(':') => ip,
            _ => field,
        };
        match without_zone.parse() {
            Ok(ip) => Some(Self::Ip(ip)),
            Err(_) => is_host_name(field).then_some(Self::Name(field)),
        }
    }

    pub(crate) fn with_port(self, port: u16) -> CandidateAddress {
        match self {
            Self::Ip(ip) => CandidateAddress::Socket(SocketAddr::new(ip, port)),
            Self::Name(host) => CandidateAddress::Name { host: host.to_owned(), port },
        }
    }
}

/// Whether a text has the form of a host name (RFC 1123 §2.1), with `_` where DNS names of
/// services have it. A name whose last label is a number is a mistaken IPv4 address.
fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    name.len() <= 253 && name.split('.').all(label) && !name.rsplit('.').next().is_some_and(number)
}

/// A number of at most so many digits, without a sign.
pub(crate) fn decimal<T: FromStr>(field: &str, digits: usize) -> Option<T> {
    if field.len() > digits || !field.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    field.parse().ok()
}

impl fmt::Display for Candidate {
    /// Writes the value of a candidate attribute, from the foundation on.
    ///
    /// A host candidate has no related address, any other kind has one: where there is none it is
    /// written as hidden. An active TCP candidate has the port 9. An extension that would break
    /// the line is left out, and a host name that would is written as `invalid`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { foundation, component, priority, kind, .. } = self;
        let (transport, tcp_type) = match self.transport {
            CandidateTransport::Udp => ("UDP", None),
            CandidateTransport::Tcp(tcp_type) => ("TCP", Some(tcp_type)),
        };
        write!(f, "{foundation} {component} {transport} {priority} ")?;
        let port = match &self.address {
            CandidateAddress::Socket(addr) => {
                write!(f, "{}", addr.ip())?;
                addr.port()
            }
            CandidateAddress::Name { host, port } => {
                f.write_str(if is_host_name(host) { host } else { "invalid" })?;
                *port
            }
        };
        let port = if tcp_type == Some(TcpType::Active) { DISCARD_PORT } else { port };
        write!(f, " {port} typ {kind}")?;
        if *kind != CandidateKind::Host {
            let related = self.related.unwrap_or_else(|| self.hidden());
            write!(f, " raddr {} rport {}", related.ip(), related.port())?;
        }
        if let Some(tcp_type) = tcp_type {
            write!(f, " tcptype {}", tcp_type.as_str())?;
        }
        for (name, value) in self.extensions.iter().filter(|(n, v)| is_extension(n, v)) {
            write!(f, " {name} {value}")?;
        }
        Ok(())
    }
}

impl Candidate {
    /// RFC 8839 §5.1: what stands for a related address that is not to be told.
    fn hidden(&self) -> SocketAddr {
        let ip = match self.address {
            CandidateAddress::Socket(SocketAddr::V6(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        SocketAddr::new(ip, DISCARD_PORT)
    }
}

/// Whether an extension reads back as what it is when it is written.
fn is_extension(name: &str, value: &str) -> bool {
    let breaks = |c: char| c == ' ' || c.is_control();
    !name.is_empty()
        && !name.contains(breaks)
        && !value.contains(breaks)
        && !RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved))
}
