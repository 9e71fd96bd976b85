//! Any calls, messages and bytes to two values of multicast DNS, one of which may name the other's
//! addresses: nothing is revealed that is not published, what is sent is well-formed and bounded,
//! the clock is honest, and a twin and a clone do the same.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use frazil::{
    Mdns, MdnsArrival, MdnsConfig, MdnsEvent, MdnsLink, MdnsMessage, MdnsName, MdnsQueryId,
    Timestamp,
};
use simple_dns::rdata::RData;
use simple_dns::{Packet, PacketFlag};

/// Steps that are done.
const STEPS: usize = 64;
/// What one datagram may cause: answers to eight questions.
const ANSWERS: usize = 8;

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Setup {
    ipv4: bool,
    ipv6: bool,
    announce: bool,
    any_name: bool,
    /// Modulo 4: how tight the limits are.
    limits: u8,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Step<'a> {
    /// In units of 2^20 ns, about a millisecond.
    Wait(u16),
    Publish {
        name: u8,
        addr: u8,
        link: u8,
    },
    Unpublish(u8),
    Query(u8),
    QueryText(&'a str),
    Cancel(u8),
    Ask {
        from: From,
        name: u8,
        kind: u8,
        class: u16,
        known: Option<(u8, u8)>,
    },
    Answer {
        from: From,
        records: [Option<(u8, u8, u8)>; 3],
    },
    /// A question or an answer with a byte that is another one.
    Broken {
        from: From,
        answer: bool,
        name: u8,
        at: u8,
        byte: u8,
    },
    Bytes {
        from: From,
        bytes: &'a [u8],
    },
    Jump(u64),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct From {
    host: u8,
    port: u16,
    unicast: bool,
    on_link: bool,
}

impl From {
    fn arrival(self) -> MdnsArrival {
        let ip = addr(self.host);
        let port = if self.port < 0x8000 { 5353 } else { self.port };
        let local = match (self.unicast, ip) {
            (true, _) => "192.0.2.1:5353",
            (false, IpAddr::V4(_)) => "224.0.0.251:5353",
            (false, IpAddr::V6(_)) => "[ff02::fb]:5353",
        };
        let arrival =
            MdnsArrival::new(link(self.host), local.parse().unwrap(), SocketAddr::new(ip, port));
        if self.on_link { arrival.on_link() } else { arrival }
    }
}

fn name(number: u8) -> MdnsName {
    match number % 6 {
        5 => "camera.local".parse().unwrap(),
        number => MdnsName::from_random([number; 16]),
    }
}

fn addr(number: u8) -> IpAddr {
    match number {
        0..100 => [192, 0, 2, number].into(),
        100..200 => [0xfe80, 0, 0, 0, 0, 0, 0, number.into()].into(),
        200 => [127, 0, 0, 1].into(),
        201 => [0; 4].into(),
        202 => [224, 0, 0, 251].into(),
        _ => [0x2001, 0xdb8, 0, 0, 0, 0, 0, number.into()].into(),
    }
}

fn link(number: u8) -> MdnsLink {
    MdnsLink(u32::from(number / 32 % 2))
}

fn push_name(bytes: &mut Vec<u8>, name: &MdnsName) {
    for label in name.as_str().split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.bytes());
    }
    bytes.push(0);
}

fn push_record(bytes: &mut Vec<u8>, name: &MdnsName, addr: IpAddr, ttl: u8) {
    push_name(bytes, name);
    let (kind, data) = match addr {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (28, ip.octets().to_vec()),
    };
    bytes.extend([0, kind, 0x80, 1, 0, 0, 0, ttl, 0, u8::try_from(data.len()).unwrap()]);
    bytes.extend(data);
}

fn question(number: u8, kind: u8, class: u16, known: Option<(u8, u8)>) -> Vec<u8> {
    let mut bytes = vec![0, number, 0, 0, 0, 1, 0, u8::from(known.is_some()), 0, 0, 0, 0];
    push_name(&mut bytes, &name(number));
    bytes.extend([0, kind]);
    bytes.extend(class.to_be_bytes());
    if let Some((host, ttl)) = known {
        push_record(&mut bytes, &name(number), addr(host), ttl);
    }
    bytes
}

fn answer(records: &[(u8, u8, u8)]) -> Vec<u8> {
    let count = u8::try_from(records.len()).unwrap();
    let mut bytes = vec![0, 0, 0x84, 0, 0, 0, 0, count, 0, 0, 0, 0];
    for &(number, host, ttl) in records {
        push_record(&mut bytes, &name(number), addr(host), ttl);
    }
    bytes
}

/// A value, and what may be known of it.
#[derive(Clone)]
struct Subject {
    mdns: Mdns,
    now: Timestamp,
    queries: Vec<MdnsQueryId>,
    events: Vec<u32>,
    /// What is published, how often, and what was.
    published: BTreeMap<MdnsName, (IpAddr, MdnsLink, u32)>,
    past: Vec<(MdnsName, IpAddr, MdnsLink)>,
    /// All that came out.
    output: Vec<u8>,
}

impl Subject {
    fn new(setup: Setup) -> Option<Self> {
        let mut config = MdnsConfig::default();
        (config.ipv4, config.ipv6) = (setup.ipv4, setup.ipv6);
        (config.announce, config.any_name) = (setup.announce, setup.any_name);
        let tight = [None, Some(1), Some(2), Some(5)][usize::from(setup.limits % 4)];
        if let Some(tight) = tight {
            let limits = &mut config.limits;
            limits.names = u32::from(tight);
            (limits.queries, limits.answers, limits.query_rate) = (tight, tight, tight);
            (limits.answer_rate, limits.notice_rate) = (tight, tight);
        }
        let mdns = Mdns::new(config, [7; 32]);
        assert_eq!(mdns.is_ok(), setup.ipv4 || setup.ipv6);
        Some(Self {
            mdns: mdns.ok()?,
            now: Timestamp::ZERO,
            queries: Vec::new(),
            events: Vec::new(),
            published: BTreeMap::new(),
            past: Vec::new(),
            output: Vec::new(),
        })
    }

    fn step(&mut self, step: Step<'_>) {
        let mut is_datagram = true;
        match step {
            Step::Ask { from, name, kind, class, known } => {
                self.datagram(from, &question(name, kind, class, known));
            }
            Step::Answer { from, records } => {
                let records: Vec<_> = records.into_iter().flatten().collect();
                self.datagram(from, &answer(&records));
            }
            Step::Broken { from, answer: is_answer, name, at, byte } => {
                let mut bytes = if is_answer {
                    answer(&[(name, 3, 120)])
                } else {
                    question(name, 1, 0x8001, Some((3, 120)))
                };
                let len = bytes.len();
                bytes[usize::from(at) % len] = byte;
                self.datagram(from, &bytes);
            }
            Step::Bytes { from, bytes } => self.datagram(from, bytes),
            call => {
                is_datagram = false;
                self.call(call);
            }
        }
        self.mdns.handle_timeout(self.now);
        let sent = self.drain();
        // Questions and notices that have waited for time to pass come with any input.
        let limit = if is_datagram { ANSWERS } else { 2 * usize::from(u8::MAX) };
        assert!(sent <= limit, "{sent} datagrams");
    }

    fn call(&mut self, call: Step<'_>) {
        let now = self.now;
        match call {
            Step::Wait(units) => self.now = now + Duration::from_nanos(u64::from(units) << 20),
            Step::Jump(nanos) => self.now = now.max(Timestamp::from_nanos(nanos)),
            Step::Publish { name: number, addr: host, link: at } => {
                let (name, addr, link) = (name(number), addr(host), link(at));
                if self.mdns.publish(now, name.clone(), addr, link).is_ok() {
                    let entry = self.published.entry(name).or_insert((addr, link, 0));
                    assert_eq!((entry.0, entry.1), (addr, link));
                    entry.2 += 1;
                }
            }
            Step::Unpublish(number) => {
                let name = name(number);
                let known = self.mdns.unpublish(now, &name);
                assert_eq!(known, self.published.contains_key(&name));
                if let Some(entry) = self.published.get_mut(&name) {
                    entry.2 -= 1;
                    if entry.2 == 0 {
                        let (addr, link, _) = *entry;
                        self.published.remove(&name);
                        self.past.push((name, addr, link));
                    }
                }
            }
            Step::Query(number) => self.query(name(number).as_str()),
            Step::QueryText(text) => self.query(text),
            Step::Cancel(at) => {
                if !self.queries.is_empty() {
                    let at = usize::from(at) % self.queries.len();
                    let query = self.queries.swap_remove(at);
                    self.mdns.cancel(now, query);
                }
            }
            _ => unreachable!("datagrams are handled elsewhere"),
        }
    }

    fn query(&mut self, text: &str) {
        let result = self.mdns.query(self.now, text);
        if text.parse::<MdnsName>().is_err() {
            assert!(result.is_err());
        }
        self.queries.extend(result);
    }

    fn datagram(&mut self, from: From, bytes: &[u8]) {
        let received = self.mdns.handle_datagram(self.now, from.arrival(), bytes);
        self.output.extend(format!("{received:?}").bytes());
    }

    /// Takes everything that is there, and says how many datagrams it was.
    fn drain(&mut self) -> usize {
        let (mut buf, mut sent) = (Vec::new(), 0);
        while let Some(transmit) = self.mdns.poll_transmit(self.now, &mut buf) {
            sent += 1;
            assert!(sent < 10_000, "a drain without end");
            self.check(transmit.message, transmit.link, &buf[transmit.range]);
            self.output.extend(transmit.to.to_string().bytes());
        }
        self.output.extend(&buf);
        while let Some(event) = self.mdns.poll_event() {
            let (query, addr) = match event {
                MdnsEvent::Resolved { query, addr, .. } => (query, Some(addr)),
                MdnsEvent::Failed { query, .. } => (query, None),
                other => panic!("{other:?}"),
            };
            assert!(self.queries.contains(&query), "{query:?} has ended or was cancelled");
            self.queries.retain(|other| *other != query);
            self.events.push(query.get());
            self.output.extend(format!("{addr:?}").bytes());
        }
        let deadline = self.mdns.poll_timeout();
        assert!(deadline.is_none_or(|at| at > self.now), "{deadline:?} at {:?}", self.now);
        self.output.extend(format!("{deadline:?}").bytes());
        sent
    }

    /// One question without an answer, or an answer that may be told.
    fn check(&self, message: MdnsMessage, link: Option<MdnsLink>, bytes: &[u8]) {
        assert!(bytes.len() < 200);
        let packet = Packet::parse(bytes).expect("what is sent is well-formed");
        assert_eq!(packet.has_flags(PacketFlag::RESPONSE), message == MdnsMessage::Response);
        assert!(packet.name_servers.is_empty());
        if message == MdnsMessage::Query {
            assert_eq!((packet.questions.len(), packet.answers.len()), (1, 0));
            assert!(packet.additional_records.is_empty());
            return;
        }
        let [record] = &packet.answers[..] else { panic!("{packet:?}") };
        // To resolvers of multicast DNS: that there is no other record. A goodbye is no answer.
        let denies = packet.questions.is_empty() && record.ttl > 0;
        assert_eq!(packet.additional_records.len(), usize::from(denies));
        for other in &packet.additional_records {
            let RData::NSEC(denial) = &other.rdata else { panic!("{other:?}") };
            assert!(other.name == record.name && denial.next_name == record.name);
        }
        let name = record.name.to_string().to_ascii_lowercase();
        let addr: IpAddr = match &record.rdata {
            RData::A(a) => IpAddr::V4(a.address.into()),
            RData::AAAA(a) => IpAddr::V6(a.address.into()),
            other => panic!("{other:?}"),
        };
        let link = link.expect("an answer stays on its link");
        let is_published = self
            .published
            .iter()
            .any(|(other, (there, on, _))| other.as_str() == name && *there == addr && *on == link);
        let is_past = self
            .past
            .iter()
            .any(|(other, there, on)| other.as_str() == name && *there == addr && *on == link);
        assert!(if record.ttl == 0 { is_past } else { is_published }, "{name} is not published");
    }
}

/// A setup and steps, of which half are done by a clone as well.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(setup) = Setup::arbitrary(&mut input) else { return };
    let (Some(mut subject), Some(mut twin)) = (Subject::new(setup), Subject::new(setup)) else {
        return;
    };
    let mut steps = Vec::new();
    while let (Ok(step), true) = (Step::arbitrary(&mut input), steps.len() < STEPS) {
        if input.is_empty() {
            break;
        }
        steps.push(step);
    }
    let shown = (setup, steps.clone());
    let _shown = super::OnPanic(move || eprintln!("{shown:#?}"));
    let (first, second) = steps.split_at(steps.len() / 2);
    for &step in first {
        subject.step(step);
        twin.step(step);
    }
    let mut clone = subject.clone();
    for &step in second {
        subject.step(step);
        twin.step(step);
        clone.step(step);
    }
    assert!(subject.output == twin.output && subject.output == clone.output);

    // All queries end, and a value without queries wants nothing after a while.
    let end = subject.now.max(Timestamp::ZERO) + Duration::from_secs(60);
    for _ in 0..10_000 {
        let Some(at) = subject.mdns.poll_timeout().filter(|at| *at <= end) else { break };
        subject.now = at;
        subject.mdns.handle_timeout(at);
        subject.drain();
    }
    assert!(end == Timestamp::MAX || subject.queries.is_empty(), "{:?}", subject.queries);
    assert!(subject.mdns.poll_timeout().is_none_or(|at| at > end));
}
