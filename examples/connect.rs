//! Two ICE agents find each other on this machine, over real UDP sockets.
//!
//! `cargo run --release --example connect` prints what happens as a timeline: candidates, checks,
//! changes of state, the selected pairs; then the round trips of some application datagrams. The
//! exit status is 0 only when data went both ways.
//!
//! The candidates go from agent to agent as the text that an application would signal. How an
//! agent is driven is in `driver/mod.rs`.
#![expect(clippy::disallowed_methods, reason = "an example owns the clock that the agent lacks")]

mod driver;
#[path = "connect/options.rs"]
mod options;
#[path = "connect/pings.rs"]
mod pings;
#[path = "connect/side.rs"]
mod side;
#[path = "connect/timeline.rs"]
mod timeline;

use std::error::Error;
use std::io::{self, Write};
use std::mem;
use std::process::ExitCode;

use driver::host::{self, Host};
use driver::{BATCH, EventLoop, words};
use frazil::{
    AgentConfig, Candidate, CandidateAddress, CandidateView, ConnectionState, Event,
    GatheringState, Received, Role, StreamId, Timestamp,
};
use options::Options;
use pings::{Phase, Pings};
use side::{Side, Sides, Who, news_of, position};
use timeline::{Names, Timeline, place};

/// After this it has failed: on one machine all is over in a blink.
const DEADLINE: Timestamp = Timestamp::from_millis(15_000);

const RESTARTS: &str = "new credentials; the old path stays in use until a new one is selected";
const FOLLOWS: &str = "new credentials in answer";

fn main() -> ExitCode {
    let done = match Options::parse() {
        Ok(Some(options)) => run(&options),
        Ok(None) => {
            io::stdout().write_all(options::help().as_bytes()).map(|()| true).map_err(Into::into)
        }
        Err(error) => {
            complain(&error);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

/// Nobody may listen; then there is nobody to tell either.
fn complain(error: &dyn Error) {
    writeln!(io::stderr(), "connect: {error}").ok();
}

/// Whether data went both ways.
fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let mut session = Session::new(options)?;
    session.start()?;
    let outcome = session.drive()?;
    session.conclude(outcome)
}

/// How it ended.
enum Outcome {
    Done,
    Failed(Who),
    TimedOut,
}

/// Both agents, and what happens between them.
struct Session {
    events: EventLoop,
    sides: Sides,
    names: Names,
    timeline: Timeline,
    pings: Pings,
    restart_begun: Option<Timestamp>,
    /// When the later side had selected all its pairs anew.
    restarted: Option<Timestamp>,
}

impl Session {
    fn new(options: &Options) -> Result<Self, Box<dyn Error>> {
        let mut events = EventLoop::new()?;
        let mut timeline = Timeline { several_streams: options.streams > 1 };
        timeline.head(options)?;
        let hosts = hosts()?;
        let mut other_seed = options.seed;
        other_seed.iter_mut().for_each(|byte| *byte = !*byte);
        let mut config = AgentConfig::new(Role::Controlling);
        config.nomination = options.nomination;
        let a = Side::new(config.clone(), options.seed, options, &hosts, &mut events)?;
        config.role = Role::Controlled;
        config.lite = options.lite;
        let b = Side::new(config, other_seed, options, &hosts, &mut events)?;
        Ok(Self {
            events,
            names: Names::default(),
            timeline,
            pings: Pings::new(usize::from(options.streams), options.restart),
            restart_begun: None,
            restarted: None,
            sides: Sides { a, b },
        })
    }

    /// What signalling does first: each side learns the parameters of the other one.
    fn start(&mut self) -> Result<(), Box<dyn Error>> {
        let now = self.events.now();
        for who in [Who::A, Who::B] {
            let parameters = self.sides.of(who).driver.agent.local_parameters();
            let role = words::role(self.sides.of(who).driver.agent.role());
            let lite = if parameters.lite { ", lite" } else { "" };
            self.timeline.line(now, who, "role", format_args!("{role}{lite}"))?;
            for (host, error) in mem::take(&mut self.sides.of(who).unused) {
                self.timeline.line(now, who, "not used", format_args!("{}: {error}", host.ip))?;
            }
            self.sides.of(who.other()).driver.agent.set_remote(now, parameters)?;
            self.sides.of(who).driver.agent.gather(now);
        }
        Ok(())
    }

    fn drive(&mut self) -> Result<Outcome, Box<dyn Error>> {
        loop {
            self.settle()?;
            if let Some(outcome) = self.outcome() {
                return Ok(outcome);
            }
            let deadline = self.deadline();
            self.events.wait(Some(deadline))?;
            for who in [Who::A, Who::B] {
                self.receive(who)?;
                let now = self.events.now();
                self.sides.of(who).driver.expire(now);
            }
        }
    }

    fn outcome(&mut self) -> Option<Outcome> {
        if self.pings.is_done() {
            return Some(Outcome::Done);
        }
        for who in [Who::A, Who::B] {
            if self.sides.of(who).driver.agent.state() == ConnectionState::Failed {
                return Some(Outcome::Failed(who));
            }
        }
        (self.events.now() >= DEADLINE).then_some(Outcome::TimedOut)
    }

    /// The earliest of all deadlines.
    fn deadline(&self) -> Timestamp {
        let agents = [self.sides.a.driver.deadline(), self.sides.b.driver.deadline()];
        let deadlines = agents.into_iter().chain([self.pings.deadline()]);
        deadlines.flatten().fold(DEADLINE, Timestamp::min)
    }

    fn receive(&mut self, who: Who) -> Result<(), Box<dyn Error>> {
        self.sides.of(who).driver.note_ready(&self.events);
        for _ in 0..BATCH {
            let now = self.events.now();
            let side = self.sides.of(who);
            let Some(received) = side.driver.receive(now) else { break };
            if let Received::Data { stream, payload, .. } = received {
                let payload = payload.to_vec();
                if let Some(round_trip) = self.pings.receive(now, who, side, stream, &payload) {
                    self.timeline.line(now, who, "ping", round_trip)?;
                }
            }
            self.settle()?;
        }
        Ok(())
    }

    /// Sends and tells all there is, on both sides: what one says may give the other work.
    fn settle(&mut self) -> Result<(), Box<dyn Error>> {
        loop {
            let mut idle = true;
            for who in [Who::A, Who::B] {
                let now = self.events.now();
                self.tell_pairs(now, who)?;
                loop {
                    let event = self.sides.of(who).driver.poll(&mut self.events);
                    while let Some(trouble) = self.sides.of(who).driver.poll_trouble() {
                        self.timeline.line(now, who, "trouble", trouble)?;
                    }
                    let Some(event) = event else { break };
                    idle = false;
                    self.on_event(now, who, event)?;
                    self.tell_pairs(now, who)?;
                }
            }
            if idle && !self.move_on()? {
                break;
            }
        }
        self.ping()
    }

    /// Begins the next phase of the pings when it is time for it. Whether that gives the agents
    /// something to do.
    fn move_on(&mut self) -> Result<bool, Box<dyn Error>> {
        match self.pings.next_phase() {
            Some(Phase::During) => {
                self.restart()?;
                self.pings.begin(Phase::During);
                Ok(true)
            }
            Some(phase) if self.sides.are_completed() => {
                self.restarted = Some(self.events.now());
                self.pings.begin(phase);
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    /// Side A restarts; what it signals is new credentials and its candidates once more.
    fn restart(&mut self) -> Result<(), Box<dyn Error>> {
        let now = self.events.now();
        self.restart_begun = Some(now);
        let parameters = self.sides.a.driver.agent.prepare_restart(now)?;
        self.timeline.line(now, Who::A, "restart", RESTARTS)?;
        self.sides.b.driver.agent.set_remote(now, parameters)?;
        self.sides.a.driver.agent.gather(now);
        Ok(())
    }

    /// A side answers the restart of the other one in kind.
    fn follow_restart(&mut self, now: Timestamp, who: Who) -> Result<(), Box<dyn Error>> {
        let parameters = self.sides.of(who).driver.agent.local_parameters();
        self.timeline.line(now, who, "restart", FOLLOWS)?;
        self.sides.of(who.other()).driver.agent.set_remote(now, parameters)?;
        self.sides.of(who).driver.agent.gather(now);
        Ok(())
    }

    fn on_event(&mut self, now: Timestamp, who: Who, event: Event) -> Result<(), Box<dyn Error>> {
        match event {
            Event::LocalCandidate { stream, candidate, .. } => {
                self.on_candidate(now, who, stream, &candidate)
            }
            Event::GatheringState(GatheringState::Complete) => {
                self.timeline.line(now, who, "gathered", "no more candidates will come")?;
                self.sides.of(who.other()).driver.agent.end_of_remote_candidates(now, None);
                Ok(())
            }
            Event::ConnectionState(state) => {
                self.sides.of(who).note_state(now, state);
                Ok(self.timeline.line(now, who, "state", words::state(state))?)
            }
            Event::SelectedPair { stream, local, remote, .. } => {
                self.on_selected(now, who, stream, &local, &remote)
            }
            Event::RoleChanged(role) => {
                Ok(self.timeline.line(now, who, "role", words::role(role))?)
            }
            Event::CandidateError { server, local, failure, .. } => {
                let server = self.sides.of(who).driver.server(server);
                let failure = words::server_failure(&server, local, &failure);
                Ok(self.timeline.line(now, who, "no server", failure)?)
            }
            Event::RemoteRestart { .. } => self.follow_restart(now, who),
            Event::RemoteCandidateDiscovered { candidate, .. } => {
                self.on_discovered(now, who, &candidate)
            }
            _ => Ok(()),
        }
    }

    /// Signals a candidate: this is all that an application's own channel has to carry.
    fn on_candidate(
        &mut self,
        now: Timestamp,
        who: Who,
        stream: StreamId,
        candidate: &Candidate,
    ) -> Result<(), Box<dyn Error>> {
        let at = position(&self.sides.of(who).streams, stream);
        if let CandidateAddress::Socket(addr) = candidate.address {
            let name = self.names.add(who, addr);
            let detail = format!("{name:<5}{}", place(candidate.kind, addr));
            self.timeline.on_stream(now, who, at, "candidate", &detail)?;
        }
        let line = candidate.to_string();
        let signalled: Candidate = line.parse()?;
        let other = self.sides.of(who.other());
        if let Some(&stream) = other.streams.get(at) {
            other.driver.agent.add_remote_candidate(now, stream, &signalled)?;
        }
        Ok(())
    }

    fn on_selected(
        &mut self,
        now: Timestamp,
        who: Who,
        stream: StreamId,
        local: &CandidateView,
        remote: &CandidateView,
    ) -> Result<(), Box<dyn Error>> {
        let at = position(&self.sides.of(who).streams, stream);
        let local = format!("from {}", place(local.kind, local.addr));
        let remote = format!("to   {}", place(remote.kind, remote.addr));
        self.timeline.on_stream(now, who, at, "selected", &local)?;
        self.timeline.continued(at, &remote)?;
        Ok(())
    }

    /// The other side was heard from an address that it has not signalled.
    fn on_discovered(
        &mut self,
        now: Timestamp,
        who: Who,
        candidate: &CandidateView,
    ) -> Result<(), Box<dyn Error>> {
        let at = position(&self.sides.of(who).streams, candidate.stream);
        let name = self.names.add(who.other(), candidate.addr);
        let detail = format!("{name:<5}{}", place(candidate.kind, candidate.addr));
        Ok(self.timeline.on_stream(now, who, at, "discovered", &detail)?)
    }

    /// Tells how the checks go, which an agent has no events for: the pairs show it.
    fn tell_pairs(&mut self, now: Timestamp, who: Who) -> Result<(), Box<dyn Error>> {
        let side = self.sides.of(who);
        if side.lite {
            // It has pairs, but sends no checks.
            return Ok(());
        }
        for pair in side.driver.agent.pairs() {
            let Some(news) = news_of(&mut side.told, &pair) else { continue };
            let at = position(&side.streams, pair.stream);
            let detail = format!("{}  {news}", self.names.pair(&pair));
            self.timeline.on_stream(now, who, at, "check", &detail)?;
        }
        Ok(())
    }

    /// Sends the next ping once both sides are connected for good and none is under way.
    fn ping(&mut self) -> Result<(), Box<dyn Error>> {
        let now = self.events.now();
        if self.sides.completed().is_none() {
            return Ok(());
        }
        let Some(next) = self.pings.next(now) else { return Ok(()) };
        let payload = format!("ping {next}");
        let side = self.sides.of(next.from);
        if let Some(&stream) = side.streams.get(next.position) {
            if let Err(error) = side.driver.send(now, stream, payload.as_bytes()) {
                // It counts as lost; the reason may explain that.
                self.timeline.line(now, next.from, "not sent", error)?;
            }
        }
        Ok(())
    }

    /// The last words, and whether all went well.
    fn conclude(&mut self, outcome: Outcome) -> Result<bool, Box<dyn Error>> {
        let completed = self.sides.completed();
        if let (Some(connected), Some(completed)) = (self.sides.connected(), completed) {
            self.timeline.connected(connected, completed)?;
        }
        self.timeline.round_trips(&self.pings)?;
        if let (Some(begun), Some(restarted)) = (self.restart_begun, self.restarted) {
            self.timeline.restarted(restarted - begun, &self.pings)?;
        }
        let reason = match outcome {
            Outcome::Done => self.pings.failure(),
            Outcome::Failed(who) => Some(format!("agent {who} found no path")),
            Outcome::TimedOut if self.restart_begun.is_some() && self.restarted.is_none() => {
                Some("the restart took too long".to_owned())
            }
            Outcome::TimedOut if completed.is_some() => Some("the pings took too long".to_owned()),
            Outcome::TimedOut => {
                Some(format!("not connected within {} s", DEADLINE.as_duration().as_secs()))
            }
        };
        if let Some(reason) = &reason {
            self.timeline.failed(reason, &self.names, &self.sides)?;
        }
        self.close()?;
        Ok(reason.is_none())
    }

    /// Closes the agents, and drives them until their servers know.
    fn close(&mut self) -> Result<(), Box<dyn Error>> {
        let now = self.events.now();
        for who in [Who::A, Who::B] {
            self.sides.of(who).driver.agent.close(now);
        }
        loop {
            for who in [Who::A, Who::B] {
                let now = self.events.now();
                let driver = &mut self.sides.of(who).driver;
                while driver.receive(now).is_some() {}
                driver.expire(now);
                while driver.poll(&mut self.events).is_some() {}
            }
            let Sides { a, b } = &self.sides;
            if a.driver.is_done() && b.driver.is_done() {
                return Ok(());
            }
            let deadlines = [a.driver.deadline(), b.driver.deadline()];
            self.events.wait(deadlines.into_iter().flatten().min())?;
            self.sides.a.driver.note_ready(&self.events);
            self.sides.b.driver.note_ready(&self.events);
        }
    }
}

/// This machine's addresses; loopback ones only when there is no other.
fn hosts() -> io::Result<Vec<Host>> {
    let (loopback, others): (Vec<_>, Vec<_>) =
        host::all()?.into_iter().partition(|host| host.ip.is_loopback());
    Ok(if others.is_empty() { loopback } else { others })
}
