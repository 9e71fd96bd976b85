//! A loop with `tokio`: one task that owns the agent and its sockets.
//!
//! `cargo run --example guide-tokio`
#![allow(clippy::disallowed_methods, reason = "a driver owns the sockets and the clock")]

#[path = "guide/machine.rs"]
mod machine;
#[path = "guide/session.rs"]
mod session;

use std::error::Error;
use std::future::{pending, poll_fn};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::task::Poll;

use frazil::{Received, Route, Timestamp, Transport};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use machine::{Channel, OtherSide};
use session::Session;

struct Driver {
    session: Session,
    sockets: Vec<(SocketAddr, UdpSocket)>,
    lines: UnboundedReceiver<Option<String>>,
    start: Instant,
}

/// What a wait has come to.
enum Input {
    Line(Option<String>),
    Datagram { local: SocketAddr, from: SocketAddr, len: usize },
    Gone { local: SocketAddr, error: io::Error },
    Deadline,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut driver, other_side) = Driver::new().await?;
    driver.run().await?;
    drop(driver); // hangs up
    other_side.join()
}

impl Driver {
    async fn new() -> Result<(Self, OtherSide), Box<dyn Error>> {
        let (sender, lines) = unbounded_channel();
        let channel = Channel::open()?;
        let role = channel.role;
        let (output, other_side) = channel.split(move |line| drop(sender.send(line)));

        let session = Session::new(role, machine::seed()?, output)?;
        let mut driver = Self { session, sockets: Vec::new(), lines, start: Instant::now() };
        let now = driver.now();
        for ip in machine::addresses()? {
            let socket = UdpSocket::bind((ip, 0)).await?;
            let local = socket.local_addr()?;
            driver.session.add_socket(now, local)?;
            driver.sockets.push((local, socket));
        }
        driver.session.describe(now);
        Ok((driver, other_side))
    }

    async fn run(&mut self) -> Result<(), Box<dyn Error>> {
        let mut incoming = vec![0; 65_535];
        self.drain()?;
        while !self.session.done {
            let input = self.wait(&mut incoming).await;
            let now = self.now();
            match input {
                Input::Line(line) => self.session.on_line(now, line)?,
                Input::Datagram { local, from, len } => {
                    let agent = &mut self.session.agent;
                    if let Received::Data { payload, .. } =
                        agent.handle_datagram(now, Transport::Udp, local, from, &incoming[..len])
                    {
                        self.session.on_data(now, payload);
                    }
                    self.sockets.rotate_left(1); // each has its turn
                }
                Input::Gone { local, error } => {
                    self.sockets.retain(|(at, _)| *at != local); // closes it
                    self.session.remove_socket(now, local, &error);
                }
                Input::Deadline => {}
            }
            self.session.agent.handle_timeout(now); // does nothing before its time
            self.drain()?;
        }
        let now = self.now();
        self.session.agent.close(now);
        self.drain()
    }

    /// The next input. Each of the three may be dropped half way and loses nothing by it. `select!`
    /// asks them in random order, so that none can starve the others.
    async fn wait(&mut self, incoming: &mut [u8]) -> Input {
        let deadline = self.session.deadline().map(|at| self.start + at.as_duration());
        let Self { sockets, lines, .. } = self;
        tokio::select! {
            line = lines.recv() => Input::Line(line.flatten()),
            datagram = receive(sockets, incoming) => datagram,
            () = sleep(deadline) => Input::Deadline,
        }
    }

    /// After every input: all that the agent wants to send and to say, then what the application
    /// wants to send. Nothing in here waits.
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
        // `try_send_to`, as waiting here would hold everything up. `WouldBlock` is a lost packet.
        if let Err(error) = socket.try_send_to(bytes, remote) {
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

async fn sleep(until: Option<Instant>) {
    match until {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// The next datagram of any socket.
async fn receive(sockets: &[(SocketAddr, UdpSocket)], incoming: &mut [u8]) -> Input {
    poll_fn(|context| {
        for (local, socket) in sockets {
            let mut buffer = ReadBuf::new(incoming);
            loop {
                match socket.poll_recv_from(context, &mut buffer) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(from)) => {
                        let len = buffer.filled().len();
                        return Poll::Ready(Input::Datagram { local: *local, from, len });
                    }
                    // News by ICMP of something that was sent before: go on.
                    Poll::Ready(Err(error))
                        if matches!(
                            error.kind(),
                            ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
                        ) => {}
                    Poll::Ready(Err(error)) => {
                        return Poll::Ready(Input::Gone { local: *local, error });
                    }
                }
            }
        }
        Poll::Pending
    })
    .await
}
