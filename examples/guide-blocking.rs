//! A loop that blocks, with threads and channels of the standard library alone.
//!
//! A thread for each source of input waits for it and puts it into one channel. The loop owns the
//! agent and waits for that channel, until the deadline. Nothing is polled and nothing is shared.
//!
//! `cargo run --example guide-blocking`
#![allow(
    clippy::disallowed_methods,
    reason = "a driver owns the sockets, the threads and the clock"
)]

#[path = "guide/machine.rs"]
mod machine;
#[path = "guide/session.rs"]
mod session;

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use frazil::{Received, Route, Timestamp, Transport};

use machine::{Channel, OtherSide};
use session::Session;

/// How much may wait in front of the loop. When that is full the threads stop reading, and the system
/// drops what comes, as it does for any program that is too slow.
const WAITING: usize = 64;

/// What the threads bring.
enum Input {
    Datagram { local: SocketAddr, from: SocketAddr, bytes: Vec<u8> },
    Gone { local: SocketAddr, error: io::Error },
    Line(Option<String>),
}

struct Driver {
    session: Session,
    sockets: Vec<(SocketAddr, UdpSocket)>,
    inputs: Receiver<Input>,
    start: Instant,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut driver, other_side) = Driver::new()?;
    driver.run()?;
    drop(driver); // hangs up
    other_side.join()
}

impl Driver {
    fn new() -> Result<(Self, OtherSide), Box<dyn Error>> {
        let (sender, inputs) = sync_channel(WAITING);
        let channel = Channel::open()?;
        let role = channel.role;
        let lines = sender.clone();
        let (output, other_side) = channel.split(move |line| drop(lines.send(Input::Line(line))));

        let session = Session::new(role, machine::seed()?, output)?;
        let mut driver = Self { session, sockets: Vec::new(), inputs, start: Instant::now() };
        let now = driver.now();
        for ip in machine::addresses()? {
            let socket = UdpSocket::bind((ip, 0))?;
            let local = socket.local_addr()?;
            driver.session.add_socket(now, local)?;
            read_in_thread(socket.try_clone()?, local, sender.clone());
            driver.sockets.push((local, socket));
        }
        driver.session.describe(now);
        Ok((driver, other_side))
    }

    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        self.drain()?;
        while !self.session.done {
            if let Some(input) = self.wait()? {
                self.handle(input)?;
            }
            let now = self.now();
            self.session.agent.handle_timeout(now); // does nothing before its time
            self.drain()?;
        }
        let now = self.now();
        self.session.agent.close(now);
        self.drain()
    }

    /// The next input, or `None` when the deadline has come.
    fn wait(&self) -> Result<Option<Input>, Box<dyn Error>> {
        let Some(at) = self.session.deadline() else { return Ok(Some(self.inputs.recv()?)) };
        // Zero when the time has come: what waits in the channel is still taken.
        match self.inputs.recv_timeout(at - self.now()) {
            Ok(input) => Ok(Some(input)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn handle(&mut self, input: Input) -> Result<(), Box<dyn Error>> {
        let now = self.now();
        match input {
            Input::Line(line) => self.session.on_line(now, line),
            Input::Datagram { local, from, bytes } => {
                let agent = &mut self.session.agent;
                if let Received::Data { payload, .. } =
                    agent.handle_datagram(now, Transport::Udp, local, from, &bytes)
                {
                    self.session.on_data(now, payload);
                }
                Ok(())
            }
            Input::Gone { local, error } => {
                self.sockets.retain(|(at, _)| *at != local);
                self.session.remove_socket(now, local, &error);
                Ok(())
            }
        }
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
        let Some((_, socket)) = self.sockets.iter().find(|(at, _)| *at == local) else { return };
        if let Err(error) = socket.send_to(bytes, remote) {
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

/// Ends with the program, or when the loop is gone.
fn read_in_thread(socket: UdpSocket, local: SocketAddr, inputs: SyncSender<Input>) {
    thread::spawn(move || {
        let mut buffer = vec![0; 65_535];
        loop {
            match socket.recv_from(&mut buffer) {
                Ok((len, from)) => {
                    let bytes = buffer[..len].to_vec();
                    if inputs.send(Input::Datagram { local, from, bytes }).is_err() {
                        return;
                    }
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return drop(inputs.send(Input::Gone { local, error })),
            }
        }
    });
}

/// Errors of reading after which the next read may succeed: a signal, or news by ICMP of something
/// that was sent before.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Interrupted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}
