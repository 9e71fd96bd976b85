//! The layers on one another: ICE, DTLS, SCTP, data channels.
//!
//! ```text
//!            Received::Data     plaintext         message
//!   sockets ──▶ frazil ──▶ DTLS ────────▶ SCTP ────────▶ channels ──▶ application
//!   sockets ◀── frazil ◀── DTLS ◀──────── SCTP ◀──────── channels ◀── application
//!               send        record         packet
//! ```
//!
//! None of them opens a socket, reads a clock or knows another one. Each is told the time with every
//! input, gives back what it wants the next one to have, and says when it has to be called again at
//! the latest. So the whole stack has the shape that each layer has: [`Stack::receive`],
//! [`Stack::expire`], [`Stack::poll`] until it returns `None`, [`Stack::deadline`].

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use frazil::replay::Recorder;
use frazil::{Event, IceAgent, Received, StreamId, Timestamp};

use crate::channel::{ChannelError, ChannelEvent, ChannelId, Channels, Message};
use crate::clock::Clock;
use crate::driver::gathering::GatheringFlags;
use crate::driver::host::Host;
use crate::driver::{COMPONENT, CloseError, Driver, EventLoop, OpenError, seed};
use crate::sctp::Sctp;
use crate::sdp::Fingerprint;
use crate::tls::{Identity, Record, Tls, TlsError};

/// How long the peer has to agree that a channel is closed, before all is closed around it.
const FAREWELL: Duration = Duration::from_millis(500);

/// Packets of a handshake that are kept until it can begin. No flight has more.
const EARLY: usize = 16;

/// What the application is told when the peer ends it.
const CLOSED_BY_BROWSER: &str = "closed by the browser";

/// One connection to one browser.
pub(crate) struct Stack {
    driver: Driver,
    stream: StreamId,
    tls: Option<Tls>,
    /// What has come in checks before the peer's description.
    early: Vec<Vec<u8>>,
    /// The newest flight of the handshake, as long as there is no way to send on.
    unsent: Vec<Vec<u8>>,
    sctp: Sctp,
    channels: Channels,
    clock: Clock,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// The channels are being closed, until then at the latest.
    Closing(Timestamp),
    Closed,
}

/// What the application learns.
#[derive(Debug)]
pub(crate) enum News {
    Ice(Event),
    /// The way to the peer is encrypted.
    Secure,
    /// SCTP is there: channels can be opened.
    Associated,
    Channel(ChannelEvent),
    /// It is over.
    Closed(String),
}

/// Why a stack came to its end.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("SCTP: {0}")]
    Sctp(String),
}

impl Stack {
    /// `None` for an agent without streams.
    pub(crate) fn new(agent: IceAgent, clock: Clock, events: &EventLoop) -> Option<Self> {
        let stream = agent.streams().next()?;
        Some(Self {
            driver: Driver::new(Recorder::without_log(agent), events),
            stream,
            tls: None,
            early: Vec::new(),
            unsent: Vec::new(),
            sctp: Sctp::new(clock),
            channels: Channels::default(),
            clock,
            phase: Phase::Open,
        })
    }

    /// Asks the servers of these flags, from the next gathering on.
    pub(crate) fn ask_servers(
        &mut self,
        now: Timestamp,
        flags: &GatheringFlags,
    ) -> Result<(), Box<dyn Error>> {
        self.driver.gather_by(now, flags, &seed::random()?)
    }

    /// Opens a socket on an address, and makes a candidate of it.
    pub(crate) fn add_address(
        &mut self,
        events: &mut EventLoop,
        host: Host,
    ) -> Result<(), OpenError> {
        self.driver.open(events, self.stream, host)
    }

    /// Gives an address up.
    pub(crate) fn remove_address(
        &mut self,
        events: &mut EventLoop,
        ip: IpAddr,
    ) -> Result<(), CloseError> {
        self.driver.close(events, ip)
    }

    /// DTLS begins inside the checks, and goes on where there is a way to send on. Before that the
    /// peer's certificate and which side is the client have to be known: from the descriptions.
    pub(crate) fn secure(
        &mut self,
        now: Timestamp,
        identity: &Identity,
        active: bool,
        expected: Fingerprint,
    ) -> Result<(), TlsError> {
        if self.tls.is_none() {
            let tls = self.tls.insert(Tls::new(identity, self.clock, now, active, expected)?);
            for packet in std::mem::take(&mut self.early) {
                tls.receive(now, &packet)?;
            }
        }
        Ok(())
    }

    pub(crate) fn open_channel(&mut self, label: &str) -> Result<(), ChannelError> {
        let is_client = self.tls.as_ref().is_some_and(Tls::is_active);
        let association = self.sctp.association().ok_or(ChannelError::Unknown)?;
        self.channels.open(association, is_client, label)
    }

    /// Begins SCTP, as a browser does.
    #[cfg(test)]
    pub(crate) fn associate(&mut self) {
        self.sctp.connect();
    }

    pub(crate) fn send(&mut self, to: ChannelId, message: &Message) -> Result<(), ChannelError> {
        let association = self.sctp.association().ok_or(ChannelError::Unknown)?;
        self.channels.send(association, to, message)
    }

    /// Closes from the top to the bottom: first the channels, then, when the peer has followed or
    /// has had its time, DTLS and ICE.
    pub(crate) fn close(&mut self, now: Timestamp) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing(now + FAREWELL);
            if let Some(association) = self.sctp.association() {
                self.channels.close_all(association);
            }
        }
    }

    pub(crate) fn note_ready(&mut self, events: &EventLoop) {
        self.driver.note_ready(events);
    }

    /// Takes one datagram from the sockets; false when there is none. [`poll`](Self::poll) has to
    /// be called after each.
    pub(crate) fn receive(&mut self, now: Timestamp, buffer: &mut [u8]) -> Result<bool, String> {
        match self.driver.receive(now, buffer) {
            None => Ok(false),
            Some(Received::Data { payload, .. }) => {
                if let Some(tls) = &mut self.tls {
                    tls.receive(now, payload).map_err(|error| error.to_string())?;
                }
                Ok(true)
            }
            Some(_) => Ok(true),
        }
    }

    /// Tells each layer whose deadline has come.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Result<(), String> {
        self.driver.expire(now);
        self.sctp.expire(now);
        // What rides in checks is repeated by them.
        let waits = self.phase != Phase::Closed && self.has_path();
        if let Some(tls) = self.tls.as_mut().filter(|_| waits) {
            tls.expire(now).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// When to come back at the latest: the earliest that any layer has asked for.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        if self.phase == Phase::Closed {
            return None;
        }
        let farewell = match self.phase {
            Phase::Closing(until) => Some(until),
            _ => None,
        };
        // What DTLS wants to send before there is a way to send on is asked for when there is one.
        let tls = self.tls.as_ref().filter(|_| self.has_path()).and_then(Tls::deadline);
        [self.driver.deadline(), tls, self.sctp.deadline(), farewell].into_iter().flatten().min()
    }

    /// Whether there is a way to send on, be it through a relay or in the frames of TCP, for which there
    /// is no `route`.
    fn has_path(&self) -> bool {
        self.driver.agent.max_payload(self.stream, COMPONENT).is_some()
    }

    /// Moves what each layer has for the next one, sends what is to be sent, and gives the news. To
    /// be called until it returns `None`.
    pub(crate) fn poll(&mut self, now: Timestamp) -> Option<News> {
        // Before the agent has its say: what DTLS has made rides in the checks that it sends now.
        match self.poll_handshake(now) {
            Ok(Some(news)) => return Some(news),
            Ok(None) => {}
            Err(fault) => return Some(self.end(now, fault.to_string())),
        }
        if let Some(event) = self.driver.poll(now) {
            let taken = self.take_embedded(now, &event);
            return Some(match taken {
                Ok(()) => News::Ice(event),
                Err(error) => self.end(now, error.to_string()),
            });
        }
        if self.phase == Phase::Closed {
            return None;
        }
        match self.poll_layers(now) {
            Ok(Some(news)) => return Some(news),
            Ok(None) => {}
            Err(fault) => return Some(self.end(now, fault.to_string())),
        }
        match self.phase {
            Phase::Closing(until) if until <= now || self.channels.is_empty() => {
                Some(self.end(now, "closed by the program".to_owned()))
            }
            _ => None,
        }
    }

    fn poll_layers(&mut self, now: Timestamp) -> Result<Option<News>, Fault> {
        if !self.has_path() {
            return Ok(None);
        }
        // From the bottom to the top, and back down with what that has made to send.
        if let Some(news) = self.poll_handshake(now)? {
            return Ok(Some(news));
        }
        while let Some(event) = self.sctp.poll_event() {
            if let Some(news) = self.on_sctp_event(now, event)? {
                return Ok(Some(news));
            }
        }
        if let Some(association) = self.sctp.association()
            && let Some(event) = self.channels.read(association)
        {
            return Ok(Some(News::Channel(event)));
        }
        while let Some(packets) = self.sctp.poll_transmit(now) {
            let Some(tls) = &mut self.tls else { break };
            // One packet after the other: DTLS keeps no long queue.
            for packet in packets {
                tls.send(&packet)?;
                Self::flush(&mut self.driver, self.stream, tls, now)?;
            }
        }
        Ok(None)
    }

    /// What has come in a check is for DTLS.
    fn take_embedded(&mut self, now: Timestamp, event: &Event) -> Result<(), TlsError> {
        let Event::Embedded { packet, .. } = event else { return Ok(()) };
        match &mut self.tls {
            Some(tls) => tls.receive(now, packet),
            None => {
                if self.early.len() < EARLY {
                    self.early.push(packet.clone());
                }
                Ok(())
            }
        }
    }

    /// What the handshake wants to send rides in checks. On the path it goes from when there is one.
    fn poll_handshake(&mut self, now: Timestamp) -> Result<Option<News>, Fault> {
        if self.phase == Phase::Closed {
            return Ok(None);
        }
        let news = self.poll_tls(now)?;
        if self.has_path() {
            for datagram in std::mem::take(&mut self.unsent) {
                send(&mut self.driver, self.stream, now, &datagram);
            }
        }
        Ok(news)
    }

    fn poll_tls(&mut self, now: Timestamp) -> Result<Option<News>, Fault> {
        let has_path = self.has_path();
        let Some(tls) = &mut self.tls else { return Ok(None) };
        let mut first = tls.version().is_none();
        let rides = first;
        while let Some(record) = tls.poll()? {
            match record {
                Record::Datagram(datagram) => {
                    if std::mem::take(&mut first) {
                        // A new flight answers the one before.
                        self.driver.agent.withdraw_embedded(now, self.stream, COMPONENT);
                        self.unsent.clear();
                    }
                    if rides {
                        // What does not ride in checks goes on the path alone.
                        self.driver.agent.embed(now, self.stream, COMPONENT, datagram).ok();
                    }
                    if has_path {
                        send(&mut self.driver, self.stream, now, datagram);
                    } else {
                        self.unsent.push(datagram.to_vec());
                    }
                }
                Record::Plaintext(packet) => self.sctp.receive(now, packet),
                Record::Connected => return Ok(Some(News::Secure)),
                Record::Closed => {
                    return Ok(Some(self.end(now, CLOSED_BY_BROWSER.to_owned())));
                }
            }
        }
        Ok(None)
    }

    /// Sends what DTLS has made of a packet.
    fn flush(
        driver: &mut Driver,
        stream: StreamId,
        tls: &mut Tls,
        now: Timestamp,
    ) -> Result<(), Fault> {
        while let Some(record) = tls.poll()? {
            // Nothing was received since it was polled last, so that there is nothing else.
            if let Record::Datagram(datagram) = record {
                send(driver, stream, now, datagram);
            }
        }
        Ok(())
    }

    fn on_sctp_event(
        &mut self,
        now: Timestamp,
        event: sctp_proto::Event,
    ) -> Result<Option<News>, Fault> {
        use sctp_proto::{AssociationError, Event};
        match event {
            Event::Connected => Ok(Some(News::Associated)),
            // How a browser closes: an ABORT, then the alert of DTLS.
            Event::AssociationLost {
                reason: AssociationError::AssociationClosed | AssociationError::ApplicationClosed,
            } => Ok(Some(self.end(now, CLOSED_BY_BROWSER.to_owned()))),
            Event::HandshakeFailed { reason } | Event::AssociationLost { reason } => {
                Err(Fault::Sctp(reason.to_string()))
            }
            Event::Stream(event) => {
                let Some(association) = self.sctp.association() else { return Ok(None) };
                Ok(self.channels.on_stream_event(association, event).map(News::Channel))
            }
            _ => Ok(None),
        }
    }

    /// Ends all layers at once.
    pub(crate) fn end(&mut self, now: Timestamp, reason: String) -> News {
        self.phase = Phase::Closed;
        if let Some(tls) = &mut self.tls {
            // The alert is the last that goes out; one that cannot go is not missed.
            if tls.close().is_ok() {
                Self::flush(&mut self.driver, self.stream, tls, now).ok();
            }
        }
        self.driver.agent.close(now);
        News::Closed(reason)
    }

    pub(crate) fn agent(&mut self) -> &mut Recorder {
        &mut self.driver.agent
    }

    pub(crate) const fn stream(&self) -> StreamId {
        self.stream
    }

    pub(crate) const fn driver(&self) -> &Driver {
        &self.driver
    }

    pub(crate) const fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    pub(crate) const fn sctp(&self) -> &Sctp {
        &self.sctp
    }

    pub(crate) const fn channels(&self) -> &Channels {
        &self.channels
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }
}

/// A record that cannot be sent is a lost packet, which DTLS and SCTP know how to live with.
fn send(driver: &mut Driver, stream: StreamId, now: Timestamp, datagram: &[u8]) {
    if let Err(crate::driver::DataError::Socket(error)) = driver.send(now, stream, datagram) {
        driver.unsent.count = driver.unsent.count.saturating_add(1);
        driver.unsent.last = Some(error);
    }
}
