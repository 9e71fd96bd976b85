//! The flags of the program.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::driver::gathering::{self, GatheringFlags};
use crate::driver::host::{self, Host};

const HEAD: &str = "\
Serves a page that connects to this program by a WebRTC data channel, with frazil as its ICE.

usage: frazil-browser [flags]

  --port PORT        the port of the page (default: 8080)
  --address IP       the address that the page is served on (default: 127.0.0.1)
  --bind IP          an address for ICE, as often as needed
                     (default: all but loopback ones)
  --lite             a lite agent, which answers checks and sends none
  -h, --help         this text

What is gathered:
";

pub(crate) fn help() -> String {
    [HEAD, gathering::HELP].concat()
}

pub(crate) struct Options {
    pub(crate) page: SocketAddr,
    pub(crate) bind: Vec<IpAddr>,
    pub(crate) lite: bool,
    pub(crate) gathering: GatheringFlags,
}

impl Options {
    /// `None` when help is wanted.
    pub(crate) fn parse() -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::{Long, Short, ValueExt};

        let (mut port, mut address) = (8080, IpAddr::V4(Ipv4Addr::LOCALHOST));
        let (mut bind, mut lite) = (Vec::new(), false);
        let mut flags = GatheringFlags::default();
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("port") => port = arguments.value()?.parse()?,
                Long("address") => address = arguments.value()?.parse()?,
                Long("bind") => bind.push(arguments.value()?.parse()?),
                Long("lite") => lite = true,
                Long(flag) if gathering::FLAGS.contains(&flag) => {
                    let flag = flag.to_owned();
                    flags.take(&flag, &mut arguments)?;
                }
                Short('h') | Long("help") => return Ok(None),
                other => return Err(other.unexpected()),
            }
        }
        flags.check(lite)?;
        let page = SocketAddr::new(address, port);
        Ok(Some(Self { page, bind, lite, gathering: flags }))
    }

    /// The addresses for ICE that this machine has now.
    pub(crate) fn addresses(&self) -> io::Result<Vec<Host>> {
        let mut hosts = host::all()?;
        hosts.retain(|host| match self.bind.as_slice() {
            [] => !host.ip.is_loopback(),
            named => named.contains(&host.ip),
        });
        Ok(hosts)
    }
}
