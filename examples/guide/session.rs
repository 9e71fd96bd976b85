//! What is the same in every loop: the agent, what is signalled of it, and the application. There is
//! no socket and no clock in here.
//!
//! The application is one question and one answer: the side that offers says hello until it is
//! answered, and hangs up.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use frazil::{
    AddLocalError, AgentConfig, Candidate, ConnectionState, Event, GatheringState, IceAgent,
    IceAttributes, LocalAddress, MediaIceAttributes, Outgoing, Role, SendError, StreamId,
    Timestamp,
};

const COMPONENT: u16 = 1;

/// How often the question is asked: a datagram may be lost.
const AGAIN: Duration = Duration::from_millis(200);

pub(crate) struct Session {
    pub(crate) agent: IceAgent,
    stream: StreamId,
    /// Carries lines of text to the other side.
    signalling: Box<dyn Write>,
    /// The parameters of the other side, as far as they have come.
    parameters: Vec<String>,
    /// A restart of this side waits for the answer of the other one.
    restarting: bool,
    /// When the application has something to say.
    speaks_at: Option<Timestamp>,
    /// Something was heard of the application on the other side.
    heard: bool,
    /// Nothing is left to be done.
    pub(crate) done: bool,
}

impl Session {
    pub(crate) fn new(
        role: Role,
        seed: [u8; 32],
        signalling: Box<dyn Write>,
    ) -> Result<Self, Box<dyn Error>> {
        let mut config = AgentConfig::new(role);
        // Only since both sides may be on one machine that has no network.
        config.loopback = true;
        let agent = IceAgent::new(config, seed)?;
        let stream = agent.streams().next().ok_or("the configuration has one stream")?;
        Ok(Self {
            agent,
            stream,
            signalling,
            parameters: Vec::new(),
            restarting: false,
            speaks_at: None,
            heard: false,
            done: false,
        })
    }

    /// There is a socket on this address.
    pub(crate) fn add_socket(
        &mut self,
        now: Timestamp,
        addr: SocketAddr,
    ) -> Result<(), AddLocalError> {
        self.agent.add_local(now, self.stream, COMPONENT, LocalAddress::udp(addr))?;
        Ok(())
    }

    /// The socket on this address is of no use any more.
    pub(crate) fn remove_socket(&mut self, now: Timestamp, addr: SocketAddr, error: &io::Error) {
        self.say(format_args!("{addr} is gone: {error}"));
        let id = self.agent.local_candidates().find(|it| it.addr == addr).map(|it| it.id);
        if let Some(Err(error)) = id.map(|id| self.agent.remove_local(now, id)) {
            self.say(error);
        }
    }

    /// All sockets are there: what the other side has to know. So it begins, and so does each restart.
    /// Parameters go first, candidates follow as events.
    pub(crate) fn describe(&mut self, now: Timestamp) {
        self.agent.gather(now);
        let parameters = self.agent.local_parameters();
        for line in IceAttributes::lines(&parameters) {
            self.signal(&line);
        }
        for line in MediaIceAttributes::lines(&parameters, &[], false) {
            self.signal(&line);
        }
        // Ends the parameters.
        self.signal("");
    }

    fn signal(&mut self, line: &str) {
        // Whether the other side is still there is learned by reading.
        let _ = writeln!(self.signalling, "{line}").and_then(|()| self.signalling.flush());
    }

    /// A line came from the other side; `None` when it has hung up.
    pub(crate) fn on_line(
        &mut self,
        now: Timestamp,
        line: Option<String>,
    ) -> Result<(), Box<dyn Error>> {
        let Some(line) = line else {
            self.done = true;
            return if self.heard { Ok(()) } else { Err("the other side is gone".into()) };
        };
        if line.starts_with("a=candidate:") {
            // One that cannot be read or is of no use is no reason to give up: others may come.
            match line.parse::<Candidate>() {
                Err(error) => self.say(format_args!("not read: {line}: {error}")),
                Ok(candidate) => {
                    let added = self.agent.add_remote_candidate(now, self.stream, &candidate);
                    if let Err(error) = added {
                        self.say(format_args!("not used: {line}: {error}"));
                    }
                }
            }
        } else if line == "a=end-of-candidates" {
            self.agent.end_of_remote_candidates(now, None);
        } else if !line.is_empty() {
            self.parameters.push(line);
        } else if !self.parameters.is_empty() {
            let lines = std::mem::take(&mut self.parameters);
            let lines = || lines.iter().map(String::as_str);
            let peer = IceAttributes::parse(lines()).media(lines())?;
            let parameters = peer.parameters().ok_or("the other side does not use ICE")?;
            // The first ones, the answer to a restart of ours, or a restart of the other side, of which
            // an event will tell.
            self.agent.set_remote(now, parameters)?;
            self.restarting = false;
        }
        Ok(())
    }

    pub(crate) fn on_event(&mut self, now: Timestamp, event: Event) -> Result<(), Box<dyn Error>> {
        match event {
            Event::LocalCandidate { candidate, .. } => {
                self.signal(&format!("a=candidate:{candidate}"));
            }
            Event::GatheringState(GatheringState::Complete) => self.signal("a=end-of-candidates"),
            Event::SelectedPair { local, remote, .. } => {
                self.say(format_args!("from {} to {}", local.addr, remote.addr));
                if self.is_offerer() {
                    self.speaks_at = Some(now);
                }
            }
            // The other side has restarted. This side has new parameters by now: they are the answer.
            Event::RemoteRestart { .. } => self.describe(now),
            // No path is left. The answer commits; if both sides begin, each answers the other.
            Event::RestartNeeded if !self.restarting => {
                self.say("no path is left");
                self.agent.prepare_restart(now)?;
                self.restarting = true;
                self.describe(now);
            }
            // It may come directly after `RestartNeeded`, and then it is no end.
            Event::ConnectionState(ConnectionState::Failed) if !self.restarting => {
                return Err(self.agent.explain().to_string().into());
            }
            // The others ask for what this program has not begun (servers, TCP, names), or are news.
            _ => {}
        }
        Ok(())
    }

    /// The application on the other side has said something.
    pub(crate) fn on_data(&mut self, now: Timestamp, payload: &[u8]) {
        self.say(format_args!("heard {:?}", String::from_utf8_lossy(payload)));
        self.heard = true;
        if self.is_offerer() {
            self.done = true;
        } else {
            self.speaks_at = Some(now);
        }
    }

    /// What the application says now, and where it goes.
    pub(crate) fn poll_data(&mut self, now: Timestamp) -> Option<Outgoing<'static>> {
        self.speaks_at.filter(|at| *at <= now)?;
        let offers = self.is_offerer();
        self.speaks_at = offers.then(|| now + AGAIN);
        let payload: &[u8] = if offers { b"hello" } else { b"hello to you" };
        match self.agent.send(now, self.stream, COMPONENT, payload) {
            Ok(outgoing) => Some(outgoing),
            Err(SendError::NotConnected) => None, // for a while perhaps
            Err(error) => {
                self.say(format_args!("not sent: {error}"));
                None
            }
        }
    }

    /// When the loop has to be back: for the agent, or for the application.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        [self.agent.poll_timeout(), self.speaks_at].into_iter().flatten().min()
    }

    fn is_offerer(&self) -> bool {
        self.agent.role() == Role::Controlling
    }

    /// For people: where the lines of standard output go, they are not.
    fn say(&self, what: impl Display) {
        let name = if self.is_offerer() { "offerer" } else { "answerer" };
        // In one piece, as both sides may write at once.
        let line = format!("{name}: {what}\n");
        eprint!("{line}");
    }
}
