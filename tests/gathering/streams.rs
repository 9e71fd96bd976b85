//! TURN over TCP and TLS, and over the datagrams of a DTLS connection.

use std::collections::BTreeSet;
use std::time::Duration;

use frazil::sim::{TurnMethod, TurnRefusal};

use frazil::{
    AgentConfig, ConnectionSecurity, ConnectionState, Event, Ignored, Received, Role, Route,
};

use super::net::*;

const L: &str = "10.0.0.1:1000";

fn opened(net: &Net, agent: usize) -> Vec<(frazil::ConnectionId, frazil::Timestamp)> {
    let opened = |(at, event): &(frazil::Timestamp, Event)| match event {
        Event::OpenConnection { connection, .. } => Some((*connection, *at)),
        _ => None,
    };
    net.nodes[agent].events.iter().filter_map(opened).collect()
}

/// Messages and data in pieces of any size.
#[test]
fn a_session_over_tcp_in_any_pieces() {
    for segment in [1, 2, 3, 7, 19, 20, 21, 64, usize::MAX] {
        let mut net = Net::pair(1);
        net.segment = segment;
        net.ask(0, turn_tcp(0));
        net.start();
        net.run_for(secs(5));
        assert_eq!(net.states(), [ConnectionState::Completed; 2], "{segment}");
        net.assert_flows();
        // W21: RFC 8656 §12.5. Padding is not part of the payload, and the next message begins
        // behind it.
        for len in 0..9 {
            let payload = vec![0x80; len];
            net.send(0, &payload).unwrap();
            net.send(1, &payload).unwrap();
            net.run_for(secs(1));
            for node in &net.nodes {
                assert_eq!(node.received.last().unwrap(), &payload, "{segment}");
            }
        }
        let streamed = net.sent.iter().filter(|sent| matches!(sent.route, Route::Stream(_)));
        let channel: Vec<_> = streamed.filter(|sent| sent.is_channel_data()).collect();
        assert!(!channel.is_empty());
        assert!(channel.iter().all(|sent| sent.bytes.len() % 4 == 0));
    }
}

/// W12: RFC 8656 §7.4. Where datagrams do not get through, a stream may: all transports that the caller
/// names are asked at once, and one that is silent holds up none.
#[test]
fn another_transport_serves_where_datagrams_do_not_get_through() {
    let mut net = Net::alone(&[L], 1);
    net.udp = false;
    net.ask(0, turn(0));
    net.ask(0, turn_tcp(0));
    net.gather(0);
    net.run_for(secs(1));
    assert_eq!(net.relays(0).len(), 1);
    net.run_for(secs(60));
    assert_eq!((net.errors(0), net.allocations(0)), (vec![701], 1));
}

/// What is asked for: where to, from where, and what protects it.
#[test]
fn a_connection_is_asked_for_with_its_security() {
    let asked = |uri: &str| {
        let mut net = Net::alone(&[L], 1);
        net.opens = false;
        net.ask(0, turn_uri(uri));
        net.gather(0);
        net.run_for(secs(1));
        net.nodes[0].events.iter().find_map(|(_, event)| match event {
            Event::OpenConnection { local, remote, security, .. } => {
                Some((*local, *remote, security.clone()))
            }
            _ => None,
        })
    };
    let local = addr("10.0.0.1:0");
    let server_name = "198.51.100.1".to_owned();
    let tcp = asked("turn:198.51.100.1?transport=tcp").unwrap();
    assert_eq!(tcp, (local, addr("198.51.100.1:3478"), ConnectionSecurity::Tcp));
    let tls = asked("turns:198.51.100.1").unwrap();
    let security = ConnectionSecurity::Tls { server_name: server_name.clone() };
    assert_eq!(tls, (local, addr("198.51.100.1:5349"), security));
    let dtls = asked("turns:198.51.100.1?transport=udp").unwrap();
    assert_eq!(dtls.2, ConnectionSecurity::Dtls { server_name });
    assert_eq!(asked("turn:198.51.100.1"), None);
}

/// U22: RFC 8489 §6.2.2. Nothing is repeated on a reliable transport, and 39.5 s are waited.
#[test]
fn nothing_is_repeated_on_tcp() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.timing.gathering_timeout = secs(60);
    let mut net = Net::alone_with(config, &[L], 1);
    net.servers[0].behaviour_mut().silent = true;
    net.ask(0, turn_tcp(0));
    net.gather(0);
    net.run_until(ms(39_400));
    assert_eq!((net.sent.len(), net.errors(0).len()), (1, 0));
    net.run_for(secs(1));
    assert_eq!(net.errors(0), [701]);
}

/// DTLS loses datagrams, so requests are repeated there.
#[test]
fn datagrams_of_a_connection_are_repeated() {
    let mut net = Net::alone(&[L], 1);
    net.opens = false;
    net.ask(0, turn_uri(&format!("turns:{}?transport=udp", listen(0))));
    net.gather(0);
    let (id, _) = opened(&net, 0)[0];
    net.run_for(secs(1));
    assert!(net.sent.is_empty(), "nothing before the handshake");
    net.call(0, |agent, now| agent.connection_opened(now, id));
    net.run_for(secs(2));
    assert_eq!(net.sent.len(), 3);
    assert!(net.sent.iter().all(|sent| sent.route == Route::Stream(id)));
    // The server's answers, each a record of its own; data that is not padded as on TCP.
    let mut answered = 0;
    while net.relays(0).is_empty() {
        let request = net.sent.last().unwrap().bytes.clone();
        let now = net.now;
        let client = addr("10.0.0.1:40000");
        net.servers[0].handle_datagram(now, listen(0), client, &request);
        let (_, answer) = net.servers[0].poll_transmit().unwrap();
        net.feed_stream(0, id, &answer);
        net.run_for(Duration::from_millis(60));
        answered += 1;
        assert!(answered < 4);
    }
    assert_eq!(net.relays(0).len(), 1);
}

/// Over DTLS each message is a record, which is not padded.
#[test]
fn a_session_over_dtls() {
    let mut net = Net::pair(2);
    // U21: RFC 8489 §10. Another server is asked over a connection of its own.
    let elsewhere = TurnRefusal::try_alternate(listen(1)).with_domain("turn.example.org");
    net.servers[0].refuse(TurnMethod::Allocate, elsewhere, u32::MAX);
    net.ask(0, turn_uri(&format!("turns:{}?transport=udp", listen(0))));
    net.start();
    net.run_for(secs(5));
    assert_eq!((net.lines.len(), net.lines[0].server), (1, 1));
    let domain = ConnectionSecurity::Dtls { server_name: "turn.example.org".to_owned() };
    let opened = |event: &Event| matches!(event, Event::OpenConnection { security, .. } if *security == domain);
    assert!(net.has_told(0, opened));
    // Nothing is said before there is a connection, so nothing has to be said twice.
    let ids: BTreeSet<_> = net.asked(ALLOCATE).iter().map(|sent| sent.id()).collect();
    assert_eq!((ids.len(), net.asked(ALLOCATE).len()), (4, 4));
    for _ in 0..70 {
        net.run_for(secs(60));
        net.assert_flows();
    }
    net.send(0, b"fives").unwrap();
    assert_eq!(net.sent.last().unwrap().bytes.len(), 9);
    assert_eq!(net.lost(0), 0);
}

/// Attempts to connect are further and further apart, and stop with gathering.
#[test]
fn failing_connections_are_tried_again_ever_later() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.continual = true;
    let mut net = Net::alone_with(config, &[L], 1);
    net.dead.insert(0);
    net.ask(0, turn_tcp(0));
    net.gather(0);
    net.run_for(secs(8));
    let gaps: Vec<_> = opened(&net, 0).windows(2).map(|two| two[1].1 - two[0].1).collect();
    assert_eq!(gaps, [1, 2, 4].map(secs));
    assert_eq!(net.errors(0), [701]);

    let mut net = Net::alone(&[L], 1);
    net.dead.insert(0);
    net.ask(0, turn_tcp(0));
    net.gather(0);
    net.run_for(secs(60));
    assert_eq!(opened(&net, 0).len(), 1);
    assert_eq!(net.agent().poll_timeout(), None);
}

/// A server that takes connections and closes them at once is not asked every second.
#[test]
fn connections_that_come_to_nothing_count_as_failures() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.continual = true;
    let mut net = Net::alone_with(config, &[L], 1);
    net.opens = false;
    net.ask(0, turn_tcp(0));
    net.gather(0);
    for _ in 0..600 {
        if let Some((id, _)) = opened(&net, 0).last().copied() {
            net.call(0, |agent, now| {
                agent.connection_opened(now, id);
                agent.connection_closed(now, id);
            });
        }
        net.run_for(secs(1));
    }
    assert!(opened(&net, 0).len() < 20, "{}", opened(&net, 0).len());
}

/// The connection breaks, and data flows again without a call of the application.
#[test]
fn a_broken_connection_is_mended() {
    for agent in 0..2 {
        let mut net = Net::pair(1);
        net.ask(agent, turn_tcp(0));
        net.start();
        net.run_for(secs(5));
        net.assert_flows();
        let line = net.lines.remove(0);
        let now = net.now;
        net.servers[0].close_connection(now, line.number);
        net.call(agent, |agent, now| agent.connection_closed(now, line.id));
        net.run_for(secs(30));
        assert_eq!(net.lost(agent), 1);
        net.assert_flows();
    }
}

/// A stream that carries something else is closed, and another one is asked for.
#[test]
fn a_stream_of_garbage_is_given_up() {
    let mut net = Net::pair(1);
    net.ask(0, turn_tcp(0));
    net.start();
    net.run_for(secs(5));
    let line = net.lines[0];
    net.feed_stream(0, line.id, b"SSH-2.0-somebody else\r\n");
    let closed = Event::CloseConnection { connection: line.id };
    assert!(net.has_told(0, |event| *event == closed));
    assert!(net.lines.is_empty());
    let mut input: &[u8] = b"more of it";
    let now = net.now;
    let received = net.nodes[0].agent.handle_stream(now, line.id, &mut input);
    assert_eq!(received, Received::Ignored(Ignored::UnknownConnection));
    assert!(input.is_empty());
    net.run_for(secs(30));
    net.assert_flows();
}

/// What a stream carries is believed no more than a datagram: a forged answer ends what was asked
/// (RFC 8489 §9.2.5), and no other connection.
#[test]
fn an_answer_that_nobody_asked_for_is_ignored() {
    let mut net = Net::pair(1);
    net.ask(0, turn_tcp(0));
    net.start();
    net.run_for(secs(5));
    let line = net.lines[0];
    let digest = net.digest(0);
    let mut answer = vec![0x01, 0x13, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    answer.extend([9; 12]);
    net.feed_stream(0, line.id, &answer);
    assert_eq!(net.digest(0), digest);
    net.assert_flows();
}
