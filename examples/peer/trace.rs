//! The file that the trace of a session is written to: a JSON text sequence (RFC 7464).

use std::fs::File;
use std::io::{self, BufWriter, Write};

use frazil::Role;
use frazil::replay::Recorder;
use frazil::trace::{TraceAddresses, TraceHeader};

use crate::Failure;
use crate::driver::words;
use crate::options::Options;

/// What comes before every record (RFC 7464 §2.2).
const RECORD_SEPARATOR: char = '\u{1e}';

/// A trace in a file.
pub(crate) struct TraceFile {
    file: BufWriter<File>,
    addresses: TraceAddresses,
}

impl TraceFile {
    /// The file that the options name, with its header.
    pub(crate) fn create(options: &Options) -> Result<Option<Self>, Failure> {
        let Some(path) = &options.trace else { return Ok(None) };
        let file = File::create(path)
            .map_err(|error| Failure::Flag(format!("--trace {}: {error}", path.display())))?;
        let mut file = BufWriter::new(file);
        let role: Role = options.role;
        let title = format!("peer, {} at first", words::role(role));
        writeln!(file, "{RECORD_SEPARATOR}{}", TraceHeader { title: &title })?;
        Ok(Some(Self { file, addresses: options.addresses.clone() }))
    }

    /// Writes what is new, so that no more than the last moment is lost when the process dies.
    pub(crate) fn write(&mut self, agent: &mut Recorder) -> io::Result<()> {
        while let Some(event) = agent.poll_trace() {
            writeln!(self.file, "{RECORD_SEPARATOR}{}", event.json(&self.addresses))?;
        }
        self.file.flush()
    }
}
