//! The times at which a request is sent.

use core::time::Duration;

use proptest::prelude::*;

use super::super::{Due, Schedule};
use crate::time::Timestamp;

const RTO: Duration = Duration::from_millis(500);
const START: Timestamp = Timestamp::from_millis(10_000);

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis.saturating_add(10_000))
}

/// U2: RFC 8489 §6.2.1
#[test]
fn requests_are_sent_at_the_times_of_the_rfc() {
    let mut schedule = Schedule::new(START, RTO, 7, 16);
    assert_eq!(schedule.sent(), 1);
    for (sent, millis) in [(2, 500), (3, 1_500), (4, 3_500), (5, 7_500), (6, 15_500), (7, 31_500)] {
        assert_eq!(schedule.next(), at(millis));
        assert_eq!(schedule.due(Timestamp::from_nanos(at(millis).as_nanos() - 1)), Due::Wait);
        assert_eq!(schedule.due(at(millis)), Due::Retransmit);
        assert!(!schedule.is_last());
        schedule.transmitted(at(millis));
        assert_eq!(schedule.sent(), sent);
    }
    assert!(schedule.is_last());
    assert_eq!(schedule.next(), at(39_500));
    assert_eq!(schedule.due(at(39_499)), Due::Wait);
    assert_eq!(schedule.due(at(39_500)), Due::Expired);
}

/// U22: over TCP and for consent.
#[test]
fn a_request_that_is_sent_once_expires_without_retransmission() {
    let schedule = Schedule::once(START, Duration::from_millis(39_500));
    assert_eq!(schedule.next(), at(39_500));
    assert_eq!(schedule.due(at(39_499)), Due::Wait);
    assert_eq!(schedule.due(at(39_500)), Due::Expired);
    assert!(!schedule.retransmitted());
}

#[test]
fn a_suspended_machine_sends_one_retransmission_and_not_all() {
    let mut schedule = Schedule::new(START, RTO, 7, 16);
    let woken = at(3_600_000);
    assert_eq!(schedule.due(woken), Due::Retransmit);
    schedule.transmitted(woken);
    assert_eq!(schedule.due(woken), Due::Wait);
    assert_eq!(schedule.next(), at(3_601_000));
    assert_eq!(schedule.sent(), 2);
}

/// The agent spaces retransmissions: each may come later than it was due.
#[test]
fn waits_count_from_the_transmission_that_was_made() {
    let mut schedule = Schedule::new(START, RTO, 3, 16);
    schedule.transmitted(at(505));
    assert_eq!(schedule.next(), at(1_505));
    schedule.transmitted(at(1_520));
    assert_eq!(schedule.next(), at(9_520));
}

/// U3: Karn's algorithm.
#[test]
fn only_a_request_sent_once_gives_a_round_trip_time() {
    let mut schedule = Schedule::new(START, RTO, 7, 16);
    assert_eq!(schedule.round_trip(at(42)), Some(Duration::from_millis(42)));
    assert_eq!(schedule.round_trip(START), Some(Duration::ZERO));
    assert!(!schedule.retransmitted());
    schedule.transmitted(at(500));
    assert!(schedule.retransmitted());
    assert_eq!(schedule.round_trip(at(542)), None);

    let once = Schedule::once(START, Duration::from_secs(5));
    assert_eq!(once.round_trip(at(70)), Some(Duration::from_millis(70)));
    let last = Schedule::new(START, RTO, 1, 16);
    assert_eq!(last.round_trip(at(70)), Some(Duration::from_millis(70)));
}

#[test]
fn a_schedule_is_small() {
    assert!(size_of::<Schedule>() <= 24);
}

proptest! {
    /// Extreme values neither overflow nor go on for ever.
    #[test]
    fn every_schedule_ends(
        start in any::<u64>(),
        rto in any::<u64>(),
        transmissions in any::<u8>(),
        final_wait in any::<u8>(),
    ) {
        let start = Timestamp::from_nanos(start);
        let mut schedule =
            Schedule::new(start, Duration::from_nanos(rto), transmissions, final_wait);
        for _ in 0..255 {
            let next = schedule.next();
            schedule.round_trip(next);
            match schedule.due(next) {
                Due::Wait => prop_assert!(false, "nothing is due at the deadline"),
                Due::Retransmit => schedule.transmitted(next),
                Due::Expired => break,
            }
            prop_assert!(schedule.next() >= next);
        }
        prop_assert_eq!(schedule.due(schedule.next()), Due::Expired);
        prop_assert_eq!(schedule.sent(), transmissions.max(1));
    }
}
