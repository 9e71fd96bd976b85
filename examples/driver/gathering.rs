//! The flags that say what is gathered: which servers are asked, and what is told of what is found.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use frazil::replay::Recorder;
use frazil::{
    AddressRewriteRules, AgentConfig, CandidateKind, MdnsMode, Policies, PortRange, Ports, Server,
    ServerCredentials, ServerHost, ServerId, ServerUri, ServerUriError, Timestamp, TransportPolicy,
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
  --tcp                          TCP candidates as well: passive ones, which listen, and active ones
  --no-udp                       no UDP candidates; with --relay-only, servers over TCP or TLS alone
  --mdns off|query|gather        names of multicast DNS in place of host addresses: refuse those of
                                 the other side, resolve them, or tell such as well (default: off)
  --port-range MIN-MAX           the local ports to bind to (default: whatever the system gives)
";

/// The flags that are read here.
pub(crate) const FLAGS: [&str; 11] = [
    "stun",
    "turn",
    "turn-transport",
    "turn-lifetime",
    "insecure",
    "relay-only",
    "nat-1to1",
    "tcp",
    "no-udp",
    "mdns",
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
    tcp: bool,
    no_udp: bool,
    mdns: MdnsMode,
    ports: PortRange,
}

/// What is opened on each address of this machine.
#[derive(Clone, Copy)]
pub(crate) struct HostTransports {
    pub(crate) udp: bool,
    /// Connections are accepted.
    pub(crate) tcp_passive: bool,
    /// Connections may be opened: to peers, and without UDP to servers.
    pub(crate) tcp_active: bool,
}

impl Default for HostTransports {
    fn default() -> Self {
        Self { udp: true, tcp_passive: false, tcp_active: false }
    }
}

impl HostTransports {
    /// The candidates that an address makes.
    #[allow(dead_code, reason = "not every example counts its candidates")]
    pub(crate) fn count(self) -> u16 {
        [self.udp, self.tcp_passive, self.tcp_active].into_iter().map(u16::from).sum()
    }
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
            "tcp" => self.tcp = true,
            "no-udp" => self.no_udp = true,
            "mdns" => self.mdns = arguments.value()?.parse_with(parse_mdns)?,
            _ => self.insecure = true,
        }
        Ok(())
    }

    /// Whether the flags go together.
    pub(crate) fn check(&self, lite: bool) -> Result<(), String> {
        self.check_servers(lite)?;
        self.check_candidates()?;
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

    fn check_candidates(&self) -> Result<(), &'static str> {
        if self.relay_only && self.tcp {
            return Err("--relay-only goes without --tcp: no local address is told");
        }
        if self.no_udp && !(self.tcp || self.relay_only) {
            return Err("--no-udp needs --tcp, or --relay-only");
        }
        if self.no_udp && !self.stun.is_empty() {
            return Err("--no-udp goes without --stun: those are asked over UDP");
        }
        if self.no_udp && !self.turn.is_empty() && self.transport() == TurnTransport::Udp {
            return Err("--no-udp needs --turn-transport tcp or tls");
        }
        if self.mdns == MdnsMode::QueryAndGather && !self.nat_1to1.is_empty() {
            return Err("--mdns gather goes without --nat-1to1: no local address is told");
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
        config.mdns = self.mdns;
        config.policies = (policies != Policies::default()).then(|| Arc::new(policies));
        Ok(())
    }

    /// What is opened on each address of a lite or a full agent: a lite one opens no connections, and
    /// where nothing but relays is told nobody is to connect here.
    pub(crate) const fn host_transports(&self, lite: bool) -> HostTransports {
        HostTransports {
            udp: !self.no_udp,
            tcp_passive: self.tcp,
            tcp_active: !lite && (self.tcp || self.no_udp),
        }
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

    /// Whether a server is on this machine, where only its loopback addresses get.
    #[allow(dead_code, reason = "not every example chooses among the addresses by itself")]
    pub(crate) fn asks_loopback(&self) -> bool {
        let turn = self.turn.iter().filter_map(|account| self.uri_of(account).ok());
        self.stun.iter().cloned().chain(turn).any(|uri| match uri.host() {
            ServerHost::Ip(ip) => ip.is_loopback(),
            ServerHost::Name(name) => name.as_str() == "localhost",
        })
    }

    fn uri_of(&self, account: &Account) -> Result<ServerUri, ServerUriError> {
        self.transport().uri(&account.place).parse()
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
        for account in &self.turn {
            let server = Server::new(self.uri_of(account)?);
            let server = server.with_credentials(account.credentials.clone());
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

fn parse_mdns(text: &str) -> Result<MdnsMode, &'static str> {
    match text {
        "off" => Ok(MdnsMode::Off),
        "query" => Ok(MdnsMode::Query),
        "gather" => Ok(MdnsMode::QueryAndGather),
        _ => Err("--mdns is off, query or gather"),
    }
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
