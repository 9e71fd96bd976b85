//! Paths to which several sessions come.

use frazil::{AgentConfig, ConnectionState, Event, Role};

use crate::common::{Message, addr};
use crate::routing::check;
use crate::stage::{Delivered, Party, Stage, full, lite, seed};

const SERVER: &str = "10.0.0.1:3478";
const CLIENT: &str = "10.1.0.1:5000";

/// A server in the first `Mux` and a client in the second, connected; then the client falls silent
/// and its address is given to another one in the third `Mux`, which is introduced to a new session.
fn reused(config: &AgentConfig) -> (Stage, [Party; 3]) {
    let mut stage = Stage::new(3);
    let [old, first] = stage.pair(1, config.clone(), [SERVER, CLIENT]);
    stage.run_for_secs(2);
    assert!(stage.is_completed(old));
    stage.muxes[1].remove(first.1).unwrap();
    let new = stage.add(0, config.clone(), seed(10), SERVER);
    let client = stage.add(2, full(Role::Controlling), seed(11), CLIENT);
    stage.introduce(new, client);
    (stage, [old, new, client])
}

fn delivered_to(stage: &mut Stage, client: Party, word: &[u8]) -> Vec<Delivered> {
    stage.send(client, word);
    stage.run_for(std::time::Duration::from_millis(20));
    stage.take_delivered()
}

#[test]
fn data_from_a_reused_address_goes_to_the_session_that_has_checked_it_mediasoup_1690() {
    let (mut stage, [_, new, client]) = reused(&full(Role::Controlled));
    stage.run_for_secs(1);
    assert!(stage.is_completed(new));
    let data = delivered_to(&mut stage, client, b"mine");
    assert_eq!(data, [Delivered::To(new, b"mine".to_vec())]);
}

#[test]
fn data_from_a_reused_address_goes_to_nobody_else_until_the_other_session_is_silent() {
    // A lite agent cannot find out who is there: it waits for ten seconds of silence.
    let (mut stage, [_, new, client]) = reused(&lite());
    stage.run_for_secs(1);
    assert!(stage.is_completed(new));
    let early = delivered_to(&mut stage, client, b"early");
    assert!(!early.contains(&Delivered::To(new, b"early".to_vec())));
    stage.run_for_secs(16);
    let data = delivered_to(&mut stage, client, b"late");
    assert_eq!(data, [Delivered::To(new, b"late".to_vec())]);
}

#[test]
fn a_path_is_free_when_its_session_is_removed() {
    let (mut stage, [old, new, client]) = reused(&lite());
    stage.run_for_secs(1);
    stage.muxes[0].remove(old.1).unwrap();
    // The next check of the client claims it.
    stage.run_for_secs(7);
    let data = delivered_to(&mut stage, client, b"mine");
    assert_eq!(data, [Delivered::To(new, b"mine".to_vec())]);
}

#[test]
fn the_end_of_a_session_that_was_displaced_leaves_the_path_alone() {
    let (mut stage, [old, new, client]) = reused(&full(Role::Controlled));
    // The consent of the old session runs out.
    stage.run_for_secs(40);
    let lost = |event: &Event| matches!(event, Event::ConsentLost { .. });
    assert!(stage.events[&old].iter().any(lost));
    assert_ne!(stage.state(old), ConnectionState::Completed);
    stage.muxes[0].remove(old.1).unwrap();
    let data = delivered_to(&mut stage, client, b"mine");
    assert_eq!(data, [Delivered::To(new, b"mine".to_vec())]);
}

/// Two connected sessions of one server, and a check to the second one with a forged source: the
/// address of the first one's client.
fn forge(config: &AgentConfig, nominate: bool) -> (Stage, [Party; 2], [Party; 2]) {
    let mut stage = Stage::new(2);
    let victim = stage.pair(1, config.clone(), [SERVER, CLIENT]);
    let thief = stage.pair(2, config.clone(), [SERVER, "10.1.0.2:5000"]);
    stage.run_for_secs(2);
    let ours = stage.agent(thief[0]).local_parameters().credentials;
    let theirs = stage.agent(thief[1]).local_parameters().credentials;
    let username = format!("{}:{}", ours.ufrag(), theirs.ufrag());
    let mut forged = check(&username, ours.pwd(), 77);
    if nominate {
        forged = Message::new(crate::common::REQUEST, [78; 12])
            .attr(crate::common::USERNAME, username.as_bytes())
            .attr(crate::common::PRIORITY, &0x6e00_01ff_u32.to_be_bytes())
            .attr(crate::common::ICE_CONTROLLING, &1_u64.to_be_bytes())
            .attr(crate::common::USE_CANDIDATE, &[])
            .integrity(ours.pwd())
            .fingerprint();
    }
    assert!(stage.feed(0, SERVER, CLIENT, &forged), "it is authentic");
    (stage, victim, thief)
}

#[test]
fn a_forged_source_takes_no_path_from_a_session_that_is_alive_pion_w26() {
    for config in [full(Role::Controlled), lite()] {
        for nominate in [false, true] {
            let (mut stage, victim, _) = forge(&config, nominate);
            for _ in 0..8 {
                let data = delivered_to(&mut stage, victim[1], b"mine");
                assert_eq!(data, [Delivered::To(victim[0], b"mine".to_vec())]);
                stage.run_for_secs(5);
            }
            assert!(stage.is_completed(victim[0]) && stage.is_completed(victim[1]));
        }
    }
}

#[test]
fn a_packet_that_is_not_authenticated_moves_no_path() {
    let mut stage = Stage::new(2);
    let victim = stage.pair(1, full(Role::Controlled), [SERVER, CLIENT]);
    let thief = stage.pair(2, full(Role::Controlled), [SERVER, "10.1.0.2:5000"]);
    stage.run_for_secs(2);
    // The client of the first session falls silent for long, but its session is still there.
    stage.dead.insert(addr(CLIENT));
    stage.run_for_secs(15);
    let ours = stage.agent(thief[0]).local_parameters().credentials;
    let username = format!("{}:{}", ours.ufrag(), "peer");
    let forged = check(&username, "a password that nobody has", 77);
    assert!(!stage.feed(0, SERVER, CLIENT, &forged));
    let keepalive = Message::new(0x0011, [1; 12]).fingerprint();
    assert!(stage.feed(0, SERVER, CLIENT, &keepalive));
    assert!(stage.feed(0, SERVER, CLIENT, b"data"));
    assert_eq!(stage.take_delivered(), [Delivered::To(victim[0], b"data".to_vec())]);
}

#[test]
fn two_muxes_with_one_socket_each_connect_all_their_sessions_pion_ice_507() {
    let mut stage = Stage::new(2);
    let pairs: Vec<[Party; 2]> = (0..50)
        .map(|number| stage.pair(number, full(Role::Controlled), [SERVER, CLIENT]))
        .collect();
    stage.run_for_secs(5);
    assert!(pairs.iter().flatten().all(|party| stage.is_completed(*party)));
    // All keep their consent; nobody's checks go to another one.
    stage.run_for_secs(60);
    for party in pairs.iter().flatten() {
        assert!(stage.is_completed(*party));
        let ignored = stage.agent(*party).counters().all_ignored();
        assert_eq!(ignored.map(|(_, count)| count).sum::<u64>(), 0);
    }
    // Nothing in the data tells whose it is, so it goes to no session.
    for [server, client] in &pairs {
        stage.send(*server, b"down");
        stage.send(*client, b"up");
    }
    stage.run_for_secs(1);
    let delivered = stage.take_delivered();
    assert_eq!(delivered.len(), 100);
    for data in delivered {
        assert!(matches!(data, Delivered::Shared(..)), "{data:?}");
    }
    // With one pair left it is clear again, after the time of consent.
    for [server, client] in &pairs[1..] {
        stage.muxes[0].remove(server.1).unwrap();
        stage.muxes[1].remove(client.1).unwrap();
    }
    stage.run_for_secs(40);
    let [server, client] = pairs[0];
    assert!(stage.is_completed(server));
    let data = delivered_to(&mut stage, client, b"up");
    assert_eq!(data, [Delivered::To(server, b"up".to_vec())]);
    let data = delivered_to(&mut stage, server, b"down");
    assert_eq!(data, [Delivered::To(client, b"down".to_vec())]);
}

#[test]
fn two_muxes_with_one_socket_each_and_one_session_move_data() {
    let mut stage = Stage::new(2);
    let [server, client] = stage.pair(1, full(Role::Controlled), [SERVER, CLIENT]);
    stage.run_for_secs(2);
    let data = delivered_to(&mut stage, client, b"up");
    assert_eq!(data, [Delivered::To(server, b"up".to_vec())]);
    let data = delivered_to(&mut stage, server, b"down");
    assert_eq!(data, [Delivered::To(client, b"down".to_vec())]);
}

#[test]
fn data_of_a_session_that_has_closed_is_nobodys() {
    let mut stage = Stage::new(2);
    let [server, client] = stage.pair(1, full(Role::Controlled), [SERVER, CLIENT]);
    stage.run_for_secs(2);
    let now = stage.now;
    stage.with_agent(server, |agent| agent.close(now));
    assert_eq!(delivered_to(&mut stage, client, b"up"), []);
    let counters = stage.muxes[0].counters();
    assert_eq!(counters.ignored(frazil::MuxIgnored::UnknownPath), 1);
}
