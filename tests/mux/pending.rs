//! Those who connect to a shared listener to do harm: silent, slow, oversized, many, nobody's.

use std::net::SocketAddr;
use std::time::Duration;

use allocation_counter::measure;
use frazil::{
    ConnectionId, Event, IceAgent, Ignored, LocalAddress, Mux, MuxAcceptError, MuxConfig,
    MuxIgnored, MuxReceived, MuxRefused, Received, Refused, Role, Route, SessionId, Timestamp,
};

use crate::common::{ERROR, Message, REQUEST, SUCCESS, Sent, USERNAME, addr, ms};
use crate::routing::check;
use crate::stage::{full, seed, stream_of};

const LISTENER: &str = "10.0.0.1:443";
const STRANGER: &str = "10.9.9.9:5000";

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

/// A `Mux` with one session that listens.
struct Door {
    mux: Mux,
    now: Timestamp,
    session: SessionId,
    closed: Vec<ConnectionId>,
    sent: Vec<(ConnectionId, Sent)>,
}

impl Door {
    fn new() -> Self {
        Self::with(MuxConfig::default())
    }

    fn with(config: MuxConfig) -> Self {
        let mut mux = Mux::new(config, [1; 32]);
        let now = Timestamp::ZERO;
        let agent = IceAgent::new(full(Role::Controlled), seed(1)).unwrap();
        let session = mux.insert(now, agent).unwrap();
        mux.with(now, session, |agent| {
            let local = LocalAddress::tcp_passive(addr(LISTENER));
            agent.add_local(now, stream_of(agent), 1, local).unwrap();
            agent.gather(now);
        });
        let mut door = Self { mux, now, session, closed: Vec::new(), sent: Vec::new() };
        door.drain();
        door
    }

    fn drain(&mut self) {
        loop {
            let mut buf = Vec::new();
            if let Some((_, transmit)) = self.mux.poll_transmit(self.now, &mut buf) {
                let Route::Stream(id) = transmit.route else { panic!("a datagram") };
                let bytes = buf[transmit.range][2..].to_vec();
                let (from, to) = (addr(LISTENER), addr(STRANGER));
                let (at, dscp) = (self.now, transmit.dscp);
                self.sent.push((id, Sent { at, from, to, dscp, bytes }));
            } else if let Some((_, event)) = self.mux.poll_event(self.now) {
                if let Event::CloseConnection { connection } = event {
                    self.closed.push(connection);
                }
            } else if let Some(id) = self.mux.poll_close() {
                self.closed.push(id);
            } else {
                break;
            }
        }
    }

    fn try_accept(&mut self, from: &str) -> Result<ConnectionId, MuxAcceptError> {
        self.mux.connection_accepted(self.now, addr(LISTENER), addr(from))
    }

    fn accept(&mut self) -> ConnectionId {
        self.try_accept(STRANGER).unwrap()
    }

    /// Bytes arrive; what became of each message.
    fn feed(&mut self, id: ConnectionId, mut bytes: &[u8]) -> Vec<Fate> {
        let mut all = Vec::new();
        while !bytes.is_empty() {
            all.push(match self.mux.handle_stream(self.now, id, &mut bytes) {
                MuxReceived::Pending => Fate::Pending,
                MuxReceived::Ignored(reason) => Fate::Ignored(reason),
                MuxReceived::Session(_, Received::Consumed) => Fate::Taken,
                MuxReceived::Session(_, Received::Ignored(reason)) => Fate::Refused(reason),
                other => panic!("{other:?}"),
            });
        }
        self.drain();
        all
    }

    fn run_until(&mut self, until: Timestamp) {
        while let Some(at) = self.mux.poll_timeout().filter(|&at| at <= until) {
            assert!(at > self.now);
            self.now = at;
            self.mux.handle_timeout(at);
            self.drain();
        }
        self.now = until;
    }

    fn agent(&self) -> &IceAgent {
        self.mux.agent(self.session).unwrap()
    }

    fn ignored(&self, reason: MuxIgnored) -> u64 {
        self.mux.counters().ignored(reason)
    }

    fn refused(&self, bound: MuxRefused) -> u64 {
        self.mux.counters().refused(bound)
    }

    /// A check to the session, sealed with its password or another one.
    fn check(&self, pwd: Option<&str>) -> Vec<u8> {
        let credentials = self.agent().local_parameters().credentials;
        let username = format!("{}:peer", credentials.ufrag());
        framed(&check(&username, pwd.unwrap_or_else(|| credentials.pwd()), 1))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pending,
    Taken,
    Refused(Ignored),
    Ignored(MuxIgnored),
}

#[test]
fn a_connection_goes_to_the_session_that_its_first_message_names() {
    let mut door = Door::new();
    let id = door.accept();
    assert_eq!((door.mux.connection_session(id), door.mux.pending_connections()), (None, 1));
    let check = door.check(None);
    assert_eq!(door.feed(id, &check[..50]), [Fate::Pending]);
    assert_eq!(door.feed(id, &check[50..]), [Fate::Taken]);
    let session = door.session;
    assert_eq!(door.mux.connection_session(id), Some(session));
    assert_eq!(door.mux.pending_connections(), 0);
    // RFC 6544 §7.2: the same connection carries the answer.
    let [(via, answer)] = &door.sent[..] else { panic!("{:?}", door.sent) };
    assert_eq!((*via, answer.kind()), (id, SUCCESS));
    door.run_until(ms(60_000));
    assert_eq!(door.refused(MuxRefused::SilentConnection), 0);
}

#[test]
fn a_silent_connection_is_closed_at_its_deadline() {
    let mut door = Door::new();
    let first = door.accept();
    door.run_until(ms(4_000));
    let second = door.accept();
    assert_eq!(door.mux.poll_timeout(), Some(ms(10_000)));
    door.run_until(ms(9_999));
    assert_eq!(door.closed, []);
    door.run_until(ms(10_000));
    assert_eq!(door.closed, [first]);
    door.run_until(ms(14_000));
    assert_eq!(door.closed, [first, second]);
    assert_eq!(door.refused(MuxRefused::SilentConnection), 2);
    assert_eq!(door.mux.poll_timeout(), None);
    // It is known no more.
    let check = door.check(None);
    assert_eq!(door.feed(first, &check), [Fate::Ignored(MuxIgnored::UnknownConnection)]);
    assert_eq!(door.closed.len(), 2);
}

#[test]
fn a_slow_connection_is_closed_at_its_deadline() {
    let mut door = Door::new();
    let id = door.accept();
    let check = door.check(None);
    for (second, byte) in check.iter().take(20).enumerate() {
        door.run_until(ms(500 * second as u64));
        assert_eq!(door.feed(id, &[*byte]), [Fate::Pending]);
    }
    door.run_until(ms(10_000));
    assert_eq!(door.closed, [id]);
}

#[test]
fn a_connection_that_is_closed_from_outside_frees_its_place() {
    let mut config = MuxConfig::default();
    config.limits.pending_connections = 1;
    let mut door = Door::with(config);
    for _ in 0..10 {
        let id = door.accept();
        assert_eq!(door.try_accept(STRANGER), Err(MuxAcceptError::Limit));
        door.mux.connection_closed(door.now, id);
    }
    door.drain();
    assert_eq!((door.closed.len(), door.mux.poll_timeout()), (0, None));
}

#[test]
fn a_long_frame_ends_a_connection_at_its_head() {
    let mut door = Door::new();
    let id = door.accept();
    assert_eq!(door.feed(id, &[0x08]), [Fate::Pending]);
    assert_eq!(door.feed(id, &[0x01]), [Fate::Ignored(MuxIgnored::LongFrame)]);
    assert_eq!(door.closed, [id]);
    // So long a frame may be, but not with what there was before.
    let next = door.accept();
    assert_eq!(door.feed(next, &[0x08, 0x00]), [Fate::Pending]);
    assert_eq!(door.feed(next, &[0; 2_046]), [Fate::Pending]);
    assert_eq!(door.feed(next, &[0; 1]), [Fate::Ignored(MuxIgnored::LongFrame)]);
    assert_eq!(door.closed, [id, next]);
}

#[test]
fn frames_of_length_zero_do_not_keep_a_connection() {
    let mut door = Door::new();
    let id = door.accept();
    // One before the check does no harm: RFC 4571 allows it.
    assert_eq!(door.feed(id, &[0, 0]), [Fate::Pending]);
    let check = door.check(None);
    assert_eq!(door.feed(id, &check), [Fate::Taken]);
    let id = door.accept();
    for _ in 0..1_024 {
        assert_eq!(door.feed(id, &[0, 0]), [Fate::Pending]);
    }
    assert_eq!(door.feed(id, &[0, 0]), [Fate::Ignored(MuxIgnored::LongFrame)]);
    assert_eq!(door.closed, [id]);
    // All at once.
    let id = door.accept();
    assert_eq!(door.feed(id, &[0; 4_000]), [Fate::Ignored(MuxIgnored::LongFrame)]);
    assert_eq!(door.closed.last(), Some(&id));
}

/// RFC 6544 §7.1: who opens a connection begins with a check.
#[test]
fn what_begins_with_anything_but_a_request_is_closed() {
    let mut door = Door::new();
    let tls = b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03";
    for first in [
        framed(tls),
        framed(&Message::new(SUCCESS, [1; 12]).fingerprint()),
        framed(&Message::new(ERROR, [1; 12]).fingerprint()),
        framed(&Message::new(0x0011, [1; 12]).fingerprint()),
        framed(&Message::new(0x0003, [1; 12]).fingerprint()),
        framed(&[0x80; 100]),
        framed(&[0]),
    ] {
        let id = door.accept();
        assert_eq!(door.feed(id, &first), [Fate::Ignored(MuxIgnored::NotARequest)]);
        assert_eq!(door.closed.last(), Some(&id));
    }
    // A TLS record that is no frame, and an HTTP request: 0x1603 and "GE" are long frames.
    for first in [&tls[..], b"GET / HTTP/1.1\r\n\r\n"] {
        let id = door.accept();
        assert_eq!(door.feed(id, first), [Fate::Ignored(MuxIgnored::LongFrame)]);
    }
    let nameless = framed(&Message::new(REQUEST, [1; 12]).fingerprint());
    let id = door.accept();
    assert_eq!(door.feed(id, &nameless), [Fate::Ignored(MuxIgnored::MissingUsername)]);
    assert_eq!(door.closed.last(), Some(&id));
    assert_eq!(door.mux.pending_connections(), 0);
    assert_eq!(format!("{:?}", door.agent().counters()), "{}", "no agent has seen any of it");
}

/// One look-up: what is whole is not even copied.
#[test]
fn a_connection_for_an_unknown_ufrag_is_closed_without_allocation() {
    let mut door = Door::new();
    let stranger = framed(&check("nobody:peer", "0123456789012345678901", 1));
    // The list of what is to be closed has room from the first one on.
    let id = door.accept();
    door.feed(id, &stranger);
    for _ in 0..50 {
        let id = door.accept();
        let mut input = &stranger[..];
        let (mux, now) = (&mut door.mux, door.now);
        let info = measure(|| {
            let received = mux.handle_stream(now, id, &mut input);
            assert_eq!(received, MuxReceived::Ignored(MuxIgnored::UnknownUfrag));
        });
        assert_eq!(info.count_total, 0);
        door.drain();
    }
    assert_eq!(door.closed.len(), 51);
    assert_eq!(door.ignored(MuxIgnored::UnknownUfrag), 51);
    assert_eq!(door.sent.len(), 0);
    assert_eq!(format!("{:?}", door.agent().counters()), "{}", "no agent has seen any of it");
}

/// Who knows a username fragment and no password takes no place of an agent.
#[test]
fn a_first_message_that_is_not_authentic_ends_the_connection_at_once() {
    let mut door = Door::new();
    let forged = door.check(Some("not the password of this agent"));
    for round in 1..=100 {
        let id = door.accept();
        assert_eq!(door.feed(id, &forged), [Fate::Refused(Ignored::BadIntegrity)]);
        assert_eq!(door.closed.len(), round);
        assert_eq!(door.closed.last(), Some(&id));
        assert_eq!(door.mux.connection_session(id), None);
    }
    assert_eq!(door.agent().counters().refused(Refused::UnprovenConnection), 100);
    assert_eq!(door.agent().counters().refused(Refused::Connection), 0);
    assert_eq!(door.mux.pending_connections(), 0);
    assert!(door.agent().remote_candidates().next().is_none());
    let (id, check) = (door.accept(), door.check(None));
    assert_eq!(door.feed(id, &check), [Fate::Taken]);
}

#[test]
fn many_connections_are_refused_as_a_whole_and_from_each_network() {
    let mut config = MuxConfig::default();
    config.limits.pending_connections = 20;
    config.limits.pending_connections_of_network = 5;
    let mut door = Door::with(config);
    let mut taken = Vec::new();
    for host in ["192.0.2.1", "192.0.2.2"] {
        for port in 1..=5 {
            taken.push(door.try_accept(&format!("{host}:{port}")).unwrap());
        }
        let more = door.try_accept(&format!("{host}:6"));
        assert_eq!(more, Err(MuxAcceptError::NetworkLimit));
    }
    // The same address as IPv6 writes it, and a network that one host has for itself.
    let mapped = door.try_accept("[::ffff:192.0.2.1]:7");
    assert_eq!(mapped, Err(MuxAcceptError::NetworkLimit));
    for host in 1..=5 {
        taken.push(door.try_accept(&format!("[2001:db8::{host:x}:1]:1")).unwrap());
    }
    let same = door.try_accept("[2001:db8::ffff:2]:1");
    assert_eq!(same, Err(MuxAcceptError::NetworkLimit));
    for network in 1..=5 {
        taken.push(door.try_accept(&format!("[2001:db8:0:{network:x}::1]:1")).unwrap());
    }
    assert_eq!(door.try_accept("192.0.2.3:1"), Err(MuxAcceptError::Limit));
    assert_eq!(door.refused(MuxRefused::PendingConnection), 1);
    assert_eq!(door.refused(MuxRefused::PendingConnectionOfNetwork), 4);
    // One that says whose it is makes room.
    let check = door.check(None);
    assert_eq!(door.feed(taken[0], &check), [Fate::Taken]);
    assert!(door.try_accept("192.0.2.1:6").is_ok());
    // And so does time.
    door.run_until(ms(10_000));
    assert_eq!(door.mux.pending_connections(), 0);
    assert_eq!(door.refused(MuxRefused::SilentConnection), 20);
    for port in 1..=5 {
        assert!(door.try_accept(&format!("192.0.2.2:{port}")).is_ok());
    }
}

#[test]
fn who_never_asks_what_to_close_does_not_make_it_grow() {
    let mut config = MuxConfig::default();
    config.limits.pending_connections = 100;
    let mut door = Door::with(config);
    let stranger = framed(&check("nobody:peer", "0123456789012345678901", 1));
    let mut accepted = 0;
    for number in 0..1_000_u32 {
        let from = SocketAddr::from((number.to_be_bytes(), 1));
        if let Ok(id) = door.mux.connection_accepted(door.now, addr(LISTENER), from) {
            accepted += 1;
            let _ = door.mux.handle_stream(door.now, id, &mut &stranger[..]);
        }
    }
    assert_eq!(accepted, 100);
    door.drain();
    assert!(door.try_accept(STRANGER).is_ok());
}

#[test]
fn a_connection_to_another_address_than_that_of_the_session_is_closed() {
    let mut door = Door::new();
    let check = door.check(None);
    let other = addr("10.0.0.1:444");
    let id = door.mux.connection_accepted(door.now, other, addr(STRANGER)).unwrap();
    assert_eq!(door.feed(id, &check), [Fate::Ignored(MuxIgnored::NotAccepted)]);
    assert_eq!(door.closed, [id]);
    assert_eq!(door.mux.connection_session(id), None);
}

#[test]
fn an_agent_with_as_many_connections_as_it_may_have_takes_no_more() {
    let mut door = Door::new();
    let check = door.check(None);
    let mut fates = Vec::new();
    for port in 1..=70 {
        let id = door.try_accept(&format!("10.9.9.9:{port}")).unwrap();
        fates.extend(door.feed(id, &check));
    }
    let count = |fate| fates.iter().filter(|other| **other == fate).count();
    assert_eq!(count(Fate::Taken), 64);
    assert_eq!(count(Fate::Ignored(MuxIgnored::NotAccepted)), 6);
    assert_eq!(door.agent().counters().refused(Refused::Connection), 6);
}

#[test]
fn a_session_that_is_removed_before_the_first_message_is_unknown() {
    for split in [0, 1, 30] {
        let mut door = Door::new();
        let (id, check) = (door.accept(), door.check(None));
        door.feed(id, &check[..split]);
        door.mux.remove(door.session);
        assert_eq!(door.feed(id, &check[split..]), [Fate::Ignored(MuxIgnored::UnknownUfrag)]);
        assert_eq!(door.closed, [id]);
    }
}

#[test]
fn what_one_stranger_does_changes_nothing_for_another_one() {
    let mut door = Door::new();
    let check = door.check(None);
    let (good, bad) = (door.accept(), door.accept());
    door.feed(good, &check[..10]);
    door.feed(bad, &[0xff, 0xff]);
    door.feed(good, &check[10..20]);
    door.run_until(ms(5_000));
    assert_eq!(door.feed(good, &check[20..]), [Fate::Taken]);
    assert_eq!(door.closed, [bad]);
}

#[test]
fn random_bytes_end_a_connection_and_nothing_else() {
    let mut seed = 1_u32;
    let mut next = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    let username = format!("{}:x", Door::new().agent().local_parameters().credentials.ufrag());
    let named = framed(&Message::new(REQUEST, [1; 12]).attr(USERNAME, username.as_bytes()).bytes);
    for round in 0..200 {
        let mut door = Door::new();
        let id = door.accept();
        let mut bytes = named.clone();
        for _ in 0..3 {
            let at = usize::from(next()) % bytes.len();
            bytes[at] = next() & 0x3f;
        }
        for chunk in bytes.chunks(1 + round % 40) {
            door.feed(id, chunk);
        }
        door.run_until(ms(20_000));
        assert_eq!(door.closed, [id]);
        assert_eq!(door.mux.poll_timeout(), None);
        assert!(door.agent().pairs().next().is_none());
    }
}

#[test]
fn a_jump_of_a_day_closes_all_that_wait_in_one_timeout() {
    let mut door = Door::new();
    for host in 0..100_u8 {
        door.try_accept(&format!("10.9.9.{host}:1")).unwrap();
    }
    door.now = door.now + Duration::from_secs(86_400);
    door.mux.handle_timeout(door.now);
    door.drain();
    assert_eq!((door.closed.len(), door.mux.poll_timeout()), (100, None));
}
