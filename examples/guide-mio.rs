//! A loop with `mio`: one thread that waits for all sockets at once.
//!
//! `cargo run --example guide-mio`
#![allow(clippy::disallowed_methods, reason = "a driver owns the sockets and the clock")]

#[path = "guide/machine.rs"]
mod machine;
#[path = "guide/session.rs"]
mod session;

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use frazil::{Received, Route, Timestamp, Transport};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};

use machine::{Channel, OtherSide};
use session::Session;

/// The token of the signalling. Sockets are counted from zero.
const SIGNALLING: Token = Token(usize::MAX);

/// What is read of one socket before the others and the timers have their turn.
const BATCH: usize = 64;

struct Socket {
    udp: UdpSocket,
    token: Token,
    local: SocketAddr,
    /// `mio` reports a socket once. It stays readable until a read has said `WouldBlock`.
    readable: bool,
}

struct Driver {
    session: Session,
    sockets: Vec<Socket>,
    lines: Receiver<Option<String>>,
    poll: Poll,
    /// Held here as well: with the last one goes what it has woken for and nobody has seen yet.
    _waker: Arc<Waker>,
    start: Instant,
    /// Room for the largest datagram: one that is cut short would be lost.
    incoming: Vec<u8>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut driver, other_side) = Driver::new()?;
    driver.run()?;
    drop(driver); // hangs up
    other_side.join()
}

impl Driver {
    fn new() -> Result<(Self, OtherSide), Box<dyn Error>> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), SIGNALLING)?);
        let held = Arc::clone(&waker);
        let (sender, lines) = channel();
        let channel = Channel::open()?;
        let role = channel.role;
        let (output, other_side) = channel.split(move |line| {
            drop(sender.send(line)); // first the line, then the call that says it is there
            drop(waker.wake());
        });

        let session = Session::new(role, machine::seed()?, output)?;
        let mut driver = Self {
            session,
            sockets: Vec::new(),
            lines,
            poll,
            _waker: held,
            start: Instant::now(),
            incoming: vec![0; 65_535],
        };
        let now = driver.now();
        for ip in machine::addresses()? {
            let mut udp = UdpSocket::bind(SocketAddr::new(ip, 0))?;
            let token = Token(driver.sockets.len());
            driver.poll.registry().register(&mut udp, token, Interest::READABLE)?;
            let local = udp.local_addr()?;
            driver.session.add_socket(now, local)?;
            driver.sockets.push(Socket { udp, token, local, readable: false });
        }
        driver.session.describe(now);
        Ok((driver, other_side))
    }

    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        let mut events = Events::with_capacity(64);
        self.drain()?;
        while !self.session.done {
            self.wait(&mut events)?;
            // The other thread may have sent several lines for one event.
            while let Ok(line) = self.lines.try_recv() {
                let now = self.now();
                self.session.on_line(now, line)?;
                self.drain()?;
            }
            // From the end, as one that is gone makes way to the last one.
            for place in (0..self.sockets.len()).rev() {
                self.read(place)?;
            }
            let now = self.now();
            self.session.agent.handle_timeout(now); // does nothing before its time
            self.drain()?;
        }
        let now = self.now();
        self.session.agent.close(now);
        self.drain()
    }

    /// Sleeps until something is there, or until the deadline.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let timeout = if self.sockets.iter().any(|socket| socket.readable) {
            Some(Duration::ZERO) // what a batch has left is not reported again
        } else {
            self.session.deadline().map(|at| at - self.now())
        };
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &*events {
            for socket in self.sockets.iter_mut().filter(|it| it.token == event.token()) {
                socket.readable = true;
            }
        }
        Ok(())
    }

    fn read(&mut self, place: usize) -> Result<(), Box<dyn Error>> {
        for _ in 0..BATCH {
            let now = self.now();
            let socket = &mut self.sockets[place];
            if !socket.readable {
                break;
            }
            match socket.udp.recv_from(&mut self.incoming) {
                Ok((len, from)) => {
                    let (local, datagram) = (socket.local, &self.incoming[..len]);
                    let agent = &mut self.session.agent;
                    if let Received::Data { payload, .. } =
                        agent.handle_datagram(now, Transport::Udp, local, from, datagram)
                    {
                        self.session.on_data(now, payload);
                    }
                    self.drain()?; // after each datagram, not after the batch
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => socket.readable = false,
                // A signal, or news by ICMP of something that was sent before: go on.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Interrupted
                            | ErrorKind::ConnectionReset
                            | ErrorKind::ConnectionRefused
                    ) => {}
                Err(error) => {
                    let gone = self.sockets.swap_remove(place); // closes it
                    self.session.remove_socket(now, gone.local, &error);
                    return self.drain();
                }
            }
        }
        Ok(())
    }

    /// After every input: all that the agent wants to send and to say, then what the application
    /// wants to send.
    fn drain(&mut self) -> Result<(), Box<dyn Error>> {
        let mut buffer = Vec::new();
        loop {
            let now = self.now();
            buffer.clear();
            if let Some(transmit) = self.session.agent.poll_transmit(now, &mut buffer) {
                self.send(transmit.route, &buffer[transmit.range]);
            } else if let Some(event) = self.session.agent.poll_event(now) {
                self.session.on_event(now, event)?; // may have made more to send
            } else if let Some(out) = self.session.poll_data(now) {
                // On a direct path the payload is alone, and could be sent without a copy.
                self.send(out.route, &[out.head(), out.payload(), out.padding()].concat());
            } else {
                return Ok(());
            }
        }
    }

    fn send(&mut self, route: Route, bytes: &[u8]) {
        // Streams come of servers and of TCP candidates, and there are none.
        let Route::Datagram { local, remote, .. } = route else { return };
        let Some(socket) = self.sockets.iter().find(|socket| socket.local == local) else { return };
        // `WouldBlock` means that the buffer of the system is full. That is a lost packet, and no
        // reason to wait for the socket to become writable.
        if let Err(error) = socket.udp.send_to(bytes, remote) {
            let now = self.now();
            if let Some(fact) = machine::fact_of(&error) {
                self.session.agent.transmit_failed(now, route, fact);
            }
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_duration(self.start.elapsed())
    }
}
