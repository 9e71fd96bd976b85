//! An ICE-lite server for many sessions on one UDP port and one TCP port, on all cores.
//!
//! It speaks the lines of the example `peer`, each with the name of its session in front. How the
//! load is shared:
//!
//! * Each core has a thread, and each thread a `Mux` and a socket of its own on the one port
//!   (SO_REUSEPORT). Threads share nothing but a directory of addresses.
//! * The kernel chooses among the sockets by the addresses of a packet, and knows nothing of
//!   sessions. So a check may arrive at any thread. The username fragments of a core's agents start
//!   with its number: whoever gets a check reads that, and hands it to the thread it names.
//! * Data names nobody. When a pair has been selected, which takes an authenticated check, its
//!   remote address is entered in the directory, and packets from there are handed over the same way.
//! * Answers leave from the socket of the thread that has the session.
//! * A TCP connection goes to the thread that its first check names, and stays there.
//!
//! The core of it is `sfu/core.rs`; connections are `sfu/streams.rs`.
#![expect(clippy::disallowed_methods, reason = "an example owns the clock, threads and sockets")]

#[path = "sfu/core.rs"]
mod core;
#[expect(dead_code, reason = "a server drives a `Mux`, and not an agent with its own sockets")]
mod driver;
#[path = "sfu/options.rs"]
mod options;
#[path = "peer/signalling.rs"]
mod signalling;
#[path = "sfu/streams.rs"]
mod streams;

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, BufRead, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use core::{Core, Directory, Order, Post};
use options::{HELP, Options};

/// How long the sessions outlive the end of the input, so that what was asked for last is done.
const GRACE: Duration = Duration::from_secs(1);
/// Connections that the system keeps until they are accepted.
const BACKLOG: i32 = 1024;

fn main() -> ExitCode {
    let done = match Options::parse() {
        Ok(Some(options)) => run(&options),
        Ok(None) => io::stdout().write_all(HELP.as_bytes()).map_err(Into::into),
        Err(error) => {
            writeln!(io::stderr(), "sfu: {error}").ok();
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "sfu: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let sockets = open(options)?;
    let local = sockets.first().ok_or("no core to run on")?.local_addr()?;
    say(format_args!("listening {local}"))?;
    let directory = Directory::default();
    let mut cores = Vec::new();
    let mut listeners = listen(options)?.into_iter();
    if let Some(listener) = listeners.as_slice().first() {
        say(format_args!("listening tcp {}", listener.local_addr()?))?;
    }
    for (number, socket) in sockets.into_iter().enumerate() {
        let listener = listeners.next();
        cores.push(Core::new(number, socket, listener, options, start, directory.clone())?);
    }
    let posts: Vec<Post> = cores.iter().map(Core::post).collect();
    let threads: Vec<_> = cores
        .into_iter()
        .map(|core| {
            let posts = posts.clone();
            thread::spawn(move || core.run(&posts))
        })
        .collect();
    read_lines(&posts)?;
    thread::sleep(GRACE);
    for post in &posts {
        post.send(Order::End);
    }
    for thread in threads {
        thread.join().map_err(|_| "a thread has ended early")??;
    }
    Ok(())
}

/// Brings each line to the core that has its session; a new session goes to the next core.
fn read_lines(posts: &[Post]) -> io::Result<()> {
    let mut homes: BTreeMap<String, usize> = BTreeMap::new();
    for line in io::stdin().lock().lines() {
        let line = match line {
            Ok(line) => line,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                say("error a line that is not UTF-8")?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let (session, rest) = line.split_once(' ').unwrap_or((&line, ""));
        if session.is_empty() {
            say("error a line without a session")?;
            continue;
        }
        let next = homes.len() % posts.len();
        let home = *homes.entry(session.to_owned()).or_insert(next);
        posts[home].send(Order::Line { session: session.to_owned(), line: rest.to_owned() });
    }
    Ok(())
}

/// One socket for each thread, all on the same port.
fn open(options: &Options) -> io::Result<Vec<UdpSocket>> {
    let addr = SocketAddr::new(options.bind, options.port);
    let sockets = bind(addr, socket2::Type::DGRAM, options.threads)?;
    Ok(sockets.into_iter().map(UdpSocket::from).collect())
}

/// The same for connections, if they are wanted.
fn listen(options: &Options) -> io::Result<Vec<TcpListener>> {
    let Some(port) = options.tcp_port else { return Ok(Vec::new()) };
    let addr = SocketAddr::new(options.bind, port);
    let sockets = bind(addr, socket2::Type::STREAM, options.threads)?;
    for socket in &sockets {
        socket.listen(BACKLOG)?;
    }
    Ok(sockets.into_iter().map(TcpListener::from).collect())
}

fn bind(
    mut addr: SocketAddr,
    kind: socket2::Type,
    count: usize,
) -> io::Result<Vec<socket2::Socket>> {
    let mut sockets = Vec::new();
    for _ in 0..count {
        let socket = socket2::Socket::new(socket2::Domain::for_address(addr), kind, None)?;
        socket.set_reuse_address(kind == socket2::Type::STREAM)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        // The first one may have got any port.
        addr = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        sockets.push(socket);
    }
    Ok(sockets)
}

/// One line of the protocol.
fn say(line: impl std::fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
