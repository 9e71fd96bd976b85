//! Sessions that come, restart and go; time, seeds and copies.

use frazil::{
    Credentials, Event, IceAgent, Mux, MuxConfig, MuxIgnored, MuxReceived, Role, SessionId,
    Timestamp, Transport, UfragPrefix,
};

use crate::common::{Message, REQUEST, USERNAME, addr};
use crate::stage::{Delivered, Party, Stage, full, lite, seed};

const SERVER: &str = "10.0.0.1:3478";
const CLIENT: &str = "10.1.0.1:5000";

/// Whether a request to this username fragment finds a session.
fn knows(mux: &Mux, ufrag: &str) -> Option<SessionId> {
    let username = format!("{ufrag}:peer");
    let request = Message::new(REQUEST, [1; 12]).attr(USERNAME, username.as_bytes()).fingerprint();
    let (local, remote) = (addr(SERVER), addr("10.9.9.9:1"));
    // A copy, so that the question changes nothing.
    let mut mux = mux.clone();
    match mux.handle_datagram(Timestamp::ZERO, Transport::Udp, local, remote, &request) {
        MuxReceived::Session(id, _) => Some(id),
        MuxReceived::Ignored(MuxIgnored::UnknownUfrag) => None,
        other => panic!("{other:?}"),
    }
}

fn ufrag(stage: &Stage, party: Party) -> String {
    stage.agent(party).local_parameters().credentials.ufrag().to_owned()
}

#[test]
fn a_staged_restart_is_found_by_both_ufrags_and_one_rolled_back_by_the_old_one() {
    let mut stage = Stage::new(2);
    let [server, _] = stage.pair(1, full(Role::Controlled), [SERVER, CLIENT]);
    stage.run_for_secs(2);
    let (now, old) = (stage.now, ufrag(&stage, server));
    stage.with_agent(server, |agent| agent.prepare_restart(now)).unwrap();
    let staged = ufrag(&stage, server);
    assert_ne!(staged, old);
    for name in [&old, &staged] {
        assert_eq!(knows(&stage.muxes[0], name), Some(server.1));
    }
    assert!(stage.with_agent(server, |agent| agent.rollback_restart(now)));
    assert_eq!(knows(&stage.muxes[0], &old), Some(server.1));
    assert_eq!(knows(&stage.muxes[0], &staged), None);
}

#[test]
fn a_restart_keeps_the_old_ufrag_and_path_while_they_are_used_pion_ice_505() {
    let mut stage = Stage::new(2);
    let [server, client] = stage.pair(1, full(Role::Controlled), [SERVER, CLIENT]);
    stage.run_for_secs(2);
    let (now, old) = (stage.now, ufrag(&stage, server));
    for party in [server, client] {
        stage.with_agent(party, |agent| agent.prepare_restart(now)).unwrap();
    }
    stage.drain();
    stage.exchange_parameters(server, client);
    let new = ufrag(&stage, server);
    for name in [&old, &new] {
        assert_eq!(knows(&stage.muxes[0], name), Some(server.1), "the old path carries data");
    }
    // Data at once, and all the way through.
    for _ in 0..20 {
        stage.send(client, b"on");
        stage.run_for(std::time::Duration::from_millis(50));
    }
    assert_eq!(stage.take_delivered(), vec![Delivered::To(server, b"on".to_vec()); 20]);
    assert!(stage.is_completed(server) && stage.is_completed(client));
    stage.run_for_secs(60);
    assert_eq!(knows(&stage.muxes[0], &old), None, "it is forgotten in the end");
    assert_eq!(knows(&stage.muxes[0], &new), Some(server.1));
    stage.send(client, b"after");
    stage.run_for_secs(1);
    assert_eq!(stage.take_delivered(), [Delivered::To(server, b"after".to_vec())]);
}

#[test]
fn a_restart_that_draws_the_ufrag_of_another_session_is_told() {
    // The same seed twice, which must not happen, and which fixed credentials hide at first.
    let mut stage = Stage::new(1);
    let parties = ["first", "second"].map(|name| {
        let mut config = full(Role::Controlled);
        config.credentials = Some(Credentials::new(name, "0123456789012345678901").unwrap());
        stage.add(0, config, seed(1), SERVER)
    });
    let now = stage.now;
    for party in parties {
        let theirs = Credentials::new("peer", "peerpasswordpeerpassword").unwrap();
        let theirs = frazil::Parameters::new(theirs);
        stage.with_agent(party, |agent| agent.set_remote(now, theirs)).unwrap();
        stage.with_agent(party, |agent| agent.prepare_restart(now)).unwrap();
    }
    stage.drain();
    let [first, second] = parties;
    let drawn = ufrag(&stage, first);
    assert_eq!(drawn, ufrag(&stage, second));
    assert_eq!(knows(&stage.muxes[0], &drawn), Some(first.1), "who had it first has it");
    assert!(!stage.events[&first].contains(&Event::UfragTaken));
    assert!(stage.events[&second].contains(&Event::UfragTaken));
    // It draws another one.
    stage.with_agent(second, |agent| {
        agent.rollback_restart(now);
        agent.prepare_restart(now).unwrap();
    });
    let other = ufrag(&stage, second);
    assert_eq!(knows(&stage.muxes[0], &other), Some(second.1));
    assert_eq!(knows(&stage.muxes[0], &drawn), Some(first.1));
}

#[test]
fn every_generated_ufrag_starts_with_the_prefix() {
    let mut stage = Stage::new(2);
    let mut config = full(Role::Controlled);
    config.ufrag_prefix = UfragPrefix::new("m7c2/+Xy").unwrap();
    let [server, client] = stage.pair(1, config, [SERVER, CLIENT]);
    let first = ufrag(&stage, server);
    stage.run_for_secs(2);
    assert!(stage.is_completed(client));
    let now = stage.now;
    stage.with_agent(server, |agent| agent.prepare_restart(now)).unwrap();
    let second = ufrag(&stage, server);
    assert_ne!(first, second);
    for name in [first, second] {
        assert!(name.starts_with("m7c2/+Xy"));
        assert_eq!(name.len(), 16, "48 random bits follow");
    }
    assert!(UfragPrefix::new("ninechars").is_err());
    assert!(UfragPrefix::new("a:b").is_err());
    assert_eq!(UfragPrefix::new("").unwrap(), UfragPrefix::default());
}

#[test]
fn sessions_removed_in_the_middle_of_anything_leave_nothing_behind() {
    for steps in 0..60 {
        let mut stage = Stage::new(2);
        let config = |number: u32| if number % 2 == 0 { lite() } else { full(Role::Controlled) };
        let pairs: Vec<[Party; 2]> = (0..4)
            .map(|number| {
                let client = format!("10.1.0.{}:5000", number + 1);
                let pair = stage.add(0, config(number), seed(2 * number), SERVER);
                let peer = stage.add(1, full(Role::Controlling), seed(2 * number + 1), &client);
                stage.introduce(pair, peer);
                [pair, peer]
            })
            .collect();
        for _ in 0..steps {
            stage.step();
        }
        // Both sides of one, one side of each of two others.
        let gone = [pairs[0][0], pairs[0][1], pairs[1][0], pairs[2][1]];
        for (at, id) in gone {
            let agent = stage.muxes[at].remove(id).unwrap();
            assert_eq!(stage.muxes[at].remove(id).map(drop), None);
            assert!(stage.muxes[at].agent(id).is_none());
            assert!(stage.muxes[at].with(stage.now, id, |_| ()).is_none());
            let ufrag = agent.local_parameters().credentials.ufrag().to_owned();
            assert_eq!(knows(&stage.muxes[at], &ufrag), None);
        }
        stage.run_for_secs(3);
        for party in pairs[3] {
            assert!(stage.is_completed(party), "after {steps} steps");
        }
        assert_eq!([stage.muxes[0].len(), stage.muxes[1].len()], [2, 2]);
        // The rest goes as well, and then nothing is due for ever.
        for (at, id) in pairs.iter().flatten().copied().filter(|party| !gone.contains(party)) {
            stage.muxes[at].remove(id).unwrap();
        }
        for mux in &mut stage.muxes {
            assert!(mux.is_empty());
            assert_eq!(mux.poll_timeout(), None);
            assert_eq!(mux.poll_transmit(stage.now, &mut Vec::new()), None);
            assert_eq!(mux.poll_event(stage.now), None);
        }
    }
}

#[test]
fn a_session_that_was_removed_can_be_moved_to_another_mux() {
    let mut stage = Stage::new(3);
    let [server, client] = stage.pair(1, lite(), [SERVER, CLIENT]);
    stage.run_for_secs(2);
    let agent = stage.muxes[0].remove(server.1).unwrap();
    let id = stage.muxes[2].insert(stage.now, agent).unwrap();
    stage.homes.insert(addr(SERVER), 2);
    stage.send(client, b"there");
    stage.run_for_secs(60);
    assert_eq!(stage.take_delivered(), [Delivered::To((2, id), b"there".to_vec())]);
    assert!(stage.is_completed((2, id)) && stage.is_completed(client));
}

#[test]
fn an_agent_that_is_replaced_in_place_is_known_by_its_own_names() {
    let mut stage = Stage::new(2);
    let server = stage.add(0, full(Role::Controlled), seed(1), SERVER);
    let old = ufrag(&stage, server);
    let other = IceAgent::new(full(Role::Controlled), seed(2)).unwrap();
    stage.with_agent(server, |agent| *agent = other);
    assert_eq!(knows(&stage.muxes[0], &old), None);
    assert_eq!(knows(&stage.muxes[0], &ufrag(&stage, server)), Some(server.1));
    // And its checks are answered.
    stage.add_local(server, SERVER);
    let client = stage.add(1, full(Role::Controlling), seed(3), CLIENT);
    stage.introduce(server, client);
    stage.run_for_secs(2);
    assert!(stage.is_completed(server));
}

fn scenario(seed_of_mux: u8) -> (Stage, Vec<Party>) {
    let mut stage = Stage::new(2);
    stage.log = true;
    stage.muxes[0] = Mux::new(MuxConfig::default(), [seed_of_mux; 32]);
    let mut parties = Vec::new();
    for number in 0..10 {
        let client = format!("10.1.0.{}:5000", number % 5 + 1);
        parties.extend(stage.pair(number, full(Role::Controlled), [SERVER, &client]));
    }
    stage.run_for_secs(60);
    (stage, parties)
}

#[test]
fn equal_seeds_give_equal_bytes_and_events() {
    let (first, parties) = scenario(1);
    let (second, _) = scenario(1);
    let bytes = |stage: &Stage| -> Vec<(Party, Timestamp, Vec<u8>)> {
        stage.sent.iter().map(|(party, sent)| (*party, sent.at, sent.bytes.clone())).collect()
    };
    assert!(bytes(&first).len() > 200);
    assert_eq!(bytes(&first), bytes(&second));
    assert_eq!(first.events, second.events);
    // The seed of the Mux is in the transaction ids of its agents.
    let (other, _) = scenario(2);
    assert_ne!(bytes(&first), bytes(&other));
    assert!(parties.iter().all(|party| other.is_completed(*party)));
}

#[test]
fn transaction_ids_of_all_sessions_differ_and_tell_nothing_of_them() {
    let (stage, _) = scenario(1);
    let mut ids: Vec<[u8; 12]> = stage
        .sent
        .iter()
        .filter(|(_, sent)| sent.is_request())
        .map(|(_, sent)| sent.id())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let mut ends: Vec<[u8; 4]> = ids.iter().map(|id| [id[8], id[9], id[10], id[11]]).collect();
    ends.sort_unstable();
    ends.dedup();
    assert!(ids.len() > 100);
    assert_eq!(ends.len(), ids.len(), "the masked part looks random as well");
}

#[test]
fn deadlines_are_honest() {
    honest(&MuxConfig::default());
}

#[test]
fn deadlines_are_honest_with_the_shared_pacer() {
    let mut config = MuxConfig::default();
    config.pacing = true;
    honest(&config);
}

fn honest(config: &MuxConfig) {
    let mut stage = Stage::with(2, config);
    let pairs: Vec<[Party; 2]> = (0..20)
        .map(|number| {
            let client = format!("10.1.0.{}:5000", number + 1);
            stage.pair(number, full(Role::Controlled), [SERVER, &client])
        })
        .collect();
    // Half of the clients are not there.
    for number in 10..20 {
        stage.dead.insert(addr(&format!("10.1.0.{}:5000", number + 1)));
    }
    while stage.now < Timestamp::from_millis(60_000) {
        for mux in &mut stage.muxes {
            if let Some(at) = mux.poll_timeout() {
                assert!(at > stage.now, "the deadline did not move");
                let before = Timestamp::from_nanos(at.as_nanos() - 1);
                // Before it nothing is due.
                let mut early = mux.clone();
                early.handle_timeout(before);
                assert_eq!(early.poll_transmit(before, &mut Vec::new()), None);
                assert_eq!(early.poll_event(before), None);
                assert_eq!(early.poll_timeout(), Some(at));
            }
        }
        let long = stage.now > Timestamp::from_millis(3000);
        if long {
            // Steps of a busy machine: many timeouts in one.
            let until = stage.now + std::time::Duration::from_millis(700);
            stage.now = until;
        }
        assert!(stage.step());
    }
    assert!(stage.is_completed(pairs[0][0]));
    // Time that runs backwards changes nothing.
    let at = stage.muxes[0].poll_timeout();
    stage.muxes[0].handle_timeout(Timestamp::ZERO);
    assert_eq!(stage.muxes[0].poll_timeout(), at);
}

#[test]
fn a_jump_of_a_day_is_one_timeout_of_each_session() {
    let mut stage = Stage::new(2);
    for number in 0..20 {
        let client = format!("10.1.0.{}:5000", number + 1);
        stage.pair(number, full(Role::Controlled), [SERVER, &client]);
    }
    stage.run_for_secs(2);
    let later = stage.now + std::time::Duration::from_secs(86_400);
    let mux = &mut stage.muxes[0];
    mux.handle_timeout(later);
    let mut sent = 0;
    while mux.poll_transmit(later, &mut Vec::new()).is_some() {
        sent += 1;
    }
    while mux.poll_event(later).is_some() {}
    assert!(sent <= 20, "{sent} packets");
    assert!(mux.poll_timeout().is_none_or(|at| at > later));
}

#[test]
fn a_mux_is_a_plain_value() {
    fn plain<T: Clone + std::fmt::Debug + Send + Sync + 'static>() {}
    plain::<Mux>();
    let mut stage = Stage::new(2);
    let [server, _] = stage.pair(1, full(Role::Controlled), [SERVER, CLIENT]);
    let snapshot = stage.muxes[0].clone();
    stage.run_for_secs(2);
    assert!(stage.is_completed(server));
    let state = snapshot.agent(server.1).unwrap().state();
    assert_eq!(state, frazil::ConnectionState::Checking);
    assert_eq!(snapshot.agents().map(|(id, _)| id).collect::<Vec<_>>(), [server.1]);
}

#[test]
fn who_never_polls_does_not_make_it_grow() {
    let mut mux = Mux::new(MuxConfig::default(), [1; 32]);
    let mut sizes = Vec::new();
    for round in 0..2000 {
        let agent = IceAgent::new(full(Role::Controlled), seed(round)).unwrap();
        let id = mux.insert(Timestamp::ZERO, agent).unwrap();
        mux.with(Timestamp::ZERO, id, |agent| agent.gather(Timestamp::ZERO));
        mux.remove(id).unwrap();
        sizes.push(format!("{mux:?}").len());
    }
    let (early, late) = (sizes[..100].iter().max(), sizes[100..].iter().max());
    assert!(late.unwrap() < &(early.unwrap() + 100), "{early:?}, then {late:?}");
}
