//! `rtc-ice`, the ICE of webrtc-rs, driven as its example `ping_pong` does.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::BytesMut;
use rtc_ice::attributes::control::AttrControlling;
use rtc_ice::attributes::priority::PriorityAttr;
use rtc_ice::candidate::candidate_host::CandidateHostConfig;
use rtc_ice::candidate::candidate_server_reflexive::CandidateServerReflexiveConfig;
use rtc_ice::candidate::{Candidate, CandidateConfig};
use rtc_ice::crypto::{RTCCryptoProvider, default_provider};
use rtc_ice::mdns::MulticastDnsMode;
use rtc_ice::{Agent, AgentConfig, Event};
use rtc_shared::{TransportContext, TransportMessage, TransportProtocol};
use rtc_stun::attributes::ATTR_USERNAME;
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Message, TransactionId, is_stun_message};
use rtc_stun::textattrs::Username;
use sansio::Protocol;

use super::{
    Codec, Credentials, Description, Path, Peer, Reflexive, Verdict, instant, since_epoch,
};

/// One for all agents, as in an application.
static CRYPTO: LazyLock<Arc<dyn RTCCryptoProvider>> =
    LazyLock::new(|| default_provider().expect("the feature of one is on"));

pub struct Rtc {
    agent: Agent,
    controlling: bool,
    selected: Option<Path>,
}

fn context(path: Path) -> TransportContext {
    TransportContext {
        local_addr: path.local,
        peer_addr: path.remote,
        ecn: None,
        transport_protocol: TransportProtocol::UDP,
    }
}

fn config(controlling: bool) -> AgentConfig {
    let credentials = Credentials::of(controlling);
    AgentConfig {
        local_ufrag: credentials.ufrag.into(),
        local_pwd: credentials.pwd.into(),
        is_controlling: controlling,
        // No other implementation resolves names, and without it an agent is smaller.
        multicast_dns_mode: MulticastDnsMode::Disabled,
        ..AgentConfig::default()
    }
}

fn udp(addr: SocketAddr) -> CandidateConfig {
    CandidateConfig {
        network: "udp".into(),
        address: addr.ip().to_string(),
        port: addr.port(),
        component: 1,
        ..CandidateConfig::default()
    }
}

fn host(base_config: CandidateConfig) -> Candidate {
    let config = CandidateHostConfig { base_config, ..CandidateHostConfig::default() };
    config.new_candidate_host().expect("the address is one")
}

fn server_reflexive(found: Reflexive) -> Candidate {
    let config = CandidateServerReflexiveConfig {
        base_config: udp(found.addr),
        rel_addr: found.base.ip().to_string(),
        rel_port: found.base.port(),
        url: None,
    };
    config.new_candidate_server_reflexive().expect("the address is one")
}

impl Peer for Rtc {
    type Candidate = Candidate;
    type Agent = Agent;
    type Codec = RtcCodec;

    fn codec() -> RtcCodec {
        RtcCodec::new()
    }

    fn new(controlling: bool, _seed: u8) -> Self {
        let config = Arc::new(config(controlling));
        let agent = Agent::new(instant(Duration::ZERO), config, CRYPTO.clone());
        Self { agent: agent.expect("the configuration is valid"), controlling, selected: None }
    }

    fn add_local(
        &mut self,
        _now: Duration,
        hosts: &[SocketAddr],
        reflexive: &[Reflexive],
    ) -> Description<Candidate> {
        let hosts = hosts.iter().map(|addr| host(udp(*addr)));
        for candidate in hosts.chain(reflexive.iter().copied().map(server_reflexive)) {
            self.agent.add_local_candidate(candidate).expect("the address is new");
        }
        Description {
            credentials: Credentials::of(self.controlling),
            candidates: self.agent.get_local_candidates().to_vec(),
        }
    }

    fn told(addr: SocketAddr, priority: u32) -> Candidate {
        host(CandidateConfig { priority, foundation: priority.to_string(), ..udp(addr) })
    }

    fn set_remote(&mut self, now: Duration, remote: &Description<Candidate>) {
        for candidate in &remote.candidates {
            self.agent.add_remote_candidate(candidate.clone()).expect("it is a host candidate");
        }
        let Credentials { ufrag, pwd } = remote.credentials;
        let (ufrag, pwd) = (ufrag.into(), pwd.into());
        let started =
            self.agent.start_connectivity_checks(instant(now), self.controlling, ufrag, pwd);
        started.expect("there are credentials");
    }

    fn receive(&mut self, now: Duration, path: Path, datagram: &[u8]) -> Verdict {
        let (now, transport) = (instant(now), context(path));
        if is_stun_message(datagram) {
            // The agent wants a buffer of its own.
            let message = BytesMut::from(datagram);
            match self.agent.handle_read(TransportMessage { now, transport, message }) {
                Ok(()) => Verdict::Consumed,
                Err(_) => Verdict::Ignored,
            }
        } else if self.agent.is_valid_non_stun_traffic(now, transport) {
            Verdict::Data(datagram.len())
        } else {
            Verdict::Ignored
        }
    }

    fn timeout(&mut self, now: Duration) {
        self.agent.handle_timeout(instant(now)).expect("time may pass at any time");
    }

    fn drain(&mut self, _now: Duration, mut send: impl FnMut(Path, &[u8])) {
        while let Some(transmit) = self.agent.poll_write() {
            let TransportContext { local_addr, peer_addr, .. } = transmit.transport;
            send(Path { local: local_addr, remote: peer_addr }, &transmit.message);
        }
        while let Some(event) = self.agent.poll_event() {
            if let Event::SelectedCandidatePairChange(local, remote) = event.event {
                self.selected = Some(Path { local: local.base_addr(), remote: remote.addr() });
            }
        }
    }

    fn deadline(&mut self) -> Option<Duration> {
        self.agent.poll_timeout().map(since_epoch)
    }

    fn selected(&self) -> Option<Path> {
        self.selected
    }

    fn send(&mut self, _now: Duration, payload: &[u8]) -> (Path, usize) {
        let (local, remote) = self.agent.get_selected_candidate_pair().expect("one is selected");
        (Path { local: local.base_addr(), remote: remote.addr() }, payload.len())
    }

    fn into_agent(self) -> Agent {
        self.agent
    }
}

/// The codec of `rtc-stun` as the agent uses it: FINGERPRINT is written, but not verified.
pub struct RtcCodec {
    username: String,
}

impl RtcCodec {
    fn new() -> Self {
        let (to, from) = (Credentials::of(false), Credentials::of(true));
        Self { username: format!("{}:{}", to.ufrag, from.ufrag) }
    }
}

impl Codec for RtcCodec {
    const BATCH: usize = 32;

    fn reset(&mut self) {}

    fn decode(&mut self, check: &[u8]) -> bool {
        let mut message = Message { raw: check.to_vec(), ..Message::default() };
        let pwd = Credentials::of(true).pwd.as_bytes();
        message.decode().is_ok()
            && MessageIntegrity::check(&mut message, pwd, CRYPTO.crypto()).is_ok()
    }

    fn encode(&mut self) -> usize {
        let mut message = Message::new();
        let built = message.build(&[
            Box::new(BINDING_REQUEST),
            Box::new(TransactionId::new()),
            Box::new(Username::new(ATTR_USERNAME, self.username.clone())),
            Box::new(AttrControlling(1)),
            Box::new(PriorityAttr(0x6e00_01ff)),
            Box::new(MessageIntegrity::new_short_term_integrity_with_provider(
                Credentials::of(false).pwd.into(),
                CRYPTO.crypto(),
            )),
            Box::new(FINGERPRINT),
        ]);
        built.expect("the attributes fit");
        message.raw.len()
    }
}
