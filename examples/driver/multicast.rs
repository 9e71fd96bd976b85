//! The sockets of multicast DNS (RFC 6762), and the [`Mdns`] that they serve.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use frazil::{Mdns, MdnsArrival, MdnsConfig, MdnsConfigError, MdnsLink, MdnsMessage, Timestamp};
use if_addrs::{IfAddr, Interface};
use mio::Token;
use mio::net::UdpSocket;
use socket2::{Domain, Protocol, Type};

use super::event_loop::Entrance;
use super::socket::{Socket, with_scope};

const PORT: u16 = 5353;
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
/// RFC 6762 §11.
const HOPS: u32 = 255;
/// RFC 6762 §17 has 9000 at most; what is longer is to be seen as such.
const DATAGRAM: usize = 9001;

/// Names of this machine that are published, and names of others that are asked for.
pub(crate) struct Multicast {
    pub(crate) mdns: Mdns,
    ports: Vec<Port>,
    /// The port that was read last: each has its turn.
    turn: usize,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

/// An address of this machine, with sockets on port 5353 and one on a port of its own. Questions
/// leave from the latter, so that unicast answers reach us where a responder of the system has port
/// 5353 as well.
struct Port {
    interface: Interface,
    /// Who is bound to the group knows that what arrives was sent to it.
    group: Socket,
    answering: Socket,
    asking: Socket,
}

impl Multicast {
    /// With no addresses yet.
    pub(crate) fn new(config: MdnsConfig, seed: [u8; 32]) -> Result<Self, MdnsConfigError> {
        Ok(Self {
            mdns: Mdns::new(config, seed)?,
            ports: Vec::new(),
            turn: 0,
            incoming: vec![0; DATAGRAM],
            outgoing: Vec::new(),
        })
    }

    /// Asks and answers from an address as well, on its interface.
    pub(crate) fn join(&mut self, events: &Entrance, interface: Interface) -> io::Result<()> {
        self.ports.push(Port::open(events, interface)?);
        Ok(())
    }

    /// No longer.
    #[allow(dead_code, reason = "not every example loses an address")]
    pub(crate) fn leave(&mut self, ip: IpAddr) {
        // What is dropped leaves the event loop by itself.
        self.ports.retain(|port| port.interface.ip() != ip);
    }

    /// The interfaces that have the addresses.
    pub(crate) fn links(&self) -> impl Iterator<Item = (IpAddr, MdnsLink)> {
        self.ports.iter().map(|port| (port.interface.ip(), link(&port.interface)))
    }

    pub(crate) fn note_ready(&mut self, token: Token) {
        let sockets = self.ports.iter_mut().flat_map(Port::sockets);
        sockets.for_each(|socket| socket.note_ready(token));
    }

    /// Takes one datagram; whether there was one.
    pub(crate) fn receive(&mut self, now: Timestamp) -> bool {
        let Self { mdns, ports, turn, incoming, .. } = self;
        let count = ports.len();
        for _ in 0..count {
            *turn = turn.saturating_add(1).checked_rem(count).unwrap_or(0);
            let Some(port) = ports.get_mut(*turn) else { continue };
            let link = link(&port.interface);
            let interface = port.interface.addr.clone();
            for socket in port.sockets() {
                let Some((len, remote)) = socket.read(incoming) else { continue };
                let arrival = MdnsArrival::new(link, socket.local, remote);
                let on_link = in_prefix(&interface, remote.ip());
                let arrival = if on_link { arrival.on_link() } else { arrival };
                mdns.handle_datagram(now, arrival, incoming.get(..len).unwrap_or_default());
                return true;
            }
        }
        false
    }

    /// Sends what is to be sent. A failure is a loss, which questions survive.
    pub(crate) fn transmit(&mut self, now: Timestamp) {
        loop {
            self.outgoing.clear();
            let Some(transmit) = self.mdns.poll_transmit(now, &mut self.outgoing) else { break };
            let message = self.outgoing.get(transmit.range).unwrap_or_default();
            for port in &self.ports {
                let is_same_family = port.interface.ip().is_ipv4() == transmit.to.is_ipv4();
                let is_there = transmit.link.is_none_or(|wanted| wanted == link(&port.interface));
                if is_same_family && is_there {
                    let socket = match transmit.message {
                        MdnsMessage::Query => &port.asking,
                        MdnsMessage::Response => &port.answering,
                    };
                    socket.send(&[IoSlice::new(message)], transmit.to).ok();
                }
            }
        }
    }

    /// When the loop has to come back at the latest.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let left = self.ports.iter().any(Port::is_readable);
        if left { Some(Timestamp::ZERO) } else { self.mdns.poll_timeout() }
    }

    pub(crate) fn expire(&mut self, now: Timestamp) {
        if self.mdns.poll_timeout().is_some_and(|at| at <= now) {
            self.mdns.handle_timeout(now);
        }
    }
}

impl Port {
    fn open(events: &Entrance, interface: Interface) -> io::Result<Self> {
        let own = interface.ip();
        let group = if own.is_ipv4() { GROUP_V4.into() } else { GROUP_V6.into() };
        let socket = |ip, port| Socket::of(events, bind(&interface, ip, port)?, index(&interface));
        let (group, answering, asking) =
            (socket(group, PORT)?, socket(own, PORT)?, socket(own, 0)?);
        Ok(Self { interface, group, answering, asking })
    }

    fn sockets(&mut self) -> [&mut Socket; 3] {
        [&mut self.group, &mut self.answering, &mut self.asking]
    }

    fn is_readable(&self) -> bool {
        [&self.group, &self.answering, &self.asking].into_iter().any(Socket::is_readable)
    }
}

fn index(interface: &Interface) -> u32 {
    interface.index.unwrap_or(0)
}

fn link(interface: &Interface) -> MdnsLink {
    MdnsLink(index(interface))
}

fn bind(interface: &Interface, ip: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let domain = if ip.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // Others on this machine have the port as well.
    socket.set_reuse_address(true)?;
    match interface.ip() {
        IpAddr::V4(own) => {
            socket.set_multicast_ttl_v4(HOPS)?;
            socket.set_ttl_v4(HOPS)?;
            socket.set_multicast_if_v4(&own)?;
            if ip.is_multicast() {
                socket.join_multicast_v4(&GROUP_V4, &own)?;
                // What comes to the group by other interfaces is another socket's.
                #[cfg(target_os = "linux")]
                socket.set_multicast_all_v4(false)?;
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
    socket.bind(&with_scope(SocketAddr::new(ip, port), index(interface)).into())?;
    Ok(UdpSocket::from_std(socket.into()))
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
