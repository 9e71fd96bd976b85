//! What an agent is told when it is made: configuration, limits, timing. Validation stands here
//! and nowhere else.

use core::time::Duration;
use std::sync::Arc;

use crate::candidate::CandidateKind;
use crate::credentials::{Credentials, UfragPrefix};
use crate::policy::{Policies, RewriteError};

/// Whether the agent starts as the controlling or the controlled one (RFC 8445 §6.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Nominates the pairs.
    Controlling,
    /// Follows the nominations of its peer.
    Controlled,
}

impl Role {
    /// The role of the other side.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Controlling => Self::Controlled,
            Self::Controlled => Self::Controlling,
        }
    }
}

/// How candidates reach the peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Signalling {
    /// One by one as they are found (RFC 8838): a local candidate counts as conveyed, and is
    /// paired, when its event is polled.
    #[default]
    Trickle,
    /// All at once: local candidates count as conveyed when the description is taken.
    Complete,
}

/// How a controlling agent nominates; a controlled one follows what its peer does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NominationMode {
    /// One pair of a component, once (RFC 8445 §8.1.1). Another one only when that has died, and
    /// only if [`AgentConfig::strict_nomination`] is off.
    #[default]
    Regular,
    /// Every check nominates, as in RFC 5245 §8.1.1.2, for peers from before RFC 8445: the best pair
    /// that succeeds stands. The option `ice2` is not offered.
    Aggressive,
    /// Again and again, each time with a higher value (draft-thatcher-ice-renomination-01), if the
    /// peer offers the option `renomination` as well; regular otherwise. A controlled agent offers
    /// the option, and follows the highest value of its peer with or without it.
    Renomination {
        /// Goes on checking after the first nomination until two spare pairs are valid, and moves to
        /// a better path by itself: from a relayed to a direct one, to a less costly interface, or
        /// to one whose round trips are clearly shorter for a while; with
        /// [`AgentConfig::weigh_networks`] first of all to one whose networks cost less. Otherwise only
        /// [`IceAgent::renominate`](crate::IceAgent::renominate) moves.
        automatic: bool,
    },
}

impl NominationMode {
    pub(crate) const fn renominates(self) -> bool {
        matches!(self, Self::Renomination { .. })
    }
}

/// What an agent does with names of multicast DNS (draft-ietf-rtcweb-mdns-ice-candidates).
///
/// It neither asks nor answers by itself: [`Event::ResolveName`](crate::Event::ResolveName) and
/// [`Event::PublishName`](crate::Event::PublishName) say what is wanted. With the feature `mdns`,
/// `Mdns` does it for all agents of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MdnsMode {
    /// Candidates with names are refused.
    #[default]
    Off,
    /// The names of the peer's candidates are resolved.
    Query,
    /// And the host candidates of this side are told under names.
    QueryAndGather,
}

/// Configuration of an agent. `AgentConfig::new(role)` and its fields' defaults suit most.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AgentConfig {
    /// The role to start in. A conflict with the peer's is repaired (RFC 8445 §7.3.1.1).
    pub role: Role,
    /// A lite implementation (RFC 8445 §2.5): for a host that its peers can always reach. It only
    /// answers checks, and leaves nomination to its peer. Off by default.
    pub lite: bool,
    /// Trickle or complete signalling; [`Signalling::Trickle`] by default.
    pub signalling: Signalling,
    /// Components of the first stream, 1 to 256; 1 by default. Zero starts the agent without a stream.
    pub components: u16,
    /// Goes on gathering for as long as the session lives: local addresses may be added at any time,
    /// are signalled and checked, and gathering never reports that it is complete. The peer must
    /// take candidates after nomination, which RFC 8838 §13 does not expect it to. Off by default.
    pub continual: bool,
    /// Frees local candidates that neither a selected nor a spare pair uses, 3 s after the session
    /// is Completed (RFC 8445 §8.3.1), or at once when this side is lite (§8.3.2):
    /// [`Event::LocalCandidateRemoved`](crate::Event::LocalCandidateRemoved) says which, so that
    /// their sockets can be closed. A restart has only what is left, and what is added for it. Off by
    /// default.
    pub release_candidates: bool,
    /// How pairs are nominated while the role is controlling; [`NominationMode::Regular`] by default.
    pub nomination: NominationMode,
    /// Takes RFC 8445 by the letter where a session would suffer from it: a nomination that fails
    /// fails its checklist (§7.2.5.3.4), a selected path that dies is replaced by nothing but a
    /// restart (§8.1.1), a nomination is one transaction, and no spare paths are kept. Goes with regular
    /// nomination only. Off by default.
    pub strict_nomination: bool,
    /// Fixed local credentials, with at most 32 characters in the username fragment; generated
    /// from the seed when absent, which is the default.
    pub credentials: Option<Credentials>,
    /// What generated username fragments start with; nothing by default.
    pub ufrag_prefix: UfragPrefix,
    /// Accepts loopback addresses, which RFC 8445 §5.1.1.1 excludes. For tests on one machine. Off by
    /// default.
    pub loopback: bool,
    /// Answers unauthenticated requests with 400 or 401 (RFC 8489 §9.1.3), behind a token
    /// bucket and only when the answer is not larger. Otherwise they are dropped. On by default.
    pub answer_unauthenticated: bool,
    /// Asks the peer for consent on the paths in use (RFC 7675), and stops sending where it is not
    /// renewed. Without it paths are kept open by keepalives (RFC 8445 §11), and a dead one is not
    /// noticed. On by default.
    pub consent: bool,
    /// Lets a hard ICMP error that quotes a check under way fail that check (RFC 8445 §7.2.5.2.2). On
    /// by default.
    pub icmp: bool,
    /// Keeps a trace of what the agent does, for
    /// [`IceAgent::poll_trace`](crate::IceAgent::poll_trace): to find out why a session went as it
    /// did. Off by default.
    pub trace: bool,
    /// Counts the checks of each pair and measures their round trips, for
    /// [`IceAgent::stats`](crate::IceAgent::stats): 64 bytes for each pair that is checked. Off by
    /// default, so that an agent stays small; application data is counted in any case.
    pub statistics: bool,
    /// Tells the peer of the networks of this side as libwebrtc does, with the numbers of interfaces
    /// and what using them costs ([`LocalAddress`](crate::LocalAddress)): in candidates by the
    /// extensions `network-id` and `network-cost`, in checks by the attribute NETWORK-INFO (0xC057). Off
    /// by default, as it tells a peer whether it has to do with, say, a phone on the road. What the
    /// peer tells is read in any case.
    pub tell_networks: bool,
    /// Prefers, among pairs that work, the one whose networks cost the least, those of both ends
    /// taken together; and only among those that cost the same the one of the highest priority. So
    /// does libwebrtc. Where the peer chooses for itself as well, that is while this side is controlled
    /// or [`Aggressive`](NominationMode::Aggressive), it has effect only if the peer tells of
    /// its networks. Off by default.
    pub weigh_networks: bool,
    /// Lets packets of the application ride in checks and their answers
    /// ([`IceAgent::embed`](crate::IceAgent::embed)), and takes those of the peer. Off by default.
    pub embedding: bool,
    /// DSCP that transmits carry (RFC 8445 §7.2.3); 0 to 63, 0 by default.
    pub dscp: u8,
    /// What is gathered, told and used; everything, if there are none, as by default. Agents may share
    /// them.
    pub policies: Option<Arc<Policies>>,
    /// Names in place of addresses (draft-ietf-rtcweb-mdns-ice-candidates); [`MdnsMode::Off`] by
    /// default.
    pub mdns: MdnsMode,
    /// The largest IP packet that paths are believed to carry, in bytes:
    /// [`max_payload`](crate::IceAgent::max_payload) follows from it, and from what routers say. At
    /// least 576, 1280 by default.
    pub path_mtu: u16,
    /// Intervals and timeouts.
    pub timing: Timing,
    /// Bounds of everything that can grow.
    pub limits: Limits,
}

impl AgentConfig {
    /// The defaults for an agent in the given role.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self {
            role,
            lite: false,
            signalling: Signalling::Trickle,
            components: 1,
            continual: false,
            release_candidates: false,
            nomination: NominationMode::Regular,
            strict_nomination: false,
            credentials: None,
            ufrag_prefix: UfragPrefix::default(),
            loopback: false,
            answer_unauthenticated: true,
            consent: true,
            icmp: true,
            trace: false,
            statistics: false,
            tell_networks: false,
            weigh_networks: false,
            embedding: false,
            dscp: 0,
            policies: None,
            mdns: MdnsMode::default(),
            path_mtu: 1280,
            timing: Timing::default(),
            limits: Limits::default(),
        }
    }

    /// Whether an agent can be made of it.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if self.components > 256 {
            return Err(ConfigError::Components);
        }
        if self.dscp > 63 {
            return Err(ConfigError::Dscp);
        }
        if self.credentials.as_ref().is_some_and(|local| local.ufrag().len() > 32) {
            return Err(ConfigError::Credentials);
        }
        if self.strict_nomination && self.nomination != NominationMode::Regular {
            return Err(ConfigError::Nomination);
        }
        if let Some(policies) = &self.policies {
            policies.check().map_err(ConfigError::Rewrite)?;
            if !policies.acceptance.is_sound() {
                return Err(ConfigError::Acceptance);
            }
            let hosts = policies.rewrite.has(CandidateKind::Host);
            if hosts && self.mdns == MdnsMode::QueryAndGather {
                return Err(ConfigError::Mdns);
            }
        }
        if self.path_mtu < 576 {
            return Err(ConfigError::PathMtu);
        }
        self.timing.validate()?;
        self.limits.validate()
    }
}

/// Intervals and timeouts of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// Ta: the time from one new transaction to the next, 5 to 500 ms, 50 ms by default. Proposed to
    /// the peer when it is another; the larger of both sides' values is used (RFC 8445 §14.2).
    pub ta: Duration,
    /// RTO: the time to the first retransmission, which doubles from then on. At least 500 ms
    /// (RFC 8445 §14.3), which is the default; at most a minute.
    pub rto: Duration,
    /// Rc: how often a request is sent in all, 1 to 16 (RFC 8489 §6.2.1); 7 by default.
    pub transmissions: u8,
    /// Rm: how many RTO pass between the last transmission and the failure, 1 to 64; 16 by default.
    pub final_wait: u8,
    /// How long a controlling agent waits at most for a better pair than the best valid one
    /// before it nominates; up to a minute, 500 ms by default.
    pub nomination_wait: Duration,
    /// The mean time between two consent checks of a path, 5 to 30 s: each wait is 0.8 to 1.2 times
    /// that, and never below 4 s (RFC 7675 §5.1). 5 s by default.
    pub consent_interval: Duration,
    /// How long consent lasts after an answer, 5 to 30 s; 30 s by default (RFC 7675 §5.1).
    pub consent_timeout: Duration,
    /// How long a path in use may be silent before it counts as dead, 500 ms to a minute; 10 s by
    /// default. Silent is one without an authenticated message or
    /// [`note_activity`](crate::IceAgent::note_activity): data alone is no sign of life. Before that it is
    /// probed, every thirty-second part of this time: from when a consent check is overdue, or from half
    /// of this time on if that is earlier.
    pub disconnected_after: Duration,
    /// How long the path of a lite agent may be silent before it counts as dead, 5 s to ten minutes,
    /// 30 s by default; after twice this time it has failed. A lite agent sends nothing to find
    /// out, so the checks and consent checks of its peer have to keep it alive.
    pub lite_timeout: Duration,
    /// Tr: the time after which a path on which nothing was sent gets a keepalive, where there is no
    /// consent; at least 15 s (RFC 8445 §11), which is the default, at most ten minutes.
    pub keepalive: Duration,
    /// How long gathering waits for servers, 500 ms to two minutes, 10 s by default: those that have
    /// given nothing by then are given up, unless gathering is continual.
    pub gathering_timeout: Duration,
    /// How long a TCP connection that somebody has opened to this side may go without an
    /// authenticated message, one second to two minutes, 10 s by default. Then it is closed.
    pub first_message: Duration,
    /// Sends further checks in idle Ta slots while a component has no valid pair, and further
    /// nominating checks of the same pair while it has no selected one, so that one lost packet does
    /// not cost a whole RTO. On by default.
    pub hedging: bool,
}

impl Default for Timing {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Timing {
    pub(crate) const DEFAULT: Self = Self {
        ta: Duration::from_millis(50),
        rto: Duration::from_millis(500),
        transmissions: 7,
        final_wait: 16,
        nomination_wait: Duration::from_millis(500),
        consent_interval: Duration::from_secs(5),
        consent_timeout: Duration::from_secs(30),
        disconnected_after: Duration::from_secs(10),
        lite_timeout: Duration::from_secs(30),
        keepalive: Duration::from_secs(15),
        gathering_timeout: Duration::from_secs(10),
        first_message: Duration::from_secs(10),
        hedging: true,
    };

    /// For an idle session of a device that would rather sleep: a path costs one check in 12 s, and
    /// a dead one is noticed after 25 s.
    #[must_use]
    pub fn power_saving() -> Self {
        Self {
            consent_interval: Duration::from_secs(12),
            disconnected_after: Duration::from_secs(25),
            ..Self::default()
        }
    }

    /// The time a silent transaction takes to fail: 39.5 s by default. Also the time for which an
    /// agent waits patiently before it reports failure (RFC 8863 §4).
    #[must_use]
    pub fn transaction_timeout(&self) -> Duration {
        let doublings = u32::from(self.transmissions.saturating_sub(1)).min(16);
        let periods = 1u32
            .checked_shl(doublings)
            .unwrap_or(u32::MAX)
            .saturating_sub(1)
            .saturating_add(u32::from(self.final_wait));
        self.rto.saturating_mul(periods)
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let within = |value: Duration, low: u64, high: u64| {
            value >= Duration::from_millis(low) && value <= Duration::from_millis(high)
        };
        if !within(self.ta, 5, 500) {
            return Err(ConfigError::Ta);
        }
        if !within(self.rto, 500, 60_000) {
            return Err(ConfigError::Rto);
        }
        if self.transmissions == 0 || self.transmissions > 16 {
            return Err(ConfigError::Transmissions);
        }
        if self.final_wait == 0 || self.final_wait > 64 {
            return Err(ConfigError::FinalWait);
        }
        if !within(self.nomination_wait, 0, 60_000) {
            return Err(ConfigError::NominationWait);
        }
        if !within(self.consent_interval, 5_000, 30_000)
            || !within(self.consent_timeout, 5_000, 30_000)
        {
            return Err(ConfigError::Consent);
        }
        if !within(self.disconnected_after, 500, 60_000) {
            return Err(ConfigError::DisconnectedAfter);
        }
        if !within(self.lite_timeout, 5_000, 600_000) {
            return Err(ConfigError::LiteTimeout);
        }
        if !within(self.keepalive, 15_000, 600_000) {
            return Err(ConfigError::Keepalive);
        }
        if !within(self.gathering_timeout, 500, 120_000) {
            return Err(ConfigError::GatheringTimeout);
        }
        if !within(self.first_message, 1_000, 120_000) {
            return Err(ConfigError::FirstMessage);
        }
        Ok(())
    }
}

/// Bounds of everything that a peer, a server or an attacker can make grow.
///
/// What a bound refuses is counted in [`Counters`](crate::Counters).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Candidate pairs alive at once in all checklists together (RFC 8445 §6.1.2.5);
    /// 100 by default. As many again may be out of them, on which data is accepted (§12.2).
    pub pairs: u16,
    /// Local candidates, the peer-reflexive ones among them; 128 by default.
    pub local_candidates: u16,
    /// Remote candidates that were signalled, in one generation; 128 by default.
    pub remote_candidates: u16,
    /// Remote peer-reflexive candidates, in one generation; 32 by default.
    pub peer_reflexive_candidates: u16,
    /// Checks of this side under way, those that were given up but may still be answered among them;
    /// 1024 by default.
    pub transactions: u16,
    /// Checks that arrived before the remote parameters and are kept for later; 16 by default.
    pub early_checks: u16,
    /// Streams; 32 by default.
    pub streams: u16,
    /// Answers that wait to be polled, 8 by default; an agent that is drained after every input holds
    /// one.
    pub replies: u16,
    /// Answers a second to requests that are not authenticated, and the size of that bucket; 10 by
    /// default.
    pub unauthenticated_replies: u16,
    /// Servers; 16 by default.
    pub servers: u16,
    /// What servers are asked, each from one local address: mappings and allocations. 64 by default.
    pub server_tasks: u16,
    /// Permissions of one allocation (RFC 8656 §9); 128 by default.
    pub permissions: u16,
    /// Channels of one allocation, those that rest among them (RFC 8656 §12); 64 by default.
    pub channels: u16,
    /// Connections that are open or being opened, to servers and peers together; 64 by default.
    pub connections: u16,
    /// Those among them that others have opened and that have brought no authenticated message yet; 16
    /// by default.
    pub unproven_connections: u16,
    /// Bytes that such a connection may bring; 4096 by default.
    pub unproven_bytes: u16,
    /// The longest frame that is taken from a TCP connection to a peer (RFC 4571), in bytes. So much
    /// is kept of each at most, while the rest of a frame is on its way. 65,535 by default.
    pub frame: u16,
    /// Packets that wait to ride in the checks of one component; and such packets of the peer that
    /// wait to be polled. 16 by default.
    pub embedded_packets: u16,
    /// Packets that are taken from the checks of the peer, of one component and generation. Each is
    /// remembered, so that it becomes an event once. 64 by default.
    pub embedded_arrivals: u16,
    /// The largest of them, in bytes; 1500 by default.
    pub embedded_size: u16,
    /// Events that wait to be polled, 1024 by default. Beyond it an agent stops to admit what would
    /// raise events.
    pub events: u16,
    /// Events of the trace that wait to be polled, 1024 by default. Those beyond it are counted
    /// in its place: [`TraceData::EventsLost`](crate::trace::TraceData::EventsLost).
    pub trace: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Limits {
    pub(crate) const DEFAULT: Self = Self {
        pairs: 100,
        local_candidates: 128,
        remote_candidates: 128,
        peer_reflexive_candidates: 32,
        transactions: 1024,
        early_checks: 16,
        streams: 32,
        replies: 8,
        unauthenticated_replies: 10,
        servers: 16,
        server_tasks: 64,
        permissions: 128,
        channels: 64,
        connections: 64,
        unproven_connections: 16,
        unproven_bytes: 4096,
        frame: u16::MAX,
        embedded_packets: 16,
        embedded_arrivals: 64,
        embedded_size: 1500,
        events: 1024,
        trace: 1024,
    };

    fn validate(&self) -> Result<(), ConfigError> {
        let positive = [
            self.pairs,
            self.local_candidates,
            self.remote_candidates,
            self.transactions,
            self.replies,
            self.events,
        ];
        if positive.contains(&0) {
            return Err(ConfigError::Limits);
        }
        Ok(())
    }
}

/// Why a configuration makes no agent. Each variant names the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// `components` is above 256.
    #[error("components: a stream has at most 256 components")]
    Components,
    /// `dscp` is above 63.
    #[error("dscp: a code point has six bits, 0 to 63")]
    Dscp,
    /// The username fragment in `credentials` is longer than what may be sent (RFC 8839 §5.4).
    #[error("credentials: a username fragment to be sent has at most 32 characters")]
    Credentials,
    /// `strict_nomination` with a `nomination` that is not regular.
    #[error("strict_nomination: goes with regular nomination only")]
    Nomination,
    /// `timing.ta` is not within 5 to 500 ms.
    #[error("timing.ta: must be 5 to 500 ms")]
    Ta,
    /// `timing.rto` is not within 500 ms to a minute.
    #[error("timing.rto: must be 500 ms to 60 s")]
    Rto,
    /// `timing.transmissions` is not within 1 to 16.
    #[error("timing.transmissions: must be 1 to 16")]
    Transmissions,
    /// `timing.final_wait` is not within 1 to 64.
    #[error("timing.final_wait: must be 1 to 64")]
    FinalWait,
    /// `timing.nomination_wait` is above a minute.
    #[error("timing.nomination_wait: must be at most 60 s")]
    NominationWait,
    /// `timing.consent_interval` or `timing.consent_timeout` is not within its bounds.
    #[error("timing.consent_interval, timing.consent_timeout: must be 5 to 30 s")]
    Consent,
    /// `timing.disconnected_after` is not within 500 ms to a minute.
    #[error("timing.disconnected_after: must be 500 ms to 60 s")]
    DisconnectedAfter,
    /// `timing.lite_timeout` is not within 5 s to ten minutes.
    #[error("timing.lite_timeout: must be 5 s to 10 min")]
    LiteTimeout,
    /// `timing.keepalive` is not within 15 s to ten minutes.
    #[error("timing.keepalive: must be 15 s to 10 min")]
    Keepalive,
    /// `timing.gathering_timeout` is not within 500 ms to two minutes.
    #[error("timing.gathering_timeout: must be 500 ms to 2 min")]
    GatheringTimeout,
    /// A rule in `policies.rewrite` is for candidates that are not gathered.
    #[error("policies.rewrite: {0}")]
    Rewrite(RewriteError),
    /// A time in `policies.acceptance` is above a minute.
    #[error("policies.acceptance: at most 60 s")]
    Acceptance,
    /// Host addresses cannot both be hidden behind names and be rewritten.
    #[error("mdns: host addresses that are rewritten cannot have names")]
    Mdns,
    /// `timing.first_message` is not within one second to two minutes.
    #[error("timing.first_message: must be 1 s to 2 min")]
    FirstMessage,
    /// `path_mtu` is below 576.
    #[error("path_mtu: must be at least 576 bytes")]
    PathMtu,
    /// A bound in `limits` without which no agent works is zero.
    #[error("limits: pairs, candidates, transactions, replies and events must be at least 1")]
    Limits,
}
