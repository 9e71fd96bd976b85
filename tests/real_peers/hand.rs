//! The hand of a scripted peer: it knows both sides' credentials, writes the peer's messages and
//! reads the agent's. What it reads must be what every real stack insists on.

use std::net::SocketAddr;

use frazil::Timestamp;

use crate::common::{
    ERROR, FINGERPRINT, ICE_CONTROLLED, ICE_CONTROLLING, INDICATION, MESSAGE_INTEGRITY, Message,
    PEER_PWD, PEER_UFRAG, PRIORITY, REQUEST, SUCCESS, Sent, USERNAME,
};

/// A datagram that a peer sends.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// What a datagram is, by its first bytes (RFC 7983).
pub(crate) fn is_stun(bytes: &[u8]) -> bool {
    bytes.len() >= 20 && bytes[0] < 4 && bytes[4..8] == [0x21, 0x12, 0xa4, 0x42]
}

/// The priority of the peer's host candidate on its `index`-th address.
pub(crate) fn host_priority(index: usize) -> u32 {
    (126 << 24) | ((65_535 - index as u32) << 8) | 255
}

/// RFC 8445 §6.1.2.3.
pub(crate) fn pair_priority(controlling: u32, controlled: u32) -> u64 {
    let (g, d) = (u64::from(controlling), u64::from(controlled));
    (g.min(d) << 32) + 2 * g.max(d) + u64::from(g > d)
}

/// What a peer keeps of the agent and of itself.
#[derive(Clone, Debug)]
pub(crate) struct Hand {
    pub(crate) agent_ufrag: String,
    pub(crate) agent_pwd: String,
    /// The agent's ICE options.
    pub(crate) options: Vec<String>,
    pub(crate) tie_breaker: u64,
    pub(crate) controlling: bool,
    /// Application data that arrived, and on which path.
    pub(crate) data: Vec<(Timestamp, SocketAddr, SocketAddr)>,
    ids: u64,
}

impl Hand {
    pub(crate) fn new(agent: &frazil::IceAgent, controlling: bool) -> Self {
        let parameters = agent.local_parameters();
        Self {
            agent_ufrag: parameters.credentials.ufrag().to_owned(),
            agent_pwd: parameters.credentials.pwd().to_owned(),
            options: parameters.options,
            tie_breaker: 0x7065_6572_7065_6572,
            controlling,
            data: Vec::new(),
            ids: 0,
        }
    }

    pub(crate) fn id(&mut self) -> [u8; 12] {
        self.ids += 1;
        let mut id = *b"peer........";
        id[4..].copy_from_slice(&self.ids.to_be_bytes());
        id
    }

    /// A check, still open for attributes: [`seal`](Self::seal) ends it.
    pub(crate) fn check(&mut self, priority: u32) -> Message {
        let role = if self.controlling { ICE_CONTROLLING } else { ICE_CONTROLLED };
        let id = self.id();
        Message::new(REQUEST, id)
            .attr(USERNAME, format!("{}:{PEER_UFRAG}", self.agent_ufrag).as_bytes())
            .attr(role, &self.tie_breaker.to_be_bytes())
            .attr(PRIORITY, &priority.to_be_bytes())
    }

    /// Integrity with the agent's password, and the fingerprint.
    pub(crate) fn seal(&self, message: Message) -> Vec<u8> {
        message.integrity(&self.agent_pwd).fingerprint()
    }

    /// The success response to a request, without integrity yet.
    pub(crate) fn success(request: &Sent) -> Message {
        Message::new(SUCCESS, request.id()).xor_mapped(request.from)
    }

    /// An error response of the peer.
    pub(crate) fn error(request: &Sent, code: u16) -> Vec<u8> {
        Message::new(ERROR, request.id()).error_code(code).integrity(PEER_PWD).fingerprint()
    }

    pub(crate) fn indication(&mut self) -> Vec<u8> {
        let id = self.id();
        Message::new(INDICATION, id).fingerprint()
    }

    /// Whether a datagram is a request of the agent. Every request must be one that no real stack
    /// turns down: USERNAME, PRIORITY, one role with its tie-breaker, integrity, the fingerprint
    /// last, and nothing else that has to be understood.
    pub(crate) fn reads_request(&self, datagram: &Sent) -> bool {
        if !is_stun(&datagram.bytes) || !datagram.is_request() {
            return false;
        }
        let username = format!("{PEER_UFRAG}:{}", self.agent_ufrag);
        assert_eq!(datagram.get(USERNAME).as_deref(), Some(username.as_bytes()));
        assert!(datagram.verifies(PEER_PWD) && datagram.fingerprint_is_last_and_right());
        let role = |kind| datagram.get(kind).map(|value| value.len());
        let roles = (role(ICE_CONTROLLING), role(ICE_CONTROLLED));
        assert!(matches!(roles, (Some(8), None) | (None, Some(8))), "{roles:?}");
        assert_eq!(datagram.get(PRIORITY).map(|value| value.len()), Some(4));
        let known = [
            USERNAME,
            PRIORITY,
            ICE_CONTROLLED,
            ICE_CONTROLLING,
            crate::common::USE_CANDIDATE,
            MESSAGE_INTEGRITY,
            FINGERPRINT,
        ];
        let kinds: Vec<u16> = datagram.attrs().into_iter().map(|(kind, _)| kind).collect();
        assert!(kinds.iter().all(|kind| *kind >= 0x8000 || known.contains(kind)), "{kinds:x?}");
        true
    }

    /// Whether a datagram is an authentic response to a request of ours; it must always be one.
    pub(crate) fn reads_response(&self, datagram: &Sent) -> bool {
        let response = is_stun(&datagram.bytes) && matches!(datagram.kind(), SUCCESS | ERROR);
        if response {
            assert!(datagram.verifies(&self.agent_pwd), "a response without good integrity");
            assert!(datagram.fingerprint_is_last_and_right());
            assert!(!datagram.has(USERNAME));
        }
        response
    }

    /// Notes application data; whether it was that.
    pub(crate) fn reads_data(&mut self, datagram: &Sent) -> bool {
        let data = !is_stun(&datagram.bytes);
        if data {
            self.data.push((datagram.at, datagram.from, datagram.to));
        }
        data
    }
}
