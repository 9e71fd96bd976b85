//! Any bytes as the log of a session.
//!
//! Played with and without a look at what was recorded, they end in an error that stays the same, or at
//! their end. Whatever inputs could be read are then recorded, and what that gives is played to its
//! end, with the same agent.

use frazil::replay::{Recorder, Replay, ReplayError};

/// More inputs than a case needs.
const STEPS: usize = 1000;

pub fn run(data: &[u8]) {
    strict(data);
    let Ok(mut replay) = Replay::new(data) else { return };
    replay.ignore_differences();
    let again = Recorder::new(replay.config().clone(), *replay.seed());
    let mut again = again.expect("an agent was made of it");
    for _ in 0..STEPS {
        match replay.step() {
            Ok(Some(step)) => again.apply(step.at, &step.input),
            Ok(None) => break,
            Err(ReplayError::Malformed { .. }) => break,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(again.state_digest(), replay.agent().state_digest());
    let log = again.take_log();
    let mut played = Replay::new(&log).expect("it was recorded");
    while played.step().expect("it does what was recorded").is_some() {}
    assert_eq!(played.agent().state_digest(), again.state_digest());
}

fn strict(data: &[u8]) {
    let Ok(mut replay) = Replay::new(data) else { return };
    for _ in 0..STEPS {
        match replay.step() {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(error) => {
                assert_eq!(replay.step(), Err(error));
                return;
            }
        }
    }
}
