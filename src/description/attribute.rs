//! One attribute line of SDP, if it is about ICE (RFC 8839 §5, RFC 8840).

use core::net::SocketAddr;
use core::time::Duration;

use crate::candidate::sdp::{ConnectionAddress, decimal};
use crate::candidate::{Candidate, CandidateAddress, CandidateParseError};

/// The most ICE options that are kept of one media description.
const MAX_OPTIONS: usize = 32;

/// The most components, and so the most remote candidates of one line.
const MAX_COMPONENTS: usize = 256;

/// One attribute line.
pub(super) enum Attribute<'a> {
    Ufrag(&'a str),
    Pwd(&'a str),
    Lite,
    Pacing(Duration),
    /// Tokens, separated by spaces.
    Options(&'a str),
    Mismatch,
    Candidate(Candidate),
    RemoteCandidates(Vec<RemoteCandidate>),
    EndOfCandidates,
    /// Nothing about ICE.
    Other,
}

impl<'a> Attribute<'a> {
    pub(super) fn read(line: &'a str) -> Result<Self, IgnoredReason> {
        let line = line.trim_ascii();
        let line = line.strip_prefix("a=").unwrap_or(line);
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        Ok(match name {
            "ice-ufrag" => Self::Ufrag(value),
            "ice-pwd" => Self::Pwd(value),
            "ice-lite" => Self::Lite,
            "ice-pacing" => {
                let milliseconds = decimal(value, 10).ok_or(IgnoredReason::Pacing)?;
                Self::Pacing(Duration::from_millis(milliseconds))
            }
            "ice-options" if value.split_ascii_whitespace().all(is_option) => Self::Options(value),
            "ice-options" => return Err(IgnoredReason::Options),
            "ice-mismatch" => Self::Mismatch,
            "candidate" => Self::Candidate(value.parse().map_err(IgnoredReason::Candidate)?),
            "remote-candidates" => {
                let all = RemoteCandidate::read_all(value);
                Self::RemoteCandidates(all.ok_or(IgnoredReason::RemoteCandidates)?)
            }
            "end-of-candidates" => Self::EndOfCandidates,
            _ => Self::Other,
        })
    }
}

/// `ice-option-tag` of RFC 8839 §5.6, and whatever else peers write as one word.
pub(super) fn is_option(tag: &str) -> bool {
    !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Adds what is new of the tokens.
pub(super) fn add_options(options: &mut Vec<String>, tokens: &str) -> Result<(), IgnoredReason> {
    for token in tokens.split_ascii_whitespace() {
        if !options.iter().any(|known| known == token) {
            if options.len() >= MAX_OPTIONS {
                return Err(IgnoredReason::Options);
            }
            options.push(token.to_owned());
        }
    }
    Ok(())
}

/// The remote candidate of a selected pair, by its component (RFC 8839 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RemoteCandidate {
    /// From 1 to 256.
    pub component: u16,
    /// Its address.
    pub addr: SocketAddr,
}

impl RemoteCandidate {
    /// The attribute with which the offer of a controlling agent names the selected candidates
    /// of its peer, one for each component. `None` without any.
    #[must_use]
    pub fn line(selected: &[Self]) -> Option<String> {
        let triples: Vec<String> = selected
            .iter()
            .map(|Self { component, addr }| format!("{component} {} {}", addr.ip(), addr.port()))
            .collect();
        (!triples.is_empty()).then(|| format!("a=remote-candidates:{}", triples.join(" ")))
    }

    fn read_all(value: &str) -> Option<Vec<Self>> {
        let mut fields = value.split_ascii_whitespace();
        let mut all = Vec::new();
        while let Some(component) = fields.next() {
            let component =
                decimal(component, 3).filter(|component| (1..=256).contains(component))?;
            let host = ConnectionAddress::read(fields.next()?)?;
            let port = decimal(fields.next()?, 5)?;
            let CandidateAddress::Socket(addr) = host.with_port(port) else {
                return None;
            };
            if all.len() >= MAX_COMPONENTS {
                return None;
            }
            all.push(Self { component, addr });
        }
        (!all.is_empty()).then_some(all)
    }
}

/// Why a line was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IgnoredReason {
    /// A candidate that is wrong, or not supported.
    #[error("candidate: {0}")]
    Candidate(CandidateParseError),
    /// `remote-candidates` is not a list of component, IP address and port.
    #[error("remote-candidates: must be a list of component, IP address and port")]
    RemoteCandidates,
    /// `ice-pacing` is not a number.
    #[error("ice-pacing: must be a number of milliseconds")]
    Pacing,
    /// `ice-options` has something that is no token, or more than 32 of them.
    #[error("ice-options: must be at most 32 tokens")]
    Options,
    /// It stands at the session level and belongs to a media description.
    #[error("belongs to a media description")]
    Level,
}
