//! One page: its signalling, and the connection that comes of it.

use std::collections::VecDeque;
use std::error::Error;
use std::net::IpAddr;

use frazil::{
    AddRemoteError, AgentConfig, Candidate, CandidateParseError, ConnectionState, Event,
    GatheringState, IceAgent, Role, Timestamp,
};
use mio::Token;

use crate::channel::ChannelEvent;
use crate::clock::Clock;
use crate::driver::{BATCH, EventLoop, host, seed};
use crate::http::Server;
use crate::message::{FromPage, Offerer, Signalling, ToPage};
use crate::options::Options;
use crate::report::Reporter;
use crate::sdp::{Local, Remote, Setup};
use crate::stack::{News, Stack};
use crate::tls::Identity;

/// The channel that the program opens when it is the one who offers.
const LABEL: &str = "frazil";

/// How descriptions say that DTLS may ride in checks: of draft-hancke-webrtc-sped, and of Chromium
/// since 155 and since 149.
const EMBEDDING: [&str; 3] = ["sped", "googspedv1", "goog-sped-v1"];

/// Messages that are kept for a page that comes back to its stream of events.
const KEPT: usize = 256;

/// What all sessions share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) identity: Identity,
    pub(crate) clock: Clock,
}

/// A page, from its first request on.
pub(crate) struct Session {
    mailbox: Mailbox,
    call: Option<Call>,
    /// The page came to an end, or never to a start.
    over: bool,
}

impl Session {
    pub(crate) fn new() -> Self {
        Self { mailbox: Mailbox::default(), call: None, over: false }
    }

    /// Does what the page says.
    pub(crate) fn obey(
        &mut self,
        message: FromPage,
        shared: &Shared,
        events: &mut EventLoop,
    ) -> Result<(), Box<dyn Error>> {
        let now = events.now();
        if let FromPage::Start { offerer, signalling } = message {
            if self.call.is_some() || self.over {
                return Err("this session has started before".into());
            }
            let call = Call::new(offerer, signalling, shared, events)?;
            return self.call.insert(call).begin(now, shared, &mut self.mailbox);
        }
        let call = self.call.as_mut().ok_or("this session has not started, or is over")?;
        call.obey(message, now, shared, &mut self.mailbox)
    }

    /// The page listens, for the first time or again.
    pub(crate) fn attach(&mut self, reader: Token, last: Option<u64>) {
        self.mailbox.reader = Some(reader);
        self.mailbox.rewind(last);
    }

    /// Takes what the sockets have and what the time has brought.
    pub(crate) fn drive(
        &mut self,
        shared: &Shared,
        events: &mut EventLoop,
        buffer: &mut [u8],
    ) -> Result<(), Box<dyn Error>> {
        let Some(call) = &mut self.call else { return Ok(()) };
        call.stack.note_ready(events);
        for _ in 0..BATCH {
            let now = events.now();
            match call.stack.receive(now, buffer) {
                Ok(true) => {
                    call.reporter.touch();
                    call.settle(now, shared, &mut self.mailbox)?;
                }
                Ok(false) => break,
                Err(why) => call.fail(now, why, &mut self.mailbox),
            }
        }
        let now = events.now();
        if let Err(why) = call.stack.expire(now) {
            call.fail(now, why, &mut self.mailbox);
        }
        call.settle(now, shared, &mut self.mailbox)?;
        // A path that is lost for good takes a restart, and for that the page.
        let failed = call.stack.agent().state() == ConnectionState::Failed;
        if (failed || call.lost) && self.mailbox.reader.is_none() {
            call.fail(now, "the page is gone".to_owned(), &mut self.mailbox);
        }
        call.reporter.report(now, &mut call.stack, &mut self.mailbox);
        if call.stack.is_closed() {
            // The sockets go with it.
            self.call = None;
            self.over = true;
        }
        Ok(())
    }

    /// The addresses of this machine have changed.
    pub(crate) fn change_addresses(
        &mut self,
        gone: &[IpAddr],
        come: &[host::Host],
        shared: &Shared,
        events: &mut EventLoop,
    ) -> Result<(), Box<dyn Error>> {
        let Some(call) = &mut self.call else { return Ok(()) };
        for &ip in gone {
            call.stack.remove_address(events, ip)?;
        }
        // The browser has been told that there are no more candidates, so that what has come is told
        // in a new generation; and so is that the path was lost.
        if call.connected {
            call.restart(events.now(), come, events, shared, &mut self.mailbox)?;
        }
        Ok(())
    }

    /// Tells the page what went wrong.
    pub(crate) fn complain(&mut self, error: &dyn Error) {
        self.mailbox.say(&ToPage::Note { text: &error.to_string() });
    }

    /// Hands the page what it has to know.
    pub(crate) fn deliver(&mut self, server: &mut Server) {
        self.mailbox.deliver(server);
        if let Some(reader) = self.mailbox.reader.filter(|_| self.over) {
            server.end_stream(reader);
        }
    }

    /// Nobody will miss it.
    pub(crate) fn is_over(&self) -> bool {
        self.call.is_none() && (self.over || self.mailbox.reader.is_none())
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let call = self.call.as_ref()?;
        [call.stack.deadline(), call.reporter.deadline()].into_iter().flatten().min()
    }
}

/// Messages to the page, numbered, so that none is lost when the connection is.
#[derive(Default)]
pub(crate) struct Mailbox {
    reader: Option<Token>,
    kept: VecDeque<(u64, String)>,
    /// The number of the next message.
    next: u64,
    /// The number of the first one that the reader has not been sent.
    unsent: u64,
    /// How things stand, if that is to be told: not kept, since the next one says it all again.
    report: Option<String>,
}

impl Mailbox {
    fn push(&mut self, text: String) {
        self.kept.push_back((self.next, text));
        self.next = self.next.saturating_add(1);
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }

    fn say(&mut self, message: &ToPage<'_>) {
        // Strings and numbers can always be written.
        if let Ok(text) = serde_json::to_string(message) {
            self.push(text);
        }
    }

    /// A report says all that is to be said: the one before it, if it still waits, is not sent.
    pub(crate) fn replace_report(&mut self, report: String) {
        self.report = Some(report);
    }

    fn rewind(&mut self, last: Option<u64>) {
        self.unsent = last.map_or(0, |last| last.saturating_add(1));
    }

    fn deliver(&mut self, server: &mut Server) {
        let Some(reader) = self.reader.filter(|&reader| server.has(reader)) else {
            self.reader = None;
            return;
        };
        for (id, text) in self.kept.iter().filter(|(id, _)| *id >= self.unsent) {
            if !server.send_event(reader, Some(*id), text) {
                self.reader = None;
                return;
            }
        }
        self.unsent = self.next;
        if let Some(report) = self.report.take() {
            // It bears the number of the message before it: there is nothing of it to come back to.
            server.send_event(reader, self.next.checked_sub(1), &report);
        }
    }
}

/// A connection with its signalling.
struct Call {
    stack: Stack,
    reporter: Reporter,
    signalling: Signalling,
    /// The number of this session in its descriptions.
    id: u64,
    /// How often this side has described itself.
    version: u64,
    mid: String,
    /// The ICE options of the browser.
    options: Vec<String>,
    /// What this side is to do next, as soon as gathering allows.
    due: Option<Describe>,
    /// An offer of this side is not answered yet.
    offered: bool,
    /// DTLS began, so that the roles are settled.
    setup: Option<Setup>,
    /// Candidates that were found before there was a description to go before them, and the empty
    /// one that ends them.
    held: Vec<String>,
    ufrag: String,
    /// The program opens the channel.
    opens: bool,
    /// A pair was selected at least once.
    connected: bool,
    /// No pair is left that works.
    lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Describe {
    Offer,
    Answer,
}

impl Call {
    fn new(
        offerer: Offerer,
        signalling: Signalling,
        shared: &Shared,
        events: &mut EventLoop,
    ) -> Result<Self, Box<dyn Error>> {
        // RFC 8445 §6.1.1: the offerer controls, but never a lite side.
        let lite = shared.options.lite;
        let mut config = AgentConfig::new(match offerer {
            Offerer::Program if !lite => Role::Controlling,
            _ => Role::Controlled,
        });
        config.lite = lite;
        config.embedding = true;
        config.signalling = match signalling {
            Signalling::Trickle => frazil::Signalling::Trickle,
            Signalling::Complete => frazil::Signalling::Complete,
        };
        config.loopback = shared.options.bind.iter().any(IpAddr::is_loopback);
        let gathering = &shared.options.gathering;
        gathering.configure(&mut config)?;
        let agent = IceAgent::new(config, seed::random()?)?;
        let mut stack =
            Stack::new(agent, shared.clock, events).ok_or("an agent without streams")?;
        stack.ask_servers(events.now(), gathering)?;
        for host in shared.options.addresses()? {
            // One that cannot be used, such as an IPv6 address that is not settled, is passed over.
            if let Err(error) = stack.add_address(events, host) {
                crate::note(format_args!("{} passed over: {error}", host.ip));
            }
        }
        if !stack.driver().is_open() {
            return Err("this machine has no address to use".into());
        }
        let [a, b, c, d, ..] = seed::random()?;
        Ok(Self {
            stack,
            reporter: Reporter::default(),
            signalling,
            id: u64::from(u32::from_be_bytes([a, b, c, d])),
            version: 0,
            mid: "0".to_owned(),
            options: Vec::new(),
            due: (offerer == Offerer::Program).then_some(Describe::Offer),
            offered: false,
            setup: None,
            held: Vec::new(),
            ufrag: String::new(),
            opens: offerer == Offerer::Program,
            connected: false,
            lost: false,
        })
    }

    fn begin(
        &mut self,
        now: Timestamp,
        shared: &Shared,
        mailbox: &mut Mailbox,
    ) -> Result<(), Box<dyn Error>> {
        self.stack.agent().gather(now);
        self.describe(now, shared, mailbox);
        self.settle(now, shared, mailbox)
    }

    fn obey(
        &mut self,
        message: FromPage,
        now: Timestamp,
        shared: &Shared,
        mailbox: &mut Mailbox,
    ) -> Result<(), Box<dyn Error>> {
        self.reporter.touch();
        match message {
            // Taken by the session.
            FromPage::Start { .. } => {}
            FromPage::Offer { sdp } => {
                if self.offered {
                    // Both have offered at once. RFC 9429 §4.1.10.2: this side takes its own back.
                    self.offered = false;
                    self.stack.agent().rollback_restart(now);
                }
                self.take_remote(now, &sdp, Setup::Active, shared)?;
                // A restart of the browser is one of this side as well: what it gathers is anew.
                self.stack.agent().gather(now);
                self.due = Some(Describe::Answer);
                self.describe(now, shared, mailbox);
            }
            FromPage::Answer { sdp } => {
                // To an offer that was taken back there is no answer.
                if !self.offered {
                    return Err("an answer without an offer".into());
                }
                self.offered = false;
                self.take_remote(now, &sdp, Setup::Passive, shared)?;
            }
            FromPage::Candidate { candidate, ufrag } => {
                self.take_candidate(now, &candidate, ufrag.as_deref(), mailbox)?;
            }
            FromPage::Restart => {
                self.stage_restart(now)?;
                self.offer_restart(now, shared, mailbox);
            }
            FromPage::Close => self.stack.close(now),
        }
        self.settle(now, shared, mailbox)
    }

    /// Takes what the browser says of itself. `ours` is this side's part in DTLS if the browser
    /// leaves that to it.
    fn take_remote(
        &mut self,
        now: Timestamp,
        sdp: &str,
        ours: Setup,
        shared: &Shared,
    ) -> Result<(), Box<dyn Error>> {
        let remote = Remote::parse(sdp)?;
        self.stack.agent().set_remote(now, remote.parameters.clone())?;
        self.options = remote.parameters.options;
        let setup = *self.setup.get_or_insert(match remote.setup {
            Setup::Active => Setup::Passive,
            Setup::Passive => Setup::Active,
            Setup::ActPass => ours,
        });
        let active = setup == Setup::Active;
        self.stack.secure(now, &shared.identity, active, remote.fingerprint)?;
        self.mid = remote.mid;
        let stream = self.stack.stream();
        for candidate in &remote.candidates {
            if let Err(error) = self.stack.agent().add_remote_candidate(now, stream, candidate) {
                self.reporter.pass_over(&candidate.to_string(), error);
            }
        }
        if remote.end_of_candidates {
            let ufrag = remote.parameters.credentials.ufrag();
            self.stack.agent().end_of_remote_candidates(now, Some(ufrag));
        }
        Ok(())
    }

    fn take_candidate(
        &mut self,
        now: Timestamp,
        line: &str,
        ufrag: Option<&str>,
        mailbox: &mut Mailbox,
    ) -> Result<(), Box<dyn Error>> {
        if line.is_empty() {
            self.stack.agent().end_of_remote_candidates(now, ufrag);
            return Ok(());
        }
        let mut candidate: Candidate = match line.parse() {
            Ok(candidate) => candidate,
            // RFC 8839 §5.1: a kind that is not known is no error.
            Err(CandidateParseError::Unsupported(why)) => {
                mailbox.say(&ToPage::Note { text: &format!("passed over, {why}: {line}") });
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if let (Some(ufrag), None) = (ufrag, candidate.extension("ufrag")) {
            candidate.extensions.push(("ufrag".to_owned(), ufrag.to_owned()));
        }
        let stream = self.stack.stream();
        match self.stack.agent().add_remote_candidate(now, stream, &candidate) {
            Ok(_) => {}
            Err(error @ AddRemoteError::Closed) => return Err(error.into()),
            Err(error) => self.reporter.pass_over(line, error),
        }
        Ok(())
    }

    fn stage_restart(&mut self, now: Timestamp) -> Result<(), Box<dyn Error>> {
        if self.offered {
            return Err("the last offer is not answered yet".into());
        }
        self.stack.agent().prepare_restart(now)?;
        Ok(())
    }

    fn offer_restart(&mut self, now: Timestamp, shared: &Shared, mailbox: &mut Mailbox) {
        self.stack.agent().gather(now);
        self.due = Some(Describe::Offer);
        self.describe(now, shared, mailbox);
    }

    /// A restart because the addresses of this machine are others now.
    fn restart(
        &mut self,
        now: Timestamp,
        come: &[host::Host],
        events: &mut EventLoop,
        shared: &Shared,
        mailbox: &mut Mailbox,
    ) -> Result<(), Box<dyn Error>> {
        self.stage_restart(now)?;
        for &host in come {
            self.stack.add_address(events, host)?;
        }
        self.offer_restart(now, shared, mailbox);
        self.settle(now, shared, mailbox)
    }

    /// Sends the description that is due: with trickle signalling at once, and the candidates follow;
    /// else when all of them are known.
    fn describe(&mut self, now: Timestamp, shared: &Shared, mailbox: &mut Mailbox) {
        let agent = self.stack.agent();
        let complete = self.signalling == Signalling::Complete;
        if complete && agent.gathering_state() != GatheringState::Complete {
            return;
        }
        let Some(what) = self.due.take() else { return };
        let (mut parameters, candidates, end) = if complete {
            let description = agent.take_description(now);
            let candidates = description.candidates.into_iter().map(|(_, candidate)| candidate);
            (description.parameters, candidates.collect(), description.end_of_candidates)
        } else {
            (agent.local_parameters(), Vec::new(), false)
        };
        // An answer has only what the offer has.
        let said =
            |option: &&str| what == Describe::Offer || self.options.iter().any(|it| it == option);
        parameters.options.extend(EMBEDDING.iter().filter(|it| said(it)).map(ToString::to_string));
        self.ufrag = parameters.credentials.ufrag().to_owned();
        self.version = self.version.saturating_add(1);
        let sdp = Local {
            id: self.id,
            version: self.version,
            parameters: &parameters,
            candidates: &candidates,
            end_of_candidates: end,
            fingerprint: &shared.identity.fingerprint,
            setup: match what {
                Describe::Offer => Setup::ActPass,
                Describe::Answer => self.setup.unwrap_or(Setup::Active),
            },
            mid: &self.mid,
        }
        .write();
        match what {
            Describe::Offer => {
                self.offered = true;
                mailbox.say(&ToPage::Offer { sdp: &sdp });
            }
            Describe::Answer => mailbox.say(&ToPage::Answer { sdp: &sdp }),
        }
        for line in std::mem::take(&mut self.held) {
            self.say_candidate(line, mailbox);
        }
    }

    /// Tells the browser of a candidate: with trickle signalling, and after the description of its
    /// generation.
    fn say_candidate(&mut self, line: String, mailbox: &mut Mailbox) {
        if self.signalling == Signalling::Complete {
            return;
        }
        if self.version == 0 || self.due.is_some() {
            self.held.push(line);
            return;
        }
        let (candidate, mid, ufrag) = (line.as_str(), self.mid.as_str(), self.ufrag.as_str());
        mailbox.say(&ToPage::Candidate { candidate, mid, ufrag });
    }

    /// Polls the stack until there is no news.
    fn settle(
        &mut self,
        now: Timestamp,
        shared: &Shared,
        mailbox: &mut Mailbox,
    ) -> Result<(), Box<dyn Error>> {
        while let Some(news) = self.stack.poll(now) {
            self.reporter.touch();
            self.on_news(now, news, shared, mailbox)?;
        }
        Ok(())
    }

    fn on_news(
        &mut self,
        now: Timestamp,
        news: News,
        shared: &Shared,
        mailbox: &mut Mailbox,
    ) -> Result<(), Box<dyn Error>> {
        match news {
            News::Ice(event) => self.on_ice(now, event, shared, mailbox),
            News::Secure => {}
            News::Associated if self.opens => self.stack.open_channel(LABEL)?,
            News::Associated => {}
            // All that the application does.
            News::Channel(ChannelEvent::Message(channel, message)) => {
                self.stack.send(channel, &message)?;
            }
            News::Channel(ChannelEvent::Opened) => {}
            News::Channel(ChannelEvent::Closed(label)) => {
                mailbox.say(&ToPage::Note { text: &format!("the channel {label} is closed") });
            }
            News::Closed(reason) => mailbox.say(&ToPage::Closed { reason: &reason }),
        }
        Ok(())
    }

    fn on_ice(&mut self, now: Timestamp, event: Event, shared: &Shared, mailbox: &mut Mailbox) {
        match event {
            Event::LocalCandidate { candidate, .. } => {
                self.say_candidate(format!("candidate:{candidate}"), mailbox);
            }
            Event::GatheringState(GatheringState::Complete) => {
                self.describe(now, shared, mailbox);
                self.say_candidate(String::new(), mailbox);
            }
            Event::SelectedPair { .. } => (self.connected, self.lost) = (true, false),
            Event::RestartNeeded => self.lost = true,
            Event::CandidateError { failure, .. } => {
                crate::note(format_args!("a server: {failure}"));
            }
            // What has worked once may work again after a restart.
            Event::ConnectionState(ConnectionState::Failed) if !self.connected => {
                self.fail(now, "no path to the browser".to_owned(), mailbox);
            }
            _ => {}
        }
    }

    fn fail(&mut self, now: Timestamp, why: String, mailbox: &mut Mailbox) {
        if let News::Closed(reason) = self.stack.end(now, why) {
            mailbox.say(&ToPage::Closed { reason: &reason });
        }
    }
}
