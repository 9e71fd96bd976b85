//! The file that a session is recorded to.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use frazil::replay::Recorder;
use frazil::{AgentConfig, IceAgent};

use crate::Failure;

/// A log in a file.
pub(crate) struct Record(File);

/// An agent, recorded if there is a file to record to.
pub(crate) fn agent(
    config: AgentConfig,
    seed: [u8; 32],
    file: Option<&Path>,
) -> Result<(Recorder, Option<Record>), Failure> {
    let refused = |error| Failure::Other(Box::new(error));
    let Some(path) = file else {
        let agent = IceAgent::new(config, seed).map_err(refused)?;
        return Ok((Recorder::without_log(agent), None));
    };
    let file = File::create(path)
        .map_err(|error| Failure::Flag(format!("--record {}: {error}", path.display())))?;
    Ok((Recorder::new(config, seed).map_err(refused)?, Some(Record(file))))
}

impl Record {
    /// Writes what is new, so that no more than the last moment is lost when the process dies.
    pub(crate) fn write(&mut self, agent: &mut Recorder) -> io::Result<()> {
        self.0.write_all(&agent.take_log())
    }
}
