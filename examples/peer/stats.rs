//! The agent's statistics as one line of JSON, with the names of the W3C, and what only the driver
//! knows.

use frazil::GatheringState;
use serde_json::{Value, json};

use crate::driver::Driver;

pub(crate) fn report(driver: &Driver) -> Value {
    let agent = &driver.agent;
    let mut report = json!(agent.stats());
    report["gatheringState"] = gathering(agent.gathering_state()).into();
    report["unsent"] = driver.unsent.count.into();
    report
}

const fn gathering(state: GatheringState) -> &'static str {
    match state {
        GatheringState::New => "new",
        GatheringState::Gathering => "gathering",
        GatheringState::Complete => "complete",
    }
}
