//! The messages of servers: what is written is what is read, sealed with the keys that a second
//! implementation makes of the same credentials.

use std::net::{IpAddr, SocketAddr};

use arbitrary::{Arbitrary, Unstructured};
use frazil::fuzzing::{self, LongTermSecret, Message, Turn};
use sha2::{Digest, Sha256};

use super::super::wire;

const ALLOCATE: u16 = 0x003;
const SEND: u16 = 0x006;
const DATA: u16 = 0x007;
/// Allocate, Refresh, CreatePermission, ChannelBind: all but indications.
const ASKED: [u16; 4] = [ALLOCATE, 0x004, 0x008, 0x009];

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    class: u8,
    method: u8,
    id: [u8; 12],
    attributes: Attributes<'a>,
    secret: Option<Secret<'a>>,
    dont_fragment: bool,
}

#[derive(Arbitrary, Debug)]
struct Attributes<'a> {
    channel: Option<u16>,
    lifetime: Option<u32>,
    transport: Option<u8>,
    even_port: Option<bool>,
    peer: (IpAddr, u16),
    relayed: Option<(IpAddr, u16)>,
    address_error: Option<(bool, u16)>,
    icmp: Option<(u8, u8, u32)>,
    alternate_server: Option<(IpAddr, u16)>,
    unknown: Vec<u16>,
    sha256: Option<bool>,
    features: Option<(bool, bool)>,
    data: Option<&'a [u8]>,
}

#[derive(Arbitrary, Debug)]
struct Secret<'a> {
    username: &'a str,
    realm: &'a str,
    password: &'a str,
    sha256: bool,
}

pub fn run(bytes: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let turn = input.attributes.turn();
    let secret = input.secret.as_ref().and_then(Secret::prepare);
    let (class, method) = match input.class % 4 {
        1 => (1, [SEND, DATA][usize::from(input.method) % 2]),
        class => (class, ASKED[usize::from(input.method) % ASKED.len()]),
    };

    let mut written = b"before".to_vec();
    let fits = fuzzing::write_turn(&mut written, (class, method), input.id, &turn, secret.as_ref());
    if !fits {
        assert_eq!(written, b"before");
        assert!(turn.data.is_some_and(|data| data.len() > 60_000) || turn.unknown.len() > 30_000);
        return;
    }
    let bytes = written.strip_prefix(b"before").expect("it was appended");
    super::any(bytes);
    let message = Message::scan(bytes).expect("it is well-formed");
    assert_eq!((message.class(), message.method(), message.id()), (class, method, input.id));
    assert_eq!(message.turn(), turn);
    // One integrity attribute is what the other one does not cover.
    if let (Some(input), Some(secret)) = (&input.secret, &secret) {
        assert_eq!(message.verify_long_term(secret), (true, true));
        assert_eq!(message.fingerprint(), Some(true));
        let other = LongTermSecret::new("another", "realm", "password", input.sha256);
        assert_eq!(message.verify_long_term(&other.expect("it is sound")), (false, false));
        assert!(input.is_special() || input.agrees(secret, bytes));
    }
    send_head(&input, turn.peer.expect("there is one"));
}

/// The beginning of a Send indication is what stands before the data in one made by hand.
fn send_head(input: &Input<'_>, peer: SocketAddr) {
    let data = input.attributes.data.unwrap_or_default();
    let mut expected = wire::Message::new(0x0016, input.id);
    expected.xor_address(wire::XOR_PEER_ADDRESS, peer);
    if input.dont_fragment && peer.is_ipv4() {
        expected.attribute(wire::DONT_FRAGMENT, &[]);
    }
    expected.attribute(wire::DATA, data);
    let head = fuzzing::send_head(input.id, peer, input.dont_fragment, data.len());
    match head {
        Some(head) => {
            assert!(expected.bytes.starts_with(&head));
            assert_eq!(expected.bytes.len() - head.len(), data.len().next_multiple_of(4));
        }
        None => assert!(data.len() > 60_000),
    }
    assert_eq!(fuzzing::send_head(input.id, peer, true, 0xffff), None);
}

impl Attributes<'_> {
    fn turn(&self) -> Turn {
        let socket = |(ip, port): (IpAddr, u16)| SocketAddr::new(ip, port);
        let mut unknown = self.unknown.clone();
        unknown.truncate(64);
        Turn {
            channel: self.channel,
            lifetime: self.lifetime,
            transport: self.transport,
            even_port: self.even_port,
            peer: Some(socket(self.peer)),
            relayed: self.relayed.map(socket),
            address_error: self.address_error.map(|(ipv6, code)| (ipv6, 300 + code % 400)),
            icmp: self.icmp,
            alternate_server: self.alternate_server.map(socket),
            unknown,
            sha256: self.sha256,
            features: self.features,
            data: self.data.map(<[u8]>::to_vec),
        }
    }
}

impl Secret<'_> {
    fn prepare(&self) -> Option<LongTermSecret> {
        LongTermSecret::new(self.username, self.realm, self.password, self.sha256)
    }

    /// Whether OpaqueString, quotes or nulls make something else of one of the three.
    fn is_special(&self) -> bool {
        let plain = |text: &str| text.bytes().all(|c| c.is_ascii_graphic() && c != b'"');
        ![self.username, self.realm, self.password].into_iter().all(plain)
    }

    /// Whether the message is what the key verifies that is made here by hand.
    fn agrees(&self, secret: &LongTermSecret, bytes: &[u8]) -> bool {
        let Self { username, realm, password, sha256 } = *self;
        let userhash: [u8; 32] = Sha256::digest(format!("{username}:{realm}")).into();
        let text = format!("{username}:{realm}:{password}");
        let key =
            if sha256 { Sha256::digest(text).to_vec() } else { md5::compute(text).0.to_vec() };
        secret.userhash() == userhash
            && secret.username() == username
            && wire::sealed_with(bytes, &key) == 2
    }
}
