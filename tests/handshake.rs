//! What a handshake in the shape of DTLS gains by riding in checks: the example of that name, held to
//! the round trip that it promises.

#[path = "../examples/handshake/session.rs"]
mod session;
#[path = "../examples/handshake/shape.rs"]
mod shape;

use std::time::Duration;

use session::{Way, run};
use shape::{DTLS12, DTLS13, LARGE, Shape};

fn time(shape: &'static Shape, embeds: bool, delay: u64, loss: u32, number: u32) -> Duration {
    let way = Way { delay: Duration::from_millis(delay), loss, seed: 1, number };
    run(shape, embeds, way)
        .unwrap()
        .unwrap_or_else(|| panic!("it does not connect: {} {embeds} {way:?}", shape.name))
}

/// Without: a check and its answer, then the flights. With: the first two flights are in them.
#[test]
fn without_loss_a_round_trip_is_saved() {
    for delay in [1, 10, 50, 150, 400] {
        for (shape, trips) in [(&DTLS13, 5), (&DTLS12, 6)] {
            let on_the_path = time(shape, false, delay, 0, 0);
            assert_eq!(on_the_path, Duration::from_millis(delay * trips), "{}", shape.name);
            let in_checks = time(shape, true, delay, 0, 0);
            assert_eq!(in_checks, on_the_path - Duration::from_millis(2 * delay), "{}", shape.name);
        }
    }
}

/// A check carries one packet; what does not ride with the first goes on the path, which is there a
/// round trip later.
#[test]
fn with_several_packets_a_flight_it_is_never_slower() {
    for delay in [1, 10, 50, 150, 400] {
        let [path, checks] = [false, true].map(|embeds| time(&LARGE, embeds, delay, 0, 0));
        assert!(checks <= path, "{delay} ms: {checks:?} against {path:?}");
    }
}

/// A packet that is lost comes with the next check, and not when the timer of the handshake ends.
#[test]
fn with_loss_the_slow_sessions_gain_most() {
    for shape in [&DTLS13, &DTLS12, &LARGE] {
        let mut sums = [Duration::ZERO; 2];
        let mut tails = [Duration::ZERO; 2];
        for (n, embeds) in [false, true].into_iter().enumerate() {
            let mut times: Vec<_> =
                (0..200).map(|number| time(shape, embeds, 50, 20, number)).collect();
            times.sort_unstable();
            sums[n] = times.iter().sum();
            tails[n] = times[190];
        }
        assert!(sums[1] < sums[0], "{}: {sums:?}", shape.name);
        assert!(tails[1] * 2 < tails[0], "{}: {tails:?}", shape.name);
    }
}
