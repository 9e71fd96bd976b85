//! What the inputs of the agents choose from: few values, so that they meet each other, and the
//! awkward ones among them.

use std::net::SocketAddr;
use std::time::Duration;

use arbitrary::Arbitrary;
use frazil::{AgentConfig, Candidate, Limits, NominationMode, Role, Signalling, Timestamp, Timing};

/// Addresses that can be candidates, and behind them some that cannot.
const ADDRESSES: [&str; 16] = [
    "192.0.2.1:1000",
    "192.0.2.2:2000",
    "192.0.2.3:3000",
    "192.0.2.4:4000",
    "192.0.2.1:1001",
    "192.0.2.2:2001",
    "[2001:db8::1]:1000",
    "[2001:db8::2]:2000",
    "[fe80::1%3]:1000",
    "[fe80::2%3]:2000",
    "[::ffff:192.0.2.5]:5000",
    "127.0.0.1:1000",
    "192.0.2.9:0",
    "224.0.0.1:1000",
    "[::]:1000",
    "255.255.255.255:1000",
];

pub fn address(index: u8) -> SocketAddr {
    ADDRESSES[usize::from(index) % ADDRESSES.len()].parse().unwrap()
}

/// The configuration of an agent. Zeros are the defaults of a controlled one.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Config {
    flags: u8,
    pub timing: u8,
    limits: u8,
    components: u8,
}

impl Config {
    pub fn build(self) -> AgentConfig {
        let flag = |bit: u8| self.flags >> bit & 1 == 1;
        let role = if flag(0) { Role::Controlling } else { Role::Controlled };
        let mut config = AgentConfig::new(role);
        config.signalling = if flag(1) { Signalling::Complete } else { Signalling::Trickle };
        config.lite = flag(2);
        config.consent = !flag(3);
        config.loopback = flag(4);
        config.icmp = !flag(5);
        config.answer_unauthenticated = !flag(6);
        config.timing = timing(self.timing);
        if self.limits % 2 == 1 {
            config.limits = small_limits(self.limits >> 1);
        }
        if self.limits & 8 == 8 {
            config.limits.transactions = u16::from(self.limits >> 4) + 1;
        }
        config.components = [1, 2, 0, 5][usize::from(self.components % 4)];
        config.continual = flag(7);
        config.release_candidates = self.components & 16 == 16;
        config.nomination = match self.components >> 2 & 3 {
            0 => NominationMode::Regular,
            1 => NominationMode::Aggressive,
            automatic => NominationMode::Renomination { automatic: automatic == 3 },
        };
        config.trace = self.components & 64 == 64;
        config.statistics = self.components & 128 == 128;
        config.strict_nomination =
            self.components & 32 == 32 && config.nomination == NominationMode::Regular;
        config.tell_networks = self.components & 64 == 64;
        config.weigh_networks = config.tell_networks;
        config.embedding = self.components & 128 == 128;
        config
    }
}

/// The defaults, those of a device that sleeps, and the fastest and the slowest that are allowed.
pub fn timing(choice: u8) -> Timing {
    let mut timing = Timing::default();
    match choice % 4 {
        0 => {}
        1 => timing = Timing::power_saving(),
        2 => {
            timing.ta = Duration::from_millis(5);
            timing.transmissions = 1;
            timing.final_wait = 1;
            timing.nomination_wait = Duration::ZERO;
            timing.consent_timeout = Duration::from_secs(5);
            timing.disconnected_after = Duration::from_millis(500);
            timing.lite_timeout = Duration::from_secs(5);
        }
        _ => {
            timing.ta = Duration::from_millis(500);
            timing.rto = Duration::from_secs(60);
            timing.transmissions = 16;
            timing.final_wait = 64;
            timing.nomination_wait = Duration::from_secs(60);
            timing.consent_interval = Duration::from_secs(30);
            timing.disconnected_after = Duration::from_secs(60);
            timing.lite_timeout = Duration::from_secs(600);
            timing.keepalive = Duration::from_secs(600);
        }
    }
    timing.hedging = choice & 4 == 0;
    timing
}

fn small_limits(size: u8) -> Limits {
    let size = u16::from(size % 4) + 1;
    let mut limits = Limits::default();
    limits.pairs = size;
    limits.local_candidates = size + 1;
    limits.remote_candidates = size;
    limits.peer_reflexive_candidates = size - 1;
    limits.early_checks = size - 1;
    limits.streams = size;
    limits.replies = size;
    limits.unauthenticated_replies = size - 1;
    limits.events = size;
    limits.embedded_packets = size;
    limits.embedded_arrivals = size + 1;
    limits.embedded_size = 32 * size;
    limits
}

/// A point in time, seen from another one.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Time {
    Same,
    Deadline,
    BeforeDeadline,
    Micros(u16),
    Millis(u16),
    Seconds(u16),
    Back(u32),
    At(u64),
    End,
}

impl Time {
    pub fn after(self, now: Timestamp, deadline: Option<Timestamp>) -> Timestamp {
        let deadline = deadline.unwrap_or(now);
        match self {
            Self::Same => now,
            Self::Deadline => deadline,
            Self::BeforeDeadline => Timestamp::from_nanos(deadline.as_nanos().saturating_sub(1)),
            Self::Micros(micros) => now + Duration::from_micros(micros.into()),
            Self::Millis(millis) => now + Duration::from_millis(millis.into()),
            Self::Seconds(seconds) => now + Duration::from_secs(seconds.into()),
            Self::Back(nanos) => Timestamp::from_nanos(now.as_nanos().saturating_sub(nanos.into())),
            Self::At(nanos) => Timestamp::from_nanos(nanos),
            Self::End => Timestamp::MAX,
        }
    }
}

/// A candidate of the peer.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Remote {
    pub address: u8,
    component: u8,
    kind: u8,
    foundation: u8,
    priority: u16,
    generation: u8,
}

impl Remote {
    /// A good host candidate at an address.
    pub fn host(address: u8) -> Self {
        let priority = u16::MAX - u16::from(address);
        Self { address, component: 0, kind: 0, foundation: address, priority, generation: 0 }
    }

    /// `generations` are the username fragments that it may name.
    pub fn candidate(self, generations: [&str; 4]) -> Candidate {
        let addr = address(self.address);
        let kind = ["host", "srflx", "prflx", "relay"][usize::from(self.kind % 4)];
        let transport = if self.kind >= 128 { "tcp" } else { "udp" };
        let direction = ["so", "passive", "active"][usize::from(self.foundation / 8 % 3)];
        let line = format!(
            "{} {} {transport} {} {} {} typ {kind} tcptype {direction}",
            self.foundation % 8,
            u16::from(self.component % 4) + 1,
            (u32::from(self.priority) << 15).max(1),
            addr.ip(),
            addr.port().max(1),
        );
        let mut candidate: Candidate = line.parse().expect("it is one");
        candidate.address = frazil::CandidateAddress::Socket(addr);
        if let Some(ufrag) = generations.get(usize::from(self.generation).wrapping_sub(1)) {
            candidate.extensions.push(("ufrag".to_owned(), (*ufrag).to_owned()));
        }
        if self.foundation >= 128 {
            let cost = u32::from(self.foundation) * 8;
            for (name, value) in [("network-id", 1), ("network-cost", cost)] {
                candidate.extensions.push((name.to_owned(), value.to_string()));
            }
        }
        candidate
    }
}
