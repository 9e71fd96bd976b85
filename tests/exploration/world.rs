//! The small worlds: who takes part, what the network may do to them, and what else happens.

use std::net::SocketAddr;
use std::time::Duration;

use frazil::{AgentConfig, Credentials, IceAgent, LocalAddress, NominationMode, Role, Timestamp};

/// What happens once at any moment of a world, beside packets, signals and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Act {
    /// The side begins a restart.
    Restart(usize),
    /// The side finds another address.
    AddLocal(usize),
    /// The side nominates the valid pair that is not selected.
    Renominate(usize),
    /// The path that the first side has selected is cut for good.
    Cut,
}

/// From where a world is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The candidates of both sides are known to both, nobody has sent anything.
    Signalled,
    /// Nothing has been signalled.
    Unsignalled,
    /// Both are Completed, by a run without faults.
    Completed,
}

/// A world to explore.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) name: String,
    pub(crate) configs: [AgentConfig; 2],
    pub(crate) seeds: [u8; 2],
    /// Addresses that each side begins with.
    pub(crate) addresses: [usize; 2],
    /// All addresses of a side are ports of one host, so that its candidates share a foundation.
    pub(crate) one_host: bool,
    /// The tie breakers that the sides begin with are equal.
    pub(crate) equal_ties: bool,
    /// Every signal comes by itself, not all of one moment together.
    pub(crate) trickle: bool,
    pub(crate) start: Start,
    pub(crate) acts: Vec<Act>,
    pub(crate) losses: u8,
    pub(crate) copies: u8,
    /// How long a datagram or a signal may be on its way.
    pub(crate) delay: Duration,
    /// How much virtual time is explored.
    pub(crate) horizon: Duration,
    /// How much longer it may take from there until both agree, without further faults.
    pub(crate) settles: Duration,
}

impl World {
    /// A controlling and a controlled agent, without consent and hedging.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            configs: [plain(Role::Controlling), plain(Role::Controlled)],
            seeds: [1, 2],
            addresses: [1, 1],
            one_host: false,
            equal_ties: false,
            trickle: false,
            start: Start::Signalled,
            acts: Vec::new(),
            losses: 1,
            copies: 1,
            delay: Duration::from_millis(60),
            horizon: Duration::from_millis(700),
            settles: Duration::from_secs(5),
        }
    }

    pub(crate) fn agent(&self, side: usize) -> IceAgent {
        let mut config = self.configs[side].clone();
        let (ufrag, pwd) =
            [("alice", "alicepasswordalicepassword"), ("bobby", "bobbypasswordbobbypassword")]
                [side];
        config.credentials = Some(Credentials::new(ufrag, pwd).unwrap());
        IceAgent::new(config, [self.seeds[side]; 32]).unwrap()
    }

    /// The `index`-th address of a component of a side.
    pub(crate) fn address(&self, side: usize, index: usize, component: u16) -> SocketAddr {
        let host = if self.one_host { 0 } else { index };
        let port = 1000 * (index + 1) + usize::from(component);
        format!("10.{}.{host}.1:{port}", side + 1).parse().unwrap()
    }

    pub(crate) fn add_local(
        &self,
        agent: &mut IceAgent,
        now: Timestamp,
        side: usize,
        index: usize,
    ) {
        let stream = agent.streams().next().unwrap();
        for component in 1..=self.configs[side].components {
            let local = LocalAddress::udp(self.address(side, index, component));
            agent.add_local(now, stream, component, local).unwrap();
        }
    }

    /// The pairs that there can be in one generation.
    pub(crate) fn most_pairs(&self) -> usize {
        let late = |side| self.acts.iter().filter(|act| **act == Act::AddLocal(side)).count();
        let components = usize::from(self.configs[0].components);
        (self.addresses[0] + late(0)) * (self.addresses[1] + late(1)) * components
    }

    pub(crate) fn named(mut self, which: &str) -> Self {
        self.name = format!("{}, {which}", self.name);
        self
    }

    pub(crate) fn roles(mut self, roles: [Role; 2], seeds: [u8; 2]) -> Self {
        self.configs[0].role = roles[0];
        self.configs[1].role = roles[1];
        self.seeds = seeds;
        self
    }

    pub(crate) fn addresses(mut self, addresses: [usize; 2]) -> Self {
        self.addresses = addresses;
        self
    }

    pub(crate) fn nomination(mut self, mode: NominationMode) -> Self {
        for config in &mut self.configs {
            config.nomination = mode;
        }
        self
    }

    pub(crate) fn components(mut self, components: u16) -> Self {
        for config in &mut self.configs {
            config.components = components;
        }
        self
    }

    pub(crate) fn one_host(mut self) -> Self {
        self.one_host = true;
        self
    }

    pub(crate) fn equal_ties(mut self) -> Self {
        self.equal_ties = true;
        self
    }

    pub(crate) fn trickle(mut self) -> Self {
        self.trickle = true;
        self
    }

    pub(crate) fn lite(mut self, side: usize) -> Self {
        self.configs[side].lite = true;
        self
    }

    pub(crate) fn consent(mut self) -> Self {
        for config in &mut self.configs {
            config.consent = true;
        }
        self
    }

    pub(crate) fn continual(mut self) -> Self {
        for config in &mut self.configs {
            config.continual = true;
        }
        self
    }

    pub(crate) fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    pub(crate) fn acts(mut self, acts: &[Act]) -> Self {
        self.acts = acts.to_vec();
        self
    }

    pub(crate) fn faults(mut self, losses: u8, copies: u8) -> Self {
        self.losses = losses;
        self.copies = copies;
        self
    }

    pub(crate) fn delay(mut self, millis: u64) -> Self {
        self.delay = Duration::from_millis(millis);
        self
    }

    pub(crate) fn horizon(mut self, millis: u64) -> Self {
        self.horizon = Duration::from_millis(millis);
        self
    }

    pub(crate) fn settles(mut self, millis: u64) -> Self {
        self.settles = Duration::from_millis(millis);
        self
    }
}

fn plain(role: Role) -> AgentConfig {
    let mut config = AgentConfig::new(role);
    config.consent = false;
    config.timing.hedging = false;
    config
}
