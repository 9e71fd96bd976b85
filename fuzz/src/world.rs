//! Two agents in a simulated world under an arbitrary list of faults and calls.
//!
//! The world never finds that a driver's contract is broken, a clone of it has the same future,
//! and when the network heals and everything has come to rest, the agents agree: their selected
//! pairs mirror each other, or both have said that there are none, or one has asked for a restart.

mod end;
mod watch;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use frazil::sim::{
    AgentIndex, Datagram, Filtering, FirewallConfig, GatewayConfig, HostId, Link, LogDetail,
    Mapping, NatConfig, Probability, RealmId, Reporting, Signal, World,
};
use frazil::{
    ConnectionState, IceAgent, IcmpError, Limits, LocalAddress, Role, Route, Signalling, StreamId,
    Timestamp, Timing, TransmitError, Transport,
};

use super::OnPanic;
use super::pool::{self, Config};
use super::wire::{self, Message};

/// More than a case needs.
const STEPS: usize = 60;

/// The most virtual time that the steps may take together.
const STEPS_END: Timestamp = Timestamp::from_millis(300_000);

/// The most that the signalling of a side takes one way.
const MOST_SIGNALLING: Duration = Duration::from_millis(5_100);

/// The most delay, in units of 4 ms, with which that is so.
const MOST_CALM: u8 = 50;

#[derive(Arbitrary, Debug)]
struct Setup {
    seed: u8,
    agents: [Side; 2],
    link: LinkInput,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Side {
    config: Config,
    /// The sockets that it starts with, one at least, modulo 4. Divided by that, what is around it;
    /// see [`Place`].
    sockets: u8,
    signalling_delay: u8,
    /// It starts before the first step.
    started: bool,
}

/// Where a side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the internet.
    Open,
    /// Behind a firewall on its own host that lets in what was asked for.
    Guarded,
    /// Behind a NAT.
    Nat(Mapping, Filtering),
}

impl Side {
    fn place(self) -> Place {
        let (independent, dependent) =
            (Mapping::EndpointIndependent, Filtering::AddressAndPortDependent);
        match self.sockets / SOCKETS % 8 {
            4 => Place::Guarded,
            5 => Place::Nat(independent, Filtering::EndpointIndependent),
            6 => Place::Nat(independent, dependent),
            7 => Place::Nat(Mapping::AddressAndPortDependent, dependent),
            _ => Place::Open,
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct LinkInput {
    delay: u8,
    jitter: u8,
    loss: u8,
    duplication: u8,
    reordering: u8,
}

#[derive(Arbitrary, Debug)]
struct Step<'a> {
    /// What passes before it, in units of 4 ms or of 1 s.
    wait: u8,
    long: bool,
    side: bool,
    input: Input<'a>,
}

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    /// Nothing but the waiting.
    Wait,
    DefaultLink(LinkInput),
    /// From the side's first address or second one, to the other's.
    Link {
        from: u8,
        to: u8,
        link: LinkInput,
    },
    Block {
        from: u8,
        to: u8,
    },
    Unblock {
        from: u8,
        to: u8,
    },
    Clear,
    Start,
    AddSocket(u8),
    CloseSocket(u8),
    /// An address goes, and may come back.
    RemoveAddress(u8),
    AddAddress(u8),
    Send(&'a [u8]),
    Timing(u8),
    TransmitFailed {
        from: u8,
        to: u8,
        permitted: bool,
    },
    /// The next datagram on its way is lost, altered, or quoted by ICMP.
    Lose,
    Alter {
        at: u16,
        with: u8,
    },
    Icmp,
    /// Anybody sends anything.
    Inject {
        from: u8,
        to: u8,
        bytes: &'a [u8],
    },
    /// The other side sees a check of this one that claims a role.
    Conflict {
        to: u8,
        controlling: bool,
        tie_breaker: u8,
        nominates: bool,
    },
    EndOfCandidates,
    Close,
    Restart,
    /// A restart that is staged and, after some time, taken back before the peer has heard of it.
    StageAndRollBack(u8),
    Rebind {
        address: u8,
        port: u8,
    },
    /// By the position of a local candidate; its socket is closed.
    RemoveLocal(u8),
    Renominate(u8),
    /// What a mapping of the NAT is believed to be.
    AddReflexive(u8),
    RebootNat,
    CutOff,
    Reconnect,
    HostFirewall(u8),
    Crash,
    Revive,
    Reporting(bool),
}

pub fn run(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let Ok(setup) = Setup::arbitrary(&mut bytes) else { return };
    let _tell = OnPanic(|| tell(data));
    let mut bench = Bench::new(&setup);
    for _ in 0..STEPS {
        if bytes.is_empty() || bench.world.now() > STEPS_END {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut bytes) else { break };
        bench.step(&step);
    }
    bench.heal();
}

/// The input in words.
fn tell(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    println!("{:?}", Setup::arbitrary(&mut bytes));
    while !bytes.is_empty() {
        println!("{:?}", Step::arbitrary(&mut bytes));
    }
}

struct Bench {
    world: World,
    sides: [AgentIndex; 2],
    /// What was done to them that no healing of the network mends.
    tampered: bool,
    /// They believe what is not so, until a restart.
    misled: bool,
    /// Where sockets have moved to.
    rebound: BTreeSet<SocketAddr>,
    /// Nothing was done to them, and the network does not lose anything.
    calm: bool,
    /// What each was asked to send, and has sent.
    sent: [BTreeSet<Vec<u8>>; 2],
    /// What anybody may have sent.
    injected: BTreeSet<Vec<u8>>,
    asks_consent: [bool; 2],
    started: [bool; 2],
    places: [Place; 2],
    hosts: [HostId; 2],
    /// The realms of those behind a NAT.
    realms: [Option<RealmId>; 2],
    /// They take RFC 8445 by the letter where a session suffers from it.
    strict: bool,
    /// Their peer never hears that it has all their candidates.
    continual: [bool; 2],
    components: [u16; 2],
    /// Those that they start with.
    roles: [Role; 2],
}

impl Bench {
    fn new(setup: &Setup) -> Self {
        let mut world = World::new([setup.seed; 32]);
        world.set_log_detail(LogDetail::Full);
        world.network_mut().set_default_link(setup.link.link());
        let places = setup.agents.map(Side::place);
        let mut realms = [None; 2];
        let hosts = [0, 1].map(|side| {
            let network = world.network_mut();
            if let Place::Nat(mapping, filtering) = places[side] {
                let nat = NatConfig::new([outside(side)]);
                let nat = nat.with_mapping(mapping).with_filtering(filtering);
                let realm = network.add_realm(RealmId::INTERNET, GatewayConfig::nat(nat));
                realms[side] = realm.ok();
            }
            let realm = realms[side].unwrap_or(RealmId::INTERNET);
            let host = network.add_host_in(realm).expect("there is such a realm");
            if places[side] == Place::Guarded {
                network.set_host_firewall(host, Some(FirewallConfig::stateful()));
            }
            host
        });
        let mut on_hosts = hosts.into_iter();
        let sides = setup.agents.map(|side| {
            let mut config = side.config.build();
            config.components = config.components.clamp(1, 2);
            config.timing = timing_of(side.config.timing);
            // All at once, and never at an end: the world's driver would wait for ever.
            config.continual &= config.signalling == Signalling::Trickle;
            // What pairs, candidates, early checks and events are refused, no healing brings back.
            let replies = config.limits.replies;
            config.limits = Limits::default();
            config.limits.replies = replies;
            let host = on_hosts.next().expect("there are two");
            world.add_agent_on(host, config).expect("it can be made")
        });
        let asks_consent = setup.agents.map(|side| side.config.build().consent);
        let continual = setup.agents.map(|side| {
            let config = side.config.build();
            config.continual && config.signalling == Signalling::Trickle
        });
        let components = setup.agents.map(|side| side.config.build().components.clamp(1, 2));
        let strict = setup.agents.iter().any(|side| side.config.build().strict_nomination);
        let (tampered, started) = (false, [false; 2]);
        let mut bench = Self {
            world,
            sides,
            tampered,
            misled: false,
            rebound: BTreeSet::new(),
            calm: setup.link.loss == 0 && setup.link.delay <= MOST_CALM,
            sent: Default::default(),
            injected: BTreeSet::new(),
            asks_consent,
            started,
            places,
            hosts,
            realms,
            strict,
            continual,
            components,
            roles: setup.agents.map(|side| side.config.build().role),
        };
        for (side, input) in setup.agents.iter().enumerate() {
            for socket in 0..=input.sockets % SOCKETS {
                bench.add_socket(side, socket);
            }
            let delay = MOST_SIGNALLING * u32::from(input.signalling_delay) / 255;
            bench.world.set_signalling_delay(sides[side], delay).expect("there is such an agent");
        }
        bench.world.connect(sides[0], sides[1]).expect("there are such agents");
        for (side, input) in setup.agents.iter().enumerate() {
            if input.started {
                bench.start(side);
            }
        }
        bench
    }

    fn step(&mut self, step: &Step<'_>) {
        let unit = Duration::from_millis(if step.long { 1_000 } else { 4 });
        let until = self.world.now() + unit * u32::from(step.wait);
        self.world.run_until(until).expect("the contract holds");
        let side = usize::from(step.side);
        let agent = self.sides[side];
        self.calm &= matches!(step.input, Input::Wait | Input::Start | Input::Send(_));
        match step.input {
            Input::Wait => {}
            Input::DefaultLink(link) => self.world.network_mut().set_default_link(link.link()),
            Input::Link { from, to, link } => {
                let (from, to) = (self.seen(side, from), self.seen(1 - side, to));
                self.world.network_mut().set_link(from, to, link.link());
            }
            Input::Block { from, to } => {
                let (from, to) = (self.seen(side, from), self.seen(1 - side, to));
                self.world.network_mut().block(from, to);
            }
            Input::Unblock { from, to } => {
                let (from, to) = (self.seen(side, from), self.seen(1 - side, to));
                self.world.network_mut().unblock(from, to);
            }
            Input::Clear => self.world.network_mut().clear_rules(),
            Input::Start => self.start(side),
            Input::AddSocket(index) => self.add_socket(side, index),
            Input::CloseSocket(index) => {
                self.tampered |= self.world.close_socket(agent, component_of(socket(side, index)));
            }
            Input::RemoveAddress(index) => {
                let addr = socket(side, index).ip();
                self.world.network_mut().remove_host_address(self.hosts[side], addr);
            }
            Input::AddAddress(index) => self.restore(side, index),
            Input::Send(bytes) => {
                let stream = self.stream(side);
                if self.world.send(agent, stream, 1, bytes).is_ok() {
                    self.sent[side].insert(bytes.to_vec());
                }
            }
            Input::Timing(timing) => {
                let timing = timing_of(timing);
                self.call(side, |agent, now| {
                    agent.set_timing(now, timing.clone()).expect("it is sound");
                });
            }
            Input::TransmitFailed { from, to, permitted } => {
                let (local, remote) =
                    (component_of(socket(side, from)), component_of(socket(1 - side, to)));
                let error = if permitted {
                    TransmitError::Unreachable
                } else {
                    TransmitError::NotPermitted
                };
                let route = Route::Datagram { transport: Transport::Udp, local, remote };
                self.call(side, |agent, now| agent.transmit_failed(now, route, error));
            }
            Input::Lose => {
                if let Some(id) = self.world.network().next_underway() {
                    self.world.network_mut().remove(id);
                }
            }
            Input::Alter { at, with } => {
                if let Some(datagram) = self.next_datagram() {
                    if let Some(at) = usize::from(at).checked_rem(datagram.payload.len()) {
                        datagram.payload[at] ^= with;
                        let altered = datagram.payload.clone();
                        self.injected.insert(altered);
                    }
                }
            }
            Input::Icmp => self.icmp(),
            Input::Inject { from, to, bytes } => {
                let (from, to) =
                    (component_of(socket(side, from)), component_of(socket(1 - side, to)));
                self.injected.insert(bytes.to_vec());
                self.world.inject(Datagram::udp(from, to, bytes));
            }
            Input::Conflict { to, controlling, tie_breaker, nominates } => {
                self.conflict(side, to, controlling, tie_breaker, nominates);
            }
            Input::EndOfCandidates => {
                self.misled = true;
                self.call(side, |agent, now| agent.end_of_remote_candidates(now, None));
            }
            Input::Close => {
                self.tampered = true;
                self.call(side, IceAgent::close);
            }
            Input::Restart => self.restart(side),
            Input::StageAndRollBack(wait) => self.stage_and_roll_back(side, wait),
            Input::Rebind { address, port } => {
                let mut addr = socket(side, address);
                addr.set_port(2000 + u16::from(port % 8));
                // The peer may know the address as one of another component.
                self.misled |= !self.rebound.insert(addr);
                let _ = self.world.rebind(agent, addr);
            }
            Input::RemoveLocal(index) => {
                let local = self.agent(side).local_candidates().nth(index.into());
                if let Some(local) = local {
                    self.call(side, |agent, now| agent.remove_local(now, local.id).is_ok());
                    if self.agent(side).local_candidates().all(|other| other.base != local.addr) {
                        self.world.close_socket(agent, local.addr);
                    }
                }
            }
            Input::Renominate(index) => self.call(side, |agent, now| {
                let pair = agent.pairs().nth(index.into());
                let _ = pair.map(|pair| agent.renominate(now, pair.id));
            }),
            Input::AddReflexive(index) => {
                let base = component_of(socket(side, index));
                let mapped = SocketAddr::new(self.seen(side, index), base.port());
                let local = LocalAddress::reflexive(mapped, base, outside(1 - side));
                let stream = self.stream(side);
                self.call(side, |agent, now| agent.add_local(now, stream, 1, local).is_ok());
            }
            Input::RebootNat => {
                self.realms[side].map(|realm| self.world.network_mut().reboot_nat(realm));
            }
            Input::CutOff => {
                self.realms[side].map(|realm| self.world.network_mut().cut_off(realm));
            }
            Input::Reconnect => {
                self.realms[side].map(|realm| self.world.network_mut().reconnect(realm));
            }
            Input::HostFirewall(kind) => {
                let firewalls = [
                    None,
                    Some(FirewallConfig::stateful()),
                    Some(FirewallConfig::default().without_udp()),
                ];
                let firewall = firewalls[usize::from(kind) % 3].clone();
                self.world.network_mut().set_host_firewall(self.hosts[side], firewall);
            }
            Input::Crash => {
                self.world.network_mut().crash(self.hosts[side]);
            }
            Input::Revive => {
                self.world.network_mut().restart(self.hosts[side]).expect("nobody has its address");
            }
            Input::Reporting(all) => {
                let reporting = if all { Reporting::ALL } else { Reporting::default() };
                self.world.network_mut().set_reporting(reporting);
            }
        }
    }

    fn start(&mut self, side: usize) {
        self.started[side] = true;
        self.world.start(self.sides[side]).expect("the contract holds");
    }

    /// A restart, by a side that its peer has heard of.
    fn restart(&mut self, side: usize) {
        if self.started[side] {
            let _ = self.world.restart(self.sides[side]).expect("the contract holds");
        }
    }

    /// A side stages a restart and has second thoughts. When its peer restarts in the meantime that
    /// commits the stage, and the peer has to be told what it has become.
    fn stage_and_roll_back(&mut self, side: usize, wait: u8) {
        let agent = self.sides[side];
        let before = self.agent(side).local_parameters();
        if !self.started[side] {
            return;
        }
        let staged = self.world.call(agent, IceAgent::prepare_restart).expect("the contract holds");
        let Ok(staged) = staged else { return };
        if staged == before {
            // One was staged already, which the peer has been told of.
            return;
        }
        let until = self.world.now() + Duration::from_millis(u64::from(wait) * 4);
        self.world.run_until(until).expect("the contract holds");
        let taken_back =
            self.world.call(agent, IceAgent::rollback_restart).expect("the contract holds");
        if taken_back {
            let after = self.agent(side).local_parameters();
            assert_eq!(after.credentials, before.credentials);
        } else if self.agent(side).state() != ConnectionState::Closed {
            let now = self.world.now();
            self.world.signal(now, self.sides[1 - side], Signal::Parameters(staged));
            self.call(side, IceAgent::gather);
        }
    }

    fn agent(&self, side: usize) -> &IceAgent {
        self.world.agent(self.sides[side]).expect("there is such an agent")
    }

    fn stream(&self, side: usize) -> StreamId {
        self.agent(side).streams().next().expect("it has one")
    }

    /// An address of a side, as the internet sees it.
    fn seen(&self, side: usize, index: u8) -> IpAddr {
        let ip = socket(side, index).ip();
        if self.realms[side].is_some() && ip.is_ipv4() { outside(side) } else { ip }
    }

    fn call<R>(&mut self, side: usize, call: impl FnOnce(&mut IceAgent, Timestamp) -> R) {
        self.world.call(self.sides[side], call).expect("the contract holds");
    }

    /// A socket for each component, which the agent may refuse.
    fn add_socket(&mut self, side: usize, index: u8) {
        let agent = self.sides[side];
        let addr = socket(side, index);
        let Some(stream) = self.world.agent(agent).and_then(|agent| agent.streams().next()) else {
            return;
        };
        for component in 1..=2 {
            let addr = SocketAddr::new(addr.ip(), addr.port() + component);
            let _ = self.world.add_local(agent, stream, component, LocalAddress::udp(addr));
        }
    }

    fn restore(&mut self, side: usize, index: u8) {
        let _ = self.world.network_mut().add_address(self.hosts[side], socket(side, index).ip());
    }

    fn next_datagram(&mut self) -> Option<&mut Datagram> {
        let id = self.world.network().next_underway()?;
        self.world.network_mut().underway_mut(id)
    }

    /// The sender of the next datagram hears that it cannot get there.
    fn icmp(&mut self) {
        let Some(datagram) = self.next_datagram() else { return };
        let Datagram { from, to, payload, .. } = datagram.clone();
        let host = self.world.network().host_of(from.ip());
        if let Some(side) = (0..2).find(|&side| host == self.world.host(self.sides[side])) {
            self.call(side, |agent, now| {
                agent.handle_icmp(now, Transport::Udp, from, to, IcmpError::Hard, &payload);
            });
        }
    }

    /// An authentic check in the name of one side that claims whatever role.
    fn conflict(
        &mut self,
        side: usize,
        to: u8,
        controlling: bool,
        tie_breaker: u8,
        nominates: bool,
    ) {
        // The other side believes what this one does not know of.
        self.misled = true;
        let [ours, theirs] = [side, 1 - side].map(|side| {
            let agent = self.world.agent(self.sides[side]).expect("there is such an agent");
            agent.local_parameters().credentials
        });
        let mut message = Message::new(wire::REQUEST, [tie_breaker; 12]);
        message
            .attribute(wire::USERNAME, format!("{}:{}", theirs.ufrag(), ours.ufrag()).as_bytes());
        message.attribute(wire::PRIORITY, &0x6e00_00ff_u32.to_be_bytes());
        let role = if controlling { wire::ICE_CONTROLLING } else { wire::ICE_CONTROLLED };
        message.attribute(role, &(u64::from(tie_breaker) << 56).to_be_bytes());
        if nominates {
            message.attribute(wire::USE_CANDIDATE, &[]);
        }
        message.integrity(theirs.pwd());
        message.fingerprint();
        let (from, to) = (component_of(socket(side, 0)), component_of(socket(1 - side, to)));
        self.world.inject(Datagram::udp(from, to, message.bytes));
    }
}

impl LinkInput {
    fn link(self) -> Link {
        let milliseconds = |units: u8| Duration::from_millis(u64::from(units) * 4);
        let percent = |parts: u8| Probability::percent(u32::from(parts).min(100));
        Link::delayed(milliseconds(self.delay))
            .with_jitter(milliseconds(self.jitter))
            .with_loss(percent(self.loss))
            .with_duplication(percent(self.duplication))
            .with_reordering(percent(self.reordering), milliseconds(self.jitter))
    }
}

/// Nobody waits for the 45 days of the slowest timing. And only its peer's consent checks keep a
/// lite agent alive, which are up to 14.4 s apart.
fn timing_of(choice: u8) -> Timing {
    let mut timing = pool::timing(if choice % 4 == 3 { 0 } else { choice });
    timing.lite_timeout = Duration::from_secs(30);
    timing
}

/// The external address of a side's NAT.
fn outside(side: usize) -> IpAddr {
    IpAddr::from([192, 0, 2, side as u8 + 1])
}

/// The addresses of a side.
const SOCKETS: u8 = 4;

/// An address of a side, with the port before that of the first component.
fn socket(side: usize, index: u8) -> SocketAddr {
    let side = side + 1;
    let text = match index % SOCKETS {
        0 => format!("10.0.{side}.1:1000"),
        1 => format!("10.0.{side}.2:1000"),
        2 => format!("[2001:db8::{side}]:1000"),
        _ => format!("10.0.{side}.3:1000"),
    };
    text.parse().unwrap()
}

/// The socket of the first component at an address.
fn component_of(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip(), addr.port() + 1)
}
