//! Candidate pairs and the checklists that hold them (RFC 8445 §6.1.2): forming, pruning,
//! limiting, freezing, ordering.
//!
//! These are rules over plain data. Nothing here sends, receives or looks at a clock, so that a
//! property test can put a [`ChecklistSet`] through any sequence of operations without an agent.

mod counts;
mod endpoint;
mod forming;
mod foundations;
mod list;
mod pair;
mod pool;
mod set;
mod setback;
#[cfg(test)]
mod tests;
mod transitions;
mod turns;

pub(crate) use counts::{PairCounts, Traffic};
pub(crate) use endpoint::{Endpoint, Mismatch, Reach};
pub(crate) use list::{Checklist, ChecklistState};
pub use pair::PairState;
pub(crate) use pair::{Attempts, CandidatePair, Nomination, ValidPair, priority_in};
pub(crate) use pool::Fate;
pub(crate) use set::{ChecklistSet, is_active};
pub(crate) use setback::Setback;
pub use transitions::PairCause;
pub(crate) use transitions::{Change, Formed};
pub(crate) use turns::Triggered;
