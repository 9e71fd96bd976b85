//! What a simulated world costs: `cargo bench --bench world` prints one line for each sort of
//! session, sessions and packets a second of this machine, so that a user knows what a nightly run
//! will take.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use frazil::sim::{Filtering, Mapping, Scenario, ScenarioReport, Side, Site, Transition, Who};

/// How long each sort is run.
const TIME: Duration = Duration::from_millis(500);

/// Runs one session with a seed.
type Session = fn(u64) -> ScenarioReport;

fn main() {
    // `cargo test --benches` only wants to know that it works.
    let once = !std::env::args().any(|argument| argument == "--bench");
    let sorts: [(&str, Session); 4] = [
        ("two hosts connect", |seed| connect(&Scenario::new(seed))),
        ("two homes connect, hole punching", |seed| connect(&homes(seed, Mapping::default()))),
        ("two homes connect over a relay", |seed| {
            connect(&homes(seed, Mapping::AddressAndPortDependent))
        }),
        ("two homes, five changes, every step watched", |seed| {
            let scenario = homes(seed, Mapping::default())
                .after(5_000, Transition::RebootNat(0))
                .after(5_000, Transition::Loss(5))
                .after(40_000, Transition::Move(Who::First))
                .after(5_000, Transition::Partition)
                .after(40_000, Transition::Heal);
            scenario.run().expect("what the oracle says")
        }),
    ];
    for (name, session) in sorts {
        let begun = Instant::now();
        let (mut sessions, mut packets) = (0_u64, 0_u64);
        while sessions == 0 || !once && begun.elapsed() < TIME {
            packets += black_box(session(sessions)).packets;
            sessions += 1;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let rate = |number: u64| number as f64 / seconds;
        println!("{name:<45} {:>9.0} sessions/s {:>10.0} packets/s", rate(sessions), rate(packets));
    }
}

fn connect(scenario: &Scenario) -> ScenarioReport {
    scenario.connect().expect("what the oracle says")
}

/// Two homes with a server; behind symmetric NATs only the relay is left.
fn homes(seed: u64, mapping: Mapping) -> Scenario {
    let site = || Site::nat(mapping, Filtering::AddressAndPortDependent);
    let side = |site| Side::new().at(site).reflexive().relayed();
    Scenario::new(seed).site(site()).site(site()).first(side(0)).second(side(1))
}
