//! Consent (RFC 7675), keepalives (RFC 8445 §11), liveness and failover.

mod common;
#[path = "common/wire.rs"]
mod wire;

use std::net::SocketAddr;
use std::time::Duration;

use allocation_counter::measure;
use common::{
    Bench, ERROR, INDICATION, Message, PEER_PWD, REQUEST, SUCCESS, Sent, USE_CANDIDATE, addr, ms,
};
use frazil::sim::{AgentIndex, Link, LogDetail, Probability, World};
use frazil::{
    AgentConfig, ConfigError, ConnectionState, Event, IceAgent, LocalAddress, Role, Route,
    SendError, Timestamp, Timing, Transport,
};

const LOCAL: &str = "10.0.0.1:1000";
const REMOTE: &str = "10.0.0.2:2000";

/// A controlled agent whose pair was selected at time zero.
fn selected() -> Bench {
    let mut bench = Bench::with(AgentConfig::new(Role::Controlled));
    bench.add_local(LOCAL);
    bench.add_remote(REMOTE, 2_000_000_000);
    bench.start();
    finish(bench)
}

fn finish(mut bench: Bench) -> Bench {
    let check = bench.last_request();
    let _ = bench.answer(&check);
    let _ = bench.send_check(LOCAL, REMOTE, true);
    assert!(bench.agent.selected_pair(bench.stream, 1).is_some());
    bench.sent.clear();
    bench
}

/// Runs until `until` while the peer answers every request for which `answers` holds.
fn run(bench: &mut Bench, until: Timestamp, answers: impl Fn(usize) -> bool) -> Vec<Sent> {
    let mut requests = Vec::new();
    while let Some(at) = bench.agent.poll_timeout().filter(|&at| at <= until) {
        for sent in bench.run_until(at) {
            if sent.is_request() {
                if answers(requests.len()) {
                    let _ = bench.answer(&sent);
                }
                requests.push(sent);
            }
        }
    }
    bench.run_until(until);
    requests
}

fn can_send(bench: &mut Bench) -> Result<(), SendError> {
    bench.agent.send(bench.now, bench.stream, 1, b"data").map(|_| ())
}

fn events(bench: &Bench, which: fn(&Event) -> bool) -> Vec<Timestamp> {
    bench.events.iter().filter(|(_, event)| which(event)).map(|(at, _)| *at).collect()
}

/// Q1: consent expires 30 s after the last valid response, and then nothing may be sent.
#[test]
fn consent_expires_thirty_seconds_after_the_last_answer() {
    let mut bench = selected();
    run(&mut bench, ms(29_999), |_| false);
    assert_eq!(can_send(&mut bench), Ok(()));
    run(&mut bench, ms(30_000), |_| false);
    assert_eq!(can_send(&mut bench), Err(SendError::NotConnected));
    assert_eq!(events(&bench, |event| matches!(event, Event::ConsentLost { .. })), [ms(30_000)]);
    assert_eq!(events(&bench, |event| matches!(event, Event::RestartNeeded)), [ms(30_000)]);
}

/// Q2: while all is answered the checks come 4 to 6 s apart, at random.
#[test]
fn consent_checks_are_four_to_six_seconds_apart() {
    let mut bench = selected();
    let checks = run(&mut bench, ms(3_600_000), |_| true);
    let gaps: Vec<Duration> = checks.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(gaps.len() > 600, "{} checks in an hour", gaps.len());
    let probes = gaps.iter().filter(|gap| **gap < Duration::from_secs(4)).count();
    assert!(probes < gaps.len() / 2, "{probes} of {}", gaps.len());
    let mean = gaps.iter().sum::<Duration>() / gaps.len() as u32;
    assert!(mean > Duration::from_millis(4700) && mean < Duration::from_millis(5300), "{mean:?}");
    let (low, high) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
    assert!(*low >= Duration::from_secs(4) && *high <= Duration::from_secs(6), "{low:?} {high:?}");
    assert!(*high - *low > Duration::from_millis(1800), "not spread: {low:?} {high:?}");
}

/// Q3: each consent check has a transaction id of its own and is sent once.
#[test]
fn consent_checks_are_never_repeated() {
    let mut bench = selected();
    let checks = run(&mut bench, ms(29_000), |_| false);
    let mut ids: Vec<[u8; 12]> = checks.iter().map(Sent::id).collect();
    assert!(ids.len() >= 5);
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

/// Q4: the answer to an earlier check renews consent as well.
#[test]
fn a_late_answer_to_an_earlier_check_renews_consent() {
    let mut bench = selected();
    let checks = run(&mut bench, ms(20_000), |_| false);
    assert!(checks.len() >= 3);
    let _ = bench.answer(&checks[0]);
    run(&mut bench, ms(49_999), |_| false);
    assert_eq!(can_send(&mut bench), Ok(()));
    run(&mut bench, ms(50_000), |_| false);
    assert_eq!(can_send(&mut bench), Err(SendError::NotConnected));
}

/// Q5: only an authenticated success from the peer's own address renews consent.
#[test]
fn forged_misplaced_and_failed_answers_do_not_renew_consent() {
    let mut bench = selected();
    let checks = run(&mut bench, ms(20_000), |_| false);
    let forged = Message::new(SUCCESS, checks[0].id())
        .xor_mapped(checks[0].from)
        .integrity("anotherpasswordanotherpa")
        .fingerprint();
    let _ = bench.feed(LOCAL, REMOTE, &forged);
    let misplaced = bench.success(&checks[1]);
    let _ = bench.feed(LOCAL, "10.0.0.2:2001", &misplaced);
    let failed =
        Message::new(ERROR, checks[2].id()).error_code(500).integrity(PEER_PWD).fingerprint();
    let _ = bench.feed(LOCAL, REMOTE, &failed);
    run(&mut bench, ms(30_000), |_| false);
    assert_eq!(can_send(&mut bench), Err(SendError::NotConnected));
}

/// Q6: the peer's own requests and data are signs of life, and never consent.
#[test]
fn requests_and_data_of_the_peer_do_not_renew_consent() {
    let mut bench = selected();
    for second in 1..30 {
        run(&mut bench, ms(second * 1000), |_| false);
        let _ = bench.send_check(LOCAL, REMOTE, false);
        let _ = bench.feed(LOCAL, REMOTE, &[0x80; 20]);
    }
    assert_eq!(bench.agent.state(), ConnectionState::Completed, "it was heard all the time");
    run(&mut bench, ms(30_000), |_| false);
    assert_eq!(can_send(&mut bench), Err(SendError::NotConnected));
}

/// Q7, Q8: after expiry neither late answers nor the peer's checks revive the pair.
#[test]
fn an_expired_pair_stays_dead() {
    let mut bench = selected();
    let checks = run(&mut bench, ms(31_000), |_| false);
    let late = bench.success(checks.last().unwrap());
    let received = bench.feed(LOCAL, REMOTE, &late);
    assert_eq!(received, frazil::Received::Ignored(frazil::Ignored::UnknownTransaction));
    let before = bench.sent.len();
    let _ = bench.send_check(LOCAL, REMOTE, true);
    assert_eq!(bench.sent[before].kind(), SUCCESS, "it is answered all the same");
    let after = run(&mut bench, ms(60_000), |_| true);
    assert!(after.is_empty(), "no check of ours follows: {after:?}");
    assert_eq!(can_send(&mut bench), Err(SendError::NotConnected));
}

/// Q14: an authenticated 403 revokes consent at once, an unauthenticated one does nothing.
#[test]
fn a_403_revokes_consent_if_it_is_authenticated() {
    let mut bench = selected();
    let checks = run(&mut bench, ms(7_000), |_| false);
    let forged = Message::new(ERROR, checks[0].id()).error_code(403).fingerprint();
    let _ = bench.feed(LOCAL, REMOTE, &forged);
    assert_eq!(can_send(&mut bench), Ok(()));
    let revoked =
        Message::new(ERROR, checks[0].id()).error_code(403).integrity(PEER_PWD).fingerprint();
    let _ = bench.feed(LOCAL, REMOTE, &revoked);
    assert_eq!(can_send(&mut bench), Err(SendError::NotConnected));
}

/// Q13: consent checks carry the DSCP of all others.
#[test]
fn consent_checks_carry_the_dscp() {
    let mut config = AgentConfig::new(Role::Controlled);
    config.dscp = 46;
    let mut bench = Bench::with(config);
    bench.add_local(LOCAL);
    bench.add_remote(REMOTE, 2_000_000_000);
    bench.start();
    let mut bench = finish(bench);
    let checks = run(&mut bench, ms(7_000), |_| true);
    assert!(!checks.is_empty() && checks.iter().all(|check| check.dscp == 46));
}

/// K6: where consent flows there are no keepalives.
#[test]
fn no_keepalives_where_consent_flows() {
    let mut bench = selected();
    run(&mut bench, ms(60_000), |_| true);
    assert!(bench.sent.iter().all(|sent| sent.kind() != INDICATION));
}

fn without_consent() -> Bench {
    let mut config = AgentConfig::new(Role::Controlled);
    config.consent = false;
    let mut bench = Bench::with(config);
    bench.add_local(LOCAL);
    bench.add_remote(REMOTE, 2_000_000_000);
    bench.start();
    finish(bench)
}

/// K1, K2: an idle path gets a bare Binding indication with FINGERPRINT every 15 s.
#[test]
fn an_idle_path_gets_keepalives() {
    let mut bench = without_consent();
    let sent = bench.run_until(ms(60_000));
    let times: Vec<Timestamp> = sent.iter().map(|sent| sent.at).collect();
    assert_eq!(times, [ms(15_000), ms(30_000), ms(45_000), ms(60_000)]);
    for keepalive in &sent {
        assert_eq!(keepalive.kind(), INDICATION);
        assert_eq!(keepalive.attrs().len(), 1);
        assert!(keepalive.fingerprint_is_last_and_right());
        assert_eq!(keepalive.to, addr(REMOTE));
    }
}

/// K1: a path with traffic needs none.
#[test]
fn a_busy_path_gets_no_keepalives() {
    let mut bench = without_consent();
    for second in (10..600).step_by(10) {
        bench.run_until(ms(second * 1000));
        assert_eq!(can_send(&mut bench), Ok(()));
    }
    assert!(bench.sent.is_empty(), "{:?}", bench.sent);
    bench.run_for(Duration::from_secs(10));
    let (stream, now) = (bench.stream, bench.now);
    bench.agent.note_sent(now, stream, 1, 1, 100);
    assert!(bench.run_for(Duration::from_millis(14_999)).is_empty());
    assert_eq!(bench.run_for(Duration::from_millis(1)).len(), 1);
}

/// A silent path is probed from half of the time on, and is Disconnected at its end; any
/// authenticated sign brings it back.
#[test]
fn a_silent_path_is_disconnected_in_time_and_comes_back() {
    let mut bench = selected();
    let detect = bench.agent.detect_time();
    let checks = run(&mut bench, Timestamp::ZERO + detect, |_| false);
    let probes = checks.iter().filter(|check| check.at >= Timestamp::ZERO + detect / 2).count();
    assert!((12..=16).contains(&probes), "{probes} probes");
    assert_eq!(bench.agent.state(), ConnectionState::Disconnected);
    let disconnected =
        |event: &Event| *event == Event::ConnectionState(ConnectionState::Disconnected);
    assert_eq!(events(&bench, disconnected), [Timestamp::ZERO + detect]);
    let _ = bench.answer(checks.last().unwrap());
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
}

/// The application's own proof of life counts for liveness, not for consent.
#[test]
fn activity_of_the_application_is_a_sign_of_life_and_not_consent() {
    let mut bench = selected();
    let pair = bench.agent.selected_pair(bench.stream, 1).unwrap().id;
    for second in 1..30 {
        run(&mut bench, ms(second * 1000), |_| false);
        bench.agent.note_activity(bench.now, pair);
        assert_eq!(bench.agent.state(), ConnectionState::Completed);
    }
    run(&mut bench, ms(30_000), |_| false);
    assert_eq!(can_send(&mut bench), Err(SendError::NotConnected));
}

/// A path that was given up for silent is back with the first sign of life, without waiting.
#[test]
fn activity_of_the_application_ends_a_disconnection_at_once() {
    let mut bench = selected();
    let pair = bench.agent.selected_pair(bench.stream, 1).unwrap().id;
    let detect = bench.agent.detect_time();
    run(&mut bench, Timestamp::ZERO + detect, |_| false);
    assert_eq!(bench.agent.state(), ConnectionState::Disconnected);
    bench.agent.note_activity(bench.now, pair);
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
}

/// No sign of life on the selected path is a disconnection, though a spare path lives: the peer has
/// not nominated it.
#[test]
fn a_living_spare_path_does_not_hide_that_the_selected_one_is_silent() {
    const SPARE: &str = "10.0.0.3:2000";
    let mut config = AgentConfig::new(Role::Controlled);
    config.timing.hedging = false;
    let mut bench = Bench::started(config, &[LOCAL], &[REMOTE, SPARE]);
    bench.run_until(ms(60));
    for request in bench.requests() {
        let _ = bench.answer(&request);
    }
    let _ = bench.send_check(LOCAL, REMOTE, true);
    bench.run_answering(ms(20_000), |sent| sent.to == addr(SPARE));
    assert_eq!(bench.agent.state(), ConnectionState::Disconnected);
    let selected = bench.agent.selected_pair(bench.stream, 1).unwrap();
    assert_eq!(selected.remote.addr, addr(REMOTE));
}

/// Nor does it when its answer comes before an owner that is late has let the time pass.
#[test]
fn an_answer_on_a_spare_path_does_not_hide_what_is_overdue() {
    const SPARE: &str = "10.0.0.3:2000";
    let mut config = AgentConfig::new(Role::Controlled);
    config.timing.hedging = false;
    let mut bench = Bench::started(config, &[LOCAL], &[REMOTE, SPARE]);
    bench.run_until(ms(60));
    for request in bench.requests() {
        let _ = bench.answer(&request);
    }
    let _ = bench.send_check(LOCAL, REMOTE, true);
    let begun = bench.now;
    let asked = |bench: &Bench| {
        bench.requests().into_iter().rfind(|sent| sent.to == addr(SPARE) && sent.at > begun)
    };
    while asked(&bench).is_none() {
        let at = bench.agent.poll_timeout().unwrap();
        bench.run_until(at);
    }
    bench.now = bench.now + bench.agent.detect_time();
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    let check = asked(&bench).unwrap();
    let _ = bench.answer(&check);
    assert_eq!(bench.agent.state(), ConnectionState::Disconnected);
}

/// RFC 7675 §5.1: a pair that was valid once, and for which nobody has asked for consent since,
/// carries nothing before it was checked anew.
#[test]
fn a_pair_without_consent_is_checked_again_before_it_carries_data() {
    let remotes = [REMOTE, "10.0.0.3:2000", "10.0.0.4:2000", "10.0.0.5:2000"];
    let mut config = AgentConfig::new(Role::Controlled);
    config.timing.hedging = false;
    let mut bench = Bench::started(config, &[LOCAL], &remotes);
    bench.run_until(ms(160));
    for request in bench.requests() {
        let _ = bench.answer(&request);
    }
    run(&mut bench, ms(40_000), |_| true);
    assert_eq!(can_send(&mut bench), Ok(()));
    let last =
        |bench: &Bench| bench.requests().iter().filter(|sent| sent.to == addr(remotes[3])).count();
    let before = last(&bench);
    assert_eq!(before, 1, "the best three are kept");
    run(&mut bench, ms(80_000), |_| false);
    assert_eq!(can_send(&mut bench), Err(SendError::NotConnected));
    assert!(last(&bench) > before);
}

/// RFC 7675 §1: without consent checks silence says nothing, and no path is left for it.
#[test]
fn without_consent_a_silent_path_is_not_left() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.consent = false;
    config.timing.hedging = false;
    let mut bench = Bench::started(config, &[LOCAL], &[REMOTE, "10.0.0.3:2000"]);
    bench.run_until(ms(60));
    for request in bench.requests() {
        let _ = bench.answer(&request);
    }
    run(&mut bench, ms(1_000), |_| true);
    let selected = |bench: &Bench| bench.agent.selected_pair(bench.stream, 1).unwrap().remote.addr;
    assert_eq!(selected(&bench), addr(REMOTE));
    let _ = bench.send_check(LOCAL, "10.0.0.3:2000", false);
    run(&mut bench, ms(60_000), |_| true);
    assert_eq!(selected(&bench), addr(REMOTE));
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
}

/// Regression 14: a change of the timing moves the deadlines that were computed before.
#[test]
fn regression_str0m_timing_change_with_cached_deadline() {
    let mut bench = selected();
    let before = bench.agent.poll_timeout().unwrap();
    bench.agent.set_timing(bench.now, Timing::power_saving()).unwrap();
    let after = bench.agent.poll_timeout().unwrap();
    assert!(before <= ms(6_000) && after >= ms(9_600) && after <= ms(14_400), "{after:?}");
    assert_eq!(bench.agent.detect_time(), Duration::from_secs(25));
    let checks = run(&mut bench, ms(600_000), |_| true);
    let gaps: Vec<Duration> = checks.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(gaps.iter().all(|gap| *gap >= Duration::from_millis(9_600)), "{gaps:?}");
    bench.agent.set_timing(bench.now, Timing::default()).unwrap();
    assert!(bench.agent.poll_timeout().unwrap() <= bench.now + Duration::from_secs(6));
    let mut wrong = Timing::default();
    wrong.ta = Duration::from_millis(4);
    assert_eq!(bench.agent.set_timing(bench.now, wrong), Err(ConfigError::Ta));
}

/// At the end of time nothing is due, however often the agent is asked.
#[test]
fn the_end_of_time_is_no_endless_loop() {
    for mut bench in [selected(), without_consent()] {
        for now in [Timestamp::from_nanos(u64::MAX - 1), Timestamp::MAX, Timestamp::MAX] {
            bench.now = now;
            bench.agent.handle_timeout(now);
            bench.drain();
            let _ = bench.send_check(LOCAL, REMOTE, true);
        }
        assert_eq!(bench.agent.poll_timeout(), None);
    }
}

/// K3: of several valid pairs only the selected one gets keepalives.
#[test]
fn only_the_selected_pair_gets_keepalives() {
    let mut config = AgentConfig::new(Role::Controlled);
    config.consent = false;
    let mut bench = Bench::with(config);
    bench.add_local(LOCAL);
    bench.add_remote(REMOTE, 2_000_000_000);
    bench.add_remote("10.0.0.3:2000", 1_999_999_999);
    bench.start();
    for check in bench.run_until(ms(50)) {
        let _ = bench.answer(&check);
    }
    let first = bench.requests().remove(0);
    let _ = bench.answer(&first);
    assert_eq!(bench.agent.pairs().filter(|pair| pair.valid).count(), 2);
    let _ = bench.send_check(LOCAL, REMOTE, true);
    bench.sent.clear();
    bench.run_until(ms(70_000));
    assert!(bench.sent.len() >= 4);
    assert!(bench.sent.iter().all(|sent| sent.kind() == INDICATION && sent.to == addr(REMOTE)));
}

/// Pairs beside the path in use are not probed: they are asked before their consent is over, be it as
/// short as it can be.
#[test]
fn a_spare_pair_keeps_a_consent_of_five_seconds() {
    let mut config = AgentConfig::new(Role::Controlled);
    config.timing.consent_timeout = Duration::from_secs(5);
    let mut bench = Bench::with(config);
    bench.add_local(LOCAL);
    bench.add_remote(REMOTE, 2_000_000_000);
    bench.add_remote("10.0.0.3:2000", 1_999_999_999);
    bench.start();
    run(&mut bench, ms(1_000), |_| true);
    let _ = bench.send_check(LOCAL, REMOTE, true);
    run(&mut bench, ms(60_000), |_| true);
    assert_eq!(bench.agent.pairs().filter(|pair| pair.valid).count(), 2);
    assert_eq!(events(&bench, |event| matches!(event, Event::ConsentLost { .. })), []);
}

/// K4: a check that arrives while only keepalives flow is answered and changes nothing.
#[test]
fn a_check_among_keepalives_is_answered_and_changes_nothing() {
    let mut bench = without_consent();
    bench.run_until(ms(20_000));
    let (events, pair) = (bench.events.len(), bench.agent.selected_pair(bench.stream, 1));
    bench.sent.clear();
    let _ = bench.send_check(LOCAL, REMOTE, false);
    assert_eq!(bench.sent.iter().map(Sent::kind).collect::<Vec<_>>(), [SUCCESS]);
    assert_eq!(bench.events.len(), events);
    assert_eq!(bench.agent.selected_pair(bench.stream, 1), pair);
}

/// Q15: transaction ids come from the agent's seed alone: another seed gives other ids, and the
/// application has no say.
#[test]
fn transaction_ids_depend_on_the_seed_only() {
    let ids = |seed: u8| {
        let mut bench = Bench::with(AgentConfig::new(Role::Controlled));
        bench.agent = IceAgent::new(AgentConfig::new(Role::Controlled), [seed; 32]).unwrap();
        bench.add_local(LOCAL);
        bench.add_remote(REMOTE, 2_000_000_000);
        bench.start();
        run(&mut bench, ms(3_000), |_| false).iter().map(Sent::id).collect::<Vec<_>>()
    };
    let (one, two) = (ids(1), ids(2));
    assert!(!one.is_empty() && one == ids(1));
    assert!(one.iter().all(|id| !two.contains(id)));
}

/// Two agents, two components. The first has two addresses a side, the second one, whose datagrams
/// get through only after a while: nomination waits for it, and until then all pairs of the first
/// component become valid.
struct Cut {
    agents: [IceAgent; 2],
    now: Timestamp,
    delay: Duration,
    /// An address whose datagrams are lost, both ways.
    dead: Option<SocketAddr>,
    flights: Vec<(Timestamp, usize, SocketAddr, SocketAddr, Vec<u8>)>,
}

impl Cut {
    fn new() -> Self {
        let now = Timestamp::ZERO;
        let delay = Duration::from_millis(20);
        let mut agents = [Role::Controlling, Role::Controlled].map(|role| {
            let mut config = AgentConfig::new(role);
            config.components = 2;
            config.timing.ta = Duration::from_millis(20);
            IceAgent::new(config, [role as u8 + 1; 32]).unwrap()
        });
        let stream = agents[0].streams().next().unwrap();
        let mut candidates = [Vec::new(), Vec::new()];
        for (side, agent) in agents.iter_mut().enumerate() {
            for (component, index) in [(1, 0), (1, 1), (2, 2)] {
                let local = LocalAddress::udp(wire::address(side, index));
                agent.add_local(now, stream, component, local).unwrap();
            }
            agent.gather(now);
            while let Some(event) = agent.poll_event(now) {
                if let Event::LocalCandidate { candidate, .. } = event {
                    candidates[side].push(candidate);
                }
            }
        }
        let parameters = agents.each_ref().map(IceAgent::local_parameters);
        for (side, agent) in agents.iter_mut().enumerate() {
            for candidate in &candidates[1 - side] {
                agent.add_remote_candidate(now, stream, candidate).unwrap();
            }
            agent.set_remote(now, parameters[1 - side].clone()).unwrap();
        }
        let dead = Some(wire::address(0, 2));
        let mut cut = Self { agents, now, delay, dead, flights: Vec::new() };
        cut.run_until(ms(400));
        cut.dead = None;
        cut.run_until(ms(5_000));
        cut
    }

    fn drain(&mut self) {
        for side in 0..2 {
            loop {
                let mut buf = Vec::new();
                if let Some(transmit) = self.agents[side].poll_transmit(self.now, &mut buf) {
                    let Route::Datagram { local, remote, .. } = transmit.route else { panic!() };
                    let lost = self.dead.is_some_and(|dead| dead == local || dead == remote);
                    if !lost {
                        let at = self.now + self.delay;
                        self.flights.push((at, 1 - side, remote, local, buf));
                    }
                } else if self.agents[side].poll_event(self.now).is_none() {
                    break;
                }
            }
        }
    }

    fn run_until(&mut self, until: Timestamp) {
        loop {
            self.drain();
            let arrivals = self.flights.iter().map(|flight| flight.0);
            let timeouts = self.agents.iter().filter_map(IceAgent::poll_timeout);
            let Some(next) = arrivals.chain(timeouts).min().filter(|&next| next <= until) else {
                self.now = until;
                return;
            };
            self.now = next;
            let (due, rest) = self.flights.drain(..).partition(|flight| flight.0 <= next);
            self.flights = rest;
            for (_, side, to, from, bytes) in due {
                let agent = &mut self.agents[side];
                let _ = agent.handle_datagram(next, Transport::Udp, to, from, &bytes);
            }
            for agent in &mut self.agents {
                agent.handle_timeout(next);
            }
        }
    }

    fn selected(&self, side: usize) -> (SocketAddr, SocketAddr) {
        let stream = self.agents[side].streams().next().unwrap();
        let pair = self.agents[side].selected_pair(stream, 1).unwrap();
        (pair.local.base, pair.remote.addr)
    }
}

/// N12: when a component has lost its last pair, nothing is sent on the others either.
#[test]
fn without_one_component_the_others_are_silent() {
    let mut cut = Cut::new();
    let stream = cut.agents[0].streams().next().unwrap();
    assert!(cut.agents[0].route(stream, 1).is_some());
    cut.dead = Some(wire::address(0, 2));
    cut.run_until(cut.now + Duration::from_secs(40));
    assert_eq!(cut.agents[0].route(stream, 1), None, "component 2 is gone");
    let sent = cut.agents[0].send(cut.now, stream, 1, b"data").err();
    assert_eq!(sent, Some(SendError::NotConnected));
}

/// Decision 17: a selected path that goes dead while another valid pair exists is replaced on both
/// sides within `detect_time` and two round trips, without a restart.
#[test]
fn a_dead_path_is_replaced_by_a_spare_one_on_both_sides() {
    let mut cut = Cut::new();
    let (local, remote) = cut.selected(0);
    assert_eq!(cut.selected(1), (remote, local));
    cut.dead = Some(local);
    let budget = cut.agents[0].detect_time() + cut.delay * 4 + Duration::from_millis(20);
    cut.run_until(cut.now + budget);
    let (new_local, new_remote) = cut.selected(0);
    assert_ne!(new_local, local, "the controlling side has not moved");
    assert_eq!(cut.selected(1), (new_remote, new_local));
    for agent in &cut.agents {
        assert_eq!(agent.state(), ConnectionState::Completed);
    }
}

/// An hour of steady state: no allocation but those of the test, no growth.
#[test]
fn an_hour_of_consent_allocates_nothing() {
    let mut bench = selected();
    run(&mut bench, ms(60_000), |_| true);
    let mut out = Vec::with_capacity(2048);
    let mut total = 0;
    while bench.now < ms(3_600_000) {
        let at = bench.agent.poll_timeout().unwrap();
        bench.now = at;
        let mut request = None;
        total += measure(|| {
            bench.agent.handle_timeout(at);
            out.clear();
            request = bench.agent.poll_transmit(at, &mut out);
        })
        .count_total;
        if let Some(transmit) = request {
            let Route::Datagram { local, remote, .. } = transmit.route else { panic!() };
            let bytes = out[transmit.range].to_vec();
            let sent = Sent { at, from: local, to: remote, dscp: 0, bytes };
            assert_eq!(sent.kind(), REQUEST);
            assert!(sent.get(USE_CANDIDATE).is_none());
            let answer = bench.success(&sent);
            total += measure(|| {
                let agent = &mut bench.agent;
                let _ = agent.handle_datagram(at, Transport::Udp, local, remote, &answer);
            })
            .count_total;
        }
    }
    assert_eq!(total, 0);
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
}

/// No false Disconnected: a thousand sessions of two minutes whose path stays alive, with up to
/// 20 % loss and 200 ms jitter.
#[test]
fn a_path_that_is_alive_is_never_called_dead() {
    let mut connected = 0;
    for number in 0..1000_u32 {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&number.to_le_bytes());
        let mut world = World::new(seed);
        let agents = [Role::Controlling, Role::Controlled]
            .map(|role| world.add_agent(AgentConfig::new(role)).unwrap());
        world.add_socket(agents[0], addr(LOCAL)).unwrap();
        world.add_socket(agents[1], addr(REMOTE)).unwrap();
        world.set_log_detail(LogDetail::Off);
        let link = Link::delayed(Duration::from_millis(u64::from(number % 10) * 15))
            .with_jitter(Duration::from_millis(u64::from(number % 201)))
            .with_loss(Probability::percent(number % 21));
        world.network_mut().set_default_link(link);
        world.connect(agents[0], agents[1]).unwrap();
        for agent in agents {
            world.start(agent).unwrap();
        }
        let mut was_connected = false;
        for second in 0..120 {
            world.run_until(ms(second * 1000)).unwrap();
            for (_, agent) in world.agents() {
                was_connected |= agent.state() == ConnectionState::Completed;
                assert_ne!(agent.state(), ConnectionState::Disconnected, "session {number}");
                assert_ne!(agent.state(), ConnectionState::Failed, "session {number}");
            }
        }
        connected += u32::from(was_connected);
    }
    assert_eq!(connected, 1000);
}

/// Invariant 6: three components, of which the third falls silent; then the machine sleeps past the
/// end of its consent. The checks of the other two wait for the 5 ms spacing; the expiry does not.
#[test]
fn consent_that_ends_while_another_check_waits_for_the_spacing_leaves_no_deadline_in_the_past() {
    let mut world = World::new([1; 32]);
    world.network_mut().set_default_link(Link::delayed(Duration::from_millis(10)));
    let [alice, bob] = [Role::Controlling, Role::Controlled].map(|role| {
        let mut config = AgentConfig::new(role);
        config.components = 3;
        world.add_agent(config).unwrap()
    });
    for (agent, side) in [(alice, 1), (bob, 2)] {
        let stream = world.agent(agent).unwrap().streams().next().unwrap();
        for component in 1..=3 {
            let local = format!("10.0.{side}.{component}:1000").parse().unwrap();
            world.add_local(agent, stream, component, LocalAddress::udp(local)).unwrap();
        }
    }
    world.connect(alice, bob).unwrap();
    world.start(alice).unwrap();
    world.start(bob).unwrap();
    world.run_until(ms(10_000)).unwrap();
    assert_eq!(world.agent(alice).unwrap().state(), ConnectionState::Completed);

    let third = |side| format!("10.0.{side}.3").parse().unwrap();
    world.network_mut().block_between(third(1), third(2));
    world.run_until(ms(33_000)).unwrap();
    let mut agent = world.agent(alice).unwrap().clone();
    let late = ms(45_000);
    agent.handle_timeout(late);
    while agent.poll_transmit(late, &mut Vec::new()).is_some() || agent.poll_event(late).is_some() {
    }
    assert!(agent.poll_timeout() > Some(late), "{:?}", agent.timeout_reason());
}

/// Two agents, the second with two addresses, that have not been started.
fn two_paths(lite: bool) -> (World, AgentIndex, AgentIndex) {
    let mut world = World::new([1; 32]);
    world.network_mut().set_default_link(Link::delayed(Duration::from_millis(10)));
    let [alice, bob] = [Role::Controlling, Role::Controlled].map(|role| {
        let mut config = AgentConfig::new(role);
        config.lite = lite && role == Role::Controlled;
        world.add_agent(config).unwrap()
    });
    for (agent, socket) in [(alice, "10.0.1.1:1"), (bob, "10.0.2.1:1"), (bob, "10.0.2.2:1")] {
        world.add_socket(agent, socket.parse().unwrap()).unwrap();
    }
    world.connect(alice, bob).unwrap();
    (world, alice, bob)
}

/// The controlled side hears of its peer a minute before the peer hears of it; meanwhile one of its
/// paths is down for 45 s. The other one is kept under consent before anything is nominated, so data
/// goes both ways. (The peer may still nominate the one on which this side's consent has ended: that
/// is answered, and not followed.)
#[test]
fn regression_valid_pairs_lose_consent_before_nomination() {
    let (mut world, alice, bob) = two_paths(false);
    world.set_signalling_delay(bob, Duration::from_secs(60)).unwrap();
    world.start(alice).unwrap();
    world.start(bob).unwrap();
    world.run_until(ms(5_000)).unwrap();
    world.network_mut().block_between("10.0.1.1".parse().unwrap(), "10.0.2.1".parse().unwrap());
    world.run_until(ms(50_000)).unwrap();
    world.network_mut().clear_rules();
    world.run_until(ms(180_000)).unwrap();
    for agent in [alice, bob] {
        let needed = world.events(agent).any(|(_, event)| *event == Event::RestartNeeded);
        assert!(!needed);
        let stream = world.agent(agent).unwrap().streams().next().unwrap();
        world.send(agent, stream, 1, b"alive").unwrap();
    }
    world.run_until(ms(180_100)).unwrap();
    for agent in [alice, bob] {
        assert_eq!(world.received(agent).collect::<Vec<_>>(), [b"alive"]);
    }
}

/// A nomination fails, the failed pair makes room for one that the peer's check asks for, and then
/// its consent would have ended.
#[test]
fn regression_consent_of_a_pair_that_is_gone_loops() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.limits.pairs = 1;
    config.timing.hedging = false;
    config.timing.transmissions = 1;
    config.timing.final_wait = 1;
    let mut bench = Bench::started(config, &[LOCAL], &[REMOTE]);
    let check = bench.last_request();
    let _ = bench.answer(&check);
    bench.run_until(ms(1_000));
    let _ = bench.send_check(LOCAL, "10.0.0.3:3000", false);
    bench.run_until(ms(40_000));
    assert_eq!(bench.agent.pairs().count(), 1);
}

/// For the timeline of the guide's chapter on failures: the network is cut at `cut`, and this is what a
/// controlling side with one path says from then on.
fn death(cut: u64, until: u64, ends: bool) -> (World, AgentIndex, Vec<(u64, String)>) {
    let mut world = World::new([7; 32]);
    world.network_mut().set_default_link(Link::delayed(Duration::from_millis(20)));
    let [alice, bob] = [Role::Controlling, Role::Controlled].map(|role| {
        let mut config = AgentConfig::new(role);
        config.continual = !ends;
        world.add_agent(config).unwrap()
    });
    world.add_socket(alice, "10.0.1.1:1".parse().unwrap()).unwrap();
    world.add_socket(bob, "10.0.2.1:1".parse().unwrap()).unwrap();
    world.connect(alice, bob).unwrap();
    world.start(alice).unwrap();
    world.start(bob).unwrap();
    world.run_until(ms(cut)).unwrap();
    world.network_mut().block_between("10.0.1.1".parse().unwrap(), "10.0.2.1".parse().unwrap());
    world.take_log(alice);
    world.run_until(ms(until)).unwrap();
    let news = news(&world, alice);
    (world, alice, news)
}

fn news(world: &World, agent: AgentIndex) -> Vec<(u64, String)> {
    let of_interest = world.events(agent).filter_map(|(at, event)| match event {
        Event::ConnectionState(state) => Some((at, format!("{state:?}"))),
        Event::RestartNeeded => Some((at, "RestartNeeded".to_owned())),
        _ => None,
    });
    of_interest.map(|(at, news)| (at.as_nanos() / 1_000_000, news)).collect()
}

fn names(news: &[(u64, String)]) -> Vec<&str> {
    news.iter().map(|(_, name)| name.as_str()).collect()
}

/// In an old session failure comes with the end of consent, after `RestartNeeded`; a restart that is
/// answered begins as a session that starts.
#[test]
fn an_old_session_dies_by_the_timeline_of_the_guide() {
    let (mut world, alice, news_of_death) = death(100_000, 200_000, true);
    assert_eq!(names(&news_of_death), ["Disconnected", "RestartNeeded", "Failed"]);
    let [disconnected, needed, failed] = [0, 1, 2].map(|i: usize| news_of_death[i].0);
    assert!((103_000..=110_000).contains(&disconnected), "{disconnected}");
    assert!((123_000..=130_000).contains(&needed) && failed == needed, "{needed}");
    world.take_log(alice);
    world.restart(alice).unwrap().unwrap();
    world.run_until(ms(260_000)).unwrap();
    let news_of_restart = news(&world, alice);
    assert_eq!(names(&news_of_restart), ["New", "Checking", "Failed"]);
    assert_eq!(news_of_restart[2].0 - news_of_restart[0].0, 39_500);
}

/// In a young one it waits for the patience of the generation, and for the end of candidates always.
#[test]
fn a_young_session_is_checking_between_the_end_of_consent_and_failure() {
    let (.., news) = death(1_000, 100_000, true);
    assert_eq!(names(&news), ["Disconnected", "RestartNeeded", "Checking", "Failed"]);
    assert_eq!(news[3].0, 39_500);
    let (.., news) = death(100_000, 400_000, false);
    assert_eq!(names(&news), ["Disconnected", "RestartNeeded", "Checking"]);
}
