//! Percentiles, and tables in Markdown.

use std::cmp::Ordering;
use std::time::Duration;

use super::{Name, Outcome, Seen, World};
use crate::clock::median;

const COLUMNS: usize = Name::ALL.len();
/// In per cent.
const PERCENTILES: [usize; 3] = [50, 95, 99];

/// A time that was measured; a run that did not get there has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    Valid,
    Selected,
}

impl Measure {
    const ALL: [Self; 2] = [Self::Valid, Self::Selected];

    const fn title(self) -> &'static str {
        match self {
            Self::Valid => "valid pair, ms",
            Self::Selected => "same pair selected, ms",
        }
    }

    const fn of(self, outcome: &Outcome) -> Option<Duration> {
        match self {
            Self::Valid => outcome.valid,
            Self::Selected => outcome.selected,
        }
    }
}

/// By [`PERCENTILES`], in milliseconds; none where so many did not get there.
type Times = [Option<u128>; PERCENTILES.len()];

/// The head of a table.
pub fn head() -> String {
    let titles = Name::ALL.map(Name::title).join(" | ");
    format!("| one way, loss | | {titles} |\n|---|---|{}", "---|".repeat(COLUMNS))
}

/// What came of all runs in one world.
pub struct Figures {
    world: World,
    times: [[Times; COLUMNS]; 2],
    packets: [u64; COLUMNS],
    /// Runs that did not connect, in per mille.
    failed: [usize; COLUMNS],
}

impl Figures {
    /// # Panics
    /// When there was no run.
    pub fn new(world: World, outcomes: &[Vec<Outcome>; COLUMNS]) -> Self {
        let times = Measure::ALL
            .map(|measure| std::array::from_fn(|column| percentiles(measure, &outcomes[column])));
        let packets = |outcomes: &Vec<Outcome>| {
            median(&mut outcomes.iter().map(|outcome| outcome.packets).collect::<Vec<_>>())
        };
        let failed = |outcomes: &Vec<Outcome>| {
            let failed = outcomes.iter().filter(|outcome| outcome.selected.is_none()).count();
            (failed * 1_000).div_ceil(outcomes.len())
        };
        let packets = std::array::from_fn(|column| packets(&outcomes[column]));
        let failed = std::array::from_fn(|column| failed(&outcomes[column]));
        Self { world, times, packets, failed }
    }

    /// The lines of the world: percentiles with the ratio of the first and the second to those of
    /// `frazil`, and bold where a peer is faster.
    pub fn lines(&self) -> String {
        let mut lines = String::new();
        for (measure, times) in Measure::ALL.into_iter().zip(&self.times) {
            let cells = Name::ALL.into_iter().zip(times);
            let cells: Vec<_> = cells.map(|(name, cell)| show(name, cell, &times[0])).collect();
            let (row, cells) = (self.world.row(), cells.join(" | "));
            lines += &format!("| {row} | {} | {cells} |\n", measure.title());
        }
        let cells = self.packets.iter().zip(&self.failed);
        let cells: Vec<_> = cells.map(|(packets, failed)| counts(*packets, *failed)).collect();
        lines + &format!("| {} | packets; failed | {} |", self.world.row(), cells.join(" | "))
    }
}

fn percentiles(measure: Measure, outcomes: &[Outcome]) -> Times {
    let mut times: Vec<Duration> =
        outcomes.iter().map(|outcome| measure.of(outcome).unwrap_or(Duration::MAX)).collect();
    times.sort_unstable();
    PERCENTILES.map(|percent| {
        let rank = (times.len() * percent).div_ceil(100);
        Some(times[rank - 1]).filter(|time| *time < Duration::MAX).map(|time| time.as_millis())
    })
}

/// A run that did not get there took longer than any other.
fn compare(one: Option<u128>, other: Option<u128>) -> Ordering {
    one.unwrap_or(u128::MAX).cmp(&other.unwrap_or(u128::MAX))
}

fn show(name: Name, cell: &Times, own: &Times) -> String {
    let one = |(time, own): (&Option<u128>, &Option<u128>)| {
        let text = time.map_or("–".into(), |time| time.to_string());
        let faster = name.is_peer() && compare(*time, *own) == Ordering::Less;
        if faster { format!("**{text}**") } else { text }
    };
    let text = cell.iter().zip(own).map(one).collect::<Vec<_>>().join(" / ");
    if name == Name::Frazil {
        text
    } else {
        format!("{text} ({}, {})", ratio(cell[0], own[0]), ratio(cell[1], own[1]))
    }
}

fn ratio(time: Option<u128>, own: Option<u128>) -> String {
    match (time, own) {
        (Some(time), Some(own)) if own > 0 => format!("{:.2}", time as f64 / own as f64),
        _ => "–".into(),
    }
}

fn counts(packets: u64, failed: usize) -> String {
    if failed == 0 {
        packets.to_string()
    } else {
        format!("{packets}; {:.1} %", failed as f64 / 10.0)
    }
}

/// What all worlds together say.
#[derive(Default)]
pub struct Summary {
    /// By measure, column and percentile: in how many worlds the column is faster than `frazil`,
    /// and in how many it is slower.
    compared: [[[(u32, u32); PERCENTILES.len()]; COLUMNS]; 2],
    /// Runs that did not connect.
    failed: [usize; COLUMNS],
    /// Those of them in which a side had no valid pair either.
    without_valid: [usize; COLUMNS],
    runs: [usize; COLUMNS],
    seen: [Seen; COLUMNS],
}

impl Summary {
    /// Takes in a world.
    pub fn add(&mut self, figures: &Figures, outcomes: &[Vec<Outcome>; COLUMNS]) {
        for (compared, times) in self.compared.iter_mut().zip(&figures.times) {
            for column in 0..COLUMNS {
                for at in 0..PERCENTILES.len() {
                    let (faster, slower) = &mut compared[column][at];
                    match compare(times[column][at], times[0][at]) {
                        Ordering::Less => *faster += 1,
                        Ordering::Greater => *slower += 1,
                        Ordering::Equal => {}
                    }
                }
            }
        }
        for column in 0..COLUMNS {
            let outcomes = &outcomes[column];
            self.failed[column] += outcomes.iter().filter(|run| run.selected.is_none()).count();
            self.without_valid[column] += outcomes.iter().filter(|run| run.valid.is_none()).count();
            self.runs[column] += outcomes.len();
            outcomes.iter().for_each(|outcome| self.seen[column].merge(outcome.seen));
        }
    }

    /// Two tables.
    pub fn tables(&self) -> String {
        let mut text = String::from("| worlds in which it is faster, slower than frazil |");
        for measure in Measure::ALL {
            for percent in PERCENTILES {
                text += &format!(" {}: p{percent} |", measure.title());
            }
        }
        text += &format!(" runs that failed, without valid pairs |\n|---|{}\n", "---|".repeat(7));
        for (column, name) in Name::ALL.into_iter().enumerate() {
            let cells = self.compared.iter().flat_map(|compared| compared[column]);
            let cells = cells.map(|(faster, slower)| format!(" {faster}, {slower} |"));
            let cells: String = cells.collect();
            let (failed, without) = (self.failed[column], self.without_valid[column]);
            let runs = self.runs[column];
            text += &format!("| {} |{cells} {failed}, {without} of {runs} |\n", name.title());
        }
        text += "\n| least ms seen on the wire | from one transaction to the next | between requests on \
                 a path on which nothing came | to a retransmission |\n|---|---|---|---|\n";
        for (name, seen) in Name::ALL.into_iter().zip(&self.seen) {
            let times = [seen.spacing, seen.repeat, seen.retransmission];
            let times =
                times.map(|time| time.map_or("–".into(), |time| time.as_millis().to_string()));
            text += &format!("| {} | {} |\n", name.title(), times.join(" | "));
        }
        text
    }
}
