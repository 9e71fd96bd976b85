//! The flags of the server.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};

use crate::driver::seed;

pub(crate) const HELP: &str = "\
An ICE-lite server for many sessions on one UDP port and one TCP port, on all cores.

usage: sfu [flags]

  --bind IP        the address of this machine to use (default: 127.0.0.1)
  --port PORT      the port (default: whatever the system gives)
  --tcp-port PORT  a port for ICE-TCP beside it (default: none; 0: whatever the system gives)
  --threads N      threads, each with its own sockets on the ports (default: one for each core)
  --echo           send every received datagram back
  --seed HEX       up to 64 hexadecimal digits, the seed of everything random
                   (default: from the operating system)
  -h, --help       this text

It prints `listening ADDRESS`, with --tcp-port `listening tcp ADDRESS`, then the lines of the example `peer` (see `peer --help`), each with a
session and a space in front, and takes them in the same form:

  SESSION                       opens a session; so does any other line of a new one
  SESSION parameters ..         SESSION credentials UFRAG PWD
  SESSION candidate ATTRIBUTE   SESSION end-of-candidates
  SESSION send TEXT             SESSION restart
  SESSION close

exit status: 0 after the end of input, 1 when it could not go on, 2 for wrong flags
";

pub(crate) struct Options {
    pub(crate) bind: IpAddr,
    pub(crate) port: u16,
    pub(crate) tcp_port: Option<u16>,
    pub(crate) threads: usize,
    pub(crate) echo: bool,
    pub(crate) seed: [u8; 32],
}

impl Options {
    /// `None` when the help was asked for.
    pub(crate) fn parse() -> Result<Option<Self>, Box<dyn Error>> {
        use lexopt::prelude::{Long, Short, ValueExt as _};
        let mut options = Self {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            tcp_port: None,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            echo: false,
            seed: seed::random().map_err(|error| error.to_string())?,
        };
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Short('h') | Long("help") => return Ok(None),
                Long("bind") => options.bind = arguments.value()?.parse()?,
                Long("port") => options.port = arguments.value()?.parse()?,
                Long("tcp-port") => options.tcp_port = Some(arguments.value()?.parse()?),
                Long("threads") => options.threads = arguments.value()?.parse()?,
                Long("echo") => options.echo = true,
                Long("seed") => {
                    options.seed = seed::parse(&arguments.value()?.string()?)?;
                }
                other => return Err(other.unexpected().into()),
            }
        }
        if options.bind.is_unspecified() {
            return Err("--bind takes one address, not a wildcard".into());
        }
        // The number of a thread has two hexadecimal digits.
        if !(1..=256).contains(&options.threads) {
            return Err("--threads is 1 to 256".into());
        }
        Ok(Some(options))
    }
}
