//! Why a session is as it is: for every pair, every server, every candidate that was not taken, and
//! in one verdict.
//!
//! What can be told from the state of the agent is told from it when somebody asks. Written down at
//! the time is only what would be lost otherwise: the setback of a pair, in its checklist, and what
//! [`Observed`] holds.

mod display;
mod observed;
mod pairs;
mod servers;
mod verdict;

pub use observed::{Choice, Rejected, RejectedCandidate};
pub(in crate::agent) use observed::{Chosen, Observed};
pub use pairs::{LossReason, PairExplanation, PairReason};
pub use servers::{ServerExplanation, ServerSituation};
pub use verdict::Verdict;

use super::IceAgent;
use crate::time::Timestamp;

/// Why a session is as it is. [`Display`](core::fmt::Display) writes it for people, a line for each
/// thing and the verdict last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The newest time that the agent has seen.
    pub at: Timestamp,
    /// What it comes to.
    pub verdict: Verdict,
    /// Every pair of a local and a remote candidate of this generation, those among them that were
    /// never formed, those first that were.
    pub pairs: Vec<PairExplanation>,
    /// Every server, in the order in which they were added.
    pub servers: Vec<ServerExplanation>,
    /// The newest 16 candidates that were not taken, oldest first.
    pub rejected: Vec<RejectedCandidate>,
}

impl IceAgent {
    /// Explains the session as it is now. Legal at any time, and of most use when it has failed: the
    /// agent keeps what it needs for it until the next restart. The work grows with the candidates
    /// of this side times those of the peer.
    ///
    /// ```
    /// use frazil::{AgentConfig, IceAgent, Role, Verdict};
    ///
    /// let agent = IceAgent::new(AgentConfig::new(Role::Controlling), [7; 32])?;
    /// let explanation = agent.explain();
    /// assert_eq!(explanation.verdict, Verdict::NoRemoteParameters { checks_arrive: false });
    /// println!("{explanation}");
    /// # Ok::<(), frazil::ConfigError>(())
    /// ```
    #[must_use]
    pub fn explain(&self) -> Explanation {
        let pairs = self.explain_pairs();
        let servers = self.explain_servers();
        let verdict = self.facts(&pairs, &servers).verdict();
        let rejected = self.observed.rejected().to_vec();
        Explanation { at: self.now, verdict, pairs, servers, rejected }
    }
}
