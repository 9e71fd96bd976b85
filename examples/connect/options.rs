//! The flags of the program.

use std::fmt;

use frazil::NominationMode;

use crate::driver::gathering::{self, GatheringFlags};
use crate::driver::{seed, words};

/// The default limit of an agent.
const MAX_STREAMS: u16 = 32;

const HEAD: &str = "\
Two ICE agents find each other on this machine, over real UDP sockets.

usage: connect [flags]

  --streams N                    data streams, 1 to 32 (default: 1)
  --lite                         agent B is a lite one: it answers checks and sends none
  --nomination MODE              how both nominate: regular, aggressive or renomination
                                 (default: regular)
  --restart                      agent A restarts in the middle of the pings, of which none may be
                                 lost
";

const REST: &str =
    "  --seed HEX                     up to 64 hexadecimal digits, the seed of everything random
                                 (default: from the operating system)
  -h, --help                     this text

exit status: 0 when data went both ways on every stream, 1 when not, 2 for wrong arguments
";

pub(crate) fn help() -> String {
    [HEAD, gathering::HELP, REST].concat()
}

pub(crate) struct Options {
    pub(crate) seed: [u8; 32],
    pub(crate) streams: u16,
    pub(crate) lite: bool,
    pub(crate) nomination: NominationMode,
    pub(crate) restart: bool,
    /// The same for both sides.
    pub(crate) gathering: GatheringFlags,
}

impl Options {
    /// `None` when help is wanted.
    pub(crate) fn parse() -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::{Long, Short, ValueExt};

        let mut options = Self {
            seed: seed::random().map_err(|error| error.to_string())?,
            streams: 1,
            lite: false,
            nomination: NominationMode::Regular,
            restart: false,
            gathering: GatheringFlags::default(),
        };
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("seed") => options.seed = arguments.value()?.parse_with(seed::parse)?,
                Long("streams") => {
                    options.streams = arguments.value()?.parse_with(parse_streams)?;
                }
                Long("lite") => options.lite = true,
                Long("nomination") => {
                    options.nomination = arguments.value()?.parse_with(words::parse_nomination)?;
                }
                Long("restart") => options.restart = true,
                Long(flag) if gathering::FLAGS.contains(&flag) => {
                    let flag = flag.to_owned();
                    options.gathering.take(&flag, &mut arguments)?;
                }
                Short('h') | Long("help") => return Ok(None),
                other => return Err(other.unexpected()),
            }
        }
        options.gathering.check(options.lite)?;
        Ok(Some(options))
    }
}

/// All but the seed and those of gathering, as flags.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--streams {}", self.streams)?;
        if self.lite {
            f.write_str(" --lite")?;
        }
        match self.nomination {
            NominationMode::Regular => {}
            NominationMode::Aggressive => f.write_str(" --nomination aggressive")?,
            NominationMode::Renomination { .. } => f.write_str(" --nomination renomination")?,
        }
        if self.restart {
            f.write_str(" --restart")?;
        }
        Ok(())
    }
}

fn parse_streams(text: &str) -> Result<u16, String> {
    let streams = text.parse().ok().filter(|streams| (1..=MAX_STREAMS).contains(streams));
    streams.ok_or_else(|| format!("--streams is 1 to {MAX_STREAMS}"))
}
