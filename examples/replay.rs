//! Plays a session that was recorded (`peer --record FILE`), and shows the checklists of its agent
//! as RFC 8445 draws them.
//!
//! The exit status is 0 when the session is reproduced byte for byte, and 1 when the log is not
//! well formed or this version of the crate does something else; then the first input at which it does
//! is named.

#[path = "replay/tables.rs"]
mod tables;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use frazil::replay::{Input, Outcome, Replay, ReplayError, Step};
use frazil::{PairId, PairState, Route, Timestamp};

const HELP: &str = "\
Plays a session that was recorded, and shows the checklists of its agent.

usage: replay FILE [flags]

  --at N      stop after input N, counted from 0, and show the tables as they are then
  --anyway    go on where this version of the crate does something else than the recorded one
  --step      a line for every input, and the tables whenever a pair has changed
  -h, --help  this text

exit status: 0 when all of it is reproduced, 1 when not, 2 for wrong flags
";

struct Options {
    file: PathBuf,
    at: Option<u64>,
    step: bool,
    anyway: bool,
}

fn main() -> ExitCode {
    let options = match parse() {
        Ok(Some(options)) => options,
        Ok(None) => return say(HELP).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("replay: {error}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("replay: {}: {failure}", options.file.display());
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::{Long, Short, Value, ValueExt};

    let (mut file, mut at, mut step, mut anyway) = (None, None, false, false);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(path) if file.is_none() => file = Some(path.into()),
            Long("at") => at = Some(arguments.value()?.parse()?),
            Long("step") => step = true,
            Long("anyway") => anyway = true,
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(Options { file: file.ok_or("FILE is missing")?, at, step, anyway }))
}

/// Why a log was not played to its end.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Replay(#[from] ReplayError),
}

fn run(options: &Options) -> Result<(), Failure> {
    #[expect(clippy::disallowed_methods, reason = "an example reads the file that it is given")]
    let log = fs::read(&options.file)?;
    let mut replay = Replay::new(&log)?;
    if options.anyway {
        replay.ignore_differences();
    }
    let mut sums = Sums::default();
    let mut pairs = Vec::new();
    let played = loop {
        match replay.step() {
            Ok(Some(step)) => {
                sums.add(&step);
                if options.step {
                    say(describe(&step))?;
                    if tell_pairs(&replay, &mut pairs) {
                        say(tables::all(replay.agent()))?;
                    }
                }
                if options.at == Some(step.number) {
                    break Ok(());
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    say(tables::all(replay.agent()))?;
    say(&sums)?;
    if let Err(ReplayError::Diverged { outcome, .. }) = &played {
        say(format_args!("instead, it gives now: {}", in_words(outcome)))?;
    }
    Ok(played?)
}

/// Whether a pair has come, gone or changed its state.
fn tell_pairs(replay: &Replay<'_>, told: &mut Vec<(PairId, PairState, bool, bool)>) -> bool {
    let pairs = replay.agent().pairs();
    let now: Vec<_> = pairs.map(|pair| (pair.id, pair.state, pair.valid, pair.nominated)).collect();
    let changed = now != *told;
    *told = now;
    changed
}

/// How much was played.
#[derive(Default)]
struct Sums {
    inputs: u64,
    transmits: u64,
    bytes: usize,
    events: u64,
    last: Timestamp,
}

impl Sums {
    fn add(&mut self, step: &Step) {
        self.inputs += 1;
        self.last = step.at;
        match &step.outcome {
            Outcome::Transmit(Some((_, bytes))) => {
                self.transmits += 1;
                self.bytes += bytes.len();
            }
            Outcome::Event(Some(_)) => self.events += 1,
            _ => {}
        }
    }
}

impl std::fmt::Display for Sums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "played: {} inputs up to {}, {} transmits of {} bytes, {} events",
            self.inputs,
            seconds(self.last),
            self.transmits,
            self.bytes,
            self.events
        )
    }
}

fn describe(step: &Step) -> String {
    let at = seconds(step.at);
    format!("{:>6} {at:>12} {} => {}", step.number, asked(&step.input), in_words(&step.outcome))
}

fn asked(input: &Input) -> String {
    match input {
        Input::HandleDatagram { local, remote, datagram, .. } => {
            format!("handle_datagram {datagram:?} from {remote} at {local}")
        }
        Input::AddRemoteCandidate { candidate, .. } => format!("add_remote_candidate {candidate}"),
        Input::PollTransmit {} | Input::PollEvent {} => input.call().to_owned(),
        other => format!("{other:?}"),
    }
}

fn in_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Returned(text) => text.clone(),
        Outcome::Transmit(Some((transmit, bytes))) => match transmit.route {
            Route::Datagram { local, remote, .. } => {
                format!("{} bytes from {local} to {remote}", bytes.len())
            }
            Route::Stream(id) => format!("{} bytes on connection {}", bytes.len(), id.get()),
        },
        Outcome::Event(Some(event)) => format!("{event:?}"),
        _ => "nothing".to_owned(),
    }
}

fn seconds(at: Timestamp) -> String {
    format!("{:.6} s", at.as_duration().as_secs_f64())
}

fn say(what: impl std::fmt::Display) -> io::Result<()> {
    writeln!(io::stdout(), "{what}")
}
