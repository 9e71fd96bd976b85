//! `is`, the ICE of str0m, driven by the five verbs of its documentation: time passes when the agent
//! asks for it. str0m itself lets time pass after each packet as well, by which checks follow packets
//! without regard to Ta; that is another column.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use is::stun::{StunMessage, StunPacket, TransId};
use is::{
    Candidate, DefaultSha1HmacProvider, IceAgent, IceAgentEvent, IceCreds, Protocol,
    Sha1HmacProvider,
};

use super::{
    Codec, Credentials, Description, Path, Peer, Reflexive, Verdict, instant, since_epoch,
};

/// `is` tells where data may come from and where it is to be sent, and leaves the rest to the
/// application: hence the set and the path beside the agent.
pub struct Is<const LIKE_STR0M: bool> {
    agent: IceAgent,
    discovered: HashSet<SocketAddr>,
    nominated: Option<Path>,
}

fn credentials(from: Credentials) -> IceCreds {
    IceCreds { ufrag: from.ufrag.into(), pass: from.pwd.into() }
}

/// RFC 7983 §7: what an application looks at before it asks for a STUN message.
fn may_be_stun(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| *first < 4)
}

impl<const LIKE_STR0M: bool> Is<LIKE_STR0M> {
    fn receive_stun(&mut self, now: Duration, path: Path, datagram: &[u8]) -> Verdict {
        // The parser indexes beyond what it has checked, and panics below a header's length.
        if datagram.len() < 20 {
            return Verdict::Ignored;
        }
        let Ok(message) = StunMessage::parse(datagram) else { return Verdict::Ignored };
        let (source, destination) = (path.remote, path.local);
        let packet = StunPacket { proto: Protocol::Udp, source, destination, message };
        let consumed = self.agent.handle_packet(instant(now), packet);
        if LIKE_STR0M {
            self.agent.handle_timeout(instant(now));
        }
        if consumed { Verdict::Consumed } else { Verdict::Ignored }
    }

    fn take(&mut self, event: IceAgentEvent) {
        match event {
            IceAgentEvent::DiscoveredRecv { source, .. } => {
                self.discovered.insert(source);
            }
            IceAgentEvent::NominatedSend { source, destination, .. } => {
                self.nominated = Some(Path { local: source, remote: destination });
            }
            IceAgentEvent::IceRestart(_) | IceAgentEvent::IceConnectionStateChange(_) => {}
        }
    }
}

impl<const LIKE_STR0M: bool> Peer for Is<LIKE_STR0M> {
    type Candidate = Candidate;
    type Agent = IceAgent;
    type Codec = IsCodec;

    fn codec() -> IsCodec {
        IsCodec::new()
    }

    fn new(controlling: bool, _seed: u8) -> Self {
        let mut agent = IceAgent::new(credentials(Credentials::of(controlling)));
        agent.set_controlling(controlling);
        Self { agent, discovered: HashSet::new(), nominated: None }
    }

    fn add_local(
        &mut self,
        _now: Duration,
        hosts: &[SocketAddr],
        reflexive: &[Reflexive],
    ) -> Description<Candidate> {
        for host in hosts {
            let candidate = Candidate::host(*host, "udp").expect("the address is unicast");
            self.agent.add_local_candidate(candidate).expect("the address is new");
        }
        for Reflexive { addr, base } in reflexive {
            let candidate = Candidate::server_reflexive(*addr, *base, "udp");
            let candidate = candidate.expect("the addresses are unicast");
            self.agent.add_local_candidate(candidate).expect("the address is new");
        }
        Description {
            credentials: Credentials::of(self.agent.controlling()),
            candidates: self.agent.local_candidates().collect(),
        }
    }

    fn told(addr: SocketAddr, priority: u32) -> Candidate {
        let (ip, port) = (addr.ip(), addr.port());
        let line = format!("candidate:{priority} 1 udp {priority} {ip} {port} typ host");
        Candidate::from_sdp_string(&line).expect("it keeps to RFC 8839")
    }

    fn set_remote(&mut self, now: Duration, remote: &Description<Candidate>) {
        self.agent.set_remote_credentials(credentials(remote.credentials));
        for candidate in &remote.candidates {
            self.agent.add_remote_candidate(candidate.clone());
        }
        // "Returns `None` until the first ever `handle_timeout` is called", says `poll_timeout`.
        self.agent.handle_timeout(instant(now));
    }

    fn receive(&mut self, now: Duration, path: Path, datagram: &[u8]) -> Verdict {
        if may_be_stun(datagram) {
            self.receive_stun(now, path, datagram)
        } else if self.discovered.contains(&path.remote) {
            Verdict::Data(datagram.len())
        } else {
            Verdict::Ignored
        }
    }

    fn timeout(&mut self, now: Duration) {
        self.agent.handle_timeout(instant(now));
    }

    fn drain(&mut self, _now: Duration, mut send: impl FnMut(Path, &[u8])) {
        while let Some(transmit) = self.agent.poll_transmit() {
            let path = Path { local: transmit.source, remote: transmit.destination };
            send(path, &transmit.contents);
        }
        while let Some(event) = self.agent.poll_event() {
            self.take(event);
        }
    }

    fn deadline(&mut self) -> Option<Duration> {
        self.agent.poll_timeout().map(since_epoch)
    }

    fn selected(&self) -> Option<Path> {
        self.nominated
    }

    fn send(&mut self, _now: Duration, payload: &[u8]) -> (Path, usize) {
        (self.nominated.expect("a pair is nominated"), payload.len())
    }

    fn into_agent(self) -> IceAgent {
        self.agent
    }
}

/// The codec of `is` as its agent uses it, but with a buffer that is used again. FINGERPRINT is
/// written, but not verified: there is nothing in `is` that would.
pub struct IsCodec {
    username: String,
    buf: [u8; 1150],
}

impl IsCodec {
    fn new() -> Self {
        let (to, from) = (Credentials::of(false), Credentials::of(true));
        Self { username: format!("{}:{}", to.ufrag, from.ufrag), buf: [0; 1150] }
    }
}

impl Codec for IsCodec {
    const BATCH: usize = 32;

    fn reset(&mut self) {}

    fn decode(&mut self, check: &[u8]) -> bool {
        let Ok(message) = StunMessage::parse(check) else { return false };
        let pwd = Credentials::of(true).pwd.as_bytes();
        message.verify(pwd, |key, data| DefaultSha1HmacProvider.sha1_hmac(key, data))
    }

    fn encode(&mut self) -> usize {
        let id = TransId::new();
        let check = StunMessage::binding_request(&self.username, id, true, 1, 0x6e00_01ff, false);
        let pwd = Credentials::of(false).pwd.as_bytes();
        let hmac = |key: &[u8], data: &[&[u8]]| DefaultSha1HmacProvider.sha1_hmac(key, data);
        check.to_bytes(Some(pwd), &mut self.buf, hmac).expect("the buffer is large enough")
    }
}
