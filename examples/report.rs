//! A picture of a session: one HTML page, readable without network access, made from one trace or from
//! those of both sides (`peer --trace FILE`, docs/trace.md).
//!
//! With `--scene` the traces come from two agents in the simulator, to see what there is to see.

#[path = "report/chart.rs"]
mod chart;
#[path = "report/ladder.rs"]
mod ladder;
#[path = "report/page.rs"]
mod page;
#[path = "report/read.rs"]
mod read;
#[path = "report/scene.rs"]
mod scene;
#[path = "report/session.rs"]
mod session;
#[path = "report/svg.rs"]
mod svg;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use session::Session;

const HELP: &str = "\
Makes one HTML page of the trace of a session, or of the traces of both its sides.

usage: report TRACE [TRACE2] [--out FILE]
       report --scene NAME [--out FILE]

  --scene NAME   trace two agents in the simulator instead: good, lossy, relayed
                 or failed
  --out FILE     the page (default: report.html)
  -h, --help     this text
";

struct Options {
    traces: Vec<PathBuf>,
    scene: Option<String>,
    out: PathBuf,
}

fn main() -> ExitCode {
    let options = match parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("report: {error}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("report: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::{Long, Short, Value, ValueExt};

    let mut options = Options { traces: Vec::new(), scene: None, out: "report.html".into() };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(path) if options.traces.len() < 2 => options.traces.push(path.into()),
            Long("scene") => options.scene = Some(arguments.value()?.string()?),
            Long("out") => options.out = arguments.value()?.into(),
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    if options.traces.is_empty() == options.scene.is_none() {
        return Err("one or two traces, or --scene".into());
    }
    Ok(Some(options))
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut texts = Vec::new();
    if let Some(name) = &options.scene {
        texts.extend(scene::play(name)?);
    }
    for path in &options.traces {
        let text =
            fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        texts.push(text);
    }
    let traces = texts.iter().map(|text| read::trace(text)).collect::<Result<Vec<_>, _>>()?;
    let page = page::write(&Session::new(traces));
    #[expect(clippy::disallowed_methods, reason = "an example writes the file that it is given")]
    fs::write(&options.out, page)?;
    println!("{}", options.out.display());
    Ok(())
}
