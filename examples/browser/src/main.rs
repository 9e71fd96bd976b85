//! A page on localhost, and the browser that opens it: connected by a WebRTC data channel whose ICE
//! is frazil's.
//!
//! One thread, one event loop, and every layer driven by timestamps: how they stand on one another is
//! in `stack.rs`, who signals what to whom in `session.rs`.
#![expect(clippy::disallowed_methods, reason = "an example owns the clock that the agent lacks")]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test that meets what it does not expect has failed"
    )
)]

mod channel;
mod clock;
#[cfg(test)]
mod cycles;
mod dcep;
#[allow(dead_code, unreachable_pub, reason = "shared with examples that do more with it")]
#[path = "../../driver/mod.rs"]
mod driver;
#[cfg(test)]
mod embedding;
mod http;
mod message;
mod options;
mod report;
mod sctp;
mod sdp;
mod session;
mod stack;
mod tls;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clock::Clock;
use driver::host::Host;
use driver::{DATAGRAM, EventLoop};
use frazil::Timestamp;
use http::{Request, Response, Server};
use message::FromPage;
use options::Options;
use session::{Session, Shared};
use tls::Identity;

/// The page, all of it.
const PAGE: &str = include_str!("page.html");

/// Pages at once.
const SESSIONS: usize = 32;

/// How often this machine's addresses are looked at.
const WATCH: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let done = match Options::parse() {
        Ok(Some(options)) => run(options),
        Ok(None) => io::stdout().write_all(options::help().as_bytes()).map_err(Into::into),
        Err(error) => {
            note(error);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(error);
            ExitCode::FAILURE
        }
    }
}

/// For people. Nobody may listen; then there is nobody to tell either.
fn note(what: impl fmt::Display) {
    writeln!(io::stderr(), "frazil-browser: {what}").ok();
}

fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let mut events = EventLoop::new()?;
    let server = Server::listen(options.page, &mut events)
        .map_err(|error| format!("{}: {error}", options.page))?;
    writeln!(io::stdout(), "http://{}/", server.local_addr()?)?;
    let hosts = options.addresses()?;
    let shared = Shared { identity: Identity::new()?, clock: Clock::of(&events), options };
    let watch = events.now() + WATCH;
    let (sessions, incoming) = (BTreeMap::new(), vec![0; DATAGRAM]);
    Program { events, server, shared, sessions, hosts, watch, incoming }.drive()
}

struct Program {
    events: EventLoop,
    server: Server,
    shared: Shared,
    /// By the name that the page gave itself.
    sessions: BTreeMap<String, Session>,
    /// The addresses that were there when it was looked last.
    hosts: Vec<Host>,
    /// When to look again.
    watch: Timestamp,
    /// The one buffer that everything is received in.
    incoming: Vec<u8>,
}

impl Program {
    /// Sleeps until there is something to do, and does it, for ever.
    fn drive(mut self) -> Result<(), Box<dyn Error>> {
        loop {
            let deadlines = self.sessions.values().filter_map(Session::deadline);
            let deadline = deadlines.fold(self.watch, Timestamp::min);
            self.events.wait(Some(deadline))?;
            for request in self.server.take_requests(&mut self.events) {
                self.answer(&request);
            }
            self.watch_addresses()?;
            for session in self.sessions.values_mut() {
                let driven = session.drive(&self.shared, &mut self.events, &mut self.incoming);
                if let Err(error) = driven {
                    session.complain(error.as_ref());
                }
                session.deliver(&mut self.server);
            }
            self.sessions.retain(|_, session| !session.is_over());
        }
    }

    fn answer(&mut self, request: &Request) {
        if request.cross_site {
            let refused = Response::text("403 Forbidden", "from another site");
            return self.server.respond(request.from, &refused);
        }
        let path: Vec<&str> = request.path.split('/').skip(1).collect();
        let response = match (request.method.as_str(), path.as_slice()) {
            ("GET", [""]) => Response {
                status: "200 OK",
                content_type: "text/html; charset=utf-8",
                body: PAGE.as_bytes().to_vec(),
            },
            ("GET", ["session", name, "events"]) => {
                // A page that comes back to a session that is over is told so by this.
                let returns = request.last_event.is_some();
                match self.session(name).filter(|(_, new)| !(*new && returns)) {
                    Some((session, _)) => {
                        session.attach(request.from, request.last_event);
                        return self.server.begin_stream(request.from);
                    }
                    None => Response::text("404 Not Found", "no such session"),
                }
            }
            ("POST", ["session", name]) => match self.signal(name, &request.body) {
                Ok(()) => Response::text("200 OK", "taken"),
                Err(error) => Response::text("400 Bad Request", &error.to_string()),
            },
            _ => Response::text("404 Not Found", "there is one page"),
        };
        self.server.respond(request.from, &response);
    }

    /// The session of that name, and whether it is a new one; `None` when there is no room for it.
    fn session(&mut self, name: &str) -> Option<(&mut Session, bool)> {
        let is_new = !self.sessions.contains_key(name);
        if is_new && self.sessions.len() >= SESSIONS {
            return None;
        }
        Some((self.sessions.entry(name.to_owned()).or_insert_with(Session::new), is_new))
    }

    /// Takes what a page says, one message after the other.
    fn signal(&mut self, name: &str, body: &[u8]) -> Result<(), Box<dyn Error>> {
        let messages: Vec<FromPage> = serde_json::from_slice(body)?;
        if self.session(name).is_none() {
            return Err("too many pages are open".into());
        }
        let Some(session) = self.sessions.get_mut(name) else { return Ok(()) };
        for message in messages {
            session.obey(message, &self.shared, &mut self.events)?;
        }
        Ok(())
    }

    /// Tells all sessions of addresses that have come and gone.
    fn watch_addresses(&mut self) -> Result<(), Box<dyn Error>> {
        let now = self.events.now();
        if now < self.watch {
            return Ok(());
        }
        self.watch = now + WATCH;
        let hosts = self.shared.options.addresses()?;
        let missing = |one: &[Host], other: &[Host]| -> Vec<Host> {
            one.iter().filter(|host| !other.contains(host)).copied().collect()
        };
        let (gone, come) = (missing(&self.hosts, &hosts), missing(&hosts, &self.hosts));
        if gone.is_empty() && come.is_empty() {
            return Ok(());
        }
        let gone: Vec<_> = gone.iter().map(|host| host.ip).collect();
        for session in self.sessions.values_mut() {
            let told = session.change_addresses(&gone, &come, &self.shared, &mut self.events);
            if let Err(error) = told {
                session.complain(error.as_ref());
            }
        }
        self.hosts = hosts;
        Ok(())
    }
}
