//! The peer of the agent: what it knows, and the messages that it makes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use frazil::{AgentConfig, Credentials, NominationMode, Role};

use super::super::pool::address;
use super::super::wire::{self, Message};
use super::input::{Answer, Check, INTACT, Tail};
use super::servers::Via;

/// A username fragment and a password.
pub type Pair = (&'static str, &'static str);

/// Those of the agent's peers: of one, of its other generations, and a mixture that is none.
pub const PEERS: [Pair; 5] = [
    ("peer", "peerpasswordpeerpassword"),
    ("other", "otherpasswordotherpassword"),
    ("third", "thirdpasswordthirdpassword"),
    ("fourth", "fourthpasswordfourthpassword"),
    ("peer", "otherpasswordotherpassword"),
];

const WRONG: &str = "wrongpasswordwrongpassword";

/// A message of the peer on its way to the agent.
pub struct Datagram {
    pub via: Via,
    pub to: SocketAddr,
    pub from: SocketAddr,
    pub bytes: Vec<u8>,
}

/// A request of the agent.
#[derive(Clone, Debug)]
pub struct Request {
    pub via: Via,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

/// What has become of a generation of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Staged,
    Current,
    /// The agent may still know it.
    Past,
    /// The agent has to have forgotten it.
    Forgotten,
}

/// A generation of the agent.
#[derive(Debug)]
pub struct Generation {
    pub local: Credentials,
    /// The peer's credentials, once the agent has them.
    pub remote: Option<Pair>,
    pub stage: Stage,
}

/// What the peer knows.
pub struct Peer {
    /// The generations of the agent, oldest first.
    pub generations: Vec<Generation>,
    /// The newest requests of the agent.
    pub requests: Vec<Request>,
    /// All its requests: their ids, with the generation of each.
    ids: BTreeMap<[u8; 12], usize>,
    /// The requests of the peer: their ids, with the generations that they were sent to.
    asked: BTreeMap<[u8; 12], BTreeSet<usize>>,
    /// The number of the newest requests that have not been answered.
    unanswered: usize,
    /// The peer has offered renomination.
    pub renominates: bool,
}

impl Peer {
    pub fn new(local: Credentials) -> Self {
        Self {
            generations: vec![Generation { local, remote: None, stage: Stage::Current }],
            requests: Vec::new(),
            ids: BTreeMap::new(),
            asked: BTreeMap::new(),
            unanswered: 0,
            renominates: false,
        }
    }

    fn at(&self, stage: Stage) -> Option<usize> {
        self.generations.iter().position(|generation| generation.stage == stage)
    }

    pub fn current(&self) -> &Generation {
        &self.generations[self.at(Stage::Current).expect("there is always one")]
    }

    pub fn staged(&self) -> Option<&Generation> {
        self.at(Stage::Staged).map(|at| &self.generations[at])
    }

    /// The credentials that the agent signals.
    pub fn newest(&self) -> &Credentials {
        &self.staged().unwrap_or_else(|| self.current()).local
    }

    /// The agent has new credentials, which it never had before.
    fn add(&mut self, local: Credentials, remote: Option<Pair>, stage: Stage) {
        for known in &self.generations {
            assert_ne!(known.local.ufrag(), local.ufrag());
            assert_ne!(known.local.pwd(), local.pwd());
        }
        self.generations.push(Generation { local, remote, stage });
    }

    /// The agent has staged a restart.
    pub fn stage(&mut self, local: Credentials) {
        match self.staged() {
            Some(staged) => assert_eq!(staged.local, local),
            None => self.add(local, None, Stage::Staged),
        }
    }

    pub fn roll_back(&mut self) -> bool {
        let staged = self.at(Stage::Staged);
        if let Some(at) = staged {
            self.generations[at].stage = Stage::Forgotten;
        }
        staged.is_some()
    }

    /// The agent has taken the peer's credentials, and has these ones now. Whether it was a restart.
    pub fn tell(&mut self, peer: Pair, local: Credentials) -> bool {
        let at = self.at(Stage::Current).expect("there is always one");
        let current = &mut self.generations[at];
        match current.remote {
            None => current.remote = Some(peer),
            Some(known) if known == peer => return false,
            Some(_) => {
                current.stage = Stage::Past;
                match self.at(Stage::Staged) {
                    Some(at) => {
                        let staged = &mut self.generations[at];
                        (staged.stage, staged.remote) = (Stage::Current, Some(peer));
                    }
                    None => self.add(local.clone(), Some(peer), Stage::Current),
                }
            }
        }
        assert_eq!(self.current().local, local);
        true
    }

    /// The time is over for which the agent may know of earlier generations.
    pub fn forget_past(&mut self) {
        for generation in &mut self.generations {
            if generation.stage == Stage::Past {
                generation.stage = Stage::Forgotten;
            }
        }
    }

    /// The generation that a request is addressed to.
    pub fn addressee(&self, bytes: &[u8]) -> Option<&Generation> {
        let attributes = wire::attributes(bytes);
        let (.., username) = attributes.iter().find(|(_, kind, _)| *kind == wire::USERNAME)?;
        self.generations.iter().find(|generation| {
            let ours = format!("{}:", generation.local.ufrag());
            username.starts_with(ours.as_bytes())
        })
    }

    /// Whose password an answer of the agent was sealed with, which has to be that of the generation
    /// that it answers; none if it was not sealed at all.
    fn answered_by(&self, message: &frazil::fuzzing::Message<'_>) -> Option<usize> {
        let mut sealed = self.generations.iter().enumerate().filter_map(|(at, generation)| {
            let (sha1, sha256) = message.verify(generation.local.pwd().as_bytes());
            assert!(!(sha1 && sha256), "sealed once");
            (sha1 || sha256).then_some(at)
        });
        let by = sealed.next()?;
        assert_eq!(sealed.next(), None);
        if let Some(asked) = self.asked.get(&message.id()) {
            assert!(asked.contains(&by), "{by} has not been asked");
        }
        assert_ne!(self.generations[by].stage, Stage::Forgotten);
        Some(by)
    }

    /// Looks at what the agent sends, which has to be as the protocol wants it.
    pub fn look(
        &mut self,
        config: &AgentConfig,
        via: Via,
        (local, remote): (SocketAddr, SocketAddr),
        bytes: &[u8],
    ) {
        let message = frazil::fuzzing::Message::scan(bytes).expect("it is well-formed");
        assert_eq!(message.fingerprint(), Some(true));
        assert!(bytes.len() <= 1200, "{} bytes fit no packet", bytes.len());
        match wire::kind(bytes) {
            Some(wire::REQUEST) => {
                assert!(!config.lite);
                let check = message.check().expect("it is a check");
                let username = check.username.expect("it has one");
                let at = self.generations.iter().position(|generation| {
                    let ours = format!(":{}", generation.local.ufrag());
                    username.ends_with(ours.as_bytes())
                });
                let at = at.expect("it is of a generation");
                let Generation { local: ours, remote: theirs, stage } = &self.generations[at];
                assert!(matches!(stage, Stage::Current | Stage::Past), "{stage:?}");
                let (ufrag, pwd) = theirs.expect("checks need the peer's parameters");
                assert!(message.verify(pwd.as_bytes()).0);
                assert_eq!(username, format!("{ufrag}:{}", ours.ufrag()).as_bytes());
                if *stage == Stage::Past {
                    assert!(!check.use_candidate && check.nomination.is_none());
                }
                if let Some(value) = check.nomination {
                    assert!(
                        matches!(config.nomination, NominationMode::Renomination { .. })
                            && self.renominates
                    );
                    assert!(value > 0 && value < 1 << 24);
                }
                assert_eq!(check.network.is_some(), config.tell_networks);
                assert!(check.priority.is_some_and(|priority| priority > 0));
                assert!(check.role.is_some_and(|(_, tie_breaker)| tie_breaker > 0));
                self.ids.insert(message.id(), at);
                let (from, to, bytes) = (local, remote, bytes.to_vec());
                self.requests.push(Request { via, from, to, bytes });
                self.unanswered += 1;
                if self.requests.len() > 64 {
                    self.requests.remove(0);
                    self.unanswered = self.unanswered.min(64);
                }
            }
            Some(wire::SUCCESS) => {
                assert!(self.answered_by(&message).is_some());
                assert_eq!(message.xor_mapped_address(), Some(plain(remote)));
            }
            Some(wire::ERROR) => {
                let code = message.error().expect("it is an error").code;
                let sealed = self.answered_by(&message).is_some();
                assert!(matches!((code, sealed), (400 | 401, _) | (420 | 487, true)));
            }
            Some(wire::INDICATION) => assert_eq!(message.attributes().count(), 0),
            kind => panic!("{kind:?} is no message of an agent"),
        }
    }

    /// Whether an agent may let itself be changed by a datagram: it is sealed with the password
    /// that its kind asks for, and is a request to the agent or the response to one of its own.
    pub fn may_matter(&self, bytes: &[u8]) -> bool {
        let id = wire::id(bytes);
        match wire::kind(bytes) {
            Some(wire::REQUEST) => self.addressee(bytes).is_some_and(|generation| {
                generation.stage != Stage::Forgotten
                    && wire::may_be_authentic(bytes, generation.local.pwd())
            }),
            Some(wire::SUCCESS | wire::ERROR) => {
                let asked = id.and_then(|id| self.generations.get(*self.ids.get(&id)?));
                asked.is_some_and(|generation| {
                    generation.stage != Stage::Forgotten
                        && generation
                            .remote
                            .is_some_and(|(_, pwd)| wire::may_be_authentic(bytes, pwd))
                })
            }
            _ => false,
        }
    }

    pub fn check(&mut self, input: &Check<'_>, agent: Role) -> Datagram {
        let mut message = Message::new(wire::REQUEST, [input.id; 12]);
        let at = self.addressed(input.username / 6);
        let Generation { local, remote, .. } = &self.generations[at];
        let (ours, sender) = (local.ufrag(), remote.map_or(PEERS[0].0, |(ufrag, _)| ufrag));
        self.asked.entry([input.id; 12]).or_default().insert(at);
        let username = match input.username % 6 {
            1 => Some(format!("{ours}:{}", PEERS[1].0)),
            2 => Some(format!("{sender}:{ours}")),
            3 => Some(ours.to_owned()),
            4 => Some(format!("{ours}:")),
            5 => None,
            _ => Some(format!("{ours}:{sender}")),
        };
        if let Some(username) = username {
            message.attribute(wire::USERNAME, username.as_bytes());
        }
        if let Some(priority) = input.priority {
            message.attribute(wire::PRIORITY, &priority.to_be_bytes());
        }
        let tie_breaker = match input.tie_breaker {
            0 => 1,
            255 => u64::MAX,
            other => u64::from(other) << 56,
        };
        let opposite = match agent {
            Role::Controlling => [wire::ICE_CONTROLLED, wire::ICE_CONTROLLING],
            Role::Controlled => [wire::ICE_CONTROLLING, wire::ICE_CONTROLLED],
        };
        let roles = match input.role % 4 {
            0 => &opposite[..1],
            1 => &opposite[1..],
            2 => &[],
            _ => &opposite[..],
        };
        for role in roles {
            message.attribute(*role, &tie_breaker.to_be_bytes());
        }
        if input.nominates {
            message.attribute(wire::USE_CANDIDATE, &[]);
        }
        let values = [0, 1, 2, 3, 5, 0x00ff_ffff, 0x0100_0000, u32::MAX];
        let value: u32 = values[usize::from(input.role >> 2) % values.len()];
        if value > 0 {
            message.attribute(wire::NOMINATION, &value.to_be_bytes());
        }
        let other = &self.generations[at.saturating_sub(1)].local;
        let bytes = end(message, &input.tail, local.pwd(), other.pwd());
        Datagram { via: Via::Udp, to: address(input.to), from: address(input.from), bytes }
    }

    /// The generation that a check goes to: the current one, the staged one, earlier ones.
    fn addressed(&self, choice: u8) -> usize {
        let current = self.at(Stage::Current).expect("there is always one");
        match usize::from(choice % 6) {
            0 => current,
            1 => self.at(Stage::Staged).unwrap_or(current),
            earlier => current.saturating_sub(earlier - 1),
        }
    }

    /// The response to a request; none when there is no such request.
    pub fn answer(&self, input: &Answer<'_>) -> Option<Datagram> {
        let newest = self.requests.len().checked_sub(1)?;
        let request = self.requests.get(newest.checked_sub(input.request.into())?)?;
        let kind = match input.kind % 6 {
            0..=2 => wire::SUCCESS,
            3 | 4 => wire::ERROR,
            _ => wire::INDICATION,
        };
        let mut message = Message::new(kind, wire::id(&request.bytes)?);
        match input.kind % 6 {
            0 => message.xor_address(wire::XOR_MAPPED_ADDRESS, plain(request.from)),
            1 => message.xor_address(wire::XOR_MAPPED_ADDRESS, address(input.mapped)),
            3 => message.attribute(wire::ERROR_CODE, &[0, 0, 4, 87]),
            4 => {
                let code = input.code.to_be_bytes();
                message.attribute(wire::ERROR_CODE, &[0, 0, code[0], code[1]]);
            }
            _ => {}
        }
        let remote =
            self.ids.get(&wire::id(&request.bytes)?).map(|&at| self.generations[at].remote);
        let (_, pwd) = remote.flatten().unwrap_or(PEERS[0]);
        let (_, other) = self.current().remote.unwrap_or(PEERS[1]);
        let bytes = end(message, &input.tail, pwd, other);
        let from = if input.from == 0 { request.to } else { address(input.from - 1) };
        let to = if input.to == 0 { request.from } else { address(input.to - 1) };
        Some(Datagram { via: request.via, to, from, bytes })
    }

    /// Right answers to all requests that have not been answered, the oldest first.
    pub fn answer_all(&mut self) -> Vec<Datagram> {
        let count = core::mem::take(&mut self.unanswered).min(64);
        (0..count as u8)
            .rev()
            .filter_map(|request| {
                let (from, to, kind, code, mapped) = (0, 0, 0, 0, 0);
                self.answer(&Answer { request, from, to, kind, code, mapped, tail: INTACT })
            })
            .collect()
    }
}

/// Ends a message as the input wants it.
fn end(mut message: Message, tail: &Tail<'_>, pwd: &str, other: &str) -> Vec<u8> {
    if let Some((kind, value)) = tail.extra {
        // What libwebrtc has is all tried as one of the two that are known.
        let kind = if kind >> 8 == 0xc0 { wire::EMBEDDED | (kind & 1) } else { kind };
        message.attribute(kind, &value[..value.len().min(256)]);
    }
    match tail.seal % 6 {
        0 => message.integrity(pwd),
        1 => message.integrity_sha256(pwd),
        2 => {
            message.integrity(pwd);
            message.integrity_sha256(pwd);
        }
        3 => {}
        4 => message.integrity(WRONG),
        _ => message.integrity(other),
    }
    match tail.fingerprint % 3 {
        0 => message.fingerprint(),
        1 => {}
        _ => message.attribute(wire::FINGERPRINT, &[0; 4]),
    }
    if let Some((at, with)) = tail.flip {
        let at = usize::from(at) % message.bytes.len();
        message.bytes[at] ^= with;
    }
    message.bytes
}

/// An address as it is on the wire: IPv4 in its own form, no scope.
pub fn plain(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}
