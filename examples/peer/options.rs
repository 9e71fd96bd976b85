//! The flags of the peer.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use frazil::trace::TraceAddresses;
use frazil::{NominationMode, Role};

use crate::driver::servers::{self, ServerFlags};
use crate::driver::{host, seed, words};

const HEAD: &str = "\
One ICE agent on real sockets, driven by lines on standard input and output.

usage: peer --role controlling|controlled [flags]

  --role controlling|controlled  the role to start in (required)
  --lite                         a lite agent: it answers checks and sends none (default: full)
  --bind IP                      an address of this machine to use, loopback among them;
                                 repeatable (default: all but loopback)
";

const REST: &str = "\
  --nomination MODE              regular: one pair, once; aggressive: with every check, as in RFC
                                 5245; renomination: a better pair takes over when both sides
                                 have it, else regular (default: regular)
  --continual                    never tell end-of-candidates: `network IP up` adds a candidate to
                                 the session instead of restarting it
  --port-range MIN-MAX           the ports to bind to (default: whatever the system gives)
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

not supported yet:
  --relay-only --tcp --no-udp --mdns --nat-1to1

lines it prints                                      lines it takes
  parameters [lite] [pacing=MS] [options=A,B]          parameters ..
  credentials UFRAG PWD                                credentials UFRAG PWD
  candidate ATTRIBUTE                                  candidate ATTRIBUTE
  end-of-candidates                                    end-of-candidates
  state STATE, role ROLE                               send TEXT
  selected LOCAL REMOTE LOCAL-TYPE REMOTE-TYPE PATH    restart
  recv TEXT, error TEXT, why TEXT                      network IP up|down
  stats JSON                                           stats
                                                       close

A restart, by either side, prints new parameters, credentials and candidates. So does
`network IP up`, unless --continual is given.

exit status: 0 after `close` or the end of input, 1 when it could not go on, 2 for wrong flags
";

pub(crate) fn help() -> String {
    [HEAD, servers::HELP, REST].concat()
}

/// Flags of the line protocol whose features have not been built.
const NOT_YET: [&str; 5] = ["relay-only", "tcp", "no-udp", "mdns", "nat-1to1"];

pub(crate) struct Options {
    pub(crate) role: Role,
    pub(crate) lite: bool,
    pub(crate) nomination: NominationMode,
    /// Off unless asked for: other implementations wait for end-of-candidates before they give up,
    /// and take no candidates after nomination (RFC 8838 §13).
    pub(crate) continual: bool,
    /// The addresses to use; all of the machine's when there is none.
    pub(crate) bind: Vec<IpAddr>,
    pub(crate) servers: ServerFlags,
    pub(crate) ports: Option<PortRange>,
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
            continual: false,
            bind: Vec::new(),
            servers: ServerFlags::default(),
            ports: None,
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
                Long("port-range") => {
                    options.ports = Some(arguments.value()?.parse_with(PortRange::parse)?);
                }
                Long("pacing") => {
                    options.pacing = Some(arguments.value()?.parse_with(parse_pacing)?);
                }
                Long("nomination") => {
                    options.nomination = arguments.value()?.parse_with(words::parse_nomination)?;
                }
                Long("continual") => options.continual = true,
                Long("lite") => options.lite = true,
                Long("echo") => options.echo = true,
                Long("seed") => options.seed = arguments.value()?.parse_with(seed::parse)?,
                Long("record") => options.record = Some(arguments.value()?.into()),
                Long("trace") => options.trace = Some(arguments.value()?.into()),
                Long("redact") => {
                    let key = arguments.value()?.parse_with(seed::parse)?;
                    options.addresses = TraceAddresses::Pseudonyms { key };
                }
                Long(flag) if servers::FLAGS.contains(&flag) => {
                    let flag = flag.to_owned();
                    options.servers.take(&flag, &mut arguments)?;
                }
                Short('h') | Long("help") => return Ok(None),
                Long(flag) if NOT_YET.contains(&flag) => {
                    return Err(format!("--{flag}: not supported yet").into());
                }
                other => return Err(other.unexpected()),
            }
        }
        if options.trace.is_none() && !matches!(options.addresses, TraceAddresses::Shown) {
            return Err("--redact goes with --trace".into());
        }
        options.role = role.ok_or("--role is missing")?;
        options.servers.check(options.lite)?;
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

/// Ports to choose from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PortRange {
    min: u16,
    max: u16,
}

impl PortRange {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let range = text
            .split_once('-')
            .and_then(|(min, max)| Some(Self { min: min.parse().ok()?, max: max.parse().ok()? }));
        let valid = range.filter(|range| range.min > 0 && range.min <= range.max);
        valid.ok_or("--port-range is MIN-MAX, within 1 to 65535")
    }

    /// All its ports once, from one that the seed chooses: agents that share a range should not
    /// all begin with the same port.
    pub(crate) fn starting_by(self, seed: &[u8; 32]) -> impl Iterator<Item = u16> + use<> {
        let Self { min, max } = self;
        let hash = seed
            .iter()
            .fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(*byte)));
        let ports = u32::from(max.abs_diff(min)).saturating_add(1);
        let offset = hash.checked_rem(ports).unwrap_or(0);
        let start = min.saturating_add(u16::try_from(offset).unwrap_or(0));
        (start..=max).chain(min..start)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.min, self.max)
    }
}
