//! The scenarios of `frazil::sim` out of bytes, each held against its oracle.
//!
//! Where `world` invents faults that no topology explains, this has only what a network does, so it
//! can ask for more: the kinds of path that the topology allows, in the time that it allows, and
//! all that the runner of scenarios looks at after every step.

use frazil::sim::Scenario;

pub fn run(data: &[u8]) {
    let scenario = Scenario::decode(data);
    if let Err(failure) = scenario.run() {
        panic!("{}", failure.shrink());
    }
}
