//! What SDP says of ICE (RFC 8839 §5, RFC 8840): for callers with an SDP library of their own,
//! who hand over the attribute lines of a session and of its media descriptions.
//!
//! A bad line does not cost the session: it is reported with its index and skipped. Only
//! credentials have to be right.

mod attribute;
#[cfg(test)]
mod tests;

use core::fmt;
use core::time::Duration;

use crate::address;
use crate::agent::io::Parameters;
use crate::candidate::sdp::DISCARD_PORT;
use crate::candidate::{Candidate, CandidateAddress, Transport};
use crate::credentials::{Credentials, CredentialsError};

use attribute::{Attribute, add_options, is_option};
pub use attribute::{IgnoredReason, RemoteCandidate};

/// The session level of a description: defaults for all media descriptions.
///
/// ```
/// use frazil::IceAttributes;
///
/// let session = IceAttributes::parse(["a=ice-options:ice2 trickle", "a=ice-lite"]);
/// let media = session.media([
///     "a=ice-ufrag:8hhY",
///     "a=ice-pwd:asd88fgpdd777uzjYhagZg",
///     "a=candidate:1 1 UDP 2130706431 203.0.113.141 8998 typ host",
/// ])?;
/// assert!(media.parameters().is_some_and(|parameters| parameters.lite));
/// assert_eq!(media.candidates.len(), 1);
/// # Ok::<(), frazil::AttributeError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct IceAttributes {
    ufrag: Option<String>,
    pwd: Option<String>,
    lite: bool,
    pacing: Option<Duration>,
    options: Vec<String>,
    end_of_candidates: bool,
    ignored: Vec<IgnoredLine>,
}

impl IceAttributes {
    /// Reads the lines of the session level, with or without `a=`. What is not about ICE is
    /// passed over.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut session = Self::default();
        for (index, line) in lines.into_iter().enumerate() {
            let outcome = Attribute::read(line).and_then(|attribute| {
                match attribute {
                    Attribute::Other => {}
                    Attribute::Ufrag(ufrag) => session.ufrag = Some(ufrag.to_owned()),
                    Attribute::Pwd(pwd) => session.pwd = Some(pwd.to_owned()),
                    Attribute::Lite => session.lite = true,
                    Attribute::Pacing(pacing) => session.pacing = Some(pacing),
                    Attribute::Options(tokens) => add_options(&mut session.options, tokens)?,
                    Attribute::EndOfCandidates => session.end_of_candidates = true,
                    Attribute::Mismatch
                    | Attribute::Candidate(_)
                    | Attribute::RemoteCandidates(_) => return Err(IgnoredReason::Level),
                }
                Ok(())
            });
            session.ignored.extend(outcome.err().map(|reason| IgnoredLine { index, reason }));
        }
        session
    }

    /// Reads the lines of one media description, to which the session level gives the defaults.
    /// With `IceAttributes::default()` for what has no session level, as a fragment of RFC 8840.
    ///
    /// RFC 8839 §5.4: username fragment and password of the media level take precedence. Options
    /// of both levels hold together.
    ///
    /// # Errors
    /// A username fragment or a password that is wrong, or one without the other.
    pub fn media<'a>(
        &self,
        lines: impl IntoIterator<Item = &'a str>,
    ) -> Result<MediaIceAttributes, AttributeError> {
        let (mut ufrag, mut pwd) = (self.ufrag.as_deref(), self.pwd.as_deref());
        let mut media = MediaIceAttributes {
            lite: self.lite,
            pacing: self.pacing,
            options: self.options.clone(),
            end_of_candidates: self.end_of_candidates,
            ..MediaIceAttributes::default()
        };
        for (index, line) in lines.into_iter().enumerate() {
            let outcome = Attribute::read(line).and_then(|attribute| {
                match attribute {
                    Attribute::Other => {}
                    Attribute::Ufrag(value) => ufrag = Some(value),
                    Attribute::Pwd(value) => pwd = Some(value),
                    // Of the session level only; what a peer means by them here is plain.
                    Attribute::Lite => media.lite = true,
                    Attribute::Pacing(pacing) => media.pacing = Some(pacing),
                    Attribute::Options(tokens) => add_options(&mut media.options, tokens)?,
                    Attribute::EndOfCandidates => media.end_of_candidates = true,
                    Attribute::Mismatch => media.mismatch = true,
                    Attribute::Candidate(candidate) => media.candidates.push(candidate),
                    Attribute::RemoteCandidates(list) => media.remote_candidates.extend(list),
                }
                Ok(())
            });
            media.ignored.extend(outcome.err().map(|reason| IgnoredLine { index, reason }));
        }
        media.credentials = match (ufrag, pwd) {
            (Some(ufrag), Some(pwd)) => Some(Credentials::new(ufrag, pwd)?),
            (None, None) => None,
            (None, Some(_)) => return Err(AttributeError::MissingUfrag),
            (Some(_), None) => return Err(AttributeError::MissingPwd),
        };
        Ok(media)
    }

    /// The lines of the session level that were skipped.
    #[must_use]
    pub fn ignored(&self) -> &[IgnoredLine] {
        &self.ignored
    }

    /// The lines that tell a peer what holds for all media descriptions, without line ends.
    #[must_use]
    pub fn lines(parameters: &Parameters) -> Vec<String> {
        let mut lines = Vec::new();
        if parameters.lite {
            lines.push("a=ice-lite".to_owned());
        }
        if let Some(pacing) = parameters.pacing {
            // The grammar has ten digits.
            lines.push(format!("a=ice-pacing:{}", pacing.as_millis().min(9_999_999_999)));
        }
        let options: Vec<&str> =
            parameters.options.iter().map(String::as_str).filter(|tag| is_option(tag)).collect();
        if !options.is_empty() {
            lines.push(format!("a=ice-options:{}", options.join(" ")));
        }
        lines
    }
}

impl fmt::Debug for IceAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceAttributes")
            .field("ufrag", &self.ufrag)
            .field("lite", &self.lite)
            .field("pacing", &self.pacing)
            .field("options", &self.options)
            .field("end_of_candidates", &self.end_of_candidates)
            .field("ignored", &self.ignored)
            .finish_non_exhaustive()
    }
}

/// What one media description says of ICE, with what it has from the session level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MediaIceAttributes {
    /// Username fragment and password; without them the stream does not use ICE.
    pub credentials: Option<Credentials>,
    /// The peer is a lite implementation (RFC 8839 §5.3).
    pub lite: bool,
    /// The Ta that the peer proposes (RFC 8839 §5.5); 50 ms when it says nothing.
    pub pacing: Option<Duration>,
    /// Its ICE options, unknown ones among them (RFC 8839 §5.6).
    pub options: Vec<String>,
    /// The peer found a default destination without a candidate: no ICE for this stream
    /// (RFC 8839 §5.3).
    pub mismatch: bool,
    /// The candidates that could be read.
    pub candidates: Vec<Candidate>,
    /// No more candidates will follow (RFC 8840).
    pub end_of_candidates: bool,
    /// The controlled side's candidates of the selected pairs, in an offer after the conclusion
    /// of ICE (RFC 8839 §5.2).
    pub remote_candidates: Vec<RemoteCandidate>,
    /// The lines that were skipped.
    pub ignored: Vec<IgnoredLine>,
}

impl MediaIceAttributes {
    /// The parameters of the peer. `None` when the stream does not use ICE.
    #[must_use]
    pub fn parameters(&self) -> Option<Parameters> {
        let credentials = self.credentials.clone().filter(|_| !self.mismatch)?;
        let (lite, pacing, options) = (self.lite, self.pacing, self.options.clone());
        Some(Parameters { credentials, lite, pacing, options })
    }

    /// RFC 8839 §4.2.5: whether the default destination of a component, from its `c=` and `m=`
    /// lines, is none of the candidates, so that ICE may be refused with `a=ice-mismatch`.
    ///
    /// A name is no mismatch, and neither is the port 9 of `0.0.0.0` or `::`, with which trickle
    /// ICE starts.
    #[must_use]
    pub fn is_mismatch(
        &self,
        component: u16,
        transport: Transport,
        destination: &CandidateAddress,
    ) -> bool {
        let CandidateAddress::Socket(destination) = *destination else {
            return false;
        };
        let destination = address::normal(destination);
        if destination.ip().is_unspecified() && destination.port() == DISCARD_PORT {
            return false;
        }
        !self.candidates.iter().any(|candidate| {
            candidate.component == component
                && candidate.transport.transport() == transport
                && matches!(
                    candidate.address,
                    CandidateAddress::Socket(addr) if address::normal(addr) == destination
                )
        })
    }

    /// RFC 8839 §5.4: streams of one session with the same username fragment have the same
    /// password.
    ///
    /// # Errors
    /// [`AttributeError::PwdDiffers`].
    pub fn check_session(streams: &[Self]) -> Result<(), AttributeError> {
        let mut all: Vec<&Credentials> =
            streams.iter().filter_map(|stream| stream.credentials.as_ref()).collect();
        all.sort_unstable_by_key(|credentials| credentials.ufrag());
        let differ = all.windows(2).any(|two| match two {
            [a, b] => a.ufrag() == b.ufrag() && a.pwd() != b.pwd(),
            _ => false,
        });
        if differ { Err(AttributeError::PwdDiffers) } else { Ok(()) }
    }

    /// The lines that tell a peer of one stream, without line ends.
    #[must_use]
    pub fn lines(
        parameters: &Parameters,
        candidates: &[Candidate],
        end_of_candidates: bool,
    ) -> Vec<String> {
        let credentials = &parameters.credentials;
        let mut lines = vec![
            format!("a=ice-ufrag:{}", credentials.ufrag()),
            format!("a=ice-pwd:{}", credentials.pwd()),
        ];
        lines.extend(candidates.iter().map(|candidate| format!("a=candidate:{candidate}")));
        if end_of_candidates {
            lines.push("a=end-of-candidates".to_owned());
        }
        lines
    }
}

/// Why a description cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttributeError {
    /// The username fragment or the password is not one.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// There is a password without a username fragment.
    #[error("ice-ufrag: missing beside ice-pwd")]
    MissingUfrag,
    /// There is a username fragment without a password.
    #[error("ice-pwd: missing beside ice-ufrag")]
    MissingPwd,
    /// Two streams have the same username fragment, but not the same password.
    #[error("ice-pwd: differs between streams with the same ice-ufrag")]
    PwdDiffers,
}

/// A line that was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IgnoredLine {
    /// Its place among the lines that were handed over, from 0.
    pub index: usize,
    /// What is the matter with it.
    pub reason: IgnoredReason,
}
