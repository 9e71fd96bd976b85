//! Publishes and resolves names of multicast DNS on this machine's networks.
//!
//! ```text
//! mdns publish [--name NAME.local] [--bind ADDRESS]...    until standard input ends
//! mdns resolve NAME.local...       [--bind ADDRESS]...
//! ```
//!
//! `publish` prints `published NAME ADDRESS` for each address, `resolve` prints
//! `resolved NAME ADDRESS` or `failed NAME REASON` and fails unless all names were resolved.
//! Without `--bind`, all addresses of this machine are used but loopback ones. The sockets are in
//! `driver/multicast.rs`.
#![expect(clippy::disallowed_methods, reason = "an example owns the clock that the value lacks")]

#[path = "driver/event_loop.rs"]
mod event_loop;
#[path = "driver/host.rs"]
#[expect(dead_code, reason = "the interfaces are wanted here, with their prefixes")]
mod host;
#[path = "driver/multicast.rs"]
mod multicast;
#[path = "driver/seed.rs"]
#[expect(dead_code, reason = "this example has no --seed")]
mod seed;
#[path = "driver/socket.rs"]
#[expect(dead_code, reason = "there are the sockets of multicast DNS alone")]
mod socket;

use std::error::Error;
use std::io::{self, Read};
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use event_loop::EventLoop;
use frazil::{MdnsConfig, MdnsEvent, MdnsName, MdnsQueryId};
use lexopt::Arg::{Long, Value};
use lexopt::ValueExt;
use multicast::Multicast;

const USAGE: &str = "mdns publish [--name NAME] [--bind ADDRESS]..., or \
                     mdns resolve NAME... [--bind ADDRESS]...";

/// The value, its clock and its sockets.
struct Program {
    events: EventLoop,
    multicast: Multicast,
}

impl Program {
    /// Waits for something and takes it. Whether another thread has called.
    fn turn(&mut self) -> io::Result<bool> {
        self.multicast.transmit(self.events.now());
        self.events.wait(self.multicast.deadline())?;
        for token in self.events.ready() {
            self.multicast.note_ready(token);
        }
        while self.multicast.receive(self.events.now()) {}
        self.multicast.expire(self.events.now());
        Ok(self.events.is_woken())
    }

    fn publish(&mut self, fixed: Option<&MdnsName>) -> Result<(), Box<dyn Error>> {
        let links: Vec<_> = self.multicast.links().collect();
        let mut names = Vec::new();
        for (addr, link) in links {
            let name = fixed.cloned().unwrap_or_else(|| self.multicast.mdns.new_name());
            self.multicast.mdns.publish(self.events.now(), name.clone(), addr, link)?;
            println!("published {name} {addr}");
            names.push(name);
        }
        let entrance = self.events.entrance();
        thread::Builder::new().spawn(move || wake_at_end(&entrance))?;
        while !self.turn()? {}
        for name in names {
            self.multicast.mdns.unpublish(self.events.now(), &name);
        }
        self.multicast.transmit(self.events.now());
        Ok(())
    }

    /// Whether all were resolved.
    fn resolve(&mut self, names: &[String]) -> Result<bool, Box<dyn Error>> {
        let mut open: Vec<(MdnsQueryId, &str)> = Vec::new();
        for name in names {
            open.push((self.multicast.mdns.query(self.events.now(), name)?, name));
        }
        let mut all = true;
        while !open.is_empty() {
            while let Some(event) = self.multicast.mdns.poll_event() {
                let (query, result) = match event {
                    MdnsEvent::Resolved { query, addr, .. } => (query, Ok(addr)),
                    MdnsEvent::Failed { query, reason } => (query, Err(reason)),
                    _ => continue,
                };
                let Some(at) = open.iter().position(|(other, _)| *other == query) else { continue };
                let (_, name) = open.remove(at);
                match result {
                    Ok(addr) => println!("resolved {name} {addr}"),
                    Err(reason) => println!("failed {name} {reason:?}"),
                }
                all &= result.is_ok();
            }
            if !open.is_empty() {
                self.turn()?;
            }
        }
        Ok(all)
    }
}

fn wake_at_end(entrance: &Arc<event_loop::Entrance>) {
    io::stdin().read_to_end(&mut Vec::new()).ok();
    entrance.wake().ok();
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut args = lexopt::Parser::from_env();
    let (mut words, mut bind, mut fixed) = (Vec::new(), Vec::<IpAddr>::new(), None);
    while let Some(arg) = args.next()? {
        match arg {
            Long("bind") => bind.push(args.value()?.parse()?),
            Long("name") => fixed = Some(args.value()?.parse::<MdnsName>()?),
            Value(word) => words.push(word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let mut config = MdnsConfig::default();
    config.any_name = true;
    let events = EventLoop::new()?;
    let mut multicast = Multicast::new(config, seed::random().map_err(|error| error.to_string())?)?;
    for interface in if_addrs::get_if_addrs()? {
        let wanted =
            if bind.is_empty() { !interface.is_loopback() } else { bind.contains(&interface.ip()) };
        if wanted {
            multicast.join(&events.entrance(), interface)?;
        }
    }
    let mut program = Program { events, multicast };
    match words.split_first() {
        Some((word, [])) if word == "publish" => {
            program.publish(fixed.as_ref())?;
            Ok(ExitCode::SUCCESS)
        }
        Some((word, names)) if word == "resolve" && !names.is_empty() => {
            let all = program.resolve(names)?;
            Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        _ => Err(USAGE.into()),
    }
}
