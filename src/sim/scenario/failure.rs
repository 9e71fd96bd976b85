//! What a scenario can show to be wrong, in a form that helps to mend it.

use core::fmt;

use super::{Scenario, Who};
use crate::candidate::CandidateKind;
use crate::sim::error::WorldError;
use crate::time::Timestamp;

/// What was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// An agent broke the contract between it and its driver.
    Contract(WorldError),
    /// The oracle says that there is a path, and not both sides have selected one in time.
    NotConnected,
    /// The oracle says that there is no path, and a side has one.
    Connected(Who),
    /// The oracle says that there is no path, and a side has not failed.
    NotFailed(Who),
    /// The pair of one side is not that of the other.
    NotMirrored,
    /// The oracle does not allow that a pair of these kinds is selected by this side.
    Kinds(Who, CandidateKind, CandidateKind),
    /// Data of this side did not arrive on a path that both sides believe in.
    DataLost(Who),
    /// A side has nominated two pairs of one generation, though nothing was wrong with the first.
    TwoNominations(Who),
    /// A side has begun two transactions within one Ta, and neither was the first check of its
    /// generation beside a request to a server.
    Pacing(Who),
    /// A side sends data to where nothing authentic has come from for as long as consent lasts.
    NoConsent(Who),
    /// A timeout before the deadline has changed a side.
    SpuriousTimeout(Who),
    /// A message that is not authentic has changed a side.
    Unauthenticated(Who),
    /// A side holds more than its limits allow.
    Unbounded(Who),
}

/// A scenario that shows something to be wrong.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScenarioFailure {
    /// The scenario.
    pub scenario: Scenario,
    /// What was wrong.
    pub violation: Violation,
    /// When it was found.
    pub at: Timestamp,
    /// What both sides did and met, and what they have in the end.
    pub timeline: String,
}

impl fmt::Display for ScenarioFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, violation, at, timeline } = self;
        let millis = at.as_duration().as_millis();
        write!(f, "{violation:?} at {millis} ms\n{scenario}\n    .run()\n{timeline}")
    }
}

impl core::error::Error for ScenarioFailure {}
