//! One ICE agent on real sockets, driven by lines on standard input and output.
//!
//! Two of them connect when the lines that one prints are piped to the other, and so does any
//! other implementation behind the same lines; `--help` lists them. How an agent is driven is in
//! `driver/mod.rs`.
#![expect(clippy::disallowed_methods, reason = "an example owns the clock that the agent lacks")]

mod driver;
#[path = "peer/input.rs"]
mod input;
#[path = "peer/options.rs"]
mod options;

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::iter;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use driver::host::{self, Host};
use driver::{BATCH, DATAGRAM, Driver, EventLoop, OpenError, words};
use frazil::{
    AddRemoteError, AgentConfig, Candidate, CandidateParseError, CandidateView, ConnectionState,
    Credentials, Event, GatheringState, IceAgent, Parameters, Received, StreamId, Timestamp,
    Transport,
};
use input::{Input, Line};
use options::{HELP, Options};

/// How long the agent outlives the end of its input, so that what was asked for last is done.
const GRACE: Duration = Duration::from_secs(1);

/// How much of a line that nobody understands is repeated.
const QUOTE: usize = 60;

fn main() -> ExitCode {
    let done = match Options::parse() {
        Ok(Some(options)) => run(&options),
        Ok(None) => io::stdout().write_all(HELP.as_bytes()).map_err(Failure::from),
        Err(error) => Err(Failure::Flag(error.to_string())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            note(&failure);
            failure.exit_code()
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let mut peer = Peer::new(options)?;
    peer.greet()?;
    peer.drive()
}

/// What goes to standard error: for people, no part of the protocol.
fn note(what: impl fmt::Display) {
    // Nobody may listen; then there is nobody to tell either.
    writeln!(io::stderr(), "peer: {what}").ok();
}

/// Why the process ends early.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Flag(String),
    #[error("no address to use; --bind names one")]
    NoAddress,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Other(#[from] Box<dyn Error>),
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        ExitCode::from(if matches!(self, Self::Flag(_)) { 2 } else { 1 })
    }
}

/// The agent between its sockets and its lines.
struct Peer {
    events: EventLoop,
    driver: Driver,
    stream: StreamId,
    input: Input,
    /// The one buffer that everything is received in.
    incoming: Vec<u8>,
    echo: bool,
    /// What the other side said of itself before its credentials.
    announced: Announced,
    /// When to close, once the input has ended.
    closing: Option<Timestamp>,
}

impl Peer {
    fn new(options: &Options) -> Result<Self, Failure> {
        let mut events = EventLoop::new()?;
        let mut config = AgentConfig::new(options.role);
        config.lite = options.lite;
        config.loopback = options.bind.iter().any(IpAddr::is_loopback);
        if let Some(pacing) = options.pacing {
            config.timing.ta = pacing;
        }
        let agent =
            IceAgent::new(config, options.seed).map_err(|error| Failure::Other(error.into()))?;
        let stream = agent.streams().next().ok_or(Failure::NoAddress)?;
        let mut driver = Driver::new(agent);
        open_all(options, &mut driver, stream, &mut events)?;
        Ok(Self {
            input: Input::start(&mut events)?,
            events,
            driver,
            stream,
            incoming: vec![0; DATAGRAM],
            echo: options.echo,
            announced: Announced::default(),
            closing: None,
        })
    }

    /// What the other side has to know first.
    fn greet(&mut self) -> io::Result<()> {
        say(format_args!("role {}", words::role(self.driver.agent.role())))?;
        let parameters = self.driver.agent.local_parameters();
        say(ParametersLine(&parameters))?;
        let credentials = &parameters.credentials;
        say(format_args!("credentials {} {}", credentials.ufrag(), credentials.pwd()))?;
        self.driver.agent.gather(self.events.now());
        Ok(())
    }

    /// Until the agent is closed.
    fn drive(&mut self) -> Result<(), Failure> {
        loop {
            self.settle()?;
            if self.is_closed() {
                return Ok(());
            }
            let deadlines = [self.driver.deadline(), self.input.deadline(), self.closing];
            self.events.wait(deadlines.into_iter().flatten().min())?;
            self.take_lines()?;
            self.take_datagrams()?;
            self.take_time();
        }
    }

    fn is_closed(&self) -> bool {
        self.driver.agent.state() == ConnectionState::Closed
    }

    fn take_lines(&mut self) -> io::Result<()> {
        self.input.note_ready(&self.events);
        for _ in 0..BATCH {
            let Some(line) = self.input.next() else { break };
            let done = match &line {
                Line::Text(text) => self.obey(text),
                Line::NotUtf8 => Err("a line that is not UTF-8".into()),
                Line::TooLong => Err("a line that is too long".into()),
                Line::End => {
                    self.closing = Some(self.events.now() + GRACE);
                    Ok(())
                }
            };
            if let Err(error) = done {
                say(format_args!("error {}", one_line(&error.to_string())))?;
            }
            self.settle()?;
            if self.is_closed() {
                break;
            }
        }
        Ok(())
    }

    fn take_datagrams(&mut self) -> io::Result<()> {
        self.driver.note_ready(&self.events);
        for _ in 0..BATCH {
            let now = self.events.now();
            let Some(received) = self.driver.receive(now, &mut self.incoming) else { break };
            if let Received::Data { stream, payload, .. } = received {
                say(format_args!("recv {}", one_line(&String::from_utf8_lossy(payload))))?;
                if self.echo {
                    if let Err(error) = self.driver.send(now, stream, payload) {
                        say(format_args!("error echo: {error}"))?;
                    }
                }
            }
            self.settle()?;
        }
        Ok(())
    }

    fn take_time(&mut self) {
        let now = self.events.now();
        self.driver.expire(now);
        if self.closing.is_some_and(|at| at <= now) {
            self.driver.agent.close(now);
        }
    }

    /// Sends and tells all there is.
    fn settle(&mut self) -> io::Result<()> {
        let now = self.events.now();
        while let Some(event) = self.driver.poll(now) {
            self.tell(event)?;
        }
        Ok(())
    }

    fn tell(&self, event: Event) -> io::Result<()> {
        match event {
            Event::LocalCandidate { candidate, .. } => say(format_args!("candidate {candidate}")),
            Event::GatheringState(GatheringState::Complete) => say("end-of-candidates"),
            Event::ConnectionState(state) => {
                say(format_args!("state {}", words::state(state)))?;
                if state == ConnectionState::Failed { self.explain() } else { Ok(()) }
            }
            Event::SelectedPair { local, remote, .. } => say_selected(&local, &remote),
            Event::RoleChanged(role) => say(format_args!("role {}", words::role(role))),
            _ => Ok(()),
        }
    }

    /// All that is known of why there is no connection.
    fn explain(&self) -> io::Result<()> {
        let agent = &self.driver.agent;
        let (mut pairs, mut valid) = (0u32, 0u32);
        for pair in agent.pairs() {
            let (local, remote) = (pair.local.base, pair.remote.addr);
            say(format_args!("why {local} -> {remote} {}", words::pair(&pair)))?;
            pairs = pairs.saturating_add(1);
            valid = valid.saturating_add(u32::from(pair.valid));
        }
        for counter in words::counters(agent.counters()) {
            say(format_args!("why {counter}"))?;
        }
        if let Some(error) = &self.driver.unsent.last {
            say(format_args!("why datagrams not sent: {}: {error}", self.driver.unsent.count))?;
        }
        say(format_args!("why no path: pairs: {pairs}, valid among them: {valid}"))
    }

    /// Does what a line says.
    fn obey(&mut self, line: &str) -> Result<(), Box<dyn Error>> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let done = match word {
            "parameters" => self.on_parameters(rest),
            "credentials" => self.on_credentials(rest),
            "candidate" => self.on_candidate(rest),
            "end-of-candidates" => {
                self.driver.agent.end_of_remote_candidates(self.events.now(), None);
                Ok(())
            }
            "send" => self.on_send(rest),
            "close" => {
                self.driver.agent.close(self.events.now());
                Ok(())
            }
            "stats" if !rest.is_empty() => Ok(()),
            // What the other side reports, when all of its lines are piped here. To answer that
            // with an error would have both complain about each other's complaints for ever.
            "role" | "state" | "selected" | "recv" | "error" | "why" => Ok(()),
            "restart" | "network" | "stats" => Err("not supported yet".into()),
            _ => {
                let quote: String = line.chars().take(QUOTE).collect();
                return Err(format!("unknown line: {quote}").into());
            }
        };
        done.map_err(|error| format!("{word}: {error}").into())
    }

    /// Keeps the parameters for the credentials that follow.
    fn on_parameters(&mut self, rest: &str) -> Result<(), Box<dyn Error>> {
        self.announced = Announced::parse(rest)?;
        Ok(())
    }

    fn on_credentials(&mut self, rest: &str) -> Result<(), Box<dyn Error>> {
        let announced = std::mem::take(&mut self.announced);
        let mut fields = rest.split_whitespace();
        let (Some(ufrag), Some(pwd), None) = (fields.next(), fields.next(), fields.next()) else {
            return Err("a username fragment and a password are wanted".into());
        };
        let mut parameters = Parameters::new(Credentials::new(ufrag, pwd)?);
        parameters.lite = announced.lite;
        parameters.pacing = announced.pacing;
        parameters.options = announced.options;
        Ok(self.driver.agent.set_remote(self.events.now(), parameters)?)
    }

    fn on_candidate(&mut self, rest: &str) -> Result<(), Box<dyn Error>> {
        let candidate: Candidate = match rest.parse() {
            Ok(candidate) => candidate,
            Err(CandidateParseError::Unsupported(why)) => {
                // RFC 8839 §5.1: not an error, for another peer may have use for it.
                note(format_args!("candidate passed over: {why}: {}", one_line(rest)));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        match self.driver.agent.add_remote_candidate(self.events.now(), self.stream, &candidate) {
            Ok(_) => Ok(()),
            Err(why) if is_passed_over(why) => {
                note(format_args!("candidate passed over: {why}: {}", one_line(rest)));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn on_send(&mut self, text: &str) -> Result<(), Box<dyn Error>> {
        Ok(self.driver.send(self.events.now(), self.stream, text.as_bytes())?)
    }
}

/// Opens sockets on the addresses that were named, or on all but loopback.
fn open_all(
    options: &Options,
    driver: &mut Driver,
    stream: StreamId,
    events: &mut EventLoop,
) -> Result<(), Failure> {
    let hosts = host::all()?;
    if options.bind.is_empty() {
        return open_any(&hosts, options, driver, stream, events);
    }
    for &ip in &options.bind {
        let known = hosts.iter().find(|host| host.ip == ip).copied();
        if known.is_none() && host::is_link_local(ip) {
            return Err(Failure::Flag(format!("--bind {ip}: on which link is not known")));
        }
        // Not every address that can be bound is listed: all of 127.0.0.0/8 is this machine.
        let host = known.unwrap_or(Host { ip, interface: 0 });
        open(host, options, driver, stream, events).map_err(|error| {
            no_port(host, options, &error)
                .unwrap_or_else(|| Failure::Flag(format!("--bind {ip}: {error}")))
        })?;
    }
    Ok(())
}

/// Opens what can be opened. An address that cannot (an IPv6 one that is not settled yet) is no
/// failure as long as there is another.
fn open_any(
    hosts: &[Host],
    options: &Options,
    driver: &mut Driver,
    stream: StreamId,
    events: &mut EventLoop,
) -> Result<(), Failure> {
    for &host in hosts.iter().filter(|host| !host.ip.is_loopback()) {
        if let Err(error) = open(host, options, driver, stream, events) {
            if let Some(failure) = no_port(host, options, &error) {
                return Err(failure);
            }
            note(format_args!("{} passed over: {error}", host.ip));
        }
    }
    if driver.agent.local_candidates().next().is_none() {
        return Err(Failure::NoAddress);
    }
    Ok(())
}

fn open(
    host: Host,
    options: &Options,
    driver: &mut Driver,
    stream: StreamId,
    events: &mut EventLoop,
) -> Result<(), OpenError> {
    match options.ports {
        Some(ports) => driver.open(events, stream, host, ports.starting_by(&options.seed)),
        None => driver.open(events, stream, host, iter::once(0)),
    }
}

/// Whether the reason is that all ports of the range are taken.
fn no_port(host: Host, options: &Options, error: &OpenError) -> Option<Failure> {
    let ports = options.ports?;
    let taken =
        matches!(error, OpenError::Socket(error) if error.kind() == io::ErrorKind::AddrInUse);
    taken.then(|| Failure::Flag(format!("--port-range {ports}: none is free on {}", host.ip)))
}

/// Whether a candidate is one that this agent has no use for, rather than a wrong one.
const fn is_passed_over(why: AddRemoteError) -> bool {
    matches!(
        why,
        AddRemoteError::UnknownComponent
            | AddRemoteError::Transport
            | AddRemoteError::Name
            | AddRemoteError::Loopback
            | AddRemoteError::PastGeneration
            | AddRemoteError::Limit
    )
}

/// What a `parameters` line says.
#[derive(Default)]
struct Announced {
    lite: bool,
    pacing: Option<Duration>,
    options: Vec<String>,
}

impl Announced {
    fn parse(text: &str) -> Result<Self, String> {
        let mut announced = Self::default();
        for field in text.split_whitespace() {
            match field.split_once('=') {
                None if field == "lite" => announced.lite = true,
                Some(("pacing", millis)) => {
                    let millis = millis.parse().map_err(|_| "pacing: not a number of ms")?;
                    announced.pacing = Some(Duration::from_millis(millis));
                }
                Some(("options", names)) => {
                    announced.options = names.split(',').map(str::to_owned).collect();
                }
                _ => return Err(format!("unknown parameter: {field}")),
            }
        }
        Ok(announced)
    }
}

/// The line that [`Announced::parse`] reads.
struct ParametersLine<'a>(&'a Parameters);

impl fmt::Display for ParametersLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parameters")?;
        if self.0.lite {
            f.write_str(" lite")?;
        }
        if let Some(pacing) = self.0.pacing {
            write!(f, " pacing={}", pacing.as_millis())?;
        }
        if !self.0.options.is_empty() {
            write!(f, " options={}", self.0.options.join(","))?;
        }
        Ok(())
    }
}

fn say_selected(local: &CandidateView, remote: &CandidateView) -> io::Result<()> {
    let path = match local.transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
    };
    say(format_args!(
        "selected {} {} {} {} {path}",
        local.addr, remote.addr, local.kind, remote.kind
    ))
}

/// One line of the protocol. Whoever reads it may wait for just this one, so it is not kept back.
fn say(line: impl fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// The text with its control characters escaped, so that it stays one line.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}
