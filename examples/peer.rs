//! One ICE agent on real sockets, driven by lines on standard input and output.
//!
//! Two of them connect when the lines that one prints are piped to the other, and so does any
//! other implementation behind the same lines; `--help` lists them. How an agent is driven is in
//! `driver/mod.rs`.
#![expect(clippy::disallowed_methods, reason = "an example owns the clock that the agent lacks")]

mod driver;
#[path = "peer/input.rs"]
mod input;
#[path = "peer/network.rs"]
mod network;
#[path = "peer/options.rs"]
mod options;
#[path = "peer/record.rs"]
mod record;
#[path = "peer/signalling.rs"]
mod signalling;
#[path = "peer/stats.rs"]
mod stats;
#[path = "peer/trace.rs"]
mod trace;

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use driver::{BATCH, DATAGRAM, Driver, EventLoop, words};
use frazil::{
    AddRemoteError, AgentConfig, Candidate, CandidateKind, CandidateParseError, CandidateView,
    ConnectionState, Event, GatheringState, Received, StreamId, Timestamp, Transport,
};
use input::{Input, Line};
use network::Change;
use options::Options;
use record::Record;
use signalling::{Announced, ParametersLine};
use trace::TraceFile;

/// How long the agent outlives the end of its input, so that what was asked for last is done.
const GRACE: Duration = Duration::from_secs(1);

/// How much of a line that nobody understands is repeated.
const QUOTE: usize = 60;

fn main() -> ExitCode {
    let done = match Options::parse() {
        Ok(Some(options)) => run(options),
        Ok(None) => io::stdout().write_all(options::help().as_bytes()).map_err(Failure::from),
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

fn run(options: Options) -> Result<(), Failure> {
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
    record: Option<Record>,
    trace: Option<TraceFile>,
    stream: StreamId,
    input: Input,
    /// The one buffer that all datagrams are received in.
    incoming: Vec<u8>,
    options: Options,
    /// What the other side said of itself before its credentials.
    announced: Announced,
    /// When to close, once the input has ended.
    closing: Option<Timestamp>,
}

impl Peer {
    fn new(options: Options) -> Result<Self, Failure> {
        let mut events = EventLoop::new()?;
        let mut config = AgentConfig::new(options.role);
        config.lite = options.lite;
        config.nomination = options.nomination;
        config.tell_networks = options.networks;
        config.weigh_networks = options.networks;
        config.continual = options.continual;
        config.loopback = options.bind.iter().any(IpAddr::is_loopback);
        if let Some(pacing) = options.pacing {
            config.timing.ta = pacing;
        }
        options.gathering.configure(&mut config).map_err(Failure::Flag)?;
        config.trace = options.trace.is_some();
        config.statistics = true;
        let trace = TraceFile::create(&options)?;
        let (agent, record) = record::agent(config, options.seed, options.record.as_deref())?;
        let stream = agent.streams().next().ok_or(Failure::NoAddress)?;
        let mut driver = Driver::new(agent, &events);
        driver.gather_by(events.now(), &options.gathering, &options.seed)?;
        if !options.hold {
            network::open_all(&options, &mut driver, stream, &mut events)?;
        }
        Ok(Self {
            input: Input::start(&events)?,
            events,
            driver,
            record,
            trace,
            stream,
            incoming: vec![0; DATAGRAM],
            options,
            announced: Announced::default(),
            closing: None,
        })
    }

    /// What the other side has to know first.
    fn greet(&mut self) -> io::Result<()> {
        say(format_args!("role {}", words::role(self.driver.agent.role())))?;
        if self.options.hold { self.say_parameters() } else { self.begin_generation() }
    }

    /// Tells what the other side has to know of this generation, then gathers. The candidates come
    /// after that: they are told when their events are polled.
    fn begin_generation(&mut self) -> io::Result<()> {
        self.say_parameters()?;
        self.driver.agent.gather(self.events.now());
        Ok(())
    }

    fn say_parameters(&self) -> io::Result<()> {
        let parameters = self.driver.agent.local_parameters();
        say(ParametersLine(&parameters))?;
        let credentials = &parameters.credentials;
        say(format_args!("credentials {} {}", credentials.ufrag(), credentials.pwd()))
    }

    /// Until the agent is closed, and its servers know.
    fn drive(&mut self) -> Result<(), Failure> {
        loop {
            self.settle()?;
            if let Some(record) = &mut self.record {
                record.write(&mut self.driver.agent)?;
            }
            if let Some(trace) = &mut self.trace {
                trace.write(&mut self.driver.agent)?;
            }
            if self.driver.is_done() {
                return Ok(());
            }
            let deadlines = [self.driver.deadline(), self.input.deadline(), self.closing];
            self.events.wait(deadlines.into_iter().flatten().min())?;
            if !self.is_closed() {
                self.take_lines()?;
            }
            self.take_arrivals()?;
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

    fn take_arrivals(&mut self) -> io::Result<()> {
        self.driver.note_ready(&self.events);
        for _ in 0..BATCH {
            let now = self.events.now();
            let Some(received) = self.driver.receive(now, &mut self.incoming) else { break };
            if let Received::Data { stream, payload, .. } = received {
                say(format_args!("recv {}", one_line(&String::from_utf8_lossy(payload))))?;
                if self.options.echo {
                    let payload = payload.to_vec();
                    if let Err(error) = self.driver.send(now, stream, &payload) {
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
        loop {
            let event = self.driver.poll(now);
            while let Some(trouble) = self.driver.poll_trouble() {
                note(trouble);
            }
            let Some(event) = event else { return Ok(()) };
            self.tell(event)?;
        }
    }

    fn tell(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::LocalCandidate { candidate, .. } => say(format_args!("candidate {candidate}")),
            Event::GatheringState(GatheringState::Complete) => say("end-of-candidates"),
            Event::ConnectionState(state) => {
                say(format_args!("state {}", words::state(state)))?;
                if state == ConnectionState::Failed { self.explain() } else { Ok(()) }
            }
            Event::SelectedPair { local, remote, .. } => self.say_selected(&local, &remote),
            Event::CandidateError { server, local, failure, .. } => {
                let server = self.driver.server(server);
                let failure = words::server_failure(&server, local, &failure);
                note(failure);
                Ok(())
            }
            Event::AllocationLost { server, relayed, failure } => {
                let server = self.driver.server(server);
                note(format_args!("{server} no longer relays for {relayed}: {failure}"));
                Ok(())
            }
            Event::RoleChanged(role) => say(format_args!("role {}", words::role(role))),
            Event::RemoteRestart { .. } => self.begin_generation(),
            Event::RestartNeeded => {
                note("no valid pair is left: only a restart connects again");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn say_selected(&self, local: &CandidateView, remote: &CandidateView) -> io::Result<()> {
        let path = match (local.kind, local.transport) {
            (CandidateKind::Relayed, _) => format!("relay-{}", self.options.gathering.transport()),
            (_, Transport::Udp) => "udp".to_owned(),
            (_, Transport::Tcp) => "tcp".to_owned(),
        };
        say(format_args!(
            "selected {} {} {} {} {path}",
            local.addr, remote.addr, local.kind, remote.kind
        ))
    }

    /// Why there is no connection: a line for each pair and server, and the verdict last.
    fn explain(&self) -> io::Result<()> {
        if let Some(error) = &self.driver.unsent.last {
            say(format_args!("why messages not sent: {}: {error}", self.driver.unsent.count))?;
        }
        for counter in words::counters(self.driver.agent.counters()) {
            say(format_args!("why {counter}"))?;
        }
        let explanation = self.driver.agent.explain().to_string();
        explanation.lines().try_for_each(|line| say(format_args!("why {}", one_line(line))))
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
            "restart" if rest.is_empty() => self.on_restart(),
            "network" => self.on_network(rest),
            "stats" if rest.is_empty() => self.on_stats(),
            "gather" if rest.is_empty() => self.on_gather(),
            "close" => {
                self.driver.agent.close(self.events.now());
                Ok(())
            }
            // What the other side reports, when all of its lines are piped here. To answer that
            // with an error would have both complain about each other's complaints for ever.
            "role" | "state" | "selected" | "recv" | "error" | "why" | "stats" => Ok(()),
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
        let parameters = announced.with_credentials(rest)?;
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

    /// With --hold nothing is open, and nothing told, before this line.
    fn on_gather(&mut self) -> Result<(), Box<dyn Error>> {
        if std::mem::take(&mut self.options.hold) {
            network::open_all(&self.options, &mut self.driver, self.stream, &mut self.events)?;
        }
        self.driver.agent.gather(self.events.now());
        Ok(())
    }

    fn on_restart(&mut self) -> Result<(), Box<dyn Error>> {
        self.stage_restart()?;
        Ok(self.begin_generation()?)
    }

    /// The agent would give the parameters of a restart that is staged already once more, but the
    /// other side has them, and who asks for two restarts at once should learn of it.
    fn stage_restart(&mut self) -> Result<(), Box<dyn Error>> {
        let before = self.driver.agent.local_parameters();
        let staged = self.driver.agent.prepare_restart(self.events.now())?;
        if staged == before {
            return Err("the other side has not answered the last restart yet".into());
        }
        Ok(())
    }

    fn on_network(&mut self, rest: &str) -> Result<(), Box<dyn Error>> {
        let Change { ip, up } = Change::parse(rest)?;
        let is_up = self.driver.uses(ip);
        match (is_up, up) {
            (true, true) => Err(format!("{ip} is up").into()),
            (false, false) => Err(format!("{ip} is not in use").into()),
            (true, false) => Ok(self.driver.close(&self.events, ip)?),
            (false, true) if self.options.continual => self.open_late(ip),
            (false, true) => self.restart_with(ip),
        }
    }

    fn open_late(&mut self, ip: IpAddr) -> Result<(), Box<dyn Error>> {
        let Self { options, driver, stream, events, .. } = self;
        network::open_late(ip, options, driver, *stream, events)
    }

    /// What an application does about a new address when the other side has been told that there
    /// are no more candidates.
    fn restart_with(&mut self, ip: IpAddr) -> Result<(), Box<dyn Error>> {
        self.stage_restart()?;
        if let Err(error) = self.open_late(ip) {
            // Nothing of it has been told yet.
            self.driver.agent.rollback_restart(self.events.now());
            return Err(error);
        }
        Ok(self.begin_generation()?)
    }

    fn on_stats(&mut self) -> Result<(), Box<dyn Error>> {
        let report = stats::report(&self.driver);
        Ok(say(format_args!("stats {report}"))?)
    }
}

/// Whether a candidate is one that this agent has no use for, rather than a wrong one.
const fn is_passed_over(why: AddRemoteError) -> bool {
    matches!(
        why,
        AddRemoteError::UnknownComponent
            | AddRemoteError::SimultaneousOpen
            | AddRemoteError::Name
            | AddRemoteError::Loopback
            | AddRemoteError::PastGeneration
            | AddRemoteError::Limit
    )
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
