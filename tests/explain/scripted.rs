//! Causes that a scripted peer plays.

use std::time::Duration;

use frazil::{AgentConfig, PairReason, Refused, Role, Route, TransmitError, Transport, Verdict};

use crate::common::{Bench, ERROR, Message, PEER_PWD, addr, ms, plain};

const LOCAL: &str = "10.0.0.1:1000";
const REMOTE: &str = "10.0.0.2:2000";

fn started(role: Role) -> Bench {
    Bench::started(plain(role), &[LOCAL], &[REMOTE])
}

/// The peer answers every request with this error.
fn answering_with(bench: &mut Bench, code: u16) {
    let mut answered = 0;
    for _ in 0..100 {
        let requests = bench.requests();
        for request in &requests[answered..] {
            let error = Message::new(ERROR, request.id()).error_code(code);
            let _ = bench.feed(LOCAL, REMOTE, &error.integrity(PEER_PWD).fingerprint());
        }
        answered = requests.len();
        bench.run_for(Duration::from_secs(1));
    }
}

#[test]
fn the_peer_answers_everything_with_an_error() {
    let mut bench = started(Role::Controlling);
    answering_with(&mut bench, 500);
    let explanation = bench.agent.explain();
    assert_eq!(explanation.verdict, Verdict::AllFailedWith { code: 500 });
    assert_eq!(explanation.pairs[0].why, PairReason::Refused { code: 500 });
    assert!(explanation.to_string().ends_with("everything with error 500 (server error)"));
}

#[test]
fn the_roles_cannot_be_settled() {
    let mut bench = started(Role::Controlling);
    answering_with(&mut bench, 487);
    assert_eq!(bench.agent.explain().verdict, Verdict::RoleConflict);
}

#[test]
fn the_peer_revokes_its_consent() {
    let mut config = AgentConfig::new(Role::Controlled);
    config.timing.hedging = false;
    let mut bench = Bench::started(config, &[LOCAL], &[REMOTE]);
    let check = bench.last_request();
    let _ = bench.answer(&check);
    let _ = bench.send_check(LOCAL, REMOTE, true);
    bench.run_until(ms(7_000));
    let consent = bench.last_request();
    assert_ne!(consent.id(), check.id());
    let error = Message::new(ERROR, consent.id()).error_code(403);
    let _ = bench.feed(LOCAL, REMOTE, &error.integrity(PEER_PWD).fingerprint());
    let explanation = bench.agent.explain();
    assert_eq!(explanation.verdict, Verdict::ConsentRevoked { at: ms(7_000) });
    assert_eq!(explanation.pairs[0].why, PairReason::ConsentRevoked { at: ms(7_000) });
}

#[test]
fn answers_come_from_another_address() {
    let mut bench = started(Role::Controlling);
    let request = bench.last_request();
    let answer = bench.success(&request);
    let _ = bench.feed(LOCAL, "10.0.0.9:9", &answer);
    bench.run_until(ms(60_000));
    let explanation = bench.agent.explain();
    assert_eq!(explanation.pairs[0].why, PairReason::AnsweredElsewhere);
    assert_eq!(explanation.verdict, Verdict::AnsweredElsewhere);
}

#[test]
fn this_machine_has_no_route() {
    let mut bench = started(Role::Controlling);
    let route =
        Route::Datagram { transport: Transport::Udp, local: addr(LOCAL), remote: addr(REMOTE) };
    bench.agent.transmit_failed(bench.now, route, TransmitError::Unreachable);
    bench.run_until(ms(60_000));
    let explanation = bench.agent.explain();
    assert_eq!(explanation.pairs[0].why, PairReason::Unreachable);
    assert_eq!(explanation.verdict, Verdict::NetworkRefuses);
}

#[test]
fn the_peer_was_told_other_credentials() {
    let mut bench = started(Role::Controlling);
    let check =
        bench.check(Role::Controlled).integrity("of-somebody-else-altogether").fingerprint();
    let _ = bench.feed(LOCAL, REMOTE, &check);
    bench.run_until(ms(60_000));
    assert_eq!(bench.agent.explain().verdict, Verdict::WrongLocalCredentials);
}

/// A lite agent waits for a nomination that does not come.
#[test]
fn a_full_peer_checks_but_does_not_nominate() {
    let mut config = plain(Role::Controlled);
    config.lite = true;
    let mut bench = Bench::started(config, &[LOCAL], &[REMOTE]);
    let _ = bench.send_check(LOCAL, REMOTE, false);
    bench.run_until(ms(60_000));
    assert_eq!(bench.agent.explain().verdict, Verdict::NotNominated);
}

/// What is remembered has a bound, and what decides nothing is no part of the digest.
#[test]
fn rejections_are_remembered_within_bounds() {
    let mut bench = started(Role::Controlling);
    let digest = bench.agent.state_digest();
    for port in 1..100_u16 {
        let local = frazil::LocalAddress::udp(addr(&format!("127.0.0.1:{port}")));
        bench.agent.add_local(bench.now, bench.stream, 1, local).unwrap_err();
    }
    let explanation = bench.agent.explain();
    assert_eq!(explanation.rejected.len(), 16);
    assert_eq!(&*explanation.rejected[15].address, "127.0.0.1:99");
    assert_eq!(bench.agent.state_digest(), digest);
    assert_eq!(bench.agent.counters().refused(Refused::LocalCandidate), 0);
}
