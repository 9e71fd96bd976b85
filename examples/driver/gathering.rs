//! The flags that say what is gathered: which servers are asked, and what is told of what is found.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use frazil::replay::Recorder;
use frazil::{
    AddressRewriteRules, AgentConfig, CandidateKind, Policies, PortRange, Ports, Server,
    ServerCredentials, ServerId, ServerUri, Timestamp, TransportPolicy,
};
use lexopt::ValueExt;

pub(crate) const HELP: &str = "  --stun HOST:PORT               a STUN server: it tells how a NAT shows this machine; repeatable
  --turn USER:PASS@HOST:PORT     a TURN server: it relays what finds no shorter way; repeatable
  --turn-transport udp|tcp|tls   how TURN servers are reached (default: udp)
  --turn-lifetime SECONDS        the lifetime to ask TURN servers for (default: the server's)
  --insecure                     with tls: take any certificate, also a forged one
  --relay-only                   tell and use relayed addresses only
  --nat-1to1 EXTERNAL[/LOCAL]    tell EXTERNAL in place of all local addresses of its family, or of
                                 LOCAL; repeatable
  --port-range MIN-MAX           the local ports to bind to (default: whatever the system gives)
";

/// The flags that are read here.
pub(crate) const FLAGS: [&str; 8] = [
    "stun",
    "turn",
    "turn-transport",
    "turn-lifetime",
    "insecure",
    "relay-only",
    "nat-1to1",
    "port-range",
];

const STUN: &str = "--stun takes HOST:PORT";
const TURN: &str = "--turn takes USER:PASS@HOST:PORT";

/// What the flags say.
#[derive(Default)]
pub(crate) struct GatheringFlags {
    stun: Vec<ServerUri>,
    turn: Vec<Account>,
    transport: Option<TurnTransport>,
    lifetime: Option<Duration>,
    insecure: bool,
    relay_only: bool,
    nat_1to1: Vec<String>,
    ports: PortRange,
}

/// An account on a TURN server.
struct Account {
    credentials: ServerCredentials,
    place: String,
}

/// How TURN servers are reached.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum TurnTransport {
    #[default]
    Udp,
    Tcp,
    Tls,
}

impl TurnTransport {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "udp" => Ok(Self::Udp),
            "tcp" => Ok(Self::Tcp),
            "tls" => Ok(Self::Tls),
            _ => Err("--turn-transport is udp, tcp or tls"),
        }
    }

    /// The URI of a server at `place` (RFC 7065).
    fn uri(self, place: &str) -> String {
        match self {
            Self::Udp => format!("turn:{place}?transport=udp"),
            Self::Tcp => format!("turn:{place}?transport=tcp"),
            Self::Tls => format!("turns:{place}?transport=tcp"),
        }
    }
}

impl fmt::Display for TurnTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        })
    }
}

impl GatheringFlags {
    /// Takes one of [`FLAGS`], with its value.
    pub(crate) fn take(
        &mut self,
        flag: &str,
        arguments: &mut lexopt::Parser,
    ) -> Result<(), lexopt::Error> {
        match flag {
            "stun" => self.stun.push(arguments.value()?.parse_with(parse_stun)?),
            // Not by `parse_with`, which would show the password with the error.
            "turn" => self.turn.push(Account::parse(&arguments.value()?.string()?)?),
            "turn-transport" => {
                self.transport = Some(arguments.value()?.parse_with(TurnTransport::parse)?);
            }
            "turn-lifetime" => {
                self.lifetime = Some(arguments.value()?.parse_with(parse_lifetime)?);
            }
            "nat-1to1" => self.nat_1to1.push(arguments.value()?.string()?),
            "port-range" => self.ports = arguments.value()?.parse_with(parse_ports)?,
            "relay-only" => self.relay_only = true,
            _ => self.insecure = true,
        }
        Ok(())
    }

    /// Whether the flags go together.
    pub(crate) fn check(&self, lite: bool) -> Result<(), String> {
        self.check_servers(lite)?;
        self.rewrite().map(drop)
    }

    fn check_servers(&self, lite: bool) -> Result<(), &'static str> {
        if lite && !(self.stun.is_empty() && self.turn.is_empty()) {
            return Err("--lite goes without --stun and --turn: a lite agent asks no servers");
        }
        if self.relay_only && self.turn.is_empty() {
            return Err("--relay-only needs --turn");
        }
        if self.relay_only && !self.nat_1to1.is_empty() {
            return Err("--relay-only goes without --nat-1to1: no local address is told");
        }
        if self.transport.is_some() && self.turn.is_empty() {
            return Err("--turn-transport needs --turn");
        }
        if self.lifetime.is_some() && self.turn.is_empty() {
            return Err("--turn-lifetime needs --turn");
        }
        if self.insecure && self.transport != Some(TurnTransport::Tls) {
            return Err("--insecure needs --turn-transport tls");
        }
        Ok(())
    }

    fn rewrite(&self) -> Result<AddressRewriteRules, String> {
        let mappings = self.nat_1to1.iter().map(String::as_str);
        AddressRewriteRules::nat_1to1(CandidateKind::Host, mappings).map_err(|error| {
            let text = self.nat_1to1.get(error.rule).map_or("", String::as_str);
            format!("--nat-1to1 {text}: {}", error.cause)
        })
    }

    /// Puts into a configuration what is to be told of what is found.
    pub(crate) fn configure(&self, config: &mut AgentConfig) -> Result<(), String> {
        let mut policies = Policies::default();
        if self.relay_only {
            policies.transport = TransportPolicy::Relay;
        }
        policies.rewrite = self.rewrite()?;
        config.policies = (policies != Policies::default()).then(|| Arc::new(policies));
        Ok(())
    }

    /// The ports to bind to, from one that the seed chooses: agents that share a range should not
    /// all begin with the same port.
    pub(crate) fn ports(&self, seed: &[u8; 32]) -> Ports {
        let [high, low, ..] = *seed;
        self.ports.ports(u16::from_be_bytes([high, low]))
    }

    /// The range that was asked for, if one was.
    #[allow(dead_code, reason = "not every example explains what it cannot bind")]
    pub(crate) fn port_range(&self) -> Option<PortRange> {
        (self.ports != PortRange::ANY).then_some(self.ports)
    }

    pub(crate) fn transport(&self) -> TurnTransport {
        self.transport.unwrap_or_default()
    }

    pub(crate) const fn insecure(&self) -> bool {
        self.insecure
    }

    /// Adds the servers to an agent.
    pub(crate) fn add_to(
        &self,
        agent: &mut Recorder,
        now: Timestamp,
    ) -> Result<Vec<(ServerId, ServerUri)>, Box<dyn Error>> {
        let mut servers: Vec<_> = self.stun.iter().cloned().map(Server::new).collect();
        for Account { credentials, place } in &self.turn {
            let uri = self.transport().uri(place).parse()?;
            let server = Server::new(uri).with_credentials(credentials.clone());
            servers.push(match self.lifetime {
                Some(lifetime) => server.with_lifetime(lifetime),
                None => server,
            });
        }
        let mut add = |server: Server| {
            let uri = server.uri().clone();
            match agent.add_server(now, server) {
                Ok(id) => Ok((id, uri)),
                Err(why) => Err(format!("{uri}: {why}").into()),
            }
        };
        servers.into_iter().map(&mut add).collect()
    }
}

fn parse_stun(text: &str) -> Result<ServerUri, String> {
    format!("stun:{text}").parse().map_err(|why| format!("{STUN}: {why}"))
}

fn parse_lifetime(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
    seconds.map(Duration::from_secs).ok_or("--turn-lifetime is 1 to 86400 seconds")
}

fn parse_ports(text: &str) -> Result<PortRange, &'static str> {
    let range = text.split_once('-').and_then(|(min, max)| {
        let (min, max) = (min.parse().ok()?, max.parse().ok()?);
        PortRange::new(min, max).ok().filter(|_| min > 0)
    });
    range.ok_or("--port-range is MIN-MAX, within 1 to 65535")
}

impl Account {
    /// A password may have an `@` in it, and a colon; a place and a user have none.
    fn parse(text: &str) -> Result<Self, String> {
        let (account, place) = text.rsplit_once('@').ok_or(TURN)?;
        let (user, password) = account.split_once(':').ok_or(TURN)?;
        let credentials =
            ServerCredentials::new(user, password).map_err(|why| format!("{TURN}: {why}"))?;
        let uri = TurnTransport::default().uri(place);
        uri.parse::<ServerUri>().map_err(|why| format!("{TURN}: {why}"))?;
        Ok(Self { credentials, place: place.to_owned() })
    }
}
