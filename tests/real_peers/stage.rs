//! One agent and one scripted peer on a simulated network, in virtual time.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use frazil::sim::{Datagram, Link, Network, Probability};
use frazil::{
    AgentConfig, ConnectionState, Credentials, Event, IceAgent, Parameters, Received, SendError,
    Timestamp,
};

use super::hand::{Hand, Packet, host_priority};
use crate::common::{Bench, ICE_CONTROLLING, PEER_PWD, PEER_UFRAG, Sent, addr, ms};

/// Application data, recognisable in a trace.
pub(crate) const DATA: &[u8] = b"\x80data";

/// A peer: what it answers, and when it wants to act of its own accord.
pub(crate) trait Peer {
    /// A datagram of the agent has arrived at `datagram.to`.
    fn receive(&mut self, now: Timestamp, datagram: &Sent) -> Vec<Packet>;
    /// When [`act`](Self::act) is due.
    fn deadline(&self) -> Option<Timestamp>;
    /// The deadline has come; the next one must be later.
    fn act(&mut self, now: Timestamp) -> Vec<Packet>;
    /// The path on which it sends its data now: from its address to the agent's.
    fn path(&self) -> Option<(SocketAddr, SocketAddr)>;
    fn hand(&self) -> &Hand;
}

/// Where both sides are, and what lies between them.
#[derive(Clone, Debug)]
pub(crate) struct Topology {
    pub(crate) agent: Vec<&'static str>,
    pub(crate) peer: Vec<&'static str>,
    /// Of the peer's addresses, those that are signalled.
    pub(crate) signalled: usize,
    pub(crate) link: Link,
    /// How much longer the way to the peer's first address is than that to the others.
    pub(crate) detour: Duration,
    pub(crate) seed: u8,
}

impl Topology {
    /// One address on each side, 20 ms apart.
    pub(crate) fn simple() -> Self {
        Self {
            agent: vec![AGENT],
            peer: vec![PEER],
            signalled: 1,
            link: Link::delayed(Duration::from_millis(20)),
            detour: Duration::ZERO,
            seed: 1,
        }
    }

    /// One address of the agent and two of the peer, the first of which is better.
    pub(crate) fn two_paths() -> Self {
        Self { peer: vec![PEER, PEER_2], signalled: 2, ..Self::simple() }
    }

    /// The same, where the second path is valid before the first and better one.
    pub(crate) fn spare_path() -> Self {
        Self { detour: Duration::from_millis(45), ..Self::two_paths() }
    }

    /// What loses datagrams also delays, reorders and doubles some.
    pub(crate) fn with_loss(mut self, percent: u32, seed: u8) -> Self {
        if percent > 0 {
            self.link = self
                .link
                .with_loss(Probability::percent(percent))
                .with_jitter(Duration::from_millis(30))
                .with_duplication(Probability::percent(2));
        }
        self.seed = seed;
        self
    }
}

pub(crate) const AGENT: &str = "192.0.2.1:5000";
pub(crate) const PEER: &str = "198.51.100.1:6000";
pub(crate) const PEER_2: &str = "203.0.113.2:6002";

/// What is between no loss and much, and with which seeds.
pub(crate) fn weathers() -> impl Iterator<Item = (u32, u8)> {
    [(0, 1..=1), (5, 1..=4), (20, 1..=8)]
        .into_iter()
        .flat_map(|(loss, seeds)| seeds.map(move |seed| (loss, seed)))
        // Shown when a test fails.
        .inspect(|(loss, seed)| println!("loss {loss} %, seed {seed}"))
}

/// The agent, the peer and the network.
#[derive(Clone, Debug)]
pub(crate) struct Stage<P> {
    pub(crate) bench: Bench,
    pub(crate) network: Network,
    pub(crate) peer: P,
    /// Application data that the agent delivered: when, where, whence.
    pub(crate) data: Vec<(Timestamp, SocketAddr, SocketAddr)>,
    /// How much of what the agent has sent is on the network.
    forwarded: usize,
}

impl<P: Peer> Stage<P> {
    /// Everything signalled in both directions at time zero.
    pub(crate) fn new(
        config: AgentConfig,
        topology: &Topology,
        peer: impl FnOnce(&Bench) -> P,
    ) -> Self {
        Self::told(config, topology, Parameters::new, peer)
    }

    /// The same, with parameters of the peer that say more than its credentials.
    pub(crate) fn told(
        config: AgentConfig,
        topology: &Topology,
        parameters: impl FnOnce(Credentials) -> Parameters,
        peer: impl FnOnce(&Bench) -> P,
    ) -> Self {
        let mut stage = Self::unsignalled(config, topology, peer);
        stage.signal(parameters);
        stage
    }

    /// The peer has the agent's description, and the agent of the peer's only the candidates.
    pub(crate) fn unsignalled(
        config: AgentConfig,
        topology: &Topology,
        peer: impl FnOnce(&Bench) -> P,
    ) -> Self {
        let mut network = Network::new([topology.seed; 32]);
        network.set_default_link(topology.link);
        let first = addr(topology.peer[0]).ip();
        let mut link = topology.link;
        link.delay += topology.detour;
        for local in &topology.agent {
            let local = addr(local).ip();
            network.set_link(local, first, link);
            network.set_link(first, local, link);
        }
        for addresses in [&topology.agent, &topology.peer] {
            let host = network.add_host();
            for address in addresses {
                network.add_address(host, addr(address).ip()).unwrap();
            }
        }
        let mut bench = Bench::with(config.clone());
        bench.agent = IceAgent::new(config, [topology.seed; 32]).unwrap();
        for local in &topology.agent {
            bench.add_local(local);
        }
        bench.agent.gather(bench.now);
        bench.drain();
        for (index, remote) in topology.peer.iter().take(topology.signalled).enumerate() {
            bench.add_remote(remote, host_priority(index));
        }
        let peer = peer(&bench);
        Self { bench, network, peer, data: Vec::new(), forwarded: 0 }
    }

    /// The agent hears of the peer's parameters.
    pub(crate) fn signal(&mut self, parameters: impl FnOnce(Credentials) -> Parameters) {
        let credentials = Credentials::new(PEER_UFRAG, PEER_PWD).unwrap();
        self.bench.agent.set_remote(self.bench.now, parameters(credentials)).unwrap();
        self.bench.agent.end_of_remote_candidates(self.bench.now, None);
        self.drain();
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.bench.now
    }

    /// Lets everything happen that is due until `until`, in the order in which a real driver
    /// would see it.
    pub(crate) fn run_until(&mut self, until: Timestamp) {
        self.run_while(|_| true, until);
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        self.run_until(self.now() + time);
    }

    /// The same, but only as long as the condition holds. Whether it has ceased to hold.
    pub(crate) fn run_while(
        &mut self,
        condition: impl Fn(&Self) -> bool,
        until: Timestamp,
    ) -> bool {
        // Outputs that were left from a direct call.
        self.drain();
        while condition(self) {
            let agent = self.bench.agent.poll_timeout();
            let due = [self.network.next_arrival(), agent, self.peer.deadline()];
            let Some(next) = due.into_iter().flatten().min().filter(|&at| at <= until) else {
                self.bench.now = self.now().max(until);
                return false;
            };
            self.bench.now = next;
            while let Some(arrival) = self.network.receive(next) {
                self.deliver(arrival.datagram);
            }
            if agent.is_some_and(|at| at <= next) {
                self.bench.agent.handle_timeout(next);
                self.drain();
                let deadline = self.bench.agent.poll_timeout();
                let reason = self.bench.agent.timeout_reason();
                assert!(deadline.is_none_or(|at| at > next), "a driver would spin: {reason:?}");
            }
            if self.peer.deadline().is_some_and(|at| at <= next) {
                let packets = self.peer.act(next);
                self.send_all(packets);
                assert!(self.peer.deadline().is_none_or(|at| at > next), "the script spins");
            }
        }
        true
    }

    /// Runs until the agent has selected a pair; how long that took.
    pub(crate) fn run_until_selected(&mut self, within: Duration) -> Duration {
        let before = self.now();
        let selected = self.run_while(|stage| stage.selected().is_none(), before + within);
        assert!(
            selected,
            "no pair in {within:?}: {:?}",
            self.bench.agent.pairs().collect::<Vec<_>>()
        );
        self.now() - before
    }

    fn deliver(&mut self, datagram: Datagram) {
        let Datagram { from, to, payload, .. } = datagram;
        if self.bench.agent.local_candidates().any(|local| local.addr == to) {
            let received = self.bench.feed(&to.to_string(), &from.to_string(), &payload);
            if matches!(received, Received::Data { .. }) {
                self.data.push((self.now(), to, from));
            }
            self.forward();
        } else {
            let at = self.now();
            let packets =
                self.peer.receive(at, &Sent { at, from, to, dscp: datagram.dscp, bytes: payload });
            self.send_all(packets);
        }
    }

    /// Puts packets of the peer on the network.
    pub(crate) fn send_all(&mut self, packets: impl IntoIterator<Item = Packet>) {
        for Packet { from, to, bytes } in packets {
            self.network.send(self.bench.now, Datagram::udp(from, to, bytes));
        }
    }

    /// Takes everything out of the agent and puts it on the network.
    pub(crate) fn drain(&mut self) {
        self.bench.drain();
        self.forward();
    }

    /// What was sent since the last time goes on the network.
    fn forward(&mut self) {
        while let Some(sent) = self.bench.sent.get(self.forwarded).cloned() {
            self.forwarded += 1;
            self.network.send(self.bench.now, Datagram::udp(sent.from, sent.to, sent.bytes));
        }
    }

    /// What the agent has settled on: its own address and the peer's.
    pub(crate) fn selected(&self) -> Option<(SocketAddr, SocketAddr)> {
        let pair = self.bench.agent.selected_pair(self.bench.stream, 1)?;
        Some((pair.local.base, pair.remote.addr))
    }

    /// How often the agent has settled on a pair.
    pub(crate) fn selections(&self) -> usize {
        let selection = |(_, event): &&_| matches!(event, Event::SelectedPair { .. });
        self.bench.events.iter().filter(selection).count()
    }

    pub(crate) fn states(&self) -> Vec<ConnectionState> {
        let state = |(_, event): &(Timestamp, Event)| match event {
            Event::ConnectionState(state) => Some(*state),
            _ => None,
        };
        self.bench.events.iter().filter_map(state).collect()
    }

    /// The destinations of the agent's nominations. A pair that is asked for in several transactions
    /// is one nomination: there are at most five of them (decision 22).
    pub(crate) fn nominations(&self) -> Vec<SocketAddr> {
        let mut seen = BTreeSet::new();
        let requests = self.bench.sent.iter().filter(|sent| sent.is_request() && sent.nominates());
        let mut pairs: Vec<(SocketAddr, SocketAddr)> = Vec::new();
        let mut asked = 0;
        for sent in requests.filter(|sent| seen.insert(sent.id())) {
            if pairs.last() == Some(&(sent.from, sent.to)) {
                asked += 1;
                assert!(asked <= 5, "a nomination in {asked} transactions");
            } else {
                pairs.push((sent.from, sent.to));
                asked = 1;
            }
        }
        pairs.into_iter().map(|(_, to)| to).collect()
    }

    /// Sends one packet of the application; where from and where to.
    pub(crate) fn send(&mut self) -> Result<(SocketAddr, SocketAddr), SendError> {
        let (now, stream) = (self.now(), self.bench.stream);
        let outgoing = self.bench.agent.send(now, stream, 1, DATA)?;
        let frazil::Route::Datagram { local, remote, .. } = outgoing.route else {
            panic!("a stream in a UDP test")
        };
        self.network.send(now, Datagram::udp(local, remote, DATA));
        self.drain();
        Ok((local, remote))
    }

    /// Both sides send on the same path, and what each sends arrives at the other.
    pub(crate) fn assert_data_flows(&mut self) {
        let (from, to) = self.peer.path().expect("the peer has a path");
        let before = (self.peer.hand().data.len(), self.data.len());
        for _ in 0..30 {
            assert_eq!(self.send(), Ok((to, from)), "the peer uses another path");
            self.send_all([Packet { from, to, bytes: DATA.to_vec() }]);
            self.run_for(Duration::from_millis(5));
        }
        self.run_for(Duration::from_millis(500));
        let peers = self.peer.hand().data[before.0..].iter();
        let peers: Vec<_> = peers.map(|&(_, source, at)| (at, source)).collect();
        let agents: Vec<_> =
            self.data[before.1..].iter().map(|&(_, at, source)| (source, at)).collect();
        for arrived in [&peers, &agents] {
            assert!(arrived.len() >= 10, "{} of 30 packets", arrived.len());
            assert!(arrived.iter().all(|&path| path == (from, to)), "{arrived:?}");
        }
    }

    /// What holds in every session: requests keep 5 ms distance (RFC 8445 §14.2); new checks,
    /// before there can be consent checks, keep Ta; only a controlling agent nominates; and the
    /// agent's unauthenticated answers are none, since the peers know its password.
    pub(crate) fn assert_orderly(&self) {
        let requests: Vec<&Sent> =
            self.bench.sent.iter().filter(|sent| sent.is_request()).collect();
        for two in requests.windows(2) {
            let gap = two[1].at - two[0].at;
            assert!(gap >= Duration::from_millis(5), "{gap:?} at {:?}", two[1].at);
        }
        let mut seen = BTreeSet::new();
        let news = requests.iter().filter(|sent| seen.insert(sent.id()) && sent.at < ms(4_000));
        let news: Vec<Timestamp> = news.map(|sent| sent.at).collect();
        for two in news.windows(2) {
            let gap = two[1] - two[0];
            assert!(gap >= Duration::from_millis(50), "a new check after {gap:?} at {:?}", two[1]);
        }
        for sent in &requests {
            assert!(!sent.nominates() || sent.has(ICE_CONTROLLING), "a controlled agent nominates");
        }
    }

    /// Waits until both sides use the same path; how long that took.
    pub(crate) fn run_until_agreed(&mut self, within: Duration) -> Duration {
        let before = self.now();
        let differ = |stage: &Self| {
            let path = stage.peer.path();
            path.is_none() || path.map(|(from, to)| (to, from)) != stage.selected()
        };
        let agreed = self.run_while(differ, before + within);
        let (ours, theirs) = (self.selected(), self.peer.path());
        assert!(agreed, "ours {ours:?}, theirs {theirs:?}, states {:?}", self.states());
        self.now() - before
    }

    /// The path was never called dead.
    pub(crate) fn assert_never_disconnected(&self) {
        let dead = [ConnectionState::Disconnected, ConnectionState::Failed];
        let states = self.states();
        assert!(states.iter().all(|state| !dead.contains(state)), "{states:?}");
        let restart = |(_, event): &_| *event == Event::RestartNeeded;
        assert!(!self.bench.events.iter().any(restart));
    }

    /// The same for a path on which the peer says nothing of its own accord, so that only answers
    /// to the agent's own probes tell that it lives. With a loss of 20 % in each direction all
    /// probes of ten seconds may be lost; then the path has to come back.
    pub(crate) fn assert_alive(&self, loss: u32) {
        if loss < 20 {
            self.assert_never_disconnected();
        }
        assert_eq!(self.bench.agent.state(), ConnectionState::Completed);
        assert!(!self.states().contains(&ConnectionState::Failed));
        assert!(!self.bench.events.iter().any(|(_, event)| *event == Event::RestartNeeded));
    }
}
