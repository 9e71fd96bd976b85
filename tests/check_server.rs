//! The check server (RFC 8445 §7.3, RFC 8489 §6.3 and §9.1.3): what an agent answers, to whom,
//! and what a request may change; and which addresses become host candidates (RFC 8445 §5.1.1).

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{
    Bench, ERROR, ERROR_CODE, FINGERPRINT, ICE_CONTROLLED, ICE_CONTROLLING, INDICATION,
    MESSAGE_INTEGRITY, Message, PEER_PWD, PEER_UFRAG, PRIORITY, REQUEST, SUCCESS, Sent,
    UNKNOWN_ATTRIBUTES, USE_CANDIDATE, USERNAME, XOR_MAPPED_ADDRESS, addr, ms, plain,
};
use frazil::{
    AddLocalError, AddRemoteError, AgentConfig, Candidate, CandidateAddress, CandidateKind,
    ConnectionState, Event, IceAgent, Ignored, Limits, LocalAddress, PairState, Received, Refused,
    Role, Timestamp, Transport,
};
use hmac::{Hmac, Mac};
use sha2::Sha256;

const L: &str = "10.0.0.1:1000";
const L2: &str = "10.0.0.2:1000";
const L3: &str = "10.0.0.3:1000";
const R: &str = "10.1.0.1:2000";
const R2: &str = "10.1.0.2:2000";
const R3: &str = "10.1.0.3:2000";
/// An address of the peer that was never signalled.
const X: &str = "192.0.2.7:7777";

const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
const SOFTWARE: u16 = 0x8022;
const ALTERNATE_SERVER: u16 = 0x8023;

/// The PRIORITY in the checks of the scripted peer.
const PEER_PRIORITY: u32 = 0x6e00_01ff;

/// The same, with checks started at time zero.
fn started(role: Role, locals: &[&str], remotes: &[&str]) -> Bench {
    let mut bench = Bench::waiting(plain(role), locals, remotes);
    bench.start();
    bench
}

/// A controlled agent whose only pair has succeeded and is not nominated.
fn valid() -> Bench {
    let mut bench = started(Role::Controlled, &[L], &[R]);
    let request = bench.last_request();
    let _ = bench.answer(&request);
    assert_eq!(bench.agent.state(), ConnectionState::Connected);
    bench
}

/// A transaction id out of a larger space than the bench has.
fn id(number: u32) -> [u8; 12] {
    let mut id = [0xcd; 12];
    id[8..].copy_from_slice(&number.to_be_bytes());
    id
}

fn opposite_role(bench: &Bench) -> (u16, [u8; 8]) {
    match bench.agent.role() {
        Role::Controlling => (ICE_CONTROLLED, 1_u64.to_be_bytes()),
        Role::Controlled => (ICE_CONTROLLING, 1_u64.to_be_bytes()),
    }
}

/// A check without integrity, with the USERNAME given.
fn check_for(bench: &Bench, number: u32, username: &[u8]) -> Message {
    let (role, tie_breaker) = opposite_role(bench);
    Message::new(REQUEST, id(number))
        .attr(USERNAME, username)
        .attr(PRIORITY, &PEER_PRIORITY.to_be_bytes())
        .attr(role, &tie_breaker)
}

fn username(bench: &Bench) -> Vec<u8> {
    format!("{}:{PEER_UFRAG}", bench.ufrag()).into_bytes()
}

/// A valid check of the peer, of a transaction of this number.
fn sealed_check(bench: &Bench, number: u32) -> Vec<u8> {
    check_for(bench, number, &username(bench)).integrity(&bench.pwd()).fingerprint()
}

/// Delivers a datagram; what became of it, and what the agent sent at once.
fn deliver(
    bench: &mut Bench,
    local: &str,
    remote: &str,
    bytes: &[u8],
) -> (Received<'static>, Vec<Sent>) {
    let before = bench.sent.len();
    let received = bench.feed(local, remote, bytes);
    (received, bench.sent[before..].to_vec())
}

/// What of it was no request.
fn responses(sent: &[Sent]) -> Vec<Sent> {
    sent.iter().filter(|sent| !sent.is_request()).cloned().collect()
}

/// Delivers a datagram and gives the one response to it.
fn response(bench: &mut Bench, local: &str, remote: &str, bytes: &[u8]) -> Sent {
    let (_, sent) = deliver(bench, local, remote, bytes);
    let responses = responses(&sent);
    assert_eq!(responses.len(), 1, "{sent:?}");
    assert_eq!(responses[0].id(), bytes[8..20], "the response is to another request");
    responses[0].clone()
}

/// MESSAGE-INTEGRITY-SHA256, made by hand.
fn integrity_sha256(message: Message, pwd: &str) -> Message {
    let mut covered = message.bytes.clone();
    let len = (covered.len() - 20 + 36) as u16;
    covered[2..4].copy_from_slice(&len.to_be_bytes());
    let mut mac = Hmac::<Sha256>::new_from_slice(pwd.as_bytes()).unwrap();
    mac.update(&covered);
    let tag = mac.finalize().into_bytes();
    message.attr(MESSAGE_INTEGRITY_SHA256, &tag)
}

fn verifies_sha256(sent: &Sent, pwd: &str) -> bool {
    let mut at = 20;
    for (kind, value) in sent.attrs() {
        if kind == MESSAGE_INTEGRITY_SHA256 {
            let covered = Message { bytes: sent.bytes[..at].to_vec() };
            let sealed = integrity_sha256(covered, pwd);
            return sealed.bytes.ends_with(&value);
        }
        at += 4 + value.len().next_multiple_of(4);
    }
    false
}

/// The destinations of the requests, each at its first transmission.
fn order(bench: &Bench) -> Vec<String> {
    let mut seen = Vec::new();
    let mut order = Vec::new();
    for request in bench.requests() {
        if !seen.contains(&request.id()) {
            seen.push(request.id());
            order.push(request.to.to_string());
        }
    }
    order
}

fn requests_to(bench: &Bench, to: &str) -> Vec<Sent> {
    bench.requests().into_iter().filter(|request| request.to == addr(to)).collect()
}

/// The transactions of the requests to an address.
fn transactions_to(bench: &Bench, to: &str) -> BTreeSet<[u8; 12]> {
    requests_to(bench, to).iter().map(Sent::id).collect()
}

fn tie_breaker_of(request: &Sent) -> u64 {
    let value = request.get(ICE_CONTROLLING).or_else(|| request.get(ICE_CONTROLLED)).unwrap();
    u64::from_be_bytes(value.try_into().unwrap())
}

fn pair_state(bench: &Bench, remote: &str) -> PairState {
    let mut pairs = bench.agent.pairs().filter(|pair| pair.remote.addr == addr(remote));
    let state = pairs.next().expect("no pair with this remote candidate").state;
    assert!(pairs.next().is_none(), "several pairs with this remote candidate");
    state
}

fn discovered(bench: &Bench) -> Vec<frazil::CandidateView> {
    bench
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::RemoteCandidateDiscovered { candidate, .. } => Some(*candidate),
            _ => None,
        })
        .collect()
}

fn selections(bench: &Bench) -> usize {
    bench.events.iter().filter(|(_, event)| matches!(event, Event::SelectedPair { .. })).count()
}

fn roles(bench: &Bench) -> Vec<Role> {
    bench
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::RoleChanged(role) => Some(*role),
            _ => None,
        })
        .collect()
}

/// Asserts that a datagram changes nothing but counters and, if need be, makes an answer: the
/// agent ends in the state of a clone that never saw it.
fn assert_changes_nothing(bench: &Bench, local: &str, remote: &str, bytes: &[u8], what: &str) {
    let mut spared = bench.clone();
    spared.drain();
    let mut hit = bench.clone();
    let events = hit.events.len();
    let (_, sent) = deliver(&mut hit, local, remote, bytes);
    assert!(sent.iter().all(|sent| !sent.is_request()), "{what}: it made the agent send a check");
    assert_eq!(hit.events.len(), events, "{what}: it raised an event");
    assert_eq!(hit.agent.poll_timeout(), spared.agent.poll_timeout(), "{what}: it moved a timer");
    assert_eq!(
        hit.agent.state_digest(),
        spared.agent.state_digest(),
        "{what}: it changed the state"
    );
}

// Answering

/// V1: RFC 8445 §7.3. A check that comes before anything is known of the peer is answered.
#[test]
fn a_check_before_the_remote_parameters_is_answered_at_once() {
    let mut bench = Bench::new(Role::Controlled);
    bench.add_local(L);
    let request = sealed_check(&bench, 1);
    let (received, sent) = deliver(&mut bench, L, X, &request);
    assert_eq!(received, Received::Consumed);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].kind(), SUCCESS);
    assert_eq!(sent[0].id(), id(1));
    assert_eq!(sent[0].mapped(), Some(addr(X)));
    assert_eq!((sent[0].from, sent[0].to), (addr(L), addr(X)));
    assert!(sent[0].verifies(&bench.pwd()));
}

/// V1, T1: even one that hits a candidate that the peer cannot know of yet.
#[test]
fn a_check_to_a_candidate_that_was_not_conveyed_is_answered() {
    let mut bench = Bench::new(Role::Controlled);
    let local = LocalAddress::udp(addr(L));
    bench.agent.add_local(ms(0), bench.stream, 1, local).unwrap();
    let request = sealed_check(&bench, 1);
    assert_eq!(response(&mut bench, L, X, &request).kind(), SUCCESS);
}

/// V2: RFC 8445 §7.3. Each source of an early check gets its triggered check when the parameters
/// are there, in the order of arrival, and a nomination among them is kept.
#[test]
fn early_checks_are_processed_when_the_parameters_arrive() {
    let mut bench = Bench::waiting(plain(Role::Controlled), &[L], &[]);
    for remote in [R, R2, R3] {
        let _ = bench.send_check(L, remote, false);
    }
    let _ = bench.send_check(L, R2, true);
    assert_eq!(bench.requests().len(), 0);
    assert!(discovered(&bench).is_empty());

    bench.start();
    bench.run_until(ms(400));
    assert_eq!(order(&bench), [R, R2, R3]);
    assert_eq!(discovered(&bench).len(), 3);

    for remote in [R, R2] {
        let request = requests_to(&bench, remote)[0].clone();
        let _ = bench.answer(&request);
    }
    let selected = bench.agent.selected_pair(bench.stream, 1).expect("the nomination was lost");
    assert_eq!(selected.remote.addr, addr(R2));
}

/// V2, V7: what an early check discovers has the priority that the check told, as any other.
#[test]
fn an_early_check_tells_the_priority_of_its_candidate() {
    let mut bench = Bench::waiting(plain(Role::Controlled), &[L], &[]);
    let _ = bench.send_check(L, R, false);
    bench.start();
    let priorities: Vec<u32> =
        bench.agent.remote_candidates().map(|remote| remote.priority).collect();
    assert_eq!(priorities, [0x6e00_01ff]);
}

/// V2: what is kept for later has a bound, and what is beyond it is counted; all are answered.
#[test]
fn early_checks_are_kept_up_to_the_limit() {
    let mut bench = Bench::waiting(plain(Role::Controlled), &[L], &[]);
    for number in 0..20_u32 {
        let request = sealed_check(&bench, number);
        let remote = format!("10.1.0.1:{}", 2000 + number);
        assert_eq!(response(&mut bench, L, &remote, &request).kind(), SUCCESS);
    }
    assert_eq!(bench.agent.counters().refused(Refused::EarlyCheck), 4);
    bench.start();
    bench.run_until(ms(2000));
    assert_eq!(discovered(&bench).len(), 16);
}

/// N10, decision 20: RFC 8445 §12.2. A peer that has proved itself may be ahead of its own
/// parameters with its data, such as a client that a lite agent has offered to: from where its check
/// has come data is delivered, on no pair yet, and from nowhere else.
#[test]
fn data_that_follows_an_early_check_is_delivered() {
    let unknown = Received::Ignored(Ignored::UnknownRemote);
    let mut lite = plain(Role::Controlled);
    lite.lite = true;
    for config in [plain(Role::Controlled), lite] {
        let mut bench = Bench::waiting(config, &[L, L2], &[]);
        assert_eq!(bench.feed(L, R, b"hello"), unknown);
        let forged =
            check_for(&bench, 1, &username(&bench)).integrity("not the password").fingerprint();
        let _ = bench.feed(L, R2, &forged);
        let _ = bench.send_check(L, R, false);
        let stream = bench.stream;
        let early = Received::Data { stream, component: 1, pair: None, payload: b"" };
        assert_eq!(bench.feed(L, R, b"hello"), early);
        assert_eq!([bench.feed(L, R2, b"hello"), bench.feed(L2, R, b"hello")], [unknown; 2]);

        bench.start();
        let Received::Data { pair: Some(pair), .. } = bench.feed(L, R, b"hello") else {
            panic!("the pair of the check is there now");
        };
        assert!(bench.agent.pairs().any(|view| view.id == pair && view.remote.addr == addr(R)));
    }
}

/// The same of the checks and the data of a peer whose answer to a restart is still on its way. A
/// restart that is taken back leaves nothing of it.
#[test]
fn data_that_is_ahead_of_the_answer_to_a_restart_is_delivered() {
    let mut bench = started(Role::Controlling, &[L], &[R]);
    bench.agent.prepare_restart(bench.now).unwrap();
    let username = format!("{}:next", bench.ufrag());
    let request = check_for(&bench, 1, username.as_bytes()).integrity(&bench.pwd()).fingerprint();
    assert_eq!(response(&mut bench, L, X, &request).kind(), SUCCESS);
    let stream = bench.stream;
    let early = Received::Data { stream, component: 1, pair: None, payload: b"" };
    assert_eq!(bench.feed(L, X, b"hello"), early);
    assert!(bench.agent.rollback_restart(bench.now));
    assert_eq!(bench.feed(L, X, b"hello"), Received::Ignored(Ignored::UnknownRemote));
}

/// V3: RFC 8445 §7.3. A username is two values with a colon between them, of which the first is
/// our fragment.
#[test]
fn the_username_must_start_with_the_own_fragment_and_a_colon() {
    for early in [true, false] {
        let mut bench = Bench::waiting(plain(Role::Controlled), &[L], &[R]);
        if !early {
            bench.start();
        }
        let own = bench.ufrag();
        let wrong = [
            format!("stranger:{PEER_UFRAG}"),
            format!(":{PEER_UFRAG}"),
            format!("{own}x:{PEER_UFRAG}"),
            format!("{}:{PEER_UFRAG}", &own[1..]),
            format!("{}:{PEER_UFRAG}", &own[..own.len() - 1]),
            format!("{PEER_UFRAG}:{own}"),
            own.clone(),
            String::new(),
        ];
        for (number, wrong) in wrong.iter().enumerate() {
            let request = check_for(&bench, number as u32, wrong.as_bytes())
                .integrity(&bench.pwd())
                .fingerprint();
            let (received, sent) = deliver(&mut bench, L, R, &request);
            assert_eq!(received, Received::Ignored(Ignored::UnknownUser), "{wrong}");
            assert_eq!(responses(&sent)[0].code(), Some(401), "{wrong}");
        }
        let request = sealed_check(&bench, 100);
        assert_eq!(response(&mut bench, L, R, &request).kind(), SUCCESS);
    }
}

/// V3: the second value of the username need not be known, before the parameters and after them.
#[test]
fn a_check_of_an_unknown_peer_with_the_right_password_is_answered() {
    for early in [true, false] {
        let mut bench = Bench::waiting(plain(Role::Controlled), &[L], &[R]);
        if !early {
            bench.start();
        }
        let username = format!("{}:fork", bench.ufrag());
        let request =
            check_for(&bench, 1, username.as_bytes()).integrity(&bench.pwd()).fingerprint();
        assert_eq!(response(&mut bench, L, X, &request).kind(), SUCCESS);
    }
}

/// V4: RFC 8489 §9.1.3. Without credentials 400, with wrong ones 401; neither answer carries
/// MESSAGE-INTEGRITY or USERNAME.
#[test]
fn unauthenticated_requests_are_answered_with_400_or_401_without_integrity() {
    let bench = started(Role::Controlled, &[L], &[R]);
    let (role, tie_breaker) = opposite_role(&bench);
    let stranger = format!("stranger:{PEER_UFRAG}");
    let variants = [
        ("no integrity", check_for(&bench, 1, &username(&bench)), 400, Ignored::MissingCredentials),
        (
            "no username",
            Message::new(REQUEST, id(1))
                .attr(PRIORITY, &PEER_PRIORITY.to_be_bytes())
                .attr(role, &tie_breaker)
                .integrity(&bench.pwd()),
            400,
            Ignored::MissingCredentials,
        ),
        (
            "bad user",
            check_for(&bench, 1, stranger.as_bytes()).integrity(&bench.pwd()),
            401,
            Ignored::UnknownUser,
        ),
        (
            "bad integrity",
            check_for(&bench, 1, &username(&bench)).integrity("notthepasswordnotthepassword"),
            401,
            Ignored::BadIntegrity,
        ),
    ];
    for (what, message, code, reason) in variants {
        let mut bench = bench.clone();
        let bytes = message.fingerprint();
        let (received, sent) = deliver(&mut bench, L, R, &bytes);
        assert_eq!(received, Received::Ignored(reason), "{what}");
        assert_eq!(bench.agent.counters().ignored(reason), 1, "{what}");
        assert_eq!(sent.len(), 1, "{what}");
        assert_eq!(sent[0].kind(), ERROR, "{what}");
        assert_eq!(sent[0].code(), Some(code), "{what}");
        assert_eq!(sent[0].id(), id(1), "{what}");
        assert_eq!((sent[0].from, sent[0].to), (addr(L), addr(R)), "{what}");
        assert!(!sent[0].has(MESSAGE_INTEGRITY) && !sent[0].has(USERNAME), "{what}");
        assert!(!sent[0].has(MESSAGE_INTEGRITY_SHA256), "{what}");
        assert!(sent[0].fingerprint_is_last_and_right(), "{what}");
    }
}

/// V5: RFC 8489 §9.1.3. Success, 420 and 487 are keyed with the local password, end with
/// FINGERPRINT and carry no USERNAME.
#[test]
fn answers_to_authenticated_requests_are_sealed_with_the_local_password() {
    let mut bench = started(Role::Controlling, &[L], &[R]);
    let pwd = bench.pwd();
    let conflict = Message::new(REQUEST, id(3))
        .attr(USERNAME, &username(&bench))
        .attr(ICE_CONTROLLING, &0_u64.to_be_bytes());
    let requests = [
        (check_for(&bench, 1, &username(&bench)), None),
        (check_for(&bench, 2, &username(&bench)).attr(0x7777, &[]), Some(420)),
        (conflict, Some(487)),
    ];
    for (request, code) in requests {
        let bytes = request.integrity(&pwd).fingerprint();
        let answer = response(&mut bench, L, R, &bytes);
        assert_eq!(answer.code(), code);
        assert_eq!(answer.kind(), if code.is_none() { SUCCESS } else { ERROR });
        assert!(answer.verifies(&pwd), "{code:?}");
        assert!(answer.fingerprint_is_last_and_right(), "{code:?}");
        assert!(!answer.has(USERNAME), "{code:?}");
    }
}

/// V16: RFC 8445 §7.3. No answer ever names an alternate server.
#[test]
fn no_answer_carries_an_alternate_server() {
    let mut bench = started(Role::Controlled, &[L], &[R]);
    let good = sealed_check(&bench, 1);
    let bad = check_for(&bench, 2, &username(&bench)).fingerprint();
    for bytes in [good, bad] {
        assert!(!response(&mut bench, L, R, &bytes).has(ALTERNATE_SERVER));
    }
}

/// V16: RFC 8445 §7.3. A request in the form of RFC 3489, without the magic cookie, is no STUN:
/// data where data is accepted, and ignored elsewhere, but never answered.
#[test]
fn a_request_without_the_cookie_is_not_answered() {
    let mut bench = valid();
    let mut request = sealed_check(&bench, 1);
    request[4..8].copy_from_slice(&[0x12, 0x34, 0x56, 0x78]);
    let (received, sent) = deliver(&mut bench, L, R, &request);
    assert!(matches!(received, Received::Data { .. }), "{received:?}");
    assert!(sent.is_empty());
    let (received, sent) = deliver(&mut bench, L, X, &request);
    assert_eq!(received, Received::Ignored(Ignored::UnknownRemote));
    assert!(sent.is_empty());
}

/// V17, S6: RFC 8489 §6.3.1.2. The response goes from where the request arrived to where it came
/// from.
#[test]
fn the_response_takes_the_way_of_the_request_back() {
    let mut bench = Bench::waiting(plain(Role::Controlled), &[L, L2, L3], &[R]);
    for (number, (local, remote)) in [(L2, R), (L3, X), (L, R2), (L2, X)].iter().enumerate() {
        let request = sealed_check(&bench, number as u32);
        let answer = response(&mut bench, local, remote, &request);
        assert_eq!((answer.from, answer.to), (addr(local), addr(remote)));
        assert_eq!(answer.mapped(), Some(addr(remote)));
    }
}

/// V18: RFC 8489 §6.3.1. A retransmitted request gets an equal response and changes nothing more.
#[test]
fn a_retransmitted_request_triggers_once_and_is_answered_twice() {
    let mut bench = started(Role::Controlled, &[L], &[]);
    let request = sealed_check(&bench, 1);
    let first = response(&mut bench, L, X, &request);
    bench.run_until(ms(60));
    assert_eq!(transactions_to(&bench, X).len(), 1);

    let second = response(&mut bench, L, X, &request);
    assert_eq!(first.bytes, second.bytes);
    bench.run_until(ms(400));
    assert_eq!(transactions_to(&bench, X).len(), 1, "the retransmission triggered again");
    assert_eq!(discovered(&bench).len(), 1);
}

/// V19, U13: RFC 8489 §6.3.1. Unknown comprehension-required attributes are all named in a 420,
/// and the request has no other effect.
#[test]
fn unknown_required_attributes_are_answered_with_420_that_names_them() {
    let mut bench = started(Role::Controlled, &[L], &[R]);
    let request = check_for(&bench, 1, &username(&bench))
        .attr(0x7777, &[1, 2, 3, 4])
        .attr(0x7778, &[])
        .attr(0x7777, &[])
        .attr(USE_CANDIDATE, &[])
        .integrity(&bench.pwd())
        .fingerprint();
    assert_changes_nothing(&bench, L, X, &request, "420");
    let answer = response(&mut bench, L, X, &request);
    assert_eq!(answer.code(), Some(420));
    assert!(answer.verifies(&bench.pwd()));
    let listed: BTreeSet<u16> = answer
        .get(UNKNOWN_ATTRIBUTES)
        .expect("UNKNOWN-ATTRIBUTES")
        .chunks(2)
        .map(|kind| u16::from_be_bytes([kind[0], kind[1]]))
        .collect();
    assert_eq!(listed, BTreeSet::from([0x7777, 0x7778]));
}

/// V19: RFC 8489 §6.3. Authentication comes before the look at unknown attributes.
#[test]
fn an_unknown_attribute_with_a_wrong_password_is_answered_with_401() {
    let mut bench = started(Role::Controlled, &[L], &[R]);
    let request = check_for(&bench, 1, &username(&bench))
        .attr(0x7777, &[1, 2, 3, 4])
        .integrity("notthepasswordnotthepassword")
        .fingerprint();
    let answer = response(&mut bench, L, R, &request);
    assert_eq!(answer.code(), Some(401));
    assert!(!answer.has(UNKNOWN_ATTRIBUTES));
}

/// V21: RFC 8489 §6.3.2. Neither an indication nor a response is ever answered.
#[test]
fn indications_and_responses_are_never_answered() {
    let mut bench = started(Role::Controlled, &[L], &[R]);
    let check = bench.last_request();
    let pwd = bench.pwd();
    let datagrams = [
        Message::new(INDICATION, id(1)).fingerprint(),
        Message::new(INDICATION, id(2)).attr(0x7777, &[]).integrity(&pwd).fingerprint(),
        Message::new(INDICATION, id(3)).attr(USERNAME, b"nobody").fingerprint(),
        Message::new(SUCCESS, id(4)).xor_mapped(addr(L)).integrity(&pwd).fingerprint(),
        Message::new(SUCCESS, check.id()).attr(0x7777, &[]).integrity(PEER_PWD).fingerprint(),
        Message::new(ERROR, id(5)).error_code(400).fingerprint(),
        Message::new(ERROR, id(6)).error_code(401).integrity(&pwd).fingerprint(),
    ];
    for bytes in datagrams {
        let (_, sent) = deliver(&mut bench, L, R, &bytes);
        assert!(responses(&sent).is_empty(), "{sent:?}");
    }
}

/// U23: RFC 8489 §9.1.3. A request with MESSAGE-INTEGRITY-SHA256 alone is answered with the same,
/// be the answer a success or an error.
#[test]
fn a_request_with_sha256_alone_is_answered_with_sha256() {
    let mut bench = started(Role::Controlled, &[L], &[]);
    let pwd = bench.pwd();
    let good = integrity_sha256(check_for(&bench, 1, &username(&bench)), &pwd).fingerprint();
    let answer = response(&mut bench, L, X, &good);
    assert_eq!(answer.kind(), SUCCESS);
    assert!(verifies_sha256(&answer, &pwd));
    assert!(!answer.has(MESSAGE_INTEGRITY));
    assert_eq!(transactions_to(&bench, X).len(), 1, "it triggers a check as any other");

    let unknown = check_for(&bench, 2, &username(&bench)).attr(0x7777, &[]);
    let answer = response(&mut bench, L, X, &integrity_sha256(unknown, &pwd).fingerprint());
    assert_eq!(answer.code(), Some(420));
    assert!(verifies_sha256(&answer, &pwd));
    assert!(!answer.has(MESSAGE_INTEGRITY));
}

/// U23: RFC 8489 §9.1.3. A wrong MESSAGE-INTEGRITY-SHA256 is as good as none.
#[test]
fn a_request_with_a_wrong_sha256_is_refused() {
    let bench = started(Role::Controlled, &[L], &[]);
    let forged = check_for(&bench, 1, &username(&bench));
    let forged = integrity_sha256(forged, "notthepasswordnotthepassword").fingerprint();
    assert_changes_nothing(&bench, L, X, &forged, "wrong SHA-256");
    let (received, _) = deliver(&mut bench.clone(), L, X, &forged);
    assert_eq!(received, Received::Ignored(Ignored::BadIntegrity));
}

/// U24: RFC 8489 §6.3. Unknown comprehension-optional attributes, and known ones that do not
/// belong into a request, are ignored.
#[test]
fn optional_and_misplaced_attributes_are_ignored() {
    let mut bench = started(Role::Controlled, &[L], &[R]);
    let extras = [
        (0x9999, vec![1, 2, 3]),
        (0xffff, vec![]),
        (SOFTWARE, vec![0xff, 0xfe]),
        (ERROR_CODE, vec![0, 0, 4, 0]),
        (XOR_MAPPED_ADDRESS, vec![0, 9, 9]),
        (UNKNOWN_ATTRIBUTES, vec![0x77, 0x77]),
    ];
    for (number, (kind, value)) in extras.into_iter().enumerate() {
        let request = check_for(&bench, number as u32, &username(&bench))
            .attr(kind, &value)
            .integrity(&bench.pwd())
            .fingerprint();
        assert_eq!(response(&mut bench, L, R, &request).kind(), SUCCESS, "{kind:#06x}");
    }
}

// Decision 7: what anybody can ask for

/// V4, decision 7: the answer to an unauthenticated request is never larger than the request.
#[test]
fn an_unauthenticated_answer_is_not_larger_than_the_request() {
    let (mut answered, mut silent) = (0, 0);
    for padding in 0..24 {
        for code in [400, 401] {
            let mut bench = Bench::new(Role::Controlled);
            bench.add_local(L);
            let mut request = Message::new(REQUEST, id(padding));
            if code == 401 {
                request = request.attr(USERNAME, b"a:b");
            }
            request = request.attr(0x8888, &vec![0; padding as usize * 4]);
            if code == 401 {
                request = request.integrity("notthepasswordnotthepassword");
            }
            let (received, sent) = deliver(&mut bench, L, X, &request.bytes);
            assert!(matches!(received, Received::Ignored(_)));
            let large = bench.agent.counters().refused(Refused::LargeReply);
            assert_eq!(sent.len() as u64 + large, 1);
            for answer in &sent {
                assert_eq!(answer.code(), Some(code));
                assert!(answer.bytes.len() <= request.bytes.len());
            }
            let needed = if code == 400 { 48 } else { 52 };
            assert_eq!(sent.is_empty(), request.bytes.len() < needed, "as large is not larger");
            if sent.is_empty() { silent += 1 } else { answered += 1 }
        }
    }
    assert!(answered > 0 && silent > 0, "{answered} answered, {silent} silent");
}

/// V4, decision 7: a bare header is the least that a request can be, and is not answered.
#[test]
fn a_bare_header_is_not_answered() {
    let mut bench = Bench::new(Role::Controlled);
    bench.add_local(L);
    let (received, sent) = deliver(&mut bench, L, X, &Message::new(REQUEST, id(1)).bytes);
    assert_eq!(received, Received::Ignored(Ignored::MissingCredentials));
    assert!(sent.is_empty());
}

/// V4, decision 7: no more than the bucket holds is answered at once, nor in any second more than
/// a full bucket and what flows into it; authenticated requests are not counted.
#[test]
fn unauthenticated_answers_come_out_of_a_token_bucket() {
    let mut bench = Bench::new(Role::Controlled);
    bench.add_local(L);
    let request = check_for(&bench, 1, b"stranger:peer").fingerprint();
    let burst = (0..50).filter(|_| !deliver(&mut bench, L, X, &request).1.is_empty()).count();
    assert_eq!(burst, 10);
    assert_eq!(bench.agent.counters().refused(Refused::UnauthenticatedReply), 40);

    let good = sealed_check(&bench, 2);
    assert_eq!(response(&mut bench, L, X, &good).kind(), SUCCESS);

    let mut answered = Vec::new();
    for step in 0..500_u64 {
        bench.now = ms(10 * step);
        if !deliver(&mut bench, L, X, &request).1.is_empty() {
            answered.push(10 * step);
        }
    }
    for &start in &answered {
        let within = answered.iter().filter(|&&at| at >= start && at < start + 1000).count();
        assert!(within <= 20, "{within} answers in the second from {start} ms");
    }
    assert!(answered.len() >= 30, "the bucket does not fill: {}", answered.len());
    assert!(answered.len() <= 60, "the bucket leaks: {}", answered.len());
}

/// V4, decision 7: the size of the bucket is a limit of the configuration; zero is silence.
#[test]
fn the_token_bucket_has_the_configured_size() {
    for size in [0, 3] {
        let mut config = plain(Role::Controlled);
        config.limits.unauthenticated_replies = size;
        let mut bench = Bench::with(config);
        bench.add_local(L);
        let request = check_for(&bench, 1, b"stranger:peer").fingerprint();
        let burst = (0..10).filter(|_| !deliver(&mut bench, L, X, &request).1.is_empty()).count();
        assert_eq!(burst, usize::from(size));
    }
}

/// V4, decision 7: a configuration makes the agent silent towards strangers, and only to them.
#[test]
fn unauthenticated_requests_can_be_left_unanswered() {
    let mut config = plain(Role::Controlled);
    config.answer_unauthenticated = false;
    let mut bench = Bench::waiting(config, &[L], &[R]);
    let forged = [
        check_for(&bench, 1, &username(&bench)).fingerprint(),
        check_for(&bench, 2, b"stranger:peer").integrity(&bench.pwd()).fingerprint(),
        check_for(&bench, 3, &username(&bench)).integrity("nope").fingerprint(),
    ];
    for bytes in forged {
        let (received, sent) = deliver(&mut bench, L, R, &bytes);
        assert!(matches!(received, Received::Ignored(_)));
        assert!(sent.is_empty());
    }
    let good = sealed_check(&bench, 4);
    assert_eq!(response(&mut bench, L, R, &good).kind(), SUCCESS);
    let unknown = check_for(&bench, 5, &username(&bench)).attr(0x7777, &[]).integrity(&bench.pwd());
    assert_eq!(response(&mut bench, L, R, &unknown.fingerprint()).code(), Some(420));
}

// Roles

/// V7: RFC 8445 §7.3.1.1. The table: the larger tie breaker has its way, the agent's among equals.
#[test]
fn role_conflicts_are_settled_by_the_tie_breaker() {
    let own = |bench: &Bench| tie_breaker_of(&bench.last_request());
    let cases: [(Role, &str, bool); 6] = [
        (Role::Controlling, "smaller", false),
        (Role::Controlling, "equal", false),
        (Role::Controlling, "larger", true),
        (Role::Controlled, "smaller", true),
        (Role::Controlled, "equal", true),
        (Role::Controlled, "larger", false),
    ];
    for (role, theirs, switches) in cases {
        let mut bench = started(role, &[L], &[R]);
        let tie_breaker = match theirs {
            "smaller" => 0,
            "equal" => own(&bench),
            _ => u64::MAX,
        };
        let claim = match role {
            Role::Controlling => ICE_CONTROLLING,
            Role::Controlled => ICE_CONTROLLED,
        };
        let request = Message::new(REQUEST, id(1))
            .attr(USERNAME, &username(&bench))
            .attr(PRIORITY, &PEER_PRIORITY.to_be_bytes())
            .attr(claim, &tie_breaker.to_be_bytes())
            .integrity(&bench.pwd())
            .fingerprint();
        if !switches {
            assert_changes_nothing(&bench, L, X, &request, "487");
        }
        let answer = response(&mut bench, L, X, &request);
        let what = format!("{role:?}, theirs {theirs}");
        if switches {
            assert_eq!(answer.kind(), SUCCESS, "{what}");
            assert_eq!(bench.agent.role(), role.opposite(), "{what}");
            assert_eq!(roles(&bench), [role.opposite()], "{what}");
        } else {
            assert_eq!(answer.code(), Some(487), "{what}");
            assert_eq!(bench.agent.role(), role, "{what}");
            assert!(roles(&bench).is_empty(), "{what}");
        }
    }
}

/// V8: RFC 8445 §7.3.1.1. The request that makes the agent switch is then processed as any other,
/// and the checks that follow claim the new role.
#[test]
fn a_request_that_switches_the_role_is_processed() {
    let mut bench = started(Role::Controlling, &[L], &[]);
    let request = Message::new(REQUEST, id(1))
        .attr(USERNAME, &username(&bench))
        .attr(PRIORITY, &PEER_PRIORITY.to_be_bytes())
        .attr(ICE_CONTROLLING, &u64::MAX.to_be_bytes())
        .attr(USE_CANDIDATE, &[])
        .integrity(&bench.pwd())
        .fingerprint();
    assert_eq!(response(&mut bench, L, X, &request).kind(), SUCCESS);
    let triggered = bench.last_request();
    assert_eq!(triggered.to, addr(X));
    assert!(triggered.has(ICE_CONTROLLED) && !triggered.has(ICE_CONTROLLING));
    assert_eq!(discovered(&bench).len(), 1);
    let _ = bench.answer(&triggered);
    assert_eq!(selections(&bench), 1, "the nomination was for the role that the agent has now");
}

/// V9: RFC 8445 §7.3.1.1 says nothing of requests without a role; there is no conflict.
#[test]
fn a_request_without_a_role_is_accepted_in_both_roles() {
    for role in [Role::Controlling, Role::Controlled] {
        let mut bench = started(role, &[L], &[]);
        let request = Message::new(REQUEST, id(1))
            .attr(USERNAME, &username(&bench))
            .attr(PRIORITY, &PEER_PRIORITY.to_be_bytes())
            .integrity(&bench.pwd())
            .fingerprint();
        assert_eq!(response(&mut bench, L, X, &request).kind(), SUCCESS);
        assert_eq!(bench.agent.role(), role);
        assert_eq!(transactions_to(&bench, X).len(), 1);
    }
}

// Peer-reflexive candidates and triggered checks

/// V10, S6: RFC 8445 §7.3.1.3. A check from an unknown source makes a peer-reflexive candidate
/// with the priority that it names, and one pair: with the local candidate that it hit.
#[test]
fn a_check_from_an_unknown_source_makes_one_pair() {
    let mut bench = started(Role::Controlled, &[L, L2, L3], &[]);
    let _ = bench.send_check(L2, X, false);
    bench.run_until(ms(300));
    let found = discovered(&bench);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].kind, CandidateKind::PeerReflexive);
    assert_eq!(found[0].addr, addr(X));
    assert_eq!(found[0].priority, PEER_PRIORITY);
    assert_eq!(found[0].component, 1);
    assert_eq!(found[0].stream, bench.stream);

    let pairs: Vec<_> = bench.agent.pairs().collect();
    assert_eq!(pairs.len(), 1);
    assert_eq!(pairs[0].local.addr, addr(L2));
    let requests = bench.requests();
    assert!(!requests.is_empty());
    assert!(requests.iter().all(|request| (request.from, request.to) == (addr(L2), addr(X))));
}

/// V10: a local candidate that comes later is not paired with a peer-reflexive one either.
#[test]
fn a_later_local_candidate_is_not_paired_with_a_discovered_one() {
    let mut bench = Bench::with(plain(Role::Controlled));
    bench.add_local(L);
    bench.start();
    let _ = bench.send_check(L, X, false);
    bench.add_local(L2);
    bench.run_until(ms(300));
    assert_eq!(bench.agent.pairs().count(), 1);
}

/// V10: the candidate belongs to the component whose local candidate the check hit.
#[test]
fn a_discovered_candidate_has_the_component_that_was_hit() {
    let mut config = plain(Role::Controlled);
    config.components = 2;
    let mut bench = Bench::with(config);
    bench.add_local(L);
    let second = LocalAddress::udp(addr(L2));
    bench.agent.add_local(ms(0), bench.stream, 2, second).unwrap();
    bench.drain();
    bench.start();
    let _ = bench.send_check(L2, X, false);
    assert_eq!(discovered(&bench)[0].component, 2);
    assert_eq!(bench.agent.pairs().next().unwrap().component, 2);
}

/// V10: RFC 8445 §7.3.1.3. Foundations of discovered candidates are their own: the failure or the
/// success of another pair does not hold them back or set them free.
#[test]
fn discovered_candidates_do_not_wait_for_each_other() {
    let mut bench = started(Role::Controlled, &[L], &[]);
    for port in 0..4 {
        let _ = bench.send_check(L, &format!("192.0.2.7:{}", 7000 + port), false);
    }
    assert!(bench.agent.pairs().all(|pair| pair.state != PairState::Frozen));
    bench.run_until(ms(160));
    assert_eq!(order(&bench).len(), 4);
}

/// V11: RFC 8445 §7.3.1.4. The pair of a triggered check has the host candidate where the request
/// arrived, although the peer sees that host under a reflexive address.
#[test]
fn a_triggered_check_uses_the_host_candidate_behind_a_reflexive_one() {
    let mut bench = started(Role::Controlled, &[L], &[R]);
    let request = bench.last_request();
    let mapped = Message::new(SUCCESS, request.id())
        .xor_mapped(addr("203.0.113.9:9000"))
        .integrity(PEER_PWD)
        .fingerprint();
    let _ = bench.feed(L, R, &mapped);
    let reflexive = |kind| kind == CandidateKind::PeerReflexive;
    assert!(bench.agent.local_candidates().any(|local| reflexive(local.kind)));

    bench.run_until(ms(60));
    let _ = bench.send_check(L, X, false);
    let pair = bench.agent.pairs().find(|pair| pair.remote.addr == addr(X)).unwrap();
    assert_eq!(pair.local.kind, CandidateKind::Host);
    assert_eq!(pair.local.addr, addr(L));
    assert_eq!(requests_to(&bench, X)[0].from, addr(L));
}

/// V12: RFC 8445 §7.3.1.4. Succeeded: nothing further is done.
#[test]
fn a_check_on_a_succeeded_pair_triggers_nothing() {
    let mut bench = valid();
    bench.run_until(ms(60));
    let before = bench.requests().len();
    assert_eq!(bench.send_check(L, R, false), Received::Consumed);
    bench.run_until(ms(1000));
    assert_eq!(bench.requests().len(), before);
    assert_eq!(pair_state(&bench, R), PairState::Succeeded);
}

/// V12: RFC 8445 §7.3.1.4. In-Progress: the check is cancelled, and a new one takes its place.
#[test]
fn a_check_on_a_pair_in_progress_replaces_the_own_one() {
    let mut bench = started(Role::Controlled, &[L], &[R]);
    let first = bench.last_request();
    bench.run_until(ms(10));
    let _ = bench.send_check(L, R, false);
    assert_eq!(pair_state(&bench, R), PairState::Waiting);
    bench.run_until(ms(50));
    assert_eq!(pair_state(&bench, R), PairState::InProgress);
    bench.run_until(ms(3000));
    let sent = bench.requests();
    assert_eq!(sent.iter().filter(|request| request.id() == first.id()).count(), 1);
    let second = sent[1].clone();
    assert_eq!(second.at, ms(50));
    assert_eq!(sent.iter().filter(|request| request.id() == second.id()).count(), 3);
}

/// V12: RFC 8445 §7.3.1.4. Waiting: the pair goes into the triggered queue, once.
#[test]
fn a_check_on_a_waiting_pair_brings_it_forward_once() {
    let mut bench = started(Role::Controlled, &[L], &[R, R2, R3]);
    assert_eq!(pair_state(&bench, R3), PairState::Waiting);
    let _ = bench.send_check(L, R3, false);
    let _ = bench.send_check(L, R3, false);
    assert_eq!(pair_state(&bench, R3), PairState::Waiting);
    bench.run_until(ms(400));
    assert_eq!(order(&bench), [R, R3, R2]);
}

/// V12: RFC 8445 §7.3.1.4. Frozen: the pair becomes Waiting and goes into the triggered queue.
#[test]
fn a_check_on_a_frozen_pair_thaws_it() {
    let mut bench = Bench::with(plain(Role::Controlled));
    bench.add_local(L);
    bench.add_remote_line("same 1 UDP 2000000002 10.1.0.1 2000 typ host");
    bench.add_remote_line("same 1 UDP 2000000001 10.1.0.2 2000 typ host");
    bench.add_remote_line("other 1 UDP 2000000000 10.1.0.3 2000 typ host");
    bench.start();
    assert_eq!(pair_state(&bench, R2), PairState::Frozen);
    let _ = bench.send_check(L, R2, false);
    assert_eq!(pair_state(&bench, R2), PairState::Waiting);
    bench.run_until(ms(400));
    assert_eq!(order(&bench), [R, R2, R3]);
}

/// V12: RFC 8445 §7.3.1.4. Failed: the pair is checked again.
#[test]
fn a_check_on_a_failed_pair_revives_it() {
    let mut bench = started(Role::Controlled, &[L], &[R]);
    let request = bench.last_request();
    let refusal = Message::new(ERROR, request.id()).error_code(400).integrity(PEER_PWD);
    let _ = bench.feed(L, R, &refusal.fingerprint());
    assert_eq!(pair_state(&bench, R), PairState::Failed);
    bench.run_until(ms(100));
    assert_eq!(bench.requests().len(), 1);

    let _ = bench.send_check(L, R, false);
    let again = bench.last_request();
    assert_ne!(again.id(), request.id());
    let _ = bench.answer(&again);
    assert_eq!(bench.agent.state(), ConnectionState::Connected);
}

/// V12: RFC 8445 §7.3.1.4. A pair that revives takes its checklist out of Failed.
#[test]
fn a_check_on_a_failed_pair_revives_the_session() {
    let mut bench = started(Role::Controlled, &[L], &[R]);
    bench.run_until(ms(60_000));
    assert_eq!(bench.agent.state(), ConnectionState::Failed);
    let _ = bench.send_check(L, R, true);
    assert_eq!(bench.agent.state(), ConnectionState::Checking);
    let again = bench.last_request();
    assert_eq!(again.at, ms(60_000));
    let _ = bench.answer(&again);
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
}

/// V13: RFC 8445 §7.3.1.4. A triggered check is addressed to the peer whose parameters are known.
#[test]
fn a_triggered_check_has_the_credentials_of_the_current_peer() {
    let mut bench = started(Role::Controlled, &[L], &[]);
    let _ = bench.send_check(L, X, false);
    let triggered = bench.last_request();
    let expected = format!("{PEER_UFRAG}:{}", bench.ufrag());
    assert_eq!(triggered.get(USERNAME), Some(expected.into_bytes()));
    assert!(triggered.verifies(PEER_PWD));
}

/// V13: the check of another fork, authentic as it is, is answered and changes nothing.
#[test]
fn a_check_of_another_fork_is_answered_and_changes_nothing() {
    let mut bench = started(Role::Controlled, &[L], &[R]);
    let fork = format!("{}:fork", bench.ufrag());
    for (number, remote) in [R, X].into_iter().enumerate() {
        let request = check_for(&bench, number as u32, fork.as_bytes())
            .attr(USE_CANDIDATE, &[])
            .integrity(&bench.pwd())
            .fingerprint();
        assert_changes_nothing(&bench, L, remote, &request, "a fork's check");
        assert_eq!(response(&mut bench, L, remote, &request).kind(), SUCCESS);
    }
}

/// V13, V2: early checks of a fork that was not chosen are dropped with the choice.
#[test]
fn early_checks_of_another_fork_are_forgotten() {
    let mut bench = Bench::waiting(plain(Role::Controlled), &[L], &[]);
    let fork = format!("{}:fork", bench.ufrag());
    let request = check_for(&bench, 1, fork.as_bytes()).integrity(&bench.pwd()).fingerprint();
    assert_eq!(response(&mut bench, L, X, &request).kind(), SUCCESS);
    let _ = bench.send_check(L, R, false);
    bench.start();
    assert_eq!(bench.feed(L, X, b"data"), Received::Ignored(Ignored::UnknownRemote));
    bench.run_until(ms(300));
    assert_eq!(order(&bench), [R]);
    assert_eq!(discovered(&bench).len(), 1);
}

/// V13, V2: early checks of two peers from one address are two: that of the peer that was chosen
/// counts.
#[test]
fn an_early_check_counts_beside_that_of_a_fork_from_the_same_address() {
    let mut bench = Bench::waiting(plain(Role::Controlled), &[L], &[]);
    let fork = format!("{}:fork", bench.ufrag());
    let request = check_for(&bench, 1, fork.as_bytes()).integrity(&bench.pwd()).fingerprint();
    assert_eq!(response(&mut bench, L, R, &request).kind(), SUCCESS);
    let _ = bench.send_check(L, R, false);
    bench.start();
    assert_eq!(order(&bench), [R]);
}

/// RFC 8445 §7.3.1.4: the check that a triggered one replaces does not decide the pair any more: an
/// error that answers it leaves the new check in the queue.
#[test]
fn an_error_for_a_replaced_check_leaves_the_triggered_one_alone() {
    let mut bench = started(Role::Controlled, &[L], &[R]);
    let replaced = bench.last_request();
    let _ = bench.send_check(L, R, false);
    let error = Message::new(ERROR, replaced.id()).error_code(400).integrity(PEER_PWD);
    assert_eq!(bench.feed(L, R, &error.fingerprint()), Received::Consumed);
    bench.run_until(ms(100));
    let triggered = bench.last_request();
    assert_ne!(triggered.id(), replaced.id());
    let _ = bench.answer(&triggered);
    assert!(bench.agent.pairs().any(|pair| pair.state == PairState::Succeeded));
}

// Nomination by the peer

/// V14: RFC 8445 §7.3.1.5. USE-CANDIDATE on a Succeeded pair selects it at once.
#[test]
fn a_nomination_of_a_succeeded_pair_takes_effect_at_once() {
    let mut bench = valid();
    assert_eq!(selections(&bench), 0);
    bench.run_until(ms(200));
    let before = bench.requests().len();
    let _ = bench.send_check(L, R, true);
    assert_eq!(selections(&bench), 1);
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    assert_eq!(bench.requests().len(), before, "no check is needed any more");
}

/// V14: RFC 8445 §7.3.1.5. A nomination whose triggered check fails selects nothing.
#[test]
fn a_nomination_fails_with_the_triggered_check() {
    let mut bench = started(Role::Controlled, &[L], &[]);
    let _ = bench.send_check(L, X, true);
    let triggered = bench.last_request();
    let refusal = Message::new(ERROR, triggered.id()).error_code(400).integrity(PEER_PWD);
    let _ = bench.feed(L, X, &refusal.fingerprint());
    assert_eq!(selections(&bench), 0);
    assert_eq!(pair_state(&bench, X), PairState::Failed);
    assert_ne!(bench.agent.state(), ConnectionState::Completed);
}

/// V15, decision 8: a nomination for less than what is selected is answered with success and has
/// no effect: an error would make a browser destroy the pair.
#[test]
fn a_nomination_that_is_not_accepted_is_answered_with_success() {
    let mut bench = started(Role::Controlled, &[L], &[R, R2]);
    bench.run_until(ms(60));
    for remote in [R, R2] {
        let request = requests_to(&bench, remote)[0].clone();
        let _ = bench.answer(&request);
    }
    let _ = bench.send_check(L, R, true);
    assert_eq!(selections(&bench), 1);
    let request = check_for(&bench, 9, &username(&bench))
        .attr(USE_CANDIDATE, &[])
        .integrity(&bench.pwd())
        .fingerprint();
    assert_eq!(response(&mut bench, L, R2, &request).kind(), SUCCESS);
    assert_eq!(response(&mut bench, L, X, &request).kind(), SUCCESS);
    assert_eq!(selections(&bench), 1);
    let selected = bench.agent.selected_pair(bench.stream, 1).unwrap();
    assert_eq!(selected.remote.addr, addr(R));
}

/// V15, decision 8: nor can a controlled peer nominate.
#[test]
fn a_nomination_by_a_controlled_peer_is_ignored() {
    let mut bench = started(Role::Controlling, &[L], &[R]);
    let first = bench.last_request();
    let _ = bench.answer(&first);
    let request = check_for(&bench, 1, &username(&bench))
        .attr(USE_CANDIDATE, &[])
        .integrity(&bench.pwd())
        .fingerprint();
    let answer = response(&mut bench, L, R, &request);
    assert_eq!(answer.kind(), SUCCESS);
    assert_eq!(selections(&bench), 0);
    assert_eq!(bench.agent.role(), Role::Controlling);
}

// What is ignored, and counted

fn assert_ignored(bench: &mut Bench, local: &str, remote: &str, bytes: &[u8], reason: Ignored) {
    let before = bench.agent.counters().ignored(reason);
    let (received, sent) = deliver(bench, local, remote, bytes);
    assert_eq!(received, Received::Ignored(reason));
    assert_eq!(bench.agent.counters().ignored(reason), before + 1);
    if !matches!(reason, Ignored::MissingCredentials | Ignored::UnknownUser | Ignored::BadIntegrity)
    {
        assert!(sent.is_empty(), "{reason:?}: {sent:?}");
    }
}

/// Each reason for which a datagram is ignored has its counter.
#[test]
fn what_is_ignored_is_counted_by_its_reason() {
    let mut bench = started(Role::Controlled, &[L], &[R]);
    let check = sealed_check(&bench, 1);
    assert_ignored(&mut bench, L2, R, &check, Ignored::UnknownLocal);
    assert_ignored(&mut bench, "10.0.0.1:1001", R, &check, Ignored::UnknownLocal);
    assert_ignored(&mut bench, L2, R, b"application data", Ignored::UnknownLocal);
    assert_ignored(&mut bench, L, R, b"application data", Ignored::UnknownRemote);
    assert_ignored(&mut bench, L, R, b"", Ignored::UnknownRemote);

    let mut short = check.clone();
    short.truncate(short.len() - 4);
    assert_ignored(&mut bench, L, R, &short, Ignored::MalformedStun);
    let mut long = check.clone();
    long.extend([0; 4]);
    assert_ignored(&mut bench, L, R, &long, Ignored::MalformedStun);
    let mut overrun = Message::new(REQUEST, id(2)).attr(SOFTWARE, b"abcd").bytes;
    overrun[23] = 200;
    assert_ignored(&mut bench, L, R, &overrun, Ignored::MalformedStun);

    let mut flipped = check.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert_ignored(&mut bench, L, R, &flipped, Ignored::BadFingerprint);
    let mut flipped = check.clone();
    flipped[30] ^= 1;
    assert_ignored(&mut bench, L, R, &flipped, Ignored::BadFingerprint);

    let allocate = Message::new(0x0003, id(3))
        .attr(USERNAME, &username(&bench))
        .integrity(&bench.pwd())
        .fingerprint();
    assert_ignored(&mut bench, L, R, &allocate, Ignored::UnexpectedMessage);

    let nobody = check_for(&bench, 4, &username(&bench)).fingerprint();
    assert_ignored(&mut bench, L, R, &nobody, Ignored::MissingCredentials);
    let stranger = check_for(&bench, 5, b"stranger:peer").integrity(&bench.pwd()).fingerprint();
    assert_ignored(&mut bench, L, R, &stranger, Ignored::UnknownUser);
    let forged = check_for(&bench, 6, &username(&bench)).integrity("wrong").fingerprint();
    assert_ignored(&mut bench, L, R, &forged, Ignored::BadIntegrity);

    let request = bench.last_request();
    let forged = Message::new(SUCCESS, request.id()).xor_mapped(addr(L)).integrity("wrong");
    assert_ignored(&mut bench, L, R, &forged.fingerprint(), Ignored::BadIntegrity);
    let stray = Message::new(SUCCESS, id(7)).xor_mapped(addr(L)).integrity(PEER_PWD);
    assert_ignored(&mut bench, L, R, &stray.fingerprint(), Ignored::UnknownTransaction);

    bench.agent.close(bench.now);
    assert_ignored(&mut bench, L, R, &check, Ignored::Closed);
    assert_ignored(&mut bench, L, R, b"application data", Ignored::Closed);
}

/// Answers that are not polled are bounded: what is beyond is ignored, without any effect, and
/// answering goes on when the queue is drained.
#[test]
fn answers_that_nobody_polls_are_bounded() {
    let mut bench = started(Role::Controlled, &[L], &[]);
    let room = u32::from(Limits::default().replies);
    for number in 0..40_u32 {
        let request = sealed_check(&bench, number);
        let received = bench.agent.handle_datagram(
            bench.now,
            Transport::Udp,
            addr(L),
            addr(&format!("192.0.2.7:{}", 7000 + number)),
            &request,
        );
        if number < room {
            assert_eq!(received, Received::Consumed);
        } else {
            assert_eq!(received, Received::Ignored(Ignored::LimitReached));
        }
    }
    let counters = bench.agent.counters();
    assert_eq!(counters.ignored(Ignored::LimitReached), u64::from(40 - room));
    assert_eq!(counters.refused(Refused::Reply), u64::from(40 - room));
    assert_eq!(bench.agent.remote_candidates().count(), room as usize);
    assert_eq!(responses(&bench.drain()).len(), room as usize);
    let request = sealed_check(&bench, 99);
    assert_eq!(response(&mut bench, L, X, &request).kind(), SUCCESS);
}

// Invariant 3

/// Everything that a stranger can send, in the form in which it hurts most.
fn hostile(bench: &Bench) -> Vec<(&'static str, Vec<u8>)> {
    let wrong = "notthepasswordnotthepassword";
    let own = username(bench);
    let conflict = |claim: u16| {
        Message::new(REQUEST, id(1))
            .attr(USERNAME, &own)
            .attr(PRIORITY, &0x7fff_ffff_u32.to_be_bytes())
            .attr(claim, &u64::MAX.to_be_bytes())
            .attr(USE_CANDIDATE, &[])
    };
    let mut all = vec![
        ("no integrity", check_for(bench, 1, &own).fingerprint()),
        ("nomination without integrity", conflict(ICE_CONTROLLING).fingerprint()),
        ("bad integrity", conflict(ICE_CONTROLLING).integrity(wrong).fingerprint()),
        ("role conflict", conflict(ICE_CONTROLLED).integrity(wrong).fingerprint()),
        ("bad SHA-256", integrity_sha256(conflict(ICE_CONTROLLING), wrong).fingerprint()),
        (
            "good SHA-1, bad user",
            check_for(bench, 1, b"stranger:peer").integrity(&bench.pwd()).fingerprint(),
        ),
        (
            "the password of the other side",
            check_for(bench, 1, &own).integrity(PEER_PWD).fingerprint(),
        ),
        ("indication", Message::new(INDICATION, id(2)).fingerprint()),
        (
            "sealed indication",
            Message::new(INDICATION, id(2))
                .attr(USE_CANDIDATE, &[])
                .integrity(&bench.pwd())
                .fingerprint(),
        ),
        ("unknown success", {
            Message::new(SUCCESS, id(3)).xor_mapped(addr(L)).integrity(PEER_PWD).fingerprint()
        }),
        ("garbage", (0..255).collect()),
        ("zeroes", vec![0; 64]),
        ("nothing", Vec::new()),
        ("a header alone", Message::new(REQUEST, id(4)).bytes),
    ];
    let mut flipped = sealed_check(bench, 5);
    flipped[40] ^= 0x20;
    all.push(("a good check with one bit flipped", flipped));
    let good = sealed_check(bench, 6);
    all.push(("a good check cut short", good[..good.len() - 1].to_vec()));
    if let Some(request) = bench.requests().last() {
        let answer = |kind| Message::new(kind, request.id());
        let mapped = || answer(SUCCESS).xor_mapped(addr("203.0.113.66:666"));
        all.push(("forged success", mapped().integrity(wrong).fingerprint()));
        all.push(("success without integrity", mapped().fingerprint()));
        all.push(("success sealed by us", mapped().integrity(&bench.pwd()).fingerprint()));
        let sha256 = integrity_sha256(mapped(), wrong).fingerprint();
        all.push(("success with bad SHA-256", sha256));
        for code in [300, 400, 401, 403, 420, 438, 487, 500] {
            let error = || answer(ERROR).error_code(code);
            all.push(("forged error", error().integrity(wrong).fingerprint()));
            all.push(("error without integrity", error().fingerprint()));
        }
    }
    all
}

/// Invariant 3, V4, decision 7: what is not authenticated changes nothing, at any stage.
#[test]
fn unauthenticated_packets_change_no_state() {
    let mut nominated = valid();
    let _ = nominated.send_check(L, R, true);
    let mut nominating = started(Role::Controlling, &[L], &[R]);
    let request = nominating.last_request();
    let _ = nominating.answer(&request);
    nominating.run_until(ms(50));
    assert!(nominating.last_request().nominates());
    let mut failed = started(Role::Controlled, &[L], &[R]);
    failed.run_until(ms(60_000));
    let stages = [
        ("early", Bench::waiting(plain(Role::Controlled), &[L], &[R])),
        ("controlling, in progress", started(Role::Controlling, &[L], &[R])),
        ("controlled, in progress", started(Role::Controlled, &[L], &[R])),
        ("valid", valid()),
        ("nominating", nominating),
        ("completed", nominated),
        ("failed", failed),
    ];
    for (stage, bench) in stages {
        for (what, bytes) in hostile(&bench) {
            for remote in [R, X] {
                assert_changes_nothing(&bench, L, remote, &bytes, &format!("{stage}: {what}"));
            }
        }
    }
}

/// Invariant 3: the state_digest sees what an authenticated packet changes, or the test above
/// would prove nothing.
#[test]
fn an_authenticated_packet_changes_the_digest() {
    let bench = started(Role::Controlled, &[L], &[R]);
    let mut spared = bench.clone();
    spared.drain();
    for (remote, nominate) in [(X, false), (R, false), (R, true)] {
        let mut hit = bench.clone();
        let _ = hit.send_check(L, remote, nominate);
        assert_ne!(hit.agent.state_digest(), spared.agent.state_digest());
    }
}

/// States that differ in one number of any width have different digests.
#[test]
fn the_digest_tells_apart_what_differs_in_one_number() {
    let mut digests = BTreeSet::new();
    for (port, priority, millis) in
        [(2000, 1000, 0), (2001, 1000, 0), (2000, 1001, 0), (2000, 1000, 1)]
    {
        let mut bench = Bench::with(plain(Role::Controlled));
        let line = format!("1 1 UDP {priority} 10.0.0.2 {port} typ host");
        bench.add_remote_line(&line);
        bench.agent.handle_timeout(ms(millis));
        digests.insert(bench.agent.state_digest());
    }
    assert_eq!(digests.len(), 4);
}

// Limits

/// A peer that sends from ever new addresses is answered, and makes 32 candidates at most.
#[test]
fn discovered_candidates_are_bounded() {
    let mut bench = Bench::with(plain(Role::Controlled));
    bench.add_local(L);
    bench.start();
    for number in 0..100_u32 {
        let request = sealed_check(&bench, number);
        let remote = format!("192.0.2.7:{}", 7000 + number);
        assert_eq!(response(&mut bench, L, &remote, &request).kind(), SUCCESS);
    }
    assert_eq!(bench.agent.remote_candidates().count(), 32);
    assert_eq!(bench.agent.counters().refused(Refused::PeerReflexiveCandidate), 68);
    assert!(bench.agent.pairs().count() <= 32);

    bench.add_remote(R, 2_000_000_000);
    bench.run_until(ms(3000));
    assert!(!requests_to(&bench, R).is_empty(), "signalled candidates have a limit of their own");
}

/// The pairs that checks make obey the limit of pairs.
#[test]
fn pairs_made_by_checks_obey_the_limit_of_pairs() {
    let mut config = plain(Role::Controlled);
    config.limits.pairs = 4;
    let mut bench = Bench::waiting(config, &[L], &[R, R2]);
    bench.start();
    for number in 0..20_u32 {
        let request = sealed_check(&bench, number);
        let _ = deliver(&mut bench, L, &format!("192.0.2.7:{}", 7000 + number), &request);
        assert!(bench.agent.pairs().count() <= 4);
    }
}

/// Regression 22: caps on what the peer signals.
/// The flood of candidates to which str0m's remote candidates had no bound.
#[test]
fn regression_str0m_candidate_flood() {
    let mut bench = Bench::with(plain(Role::Controlled));
    bench.add_local(L);
    bench.start();
    let mut refused = 0;
    for number in 0..300_u32 {
        let line = format!("{number} 1 UDP {} 10.2.0.1 {} typ host", 1000 + number, 2000 + number);
        let candidate: Candidate = line.parse().unwrap();
        match bench.agent.add_remote_candidate(bench.now, bench.stream, &candidate) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error, AddRemoteError::Limit);
                refused += 1;
            }
        }
        bench.drain();
        assert!(bench.agent.pairs().count() <= 100);
    }
    assert_eq!(refused, 172);
    assert_eq!(bench.agent.remote_candidates().count(), 128);
    assert_eq!(bench.agent.counters().refused(Refused::RemoteCandidate), 172);
}

// Addresses

/// An IPv4 address that the caller writes in its IPv6 form is IPv4 to the peer, and comes back to
/// the caller as it was written.
#[test]
fn mapped_addresses_are_given_back_as_the_caller_had_them() {
    let mut bench = Bench::with(plain(Role::Controlled));
    bench.add_local("[::ffff:10.0.0.1]:1000");
    let conveyed = bench.events.iter().find_map(|(_, event)| match event {
        Event::LocalCandidate { candidate, .. } => Some(candidate.address.clone()),
        _ => None,
    });
    assert_eq!(conveyed, Some(CandidateAddress::Socket(addr(L))));
    bench.add_remote(R, 2_000_000_000);
    bench.start();

    let check = bench.last_request();
    assert_eq!(check.from, addr("[::ffff:10.0.0.1]:1000"));
    assert_eq!(check.to, addr("[::ffff:10.1.0.1]:2000"));

    let request = sealed_check(&bench, 1);
    let answer = response(&mut bench, "[::ffff:10.0.0.1]:1000", "[::ffff:10.1.0.1]:2000", &request);
    assert_eq!(answer.from, addr("[::ffff:10.0.0.1]:1000"));
    assert_eq!(answer.to, addr("[::ffff:10.1.0.1]:2000"));
    assert_eq!(answer.mapped(), Some(addr(R)), "the peer is told its IPv4 address");
    assert!(discovered(&bench).is_empty(), "the source is the candidate that was signalled");

    let success = Message::new(SUCCESS, check.id()).xor_mapped(addr(L)).integrity(PEER_PWD);
    let _ = bench.feed("[::ffff:10.0.0.1]:1000", "[::ffff:10.1.0.1]:2000", &success.fingerprint());
    let outgoing = bench.agent.send(bench.now, bench.stream, 1, b"data").unwrap();
    let frazil::Route::Datagram { local, remote, .. } = outgoing.route else { panic!("a stream") };
    assert_eq!(local, addr("[::ffff:10.0.0.1]:1000"));
    assert_eq!(remote, addr("[::ffff:10.1.0.1]:2000"));
}

/// Both forms of an address are one address.
#[test]
fn a_mapped_address_equals_the_one_that_it_stands_for() {
    let mut bench = started(Role::Controlled, &[L], &[R]);
    let mapped = LocalAddress::udp(addr("[::ffff:10.0.0.9]:1000"));
    let again = LocalAddress::udp(addr("10.0.0.9:1000"));
    let mut fresh = Bench::new(Role::Controlled);
    fresh.agent.add_local(ms(0), fresh.stream, 1, mapped).unwrap();
    assert_eq!(fresh.agent.add_local(ms(0), fresh.stream, 1, again), Err(AddLocalError::Duplicate));
    let request = sealed_check(&bench, 1);
    let answer = response(&mut bench, "[::ffff:10.0.0.1]:1000", R, &request);
    assert_eq!((answer.from, answer.to), (addr(L), addr(R)));
}

fn offer(bench: &mut Bench, local: LocalAddress) -> Result<(), AddLocalError> {
    bench.agent.add_local(bench.now, bench.stream, 1, local).map(|_| ())
}

fn local_addresses(bench: &Bench) -> Vec<String> {
    bench.agent.local_candidates().map(|local| local.addr.ip().to_string()).collect()
}

/// G1: RFC 8445 §5.1.1.1. Loopback addresses are no candidates, unless a test asks for them.
#[test]
fn loopback_addresses_are_refused_unless_enabled() {
    let loopback = ["127.0.0.1:1000", "127.8.8.8:1000", "[::1]:1000", "[::ffff:127.0.0.1]:1001"];
    let mut bench = Bench::new(Role::Controlled);
    for local in loopback {
        let refused = offer(&mut bench, LocalAddress::udp(addr(local)));
        assert_eq!(refused, Err(AddLocalError::Loopback), "{local}");
    }
    assert!(bench.drain().is_empty() && bench.events.is_empty());

    let mut config = AgentConfig::new(Role::Controlled);
    config.loopback = true;
    let mut bench = Bench::with(config);
    for local in loopback {
        assert_eq!(offer(&mut bench, LocalAddress::udp(addr(local))), Ok(()), "{local}");
    }
    bench.drain();
    assert_eq!(bench.events.len(), 4);
}

/// G2: RFC 8445 §5.1.1.1. Deprecated forms of IPv6 addresses are no candidates, nor are addresses
/// that stand for nobody or for many.
#[test]
fn deprecated_and_non_unicast_addresses_are_refused() {
    let mut bench = Bench::new(Role::Controlled);
    let refused = [
        ("[::10.0.0.1]:1000", AddLocalError::Deprecated),
        ("[::7f01:203]:1000", AddLocalError::Deprecated),
        ("[fec0::1]:1000", AddLocalError::Deprecated),
        ("[feff:ffff::1]:1000", AddLocalError::Deprecated),
        ("0.0.0.0:1000", AddLocalError::NotUnicast),
        ("[::]:1000", AddLocalError::NotUnicast),
        ("224.0.0.1:1000", AddLocalError::NotUnicast),
        ("[ff02::1]:1000", AddLocalError::NotUnicast),
        ("255.255.255.255:1000", AddLocalError::NotUnicast),
        ("10.0.0.1:0", AddLocalError::Port),
    ];
    for (local, error) in refused {
        let local = LocalAddress::udp(addr(local));
        assert_eq!(offer(&mut bench, local.clone()), Err(error), "{}", local.addr);
    }
    let mut marked = LocalAddress::udp(addr("[2001:db8::1]:1000"));
    marked.deprecated = true;
    assert_eq!(offer(&mut bench, marked), Err(AddLocalError::Deprecated));
    bench.drain();
    assert!(bench.events.is_empty());
    assert_eq!(offer(&mut bench, LocalAddress::udp(addr("[febf::1]:1000"))), Ok(()));
    assert_eq!(offer(&mut bench, LocalAddress::udp(addr("[ff::1]:1000"))), Ok(()));
}

/// Nobody is checked at an address that stands for nobody or for many.
#[test]
fn non_unicast_candidates_of_the_peer_are_refused() {
    let mut bench = Bench::new(Role::Controlled);
    for (remote, error) in [
        ("0.0.0.0 2000", AddRemoteError::NotUnicast),
        (":: 2000", AddRemoteError::NotUnicast),
        ("224.0.0.1 2000", AddRemoteError::NotUnicast),
        ("ff02::1 2000", AddRemoteError::NotUnicast),
        ("255.255.255.255 2000", AddRemoteError::NotUnicast),
    ] {
        let line = format!("1 1 UDP 1000 {remote} typ host");
        let candidate: Candidate = line.parse().unwrap();
        let added = bench.agent.add_remote_candidate(bench.now, bench.stream, &candidate);
        assert_eq!(added, Err(error), "{remote}");
    }
}

/// G3: RFC 8445 §5.1.1.1. An IPv4-mapped address does not become an IPv6 candidate.
#[test]
fn a_mapped_address_becomes_an_ipv4_candidate() {
    let mut bench = Bench::new(Role::Controlled);
    bench.add_local("[::ffff:192.0.2.1]:1000");
    assert_eq!(local_addresses(&bench), ["192.0.2.1"]);
}

/// G4: RFC 8445 §5.1.1.1. With a temporary address, the permanent ones of its prefix and the
/// link-local ones of its interface are not gathered, in whatever order they come.
#[test]
fn a_temporary_address_takes_the_place_of_trackable_ones() {
    let on = |text: &str, interface: u32, temporary: bool| {
        let mut local = LocalAddress::udp(addr(text));
        local.interface = interface;
        local.temporary = temporary;
        local
    };
    let temporary = on("[2001:db8:1:2:aaaa::1]:1000", 1, true);
    let second_temporary = on("[2001:db8:1:2:bbbb::1]:1000", 1, true);
    let eui64 = on("[2001:db8:1:2:211:22ff:fe33:4455]:1000", 1, false);
    let link_local = on("[fe80::211:22ff:fe33:4455]:1000", 1, false);
    let other_prefix = on("[2001:db8:1:3:211:22ff:fe33:4455]:1000", 1, false);
    let other_interface = on("[2001:db8:1:2:211:22ff:fe33:4466]:1000", 2, false);
    let other_link_local = on("[fe80::211:22ff:fe33:4466]:1000", 2, false);
    let ipv4 = on("192.0.2.1:1000", 1, false);
    let kept = BTreeSet::from([
        temporary.addr,
        second_temporary.addr,
        other_prefix.addr,
        other_interface.addr,
        other_link_local.addr,
        ipv4.addr,
    ]);
    let all = [
        temporary,
        eui64.clone(),
        link_local.clone(),
        second_temporary,
        other_prefix,
        other_interface,
        other_link_local,
        ipv4,
    ];
    for start in 0..all.len() {
        let mut bench = Bench::new(Role::Controlled);
        for index in 0..all.len() {
            let local = all[(start + index) % all.len()].clone();
            let addr = local.addr;
            match offer(&mut bench, local) {
                Ok(()) => {}
                Err(error) => {
                    assert_eq!(error, AddLocalError::TemporaryPreferred);
                    assert!(addr == eui64.addr || addr == link_local.addr);
                }
            }
        }
        bench.drain();
        let addrs: BTreeSet<_> = bench.agent.local_candidates().map(|local| local.addr).collect();
        assert_eq!(addrs, kept, "starting with the address {start}");
        let conveyed: BTreeSet<_> = bench
            .events
            .iter()
            .filter_map(|(_, event)| match event {
                Event::LocalCandidate { candidate, .. } => match candidate.address {
                    CandidateAddress::Socket(addr) => Some(addr),
                    CandidateAddress::Name { .. } => None,
                },
                _ => None,
            })
            .collect();
        assert_eq!(conveyed, kept, "a trackable address was conveyed");
    }
}

/// G12, G13: RFC 8445 §5.1.2. Priorities of a stream are distinct, within 1 to 2^31 - 1, and made
/// by the formula: type preference 126, distinct local preferences within a component.
#[test]
fn host_priorities_are_distinct_and_follow_the_formula() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.components = 2;
    let mut bench = Bench::with(config);
    for host in 1..=10 {
        for component in [1, 2] {
            let text = if host % 3 == 0 {
                format!("[2001:db8::{host}]:{}", 1000 + component)
            } else {
                format!("10.0.0.{host}:{}", 1000 + component)
            };
            let local = LocalAddress::udp(addr(&text));
            bench.agent.add_local(ms(0), bench.stream, component, local).unwrap();
        }
    }
    bench.drain();
    let conveyed: Vec<Candidate> = bench
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::LocalCandidate { candidate, .. } => Some(candidate.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(conveyed.len(), 20);
    let priorities: BTreeSet<u32> = conveyed.iter().map(|candidate| candidate.priority).collect();
    assert_eq!(priorities.len(), 20, "not distinct");
    for candidate in &conveyed {
        assert!((1..=0x7fff_ffff).contains(&candidate.priority));
        assert_eq!(candidate.priority >> 24, 126);
        assert_eq!(candidate.priority & 0xff, 256 - u32::from(candidate.component));
    }
    for component in [1, 2] {
        let preferences: BTreeSet<u32> = conveyed
            .iter()
            .filter(|candidate| candidate.component == component)
            .map(|candidate| candidate.priority >> 8 & 0xffff)
            .collect();
        assert_eq!(preferences.len(), 10, "local preferences of component {component}");
    }
}

/// G13: RFC 8445 §5.1.2.1. The only address of a host has the local preference 65535; a
/// peer-reflexive candidate learned from it has the type preference 110.
#[test]
fn the_only_host_candidate_has_the_highest_local_preference() {
    let bench = started(Role::Controlling, &[L], &[R]);
    let local = bench.agent.local_candidates().next().unwrap();
    assert_eq!(local.priority, 126 << 24 | 65535 << 8 | 255);
    let check = bench.last_request();
    let reflexive: u32 = 110 << 24 | 65535 << 8 | 255;
    assert_eq!(check.get(PRIORITY), Some(reflexive.to_be_bytes().to_vec()));
}

/// G14: RFC 8445 §5.1.3. The same transport address with the same base is one candidate.
#[test]
fn an_address_that_was_added_before_is_no_second_candidate() {
    let mut bench = Bench::new(Role::Controlling);
    bench.add_local(L);
    let again = offer(&mut bench, LocalAddress::udp(addr(L)));
    assert_eq!(again, Err(AddLocalError::Duplicate));
    assert_eq!(offer(&mut bench, LocalAddress::udp(addr("10.0.0.1:1001"))), Ok(()));
    assert_eq!(bench.agent.local_candidates().count(), 2);
}

/// The bits of information in a set of equally long texts, position by position.
fn entropy(texts: &[String]) -> f64 {
    let mut bits = 0.0;
    for at in 0..texts[0].len() {
        let mut counts = [0_u32; 256];
        for text in texts {
            counts[usize::from(text.as_bytes()[at])] += 1;
        }
        for count in counts.into_iter().filter(|&count| count > 0) {
            let share = f64::from(count) / texts.len() as f64;
            bits -= share * share.log2();
        }
    }
    bits
}

/// G16: RFC 8445 §5.3. At least 24 random bits in the username fragment and 128 in the password,
/// all of them ice-chars, and no two agents alike.
#[test]
fn generated_credentials_have_the_entropy_that_the_rfc_asks_for() {
    let (mut ufrags, mut pwds) = (Vec::new(), Vec::new());
    for number in 0..4000_u32 {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&number.to_be_bytes());
        let agent = IceAgent::new(AgentConfig::new(Role::Controlling), seed).unwrap();
        let credentials = agent.local_parameters().credentials;
        ufrags.push(credentials.ufrag().to_owned());
        pwds.push(credentials.pwd().to_owned());
    }
    let ice_char = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
    assert!(ufrags.iter().chain(&pwds).all(|text| text.chars().all(ice_char)));
    assert!(ufrags.iter().all(|ufrag| (4..=32).contains(&ufrag.len())));
    assert!(pwds.iter().all(|pwd| (22..=256).contains(&pwd.len())));
    assert!(entropy(&ufrags) >= 24.0, "{}", entropy(&ufrags));
    assert!(entropy(&pwds) >= 128.0, "{}", entropy(&pwds));
    assert_eq!(pwds.iter().collect::<BTreeSet<_>>().len(), pwds.len());
}

/// S6: RFC 8445 §7.2.4. Every check leaves from the host candidate that is its base, and so does
/// the nomination of a pair that the peer sees under another address.
#[test]
fn checks_leave_from_the_base() {
    let mut bench = started(Role::Controlling, &[L, L2], &[R]);
    bench.run_until(ms(60));
    let from: BTreeSet<_> = bench.requests().iter().map(|request| request.from).collect();
    assert_eq!(from, BTreeSet::from([addr(L), addr(L2)]));
    let request = bench.requests()[0].clone();
    let mapped = Message::new(SUCCESS, request.id())
        .xor_mapped(addr("203.0.113.9:9000"))
        .integrity(PEER_PWD)
        .fingerprint();
    let _ = bench.feed(&request.from.to_string(), R, &mapped);
    bench.run_until(ms(1500));
    let nomination = bench.last_request();
    assert!(nomination.nominates());
    assert_eq!(nomination.from, request.from);
}

// Named regressions

/// Regression 2: the role changes with an authenticated request only.
/// rtc-ice switched its role before it had looked at MESSAGE-INTEGRITY.
#[test]
fn regression_rtc_ice_role_switch_without_integrity() {
    let mut bench = started(Role::Controlling, &[L], &[R]);
    let claim = || {
        Message::new(REQUEST, id(1))
            .attr(USERNAME, &username(&bench))
            .attr(ICE_CONTROLLING, &u64::MAX.to_be_bytes())
    };
    let forged = [
        claim().fingerprint(),
        claim().integrity("notthepasswordnotthepassword").fingerprint(),
        claim().integrity(PEER_PWD).fingerprint(),
    ];
    let authentic = claim().integrity(&bench.pwd()).fingerprint();
    for bytes in forged {
        let _ = deliver(&mut bench, L, R, &bytes);
        assert_eq!(bench.agent.role(), Role::Controlling);
    }
    let _ = deliver(&mut bench, L, R, &authentic);
    assert_eq!(bench.agent.role(), Role::Controlled);
}

/// Regression 6: usernames at whose split rice's slices panicked.
/// Equal to the fragment without a colon, and with characters of several bytes at the split.
#[test]
fn regression_rice_username_split() {
    let mut bench = started(Role::Controlled, &[L], &[R]);
    let own = bench.ufrag().into_bytes();
    let mut all = vec![own.clone(), Vec::new(), b":".to_vec(), vec![0xff; 7]];
    for cut in 0..=own.len() {
        let mut username = own[..cut].to_vec();
        username.extend("é:peer".as_bytes());
        all.push(username);
        let mut username = own[..cut].to_vec();
        username.extend("\u{1f9ca}".as_bytes());
        all.push(username);
    }
    for (number, username) in all.into_iter().enumerate() {
        let request =
            check_for(&bench, number as u32, &username).integrity(&bench.pwd()).fingerprint();
        let (received, _) = deliver(&mut bench, L, R, &request);
        assert_eq!(received, Received::Ignored(Ignored::UnknownUser), "{username:?}");
    }
}

/// Regression 11, V14: USE-CANDIDATE is acted upon after the own check has succeeded.
/// `is` before 0.12 selected the pair at once.
#[test]
fn regression_str0m_use_candidate_before_own_success() {
    let mut bench = started(Role::Controlled, &[L], &[R]);
    let _ = bench.send_check(L, R, true);
    bench.run_until(ms(50));
    assert_eq!(selections(&bench), 0);
    assert!(bench.agent.selected_pair(bench.stream, 1).is_none());
    assert_eq!(bench.agent.state(), ConnectionState::Checking);
    let triggered = bench.last_request();
    let _ = bench.answer(&triggered);
    assert_eq!(selections(&bench), 1);
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
}

/// Regression 12: MESSAGE-INTEGRITY as the first attribute, at offset zero.
/// `is` before 0.12 took it for missing. It covers nothing, so nothing after it is seen either.
#[test]
fn regression_str0m_integrity_as_the_first_attribute() {
    let mut bench = started(Role::Controlled, &[L], &[R]);
    let (role, tie_breaker) = opposite_role(&bench);
    let request = Message::new(REQUEST, id(1))
        .integrity(&bench.pwd())
        .attr(USERNAME, &username(&bench))
        .attr(role, &tie_breaker)
        .fingerprint();
    let (received, sent) = deliver(&mut bench, L, R, &request);
    assert_eq!(received, Received::Ignored(Ignored::MissingCredentials));
    assert_eq!(responses(&sent)[0].code(), Some(400));

    let check = bench.last_request();
    let success =
        Message::new(SUCCESS, check.id()).integrity(PEER_PWD).xor_mapped(addr(L)).fingerprint();
    let _ = bench.feed(L, R, &success);
    assert_eq!(bench.agent.state(), ConnectionState::Checking, "the address is not protected");
    let bare = Message::new(SUCCESS, check.id()).integrity(PEER_PWD).fingerprint();
    assert_ne!(bench.feed(L, R, &bare), Received::Ignored(Ignored::BadIntegrity));
}

/// Regression 17: a nomination is answered although its pair is not valid yet.
/// rtc-ice left it without an answer.
#[test]
fn regression_rtc_ice_nomination_before_valid_is_answered() {
    let mut bench = started(Role::Controlled, &[L], &[R]);
    for (number, remote) in [R, X].into_iter().enumerate() {
        let request = check_for(&bench, number as u32, &username(&bench))
            .attr(USE_CANDIDATE, &[])
            .integrity(&bench.pwd())
            .fingerprint();
        assert_eq!(response(&mut bench, L, remote, &request).kind(), SUCCESS);
    }
}

/// Regression 19: attributes after MESSAGE-INTEGRITY are not there (RFC 8489 §14.5).
/// stun_codec shows them, and its users acted upon them.
#[test]
fn regression_stun_codec_attribute_after_integrity() {
    let mut bench = valid();
    let appended = check_for(&bench, 1, &username(&bench))
        .integrity(&bench.pwd())
        .attr(USE_CANDIDATE, &[])
        .attr(0x7777, &[])
        .fingerprint();
    assert_eq!(response(&mut bench, L, R, &appended).kind(), SUCCESS);
    assert_eq!(selections(&bench), 0, "USE-CANDIDATE was not authentic");

    let (role, tie_breaker) = opposite_role(&bench);
    let priority = Message::new(REQUEST, id(2))
        .attr(USERNAME, &username(&bench))
        .attr(PRIORITY, &1000_u32.to_be_bytes())
        .attr(role, &tie_breaker)
        .integrity(&bench.pwd())
        .attr(PRIORITY, &0x7fff_ffff_u32.to_be_bytes())
        .attr(ICE_CONTROLLED, &u64::MAX.to_be_bytes())
        .fingerprint();
    response(&mut bench, L, X, &priority);
    assert_eq!(discovered(&bench)[0].priority, 1000);
    assert_eq!(bench.agent.role(), Role::Controlled);
}

/// Regression 23, V10: the priority of a peer-reflexive candidate is that of the check.
/// rtc-ice ignored PRIORITY. It also decides the order in which discovered pairs are ranked.
#[test]
fn regression_rtc_ice_priority_of_a_discovered_candidate() {
    let mut bench = started(Role::Controlled, &[L], &[]);
    let (role, tie_breaker) = opposite_role(&bench);
    for (number, (remote, priority)) in [(R, 100_u32), (R2, 300), (R3, 200)].iter().enumerate() {
        let request = Message::new(REQUEST, id(number as u32))
            .attr(USERNAME, &username(&bench))
            .attr(PRIORITY, &priority.to_be_bytes())
            .attr(role, &tie_breaker)
            .integrity(&bench.pwd())
            .fingerprint();
        response(&mut bench, L, remote, &request);
    }
    let priorities: Vec<u32> = discovered(&bench).iter().map(|found| found.priority).collect();
    assert_eq!(priorities, [100, 300, 200]);
    let local = bench.agent.local_candidates().next().unwrap().priority;
    for pair in bench.agent.pairs() {
        let remote = pair.remote.priority;
        let expected = (u64::from(remote) << 32) + 2 * u64::from(local);
        assert_eq!(pair.priority, expected, "controlling is the peer, and its value the smaller");
    }
}

/// V1: a clock that the caller's epoch puts far ahead changes nothing of it.
#[test]
fn an_agent_that_starts_late_answers_like_any_other() {
    let mut bench = Bench::new(Role::Controlled);
    bench.now = Timestamp::ZERO + Duration::from_secs(1_000_000_000);
    bench.add_local(L);
    let request = sealed_check(&bench, 1);
    let answer = response(&mut bench, L, X, &request);
    assert_eq!(answer.kind(), SUCCESS);
    assert_eq!(answer.attrs().last().unwrap().0, FINGERPRINT);
}

/// A nomination from an address that is one too many is not forgotten after it was answered: an older
/// address that came to nothing makes room. Anything but a nomination is refused at the limit.
#[test]
fn regression_a_nomination_beyond_the_limit_of_addresses_is_forgotten() {
    let mut config = plain(Role::Controlled);
    config.limits.peer_reflexive_candidates = 4;
    let mut bench = Bench::started(config, &["10.0.0.1:1000"], &[]);
    for port in 1..=6 {
        let _ = bench.send_check("10.0.0.1:1000", &format!("192.0.2.7:{port}"), false);
        bench.run_for(Duration::from_millis(50));
    }
    assert_eq!(bench.agent.remote_candidates().count(), 4);
    assert_eq!(bench.agent.counters().refused(Refused::PeerReflexiveCandidate), 2);
    let _ = bench.send_check("10.0.0.1:1000", "192.0.2.7:7", true);
    bench.run_for(Duration::from_millis(50));
    let check = bench.last_request();
    assert_eq!(check.to, addr("192.0.2.7:7"));
    let _ = bench.answer(&check);
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    assert_eq!(bench.agent.remote_candidates().count(), 4);
}

/// Addresses that come to nothing at one base do not keep the other one's from being heard: behind
/// some NATs every check comes from a new address, and only the other base may have a path. The
/// limit holds, and the crowded base gets no place in return.
#[test]
fn regression_one_base_takes_all_places_for_new_addresses() {
    let mut config = plain(Role::Controlling);
    config.limits.peer_reflexive_candidates = 4;
    let (crowded, other) = ("10.0.0.1:1000", "10.0.1.1:1000");
    let mut bench = Bench::started(config, &[crowded, other], &[]);
    for port in 1..=6 {
        let _ = bench.send_check(crowded, &format!("192.0.2.7:{port}"), false);
        bench.run_for(Duration::from_millis(50));
        if port <= 4 {
            // The answer comes from yet another address: the pair fails (RFC 8445 §7.2.5.2.1).
            let answer = bench.success(&bench.last_request());
            let _ = bench.feed(crowded, "192.0.2.7:99", &answer);
        }
    }
    let refused = |bench: &Bench| bench.agent.counters().refused(Refused::PeerReflexiveCandidate);
    assert_eq!((bench.agent.remote_candidates().count(), refused(&bench)), (4, 2));

    let _ = bench.send_check(other, "192.0.2.8:1", false);
    bench.run_for(Duration::from_millis(50));
    let check = bench.last_request();
    assert_eq!((check.from, check.to), (addr(other), addr("192.0.2.8:1")));
    let _ = bench.answer(&check);
    assert_eq!(bench.agent.state(), ConnectionState::Connected);
    assert_eq!(bench.agent.remote_candidates().count(), 4);

    let before = refused(&bench);
    let _ = bench.send_check(crowded, "192.0.2.7:8", false);
    assert_eq!(refused(&bench), before + 1);
}
