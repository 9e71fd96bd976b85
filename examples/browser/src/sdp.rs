//! Session descriptions with one data channel section (RFC 8841), read and written.
//!
//! `sdp-types` knows the lines, frazil knows what those about ICE mean; the rest is here.

use std::fmt;

use frazil::{AttributeError, Candidate, IceAttributes, MediaIceAttributes, Parameters};
use sdp_types::{AddrType, Attribute, Connection, Media, NetType, Origin, Session};

use crate::sctp;

/// The largest message that is taken, in bytes (RFC 8841 §6).
const MAX_MESSAGE: u32 = 65_536;

/// The port of a description without a default destination (RFC 8840 §4.1.1).
const DISCARD: u16 = 9;

const PROTO: &str = "UDP/DTLS/SCTP";

/// Who begins DTLS (RFC 8842 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    /// The side that sends the ClientHello.
    Active,
    /// The side that waits for it.
    Passive,
    /// The answerer decides.
    ActPass,
}

impl Setup {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::ActPass => "actpass",
        }
    }
}

/// The hash of a certificate (RFC 8122 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(Vec<u8>);

impl Fingerprint {
    pub(crate) const fn sha256(hash: Vec<u8>) -> Self {
        Self(hash)
    }

    /// `None` for other functions than SHA-256, which all browsers offer.
    fn parse(value: &str) -> Option<Self> {
        let (function, digits) = value.trim().split_once(' ')?;
        if !function.eq_ignore_ascii_case("sha-256") {
            return None;
        }
        let byte = |digits: &str| u8::from_str_radix(digits, 16).ok();
        let hash: Vec<u8> = digits.trim().split(':').map(byte).collect::<Option<_>>()?;
        (hash.len() == 32).then_some(Self(hash))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha-256 ")?;
        for (index, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if index == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// What the browser says of itself.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) parameters: Parameters,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) end_of_candidates: bool,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) setup: Setup,
    pub(crate) mid: String,
}

/// Why a description is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SdpError {
    #[error("not a session description: {0}")]
    Syntax(#[from] sdp_types::ParserError),
    #[error("one data channel section is wanted, and no other")]
    Sections,
    #[error(transparent)]
    Ice(#[from] AttributeError),
    #[error("the section has no ICE credentials")]
    NoIce,
    #[error("no SHA-256 fingerprint")]
    Fingerprint,
    #[error("setup is active, passive or actpass")]
    Setup,
    #[error("the SCTP port is to be {}", sctp::PORT)]
    Port,
}

impl Remote {
    pub(crate) fn parse(text: &str) -> Result<Self, SdpError> {
        let session = Session::parse(text.as_bytes())?;
        let [media] = session.medias.as_slice() else { return Err(SdpError::Sections) };
        if media.media != "application" || media.proto != PROTO || media.port == 0 {
            return Err(SdpError::Sections);
        }
        let lines = |attributes: &[Attribute]| attributes.iter().map(line).collect::<Vec<_>>();
        let (outer, inner) = (lines(&session.attributes), lines(&media.attributes));
        let ice = IceAttributes::parse(outer.iter().map(String::as_str))
            .media(inner.iter().map(String::as_str))?;
        // What holds for the session holds for a section that says nothing else.
        let value =
            |name| find(&media.attributes, name).or_else(|| find(&session.attributes, name));
        let port = value("sctp-port").and_then(|port| port.trim().parse().ok());
        if port.unwrap_or(sctp::PORT) != sctp::PORT {
            return Err(SdpError::Port);
        }
        Ok(Self {
            parameters: ice.parameters().ok_or(SdpError::NoIce)?,
            fingerprint: value("fingerprint")
                .and_then(Fingerprint::parse)
                .ok_or(SdpError::Fingerprint)?,
            setup: match value("setup") {
                Some("active") => Setup::Active,
                Some("passive") => Setup::Passive,
                Some("actpass") => Setup::ActPass,
                _ => return Err(SdpError::Setup),
            },
            mid: value("mid").unwrap_or("0").to_owned(),
            candidates: ice.candidates,
            end_of_candidates: ice.end_of_candidates,
        })
    }
}

/// What this side says of itself.
pub(crate) struct Local<'a> {
    /// The number of the session, and how often it has been described.
    pub(crate) id: u64,
    pub(crate) version: u64,
    pub(crate) parameters: &'a Parameters,
    pub(crate) candidates: &'a [Candidate],
    pub(crate) end_of_candidates: bool,
    pub(crate) fingerprint: &'a Fingerprint,
    pub(crate) setup: Setup,
    pub(crate) mid: &'a str,
}

impl Local<'_> {
    pub(crate) fn write(&self) -> String {
        let anywhere = || Connection::new(NetType::In, AddrType::Ip4, "0.0.0.0");
        let origin = Origin::new(self.id, self.version, NetType::In, AddrType::Ip4, "127.0.0.1");
        let mut session = Session::new(origin, "-");
        session.add_attribute_with_value("group", format_args!("BUNDLE {}", self.mid));
        add(&mut session.attributes, IceAttributes::lines(self.parameters));
        let mut media = Media {
            media: "application".to_owned(),
            port: DISCARD,
            num_ports: None,
            proto: PROTO.to_owned(),
            fmt: "webrtc-datachannel".to_owned(),
            media_title: None,
            connections: vec![anywhere()],
            bandwidths: Vec::new(),
            key: None,
            attributes: Vec::new(),
        };
        media.add_attribute_with_value("mid", self.mid);
        let ice =
            MediaIceAttributes::lines(self.parameters, self.candidates, self.end_of_candidates);
        add(&mut media.attributes, ice);
        media.add_attribute_with_value("fingerprint", self.fingerprint);
        media.add_attribute_with_value("setup", self.setup.as_str());
        media.add_attribute_with_value("sctp-port", sctp::PORT);
        media.add_attribute_with_value("max-message-size", MAX_MESSAGE);
        session.add_media(media);
        let mut text = Vec::new();
        // A vector takes everything.
        session.write(&mut text).ok();
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// Takes attribute lines that are written already.
fn add(attributes: &mut Vec<Attribute>, lines: Vec<String>) {
    attributes.extend(lines.iter().map(|line| {
        let text = line.strip_prefix("a=").unwrap_or(line);
        match text.split_once(':') {
            Some((name, value)) => Attribute::with_value(name, value),
            None => Attribute::new(text),
        }
    }));
}

fn line(attribute: &Attribute) -> String {
    match &attribute.value {
        Some(value) => format!("{}:{value}", attribute.attribute),
        None => attribute.attribute.clone(),
    }
}

fn find<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    attributes.iter().find(|attribute| attribute.attribute == name)?.value.as_deref()
}

#[cfg(test)]
mod tests {
    use frazil::Credentials;

    use super::*;

    fn written(setup: Setup) -> String {
        let mut parameters =
            Parameters::new(Credentials::new("8hhY", "asd88fgpdd777uzjYhagZg").expect("valid"));
        parameters.lite = true;
        parameters.options = vec!["ice2".to_owned(), "trickle".to_owned()];
        let candidate = "1 1 UDP 2130706431 203.0.113.5 54321 typ host".parse().expect("valid");
        Local {
            id: 7,
            version: 1,
            parameters: &parameters,
            candidates: &[candidate],
            end_of_candidates: true,
            fingerprint: &Fingerprint::sha256(vec![0xab; 32]),
            setup,
            mid: "data",
        }
        .write()
    }

    #[test]
    fn what_is_written_is_read_back() {
        for setup in [Setup::Active, Setup::Passive, Setup::ActPass] {
            let remote = Remote::parse(&written(setup)).expect("our own description");
            assert_eq!(remote.setup, setup);
            assert_eq!(remote.mid, "data");
            assert_eq!(remote.fingerprint, Fingerprint::sha256(vec![0xab; 32]));
            assert_eq!(remote.parameters.credentials.ufrag(), "8hhY");
            assert!(remote.parameters.lite);
            assert_eq!(remote.candidates.len(), 1);
            assert!(remote.end_of_candidates);
        }
    }

    #[test]
    fn a_fingerprint_at_the_level_of_the_session_holds_for_the_section() {
        let text = written(Setup::Active);
        let line = text.lines().find(|line| line.starts_with("a=fingerprint")).expect("one");
        let moved = text.replace(&format!("{line}\r\n"), "");
        let moved = moved.replace("m=application", &format!("{line}\r\nm=application"));
        assert!(Remote::parse(&moved).is_ok());
    }

    #[test]
    fn a_description_without_the_one_data_section_is_refused() {
        let text = written(Setup::Active);
        let (session, _) = text.split_once("m=").expect("a section");
        assert!(matches!(Remote::parse(session), Err(SdpError::Sections)));
        let audio = format!("{text}m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n");
        assert!(matches!(Remote::parse(&audio), Err(SdpError::Sections)));
    }

    #[test]
    fn a_weak_or_broken_fingerprint_is_none() {
        assert_eq!(Fingerprint::parse("sha-1 AB:CD"), None);
        assert_eq!(Fingerprint::parse("sha-256 AB:CD"), None);
        let text = Fingerprint::sha256(vec![1; 32]).to_string();
        assert_eq!(Fingerprint::parse(&text), Some(Fingerprint::sha256(vec![1; 32])));
    }
}
