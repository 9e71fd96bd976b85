//! `rice-proto`, the ICE of librice: its agent gathers the candidates itself, and is polled until
//! it says how long to wait.

use std::net::SocketAddr;
use std::time::Duration;

use rice_proto::agent::{Agent, AgentPoll};
use rice_proto::candidate::{Candidate, CandidateType, TransportType};
use rice_proto::component::RTP;
use rice_stun_types::attribute::{IceControlling, Priority};
use stun_proto::Instant;
use stun_proto::agent::Transmit;
use stun_proto::types::attribute::Username;
use stun_proto::types::message::{
    BINDING, IntegrityAlgorithm, IntegrityKey, Message, MessageIntegrityCredentials,
    MessageWriteVec, ShortTermCredentials,
};
use stun_proto::types::prelude::{MessageWrite, MessageWriteExt};

use super::{Codec, Credentials, Description, Path, Peer, Reflexive, Verdict};

pub struct Rice {
    agent: Agent,
    stream: usize,
    gathered: Vec<Candidate>,
    deadline: Option<Duration>,
    selected: Option<Path>,
}

fn time(now: Duration) -> Instant {
    Instant::ZERO + now
}

fn credentials(from: Credentials) -> rice_proto::stream::Credentials {
    rice_proto::stream::Credentials { ufrag: from.ufrag.into(), passwd: from.pwd.into() }
}

/// As its own gathering makes one.
fn server_reflexive(found: Reflexive) -> Candidate {
    let (kind, udp) = (CandidateType::ServerReflexive, TransportType::Udp);
    Candidate::builder(1, kind, udp, "reflexive", found.addr)
        .priority(Candidate::calculate_priority(kind, udp, None, 0, 1))
        .base_address(found.base)
        .related_address(found.base)
        .build()
}

impl Rice {
    /// Polls until the agent wants to wait; until when.
    fn poll(&mut self, now: Instant) -> Option<Instant> {
        loop {
            match self.agent.poll(now) {
                AgentPoll::Closed => return None,
                AgentPoll::WaitUntil(at) => return Some(at),
                AgentPoll::SelectedPair(event) => {
                    let pair = event.selected.candidate_pair().clone();
                    let mut stream = self.agent.mut_stream(event.stream_id).expect("it is there");
                    let mut component = stream.mut_component(RTP).expect("it is there");
                    let path = Path { local: pair.local.base_address, remote: pair.remote.address };
                    component.set_selected_pair(pair).expect("the pair is of this agent");
                    self.selected = Some(path);
                }
                AgentPoll::GatheredCandidate(event) => {
                    self.gathered.push(event.gathered.candidate.clone());
                    let mut stream = self.agent.mut_stream(event.stream_id).expect("it is there");
                    stream.add_local_gathered_candidate(event.gathered);
                }
                AgentPoll::GatheringComplete(event) => {
                    let mut stream = self.agent.mut_stream(event.stream_id).expect("it is there");
                    stream.end_of_local_candidates();
                }
                AgentPoll::ComponentStateChange(_)
                | AgentPoll::AllocateSocket(_)
                | AgentPoll::RemoveSocket(_) => {}
            }
        }
    }
}

impl Peer for Rice {
    type Candidate = Candidate;
    type Agent = Agent;
    type Codec = RiceCodec;

    fn codec() -> RiceCodec {
        RiceCodec::new()
    }

    fn new(controlling: bool, _seed: u8) -> Self {
        let mut agent = Agent::builder().trickle_ice(true).controlling(controlling).build();
        let id = agent.add_stream();
        let mut stream = agent.mut_stream(id).expect("it was just added");
        stream.set_local_credentials(credentials(Credentials::of(controlling)));
        stream.add_component().expect("it is the first");
        Self { agent, stream: id, gathered: Vec::new(), deadline: None, selected: None }
    }

    fn add_local(
        &mut self,
        now: Duration,
        hosts: &[SocketAddr],
        reflexive: &[Reflexive],
    ) -> Description<Candidate> {
        let sockets: Vec<_> = hosts.iter().map(|host| (TransportType::Udp, *host)).collect();
        let mut stream = self.agent.mut_stream(self.stream).expect("it is there");
        // Before anything is gathered: with the end of it come no further candidates.
        for found in reflexive {
            let candidate = server_reflexive(*found);
            assert!(stream.add_local_candidate(candidate.clone()), "the address is new");
            self.gathered.push(candidate);
        }
        let mut component = stream.mut_component(RTP).expect("it is there");
        component.gather_candidates(&sockets, &[], &[]).expect("nothing was gathered before");
        self.poll(time(now));
        Description {
            credentials: Credentials::of(self.agent.controlling()),
            candidates: std::mem::take(&mut self.gathered),
        }
    }

    fn told(addr: SocketAddr, priority: u32) -> Candidate {
        let (host, udp) = (CandidateType::Host, TransportType::Udp);
        let foundation = priority.to_string();
        Candidate::builder(1, host, udp, &foundation, addr).priority(priority).build()
    }

    fn set_remote(&mut self, _now: Duration, remote: &Description<Candidate>) {
        let mut stream = self.agent.mut_stream(self.stream).expect("it is there");
        stream.set_remote_credentials(credentials(remote.credentials));
        for candidate in &remote.candidates {
            stream.add_remote_candidate(candidate.clone());
        }
        stream.end_of_remote_candidates();
    }

    fn receive(&mut self, now: Duration, path: Path, datagram: &[u8]) -> Verdict {
        let transmit = Transmit::new(datagram, TransportType::Udp, path.remote, path.local);
        let mut stream = self.agent.mut_stream(self.stream).expect("it is there");
        let reply = stream.handle_incoming_data(RTP, transmit, time(now));
        match reply.data {
            Some(data) => Verdict::Data(data.as_ref().len()),
            None if reply.handled => Verdict::Consumed,
            None => Verdict::Ignored,
        }
    }

    /// Time passes in `drain`: `poll` takes it.
    fn timeout(&mut self, _now: Duration) {}

    fn drain(&mut self, now: Duration, mut send: impl FnMut(Path, &[u8])) {
        let now = time(now);
        loop {
            let wait = self.poll(now);
            while let Some(transmit) = self.agent.poll_transmit(now) {
                let transmit = transmit.transmit;
                send(Path { local: transmit.from, remote: transmit.to }, &transmit.data);
            }
            // It waits until now while it has something to be polled, and means it.
            if wait.is_none_or(|at| at > now) {
                self.deadline = wait.map(|at| at.duration_since(Instant::ZERO));
                return;
            }
        }
    }

    fn deadline(&mut self) -> Option<Duration> {
        self.deadline
    }

    fn selected(&self) -> Option<Path> {
        self.selected
    }

    fn send(&mut self, now: Duration, payload: &[u8]) -> (Path, usize) {
        let mut stream = self.agent.mut_stream(self.stream).expect("it is there");
        let mut component = stream.mut_component(RTP).expect("it is there");
        let transmit = component.send(payload, time(now)).expect("a pair is selected");
        (Path { local: transmit.from, remote: transmit.to }, transmit.data.len())
    }

    fn into_agent(self) -> Agent {
        self.agent
    }
}

/// The codec of `stun-types` as the agent uses it: the key to verify with is kept, the one to sign
/// with is made each time.
pub struct RiceCodec {
    key: IntegrityKey,
    sign: MessageIntegrityCredentials,
    username: String,
}

fn short_term(from: Credentials) -> ShortTermCredentials {
    ShortTermCredentials::new(from.pwd.into())
}

impl RiceCodec {
    fn new() -> Self {
        let (to, from) = (Credentials::of(false), Credentials::of(true));
        Self {
            key: short_term(from).make_key(),
            sign: MessageIntegrityCredentials::ShortTerm(short_term(to)),
            username: format!("{}:{}", to.ufrag, from.ufrag),
        }
    }
}

impl Codec for RiceCodec {
    const BATCH: usize = 32;

    fn reset(&mut self) {}

    fn decode(&mut self, check: &[u8]) -> bool {
        let Ok(message) = Message::from_bytes(check) else { return false };
        message.validate_integrity_with_key(&self.key).is_ok()
    }

    fn encode(&mut self) -> usize {
        let mut message = Message::builder_request(BINDING, MessageWriteVec::new());
        let username = Username::new(&self.username).expect("it is short");
        message.add_attribute(&Priority::new(0x6e00_01ff)).expect("it is the first");
        message.add_attribute(&IceControlling::new(1)).expect("it is the first");
        message.add_attribute(&username).expect("it is the first");
        message.add_message_integrity(&self.sign, IntegrityAlgorithm::Sha1).expect("it fits");
        message.add_fingerprint().expect("it is the first");
        message.finish().len()
    }
}
