//! What `peers` cannot find out itself, since counting takes time: allocations and live bytes;
//! and what is counted by the way, virtual milliseconds and packets. One line for each figure:
//! the title of its row, the place of its implementation, the figure.

use std::env;

use allocation_counter::measure;
use frazil_peers::clock::median;
use frazil_peers::options::Options;
use frazil_peers::work::{Metric, Name, Outcome, Row, Task, memory, piece};

/// Transaction ids, and with them a few paths, differ from run to run.
const RUNS: usize = 5;

fn main() {
    let options = Options::from_args(env::args().skip(1));
    let rows: Vec<Row> = Row::all().into_iter().filter(|row| wanted(*row, &options)).collect();
    for tasks in rows.chunk_by(|a, b| a.task == b.task) {
        for (index, name) in Name::ALL.into_iter().enumerate() {
            if !(options.quick && tasks[0].task.is_long(name)) {
                print_all(tasks, index, name);
            }
        }
    }
}

fn wanted(row: Row, options: &Options) -> bool {
    let here = !row.metric.is_time() && row.task != Task::Resident;
    here && options.wants(&row.title())
}

/// All figures of one task for one implementation.
fn print_all(rows: &[Row], index: usize, name: Name) {
    let task = rows[0].task;
    let figures = if task == Task::Live { live(name) } else { counts(name, task) };
    for row in rows {
        if let Some(figure) = figures.get(row.metric) {
            println!("{}\t{index}\t{figure}", row.title());
        }
    }
}

/// What is known of a task.
#[derive(Default)]
struct Counts {
    allocations: Option<f64>,
    millis: Option<f64>,
    packets: Option<f64>,
    bytes: Option<f64>,
}

impl Counts {
    fn get(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Allocations => self.allocations,
            Metric::Millis => self.millis,
            Metric::Packets => self.packets,
            Metric::Bytes => self.bytes,
            Metric::Nanos | Metric::Micros => None,
        }
    }
}

fn live(name: Name) -> Counts {
    let bytes = memory::live(name, |free| measure(free).bytes_current.unsigned_abs() as usize);
    Counts { bytes: Some(bytes as f64), ..Counts::default() }
}

fn counts(name: Name, task: Task) -> Counts {
    let mut piece = piece(name, task);
    let runs = if task.is_long(name) { 1 } else { RUNS };
    let (mut allocations, mut outcomes) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        piece.prepare();
        let counted = measure(|| piece.run()).count_total as f64;
        let times = piece.times();
        if times > 0 {
            allocations.push(counted / times as f64);
        }
        outcomes.extend(piece.outcome());
    }
    Counts {
        allocations: middle(allocations),
        millis: middle(outcomes.iter().filter_map(|outcome| millis(*outcome)).collect()),
        packets: middle(outcomes.iter().map(|outcome| outcome.packets as f64).collect()),
        bytes: None,
    }
}

fn millis(outcome: Outcome) -> Option<f64> {
    outcome.millis.map(|millis| millis as f64)
}

fn middle(mut figures: Vec<f64>) -> Option<f64> {
    (!figures.is_empty()).then(|| median(&mut figures))
}
