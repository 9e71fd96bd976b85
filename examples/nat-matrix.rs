//! Every ordered pair of the nine kinds of NAT, with and without a relay, at 0 %, 5 % and 20 % of
//! loss, with many seeds: does ICE come to what the oracle says, and how soon?
//!
//! `cargo run --release --example nat-matrix --features sim` runs twenty seeds of each; another
//! number may follow after `--`. The exit status is 1 if a run disagrees with the oracle: that run
//! is printed as a scenario to paste into a test, with its timeline.
#![expect(clippy::disallowed_methods, reason = "a program reads its arguments and the clock")]

#[path = "nat-matrix/matrix.rs"]
mod matrix;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use frazil::sim::{Filtering, Mapping};
use matrix::{Cell, KINDS, Kind};

const SEEDS: u64 = 20;
const LOSSES: [u8; 3] = [0, 5, 20];
/// The failures that are printed in full.
const SHOWN: usize = 3;

fn main() -> ExitCode {
    let seeds = std::env::args().nth(1).map_or(Ok(SEEDS), |seeds| seeds.parse());
    let Ok(seeds) = seeds else {
        eprintln!("usage: nat-matrix [SEEDS]");
        return ExitCode::from(2);
    };
    println!("Mapping and filter are endpoint-independent (i), address-dependent (a) or");
    println!("address-and-port-dependent (p): `i/p` is the common home router, `p/p` the");
    println!("symmetric NAT. A cell is the path and the median time to it in milliseconds:");
    println!("D direct, R over the relay, - none, ! not what the oracle says.");
    let begun = Instant::now();
    let (mut runs, mut failures) = (0, 0);
    for relay in [false, true] {
        for loss in LOSSES {
            let with = if relay { "with" } else { "without" };
            println!("\n{with} a relay, {loss} % of packets lost, {seeds} seeds");
            let table = Table::of(relay, loss, seeds, &mut failures);
            runs += table.runs;
            table.print();
        }
    }
    let took = begun.elapsed();
    println!("\n{runs} runs in {:.1} s, {failures} disagree with the oracle", took.as_secs_f64());
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

struct Table {
    rows: Vec<Vec<String>>,
    times: Vec<Duration>,
    runs: u64,
}

impl Table {
    fn of(relay: bool, loss: u8, seeds: u64, failures: &mut usize) -> Self {
        let mut table = Self { rows: Vec::new(), times: Vec::new(), runs: 0 };
        for one in KINDS {
            let mut row = Vec::new();
            for other in KINDS {
                let cells = (0..seeds).map(|seed| Cell { nats: [one, other], relay, loss, seed });
                row.push(table.cell(cells, failures));
            }
            table.rows.push(row);
        }
        table
    }

    fn cell(&mut self, cells: impl Iterator<Item = Cell>, failures: &mut usize) -> String {
        let mut times = Vec::new();
        let mut sign = '-';
        for cell in cells {
            self.runs += 1;
            match cell.run() {
                Ok(report) => {
                    times.extend(report.connected_after);
                    sign = match (report.outlook.is_direct(), report.outlook.is_relayed()) {
                        (true, _) => 'D',
                        (false, true) => 'R',
                        (false, false) => '-',
                    };
                }
                Err(failure) => {
                    if *failures < SHOWN {
                        println!("{failure}");
                    }
                    *failures += 1;
                    sign = '!';
                    break;
                }
            }
        }
        self.times.extend(&times);
        match percentile(&mut times, 50) {
            Some(median) => format!("{sign} {}", median.as_millis()),
            None => sign.to_string(),
        }
    }

    fn print(mut self) {
        let head: Vec<String> = KINDS.iter().map(|kind| name(*kind)).collect();
        println!("       {}", head.iter().map(|name| format!("{name:>8}")).collect::<String>());
        for (name, row) in head.iter().zip(&self.rows) {
            println!(
                "  {name:<5}{}",
                row.iter().map(|cell| format!("{cell:>8}")).collect::<String>()
            );
        }
        let of = |percent| percentile(&mut self.times.clone(), percent);
        if let (Some(p50), Some(p95), Some(last)) =
            (of(50), of(95), percentile(&mut self.times, 100))
        {
            let [p50, p95, last] = [p50, p95, last].map(|time| time.as_millis());
            println!(
                "  time to both sides selected: p50 {p50} ms, p95 {p95} ms, longest {last} ms"
            );
        }
    }
}

fn percentile(times: &mut [Duration], percent: usize) -> Option<Duration> {
    times.sort_unstable();
    times.get((times.len().checked_sub(1)? * percent) / 100).copied()
}

fn name((mapping, filtering): Kind) -> String {
    let mapping = match mapping {
        Mapping::EndpointIndependent => 'i',
        Mapping::AddressDependent => 'a',
        Mapping::AddressAndPortDependent => 'p',
    };
    let filtering = match filtering {
        Filtering::EndpointIndependent => 'i',
        Filtering::AddressDependent => 'a',
        Filtering::AddressAndPortDependent => 'p',
    };
    format!("{mapping}/{filtering}")
}
