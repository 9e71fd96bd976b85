//! Publishes and resolves names of multicast DNS on this machine's networks.
//!
//! ```text
//! mdns publish [--name NAME.local] [--bind ADDRESS]...    until standard input ends
//! mdns resolve NAME.local...       [--bind ADDRESS]...
//! ```
//!
//! `publish` prints `published NAME ADDRESS` for each address, `resolve` prints
//! `resolved NAME ADDRESS` or `failed NAME REASON` and fails unless all names were resolved.
//! Without `--bind`, all addresses of this machine are used but loopback ones.

#[path = "driver/seed.rs"]
#[expect(dead_code, reason = "this example has no --seed")]
mod seed;

use std::error::Error;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use frazil::{
    Mdns, MdnsArrival, MdnsConfig, MdnsEvent, MdnsLink, MdnsMessage, MdnsName, MdnsQueryId,
    Timestamp,
};
use if_addrs::{IfAddr, Interface};
use lexopt::Arg::{Long, Value};
use lexopt::ValueExt;
use socket2::{Domain, Protocol, Socket, Type};

const PORT: u16 = 5353;
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
/// RFC 6762 §11.
const HOPS: u32 = 255;

/// What the main thread hears of.
enum Input {
    Datagram(MdnsArrival, Vec<u8>),
    /// Standard input has ended.
    End,
}

/// An address of this machine, with a socket on port 5353 and one on a port of its own. Questions
/// leave from the latter, so that unicast answers reach us where a responder of the system has port
/// 5353 as well.
struct Port {
    interface: Interface,
    answering: UdpSocket,
    asking: UdpSocket,
}

impl Port {
    fn open(interface: Interface, input: &Sender<Input>) -> io::Result<Self> {
        // Who is bound to the group knows that what arrives was sent to it.
        let group = bind(&interface, group_of(&interface), PORT)?;
        let answering = bind(&interface, interface.ip(), PORT)?;
        let asking = bind(&interface, interface.ip(), 0)?;
        for socket in [&group, &answering, &asking] {
            listen(socket.try_clone()?, interface.clone(), input.clone())?;
        }
        Ok(Self { interface, answering, asking })
    }
}

fn index(interface: &Interface) -> u32 {
    interface.index.unwrap_or(0)
}

fn group_of(interface: &Interface) -> IpAddr {
    if interface.ip().is_ipv4() { GROUP_V4.into() } else { GROUP_V6.into() }
}

/// The socket address, in the scope of the interface where that is needed.
fn scoped(interface: &Interface, addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) if v6.ip().is_multicast() || v6.ip().is_unicast_link_local() => {
            SocketAddrV6::new(*v6.ip(), v6.port(), 0, index(interface)).into()
        }
        _ => addr,
    }
}

fn bind(interface: &Interface, ip: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let domain = if ip.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    match interface.ip() {
        IpAddr::V4(own) => {
            socket.set_multicast_ttl_v4(HOPS)?;
            socket.set_ttl_v4(HOPS)?;
            socket.set_multicast_if_v4(&own)?;
            if ip.is_multicast() {
                socket.join_multicast_v4(&GROUP_V4, &own)?;
            }
        }
        IpAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_multicast_hops_v6(HOPS)?;
            socket.set_unicast_hops_v6(HOPS)?;
            socket.set_multicast_if_v6(index(interface))?;
            if ip.is_multicast() {
                socket.join_multicast_v6(&GROUP_V6, index(interface))?;
            }
        }
    }
    socket.bind(&scoped(interface, SocketAddr::new(ip, port)).into())?;
    Ok(socket.into())
}

/// Reads a socket for as long as somebody listens.
fn listen(socket: UdpSocket, interface: Interface, input: Sender<Input>) -> io::Result<()> {
    let local = socket.local_addr()?;
    std::thread::Builder::new().spawn(move || {
        let mut buf = [0; 9001];
        while let Ok((len, remote)) = socket.recv_from(&mut buf) {
            let arrival = MdnsArrival::new(MdnsLink(index(&interface)), local, remote);
            let on_link = in_prefix(&interface.addr, remote.ip());
            let arrival = if on_link { arrival.on_link() } else { arrival };
            if input.send(Input::Datagram(arrival, buf[..len].to_vec())).is_err() {
                break;
            }
        }
    })?;
    Ok(())
}

/// RFC 6762 §11.
fn in_prefix(own: &IfAddr, other: IpAddr) -> bool {
    match (own, other) {
        (IfAddr::V4(own), IpAddr::V4(other)) => {
            (u32::from(own.ip) ^ u32::from(other)) & u32::from(own.netmask) == 0
        }
        (IfAddr::V6(own), IpAddr::V6(other)) => {
            (u128::from(own.ip) ^ u128::from(other)) & u128::from(own.netmask) == 0
        }
        _ => false,
    }
}

/// The value, its clock and its sockets.
struct Driver {
    mdns: Mdns,
    start: Instant,
    ports: Vec<Port>,
    input: Receiver<Input>,
}

impl Driver {
    fn now(&self) -> Timestamp {
        Timestamp::from_duration(self.start.elapsed())
    }

    /// Sends what is to be sent.
    fn drain(&mut self) {
        let mut buf = Vec::new();
        while let Some(transmit) = self.mdns.poll_transmit(self.now(), &mut buf) {
            for port in &self.ports {
                let link = MdnsLink(index(&port.interface));
                let is_same_family = port.interface.ip().is_ipv4() == transmit.to.is_ipv4();
                if !is_same_family || transmit.link.is_some_and(|other| other != link) {
                    continue;
                }
                let socket = match transmit.message {
                    MdnsMessage::Query => &port.asking,
                    MdnsMessage::Response => &port.answering,
                };
                let to = scoped(&port.interface, transmit.to);
                let _ = socket.send_to(&buf[transmit.range.clone()], to); // a failure is a loss
            }
            buf.clear();
        }
    }

    /// Waits for something and takes it. Whether there is more to come.
    fn turn(&mut self) -> bool {
        self.drain();
        let wait = self.mdns.poll_timeout().map_or(Duration::MAX, |at| at - self.now());
        let wait = wait.min(Duration::from_secs(3600));
        let now = || Timestamp::from_duration(self.start.elapsed());
        match self.input.recv_timeout(wait) {
            Ok(Input::Datagram(arrival, bytes)) => {
                self.mdns.handle_datagram(now(), arrival, &bytes);
            }
            Ok(Input::End) | Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => {}
        }
        self.mdns.handle_timeout(now());
        true
    }

    fn publish(&mut self, fixed: Option<&MdnsName>) -> Result<(), Box<dyn Error>> {
        let mut names = Vec::new();
        for at in 0..self.ports.len() {
            let interface = &self.ports[at].interface;
            let (addr, link) = (interface.ip(), MdnsLink(index(interface)));
            let name = fixed.cloned().unwrap_or_else(|| self.mdns.new_name());
            self.mdns.publish(self.now(), name.clone(), addr, link)?;
            println!("published {name} {addr}");
            names.push(name);
        }
        while self.turn() {}
        for name in names {
            self.mdns.unpublish(self.now(), &name);
        }
        self.drain();
        Ok(())
    }

    /// Whether all were resolved.
    fn resolve(&mut self, names: &[String]) -> Result<bool, Box<dyn Error>> {
        let mut open: Vec<(MdnsQueryId, &str)> = Vec::new();
        for name in names {
            open.push((self.mdns.query(self.now(), name)?, name));
        }
        let mut all = true;
        while !open.is_empty() {
            while let Some(event) = self.mdns.poll_event() {
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
                self.turn();
            }
        }
        Ok(all)
    }
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
    let (sender, input) = channel();
    let mut ports = Vec::new();
    for interface in if_addrs::get_if_addrs()? {
        let wanted =
            if bind.is_empty() { !interface.is_loopback() } else { bind.contains(&interface.ip()) };
        if wanted {
            ports.push(Port::open(interface, &sender)?);
        }
    }
    let mut config = MdnsConfig::default();
    config.ipv4 = ports.iter().any(|port| port.interface.ip().is_ipv4());
    config.ipv6 = ports.iter().any(|port| port.interface.ip().is_ipv6());
    config.any_name = true;
    let mdns = Mdns::new(config, seed::random().map_err(|error| error.to_string())?)?;
    #[expect(clippy::disallowed_methods, reason = "the driver has the clock")]
    let start = Instant::now();
    let mut driver = Driver { mdns, start, ports, input };
    match words.split_first() {
        Some((word, [])) if word == "publish" => {
            std::thread::Builder::new().spawn(move || {
                let _ = io::stdin().read_to_end(&mut Vec::new());
                let _ = sender.send(Input::End);
            })?;
            driver.publish(fixed.as_ref())?;
            Ok(ExitCode::SUCCESS)
        }
        Some((word, names)) if word == "resolve" && !names.is_empty() => {
            let all = driver.resolve(names)?;
            Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        _ => Err("mdns publish [--name NAME] [--bind ADDRESS]..., or mdns resolve NAME... [--bind ADDRESS]...".into()),
    }
}
