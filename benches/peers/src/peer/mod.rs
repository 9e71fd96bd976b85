//! One trait for what all implementations can do, and an adapter in a file for each.
//!
//! An adapter does what the documentation of its implementation asks for and nothing else: no
//! option is set that is not needed, no work is saved that an application would have.

mod frazil;
mod is;
mod rice;
mod rtc;

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

pub use frazil::Frazil;
pub use is::Is;
pub use rice::Rice;
pub use rtc::Rtc;

/// From where to where a datagram goes, as the agent sees it that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

impl Path {
    /// The same way seen from its other end.
    pub fn reversed(self) -> Self {
        Self { local: self.remote, remote: self.local }
    }
}

/// An address that a NAT has for one of the hosts, as the application has found out.
#[derive(Clone, Copy, Debug)]
pub struct Reflexive {
    pub addr: SocketAddr,
    pub base: SocketAddr,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A message of ICE, which the agent has dealt with.
    Consumed,
    /// Application data of that length.
    Data(usize),
    /// Refused.
    Ignored,
}

/// What one side tells the other before checks begin.
#[derive(Clone, Debug)]
pub struct Description<C> {
    pub credentials: Credentials,
    pub candidates: Vec<C>,
}

/// Username fragment and password. All implementations get the same, so that their messages have
/// the same size.
#[derive(Clone, Copy, Debug)]
pub struct Credentials {
    pub ufrag: &'static str,
    pub pwd: &'static str,
}

impl Credentials {
    /// Those of the controlling or of the controlled side.
    pub const fn of(controlling: bool) -> Self {
        if controlling {
            Self { ufrag: "ctrlling", pwd: "controllingcontrolling00" }
        } else {
            Self { ufrag: "ctrllled", pwd: "controlledcontrolled0000" }
        }
    }
}

/// An implementation of ICE, driven by timestamps and datagrams.
pub trait Peer: Sized {
    /// A candidate as the implementation has it. That it goes through SDP is nobody's work here.
    type Candidate: Clone;
    /// What an application would hold; its memory counts.
    type Agent;
    /// Its STUN.
    type Codec: Codec;

    fn codec() -> Self::Codec;

    /// An agent for one stream of one component, with [`Credentials::of`] its role.
    fn new(controlling: bool, seed: u8) -> Self;

    /// Takes all local addresses; these are all candidates there will be.
    fn add_local(
        &mut self,
        now: Duration,
        hosts: &[SocketAddr],
        reflexive: &[Reflexive],
    ) -> Description<Self::Candidate>;

    /// The same without a NAT.
    fn add_hosts(&mut self, now: Duration, hosts: &[SocketAddr]) -> Description<Self::Candidate> {
        self.add_local(now, hosts, &[])
    }

    /// A host candidate as the other side may tell it, with a foundation of its own.
    fn told(addr: SocketAddr, priority: u32) -> Self::Candidate;

    /// Takes all that the other side tells; checks begin.
    fn set_remote(&mut self, now: Duration, remote: &Description<Self::Candidate>);

    /// Takes a datagram.
    fn receive(&mut self, now: Duration, path: Path, datagram: &[u8]) -> Verdict;

    /// Does what is due.
    fn timeout(&mut self, now: Duration);

    /// Polls everything that an application polls after each input, until there is nothing left.
    fn drain(&mut self, now: Duration, send: impl FnMut(Path, &[u8]));

    /// When [`Peer::timeout`] is to be called.
    fn deadline(&mut self) -> Option<Duration>;

    /// The pair that was selected last, by the addresses between which datagrams go.
    fn selected(&self) -> Option<Path>;

    /// Whether the agent says that data may flow, if it says so before it has selected a pair.
    fn connected(&self) -> Option<bool> {
        None
    }

    /// Where application data goes, and its length on the wire.
    fn send(&mut self, now: Duration, payload: &[u8]) -> (Path, usize);

    /// The agent without what the adapter has around it.
    fn into_agent(self) -> Self::Agent;
}

/// The STUN codec of an implementation: as directly as it can be reached.
pub trait Codec {
    /// So many calls may follow each other before [`Codec::reset`].
    const BATCH: usize;

    /// Makes room for the next calls; not measured.
    fn reset(&mut self);

    /// Verifies and decodes a check that was sent to the controlling side.
    fn decode(&mut self, check: &[u8]) -> bool;

    /// Encodes a check; its length.
    fn encode(&mut self) -> usize;
}

/// The instant that counts as the beginning, for the implementations that know no other time.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

fn instant(now: Duration) -> Instant {
    *EPOCH + now
}

fn since_epoch(instant: Instant) -> Duration {
    instant.saturating_duration_since(*EPOCH)
}
