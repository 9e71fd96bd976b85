//! The flags of the peer.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use frazil::trace::TraceAddresses;
use frazil::{NominationMode, Role};

use crate::driver::gathering::{self, GatheringFlags};
use crate::driver::{host, seed, words};

const HEAD: &str = "\
One ICE agent on real sockets, driven by lines on standard input and output.

usage: peer --role controlling|controlled [flags]

  --role controlling|controlled  the role to start in (required)
  --lite                         a lite agent: it answers checks and sends none (default: full)
  --bind IP                      an address of this machine to use, loopback among them;
                                 repeatable (default: all but loopback)
";

const REST: &str = "  --nomination MODE              regular: one pair, once; aggressive: with every check, as in RFC
                                 5245; renomination: a better pair takes over when both sides
                                 have it, else regular (default: regular)
  --networks                     tell the other side of networks and weigh what it tells of its own, as
                                 libwebrtc does (default: it goes by priority)
  --hold                         gather when the line `gather` comes, not at the start
  --continual                    never tell end-of-candidates: `network IP up` adds a candidate to
                                 the session instead of restarting it
  --pacing MS                    the Ta to propose, 5 to 500 (default: 50)
  --echo                         send every received datagram back
  --seed HEX                     up to 64 hexadecimal digits, the seed of everything random
                                 (default: from the operating system)
  --record FILE                  write what the example `replay` plays: a secret, as it holds the
                                 credentials
  --trace FILE                   write what the agent does, for the example `report` (docs/trace.md)
  --redact HEX                   with --trace: addresses under pseudonyms that this key makes, up
                                 to 64 hexadecimal digits; the same key, the same pseudonyms
  -h, --help                     this text

lines it prints                                      lines it takes
  parameters [lite] [pacing=MS] [options=A,B]          parameters ..
  credentials UFRAG PWD                                credentials UFRAG PWD
  candidate ATTRIBUTE                                  candidate ATTRIBUTE
  end-of-candidates                                    end-of-candidates
  state STATE, role ROLE                               send TEXT
  selected LOCAL REMOTE LOCAL-TYPE REMOTE-TYPE PATH    restart
  recv TEXT, error TEXT, why TEXT                      network IP up|down
  stats JSON                                           stats
                                                       gather, close

A restart, by either side, prints new parameters, credentials and candidates. So does
`network IP up`, unless --continual is given.

exit status: 0 after `close` or the end of input, 1 when it could not go on, 2 for wrong flags
";

pub(crate) fn help() -> String {
    [HEAD, gathering::HELP, REST].concat()
}

pub(crate) struct Options {
    pub(crate) role: Role,
    pub(crate) lite: bool,
    pub(crate) nomination: NominationMode,
    pub(crate) networks: bool,
    /// Off unless asked for: other implementations wait for end-of-candidates before they give up,
    /// and take no candidates after nomination (RFC 8838 §13).
    pub(crate) continual: bool,
    /// Gather when a line says so.
    pub(crate) hold: bool,
    /// The addresses to use; all of the machine's when there is none.
    pub(crate) bind: Vec<IpAddr>,
    pub(crate) gathering: GatheringFlags,
    pub(crate) pacing: Option<Duration>,
    pub(crate) echo: bool,
    pub(crate) seed: [u8; 32],
    /// The file to record to.
    pub(crate) record: Option<PathBuf>,
    /// The file to trace to.
    pub(crate) trace: Option<PathBuf>,
    pub(crate) addresses: TraceAddresses,
}

impl Options {
    /// `None` when help is wanted.
    pub(crate) fn parse() -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::{Long, Short, ValueExt};

        let mut role = None;
        let mut options = Self {
            role: Role::Controlling,
            lite: false,
            nomination: NominationMode::Regular,
            networks: false,
            continual: false,
            hold: false,
            bind: Vec::new(),
            gathering: GatheringFlags::default(),
            pacing: None,
            echo: false,
            seed: seed::random().map_err(|error| error.to_string())?,
            record: None,
            trace: None,
            addresses: TraceAddresses::Shown,
        };
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("role") => role = Some(arguments.value()?.parse_with(parse_role)?),
                Long("bind") => options.bind(arguments.value()?.parse_with(parse_address)?),
                Long("pacing") => {
                    options.pacing = Some(arguments.value()?.parse_with(parse_pacing)?);
                }
                Long("nomination") => {
                    options.nomination = arguments.value()?.parse_with(words::parse_nomination)?;
                }
                Long("networks") => options.networks = true,
                Long("continual") => options.continual = true,
                Long("hold") => options.hold = true,
                Long("lite") => options.lite = true,
                Long("echo") => options.echo = true,
                Long("seed") => options.seed = arguments.value()?.parse_with(seed::parse)?,
                Long("record") => options.record = Some(arguments.value()?.into()),
                Long("trace") => options.trace = Some(arguments.value()?.into()),
                Long("redact") => {
                    let key = arguments.value()?.parse_with(seed::parse)?;
                    options.addresses = TraceAddresses::Pseudonyms { key };
                }
                Long(flag) if gathering::FLAGS.contains(&flag) => {
                    let flag = flag.to_owned();
                    options.gathering.take(&flag, &mut arguments)?;
                }
                Short('h') | Long("help") => return Ok(None),
                other => return Err(other.unexpected()),
            }
        }
        if options.trace.is_none() && !matches!(options.addresses, TraceAddresses::Shown) {
            return Err("--redact goes with --trace".into());
        }
        options.role = role.ok_or("--role is missing")?;
        options.gathering.check(options.lite)?;
        Ok(Some(options))
    }

    fn bind(&mut self, ip: IpAddr) {
        if !self.bind.contains(&ip) {
            self.bind.push(ip);
        }
    }
}

fn parse_role(text: &str) -> Result<Role, &'static str> {
    match text {
        "controlling" => Ok(Role::Controlling),
        "controlled" => Ok(Role::Controlled),
        _ => Err("--role is controlling or controlled"),
    }
}

fn parse_address(text: &str) -> Result<IpAddr, &'static str> {
    let ip = text.parse().map_err(|_| "--bind takes an IP address")?;
    if host::is_unicast(ip) { Ok(ip) } else { Err("--bind takes the address of one interface") }
}

fn parse_pacing(text: &str) -> Result<Duration, &'static str> {
    let millis = text.parse().ok().filter(|millis| (5..=500).contains(millis));
    millis.map(Duration::from_millis).ok_or("--pacing is 5 to 500 ms")
}
