//! Prints the table. Times and resident memory are taken here; the rest comes from `peers-count`
//! beside this binary, whose allocator counts.

use std::collections::BTreeMap;
use std::env;
use std::process::{Command, Stdio};

use frazil_peers::clock;
use frazil_peers::options::Options;
use frazil_peers::table::{Figures, head};
use frazil_peers::work::{Metric, Name, Piece, Row, Task, floor, memory, piece};

/// Tells a process of this program that it is there for nothing but the memory of one
/// implementation, by its place among all.
const RESIDENT: &str = "--resident";

fn main() {
    let mut args = env::args().skip(1).peekable();
    if args.next_if_eq(RESIDENT).is_some() {
        let index: usize = args.next().and_then(|at| at.parse().ok()).expect("a place follows");
        println!("{}", memory::resident(Name::ALL[index]));
        return;
    }
    let options = Options::from_args(args);
    let counted = counted(&options);
    println!("{}", head());
    for row in Row::all().into_iter().filter(|row| options.wants(&row.title())) {
        println!("{}", figures(row, &counted, &options).line());
    }
}

/// Figures by the title of their row and the place of their implementation.
type Counted = BTreeMap<(String, usize), f64>;

/// What `peers-count` has found.
fn counted(options: &Options) -> Counted {
    let program = env::current_exe().expect("a program knows itself").with_file_name("peers-count");
    let output = Command::new(program).args(options.to_args()).stderr(Stdio::inherit()).output();
    let output = output.expect("`cargo build --release` makes `peers-count` as well");
    assert!(output.status.success(), "peers-count failed");
    let text = String::from_utf8(output.stdout).expect("it prints text");
    text.lines().filter_map(parse).collect()
}

fn parse(line: &str) -> Option<((String, usize), f64)> {
    let mut fields = line.split('\t');
    let key = (fields.next()?.to_owned(), fields.next()?.parse().ok()?);
    Some((key, fields.next()?.parse().ok()?))
}

fn figures(row: Row, counted: &Counted, options: &Options) -> Figures {
    let mut cells = [None; Name::ALL.len()];
    for (index, name) in Name::ALL.into_iter().enumerate() {
        cells[index] = match (row.task, row.metric) {
            (Task::Resident, _) => Some(resident(index)),
            (task, metric) if metric.is_time() => timed(name, task, metric, options),
            _ => counted.get(&(row.title(), index)).copied(),
        };
    }
    let floor = row.metric.is_time().then(|| floor(row.task)).flatten();
    let floor = floor.and_then(|mut piece| time(piece.as_mut(), row.metric, options));
    Figures { row, cells, floor }
}

fn timed(name: Name, task: Task, metric: Metric, options: &Options) -> Option<f64> {
    if options.quick && task.is_long(name) {
        return None;
    }
    time(piece(name, task).as_mut(), metric, options)
}

/// The time of one operation, when the piece of work consists of any.
fn time(piece: &mut dyn Piece, metric: Metric, options: &Options) -> Option<f64> {
    let nanos = clock::sample(options.budget(), || {
        piece.prepare();
        if piece.is_long() { clock::cpu(|| piece.run()) } else { clock::wall(|| piece.run()) }
    });
    let times = piece.times();
    let unit = if metric == Metric::Micros { 1e3 } else { 1.0 };
    (times > 0).then(|| nanos / times as f64 / unit)
}

/// In a process that has done nothing else.
fn resident(index: usize) -> f64 {
    let program = env::current_exe().expect("a program knows itself");
    let output = Command::new(program).args([RESIDENT, &index.to_string()]).output();
    let output = output.expect("this program runs").stdout;
    String::from_utf8(output).ok().and_then(|text| text.trim().parse().ok()).expect("a number")
}
