//! ICE restart (RFC 8445 §9, RFC 7675 §5.1): what a new generation flushes, what it keeps, and how
//! the path in use outlives it until the new one is selected.

#[path = "common/mod.rs"]
mod common;

use std::time::Duration;

use common::{
    Bench, ERROR, ICE_CONTROLLED, ICE_CONTROLLING, MESSAGE_INTEGRITY, Message, PEER_PWD,
    PEER_UFRAG, PRIORITY, REQUEST, SUCCESS, Sent, USE_CANDIDATE, USERNAME, addr, ms, plain,
};
use frazil::sim::{AgentIndex, End, Link, Probability, World};
use frazil::{
    AddRemoteError, AgentConfig, Candidate, CandidateAddress, CandidateKind, ConnectionState,
    Credentials, Event, GatheringState, IceAgent, IceAttributes, Ignored, LocalAddress, Parameters,
    Received, RestartError, Role, SendError, SetRemoteError, Signalling, Timestamp, Transport,
};

const L: &str = "10.0.0.1:1000";
const R: &str = "10.0.0.2:2000";
const R2: &str = "10.0.0.3:2000";

const NEXT_UFRAG: &str = "next";
const NEXT_PWD: &str = "nextpasswordnextpassword";

fn parameters(ufrag: &str, pwd: &str) -> Parameters {
    Parameters::new(Credentials::new(ufrag, pwd).unwrap())
}

fn next_parameters() -> Parameters {
    parameters(NEXT_UFRAG, NEXT_PWD)
}

/// The peer takes its next generation of credentials.
fn peer_restarts(bench: &mut Bench) {
    bench.agent.set_remote(bench.now, next_parameters()).unwrap();
    bench.drain();
}

/// The request of the next Ta slot.
fn next_request(bench: &mut Bench) -> Sent {
    bench.run_for(Duration::from_millis(50));
    bench.last_request()
}

fn restarted_events(bench: &Bench) -> Vec<String> {
    let ufrag = |event: &Event| match event {
        Event::RemoteRestart { ufrag } => Some(ufrag.clone()),
        _ => None,
    };
    bench.events.iter().filter_map(|(_, event)| ufrag(event)).collect()
}

/// A success response that the peer makes with this password.
fn success(request: &Sent, pwd: &str) -> Vec<u8> {
    Message::new(SUCCESS, request.id()).xor_mapped(request.from).integrity(pwd).fingerprint()
}

fn answer(bench: &mut Bench, request: &Sent, pwd: &str) -> Received<'static> {
    let bytes = success(request, pwd);
    bench.feed(&request.from.to_string(), &request.to.to_string(), &bytes)
}

/// A check of the peer to `username`, keyed with `pwd`.
fn check(bench: &mut Bench, username: &str, pwd: &str, nominate: bool) -> Vec<u8> {
    let id = bench.id();
    let role = match bench.agent.role() {
        Role::Controlling => ICE_CONTROLLED,
        Role::Controlled => ICE_CONTROLLING,
    };
    let mut message = Message::new(REQUEST, id)
        .attr(USERNAME, username.as_bytes())
        .attr(PRIORITY, &0x6e00_01ff_u32.to_be_bytes())
        .attr(role, &1_u64.to_be_bytes());
    if nominate {
        message = message.attr(USE_CANDIDATE, &[]);
    }
    message.integrity(pwd).fingerprint()
}

fn username(sent: &Sent) -> String {
    String::from_utf8(sent.get(USERNAME).unwrap()).unwrap()
}

/// A controlled agent with consent on, whose pair is selected, all questions answered so far.
fn selected_with_consent(role: Role) -> Bench {
    let mut config = AgentConfig::new(role);
    config.timing.hedging = false;
    let mut bench = Bench::started(config, &[L], &[R]);
    let check = bench.last_request();
    let _ = bench.answer(&check);
    match role {
        Role::Controlling => {
            bench.run_for(Duration::from_millis(50));
            let nomination = bench.last_request();
            assert!(nomination.nominates());
            let _ = bench.answer(&nomination);
        }
        Role::Controlled => {
            let _ = bench.send_check(L, R, true);
        }
    }
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    bench
}

/// Lets time pass while the peer answers what is addressed to its first generation only.
fn run_answering_the_past(bench: &mut Bench, until: Timestamp) -> Vec<Sent> {
    let before = bench.sent.len();
    while bench.now < until {
        let next = bench.now + Duration::from_millis(10);
        for sent in bench.run_until(next.min(until)) {
            if sent.is_request() && username(&sent).starts_with(PEER_UFRAG) {
                let _ = answer(bench, &sent, PEER_PWD);
            }
        }
    }
    bench.sent[before..].to_vec()
}

/// R1: RFC 8445 §9. "To restart ICE, an agent MUST change both the password and the username
/// fragment for the data stream(s) being restarted."
#[test]
fn a_restart_changes_username_fragment_and_password() {
    let mut bench = selected_with_consent(Role::Controlling);
    let before = bench.agent.local_parameters();
    let staged = bench.agent.prepare_restart(bench.now).unwrap();
    assert_ne!(staged.credentials.ufrag(), before.credentials.ufrag());
    assert_ne!(staged.credentials.pwd(), before.credentials.pwd());
    assert_eq!(bench.agent.local_parameters(), staged, "it is what is to be signalled now");
    assert_eq!(bench.agent.prepare_restart(bench.now).unwrap(), staged, "staged once");
}

/// R1: a change of one of the two is no restart, and is refused; the session goes on.
#[test]
fn a_change_of_only_username_fragment_or_password_is_refused() {
    let mut bench = selected_with_consent(Role::Controlling);
    for (ufrag, pwd) in [(PEER_UFRAG, NEXT_PWD), (NEXT_UFRAG, PEER_PWD)] {
        let refused = bench.agent.set_remote(bench.now, parameters(ufrag, pwd));
        assert_eq!(refused, Err(SetRemoteError::PartialRestart));
    }
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    assert!(restarted_events(&bench).is_empty());
}

/// R2: RFC 8445 §9. "An agent MUST NOT change its role as a result of an ICE restart", whoever
/// begins it.
#[test]
fn roles_are_kept_whoever_restarts() {
    for role in [Role::Controlling, Role::Controlled] {
        let mut bench = selected_with_consent(role);
        bench.agent.prepare_restart(bench.now).unwrap();
        peer_restarts(&mut bench);
        assert_eq!(bench.agent.role(), role);

        let mut bench = selected_with_consent(role);
        peer_restarts(&mut bench);
        assert_eq!(bench.agent.role(), role);
    }
}

/// R3: RFC 8445 §9. All state but the roles is flushed: checks go to the new candidates alone, and
/// carry the new credentials of both sides.
#[test]
fn new_checks_carry_new_credentials_and_go_to_new_candidates() {
    let mut bench = selected_with_consent(Role::Controlling);
    let staged = bench.agent.prepare_restart(bench.now).unwrap();
    bench.drain();
    peer_restarts(&mut bench);
    bench.add_remote(R2, 1000);
    let sent = run_answering_the_past(&mut bench, ms(300));
    let checks: Vec<&Sent> = sent.iter().filter(|sent| sent.to == addr(R2)).collect();
    assert!(!checks.is_empty());
    let expected = format!("{NEXT_UFRAG}:{}", staged.credentials.ufrag());
    for check in checks {
        assert_eq!(username(check), expected);
        assert!(check.verifies(NEXT_PWD));
        assert!(check.fingerprint_is_last_and_right());
    }
    let addresses: Vec<_> = bench.agent.remote_candidates().map(|remote| remote.addr).collect();
    assert_eq!(addresses, [addr(R2)], "the old candidate is gone");
    assert!(
        sent.iter()
            .filter(|sent| sent.is_request())
            .all(|sent| { sent.to == addr(R2) || username(sent).starts_with(PEER_UFRAG) }),
        "on the old path only consent is asked for",
    );
}

/// R4, N11: RFC 7675 §5.1, RFC 8445 §12.1.1. Until the new generation has selected a pair, data goes
/// over the old one, whose consent is asked for with the old credentials.
#[test]
fn the_old_pair_carries_data_under_its_own_consent_until_the_new_one_is_selected() {
    let mut bench = selected_with_consent(Role::Controlling);
    let old = bench.agent.local_parameters();
    let pair = bench.agent.selected_pair(bench.stream, 1).unwrap();
    bench.agent.prepare_restart(bench.now).unwrap();
    bench.drain();
    peer_restarts(&mut bench);
    assert_eq!(bench.agent.selected_pair(bench.stream, 1).unwrap().id, pair.id);
    assert_eq!(bench.agent.state(), ConnectionState::Connected);

    // The peer has no candidate yet: for a minute all there is is the old path.
    let sent = run_answering_the_past(&mut bench, ms(60_000));
    let consent: Vec<&Sent> = sent.iter().filter(|sent| sent.is_request()).collect();
    assert!(consent.len() >= 10, "{}", consent.len());
    let expected = format!("{PEER_UFRAG}:{}", old.credentials.ufrag());
    for request in consent {
        assert_eq!((request.to, username(request)), (addr(R), expected.clone()));
        assert!(request.verifies(PEER_PWD));
    }
    let outgoing = bench.agent.send(bench.now, bench.stream, 1, b"x").unwrap();
    assert_eq!(outgoing.pair, pair.id);
    assert_eq!(bench.agent.state(), ConnectionState::Connected);

    // Now it has one. A valid pair does not take the data yet; the selected one does.
    bench.add_remote(R2, 1000);
    bench.run_for(Duration::from_millis(50));
    let check = bench.last_request();
    assert_eq!(check.to, addr(R2));
    let _ = answer(&mut bench, &check, NEXT_PWD);
    assert_eq!(bench.agent.send(bench.now, bench.stream, 1, b"x").unwrap().pair, pair.id);
    bench.run_for(Duration::from_millis(100));
    let nomination = bench.last_request();
    assert!(nomination.nominates());
    let _ = answer(&mut bench, &nomination, NEXT_PWD);
    let selected = bench.agent.selected_pair(bench.stream, 1).unwrap();
    assert_eq!(selected.remote.addr, addr(R2));
    assert_eq!(bench.agent.send(bench.now, bench.stream, 1, b"x").unwrap().pair, selected.id);
    assert_eq!(bench.agent.state(), ConnectionState::Completed);

    // What is still on its way over the old path arrives; consent is asked for on the new one only.
    let late = bench.feed(L, R, b"late");
    assert!(matches!(late, Received::Data { pair: on, .. } if on == Some(pair.id)), "{late:?}");
    let sent = bench.run_for(Duration::from_secs(8));
    assert!(sent.iter().all(|sent| sent.to == addr(R2)));
}

/// R4: RFC 7675 §5.1. Consent that nobody renews expires during a restart as well.
#[test]
fn the_consent_of_the_old_pair_expires_during_a_restart() {
    let mut bench = selected_with_consent(Role::Controlling);
    bench.agent.prepare_restart(bench.now).unwrap();
    bench.drain();
    peer_restarts(&mut bench);
    bench.run_until(ms(31_000));
    let lost = bench.events.iter().filter(|(_, event)| matches!(event, Event::ConsentLost { .. }));
    assert_eq!(lost.count(), 1);
    let needed = bench.events.iter().any(|(_, event)| matches!(event, Event::RestartNeeded));
    assert!(!needed, "one is under way");
    assert_eq!(bench.agent.send(bench.now, bench.stream, 1, b"x"), Err(SendError::NotConnected));
    assert_ne!(bench.agent.state(), ConnectionState::Connected);
}

/// R6: RFC 8838 §9. Candidates and ends of candidates of a generation to come are kept, those of one
/// that has ended are refused or ignored.
#[test]
fn candidates_of_a_future_generation_wait_and_those_of_a_past_one_are_refused() {
    let mut bench = selected_with_consent(Role::Controlling);
    bench.agent.prepare_restart(bench.now).unwrap();
    bench.drain();
    let future = format!("1 1 UDP 1000 10.0.0.3 2000 typ host ufrag {NEXT_UFRAG}");
    bench.add_remote_line(&future);
    bench.agent.end_of_remote_candidates(bench.now, Some(NEXT_UFRAG));
    bench.run_until(ms(200));
    assert!(bench.sent.iter().all(|sent| sent.to != addr(R2)), "not before its parameters");

    peer_restarts(&mut bench);
    bench.run_until(ms(300));
    assert_eq!(bench.last_request().to, addr(R2));
    let after_end: frazil::Candidate = future.replace("10.0.0.3", "10.0.0.4").parse().unwrap();
    assert_eq!(
        bench.agent.add_remote_candidate(bench.now, bench.stream, &after_end),
        Err(AddRemoteError::AfterEnd)
    );

    let past: frazil::Candidate =
        format!("2 1 UDP 2000 10.0.0.9 2000 typ host ufrag {PEER_UFRAG}").parse().unwrap();
    assert_eq!(
        bench.agent.add_remote_candidate(bench.now, bench.stream, &past),
        Err(AddRemoteError::PastGeneration)
    );
}

/// R6: an end of candidates of the ended generation does not end the current one.
#[test]
fn an_end_of_candidates_of_a_past_generation_is_ignored() {
    let mut bench = selected_with_consent(Role::Controlling);
    peer_restarts(&mut bench);
    bench.agent.end_of_remote_candidates(bench.now, Some(PEER_UFRAG));
    bench.add_remote(R2, 1000);
    assert_eq!(next_request(&mut bench).to, addr(R2));
}

/// R6, V20: checks of the peer that know our old username fragment only are answered with the old
/// password and change nothing; those that know the staged one wait for its parameters.
#[test]
fn checks_of_every_generation_are_answered_in_its_own_name() {
    let mut bench = selected_with_consent(Role::Controlled);
    let old = bench.agent.local_parameters().credentials;
    let new = bench.agent.prepare_restart(bench.now).unwrap().credentials;
    bench.drain();

    // Staged: answered at once, taken for an early check.
    let early = check(&mut bench, &format!("{}:{NEXT_UFRAG}", new.ufrag()), new.pwd(), true);
    assert_eq!(bench.feed(L, R2, &early), Received::Consumed);
    let answered = bench.sent.last().unwrap().clone();
    assert_eq!((answered.kind(), answered.to), (SUCCESS, addr(R2)));
    assert!(answered.verifies(new.pwd()));
    assert_eq!(bench.agent.selected_pair(bench.stream, 1).unwrap().remote.addr, addr(R));

    peer_restarts(&mut bench);
    let triggered = next_request(&mut bench);
    assert_eq!(
        (triggered.to, username(&triggered)),
        (addr(R2), format!("{NEXT_UFRAG}:{}", new.ufrag()))
    );
    let _ = answer(&mut bench, &triggered, NEXT_PWD);
    let selected = bench.agent.selected_pair(bench.stream, 1).unwrap();
    assert_eq!(selected.remote.addr, addr(R2), "the early nomination counts");

    // Past: answered, and that is all.
    let sent = bench.sent.len();
    let late = check(&mut bench, &format!("{}:{PEER_UFRAG}", old.ufrag()), old.pwd(), true);
    assert_eq!(bench.feed(L, R, &late), Received::Consumed);
    let answered = &bench.sent[sent..];
    assert_eq!(answered.len(), 1);
    assert_eq!(answered[0].kind(), SUCCESS);
    assert!(answered[0].verifies(old.pwd()));
    assert_eq!(bench.agent.selected_pair(bench.stream, 1).unwrap().id, selected.id);

    // The wrong password for its username.
    let mixed = check(&mut bench, &format!("{}:{PEER_UFRAG}", old.ufrag()), new.pwd(), true);
    assert_eq!(bench.feed(L, R, &mixed), Received::Ignored(Ignored::BadIntegrity));
}

/// R3: a check to old credentials by a peer that has new ones itself is refused, but for the kept path:
/// data from there would not be taken, and a peer that is told that the pair works sends on it. Browsers
/// do, which gather for a restart of their own and check with the credentials that they know. A check
/// that was on its way from before the restart is answered.
#[test]
fn a_check_of_the_new_generation_to_old_credentials_is_refused_beside_the_kept_path() {
    let mut bench = Bench::selected(L, R);
    let old = bench.agent.local_parameters().credentials;
    peer_restarts(&mut bench);
    let username = |theirs: &str| format!("{}:{theirs}", old.ufrag());
    let mixed = check(&mut bench, &username(NEXT_UFRAG), old.pwd(), true);
    assert_eq!(bench.feed(L, R2, &mixed), Received::Ignored(Ignored::UnknownUser));
    let error = bench.sent.last().unwrap();
    assert_eq!((error.kind(), error.to), (ERROR, addr(R2)));
    assert_eq!(bench.feed(L, R2, b"beside"), Received::Ignored(Ignored::UnknownRemote));

    let late = check(&mut bench, &username(PEER_UFRAG), old.pwd(), false);
    assert_eq!(bench.feed(L, R2, &late), Received::Consumed);
    let kept = check(&mut bench, &username(NEXT_UFRAG), old.pwd(), false);
    assert_eq!(bench.feed(L, R, &kept), Received::Consumed);
    assert!(matches!(bench.feed(L, R, b"kept"), Received::Data { .. }));
}

/// V20: the old generation is forgotten when the peer's consent to it must have ended; its checks are
/// those of an unknown user then.
#[test]
fn the_old_generation_is_forgotten_in_the_end() {
    let mut bench = Bench::selected(L, R);
    let old = bench.agent.local_parameters().credentials;
    peer_restarts(&mut bench);
    bench.add_remote(R2, 1000);
    let first = next_request(&mut bench);
    let _ = answer(&mut bench, &first, NEXT_PWD);
    let new = bench.agent.local_parameters().credentials;
    let nomination = check(&mut bench, &format!("{}:{NEXT_UFRAG}", new.ufrag()), new.pwd(), true);
    let _ = bench.feed(L, R2, &nomination);
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    let done = bench.now;
    let pairs = bench.agent.pairs().count();

    bench.run_until(done + Duration::from_millis(29_900));
    let late = check(&mut bench, &format!("{}:{PEER_UFRAG}", old.ufrag()), old.pwd(), false);
    assert_eq!(bench.feed(L, R, &late), Received::Consumed);
    bench.run_until(done + Duration::from_secs(31));
    let late = check(&mut bench, &format!("{}:{PEER_UFRAG}", old.ufrag()), old.pwd(), false);
    assert_eq!(bench.feed(L, R, &late), Received::Ignored(Ignored::UnknownUser));
    let error = bench.sent.last().unwrap();
    assert_eq!((error.kind(), error.has(MESSAGE_INTEGRITY)), (ERROR, false));
    assert!(bench.agent.pairs().count() < pairs);
    assert!(matches!(bench.feed(L, R, b"late"), Received::Ignored(Ignored::UnknownRemote)));
    let left = bench.agent.selected_pair(bench.stream, 1).map(|pair| pair.remote.addr);
    assert_eq!(left, Some(addr(R2)), "the new one goes on");
}

/// R7: RFC 8445 §9. "The only way for an agent to change its role from full to lite or vice versa is
/// a restart": the same credentials with another implementation are refused, new ones are not, and
/// the full side becomes controlling.
#[test]
fn a_peer_changes_between_lite_and_full_by_restart_only() {
    let mut bench = selected_with_consent(Role::Controlled);
    let mut lite = parameters(PEER_UFRAG, PEER_PWD);
    lite.lite = true;
    assert_eq!(bench.agent.set_remote(bench.now, lite), Err(SetRemoteError::Lite));
    assert_eq!(bench.agent.role(), Role::Controlled);

    let mut lite = next_parameters();
    lite.lite = true;
    bench.agent.set_remote(bench.now, lite).unwrap();
    bench.drain();
    assert_eq!(bench.agent.role(), Role::Controlling);
}

/// The parameters of a generation that has ended are those of an offer that came too late.
#[test]
fn parameters_of_an_earlier_generation_are_refused() {
    let mut bench = selected_with_consent(Role::Controlling);
    peer_restarts(&mut bench);
    let old = bench.agent.set_remote(bench.now, parameters(PEER_UFRAG, PEER_PWD));
    assert_eq!(old, Err(SetRemoteError::PastGeneration));
    bench.agent.set_remote(bench.now, next_parameters()).unwrap();
    assert_eq!(restarted_events(&bench), [NEXT_UFRAG], "the same parameters again change nothing");
}

/// A restart by the peer: new parameters of our own, all candidates put out again under them,
/// gathering to be completed again.
#[test]
fn a_restart_by_the_peer_is_answered_with_new_parameters_and_candidates() {
    let mut bench = selected_with_consent(Role::Controlling);
    let before = bench.agent.local_parameters();
    bench.events.clear();
    peer_restarts(&mut bench);
    let after = bench.agent.local_parameters();
    assert_ne!(before.credentials, after.credentials);
    assert_eq!(bench.agent.gathering_state(), GatheringState::New);
    bench.add_local("10.0.0.7:1000");
    bench.agent.gather(bench.now);
    bench.drain();
    let events: Vec<&Event> = bench.events.iter().map(|(_, event)| event).collect();
    assert!(matches!(events[0], Event::RemoteRestart { ufrag } if ufrag == NEXT_UFRAG));
    let conveyed: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            Event::LocalCandidate { candidate, .. } => {
                Some(candidate.extension("ufrag").unwrap().to_owned())
            }
            _ => None,
        })
        .collect();
    assert_eq!(conveyed, vec![after.credentials.ufrag(); 2]);
    let complete =
        events.iter().any(|event| matches!(event, Event::GatheringState(GatheringState::Complete)));
    assert!(complete);
}

/// RFC 9429 §4.1.10.2: rolled back, a restart leaves everything as it was.
#[test]
fn a_restart_that_is_rolled_back_changes_nothing() {
    let mut bench = selected_with_consent(Role::Controlling);
    let before = bench.agent.local_parameters();
    let staged = bench.agent.prepare_restart(bench.now).unwrap().credentials;
    bench.agent.gather(bench.now);
    bench.drain();
    assert!(bench.agent.rollback_restart(bench.now));
    assert!(!bench.agent.rollback_restart(bench.now));
    bench.drain();
    assert_eq!(bench.agent.local_parameters(), before);
    assert_eq!(bench.agent.gathering_state(), GatheringState::Complete);
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    let name = format!("{}:{NEXT_UFRAG}", staged.ufrag());
    let check = check(&mut bench, &name, staged.pwd(), false);
    assert_eq!(bench.feed(L, R2, &check), Received::Ignored(Ignored::UnknownUser));

    let again = bench.agent.prepare_restart(bench.now).unwrap().credentials;
    assert_ne!(again, staged, "what was taken back is never used again");
}

/// What a restart that was taken back has hidden is put out again: the candidates that the peer has
/// not been told of in the generation that goes on, and no others.
#[test]
fn a_rollback_puts_out_what_was_not_told_before() {
    let mut bench = Bench::with(plain(Role::Controlling));
    bench.add_local(L);
    bench.start();
    let late = LocalAddress::udp(addr("10.0.0.9:1000"));
    bench.agent.add_local(bench.now, bench.stream, 1, late).unwrap();
    bench.agent.prepare_restart(bench.now).unwrap();
    bench.events.clear();
    assert!(bench.agent.rollback_restart(bench.now));
    bench.drain();
    let told: Vec<_> = bench
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::LocalCandidate { candidate, .. } => Some(candidate.address.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(told, [CandidateAddress::Socket(addr("10.0.0.9:1000"))]);
}

/// A restart of what has not begun, or has ended, is refused.
#[test]
fn there_is_nothing_to_restart_before_the_parameters_and_after_the_end() {
    let mut agent = IceAgent::new(plain(Role::Controlling), [7; 32]).unwrap();
    assert_eq!(agent.prepare_restart(ms(0)), Err(RestartError::NotStarted));
    agent.close(ms(0));
    assert_eq!(agent.prepare_restart(ms(0)), Err(RestartError::Closed));
}

/// A6: RFC 8445 §9, RFC 8863 §4. A restart begins a new time of patience.
#[test]
fn a_restart_begins_a_new_time_of_patience() {
    let mut bench = Bench::selected(L, R);
    bench.run_until(ms(100_000));
    peer_restarts(&mut bench);
    bench.agent.gather(bench.now);
    bench.drain();
    bench.agent.end_of_remote_candidates(bench.now, None);
    bench.run_until(ms(139_400));
    assert_eq!(bench.agent.state(), ConnectionState::Connected, "over the old path");
    bench.run_until(ms(139_600));
    let stream = bench.stream;
    assert!(
        bench.agent.send(bench.now, stream, 1, b"x").is_ok(),
        "the old path still carries data"
    );
}

/// A restart that has failed leaves the session on the path from before it, be that silent for a
/// while: it is Failed when that path has lost its consent as well, and not before.
#[test]
fn a_failed_restart_is_no_failure_while_the_old_path_has_consent() {
    let mut bench = selected_with_consent(Role::Controlling);
    peer_restarts(&mut bench);
    bench.agent.gather(bench.now);
    bench.drain();
    bench.agent.end_of_remote_candidates(bench.now, None);
    let until = bench.now + Duration::from_secs(60);
    let _ = run_answering_the_past(&mut bench, until);
    assert_eq!(bench.agent.state(), ConnectionState::Connected);

    let before = bench.events.len();
    bench.run_for(Duration::from_secs(40));
    let states = bench.events[before..].iter().filter_map(|(_, event)| match event {
        Event::ConnectionState(state) => Some(*state),
        _ => None,
    });
    let expected = [ConnectionState::Disconnected, ConnectionState::Failed];
    assert_eq!(states.collect::<Vec<_>>(), expected);
}

/// A restart of a session that has failed looks for a path as the first time.
#[test]
fn a_failed_session_connects_again_by_restart() {
    let mut bench = Bench::started(plain(Role::Controlling), &[L], &[R]);
    bench.run_until(ms(40_000));
    assert_eq!(bench.agent.state(), ConnectionState::Failed);
    bench.agent.prepare_restart(bench.now).unwrap();
    bench.agent.gather(bench.now);
    bench.drain();
    peer_restarts(&mut bench);
    bench.add_remote(R2, 1000);
    assert_eq!(bench.agent.state(), ConnectionState::Checking);
    let check = bench.last_request();
    assert_eq!(check.to, addr(R2));
    let _ = answer(&mut bench, &check, NEXT_PWD);
    assert_eq!(bench.agent.state(), ConnectionState::Connected);
}

/// With complete signalling the description of the new generation is taken like the first one.
#[test]
fn complete_signalling_takes_the_description_of_the_new_generation() {
    let mut config = plain(Role::Controlling);
    config.signalling = Signalling::Complete;
    let mut bench = Bench::with(config);
    bench.add_local(L);
    bench.agent.gather(bench.now);
    bench.agent.take_description(bench.now);
    bench.start();
    bench.add_remote(R, 1000);
    let staged = bench.agent.prepare_restart(bench.now).unwrap();
    bench.agent.gather(bench.now);
    let description = bench.agent.take_description(bench.now);
    assert_eq!(description.parameters, staged);
    assert!(description.end_of_candidates);
    let (_, candidate) = &description.candidates[0];
    assert_eq!(candidate.kind, CandidateKind::Host);
    assert_eq!(candidate.extension("ufrag"), Some(staged.credentials.ufrag()));
    bench.drain();
    peer_restarts(&mut bench);
    bench.add_remote(R2, 1000);
    assert_eq!(next_request(&mut bench).to, addr(R2));
}

/// R8: RFC 8839 §4.4.1.1.1. The same credentials at the other level of a session description are no
/// restart.
#[test]
fn credentials_that_move_between_the_levels_of_a_description_are_no_restart() {
    let lines = [format!("a=ice-ufrag:{PEER_UFRAG}"), format!("a=ice-pwd:{PEER_PWD}")];
    let lines = || lines.iter().map(String::as_str);
    let nothing = || std::iter::empty::<&str>();
    let at_session = IceAttributes::parse(lines()).media(nothing());
    let at_media = IceAttributes::parse(nothing()).media(lines());
    let mut bench = selected_with_consent(Role::Controlling);
    for media in [at_session, at_media] {
        bench.agent.set_remote(bench.now, media.unwrap().parameters().unwrap()).unwrap();
    }
    assert!(restarted_events(&bench).is_empty());
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
}

/// D12: RFC 8839 §4.4.1.2.2. After nomination a further offer has the local candidate of the
/// nominated pair and no other; that of a restart has all of them.
#[test]
fn a_further_offer_has_the_nominated_candidate_alone() {
    let mut bench = Bench::connected_with(Role::Controlled, &["10.0.9.9:1", L], &[R]);
    let described = |bench: &mut Bench| -> Vec<String> {
        let description = bench.agent.take_description(bench.now);
        let address = |candidate: &Candidate| match &candidate.address {
            CandidateAddress::Socket(addr) => addr.to_string(),
            CandidateAddress::Name { host, .. } => host.clone(),
        };
        description.candidates.iter().map(|(_, candidate)| address(candidate)).collect()
    };
    assert_eq!(described(&mut bench), ["10.0.9.9:1", L]);
    bench.run_until(ms(60));
    let check = bench.requests().into_iter().find(|sent| sent.from == addr(L)).unwrap();
    let _ = bench.answer(&check);
    let _ = bench.send_check(L, R, true);
    assert_eq!(described(&mut bench), [L]);
    bench.agent.prepare_restart(bench.now).unwrap();
    assert_eq!(described(&mut bench), ["10.0.9.9:1", L]);
}

/// An answer to a check of the ended generation counts for nothing.
#[test]
fn late_answers_to_checks_of_the_ended_generation_are_ignored() {
    let mut bench = Bench::started(plain(Role::Controlling), &[L], &[R]);
    let old = bench.last_request();
    peer_restarts(&mut bench);
    assert_eq!(bench.answer(&old), Received::Ignored(Ignored::UnknownTransaction));
}

/// The nomination that a restart overtakes counts for nothing either; a consent check of the path
/// that stays is answered as before (RFC 7675 §5.1).
#[test]
fn of_the_checks_under_way_only_consent_of_the_kept_path_outlives_a_restart() {
    let mut bench = Bench::started(plain(Role::Controlling), &[L], &[R]);
    let check = bench.last_request();
    let _ = bench.answer(&check);
    let nomination = next_request(&mut bench);
    assert!(nomination.nominates());
    peer_restarts(&mut bench);
    assert_eq!(bench.answer(&nomination), Received::Ignored(Ignored::UnknownTransaction));

    let mut bench = selected_with_consent(Role::Controlling);
    let before = bench.sent.len();
    bench.run_for(Duration::from_secs(6));
    let consent = bench.sent[before].clone();
    peer_restarts(&mut bench);
    assert_eq!(bench.answer(&consent), Received::Consumed);
}

/// R4: the path that carries data stays, whichever of the candidates it is made of.
#[test]
fn a_path_that_is_not_the_first_outlives_a_restart() {
    let mut bench = Bench::connected_with(Role::Controlled, &[L], &[R2, R]);
    bench.run_until(ms(60));
    let check = bench.last_request();
    assert_eq!(check.to, addr(R));
    let _ = bench.answer(&check);
    let _ = bench.send_check(L, R, true);
    peer_restarts(&mut bench);
    let path = bench.agent.selected_pair(bench.stream, 1).map(|pair| pair.remote.addr);
    assert_eq!(path, Some(addr(R)));
    assert!(bench.agent.send(bench.now, bench.stream, 1, b"x").is_ok());
}

/// T9: RFC 8838 §14. A late end of candidates of a generation that has ended does not take the place
/// of that of one to come.
#[test]
fn an_end_of_candidates_of_the_past_leaves_that_of_the_future_alone() {
    let mut bench = selected_with_consent(Role::Controlled);
    peer_restarts(&mut bench);
    bench.agent.end_of_remote_candidates(bench.now, Some("later"));
    bench.agent.end_of_remote_candidates(bench.now, Some(PEER_UFRAG));
    bench.agent.set_remote(bench.now, parameters("later", "laterpasswordlaterpassword")).unwrap();
    let candidate: Candidate = "1 1 UDP 1000 10.0.0.3 2000 typ host".parse().unwrap();
    let late = bench.agent.add_remote_candidate(bench.now, bench.stream, &candidate);
    assert_eq!(late, Err(AddRemoteError::AfterEnd));
}

/// R4: the peer's checks of the old path are signs of life of it, until there is a new one.
#[test]
fn checks_of_the_past_generation_keep_the_old_path_alive() {
    for alive in [true, false] {
        let mut bench = selected_with_consent(Role::Controlled);
        let old = bench.agent.local_parameters().credentials;
        peer_restarts(&mut bench);
        for _ in 0..15 {
            bench.run_for(Duration::from_secs(1));
            if alive {
                let username = format!("{}:{PEER_UFRAG}", old.ufrag());
                let request = check(&mut bench, &username, old.pwd(), false);
                assert_eq!(bench.feed(L, R, &request), Received::Consumed);
            }
        }
        assert_eq!(bench.agent.state() == ConnectionState::Connected, alive);
    }
}

/// Restart after restart, before any has found a path: the first path stays, what is between is
/// flushed, and nothing grows.
#[test]
fn restarts_in_succession_keep_the_one_path_that_carries_data() {
    let mut bench = selected_with_consent(Role::Controlling);
    let pair = bench.agent.selected_pair(bench.stream, 1).unwrap().id;
    for round in 0..20u32 {
        bench.agent.prepare_restart(bench.now).unwrap();
        bench.agent.gather(bench.now);
        bench.drain();
        let pwd = format!("{NEXT_PWD}{round}");
        bench.agent.set_remote(bench.now, parameters(&format!("next{round}"), &pwd)).unwrap();
        bench.add_remote(R2, 1000 + round);
        let until = bench.now + Duration::from_secs(3);
        run_answering_the_past(&mut bench, until);
        assert_eq!(bench.agent.selected_pair(bench.stream, 1).unwrap().id, pair);
        assert!(bench.agent.pairs().count() <= 2);
        assert_eq!(bench.agent.state(), ConnectionState::Connected);
    }
}

/// Two agents on a wire of 20 ms each way, connected.
fn world(loss: u32, seed: u8, signalling: Signalling) -> (World, AgentIndex, AgentIndex) {
    let mut world = World::new([seed; 32]);
    let link = Link::delayed(Duration::from_millis(20)).with_loss(Probability::percent(loss));
    world.network_mut().set_default_link(link);
    let [alice, bob] = [Role::Controlling, Role::Controlled].map(|role| {
        let mut config = AgentConfig::new(role);
        config.signalling = signalling;
        world.add_agent(config).unwrap()
    });
    world.add_socket(alice, "192.0.2.1:5000".parse().unwrap()).unwrap();
    world.add_socket(bob, "192.0.2.2:6000".parse().unwrap()).unwrap();
    world.connect(alice, bob).unwrap();
    world.set_signalling_delay(alice, Duration::from_millis(80)).unwrap();
    world.set_signalling_delay(bob, Duration::from_millis(80)).unwrap();
    world.start(alice).unwrap();
    world.start(bob).unwrap();
    let limit = Timestamp::from_millis(30_000);
    assert_eq!(world.run_while(|world| !all_completed(world), limit).unwrap(), End::Condition);
    (world, alice, bob)
}

fn all_completed(world: &World) -> bool {
    world.agents().all(|(_, agent)| agent.state() == ConnectionState::Completed)
}

fn generations(world: &World) -> Vec<String> {
    world
        .agents()
        .map(|(_, agent)| agent.local_parameters().credentials.ufrag().to_owned())
        .collect()
}

/// Runs until both have new credentials and a selected pair among them.
fn run_through_restart(world: &mut World, before: &[String]) {
    let limit = world.now() + Duration::from_secs(30);
    let done = |world: &World| {
        all_completed(world) && generations(world).iter().zip(before).all(|(a, b)| a != b)
    };
    assert_eq!(world.run_while(|world| !done(world), limit).unwrap(), End::Condition);
    let ends: Vec<_> = world
        .agents()
        .map(|(_, agent)| {
            let pair = agent.selected_pair(agent.streams().next().unwrap(), 1).unwrap();
            (pair.local.base, pair.remote.addr)
        })
        .collect();
    assert_eq!(ends[0], (ends[1].1, ends[1].0), "mirrored");
}

/// R2, R3: either side begins, or both at once, trickling or not, with loss or without: both end in
/// a new generation with roles as before.
#[test]
fn either_side_or_both_at_once_may_restart() {
    for signalling in [Signalling::Trickle, Signalling::Complete] {
        for (loss, seeds) in [(0, 1), (20, 20)] {
            for seed in 0..seeds {
                for who in [[true, false], [false, true], [true, true]] {
                    let (mut world, alice, bob) = world(loss, seed, signalling);
                    let before = generations(&world);
                    for (agent, restarts) in [alice, bob].into_iter().zip(who) {
                        if restarts {
                            world.restart(agent).unwrap().unwrap();
                        }
                    }
                    run_through_restart(&mut world, &before);
                    assert_eq!(world.agent(alice).unwrap().role(), Role::Controlling);
                    assert_eq!(world.agent(bob).unwrap().role(), Role::Controlled);
                }
            }
        }
    }
}

/// One side begins while the other's offer is under way: what each signalled commits what the other
/// has staged.
#[test]
fn restarts_that_cross_settle_on_one_generation() {
    for gap in (0..200).step_by(20) {
        let (mut world, alice, bob) = world(0, 1, Signalling::Trickle);
        let before = generations(&world);
        world.restart(alice).unwrap().unwrap();
        let at = world.now() + Duration::from_millis(gap);
        world.run_until(at).unwrap();
        world.restart(bob).unwrap().unwrap();
        run_through_restart(&mut world, &before);
        let later = world.now() + Duration::from_secs(60);
        world.run_until(later).unwrap();
        assert!(all_completed(&world), "gap {gap}");
    }
}

/// A restart under continuous traffic loses no datagram that the network did not lose.
#[test]
fn a_restart_under_continuous_traffic_loses_nothing() {
    for who in 0..3 {
        let (mut world, alice, bob) = world(0, 3, Signalling::Trickle);
        let before = generations(&world);
        let stream = world.agent(alice).unwrap().streams().next().unwrap();
        world.take_log(alice);
        world.take_log(bob);
        let mut sent = 0u32;
        for tick in 0..5_000u32 {
            if tick == 1_000 {
                if who != 1 {
                    world.restart(alice).unwrap().unwrap();
                }
                if who != 0 {
                    world.restart(bob).unwrap().unwrap();
                }
            }
            for agent in [alice, bob] {
                world.send(agent, stream, 1, &tick.to_be_bytes()).unwrap();
            }
            sent += 1;
            let next = world.now() + Duration::from_millis(1);
            world.run_until(next).unwrap();
        }
        let end = world.now() + Duration::from_millis(100);
        world.run_until(end).unwrap();
        assert!(generations(&world).iter().zip(&before).all(|(a, b)| a != b));
        for agent in [alice, bob] {
            let received: Vec<&[u8]> = world.received(agent).collect();
            assert_eq!(received.len(), sent as usize, "side {who} restarts");
        }
        for (_, agent) in world.agents() {
            assert_eq!(agent.state(), ConnectionState::Completed);
        }
    }
}

/// The state never falls back to Checking or worse while the old path is alive.
#[test]
fn a_restart_over_a_living_path_shows_no_interruption() {
    let (mut world, alice, bob) = world(0, 5, Signalling::Trickle);
    world.take_log(alice);
    world.take_log(bob);
    let before = generations(&world);
    world.restart(bob).unwrap().unwrap();
    run_through_restart(&mut world, &before);
    for agent in [alice, bob] {
        let states: Vec<ConnectionState> = world
            .events(agent)
            .filter_map(|(_, event)| match event {
                Event::ConnectionState(state) => Some(*state),
                _ => None,
            })
            .collect();
        assert_eq!(states, [ConnectionState::Connected, ConnectionState::Completed]);
    }
}

/// Sockets are where they were: what arrives on an unknown one is still named.
#[test]
fn local_addresses_survive_a_restart() {
    let mut bench = selected_with_consent(Role::Controlling);
    peer_restarts(&mut bench);
    let mut agent = bench.agent.clone();
    let unknown =
        agent.handle_datagram(bench.now, Transport::Udp, addr("10.9.9.9:1"), addr(R), b"x");
    assert_eq!(unknown, Received::Ignored(Ignored::UnknownLocal));
    assert!(matches!(bench.feed(L, R, b"x"), Received::Data { .. }));
}
