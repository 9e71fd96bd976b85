//! What is printed: lines of at most 100 columns.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use frazil::{CandidateKind, PairView, Timestamp};

use crate::Options;
use crate::driver::words;
use crate::pings::{Phase, Pings};
use crate::side::{Sides, Who, position};

/// The output.
pub(crate) struct Timeline {
    pub(crate) several_streams: bool,
}

impl Timeline {
    pub(crate) fn head(&mut self, options: &Options) -> io::Result<()> {
        let seed: String = options.seed.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut out = io::stdout().lock();
        writeln!(out, "Two ICE agents on this machine, {options}")?;
        writeln!(out, "--seed {seed}\n")?;
        writeln!(out, "{:>9}  who  what", "ms")
    }

    pub(crate) fn line(
        &mut self,
        at: Timestamp,
        who: Who,
        what: &str,
        detail: impl fmt::Display,
    ) -> io::Result<()> {
        writeln!(io::stdout(), "{:>9}  {who:<3}  {what:<10}  {detail}", millis(at.as_duration()))
    }

    pub(crate) fn on_stream(
        &mut self,
        at: Timestamp,
        who: Who,
        position: usize,
        what: &str,
        detail: &impl fmt::Display,
    ) -> io::Result<()> {
        let stream = self.stream(position);
        self.line(at, who, what, format_args!("{stream}{detail}"))
    }

    /// A second line of the same event.
    pub(crate) fn continued(&mut self, position: usize, detail: &str) -> io::Result<()> {
        let stream = self.stream(position);
        writeln!(io::stdout(), "{:28}{stream}{detail}", "")
    }

    /// The streams are only named where there are several.
    fn stream(&self, position: usize) -> String {
        if self.several_streams {
            format!("stream {:<4}", position.saturating_add(1))
        } else {
            String::new()
        }
    }

    pub(crate) fn connected(
        &mut self,
        connected: Timestamp,
        completed: Timestamp,
    ) -> io::Result<()> {
        writeln!(
            io::stdout(),
            "\nBoth connected after {} ms, and completed (all pairs selected) after {} ms.",
            millis(connected.as_duration()),
            millis(completed.as_duration()),
        )
    }

    pub(crate) fn round_trips(&mut self, pings: &Pings) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let mut told = None;
        for (phase, position, from) in pings.rows() {
            if told.replace(phase) != Some(phase) {
                let after = if phase == Phase::After { " after the restart" } else { "" };
                writeln!(out, "\nRound trips of application datagrams{after}, in ms:")?;
            }
            let to = from.other();
            write!(out, "  {}{from} -> {to} -> {from}", self.stream(position))?;
            for round_trip in pings.row(phase, position, from) {
                write!(out, "{:>9}", round_trip.map_or_else(|| "lost".to_owned(), millis))?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    pub(crate) fn restarted(&mut self, took: Duration, pings: &Pings) -> io::Result<()> {
        let (sent, lost) = pings.during();
        writeln!(
            io::stdout(),
            "\nRestarted within {} ms. Pings sent meanwhile: {sent}, lost: {lost}.",
            millis(took),
        )
    }

    pub(crate) fn failed(&mut self, reason: &str, names: &Names, sides: &Sides) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "\nFailed: {reason}")?;
        for (who, side) in [(Who::A, &sides.a), (Who::B, &sides.b)] {
            let agent = &side.driver.agent;
            let (role, state) = (words::role(agent.role()), words::state(agent.state()));
            writeln!(out, "\n  agent {who}, {role}, {state}")?;
            for pair in agent.pairs() {
                let stream = self.stream(position(&side.streams, pair.stream));
                writeln!(out, "    {stream}{}  {}", names.pair(&pair), outcome(&pair))?;
            }
            for counter in words::counters(agent.counters()) {
                writeln!(out, "    {counter}")?;
            }
            if let Some(error) = &side.driver.unsent.last {
                writeln!(out, "    datagrams not sent: {}: {error}", side.driver.unsent.count)?;
            }
        }
        Ok(())
    }
}

pub(crate) fn millis(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64() * 1e3)
}

/// Short names for addresses: `A1` is the first candidate of agent A.
#[derive(Default)]
pub(crate) struct Names(Vec<(Who, SocketAddr)>);

impl Names {
    /// The name of an address, given now if it has none.
    pub(crate) fn add(&mut self, who: Who, addr: SocketAddr) -> String {
        if !self.0.iter().any(|(_, other)| *other == addr) {
            self.0.push((who, addr));
        }
        self.of(addr)
    }

    /// The name of an address, or the address itself when nobody has announced it.
    pub(crate) fn of(&self, addr: SocketAddr) -> String {
        let Some((who, _)) = self.0.iter().find(|(_, other)| *other == addr) else {
            return addr.to_string();
        };
        let mut own = self.0.iter().filter(|(other, _)| other == who);
        let number = own.position(|(_, other)| *other == addr).unwrap_or(0).saturating_add(1);
        format!("{who}{number}")
    }

    pub(crate) fn pair(&self, pair: &PairView) -> String {
        format!("{:<4} -> {:<4}", self.of(pair.local.base), self.of(pair.remote.addr))
    }
}

/// A kind and an address, aligned.
pub(crate) fn place(kind: CandidateKind, addr: SocketAddr) -> String {
    format!("{:<6} {addr}", kind.to_string())
}

/// What is known of a pair besides its candidates.
fn outcome(pair: &PairView) -> String {
    let mut text = words::pair_state(pair.state).to_owned();
    if pair.transmissions > 0 {
        text.push_str(&format!(", requests sent: {}", pair.transmissions));
    }
    if pair.valid {
        text.push_str(", valid");
    }
    if pair.nominated {
        text.push_str(", nominated");
    }
    text
}
