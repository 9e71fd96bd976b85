//! Whose a datagram is.

use std::time::Duration;

use allocation_counter::measure;
use frazil::{
    ConnectionState, Event, IceAgent, Ignored, InsertRefused, Mux, MuxConfig, MuxIgnored,
    MuxReceived, Received, Role, SocketError, Timestamp, Transport,
};

use crate::common::{ICE_CONTROLLING, Message, PRIORITY, REQUEST, SUCCESS, USERNAME, addr};
use crate::stage::{Delivered, Stage, full, lite, seed, stream_of};

const SERVER: &str = "10.0.0.1:3478";

fn client_address(number: u32) -> String {
    format!("10.1.{}.{}:5000", number / 200, number % 200 + 1)
}

/// A check to this username, sealed with this password.
pub(crate) fn check(username: &str, pwd: &str, id: u8) -> Vec<u8> {
    Message::new(REQUEST, [id; 12])
        .attr(USERNAME, username.as_bytes())
        .attr(PRIORITY, &0x6e00_01ff_u32.to_be_bytes())
        .attr(ICE_CONTROLLING, &1_u64.to_be_bytes())
        .integrity(pwd)
        .fingerprint()
}

#[test]
fn thousands_of_sessions_behind_one_socket_connect_and_get_their_own_data() {
    const SESSIONS: u32 = 2000;
    let mut stage = Stage::new(2);
    let mut pairs = Vec::new();
    for number in 0..SESSIONS {
        let config = if number % 2 == 0 { lite() } else { full(Role::Controlled) };
        pairs.push(stage.pair(number, config, [SERVER, &client_address(number)]));
    }
    stage.run_for_secs(5);
    for pair in &pairs {
        for party in pair {
            assert!(stage.is_completed(*party), "{party:?}: {:?}", stage.state(*party));
        }
    }
    for (number, [server, client]) in pairs.iter().enumerate() {
        stage.send(*client, format!("to {number}").as_bytes());
        stage.send(*server, format!("from {number}").as_bytes());
    }
    stage.run_for(Duration::from_millis(20));
    let mut delivered = stage.take_delivered();
    for (number, [server, client]) in pairs.iter().enumerate() {
        for (party, word) in [(server, "to"), (client, "from")] {
            let wanted = Delivered::To(*party, format!("{word} {number}").into_bytes());
            let at = delivered.iter().position(|other| *other == wanted);
            delivered.swap_remove(at.expect("delivered to the right session"));
        }
    }
    assert_eq!(delivered, []);
    // And it stays so: consent of all of them.
    stage.run_for_secs(60);
    assert!(pairs.iter().flatten().all(|party| stage.is_completed(*party)));
}

#[test]
fn a_request_for_an_unknown_ufrag_is_silent_and_costs_no_memory() {
    let mut stage = Stage::new(1);
    let party = stage.add(0, full(Role::Controlled), seed(1), SERVER);
    stage.drain();
    let pwd = stage.agent(party).local_parameters().credentials.pwd().to_owned();
    let strangers: Vec<Vec<u8>> =
        (0..100).map(|number| check(&format!("none{number}:peer"), &pwd, number)).collect();
    let before = format!("{:?}", stage.agent(party));
    let info = measure(|| {
        for stranger in &strangers {
            let received = stage.muxes[0].handle_datagram(
                stage.now,
                Transport::Udp,
                addr(SERVER),
                addr("10.9.9.9:1"),
                stranger,
            );
            assert_eq!(received, MuxReceived::Ignored(MuxIgnored::UnknownUfrag));
        }
    });
    assert_eq!(info.count_total, 0);
    assert_eq!(format!("{:?}", stage.agent(party)), before, "no agent has seen any of it");
    assert_eq!(stage.muxes[0].poll_transmit(stage.now, &mut Vec::new()), None);
    assert_eq!(stage.muxes[0].counters().ignored(MuxIgnored::UnknownUfrag), 100);
}

#[test]
fn what_names_nobody_is_counted_by_reason() {
    let mut mux = Mux::new(MuxConfig::default(), [1; 32]);
    let mut feed = |bytes: &[u8]| {
        let (local, remote) = (addr(SERVER), addr("10.9.9.9:1"));
        let received = mux.handle_datagram(Timestamp::ZERO, Transport::Udp, local, remote, bytes);
        let MuxReceived::Ignored(reason) = received else { panic!("{received:?}") };
        reason
    };
    let nameless = Message::new(REQUEST, [1; 12]).fingerprint();
    assert_eq!(feed(&nameless), MuxIgnored::MissingUsername);
    let no_colon = Message::new(REQUEST, [1; 12]).attr(USERNAME, b"abcd").fingerprint();
    assert_eq!(feed(&no_colon), MuxIgnored::MissingUsername);
    let response = Message::new(SUCCESS, [1; 12]).fingerprint();
    assert_eq!(feed(&response), MuxIgnored::UnknownTransaction);
    assert_eq!(feed(&[0x80; 100]), MuxIgnored::UnknownPath);
    assert_eq!(feed(&[]), MuxIgnored::UnknownPath);
    let keepalive = Message::new(0x0011, [1; 12]).fingerprint();
    assert_eq!(feed(&keepalive), MuxIgnored::UnknownPath);
    assert_eq!(
        format!("{:?}", mux.counters()),
        "{MissingUsername: 2, UnknownTransaction: 1, UnknownPath: 3}"
    );
}

#[test]
fn a_forged_request_for_a_known_ufrag_is_the_agents_to_refuse() {
    let mut stage = Stage::new(1);
    let party = stage.add(0, full(Role::Controlled), seed(1), SERVER);
    stage.drain();
    let ufrag = stage.agent(party).local_parameters().credentials.ufrag().to_owned();
    let forged = check(&format!("{ufrag}:peer"), "not the password of anybody", 1);
    assert!(!stage.feed(0, SERVER, "10.9.9.9:1", &forged));
    assert_eq!(stage.agent(party).counters().ignored(Ignored::BadIntegrity), 1);
    // Data from there is nobody's.
    assert!(!stage.feed(0, SERVER, "10.9.9.9:1", &[0x80; 10]));
    assert_eq!(stage.muxes[0].counters().ignored(MuxIgnored::UnknownPath), 1);
}

#[test]
fn an_answer_to_a_session_that_is_gone_does_not_reach_the_one_in_its_place() {
    let mut stage = Stage::new(2);
    let [server, _] = stage.pair(1, full(Role::Controlled), [SERVER, "10.1.0.1:5000"]);
    // The first checks are on their way.
    stage.run_until(Timestamp::from_millis(5));
    stage.muxes[0].remove(server.1).unwrap();
    let next = stage.add(0, full(Role::Controlled), seed(9), SERVER);
    assert_ne!(next.1, server.1);
    assert_eq!(next.1.get() as u32, server.1.get() as u32, "it has the same place");
    stage.run_for_secs(1);
    let counters = stage.agent(next).counters();
    assert_eq!(counters.all_ignored().map(|(_, count)| count).sum::<u64>(), 0);
    let ignored = stage.muxes[0].counters();
    assert!(ignored.ignored(MuxIgnored::UnknownTransaction) > 0);
    assert!(ignored.ignored(MuxIgnored::UnknownUfrag) > 0);
}

#[test]
fn two_agents_with_one_ufrag_are_not_taken_into_one_mux() {
    let mut stage = Stage::new(1);
    let first = stage.add(0, full(Role::Controlled), seed(1), SERVER);
    let twin = IceAgent::new(full(Role::Controlling), seed(1)).unwrap();
    let error = stage.muxes[0].insert(stage.now, twin).unwrap_err();
    assert_eq!(error.reason, InsertRefused::UfragTaken);
    assert_eq!(error.to_string(), "another session has this username fragment");
    // With the first one gone the second may come: it has come back unharmed.
    stage.muxes[0].remove(first.1).unwrap();
    assert!(stage.muxes[0].insert(stage.now, *error.agent).is_ok());
}

#[test]
fn all_that_arrives_on_a_socket_of_its_own_is_for_the_session() {
    let mut stage = Stage::new(1);
    let [a, b] = [1, 2].map(|number| {
        let agent = IceAgent::new(full(Role::Controlled), seed(number)).unwrap();
        stage.muxes[0].insert(stage.now, agent).unwrap()
    });
    let own = addr("10.0.0.1:6000");
    let mux = &mut stage.muxes[0];
    assert_eq!(mux.add_socket(a, own), Ok(()));
    assert_eq!(mux.add_socket(a, own), Ok(()), "once more changes nothing");
    assert_eq!(mux.add_socket(b, own), Err(SocketError::Taken));
    assert_eq!(mux.add_socket(b, addr("[::ffff:10.0.0.1]:6000")), Err(SocketError::Taken));
    let ufrag = mux.agent(b).unwrap().local_parameters().credentials.ufrag().to_owned();
    let pwd = mux.agent(b).unwrap().local_parameters().credentials.pwd().to_owned();
    for bytes in [
        vec![0x80; 20],
        check(&format!("{ufrag}:peer"), &pwd, 1),
        Message::new(SUCCESS, [1; 12]).fingerprint(),
    ] {
        let received =
            mux.handle_datagram(stage.now, Transport::Udp, own, addr("10.9.9.9:1"), &bytes);
        assert_eq!(received, MuxReceived::Session(a, Received::Ignored(Ignored::UnknownLocal)));
    }
    assert!(!mux.remove_socket(b, own));
    assert!(mux.remove_socket(a, own));
    assert_eq!(mux.add_socket(b, own), Ok(()));
    mux.remove(b).unwrap();
    assert_eq!(mux.add_socket(a, own), Ok(()), "it is free with the session that had it");
    assert_eq!(mux.add_socket(b, own), Err(SocketError::UnknownSession));
}

#[test]
fn a_path_is_known_by_the_local_address_as_well() {
    let mut stage = Stage::new(2);
    let [server, _] = stage.pair(1, full(Role::Controlled), [SERVER, "10.1.0.1:5000"]);
    stage.run_for_secs(2);
    assert!(stage.feed(0, SERVER, "10.1.0.1:5000", &[0x80; 4]));
    assert!(stage.feed(0, "[::ffff:10.0.0.1]:3478", "[::ffff:10.1.0.1]:5000", &[0x80; 5]));
    assert!(!stage.feed(0, "10.0.0.2:3478", "10.1.0.1:5000", &[0x80; 6]));
    let delivered = stage.take_delivered();
    let wanted = [4, 5].map(|len| Delivered::To(server, vec![0x80; len]));
    assert_eq!(delivered, wanted);
}

#[test]
fn sessions_connect_over_ipv6() {
    let mut stage = Stage::new(2);
    let locals = ["[2001:db8::1]:3478", "[2001:db8:1::1]:5000"];
    let [server, client] = stage.pair(1, lite(), locals);
    stage.run_for_secs(2);
    assert_eq!(stage.state(server), ConnectionState::Completed);
    stage.send(client, b"six");
    stage.run_for_secs(1);
    assert_eq!(stage.take_delivered(), [Delivered::To(server, b"six".to_vec())]);
}

#[test]
fn a_discovered_candidate_is_found_by_the_ufrag_of_its_first_check_pion_ice_505() {
    // The server is not told where its peer is: the first check names the session.
    let mut stage = Stage::new(2);
    let server = stage.add(0, full(Role::Controlled), seed(1), SERVER);
    let client = stage.add(1, full(Role::Controlling), seed(2), "10.1.0.1:5000");
    stage.drain();
    let now = stage.now;
    let theirs = stage.agent(client).local_parameters();
    stage.with_agent(server, |agent| agent.set_remote(now, theirs)).unwrap();
    let ours = stage.agent(server).local_parameters();
    let line = format!("1 1 UDP 2130706431 {} 3478 typ host", addr(SERVER).ip());
    stage.with_agent(client, |agent| {
        let stream = stream_of(agent);
        agent.add_remote_candidate(now, stream, &line.parse().unwrap()).unwrap();
        agent.set_remote(now, ours).unwrap();
    });
    stage.drain();
    stage.run_for_secs(2);
    assert!(stage.is_completed(server) && stage.is_completed(client));
    let discovered = |event: &Event| matches!(event, Event::RemoteCandidateDiscovered { .. });
    assert!(stage.events[&server].iter().any(discovered));
}
