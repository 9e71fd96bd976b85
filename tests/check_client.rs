//! The check client (RFC 8445 §7.1, §7.2): what an agent puts into its checks, and what it makes of
//! the answers, as the peer sees it.

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use common::{
    Bench, ERROR, ERROR_CODE, ICE_CONTROLLED, ICE_CONTROLLING, MESSAGE_INTEGRITY, Message,
    PEER_PWD, PEER_UFRAG, PRIORITY, REQUEST, SUCCESS, Sent, USE_CANDIDATE, USERNAME, addr, ms,
    plain,
};
use frazil::{
    CandidateKind, ConnectionState, Credentials, Event, Ignored, LocalAddress, PairState, PairView,
    Parameters, Received, Role, Route, SendError, StreamId, Timestamp,
};

const L1: &str = "10.0.0.1:1000";
const L2: &str = "10.0.1.1:1000";
const R1: &str = "10.9.0.1:2000";
const R2: &str = "10.9.0.2:2000";
const R3: &str = "10.9.0.3:2000";
/// What a NAT makes of L1.
const MAPPED: &str = "203.0.113.1:4000";

/// RFC 8489 §6.2.1 with an RTO of 500 ms, Rc 7 and Rm 16.
const TIMEOUT: u64 = 39_500;

const SOFTWARE: u16 = 0x8022;
const UNKNOWN_REQUIRED: u16 = 0x7fff;
const UNKNOWN_OPTIONAL: u16 = 0xfeed;

fn controlling(remotes: &[&str]) -> Bench {
    Bench::started(plain(Role::Controlling), &[L1], remotes)
}

fn controlled(remotes: &[&str]) -> Bench {
    Bench::started(plain(Role::Controlled), &[L1], remotes)
}

/// A second stream with one component.
fn second_stream(bench: &mut Bench) -> StreamId {
    bench.agent.add_stream(bench.now, 1).unwrap()
}

fn pair(bench: &Bench, local: &str, remote: &str) -> PairView {
    find_pair(bench, local, remote).expect("no such pair")
}

/// The pair that sends from `local` to `remote`.
fn find_pair(bench: &Bench, local: &str, remote: &str) -> Option<PairView> {
    bench
        .agent
        .pairs()
        .find(|pair| pair.local.base == addr(local) && pair.remote.addr == addr(remote))
}

fn state(bench: &Bench, remote: &str) -> PairState {
    pair(bench, L1, remote).state
}

fn any_valid(bench: &Bench) -> bool {
    bench.agent.pairs().any(|pair| pair.valid)
}

/// The requests to a remote address, repetitions among them.
fn requests_to(bench: &Bench, remote: &str) -> Vec<Sent> {
    bench.requests().into_iter().filter(|sent| sent.to == addr(remote)).collect()
}

fn only_request_to(bench: &Bench, remote: &str) -> Sent {
    let requests = requests_to(bench, remote);
    assert_eq!(requests.len(), 1, "requests to {remote}");
    requests[0].clone()
}

/// The peer sends these bytes back over the path of a request.
fn respond(bench: &mut Bench, request: &Sent, bytes: &[u8]) -> Received<'static> {
    bench.feed(&request.from.to_string(), &request.to.to_string(), bytes)
}

/// An authenticated error response.
fn error(request: &Sent, code: u16) -> Vec<u8> {
    Message::new(ERROR, request.id()).error_code(code).integrity(PEER_PWD).fingerprint()
}

fn success_with_mapped(request: &Sent, mapped: &str) -> Vec<u8> {
    Message::new(SUCCESS, request.id()).xor_mapped(addr(mapped)).integrity(PEER_PWD).fingerprint()
}

/// Lets time pass until `until` while the peer answers at once whatever request `answers` says.
fn converse(bench: &mut Bench, until: Timestamp, answers: impl Fn(&Sent) -> bool) {
    let mut next = 0;
    loop {
        while next < bench.sent.len() {
            let sent = bench.sent[next].clone();
            next += 1;
            if sent.is_request() && sent.at == bench.now && answers(&sent) {
                let _ = bench.answer(&sent);
            }
        }
        match bench.agent.poll_timeout().filter(|&at| at <= until) {
            Some(at) => bench.run_until(at),
            None => break,
        };
    }
    bench.now = bench.now.max(until);
}

fn role_changes(bench: &Bench) -> Vec<Role> {
    let change = |(_, event): &(Timestamp, Event)| match event {
        Event::RoleChanged(role) => Some(*role),
        _ => None,
    };
    bench.events.iter().filter_map(change).collect()
}

fn reached(bench: &Bench, state: ConnectionState) -> Option<Timestamp> {
    let event = Event::ConnectionState(state);
    bench.events.iter().find(|(_, other)| *other == event).map(|(at, _)| *at)
}

fn selections(bench: &Bench) -> Vec<(SocketAddr, SocketAddr)> {
    let selected = |(_, event): &(Timestamp, Event)| match event {
        Event::SelectedPair { local, remote, .. } => Some((local.base, remote.addr)),
        _ => None,
    };
    bench.events.iter().filter_map(selected).collect()
}

fn priority_of(sent: &Sent) -> Option<u32> {
    Some(u32::from_be_bytes(sent.get(PRIORITY)?.try_into().unwrap()))
}

fn tie_breaker_of(sent: &Sent) -> Vec<u8> {
    let both = (sent.get(ICE_CONTROLLING), sent.get(ICE_CONTROLLED));
    match both {
        (Some(value), None) | (None, Some(value)) => value,
        _ => panic!("not exactly one role attribute: {both:?}"),
    }
}

/// The priority that a candidate was signalled with, by its address.
fn signalled_priority(bench: &Bench, local: SocketAddr) -> u32 {
    bench.agent.local_candidates().find(|candidate| candidate.addr == local).unwrap().priority
}

// What a check carries

/// C1: PRIORITY is in every check, repetitions and nominations among them: the candidate's own
/// formula with the type preference of peer-reflexive candidates, 110.
#[test]
fn every_check_carries_the_priority_of_a_peer_reflexive_candidate() {
    let mut config = plain(Role::Controlling);
    config.components = 2;
    let mut bench = Bench::with(config);
    let locals = [(L1, 1), (L2, 1), ("10.0.0.1:1001", 2), ("10.0.1.1:1001", 2)];
    for (local, component) in locals {
        let local = LocalAddress::udp(addr(local));
        bench.agent.add_local(bench.now, bench.stream, component, local).unwrap();
    }
    bench.drain();
    bench.add_remote_line("a 1 UDP 2000000002 10.9.0.1 2000 typ host");
    bench.add_remote_line("b 2 UDP 2000000001 10.9.0.1 2001 typ host");
    bench.start();
    bench.run_until(ms(2_000));
    let answered = bench.requests().len();
    assert!(answered > 8, "no repetitions");
    for request in bench.requests() {
        let _ = bench.answer(&request);
    }
    let end = bench.now + Duration::from_secs(1);
    converse(&mut bench, end, |_| true);

    let requests = bench.requests();
    assert!(requests.iter().any(Sent::nominates));
    assert_eq!(requests.iter().map(|sent| sent.from).collect::<BTreeSet<_>>().len(), 4);
    for request in requests {
        let own = signalled_priority(&bench, request.from);
        assert_eq!(own >> 24, 126);
        let component = if request.from.port() == 1000 { 1 } else { 2 };
        assert_eq!(own & 0xff, 256 - component);
        assert_eq!(priority_of(&request), Some((110 << 24) | (own & 0x00ff_ffff)));
    }
}

/// C2: a controlled agent never sends USE-CANDIDATE, not even when the peer does.
#[test]
fn a_controlled_agent_never_nominates() {
    let mut bench = controlled(&[R1, R2]);
    let _ = bench.send_check(L1, R1, true);
    converse(&mut bench, ms(5_000), |_| true);
    let _ = bench.send_check(L1, R2, true);
    converse(&mut bench, ms(60_000), |_| true);

    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    assert!(!bench.requests().is_empty());
    for sent in &bench.sent {
        assert!(!sent.nominates());
    }
}

/// C2: a controlling agent nominates with a second check; the first one carries no USE-CANDIDATE.
#[test]
fn a_controlling_agent_nominates_after_a_plain_check() {
    let mut bench = controlling(&[R1]);
    converse(&mut bench, ms(1_000), |_| true);

    let nominating: Vec<bool> = bench.requests().iter().map(Sent::nominates).collect();
    assert_eq!(nominating[..2], [false, true]);
    assert_eq!(bench.requests()[1].get(USE_CANDIDATE), Some(Vec::new()));
    assert_eq!(selections(&bench), [(addr(L1), addr(R1))]);
}

/// C3: each check claims one role, with the same tie breaker in all checks of all streams.
#[test]
fn all_checks_of_all_streams_carry_one_role_and_one_tie_breaker() {
    for (role, attribute) in
        [(Role::Controlling, ICE_CONTROLLING), (Role::Controlled, ICE_CONTROLLED)]
    {
        let mut bench = Bench::with(plain(role));
        let other = second_stream(&mut bench);
        bench.add_local(L1);
        bench.add_remote(R1, 2_000_000_000);
        bench.stream = other;
        bench.add_local(L2);
        bench.add_remote(R2, 2_000_000_000);
        bench.start();
        bench.run_until(ms(300));
        converse(&mut bench, ms(3_000), |_| true);

        let requests = bench.requests();
        let from: BTreeSet<SocketAddr> = requests.iter().map(|sent| sent.from).collect();
        assert_eq!(from.len(), 2);
        for request in &requests {
            assert!(request.has(attribute));
            assert_eq!(tie_breaker_of(request), tie_breaker_of(&requests[0]));
            assert_eq!(tie_breaker_of(request).len(), 8);
        }
    }
}

/// C4: USERNAME is the peer's fragment, a colon and the own one; the key is the peer's password.
#[test]
fn a_check_is_authenticated_with_the_peers_password() {
    let bench = controlling(&[R1]);
    let check = only_request_to(&bench, R1);
    let username = format!("{PEER_UFRAG}:{}", bench.ufrag());
    assert_eq!(check.get(USERNAME), Some(username.into_bytes()));
    assert!(check.verifies(PEER_PWD));
    assert!(!check.verifies(&bench.pwd()));
}

/// C4: a response is authenticated with the same password as its request, and names no user.
#[test]
fn a_response_uses_the_password_of_its_request_and_no_username() {
    let mut bench = controlling(&[R1]);
    let check = only_request_to(&bench, R1);
    let own_password = Message::new(SUCCESS, check.id())
        .xor_mapped(check.from)
        .integrity(&bench.pwd())
        .fingerprint();
    assert_eq!(
        respond(&mut bench, &check, &own_password),
        Received::Ignored(Ignored::BadIntegrity)
    );
    assert!(!any_valid(&bench));
    assert_eq!(bench.answer(&check), Received::Consumed);
    assert!(pair(&bench, L1, R1).valid);

    let _ = bench.send_check(L1, R1, false);
    let response = bench.sent.iter().find(|sent| sent.kind() == SUCCESS).unwrap();
    assert!(!response.has(USERNAME));
    assert!(response.verifies(&bench.pwd()));
    assert!(response.fingerprint_is_last_and_right());
}

/// C5: FINGERPRINT is the last attribute of every check, and right; integrity stands before it.
#[test]
fn every_check_ends_with_a_right_fingerprint() {
    let mut bench = controlling(&[R1, R2]);
    bench.run_until(ms(1_000));
    converse(&mut bench, ms(5_000), |_| true);
    let requests = bench.requests();
    assert!(requests.iter().any(Sent::nominates));
    assert!(requests.len() > requests.iter().map(Sent::id).collect::<BTreeSet<_>>().len());
    for request in requests {
        assert!(request.fingerprint_is_last_and_right());
        let kinds: Vec<u16> = request.attrs().iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds[kinds.len() - 2], MESSAGE_INTEGRITY);
        assert!(request.verifies(PEER_PWD));
    }
}

/// C7: checks, responses and data leave with one DSCP.
#[test]
fn checks_responses_and_data_carry_the_configured_dscp() {
    for dscp in [0, 46] {
        let mut config = plain(Role::Controlling);
        config.dscp = dscp;
        let mut bench = Bench::started(config, &[L1], &[R1]);
        let _ = bench.send_check(L1, R1, false);
        // Long enough to be answered: an answer to an unknown peer is never the larger one.
        let unauthenticated = Message::new(REQUEST, [99; 12]).attr(SOFTWARE, &[b'x'; 64]);
        let unauthenticated = unauthenticated.fingerprint();
        let _ = bench.feed(L1, R1, &unauthenticated);
        converse(&mut bench, ms(1_000), |_| true);

        let kinds: BTreeSet<u16> = bench.sent.iter().map(Sent::kind).collect();
        assert_eq!(kinds, BTreeSet::from([REQUEST, SUCCESS, ERROR]));
        assert!(bench.sent.iter().all(|sent| sent.dscp == dscp));
        let data = bench.agent.send(bench.now, bench.stream, 1, b"\x80media").unwrap();
        assert_eq!(data.dscp, dscp);
    }
}

/// Each attribute of a message with the padding behind it.
fn paddings(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut paddings = Vec::new();
    let mut at = 20;
    while at < bytes.len() {
        let len = usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
        let end = at + 4 + len.next_multiple_of(4);
        paddings.push(bytes[at + 4 + len..end].to_vec());
        at = end;
    }
    paddings
}

/// U10: padding is zero in whatever is sent, also in a buffer that was used before.
#[test]
fn padding_is_zero_on_sending() {
    let mut config = plain(Role::Controlling);
    config.credentials = Some(Credentials::new("abcde", "0123456789abcdefghijkl").unwrap());
    let mut bench = Bench::with(config);
    bench.add_local(L1);
    bench.add_remote(R1, 2_000_000_000);
    let credentials = Credentials::new(PEER_UFRAG, PEER_PWD).unwrap();
    bench.agent.set_remote(bench.now, Parameters::new(credentials)).unwrap();
    // One unknown attribute: two bytes of UNKNOWN-ATTRIBUTES, two of padding.
    let request = bench.check(Role::Controlled).attr(UNKNOWN_REQUIRED, b"?");
    let request = request.integrity(&bench.pwd()).fingerprint();
    let _ = bench.agent.handle_datagram(
        bench.now,
        frazil::Transport::Udp,
        addr(L1),
        addr(R1),
        &request,
    );

    let mut padded = Vec::new();
    let mut buf = vec![0xff; 4096];
    loop {
        buf.clear();
        buf.extend([0xff; 3]);
        let Some(transmit) = bench.agent.poll_transmit(bench.now, &mut buf) else { break };
        assert_eq!(transmit.range, 3..buf.len());
        assert_eq!(buf[..3], [0xff; 3]);
        let message = &buf[transmit.range];
        assert_eq!(message.len() % 4, 0);
        for padding in paddings(message).into_iter().filter(|padding| !padding.is_empty()) {
            assert!(padding.iter().all(|&byte| byte == 0), "{message:02x?}");
            padded.push(u16::from_be_bytes([message[0], message[1]]));
        }
    }
    assert!(padded.contains(&REQUEST) && padded.contains(&ERROR), "{padded:?}");
}

/// U10: any padding is accepted in a response; old stacks send spaces.
#[test]
fn padding_of_any_value_is_accepted() {
    let mut bench = controlling(&[R1]);
    let check = only_request_to(&bench, R1);
    let mut message = Message::new(SUCCESS, check.id()).xor_mapped(check.from).attr(SOFTWARE, b"x");
    let len = message.bytes.len();
    message.bytes[len - 3..].copy_from_slice(b"   ");
    let bytes = message.integrity(PEER_PWD).fingerprint();
    assert_eq!(respond(&mut bench, &check, &bytes), Received::Consumed);
    assert!(pair(&bench, L1, R1).valid);
}

// Role conflicts

/// C8: the role becomes the opposite of the one that the request claimed, the tie breaker
/// changes, the pair is Waiting and checked again before anything else.
#[test]
fn a_487_switches_the_role_and_repeats_the_check() {
    for (role, after, attribute) in [
        (Role::Controlling, Role::Controlled, ICE_CONTROLLED),
        (Role::Controlled, Role::Controlling, ICE_CONTROLLING),
    ] {
        let mut bench = Bench::started(plain(role), &[L1], &[R1, R2]);
        let check = only_request_to(&bench, R1);
        bench.run_until(ms(10));
        assert_eq!(respond_487(&mut bench, &check), Received::Consumed);
        assert_eq!(bench.agent.role(), after);
        assert_eq!(role_changes(&bench), [after]);
        assert_eq!(state(&bench, R1), PairState::Waiting);

        let sent = bench.run_until(ms(50));
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].to, addr(R1));
        assert_ne!(sent[0].id(), check.id());
        assert!(sent[0].has(attribute));
        assert_ne!(tie_breaker_of(&sent[0]), tie_breaker_of(&check));
    }
}

fn respond_487(bench: &mut Bench, request: &Sent) -> Received<'static> {
    let bytes = error(request, 487);
    respond(bench, request, &bytes)
}

/// C8: two checks under way are both answered with 487: one switch, and both pairs are checked
/// again in the new role with one new tie breaker.
#[test]
fn two_checks_that_both_get_487_switch_the_role_once() {
    let mut bench = controlling(&[R1, R2, R3]);
    bench.run_until(ms(60));
    let (first, second) = (only_request_to(&bench, R1), only_request_to(&bench, R2));
    let _ = respond_487(&mut bench, &first);
    let _ = respond_487(&mut bench, &second);
    assert_eq!(role_changes(&bench), [Role::Controlled]);
    assert_eq!(bench.agent.role(), Role::Controlled);
    assert_eq!([state(&bench, R1), state(&bench, R2)], [PairState::Waiting; 2]);

    let sent = bench.run_until(ms(200));
    let order: Vec<SocketAddr> = sent.iter().map(|sent| sent.to).collect();
    assert_eq!(order, [addr(R1), addr(R2), addr(R3)]);
    for check in &sent {
        assert!(check.has(ICE_CONTROLLED));
        assert_ne!(tie_breaker_of(check), tie_breaker_of(&first));
        assert_eq!(tie_breaker_of(check), tie_breaker_of(&sent[0]));
    }
}

/// C8: RFC 8445 §7.2.5.1 stands before the symmetry of §7.2.5.2.1: a 487 that comes from another
/// address than the one asked, as through a NAT that maps each destination anew, settles the roles.
#[test]
fn a_487_from_another_address_settles_the_roles() {
    let mut bench =
        Bench::connected_with(Role::Controlling, &["10.0.0.1:1000"], &["10.0.0.2:2000"]);
    let request = bench.last_request();
    let conflict =
        Message::new(ERROR, request.id()).error_code(487).integrity(PEER_PWD).fingerprint();
    let _ = bench.feed("10.0.0.1:1000", "10.0.0.2:40000", &conflict);
    assert_eq!(bench.agent.role(), Role::Controlled);
    let again = bench.run_for(Duration::from_millis(50));
    assert_eq!(again.iter().filter(|sent| sent.is_request()).count(), 1, "the check is repeated");
}

/// C8: a 487 to a request that claimed the role of before the last switch leaves the role alone.
#[test]
fn a_487_to_a_request_of_the_former_role_does_not_switch_back() {
    let mut bench = controlling(&[R1]);
    let check = only_request_to(&bench, R1);
    // The peer's tie breaker is the largest, so this side yields.
    let mut winner = bench.check(Role::Controlling);
    let at = winner.bytes.len() - 8;
    winner.bytes[at..].copy_from_slice(&u64::MAX.to_be_bytes());
    let winner = winner.integrity(&bench.pwd()).fingerprint();
    let _ = bench.feed(L1, R1, &winner);
    assert_eq!(bench.agent.role(), Role::Controlled);

    let _ = respond_487(&mut bench, &check);
    assert_eq!(bench.agent.role(), Role::Controlled);
    assert_eq!(role_changes(&bench), [Role::Controlled]);
    let sent = bench.run_until(ms(50));
    assert!(sent.last().is_some_and(|check| check.has(ICE_CONTROLLED)));
}

/// C8, C17: a 487 without integrity, or with a wrong one, changes nothing.
#[test]
fn a_487_that_is_not_authenticated_changes_nothing() {
    let mut bench = controlling(&[R1]);
    let check = only_request_to(&bench, R1);
    let digest = bench.agent.state_digest();
    let plain = Message::new(ERROR, check.id()).error_code(487);
    for bytes in [plain.clone().fingerprint(), plain.integrity("not the password").fingerprint()] {
        assert_eq!(respond(&mut bench, &check, &bytes), Received::Ignored(Ignored::BadIntegrity));
        assert_eq!(bench.agent.state_digest(), digest);
    }
    assert_eq!(bench.agent.role(), Role::Controlling);
}

/// C8: the 487 storm of ex_ice #71. Every check of a long list is answered with 487, each twice
/// and in the wrong order; the role changes once and does not come back.
#[test]
fn regression_ex_ice_487_storm_flaps_the_role() {
    let remotes: Vec<String> = (1..=8).map(|host| format!("10.9.0.{host}:2000")).collect();
    let remotes: Vec<&str> = remotes.iter().map(String::as_str).collect();
    let mut bench = controlling(&remotes);
    bench.run_until(ms(400));
    let checks = bench.requests();
    assert_eq!(checks.len(), 8);
    for check in checks.iter().rev().chain(&checks) {
        let _ = respond_487(&mut bench, check);
    }
    assert_eq!(role_changes(&bench), [Role::Controlled]);

    let before = bench.requests().len();
    bench.run_until(ms(1_000));
    let again = bench.requests().split_off(before);
    let to: BTreeSet<SocketAddr> = again.iter().map(|sent| sent.to).collect();
    assert_eq!(to.len(), 8);
    assert!(again.iter().all(|check| check.has(ICE_CONTROLLED)));
}

// From where to where

/// C9: an answer from another port or another address than the one asked fails the pair, though
/// it is authenticated.
#[test]
fn regression_is_response_from_another_source_is_accepted() {
    for source in ["10.9.0.1:2001", "10.9.0.7:2000", R2] {
        let mut bench = controlling(&[R1, R2]);
        let check = only_request_to(&bench, R1);
        let bytes = bench.success(&check);
        let _ = bench.feed(L1, source, &bytes);
        assert_eq!(state(&bench, R1), PairState::Failed, "{source}");
        assert!(!any_valid(&bench));
        // The transaction is over, so the right answer comes too late.
        assert_eq!(bench.answer(&check), Received::Ignored(Ignored::UnknownTransaction));
        assert!(!any_valid(&bench));
        assert_eq!(state(&bench, R2), PairState::Waiting);
    }
}

/// C9: an answer that arrives on another local address than the one that asked fails the pair.
#[test]
fn a_response_at_another_local_address_fails_the_pair() {
    let mut bench = Bench::started(plain(Role::Controlling), &[L1, L2], &[R1]);
    let check = bench.last_request();
    assert_eq!(check.from, addr(L1));
    let bytes = bench.success(&check);
    let _ = bench.feed(L2, R1, &bytes);
    assert_eq!(state(&bench, R1), PairState::Failed);
    assert!(!any_valid(&bench));
    assert!(reached(&bench, ConnectionState::Connected).is_none());
}

// Silence

/// C10, U2: a silent check is sent at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s, always the same
/// bytes, and fails at 39.5 s.
#[test]
fn silence_fails_the_pair_after_39500_ms() {
    let mut bench = controlling(&[R1]);
    let just_before = Timestamp::from_nanos(ms(TIMEOUT).as_nanos() - 1);
    bench.run_until(just_before);
    let requests = bench.requests();
    let times: Vec<Timestamp> = requests.iter().map(|sent| sent.at).collect();
    assert_eq!(times, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500].map(ms));
    assert!(requests.iter().all(|sent| sent.bytes == requests[0].bytes));
    assert_eq!(state(&bench, R1), PairState::InProgress);
    assert_eq!(pair(&bench, L1, R1).transmissions, 7);

    bench.run_until(ms(TIMEOUT));
    assert_eq!(state(&bench, R1), PairState::Failed);
    assert_eq!(reached(&bench, ConnectionState::Failed), Some(ms(TIMEOUT)));
    assert!(bench.run_until(ms(200_000)).is_empty());
}

/// C10: an answer in the last instant counts, one at the end of the transaction does not.
#[test]
fn an_answer_counts_until_the_end_of_the_transaction() {
    for (at, valid) in [(TIMEOUT - 1, true), (TIMEOUT, false)] {
        let mut bench = controlling(&[R1]);
        let check = only_request_to(&bench, R1);
        bench.run_until(ms(at));
        let _ = bench.answer(&check);
        assert_eq!(find_pair(&bench, L1, R1).is_some_and(|pair| pair.valid), valid, "{at} ms");
    }
}

/// P9, V12: an answer to one of the checks that go out beside a retransmitted one may come after
/// the session has failed. It connects then, and does not stay failed with a selected pair.
#[test]
fn an_answer_after_the_failure_revives_the_session() {
    for role in [Role::Controlling, Role::Controlled] {
        let mut config = plain(role);
        config.timing.hedging = true;
        config.timing.transmissions = 1;
        config.timing.final_wait = 1;
        let mut bench = Bench::started(config, &[L1], &[R1]);
        while bench.agent.state() != ConnectionState::Failed {
            bench.run_for(Duration::from_millis(5));
        }
        let check = requests_to(&bench, R1).pop().unwrap();
        assert!(bench.now < check.at + Duration::from_millis(500), "{check:?}");
        let _ = bench.answer(&check);
        assert_eq!(bench.agent.state(), ConnectionState::Connected, "{role:?}");
        match role {
            Role::Controlling => {
                bench.run_for(Duration::from_millis(50));
                let nomination = requests_to(&bench, R1).pop().unwrap();
                assert!(nomination.nominates());
                let _ = bench.answer(&nomination);
            }
            Role::Controlled => {
                let _ = bench.send_check(L1, R1, true);
            }
        }
        assert_eq!(bench.agent.state(), ConnectionState::Completed, "{role:?}");
    }
}

// Errors

/// C11: an authenticated error fails its pair alone: one of the same foundation stays as it was,
/// one of another goes on.
#[test]
fn an_error_fails_its_own_pair_only() {
    let mut bench = Bench::with(plain(Role::Controlling));
    bench.add_local(L1);
    bench.add_remote_line("same 1 UDP 2000000003 10.9.0.1 2000 typ host");
    bench.add_remote_line("same 1 UDP 2000000002 10.9.0.2 2000 typ host");
    bench.add_remote_line("other 1 UDP 2000000001 10.9.0.3 2000 typ host");
    bench.start();
    bench.run_until(ms(60));
    assert_eq!(state(&bench, R2), PairState::Frozen);
    let other = only_request_to(&bench, R3);
    let check = only_request_to(&bench, R1);
    let bytes = error(&check, 400);
    assert_eq!(respond(&mut bench, &check, &bytes), Received::Consumed);
    assert_eq!(state(&bench, R1), PairState::Failed);
    assert_eq!(state(&bench, R2), PairState::Frozen);
    assert_eq!(state(&bench, R3), PairState::InProgress);

    // With none of its foundation under way the Frozen one has its turn (RFC 8445 §6.1.4.2).
    bench.run_until(ms(100));
    assert_eq!(state(&bench, R2), PairState::InProgress);
    let _ = bench.answer(&other);
    assert!(pair(&bench, L1, R3).valid);
    bench.run_until(ms(5_000));
    assert_eq!(requests_to(&bench, R1).len(), 1, "a failed pair is not checked again");
}

/// C11: an error response that carries XOR-MAPPED-ADDRESS is an error (rice).
#[test]
fn regression_rice_error_with_mapped_address_counts_as_success() {
    let mut bench = controlling(&[R1]);
    let check = only_request_to(&bench, R1);
    for first_mapped in [true, false] {
        let mut bench = bench.clone();
        let mut message = Message::new(ERROR, check.id());
        if first_mapped {
            message = message.xor_mapped(check.from).error_code(400);
        } else {
            message = message.error_code(400).xor_mapped(check.from);
        }
        let bytes = message.integrity(PEER_PWD).fingerprint();
        let _ = respond(&mut bench, &check, &bytes);
        assert_eq!(state(&bench, R1), PairState::Failed);
        assert!(!any_valid(&bench));
        assert_eq!(bench.agent.route(bench.stream, 1), None);
    }
    let _ = bench.answer(&check);
    assert!(any_valid(&bench));
}

/// C20: a success response without XOR-MAPPED-ADDRESS proves nothing, be there a plain
/// MAPPED-ADDRESS instead or one that is too short.
#[test]
fn a_success_without_a_mapped_address_makes_no_valid_pair() {
    const MAPPED_ADDRESS: u16 = 0x0001;
    let bench = controlling(&[R1]);
    let check = only_request_to(&bench, R1);
    let empty = Message::new(SUCCESS, check.id());
    let plain = empty.clone().attr(MAPPED_ADDRESS, &[0, 1, 3, 232, 10, 0, 0, 1]);
    let short = empty.clone().attr(common::XOR_MAPPED_ADDRESS, &[0, 1, 3, 232]);
    for message in [empty, plain, short] {
        let mut bench = bench.clone();
        let bytes = message.integrity(PEER_PWD).fingerprint();
        let _ = respond(&mut bench, &check, &bytes);
        assert!(!any_valid(&bench));
        assert_eq!(bench.agent.route(bench.stream, 1), None);
        bench.run_until(ms(TIMEOUT));
        assert_eq!(state(&bench, R1), PairState::Failed);
    }
}

/// C21: a response with a transaction id that was never used, and one to a transaction that is
/// over, are discarded without a trace.
#[test]
fn responses_to_no_transaction_are_discarded() {
    let mut bench = controlled(&[R1, R2]);
    let check = only_request_to(&bench, R1);
    let stranger = Message::new(SUCCESS, [0xee; 12]).xor_mapped(check.from);
    let stranger = stranger.integrity(PEER_PWD).fingerprint();
    let digest = bench.agent.state_digest();
    assert_eq!(
        respond(&mut bench, &check, &stranger),
        Received::Ignored(Ignored::UnknownTransaction)
    );
    assert_eq!(bench.agent.state_digest(), digest);

    let _ = bench.answer(&check);
    let digest = bench.agent.state_digest();
    let late_error = error(&check, 400);
    let other_address = success_with_mapped(&check, MAPPED);
    for bytes in [bench.success(&check), late_error, other_address] {
        assert_eq!(
            respond(&mut bench, &check, &bytes),
            Received::Ignored(Ignored::UnknownTransaction)
        );
        assert_eq!(bench.agent.state_digest(), digest);
    }
    assert!(pair(&bench, L1, R1).valid);
}

/// C22: a success or an error with an attribute that must be understood and is not ends the
/// transaction as failed; so a 487 like that switches no role.
#[test]
fn an_unknown_required_attribute_in_a_response_fails_the_transaction() {
    let bench = controlling(&[R1]);
    let check = only_request_to(&bench, R1);
    let success = Message::new(SUCCESS, check.id()).xor_mapped(check.from);
    let conflict = Message::new(ERROR, check.id()).error_code(487);
    for message in [success, conflict] {
        let mut bench = bench.clone();
        let message = message.attr(UNKNOWN_REQUIRED, b"what");
        let _ = respond(&mut bench, &check, &message.integrity(PEER_PWD).fingerprint());
        assert_eq!(state(&bench, R1), PairState::Failed);
        assert!(!any_valid(&bench));
        assert_eq!(bench.agent.role(), Role::Controlling);
    }
}

/// C22: an attribute that need not be understood does no harm.
#[test]
fn an_unknown_optional_attribute_in_a_response_is_ignored() {
    let mut bench = controlling(&[R1]);
    let check = only_request_to(&bench, R1);
    let message = Message::new(SUCCESS, check.id()).xor_mapped(check.from);
    let message = message.attr(UNKNOWN_OPTIONAL, b"whatever");
    let _ = respond(&mut bench, &check, &message.integrity(PEER_PWD).fingerprint());
    assert!(pair(&bench, L1, R1).valid);
}

/// C17: a response without integrity, or with a wrong one, is as if it had never come: the
/// repetitions go on at their times and the true answer counts.
#[test]
fn forged_responses_are_as_if_they_had_never_come() {
    let mut bench = controlling(&[R1]);
    let check = only_request_to(&bench, R1);
    let success = Message::new(SUCCESS, check.id()).xor_mapped(check.from);
    let refusal = Message::new(ERROR, check.id()).error_code(400);
    let unauthorised = Message::new(ERROR, check.id()).error_code(401);
    let forged = [
        success.clone().fingerprint(),
        success.integrity("not the peer's password").fingerprint(),
        refusal.clone().fingerprint(),
        refusal.integrity("not the peer's password").fingerprint(),
        unauthorised.fingerprint(),
    ];
    let digest = bench.agent.state_digest();
    for bytes in &forged {
        assert_eq!(respond(&mut bench, &check, bytes), Received::Ignored(Ignored::BadIntegrity));
        assert_eq!(bench.agent.state_digest(), digest);
    }
    bench.run_until(ms(3_500));
    for bytes in &forged {
        let _ = respond(&mut bench, &check, bytes);
    }
    bench.run_until(ms(10_000));
    let times: Vec<Timestamp> = bench.requests().iter().map(|sent| sent.at).collect();
    assert_eq!(times, [0, 500, 1_500, 3_500, 7_500].map(ms));

    assert_eq!(bench.answer(&check), Received::Consumed);
    assert!(pair(&bench, L1, R1).valid);
    assert_eq!(reached(&bench, ConnectionState::Connected), Some(ms(10_000)));
}

/// C17: forged responses alone keep the pair from nothing but an answer: it fails with time.
#[test]
fn forged_responses_do_not_end_the_transaction_early() {
    let mut bench = controlling(&[R1]);
    let check = only_request_to(&bench, R1);
    let forged = Message::new(ERROR, check.id()).error_code(400).fingerprint();
    let _ = respond(&mut bench, &check, &forged);
    bench.run_until(Timestamp::from_nanos(ms(TIMEOUT).as_nanos() - 1));
    assert_eq!(state(&bench, R1), PairState::InProgress);
    bench.run_until(ms(TIMEOUT));
    assert_eq!(state(&bench, R1), PairState::Failed);
}

// Valid pairs

/// C13: a mapped address that nobody knew is a peer-reflexive local candidate, with the base and
/// the PRIORITY of its check; it is not signalled, and not paired with anybody else.
#[test]
fn an_unknown_mapped_address_becomes_a_peer_reflexive_candidate() {
    let mut bench = Bench::started(plain(Role::Controlled), &[L1, L2], &[R1, R2]);
    bench.run_until(ms(10));
    let check = only_request_to(&bench, R1);
    let pairs_before = bench.agent.pairs().count();
    let events_before = bench.events.len();
    let bytes = success_with_mapped(&check, MAPPED);
    let _ = respond(&mut bench, &check, &bytes);

    let reflexive: Vec<_> = bench
        .agent
        .local_candidates()
        .filter(|candidate| candidate.kind == CandidateKind::PeerReflexive)
        .collect();
    assert_eq!(reflexive.len(), 1);
    assert_eq!(reflexive[0].addr, addr(MAPPED));
    assert_eq!(reflexive[0].base, addr(L1));
    assert_eq!(reflexive[0].component, 1);
    assert_eq!(Some(reflexive[0].priority), priority_of(&check));
    assert_eq!(bench.agent.pairs().count(), pairs_before);
    let signalled = |(_, event): &(Timestamp, Event)| matches!(event, Event::LocalCandidate { .. });
    assert!(!bench.events[events_before..].iter().any(signalled));

    // Each base and remote candidate are checked once, by whatever name the base is known.
    bench.run_until(ms(400));
    let paths: Vec<_> = bench.requests().iter().map(|sent| (sent.from, sent.to)).collect();
    assert_eq!(paths.len(), 4);
    assert_eq!(paths.iter().collect::<BTreeSet<_>>().len(), 4);
    assert!(paths.iter().all(|(from, _)| *from != addr(MAPPED)));
}

/// C13: a second check from the same base that shows the same address finds the candidate there.
#[test]
fn a_mapped_address_that_is_known_makes_no_second_candidate() {
    let mut bench = controlled(&[R1, R2]);
    bench.run_until(ms(60));
    for remote in [R1, R2] {
        let check = only_request_to(&bench, remote);
        let bytes = success_with_mapped(&check, MAPPED);
        let _ = respond(&mut bench, &check, &bytes);
    }
    assert_eq!(bench.agent.local_candidates().count(), 2);
    for remote in [R1, R2] {
        let pair = pair(&bench, L1, remote);
        assert!(pair.valid);
        assert_eq!(pair.local.addr, addr(MAPPED));
    }
}

/// C14, first case: the peer saw the base, so the pair that was checked is the valid one.
#[test]
fn without_a_nat_the_checked_pair_is_the_valid_pair() {
    let mut bench = controlled(&[R1]);
    let check = only_request_to(&bench, R1);
    let _ = bench.answer(&check);
    let pairs: Vec<PairView> = bench.agent.pairs().collect();
    assert_eq!(pairs.len(), 1);
    assert!(pairs[0].valid);
    assert_eq!(pairs[0].state, PairState::Succeeded);
    assert_eq!((pairs[0].local.addr, pairs[0].local.base), (addr(L1), addr(L1)));
    assert_eq!(pairs[0].local.kind, CandidateKind::Host);
}

/// C14, second case: the peer saw another host candidate, so the other pair of the list is the
/// valid one and the checked pair is not; both have succeeded. The nomination repeats the check
/// that was made.
#[test]
fn a_mapped_address_of_another_candidate_makes_its_pair_valid() {
    let mut bench = Bench::started(plain(Role::Controlling), &[L1, L2], &[R1]);
    let check = bench.last_request();
    assert_eq!(check.from, addr(L1));
    bench.run_until(ms(10));
    let bytes = success_with_mapped(&check, L2);
    let _ = respond(&mut bench, &check, &bytes);

    let (checked, proved) = (pair(&bench, L1, R1), pair(&bench, L2, R1));
    assert_eq!([checked.state, proved.state], [PairState::Succeeded; 2]);
    assert!(!checked.valid && proved.valid);
    assert_eq!(bench.agent.pairs().count(), 2);
    assert_eq!(bench.agent.local_candidates().count(), 2);

    bench.run_until(ms(100));
    let nomination = bench.requests().into_iter().find(Sent::nominates).unwrap();
    assert_eq!((nomination.from, nomination.to), (addr(L1), addr(R1)));
    let bytes = success_with_mapped(&nomination, L2);
    let _ = respond(&mut bench, &nomination, &bytes);
    assert_eq!(selections(&bench), [(addr(L2), addr(R1))]);
}

/// C14, third case, S6: behind a NAT the valid pair is in no checklist. It is selected as the
/// peer sees it, and everything is sent from the base.
#[test]
fn behind_a_nat_the_valid_pair_is_reported_as_reflexive_and_sends_from_its_base() {
    let mut bench = controlling(&[R1]);
    let check = only_request_to(&bench, R1);
    let bytes = success_with_mapped(&check, MAPPED);
    let _ = respond(&mut bench, &check, &bytes);
    bench.run_until(ms(50));
    let nomination = bench.last_request();
    assert!(nomination.nominates());
    let bytes = success_with_mapped(&nomination, MAPPED);
    let _ = respond(&mut bench, &nomination, &bytes);

    let selected = bench.agent.selected_pair(bench.stream, 1).unwrap();
    assert!(selected.valid && selected.nominated);
    assert_eq!(selected.state, PairState::Succeeded);
    assert_eq!(selected.local.kind, CandidateKind::PeerReflexive);
    assert_eq!((selected.local.addr, selected.local.base), (addr(MAPPED), addr(L1)));
    assert_eq!(selected.remote.addr, addr(R1));
    let told = bench.events.iter().find_map(|(_, event)| match event {
        Event::SelectedPair { local, remote, .. } => Some((local.addr, remote.addr)),
        _ => None,
    });
    assert_eq!(told, Some((addr(MAPPED), addr(R1))));

    assert!(bench.sent.iter().all(|sent| sent.from == addr(L1)));
    let data = bench.agent.send(bench.now, bench.stream, 1, b"\x80media").unwrap();
    let Route::Datagram { local, remote, .. } = data.route else { panic!("not a datagram") };
    assert_eq!((local, remote), (addr(L1), addr(R1)));
}

/// C15: a success unfreezes the pairs of its foundation in all checklists at once.
#[test]
fn a_success_unfreezes_its_foundation_in_other_streams() {
    let mut bench = Bench::with(plain(Role::Controlled));
    let (one, two) = (bench.stream, second_stream(&mut bench));
    bench.add_local("10.0.0.1:1000");
    bench.add_remote_line("same 1 UDP 2000000003 10.9.0.1 2000 typ host");
    bench.stream = two;
    bench.add_local("10.0.0.1:1001");
    bench.add_remote_line("same 1 UDP 2000000002 10.9.0.1 2001 typ host");
    bench.add_remote_line("other 1 UDP 2000000001 10.9.0.2 2001 typ host");
    bench.start();
    bench.run_until(ms(60));
    let check = bench.requests()[0].clone();
    assert_eq!(check.to, addr("10.9.0.1:2000"));
    let state = |bench: &Bench, remote: &str| {
        bench.agent.pairs().find(|pair| pair.remote.addr == addr(remote)).unwrap().state
    };
    assert_eq!(state(&bench, "10.9.0.1:2001"), PairState::Frozen);
    assert_eq!(state(&bench, "10.9.0.2:2001"), PairState::InProgress);

    let _ = bench.answer(&check);
    assert_eq!(state(&bench, "10.9.0.1:2000"), PairState::Succeeded);
    assert_eq!(state(&bench, "10.9.0.1:2001"), PairState::Waiting);
    let sent = bench.run_until(ms(100));
    assert_eq!(sent.iter().map(|sent| sent.to).collect::<Vec<_>>(), [addr("10.9.0.1:2001")]);
    assert_ne!(one, two);
}

/// C15: the valid pair succeeds with the pair that was checked, and unfreezes its foundation too.
#[test]
fn the_valid_pair_is_succeeded_as_well_as_the_checked_one() {
    let mut bench = Bench::started(plain(Role::Controlled), &[L1, L2], &[R1]);
    let check = bench.last_request();
    assert_eq!(pair(&bench, L2, R1).state, PairState::Waiting);
    let bytes = success_with_mapped(&check, L2);
    let _ = respond(&mut bench, &check, &bytes);
    assert_eq!(pair(&bench, L1, R1).state, PairState::Succeeded);
    assert_eq!(pair(&bench, L2, R1).state, PairState::Succeeded);
}

// The state of the list

/// C16: when all pairs are decided and some component has no valid pair, the list has failed.
#[test]
fn a_component_without_a_valid_pair_fails_the_list() {
    let mut config = plain(Role::Controlled);
    config.components = 2;
    let mut bench = Bench::with(config);
    bench.add_local(L1);
    let second = LocalAddress::udp(addr("10.0.0.1:1001"));
    bench.agent.add_local(bench.now, bench.stream, 2, second).unwrap();
    bench.agent.gather(bench.now);
    bench.drain();
    bench.add_remote_line("a 1 UDP 2000000002 10.9.0.1 2000 typ host");
    bench.add_remote_line("b 2 UDP 2000000001 10.9.0.1 2001 typ host");
    bench.agent.end_of_remote_candidates(bench.now, None);
    bench.start();
    bench.run_until(ms(60));
    let (one, two) = (only_request_to(&bench, R1), only_request_to(&bench, "10.9.0.1:2001"));
    let _ = bench.answer(&one);
    let bytes = error(&two, 400);
    let _ = respond(&mut bench, &two, &bytes);
    assert_ne!(bench.agent.state(), ConnectionState::Failed, "the peer may still call");
    bench.run_until(ms(TIMEOUT));
    assert_eq!(reached(&bench, ConnectionState::Failed), Some(ms(TIMEOUT)));
    assert_eq!(reached(&bench, ConnectionState::Connected), None);
}

/// C16: with a valid pair for each component the list is neither failed nor complete, however
/// many pairs have failed: it waits for the nomination.
#[test]
fn a_valid_list_runs_until_nomination_concludes_it() {
    let mut bench = controlled(&[R1, R2]);
    bench.run_until(ms(60));
    let (one, two) = (only_request_to(&bench, R1), only_request_to(&bench, R2));
    let bytes = error(&one, 400);
    let _ = respond(&mut bench, &one, &bytes);
    let _ = bench.answer(&two);
    assert_eq!(bench.agent.state(), ConnectionState::Connected);
    let end = ms(TIMEOUT + 500);
    converse(&mut bench, end, |sent| sent.to == addr(R2));
    assert_eq!(bench.agent.state(), ConnectionState::Connected);
    assert_eq!(reached(&bench, ConnectionState::Failed), None);
    assert_eq!(reached(&bench, ConnectionState::Completed), None);

    let _ = bench.send_check(L1, R2, true);
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
}

// Triggered checks

/// C18: a check that a triggered one replaces is not repeated any more.
#[test]
fn a_cancelled_check_is_not_repeated() {
    let mut bench = controlled(&[R1]);
    let cancelled = only_request_to(&bench, R1);
    bench.run_until(ms(10));
    let _ = bench.send_check(L1, R1, false);
    assert_eq!(state(&bench, R1), PairState::Waiting);
    bench.run_until(ms(TIMEOUT));
    let requests = requests_to(&bench, R1);
    let (old, new): (Vec<_>, Vec<_>) =
        requests.iter().partition(|sent| sent.id() == cancelled.id());
    assert_eq!(old.len(), 1);
    let times: Vec<Timestamp> = new.iter().map(|sent| sent.at).collect();
    assert_eq!(times, [50, 550, 1_550, 3_550, 7_550, 15_550, 31_550].map(ms));
}

/// C18: the silence of a cancelled check is no failure: the pair has the time of the new one.
#[test]
fn the_silence_of_a_cancelled_check_is_no_failure() {
    let mut bench = controlled(&[R1]);
    bench.run_until(ms(10_000));
    let _ = bench.send_check(L1, R1, false);
    bench.run_until(ms(TIMEOUT + 1));
    assert_eq!(state(&bench, R1), PairState::InProgress);
    bench.run_until(ms(10_000 + TIMEOUT - 1));
    assert_eq!(state(&bench, R1), PairState::InProgress);
    bench.run_until(ms(10_000 + TIMEOUT));
    assert_eq!(state(&bench, R1), PairState::Failed);
}

/// C18: a late answer to a cancelled check counts for as long as that transaction lasts.
#[test]
fn a_late_answer_to_a_cancelled_check_counts() {
    for (at, valid) in [(20, true), (TIMEOUT - 1, true), (TIMEOUT + 1, false)] {
        let mut bench = controlled(&[R1]);
        let cancelled = only_request_to(&bench, R1);
        bench.run_until(ms(10));
        let _ = bench.send_check(L1, R1, false);
        bench.run_until(ms(at));
        let _ = bench.answer(&cancelled);
        assert_eq!(pair(&bench, L1, R1).valid, valid, "{at} ms");
    }
}

/// C18: once a late answer has come, the silence of the newer check is no failure either.
#[test]
fn a_late_answer_keeps_its_success_when_the_newer_check_is_silent() {
    let mut bench = controlled(&[R1]);
    let cancelled = only_request_to(&bench, R1);
    bench.run_until(ms(10));
    let _ = bench.send_check(L1, R1, false);
    bench.run_until(ms(60));
    assert_eq!(requests_to(&bench, R1).len(), 2);
    let _ = bench.answer(&cancelled);
    assert_eq!(state(&bench, R1), PairState::Succeeded);
    let after = bench.run_until(ms(TIMEOUT + 100));
    assert!(after.iter().all(|sent| sent.to == addr(R1)));
    assert_eq!(state(&bench, R1), PairState::Succeeded);
    assert!(pair(&bench, L1, R1).valid);
}

// Nomination

/// Both pairs are valid, and the better one is about to be nominated.
fn two_valid_pairs() -> Bench {
    let mut bench = controlling(&[R1, R2]);
    bench.run_until(ms(60));
    for remote in [R1, R2] {
        let check = only_request_to(&bench, remote);
        let _ = bench.answer(&check);
    }
    assert!(pair(&bench, L1, R1).valid && pair(&bench, L1, R2).valid);
    bench.run_until(ms(100));
    let nomination = bench.last_request();
    assert!(nomination.nominates() && nomination.to == addr(R1));
    bench
}

/// C19, decision 3: a refused nomination takes the pair from the valid list, and the next valid
/// pair is nominated.
#[test]
fn when_a_nomination_fails_the_next_valid_pair_is_nominated() {
    let mut bench = two_valid_pairs();
    let nomination = bench.last_request();
    let bytes = error(&nomination, 400);
    let _ = respond(&mut bench, &nomination, &bytes);
    let failed = pair(&bench, L1, R1);
    assert_eq!(failed.state, PairState::Failed);
    assert!(!failed.valid && !failed.nominated);
    assert_eq!(bench.agent.state(), ConnectionState::Connected);
    let route = bench.agent.route(bench.stream, 1).unwrap();
    assert!(matches!(route, Route::Datagram { remote, .. } if remote == addr(R2)));

    bench.run_until(ms(150));
    let next = bench.last_request();
    assert!(next.nominates() && next.to == addr(R2));
    let _ = bench.answer(&next);
    assert_eq!(selections(&bench), [(addr(L1), addr(R2))]);
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    assert_eq!(reached(&bench, ConnectionState::Failed), None);
}

/// C19, decision 3: a peer that answers everything but USE-CANDIDATE on the best pair gets the
/// nomination of the next one when that transaction has ended.
#[test]
fn when_a_nomination_is_not_answered_the_next_valid_pair_is_nominated() {
    let mut bench = two_valid_pairs();
    let answers = |sent: &Sent| sent.to == addr(R2) || !sent.nominates();
    converse(&mut bench, ms(100 + TIMEOUT - 1), answers);
    assert_eq!(selections(&bench), []);
    assert_eq!(bench.agent.state(), ConnectionState::Connected);
    converse(&mut bench, ms(100 + TIMEOUT + 50), answers);
    assert_eq!(selections(&bench), [(addr(L1), addr(R2))]);
    assert!(!pair_is_valid(&bench, R1));
}

fn pair_is_valid(bench: &Bench, remote: &str) -> bool {
    find_pair(bench, L1, remote).is_some_and(|pair| pair.valid)
}

/// C19, decision 3: when no valid pair is left the list fails, though not before the patience of
/// RFC 8863 ends; no data leaves in the meantime.
#[test]
fn when_the_nomination_of_the_only_pair_fails_the_list_fails() {
    let mut bench = controlling(&[R1]);
    let check = only_request_to(&bench, R1);
    let _ = bench.answer(&check);
    bench.run_until(ms(50));
    let nomination = bench.last_request();
    assert!(nomination.nominates());
    let bytes = error(&nomination, 400);
    let _ = respond(&mut bench, &nomination, &bytes);
    assert_eq!(state(&bench, R1), PairState::Failed);
    assert!(!any_valid(&bench));
    assert_eq!(
        bench.agent.send(bench.now, bench.stream, 1, b"\x80media"),
        Err(SendError::NotConnected)
    );
    bench.run_until(ms(TIMEOUT - 1));
    assert_eq!(bench.agent.state(), ConnectionState::Checking);
    bench.run_until(ms(TIMEOUT));
    assert_eq!(bench.agent.state(), ConnectionState::Failed);
}

/// C19: on the controlled side a nomination whose triggered check fails selects nothing.
#[test]
fn a_peers_nomination_whose_triggered_check_fails_selects_nothing() {
    let mut bench = controlled(&[R1]);
    let _ = bench.send_check(L1, R1, true);
    bench.run_until(ms(50));
    let triggered = bench.last_request();
    let bytes = error(&triggered, 400);
    let _ = respond(&mut bench, &triggered, &bytes);
    assert_eq!(state(&bench, R1), PairState::Failed);
    assert_eq!(selections(&bench), []);
    bench.run_until(ms(TIMEOUT));
    assert_eq!(bench.agent.state(), ConnectionState::Failed);
}

/// N1: of several valid pairs the best one is nominated, in whatever order they became valid
/// (rice nominated the worst).
#[test]
fn regression_rice_nominates_the_lowest_pair() {
    for order in [[R1, R2, R3], [R3, R2, R1], [R2, R3, R1], [R2, R1, R3], [R3, R1, R2]] {
        // A controlled agent has three valid pairs when a role conflict makes it nominate.
        let mut bench = controlled(&[R1, R2, R3]);
        bench.run_until(ms(110));
        for remote in order {
            let check = only_request_to(&bench, remote);
            let _ = bench.answer(&check);
        }
        let conflict = bench.check(Role::Controlled).integrity(&bench.pwd()).fingerprint();
        let _ = bench.feed(L1, R3, &conflict);
        assert_eq!(bench.agent.role(), Role::Controlling);
        bench.run_until(ms(160));
        let nominations: Vec<SocketAddr> =
            bench.requests().iter().filter(|sent| sent.nominates()).map(|sent| sent.to).collect();
        assert_eq!(nominations, [addr(R1)], "{order:?}");
    }
}

/// C21: duplicates of an answer, and answers to checks whose pairs nomination has removed, change
/// nothing any more.
#[test]
fn regression_duplicate_and_late_responses_after_pair_removal() {
    let mut bench = two_valid_pairs_of_three();
    let late = only_request_to(&bench, R3);
    let nomination = bench.last_request();
    let _ = bench.answer(&nomination);
    assert_eq!(selections(&bench), [(addr(L1), addr(R1))]);

    let digest = bench.agent.state_digest();
    let sent = bench.sent.len();
    for request in bench.requests().into_iter().filter(|request| request.id() != late.id()) {
        for _ in 0..3 {
            let received = bench.answer(&request);
            assert_eq!(received, Received::Ignored(Ignored::UnknownTransaction));
        }
    }
    assert_eq!(bench.agent.state_digest(), digest);

    let _ = bench.answer(&late);
    let _ = bench.answer(&late);
    let bytes = error(&late, 487);
    let _ = respond(&mut bench, &late, &bytes);
    assert_eq!(bench.sent.len(), sent);
    assert_eq!(selections(&bench), [(addr(L1), addr(R1))]);
    let selected = bench.agent.selected_pair(bench.stream, 1).unwrap();
    assert_eq!(selected.remote.addr, addr(R1));
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    assert_eq!(bench.agent.role(), Role::Controlling);
    let error_codes = bench.sent.iter().filter(|sent| sent.has(ERROR_CODE)).count();
    assert_eq!(error_codes, 0);
}

/// C8, N5: a 487 that comes when nomination has removed its pair does not bring the pair back,
/// though the peer had been heard on it.
#[test]
fn a_late_487_does_not_revive_a_pair_that_nomination_has_removed() {
    let mut bench = controlling(&[R1, R2, R3]);
    bench.run_until(ms(110));
    let check = only_request_to(&bench, R1);
    let _ = bench.answer(&check);
    let _ = bench.send_check(L1, R3, false);
    bench.run_until(ms(200));
    let checks = bench.requests();
    let nomination = checks.iter().find(|sent| sent.nominates()).unwrap();
    let _ = bench.answer(nomination);
    assert_eq!(selections(&bench), [(addr(L1), addr(R1))]);

    let before = bench.requests().len();
    for late in requests_to(&bench, R3) {
        let _ = respond_487(&mut bench, &late);
    }
    bench.run_until(ms(2_000));
    let after = bench.requests().split_off(before);
    assert!(after.iter().all(|sent| sent.to == addr(R1)), "{after:?}");
    assert_eq!(bench.agent.selected_pair(bench.stream, 1).unwrap().remote.addr, addr(R1));
}

/// R1 is being nominated, R2 is valid, R3 is under way.
fn two_valid_pairs_of_three() -> Bench {
    let mut bench = controlling(&[R1, R2, R3]);
    bench.run_until(ms(110));
    for remote in [R1, R2] {
        let check = only_request_to(&bench, remote);
        let _ = bench.answer(&check);
    }
    bench.run_until(ms(150));
    let nomination = bench.last_request();
    assert!(nomination.nominates() && nomination.to == addr(R1));
    assert_eq!(state(&bench, R3), PairState::InProgress);
    bench
}
