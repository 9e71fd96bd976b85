//! What a caller decides about names: families, which names are asked for, bounds.

use core::time::Duration;

/// How an [`Mdns`](super::Mdns) behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MdnsConfig {
    /// The caller receives and sends on 224.0.0.251. Default: yes.
    pub ipv4: bool,
    /// The caller receives and sends on `ff02::fb`. Default: yes.
    pub ipv6: bool,
    /// Names that are no UUIDs are asked for as well. Default: no, since with them a peer could
    /// have ICE traffic sent to a device whose name it guesses (draft §3.2.2, §6.3).
    pub any_name: bool,
    /// How long a query waits for an answer: 1 to 60 s. Default: 10 s, in which a question is sent
    /// at 0, 1, 3 and 7 s.
    pub timeout: Duration,
    /// A name is announced when it is published. Default: no. The draft (§3.1.1) would have it,
    /// but nobody can have asked for a new random name, and for a second after an announcement the
    /// answer to a multicast question has to wait (RFC 6762 §6).
    pub announce: bool,
    /// The bounds.
    pub limits: MdnsLimits,
}

impl Default for MdnsConfig {
    fn default() -> Self {
        Self {
            ipv4: true,
            ipv6: true,
            any_name: false,
            timeout: Duration::from_secs(10),
            announce: false,
            limits: MdnsLimits::default(),
        }
    }
}

impl MdnsConfig {
    pub(super) fn validate(&self) -> Result<(), MdnsConfigError> {
        if !(self.ipv4 || self.ipv6) {
            return Err(MdnsConfigError::Families);
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(60)).contains(&self.timeout) {
            return Err(MdnsConfigError::Timeout);
        }
        let MdnsLimits { names, queries, answers, query_rate, answer_rate, notice_rate } =
            self.limits;
        if names == 0 || [queries, answers, query_rate, answer_rate, notice_rate].contains(&0) {
            return Err(MdnsConfigError::Limits);
        }
        Ok(())
    }
}

/// Bounds of everything that grows, and rates of everything that is sent (draft §6.1). None may be
/// zero.
///
/// A rate is in messages a second, over all names and links; as many may go at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MdnsLimits {
    /// Names that are published, and goodbyes that wait to be polled.
    pub names: u32,
    /// Queries under way and events that wait to be polled, together; names that are asked for.
    pub queries: u16,
    /// Answers that wait to be polled.
    pub answers: u16,
    /// Questions. What is beyond it waits. A name takes two messages each time.
    pub query_rate: u16,
    /// Answers. What is beyond it is not given.
    pub answer_rate: u16,
    /// Announcements and goodbyes. What is beyond it waits.
    pub notice_rate: u16,
}

impl Default for MdnsLimits {
    fn default() -> Self {
        Self {
            names: 4096,
            queries: 256,
            answers: 64,
            query_rate: 64,
            answer_rate: 64,
            notice_rate: 16,
        }
    }
}

/// Why a configuration makes no [`Mdns`](super::Mdns). Each variant names the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MdnsConfigError {
    /// Neither `ipv4` nor `ipv6`.
    #[error("ipv4, ipv6: one of them is needed")]
    Families,
    /// `timeout` is not within 1 to 60 s.
    #[error("timeout: must be 1 to 60 s")]
    Timeout,
    /// A bound in `limits` is zero.
    #[error("limits: none may be zero")]
    Limits,
}
