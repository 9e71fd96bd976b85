//! What it saves that a handshake rides in checks: the time from the first check until both sides
//! have the keys of the application, with and without, in virtual time.
//!
//! ```text
//! cargo run --release --example handshake --features sim -- --runs 1000
//! ```
//!
//! The handshakes have the shape of DTLS and nothing of its content: flights, sizes and the timer.

#[path = "handshake/session.rs"]
mod session;
#[path = "handshake/shape.rs"]
mod shape;

use std::error::Error;
use std::time::Duration;

use session::Way;
use shape::Shape;

fn main() -> Result<(), Box<dyn Error>> {
    let mut runs = 1000_u32;
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            lexopt::Arg::Long("runs") => runs = arguments.value()?.to_string_lossy().parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    println!("Both sides have keys, ms after the first check; p50 / p95 of {runs} sessions.\n");
    println!("| handshake | one way | loss | on the path | in checks | saved |");
    println!("|---|---|---|---|---|---|");
    for shape in [&shape::DTLS13, &shape::DTLS12, &shape::LARGE] {
        for delay in [10, 50, 150] {
            for loss in [0, 5, 10, 25] {
                let times = |embeds| sample(shape, embeds, delay, loss, runs);
                let ([p50, p95], [with50, with95]) = (times(false)?, times(true)?);
                let saved = |before: u128, after: u128| before as i128 - after as i128;
                println!(
                    "| {} | {delay} ms | {loss} % | {p50} / {p95} | {with50} / {with95} | {} / {} |",
                    shape.name,
                    saved(p50, with50),
                    saved(p95, with95),
                );
            }
        }
    }
    Ok(())
}

/// The median and the 95th percentile of many sessions, in milliseconds.
fn sample(
    shape: &'static Shape,
    embeds: bool,
    delay: u64,
    loss: u32,
    runs: u32,
) -> Result<[u128; 2], Box<dyn Error>> {
    // Without loss they are all alike.
    let runs = if loss == 0 { 1 } else { runs.max(1) };
    let mut times = Vec::new();
    for number in 0..runs {
        let way = Way { delay: Duration::from_millis(delay), loss, seed: 7, number };
        times.push(session::run(shape, embeds, way)?.ok_or("a session has failed")?.as_millis());
    }
    times.sort_unstable();
    let at = |percent: usize| {
        let index = (times.len() * percent / 100).min(times.len() - 1);
        times.get(index).copied().unwrap_or_default()
    };
    Ok([at(50), at(95)])
}
