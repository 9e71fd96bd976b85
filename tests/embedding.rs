//! Packets of the application inside of checks (draft-hancke-webrtc-sped; the attributes are those of
//! libwebrtc).

mod common;
#[path = "embedding/crossing.rs"]
mod crossing;

use std::time::Duration;

use common::{
    Bench, FINGERPRINT, MESSAGE_INTEGRITY, Message, PEER_PWD, PEER_UFRAG, REQUEST, SUCCESS, Sent,
    USE_CANDIDATE, USERNAME, addr, ms, plain,
};
use frazil::replay::{Recorder, Replay};
use frazil::trace::TraceData;
use frazil::{
    AgentConfig, Credentials, EmbedError, EmbeddingSupport, Event, IceAgent, Ignored, LocalAddress,
    Parameters, Received, Refused, Role, Timestamp, Transport,
};

/// META-DTLS-IN-STUN.
const PACKET: u16 = 0xc070;
/// META-DTLS-IN-STUN-ACKNOWLEDGEMENT.
const ACK: u16 = 0xc071;

const LOCAL: &str = "10.0.0.1:1000";
const REMOTE: &str = "10.0.0.2:2000";

fn config(role: Role) -> AgentConfig {
    let mut config = plain(role);
    config.embedding = true;
    config
}

/// Nothing has been sent yet: the parameters of the peer are not known.
fn waiting(role: Role) -> Bench {
    Bench::waiting(config(role), &[LOCAL], &[REMOTE])
}

fn started(role: Role) -> Bench {
    Bench::started(config(role), &[LOCAL], &[REMOTE])
}

fn crc(packet: &[u8]) -> Vec<u8> {
    crc32fast::hash(packet).to_be_bytes().to_vec()
}

fn embed(bench: &mut Bench, packet: &[u8]) -> Result<(), EmbedError> {
    bench.agent.embed(bench.now, bench.stream, 1, packet)
}

fn support(bench: &Bench) -> EmbeddingSupport {
    bench.agent.embedding(bench.stream, 1).unwrap().support
}

fn packets(bench: &Bench) -> Vec<Vec<u8>> {
    let packet = |event: &Event| match event {
        Event::Embedded { packet, component: 1, .. } => Some(packet.clone()),
        _ => None,
    };
    bench.events.iter().filter_map(|(_, event)| packet(event)).collect()
}

/// The success response of a peer that embeds.
fn answer(bench: &mut Bench, to: &Sent, attributes: &[(u16, &[u8])]) {
    let mut message = Message::new(SUCCESS, to.id()).xor_mapped(to.from);
    for (kind, value) in attributes {
        message = message.attr(*kind, value);
    }
    let bytes = message.integrity(PEER_PWD).fingerprint();
    assert_eq!(bench.feed(LOCAL, REMOTE, &bytes), Received::Consumed);
}

/// A check of a peer that embeds; what the agent sends at once.
fn check(bench: &mut Bench, attributes: &[(u16, &[u8])]) -> Vec<Sent> {
    let before = bench.sent.len();
    let mut message = bench.check(bench.agent.role().opposite());
    for (kind, value) in attributes {
        message = message.attr(*kind, value);
    }
    let bytes = message.integrity(&bench.pwd()).fingerprint();
    assert_eq!(bench.feed(LOCAL, REMOTE, &bytes), Received::Consumed);
    bench.sent[before..].to_vec()
}

fn response(sent: &[Sent]) -> Sent {
    sent.iter().find(|sent| sent.kind() == SUCCESS).expect("an answer").clone()
}

#[test]
fn it_is_off_unless_it_is_asked_for() {
    let mut bench = Bench::started(plain(Role::Controlling), &[LOCAL], &[REMOTE]);
    assert_eq!(embed(&mut bench, b"hello"), Err(EmbedError::Off));
    assert_eq!(bench.agent.embedding(bench.stream, 1), None);
    let sent = check(&mut bench, &[(ACK, b""), (PACKET, b"hello")]);
    assert!(packets(&bench).is_empty());
    assert!(!response(&sent).has(ACK) && !bench.last_request().has(ACK));
}

#[test]
fn a_packet_rides_in_checks_and_answers_under_their_integrity() {
    let mut bench = waiting(Role::Controlling);
    embed(&mut bench, b"hello").unwrap();
    bench.start();
    let request = bench.last_request();
    let kinds: Vec<u16> = request.attrs().iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds[kinds.len() - 4..], [ACK, PACKET, MESSAGE_INTEGRITY, FINGERPRINT]);
    assert_eq!(request.get(PACKET).unwrap(), b"hello");
    assert_eq!(request.get(ACK).unwrap(), b"", "nothing has come, and it is known");
    assert!(request.verifies(PEER_PWD) && request.fingerprint_is_last_and_right());
    let sent = check(&mut bench, &[(ACK, b"")]);
    let answer = response(&sent);
    assert_eq!(answer.get(PACKET).unwrap(), b"hello");
    assert!(answer.verifies(&bench.pwd()) && answer.fingerprint_is_last_and_right());
}

#[test]
fn it_rides_until_it_is_acknowledged_and_several_take_turns() {
    let mut bench = waiting(Role::Controlled);
    embed(&mut bench, b"first").unwrap();
    embed(&mut bench, b"second").unwrap();
    embed(&mut bench, b"second").unwrap();
    assert_eq!(bench.agent.embedding(bench.stream, 1).unwrap().waiting, 2, "the same packet");
    bench.start();
    assert_eq!(bench.last_request().get(PACKET).unwrap(), b"first");
    let ride = |bench: &mut Bench, ack: &[u8]| response(&check(bench, &[(ACK, ack)])).get(PACKET);
    // The check that is triggered takes its turn as well.
    let turns = [0; 4].map(|_| ride(&mut bench, b"").unwrap());
    assert!(turns.contains(&b"first".to_vec()) && turns.contains(&b"second".to_vec()));
    for _ in 0..3 {
        assert_eq!(ride(&mut bench, &crc(b"first")).unwrap(), b"second");
    }
    assert_eq!(ride(&mut bench, &crc(b"neither")).unwrap(), b"second");
    // A list of several, the end of which is cut off.
    let list = [crc(b"other"), crc(b"second"), vec![1, 2]].concat();
    assert_eq!(ride(&mut bench, &list), None);
    let embedding = bench.agent.embedding(bench.stream, 1).unwrap();
    assert_eq!((embedding.waiting, embedding.acknowledged), (0, 2));
}

#[test]
fn what_arrives_is_an_event_once_and_is_acknowledged_each_time() {
    let mut bench = started(Role::Controlled);
    let sent = check(&mut bench, &[(PACKET, b"one")]);
    assert_eq!(response(&sent).get(ACK).unwrap(), crc(b"one"));
    let request = bench.last_request();
    answer(&mut bench, &request, &[(PACKET, b"two"), (ACK, b"")]);
    let sent = check(&mut bench, &[(PACKET, b"one")]);
    assert_eq!(response(&sent).get(ACK).unwrap(), [crc(b"one"), crc(b"two")].concat());
    assert_eq!(packets(&bench), [b"one", b"two"]);
    // The newest four.
    for packet in [b"3", b"4", b"5"] {
        check(&mut bench, &[(PACKET, packet)]);
    }
    let sent = check(&mut bench, &[(PACKET, b"")]);
    let newest = [crc(b"two"), crc(b"3"), crc(b"4"), crc(b"5")].concat();
    assert_eq!(response(&sent).get(ACK).unwrap(), newest);
    assert_eq!(packets(&bench).len(), 5, "an empty one is none");
    assert_eq!(bench.agent.embedding(bench.stream, 1).unwrap().received, 5);
}

/// How the round trip is saved: the server's flight in the answer to the check with the client's.
#[test]
fn what_an_arrival_calls_for_rides_in_the_very_answer() {
    let mut bench = started(Role::Controlled);
    let bytes = bench
        .check(Role::Controlling)
        .attr(PACKET, b"client hello")
        .integrity(&bench.pwd())
        .fingerprint();
    let now = bench.now;
    let (to, from) = (addr(LOCAL), addr(REMOTE));
    let received = bench.agent.handle_datagram(now, Transport::Udp, to, from, &bytes);
    assert_eq!(received, Received::Consumed);
    while let Some(event) = bench.agent.poll_event(now) {
        if matches!(&event, Event::Embedded { packet, .. } if packet == b"client hello") {
            bench.agent.embed(now, bench.stream, 1, b"server hello").unwrap();
        }
    }
    let sent = bench.drain();
    assert_eq!(response(&sent).get(PACKET).unwrap(), b"server hello");
    assert_eq!(response(&sent).get(ACK).unwrap(), crc(b"client hello"));
}

#[test]
fn what_is_not_authentic_is_not_looked_at() {
    let mut bench = started(Role::Controlled);
    embed(&mut bench, b"ours").unwrap();
    let digest = bench.agent.state_digest();
    let check = bench.check(Role::Controlling).attr(PACKET, b"x").attr(ACK, &crc(b"ours"));
    for bytes in [check.clone().integrity("not the password").fingerprint(), check.fingerprint()] {
        assert!(matches!(bench.feed(LOCAL, REMOTE, &bytes), Received::Ignored(_)));
    }
    let request = bench.last_request();
    let forged = Message::new(SUCCESS, request.id())
        .xor_mapped(request.from)
        .attr(PACKET, b"x")
        .attr(ACK, &crc(b"ours"))
        .integrity("not the password")
        .fingerprint();
    assert_eq!(bench.feed(LOCAL, REMOTE, &forged), Received::Ignored(Ignored::BadIntegrity));
    assert_eq!(bench.agent.state_digest(), digest);
    // Behind the integrity attribute anybody may have put them.
    let appended = bench
        .check(Role::Controlling)
        .integrity(&bench.pwd())
        .attr(PACKET, b"x")
        .attr(ACK, &crc(b"ours"))
        .fingerprint();
    let _ = bench.feed(LOCAL, REMOTE, &appended);
    assert!(packets(&bench).is_empty());
    assert_eq!(support(&bench), EmbeddingSupport::No, "the authentic part has none");
}

/// An error says nothing of what its sender knows, and carries nothing.
#[test]
fn errors_are_not_looked_at() {
    let mut bench = started(Role::Controlling);
    let request = bench.last_request();
    let error = Message::new(common::ERROR, request.id())
        .error_code(487)
        .attr(PACKET, b"x")
        .integrity(PEER_PWD)
        .fingerprint();
    let _ = bench.feed(LOCAL, REMOTE, &error);
    assert_eq!(support(&bench), EmbeddingSupport::Unknown);
    assert!(packets(&bench).is_empty());
}

#[test]
fn a_peer_without_it_is_noticed_by_its_first_authenticated_message() {
    for by_request in [true, false] {
        let mut bench = waiting(Role::Controlling);
        embed(&mut bench, b"hello").unwrap();
        bench.start();
        assert_eq!(support(&bench), EmbeddingSupport::Unknown);
        let request = bench.last_request();
        if by_request {
            let sent = check(&mut bench, &[]);
            assert!(!response(&sent).has(PACKET) && !response(&sent).has(ACK));
        } else {
            answer(&mut bench, &request, &[]);
        }
        assert_eq!(support(&bench), EmbeddingSupport::No);
        assert_eq!(embed(&mut bench, b"hello"), Err(EmbedError::Unsupported));
        let before = bench.sent.len();
        bench.run_until(ms(5_000));
        assert!(bench.sent.len() > before);
        assert!(bench.sent[before..].iter().all(|sent| !sent.has(PACKET) && !sent.has(ACK)));
    }
}

#[test]
fn a_packet_that_can_never_fit_is_refused_and_the_largest_fits_into_every_check() {
    let credentials = |c: &str| Credentials::new(&c.repeat(32), &c.repeat(32)).unwrap();
    for path_mtu in [576, 1280, 1500, 9000] {
        let mut config = config(Role::Controlling);
        config.path_mtu = path_mtu;
        config.credentials = Some(credentials("u"));
        config.nomination = frazil::NominationMode::Renomination { automatic: false };
        let mut bench = Bench::waiting(config, &[LOCAL], &[REMOTE]);
        let max = bench.agent.embedding(bench.stream, 1).unwrap().max_packet;
        assert!(max + 300 > usize::from(path_mtu));
        assert_eq!(embed(&mut bench, &vec![1; max + 1]), Err(EmbedError::TooLarge { max }));
        assert_eq!(embed(&mut bench, b""), Err(EmbedError::Empty));
        embed(&mut bench, &vec![1; max]).unwrap();
        let mut theirs = Parameters::new(credentials("p"));
        theirs.options.push("renomination".to_owned());
        bench.agent.set_remote(bench.now, theirs).unwrap();
        bench.drain();
        let request = bench.last_request();
        let answer = Message::new(SUCCESS, request.id())
            .xor_mapped(request.from)
            .attr(ACK, b"")
            .integrity(&"p".repeat(32))
            .fingerprint();
        let _ = bench.feed(LOCAL, REMOTE, &answer);
        bench.run_until(ms(600));
        let nominating = bench.requests().into_iter().find(Sent::nominates).unwrap();
        assert!(nominating.has(0xc001) && nominating.get(PACKET).unwrap().len() == max);
        for sent in &bench.sent {
            assert!(sent.bytes.len() + 96 <= usize::from(path_mtu), "{}", sent.bytes.len());
        }
    }
}

/// RFC 8445 §5.3 allows 256 characters, which no peer uses.
#[test]
fn beside_a_very_long_username_a_large_packet_stays_behind() {
    let mut config = config(Role::Controlling);
    config.path_mtu = 576;
    let mut bench = Bench::waiting(config, &[LOCAL], &[REMOTE]);
    let max = bench.agent.embedding(bench.stream, 1).unwrap().max_packet;
    embed(&mut bench, &vec![1; max]).unwrap();
    embed(&mut bench, b"small").unwrap();
    let credentials = Credentials::new(&"p".repeat(256), &"p".repeat(32)).unwrap();
    bench.agent.set_remote(bench.now, Parameters::new(credentials)).unwrap();
    bench.drain();
    bench.run_until(ms(5_000));
    let sent = bench.requests();
    assert!(sent.iter().all(|sent| sent.bytes.len() + 96 <= 576));
    assert!(sent.iter().any(|sent| sent.get(PACKET).as_deref() == Some(b"small")));
    assert!(sent.iter().all(|sent| sent.get(PACKET).is_none_or(|packet| packet.len() < max)));
}

#[test]
fn what_waits_is_bounded_both_ways_and_what_finds_no_room_is_not_acknowledged() {
    let mut config = config(Role::Controlled);
    config.limits.embedded_packets = 2;
    config.limits.embedded_arrivals = 4;
    config.limits.embedded_size = 100;
    let mut bench = Bench::started(config, &[LOCAL], &[REMOTE]);
    embed(&mut bench, b"1").unwrap();
    embed(&mut bench, b"2").unwrap();
    assert_eq!(embed(&mut bench, b"3"), Err(EmbedError::Limit));
    let refused = |bench: &Bench| bench.agent.counters().refused(Refused::EmbeddedPacket);
    assert_eq!(refused(&bench), 1);
    assert!(bench.agent.withdraw_embedded(bench.now, bench.stream, 1));
    assert!(!bench.agent.withdraw_embedded(bench.now, bench.stream, 1));
    embed(&mut bench, b"3").unwrap();

    // Nobody polls.
    let (to, from) = (addr(LOCAL), addr(REMOTE));
    for packet in [b"a", b"b", b"c"] {
        let check = bench.check(Role::Controlling).attr(PACKET, packet);
        let bytes = check.integrity(&bench.pwd()).fingerprint();
        let _ = bench.agent.handle_datagram(bench.now, Transport::Udp, to, from, &bytes);
    }
    bench.drain();
    assert_eq!(packets(&bench), [b"a", b"b"]);
    assert_eq!(refused(&bench), 2);
    // It comes again, and there is room now.
    let sent = check(&mut bench, &[(PACKET, b"c")]);
    let acks = [crc(b"a"), crc(b"b"), crc(b"c")].concat();
    assert_eq!(response(&sent).get(ACK).unwrap(), acks);

    check(&mut bench, &[(PACKET, &[7; 101])]);
    check(&mut bench, &[(PACKET, &[7; 100])]);
    check(&mut bench, &[(PACKET, b"one more than can be remembered")]);
    assert_eq!(packets(&bench).len(), 4);
    assert_eq!(refused(&bench), 4);
}

#[test]
fn where_a_large_check_does_not_get_through_the_next_ones_are_small() {
    let mut bench = waiting(Role::Controlling);
    embed(&mut bench, &[1; 900]).unwrap();
    embed(&mut bench, b"small").unwrap();
    bench.start();
    let large = bench.last_request();
    assert!(large.bytes.len() > 900);
    let route =
        frazil::Route::Datagram { transport: Transport::Udp, local: large.from, remote: large.to };
    bench.agent.transmit_failed(bench.now, route, frazil::TransmitError::TooLarge);
    let later = bench.run_until(ms(10_000));
    assert!(later.len() > 2 && later.iter().all(|sent| sent.bytes.len() <= 548));
    assert!(later.iter().any(|sent| sent.has(PACKET)), "the small one rides");
}

/// What is in the network before the peer is heard is bounded (RFC 8445 §B.1), and checks go on.
#[test]
fn checks_that_nobody_answers_carry_a_bounded_number_of_bytes() {
    let remotes: Vec<String> = (0..60).map(|n| format!("10.0.1.{n}:2000")).collect();
    let remotes: Vec<&str> = remotes.iter().map(String::as_str).collect();
    let mut bench = Bench::waiting(config(Role::Controlling), &[LOCAL], &remotes);
    embed(&mut bench, &[1; 900]).unwrap();
    bench.start();
    bench.run_until(ms(20_000));
    let requests = bench.requests();
    let with = requests.iter().filter(|sent| sent.has(PACKET)).count();
    assert_eq!(with, 14_600 / 904);
    assert!(requests.len() > 60 && requests.iter().all(|sent| sent.has(ACK)));
    // One answer, and there is room again.
    let last = requests.last().unwrap().clone();
    let bytes = Message::new(SUCCESS, last.id()).xor_mapped(last.from).attr(ACK, b"");
    let (to, from) = (last.from.to_string(), last.to.to_string());
    let _ = bench.feed(&to, &from, &bytes.integrity(PEER_PWD).fingerprint());
    let sent = bench.run_until(ms(21_000));
    assert!(sent.iter().any(|sent| sent.has(PACKET)));
}

/// A controlled agent that has selected a pair while a packet waits; its answer to the nomination.
fn selected_with_a_packet() -> (Bench, Sent) {
    let mut bench = waiting(Role::Controlled);
    embed(&mut bench, b"hello").unwrap();
    bench.start();
    let request = bench.last_request();
    answer(&mut bench, &request, &[(ACK, b"")]);
    let sent = check(&mut bench, &[(ACK, b""), (USE_CANDIDATE, b"")]);
    assert!(bench.agent.selected_pair(bench.stream, 1).is_some());
    (bench, response(&sent))
}

/// The path may lose what is sent on it; so the answer to the nomination carries it as well.
#[test]
fn once_a_pair_is_selected_what_waits_rides_in_the_messages_that_are_left() {
    let (mut bench, nominated) = selected_with_a_packet();
    assert_eq!(nominated.get(PACKET).unwrap(), b"hello");
    assert_eq!(embed(&mut bench, b"more"), Err(EmbedError::Selected));
    let sent = check(&mut bench, &[(ACK, b"")]);
    assert_eq!(response(&sent).get(PACKET).unwrap(), b"hello");
    let sent = check(&mut bench, &[(ACK, &crc(b"hello"))]);
    assert!(!response(&sent).has(PACKET));
}

/// It has what it needs, or has it from the path: libwebrtc says no more when its handshake is done.
#[test]
fn once_a_pair_is_selected_a_peer_that_says_no_more_is_told_no_more() {
    let (mut bench, _) = selected_with_a_packet();
    let sent = check(&mut bench, &[]);
    assert!(!response(&sent).has(PACKET) && !response(&sent).has(ACK));
    assert_eq!(bench.agent.embedding(bench.stream, 1).unwrap().waiting, 0);
}

#[test]
fn once_a_pair_is_selected_what_still_comes_is_acknowledged() {
    let (mut bench, _) = selected_with_a_packet();
    bench.agent.withdraw_embedded(bench.now, bench.stream, 1);
    // The peer has not heard that it is over.
    let sent = check(&mut bench, &[(ACK, b""), (PACKET, b"late")]);
    assert_eq!(packets(&bench), [b"late"]);
    assert_eq!(response(&sent).get(ACK).unwrap(), crc(b"late"));
    assert!(response(&sent).has(ACK) && !response(&sent).has(PACKET));
    let sent = check(&mut bench, &[]);
    assert!(!response(&sent).has(ACK), "there is nothing more to say");
}

#[test]
fn a_check_before_the_parameters_brings_its_packet() {
    let mut bench = waiting(Role::Controlled);
    let sent = check(&mut bench, &[(PACKET, b"early")]);
    assert_eq!(packets(&bench), [b"early"]);
    assert_eq!(response(&sent).get(ACK).unwrap(), crc(b"early"));
    assert_eq!(support(&bench), EmbeddingSupport::Yes);
}

/// Before the parameters a check may be that of another peer: it does not say that ours cannot.
#[test]
fn a_check_before_the_parameters_does_not_say_that_the_peer_cannot() {
    let mut bench = waiting(Role::Controlled);
    check(&mut bench, &[]);
    assert_eq!(support(&bench), EmbeddingSupport::Unknown);
}

fn restart(bench: &mut Bench) {
    bench.agent.prepare_restart(bench.now).unwrap();
    let credentials = Credentials::new("again", "anotherpasswordofthepeer").unwrap();
    bench.agent.set_remote(bench.now, Parameters::new(credentials)).unwrap();
    bench.drain();
}

#[test]
fn a_message_of_an_ended_generation_brings_nothing() {
    let mut bench = started(Role::Controlled);
    let request = bench.last_request();
    let before = bench.check(Role::Controlling).attr(ACK, &crc(b"ours"));
    let before = before.attr(PACKET, b"of before").integrity(&bench.pwd()).fingerprint();
    restart(&mut bench);
    embed(&mut bench, b"ours").unwrap();
    let _ = bench.feed(LOCAL, REMOTE, &before);
    let answer = Message::new(SUCCESS, request.id()).xor_mapped(request.from);
    let answer = answer.attr(PACKET, b"x").attr(ACK, &crc(b"ours")).integrity(PEER_PWD);
    let _ = bench.feed(LOCAL, REMOTE, &answer.fingerprint());
    assert!(packets(&bench).is_empty());
    assert_eq!(support(&bench), EmbeddingSupport::Unknown);
    assert_eq!(bench.agent.embedding(bench.stream, 1).unwrap().waiting, 1);
}

#[test]
fn a_restart_goes_on_with_what_waits_and_asks_anew_what_the_peer_can() {
    let mut bench = waiting(Role::Controlled);
    embed(&mut bench, b"hello").unwrap();
    bench.start();
    check(&mut bench, &[(PACKET, b"theirs")]);
    assert_eq!(support(&bench), EmbeddingSupport::Yes);
    restart(&mut bench);
    assert_eq!(support(&bench), EmbeddingSupport::Unknown);
    let message = Message::new(REQUEST, [99; 12])
        .attr(USERNAME, format!("{}:again", bench.ufrag()).as_bytes())
        .attr(common::ICE_CONTROLLING, &[1; 8])
        .attr(PACKET, b"theirs")
        .integrity(&bench.pwd())
        .fingerprint();
    let before = bench.sent.len();
    let _ = bench.feed(LOCAL, REMOTE, &message);
    let sent = response(&bench.sent[before..]);
    assert_eq!(sent.get(PACKET).unwrap(), b"hello");
    assert_eq!(sent.get(ACK).unwrap(), crc(b"theirs"));
    assert_eq!(packets(&bench), [b"theirs"], "it was an event before");
}

#[test]
fn a_lite_agent_embeds_in_its_answers() {
    let mut config = config(Role::Controlled);
    config.lite = true;
    let mut bench = Bench::started(config, &[LOCAL], &[REMOTE]);
    embed(&mut bench, b"hello").unwrap();
    let sent = check(&mut bench, &[(PACKET, b"theirs")]);
    assert_eq!(response(&sent).get(PACKET).unwrap(), b"hello");
    assert_eq!(packets(&bench), [b"theirs"]);
}

#[test]
fn calls_that_make_no_sense_are_named() {
    let mut bench = started(Role::Controlling);
    let now = bench.now;
    assert_eq!(bench.agent.embed(now, bench.stream, 2, b"x"), Err(EmbedError::UnknownComponent));
    assert_eq!(bench.agent.embedding(bench.stream, 2), None);
    bench.agent.close(now);
    assert_eq!(embed(&mut bench, b"x"), Err(EmbedError::Closed));
}

#[test]
fn the_digest_covers_what_waits() {
    let mut bench = waiting(Role::Controlling);
    let before = bench.agent.state_digest();
    embed(&mut bench, b"hello").unwrap();
    let with = bench.agent.state_digest();
    assert_ne!(with, before);
    let mut other = bench.agent.clone();
    other.withdraw_embedded(Timestamp::ZERO, bench.stream, 1);
    other.embed(Timestamp::ZERO, bench.stream, 1, b"hallo").unwrap();
    assert_ne!(other.state_digest(), with);
}

#[test]
fn the_trace_tells_of_arrivals_and_of_what_the_peer_can() {
    let mut config = config(Role::Controlled);
    config.trace = true;
    let mut bench = Bench::started(config, &[LOCAL], &[REMOTE]);
    check(&mut bench, &[(PACKET, b"theirs")]);
    let trace: Vec<TraceData> =
        std::iter::from_fn(|| bench.agent.poll_trace()).map(|event| event.data).collect();
    let stream = bench.stream;
    let arrived = TraceData::Embedded { stream, component: 1, length: 6 };
    let supported = TraceData::EmbeddingSupport { stream, component: 1, supported: true };
    assert!(trace.contains(&arrived) && trace.contains(&supported));
}

#[test]
fn a_recorded_session_with_packets_is_played_again() {
    let now = Timestamp::ZERO;
    let mut agent = Recorder::new(config(Role::Controlling), [7; 32]).unwrap();
    let stream = agent.streams().next().unwrap();
    agent.add_local(now, stream, 1, LocalAddress::udp(addr(LOCAL))).unwrap();
    agent.embed(now, stream, 1, b"withdrawn").unwrap();
    assert!(agent.withdraw_embedded(now, stream, 1));
    agent.embed(now, stream, 1, b"hello").unwrap();
    while agent.poll_event(now).is_some() {}
    let line = "1 1 UDP 2000000000 10.0.0.2 2000 typ host";
    agent.add_remote_candidate(now, stream, &line.parse().unwrap()).unwrap();
    let credentials = Credentials::new(PEER_UFRAG, PEER_PWD).unwrap();
    agent.set_remote(now, Parameters::new(credentials)).unwrap();
    let mut buf = Vec::new();
    while agent.poll_transmit(now, &mut buf).is_some() {}
    assert!(buf.windows(5).any(|bytes| bytes == b"hello"));
    let log = agent.take_log();
    let mut replay = Replay::new(&log).unwrap();
    while replay.step().unwrap().is_some() {}
    assert_eq!(replay.agent().state_digest(), agent.state_digest());
}

/// Nothing but consent is sent from then on, and that has no room for what is not used.
#[test]
fn a_session_that_has_selected_allocates_nothing_for_it() {
    let mut bench = started(Role::Controlled);
    let request = bench.last_request();
    answer(&mut bench, &request, &[(ACK, b"")]);
    check(&mut bench, &[(ACK, b""), (USE_CANDIDATE, b"")]);
    let bytes = bench.check(Role::Controlling).integrity(&bench.pwd()).fingerprint();
    let (to, from, now) = (addr(LOCAL), addr(REMOTE), bench.now + Duration::from_secs(1));
    let mut out = Vec::with_capacity(2048);
    let agent: &mut IceAgent = &mut bench.agent;
    let info = allocation_counter::measure(|| {
        let _ = agent.handle_datagram(now, Transport::Udp, to, from, &bytes);
        assert!(agent.poll_transmit(now, &mut out).is_some());
    });
    assert_eq!(info.count_total, 0);
}
