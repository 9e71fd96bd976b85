//! The shared pacer (RFC 8445 §14.2).

use std::collections::BTreeMap;
use std::time::Duration;

use frazil::{MuxConfig, Role, Timestamp};

use crate::common::Sent;
use crate::stage::{Party, Stage, full};

const SERVER: &str = "10.0.0.1:3478";
const SPACING: Duration = Duration::from_millis(5);

fn paced() -> MuxConfig {
    let mut config = MuxConfig::default();
    config.pacing = true;
    config
}

fn stage(config: &MuxConfig, sessions: u32) -> (Stage, Vec<[Party; 2]>) {
    let mut stage = Stage::with(2, config);
    stage.log = true;
    let pairs = (0..sessions)
        .map(|number| {
            let client = format!("10.1.{}.{}:5000", number / 200, number % 200 + 1);
            stage.pair(number, full(Role::Controlled), [SERVER, &client])
        })
        .collect();
    (stage, pairs)
}

/// The requests of one `Mux` before consent checks begin, in order.
fn requests(stage: &Stage, at: usize) -> Vec<&Sent> {
    let of = |(party, sent): &&(Party, Sent)| party.0 == at && sent.is_request();
    stage.sent.iter().filter(of).map(|(_, sent)| sent).collect()
}

fn least_distance(requests: &[&Sent]) -> Duration {
    requests.windows(2).map(|two| two[1].at - two[0].at).min().unwrap()
}

#[test]
fn transactions_of_all_agents_keep_five_milliseconds_distance() {
    let (mut stage, pairs) = stage(&paced(), 40);
    stage.run_until(Timestamp::from_millis(3500));
    for party in pairs.iter().flatten() {
        assert!(stage.is_completed(*party), "{:?}", stage.state(*party));
    }
    for at in 0..2 {
        let requests = requests(&stage, at);
        assert!(requests.len() >= 40);
        assert!(least_distance(&requests) >= SPACING);
    }
}

#[test]
fn without_the_shared_pacer_they_do_not() {
    let (mut stage, _) = stage(&MuxConfig::default(), 40);
    stage.run_until(Timestamp::from_millis(3500));
    assert_eq!(least_distance(&requests(&stage, 0)), Duration::ZERO);
}

#[test]
fn no_slot_stays_idle_while_agents_wait() {
    let (mut stage, _) = stage(&paced(), 100);
    stage.run_until(Timestamp::from_millis(3500));
    // The controlling side has a first check of each of a hundred agents: the last one is sent
    // after 99 slots, unless answers to others have used some.
    let mut first: BTreeMap<Party, Timestamp> = BTreeMap::new();
    for (party, sent) in stage.sent.iter().filter(|(party, sent)| party.0 == 1 && sent.is_request())
    {
        first.entry(*party).or_insert(sent.at);
    }
    assert_eq!(first.len(), 100);
    let last = first.values().max().unwrap();
    assert!(*last <= Timestamp::from_millis(1000), "{last:?}");
}

#[test]
fn repetitions_keep_the_distance_as_well() {
    let (mut stage, pairs) = stage(&paced(), 30);
    // Nobody answers.
    for number in 0..30 {
        stage.dead.insert(format!("10.1.0.{}:5000", number + 1).parse().unwrap());
    }
    stage.run_until(Timestamp::from_millis(20_000));
    let requests = requests(&stage, 0);
    let mut ids: Vec<[u8; 12]> = requests.iter().map(|sent| sent.id()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert!(ids.len() < requests.len(), "some were repeated");
    assert!(least_distance(&requests) >= SPACING);
    assert!(!stage.is_completed(pairs[0][0]));
}

#[test]
fn a_driver_that_is_late_does_not_break_the_distance() {
    let (mut stage, pairs) = stage(&paced(), 30);
    // Consent checks, which keep no distance to those of others, begin after four seconds.
    while stage.now < Timestamp::from_millis(3900) {
        stage.now = stage.now + Duration::from_millis(23);
        stage.step();
    }
    assert!(least_distance(&requests(&stage, 1)) >= SPACING);
    assert!(pairs.iter().flatten().all(|party| stage.is_completed(*party)));
}

#[test]
fn consent_does_not_wait_for_others() {
    // Far more sessions than two hundred transactions a second would keep alive.
    let (mut stage, pairs) = stage(&paced(), 20);
    stage.run_for_secs(4);
    let more: Vec<[Party; 2]> = (20..400)
        .map(|number| {
            let client = format!("10.1.{}.{}:5000", number / 200, number % 200 + 1);
            stage.dead.insert(client.parse().unwrap());
            stage.pair(number, full(Role::Controlled), [SERVER, &client])
        })
        .collect();
    stage.run_for_secs(35);
    assert!(pairs.iter().flatten().all(|party| stage.is_completed(*party)));
    assert!(!more.iter().flatten().any(|party| stage.is_completed(*party)));
}
