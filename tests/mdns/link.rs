//! A link in memory with hosts on it: multicast reaches all others, datagrams take a while, are
//! lost or overtake each other.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use frazil::{
    Mdns, MdnsArrival, MdnsConfig, MdnsEvent, MdnsLink, MdnsMessage, MdnsReceived, Timestamp,
};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

pub(crate) const LINK: MdnsLink = MdnsLink(3);
pub(crate) const PORT: u16 = 5353;

pub(crate) fn ms(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(crate) fn groups() -> [SocketAddr; 2] {
    ["224.0.0.251:5353".parse().unwrap(), "[ff02::fb]:5353".parse().unwrap()]
}

pub(crate) struct Host {
    pub(crate) mdns: Mdns,
    /// Its address in each family.
    pub(crate) addrs: [IpAddr; 2],
    pub(crate) events: Vec<(Timestamp, MdnsEvent)>,
}

/// A datagram that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) at: Timestamp,
    pub(crate) by: usize,
    pub(crate) to: SocketAddr,
    pub(crate) link: Option<MdnsLink>,
    pub(crate) message: MdnsMessage,
    pub(crate) bytes: Vec<u8>,
}

impl Sent {
    /// The top bit of the class of the only question.
    pub(crate) fn asks_for_unicast(&self) -> bool {
        self.bytes[self.bytes.len() - 2] & 0x80 != 0
    }
}

/// A datagram on its way.
struct Flying {
    host: usize,
    remote: SocketAddr,
    local: SocketAddr,
    bytes: Vec<u8>,
}

pub(crate) struct Stage {
    pub(crate) now: Timestamp,
    pub(crate) hosts: Vec<Host>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) received: Vec<(usize, MdnsReceived)>,
    /// In the order of arrival.
    flying: BTreeMap<(Timestamp, usize), Flying>,
    count: usize,
    rng: ChaCha12Rng,
    /// In percent.
    pub(crate) loss: u32,
    /// The delay is up to that.
    pub(crate) jitter: Duration,
}

impl Stage {
    pub(crate) fn new(hosts: usize, config: &MdnsConfig) -> Self {
        Self::seeded(hosts, config, 0)
    }

    pub(crate) fn seeded(hosts: usize, config: &MdnsConfig, seed: u8) -> Self {
        let host = |number: usize| {
            let number = u8::try_from(number).unwrap();
            let mut rest = [seed; 32];
            rest[0] = number;
            Host {
                mdns: Mdns::new(config.clone(), rest).unwrap(),
                addrs: [
                    [192, 0, 2, 1 + number].into(),
                    [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1 + u16::from(number)].into(),
                ],
                events: Vec::new(),
            }
        };
        Self {
            now: Timestamp::ZERO,
            hosts: (0..hosts).map(host).collect(),
            sent: Vec::new(),
            received: Vec::new(),
            flying: BTreeMap::new(),
            count: 0,
            rng: ChaCha12Rng::from_seed([seed; 32]),
            loss: 0,
            jitter: Duration::ZERO,
        }
    }

    /// The `Mdns` of a host.
    pub(crate) fn at(&mut self, host: usize) -> &mut Mdns {
        &mut self.hosts[host].mdns
    }

    /// A new name for an address of a host, published there.
    pub(crate) fn publish(&mut self, host: usize, family: usize) -> frazil::MdnsName {
        let (now, addr) = (self.now, self.hosts[host].addrs[family]);
        let name = self.at(host).new_name();
        self.at(host).publish(now, name.clone(), addr, LINK).unwrap();
        name
    }

    /// Runs until `end`: what is sent arrives a millisecond later, or `jitter` after that.
    pub(crate) fn run_until(&mut self, end: Timestamp) {
        loop {
            self.drain();
            let deadlines = self.hosts.iter().filter_map(|host| host.mdns.poll_timeout());
            let arrival = self.flying.keys().next().map(|(at, _)| *at);
            let Some(next) = deadlines.chain(arrival).min().filter(|at| *at <= end) else { break };
            // The honest clock: after a drain nothing is due.
            assert!(next > self.now, "{next:?} is not after {:?}", self.now);
            self.now = next;
            while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= next)
            {
                let Flying { host, remote, local, bytes } = entry.remove();
                let arrival = MdnsArrival::new(LINK, local, remote).on_link();
                let received = self.hosts[host].mdns.handle_datagram(next, arrival, &bytes);
                self.received.push((host, received));
            }
            for host in &mut self.hosts {
                host.mdns.handle_timeout(next);
            }
        }
        self.now = end;
    }

    fn drain(&mut self) {
        let mut buf = Vec::new();
        for by in 0..self.hosts.len() {
            while let Some(transmit) = self.hosts[by].mdns.poll_transmit(self.now, &mut buf) {
                let bytes = buf[transmit.range.clone()].to_vec();
                let (to, link, message) = (transmit.to, transmit.link, transmit.message);
                self.carry(by, to, &bytes);
                self.sent.push(Sent { at: self.now, by, to, link, message, bytes });
            }
            while let Some(event) = self.hosts[by].mdns.poll_event() {
                let now = self.now;
                self.hosts[by].events.push((now, event));
            }
        }
    }

    fn carry(&mut self, by: usize, to: SocketAddr, bytes: &[u8]) {
        let family = usize::from(to.is_ipv6());
        let from = SocketAddr::new(self.hosts[by].addrs[family], PORT);
        for host in 0..self.hosts.len() {
            let is_for =
                groups().contains(&to) && host != by || to.ip() == self.hosts[host].addrs[family];
            if !is_for || self.rng.next_u32() % 100 < self.loss {
                continue;
            }
            let jitter = u64::try_from(self.jitter.as_nanos()).unwrap();
            let late = if jitter == 0 { 0 } else { self.rng.next_u64() % jitter };
            let at = self.now + Duration::from_millis(1) + Duration::from_nanos(late);
            self.count += 1;
            let flying = Flying { host, remote: from, local: to, bytes: bytes.to_vec() };
            self.flying.insert((at, self.count), flying);
        }
    }
}
