//! Any bytes as the log of a session.
//!
//! Played with and without a look at what was recorded, they end in an error that stays the same, or at
//! their end. Whatever inputs could be read are then recorded, and what that gives is played to its
//! end, with the same agent.

use frazil::replay::{Recorder, Replay, ReplayError};
use frazil::{IceAgent, Timestamp};

/// More inputs than a case needs.
const STEPS: usize = 1000;

pub fn run(data: &[u8]) {
    strict(data);
    let Ok(mut replay) = Replay::new(data) else { return };
    replay.ignore_differences();
    let again = Recorder::new(replay.config().clone(), *replay.seed());
    let mut again = again.expect("an agent was made of it");
    let mut last = Timestamp::ZERO;
    for _ in 0..STEPS {
        match replay.step() {
            Ok(Some(step)) => {
                last = step.at;
                again.apply(step.at, &step.input);
            }
            Ok(None) => break,
            Err(ReplayError::Malformed { .. }) => break,
            Err(other) => panic!("{other}"),
        }
    }
    let log = again.take_log();
    let mut played = Replay::new(&log).expect("it was recorded");
    while played.step().expect("it does what was recorded").is_some() {}
    let digest = |mut agent: IceAgent| {
        // An input of which nothing came is not recorded, but has moved the clock.
        agent.handle_timeout(last);
        agent.state_digest()
    };
    assert_eq!(digest(played.agent().clone()), digest(replay.agent().clone()));
    assert_eq!(digest(again.into_agent()), digest(replay.agent().clone()));
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
